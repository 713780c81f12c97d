"""How long an engine's logs are, and about how much memory it takes: known before anything is built."""

from __future__ import annotations

import numpy as np

from neurosim.backends.native import tables as K
from neurosim.backends.native.layout import CHUNK, delay_range, scattered
from neurosim.ir.graph import Graph
from neurosim.ir.program import Program

LONGEST_WINDOW = 64
"""Steps that threads go without meeting, at most."""

QUIET_SPIKES = 1 << 18
"""Spikes that a log has room for beyond its worst case, so that quiet steps are not cut into short stretches."""

STRETCH, SEGMENT_BYTES = 20_000, 16 << 20
"""Steps between two collections of the logs, at most, and the bytes of a thread's table of where they begin."""

PER_NEURON = 1500
"""Bytes a neuron: its state twice, the graph's arrays, where its inbox is, and what recording holds for a while."""

SLACK = 1.02
"""Edges are drawn: there may be a few more than expected."""

ENDS, DRAWN_WEIGHT, DRAWN_DELAY = 40, 36, 20
"""Bytes an edge in the making: its ends, a weight of its own and a delay of its own, with what they are made from."""

LEARNING, RING_VALUE = 72, 8
"""Bytes an edge that learns: target, weight, number, place in a column, and what sorting the columns takes; bytes a
value of the past of its source."""

LINK, LINK_MADE = 12, 60
"""Bytes an edge of a link: source and weight; and what sorting by targets takes."""

ROW = 24
"""Bytes a row and thread: its start, where its next edge goes, and its count, while building."""


def window(shortest: int) -> int:
    """Return how many steps threads go without meeting."""
    return min(shortest, LONGEST_WINDOW)


def history(longest: int, steps: int) -> int:
    """Return how many steps of the past the logs keep, from the longest delay that is looked up and the window."""
    return longest + 2 * steps + 2


def log_length(neurons: int, past: int, steps: int) -> int:
    """Return the entries of a log: what the past may hold, two windows' worst case, and room for quiet steps."""
    return neurons * (past + 2 * steps) + QUIET_SPIKES


def stretch(populations: int, steps: int) -> int:
    """Return the steps between two collections."""
    return max(steps, min(STRETCH, SEGMENT_BYTES // (8 * (populations + 1))))


def estimate(graph: Graph, threads: int) -> int:
    """Return about how many bytes building and running take.

    Counted are edges as they are stored and in the making, the starts of rows, rings, the logs of spikes, what every
    thread copies (time arrays, thresholds), and the neurons.
    """
    stored = rows = making = ring_bytes = 0.0
    shortest, longest, slots = 1 << 30, 1, 1
    for p in graph.projections:
        n_pre, n_post = sum(s.size for s in p.pre), sum(s.size for s in p.post)
        edges = p.rule.expected(n_pre, n_post)
        low, high = (1, 1) if isinstance(p.delay, Program) else delay_range(graph, p)
        ring = scattered(p, low, high, threads)
        targets = sum(pop.size for pop in graph.populations if p.receptor in pop.receptors)
        narrow = not ring and targets < 65536 * threads
        weight = 0 if isinstance(p.weight, float) else 8 if graph.weight_bits > 24 else 4
        if p.plasticity is not None:
            own = 8 * len(p.plasticity.edge) + (8 if p.plasticity.decaying else 0)
            late = p.plasticity.late(high)
            values = len(p.plasticity.reads("pre")) * n_pre + (len(p.plasticity.reads("post")) * n_post if late else 0)
            past = RING_VALUE * values * (max(high, late) + window(low) + 1)
            stored += edges * (LEARNING + own) + past
            longest = max(longest, late)
            ring = False
        elif p.release is not None:
            stored += edges * (weight + 4) + RING_VALUE * (high + window(low) + 1) * n_pre
            ring = False
        else:
            stored += edges * (weight + (2 if narrow else 6 if ring else 4))
        sources = sum(graph.population(s.population).size for s in p.pre)
        rows += ROW * threads * sources * (1 if ring else high - low + 1)
        drawn = (DRAWN_WEIGHT if weight else 0) + (DRAWN_DELAY if high > low else 0)
        making = max(making, min(edges, CHUNK) * (ENDS + drawn))
        shortest = min(shortest, low)
        slots, longest = (max(slots, high), longest) if ring else (slots, max(longest, high))
    for link in graph.links:
        edges = link.edges.rule.expected(sum(s.size for s in link.edges.pre), sum(s.size for s in link.edges.post))
        stored += edges * LINK
        making = max(making, edges * LINK_MADE)
    inboxes = sum(pop.size * len(pop.receptors) for pop in graph.populations)
    ring_bytes = 8 * slots * inboxes
    return int(SLACK * stored + rows + making + ring_bytes + _logs(graph, threads, shortest, longest)
               + threads * _copied(graph) + PER_NEURON * graph.size)  # fmt: skip


def _logs(graph: Graph, threads: int, shortest: int, longest: int) -> int:
    """Return the bytes of the logs of all threads, and of the tables of where steps begin in them."""
    steps, columns = window(shortest), len(graph.populations) + 1
    past = history(longest, steps)
    biggest = sum(-(-pop.size // (K.TILE * threads)) * K.TILE for pop in graph.populations)
    table = (past + stretch(len(graph.populations), steps)) * columns
    return threads * (4 * log_length(biggest, past, steps) + 8 * table)


def _copied(graph: Graph) -> int:
    """Return the bytes that each thread copies of what the graph holds."""
    wide = 8 if graph.precision == "double" else 4
    tables = sum(np.size(t.values) for pop in graph.populations for t in pop.tables.values())
    thresholds = sum(np.size(t.thresholds) for pop in graph.populations for t in pop.poisson.values())
    spikes = sum(len(s.steps) for pop in graph.populations for s in pop.schedules.values())
    return wide * tables + 4 * thresholds + 16 * spikes

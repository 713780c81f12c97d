"""Connections: the edges of the IR, handed to NEST as arrays, each rank those of its own targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import Cell, Port
from neurosim.backends.nest_backend.kernel import Clock
from neurosim.backends.nest_backend.learning import MODEL, Learner, recognise_rule
from neurosim.backends.nest_backend.short_term import Synapse, recognise_synapse
from neurosim.errors import UnsupportedError
from neurosim.ir.distributions import Draw, PerEdge
from neurosim.ir.edges import Edges, iter_edges
from neurosim.ir.graph import Graph, ProjectionNode

FIRST = 1
"""NEST's number of the neuron whose global id is 0: populations are created first, one after the other."""

MOST = 134_217_726
"""Connections that NEST holds of one synapse model in one thread; more need another model, equal but in name."""

_MORE = "_from_"
"""Between a model's name and the number of the first connection of one more like it."""

GRID = 1e-9
"""Relative difference that rounding to a receptor's grid may make, and more."""

LONG = 2**31
"""Steps that no delay has."""


@dataclass(frozen=True)
class Ranks:
    """Who owns what among MPI ranks: NEST's node k is on virtual process k mod (ranks*threads), and that is on rank
    (virtual process) mod ranks, so the number of threads falls out."""

    rank: int = 0
    ranks: int = 1

    def owns(self, nodes: np.ndarray) -> np.ndarray:
        """Tell which nodes are of this rank."""
        return nodes % self.ranks == self.rank


def local_edges(graph: Graph, projection: ProjectionNode, ranks: Ranks) -> Iterator[tuple[np.ndarray, Edges]]:
    """Yield a projection's edges whose targets are of this rank, with their numbers, in the canonical order.

    Every rank goes through all edges (they are a function of the seed, so nothing is sent); memory is only taken for
    those kept.
    """
    for e in iter_edges(graph, projection):
        if ranks.ranks == 1:
            yield e.start + np.arange(len(e)), e
            continue
        keep = ranks.owns(np.asarray(e.post, dtype=np.int64) + FIRST)
        pick = lambda x, k=keep: x[k] if np.ndim(x) else x  # noqa: E731
        yield e.start + np.flatnonzero(keep), Edges(e.start, e.pre[keep], e.post[keep], pick(e.weight), pick(e.delay))


def signs(weight: Any) -> set[int]:
    """Return which signs a projection's weights can have: some of -1 and 1; 0 has either."""
    if isinstance(weight, PerEdge):
        weight = weight.support()
    if isinstance(weight, Draw):
        if weight.kind in ("lognormal", "exponential"):
            low, high = 0.0, np.inf
        elif weight.kind == "uniform":
            low, high = weight.a, weight.b
        else:
            low, high = -np.inf, np.inf
        low = low if weight.lo is None else max(low, weight.lo)
        high = high if weight.hi is None else min(high, weight.hi)
        return ({1} if high > 0 else set()) | ({-1} if low < 0 else set())
    try:
        values = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError):  # an expression: its values are known only edge by edge
        return {-1, 1}
    return ({1} if np.any(values > 0) else set()) | ({-1} if np.any(values < 0) else set())


def connect(nest: Any, graph: Graph, cells: Mapping[str, Cell], clock: Clock, ranks: Ranks) -> tuple[int, int]:
    """Make all projections; return the number of connections made here, and the shortest of their delays in steps."""
    total, shortest = 0, LONG
    models: dict[str, tuple[str, int]] = {}  # one of NEST's -> its name that is used now, connections of it
    for projection in graph.projections:
        port, factor = _targets(graph, projection, cells)
        synapse = None if projection.release is None else recognise_synapse(graph, projection)
        base, more = (synapse.model, synapse.params) if isinstance(synapse, Synapse) else ("static_synapse", {})
        rule = None if projection.plasticity is None else recognise_rule(graph, projection)
        if isinstance(rule, Learner):
            base, more = learner_name(projection), rule.params
            nest.CopyModel(MODEL, base)
        for number, e in local_edges(graph, projection, ranks):
            if not len(e):
                continue
            post = np.asarray(e.post, dtype=np.int64)
            weight = np.array(np.broadcast_to(np.asarray(e.weight, dtype=np.float64), post.shape))
            if isinstance(rule, Learner):
                each = np.ones(len(post)) if factor is None else factor[post]
                weight = _within(weight, rule.w_max, each, projection)
                more = {**rule.params, "Wmax": rule.w_max * each, "synapse_label": number}
            elif factor is not None:
                weight = scaled(weight, factor[post])
            model, here = models.get(base, (base, 0))
            here += len(post)
            if here > MOST:  # counted as if one thread held them all
                here, model = len(post), f"{base}{_MORE}{total}"
                nest.CopyModel(base, model)
            models[base] = model, here
            spec: dict[str, Any] = {
                "synapse_model": model,
                "weight": weight,
                **more,
                "delay": np.broadcast_to(np.asarray(clock.ms(e.delay), dtype=np.float64), post.shape).copy(),
            }
            if port is not None:
                spec["receptor_type"] = port[post]
            nest.Connect(np.asarray(e.pre, dtype=np.int64) + FIRST, post + FIRST, "one_to_one", spec)
            total += len(post)
            shortest = min(shortest, int(np.min(e.delay)))
    return total, shortest


def learner_name(projection: ProjectionNode) -> str:
    """Return the name, in NEST, of the synapses of a projection that learns: they are found by it again."""
    return f"learning_{projection.name}"


def learned(nest: Any, graph: Graph, projection: ProjectionNode, cells: Mapping[str, Cell],
            gather: Callable[[Any], list[Any]]) -> np.ndarray:  # fmt: skip
    """Return the weights of a projection that learns, in SI units, as NEST holds them."""
    _, factor = _targets(graph, projection, cells)
    mine, name = [(np.zeros(0, np.int64), np.zeros(0))], learner_name(projection)
    for model in nest.synapse_models:
        if model != name and not model.startswith(f"{name}{_MORE}"):
            continue
        found = nest.GetConnections(synapse_model=model)
        if len(found):
            kept = found.get(["synapse_label", "weight", "target"])
            label, weight, target = (np.atleast_1d(kept[key]) for key in ("synapse_label", "weight", "target"))
            mine.append((label, weight if factor is None else weight / factor[target - FIRST]))
    labels, weights = (np.concatenate(x) for x in zip(*(each for those in gather(mine) for each in those), strict=True))
    return weights[np.argsort(labels)]


def _within(weight: np.ndarray, w_max: float, factor: np.ndarray, projection: ProjectionNode) -> np.ndarray:
    """Return weights of synapses that learn in NEST's unit; no grid holds them, as they move.

    Those outside the bounds at the start are refused, as NEST brings them in otherwise than we do; by more than what
    rounding to the receptor's grid may have added.
    """
    bad = weight[(weight < 0) | (weight > w_max * (1 + GRID))]
    if len(bad) or np.any(factor == 0):
        why = (f"a weight of projection '{projection.name}' starts at {bad[0]:g}, outside 0 to {w_max:g}; NEST's "
               "synapses that learn have all weights within their bounds" if len(bad) else
               f"projection '{projection.name}' learns, and its receptor has a gain of 0")  # fmt: skip
        raise UnsupportedError(f"backend 'nest' cannot run this network: {why}", projection.where)
    out = np.minimum(weight, w_max) * factor
    return np.where(out == 0, np.copysign(np.finfo(float).tiny, factor), out)  # 0 has no sign, and NEST wants Wmax's


def scaled(weight: np.ndarray, factor: Any) -> np.ndarray:
    """Return weights in NEST's unit, on a binary grid of their own, so that their sums have no order either.

    A factor of 1 or -1 changes nothing; any other moves a weight by 1e-12 of the largest at most.
    """
    product = weight * factor
    if np.all(np.abs(factor) == 1.0) or not len(product):
        return product
    grid = 2.0 ** (np.frexp(np.max(np.abs(product)))[1] - 40)
    return np.rint(product / grid) * grid if grid > 0 else product


def _targets(
    graph: Graph, projection: ProjectionNode, cells: Mapping[str, Cell]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the port and the factor of every neuron by global id; None where all are 0, or 1."""
    offsets = graph.offsets()
    number, factor = np.zeros(graph.size, dtype=np.int64), np.ones(graph.size)
    for s in projection.post:
        at = slice(offsets[s.population], offsets[s.population] + graph.population(s.population).size)
        port: Port = cells[s.population].ports[projection.receptor]
        number[at], factor[at] = port.number, port.factor
    return (number if np.any(number) else None), (factor if np.any(factor != 1.0) else None)

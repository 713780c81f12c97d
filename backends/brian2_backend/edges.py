"""The edges of a projection that has synapses of its own in Brian2, and where their ends lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosim.backends.brian2_backend.layout import Layout
from neurosim.ir.edges import grid_of, iter_edges
from neurosim.ir.graph import Graph, ProjectionNode, Segment

_EMPTY = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


class Edges:
    """The edges of a projection in the canonical order: global ids of both ends, weights, delays, grids."""

    def __init__(self, graph: Graph, projection: ProjectionNode) -> None:
        parts = [
            (e.pre, e.post, np.broadcast_to(e.weight, (len(e),)), np.broadcast_to(e.delay, (len(e),)))
            for e in iter_edges(graph, projection)
        ]
        columns = [np.concatenate([x, *(p[k] for p in parts)]) for k, x in enumerate(_EMPTY)]
        self.pre, self.post, self.delay = (columns[k].astype(np.int64) for k in (0, 1, 3))
        self.weight = columns[2].astype(np.float64)
        offsets, grids = graph.offsets(), np.zeros(graph.size)
        ids = [offsets[s.population] + (np.arange(s.size) if s.ids is None else s.ids) for s in projection.post]
        grids[np.concatenate(ids)] = grid_of(graph, projection)
        self.grid = grids[self.post]


def members(graph: Graph, segments: Sequence[Segment]) -> tuple[list[str], np.ndarray]:
    """Return the populations of one end, and for each global id its place among their neurons."""
    names, offsets = list(dict.fromkeys(s.population for s in segments)), graph.offsets()
    place, at = np.full(graph.size, -1, dtype=np.int64), 0
    for name in names:
        size = graph.population(name).size
        place[offsets[name] : offsets[name] + size] = at + np.arange(size)
        at += size
    return names, place


def places(layout: Layout, projection: ProjectionNode) -> tuple[np.ndarray, np.ndarray]:
    """Return for each global id its cell, and its box, -1 for those that are no targets."""
    graph = layout.graph
    offsets = graph.offsets()
    cell, box = np.empty(graph.size, dtype=np.int32), np.full(graph.size, -1, dtype=np.int32)
    for name, lo, size in layout.starts():
        cell[offsets[name] : offsets[name] + size] = lo + np.arange(size)
    for name in dict.fromkeys(s.population for s in projection.post):
        size = graph.population(name).size
        first = layout.boxes[name, projection.receptor]
        box[offsets[name] : offsets[name] + size] = first + np.arange(size)
    return cell, box


def initial(graph: Graph, populations: Sequence[str], variable: str) -> np.ndarray:
    """Return the initial values of a variable, population after population."""
    nodes = [graph.population(name) for name in populations]
    return np.concatenate([np.broadcast_to(np.asarray(p.state(variable).init, float), (p.size,)) for p in nodes])

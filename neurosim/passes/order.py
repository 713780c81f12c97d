"""Pass ``order``: every receptor gets its binary grid, and every weight its place on it, so that sums have no order.

The grid of a receptor is 2^(e - bits), with 2^e above the largest magnitude that any of its weights can have (for a
distribution: its bound; for data: the largest value); ``bits`` is 40, or 24 for single-precision storage.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from neurosim.errors import ParameterError
from neurosim.ir.distributions import bound
from neurosim.ir.edges import iter_edges, on_grid
from neurosim.ir.graph import Graph, PopulationNode


def order(graph: Graph) -> Graph:
    """Fix the grids; projections keep the order in which they were written, edges that of their rules."""
    largest: dict[tuple[str, str], float] = {}

    def see(population: str, receptor: str, magnitude: float) -> None:
        key = (population, receptor)
        largest[key] = max(largest.get(key, 0.0), magnitude)

    for p in (*graph.projections, *(link.edges for link in graph.links)):
        magnitude = bound(p.weight)
        if magnitude is None:  # an expression: its values have to be seen
            magnitude = max((float(np.max(np.abs(e.weight), initial=0.0)) for e in iter_edges(graph, p)), default=0.0)
        if p.plasticity is not None and p.plasticity.largest is not None:
            magnitude = max(magnitude, p.plasticity.largest)
        for segment in p.post:
            see(segment.population, p.receptor, magnitude)
    for pop in graph.populations:
        for receptor, weight in pop.drive_weights.values():
            see(pop.name, receptor, abs(weight))

    for p in graph.projections:
        unknown = p.plasticity is not None and p.plasticity.largest is None
        if unknown and any(largest[s.population, p.receptor] == 0.0 for s in p.post):
            raise ParameterError(
                f"the weights of projection '{p.name}' start at 0 and may become anything, so no grid fits them: give "
                "its learning rule a lower and an upper bound",
                p.where,
            )

    def one(pop: PopulationNode) -> PopulationNode:
        grids = {r: grid(largest.get((pop.name, r), 0.0), graph.weight_bits) for r in pop.receptors}
        weights = {k: (r, float(on_grid(w, grids[r]))) for k, (r, w) in pop.drive_weights.items()}
        params = {**pop.params, **{f"{k}.weight": w for k, (_, w) in weights.items() if f"{k}.weight" in pop.params}}
        return replace(pop, grids=grids, drive_weights=weights, params=params)

    return replace(graph, populations=tuple(one(p) for p in graph.populations), stage="order")


def grid(magnitude: float, bits: int) -> float:
    """Return the grid for weights up to a magnitude."""
    if magnitude == 0.0:
        return 1.0
    return math.ldexp(1.0, max(math.frexp(magnitude)[1] - bits, -1000))

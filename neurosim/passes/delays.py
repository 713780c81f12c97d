"""Pass ``delays``: constant delays become whole numbers of steps."""

from __future__ import annotations

from dataclasses import replace

from neurosim.errors import ParameterError
from neurosim.ir.edges import MAX_DELAY
from neurosim.ir.graph import Graph, ProjectionNode
from neurosim.ir.timegrid import whole_steps


def delays(graph: Graph) -> Graph:
    """Set ``delay_steps`` where the delay is one constant; drawn delays are rounded edge by edge."""

    def one(p: ProjectionNode) -> ProjectionNode:
        if not isinstance(p.delay, float):
            return p
        steps = whole_steps(p.delay, graph.dt, f"the delay of projection '{p.name}'", p.where, least=1)
        if steps > MAX_DELAY:
            raise ParameterError(
                f"the delay of projection '{p.name}' is {steps} steps; the largest is {MAX_DELAY}", p.where
            )
        return replace(p, delay_steps=steps)

    links = tuple(replace(k, edges=replace(k.edges, delay_steps=1)) for k in graph.links)
    return replace(graph, projections=tuple(one(p) for p in graph.projections), links=links, stage="delays")

"""Short-term plasticity in Brian2: a spike delivers the weight times what it carries."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.edges import Edges, members, places
from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
from neurosim.backends.brian2_backend.past import past
from neurosim.ir.graph import ProjectionNode


def build_released(layout: Layout, projection: ProjectionNode, number: int, built: Any) -> list[Any]:
    """Make the objects of one projection without a learning rule.

    Parameters
    ----------
    layout : Layout
        Where everything lies.
    projection : ProjectionNode
        One with a release.
    number : int
        Tells such projections apart.
    built : (cells, boxes, groups, clock)
        Brian2's objects that there are already.
    """
    from brian2 import Synapses, second

    cells, boxes, groups, clock = built
    assert projection.release is not None
    edges, name = Edges(layout.graph, projection), f"neurosim_release{number}"
    if not len(edges.pre):
        return []
    layout.edges += len(edges.pre)
    sources, place = members(layout.graph, projection.pre)
    reach = int(edges.delay.max())
    kept = past(layout, sources, [projection.release], reach, groups, clock, f"{name}_past")
    synapses = Synapses(
        cells,
        boxes,
        "w : 1 (constant)\ngrid : 1 (constant)\nthen_place : integer (constant)",
        on_pre="x_post += ns_rint(w*carried/grid)*grid",
        clock=clock,
        namespace=fixed_functions(),
        name=name,
    )
    synapses.variables.add_reference("carried", kept, "x0", index="then_place")
    cell, box = places(layout, projection)
    synapses.connect(i=cell[edges.pre], j=box[edges.post])
    synapses.w, synapses.grid = edges.weight, edges.grid
    synapses.then_place = (reach - edges.delay) * (len(kept) // reach) + place[edges.pre]
    synapses.pre.delay = (edges.delay - 1).astype(np.float64) * second  # its queue counts from the step after
    return [kept, synapses]

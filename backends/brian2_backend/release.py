"""Short-term plasticity in Brian2: what spikes carry arrives with them.

Brian2's synapses read the source as it is when a spike arrives. What it was when the spike left stands in a group of
its own: for every source, the values of as many steps as the longest delay has, which move on by one at the end of
each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.edges import Edges, initial, members, places
from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
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
    from brian2 import NeuronGroup, Synapses, second

    cells, boxes, groups, clock = built
    assert projection.release is not None
    edges, name = Edges(layout.graph, projection), f"neurosim_release{number}"
    if not len(edges.pre):
        return []
    layout.edges += len(edges.pre)
    sources, place = members(layout.graph, projection.pre)
    first = initial(layout.graph, sources, projection.release)
    width, reach = len(first), int(edges.delay.max())
    here = {}  # block -> (the newest values that are its own, their places in it)
    at = (reach - 1) * width  # the oldest come first
    for source in sources:
        block, size = layout.block(source), layout.graph.population(source).size
        mine, from_ = here.setdefault(
            layout.blocks.index(block), (np.zeros(reach * width), np.zeros(reach * width, np.int32))
        )
        mine[at : at + size] = 1.0
        from_[at : at + size] = block.part(source).start + np.arange(size)
        at += size
    lines = ["x : 1", "y : 1", "next_place : integer (constant)"]
    lines += [f"is{k} : 1 (constant)\nplace{k} : integer (constant)" for k in here]
    past = NeuronGroup(reach * width, "\n".join(lines), clock=clock, name=f"{name}_past")
    past.variables.add_reference("newer", past, "x", index="next_place")
    past.x, past.next_place = np.tile(first, reach), np.minimum(np.arange(reach * width) + width, reach * width - 1)
    moved = [f"(1 - {' - '.join(f'is{k}' for k in here)})*newer"]
    for k, (mine, from_) in here.items():
        setattr(past, f"is{k}", mine)
        setattr(past, f"place{k}", from_)
        variable = layout.blocks[k].printed.states[projection.release]
        past.variables.add_reference(f"now{k}", groups[k], variable, index=f"place{k}")
        moved.append(f"is{k}*now{k}")
    past.run_regularly(f"y = {' + '.join(moved)}", when="end", order=0, name=f"{name}_read")
    past.run_regularly("x = y", when="end", order=1, name=f"{name}_moved")
    synapses = Synapses(
        cells,
        boxes,
        "w : 1 (constant)\ngrid : 1 (constant)\nthen_place : integer (constant)",
        on_pre="x_post += ns_rint(w*carried/grid)*grid",
        clock=clock,
        namespace=fixed_functions(),
        name=name,
    )
    synapses.variables.add_reference("carried", past, "x", index="then_place")
    cell, box = places(layout, projection)
    synapses.connect(i=cell[edges.pre], j=box[edges.post])
    synapses.w, synapses.grid = edges.weight, edges.grid
    synapses.then_place = (reach - edges.delay) * width + place[edges.pre]
    synapses.pre.delay = (edges.delay - 1).astype(np.float64) * second  # its queue counts from the step after
    return [past, synapses]

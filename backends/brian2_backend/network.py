"""A layout as Brian2's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.functions import fixed_functions, lookup_function
from neurosim.backends.brian2_backend.layout import Block, Layout
from neurosim.backends.brian2_backend.learning import Plastic
from neurosim.backends.brian2_backend.links import build_link
from neurosim.backends.brian2_backend.printer import FIRED, HORIZON, SEEN
from neurosim.backends.brian2_backend.release import build_released

SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]
"""Arrivals, then programs, then spikes: one of step n on a queue of d - 1 steps arrives in step n + d."""

BOX = "box"


@dataclass
class Built:
    """The objects of one network.

    Attributes
    ----------
    network, clock : brian2.Network, brian2.Clock
        The clock counts steps: one of ours is one second of Brian2's, so that no time is ever rounded.
    cells : brian2.NeuronGroup
        All spikes.
    boxes : brian2.NeuronGroup or None
        All inboxes.
    groups : list of brian2.NeuronGroup
        One for each block.
    plastic : list of Plastic
        The projections that learn.
    """

    network: Any
    clock: Any
    cells: Any
    boxes: Any
    groups: list[Any]
    plastic: list[Plastic]


def build(layout: Layout, watched: bool) -> Built:
    """Make the objects; to be called inside a session.

    Parameters
    ----------
    layout : Layout
        Where everything lies.
    watched : bool
        Whether the printed code notes faults.
    """
    from brian2 import Clock, Network, NeuronGroup, second

    clock = Clock(dt=1 * second, name="neurosim_clock")
    network, objects = None, []
    try:
        variables = f"{FIRED} : boolean\n{HORIZON} : 1 (shared)"
        cells = NeuronGroup(layout.graph.size, variables, threshold=FIRED, clock=clock, name="neurosim_cells")
        objects.append(cells)
        boxes = None
        if len(layout.limits):
            boxes = NeuronGroup(len(layout.limits), "x : 1", clock=clock, name="neurosim_boxes")
            objects.append(boxes)
            boxes.run_regularly("x = 0.0", when="groups", order=1, name="neurosim_boxes_emptied")
        functions = dict(fixed_functions(), ns_lookup=lookup_function(layout.data))
        groups = []
        for block in layout.blocks:
            groups.append(_group(block, cells, boxes, clock, functions, watched))
            objects.append(groups[-1])
        if len(layout.synapses):
            objects.append(_synapses(layout, cells, boxes, clock))
        release = [p for p in layout.graph.projections if p.release is not None and p.plasticity is None]
        for k, projection in enumerate(release):
            objects += build_released(layout, projection, k, (cells, boxes, groups, clock))
        learn = [p for p in layout.graph.projections if p.plasticity is not None]
        plastic = [Plastic(layout, p, k, watched) for k, p in enumerate(learn)]
        for each in plastic:
            objects += each.build(layout, (cells, boxes, groups, clock))
        for k, link in enumerate(layout.graph.links):
            objects += build_link(layout, link, k, (boxes, groups, clock))
        network = Network(objects, name="neurosim_network")
        network.schedule = SCHEDULE
        objects = network.sorted_objects
    finally:
        for obj in objects:  # Brian2 complains when an object is deleted that never ran, whatever the reason
            obj._network = "" if network is None else network.id
    return Built(network, clock, cells, boxes, groups, plastic)


def _group(block: Block, cells: Any, boxes: Any, clock: Any, functions: dict[str, Any], watched: bool) -> Any:
    """Make the neurons of a block."""
    from brian2 import NeuronGroup

    printed = block.printed
    lines = [f"{name} : 1" for name in printed.states.values()]
    lines += [f"{name} : 1 ({'shared, ' if np.ndim(v) == 0 else ''}constant)" for name, v in block.slots.items()]
    if watched:
        lines.append(f"{SEEN} : 1")
    group = NeuronGroup(block.size, "\n".join(lines), clock=clock, name=block.name, namespace=functions)
    if printed.spikes:
        group.variables.add_arange("_cell", size=block.size, start=block.start, index="_idx")
        group.variables.add_reference(FIRED, cells, FIRED, index="_cell")
    for k, (name, start) in enumerate(block.boxes.items()):
        group.variables.add_arange(f"_{BOX}{k}", size=block.size, start=start, index="_idx")
        group.variables.add_reference(name, boxes, "x", index=f"_{BOX}{k}")
    for name, value in (block.slots | block.initial).items():
        setattr(group, name, value)
    if watched:
        setattr(group, SEEN, -1.0)
    group.run_regularly(printed.code, when="groups", order=0, name=f"{block.name}_step")
    return group


def _synapses(layout: Layout, cells: Any, boxes: Any, clock: Any) -> Any:
    """Make all edges."""
    from brian2 import Synapses, second

    edges = layout.synapses
    shared = bool(np.all(edges.delays == edges.delays[0]))
    # the queue counts from the step after the spike
    given: dict[str, Any] = {"delay": float(edges.delays[0] - 1) * second} if shared else {}
    synapses = Synapses(cells, boxes, "w : 1 (constant)", on_pre="x_post += w", clock=clock, name="neurosim_synapses",
                        **given)  # fmt: skip
    synapses.connect(i=edges.cells, j=edges.boxes)
    synapses.w = edges.weights
    if not shared:
        synapses.pre.delay = (edges.delays - 1).astype(np.float64) * second
    return synapses

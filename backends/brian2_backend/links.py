"""Couplings without spikes in Brian2: synapses that compute a value in every step, and a summed variable of it.

Brian2 adds the terms of a target in the order of its synapses, which is the canonical one, in all three modes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.edges import Edges, members
from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
from neurosim.backends.brian2_backend.past import past
from neurosim.backends.brian2_backend.printer import link_code
from neurosim.ir.graph import LinkNode

# in the slot of arrivals, behind them; the sums of one link after those of the one before
COMPUTED, SUMMED, ADDED = 100, 101, 102


def build_link(layout: Layout, link: LinkNode, number: int, built: Any) -> list[Any]:
    """Make the objects of one link; ``built`` are Brian2's boxes, groups and clock."""
    from brian2 import NeuronGroup, Synapses

    boxes, groups, clock = built
    assert link.program is not None
    edges, name = Edges(layout.graph, link.edges), f"neurosim_link{number}"
    if not len(edges.pre):
        return []
    layout.edges += len(edges.pre)
    objects: list[Any] = []
    targets, goal = members(layout.graph, link.edges.post)
    width = sum(layout.graph.population(p).size for p in targets)
    sums = NeuronGroup(width, "total : 1\nbox : integer (constant)", clock=clock, name=f"{name}_sums")
    sums.variables.add_reference("inbox", boxes, "x", index="box")
    sums.box = np.concatenate(
        [layout.boxes[p, link.receptor] + np.arange(layout.graph.population(p).size) for p in targets]
    )
    code = link_code(link)
    model = ["w : 1 (constant)", "val : 1", "total_post = val : 1 (summed)"]
    model += [f"{key} : 1 (shared, constant)" for key in code.slots]
    ends = {"past": (link.edges.pre, edges.pre, link.reads("pre")),
            "goal": (link.edges.post, edges.post, link.reads("post"))}  # fmt: skip
    model += [f"{index} : integer (constant)" for index, (*_, variables) in ends.items() if variables]
    synapses = Synapses(sums, sums, "\n".join(model), clock=clock, namespace=fixed_functions(), name=name)
    at: dict[str, np.ndarray] = {}
    for index, (segments, ids, variables) in ends.items():
        if not variables:
            continue
        populations, place = members(layout.graph, segments)
        kept = past(layout, populations, variables, 1, groups, clock, f"{name}_{index}")
        objects.append(kept)
        for k in range(len(variables)):
            synapses.variables.add_reference(f"{index}_x{k}", kept, f"x{k}", index=index)
        at[index] = place[ids]
    synapses.connect(i=goal[edges.post], j=goal[edges.post])
    synapses.w = edges.weight
    for index, places in at.items():
        setattr(synapses, index, places)
    for key, value in code.slots.items():
        setattr(synapses, key, value)
    first = 3 * number
    synapses.run_regularly(code.text, when="synapses", order=COMPUTED + first, name=f"{name}_computed")
    updater = synapses.summed_updaters["total_post"]
    updater.when, updater.order = "synapses", SUMMED + first
    sums.run_regularly("inbox += total", when="synapses", order=ADDED + first, name=f"{name}_added")
    return [*objects, sums, synapses]

"""What synapses read of the neurons at both ends, in groups of its own.

Brian2's synapses read the source as it is when a spike arrives. What it was when the spike left stands in a group that
holds, for every source, the values of as many steps as the longest delay has; they move on by one at the end of each.
What the program of a target has stored in a step is copied before synapses learn, as its neurons may lie in several
groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.edges import initial
from neurosim.backends.brian2_backend.layout import Layout

# what happens at the end of a step, in this order
MIRRORED, FIRST, SECOND, SWEPT, READ, MOVED = range(6)
DELIVERED = 3
"""Taken off :data:`FIRST` and :data:`SECOND`, it orders them before the delivery, whose order is 0."""


def mirror(layout: Layout, populations: Sequence[str], variables: Sequence[str], groups: Any, clock: Any,
           name: str) -> Any:  # fmt: skip
    """Return a group with the variables ``x0`` … of some populations, one after the other, as each step leaves them."""
    from brian2 import NeuronGroup

    size = sum(layout.graph.population(p).size for p in populations)
    lines, terms, set_up = _copied(layout, populations, variables, 0, size)
    lines += [f"x{k} : 1" for k in range(len(variables))]
    group = NeuronGroup(size, "\n".join(lines), clock=clock, name=name)
    set_up(group, groups)
    text = "\n".join(f"x{k} = {' + '.join(each)}" for k, each in enumerate(terms))
    group.run_regularly(text, when="end", order=MIRRORED, name=f"{name}_mirrored")
    return group


def past(layout: Layout, populations: Sequence[str], variables: Sequence[str], reach: int, groups: Any, clock: Any,
         name: str) -> Any:  # fmt: skip
    """Return a group with the variables ``x0`` … of some populations in the last steps: what stood at the end of step
    n - a is, in step n, in the stretch ``reach - a`` of it."""
    from brian2 import NeuronGroup

    width = sum(layout.graph.population(p).size for p in populations)
    size = reach * width
    lines, terms, set_up = _copied(layout, populations, variables, size - width, size)
    lines += ["next_place : integer (constant)", "old : 1 (constant)"]
    lines += [f"x{k} : 1\ny{k} : 1" for k in range(len(variables))]
    group = NeuronGroup(size, "\n".join(lines), clock=clock, name=name)
    set_up(group, groups)
    for k, variable in enumerate(variables):
        group.variables.add_reference(f"newer{k}", group, f"x{k}", index="next_place")
        setattr(group, f"x{k}", np.tile(initial(layout.graph, populations, variable), reach))
    at = np.arange(size)
    group.next_place, group.old = np.minimum(at + width, size - 1), (at < size - width).astype(float)
    # two sweeps: with threads, nobody may write what another has yet to read
    read = "\n".join(f"y{k} = {' + '.join([f'old*newer{k}', *each])}" for k, each in enumerate(terms))
    group.run_regularly(read, when="end", order=READ, name=f"{name}_read")
    moved = "\n".join(f"x{k} = y{k}" for k in range(len(variables)))
    group.run_regularly(moved, when="end", order=MOVED, name=f"{name}_moved")
    return group


def _copied(layout: Layout, populations: Sequence[str], variables: Sequence[str], first: int, size: int) -> Any:
    """Return lines of a model, the terms of each variable, and what sets a group up in which the places from ``first``
    on take the values of some populations."""
    # block -> 1 at the places that are its own, their neurons in it
    here: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    at = first
    for name in populations:
        block, n = layout.block(name), layout.graph.population(name).size
        made = np.zeros(size), np.zeros(size, np.int32)
        mine, neuron = here.setdefault(layout.blocks.index(block), made)
        mine[at : at + n] = 1.0
        neuron[at : at + n] = block.part(name).start + np.arange(n)
        at += n
    lines = [f"is{b} : 1 (constant)\nplace{b} : integer (constant)" for b in here]
    terms = [[f"is{b}*now{b}_{k}" for b in here] for k in range(len(variables))]

    def set_up(group: Any, groups: Any) -> None:
        for b, (mine, neuron) in here.items():
            setattr(group, f"is{b}", mine)
            setattr(group, f"place{b}", neuron)
            for k, variable in enumerate(variables):
                source = layout.blocks[b].printed.states[variable]
                group.variables.add_reference(f"now{b}_{k}", groups[b], source, index=f"place{b}")

    return lines, terms, set_up

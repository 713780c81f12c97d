"""Which of NEST's cells a population is, by its mathematics; and for one that is none, what differs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurosim.backends.nest_backend.cells import PSC, Cell, Source
from neurosim.backends.nest_backend.conductance import conductance_cell
from neurosim.backends.nest_backend.delivery import signs
from neurosim.backends.nest_backend.hodgkin_huxley import hodgkin_huxley_cell, is_hodgkin_huxley
from neurosim.backends.nest_backend.linear import linear_cell
from neurosim.backends.nest_backend.normal import normal_form
from neurosim.backends.nest_backend.ports import signed, weights_onto
from neurosim.backends.nest_backend.quadratic import izhikevich_cell
from neurosim.backends.nest_backend.relay import is_relay, relay_cell
from neurosim.backends.nest_backend.short_term import without_resources
from neurosim.ir.expr import names
from neurosim.ir.graph import Graph, PopulationNode


@dataclass(frozen=True)
class Found:
    """What a population is in NEST, or the nearest of its cells and what differs from it."""

    what: Cell | Source | None
    nearest: str = ""
    differences: list[str] = field(default_factory=list)

    def sentence(self, pop: PopulationNode) -> str:
        """Complete "cannot run this network: no ..."."""
        return f"cell of NEST's like that of population '{pop.name}' (nearest: {self.nearest}): " + "; ".join(
            self.differences
        )


def recognise(graph: Graph, pop: PopulationNode) -> Found:
    """Compare a population with NEST's cells; what its synapses keep in NEST is no part of it."""
    pop = without_resources(graph, pop)
    source = _source(pop)
    if source is not None:
        return Found(source)
    assert pop.model is not None
    if pop.model.system.events:
        happens = ", ".join(e.name for e in pop.model.system.events)
        return Found(None, "none", [f"events besides the spike ({happens}), which no cell of NEST's has"])
    n = normal_form(graph, pop)
    if any(len(m) == 2 and m[0] == m[1] for p in (*n.odes.values(), *n.updates.values()) for m in p):
        nearest, differences, cell = izhikevich_cell(n)
    elif is_relay(n):
        nearest, differences, cell = relay_cell(graph, n)
    elif is_hodgkin_huxley(n):
        nearest, differences, cell = hodgkin_huxley_cell(n)
        differences += unsigned(graph, pop) if cell is not None else []
    elif any(s.op == "exp" for s in n.symbols.values()) or any(
        len(m) == 2 and not n.is_input(m) for p in n.odes.values() for m in p
    ):
        nearest, differences, cell = conductance_cell(n)
        differences += unsigned(graph, pop) if cell is not None else []
    else:
        nearest, differences, cell = linear_cell(n)
    if cell is not None:
        cell = signed(cell, graph, pop)
        differences += _equal_constants(cell)
    return Found(None if differences else cell, nearest, list(dict.fromkeys(differences)))


def _equal_constants(cell: Cell) -> list[str]:
    """Return a complaint where numbered exponential synapses have the membrane's time constant: NEST refuses that."""
    if cell.model != PSC["exp"].numbered:
        return []
    equal = [np.any(np.equal(cell.params["tau_m"], tau)) for tau in cell.params["tau_syn"]]
    return [
        f"a synaptic time constant equals that of the membrane, which NEST's {cell.model} refuses; with at most two "
        f"receptors, each with weights of one sign, {PSC['exp'].signed} has no such limit"
    ] * any(equal)


def unsigned(graph: Graph, pop: PopulationNode) -> list[str]:
    """Return a complaint where weights of conductances can be negative: NEST's sign says which conductance is meant."""
    found = {r for r, weight in [*weights_onto(graph, pop), *pop.drive_weights.values()] if -1 in signs(weight)}
    return [f"weights of receptor '{r}' are not surely positive; NEST's conductances take no others" for r in found]


def _source(pop: PopulationNode) -> Source | None:
    """Return a population without state or input, whose spikes can be known beforehand; None for any other."""
    assert pop.model is not None
    s = pop.model.system
    plain = not (s.equations or s.jumps or s.reset or s.drives or s.edge or s.events) and s.refractory is None
    if s.threshold is None or not plain:
        return None
    if s.threshold.op == "scheduled":
        return Source(schedule=pop.schedules[s.threshold.attr])
    return Source(condition=s.threshold) if not names(s.threshold) & {v.name for v in pop.states} else None

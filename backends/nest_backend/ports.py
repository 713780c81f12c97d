"""Two receptors told apart by the sign of their weights, or numbered ports: which of NEST's spellings a cell gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import PSC, Cell, Port
from neurosim.backends.nest_backend.delivery import signs
from neurosim.ir.graph import Graph, PopulationNode

_SIDES = {1: "ex", -1: "in"}


def weights_onto(graph: Graph, pop: PopulationNode) -> list[tuple[str, Any]]:
    """Return receptor and weight of every projection onto a population; of those that learn, a weight they may have:
    NEST's synapses that learn have none below 0, and some that start at 0."""
    return [(p.receptor, p.weight if p.plasticity is None else 1.0)
            for p in graph.projections for s in p.post if s.population == pop.name]  # fmt: skip


def signed(cell: Cell, graph: Graph, pop: PopulationNode) -> Cell:
    """Return a cell with numbered ports as the one with two receptors, where its weights allow that.

    NEST's plain cells send positive weights to one synaptic current and negative ones to the other, so each of at
    most two currents has to get weights of one sign only. What is numbered stays right for any weights.
    """
    names = next((s for s in PSC.values() if s.numbered == cell.model != s.signed), None)
    numbers = sorted({p.number for p in cell.ports.values()} | set(cell.kicks))
    if names is None or len(numbers) > 2:
        return cell
    found: dict[int, set[int]] = {k: set() for k in numbers}
    given = weights_onto(graph, pop)
    for receptor, weight in [*given, *pop.drive_weights.values()]:
        port = cell.ports[receptor]
        for sign in signs(weight):
            found[port.number] |= {int(s) for s in np.sign(np.ravel(port.factor)) * sign}
    for number, values in cell.kicks.items():
        found[number] |= signs(values)
    if any(len(s) > 1 for s in found.values()) or (len(numbers) == 2 and len(set().union(*found.values())) < 2 and all(
        found.values()
    )):  # fmt: skip
        return cell
    side = {number: next(iter(s), 0) for number, s in found.items()}
    for number in numbers:  # a current that nothing reaches takes the side that is left
        if side[number] == 0:
            side[number] = -1 if 1 in side.values() else 1
    params = dict(cell.params)
    taus = params.pop("tau_syn")
    for number, tau in zip(numbers, taus, strict=True):
        params[f"tau_syn_{_SIDES[side[number]]}"] = tau
    for name in ("ex", "in"):
        if taus:
            params.setdefault(f"tau_syn_{name}", taus[0])
    readings = {
        var: replace(r, recordable=f"I_syn_{_SIDES[side[int(r.recordable[6:])]]}") if r.recordable != "V_m" else r
        for var, r in cell.readings.items()
    }
    return replace(cell, model=names.signed, params=params, readings=readings,
                   ports={r: Port(0, p.factor) for r, p in cell.ports.items()},
                   kicks={-k: v for k, v in cell.kicks.items()})  # fmt: skip

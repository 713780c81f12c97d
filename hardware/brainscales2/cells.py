"""Which populations the chip's circuits can be, by their equations."""

from __future__ import annotations

import functools
from dataclasses import replace

from neurosim.compile import compile_network
from neurosim.errors import NeurosimError
from neurosim.ir.graph import Graph, PopulationNode, System
from neurosim.lang.network import Network
from neurosim.models import EIF, LIF, AdEx, DCInput, ExpConductance, ExpCurrent
from neurosim.units import ms, mV, pA

CELLS = {"LIF": (LIF, mV), "EIF": (EIF, mV), "AdEx": (AdEx, pA)}
"""Name -> cell, and the unit of the currents that its equations have by default."""


def is_source(pop: PopulationNode) -> bool:
    """Tell whether a population only says when it spikes, with no variables and no input: it is outside the chip."""
    assert pop.model is not None and pop.program is not None
    own = _bare(pop.model.system)
    return not (pop.receptors or own.equations or own.events) and bool(pop.program.emits())


def circuit(pop: PopulationNode) -> str | None:
    """Return the name of the library's cell that a population's equations are, with the chip's receptors; None if none.

    Receptors are exponential currents or conductances, currents from outside are constant.
    """
    assert pop.model is not None
    params, system = pop.model.params, pop.model.system
    kinds = []
    for receptor in pop.receptors:
        jumps = system.jumps.get(receptor, ())
        if len(jumps) != 1 or f"{receptor}.tau" not in params:
            return None
        kinds.append((receptor, "conductance" if f"{receptor}.e_rev" in params else "current"))
    names = tuple(k.removesuffix(".amplitude") for k in params if k.endswith(".amplitude"))
    own = _bare(system)
    return next((name for name in CELLS if _pattern(name, tuple(kinds), names) == own), None)


def complaints(graph: Graph) -> list[tuple[str, str | None]]:
    """Return what of a network the chip has no counterpart of: (sentence after "no", where it was made)."""
    found: list[tuple[str, str | None]] = []
    for pop in graph.populations:
        if not is_source(pop) and circuit(pop) is None:
            found.append((f"counterpart of the cell of population '{pop.name}' (its circuits are LIF, EIF or AdEx with "
                          "ExpCurrent or ExpConductance receptors and DCInput)", pop.where))  # fmt: skip
        if pop.drive_weights:
            found.append((f"Poisson drive in population '{pop.name}': make a PoissonSource and connect it", pop.where))
    found += [(f"coupling without spikes (link '{link.name}')", link.where) for link in graph.links]
    return found


def _bare(system: System) -> System:
    """Return a cell's equations without its Poisson drives, the scheme, and what learning rules read of it."""
    own = tuple(e for e in system.equations if e.var not in system.traces)
    return replace(system, equations=own, drives=(), method="auto", traces=(), marks=(), snapshots=())


@functools.cache
def _pattern(name: str, kinds: tuple[tuple[str, str], ...], currents: tuple[str, ...]) -> System | None:
    cell, unit = CELLS[name]
    network = Network("pattern", dt=1 * ms)
    receptors = {receptor: ExpConductance if kind == "conductance" else ExpCurrent for receptor, kind in kinds}
    try:
        pop = network.population("pattern", 1, cell(receptors=receptors, t_ref=0 * ms))
        for current in currents:
            network.stimulate(pop, DCInput(1 * unit), name=current)
        model = compile_network(network).populations[0].model
    except NeurosimError:
        return None
    return None if model is None else _bare(model.system)

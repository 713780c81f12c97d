"""Which of neurosim's cells SONATA has a name for, and under which parameters.

``LIF`` with alpha, exponential or delta synapses is NEST's ``iaf_psc_alpha``, ``iaf_psc_exp`` and ``iaf_psc_delta``:
the same equation, solved exactly, with the same order of decay, arrival, threshold and reset. Where a LIF takes its
input as a potential (``r_m`` without a unit), a resistance of 1 GOhm is put between the two: 1 mV is 1 pA.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.units import CURRENT, DIMENSIONLESS, RESISTANCE, VOLTAGE

_TEMPLATES = {"AlphaCurrent": "nest:iaf_psc_alpha", "ExpCurrent": "nest:iaf_psc_exp",
              "DeltaCurrent": "nest:iaf_psc_delta"}  # fmt: skip


@dataclass
class Standard:
    """How a population is written.

    Attributes
    ----------
    template : str
        ``nest:…``, or ``neurosim:NAME`` for a cell that SONATA has no name for.
    params, arrays : dict
        NEST's parameters in its units: those that are one number, and those with one per neuron.
    of_one : dict
        What a syn_weight of 1 is in SI, by receptor.
    of_one_pA : float
        What a current of 1 pA in the file is in the unit of the cell's input.
    why : str
        Why it has no standard name.
    """

    template: str
    of_one: dict[str, float]
    params: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    of_one_pA: float = 1e-12
    why: str = ""

    @property
    def named(self) -> bool:
        """Whether other simulators know the model."""
        return self.template.startswith("nest:")


def in_unit(value: float | np.ndarray, of_one: float) -> np.ndarray:
    """Return numbers in another unit that give the same doubles when multiplied by it, where there are such."""
    exact = np.asarray(value, dtype=np.float64)
    out = np.asarray(exact / of_one)
    for away in (np.inf, -np.inf):
        off = out * of_one != exact
        other = np.nextafter(out, away)
        out = np.where(off & (other * of_one == exact), other, out)
    return out


def standard(pop: Any, node: Any, signs: dict[str, tuple[bool, bool]]) -> Standard:
    """Return how a population is written.

    Parameters
    ----------
    pop, node : Population, PopulationNode
        As the user wrote it; after the pass ``units``.
    signs : mapping
        Receptor -> whether some weight onto it is positive, and some negative.
    """
    models = importlib.import_module("neurosim.models")
    cell = pop.cell
    kinds = {name: getattr(models, name) for name in _TEMPLATES}
    used = {next((n for n, k in kinds.items() if r.prototype is k), r.name) for r in cell.receptors.values()}
    unit = 1e-3 if used == {"DeltaCurrent"} else None
    custom = Standard(f"neurosim:{cell.name}", dict.fromkeys(cell.receptors, 1.0), of_one_pA=1.0)
    if cell.prototype is not models.LIF:
        custom.why = f"{cell.name} is no model of NEST's that SONATA names"
        return custom
    r_m = pop.scope.solver.known["r_m"]
    if r_m not in (DIMENSIONLESS, RESISTANCE):
        custom.why = f"its r_m is {r_m}"
        return custom
    of_one_current = 1e-3 if r_m == DIMENSIONLESS else 1e-12
    of_one = dict.fromkeys(cell.receptors, of_one_current if unit is None else unit)
    out = Standard("", of_one, of_one_pA=of_one_current)
    out.template = _TEMPLATES.get(next(iter(used)), "") if len(used) == 1 else ""
    reason = _reason(cell, used, kinds, signs, node)
    dims = {pop.scope.weight_dimension(key) for key in cell.receptors}
    if not reason and not dims <= {VOLTAGE, CURRENT}:
        reason = "its weights are neither currents nor potentials"
    if reason:
        custom.why = reason
        return custom
    _fill(out, pop, node, signs, r_m == DIMENSIONLESS)
    return out


def _reason(cell: Any, used: set[str], kinds: dict[str, Any], signs: dict[str, tuple[bool, bool]], node: Any) -> str:
    """Return why a LIF is none of NEST's, or nothing."""
    if cell.method not in ("auto", "exact"):
        return f"it is integrated by {cell.method}"
    if not cell.receptors:
        return "it has no receptor"
    if len(used) != 1 or not used <= set(kinds):
        return f"its receptors are {', '.join(sorted(used))}"
    if any(r.when != "after" or r.port != "i" for r in cell.receptors.values()):
        return "its arrivals come before the decay of the step"
    if len(cell.receptors) > 2 or (used == {"DeltaCurrent"} and len(cell.receptors) > 1):
        return f"it has {len(cell.receptors)} receptors of one kind"
    if len(cell.receptors) == 2 and _split(cell.receptors, signs) is None:
        return "one of its receptors gets weights of both signs, or both get weights of one sign"
    for state in node.states:
        own = state.name.partition(".")[0] in cell.receptors  # others are what projections keep
        if own and np.any(np.asarray(state.init)):
            return f"its variable {state.name} does not start from 0"
    if np.any(np.asarray(node.params["v_reset"]) >= np.asarray(node.params["v_th"])):
        return "its reset does not lie below its threshold"
    return ""


def _split(receptors: Any, signs: dict[str, tuple[bool, bool]]) -> tuple[str, str] | None:
    """Return (receptor of positive weights, of negative ones), if the sign tells them apart."""
    a, b = receptors
    for exc, inh in ((a, b), (b, a)):
        if not signs.get(exc, (False, False))[1] and not signs.get(inh, (False, False))[0]:
            return exc, inh
    return None


def _fill(out: Standard, pop: Any, node: Any, signs: dict[str, tuple[bool, bool]], potential: bool) -> None:
    """Put NEST's parameters in."""
    p, keys = node.params, list(pop.cell.receptors)
    tau = in_unit(p["tau_m"], 1e-3)
    values = {
        "E_L": in_unit(p["v_rest"], 1e-3), "V_th": in_unit(p["v_th"], 1e-3), "V_reset": in_unit(p["v_reset"], 1e-3),
        "t_ref": in_unit(p["t_ref"], 1e-3), "tau_m": tau,
        "C_m": tau / (np.asarray(p["r_m"]) * (1.0 if potential else 1e-9)),
        "V_m": in_unit(next(s.init for s in node.states if s.name == "v"), 1e-3),
    }  # fmt: skip
    if out.template != "nest:iaf_psc_delta":
        exc, inh = (_split(keys, signs) or keys) if len(keys) == 2 else (keys[0], keys[0])
        values |= {"tau_syn_ex": in_unit(p[f"{exc}.tau"], 1e-3), "tau_syn_in": in_unit(p[f"{inh}.tau"], 1e-3)}
    for key, value in values.items():
        flat = np.unique(value)
        if len(flat) == 1:
            out.params[key] = float(flat[0])
        else:
            out.arrays[key] = np.broadcast_to(value, (pop.n,)).astype(np.float64)

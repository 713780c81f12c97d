"""What the names of SONATA's models mean: the cell, its receptors, and the unit of a weight onto it.

Parameters are NEST's, with NEST's units (ms, mV, pF, pA, nS) and its defaults; those of NEURON's IntFire1 are in
seconds, as BMTK reads them. The membrane starts at ``V_m``: where a file gives ``E_L`` and no ``V_m``, NEST starts at
the model's default and not at ``E_L``, and so does this.

Sources: S. Rotter, M. Diesmann, Biol. Cybern. 81 (1999); NEST 3 reference, iaf_psc_*; M. Hines, intfire1.mod (NEURON).
"""

from __future__ import annotations

import importlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, suggest
from neurosim.interchange.sonata import glif
from neurosim.lang.components import Cell
from neurosim.units import ms, mV, pA, pF, second


@dataclass
class Built:
    """A cell as a circuit's nodes need it.

    Attributes
    ----------
    receptors : tuple of str
        Receptors an edge can reach: by number from 1 with ``ports``, else one, or two by the sign of the weight.
    unit : Quantity, float or dict
        What a weight of 1 in the file means, by receptor where it is a dict.
    current : Quantity or None
        A constant current of the cell's own (I_e).
    port : str
        Where currents are injected.
    synapses_count : bool
        Whether a weight is multiplied by ``nsyns`` (NEURON makes that many synapses, PointNet one).
    """

    cell: Cell
    receptors: tuple[str, ...]
    unit: Any
    ports: bool = False
    current: Any = None
    port: str = "i"
    synapses_count: bool = False
    init: dict[str, Any] = field(default_factory=dict)
    current_unit: Any = pA


Values = dict[str, float | np.ndarray]

_IAF: dict[str, tuple[float, Any]] = {
    "E_L": (-70.0, mV), "C_m": (250.0, pF), "tau_m": (10.0, ms), "t_ref": (2.0, ms), "V_th": (-55.0, mV),
    "V_reset": (-70.0, mV), "I_e": (0.0, pA), "V_m": (-70.0, mV),
}  # fmt: skip
_TAUS = {"tau_syn_ex": (2.0, ms), "tau_syn_in": (2.0, ms)}
_INTFIRE: dict[str, tuple[float, Any]] = {"tau": (0.010, second), "refrac": (0.005, second)}

TABLES: dict[str, dict[str, tuple[float, Any]]] = {
    "nest:iaf_psc_alpha": {**_IAF, **_TAUS},
    "nest:iaf_psc_exp": {**_IAF, **_TAUS},
    "nest:iaf_psc_delta": _IAF,
    "nrn:IntFire1": _INTFIRE,
    "nest:glif_psc": glif.SCALARS,
}
"""Template -> parameter -> (default, unit)."""

LACKING = {
    "V_min": "a lowest potential", "refractory_input": "input that waits for the end of the refractory period",
    "rho": "an escape noise", "delta": "an escape noise", "V_clamp": "a clamp",
}  # fmt: skip

_IGNORED = ("type", "ei", "tag", "name")


def plan(template: str, params: dict[str, Any], what: str) -> tuple[Hashable, dict[str, float]]:
    """Return what tells cells of different equations apart, and the numbers of a set of parameters.

    Raises
    ------
    UnsupportedError
        A template or a parameter that neurosim has no words for.
    UnknownNameError
        A parameter that the model does not have.
    """
    if template not in TABLES:
        known = ", ".join(TABLES)
        raise UnsupportedError(f"{what} have the model_template '{template}', which neurosim does not know; known: "
                               f"{known}, and neurosim:NAME with a declaration{_near(template)}")  # fmt: skip
    table = TABLES[template]
    lists: dict[str, Any] = {**glif.LISTS, **dict.fromkeys(glif.FLAGS)} if template == "nest:glif_psc" else {}
    for key, value in params.items():
        if key in lists or key in _IGNORED:
            continue
        if key in LACKING:
            neutral = {"V_min": -np.inf, "refractory_input": False, "rho": 0.01, "delta": 0.0}.get(key)
            if value == neutral or (key == "V_min" and value in (None, "-inf", -1.7976931348623157e308)) or (
                    key == "rho" and not params.get("delta")):  # fmt: skip
                continue
            raise UnsupportedError(f"{what} set '{key}' ({LACKING[key]}), which neurosim's {template} does not have")
        if key not in table:
            raise UnknownNameError(f"{what}: {template} has no parameter '{key}'{suggest(key, [*table, *lists])}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise ParameterError(f"{what}: '{key}' must be a number, got {value!r}")
    if template == "nest:glif_psc":
        return glif.plan(params, what)
    values = {key: float(params.get(key, default)) for key, (default, _) in table.items()}
    if template == "nrn:IntFire1":
        for key in ("tau", "refrac"):
            if not 0 < values[key] < 1.0:
                raise ParameterError(f"{what}: '{key}' of IntFire1 is in seconds and must lie between 0 and 1, got "
                                     f"{values[key]:g}: 24 ms are written 0.024")  # fmt: skip
        return "intfire", values
    if not values["C_m"] > 0 or not values["tau_m"] > 0:
        raise ParameterError(f"{what}: C_m and tau_m must be positive, got {values['C_m']:g} and {values['tau_m']:g}")
    if not values["V_reset"] < values["V_th"]:
        raise ParameterError(f"{what}: V_reset must lie below V_th, got {values['V_reset']:g} and {values['V_th']:g} "
                             "mV")
    return "iaf", values


def make(template: str, structure: Any, values: Values) -> Built:
    """Return the cell for parameters that are each one number, or one per neuron."""
    models = importlib.import_module("neurosim.models")
    if template == "nest:glif_psc":
        cell = glif.make(structure, values)
        return Built(cell, tuple(cell.receptors), pA, ports=True, port="i_inj")
    if template == "nrn:IntFire1":
        return Built(_intfire1(values), ("input",), 1.0, synapses_count=True)
    v = {key: values[key] * unit for key, (_, unit) in TABLES[template].items()}
    if not np.all(np.asarray(values["C_m"]) > 0):
        raise ParameterError(f"C_m of {template} must be positive, got {np.min(values['C_m']):g} pF")
    kind = {"nest:iaf_psc_alpha": "AlphaCurrent", "nest:iaf_psc_exp": "ExpCurrent"}.get(template)
    if kind is None:
        receptors = {"input": models.DeltaCurrent}
    else:
        receptors = {"exc": getattr(models, kind)(tau=v["tau_syn_ex"]),
                     "inh": getattr(models, kind)(tau=v["tau_syn_in"])}  # fmt: skip
    cell = models.LIF(tau_m=v["tau_m"], v_rest=v["E_L"], v_th=v["V_th"], v_reset=v["V_reset"], t_ref=v["t_ref"],
                      r_m=v["tau_m"] / v["C_m"], receptors=receptors)  # fmt: skip
    current = v["I_e"] if np.any(np.asarray(values["I_e"])) else None
    return Built(cell, tuple(receptors), mV if kind is None else pA, current=current, init={"v": v["V_m"]})


def _intfire1(values: Values) -> Cell:
    """NEURON's IntFire1: m decays, an event adds its weight, m > 1 fires; events are lost while refractory."""
    receptor = importlib.import_module("neurosim.lang.components").Receptor
    return Cell(
        "dm/dt = -m/tau",
        threshold="m > 1",
        reset="m = 0",
        refractory="refrac",
        receptors={"input": receptor(event="m += w", name="Event", doc="m jumps by the weight")},
        tau=values["tau"] * second,
        refrac=values["refrac"] * second,
        ports=(),
        name="IntFire1",
        doc="NEURON's IntFire1 on a grid: what arrives in one step counts as one event",
        source="M. Hines, T. Carnevale, NEURON: intfire1.mod",
    )


def receptor_of(built: Built, number: Any, what: str) -> str | None:
    """Return the receptor that the ``receptor_type`` of a type of edges names, or None: the sign of the weight decides.

    Raises
    ------
    ParameterError
        A receptor that the cell does not have.
    """
    if built.ports:
        n = len(built.receptors)
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= n:
            raise ParameterError(f"{what} need a 'receptor_type' from 1 to {n} in their dynamics_params (the cells "
                                 f"have {n} time constants tau_syn), got {number!r}")  # fmt: skip
        return built.receptors[number - 1]
    if number not in (None, 0):
        raise ParameterError(f"{what} have the receptor_type {number!r}, and their targets ({built.cell.name}) have "
                             "only 0")  # fmt: skip
    return built.receptors[0] if len(built.receptors) == 1 else None


def _near(template: str) -> str:
    hint = suggest(template, TABLES)
    return hint if hint.endswith("?") else ""



"""PyNN's standard cell types as cells of neurosim: the same names, parameters, defaults, units and variables.

Each type is a declaration: PyNN's parameters with their defaults and units, its state variables, and the neurosim cell
that its parameters go into under their own names. What happens inside a step follows NEST, whose models PyNN's types
are: arrivals are added after the decay of their step, currents go on while a cell is refractory, the potential stands.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurosim import Cell, Param, Receptor
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, caller, suggest
from neurosim.units import UNITS, Hz, Quantity, ms, mV, nA, nF, nS, uS

_UNITS: dict[str, Quantity] = {"mV": mV, "ms": ms, "nA": nA, "nF": nF, "uS": uS, "nS": nS, "Hz": Hz}
_UNITS["mV/ms"], _UNITS["/ms"] = mV / ms, UNITS["kHz"]

FOREVER = 1e10
"""Milliseconds that nobody waits for: the duration of a Poisson source that does not say any."""


class Sequence:
    """Several numbers that are one value, such as the spike times of one neuron."""

    def __init__(self, value: Any) -> None:
        self.value = np.atleast_1d(np.asarray(getattr(value, "value", value), dtype=float))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return iter(self.value)

    def __repr__(self) -> str:
        return f"Sequence({self.value.tolist()})"


class StandardCellType:
    """Base of the cell types; an instance holds the parameters that were given, as they were given.

    Attributes
    ----------
    default_parameters : dict
        Name -> default, in PyNN's units (``units``).
    recordable : list of str
        What :meth:`Population.record` takes.
    default_initial_values : dict
        Name -> value of the state variables before the first step.
    conductance_based : bool
        Weights are in uS, not in nA (mV where ``voltage_based_synapses``).
    changeable : frozenset of str
        Parameters that may change between runs: as tables over time they leave the past as it was, bit for bit.
    """

    default_parameters: dict[str, Any] = {}
    units: dict[str, str] = {}
    recordable: list[str] = ["spikes"]
    default_initial_values: dict[str, float] = {}
    receptor_types: tuple[str, ...] = ("excitatory", "inhibitory")
    conductance_based = True
    voltage_based_synapses = False
    injectable = True
    variables: dict[str, str] = {}
    changeable: frozenset[str] = frozenset()

    def __init__(self, **parameters: Any) -> None:
        self.where = caller()
        for name in parameters:
            self.check_name(name, self.where)
        self.parameters = {**self.default_parameters, **parameters}

    @classmethod
    def check_name(cls, name: str, where: str | None) -> None:
        """Refuse a parameter that the type does not have."""
        if name not in cls.default_parameters:
            raise UnknownNameError(
                f"{cls.__name__} has no parameter '{name}'{suggest(name, cls.default_parameters)}", where
            )

    @classmethod
    def has_parameter(cls, name: str) -> bool:
        """Tell whether the type has a parameter."""
        return name in cls.default_parameters

    @classmethod
    def get_parameter_names(cls) -> list[str]:
        """Return the names of the parameters."""
        return list(cls.default_parameters)

    @classmethod
    def can_record(cls, variable: str) -> bool:
        """Tell whether a variable can be recorded."""
        return variable in cls.recordable

    @classmethod
    def scale(cls, name: str) -> Quantity | float:
        """Return the unit of a parameter or variable."""
        return _UNITS.get(cls.units.get(name, ""), 1.0)

    @classmethod
    def weight_unit(cls) -> Quantity:
        """Return the unit of the weights of synapses onto the type."""
        return mV if cls.voltage_based_synapses else uS if cls.conductance_based else nA

    @classmethod
    def cell(cls) -> Cell:
        """Return the neurosim cell, with PyNN's names for its parameters and receptors."""
        raise NotImplementedError(f"{cls.__name__} says no cell")

    @classmethod
    def make(cls, values: dict[str, Any]) -> Cell:
        """Return the cell with parameters: one number, or one per neuron, in PyNN's units."""
        cell = cls.cell()
        receptors = {}
        for receptor, letter in zip(cls.receptor_types, "EI", strict=False):
            own = {"tau": f"tau_syn_{letter}", "e_rev": f"e_rev_{letter}"}
            given = {k: values[name] * cls.scale(name) for k, name in own.items() if name in values}
            receptors[receptor] = cell.receptors[receptor](**given)
        left = {k: v * cls.scale(k) for k, v in values.items() if k in cell.params}
        return cell(**left, receptors=receptors) if receptors else cell(**left)

    def describe(self, template: Any = None, engine: Any = None) -> str:
        """Return the type and its parameters as one line."""
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.parameters.items())})"

    __repr__ = describe


def _receptors(name: str) -> dict[str, Receptor]:
    kind = getattr(importlib.import_module("neurosim.models.synapses"), name)  # models hang off the side
    return {"excitatory": kind(), "inhibitory": kind()}


def _units(values: dict[str, tuple[float, str]]) -> dict[str, str]:
    return {name: unit for name, (_, unit) in values.items()}


def _declared(cls: type[StandardCellType]) -> dict[str, Any]:
    """The parameters of the cell proper, as neurosim declares them."""
    positive = {"cm", "tau_m", "tau_w", "delta_T"}
    out = {}
    for name, default in cls.default_parameters.items():
        if name.startswith(("tau_syn_", "e_rev_E", "e_rev_I")):
            continue  # the receptors' own
        unit = cls.scale(name)
        out[name] = Param(default * unit, unit, lo=0.0 if name in positive | {"tau_refrac"} else None,
                          lo_open=name in positive)  # fmt: skip
    return out


_IF = {
    "v_rest": (-65.0, "mV"), "cm": (1.0, "nF"), "tau_m": (20.0, "ms"), "tau_refrac": (0.1, "ms"),
    "tau_syn_E": (5.0, "ms"), "tau_syn_I": (5.0, "ms"), "i_offset": (0.0, "nA"), "v_reset": (-65.0, "mV"),
    "v_thresh": (-50.0, "mV"),
}  # fmt: skip
_REVERSALS = {"e_rev_E": (0.0, "mV"), "e_rev_I": (-70.0, "mV")}
_AT_ANY_TIME = frozenset({"i_offset", "v_thresh", "v_reset"})
_SIDES = ("excitatory", "inhibitory")
_CURRENTS = {"isyn_exc": "nA", "isyn_inh": "nA"}
_CONDUCTANCES = {"gsyn_exc": "uS", "gsyn_inh": "uS"}


class _IntegrateAndFire(StandardCellType):
    """Leaky integrate-and-fire: ``cm dv/dt = cm (v_rest - v)/tau_m + i_offset + i``."""

    receptor = ""
    method = "auto"

    @classmethod
    def cell(cls) -> Cell:
        return Cell(
            "dv/dt = (v_rest - v)/tau_m + (i_offset + i)/cm",
            threshold="v >= v_thresh",
            reset="v = v_reset",
            refractory="tau_refrac",
            method=cls.method,
            receptors=_receptors(cls.receptor),
            name=cls.__name__,
            **_declared(cls),
        )


def _integrate_and_fire(name: str, receptor: str, doc: str, **changes: tuple[float, str]) -> Any:
    values = {**_IF, **(_REVERSALS if "Conductance" in receptor else {}), **changes}
    conductance, delta = "Conductance" in receptor, receptor == "DeltaCurrent"
    if delta:
        values = {k: v for k, v in values.items() if not k.startswith("tau_syn")}
    synaptic = _CONDUCTANCES if conductance else {} if delta else _CURRENTS
    own = "g" if conductance else "x"
    return type(name, (_IntegrateAndFire,), {
        "__doc__": doc,
        "__module__": __name__,
        "receptor": receptor,
        "method": "rk4" if conductance else "auto",
        "default_parameters": {k: v for k, (v, _) in values.items()},
        "units": {**_units(values), "v": "mV", **synaptic},
        "recordable": ["spikes", "v", *(_CONDUCTANCES if conductance else ())],
        "default_initial_values": {"v": -65.0, **dict.fromkeys(synaptic, 0.0)},
        "conductance_based": conductance,
        "changeable": _AT_ANY_TIME | ({"v_rest", "cm", "tau_m"} if conductance else set()),
        "voltage_based_synapses": delta,
        "variables": {"v": "v", **{k: f"{r}.{own}" for k, r in zip(synaptic, _SIDES, strict=False)}},
    })  # fmt: skip


IF_curr_exp = _integrate_and_fire(
    "IF_curr_exp", "ExpCurrent", "Leaky integrate-and-fire with exponential currents; solved exactly."
)
IF_curr_alpha = _integrate_and_fire(
    "IF_curr_alpha", "AlphaCurrent", "Leaky integrate-and-fire with alpha currents (weight: peak); solved exactly.",
    tau_syn_E=(0.5, "ms"), tau_syn_I=(0.5, "ms"),
)  # fmt: skip
IF_curr_delta = _integrate_and_fire(
    "IF_curr_delta", "DeltaCurrent", "Leaky integrate-and-fire; an arrival makes v jump by the weight (mV)."
)
IF_cond_exp = _integrate_and_fire(
    "IF_cond_exp", "ExpConductance", "Leaky integrate-and-fire with exponential conductances; fourth-order Runge-Kutta."
)
IF_cond_alpha = _integrate_and_fire(
    "IF_cond_alpha", "AlphaConductance", "Leaky integrate-and-fire with alpha conductances; fourth-order Runge-Kutta.",
    tau_syn_E=(0.3, "ms"), tau_syn_I=(0.5, "ms"),
)  # fmt: skip


_EIF = {
    "cm": (0.281, "nF"), "tau_refrac": (0.1, "ms"), "v_spike": (-40.0, "mV"), "v_reset": (-70.6, "mV"),
    "v_rest": (-70.6, "mV"), "tau_m": (9.3667, "ms"), "i_offset": (0.0, "nA"), "a": (4.0, "nS"), "b": (0.0805, "nA"),
    "delta_T": (2.0, "mV"), "tau_w": (144.0, "ms"), "v_thresh": (-50.4, "mV"), "e_rev_E": (0.0, "mV"),
    "tau_syn_E": (5.0, "ms"), "e_rev_I": (-80.0, "mV"), "tau_syn_I": (5.0, "ms"),
}  # fmt: skip


class EIF_cond_exp_isfa_ista(StandardCellType):
    """Exponential integrate-and-fire with adaptation (Brette and Gerstner 2005); fourth-order Runge-Kutta."""

    receptor = "ExpConductance"
    default_parameters = {k: v for k, (v, _) in _EIF.items()}
    units = {**_units(_EIF), "v": "mV", "w": "nA", **_CONDUCTANCES}
    changeable = frozenset(k for k in _EIF if k != "tau_refrac" and not k.startswith(("tau_syn", "e_rev")))
    recordable = ["spikes", "v", "w", "gsyn_exc", "gsyn_inh"]
    default_initial_values = {"v": -70.6, "w": 0.0, "gsyn_exc": 0.0, "gsyn_inh": 0.0}
    variables = {"v": "v", "w": "w", "gsyn_exc": "excitatory.g", "gsyn_inh": "inhibitory.g"}

    @classmethod
    def cell(cls) -> Cell:
        return Cell(
            """
            u = min(v, v_spike)
            g_l = cm/tau_m
            dv/dt = (g_l*(v_rest - u) + g_l*delta_T*exp((u - v_thresh)/delta_T) - w + i_offset + i)/cm
            dw/dt = (a*(u - v_rest) - w)/tau_w
            """,
            threshold="v >= v_spike",
            reset="v = v_reset; w += b",
            refractory="tau_refrac",
            clamp="v",
            method="rk4",
            receptors=_receptors(cls.receptor),
            name=cls.__name__,
            **_declared(cls),
        )


class EIF_cond_alpha_isfa_ista(EIF_cond_exp_isfa_ista):
    """Exponential integrate-and-fire with adaptation and alpha conductances; fourth-order Runge-Kutta."""

    receptor = "AlphaConductance"


class Izhikevich(StandardCellType):
    """Izhikevich's quadratic cell, one Euler step a step as in NEST; 1 nA adds 1000 mV/ms; weights in mV."""

    default_parameters = {"a": 0.02, "b": 0.2, "c": -65.0, "d": 2.0, "i_offset": 0.0}
    units = {"a": "/ms", "b": "/ms", "c": "mV", "d": "mV/ms", "i_offset": "nA", "v": "mV", "u": "mV/ms"}
    recordable = ["spikes", "v", "u"]
    default_initial_values = {"v": -70.0, "u": -14.0}
    variables = {"v": "v", "u": "u"}
    conductance_based = False
    voltage_based_synapses = True

    @classmethod
    def cell(cls) -> Cell:
        return Cell(
            """
            v[n+1] = v + dt*(0.04*v**2/(ms*mV) + 5*v/ms + 140*mV/ms - u + (i_offset + i)/(1*pF))
            u[n+1] = u + dt*a*(b*v - u)
            """,
            threshold="v >= 30*mV",
            reset="v = c; u += d",
            receptors=_receptors("DeltaCurrent"),
            name=cls.__name__,
            **_declared(cls),
        )


_HH = {
    "gbar_Na": (20.0, "uS"), "gbar_K": (6.0, "uS"), "g_leak": (0.01, "uS"), "cm": (0.2, "nF"),
    "v_offset": (-63.0, "mV"), "e_rev_Na": (50.0, "mV"), "e_rev_K": (-90.0, "mV"), "e_rev_leak": (-65.0, "mV"),
    "e_rev_E": (0.0, "mV"), "e_rev_I": (-80.0, "mV"), "tau_syn_E": (0.2, "ms"), "tau_syn_I": (2.0, "ms"),
    "i_offset": (0.0, "nA"),
}  # fmt: skip


_MEAN_CONDUCTANCE = Receptor(
    "dg/dt = -g/tau",
    event="g += w",
    output="g*exprel(-dt/tau)*(e_rev - v)",
    tau=Param(5 * ms, ms, lo=0.0, lo_open=True),
    e_rev=Param(0 * mV, mV),
    name="MeanConductance",
    doc="exponential conductance, of which a cell that holds it constant during a step gets the mean over the step",
)


class HH_cond_exp(StandardCellType):
    """Hodgkin-Huxley cell of Traub and Miles (1991).

    Gates go first, then v with the new gates, each exactly for what it holds constant (the staggered scheme of M.
    Hines, Int. J. Biomed. Comput. 15, 1984; second order). A spike is where v, above ``v_offset + 30 mV``, has passed
    its maximum, and 2 ms must lie between two: NEST's rule.
    """

    default_parameters = {k: v for k, (v, _) in _HH.items()}
    units = {**_units(_HH), "v": "mV", **_CONDUCTANCES}
    recordable = ["spikes", "v", "gsyn_exc", "gsyn_inh"]
    default_initial_values = {"v": -65.0, "gsyn_exc": 0.0, "gsyn_inh": 0.0, "h": 1.0, "m": 0.0, "n": 0.0}
    variables = {"v": "v", "gsyn_exc": "excitatory.g", "gsyn_inh": "inhibitory.g", "h": "h", "m": "m", "n": "n"}

    @classmethod
    def cell(cls) -> Cell:
        params = _declared(cls)
        params["t_between"] = Param(2.0 * ms, ms, "shortest interval between spikes", source="NEST, hh_cond_exp_traub")
        return Cell(
            """
            x = v - v_offset
            am = 1.28/ms/exprel((13*mV - x)/(4*mV))
            bm = 1.4/ms/exprel((x - 40*mV)/(5*mV))
            ah = 0.128/ms*exp((17*mV - x)/(18*mV))
            bh = 4/ms/(1 + exp((40*mV - x)/(5*mV)))
            an = 0.16/ms/exprel((15*mV - x)/(5*mV))
            bn = 0.5/ms*exp((10*mV - x)/(40*mV))
            m[n+1] = m + dt*exprel(-(am + bm)*dt)*(am*(1 - m) - bm*m)
            h[n+1] = h + dt*exprel(-(ah + bh)*dt)*(ah*(1 - h) - bh*h)
            n[n+1] = n + dt*exprel(-(an + bn)*dt)*(an*(1 - n) - bn*n)
            i_na = gbar_Na*m[n+1]**3*h[n+1]*(e_rev_Na - v)
            i_k = gbar_K*n[n+1]**4*(e_rev_K - v)
            dv/dt = (g_leak*(e_rev_leak - v) + i_na + i_k + i_offset + i)/cm
            before[n+1] = v
            """,
            threshold="v >= v_offset + 30*mV and v < before",
            refractory="t_between",
            clamp=(),
            method="exponential_euler",
            receptors={"excitatory": _MEAN_CONDUCTANCE(), "inhibitory": _MEAN_CONDUCTANCE()},
            init={"before": "e_rev_leak"},
            name=cls.__name__,
            **params,
        )


class SpikeSourcePoisson(StandardCellType):
    """Poisson spikes of a rate: in every step from ``start`` on, for ``duration``, one with probability rate*dt."""

    default_parameters = {"rate": 1.0, "start": 0.0, "duration": FOREVER}
    units = {"rate": "Hz", "start": "ms", "duration": "ms"}
    changeable = frozenset({"rate"})
    receptor_types = ()
    injectable = False

    @classmethod
    def cell(cls) -> Cell:
        params: dict[str, Any] = {
            k: Param(v * cls.scale(k), cls.scale(k), lo=0.0) for k, v in cls.default_parameters.items()
        }
        return Cell(
            threshold="uniform() < where(t > start - dt/2 and t < start + duration - dt/2, rate*dt, 0*rate*dt)",
            name=cls.__name__,
            **params,
        )


class SpikeSourceArray(StandardCellType):
    """Spikes at given times (ms): one list for all neurons, or a list with one :class:`Sequence` per neuron."""

    default_parameters = {"spike_times": ()}
    units = {"spike_times": "ms"}
    receptor_types = ()
    injectable = False


_GAMMA = "gamma-distributed intervals are not declared; SpikeSourceArray takes times drawn beforehand"
_PARTS = "cells made of parts are not part of neurosim's PyNN module; the standard types are"
_LACKING = {
    "IF_cond_exp_gsfa_grr": "its two adaptation conductances are not declared; EIF_cond_exp_isfa_ista adapts",
    "IF_facets_hardware1": "write it as IF_cond_exp(cm=0.2, tau_refrac=1.0, e_rev_E=0.0, …)",
    "GIF_cond_exp": "it draws spikes from a moving threshold with several time constants, which is not declared",
    "SpikeSourceGamma": _GAMMA,
    "SpikeSourceInhGamma": _GAMMA,
    "SpikeSourcePoissonRefractory": "a Poisson process with dead time is not declared; SpikeSourceArray takes times",
    "MultiCompartmentNeuron": "neurons with several compartments are not part of neurosim's PyNN module",
    "PointNeuron": _PARTS,
    **dict.fromkeys(("LIF", "AdExp", "ExpPSR", "AlphaPSR", "BetaPSR", "CurrExpPostSynapticResponse",
                     "CondExpPostSynapticResponse", "CondAlphaPostSynapticResponse", "CondBetaPostSynapticResponse"),
                    _PARTS),
}  # fmt: skip


def lacking(name: str, kind: str, why: str) -> Any:
    """Return a class whose construction says what is missing."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"the {kind} {name} is not supported: {why}", caller())

    return type(name, (), {"__init__": refuse, "__doc__": f"Refused: {why}."})


LACKING = {name: lacking(name, "cell type", why) for name, why in _LACKING.items()}
STANDARD: dict[str, Any] = {
    c.__name__: c
    for c in (IF_curr_exp, IF_curr_alpha, IF_curr_delta, IF_cond_exp, IF_cond_alpha, EIF_cond_exp_isfa_ista,
              EIF_cond_alpha_isfa_ista, Izhikevich, HH_cond_exp, SpikeSourceArray, SpikeSourcePoisson)
}  # fmt: skip
"""Name -> cell type."""


def check_timestep(celltype: StandardCellType, values: dict[str, Any], dt: float, where: str | None) -> None:
    """Refuse a step too long for the decay of a conductance that is integrated by Runge-Kutta."""
    if getattr(type(celltype), "receptor", "").endswith("Conductance"):
        for name in ("tau_syn_E", "tau_syn_I"):
            shortest = float(np.min(values[name]))
            if dt > 2.5 * shortest:
                raise ParameterError(
                    f"the timestep of {dt:g} ms is too long for {name} = {shortest:g} ms of {type(celltype).__name__}, "
                    f"which is integrated by Runge-Kutta: at most {2.5 * shortest:g} ms", where)  # fmt: skip

"""Cells as NIR's neurons: parameters and weights with which a reader's step is the cell's own.

A reader of NIR takes the step ``v += k (v_leak - v + r I)`` with ``k = dt/tau`` (Euler) or ``k = 1 - exp(-dt/tau)``
(exact). Whatever cell decays by ``a`` in a step is written with the tau for which ``k = 1 - a``; then the readers of
that scheme take its steps up to rounding. Potentials are shifted and scaled so that they rest at 0 and the threshold is
1, which is all that many readers know.
"""

from __future__ import annotations

import importlib
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import UnsupportedError
from neurosim.interchange.nir import cells

_EXACT = ("auto", "exact")


@dataclass
class Neuron:
    """How a population is written.

    Attributes
    ----------
    kind : str
        NIR's name of the neuron.
    params : dict
        Its parameters, one for each neuron.
    weight : array
        Per neuron: what a weight in SI is multiplied by.
    bias : array
        What a current in SI is multiplied by to be an input of the neuron; NaN where it can only be part of the leak.
    leak : array
        What a current in SI adds to ``v_leak``.
    late : int
        Steps from an arrival to the step of the reader in which the input acts.
    awake : bool
        Whether it does something without input: spike, or move from where it starts to where it rests.
    reset : str
        As `cells.RESETS` calls it, or nothing.
    changes, losses : list of str
        Sentences.
    """

    kind: str
    params: dict[str, np.ndarray]
    weight: np.ndarray
    bias: np.ndarray
    leak: np.ndarray
    late: int = 0
    awake: bool = False
    reset: str = ""
    changes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def scheme_of(cell: Any) -> str | None:
    """Return the scheme that a cell must be written in, or None where both say the same."""
    found = _read_cell(cell)
    if found is not None:
        return found[1] or None
    models = importlib.import_module("neurosim.models")
    return "exact" if cell.prototype is models.CubaLIF else None


def integrators_of(cell: Any) -> str | None:
    """Return how I and IF of a graph are to be read, or None where the cell does not say."""
    found = _read_cell(cell)
    if found is not None:
        return found[3] or None
    models = importlib.import_module("neurosim.models")
    return "step" if cell.prototype is models.IF else None


def _read_cell(cell: Any) -> tuple[str, str, str, str] | None:
    """Return kind, scheme, reset, integrators of a cell that came from a NIR graph; nothing for what it has not."""
    ways = itertools.product(cells.SPIKING + cells.GRADED, ("exact", "euler"), cells.RESETS, ("step", "second"),
                             (False, True))  # fmt: skip
    return next((cells.meaning(*way[:4]) for way in ways if cell.prototype is cells.declared(*way)), None)


def neuron(pop: Any, node: Any, scheme: str, dt: float, recurrent: bool) -> Neuron:
    """Return how a population is written.

    Parameters
    ----------
    pop, node : Population, PopulationNode
        As the user wrote it; after the pass ``units``.
    scheme : {"exact", "euler"}
        What the reader does.
    dt : float
        Step in seconds.
    recurrent : bool
        Whether it is in a loop: snnTorch then wants another resistance.

    Raises
    ------
    UnsupportedError
        NIR has no such neuron: the message says why.
    """
    models = importlib.import_module("neurosim.models")
    values = {k: np.broadcast_to(np.asarray(v, np.float64), (pop.n,)) for k, v in node.params.items()
              if np.ndim(v) == 0 or len(v) == pop.n}  # fmt: skip
    if node.tables and any(key.rpartition(".")[0] in ("", *pop.cell.receptors) for key in node.tables):
        raise _no(pop, "has a parameter that changes in time")
    found = _read_cell(pop.cell)
    ones = np.ones(pop.n)
    if found is not None or pop.cell.prototype is models.CubaLIF:
        kind, own, reset, _ = found or ("CubaLIF", "exact", "value", "")
        if pop.cell.method not in _EXACT or any(r.prototype is not models.PulseCurrent
                                                for r in pop.cell.receptors.values()):  # fmt: skip
            raise _no(pop, f"is a {pop.cell.name} with another scheme or other receptors than NIR's")
        params = {k: values[k] for k in cells.parameters(kind)}
        if own not in ("", scheme) and kind.startswith("CubaLI"):
            raise _no(pop, f"is integrated by '{own}', and only --nir-scheme {own} says that")
        out = Neuron(kind, params, ones, ones, params.get("r", ones), 0, False, reset)
        if "v_leak" in params and "v_threshold" in params:
            out.awake = bool(np.any(params["v_leak"] > params["v_threshold"]))
        elif "v_threshold" in params:
            out.awake = bool(np.any(params["v_threshold"] < 0))
        if own not in ("", scheme) and "tau" in params:
            decay = np.exp(-dt / params["tau"]) if own == "exact" else 1 - dt / params["tau"]
            params["tau"] = _tau(pop, decay, scheme, dt)
            out.changes.append(f"'{pop.label}': tau is written for the scheme '{scheme}', so that it decays as before")
        if kind == "Threshold":
            out.params = {"threshold": params["v_threshold"]}
        return out
    if pop.cell.prototype is models.LIF:
        return _lif(pop, node, values, scheme, dt, recurrent)
    if pop.cell.prototype is models.IF:
        return _integrator(pop, node, values, dt)
    raise _no(pop, f"is a {pop.cell.name}, and NIR has LIF, CubaLIF and IF")


def _no(pop: Any, text: str) -> UnsupportedError:
    return UnsupportedError(f"population '{pop.label}' {text}", pop.where)


def _receptor(pop: Any) -> tuple[Any, str, str]:
    """Return the prototype of all receptors of a cell, when they act, and the name of one."""
    models = importlib.import_module("neurosim.models")
    known = (models.PulseCurrent, models.DeltaCurrent, models.ExpCurrent)
    kinds = {(r.prototype, r.when) for r in pop.cell.receptors.values()}
    bad = [r.name for r in pop.cell.receptors.values() if r.prototype not in known or r.port != "i"]
    if bad:
        raise _no(pop, f"has the receptor {bad[0]}; NIR's inputs are currents: {', '.join(k.name for k in known)}")
    if len(kinds) > 1:
        raise _no(pop, "has receptors of different kinds; a neuron of NIR has one input")
    kind, when = kinds.pop() if kinds else (models.PulseCurrent, "before")
    return kind, when, next(iter(pop.cell.receptors), "")


def _spiking(pop: Any, node: Any, values: dict[str, np.ndarray], rest: np.ndarray, out: Neuron) -> None:
    """Put what cells with a threshold have in common in, in the neuron's own units."""
    shift, scale = frame(pop, values, rest)
    below = np.nextafter(np.float32(1), np.float32(0))  # of the readers' precision: '>=' as '>'
    threshold = (values["v_th"] - shift) / scale
    out.params |= {"v_threshold": np.where(threshold == 1, np.float64(below), threshold),
                   "v_reset": (values["v_reset"] - shift) / scale}  # fmt: skip
    out.reset = "value"
    out.changes.append(f"'{pop.label}': potentials are written as (v - {1e3 * float(shift[0]):g} mV)/"
                       f"{1e3 * float(scale[0]):g} mV{'' if np.ptp(shift) == np.ptp(scale) == 0 else ' and the like'}, "
                       "and the threshold, which has to be reached, as the next number below it in single precision, "
                       "which NIR's has to exceed")  # fmt: skip
    if np.any(out.params["v_reset"] != 0):
        out.changes.append(f"'{pop.label}' is reset to {float(out.params['v_reset'][0]):g}, and not to 0: snnTorch and "
                           "others do not read v_reset")  # fmt: skip
    start = np.broadcast_to(np.asarray(next(s.init for s in node.states if s.name == "v"), np.float64), (pop.n,))
    out.awake = bool(np.any(start != rest) or np.any(rest >= values["v_th"]))
    if np.any(start != rest):
        out.changes.append(f"'{pop.label}' does not start at rest: NIR has no initial values")
    if np.any(values["t_ref"] > 0):
        longest = 1e3 * float(values["t_ref"].max())
        out.losses.append(f"the refractory period of '{pop.label}' ({longest:g} ms): NIR has none")


def frame(pop: Any, values: dict[str, np.ndarray], rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is subtracted from a potential, and what it is divided by then: rest is 0 where it can be."""
    base = np.where(rest < values["v_th"], rest, values["v_reset"])
    if np.any(base >= values["v_th"]):
        raise _no(pop, "has neither its rest nor its reset below the threshold")
    return base, values["v_th"] - base


def _lif(pop: Any, node: Any, values: dict[str, np.ndarray], scheme: str, dt: float, recurrent: bool) -> Neuron:
    models = importlib.import_module("neurosim.models")
    if pop.cell.method not in (*_EXACT, "euler"):
        raise _no(pop, f"is integrated by {pop.cell.method}; NIR's readers solve exactly or by Euler steps")
    kind, when, name = _receptor(pop)
    euler = pop.cell.method == "euler"
    if euler and kind is models.ExpCurrent:
        raise _no(pop, "is integrated by euler, synapses too; NIR's readers step these one after the other")
    tau, r_m = values["tau_m"], values["r_m"]
    a = 1 - dt / tau if euler else np.exp(-dt / tau)
    rest = values["v_rest"]
    shift, scale = frame(pop, values, rest)
    if np.any(a == 1):
        raise _no(pop, f"has a time constant of {np.max(tau):g} s: it does not decay in a step of {1e3 * dt:g} ms")
    gain = 1 / (1 - a)  # a reader's step adds (1 - a) r I
    # Norse takes r as 1; snnTorch takes any for a layer, dt/(1 - a) for a recurrent one, and for all of its CubaLIFs
    r = gain if recurrent else np.ones(pop.n)
    out = Neuron("LIF", {"tau": _tau(pop, a, scheme, dt), "r": r, "v_leak": (rest - shift) / scale}, r_m / scale / r,
                 r_m / scale / r, r_m / scale)  # fmt: skip
    if kind is models.DeltaCurrent:
        out.weight = (a if when == "before" else 1.0) * gain / r / scale
    elif kind is models.ExpCurrent:
        taus = {float(t) for key in pop.cell.receptors for t in np.unique(values[f"{key}.tau"])}
        tau_s = values[f"{name}.tau"]
        if len(taus) > 1 and any(not np.array_equal(values[f"{k}.tau"], tau_s) for k in pop.cell.receptors):
            each = ", ".join(f"{1e3 * t:g} ms" for t in sorted(taus))
            raise _no(pop, f"has receptors with the time constants {each}; a CubaLIF of NIR has one")
        decay = np.exp(-dt / tau_s)
        x = dt / tau_s - dt / tau
        ratio = np.where(np.abs(x) < 1e-5, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1.0, x))
        into = r_m * (dt / tau) * decay * ratio  # what a current of 1 adds to v in a step
        filter_gain = 1 / (1 - decay)
        out.kind = "CubaLIF"
        out.params = {"tau_syn": _tau(pop, decay, scheme, dt), "tau_mem": out.params["tau"], "r": gain,
                      "w_in": filter_gain, "v_leak": out.params["v_leak"]}  # fmt: skip
        out.weight, out.bias = into / scale, np.full(pop.n, np.nan)
        if scheme == "exact":
            # for readers that solve exactly there is no input that jumps
            out.params |= {"r": np.ones(pop.n)}
            out.weight = r_m / scale
            out.changes.append(f"'{pop.label}': an arrival acts over its whole step, where neurosim's acts at its end")
        out.late = 1 if when == "after" and scheme == "euler" else 0
    _spiking(pop, node, values, rest, out)
    return out


def _tau(pop: Any, a: np.ndarray, scheme: str, dt: float) -> np.ndarray:
    """Return the time constant with which a reader's step decays by ``a``."""
    if scheme == "exact" and np.any(a <= 0):
        raise _no(pop, "takes Euler steps that are no shorter than its time constant, which no exact solution does: "
                  "--nir-scheme euler writes it")  # fmt: skip
    return dt / (1 - a) if scheme == "euler" else -dt / np.log(a)


def _integrator(pop: Any, node: Any, values: dict[str, np.ndarray], dt: float) -> Neuron:
    models = importlib.import_module("neurosim.models")
    kind, _, _ = _receptor(pop)
    if kind is models.ExpCurrent:
        raise _no(pop, "integrates synaptic currents without a leak; NIR's IF has no synapses")
    _, scale = frame(pop, values, values["v_reset"])
    per_step = dt / values["c_m"] / scale
    out = Neuron("IF", {"r": np.ones(pop.n)}, 1 / scale if kind is models.DeltaCurrent else per_step, per_step,
                 np.full(pop.n, math.nan))  # fmt: skip
    _spiking(pop, node, values, values["v_reset"], out)
    return out

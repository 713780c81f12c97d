"""Parameters of NEST's ``glif_psc``, as Allen files give them, for the library's GLIF cells."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnsupportedError
from neurosim.lang.components import Cell
from neurosim.units import Quantity, ms, mV, nS, pA, pF

LEVELS: dict[tuple[bool, ...], int] = {
    (False, False, False): 1,
    (True, False, False): 2,
    (False, True, False): 3,
    (True, True, False): 4,
    (True, True, True): 5,
}
"""(spike_dependent_threshold, after_spike_currents, adapting_threshold) -> level."""

_RATE = 1 / ms

# name -> (default of NEST, unit); None: a plain number
SCALARS: dict[str, tuple[float, Quantity | None]] = {
    "g": (9.43, nS), "E_L": (-78.85, mV), "V_th": (-51.68, mV), "C_m": (58.72, pF), "t_ref": (3.75, ms),
    "V_reset": (-78.85, mV), "V_m": (-78.85, mV), "th_spike_add": (0.37, mV), "th_spike_decay": (0.009, _RATE),
    "voltage_reset_fraction": (0.20, None), "voltage_reset_add": (18.51, mV), "th_voltage_index": (0.005, _RATE),
    "th_voltage_decay": (0.09, _RATE), "threshold_spike": (0.0, mV), "threshold_voltage": (0.0, mV),
}  # fmt: skip
LISTS: dict[str, tuple[list[float], Quantity | None]] = {
    "asc_init": ([0.0, 0.0], pA), "asc_decay": ([0.003, 0.1], _RATE), "asc_amps": ([-9.18, -198.94], pA),
    "asc_r": ([1.0, 1.0], None), "tau_syn": ([2.0], ms), "ASCurrents": ([], pA),
}  # fmt: skip
FLAGS = ("spike_dependent_threshold", "after_spike_currents", "adapting_threshold")

Structure = tuple[int, int, int]
"""Level, number of after-spike currents, number of receptors: what makes two cells need different equations."""


def plan(params: dict[str, Any], what: str) -> tuple[Structure, dict[str, float]]:
    """Return the structure a set of parameters asks for, and its numbers with lists taken apart (``asc_amps_0``)."""
    flags = tuple(bool(params.get(key, False)) for key in FLAGS)
    if flags not in LEVELS:
        raise ParameterError(f"{what}: {', '.join(f'{k} = {v}' for k, v in zip(FLAGS, flags, strict=True))} is none of "
                             "the five GLIF models")  # fmt: skip
    level = LEVELS[flags]
    lists = {key: _list(params.get(key, default), key, what) for key, (default, _) in LISTS.items()}
    asc = lists["asc_decay"] if level >= 3 else []
    if level >= 3:
        for key in ("asc_amps", "asc_init", "asc_r"):
            if key not in params and len(lists[key]) != len(asc):
                lists[key] = [LISTS[key][0][0]] * len(asc)
            if len(lists[key]) != len(asc):
                raise ParameterError(f"{what}: '{key}' has {len(lists[key])} values and asc_decay {len(asc)}")
        if any(lists["asc_init"]):
            raise UnsupportedError(f"{what}: 'asc_init' is not zero; NEST does not start from it: give the currents at "
                                   "the start as 'ASCurrents'")  # fmt: skip
        if not lists["ASCurrents"]:
            lists["ASCurrents"] = [0.0] * len(asc)
        if len(lists["ASCurrents"]) != len(asc) or not all(k > 0 for k in asc):
            raise ParameterError(
                f"{what}: 'ASCurrents' must have one value for each of asc_decay, all of them positive"
            )
    values = {key: float(params.get(key, default)) for key, (default, _) in SCALARS.items()}
    for key, row in lists.items():
        if key == "tau_syn" or level >= 3:
            values |= {f"{key}_{k}": v for k, v in enumerate(row)}
    if not values["g"] > 0 or not values["C_m"] > 0:
        raise ParameterError(f"{what}: g and C_m must be positive, got {values['g']:g} nS and {values['C_m']:g} pF")
    if not values["V_reset"] < values["V_th"]:
        raise ParameterError(
            f"{what}: V_reset must lie below V_th, got {values['V_reset']:g} and {values['V_th']:g} mV"
        )
    if not values["t_ref"] > 0 or not all(tau > 0 for tau in lists["tau_syn"]) or not lists["tau_syn"]:
        raise ParameterError(f"{what}: t_ref and every tau_syn must be positive")
    if level == 5 and abs(values["th_voltage_decay"] * values["C_m"] / values["g"] - 1.0) < 1e-9:
        raise UnsupportedError(f"{what}: th_voltage_decay equals g/C_m, where the solution of Teeter et al. divides by "
                               "zero: change it in the tenth digit")  # fmt: skip
    return (level, len(asc), len(lists["tau_syn"])), values


def make(structure: Structure, values: dict[str, float | np.ndarray]) -> Cell:
    """Return the cell; a value is one number or one per neuron, in NEST's units."""
    level, n_asc, n_syn = structure
    models = importlib.import_module("neurosim.models")

    def of(key: str) -> Any:
        unit = SCALARS[key][1] if key in SCALARS else LISTS[key.rpartition("_")[0]][1]
        return values[key] if unit is None else values[key] * unit

    used, init = ["g", "E_L", "V_th", "C_m", "t_ref"], {"v": of("V_m")}
    if level in (2, 4, 5):
        used += ["th_spike_decay", "th_spike_add", "voltage_reset_fraction", "voltage_reset_add"]
        init |= {"th_s": of("threshold_spike"), "v_before": of("V_m")}
    else:
        used.append("V_reset")
    if level == 5:
        used += ["th_voltage_index", "th_voltage_decay"]
        init["th_v"] = of("threshold_voltage")
    params = {key.lower(): of(key) for key in used}
    for a in range(n_asc):
        init[f"asc_{a}"] = of(f"ASCurrents_{a}")
        params |= {f"asc_decay_{a}": of(f"asc_decay_{a}"), f"asc_amp_{a}": of(f"asc_amps_{a}"),
                   f"asc_r_{a}": of(f"asc_r_{a}")}  # fmt: skip
    receptors = {f"syn{k + 1}": models.AlphaCurrent(tau=of(f"tau_syn_{k}")) for k in range(n_syn)}
    return models.GLIF(level, n_asc, receptors=receptors, init=init, **params)


def _list(value: Any, key: str, what: str) -> list[float]:
    row = value if isinstance(value, list) else [value]
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in row):
        raise ParameterError(f"{what}: '{key}' must be a list of numbers, got {value!r}")
    return [float(v) for v in row]

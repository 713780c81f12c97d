"""NIR's neurons as cells, by both of the ways in which simulators step them.

``exact``: the solution of NIR's equations for an input that is constant during a step. ``euler``: the explicit step
that snnTorch, Norse, SpikingJelly and Lava take, in which the membrane sees the new value of the synaptic current.
Everything but time is dimensionless.
"""

from __future__ import annotations

import importlib
import itertools
from functools import cache
from typing import Any

import numpy as np

from neurosim.interchange.nir.maps import numbers
from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import TIME, Quantity, ms

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
GRADED = ("I", "LI", "CubaLI")
RESETS = {"value": "v = v_reset", "subtract": "v -= v_threshold"}
TIMES = ("tau", "tau_syn", "tau_mem")
INPUT = "input"
"""The receptor of every cell."""

_MEANING: dict[str, tuple[float, str]] = {
    "r": (1.0, "resistance"),
    "v_leak": (0.0, "resting potential"),
    "v_threshold": (1.0, "threshold, to be exceeded"),
    "v_reset": (0.0, "potential after a spike"),
    "w_in": (1.0, "weight of the input"),
}
_EQUATIONS = {
    ("I", "step"): "v[n+1] = v + r*i",
    ("I", "second"): "dv/dt = r*i/second",
    ("LI", "exact"): "dv/dt = (v_leak - v + r*i)/tau",
    ("LI", "euler"): "v[n+1] = v + dt/tau*(v_leak - v + r*i)",
    ("CubaLI", "exact"): "di_syn/dt = (w_in*i - i_syn)/tau_syn; dv/dt = (v_leak - v + r*i_syn)/tau_mem",
    ("CubaLI", "euler"): (
        "i_syn[n+1] = i_syn + dt/tau_syn*(w_in*i - i_syn); v[n+1] = v + dt/tau_mem*(v_leak - v + r*i_syn[n+1])"
    ),
}
_PARAMS = {
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "w_in", "v_leak"),
}


def parameters(kind: str) -> tuple[str, ...]:
    """Return the parameters of a kind of neuron, as NIR calls them (a Threshold's own is its ``threshold``)."""
    if kind == "Threshold":
        return ("v_threshold",)
    spiking = kind in SPIKING
    return _PARAMS[kind.removesuffix("F") if spiking else kind] + (("v_threshold", "v_reset") if spiking else ())


def declared(kind: str, scheme: str, reset: str, integrators: str, late: bool = False) -> Cell:
    """Return the cell of a kind of neuron, with NIR's names for its parameters.

    Parameters
    ----------
    kind : str
        NIR's name.
    scheme : {"exact", "euler"}
        How a step is taken.
    reset : {"value", "subtract"}
        To ``v_reset``, or by ``v_threshold``.
    integrators : {"step", "second"}
        Whether I and IF add ``r*i`` once in a step, or ``r*i`` per second.
    late : bool
        It does not spike before the time ``begin``: a neuron that spikes by itself, behind the graph.
    """
    return _declared(*meaning(kind, scheme, reset, integrators), late and kind in SPIKING)


def meaning(kind: str, scheme: str, reset: str, integrators: str) -> tuple[str, str, str, str]:
    """Return the arguments of `declared`, with nothing for what a kind of neuron does not depend on."""
    timed, resets = kind not in ("I", "IF", "Threshold"), kind in ("IF", "LIF", "CubaLIF")
    return kind, scheme if timed else "", reset if resets else "", integrators if kind in ("I", "IF") else ""


def by_itself(node: Any) -> bool:
    """Whether a neuron of NIR spikes without any input."""
    kind = type(node).__name__
    if kind == "Threshold":
        return bool(np.any(np.asarray(node.threshold) < 0))
    if kind not in SPIKING:
        return False
    return bool(np.any(np.asarray(getattr(node, "v_leak", 0.0)) > np.asarray(node.v_threshold)))


@cache
def _declared(kind: str, scheme: str, reset: str, integrators: str, late: bool) -> Cell:
    models = importlib.import_module("neurosim.models")
    spiking = kind in SPIKING
    named: dict[str, Any] = {k: Param(5 * ms if k == "tau_syn" else 10 * ms, ms, "time constant", lo=0 * ms,
                                      lo_open=True) if k in TIMES else Param(_MEANING[k][0], 1, _MEANING[k][1])
                             for k in parameters(kind)}  # fmt: skip
    more: dict[str, Any] = {}
    if kind == "Threshold":
        equations, more["threshold"] = "v[n+1] = i", "v > v_threshold"
    else:
        base = kind.removesuffix("F") if spiking else kind
        equations = _EQUATIONS[base, integrators if base == "I" else scheme]
        if base != "I":
            more["init"] = {"v": "v_leak"}
        if spiking:
            more |= {"threshold": "v > v_threshold", "reset": RESETS[reset]}
    if late:
        more["threshold"] += " and t > begin"
        named["begin"] = Param(0 * ms, ms, "time before which it does not spike")
    doc = f"NIR's {kind}, {scheme}" if scheme else f"NIR's {kind}"
    return Cell(equations, receptors={INPUT: models.PulseCurrent}, name=f"NIR_{kind}", doc=doc,
                source="J. E. Pedersen et al., Nat. Commun. 15 (2024)", **more, **named)  # fmt: skip


def readout() -> Cell:
    """Return a cell that holds what arrives in a step: an Output behind a linear map."""
    return _readout()


@cache
def _readout() -> Cell:
    models = importlib.import_module("neurosim.models")
    return Cell("v[n+1] = i", receptors={INPUT: models.PulseCurrent}, name="NIR_Output",
                doc="what arrives in a step, added up")  # fmt: skip


def every() -> list[Cell]:
    """Return all cells that this module declares."""
    ways = itertools.product(SPIKING + GRADED, ("exact", "euler"), RESETS, ("step", "second"), (False, True))
    return [*dict.fromkeys(declared(*way) for way in ways), readout()]


def cell_of(node: Any, scheme: str, reset: str, integrators: str, begin: float) -> Cell:
    """Return the cell of a NIR node, with its parameters: one value where all neurons have the same.

    Parameters
    ----------
    begin : float
        Seconds after which the graph begins for it.
    """
    kind = type(node).__name__
    late = begin > 0 and by_itself(node)
    values: dict[str, Any] = {"begin": Quantity(begin, TIME)} if late else {}
    for key in parameters(kind):
        array = numbers(node, "threshold" if kind == "Threshold" else key, f"a node {kind}").ravel()
        value = float(array[0]) if len(np.unique(array)) == 1 else array
        values[key] = Quantity(value, TIME) if key in TIMES else value
    return declared(kind, scheme, reset, integrators, late)(**values)

"""snnTorch's Leaky and Synaptic as cells, to the bit (snnTorch 1.0.0, ``_neurons/leaky.py`` and ``synaptic.py``).

What has to be said for that, besides the equation: a spike needs more than the threshold; by default the reset is made
of the potential of the step before, unreset (``reset_delay``), so that the leak acts before the subtraction; that reset
has no derivative; without ``reset_delay`` the reset acts at once, has a derivative, and is not made twice where the
potential is still above the threshold; resetting Synaptic to zero takes this step's input with it, resetting Leaky does
not; and the order of the sums, ``(beta*mem + x) - reset*threshold``. Everything is dimensionless, a step is a step.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.graph import Graph, PopulationNode, System
from neurosim.lang.components import Cell
from neurosim.lang.network import Network
from neurosim.params import Param
from neurosim.units import ms

INPUT = "input"
"""The receptor of both cells: what arrives in a step, added up."""

RESETS = ("subtract", "zero", "none")

_INPUT, _BEHIND = "x = i + bias", "x = i + where(t > begin, bias, 0)"
_FIRST = "syn[n+1] = alpha*syn + x"
# kind, reset -> the update; u is the potential after its reset, `above` whether that is above the threshold still
_LATE = {
    ("Leaky", "subtract"): "mem[n+1] = beta*mem + x - where(mem > v_th, v_th, 0)",
    ("Leaky", "zero"): "mem[n+1] = beta*where(mem > v_th, 0, mem) + x",
    ("Leaky", "none"): "mem[n+1] = beta*mem + x",
    ("Synaptic", "subtract"): "mem[n+1] = beta*mem + syn[n+1] - where(mem > v_th, v_th, 0)",
    ("Synaptic", "zero"): "mem[n+1] = where(mem > v_th, 0, beta*mem + syn[n+1])",
    ("Synaptic", "none"): "mem[n+1] = beta*mem + syn[n+1]",
}
_AT_ONCE = {
    ("Leaky", "subtract"): "mem[n+1] = beta*u + x - above[n+1]*v_th",
    ("Leaky", "zero"): "mem[n+1] = beta*((1 - above[n+1])*u) + x",
    ("Synaptic", "subtract"): "mem[n+1] = beta*u + syn[n+1] - above[n+1]*v_th",
    ("Synaptic", "zero"): "mem[n+1] = where(above[n+1] > 0, 0, beta*u + syn[n+1])",
}
_RESET = {"subtract": "u = mem - (spiked - above)*v_th", "zero": "u = mem - (spiked - above)*mem"}


def leaky(
    beta: Any = 0.9, threshold: Any = 1.0, *, bias: Any = 0.0, begin: Any = None, reset_mechanism: str = "subtract",
    reset_delay: bool = True,
) -> Cell:  # fmt: skip
    """Return snnTorch's ``Leaky``: ``mem = beta*mem + input - reset``, a spike where ``mem > threshold``.

    Parameters
    ----------
    beta, threshold : float or array
        One, or one per neuron; beta from 0 to 1.
    bias : float or array
        What a ``Linear`` before it adds to the input of every step.
    begin : Quantity, optional
        The time from which the bias is added: where the first input comes later than the first step.
    reset_mechanism : {"subtract", "zero", "none"}
        What the reset is.
    reset_delay : bool
        Whether it is made in the step after the spike, as is snnTorch's default.

    Notes
    -----
    ``mem`` is recorded as the threshold saw it, before a reset.
    """
    values = {"beta": beta, "v_th": threshold, "bias": bias}
    return _cell("Leaky", values, begin, reset_mechanism, reset_delay, caller())


def synaptic(
    alpha: Any = 0.8, beta: Any = 0.9, threshold: Any = 1.0, *, bias: Any = 0.0, begin: Any = None,
    reset_mechanism: str = "subtract", reset_delay: bool = True,
) -> Cell:  # fmt: skip
    """Return snnTorch's ``Synaptic``: ``syn = alpha*syn + input; mem = beta*mem + syn - reset``.

    Parameters are those of :func:`leaky`, and ``alpha``, from 0 to 1.
    """
    values = {"alpha": alpha, "beta": beta, "v_th": threshold, "bias": bias}
    return _cell("Synaptic", values, begin, reset_mechanism, reset_delay, caller())


def _cell(kind: str, values: dict[str, Any], begin: Any, reset: str, delayed: bool, where: str | None) -> Cell:
    if reset not in RESETS:
        raise ParameterError(f"reset_mechanism must be one of {', '.join(map(repr, RESETS))}, got {reset!r}", where)
    one = {k: np.asarray(v, dtype=np.float64)[()] for k, v in values.items()}
    if begin is not None:
        one["begin"] = begin
    return declared(kind, reset, bool(delayed), begin is not None)(**one)


@cache
def declared(kind: str, reset: str, delayed: bool, behind: bool) -> Cell:
    """Return the declaration of ``Leaky`` or ``Synaptic``; ``behind``: its bias has a beginning."""
    models = importlib.import_module("neurosim.models")
    lines = [_BEHIND if behind else _INPUT, *([_FIRST] if kind == "Synaptic" else [])]
    more: dict[str, Any] = {}
    if delayed or reset == "none":
        lines.append(_LATE[kind, reset])
    else:
        lines += [_RESET[reset], "spiked[n+1] = 0*spiked", "above[n+1] = where(u > v_th, 1, 0)", _AT_ONCE[kind, reset]]
        more["reset"] = "spiked = 1"
    params: dict[str, Any] = {}
    if kind == "Synaptic":
        params["alpha"] = Param(0.8, 1, "what is left of the synaptic current after a step", lo=0, hi=1)
    params |= {
        "beta": Param(0.9, 1, "what is left of the potential after a step", lo=0, hi=1),
        "v_th": Param(1.0, 1, "threshold, to be exceeded"),
        "bias": Param(0.0, 1, "what is added to the input of every step"),
    }
    if behind:
        params["begin"] = Param(0 * ms, ms, "time after which the bias is added")
    delay = "" if reset == "none" else f", reset {'a step late' if delayed else 'at once'}"
    return Cell(
        "\n".join(lines), threshold="mem > v_th", receptors={INPUT: models.PulseCurrent}, name=kind,
        doc=f"snnTorch's {kind}, reset: {reset}{delay}", source="J. K. Eshraghian et al., Proc. IEEE 111 (2023); "
        "snnTorch 1.0.0", **more, **params,
    )  # fmt: skip


def recognised(graph: Graph, pop: PopulationNode) -> tuple[str, str, bool] | None:
    """Return (kind, reset, whether it is delayed) of a population that is one of these cells, None for any other."""
    if pop.model is None:
        return None
    for kind in ("Leaky", "Synaptic"):
        for reset in RESETS:
            for delayed in (True,) if reset == "none" else (True, False):
                if pop.model.system in [_pattern(kind, reset, delayed, behind) for behind in (False, True)]:
                    return kind, reset, delayed
    return None


@cache
def _pattern(kind: str, reset: str, delayed: bool, behind: bool) -> System | None:
    compiler = importlib.import_module("neurosim.compile")
    network = Network("pattern", dt=1 * ms)
    network.population("pattern", 1, declared(kind, reset, delayed, behind))
    model = compiler.compile_network(network).populations[0].model
    return None if model is None else model.system

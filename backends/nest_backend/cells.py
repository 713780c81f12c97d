"""NEST's cells as declarations, and what a recognised population is.

NEST counts time in ms and capacitance so that ``dV/dt = ... + I/C``; whether a potential is in mV or V, and a current
in pA or A, is for the user to decide as long as it fits together. So potentials and currents keep their SI numbers, and
C_m takes up what is left: then weights, which lie on a binary grid, reach NEST unchanged, and their sums stay exact.
Each update below was confirmed by experiment (tests/test_nest.py), not taken from NEST's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.ir.graph import Schedule

OPEN = 1e300
"""A threshold that nothing reaches, while the network is being set up."""


@dataclass(frozen=True)
class Port:
    """Where a receptor's spikes go: NEST's receptor (0: told apart by the sign), and the factor on weights."""

    number: int
    factor: Any = 1.0


@dataclass(frozen=True)
class Reading:
    """How a variable is read: NEST's recordable, ``value = recordable / scale + shift``."""

    recordable: str
    scale: Any = 1.0
    shift: Any = 0.0


@dataclass
class Cell:
    """A population that NEST has a cell for.

    Attributes
    ----------
    model : str
        NEST's name.
    params : dict
        Parameters in NEST's units: a number, or an array of one per neuron; ``tau_syn`` a list of such.
    start : dict
        State and threshold set before our step 0.
    ports : dict
        Receptor -> :class:`Port`.
    readings : dict
        State variable -> :class:`Reading`.
    kicks : dict
        Port number -> what has to arrive just before step 0, so that a synaptic variable has its initial value.
    current : number
        Factor from the slope of the potential that an input makes (SI units per second) to NEST's current.
    inputs : list
        Terms of the potential's equation that are inputs: (symbols multiplied, coefficient).
    symbols : dict
        The inputs' names and expressions.
    approximate : bool
        Whether NEST's numerical scheme is another than ours (class R).
    quiet : dict
        Parameters and state with which the cell surely does not spike while the network is being set up.
    """

    model: str
    params: dict[str, Any]
    start: dict[str, Any]
    ports: dict[str, Port] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    kicks: dict[int, Any] = field(default_factory=dict)
    current: Any = 1.0
    inputs: list[tuple[tuple[str, ...], Any]] = field(default_factory=list)
    symbols: Mapping[str, Any] = field(default_factory=dict)
    approximate: bool = False
    quiet: dict[str, Any] = field(default_factory=lambda: {"V_th": OPEN})


@dataclass(frozen=True)
class Source:
    """A population whose spikes depend on nothing but the step: a list of times, or a condition on random numbers."""

    schedule: Schedule | None = None
    condition: Any = None


@dataclass(frozen=True)
class Synapses:
    """The two spellings of a cell with current synapses: two receptors told apart by the sign, or any number."""

    signed: str
    numbered: str
    update: str


PSC = {
    "exp": Synapses(
        "iaf_psc_exp",
        "iaf_psc_exp_multisynapse",
        "V = P22 V + P21 I + P20 I_e, unless refractory; I = P11 I; I += w; a spike where V >= V_th: V = V_reset",
    ),
    "alpha": Synapses(
        "iaf_psc_alpha",
        "iaf_psc_alpha_multisynapse",
        "V = P33 V + P32 I + P31 dI + P30 I_e, unless refractory; I = P21 dI + P22 I; dI = P11 dI; dI += w e/tau; "
        "a spike where V >= V_th: V = V_reset",
    ),
    "delta": Synapses(
        "iaf_psc_delta",
        "iaf_psc_delta",
        "V = P33 V + P30 I_e + w, unless refractory (w is lost then); a spike where V >= V_th: V = V_reset",
    ),
}
"""Kind of the synapses -> NEST's cells, linear and integrated exactly."""


def snapped(value: Any) -> Any:
    """Undo the rounding of 1/(1/x): a number of 15 digits that is within 4 units in the last place is meant."""
    flat = np.atleast_1d(np.asarray(value, dtype=np.float64))
    short = np.array([float(f"{x:.15g}") for x in flat])
    out = np.where(np.abs(short - flat) <= 4 * np.spacing(np.abs(flat)), short, flat)
    return float(out[0]) if np.ndim(value) == 0 else out


def unit_factor(value: Any) -> Any:
    """Return a factor, exactly 1 or -1 where rounding alone keeps it from it."""
    near = np.where(np.abs(np.abs(value) - 1.0) < 1e-14, np.sign(value), value)
    flat = np.unique(near)
    return float(flat[0]) if len(flat) == 1 else near

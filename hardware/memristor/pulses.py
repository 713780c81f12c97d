"""How pulses move a conductance: the update curves of NeuroSim.

With n pulses of one sign the conductance of a device goes from its least to its most, or back, along::

    G(n) = G_min + B (1 - exp(-n/A)),        B = (G_max - G_min)/(1 - exp(-P/A))

(P.-Y. Chen, X. Peng & S. Yu, IEEE Trans. CAD 37 (2018), 3067). P is the number of pulses of the whole way, and A says
how far the curve is from a line. Measured curves are labelled by a *nonlinearity* instead, whose relation to A is
published as a table (MLP+NeuroSim V3.0, documents/Nonlinearity-NormA). To the digits of the table it is the largest
distance of the curve from the diagonal of the unit square, perpendicular to it, in units of 0.07; that is what is used
here. A negative one bends the other way, as depression does: counted in pulses from the least conductance, the way down
is steepest at the top.

Conductances here are parts of the way from G_min to G_max, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.hardware.rewriting import is_number

_LABEL = 1 / (0.07 * np.sqrt(2))
"""Nonlinearity of a curve that is the whole range above the diagonal."""

_LINE = 1e-3
"""A smaller nonlinearity is a line: the difference is below 1e-4 of the range."""


def normalised_a(nonlinearity: Any) -> np.ndarray:
    """Return A/P of a nonlinearity: what the published table lists. Infinite for a line.

    Parameters
    ----------
    nonlinearity : array_like
        -9 to 9. The sign of A is its own.
    """
    try:
        label = np.asarray(nonlinearity, dtype=np.float64)
    except (TypeError, ValueError):
        label = np.asarray(np.nan)
    if not np.all(np.abs(label) <= 9):
        raise ParameterError(f"a nonlinearity must lie between -9 and 9, got {nonlinearity!r}", caller())
    wanted = np.abs(label) / _LABEL
    low, high = np.full(label.shape, np.log(1e-3)), np.full(label.shape, np.log(1e4))  # of A/P: the distance falls
    for _ in range(60):
        middle = (low + high) / 2
        further = _distance(np.exp(middle)) > wanted
        low, high = np.where(further, middle, low), np.where(further, high, middle)
    a = np.exp((low + high) / 2)
    return np.where(np.abs(label) < _LINE, np.inf, np.where(label < 0, -a, a))


def _distance(a: np.ndarray) -> np.ndarray:
    """Return the largest distance of (1 - exp(-x/a))/(1 - exp(-1/a)) from x: where its slope is 1."""
    whole = -np.expm1(-1 / a)
    x = -a * np.log(a * whole)
    return -np.expm1(-x / a) / whole - x


@dataclass(frozen=True)
class PulseCurve:
    """A device's answer to pulses.

    Attributes
    ----------
    up, down : int
        Pulses from the least conductance to the greatest, and back.
    nonlinearity_up, nonlinearity_down : float
        -9 to 9, 0 for a line. Where they are equal, a pulse down undoes a pulse up.
    cycle : float
        Standard deviation of what a pulse does, from pulse to pulse, in parts of the range; n pulses at once have
        ``sqrt(n)`` times that.
    device : float
        Standard deviation of both nonlinearities from device to device.
    """

    up: int
    down: int
    nonlinearity_up: float = 0.0
    nonlinearity_down: float = 0.0
    cycle: float = 0.0
    device: float = 0.0

    def __post_init__(self) -> None:
        where = caller()
        for name in ("up", "down"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
                raise ParameterError(f"'{name}' of a PulseCurve is a number of pulses above 0, got {count!r}", where)
        for name in ("cycle", "device"):
            if not is_number(size := getattr(self, name)) or not 0 <= size < np.inf:
                raise ParameterError(f"'{name}' of a PulseCurve must be a number of 0 or more, got {size!r}", where)
        for name in ("nonlinearity_up", "nonlinearity_down"):
            if not is_number(label := getattr(self, name)) or not -9 <= label <= 9:
                raise ParameterError(f"'{name}' of a PulseCurve must lie between -9 and 9, got {label!r}", where)

    def constants(self, z: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return A/P of the ways up and down; of devices that differ, with one normal number each in ``z``."""
        shift = 0.0 if z is None else self.device * np.asarray(z)
        up, down = (np.clip(label + shift, -9, 9) for label in (self.nonlinearity_up, self.nonlinearity_down))
        return normalised_a(up), normalised_a(down)

    def curve(self, pulses: Any, up: bool = True) -> np.ndarray:
        """Return the conductance after a number of pulses from the least, on the way up, or on the curve of the way
        down, where ``down`` pulses are the greatest."""
        a, count = self.constants()[0 if up else 1], self.up if up else self.down
        return _after(np.asarray(pulses, dtype=np.float64) / count, a)

    def after(self, conductance: Any, pulses: Any, *, z: Any = None, constants: Any = None) -> np.ndarray:
        """Return conductances after pulses: positive numbers move up, negative ones down, along the curve from where
        they are.

        Parameters
        ----------
        conductance : array_like
            0 to 1.
        pulses : array_like
            How many, and which way; parts of a pulse are allowed.
        z : array_like, optional
            Normal numbers, for the variation from pulse to pulse.
        constants : pair of arrays, optional
            Of :meth:`constants`, where devices differ.
        """
        g, n = np.broadcast_arrays(np.asarray(conductance, dtype=np.float64), np.asarray(pulses, dtype=np.float64))
        a_up, a_down = self.constants() if constants is None else constants
        a = np.broadcast_to(np.where(n > 0, a_up, a_down), g.shape)
        part = n / np.where(n > 0, self.up, self.down)
        made = _after(np.clip(_before(g, a) + part, 0.0, 1.0), a)
        made = np.where(n == 0, g, made)
        if z is not None and self.cycle:
            made = made + self.cycle * np.sqrt(np.abs(n)) * np.asarray(z)
        return np.clip(made, 0.0, 1.0)


def _after(part: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the conductance after a part of the pulses."""
    flat = np.isinf(a)
    safe = np.where(flat, 1.0, a)
    return np.where(flat, part, np.expm1(-part / safe) / np.expm1(-1 / safe))


def _before(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the part of the pulses that leads to a conductance."""
    flat = np.isinf(a)
    safe = np.where(flat, 1.0, a)
    return np.where(flat, g, -safe * np.log1p(g * np.expm1(-1 / safe)))


AG_A_SI = PulseCurve(up=97, down=100, nonlinearity_up=2.4, nonlinearity_down=-4.88, cycle=0.035)
"""Ag:a-Si (S. H. Jo et al., Nano Lett. 10 (2010), 1297), as MLP+NeuroSim V3.0 has it; its greatest conductance is
38.5 nS, 12.5 times its least."""

"""How a conductance is written, drifts and is read: statistics of devices.

Conductances are parts of the greatest that is written, 0 to 1. A weight is a pair of devices, one for its positive part
and one for its negative: the other is at the least conductance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.hardware.rewriting import is_number, positive, whole
from neurosim.ir.interp import call


@dataclass(frozen=True)
class Device:
    """A device whose statistics are the same at every conductance; the default is a perfect one.

    Attributes
    ----------
    levels : int or None
        Conductances that can be asked for, evenly from the least to 1; None for all. A pair with n of them has weights
        of ``2n - 1`` values.
    on_off : float
        1 over the least conductance, above 1; infinite where that is 0.
    variation : float
        Standard deviation of what is written, in parts of the greatest conductance.
    read : float
        Standard deviation of a reading, relative to the conductance.
    nu, nu_spread : float
        Exponent of the drift: its mean, and its standard deviation from device to device. Conductances do not grow:
        of exponents below 0 the magnitude is taken.
    t0 : float
        Seconds after which the conductance is as written: ``G(t) = G(t0) (t/t0)**-nu``.
    """

    levels: int | None = None
    on_off: float = float("inf")
    variation: float = 0.0
    read: float = 0.0
    nu: float = 0.0
    nu_spread: float = 0.0
    t0: float = 20.0

    def __post_init__(self) -> None:
        if self.levels is not None:
            whole(self.levels, 2, 2**31, "levels of a device")
        if not is_number(self.on_off) or not self.on_off > 1:
            raise ParameterError(f"on_off must be a number above 1, or infinite, got {self.on_off!r}", caller())
        for name in ("variation", "read", "nu", "nu_spread"):
            positive(getattr(self, name), name)
        positive(self.t0, "t0", zero=False)

    @property
    def least(self) -> float:
        """The least conductance."""
        return 1.0 / self.on_off

    def target(self, size: Any) -> np.ndarray:
        """Return the conductances asked for, of magnitudes of weights from 0 to 1."""
        part = np.asarray(size, dtype=np.float64)
        if self.levels is not None:
            part = np.rint(part * (self.levels - 1)) / (self.levels - 1)
        return self.least + (1.0 - self.least) * part

    def write_deviation(self, target: np.ndarray) -> np.ndarray:
        """Return the standard deviation of what is written for a conductance."""
        return np.full(np.shape(target), self.variation)

    def kept(self, nu: np.ndarray, seconds: float) -> np.ndarray:
        """Return what part of a conductance is left after a time: ``(t/t0)**-nu``."""
        return np.asarray(call("exp", -nu * call("log", seconds / self.t0)))

    def exponent(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the exponent of the drift."""
        return np.full(np.shape(target), self.nu), np.full(np.shape(target), self.nu_spread)

    def read_deviation(self, target: np.ndarray, seconds: float) -> np.ndarray:
        """Return the standard deviation of a reading after a time, relative to the conductance."""
        return np.full(np.shape(target), self.read)


@dataclass(frozen=True)
class _PhaseChange(Device):
    """Phase-change memory: polynomials fitted to a million devices of IBM's.

    Attributes
    ----------
    greatest : float
        The greatest conductance, in microsiemens.
    pulse : float
        Seconds that a reading takes.
    """

    greatest: float = 25.0
    pulse: float = 250e-9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variation or self.read or self.nu or self.nu_spread:
            raise ParameterError(
                "how phase-change memory is written, read and drifts is as it was measured: a variation, a read and "
                "a nu of your own belong to a Device", caller(),
            )  # fmt: skip

    def write_deviation(self, target: np.ndarray) -> np.ndarray:
        return np.maximum(-1.1731 * target**2 + 1.9650 * target + 0.2635, 0.0) / self.greatest

    def exponent(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log = _log(target)
        return np.clip(-0.0155 * log + 0.0244, 0.049, 0.1), np.clip(-0.0125 * log - 0.0059, 0.008, 0.045)

    def read_deviation(self, target: np.ndarray, seconds: float) -> np.ndarray:
        strength = np.minimum(0.0088 * call("exp", -0.65 * _log(target)), 0.2)
        return np.asarray(strength * np.sqrt(_log((seconds + self.pulse) / (2 * self.pulse))))


def _log(x: Any) -> np.ndarray:
    """Return the logarithm, the project's own: the same on every machine."""
    return np.asarray(call("log", np.maximum(x, 1e-12)))


PCM = _PhaseChange()
"""Phase-change memory: V. Joshi et al., Nat. Commun. 11 (2020), 2473, and S. R. Nandakumar et al., ICECS (2019), 727;
the polynomials are those that the documentation of IBM's aihwkit gives."""

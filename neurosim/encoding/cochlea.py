"""A cochlea: a bank of gammatone filters, and the level in each.

A recording goes through the steps of an inner ear:

1. **Basilar membrane.** Each channel is a gammatone filter, ``t^3 exp(-2 pi b t) cos(2 pi f t)`` with gain 1 at its
   centre f (R. Patterson et al., in Auditory Physiology and Perception, 1992). b = 1.0186 ERB(f) gives it the
   equivalent rectangular bandwidth of human hearing, and centres are equally far apart on that scale (B. Glasberg &
   B. Moore, Hearing Research 47, 103, 1990). The filter's impulse response is the formula's samples, exactly:
   ``sum n^3 x^n = x (1 + 4x + x^2)/(1 - x)^4`` with the complex pole ``x = exp(-2 pi (b - i f) T)/z`` is a recursive
   filter, whose real part is wanted. (M. Slaney, Apple Technical Report 35, 1993, derives a similar one with real
   coefficients; it is ``scipy.signal.gammatone``.)
2. **Inner hair cells** pass one half of each wave, and their membrane smooths it (two poles). What comes out is
   averaged in each time step of the network: the envelope, in units in which a sine of amplitude A has envelope A.
3. **Compression.** Levels are logarithms, in dB of a sine that fills the range -1 … 1.

What nerve fibres make of levels is in :mod:`neurosim.encoding.nerve`. No random numbers are drawn. SciPy is needed
(``pip install scipy``).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neurosim.encoding.recordings import samples, scipy_module
from neurosim.errors import ParameterError, caller
from neurosim.units import FREQUENCY, TIME, Hz, Quantity, ms, quantity, scalar

BANDWIDTH = 2**6 * 6**2 / (np.pi * 720)
"""b of a gammatone filter of order 4 whose equivalent rectangular bandwidth is 1: 1.0186."""

SILENCE = 1e-10
"""The smallest envelope that has a level: -200 dB."""


def erb(frequency: Quantity) -> Any:
    """Return the equivalent rectangular bandwidth of human hearing, Hz: ``24.7 (4.37 f/kHz + 1)``.

    Parameters
    ----------
    frequency : Quantity
        At which centre; one or an array.
    """
    f = _positive(quantity(frequency, FREQUENCY, "frequency", caller()), "frequency")
    return 24.7 * (4.37e-3 * f + 1)


def erb_number(frequency: Quantity) -> Any:
    """Return how many equivalent rectangular bandwidths lie below a frequency: ``21.3 log10(4.37 f/kHz + 1)``.

    The constant is taken such that this is the integral of ``1/erb``: 21.33, where the paper rounds to 21.4.
    """
    f = _positive(quantity(frequency, FREQUENCY, "frequency", caller()), "frequency")
    return _PER_ERB * np.log1p(4.37e-3 * f)


_PER_ERB = 1 / (24.7 * 4.37e-3)


def _positive(values: Any, what: str) -> Any:
    if np.any(np.asarray(values) < 0):
        raise ParameterError(f"{what} must not be negative, got {np.min(values):g} Hz")
    return values


@dataclasses.dataclass(frozen=True, eq=False)
class Cochlea:
    """A bank of gammatone filters, and the envelope in each.

    Parameters
    ----------
    sample_rate : Quantity
        Of the recordings that it hears.
    channels : int
        How many filters.
    lowest, highest : Quantity
        Centres of the first and the last; by default 100 Hz and 0.4 of the sample rate. Within a bandwidth of half the
        sample rate what a filter lets pass is folded back, and it is wider than it should be, by up to a tenth.
    smoothing : Quantity
        Time constant of each of the two poles that smooth the half-wave rectified sound.

    Attributes
    ----------
    centres : ndarray
        Centre frequencies, Hz: float64 [channels].
    bandwidths : ndarray
        Their equivalent rectangular bandwidths, Hz.
    """

    sample_rate: Quantity
    channels: int = 64
    lowest: Quantity = 100 * Hz
    highest: Quantity | None = None
    smoothing: Quantity = 4 * ms

    centres: np.ndarray = dataclasses.field(init=False, repr=False)
    bandwidths: np.ndarray = dataclasses.field(init=False, repr=False)
    _rate: float = dataclasses.field(init=False, repr=False)
    _tau: float = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        where = caller()
        rate = scalar(self.sample_rate, FREQUENCY, "sample_rate", where)
        if not rate > 0:
            raise ParameterError(f"sample_rate must be above 0 Hz, got {rate:g} Hz", where)
        if isinstance(self.channels, bool) or not isinstance(self.channels, (int, np.integer)) or self.channels < 1:
            raise ParameterError(f"channels must be a whole number of at least 1, got {self.channels!r}", where)
        low = scalar(self.lowest, FREQUENCY, "lowest", where)
        high = 0.4 * rate if self.highest is None else scalar(self.highest, FREQUENCY, "highest", where)
        if not 0 < low <= high <= rate / 2 or (self.channels > 1 and low == high):
            raise ParameterError(
                f"centres must lie between 0 Hz and half the sample rate, {rate / 2:g} Hz, the lowest first: got "
                f"lowest {low:g} Hz and highest {high:g} Hz", where
            )  # fmt: skip
        tau = scalar(self.smoothing, TIME, "smoothing", where)
        if not tau > 0:
            raise ParameterError(f"smoothing must be above 0 s, got {tau:g} s", where)
        first, last = (_PER_ERB * float(np.log1p(4.37e-3 * f)) for f in (low, high))
        numbers = np.linspace(first, last, self.channels)
        centres = np.expm1(numbers / _PER_ERB) / 4.37e-3
        found = {"centres": centres, "bandwidths": 24.7 * (4.37e-3 * centres + 1), "_rate": rate, "_tau": tau}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    # -- filters ------------------------------------------------------------------------------------------------

    def impulse_response(self, duration: Quantity) -> np.ndarray:
        """Return the filters' impulse responses by the formula, scaled as they are: [samples, channels]."""
        t = np.arange(np.ceil(scalar(duration, TIME, "duration", caller()) * self._rate - 1e-9))[:, None] / self._rate
        shape = np.exp(-2 * np.pi * BANDWIDTH * self.bandwidths * t) * np.cos(2 * np.pi * self.centres * t)
        return self._gains() * (t * self._rate) ** 3 * shape

    def response(self, frequencies: Quantity) -> np.ndarray:
        """Return the filters' gain and phase at some frequencies: complex128 [frequencies, channels]."""
        f = np.atleast_1d(quantity(frequencies, FREQUENCY, "frequencies", caller()))[:, None]
        return self._gains() * self._transfer(f)

    def filter(self, sound: Any) -> np.ndarray:
        """Return what passes each filter: float64 [samples, channels].

        Parameters
        ----------
        sound : array_like
            One channel, -1 … 1: floating point [samples]; or int16, of which 32768 is 1.
        """
        x = samples(sound)
        out = np.empty((len(x), self.channels))
        for k in range(self.channels):
            out[:, k] = self._filtered(x, k)
        return out

    def envelope(self, sound: Any, dt: Quantity) -> np.ndarray:
        """Return the envelope in each filter and time step: float64 [steps, channels].

        The half-wave rectified sound is smoothed, and averaged in each step of ``dt``. A sine of amplitude A at the
        centre of a filter has envelope A. The last step is filled up with silence.
        """
        x = samples(sound)
        edges = self._edges(len(x), dt)
        out = np.empty((len(edges) - 1, self.channels))
        if not len(x):
            return out
        kept = np.exp(-1 / (self._tau * self._rate))
        pole, whole = [1, -kept], np.diff(edges)
        for k in range(self.channels):
            wave = np.maximum(self._filtered(x, k), 0) * (np.pi * (1 - kept) ** 2)
            for _ in range(2):
                wave = scipy_module("scipy.signal").lfilter([1], pole, wave)
            out[:, k] = np.add.reduceat(wave, edges[:-1]) / whole
        return np.maximum(out, 0)

    def levels(self, sound: Any, dt: Quantity) -> np.ndarray:
        """Return the level in each filter and time step, in dB of a sine of amplitude 1: float64 [steps, channels].

        Silence has -200 dB.
        """
        return 20 * np.log10(np.maximum(self.envelope(sound, dt), SILENCE))

    def _edges(self, count: int, dt: Quantity) -> np.ndarray:
        """Return the first sample of each time step, and the end of the last."""
        step = scalar(dt, TIME, "dt", caller())
        if not step * self._rate >= 1:
            raise ParameterError(
                f"dt must be as long as a sample or longer, {1e3 / self._rate:g} ms, got {dt}: take a larger dt, or "
                "resample the recording", caller()
            )  # fmt: skip
        steps = int(np.ceil(count / (step * self._rate) - 1e-9))
        edges = np.rint(np.arange(steps + 1) * step * self._rate).astype(np.int64)
        return edges[:-1] if steps and edges[-2] >= count else edges  # a last step that was rounded away

    def _pole(self) -> np.ndarray:
        return np.exp(2 * np.pi * (1j * self.centres - BANDWIDTH * self.bandwidths) / self._rate)

    def _transfer(self, f: Any) -> np.ndarray:
        """Return the transfer functions before scaling: that of the real part of a complex filter."""
        total = np.zeros(np.broadcast_shapes(np.shape(f), (self.channels,)), complex)
        for pole in (self._pole(), self._pole().conj()):
            x = pole * np.exp(-2j * np.pi * f / self._rate)
            total += x * (1 + 4 * x + x * x) / (1 - x) ** 4 / 2
        return total

    def _gains(self) -> np.ndarray:
        """Return what makes the gain at the centres 1."""
        return 1 / np.abs(self._transfer(self.centres))

    def _filtered(self, x: np.ndarray, channel: int) -> np.ndarray:
        """Return what passes one filter."""
        pole, gain = self._pole()[channel], self._gains()[channel]
        lfilter = scipy_module("scipy.signal").lfilter
        y = lfilter(gain * np.array([0, pole, 4 * pole**2, pole**3]), [1, -pole], x)
        for _ in range(3):  # four poles one by one: a polynomial of order four would lose digits at low frequencies
            y = lfilter([1], [1, -pole], y)
        return y.real

"""Statistics of spike trains: rate, irregularity, synchrony, oscillation.

All functions take the spikes of one population (``result.spikes["exc"]``) and work on whole arrays: ten million spikes
take seconds. Times are quantities (``100*ms``), results are plain numbers in the stated unit. Where a statistic is
undefined (no spikes, too few intervals) it is NaN, never zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neurosim.analysis.window import SpikeRecord, inside, neurons, seconds, whole_steps, window
from neurosim.errors import ParameterError
from neurosim.units import Quantity, ms


@dataclasses.dataclass(frozen=True, eq=False)
class RateTrace:
    """Population rate over time: bin k covers [start + k bin, start + (k+1) bin).

    Attributes
    ----------
    values : numpy.ndarray
        Mean rate of a neuron in each bin, Hz.
    bin : float
        Width of a bin, s.
    start : float
        Left edge of the first bin, s.
    """

    values: np.ndarray
    bin: float
    start: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        if self.values.ndim != 1 or not self.bin > 0:
            raise ParameterError("a rate trace is one row of bins of positive width")

    @property
    def times(self) -> np.ndarray:
        """Left edges of the bins, s."""
        return self.start + np.arange(len(self.values)) * self.bin

    @property
    def centres(self) -> np.ndarray:
        """Middles of the bins, s."""
        return self.times + self.bin / 2

    def __len__(self) -> int:
        return len(self.values)


class Spectrum(NamedTuple):
    """One-sided power spectral density: ``freqs`` in Hz, ``psd`` in Hz (rate squared per Hz)."""

    freqs: np.ndarray
    psd: np.ndarray


class Peak(NamedTuple):
    """Highest point of a spectrum: ``freq`` in Hz, ``power`` in Hz, ``prominence`` = power over the band's median."""

    freq: float
    power: float
    prominence: float


# -- rates


def rate(spikes: SpikeRecord, start: Quantity | None = None, stop: Quantity | None = None) -> float:
    """Mean firing rate in Hz: spikes / (recorded neurons x duration of the window)."""
    lo, hi = window(spikes, start, stop)
    steps, _ = inside(spikes, start, stop)
    exposure = neurons(spikes) * (hi - lo) * spikes.dt
    return len(steps) / exposure if exposure > 0 else float("nan")


def neuron_rates(spikes: SpikeRecord, start: Quantity | None = None, stop: Quantity | None = None) -> np.ndarray:
    """Firing rate of every recorded neuron in Hz, in the order of ``recorded`` (of all ids when that is None)."""
    lo, hi = window(spikes, start, stop)
    counts = np.bincount(inside(spikes, start, stop)[1], minlength=spikes.size)
    chosen = counts if spikes.recorded is None else counts[spikes.recorded]
    return chosen / ((hi - lo) * spikes.dt) if hi > lo else np.full(len(chosen), np.nan)


def population_rate(
    spikes: SpikeRecord, bin: Quantity = 1 * ms, start: Quantity | None = None, stop: Quantity | None = None
) -> RateTrace:
    """Population rate in Hz, in bins of width ``bin`` (whole steps); an incomplete last bin is left out."""
    width = whole_steps(bin, spikes.dt, "bin")
    lo, _ = window(spikes, start, stop)
    counts = _binned(spikes, width, start, stop)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = counts / np.float64(neurons(spikes) * width * spikes.dt)
    return RateTrace(values, width * spikes.dt, lo * spikes.dt)


# -- intervals


def isi(spikes: SpikeRecord, start: Quantity | None = None, stop: Quantity | None = None) -> np.ndarray:
    """All interspike intervals in s, pooled over neurons; grouped by neuron id, in time order within a neuron."""
    return _intervals(spikes, start, stop)[0] * spikes.dt


def cv_isi(
    spikes: SpikeRecord, min_spikes: int = 3, start: Quantity | None = None, stop: Quantity | None = None
) -> float:
    """Mean coefficient of variation of the intervals: 0 regular, 1 Poisson (dimensionless).

    CV of a neuron = standard deviation / mean of its intervals (both over n, not n - 1, as Elephant does), averaged
    over the neurons with at least ``min_spikes`` spikes. Source: Softky & Koch, J. Neurosci. 13:334 (1993).
    """
    if min_spikes < 3:
        raise ParameterError(f"min_spikes must be at least 3 (two intervals), not {min_spikes}")
    gaps, owner = _intervals(spikes, start, stop)
    count = np.bincount(owner, minlength=spikes.size)
    enough = count >= min_spikes - 1
    if not enough.any():
        return float("nan")
    mean = np.bincount(owner, gaps, minlength=spikes.size) / np.maximum(count, 1)
    squares = np.bincount(owner, (gaps - mean[owner]) ** 2, minlength=spikes.size)
    return float(np.mean(np.sqrt(squares[enough] / count[enough]) / mean[enough]))


def cv2(spikes: SpikeRecord, min_spikes: int = 3, start: Quantity | None = None, stop: Quantity | None = None) -> float:
    """Mean local variation of adjacent intervals, CV2: 0 regular, 1 Poisson (dimensionless).

    CV2 of a neuron = mean of 2 |I_k+1 - I_k| / (I_k+1 + I_k); a slow drift of the rate hardly changes it. Averaged over
    neurons with at least ``min_spikes`` spikes. Source: Holt et al., J. Neurophysiol. 75:1806 (1996).
    """
    return _mean_of_pairs(spikes, min_spikes, start, stop, lambda contrast: 2.0 * np.abs(contrast))


def lv(spikes: SpikeRecord, min_spikes: int = 3, start: Quantity | None = None, stop: Quantity | None = None) -> float:
    """Mean local variation LV: 0 regular, 1 Poisson (dimensionless).

    LV of a neuron = mean of 3 ((I_k - I_k+1) / (I_k + I_k+1))^2, averaged over neurons with at least ``min_spikes``
    spikes. Source: Shinomoto, Shima & Tanji, Neural Comput. 15:2823 (2003).
    """
    return _mean_of_pairs(spikes, min_spikes, start, stop, lambda contrast: 3.0 * contrast**2)


def ks_isi(a: SpikeRecord | np.ndarray, b: SpikeRecord | np.ndarray) -> float:
    """Two-sample Kolmogorov-Smirnov distance of two sets of intervals: 0 equal, 1 disjoint (dimensionless).

    The largest difference of the two empirical distribution functions. ``a`` and ``b`` are spikes, whose pooled
    intervals are compared, or arrays of intervals in s. Source: Press et al., Numerical Recipes, 14.3.3.
    """
    x, y = (np.sort(s if isinstance(s, np.ndarray) else isi(s)) for s in (a, b))
    if len(x) == 0 or len(y) == 0:
        return float("nan")
    at = np.concatenate([s[np.append(True, s[1:] != s[:-1])] for s in (x, y)])  # where either function jumps
    below = np.searchsorted(x, at, side="right") / len(x) - np.searchsorted(y, at, side="right") / len(y)
    return float(np.max(np.abs(below)))


# -- counts


def synchrony(
    spikes: SpikeRecord, bin: Quantity = 3 * ms, skip: Quantity | None = None, stop: Quantity | None = None
) -> float:
    """Variance / mean of the population's spike count in 3 ms bins: 1 for independent Poisson (dimensionless).

    Counts are those of all recorded neurons together, so the number grows with how many were recorded. ``skip`` leaves
    out the transient before that time. Source: Potjans & Diesmann, Cereb. Cortex 24:785 (2014), figure 6D.
    """
    counts = _binned(spikes, whole_steps(bin, spikes.dt, "bin"), skip, stop)
    mean = counts.mean() if len(counts) else 0.0
    return float(counts.var() / mean) if mean > 0 else float("nan")


def fano(
    spikes: SpikeRecord, bin: Quantity = 100 * ms, start: Quantity | None = None, stop: Quantity | None = None
) -> float:
    """Fano factor of single neurons: variance / mean of the spike count in windows of width ``bin`` (dimensionless).

    Averaged over the neurons that spiked; 1 for Poisson, 0 for a count that never changes. Source: Fano, Phys. Rev.
    72:26 (1947); Shadlen & Newsome, J. Neurosci. 18:3870 (1998).
    """
    width = whole_steps(bin, spikes.dt, "bin")
    lo, hi = window(spikes, start, stop)
    bins = (hi - lo) // width
    steps, ids = inside(spikes, start, stop)
    within = steps < lo + bins * width
    steps, ids = steps[within], ids[within]
    if len(steps) == 0 or bins < 2:
        return float("nan")
    order = _by_neuron(ids, spikes.size)
    cell = ids[order] * bins + (steps[order] - lo) // width  # ascending: one number per (neuron, window)
    edges = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1], [True]]))
    count = np.diff(edges)
    owner = cell[edges[:-1]] // bins
    total = np.bincount(owner, count, minlength=spikes.size)
    squares = np.bincount(owner, count.astype(np.float64) ** 2, minlength=spikes.size)
    fired = total > 0
    mean = total[fired] / bins
    return float(np.mean((squares[fired] / bins - mean**2) / mean))


# -- oscillation


def power_spectrum(trace: RateTrace, segment: Quantity | None = None) -> Spectrum:
    """One-sided power spectral density of a population rate, in Hz^2/Hz = Hz, over frequencies in Hz.

    Welch's method: segments of length ``segment`` (an eighth of the trace when None) overlapping by half, mean removed,
    Hann window, periodograms averaged. The resolution is 1/segment, the highest frequency 1/(2 bin). The integral over
    frequency is the variance of the rate. Source: Welch, IEEE Trans. Audio Electroacoust. 15:70 (1967).
    """
    n = len(trace)
    width = max(2, n // 8) if segment is None else round(seconds(segment, "segment") / trace.bin)
    if not 2 <= width <= n:
        raise ParameterError(
            f"a spectrum needs a segment of 2 to {n} bins of {trace.bin * 1e3:g} ms, not {width}; record for longer"
        )
    taper = np.sin(np.pi * np.arange(width) / width) ** 2
    pieces = np.lib.stride_tricks.sliding_window_view(trace.values, width)[:: width - width // 2]
    psd = np.zeros(width // 2 + 1)
    for piece in pieces:
        psd += np.abs(np.fft.rfft((piece - piece.mean()) * taper)) ** 2
    psd *= trace.bin / (np.sum(taper**2) * len(pieces))
    psd[1 : -1 if width % 2 == 0 else None] *= 2.0  # the negative frequencies; 0 and Nyquist have none
    return Spectrum(np.fft.rfftfreq(width, trace.bin), psd)


def spectral_peak(spectrum: Spectrum, low: float = 0.0, high: float = float("inf")) -> Peak:
    """Largest power between ``low`` and ``high`` (Hz, 0 excluded); its frequency is that of a line of the spectrum."""
    band = (spectrum.freqs > 0) & (spectrum.freqs >= low) & (spectrum.freqs <= high)
    if not band.any():
        raise ParameterError(f"the spectrum has no line between {low:g} Hz and {high:g} Hz")
    freqs, psd = spectrum.freqs[band], spectrum.psd[band]
    best = int(np.argmax(psd))
    typical = float(np.median(psd))
    return Peak(float(freqs[best]), float(psd[best]), float(psd[best]) / typical if typical > 0 else float("inf"))


# -- shared steps


def _binned(spikes: SpikeRecord, width: int, start: Quantity | None, stop: Quantity | None) -> np.ndarray:
    """Spike counts of the whole population in bins of ``width`` steps; an incomplete last bin is left out."""
    lo, hi = window(spikes, start, stop)
    bins = (hi - lo) // width
    steps, _ = inside(spikes, start, stop)
    return np.bincount((steps - lo) // width, minlength=bins)[:bins]


def _by_neuron(ids: np.ndarray, size: int) -> np.ndarray:
    """Order that groups spikes sorted by time into neurons, keeping time order within each."""
    narrow = np.uint16 if size <= 1 << 16 else np.int64  # numpy sorts 16-bit keys by radix, several times faster
    return np.argsort(ids.astype(narrow), kind="stable")


def _intervals(spikes: SpikeRecord, start: Quantity | None, stop: Quantity | None) -> tuple[np.ndarray, np.ndarray]:
    """Intervals in steps and the neuron of each, grouped by neuron."""
    steps, ids = inside(spikes, start, stop)
    order = _by_neuron(ids, spikes.size)
    steps, ids = steps[order], ids[order]
    same = ids[1:] == ids[:-1]
    return np.diff(steps)[same], ids[1:][same]


def _mean_of_pairs(
    spikes: SpikeRecord,
    min_spikes: int,
    start: Quantity | None,
    stop: Quantity | None,
    measure: Callable[[np.ndarray], np.ndarray],
) -> float:
    """Average over neurons of the mean of ``measure((I_k+1 - I_k) / (I_k+1 + I_k))``."""
    if min_spikes < 3:
        raise ParameterError(f"min_spikes must be at least 3 (two intervals), not {min_spikes}")
    gaps, owner = _intervals(spikes, start, stop)
    same = owner[1:] == owner[:-1]
    contrast = (np.diff(gaps) / (gaps[1:] + gaps[:-1]))[same]
    pairs = np.bincount(owner[1:][same], minlength=spikes.size)
    total = np.bincount(owner[1:][same], measure(contrast), minlength=spikes.size)
    enough = pairs >= min_spikes - 2
    return float(np.mean(total[enough] / pairs[enough])) if enough.any() else float("nan")

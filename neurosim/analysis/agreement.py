"""How far two runs of one network agree: the first difference, ties in floating point, statistics.

All functions take what two runs recorded: results, or mappings from a population to its spikes. They work on whole
arrays; ten million spikes take seconds. The classes of agreement are those of docs/semantics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neurosim.analysis.spiketrains import cv_isi, isi, ks_isi, rate, synchrony
from neurosim.analysis.window import SpikeRecord
from neurosim.errors import ParameterError
from neurosim.units import TIME, Quantity

CLASSES = ("E0", "E1", "R", "DIFFERENT")
"""From the closest agreement to none: identical, identical up to a tie, alike in statistics, neither."""

TIE = 1e-9
"""How far two values may lie apart and still be a tie, as a part of |threshold - reset|."""

RATE, CV, SYNCHRONY = 0.05, 0.03, 0.20
"""Class R: relative difference of rates, difference of CVs, relative difference of synchrony."""

KS_LEVEL, KS_FLOOR = 0.01, 0.05
"""Class R: level of the Kolmogorov-Smirnov test; the distance up to which any number of intervals agrees."""

SYNCHRONY_BIN = 3e-3
"""Width of the bins of the synchrony, s; of whole steps, the nearest to it."""


@dataclass(frozen=True)
class Difference:
    """The first spike that one of two runs has and the other lacks.

    Attributes
    ----------
    population, neuron, step : str, int, int
        Where and in which step. Of several in the same step, the first population and its first neuron.
    dt : float
        Length of a step, s.
    only_in : {"a", "b"}
        The run that has the spike.
    """

    population: str
    neuron: int
    step: int
    dt: float
    only_in: str

    @property
    def t(self) -> float:
        """Time of the spike, s."""
        return self.step * self.dt

    def __str__(self) -> str:
        return f"neuron {self.neuron} of '{self.population}' in step {self.step} (t = {self.t * 1e3:.10g} ms)"


class Overlap(NamedTuple):
    """How many spikes both runs have, and how many only one of them."""

    common: int
    only_a: int
    only_b: int


class Statistics(NamedTuple):
    """What class R looks at in one population: Hz, dimensionless, dimensionless; NaN where undefined."""

    rate: float
    cv_isi: float
    synchrony: float


# -- spikes


def first_difference(a: Any, b: Any) -> Difference | None:
    """Return the first spike that one run has and the other lacks, or None where they are identical.

    Parameters
    ----------
    a, b : RunResult or mapping of str to Spikes
        Of the same populations, recorded alike over the same steps.

    Raises
    ------
    ParameterError
        The two are not of the same network and duration.
    """
    found: Difference | None = None
    for name, x, y in _pairs(a, b):
        kx, ky = _keys(x), _keys(y)
        same = min(len(kx), len(ky))
        unequal = np.flatnonzero(kx[:same] != ky[:same])
        at = int(unequal[0]) if len(unequal) else same
        if at == len(kx) == len(ky):
            continue
        in_a = at < len(kx) and (at >= len(ky) or kx[at] < ky[at])
        key = int(kx[at] if in_a else ky[at])
        step, neuron = divmod(key, x.size)
        if found is None or step < found.step:
            found = Difference(name, neuron, step, x.dt, "a" if in_a else "b")
    return found


def overlap(a: SpikeRecord, b: SpikeRecord) -> Overlap:
    """Return how many spikes of one population two runs share: equal neuron and equal step."""
    x, y = _keys(a), _keys(b)
    common = len(np.intersect1d(x, y, assume_unique=True))
    return Overlap(common, len(x) - common, len(y) - common)


def only(a: SpikeRecord, b: SpikeRecord) -> np.ndarray:
    """Return which of a's spikes b lacks, as a mask over them."""
    x, y = _keys(a), _keys(b)
    if not len(y):
        return np.ones(len(x), dtype=bool)
    at = np.minimum(np.searchsorted(y, x), len(y) - 1)
    return y[at] != x


def constant_shift(a: Any, b: Any, longest: int = 2) -> int | None:
    """Return k if every spike of ``b`` is one of ``a`` k steps later, in all populations; None if there is no such k.

    Spikes that the shift moves over either end of the run do not count. Identical runs have the shift 0.
    """
    pairs = _pairs(a, b)
    for k in sorted(range(-longest, longest + 1), key=abs):
        matched = 0
        for _, x, y in pairs:
            first, end = x.start_step, x.start_step + x.n_steps
            kx = _keys(x)[(x.steps + k >= first) & (x.steps + k < end)] + k * x.size
            ky = _keys(y)[(y.steps - k >= first) & (y.steps - k < end)]
            if not np.array_equal(kx, ky):
                break
            matched += len(kx)
        else:
            if matched or k == 0:
                return k
    return None


def _pairs(a: Any, b: Any) -> list[tuple[str, SpikeRecord, SpikeRecord]]:
    """Return (population, its spikes in a, in b), after a look at whether they can be compared."""
    a, b = _spikes(a), _spikes(b)
    if set(a) != set(b):
        lost = ", ".join(sorted(set(a) ^ set(b)))
        raise ParameterError(f"the runs recorded spikes of different populations, so they cannot be compared: {lost}")
    out = []
    for name in a:
        x, y = a[name], b[name]
        for what in ("size", "dt", "n_steps", "start_step"):
            if getattr(x, what) != getattr(y, what):
                raise ParameterError(
                    f"the runs differ in {what} of '{name}' ({getattr(x, what)} and {getattr(y, what)}), so their "
                    "spikes cannot be compared: run the same network for the same time"
                )
        if (x.recorded is None) != (y.recorded is None) or (
            x.recorded is not None and not np.array_equal(x.recorded, y.recorded)  # type: ignore[arg-type]
        ):
            raise ParameterError(f"the runs recorded different neurons of '{name}', so they cannot be compared")
        out.append((name, x, y))
    return out


def _spikes(run: Any) -> Mapping[str, SpikeRecord]:
    return run if isinstance(run, Mapping) else run.spikes


def _keys(spikes: SpikeRecord) -> np.ndarray:
    """Return one ascending number per spike: step x size + neuron."""
    return spikes.steps * max(1, spikes.size) + spikes.ids


# -- ties


def is_tie(v_a: float, v_b: float, threshold: float, reset: float) -> bool:
    """Tell whether two values at the threshold lie so close that rounding alone can have put them on its two sides.

    A tie needs both |v_a - v_b| <= 1e-9 |threshold - reset|, and |v - threshold| <= |v_a - v_b| for one of the two
    values. Two equal values are no tie: rounding cannot have told them apart, so the comparison did (``>`` for ``>=``).

    Parameters
    ----------
    v_a, v_b : float
        What the two runs compared with the threshold, before the reset.
    threshold, reset : float
        The values that the variable is compared with and set to; their distance is the scale of the variable.
    """
    apart = abs(v_a - v_b)
    near = min(abs(v_a - threshold), abs(v_b - threshold))
    return 0.0 < apart <= TIE * abs(threshold - reset) and near <= apart


# -- statistics


def statistics(spikes: SpikeRecord) -> Statistics:
    """Return rate (Hz), CV of the intervals and synchrony of one population; NaN where undefined."""
    steps = max(1, round(SYNCHRONY_BIN / spikes.dt))
    return Statistics(rate(spikes), cv_isi(spikes), synchrony(spikes, Quantity(steps * spikes.dt, TIME)))


def ks_limit(m: int, n: int) -> float:
    """Return the distance of two sets of m and n intervals up to which they count as alike.

    The critical value of the two-sample Kolmogorov-Smirnov test at the level of 1 % (asymptotic; Press et al.,
    Numerical Recipes, 14.3.3), and no less than 0.05: with millions of intervals the test would find any difference.
    """
    if not m or not n:
        return math.nan
    return max(KS_FLOOR, math.sqrt(-0.5 * math.log(KS_LEVEL / 2) * (m + n) / (m * n)))


def agree_statistically(a: Any, b: Any) -> list[str]:
    """Return what keeps two runs out of class R, one sentence each; nothing where they agree.

    Rates within 5 % and synchrony within 20 % of the larger, CV of the intervals within 0.03, and a
    Kolmogorov-Smirnov test of the pooled intervals (:func:`ks_limit`), population by population. What is undefined in
    both runs agrees; what is undefined in one of them does not.

    Parameters
    ----------
    a, b : RunResult or mapping of str to Spikes
        Of the same populations, recorded alike over the same steps.
    """
    out = []
    for name, x, y in _pairs(a, b):
        p, q = statistics(x), statistics(y)
        for what, u, v, limit, relative in (
            ("rate", p.rate, q.rate, RATE, True),
            ("CV of the intervals", p.cv_isi, q.cv_isi, CV, False),
            ("synchrony", p.synchrony, q.synchrony, SYNCHRONY, True),
        ):
            out += _apart(f"{what} of '{name}'", u, v, limit, relative)
        gaps = isi(x), isi(y)
        distance, limit = ks_isi(*gaps), ks_limit(len(gaps[0]), len(gaps[1]))
        if distance > limit:
            out.append(f"intervals of '{name}': Kolmogorov-Smirnov distance {distance:.3g}, more than {limit:.3g}")
    return out


def _apart(what: str, u: float, v: float, limit: float, relative: bool) -> list[str]:
    """Say that two numbers differ by more than they may."""
    if math.isnan(u) or math.isnan(v):
        return [] if math.isnan(u) and math.isnan(v) else [f"{what}: {u:.4g} and {v:.4g}, undefined in one run"]
    scale = max(abs(u), abs(v)) if relative else 1.0
    if abs(u - v) <= limit * scale:
        return []
    far = f"{100 * abs(u - v) / scale:.3g} % apart, more than {100 * limit:g} %" if relative else (
        f"{abs(u - v):.3g} apart, more than {limit:g}")  # fmt: skip
    return [f"{what}: {u:.4g} and {v:.4g}, {far}"]

"""The auditory nerve: from the levels in a cochlea's channels to spikes.

Fibres of one channel differ in their threshold, as those of the cat do (M. Liberman, J. Acoust. Soc. Am. 63, 442,
1978): what a quiet and what a loud sound excites are different fibres, each of which has a range of some 30 dB
(M. Sachs & P. Abbas, J. Acoust. Soc. Am. 56, 1835, 1974). A fibre of level has the rate
``rate*clip((L - threshold)/span, 0, 1)``. A fibre of onset has ``rate*clip((L - past)/onset, 0, 1)``, where the past is
the level, low-passed: what lasts is heard by the others. An integrator without leak makes spikes of a rate, the same
ones every time. (Real fibres are nearly as random as a Poisson process, and there are thousands of them.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.encoding.cochlea import Cochlea
from neurosim.encoding.recordings import samples
from neurosim.errors import ParameterError, caller
from neurosim.units import FREQUENCY, TIME, Hz, Quantity, ms, scalar

MOST = 2**31
"""Numbers of spikes, 0 or 1, that are made at once."""


@dataclasses.dataclass(frozen=True)
class Fibres:
    """Nerve fibres of each channel of a :class:`Cochlea`.

    Parameters
    ----------
    thresholds : sequence of float
        Levels, in dB, at which a channel's fibres begin to fire; a fibre for each.
    span : float
        From there to where the rate saturates, in dB.
    onset : float or None
        A further fibre of each channel fires while the level is above its own past, and saturates this many dB above.
        None: there is none.
    past : Quantity
        Time constant in which the past is forgotten. Levels below the lowest threshold are taken to be there.
    rate : Quantity
        What they saturate at.
    """

    thresholds: Sequence[float] = (-65.0, -52.0, -40.0)
    span: float = 25.0
    onset: float | None = 15.0
    past: Quantity = 40 * ms
    rate: Quantity = 200 * Hz

    def __post_init__(self) -> None:
        where = caller()
        try:
            found = np.asarray(self.thresholds, dtype=np.float64)
        except (TypeError, ValueError):
            found = np.asarray(np.nan)
        if found.ndim != 1 or not np.isfinite(found).all():
            raise ParameterError(f"thresholds must be a list of finite levels in dB, got {self.thresholds!r}", where)
        decibels: dict[str, Any] = {"span": self.span} | ({} if self.onset is None else {"onset": self.onset})
        for name, value in decibels.items():
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not (number and 0 < value < np.inf):
                raise ParameterError(f"{name} must be a number of dB above 0, got {value!r}", where)
        if not len(found) and self.onset is None:
            raise ParameterError("there are no fibres: give thresholds, or onset", where)
        if not scalar(self.past, TIME, "past", where) > 0 or not scalar(self.rate, FREQUENCY, "rate", where) > 0:
            raise ParameterError(f"past and rate must be above 0, got {self.past} and {self.rate}", where)
        object.__setattr__(self, "thresholds", tuple(found.tolist()))

    @property
    def each(self) -> int:
        """How many fibres a channel has."""
        return len(self.thresholds) + (self.onset is not None)

    def rates(self, levels: Any, dt: Quantity) -> np.ndarray:
        """Return the rate of each fibre in each step.

        Parameters
        ----------
        levels : array_like
            In dB, [steps, channels] or [batch, steps, channels], as :meth:`Cochlea.levels` gives them.
        dt : Quantity
            Time step.

        Returns
        -------
        ndarray
            In Hz: float64 [..., steps, fibres]: of all channels the fibre of the first threshold, of all that of the
            second, and so on; those of onset are the last.
        """
        where, given = caller(), np.asarray(levels)
        if given.ndim < 2 or given.dtype.kind not in "iuf":
            raise ParameterError(
                f"levels must be numbers [steps, channels] or [batch, steps, channels], got shape {list(given.shape)} "
                f"of {given.dtype}", where
            )  # fmt: skip
        given = given.astype(np.float64)
        if not np.isfinite(given).all():
            raise ParameterError("levels must be finite; silence has -200 dB", where)
        step = scalar(dt, TIME, "dt", where)
        if not step > 0:
            raise ParameterError(f"dt must be above 0, got {dt}", where)
        parts = [(given - threshold) / self.span for threshold in self.thresholds]
        if self.onset is not None:
            parts.append((given - self._past(given, step)) / self.onset)
        return scalar(self.rate, FREQUENCY, "rate") * np.clip(np.concatenate(parts, -1), 0, 1)

    def _past(self, levels: np.ndarray, step: float) -> np.ndarray:
        """Return what each level was before its step, low-passed."""
        floor = min(self.thresholds, default=-60.0)
        keep, out = np.exp(-step / scalar(self.past, TIME, "past")), np.full(levels.shape, floor)
        for k in range(1, levels.shape[-2]):
            before = np.maximum(levels[..., k - 1, :], floor)  # what nobody hears has no past
            out[..., k, :] = keep * out[..., k - 1, :] + (1 - keep) * before
        return out

    def spikes(self, levels: Any, dt: Quantity) -> np.ndarray:
        """Return which fibre spikes in which step: float32, 0 or 1, [..., steps, fibres].

        A spike comes whenever the integral of a fibre's rate passes a half, one and a half, and so on.

        Raises
        ------
        ParameterError
            If a saturated fibre would spike more than once in a step.
        """
        where = caller()
        step, most = scalar(dt, TIME, "dt", where), scalar(self.rate, FREQUENCY, "rate")
        if most * step > 1 + 1e-9:
            raise ParameterError(
                f"fibres that saturate at {most:g} Hz would spike more than once in a step of {dt}: take a smaller dt, "
                f"or a rate of at most {1 / step:g} Hz", where
            )  # fmt: skip
        done = np.floor(np.cumsum(self.rates(levels, dt) * step, -2) + 0.5)
        return (np.diff(done, axis=-2, prepend=0) > 0).astype(np.float32)


def sound(
    recordings: Any, cochlea: Cochlea, dt: Quantity, *, fibres: Fibres | None = None, steps: int | None = None
) -> np.ndarray:
    """Return the spikes of the auditory nerve.

    Parameters
    ----------
    recordings : array_like, or list of array_like
        One recording, [samples], or any number of them, of different lengths: in floating point, -1 … 1, or int16.
    cochlea : Cochlea
        Of their sample rate.
    dt : Quantity
        Time step of the network.
    fibres : Fibres, optional
        Those of each channel.
    steps : int, optional
        How many: shorter recordings are followed by silence, longer ones are cut. By default those of the longest.

    Returns
    -------
    ndarray
        float32, 0 or 1: [batch, steps, fibres] of a list, [steps, fibres] of one recording.
    """
    where, nerve = caller(), fibres or Fibres()
    several = isinstance(recordings, (list, tuple)) and not all(np.ndim(r) == 0 for r in recordings)
    if isinstance(recordings, (list, tuple)) and not recordings:
        raise ParameterError("there are no recordings: give one, or a list of them", where)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0):
        raise ParameterError(f"steps must be a whole number of at least 0, got {steps!r}", where)
    rows = [samples(r, f"recording {k}") for k, r in enumerate(recordings)] if several else [samples(recordings)]
    levels = [cochlea.levels(row, dt)[:steps] for row in rows]
    length = steps if steps is not None else max(map(len, levels))
    if len(levels) * length * cochlea.channels * nerve.each > MOST:
        raise ParameterError(
            f"{len(levels)} recordings of {length} steps and {cochlea.channels * nerve.each} fibres are more than "
            f"{MOST:,} numbers: give fewer at once", where
        )  # fmt: skip
    out = np.zeros((len(levels), length, cochlea.channels * nerve.each), np.float32)
    for k, one in enumerate(levels):
        out[k, : len(one)] = nerve.spikes(one, dt)
    return out if several else out[0]

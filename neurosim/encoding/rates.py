"""Rate coding: a value is how likely, or how often, a neuron spikes."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.encoding.values import Values, flattened, real, room, values, whole
from neurosim.errors import ParameterError, caller
from neurosim.ir.random import Draws


def rate(
    x: Any,
    steps: int | None = None,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
    first: int = 0,
    seed: int = 0,
    samples: Any = None,
) -> Any:
    """Return spikes drawn in every step on its own, with probability ``gain*x + offset``, cut to 0 … 1.

    The Bernoulli process that is called a Poisson spike train in discrete time, and ``snntorch.spikegen.rate``. With a
    rate r in hertz for x = 1 the gain is ``r * dt``: ``gain=(100*Hz) * (1*ms)`` is 0.1.

    Parameters
    ----------
    x : array_like or tensor
        Without time: [features] or [batch, features, …]. With time, if no steps are given: [time, features] or
        [batch, time, features, …]. Axes behind are made one: an image of h x w is h*w neurons, row by row.
    steps : int, optional
        How many, for an x without time.
    gain, offset : float
        What makes a probability of a value.
    first : int
        Before this step no neuron spikes.
    seed : int
        0 to 2^64 - 1. The same seed gives the same spikes on every machine.
    samples : array_like of int, optional
        The number of each sample of the batch, 0, 1, 2 … if not given. A sample of a number has the same spikes
        whichever batch it comes in; for new ones in every epoch change the seed.

    Returns
    -------
    array or tensor
        0 and 1: [batch, time, neurons], or [time, neurons] of one sample.

    Raises
    ------
    ParameterError
        If a value is not finite, or a parameter outside its legal values.
    """
    where = caller()
    found = values(x, "x", steps is None, where)
    gain = real(gain, "gain", -np.inf, np.inf, where)
    offset = real(offset, "offset", -np.inf, np.inf, where)
    likely, n = _timed(found, steps, where)
    first = _first(first, n, where)
    batch, size = len(likely), likely.shape[2]
    room((batch, n, size), where)
    if whole(seed, "seed", 0, where) >= 1 << 64:
        raise ParameterError(f"a seed is below 2^64, got {seed}", where)
    draws = Draws(seed, "encoding.rate")
    out = np.zeros((batch, n, size), dtype=np.float32)
    at = np.arange(first, n)
    for k, number in enumerate(_numbers(samples, batch, where)):
        p = likely[k].astype(np.float64) * gain + offset
        out[k, first:] = draws.uniform(number * size, size, at) < (p if steps is not None else p[first:])
    return found.back(out)


def regular_rate(
    x: Any, steps: int, *, gain: float = 1.0, offset: float = 0.0, first: int = 0, phase: float = 0.5
) -> Any:
    """Return spikes at equal distances: after k steps a neuron has spiked ``floor(k*p + phase)`` times.

    p is ``gain*x + offset``, cut to 0 … 1. Nothing is drawn; the number of spikes is that of the rate to within one. It
    is what an integrate-and-fire cell does that is driven by p and starts at the phase. Two neurons with the same value
    spike together: where that matters, draw with :func:`rate`.

    Parameters
    ----------
    x : array_like or tensor
        [features] or [batch, features, …], as in :func:`rate`.
    steps : int
        How many.
    gain, offset, first
        As in :func:`rate`; the count begins at the step `first`.
    phase : float
        0 to below 1. With 1/2, counts are rounded to the nearest.

    Returns
    -------
    array or tensor
        0 and 1: [batch, time, neurons], or [time, neurons] of one sample.
    """
    where = caller()
    found = values(x, "x", False, where)
    gain = real(gain, "gain", -np.inf, np.inf, where)
    offset = real(offset, "offset", -np.inf, np.inf, where)
    if real(phase, "phase", 0, 1, where) == 1:
        raise ParameterError("phase must be below 1: at 1 a neuron of rate 0 would have spiked already", where)
    n = whole(steps, "steps", 1, where)
    first = _first(first, n, where)
    flat = flattened(found.numbers, 1)
    room((len(flat), n, flat.shape[1]), where)
    p = np.clip(flat.astype(np.float64) * gain + offset, 0, 1)[:, None, :]
    out = np.zeros((len(flat), n, flat.shape[1]), dtype=np.float32)
    k = np.arange(n - first + 1)[:, None]
    for i in range(len(flat)):  # the counts in double precision are not kept of all samples at once
        out[i, first:] = np.diff(np.floor(k * p[i] + phase), axis=0)
    return found.back(out)


def _timed(found: Values, steps: int | None, where: str | None) -> tuple[np.ndarray, int]:
    """Return the values with an axis of time, of length 1 where there is none, and the number of steps."""
    numbers = found.numbers
    if steps is None:
        return flattened(numbers, 2), numbers.shape[1]
    return flattened(numbers, 1)[:, None], whole(steps, "steps", 1, where)


def _first(first: Any, n: int, where: str | None) -> int:
    if whole(first, "first", 0, where) >= n:
        raise ParameterError(f"first is step {first}, and there are only {n} steps (the last is {n - 1})", where)
    return int(first)


def _numbers(samples: Any, batch: int, where: str | None) -> list[int]:
    """Return the numbers of the samples."""
    if samples is None:
        return list(range(batch))
    given = np.asarray(samples)
    if given.dtype.kind not in "iu" or np.atleast_1d(given).shape != (batch,):
        raise ParameterError(f"samples are one whole number for each of the {batch} samples, got "
                             f"{given.dtype} of shape {list(given.shape)}", where)  # fmt: skip
    numbers = [int(k) for k in np.atleast_1d(given)]
    if min(numbers, default=0) < 0 or max(numbers, default=0) >= 1 << 32:
        raise ParameterError(f"numbers of samples are 0 to 2^32 - 1, got {min(numbers)} to {max(numbers)}", where)
    return numbers


__all__ = ["rate", "regular_rate"]

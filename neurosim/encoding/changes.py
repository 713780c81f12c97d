"""Delta coding: spikes where a signal changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.encoding.values import flattened, real, room, values
from neurosim.errors import ParameterError, caller


def delta(
    x: Any, *, threshold: float = 0.1, off_spike: bool = False, padding: bool = False, against: str = "previous"
) -> Any:
    """Return a spike where a signal has risen by a threshold, and with `off_spike` one of another neuron where it fell.

    ============  ================================================================================================
    ``previous``  a step is compared with the one before it: ``snntorch.spikegen.delta``
    ``level``     a step is compared with a level that every spike moves by one threshold towards the signal: slow
                  changes are not lost, and the level follows whatever changes by less than a threshold a step
    ============  ================================================================================================

    Spikes are 1 in both directions. snnTorch has -1 for a fall; here a fall is a spike of another neuron: n neurons for
    the rises of n features, then n for their falls.

    Parameters
    ----------
    x : array_like or tensor
        [time, features] or [batch, time, features, …].
    threshold : float
        Above 0, in the unit of x.
    off_spike : bool
        Whether falls make spikes.
    padding : bool
        The first step is compared with itself, so that it makes no spike; otherwise with 0.
    against : {"previous", "level"}
        With what a step is compared.

    Returns
    -------
    array or tensor
        0 and 1: [batch, time, features], with `off_spike` [batch, time, 2 features]; without the batch of one sample.
    """
    where = caller()
    found = values(x, "x", True, where)
    threshold = real(threshold, "threshold", 0, np.inf, where, strict=True)
    if against not in ("previous", "level"):
        raise ParameterError(f"against must be 'previous' or 'level', got {against!r}", where)
    flat = flattened(found.numbers, 2)
    batch, n, size = flat.shape
    room((batch, n, size * (2 if off_spike else 1)), where)
    start = flat[:, :1] if padding else np.zeros_like(flat[:, :1])
    if against == "previous":
        change = np.diff(flat, axis=1, prepend=start)
        up, down = change >= threshold, change <= -threshold
    else:
        up, down = _levels(flat, start[:, 0], threshold)
    return found.back((np.concatenate([up, down], axis=2) if off_spike else up).astype(np.float32))


def _levels(x: np.ndarray, level: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rises and falls against a level that follows, [batch, time, features]."""
    up, down = np.zeros(x.shape, dtype=bool), np.zeros(x.shape, dtype=bool)
    origin, count = level.astype(np.float64), np.zeros(level.shape)  # whole thresholds: nothing adds up errors
    for k in range(x.shape[1]):
        change = x[:, k] - origin
        up[:, k], down[:, k] = change >= (count + 1) * threshold, change <= (count - 1) * threshold
        count += up[:, k].astype(float) - down[:, k]
    return up, down


__all__ = ["delta"]

"""Latency coding: a larger value spikes earlier, and every neuron once at most."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.encoding.values import flattened, real, room, values, whole
from neurosim.errors import ParameterError, caller

EPSILON = 1e-7
"""How far above the threshold a value is taken to be that is not: the logarithm would be infinite there."""


def latency(
    x: Any,
    steps: int,
    *,
    law: str = "log",
    tau: float = 1.0,
    threshold: float = 0.01,
    first: int = 0,
    normalize: bool = False,
    clip: bool = False,
    late: str = "error",
) -> Any:
    """Return one spike per neuron, the earlier the larger its value in 0 … 1.

    ==========  ==================================================================================================
    ``log``     ``first + tau ln(x / (x - threshold))``: when a leaky integrator (RC) with the time constant tau, driven
                by x from 0 on, reaches the threshold
    ``linear``  ``first + tau (1 - x)``
    ==========  ==================================================================================================

    rounded to the nearest step, half to even. Values below the threshold are taken to be at it. These are the laws, the
    names and the defaults of ``snntorch.spikegen.latency``.

    Parameters
    ----------
    x : array_like or tensor
        [features] or [batch, features, …], in 0 … 1.
    steps : int
        How many.
    law : {"log", "linear"}
        From value to time.
    tau : float
        In steps.
    threshold : float
        0 to 1, above 0 with "log".
    first : int
        The earliest step.
    normalize : bool
        Choose tau such that the latest spike possible is in the last step: with "log" that of a value at the threshold
        or below, with "linear" that of 0, were there no threshold. So the spikes of a sample do not depend on its
        batch. (With "log" snnTorch scales by the latest spike of the batch, which is the same where a value of it is
        at the threshold or below.)
    clip : bool
        Values below the threshold do not spike at all.
    late : {"error", "drop"}
        What is to become of spikes behind the last step.

    Returns
    -------
    array or tensor
        0 and 1: [batch, time, neurons], or [time, neurons] of one sample.

    Raises
    ------
    ParameterError
        If a value is outside 0 … 1, or a spike too late.
    """
    where = caller()
    if law not in ("log", "linear"):
        raise ParameterError(f"law must be 'log' or 'linear', got {law!r}", where)
    if late not in ("error", "drop"):
        raise ParameterError(f"late must be 'error' or 'drop', got {late!r}", where)
    found = values(x, "x", False, where)
    flat = flattened(found.numbers, 1)
    tau = real(tau, "tau", 0, np.inf, where, strict=True)
    threshold = real(threshold, "threshold", 0, 1, where, strict=law == "log")
    n = whole(steps, "steps", 1, where)
    first = whole(first, "first", 0, where)
    if first >= n:
        raise ParameterError(f"first is step {first}, and there are only {n} steps (the last is {n - 1})", where)
    if flat.size and not (flat.min() >= 0 and flat.max() <= 1):
        raise ParameterError(f"latency codes values in 0 … 1, got {flat.min():g} to {flat.max():g}: scale them first, "
                             "as in (x - low) / (high - low)", where)  # fmt: skip
    room((len(flat), n, flat.shape[1]), where)
    if normalize:
        tau = (n - 1 - first) / (np.log((threshold + EPSILON) / EPSILON) if law == "log" else 1.0)
    at = np.rint(_times(flat, law, tau, threshold) + first).astype(np.int64)
    kept = ~(clip & (flat < threshold))
    behind = kept & (at >= n)
    if behind.any() and late == "error":
        i, k = (int(v) for v in np.argwhere(behind)[0])
        raise ParameterError(
            f"the value {flat[i, k]:g} would spike in step {at[i, k]}, and there are {n} steps: normalize=True makes "
            "all fit, late='drop' leaves such spikes out, clip=True those of values below the threshold", where
        )  # fmt: skip
    out = np.zeros((len(flat), n, flat.shape[1]), dtype=np.float32)
    sample, neuron = np.nonzero(kept & ~behind)
    out[sample, at[sample, neuron], neuron] = 1
    return found.back(out)


def _times(x: np.ndarray, law: str, tau: float, threshold: float) -> np.ndarray:
    """Return the times in steps, computed in double precision whatever the precision of x."""
    x = x.astype(np.float64)
    if law == "linear":
        return np.minimum(tau * (1 - x), tau * (1 - threshold))
    x = np.maximum(x, threshold + EPSILON)
    return tau * np.log(x / (x - threshold))


__all__ = ["EPSILON", "latency"]

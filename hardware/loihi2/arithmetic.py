"""Every rounding, wrap and clip of Loihi 2's integers, as Lava 0.10 carries them out in its ``fixed_pt`` models.

One function each, on whole numbers as NumPy ``int64``. Cells are written in the same steps as equations over whole
numbers in double precision, which holds all of them exactly: the largest product, a state times a decay, has 36 bits.
(Source: Lava 0.10.0, ``lava/proc/lif/models.py``, ``lava/proc/dense/models.py``, ``lava/utils/weightutils.py``.)
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.errors import ParameterError

Ints = NDArray[np.int64]
Sign = Literal["excitatory", "inhibitory", "mixed"]

DECAY = 4096
"""Decays are in 1/4096 of a variable per step."""

ALIGN = 64
"""Weights and thresholds are shifted left by 6 bits to where the state variables are."""

HALF = 2**23
"""Half the range of u, and one more than the largest v."""

LIMITS: dict[Sign, tuple[int, int]] = {"excitatory": (0, 255), "inhibitory": (-255, 0), "mixed": (-256, 255)}
"""Least and greatest weight by sign mode."""


def decayed(x: ArrayLike, rate: ArrayLike, offset: int) -> Ints:
    """Return ``x`` less ``rate + offset`` 4096ths of it, its magnitude rounded down: small values die out.

    The offset is 1 for the current u, which therefore leaks even with a rate of 0, and 0 for v.
    """
    values = np.asarray(x, dtype=np.int64)
    left = (np.abs(values) * (DECAY - (np.asarray(rate, dtype=np.int64) + offset))) >> 12
    return np.where(values < 0, -left, left)


def wrapped(u: ArrayLike) -> Ints:
    """Return a current of 24 bits after an overflow: once round, so that what is further out stays out of range."""
    values = np.asarray(u, dtype=np.int64)
    return np.where(values > HALF, values - 2 * HALF, np.where(values <= -HALF, values + 2 * HALF, values))


def saturated(v: ArrayLike) -> Ints:
    """Return a potential clipped to 24 bits."""
    return np.clip(np.asarray(v, dtype=np.int64), 1 - HALF, HALF - 1)


def shifted(x: ArrayLike, exponent: int) -> Ints:
    """Return ``x * 2^exponent``, rounded down."""
    values = np.asarray(x, dtype=np.int64)
    return values << exponent if exponent >= 0 else values >> -exponent


def sign_mode(weights: ArrayLike) -> Sign:
    """Return the sign mode that fits weights: one of each sign makes them mixed."""
    values = np.asarray(weights)
    if np.min(values, initial=0) >= 0:
        return "excitatory"
    return "inhibitory" if np.max(values, initial=0) <= 0 else "mixed"


def stored(weights: ArrayLike, bits: int = 8, sign: Sign | None = None) -> Ints:
    """Return weights as a chip stores them: cut to whole numbers, clipped, and without the bits that do not fit.

    Mixed weights lose a bit to the sign: with 8 bits they are even. Rounding is towards minus infinity, for inhibitory
    ones towards zero.

    Parameters
    ----------
    weights : array_like
        Numbers; their fraction is cut off.
    bits : int
        Number of bits of the magnitude, 1 to 8.
    sign : {"excitatory", "inhibitory", "mixed"}, optional
        Sign mode; by default that of the weights.
    """
    if not isinstance(bits, (int, np.integer)) or not 1 <= bits <= 8:
        raise ParameterError(f"the number of bits of a weight is 1 to 8, got {bits!r}")
    whole = np.trunc(np.asarray(weights, dtype=np.float64)).astype(np.int64)
    mode = sign_mode(whole) if sign is None else sign
    if mode not in LIMITS:
        raise ParameterError(f"the sign mode is {', '.join(LIMITS)}, got {mode!r}")
    clipped = np.clip(whole, *LIMITS[mode])
    drop = 8 - int(bits) + (mode == "mixed")
    if mode == "inhibitory":
        return -((-clipped >> drop) << drop)
    return (clipped >> drop) << drop

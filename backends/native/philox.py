"""The generator of random words, compiled; printed in front of every module that draws."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(error_model="numpy", forceinline=True)
def philox_words(key0, key1, block, step):
    """Return the four words of a block at a step, as :func:`neurosim.ir.random.philox` makes them: Philox 4x32-10.

    Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC '11, section 2.2 and table 2.
    """
    low, s32 = np.uint64(0xFFFFFFFF), np.uint64(32)
    m0, m1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    w0, w1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
    c0, c1 = np.uint64(block) & low, np.uint64(block) >> s32
    c2, c3 = np.uint64(step) & low, np.uint64(step) >> s32
    k0, k1 = np.uint64(key0), np.uint64(key1)
    for _ in range(10):
        p0 = m0 * c0
        p1 = m1 * c2
        c0, c1, c2, c3 = ((p1 >> s32) ^ c1 ^ k0) & low, p1 & low, ((p0 >> s32) ^ c3 ^ k1) & low, p0 & low
        k0 = (k0 + w0) & low
        k1 = (k1 + w1) & low
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)

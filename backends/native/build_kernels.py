"""Compiled helpers of building: random words in bulk, and the counting sort of edges into rows.

The text of this module is compiled under its hash together with the functions that drawing needs
(:mod:`neurosim.backends.native.draws`).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(error_model="numpy", inline="always")
def philox_fill(key0, key1, first, steps, out):
    """Write out[s, 4 b + w]: word w of block ``first + b`` at ``steps[s]``."""
    low, s32 = np.uint64(0xFFFFFFFF), np.uint64(32)
    m0, m1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    w0, w1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
    for s in range(out.shape[0]):
        n = np.uint64(steps[s])
        for b in range(out.shape[1] // 4):
            counter = np.uint64(first) + np.uint64(b)
            c0, c1 = counter & low, counter >> s32
            c2, c3 = n & low, n >> s32
            k0, k1 = np.uint64(key0), np.uint64(key1)
            for _ in range(10):
                p0 = m0 * c0
                p1 = m1 * c2
                c0, c1, c2, c3 = ((p1 >> s32) ^ c1 ^ k0) & low, p1 & low, ((p0 >> s32) ^ c3 ^ k1) & low, p0 & low
                k0 = (k0 + w0) & low
                k1 = (k1 + w1) & low
            out[s, 4 * b] = np.uint32(c0)
            out[s, 4 * b + 1] = np.uint32(c1)
            out[s, 4 * b + 2] = np.uint32(c2)
            out[s, 4 * b + 3] = np.uint32(c3)
    return 0


@njit(error_model="numpy", inline="always")
def philox_at(key0, key1, block, steps, out):
    """Write out[k]: the four words of ``block[k]`` at ``steps[k]``."""
    low, s32 = np.uint64(0xFFFFFFFF), np.uint64(32)
    m0, m1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    w0, w1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
    for b in range(out.shape[0]):
        c0, c1 = np.uint64(block[b]) & low, np.uint64(block[b]) >> s32
        c2, c3 = np.uint64(steps[b]) & low, np.uint64(steps[b]) >> s32
        k0, k1 = np.uint64(key0), np.uint64(key1)
        for _ in range(10):
            p0 = m0 * c0
            p1 = m1 * c2
            c0, c1, c2, c3 = ((p1 >> s32) ^ c1 ^ k0) & low, p1 & low, ((p0 >> s32) ^ c3 ^ k1) & low, p0 & low
            k0 = (k0 + w0) & low
            k1 = (k1 + w1) & low
        out[b, 0] = np.uint32(c0)
        out[b, 1] = np.uint32(c1)
        out[b, 2] = np.uint32(c2)
        out[b, 3] = np.uint32(c3)
    return 0


@njit(error_model="numpy", inline="always")
def count_edges(pre, post, delay, first, sources, lowest, nd, place, count, low_high):
    """Count the edges of each row (source, delay) whose target is this thread's.

    ``place[gid]`` is the target's position in the thread's inbox, -1 for another thread's; ``delay`` has one entry
    where all are equal. ``low_high`` gets the smallest and largest position met.
    """
    same = delay.shape[0] == 1
    for e in range(pre.shape[0]):
        at = place[post[e]]
        source = np.int64(pre[e]) - first
        if at < 0 or source < 0 or source >= sources:
            continue
        d = np.int64(delay[0 if same else e]) - lowest
        count[source * nd + (d if nd > 1 else 0)] += 1
        if at < low_high[0]:
            low_high[0] = at
        if at > low_high[1]:
            low_high[1] = at
    return 0


@njit(error_model="numpy", inline="always")
def place_edges(
    pre,
    post,
    delay,
    weight,
    first,
    sources,
    lowest,
    nd,
    place,
    cursor,
    base,
    target,
    weights,
    weight_shift,
    delays,
    delay_shift,
):
    """Write the edges into their rows; ``cursor`` is the next free place of each row.

    ``weights`` and ``delays`` have length 1 where they are not stored per edge.
    """
    same = delay.shape[0] == 1
    one = weight.shape[0] == 1
    keep_weight, keep_delay = weights.shape[0] > 1, delays.shape[0] > 1
    for e in range(pre.shape[0]):
        at = place[post[e]]
        source = np.int64(pre[e]) - first
        if at < 0 or source < 0 or source >= sources:
            continue
        d = np.int64(delay[0 if same else e])
        r = source * nd + (d - lowest if nd > 1 else 0)
        k = cursor[r]
        cursor[r] = k + 1
        target[k] = at - base
        if keep_weight:
            weights[k + weight_shift] = weight[0 if one else e]
        if keep_delay:
            delays[k + delay_shift] = d
    return 0

"""Compiled helpers of building: random words in bulk, and the counting sort of edges into rows.

The text of this module is compiled under its hash together with the functions that drawing needs
(:mod:`neurosim.backends.native.draws`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from neurosim.backends.native.philox import philox_words


@njit(error_model="numpy", inline="always")
def philox_fill(key0, key1, first, steps, out):
    """Write out[s, 4 b + w]: word w of block ``first + b`` at ``steps[s]``."""
    for s in range(out.shape[0]):
        for b in range(out.shape[1] // 4):
            out[s, 4 * b], out[s, 4 * b + 1], out[s, 4 * b + 2], out[s, 4 * b + 3] = philox_words(
                key0, key1, np.uint64(first) + np.uint64(b), steps[s]
            )
    return 0


@njit(error_model="numpy", inline="always")
def philox_at(key0, key1, block, steps, out):
    """Write out[k]: the four words of ``block[k]`` at ``steps[k]``."""
    for b in range(out.shape[0]):
        out[b, 0], out[b, 1], out[b, 2], out[b, 3] = philox_words(key0, key1, block[b], steps[b])
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

"""Random numbers that are a function of (seed, stream, index, step) and of nothing else.

Philox 4x32-10 [1]_ turns a key and a counter into four 32-bit words. Here

- the key is the pair of 32-bit halves of ``blake2b(seed as 8 little-endian bytes + stream name, 8 bytes)``, low first;
- the counter is (block low, block high, step low, step high) with ``block = index div 4``; the index picks word
  ``index mod 4`` of the result, so that four neighbouring neurons or edges share one evaluation.

There is no state: any number can be had at any time, in any order, on any engine. What the words become:

=============  =====================================================================================================
uniform        ``(word + 1/2) 2^-32``; all 2^32 values lie strictly inside (0, 1) and are symmetric about 1/2
uniform53      index i takes words 2i (low) and 2i + 1 (high): ``((high << 21 | low >> 11) | 1) 2^-53``, an odd multiple
               of 2^-53. (Adding 1/2 to all 53 bits instead would round to 1.0 once in 2^53 draws.)
normal         ``ndtri(uniform)``: inversion; the magnitude never exceeds :data:`NORMAL_BOUND`
integers       ``floor(uniform53 * bound)``: probabilities are off by at most 2^-52, relative to 1
Poisson        inversion of ``word``, see :func:`poisson_thresholds` and :func:`poisson_inversion`
=============  =====================================================================================================

``ndtri``, ``log`` and ``exp`` are the programs of :mod:`neurosim.ir.functions`, not a library's. Machines are taken to
be little-endian, as all with NumPy wheels but s390x are.

References
----------
.. [1] Salmon, J. K., Moraes, M. A., Dror, R. O., Shaw, D. E. (2011). Parallel random numbers: as easy as 1, 2, 3.
   Proc. SC11, 16. https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import hashlib
import math
from decimal import Context, Decimal
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.errors import ParameterError

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Steps = int | U64 | I64

NORMAL_BOUND = 6.33795775456
"""No normal number is larger in magnitude: ``ndtri(1 - 2^-33)`` is 6.337957754553789."""

POISSON_MEAN_LIMIT = 700.0
"""Largest mean of a Poisson count in one step; beyond about 708, exp(-mean) leaves the normal doubles."""

POISSON_COUNT_LIMIT = 1000
"""Largest count :func:`poisson_inversion` returns (a mean of 700 reaches it less than once in 10^26 draws)."""

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_TILE = 1 << 14  # blocks evaluated together: calls cost nothing beside it, and its six arrays stay in the cache


def stream_key(seed: int, name: str) -> tuple[int, int]:
    """Return the two 32-bit key words of a stream.

    Parameters
    ----------
    seed : int
        Seed of the network, 0 to 2^64 - 1.
    name : str
        Name of the stream; different names give independent numbers.
    """
    if not 0 <= seed < 1 << 64:
        raise ParameterError(f"a seed must lie between 0 and 2^64 - 1, not be {seed}")
    digest = hashlib.blake2b(int(seed).to_bytes(8, "little") + name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(block: ArrayLike, step: ArrayLike, key: tuple[int, int]) -> U32:
    """Evaluate Philox 4x32-10 at the counters (block, step); both are 64-bit and broadcast against each other.

    Returns
    -------
    ndarray of uint32, shape broadcast(block, step) + (4,)
    """
    blocks, steps = np.broadcast_arrays(np.asarray(block, dtype=np.uint64), np.asarray(step, dtype=np.uint64))
    shape, blocks, steps = blocks.shape, blocks.reshape(-1), steps.reshape(-1)
    out = np.empty((blocks.size, 2), dtype=np.uint64)
    work = _Work(min(_TILE, blocks.size), key)
    for start in range(0, blocks.size, _TILE):
        part = slice(start, start + _TILE)
        work.evaluate(blocks[part], steps[part], out[part])
    return out.view(np.uint32).reshape(*shape, 4)


class _Work:
    """Scratch arrays and round keys for tiles of blocks."""

    def __init__(self, size: int, key: tuple[int, int]) -> None:
        self.arrays = [np.empty(size, dtype=np.uint64) for _ in range(6)]
        self.keys = [
            (np.uint64((key[0] + r * _W0) & 0xFFFFFFFF), np.uint64((key[1] + r * _W1) & 0xFFFFFFFF)) for r in range(10)
        ]

    def evaluate(self, block: U64 | Any, step: U64 | Any, out: U64) -> None:
        """Write the words of the counters into ``out`` [..., 2], two to an element; ``block``, ``step`` broadcast."""
        shape = out.shape[:-1]
        size = math.prod(shape)
        c0, c1, c2, c3, p0, p1 = (a[:size].reshape(shape) for a in self.arrays)
        multiply, xor, shift, mask = np.multiply, np.bitwise_xor, np.right_shift, np.bitwise_and
        mask(block, _LOW, out=c0)
        shift(block, _SHIFT, out=c1)
        mask(step, _LOW, out=c2)
        shift(step, _SHIFT, out=c3)
        for k0, k1 in self.keys:
            multiply(c0, _M0, out=p0)
            multiply(c2, _M1, out=p1)
            shift(p1, _SHIFT, out=c0)
            xor(c0, c1, out=c0)
            xor(c0, k0, out=c0)
            mask(p1, _LOW, out=c1)
            shift(p0, _SHIFT, out=c2)
            xor(c2, c3, out=c2)
            xor(c2, k1, out=c2)
            mask(p0, _LOW, out=c3)
        np.left_shift(c1, _SHIFT, out=c1)
        np.left_shift(c3, _SHIFT, out=c3)
        np.bitwise_or(c0, c1, out=out[..., 0])
        np.bitwise_or(c2, c3, out=out[..., 1])


class Draws:
    """The numbers of one stream.

    ``start`` and ``count`` name the indices start .. start + count - 1. ``step`` may be a number, which gives an array
    of shape [count], or an array of steps, which gives one of shape steps.shape + [count].

    A backend with a compiled kernel subclasses this and overrides :meth:`_words` (and :meth:`_words_at`,
    :meth:`fn`); everything else rests on these three.

    Parameters
    ----------
    seed : int
        Seed of the network.
    name : str
        Name of the stream.
    """

    def __init__(self, seed: int, name: str) -> None:
        self.seed = int(seed)
        self.name = name
        self.key = stream_key(self.seed, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.seed}, {self.name!r})"

    def _words(self, start: int, count: int, steps: U64) -> U32:
        """Return words [len(steps), count], neither of them 0; this is what a compiled kernel replaces."""
        first, last = start >> 2, (start + count + 3) >> 2
        blocks = last - first
        out = np.empty((len(steps), blocks, 2), dtype=np.uint64)
        work = _Work(min(_TILE, len(steps) * blocks), self.key)
        columns = min(blocks, _TILE)
        rows = max(1, _TILE // columns)
        for left in range(0, blocks, columns):
            right = min(left + columns, blocks)
            block = np.arange(first + left, first + right, dtype=np.uint64)
            for top in range(0, len(steps), rows):
                work.evaluate(block, steps[top : top + rows, None], out[top : top + rows, left:right])
        words = out.view(np.uint32).reshape(len(steps), 4 * blocks)
        return words[:, start - 4 * first : start - 4 * first + count]

    def _words_at(self, block: U64, step: U64) -> U32:
        """Return all four words [n, 4] of the blocks [n] at steps [n]."""
        return philox(block, step, self.key)

    def fn(self, name: str, *x: ArrayLike) -> Any:
        """Evaluate one of the IR's own functions (``ndtri``, ``log``, ``exp``, …) in double precision."""
        from neurosim.ir.interp import call  # late: interp draws random numbers itself

        return call(name, *x)

    def words(self, start: int, count: int, step: Steps = 0) -> U32:
        """Return the words of consecutive indices."""
        if start < 0 or count < 0:
            raise ParameterError(f"start and count of random numbers must not be negative, got {start} and {count}")
        steps = np.asarray(step, dtype=np.uint64)
        if count == 0 or steps.size == 0:
            return np.empty((*steps.shape, int(count)), dtype=np.uint32)
        words = self._words(int(start), int(count), np.ascontiguousarray(steps.reshape(-1)))
        return words.reshape((*steps.shape, int(count)))

    def words_at(self, index: ArrayLike, step: ArrayLike = 0) -> U32:
        """Return the words of arbitrary indices (broadcast against ``step``); about four times dearer per word."""
        indices, steps = np.broadcast_arrays(np.asarray(index, dtype=np.uint64), np.asarray(step, dtype=np.uint64))
        flat = indices.reshape(-1)
        four = self._words_at(flat >> np.uint64(2), np.ascontiguousarray(steps.reshape(-1)))
        picked = np.take_along_axis(four, (flat & np.uint64(3)).astype(np.intp)[:, None], axis=1)
        return picked.reshape(indices.shape)

    def uniform(self, start: int, count: int, step: Steps = 0) -> F64:
        """Return numbers in (0, 1) with 32 random bits: ``(word + 1/2) 2^-32``."""
        return uniform_from_words(self.words(start, count, step))

    def uniform_at(self, index: ArrayLike, step: ArrayLike = 0) -> F64:
        """Return :meth:`uniform` at arbitrary indices."""
        return uniform_from_words(self.words_at(index, step))

    def uniform53(self, start: int, count: int, step: Steps = 0) -> F64:
        """Return numbers in (0, 1) with 52 random bits, two words each: odd multiples of 2^-53."""
        return _uniform53(np.ascontiguousarray(self.words(2 * start, 2 * count, step)).view(np.uint64))

    def uniform53_at(self, index: ArrayLike, step: ArrayLike = 0) -> F64:
        """Return :meth:`uniform53` at arbitrary indices (broadcast against ``step``)."""
        indices, steps = np.broadcast_arrays(np.asarray(index, dtype=np.uint64), np.asarray(step, dtype=np.uint64))
        flat = indices.reshape(-1)
        four = self._words_at(flat >> np.uint64(1), np.ascontiguousarray(steps.reshape(-1)))
        pairs = np.ascontiguousarray(four).view(np.uint64)
        picked = np.take_along_axis(pairs, (flat & np.uint64(1)).astype(np.intp)[:, None], axis=1)
        return _uniform53(picked.reshape(indices.shape))

    def normal(self, start: int, count: int, step: Steps = 0) -> F64:
        """Return normal numbers, mean 0 and variance 1, by inversion of :meth:`uniform`."""
        return np.asarray(self.fn("ndtri", self.uniform(start, count, step)), dtype=np.float64)

    def integers(self, start: int, count: int, bound: ArrayLike, step: Steps = 0) -> I64:
        """Return integers 0 .. bound - 1: ``floor(uniform53 * bound)``.

        ``bound`` is one number or one per number drawn, at most 2^52. Every value's probability is within 2^-52 of
        1 / bound, so the bias is below anything a simulation can show.
        """
        return integers_from_uniform(self.uniform53(start, count, step), bound)


def uniform_from_words(words: U32) -> F64:
    """Return ``(word + 1/2) 2^-32``, exactly."""
    u = words.astype(np.float64)
    u += 0.5
    u *= 2.0**-32
    return u


def integers_from_uniform(u: F64, bound: ArrayLike) -> I64:
    """Return ``floor(u * bound)``, which is below ``bound`` for every ``u`` of :meth:`Draws.uniform53`."""
    return (u * np.asarray(bound, dtype=np.float64)).astype(np.int64)


def _uniform53(pairs: U64) -> F64:
    """``((high << 21 | low >> 11) | 1) 2^-53`` of pairs ``high << 32 | low``, without converting an integer.

    The 52 leading bits become the fraction of a double f in [1, 2); then f - (1 - 2^-53) is exact.
    """
    bits = pairs >> np.uint64(12)
    bits |= np.uint64(0x3FF0000000000000)
    u = bits.view(np.float64)
    u -= 1.0 - 2.0**-53
    return u


_CONTEXT = Context(prec=50, Emin=-999999, Emax=999999)


def poisson_thresholds(mean: float) -> U32:
    """Return the table that turns one word into a Poisson count of the given mean.

    The table is c_0 <= c_1 <= … with ``c_k = floor(2^32 P(count <= k))``, up to and without the first that reaches
    2^32 - 1. A word w stands for the count ``#{k : w >= c_k}``; so each probability is right to 2^-32, and the count
    is at most the length of the table. The distribution function is summed with 50 decimal digits, hence the table
    is the same on every machine. Means below 2^-32 give an empty table: always 0.

    Parameters
    ----------
    mean : float
        Mean of the count, 0 to :data:`POISSON_MEAN_LIMIT`.
    """
    mean = float(mean)
    if not 0.0 <= mean <= POISSON_MEAN_LIMIT:
        raise ParameterError(
            f"a Poisson count in one step must have a mean between 0 and {POISSON_MEAN_LIMIT:g}, not {mean:g}; "
            "use a smaller dt, a lower rate, or several sources"
        )
    context, scale, last = _CONTEXT, Decimal(1 << 32), (1 << 32) - 1
    exact = Decimal(mean)
    term = context.exp(context.minus(exact))
    total, table = term, []
    while (threshold := int(context.multiply(scale, total))) < last:
        table.append(threshold)
        term = context.divide(context.multiply(term, exact), Decimal(len(table)))
        total = context.add(total, term)
    return np.array(table, dtype=np.uint32)


def poisson_from_words(words: U32, thresholds: U32) -> I64:
    """Return ``#{k : word >= thresholds[k]}`` for every word."""
    return np.searchsorted(thresholds, words, side="right").astype(np.int64)


def poisson_inversion(words: U32, mean: ArrayLike, exp: Any = None) -> I64:
    """Return Poisson counts whose means are computed in the step, by sequential inversion.

    For each word, in double precision and in this order of operations::

        u = (word + 0.5) * 2^-32;  p = exp(-mean);  s = p;  k = 0
        while u > s and k < 1000:  k = k + 1;  p = p * mean / k;  s = s + p

    with the IR's own ``exp`` and ``p * mean / k`` read from left to right. Means must not exceed 700; at or below
    zero, and for a NaN, the count is 0.

    Parameters
    ----------
    words : ndarray of uint32
    mean : array_like
        Broadcasts against ``words``.
    exp : callable, optional
        Stands in for the interpreter's ``exp`` and must return the same bits.
    """
    if exp is None:
        from neurosim.ir.interp import call

        exp = partial(call, "exp")
    u, means = np.broadcast_arrays(uniform_from_words(np.asarray(words, dtype=np.uint32)), np.asarray(mean, np.float64))
    shape, u, means = u.shape, u.reshape(-1), means.reshape(-1)
    count = np.zeros(u.size, dtype=np.int64)
    open_ = np.flatnonzero(means > 0.0)
    u, means = u[open_], means[open_]
    p = np.asarray(exp(-means), dtype=np.float64)
    s = p.copy()
    for k in range(1, POISSON_COUNT_LIMIT + 1):
        more = u > s
        open_ = open_[more]
        if not open_.size:
            break
        u, means = u[more], means[more]
        p = p[more] * means / float(k)
        s = s[more] + p
        count[open_] = k
    return count.reshape(shape)


__all__ = [
    "NORMAL_BOUND",
    "POISSON_COUNT_LIMIT",
    "POISSON_MEAN_LIMIT",
    "Draws",
    "integers_from_uniform",
    "philox",
    "poisson_from_words",
    "poisson_inversion",
    "poisson_thresholds",
    "stream_key",
    "uniform_from_words",
]

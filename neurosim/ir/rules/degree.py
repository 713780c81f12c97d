"""Rules that fix how many edges every target, or every source, has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError
from neurosim.ir.random import Draws, integers_from_uniform
from neurosim.ir.rules.base import BLOCK, Piece, Rule, batched, check_number, check_sizes
from neurosim.ir.rules.context import F64, I64, EdgeContext

_DENSE = 16  # up to this many candidates per edge, marking them all is cheaper than sorting the chosen


@dataclass(frozen=True)
class FixedInDegree(Rule):
    """Every target has exactly k edges, from sources chosen at random.

    Order: by target; then, with multapses, as drawn (edge e takes ``integers`` of index e of the stream ``rule``),
    without, by source. Without multapses, as many sources as a target still lacks are drawn at steps 0, 1, 2, … until
    it has k different ones; where more than half of the sources are wanted, those left out are drawn instead. Either
    way all sets of k are equally likely. (NEST ``fixed_indegree``, PyNN ``FixedNumberPreConnector``.)
    """

    k: int
    autapses: bool = True
    multapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        selfs = ctx.self_pre if not self.autapses and ctx.autapses else None
        pieces = _fixed_degree(ctx.draws("rule"), self.k, ctx.n_post, ctx.n_pre, selfs, self.multapses, "source")
        return batched(((pre, post) for post, pre in pieces), ctx.chunk)

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(self.k) * n_post

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        _check_degree("in-degree", self.k, n_pre, n_post, self.multapses, "source")


@dataclass(frozen=True)
class FixedOutDegree(Rule):
    """Every source has exactly k edges, to targets chosen at random.

    Order: by source, then as :class:`FixedInDegree` with the roles exchanged. (NEST ``fixed_outdegree``, PyNN
    ``FixedNumberPostConnector``.)
    """

    k: int
    autapses: bool = True
    multapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        selfs = ctx.self_post if not self.autapses and ctx.autapses else None
        pieces = _fixed_degree(ctx.draws("rule"), self.k, ctx.n_pre, ctx.n_post, selfs, self.multapses, "target")
        return batched(pieces, ctx.chunk)

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(self.k) * n_pre

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        _check_degree("out-degree", self.k, n_post, n_pre, self.multapses, "target")


def _check_degree(what: str, k: int, n_others: int, n_rows: int, multapses: bool, other: str) -> None:
    if multapses:
        most, why = (math.inf if n_others else 0), f"{other}s to choose from"
    else:
        most, why = n_others, f"{other}s to choose from; allow multapses or lower it"
    if n_rows:
        check_number(what, k, most, why)


def _fixed_degree(
    draws: Draws, k: int, n_rows: int, n_others: int, selfs: I64 | None, multapses: bool, other: str
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield (row, other) with k others for each row; ``selfs`` is the forbidden one of each row, or -1."""
    k = int(k)
    if k == 0 or n_rows == 0:
        return
    choice = n_others - (0 if selfs is None else 1)
    if choice < 1 or (not multapses and k > choice):
        hint = "" if multapses else "; allow multapses or lower it"
        raise ConnectivityError(f"degree {k} is more than the {choice} {other}s other than the neuron itself{hint}")
    if multapses:
        for start in range(0, n_rows * k, BLOCK):
            count = min(BLOCK, n_rows * k - start)
            row = np.arange(start, start + count, dtype=np.int64) // k
            yield row, _avoiding(draws.uniform53(start, count), n_others, None if selfs is None else selfs[row])
        return
    complement = 2 * k > n_others
    size = n_others - k if complement else k
    dense = n_others <= _DENSE * k
    block = max(1, (16 * BLOCK) // n_others if dense else BLOCK // k)
    for top in range(0, n_rows, block):
        count = min(block, n_rows - top)
        mine = None if selfs is None else selfs[top : top + count]
        if dense:
            chosen = _distinct_mask(draws, top, count, size, n_others, mine, complement)
            if complement:
                np.logical_not(chosen, out=chosen)
            row, drawn = np.divmod(np.flatnonzero(chosen), n_others)
            yield row + top, drawn
        else:
            drawn = _distinct_sorted(draws, top, count, size, n_others, mine)
            yield np.repeat(np.arange(top, top + count, dtype=np.int64), k), drawn.reshape(-1)


# Both of the following draw a set of `size` different numbers for each of the rows top .. top + count - 1: while m
# numbers are missing, a row takes the integers of indices row size .. row size + m - 1, first at step 0, then 1, 2, ….
# They differ in cost only. `mine` is a number to avoid: integers are drawn below n - 1 and moved past it.


def _distinct_mask(
    draws: Draws, top: int, count: int, size: int, n: int, mine: I64 | None, include: bool
) -> NDArray[np.bool_]:
    """Mark the numbers of each row; with ``include``, ``mine`` counts as drawn already instead of being avoided."""
    mask = np.zeros((count, n), dtype=bool)
    flat = mask.reshape(-1)
    rows = np.arange(count)
    missing = np.full(count, size)
    avoid = mine
    if include and mine is not None:
        avoid = None
        own = np.flatnonzero(mine >= 0)
        mask[own, mine[own]] = True
        missing[own] -= 1
    step = 0
    while len(rows):
        if step == 0 and avoid is mine:  # nothing is missing twice: one run of indices
            row = np.repeat(rows, size)
            u = draws.uniform53(top * size, count * size)
        else:
            row = np.repeat(rows, missing)
            rank = np.arange(len(row)) - np.repeat(np.cumsum(missing) - missing, missing)
            u = draws.uniform53_at((top + row) * size + rank, step)
        flat[row * n + _avoiding(u, n, None if avoid is None else avoid[row])] = True
        missing = size - np.add.reduce(mask[rows], axis=1, dtype=np.int64)
        rows, missing = rows[missing > 0], missing[missing > 0]
        step += 1
    return mask


def _distinct_sorted(draws: Draws, top: int, count: int, size: int, n: int, mine: I64 | None) -> NDArray[np.int32]:
    """Return the numbers of each row in ascending order."""
    u = draws.uniform53(top * size, count * size)
    values = _avoiding(u, n, None if mine is None else np.repeat(mine, size)).astype(np.int32).reshape(count, size)
    rows = np.arange(count)
    step = 0
    while True:
        some = values if step == 0 else values[rows]
        some.sort(axis=1)
        row, place = np.nonzero(some[:, 1:] == some[:, :-1])
        if step:
            values[rows] = some
        if not len(row):
            return values
        step += 1
        missing = np.bincount(row, minlength=len(rows))
        rank = np.arange(len(row)) - np.repeat(np.cumsum(missing) - missing, missing)
        row = rows[row]
        u = draws.uniform53_at((top + row) * size + rank, step)
        values[row, place + 1] = _avoiding(u, n, None if mine is None else mine[row])
        rows = rows[missing > 0]


def _avoiding(u: F64, n: int, mine: I64 | None) -> I64:
    """Integers below n, other than ``mine`` where that is not -1."""
    if mine is None:
        return integers_from_uniform(u, n)
    has = mine >= 0
    drawn = integers_from_uniform(u, n - has)
    drawn += has & (drawn >= mine)
    return drawn

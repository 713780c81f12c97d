"""The rule that fixes how many edges there are in all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError
from neurosim.ir.random import Draws
from neurosim.ir.rules.base import BLOCK, Piece, Rule, batched, check_number, check_sizes, pairs_of
from neurosim.ir.rules.context import F64, I64, EdgeContext

_WIDE = 1 << 40  # pairs beyond which one uniform number is too coarse to name one


@dataclass(frozen=True)
class FixedTotalNumber(Rule):
    """Exactly n edges, each between a source and a target chosen at random.

    With multapses: in the order of drawing. Edge e takes ``u = uniform53`` of index e of the stream ``rule``; the
    source is ``floor(x)`` with ``x = u n_pre``, the target ``floor((x - source) n_post)``, and unwanted autapses are
    drawn anew at the next step. (Beyond 2^40 pairs u is too coarse for that, and the target takes a uniform of
    its own: indices 2e and 2e + 1.) Without multapses: by source, then target, and all sets of n pairs are equally
    likely; this one form holds its edges (8 bytes each) while it makes them. (NEST ``fixed_total_number``, PyNN
    ``FixedTotalNumberConnector``.)
    """

    n: int
    autapses: bool = True
    multapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        pairs = ctx.n_pre * ctx.n_post - (0 if self.autapses else ctx.autapses)
        if self.n and (pairs == 0 or (not self.multapses and self.n > pairs)):
            raise ConnectivityError(f"{self.n} edges are more than the {pairs} pairs of different neurons")
        if self.multapses:
            return batched(self._drawn(ctx, ctx.draws("rule")), ctx.chunk)
        return batched(self._subset(ctx, ctx.draws("rule"), pairs), ctx.chunk)

    def _drawn(self, ctx: EdgeContext, draws: Draws) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        redraw = not self.autapses and ctx.autapses > 0
        for start in range(0, self.n, BLOCK):
            count = min(BLOCK, self.n - start)
            pre, post = _draw_pairs(draws, start, count, 0, ctx.n_pre, ctx.n_post)
            if redraw:
                bad, step = np.flatnonzero(ctx.is_autapse(pre, post)), 0
                while len(bad):
                    step += 1
                    pre[bad], post[bad] = _draw_pairs_at(draws, start + bad, step, ctx.n_pre, ctx.n_post)
                    bad = bad[ctx.is_autapse(pre[bad], post[bad])]
            yield pre.view(np.uint32), post.view(np.uint32)

    def _subset(self, ctx: EdgeContext, draws: Draws, pairs: int) -> Iterator[tuple[I64, I64]]:
        complement = 2 * self.n > pairs
        chosen = _distinct_pairs(ctx, draws, pairs - self.n if complement else self.n, self.autapses)
        if not complement:
            for start in range(0, len(chosen), BLOCK):
                pre, post = np.divmod(chosen[start : start + BLOCK], ctx.n_post)
                yield pre, post
            return
        for start, pre, post in pairs_of(ctx):
            keep = np.ones(len(pre), dtype=bool)
            lo, hi = np.searchsorted(chosen, (start, start + len(pre)))
            keep[chosen[lo:hi] - start] = False
            if not self.autapses and ctx.autapses:
                keep &= ~ctx.is_autapse(pre, post)
            yield pre[keep], post[keep]

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(self.n)

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        pairs = n_pre * n_post
        most = pairs if not self.multapses else (math.inf if pairs else 0)
        check_number("the number of edges", self.n, most, "pairs" + ("" if self.multapses else "; allow multapses"))


def _draw_pairs(draws: Draws, start: int, count: int, step: int, n_pre: int, n_post: int) -> tuple[Any, Any]:
    if n_pre * n_post > _WIDE:
        both = draws.uniform53(2 * start, 2 * count, step).reshape(count, 2)
        return (both[:, 0] * n_pre).astype(np.int32), (both[:, 1] * n_post).astype(np.int32)
    return _split_pairs(draws.uniform53(start, count, step), n_pre, n_post)


def _draw_pairs_at(draws: Draws, index: I64, step: int, n_pre: int, n_post: int) -> tuple[Any, Any]:
    if n_pre * n_post > _WIDE:
        return (
            (draws.uniform53_at(2 * index, step) * n_pre).astype(np.int32),
            (draws.uniform53_at(2 * index + 1, step) * n_post).astype(np.int32),
        )
    return _split_pairs(draws.uniform53_at(index, step), n_pre, n_post)


def _split_pairs(u: F64, n_pre: int, n_post: int) -> tuple[Any, Any]:
    u *= n_pre
    whole = np.floor(u)
    pre = whole.astype(np.int32)
    u -= whole
    u *= n_post
    return pre, u.astype(np.int32)


def _distinct_pairs(ctx: EdgeContext, draws: Draws, n: int, autapses: bool) -> I64:
    """Draw n different pairs ``source n_post + target``, ascending; what is missing is drawn anew at the next step."""
    known = np.empty(0, dtype=np.int64)
    step = 0
    while len(known) < n:
        missing = n - len(known)
        new = np.empty(missing, dtype=np.int64)
        size = 0
        for start in range(0, missing, BLOCK):
            pre, post = _draw_pairs(draws, start, min(BLOCK, missing - start), step, ctx.n_pre, ctx.n_post)
            if not autapses and ctx.autapses:
                keep = ~ctx.is_autapse(pre, post)
                pre, post = pre[keep], post[keep]
            new[size : size + len(pre)] = pre.astype(np.int64) * ctx.n_post + post
            size += len(pre)
        new = new[:size]
        new.sort()
        new = new[np.concatenate((np.ones(min(size, 1), dtype=bool), new[1:] != new[:-1]))]
        if len(known):
            place = np.searchsorted(known, new)
            new = new[known[np.minimum(place, len(known) - 1)] != new]
            known = np.insert(known, np.searchsorted(known, new), new)
        else:
            known = new
        step += 1
    return known

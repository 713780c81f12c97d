"""Rules that decide on every pair by itself: with one probability, by distance, or by an expression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError, suggest
from neurosim.ir.program import Program
from neurosim.ir.random import Draws
from neurosim.ir.rules.base import BLOCK, Piece, Rule, batched, check_probability, check_sizes, pairs_of
from neurosim.ir.rules.context import F64, I64, EdgeContext
from neurosim.ir.rules.regular import AllToAll


@dataclass(frozen=True)
class FixedProbability(Rule):
    """Every pair independently with probability p.

    Order: by source, then by target. The gaps between a source's targets are drawn, not the pairs: draw k of source i
    is ``uniform53`` at index k, step i of the stream ``rule``, and skips ``floor(log(u) / log1p(-p))`` targets. (NEST
    ``pairwise_bernoulli``, PyNN ``FixedProbabilityConnector``, Brian2 ``connect(p=…)``.)
    """

    p: float
    autapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        if self.p == 0.0 or not ctx.n_pre or not ctx.n_post:
            return iter(())
        if self.p == 1.0:
            return AllToAll(self.autapses).edges(ctx)
        return batched(self._generate(ctx), ctx.chunk)

    def _generate(self, ctx: EdgeContext) -> Iterator[tuple[I64, I64]]:
        draws = ctx.draws("rule")
        scale = float(draws.fn("log1p", -float(self.p)))
        mean = ctx.n_post * self.p
        deviation = math.sqrt(mean * (1.0 - self.p))
        first = _batch(mean + deviation)
        block = max(1, BLOCK // first)
        for top in range(0, ctx.n_pre, block):
            rows = np.arange(top, min(top + block, ctx.n_pre), dtype=np.int64)
            at = np.full(len(rows), -1.0)
            drawn, size = 0, first
            pre = post = np.empty(0, dtype=np.int64)
            while len(rows):
                hit = self._targets(draws, rows, at, drawn, size, scale, ctx.n_post)
                inside = hit < ctx.n_post
                new_pre, new_post = np.repeat(rows, np.count_nonzero(inside, axis=1)), hit[inside].astype(np.int64)
                if block == 1:
                    yield self._kept(ctx, new_pre, new_post)
                elif drawn == 0:
                    pre, post = new_pre, new_post
                else:  # behind what these sources have already
                    place = np.searchsorted(pre, new_pre, side="right")
                    pre, post = np.insert(pre, place, new_pre), np.insert(post, place, new_post)
                more = inside[:, -1]
                rows, at = rows[more], hit[more, -1]
                drawn, size = drawn + size, _batch(2.0 * deviation)
            yield self._kept(ctx, pre, post)

    def _kept(self, ctx: EdgeContext, pre: I64, post: I64) -> tuple[I64, I64]:
        if self.autapses or not ctx.autapses:
            return pre, post
        keep = ~ctx.is_autapse(pre, post)
        return pre[keep], post[keep]

    @staticmethod
    def _targets(draws: Draws, rows: I64, at: F64, drawn: int, size: int, scale: float, n_post: int) -> F64:
        """Positions [rows, size] after ``at``; those from n_post on are no targets. Whole numbers below 2^53."""
        with np.errstate(divide="ignore", over="ignore"):
            gap = np.asarray(draws.fn("log", draws.uniform53(drawn, size, rows)))
            gap /= scale
        np.minimum(gap, n_post, out=gap)
        np.floor(gap, out=gap)
        gap += 1.0
        gap[:, 0] += at
        return np.cumsum(gap, axis=1, out=gap)

    def expected(self, n_pre: int, n_post: int) -> float:
        return self.p * n_pre * n_post

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        check_probability("a connection probability", self.p)


def _batch(count: float) -> int:
    return int(min(max(8.0, math.ceil(count + 4.0)), float(BLOCK)))


@dataclass(frozen=True)
class DistanceDependent(Rule):
    """Every pair independently, with a probability that depends on the distance d between the two.

    Order: by source, then by target. Pair (i, j) is kept where ``uniform`` of index ``i n_post + j`` of the stream
    ``rule`` is below the probability. (NEST ``pairwise_bernoulli`` with a spatial parameter and a mask, PyNN
    ``DistanceDependentProbabilityConnector``.)

    Attributes
    ----------
    probability : Program or str
        An expression over ``distance`` (metres) and the other names of :meth:`EdgeContext.evaluate`; or a kernel:
        ``gaussian`` ``p0 exp(-d^2 / (2 sigma^2))``, ``exponential`` ``p0 exp(-d / sigma)``, ``constant`` ``p0``.
    sigma : float, optional
        Width of the kernel, in metres.
    p0 : float
        Probability at distance 0 (kernels only).
    max_distance : float, optional
        No edges beyond, in metres.
    """

    probability: Program | str
    sigma: float | None = None
    p0: float = 1.0
    max_distance: float | None = None
    autapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        return batched(self._generate(ctx), ctx.chunk)

    def _generate(self, ctx: EdgeContext) -> Iterator[tuple[I64, I64]]:
        draws = ctx.draws("rule")
        for start, pre, post in pairs_of(ctx):
            index: int | I64 = start
            distance = ctx.distance(pre, post)
            if self.max_distance is not None:
                near = np.flatnonzero(distance <= self.max_distance)
                index, pre, post, distance = start + near, pre[near], post[near], distance[near]
            if isinstance(self.probability, Program):
                p = ctx.evaluate(self.probability, pre, post, index, "rule")
            else:
                p = self._kernel(distance, draws)
            keep = _accept(draws, p, index, len(pre), start)
            if not self.autapses and ctx.autapses:
                keep &= ~ctx.is_autapse(pre, post)
            yield pre[keep], post[keep]

    def _kernel(self, d: F64, draws: Draws) -> Any:
        if self.probability == "constant" or not d.size:
            return np.full(d.shape, self.p0)
        assert self.sigma is not None
        x = d / self.sigma
        return self.p0 * draws.fn("exp", -0.5 * (x * x) if self.probability == "gaussian" else -x)

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of pairs times p0: a bound from above, as positions are not looked at."""
        return n_pre * n_post * (1.0 if isinstance(self.probability, Program) else self.p0)

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        if not isinstance(self.probability, Program):
            kernels = ("gaussian", "exponential", "constant")
            if self.probability not in kernels:
                raise ConnectivityError(f"no kernel '{self.probability}'{suggest(str(self.probability), kernels)}")
            if self.probability != "constant" and not (self.sigma is not None and 0.0 < self.sigma < math.inf):
                raise ConnectivityError(f"a {self.probability} kernel needs a positive sigma, not {self.sigma}")
            check_probability("p0", self.p0)
        if self.max_distance is not None and not self.max_distance >= 0.0:
            raise ConnectivityError(f"max_distance must be at least 0, not {self.max_distance}")


@dataclass(frozen=True)
class Where(Rule):
    """Every pair for which a condition holds, each with a probability.

    Order: by source, then by target. Both are expressions with the names of :meth:`EdgeContext.evaluate`; ``uniform``
    and ``normal`` in them draw one number per pair. Pair (i, j) takes index ``i n_post + j`` of the streams, and is
    kept where ``uniform`` of the stream ``rule`` is below the probability. The work grows with the number of pairs, so
    prefer a rule made for the purpose where there is one.
    (Brian2 ``connect(condition=…, p=…)``, PyNN ``IndexBasedProbabilityConnector``.)
    """

    condition: Program | None = None
    probability: Program | None = None
    autapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        return batched(self._generate(ctx), ctx.chunk)

    def _generate(self, ctx: EdgeContext) -> Iterator[tuple[I64, I64]]:
        draws = ctx.draws("rule")
        for start, pre, post in pairs_of(ctx):
            index: int | I64 = start
            if not self.autapses and ctx.autapses:
                index, pre, post = _narrow(start, ~ctx.is_autapse(pre, post), index, pre, post)
            if self.condition is not None:
                holds = np.asarray(ctx.evaluate(self.condition, pre, post, index, "condition")).astype(bool)
                index, pre, post = _narrow(start, holds, index, pre, post)
            if self.probability is not None:
                p = ctx.evaluate(self.probability, pre, post, index, "probability")
                keep = _accept(draws, p, index, len(pre), start)
                pre, post = pre[keep], post[keep]
            yield pre, post

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)


def _narrow(start: int, keep: NDArray[np.bool_], index: int | I64, pre: I64, post: I64) -> tuple[int | I64, I64, I64]:
    if keep.all():
        return index, pre, post
    where = np.flatnonzero(keep)
    return (start + where if isinstance(index, int) else index[where]), pre[where], post[where]


def _accept(draws: Draws, p: Any, index: int | I64, count: int, start: int) -> NDArray[np.bool_]:
    """Whether the uniform number of each pair is below its probability; the cheaper way to have the numbers."""
    if np.isnan(p).any():
        raise ConnectivityError("a connection probability is not a number (nan); look at its expression")
    if isinstance(index, int):
        u = draws.uniform(index, count)
    elif 4 * count < BLOCK:
        u = draws.uniform_at(index)
    else:
        u = draws.uniform(start, int(index[-1]) - start + 1)[index - start]
    return np.asarray(u < p)

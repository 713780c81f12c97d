"""Rules without chance: all to all, and one to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurosim.errors import ConnectivityError
from neurosim.ir.rules.base import Piece, Rule, batched, check_sizes, pairs_of
from neurosim.ir.rules.context import I64, EdgeContext


@dataclass(frozen=True)
class AllToAll(Rule):
    """Every source to every target.

    Order: by source, then by target. (NEST ``all_to_all``, PyNN ``AllToAllConnector``, Brian2 ``connect()``.)
    """

    autapses: bool = True

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        return batched(self._generate(ctx), ctx.chunk)

    def _generate(self, ctx: EdgeContext) -> Iterator[tuple[I64, I64]]:
        for _, pre, post in pairs_of(ctx):
            if self.autapses or not ctx.autapses:
                yield pre, post
            else:
                keep = ~ctx.is_autapse(pre, post)
                yield pre[keep], post[keep]

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)


@dataclass(frozen=True)
class OneToOne(Rule):
    """The i-th source to the i-th target; the groups must be equally large.

    Order: by source. (NEST ``one_to_one``, PyNN ``OneToOneConnector``, Brian2 ``connect(j="i")``.)
    """

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        every = np.arange(ctx.n_pre, dtype=np.uint32)
        return batched([(every, every)], ctx.chunk)

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(min(n_pre, n_post))

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        if n_pre != n_post:
            raise ConnectivityError(
                f"one-to-one needs groups of equal size, but there are {n_pre} sources and {n_post} targets; "
                "connect a slice of the larger one"
            )

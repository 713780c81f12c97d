"""What every rule is made of: the base class, its checks, all pairs of two groups, and pieces of a fixed size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError
from neurosim.ir.program import Program
from neurosim.ir.rules.context import I64, U32, EdgeContext

Piece = tuple[U32, U32]

GROUP_LIMIT = 1 << 31
"""A group has fewer neurons than this: indices fit a signed 32-bit integer."""

BLOCK = 1 << 16  # edges or pairs worked on together, so that scratch arrays stay in the cache


def batched(pieces: Iterable[tuple[NDArray[Any], NDArray[Any]]], chunk: int) -> Iterator[Piece]:
    """Regroup pieces of edges into pieces of exactly ``chunk`` edges and a last, shorter one."""
    chunk = max(1, int(chunk))
    held: list[Piece] = []
    size = 0
    for a, b in pieces:
        pre, post = a.astype(np.uint32, copy=False), b.astype(np.uint32, copy=False)
        while size + len(pre) >= chunk:
            cut = chunk - size
            held.append((pre[:cut], post[:cut]))
            yield _join(held)
            held, size = [], 0
            pre, post = pre[cut:], post[cut:]
        if len(pre):
            held.append((pre, post))
            size += len(pre)
    if held:
        yield _join(held)


def _join(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate([p for p, _ in pieces]), np.concatenate([q for _, q in pieces])


class Rule:
    """Base of all rules; a subclass is a frozen dataclass whose fields are the rule's parameters."""

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        """Yield (sources, targets) piece by piece; the order of yielding is the canonical order."""
        raise NotImplementedError(f"rule {type(self).__name__} does not say which edges it makes")

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the expected number of edges, or a bound from above, from which memory is estimated."""
        return float(n_pre) * float(n_post)

    def check(self, n_pre: int, n_post: int) -> None:
        """Raise :class:`ConnectivityError`, with the legal values, if the rule cannot join groups of these sizes."""

    def count(self) -> int | None:
        """Return the number of edges, for which weights may be an array, where the rule alone fixes it; else None."""
        return None

    @property
    def kernel_shape(self) -> tuple[int, ...] | None:
        """The shape of the kernel whose elements the edges share as weights; None where every edge has its own."""
        return None

    def element(self, pre: NDArray[Any], post: NDArray[Any], start: int | None = None) -> I64:
        """Return which element of the kernel, flattened, each edge takes its weight from.

        ``start`` is the number of the first edge where they follow one another in the canonical order.
        """
        raise NotImplementedError(f"rule {type(self).__name__} does not say what of its kernel an edge has")

    def describe(self) -> str:
        """Return one line: the rule's name and its parameters."""
        names: list[str] = [f.name for f in dataclasses.fields(self)] if dataclasses.is_dataclass(self) else []
        return f"{type(self).__name__}({', '.join(f'{n}={_shown(getattr(self, n))}' for n in names)})"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.size} values>"
    if isinstance(value, Program):
        return "<expression>"
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)


def check_sizes(n_pre: int, n_post: int) -> None:
    for n in (n_pre, n_post):
        if not 0 <= n < GROUP_LIMIT:
            raise ConnectivityError(f"a group must have fewer than 2^31 neurons, not {n}")


def check_number(what: str, k: Any, most: float, why: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise ConnectivityError(f"{what} must be a whole number of at least 0, not {k!r}")
    if k > most:
        raise ConnectivityError(f"{what} = {k} is more than the {max(int(most), 0)} {why}")


def check_probability(what: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ConnectivityError(f"{what} must lie between 0 and 1, not be {p!r}")


def pairs_of(ctx: EdgeContext, size: int = BLOCK) -> Iterator[tuple[int, I64, I64]]:
    """Yield (number of the first pair, sources, targets) of all pairs, by source, then target."""
    for start in range(0, ctx.n_pre * ctx.n_post, size):
        flat = np.arange(start, min(start + size, ctx.n_pre * ctx.n_post), dtype=np.int64)
        pre = flat // ctx.n_post
        yield start, pre, flat - pre * ctx.n_post

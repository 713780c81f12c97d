"""Rules: which neurons of one group are joined to which of another.

A rule yields edges as pairs of group-local indices, piece by piece, in an order that it fixes; an edge's number in that
order is its id, from which its weight and delay are drawn. The edges depend on the seed, the stream names and the two
groups only: not on the size of the pieces, the engine or the number of threads. A network of a billion edges streams
through; no rule holds them all, but :class:`FixedTotalNumber` without multapses (8 bytes an edge) and
:class:`EdgeList` (which is its edges).

An *autapse* joins a neuron to itself: an edge whose ends have the same global id. *Multapses* are several edges from
one neuron to the same other one.

A rule of your own is one subclass: fields, :meth:`Rule.edges`, :meth:`Rule.expected`, :meth:`Rule.check`::

    @dataclass(frozen=True)
    class Ring(Rule):
        hops: int = 1

        def edges(self, ctx):
            i = np.arange(ctx.n_pre, dtype=np.uint32)
            yield i, (i + np.uint32(self.hops)) % np.uint32(ctx.n_post)

        def expected(self, n_pre, n_post):
            return float(n_pre)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.errors import ConnectivityError, EquationError, UnknownNameError, suggest
from neurosim.ir.program import Instr, Program
from neurosim.ir.random import Draws, integers_from_uniform

U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Piece = tuple[U32, U32]

GROUP_LIMIT = 1 << 31
"""A group has fewer neurons than this: indices fit a signed 32-bit integer."""

_BLOCK = 1 << 16  # edges or pairs worked on together, so that scratch arrays stay in the cache
_DENSE = 16  # up to this many candidates per edge, marking them all is cheaper than sorting the chosen
_WIDE = 1 << 40  # pairs beyond which one uniform number is too coarse to name one


@dataclass
class EdgeContext:
    """The two groups a rule joins, and where its random numbers come from.

    Attributes
    ----------
    n_pre, n_post : int
        Sizes of the groups.
    draws : callable
        ``draws(name)`` makes the stream of that name, already particular to the projection.
    pre_ids, post_ids : ndarray of int, optional
        Global ids, distinct within a group; left out where the groups share no neuron.
    pre_positions, post_positions : ndarray [n, 3], optional
        In metres.
    pre_attributes, post_attributes : mapping
        Name -> one value, or one per neuron, for expressions.
    chunk : int
        Edges per piece to aim at.
    """

    n_pre: int
    n_post: int
    draws: Callable[[str], Draws]
    pre_ids: NDArray[Any] | None = None
    post_ids: NDArray[Any] | None = None
    pre_positions: F64 | None = None
    post_positions: F64 | None = None
    pre_attributes: Mapping[str, Any] = field(default_factory=dict)
    post_attributes: Mapping[str, Any] = field(default_factory=dict)
    chunk: int = 2_000_000

    @cached_property
    def self_post(self) -> I64:
        """For every source the index of the same neuron among the targets, or -1."""
        return _where_in(self.pre_ids, self.n_pre, self.post_ids)

    @cached_property
    def self_pre(self) -> I64:
        """For every target the index of the same neuron among the sources, or -1."""
        return _where_in(self.post_ids, self.n_post, self.pre_ids)

    @cached_property
    def autapses(self) -> int:
        """How many pairs join a neuron to itself."""
        return int(np.count_nonzero(self.self_post >= 0))

    def is_autapse(self, pre: NDArray[Any], post: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell for every pair whether both are the same neuron."""
        return np.asarray(self.self_post[pre] == post.astype(np.int64))

    def distance(self, pre: NDArray[Any], post: NDArray[Any]) -> F64:
        """Return ``sqrt((dx dx + dy dy) + dz dz)`` of pairs, in metres."""
        a, b = self._positions("pre"), self._positions("post")
        total = np.zeros(len(pre))  # adding the first square to it changes no bit
        for axis in range(3):
            d = a[axis][pre]
            d -= b[axis][post]
            d *= d
            total += d
        return np.sqrt(total, out=total)

    def evaluate(
        self, program: Program, pre: NDArray[Any], post: NDArray[Any], index: int | NDArray[Any], stream: str
    ) -> Any:
        """Return the result of an expression over pairs, one value per pair.

        Its ``param`` leaves are ``i``, ``j`` (indices within the groups), ``N_pre``, ``N_post``, ``distance``,
        ``x_pre``, ``y_pre``, ``z_pre``, ``x_post``, ``y_post``, ``z_post`` (metres), and ``<attribute>_pre`` and
        ``<attribute>_post``; ``index`` is the pair's (or edge's) number; ``uniform``, ``normal`` and ``word`` draw one
        number per pair from the stream ``<stream>.<attr>``.

        Parameters
        ----------
        program : Program
            An expression, that is, a program with a result.
        pre, post : ndarray
            The pairs.
        index : int or ndarray
            Number of the first pair, or of every pair, in the streams.
        stream : str
            Prefix of the names of the streams.
        """
        from neurosim.ir.interp import evaluate

        if program.result is None:
            raise EquationError("an expression over edges needs a result; this program only has effects")

        def leaf(ins: Instr, *args: Any) -> Any:
            if ins.op == "param":
                return self._named(str(ins.attr), pre, post)
            if ins.op == "index":
                return index if isinstance(index, np.ndarray) else np.arange(index, index + len(pre), dtype=np.int64)
            if ins.op in ("uniform", "normal", "word"):
                draws = self.draws(f"{stream}.{ins.attr}")
                if ins.op == "word":
                    word = draws.words_at(index) if isinstance(index, np.ndarray) else draws.words(index, len(pre))
                    return word.astype(np.int64)
                u = draws.uniform_at(index) if isinstance(index, np.ndarray) else draws.uniform(index, len(pre))
                return u if ins.op == "uniform" else draws.fn("ndtri", u)
            raise EquationError(f"an expression over edges cannot use '{ins.op}': it has no state and no time")

        value = evaluate(program, leaf)[program.result]
        return np.broadcast_to(value, (len(pre),))

    @cached_property
    def _columns(self) -> dict[str, F64]:
        given = {"pre": self.pre_positions, "post": self.post_positions}
        columns = {side: np.asarray(p, dtype=np.float64) for side, p in given.items() if p is not None}
        for side, p in columns.items():
            count = self.n_pre if side == "pre" else self.n_post
            if p.shape != (count, 3):
                raise ConnectivityError(f"positions must have shape ({count}, 3), not {p.shape}")
        return {side: np.ascontiguousarray(p.T) for side, p in columns.items()}

    def _positions(self, side: str) -> F64:
        """Positions [3, n] of a group."""
        if side not in self._columns:
            group = "source" if side == "pre" else "target"
            raise ConnectivityError(f"this connection depends on positions, but the {group} population has none")
        return self._columns[side]

    def _named(self, name: str, pre: NDArray[Any], post: NDArray[Any]) -> Any:
        if name in ("i", "j"):
            return (pre if name == "i" else post).astype(np.float64)
        if name in ("N_pre", "N_post"):
            return float(self.n_pre if name == "N_pre" else self.n_post)
        if name == "distance":
            return self.distance(pre, post)
        stem, _, side = name.rpartition("_")
        if side in ("pre", "post") and stem:
            which = pre if side == "pre" else post
            attributes = self.pre_attributes if side == "pre" else self.post_attributes
            if stem in attributes:
                value = np.asarray(attributes[stem], dtype=np.float64)
                return value[which] if value.ndim else float(value)
            if stem in ("x", "y", "z"):
                return self._positions(side)["xyz".index(stem)][which]
        known = ["i", "j", "N_pre", "N_post", "distance"]
        for side, attributes in (("pre", self.pre_attributes), ("post", self.post_attributes)):
            known += [f"{a}_{side}" for a in ("x", "y", "z", *attributes)]
        raise UnknownNameError(f"an expression over edges knows no '{name}'{suggest(name, known)}")


def _where_in(ids: NDArray[Any] | None, count: int, others: NDArray[Any] | None) -> I64:
    if ids is None or others is None or not len(others):
        return np.full(count, -1, dtype=np.int64)
    order = np.argsort(others, kind="stable")
    at = np.minimum(np.searchsorted(others, ids, sorter=order), len(others) - 1)
    found = order[at]
    return np.where(np.asarray(others)[found] == ids, found, -1).astype(np.int64)


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


def _check_sizes(n_pre: int, n_post: int) -> None:
    for n in (n_pre, n_post):
        if not 0 <= n < GROUP_LIMIT:
            raise ConnectivityError(f"a group must have fewer than 2^31 neurons, not {n}")


def _check_number(what: str, k: Any, most: float, why: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise ConnectivityError(f"{what} must be a whole number of at least 0, not {k!r}")
    if k > most:
        raise ConnectivityError(f"{what} = {k} is more than the {max(int(most), 0)} {why}")


def _check_probability(what: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ConnectivityError(f"{what} must lie between 0 and 1, not be {p!r}")


def _pairs(ctx: EdgeContext, size: int = _BLOCK) -> Iterator[tuple[int, I64, I64]]:
    """Yield (number of the first pair, sources, targets) of all pairs, by source, then target."""
    for start in range(0, ctx.n_pre * ctx.n_post, size):
        flat = np.arange(start, min(start + size, ctx.n_pre * ctx.n_post), dtype=np.int64)
        pre = flat // ctx.n_post
        yield start, pre, flat - pre * ctx.n_post


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
        for _, pre, post in _pairs(ctx):
            if self.autapses or not ctx.autapses:
                yield pre, post
            else:
                keep = ~ctx.is_autapse(pre, post)
                yield pre[keep], post[keep]

    def check(self, n_pre: int, n_post: int) -> None:
        _check_sizes(n_pre, n_post)


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
        _check_sizes(n_pre, n_post)
        if n_pre != n_post:
            raise ConnectivityError(
                f"one-to-one needs groups of equal size, but there are {n_pre} sources and {n_post} targets; "
                "connect a slice of the larger one"
            )


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
        block = max(1, _BLOCK // first)
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
        _check_sizes(n_pre, n_post)
        _check_probability("a connection probability", self.p)


def _batch(count: float) -> int:
    return int(min(max(8.0, math.ceil(count + 4.0)), float(_BLOCK)))


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
        _check_sizes(n_pre, n_post)
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
        _check_sizes(n_pre, n_post)
        _check_degree("out-degree", self.k, n_post, n_pre, self.multapses, "target")


def _check_degree(what: str, k: int, n_others: int, n_rows: int, multapses: bool, other: str) -> None:
    if multapses:
        most, why = (math.inf if n_others else 0), f"{other}s to choose from"
    else:
        most, why = n_others, f"{other}s to choose from; allow multapses or lower it"
    if n_rows:
        _check_number(what, k, most, why)


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
        for start in range(0, n_rows * k, _BLOCK):
            count = min(_BLOCK, n_rows * k - start)
            row = np.arange(start, start + count, dtype=np.int64) // k
            yield row, _avoiding(draws.uniform53(start, count), n_others, None if selfs is None else selfs[row])
        return
    complement = 2 * k > n_others
    size = n_others - k if complement else k
    dense = n_others <= _DENSE * k
    block = max(1, (16 * _BLOCK) // n_others if dense else _BLOCK // k)
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
        for start in range(0, self.n, _BLOCK):
            count = min(_BLOCK, self.n - start)
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
            for start in range(0, len(chosen), _BLOCK):
                pre, post = np.divmod(chosen[start : start + _BLOCK], ctx.n_post)
                yield pre, post
            return
        for start, pre, post in _pairs(ctx):
            keep = np.ones(len(pre), dtype=bool)
            lo, hi = np.searchsorted(chosen, (start, start + len(pre)))
            keep[chosen[lo:hi] - start] = False
            if not self.autapses and ctx.autapses:
                keep &= ~ctx.is_autapse(pre, post)
            yield pre[keep], post[keep]

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(self.n)

    def check(self, n_pre: int, n_post: int) -> None:
        _check_sizes(n_pre, n_post)
        pairs = n_pre * n_post
        most = pairs if not self.multapses else (math.inf if pairs else 0)
        _check_number("the number of edges", self.n, most, "pairs" + ("" if self.multapses else "; allow multapses"))


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
        for start in range(0, missing, _BLOCK):
            pre, post = _draw_pairs(draws, start, min(_BLOCK, missing - start), step, ctx.n_pre, ctx.n_post)
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
        for start, pre, post in _pairs(ctx):
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
        _check_sizes(n_pre, n_post)
        if not isinstance(self.probability, Program):
            kernels = ("gaussian", "exponential", "constant")
            if self.probability not in kernels:
                raise ConnectivityError(f"no kernel '{self.probability}'{suggest(str(self.probability), kernels)}")
            if self.probability != "constant" and not (self.sigma is not None and 0.0 < self.sigma < math.inf):
                raise ConnectivityError(f"a {self.probability} kernel needs a positive sigma, not {self.sigma}")
            _check_probability("p0", self.p0)
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
        for start, pre, post in _pairs(ctx):
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
        _check_sizes(n_pre, n_post)


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
    elif 4 * count < _BLOCK:
        u = draws.uniform_at(index)
    else:
        u = draws.uniform(start, int(index[-1]) - start + 1)[index - start]
    return np.asarray(u < p)


@dataclass(frozen=True, eq=False)
class EdgeList(Rule):
    """The edges themselves, in the order in which they are given.

    (NEST ``one_to_one`` over arrays of ids, PyNN ``FromListConnector``, Brian2 ``connect(i=…, j=…)``.)

    Attributes
    ----------
    pre, post : ndarray of uint32
        Indices within the groups.
    """

    pre: U32
    post: U32

    def __post_init__(self) -> None:
        for name in ("pre", "post"):
            object.__setattr__(self, name, _indices(name, getattr(self, name)))
        if len(self.pre) != len(self.post):
            raise ConnectivityError(f"a list of edges has {len(self.pre)} sources but {len(self.post)} targets")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EdgeList):
            return NotImplemented
        return bool(np.array_equal(self.pre, other.pre) and np.array_equal(self.post, other.post))

    def __hash__(self) -> int:
        return hash((self.pre.tobytes(), self.post.tobytes()))

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        for start in range(0, len(self.pre), max(1, ctx.chunk)):
            yield self.pre[start : start + ctx.chunk], self.post[start : start + ctx.chunk]

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(len(self.pre))

    def check(self, n_pre: int, n_post: int) -> None:
        _check_sizes(n_pre, n_post)
        for name, array, n in (("source", self.pre, n_pre), ("target", self.post, n_post)):
            if len(array) and int(array.max()) >= n:
                at = int(np.argmax(array >= n))
                legal = f"0 to {n - 1}" if n else "none"
                raise ConnectivityError(f"edge {at} has {name} {int(array[at])}; legal indices are {legal}")

    def describe(self) -> str:
        return f"EdgeList({len(self.pre)} edges)"


def _indices(name: str, given: ArrayLike) -> U32:
    array = np.asarray(given)
    if array.ndim != 1:
        raise ConnectivityError(f"{name} must be one list of indices, not of shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        whole = array.dtype.kind == "f" and bool(np.all(array == np.floor(array)))
        if not whole:
            raise ConnectivityError(f"{name} must hold whole numbers, not {array.dtype}")
    if array.size and (array.min() < 0 or array.max() >= GROUP_LIMIT):
        raise ConnectivityError(f"{name} must hold indices from 0 to 2^31 - 1, not {array.min()} to {array.max()}")
    out = np.ascontiguousarray(array, dtype=np.uint32)
    if out.flags.writeable and np.shares_memory(out, array):
        out = out.copy()
    out.flags.writeable = False
    return out


def from_matrix(matrix: Any) -> tuple[EdgeList, F64]:
    """Turn a matrix [source, target] of weights into a list of edges and their weights.

    In a dense matrix, zeros are no edges. Of a sparse one (anything with ``tocoo()``, such as those of scipy) every
    stored entry is one, zeros and repeated entries included. Order: by source, then by target.
    """
    if hasattr(matrix, "tocoo"):
        coo = matrix.tocoo()
        row, col, data = (np.asarray(x) for x in (coo.row, coo.col, coo.data))
        order = np.lexsort((col, row))
        row, col, weights = row[order], col[order], data[order].astype(np.float64)
    else:
        dense = np.asarray(matrix, dtype=np.float64)
        if dense.ndim != 2:
            raise ConnectivityError(f"a matrix of weights has two axes [source, target], not shape {dense.shape}")
        row, col = np.nonzero(dense)
        weights = dense[row, col]
    if not np.isfinite(weights).all():
        at = int(np.argmin(np.isfinite(weights)))
        raise ConnectivityError(f"the weight from {row[at]} to {col[at]} is {weights[at]}; weights must be finite")
    return EdgeList(_indices("row", row), _indices("column", col)), weights


__all__ = [
    "GROUP_LIMIT", "AllToAll", "DistanceDependent", "EdgeContext", "EdgeList", "FixedInDegree", "FixedOutDegree",
    "FixedProbability", "FixedTotalNumber", "OneToOne", "Rule", "Where", "batched", "from_matrix",
]  # fmt: skip

"""What a rule is given: the two groups, their positions and attributes, and the source of its random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError, EquationError, UnknownNameError, suggest
from neurosim.ir.program import Instr, Program
from neurosim.ir.random import Draws

U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


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
    rule : Rule, optional
        The projection's, which says what of a kernel an edge has.
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
    rule: Any = None

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
        ``<attribute>_post``; ``index`` is the pair's (or edge's) number; ``uniform`` and ``normal`` draw one number per
        pair from the stream ``<stream>.<attr>``.

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
            if ins.op in ("uniform", "normal"):
                draws = self.draws(f"{stream}.{ins.attr}")
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

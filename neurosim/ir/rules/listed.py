"""Edges that are given one by one, as lists or as a matrix of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neurosim.errors import ConnectivityError, caller
from neurosim.ir.rules.base import GROUP_LIMIT, Piece, Rule, check_sizes
from neurosim.ir.rules.context import F64, U32, EdgeContext


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

    if TYPE_CHECKING:  # whatever NumPy makes whole numbers of

        def __init__(self, pre: ArrayLike, post: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        for name in ("pre", "post"):
            object.__setattr__(self, name, _indices(name, getattr(self, name)))
        if len(self.pre) != len(self.post):
            raise ConnectivityError(
                f"a list of edges has {len(self.pre)} sources but {len(self.post)} targets", caller()
            )

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

    def count(self) -> int:
        return len(self.pre)

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
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
        raise ConnectivityError(f"{name} must be one list of indices, not of shape {array.shape}", caller())
    if array.dtype.kind not in "iu" and array.size:
        whole = array.dtype.kind == "f" and bool(np.all(array == np.floor(array)))
        if not whole:
            raise ConnectivityError(f"{name} must hold whole numbers, not {array.dtype}", caller())
    if array.size and (array.min() < 0 or array.max() >= GROUP_LIMIT):
        raise ConnectivityError(f"{name} must hold indices from 0 to 2^31 - 1, not {array.min()} to {array.max()}",
                                caller())  # fmt: skip
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

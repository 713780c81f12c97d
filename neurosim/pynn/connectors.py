"""Connectors by PyNN's names: each says which cells of two groups are joined.

Where neurosim has the rule, the connector is that rule, and its edges come in the rule's canonical order. All draws
come from the connector's ``rng``.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim import AllToAll, FixedInDegree, FixedOutDegree, FixedProbability, FixedTotalNumber, Rule
from neurosim.errors import ConnectivityError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.rules import EdgeContext
from neurosim.pynn.celltypes import lacking
from neurosim.pynn.random import distribution_of, own_rng
from neurosim.pynn.values import of_distance

Edges = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]
"""Sources, targets (places within the groups), and columns of parameters given edge by edge."""

_ROWS = 1 << 22  # pairs whose probabilities are worked out together


class Connector:
    """Base of the connectors.

    Parameters
    ----------
    allow_self_connections : bool or "NoMutual"
        Whether a cell may connect to itself; "NoMutual", within one population, also keeps only one of both directions.
    rng : NumpyRNG, optional
        Where random numbers come from.
    safe, callback, location_selector
        Accepted; values are always checked.
    """

    def __init__(self, allow_self_connections: Any = True, rng: Any = None, safe: bool = True, callback: Any = None,
                 location_selector: Any = None) -> None:  # fmt: skip
        self.where = caller()
        if allow_self_connections not in (True, False, "NoMutual"):
            raise ParameterError(
                f"allow_self_connections must be True, False or 'NoMutual', got {allow_self_connections!r}", self.where
            )
        if location_selector is not None:
            raise ParameterError("location_selector belongs to cells with compartments: leave it out", self.where)
        self.allow_self_connections, self.rng = allow_self_connections, own_rng(rng)

    def edges(self, projection: Any) -> Edges:
        """Return the edges of a projection."""
        raise NotImplementedError(f"{type(self).__name__} says no edges")

    def _from(self, rule: Rule, projection: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the edges that a rule of neurosim makes."""
        pre, post = (np.asarray(g.all_cells, dtype=np.int64) for g in (projection.pre, projection.post))
        apart = all(len(np.unique(ids)) == len(ids) for ids in (pre, post))
        if not apart and self.allow_self_connections is not True:
            raise ConnectivityError("self connections cannot be told where an assembly holds a cell twice", self.where)
        context = EdgeContext(len(pre), len(post), self.rng.streams(), pre if apart else None, post if apart else None)
        try:
            rule.check(len(pre), len(post))
            pieces = list(rule.edges(context))
        except ConnectivityError as e:
            raise ConnectivityError(f"{type(self).__name__}: {e.message}", self.where) from None
        empty = np.zeros(0, np.int64)
        return tuple(np.concatenate([empty, *(p[k].astype(np.int64) for p in pieces)]) for k in (0, 1))  # type: ignore

    @property
    def _selves(self) -> bool:
        return self.allow_self_connections is True

    def _one_way(self, projection: Any, pre: np.ndarray, post: np.ndarray) -> Edges:
        """Keep one direction of each pair where that is asked for."""
        if self.allow_self_connections == "NoMutual":
            if projection.pre is not projection.post:
                raise ConnectivityError(
                    "allow_self_connections='NoMutual' is for one population and itself", self.where
                )
            keep = pre > post
            pre, post = pre[keep], post[keep]
        return pre, post, {}

    def _by_chance(self, projection: Any, probability: Callable[[slice], np.ndarray]) -> Edges:
        """Join each pair with a probability, given row by row of sources."""
        n_pre, n_post = projection.shape
        draws, rows, found = self.rng.streams()("rule"), max(1, _ROWS // n_post), []
        for start in range(0, n_pre, rows):
            stop = min(start + rows, n_pre)
            p = np.broadcast_to(np.asarray(probability(slice(start, stop)), dtype=float), (stop - start, n_post))
            if np.isnan(p).any() or (p < 0).any():
                raise ConnectivityError(
                    f"a probability of {type(self).__name__} is negative or not a number", self.where
                )
            u = draws.uniform(start * n_post, p.size).reshape(p.shape)
            i, j = np.nonzero(u < p)
            found.append((i + start, j))
        pre, post = (np.concatenate([f[k] for f in found]) for k in (0, 1))
        if not self._selves:
            apart = (
                np.asarray(projection.pre.all_cells, np.int64)[pre]
                != np.asarray(projection.post.all_cells, np.int64)[post]
            )
            pre, post = pre[apart], post[apart]
        return self._one_way(projection, pre, post)


class AllToAllConnector(Connector):
    """Every source to every target."""

    def __init__(self, allow_self_connections: Any = True, location_selector: Any = None, safe: bool = True,
                 callback: Any = None) -> None:  # fmt: skip
        super().__init__(allow_self_connections, None, safe, callback, location_selector)

    def edges(self, projection: Any) -> Edges:
        return self._one_way(projection, *self._from(AllToAll(autapses=self._selves), projection))


class OneToOneConnector(Connector):
    """The i-th source to the i-th target, as far as the smaller group goes."""

    def __init__(self, location_selector: Any = None, safe: bool = True, callback: Any = None) -> None:
        super().__init__(True, None, safe, callback, location_selector)

    def edges(self, projection: Any) -> Edges:
        both = np.arange(min(projection.shape))
        return both, both, {}


class FixedProbabilityConnector(Connector):
    """Each pair with the probability ``p_connect``."""

    def __init__(self, p_connect: float, allow_self_connections: Any = True, location_selector: Any = None,
                 rng: Any = None, safe: bool = True, callback: Any = None) -> None:  # fmt: skip
        super().__init__(allow_self_connections, rng, safe, callback, location_selector)
        self.p_connect = float(p_connect)

    def edges(self, projection: Any) -> Edges:
        return self._one_way(
            projection, *self._from(FixedProbability(self.p_connect, autapses=self._selves), projection)
        )


class DistanceDependentProbabilityConnector(Connector):
    """Each pair with a probability of its distance: an expression in ``d``, such as ``"exp(-d/50)"``, or a callable."""

    def __init__(self, d_expression: Any, allow_self_connections: Any = True, location_selector: Any = None,
                 rng: Any = None, safe: bool = True, callback: Any = None) -> None:  # fmt: skip
        super().__init__(allow_self_connections, rng, safe, callback, location_selector)
        self.d_expression = d_expression
        self.function = of_distance(d_expression, self.where)

    def edges(self, projection: Any) -> Edges:
        a, b = projection.pre.positions.T, projection.post.positions.T
        return self._by_chance(projection, lambda rows: self.function(projection.space.distances(a[rows], b)))


class IndexBasedProbabilityConnector(Connector):
    """Each pair with the probability ``index_expression(i, j)`` of the places of both cells, arrays."""

    def __init__(
        self,
        index_expression: Callable[..., Any],
        allow_self_connections: Any = True,
        location_selector: Any = None,
        rng: Any = None,
        safe: bool = True,
        callback: Any = None,
    ) -> None:
        super().__init__(allow_self_connections, rng, safe, callback, location_selector)
        if not callable(index_expression):
            raise ParameterError(
                f"index_expression must be a callable of i and j, got {index_expression!r}", self.where
            )
        self.index_expression = index_expression

    def edges(self, projection: Any) -> Edges:
        if hasattr(self.index_expression, "projection"):
            self.index_expression.projection = projection  # type: ignore[attr-defined]
        columns = np.arange(projection.shape[1])[None, :]
        return self._by_chance(
            projection, lambda rows: self.index_expression(np.arange(rows.start, rows.stop)[:, None], columns)
        )


class DisplacementDependentProbabilityConnector(Connector):
    """Each pair with the probability ``disp_function(d)`` of the displacement ``d`` [3, …] from source to target."""

    def __init__(
        self,
        disp_function: Callable[[np.ndarray], Any],
        allow_self_connections: Any = True,
        location_selector: Any = None,
        rng: Any = None,
        safe: bool = True,
        callback: Any = None,
    ) -> None:
        super().__init__(allow_self_connections, rng, safe, callback, location_selector)
        self.disp_function = disp_function

    def edges(self, projection: Any) -> Edges:
        a, b = projection.pre.positions, projection.post.positions
        return self._by_chance(projection, lambda rows: self.disp_function(b[:, None, :] - a[:, rows, None]))


class _FixedNumber(Connector):
    def __init__(
        self,
        n: Any,
        allow_self_connections: Any = True,
        with_replacement: bool = False,
        location_selector: Any = None,
        rng: Any = None,
        safe: bool = True,
        callback: Any = None,
    ) -> None:
        super().__init__(allow_self_connections, rng, safe, callback, location_selector)
        drawn = distribution_of(n)
        whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0
        if drawn is None and not whole:
            raise ParameterError(f"n must be a whole number or a RandomDistribution, got {n!r}", self.where)
        if allow_self_connections == "NoMutual":
            raise ParameterError(f"{type(self).__name__} does not know 'NoMutual': True or False", self.where)
        self.n, self.with_replacement = drawn or int(n), bool(with_replacement)

    def _degrees(self, rows: int) -> np.ndarray:
        """How many partners each cell gets."""
        if isinstance(self.n, int):
            return np.full(rows, self.n)
        counts = np.asarray(self.n.next(rows))
        if (counts < 0).any() or (counts != np.rint(counts)).any():
            raise ConnectivityError(f"n must be drawn as whole numbers of at least 0, got {counts.min():g}", self.where)
        return counts.astype(np.int64)

    def _partners(self, projection: Any, rule: type[Rule], rows: Any, others: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, partners): by neurosim's rule where one number serves all, else row by row."""
        n_rows, n_others = len(rows), len(others)
        row_ids, other_ids = (np.asarray(g.all_cells, dtype=np.int64) for g in (rows, others))
        if isinstance(self.n, int) and (self.with_replacement or self.n < n_others):
            pre, post = self._from(rule(self.n, autapses=self._selves, multapses=self.with_replacement), projection)  # type: ignore
            return (post, pre) if rows is projection.post and rule is FixedInDegree else (pre, post)
        found_rows, found = [], []
        for row, count in enumerate(self._degrees(n_rows).tolist()):
            legal = np.arange(n_others) if self._selves else np.flatnonzero(other_ids != row_ids[row])
            if count and not len(legal):
                raise ConnectivityError(f"{type(self).__name__}: there is no other cell to connect to", self.where)
            if self.with_replacement:
                chosen = self.rng.choice(legal, count) if count else legal[:0]
            else:  # every partner once before any has a second connection
                rounds, rest = divmod(count, len(legal)) if count else (0, 0)
                chosen = np.concatenate([np.tile(legal, rounds), self.rng.choice(legal, rest, replace=False)])
            found_rows.append(np.full(count, row))
            found.append(chosen)
        return np.concatenate(found_rows).astype(np.int64), np.concatenate(found).astype(np.int64)


class FixedNumberPostConnector(_FixedNumber):
    """Every source to ``n`` targets (a number or a distribution); without replacement all differ while they can."""

    def edges(self, projection: Any) -> Edges:
        pre, post = self._partners(projection, FixedOutDegree, projection.pre, projection.post)
        return pre, post, {}


class FixedNumberPreConnector(_FixedNumber):
    """Every target from ``n`` sources (a number or a distribution); without replacement all differ while they can."""

    def edges(self, projection: Any) -> Edges:
        post, pre = self._partners(projection, FixedInDegree, projection.post, projection.pre)
        return pre, post, {}


class FixedTotalNumberConnector(_FixedNumber):
    """``n`` connections between random cells."""

    def __init__(
        self,
        n: Any,
        allow_self_connections: Any = True,
        with_replacement: bool = True,
        location_selector: Any = None,
        rng: Any = None,
        safe: bool = True,
        callback: Any = None,
    ) -> None:
        super().__init__(n, allow_self_connections, with_replacement, location_selector, rng, safe, callback)

    def edges(self, projection: Any) -> Edges:
        n = int(self._degrees(1)[0])
        pre, post = self._from(FixedTotalNumber(n, self._selves, self.with_replacement), projection)
        return pre, post, {}


class FromListConnector(Connector):
    """Connections from a list: ``(i, j)``, ``(i, j, weight, delay)``, or as ``column_names`` says."""

    def __init__(self, conn_list: Any, column_names: Any = None, location_selector: Any = None, safe: bool = True,
                 callback: Any = None) -> None:  # fmt: skip
        super().__init__(True, None, safe, callback, location_selector)
        self._list(conn_list, column_names)

    def _list(self, conn_list: Any, column_names: Any) -> None:
        try:
            rows = np.array(list(conn_list) if not isinstance(conn_list, np.ndarray) else conn_list, dtype=float)
        except (TypeError, ValueError):
            raise ConnectivityError(
                "a list of connections has rows of numbers, all of one length", self.where
            ) from None
        if rows.size == 0:
            rows = np.zeros((0, 2 + len(column_names or ())))
        if rows.ndim != 2 or rows.shape[1] < 2:
            raise ConnectivityError("a list of connections has rows (i, j, …)", self.where)
        width = rows.shape[1] - 2
        if column_names is None:
            if width not in (0, 2):
                raise ConnectivityError(
                    f"the list has {width} columns after (i, j): name them with column_names", self.where
                )
            column_names = ("weight", "delay")[:width]
        if len(column_names) != width:
            raise ConnectivityError(
                f"the list has {width} columns after (i, j), column_names has {len(column_names)}", self.where
            )
        for name in column_names:
            if name not in ("weight", "delay"):
                raise UnknownNameError(
                    f"a StaticSynapse has no '{name}'{suggest(name, ('weight', 'delay'))}", self.where
                )
        self.conn_list, self.column_names = rows, tuple(column_names)

    def edges(self, projection: Any) -> Edges:
        ends = []
        for k, (side, size) in enumerate(zip(("source", "target"), projection.shape, strict=True)):
            column = self.conn_list[:, k]
            bad = np.flatnonzero((column < 0) | (column >= size) | (column != np.floor(column)))
            if len(bad):
                raise ConnectivityError(
                    f"connection {bad[0]} has the {side} {column[bad[0]]:g}; legal are 0 to {size - 1}", self.where
                )
            ends.append(column.astype(np.int64))
        return ends[0], ends[1], {name: self.conn_list[:, 2 + k].copy() for k, name in enumerate(self.column_names)}


class FromFileConnector(FromListConnector):
    """Connections from a text file as ``Projection.save`` writes it; its line ``# columns = […]`` names the columns."""

    def __init__(self, file: Any, distributed: bool = False, location_selector: Any = None, safe: bool = True,
                 callback: Any = None) -> None:  # fmt: skip
        Connector.__init__(self, True, None, safe, callback, location_selector)
        path = os.fspath(getattr(file, "name", file))
        columns: list[str] | None = None
        try:
            with open(path, encoding="utf-8") as f:
                head = [line for line in f if line.startswith("#")]
            rows = np.loadtxt(path, ndmin=2)
        except OSError as e:
            raise ConnectivityError(
                f"the file of connections '{path}' cannot be read: {e.strerror or e}", self.where
            ) from None
        except ValueError as e:
            raise ConnectivityError(
                f"the file of connections '{path}' is no table of numbers: {e}", self.where
            ) from None
        for line in head:
            name, _, value = line.lstrip("#").partition("=")
            if name.strip() == "columns":
                columns = [c for c in self._names(value.strip(), path) if c not in ("i", "j")]
        self._list(rows, columns)

    def _names(self, text: str, path: str) -> list[str]:
        """Read the names of the columns: a list of texts as Python writes it, which is not evaluated."""
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found = None
        if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
            raise ConnectivityError(
                f"the file of connections '{path}' has a line '# columns = {text[:60]}', which is no list of "
                "names: write ['i', 'j', 'weight', 'delay']", self.where
            )  # fmt: skip
        return list(found)


class ArrayConnector(Connector):
    """Connections where a boolean matrix [pre, post] is true."""

    def __init__(self, array: Any, location_selector: Any = None, safe: bool = True, callback: Any = None) -> None:
        super().__init__(True, None, safe, callback, location_selector)
        self.array = np.asarray(array)

    def edges(self, projection: Any) -> Edges:
        if self.array.shape != projection.shape:
            raise ConnectivityError(
                f"the matrix must be {list(projection.shape)}, sources by targets, got {list(self.array.shape)}",
                self.where,
            )
        pre, post = np.nonzero(self.array)
        return pre, post, {}


class CloneConnector(Connector):
    """The same connections as an earlier projection between the same groups; weights and delays are its own."""

    def __init__(self, reference_projection: Any, safe: bool = True, callback: Any = None) -> None:
        super().__init__(True, None, safe, callback)
        self.reference_projection = reference_projection

    def edges(self, projection: Any) -> Edges:
        other = self.reference_projection
        if other.pre is not projection.pre or other.post is not projection.post:
            raise ConnectivityError("a CloneConnector joins the same populations as its reference", self.where)
        return other._sources.copy(), other._targets.copy(), {}


LACKING = {
    "SmallWorldConnector": lacking("SmallWorldConnector", "connector", "PyNN itself gives it no meaning yet"),
    "CSAConnector": lacking("CSAConnector", "connector", "the connection set algebra is not part of neurosim; "
                            "FromListConnector takes its edges"),
}  # fmt: skip

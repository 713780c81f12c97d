"""The edges of a SONATA file as a rule of a network that is written in Python, and their attributes as its values.

Nothing is held per edge: ids and attributes are read from the file whenever an engine builds, a piece at a time. The
file is read through once where the rule is written, so that what is wrong with it is said there.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neurosim.errors import ConnectivityError, NeurosimError, ParameterError, ResultFileError, caller, suggest
from neurosim.interchange.sonata.edges import gather
from neurosim.interchange.sonata.files import column, display, opened, pieces, read_table, subgroup
from neurosim.ir.distributions import PerEdge
from neurosim.ir.rules import GROUP_LIMIT, EdgeContext, Piece, Rule, batched
from neurosim.lang.values import EdgeQuantity
from neurosim.units import DIMENSIONLESS, Dimension, Quantity

_IDS = ("source_node_id", "target_node_id")
_OWN = {"edge_type_id", "edge_group_id", "edge_group_index", *_IDS}


class _Seen(NamedTuple):
    """What was found when the file was read through: edges that are taken before each piece, the largest id of either
    end (-1: no edge), and the table of types."""

    before: np.ndarray
    largest: tuple[int, int]
    table: dict[int, dict[str, str | None]]


@dataclass(frozen=True)
class SonataEdges(Rule):
    """The edges of a SONATA file, in the order of the file.

    A node's id is the index of its neuron in the group, or ``sources`` and ``targets`` say which node each neuron is.
    Two rules are equal where they make the same edges.

    Attributes
    ----------
    path : str
        The file of edges (HDF5).
    population : str, optional
        Of edges; needed where the file holds several.
    edge_types : str, optional
        The table of their types (CSV), whose columns are attributes too.
    types : sequence of int, optional
        Take only the edges of these ``edge_type_id``.
    sources, targets : array of int, optional
        Node id of each neuron of the group, in order; edges of other nodes are left out.

    Raises
    ------
    ResultFileError
        A file that is missing, damaged, truncated, or no file of SONATA edges.
    ParameterError
        A population or type that the file does not have.
    """

    path: str = field(compare=False)
    population: str | None = field(default=None, compare=False)
    edge_types: str | None = field(default=None, compare=False)
    types: tuple[int, ...] | None = field(default=None, compare=False)
    sources: np.ndarray | None = field(default=None, compare=False, repr=False)
    targets: np.ndarray | None = field(default=None, compare=False, repr=False)
    content: str = field(init=False, default="", repr=False)
    _seen: _Seen = field(init=False, compare=False, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self, path: str | os.PathLike[str], population: str | None = None,
            edge_types: str | os.PathLike[str] | None = None, types: Sequence[int] | int | None = None,
            sources: ArrayLike | None = None, targets: ArrayLike | None = None,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        where = caller()
        for key in ("path", "edge_types"):
            if key == "path" or getattr(self, key) is not None:
                object.__setattr__(self, key, os.path.abspath(_path(key, getattr(self, key), where)))
        object.__setattr__(self, "types", _types(self.types, where))
        for key in ("sources", "targets"):
            object.__setattr__(self, key, _nodes(key, getattr(self, key), where))
        try:
            self._look({} if self.edge_types is None else _table(self.edge_types))
        except NeurosimError as e:
            raise type(e)(e.message, where) from None

    def _look(self, table: dict[int, dict[str, str | None]]) -> None:
        """Read through the file: how many edges of each piece are taken, their largest ids, and a hash of them."""
        with self._open() as group:
            if self.types is not None:
                self._known_types(group)
            counts, largest, digest = [], [-1, -1], hashlib.sha256()
            for _, (pre, post) in self._read(group):
                counts.append(len(pre))
                for k, ids in enumerate((pre, post) if len(pre) else ()):
                    largest[k] = max(largest[k], int(ids.max()))
                _feed(digest, pre, post)
        before = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        object.__setattr__(self, "_seen", _Seen(before, (largest[0], largest[1]), table))
        object.__setattr__(self, "content", digest.hexdigest())

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file, and yield the group of the population; the first one found is kept."""
        with opened(self.path, "the edges") as file:
            root = subgroup(file, "edges")
            names = list(root)
            if self.population is None:
                if len(names) != 1:
                    raise ParameterError(
                        f"'{display(self.path)}' holds {len(names) or 'no'} populations of edges"
                        + (f" ({', '.join(names[:12])}): say which with population=" if names else "")
                    )
                object.__setattr__(self, "population", names[0])
            elif self.population not in names:
                raise ParameterError(
                    f"'{display(self.path)}' has no population of edges '{self.population}'"
                    f"{suggest(str(self.population), names)}"
                )
            yield subgroup(root, str(self.population))

    def _known_types(self, group: Any) -> None:
        found: set[int] = set()
        kinds = column(group, "edge_type_id", "iu")
        for rows in pieces(kinds.shape[0]):
            found |= set(np.unique(kinds[rows]).tolist())
        for number in self.types or ():
            if number not in found:
                known = ", ".join(map(str, sorted(found)[:12])) or "none"
                raise ParameterError(f"{self._what} have no edge_type_id {number} (there are: {known})")

    @property
    def _what(self) -> str:
        return f"the edges '{self.population}' of '{display(self.path)}'"

    def _read(self, group: Any, first: int = 0) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]]:
        """Yield (rows that are taken, (sources, targets) in the groups), a hyperslab at a time, from the given one."""
        count = int(column(group, _IDS[0], "iu").shape[0])
        ids = [column(group, key, "iu", count) for key in _IDS]
        types = None if self.types is None else (column(group, "edge_type_id", "iu", count), self.types)
        for rows in itertools.islice(pieces(count), first, None):
            ends = [dataset[rows] for dataset in ids]
            for key, each in zip(_IDS, ends, strict=True):
                if len(each) and (int(each.min()) < 0 or int(each.max()) >= GROUP_LIMIT):
                    worst = int(each.min()) if int(each.min()) < 0 else int(each.max())
                    raise ResultFileError(f"{self._what} have the {key} {worst}; ids are from 0 to 2^31 - 1")
            taken = np.ones(rows.stop - rows.start, bool) if types is None else np.isin(types[0][rows], types[1])
            places = []
            for each, nodes in zip(ends, (self.sources, self.targets), strict=True):
                local = each.astype(np.int64) if nodes is None else _places(nodes, each.astype(np.int64))
                taken &= local >= 0
                places.append(local)
            yield rows.start + np.flatnonzero(taken), (places[0][taken], places[1][taken])

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        return batched(self._checked(), ctx.chunk)

    def _checked(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the edges, and complain in the end if they are not those that were there at first."""
        digest = hashlib.sha256()
        with self._open() as group:
            for _, (pre, post) in self._read(group):
                _feed(digest, pre, post)
                yield pre, post
        if digest.hexdigest() != self.content:
            raise ResultFileError(f"{self._what} have changed since the rule was made: make it anew")

    def rows(self, group: Any, start: int, count: int) -> np.ndarray:
        """Return the rows of the file in which consecutive edges lie."""
        if self.types is None and self.sources is None and self.targets is None:
            return np.arange(start, start + count)
        out, end = [np.zeros(0, np.int64)], start + count
        first = max(0, int(np.searchsorted(self._seen.before, start, "right")) - 1)
        for before, (rows, _) in zip(self._seen.before[first:], self._read(group, first), strict=False):
            if before >= end:
                break
            out.append(rows[max(0, start - before) : end - before])
        return np.concatenate(out)

    def count(self) -> int:
        return int(self._seen.before[-1])

    def expected(self, n_pre: int, n_post: int) -> float:
        return float(self.count())

    def check(self, n_pre: int, n_post: int) -> None:
        sides = (("source", n_pre, self.sources), ("target", n_post, self.targets))
        for (side, n, nodes), largest in zip(sides, self._seen.largest, strict=True):
            if nodes is not None and len(nodes) != n:
                raise ConnectivityError(f"{side}s= names {len(nodes)} nodes, and the {side} group has {n} neurons")
            if largest >= n:
                raise ConnectivityError(
                    f"{self._what} have the {side} node {largest}, and the {side} group has the neurons 0 to {n - 1}: "
                    f"say with {side}s= which node each of them is"
                )

    def describe(self) -> str:
        return f"SonataEdges({display(self.path)}, population '{self.population}', {self.count()} edges)"

    def attribute(self, name: str) -> Attribute:
        """Return an attribute of the edges, to be given as weight or delay: ``rule.attribute("syn_weight") * pA``.

        It is looked for where SONATA has it: in the group of each edge, in the group's ``dynamics_params``, and in the
        table of types.

        Raises
        ------
        ParameterError
            An edge does not have it, or it is no finite number there.
        """
        where = caller()
        try:
            return Attribute(self, AttributeValues.read(self, str(name)), DIMENSIONLESS)
        except NeurosimError as e:
            raise type(e)(e.message, where) from None

    def values(self, group: Any, name: str, start: int, count: int) -> np.ndarray:
        """Return an attribute of consecutive edges, NaN where an edge has none."""
        rows = self.rows(group, start, count)
        out = np.full(len(rows), np.nan)
        if not len(rows):
            return out
        inside, index = _gathered(group, "edge_group_id", rows), _gathered(group, "edge_group_index", rows)
        inside = np.zeros(len(rows), np.int64) if inside is None else inside
        for number in np.unique(inside):
            some = np.flatnonzero(inside == number)
            own = subgroup(group, str(number)) if str(number) in group else {}
            held = own if name in own else subgroup(own, "dynamics_params") if "dynamics_params" in own else {}
            if name in held:
                out[some] = gather(held, name, (rows if index is None else index)[some])
        if self._seen.table and np.isnan(out).any():
            kinds = _gathered(group, "edge_type_id", rows)
            for kind in [] if kinds is None else np.unique(kinds).tolist():
                here = np.isnan(out) & (kinds == kind)
                out[here] = _number(self._seen.table.get(kind, {}).get(name), name, self.edge_types)
        return out

    def attributes(self) -> list[str]:
        """Return the names of the attributes, those that are numbers."""
        found: dict[str, None] = {}
        with self._open() as group:
            for own in (subgroup(group, number) for number in group if number.isdigit()):
                for held in (own, subgroup(own, "dynamics_params") if "dynamics_params" in own else {}):
                    found |= dict.fromkeys(k for k in held if getattr(held[k], "dtype", np.dtype("O")).kind in "iuf")
        texts = [(k, text) for row in self._seen.table.values() for k, text in row.items() if k not in _OWN and text]
        return list(found | dict.fromkeys(k for k, text in texts if _is_number(text)))


@dataclass(frozen=True)
class AttributeValues(PerEdge):
    """An attribute of the edges of a file times a factor, read piece by piece."""

    rule: SonataEdges = field(compare=False)
    name: str = field(compare=False)
    factor: float
    content: str
    low: float
    high: float
    average: float
    stamp: tuple[int, int, int] = field(compare=False, default=(0, 0, 0))
    """Of the file when it was read through: a file with another one is read through again."""

    kind = "per edge"

    @staticmethod
    def read(rule: SonataEdges, name: str) -> AttributeValues:
        """Read through an attribute: every edge must have it."""
        low, high, total, at, digest = np.inf, -np.inf, 0.0, 0, hashlib.sha256()
        stamp = _stamp(rule.path)
        with rule._open() as group:
            for rows in pieces(rule.count()):
                values = rule.values(group, name, rows.start, rows.stop - rows.start)
                if not np.isfinite(values).all():
                    at = rows.start + int(np.argmin(np.isfinite(values)))
                    bad = values[at - rows.start]
                    break
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                total += float(values.sum())
                digest.update(np.ascontiguousarray(values).tobytes())
            else:
                count = rule.count()
                span = (low, high, total / count) if count else (0.0, 0.0, 0.0)
                return AttributeValues(rule, name, 1.0, digest.hexdigest(), *span, stamp)
        known = rule.attributes()
        if name in known:
            which = "is infinite" if np.isinf(bad) else "is missing"
            raise ParameterError(f"'{name}' of edge {at} of {rule._what} {which}")
        table = "" if rule.edge_types is not None else "; those of the types are read with edge_types="
        listed = f"{suggest(name, known)}{table}" if known else f": there are none in the file{table}"
        raise ParameterError(f"{rule._what} have no attribute '{name}'{listed}")

    def times(self, factor: float) -> AttributeValues:
        """Return it times a number."""
        return replace(self, factor=self.factor * factor)

    def at(self, ctx: EdgeContext, start: int, pre: np.ndarray, post: np.ndarray, stream: str) -> np.ndarray:
        stamp = _stamp(self.rule.path)
        if stamp != self.stamp:
            if AttributeValues.read(self.rule, self.name).content != self.content:
                raise self._changed()
            object.__setattr__(self, "stamp", stamp)
        with self.rule._open() as group:
            values = self.rule.values(group, self.name, start, len(pre))
        if len(values) != len(pre) or (len(values) and not self.low <= values.min() <= values.max() <= self.high):
            raise self._changed()
        return values * self.factor

    def _changed(self) -> ResultFileError:
        return ResultFileError(f"'{self.name}' of {self.rule._what} has changed since the rule was made: make it anew")

    def support(self) -> np.ndarray:
        return np.array([self.low, self.high]) * self.factor

    def mean(self) -> float:
        return self.average * self.factor

    def describe(self) -> str:
        low, high = sorted((self.low * self.factor, self.high * self.factor))
        return f"'{self.name}' of the file, {low:.6g} to {high:.6g}"


class Attribute(EdgeQuantity):
    """An attribute of edges as a quantity: times and divided by numbers and units, and given as weight or delay."""

    __array_ufunc__ = None  # np.float64(2) * attribute comes here

    def __init__(self, rule: SonataEdges, values: AttributeValues, dim: Dimension) -> None:
        super().__init__(rule, values, dim, f"the attribute '{values.name}'")
        self.values = values

    def _scaled(self, other: Any, divided: bool) -> Any:
        dim = other.dim if isinstance(other, Quantity) else DIMENSIONLESS
        number = other.value if isinstance(other, Quantity) else other
        if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
            return NotImplemented
        if not np.isfinite(number) or (divided and not number):
            raise ParameterError(f"{self.kind} is {'divided' if divided else 'multiplied'} by {number}", caller())
        factor = 1.0 / float(number) if divided else float(number)
        return Attribute(self.of, self.values.times(factor), self.dim / dim if divided else self.dim * dim)

    def __mul__(self, other: Any) -> Any:
        return self._scaled(other, False)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._scaled(other, True)

    def __neg__(self) -> Any:
        return self * -1.0

    def __repr__(self) -> str:
        return f"{self.values.describe()} ({self.dim})"


def _stamp(path: str) -> tuple[int, int, int]:
    """Return what tells a file from one that was written since; zeros where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _path(key: str, given: Any, where: str | None) -> str:
    try:
        return os.fsdecode(given)
    except TypeError:
        raise ParameterError(f"{key} of SonataEdges is the path of a file, not {given!r}", where) from None


def _row(given: Any) -> np.ndarray:
    """Return an array of its own, of objects where the rows that were given differ in length."""
    try:
        return np.array(given, dtype=object if isinstance(given, str) else None)
    except (ValueError, OverflowError):
        return np.array(None)


def _types(given: Any, where: str | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    row = np.atleast_1d(_row(given))
    if row.ndim != 1 or row.dtype.kind not in "iu" or not len(row):
        raise ParameterError(f"types of SonataEdges are whole numbers, edge_type_ids, not {given!r}", where)
    return tuple(int(k) for k in row)


def _nodes(key: str, given: Any, where: str | None) -> np.ndarray | None:
    if given is None:
        return None
    row = _row(given)
    if row.ndim != 1 or row.dtype.kind not in "iu" or (len(row) and (row.min() < 0 or row.max() >= GROUP_LIMIT)):
        raise ParameterError(f"{key} of SonataEdges are node ids, one row of whole numbers, one for each neuron", where)
    row = row.astype(np.int64)
    ids, times = np.unique(row, return_counts=True)
    if np.any(times > 1):
        raise ParameterError(f"{key} of SonataEdges name node {ids[times > 1][0]} twice", where)
    row.flags.writeable = False
    return row


def _table(path: str) -> dict[int, dict[str, str | None]]:
    rows = read_table(path, "the types of edges", "edge_type_id")
    return {int(str(row["edge_type_id"])): dict(row) for row in rows}


def _places(nodes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the neuron that each node is, -1 where it is none of them."""
    if not len(nodes):
        return np.full(len(ids), -1)
    order = np.argsort(nodes, kind="stable")
    at = np.minimum(np.searchsorted(nodes[order], ids), len(nodes) - 1)
    return np.where(nodes[order][at] == ids, order[at], -1)


def _gathered(group: Any, name: str, rows: np.ndarray) -> np.ndarray | None:
    return gather(group, name, rows).astype(np.int64) if name in group else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str | None, name: str, path: str | None) -> float:
    if text is None:
        return np.nan
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"'{name}' must be a number, and '{display(str(path))}' has '{text}'") from None


def _feed(digest: Any, pre: np.ndarray, post: np.ndarray) -> None:
    for ids in (pre, post):  # pieces are the file's, so that the order is the same each time
        digest.update(np.ascontiguousarray(ids, dtype=np.uint32).tobytes())

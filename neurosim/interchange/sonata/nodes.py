"""Nodes: what each neuron of a circuit is, from the table of types and from the columns of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResultFileError, UnknownNameError, suggest
from neurosim.interchange.sonata.files import (
    column,
    damaged,
    display,
    member,
    opened,
    read_table,
    subgroup,
    texts,
    whole,
)

MAX_NODES = 2**31
"""A population may hold this many; ids within it must fit 32 bits."""


@dataclass
class Nodes:
    """One population of nodes.

    Attributes
    ----------
    name, path : str
        Its name, and the file it lies in.
    ids : ndarray of int64
        Node id of every row, as spikes and edges name it.
    types : dict
        node_type_id -> columns of the table of types.
    type_ids : ndarray of int64
        Type of every row.
    numbers : dict of ndarray
        Columns of numbers of the nodes' own, NaN where a group has none.
    words : dict of ndarray
        The same for texts, None where there is none.
    dynamics : dict of ndarray
        Parameters given node by node (``dynamics_params`` of a group), NaN where there is none.
    """

    name: str
    path: str
    ids: np.ndarray
    types: dict[int, dict[str, str | None]]
    type_ids: np.ndarray
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    words: dict[str, np.ndarray] = field(default_factory=dict)
    dynamics: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def factor(self, key: str) -> tuple[np.ndarray, list[str | None]]:
        """Return (codes, labels): a text property of every row as an index into its different values."""
        distinct, codes = np.unique(self.type_ids, return_inverse=True)
        given = [self.types[int(t)].get(key) for t in distinct]
        labels: list[str | None] = list(dict.fromkeys(given))
        codes = np.array([labels.index(g) for g in given], dtype=np.int64)[codes]
        if key in self.words:
            own = self.words[key]
            for text in {t for t in own.tolist() if t is not None}:
                if text not in labels:
                    labels.append(text)
                codes[own == text] = labels.index(text)
        return codes, labels

    def values(self, key: str) -> np.ndarray | None:
        """Return a property in numbers of every row, or None where no node has it; NaN where some have not."""
        distinct, codes = np.unique(self.type_ids, return_inverse=True)
        given = [self.types[int(t)].get(key) for t in distinct]
        own = self.numbers.get(key)
        if own is None and all(g is None for g in given):
            return None
        out = np.array([np.nan if g is None else self._number(key, g) for g in given])[codes]
        return out if own is None else np.where(np.isnan(own), out, own)

    def _number(self, key: str, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise ParameterError(f"'{key}' of the nodes '{self.name}' must be a number, the table of types has "
                                 f"'{text}'") from None  # fmt: skip

    def rows(self, ids: np.ndarray, what: str) -> np.ndarray:
        """Return the row of every id.

        Raises
        ------
        ResultFileError
            An id that no node has.
        """
        ids = np.asarray(ids)
        if np.array_equal(self.ids, np.arange(len(self.ids))):  # nearly always
            bad = (ids < 0) | (ids >= len(self.ids))
            rows = ids.astype(np.int64)
        else:
            order = np.argsort(self.ids, kind="stable")
            at = np.minimum(np.searchsorted(self.ids[order], ids), len(self.ids) - 1)
            rows = order[at]
            bad = self.ids[rows] != ids
        if bad.any():
            raise ResultFileError(f"{what} names node {int(ids[bad][0])}, which the population '{self.name}' of "
                                  f"{len(self)} nodes does not have")  # fmt: skip
        return rows


def read_nodes(entries: list[dict[str, Any]]) -> dict[str, Nodes]:
    """Read all populations of a circuit, in the order of its configuration."""
    out: dict[str, Nodes] = {}
    for entry in entries:
        path, what = entry["nodes_file"], f"the nodes of '{display(entry['nodes_file'])}'"
        table = entry.get("node_types_file")
        rows = read_table(table, "the types of nodes", "node_type_id") if table else []
        types = {int(str(row["node_type_id"])): row for row in rows}
        with opened(path, "the nodes") as file:
            root = subgroup(file, "nodes")
            for name in root:
                if name in out:
                    raise ParameterError(f"{what}: the population '{name}' is in '{display(out[name].path)}' already")
                out[name] = _population(subgroup(root, name), name, path, types, table)
    if not out:
        raise ParameterError("the circuit has no population of nodes")
    return out


def population(nodes: dict[str, Nodes], name: str, what: str) -> Nodes:
    """Return a population by its name."""
    if name not in nodes:
        raise UnknownNameError(f"{what} names the population '{name}', which the circuit does not have"
                               f"{suggest(name, nodes)}")  # fmt: skip
    return nodes[name]


def _population(group: Any, name: str, path: str, types: dict[int, dict[str, str | None]], table: str | None) -> Nodes:
    type_ids = column(group, "node_type_id", "iu")
    n = int(type_ids.shape[0])
    if not 0 < n < MAX_NODES:
        raise damaged(group, f"the population '{name}' has {n} nodes; 1 to {MAX_NODES - 1} are possible")
    ids = whole(group, "node_id", "iu", n).astype(np.int64) if "node_id" in group else np.arange(n)
    if len(np.unique(ids)) != n:
        raise damaged(group, f"{group.name}/node_id names a node twice")
    found = Nodes(name, path, ids, types, type_ids[()].astype(np.int64))
    for missing in np.unique(found.type_ids):
        if int(missing) not in types:
            known = ", ".join(map(str, sorted(types))) or "none"
            raise ParameterError(f"the nodes '{name}' of '{display(path)}' have the node_type_id {missing}, which "
                                 f"{repr(display(table)) if table else 'no table of types'} does not have "
                                 f"(known: {known})")  # fmt: skip
    for rows, at, inside in groups(group, n, "node"):
        for key in inside:
            if key == "dynamics_params":
                params = subgroup(inside, key)
                for param in params:
                    _scatter(found.dynamics, params, param, rows, at, n)
            elif not hasattr(member(inside, key), "keys"):  # a group, such as @library, is looked up where needed
                _attribute(found, inside, key, rows, at, n)
    return found


def _attribute(found: Nodes, inside: Any, key: str, rows: np.ndarray, at: np.ndarray, n: int) -> None:
    kind = member(inside, key).dtype.kind
    if kind in "OS":
        read = texts(column(inside, key, "OSU"), slice(None))
    elif kind in "iu" and "@library" in inside and key in subgroup(inside, "@library"):
        library = texts(column(subgroup(inside, "@library"), key, "OSU"), slice(None))
        codes = whole(inside, key, "iu")
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(library):
            raise damaged(inside, f"{inside.name}/{key} points outside its library of {len(library)} texts")
        read = library[codes]
    elif kind in "iuf":
        _scatter(found.numbers, inside, key, rows, at, n)
        return
    else:
        return  # of another type: neurosim knows no such property
    _reach(inside, key, len(read), at)
    own = found.words.setdefault(key, np.full(n, None, dtype=object))
    own[rows] = read[at]


def _scatter(into: dict[str, np.ndarray], group: Any, key: str, rows: np.ndarray, at: np.ndarray, n: int) -> None:
    read = whole(group, key, "iuf").astype(np.float64)
    _reach(group, key, len(read), at)
    into.setdefault(key, np.full(n, np.nan))[rows] = read[at]


def _reach(group: Any, key: str, length: int, at: np.ndarray) -> None:
    if len(at) and not 0 <= int(at.min()) <= int(at.max()) < length:
        entry = int(at.min()) if at.min() < 0 else int(at.max())
        raise damaged(group, f"{group.name}/{key} has {length} entries, and entry {entry} is asked for")


def groups(group: Any, n: int, kind: str) -> list[tuple[np.ndarray, np.ndarray, Any]]:
    """Return the groups of a population: (rows, the entry of each in the group, the group).

    Parameters
    ----------
    kind : str
        "node" or "edge": the beginning of the names of the columns.
    """
    names = [key for key in group if key.isdigit()]
    if f"{kind}_group_id" not in group:
        if len(names) > 1:
            raise damaged(group, f"{group.name} has {len(names)} groups and no {kind}_group_id")
        rows = np.arange(n)
        return [(rows, rows, subgroup(group, key)) for key in names]
    members = whole(group, f"{kind}_group_id", "iu", n).astype(np.int64)
    index = whole(group, f"{kind}_group_index", "iu", n).astype(np.int64)
    out = []
    for key in np.unique(members):
        rows = np.flatnonzero(members == key)
        out.append((rows, index[rows], subgroup(group, str(key))))
    return out



"""Edges: weights, delays and receptors of a circuit's connections, read in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnsupportedError
from neurosim.interchange.sonata.config import Config
from neurosim.interchange.sonata.files import (
    CHUNK,
    column,
    damaged,
    display,
    opened,
    pieces,
    read_json,
    read_table,
    subgroup,
)
from neurosim.interchange.sonata.nodes import Nodes, population

WEIGHT_FUNCTIONS = ("default_weight_fnc", "wmax", "gaussianLL")
"""Functions of BMTK's examples that are known: the weight itself, the weight itself, and a weight by orientation."""

SYNAPSES = ("static_synapse", "static")


@dataclass
class Piece:
    """Some edges of one type: rows of their nodes, weight as the file has it, delay in ms (NaN: none is given)."""

    population: str
    type: dict[str, Any]
    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    nsyns: np.ndarray


@dataclass
class Population:
    """What is known of an edge population before its edges are read."""

    name: str
    path: str
    source: Nodes
    target: Nodes
    count: int
    types: dict[int, dict[str, Any]]


def populations(config: Config, nodes: dict[str, Nodes], extra: str | None) -> list[Population]:
    """Open every file of edges and check its outline; no edge is read yet."""
    out: list[Population] = []
    for entry in config.edges:
        if entry.get("enabled") is False:
            config.notes.append(f"the edges of '{display(entry['edges_file'])}' are not enabled in the configuration")
            continue
        table = entry.get("edge_types_file")
        rows = read_table(table, "the types of edges", "edge_type_id") if table else []
        with opened(entry["edges_file"], "the edges") as file:
            root = subgroup(file, "edges")
            for name in root:
                group = subgroup(root, name)
                what = f"the edges '{name}' of '{display(entry['edges_file'])}'"
                ends = [population(nodes, _end(group, side), what) for side in ("source", "target")]
                count = int(column(group, "edge_type_id", "iu").shape[0])
                for side in ("source_node_id", "target_node_id"):
                    column(group, side, "iu", count)
                types = {int(str(row["edge_type_id"])): _type(dict(row), config, extra, what) for row in rows}
                out.append(Population(name, entry["edges_file"], ends[0], ends[1], count, types))
    return out


def _end(group: Any, side: str) -> str:
    dataset = column(group, f"{side}_node_id", "iu")
    name = dataset.attrs.get("node_population", dataset.attrs.get("network"))
    if name is None:
        raise damaged(group, f"{dataset.name} has no attribute 'node_population'")
    return name.decode() if isinstance(name, bytes) else str(name)


def _type(row: dict[str, Any], config: Config, extra: str | None, what: str) -> dict[str, Any]:
    """Read the parameters of a type of edges, and refuse what has no meaning here."""
    template = row.get("model_template")
    if template is not None and str(template).removeprefix("nest:") not in SYNAPSES:
        raise UnsupportedError(f"{what} have the synapse '{template}'; neurosim reads {SYNAPSES[0]} only: a synapse "
                               "that learns is written in Python")  # fmt: skip
    file = row.get("dynamics_params")
    if file is not None:
        path = config.component("synaptic_models_dir", str(file), extra, what)
        row["params"] = read_json(path, f"the parameters of {what}")
    return row


def read_edges(edges: Population) -> Iterator[Piece]:
    """Yield the edges of a population, a hyperslab at a time, parted by type.

    Raises
    ------
    ResultFileError
        A file whose columns contradict each other or name nodes that are not there.
    """
    what = f"the edges '{edges.name}' of '{display(edges.path)}'"
    with opened(edges.path, "the edges") as file:
        group = subgroup(subgroup(file, "edges"), edges.name)
        columns = {key: column(group, key, "iu", edges.count)
                   for key in ("source_node_id", "target_node_id", "edge_type_id")}  # fmt: skip
        grouped = "edge_group_id" in group
        if grouped:
            columns |= {key: column(group, key, "iu", edges.count) for key in ("edge_group_id", "edge_group_index")}
        for rows in pieces(edges.count):
            read = {key: dataset[rows].astype(np.int64) for key, dataset in columns.items()}
            pre = edges.source.rows(read["source_node_id"], what)
            post = edges.target.rows(read["target_node_id"], what)
            inside = read["edge_group_id"] if grouped else np.zeros(len(pre), np.int64)
            index = read["edge_group_index"] if grouped else np.arange(rows.start, rows.stop)
            for type_id in np.unique(read["edge_type_id"]):
                if int(type_id) not in edges.types:
                    known = ", ".join(map(str, sorted(edges.types))) or "none"
                    raise ParameterError(f"{what} have the edge_type_id {type_id}, which the table of types does not "
                                         f"have (known: {known})")  # fmt: skip
            for type_id, member in sorted(set(zip(read["edge_type_id"].tolist(), inside.tolist(), strict=True))):
                chosen = np.flatnonzero((read["edge_type_id"] == type_id) & (inside == member))
                own = subgroup(group, str(member)) if grouped or str(member) in group else {}
                yield _piece(edges, own, edges.types[type_id], pre[chosen], post[chosen], index[chosen], what)


def _piece(edges: Population, own: Any, kind: dict[str, Any], pre: np.ndarray, post: np.ndarray, at: np.ndarray,
           what: str) -> Piece:  # fmt: skip
    if "dynamics_params" in own and len(subgroup(own, "dynamics_params")):
        names = ", ".join(subgroup(own, "dynamics_params"))
        raise UnsupportedError(f"{what} have parameters edge by edge ({names}), which static synapses do not have")

    def values(key: str, default: float) -> np.ndarray:
        if key in own:
            return gather(own, key, at)
        given = kind.get(key)
        if given is None:
            return np.full(len(at), default)
        try:
            return np.full(len(at), float(given))
        except ValueError:
            raise ParameterError(f"'{key}' of {what} must be a number, the table of types has '{given}'") from None

    weight = values("syn_weight", np.nan)
    if np.isnan(weight).any():
        raise ParameterError(f"{what} have no weight: neither the table of types nor the groups have 'syn_weight'")
    function = kind.get("weight_function")
    if function == "gaussianLL":
        weight = weight * _by_orientation(edges, kind, pre, post, what)
    elif function is not None and function not in WEIGHT_FUNCTIONS:
        raise UnsupportedError(f"{what} compute their weights with the function '{function}', which is Python code "
                               f"outside the files; known: {', '.join(WEIGHT_FUNCTIONS)}")  # fmt: skip
    if not np.isfinite(weight).all():
        raise ParameterError(f"{what} have a weight that is infinite or not a number")
    return Piece(edges.name, kind, pre, post, weight, values("delay", np.nan), values("nsyns", 1.0))


def gather(own: Any, key: str, at: np.ndarray) -> np.ndarray:
    """Return the entries of a column that are asked for; the slab that holds them is read, never more."""
    dataset = column(own, key, "iuf")
    lo, hi = int(at.min()), int(at.max()) + 1
    if lo < 0 or hi > dataset.shape[0]:
        raise damaged(own, f"{dataset.name} has {dataset.shape[0]} entries, and entry {lo if lo < 0 else hi - 1} is "
                           "asked for")  # fmt: skip
    if hi - lo <= 4 * CHUNK:
        return dataset[lo:hi].astype(np.float64)[at - lo]
    out = np.empty(len(at))
    for rows in pieces(dataset.shape[0]):  # entries that lie far apart
        some = (at >= rows.start) & (at < rows.stop)
        if some.any():
            out[some] = dataset[rows].astype(np.float64)[at[some] - rows.start]
    return out


def _by_orientation(edges: Population, kind: dict[str, Any], pre: np.ndarray, post: np.ndarray,
                    what: str) -> np.ndarray:  # fmt: skip
    """The factor exp(-(d/sigma)^2), d the difference of preferred orientations (``gaussianLL`` of BMTK's examples)."""
    sigma = kind.get("weight_sigma")
    try:
        width = float(str(sigma))
    except ValueError:
        width = np.nan
    if not width > 0:
        raise ParameterError(f"{what}: the weight function gaussianLL needs a positive 'weight_sigma' in the table of "
                             f"types, got {sigma!r}")  # fmt: skip
    angles = []
    for nodes, rows in ((edges.source, pre), (edges.target, post)):
        tuning = nodes.values("tuning_angle")
        if tuning is None or np.isnan(tuning[rows]).any():
            raise ParameterError(f"{what}: the weight function gaussianLL needs a 'tuning_angle' of every node, and "
                                 f"the nodes '{nodes.name}' lack some")  # fmt: skip
        angles.append(tuning[rows])
    apart = np.abs(angles[1] - angles[0]) % 360.0
    return np.exp(-((np.abs(np.abs(180.0 - apart) - 90.0) - 90.0) / width) ** 2)

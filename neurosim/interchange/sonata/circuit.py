"""Writing a circuit: nodes and edges in HDF5, their types in CSV."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neurosim.interchange.sonata.standard import in_unit
from neurosim.ir.edges import iter_edges
from neurosim.lang.names import free_name
from neurosim.recording.sonata import MAGIC, VERSION

_ROWS = 1 << 15


def new_file(path: str) -> Any:
    """Create an HDF5 file with SONATA's marks."""
    import h5py

    file = h5py.File(path, "w", libver=("v108", "v108"))
    file.attrs.create("magic", MAGIC, dtype=np.uint32)
    file.attrs.create("version", VERSION, dtype=np.uint32)
    return file


def write_table(path: str, columns: dict[str, list[Any]]) -> None:
    """Write a table with spaces between its columns; None is NULL."""

    def cell(value: Any) -> str:
        text = "NULL" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if " " in text or '"' in text else text

    lines = [" ".join(columns)]
    lines += [" ".join(cell(v) for v in row) for row in zip(*columns.values(), strict=True)]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")


def write_nodes(folder: str, name: str, n: int, columns: dict[str, Any], positions: np.ndarray | None,
                arrays: dict[str, np.ndarray]) -> tuple[str, str]:  # fmt: skip
    """Write a population of one type; return the names of its two files.

    Parameters
    ----------
    columns : dict
        Of the table of types, beside the node_type_id.
    positions : ndarray, optional
        [n, 3] in metres; written in micrometres.
    arrays : dict
        Parameters with one value per node.
    """
    nodes, types = f"{name}_nodes.h5", f"{name}_node_types.csv"
    with new_file(os.path.join(folder, nodes)) as file:
        group = file.create_group(f"nodes/{name}")
        group["node_id"] = np.arange(n, dtype=np.uint64)
        group["node_type_id"] = np.full(n, 100, dtype=np.uint64)
        group["node_group_id"] = np.zeros(n, dtype=np.uint32)
        group["node_group_index"] = np.arange(n, dtype=np.uint64)
        inside = group.create_group("0")
        if positions is not None:
            for k, axis in enumerate("xyz"):
                inside[axis] = in_unit(positions[:, k], 1e-6)
        for key, values in arrays.items():
            inside[f"dynamics_params/{key}"] = values
    write_table(os.path.join(folder, types), {"node_type_id": [100], **{k: [v] for k, v in columns.items()}})
    return nodes, types


class EdgeFile:
    """A population of edges that grows; its indices are written at the end."""

    def __init__(self, folder: str, name: str, source: str, target: str, sizes: tuple[int, int],
                 columns: dict[str, Any]) -> None:  # fmt: skip
        self.name, self.sizes, self.count = name, sizes, 0
        self.edges, self.types = f"{name}_edges.h5", f"{name}_edge_types.csv"
        self.file = new_file(os.path.join(folder, self.edges))
        self.group = self.file.create_group(f"edges/{name}")
        kinds = {"source_node_id": "<u8", "target_node_id": "<u8", "edge_type_id": "<u4", "edge_group_id": "<u4",
                 "edge_group_index": "<u8", "0/syn_weight": "<f8", "0/delay": "<f8"}  # fmt: skip
        for key, kind in kinds.items():
            self.group.create_dataset(key, shape=(0,), maxshape=(None,), chunks=(_ROWS,), dtype=kind)
        self.group["source_node_id"].attrs["node_population"] = source
        self.group["target_node_id"].attrs["node_population"] = target
        table = {"edge_type_id": 100, "target_query": "*", "source_query": "*", "model_template": "static_synapse",
                 **columns}  # fmt: skip
        write_table(os.path.join(folder, self.types), {k: [v] for k, v in table.items()})

    def append(self, pre: np.ndarray, post: np.ndarray, weight: Any, delay: Any) -> None:
        """Add edges: rows in their populations, syn_weight in the file's unit, delay in ms."""
        n = len(pre)
        where = slice(self.count, self.count + n)
        rows = {"source_node_id": pre, "target_node_id": post, "edge_type_id": 100, "edge_group_id": 0,
                "edge_group_index": np.arange(where.start, where.stop), "0/syn_weight": weight,
                "0/delay": delay}  # fmt: skip
        for key, values in rows.items():
            dataset = self.group[key]
            dataset.resize(where.stop, axis=0)
            if n:
                dataset[where] = values
        self.count = where.stop

    def close(self) -> None:
        """Write the indices, by source and by target, and close the file."""
        for side, index, size in (("source", "source_to_target", self.sizes[0]),
                                  ("target", "target_to_source", self.sizes[1])):  # fmt: skip
            nodes = self.group[f"{side}_node_id"][()].astype(np.int64)
            first = np.flatnonzero(np.diff(nodes, prepend=-1))  # of every run of edges of one node
            last = np.append(first[1:], len(nodes))[: len(first)]
            order = np.argsort(nodes[first], kind="stable")
            ranges = np.stack([first, last], axis=1)[order].astype(np.uint64).reshape(-1, 2)
            bounds = np.searchsorted(nodes[first][order], np.arange(size + 1))
            inside = self.group.create_group(f"indices/{index}")
            inside["node_id_to_ranges"] = np.stack([bounds[:-1], bounds[1:]], axis=1).astype(np.uint64)
            inside["range_to_edge_id"] = ranges
        self.file.close()


def write_edges(folder: str, graph: Any, projection: Any, of_one: dict[str, dict[str, float]],
                names: set[str]) -> list[tuple[str, str]]:  # fmt: skip
    """Write a projection; one between unions becomes one population of edges for each pair that it connects."""
    offsets = graph.offsets()
    labels = [p.name for p in graph.populations]
    starts = np.array([offsets[label] for label in labels])
    sizes = {p.name: p.size for p in graph.populations}
    files: dict[tuple[int, int], EdgeFile] = {}
    several = len({s.population for s in projection.pre}) * len({s.population for s in projection.post}) > 1
    try:
        for edges in iter_edges(graph, projection):
            pre, post = np.asarray(edges.pre, np.int64), np.asarray(edges.post, np.int64)
            weight = np.broadcast_to(np.asarray(edges.weight, np.float64), pre.shape)
            delay = np.broadcast_to(np.asarray(edges.delay), pre.shape) * graph.dt
            a, b = np.searchsorted(starts, pre, "right") - 1, np.searchsorted(starts, post, "right") - 1
            for source, target in sorted(set(zip(a.tolist(), b.tolist(), strict=True))):
                chosen = (a == source) & (b == target)
                ends = labels[source], labels[target]
                file = files.get((source, target))
                if file is None:
                    stem = projection.name.replace("+", "_") + (f"_{ends[0]}_{ends[1]}" if several else "")
                    name = free_name(stem, names)
                    names.add(name)
                    file = files[source, target] = EdgeFile(
                        folder, name, *ends, (sizes[ends[0]], sizes[ends[1]]),
                        {"neurosim_receptor": projection.receptor})  # fmt: skip
                scale = of_one[ends[1]][projection.receptor]
                file.append(pre[chosen] - starts[source], post[chosen] - starts[target],
                            in_unit(weight[chosen], scale), in_unit(delay[chosen], 1e-3))  # fmt: skip
    finally:
        for file in files.values():
            file.close()
    return [(f.edges, f.types) for f in files.values()]

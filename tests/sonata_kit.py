"""A small circuit in SONATA, written by hand (no neurosim): two populations, edges, spikes, configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MAGIC = 0x0A7A
IAF = {"C_m": 120.0, "tau_m": 12.0, "t_ref": 2.0, "E_L": -70.0, "V_m": -70.0, "V_th": -55.0, "V_reset": -65.0,
       "tau_syn_ex": 2.0, "tau_syn_in": 5.0}  # fmt: skip


def marked(path: Path) -> Any:
    file = h5py.File(path, "w")
    file.attrs.create("magic", MAGIC, dtype=np.uint32)
    file.attrs.create("version", (0, 1), dtype=np.uint32)
    return file


def nodes(folder: Path, name: str, type_ids: list[int], table: str, groups: dict[str, dict[str, Any]] | None = None,
          group_ids: list[int] | None = None) -> None:  # fmt: skip
    """Write a population; the nodes of a group are numbered in their order."""
    member = np.array(group_ids or [0] * len(type_ids))
    with marked(folder / f"{name}_nodes.h5") as file:
        group = file.create_group(f"nodes/{name}")
        group["node_id"] = np.arange(len(type_ids), dtype=np.uint64)
        group["node_type_id"] = np.array(type_ids, dtype=np.uint64)
        group["node_group_id"] = member.astype(np.uint32)
        index = np.zeros(len(member), np.uint64)
        for key in np.unique(member):
            index[member == key] = np.arange((member == key).sum())
            inside = group.create_group(str(key))
            for column, values in (groups or {}).get(str(key), {}).items():
                inside[column] = values
        group["node_group_index"] = index
    (folder / f"{name}_node_types.csv").write_text(table, encoding="utf-8")


def edges(folder: Path, name: str, ends: tuple[str, str], pre: list[int], post: list[int], type_ids: list[int],
          table: str, columns: dict[str, Any] | None = None, index: list[int] | None = None) -> None:  # fmt: skip
    n = len(pre)
    with marked(folder / f"{name}_edges.h5") as file:
        group = file.create_group(f"edges/{name}")
        group["source_node_id"], group["target_node_id"] = np.array(pre, np.uint64), np.array(post, np.uint64)
        group["source_node_id"].attrs["node_population"], group["target_node_id"].attrs["node_population"] = ends
        group["edge_type_id"] = np.array(type_ids, np.uint64)
        group["edge_group_id"] = np.zeros(n, np.uint64)
        group["edge_group_index"] = np.array(index if index is not None else range(n), np.uint64)
        inside = group.create_group("0")
        for column, values in (columns or {}).items():
            inside[column] = values
    (folder / f"{name}_edge_types.csv").write_text(table, encoding="utf-8")


def spikes(path: Path, population: str, times: list[float], ids: list[int]) -> None:
    with marked(path) as file:
        group = file.create_group(f"spikes/{population}")
        group["timestamps"], group["node_ids"] = np.array(times, float), np.array(ids, np.uint64)
        group["timestamps"].attrs["units"] = "ms"


def circuit(folder: Path, populations: list[str], projections: list[str], **simulation: Any) -> Path:
    """Write the two configurations and return the simulation's."""
    outline = {
        "manifest": {"$NET": "$DIR/.", "$DIR": "."},
        "components": {"point_neuron_models_dir": "$DIR/cells", "synaptic_models_dir": "$DIR/synapses"},
        "networks": {
            "nodes": [{"nodes_file": f"$NET/{n}_nodes.h5", "node_types_file": f"$NET/{n}_node_types.csv"}
                      for n in populations],
            "edges": [{"edges_file": f"$NET/{n}_edges.h5", "edge_types_file": f"$NET/{n}_edge_types.csv"}
                      for n in projections],
        },
    }  # fmt: skip
    (folder / "circuit.json").write_text(json.dumps(outline), encoding="utf-8")
    whole = {
        "network": "circuit.json",
        "run": {"tstop": 100.0, "dt": 0.1},
        "inputs": {"in": {"input_type": "spikes", "module": "h5", "input_file": "./in.h5", "node_set": "ext"}},
        "output": {"output_dir": "./out", "spikes_file": "spikes.h5"},
        **simulation,
    }
    path = folder / "simulation.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def small(folder: Path, **simulation: Any) -> Path:
    """Three neurons driven by two sources, and by each other: excitation and inhibition."""
    for name in ("cells", "synapses"):
        (folder / name).mkdir()
    (folder / "cells" / "iaf.json").write_text(json.dumps(IAF), encoding="utf-8")
    (folder / "synapses" / "none.json").write_text("{}", encoding="utf-8")
    nodes(folder, "net", [7, 7, 7], "node_type_id model_type model_template dynamics_params ei\n"
                                    "7 point_neuron nest:iaf_psc_alpha iaf.json e\n",
          {"0": {"x": [0.0, 10.0, 20.0], "dynamics_params/V_m": [-70.0, -60.0, -57.0]}})  # fmt: skip
    nodes(folder, "ext", [1, 1], "node_type_id model_type\n1 virtual\n")
    edges(folder, "in", ("ext", "net"), [0, 1, 1], [0, 1, 2], [3, 3, 3],
          "edge_type_id model_template dynamics_params delay\n3 static_synapse none.json 1.5\n",
          {"syn_weight": [900.0, 800.0, 700.0]})  # fmt: skip
    edges(folder, "rec", ("net", "net"), [0, 1, 2, 0], [1, 2, 0, 2], [5, 6, 5, 6],
          "edge_type_id syn_weight delay target_query\n5 300.0 2.0 \"ei == 'e'\"\n6 -200.0 1.0 *\n")  # fmt: skip
    spikes(folder / "in.h5", "ext", [t for t in np.arange(1.0, 90.0, 3.0).tolist() for _ in range(2)], [0, 1] * 30)
    return circuit(folder, ["net", "ext"], ["in", "rec"], **simulation)

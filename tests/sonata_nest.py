"""A SONATA circuit in NEST, read with libsonata: what tests/test_sonata_network.py compares neurosim's reading with.

Run as a script in a process of its own: ``python sonata_nest.py CIRCUIT.json SPIKES.h5 TSTOP DT OUT.npz [FOLDER]``;
FOLDER holds cell_models/ and synaptic_models/. Nothing of neurosim is used. As BMTK's PointNet does, an edge becomes
one connection with its syn_weight, and spikes between two steps act at the end of theirs. Without a delay it gets 1 ms.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np


def table(path: Path, key: str) -> dict[int, dict[str, str]]:
    lines = [shlex.split(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {int(r[lines[0].index(key)]): dict(zip(lines[0], r, strict=True)) for r in lines[1:]}


def parameters(folders: list[Path], name: str | None) -> dict:
    if name in (None, "NULL"):
        return {}
    found = next(folder / name for folder in folders if (folder / name).is_file())
    return json.loads(found.read_text(encoding="utf-8"))


def main(circuit: str, spikes: str, tstop: float, dt: float, out: str, folder: str | None = None) -> None:
    import libsonata
    import nest

    nest.ResetKernel()
    nest.resolution = dt
    base = Path(circuit).resolve().parent
    config = json.loads(Path(circuit).read_text(encoding="utf-8"))
    variables = dict(config["manifest"])

    def resolved(text: str) -> Path:
        while "$" in text:
            for key in sorted(variables, key=len, reverse=True):
                text = text.replace(key, variables[key])
        return base / text

    cells = [resolved(config["components"]["point_neuron_models_dir"])]
    synapses = [resolved(config["components"]["synaptic_models_dir"])]
    if folder:
        cells, synapses = [Path(folder) / "cell_models"], [Path(folder) / "synaptic_models"]
    with h5py.File(spikes) as file:
        root = file["spikes"]
        group = root if "timestamps" in root else root[next(iter(root))]
        stamps = group["timestamps"][()]
        senders = group["node_ids" if "node_ids" in group else "gids"][()]
    steps = np.ceil(np.round(stamps / dt, 6)).astype(int)
    made: dict[str, list[int]] = {}
    real = []
    for entry in config["networks"]["nodes"]:
        types = table(resolved(entry["node_types_file"]), "node_type_id")
        for name in libsonata.NodeStorage(str(resolved(entry["nodes_file"]))).population_names:
            with h5py.File(resolved(entry["nodes_file"])) as file:
                kinds = file[f"nodes/{name}/node_type_id"][()]
                own = file.get(f"nodes/{name}/0/dynamics_params", {})
                each = {key: own[key][()] for key in own}
            ids: list[int] = []
            for node, kind in enumerate(kinds):
                row = types[int(kind)]
                if row["model_type"] == "virtual":
                    times = steps[senders == node] * dt
                    ids += nest.Create("spike_generator", 1, {"spike_times": np.sort(np.round(times, 6))}).tolist()
                    continue
                params = parameters(cells, row.get("dynamics_params")) | {k: v[node] for k, v in each.items()}
                ids += nest.Create(row["model_template"].partition(":")[2], 1, params).tolist()
            made[name] = ids
            if any(types[int(k)]["model_type"] != "virtual" for k in np.unique(kinds)):
                real.append(name)
    for entry in config["networks"]["edges"]:
        types = table(resolved(entry["edge_types_file"]), "edge_type_id")
        storage = libsonata.EdgeStorage(str(resolved(entry["edges_file"])))
        for name in storage.population_names:
            edges = storage.open_population(name)
            every = edges.select_all()
            pre, post = edges.source_nodes(every), edges.target_nodes(every)
            with h5py.File(resolved(entry["edges_file"])) as file:
                kinds = file[f"edges/{name}/edge_type_id"][()]
            given = {k: edges.get_attribute(k, every) for k in ("syn_weight", "delay") if k in edges.attribute_names}
            by_kind: dict[int, list[int]] = defaultdict(list)
            for k, kind in enumerate(kinds):
                by_kind[int(kind)].append(k)
            for kind, rows in by_kind.items():
                row = types[kind]
                params = parameters(synapses, row.get("dynamics_params"))
                weight = given.get("syn_weight", np.full(len(pre), float(row.get("syn_weight", "nan"))))[rows]
                delay = given.get("delay", np.full(len(pre), float(row.get("delay", 1.0))))[rows]
                spec = {"weight": weight, "delay": np.round(delay, 6)}
                if "receptor_type" in params:
                    spec["receptor_type"] = np.full(len(rows), params["receptor_type"])
                ends = (np.array(made[n])[e[rows].astype(int)] for n, e in ((edges.source, pre), (edges.target, post)))
                nest.Connect(*ends, "one_to_one", {"synapse_model": "static_synapse", **spec})
    recorders = {}
    for name in real:
        recorders[name] = nest.Create("spike_recorder")
        nest.Connect(nest.NodeCollection(made[name]), recorders[name])
    nest.Simulate(tstop)
    found = {}
    for name, recorder in recorders.items():
        events = recorder.events
        found[f"{name}_steps"] = np.rint(events["times"] / dt).astype(int) - 1
        found[f"{name}_ids"] = events["senders"] - made[name][0]
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), *sys.argv[5:])

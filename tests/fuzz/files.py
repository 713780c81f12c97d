"""Files: a whole one of every kind that neurosim reads, what breaks it, and what is then done with it."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz import damage


@dataclass(frozen=True)
class Kind:
    """A kind of file: ``make`` writes whole ones into a folder, ``read`` does with them what a user would do."""

    make: Callable[[Path], None]
    read: Callable[[Path], None]
    sealed: str = ""


def made(target: str, rng: random.Random, whole: Path, folder: Path, outside: Path) -> list[str]:
    """Copy whole files into a folder and damage one of them; return what was done."""
    shutil.copytree(whole, folder)
    kind = KINDS[target]
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "lock")
    path = rng.choice(paths)
    done = damage.damage(path, rng, outside)
    if kind.sealed and path.suffix == ".h5" and rng.random() < 0.8:
        damage.sealed(path, kind.sealed)
        done.append("sealed anew")
    return [path.relative_to(folder).as_posix(), *done]


# -- results ----------------------------------------------------------------------------------------------------------


def network() -> Any:
    import neurosim as ns
    from neurosim.models import LIF, ExpCurrent
    from neurosim.units import ms, mV

    net = ns.Network("fuzz", dt=0.1 * ms, seed=3)
    cell = LIF(v_rest=-49 * mV, v_th=-50 * mV, receptors={"exc": ExpCurrent(tau=5 * ms)})
    p, q = net.population("p", 4, cell), net.population("q", 3, cell)
    wire = net.connect(p, q, weight=1 * mV, name="pq")
    net.record([p, q], "spikes")
    net.record(p, "v", every=1 * ms)
    net.record(q, "rate")
    net.record(wire, "weight", every=5 * ms)
    return net


def make_result(folder: Path) -> None:
    from neurosim.units import ms

    result = network().run(30 * ms, backend="reference")
    result.provenance = result.provenance.replace(started="", wall_build_s=0.0, wall_compile_s=0.0, wall_simulate_s=0.0)
    result.save(folder / "out.h5", weights=["pq"])  # the same file every time: an input is its number


def read_result(folder: Path) -> None:
    """Load a result, ask of it what it holds, save it again, and make its page."""
    from neurosim.recording import RunResult, read_spikes
    from neurosim.report import run as page

    path = folder / "out.h5"
    with refused():
        read_spikes(path)
    result = RunResult.load(path)
    str(result)
    for ask in (result.summary, result.rates, result.cv_isi):
        with refused():
            ask()
    for name in result.spikes:
        with refused():
            result.spikes[name].trains()
    with refused():
        result.save(folder / "again.h5")
    with refused():
        page.write(result, folder / "page.html")


def make_checkpoint(folder: Path) -> None:
    from neurosim.units import ms

    network().run(2 * ms, backend="reference", checkpoint=folder / "kept", checkpoint_every=1 * ms)
    (folder / "kept" / "lock").unlink()


def read_checkpoint(folder: Path) -> None:
    from neurosim.units import ms

    network().run(3 * ms, backend="reference", checkpoint=folder / "kept", resume=True)


def make_sweep(folder: Path) -> None:
    from neurosim.sweep import Store, axes, grid
    from neurosim.sweep.store import keep
    from neurosim.units import ms

    varied = axes(("p.tau_m=10ms,20ms",))
    points = grid(varied, 1, 0)
    spec = {"set": {k: list(v) for k, v in varied.items()}, "trials": 1}
    store = Store(folder / "sweep.h5", spec, points)
    with store.held():
        for point in points:
            keep(network().run(5 * ms, backend="reference"), store.part(point))
        store.merge({})


def read_sweep(folder: Path) -> None:
    from neurosim.sweep import SweepResult

    result = SweepResult.load(folder / "sweep.h5")
    str(result.spec)
    for point in result.points:
        with refused():
            result.result(point.index).summary()


# -- files of others --------------------------------------------------------------------------------------------------


def make_sonata(folder: Path) -> None:
    import sonata_kit as kit

    kit.small(folder, node_sets={"some": {"population": "net", "node_id": [0, 1]}})
    (folder / "in.csv").write_text("timestamps population node_ids\n1.5 ext 0\n2.5 ext 1\n", encoding="utf-8")
    whole = json.loads((folder / "simulation.json").read_text(encoding="utf-8"))
    whole["inputs"]["more"] = {"input_type": "spikes", "module": "csv", "input_file": "./in.csv", "node_set": "ext"}
    whole["inputs"]["clamp"] = {"input_type": "current_clamp", "module": "IClamp", "node_set": "net", "amp": 0.1,
                                "delay": 1.0, "duration": 2.0}  # fmt: skip
    whole["reports"] = {"v": {"variable_name": "V_m", "cells": "some", "module": "membrane_report", "sections": "soma"}}
    (folder / "simulation.json").write_text(json.dumps(whole), encoding="utf-8")


def read_sonata(folder: Path) -> None:
    """Read a circuit, compile it, run two steps, and write what its configuration wants."""
    from neurosim.cli.load import load
    from neurosim.recording import read_spikes

    with refused():
        read_spikes(folder / "in.h5")
    found = load(str(folder / "simulation.json"))
    found.network.run(2 * _step(found.network), backend="reference")


def _step(net: Any) -> Any:
    from neurosim.units import second

    return net.dt * second


def make_nir(folder: Path) -> None:
    import nir
    import nir_kit as kit
    import numpy as np

    rng = np.random.default_rng(3)
    nodes, edges = kit.lif_graph()
    inner = nir.NIRGraph({"input": nir.Input(kit.size(3)), "cuba": kit.neuron("CubaLIF", rng, (3,)),
                          "output": nir.Output({"output": np.array([3])})},
                         [("input", "cuba"), ("cuba", "output")])  # fmt: skip
    nodes |= {"sub": inner, "rec": nir.Affine(rng.normal(size=(3, 3)), rng.normal(size=3))}
    edges = [("in", "w"), ("w", "lif"), ("lif", "sub"), ("sub", "out"), ("lif", "rec"), ("rec", "lif")]
    nir.write(folder / "graph.nir", nir.NIRGraph(nodes, edges))
    np.save(folder / "in.npy", np.ones((20, 2)))


def read_nir(folder: Path) -> None:
    from neurosim.interchange.nir.build import read_network
    from neurosim.units import ms

    found = read_network(str(folder / "graph.nir"), dt=1 * ms, inputs=str(folder / "in.npy"), scheme="exact",
                         reset="value")  # fmt: skip
    found.network.run(2 * ms, backend="reference")


def make_pynn(folder: Path) -> None:
    rows = ['# columns = ["i", "j", "weight", "delay"]', "0 0 1.0 1.0", "1 2 0.5 1.0", "2 1 0.25 2.0"]
    (folder / "edges.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def read_pynn(folder: Path) -> None:
    import neurosim.pynn as sim

    sim.setup(timestep=0.1, backend="reference")
    p = sim.Population(3, sim.IF_curr_exp())
    sim.Projection(p, p, sim.FromFileConnector(str(folder / "edges.txt")), sim.StaticSynapse())
    sim.run(0.2)
    sim.end()


def make_safetensors(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder / "module.safetensors")


def read_safetensors(folder: Path) -> None:
    import torch

    from neurosim.models.layers import files

    with refused():
        files.load_state((torch.ones(2, 3), {"bias": None}), folder / "module.safetensors")
    files.load(torch.nn.Linear(3, 2), folder / "module.safetensors")


@contextlib.contextmanager
def refused() -> Any:
    """A step that may be refused, with what comes after it tried nevertheless."""
    from neurosim.errors import NeurosimError, VerifyError

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except VerifyError:
        raise
    except NeurosimError as error:
        if not str(error):
            raise


KINDS = {
    "results": Kind(make_result, read_result, "neurosim result 1"),
    "checkpoints": Kind(make_checkpoint, read_checkpoint, "neurosim checkpoint 2"),
    "sweeps": Kind(make_sweep, read_sweep, "neurosim sweep 1"),
    "sonata": Kind(make_sonata, read_sonata),
    "nir": Kind(make_nir, read_nir),
    "pynn": Kind(make_pynn, read_pynn),
    "safetensors": Kind(make_safetensors, read_safetensors),
}

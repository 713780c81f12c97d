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


def make_saved(folder: Path) -> None:
    """A network with something of everything, small enough that a change of the file meets all of it."""
    import numpy as np

    import neurosim as ns
    from neurosim.models import LIF, ArrayCurrent, ExpCurrent, PairSTDP, PoissonInput, SpikeSource, TsodyksMarkram
    from neurosim.units import Hz, ms, mV, um

    net = ns.Network("fuzz", dt=0.1 * ms, seed=3)
    cell = LIF(tau_m=ns.normal(20 * ms, 2 * ms, lo=5 * ms), receptors={"exc": ExpCurrent(tau="tau_m/4")})
    p = net.population("p", 4, cell, init={"v": ns.uniform(-60 * mV, -50 * mV)}, positions=np.eye(4)[:, :3] * um)
    q = net.population("q", 3, cell(v_th=[-50, -51, -52] * mV), positions=np.ones((3, 2)) * um)
    own = ns.Cell("dv/dt = (i - v)/tau; x[n+1] = x*exp(-dt/tau)", threshold="v >= 1", reset="v = 0; x += 1",
                  refractory=1 * ms, tau=10 * ms, events={"na": ns.Event("x > 3", "x = 0", refractory="tau/2")},
                  receptors={"in": ns.Receptor(event="v += w")})  # fmt: skip
    r = net.population("r", 2, own)
    s = net.population("s", 2, SpikeSource([[0.1, 0.5] * ms, [0.3] * ms]))
    net.connect(s, p, rule=ns.EdgeList([0, 1, 1], [3, 2, 0]), weight=[1, 2, 3] * mV, delay=[0.1, 0.2, 0.1] * ms)
    net.connect(p + q[:2], q, weight="mV*(1 + i)/N_pre", delay=ns.uniform(0.1 * ms, 1 * ms),
                rule=ns.Where("i != j", p="exp(-distance/um)"), name="where")  # fmt: skip
    wire = net.connect(p, q, rule=ns.FixedInDegree(2), weight=1 * mV, plasticity=PairSTDP(rate=0.1, w_max=5 * mV),
                       short_term=TsodyksMarkram, name="learns")  # fmt: skip
    net.connect(p, r, rule=ns.FixedProbability(0.5), weight=0.5)
    net.stimulate(p[1:3], ArrayCurrent(np.arange(8.0).reshape(2, 4) * mV, 1 * ms, True))
    net.stimulate(q, PoissonInput("300*Hz*(1 + sin(2*pi*10*Hz*t))", 5 * mV))
    net.stimulate(q, PoissonInput(100 * Hz, 5 * mV, n=3), name="more")
    net.set_parameter("q.learns.tau_plus", 11 * ms)
    net.record([p, q, r], "spikes")
    net.record(p[[2, 0]], "v", every=0.2 * ms)
    net.record(wire, "weight", every=0.5 * ms)
    net.published, net.default_duration = {"nowhere": {"p": 1.5}}, 5 * ms
    net.save(folder / "net.h5")


def read_saved(folder: Path) -> None:
    """Load a network, ask of it what a user would, save it again, compile it and run two steps of it."""
    import neurosim as ns
    from neurosim.compile import compile_network
    from neurosim.recording import RunResult

    path = folder / "net.h5"
    with refused():
        RunResult.load(path)
    net = ns.Network.load(path)
    repr(net)
    for pop in net.populations.values():
        for part in pop.scope.parts.values():
            part.describe()
    net.save(folder / "again.h5")  # what can be read can be written
    if sum(pop.n for pop in net.populations.values()) < 10_000:  # a billion neurons are legal, and take their time
        graph = compile_network(net)
        if longest_delay(graph) < 100_000:  # what is on its way lies in memory
            net.run(2 * _step(net), backend="reference")


def longest_delay(graph: Any) -> float:
    """Return it in steps, without making an edge."""
    from neurosim.ir.distributions import bound

    delays = [bound(c.delay) for c in graph.projections]
    return max((d / graph.dt for d in delays if d is not None), default=0.0)


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
    "networks": Kind(make_saved, read_saved, "neurosim network 1"),
    "sweeps": Kind(make_sweep, read_sweep, "neurosim sweep 1"),
    "sonata": Kind(make_sonata, read_sonata),
    "nir": Kind(make_nir, read_nir),
    "pynn": Kind(make_pynn, read_pynn),
    "safetensors": Kind(make_safetensors, read_safetensors),
}

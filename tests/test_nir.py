"""NIR graphs in and out: the paper's files, random graphs against their definition, other readers, and mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nir
import nir_kit as kit
import nir_readers as readers
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import FULL, SHARED
from hypothesis import given
from hypothesis import strategies as st
from nir_kit import lif_graph, size, write
from nir_readers import CELLS, network

import neurosim as ns
from neurosim.cli.main import cli
from neurosim.errors import NeurosimError
from neurosim.interchange.nir import maps
from neurosim.interchange.nir.build import read_inputs, read_network
from neurosim.interchange.nir.write import export
from neurosim.models import (
    LIF,
    CubaLIF,
    DCInput,
    DeltaCurrent,
    PoissonSource,
    SpikeSource,
)
from neurosim.units import Hz, ms, mV, second

PAPER = SHARED / "nir"
LIF_SPIKES = [460, 510, 710, 760]


def steps(data: Any, dt: float) -> np.ndarray:
    """Events of NIR's data as [steps, neurons]."""
    out = np.zeros((round(data.t_max / dt), data.n_neurons))
    assert data.idx.shape == data.time.shape and len(data.idx) == 1
    assert np.array_equal(data.to_time_gridded(dt).data[0].sum(0), np.bincount(data.idx[0], minlength=data.n_neurons))
    out[np.floor(data.time[0] / dt).astype(int), data.idx[0]] = 1
    return out


# -- the files of the paper


@pytest.mark.shared_data("nir/01_lif/lif_norse.nir", "nir/01_lif/lif_exact.csv")
@pytest.mark.parametrize("scheme", ["exact", "euler"])
def test_lif_of_the_paper(scheme: str) -> None:
    given_ = np.loadtxt(PAPER / "01_lif" / "lif_exact.csv", delimiter=",")[:, :1]
    path = str(PAPER / "01_lif" / "lif_norse.nir")
    circuit = read_network(path, dt=0.1 * ms, inputs=given_, scheme=scheme)
    result = circuit.network.run(circuit.duration, backend="reference")
    assert result.spikes["n1"].steps.tolist() == LIF_SPIKES
    assert np.flatnonzero(circuit.output(result, "output")).tolist() == LIF_SPIKES
    # with the input as a population, everything behind it is a step late, and `output` takes that back
    driven = read_network(path, dt=0.1 * ms, scheme=scheme).network
    driven.populations["input"].cell.schedule.times = np.flatnonzero(given_) * 1e-4
    driven.populations["input"].cell.schedule.ids = np.zeros(int(given_.sum()), int)
    assert driven.run(100 * ms, backend="reference").spikes["n1"].steps.tolist() == [n + 1 for n in LIF_SPIKES]


@pytest.mark.shared_data("nir/02_cnn/cnn_sinabs.nir", "nmnist_small/nmnist_small.npz")
def test_cnn_of_the_paper_on_nmnist() -> None:
    """All 100 samples in the full tier, every tenth otherwise; at least 95 % are right."""
    data = np.load(SHARED / "nmnist_small" / "nmnist_small.npz")
    offsets, which = data["offsets"], np.flatnonzero(data["is_test"])[:: 1 if FULL else 10]
    events = {key: data[key] for key in ("t_us", "p", "x", "y")}
    right = 0
    for k in which:
        mine = {key: each[offsets[k] : offsets[k + 1]] for key, each in events.items()}
        at = mine["t_us"] // 1000
        seen = at < 310
        x = np.zeros((310, 2, 34, 34))
        np.add.at(x, (at[seen], mine["p"][seen], mine["y"][seen], mine["x"][seen]), 1)
        circuit = read_network(str(PAPER / "02_cnn" / "cnn_sinabs.nir"), dt=1 * ms, inputs=x)
        counts = circuit.output(circuit.network.run(circuit.duration), "output").sum(0)
        right += int(counts.argmax() == data["labels"][k])
    assert right >= 0.95 * len(which)


UNCHANGED: dict[str, dict[str, Any]] = {
    "01_lif/lif_norse.nir": {},
    "02_cnn/cnn_sinabs.nir": {},
    "03_rnn/braille_noDelay_bias_zero.nir": {"scheme": "euler"},
    "03_rnn/braille_noDelay_noBias_subtract.nir": {"scheme": "euler", "reset": "subtract"},
}


@pytest.mark.shared_data(*(f"nir/{name}" for name in UNCHANGED))
@pytest.mark.parametrize("name", UNCHANGED)
def test_files_of_the_paper_are_written_back_unchanged(name: str, tmp_path: Path) -> None:
    circuit = read_network(str(PAPER / name), dt=0.1 * ms, **UNCHANGED[name])
    export(circuit.network, str(tmp_path / "out"), duration=5 * ms)
    a, b = nir.read(PAPER / name), nir.read(tmp_path / "out" / "graph.nir")
    assert set(a.nodes) == set(b.nodes) and sorted(a.edges) == sorted(b.edges)
    for key, node in a.nodes.items():
        mine, other = node.to_dict(), b.nodes[key].to_dict()
        assert all(np.array_equal(mine[k], other[k]) for k in mine if k != "metadata"), key
    # and what was chosen at reading stands in the metadata
    again = read_network(str(tmp_path / "out" / "graph.nir"))
    kinds = [[p.cell.prototype for p in c.network.populations.values() if p.cell.schedule is None]
             for c in (circuit, again)]  # fmt: skip
    assert kinds[0] == kinds[1]


@pytest.mark.shared_data("nir/03_rnn/braille_noDelay_bias_zero.nir", "nir/03_rnn/braille_noDelay_noBias_subtract.nir")
@pytest.mark.parametrize(("name", "reset"), [("bias_zero", "value"), ("noBias_subtract", "subtract")])
def test_braille_graphs_run_as_defined(name: str, reset: str) -> None:
    path = PAPER / "03_rnn" / f"braille_noDelay_{name}.nir"
    x = (np.random.default_rng(5).random((256, 12)) < 0.2).astype(float)
    circuit = read_network(str(path), dt=0.1 * ms, inputs=x, scheme="euler", reset=reset)
    result = circuit.network.run(circuit.duration, backend="reference")
    expected = kit.Direct(nir.read(path), 1e-4, "euler", reset).run({"input": x})
    for key in ("lif1.lif", "lif2"):
        assert expected[key].sum() > 20
        assert np.array_equal(circuit.output(result, key)[:256], expected[key]), key


# -- random graphs


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Any, dict[str, str], int]:
    """A graph of two to four layers with short cuts, delays and recurrent layers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    nodes: dict[str, Any] = {"in": nir.Input(size(3))}
    edges: list[tuple[str, str]] = []
    sizes, layers = {"in": 3}, ["in"]
    for k in range(draw(st.integers(2, 4))):
        kind = draw(st.sampled_from(["LIF", "CubaLIF", "IF", "LIF", "Threshold"]))
        n, name = draw(st.integers(1, 4)), f"n{k}"
        nodes[name] = nir.Threshold(rng.uniform(0.2, 0.6, n)) if kind == "Threshold" else kit.neuron(kind, rng, (n,))
        sizes[name] = n
        for source in {layers[-1], draw(st.sampled_from(layers))}:
            weight = rng.uniform(-1, 2, (n, sizes[source]))
            node = nir.Affine(weight, rng.uniform(-0.1, 0.2, n)) if draw(st.booleans()) else nir.Linear(weight)
            way = [source]
            if draw(st.booleans()):
                nodes[f"d_{source}_{name}"] = nir.Delay(rng.integers(0, 4, sizes[source]) * 1e-3)
                way.append(f"d_{source}_{name}")
            nodes[f"w_{source}_{name}"] = node
            way.append(f"w_{source}_{name}")
            if draw(st.booleans()):
                nodes[f"s_{source}_{name}"] = nir.Scale(rng.uniform(0.5, 1.5, n))
                way.append(f"s_{source}_{name}")
            edges += zip(way, [*way[1:], name], strict=True)
        if kind in ("LIF", "CubaLIF") and draw(st.booleans()):
            nodes[f"r_{name}"] = nir.Linear(rng.uniform(-1, 1, (n, n)))
            edges += [(name, f"r_{name}"), (f"r_{name}", name)]
        layers.append(name)
    end = layers[-1]
    if draw(st.booleans()):
        nodes["read"] = nir.LI(rng.uniform(2e-3, 2e-2, 2), np.ones(2), np.zeros(2))
        nodes["w_read"] = nir.Linear(rng.uniform(-1, 1, (2, sizes[end])))
        edges += [(end, "w_read"), ("w_read", "read"), ("read", "out")]
        nodes["out"] = nir.Output({"output": np.array([2])})
    else:
        nodes["out"] = nir.Output({"output": np.array([sizes[end]])})
        edges.append((end, "out"))
    options = {
        "scheme": draw(st.sampled_from(["exact", "euler"])),
        "reset": draw(st.sampled_from(["value", "subtract"])),
    }
    return nir.NIRGraph(nodes, edges), options, draw(st.integers(0, 2**32))


@given(graphs())
def test_random_graphs_do_what_their_definition_says(
    tmp_path_factory: Any, case: tuple[Any, dict[str, str], int]
) -> None:
    graph, options, seed = case
    folder = tmp_path_factory.mktemp("nir")
    nir.write(folder / "graph.nir", graph)
    x = np.random.default_rng(seed).integers(0, 2, (30, 3)).astype(float)
    expected = kit.Direct(graph, 1e-3, **options).run({"in": x})
    circuit = read_network(str(folder / "graph.nir"), dt=1 * ms, inputs=x, **options)
    result = circuit.network.run(circuit.duration, backend="reference")
    for name in circuit.populations:
        got = circuit.output(result, name)[:30]
        assert np.allclose(got, expected[name], rtol=1e-9, atol=1e-9), name
    # written and read once more: the same graph, the same spikes
    export(circuit.network, str(folder / "out"), duration=30 * ms)
    again = read_network(str(folder / "out" / "graph.nir"), inputs=x)
    second_run = again.network.run(again.duration, backend="reference")
    for name in circuit.populations:
        assert np.array_equal(again.output(second_run, name), circuit.output(result, name)), name


@pytest.mark.parametrize(("kind", "given_"), [("CubaLI", {}), ("I", {}), ("I", {"integrators": "second"}), ("LI", {})])
def test_neurons_that_only_integrate(kind: str, given_: dict[str, str], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    nodes = {"in": nir.Input(size(2)), "n": kit.neuron(kind, rng, (2,)), "out": nir.Output({"output": np.array([2])})}
    path = write(tmp_path, nodes, [("in", "n"), ("n", "out")])
    x = rng.normal(size=(20, 2))
    circuit = read_network(path, dt=1 * ms, inputs=x, **given_)
    got = circuit.output(circuit.network.run(circuit.duration, backend="reference"), "out")
    expected = kit.Direct(nir.read(path), 1e-3, "exact").run({"in": x})["out"]
    scale = 1e-3 if "integrators" in given_ else 1.0
    assert np.allclose(got, expected * scale, rtol=1e-9, atol=1e-12)


def test_convolutions_and_pools_do_what_their_definition_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    nodes = {
        "in": nir.Input(size([2, 9, 8])),
        "conv": nir.Conv2d((9, 8), rng.normal(size=(3, 2, 3, 3)), (2, 1), (1, 2), (1, 2), 1, rng.normal(size=3)),
        "a": kit.neuron("IF", rng, (3, 5, 8)),
        "sum": nir.SumPool2d(np.array([2, 3]), np.array([2, 2]), np.array([0, 1])),
        "conv2": nir.Conv2d(None, rng.normal(size=(2, 3, 2, 2)), 1, 0, 1, 1, np.zeros(2)),
        "avg": nir.AvgPool2d(np.array([1, 2]), np.array([1, 1]), np.array([0, 0])),
        "flat": nir.Flatten(None, 0, -1),
        "b": kit.neuron("LIF", rng, (4,)),
        "out": nir.Output({"output": np.array([4])}),
    }
    order = ["in", "conv", "a", "sum", "conv2", "avg", "flat", "b", "out"]
    path = write(tmp_path, nodes, list(zip(order, order[1:], strict=False)))
    x = rng.integers(0, 3, (25, 2, 9, 8)).astype(float)
    circuit = read_network(path, dt=1 * ms, inputs=x)
    result = circuit.network.run(circuit.duration, backend="reference")
    expected = kit.Direct(nir.read(path), 1e-3, "exact").run({"in": x})
    for name in ("a", "b"):
        assert 10 < expected[name].sum() < expected[name].size
        assert np.array_equal(circuit.output(result, name)[:25], expected[name]), name


def test_a_convolution_alone_stays_one(tmp_path: Path) -> None:
    """With a wire, or another linear node, on the way it is a list of edges; what it does is the same."""
    rng = np.random.default_rng(1)
    nodes = {
        "in": nir.Input(size([1, 6, 5])),
        "conv": nir.Conv2d((6, 5), rng.normal(1, 1, (2, 1, 3, 3)), (2, 1), (1, 0), 1, 1, np.zeros(2)),
        "a": kit.neuron("IF", rng, (2, 3, 3)),
        "line": nir.Conv2d((3, 3), rng.normal(1, 1, (2, 2, 1, 1)), 1, 0, 1, 1, np.zeros(2)),
        "b": kit.neuron("IF", rng, (2, 3, 3)),
        "out": nir.Output({"output": np.array([2, 3, 3])}),
    }
    order = list(nodes)
    chain = list(zip(order, order[1:], strict=False))
    for more, kinds in (([], ["Convolution", "Convolution"]), ([("a", "b")], ["Convolution", "EdgeList"])):
        path = write(tmp_path, nodes, chain + more)
        circuit = read_network(path, dt=1 * ms)
        assert [type(c.rule).__name__ for c in circuit.network.projections.values()] == kinds
        edges = circuit.network.edges("line")
        dense = np.zeros((18, 18))
        np.add.at(dense, (edges.post, edges.pre), edges.weight)
        wanted = np.kron(nodes["line"].weight[:, :, 0, 0], np.eye(9)) + (np.eye(18) if more else 0)
        assert np.allclose(dense, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.engine("torch")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("padding", [0, (1, 2), "same", "valid"])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_are_those_of_torch(padding: Any, groups: int) -> None:
    import torch

    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 4 // groups, 3, 2)), rng.normal(size=4)
    stride = (1, 1) if padding == "same" else (2, 3)
    node = nir.Conv2d((7, 9), weight, stride, padding, (2, 1), groups, bias)
    x = rng.normal(size=(4, 7, 9))
    expected = torch.nn.functional.conv2d(
        torch.tensor(x), torch.tensor(weight), torch.tensor(bias), stride, padding, (2, 1), groups).numpy()  # fmt: skip
    node.input_type, node.output_type = {"input": np.array(x.shape)}, {"output": np.array(expected.shape)}
    got = maps.matrix(node, "it") @ x.ravel() + maps.bias(node, "it")
    assert np.allclose(got.reshape(expected.shape), expected)
    line = nir.Conv1d(9, weight[:, :, 0, :], 2, 1 if padding == (1, 2) else 0, 2, groups, bias)
    expected = torch.nn.functional.conv1d(
        torch.tensor(x[:, 0]), torch.tensor(weight[:, :, 0, :]), torch.tensor(bias), 2, line.padding, 2, groups
    ).numpy()
    line.input_type, line.output_type = {"input": np.array([4, 9])}, {"output": np.array(expected.shape)}
    got = maps.matrix(line, "it") @ x[:, 0].ravel() + maps.bias(line, "it")
    assert np.allclose(got.reshape(expected.shape), expected)


def test_subgraphs_are_put_in_their_places(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lif, weight = kit.neuron("LIF", rng, (2,)), nir.Linear(rng.uniform(0, 2, (2, 2)))
    inner = nir.NIRGraph({"i": nir.Input(size(2)), "w": weight, "lif": lif, "o": nir.Output({"output": np.array([2])})},
                         [("i", "w"), ("w", "lif"), ("lif", "o")])  # fmt: skip
    flat = {"in": nir.Input(size(2)), "w": weight, "lif": lif, "out": nir.Output({"output": np.array([2])})}
    x = rng.integers(0, 2, (30, 2))
    found = []
    for name, nodes, edges in (
        ("nested", {"in": flat["in"], "sub": inner, "out": flat["out"]}, [("in", "sub"), ("sub", "out")]),
        ("flat", flat, [("in", "w"), ("w", "lif"), ("lif", "out")]),
    ):
        (tmp_path / name).mkdir()
        circuit = read_network(write(tmp_path / name, nodes, edges), dt=1 * ms, inputs=x)
        found.append(circuit.output(circuit.network.run(circuit.duration, backend="reference"), "out"))
        assert list(circuit.populations) == [{"nested": "sub.lif", "flat": "lif"}[name], "out"]
    assert found[0].sum() > 5 and np.array_equal(*found)


# -- networks of neurosim's


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_what_is_written_gives_the_same_spikes(name: str, recurrent: bool, tmp_path: Path) -> None:
    """As a NIR graph carried out from its definition, and read again by neurosim."""
    net = network(CELLS[name], recurrent, drive=name == "delta")
    result = net.run(30 * ms, backend="reference")
    written = export(net, str(tmp_path / "out"), duration=30 * ms)
    assert written.files == ["graph.nir", "inputs.h5", "expected.h5", "README.txt"]
    graph = nir.read(tmp_path / "out" / "graph.nir")
    x = read_inputs(str(tmp_path / "out" / "inputs.h5"), 0.1 * ms)
    direct = kit.Direct(graph, 1e-4, "euler").run(x)
    again = read_network(str(tmp_path / "out" / "graph.nir"), inputs=x)
    output = again.network.run(again.duration, backend="reference")
    expected = nir.read_data(tmp_path / "out" / "expected.h5")
    for key in ("a", "b"):
        raster = steps(expected.nodes[key].observables["spikes"], 1e-4)
        assert raster.sum() == len(result.spikes[key]) > 30
        assert np.array_equal(direct[key][: len(raster)], raster), key
        assert np.array_equal(again.output(output, key)[: len(raster)], raster), key


@pytest.mark.engine("snntorch", "nirtorch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [k for k in CELLS if k != "integrator"])
def test_snntorch_reads_what_is_written(name: str, tmp_path: Path) -> None:
    """Feed-forward: its importer runs no recurrent graph (nirtorch 2.6). IF it reads with a leak of its own."""
    expected, got = readers.compared(network(CELLS[name], False), tmp_path / "out", "snntorch")
    assert expected.sum() > 30 and np.array_equal(got, expected)


@pytest.mark.engine("snntorch")
def test_a_recurrent_layer_of_snntorch_gives_the_spikes(tmp_path: Path) -> None:
    import snntorch
    import torch

    export(network(CELLS["delta"], True), str(tmp_path / "out"), duration=30 * ms)
    graph = nir.read(tmp_path / "out" / "graph.nir")
    x = read_inputs(str(tmp_path / "out" / "inputs.h5"), 0.1 * ms)["s"]
    node = graph.nodes["a"]
    layer = snntorch.RLeaky(beta=torch.tensor(1 - 1e-4 / node.tau), threshold=float(node.v_threshold[0]),
                            linear_features=20, reset_mechanism="zero", reset_delay=False).double()  # fmt: skip
    layer.recurrent.weight.data = torch.tensor(graph.nodes["aa"].weight)
    layer.recurrent.bias.data.zero_()
    weight = torch.tensor(graph.nodes["sa"].weight) * torch.tensor(node.r * 1e-4 / node.tau)[:, None]
    layer.recurrent.weight.data *= torch.tensor(node.r * 1e-4 / node.tau)[:, None]
    got: list[np.ndarray] = []
    spike, mem = torch.zeros(20, dtype=torch.double), torch.zeros(20, dtype=torch.double)
    with torch.no_grad():
        for row in x:
            spike, mem = layer(weight @ torch.tensor(row), spike.double(), mem)
            got.append(spike.numpy())
    expected = steps(nir.read_data(tmp_path / "out" / "expected.h5").nodes["a"].observables["spikes"], 1e-4)
    assert expected.sum() > 100 and np.array_equal(np.array(got)[: len(expected)], expected)


def test_exact_scheme_is_that_of_cubalif(tmp_path: Path) -> None:
    net = ns.Network(dt=1 * ms, seed=1)
    source = net.population("s", 2, SpikeSource([[1, 5, 9] * ms, [2, 5] * ms]))
    cell = net.population("c", 3, CubaLIF(v_threshold=0.05, tau_mem=np.array([8, 10, 12]) * ms))
    net.connect(source, cell, weight=np.array([[0.5, 1, 0.3], [0.7, 0.9, 1.1]]), delay=2 * ms, name="w")
    net.stimulate(cell, DCInput(np.array([0.01, 0.02, 0.03])))
    net.record(cell, "spikes")
    export(net, str(tmp_path / "out"), duration=20 * ms)
    graph = nir.read(tmp_path / "out" / "graph.nir")
    assert type(graph.nodes["w"]).__name__ == "Affine" and graph.metadata["neurosim"]["scheme"] == "exact"
    x = read_inputs(str(tmp_path / "out" / "inputs.h5"), 1 * ms)
    direct = kit.Direct(graph, 1e-3, "exact").run(x)["c"]
    again = read_network(str(tmp_path / "out" / "graph.nir"), inputs=x)
    got = again.output(again.network.run(again.duration, backend="reference"), "c")[:20]
    assert direct.sum() > 3 and np.array_equal(got, direct)
    with pytest.raises(NeurosimError, match="only --nir-scheme exact says that"):
        export(net, str(tmp_path / "euler"), duration=20 * ms, scheme="euler")


def test_changed_weights_are_written(tmp_path: Path) -> None:
    """A graph whose weights were trained, or set, is no copy of the file any more."""
    rng = np.random.default_rng(0)
    nodes = {"in": nir.Input(size(3)), "fc": nir.Affine(rng.normal(size=(2, 3)), rng.normal(size=2)),
             "lif.x": kit.neuron("LIF", rng, (2,)), "out": nir.Output({"output": np.array([2])})}  # fmt: skip
    path = write(tmp_path, nodes, [("in", "fc"), ("fc", "lif.x"), ("lif.x", "out")])
    net = read_network(path, dt=1 * ms).network
    edges = net.edges("fc")
    new = np.array(edges.weight) * 2
    net.projections["fc"].weight[:] = new
    net.set_parameter("lif_x.v_threshold", 3.0)
    export(net, str(tmp_path / "out"), duration=5 * ms)
    graph = nir.read(tmp_path / "out" / "graph.nir")
    assert set(graph.nodes) == {"in", "fc", "lif.x", "out"}
    assert np.allclose(graph.nodes["fc"].weight, 2 * nodes["fc"].weight)
    assert np.array_equal(graph.nodes["fc"].bias, nodes["fc"].bias)
    assert np.array_equal(graph.nodes["lif.x"].v_threshold, [3.0, 3.0])


def there_and_back(net: ns.Network, folder: Path, duration: Any = 30 * ms) -> tuple[dict[str, int], list[str]]:
    """Write, read again with the inputs that were written, compare with what was expected: spikes, and what changed."""
    result = net.run(duration, backend="reference")
    written = export(net, str(folder / "out"), duration=duration)
    path = str(folder / "out" / "graph.nir")
    again = read_network(path, inputs=str(folder / "out" / "inputs.h5"))
    output, counts = again.network.run(again.duration, backend="reference"), {}
    for name, data in nir.read_data(folder / "out" / "expected.h5").nodes.items():
        expected = steps(data.observables["spikes"], net.dt)
        assert np.array_equal(again.output(output, name)[: len(expected)], expected), name
        counts[name] = int(expected.sum())
        if name in result.spikes:  # what is missing was before the graph begins, when nothing can have happened
            assert counts[name] == len(result.spikes[name]), name
    return counts, written.changes


DELTA = {"receptors": {"e": DeltaCurrent}}


def test_neurons_that_need_no_input(tmp_path: Path) -> None:
    """They spike from the same step on: alone, behind others, unfed, by a current."""
    net = network(LIF(v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV, **DELTA), False)
    tonic = net.population("tonic", 2, LIF(v_rest=-45 * mV, **DELTA))
    driven = net.population("driven", 3, LIF(**DELTA))
    net.connect(tonic, net["b"], weight=5 * mV, delay=1 * ms, name="tb")
    net.stimulate(driven, DCInput(np.array([16, 25, 45]) * mV))
    net.record([tonic, driven], "spikes")
    counts, changes = there_and_back(net, tmp_path)
    assert min(counts.values()) >= 2 and counts["b"] > 50
    assert "NIR wants an Input for every neuron: 'silence' gives nothing" in changes


def test_a_network_without_sources(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms, seed=1)
    pop = net.population("p", 10, LIF(**DELTA))
    net.stimulate(pop, DCInput(np.linspace(15, 40, 10) * mV))
    net.connect(pop, pop, rule=ns.FixedProbability(0.3), weight=-2 * mV, delay=1 * ms, name="pp")
    net.record(pop, "spikes")
    assert there_and_back(net, tmp_path)[0]["p"] > 5


def test_sources_at_random_and_currents_that_start_late(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms, seed=1)
    source = net.population("s", 20, PoissonSource(100 * Hz))
    pop = net.population("p", 3, LIF(**DELTA))
    net.connect(source, pop, weight=8 * mV, delay=0.4 * ms, name="sp")
    net.stimulate(pop, DCInput(5 * mV, start=0.4 * ms))
    net.stimulate(pop[:2], DCInput(3 * mV, start=0.4 * ms))
    net.record(pop, "spikes")
    counts, changes = there_and_back(net, tmp_path, 100 * ms)
    assert counts["p"] > 50 and not [line for line in changes if "current" in line]
    graph = nir.read(tmp_path / "out" / "graph.nir")
    assert type(graph.nodes["s"]).__name__ == "Input" and type(graph.nodes["sp"]).__name__ == "Affine"
    net.stimulate(pop, DCInput(5 * mV, start=3 * ms))
    changes = export(net, str(tmp_path / "late"), duration=1 * ms).changes
    assert "the constant currents into 'p', which start at 0.4, 3 ms, are there from the start of the graph" in changes


def test_unions_and_names_that_meet(tmp_path: Path) -> None:
    net = network(CELLS["delta"], False)
    net.connect(net["s"] + net["a"], net["b"], weight=3 * mV, delay=0.3 * ms, name="x")
    net.connect(net["a"], net["b"], weight=-5 * mV, delay=0.3 * ms, name="x_1_0")
    net.connect(net["a"][5:15], net["b"][1:3], weight=4 * mV, delay=0.3 * ms, name="a")
    assert there_and_back(net, tmp_path)[0]["b"] > 30


def test_nodes_that_share_a_legal_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = {"a.b": nir.Input(size(2)), "a b": nir.Linear(rng.uniform(0, 2, (3, 2))),
             "a_b": kit.neuron("LIF", rng, (3,)),
             "a-b": nir.Linear(rng.uniform(0, 2, (2, 3))), "a:b": kit.neuron("LIF", rng, (2,)),
             "out": nir.Output({"output": np.array([2])})}  # fmt: skip
    order = list(nodes)
    path = write(tmp_path, nodes, list(zip(order, order[1:], strict=False)), metadata={"author": "me"})
    x = rng.integers(0, 2, (30, 2))
    circuit = read_network(path, dt=1 * ms, inputs=x)
    expected = kit.Direct(nir.read(path), 1e-3, "exact").run({"a.b": x})
    result = circuit.network.run(circuit.duration, backend="reference")
    assert np.array_equal(circuit.output(result, "a:b")[:30], expected["a:b"]) and expected["a:b"].sum() > 3
    for k, net in enumerate((circuit.network, read_network(path, dt=1 * ms).network)):
        export(net, str(tmp_path / f"out{k}"), duration=5 * ms)
        back = nir.read(tmp_path / f"out{k}" / "graph.nir")
        assert set(back.nodes) == set(nodes) and back.metadata["author"] == "me"


@pytest.mark.parametrize("scheme", ["exact", "euler"])
def test_a_layer_that_spikes_by_itself_waits_for_the_graph(scheme: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lif = {"tau": np.full(2, 5e-3), "r": np.ones(2), "v_leak": np.zeros(2), "v_threshold": np.full(2, 0.3)}
    nodes = {"in": nir.Input(size(2)), "l": nir.LIF(**lif), "w": nir.Linear(np.eye(2)),
             "m": nir.LIF(**{**lif, "v_leak": np.full(2, 0.9)}), "u": nir.Linear(np.eye(2)), "n": nir.LIF(**lif),
             "out": nir.Output({"output": np.array([2])})}  # fmt: skip
    order = list(nodes)
    path = write(tmp_path, nodes, list(zip(order, order[1:], strict=False)))
    x = 2.0 * rng.integers(0, 2, (40, 2))
    circuit = read_network(path, dt=1 * ms, inputs=x, scheme=scheme)
    result = circuit.network.run(circuit.duration, backend="reference")
    expected = kit.Direct(nir.read(path), 1e-3, scheme).run({"in": x})
    for name in "lmn":
        assert np.array_equal(circuit.output(result, name)[:40], expected[name]) and expected[name].sum() > 10, name


def test_an_output_is_what_arrives_there(tmp_path: Path) -> None:
    """Twice by two ways: no alias of the neuron."""
    nodes, edges = lif_graph(flat=nir.Flatten({"input": np.array([3])}, 0, -1))
    path = write(tmp_path, nodes, [*edges, ("lif", "flat"), ("flat", "out")])
    x = np.ones((20, 2))
    circuit = read_network(path, dt=1 * ms, inputs=x)
    got = circuit.output(circuit.network.run(circuit.duration, backend="reference"), "out")[:20]
    expected = kit.Direct(nir.read(path), 1e-3, "exact").run({"in": x})["out"]
    assert np.array_equal(got, expected) and set(np.unique(got)) == {0.0, 2.0}


def test_inputs_from_nir_s_data(tmp_path: Path) -> None:
    nodes, edges = lif_graph()
    path, data = write(tmp_path, nodes, edges), tmp_path / "x.h5"

    def read(observable: Any, **more: Any) -> Any:
        nir.write_data(data, nir.NIRGraphData({"in": nir.NIRNodeData({"spikes": observable, **more})}))
        return read_network(path, dt=1 * ms, inputs=str(data))

    grid = np.zeros((1, 6, 2))
    grid[0, [0, 3, 5], [1, 0, 1]] = 1
    same = read(nir.TimeGriddedData(grid, 1e-3)).network.run(6 * ms, backend="reference").spikes["lif"]
    idx, time = np.array([[1, 0, 1, -1]]), np.array([[0.0, 3e-3, 5.9e-3, np.inf]])
    events = read(nir.EventData(idx, time, 2, 6e-3), v=nir.TimeGriddedData(grid, 1e-3))
    assert events.duration == 6 * ms and events.network.run(6 * ms, backend="reference").spikes["lif"].identical(same)
    for observable, message in (
        (nir.TimeGriddedData(grid, 1e-4), "have steps of 0.1 ms, and the run 1 ms"),
        (nir.TimeGriddedData(np.repeat(grid, 2, 0), 1e-3), "hold 2 samples of 'in': one is read"),
        (nir.EventData(np.repeat(idx, 2, 0), np.repeat(time, 2, 0), 2, 6e-3), "hold 2 samples of 'in': one is read"),
        (nir.EventData(idx + 5, time, 2, 6e-3), "have an event that is of none of its 2 neurons, or at no time"),
        (nir.EventData(idx[:, :3], -time[:, :3] - 1, 2, 6e-3), "have an event that is of none of its 2 neurons"),
        (nir.EventData(idx[:, :3], time[:, :3], 2, 1e9), "too many to hold at once"),
    ):
        with pytest.raises(NeurosimError, match=re.escape(message)):
            read(observable)
    nir.write_data(data, nir.NIRGraphData({"in": nir.NIRNodeData({"v": nir.TimeGriddedData(grid, 1e-3),
                                                                  "u": nir.TimeGriddedData(grid, 1e-3)})}))  # fmt: skip
    with pytest.raises(NeurosimError, match="the inputs have u, v of 'in': 'spikes', or one thing"):
        read_network(path, dt=1 * ms, inputs=str(data))


def test_a_graph_read_with_inputs_cannot_be_changed_and_written(tmp_path: Path) -> None:
    nodes, edges = lif_graph(v=nir.Linear(np.eye(3)), m=kit.neuron("LIF", np.random.default_rng(1), (3,)))
    path = write(tmp_path, nodes, [*edges[:2], ("lif", "v"), ("v", "m"), ("m", "out")])
    circuit = read_network(path, dt=1 * ms, inputs=np.ones((5, 2)))
    written = export(circuit.network, str(tmp_path / "same"), duration=5 * ms)
    assert "what was given to 'lif' as inputs is not written" in written.changes
    assert set(nir.read(tmp_path / "same" / "graph.nir").nodes) == set(nodes) | {"v", "m"}
    circuit.network.projections["v"].weight[:] = 0.7
    with pytest.raises(NeurosimError, match="read the graph without inputs, change that, and write it"):
        export(circuit.network, str(tmp_path / "out"), duration=5 * ms)


def test_delays_beyond_the_inputs_and_no_steps(tmp_path: Path) -> None:
    nodes, edges = lif_graph(d=nir.Delay(np.full(2, 22e-3)))
    path = write(tmp_path, nodes, [("in", "d"), ("d", "w"), *edges[1:]])
    circuit = read_network(path, dt=1 * ms, inputs=np.ones((20, 2)))
    assert (
        circuit.duration == 20 * ms
        and len(circuit.network.run(circuit.duration, backend="reference").spikes["lif"]) == 0
    )
    assert read_network(path, dt=1 * ms, inputs=np.ones((0, 2))).duration == 0 * ms


# -- the command line


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nodes, edges = lif_graph()
    write(tmp_path, nodes, edges)
    x = np.random.default_rng(0).integers(0, 2, (50, 2))
    np.save("x.npy", x)
    runner = CliRunner()
    first = runner.invoke(cli, ["run", "graph.nir", "--set", "dt=1ms", "--set", "inputs=x.npy", "--json", "--backend",
                                "reference"])  # fmt: skip
    assert first.exit_code == 0, first.output
    spikes = json.loads(first.stdout)["populations"]["lif"]["spikes"]
    circuit = read_network("graph.nir", dt=1 * ms, inputs=x)
    assert spikes == len(circuit.network.run(circuit.duration, backend="reference").spikes["lif"]) > 0
    out = runner.invoke(cli, ["export", "graph.nir", "--to", "nir", "-o", "out", "--set", "dt=1ms", "--set",
                              "scheme=euler", "-d", "50ms"])  # fmt: skip
    assert out.exit_code == 0 and "begin with out/graph.nir" in out.output, out.output
    assert nir.read("out/graph.nir").metadata["neurosim"]["scheme"] == "euler"
    lost = runner.invoke(cli, ["run", "graph.nir"])
    assert lost.exit_code == 2 and "has no time step" in lost.stderr
    wrong = runner.invoke(cli, ["export", "graph.nir", "--to", "sonata", "-o", "s", "--nir-scheme", "euler"])
    assert "--nir-scheme is for --to nir, not for --to sonata" in wrong.stderr
    missing = runner.invoke(cli, ["run", "graph.nir", "--set", "dt=1ms", "--set", "inputs=y.npy"])
    assert missing.exit_code == 2 and "the inputs 'y.npy' cannot be read" in missing.stderr


def test_duration_is_that_of_the_inputs(tmp_path: Path) -> None:
    nodes, edges = lif_graph()
    circuit = read_network(write(tmp_path, nodes, edges), dt=1 * ms, inputs=np.zeros((7, 2)))
    assert circuit.duration == 7 * ms and circuit.network.default_duration == 0.007 * second

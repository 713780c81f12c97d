"""SONATA's edges as a rule: the reader of circuits and libsonata as oracles, selections, and files that lie."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import SHARED

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import ConnectivityError, DimensionError, NeurosimError, ParameterError, ResultFileError
from neurosim.interchange.sonata import SonataEdges, files
from neurosim.interchange.sonata.build import read_network
from neurosim.interchange.sonata.write import export
from neurosim.ir.edges import edge_table
from neurosim.ir.graph import digest
from neurosim.models import LIF, ExpCurrent, PoissonSource
from neurosim.units import Hz, Quantity, ms, mV, pA

ALLEN = SHARED / "sonata"
TABLE = ("pre", "post", "weight", "delay")


def tables(net: ns.Network) -> dict[str, Any]:
    """The compiled edges of every projection."""
    graph = compile_network(net)
    return {p.name: edge_table(graph, p) for p in graph.projections}


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(getattr(a, key), getattr(b, key)) for key in TABLE)


def sorted_rows(table: Any) -> list[tuple[Any, ...]]:
    return sorted(zip(*(getattr(table, key).tolist() for key in TABLE), strict=True))


@pytest.mark.shared_data("sonata")
def test_a_circuit_wired_by_rules_is_that_of_the_reader() -> None:
    """450 cells of two models, fed by two files, six types of edges: the same compiled edges, and the same spikes."""
    folder = ALLEN / "bmtk_point_450glifs"
    circuit = read_network(str(folder / "config.simulation.json"), components=str(ALLEN / "point_components"))
    parts = {part.label: part for part in circuit.parts}
    twin = circuit.network.copy()
    twin.projections.clear()
    types = {"syn1": (100,), "syn2": (102,), "syn3": (101,), "syn4": (103,), "exc": (104,), "inh": (105,)}
    of_lgn = {"syn1": (100, 101), "exc": (102,)}
    for name, old in circuit.network.projections.items():
        stem = "lgn_v1" if old.pre.name == "lgn" else "v1_v1"
        ends = [parts[group.name] for group in (old.pre, old.post)]
        rule = SonataEdges(
            folder / f"network/{stem}_edges.h5", edge_types=folder / f"network/{stem}_edge_types.csv",
            types=(of_lgn if stem == "lgn_v1" else types)[old.receptor],
            sources=ends[0].nodes.ids[ends[0].rows], targets=ends[1].nodes.ids[ends[1].rows],
        )  # fmt: skip
        twin.connect(twin[old.pre.name], twin[old.post.name], receptor=old.receptor, rule=rule, name=name,
                     weight=rule.attribute("syn_weight") * pA, delay=rule.attribute("delay") * ms)  # fmt: skip
    mine, theirs = tables(twin), tables(circuit.network)
    several = [name for name, old in circuit.network.projections.items() if len(np.unique(theirs[name].weight)) > 1]
    assert several == ["lgn_to_v1_lgn_v1_glif_psc_syn1"]  # there the reader has the types one after the other
    for name, table in theirs.items():
        assert sorted_rows(mine[name]) == sorted_rows(table)
        assert name in several or same(mine[name], table)
    spikes = [net.run(600 * ms).spikes for net in (twin, circuit.network)]
    assert sum(len(s.ids) for s in spikes[0].values()) > 50
    for name in spikes[0]:
        assert np.array_equal(spikes[0][name].steps, spikes[1][name].steps)
        assert np.array_equal(spikes[0][name].ids, spikes[1][name].ids)


@pytest.mark.shared_data("sonata")
@pytest.mark.parametrize(
    ("path", "attribute"),
    [
        ("sonata_300_pointneurons/network/internal_internal_edges.h5", "syn_weight"),
        ("sonata_300_intfire/network/v1_v1_edges.h5", "nsyns"),
        ("bmtk_point_120cells/network/thalamus_cortex_edges.h5", "nsyns"),
    ],
)
def test_ids_and_attributes_are_those_of_libsonata(path: str, attribute: str) -> None:
    libsonata = importlib.import_module("libsonata")  # the extra "test" has it
    rule = SonataEdges(ALLEN / path)
    theirs = libsonata.EdgeStorage(str(ALLEN / path)).open_population(rule.population)
    every = theirs.select_all()
    net, cell = ns.Network(dt=0.1 * ms), LIF(receptors={"e": ExpCurrent})
    source, target = net.population("a", 300, cell), net.population("b", 300, cell)
    net.connect(source, target, rule=rule, weight=rule.attribute(attribute) * 2 * mV, delay=1 * ms, name="ab")
    edges = net.edges("ab")
    assert len(edges) == theirs.size == rule.count() > 1000
    assert np.array_equal(edges.pre, theirs.source_nodes(every))
    assert np.array_equal(edges.post, theirs.target_nodes(every))
    assert np.allclose(edges.weight, 2e-3 * theirs.get_attribute(attribute, every), rtol=1e-11, atol=0)


def ours(tmp: Path) -> tuple[ns.Network, Path]:
    """A network as the exporter writes it: the edges in the rule's order, weights and delays of their own."""
    net = ns.Network("ours", dt=0.1 * ms, seed=4)
    source = net.population("source", 30, PoissonSource(200 * Hz))
    cells = net.population("cells", 40, LIF(receptors={"exc": ExpCurrent(tau=5 * ms)}))
    net.connect(source, cells, rule=ns.FixedProbability(0.3), weight=ns.normal(9 * mV, 2 * mV),
                delay=ns.uniform(0.5 * ms, 3 * ms), name="wires")  # fmt: skip
    net.record([source, cells], "spikes")
    export(net, str(tmp / "out"), duration=20 * ms)
    return net, next((tmp / "out").rglob("*wires*edges.h5"))


@pytest.mark.parametrize("chunk", [1 << 20, 7])
def test_what_the_exporter_wrote_comes_back_to_the_bit(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, path = ours(tmp_path)
    monkeypatch.setattr(files, "CHUNK", chunk)
    rule, twin = SonataEdges(path), net.copy()
    unit = Quantity(1.0, mV.dim) * 1e-3  # a LIF driven by potentials is written as pA through 1 GOhm: 1 mV is 1 pA
    twin.projections.clear()
    twin.connect(twin["source"], twin["cells"], rule=rule, name="wires", weight=rule.attribute("syn_weight") * unit,
                 delay=rule.attribute("delay") * ms)  # fmt: skip
    a, b = tables(net)["wires"], tables(twin)["wires"]
    assert same(a, b) and len(a) > 300
    one, other = net.run(100 * ms).spikes["cells"], twin.run(100 * ms).spikes["cells"]
    assert np.array_equal(one.steps, other.steps) and np.array_equal(one.ids, other.ids) and len(one.ids) > 50


def write(path: Path, change: Callable[[Any], None] | None = None, count: int = 20) -> Path:
    """A file of two groups of edges; attributes of the group, of its dynamics_params, and of one group only."""
    rng = np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        file.attrs["magic"] = np.uint32(0x0A7A)
        group = file.create_group("edges/a_to_b")
        group["source_node_id"], group["target_node_id"] = rng.integers(0, 6, count), rng.integers(0, 9, count)
        group["edge_type_id"] = np.arange(count) % 3
        group["edge_group_id"] = np.arange(count) % 2
        group["edge_group_index"] = np.arange(count) // 2
        for k in (0, 1):
            own = group.create_group(str(k))
            own["syn_weight"] = 1.0 + np.arange(count // 2) + 100 * k
            own["dynamics_params/tau"] = np.arange(count // 2) * 0.5
        group["0/lonely"] = np.arange(count // 2)
        if change is not None:
            change(group)
    return path


def joined(rule: SonataEdges, n_pre: int = 6, n_post: int = 9, **values: Any) -> ns.Network:
    net = ns.Network("n", dt=0.1 * ms)
    cell = LIF(receptors={"e": ExpCurrent})
    net.connect(net.population("a", n_pre, cell), net.population("b", n_post, cell), rule=rule, name="ab",
                **{"weight": 1 * mV, **values})  # fmt: skip
    return net


@pytest.mark.parametrize("chunk", [1 << 20, 3])
def test_groups_types_and_nodes_are_followed_edge_by_edge(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK", chunk)
    path = write(tmp_path / "e.h5")
    (tmp_path / "t.csv").write_text("edge_type_id gain name\n0 0.5 x\n1 NULL y\n2 2.5 z\n", encoding="utf-8")
    with h5py.File(path) as file:
        held = {key: file[f"edges/a_to_b/{key}_node_id"][()] for key in ("source", "target")}
    at = np.arange(20)
    weight = 1.0 + at // 2 + 100 * (at % 2)
    rule = SonataEdges(path, edge_types=tmp_path / "t.csv")
    assert set(rule.attributes()) == {"syn_weight", "tau", "lonely", "gain"}
    edges = joined(rule, weight=rule.attribute("syn_weight") * mV, delay=(1 + rule.count()) * 0.1 * ms).edges("ab")
    assert np.array_equal(edges.pre, held["source"]) and np.array_equal(edges.post, held["target"])
    assert np.allclose(edges.weight, weight * 1e-3, rtol=1e-9)
    nodes = np.array([4, 0, 5])
    some = SonataEdges(path, "a_to_b", types=[0, 2], sources=nodes, edge_types=tmp_path / "t.csv")
    kept = np.flatnonzero((at % 3 != 1) & np.isin(held["source"], nodes))
    net = joined(some, 3, weight=some.attribute("tau") / 4 * mV, delay=some.attribute("gain") * ms)
    for size in (2_000_000, 2):
        graph = compile_network(net)
        ctx_pieces = [(e.pre, e.weight, e.delay) for e in iter_pieces(graph, size)]
        pre, tau, gain = (np.concatenate(side) for side in zip(*ctx_pieces, strict=True))
        assert np.array_equal(nodes[pre], held["source"][kept]) and 0 < len(kept) < 20
        assert np.allclose(tau, kept // 2 * 0.5 / 4 * 1e-3, rtol=1e-9)
        assert np.array_equal(gain, np.where(kept % 3 == 0, 5, 25))
    with pytest.raises(ParameterError, match="'lonely' of edge 1 of the edges 'a_to_b' of .* is missing"):
        rule.attribute("lonely")


def iter_pieces(graph: Any, size: int) -> Any:
    from neurosim.ir.edges import iter_edges

    return iter_edges(graph, graph.projections[0], chunk=size)


def test_two_rules_are_one_where_they_make_the_same_edges(tmp_path: Path) -> None:
    path = write(tmp_path / "e.h5")
    (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    a, b, c = SonataEdges(path), SonataEdges(tmp_path / "copy.h5"), SonataEdges(path, types=0)
    assert a == b != c and hash(a) == hash(b) and digest(a) == digest(b) != digest(c)
    net = joined(a, weight=b.attribute("syn_weight") * mV)
    assert net.copy().edges("ab").weight.tolist() == net.edges("ab").weight.tolist()
    with pytest.raises(ConnectivityError, match="is the attribute 'syn_weight' of other edges than those of the rule"):
        joined(a, weight=c.attribute("syn_weight") * mV)
    with pytest.raises(DimensionError, match=r"must be a voltage \(V\), got the attribute 'syn_weight' of current"):
        joined(a, weight=a.attribute("syn_weight") * pA)


def test_the_arithmetic_of_an_attribute(tmp_path: Path) -> None:
    rule = SonataEdges(write(tmp_path / "e.h5"))
    weight = rule.attribute("syn_weight")
    for made, factor in ((-weight * mV, -1e-3), (2 * weight * mV, 2e-3), (mV * weight / 4, 2.5e-4),
                         (np.float64(3) * weight * mV, 3e-3)):  # fmt: skip
        assert joined(rule, weight=made).edges("ab").weight[0] == pytest.approx(factor, rel=1e-9)
    assert repr(weight * mV) == "'syn_weight' of the file, 0.001 to 0.11 (voltage (V))"
    array = np.linspace(1, 2, 20)  # an array of as many as there are edges is one for each
    assert np.allclose(joined(rule, weight=array * mV).edges("ab").weight, array * 1e-3)
    for wrong in (np.arange(3), "1", None, True):
        with pytest.raises(TypeError):
            weight * wrong
    with pytest.raises(ParameterError, match="is multiplied by nan"):
        weight * float("nan")
    with pytest.raises(ParameterError, match="is divided by 0"):
        weight / 0


def poke(key: str, at: int, value: Any) -> Callable[[Any], None]:
    def change(group: Any) -> None:
        group[key][at] = value

    return change


def replaced(key: str, values: Any) -> Callable[[Any], None]:
    def change(group: Any) -> None:
        del group[key]
        group[key] = values

    return change


@pytest.mark.parametrize(
    ("change", "use", "sentence"),
    [
        (poke("source_node_id", 3, -1), SonataEdges, "have the source_node_id -1; ids are from 0 to 2^31 - 1"),
        (replaced("source_node_id", np.full(20, 2**40)), SonataEdges, "have the source_node_id 1099511627776"),
        (replaced("source_node_id", np.arange(20.0)), SonataEdges, "source_node_id is not an array of whole numbers"),
        (replaced("target_node_id", np.arange(19)), SonataEdges, "has 19 entries where the rest has 20"),
        (replaced("target_node_id", np.zeros((20, 2), int)), SonataEdges, "has shape (20, 2); it must be a row"),
        (lambda g: g.__delitem__("source_node_id"), SonataEdges, "'source_node_id' is missing from /edges/a_to_b"),
        (lambda g: g.file.create_group("edges/other"), SonataEdges,
         "holds 2 populations of edges (a_to_b, other): say which with population="),
        (lambda g: g.file.__delitem__("edges"), SonataEdges, "'edges' is missing from /"),
        (None, lambda p: SonataEdges(p, "a_to_c"), "has no population of edges 'a_to_c'; did you mean 'a_to_b'?"),
        (None, lambda p: SonataEdges(p, types=[7]), "have no edge_type_id 7 (there are: 0, 1, 2)"),
        (None, lambda p: SonataEdges(p, types=[]), "types of SonataEdges are whole numbers"),
        (None, lambda p: SonataEdges(p, types="0"), "types of SonataEdges are whole numbers"),
        (None, lambda p: SonataEdges(p, sources=[1, 1]), "sources of SonataEdges name node 1 twice"),
        (None, lambda p: SonataEdges(p, targets=[[1]]), "targets of SonataEdges are node ids"),
        (None, lambda p: SonataEdges(p, types=[[1], [1, 2]]), "types of SonataEdges are whole numbers"),
        (None, lambda p: SonataEdges(p, sources=[[1], [1, 2]]), "sources of SonataEdges are node ids"),
        (None, lambda p: SonataEdges(None), "path of SonataEdges is the path of a file, not None"),
        (None, lambda p: SonataEdges(3), "path of SonataEdges is the path of a file, not 3"),
        (None, lambda p: SonataEdges(p / "no"), "there is no file"),
        (None, lambda p: SonataEdges(p, edge_types=p), "is not a text"),
        (None, lambda p: SonataEdges(p).attribute("weight"),
         "have no attribute 'weight'; did you mean 'syn_weight'?"),
        (lambda g: g["1"].__delitem__("syn_weight"), lambda p: SonataEdges(p).attribute("syn_weight"),
         "'syn_weight' of edge 1 of the edges 'a_to_b' of"),
        (poke("0/syn_weight", 2, np.inf), lambda p: SonataEdges(p).attribute("syn_weight"),
         "'syn_weight' of edge 4 of the edges 'a_to_b' of"),
        (poke("edge_group_index", 5, 10), lambda p: SonataEdges(p).attribute("syn_weight"),
         "has 10 entries, and entry 10 is asked for"),
        (replaced("edge_group_id", np.arange(19)), lambda p: SonataEdges(p).attribute("syn_weight"),
         "entry 19 is asked for"),
        (None, lambda p: joined(SonataEdges(p), 5),
         "have the source node 5, and the source group has the neurons 0 to 4"),
        (None, lambda p: joined(SonataEdges(p, targets=[1, 2])), "targets= names 2 nodes, and the target group has 9"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_the_rule_is_written(change: Any, use: Any, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path / "e.h5", change)
    with pytest.raises(NeurosimError) as told:
        use(path)
    assert sentence in str(told.value) and "test_sonata_edges.py:" in str(told.value)


def test_a_truncated_file_and_one_that_changes_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "e.h5")
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ResultFileError):
            SonataEdges(path)
    path.write_bytes(whole)
    rule = SonataEdges(path)
    net = joined(rule, weight=rule.attribute("syn_weight") * mV)
    write(path, poke("target_node_id", 4, 0))
    with pytest.raises(ResultFileError, match="have changed since the rule was made: make it anew"):
        net.edges("ab")
    write(path)  # the same once more is the same
    assert len(net.edges("ab")) == 20
    for value in (500.0, 2.0):  # the second lies among those that were there
        write(path, poke("0/syn_weight", 0, value))
        with pytest.raises(ResultFileError, match="'syn_weight' of the edges .* has changed"):
            net.edges("ab")


def test_no_rule_holds_all_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "e.h5", count=2000)
    monkeypatch.setattr(files, "CHUNK", 100)
    rule = SonataEdges(path)
    assert len(rule._seen.before) == 21 and len(pickle.dumps(rule)) < 2000
    graph = compile_network(joined(rule, weight=rule.attribute("syn_weight") * mV))
    assert max(len(piece) for piece in iter_pieces(graph, 50)) == 50
    assert re.match(r"SonataEdges\(.*e\.h5, population 'a_to_b', 2000 edges\)", rule.describe())

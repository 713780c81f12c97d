"""What NIR cannot say, graphs that are none, and files that are damaged: each a named error."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import h5py
import nir
import nir_kit as kit
import numpy as np
import pytest
from conftest import SHARED
from nir_kit import lif_graph, size, write

import neurosim as ns
from neurosim.errors import NeurosimError
from neurosim.interchange.nir.build import read_network
from neurosim.interchange.nir.write import export
from neurosim.models import (
    LIF,
    AdEx,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    PairSTDP,
    PoissonInput,
    SpikeSource,
)
from neurosim.recording import endure
from neurosim.units import Hz, ms, mV, second

PAPER = SHARED / "nir"

DELTA = {"receptors": {"e": DeltaCurrent}}


def bad_graphs() -> dict[str, tuple[Any, dict[str, Any], str]]:
    nodes, edges = lif_graph()
    two = np.array([2])
    three = nir.Linear(np.eye(3))
    li = kit.neuron("LI", np.random.default_rng(0), (3,))
    x = np.zeros((5, 2))
    nan = kit.neuron("LIF", np.random.default_rng(0), (3,))
    nan.v_threshold = np.array([1.0, np.nan, 1.0])
    zero = kit.neuron("LIF", np.random.default_rng(0), (3,))
    zero.tau = np.array([0.0, 1.0, 1.0])
    return {
        "no dt": ((nodes, edges), {"dt": None}, "has no time step, as NIR has none: give it with --set dt=0.1ms"),
        "scheme": ((nodes, edges), {"scheme": "heun"}, "scheme must be 'exact' or 'euler', got 'heun'"),
        "reset": ((nodes, edges), {"reset": "soft"}, "reset must be 'value' or 'subtract', got 'soft'"),
        "input name": ((nodes, edges), {"inputs": {"int": x}}, "has no input 'int'; did you mean 'in'?"),
        "input shape": ((nodes, edges), {"inputs": np.zeros((5, 3))}, "the input 'in' must be [steps, 2], got [5, 3]"),
        "input value": ((nodes, edges), {"inputs": np.full((5, 2), np.inf)}, "the input 'in' is not finite everywhere"),
        "input text": ((nodes, edges), {"inputs": [["a", "b"]]}, "the input 'in' is no array of real numbers"),
        "nan": (({**nodes, "lif": nan}, edges), {}, "v_threshold of the node 'lif' is not finite everywhere"),
        "tau": (({**nodes, "lif": zero}, edges), {}, "tau of the node 'lif' is not positive everywhere"),
        "graded": (
            ({**nodes, "li": li, "v": three}, [("in", "w"), ("w", "li"), ("li", "v"), ("v", "lif"), ("lif", "out")]),
            {}, "the potential of 'li' (LI) goes on to 'lif': only spikes do here"),
        "loop": (
            ({**nodes, "back": three, "w2": nir.Linear(np.eye(3))},
             [("in", "w"), ("w", "back"), ("back", "w2"), ("w2", "back"), ("w2", "lif"), ("lif", "out")]),
            {}, "form a loop without a neuron in it"),
        "delay": (
            ({**nodes, "d": nir.Delay(np.array([1e-3, 1.55e-3]))}, [("in", "d"), ("d", "w"), *edges[1:]]),
            {}, "a delay of the node 'd' is 1.55 ms, which is not a whole number of steps at dt = 1 ms"),
        "negative delay": (
            ({**nodes, "d": nir.Delay(np.array([-1e-3, 0.0]))}, [("in", "d"), ("d", "w"), *edges[1:]]),
            {}, "a delay of the node 'd' is negative"),
        "long delay": (
            ({**nodes, "d": nir.Delay(np.full(2, 1e300))}, [("in", "d"), ("d", "w"), *edges[1:]]), {},
            "a delay of the node 'd' is 1e+300 s; the longest are 65535 steps, 65.535 s"),
        "into an input": ((nodes, [*edges, ("lif", "v"), ("v", "in")]) and (
            {**nodes, "v": nir.Linear(np.ones((2, 3)))}, [*edges, ("lif", "v"), ("v", "in")]), {},
            "an edge leads from 'v' into the Input 'in'"),
        "complex": (({**nodes, "w": nir.Linear(np.ones((3, 2)) * 1j)}, edges), {},
                    "weight of the node 'w' is no array of real numbers (complex128)"),
        "complex input": ((nodes, edges), {"inputs": x * 1j}, "the input 'in' is no array of real numbers"),
        "size": (({"in": nir.Input(size(2**40)), "out": nir.Output({"output": np.array([2**40])})}, [("in", "out")]),
                 {}, "the node 'in' has 1,099,511,627,776 values; at most 50,000,000 are read"),
        "biases": (({"in": nir.Input(size([1, 4, 4])), "c": nir.Conv2d((4, 4), np.ones((1, 1, 2, 2)), 1, 0, 1, 1,
                                                                     np.ones(3)),
                     "out": nir.Output({"output": np.array([1, 3, 3])})}, [("in", "c"), ("c", "out")]), {},
                   "the node 'c' has 3 biases for 1 outputs or channels"),
        "types": (({**nodes, "w": nir.Linear(np.ones((3, 4)))}, edges), {"check": False},
                  "is no consistent NIR graph: Type inference error"),
        "many inputs": (
            ({**nodes, "in2": nir.Input({"input": two})}, [*edges, ("in2", "w")]), {"inputs": x},
            "has the inputs in, in2: give a mapping from these to arrays"),
    }  # fmt: skip


@pytest.mark.parametrize("name", bad_graphs())
def test_bad_graphs(name: str, tmp_path: Path) -> None:
    (nodes, edges), options, message = bad_graphs()[name]
    check = options.pop("check", True)
    path = write(tmp_path, nodes, edges, type_check=check)
    with pytest.raises(NeurosimError, match=re.escape(message)):
        read_network(path, **({"dt": 1 * ms} | options))


def test_delays_can_be_rounded(tmp_path: Path) -> None:
    nodes, edges = lif_graph(d=nir.Delay(np.array([1e-3, 1.55e-3])))
    path = write(tmp_path, nodes, [("in", "d"), ("d", "w"), *edges[1:]])
    net = read_network(path, dt=1 * ms, delays="round").network
    found = sorted({(p.delay, len(p.rule.pre)) for p in net.projections.values()})
    assert found == [(0.001, 3), (0.002, 3)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01_lif/lif_rockpool.nir", "is no consistent NIR graph: Type inference error"),
        ("03_rnn/extras/braille_noDelay_bias_zero_subgraph.nir", "references destination node 'lif' which does not"),
        ("01_lif/lif_exact.csv", "is not an HDF5 file"),
        ("nowhere.nir", "there is no file"),
    ],
)
@pytest.mark.shared_data("nir")
def test_bad_files_of_the_paper(name: str, message: str) -> None:
    with pytest.raises(NeurosimError, match=re.escape(message)):
        read_network(str(PAPER / name), dt=0.1 * ms)


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, edges = lif_graph()
    whole = Path(write(tmp_path, nodes, edges)).read_bytes()
    bad = tmp_path / "bad.nir"

    def refused(message: str) -> None:
        with pytest.raises(NeurosimError, match=message):
            read_network(str(bad), dt=1 * ms)

    bad.write_bytes(whole[: len(whole) // 2])
    refused("truncated")
    for at in range(300, len(whole), 2999):  # a flipped byte is refused, or does not matter
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(NeurosimError):
            read_network(str(bad), dt=1 * ms)
    with h5py.File(bad, "w") as file:
        file["x"] = 1
    refused("no NIR graph")
    with h5py.File(bad, "w") as file:
        file["version"] = "1.0"
        file["node/type"] = "Transformer"
    refused("is a 'Transformer', which NIR 1.0.8 does not have")
    bad.write_bytes(whole)
    with h5py.File(bad, "a") as file:
        del file["node/nodes/w/weight"]
        file["node/nodes/w/weight"] = h5py.ExternalLink("/etc/hostname", "/x")
    refused("is a link to somewhere else")
    bad.write_bytes(whole)
    with h5py.File(bad, "a") as file:
        del file["node/nodes/w/weight"]
        file["node/nodes/w"].create_dataset("weight", (10**6, 10**6), "f8", chunks=(10, 10), compression="gzip")
    refused("more than the file can hold")
    bad.write_bytes(whole)
    with h5py.File(bad, "a") as file:
        deeper = file["node/nodes/w"].create_group("metadata")
        for _ in range(20):  # two ways to everything below: a million
            deeper["a"] = deeper.create_group("b")
            deeper = deeper["a"]
    refused("leads to more than 50,000 groups and arrays")
    bad.write_bytes(whole)
    with h5py.File(bad, "a") as file:
        file.move("node", "other")
        file["node"] = h5py.ExternalLink("/etc/hostname", "/x")
    refused("is a link to somewhere else")
    nir.write(bad, nir.LIF(np.ones(1), np.ones(1), np.ones(1), np.ones(1)))
    refused("holds a single node of NIR, LIF, and no graph")
    for text, message in (("while True: pass", "reading it does not come to an end"),
                          ("import os; os.abort()", "reading it crashes the HDF5 library")):  # fmt: skip
        monkeypatch.setattr(endure, "PATIENCE", 1.0)
        monkeypatch.setattr(endure, "HELPER", text)
        endure._end()  # the next file is given to a helper that runs the new text
        refused(message)
    endure._end()


def unwritable() -> dict[str, tuple[Any, str]]:
    def with_cell(cell: Any) -> Any:
        net = ns.Network(dt=0.1 * ms)
        pop = net.population("p", 2, cell)
        return net, pop

    def adex() -> ns.Network:
        return with_cell(AdEx)[0]

    def conductance() -> ns.Network:
        return with_cell(LIF(receptors={"e": ExpConductance(tau=2 * ms, e_rev=0 * mV)}, r_m=1e8 * mV / mV))[0]

    def two_taus() -> ns.Network:
        return with_cell(LIF(receptors={"e": ExpCurrent(tau=2 * ms), "i": ExpCurrent(tau=5 * ms)}))[0]

    def mixed() -> ns.Network:
        return with_cell(LIF(receptors={"e": ExpCurrent(tau=2 * ms), "i": DeltaCurrent}))[0]

    def runge() -> ns.Network:
        return with_cell(LIF(method="rk4", receptors={"e": DeltaCurrent}))[0]

    def no_way_down() -> ns.Network:
        return with_cell(LIF(v_rest=-60 * mV, v_th=-70 * mV, v_reset=-65 * mV, **DELTA))[0]

    def eternal() -> ns.Network:
        return with_cell(LIF(tau_m=1e15 * second, **DELTA))[0]

    def nothing() -> ns.Network:
        net = ns.Network(dt=0.1 * ms)
        net.population("s", 2, SpikeSource([[1] * ms] * 2))
        return net

    def ending() -> ns.Network:
        net, pop = with_cell(LIF(**DELTA))
        net.stimulate(pop, DCInput(1 * mV, 1 * ms, 2 * ms))
        return net

    def refractory() -> ns.Network:
        return with_cell(LIF(t_ref=2 * ms, receptors={"e": DeltaCurrent}))[0]

    def driven() -> ns.Network:
        net, pop = with_cell(LIF(receptors={"e": DeltaCurrent}))
        net.stimulate(pop, PoissonInput(10 * Hz, 1 * mV))
        return net

    def learning() -> ns.Network:
        net, pop = with_cell(LIF(receptors={"e": DeltaCurrent}))
        net.connect(pop, pop, weight=1 * mV, plasticity=PairSTDP(w_max=2 * mV), name="pp")
        return net

    return {
        "cell": (adex, "population 'p' is a AdEx, and NIR has LIF, CubaLIF and IF"),
        "two time constants": (two_taus, "has receptors with the time constants 2 ms, 5 ms; a CubaLIF of NIR has one"),
        "two kinds": (mixed, "has receptors of different kinds; a neuron of NIR has one input"),
        "reset above the threshold": (no_way_down, "population 'p' has neither its rest nor its reset below the thr"),
        "no leak": (eternal, "has a time constant of 1e+15 s: it does not decay in a step of 0.1 ms"),
        "no neurons": (nothing, "the network 'network' has no neurons that NIR could hold"),
        "a current that ends": (ending, "- the stimulus DCInput of 'p': NIR's constants have no end"),
        "rk4": (runge, "is integrated by rk4; NIR's readers solve exactly or by Euler steps"),
        "refractory": (refractory, "- the refractory period of 'p' (2 ms): NIR has none"),
        "Poisson": (driven, "- the stimulus PoissonInput of 'p': NIR has none"),
        "learning": (learning, "- the learning rule of 'pp': NIR gets its weights at the start"),
    }


@pytest.mark.parametrize("name", unwritable())
def test_what_nir_cannot_say_is_refused(name: str, tmp_path: Path) -> None:
    build, message = unwritable()[name]
    with pytest.raises(NeurosimError) as caught:
        export(build(), str(tmp_path / "out"), duration=1 * ms)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()
    if message.startswith("-"):  # a loss: the rest can be had
        written = export(build(), str(tmp_path / "out"), duration=1 * ms, lossy=True)
        assert [f"- {loss}" for loss in written.losses] == [message]

"""A network on the cores of a chip: what fills them, what they send each other, what a step costs, what is too much."""

from __future__ import annotations

import numpy as np
import pytest
from cli_kit import call

import neurosim as ns
from neurosim.errors import ParameterError
from neurosim.hardware.loihi2 import LIF, Dense, connect
from neurosim.hardware.loihi2.placement import loihi2, place
from neurosim.ir.rules import EdgeList
from neurosim.models import PoissonSource, SpikeSource
from neurosim.units import Hz, ms

CELL = LIF(receptors={"a": Dense})


def chain(n: int, delay: int = 1) -> ns.Network:
    """Neurons in a row, each connected to the next."""
    net = ns.Network("chain", dt=1 * ms)
    pop = net.population("p", n, CELL)
    net.connect(pop, pop, rule=EdgeList(np.arange(n - 1), np.arange(1, n)), weight=1.0, delay=delay * ms)
    return net


def test_every_figure_has_a_source() -> None:
    for limit in loihi2().limits.values():
        assert limit.value > 0 and len(limit.source) > 10 and limit.unit


def test_neurons_fill_a_core() -> None:
    found = place(chain(20_000))
    assert found.used["neurons"].tolist() == [8192, 8192, 3616]
    assert found.closed == {"neurons": 2, "memory": 0} and found.chips == 1
    assert found.synapses == 19_999 and found.messages == pytest.approx(2 / 20_000)
    assert found.used["input_axons"].tolist() == [8191, 8192, 3616]  # the last of a core is the first one's source
    assert found.used["output_axons"].tolist() == [1, 1, 0]
    assert found.cores["p"][[0, 8191, 8192, -1]].tolist() == [0, 0, 1, 2]
    assert "neurons (2 of 3 cores are full by it)" in str(found) and "3 cores of 1 chip" in str(found)


@pytest.mark.parametrize(("delay", "bits"), [(1, 21), (2, 27)])
def test_synapses_fill_a_core(delay: int, bits: int) -> None:
    net = ns.Network("full", dt=1 * ms)
    source, pop = net.population("source", 1000, SpikeSource([np.zeros(0) * ms] * 1000)), net.population("p", 200, CELL)
    net.connect(source, pop, weight=1.0, delay=delay * ms)
    found = place(net)
    each = 2**20 // (1000 * bits)
    assert found.used["neurons"].tolist() == [each] * (200 // each) + [200 % each] * (200 % each > 0)
    assert found.used["memory"].max() == each * 1000 * bits <= loihi2()["memory"] < (each + 1) * 1000 * bits
    assert found.closed["memory"] == len(found.used["neurons"]) - 1 and found.violations == []
    assert set(found.used["input_axons"].tolist()) == {1000} and found.used["output_axons"].max() == 0
    assert "p" in found.cores and "source" not in found.cores


def test_a_local_order_finds_a_hidden_row() -> None:
    """A chain whose neurons were shuffled: dealt out as they come nearly every spike leaves its core, else two do."""
    hidden = np.random.default_rng(0).permutation(20_000)
    net = ns.Network("hidden", dt=1 * ms)
    pop = net.population("p", 20_000, CELL)
    net.connect(pop, pop, rule=EdgeList(hidden[:-1], hidden[1:]), weight=1.0, delay=1 * ms)
    given, local = place(net), place(net, order="local")
    assert given.messages > 0.5 and local.messages * 20_000 == pytest.approx(2)
    assert sorted(local.used["neurons"].tolist()) == sorted(given.used["neurons"].tolist())
    assert local.synapses == given.synapses
    with pytest.raises(ParameterError, match="order must be given or local, got 'best'"):
        place(net, order="best")


def test_a_neuron_with_too_many_synapses_does_not_fit() -> None:
    net = ns.Network("wide", dt=1 * ms)
    n = 60_000
    source, pop = net.population("source", n, PoissonSource(1 * Hz)), net.population("p", 2, CELL)
    net.connect(source, pop[:1], weight=1.0, delay=1 * ms)
    found = place(net)
    said = [str(v) for v in found.violations]
    assert said[0].startswith("a neuron of population 'p' does not fit: 1,260,000 bits of synaptic memory per core")
    assert "may not fit: 60,000 sources" in said[1] and "Loihi 1" in said[1]
    assert found.used["neurons"].tolist() == [1, 1]


def test_what_a_step_costs() -> None:
    net = ns.Network("cost", dt=1 * ms)
    a, b = net.population("a", 10, CELL), net.population("b", 5, CELL)
    connect(net, a, b, np.ones((5, 10), dtype=int))
    found = place(net)
    chip = loihi2()
    cost = found.costs({"a": np.full(10, 0.1), "b": np.asarray(0.5)})
    assert cost["synops"] == pytest.approx(0.1 * 10 * 5)
    assert cost["energy"] == pytest.approx(5 * chip["synop_energy"] + 15 * chip["update_energy"])
    assert cost["time"] == pytest.approx(15 * chip["update_time"] + 5 * chip["synop_time"] + chip["barrier_time"])


def test_an_empty_network_needs_no_core() -> None:
    found = place(ns.Network("none", dt=1 * ms))
    assert found.synapses == 0 and len(found.used["neurons"]) == 0 and "0 cores" in str(found)


def test_the_command() -> None:
    done = call("map", "cuba", "--set", "n=1000", "-d", "50ms", "--order", "local")
    assert done.exit_code == 0 and "synaptic operations" in done.stdout and "Loihi 1's figures" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:8])) <= 80
    done = call("map", "cuba", "--chip", "loihi")
    assert done.exit_code == 2 and "no chip 'loihi'; did you mean 'loihi2'?" in done.stderr
    done = call("map", "coba", "--set", "n=100")
    assert done.exit_code == 2 and "no counterpart" in done.stderr

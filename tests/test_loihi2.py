"""Loihi 2's integers: each function, the cell, connections, and random networks against the functions alone."""

from __future__ import annotations

from typing import Any

import lava_kit
import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import ConnectivityError, ParameterError, UnsupportedError
from neurosim.hardware.loihi2 import LIF, Dense, connect
from neurosim.hardware.loihi2.arithmetic import decayed, saturated, shifted, sign_mode, stored, wrapped
from neurosim.hardware.loihi2.cells import loihi_lif
from neurosim.models import LIF as FloatLIF
from neurosim.models import DeltaCurrent, SpikeSource
from neurosim.units import ms

HALF = 2**23


# -- the arithmetic -----------------------------------------------------------------------------------------------


def test_decays_round_magnitudes_down() -> None:
    assert decayed([1000, -1000, 1, -1, 0], 0, 1).tolist() == [999, -999, 0, 0, 0]  # a current leaks even at 0
    assert decayed([1000, -1000, 1], 0, 0).tolist() == [1000, -1000, 1]  # a potential does not
    assert decayed([HALF, -HALF], 4095, 1).tolist() == [0, 0]
    assert decayed([8192, -8193], 4095, 0).tolist() == [2, -2]
    assert decayed(100, 2048, 0) == 50 and decayed(-101, 2048, 0) == -50


def test_currents_wrap_once_and_potentials_saturate() -> None:
    assert wrapped([HALF, HALF + 1, -HALF, 1 - HALF]).tolist() == [HALF, 1 - HALF, HALF, 1 - HALF]
    assert wrapped(5 * HALF) == 3 * HALF  # further out than one turn: it stays there
    assert saturated([HALF, -HALF, 7]).tolist() == [HALF - 1, 1 - HALF, 7]


def test_shifts_round_down() -> None:
    assert shifted([3, -3], 2).tolist() == [12, -12]
    assert shifted([5, -5, -1], -1).tolist() == [2, -3, -1]


def test_weights_are_stored_as_lava_stores_them() -> None:
    assert stored([3, 5.9, 300, 0]).tolist() == [3, 5, 255, 0]
    assert stored([-3, -5.9, -300]).tolist() == [-3, -5, -255]
    assert stored([-3, 3, 300, -300, -256]).tolist() == [-4, 2, 254, -256, -256]  # mixed: even, towards minus infinity
    assert stored([3, 4], sign="mixed").tolist() == [2, 4]
    assert stored([-7, 7], sign="excitatory").tolist() == [0, 7]
    assert stored([255, 127], bits=1).tolist() == [128, 0]
    assert stored([-255, -127], bits=2).tolist() == [-192, -64]
    assert [sign_mode(w) for w in ([0, 1], [-1, 0], [1, -1], [])] == ["excitatory", "inhibitory", "mixed", "excitatory"]


@given(
    st.lists(st.integers(-400, 400), max_size=20),
    st.integers(1, 8),
    st.sampled_from(["excitatory", "inhibitory", "mixed"]),
)
def test_what_is_stored_is_stored_unchanged(weights: list[int], bits: int, sign: Any) -> None:
    once = stored(weights, bits, sign)
    assert stored(once, bits, sign).tolist() == once.tolist()
    assert all(v % 2 ** (8 - bits + (sign == "mixed")) == 0 for v in once.tolist())


# -- the cell -----------------------------------------------------------------------------------------------------


def one(cell: ns.Cell, steps: int, spikes: Any = (), weight: int = 1, **init: Any) -> Any:
    """A neuron that gets spikes of one weight at given steps; returns the result."""
    net = ns.Network("one", dt=1 * ms)
    source = net.population("source", 1, SpikeSource([np.asarray(spikes, float) * ms]))
    cells = net.population("cell", 1, cell, init=init or None)
    connect(net, source, cells, [[weight]])
    net.record(cells, "spikes")
    for variable in ("u", "v"):
        net.record(cells, variable)
    return net.run(steps * ms, backend="reference")


def traced(result: Any, variable: str) -> list[float]:
    return result.state["cell"][variable].values[:, 0].tolist()


def test_a_spike_arrives_one_step_later_and_is_aligned() -> None:
    found = one(LIF(du=2047, dv=0, vth=1000), 5, spikes=[0], weight=100)
    assert traced(found, "u") == [0, 6400, 3200, 1600, 800]
    assert traced(found, "v") == [0, 6400, 9600, 11200, 12000]


def test_the_threshold_is_to_be_exceeded() -> None:
    """v > 64*vth, as in the NIR paper's figure for Loihi; v is set to 0, u goes on."""
    assert one(LIF(du=4095, vth=100), 4, spikes=[0], weight=100).spikes["cell"].count == 0
    found = one(LIF(du=2047, vth=99), 4, spikes=[0], weight=100)
    assert found.spikes["cell"].steps.tolist() == [1]
    assert traced(found, "v") == [0, 0, 3200, 4800]


def test_a_bias_is_added_in_every_step() -> None:
    assert traced(one(LIF(dv=0, vth=131071, bias_mant=5, bias_exp=3), 4), "v") == [40, 80, 120, 160]
    assert traced(one(LIF(dv=0, vth=131071, bias_mant=-5, bias_exp=-1), 3), "v") == [-3, -6, -9]


def test_overflow() -> None:
    found = one(
        LIF(du=0, dv=0, vth=131071, receptors={"a_in": Dense(scale=2.0**7)}), 6, spikes=[0, 1, 2, 3, 4], weight=255
    )
    expected = [0]
    for _ in range(5):
        expected.append(int(wrapped(decayed(expected[-1], 0, 1) + 2**6 * 2**7 * 255)))
    assert traced(found, "u") == expected and expected[4] == 8352780 and expected[5] < 0  # 24 bits are full
    assert found.spikes["cell"].steps.tolist() == [3]  # v saturates just above the largest threshold


def test_a_refractory_period_holds_v_only() -> None:
    found = one(LIF(du=2047, vth=50, t_ref=2 * ms), 5, spikes=[0], weight=100)
    assert found.spikes["cell"].steps.tolist() == [1]
    assert traced(found, "u")[2:] == [3200, 1600, 800] and traced(found, "v")[1:4] == [0, 0, 0]


@pytest.mark.parametrize(
    "bad", [{"du": 4096}, {"dv": -1}, {"vth": 2**17}, {"bias_mant": 5000}, {"bias_exp": 8}, {"du": 0.5}, {"du": "x"}]
)
def test_what_the_chip_has_no_bits_for(bad: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(bad))):
        LIF(**bad)


def test_the_cell_is_known_by_its_equations() -> None:
    net = ns.Network("known", dt=1 * ms)
    net.population("a", 3, LIF(du=np.arange(3), receptors={"x": Dense(scale=4.0), "y": Dense}))
    net.population("b", 3, FloatLIF(receptors={"x": DeltaCurrent}))
    graph = compile_network(net)
    params = loihi_lif(graph, graph.population("a"))
    assert params is not None and params["du"].tolist() == [0, 1, 2] and params["x.scale"] == 4
    assert loihi_lif(graph, graph.population("b")) is None


# -- connections --------------------------------------------------------------------------------------------------


def two() -> tuple[ns.Network, Any, Any]:
    net = ns.Network("two", dt=1 * ms)
    return net, net.population("a", 3, LIF()), net.population("b", 2, LIF())


def test_weights_are_post_by_pre_and_zeros_are_no_synapses() -> None:
    net, a, b = two()
    connect(net, a, b, [[2, 1, 3], [0, 0, -5]], delays=[[0, 0, 2], [0, 0, 63]], name="c")
    connection = net.projections["c"]
    assert (connection.rule.pre.tolist(), connection.rule.post.tolist()) == ([0, 2, 2], [0, 0, 1])
    assert connection.weight.tolist() == [2, 2, -6]  # of 2, 3 and -5: of both signs, hence even
    assert (connection.delay * 1000).round().tolist() == [1, 3, 64]


def test_wrong_connections() -> None:
    net, a, b = two()
    with pytest.raises(ConnectivityError, match=r"\[2, 3\], \[post, pre\] as in Lava, got \[3, 2\]"):
        connect(net, a, b, np.ones((3, 2)))
    with pytest.raises(ParameterError, match="from 0 to 63"):
        connect(net, a, b, np.ones((2, 3)), delays=64)
    with pytest.raises(ParameterError, match="1 to 8"):
        connect(net, a, b, np.ones((2, 3)), bits=9)
    with pytest.raises(ParameterError, match="sign mode"):
        connect(net, a, b, np.ones((2, 3)), sign="both")  # type: ignore[arg-type]


# -- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "native", "brian2:numpy", "snntorch"])
def test_random_networks_are_the_functions(backend: str, full: bool) -> None:
    name, _, mode = backend.partition(":")
    if name not in ("reference", "native"):
        pytest.importorskip({"brian2": "brian2", "snntorch": "snntorch"}[name])
    count = (200 if full else 25) if name == "reference" else (20 if full else 2)
    found = {"spikes": 0, "values": 0, "different": 0}
    for seed in range(count):
        net = lava_kit.random_network(seed)
        result = net.run(60 * ms, backend=name, **({"mode": mode} if mode else {}))
        for key, value in lava_kit.compared(result, lava_kit.emulated(net, 60), 60).items():
            found[key] += value
    assert found["different"] == 0 and found["spikes"] > 100 * count and found["values"] > 1000 * count


def test_single_precision_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no precision 'single' for population 'p1': its cell needs double"):
        lava_kit.random_network(0).run(60 * ms, precision="single")


@pytest.mark.shared_data("nir/01_lif")
def test_nir_s_lif_is_lava_s_trace() -> None:
    """NIR's LIF (tau 2.5 ms, threshold 0.1, dt 0.1 ms), as its authors brought it to Lava's fixed point."""
    rows = np.loadtxt(SHARED / "nir/01_lif/lif_lava_cpu_fixed.csv", delimiter=",")
    found = one(LIF(du=4095, dv=163, vth=25), 1000, np.flatnonzero(rows[:, 0]), weight=10)
    assert found.spikes["cell"].steps.tolist() == [461, 511, 711, 761] == np.flatnonzero(rows[:, 2]).tolist()
    assert traced(found, "v") == rows[:, 1].tolist()

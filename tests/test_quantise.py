"""From a float network to Loihi 2's integers: closed forms, a single cell's potential, rates, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cli_kit import call
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.loihi2 import quantise
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
from neurosim.units import Hz, ms, mV, second

CELL = LIF(tau_m=20 * ms, v_rest=-70 * mV, v_reset=-70 * mV, v_th=-50 * mV)


def one(cell: Any, weight: Any, times: Any = (5.0, 12.0, 13.0), current: Any = None, dt: Any = 0.1 * ms) -> ns.Network:
    """A source and one cell, whose v is recorded."""
    net = ns.Network("one", dt=dt)
    source = net.population("source", 1, SpikeSource([np.array(times) * ms]))
    pop = net.population("cell", 1, cell)
    net.connect(source, pop, weight=weight, delay=1 * ms, name="wire")
    if current is not None:
        net.stimulate(pop, DCInput(current))
    net.record(pop, "spikes")
    net.record(pop, "v")
    return net


def potentials(net: ns.Network, backend: str, duration: Any = 60 * ms, **options: Any) -> np.ndarray:
    return net.run(duration, backend=backend, **options).state["cell"]["v"].values[:, 0]


def balanced(n: int = 1000, inh: Any = 5 * ms, seed: int = 1) -> ns.Network:
    """Vogels and Abbott's network, small."""
    net = ns.Network("balanced", dt=0.1 * ms, seed=seed)
    cell = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_reset=-60 * mV, v_th=-50 * mV, t_ref=5 * ms,
               receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=inh)})  # fmt: skip
    init = {"v": ns.uniform(-60 * mV, -50 * mV)}
    e, i = net.population("exc", n * 4 // 5, cell, init=init), net.population("inh", n // 5, cell, init=init)
    for pre, receptor, weight in ((e, "exc", 1.62 * mV), (i, "inh", -9 * mV)):
        net.connect(pre, e + i, receptor=receptor, rule=ns.FixedProbability(80 / n * 1.25), weight=weight,
                    delay=1 * ms, name=f"from_{receptor}")  # fmt: skip
    for pop in (e, i):
        net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("receptor", [ExpCurrent(tau=5 * ms), DeltaCurrent])
def test_a_postsynaptic_potential_keeps_its_shape(receptor: Any) -> None:
    weight = 12 * mV if receptor.name == "ExpCurrent" else 2 * mV
    net = one(CELL(receptors={"syn": receptor}), weight)
    ours, theirs = potentials(net, "native"), potentials(net, "loihi2")
    height = np.ptp(ours)
    assert height > 3e-3
    assert np.abs(ours - theirs).max() < 0.03 * height  # tau_m is 20.4 ms in 4096ths
    moved = np.flatnonzero(ours > ours[0] + 0.01 * height)[0]
    assert np.flatnonzero(theirs > theirs[0] + 0.01 * height)[0] == moved  # in the same step
    assert theirs.sum() - len(theirs) * theirs[0] == pytest.approx(ours.sum() - len(ours) * ours[0], rel=0.02)


@given(tau_m=st.floats(2, 80), tau=st.floats(0.6, 40), distance=st.floats(1, 60), weight=st.floats(0.5, 20))
def test_the_area_under_a_potential_is_kept(tau_m: float, tau: float, distance: float, weight: float) -> None:
    """However the decays were rounded: in closed form, of the numbers that were chosen."""
    cell = LIF(tau_m=tau_m * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=distance * mV,
               receptors={"s": ExpCurrent(tau=tau * ms)})  # fmt: skip
    found = quantise(one(cell, weight * mV))
    made, wire = found.populations[0], found.projections[0]
    kept_u, kept_v = (np.exp(-1e-4 / np.mean(tau)) for tau in (made.tau_syn, made.tau_m))
    jump = wire.largest * 2.0**wire.exponent * 64 / made.scale
    area = jump / (1 - kept_u) / (1 - kept_v)
    assert area == pytest.approx(weight * 1e-3 * tau / 0.1, rel=0.5 / wire.largest + 1e-9)


def test_a_current_and_a_resting_potential_become_a_bias() -> None:
    """The interval between spikes is that of the closed form, T = tau ln((rest - reset)/(rest - threshold))."""
    tau = -0.1 / np.log(1 - 20 / 4096)  # 20 4096ths a step
    cell = LIF(tau_m=tau * ms, v_rest=-60 * mV, v_reset=-65 * mV, v_th=-50 * mV, receptors={"s": DeltaCurrent})
    net = one(cell, 0.001 * mV, current=15 * mV)
    steps = net.run(1 * second, backend="loihi2").spikes["cell"].steps
    expected = tau * np.log(20 / 5) / 0.1
    assert np.diff(steps).mean() == pytest.approx(expected, rel=0.004)
    assert len(steps) == pytest.approx(net.run(1 * second).spikes["cell"].count, abs=1)


def test_rates_of_a_recurrent_network() -> None:
    net = balanced()
    ours, theirs = net.run(1 * second), net.run(1 * second, backend="loihi2")
    for name in ("exc", "inh"):
        assert theirs.spikes[name].count == pytest.approx(ours.spikes[name].count, rel=0.1)
        assert ours.spikes[name].count > 1000


def test_what_parts_by_rounding_is_no_fault() -> None:
    """Of two engines one may round on purpose; two that round alike are held to each other."""
    net = balanced(200, inh=10 * ms)
    (pair,) = ns.compare(net, 200 * ms, ["native", "loihi2"]).pairs
    assert pair.verdict != "E0" and pair.diagnosis is not None
    assert (pair.diagnosis.kind, pair.diagnosis.hint[:42]) == ("model", "loihi2 computes in Loihi 2's integers: dec")
    (pair,) = ns.compare(quantise(net).network, 200 * ms, ["native", "loihi2"]).pairs
    assert pair.verdict == "E0"


def test_the_backend_is_the_quantised_network() -> None:
    net = balanced(400, inh=10 * ms)
    found = quantise(net)
    for pop in found.network.populations.values():
        found.network.record(pop, "spikes")
    direct, threads = found.network.run(200 * ms), net.run(200 * ms, backend="loihi2", threads=2)
    reference = found.network.run(20 * ms, backend="reference")
    for name in ("exc", "inh"):
        assert direct.spikes[name].identical(threads.spikes[name])
        first = direct.spikes[name].steps < 200
        assert np.array_equal(direct.spikes[name].ids[first], reference.spikes[name].ids)
    text = str(found)
    assert "one synaptic time constant" in text and "instead of exc 5 ms, inh 10 ms" in text
    assert "Lava's integer cell has none" in text and text.count("from_exc") == 2
    assert all(p.largest <= 255 and -8 <= p.exponent <= 7 and p.lost == 0 for p in found.projections)


def test_more_room_below_leaves_fewer_units() -> None:
    net = one(CELL(receptors={"s": ExpCurrent}), 5 * mV)
    usual, roomy = (quantise(net, below=below).populations[0].scale for below in (2, 4))
    assert roomy == pytest.approx(usual / 2, rel=1e-3)
    with pytest.raises(ParameterError, match="below must be 0 or more"):
        quantise(net, below=-1)
    with pytest.raises(ParameterError, match="below of backend 'loihi2' must be a number"):
        net.run(1 * ms, backend="loihi2", below="far")


@pytest.mark.parametrize("weight", [30 * mV, -30 * mV])
def test_a_current_does_not_wrap_when_all_sources_spike_at_once(weight: Any) -> None:
    """300 inputs in one step would be 450 thresholds: the current is what 24 bits have to hold."""
    net = ns.Network("volley", dt=1 * ms)
    source = net.population("source", 300, SpikeSource([[3.0] * ms] * 300))
    pop = net.population("cell", 3, CELL(receptors={"in": DeltaCurrent}))
    net.connect(source, pop, weight=weight, delay=1 * ms)
    net.record(pop, "spikes")
    quantised = quantise(net)
    assert "units of the 65,535 that its bits hold" in " ".join(quantised.changes)
    spikes = net.run(30 * ms, backend="loihi2").spikes["cell"]
    want = net.run(30 * ms).spikes["cell"]
    assert want.count == (3 if weight.value > 0 else 0)
    assert spikes.identical(want)


def test_one_weight_beyond_the_threshold_makes_units_coarser() -> None:
    net = one(CELL(receptors={"in": DeltaCurrent}), 100 * mV)
    assert net.run(30 * ms, backend="loihi2").spikes["cell"].identical(net.run(30 * ms).spikes["cell"])
    assert net.run(30 * ms).spikes["cell"].count == 3


def test_neurons_may_differ() -> None:
    net = ns.Network("many", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([np.array([1.0]) * ms]))
    pop = net.population("cell", 3, LIF(tau_m=np.array([10, 20, 40]) * ms, v_reset=np.array([-60, -62, -64]) * mV,
                                        receptors={"s": ExpCurrent}))  # fmt: skip
    net.connect(source, pop, weight=20 * mV, delay=1 * ms)
    net.record(pop, "v")
    ours, theirs = (net.run(40 * ms, backend=b).state["cell"]["v"].values for b in ("native", "loihi2"))
    assert np.abs(ours - theirs).max() < 0.3e-3 and np.ptp(ours, axis=0).min() > 1e-3


def refused(net: ns.Network) -> str:
    with pytest.raises(UnsupportedError) as e:
        quantise(net)
    with pytest.raises(UnsupportedError):
        net.run(1 * ms, backend="loihi2")
    return str(e.value)


def test_what_has_no_counterpart_is_listed() -> None:
    net = ns.Network("much", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([np.array([1.0]) * ms]))
    net.population("adex", 1, AdEx)
    net.population("cond", 1, LIF(receptors={"s": ExpConductance}))
    plain = net.population("plain", 1, LIF(receptors={"s": ExpCurrent}))
    net.stimulate(plain, PoissonInput(100 * Hz, weight=1 * mV))
    net.connect(source, plain, weight=1 * mV, delay=1 * ms, plasticity=PairSTDP(w_max=2 * mV), name="stdp")
    said = refused(net)
    for what in ("'adex'", "'cond'", "Poisson drive in population 'plain'", "learning rule of projection 'stdp'"):
        assert what in said


def test_delays_beyond_the_chip() -> None:
    net = ns.Network("late", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([np.array([1.0]) * ms]))
    pop = net.population("cell", 1, CELL(receptors={"s": ExpCurrent}))
    net.connect(source, pop, weight=1 * mV, delay=6.4 * ms, name="far")
    with pytest.raises(UnsupportedError, match="'far' has delays of 65 steps; Loihi 2 has up to 64: take a larger dt"):
        quantise(net)


def test_the_command(tmp_path: Any) -> None:
    done = call("quantise", "cuba", "--set", "n=200")
    assert done.exit_code == 0 and "one synaptic time constant" in done.stdout and "exponent" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:8])) <= 80
    done = call("quantise", "coba", "--set", "n=100")
    assert done.exit_code == 2 and "\n  - no counterpart of the cell of population 'exc'" in done.stderr

"""Voltage-based plasticity: its own figures, the experiment that they are about, and NEST's synapse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from learning_kit import BRIAN2, NATIVE, PAIRING_RATES, deviations, same_bits
from net_kit import refused

import neurosim as ns
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models import LIF, AdEx, ClopathAdEx, ClopathSTDP, DeltaCurrent, PoissonSource, SpikeSource
from neurosim.units import Hz, ms, mV

RULE = ClopathSTDP(w_1=1 * mV, w_max=3 * mV)
START = 0.5


def paired(sources: list[Any], kicks: list[Any], lag: int = 40) -> ns.Network:
    """A target for each source, kicked over its threshold at times of its own, in ms."""
    net = ns.Network("pairs", dt=0.1 * ms)
    source = net.population("source", len(sources), SpikeSource([np.round(t, 1) * ms for t in sources]))
    kick = net.population("kick", len(kicks), SpikeSource([np.round(t, 1) * ms for t in kicks]))
    target = net.population("target", len(kicks), ClopathAdEx(lag, receptors={"exc": DeltaCurrent()}))
    net.connect(kick, target, rule="one_to_one", weight=80 * mV, delay=0.1 * ms)
    net.connect(source, target, rule="one_to_one", weight=START * mV, delay=0.1 * ms, plasticity=RULE, name="synapses")
    net.record(target, "spikes")
    return net


def test_pairing_depends_on_frequency_as_in_the_experiment() -> None:
    """Clopath et al. (2010), fig. 2b, with its parameters for visual cortex: 15 times 5 pairs (75 at 0.1 Hz) at 0.1 to
    50 Hz. Every point is within two standard errors of Sjöström's, whose curves cross zero between 20 and 50 Hz."""
    sources, kicks = [], []
    for lag in (10.0, -10.0):
        for rate in PAIRING_RATES:
            at = 30 + np.arange(5 if rate >= 1 else 1) * round(1e3 / rate, 1)
            sources.append(at - lag)
            kicks.append(at)
    result = paired(sources, kicks).run(600 * ms)
    assert result.spikes["target"].count == sum(len(t) for t in kicks)
    repeats = np.tile([75, 15, 15, 15, 15], 2)
    change = (repeats * (result.weights("synapses") * 1e3 / START - 1)).reshape(2, 5)
    assert deviations(change).max() < 2, change
    assert abs(change[0, 0]) < 0.05 and np.all(np.diff(change[0]) > 0)  # no change by rare pairs of this order
    assert np.all(change[1, :3] < -0.35) and change[1, 4] > 0.4
    assert change[0, 4] == pytest.approx(0.67, abs=0.03)  # their figure has about 167 % at 50 Hz


def test_without_the_lag_rare_pairs_potentiate() -> None:
    """What the lag is for: filters that have seen the spike itself find a raised potential at every spike."""
    change = [paired([[20.0]], [[30.0]], lag).run(60 * ms).weights("synapses")[0] * 1e3 / START - 1 for lag in (0, 40)]
    assert 75 * change[0] > 0.8 and 75 * abs(change[1]) < 0.05


def test_voltage_clamp() -> None:
    """A target that is held at one potential, as in their experiment of stationary depolarisation. Below theta_minus
    nothing, then depression, and potentiation above theta_plus by so much that the sign turns at
    theta_plus + A_LTD/A_LTP = -43.55 mV; there, and everywhere, a closed form."""
    clamped = ns.Cell("v[n+1] = v; u_minus[n+1] = v; u_plus[n+1] = v", threshold="v > 1000*mV", v_c=0 * mV,
                      init={"v": "v_c", "u_minus": "v_c", "u_plus": "v_c"},
                      receptors={"e": ns.Receptor("x[n+1] = 0*x", event="x += w")})  # fmt: skip
    held = np.array([-80.0, -70.6, -60.0, -50.0, -45.3, -44.0, -43.55, -43.0, -40.0, -20.0])
    net = ns.Network("clamp", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([np.arange(25) * 40.0 * ms]))  # 25 Hz
    target = net.population("target", len(held), clamped(v_c=held * mV))
    net.connect(source, target, weight=1.0, delay=0.1 * ms, plasticity=ClopathSTDP(w_max=9.0), name="synapses")
    found = net.run(1200 * ms).weights("synapses") - 1
    # the integral of the trace, in steps of 0.1 ms, after each of the 25 arrivals, until the end
    left = np.round((1200 - 0.1 - np.arange(25) * 40.0) / 0.1)
    area = (0.1 / 15) * ((1 - np.exp(-0.1 * left / 15)) / (1 - np.exp(-0.1 / 15))).sum()
    above, beyond = np.maximum(held + 70.6, 0), np.maximum(held + 45.3, 0)
    assert np.allclose(found, 8e-5 * beyond * above * area - 25 * 14e-5 * above, rtol=0, atol=1e-10)
    assert np.all(found[:2] == 0) and np.all(found[2:6] < 0) and np.all(found[7:] > 0)
    assert abs(found[6]) < 0.01 * abs(found[4])


def driven() -> ns.Network:
    """Cells that fire by themselves and learn from each other and from sources."""
    net = ns.Network("driven", dt=0.1 * ms, seed=2)
    source = net.population("source", 40, PoissonSource(60 * Hz))
    target = net.population("target", 6, ClopathAdEx(20, receptors={"exc": DeltaCurrent()}))
    net.connect(source, target, weight=ns.uniform(0 * mV, 2 * mV), delay=ns.uniform(0.1 * ms, 3 * ms), plasticity=RULE,
                name="synapses")  # fmt: skip
    net.connect(target, target, weight=1 * mV, delay=1 * ms, plasticity=RULE(interval=0.2 * ms), name="mutual")
    net.record(target, ["spikes", "v", "u_minus", "u_plus", "v_t"])
    net.record(net.projections["synapses"], "weight", every=5 * ms)
    return net


def test_native_is_the_reference_bit_for_bit() -> None:
    truth = same_bits(driven, 80 * ms, NATIVE)
    assert truth.spikes["target"].count > 10 and np.ptp(truth.weights("mutual")) > 1e-6


@pytest.mark.engine("brian2")
def test_brian2_is_the_reference_bit_for_bit() -> None:
    assert same_bits(driven, 40 * ms, BRIAN2).spikes["target"].count > 5


PROTOCOL = {
    "after, 10 Hz": ([29.0, 129.0, 229.0, 329.0, 429.0], [19.0, 119.0, 219.0, 319.0, 419.0]),
    "after, 50 Hz": ([29.0, 49.0, 69.0, 89.0, 109.0], [19.0, 39.0, 59.0, 79.0, 99.0]),
    "before, 30 Hz": ([62.3, 95.6, 129.0, 162.3, 195.6, 229.0], [72.3, 105.6, 139.0, 172.3, 205.6]),
    "before, 50 Hz": ([49.0, 69.0, 89.0, 109.0, 129.0, 149.0], [59.0, 79.0, 99.0, 119.0, 139.0]),
}
"""Times of the source and of the target, as in NEST's own test; the source ends, since then NEST tells the weight."""


def nests(source: list[float], kicks: list[float]) -> float:
    """Return the weight that NEST's clopath_synapse has at the last spike of the source."""
    import nest

    nest.ResetKernel()
    nest.set(resolution=0.1)
    # V_th_max is +30.4 mV there unless one says otherwise
    cell = nest.Create("aeif_psc_delta_clopath", params={
        "V_m": -70.6, "E_L": -70.6, "C_m": 281.0, "theta_minus": -70.6, "theta_plus": -45.3, "A_LTD": 14e-5,
        "A_LTP": 8e-5, "tau_u_bar_minus": 10.0, "tau_u_bar_plus": 7.0, "delay_u_bars": 4.0, "a": 4.0, "b": 0.0805,
        "V_reset": -49.6, "V_clamp": 33.0, "V_peak": 33.0, "t_clamp": 2.0, "t_ref": 0.0,
        "V_th_max": -30.4})  # fmt: skip
    relay, recorder = nest.Create("parrot_neuron"), nest.Create("weight_recorder")
    for times, onto, weight in ((source, relay, 1.0), (kicks, cell, 80.0)):
        generator = nest.Create("spike_generator", params={"spike_times": times})
        nest.Connect(generator, onto, syn_spec={"delay": 0.1, "weight": weight})
    nest.CopyModel("clopath_synapse", "recorded", {"weight_recorder": recorder})
    nest.Connect(relay, cell, syn_spec={"synapse_model": "recorded", "weight": START, "delay": 0.1})
    nest.Simulate(max(*source, *kicks) + 10)
    return float(recorder.events["weights"][-1])


@pytest.mark.engine("nest")
def test_weights_of_nests_synapse() -> None:
    """Within 2.5 % of the greatest change. The step in which a kick becomes a spike is a clamped one in NEST, whose
    integrator finds the spike within the step, and here one at 9.4 mV: that is the difference."""
    net = paired([pre for pre, _ in PROTOCOL.values()], [kicks for _, kicks in PROTOCOL.values()])
    ours = net.run(450 * ms).weights("synapses") * 1e3 - START
    theirs = np.array([nests(*times) for times in PROTOCOL.values()]) - START
    assert np.abs(theirs).max() > 0.015 and np.abs(ours - theirs).max() < 0.025 * np.abs(theirs).max(), (ours, theirs)


def test_what_is_refused() -> None:
    for lag in (-1, 1.5, True, 1001):
        assert refused(ParameterError, lambda lag=lag: ClopathAdEx(lag)) == (
            f"lag of ClopathAdEx is a whole number of steps from 0 to 1000, got {lag!r}: 4 ms are 40 at dt = 0.1 ms"
        )
    net = ns.Network("wrong", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([[1] * ms]))
    for k, cell in enumerate((LIF(receptors={"e": DeltaCurrent()}), AdEx(receptors={"e": DeltaCurrent()}))):
        target = net.population(f"t{k}", 1, cell)
        said = refused(UnknownNameError, lambda t=target: net.connect(source, t, weight=1 * mV, plasticity=RULE))
        assert said.startswith("unknown name 'u_minus_post' in 'w -= w_1*a_ltd*max(u_minus_post")

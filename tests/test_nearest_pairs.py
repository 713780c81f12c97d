"""Which pairs of spikes count: the nearest schemes, against a loop over the spikes and against NEST's synapses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from learning_kit import BRIAN2, NATIVE, same_bits

import neurosim as ns
from neurosim.models import LIF, DeltaCurrent, Modulator, PoissonSource, PreCentredSTDP, RestrictedSTDP, SpikeSource
from neurosim.units import Hz, ms, mV

RATE, ALPHA, TAU_PLUS, TAU_MINUS, START = 0.01, 1.05, 17.0, 33.0, 0.5
RULES = {"centred": PreCentredSTDP, "restricted": RestrictedSTDP}


def trains(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two trains of some 30 spikes in ms, none of one at a time of the other."""
    at = np.random.default_rng(seed).permutation(np.arange(10, 5000))[:60] * 0.1
    return np.sort(at[:30]).round(1), np.sort(at[30:]).round(1)


def summed(scheme: str, arrivals: np.ndarray, targets: np.ndarray) -> float:
    """Return the weight after all pairs that the scheme counts, found spike by spike."""
    w = START
    events = sorted([(float(t), 0) for t in arrivals] + [(float(t), 1) for t in targets])
    for k, (t, kind) in enumerate(events):
        before = events[:k]
        others = [s for s, other in before if other != kind]
        same = [s for s, other in before if other == kind]
        since = max(same, default=-math.inf)
        if kind == 0:
            last = max(others, default=None)
            if last is not None and (scheme == "centred" or last > since):
                w -= ALPHA * RATE * math.exp(-(t - last) / TAU_MINUS)
        else:
            mine = [s for s in others if s > since]  # the arrivals that have had no spike of the target yet
            mine = mine if scheme == "centred" else mine[-1:]
            w += RATE * sum(math.exp(-(t - s) / TAU_PLUS) for s in mine)
    return w


def played(scheme: str, pairs: list[tuple[np.ndarray, np.ndarray]], **timing: Any) -> ns.Network:
    """Trains of arrivals and of the target at a synapse each; the shortest delay."""
    net = ns.Network("pairs", dt=0.1 * ms)
    shift = 0.1 if timing.get("delay_type", "axonal") == "axonal" else 0.0
    pre = net.population("pre", len(pairs), SpikeSource([np.round(a - shift, 1) * ms for a, _ in pairs]))
    post = net.population("post", len(pairs), SpikeSource([b * ms for _, b in pairs])(receptors={"e": Modulator()}))
    rule = RULES[scheme](rate=RATE, alpha=ALPHA, tau_plus=TAU_PLUS * ms, tau_minus=TAU_MINUS * ms, **timing)
    net.connect(pre, post, rule="one_to_one", weight=START, delay=0.1 * ms, plasticity=rule, name="synapses")
    return net


@pytest.mark.parametrize("scheme", RULES)
def test_pairs_that_count(scheme: str) -> None:
    pairs = [trains(seed) for seed in range(8)]
    found = played(scheme, pairs).run(510 * ms).weights("synapses")
    want = np.array([summed(scheme, *pair) for pair in pairs])
    assert np.allclose(found, want, rtol=0, atol=1e-12) and np.ptp(want) > 0.01
    assert all(abs(summed("centred", *p) - summed("restricted", *p)) > 1e-3 for p in pairs)


def recurrent() -> ns.Network:
    """Cells that excite each other by both rules, with drawn delays."""
    net = ns.Network("recurrent", dt=0.1 * ms, seed=3)
    pop = net.population("a", 30, LIF(t_ref=1 * ms, v_th=-60 * mV, receptors={"e": DeltaCurrent()}))
    source = net.population("s", 20, PoissonSource(100 * Hz))
    for k, (name, rule) in enumerate(RULES.items()):
        net.connect(source if k else pop, pop, rule=ns.FixedProbability(0.5), weight=ns.uniform(0 * mV, 2 * mV),
                    delay=ns.uniform(0.1 * ms, 2 * ms), plasticity=rule(w_max=3 * mV, rate=0.1), name=name)  # fmt: skip
    net.connect(source, pop, rule=ns.FixedProbability(0.5), weight=3 * mV, delay=0.5 * ms, name="drive")
    net.record(pop, "spikes")
    return net


def test_native_is_the_reference_bit_for_bit() -> None:
    truth = same_bits(recurrent, 60 * ms, NATIVE)
    assert truth.spikes["a"].count > 100 and np.ptp(truth.weights("restricted")) > 1e-4


@pytest.mark.engine("brian2")
def test_brian2_is_the_reference_bit_for_bit() -> None:
    assert same_bits(recurrent, 40 * ms, BRIAN2).spikes["a"].count > 50


@pytest.mark.engine("nest")
@pytest.mark.parametrize(
    ("scheme", "synapse"), [("centred", "stdp_nn_pre_centered_synapse"), ("restricted", "stdp_nn_restr_synapse")]
)
def test_weights_of_nests_synapse(scheme: str, synapse: str) -> None:
    """The weight at the last arrival, with NEST's delay on the dendrite."""
    import nest

    arrivals, targets = trains(3)
    arrivals = np.append(arrivals, 505.0)
    nest.ResetKernel()
    nest.set(resolution=0.1)
    ends = nest.Create("parrot_neuron", 2, params={"tau_minus": TAU_MINUS})
    for times, onto in ((arrivals, ends[0]), (targets, ends[1])):
        nest.Connect(nest.Create("spike_generator", params={"spike_times": times}), onto, syn_spec={"delay": 0.1})
    nest.Connect(ends[0], ends[1], syn_spec={
        "synapse_model": synapse, "weight": START, "delay": 0.1, "Wmax": 1.0, "lambda": RATE, "alpha": ALPHA,
        "mu_plus": 0.0, "mu_minus": 0.0, "tau_plus": TAU_PLUS, "receptor_type": 1})  # fmt: skip
    nest.Simulate(520.0)
    theirs = nest.GetConnections(synapse_model=synapse).weight
    ours = played(scheme, [(arrivals, targets)], delay_type="dendritic").run(520 * ms).weights("synapses")[0]
    assert abs(theirs - START) > 1e-3 and ours == pytest.approx(theirs, abs=1e-10)

"""Dendritic prediction of somatic spiking: its first figure, NEST's synapse, and engines bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from learning_kit import BRIAN2, NATIVE, same_bits

import neurosim as ns
from neurosim.models import DendriticPrediction, ExpCurrent, SpikeSource, UrbanczikSenn
from neurosim.units import ms, pA

PATTERN = 2000
"""Steps of the pattern: 200 ms."""


def teacher(free: int, repeats: int) -> ns.Current:
    """Somatic conductances that pull towards a sinusoid of 10 Hz, for some repeats of the pattern with free ones before
    and behind."""
    on = ns.TimedArray(np.r_[np.zeros(free), np.ones(repeats), np.zeros(free)], dt=200 * ms)
    pull = "(162*nS + 144*nS*sin(2*pi*10*Hz*t))*(0*mV - v_soma) + 540*nS*(-75*mV - v_soma)"
    return ns.Current(output=f"on*({pull})", port="i_soma", on=on)


def matching_potential() -> np.ndarray:
    """The potential at which the teacher's current is 0, in mV, at the middle of each step of the pattern."""
    excitation = 162 + 144 * np.sin(2 * np.pi * 10 * (np.arange(PATTERN) + 0.5) * 1e-4)
    return -75 * 540 / (excitation + 540)


def learner(repeats: int, free: int = 2, n: int = 200, targets: int = 1) -> ns.Network:
    """A frozen pattern of Poisson spikes at 10 Hz onto the dendrite, again and again."""
    net = ns.Network("prediction", dt=0.1 * ms, seed=1)
    g = np.random.default_rng(7)
    trains = [np.sort(g.choice(PATTERN, g.poisson(2.0), replace=False)) * 0.1 * ms for _ in range(n)]
    source = net.population("source", n, SpikeSource(trains, period=200 * ms))
    target = net.population("target", targets, UrbanczikSenn(receptors={"exc": ExpCurrent(tau=3 * ms)(port="i_dend")}))
    net.stimulate(target, teacher(free, repeats), name="teacher")
    rule = DendriticPrediction(eta=40, w_1=1 * pA, w_max=1350 * pA)
    net.connect(source, target, weight=90 * pA, delay=0.1 * ms, plasticity=rule, name="synapses")
    net.record(target, ["spikes", "v_soma", "v_dend"])
    net.record(net.projections["synapses"], "weight", every=50 * ms)
    return net


def test_a_dendrite_learns_the_time_course_that_its_soma_was_taught() -> None:
    """Urbanczik and Senn (2014), fig. 1: after 100 repeats of the pattern the dendrite's prediction V*, and without the
    teacher the soma too, follow the matching potential, which has nothing to do with them before."""
    repeats, free = 100, 2
    result = learner(repeats, free).run((repeats + 2 * free) * 200 * ms)
    wanted = matching_potential()
    soma = result.state["target"]["v_soma"].values[:, 0].reshape(-1, PATTERN) * 1e3
    star = -70 + 600 / 630 * (result.state["target"]["v_dend"].values[:, 0].reshape(-1, PATTERN) * 1e3 + 70)
    error = np.sqrt(((star - wanted) ** 2).mean(axis=1))
    alike = np.array([np.corrcoef(x, wanted)[0, 1] for x in star])
    assert np.abs(alike[:free]).max() < 0.2 and alike[-10:].mean() > 0.94, alike
    assert error[1] > 10 and error[-10:].mean() < 4.5 and wanted.std() > 8, error
    assert np.corrcoef(soma[-1], wanted)[0, 1] > 0.9


def test_native_is_the_reference_bit_for_bit() -> None:
    truth = same_bits(lambda: learner(1, free=0, n=40, targets=3), 120 * ms, NATIVE)
    assert truth.spikes["target"].count > 5 and np.ptp(truth.weights("synapses")) > 1e-13


@pytest.mark.engine("brian2")
def test_brian2_is_the_reference_bit_for_bit() -> None:
    assert same_bits(lambda: learner(1, free=0, n=20, targets=6), 60 * ms, BRIAN2).spikes["target"].count > 2


# -- NEST ------------------------------------------------------------------------------------------------------------

NEST_ETA = 0.17


def nests(times: list[float], stop: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes of NEST's cell, whose soma is excited from 10 to 90 ms, and the weight of its synapse at each
    spike of the source."""
    import nest

    nest.ResetKernel()
    nest.set(resolution=0.1, rng_seed=5)
    parts = {"V_m": -70.0, "C_m": 300.0, "E_L": -70.0, "g_L": 30.0, "tau_syn_ex": 3.0, "tau_syn_in": 3.0}
    cell = nest.Create("pp_cond_exp_mc_urbanczik", params={
        "t_ref": 3.0, "g_sp": 600.0, "soma": {**parts, "E_ex": 0.0, "E_in": -75.0}, "dendritic": parts,
        "phi_max": 0.15, "rate_slope": 0.5, "beta": 1 / 3, "theta": -55.0})  # fmt: skip
    ports = nest.GetDefaults("pp_cond_exp_mc_urbanczik")["receptor_types"]
    relay, recorder, spikes = (nest.Create(x) for x in ("parrot_neuron", "weight_recorder", "spike_recorder"))
    pre = nest.Create("spike_generator", params={"spike_times": times})
    taught = nest.Create("spike_generator", params={"spike_times": np.arange(10.0, 90.0, 0.1).round(1)})
    nest.Connect(pre, relay, syn_spec={"delay": 0.1})
    nest.CopyModel("urbanczik_synapse", "recorded", {"weight_recorder": recorder})
    nest.Connect(relay, cell, syn_spec={
        "synapse_model": "recorded", "receptor_type": ports["dendritic_exc"], "tau_Delta": 100.0, "eta": NEST_ETA,
        "weight": 90.0, "Wmax": 1350.0, "delay": 0.1})  # fmt: skip
    nest.Connect(taught, cell, syn_spec={"receptor_type": ports["soma_exc"], "weight": 10.0, "delay": 0.1})
    nest.Connect(cell, spikes, syn_spec={"delay": 0.1})
    nest.Simulate(stop)
    return np.asarray(spikes.events["times"]), np.asarray(recorder.events["weights"])


@pytest.mark.engine("nest")
def test_weights_of_nests_synapse() -> None:
    """The same spikes of source and target give NEST's weights; its chance is its own, so they are played back here."""
    times = [1.0, 12.0, 31.5, 40.0, 55.0, 70.3, 98.0]
    spikes, weights = nests(times, 100.0)
    assert len(spikes) > 3
    played = UrbanczikSenn.text.replace("hazard", "played[n+1] = 0*played\nhazard")
    cell = ns.Cell(played, threshold="played > 0", reset="", clamp=(), ports=("i_soma", "i_dend"),
                   init={"v_soma": "e_l", "v_dend": "e_l"}, receptors={
                       "exc": ExpCurrent(tau=3 * ms)(port="i_dend"), "play": ns.Receptor(event="played += w")},
                   **{key: UrbanczikSenn.value(key) for key in UrbanczikSenn.params if key != "t_ref"})  # fmt: skip
    net = ns.Network("played", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([np.array(times) * ms]))
    player = net.population("player", 1, SpikeSource([(np.round(spikes, 1) - 0.1) * ms]))
    target = net.population("target", 1, cell)
    # NEST multiplies by C_m, twice by 15 and by beta, and its PSP is per conductance of the leak: mV ms over pA ms
    rule = DendriticPrediction(eta=NEST_ETA * 225 * 300 / 3 / 30, w_1=1 * pA, w_max=1350 * pA)
    net.connect(source, target, receptor="exc", weight=90 * pA, delay=0.1 * ms, plasticity=rule, name="synapse")
    net.connect(player, target, receptor="play", weight=1.0, delay=0.1 * ms)
    net.record(target, "spikes")
    net.record(net.projections["synapse"], "weight", every=0.1 * ms)
    result = net.run(100 * ms)
    assert result.spikes["target"].count == len(spikes)
    ours = np.array([result.weight_traces["synapse"].values[round(t * 10) + 1, 0] for t in times]) * 1e12
    assert np.ptp(weights) > 5
    assert np.abs(ours - weights).max() < 0.02 * np.ptp(weights), (ours, weights)

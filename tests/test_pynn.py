"""Scripts for PyNN, run with ``neurosim.pynn``: against closed forms, in time, and what is refused."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim.pynn as sim
from neurosim.errors import (
    BackendMissingError,
    ConnectivityError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
)
from neurosim.pynn import RandomDistribution, StaticSynapse


def spikes(group: Any, k: int = 0) -> np.ndarray:
    """Spike times (ms) of one cell in the last segment."""
    return np.asarray(group.get_data("spikes").segments[-1].spiketrains[k].magnitude)


def signal(group: Any, name: str = "v") -> np.ndarray:
    """Samples [T, cells] of a variable in the last segment."""
    (found,) = (s for s in group.get_data(name).segments[-1].analogsignals if s.name == name)
    return np.asarray(found.magnitude)


# -- against closed forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["IF_curr_exp", "IF_curr_alpha", "IF_curr_delta"])
def test_a_postsynaptic_potential_is_its_closed_form(kind: str) -> None:
    sim.setup(timestep=0.1)
    tau_m, tau, cm, w, offset = 15.0, 3.0, 0.5, 0.3, 0.1
    synaptic = {} if kind == "IF_curr_delta" else {"tau_syn_E": tau}
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0]))
    cell = sim.Population(1, getattr(sim, kind)(tau_m=tau_m, cm=cm, i_offset=offset, v_thresh=100.0, **synaptic))
    cell.initialize(v=-60.0)
    cell.record("v")
    sim.Projection(source, cell, sim.AllToAllConnector(), StaticSynapse(weight=w, delay=1.5))
    sim.run(50.0)
    t = np.arange(501) * 0.1
    s = np.maximum(t - 6.5, 0.0)
    a, b = 1 / tau_m, 1 / tau
    if kind == "IF_curr_exp":
        psp = w / cm / (b - a) * (np.exp(-a * s) - np.exp(-b * s))
    elif kind == "IF_curr_alpha":
        psp = w / cm * math.e * b * ((np.exp(-a * s) - np.exp(-b * s)) / (b - a) - s * np.exp(-b * s)) / (b - a)
    else:
        psp = np.where(t >= 6.5 - 1e-9, w * np.exp(-a * s), 0.0)
    rest = -65.0 + offset * tau_m / cm
    expected = rest + (-60.0 - rest) * np.exp(-a * t) + psp
    np.testing.assert_allclose(signal(cell)[:, 0], expected, rtol=0, atol=1e-10)


def test_conductances_are_recorded_in_microsiemens() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0]))
    cell = sim.Population(1, sim.IF_cond_exp(tau_syn_I=4.0))
    cell.record(["gsyn_inh", "gsyn_exc"], sampling_interval=0.2)
    sim.Projection(source, cell, sim.AllToAllConnector(), StaticSynapse(weight=0.01), receptor_type="inhibitory")
    sim.run(10.0)
    t = np.arange(51) * 0.2
    expected = np.where(t > 2.15, 0.01 * np.exp(-(t - 2.1) / 4.0), 0.0)
    np.testing.assert_allclose(signal(cell, "gsyn_inh")[:, 0], expected, atol=1e-9)
    assert not signal(cell, "gsyn_exc").any()
    (found,) = (s for s in cell.get_data().segments[0].analogsignals if s.name == "gsyn_inh")
    assert str(found.units.dimensionality) == "uS" and float(found.sampling_period.rescale("ms")) == 0.2


def test_firing_intervals_follow_the_closed_form() -> None:
    sim.setup(timestep=0.01)
    cell = sim.Population(1, sim.IF_curr_exp(i_offset=1.0, tau_refrac=3.0))
    cell.record("spikes")
    sim.run(200.0)
    interval = 3.0 + 20.0 * math.log(20.0 / 5.0)  # i R = 20 mV, the threshold 15 mV above rest
    assert np.abs(np.diff(spikes(cell)) - interval).max() < 0.01


def test_sums_of_receptors_and_signs() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0]))
    cells = sim.Population(2, sim.IF_curr_exp())
    guessed = [sim.Projection(source, cells[[k]], sim.AllToAllConnector(), StaticSynapse(weight=w)).receptor_type
               for k, w in enumerate((0.5, -0.5))]  # fmt: skip
    cells.record("v")
    sim.run(20.0)
    assert guessed == ["excitatory", "inhibitory"]
    v = signal(cells) + 65.0
    np.testing.assert_allclose(v[:, 0], -v[:, 1], atol=1e-12)
    with pytest.raises(ConnectivityError, match="at most 0"):
        sim.reset()
        sim.Projection(source, cells, sim.AllToAllConnector(), StaticSynapse(weight=0.5), receptor_type="inhibitory")
    with pytest.raises(ConnectivityError, match="at least 0"):
        cond = sim.Population(1, sim.IF_cond_exp())
        sim.Projection(source, cond, sim.AllToAllConnector(), StaticSynapse(weight=-0.5), receptor_type="inhibitory")


# -- scripts of the kinds in PyNN's documentation ---------------------------------------------------------------------


def test_a_ring_passes_one_spike_on() -> None:
    sim.setup(timestep=0.1)
    n = 8
    ring = sim.Population(n, sim.IF_curr_exp(tau_refrac=30.0), label="ring")
    start = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0]))
    sim.Projection(start, ring[:1], sim.OneToOneConnector(), StaticSynapse(weight=9.0, delay=1.0))
    around = [(k, (k + 1) % n) for k in range(n)]
    sim.Projection(ring, ring, sim.FromListConnector(around), StaticSynapse(weight=9.0, delay=2.0))
    ring.record("spikes")
    sim.run(60.0)
    first = np.array([spikes(ring, k)[0] for k in range(n)])
    assert len(np.unique(np.round(np.diff(first), 6))) == 1
    assert np.diff(first)[0] > 2.0
    # the spike of a neuron takes 2 ms to the next, and the threshold crossing the time of the closed form
    s = np.arange(0, 300) * 0.1
    v = 9.0 / (1 / 5 - 1 / 20) * (np.exp(-s / 20) - np.exp(-s / 5))
    assert np.diff(first)[0] == pytest.approx(2.0 + s[np.argmax(v >= 15.0)], abs=1e-6)


@pytest.mark.parametrize("kind", ["CUBA", "COBA"])
def test_a_balanced_network(kind: str) -> None:
    """The benchmark of Brette et al. (2007), 400 neurons: both kinds go on by themselves."""
    sim.setup(timestep=0.1, rng_seed=3)
    rng = sim.NumpyRNG(seed=7)
    shared = {
        "tau_m": 20.0,
        "cm": 0.2,
        "tau_refrac": 5.0,
        "v_thresh": -50.0,
        "v_reset": -60.0,
        "tau_syn_E": 5.0,
        "tau_syn_I": 10.0,
    }
    if kind == "CUBA":
        cell, weights = sim.IF_curr_exp(v_rest=-49.0, **shared), (0.135, -0.75)
    else:
        cell, weights = sim.IF_cond_exp(v_rest=-49.0, e_rev_E=0.0, e_rev_I=-80.0, **shared), (0.04, 0.51)
    cells = sim.Population(400, cell, label="all cells")
    exc, inh = cells[:320], cells[320:]
    cells.initialize(v=RandomDistribution("uniform", low=-60.0, high=-50.0, rng=rng))
    connector = sim.FixedProbabilityConnector(0.05, rng=rng)
    to = [sim.Projection(part, cells, connector, StaticSynapse(weight=w, delay=0.2), receptor_type=r)
          for part, w, r in ((exc, weights[0], "excitatory"), (inh, weights[1], "inhibitory"))]  # fmt: skip
    assert abs(len(to[0]) - 6400) < 5 * math.sqrt(6400) and abs(len(to[1]) - 1600) < 5 * math.sqrt(1600)
    cells.record("spikes")
    exc[:2].record("v")
    sim.run(100.0)
    rate = cells.mean_spike_count() * 10.0
    assert 2.0 < rate < 80.0
    assert exc.get_data("v").segments[0].analogsignals[0].shape == (1001, 2)
    assert sum(exc.get_spike_counts().values()) + sum(inh.get_spike_counts().values()) == round(rate * 40)


def test_izhikevich_frequency_rises_with_current() -> None:
    sim.setup(timestep=0.1)
    amplitudes = np.array([0.0, 0.005, 0.01, 0.02])
    cells = sim.Population(4, sim.Izhikevich(a=0.02, b=0.2, c=-65.0, d=8.0, i_offset=amplitudes))
    cells.record(["spikes", "v", "u"])
    sim.run(500.0)
    counts = list(cells.get_spike_counts().values())
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] > 10
    v, u = -70.0, -14.0  # the map itself, in plain Python
    trace = [v]
    for _ in range(300):
        v, u = v + 0.1 * (0.04 * v * v + 5 * v + 140 - u + 20.0), u + 0.1 * 0.02 * (0.2 * v - u)
        if v >= 30.0:
            v, u = -65.0, u + 8.0
        trace.append(v)
    np.testing.assert_allclose(signal(cells)[:301, 3], trace, atol=1e-8)


def test_connectivity_on_a_grid_falls_with_distance() -> None:
    sim.setup(timestep=0.1)
    layer = sim.Population((12, 12), sim.IF_curr_exp())
    assert layer.structure.calculate_size(144) == (12, 12)
    connector = sim.DistanceDependentProbabilityConnector("exp(-d/2.0)", allow_self_connections=False)
    space = sim.Space(axes="xy", periodic_boundaries=((0, 12), (0, 12), None))
    prj = sim.Projection(layer, layer, connector, StaticSynapse(weight="0.1*exp(-d)", delay="0.2 + 0.1*d"), space=space)
    weights, delays = prj.get(["weight", "delay"], format="array")
    assert np.isnan(np.diag(weights)).all()
    x, y = layer.positions[:2]
    dx, dy = (np.abs(a[:, None] - a[None, :]) for a in (x, y))
    d = np.hypot(np.minimum(dx, 12 - dx), np.minimum(dy, 12 - dy))
    there = ~np.isnan(weights)
    for radius in (1.0, 2.0, 4.0):
        at = np.isclose(d, radius)
        p, n = math.exp(-radius / 2), at.sum()
        assert abs(there[at].mean() - p) < 4.5 * math.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(weights[there], 0.1 * np.exp(-d[there]), rtol=1e-12)
    assert np.abs(delays[there] - (0.2 + 0.1 * d[there])).max() <= 0.05 + 1e-9


def test_poisson_sources_have_their_rate_and_window() -> None:
    sim.setup(timestep=0.1, rng_seed=5)
    noise = sim.Population(200, sim.SpikeSourcePoisson(rate=100.0, start=50.0, duration=100.0))
    noise.record("spikes")
    sim.run(200.0)
    count = sum(noise.get_spike_counts().values())
    assert abs(count - 2000) < 5 * math.sqrt(2000)
    every = np.concatenate([spikes(noise, k) for k in range(200)])
    assert every.min() > 50.0 and every.max() < 150.1
    before = noise.get_spike_counts()
    sim.reset()
    sim.run(200.0)
    assert noise.get_spike_counts() != before, "a new trial draws new numbers"


def test_noise_has_its_mean_and_deviation() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(400, sim.IF_curr_exp(tau_m=10.0, cm=1.0, v_thresh=1000.0))
    sim.NoisyCurrentSource(mean=0.5, stdev=1.0, dt=0.4).inject_into(cells)
    cells.record("v", sampling_interval=1.0)
    sim.run(80.0)
    v = signal(cells)[-20:]
    assert v.mean() == pytest.approx(-65.0 + 5.0 * (1 - math.exp(-7.0)), abs=0.15)
    a = math.exp(-0.4 / 10.0)
    assert v.std() == pytest.approx(10.0 * (1 - a) / math.sqrt(1 - a * a), rel=0.08)


@pytest.mark.parametrize(
    "name",
    ["StochasticTsodyksMarkramSynapse", "Vogels2011Rule", "SimpleStochasticSynapse", "ElectricalSynapse",
     "IF_cond_exp_gsfa_grr", "GIF_cond_exp", "SpikeSourceGamma", "CSAConnector"],
)  # fmt: skip
def test_what_is_lacking_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} is not supported: .+test_pynn.py"):
        getattr(sim, name)(weight=1.0)


# -- time, trials, recording ------------------------------------------------------------------------------------------


def noisy(*times: float) -> np.ndarray:
    sim.setup(timestep=0.1, rng_seed=1)
    noise = sim.Population(20, sim.SpikeSourcePoisson(rate=200.0))
    cells = sim.Population(5, sim.IF_curr_exp())
    sim.Projection(noise, cells, sim.FixedProbabilityConnector(0.5), StaticSynapse(weight=0.5, delay=1.0))
    cells.record("v")
    for t in times:
        sim.run(t)
    return signal(cells)


def test_runs_continue_exactly() -> None:
    assert np.array_equal(noisy(50.0), noisy(10.0, 0.1, 39.9))
    assert sim.get_current_time() == pytest.approx(50.0)


def test_changes_between_runs() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0, 15.0]))
    cell = sim.Population(1, sim.IF_curr_exp())
    prj = sim.Projection(source, cell, sim.AllToAllConnector(), StaticSynapse(weight=0.5))
    source.record("spikes")
    sim.run(10.0)
    for change in (
        lambda: cell.set(tau_m=10.0),
        lambda: cell.initialize(v=-70.0),
        lambda: prj.set(weight=1.0),
        lambda: setattr(cell[0], "tau_refrac", 1.0),
        lambda: sim.Population(1, sim.IF_curr_exp()),
        lambda: sim.Projection(source, cell, sim.AllToAllConnector()),
    ):
        with pytest.raises(ParameterError, match=r"at t = 10 ms: .*before the first run.*reset\(\).*test_pynn.py"):
            change()
    source.set(spike_times=[1.0, 12.0])  # what was, stays; what comes, changes
    cell.record("v")
    sim.DCSource(amplitude=0.2).inject_into(cell)  # from now on
    sim.run(10.0)
    np.testing.assert_allclose(spikes(source), [5.0, 12.0])
    recorded = cell.get_data("v").segments[0].analogsignals[0]
    assert float(recorded.t_start) == 10.0 and len(recorded) == 101
    psp = lambda s: 0.5 / 0.15 * (np.exp(-np.maximum(s, 0) / 20) - np.exp(-np.maximum(s, 0) / 5))  # noqa: E731
    t = 10.0 + np.arange(101) * 0.1
    expected = -65.0 + psp(t - 5.1) + psp(t - 12.1) + 0.2 * 20 * -np.expm1(-(t - 10.0) / 20)
    np.testing.assert_allclose(np.asarray(recorded)[:, 0], expected, atol=1e-10)
    sim.reset()
    cell.set(tau_m=10.0)
    sim.run(10.0)
    assert len(cell.get_data().segments) == 2 and cell.get("tau_m") == 10.0


def test_trials_are_segments_and_data_can_be_cleared() -> None:
    sim.setup(timestep=0.1)
    cell = sim.Population(2, sim.IF_curr_exp(i_offset=1.0))
    cell.record(["spikes", "v"])
    for current in (1.0, 2.0):
        sim.reset(annotations={"current": current})
        cell.set(i_offset=current)
        sim.run(100.0)
    segments = cell.get_data().segments
    assert [len(s.spiketrains[0]) for s in segments] == [3, 10] and [len(s.analogsignals) for s in segments] == [1, 1]
    assert len(cell.get_data(clear=True).segments) == 2
    sim.run(20.0)
    (left,) = cell.get_data().segments
    assert float(left.analogsignals[0].t_start) == pytest.approx(100.0) and left.spiketrains[0].min() > 100.0
    with pytest.raises(UnknownNameError, match="w' .*was not recorded"):
        cell.get_data("w")


def test_a_network_that_cannot_be_built_can_be_put_right() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[0.0, 5.0]))
    with pytest.raises(ParameterError, match="spike at 0 ms, and the first that can be is at .* 0.1 ms"):
        sim.run(10.0)
    source.set(spike_times=[0.1, 5.0])
    source.record("spikes")
    sim.run(10.0)
    np.testing.assert_allclose(spikes(source), [0.1, 5.0])


def test_an_interrupted_run_keeps_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    sim.setup(timestep=0.1, backend="reference")
    cell = sim.Population(1, sim.IF_curr_exp(i_offset=1.0))
    cell.record(["spikes", "v"])
    simulation = importlib.import_module("neurosim.pynn.control").current()
    monkeypatch.setattr("neurosim.pynn.control._STRETCH", 300)
    keep = simulation._keep

    def interrupted() -> None:
        keep()
        if simulation.done == 600:
            raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "_keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sim.run(100.0)
    assert sim.get_current_time() == pytest.approx(60.0) and len(signal(cell)) == 601
    before = spikes(cell)
    monkeypatch.undo()
    monkeypatch.setattr(simulation, "_keep", keep)
    sim.run_until(100.0)
    assert len(signal(cell)) == 1001 and np.array_equal(spikes(cell)[: len(before)], before) and len(before) == 2


def test_callbacks_and_the_end_of_a_run() -> None:
    sim.setup(timestep=0.1)
    sim.Population(1, sim.IF_curr_exp())
    seen: list[float] = []

    def call(t: float) -> float:
        seen.append(round(t, 6))
        return t + 2.5

    assert sim.run(10.0, callbacks=[call]) == pytest.approx(10.0)
    assert seen[:4] == [0.0, 2.5, 5.0, 7.5]
    assert sim.run_until(12.0) == pytest.approx(12.0)
    for wrong, why in ((11.0, "in the past"), (12.05, "does not end on a step")):
        with pytest.raises(ParameterError, match=why):
            sim.run_until(wrong)


def test_data_are_written(tmp_path: Path) -> None:
    import neo

    sim.setup(timestep=0.1)
    cell = sim.Population(2, sim.IF_curr_exp(i_offset=1.0), label="cells")
    cell.record("spikes", to_file=str(tmp_path / "deep" / "at_end.pkl"))
    sim.run(100.0)
    cell.write_data(str(tmp_path / "now.pkl"))
    sim.end()
    for name in ("now.pkl", "deep/at_end.pkl"):
        block = neo.io.PickleIO(str(tmp_path / name)).read_block()
        assert block.name == "cells" and [len(t) for t in block.segments[0].spiketrains] == [3, 3]
    with pytest.raises(ParameterError, match=r"\.txt"):
        cell.write_data(str(tmp_path / "x.txt"))


def test_without_neo_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sim.setup()
    cell = sim.Population(1, sim.IF_curr_exp(i_offset=1.0))
    cell.record("spikes")
    sim.run(50.0)
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(BackendMissingError, match="pip install neo"):
        cell.get_data()
    assert cell.mean_spike_count() == 1.0


def test_backends_agree() -> None:
    def run(backend: str) -> list[np.ndarray]:
        sim.setup(timestep=0.1, backend=backend)
        noise = sim.Population(10, sim.SpikeSourcePoisson(rate=300.0))
        cells = sim.Population(4, sim.EIF_cond_exp_isfa_ista())
        sim.Projection(noise, cells, sim.FixedNumberPreConnector(5), StaticSynapse(weight=0.02))
        cells.record("spikes")
        sim.run(60.0)
        return [spikes(cells, k) for k in range(4)]

    a, b = run("native"), run("reference")
    assert sum(map(len, a)) > 4 and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))

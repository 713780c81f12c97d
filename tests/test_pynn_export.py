"""Networks written as PyNN scripts, and what the scripts do."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
import neurosim.pynn as sim
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.interchange import exporter
from neurosim.models import (
    LIF,
    AdEx,
    AlphaCurrent,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    GuetigSTDP,
    HodgkinHuxley,
    Izhikevich,
    OUNoise,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    SineCurrent,
    SpikeSource,
    TsodyksMarkram,
    TsodyksUzielMarkram,
)
from neurosim.units import Hz, Mohm, ms, mV, nA, nS, pA


def export(net: ns.Network, folder: Path, duration: Any = 100 * ms, **options: Any) -> Any:
    return exporter("pynn")(net, str(folder), duration=duration, **options)


def run(folder: Path) -> dict[str, Any]:
    """Run an exported script with neurosim.pynn, and return its populations."""
    spec = importlib.util.spec_from_file_location("exported", folder / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main("neurosim")


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run scripts with the reference backend: nothing is compiled."""
    monkeypatch.setattr(sim, "setup", functools.partial(sim.setup, backend="reference"))


def same_spikes(net: ns.Network, populations: dict[str, Any], duration: Any = 100 * ms) -> int:
    """Assert that all populations spike as in neurosim, a step later by the stamp; return how many spikes there are."""
    result, count = net.run(duration, backend="reference"), 0
    for name, spikes in result.spikes.items():
        trains = populations[name].get_data().segments[0].spiketrains
        for k, train in enumerate(trains):
            np.testing.assert_allclose(np.asarray(train), (spikes.of(k) + net.dt) * 1e3, atol=1e-9)
            count += len(train)
    return count


def balanced(cell: Any, exc: Any, inh: Any, n: int = 100) -> ns.Network:
    net = ns.Network("balanced", dt=0.1 * ms, seed=4)
    start = {"v": ns.uniform(-60 * mV, -50 * mV)}
    e, i = net.population("exc", 4 * n // 5, cell, init=start), net.population("inh", n // 5, cell, init=start)
    net.connect(
        e, [e, i], receptor="exc", rule=ns.FixedProbability(0.1), weight=exc, delay=ns.uniform(0.1 * ms, 2 * ms)
    )
    net.connect(i, [e, i], receptor="inh", rule=ns.FixedProbability(0.1), weight=inh, delay=0.3 * ms)
    net.record(e, "spikes")
    net.record(i, "spikes")
    return net


CUBA = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=5 * ms,
           receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=10 * ms)})  # fmt: skip


def test_inputs_as_potentials_become_currents_of_the_same_effect(tmp_path: Path) -> None:
    net = balanced(CUBA, 4 * mV, -20 * mV)
    net.record(net["exc"][:3], "v")
    written = export(net, tmp_path / "out")
    assert written.losses == [] and written.files == ["run.py", "network.npz"]
    assert any("capacitance of 1 nF" in c for c in written.changes) and any("stamped" in c for c in written.changes)
    found = run(tmp_path / "out")
    assert same_spikes(net, found) > 100
    v = found["exc"].get_data().segments[0].analogsignals[0]
    expected = net.run(100 * ms, backend="reference").state["exc"]["v"].values * 1e3
    np.testing.assert_allclose(np.asarray(v)[1:], expected, atol=1e-9)


@pytest.mark.parametrize("receptor", [AlphaCurrent(tau=2 * ms), DeltaCurrent()])
def test_one_receptor_for_both_signs(tmp_path: Path, receptor: Any) -> None:
    ohms = {} if receptor.name == "DeltaCurrent" else {"r_m": 50 * Mohm}
    unit = mV if receptor.name == "DeltaCurrent" else nA
    net = ns.Network("mixed", dt=0.1 * ms, seed=1)
    source = net.population("source", 3, SpikeSource([[0.0, 5.0, 9.0] * ms, [3.0] * ms, [4.0] * ms], period=20 * ms))
    cell = LIF(tau_m=np.array([10.0, 15.0]) * ms, t_ref=2 * ms, receptors={"syn": receptor}, **ohms)
    cells = net.population("cells", 2, cell)
    net.connect(source, cells, rule="all_to_all", weight=ns.uniform(5 * unit, 9 * unit), delay=1 * ms)
    net.connect(source[1], cells, weight=-2 * unit, delay=2 * ms)
    net.record([source, cells], "spikes")
    written = export(net, tmp_path / "out")
    assert any("the pattern of 'source' is written out to 100 ms" in c for c in written.changes)
    assert same_spikes(net, run(tmp_path / "out")) > 30


def test_currents_and_adaptation(tmp_path: Path) -> None:
    net = ns.Network("currents", dt=0.1 * ms)
    lif = net.population("lif", 4, LIF(r_m=30 * Mohm, t_ref=1 * ms))
    net.stimulate(lif, DCInput(np.array([0.5, 0.7, 0.9, 1.2]) * nA))
    net.stimulate(lif[:2], DCInput(0.6 * nA, start=20 * ms, stop=70 * ms))
    net.stimulate(lif[2:], SineCurrent(0.4 * nA, 30 * Hz, phase=0.5, offset=0.1 * nA))
    adex = net.population("adex", 2, AdEx(receptors={"e": ExpConductance(tau=3 * ms)}))
    net.stimulate(adex, DCInput(800 * pA))
    net.connect(lif, adex, weight=20 * nS, delay=1 * ms)
    net.record([lif, adex], "spikes")
    net.record(adex, "w")
    written = export(net, tmp_path / "out")
    assert any("'adex' is integrated by" in c for c in written.changes) and not written.losses
    found = run(tmp_path / "out")
    assert same_spikes(net, found) > 10
    w = found["adex"].get_data().segments[0].analogsignals[0]
    np.testing.assert_allclose(
        np.asarray(w)[1:], net.run(100 * ms, backend="reference").state["adex"]["w"].values * 1e9, atol=1e-9
    )


def test_a_script_for_pynn_survives_the_round_trip(tmp_path: Path) -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(10, sim.SpikeSourceArray(spike_times=np.arange(1.0, 90.0, 3.0)))
    made = {}
    for k, name in enumerate(("IF_curr_exp", "IF_curr_alpha", "IF_curr_delta", "IF_cond_exp", "EIF_cond_exp_isfa_ista",
                              "Izhikevich", "HH_cond_exp")):  # fmt: skip
        cells = made[name] = sim.Population(3, getattr(sim, name)(), label=name)
        unit = {"IF_curr_exp": 0.5, "IF_curr_alpha": 2.0, "IF_curr_delta": 4.0, "Izhikevich": 6.0}.get(name, 0.02)
        rng = sim.NumpyRNG(k)
        sim.Projection(source, cells, sim.FixedProbabilityConnector(0.5, rng=rng), sim.StaticSynapse(
            weight=sim.RandomDistribution("uniform", (0.0, unit), rng=rng), delay=1.0))  # fmt: skip
        sim.DCSource(amplitude=0.01, start=10.0, stop=50.0).inject_into(cells)
        cells.record("spikes")
    export(sim.network(), tmp_path / "out")
    sim.run(100.0)
    before = {name: cells.get_data().segments[0].spiketrains for name, cells in made.items()}
    found = run(tmp_path / "out")
    for name, trains in before.items():
        after = found[name].get_data().segments[0].spiketrains
        assert sum(map(len, trains)) and [t.tolist() for t in trains] == [t.tolist() for t in after], name


def test_random_stimuli_become_pynns(tmp_path: Path) -> None:
    net = ns.Network("noise", dt=0.1 * ms)
    sources = net.population("sources", 40, PoissonSource(100 * Hz))
    cells = net.population("cells", 40, LIF(receptors={"syn": DeltaCurrent()}))
    net.connect(sources, cells, rule="one_to_one", weight=1 * mV)
    net.stimulate(cells[:30], PoissonInput(rate=500 * Hz, weight=12 * mV, n=2))
    net.record([sources, cells], "spikes")
    written = export(net, tmp_path / "out", duration=500 * ms)
    assert sum("PyNN" in c and "Poisson" in c or "random numbers" in c for c in written.changes) == 2
    found = run(tmp_path / "out")
    rate = {k: found[k].mean_spike_count() / 0.5 for k in ("sources", "cells")}
    assert abs(rate["sources"] - 100) < 5 * np.sqrt(100 / 0.5 / 40)
    expected = net.run(500 * ms, backend="reference").rates("cells")
    assert rate["cells"] == pytest.approx(expected, rel=0.1) and found["cells_poissoninput"].size == 30


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (Izhikevich(), "no cell like 'Izhikevich'"),
        (HodgkinHuxley(), "no cell like 'HodgkinHuxley'"),
        (LIF(receptors={"exc": ExpCurrent(when="before")}), "when='before'"),
        (LIF(receptors={"exc": ExpCurrent(), "inh": DeltaCurrent()}), "two of one kind"),
        (LIF(receptors={"a": ExpCurrent(), "b": ExpCurrent(), "c": ExpCurrent()}), "two of one kind"),
        (AdEx(receptors={"exc": ExpCurrent()}), "conductances, not currents"),
    ],
)
def test_cells_that_pynn_has_not_are_refused(tmp_path: Path, cell: Any, why: str) -> None:
    net = ns.Network("refused", dt=0.1 * ms)
    net.population("cells", 2, cell)
    with pytest.raises(UnsupportedError, match=f"'cells'.*{why}|{why}.*'cells'") as caught:
        export(net, tmp_path / "out")
    assert "test_pynn_export.py" in str(caught.value) and not (tmp_path / "out").exists()


def test_signs_that_receptors_do_not_divide_are_refused(tmp_path: Path) -> None:
    net = balanced(CUBA, 4 * mV, -20 * mV)
    net.connect(net["exc"], net["inh"], receptor="inh", weight=1 * mV)
    with pytest.raises(UnsupportedError, match="different time constants"):
        export(net, tmp_path / "out")


def test_losses_are_refused_unless_asked_for(tmp_path: Path) -> None:
    net = balanced(CUBA, 4 * mV, -20 * mV)
    net.stimulate(net["exc"], OUNoise(0 * mV, 1 * mV, 5 * ms))
    net.record(net["exc"], "exc.x")
    with pytest.raises(ParameterError, match=r"(?s)'ounoise' of 'exc'.*'exc.x' of 'exc'"):
        export(net, tmp_path / "out")
    assert len(export(net, tmp_path / "out", lossy=True).losses) == 2
    assert run(tmp_path / "out")["exc"].size == 80
    with pytest.raises(ParameterError, match="is there already"):
        export(net, tmp_path / "out", lossy=True)


@pytest.mark.engine("nest")
def test_nest_runs_the_script_with_the_same_spikes(tmp_path: Path) -> None:
    net = balanced(CUBA, 4 * mV, -20 * mV)
    export(net, tmp_path / "out", duration=50 * ms)
    code = (
        "import sys, numpy as np, run\n"
        "p = run.main('nest')\n"
        "np.savez('found.npz', **{f'{n}.{k}': np.asarray(t) for n in p\n"
        "         for k, t in enumerate(p[n].get_data().segments[0].spiketrains)})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "out")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "out" / "found.npz") as file:
        found = dict(file)
    result, count = net.run(50 * ms, backend="reference"), 0
    for name, spikes in result.spikes.items():
        for k in range(spikes.size):
            np.testing.assert_allclose(found[f"{name}.{k}"], (spikes.of(k) + net.dt) * 1e3, atol=1e-9)
            count += len(spikes.of(k))
    assert count > 40


# -- synapses that change ---------------------------------------------------------------------------------------------

AS_IN_NEST = {"delay_type": "dendritic", "coincidence": "apart", "delivers": "after"}


def changing(*learn: str) -> ns.Network:
    """Projections that learn by different powers of the weight, and one that runs dry; all as PyNN has them."""
    net = ns.Network("changing", dt=0.1 * ms, seed=6)
    g = np.random.default_rng(3)
    # PyNN has a spike at the end of its step: there, at halves of a millisecond, NEST rounds nothing up
    trains = [(np.unique(np.round(2 * g.uniform(2, 90, 20)) / 2) - 0.1) * ms for _ in range(20)]
    source = net.population("source", 20, SpikeSource(trains))
    cell = LIF(r_m=20 * Mohm, receptors={"exc": ExpCurrent(tau=3 * ms)})
    target = net.population("target", 6, cell)
    net.stimulate(target, DCInput(0.6 * nA))
    rules = {"additive": PairSTDP(w_max=0.8 * nA, rate=0.1, tau_minus=31 * ms, **AS_IN_NEST),
             "guetig": GuetigSTDP(w_max=0.8 * nA, rate=0.1, mu=0.5, tau_minus=31 * ms, **AS_IN_NEST)}  # fmt: skip
    for name in learn:
        net.connect(source, target, rule=ns.FixedProbability(0.5), weight=ns.uniform(0 * nA, 0.8 * nA),
                    delay=ns.uniform(0.2 * ms, 2 * ms), plasticity=rules[name], name=name)  # fmt: skip
    dry = TsodyksUzielMarkram(U=0.4, tau_rec=60 * ms, tau_facil=20 * ms, tau_psc=3 * ms)
    net.connect(source, target, weight=0.3 * nA, delay=1 * ms, short_term=dry, name="dry")
    net.record(target, "spikes")
    return net


def test_synapses_that_change_become_those_of_pynn(tmp_path: Path) -> None:
    net = changing("additive", "guetig")
    export(net, tmp_path / "out")
    text = (tmp_path / "out" / "run.py").read_text(encoding="utf-8")
    for part in ("sim.AdditiveWeightDependence(w_max=0.8)", "mu_plus=0.5, mu_minus=0.5", "sim.TsodyksMarkramSynapse("):
        assert part in text.replace("0.8000000000000002", "0.8"), part
    populations = run(tmp_path / "out")
    assert same_spikes(net, populations) > 20


@pytest.mark.engine("nest")
@pytest.mark.parametrize("rule", ["additive", "guetig"])
def test_nest_learns_from_the_script_as_neurosim_does(rule: str, tmp_path: Path) -> None:
    """With mu = 0.5, as PyNN 0.13 hands no other powers on to NEST."""
    net = changing(rule)
    export(net, tmp_path / "out")
    done = subprocess.run([sys.executable, "run.py", "nest"], cwd=tmp_path / "out", capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (text for text in done.stdout.splitlines() if text.startswith("target"))
    assert int(line.split()[-2]) == net.run(100 * ms).spikes["target"].count


@pytest.mark.parametrize(
    ("given", "why"),
    [({"plasticity": PairSTDP(w_max=1 * mV)}, "the learning rule of 'p': .*its delay is axonal"),
     ({"plasticity": PairSTDP(w_max=0.5 * mV, **AS_IN_NEST)}, "the learning rule of 'p': .*some start outside its b"),
     ({"short_term": TsodyksMarkram()}, "the short-term plasticity of 'p': .*PyNN's is that of Tsodyks, Uziel")],
)  # fmt: skip
def test_synapses_that_pynn_has_not_are_losses(given: dict[str, Any], why: str, tmp_path: Path) -> None:
    net = ns.Network("lost", dt=0.1 * ms)
    source = net.population("s", 2, SpikeSource([[5] * ms] * 2))
    cells = net.population("c", 2, LIF(receptors={"e": ExpCurrent}))
    net.connect(source, cells, weight=1 * mV, name="p", **given)
    with pytest.raises(ParameterError, match=why):
        export(net, tmp_path / "out")
    assert any("StaticSynapse" in line for line in
               [(export(net, tmp_path / "out", lossy=True), (tmp_path / "out" / "run.py").read_text())[1]])  # fmt: skip

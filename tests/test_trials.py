"""Many trials of one network: each is the run that it is alone, on every backend, in any order, varied or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.cli.load import load
from neurosim.errors import DivergedError, NeurosimError, ParameterError, ResultFileError, UnknownNameError
from neurosim.models import LIF, DCInput, Depression, ExpCurrent, PairSTDP, PoissonInput, PoissonSource, WhiteNoise
from neurosim.units import Hz, ms, mV


def network(plasticity: bool = False) -> ns.Network:
    """Cells with every kind of chance: noise, Poisson input, sources, drawn edges, weights, delays and parameters."""
    net = ns.Network("trials", dt=0.1 * ms, seed=2**64 - 5)
    cell = LIF(tau_m=ns.uniform(10 * ms, 20 * ms), t_ref=2 * ms, receptors={"e": ExpCurrent(tau=5 * ms)})
    a = net.population("a", 90, cell, init={"v": ns.uniform(-70 * mV, -55 * mV)})
    s = net.population("s", 20, PoissonSource(80 * Hz))
    net.stimulate(a, PoissonInput(300 * Hz, weight=2 * mV, receptor="e", n=5), name="drive")
    net.stimulate(a, WhiteNoise(0 * mV, 5 * mV), name="noise")
    rule: dict[str, Any] = {"plasticity": PairSTDP(w_max=6 * mV, rate=0.1)} if plasticity else {}
    net.connect(s, a, rule=ns.FixedProbability(0.3), weight=ns.uniform(1 * mV, 5 * mV), name="sa",
                delay=ns.uniform(0.5 * ms, 4 * ms), **rule)  # fmt: skip
    net.connect(a, a, rule=ns.FixedInDegree(5), weight=1 * mV, delay=1 * ms, short_term=Depression(U=0.4), name="aa")
    net.record(a, "spikes")
    net.record(a[:3], "v")
    return net


def equal(one: Any, other: Any) -> bool:
    values = [
        (r.state["a"]["v"].values, r.spikes["a"].steps, r.spikes["a"].ids, *r.counts.values()) for r in (one, other)
    ]
    return all(np.array_equal(x, y) for x, y in zip(*values, strict=True))


@pytest.mark.parametrize("plasticity", [False, True])
def test_each_is_the_run_that_it_is_alone(plasticity: bool) -> None:
    net = network(plasticity)
    trials = net.run_trials(60 * ms, [0, 3, 1, 2**40], threads=2)
    assert (len(trials), trials.status, trials.numbers) == (4, "finished", (0, 3, 1, 2**40))
    for number, result in zip(trials.numbers, trials, strict=True):
        alone = net.run(60 * ms, trial=number)
        assert equal(result, alone) and result.provenance.overrides == alone.provenance.overrides
        assert result.edges == alone.edges and result.provenance.status == "finished"
        if plasticity:
            assert np.array_equal(result.weights("sa"), alone.weights("sa"))
    assert equal(trials[0], net.run(60 * ms))
    assert not equal(trials[0], trials[1]) and len({r.counts["a"] for r in trials}) > 1


@pytest.mark.engine("brian2", "snntorch")
@pytest.mark.parametrize("backend", ["reference", "brian2", "snntorch"])
def test_every_backend_has_the_same_trials(backend: str) -> None:
    net = network()
    options = {"mode": "numpy"} if backend == "brian2" else {}
    got = net.run_trials(20 * ms, [0, 7], backend=backend, **options)
    assert all(map(equal, got, net.run_trials(20 * ms, [0, 7])))


@pytest.mark.engine("nest")
def test_nest_has_the_same_trials() -> None:
    net = ns.Network("nest", dt=0.1 * ms, seed=1)
    pop = net.population("a", 30, LIF(t_ref=2 * ms, receptors={"e": ExpCurrent(tau=5 * ms)}))
    net.stimulate(pop, PoissonInput(800 * Hz, weight=3 * mV, receptor="e", n=5))
    net.record(pop, "spikes")
    ours = net.run_trials(50 * ms, 3)
    for k in range(3):
        nest = net.run(50 * ms, backend="nest", trial=k)
        assert nest.spikes["a"].identical(ours[k].spikes["a"]) and len(nest.spikes["a"]) > 20


def test_what_differs_is_what_is_drawn_in_every_step() -> None:
    """Connections, weights, drawn parameters and initial values are those of the seed."""
    net = network()
    first, second = net.run(0.1 * ms), net.run(0.1 * ms, trial=5)
    assert np.array_equal(first.weights("sa"), second.weights("sa")) and first.edges == second.edges
    quiet = network()
    quiet.set_parameter("a.noise.sigma", 0 * mV)
    quiet.set_parameter("a.drive.rate", 0 * Hz)
    one, other = quiet.run(0.5 * ms), quiet.run(0.5 * ms, trial=5)
    assert np.array_equal(one.state["a"]["v"].values, other.state["a"]["v"].values)
    assert np.ptp(one.state["a"]["v"].values[0]) > 0


def test_parameters_vary_from_trial_to_trial() -> None:
    net = network()
    drive, tau = np.array([100.0, 300.0, 900.0]) * Hz, np.linspace(5, 20, 3 * 90).reshape(3, 90) * ms
    trials = net.run_trials(80 * ms, 3, vary={"a.drive.rate": drive, "a.tau_m": tau})
    assert np.all(np.diff(trials.counts("a")) > 0)
    for k, result in enumerate(trials):
        alone = network()
        alone.set_parameter("a.drive.rate", drive[k])
        alone.set_parameter("a.tau_m", tau[k])
        assert equal(result, alone.run(80 * ms, trial=k))
        assert result.provenance.overrides["a.tau_m"] == "array of 90"
    assert np.array_equal(trials.neuron_counts("a").sum(1), trials.counts("a"))


def test_another_grid_of_weights_is_not_taken_over() -> None:
    """The weight of a drive widens the grid of a receptor: the edges of such a trial are built anew."""
    net = network()
    weights = np.array([2.0, 5e3]) * mV
    trials = net.run_trials(5 * ms, 2, vary={"a.drive.weight": weights})
    alone = network()
    alone.set_parameter("a.drive.weight", weights[1])
    assert equal(trials[1], alone.run(5 * ms, trial=1))


def test_slices_and_files(tmp_path: Any) -> None:
    trials = network().run_trials(10 * ms, 12)
    assert trials[3:5].numbers == (3, 4) and len(list(trials)) == 12 and "12 trials, finished" in repr(trials)
    paths = trials[9:11].save(tmp_path / "out")
    assert [p.rpartition("trial_")[2] for p in paths] == ["09.h5", "10.h5"]
    back = ns.recording.RunResult.load(paths[1])
    assert back.spikes["a"].identical(trials[10].spikes["a"]) and back.provenance.overrides == {"trial": "10"}
    with pytest.raises(UnknownNameError, match="no population 'b'"):
        trials.counts("b")
    nothing = network().run_trials(1 * ms, 0)
    assert len(nothing) == 0 and nothing.counts("a").shape == (0,)
    with pytest.raises(UnknownNameError, match="no population 'b'"):
        nothing.counts("b")
    assert network().run_trials(1 * ms, iter([5, 2])).numbers == (5, 2)


@pytest.mark.parametrize(
    ("trials", "options", "says"),
    [
        (-1, {}, "trials must be a number of trials, 0 or more; got -1"),
        ([0, 0], {}, "trials must be a number, or different whole numbers from 0 on"),
        ([float("inf")], {}, "trials must be a number, or different whole numbers from 0 on"),
        (2, {"vary": [1, 2]}, "vary maps 'population.parameter' to values, one row a trial; got"),
        (2, {"vary": {"a.aa.stp.U": [0.5, 7]}}, "trial 1: U of Depression must be"),
        (2, {"output": "out.h5"}, "run_trials has no option 'output'"),
        (2, {"trial": 3}, "run_trials has no option 'trial'; did you mean 'trials'"),
        (2, {"backend": "reference", "threads": 2}, "runs trials one after the other: leave threads out"),
        ([0.5], {}, "trials must be a number, or different whole numbers from 0 on"),
        ("two", {}, "trials must be a number, or different whole numbers from 0 on; got 'two'"),
        (2, {"vary": {"a.tau_m": 5 * ms}}, "a row for each of the 2 trials: 'a.tau_m' has one value"),
        (2, {"vary": {"a.tau_m": [5, 6, 7] * ms}}, "a row for each of the 2 trials: 'a.tau_m' has 3"),
        (2, {"vary": {"a.tau": [5, 6] * ms}}, "population 'a' has no parameter 'tau'"),
        (2, {"vary": {"a.tau_m": [5, 6] * mV}}, "a.tau_m must be a time"),
        (2, {"threads": 0}, "threads must be a whole number of at least 1, got 0"),
        (2, {"mode": "numpy"}, "backend 'native' has no option 'mode'"),
    ],
)
def test_what_is_no_set_of_trials_says_why(trials: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(NeurosimError, match=says):
        network().run_trials(5 * ms, trials, **options)


def test_a_trial_that_is_none_says_why() -> None:
    with pytest.raises(ParameterError, match="trial must be a whole number from 0 on, got -2"):
        network().run(1 * ms, trial=-2)


def test_a_trial_that_diverges_is_named_and_the_others_are_kept() -> None:
    net = ns.Network("div", dt=0.1 * ms)
    cell = ns.Cell("dv/dt = v*v*k/tau", threshold="v < 0", reset="v = 0", init={"v": 1.0}, tau=1 * ms, k=0.0,
                   method="euler")  # fmt: skip
    net.population("p", 2, cell)
    with pytest.raises(DivergedError, match="trial 2: v of neuron 0 in population 'p' is no finite number") as found:
        net.run_trials(3 * ms, 4, vary={"p.k": np.array([0.0, 0.01, 9.0, 0.0])}, threads=1)
    assert {0, 1} <= set(found.value.results.numbers) <= {0, 1, 3}
    assert found.value.results.status == "failed"


def test_a_current_for_every_trial() -> None:
    """Against the closed form: v = I (1 - exp(-t/tau))."""
    net = ns.Network("currents", dt=0.1 * ms)
    pop = net.population("p", 1, LIF(tau_m=10 * ms, v_rest=0 * mV, v_th=1e3 * mV, v_reset=0 * mV))
    net.stimulate(pop, DCInput(0 * mV), name="dc")
    net.record(pop, "v")
    drive = np.linspace(-5, 5, 11)
    trials = net.run_trials(20 * ms, 11, vary={"p.dc.amplitude": drive * mV})
    got = [1e3 * result.state["p"]["v"].of(0)[-1] for result in trials]
    assert np.allclose(got, drive * (1 - np.exp(-2)), rtol=1e-12, atol=1e-15)


def test_a_list_of_quantities_varies_and_units_are_checked() -> None:
    trials = network().run_trials(2 * ms, 2, vary={"a.tau_m": [5 * ms, 15 * ms]})
    assert [r.provenance.overrides["a.tau_m"] for r in trials] == ["5 ms", "15 ms"]


def test_a_script_that_runs_trials_is_run_by_python(tmp_path: Any) -> None:
    script = tmp_path / "trials.py"
    script.write_text("import neurosim as ns\nfrom neurosim.units import ms\nnet = ns.network('cuba')(n=100)\n"
                      "net.run_trials(1 * ms, 2)\n", encoding="utf-8")  # fmt: skip
    with pytest.raises(ParameterError, match="a script that runs trials is run by python, not by 'neurosim run'"):
        load(str(script), {}, None)


def test_a_script_with_one_trial_is_run_as_that_one(tmp_path: Any) -> None:
    script = tmp_path / "one.py"
    script.write_text("import neurosim as ns\nfrom neurosim.units import ms\nnet = ns.network('cuba')(n=100)\n"
                      "net.run(1 * ms, trial=3)\n", encoding="utf-8")  # fmt: skip
    assert load(str(script), {}, None).options["trial"] == 3


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    net = ns.Network("folder", dt=0.1 * ms)
    net.population("p", 1, LIF())
    (tmp_path / "file").write_text("")
    for name, sentence in (("file", "a file of that name is there"), ("file/in", "a part of its path is a file")):
        with pytest.raises(ResultFileError, match=sentence):
            net.run_trials(1 * ms, 1, backend="reference").save(tmp_path / name)

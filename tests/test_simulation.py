"""Runs that are held in hand: stretches, changes in between, input from outside; native and reference to the bit."""

from __future__ import annotations

import copy
import re
import signal
import threading
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import (
    DivergedError,
    NeurosimError,
    ParameterError,
    ResultFileError,
    UnknownNameError,
    UnsupportedError,
)
from neurosim.models import (
    LIF,
    DCInput,
    DeltaCurrent,
    ExpCurrent,
    LiveCurrent,
    LiveSource,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    SpikeSource,
)
from neurosim.units import Hz, ms, mV, second, volt


def network(n: int = 150, delay: Any = None, weight: Any = None) -> ns.Network:
    net = ns.Network("loop", dt=0.1 * ms, seed=3)
    source = net.population("source", 20, LiveSource)
    cell = LIF(tau_m=20 * ms, t_ref=1 * ms, receptors={"e": ExpCurrent(tau=5 * ms)})
    a = net.population("a", n, cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
    net.connect(source, a, weight=30 * mV, delay=1 * ms, rule=ns.FixedProbability(0.3), name="sa")
    net.connect(a, a, weight=ns.normal(2 * mV, 1 * mV) if weight is None else weight, rule=ns.FixedProbability(0.1),
                delay=ns.uniform(0.5 * ms, 3 * ms) if delay is None else delay, name="aa")  # fmt: skip
    net.stimulate(a, LiveCurrent, name="command")
    net.stimulate(a, PoissonInput(300 * Hz, 5 * mV))
    net.record([source, a], "spikes")
    net.record(a[:3], "v")
    return net


def same(a: Any, b: Any) -> bool:
    return all(a.spikes[k].identical(b.spikes[k]) for k in a.spikes) and a.state["a"]["v"].identical(b.state["a"]["v"])


CHANGES: dict[str, Any] = {
    "state": lambda sim: sim.set("a.v", np.linspace(-80, -55, 150) * mV),
    "threshold": lambda sim: sim.set("a.v_th", -52 * mV),
    "thresholds": lambda sim: sim.set("a.v_th", np.linspace(-55, -50, 150) * mV),
    "time constant": lambda sim: sim.set("a.tau_m", "15ms"),
    "time constants": lambda sim: sim.set("a.tau_m", np.linspace(10, 30, 150) * ms),
    "of a receptor": lambda sim: sim.set("a.e.tau", 3 * ms),
    "rate": lambda sim: sim.set("a.poissoninput.rate", 900 * Hz),
    "refractory period": lambda sim: sim.set("a.t_ref", 3 * ms),
    "weights": lambda sim: sim.set_weights("aa", -np.array(sim.network.edges("aa").weight) * volt),
    "weight": lambda sim: sim.set_weights("sa", 10 * mV),
}


def changed(name: str, backend: str, delay: Any = None, weight: Any = None, **options: Any) -> Any:
    """A run in which spikes and currents come from outside, and something else is changed twice."""
    sim, rng = network(delay=delay, weight=weight).start(backend=backend, **options), np.random.default_rng(0)
    for step in sim.stream(every=0.7 * ms, duration=35 * ms):
        sim.set("a.command.value", rng.normal(12, 5, 150) * mV)
        sim.emit("source", np.flatnonzero(rng.random(20) < 0.2))
        if step.n in (98, 203):
            CHANGES[name](sim)
    return sim.result()


@pytest.mark.parametrize("name", CHANGES)
def test_native_changes_as_the_reference(name: str) -> None:
    truth, plain = changed(name, "reference"), changed("state", "reference")
    assert len(truth.spikes["a"]) > 100
    assert name == "state" or not same(truth, plain)
    for threads in (1, 2):
        assert same(changed(name, "native", threads=threads), truth), threads


@pytest.mark.parametrize(("delay", "weight"), [(1.5 * ms, None), (None, 2 * mV), (ns.uniform(0.1 * ms, 90 * ms), None),
                                               (ns.uniform(0.1 * ms, 90 * ms), 2 * mV)])  # fmt: skip
def test_what_is_under_way_arrives_with_the_new_weights(delay: Any, weight: Any) -> None:
    """In every way that the engine stores edges; one of them keeps sums of what is to come."""
    truth = changed("weights", "reference", delay, weight)
    assert same(changed("weights", "native", delay, weight), truth)
    assert same(changed("weights", "native", delay, weight, threads=2), truth)


def test_new_weights_count_from_the_arrival_on() -> None:
    net = ns.Network(dt=1 * ms)
    source, out = (
        net.population("s", 1, LiveSource),
        net.population("o", 1, LIF(receptors={"e": ExpCurrent(tau=5 * ms)})),
    )
    net.connect(source, out, weight=1 * mV, delay=4 * ms, name="so")
    for backend in ("reference", "native"):
        sim = net.start(backend=backend)
        sim.emit("s", 0)
        assert sim.run(1 * ms).spikes("s").tolist() == [0]
        sim.run(2 * ms)
        sim.set_weights("so", 7 * mV)
        assert sim.run(1 * ms).state("o", "e.x") == 0
        assert sim.run(1 * ms).state("o", "e.x") == pytest.approx(7e-3, rel=1e-11)  # emitted in step 0, here in step 4


def test_stretches_change_nothing() -> None:
    net = network()
    whole = net.run(20 * ms)
    for every in (0.1 * ms, 0.3 * ms, 7 * ms, 30 * ms):
        steps = list(net.start().stream(every=every, duration=20 * ms))
        assert steps[-1].n == 200 and steps[-1].t == pytest.approx(0.02)
        assert same(steps[-1].simulation.result(), whole)
        assert sum(len(s.spikes("a")) for s in steps) == len(whole.spikes["a"])
        assert np.array_equal(np.concatenate([s.spike_steps("a") for s in steps]), whole.spikes["a"].steps)
        counts = sum(s.counts("a") for s in steps)
        assert np.array_equal(counts, np.bincount(whole.spikes["a"].ids, minlength=150))
    for step in net.stream(every=1 * ms):  # without an end
        if step.n == 50:
            break
    assert step.simulation.t == 5 * ms


def test_a_learning_network_goes_on_with_what_it_has_learned() -> None:
    results = []
    for backend in ("reference", "native"):
        net = ns.Network(dt=0.1 * ms, seed=1)
        source = net.population("s", 30, PoissonSource(50 * Hz))
        cell = net.population("c", 5, LIF(receptors={"e": ExpCurrent(tau=5 * ms)}))
        net.connect(source, cell, weight=8 * mV, delay=ns.uniform(0.5 * ms, 2 * ms), name="sc",
                    plasticity=PairSTDP(w_max=15 * mV))  # fmt: skip
        net.record(cell, "spikes")
        sim = net.start(backend=backend)
        sim.run(100 * ms)
        before = sim.result().weights("sc")
        sim.set("s.rate", 120 * Hz)
        sim.set("c.tau_m", 30 * ms)
        sim.run(100 * ms)
        after = sim.result()
        sim.set_weights("sc", 0.5 * sim.weights("sc") * volt)
        sim.run(100 * ms)
        halved = sim.result()
        results.append((before, after.weights("sc"), after.spikes["c"], halved.weights("sc"), halved.spikes["c"]))
    assert np.ptp(results[0][0]) > 0 and not np.array_equal(results[0][0], results[0][1])
    assert np.array_equal(results[0][0], results[1][0]) and np.array_equal(results[0][1], results[1][1])
    assert results[0][2].identical(results[1][2]) and len(results[0][2]) > 20
    assert np.array_equal(results[0][3], results[1][3]) and results[0][4].identical(results[1][4])
    assert not np.array_equal(results[0][3], 0.5 * results[0][1])


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_weights_that_learn_are_set_and_go_on_learning(backend: str) -> None:
    """Each weight is what the next spike delivers; what follows is learned from there."""
    net = ns.Network(dt=0.1 * ms, seed=1)
    times = np.array([10.0, 210.0])
    source = net.population("s", 130, SpikeSource([times * ms] * 130))
    heard = net.population("d", 130, LIF(tau_m=10 * ms, receptors={"e": DeltaCurrent}))
    rule = PairSTDP(w_max=15 * mV, rate=0.1, alpha=1.0, tau_plus=20 * ms, tau_minus=20 * ms)
    net.connect(source, heard, rule=ns.OneToOne(), weight=1 * mV, delay=1 * ms, plasticity=rule,
                name="sd")  # fmt: skip
    sim = net.start(backend=backend, threads=2 if backend == "native" else None)
    sim.run(100 * ms)
    assert np.allclose(sim.weights("sd"), 1e-3, rtol=1e-11, atol=0)
    given = 1e-3 + 1e-5 * np.arange(130)
    sim.set_weights("sd", given * volt)
    assert np.array_equal(sim.weights("sd"), given)
    sim.run(111.1 * ms)  # the second spike has just arrived, and each jump is the weight that was set
    v = sim.state("d", "v")
    rest = LIF().value("v_rest").value
    assert np.allclose(v - rest, given, rtol=1e-8, atol=0)
    assert sim.result().provenance.overrides["sd"]
    with pytest.raises(ParameterError, match="one finite value, or 130"):
        sim.set_weights("sd", np.zeros(3) * mV)
    with pytest.raises(UnknownNameError, match="no projection 'sx'"):
        sim.weights("sx")


def test_a_membrane_follows_what_is_set() -> None:
    """Against the closed form: a new rest, then a new time constant, then another potential, then a current."""
    net = ns.Network(dt=0.5 * ms)
    pop = net.population("p", 2, LIF(tau_m=10 * ms, v_rest=-70 * mV, v_th=0 * mV))
    net.stimulate(pop, LiveCurrent, name="command")
    for backend in ("reference", "native"):
        sim = net.start(backend=backend)
        sim.set("p.v_rest", -60 * mV)
        v = -60e-3 - 10e-3 * np.exp(-0.5)
        assert sim.run(5 * ms).state("p", "v") == pytest.approx([v, v], rel=1e-12)
        sim.set("p.tau_m", np.array([5, 20]) * ms)
        v = -60e-3 + (v + 60e-3) * np.exp([-1.0, -0.25])
        assert sim.run(5 * ms).state("p", "v") == pytest.approx(v, rel=1e-12)
        sim.set("p.v", -75 * mV)
        v = -60e-3 - 15e-3 * np.exp([-1.0, -0.25])
        assert sim.run(5 * ms).state("p", "v") == pytest.approx(v, rel=1e-12)
        sim.set("p.command.value", [4, -2] * mV)
        v = (rest := np.array([-56e-3, -62e-3])) + (v - rest) * np.exp([-1.0, -0.25])
        assert sim.run(5 * ms).state("p", "v") == pytest.approx(v, rel=1e-12)
        sim.close()


def test_parameters_that_steps_read_as_they_are_need_no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    import neurosim.simulation as module

    sim, compiled = network().start(), []
    original = module.compile_network
    monkeypatch.setattr(module, "compile_network", lambda *a, **k: compiled.append(1) or original(*a, **k))
    for k in range(5):
        sim.set("a.v_th", np.full(150, -50.0 - k) * mV)
        sim.set("a.v", -60 * mV)
        sim.set("a.command.value", k * mV)
        sim.emit("source", [k])
        sim.run(0.1 * ms)
    assert len(compiled) == 2  # the first change of v_th, and the look at whether anything is made of it
    sim.result()
    assert sim.network["a"].cell.value("v_th").value.tolist() == pytest.approx([-54e-3] * 150)
    before = len(compiled)
    sim.set("a.v_th", -51 * mV)
    assert len(compiled) == before


def test_results_so_far_and_in_a_file(tmp_path: Any) -> None:
    sim = network().start(output=tmp_path / "out.h5")
    sim.run(10 * ms)
    sim.run(10 * ms)
    result = sim.result()
    assert result.provenance.n_steps == 200 and result.provenance.duration_s == pytest.approx(0.02)
    assert same(result, network().run(20 * ms))
    with pytest.raises(NeurosimError, match=r"this simulation has been closed: start another one with net.start\(\)"):
        sim.run(1 * ms)
    with network().start() as sim:
        sim.set("a.command.value", 30 * mV)
        sim.run(10 * ms)
        first = sim.result()
        sim.run(10 * ms)
        assert len(sim.result().spikes["a"]) > len(first.spikes["a"])


def test_ctrl_c_stops_between_two_steps() -> None:
    sim = network().start()
    with pytest.raises(KeyboardInterrupt):
        for step in sim.stream(every=1 * ms):
            if step.n == 100:
                before = sim.engine.advance

                def advance(steps: int, before: Any = before) -> None:
                    signal.raise_signal(signal.SIGINT)
                    before(steps)

                sim.engine.advance = advance
    assert sim.n == 110 and sim.result().provenance.n_steps == 110


def test_a_run_that_diverges_says_so_and_keeps_what_was() -> None:
    net = ns.Network(dt=1 * ms)
    pop = net.population("p", 2, ns.Cell("dx/dt = x*x/tau", tau=1 * ms, threshold="x > 1e300", method="euler"))
    net.record(pop, "x")
    sim = net.start()
    sim.run(3 * ms)
    sim.set("p.x", [0.0, 1e200])
    with pytest.raises(DivergedError, match=r"x of neuron 1 in population 'p' is no finite number any more"):
        sim.run(10 * ms)
    assert sim.result().state["p"]["x"].times[:3] == pytest.approx([1e-3, 2e-3, 3e-3])


MISTAKES: list[tuple[Any, str]] = [
    (lambda s: s.set("b.v", 1 * mV), "no population 'b'"),
    (lambda s: s.set("a.w", 1 * mV), "population 'a' has no parameter 'w'"),
    (lambda s: s.set("a.v", 1 * ms), "a.v must be a voltage"),
    (lambda s: s.set("a.v", np.zeros(3) * mV), "a.v needs one value or 150, got shape [3]"),
    (lambda s: s.set("a.v", np.nan * mV), "a.v must be finite"),
    (lambda s: s.set("a.tau_m", -1 * ms), "tau_m"),
    (lambda s: s.set("a.tau_m", 1 * mV), "a.tau_m must be a time"),
    (lambda s: s.set("a.t_ref", 0.15 * ms), "not a whole number of steps"),
    (lambda s: s.set("a.command.value", 3.0), "a.command.value must be a voltage"),
    (lambda s: s.state("a", "u"), "population 'a' has no state variable 'u'"),
    (lambda s: s.state("b", "v"), "no population 'b'"),
    (lambda s: s.emit("a", 3), "population 'a' is a LIF: spikes are given to a LiveSource"),
    (lambda s: s.emit("source", [3, 20]), "population 'source' has the neurons 0 to 19, not 20"),
    (lambda s: s.emit("source", -1), "population 'source' has the neurons 0 to 19, not -1"),
    (lambda s: s.emit("source", 1.5), "ids of 'source' are one row of whole numbers, got float64"),
    (lambda s: s.emit("sauce", 1), "no population 'sauce'; did you mean 'source'?"),
    (lambda s: s.set_weights("ab", 1 * mV), "no projection 'ab'"),
    (lambda s: s.set_weights("aa", np.zeros(3) * mV), "the weights of 'aa' are one finite value, or"),
    (lambda s: s.set_weights("aa", np.inf * mV), "finite"),
    (lambda s: s.set_weights("aa", 1 * ms), "weights of 'aa' must be a voltage"),
    (lambda s: s.set(3, 1 * mV), "what is set is named, as 'pop.v'; got 3"),
    (lambda s: s.set("a.v_rest", 0 * mV), "(what is multiplied by 0 is left out of it): start another simulation"),
    (lambda s: s.emit("source", [[1], [2, 3]]), "ids of 'source' are one row of whole numbers, got [[1], [2, 3]]"),
    (lambda s: s.emit("source", [[1, 2]]), "one row of whole numbers, got int64 of shape [1, 2]"),
    (lambda s: s.emit(["source"], 1), "a population is named here, as 'source'; got ['source']"),
    (lambda s: s.state(["a"], "v"), "a population is named here"),
    (lambda s: s.run(1 * ms).counts("b"), "no population 'b'"),
    (lambda s: s.run(0.15 * ms), "the duration is 0.15 ms, which is not a whole number of steps"),
    (lambda s: s.run(3), "the duration must be a time"),
    (lambda s: next(s.stream(every=0 * ms)), "every is 0 ms, which is less than"),
    (lambda s: s.run(1 * ms).spikes("b"), "no population 'b'"),
]


@pytest.mark.parametrize("k", range(len(MISTAKES)))
def test_mistakes(k: int) -> None:
    """Each is a sentence, and changes nothing: the run goes on as if it had not been made."""
    mistake, message = MISTAKES[k]
    net = network()
    sim = net.start(backend="reference")
    sim.run(1 * ms)
    with pytest.raises(NeurosimError, match=re.escape(message)) as caught:
        mistake(sim)
    assert "test_simulation.py" in str(caught.value)
    sim.run(2 * ms - sim.t)
    assert same(sim.result(), net.run(2 * ms, backend="reference"))


@pytest.mark.engine("brian2")
def test_other_engines_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="backend 'brian2' cannot be changed while it runs: use 'native'"):
        network().start(backend="brian2")


def test_the_library_s_cuba_streamed() -> None:
    net = ns.network("cuba")(n=400)
    net.stimulate(net["exc"], DCInput(1 * mV))
    whole = net.run(0.05 * second)
    *_, last = net.stream(every=1 * ms, duration=50 * ms)
    assert all(last.simulation.result().spikes[k].identical(whole.spikes[k]) for k in whole.spikes)


# -- what a reviewer broke


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_weights_change_where_the_layout_hangs_by_a_hair(backend: str) -> None:
    """Delays whose bounds and values call for different ways of storing edges."""
    net = ns.Network(dt=0.1 * ms, seed=1)
    a = net.population("a", 200, LIF(receptors={"e": ExpCurrent(tau=5 * ms)}))
    net.connect(a, a, weight=ns.normal(0.1 * mV, 0.1 * mV), delay=ns.normal(2 * ms, 0.3 * ms), name="aa")
    sim = net.start(backend=backend)
    sim.run(3 * ms)
    sim.set_weights(sim.network.projections["aa"], 0.2 * mV)
    sim.run(1 * ms)
    assert sim.result().provenance.overrides == {"aa": "weights set while it ran"}


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_single_precision(backend: str) -> None:
    truth = changed("thresholds", "reference", precision="single")
    assert same(changed("thresholds", backend, precision="single"), truth)
    sim = network().start(backend=backend, precision="single")
    for path in ("a.command.value", "a.v_th", "a.v_th"):
        with pytest.raises(NeurosimError, match=f"{path} must be finite in single precision, got 1e"):
            sim.set(path, 1e300 * mV) if path != "a.v_th" else (sim.set(path, -50.5 * mV), sim.set(path, 1e300 * mV))


def test_files_are_finished_however_it_ends(tmp_path: Any) -> None:
    whole = network().run(5 * ms)
    with network().start(output=tmp_path / "a.h5") as sim:
        sim.run(5 * ms)
    with pytest.raises(ZeroDivisionError), network().start(output=tmp_path / "b.h5") as sim:
        sim.run(5 * ms)
        _ = 1 / 0
    for step in network().stream(every=1 * ms, output=tmp_path / "c.h5"):
        if step.n == 50:
            break
    del step
    list(network().stream(every=1 * ms, duration=5 * ms, output=tmp_path / "d.h5"))
    for name, status in (("a", "finished"), ("b", "interrupted"), ("c", "finished"), ("d", "finished")):
        result = ns.recording.RunResult.load(tmp_path / f"{name}.h5")
        assert same(result, whole) and result.provenance.status == status, name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5", "c.h5", "d.h5"]
    assert sim.result() is sim.result()


def test_a_second_run_does_not_replace_what_the_first_writes(tmp_path: Any) -> None:
    net = ns.network("cuba")(n=100)
    with net.start(output=tmp_path / "out.h5") as first:
        first.run(1 * ms)
        with pytest.raises(ResultFileError, match="cannot write '.*out.h5': another run is writing it"):
            net.run(1 * ms, output=tmp_path / "out.h5")
    assert ns.recording.RunResult.load(tmp_path / "out.h5").provenance.n_steps == 10
    net.run(2 * ms, output=tmp_path / "out.h5")
    assert ns.recording.RunResult.load(tmp_path / "out.h5").provenance.n_steps == 20


def test_options_of_a_whole_run_are_refused() -> None:
    for key in ("checkpoint", "resume", "progress", "load", "overrides", "thread"):
        with pytest.raises(NeurosimError, match=rf"net.start\(\) has no option '{key}'|has no option '{key}'"):
            network().start(**{key: True})


def test_nothing_follows_after_it_has_diverged() -> None:
    net = ns.Network(dt=1 * ms)
    net.population("p", 2, ns.Cell("dx/dt = x*x/tau", tau=1 * ms, threshold="x > 1e300", method="euler"))
    net.record(net["p"], "x")
    for backend in ("reference", "native"):
        sim = net.start(backend=backend)
        sim.set("p.x", 1e200)
        with pytest.raises(DivergedError):
            sim.run(10 * ms)
        for attempt in (lambda s=sim: s.run(1 * ms), lambda s=sim: s.set("p.x", 0.0)):
            with pytest.raises(NeurosimError, match=r"has diverged and cannot go on: result\(\) has what was"):
                attempt()
        assert sim.result().provenance.status == "diverged"


def test_ctrl_c_is_answered_within_a_long_stretch() -> None:
    sim = network().start()
    sim.run(10 * ms)
    threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        sim.run(3600 * second)
    assert sim.n < 36_000_000 and sim.result().provenance.status == "interrupted"
    reached = sim.n * 0.1 * ms
    assert same(sim.result(), network().run(reached)) and sim.run(1 * ms).n == sim.n


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_spikes_that_were_given_stay_given(backend: str) -> None:
    sim = network().start(backend=backend)
    sim.emit("source", 1)
    assert len(sim.run(0 * ms).spikes("source")) == 0
    sim.emit("source", 2)
    assert sim.run(0.1 * ms).spikes("source").tolist() == [1, 2]
    sim.emit("source", 1)
    sim.set("source.pending", 0.0)
    sim.emit("source", 2)
    assert sim.run(0.1 * ms).spikes("source").tolist() == [2]
    assert sim.run(1 * ms).spikes("source").tolist() == []


def test_the_network_stays_as_it_was() -> None:
    net = network()
    before = net.run(10 * ms)
    one, two = net.start(backend="reference"), net.start(backend="reference")
    one.set("a.v_th", -60 * mV)
    one.set_weights("sa", 1 * mV)
    two.set("a.tau_m", 20 * ms)  # as it is
    assert not same(one.run(10 * ms).simulation.result(), before)
    assert same(two.run(10 * ms).simulation.result(), before)
    net.record(net["a"][5:8], "v")
    net.population("more", 3, LIF)
    one.set("a.tau_m", 15 * ms)
    assert one.run(1 * ms).simulation.result().state["a"]["v"].ids.tolist() == [0, 1, 2]


def test_results_do_not_change_afterwards_and_say_what_was_changed() -> None:
    sim = network().start()
    sim.set("a.command.value", 30 * mV)
    sim.run(20 * ms)
    result = sim.result()
    counts = dict(result.counts)
    sim.set("a.v_th", -51 * mV)
    sim.set("a.v_th", -52 * mV)
    sim.run(20 * ms)
    assert result.counts == counts and sim.result().counts["a"] > counts["a"] > 0
    assert sim.result().provenance.overrides == {"a.command.value": "set while it ran", "a.v_th": "set while it ran"}
    net = network()
    net.set_parameter("a.v_th", -52 * mV)
    assert sim.result().provenance.network_hash == net.run(0 * ms).provenance.network_hash
    assert result.provenance.network_hash == network().run(0 * ms).provenance.network_hash


def test_recorded_weights_are_not_falsified() -> None:
    net = network()
    net.record(net.projections["sa"], "weight", every=1 * ms)
    sim = net.start(backend="reference")
    with pytest.raises(UnsupportedError, match="the weights of 'sa' are recorded as some that do not change"):
        sim.set_weights("sa", 1 * mV)


def test_probes_with_stops_between_their_samples() -> None:
    net = network()
    net.record(net["a"], "rate", every=0.7 * ms)
    net.record(net["a"][50:60], "e.x", every=1.1 * ms)
    whole = net.run(20 * ms)
    *_, last = net.stream(every=0.4 * ms, duration=20 * ms)
    result = last.simulation.result()
    assert result.state["a"]["e.x"].identical(whole.state["a"]["e.x"])
    assert np.array_equal(result.population_rates["a"].values, whole.population_rates["a"].values)


def test_copies_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="a simulation cannot be copied"):
        copy.deepcopy(network().start(backend="reference"))

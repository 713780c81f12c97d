"""Comparing backends: planted faults, each of which has to be found where it is and called what it is.

The faulty engines are the reference with one thing changed, registered as another package's would be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from planted import (
    PLANTED,
)

import neurosim as ns
from neurosim import registry
from neurosim.cli.main import cli
from neurosim.comparison import Comparison, compare, distance
from neurosim.comparison import diagnosis as diagnoses
from neurosim.comparison.diagnosis import Diagnosis
from neurosim.comparison.replay import Replay
from neurosim.compile import compile_network
from neurosim.conformance import constructs
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.lang.network import Probe
from neurosim.models import LIF, DeltaCurrent, ExpCurrent, PoissonInput, SpikeSource
from neurosim.units import Hz, Quantity, ms, mV


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, kind in PLANTED.items():
        monkeypatch.setitem(registry.BACKENDS, name, registry.Entry(f"planted:{kind.__name__}", summary="planted"))
    yield


# -- networks -------------------------------------------------------------------------------------------------------


def circuit(noise: bool = False) -> ns.Network:
    """Six cells that spike by themselves, each at its own rate, with input from five sources and inhibition."""
    net = ns.Network("circuit", dt=0.1 * ms, seed=5)
    times = [np.array([3.0, 9.0, 21.0, 33.0]) * ms + 1.7 * k * ms for k in range(5)]
    source = net.population("source", 5, SpikeSource(times))
    cell = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=2 * ms,
               receptors={"exc": ExpCurrent(tau=5 * ms), "inh": DeltaCurrent})  # fmt: skip
    p = net.population("p", 6, cell, init={"v": np.linspace(-58, -51, 6) * mV})
    net.connect(source, p, receptor="exc", weight=3 * mV, delay=0.5 * ms, name="in")
    net.connect(p, p, receptor="inh", weight=-0.2 * mV, delay=0.8 * ms, name="loop")
    if noise:
        net.stimulate(p, PoissonInput(800 * Hz, weight=0.3 * mV, receptor="inh"))
    return net


def counter(step: float = 0.125, top: str = "1") -> ns.Network:
    """One cell that adds a step to its variable until it meets the threshold."""
    net = ns.Network("counter", dt=1 * ms)
    cell = ns.Cell(f"v[n+1] = v + {step!r}", threshold=f"v >= {top}", reset="v = 0", init={"v": 0.0})
    net.population("p", 3, cell)
    return net


def found(planted: str, net: ns.Network | None = None, duration: Quantity = 60 * ms) -> tuple[Comparison, Diagnosis]:
    result = compare(circuit() if net is None else net, duration, ["reference", planted])
    assert result.pairs[0].diagnosis is not None, "the fault was not seen"
    return result, result.pairs[0].diagnosis


# -- what is found --------------------------------------------------------------------------------------------------


def test_identical_runs_are_in_class_e0() -> None:
    net = circuit()
    net.record(net["p"], "v", every=1 * ms)
    before = list(net.probes)
    result = ns.compare(net, 60 * ms, backends=["native", "reference", "faulty"])
    assert net.probes == before
    assert (result.verdict, result.agrees, len(result.pairs)) == ("E0", True, 3)
    pair = result.pair("reference", "native")
    assert pair.identical and pair.difference is None and pair.diagnosis is None
    assert pair.populations[1].spikes.common > 10 and pair.populations[1].spikes[1:] == (0, 0)
    assert [(t.variable, t.largest) for t in pair.traces] == [("v", 0.0)]


@pytest.mark.parametrize(
    ("planted", "kind", "hint"),
    [
        ("stamped", "model", "1 step later, and the states are the same: spikes are stamped differently"),
        ("delayed", "fault", "what arrives from projection 'in' comes 1 step late: delays"),
        ("hasty", "fault", "1 step early: delays"),
        ("resting", "fault", "its refractory period is 1 step longer"),
        ("restless", "fault", "refractory period is 1 step shorter"),
        ("elsewhere", "fault", "its initial values are others"),
        ("euler", "model", "it integrates by method='euler'"),
        ("before", "model", "what arrives jumps before the decay of the step, not after it"),
        ("unclamped", "model", "v goes on while the neuron is refractory"),
        ("resetting", "fault", "it resets differently: only steps in which the neuron spikes are off"),
        ("lower", "fault", "spikes though its value does not meet v >= v_th: its threshold is another"),
        ("slower", "fault", "a parameter or an equation differs"),
        ("heavier", "fault", "the weights of projection 'in' act 1.25 times as strongly"),
        ("losing", "fault", "is lost"),
    ],
)
def test_planted_faults(planted: str, kind: str, hint: str) -> None:
    result, diagnosis = found(planted)
    assert (diagnosis.kind, result.pairs[0].verdict) in ((kind, "DIFFERENT"), (kind, "R"))
    assert re.search(hint, diagnosis.hint), diagnosis.hint
    # the first difference is the first there is, by sets
    a, b = ({(int(s), name, int(i)) for name, x in side.result.spikes.items()
             for s, i in zip(x.steps, x.ids, strict=True)} for side in result.sides)  # fmt: skip
    at = diagnosis.difference
    assert at.step == min(s for s, _, _ in a ^ b)
    assert (at.step, at.population, at.neuron) in (a if at.only_in == "a" else b)
    assert diagnosis.repeats == (True, True)
    # the reference follows its own program; the other is named
    assert planted in diagnosis.hint
    assert all(f is None or f.follows for f in diagnosis.findings[:1])


def test_late_stimuli() -> None:
    _, diagnosis = found("tardy", circuit(noise=True), 20 * ms)
    assert diagnosis.kind == "model"
    assert "tardy does not follow the program: it takes stimuli and random numbers one step late" in diagnosis.hint


def test_a_tie_is_told_from_a_difference() -> None:
    result, diagnosis = found("nudged", counter(0.1))
    pair, t = result.pairs[0], diagnosis.threshold
    assert (pair.verdict, result.agrees, diagnosis.kind, diagnosis.state) == ("E1", True, "tie", None)
    # 0.1 added ten times is 1 - 2^-53, one step short of the threshold; 1e-15 more is beyond it
    assert t is not None and t.tie
    assert (t.left_a, t.right_a, t.own_a) == (1.0 - 2.0**-53, 1.0, "recorded")
    assert (t.own_b, t.scale) == ("evaluated", 1.0)
    assert t.left_b == pytest.approx(1.0 + 1e-15, abs=3e-16) and 9e-16 < t.apart < 1.1e-15
    assert (diagnosis.difference.step, diagnosis.difference.only_in) == (9, "b")
    assert "tie up to 1e-09 (1e-9 of |threshold - reset|, v being reset to 0)" in " ".join(result.table().split())


def test_a_tie_whose_last_bit_is_gone_with_the_reset() -> None:
    """The side that spiked left no value: the threshold stands for it, and the table says so."""
    result, diagnosis = found("rounding", counter(0.1))
    t = diagnosis.threshold
    assert t is not None and (t.own_a, t.own_b, t.left_b) == ("recorded", "bound", 1.0)
    assert (t.apart, diagnosis.kind) == (2.0**-53, "tie")
    assert "at least the threshold, as it spiked" in result.table()
    # every interval is 10 steps instead of 11 from then on, which is more than 5 %: a tie alone does not make E1
    assert (result.verdict, result.pairs[0].says[:21]) == ("DIFFERENT", "identical until a tie")


def test_another_comparison_at_the_very_threshold_is_no_tie() -> None:
    result, diagnosis = found("strict", counter())
    assert diagnosis.threshold is not None and diagnosis.threshold.apart == 0.0 and not diagnosis.threshold.tie
    assert (result.verdict, diagnosis.kind, diagnosis.difference.step) == ("DIFFERENT", "fault", 7)
    assert "strict compares by another sign than the one in v >= 1" in diagnosis.hint


def test_where_states_part_first() -> None:
    """The first spike of the sources reaches the first cell after 0.5 ms: step 35, and 36 if it is a step late."""
    _, diagnosis = found("delayed")
    state = diagnosis.state
    assert state is not None
    assert (state.population, state.variable, state.step, state.b) == ("p", "exc.x", 35, 0.0)
    assert state.a == pytest.approx(3e-3, rel=1e-9)
    assert diagnosis.findings[1] is not None and diagnosis.findings[1].step == 35
    late, _ = found("resting")
    at = late.pairs[0].diagnosis.state  # type: ignore[union-attr]
    spikes = late.sides[0].result.spikes["p"]
    assert at is not None
    assert at.step - 21 in spikes.steps[spikes.ids == at.neuron]  # 20 steps of rest, then one that only one side takes


def test_what_arrives_is_the_sum_over_the_edges() -> None:
    net = ns.Network(dt=0.1 * ms)
    source = net.population("source", 3, SpikeSource([[0.2] * ms, [0.2] * ms, [0.1] * ms]))
    p = net.population("p", 1, LIF(v_th=-69 * mV, receptors={"s": DeltaCurrent}))
    net.connect(source, p, weight=0.75 * mV, delay=0.3 * ms)
    _, diagnosis = found("hasty", net, 1 * ms)
    assert (diagnosis.difference.step, diagnosis.difference.only_in) == (4, "b")
    assert diagnosis.arrived["s"] == pytest.approx(0.75e-3, rel=1e-11)  # the third source's; the others come in step 5


def test_a_side_that_does_not_repeat_is_said_to() -> None:
    _, diagnosis = found("fickle")
    assert diagnosis.repeats == (True, False)
    assert diagnosis.kind == "unexplained"
    assert diagnosis.hint.startswith("fickle gave other spikes when it was run once more")


def test_what_cannot_be_recorded_is_said() -> None:
    _, diagnosis = found("forgetful")
    assert diagnosis.notes == ("'exc.x' of 'p' cannot be recorded on forgetful",)
    assert diagnosis.kind == "unexplained" and "not all variables were recorded" in diagnosis.hint
    assert diagnosis.state is not None and diagnosis.state.variable == "v"


def test_large_networks_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.comparison.diagnosis.MOST_VALUES", 100)
    net = ns.Network(dt=0.1 * ms)
    cell = LIF(tau_m=20 * ms, v_rest=-49 * mV)
    net.population("p", 100, cell, init={"v": np.linspace(-60, -51, 100) * mV})
    _, diagnosis = found("euler", net)
    # one neuron, and the one whose spikes differ
    assert diagnosis.notes == ("states of 2 of the 100 neurons of 'p' were compared",)
    assert diagnosis.difference.neuron > 0 and "method='euler'" in diagnosis.hint


@pytest.mark.parametrize("name", constructs.CONSTRUCTS)
def test_the_reference_follows_the_program_in_every_step(name: str) -> None:
    """What the diagnosis rests on: evaluated again, lane by lane, every program gives what the reference recorded."""
    net = constructs.CONSTRUCTS[name]()
    options = constructs.OPTIONS.get(name, {})
    graph = compile_network(net, **options)
    net.probes = [Probe(p.name, v, None, None, None) for p in graph.populations
                  for v in ("spikes", *(s.name for s in p.states if not s.name.startswith("_")))]  # fmt: skip
    learning = [p.name for p in graph.projections if p.plasticity is not None]
    net.probes += [Probe(name, "weight", None, None, None, True) for name in learning]
    run = net.run(20 * ms, backend="reference", **options)
    assert sum(map(len, run.spikes.values())) > 0
    for pop in graph.populations:
        side = diagnoses._records(graph, run, {pop.name})[pop.name]
        neurons = sorted({0, pop.size // 2, pop.size - 1})
        weights = {name: run.weight_traces[name].values for name in learning}
        carried = {p.release: {s.population for s in p.pre} for p in graph.projections if p.release is not None}
        sources = diagnoses._records(graph, run, set().union(*carried.values()))
        replay = Replay(graph, pop.name, neurons, run.spikes, run.provenance.n_steps, weights, sources)
        into = [k.name for k in graph.links if any(s.population == pop.name for s in k.edges.post)]
        assert replay.unknown == into  # what acts without spikes is not known from spikes
        if into:
            continue
        lanes = [x.ravel() for x in np.meshgrid(neurons, np.arange(run.provenance.n_steps), indexing="ij")]
        out = replay.run(side, lanes[0], lanes[1])
        assert np.array_equal(out.condition, out.spiked)
        for var, values in side.values.items():
            if var in out.stored:
                assert np.array_equal(out.stored[var], values[lanes[1], lanes[0]]), (pop.name, var)


# -- what runs, and what does not -----------------------------------------------------------------------------------


def test_a_backend_that_refuses_is_a_line() -> None:
    result = compare(circuit(), 20 * ms, ["reference", "refusing", "native"])
    assert [p.verdict for p in result.pairs] == ["NOT RUN", "E0", "NOT RUN"]
    assert (result.verdict, result.agrees) == ("NOT RUN", False)
    assert "no second population" in result.sides[1].refusal
    table = result.table()
    assert "refusing: not run: backend 'faulty' cannot run this network" in table
    assert "NOT RUN    refusing: 2 pairs not compared" in table


def test_an_engine_that_is_missing_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("x:Y", ("no_such_engine",), "pip install no-such-engine")
    monkeypatch.setitem(registry.BACKENDS, "absent", entry)
    result = compare(circuit(), 5 * ms, ["reference", "absent"])
    assert result.sides[1].refusal == "backend 'absent' is not installed: pip install no-such-engine"
    assert not result.agrees


def test_a_run_that_diverges_is_a_line() -> None:
    net = ns.Network("div", dt=0.1 * ms)
    cell = ns.Cell("dv/dt = v*v/tau", threshold="v < 0", reset="v = 0", init={"v": 1.0}, tau=1 * ms, method="euler")
    net.population("p", 2, cell)
    result = compare(net, 20 * ms, ["reference", "native"])
    assert result.sides[0].refusal.startswith("diverged: v of neuron 0 in population 'p' is no finite number")


def test_options_of_backends() -> None:
    result = compare(circuit(), 5 * ms, ["native:threads=2", ("native", {"threads": 1}), "faulty:mode=x"])
    assert [s.label for s in result.sides] == ["native:threads=2", "native:threads=1", "faulty:mode=x"]
    assert [s.options for s in result.sides] == [{"threads": 2}, {"threads": 1}, {"mode": "x"}]
    twice = compare(circuit(), 5 * ms, ["reference", "reference"])
    assert [s.label for s in twice.sides] == ["reference", "reference (2)"] and twice.verdict == "E0"


@pytest.mark.parametrize(
    ("backends", "error", "text"),
    [
        (["reference", "nativ"], UnknownNameError, "no backend 'nativ'; did you mean 'native'?"),
        (["reference", "faulty:mood=x"], ParameterError, "backend 'faulty' has no option 'mood'; did you mean 'mode'?"),
        (["reference", "faulty:mode"], ParameterError, "an option of a backend is written NAME:KEY=VALUE"),
        (["reference", "native:threads=two"], ParameterError, "threads must be a whole number, got 'two'"),
        (["reference"], ParameterError, "a comparison needs two backends or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(backends: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        compare(circuit(), 5 * ms, backends)


def test_approximate_backends_need_statistics_only() -> None:
    one, other = (compare(circuit(), 60 * ms, ["reference", name]) for name in ("delayed", "delayed:approximate=yes"))
    assert (one.verdict, one.agrees) == ("R", False)
    assert (other.verdict, other.agrees) == ("R", True)


def test_single_precision_is_compared_too() -> None:
    assert compare(circuit(), 60 * ms, ["reference", "native"], precision="single").verdict == "E0"
    result = compare(circuit(), 60 * ms, ["reference", "delayed"], precision="single")
    assert result.pairs[0].diagnosis is not None and "1 step late: delays" in result.pairs[0].diagnosis.hint


def test_distances_without_elephant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "missing", lambda: distance.INSTALL)
    result = compare(circuit(), 20 * ms, ["reference", "delayed"])
    assert all(r.distance is None for r in result.pairs[0].populations)
    assert "distance: needs Elephant: pip install 'neurosim-snn[interop]'" in result.table()


def test_van_rossum_distance() -> None:
    """Of trains of one spike each, t apart: sqrt(2 (1 - exp(-t / tau))) in Elephant's normalisation."""
    a, b = (compare(one_spike(k), 40 * ms, ["native", "reference"]).sides[0].result.spikes["s"] for k in (5, 12))
    got = distance.van_rossum(a, b)
    assert got is not None and (got.neurons, got.end) == (1, 40)
    assert got.value == pytest.approx(np.sqrt(2 * (1 - np.exp(-7 / 10))), rel=1e-12)


def one_spike(step: int) -> ns.Network:
    net = ns.Network(dt=1 * ms)
    net.population("s", 3, SpikeSource([[step] * ms, [] * ms, [] * ms]))
    return net


# -- the command, the table and the page ----------------------------------------------------------------------------

NET = """
import neurosim as ns
from neurosim.units import ms
net = ns.Network("one", dt=0.1*ms, seed=3)
cell = ns.Cell("dv/dt = (1.5 - v)/tau", threshold="v >= 1", reset="v = 0", init={"v": "index/N"}, tau=10*ms)
net.population("p", 8, cell)
"""


def call(folder: Path, *args: str) -> Result:
    path = folder / "net.py"
    path.write_text(NET, encoding="utf-8")
    return CliRunner().invoke(cli, ["compare", str(path), "-d", "20ms", *args], prog_name="neurosim")


def test_the_command(tmp_path: Path) -> None:
    done = call(tmp_path, "--set", "p.tau=12ms", "--seed", "4")
    assert done.exit_code == 0, done.output
    assert "one  8 neurons · 0.02 s · dt 0.1 ms · seed 4 · double · p.tau = 12ms" in done.stdout
    assert "E0         native – reference: identical spikes" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 and "\x1b" not in done.stdout


def test_the_command_tells_a_difference(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    done = call(tmp_path, "--backends", "reference,euler,refusing", "--json", "--report", str(page))
    assert done.exit_code == 3, done.output
    told = json.loads(done.stdout)
    pair = next(p for p in told["pairs"] if p["b"] == "euler")
    assert told["agrees"] is False and pair["first_difference"]["kind"] == "model"
    assert "method='euler'" in pair["first_difference"]["hint"]
    assert pair["first_difference"]["threshold"]["text"] == "v >= 1"
    assert told["files"] == {"report": str(page)} and page.stat().st_size < 5e6
    assert call(tmp_path, "--backends", "reference,refusing", "-q").stdout == ""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--backends", "native"], "error: --backends native: name at least two"),
        (["--backends", "native,natve"], "error: no backend 'natve'; did you mean 'native'?"),
        (["--report", "nowhere/out.html"], "error: cannot write 'nowhere/out.html': its directory does not exist"),
    ],
)
def test_mistakes_of_the_command(tmp_path: Path, args: list[str], text: str) -> None:
    done = call(tmp_path, *args)
    assert done.exit_code in (2, 3) and done.stdout == "" and text in done.stderr


def test_the_table_fits_80_columns() -> None:
    result = compare(circuit(), 60 * ms, ["reference", "delayed", "native"])
    table = result.table()
    assert max(map(len, table.splitlines())) <= 80
    row = next(line.split() for line in table.splitlines() if line.startswith("p "))
    counts = result.pairs[0].populations[1].spikes
    assert row[1:4] == [str(counts.common), str(counts.only_a), str(counts.only_b)]
    assert "states part first after step 35, in 'exc.x'" in table


def test_the_page_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = circuit()
    net.name = "a <b> & c"
    result = compare(net, 60 * ms, ["reference", "native", "delayed", "refusing"])
    result.save_report(tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "a &lt;b&gt; &amp; c" in page and "a <b>" not in page
    assert not re.search(r"""(?:src|href)=["'](?!\#|data:)""", page)  # nothing is fetched
    assert "prefers-color-scheme: dark" in page and "#010203" not in page
    assert page.count("<section") == 3 and page.count("<svg") == 2 * (1 + 3 + 3)
    assert page.count('<th class="a" scope="col">reference</th>') >= 3  # a side is named, not only coloured
    assert {f"#{i}" for i in re.findall(r'<section id="(\w+)"', page)} == set(re.findall(r'<a href="(#\w+)"', page))
    assert result.pairs[1].diagnosis is not None and result.pairs[1].diagnosis.hint.split(":")[0] in page
    assert len(page) < 5e6
    monkeypatch.setattr("neurosim.report.comparison.MOST_BYTES", 300_000)
    result.save_report(tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert len(page) < 300_000 and "left out, so that the page stays small" in page

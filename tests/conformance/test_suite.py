"""The suite itself: it finds backends that are wrong, and lists that are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from neurosim import registry
from neurosim.backends.base import Engine, Options
from neurosim.backends.reference_backend import ReferenceBackend
from neurosim.conformance import judge, oracles, plugin
from neurosim.conformance.cases import BY_NAME
from neurosim.conformance.judge import Found, Target
from neurosim.conformance.unsupported import Entry, excuse, read_unsupported, write_refused
from neurosim.errors import ParameterError
from neurosim.ir.graph import Graph
from neurosim.ir.random import Draws, poisson_thresholds


class Faulty(ReferenceBackend):
    """The reference with something changed in the graph, or in the engine."""

    name = "faulty"
    graph: Callable[[Graph], Graph] = staticmethod(lambda graph: graph)  # type: ignore[assignment]
    drained: Callable[[Any], Any] = staticmethod(lambda drained: drained)  # type: ignore[assignment]

    def build(self, graph: Graph, options: Options) -> Engine:
        engine = super().build(self.graph(graph), options)
        drain, change = engine.drain, self.drained
        engine.drain = lambda: change(drain())  # type: ignore[method-assign]
        return engine


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    entry = registry.Entry(f"{__name__}:Faulty")
    monkeypatch.setitem(registry.BACKENDS, "faulty", entry)
    monkeypatch.setattr(registry, "_resolve", _resolving(registry._resolve))
    return Target("faulty")


def _resolving(resolve: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda name: Faulty if name == f"{__name__}:Faulty" else resolve(name)


def run(case: str, target: Target) -> Found:
    return judge.run_case(BY_NAME[case], target)


# -- what it sees -----------------------------------------------------------------------------------------------------


def test_a_backend_that_does_the_same_passes(target: Target) -> None:
    for case in ("stamp", "lif_drives", "illegal_delay"):
        found = run(case, target)
        assert found.status == "agrees" and found.reached == ("raises" if case == "illegal_delay" else "bits")
    assert judge.run_construct("parts and unions of populations", target).reached == "bits"
    assert judge.run_random(0, target).reached == "bits"


def test_another_seed_is_seen(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, "graph", staticmethod(lambda graph: replace(graph, seed=graph.seed ^ 1)))
    for case in ("poisson_source", "poisson_input", "drawn_connectivity", "noise"):
        assert run(case, target).status == "differs", case
    assert run("lif_drives", target).status == "agrees"
    assert judge.run_construct("noise currents: white, Ornstein-Uhlenbeck", target).status == "differs"
    assert judge.run_random(0, target).status == "differs"


def test_a_stamp_one_step_late_is_seen(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(drained: Any) -> Any:
        shifted = {name: (steps + 1, ids) for name, (steps, ids) in drained.spikes.items()}
        return replace(drained, spikes={name: (s[s < 900], i[s < 900]) for name, (s, i) in shifted.items()})

    monkeypatch.setattr(Faulty, "drained", staticmethod(late))
    for case in ("lif_interval", "lif_drives", "lif_network", "nir_lif"):
        assert run(case, target).status == "differs", case


def test_one_bit_of_a_value_is_seen_unless_arithmetic_is_the_engines_own(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudged(drained: Any) -> Any:
        return replace(drained, samples=[s and (s[0], np.nextafter(s[1], 1.0)) for s in drained.samples])

    monkeypatch.setattr(Faulty, "drained", staticmethod(nudged))
    found = run("lif_drives", target)
    assert found.status == "differs" and "the spikes are the reference's, but not v of 'p'" in found.message
    assert run("lif_drives", replace(target, own_arithmetic=True)) == Found("agrees", "E0")
    assert judge.run_random(0, target).status == "differs"


def test_more_than_rounding_is_seen_in_any_arithmetic(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(drained: Any) -> Any:
        return replace(drained, samples=[s and (s[0], s[1] * (1 + 1e-7)) for s in drained.samples])

    monkeypatch.setattr(Faulty, "drained", staticmethod(moved))
    own = replace(target, own_arithmetic=True)
    assert judge.run_construct("linear cells, integrated exactly", own).status == "differs"
    assert run("lif_drives", own).error is not None


def test_spikes_that_differ_without_a_tie_are_seen_in_any_arithmetic(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(drained: Any) -> Any:
        return replace(drained, spikes={name: (s[s != 110], i[s != 110]) for name, (s, i) in drained.spikes.items()})

    monkeypatch.setattr(Faulty, "drained", staticmethod(lost))
    found = judge.run_construct("linear cells, integrated exactly", replace(target, own_arithmetic=True))
    assert found.status == "differs" and "no tie" in found.message


def test_statistics_are_judged_in_class_r(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(BY_NAME["poisson_source"], tolerance="R", check=lambda result: None, name="in_class_r")
    case = replace(case, duration=case.duration * 20)
    monkeypatch.setattr(Faulty, "graph", staticmethod(lambda graph: replace(graph, seed=graph.seed ^ 1)))
    assert judge.run_case(case, target) == Found("agrees", "R")

    def halved(drained: Any) -> Any:
        return replace(drained, spikes={name: (s[::2], i[::2]) for name, (s, i) in drained.spikes.items()})

    monkeypatch.setattr(Faulty, "drained", staticmethod(halved))
    assert "rate of 'one'" in judge.run_case(case, target).message


def test_an_error_that_does_not_come_is_seen(target: Target) -> None:
    case = replace(BY_NAME["illegal_delay"], build=BY_NAME["lif_drives"].build)
    assert "the network has run" in judge.run_case(case, target).message
    case = replace(BY_NAME["illegal_delay"], refusal=(ParameterError, ("furlongs",)))
    assert "does not say 'furlongs'" in judge.run_case(case, target).message


def test_refusals(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, "unsupported", lambda self, graph: [("networks", None)])
    found = run("stamp", target)
    assert found.status == "refused"
    case = BY_NAME["stamp"]
    assert 'cases = ["stamp"]\nbackend = "faulty"' in judge.verdict(case, target, found, None)
    assert judge.verdict(case, target, found, Entry("no such construct", "none")) == ""
    assert judge.run_construct("parts and unions of populations", target).status == "refused"
    assert judge.run_random(0, target).status == "refused"


def test_verdicts(target: Target) -> None:
    case, entry = BY_NAME["stamp"], Entry("no such construct", "none")
    passed, differs = Found("agrees", "bits"), Found("differs", message="step 3")
    assert judge.verdict(case, target, passed, None) == ""
    assert "take it out" in judge.verdict(case, target, passed, entry)
    assert "step 3" in judge.verdict(case, target, differs, None)
    assert "has to refuse it" in judge.verdict(case, target, differs, entry)
    assert judge.verdict(case, target, differs, Entry("other semantics", "it does")) == ""


# -- the list ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[unsupported]]\ncases = ["stamp"]\nbackend = "b"\nreason = "not written"', "entry 1 of .* needs"),
        ('[[unsupported]]\ncases = ["stmp"]\nbackend = "b"\nreason = "not written"\nnote = "n"', "mean 'stamp'"),
        ('[[unsupported]]\ncases = ["stamp"]\nbackend = "b"\nreason = "bad"\nnote = "n"', "not 'bad'"),
        ('[[unsupported]]\ncases = "stamp"\nbackend = "b"\nreason = "not written"\nnote = "n"', "a list of names"),
        ('[[unsupported]]\ncases = ["stamp"]\nbackend = "b"\nreason = "not written"\nnote = " "', "a sentence"),
        ('[[unsupported]]\ncases = ["stamp", "stamp"]\nbackend = "b"\nreason = "not written"\nnote = "n"', "twice"),
        ("[[cases]]\nx = 1", r"called \[\[unsupported\]\]"),
        ("[[", "cannot be read"),
    ],
)
def test_a_list_that_is_wrong(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "u.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=complaint):
        read_unsupported(path)


def test_the_list_to_start_from_is_one(tmp_path: Path) -> None:
    path = tmp_path / "u.toml"
    said = "backend 'b' cannot run this network: no connections ('x' \\) (and 2 more); run it with backend='native'"
    write_refused(path, [("stamp", "b", said), ("arrival", "b", said), ("reset", "b", 'no "words"')])
    found = read_unsupported(path)
    assert found["arrival", "b"] == found["stamp", "b"] == Entry("not written", "no connections")
    assert found["reset", "b"].note == 'no "words"'
    assert excuse(found, "stamp", "b", "b:mode=x") and not excuse(found, "stamp", "c", "c")


# -- the plugin's options ---------------------------------------------------------------------------------------------


class Config:
    def __init__(self, **options: Any) -> None:
        self.options = {f"--neurosim-{key.replace('_', '-')}": value for key, value in options.items()}

    def getoption(self, name: str) -> Any:
        return self.options.get(name)


def targets(**options: Any) -> list[Target]:
    return plugin.targets(cast(pytest.Config, Config(**options)))


def test_options_of_the_plugin() -> None:
    assert targets(backend=["native", "reference"], own_arithmetic=False) == [Target("native"), Target("reference")]
    (one,) = targets(backend=["native"], backend_option=["mode=a=b", "k="], own_arithmetic=True)
    assert one == Target("native", {"mode": "a=b", "k": ""}, True) and one.label == "native:mode=a=b:k="
    for options, complaint in (
        ({}, "--neurosim-backend NAME"),
        ({"backend": ["ntive"]}, "did you mean 'native'"),
        ({"backend": ["native"], "backend_option": ["mode"]}, "KEY=VALUE, not 'mode'"),
    ):
        with pytest.raises(pytest.UsageError, match=complaint):
            targets(**options)


# -- the oracles, beside the code that they stand against ------------------------------------------------------------


def test_words_and_tables_of_the_oracles() -> None:
    stream, step = "p/noise.count", 2**33 + 5
    assert np.array_equal(oracles.words(11, stream, 70, step), Draws(11, stream).words(0, 70, step))
    for mean in (0.25, 1.5, 30.0):
        ours = np.array(oracles.poisson_table(oracles.Decimal(str(mean))))
        theirs = np.asarray(poisson_thresholds(mean), dtype=np.int64)
        n = min(len(ours), len(theirs))
        assert n > 3 and np.array_equal(ours[:n], theirs[:n])


def test_closed_forms_of_the_oracles() -> None:
    t = np.arange(1, 400) * 0.1
    for psp in (oracles.exp_psp, oracles.alpha_psp):
        near, at = psp(t, 20.0, 20.0 * (1 + 1e-6)), psp(t, 20.0, 20.0)
        np.testing.assert_allclose(near, at, rtol=1e-4)
    when, height = oracles.exp_psp_peak(20.0, 5.0)
    fine = np.linspace(when - 0.01, when + 0.01, 201)
    assert abs(oracles.exp_psp(fine, 20.0, 5.0).max() - height) < 1e-12
    spikes, path = oracles.lif(1000, 0.1, lambda n: 30.0, {})
    assert spikes[0] == oracles.climb(-70, -40, -50, 20, 0.1) - 1 and path[-1] > -60.1

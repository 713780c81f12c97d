"""Comparing backends on a network that learns: what arrives is learned weights, and the first wrong one is named."""

from __future__ import annotations

import dataclasses

import pytest

import neurosim as ns
from neurosim import registry
from neurosim.backends.base import Engine, Options
from neurosim.backends.reference_backend import ReferenceBackend
from neurosim.comparison import compare
from neurosim.comparison import diagnosis as diagnoses
from neurosim.ir.graph import Graph
from neurosim.models import LIF, ExpCurrent, PairSTDP, PoissonSource
from neurosim.units import Hz, ms, mV


class Timid(ReferenceBackend):
    """The reference, learning by nine tenths of what it should."""

    name = "timid"

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build it with another rate."""
        changed = []
        for p in graph.projections:
            if p.plasticity is not None:
                params = {k: 0.9 * v if k.startswith("postc") else v for k, v in p.plasticity.params.items()}
                assert params != p.plasticity.params
                p = dataclasses.replace(p, plasticity=dataclasses.replace(p.plasticity, params=params))
            changed.append(p)
        return super().build(dataclasses.replace(graph, projections=tuple(changed)), options)


def circuit() -> ns.Network:
    net = ns.Network("learning", dt=0.1 * ms, seed=3)
    a = net.population("a", 50, PoissonSource(100 * Hz))
    b = net.population("b", 10, LIF(t_ref=1 * ms, receptors={"e": ExpCurrent(tau=3 * ms)}))
    net.connect(a, b, weight=ns.uniform(0 * mV, 8 * mV), delay=ns.uniform(0.5 * ms, 2 * ms), name="ab",
                plasticity=PairSTDP(w_max=9 * mV, rate=0.1))  # fmt: skip
    net.record([a, b], "spikes")
    return net


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKENDS, "timid", registry.Entry(f"{__name__}:Timid", summary="planted"))


def test_engines_that_learn_the_same_are_identical() -> None:
    pair = compare(circuit(), 100 * ms, ["reference", "native"]).pairs[0]
    assert pair.verdict == "E0" and pair.diagnosis is None


def test_the_first_wrong_weight_is_named() -> None:
    pair = compare(circuit(), 400 * ms, ["reference", "timid"]).pairs[0]
    assert pair.verdict == "DIFFERENT" and pair.diagnosis is not None
    notes = [n for n in pair.diagnosis.notes if "weights of 'ab' differ from step" in n]
    assert len(notes) == 1 and notes[0].endswith(" V")
    # the reference follows its program with the weights that it had
    found = pair.diagnosis.findings[0]
    assert found is not None and found.follows


def test_weights_too_many_to_follow_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnoses, "MOST_VALUES", 1000)
    pair = compare(circuit(), 400 * ms, ["reference", "timid"]).pairs[0]
    assert pair.diagnosis is not None and pair.diagnosis.findings == (None, None)
    assert any("'ab' change, and are too many to be followed" in n for n in pair.diagnosis.notes)


def test_learned_weights_are_compared_at_the_end() -> None:
    same = compare(circuit(), 100 * ms, ["reference", "native"]).pairs[0]
    (row,) = same.traces
    assert (row.target, row.variable, row.largest, row.edge) == ("ab", "learned weight", 0.0, True)
    assert "learned weight of 'ab': the same bits" in same.measures()
    other = compare(circuit(), 100 * ms, ["reference", "timid"]).pairs[0]
    (row,) = other.traces
    results = [side.result.weights("ab") for side in (other.a, other.b)]
    assert row.largest == abs(results[0] - results[1]).max() > 1e-5
    assert abs(results[0] - results[1])[row.index] == row.largest and row.time == pytest.approx(0.1)

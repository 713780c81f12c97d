"""Every case on every backend; and what holds for each of them: the same network, the same spikes."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, Case, balanced

from neurosim.errors import UnsupportedError
from neurosim.registry import load_backend, missing
from neurosim.units import ms

BACKENDS = (os.environ.get("NEUROSIM_CONFORMANCE_BACKENDS") or "reference,native").split(",")
REASONS = ("no such construct", "other semantics", "not written")

with open(Path(__file__).with_name("unsupported.toml"), "rb") as _file:
    UNSUPPORTED = {(e["case"], e["backend"]): e["reason"] for e in tomllib.load(_file).get("unsupported", [])}


def run(case: Case, backend: str):
    return case.build().run(case.duration, backend=backend, **case.options)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(case, backend):
    assert missing(backend) is None, missing(backend)
    reason = UNSUPPORTED.get((case.name, backend))
    try:
        result = run(case, backend)
        case.check(result)
    except (AssertionError, UnsupportedError):
        if reason is None:
            raise
        return
    assert reason is None, f"{case.name} passes on {backend}: take it out of unsupported.toml"
    if backend == "reference":
        return
    truth = run(case, "reference")
    for name, spikes in truth.spikes.items():
        assert spikes.identical(result.spikes[name])
    for name, traces in truth.state.items():
        for variable, trace in traces.items():
            assert trace.identical(result.state[name][variable]), (name, variable)


def test_the_list_of_cases():
    names = [c.name for c in CASES]
    assert len(set(names)) == len(names)
    assert all(c.sentence.endswith((".", "...")) and c.tolerance in ("E0", "E1", "R", "Q", "T") for c in CASES)
    for (name, _), reason in UNSUPPORTED.items():
        assert name in names, f"unsupported.toml names no case '{name}'"
        assert reason in REASONS


@pytest.mark.checkout
def test_the_page_names_every_case_and_no_other():
    page = Path(__file__).resolve().parents[2] / "docs" / "semantics.md"
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\[`(\w+)`\]", text)
    assert set(named) == {c.name for c in CASES}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_network_gives_the_same_spikes_twice(backend):
    results = [balanced().run(30 * ms, backend=backend) for _ in range(2)]
    other = balanced(seed=4).run(30 * ms, backend=backend)
    truth = results[0] if backend == "reference" else balanced().run(30 * ms, backend="reference")
    for name in ("exc", "inh"):
        assert results[0].spikes[name].count > 20
        assert results[0].spikes[name].identical(results[1].spikes[name])
        assert results[0].spikes[name].identical(truth.spikes[name])
        assert not results[0].spikes[name].identical(other.spikes[name])


@pytest.mark.parametrize("backend", [b for b in BACKENDS if load_backend(b).threads])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_does_not_matter(backend, threads):
    truth = balanced().run(30 * ms, backend="reference")
    result = balanced().run(30 * ms, backend=backend, threads=threads)
    for name in ("exc", "inh"):
        assert result.spikes[name].identical(truth.spikes[name])


def test_numbers_drawn_do_not_depend_on_who_else_draws():
    """A network with one population more has the same spikes in the others."""
    small, large = balanced(), balanced()
    large.population("more", 50, large["exc"].cell)
    found = [net.run(5 * ms, backend="reference").spikes["exc"] for net in (small, large)]
    assert found[0].identical(found[1])
    assert np.all(found[0].steps < 50)

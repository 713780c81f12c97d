"""The conformance suite on our own backends, and what holds of the list of cases itself.

NEUROSIM_CONFORMANCE_BACKENDS names other backends, as in ``native,brian2:mode=cython``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from neurosim.comparison.pairs import parse_side
from neurosim.conformance.cases import BY_NAME, CASES
from neurosim.conformance.judge import Target
from neurosim.conformance.kit import SUBJECTS
from neurosim.conformance.networks import balanced
from neurosim.conformance.test_backend import test_case as test_case
from neurosim.conformance.test_backend import test_construct as test_construct
from neurosim.conformance.test_backend import test_random_network as test_random_network
from neurosim.conformance.test_backend import test_same_spikes_in_every_run as test_same_spikes_in_every_run
from neurosim.conformance.test_backend import (
    test_same_spikes_on_any_number_of_threads as test_same_spikes_on_any_number_of_threads,
)
from neurosim.conformance.test_backend import test_some_construct_runs as test_some_construct_runs
from neurosim.registry import GENERAL
from neurosim.units import ms

UNSUPPORTED = Path(__file__).with_name("unsupported.toml")
MODES = {"brian2": ("mode=numpy", "mode=cython", "mode=standalone")}
"""Backends that run in several ways; the first is the one that runs everything in the sample."""

OWN_ARITHMETIC = {"nest"}
ENGINES = {"brian2", "nest", "snntorch"}

FEW = {"lif_network", "poisson_drive", "conductance_psp", "linear cells, integrated exactly"}
"""What further modes run in the sample: each program takes them seconds to compile."""

SHOWN = {"linear cells, integrated exactly", "weights and delays per edge: distributions, arrays, expressions",
         "parts and unions of populations"}  # fmt: skip
"""Constructs that ``native`` runs in the sample; it has run what else they are made of in the cases."""


def _targets() -> list[Target]:
    ours = [f"{name}:{mode}" if mode else name for name in GENERAL for mode in MODES.get(name, ("",))]
    asked = os.environ.get("NEUROSIM_CONFORMANCE_BACKENDS")
    sides = [parse_side(text) for text in (asked.split(",") if asked else ours) if text != "null"]
    return [Target(name, dict(options), name in OWN_ARITHMETIC) for name, options in sides]


TARGETS = _targets()


def neurosim_marks(target: Target, kind: str, name: str) -> list[pytest.MarkDecorator]:
    """Name the engine that a test needs, and leave to the full tier what compiles for long."""
    marks = [pytest.mark.engine(target.backend)] if target.backend in ENGINES else []
    mode = ":".join(f"{k}={v}" for k, v in target.options.items())
    further = mode in MODES.get(target.backend, ())[1:]
    left_out = (
        (kind == "case" and BY_NAME[name].slow)
        or (further and name not in FEW)
        or (target.backend == "native" and kind == "construct" and name not in SHOWN)
        or (target.backend == "native" and kind == "random")  # tests/test_native_random.py draws them anew
    )
    return [*marks, pytest.mark.full] if left_out else marks


def test_the_list_of_cases() -> None:
    assert FEW & set(BY_NAME) == {n for n in FEW if n.isidentifier()}
    for case in CASES:
        assert case.sentence.endswith((".", "...")), case.name
        assert case.tolerance in ("E0", "E1", "R", "Q") and case.subject in SUBJECTS, case.name


@pytest.mark.checkout
def test_the_page_names_every_case_and_no_other() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "semantics.md"
    named = re.findall(r"\[`(\w+)`\]", page.read_text(encoding="utf-8"))
    assert set(named) == {c.name for c in CASES if c.subject == "semantics"}


def test_numbers_drawn_do_not_depend_on_who_else_draws() -> None:
    """A network with one population more has the same spikes in the others."""
    small, large = balanced(), balanced()
    large.population("more", 50, large["exc"].cell)
    found = [net.run(5 * ms, backend="reference").spikes["exc"] for net in (small, large)]
    assert found[0].identical(found[1])
    assert np.all(found[0].steps < 50)

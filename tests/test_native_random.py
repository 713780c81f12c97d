"""The compiled engine against the reference on random networks: spikes, samples and states, bit for bit."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import neurosim.conformance.random_networks as rn

FULL = os.environ.get("NEUROSIM_FULL", "") not in ("", "0")


class Drawn:
    """A chooser whose numbers hypothesis draws, so that it can shrink what it finds."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return int(self.data.draw(st.integers(low, high)))


# A program takes seconds to compile, one that learns more than five: six and five families in the sample, which is the
# same on every run.
@pytest.mark.parametrize("number", range(rn.ALL if FULL else len(rn.FAMILIES)))
@given(seed=st.none() | st.integers(0, 2**32), data=st.data())
@settings(max_examples=13 if FULL else 5, suppress_health_check=list(HealthCheck), print_blob=True)
def test_native_is_the_reference(number: int, seed: int | None, data: Any) -> None:
    network = rn.draw(Drawn(data) if seed is None else rn.Seeded(seed), rn.family(number))
    sizes, rules = [p.size for p in network.graph.populations], [p.rule.describe() for p in network.graph.projections]
    note(f"{sizes} neurons, threads {network.threads}, {network.stretches}, {rules}")
    problem, _ = rn.check(network)
    assert not problem, problem


@pytest.mark.parametrize("number", range(rn.ALL_PLASTIC if FULL else len(rn.PLASTIC)))
@given(seed=st.none() | st.integers(0, 2**32), data=st.data())
@settings(max_examples=20 if FULL else 3, suppress_health_check=list(HealthCheck), print_blob=True)
def test_native_learns_as_the_reference(number: int, seed: int | None, data: Any) -> None:
    network = rn.draw(Drawn(data) if seed is None else rn.Seeded(seed), rn.plastic_family(number))
    note(f"{[p.size for p in network.graph.populations]} neurons, threads {network.threads}, {network.stretches}")
    problem, _ = rn.check(network)
    assert not problem, problem

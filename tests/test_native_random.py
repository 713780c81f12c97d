"""The compiled engine against the reference on random networks: spikes, samples and states, bit for bit."""

from __future__ import annotations

from typing import Any

import random_networks as rn
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st


class Drawn:
    """A chooser whose numbers hypothesis draws, so that it can shrink what it finds."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return int(self.data.draw(st.integers(low, high)))


@given(data=st.data())
@settings(suppress_health_check=list(HealthCheck), print_blob=True)
def test_native_is_the_reference(data: Any, full: bool) -> None:
    # a program takes seconds to compile: six families in the sample, which is the same on every run
    number = data.draw(st.integers(0, rn.ALL - 1 if full else len(rn.FAMILIES) - 1))
    case = rn.draw(Drawn(data), rn.family(number))
    note(
        f"family {number}: {[p.size for p in case.graph.populations]} neurons, "
        f"{[p.rule.describe() for p in case.graph.projections]}"
    )
    problem, _ = rn.check(case)
    assert not problem, problem

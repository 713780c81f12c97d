"""The conformance suite: every case, construct and random network on a backend (pytest --pyargs neurosim.conformance).

:mod:`neurosim.conformance.plugin` says which backends, and hands each test its target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from neurosim.compile import compile_network
from neurosim.conformance import judge
from neurosim.conformance.constructs import CONSTRUCTS, OPTIONS
from neurosim.conformance.judge import Found, Target
from neurosim.conformance.kit import Case
from neurosim.conformance.networks import balanced
from neurosim.conformance.plugin import LISTED, REFUSED
from neurosim.conformance.unsupported import Unsupported, excuse
from neurosim.errors import UnsupportedError
from neurosim.registry import load_backend
from neurosim.units import ms


def test_case(
    neurosim_target: Target,
    neurosim_case: Case,
    neurosim_unsupported: Unsupported,
    record_property: Callable[[str, object], None],
) -> None:
    """The sentence holds, and the reference does the same, or the list says why not."""
    entry = excuse(neurosim_unsupported, neurosim_case.name, neurosim_target.backend, neurosim_target.label)
    found = judge.run_case(neurosim_case, neurosim_target)
    if found.status == "refused" and entry is None:
        record_property(LISTED, [neurosim_case.name, neurosim_target.backend, found.message])
    problem = judge.verdict(neurosim_case, neurosim_target, found, entry)
    if problem and found.error is not None:
        raise AssertionError(problem) from found.error
    if problem:
        pytest.fail(problem, pytrace=False)


def test_construct(neurosim_target: Target, neurosim_construct: str) -> None:
    """The network of a construct does the same as on the reference, or is refused before anything runs."""
    _agrees(judge.run_construct(neurosim_construct, neurosim_target))


def test_random_network(neurosim_target: Target, neurosim_random: int) -> None:
    """A random network does the same as on the reference, or is refused before anything runs."""
    _agrees(judge.run_random(neurosim_random, neurosim_target))


def _agrees(found: Found) -> None:
    if found.status == "refused":
        pytest.skip(REFUSED + found.message)
    assert found.status == "agrees", found.message


def test_some_construct_runs(neurosim_target: Target) -> None:
    """A backend that refuses everything passes nothing."""
    backend = load_backend(neurosim_target.backend)
    graphs = [compile_network(build(), **OPTIONS.get(name, {})) for name, build in CONSTRUCTS.items()]
    assert any(not backend.unsupported(graph) for graph in graphs), f"{neurosim_target.label} refuses every construct"


def test_same_spikes_in_every_run(neurosim_target: Target) -> None:
    """The same network and seed give the same spikes, another seed gives others."""
    first, second = (_balanced(neurosim_target, seed=3) for _ in range(2))
    truth, other = balanced(seed=3).run(30 * ms, backend="reference"), _balanced(neurosim_target, seed=4)
    for name in ("exc", "inh"):
        assert first.spikes[name].count > 20
        assert first.spikes[name].identical(second.spikes[name])
        assert first.spikes[name].identical(truth.spikes[name])
        assert not first.spikes[name].identical(other.spikes[name])


def test_same_spikes_on_any_number_of_threads(neurosim_target: Target) -> None:
    """The number of threads does not matter."""
    if not load_backend(neurosim_target.backend).threads:
        with pytest.raises(UnsupportedError):
            _balanced(neurosim_target, catch=False, threads=2)
        return
    truth = balanced().run(30 * ms, backend="reference")
    for threads in (1, 2, 3):
        result = _balanced(neurosim_target, threads=threads)
        for name in ("exc", "inh"):
            assert result.spikes[name].identical(truth.spikes[name]), f"{threads} threads"


def _balanced(target: Target, catch: bool = True, seed: int = 3, **options: Any) -> Any:
    """Run the balanced network; the test ends here where the backend refuses it."""
    try:
        return balanced(seed=seed).run(30 * ms, backend=target.backend, **target.options, **options)
    except UnsupportedError as e:
        if not catch:
            raise
        pytest.skip(REFUSED + str(e))

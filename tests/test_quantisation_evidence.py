"""The evidence about integers judges every network there is, and sees what a relative change does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import neurosim as ns
from neurosim.models import LIF
from neurosim.registry import NETWORKS
from neurosim.units import ms, mV

pytestmark = pytest.mark.checkout


@pytest.fixture(name="part")
def _part(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_quantisation", root / "tests" / "evidence" / "quantisation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_network_and_every_example_is_judged(part: ModuleType) -> None:
    assert set(part.LIBRARY) == set(NETWORKS)
    assert part.numbers() == [f"{k + 1:02}" for k in range(len(part.numbers()))]
    assert set(part.EXAMPLES) <= set(part.numbers())


@pytest.mark.shared_data("mnist/mnist.npz")
def test_the_digits_are_refused_for_what_they_are(part: ModuleType) -> None:
    """Not for data that it lacks, or arguments that the example does not have."""
    for found in (part.of_library("diehl_cook"), part.of_example("26")):
        assert not found["quantised"]
        assert len(found["refused"]) >= 4 and all(why.startswith("no ") for why in found["refused"])
        assert any("learning rule of projection 'features'" in why for why in found["refused"])


def test_a_population_that_wakes_up_is_named(part: ModuleType) -> None:
    net = ns.Network("silent", dt=1 * ms)
    net.population("p", 2, LIF(tau_m=20 * ms, v_rest=14.999 * mV, v_reset=0 * mV, v_th=15 * mV))
    found = part.judged(net, 400 * ms)
    assert found["spikes"]["native"] == 0 < found["spikes"]["loihi2"]
    assert found["woken"] == ["p"] and part.said(found).endswith("; no longer silent: p")

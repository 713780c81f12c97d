"""The examples: each runs for a short time and returns the numbers that its docstring promises."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from neurosim.units import ms

pytestmark = pytest.mark.checkout
FOLDER = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = {p.stem[:2]: p for p in sorted(FOLDER.glob("*.py"))}


def main(number: str, **arguments: Any) -> Any:
    """Run an example's main()."""
    path = SCRIPTS[number]
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        return module.main(**arguments)
    finally:
        del sys.modules[spec.name]


def test_numbers_run_from_one_and_each_is_tested() -> None:
    assert list(SCRIPTS) == [f"{k + 1:02}" for k in range(len(SCRIPTS))] and len(SCRIPTS) == 9
    for path in SCRIPTS.values():
        text = path.read_text(encoding="utf-8")
        assert "def main(" in text and len(text.splitlines()) <= 70, path.name
        assert f'main("{path.stem[:2]}"' in Path(__file__).read_text(encoding="utf-8")


def test_one_neuron() -> None:
    found = main("01", duration=200 * ms, backend="reference")
    assert found["rate_hz"] == pytest.approx(63, rel=0.005)
    assert 0 <= found["interval_ms"] - found["closed_form_ms"] < 0.1  # a spike falls on the grid


def test_cuba() -> None:
    found = main("02")
    assert found["exc_hz"] == pytest.approx(5.5, rel=0.1) and found["inh_hz"] == pytest.approx(5.5, rel=0.1)
    assert found["cv"] == pytest.approx(0.5, abs=0.08)
    assert found["same_as_library"] == 1


def test_coba() -> None:
    found = main("03")
    assert found["exc_hz"] == pytest.approx(21, rel=0.1) and found["inh_hz"] == pytest.approx(21, rel=0.1)
    assert found["lowest_mv"] > -80  # the reversal potential of inhibition


def test_brunel_regimes(full: bool) -> None:
    found = main("04") if full else main("04", duration=400 * ms, regimes=("SR", "AI"))
    assert found["SR"]["rate_hz"] > 300 and found["SR"]["cv"] < 0.05
    assert found["AI"]["rate_hz"] == pytest.approx(37.7, rel=0.05) and found["AI"]["cv"] > 0.3
    if full:
        assert found["SI_fast"]["rate_hz"] == pytest.approx(60.7, rel=0.05) and found["SI_fast"]["cv"] > 0.3
        assert found["SI_slow"]["rate_hz"] < 10


def test_microcircuit() -> None:
    found = main("05")
    for name, rate in found["published"].items():
        assert found["rates"][name] == pytest.approx(rate, rel=0.2), name
    lowest = sorted(found["rates"], key=found["rates"].__getitem__)[:2]
    assert set(lowest) == {"L23E", "L6E"}


def test_own_cell() -> None:
    found = main("06", duration=300 * ms)
    assert found["found_hz"] == pytest.approx(found["expected_hz"], rel=0.005)
    assert found["expected_hz"][1] == pytest.approx(32.0, abs=0.05)


def test_stimuli() -> None:
    found = main("07")
    assert found["peak_hz"] == 8.0
    assert found["power_with_rhythm"] > 20 * found["power_without"]
    assert found["after_step_hz"] > 5 * found["before_step_hz"]


def test_distance_dependent() -> None:
    found = main("08", backend="reference")
    assert found["at_200um_ms"] < found["at_400um_ms"]
    assert found["speed_mm_per_ms"] == pytest.approx(0.33, abs=0.05)
    assert found["fired"] == 1 and found["spikes_per_cell"] == 1


def test_same_spikes() -> None:
    found = main("09")
    assert found.pop("spikes") > 100
    assert found == {"one_thread": 1, "two_threads": 1, "file": 1}

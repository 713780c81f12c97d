"""Planted faults: every one of them still fits the source, and planting, running and judging do what they say."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from mutants import BY_NAME, MUTANTS
from mutants.comparing import NETWORKS, SHOWN
from mutants.kit import Mutant, MutantError, installed, mutated
from mutants.running import Workshop, judged, run_suite

from neurosim.conformance.cases import BY_NAME as CASES
from neurosim.conformance.constructs import CONSTRUCTS

pytestmark = pytest.mark.checkout

ENGINES = ("reference", "native", "brian2", "nest")
TESTS = ("test_same_spikes_in_every_run", "test_same_spikes_on_any_number_of_threads", "test_some_construct_runs")


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_fits_the_source(name: str, root: Path) -> None:
    mutant = BY_NAME[name]
    text = mutated(mutant, root)
    assert text != (root / mutant.file).read_text(encoding="utf-8")
    assert mutant.breaks.endswith(".") and len(mutant.breaks) < 120


def test_the_list_of_mutants() -> None:
    assert len(MUTANTS) == len(BY_NAME) >= 40
    counts = Counter(m.target.split(":")[0] for m in MUTANTS if not m.equivalent)
    assert set(counts) == set(ENGINES) and min(counts.values()) >= 10
    for mutant in MUTANTS:
        for hint in mutant.first:
            assert hint in CASES or hint in CONSTRUCTS or hint in TESTS or hint.isdigit(), f"{mutant.name}: {hint}"


def test_what_is_compared_exists() -> None:
    assert len({s.mutant for s in SHOWN}) == len(SHOWN) >= 10
    assert all(s.mutant in BY_NAME and s.network in NETWORKS for s in SHOWN)


def test_a_mutant_that_no_longer_fits_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "a.py").write_text("x = 1\ny = 1\n", encoding="utf-8")
    good = Mutant("m", "It breaks.", "backends/a.py", "= 1", "= 2", "native", count=2, occurrence=2)
    assert mutated(good, tmp_path) == "x = 1\ny = 2\n"
    assert installed(good.file) == "neurosim/backends/a.py" and installed("neurosim/run.py") == "neurosim/run.py"
    for change, says in (
        ({"count": 1, "occurrence": 1}, "stands 2 times"),
        ({"old": "= 3"}, "stands 0 times"),
        ({"occurrence": 3}, "occurrence 3 of 2"),
        ({"file": "backends/b.py"}, "no file backends/b.py"),
        ({"new": "= 1"}, "changes nothing"),
        ({"new": "=  1"}, "nothing but the look"),
        ({"new": "= ("}, "unreadable"),
        ({"more": (("z", "w"),)}, "stands 0 times"),
    ):
        with pytest.raises(MutantError, match=says):
            mutated(dataclasses.replace(good, **change), tmp_path)  # type: ignore[arg-type]


def test_one_mutant_from_end_to_end(root: Path, tmp_path: Path) -> None:
    workshop = Workshop(root, tmp_path)
    mutant = BY_NAME["reference_delay_longer"]
    passing = workshop.baseline("reference", ["arrival", "stamp"])
    assert sorted(passing) == ["test_case[arrival-reference]", "test_case[stamp-reference]"]
    row = workshop.run(mutant, passing)
    assert (row["killed_by"], row["test"], row["tests_run"]) == ("arrival", "test_case[arrival-reference]", 1)
    assert "A spike of step n" in row["how"] and judged(mutant, row) == ""
    assert "is declared equivalent" in judged(dataclasses.replace(mutant, equivalent="It is not."), row)
    harmless = dataclasses.replace(mutant, name="harmless", old="Interprets programs.", new="Reads programs.")
    row = workshop.run(harmless, passing)
    assert (row["test"], row["tests_run"]) == ("", 2)
    assert judged(harmless, row).startswith("harmless survives 2 tests")
    with pytest.raises(MutantError, match="were not those of the tree"):
        run_suite(tmp_path / "baseline", "null", tmp_path / "elsewhere", tmp_path / "cache")


def test_a_hang_and_a_crash_are_seen(root: Path, tmp_path: Path) -> None:
    from mutants import running

    workshop = Workshop(root, tmp_path)
    passing = workshop.baseline("reference", ["stamp"])
    line = "            self.n += 1\n"
    file = "backends/reference_backend/__init__.py"
    crash = Mutant("crash", "It dies.", file, line, "            import os; os._exit(3)\n", "reference")
    row = workshop.run(crash, passing)
    assert row["killed_by"] == "stamp" and row["how"] == "the process ended with status 3"
    hang = dataclasses.replace(crash, name="hang", new="            while True: pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "LEAST", 2.0)
        patch.setattr(running, "TIMES", 1.0)
        row = workshop.run(hang, passing)
    assert row["killed_by"] == "stamp" and row["how"].startswith("hangs: no end after")

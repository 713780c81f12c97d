"""A little of what ``scripts/evidence fuzz`` does for an hour, and a look at whether it would find a fault."""

from __future__ import annotations

import pytest
from fuzz import files, texts
from fuzz.pool import tried

SAMPLE = {"equations": 60, "settings": 100, "results": 8, "sonata": 8, "networks": 40}
FULL = dict.fromkeys([*texts.TARGETS, *files.KINDS], 60) | {"equations": 2000, "cells": 400, "settings": 2000}


@pytest.mark.parametrize("target", SAMPLE)
def test_hostile_input_is_accepted_or_refused(target: str) -> None:
    _clean(target, SAMPLE[target])


@pytest.mark.full
@pytest.mark.parametrize("target", FULL)
def test_much_hostile_input_is_accepted_or_refused(target: str) -> None:
    _clean(target, FULL[target])


def _clean(target: str, count: int) -> None:
    out = tried(target, count=count, seconds=600.0)
    assert out.count == count
    assert out.findings == {}
    assert out.refused and (out.accepted or count < 50)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("code", "did what an input may not: compile "),
        ("file", "did what an input may not: open '../elsewhere'"),
        ("link", "opened a file that a link led to"),
        ("error", "ZeroDivisionError: a reader's own"),
        ("memory", "took 1.1 GiB of memory"),
        ("crash", "the interpreter died (SIGABRT)"),
        ("hang", "did not come back within 2 s"),
    ],
)
def test_a_fault_of_a_reader_is_found(fault: str, said: str) -> None:
    out = tried(f"planted-{fault}", count=1, seconds=60.0)
    assert (out.count, len(out.findings)) == (1, 1)
    (finding,) = out.findings.values()
    assert finding["what"].startswith(said)


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("results", 1191), ("results", 100002312), ("checkpoints", 868), ("sonata", 1186), ("sonata", 771),
        ("sonata", 200001204), ("nir", 320),
    ],
)  # fmt: skip
def test_what_was_found_once_is_refused(target: str, number: int) -> None:
    """Times that are no numbers, a size of gigabytes, an empty magic number, a node beyond 64 bits, a number for the
    population of a node set, text for a bias."""
    out = tried(target, number, count=1, seconds=120.0)
    assert (out.count, out.findings) == (1, {})

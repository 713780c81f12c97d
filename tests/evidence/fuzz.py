"""An hour of hostile input: equations, settings, and every kind of file that is read.

Run with ``scripts/evidence fuzz``; ``tests/fuzz`` says what is tried, and what is a finding.
"""

from __future__ import annotations

from typing import Any

SOURCES = [
    "neurosim/lang/parser.py", "neurosim/lang/components.py", "neurosim/lang/scope.py", "neurosim/passes/*.py",
    "neurosim/units/*.py", "neurosim/cli/load.py", "neurosim/recording/*.py", "neurosim/report/run.py",
    "neurosim/sweep/*.py", "neurosim/interchange/nir/*.py", "neurosim/interchange/sonata/*.py",
    "neurosim/pynn/connectors.py", "neurosim/saving/*.py", "neurosim/lang/network.py", "neurosim/lang/connect.py",
    "models/layers/files.py", "tests/fuzz/*.py",
]  # fmt: skip

MINUTES = {"equations": 7, "cells": 7, "quantities": 2, "settings": 3, "results": 6, "checkpoints": 5, "networks": 10,
           "sweeps": 4, "sonata": 7, "nir": 5, "pynn": 2, "safetensors": 2}  # fmt: skip
"""Sixty in all."""

STEP = 3
"""Minutes after which what was found is kept, so that an interrupted run goes on from there."""


def run(log: Any) -> dict[str, Any]:
    """Try inputs of all targets; a step begins at a number of its own, so that no two try the same."""
    from fuzz.pool import tried

    def step(target: str, k: int, minutes: int) -> dict[str, Any]:
        out = tried(target, k * 10**8, seconds=60.0 * minutes)
        return {"inputs": out.count, "accepted": out.accepted, "refused": out.refused, "unmade": out.unmade,
                "findings": out.findings}  # fmt: skip

    results: dict[str, Any] = {}
    for target, minutes in MINUTES.items():
        total = {"minutes": minutes, "inputs": 0, "accepted": 0, "refused": 0, "unmade": 0, "findings": {}}
        for k in range(-(-minutes // STEP)):
            some = min(STEP, minutes - k * STEP)
            found = log.step(f"{target} {k}", lambda t=target, k=k, m=some: step(t, k, m))
            for key in ("inputs", "accepted", "refused", "unmade"):
                total[key] += found[key]
            total["findings"] |= found["findings"]
        log(f"{target}: {total['inputs']:,} inputs, {total['accepted']:,} accepted, {total['refused']:,} refused, "
            f"{len(total['findings'])} findings")  # fmt: skip
        results[target] = total
    tells = all(r["accepted"] and r["refused"] for r in results.values())  # else a target tries nothing of interest
    clean = not any(r["findings"] for r in results.values())
    return {"targets": results, "minutes": sum(MINUTES.values()), "passed": clean and tells}

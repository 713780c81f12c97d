"""Which backend runs what, and how far it agrees with the reference: README's table.

The whole suite of neurosim.conformance on every backend of ours that is installed, the published networks included.
What is not installed keeps the table that it has in evidence/support.json, with the date on which it was made.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from neurosim.conformance.judge import Target
from neurosim.conformance.survey import checked, survey
from neurosim.conformance.unsupported import read_unsupported
from neurosim.registry import GENERAL, missing

SOURCES = [
    "neurosim/compile.py", "neurosim/run.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "neurosim/conformance/**/*.py", "backends/**/*.py", "models/cells/*.py", "models/inputs/*.py",
    "models/plasticity/*.py", "models/synapses/*.py", "models/dendrites/*.py", "models/short_term.py",
    "models/networks/brunel.py", "models/networks/cuba.py", "models/networks/potjans_diesmann.py",
    "tests/conformance/unsupported.toml",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
RANDOM = 24
WAYS = {"brian2": [{"mode": "numpy"}, {"mode": "cython"}]}
"""Backends with several ways to run; the published networks run on the first of them. Brian2's standalone mode, which
compiles every network anew, is the part ``brian2``'s."""

OWN_ARITHMETIC = {"nest"}


def run(log: Any) -> dict[str, Any]:
    """Make the table of every backend."""
    unsupported = read_unsupported(ROOT / "tests" / "conformance" / "unsupported.toml")
    path = ROOT / "evidence" / "support.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["results"]["tables"] if path.exists() else {}
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    tables: dict[str, Any] = {}
    for name in GENERAL:
        line = missing(name)
        if line is not None:
            log(f"{name} is not installed ({line}): its table stays as it is")
            tables.update({label: table for label, table in kept.items() if table["backend"] == name})
            continue
        if name == "null":
            tables[name] = {**checked(name), "date": today}
            continue
        for k, options in enumerate(WAYS.get(name, [{}])):
            target = Target(name, dict(options), name in OWN_ARITHMETIC)
            table = survey(target, unsupported, RANDOM if k == 0 else 2, k == 0, log.step)
            tables[target.label] = {**table, "date": today}
            for problem in table["problems"]:
                log(problem)
    return {"tables": tables, "passed": not any(table["problems"] for table in tables.values())}

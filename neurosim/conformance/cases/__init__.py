"""Hand-written cases: one for every sentence of docs/semantics.md that a run can show."""

from __future__ import annotations

import importlib

from neurosim.conformance.kit import CASES as CASES

for _subject in ("cells", "chance", "time_and_delays"):  # importing a module enters its cases
    importlib.import_module(f"neurosim.conformance.cases.{_subject}")

BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases of one name"

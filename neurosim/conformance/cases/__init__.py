"""Hand-written cases: the sentences of docs/semantics.md that a run can show, the library, published networks."""

from __future__ import annotations

import importlib

from neurosim.conformance.kit import CASES as CASES

_MODULES = (
    "time_and_delays", "cells", "chance", "learning", "learning_late", "learning_timing", "links",
    "library_cells", "library_glif", "library_receptors", "events", "short_term", "convolutions", "published",
    "found_by_mutants",
)  # fmt: skip

for _module in _MODULES:  # importing a module enters its cases
    importlib.import_module(f"neurosim.conformance.cases.{_module}")

BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases of one name"

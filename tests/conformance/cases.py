"""Hand-written cases: one for every sentence of docs/semantics.md that a run can show.

A case is a network, how long it runs, and a check of what comes out; the check is worked out by hand or with other
code than the engine's, so every backend is tested against the sentence and not against another backend.
"""

from __future__ import annotations

import cases_cells
import cases_time
from case_kit import CASES, Case
from cases_chance import balanced

assert cases_cells and cases_time

__all__ = ["CASES", "Case", "balanced"]

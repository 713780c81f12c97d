"""Mutants: faults planted on purpose, one at a time, in printers, engines and the lowering that all engines share.

A mutant is a piece of the source and what stands there instead. ``scripts/mutants`` plants it in a copy of the package,
runs the conformance suite on it, and says which case noticed. ``tests/test_mutants.py`` sees to it that every mutant
still fits the source.
"""

from __future__ import annotations

from mutants import brian2, lowering, native_engine, native_printed, nest
from mutants.kit import Mutant as Mutant

MUTANTS: tuple[Mutant, ...] = (
    *lowering.MUTANTS, *native_printed.MUTANTS, *native_engine.MUTANTS, *brian2.MUTANTS, *nest.MUTANTS,
)  # fmt: skip
BY_NAME = {m.name: m for m in MUTANTS}

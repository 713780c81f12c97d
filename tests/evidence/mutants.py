"""The conformance suite against planted faults: each mutant of ``tests/mutants/`` is noticed, or declared equivalent.

Run with ``scripts/evidence mutants``. Besides, ``neurosim compare`` has to name the first difference of those of
``mutants.comparing.SHOWN``, found here by comparing the spikes as sets, and to say of what kind it is.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mutants import BY_NAME, MUTANTS
from mutants.comparing import SHOWN
from mutants.running import Workshop, judged, run_all, told

SOURCES = [
    "backends/base.py", "backends/reference_backend/*.py", "backends/native/**/*.py",
    "backends/compiled/*.py", "backends/brian2_backend/**/*.py",
    "backends/nest_backend/**/*.py", "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py",
    "neurosim/passes/**/*.py", "neurosim/conformance/**/*.py", "neurosim/comparison/**/*.py",
    "neurosim/analysis/agreement.py", "tests/conformance/unsupported.toml", "tests/mutants/**/*.py",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
LEAST, JOBS = 40, 2


def run(log: Any) -> dict[str, Any]:
    """Run all mutants, some at a time; then compare."""
    workshop = Workshop(ROOT, ROOT / "build" / "mutants")
    done = set(log.steps)

    def step(name: str, function: Any) -> Any:
        row = log.step(name, function)
        if name in BY_NAME and name not in done:
            log(told(name, row))
        return row

    rows = dict(zip(BY_NAME, run_all(workshop, MUTANTS, step, done, jobs=JOBS), strict=True))
    problems = [text for name, row in rows.items() if (text := judged(BY_NAME[name], row))]
    compared = {}
    for shown in SHOWN:
        found = log.step(f"compare {shown.mutant}", lambda s=shown: workshop.show(BY_NAME[s.mutant], s.network))
        compared[shown.mutant] = found
        named = found["verdict"] in ("R", "DIFFERENT") and found.get("right") and shown.says in found.get("hint", "")
        if not named:
            problems.append(f"compare does not name the first difference of {shown.mutant}: {found}")
    for text in problems:
        log(text)
    killed = Counter(row["target"] for row in rows.values() if row["test"])
    killers = Counter(row["killed_by"] for row in rows.values() if row["test"])
    return {
        "mutants": rows,
        "compared": compared,
        "counts": {
            "mutants": len(rows),
            "killed": sum(killed.values()),
            "killed by target": dict(sorted(killed.items())),
            "equivalent": sum(bool(m.equivalent) for m in MUTANTS),
            "survivors": sum(not rows[m.name]["test"] and not m.equivalent for m in MUTANTS),
            "by hanging": sum(row["how"].startswith("hangs") for row in rows.values()),
            "cases that killed": len(killers),
        },
        "problems": problems,
        "passed": not problems and sum(killed.values()) >= LEAST,
    }

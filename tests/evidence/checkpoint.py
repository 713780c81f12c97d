"""Fifty kills at random moments: each time the run goes on, and ends with the bits of one that never stopped.

Run with ``scripts/evidence checkpoint``.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCES = ["neurosim/run.py", "neurosim/recording/*.py", "backends/base.py", "backends/native/*.py",
           "backends/compiled/*.py",
           "tests/test_checkpoint.py", "tests/evidence/checkpoint.py"]  # fmt: skip

KILLS, A_RUN = 50, 5


def run(log: Any) -> dict[str, Any]:
    """Kill runs until fifty are dead, up to five times the same one, each going on where it was killed."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from test_checkpoint import killed, network, same

    from neurosim.recording import RunResult
    from neurosim.units import ms

    whole = network().run(400 * ms, threads=2)
    moments, kills, runs, equal = random.Random(7), 0, 0, 0
    while kills < KILLS:
        with tempfile.TemporaryDirectory() as folder:
            kept, output = Path(folder) / "kept", Path(folder) / "out.h5"
            before = kills
            while kills < min(KILLS, before + A_RUN) and killed(kept, output, moments.uniform(0.1, 1.1)):
                kills += 1
                log(f"kill {kills}: {len(list(kept.glob('recorded-*.h5')))} recordings")
            result = network().run(400 * ms, checkpoint=kept, resume=True, output=output)
            runs += 1
            equal += same(whole, result) and same(whole, RunResult.load(output))
    return {"kills": kills, "runs": runs, "equal": equal, "passed": equal == runs}

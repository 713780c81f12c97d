"""Random networks of Loihi 2's integers in Lava 0.10 itself, and on reference and native: every spike, u and v."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SOURCES = [
    "hardware/loihi2/*.py", "backends/lava/*.py", "backends/reference_backend/*.py", "backends/native/*.py",
    "backends/compiled/*.py",
    "neurosim/ir/**/*.py", "neurosim/passes/**/*.py", "neurosim/lang/**/*.py", "tests/lava_kit.py",
]  # fmt: skip

COUNT, CHUNK, STEPS = 300, 20, 60


def run(log: Any) -> dict[str, Any]:
    """Compare them, in steps of 20 networks."""
    found = {"networks": 0, "spikes": 0, "values": 0, "different": 0}
    for first in range(0, COUNT, CHUNK):
        part = log.step(f"networks {first} to {first + CHUNK - 1}", lambda first=first: compared(first))
        found = {key: found[key] + part[key] for key in found}
        log(f"{found['networks']} networks: {found['different']} of {found['values']} values differ")
    return {**found, "passed": found["different"] == 0 and found["networks"] == COUNT}


def compared(first: int) -> dict[str, int]:
    """Run 20 networks on three backends."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import lava_kit

    from neurosim.units import ms

    out = {"networks": 0, "spikes": 0, "values": 0, "different": 0}
    for seed in range(first, first + CHUNK):
        net = lava_kit.random_network(seed, STEPS)
        theirs = lava_kit.as_tables(net.run(STEPS * ms, backend="lava"), net, STEPS)
        for backend in ("native", "reference"):
            part = lava_kit.compared(net.run(STEPS * ms, backend=backend), theirs, STEPS)
            out["different"] += part["different"]
        out = {**out, "networks": out["networks"] + 1, "spikes": out["spikes"] + part["spikes"],
               "values": out["values"] + part["values"]}  # fmt: skip
    return out

"""The compiled engine against the reference on 500 random networks: spikes, samples and states, bit for bit."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import random_networks as rn

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/*.py", "neurosim/lang/*.py", "neurosim/passes/*.py", "backends/base.py",
    "backends/reference_backend.py", "backends/native/*.py", "models/cells/*.py", "models/inputs/*.py",
    "models/synapses/*.py", "tests/random_networks.py",
]  # fmt: skip

NETWORKS, TOGETHER = 500, 20


def networks(first: int, stop: int) -> dict[str, Any]:
    """Compare the networks of some seeds."""
    counts: Counter[str] = Counter()
    differences: list[str] = []
    for seed in range(first, stop):
        number = seed % rn.ALL
        case = rn.draw(rn.Seeded(seed), rn.family(number))
        problem, reference = rn.check(case)
        if problem:
            differences.append(f"network {seed} (family {number}): {problem}")
        counts.update(
            {
                "networks": 1,
                case.graph.precision: 1,
                f"weights of {case.graph.weight_bits} bits": 1,
                "populations": len(case.graph.populations),
                "neurons": case.graph.size,
                "edges": reference.edges,
                "steps": case.steps,
                "spikes": sum(reference.counts.values()),
                "values sampled": sum(s[1].size for s in reference.samples if s is not None),
                "runs": len(case.threads),
                "diverged on both": int(bool(reference.diverged)),
                "silent": int(not any(reference.counts.values())),
            }
        )
    return {"counts": dict(counts), "differences": differences}


def run(log: Any) -> dict[str, Any]:
    """Compare all networks, some at a time."""
    total: Counter[str] = Counter()
    differences: list[str] = []
    for first in range(0, NETWORKS, TOGETHER):
        stop = min(first + TOGETHER, NETWORKS)
        part = log.step(f"networks {first} to {stop - 1}", partial(networks, first, stop))
        total.update(part["counts"])
        differences += part["differences"]
        for line in part["differences"]:
            log(line)
    most_run = total["diverged on both"] <= total["networks"] // 20
    return {"counts": dict(sorted(total.items())), "differences": differences, "passed": not differences and most_run}

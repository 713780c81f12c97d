"""The compiled engine against the reference on 500 random networks: spikes, samples and states, bit for bit."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import neurosim.conformance.random_networks as rn

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "backends/base.py", "backends/reference_backend.py", "backends/native/**/*.py", "models/cells/*.py",
    "models/inputs/*.py", "models/synapses/*.py", "neurosim/conformance/random_networks/*.py",
]  # fmt: skip

NETWORKS, TOGETHER = 500, 10


def aside(first: int, stop: int) -> dict[str, Any]:
    """Compare the networks of some seeds in another process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(rn.compare, first, stop).result()


def run(log: Any) -> dict[str, Any]:
    """Compare all networks, some at a time, in a process of their own: the compiler keeps what it made."""
    total: Counter[str] = Counter()
    differences: list[str] = []
    for first in range(0, NETWORKS, TOGETHER):
        stop = min(first + TOGETHER, NETWORKS)
        part = log.step(f"networks {first} to {stop - 1}", lambda a=first, b=stop: aside(a, b))
        total.update(part["counts"])
        differences += part["differences"]
        for line in part["differences"]:
            log(line)
    most_run = total["diverged on both"] <= total["networks"] // 20
    return {"counts": dict(sorted(total.items())), "differences": differences, "passed": not differences and most_run}

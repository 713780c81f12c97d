"""The compiled engine against the reference on random networks: spikes, samples, states and weights, bit for bit.

500 networks without learning rules, and 300 whose projections learn.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import neurosim.conformance.random_networks as rn

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "backends/base.py", "backends/reference_backend.py", "backends/native/**/*.py",
    "backends/compiled/*.py", "models/cells/*.py",
    "models/inputs/*.py", "models/plasticity/*.py", "models/synapses/*.py", "neurosim/conformance/random_networks/*.py",
]  # fmt: skip

NETWORKS, LEARNING, TOGETHER = 500, 300, 10


def aside(first: int, stop: int, plastic: bool) -> dict[str, Any]:
    """Compare the networks of some seeds in another process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(rn.compare, first, stop, plastic).result()


def run(log: Any) -> dict[str, Any]:
    """Compare all networks, some at a time, in a process of their own: the compiler keeps what it made."""
    out: dict[str, Any] = {"passed": True}
    for part, networks in (("networks", NETWORKS), ("networks that learn", LEARNING)):
        total: Counter[str] = Counter()
        differences: list[str] = []
        for first in range(0, networks, TOGETHER):
            stop = min(first + TOGETHER, networks)
            found = log.step(
                f"{part} {first} to {stop - 1}", lambda a=first, b=stop, c=part != "networks": aside(a, b, c)
            )
            total.update(found["counts"])
            differences += found["differences"]
            for line in found["differences"]:
                log(line)
        most_run = total["diverged on both"] <= total["networks"] // 20
        out["passed"] &= not differences and most_run
        out[part] = {"counts": dict(sorted(total.items())), "differences": differences}
    return out

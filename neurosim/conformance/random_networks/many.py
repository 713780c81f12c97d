"""Many random networks, some at a time in a process of their own: the compiler keeps what it made."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from neurosim.conformance.random_networks.comparing import compare

TOGETHER = 10
"""Networks per process."""


def survey(log: Any, networks: int, plastic: bool) -> dict[str, Any]:
    """Compare the compiled engine and the reference on the networks of the first seeds.

    Parameters
    ----------
    log : object
        ``log(text)`` writes a line; ``log.step(name, function)`` returns what the function does, and may keep it.
    networks : int
        How many.
    plastic : bool
        Networks that learn.

    Returns
    -------
    dict
        ``counts``, ``differences`` (sentences), and ``passed``: no difference, and nearly all networks ran to the end.
    """
    total: Counter[str] = Counter()
    differences: list[str] = []
    for first in range(0, networks, TOGETHER):
        stop = min(first + TOGETHER, networks)
        found = log.step(f"networks {first} to {stop - 1}", lambda a=first, b=stop: _aside(a, b, plastic))
        total.update(found["counts"])
        differences += found["differences"]
        for line in found["differences"]:
            log(line)
    ran = total["diverged on both"] <= total["networks"] // 20
    return {"passed": not differences and ran, "counts": dict(sorted(total.items())), "differences": differences}


def _aside(first: int, stop: int, plastic: bool) -> dict[str, Any]:
    """Compare the networks of some seeds in another process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(compare, first, stop, plastic).result()

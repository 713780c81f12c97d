"""Brian2 against the reference and the compiled engine: cases, random networks, published networks, bit for bit.

Runtime modes first (``numpy`` for the counts, since it compiles nothing; ``cython`` for a sample), then C++ standalone
programs, each of which takes a compiler some ten seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import neurosim.conformance.random_networks as rn
from neurosim.conformance.cases import CASES
from neurosim.conformance.judge import Target, run_case
from neurosim.models.networks import cuba, potjans_diesmann
from neurosim.units import second

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "backends/base.py", "backends/reference_backend/*.py", "backends/native/**/*.py",
    "backends/compiled/*.py", "backends/brian2_backend/*.py",
    "models/cells/*.py", "models/inputs/*.py", "models/synapses/*.py", "models/networks/cuba.py",
    "models/networks/potjans_diesmann.py", "neurosim/conformance/**/*.py", "tests/evidence/brian2.py",
]  # fmt: skip

NETWORKS = {"numpy": 300, "cython": 60, "standalone": 20}
"""Random networks in double precision of each mode."""

TOGETHER = 10
MODES = tuple(NETWORKS)


def seeds(count: int) -> Iterator[int]:
    """Yield the first so many seeds whose family is in double precision, which is all that Brian2 has."""
    seed = found = 0
    while found < count:
        if rn.family(seed % rn.ALL).precision == "double":
            found += 1
            yield seed
        seed += 1


def compare(mode: str, chosen: list[int]) -> dict[str, Any]:
    """Compare the random networks of some seeds, in stretches where the mode has them."""
    counts: Counter[str] = Counter()
    differences: list[str] = []
    for seed in chosen:
        network = rn.draw(rn.Seeded(seed), rn.family(seed % rn.ALL))
        graph = network.graph
        want = rn.outcome(graph, "reference", [network.steps])
        got = rn.outcome(graph, "brian2", network.stretches[0], None, {"mode": mode})
        problem = rn.difference(graph, want, got)
        if problem or want.diverged != got.diverged:
            differences.append(f"network {seed} on {mode}: {problem or got.diverged}")
        counts.update(
            {
                "networks": 1,
                "neurons": graph.size,
                "edges": want.edges,
                "steps": network.steps,
                "spikes": sum(want.counts.values()),
                "values sampled": sum(s[1].size for s in want.samples if s is not None),
                "diverged on both": int(bool(want.diverged)),
                "silent": int(not any(want.counts.values())),
            }
        )
    return {"counts": dict(counts), "differences": differences}


def cases(mode: str, names: list[str]) -> dict[str, Any]:
    """Run cases; Brian2 has no single precision, so that it refuses those that ask for it."""
    target, counts, differences = Target("brian2", {"mode": mode}), Counter(), []
    for case in CASES:
        if case.name not in names:
            continue
        found = run_case(case, target)
        single = case.options.get("precision") == "single"
        if found.status == "agrees" and not single:
            counts[f"cases: {found.reached}"] += 1
        elif found.status == "refused" and single:
            counts["cases in single precision: refused"] += 1
        else:
            differences.append(f"case {case.name} on {mode}: {found.status}, {found.message}")
    return {"counts": dict(counts), "differences": differences}


def published(name: str, mode: str) -> dict[str, Any]:
    """Run a published network for a second here and on the compiled engine, and count the spikes that are the same."""
    build = {"cuba": cuba, "microcircuit": lambda: potjans_diesmann(scale=0.1)}[name]
    want, got = build().run(1 * second), build().run(1 * second, backend="brian2", mode=mode)
    off = [p for p in want.spikes if not want.spikes[p].identical(got.spikes[p])]
    spikes = {p: [want.spikes[p].count, got.spikes[p].count] for p in want.spikes}
    return {"spikes": spikes, "edges": got.edges, "differences": [f"{name} on {mode}: {p}" for p in off]}


def parts(items: list[Any]) -> Iterator[list[Any]]:
    """Cut a list into pieces."""
    for k in range(0, len(items), TOGETHER):
        yield items[k : k + TOGETHER]


def run(log: Any) -> dict[str, Any]:
    """Compare everything."""
    out: dict[str, Any] = {}
    differences: list[str] = []

    def step(name: str, job: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        found = log.step(name, lambda: job(*args))
        for line in found["differences"]:
            log(line)
        differences.extend(found["differences"])
        return found

    quick = [case.name for case in CASES if not case.slow]
    for mode in MODES:
        total: Counter[str] = Counter()
        for some in parts(quick):
            total.update(step(f"{mode}: cases from {some[0]}", cases, mode, some)["counts"])
        for some in parts(list(seeds(NETWORKS[mode]))):
            total.update(step(f"{mode}: networks {some[0]} to {some[-1]}", compare, mode, some)["counts"])
        out[mode] = dict(sorted(total.items()))
        log(f"{mode}: {out[mode]}")
    for name, modes in (("cuba", ("cython", "standalone")), ("microcircuit", ("standalone",))):
        for mode in modes:
            found = out[f"{name} on {mode}"] = step(f"{name} on {mode}", published, name, mode)
            log(f"{name} on {mode}: {found}")
    most_run = all(out[m]["diverged on both"] <= out[m]["networks"] // 20 for m in MODES)
    return {**out, "differences": differences, "passed": not differences and most_run}

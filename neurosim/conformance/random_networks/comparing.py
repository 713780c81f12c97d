"""Running a random network on two engines, and comparing what they did, bit for bit."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from neurosim.backends.base import Drained, Engine, Options
from neurosim.conformance.random_networks.cells import ALL, ALL_PLASTIC, family, plastic_family
from neurosim.conformance.random_networks.dice import Seeded
from neurosim.conformance.random_networks.writing import RandomNetwork, draw
from neurosim.errors import DivergedError, UnsupportedError
from neurosim.ir.graph import Graph
from neurosim.registry import load_backend


@dataclass
class Outcome:
    """What an engine did: spikes, samples and counts of all stretches; state and learned weights at the end, edges."""

    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray] | None]
    counts: dict[str, int]
    state: dict[str, dict[str, np.ndarray]]
    edges: int
    diverged: str = ""
    weights: dict[str, np.ndarray | None] = field(default_factory=dict)


def build(graph: Graph, backend: str, threads: int | None = None, extra: Mapping[str, Any] | None = None) -> Engine:
    """Build an engine; ``extra`` holds options of the backend."""
    return load_backend(backend).build(graph, Options(threads=threads, extra=extra or {}))


def outcome(
    graph: Graph,
    backend: str,
    stretches: Sequence[int],
    threads: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run a graph in stretches, or in one stretch on an engine that takes a run at once."""
    engine = build(graph, backend, threads, extra)
    if engine.at_once:
        stretches = [sum(stretches)]
    parts: list[Drained] = []
    diverged = ""
    try:
        for steps in stretches:
            engine.advance(steps)
            parts.append(engine.drain())
    except DivergedError as e:
        diverged = str(e)
    spikes = {p.name: tuple(np.concatenate([np.asarray(x.spikes[p.name][i], np.int64) for x in parts]) for i in (0, 1))
              for p in graph.populations if parts and p.name in parts[0].spikes}  # fmt: skip
    samples: list[Any] = []
    for k in range(len(graph.probes)):
        each = [x.samples[k] for x in parts]
        samples.append(
            None if not each or each[0] is None else tuple(np.concatenate([s[i] for s in each if s]) for i in (0, 1))
        )
    counts = {p.name: sum(x.counts[p.name] for x in parts) for p in graph.populations}
    state = {p.name: engine.state(p.name) for p in graph.populations}
    weights = {p.name: engine.weights(p.name) for p in graph.projections if p.plasticity is not None}
    out = Outcome(spikes, samples, counts, state, engine.edges(), diverged, weights)  # type: ignore[arg-type]
    engine.close()
    return out


def difference(graph: Graph, a: Outcome, b: Outcome) -> str:
    """Say where two outcomes first differ, in one bit or more; an empty text if nowhere."""
    if bool(a.diverged) != bool(b.diverged):
        return f"only one diverged: {a.diverged or b.diverged}"
    if a.diverged:
        return ""
    if a.edges != b.edges:
        return f"{a.edges} edges and {b.edges}"
    if a.spikes.keys() != b.spikes.keys() or len(a.samples) != len(b.samples):
        return "other things were recorded"
    found: list[tuple[int, str]] = []
    for name in a.spikes:
        (s, i), (t, j) = a.spikes[name], b.spikes[name]
        n = min(len(s), len(t))
        off = np.flatnonzero((s[:n] != t[:n]) | (i[:n] != j[:n]))
        if len(off) or len(s) != len(t):
            k = int(off[0]) if len(off) else n
            step = min(int(x[k]) for x in (s, t) if k < len(x))
            found.append((step, f"spike {k} of '{name}', at step {step}: {len(s)} and {len(t)} spikes"))
    for k, (x, y) in enumerate(zip(a.samples, b.samples, strict=True)):
        probe = graph.probes[k]
        if (x is None) != (y is None):
            return f"{probe.target}.{probe.variable}: sampled by one"
        if x is None or y is None:
            continue
        if not np.array_equal(x[0], y[0]) or x[1].shape != y[1].shape:
            return f"{probe.target}.{probe.variable}: sampled at other steps, {x[1].shape} and {y[1].shape}"
        off = np.argwhere(np.ascontiguousarray(x[1]).view(np.int64) != np.ascontiguousarray(y[1]).view(np.int64))
        if len(off):
            t, j = off[0]
            found.append(
                (
                    int(x[0][t]),
                    f"{probe.target}.{probe.variable}, step {x[0][t]}, column {j}: {x[1][t, j]!r} and {y[1][t, j]!r}",
                )
            )
    if found:
        return min(found)[1]
    if a.counts != b.counts:
        return f"counts {a.counts} and {b.counts}"
    for name, states in a.state.items():
        if states.keys() != b.state[name].keys():
            return f"'{name}' has the states {list(states)} and {list(b.state[name])}"
        for variable, values in states.items():
            other = b.state[name][variable]
            if values.dtype != other.dtype or values.tobytes() != other.tobytes():
                off = np.flatnonzero(values != other)
                at = int(off[0]) if len(off) else -1
                pair = f"{values[at]!r} and {other[at]!r}"
                return f"state {variable} of '{name}' ({values.dtype}, {other.dtype}), neuron {at}: {pair}"
    for name, learned in a.weights.items():
        other = b.weights[name]
        if learned is None or other is None or learned.tobytes() != other.tobytes():
            return f"the weights of '{name}'"
    return ""


@contextlib.contextmanager
def eager(on: bool = True) -> Iterator[None]:
    """Let the compiled engine make its edges in small pieces, from compiled random numbers, however few there are."""
    if not on:
        yield
        return
    from neurosim.backends.native import draws, layout

    with (
        mock.patch.object(draws, "_SMALL", 1),
        mock.patch.object(draws, "_WORTH", 1),
        mock.patch.object(layout, "CHUNK", 97),
    ):
        yield


def check(
    network: RandomNetwork, backend: str = "native", extra: Mapping[str, Any] | None = None
) -> tuple[str, Outcome]:
    """Run a network on the reference and on a backend.

    Returns
    -------
    tuple of str and Outcome
        Where the two first differ (nowhere: an empty text), and what the reference did. A backend with threads is run
        on one thread and on several, in other stretches.
    """
    graph = network.graph
    want = outcome(graph, "reference", [network.steps])
    runs = list(zip(network.threads, network.stretches, strict=True))
    if not load_backend(backend).threads:
        runs = [(None, network.stretches[0])]
    for threads, stretches in runs:
        with eager(network.eager and backend == "native"):
            try:
                got = outcome(graph, backend, stretches, threads, extra)
            except UnsupportedError:
                if threads in (None, 1):
                    raise
                continue  # its options leave it one thread
        problem = difference(graph, want, got)
        if problem:
            how = "" if threads is None else f" with {threads} threads"
            return f"{backend}{how} in stretches {stretches[:9]}: {problem}", want
    return "", want


def compare(first: int, stop: int, plastic: bool = False) -> dict[str, Any]:
    """Compare the compiled engine and the reference on networks of some seeds, with ``plastic`` on some that learn."""
    counts: Counter[str] = Counter()
    differences: list[str] = []
    for seed in range(first, stop):
        number = seed % (ALL_PLASTIC if plastic else ALL)
        network = draw(Seeded(seed), plastic_family(number) if plastic else family(number))
        problem, reference = check(network)
        if problem:
            differences.append(f"network {seed} (family {number}): {problem}")
        counts.update(
            {
                "networks": 1,
                network.graph.precision: 1,
                f"weights of {network.graph.weight_bits} bits": 1,
                "populations": len(network.graph.populations),
                "neurons": network.graph.size,
                "edges": reference.edges,
                "edges that learn": sum(len(w) for w in reference.weights.values() if w is not None),
                "steps": network.steps,
                "spikes": sum(reference.counts.values()),
                "values sampled": sum(s[1].size for s in reference.samples if s is not None),
                "runs": len(network.threads),
                "diverged on both": int(bool(reference.diverged)),
                "silent": int(not any(reference.counts.values())),
            }
        )
    return {"counts": dict(counts), "differences": differences}

"""Running a case, a construct or a random network on a backend, and saying how far it agrees.

Two things are asked of a backend: that the result is what the sentence says (the case's own check), and that it agrees
with the reference in the case's class.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.analysis.agreement import agree_statistically, first_difference
from neurosim.comparison import compare
from neurosim.compile import compile_network
from neurosim.conformance import random_networks as rn
from neurosim.conformance.cases import BY_NAME
from neurosim.conformance.constructs import CONSTRUCTS, DURATION, OPTIONS
from neurosim.conformance.kit import Case
from neurosim.conformance.unsupported import Entry
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.ir.graph import Graph
from neurosim.registry import load_backend

CLOSE = 1e-9
"""What recorded values of an engine with arithmetic of its own may differ by, relative to the variable's size."""


@dataclass(frozen=True)
class Target:
    """What is tested.

    Attributes
    ----------
    backend : str
        Its name in the registry.
    options : dict
        Keywords of the run.
    own_arithmetic : bool
        Whether the engine computes with cells of its own. Then recorded values may differ from the reference's by
        1e-9 of the variable's size, and spikes from a tie in floating point on (class E1); else every bit counts.
    """

    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    own_arithmetic: bool = False

    @property
    def label(self) -> str:
        """Name and options, as they are written on the command line."""
        return ":".join([self.backend, *(f"{k}={v}" for k, v in self.options.items())])


@dataclass(frozen=True)
class Found:
    """What came of running something on a backend.

    Attributes
    ----------
    status : {"agrees", "refused", "differs"}
        ``refused``: the backend said before anything ran that it cannot.
    reached : str
        Where it agrees: ``bits`` (class E0, and every recorded value bit for bit), ``E0``, ``E1``, ``R``, or
        ``raises``: the error that the case asks for.
    message : str
        Otherwise: the refusal, or where the difference lies.
    error : AssertionError or None
        Of the case's check, if that failed.
    """

    status: str
    reached: str = ""
    message: str = ""
    error: AssertionError | None = None


# -- the three things that are run ----------------------------------------------------------------------------------


def run_case(case: Case, target: Target) -> Found:
    """Run a case: its check, then the comparison with the reference."""
    if not __debug__:
        raise ParameterError("the checks of the cases are assertions: run Python without -O")
    if case.refusal is not None:
        return _refusal(case, target)
    try:
        result = case.build().run(case.duration, backend=target.backend, **case.options, **target.options)
    except UnsupportedError as e:
        return Found("refused", message=str(e))
    try:
        case.check(result)
    except AssertionError as e:
        return Found("differs", message=f"'{case.sentence}' does not hold: {e}", error=e)
    if target.backend == "reference":
        return Found("agrees", "bits")
    return _judge(case.tolerance, _truth(case), result, target, case)


def run_construct(name: str, target: Target) -> Found:
    """Run the network of a construct on the reference and on a backend, and compare all that is recorded."""
    build, options = CONSTRUCTS[name], OPTIONS.get(name, {})
    refused = load_backend(target.backend).unsupported(compile_network(build(), **options))
    if refused:
        return Found("refused", message=f"no {refused[0][0]}")
    case = Case(name, name, build, DURATION, lambda result: None, options=options)
    truth = build().run(DURATION, backend="reference", **options)
    if not sum(truth.counts.values()):
        return Found("differs", message="the network is silent, so that nothing is compared")
    result = build().run(DURATION, backend=target.backend, **options, **target.options)
    return _judge("E0", truth, result, target, case)


def run_random(seed: int, target: Target) -> Found:
    """Run the random network of a seed on the reference and on a backend, and compare everything, states included."""
    network = rn.draw(rn.Seeded(seed), rn.family(seed % rn.ALL))
    refused = load_backend(target.backend).unsupported(network.graph)
    if refused:
        return Found("refused", message=f"no {refused[0][0]}")
    if target.backend == "native" and not target.options:
        problem, _ = rn.check(network)  # its small pieces of edges as well
        return Found("differs", message=problem) if problem else Found("agrees", "bits")
    want = rn.outcome(network.graph, "reference", [network.steps])
    for threads, stretches in _ways(network, target):
        got = rn.outcome(network.graph, target.backend, stretches, threads, target.options)
        problem = rn.difference(network.graph, want, got)
        if target.own_arithmetic:
            problem = _roughly(network.graph, want, got)
        if problem:
            return Found("differs", message=f"{threads or 1} threads, stretches {stretches[:9]}: {problem}")
    return Found("agrees", "E0" if target.own_arithmetic else "bits")


def _ways(network: rn.RandomNetwork, target: Target) -> Iterator[tuple[int | None, list[int]]]:
    """Yield numbers of threads, as far as the backend has them with these options, each with other stretches."""
    backend = load_backend(target.backend)
    yield (1 if backend.threads else None), network.stretches[0]
    if backend.threads:
        try:
            rn.build(network.graph, target.backend, network.threads[1], target.options).close()
        except UnsupportedError:
            return
        yield network.threads[1], network.stretches[1]


def random_seeds(count: int) -> list[int]:
    """Return seeds of random networks that share few programs: one of each family of the sample, then the next."""
    return [rn.ALL * (k // len(rn.FAMILIES)) + k % len(rn.FAMILIES) for k in range(count)]


# -- judging ----------------------------------------------------------------------------------------------------------


def _refusal(case: Case, target: Target) -> Found:
    assert case.refusal is not None
    error, says = case.refusal
    try:
        case.build().run(case.duration, backend=target.backend, **case.options, **target.options)
    except error as e:
        absent = [part for part in says if part not in str(e)]
        if absent:
            return Found("differs", message=f"the message does not say {absent[0]!r}: {e}")
        return Found("agrees", "raises")
    except UnsupportedError as e:
        return Found("refused", message=str(e))
    return Found("differs", message=f"no {error.__name__}: the network has run")


@functools.cache
def _quick_truth(name: str) -> Any:
    case = BY_NAME[name]
    return case.build().run(case.duration, backend="reference", **case.options)


def _truth(case: Case) -> Any:
    """Run a case on the reference; small results are kept for the next backend."""
    if case.slow or BY_NAME.get(case.name) is not case:
        return case.build().run(case.duration, backend="reference", **case.options)
    return _quick_truth(case.name)


def _judge(tolerance: str, truth: Any, result: Any, target: Target, case: Case) -> Found:
    """Compare with the reference, in a class."""
    if tolerance not in ("E0", "E1", "R", "Q"):
        raise ParameterError(f"case '{case.name}': class {tolerance} cannot be judged yet; known: E0, E1, R, Q")
    loose = tolerance != "Q" and (target.own_arithmetic or tolerance != "E0")
    difference = first_difference(truth, result)
    if difference is None:
        unequal = list(_unequal(truth, result))
        bad = [text for text, close in unequal if not (close and loose)]
        if bad:
            return Found("differs", message=f"the spikes are the reference's, but not {bad[0]}")
        return Found("agrees", "E0" if unequal else "bits")
    if tolerance == "R":
        unlike = agree_statistically(truth, result)
        return Found("differs", message="; ".join(unlike)) if unlike else Found("agrees", "R")
    if loose:
        sides = [("reference", {}), (target.backend, target.options)]
        pair = compare(case.build(), case.duration, sides, **case.options).pairs[0]
        if pair.verdict in ("E0", "E1"):
            return Found("agrees", pair.verdict)
        why = pair.diagnosis.hint if pair.diagnosis is not None else pair.verdict
        return Found("differs", message=f"first difference, which is no tie: {difference}; {why}")
    only = "the reference" if difference.only_in == "a" else target.label
    return Found("differs", message=f"first difference: {difference}, a spike on {only} only")


def _unequal(truth: Any, result: Any) -> Iterator[tuple[str, bool]]:
    """Yield every recording that is not the same bit for bit, and whether it is close."""
    for name, traces in truth.state.items():
        for variable, trace in traces.items():
            other = result.state[name][variable]
            if not trace.identical(other):
                yield (
                    f"{variable} of '{name}'{_farthest(trace.values, other.values)}",
                    _close(trace.values, other.values),
                )
    for name, rate in truth.population_rates.items():
        other = result.population_rates[name]
        if not np.array_equal(rate.values, other.values):
            yield f"the rate of '{name}'", False
    for name, weights in truth.weight_traces.items():
        other = result.weight_traces[name]
        if not np.array_equal(weights.values, other.values):
            yield (
                f"the weights of '{name}'{_farthest(weights.values, other.values)}",
                _close(weights.values, other.values),
            )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two recordings differ by rounding only."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(a.size == 0 or np.all(np.abs(a - b) <= CLOSE * np.max(np.abs(a))))


def _farthest(a: np.ndarray, b: np.ndarray) -> str:
    if a.shape != b.shape or a.dtype != b.dtype:
        return f": {b.dtype} {b.shape} instead of {a.dtype} {a.shape}"
    off = np.abs(a - b)
    if not off.size or not np.any(off > 0):
        return ""
    row, column = np.unravel_index(int(np.argmax(off)), off.shape)
    return f": {b[row, column]!r} instead of {a[row, column]!r} in row {row}, column {column}"


def _roughly(graph: Graph, want: rn.Outcome, got: rn.Outcome) -> str:
    """Compare spikes bit for bit, and sampled values up to rounding; return where they differ."""
    if want.counts != got.counts or want.edges != got.edges:
        return f"{got.counts} spikes on {got.edges} edges, not {want.counts} on {want.edges}"
    for name, (steps, ids) in want.spikes.items():
        if not (np.array_equal(steps, got.spikes[name][0]) and np.array_equal(ids, got.spikes[name][1])):
            return f"the spikes of '{name}'"
    for probe, x, y in zip(graph.probes, want.samples, got.samples, strict=True):
        if x is not None and (y is None or not np.array_equal(x[0], y[0]) or not _close(x[1], y[1])):
            return f"{probe.variable} of '{probe.target}'"
    return ""


def verdict(case: Case, target: Target, found: Found, entry: Entry | None) -> str:
    """Say what is wrong with what came of a case, in the light of the list; an empty text if nothing is."""
    if found.status == "agrees":
        return f"{case.name} passes on {target.label}: take it out of the list of unsupported cases" if entry else ""
    if entry is None:
        if found.status == "differs":
            return f"{case.name} on {target.label}: {found.message}"
        return (
            f"{target.label} refuses {case.name} ({found.message}); if it has to, the list of unsupported cases needs\n"
            f'[[unsupported]]\ncases = ["{case.name}"]\nbackend = "{target.backend}"\n'
            f'reason = "no such construct"\nnote = "..."'
        )
    if found.status == "differs" and entry.reason != "other semantics":
        return (
            f"{case.name} on {target.label}: the list says '{entry.reason}', so the backend has to refuse it; it runs, "
            f"and {found.message}"
        )
    return ""

"""Trials: many runs of one network that differ in what is drawn in every step, or in the values of some parameters.

The network is built once. Every trial is a run of its own on one thread, and as many go on at a time as there are
cores; each gives the bits that ``net.run(…, trial=k)`` gives.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, overload

import numpy as np

from neurosim import run as runner
from neurosim.compile import compile_network
from neurosim.errors import DivergedError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.graph import Graph
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity, scalar


class Trials(Sequence[Any]):
    """The results of some trials, in their order.

    Attributes
    ----------
    numbers : tuple of int
        Which trials: ``trials[i]`` is the result of ``net.run(…, trial=numbers[i])``.
    status : str
        ``finished``; or ``interrupted``: these are those that had ended when Ctrl-C came.
    wall_s : float
        Seconds that all took together, building included.
    """

    def __init__(self, numbers: Sequence[int], results: Sequence[Any], status: str, wall_s: float) -> None:
        self.numbers, self._results, self.status, self.wall_s = tuple(numbers), list(results), status, wall_s

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Trials: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Trials(self.numbers[index], self._results[index], self.status, self.wall_s)
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._results)

    def counts(self, population: str) -> np.ndarray:
        """Return how many spikes a population had in each trial: int64 [trials]; recorded or not."""
        known = self._results[0].counts if self._results else {population: 0}
        if population not in known:
            raise UnknownNameError(f"no population '{population}'{suggest(population, known)}", caller())
        return np.array([result.counts[population] for result in self._results], dtype=np.int64)

    def neuron_counts(self, population: str) -> np.ndarray:
        """Return how often each neuron spiked in each trial: int64 [trials, neurons]; its spikes are recorded."""
        rows = [np.bincount(s.ids, minlength=s.size) for s in (result.spikes[population] for result in self._results)]
        return np.array(rows, dtype=np.int64)

    def save(self, directory: str | os.PathLike[str]) -> list[str]:
        """Write each result to a file ``trial_<number>.h5`` of a folder, and return the paths."""
        os.makedirs(directory, exist_ok=True)
        width = max((len(str(number)) for number in self.numbers), default=1)
        paths = [os.path.join(directory, f"trial_{number:0{width}d}.h5") for number in self.numbers]
        for path, result in zip(paths, self._results, strict=True):
            result.save(path)
        return paths

    def __repr__(self) -> str:
        return f"<{len(self)} trials, {self.status}, {self.wall_s:.3g} s>"


def run_trials(
    network: Network,
    duration: Quantity,
    trials: int | Sequence[int],
    *,
    vary: Mapping[str, Any] | None = None,
    backend: str = "native",
    threads: int | None = None,
    precision: str = "double",
    weight_bits: int | None = None,
    progress: runner.Progress | bool | None = None,
    **extra: Any,
) -> Trials:
    """Run a network several times.

    Parameters
    ----------
    network : Network
        What to run.
    duration : Quantity
        Of each trial.
    trials : int or sequence of int
        How many (numbered from 0), or which. Trial 0 is the run that ``net.run`` makes.
    vary : mapping, optional
        ``population.parameter`` -> its values: an array or quantity with one row for each trial, of one value or of one
        for each neuron. Whatever follows from them is computed anew.
    backend, precision, weight_bits, **extra
        As :meth:`~neurosim.lang.network.Network.run` takes them.
    threads : int, optional
        How many trials go on at a time on ``native``, one thread each; the number of cores by default. Other backends
        run one after the other.
    progress : callable or bool, optional
        Told how many trials have ended; True prints a bar.

    Raises
    ------
    DivergedError
        As a run of the first trial that diverges does, named; ``error.results`` are those that had ended.
    """
    where = caller()
    numbers = _numbers(trials, where)
    rows = _rows(vary or {}, len(numbers), where)
    if progress is True:
        with importlib.import_module("neurosim.cli.progress").Bar(network.dt) as bar:
            return run_trials(network, duration, numbers, vary=vary, backend=backend, threads=threads,
                              precision=precision, weight_bits=weight_bits, progress=bar, **extra)  # fmt: skip
    seconds = scalar(duration, TIME, "duration", where)
    if seconds < 0:
        raise ParameterError(f"duration must not be negative, got {duration}", where)
    steps = whole_steps(seconds, network.dt, "the duration", where)
    chosen = runner.chosen(backend, None if threads is None else 1, extra, where)
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ParameterError(f"threads must be a whole number of at least 1, got {threads!r}", where)
    base = importlib.import_module("neurosim.backends.base")

    def graph_of(k: int) -> Graph:
        """Return the graph of the k-th of these trials."""
        if not rows:
            return replace(plain, trial=numbers[k])
        copy = network.copy()
        for path, values in rows.items():
            copy.set_parameter(path, values[k])
        return replace(compile_network(copy, precision=precision, weight_bits=weight_bits), trial=numbers[k])

    plain = compile_network(network, precision=precision, weight_bits=weight_bits)
    begin = time.perf_counter()
    first = graph_of(0) if numbers else plain
    chosen.check(first)
    runner.fits(chosen, first, 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    workers = max(1, min(threads or cores, len(numbers))) if chosen.concurrent else 1
    options = base.Options(threads=1 if chosen.threads else None, extra=extra)
    with runner.blamed(backend):
        pattern = chosen.build(first, options)  # what the engines of the trials have in common
    report: Callable[..., None] = progress or (lambda stage, done, total, wall: None)

    def run_one(k: int, stop: threading.Event) -> Any:
        """Run one trial; None where it was stopped."""
        graph = first if k == 0 else graph_of(k)
        started, at = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
        chosen.check(graph)
        with runner.blamed(backend):
            engine = pattern if k == 0 else chosen.build_like(graph, options, pattern)
        told = {"trial": str(numbers[k]), **{path: _shown(values[k]) for path, values in rows.items()}}
        provenance = runner.provenance_of(graph, engine, chosen, steps, started, time.perf_counter() - at).replace(
            backend=backend, duration_s=seconds, overrides=told
        )
        sink = runner.Sink(graph, provenance, None)
        done, stretch, start = 0, max(1, steps if engine.at_once else min(steps, 200)), time.perf_counter()
        try:
            while done < steps and not stop.is_set():
                before, now = time.perf_counter(), min(stretch, steps - done)
                with runner.blamed(backend):
                    engine.advance(now)
                done += now
                sink.take(runner.drained(engine, graph, backend), done)
                stretch = int(np.clip(now * _LOOK / max(time.perf_counter() - before, 1e-6), 1, now * 4))
            learned = {p.name: engine.weights(p.name) for p in graph.projections if p.plasticity is not None}
            edges = engine.edges()
        finally:
            if k:
                engine.close()
        if done < steps:
            return None
        provenance = provenance.replace(n_steps=done, wall_simulate_s=time.perf_counter() - start)
        result = sink.finish(
            provenance, None, lambda name: learned[name] if name in learned else runner.projection_weights(graph, name)
        )
        result.edges = edges
        return result

    try:
        return _all(run_one, numbers, workers, report, begin)
    finally:
        pattern.close()


_LOOK = 0.2
"""Wall seconds after which a trial looks whether it is to stop."""


def _all(
    run_one: Callable[[int, threading.Event], Any],
    numbers: Sequence[int],
    workers: int,
    report: Callable[..., None],
    begin: float,
) -> Trials:
    """Run all trials on some workers, and collect the results in order."""
    done: dict[int, Any] = {}
    status = "finished"
    with runner.interrupts() as stop, ThreadPoolExecutor(workers) as pool:
        report("simulate", 0, len(numbers), 0.0)
        jobs: list[Future[Any]] = [pool.submit(_unless, stop, run_one, k) for k in range(len(numbers))]
        try:
            for k, job in enumerate(jobs):
                try:
                    found = job.result()
                except DivergedError as e:
                    stop.set()
                    failure = DivergedError(f"trial {numbers[k]}: {e.message}", e.where)
                    failure.results = _gathered(numbers, done, "diverged", begin)  # type: ignore[attr-defined]
                    raise failure from None
                if found is None:
                    status = "interrupted"
                    continue
                done[k] = found
                report("simulate", len(done), len(numbers), time.perf_counter() - begin)
        except BaseException:
            stop.set()
            for job in jobs:
                job.cancel()
            raise
    return _gathered(numbers, done, status, begin)


def _unless(stop: threading.Event, run_one: Callable[[int, threading.Event], Any], k: int) -> Any:
    return None if stop.is_set() else run_one(k, stop)


def _gathered(numbers: Sequence[int], done: Mapping[int, Any], status: str, begin: float) -> Trials:
    at = sorted(done)
    return Trials([numbers[k] for k in at], [done[k] for k in at], status, time.perf_counter() - begin)


def _numbers(trials: Any, where: str | None) -> list[int]:
    """Return the numbers of the trials."""
    if isinstance(trials, (int, np.integer)) and not isinstance(trials, bool):
        if trials < 0:
            raise ParameterError(f"trials must be a number of trials, 0 or more; got {trials}", where)
        return list(range(int(trials)))
    try:
        numbers = [int(k) for k in trials]
        whole = all(k == n and n >= 0 for k, n in zip(trials, numbers, strict=True))
    except (TypeError, ValueError):
        whole, numbers = False, []
    if not whole or len(set(numbers)) < len(numbers):
        raise ParameterError(f"trials must be a number, or different whole numbers from 0 on; got {trials!r}", where)
    return numbers


def _rows(vary: Mapping[str, Any], count: int, where: str | None) -> dict[str, Any]:
    """Return path -> a sequence with one value for each trial."""
    out = {}
    for path, values in vary.items():
        raw = values.value if isinstance(values, Quantity) else values
        if isinstance(raw, str) or np.ndim(raw) == 0 or len(raw) != count:
            has = "one value" if isinstance(raw, str) or np.ndim(raw) == 0 else f"{len(raw)}"
            raise ParameterError(f"what varies needs a row for each of the {count} trials: '{path}' has {has}", where)
        out[path] = values
    return out


def _shown(value: Any) -> str:
    raw = value.value if isinstance(value, Quantity) else value
    return str(value) if np.ndim(raw) == 0 else f"array of {len(raw)}"

"""Trials: many runs of one network that differ in what is drawn in every step, or in the values of some parameters.

The network is built once. Every trial is a run of its own on one thread, and as many go on at a time as there are
cores; each gives the bits that ``net.run(…, trial=k)`` gives.
"""

from __future__ import annotations

import importlib
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, overload

import numpy as np

from neurosim import memory
from neurosim import run as runner
from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, UnknownNameError, UnsupportedError, caller, suggest
from neurosim.ir.graph import Graph
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.network import Network
from neurosim.recording.atomic import refusal
from neurosim.units import TIME, Quantity, scalar


class Trials(Sequence[Any]):
    """The results of some trials, in their order.

    Attributes
    ----------
    numbers : tuple of int
        Which trials: ``trials[i]`` is the result of ``net.run(…, trial=numbers[i])``.
    status : str
        ``finished``; or ``interrupted`` or ``failed``: these are those that had ended when Ctrl-C came, or another one
        failed.
    wall_s : float
        Seconds that all took together, building included.
    """

    def __init__(
        self, numbers: Sequence[int], results: Sequence[Any], status: str, wall_s: float, sizes: Mapping[str, int]
    ) -> None:
        self.numbers, self._results, self.status, self.wall_s = tuple(numbers), list(results), status, wall_s
        self._sizes = dict(sizes)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Trials: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Trials(self.numbers[index], self._results[index], self.status, self.wall_s, self._sizes)
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._results)

    def counts(self, population: str) -> np.ndarray:
        """Return how many spikes a population had in each trial: int64 [trials]; recorded or not."""
        if population not in self._sizes:
            raise UnknownNameError(f"no population '{population}'{suggest(population, self._sizes)}", caller())
        return np.array([result.counts[population] for result in self._results], dtype=np.int64)

    def neuron_counts(self, population: str) -> np.ndarray:
        """Return how often each neuron spiked in each trial: int64 [trials, neurons]; its spikes are recorded."""
        rows = [np.bincount(s.ids, minlength=s.size) for s in (result.spikes[population] for result in self._results)]
        return np.array(rows, dtype=np.int64).reshape(len(rows), -1)

    def save(self, directory: str | os.PathLike[str]) -> list[str]:
        """Write each result to a file ``trial_<number>.h5`` of a folder, and return the paths.

        Raises
        ------
        ResultFileError
            The folder cannot be made, or a file not be written.
        """
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise refusal(os.fspath(directory), error, caller()) from None
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
    trials: int | Iterable[int],
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
    trials : int or iterable of int
        How many (numbered from 0), or which. Trial 0 is the run that ``net.run`` makes.
    vary : mapping, optional
        ``population.parameter`` -> its values: an array, quantity or list with one row for each trial, of one value or
        of one for each neuron. Whatever follows from them is computed anew.
    backend, precision, weight_bits, **extra
        As :meth:`~neurosim.lang.network.Network.run` takes them.
    threads : int, optional
        How many trials go on at a time on ``native``, one thread each; the number of cores by default. Other backends
        run one after the other.
    progress : callable or bool, optional
        Told how many trials have ended; True prints a bar.

    Raises
    ------
    NeurosimError
        As a run of a trial would; it names the trial, and ``error.results`` are those that had ended.
    """
    where = caller()
    if runner.intercept is not None:
        raise ParameterError("a script that runs trials is run by python, not by 'neurosim run'", where)
    numbers = _numbers(trials, where)
    if progress is True:
        with importlib.import_module("neurosim.cli.progress").Bar(network.dt) as bar:
            return run_trials(network, duration, numbers, vary=vary, backend=backend, threads=threads,
                              precision=precision, weight_bits=weight_bits, progress=bar, **extra)  # fmt: skip
    seconds = scalar(duration, TIME, "duration", where)
    if seconds < 0:
        raise ParameterError(f"duration must not be negative, got {duration}", where)
    own = inspect.signature(run_trials).parameters
    for key in (k for k in extra if k in inspect.signature(runner.simulate).parameters):
        raise ParameterError(f"run_trials has no option '{key}'{suggest(key, own)}", where)
    chosen = runner.chosen(backend, None, extra, where)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1):
        raise ParameterError(f"threads must be a whole number of at least 1, got {threads!r}", where)
    if threads not in (None, 1) and not chosen.concurrent:
        raise UnsupportedError(f"backend '{backend}' runs trials one after the other: leave threads out", where)
    how = {"precision": precision, "weight_bits": weight_bits}
    batch = _Batch(
        network, whole_steps(seconds, network.dt, "the duration", where), numbers, _rows(network, vary, numbers, where),
        chosen, how, extra,
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    workers = max(1, min(int(threads or cores), len(numbers))) if chosen.concurrent else 1
    try:
        return batch.run(workers, progress or (lambda stage, done, total, wall: None))
    finally:
        batch.pattern.close()


_LOOK = 0.2
"""Wall seconds after which a trial looks whether it is to stop."""


class _Batch:
    """What the trials of one call have in common."""

    def __init__(
        self, network: Network, steps: int, numbers: list[int], rows: Mapping[str, Any], chosen: Any,
        how: Mapping[str, Any], extra: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.begin = time.perf_counter()
        self.network, self.steps, self.numbers, self.rows, self.chosen, self.how = (
            network, steps, numbers, rows, chosen, how,
        )  # fmt: skip
        self.plain = compile_network(network, **how)
        self.first = self._graph(0) if numbers else self.plain
        chosen.check(self.first)
        memory.fits(chosen, self.first, 1)
        memory.holds(self.first, steps, runs=max(1, len(numbers)))
        self.options = importlib.import_module("neurosim.backends.base").Options(
            threads=1 if chosen.threads else None, extra=extra
        )
        with runner.blamed(chosen.name):
            self.pattern = chosen.build(self.first, self.options)  # the first trial's engine; others take from it

    def _graph(self, k: int) -> Graph:
        """Return the graph of the k-th of these trials."""
        if not self.rows:
            return replace(self.plain, trial=self.numbers[k])
        copy = self.network.copy()
        for path, values in self.rows.items():
            copy.set_parameter(path, values[k])
        return replace(compile_network(copy, **self.how), trial=self.numbers[k])

    def run(self, workers: int, report: Callable[..., None]) -> Trials:
        """Run all on some workers, and collect the results in the order of their numbers."""
        done: dict[int, Any] = {}
        failed: tuple[int, NeurosimError] | None = None
        with runner.interrupts() as stop:
            report("simulate", 0, len(self.numbers), 0.0)
            for k, outcome in self._outcomes(workers, stop):
                try:
                    found = outcome()
                except NeurosimError as e:
                    stop.set()
                    failed = failed if failed is not None and failed[0] < k else (k, e)
                    continue
                if found is not None:
                    done[k] = found
                    report("simulate", len(done), len(self.numbers), time.perf_counter() - self.begin)
        at = sorted(done)
        status = "failed" if failed is not None else "finished" if len(done) == len(self.numbers) else "interrupted"
        sizes = {p.name: p.size for p in self.plain.populations}
        results = Trials([self.numbers[k] for k in at], [done[k] for k in at], status,
                         time.perf_counter() - self.begin, sizes)  # fmt: skip
        if failed is not None:
            k, error = failed
            named = type(error)(f"trial {self.numbers[k]}: {error.message}", error.where)
            named.results = results
            raise named from error
        return results

    def _outcomes(self, workers: int, stop: threading.Event) -> Iterator[tuple[int, Callable[[], Any]]]:
        """Yield the place of each trial that is due, and what returns its result or raises its error.

        A single worker is this thread: an engine that cannot be shared may not survive another one either (NEST).
        """
        if workers == 1:
            yield from ((k, partial(self._one, k, stop)) for k in range(len(self.numbers)))
            return
        with ThreadPoolExecutor(workers) as pool:
            jobs = {pool.submit(self._one, k, stop): k for k in range(len(self.numbers))}
            try:
                yield from ((jobs[job], job.result) for job in as_completed(jobs))
            finally:  # whatever ended the loop: those that have not begun are not begun, those that run see it
                if any(not job.done() for job in jobs):
                    stop.set()
                for job in jobs:
                    job.cancel()

    def _one(self, k: int, stop: threading.Event) -> Any:
        """Run one trial; None where it was stopped."""
        if stop.is_set():
            return None
        name, steps = self.chosen.name, self.steps
        graph = self.first if k == 0 else self._graph(k)
        started, at = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
        self.chosen.check(graph)
        with runner.blamed(name):
            engine = self.pattern if k == 0 else self.chosen.build_like(graph, self.options, self.pattern)
        told = {"trial": str(self.numbers[k])} if self.numbers[k] else {}
        told |= {path: _shown(values[k]) for path, values in self.rows.items()}
        provenance = runner.provenance_of(graph, engine, self.chosen, steps, started, time.perf_counter() - at).replace(
            overrides=told
        )
        sink = runner.Sink(graph, provenance, None)
        done, stretch, start = 0, max(1, steps if engine.at_once else min(steps, 200)), time.perf_counter()
        try:
            while done < steps and not stop.is_set():
                before, now = time.perf_counter(), min(stretch, steps - done)
                with runner.blamed(name):
                    engine.advance(now)
                done += now
                sink.take(runner.drained(engine, graph, name), done)
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


def _numbers(trials: Any, where: str | None) -> list[int]:
    """Return the numbers of the trials."""
    if isinstance(trials, (int, np.integer)) and not isinstance(trials, bool):
        if trials < 0:
            raise ParameterError(f"trials must be a number of trials, 0 or more; got {trials}", where)
        return list(range(int(trials)))
    given = list(trials) if isinstance(trials, Iterable) and not isinstance(trials, str) else [trials]
    whole = all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 0 for k in given)
    if not whole or len(set(given)) < len(given) or given == [trials]:
        raise ParameterError(f"trials must be a number, or different whole numbers from 0 on; got {trials!r}", where)
    return [int(k) for k in given]


def _rows(network: Network, vary: Any, numbers: list[int], where: str | None) -> dict[str, Any]:
    """Return path -> a sequence with one value for each trial, all of which the network takes."""
    if vary is None:
        return {}
    if not isinstance(vary, Mapping):
        raise ParameterError(f"vary maps 'population.parameter' to values, one row a trial; got {vary!r}", where)
    out = {}
    for path, values in vary.items():
        raw: Any = values.value if isinstance(values, Quantity) else values
        one = isinstance(raw, str) or not hasattr(raw, "__len__") or (isinstance(raw, np.ndarray) and raw.ndim == 0)
        if one or len(raw) != len(numbers):
            has = "one value" if one else f"{len(raw)}"
            raise ParameterError(
                f"what varies needs a row for each of the {len(numbers)} trials: '{path}' has {has}", where
            )
        out[path] = values
    for k, number in enumerate(numbers if out else ()):
        copy = network.copy()
        for path, values in out.items():
            try:
                copy.set_parameter(path, values[k])
            except NeurosimError as e:
                raise type(e)(f"trial {number}: {e.message}", where) from None
    return out


def _shown(value: Any) -> str:
    raw: Any = value.value if isinstance(value, Quantity) else value
    return str(value) if np.ndim(raw) == 0 else f"array of {len(raw)}"

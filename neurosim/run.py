"""Running a network: compile, build, step, record, and say how it ended."""

from __future__ import annotations

import importlib
import inspect
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import (
    BackendError,
    DivergedError,
    NeurosimError,
    ParameterError,
    ResultFileError,
    UnsupportedError,
    caller,
    origin,
    suggest,
)
from neurosim.habits import OPTIONS, elsewhere
from neurosim.ir.graph import Graph, ProbeNode, digest
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.network import Network
from neurosim.memory import available_memory, fits, holds
from neurosim.registry import BACKENDS, load_backend
from neurosim.units import TIME, Quantity, scalar

Progress = Callable[[str, int, int, float], None]
"""Called as ``progress(stage, done, total, seconds)``: stage ``build`` or ``simulate``, steps, wall time in it."""

intercept: Callable[[Network, Any, dict[str, Any]], None] | None = None
"""Called first with what a run was asked for, where it is set: the command line reads scripts that run a network."""

_TICK = 0.1
"""Wall seconds that one uninterrupted stretch of steps aims at: how soon Ctrl-C and the progress bar react."""


def simulate(
    network: Network,
    duration: Quantity,
    *,
    backend: str = "native",
    threads: int | None = None,
    precision: str = "double",
    weight_bits: int | None = None,
    output: str | os.PathLike[str] | None = None,
    load: bool | None = None,
    progress: Progress | bool | None = None,
    overrides: Mapping[str, str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: Quantity | None = None,
    resume: bool = False,
    trial: int = 0,
    **extra: Any,
) -> Any:
    """Simulate a network.

    Parameters
    ----------
    network : Network
        What to run.
    duration : Quantity
        Biological time, a whole number of steps.
    backend : str
        A name that ``neurosim backends`` lists.
    threads : int, optional
        Threads for backends that have them; by default as many as the machine has cores, where that pays. The spikes
        do not depend on it.
    precision : {"double", "single"}
        Of the state.
    weight_bits : {40, 24}, optional
        Bits of the weights below the largest of their receptor.
    output : path, optional
        Stream what is recorded to this HDF5 file, in bounded memory.
    load : bool, optional
        Whether the result of a run with ``output`` is read back from the file; by default if it is small against the
        memory that is free.
    progress : callable or bool, optional
        Told how far the run is; True prints a bar.
    overrides : mapping, optional
        Kept in the provenance (what ``--set`` changed).
    checkpoint : path, optional
        A folder in which the run keeps where it is: at the end, after Ctrl-C, and every ``checkpoint_every``.
    checkpoint_every : Quantity, optional
        Biological time between two states in it.
    resume : bool
        Go on from the last state in it, up to ``duration``, with the spikes of a run that was never interrupted; the
        result holds what was recorded before, too. Nothing is there yet: start at 0.
    trial : int
        Which trial: one draws numbers of its own in every step (noise, Poisson input, escape), and has the same
        connections, weights, drawn parameters and initial values. :meth:`Network.run_trials` runs many.
    **extra
        Options of the backend.

    Returns
    -------
    RunResult
        With ``provenance.status`` ``finished``, or ``interrupted`` after Ctrl-C (what was recorded is kept).
    """
    where = caller()
    if intercept is not None:
        asked = {"backend": backend, "threads": threads, "precision": precision, "weight_bits": weight_bits,
                 **({"trial": trial} if trial else {}), **extra}  # fmt: skip
        intercept(network, duration, asked)
    if progress is True:
        with importlib.import_module("neurosim.cli.progress").Bar(network.dt) as bar:
            return simulate(
                network,
                duration,
                backend=backend,
                threads=threads,
                precision=precision,
                weight_bits=weight_bits,
                output=output,
                load=load,
                progress=bar,
                overrides=overrides,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
                trial=trial,
                **extra,
            )
    if not isinstance(trial, (int, np.integer)) or isinstance(trial, bool) or trial < 0:
        raise ParameterError(f"trial must be a whole number from 0 on, got {trial!r}", where)
    seconds = scalar(duration, TIME, "duration", where)
    if seconds < 0:
        raise ParameterError(f"duration must not be negative, got {duration}", where)
    steps = whole_steps(seconds, network.dt, "the duration", where)
    engine_class = chosen(backend, threads, extra, where)
    interval = _interval(network, checkpoint, checkpoint_every, resume, where)
    if checkpoint is not None and not engine_class.checkpoints:
        raise UnsupportedError(
            f"backend '{backend}' keeps no checkpoints: leave it out, or run with backend='native'", where
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    begin = time.perf_counter()
    graph = replace(compile_network(network, precision=precision, weight_bits=weight_bits), trial=int(trial))
    engine_class.check(graph)
    fits(engine_class, graph, threads)
    holds(graph, steps, streamed=output is not None)
    report: Progress = progress or (lambda stage, done, total, wall: None)
    report("build", 0, steps, 0.0)
    kept = None
    if checkpoint is not None:
        kept = importlib.import_module("neurosim.recording.checkpoint").Checkpoints(checkpoint, resume)
        threads = kept.threads or threads
    options = importlib.import_module("neurosim.backends.base").Options(threads=threads, extra=extra)
    with _held(kept), blamed(backend):
        engine = engine_class.build(graph, options)
    compiled = getattr(engine, "timings", {}).get("compile", 0.0)
    built = time.perf_counter() - begin - compiled
    report("build", steps, steps, built)
    provenance = provenance_of(graph, engine, engine_class, steps, started, built).replace(
        backend=backend, duration_s=seconds, overrides={**({"trial": str(trial)} if trial else {}), **(overrides or {})}
    )
    done, status, failure = 0, "finished", None
    with _held(kept):
        sink = Sink(graph, provenance, output)
        if kept is not None:
            done = _resume(kept, engine, sink, provenance, steps)
    start = time.perf_counter()
    try:
        with interrupts() as stop:
            stretch = max(1, steps if engine.at_once else min(steps, 20))
            while done < steps:
                now = min(stretch, steps - done, steps if interval is None else interval - done % interval)
                before = time.perf_counter()
                with blamed(backend):
                    engine.advance(now)
                done += now
                found = drained(engine, graph, backend)
                sink.take(found, done)
                if kept is not None:
                    kept.take(found)
                    if done == steps or stop.is_set() or (interval is not None and done % interval == 0):
                        kept.save(done, engine.threads, engine.snapshot())
                wall = time.perf_counter() - before
                report("simulate", done, steps, time.perf_counter() - start)
                stretch = int(np.clip(now * _TICK / max(wall, 1e-6), max(1, now // 4), now * 4))
                if stop.is_set():
                    status = "interrupted"
                    break
    except DivergedError as e:
        status, failure = "diverged", e
        done = max(done, int(getattr(engine, "n", done)))
        sink.take(engine.drain(), done)
    except BaseException:
        sink.abort()
        raise
    finally:
        wall = time.perf_counter() - start
        edges = engine.edges()
        learned = {p.name: engine.weights(p.name) for p in graph.projections if p.plasticity is not None}
        engine.close()
        if kept is not None:
            kept.close()
    provenance = provenance.replace(n_steps=done, wall_simulate_s=wall, status=status)
    result = sink.finish(
        provenance, load, lambda name: learned[name] if name in learned else projection_weights(graph, name)
    )
    result.edges = edges
    if failure is not None:
        failure.result = result  # type: ignore[attr-defined]
        raise failure
    return result


def chosen(backend: str, threads: int | None, extra: Mapping[str, Any], where: str | None) -> Any:
    """Return a backend that takes what a run asks for, or say what it does not take."""
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ParameterError(f"threads must be a whole number of at least 1, got {threads!r}", where)
    found = load_backend(backend)
    known = inspect.signature(simulate).parameters.keys() - {"network", "duration", "extra"} | set(found.options)
    for key in extra:
        if key not in known:
            more = elsewhere(key, OPTIONS) or suggest(key, known)
            raise ParameterError(f"backend '{backend}' has no option '{key}'{more}", where)
    if threads not in (None, 1) and not found.threads:
        raise UnsupportedError(f"backend '{backend}' runs on one thread: leave threads out", where)
    return found


def provenance_of(graph: Graph, engine: Any, backend: Any, steps: int, started: str, built: float) -> Any:
    """Return what is known of a run before it begins; ``built`` are the wall seconds that it took to build."""
    return importlib.import_module("neurosim.recording").Provenance(
        network=graph.name,
        network_hash=digest(graph),
        seed=graph.seed,
        dt=graph.dt,
        n_steps=steps,
        duration_s=steps * graph.dt,
        backend=backend.name,
        backend_version=backend.version(),
        precision=graph.precision,
        threads=engine.threads,
        versions=_versions(),
        started=started,
        wall_build_s=built,
        wall_compile_s=getattr(engine, "timings", {}).get("compile", 0.0),
    )


def _interval(network: Network, checkpoint: Any, every: Quantity | None, resume: bool, where: str | None) -> int | None:
    """Return the steps between two checkpoints, None where only the end is kept."""
    if checkpoint is None:
        if every is not None or resume:
            raise ParameterError(
                f"{'resume' if resume else 'checkpoint_every'} needs checkpoint, the folder of the states", where
            )
        return None
    if every is None:
        return None
    return whole_steps(scalar(every, TIME, "checkpoint_every", where), network.dt, "checkpoint_every", where, 1)


def _resume(kept: Any, engine: Any, sink: Sink, provenance: Any, steps: int) -> int:
    """Go to where a checkpoint is, with what was recorded until then; return the steps done."""
    try:
        kept.check({
            "network": provenance.network_hash, "backend": provenance.backend,
            "backend_version": provenance.backend_version, "precision": provenance.precision, "layout": engine.layout,
        })  # fmt: skip
        if kept.steps > steps:
            raise ParameterError(
                f"the checkpoint '{kept.shown}' is at {kept.steps * provenance.dt:.6g} s, beyond the duration of "
                f"{steps * provenance.dt:.6g} s: give a longer one",
                caller(),
            )
        if kept.steps:
            try:
                for recorded, done in kept.recorded():
                    if len(recorded.samples) != len(sink.graph.probes) or recorded.counts.keys() != sink.sizes.keys():
                        raise ValueError("other things were recorded")
                    sink.take(recorded, done)
                engine.restore(kept.arrays, kept.steps)
            except (LookupError, ValueError, TypeError) as error:  # the network is the same, and the files are not
                what = error.message if isinstance(error, NeurosimError) else str(error)
                raise ResultFileError(f"the checkpoint '{kept.shown}' cannot be gone on from: {what}; remove it to "
                                      "start at 0", caller()) from None  # fmt: skip
            kept.arrays = {}
    except BaseException:
        sink.abort()
        raise
    return kept.steps


@contextmanager
def _held(kept: Any) -> Iterator[None]:
    """Give the folder of the checkpoints back where a run does not come about."""
    try:
        yield
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def drained(engine: Any, graph: Graph, backend: str) -> Any:
    """Return what the engine hands over, after a look at whether it is all there."""
    with blamed(backend):
        out = engine.drain()
    spikes, samples, counts = (getattr(out, key, None) for key in ("spikes", "samples", "counts"))
    wanted = {p.target for p in graph.probes if p.variable in ("spikes", "rate")}
    complaint = None
    if not isinstance(spikes, dict) or not wanted <= spikes.keys():
        complaint = f"its spikes lack {', '.join(sorted(wanted - set(spikes or ())))}"
    elif not isinstance(counts, dict) or {p.name for p in graph.populations} != counts.keys():
        complaint = "its counts must name every population"
    elif samples is None or len(samples) != len(graph.probes):
        complaint = f"its samples must have one entry for each of the {len(graph.probes)} probes"
    if complaint:
        raise BackendError(f"backend '{backend}' broke its contract in drain(): {complaint}")
    return out


def projection_weights(graph: Graph, name: str) -> np.ndarray:
    """Return the weights of a projection as they are delivered, one per edge in the canonical order (SI)."""
    from neurosim.ir.edges import iter_edges

    parts = [
        np.broadcast_to(np.asarray(e.weight, dtype=np.float64), (len(e),))
        for e in iter_edges(graph, graph.projection(name))
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


@contextmanager
def blamed(backend: str) -> Iterator[None]:
    """Name the backend where one that another package brings raises something of its own."""
    try:
        yield
    except NeurosimError:
        raise
    except Exception as e:
        if backend in BACKENDS:
            raise
        raise BackendError(f"backend '{backend}' failed: {type(e).__name__}: {e}", origin(e)) from e


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request to stop between two stretches; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handler(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    old = signal.signal(signal.SIGINT, handler)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, old)


def _versions() -> dict[str, str]:
    out = {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform(terse=True)}
    for name, package in (("neurosim", "neurosim-snn"), ("numba", "numba")):
        try:
            out[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return out


class Sink:
    """Takes what the engine recorded, stretch by stretch, into memory or into a file."""

    def __init__(self, graph: Graph, provenance: Any, output: str | os.PathLike[str] | None) -> None:
        self.graph, self.output = graph, output
        self.records = importlib.import_module("neurosim.recording")
        self.sizes = {p.name: p.size for p in graph.populations}
        self.wanted: dict[str, np.ndarray | None] = {}
        for p in graph.probes:
            if p.variable == "spikes":
                before = self.wanted.get(p.target, np.zeros(0, np.int64))
                if p.ids is None or before is None:  # one probe of the whole population takes in all others
                    self.wanted[p.target] = None
                else:
                    self.wanted[p.target] = np.unique(np.concatenate([before, p.ids]))
        self.spikes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {k: [] for k in self.wanted}
        self.traces: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.bins: dict[int, np.ndarray] = {}
        self.counts = dict.fromkeys(self.sizes, 0)
        self.writer = None if output is None else self.records.StreamWriter(output, provenance, self.sizes)
        if self.writer is not None:
            for name, ids in self.wanted.items():
                self.writer.record_spikes(name, ids)

    def take(self, drained: Any, done: int) -> None:
        """Take one stretch."""
        for name, count in drained.counts.items():
            self.counts[name] += count
        for name, ids in self.wanted.items():
            steps, neurons = drained.spikes[name]
            if ids is not None:
                keep = np.isin(neurons, ids)
                steps, neurons = steps[keep], neurons[keep]
            if self.writer is not None:
                self.writer.spikes(name, steps, neurons)
            elif len(steps):
                self.spikes[name].append((steps, neurons))
        for k, probe in enumerate(self.graph.probes):
            if probe.variable == "rate":
                self._count(k, probe, drained, done)
            elif drained.samples[k] is not None and len(drained.samples[k][0]):
                steps, values = drained.samples[k]
                if self.writer is not None and not probe.edge:
                    times = (steps + 1) * self.graph.dt
                    self.writer.trace(
                        probe.target, probe.variable, times, values, ids=self._ids(probe), unit=self._unit(probe)
                    )
                else:
                    self.traces.setdefault(k, []).append((steps, values))
        if self.writer is not None:
            self.writer.reached = done

    def _count(self, k: int, probe: ProbeNode, drained: Any, done: int) -> None:
        steps, neurons = drained.spikes[probe.target]
        if probe.ids is not None:
            steps = steps[np.isin(neurons, probe.ids)]
        counts = np.bincount(steps // probe.every, minlength=-(-done // probe.every)).astype(np.float64)
        before = self.bins.get(k, np.zeros(0))
        counts[: len(before)] += before
        self.bins[k] = counts

    def _ids(self, probe: ProbeNode) -> np.ndarray:
        return np.arange(self.sizes[probe.target]) if probe.ids is None else probe.ids

    def _unit(self, probe: ProbeNode) -> str:
        return self.graph.population(probe.target).state(probe.variable).unit

    def abort(self) -> None:
        """Leave nothing behind."""
        if self.writer is not None:
            self.writer.abort()

    def finish(self, provenance: Any, load: bool | None, weights: Callable[[str], np.ndarray]) -> Any:
        """Make the result, and close the file."""
        dt, steps = self.graph.dt, provenance.n_steps
        rates = {}
        for k, probe in enumerate(self.graph.probes):
            if probe.variable == "rate":
                whole = self.bins.get(k, np.zeros(0))[: steps // probe.every]
                rates[probe.target] = self.records.RateTrace(
                    whole / (len(self._ids(probe)) * probe.every * dt), probe.every * dt
                )
        traces = {}
        for k, probe in enumerate(self.graph.probes):
            if probe.edge:
                proj = self.graph.projection(probe.target)
                values = weights(probe.target)
                times = np.arange(1, steps // probe.every + 1) * probe.every * dt
                parts = None if proj.plasticity is None else self.traces.get(k, [])
                name, unit = probe.target, proj.weight_unit
                if probe.variable != "weight" and proj.plasticity is not None:
                    name, unit = f"{name}.{probe.variable}", proj.plasticity.units[probe.variable]
                traces[name] = self.records.WeightTrace(
                    unit,
                    np.arange(len(values)),
                    times,
                    np.broadcast_to(values, (len(times), len(values)))
                    if parts is None
                    else np.concatenate([np.zeros((0, len(values))), *(p[1] for p in parts)]),
                )
        if self.writer is not None:
            for name, trace in rates.items():
                self.writer.rate(name, trace)
            for name, trace in traces.items():
                self.writer.weight_trace(name, trace.times, trace.values, trace.edges, trace.unit)
            self.writer.close(provenance)
            assert self.output is not None
            free = available_memory()
            if load or (load is None and (free is None or os.path.getsize(self.output) < free / 8)):
                result = self.records.RunResult.load(self.output)
                result._weights = weights
                result.counts = dict(self.counts)
                return result
        spikes, state = {}, {}
        if self.writer is None:
            for name, parts in self.spikes.items():
                joined = [np.concatenate([p[i] for p in parts]) if parts else np.zeros(0, np.int64) for i in (0, 1)]
                spikes[name] = self.records.Spikes(
                    joined[0], joined[1], self.sizes[name], dt, steps, 0, self.wanted[name]
                )
            for k, probe in enumerate(self.graph.probes):
                if not probe.sampled:
                    continue
                nothing = (np.zeros(0, np.int64), np.zeros((0, len(self._ids(probe)))))
                parts = self.traces.get(k) or [nothing]
                at = np.concatenate([p[0] for p in parts])
                trace = self.records.Trace(
                    probe.variable,
                    self._unit(probe),
                    self._ids(probe),
                    (at + 1) * dt,
                    np.concatenate([p[1] for p in parts]),
                )
                state.setdefault(probe.target, {})[probe.variable] = trace
        result = self.records.RunResult(self.sizes, provenance, spikes, state, rates, traces, weights)
        result.counts = dict(self.counts)
        return result

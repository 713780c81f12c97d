"""What a population has recorded, and the Neo objects it is handed out as.

A spike found in step n is at (n + 1) dt here, as PyNN's NEST reports it; a signal begins with the initial value at 0
and goes on with the values at the ends of the steps.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, UnknownNameError, caller, suggest


@dataclasses.dataclass
class Trial:
    """Recorded data between two resets: spikes by step, and signals as (steps, values in PyNN's units)."""

    steps: int
    spikes: tuple[np.ndarray, np.ndarray]
    signals: dict[str, tuple[np.ndarray, np.ndarray]]
    annotations: dict[str, Any]
    since: dict[str, int]
    recorded: dict[str, np.ndarray]


class Recorder:
    """What one population records: variable -> ids, and from which step on."""

    def __init__(self, population: Any) -> None:
        self.population = population
        self.recorded: dict[str, np.ndarray] = {}
        self.since: dict[str, int] = {}
        self.every = 1
        self.trials: list[Trial] = []
        self.start()

    # -- what to record ---------------------------------------------------------------------------------------------

    def record(self, variables: Any, ids: np.ndarray, interval: float | None, where: str | None) -> None:
        """Add cells to the recorded ones of some variables."""
        population, sim = self.population, self.population.simulation
        known = population.celltype.recordable
        names = known if variables == "all" else [variables] if isinstance(variables, str) else list(variables)
        for name in names:
            if name not in known:
                raise UnknownNameError(
                    f"'{name}' cannot be recorded from {type(population.celltype).__name__}{suggest(str(name), known)}",
                    where,
                )
        if interval is not None:
            every = sim.rounded(interval, "a sampling interval", where, least=1)
            if int(every) != self.every and any(k != "spikes" for k in self.recorded):
                raise ParameterError(
                    f"'{population.label}' samples every {self.every * sim.timestep:g} ms already: all variables of a "
                    "population share one sampling interval", where)  # fmt: skip
            self.every = int(every)
        for name in names:
            before = self.recorded.get(name, np.zeros(0, np.int64))
            self.recorded[name] = np.union1d(before, ids).astype(np.int64)
            self.since.setdefault(name, sim.steps)
        sim.anew()

    def stop(self) -> None:
        """Record nothing from now on."""
        self.recorded, self.since = {}, {}
        self.population.simulation.anew()

    # -- what was recorded ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Forget what the current trial has brought: the engine starts from 0."""
        self._spikes: list[tuple[np.ndarray, np.ndarray]] = []
        self._samples: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}

    def take_spikes(self, steps: np.ndarray, ids: np.ndarray) -> None:
        """Keep the spikes of a stretch."""
        self._spikes.append((steps, ids))

    def take_samples(self, variable: str, steps: np.ndarray, values: np.ndarray) -> None:
        """Keep the samples of a stretch."""
        self._samples.setdefault(variable, []).append((steps, values))

    def trial(self, annotations: dict[str, Any] | None = None) -> Trial:
        """Return what the current trial has brought so far."""
        population = self.population
        empty = np.zeros(0, np.int64)
        steps, ids = (np.concatenate([empty, *(part[k] for part in self._spikes)]) for k in (0, 1))
        if "spikes" in self.recorded:
            keep = np.isin(ids, self.recorded["spikes"]) & (steps >= self.since["spikes"])
            steps, ids = steps[keep], ids[keep]
        signals = {}
        for name in self.recorded:
            if name == "spikes":
                continue
            parts = self._samples.get(population.celltype.variables[name], [])
            width = len(self.recorded[name])
            ends = np.concatenate([empty, *(p[0] for p in parts)]) + 1
            values = np.concatenate([np.zeros((0, width)), *(p[1] for p in parts)])
            values = values / getattr(population.celltype.scale(name), "value", 1.0)
            first = np.broadcast_to(population.initial(name), (population.size,))[self.recorded[name]]
            ends, values = np.append(0, ends), np.concatenate([first[None, :], values])
            keep = ends >= self.since[name]
            signals[name] = (ends[keep], values[keep])
        return Trial(population.simulation.steps, (steps, ids), signals, dict(annotations or {}), dict(self.since),
                     dict(self.recorded))  # fmt: skip

    def finish_trial(self, annotations: dict[str, Any]) -> None:
        """Put the current trial aside, and begin another."""
        if self.population.simulation.steps:
            self.trials.append(self.trial(annotations))
        self.since = dict.fromkeys(self.since, 0)
        self.start()

    def clear(self) -> None:
        """Drop all data up to now."""
        self.trials = []
        self.since = {name: self.population.simulation.steps for name in self.since}

    def all_trials(self) -> list[Trial]:
        """Return the trials, the current one last if it has begun."""
        return [*self.trials, *([self.trial()] if self.population.simulation.begun else [])]

    def counts(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of spikes of some cells in the current trial (in the last one after a reset)."""
        trials = self.all_trials()
        found = trials[-1].spikes[1] if trials else np.zeros(0, np.int64)
        return np.bincount(found, minlength=self.population.size)[ids]


def neo_module() -> Any:
    """Return the module neo, or say how to install it."""
    try:
        return importlib.import_module("neo")
    except ImportError:
        raise BackendMissingError(
            "get_data() and write_data() hand out Neo objects, and neo is not installed: pip install neo", caller()
        ) from None


def block(population: Any, variables: Any, ids: np.ndarray, label: str, annotations: dict[str, Any] | None) -> Any:
    """Return a Neo block of what some cells of a population recorded, one segment a trial."""
    neo = neo_module()
    recorder, sim, where = population.recorder, population.simulation, caller()
    wanted = None if variables == "all" else {variables} if isinstance(variables, str) else set(variables)
    for name in wanted or ():
        if not any(name in t.recorded for t in recorder.all_trials()) and name not in recorder.recorded:
            raise UnknownNameError(
                f"'{name}' of '{label}' was not recorded (recorded: {', '.join(recorder.recorded) or 'nothing'}); call "
                f"record('{name}') before the run", where)  # fmt: skip
    out = neo.Block(name=label, description=population.describe(), rec_datetime=datetime.now())
    out.annotate(size=population.size, first_index=0, last_index=population.size, label=label, simulator="neurosim",
                 dt=sim.timestep, mpi_processes=1, **population.annotations, **(annotations or {}))  # fmt: skip
    for k, trial in enumerate(recorder.all_trials()):
        segment = neo.Segment(name=f"segment{k:03d}", description=population.describe(), rec_datetime=datetime.now())
        segment.annotate(**trial.annotations)
        for name in trial.recorded:
            if wanted is None or name in wanted:
                _fill(neo, segment, population, trial, name, np.intersect1d(trial.recorded[name], ids), label)
        segment.block = out
        out.segments.append(segment)
    return out


def _fill(neo: Any, segment: Any, population: Any, trial: Trial, name: str, ids: np.ndarray, label: str) -> None:
    sim = population.simulation
    start = trial.since[name] * sim.timestep
    if name == "spikes":
        steps, who = trial.spikes
        order = np.argsort(who, kind="stable")
        steps, who = steps[order], who[order]
        left, right = np.searchsorted(who, ids, "left"), np.searchsorted(who, ids, "right")
        for k, a, b in zip(ids.tolist(), left, right, strict=True):
            train = neo.SpikeTrain(
                (steps[a:b] + 1) * sim.timestep,
                units="ms",
                t_start=start,
                t_stop=trial.steps * sim.timestep,
                source_population=label,
                source_index=k,
                channel_id=int(population.first_id) + k,
                source_id=int(population.first_id) + k,
            )
            train.segment = segment
            segment.spiketrains.append(train)
        return
    ends, values = trial.signals[name]
    if not len(ids) or not len(ends):
        return
    columns = np.searchsorted(trial.recorded[name], ids)
    signal = neo.AnalogSignal(
        values[:, columns],
        units=population.celltype.units[name] or "dimensionless",
        t_start=ends[0] * sim.timestep * _ms(),
        sampling_period=population.recorder.every * sim.timestep * _ms(),
        name=name,
        source_population=label,
        channel_ids=(ids + int(population.first_id)).astype(int),
        array_annotations={"channel_index": ids.astype(int)},
    )
    signal.segment = segment
    segment.analogsignals.append(signal)


def _ms() -> Any:
    return importlib.import_module("quantities").ms  # neo needs it too


def write(data: Any, io: Any) -> None:
    """Write a block with a Neo IO object, or to a file whose suffix says which: .pkl, .nix, .h5, .nwb, .mat."""
    neo, where = neo_module(), caller()
    if isinstance(io, (str, os.PathLike)):
        path = os.fspath(io)
        kinds = {
            ".pkl": "PickleIO",
            ".pickle": "PickleIO",
            ".nix": "NixIO",
            ".h5": "NixIO",
            ".nwb": "NWBIO",
            ".mat": "NeoMatlabIO",
        }
        suffix = os.path.splitext(path)[1]
        if suffix not in kinds:
            raise ParameterError(f"'{path}': data are written as {', '.join(kinds)}; '{suffix}' is none of them", where)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        try:
            io = getattr(neo.io, kinds[suffix])(filename=path)
        except (ImportError, AssertionError) as e:
            raise BackendMissingError(
                f"'{path}': Neo's {kinds[suffix]} lacks a package: {e}; .pkl needs none", where
            ) from e
    io.write_block(data)


def merged(blocks: Iterable[Any], label: str, offsets: Iterable[int]) -> Any:
    """Return one block with the segments of several: what the members of an assembly recorded."""
    first: Any = None
    for one, offset in zip(blocks, offsets, strict=True):
        for segment in one.segments:
            for signal in segment.analogsignals:
                signal.array_annotations["channel_index"] = signal.array_annotations["channel_index"] + offset
        if first is None:
            first = one
            continue
        for mine, other in zip(first.segments, one.segments, strict=True):
            for train in other.spiketrains:
                train.segment = mine
                mine.spiketrains.append(train)
            for signal in other.analogsignals:
                signal.segment = mine
                mine.analogsignals.append(signal)
    first.name = label
    return first

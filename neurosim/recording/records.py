"""What a run leaves behind: spikes, traces, and where they came from.

Times follow the grid: a spike found in step n is stamped n dt; the value of a variable after step n is labelled
(n + 1) dt, the end of that step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest

STATUSES = ("finished", "interrupted", "diverged")

T = TypeVar("T")


def _frozen(array: Any, dtype: Any = None) -> np.ndarray:
    """Return a contiguous array that cannot be written to (a view: the caller's own array is left alone)."""
    kept = np.ascontiguousarray(array, dtype=dtype).view()
    kept.flags.writeable = False
    return kept


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@dataclasses.dataclass(frozen=True, eq=False)
class Spikes:
    """All spikes of one population in one run.

    Attributes
    ----------
    steps, ids : numpy.ndarray
        Step and neuron of each spike, int64, sorted by (step, id); given in another order they are sorted.
    size : int
        Number of neurons in the population.
    dt : float
        Length of a step, s.
    n_steps, start_step : int
        Steps that were run, and the number of the first of them.
    recorded : numpy.ndarray or None
        Ids that were recorded, ascending; None means all.
    """

    steps: np.ndarray
    ids: np.ndarray
    size: int
    dt: float
    n_steps: int
    start_step: int = 0
    recorded: np.ndarray | None = None

    def __post_init__(self) -> None:
        steps, ids = np.asarray(self.steps, dtype=np.int64), np.asarray(self.ids, dtype=np.int64)
        if steps.ndim != 1 or steps.shape != ids.shape:
            raise ParameterError(f"steps and ids must be two rows of equal length, not {steps.shape} and {ids.shape}")
        if not (self.dt > 0 and self.size >= 0 and self.n_steps >= 0):
            raise ParameterError(
                f"dt must be positive, size and n_steps not negative: {self.dt}, {self.size}, {self.n_steps}"
            )
        later = steps[1:] - steps[:-1]
        if np.any(later < 0) or np.any((later == 0) & (ids[1:] < ids[:-1])):
            order = np.lexsort((ids, steps))
            steps, ids = steps[order], ids[order]
        if len(steps):
            if ids.min() < 0 or ids.max() >= self.size:
                raise ParameterError(
                    f"spikes carry ids {ids.min()} to {ids.max()}, the population has {self.size} neurons"
                )
            if steps[0] < self.start_step or steps[-1] >= self.start_step + self.n_steps:
                end = self.start_step + self.n_steps
                raise ParameterError(
                    f"spikes lie in steps {steps[0]} to {steps[-1]}, the run was [{self.start_step}, {end})"
                )
        object.__setattr__(self, "steps", _frozen(steps))
        object.__setattr__(self, "ids", _frozen(ids))
        if self.recorded is not None:
            recorded = np.unique(np.asarray(self.recorded, dtype=np.int64))
            if len(recorded) and (recorded[0] < 0 or recorded[-1] >= self.size):
                raise ParameterError(f"recorded ids must lie in [0, {self.size}), not {recorded[0]} to {recorded[-1]}")
            object.__setattr__(self, "recorded", _frozen(recorded))

    @property
    def t(self) -> np.ndarray:
        """Spike times, s: step times dt."""
        return self.steps * self.dt

    @property
    def i(self) -> np.ndarray:
        """Neuron of each spike (the same array as ``ids``)."""
        return self.ids

    @property
    def count(self) -> int:
        """Number of spikes."""
        return len(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        ids = f"{self.size} neurons" if self.recorded is None else f"{len(self.recorded)} of {self.size} neurons"
        return f"Spikes({self.count} spikes of {ids} in {self.n_steps * self.dt:g} s)"

    def trains(self) -> dict[int, np.ndarray]:
        """Return the spike times (s) of every recorded neuron by id; a silent neuron has an empty array."""
        order = np.argsort(self.ids, kind="stable")
        times = self.t[order]
        ends = np.cumsum(np.bincount(self.ids, minlength=self.size))
        who = range(self.size) if self.recorded is None else self.recorded.tolist()
        return {n: times[(ends[n - 1] if n else 0) : ends[n]] for n in who}

    def of(self, id: int) -> np.ndarray:
        """Return the spike times (s) of neuron ``id``."""
        if not 0 <= id < self.size:
            raise ParameterError(f"neuron {id} does not exist: the population has ids 0 to {self.size - 1}", caller())
        if self.recorded is not None and id not in self.recorded:
            raise ParameterError(f"neuron {id} was not recorded (only {len(self.recorded)} of {self.size} were)",
                                 caller())  # fmt: skip
        return self.steps[self.ids == id] * self.dt

    def identical(self, other: Spikes) -> bool:
        """Whether both hold exactly the same spikes of the same neurons over the same steps."""
        return (
            (self.size, self.dt, self.n_steps, self.start_step)
            == (other.size, other.dt, other.n_steps, other.start_step)
            and _same(self.steps, other.steps)
            and _same(self.ids, other.ids)
            and _same(self.recorded, other.recorded)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """One state variable of some neurons over time.

    Attributes
    ----------
    variable : str
        Name of the variable.
    unit_dim : object
        Its SI unit, as text or as a `neurosim.units.Dimension`; only its symbol is stored.
    ids : numpy.ndarray
        Neurons, one a column, int64[m].
    times : numpy.ndarray
        Times in s, float64[T]: the value after step n is labelled (n + 1) dt.
    values : numpy.ndarray
        SI values [T, m], float64 (float32 stays float32).
    """

    variable: str
    unit_dim: Any
    ids: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _frozen(self.ids, np.int64))
        object.__setattr__(self, "times", _frozen(self.times, np.float64))
        object.__setattr__(self, "values", _frozen(as_float(self.values)))
        if self.values.shape != (len(self.times), len(self.ids)):
            raise ParameterError(
                f"trace of '{self.variable}': values are {self.values.shape}, times and ids need "
                f"({len(self.times)}, {len(self.ids)})"
            )

    @property
    def unit(self) -> str:
        """The SI unit as text, such as "V"."""
        return unit_text(self.unit_dim)

    @property
    def t(self) -> np.ndarray:
        """Times in s (the same array as ``times``)."""
        return self.times

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        unit = f", in {self.unit}" if self.unit not in ("", "1") else ""
        neurons = f"{len(self.ids)} neuron{'s' * (len(self.ids) != 1)}"
        return f"Trace('{self.variable}' of {neurons} at {len(self.times)} times{unit})"

    def of(self, id: int) -> np.ndarray:
        """Return the values of neuron ``id`` over time."""
        column = np.flatnonzero(self.ids == id)
        if len(column) == 0:
            raise ParameterError(
                f"'{self.variable}' of neuron {id} was not recorded; recorded ids: {shorten(self.ids)}", caller()
            )
        return self.values[:, column[0]]

    def identical(self, other: Trace) -> bool:
        """Whether both hold the same values, bit for bit, at the same times."""
        pairs = ((self.ids, other.ids), (self.times, other.times), (self.values, other.values))
        return (self.variable, self.unit) == (other.variable, other.unit) and all(_same(a, b) for a, b in pairs)


@dataclasses.dataclass(frozen=True, eq=False)
class WeightTrace:
    """Weights of some connections of one projection over time: ``values[T, m]`` at ``times`` (s), SI, of ``edges``."""

    unit_dim: Any
    edges: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", _frozen(self.edges, np.int64))
        object.__setattr__(self, "times", _frozen(self.times, np.float64))
        object.__setattr__(self, "values", _frozen(as_float(self.values)))
        if self.values.shape != (len(self.times), len(self.edges)):
            raise ParameterError(
                f"weight trace: values are {self.values.shape}, times and edges need "
                f"({len(self.times)}, {len(self.edges)})"
            )

    @property
    def unit(self) -> str:
        """The SI unit as text."""
        return unit_text(self.unit_dim)

    def identical(self, other: WeightTrace) -> bool:
        """Whether both hold the same values, bit for bit, at the same times."""
        pairs = ((self.edges, other.edges), (self.times, other.times), (self.values, other.values))
        return self.unit == other.unit and all(_same(a, b) for a, b in pairs)


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a result came from: enough to run it again.

    Attributes
    ----------
    network, network_hash : str
        Name of the network and hash of its compiled graph.
    seed, dt, n_steps, duration_s
        Seed, step (s), steps that were run, duration asked for (s).
    backend, backend_version, precision : str
        Engine, its version, "double" or "single".
    threads : int
        Threads used.
    versions : dict of str to str
        Versions of neurosim, numpy, numba, python, and the platform.
    started : str
        Wall-clock start, ISO 8601.
    wall_build_s, wall_compile_s, wall_simulate_s : float
        Wall-clock times, s.
    overrides : dict of str to str
        Parameters set from outside (``--set exc.tau_m=15ms``).
    status : str
        "finished", "interrupted" or "diverged".
    """

    network: str = ""
    network_hash: str = ""
    seed: int = 0
    dt: float = 0.0
    n_steps: int = 0
    duration_s: float = 0.0
    backend: str = ""
    backend_version: str = ""
    precision: str = "double"
    threads: int = 1
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    started: str = ""
    wall_build_s: float = 0.0
    wall_compile_s: float = 0.0
    wall_simulate_s: float = 0.0
    overrides: dict[str, str] = dataclasses.field(default_factory=dict)
    status: str = "finished"

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ParameterError(f"status must be one of {', '.join(STATUSES)}, not '{self.status}'")

    def replace(self, **changes: Any) -> Provenance:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


class Recorded(dict[str, T]):
    """A dict by name whose missing keys say what was recorded, and how to record more.

    ``what`` names an item, as in "spikes of '{}'"; ``known`` are names that exist but need not have been recorded, and
    ``add`` is the line that would record one.
    """

    def __init__(self, items: Any = (), what: str = "'{}'", known: Iterable[str] = (), add: str = "") -> None:
        super().__init__(items)
        self.what, self.known, self.add = what, tuple(known), add

    def __missing__(self, name: str) -> T:
        held = f"recorded: {', '.join(self)}" if self else "nothing of the kind was recorded"
        hint = f"; add {self.add.format(name)} before the run" if name in self.known and self.add else ""
        if name not in self.known:
            nearest = suggest(str(name), {*self, *self.known})
            hint = nearest if nearest.startswith("; did you mean") else ""
        raise UnknownNameError(f"this result holds no {self.what.format(name)} ({held}){hint}", caller())


def as_float(values: Any) -> np.ndarray:
    """Return the array as it is when float32, else as float64."""
    array = np.asarray(values)
    return array if array.dtype == np.float32 else np.asarray(array, dtype=np.float64)


def unit_text(unit_dim: Any) -> str:
    """Return the SI symbol of a dimension, or the text itself."""
    return str(getattr(unit_dim, "symbol", unit_dim))


def shorten(ids: np.ndarray, most: int = 8) -> str:
    """Return the first few ids as text."""
    return ", ".join(map(str, ids[:most].tolist())) + (", ..." if len(ids) > most else "")

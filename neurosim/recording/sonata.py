"""Results in HDF5, in the SONATA layout, written as the run goes on.

::

    /                       magic = 0x0A7A, version = (0, 1)
    /spikes/POP             sorting (enum none | by_id | by_time), size, dt_s, start_step, n_steps, timestamp_convention
        timestamps          f64, ms: the END of the step, (step + 1) dt, as SONATA and NEST stamp a spike
        node_ids            u64
        steps               i64: the step itself, from which a result is read back without loss
        recorded            i64, only where not every neuron was recorded
    /report/POP:VARIABLE    population, variable, value_convention
        data                f32 [T, V], SI, attribute units: what libsonata reads
        values              f64 [T, V], only where the run was in double precision: the same without loss
        mapping/            node_ids, index_pointers, element_ids, element_pos, time = (t0, t1, dt) in ms, t1 excluded
        times               f64, s
    /population_rates/POP   f64, Hz; bin_s, start_s        /weight_traces/PROJECTION   times, values, edges
    /weights/PROJECTION     f64, SI                        /provenance                 attributes; JSON for dicts

The file is sealed (:mod:`neurosim.recording.seal`). A slash in a name is written %2F in the path; the attribute
``name`` holds the name itself. Source: SONATA developer guide (github AllenInstitute/sonata,
docs/SONATA_DEVELOPER_GUIDE.md). Datasets carry checksums.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurosim.analysis.spiketrains import RateTrace
from neurosim.errors import ParameterError, ResultFileError, UnknownNameError, suggest
from neurosim.recording.atomic import begin, commit, discard, refusal
from neurosim.recording.records import Provenance, as_float, unit_text
from neurosim.recording.safe import SafeFile, uninterrupted
from neurosim.recording.seal import HEAD, seal

FORMAT = "neurosim result 1"
MAGIC = 0x0A7A
VERSION = (0, 1)
SORTING = {"none": 0, "by_id": 1, "by_time": 2}
SPIKE_CONVENTION = "timestamps are the end of the step in which the spike was found: (step + 1) * dt"
VALUE_CONVENTION = "the value after step n is labelled (n + 1) * dt"
COMPRESSION_LIMIT = (
    1100  # of foreign files: deflate packs at most 1032 to 1, so a dataset claiming more is not believed
)

_BUFFER_BYTES = 1 << 20  # held per dataset before it goes to disk
_CHUNK_BYTES = 1 << 17
_ATTRIBUTE_BYTES = 60_000  # HDF5 keeps at most 64 KiB in an attribute's header


def quote(name: str) -> str:
    """Return ``name`` as one component of an HDF5 path."""
    quoted = name.replace("%", "%25").replace("/", "%2F")
    return quoted.replace(".", "%2E") if set(quoted) <= {"."} else quoted


class _Growing:
    """A dataset that grows at its end, a buffer at a time."""

    def __init__(self, group: Any, name: str, dtype: Any, row: tuple[int, ...] = ()) -> None:
        width = max(1, int(np.prod(row)))
        size = np.dtype(dtype).itemsize
        columns = tuple(max(1, min(n, _CHUNK_BYTES // size)) for n in row)
        rows = max(1, min(16384, _CHUNK_BYTES // (size * width)))
        self.dataset = group.create_dataset(
            name,
            shape=(0, *row),
            maxshape=(None, *(n or None for n in row)),
            chunks=(rows, *columns),
            dtype=dtype,
            fletcher32=True,  # and no compression: libsonata's wheels are built without zlib
        )
        self.pending: list[np.ndarray] = []
        self.bytes = 0

    def append(self, rows: np.ndarray) -> bool:
        """Take rows; return whether it is time to flush."""
        if len(rows):
            with np.errstate(over="ignore"):  # too large for float32: infinite there, whole in the exact values
                self.pending.append(np.array(rows, dtype=self.dataset.dtype))
            self.bytes += self.pending[-1].nbytes
        return self.bytes >= _BUFFER_BYTES

    def flush(self) -> None:
        if self.pending:
            rows = np.concatenate(self.pending)
            self.pending, self.bytes = [], 0
            start = self.dataset.shape[0]
            self.dataset.resize(start + len(rows), axis=0)
            if rows.size:
                self.dataset[start:] = rows


@dataclasses.dataclass
class _Report:
    """The datasets of one trace, and the columns it was opened with."""

    times: _Growing
    values: tuple[_Growing, ...]  # data, and the exact values where they are float64
    width: int
    group: Any
    first: float | None = None
    second: float | None = None


class StreamWriter:
    """Writes a results file piece by piece, in bounded memory, and moves it into place when it is whole.

    Used as a context manager, an exception (Ctrl-C too) keeps what was recorded, under the status "interrupted".

    Parameters
    ----------
    path : str or os.PathLike
        The results file. Its directory is checked now, before the run.
    provenance : Provenance
        As known at the start; ``dt`` must be set. `close` takes the final one.
    populations : mapping of str to int
        Size of every population of the network, in order.

    Attributes
    ----------
    reached : int
        Steps since time 0 that have been run, as far as the appended data shows; the runner may raise it. An
        interrupted file states its length from this.

    Raises
    ------
    ResultFileError
        Here and from every method, when the file cannot be written; nothing is then left behind.
    """

    def __init__(self, path: str | os.PathLike[str], provenance: Provenance, populations: Mapping[str, int]) -> None:
        import h5py

        if not provenance.dt > 0:
            raise ParameterError("a results file needs the step: provenance.dt must be positive")
        self.path = os.fspath(path)
        self.provenance = provenance
        self.populations = dict(populations)
        descriptor, self._part, self._target = begin(path, alone=True)
        self._raw = SafeFile(descriptor)
        self._spikes: dict[str, tuple[_Growing, ...]] = {}
        self._last_step: dict[str, int] = {}
        self._start_step = self.reached = 0
        self._reports: dict[str, _Report] = {}
        self._file: Any = None
        with self._writing():
            # v108: metadata carries checksums
            self._file = h5py.File(self._raw, "w", libver=("v108", "v108"), userblock_size=HEAD)
            self._file.attrs.create("magic", MAGIC, dtype=np.uint32)
            self._file.attrs.create("version", VERSION, dtype=np.uint32)

    # -- what is recorded

    def record_spikes(
        self, population: str, recorded: np.ndarray | None = None, start_step: int = 0, n_steps: int | None = None
    ) -> None:
        """Announce spikes of a population, so that it is in the file even if it stays silent.

        ``n_steps`` is that of the final provenance when None.
        """
        import h5py

        if population not in self.populations:
            raise UnknownNameError(f"unknown population '{population}'{suggest(population, self.populations)}")
        self._start_step = start_step
        with self._writing():
            group = self._file.create_group(f"spikes/{quote(population)}")
            order = h5py.enum_dtype(SORTING, basetype=np.uint8)
            group.attrs.create("sorting", SORTING["by_time"], dtype=order)
            group.attrs["name"] = population
            group.attrs["timestamp_convention"] = SPIKE_CONVENTION
            group.attrs["size"] = np.int64(self.populations[population])
            group.attrs["dt_s"] = np.float64(self.provenance.dt)
            group.attrs["start_step"] = np.int64(start_step)
            if n_steps is not None:
                group.attrs["n_steps"] = np.int64(n_steps)
            if recorded is not None:
                self._array("recorded", np.asarray(recorded, dtype=np.int64), group)
            columns = ("timestamps", "<f8"), ("node_ids", "<u8"), ("steps", "<i8")
            parts = tuple(_Growing(group, name, dtype) for name, dtype in columns)
            parts[0].dataset.attrs["units"] = "ms"
            self._spikes[population] = parts

    def spikes(self, population: str, steps: np.ndarray, ids: np.ndarray) -> None:
        """Append spikes; no step may lie before one that was appended earlier."""
        if population not in self._spikes:
            self.record_spikes(population)
        steps, ids = np.asarray(steps, dtype=np.int64), np.asarray(ids, dtype=np.int64)
        if steps.shape != ids.shape or steps.ndim != 1:
            raise ParameterError(f"steps and ids must be two rows of equal length, not {steps.shape} and {ids.shape}")
        if len(steps) == 0:
            return
        order = np.lexsort((ids, steps))
        steps, ids = steps[order], ids[order]
        if steps[0] < self._last_step.get(population, 0):
            raise ParameterError(f"spikes of '{population}' at step {steps[0]} come after those of a later step")
        if ids.min() < 0 or ids.max() >= self.populations[population]:
            raise ParameterError(f"spikes of '{population}' carry ids outside [0, {self.populations[population]})")
        self._last_step[population] = int(steps[-1])
        self.reached = max(self.reached, int(steps[-1]) + 1)
        stamps, nodes, exact = self._spikes[population]
        due = stamps.append((steps + 1) * (self.provenance.dt * 1e3))
        due |= nodes.append(ids)
        due |= exact.append(steps)
        if due:
            self._flush(stamps, nodes, exact)

    def trace(
        self,
        population: str,
        variable: str,
        times: np.ndarray,
        values: np.ndarray,
        ids: np.ndarray | None = None,
        unit: Any = "",
    ) -> None:
        """Append values [T, V] of a variable at times (s); ``ids`` and ``unit`` count on the first call."""
        key = f"{population}:{variable}"
        times, values = np.asarray(times, dtype=np.float64), as_float(values)
        if key not in self._reports:
            ids = np.arange(values.shape[1]) if ids is None else np.asarray(ids)
            self._reports[key] = self._open_report(population, variable, ids, unit_text(unit), values.dtype)
        report = self._reports[key]
        if values.shape != (len(times), report.width):
            raise ParameterError(f"trace '{key}': values are {values.shape}, not ({len(times)}, {report.width})")
        for time in times[:2].tolist():
            if report.first is None:
                report.first = time
            elif report.second is None:
                report.second = time
        if len(times):
            self.reached = max(self.reached, round(float(times[-1]) / self.provenance.dt))
        parts = (report.times, *report.values)
        due = report.times.append(times)
        for part in report.values:
            due |= part.append(values)
        if due:
            self._flush(*parts)

    def _open_report(self, population: str, variable: str, ids: np.ndarray, unit: str, dtype: Any) -> _Report:
        with self._writing():
            group = self._file.create_group(f"report/{quote(f'{population}:{variable}')}")
            group.attrs["population"], group.attrs["variable"] = population, variable
            group.attrs["value_convention"] = VALUE_CONVENTION
            mapping = group.create_group("mapping")
            nodes = self._array("node_ids", ids.astype(np.uint64), mapping)
            nodes.attrs.create("sorted", bool(np.all(np.diff(ids) > 0)), dtype=np.uint8)
            self._array("index_pointers", np.arange(len(ids) + 1, dtype=np.uint64), mapping)
            self._array("element_ids", np.zeros(len(ids), dtype=np.uint32), mapping)
            self._array("element_pos", np.zeros(len(ids), dtype=np.float32), mapping)
            precise = ("data", "<f4"), ("values", "<f8")
            values = tuple(_Growing(group, *each, (len(ids),)) for each in precise[: 1 if dtype == np.float32 else 2])
            for part in values:
                part.dataset.attrs["units"] = unit
            times = _Growing(group, "times", "<f8")
            times.dataset.attrs["units"] = "s"
            return _Report(times, values, len(ids), group)

    def rate(self, population: str, trace: RateTrace) -> None:
        """Write the rate of a population over time."""
        with self._writing():
            dataset = self._array(f"population_rates/{quote(population)}", trace.values)
            dataset.attrs.update({"name": population, "units": "Hz", "bin_s": trace.bin, "start_s": trace.start})

    def weight_trace(
        self, projection: str, times: np.ndarray, values: np.ndarray, edges: np.ndarray, unit: Any = ""
    ) -> None:
        """Write the weights of some edges of a projection over time."""
        with self._writing():
            group = self._file.create_group(f"weight_traces/{quote(projection)}")
            group.attrs.update({"name": projection, "units": unit_text(unit)})
            for name, array in (("times", times), ("values", as_float(values)), ("edges", edges)):
                self._array(name, np.asarray(array), group)

    def weights(self, projection: str, values: np.ndarray) -> None:
        """Write the weights of all edges of a projection as they stand."""
        with self._writing():
            self._array(f"weights/{quote(projection)}", as_float(values)).attrs["name"] = projection

    def _array(self, name: str, array: np.ndarray, group: Any = None) -> Any:
        return (self._file if group is None else group).create_dataset(name, data=array, fletcher32=array.size > 0)

    # -- the end

    def close(self, provenance: Provenance | None = None) -> None:
        """Write what is left and the provenance, and move the file into place."""
        final = provenance or self.provenance
        with uninterrupted():  # down to the renaming
            with self._writing():
                for parts in self._spikes.values():
                    for part in parts:
                        part.flush()
                for report in self._reports.values():
                    self._finish(report)
                for population in self._spikes:
                    attributes = self._file[f"spikes/{quote(population)}"].attrs
                    if "n_steps" not in attributes:
                        attributes["n_steps"] = np.int64(final.n_steps)
                self._write_provenance(final)
                self._file.close()
                if self._raw.error is None:
                    seal(self._raw.file, FORMAT)
            self._raw.close()
            if self._raw.error is not None:
                self._give_up()
                raise refusal(self.path, self._raw.error)
            self._file = None
            commit(self._part, self._target)

    def abort(self) -> None:
        """Drop the part file; nothing is left behind."""
        if self._file is not None:
            self._give_up()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._file is None:
            return
        if kind is None:
            self.close()
            return
        try:
            self.close(self.provenance.replace(status="interrupted", n_steps=max(0, self.reached - self._start_step)))
        except ResultFileError as second:  # the first error is the one to show
            if error is not None:
                error.add_note(str(second))

    def _finish(self, report: _Report) -> None:
        for part in (report.times, *report.values):
            part.flush()
        first = report.first if report.first is not None else 0.0
        every = report.second - first if report.second is not None else self.provenance.dt
        count = report.times.dataset.shape[0]
        axis = np.array([first, first + count * every, every]) * 1e3
        self._array("time", axis, report.group["mapping"]).attrs["units"] = "ms"

    def _write_provenance(self, provenance: Provenance) -> None:
        group = self._file.create_group("provenance")
        fields = dataclasses.asdict(provenance) | {"populations": self.populations, "timestamp": SPIKE_CONVENTION}
        for name, value in fields.items():
            stored = json.dumps(value) if isinstance(value, dict) else value
            if isinstance(stored, str) and len(stored.encode()) > _ATTRIBUTE_BYTES:
                group.create_dataset(name, data=stored)
            else:
                group.attrs[name] = stored

    def _flush(self, *parts: _Growing) -> None:
        with self._writing():
            for part in parts:
                part.flush()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn whatever goes wrong while HDF5 writes into one sentence, and leave nothing behind."""
        if self._file is None and self._raw.file.closed:
            raise ResultFileError(f"'{self.path}' is already closed")
        try:
            with uninterrupted():
                yield
        except (OSError, RuntimeError, ValueError) as error:
            self._give_up()
            known = self._raw.error or (error if isinstance(error, OSError) else OSError(str(error).split(" (")[0]))
            raise refusal(self.path, known) from None
        if self._raw.error is not None:
            self._give_up()
            raise refusal(self.path, self._raw.error)

    def _give_up(self) -> None:
        if self._file is not None:
            with contextlib.suppress(Exception):
                self._file.close()
        self._file = None
        self._raw.close()
        discard(self._part)

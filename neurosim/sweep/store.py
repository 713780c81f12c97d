"""What a sweep keeps: one file for each finished point while it runs, one file of all of them at its end.

Beside ``sweep.h5`` stands, while the sweep is not finished, the folder ``sweep.h5.points``: ``sweep.json`` says what
is swept, ``000012.h5`` is the result of point 12, whole or not there. So a sweep that was interrupted, or whose machine
went down, goes on where it was when the same command is given again. Nothing in the file depends on the course of
events (no times, no order of finishing): an interrupted sweep gives the file of an undisturbed one, to the byte.

::

    /               format = "neurosim sweep", version = 1, spec (JSON: what was swept, and how)
    /table          one entry per point: set/KEY (text), trial, seed, status, rate/POP (Hz), cv_isi/POP, spikes/POP
    /points/000012  a neurosim result in the SONATA layout (see neurosim.recording.sonata); none where a run failed
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResultFileError, caller
from neurosim.recording import checked
from neurosim.recording.atomic import begin, discard, refusal, write_bytes
from neurosim.recording.checkpoint import lock
from neurosim.recording.result import RunResult
from neurosim.recording.safe import sealed
from neurosim.recording.sonata_read import contents
from neurosim.sweep.points import Point

FORMAT, VERSION = "neurosim sweep", 1
SEAL = f"{FORMAT} {VERSION}"
FINISHED = "finished"


def part_name(index: int) -> str:
    """Return the name of a point's file, or group."""
    return f"{index:06d}"


def keep(result: RunResult, path: str) -> None:
    """Write a point's result, without what differs from one run to the next (start, wall times)."""
    result.provenance = result.provenance.replace(
        started="", wall_build_s=0.0, wall_compile_s=0.0, wall_simulate_s=0.0, threads=1
    )
    result.save(path)


class Store:
    """The folder of a sweep's points, held by one process at a time.

    Parameters
    ----------
    output : path
        The file that the sweep makes.
    spec : dict
        What is swept and how, as JSON: a folder with another one belongs to another sweep.
    points : sequence of Point
        All points.
    shown : str, optional
        The file as the user wrote it, for what is said of it.
    """

    def __init__(self, output: str | os.PathLike[str], spec: Mapping[str, Any], points: Sequence[Point],
                 shown: str | None = None) -> None:  # fmt: skip
        self.output, self.points = os.fspath(output), points
        self.shown = shown or self.output
        self.folder = Path(self.output + ".points")
        self.spec = json.dumps(spec, indent=1)

    @contextlib.contextmanager
    def held(self) -> Iterator[Store]:
        """Hold the folder while points are run; a second sweep into the same file is refused.

        Raises
        ------
        ResultFileError
            The folder belongs to another sweep, is in use, or cannot be written.
        """
        descriptor, part, _ = begin(self.output)  # says at once why the file could not be written
        os.close(descriptor)
        discard(part)
        with self._locked():
            written = self.folder / "sweep.json"
            if written.exists():
                if written.read_text(encoding="utf-8") != self.spec:
                    raise ResultFileError(
                        f"'{self.shown}.points' holds the points of another sweep: choose another output, or remove "
                        "that folder if its points are not wanted any more"
                    )
            else:
                write_bytes(written, self.spec.encode())
            yield self

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as e:
            raise refusal(f"{self.shown}.points", e) from None
        try:
            if not lock(descriptor):
                raise ResultFileError(f"another sweep is writing '{self.shown}': wait for it, or choose another output")
            yield
        finally:
            os.close(descriptor)

    def part(self, point: Point) -> str:
        """Return the path of a point's file."""
        return str(self.folder / f"{part_name(point.index)}.h5")

    def missing(self) -> list[Point]:
        """Return the points that have no result yet; one that cannot be read is run again."""
        return [p for p in self.points if not self._sound(self.part(p))]

    @staticmethod
    def _sound(path: str) -> bool:
        if not os.path.exists(path):
            return False
        try:
            RunResult.load(path)
        except ResultFileError:
            return False
        return True

    def merge(self, failures: Mapping[int, str]) -> None:
        """Write the file of all points, whole or not at all, and remove the folder if no point failed.

        Parameters
        ----------
        failures : mapping
            Index of a point -> the sentence that says why it has no result.
        """
        with sealed(self.output, SEAL) as (file, raw):
            file.attrs["format"], file.attrs["version"], file.attrs["spec"] = FORMAT, VERSION, self.spec
            table, runs = file.create_group("table"), file.create_group("points")
            columns = _Columns(len(self.points))
            for point in self.points:
                columns.point(point, failures.get(point.index, FINISHED))
                if point.index not in failures:
                    path = self.part(point)
                    columns.result(point.index, RunResult.load(path))
                    _copy(path, runs.create_group(part_name(point.index)))
                    file.flush()
                if raw.error is not None:  # the disk is full: HDF5 would go on in memory
                    raise raw.error
            columns.write(table)
        if not failures:
            shutil.rmtree(self.folder, ignore_errors=True)


def _copy(path: str, into: Any) -> None:
    import h5py

    with h5py.File(path, "r") as source:
        for key, value in source.attrs.items():
            into.attrs[key] = value
        for key in source:
            source.copy(source[key], into, name=key)


class _Columns:
    """The table, column by column."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.texts: dict[str, list[str]] = {}
        self.numbers: dict[str, np.ndarray] = {}

    def point(self, point: Point, status: str) -> None:
        for key, value in (*((f"set/{k}", v) for k, v in point.settings.items()), ("status", status)):
            self.texts.setdefault(key, [""] * self.rows)[point.index] = value
        for key, number in (("trial", point.trial), ("seed", point.seed)):
            self.numbers.setdefault(key, np.zeros(self.rows, np.uint64))[point.index] = number

    def result(self, index: int, result: RunResult) -> None:
        for row in result.summary():
            for key, value in (("rate", row.rate), ("cv_isi", row.cv_isi), ("spikes", row.spikes)):
                column = self.numbers.setdefault(f"{key}/{row.population}", np.full(self.rows, np.nan))
                column[index] = np.nan if value is None else value

    def write(self, group: Any) -> None:
        import h5py

        for key, texts in self.texts.items():
            group.create_dataset(key, data=np.array(texts, dtype=object), dtype=h5py.string_dtype())
        for key, numbers in self.numbers.items():
            group.create_dataset(key, data=numbers)


class SweepResult:
    """A finished sweep, read from its file point by point.

    Attributes
    ----------
    points : list of Point
        What was run.
    status : list of str
        ``finished``, or why a point has no result.
    columns : dict
        Column of the table -> array of one entry per point: ``rate/POP`` (Hz), ``cv_isi/POP``, ``spikes/POP``.
    spec : dict
        What was swept, and how.
    """

    def __init__(self, path: str, spec: dict[str, Any], points: list[Point], status: list[str],
                 columns: dict[str, np.ndarray]) -> None:  # fmt: skip
        self.path, self.spec, self.points, self.status, self.columns = path, spec, points, status, columns

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SweepResult:
        """Read the table of a sweep.

        Raises
        ------
        ResultFileError
            The file is missing, damaged or not of a sweep.
        """
        shown, where = os.fspath(path), caller()
        with checked.opened(shown, SEAL, "sweep", where) as file:
            if file.attrs.get("format") != FORMAT:
                raise ResultFileError(f"'{shown}' is no sweep: RunResult.load reads the result of one run", where)
            version = str(file.attrs.get("version"))
            if version != str(VERSION):
                raise ResultFileError(
                    f"'{shown}' is a sweep of version {version}; this neurosim reads {VERSION}", where
                )
            spec, points, status = _points(file)
            table = checked.group(file, "table")
            columns = {
                f"{kind}/{pop}": checked.values(column, checked.FLOAT, 1, (len(points),))
                for kind in ("rate", "cv_isi", "spikes")
                for pop, column in checked.children(table, kind)
            }
        return cls(shown, spec, points, status, columns)

    def __len__(self) -> int:
        return len(self.points)

    def select(self, trial: int | None = None, **settings: str) -> list[int]:
        """Return the indices of the points with these settings, as they were written (``select(g="4.25")``)."""
        for key in settings:
            if key not in self.spec["set"]:
                raise ParameterError(f"the sweep has no setting '{key}'; it has {', '.join(self.spec['set'])}")
        return [
            p.index
            for p in self.points
            if all(p.settings[k] == v for k, v in settings.items()) and trial in (None, p.trial)
        ]

    def result(self, index: int) -> RunResult:
        """Return what one point's run recorded."""
        where = caller()
        if not 0 <= index < len(self.points):
            raise ParameterError(f"the sweep has the points 0 to {len(self.points) - 1}, not {index}", where)
        if self.status[index] != FINISHED:
            raise ParameterError(f"point {index} has no result: {self.status[index]}", where)
        with checked.opened(self.path, SEAL, "sweep", where) as file:
            held = contents(checked.group(checked.group(file, "points"), part_name(index)), self.path, where)
        return RunResult.of(held, self.path)


def _points(file: Any) -> tuple[dict[str, Any], list[Point], list[str]]:
    """Read what was swept, and the settings, seeds and outcomes of all points."""
    table = checked.group(file, "table")
    spec = json.loads(checked.text(file.attrs["spec"]))
    if not (isinstance(spec, dict) and isinstance(spec.get("set"), dict) and isinstance(spec.get("trials"), int)):
        raise checked.DamagedError("it does not say what was swept")
    trials = checked.array(table, "trial", checked.INTEGER, None)
    seeds = checked.array(table, "seed", checked.INTEGER, len(trials))
    status = checked.texts(checked.child(table, "status"), len(trials))
    texts = {key: checked.texts(checked.child(checked.group(table, "set"), key), len(trials)) for key in spec["set"]}
    points = [
        Point(k, {key: texts[key][k] for key in texts}, int(trials[k]), int(seeds[k])) for k in range(len(trials))
    ]
    return spec, points, status

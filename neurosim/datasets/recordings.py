"""Many recordings of events: a folder of files, an archive, an HDF5 file of spike trains, a data set of tonic's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.datasets.collection import Dataset
from neurosim.datasets.event_files import SUFFIXES, TIMES, form_of, in_seconds, load
from neurosim.datasets.events import Events
from neurosim.datasets.files import Archive, existing, hdf5, reading
from neurosim.errors import DataFileError, ParameterError, caller

UNITS = 700
"""Channels of the cochlea of the Heidelberg data sets, SHD and SSC."""


def read_recordings(path: Any, *, sensor: tuple[int, int] | None = None, camera: str | None = None) -> Dataset:
    """Read a data set of recordings: its samples are :class:`Events`.

    ==========  ====================================================================================================
    a folder    with a folder of files for each class, or with two folders of such, ``Train`` and ``Test``, as N-MNIST
                has them; a file is read when its sample is asked for (:func:`read_events` says which)
    ``.npz``    arrays x, y, p and t (or t_us) of all recordings one after the other; ``offsets``: where each begins,
                and at last where the last one ends; ``labels``; and if there is a test set ``is_test``
    HDF5        ``spikes/times`` and ``spikes/units``, a row of each for every recording, and ``labels``: the Heidelberg
                data sets SHD and SSC. One row of sensors and one polarity; times in seconds
    ==========  ====================================================================================================

    Parameters
    ----------
    path : path
        Of the folder or file.
    sensor : tuple of int, optional
        Width and height. Of an archive it is as large as its events need, of SHD 700 x 1, if not given.
    camera : str, optional
        As in :func:`read_events`.

    Raises
    ------
    DataFileError
        If there is nothing, or what is there is foreign, truncated or damaged.
    """
    where = caller()
    what = "a data set of recordings"
    if isinstance(path, (str, os.PathLike)) and Path(os.fsdecode(path)).is_dir():
        return _folder(Path(os.fsdecode(path)), sensor, camera, where)
    file = existing(path, what, where)
    form = form_of(file, None, where)
    if form not in ("npz", "hdf5"):
        raise DataFileError(f"'{file}' is a single recording: read_events() reads it", where)
    with reading(file, what, where):
        return (_archive if form == "npz" else _spike_trains)(file, sensor, where)


def from_tonic(dataset: Any, *, sensor: tuple[int, int] | None = None) -> Dataset:
    """Return a data set of the library tonic (tonic.readthedocs.io) with :class:`Events` as its samples.

    Parameters
    ----------
    dataset : object
        Of tonic, without a transform that makes frames: ``dataset[k]`` is a structured array of events with the fields
        t (in microseconds), x and, where it has them, y and p, and a label.
    sensor : tuple of int, optional
        Width and height; by default what ``dataset.sensor_size`` says.

    Raises
    ------
    ParameterError
        If it is no such data set.
    """
    where = caller()
    size = getattr(dataset, "sensor_size", None)
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")) or (size is None and sensor is None):
        raise ParameterError("from_tonic() takes a data set of tonic's, with a length, samples and a sensor_size; got "
                             f"{type(dataset).__name__}", where)  # fmt: skip
    width, height, polarities = (*(int(v) for v in size), 1)[:3] if size is not None else (*(sensor or (1, 1)), 2)
    known = getattr(dataset, "targets", None)
    labels = known if known is not None and len(known) == len(dataset) else [dataset[k][1] for k in range(len(dataset))]
    classes = getattr(dataset, "classes", None)
    try:
        return Dataset(_Tonic(dataset, sensor or (width, height), polarities, where), np.asarray(labels),
                       classes=classes if isinstance(classes, (list, tuple)) else None)  # fmt: skip
    except ParameterError as error:
        raise ParameterError(f"the labels of this data set of tonic's are not to be used: {error.message}",
                             where) from None  # fmt: skip


class _Tonic:
    """Samples of tonic's, as events."""

    def __init__(self, dataset: Any, sensor: tuple[int, int], polarities: int, where: str | None) -> None:
        self.dataset, self.sensor, self.polarities, self.where = dataset, sensor, polarities, where

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, k: int) -> Events:
        found = self.dataset[k][0]
        names = getattr(getattr(found, "dtype", None), "names", None) or ()
        if "t" not in names or "x" not in names:
            raise ParameterError(f"sample {k} of this data set of tonic's is no structured array of events with t and "
                                 f"x, but {type(found).__name__}: give it to from_tonic() without a transform, and one "
                                 "of Events to map()", self.where)  # fmt: skip
        none = np.zeros(len(found), dtype=np.int8)
        p = found["p"] if "p" in names and self.polarities == 2 else none
        return Events(found["t"] * 1e-6, found["x"], found["y"] if "y" in names else none, p, self.sensor,
                      self.polarities)  # fmt: skip


class _Slices:
    """Recordings that lie one after the other in long arrays."""

    def __init__(
        self,
        t: np.ndarray,
        x: np.ndarray,
        y: np.ndarray | None,
        p: np.ndarray | None,
        offsets: np.ndarray,
        sensor: tuple[int, int],
    ) -> None:
        self.t, self.x, self.y, self.p = t, x, y, p
        self.offsets, self.sensor = offsets, sensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, k: int) -> Events:
        part = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        t, none = self.t[part], np.zeros(part.stop - part.start, dtype=np.int8)
        return Events(in_seconds(t), self.x[part], none if self.y is None else self.y[part],
                      none if self.p is None else self.p[part], self.sensor, 1 if self.p is None else 2)  # fmt: skip


class _Files:
    """Recordings of which each is a file."""

    def __init__(self, paths: list[Path], sensor: tuple[int, int] | None, camera: str | None) -> None:
        self.paths, self.sensor, self.camera = paths, sensor, camera

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> Events:
        where = caller()
        path = existing(self.paths[k], "a recording of events", where)
        return load(path, form_of(path, None, where), self.sensor, self.camera, where)


def _folder(path: Path, sensor: tuple[int, int] | None, camera: str | None, where: str | None) -> Dataset:
    """Return the recordings of the folders of a folder."""
    parts = {sub.name.lower(): sub for sub in sorted(path.iterdir()) if sub.is_dir()}
    halves = [parts["train"], parts["test"]] if set(parts) == {"train", "test"} else [path]
    paths: list[Path] = []
    labels: list[str] = []
    test: list[bool] = []
    for half, folder in enumerate(halves):
        for of_class in sorted((sub for sub in folder.iterdir() if sub.is_dir()), key=lambda sub: _order(sub.name)):
            found = sorted(f for f in of_class.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file())
            paths += found
            labels += [of_class.name] * len(found)
            test += [half == 1] * len(found)
    if not paths:
        raise DataFileError(f"'{path}' has no folders of recordings ({', '.join(SUFFIXES)}), one for each class", where)
    names = sorted(set(labels), key=_order)
    numbers = [names.index(label) for label in labels]
    return Dataset(_Files(paths, sensor, camera), numbers, classes=names, test=test if len(halves) == 2 else None)


def _order(name: str) -> tuple[bool, int, str]:
    """Return what classes are sorted by: numbers by their value, then names."""
    number = name.isdecimal() and len(name) < 19
    return not number, int(name) if number else 0, name


def _archive(path: Path, sensor: tuple[int, int] | None, where: str | None) -> Dataset:
    """Return the recordings of a NumPy archive."""
    archive = Archive(path, where)
    if "offsets" not in archive:
        raise DataFileError(f"'{path}' has no array 'offsets', so it is no data set of recordings; if it is a single "
                            "one, read_events() reads it", where)  # fmt: skip
    t, x, y = archive.read(archive.first(*TIMES)), archive.read("x", "iu"), archive.read("y", "iu")
    p, offsets, labels = archive.read("p", "iub"), archive.read("offsets", "iu"), archive.read("labels", "iu")
    test = archive.read("is_test", "b") if "is_test" in archive else None
    _same(path, where, x=(x, len(t)), y=(y, len(t)), p=(p, len(t)), labels=(labels, len(offsets) - 1))
    if test is not None:
        _same(path, where, is_test=(test, len(labels)))
    _offsets(path, offsets, len(t), where)
    size = sensor or ((int(x.max()) + 1, int(y.max()) + 1) if len(t) else (1, 1))
    return Dataset(_Slices(t, x, y, p, offsets.astype(np.int64), size), labels, test=test)


def _same(path: Path, where: str | None, **arrays: tuple[np.ndarray, int]) -> None:
    for name, (array, length) in arrays.items():
        if len(array) != length:
            raise DataFileError(f"'{path}' is damaged: array '{name}' has {len(array)} values, and {length} belong to "
                                "the others", where)  # fmt: skip


def _offsets(path: Path, offsets: np.ndarray, count: int, where: str | None) -> None:
    o = offsets.astype(np.int64)
    if not len(o) or o[0] != 0 or o[-1] != count or np.any(np.diff(o) < 0):
        raise DataFileError(
            f"'{path}' is damaged: 'offsets' should rise from 0 to the number of events, {count}", where
        )


def _spike_trains(path: Path, sensor: tuple[int, int] | None, where: str | None) -> Dataset:
    """Return the recordings of an HDF5 file of SHD's layout."""
    import h5py

    from neurosim.recording.checked import DamagedError, array, child, group

    with hdf5(path, where) as file:
        if "spikes" not in file or "labels" not in file:
            raise DataFileError(f"'{path}' has no spikes/times, spikes/units and labels, so it is no data set of "
                                "recordings; if it is a single one, read_events() reads it", where)  # fmt: skip
        labels = array(file, "labels", "iu", None)
        limit = path.stat().st_size
        rows = {}
        for name, kinds in (("times", "f"), ("units", "iu")):
            found = child(group(file, "spikes"), name)
            kind = h5py.check_vlen_dtype(found.dtype) if isinstance(found, h5py.Dataset) else None
            if kind is None or kind.kind not in kinds:
                raise DamagedError(f"spikes/{name} has no rows of numbers of different lengths")
            if found.is_virtual or found.external or found.shape != labels.shape:
                raise DamagedError(f"spikes/{name} has shape {found.shape}, and there are {len(labels)} labels")
            rows[name] = _rows(found, kind, limit)
        classes = None
        if "extra" in file and "keys" in group(file, "extra"):
            names = np.asarray(array(group(file, "extra"), "keys", "SO", None))
            classes = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names.tolist()]
    (times, begin), (units, same) = rows["times"], rows["units"]
    if not np.array_equal(begin, same):
        k = int(np.argmax(np.diff(begin) != np.diff(same)))
        raise DataFileError(f"'{path}' is damaged: recording {k} has {int(np.diff(begin)[k])} times and "
                            f"{int(np.diff(same)[k])} units", where)  # fmt: skip
    size = sensor or (UNITS, 1)
    if len(units) and units.max() >= size[0]:
        raise DataFileError(f"'{path}' has spikes of unit {units.max()}, and of {size[0]} only: give sensor=(units, 1)",
                            where)  # fmt: skip
    return Dataset(_Slices(times, units, None, None, begin, size), labels, classes=classes)


def _rows(dataset: Any, kind: np.dtype, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of different lengths one after the other, and where each begins; no more bytes than the file has."""
    from neurosim.recording.checked import DamagedError

    parts, total = [], 0
    for k in range(len(dataset)):
        part = np.asarray(dataset[k])
        total += part.nbytes
        if total > limit:  # they are not packed: several rows are the same bytes
            raise DamagedError(f"{dataset.name} claims more than the {limit:,} bytes of the file")
        parts.append(part)
    begin = np.cumsum([0, *(len(part) for part in parts)])
    return np.concatenate([np.zeros(0, kind), *parts]), begin


__all__ = ["from_tonic", "read_recordings"]

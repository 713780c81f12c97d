"""One recording of events, from a file of any format that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neurosim.datasets.aer import Raw, camera_size, read_aedat, read_atis
from neurosim.datasets.events import Events
from neurosim.datasets.files import Archive, existing, hdf5, reading, start
from neurosim.errors import DataFileError, caller

FORMATS = ("aedat", "atis", "hdf5", "npz")
SUFFIXES = {".bin": "atis", ".bs2": "atis", ".aedat": "aedat", ".aedat4": "aedat", ".h5": "hdf5", ".hdf5": "hdf5",
            ".npz": "npz"}  # fmt: skip
STARTS = {b"#!AER-DAT": "aedat", b"\x89HDF\r\n\x1a\n": "hdf5", b"PK\x03\x04": "npz"}
NMNIST = (34, 34)
TIMES, POLARITIES = ("t", "ts", "timestamps", "t_us"), ("p", "pol", "polarity", "on")


def read_events(
    path: Any,
    *,
    format: str | None = None,
    sensor: tuple[int, int] | None = None,
    camera: str | None = None,
) -> Events:
    """Read a recording of an event camera.

    =========  =====================================================================================================
    ``atis``   40-bit events (.bin, .bs2): N-MNIST, N-Caltech101; overflows of the clock are undone
    ``aedat``  AEDAT 2.0 (jAER), AEDAT 3.1 (cAER) and, where the library ``aedat`` is installed, AEDAT 4 (DV)
    ``hdf5``   datasets x, y, t (or ts, timestamps) and p (or pol, polarity), in a group ``events`` or at the root
    ``npz``    arrays of these names
    =========  =====================================================================================================

    Times in the last two are seconds, or microseconds where they are whole numbers. Times in AEDAT are from the first
    event on: its clocks start with the camera, or in 1970. Rows and columns are the file's; where its rows are counted
    from below, as in jAER, ``events.flip(vertical=True)`` turns them.

    Parameters
    ----------
    path : path
        Of the file.
    format : str, optional
        Where it does not show in the first bytes or in the end of the name.
    sensor : tuple of int, optional
        Width and height, where the file does not say. Of ``atis`` it is N-MNIST's, 34 x 34, if not given.
    camera : str, optional
        Of AEDAT that does not name it: "DVS128", "DAVIS240", "DAVIS346", ….

    Raises
    ------
    DataFileError
        If the file is missing, foreign, truncated or damaged; it says where.
    BackendMissingError
        If AEDAT 4 is to be read and ``aedat`` is not installed.
    """
    where = caller()
    file = existing(path, "a recording of events", where)
    return load(file, form_of(file, format, where), sensor, camera, where)


def form_of(path: Path, given: str | None, where: str | None) -> str:
    """Return the format of a file: what is given, what its first bytes show, or what its name ends with."""
    if given is not None and given not in FORMATS:
        raise DataFileError(f"no format '{given}' of events is known; known: {', '.join(FORMATS)}", where)
    if given is not None:
        return given
    with reading(path, "a recording of events", where):
        head = start(path, 16)
    found = next((name for begin, name in STARTS.items() if head.startswith(begin)), SUFFIXES.get(path.suffix.lower()))
    if found is None:
        raise DataFileError(f"'{path}' is of no format that is known: it begins with {head[:8]!r}. Known are AEDAT, "
                            f"HDF5, .npz, and 40-bit events (.bin, .bs2); if it is one of them, give format=, one of "
                            f"{', '.join(FORMATS)}", where)  # fmt: skip
    return found


def load(path: Path, form: str, sensor: tuple[int, int] | None, camera: str | None, where: str | None) -> Events:
    """Read a recording of a format."""
    what = "a recording of events"
    if camera is not None:
        camera_size(camera, where)
    with reading(path, what, where):
        if form == "npz":
            raw, seconds = _from_npz(Archive(path, where))
        elif form == "hdf5":
            raw, seconds = _from_hdf5(path, where)
        else:
            raw = read_atis(path, where) if form == "atis" else read_aedat(path, camera, where)
            seconds = raw.t * 1e-6
        size = sensor or raw.sensor or (NMNIST if form == "atis" else None)
        if size is None:
            raise DataFileError(f"'{path}' does not say how large its sensor is: give sensor=(width, height)", where)
        if sensor is None and len(raw.t) and (raw.x.max() >= size[0] or raw.y.max() >= size[1]):
            guess = " (N-MNIST's, as no other is given)" if form == "atis" else ""
            raise DataFileError(f"'{path}' has events up to column {raw.x.max()} and row {raw.y.max()}, outside a "
                                f"sensor of {size[0]} x {size[1]}{guess}: give sensor=(width, height)",
                                where)  # fmt: skip
        return Events(seconds, raw.x, raw.y, raw.p, size)


def in_seconds(t: np.ndarray) -> np.ndarray:
    """Return times in seconds: whole numbers are microseconds."""
    return t * 1e-6 if t.dtype.kind in "iu" else t.astype(np.float64)


def _from_npz(archive: Archive) -> tuple[Raw, np.ndarray]:
    t = archive.read(archive.first(*TIMES))
    x, y = archive.read("x", "iu"), archive.read("y", "iu")
    p = archive.read(archive.first(*POLARITIES), "iub")
    sensor = _stated(archive.read("sensor", "iu"), archive.path, archive.where) if "sensor" in archive else None
    return Raw(t, x, y, _binary(p), sensor), in_seconds(t)


def _from_hdf5(path: Path, where: str | None) -> tuple[Raw, np.ndarray]:
    from neurosim.recording.checked import array, is_dataset
    from neurosim.recording.checked import group as member

    with hdf5(path, where) as file:
        group = member(file, "events") if "events" in file else file

        def column(kinds: str, *names: str) -> np.ndarray:
            for name in names:
                if is_dataset(group, name):
                    return array(group, name, kinds, None)
            raise DataFileError(f"'{path}' has no dataset '{names[0]}'"
                                + (f" (or {', '.join(names[1:])})" if names[1:] else "") + f" in {group.name}",
                                where)  # fmt: skip

        t, x, y, p = column("iuf", *TIMES), column("iu", "x"), column("iu", "y"), column("iu", *POLARITIES)
        sensor = None
        if "sensor" in group.attrs:
            sensor = _stated(np.asarray(group.attrs["sensor"]), path, where)
        elif "width" in group.attrs and "height" in group.attrs:
            sensor = _stated(np.array([group.attrs["width"], group.attrs["height"]]), path, where)
    return Raw(t, x, y, _binary(p), sensor), in_seconds(t)


def _binary(p: np.ndarray) -> np.ndarray:
    """Return polarities 0 and 1, where some have -1 for 0."""
    if p.dtype.kind == "i" and len(p) and p.min() == -1:
        return (p > 0).astype(np.int8) if p.max() <= 1 and not (p == 0).any() else p
    return p


def _stated(values: np.ndarray, path: Path, where: str | None) -> tuple[int, int]:
    if values.shape != (2,) or values.dtype.kind not in "iu":
        raise DataFileError(f"'{path}' is damaged: its sensor should be a width and a height, and is {values!r}", where)
    return int(values[0]), int(values[1])


__all__ = ["FORMATS", "SUFFIXES", "form_of", "in_seconds", "load", "read_events"]

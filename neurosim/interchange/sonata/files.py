"""Files of other people's: HDF5, CSV and JSON that are not believed until they have been checked.

Names, types, shapes and sizes are checked against each other, and against what the file really holds, before an array
is allocated; large datasets are read in pieces. Links that lead out of a file are refused.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError, ResultFileError
from neurosim.recording.endure import fault
from neurosim.recording.sonata import COMPRESSION_LIMIT, MAGIC

CHUNK = 1 << 20
"""Rows of a dataset that are read at a time."""

TEXT_LIMIT = 1 << 26
"""Bytes of the largest table or configuration that is read."""

KINDS = {"iu": "whole numbers", "iuf": "numbers", "f": "floating-point numbers", "OSU": "texts"}


# -- HDF5


@contextlib.contextmanager
def opened(path: str, what: str) -> Iterator[Any]:
    """Open an HDF5 file; whatever goes wrong with it becomes one sentence that names it.

    Parameters
    ----------
    path : str
        The file.
    what : str
        What it is for: "the nodes", "the spikes of the input 'lgn'".
    """
    import h5py

    shown = display(path)
    present(path, what)
    if not h5py.is_hdf5(path):
        raise ResultFileError(f"{what}: '{shown}' is not an HDF5 file, or its beginning is damaged")
    harm = fault(path)
    if harm:
        raise ResultFileError(f"{what}: '{shown}' is damaged: {harm}")
    try:
        with h5py.File(path, "r") as file:
            magic = file.attrs.get("magic")
            if magic is not None and (np.size(magic) != 1 or int(np.asarray(magic).ravel()[0]) != MAGIC):
                raise ResultFileError(f"{what}: '{shown}' is an HDF5 file but not a SONATA one (its magic number is "
                                      "another)")  # fmt: skip
            yield file
    except NeurosimError:
        raise
    except MemoryError:
        raise ResultFileError(f"{what}: '{shown}' holds more than fits into memory") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what HDF5 stumbles over
        first = (str(error).split(" (")[0].splitlines() or [""])[0]
        word = "truncated" if "truncated" in str(error) else "damaged"
        raise ResultFileError(f"{what}: '{shown}' is {word} and cannot be read ({first or type(error).__name__})") \
            from None  # fmt: skip


def damaged(group: Any, text: str) -> ResultFileError:
    """Return the error for something in a file that cannot be right."""
    return ResultFileError(f"'{display(group.file.filename)}': {text}")


def member(group: Any, name: str) -> Any:
    """Return a member of a group, if it lies in the file itself."""
    import h5py

    if name not in group:
        held = ", ".join(list(group)[:12]) or "nothing"
        raise damaged(group, f"'{name}' is missing from {group.name}, which holds {held}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise damaged(group, f"'{name}' in {group.name} is a link to somewhere else")
    return group[name]


def subgroup(group: Any, name: str) -> Any:
    """Return a member that is a group."""
    import h5py

    found = member(group, name)
    if not isinstance(found, h5py.Group):
        raise damaged(group, f"{found.name} is not a group")
    return found


def column(group: Any, name: str, kinds: str, length: int | None = None, width: int | None = None) -> Any:
    """Return a dataset, unread, if it is what it should be and can be as large as it claims.

    Parameters
    ----------
    kinds : str
        Kinds of NumPy types: a key of `KINDS`.
    length : int, optional
        Its rows, where they are known.
    width : int, optional
        Its columns; a row by default.
    """
    import h5py

    found = member(group, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds:
        raise damaged(group, f"{found.name} is not an array of {KINDS[kinds]}")
    if found.is_virtual or found.external:
        raise damaged(group, f"{found.name} lies in another file")
    shape = found.shape
    if shape is None or len(shape) != (1 if width is None else 2) or (width is not None and shape[1] != width):
        wanted = "a row" if width is None else f"of shape (rows, {width})"
        raise damaged(group, f"{found.name} has shape {shape}; it must be {wanted}")
    if length is not None and shape[0] != length:
        raise damaged(group, f"{found.name} has {shape[0]} entries where the rest has {length}")
    if found.nbytes > COMPRESSION_LIMIT * found.id.get_storage_size():
        raise damaged(group, f"{found.name} claims {found.nbytes} bytes, more than the file can hold")
    return found


def whole(group: Any, name: str, kinds: str, length: int | None = None) -> np.ndarray:
    """Return a row of numbers."""
    return np.asarray(column(group, name, kinds, length)[()])


def texts(dataset: Any, rows: slice) -> np.ndarray:
    """Return texts of a dataset as an array of str."""
    return np.array([t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in dataset[rows]], object)


def pieces(length: int) -> Iterator[slice]:
    """Cut a dataset into hyperslabs."""
    for start in range(0, length, CHUNK):
        yield slice(start, min(length, start + CHUNK))


# -- text


def _read(path: str, what: str) -> str:
    present(path, what)
    try:
        if os.path.getsize(path) > TEXT_LIMIT:
            raise ResultFileError(f"{what}: '{display(path)}' has more than {TEXT_LIMIT >> 20} MiB")
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except UnicodeDecodeError:
        raise ResultFileError(f"{what}: '{display(path)}' is not a text (UTF-8)") from None
    except OSError as error:
        raise ResultFileError(f"{what}: cannot read '{display(path)}': {error.strerror or error}") from None


def read_json(path: str, what: str) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    try:
        found = json.loads(_read(path, what))
    except ValueError as error:
        raise ResultFileError(f"{what}: '{display(path)}' is not valid JSON: {error}") from None
    except RecursionError:
        raise ResultFileError(f"{what}: '{display(path)}' is nested too deeply") from None
    if not isinstance(found, dict):
        raise ResultFileError(f"{what}: '{display(path)}' must hold an object {{…}}, not {type(found).__name__}")
    return found


def read_table(path: str, what: str, key: str | None = None) -> list[dict[str, str | None]]:
    """Read a table with spaces between its columns; ``NULL`` and empty entries are None.

    Parameters
    ----------
    key : str, optional
        A column that must be there and hold different whole numbers.
    """
    text = _read(path, what)
    try:
        lines = csv.reader(text.splitlines(), delimiter=" ", skipinitialspace=True, strict=True)
        rows = [(lines.line_num, [c for c in row]) for row in lines if any(row)]
    except csv.Error as error:
        raise ResultFileError(f"{what}: '{display(path)}' is not a table: {error}") from None
    if not rows:
        raise ResultFileError(f"{what}: '{display(path)}' is empty")
    header = [c for c in rows[0][1] if c]
    if len(set(header)) != len(header):
        raise ResultFileError(f"{what}: '{display(path)}' names a column twice: {', '.join(header)}")
    if key is not None and key not in header:
        raise ResultFileError(f"{what}: '{display(path)}' has no column '{key}', only {', '.join(header)} (columns are "
                              "separated by spaces)")  # fmt: skip
    out: list[dict[str, str | None]] = []
    for number, row in rows[1:]:
        while len(row) > len(header) and row[-1] == "":
            row = row[:-1]
        if len(row) != len(header):
            raise ResultFileError(f"{what}: line {number} of '{display(path)}' has {len(row)} entries for "
                                  f"{len(header)} columns ({', '.join(header)})")  # fmt: skip
        out.append({k: None if c in ("", "NULL", "None", "nan", "NaN") else c
                    for k, c in zip(header, row, strict=True)})  # fmt: skip
    if key is not None:
        seen: set[str | None] = set()
        for row_ in out:
            if row_[key] is None or not str(row_[key]).isdigit() or row_[key] in seen:
                raise ResultFileError(f"{what}: '{display(path)}' has the {key} {row_[key]!r}; each must be a whole "
                                      "number that stands there once")  # fmt: skip
            seen.add(row_[key])
    return out


def present(path: str, what: str) -> None:
    """Complain where there is no such file."""
    if not os.path.exists(path):
        raise ResultFileError(f"{what}: there is no file '{display(path)}'")
    if os.path.isdir(path):
        raise ResultFileError(f"{what}: '{display(path)}' is a directory, not a file")
    if not os.path.isfile(path):
        raise ResultFileError(f"{what}: '{display(path)}' is no regular file")


def display(path: str) -> str:
    """Return a path as it is shown: relative where that is shorter."""
    path = os.fsdecode(path)
    try:
        short = os.path.relpath(path)
    except ValueError:  # another drive on Windows
        return path
    return short if len(short) < len(path) else path

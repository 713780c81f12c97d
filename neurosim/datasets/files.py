"""Files that are not believed: opened, measured, and refused in a sentence."""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, DataFileError, NeurosimError, ResourceError
from neurosim.recording.sonata import COMPRESSION_LIMIT


def existing(path: Any, what: str, where: str | None) -> Path:
    """Return the path of a regular file that is not empty.

    Parameters
    ----------
    what : str
        What it should be: "a recording".
    """
    try:
        found = Path(os.fsdecode(path))
    except TypeError:
        raise DataFileError(f"the path of {what} must be a text or a Path, got {path!r}", where) from None
    if found.is_dir():
        raise DataFileError(f"'{found}' is a directory, not {what}", where)
    if not found.exists():
        raise DataFileError(f"there is no file '{found}'; nothing is downloaded: get {what} first", where)
    if not found.is_file():
        raise DataFileError(f"'{found}' is no regular file, so not {what}", where)
    if not found.stat().st_size:
        raise DataFileError(f"'{found}' is empty, not {what}", where)
    return found


@contextlib.contextmanager
def reading(path: Path, what: str, where: str | None) -> Iterator[None]:
    """Make a sentence that names the file of whatever goes wrong with it."""
    try:
        yield
    except (DataFileError, BackendMissingError, ResourceError):
        raise
    except NeurosimError as error:  # what is in it contradicts itself
        raise DataFileError(f"'{path}' is not {what} as it should be: {error.message}", where) from None
    except MemoryError:
        raise DataFileError(f"'{path}' holds more than fits into memory", where) from None
    except EOFError:
        raise DataFileError(f"'{path}' is truncated: it ends in the middle of its compressed data", where) from None
    except (zlib.error, zipfile.BadZipFile) as error:
        raise DataFileError(f"'{path}' is damaged: {error}", where) from None
    except OSError as error:
        raise DataFileError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}", where) from None


def start(path: Path, count: int) -> bytes:
    """Return the first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(count)


class Archive:
    """A NumPy archive (.npz): arrays by name, each checked against its member of the zip file before it is read.

    Objects are refused: they would be pickles, which are code.
    """

    def __init__(self, path: Path, where: str | None) -> None:
        self.path, self.where = path, where
        with reading(path, "a NumPy archive", where), _unpacking(path, where):
            try:
                with zipfile.ZipFile(path) as archive:
                    found = archive.infolist()
            except zipfile.BadZipFile:
                raise DataFileError(f"'{path}' is truncated or not a NumPy archive (.npz): the list of its arrays, at "
                                    "its end, is missing", where) from None  # fmt: skip
        self.members = {m.filename.removesuffix(".npy"): m for m in found if m.filename.endswith(".npy")}

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def first(self, *names: str) -> str:
        """Return the first of the names that is there."""
        for name in names:
            if name in self.members:
                return name
        raise DataFileError(f"'{self.path}' has no array '{names[0]}'"
                            + (f" (or {', '.join(names[1:])})" if names[1:] else "")
                            + f"; it has: {', '.join(sorted(self.members)) or 'none'}", self.where)  # fmt: skip

    def read(self, name: str, kinds: str = "iuf", ndim: int | None = 1) -> np.ndarray:
        """Return an array of one of these kinds of NumPy types, and with so many axes."""
        member = self.members[self.first(name)]

        def refuse(why: str) -> DataFileError:
            return DataFileError(f"'{self.path}' is damaged: array '{name}' {why}", self.where)

        if member.file_size > COMPRESSION_LIMIT * max(member.compress_size, 1):
            raise refuse(f"claims {member.file_size:,} bytes, packed in {member.compress_size:,}")
        with reading(self.path, "a NumPy archive", self.where), _unpacking(self.path, self.where):
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
                shape, fortran, kind = _npy_header(file)
                if kind.hasobject:
                    raise refuse("holds Python objects, which would be code: they are not read")
                if kind.kind not in kinds:
                    raise refuse(f"is of type {kind}, and numbers of another are expected ({kinds})")
                if ndim is not None and len(shape) != ndim:
                    raise refuse(f"has shape {list(shape)}, and {ndim} axes are expected")
                size = math.prod(shape) * kind.itemsize
                if size != member.file_size - file.tell():
                    raise refuse(f"claims {size:,} bytes and has {member.file_size - file.tell():,}")
                data = file.read(size)
                if len(data) != size:
                    raise refuse(f"ends after {len(data):,} of {size:,} bytes")
        return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


@contextlib.contextmanager
def _unpacking(path: Path, where: str | None) -> Iterator[None]:
    """Make an error of ours of whatever the unpacker of archives stumbles over: it has no error of its own for all."""
    try:
        yield
    except (NeurosimError, OSError, EOFError, MemoryError, zlib.error, zipfile.BadZipFile):
        raise  # `reading` knows what to say
    except Exception as error:  # NotImplementedError, RuntimeError, UnicodeError, struct.error, ValueError …
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataFileError(f"'{path}' is damaged: its arrays cannot be unpacked ({said})", where) from None


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, order and type of an array from the head of its file."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # it is parsed as Python's literals are
        raise zipfile.BadZipFile(f"the head of an array cannot be read ({str(error).splitlines()[0]})") from None
    raise zipfile.BadZipFile(f"an array is of version {version} of NumPy's format, and 1.0 and 2.0 are known")


@contextlib.contextmanager
def hdf5(path: Path, where: str | None) -> Iterator[Any]:
    """Open an HDF5 file after a process of its own has survived reading it.

    Raises
    ------
    DataFileError
        It cannot be read, or is not as it should be (`neurosim.recording.checked` says what).
    """
    import h5py

    from neurosim.recording.checked import DamagedError
    from neurosim.recording.endure import fault

    with reading(path, "an HDF5 file", where):
        if not h5py.is_hdf5(path):
            raise DataFileError(f"'{path}' is not an HDF5 file, or its beginning is damaged", where)
        harm = fault(path)
        if harm:
            raise DataFileError(f"'{path}' is damaged: {harm}", where)
        try:
            with h5py.File(path, "r") as file:
                yield file
        except DamagedError as error:
            raise DataFileError(f"'{path}' is damaged, or of another layout: {error}", where) from None
        except NeurosimError:
            raise
        except Exception as error:  # whatever HDF5 stumbles over: OSError, RuntimeError, KeyError, ValueError …
            first = (str(error).split(" (")[0].splitlines() or [""])[0]
            word = "truncated" if "truncated" in str(error) else "damaged"
            raise DataFileError(f"'{path}' is {word} and cannot be read ({first or type(error).__name__})",
                                where) from None  # fmt: skip


__all__ = ["Archive", "existing", "hdf5", "reading", "start"]

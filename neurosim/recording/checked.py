"""HDF5 files that are not believed until they have been checked: what the readers of neurosim's own files share.

Names, types, shapes and sizes are checked against each other, and against what the file really holds, before an array
is allocated. Links that lead out of the file are refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError, ResultFileError
from neurosim.recording.endure import fault
from neurosim.recording.seal import another, broken
from neurosim.recording.sonata import COMPRESSION_LIMIT

FLOAT, INTEGER = "f", "iu"
"""Kinds of NumPy types, as `values` takes them."""


class DamagedError(Exception):
    """Something in the file contradicts the layout; `opened` says of which file."""


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], form: str, what: str, where: str | None, ours: bool = False
) -> Iterator[Any]:
    """Open a file; whatever goes wrong with it becomes one sentence that names it.

    Parameters
    ----------
    form : str
        Of its seal; a file without one is read, too, unless it has to be ``ours``.
    what : str
        What it should be: "results", "sweep".
    where : str, optional
        The user's line.

    Raises
    ------
    ResultFileError
        It is missing, cannot be read, or is not as it should be.
    """
    import h5py

    shown = os.fspath(path)
    if not os.path.exists(shown):
        raise ResultFileError(f"there is no file '{shown}'", where)
    if os.path.isdir(shown):
        raise ResultFileError(f"'{shown}' is a directory, not a {what} file", where)
    if not os.path.isfile(shown):  # reading a pipe waits for its writer, reading a device may never end
        raise ResultFileError(f"'{shown}' is no regular file, so not a {what} file", where)
    try:
        with open(shown, "rb") as head:
            empty = not head.read(1)
        other = another(shown, form)
        wrong = broken(shown, form)  # "": of before seals, or of another program
    except OSError as error:
        raise ResultFileError(f"cannot read '{shown}': {(error.strerror or str(error)).lower()}", where) from None
    if empty:
        raise ResultFileError(f"'{shown}' is empty", where)
    if other:
        raise ResultFileError(f"'{shown}' {other}", where)
    if wrong:
        raise ResultFileError(f"'{shown}' is {wrong}", where)
    if wrong is not None and ours:
        raise ResultFileError(f"'{shown}' is not a {what} that neurosim has saved, or its beginning is damaged", where)
    if not h5py.is_hdf5(shown):
        raise ResultFileError(f"'{shown}' is not an HDF5 file, so not a {what.removesuffix('s')}; or its beginning is "
                              "damaged", where)  # fmt: skip
    harm = fault(shown)
    if harm:
        raise ResultFileError(f"'{shown}' is damaged: {harm}", where)
    try:
        with h5py.File(shown, "r") as file:
            yield file
    except ResultFileError:
        raise
    except DamagedError as error:
        raise ResultFileError(f"'{shown}' is damaged: {error}", where) from None
    except NeurosimError as error:  # the numbers contradict each other
        raise ResultFileError(f"'{shown}' is damaged: {error.message}", where) from None
    except MemoryError:
        raise ResultFileError(f"'{shown}' holds more than fits into memory", where) from None
    except Exception as error:  # whatever HDF5 stumbles over: OSError, RuntimeError, KeyError, ValueError ...
        first = (str(error).split(" (")[0].splitlines() or [""])[0]
        word = "truncated" if "truncated" in str(error) else "damaged"
        raise ResultFileError(f"'{shown}' is {word} and cannot be read ({first or type(error).__name__})",
                              where) from None  # fmt: skip


def child(parent: Any, name: str) -> Any:
    """Return a member of a group, if it lies in the file itself."""
    import h5py

    if not isinstance(parent, h5py.Group):  # "in" would go through all values of an array
        raise DamagedError(f"{parent.name} is not a group")
    if name not in parent:
        raise DamagedError(f"'{name}' is missing from {parent.name}")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise DamagedError(f"'{name}' in {parent.name} is a link to somewhere else")
    return parent[name]


def children(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Members of a group, which need not be there."""
    if name in file:
        parent = group(file, name)
        for key in parent:
            yield key, child(parent, key)


def group(file: Any, name: str) -> Any:
    """Return a member that is a group."""
    import h5py

    found = child(file, name)
    if not isinstance(found, h5py.Group):
        raise DamagedError(f"{found.name} is not a group")
    return found


def named(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Members of a group with the name they had before it was quoted."""
    for key, member in children(file, name):
        yield text(member.attrs.get("name", key)), member


def is_dataset(group: Any, name: str) -> bool:
    """Whether a member of a group is there and an array."""
    import h5py

    return isinstance(group, h5py.Group) and name in group and isinstance(child(group, name), h5py.Dataset)


def values(dataset: Any, kinds: str, ndim: int, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Return a dataset as an array, if it is one of numbers of these kinds and can be as large as it claims."""
    import h5py

    name = getattr(dataset, "name", "?")
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kinds:
        raise DamagedError(f"{name} is not an array of the expected numbers")
    if dataset.is_virtual or dataset.external:
        raise DamagedError(f"{name} lies in another file")
    wanted = shape or (None,) * ndim
    if len(dataset.shape) != ndim or any(n not in (None, got) for n, got in zip(wanted, dataset.shape, strict=True)):
        raise DamagedError(f"{name} has shape {dataset.shape}, which does not fit the rest")
    if dataset.nbytes > COMPRESSION_LIMIT * dataset.id.get_storage_size():
        raise DamagedError(f"{name} claims {dataset.nbytes} bytes, more than the file can hold")
    return dataset[()]


def array(group: Any, name: str, kinds: str, *shape: int | None) -> np.ndarray:
    """Return a member of a group as an array; None in the shape stands for any length."""
    return values(child(group, name), kinds, len(shape), shape)


def number(attributes: Any, name: str) -> float:
    """Return an attribute that is a finite number."""
    value = np.asarray(attributes[name] if name in attributes else np.nan)
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise DamagedError(f"attribute '{name}' is missing or not a number")
    return float(value.ravel()[0])


def text(value: Any) -> str:
    """Return what HDF5 has as bytes or text as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def texts(dataset: Any, length: int) -> list[str]:
    """Return a row of texts."""
    import h5py

    name = getattr(dataset, "name", "?")
    if not isinstance(dataset, h5py.Dataset) or h5py.check_string_dtype(dataset.dtype) is None:
        raise DamagedError(f"{name} is not a row of texts")
    if dataset.is_virtual or dataset.external:
        raise DamagedError(f"{name} lies in another file")
    if dataset.shape != (length,):
        raise DamagedError(f"{name} has shape {dataset.shape}, which does not fit the rest")
    return [str(x) for x in dataset.asstr()[()]]

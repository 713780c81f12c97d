"""Documents and arrays in a sealed HDF5 file."""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np

from neurosim.errors import NeurosimError, ParameterError, ResultFileError, caller
from neurosim.lang.network import Network
from neurosim.recording import checked
from neurosim.recording.safe import sealed
from neurosim.saving import build
from neurosim.saving.describe import NAME, VERSION, document
from neurosim.saving.nodes import MOST_BYTES, TYPES, Arrays, DocumentError, Node, parse
from neurosim.saving.writer import UnsaveableError, Writer, written

FORMAT = f"{NAME} {VERSION}"

_TYPES = {np.dtype(t) for t in TYPES.values()}


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network; :meth:`neurosim.Network.save` says what is in the file."""
    where = caller()
    data, arrays = _described(network, where)
    _write(path, data, arrays)


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network; :meth:`neurosim.Network.load` says what is checked."""
    shown, where = os.fspath(path), caller()
    data, held = _read(shown, where)
    try:
        return build.network(Node(parse(data), "", Arrays(held)), shown)
    except DocumentError as error:
        raise ResultFileError(f"'{shown}' does not describe a network: {error}", where) from None
    except NeurosimError as error:
        if error.where is not None:
            raise
        raise type(error)(error.message, shown) from None
    except RecursionError:
        raise ResultFileError(f"'{shown}' does not describe a network: it is nested too deeply", where) from None


def _described(network: Network, where: str | None) -> tuple[bytes, list[np.ndarray]]:
    """Return the document and its arrays, after a look at whether the same network comes of them."""
    w = Writer()
    try:
        data = written(document(network, w))
        if len(data) > MOST_BYTES:
            raise UnsaveableError(f"its description has {len(data):,} bytes, and a file holds at most {MOST_BYTES:,}")
        again = Writer()
        copy = build.network(Node(parse(data), "", Arrays(dict(enumerate(w.arrays)))), "the file")
        same = written(document(copy, again)) == data and all(map(np.array_equal, w.arrays, again.arrays))
    except UnsaveableError as error:
        raise ParameterError(f"the network {network.name!r} cannot be saved: {error}", where) from None
    except (DocumentError, NeurosimError) as error:
        said = error.message if isinstance(error, NeurosimError) else str(error)
        raise ParameterError(f"the network {network.name!r} cannot be saved, as it could not be read again: {said}",
                             where) from None  # fmt: skip
    if not same:
        raise ParameterError(f"the network {network.name!r} cannot be saved, as another one would be read again: it "
                             "was changed by something else than the functions of Network", where)  # fmt: skip
    return data, w.arrays


def _write(path: str | os.PathLike[str], data: bytes, arrays: list[np.ndarray]) -> None:
    with sealed(path, FORMAT) as (file, raw):
        file.create_dataset("network", data=np.frombuffer(data, np.uint8))
        group = file.create_group("arrays")
        for k, array in enumerate(arrays):
            if raw.error is not None:
                break
            group.create_dataset(str(k), data=array)
            file.flush()


def _read(shown: str, where: str | None) -> tuple[bytes, dict[int, np.ndarray]]:
    """Return the document and the arrays of a file, which are together no larger than the file."""
    with checked.opened(shown, FORMAT, "network", where, ours=True) as file:
        left = os.path.getsize(shown)
        if set(file) != {"network", "arrays"} or len(file.attrs):
            raise checked.DamagedError("it does not hold a document and its arrays, and nothing else")
        data = _plain(checked.child(file, "network"), {np.dtype("u1")}, 1, left)
        if len(data) > MOST_BYTES:
            raise checked.DamagedError(f"its document has {len(data):,} bytes, and at most {MOST_BYTES:,} are read")
        left -= len(data)
        held: dict[int, np.ndarray] = {}
        group = checked.group(file, "arrays")
        for k in range(len(group)):
            held[k] = _plain(checked.child(group, str(k)), _TYPES, 2, left)
            held[k].flags.writeable = False
            left -= held[k].nbytes
    return data.tobytes(), held


def _plain(dataset: Any, types: set[np.dtype[Any]], ndim: int, left: int) -> np.ndarray:
    """Return an array that lies in the file as it is: not packed, not in pieces, not elsewhere."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype not in types or not 1 <= len(dataset.shape or ()) <= ndim:
        raise checked.DamagedError(f"{getattr(dataset, 'name', '?')} is not an array of a network")
    if dataset.chunks is not None or dataset.id.get_create_plist().get_nfilters():
        raise checked.DamagedError(f"{dataset.name} is packed, which arrays of a network are not")
    if dataset.nbytes > left:
        raise checked.DamagedError(f"{dataset.name} claims {dataset.nbytes} bytes, more than the file can hold")
    return checked.values(dataset, "fiu", len(dataset.shape))

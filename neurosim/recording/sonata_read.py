"""Reading results and SONATA spike files; a file is not believed until it has been checked.

Names, types, shapes and sizes are checked against each other, and against what the file really holds, before an array
is allocated. Links that lead out of the file are refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurosim.analysis.spiketrains import RateTrace
from neurosim.errors import NeurosimError, ResultFileError, caller
from neurosim.recording.records import Provenance, Spikes, Trace, WeightTrace
from neurosim.recording.seal import broken
from neurosim.recording.sonata import COMPRESSION_LIMIT, FORMAT, MAGIC

_FLOAT, _INTEGER = "f", "iu"


@dataclasses.dataclass
class Contents:
    """Everything a results file holds."""

    populations: dict[str, int]
    provenance: Provenance
    spikes: dict[str, Spikes]
    state: dict[str, dict[str, Trace]]
    population_rates: dict[str, RateTrace]
    weight_traces: dict[str, WeightTrace]
    weights: dict[str, np.ndarray]


class _DamagedError(Exception):
    """Something in the file contradicts the layout."""


def read_result(path: str | os.PathLike[str]) -> Contents:
    """Read a results file written by neurosim.

    Raises
    ------
    ResultFileError
        If the file is missing, truncated, damaged, or not ours.
    """
    where = caller()
    with _opened(path, where) as file:
        if "provenance" not in file:
            raise ResultFileError(
                f"'{os.fspath(path)}' is a SONATA file but not a neurosim result (it has no /provenance); "
                "its spikes can be read with neurosim.recording.read_spikes",
                where,
            )
        provenance, populations = _provenance(_child(file, "provenance"))
        spikes = {name: _spikes(group, populations.get(name)) for name, group in _named(file, "spikes")}
        state: dict[str, dict[str, Trace]] = {}
        for _, group in _children(file, "report"):
            population, trace = _trace(group)
            state.setdefault(population, {})[trace.variable] = trace
        return Contents(
            populations,
            provenance,
            {name: spikes[name] for name in populations if name in spikes},
            {name: state[name] for name in populations if name in state},
            {name: _rate(dataset) for name, dataset in _named(file, "population_rates")},
            {name: _weight_trace(group) for name, group in _named(file, "weight_traces")},
            {name: _values(dataset, _FLOAT, 1) for name, dataset in _named(file, "weights")},
        )


def read_spikes(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the spikes of any SONATA file: population -> (timestamps in s, node ids), in the order of the file.

    Timestamps are returned as they stand: most simulators stamp the end of the step (see the attribute
    ``timestamp_convention`` of files by neurosim). Files of before 2019, with ``/spikes/gids`` and no populations, are
    read as one population named "".
    """
    where = caller()
    with _opened(path, where) as file:
        if "spikes" not in file:
            raise ResultFileError(f"'{os.fspath(path)}' holds no spikes (it has no group /spikes)", where)
        root = _child(file, "spikes")
        if _is_dataset(root, "timestamps"):
            return {"": _stamped(root)}
        return {name: _stamped(group) for name, group in _named(file, "spikes")}


# -- opening


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], where: str | None) -> Iterator[Any]:
    import h5py

    shown = os.fspath(path)
    if not os.path.exists(shown):
        raise ResultFileError(f"there is no file '{shown}'", where)
    if os.path.isdir(shown):
        raise ResultFileError(f"'{shown}' is a directory, not a results file", where)
    try:
        with open(shown, "rb") as head:
            empty = not head.read(1)
        wrong = broken(shown, FORMAT)  # "": of before seals, or of another program
    except OSError as error:
        raise ResultFileError(f"cannot read '{shown}': {(error.strerror or str(error)).lower()}", where) from None
    if empty:
        raise ResultFileError(f"'{shown}' is empty", where)
    if wrong:
        raise ResultFileError(f"'{shown}' is {wrong}", where)
    if not h5py.is_hdf5(shown):
        raise ResultFileError(f"'{shown}' is not an HDF5 file, so not a result; or its beginning is damaged", where)
    try:
        with h5py.File(shown, "r") as file:
            if "magic" not in file.attrs:
                raise ResultFileError(f"'{shown}' is an HDF5 file but not a SONATA one (it has no magic number)",
                                      where)  # fmt: skip
            if int(np.asarray(file.attrs["magic"]).ravel()[0]) != MAGIC:
                raise ResultFileError(f"'{shown}' is an HDF5 file but not a SONATA one (its magic number is another)",
                                      where)  # fmt: skip
            yield file
    except ResultFileError:
        raise
    except _DamagedError as error:
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


def _child(parent: Any, name: str) -> Any:
    import h5py

    if name not in parent:
        raise _DamagedError(f"'{name}' is missing from {parent.name}")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise _DamagedError(f"'{name}' in {parent.name} is a link to somewhere else")
    return parent[name]


def _children(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    if name in file:
        parent = _child(file, name)
        for key in parent:
            yield key, _child(parent, key)


def _named(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Members of a group with the name they had before it was quoted."""
    for key, member in _children(file, name):
        yield _text(member.attrs.get("name", key)), member


def _is_dataset(group: Any, name: str) -> bool:
    import h5py

    return name in group and isinstance(_child(group, name), h5py.Dataset)


# -- checked values


def _values(dataset: Any, kinds: str, ndim: int, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Return a dataset as an array, if it is one of numbers of these kinds and can be as large as it claims."""
    import h5py

    name = getattr(dataset, "name", "?")
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kinds:
        raise _DamagedError(f"{name} is not an array of the expected numbers")
    if dataset.is_virtual or dataset.external:
        raise _DamagedError(f"{name} lies in another file")
    wanted = shape or (None,) * ndim
    if len(dataset.shape) != ndim or any(n not in (None, got) for n, got in zip(wanted, dataset.shape, strict=True)):
        raise _DamagedError(f"{name} has shape {dataset.shape}, which does not fit the rest")
    if dataset.nbytes > COMPRESSION_LIMIT * dataset.id.get_storage_size():
        raise _DamagedError(f"{name} claims {dataset.nbytes} bytes, more than the file can hold")
    return dataset[()]


def _array(group: Any, name: str, kinds: str, *shape: int | None) -> np.ndarray:
    return _values(_child(group, name), kinds, len(shape), shape)


def _number(attributes: Any, name: str) -> float:
    value = np.asarray(attributes[name] if name in attributes else np.nan)
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise _DamagedError(f"attribute '{name}' is missing or not a number")
    return float(value.ravel()[0])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _provenance(group: Any) -> tuple[Provenance, dict[str, int]]:
    raw: dict[str, Any] = dict(group.attrs)
    for key in group:  # a text too long for an attribute
        text = _child(group, key)
        if text.shape != ():
            raise _DamagedError(f"/provenance/{key} is not a text")
        raw[key] = text[()]
    known: dict[str, Any] = {}
    for field in dataclasses.fields(Provenance):
        if field.name not in raw:
            continue
        value = raw[field.name]
        if field.type == "dict[str, str]":
            known[field.name] = {str(k): str(v) for k, v in json.loads(_text(value)).items()}
        elif field.type == "str":
            known[field.name] = _text(value)
        else:
            known[field.name] = float(value) if field.type == "float" else int(value)
    sizes = json.loads(_text(raw.get("populations", "{}")))
    if not isinstance(sizes, dict) or not all(isinstance(n, int) and n >= 0 for n in sizes.values()):
        raise _DamagedError("the table of populations is malformed")
    return Provenance(**known), sizes


def _spikes(group: Any, size: int | None) -> Spikes:
    count = _child(group, "steps").shape
    if len(count) != 1:
        raise _DamagedError(f"{group.name}/steps is not a row")
    if size is None or _number(group.attrs, "size") != size:
        raise _DamagedError(f"the size of {group.name} is not that of the population")
    ids = _array(group, "node_ids", _INTEGER, count[0])
    if len(ids) and ids.max() >= size:
        raise _DamagedError(f"{group.name} holds the id {ids.max()}, the population has {size} neurons")
    return Spikes(
        _array(group, "steps", _INTEGER, count[0]),
        ids,
        size,
        _number(group.attrs, "dt_s"),
        int(_number(group.attrs, "n_steps")),
        int(_number(group.attrs, "start_step")),
        _array(group, "recorded", _INTEGER, None) if "recorded" in group else None,
    )


def _stamped(group: Any) -> tuple[np.ndarray, np.ndarray]:
    stamps = _child(group, "timestamps")
    unit = _text(stamps.attrs.get("units", group.attrs.get("units", "ms")))
    scales = {"ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "seconds": 1.0}
    if unit not in scales:
        raise _DamagedError(f"{group.name} has times in the unknown unit '{unit}'")
    times = _values(stamps, _FLOAT, 1)
    ids = _array(group, "node_ids" if "node_ids" in group else "gids", _INTEGER, len(times))
    return times * scales[unit], ids.astype(np.int64)


def _trace(group: Any) -> tuple[str, Trace]:
    population, variable = (_text(group.attrs.get(key, "")) for key in ("population", "variable"))
    if not population or not variable:
        raise _DamagedError(f"{group.name} does not say whose variable it holds")
    ids = _array(_child(group, "mapping"), "node_ids", _INTEGER, None)
    times = _array(group, "times", _FLOAT, None)
    data = _child(group, "values" if "values" in group else "data")
    unit = _text(data.attrs.get("units", ""))
    return population, Trace(variable, unit, ids, times, _values(data, _FLOAT, 2, (len(times), len(ids))))


def _rate(dataset: Any) -> RateTrace:
    values = _values(dataset, _FLOAT, 1)
    return RateTrace(values, _number(dataset.attrs, "bin_s"), _number(dataset.attrs, "start_s"))


def _weight_trace(group: Any) -> WeightTrace:
    edges, times = _array(group, "edges", _INTEGER, None), _array(group, "times", _FLOAT, None)
    return WeightTrace(
        _text(group.attrs.get("units", "")), edges, times, _array(group, "values", _FLOAT, len(times), len(edges))
    )

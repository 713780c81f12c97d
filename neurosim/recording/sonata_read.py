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
from neurosim.errors import ResultFileError, caller
from neurosim.recording import checked
from neurosim.recording.records import Provenance, Spikes, Trace, WeightTrace
from neurosim.recording.sonata import FORMAT, MAGIC


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


def read_result(path: str | os.PathLike[str]) -> Contents:
    """Read a results file written by neurosim.

    Raises
    ------
    ResultFileError
        If the file is missing, truncated, damaged, or not ours.
    """
    where = caller()
    with _opened(path, where) as file:
        return contents(file, os.fspath(path), where)


def contents(file: Any, shown: str, where: str | None = None) -> Contents:
    """Read a result from an open file, or from the group of one in a file of many.

    Parameters
    ----------
    shown : str
        The file, as its user wrote it.
    where : str, optional
        The user's line.
    """
    if "provenance" not in file:
        raise ResultFileError(
            f"'{shown}' is a SONATA file but not a neurosim result (it has no /provenance); "
            "its spikes can be read with neurosim.recording.read_spikes",
            where,
        )
    provenance, populations = _provenance(checked.group(file, "provenance"))
    spikes = {name: _spikes(group, populations.get(name)) for name, group in checked.named(file, "spikes")}
    state: dict[str, dict[str, Trace]] = {}
    for _, group in checked.children(file, "report"):
        population, trace = _trace(group)
        state.setdefault(population, {})[trace.variable] = trace
    return Contents(
        populations,
        provenance,
        {name: spikes[name] for name in populations if name in spikes},
        {name: state[name] for name in populations if name in state},
        {name: _rate(dataset) for name, dataset in checked.named(file, "population_rates")},
        {name: _weight_trace(group) for name, group in checked.named(file, "weight_traces")},
        {name: checked.values(dataset, checked.FLOAT, 1) for name, dataset in checked.named(file, "weights")},
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
        root = checked.group(file, "spikes")
        if checked.is_dataset(root, "timestamps"):
            return {"": _stamped(root)}
        return {name: _stamped(group) for name, group in checked.named(file, "spikes")}


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], where: str | None) -> Iterator[Any]:
    """Open a file that bears SONATA's mark."""
    with checked.opened(path, FORMAT, "results", where) as file:
        shown = os.fspath(path)
        if "magic" not in file.attrs:
            raise ResultFileError(f"'{shown}' is an HDF5 file but not a SONATA one (it has no magic number)", where)
        if int(np.asarray(file.attrs["magic"]).ravel()[0]) != MAGIC:
            raise ResultFileError(f"'{shown}' is an HDF5 file but not a SONATA one (its magic number is another)",
                                  where)  # fmt: skip
        yield file


def _provenance(group: Any) -> tuple[Provenance, dict[str, int]]:
    raw: dict[str, Any] = dict(group.attrs)
    for key in group:  # a text too long for an attribute
        entry = checked.child(group, key)
        if getattr(entry, "shape", None) != ():
            raise checked.DamagedError(f"/provenance/{key} is not a text")
        raw[key] = entry[()]
    known: dict[str, Any] = {}
    for field in dataclasses.fields(Provenance):
        if field.name not in raw:
            continue
        value = raw[field.name]
        if field.type == "dict[str, str]":
            known[field.name] = {str(k): str(v) for k, v in json.loads(checked.text(value)).items()}
        elif field.type == "str":
            known[field.name] = checked.text(value)
        else:
            known[field.name] = float(value) if field.type == "float" else int(value)
    sizes = json.loads(checked.text(raw.get("populations", "{}")))
    if not isinstance(sizes, dict) or not all(isinstance(n, int) and n >= 0 for n in sizes.values()):
        raise checked.DamagedError("the table of populations is malformed")
    return Provenance(**known), sizes


def _spikes(group: Any, size: int | None) -> Spikes:
    count = checked.child(group, "steps").shape
    if len(count) != 1:
        raise checked.DamagedError(f"{group.name}/steps is not a row")
    if size is None or checked.number(group.attrs, "size") != size:
        raise checked.DamagedError(f"the size of {group.name} is not that of the population")
    ids = checked.array(group, "node_ids", checked.INTEGER, count[0])
    if len(ids) and ids.max() >= size:
        raise checked.DamagedError(f"{group.name} holds the id {ids.max()}, the population has {size} neurons")
    return Spikes(
        checked.array(group, "steps", checked.INTEGER, count[0]),
        ids,
        size,
        checked.number(group.attrs, "dt_s"),
        int(checked.number(group.attrs, "n_steps")),
        int(checked.number(group.attrs, "start_step")),
        checked.array(group, "recorded", checked.INTEGER, None) if "recorded" in group else None,
    )


def _stamped(group: Any) -> tuple[np.ndarray, np.ndarray]:
    stamps = checked.child(group, "timestamps")
    unit = checked.text(stamps.attrs.get("units", group.attrs.get("units", "ms")))
    scales = {"ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "seconds": 1.0}
    if unit not in scales:
        raise checked.DamagedError(f"{group.name} has times in the unknown unit '{unit}'")
    times = checked.values(stamps, checked.FLOAT, 1)
    ids = checked.array(group, "node_ids" if "node_ids" in group else "gids", checked.INTEGER, len(times))
    return times * scales[unit], ids.astype(np.int64)


def _trace(group: Any) -> tuple[str, Trace]:
    population, variable = (checked.text(group.attrs.get(key, "")) for key in ("population", "variable"))
    if not population or not variable:
        raise checked.DamagedError(f"{group.name} does not say whose variable it holds")
    ids = checked.array(checked.child(group, "mapping"), "node_ids", checked.INTEGER, None)
    times = _times(group)
    data = checked.child(group, "values" if "values" in group else "data")
    unit = checked.text(data.attrs.get("units", ""))
    return population, Trace(variable, unit, ids, times, checked.values(data, checked.FLOAT, 2, (len(times), len(ids))))


def _times(group: Any) -> np.ndarray:
    times = checked.array(group, "times", checked.FLOAT, None)
    if not np.all(np.isfinite(times)):
        raise checked.DamagedError(f"{group.name} has samples at times that are no numbers")
    return times


def _rate(dataset: Any) -> RateTrace:
    found = checked.values(dataset, checked.FLOAT, 1)
    return RateTrace(found, checked.number(dataset.attrs, "bin_s"), checked.number(dataset.attrs, "start_s"))


def _weight_trace(group: Any) -> WeightTrace:
    edges = checked.array(group, "edges", checked.INTEGER, None)
    times = _times(group)
    return WeightTrace(
        checked.text(group.attrs.get("units", "")),
        edges,
        times,
        checked.array(group, "values", checked.FLOAT, len(times), len(edges)),
    )

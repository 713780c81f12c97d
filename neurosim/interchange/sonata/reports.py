"""Reports: variables of chosen nodes over time, recorded because the configuration asks for them, written as it says.

::

    /report/POPULATION      one population of nodes
        data                f32 [T, N], attribute units (mV for potentials, SI for the rest)
        mapping/            node_ids, index_pointers, element_ids, element_pos, time = (t0, t1, dt) in ms, t1 excluded

A value after step n stands at (n + 1) dt, as NEST's multimeter has it. Source: SONATA developer guide, "Frame-oriented
node element recordings" (github AllenInstitute/sonata, docs/SONATA_DEVELOPER_GUIDE.md).
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.errors import NeurosimError, ParameterError, ResultFileError, UnknownNameError, UnsupportedError
from neurosim.interchange.sonata.config import Config
from neurosim.interchange.sonata.inputs import node_set
from neurosim.interchange.sonata.nodes import Nodes
from neurosim.recording.atomic import write_bytes
from neurosim.recording.sonata import MAGIC, VERSION
from neurosim.units import ms

if TYPE_CHECKING:
    from neurosim.interchange.sonata.build import Part

MODULES = ("membrane_report", "multimeter_report", "compartment_report", "compartment")
MEMBRANE = ("V_m", "v", "Vm", "V")
"""What programs call the potential."""


@dataclass(frozen=True)
class Source:
    """What a report takes from one population of the network: its neurons ``ids``, which are the nodes ``nodes``."""

    label: str
    variable: str
    ids: np.ndarray
    nodes: np.ndarray


@dataclass(frozen=True)
class Report:
    """A report: its file, and for each population of nodes where its values come from; times in ms."""

    name: str
    file: str
    populations: dict[str, list[Source]]
    every: int
    start: float
    stop: float


def declare(net: Any, config: Config, nodes: dict[str, Nodes], parts: list[Part]) -> list[Report]:
    """Record what the configuration's reports ask for; a report that is not understood becomes a note that says why."""
    out = []
    for name, entry in config.reports.items():
        try:
            report = _report(net, config, nodes, parts, name, entry)
        except NeurosimError as reason:
            config.notes.append(f"the report '{name}' is not written: {reason.message}")
            continue
        if report is not None:
            out.append(report)
    return out


def _report(net: Any, config: Config, nodes: dict[str, Nodes], parts: list[Part], name: str,
            entry: Any) -> Report | None:  # fmt: skip
    what = f"the report '{name}'"
    if not isinstance(entry, dict):
        raise ParameterError(f"{what} must be an object {{…}}, got {entry!r}")
    if entry.get("enabled", True) is False:
        return None
    module = entry.get("module", entry.get("type"))
    if module not in MODULES:
        raise UnsupportedError(f"its module is {module!r}, and those that record variables are {', '.join(MODULES)}")
    wanted = entry.get("variable_name")
    if not isinstance(wanted, str):
        raise ParameterError(f"it needs one 'variable_name', got {wanted!r}")
    file = entry.get("file_name", f"{name}.h5")
    if not isinstance(file, str) or (os.path.basename(file) != file and not os.path.isabs(file)):
        raise ParameterError(f"its file_name must be the name of a file, got {file!r}")
    step = net.dt * 1e3
    every = round(_number(entry, "dt", step) / step)
    if every < 1 or abs(every * step - _number(entry, "dt", step)) > 1e-6 * step:
        raise ParameterError(f"its dt of {entry['dt']!r} ms is no whole number of steps of {step:g} ms")
    populations: dict[str, list[Source]] = {}
    for each, rows in node_set(config, nodes, entry.get("cells"), what):
        for part in parts:
            ids = np.flatnonzero(np.isin(part.rows, rows)) if part.nodes is each else np.zeros(0, np.int64)
            if len(ids) and part.built is not None:
                source = Source(part.label, _variable(part, wanted), ids, each.ids[part.rows[ids]])
                populations.setdefault(each.name, []).append(source)
    if not populations:
        raise ParameterError("none of its cells has a state: they are virtual")
    for source in (s for each in populations.values() for s in each):
        interval = None if every == 1 else every * step * ms
        net.record(net[source.label][source.ids], source.variable, every=interval)
    start, stop = _number(entry, "start_time", 0.0), _number(entry, "end_time", np.inf)
    return Report(name, file if file.endswith(".h5") else f"{file}.h5", populations, every, start, stop)


def _number(entry: dict[str, Any], key: str, default: float) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ParameterError(f"its {key} must be a number of milliseconds, got {value!r}")
    return float(value)


def _variable(part: Part, wanted: str) -> str:
    """Return the state variable that a report means: one of the cell's or a receptor's, or the membrane's."""
    cell = part.group.parts[0][0].cell
    receptors = [f"{key}.{v}" for key, receptor in cell.receptors.items() for v in receptor.variables]
    known = [*cell.variables, *receptors]
    if wanted in known:
        return wanted
    if wanted in MEMBRANE and known:
        return "v" if "v" in known else cell.variables[0]
    raise UnknownNameError(f"the cells of '{part.label}' keep no '{wanted}'; they have V_m, {', '.join(known)}")


def write(report: Report, directory: str, result: Any) -> str:
    """Write a report's file after a run, and return its path.

    Raises
    ------
    ResultFileError
        The values were too many to be held in memory, or the file cannot be written.
    """
    import h5py

    path = os.path.join(directory, report.file)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.create("magic", MAGIC, dtype=np.uint32)
        file.attrs.create("version", VERSION, dtype=np.uint32)
        for name, sources in report.populations.items():
            _population(file.create_group(f"report/{name}"), report, sources, result)
    write_bytes(path, buffer.getvalue())
    return path


def _population(group: Any, report: Report, sources: list[Source], result: Any) -> None:
    columns, nodes, times, unit = [], [], np.zeros(0), ""
    for source in sources:
        trace = result.state.get(source.label, {}).get(source.variable)
        if trace is None:
            raise ResultFileError(f"the values of the report '{report.name}' are too many to be held in memory, so it "
                                  "was not written; with -o FILE.h5 they are kept by population")  # fmt: skip
        times, symbol = np.asarray(trace.times) * 1e3, trace.unit
        unit = "mV" if symbol == "V" else symbol
        at = np.searchsorted(trace.ids, source.ids)
        columns.append(np.asarray(trace.values)[:, at] * (1e3 if symbol == "V" else 1.0))
        nodes.append(source.nodes)
    ids = np.concatenate(nodes)
    order = np.argsort(ids, kind="stable")
    step = result.provenance.dt * 1e3 * report.every
    keep = (times > report.start - step / 2) & (times < report.stop + step * 1e-6)
    values = np.concatenate(columns, axis=1)[keep][:, order].astype(np.float32)
    first = float(times[keep][0]) if keep.any() else report.start
    data = group.create_dataset("data", data=values)
    data.attrs["units"] = unit
    mapping = group.create_group("mapping")
    mapping["node_ids"] = ids[order].astype(np.uint64)
    mapping["node_ids"].attrs.create("sorted", True, dtype=np.uint8)
    mapping["index_pointers"] = np.arange(len(ids) + 1, dtype=np.uint64)
    mapping["element_ids"] = np.zeros(len(ids), dtype=np.uint32)
    mapping["element_pos"] = np.zeros(len(ids), dtype=np.float32)
    mapping["time"] = np.array([first, first + len(values) * step, step])
    mapping["time"].attrs["units"] = "ms"

"""Inputs of a simulation: spikes for virtual nodes, and currents.

Spikes are stamped at the end of their step, as simulators write them: a time T is a spike of the step that ends at T,
or, off the grid, of the step in which it lies (what NEST does with precise times, and BMTK with it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResultFileError, UnknownNameError, UnsupportedError, suggest
from neurosim.interchange.sonata.config import Config
from neurosim.interchange.sonata.files import column, damaged, display, opened, read_table, subgroup
from neurosim.interchange.sonata.nodes import Nodes, population

TOLERANCE = 1e-6
"""Steps by which a time may miss the end of a step and still be taken as it."""

_KNOWN = {"spikes": ("h5", "sonata", "csv"), "current_clamp": ("IClamp",), "csv": ("IClamp",)}
_SCALES = {"ms": 1.0, "milliseconds": 1.0, "s": 1e3, "seconds": 1e3}

Target = tuple[Nodes, np.ndarray]
"""A population and the rows of it that are meant."""


@dataclass
class Clamp:
    """A current into some nodes: from ``start`` to ``stop`` (ms) of ``amplitude`` (nA)."""

    name: str
    targets: list[Target]
    start: float
    stop: float
    amplitude: float


def check(config: Config) -> None:
    """Refuse the kinds of inputs that neurosim does not have, by name, before anything is read."""
    for name, entry in config.inputs.items():
        kind, module = entry.get("input_type"), entry.get("module")
        if not isinstance(kind, str) or kind not in _KNOWN:
            raise UnsupportedError(f"the input '{name}' is of the type '{kind}', which neurosim cannot play; it plays "
                                   f"{', '.join(_KNOWN)}")  # fmt: skip
        if not isinstance(module, str) or module not in _KNOWN[kind]:
            raise UnsupportedError(f"the input '{name}' ({kind}) has the module '{module}', which neurosim cannot "
                                   "play; "
                                   f"known: {', '.join(_KNOWN[kind])}")  # fmt: skip


def node_set(config: Config, nodes: dict[str, Nodes], spec: Any, what: str, depth: int = 0) -> list[Target]:
    """Return what a node set means: its name, a population, or conditions such as ``{"population": …}``."""
    if depth > 20:
        raise ParameterError(f"{what}: the node sets refer to each other in a circle")
    if isinstance(spec, list):
        return [target for one in spec for target in node_set(config, nodes, one, what, depth + 1)]
    if isinstance(spec, str):
        if spec in config.node_sets:
            return node_set(config, nodes, config.node_sets[spec], what, depth + 1)
        if spec in nodes:
            return [(nodes[spec], np.arange(len(nodes[spec])))]
        if spec == "all":
            return [(each, np.arange(len(each))) for each in nodes.values()]
        raise UnknownNameError(f"{what} names the node set '{spec}', which is neither in the node sets nor a population"
                               f"{suggest(spec, [*config.node_sets, *nodes])}")  # fmt: skip
    if not isinstance(spec, dict):
        raise ParameterError(f"{what} needs a 'node_set': a name, or an object such as {{\"population\": …}}; got "
                             f"{spec!r}")  # fmt: skip
    wanted = spec.get("population", list(nodes))
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParameterError(f"{what}: the population of a node set is a name or a list of names, got {wanted!r}")
    out = []
    for name in names:
        each = population(nodes, name, what)
        chosen = np.ones(len(each), dtype=bool)
        for key, value in spec.items():
            if key != "population":
                chosen &= _matches(each, key, value if isinstance(value, list) else [value], what)
        if chosen.any():
            out.append((each, np.flatnonzero(chosen)))
    if not out:
        raise ParameterError(f"{what}: no node fits the node set {spec}")
    return out


def _matches(nodes: Nodes, key: str, values: list[Any], what: str) -> np.ndarray:
    if key in ("node_id", "node_ids"):
        if not all(isinstance(v, int) for v in values):
            raise ParameterError(f"{what}: {key} must be whole numbers, got {values}")
        nodes.rows(np.array(values, dtype=np.int64), what)
        return np.isin(nodes.ids, values)
    if all(isinstance(v, str) for v in values):
        codes, labels = nodes.factor(key)
        return np.isin(codes, [k for k, label in enumerate(labels) if label in values])
    numbers = nodes.values(key)
    if numbers is None:
        raise UnknownNameError(f"{what} selects by '{key}', which the nodes '{nodes.name}' do not have")
    return np.isin(numbers, values)


# -- spikes


def spikes_of(config: Config, nodes: dict[str, Nodes], dt: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the spikes of virtual populations: name -> (step, row) of each; ``dt`` in ms."""
    out: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, entry in config.inputs.items():
        if entry.get("input_type") != "spikes" or "neurosim" in entry:
            continue  # (what neurosim wrote is restored from its own words)
        what = f"the input '{name}'"
        path = entry.get("input_file")
        if not isinstance(path, str):
            raise ParameterError(f"{what} of '{display(config.path)}' has no 'input_file'")
        targets = node_set(config, nodes, entry.get("node_set"), what)
        read = _csv(path, what) if entry["module"] == "csv" else _hdf5(path, what)
        for each, chosen in targets:
            if each.name in read:
                times, ids = read[each.name]
            elif "" in read and len(targets) == 1:
                times, ids = read[""]
            else:
                held = ", ".join(repr(k) for k in read) or "none"
                raise ParameterError(f"{what}: '{display(path)}' has no spikes of the population '{each.name}', only "
                                     "of "
                                     f"{held}")  # fmt: skip
            if len(times) and not np.isfinite(times).all():
                raise ResultFileError(f"{what}: '{display(path)}' has a time that is infinite or not a number")
            rows = each.rows(ids, f"{what} ('{display(path)}')")
            keep = np.isin(rows, chosen)
            steps = _steps(times[keep], dt, config, what)
            out.setdefault(each.name, []).append((steps, rows[keep]))
    return {key: (np.concatenate([s for s, _ in parts]), np.concatenate([r for _, r in parts]))
            for key, parts in out.items()}  # fmt: skip


def _steps(times: np.ndarray, dt: float, config: Config, what: str) -> np.ndarray:
    if len(times) and not times.min() > 0:
        raise ParameterError(f"{what} has a spike at {times.min():g} ms: a spike is stamped at the end of its step, so "
                             f"the first one possible is at {dt:g} ms; take it out")  # fmt: skip
    if len(times) and times.max() / dt > 2**52:
        raise ParameterError(f"{what} has a spike at {times.max():g} ms, which is beyond the last step")
    ratio = times / dt
    near = np.rint(ratio)
    on = np.abs(ratio - near) <= TOLERANCE
    if not on.all():
        config.notes.append(f"{what}: {np.count_nonzero(~on)} of {len(times)} spikes lie between two steps of {dt:g} "
                            "ms "
                            "and act at the end of theirs")  # fmt: skip
    return np.where(on, near, np.ceil(ratio)).astype(np.int64) - 1


def _hdf5(path: str, what: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read spikes by population; files of before 2019 have one, without a name."""
    with opened(path, what) as file:
        root = subgroup(file, "spikes")
        legacy = "timestamps" in root
        found = {}
        for name in [""] if legacy else root:
            group = root if legacy else subgroup(root, name)
            stamps = column(group, "timestamps", "iuf")
            unit = stamps.attrs.get("units", group.attrs.get("units", "ms"))
            unit = unit.decode() if isinstance(unit, bytes) else str(unit)
            if unit not in _SCALES:
                raise damaged(group, f"{stamps.name} has the unit '{unit}'; ms and s are known")
            ids = column(group, "node_ids" if "node_ids" in group else "gids", "iu", stamps.shape[0])
            found[name] = stamps[()].astype(np.float64) * _SCALES[unit], ids[()].astype(np.int64)
        return found


def _csv(path: str, what: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rows = read_table(path, what)
    need = {"timestamps", "node_ids"}
    if rows and not need <= rows[0].keys():
        raise ResultFileError(f"{what}: '{display(path)}' needs the columns timestamps, node_ids (and population), "
                              f"separated by spaces; it has {', '.join(rows[0])}")  # fmt: skip
    found: dict[str, tuple[list[float], list[int]]] = {}
    for row in rows:
        times, ids = found.setdefault(row.get("population") or "", ([], []))
        try:
            times.append(float(str(row["timestamps"])))
            ids.append(int(np.int64(int(str(row["node_ids"])))))
        except (ValueError, OverflowError):
            raise ResultFileError(f"{what}: '{display(path)}' has the entry {dict(row)}, which is not a time and a "
                                  "node") from None  # fmt: skip
    return {key: (np.array(times), np.array(ids, dtype=np.int64)) for key, (times, ids) in found.items()} or {
        "": (np.zeros(0), np.zeros(0, np.int64))}  # fmt: skip


# -- currents


def clamps_of(config: Config, nodes: dict[str, Nodes]) -> list[Clamp]:
    """Return the currents of a simulation."""
    out = []
    for name, entry in config.inputs.items():
        if "neurosim" in entry:
            continue  # what it means is restored from neurosim's own words
        kind, what = entry.get("input_type"), f"the input '{name}'"
        if kind == "current_clamp":
            pulses = _pulses(entry, what)
        elif kind == "csv":
            pulses = _table_of_pulses(entry, config, what)
        else:
            continue
        targets = node_set(config, nodes, entry.get("node_set"), what)
        out += [Clamp(name, targets, *pulse) for pulse in pulses]
    return out


def _pulses(entry: dict[str, Any], what: str) -> list[tuple[float, float, float]]:
    rows = [entry.get(key) if isinstance(entry.get(key), list) else [entry.get(key)]
            for key in ("amp", "delay", "duration")]  # fmt: skip
    for key, row in zip(("amp", "delay", "duration"), rows, strict=True):
        if any(isinstance(v, bool) or not isinstance(v, (int, float)) or not np.isfinite(v) for v in row or [None]):
            raise ParameterError(f"{what} needs '{key}', a number or a list of them, got {entry.get(key)!r}")
    if len({len(row) for row in rows if row}) != 1:
        raise ParameterError(f"{what} has {len(rows[0] or [])} values of amp, {len(rows[1] or [])} of delay and "
                             f"{len(rows[2] or [])} of duration")  # fmt: skip
    out = []
    for amp, delay, duration in zip(*rows, strict=True):
        if delay < 0 or duration < 0:
            raise ParameterError(f"{what}: delay and duration must not be negative, got {delay:g} and {duration:g} ms")
        out.append((float(delay), float(delay + duration), float(amp)))
    return out


def _table_of_pulses(entry: dict[str, Any], config: Config, what: str) -> list[tuple[float, float, float]]:
    path = entry.get("file", entry.get("input_file"))
    if not isinstance(path, str):
        raise ParameterError(f"{what} of '{display(config.path)}' has no 'file'")
    rows = read_table(path, what)
    try:
        pairs = [(float(str(row["timestamps"])), float(str(row["amps"]))) for row in rows]
    except (KeyError, ValueError):
        raise ResultFileError(f"{what}: '{display(path)}' needs the columns timestamps and amps, separated by spaces, "
                              "with numbers in them") from None  # fmt: skip
    starts = [t for t, _ in pairs]
    if starts != sorted(set(starts)) or (starts and starts[0] < 0):
        raise ResultFileError(f"{what}: the timestamps of '{display(path)}' must ascend from 0 or later")
    ends = [*starts[1:], float("inf")]
    return [(t, end, amp) for (t, amp), end in zip(pairs, ends, strict=True) if amp]

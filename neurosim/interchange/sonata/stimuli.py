"""Writing the inputs of a simulation: spikes of sources, Poisson drives drawn in advance, constant currents."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.interchange.sonata.circuit import EdgeFile, new_file, write_nodes
from neurosim.interchange.sonata.declared import encode
from neurosim.interchange.sonata.standard import Standard, in_unit
from neurosim.ir.random import Draws, poisson_from_words
from neurosim.recording.sonata import SORTING
from neurosim.units import ms

MAX_SPIKES = 20_000_000
"""Spikes of a Poisson drive that are written out at most: about 320 MB."""

MAX_CLAMPS = 1000
"""Different amplitudes of a current that are written out at most."""

_BLOCK = 4_000_000


@dataclass
class Output:
    """What a stimulus became: entries of the configuration's ``inputs``, files of the circuit, sentences."""

    inputs: dict[str, dict[str, Any]]
    nodes: list[tuple[str, str]]
    edges: list[tuple[str, str]]
    changes: list[str]
    losses: list[str]


def write_spikes(path: str, population: str, steps: np.ndarray, ids: np.ndarray, dt: float) -> None:
    """Write spikes; a spike of step n is stamped (n + 1) dt, in ms."""
    import h5py

    order = np.lexsort((ids, steps))
    with new_file(path) as file:
        group = file.create_group(f"spikes/{population}")
        kind = h5py.enum_dtype(SORTING, basetype=np.uint8)
        group.attrs.create("sorting", SORTING["by_time"], dtype=kind)
        stamps = group.create_dataset("timestamps", data=(steps[order] + 1) * (dt * 1e3))
        stamps.attrs["units"] = "ms"
        group["node_ids"] = ids[order].astype(np.uint64)


def schedule(pop: Any, node: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes (step, neuron) of a source within a duration; a pattern with a period is repeated."""
    given = node.schedules["spikes"]
    at, who = given.steps.astype(np.int64), given.neurons.astype(np.int64)
    if given.period and len(at):
        times = -(-steps // given.period)
        at = (at + given.period * np.arange(times)[:, None]).ravel()
        who = np.tile(who, times)
        at, who = at[at < steps], who[at < steps]
    return at, who


def poisson(folder: str, graph: Any, unit: Any, pop: Any, name: str, key: str, ids: Any, receptor: str, how: Standard,
            steps: int, varying: bool) -> Output:  # fmt: skip
    """Write a Poisson drive as the spikes that our generator draws for it.

    Parameters
    ----------
    unit : PopulationNode
        After the pass ``units``: its numbers; ``graph`` has the table that turns random words into counts.
    name : str
        Of the virtual population, and of its edges.
    ids : ndarray or None
        The neurons that are driven.
    varying : bool
        Whether the rate changes in time, which cannot be written.
    """
    node = graph.population(pop.label)
    label = f"the Poisson drive '{key}' of '{pop.label}'"
    table = node.poisson.get(key)
    if varying or table is None:
        return Output({}, [], [], [], [f"{label} has a rate that varies: SONATA has no place for it"])
    dim = pop.scope.solver.known
    rate, count, weight = (unit.params[f"{key}.{k}"] for k in ("rate", "n", "weight"))
    on = np.ones(pop.n) if ids is None else np.isin(np.arange(pop.n), ids).astype(float)
    expected = float(np.sum(np.asarray(rate) * np.asarray(count) * on)) * graph.dt * steps
    words = {"kind": "poisson", "population": pop.label, "key": key, "receptor": receptor,
             "neurons": None if ids is None else np.asarray(ids).tolist(),
             "rate": encode(rate, dim[f"{key}.rate"]), "n": encode(count, dim[f"{key}.n"]),
             "weight": encode(weight, dim[f"{key}.weight"])}  # fmt: skip
    if expected > MAX_SPIKES:
        return Output({}, [], [], [], [f"{label} has about {expected:.3g} spikes in {steps * graph.dt:g} s; at most "
                                       f"{MAX_SPIKES:,} are written: export a shorter duration"])  # fmt: skip
    at, who, copies = _draw(graph, node, key, table, pop.n, steps)
    first = int(np.count_nonzero(at == 0))
    who = copies * pop.n + who
    wide = int(copies.max()) + 1 if len(copies) else 1
    write_spikes(os.path.join(folder, "inputs", f"{name}_spikes.h5"), name, at[at > 0] - 1, who[at > 0], graph.dt)
    circuit = os.path.join(folder, "network")
    nodes = write_nodes(circuit, name, wide * pop.n, {"model_type": "virtual", "model_template": None,
                                                      "dynamics_params": None}, None, {})  # fmt: skip
    file = EdgeFile(circuit, name, name, pop.label, (wide * pop.n, pop.n), {"neurosim_receptor": receptor})
    given = in_unit(node.drive_weights[key][1], how.of_one[receptor])
    pre = np.arange(wide * pop.n)
    file.append(pre, pre % pop.n, np.full(len(pre), given), np.full(len(pre), graph.dt * 1e3))
    file.close()
    change = (f"{label} is written as the {len(at) - first} spikes that neurosim draws for it in "
              f"{steps * graph.dt:g} s, "
              f"from {wide} virtual node(s) per neuron; the {first} of the first step, which would start before 0, are "
              "left out; neurosim itself draws them anew, all of them")  # fmt: skip
    entry = {"input_type": "spikes", "module": "sonata", "input_file": f"$INPUT_DIR/{name}_spikes.h5",
             "node_set": name, "neurosim": words}  # fmt: skip
    return Output({name: entry}, [nodes], [(file.edges, file.types)], [change], [])


def _draw(graph: Any, node: Any, key: str, table: Any, n: int,
          steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return (step, neuron, number within the step) of every spike of a drive."""
    draws = Draws(graph.seed, node.streams[key])
    kinds = [(slice(None), table.unpadded(0))] if table.row is None else [
        (np.flatnonzero(table.row == k), table.unpadded(k)) for k in range(len(table.thresholds))]  # fmt: skip
    block = max(1, _BLOCK // n)
    parts = []
    for start in range(0, steps, block):
        rows = np.arange(start, min(steps, start + block))
        words = draws.words(0, n, rows)
        counts = np.zeros(words.shape, dtype=np.int64)
        for chosen, thresholds in kinds:
            counts[:, chosen] = poisson_from_words(words[:, chosen], thresholds)
        at, who = np.nonzero(counts)
        many = counts[at, who]
        copy = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        parts.append((np.repeat(rows[at], many), np.repeat(who, many), copy))
    empty = [np.zeros(0, np.int64)] * 3
    at, who, copy = (np.concatenate(p) for p in zip(empty, *parts, strict=True))
    return at, who, copy


def current(pop: Any, node: Any, key: str, stimulus: Any, ids: Any, how: Standard, duration: float) -> Output:
    """Write a constant current as current clamps."""
    models = importlib.import_module("neurosim.models")
    label = f"the current '{key}' of '{pop.label}'"
    forever, pulse = models.DCInput(0.0), models.DCInput(0.0, 0 * ms)
    if stimulus.output_text not in (forever.output_text, pulse.output_text) or stimulus.variables:
        return Output({}, [], [], [], [f"{label} ({stimulus.name}) is not constant: SONATA has current clamps only"])
    for edge in ("start", "stop"):
        if edge in stimulus.params and np.ndim(node.params[f"{key}.{edge}"]):
            return Output({}, [], [], [], [f"{label} has a {edge} for each neuron: SONATA's current clamps have one"])
    timed = "start" in stimulus.params
    start, stop = (float(node.params[f"{key}.{edge}"]) if timed else None for edge in ("start", "stop"))
    amplitude = node.params[f"{key}.amplitude"]
    rows = np.arange(pop.n) if ids is None else np.asarray(ids)
    each = np.broadcast_to(np.asarray(amplitude, np.float64), (pop.n,))[rows]
    values = np.unique(each)
    if len(values) > MAX_CLAMPS:
        return Output({}, [], [], [], [f"{label} has {len(values)} different amplitudes, and at most {MAX_CLAMPS} "
                                       "current "
                                       "clamps are written"])  # fmt: skip
    words = {"kind": "constant", "population": pop.label, "key": key, "port": stimulus.port, "start": start,
             "stop": stop, "neurons": None if ids is None else rows.tolist(),
             "amplitude": encode(amplitude, pop.scope.solver.known[f"{key}.amplitude"])}  # fmt: skip
    begin = 0.0 if start is None else start * 1e3
    end = duration * 1e3 if stop is None or stop > duration else stop * 1e3
    out: dict[str, dict[str, Any]] = {}
    for k, value in enumerate(values):
        entry: dict[str, Any] = {
            "input_type": "current_clamp", "module": "IClamp",
            "amp": float(in_unit(value, how.of_one_pA * 1e3)), "delay": begin, "duration": max(0.0, end - begin),
            "node_set": {"population": pop.label, "node_id": rows[each == value].tolist()},
        }  # fmt: skip
        entry["neurosim"] = words if k == 0 else {"kind": "written with", "of": f"{pop.label}_{key}_0"}
        out[f"{pop.label}_{key}_{k}"] = entry
    changes = []
    if stop is None or stop > duration:
        changes.append(f"{label} is written until the end of the simulation ({end:g} ms)")
    if not how.named:
        changes.append(f"{label} goes into cells that only neurosim knows; its amplitude is in the unit of their input")
    return Output(out, [], [], changes, [])

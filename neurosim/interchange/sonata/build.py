"""A circuit and its simulation as a network: populations by model, edge lists, sources of spikes, currents."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnsupportedError, suggest
from neurosim.interchange.sonata import cells, declared, edges, inputs
from neurosim.interchange.sonata.config import Config, read_config
from neurosim.interchange.sonata.files import display, read_json
from neurosim.interchange.sonata.nodes import Nodes, read_nodes
from neurosim.interchange.sonata.reports import Report, declare
from neurosim.ir.rules import EdgeList
from neurosim.lang.names import free_name, legal_name
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity, ms, nA, pA, quantity, um

_LACKING = {
    "biophysical": "cells with a morphology and channels",
    "single_compartment": "single compartments with channels",
    "astrocyte": "glia",
    "vasculature": "blood vessels",
    "endfoot": "glia",
}
_POINTS = ("point_neuron", "point_process", "point_soma")


@dataclass
class Part:
    """The nodes of a population that share a model: one population of the network."""

    label: str
    nodes: Nodes
    rows: np.ndarray
    built: cells.Built | None
    group: Any = None


@dataclass
class Circuit:
    """What was read.

    Attributes
    ----------
    network : Network
        Ready to run, and recording the spikes of every neuron that is not virtual.
    duration : Quantity or None
        ``run.tstop``.
    parts : list of Part
        Which nodes became which population.
    notes : list of str
        What was understood in a way that the user should know of.
    reports : list of Report
        What is to be written besides spikes.
    """

    network: Network
    config: Config
    duration: Quantity | None
    parts: list[Part]
    notes: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)


def read_network(
    path: str,
    *,
    dt: Quantity | None = None,
    seed: int | None = None,
    components: str | None = None,
    delay: Quantity | None = None,
    duplicates: str = "error",
) -> Circuit:
    """Read a SONATA simulation.

    Parameters
    ----------
    path : str
        A simulation's configuration, or a file that names it and its circuit.
    dt : Quantity, optional
        Another step than ``run.dt``.
    seed : int, optional
        Another seed than ``run.random_seed``.
    components : str, optional
        A folder with parameters (or with ``cell_models`` and ``synaptic_models`` in it) for those that the circuit's
        own folders lack.
    delay : Quantity, optional
        Delay of edges that have none.
    duplicates : {"error", "merge"}
        Two input spikes of a node in one step are refused, or become one.

    Raises
    ------
    NeurosimError
        A file that is missing or damaged, a model or an input that neurosim does not have: a sentence that names it.
    """
    config = read_config(path)
    inputs.check(config)
    if config.dt is None and dt is None:
        raise ParameterError(f"'{display(path)}' has no run.dt: add it, or give it with --set dt=0.1ms")
    step = dt if dt is not None else float(config.dt or 0) * ms
    nodes = read_nodes(config.nodes)
    seed = next((s for s in (seed, config.seed) if s is not None), 0)
    name = config.neurosim.get("name") or os.path.basename(os.path.dirname(config.path)) or "sonata"
    net = Network(str(name), dt=step, seed=seed)
    duration = None if config.tstop is None else config.tstop * ms
    net.default_duration = duration
    outlines = edges.populations(config, nodes, components)
    parts = _parts(config, nodes, components)
    restored = [e.get("node_set") for e in config.inputs.values()
                if "neurosim" in e and e.get("input_type") == "spikes"]  # fmt: skip
    parts = [part for part in parts if part.nodes.name not in restored]
    _populations(net, config, nodes, parts, duplicates)
    _connect(net, config, [o for o in outlines if o.source.name not in restored], parts, delay)
    _stimulate(net, config, nodes, parts)
    for part in parts:
        if part.built is not None:
            net.record(part.group, "spikes")
    return Circuit(net, config, duration, parts, config.notes, declare(net, config, nodes, parts))


# -- populations


def _parts(config: Config, nodes: dict[str, Nodes], extra: str | None) -> list[Part]:
    found: list[Part] = []
    for each in nodes.values():
        found += _models(config, each, extra)
    taken: set[str] = set()
    alone = {p.nodes.name: sum(q.nodes is p.nodes for q in found) == 1 for p in found}
    for part in found:
        stem = legal_name(part.nodes.name)
        if not alone[part.nodes.name]:
            stem = legal_name(f"{part.nodes.name}_{part.label}")
        part.label = free_name(stem, taken)
        taken.add(part.label)
        if part.label != part.nodes.name and alone[part.nodes.name]:
            config.notes.append(f"the population '{part.nodes.name}' is called '{part.label}' here")
        elif not alone[part.nodes.name]:
            config.notes.append(f"{len(part.rows)} nodes of '{part.nodes.name}' are the population '{part.label}'")
    return found


def _models(config: Config, nodes: Nodes, extra: str | None) -> list[Part]:
    """Part a population by model; parameters that differ become arrays."""
    what = f"the nodes '{nodes.name}'"
    keys = ("model_type", "model_template", "dynamics_params", "neurosim_model")
    factored = [nodes.factor(key) for key in keys]
    combined = np.stack([codes for codes, _ in factored], axis=1)
    sorts, which = np.unique(combined, axis=0, return_inverse=True)
    which = which.ravel()
    shared: dict[Any, list[tuple[np.ndarray, dict[str, float]]]] = {}
    virtual, out = [], []
    for k, row in enumerate(sorts):
        kind, template, file, own = (labels[c] for (_, labels), c in zip(factored, row, strict=True))
        rows = np.flatnonzero(which == k)
        if kind == "virtual":
            virtual.append(rows)
            continue
        if kind not in _POINTS:
            lacking = f", and neurosim has no {_LACKING[kind]}" if kind in _LACKING else ""
            raise UnsupportedError(f"{what} have the model_type '{kind}'{lacking}; it reads point_neuron and virtual"
                                   f"{'' if lacking else suggest(str(kind), [*_POINTS, 'virtual'])}")  # fmt: skip
        if template is None:
            raise ParameterError(f"{what} have no 'model_template', so it is unknown what they are")
        params, where = _params(config, template, file, extra, what)
        if own is not None or template.startswith("neurosim:"):
            name = str(own or file)
            folder = config.component("point_neuron_models_dir", name, extra, what)
            dynamics = {key: values[rows] for key, values in nodes.dynamics.items()}
            built = declared.read(folder, len(rows), template, params if own else None, dynamics, what)
            out.append(Part(built.cell.name, nodes, rows, built))
            continue
        for key, each in nodes.dynamics.items():
            if key not in params and np.isnan(each[rows]).any():
                if not np.isnan(each[rows]).all():
                    raise ParameterError(f"{what} have their own '{key}' for some nodes only, and '{file}' has none "
                                         "for the "
                                         "others")  # fmt: skip
            elif key not in params:
                params[key] = float(each[rows][0])
        structure, values = cells.plan(template, params, f"{what}{where}")
        shared.setdefault((template, structure), []).append((rows, values))
    for (template, structure), members in shared.items():
        rows = np.sort(np.concatenate([r for r, _ in members]))
        merged: dict[str, Any] = {}
        for key in members[0][1]:
            full = np.full(len(nodes), np.nan)
            for r, values in members:
                full[r] = values[key]
            if key in nodes.dynamics:
                full = np.where(np.isnan(nodes.dynamics[key]), full, nodes.dynamics[key])
            column = full[rows]
            merged[key] = float(column[0]) if np.all(column == column[0]) else column
        out.append(Part(template.partition(":")[2], nodes, rows, cells.make(template, structure, merged)))
    if virtual:
        out.append(Part("virtual", nodes, np.sort(np.concatenate(virtual)), None))
    return out


def _params(config: Config, template: str, file: str | None, extra: str | None,
            what: str) -> tuple[dict[str, Any], str]:  # fmt: skip
    if file is None or template.startswith("neurosim:"):
        return {}, ""
    path = config.component("point_neuron_models_dir", file, extra, what)
    return read_json(path, f"the parameters of {what}"), f" ('{display(path)}')"


def _populations(net: Network, config: Config, nodes: dict[str, Nodes], parts: list[Part], duplicates: str) -> None:
    models = importlib.import_module("neurosim.models")
    played = inputs.spikes_of(config, nodes, net.dt * 1e3)
    for part in parts:
        n = len(part.rows)
        if part.built is not None:
            part.group = net.population(part.label, n, part.built.cell, init=part.built.init,
                                        positions=_positions(part))  # fmt: skip
            if part.built.current is not None:
                net.stimulate(part.group, models.DCInput(part.built.current)(port=part.built.port), name="I_e")
            continue
        steps, rows = played.pop(part.nodes.name, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
        place = np.full(len(part.nodes), -1)
        place[part.rows] = np.arange(n)
        if not len(steps):
            config.notes.append(f"the virtual nodes '{part.nodes.name}' get no spikes")
        if len(rows) and (place[rows] < 0).any():
            raise ParameterError(f"spikes are given for nodes of '{part.nodes.name}' that are not virtual: they make "
                                 "their own")  # fmt: skip
        twice = len(steps) - len(np.unique(steps * n + place[rows])) if len(steps) else 0
        if twice and duplicates == "error":
            raise ParameterError(f"{twice} spikes of '{part.nodes.name}' fall into the step of another one of the same "
                                 f"node at dt = {net.dt * 1e3:g} ms: take a smaller step (--set dt=…), or "
                                 "--set duplicates=merge makes each pair one spike")  # fmt: skip
        if twice:
            config.notes.append(f"{twice} spikes of '{part.nodes.name}' were merged with one of the same step")
        cell = models.SpikeSource(Quantity(steps * net.dt, TIME), place[rows], duplicates="merge")
        part.group = net.population(part.label, n, cell, positions=_positions(part))
    for name in played:
        raise ParameterError(f"spikes are given for '{name}', whose nodes are not virtual: they make their own")


def _positions(part: Part) -> Any:
    axes = [part.nodes.numbers.get(key) for key in "xyz"]
    if axes[0] is None or any(a is not None and np.isnan(a[part.rows]).any() for a in axes):
        return None
    zeros = np.zeros(len(part.nodes))
    return np.stack([(zeros if a is None else a)[part.rows] for a in axes], axis=1) * um


# -- edges


def _connect(net: Network, config: Config, outlines: list[edges.Population], parts: list[Part],
             delay: Quantity | None) -> None:  # fmt: skip
    default = None if delay is None else float(quantity(delay, TIME, "the delay of edges that have none")) * 1e3
    for outline in outlines:
        source, target = ([p for p in parts if p.nodes is end] for end in (outline.source, outline.target))
        ends = (outline.source, source), (outline.target, target)
        places = {id(end): _places(end, members) for end, members in ends}
        found: dict[tuple[int, int, str], list[tuple[np.ndarray, ...]]] = {}
        notes: set[str] = set()
        for piece in edges.read_edges(outline):
            waits = _delays(piece.delay, default, outline)
            (pre_part, pre_at), (post_part, post_at) = places[id(outline.source)], places[id(outline.target)]
            for a, b in sorted(set(zip(pre_part[piece.pre].tolist(), post_part[piece.post].tolist(), strict=True))):
                built = target[b].built
                if built is None:
                    raise ParameterError(f"the edges '{outline.name}' end at virtual nodes of '{outline.target.name}'")
                chosen = (pre_part[piece.pre] == a) & (post_part[piece.post] == b)
                weight = _weights(piece, chosen, built, outline, notes)
                pre, post = pre_at[piece.pre[chosen]], post_at[piece.post[chosen]]
                for receptor, some in _receptors(piece, built, weight, outline):
                    found.setdefault((a, b, receptor), []).append(
                        (pre[some].astype(np.uint32), post[some].astype(np.uint32), weight[some], waits[chosen][some]))
        for (a, b, receptor), members in found.items():
            pre, post, weight, wait = (np.concatenate([m[k] for m in members]) for k in range(4))
            unit = next(p.built for p in (target[b],) if p.built is not None).unit
            scale = unit[receptor] if isinstance(unit, dict) else unit
            several = len(found) > 1
            label = legal_name(outline.name) + (f"_{source[a].label}_{target[b].label}_{receptor}" if several else "")
            name = free_name(label, net.projections)
            net.connect(source[a].group, target[b].group, receptor=receptor, rule=EdgeList(pre, post),
                        weight=weight * scale, delay=_steps_of(wait, net.dt, outline), name=name)  # fmt: skip
        config.notes += sorted(notes)


def _places(nodes: Nodes, members: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Return (which part, which neuron in it) for every row of a population."""
    part, at = np.full(len(nodes), -1), np.zeros(len(nodes), np.int64)
    for k, member in enumerate(members):
        part[member.rows] = k
        at[member.rows] = np.arange(len(member.rows))
    return part, at


def _delays(delay: np.ndarray, default: float | None, outline: edges.Population) -> np.ndarray:
    missing = np.isnan(delay)
    if not missing.any():
        return delay
    if default is None:
        raise ParameterError(f"the edges '{outline.name}' of '{display(outline.path)}' have no 'delay', neither in the "
                             "table of types nor in the file: --set delay=1ms gives such edges one (1 ms is "
                             "NEST's)")  # fmt: skip
    return np.where(missing, default, delay)


def _steps_of(wait: np.ndarray, dt: float, outline: edges.Population) -> Any:
    """Delays in seconds; one that is the same everywhere must be a whole number of steps."""
    if not (np.isfinite(wait) & (wait > 0)).all():
        raise ParameterError(f"the edges '{outline.name}' have the delay {wait.min():g} ms; it must be positive")
    return float(wait[0]) * ms if np.all(wait == wait[0]) else wait * ms


def _weights(piece: edges.Piece, chosen: np.ndarray, built: cells.Built, outline: edges.Population,
             notes: set[str]) -> np.ndarray:  # fmt: skip
    """Return weights as the target's simulator would use them."""
    weight, count = piece.weight[chosen], piece.nsyns[chosen]
    params = dict(piece.type.get("params") or {})
    sign = params.pop("sign", None)
    for key in ("receptor_type", "level_of_detail", "type"):
        params.pop(key, None)
    if params:
        raise UnsupportedError(f"the edges '{outline.name}' have the parameters {', '.join(params)} "
                               f"({piece.type.get('dynamics_params')}), which a static synapse does not "
                               "have")  # fmt: skip
    if built.synapses_count:
        if sign not in (1, -1):
            raise ParameterError(f"the edges '{outline.name}' onto {built.cell.name} need a 'sign' of 1 or -1 in "
                                 f"'{piece.type.get('dynamics_params')}': NEURON's events are weighted by it, got "
                                 f"{sign!r}")  # fmt: skip
        return weight * count * sign
    if np.any(count != 1):
        notes.add(f"'nsyns' of the edges '{outline.name}' is not read: PointNet makes one connection per edge, with "
                  "the weight as it stands")  # fmt: skip
    for key in ("target_sections", "distance_range"):
        if piece.type.get(key) is not None:
            notes.add(f"'{key}' of the edges '{outline.name}' means nothing for point neurons")
    return weight


def _receptors(piece: edges.Piece, built: cells.Built, weight: np.ndarray,
               outline: edges.Population) -> list[tuple[str, np.ndarray]]:  # fmt: skip
    what = f"the edges '{outline.name}' of type {piece.type.get('edge_type_id')}"
    named = piece.type.get("neurosim_receptor")
    if isinstance(built.unit, dict):
        if named not in built.receptors:
            raise ParameterError(f"{what} need a 'neurosim_receptor', one of {', '.join(built.receptors)}; got "
                                 f"{named!r}")
        return [(str(named), np.ones(len(weight), bool))]
    number = (piece.type.get("params") or {}).get("receptor_type")
    chosen = cells.receptor_of(built, number, what)
    if chosen is not None:
        return [(chosen, np.ones(len(weight), bool))]
    exc = weight >= 0
    return [(name, some) for name, some in (("exc", exc), ("inh", ~exc)) if some.any()]


# -- currents


def _stimulate(net: Network, config: Config, nodes: dict[str, Nodes], parts: list[Part]) -> None:
    models = importlib.import_module("neurosim.models")
    for name, entry in config.inputs.items():
        if "neurosim" in entry:
            declared.restore(net, entry["neurosim"], f"the input '{name}'")
    for k, clamp in enumerate(inputs.clamps_of(config, nodes)):
        for each, rows in clamp.targets:
            for part in parts:
                ids = np.flatnonzero(np.isin(part.rows, rows)) if part.nodes is each else np.zeros(0, np.int64)
                if not len(ids):
                    continue
                if part.built is None or "i" not in part.built.cell.ports:
                    raise UnsupportedError(f"the input '{clamp.name}' injects a current into '{each.name}', whose "
                                           "cells "
                                           "take none")  # fmt: skip
                unit = part.built.current_unit
                amplitude = clamp.amplitude * (nA if unit is pA else 1e3 * unit)
                current = models.DCInput(amplitude, clamp.start * ms,
                                         None if np.isinf(clamp.stop) else clamp.stop * ms)  # fmt: skip
                free = legal_name(f"{clamp.name}_{k}") if k else legal_name(clamp.name)
                net.stimulate(part.group[ids], current(port=part.built.port), name=free)

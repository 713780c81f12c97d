"""From what a PyNN script has described to a network of neurosim."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim import EdgeList, Network, TimedArray
from neurosim.errors import ParameterError
from neurosim.pynn.control import warn
from neurosim.pynn.space import BaseStructure
from neurosim.pynn.synapses import TsodyksMarkramSynapse
from neurosim.pynn.values import whole
from neurosim.units import Quantity, ms, um

_SEEDS = 2**64
_MOST_TAUS = 100


def build(sim: Any) -> Network:
    """Return the network: populations with their arrays of parameters, projections as lists of edges.

    Everything drawn by the script is in the arrays, so the network's seed only makes the random stimuli; it differs
    between trials.
    """
    net = Network("pynn", dt=sim.timestep * ms, seed=(sim.seed + sim.trial * 0x9E3779B97F4A7C15) % _SEEDS)
    made = {p: _population(net, p) for p in sim.populations}
    for k, one in enumerate(sim.injections):
        stimulus = one.source.current(sim.timestep, one.since)
        joined: dict[Any, list[np.ndarray]] = {}
        for population, indices in one.members:
            joined.setdefault(population, []).append(indices)
        for population, parts in joined.items():
            net.stimulate(made[population][np.unique(np.concatenate(parts))], stimulus, name=f"source{k}")
    for k, projection in enumerate(sim.projections):
        _projection(net, made, projection, k)
    for population, group in made.items():
        recorder = population.recorder
        for name, ids in recorder.recorded.items():
            if name == "spikes":
                net.record(group[ids], "spikes")
            else:
                variable = population.celltype.variables[name]
                net.record(group[ids], variable, every=recorder.every * sim.timestep * ms)
    return net


def _population(net: Network, population: Any) -> Any:
    positions = _places(population)
    kind, where = population.celltype, population.where
    if population.is_source:
        source = importlib.import_module("neurosim.models").SpikeSource
        return net.population(population.name, population.size, source(_schedule(population)), positions=positions)
    values = dict(population._values)
    if "tau_refrac" in values:
        steps = population.simulation.rounded(values["tau_refrac"], f"tau_refrac of '{population.label}'", where)
        values["tau_refrac"] = steps * population.simulation.timestep
    if "rate" in values and np.max(values["rate"]) * population.simulation.timestep > 1e3:
        raise ParameterError(
            f"the rate of '{population.label}' is {np.max(values['rate']):g} Hz, and a neuron spikes at most once in a "
            f"step of {population.simulation.timestep:g} ms", where)  # fmt: skip
    values = {k: v if np.ndim(v) else float(v) for k, v in values.items()}
    init = {}
    for name, variable in kind.variables.items():
        value = population.initial(name)
        if np.any(value) or name in ("v", "u", "m", "h", "n"):
            init[variable] = value * kind.scale(name)
    if "HH" in type(kind).__name__:
        init["before"] = init["v"]
    cell = kind.make(values)
    if population.history:
        cell = cell(**{name: _timed(population, name) for name in population.history})
    return net.population(population.name, population.size, cell, init=init, positions=positions)


def _timed(population: Any, name: str) -> TimedArray:
    """Return a parameter that was changed between runs as a table over time."""
    ends, values = zip(*population.history[name], strict=True)
    every = math.gcd(*ends)
    rows = np.array(np.broadcast_arrays(*values, population._values[name]), dtype=float)
    table = np.repeat(rows, np.diff([0, *ends, ends[-1] + every]) // every, axis=0)
    return TimedArray(table * population.celltype.scale(name), every * population.simulation.timestep * ms)


def _places(population: Any) -> Any:
    """Return positions; none, with a warning, where one of PyNN's structures has no place for so many cells.

    PyNN finds that out when it is asked for a position, and scripts of its own run without ever asking.
    """
    try:
        return population._located().T * um
    except Exception as e:  # PyNN's grids raise no other class
        if isinstance(population._structure, BaseStructure):
            raise
        warnings.warn(f"the cells of '{population.label}' have no positions: {e}", stacklevel=2)
        return None


def _schedule(population: Any) -> list[Quantity]:
    """Spike times on the grid: a spike at t belongs to the step that ends there, as those of neurons do."""
    step, label, rows, moved, merged = population.simulation.timestep, population.label, [], 0, 0
    for times in population._values["spike_times"]:
        steps, off = whole(times, step)
        if len(steps) and steps[0] < 1:
            raise ParameterError(
                f"'{label}' has a spike at {times[0]:g} ms, and the first that can be is at the end of the first step, "
                f"{step:g} ms (NEST has none at 0 either)", population.where)  # fmt: skip
        kept = np.unique(steps)
        moved, merged = moved + int(np.count_nonzero(off)), merged + len(steps) - len(kept)
        rows.append(Quantity((kept - 1) * (step * ms).value, ms.dim))
    for count, what in (
        (moved, f"are rounded to the nearest step of {step:g} ms"),
        (merged, "fall into a step in which their neuron spikes already, and are dropped"),
    ):
        if count:
            warn(f"{count} spike times of '{label}' {what}")
    return rows


@dataclass(frozen=True)
class Piece:
    """The connections of a projection between two populations: ``here`` says which, the others are their ends.

    ``tau_syn`` is the time constant of the receptor in ms, where the synapses ask for it and there is one.
    """

    name: str
    pre: Any
    post: Any
    here: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    tau_syn: float | None = None


def pieces(projection: Any, k: int) -> Iterator[Piece]:
    """Yield what the k-th projection is in neurosim: one projection for each pair of populations that it joins.

    Where a spike's release depends on the receptor's time constant, each constant has a projection of its own.
    """
    pre, post = _located(projection.pre), _located(projection.post)
    source, target = projection._sources, projection._targets
    for a, (before, before_ids) in enumerate(projection.pre.members()):
        for b, (after, after_ids) in enumerate(projection.post.members()):
            joined = (pre[source] == a) & (post[target] == b)
            if not joined.any():
                continue
            start, stop = np.searchsorted(pre, a), np.searchsorted(post, b)
            taus = _tau_syn(projection, after)
            own = None if taus is None else np.broadcast_to(taus, (after.size,))[after_ids]
            for c, tau in enumerate([None] if own is None else _distinct(own[target[joined] - stop], projection)):
                here = joined.copy()
                if own is not None:
                    here[joined] = own[target[joined] - stop] == tau
                ends = before_ids[source[here] - start], after_ids[target[here] - stop]
                yield Piece(f"projection{k}_{a}_{b}" + (f"_{c}" if c else ""), before, after, here, *ends, tau)


def _projection(net: Network, made: dict[Any, Any], projection: Any, k: int) -> None:
    kind = projection.synapse_type
    for piece in pieces(projection, k):
        unit = piece.post.celltype.weight_unit()
        net.connect(
            made[piece.pre],
            made[piece.post],
            receptor=projection.receptor_type,
            rule=EdgeList(piece.sources, piece.targets),
            weight=_one(projection._weights[piece.here]) * unit,
            delay=_one(projection._delays[piece.here] * net.dt) * (1e3 * ms),
            plasticity=kind.plasticity(unit),
            short_term=kind.short_term(piece.tau_syn),
            name=piece.name,
        )


def weights(projection: Any, k: int, learned: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the weights of the k-th projection, as they were learned, in PyNN's unit."""
    out = projection._weights.copy()
    for piece in pieces(projection, k):
        if piece.name in learned:
            out[piece.here] = learned[piece.name] / piece.post.celltype.weight_unit().value
    return out


def _tau_syn(projection: Any, population: Any) -> Any:
    """Return the time constants (ms) of the receptor that a projection reaches, None where nothing depends on them."""
    name = "tau_syn_E" if projection.receptor_type == "excitatory" else "tau_syn_I"
    return population._values.get(name) if isinstance(projection.synapse_type, TsodyksMarkramSynapse) else None


def _distinct(taus: np.ndarray, projection: Any) -> list[float]:
    """Return the different time constants, if they are few: each has state variables of its own."""
    out = np.unique(taus).tolist()
    if len(out) > _MOST_TAUS:
        raise ParameterError(
            f"the targets of '{projection.label}' have {len(out)} different tau_syn, and a "
            f"{type(projection.synapse_type).__name__} takes at most {_MOST_TAUS}",
            projection.where,
        )
    return out


def _located(group: Any) -> np.ndarray:
    """For every cell of a group, which of the group's members it is in."""
    return np.repeat(np.arange(len(group.members())), [len(ids) for _, ids in group.members()])


def _one(values: np.ndarray) -> Any:
    """One number where all are equal: it is stored once."""
    return float(values[0]) if np.all(values == values[0]) else values

"""Which circuits and rows of BrainScaleS-2 a network takes, what binds, and what to do about it.

A neuron is as many circuits, side by side in one of the two rows of neurons, as its synapses need: each has 256.
Synapses lie in rows, each excitatory or inhibitory, that run past all circuits of a row of neurons: where a row meets
a circuit there is one synapse. A row tells up to 64 sources apart by their labels, so that sources that do not meet in
a circuit share it. Sources are dealt out in their order, each to the first row with room for most of its synapses, what
is left to further ones; and neurons get more circuits than their synapses fill where signs leave no room otherwise.
Sources of spikes are outside the chip; so is the router, which is not looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.base import Chip, Violation, number, read_chip
from neurosim.hardware.brainscales2.cells import complaints, is_source
from neurosim.hardware.rewriting import positive, synapses, whole
from neurosim.ir.graph import Graph
from neurosim.lang.network import Network

ORDERS = ("given",)

_MORE = (1.0, 1.125, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
"""By how much more circuits than synapses fill are tried, where rows run out."""


@functools.cache
def brainscales2() -> Chip:
    """Return the limits of BrainScaleS-2, each with its source."""
    return read_chip(Path(__file__).with_name("limits.toml"))


def partitions(fan_in: int, neurons: int) -> tuple[int, int, int]:
    """Return how a layer with all connections from the one before is cut for chips that train it.

    While weights are trained each may have either sign, and takes two synapses, one of each.

    Parameters
    ----------
    fan_in, neurons : int
        Sources of a neuron, and neurons of the layer.

    Returns
    -------
    tuple of int
        Circuits of a neuron, neurons on a chip, parts into which the layer is cut (E. Arnold et al., "Scalable
        network emulation on analog neuromorphic hardware", Front. Neurosci. 18 (2025), 1523331,
        doi 10.3389/fnins.2024.1523331; brainscales2-demos, ts_13-network_partitioning). They count all 512 circuits
        over those of a neuron, rounded down, as if a neuron could lie in both rows: with 7 circuits that is 73, where
        each row holds 36.
    """
    chip = brainscales2()
    fan_in, neurons = whole(fan_in, 1, 2**31, "the fan-in"), whole(neurons, 1, 2**31, "the number of neurons")
    each = -(-2 * fan_in // int(chip["fan_in"]))
    if each > chip["columns"]:
        raise ParameterError(f"a neuron with {fan_in:,} signed synapses needs {each:,} circuits, and a row has "
                             f"{chip['columns']:.0f}: give it fewer inputs")  # fmt: skip
    there = 2 * (int(chip["columns"]) // each)
    return each, there, -(-neurons // there)


@dataclass
class Placement:
    """A network on a chip.

    Attributes
    ----------
    chip : Chip
        Its limits.
    circuits : dict
        Population -> [neurons, 2]: first circuit of each neuron (0 to 511; the second row begins at 256; 512 where
        there is no room) and how many.
    rows : list of int
        Rows of synapses in use at each of the two rows of neurons.
    synapses : int
        Number of synapses, those of weight 0 left out.
    fan_in : int
        Synapses of the neuron that has most.
    speed_up : float
        How much faster than the network's time the chip runs.
    violations : list of Violation
        What does not fit.
    """

    chip: Chip
    circuits: dict[str, np.ndarray]
    rows: list[int]
    synapses: int
    fan_in: int
    speed_up: float
    violations: list[Violation] = field(default_factory=list)

    @property
    def used(self) -> int:
        """Circuits in use."""
        return int(sum(found[:, 1].sum() for found in self.circuits.values()))

    def cost_lines(self, rates: Mapping[str, Any], steps: int, dt: float) -> str:
        """Say how long the chip takes for a run, how often it spikes, and about what energy the system needs."""
        spikes = sum(float(np.sum(r)) for name, r in rates.items() if name in self.circuits) * steps
        sent = sum(float(np.sum(r)) for name, r in rates.items() if name not in self.circuits) * steps
        time = steps * dt / self.speed_up
        return (f"{steps * dt:g} s of the network take {time * 1e3:.4g} ms on the chip: {spikes:,.0f} spikes "
                f"({spikes / time:.3g}/s), {sent:,.0f} sent to it ({sent / time:.3g}/s),\nabout "
                f"{time * self.chip['power'] * 1e3:.3g} mJ ({self.chip.limits['power'].source})")  # fmt: skip

    def __str__(self) -> str:
        neurons = sum(len(found) for found in self.circuits.values())
        most = max((int(found[:, 1].max(initial=0)) for found in self.circuits.values()), default=0)
        table = [("neuron circuits", self.used, self.chip["circuits"]),
                 ("synapses of a neuron", self.fan_in, self.chip["fan_in"] * max(most, 1))]  # fmt: skip
        table += [(f"rows of synapses at neuron row {k}", r, self.chip["rows"]) for k, r in enumerate(self.rows)]
        lines = [f"{self.chip.name}: {neurons:,} neurons of {'one circuit' if most < 2 else f'up to {most} circuits'}; "
                 f"{self.synapses:,} synapses; "
                 f"{self.speed_up:,.0f} times as fast as the network's time", "",
                 f"{'':<34}{'used':>10}{'there are':>12}"]  # fmt: skip
        lines += [f"{name:<34}{used:>10,}{limit:>12,.0f}" for name, used, limit in table]
        binds = ", ".join(dict.fromkeys(v.limit.name for v in self.violations)) or "nothing"
        return "\n".join([*lines, "", f"what binds: {binds}", *(f"- {v}" for v in self.violations)])


def place(network: Network, *, order: str = "given", speed_up: float | None = None) -> Placement:
    """Put a network on one chip; what does not fit is in the placement's ``violations``.

    Parameters
    ----------
    network : Network
        LIF, EIF or AdEx cells of the library (by their equations), with exponential receptors and constant currents;
        sources of spikes.
    order : {"given"}
        In which the neurons are dealt out: the network's.
    speed_up : float, optional
        How much faster than the network's time the chip is to run; 1,000 unless you say otherwise.

    Raises
    ------
    UnsupportedError
        What has no counterpart on the chip; all of it is listed.
    ParameterError
        No such order or speed.
    """
    if order not in ORDERS:
        raise ParameterError(f"order must be {' or '.join(map(repr, ORDERS))} on BrainScaleS-2, got {order!r}")
    chip = brainscales2()
    speed = chip["speed_up"] if speed_up is None else positive(speed_up, "speed_up", zero=False)
    graph = compile_network(network)
    refused = complaints(graph)
    if refused:
        raise UnsupportedError(f"BrainScaleS-2 has no {refused[0][0]}" if len(refused) == 1 else
                               f"BrainScaleS-2 lacks {len(refused)} things that the network has:"
                               + "".join(f"\n  - no {what}" for what, _ in refused), refused[0][1])  # fmt: skip
    wires = _Wires(network, graph)
    dealt = wires.dealt(chip, 1.0)
    rows, unplaced = wires.rows(chip, dealt)
    for more in _MORE[1:]:
        if not unplaced:
            break
        wider = wires.dealt(chip, more)
        if wider.missing:
            continue
        found = wires.rows(chip, wider)
        if not found[1]:
            dealt, (rows, unplaced) = wider, found
    made = Placement(chip, dealt.circuits, rows, len(wires.source), int(wires.fan_in.max(initial=0)), speed)
    made.violations += _room(wires, made, dealt, unplaced)
    made.violations += _times(graph, chip, speed)
    return made


@dataclass
class _Dealt:
    """Circuits of the neurons: of each its row of neurons (2 if there is no room), its first circuit there and how many
    it needs; and how many circuits did not fit."""

    circuits: dict[str, np.ndarray]
    half: np.ndarray
    first: np.ndarray
    count: np.ndarray
    missing: int


class _Wires:
    """The synapses of a network onto the neurons that are on the chip, numbered population by population."""

    def __init__(self, network: Network, graph: Graph) -> None:
        mine = [p for p in graph.populations if not is_source(p)]
        self.names, self.sizes = [p.name for p in mine], [p.size for p in mine]
        start = dict(zip(self.names, np.cumsum([0, *self.sizes])[:-1].tolist(), strict=True))
        none = np.zeros(0, np.int64)
        parts = [(none, none, none, none)]
        for s in synapses(network, graph):
            keep = s.weight != 0
            target = s.targets[keep] + start[s.post]
            parts.append((s.sources[keep], target, (s.weight[keep] < 0).astype(np.int64),
                          np.full(len(target), _inhibitory(graph, s.post, s.receptor))))  # fmt: skip
        source, target, negative, inhibitory = (np.concatenate(side) for side in zip(*parts, strict=True))
        self.source, self.target, self.sign = source, target, negative ^ inhibitory
        self.fan_in = np.bincount(self.target, minlength=sum(self.sizes))

    def dealt(self, chip: Chip, more: float) -> _Dealt:
        """Deal out the circuits in order, each neuron's to the first row with room for them.

        Where that leaves some out, although there are enough circuits, the neurons are dealt to the rows such that they
        fit, if there is a way; otherwise what is left out is missing.
        """
        need = np.maximum(np.ceil(self.fan_in * more / chip["fan_in"]), 1).astype(np.int64)
        half, first = np.zeros(len(need), np.int64), np.zeros(len(need), np.int64)
        columns, at, missing = int(chip["columns"]), [0, 0], 0
        for n, count in enumerate(need.tolist()):
            k = next((k for k in (0, 1) if at[k] + count <= columns), None)
            if k is None:  # beyond the chip: its synapses have no rows
                half[n], missing = len(at), missing + count
                continue
            half[n], first[n] = k, at[k]
            at[k] += count
        if missing and need.sum() <= 2 * columns:
            other = _halves(need.tolist())
            ends = np.where(other, np.cumsum(need * other), np.cumsum(need * (1 - other)))
            if ends.max() <= columns:
                half, first, missing = other, ends - need, 0
        circuits, start = {}, 0
        for name, size in zip(self.names, self.sizes, strict=True):
            here = slice(start, start + size)
            circuits[name] = np.stack([half[here] * columns + first[here], need[here]], axis=1)
            start += size
        return _Dealt(circuits, half, first, need, missing)

    def rows(self, chip: Chip, dealt: _Dealt) -> tuple[list[int], int]:
        """Return rows in use at each row of neurons, and how many synapses found none, by first fit."""
        used, unplaced = [], 0
        for k in range(2):
            mine = np.flatnonzero(dealt.half[self.target] == k)
            found, left = _first_fit(self.source[mine], self.target[mine], self.sign[mine], dealt.count, chip)
            used.append(found)
            unplaced += left
        return used, unplaced


def _halves(need: list[int]) -> np.ndarray:
    """Return each neuron's row of neurons, 0 or 1, such that the fuller of both, row 0, is as empty as can be."""
    sums = [1]  # bit s of sums[n]: some of the first n neurons have s circuits together
    for count in need:
        sums.append(sums[-1] | sums[-1] << count)
    left = next(s for s in range(sum(need) // 2, -1, -1) if sums[-1] >> s & 1)
    half = np.zeros(len(need), np.int64)
    for n in reversed(range(len(need))):
        if not sums[n] >> left & 1:
            half[n], left = 1, left - need[n]
    return half


def _first_fit(source: np.ndarray, target: np.ndarray, sign: np.ndarray, count: np.ndarray, chip: Chip
               ) -> tuple[int, int]:  # fmt: skip
    """Return rows in use, and synapses without one.

    ``room[row, target]`` is how many circuits of a target are free in a row.
    """
    rows, labels = int(chip["rows"]), int(chip["labels"])
    targets, target = np.unique(target, return_inverse=True)
    room = np.repeat(count[targets][None], rows, 0).astype(np.int16)
    sort, told = np.full(rows, -1), np.zeros(rows, np.int64)
    order = np.lexsort((target, sign, source))
    key = source[order] * 2 + sign[order]
    pieces = np.split(order, np.flatnonzero(np.diff(key)) + 1) if len(order) else []
    unplaced = 0
    for piece in pieces:
        kind = int(sign[piece[0]])
        left, times = np.unique(target[piece], return_counts=True)
        may = np.flatnonzero(((sort == kind) | (sort < 0)) & (told < labels))
        while len(left) and len(may):
            fits = np.minimum(room[np.ix_(may, left)], times)
            best = int(np.argmax(fits.sum(1)))  # the first of those with most room
            row, got = may[best], fits[best]
            if not got.any():
                break
            room[row, left] -= got
            sort[row], told[row] = kind, told[row] + 1
            times = times - got
            left, times = left[times > 0], times[times > 0]
            may = may[may != row]
        unplaced += int(times.sum()) if len(left) else 0
    return int((sort >= 0).sum()), unplaced


def _inhibitory(graph: Graph, post: str, receptor: str) -> int:
    """Return 1 where positive weights inhibit: a conductance whose reversal potential is below the threshold."""
    model = graph.population(post).model
    p = {} if model is None else model.params
    if f"{receptor}.e_rev" not in p:
        return 0
    top = next((p[name] for name in ("v_th", "v_t") if name in p), 0.0)
    return int(np.mean(p[f"{receptor}.e_rev"]) < np.mean(top))


def _room(wires: _Wires, made: Placement, dealt: _Dealt, unplaced: int) -> list[Violation]:
    chip, out = made.chip, []
    where = max(wires.names, key=lambda name: made.circuits[name][:, 1].sum(), default="")
    most = chip["fan_in"] * chip["columns"]
    start = 0
    for name, size in zip(wires.names, wires.sizes, strict=True):
        worst = int(wires.fan_in[start : start + size].max(initial=0))
        start += size
        if worst > most:
            out.append(Violation(chip.limits["columns"], f"a neuron of population '{name}'",
                                 float(-(-worst // int(chip["fan_in"]))), "give it fewer inputs"))  # fmt: skip
    merged = int(made.circuits[where][:, 1].max(initial=1)) if where else 1
    fewer = f"its neurons are up to {merged} circuits each, for up to {made.fan_in:,} synapses: give them fewer, or "
    cure = ("" if merged < 2 else fewer) + "take fewer neurons"
    cure += "; layers without feedback can run one after the other, see partitions()"
    whole_network = f"the network, most of it population '{where}',"
    if made.used > chip["circuits"]:
        out.append(Violation(chip.limits["circuits"], whole_network, made.used, cure))
    elif dealt.missing and not out:  # there are enough circuits, but a neuron's lie side by side in one row
        fuller = int(dealt.count[_halves(dealt.count.tolist()) == 0].sum())
        out.append(Violation(chip.limits["columns"], whole_network, fuller, cure))
    elif unplaced:
        value = chip["rows"] + np.ceil(unplaced / chip["columns"])
        where = f"{unplaced:,} of {made.synapses:,} synapses find no row: the network"
        cure = "connect it with fewer sources, or let a source be of one sign"
        out.append(Violation(chip.limits["rows"], where, float(value), cure))
    return out


def _times(graph: Graph, chip: Chip, speed: float) -> list[Violation]:
    """Return the time constants that the circuits cannot have at this speed."""
    out = []
    for pop in graph.populations:
        if is_source(pop) or pop.model is None:
            continue
        p, found = pop.model.params, []
        tau = p["tau_m"] if "tau_m" in p else np.asarray(p["c_m"]) / np.asarray(p["g_l"])
        found.append(("tau_m", "the membrane", np.asarray(tau)))
        if np.any(np.asarray(p["t_ref"]) > 0):
            t_ref = np.asarray(p["t_ref"])
            found.append(("t_ref", "the refractory period", t_ref[t_ref > 0] if t_ref.ndim else t_ref))
        found += [("tau_syn", f"receptor '{r}'", np.asarray(p[f"{r}.tau"])) for r in pop.receptors]
        for name, what, values in found:
            for end, value in (("least", values.min() / speed * 1e6), ("most", values.max() / speed * 1e6)):
                limit = chip.limits[f"{name}_{end}"]
                over = value < limit.value if limit.least else value > limit.value
                if over and not np.isclose(value, limit.value, rtol=1e-9, atol=0):
                    cure = (
                        f"it is {number(float(value * speed / 1e3))} ms in the network, at {number(speed)} times "
                        f"its speed: {'lengthen' if limit.least else 'shorten'} it, or choose another speed_up"
                    )
                    out.append(Violation(limit, f"{what} of population '{pop.name}'", float(value), cure))
    return out

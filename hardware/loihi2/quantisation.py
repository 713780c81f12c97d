"""From a network in SI units to Loihi 2's integers: which numbers are chosen, what they change, what cannot be had.

A population of leaky integrate-and-fire cells keeps its shape. Its potential is counted from the reset, in units of
which the threshold takes as many as its 17 bits and the wanted range allow. Decays are rounded to 4096ths. Weights get
8 bits, and an exponent for each projection, such that the area under a postsynaptic potential is that of the float
network, rounded decays included: mean inputs then act as they did. The leak to a resting potential other than the reset
becomes a bias.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, UnsupportedError
from neurosim.hardware.loihi2.arithmetic import ALIGN, DECAY, saturated, shifted
from neurosim.hardware.loihi2.cells import LIF, Dense, loihi_lif
from neurosim.hardware.loihi2.connections import MAX_DELAY
from neurosim.hardware.loihi2.grid import MANTISSA, WeightGrid, on_grid
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PopulationNode, ProjectionNode, System
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import Cell
from neurosim.lang.network import Network
from neurosim.models import LIF as FloatLIF
from neurosim.models import DCInput, DeltaCurrent, ExpCurrent, SpikeSource
from neurosim.units import TIME, Quantity, ms, mV

_LARGEST = 131071
"""The largest threshold: 17 bits."""

_EXPONENTS = range(-8, 8)
RANGE = 2.0
"""How far below the reset the potential can go before it saturates, in distances from reset to threshold, unless asked
for more."""


@dataclass(frozen=True)
class PopulationChange:
    """What became of a population: arrays where its neurons differ.

    ``scale`` is how many units of v a volt is, ``zero`` the potential that became 0. ``du``, ``dv`` and ``vth`` are the
    cell's numbers; ``rest`` is where v goes without input, constant currents included, and ``rest_was`` where it went
    (V).
    """

    name: str
    scale: float
    zero: Any
    tau_m: Any
    tau_m_was: Any
    tau_syn: float
    tau_syn_was: Mapping[str, float]
    threshold_error: float
    refractory: bool
    du: int
    dv: Any
    vth: Any
    threshold_was: Any
    rest: Any
    rest_was: Any

    @property
    def threshold(self) -> Any:
        """The threshold that the integers have, V."""
        return np.asarray(self.zero) + np.asarray(self.vth) * ALIGN / self.scale


@dataclass(frozen=True)
class ProjectionChange:
    """What became of a projection's weights: exponent, bits in use, errors relative to the largest weight, ``grid``."""

    name: str
    synapses: int
    exponent: int
    largest: int
    rms_error: float
    lost: int
    pre: str
    post: str
    grid: WeightGrid


@dataclass
class Quantised:
    """A network in integers, and what it cost.

    Attributes
    ----------
    network : Network
        Populations of :func:`neurosim.hardware.loihi2.LIF` with the names of the original's, and its sources.
    populations, projections : list
        What became of each.
    changes : list of str
        Sentences.
    """

    network: Network
    populations: list[PopulationChange] = field(default_factory=list)
    projections: list[ProjectionChange] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def volts(self, population: str, values: np.ndarray, ids: np.ndarray | None = None) -> np.ndarray:
        """Return values of v of a population, [time, neurons] or [neurons], in volts; ``ids`` says of which neurons."""
        change = next(p for p in self.populations if p.name == population)
        zero = np.asarray(change.zero)
        return values / change.scale + (zero if zero.ndim == 0 or ids is None else zero[ids])

    def __str__(self) -> str:
        lines = [f"{'population':<14}{'unit of v':>12}{'tau_m':>18}{'tau_syn':>18}{'threshold':>11}"]
        for p in self.populations:
            lines.append(
                f"{p.name:<14}{1e6 / p.scale:>9.3g} uV{_pair(p.tau_m_was, p.tau_m):>18}"
                f"{_pair(next(iter(p.tau_syn_was.values()), 0.0), p.tau_syn):>18}{p.threshold_error:>11.2%}"
            )
        lines += ["", f"{'projection':<22}{'synapses':>10}{'exponent':>10}{'largest':>9}{'error':>9}{'lost':>8}"]
        lines += [
            f"{p.name:<22}{p.synapses:>10,}{p.exponent:>10}{p.largest:>9}{p.rms_error:>9.2%}{p.lost:>8,}"
            for p in self.projections
        ]
        return "\n".join([*lines, "", *(f"- {change}" for change in self.changes)])


def _pair(was: Any, now: Any) -> str:
    return f"{np.mean(was) * 1e3:.4g} -> {np.mean(now) * 1e3:.4g} ms"


def quantise(network: Network, *, below: float = RANGE) -> Quantised:
    """Return a network in Loihi 2's integers.

    Parameters
    ----------
    network : Network
        Leaky integrate-and-fire cells (the library's ``LIF``, by its equations) with exponential currents or delta
        synapses and constant currents; sources of spikes are taken as they are.
    below : float
        Room that the potential has below the reset, in distances from reset to threshold. More of it leaves fewer
        units for the threshold, and so for the weights.

    Raises
    ------
    UnsupportedError
        What has no counterpart; all of it is listed.
    """
    graph = compile_network(network)
    return _quantised(graph, below, {name: (pop.cell, pop.init) for name, pop in network.populations.items()})


def quantised_graph(graph: Graph, below: float = RANGE) -> tuple[Graph, Quantised]:
    """Return the same for a graph: its sources stay what they are, and so do their random numbers."""
    found = _quantised(graph, below, {})
    made = compile_network(found.network)
    changed = {p.name for p in found.populations}
    nodes = [p if p.name in changed else graph.population(p.name) for p in made.populations]
    return replace(made, populations=tuple(nodes), probes=graph.probes), found


def complaints(graph: Graph) -> list[tuple[str, str | None]]:
    """Return what of a float network has no counterpart in integers: (sentence after "no", where it was made)."""
    found = [r for pop in graph.populations for r in _complaints(graph, pop)]
    for p in graph.projections:
        found += [(f"learning rule of projection '{p.name}'", p.where)] if p.plasticity else []
        found += [(f"short-term plasticity of projection '{p.name}'", p.where)] if p.release else []
    found += [(f"coupling without spikes (link '{link.name}')", link.where) for link in graph.links]
    return found


def in_integers(graph: Graph) -> bool:
    """Tell whether a network is in Loihi 2's integers already: its cells are, and the rest are sources."""
    return all(_is_source(pop) or loihi_lif(graph, pop) is not None for pop in graph.populations)


def _quantised(graph: Graph, below: float, given: Mapping[str, tuple[Cell, Any]]) -> Quantised:
    if not below >= 0:
        raise ParameterError(f"below must be 0 or more, got {below!r}")
    refused = complaints(graph)
    if refused:
        one, listed = refused[0][0], "".join(f"\n  - no {what}" for what, _ in refused)
        raise UnsupportedError(f"Loihi 2's integers have no {one}" if len(refused) == 1 else
                               f"Loihi 2's integers lack {len(refused)} things that the network has:{listed}",
                               refused[0][1])  # fmt: skip
    out = Quantised(Network(graph.name, dt=Quantity(graph.dt, TIME), seed=graph.seed))
    numbers = {pop.name: _numbers(out, graph, pop, below) for pop in graph.populations if not _is_source(pop)}
    wires = [wire for proj in graph.projections for wire in _wires(out, graph, proj, numbers)]
    for pop in graph.populations:
        if pop.name not in numbers:
            cell, init = given.get(pop.name, (SpikeSource([np.zeros(0) * ms] * pop.size), None))
            out.network.population(pop.name, pop.size, cell, init=init)
            continue
        made = numbers[pop.name]
        used = {w.receptor: 2.0**w.exponent for w in wires if w.post == pop.name}
        receptors = {name: Dense(scale=scale) for name, scale in used.items()} or dict.fromkeys(pop.receptors, Dense)
        out.network.population(pop.name, pop.size, LIF(receptors=receptors, **made.options), init={"v": made.init})
    for w in wires:
        out.network.connect(
            out.network[w.pre], out.network[w.post], receptor=w.receptor, name=w.name, weight=w.weights.astype(float),
            rule=EdgeList(w.columns, w.rows), delay=Quantity(w.delays * graph.dt, TIME),
        )  # fmt: skip
    out.changes += [f"refractory period of population '{p.name}': Lava's integer cell has none, so that it runs here "
                    "and not there" for p in out.populations if p.refractory]  # fmt: skip
    return out


# -- what can be had -------------------------------------------------------------------------------------------------


def _is_source(pop: PopulationNode) -> bool:
    """Tell whether a population only says when it spikes, with no variables and no input."""
    assert pop.model is not None and pop.program is not None
    own = _bare(pop.model.system)
    return not (pop.receptors or own.equations or own.events) and bool(pop.program.emits())


def _kinds(pop: PopulationNode) -> dict[str, str]:
    """Return receptor -> ``exp`` or ``delta``, by what a spike changes."""
    assert pop.model is not None
    return {r: "delta" if j[0].var == "v" else "exp" for r, j in pop.model.system.jumps.items() if len(j) == 1}


def _currents(pop: PopulationNode) -> tuple[str, ...]:
    """Return the names of the currents that are constants."""
    assert pop.model is not None
    return tuple(k.removesuffix(".amplitude") for k in pop.model.params if k.endswith(".amplitude"))


def _lif(pop: PopulationNode) -> bool:
    """Tell whether a population is the library's LIF with receptors and currents that integers have."""
    if pop.model is None:
        return False
    kinds = _kinds(pop)
    if set(kinds) != set(pop.receptors):
        return False
    pattern = _pattern(tuple(kinds.items()), _currents(pop))
    return pattern is not None and _bare(pop.model.system) == pattern


def _bare(system: System) -> System:
    """Return a cell's equations without its Poisson drives and what learning rules read of it."""
    own = tuple(e for e in system.equations if e.var not in system.traces)
    return replace(system, equations=own, drives=(), method="auto", traces=(), marks=(), snapshots=())


@functools.cache
def _pattern(kinds: tuple[tuple[str, str], ...], currents: tuple[str, ...]) -> System | None:
    network = Network("pattern", dt=1 * ms)
    receptors = {name: DeltaCurrent if kind == "delta" else ExpCurrent for name, kind in kinds}
    try:
        pop = network.population("pattern", 1, FloatLIF(receptors=receptors))
        for name in currents:
            network.stimulate(pop, DCInput(1 * mV), name=name)
    except NeurosimError:
        return None
    model = compile_network(network).populations[0].model
    return None if model is None else model.system


def _complaints(graph: Graph, pop: PopulationNode) -> list[tuple[str, str | None]]:
    if _is_source(pop):
        return []
    if not _lif(pop):
        return [(f"counterpart of the cell of population '{pop.name}' (they have LIF with ExpCurrent or DeltaCurrent "
                 "receptors and DCInput)", pop.where)]  # fmt: skip
    assert pop.model is not None
    p, found = pop.model.params, []
    if pop.drive_weights:
        found.append((f"Poisson drive in population '{pop.name}': make a PoissonSource and connect it", pop.where))
    if np.any(np.asarray(p["v_th"]) <= np.asarray(p["v_reset"])):
        found.append((f"threshold at or below the reset in population '{pop.name}'", pop.where))
    kinds = set(_kinds(pop).values())
    if len(kinds) > 1:
        found.append((f"delta synapses beside exponential currents in population '{pop.name}': a cell has one decay of "
                      "its current", pop.where))  # fmt: skip
    if np.any(graph.dt / np.asarray(p["tau_m"]) * DECAY < 0.5):
        found.append((f"membrane time constant of population '{pop.name}' of more than 8,192 steps: take a larger dt",
                      pop.where))  # fmt: skip
    if any(np.ndim(p[f"{r}.tau"]) for r, kind in _kinds(pop).items() if kind == "exp"):
        found.append((f"synaptic time constants per neuron in population '{pop.name}'", pop.where))
    return found


# -- numbers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Numbers:
    """Arguments of the integer cell, v at the start, and receptor -> units of a weight in one of the float network."""

    options: Mapping[str, Any]
    init: np.ndarray
    gains: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _Wire:
    """A connection: local indices, whole weights, delays in steps."""

    name: str
    pre: str
    post: str
    receptor: str
    exponent: int
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def _numbers(out: Quantised, graph: Graph, pop: PopulationNode, below: float) -> _Numbers:
    """Choose the numbers of a population."""
    assert pop.model is not None
    p = {key: np.asarray(value, dtype=np.float64) for key, value in pop.model.params.items()}
    distance, rest = p["v_th"] - p["v_reset"], p["v_rest"] - p["v_reset"]
    rest = rest + p["r_m"] * sum((p[f"{name}.amplitude"] for name in _currents(pop)), np.zeros(()))
    dv = np.clip(np.rint(DECAY * -np.expm1(-graph.dt / p["tau_m"])), 1, 4095)
    taus = {r: float(p[f"{r}.tau"]) for r, kind in _kinds(pop).items() if kind == "exp"}
    tau_syn = _common(taus, graph, pop)
    du = 4095 if not taus else int(np.clip(np.rint(DECAY * -np.expm1(-graph.dt / tau_syn)) - 1, 0, 4095))
    kept_u, kept_v = (4095 - du) / DECAY, (DECAY - dv) / DECAY
    gains = {}
    for receptor in pop.receptors:
        if receptor in taus:
            area = p["r_m"] * taus[receptor] / graph.dt * (1 - kept_u)
        else:
            area = 1 / -np.expm1(-graph.dt / p["tau_m"]) * (1 - kept_u)
        gains[receptor] = np.broadcast_to(area * (1 - kept_v), (pop.size,))
    reach = max(float(distance.max()), below * float(distance.max()), float(np.abs(rest).max()))
    finest = _LARGEST / reach
    largest, most = _arriving(graph, pop, gains)
    # the largest weight has a mantissa and an exponent, and a current does not wrap if all sources spike at once
    coarser = min(MANTISSA * 2.0 ** max(_EXPONENTS) / max(largest, 1e-300), _LARGEST / max(most, 1e-300))
    per_volt = min(finest, coarser)
    per_volt = np.floor(per_volt) if per_volt >= 1 else per_volt
    vth = np.clip(np.rint(distance * per_volt), 1, _LARGEST)
    bias = np.rint(rest * per_volt * ALIGN * dv / DECAY)
    exponent = max(0, int(np.ceil(np.log2(max(float(np.abs(bias).max()), 1.0) / 4095))))
    if exponent > 7:
        raise UnsupportedError(
            f"the resting potential of population '{pop.name}' is too far from its reset for a bias of 13 bits and an "
            "exponent of 7", pop.where
        )  # fmt: skip
    refractory = bool(np.any(p["t_ref"]))
    options: dict[str, Any] = {"t_ref": Quantity(p["t_ref"], TIME)} if refractory else {}
    start = next(np.asarray(s.init, dtype=np.float64) for s in pop.states if s.name == "v")
    init = saturated(np.rint((start - p["v_reset"]) * per_volt * ALIGN)).astype(np.float64)
    options |= {"du": du, "dv": dv, "vth": vth, "bias_mant": np.rint(bias / 2**exponent), "bias_exp": exponent}
    added = shifted(np.rint(bias / 2**exponent), exponent)
    out.populations.append(
        PopulationChange(
            pop.name, per_volt * ALIGN, p["v_reset"], -graph.dt / np.log(kept_v), p["tau_m"],
            -graph.dt / np.log(kept_u) if kept_u > 0 else 0.0, taus,
            float(np.abs(vth / per_volt / distance - 1).max()), refractory, du, dv, vth, p["v_th"],
            p["v_reset"] + added * DECAY / dv / (per_volt * ALIGN), p["v_reset"] + rest,
        )
    )  # fmt: skip
    if coarser < finest:
        out.changes.append(
            f"the threshold of population '{pop.name}' has {int(np.max(vth)):,} units of the "
            f"{int(np.max(distance) * finest):,} that its bits hold: with more, weights or sums of them would not fit"
        )
    if len(set(taus.values())) > 1:
        said = ", ".join(f"{r} {tau * 1e3:g} ms" for r, tau in taus.items())
        out.changes.append(f"population '{pop.name}' has one synaptic time constant, {tau_syn * 1e3:.3g} ms, instead "
                           f"of {said}; the area of each potential is kept")  # fmt: skip
    return _Numbers(options, init, {receptor: gain * per_volt for receptor, gain in gains.items()})


def _arriving(graph: Graph, pop: PopulationNode, gains: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the largest weight that arrives at a population, and the largest sum of weights of one sign at a neuron.

    Both times the gain of the neuron: in units of its current if a unit of potential were 1.
    """
    first, largest, sums = graph.offsets()[pop.name], 0.0, np.zeros((2, pop.size))
    for proj in graph.projections:
        if not any(s.population == pop.name for s in proj.post):
            continue
        for e in iter_edges(graph, proj):
            here = np.flatnonzero((e.post >= first) & (e.post < first + pop.size))
            target = e.post[here].astype(np.int64) - first
            weights = np.broadcast_to(e.weight, (len(e),))[here] * gains[proj.receptor][target]
            largest = max(largest, float(np.abs(weights).max(initial=0.0)))
            for row, sign in enumerate((1, -1)):
                sums[row] += np.bincount(target, np.maximum(sign * weights, 0.0), pop.size)
    return largest, float(sums.max(initial=0.0))


def _common(taus: Mapping[str, float], graph: Graph, pop: PopulationNode) -> float:
    """Return the one time constant: the mean of the receptors', by the charge that reaches each."""
    if len(set(taus.values())) <= 1:
        return next(iter(taus.values()), 0.0)
    charge = dict.fromkeys(taus, 0.0)
    for proj in graph.projections:
        if proj.receptor in taus and any(s.population == pop.name for s in proj.post):
            for e in iter_edges(graph, proj):
                weights = np.broadcast_to(e.weight, (len(e),))
                charge[proj.receptor] += float(np.abs(weights).sum()) * taus[proj.receptor]
    total = sum(charge.values())
    weights = {r: c / total for r, c in charge.items()} if total else dict.fromkeys(taus, 1 / len(taus))
    return sum(taus[r] * weights[r] for r in taus)


def _wires(out: Quantised, graph: Graph, node: ProjectionNode, numbers: Mapping[str, _Numbers]) -> list[_Wire]:
    """Choose the exponent and the mantissas of a projection, for each pair of populations."""
    names = [p.name for p in graph.populations]
    starts = np.array([graph.offsets()[n] for n in names])
    pieces = list(iter_edges(graph, node))

    def column(values: list[Any], kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *values]).astype(kind)

    pre, post = (column([getattr(e, end) for e in pieces], np.int64) for end in ("pre", "post"))
    weight = column([np.broadcast_to(e.weight, (len(e),)) for e in pieces], np.float64)
    delay = column([np.broadcast_to(e.delay, (len(e),)) for e in pieces], np.int64)
    of_pre, of_post = np.searchsorted(starts, pre, "right") - 1, np.searchsorted(starts, post, "right") - 1
    pairs = sorted(set(zip(of_pre.tolist(), of_post.tolist(), strict=True)))
    made = []
    for a, b in pairs:
        here = (of_pre == a) & (of_post == b)
        target = graph.population(names[b])
        late = delay[here] + (_kinds(target)[node.receptor] == "exp")  # a current moves v one step after it arrives
        if late.max(initial=0) > MAX_DELAY + 1:
            raise UnsupportedError(
                f"projection '{node.name}' has delays of {late.max()} steps; Loihi 2 has up to {MAX_DELAY + 1}: take a "
                "larger dt", node.where
            )  # fmt: skip
        rows, columns = post[here] - starts[b], pre[here] - starts[a]
        wanted = weight[here] * numbers[names[b]].gains[node.receptor][rows]
        largest = float(np.abs(wanted).max(initial=0.0))
        exponent = int(np.ceil(np.log2(largest / MANTISSA))) if largest > MANTISSA else 0
        if exponent not in _EXPONENTS:
            raise UnsupportedError(f"the weights of projection '{node.name}' are too large for an exponent of 7",
                                   node.where)  # fmt: skip
        gain = float(np.mean(numbers[names[b]].gains[node.receptor]))
        mantissa, grid = on_grid(wanted / 2.0**exponent, 2.0**exponent / gain, node.weight_unit)
        name = node.name if len(pairs) == 1 else f"{node.name}_{names[a]}_{names[b]}"
        while name in {p.name for p in out.projections} | ({p.name for p in graph.projections} - {node.name}):
            name += "_"
        keep = mantissa != 0
        made.append(_Wire(name, names[a], names[b], f"{node.receptor}_{exponent}", exponent, rows[keep], columns[keep],
                          mantissa[keep], late[keep]))  # fmt: skip
        error = grid.rms * 2.0**exponent / largest if largest else 0.0
        lost = int(((mantissa == 0) & (wanted != 0)).sum())
        out.projections.append(ProjectionChange(name, int(keep.sum()), exponent, int(np.abs(mantissa).max(initial=0)),
                                                error, lost, names[a], names[b], grid))  # fmt: skip
    return made

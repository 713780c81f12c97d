"""A network as a PyNN script: populations and connections as arrays beside it, for any of PyNN's simulators.

Cells that are PyNN's under another name are written, exactly or with the difference said; everything else is refused by
name. All that neurosim draws (connections, weights, delays, parameters, initial values) is drawn now and written as
numbers; random stimuli become PyNN's own.
"""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim import Network
from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.interchange import Written, refuse_losses
from neurosim.interchange.pynn_synapses import synapse_type
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.names import free_name
from neurosim.pynn.celltypes import STANDARD
from neurosim.units import TIME, Quantity, scalar

START = "run.py"
ARRAYS = "network.npz"
_PER = {"mV": 1e3, "ms": 1e3, "nA": 1e9, "nF": 1e9, "uS": 1e6, "nS": 1e9, "Hz": 1.0, "/ms": 1e-3, "mV/ms": 1.0}
"""PyNN's unit -> how many of it are one SI unit."""

_RECEPTORS = {"ExpCurrent": "curr_exp", "AlphaCurrent": "curr_alpha", "DeltaCurrent": "curr_delta",
              "ExpConductance": "cond_exp", "AlphaConductance": "cond_alpha"}  # fmt: skip
_ADEX = {"cm": "c_m", "v_rest": "e_l", "v_thresh": "v_t", "delta_T": "delta_t", "v_spike": "v_peak",
         "v_reset": "v_reset",
         "a": "a", "b": "b", "tau_w": "tau_w", "tau_refrac": "t_ref"}  # fmt: skip


@dataclass
class Plan:
    """How one population is written.

    ``values`` and ``init`` are in PyNN's units; ``sides`` says which of PyNN's receptors each of neurosim's is, None
    where the sign of the weight decides; weights and currents in SI are multiplied by ``weight`` and ``current``.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    init: dict[str, Any] = field(default_factory=dict)
    sides: dict[str, str | None] = field(default_factory=dict)
    weight: Any = 1.0
    current: Any = 1e9
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class Edge:
    """Connections of one projection between two populations; weights in SI, delays in steps."""

    name: str
    pre: str
    post: str
    receptor: str
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def export(network: Network, directory: str, *, duration: Quantity, lossy: bool = False) -> Written:
    """Write a network as ``run.py`` and ``network.npz``.

    ``python run.py nest`` runs it with ``pyNN.nest``, ``python run.py neurosim`` with :mod:`neurosim.pynn`.

    Parameters
    ----------
    network : Network
        What to write.
    directory : str
        A folder that does not exist yet, or is empty.
    duration : Quantity
        Of the run; patterns of spikes that repeat are written out so far.
    lossy : bool
        Write the rest where a stimulus or a recording cannot be written.

    Raises
    ------
    UnsupportedError
        A cell or receptor that PyNN has not.
    ParameterError
        Something would be lost, and ``lossy`` is not given.
    """
    seconds = scalar(duration, TIME, "the duration of the export")
    steps = whole_steps(seconds, network.dt, "the duration of the export", None, least=1)
    target = os.path.abspath(directory)
    if os.path.isfile(target) or (os.path.isdir(target) and os.listdir(target)):
        raise ParameterError(f"'{directory}' is there already and not an empty folder: name another one, or empty it")
    units, graph = compile_network(network, after="units"), compile_network(network)
    edges = _edges(graph)
    written = Written(directory, START, [START, ARRAYS])
    script = _Script(network, units, steps, written)
    plans = {node.name: _plan(network, node, edges, written) for node in units.populations}
    for node in units.populations:
        script.population(node, plans[node.name])
    for edge in edges:
        script.projection(edge, plans[edge.post], graph)
    script.probes(units, plans)
    refuse_losses(written.losses, lossy)
    written.changes[:0] = _common(network)
    part = f"{target}.{secrets.token_hex(4)}.part"
    try:
        os.makedirs(part)
        np.savez_compressed(os.path.join(part, ARRAYS), **script.arrays)
        with open(os.path.join(part, START), "w", encoding="utf-8") as file:
            file.write(script.text(max((int(e.delays.max()) for e in edges), default=1)))
        if os.path.isdir(target):
            os.rmdir(target)
        os.replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return written


def _common(network: Network) -> list[str]:
    return [
        f"a spike that neurosim stamps t is stamped t + {network.dt * 1e3:g} ms by PyNN's NEST: the end of its step",
        "connections, weights, delays, parameters and initial values are the numbers that neurosim drew",
    ]


def _edges(graph: Graph) -> list[Edge]:
    """Return all connections, by pair of populations, with local indices."""
    names = [p.name for p in graph.populations]
    starts = np.array([graph.offsets()[n] for n in names])
    out = []
    for projection in graph.projections:
        parts: list[list[np.ndarray]] = [[], [], [], []]
        for piece in iter_edges(graph, projection):
            for held, values in zip(parts, (piece.pre, piece.post, piece.weight, piece.delay), strict=True):
                held.append(np.broadcast_to(np.asarray(values), (len(piece),)))
        if not parts[0]:
            continue
        pre, post, weights, delays = (np.concatenate(p) for p in parts)
        pre, post = pre.astype(np.int64), post.astype(np.int64)
        a, b = (np.searchsorted(starts, x, side="right") - 1 for x in (pre, post))
        for i, j in sorted(set(zip(a.tolist(), b.tolist(), strict=True))):
            here = (a == i) & (b == j)
            ends = pre[here] - starts[i], post[here] - starts[j]
            values = weights[here].astype(float), delays[here].astype(np.int64)
            out.append(Edge(projection.name, names[i], names[j], projection.receptor, *ends, *values))
    return out


# -- cells ------------------------------------------------------------------------------------------------------------


def _like(cell: Any, model: Any) -> bool:
    """Whether a cell is a model but for the values of its parameters."""

    def text(c: Any) -> tuple[Any, ...]:
        return (c.text, c.threshold_text, tuple(s.text for s in c.reset), c.refractory_text, c.edge, c.clamp, c.ports,
                tuple((key, event.text()) for key, event in c.events.items()))  # fmt: skip

    return text(cell) == text(model)


def _si(node: PopulationNode, name: str, unit: str) -> Any:
    return node.params[name] * _PER[unit]


def _plan(network: Network, node: PopulationNode, edges: list[Edge], written: Written) -> Plan:
    """Say what a population is in PyNN, or refuse it."""
    models = importlib.import_module("neurosim.models")
    pop = network.populations[node.name]
    cell = pop.cell
    if node.schedules:
        return Plan("SpikeSourceArray")
    if _like(cell, models.PoissonSource()):
        written.changes.append(
            f"'{node.name}' draws its spikes from PyNN's random numbers: other spikes, the same rate"
        )
        return Plan("SpikeSourcePoisson", {"rate": node.params["rate"]})
    for name, kind in STANDARD.items():
        if name != "SpikeSourceArray" and cell.name == name and _like(cell, kind.cell()):
            return _own(node, cell, name, kind, written)
    if _like(cell, models.LIF):
        return _lif(network, node, cell, edges, written)
    if _like(cell, models.AdEx):
        return _adex(node, cell, edges, written)
    raise UnsupportedError(
        f"PyNN has no cell like '{cell.name}' of population '{node.name}': LIF with one kind of receptors, AdEx with "
        "conductances, SpikeSource, PoissonSource and the types of neurosim.pynn can be written",
        pop.where,
    )


def _own(node: PopulationNode, cell: Any, name: str, kind: Any, written: Written) -> Plan:
    """A cell that came from PyNN."""
    values = {}
    renamed = {
        "tau_syn_E": "excitatory.tau",
        "tau_syn_I": "inhibitory.tau",
        "e_rev_E": "excitatory.e_rev",
        "e_rev_I": "inhibitory.e_rev",
    }
    for key in kind.default_parameters:
        own = str(renamed.get(key, key))
        values[key] = _si(node, own, kind.units[key])
    if name == "SpikeSourcePoisson":
        written.changes.append(
            f"'{node.name}' draws its spikes from PyNN's random numbers: other spikes, the same rate"
        )
        return Plan(name, values)
    cells_own = {k: v for k, v in kind.variables.items() if "syn" not in k}
    init = {k: node.state(v).init * _PER.get(kind.units.get(k, ""), 1.0) for k, v in cells_own.items()}
    factor = {"mV": 1e3, "uS": 1e6}.get(
        "mV" if kind.voltage_based_synapses else "uS" if kind.conductance_based else "", 1e9
    )
    sides: dict[str, str | None] = {r: r for r in kind.receptor_types}
    return Plan(name, values, init, sides, factor, 1e9, {v: k for k, v in kind.variables.items()})


def _receptors(node: PopulationNode, cell: Any, edges: list[Edge], drives: list[tuple[str, Any]]) -> Any:
    """Return (kind of synapse, receptor -> side, PyNN's parameters) of a cell's receptors."""
    where, what = cell.where, f"population '{node.name}'"
    kinds = {r.name for r in cell.receptors.values()}
    if any(r.when != "after" for r in cell.receptors.values()):
        raise UnsupportedError(f"{what}: a receptor with when='before' has no counterpart in PyNN", where)
    if len(kinds) > 1 or len(cell.receptors) > 2 or not kinds <= set(_RECEPTORS):
        shown = ", ".join(f"{k}: {r.name}" for k, r in cell.receptors.items())
        raise UnsupportedError(f"{what} has the receptors {shown}; PyNN's cells have two of one kind: "
                               f"{', '.join(_RECEPTORS)}", where)  # fmt: skip
    kind = _RECEPTORS[kinds.pop()] if kinds else "curr_exp"
    names = list(cell.receptors)
    if not names:
        return kind, {}, {}
    signs: dict[str, set[int]] = {r: set() for r in names}
    for edge in edges:
        if edge.post == node.name:
            signs[edge.receptor] |= set(np.sign(edge.weights).astype(int).tolist()) - {0}
    for receptor, weight in drives:
        signs[receptor] |= {int(np.sign(weight))} - {0}
    if kind.startswith("cond"):
        if any(-1 in s for s in signs.values()):
            raise UnsupportedError(f"{what} gets negative conductances, which PyNN refuses", where)
        names.sort(key=lambda r: -float(np.mean(node.params[f"{r}.e_rev"])))
        sides: dict[str, str | None] = dict(zip(names, ("excitatory", "inhibitory"), strict=False))
    else:
        taus = [node.params.get(f"{r}.tau", 0.0) for r in names]
        if len(names) == 1 or np.array_equal(taus[0], taus[1]):
            sides = dict.fromkeys(names, None)
        else:
            if any(len(s) > 1 for s in signs.values()) or signs[names[0]] & signs[names[1]]:
                raise UnsupportedError(
                    f"{what}: PyNN has one receptor for positive and one for negative weights, and '{names[0]}' and "
                    f"'{names[1]}' have different time constants and do not divide them so", where)  # fmt: skip
            if -1 in signs[names[0]] or 1 in signs[names[1]]:
                names.reverse()
            sides = dict(zip(names, ("excitatory", "inhibitory"), strict=False))
    values = {}
    for letter, receptor in zip("EI", (*names, *names)[:2], strict=True):
        if not kind.endswith("delta"):
            values[f"tau_syn_{letter}"] = _si(node, f"{receptor}.tau", "ms")
        if kind.startswith("cond"):
            values[f"e_rev_{letter}"] = _si(node, f"{receptor}.e_rev", "mV")
    return kind, sides, values


def _lif(network: Network, node: PopulationNode, cell: Any, edges: list[Edge], written: Written) -> Plan:
    drives: list[tuple[str, Any]] = [
        (r, node.params[f"{k}.weight"]) for k, _, _, r in network.populations[node.name].stimuli if r
    ]
    kind, sides, values = _receptors(node, cell, edges, drives)
    tau, r_m = node.params["tau_m"], node.params["r_m"]
    as_voltage = cell.dimension("r_m").symbol == "1"
    cm = 1e-9 if as_voltage else tau / r_m
    if as_voltage and kind.startswith("cond"):
        raise UnsupportedError(
            f"population '{node.name}' has conductances and r_m = {r_m:g} without a unit", cell.where
        )
    if as_voltage and kind != "curr_delta":
        written.changes.append(
            f"'{node.name}' takes inputs as potentials: with a capacitance of 1 nF they are written as currents of the "
            "same effect")  # fmt: skip
    scale = r_m * cm / tau if as_voltage else 1.0  # from the unit of the input to amperes
    pynn = f"IF_{kind}"
    values |= {"cm": cm * 1e9, "tau_m": tau * 1e3, "tau_refrac": _si(node, "t_ref", "ms"), "i_offset": 0.0}
    values |= {p: _si(node, n, "mV") for p, n in (("v_rest", "v_rest"), ("v_reset", "v_reset"), ("v_thresh", "v_th"))}
    _integration(node, cell, kind, written)
    weight = 1e3 if kind == "curr_delta" else 1e6 if kind.startswith("cond") else scale * 1e9
    return Plan(pynn, values, _initial(node, {"v": "mV"}, written), sides, weight, scale * 1e9, _traced(sides, kind))


def _adex(node: PopulationNode, cell: Any, edges: list[Edge], written: Written) -> Plan:
    kind, sides, values = _receptors(node, cell, edges, [])
    if not kind.startswith("cond"):
        if cell.receptors:
            raise UnsupportedError(f"population '{node.name}': PyNN's AdEx has conductances, not currents", cell.where)
        kind = "cond_exp"
    pynn = f"EIF_{kind}_isfa_ista"
    units = STANDARD[pynn].units
    values |= {p: _si(node, n, units[p]) for p, n in _ADEX.items()}
    values["tau_m"] = node.params["c_m"] / node.params["g_l"] * 1e3
    _integration(node, cell, kind, written)
    return Plan(pynn, values, _initial(node, {"v": "mV", "w": "nA"}, written), sides, 1e6, 1e9,
                {**_traced(sides, kind), "w": "w"})  # fmt: skip


def _traced(sides: dict[str, str | None], kind: str) -> dict[str, str]:
    """neurosim's variable -> PyNN's."""
    out = {"v": "v"}
    for receptor, side in sides.items():
        if kind.startswith("cond") and side:
            out[f"{receptor}.g"] = "gsyn_exc" if side == "excitatory" else "gsyn_inh"
    return out


def _integration(node: PopulationNode, cell: Any, kind: str, written: Written) -> None:
    if kind.startswith("cond"):
        written.changes.append(f"'{node.name}' is integrated by the methods of PyNN's simulators, in neurosim by "
                               f"'{cell.method}'")  # fmt: skip
    elif cell.method not in ("auto", "exact"):
        written.changes.append(
            f"'{node.name}' is integrated exactly by PyNN's simulators, in neurosim by '{cell.method}'"
        )


def _initial(node: PopulationNode, units: dict[str, str], written: Written) -> dict[str, Any]:
    for state in node.states:
        if state.name not in units and state.name.partition(".")[0] in node.receptors and np.any(state.init):
            written.losses.append(f"the initial {state.name} of '{node.name}': PyNN's simulators start it at 0")
    return {name: node.state(name).init * _PER[unit] for name, unit in units.items()}


# -- the script -------------------------------------------------------------------------------------------------------


class _Script:
    """Collects lines and arrays."""

    def __init__(self, network: Network, units: Graph, steps: int, written: Written) -> None:
        self.network, self.units, self.steps, self.written = network, units, steps, written
        self.ms = network.dt * 1e3
        self.lines: list[str] = []
        self.arrays: dict[str, Any] = {}

    def value(self, name: str, value: Any) -> str:
        """Return a number as text, or keep an array and return how it is read."""
        if np.ndim(value) == 0:
            return repr(float(value))
        self.arrays[name] = np.asarray(value)
        return f"data[{name!r}]"

    def population(self, node: PopulationNode, plan: Plan) -> None:
        """Write a population with its parameters, initial values and stimuli."""
        name = node.name
        currents = self.stimuli(node, plan)
        if plan.kind == "SpikeSourceArray":
            given = "spike_times=" + self.spikes(node)
        else:
            given = ", ".join(f"{k}={self.value(f'{name}.{k}', v)}" for k, v in plan.values.items())
        self.lines.append(f"    p[{name!r}] = sim.Population({node.size}, sim.{plan.kind}({given}), label={name!r})")
        if node.positions is not None:
            self.lines.append(f"    p[{name!r}].positions = {self.value(f'{name}.positions', node.positions.T * 1e6)}")
        for variable, value in plan.init.items():
            self.lines.append(f"    p[{name!r}].initialize({variable}={self.value(f'{name}.{variable}(0)', value)})")
        self.lines += currents

    def spikes(self, node: PopulationNode) -> str:
        """Keep spike times, and return how they are read."""
        schedule = node.schedules["spikes"]
        steps, neurons = np.asarray(schedule.steps), np.asarray(schedule.neurons)
        if schedule.period:
            rounds = np.arange(-(-self.steps // schedule.period))
            steps = (steps[None, :] + rounds[:, None] * schedule.period).ravel()
            neurons = np.tile(neurons, len(rounds))
            self.written.changes.append(f"the pattern of '{node.name}' is written out to {self.steps * self.ms:g} ms")
        keep = steps < self.steps
        steps, neurons = steps[keep], neurons[keep]
        if len(steps) and steps.min() == 0:
            self.written.changes.append(
                f"'{node.name}' spikes in the first step, at {self.ms:g} ms for PyNN; pyNN.nest takes no spikes before "
                f"{2 * self.ms:g} ms")  # fmt: skip
        order = np.lexsort((steps, neurons))
        self.arrays[f"{node.name}.spike_times"] = (steps[order] + 1) * self.ms
        self.arrays[f"{node.name}.ends"] = np.cumsum(np.bincount(neurons, minlength=node.size))
        return f"trains({node.name!r})"

    def stimuli(self, node: PopulationNode, plan: Plan) -> list[str]:
        """Return the lines of what is injected into a population, or add to its i_offset."""
        inputs, electrodes = (
            importlib.import_module(m) for m in ("neurosim.models.inputs", "neurosim.pynn.electrodes")
        )
        lines = []
        for key, stimulus, ids, receptor in self.network.populations[node.name].stimuli:
            what = f"the stimulus '{key}' of '{node.name}'"
            given = {k.split(".", 1)[1]: v for k, v in node.params.items() if k.startswith(f"{key}.")}
            text = getattr(stimulus, "output_text", "")
            cells = f"p[{node.name!r}]" + ("" if ids is None else f"[{self.keep(f'{node.name}.{key}.cells', ids)}]")
            if receptor is not None:
                lines += self.drive(node, plan, key, receptor, given, ids, what)
            elif any(np.ndim(v) for v in (*given.values(), plan.current)) and text != "amplitude":
                self.written.losses.append(f"{what}: it differs from neuron to neuron")
            elif text == "amplitude":
                amplitude = given["amplitude"] * plan.current
                on = 1.0 if ids is None else np.isin(np.arange(node.size), ids).astype(float)
                plan.values["i_offset"] = plan.values.get("i_offset", 0.0) + amplitude * on
            elif text in (inputs.DCInput(1.0, start=0.0 * Quantity(1.0, TIME)).output_text, electrodes._DC.output_text):
                window = ", ".join(f"{k}={given[k] * 1e3!r}" for k in ("start", "stop"))
                lines.append(
                    f"    sim.DCSource(amplitude={given['amplitude'] * plan.current!r}, {window}).inject_into({cells})"
                )
            elif text in (inputs.SineCurrent(1.0, 1.0 * importlib.import_module("neurosim.units").Hz).output_text,
                          electrodes._AC.output_text):  # fmt: skip
                window = ", ".join(f"{k}={given[k] * 1e3!r}" for k in ("start", "stop") if k in given)
                numbers = (
                    f"amplitude={given['amplitude'] * plan.current!r}, offset={given['offset'] * plan.current!r}, "
                )
                numbers += f"frequency={given['frequency']!r}, phase={float(np.degrees(given['phase']))!r}"
                lines.append(f"    sim.ACSource({numbers}{', ' if window else ''}{window}).inject_into({cells})")
            else:
                self.written.losses.append(
                    f"{what}: PyNN has no source like '{stimulus.name}' that would give the same"
                )
        return lines

    def keep(self, name: str, values: Any) -> str:
        """Keep an array, and return how it is read."""
        self.arrays[name] = np.asarray(values)
        return f"data[{name!r}]"

    def drive(
        self, node: PopulationNode, plan: Plan, key: str, receptor: str, given: dict[str, Any], ids: Any, what: str
    ) -> list[str]:
        """A Poisson drive becomes a population of sources, one for every neuron."""
        if "rate" not in given:
            self.written.losses.append(f"{what}: its rate varies in time")
            return []
        self.written.changes.append(
            f"{what} becomes a population of Poisson sources: their spikes are drawn by PyNN and arrive a step later"
        )
        name = f"{node.name}_{key}"
        rate = np.broadcast_to(given["rate"] * given["n"], (node.size,))
        rate = rate if ids is None else rate[ids]
        rate = float(rate[0]) if np.all(rate == rate[0]) else rate
        weight = np.broadcast_to(np.asarray(given["weight"] * plan.weight), (node.size,))[
            np.arange(node.size) if ids is None else ids
        ]
        side = plan.sides[receptor] or ("inhibitory" if weight[0] < 0 else "excitatory")
        rows = np.column_stack([np.arange(len(weight)), np.arange(node.size) if ids is None else ids, weight,
                                np.full(len(weight), self.ms)])  # fmt: skip
        return [
            f"    p[{name!r}] = sim.Population({len(weight)}, "
            f"sim.SpikeSourcePoisson(rate={self.value(f'{name}.rate', rate)}), label={name!r})",
            self.connection(name, name, node.name, rows, side),
        ]

    def connection(
        self, label: str, pre: str, post: str, rows: np.ndarray, side: str, kind: str = "sim.StaticSynapse()"
    ) -> str:
        """Keep a list of connections, and return the line that makes them."""
        key = free_name(f"edges.{label}", self.arrays, separator=".")
        return (f"    sim.Projection(p[{pre!r}], p[{post!r}], sim.FromListConnector({self.keep(key, rows)}), "
                f"{kind}, receptor_type={side!r}, label={label!r})")  # fmt: skip

    def projection(self, edge: Edge, plan: Plan, graph: Graph) -> None:
        """Write the connections of two populations, by receptor of PyNN."""
        factor = plan.weight[edge.targets] if np.ndim(plan.weight) else plan.weight
        rows = np.column_stack([edge.sources, edge.targets, edge.weights * factor, edge.delays * self.ms])
        side = plan.sides[edge.receptor]
        taus = {float(t) for name, tau in plan.values.items() if name.startswith("tau_syn") for t in np.ravel(tau)}
        kind, lost = synapse_type(graph, graph.projection(edge.name), plan.weight, edge.weights, taus)
        self.written.losses += [lost] if lost and lost not in self.written.losses else []
        parts = (
            [(side, np.ones(len(rows), bool))]
            if side
            else [("excitatory", rows[:, 2] >= 0), ("inhibitory", rows[:, 2] < 0)]
        )
        for name, here in parts:
            if here.any():
                assert name is not None
                self.lines.append(self.connection(edge.name, edge.pre, edge.post, rows[here], name, kind))

    def probes(self, units: Graph, plans: dict[str, Plan]) -> None:
        """Write what is recorded."""
        intervals: dict[str, int] = {}
        for probe in units.probes:
            if probe.variable == "weight":
                self.written.losses.append(
                    f"the probe of the weights of '{probe.target}': PyNN records none, projections are asked for them"
                )
                continue
            name = (
                "spikes" if probe.variable in ("spikes", "rate") else plans[probe.target].variables.get(probe.variable)
            )
            if name is None:
                self.written.losses.append(f"the probe '{probe.variable}' of '{probe.target}': PyNN does not record it")
                continue
            every = ""
            if name != "spikes":
                if intervals.setdefault(probe.target, probe.every) != probe.every:
                    self.written.losses.append(
                        f"the probe '{probe.variable}' of '{probe.target}': one interval a population"
                    )
                    continue
                every = f", sampling_interval={probe.every * self.ms!r}"
            part = "" if probe.ids is None else f"[{self.keep(f'{probe.target}.{probe.variable}.ids', probe.ids)}]"
            self.lines.append(f"    p[{probe.target!r}]{part}.record({name!r}{every})")

    def text(self, longest: int) -> str:
        """Return the script."""
        body = "\n".join(self.lines)
        return _TEMPLATE.format(name=self.network.name, dt=self.ms, longest=longest * self.ms, body=body,
                                duration=self.steps * self.ms, arrays=ARRAYS)  # fmt: skip


_TEMPLATE = '''"""The network '{name}', written by neurosim for PyNN.

    python run.py nest          (or neuron, brian2: any simulator of PyNN's; neurosim: neurosim.pynn)

Units are PyNN's: ms, mV, nA, nF, uS, Hz, um.
"""

import importlib
import pathlib
import sys

import numpy as np

with np.load(pathlib.Path(__file__).parent / "{arrays}") as file:
    data = dict(file)
DURATION = {duration!r}


def main(simulator="nest", duration=DURATION):
    """Build the network, run it, and return its populations by name."""
    own = simulator == "neurosim"
    sim = importlib.import_module("neurosim.pynn" if own else "pyNN." + simulator)
    sequence = importlib.import_module("neurosim.pynn" if own else "pyNN.parameters").Sequence
    options = dict(spike_precision="on_grid") if simulator == "nest" else dict()
    sim.setup(timestep={dt!r}, min_delay={dt!r}, max_delay={longest!r}, **options)

    def trains(name):
        ends = data[name + ".ends"]
        return [sequence(train) for train in np.split(data[name + ".spike_times"], ends[:-1])]

    p = dict()
{body}
    sim.run(duration)
    return p


if __name__ == "__main__":
    for name, population in main(*sys.argv[1:2]).items():
        trains = population.get_data().segments[0].spiketrains
        print(f"{{name:20}} {{population.size:8}} cells {{sum(len(t) for t in trains):10}} spikes")
'''

"""What of a network can be trained besides its weights, and what a step's constants are made of."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, UnknownNameError, suggest
from neurosim.ir.edges import MAX_DELAY
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
from neurosim.passes.discretise import discretise
from neurosim.units import CAPACITANCE, CONDUCTANCE, DIMENSIONLESS, RESISTANCE, TIME, Quantity
from neurosim.units.check import scalar

POSITIVE = (TIME, CAPACITANCE, CONDUCTANCE, RESISTANCE)
"""Dimensions of what must stay above 0, and is trained as a logarithm."""

_MOVED, _OFF = 1.001, 1e-3
"""What a parameter is multiplied by to see what follows from it; what it becomes where it is 0, in SI."""


class Cell(NamedTuple):
    """A parameter of a cell, a receptor or a stimulus: its value in SI, what the module counts in, whether the module
    has its logarithm, what is made of it that a step reads (nothing, where it reads the parameter itself), and its
    least and greatest value."""

    label: str
    start: np.ndarray
    unit: float
    positive: bool
    made: tuple[str, ...]
    limits: tuple[float, float]


class Trainable(NamedTuple):
    """The graph to make a module of; parameters of cells; population -> what makes its constants; projection -> its
    longest delay in steps."""

    graph: Graph
    cells: list[Cell]
    makers: dict[str, Remade]
    delays: dict[str, int | None]


@dataclass(frozen=True)
class Remade:
    """What a population's step reads, made anew of other values of parameters.

    Attributes
    ----------
    graph : Graph
        The population alone, before the pass ``discretise``.
    constants : tuple of str
        What its program reads. An addition of 0 is no part of a program, so what is missing is 0.
    """

    graph: Graph
    constants: tuple[str, ...]

    def __call__(self, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """Return all that the program reads; ``values`` are in SI, one or one per neuron."""
        found = self.node(values).params
        return {k: found.get(k, 0.0) for k in self.constants}

    def node(self, values: Mapping[str, np.ndarray]) -> PopulationNode:
        """Return the population with its program."""
        (pop,) = self.graph.populations
        given = {k: float(v) if np.ndim(v) == 0 else np.array(v, dtype=np.float64) for k, v in values.items()}
        moved = replace(pop, params={**pop.params, **given})
        return discretise(replace(self.graph, populations=(moved,))).populations[0]


def trainable(
    network: Network, graph: Graph, train: Iterable[str] | Mapping[str, Any], scales: Mapping[str, float], longest: Any
) -> Trainable:
    """Look at what is asked to be trained.

    Parameters
    ----------
    network : Network
        Where the labels point.
    graph : Graph
        The network, compiled.
    train : sequence of str or mapping
        ``population.parameter`` or ``projection.delay``, and what the module counts in (None: the default).
    scales : mapping
        Population -> how far it is from rest to the threshold, in SI.
    longest : quantity or None
        The longest delay.

    Raises
    ------
    ParameterError
        Something cannot be trained.
    """
    labels = list(train) if isinstance(train, Iterable) and not isinstance(train, str) else [train]
    if not all(isinstance(label, str) for label in labels) or isinstance(train, str):
        raise ParameterError(f"train is a list of 'population.parameter' or 'projection.delay', got {train!r}",
                             network.where)  # fmt: skip
    wanted: dict[str, Any] = dict(train) if isinstance(train, Mapping) else dict.fromkeys(labels)
    out = Trainable(graph, [], {}, {})
    keys: dict[str, list[str]] = {}
    for label in wanted:
        name, _, key = label.partition(".")
        if name in network.projections and key == "delay":
            if wanted[label] is not None:
                raise ParameterError(f"train: '{label}' counts in steps; give None, and max_delay for the longest",
                                     network.where)  # fmt: skip
            if network.projections[name].rule.kernel_shape is not None:
                raise ParameterError(f"train: '{label}' would give each edge a delay of its own, and the edges of a "
                                     "convolution share what they have", network.where)  # fmt: skip
            out.delays[name] = _longest(network, graph, longest)
        elif name in network.populations:
            keys.setdefault(name, []).append(key)
        elif name in network.projections:
            raise ParameterError(
                f"train: of projection '{name}' the weights are trained anyway, and the delays as '{name}.delay'; got "
                f"'{label}'", network.where
            )  # fmt: skip
        else:
            known = [*network.populations, *network.projections]
            raise UnknownNameError(f"train: no population or projection '{name}'{suggest(name, known)}", network.where)
    if longest is not None and not out.delays:
        raise ParameterError("max_delay is for trained delays: train=['PROJECTION.delay']", network.where)
    if not keys:
        return out
    before = compile_network(network, precision=graph.precision, after="expand")
    nodes = {}
    for name, own in keys.items():
        looked = _Looked(network, graph, before, name, own)
        for key in own:
            label = f"{name}.{key}"
            made = looked.made(key)
            if isinstance(made, str):
                legal = ", ".join(looked.legal()) or "nothing"
                raise ParameterError(f"train: '{label}' {made}; of '{name}' can be trained: {legal}", network.where)
            out.cells.append(_cell(network[name], label, key, wanted[label], made, scales.get(name), network.where))
        nodes[name], out.makers[name] = looked.node, looked.remade
    out.cells.sort(key=lambda cell: list(wanted).index(cell.label))
    return out._replace(graph=replace(graph, populations=tuple(nodes.get(p.name, p) for p in graph.populations)))


def _cell(
    pop: Population, label: str, key: str, unit: Any, made: tuple[str, ...], scale: float | None, where: str | None
) -> Cell:
    """Return a parameter, with what it counts in."""
    dim, start = pop.scope.solver.known[key], _value(pop, key)
    positive = dim in POSITIVE and bool(np.all(start > 0))
    if positive and unit is not None:
        raise ParameterError(
            f"train: '{label}' is trained as the logarithm of its ratio to where it starts, without a unit: give None",
            where,
        )
    size = float(np.mean(np.abs(start)))
    if unit is not None:
        size = scalar(unit, dim, f"the unit of '{label}'", where)
        if not size > 0:
            raise ParameterError(f"train: the unit of '{label}' must be above 0, got {unit}", where)
    elif not size and dim == _volts(pop):
        size = scale or 0.0
    if not size:
        raise ParameterError(
            f"train: '{label}' is 0, which does not tell how large its changes are: say what it counts in, as in "
            f"train={{'{label}': {'1' if dim == DIMENSIONLESS else f'1*{dim.symbol}'}}}",
            where,
        )
    prefix, _, last = key.rpartition(".")
    limits = _limits(pop.scope.parts[prefix].params[last])
    return Cell(label, start, 1.0 if positive else float(2.0 ** np.rint(np.log2(size))), positive, made, limits)


def _limits(param: Any) -> tuple[float, float]:
    """Return the least and the greatest value of a declared parameter, in SI; an open bound is left by a rounding."""
    low, high = param.limits()
    low = float(np.nextafter(np.float32(low), np.float32(np.inf))) if param.lo_open and np.isfinite(low) else low
    high = float(np.nextafter(np.float32(high), np.float32(-np.inf))) if param.hi_open and np.isfinite(high) else high
    return low, high


def _volts(pop: Population) -> Any:
    """Return the dimension of what the threshold compares, if the cell has the usual parameters."""
    return next((pop.scope.solver.known[k] for k in ("v_th", "v_threshold") if k in pop.cell.params), None)


def _value(pop: Population, key: str) -> np.ndarray:
    prefix, _, last = key.rpartition(".")
    value = pop.scope.parts[prefix].value(last)
    return np.array(value.value if isinstance(value, Quantity) else value, dtype=np.float64)


class _Looked:
    """What of a population can be trained.

    A parameter is moved a little, in the network and in the population alone. Nothing but what the step reads may
    differ then, and it must be the same in both.

    Attributes
    ----------
    node : PopulationNode
        The population, compiled. Where a bias of 0 is to be trained, its program adds it none the less.
    remade : Remade
        What makes its constants.
    """

    def __init__(self, network: Network, graph: Graph, before: Graph, name: str, keys: list[str]) -> None:
        self.name, self.precision, self.dt, self.pop = name, graph.precision, graph.dt, network[name]
        self.own = [f"{p}.{k}" if p else k for p, part in self.pop.scope.parts.items() for k in part.params]
        alone = replace(before, populations=(before.population(name),), projections=(), probes=())
        self.network, self.node = network, graph.population(name)
        self.moved: dict[str, np.ndarray] = {}
        zero = {k: _OFF for k in keys if k in self.own and not np.any(self._start(k))}
        if zero:
            network = self._with(zero)
            there = compile_network(network, precision=self.precision).population(name)
            more = set(there.params) - set(self.node.params)
            if there.program != self.node.program and more and all("c[" in k for k in more):
                constants = {k: self.node.params.get(k, 0.0) for k in there.params}
                self.node = replace(self.node, program=there.program, params=constants)
                self.network, self.moved = network, {k: np.array(v) for k, v in zero.items()}
        self.remade = Remade(alone, tuple(self.node.params))
        self.base = compile_network(self.network, precision=self.precision).population(name)

    def _start(self, key: str) -> Any:
        try:
            return _value(self.pop, key)
        except (TypeError, ValueError):
            return None

    def _with(self, values: Mapping[str, Any]) -> Network:
        other = copy.deepcopy(self.network)
        for key, value in values.items():
            other.set_parameter(f"{self.name}.{key}", Quantity(value, self.pop.scope.solver.known[key]))
        return other

    def _stepwise(self, values: Mapping[str, Any]) -> bool:
        """Tell whether what is rounded to whole steps depends on parameters."""
        rounded = [k for k in self.base.params if k.startswith(("_refractory_steps", "in_steps("))]
        then = {}
        with contextlib.suppress(NeurosimError):
            then = self.remade({k: np.ceil(v / self.dt) * self.dt for k, v in values.items()}) if rounded else {}
        return any(not np.array_equal(then[k], self.base.params[k]) for k in rounded if k in then)

    def legal(self) -> list[str]:
        """Return what can be trained."""
        return [f"{self.name}.{k}" for k in self.own if not isinstance(self.made(k), str)]

    def made(self, key: str) -> tuple[str, ...] | str:
        """Return what the step reads that is made of a parameter (nothing, where it is read itself), or why it cannot
        be trained."""
        if key not in self.own:
            return f"is no parameter{suggest(key, self.own)}"
        start = self._start(key)
        if start is None:
            return "is no number, nor one per neuron"
        moved = np.where(start == 0, 2 * _OFF, start * _MOVED)
        if self._stepwise({key: 2 * moved}):
            return "is taken in whole steps, which have no derivative"
        try:
            then = compile_network(self._with({key: moved}), precision=self.precision).population(self.name)
            alone = self.remade({**self.moved, key: moved})
        except NeurosimError as e:
            return f"cannot be changed a little ({e.message})"
        pairs = zip(self.base.states, then.states, strict=True)
        initial = [b.name for a, b in pairs if not np.array_equal(a.init, b.init)]
        if initial:
            return f"is also where '{initial[0]}' starts: give its initial value to net.population, as init={{...}}"
        if not _same_but_constants(self.base, then):
            return "is also part of what is computed before the first step"
        if any(not np.array_equal(alone[k], v) for k, v in then.params.items()):
            return "is also part of what other populations or connections give"
        touched = tuple(k for k, v in then.params.items() if not np.array_equal(self.base.params[k], v))
        if not touched:
            return "makes no difference to a step, or only in whole steps"
        return () if touched == (key,) else touched


def _same_but_constants(a: PopulationNode, b: PopulationNode) -> bool:
    """Tell whether two populations are the same but for the values that their programs read."""
    if a.program != b.program or a.params.keys() != b.params.keys() or a.tables.keys() != b.tables.keys():
        return False
    for name, table in a.tables.items():
        if not _equal(table, b.tables[name]):
            return False
    return all(_equal(p, b.poisson[k]) for k, p in a.poisson.items()) and all(
        _equal(s, b.schedules[k]) for k, s in a.schedules.items()
    )


def _equal(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else _plain(x, y)
               for x, y in zip(vars(a).values(), vars(b).values(), strict=True))  # fmt: skip


def _plain(x: Any, y: Any) -> bool:
    return bool(x == y)


def _longest(network: Network, graph: Graph, longest: Any) -> int | None:
    """Return the longest delay in steps, None where it is not given."""
    if longest is None:
        return None
    seconds = scalar(longest, TIME, "max_delay", network.where)
    steps = whole_steps(seconds, graph.dt, "max_delay", network.where, least=1)
    if steps >= MAX_DELAY:
        raise ParameterError(f"max_delay is {steps} steps; it must be below {MAX_DELAY}", network.where)
    return steps

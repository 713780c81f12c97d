"""What does not depend on NEST's state: Poisson counts, time arrays, random currents, and the spikes of sources.

All of it is a function of (seed, stream, neuron, step), so it is computed ahead with the programs and streams of the
IR, stretch by stretch, and handed to NEST's generators; NEST's own random numbers are never used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from neurosim.errors import DivergedError
from neurosim.ir.expr import Expr
from neurosim.ir.graph import Drive, Graph, PoissonTable, PopulationNode, Schedule, Table
from neurosim.ir.interp import call, evaluate
from neurosim.ir.lower import emit
from neurosim.ir.ops import INPUT
from neurosim.ir.program import Builder, Instr
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_from_words, poisson_inversion

_PIECE = 2_000_000
"""Numbers that are computed at a time."""

Array = np.ndarray


def pieces(first: int, stop: int, size: int) -> Iterator[Array]:
    """Yield consecutive steps, as many at a time as keep [steps, size] small."""
    length = max(1, _PIECE // max(1, size))
    for at in range(first, stop, length):
        yield np.arange(at, min(at + length, stop))


class Signals:
    """Values of some expressions of one population in every step.

    Parameters
    ----------
    graph, pop
        Whose parameters, tables and streams the expressions name.
    exprs : mapping
        Name -> expression that no state of the cell enters.
    inputs : iterable of str
        Discrete variables of the input's own (coloured noise): their state is carried on from call to call.
    """

    def __init__(
        self, graph: Graph, pop: PopulationNode, exprs: Mapping[str, Expr], inputs: Iterable[str] = ()
    ) -> None:
        assert pop.model is not None
        self.graph, self.pop, self.params = graph, pop, pop.model.params
        system = pop.model.system
        self.updates = {e.var: e.expr for e in system.equations if e.kind == "update" and e.var in set(inputs)}
        self.state = {
            v: np.array(np.broadcast_to(np.asarray(pop.state(v).init, float), pop.size)) for v in self.updates
        }
        self.builder, self.renewed = Builder(), dict[str, int]()
        self.builder.phase = INPUT
        for name, e in exprs.items():
            self.builder.emit("store", self._value(e), attr=name)
        for var in self.updates:
            self.builder.emit("store", self._renew(var), attr=f"{var}[n+1]")
        self.program = self.builder.build()
        self.at = {name: k for name, k in self.program.stores().items() if name in exprs}
        self.next = {var: self.program.stores()[f"{var}[n+1]"] for var in self.updates}
        self.streams: dict[str, Draws] = {}

    def _value(self, e: Expr) -> int:
        return emit(self.builder, e, self._leaf)

    def _renew(self, var: str) -> int:
        if var not in self.renewed:
            self.renewed[var] = self._value(self.updates[var])
        return self.renewed[var]

    def _leaf(self, x: Expr) -> int:
        b = self.builder
        if x.op == "next":
            return self._renew(x.attr)
        if x.op in ("uniform", "normal"):
            return b.emit(x.op, attr=x.attr)
        if x.attr in self.updates:
            return b.emit("load", attr=x.attr)
        if x.attr == "t":
            return b.emit("time")
        if x.attr in self.pop.tables:
            return b.emit("table", b.emit("step"), attr=x.attr)
        return b.emit("param", attr=x.attr)

    def values(self, first: int, stop: int) -> Iterator[tuple[Array, dict[str, Array]]]:
        """Yield (steps, name -> [steps, 1] or [steps, N]) for consecutive steps; ``first`` follows the last call."""
        one_by_one = (np.array([n]) for n in range(first, stop))
        for steps in one_by_one if self.updates else pieces(first, stop, self.pop.size):
            found = evaluate(self.program, lambda ins, *args, s=steps: self._given(ins, s))
            out = {name: np.asarray(found[k]) for name, k in self.at.items()}
            for name, value in out.items():
                if not np.all(np.isfinite(value)):
                    raise DivergedError(f"{name} of population '{self.pop.name}' is no finite number any more",
                                        self.pop.where)  # fmt: skip
            for var, k in self.next.items():
                self.state[var] = np.array(np.broadcast_to(np.asarray(found[k]), (1, self.pop.size))[0])
            yield (
                steps,
                {k: np.atleast_2d(v) if np.ndim(v) else np.reshape(v, (1, 1)) for k, v in out.items()}
                | {v: self.state[v][None, :] for v in self.updates},
            )

    def _given(self, ins: Instr, steps: Array) -> Array:
        op, attr = ins.op, ins.attr
        if op == "load":
            return self.state[attr][None, :]
        if op == "param":
            return np.asarray(self.params[attr], dtype=np.float64)[()]
        if op == "step":
            return steps[:, None]
        if op == "time":
            return steps[:, None].astype(np.float64) * self.graph.dt
        if op == "index":
            return np.arange(self.pop.size, dtype=np.int64)[None, :]
        if op == "table":
            return rows(self.pop.tables[attr], steps)
        if attr not in self.streams:
            self.streams[attr] = Draws(self.graph.chance, f"{self.pop.name}/{attr}")
        uniform = self.streams[attr].uniform(0, self.pop.size, steps)
        return uniform if op == "uniform" else call("ndtri", uniform)


def rows(table: Table, steps: Array) -> Array:
    """Return the rows of a time array that hold in some steps: [steps, 1] or [steps, N]."""
    k = steps // table.every
    values = table.values[k % len(table.values) if table.repeat else np.minimum(k, len(table.values) - 1)]
    return values[:, None] if values.ndim == 1 else values


class Counts:
    """The counts of one Poisson drive."""

    def __init__(self, graph: Graph, pop: PopulationNode, drive: Drive) -> None:
        self.pop, self.drive = pop, drive
        self.draws = Draws(graph.chance, pop.streams[drive.name])
        self.table: PoissonTable | None = pop.poisson.get(drive.name)
        self.means = (
            None if self.table is not None else Signals(graph, pop, {"the rate of a Poisson drive": drive.mean})
        )

    def events(self, first: int, stop: int) -> tuple[Array, Array, Array]:
        """Return (steps, neurons, counts) of all counts above 0, ordered by neuron, then step."""
        n, found = self.pop.size, []
        if self.means is not None:
            means = self.means.values(first, stop)
            parts = ((steps, next(iter(value.values()))) for steps, value in means)
        else:
            parts = ((steps, None) for steps in pieces(first, stop, n))
        for steps, mean in parts:
            words = self.draws.words(0, n, steps)
            counts = self._count(words, mean)
            at, neuron = np.nonzero(counts)
            found.append((steps[at], neuron, counts[at, neuron]))
        if not found:
            none = np.zeros(0, np.int64)
            return none, none, none
        steps, neurons, counts = (np.concatenate(x) for x in zip(*found, strict=True))
        order = np.argsort(neurons, kind="stable")
        return steps[order], neurons[order], counts[order]

    def _count(self, words: Array, mean: Array | None) -> Array:
        if mean is not None:
            if np.any(mean > POISSON_MEAN_LIMIT):
                raise DivergedError(f"the mean of Poisson drive '{self.drive.name}' of population '{self.pop.name}' "
                                    f"exceeds {POISSON_MEAN_LIMIT:g} in a step: use a lower rate or a smaller dt",
                                    self.pop.where)  # fmt: skip
            return poisson_inversion(words, np.broadcast_to(mean, words.shape))
        assert self.table is not None
        if self.table.row is None:
            return poisson_from_words(words, self.table.unpadded(0))
        out = np.empty(words.shape, dtype=np.int64)
        for k in range(len(self.table.thresholds)):
            at = self.table.row == k
            out[:, at] = poisson_from_words(words[:, at], self.table.unpadded(k))
        return out


def scheduled(schedule: Schedule, first: int, stop: int) -> tuple[Array, Array]:
    """Return (steps, neurons) of a spike list in [first, stop), repeated where it has a period."""
    lo = np.asarray(schedule.steps, dtype=np.int64)
    neurons = np.asarray(schedule.neurons, dtype=np.int64)
    if not schedule.period:
        keep = (lo >= first) & (lo < stop)
        return lo[keep], neurons[keep]
    rounds = np.arange(first // schedule.period, -(-stop // schedule.period))
    steps = (rounds[:, None] * schedule.period + lo[None, :]).reshape(-1)
    who = np.tile(neurons, len(rounds))
    keep = (steps >= first) & (steps < stop)
    return steps[keep], who[keep]

"""One step of a few neurons once more, by the program itself, from the state that an engine recorded.

A :class:`Replay` evaluates the program of one population for *lanes*, pairs of a neuron and a step, with the leaves of
the reference interpreter. A lane starts from the state that one side recorded at the end of the step before, and from
what arrives by the spikes of the run; what comes out is compared with what that side recorded at the end of the step.
So an error of an engine is seen in the very step in which it is made, and does not add up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.ir import leaves
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PoissonTable, PopulationNode, ProjectionNode
from neurosim.ir.interp import call, evaluate
from neurosim.ir.ops import COMPARE
from neurosim.ir.program import Instr, Program
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_inversion
from neurosim.ir.timegrid import NEVER
from neurosim.passes.discretise import ABOVE, COUNTDOWN, HELD, discretise, made_here


@dataclass(frozen=True)
class Twist:
    """How a replay departs from what is written: a guess at what an engine does instead.

    Attributes
    ----------
    arrivals : int
        Steps by which arrivals come late, of the projection ``projection`` or (None) of all.
    gain : float
        Factor on what arrives, of the same projections; 0: nothing arrives.
    countdown : int
        Steps by which the refractory period is longer.
    stimuli : int
        Steps by which stimuli, the time and random numbers are late.
    change : tuple
        What is different in the equations: pairs of a field of the graph's ``System`` and its value.
    """

    arrivals: int = 0
    projection: str | None = None
    gain: float = 1.0
    countdown: int = 0
    stimuli: int = 0
    change: tuple[tuple[str, Any], ...] = ()


PLAIN = Twist()


@dataclass(frozen=True)
class Recorded:
    """What one side recorded of one population: ``values[variable]`` [T, m] after steps 0 … T-1 of the neurons ``ids``.

    ``ids`` is ascending; ``spikes`` are the steps in which each of the neurons spiked, by neuron.
    """

    ids: np.ndarray
    values: Mapping[str, np.ndarray]
    spikes: Mapping[int, np.ndarray]

    @property
    def steps(self) -> int:
        """How many steps were recorded."""
        return min((len(v) for v in self.values.values()), default=0)

    def column(self, neuron: int) -> int | None:
        """Return the column of a neuron, None if it was not recorded."""
        at = int(np.searchsorted(self.ids, neuron))
        return at if at < len(self.ids) and self.ids[at] == neuron else None


class Replay:
    """The program of one population, for a few of its neurons.

    Parameters
    ----------
    graph : Graph
        After the pass ``order``.
    population : str
        Whose program.
    neurons : sequence of int
        The neurons that lanes may name.
    spikes : mapping of str to Spikes
        Of all populations; those before ``end`` are what arrives.
    end : int
        Lanes lie in the steps before ``end``, and no spike of step ``end - 1`` or later matters to them.
    weights : mapping of str to array
        Projection that learns -> its weights [T, edges] after steps 0 … T-1; those that are missing are in ``unknown``,
        and those that deliver the weights of the step itself, which statements of an interval change once more.
    states : mapping of str to Recorded, optional
        Of populations whose spikes carry something; projections of those that are missing are in ``unknown`` too.
    """

    def __init__(self, graph: Graph, population: str, neurons: Any, spikes: Mapping[str, Any], end: int,
                 weights: Mapping[str, np.ndarray] | None = None,
                 states: Mapping[str, Recorded] | None = None) -> None:  # fmt: skip
        self.graph, self.pop, self.end = graph, graph.population(population), end
        self.neurons = np.unique(np.asarray(neurons, dtype=np.int64))
        self.dtype: Any = np.float64 if graph.precision == "double" else np.float32
        self.weights = weights or {}
        into = [p for p in graph.projections if any(s.population == population for s in p.post)]
        learn = [(p.name, p.plasticity) for p in into if p.plasticity is not None]
        self.unknown = [name for name, rule in learn
                        if name not in self.weights or (rule.delivers_after and rule.every)]  # fmt: skip
        self.carried = {p.name: self._carried(p, states or {}) for p in into if p.release is not None}
        self.unknown += [name for name, values in self.carried.items() if values is None]
        self.unknown += [k.name for k in graph.links if any(s.population == population for s in k.edges.post)]
        self.arrivals = {} if self.unknown else self._arrivals(spikes)

    # -- what arrives -------------------------------------------------------------------------------------------

    def _arrivals(self, spikes: Mapping[str, Any]) -> dict[tuple[str, str], np.ndarray]:
        """Return (projection, receptor) -> what arrives [neurons, steps], summed as an inbox sums it."""
        offset = self.graph.offsets()[self.pop.name]
        pre_steps, row = self._history(spikes)
        out = {}
        for proj in self.graph.projections:
            if all(s.population != self.pop.name for s in proj.post):
                continue
            box = np.zeros((len(self.neurons), self.end))
            learned, first, grid = self.weights.get(proj.name), 0, self.pop.grids[proj.receptor]
            after = int(proj.plasticity is not None and proj.plasticity.delivers_after)  # weights of the step
            for e in iter_edges(self.graph, proj):
                local = np.asarray(e.post, dtype=np.int64) - offset
                at = np.minimum(np.searchsorted(self.neurons, local), len(self.neurons) - 1)
                mine = np.flatnonzero(self.neurons[at] == local)
                pre = np.asarray(e.pre, dtype=np.int64)[mine]
                weight = np.broadcast_to(np.asarray(e.weight, dtype=np.float64), local.shape)[mine]
                delay = np.broadcast_to(np.asarray(e.delay, dtype=np.int64), local.shape)[mine]
                counts = row[pre + 1] - row[pre]
                edge = np.repeat(np.arange(len(mine)), counts)
                spike = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + row[pre][edge]
                due = pre_steps[spike] + delay[edge]
                soon = due < self.end
                arriving = weight[edge[soon]]
                carried = self.carried.get(proj.name)
                if learned is not None:
                    arriving = learned[due[soon] - (1 - after), first + mine[edge[soon]]]
                if carried is not None:
                    arriving = arriving * carried[pre_steps[spike][soon], pre[edge[soon]]]
                if learned is not None or carried is not None:
                    arriving = np.rint(arriving / grid) * grid
                np.add.at(box, (at[mine][edge[soon]], due[soon]), arriving)
                first += len(local)
            out[proj.name, proj.receptor] = box
        return out

    def _carried(self, projection: ProjectionNode, states: Mapping[str, Recorded]) -> np.ndarray | None:
        """Return what spikes of a projection's sources carry [steps, global ids], None where it was not recorded."""
        assert projection.release is not None
        out, offsets = np.zeros((self.end, self.graph.size)), self.graph.offsets()
        for name in dict.fromkeys(s.population for s in projection.pre):
            size, found = self.graph.population(name).size, states.get(name)
            values = None if found is None or len(found.ids) != size else found.values.get(projection.release)
            if values is None or len(values) < self.end - 1:  # a spike of the last step arrives later
                return None
            out[: len(values), offsets[name] : offsets[name] + size] = values[: self.end]
        return out

    def _history(self, spikes: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps of all spikes sorted by global neuron, and where each neuron's begin."""
        offsets = self.graph.offsets()
        steps = [np.asarray(s.steps) for s in spikes.values()]
        ids = [np.asarray(s.ids) + offsets[name] for name, s in spikes.items()]
        at, who = np.concatenate(steps), np.concatenate(ids)
        early = at < self.end
        at, who = at[early], who[early]
        order = np.argsort(who, kind="stable")
        counts = np.bincount(who, minlength=self.graph.size)
        return at[order], np.concatenate([[0], np.cumsum(counts)])

    def arrived(self, neurons: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return whether anything arrives in the lanes."""
        rows = np.searchsorted(self.neurons, neurons)
        out = np.zeros(len(steps), dtype=bool)
        for box in self.arrivals.values():
            out |= box[rows, steps] != 0.0
        return out

    # -- evaluating ---------------------------------------------------------------------------------------------

    def run(self, side: Recorded, neurons: np.ndarray, steps: np.ndarray, twist: Twist = PLAIN,
            seen: Mapping[str, np.ndarray] | None = None, history: bool = True) -> Outcome:  # fmt: skip
        """Evaluate lanes.

        Parameters
        ----------
        side : Recorded
            Where the state before each lane comes from.
        neurons, steps : ndarray of int
            The lanes.
        twist : Twist
            What to do otherwise than written.
        seen : mapping of str to ndarray, optional
            New values of variables that replace the computed ones before the threshold reads them.
        history : bool
            Whether it matters if the threshold was met in the step before (for thresholds with ``edge=True``).
        """
        pop = self._variant(twist)
        assert pop.program is not None
        spiked = np.zeros(len(steps), dtype=bool)
        for neuron in np.unique(neurons):
            mine = neurons == neuron
            spiked[mine] = np.isin(steps[mine], side.spikes[int(neuron)])
        new = reset_sites(pop.program)
        replaced = {site: f"seen:{var}" for var, site in new.items() if seen and var in seen}
        program = _spliced(pop.program, replaced)
        lanes = _Lanes(self, pop, side, neurons, steps, twist, dict(seen or {}), history)
        values = evaluate(program, lanes.leaf, self.dtype)
        wide = [np.broadcast_to(v, (len(steps),)) for v in values]
        emits = pop.program.emits()
        condition = wide[next(iter(emits.values()))] if emits else np.zeros(len(steps), dtype=bool)
        stores = self._stored(pop.program, wide, spiked, emits)
        return Outcome(pop.program, wide, condition, stores, spiked)

    @staticmethod
    def _stored(program: Program, wide: list[np.ndarray], spiked: np.ndarray, emits: Mapping[str, int]) -> Any:
        """Return what is stored if the neurons spike where the side says that they did."""
        spike = next(iter(emits.values()), None)
        out = {}
        for var, k in program.stores().items():
            ins = program.instrs[k]
            if ins.op == "select" and ins.args[0] == spike:
                out[var] = np.where(spiked, wide[ins.args[1]], wide[ins.args[2]])
            else:
                out[var] = wide[k]
        return out

    def _variant(self, twist: Twist) -> PopulationNode:
        """Return the population with the equations of the twist, made by the same pass."""
        if not twist.change:
            return self.pop
        assert self.pop.model is not None
        system = dataclasses.replace(self.pop.model.system, **dict(twist.change))
        states = tuple(v for v in self.pop.states if not made_here(v.name))
        bare = dataclasses.replace(self.pop, system=system, params=self.pop.model.params, program=None, states=states)
        alone = dataclasses.replace(self.graph, populations=(bare,), projections=(), probes=())
        return discretise(alone).populations[0]


@dataclass(frozen=True)
class Outcome:
    """The values of a program's instructions in some lanes.

    ``condition`` says where the program spikes, ``spiked`` where the side did, ``stored`` is the state after the step
    given the latter.
    """

    program: Program
    values: list[np.ndarray]
    condition: np.ndarray
    stored: Mapping[str, np.ndarray]
    spiked: np.ndarray


class _Lanes:
    """Answers the leaves of a program for pairs of a neuron and a step."""

    def __init__(self, replay: Replay, pop: PopulationNode, side: Recorded, neurons: np.ndarray, steps: np.ndarray,
                 twist: Twist, seen: dict[str, np.ndarray], history: bool) -> None:  # fmt: skip
        self.history = history
        self.replay, self.pop, self.side, self.twist, self.seen = replay, pop, side, twist, seen
        self.neurons, self.steps, self.dtype = neurons, steps, replay.dtype
        self.told = np.maximum(steps - twist.stimuli, 0)  # the step that stimuli take this to be
        self.row = np.searchsorted(replay.neurons, neurons)
        self.column = np.searchsorted(side.ids, neurons)

    def leaf(self, ins: Instr, *args: Any) -> Any:
        op, attr, pop = ins.op, ins.attr, self.pop
        if op == "load":
            return self._load(attr)
        if op == "param":
            if isinstance(attr, str) and attr.startswith("seen:"):
                return np.asarray(self.seen[attr[5:]], dtype=self.dtype)
            return self._mine(pop.params[attr])
        if op == "inbox":
            return self._inbox(attr)
        if op == "step":
            return self.told.astype(np.int64)
        if op == "time":
            return (self.told * self.replay.graph.dt).astype(self.dtype)
        if op == "index":
            return self.neurons
        if op == "table":
            return self._each_step(lambda n, who: self._part(leaves.table_row(pop.tables[attr], n), who), self.dtype)
        if op == "scheduled":
            return self._each_step(lambda n, who: np.isin(who, leaves.scheduled(pop.schedules[attr], n)), bool)
        words = Draws(self.replay.graph.seed, pop.streams[attr]).words_at(self.neurons, self.told)
        if op == "uniform":
            return leaves.uniform_words(words, self.dtype)
        if op == "normal":
            return call("ndtri", leaves.uniform_words(words, self.dtype), dtype=self.dtype)
        if op == "poisson":
            table = pop.poisson[attr]
            mine = PoissonTable(table.thresholds, None if table.row is None else table.row[self.neurons])
            return leaves.poisson_row(words, mine).astype(self.dtype)
        means = np.broadcast_to(np.asarray(args[0], dtype=np.float64), words.shape)
        counts = poisson_inversion(words, np.minimum(means, POISSON_MEAN_LIMIT)).astype(self.dtype)
        return np.where(means > POISSON_MEAN_LIMIT, self.dtype(np.nan), counts)

    def _mine(self, value: Any) -> Any:
        given = np.asarray(value, dtype=self.dtype)
        return given[()] if given.ndim == 0 else given[self.neurons]

    @staticmethod
    def _part(row: Any, who: np.ndarray) -> Any:
        return row if np.ndim(row) == 0 else row[who]

    def _each_step(self, answer: Callable[[int, np.ndarray], Any], dtype: Any) -> np.ndarray:
        """Return what the reference answers step by step."""
        out = np.empty(len(self.told), dtype=dtype)
        for n in np.unique(self.told):
            mine = self.told == n
            out[mine] = answer(int(n), self.neurons[mine])
        return out

    def _inbox(self, receptor: str) -> np.ndarray:
        total = np.zeros(len(self.steps))
        for (projection, to), box in self.replay.arrivals.items():
            if to != receptor:
                continue
            twisted = self.twist.projection in (None, projection)
            at = self.steps - (self.twist.arrivals if twisted else 0)
            there = (at >= 0) & (at < box.shape[1])
            arrived = np.where(there, box[self.row, np.clip(at, 0, box.shape[1] - 1)], 0.0)
            total += arrived * self.twist.gain if twisted else arrived
        return total.astype(self.dtype)

    def _load(self, var: str) -> np.ndarray:
        first = self.steps == 0
        init = np.broadcast_to(np.asarray(self.pop.state(var).init, dtype=self.dtype), (self.pop.size,))[self.neurons]
        if var == COUNTDOWN:
            return np.where(first, init, self._countdown())
        if var.startswith(HELD):
            return self._held(var)
        if var.startswith(ABOVE):
            out = init.astype(self.dtype)
            later = np.flatnonzero(~first)
            if self.history and len(later):  # the condition of a step does not depend on that of the step before it
                steps = self.steps[later] - 1
                before = self.replay.run(self.side, self.neurons[later], steps, self.twist, history=False)
                out[later] = before.stored[var]
            return out
        trace = self.side.values[var]
        return np.where(first, init, trace[np.maximum(self.steps - 1, 0), self.column]).astype(self.dtype)

    def _held(self, var: str) -> np.ndarray:
        """Return whether a refractory period that a condition ends had lasted up to the step before each lane, or begun
        in it: since the last event, the condition held in every step."""
        if not self.history:  # asked from below: what would be kept if it had lasted
            return np.ones(len(self.steps), dtype=self.dtype)
        out = np.zeros(len(self.steps), dtype=self.dtype)
        for k, (neuron, step) in enumerate(zip(self.neurons, self.steps, strict=True)):
            began = self._last(var, int(neuron), int(step))
            if began is None:
                continue
            since = np.arange(began + 1, step)
            if len(since):
                lanes = np.full(len(since), neuron)
                kept = self.replay.run(self.side, lanes, since, self.twist, history=False).stored[var]
                out[k] = bool(np.all(kept > 0.0))
            else:
                out[k] = 1.0
        return out

    def _last(self, var: str, neuron: int, step: int) -> int | None:
        """Return the step of the last spike, or event, of a neuron before a step, None where there was none."""
        if var == HELD:
            spikes = self.side.spikes[neuron]
            k = int(np.searchsorted(spikes, step)) - 1
            return int(spikes[k]) if k >= 0 else None
        ages = self.side.values[var[len(HELD) + 1 : -1]][:step, self.side.column(neuron)]
        return step - 1 - int(ages[-1]) if step and ages[-1] < NEVER else None

    def _countdown(self) -> np.ndarray:
        """Return the steps of refractoriness left when each step begins."""
        period = np.broadcast_to(np.asarray(self.pop.params["_refractory_steps"], float), (self.pop.size,))
        left = np.zeros(len(self.steps))
        for neuron in np.unique(self.neurons):
            mine = np.flatnonzero(self.neurons == neuron)
            spikes = self.side.spikes[int(neuron)]
            k = np.searchsorted(spikes, self.steps[mine]) - 1  # the last spike before the step
            had = k >= 0
            since = self.steps[mine] - 1 - spikes[np.maximum(k, 0)] if len(spikes) else np.zeros(len(mine), np.int64)
            left[mine] = np.where(had, np.maximum(period[neuron] + self.twist.countdown - since, 0.0), 0.0)
        return left.astype(self.dtype)


def reset_sites(program: Program) -> dict[str, int]:
    """Return state variable -> position of the value that it has when the threshold is tested."""
    spike = next(iter(program.emits().values()), None)
    out = {}
    for var, k in program.stores().items():
        ins = program.instrs[k]
        if not made_here(var):
            out[var] = ins.args[2] if ins.op == "select" and ins.args[0] == spike else k
    return out


def comparisons(program: Program) -> list[int]:
    """Return the positions of the comparisons that decide on a spike, without those that count refractory steps."""
    found: list[int] = []

    def walk(k: int) -> None:
        ins = program.instrs[k]
        if ins.op in COMPARE:
            loads = [program.instrs[a] for a in ins.args]
            if not any(x.op == "load" and made_here(x.attr) for x in loads) and k not in found:
                found.append(k)
        elif ins.op in ("and", "or", "not", "select"):
            for a in ins.args:
                walk(a)

    for k in program.emits().values():
        walk(k)
    return found


def refractory_site(program: Program) -> int | None:
    """Return the position of the test whether the neuron is refractory, None where there is no such period."""
    for k, ins in enumerate(program.instrs):
        if ins.op == "gt":
            left = program.instrs[ins.args[0]]
            if left.op == "load" and left.attr == COUNTDOWN:
                return k
        if ins.op == "and":
            was = program.instrs[ins.args[0]]
            kept = program.instrs[was.args[0]] if was.op == "gt" else was
            if kept.op == "load" and kept.attr == HELD:
                return k
    return None


def _spliced(program: Program, replaced: Mapping[int, str]) -> Program:
    """Return the program with some instructions turned into parameters."""
    if not replaced:
        return program
    instrs = (Instr("param", (), replaced[k], i.phase) if k in replaced else i for k, i in enumerate(program.instrs))
    return Program(tuple(instrs), program.result)

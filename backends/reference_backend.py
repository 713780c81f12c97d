"""The reference: every program interpreted step by step in plain NumPy. Slow, short, and the meaning of everything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.backends.base import (
    Backend,
    Drained,
    Engine,
    Options,
    diverged,
    overflowed,
    put_back,
    recorded,
    weight_diverged,
)
from neurosim.ir.edges import grid_of, iter_edges, viewed
from neurosim.ir.graph import Graph, PopulationNode, ProjectionNode
from neurosim.ir.interp import call, evaluate
from neurosim.ir.leaves import poisson_row, scheduled, table_row, uniform_words
from neurosim.ir.program import Instr, Program
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_inversion


class ReferenceBackend(Backend):
    """Interprets programs."""

    name = "reference"
    precisions = ("double", "single")
    plasticity = True
    checkpoints = True
    live = True
    summary = "plain NumPy, step by step: the definition that the others are tested against"

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build an interpreter for the graph."""
        return ReferenceEngine(graph)

    def version(self) -> str:
        """Return NumPy's version."""
        return np.__version__


class ReferenceEngine(Engine):
    """State as one array per variable; arrivals in a ring of one slot per step of delay."""

    def __init__(self, graph: Graph) -> None:
        start = time.perf_counter()
        self.graph, self.n = graph, 0
        self.dtype = np.float64 if graph.precision == "double" else np.float32
        self.states = {p.name: {v.name: self._initial(v.init, p.size) for v in p.states} for p in graph.populations}
        self.params = {p.name: {k: self._param(v) for k, v in p.params.items()} for p in graph.populations}
        self.streams = {
            (p.name, local): Draws(graph.seed, full) for p in graph.populations for local, full in p.streams.items()
        }
        self._connect()
        self.found: dict[str, list[tuple[int, np.ndarray]]] = {p.name: [] for p in graph.populations}
        self.samples: list[list[tuple[int, np.ndarray]]] = [[] for _ in graph.probes]
        self.timings = {"build": time.perf_counter() - start, "compile": 0.0, "simulate": 0.0}

    def _initial(self, value: Any, size: int) -> np.ndarray:
        return np.array(np.broadcast_to(np.asarray(value, dtype=self.dtype), (size,)))

    def _param(self, value: Any) -> Any:
        return self.dtype(value) if np.ndim(value) == 0 else np.asarray(value, dtype=self.dtype)

    def _connect(self) -> None:
        """Sort all edges by their source; every inbox is a stretch of one flat array."""
        offsets, self.inbox_at, total = self.graph.offsets(), {}, 0
        for pop in self.graph.populations:
            for receptor in pop.receptors:
                self.inbox_at[pop.name, receptor] = total
                total += pop.size
        pre, target, weight, delay = [], [], [], []
        self.plastic: dict[str, PlasticEdges] = {}
        for proj in self.graph.projections:
            shift = np.empty(self.graph.size, dtype=np.int64)
            for s in proj.post:
                lo = offsets[s.population]
                size = self.graph.population(s.population).size
                shift[lo : lo + size] = self.inbox_at[s.population, proj.receptor] - lo
            if proj.plasticity is not None:
                place = np.arange(self.graph.size) + shift
                self.plastic[proj.name] = PlasticEdges(self.graph, proj, place, self.dtype)
                continue
            for e in iter_edges(self.graph, proj):
                post = np.asarray(e.post, dtype=np.int64)
                pre.append(np.asarray(e.pre, dtype=np.int64))
                target.append(post + shift[post])
                weight.append(np.broadcast_to(np.asarray(e.weight, dtype=np.float64), post.shape))
                delay.append(np.broadcast_to(np.asarray(e.delay, dtype=np.int64), post.shape))
        join = [
            np.concatenate(x) if x else np.zeros(0, t)
            for x, t in ((pre, int), (target, int), (weight, float), (delay, int))
        ]
        order = np.argsort(join[0], kind="stable")
        pre_sorted, self.target, self.weight, self.delay = (x[order] for x in join)
        self.row = np.searchsorted(pre_sorted, np.arange(self.graph.size + 1))
        self.reach = int(self.delay.max(initial=0))
        self.slots = self.reach + 1
        self.ring = np.zeros((self.slots, total))
        limits = [np.full(pop.size, 2.0**53 * pop.grids[r]) for pop in self.graph.populations for r in pop.receptors]
        self.limit = np.concatenate(limits) if limits else np.zeros(0)

    def edges(self) -> int:
        """Return the number of edges."""
        return len(self.target) + sum(len(p.pre) for p in self.plastic.values())

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a plastic projection."""
        edges = self.plastic.get(projection)
        return None if edges is None else edges.learned()

    def advance(self, steps: int) -> None:
        """Interpret that many steps."""
        start = time.perf_counter()
        offsets = self.graph.offsets()
        for _ in range(steps):
            slot = self.ring[self.n % self.slots]
            for plastic in self.plastic.values():
                plastic.deliver(self.n, slot)
            if np.any(np.abs(slot) > self.limit):
                raise overflowed(self.graph, self.n)
            spiking = []
            for pop in self.graph.populations:
                spikes = self._step(pop, slot)
                if spikes is not None and len(spikes):
                    self.found[pop.name].append((self.n, spikes))
                    spiking.append(spikes + offsets[pop.name])
            slot[:] = 0.0
            for ids in spiking:
                self._emit(ids, self.n)
            found = np.concatenate([np.zeros(0, np.int64), *spiking])
            for plastic in self.plastic.values():
                plastic.learn(self.n, self.states, found)
            for k, probe in enumerate(self.graph.probes):
                if (self.n + 1) % probe.every:
                    continue
                if probe.edge and probe.target in self.plastic:
                    values = self.plastic[probe.target].sampled(probe.variable, self.n)
                    self.samples[k].append((self.n, values))
                elif probe.sampled:
                    values = self.states[probe.target][probe.variable]
                    self.samples[k].append(
                        (self.n, (values if probe.ids is None else values[probe.ids]).astype(np.float64))
                    )
            self.n += 1
            self._finite()
        self.timings["simulate"] += time.perf_counter() - start

    def _step(self, pop: PopulationNode, slot: np.ndarray) -> np.ndarray | None:
        """Interpret one population's program and return the neurons that spike."""
        state = self.states[pop.name]
        assert pop.program is not None
        values = evaluate(pop.program, lambda ins, *args: self._leaf(pop, state, slot, ins, *args), self.dtype)
        spikes = None
        for ins, value in zip(pop.program.instrs, values, strict=True):
            if ins.op == "emit":
                spikes = np.flatnonzero(np.broadcast_to(value, (pop.size,)))
        for var, k in pop.program.stores().items():
            state[var] = np.array(np.broadcast_to(values[k], (pop.size,)))
        return spikes

    def _leaf(self, pop: PopulationNode, state: dict[str, np.ndarray], slot: np.ndarray, ins: Instr, *args: Any) -> Any:
        op, attr = ins.op, ins.attr
        if op == "load":
            return state[attr]
        if op == "param":
            return self.params[pop.name][attr]
        if op == "inbox":
            at = self.inbox_at[pop.name, attr]
            return slot[at : at + pop.size].astype(self.dtype)
        if op == "step":
            return np.int64(self.n)
        if op == "time":
            return self.dtype(self.n * self.graph.dt)
        if op == "index":
            return np.arange(pop.size, dtype=np.int64)
        if op == "table":
            return self._param(table_row(pop.tables[attr], self.n))
        if op == "scheduled":
            return np.isin(np.arange(pop.size), scheduled(pop.schedules[attr], self.n))
        words = self.streams[pop.name, attr].words(0, pop.size, self.n)
        if op == "uniform":
            return uniform_words(words, self.dtype)
        if op == "normal":
            return call("ndtri", uniform_words(words, self.dtype), dtype=self.dtype)
        if op == "poisson":
            return poisson_row(words, pop.poisson[attr]).astype(self.dtype)
        if op == "poisson_of":
            means = np.asarray(args[0], dtype=np.float64)
            counts = poisson_inversion(words, np.minimum(means, POISSON_MEAN_LIMIT)).astype(self.dtype)
            return np.where(means > POISSON_MEAN_LIMIT, self.dtype(np.nan), counts)
        raise AssertionError(f"the reference has no leaf {op}")

    def _emit(self, ids: np.ndarray, step: int) -> None:
        """Send spikes of a step into the ring, as far as they have not arrived."""
        counts = self.row[ids + 1] - self.row[ids]
        edges = np.repeat(self.row[ids] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(
            counts.sum()
        )
        edges = edges[step + self.delay[edges] >= self.n]
        np.add.at(self.ring, ((step + self.delay[edges]) % self.slots, self.target[edges]), self.weight[edges])

    def _finite(self) -> None:
        for pop, state in self.states.items():
            for var, values in state.items():
                bad = np.flatnonzero(~np.isfinite(values))
                if len(bad):
                    raise diverged(self.graph, pop, var, int(bad[0]), self.n)
        for name, edges in self.plastic.items():
            for var in ("w", *edges.edge):
                bad = np.flatnonzero(~np.isfinite(edges.variable(var)))
                if len(bad):
                    raise weight_diverged(self.graph, name, var, int(bad[0]), self.n)

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return everything that changes from step to step."""
        out = {"ring": self.ring}
        for k, state in enumerate(self.states.values()):
            out.update({f"state/{k}/{i}": values for i, values in enumerate(state.values())})
        for k, edges in enumerate(self.plastic.values()):
            own = {"weight": edges.weight, "computed": edges.computed, "spiked": edges.spiked}
            own |= {f"edge/{i}": values for i, values in enumerate(edges.edge.values())}
            own |= {f"past/{i}": values for i, values in enumerate(edges.past.values())}
            out.update({f"learning/{k}/{key}": values for key, values in own.items()})
        return out

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of everything that changes from step to step."""
        return {key: values.copy() for key, values in self._arrays().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], steps: int) -> None:
        """Go to where a snapshot was."""
        put_back(arrays, self._arrays())
        self.n = steps

    def write(self, population: str, name: str, values: float | np.ndarray) -> None:
        """Set a state variable or a parameter."""
        if name in self.states[population]:
            self.states[population][name][...] = values
        else:
            self.params[population][name] = self._param(values)

    def follow(self, other: Engine, recent: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Go on from another interpreter's state; the ring is filled anew."""
        assert isinstance(other, ReferenceEngine)
        self.restore(other.snapshot(), other.n)
        self.ring[:] = 0.0
        offsets = self.graph.offsets()
        for name, (steps, ids) in recent.items():
            for step in np.unique(steps):
                self._emit(ids[steps == step] + offsets[name], int(step))

    def drain(self) -> Drained:
        """Hand over spikes and samples."""
        spikes, counts = {}, {}
        for name, parts in self.found.items():
            counts[name] = sum(len(ids) for _, ids in parts)
            if recorded(self.graph, name):
                steps = np.repeat([n for n, _ in parts], [len(ids) for _, ids in parts]).astype(np.int64)
                spikes[name] = steps, np.concatenate([ids for _, ids in parts]) if parts else np.zeros(0, np.int64)
            self.found[name] = []
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k, probe in enumerate(self.graph.probes):
            if not probe.sampled and not (probe.edge and probe.target in self.plastic):
                samples.append(None)
                continue
            if probe.edge:
                width = len(self.plastic[probe.target].weight)
            else:
                width = self.graph.population(probe.target).size if probe.ids is None else len(probe.ids)
            rows = self.samples[k]
            samples.append(
                (
                    np.array([n for n, _ in rows], dtype=np.int64),
                    np.array([v for _, v in rows]) if rows else np.zeros((0, width)),
                )
            )
            self.samples[k] = []
        return Drained(spikes, samples, counts)

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of the state variables."""
        return {k: v.copy() for k, v in self.states[population].items()}


class PlasticEdges:
    """The edges of a plastic projection in the canonical order, looked through whole in every step.

    ``weight`` is what they have learned, ``edge`` their other variables, as of the steps in ``computed``, ``past`` what
    the rule reads of the sources, as far as the longest delay.
    """

    def __init__(self, graph: Graph, projection: ProjectionNode, place: np.ndarray, dtype: Any) -> None:
        assert projection.plasticity is not None
        self.graph, self.node, self.dtype = graph, projection.plasticity, dtype
        pieces = list(iter_edges(graph, projection))

        def column(values: list[Any], kind: Any) -> np.ndarray:
            return np.concatenate([np.zeros(0, kind), *values]).astype(kind)

        self.pre = column([e.pre for e in pieces], np.int64)
        self.post = column([e.post for e in pieces], np.int64)
        self.delay = column([np.broadcast_to(e.delay, (len(e),)) for e in pieces], np.int64)
        self.weight = column([np.broadcast_to(e.weight, (len(e),)) for e in pieces], np.float64).astype(dtype)
        self.edge = {var: np.zeros(len(self.pre), dtype) for var in self.node.edge}
        self.computed = np.zeros(len(self.pre), dtype=np.int64)
        self.target = place[self.post]
        grid = grid_of(graph, projection)
        lookup = np.zeros(graph.size)
        offsets = graph.offsets()
        members = [
            offsets[s.population] + (np.arange(s.size) if s.ids is None else np.asarray(s.ids)) for s in projection.post
        ]
        lookup[np.concatenate(members)] = grid
        self.grid = lookup[self.post]
        self.slots = int(self.delay.max(initial=0)) + 1
        self.spiked = np.zeros((self.slots, graph.size), dtype=bool)
        start = {p.name: {v.name: v.init for v in p.states} for p in graph.populations}
        self.sources = [s.population for s in projection.pre]
        self.past = {
            var: np.tile(self._everywhere(self.sources, start, var), (self.slots, 1)) for var in self.node.reads("pre")
        }
        self.targets = [s.population for s in projection.post]

    def _everywhere(self, populations: list[str], states: Mapping[str, Mapping[str, Any]], var: str) -> np.ndarray:
        """Return a variable by global id; 0 where a population is no end of the projection."""
        out, offsets = np.zeros(self.graph.size, self.dtype), self.graph.offsets()
        for name in populations:
            out[offsets[name] : offsets[name] + self.graph.population(name).size] = states[name][var]
        return out

    def deliver(self, n: int, slot: np.ndarray) -> None:
        """Add what arrives in step n, by the weights of now, each on its receptor's grid."""
        self.due = self.spiked[(n - self.delay) % self.slots, self.pre]
        weight, grid = self.weight[self.due].astype(np.float64), self.grid[self.due]
        np.add.at(slot, self.target[self.due], np.rint(weight / grid) * grid)

    def learn(self, n: int, states: Mapping[str, Mapping[str, np.ndarray]], spikes: np.ndarray) -> None:
        """Carry out the statements of step n: arrivals, then spikes of the targets (``spikes``: global ids)."""
        now = {var: self._everywhere(self.targets, states, var) for var in self.node.reads("post")}
        fired = np.zeros(self.graph.size, dtype=bool)
        fired[spikes] = True
        swept = self.node.every and (n + 1) % self.node.every == 0
        for program, at in (
            (self.node.pre_program, np.flatnonzero(self.due)),
            (self.node.post_program, np.flatnonzero(fired[self.post])),
            (self.node.every_program, np.arange(len(self.pre) if swept else 0)),
        ):
            if program is not None and len(at):
                self._change(program, at, n, now)
        slot = n % self.slots
        self.spiked[slot] = fired
        for var, past in self.past.items():
            past[slot] = self._everywhere(self.sources, states, var)

    def learned(self) -> np.ndarray:
        """Return a copy of the weights."""
        return self.weight.astype(np.float64)

    def sampled(self, variable: str, n: int) -> np.ndarray:
        """Return the weights, or another variable of the edges, as they stand at the end of step n."""
        if variable == "weight":
            return self.learned()
        return viewed(self.node, variable, self.edge[variable], lambda: n - self.computed, self.dtype)

    def _change(self, program: Program, at: np.ndarray, n: int, now: Mapping[str, np.ndarray]) -> None:
        values = evaluate(program, lambda ins, *_: self._leaf(ins, at, n, now), self.dtype)
        for var, k in program.stores().items():
            self.variable(var)[at] = values[k]
        if program.uses("since"):
            self.computed[at] = n

    def variable(self, var: str) -> np.ndarray:
        """Return the weights (``w``) or another variable of the edges, as it was last computed."""
        return self.weight if var == "w" else self.edge[var]

    def _leaf(self, ins: Instr, at: np.ndarray, n: int, now: Mapping[str, np.ndarray]) -> Any:
        if ins.op == "load":
            return self.variable(ins.attr)[at]
        if ins.op == "param":
            return self.dtype(self.node.params[ins.attr])
        if ins.op == "since":
            return (n - self.computed[at]).astype(self.dtype)
        if ins.op == "pre":
            return self.past[ins.attr][(n - self.delay[at]) % self.slots, self.pre[at]]
        assert ins.op == "post"
        return now[ins.attr][self.post[at]]

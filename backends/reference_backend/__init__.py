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
from neurosim.backends.reference_backend.edges import LinkEdges, PlasticEdges, SteppedEdges
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.interp import call, evaluate
from neurosim.ir.leaves import poisson_row, scheduled, table_row, uniform_words
from neurosim.ir.program import Instr
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_inversion


class ReferenceBackend(Backend):
    """Interprets programs."""

    name = "reference"
    precisions = ("double", "single")
    plasticity = True
    releases = True
    links = True
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
            (p.name, local): Draws(graph.chance, full) for p in graph.populations for local, full in p.streams.items()
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
        self.stepped: list[SteppedEdges] = []
        for proj in self.graph.projections:
            shift = np.empty(self.graph.size, dtype=np.int64)
            for s in proj.post:
                lo = offsets[s.population]
                size = self.graph.population(s.population).size
                shift[lo : lo + size] = self.inbox_at[s.population, proj.receptor] - lo
            place = np.arange(self.graph.size) + shift
            if proj.plasticity is not None:
                self.plastic[proj.name] = PlasticEdges(self.graph, proj, place, self.dtype)
                self.stepped.append(self.plastic[proj.name])
                continue
            if proj.release is not None:
                self.stepped.append(SteppedEdges(self.graph, proj, place, self.dtype))
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
        self.links = [LinkEdges(self.graph, link, self.dtype) for link in self.graph.links]
        limits = [  # what links add lies on no grid
            np.full(pop.size, np.inf if r in self.graph.linked(pop.name) else 2.0**53 * pop.grids[r])
            for pop in self.graph.populations
            for r in pop.receptors
        ]
        self.limit = np.concatenate(limits) if limits else np.zeros(0)

    def edges(self) -> int:
        """Return the number of edges."""
        return len(self.target) + sum(len(e.pre) for e in (*self.stepped, *self.links))

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
            for edges in self.stepped:
                edges.deliver(self.n, slot)
            if np.any(np.abs(slot) > self.limit):
                raise overflowed(self.graph, self.n)
            for link in self.links:
                for population, sums in link.sums(self.states).items():
                    at = self.inbox_at[population, link.receptor]
                    slot[at : at + len(sums)] += sums
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
            for edges in self.stepped:
                edges.end(self.n, self.states, found)
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
        for k, edges in enumerate(self.stepped):
            out.update({f"edges/{k}/{key}": values for key, values in edges.arrays().items()})
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

    def write_weights(self, projection: str, values: np.ndarray) -> None:
        """Set the weights of a projection that learns."""
        self.plastic[projection].weight[:] = values

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

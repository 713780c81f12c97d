"""The runtime engine: Brian2's objects, stepped one by one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from neurosim.backends.base import Drained, Engine, diverged, overflowed, recorded, weight_diverged
from neurosim.backends.brian2_backend.layout import Layout, lay_out
from neurosim.backends.brian2_backend.learning import Plastic
from neurosim.backends.brian2_backend.network import build
from neurosim.backends.brian2_backend.session import session
from neurosim.errors import DivergedError
from neurosim.ir.graph import Graph, ProbeNode


def find_divergence(graph: Graph, states: dict[str, dict[str, np.ndarray]], step: int) -> DivergedError | None:
    """Return the error for the first state variable that left the finite numbers, None if all are finite."""
    for pop in graph.populations:
        for variable, values in states[pop.name].items():
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                return diverged(graph, pop.name, variable, int(bad[0]), step)
    return None


class RuntimeEngine(Engine):
    """Steps the objects of a Brian2 network, and looks at all state after each step.

    Brian2's ``Network.run`` prepares all code anew each time it is called; so it is called once, for no steps, and the
    prepared objects are run in its order.
    """

    def __init__(self, graph: Graph, mode: str) -> None:
        start = time.perf_counter()
        self.graph, self.mode, self.n = graph, mode, 0
        self.layout: Layout = lay_out(graph, watched=False)
        with session(mode), np.errstate(all="ignore"):
            self.built = build(self.layout, watched=False)
            self.layout.forget_synapses()
            compile_start = time.perf_counter()
            self.built.network.run(0 * _second(), namespace={})
            self.timings = {"build": 0.0, "compile": time.perf_counter() - compile_start, "simulate": 0.0}
            ordered = [o for o in self.built.network.sorted_objects if o.active and getattr(o, "_code_objects", True)]
            self.arriving = [o for o in ordered if o.when == "synapses"]
            self.stepping = [o for o in ordered if o.when not in ("synapses", "end")]
            self.learning = [o for o in ordered if o.when == "end"]
            self.clock = [self.built.clock.variables[name].get_value() for name in ("timestep", "t")]
            self.events = self.built.cells.variables["_spikespace"].get_value()
            self.sums = self.built.boxes.variables["x"].get_value() if self.built.boxes is not None else np.zeros(0)
            self.arrays = self._arrays()
        self.starts = self.layout.starts()
        self.bounds = np.array([lo for _, lo, _ in self.starts] + [graph.size])
        self.found: dict[str, list[tuple[int, np.ndarray]]] = {p.name: [] for p in graph.populations}
        self.counts = {p.name: 0 for p in graph.populations}
        self.kept = {p.name for p in graph.populations if recorded(graph, p.name)}
        self.samples: list[list[tuple[int, np.ndarray]]] = [[] for _ in graph.probes]
        self.timings["build"] = time.perf_counter() - start - self.timings["compile"]

    def _arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """Return views of all state variables."""
        out: dict[str, dict[str, np.ndarray]] = {}
        for pop in self.graph.populations:
            block = self.layout.block(pop.name)
            group, part = self.built.groups[self.layout.blocks.index(block)], block.part(pop.name)
            out[pop.name] = {
                variable: group.variables[name].get_value()[part] for variable, name in block.printed.states.items()
            }
        return out

    def advance(self, steps: int) -> None:
        """Simulate that many steps."""
        start = time.perf_counter()
        with session(self.mode), np.errstate(all="ignore"):
            for _ in range(steps):
                self._step()
        self.timings["simulate"] += time.perf_counter() - start

    def _step(self) -> None:
        for obj in self.arriving:
            obj.run()
        if self.layout.may_overflow and np.any(np.abs(self.sums) > self.layout.limits):
            raise overflowed(self.graph, self.n)
        for obj in self.stepping:
            obj.run()
        for obj in self.learning:
            if all(plastic.due(self.n, obj) for plastic in self.built.plastic):
                obj.run()
        self._record()
        self.n += 1
        timestep, t = self.clock
        timestep[0] = t[0] = self.n
        failure = find_divergence(self.graph, self.arrays, self.n)
        if failure is not None:
            raise failure
        for plastic in self.built.plastic:
            for variable in ("w", *plastic.node.edge):
                bad = np.flatnonzero(~np.isfinite(plastic.values(variable)))
                if len(bad):
                    raise weight_diverged(self.graph, plastic.projection.name, variable, int(bad[0]), self.n)

    def _record(self) -> None:
        count = self.events[-1]
        if count:
            ids = self.events[:count]
            at = np.searchsorted(ids, self.bounds)
            for k, (name, lo, _) in enumerate(self.starts):
                if at[k + 1] > at[k]:
                    self.counts[name] += int(at[k + 1] - at[k])
                    if name in self.kept:
                        self.found[name].append((self.n, ids[at[k] : at[k + 1]].astype(np.int64) - lo))
        for k, probe in enumerate(self.graph.probes):
            if (self.n + 1) % probe.every:
                continue
            plastic = self._plastic(probe.target) if probe.edge else None
            if plastic is not None:
                self.samples[k].append((self.n, plastic.sampled(probe.variable, self.n)))
            elif probe.sampled:
                values = self.arrays[probe.target][probe.variable]
                self.samples[k].append((self.n, values.copy() if probe.ids is None else values[probe.ids]))

    def drain(self) -> Drained:
        """Hand over spikes and samples."""
        spikes = {}
        for name in self.kept:
            parts = self.found[name]
            steps = np.repeat([n for n, _ in parts], [len(ids) for _, ids in parts]).astype(np.int64)
            spikes[name] = steps, np.concatenate([ids for _, ids in parts]) if parts else np.zeros(0, np.int64)
            self.found[name] = []
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k, probe in enumerate(self.graph.probes):
            learned = self.weights(probe.target) if probe.edge else None
            if not probe.sampled and learned is None:
                samples.append(None)
                continue
            width = len(learned) if learned is not None else self._width(probe)
            rows = self.samples[k]
            values = np.array([v for _, v in rows]) if rows else np.zeros((0, width))
            samples.append((np.array([n for n, _ in rows], dtype=np.int64), values))
            self.samples[k] = []
        counts, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        return Drained(spikes, samples, counts)

    def _width(self, probe: ProbeNode) -> int:
        return self.graph.population(probe.target).size if probe.ids is None else len(probe.ids)

    def _plastic(self, projection: str) -> Plastic | None:
        return next((p for p in self.built.plastic if p.projection.name == projection), None)

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a plastic projection."""
        found = self._plastic(projection)
        return None if found is None else found.values("w")

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of the state variables."""
        return {name: values.copy() for name, values in self.arrays[population].items()}

    def edges(self) -> int:
        """Return the number of edges."""
        return self.layout.edges + sum(len(p.edges.pre) for p in self.built.plastic)


def _second() -> Any:
    from brian2 import second

    return second

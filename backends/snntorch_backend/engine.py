"""The engine: one run of the module, step by step, without derivatives."""

from __future__ import annotations

import time

import numpy as np
import torch

from neurosim.backends.base import Drained, Engine, diverged, overflowed, recorded
from neurosim.backends.snntorch_backend.module import NetworkModule
from neurosim.backends.snntorch_backend.stretch import Stretch
from neurosim.ir.graph import Graph


class TorchEngine(Engine):
    """A batch of one."""

    def __init__(self, graph: Graph, threads: int, device: torch.device) -> None:
        start = time.perf_counter()
        self.graph, self.threads, self.n = graph, threads, 0
        with torch.no_grad():
            self.module = NetworkModule(graph, weights_in=torch.float64).to(device)
            self.run = Stretch(self.module, self.module.initial(), self.module._streams(None))
        self.spikes: dict[str, list[tuple[int, np.ndarray]]] = {p.name: [] for p in graph.populations}
        self.samples: list[list[tuple[int, np.ndarray]]] = [[] for _ in graph.probes]
        self.timings = {"build": time.perf_counter() - start, "compile": 0.0, "simulate": 0.0}

    def edges(self) -> int:
        """Return the number of edges."""
        return sum(s.count for s in self.module.synapses)

    def advance(self, steps: int) -> None:
        """Take that many steps, on the engine's number of threads."""
        start, before = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.no_grad():
                for _ in range(steps):
                    self._step()
        finally:
            torch.set_num_threads(before)
            self.timings["simulate"] += time.perf_counter() - start

    def _step(self) -> None:
        for key, waiting in self.run.pending.items():
            if waiting[0] is not None and bool((waiting[0].abs() > self.run.limit[key]).any()):
                raise overflowed(self.graph, self.n)
        fired = self.run.step()
        for name, values in fired.items():
            ids = torch.nonzero(values[0, 0]).reshape(-1)
            if len(ids):
                self.spikes[name].append((self.n, ids.cpu().numpy()))
        for k, probe in enumerate(self.graph.probes):
            if probe.sampled and (self.n + 1) % probe.every == 0:
                values = self.run.variables[probe.target][probe.variable][0].cpu().numpy()
                picked = values if probe.ids is None else values[probe.ids]
                self.samples[k].append((self.n, picked.astype(np.float64)))
        self.n += 1
        for name, variables in self.run.variables.items():
            for var, value in variables.items():
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    bad = int(torch.nonzero(~torch.isfinite(value[0]))[0])
                    raise diverged(self.graph, name, var, bad, self.n)

    def drain(self) -> Drained:
        """Hand over spikes and samples."""
        spikes, counts = {}, {}
        for name, parts in self.spikes.items():
            counts[name] = sum(len(ids) for _, ids in parts)
            if recorded(self.graph, name):
                steps = np.repeat([n for n, _ in parts], [len(ids) for _, ids in parts]).astype(np.int64)
                spikes[name] = steps, np.concatenate([np.zeros(0, np.int64), *(ids for _, ids in parts)])
            self.spikes[name] = []
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k, probe in enumerate(self.graph.probes):
            if not probe.sampled:
                samples.append(None)
                continue
            width = self.graph.population(probe.target).size if probe.ids is None else len(probe.ids)
            rows, self.samples[k] = self.samples[k], []
            table = np.array([v for _, v in rows]) if rows else np.zeros((0, width))
            samples.append((np.array([n for n, _ in rows], dtype=np.int64), table))
        return Drained(spikes, samples, counts)

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of the state variables."""
        return {k: v[0].cpu().numpy().copy() for k, v in self.run.variables[population].items()}

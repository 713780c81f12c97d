"""The smallest complete backend: it accepts every graph, steps nothing and records nothing. A template for new ones."""

from __future__ import annotations

import numpy as np

from neurosim.backends.base import Backend, Drained, Engine, Options, recorded
from neurosim.ir.graph import Graph


class NullBackend(Backend):
    """Runs nothing, so that language, passes, command line and errors can be tested in milliseconds."""

    name = "null"
    precisions = ("double", "single")
    plasticity = True
    releases = True
    links = True
    summary = "checks the network, builds nothing, records nothing"

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build nothing."""
        return NullEngine(graph)


class NullEngine(Engine):
    """Keeps the initial state for ever."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.timings = {"build": 0.0, "compile": 0.0, "simulate": 0.0}

    def advance(self, steps: int) -> None:
        """Do nothing."""

    def drain(self) -> Drained:
        """Return empty recordings."""
        empty = np.zeros(0, dtype=np.int64)
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for p in self.graph.probes:
            if not p.sampled:
                samples.append(None)
            else:
                width = self.graph.population(p.target).size if p.ids is None else len(p.ids)
                samples.append((empty, np.zeros((0, width))))
        spikes = {p.name: (empty, empty) for p in self.graph.populations if recorded(self.graph, p.name)}
        return Drained(spikes, samples, {p.name: 0 for p in self.graph.populations})

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return the initial values."""
        pop = self.graph.population(population)
        return {v.name: np.array(np.broadcast_to(v.init, (pop.size,)), dtype=float) for v in pop.states}

"""Learning in the reference: the edges of one plastic projection, looked through whole in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.ir.edges import grid_of, iter_edges
from neurosim.ir.graph import Graph, ProjectionNode
from neurosim.ir.interp import evaluate
from neurosim.ir.program import Instr, Program


class PlasticEdges:
    """Edges in the canonical order, with their weights; the past of the sources as far as the longest delay."""

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
        for program, at in (
            (self.node.pre_program, np.flatnonzero(self.due)),
            (self.node.post_program, np.flatnonzero(fired[self.post])),
        ):
            if program is not None and len(at):
                self._change(program, at, n, now)
        slot = n % self.slots
        self.spiked[slot] = fired
        for var, past in self.past.items():
            past[slot] = self._everywhere(self.sources, states, var)

    def _change(self, program: Program, at: np.ndarray, n: int, now: Mapping[str, np.ndarray]) -> None:
        def leaf(ins: Instr, *_: Any) -> Any:
            if ins.op == "load":
                return self.weight[at]
            if ins.op == "param":
                return self.dtype(self.node.params[ins.attr])
            if ins.op == "pre":
                return self.past[ins.attr][(n - self.delay[at]) % self.slots, self.pre[at]]
            assert ins.op == "post"
            return now[ins.attr][self.post[at]]

        values = evaluate(program, leaf, self.dtype)
        for k in program.stores().values():
            self.weight[at] = values[k]

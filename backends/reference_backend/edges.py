"""Edges that the reference looks through step by step: those that read their source's past, learn, or act without
spikes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neurosim.ir.edges import grid_of, iter_edges, viewed
from neurosim.ir.graph import Graph, LinkNode, ProjectionNode
from neurosim.ir.interp import evaluate
from neurosim.ir.program import Instr, Program


class SteppedEdges:
    """The edges of a projection in the canonical order, looked through whole in every step.

    ``past`` is what arrivals read of the sources, by variable, as far as the longest delay.
    """

    def __init__(
        self, graph: Graph, projection: ProjectionNode, place: np.ndarray, dtype: Any, reads: Iterable[str] = ()
    ) -> None:
        self.graph, self.dtype, self.release = graph, dtype, projection.release
        pieces = list(iter_edges(graph, projection))

        def column(values: list[Any], kind: Any) -> np.ndarray:
            return np.concatenate([np.zeros(0, kind), *values]).astype(kind)

        self.pre = column([e.pre for e in pieces], np.int64)
        self.post = column([e.post for e in pieces], np.int64)
        self.delay = column([np.broadcast_to(e.delay, (len(e),)) for e in pieces], np.int64)
        self.weight = column([np.broadcast_to(e.weight, (len(e),)) for e in pieces], np.float64)
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
        kept = [*reads, *([] if self.release is None else [self.release])]
        self.past = {var: np.tile(self._everywhere(self.sources, start, var), (self.slots, 1)) for var in kept}

    def _everywhere(self, populations: list[str], states: Mapping[str, Mapping[str, Any]], var: str) -> np.ndarray:
        """Return a variable by global id; 0 where a population is no end of the projection."""
        out, offsets = np.zeros(self.graph.size, self.dtype), self.graph.offsets()
        for name in populations:
            out[offsets[name] : offsets[name] + self.graph.population(name).size] = states[name][var]
        return out

    def deliver(self, n: int, slot: np.ndarray) -> None:
        """Add what arrives in step n, by the weights of now, each on its receptor's grid."""
        self.due = self.spiked[(n - self.delay) % self.slots, self.pre]
        self.arrive(n)
        weight, grid = self.weight[self.due].astype(np.float64), self.grid[self.due]
        if self.release is not None:
            weight = weight * self.then(self.release, np.flatnonzero(self.due), n).astype(np.float64)
        with np.errstate(over="ignore"):  # a sum that is too large is looked for when all has arrived
            np.add.at(slot, self.target[self.due], np.rint(weight / grid) * grid)

    def arrive(self, n: int) -> None:
        """Do what comes before the delivery of step n; ``due`` is known."""

    def then(self, var: str, at: np.ndarray, n: int) -> np.ndarray:
        """Return a variable of the sources of some edges, of the step in which what arrives in step n has left."""
        return self.past[var][(n - self.delay[at]) % self.slots, self.pre[at]]

    def end(self, n: int, states: Mapping[str, Mapping[str, np.ndarray]], spikes: np.ndarray) -> None:
        """Keep what step n leaves of the sources (``spikes``: global ids)."""
        slot = n % self.slots
        self.spiked[slot] = False
        self.spiked[slot, spikes] = True
        for var, past in self.past.items():
            past[slot] = self._everywhere(self.sources, states, var)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that changes from step to step."""
        return {"spiked": self.spiked, **{f"past/{i}": values for i, values in enumerate(self.past.values())}}


class PlasticEdges(SteppedEdges):
    """The edges of a plastic projection.

    ``weight`` is what they have learned, ``edge`` their other variables, as of the steps in ``computed``.
    """

    def __init__(self, graph: Graph, projection: ProjectionNode, place: np.ndarray, dtype: Any) -> None:
        assert projection.plasticity is not None
        self.node = projection.plasticity
        super().__init__(graph, projection, place, dtype, self.node.reads("pre"))
        self.weight = self.weight.astype(dtype)
        self.edge = {var: np.zeros(len(self.pre), dtype) for var in self.node.edge}
        self.computed = np.zeros(len(self.pre), dtype=np.int64)
        self.targets = [s.population for s in projection.post]
        self.late = self.node.late(self.delay)
        self.kept = int(self.late.max(initial=0)) + 1
        self.fired = np.zeros((self.kept, graph.size), dtype=bool)
        start = {p.name: {v.name: v.init for v in p.states} for p in graph.populations}
        reads = self.node.reads("post")
        self.goal = {var: np.tile(self._everywhere(self.targets, start, var), (self.kept, 1)) for var in reads}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that changes from step to step."""
        own = {f"edge/{i}": values for i, values in enumerate(self.edge.values())}
        own |= {f"goal/{i}": values for i, values in enumerate(self.goal.values())}
        kept = {"weight": self.weight, "computed": self.computed, "fired": self.fired}
        return {**super().arrays(), **kept, **own}

    def arrive(self, n: int) -> None:
        """Learn before the delivery, where the rule delivers what it has learned."""
        if self.node.delivers_after:
            self._learn(n)

    def end(self, n: int, states: Mapping[str, Mapping[str, np.ndarray]], spikes: np.ndarray) -> None:
        """Carry out the statements of step n (``spikes``: global ids), those of an interval last."""
        slot = n % self.kept
        self.fired[slot] = False
        self.fired[slot, spikes] = True
        for var, goal in self.goal.items():
            goal[slot] = self._everywhere(self.targets, states, var)
        if not self.node.delivers_after:
            self._learn(n)
        if self.node.every and (n + 1) % self.node.every == 0:
            self._change(self.node.every_program, np.arange(len(self.pre)), n)
        super().end(n, states, spikes)

    def _learn(self, n: int) -> None:
        """Carry out the statements of arrivals and of the spikes of targets, in the rule's order."""
        arrivals = self.node.pre_program, np.flatnonzero(self.due)
        spikes = self.node.post_program, np.flatnonzero(self.fired[(n - self.late) % self.kept, self.post])
        for program, at in (spikes, arrivals) if self.node.spikes_first else (arrivals, spikes):
            self._change(program, at, n)

    def learned(self) -> np.ndarray:
        """Return a copy of the weights."""
        return self.weight.astype(np.float64)

    def sampled(self, variable: str, n: int) -> np.ndarray:
        """Return the weights, or another variable of the edges, as they stand at the end of step n."""
        if variable == "weight":
            return self.learned()
        return viewed(self.node, variable, self.edge[variable], lambda: n - self.computed, self.dtype)

    def _change(self, program: Program | None, at: np.ndarray, n: int) -> None:
        if program is None or not len(at):
            return
        values = evaluate(program, lambda ins, *_: self._leaf(ins, at, n), self.dtype)
        for var, k in program.stores().items():
            self.variable(var)[at] = values[k]
        if program.uses("since"):
            self.computed[at] = n

    def variable(self, var: str) -> np.ndarray:
        """Return the weights (``w``) or another variable of the edges, as it was last computed."""
        return self.weight if var == "w" else self.edge[var]

    def _leaf(self, ins: Instr, at: np.ndarray, n: int) -> Any:
        if ins.op == "load":
            return self.variable(ins.attr)[at]
        if ins.op == "param":
            return self.dtype(self.node.params[ins.attr])
        if ins.op == "since":
            return (n - self.computed[at]).astype(self.dtype)
        if ins.op == "pre":
            return self.then(ins.attr, at, n)
        assert ins.op == "post"
        return self.goal[ins.attr][(n - self.late[at]) % self.kept, self.post[at]]


class LinkEdges:
    """The edges of a coupling without spikes, in the canonical order."""

    def __init__(self, graph: Graph, link: LinkNode, dtype: Any) -> None:
        assert link.program is not None
        self.graph, self.program, self.receptor, self.dtype = graph, link.program, link.receptor, dtype
        self.params = {key: dtype(value) for key, value in link.params.items()}
        pieces = list(iter_edges(graph, link.edges))
        self.pre = np.concatenate([np.zeros(0, np.int64), *(e.pre for e in pieces)]).astype(np.int64)
        self.post = np.concatenate([np.zeros(0, np.int64), *(e.post for e in pieces)]).astype(np.int64)
        weights = [np.broadcast_to(np.asarray(e.weight, dtype=np.float64), (len(e),)) for e in pieces]
        self.weight = np.concatenate([np.zeros(0), *weights]).astype(dtype)
        self.ends = {"pre": (link.edges.pre, self.pre), "post": (link.edges.post, self.post)}

    def sums(self, states: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return what the edges add to each target population, one sum per neuron, from the present states."""
        offsets = self.graph.offsets()

        def leaf(ins: Instr, *_: Any) -> Any:
            if ins.op == "load":
                return self.weight
            if ins.op == "param":
                return self.params[ins.attr]
            segments, ids = self.ends[ins.op]
            everyone = np.zeros(self.graph.size, self.dtype)
            for name in {s.population for s in segments}:
                values = states[name][ins.attr]
                everyone[offsets[name] : offsets[name] + len(values)] = values
            return everyone[ids]

        with np.errstate(all="ignore"):  # what is no finite number shows in the states
            values = evaluate(self.program, leaf, self.dtype)[self.program.stores()["sum"]]
            total = np.zeros(self.graph.size)
            np.add.at(total, self.post, np.broadcast_to(values, self.post.shape).astype(np.float64))
        populations = dict.fromkeys(s.population for s in self.ends["post"][0])
        return {p: total[offsets[p] : offsets[p] + self.graph.population(p).size] for p in populations}

"""Learning rules in Brian2: the edges of a plastic projection as synapses of their own.

Three pathways lead along them: an arrival is delivered in the slot of all arrivals; at the end of the step, when the
programs have run, it is learned from, and after it the spikes of the targets; statements of an interval come last.
What statements read of the neurons at both ends lies in two groups of its own, which the engine fills: of a source its
past, one stretch for each delay; of a target what the programs have just stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
from neurosim.backends.brian2_backend.printer import edge_code
from neurosim.ir.edges import grid_of, iter_edges, viewed
from neurosim.ir.graph import Graph, ProjectionNode

_EMPTY = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


class Edges:
    """The edges of a projection in the canonical order: global ids of both ends, weights, delays, grids."""

    def __init__(self, graph: Graph, projection: ProjectionNode) -> None:
        parts = [
            (e.pre, e.post, np.broadcast_to(e.weight, (len(e),)), np.broadcast_to(e.delay, (len(e),)))
            for e in iter_edges(graph, projection)
        ]
        columns = [np.concatenate([x, *(p[k] for p in parts)]) for k, x in enumerate(_EMPTY)]
        self.pre, self.post, self.delay = (columns[k].astype(np.int64) for k in (0, 1, 3))
        self.weight = columns[2].astype(np.float64)
        offsets, grids = graph.offsets(), np.zeros(graph.size)
        ids = [offsets[s.population] + (np.arange(s.size) if s.ids is None else s.ids) for s in projection.post]
        grids[np.concatenate(ids)] = grid_of(graph, projection)
        self.grid = grids[self.post]


class Plastic:
    """One plastic projection: Brian2's objects, and what is copied into them in every step."""

    def __init__(self, layout: Layout, projection: ProjectionNode, number: int) -> None:
        assert projection.plasticity is not None
        self.graph, self.projection, self.node = layout.graph, projection, projection.plasticity
        self.name = f"neurosim_learning{number}"
        self.edges = Edges(layout.graph, projection)
        self.delays = np.unique(self.edges.delay)
        self.slots = int(self.delays.max(initial=0)) + 1
        self.sources, self.from_source = self._members(s.population for s in projection.pre)
        self.targets, self.from_target = self._members(s.population for s in projection.post)
        self.rings: list[np.ndarray] = []
        self.objects: list[Any] = []
        self.sweep: Any = None

    def _members(self, populations: Any) -> tuple[list[str], np.ndarray]:
        """Return the populations of one end, and for each global id its place among their neurons."""
        names, offsets = list(dict.fromkeys(populations)), self.graph.offsets()
        place, at = np.full(self.graph.size, -1, dtype=np.int64), 0
        for name in names:
            size = self.graph.population(name).size
            place[offsets[name] : offsets[name] + size] = at + np.arange(size)
            at += size
        return names, place

    def _size(self, names: Sequence[str]) -> int:
        return sum(self.graph.population(n).size for n in names)

    def _read(self, index: str) -> list[str]:
        """Return the variables of one end that statements read."""
        return self.node.reads("pre" if index == "past" else "post")

    def build(self, layout: Layout, cells: Any, boxes: Any, clock: Any) -> list[Any]:
        """Make the objects."""
        from brian2 import NeuronGroup, Synapses, second

        node, e = self.node, self.edges
        if not len(e.pre):
            return []
        programs = {"learn": node.pre_program, "fire": node.post_program, "sweep": node.every_program}
        code = {key: edge_code(program, node) for key, program in programs.items()}
        constants = {name: value for each in code.values() for name, value in each.slots.items()}
        model = ["w : 1", "box : integer (constant)", "grid : 1 (constant)"]
        model += [f"e{k} : 1" for k in range(len(node.edge))]
        model += ["computed : 1", "now : 1 (shared)"] if node.decaying else []
        model += [f"{name} : 1 (shared, constant)" for name in constants]
        groups = {}
        for index, variables, size in (
            ("past", self._read("past"), len(self.delays) * self._size(self.sources)),
            ("goal", self._read("goal"), self._size(self.targets)),
        ):
            if variables:
                lines = "\n".join(f"x{k} : 1" for k in range(len(variables)))
                groups[index] = NeuronGroup(size, lines, clock=clock, name=f"{self.name}_{index}")
                model.append(f"{index} : integer (constant)")
        events = {"deliver": "x += ns_rint(w/grid)*grid", "learn": code["learn"].text}
        synapses = Synapses(
            cells,
            cells,
            "\n".join(model),
            on_pre={k: v for k, v in events.items() if v},
            on_post={"fire": code["fire"].text} if code["fire"].text else None,
            clock=clock,
            namespace=fixed_functions(),
            name=self.name,
        )
        synapses.variables.add_reference("x", boxes, "x", index="box")
        for index, group in groups.items():
            for k in range(len(self._read(index))):
                synapses.variables.add_reference(f"{index}_x{k}", group, f"x{k}", index=index)
        cell, box = self._places(layout)
        synapses.connect(i=cell[e.pre], j=cell[e.post])
        synapses.w, synapses.box, synapses.grid = e.weight, box[e.post], e.grid
        if "past" in groups:
            stretch = np.searchsorted(self.delays, e.delay)
            synapses.past = stretch * self._size(self.sources) + self.from_source[e.pre]
        if "goal" in groups:
            synapses.goal = self.from_target[e.post]
        for name, value in constants.items():
            setattr(synapses, name, value)
        synapses.deliver.delay = (e.delay - 1).astype(np.float64) * second  # its queue counts from the step after
        for k, pathway in enumerate(("learn", "fire")):
            if code[pathway].text:
                path = getattr(synapses, pathway)
                path.when, path.order = "end", k
        if code["learn"].text:
            synapses.learn.delay = e.delay.astype(np.float64) * second
        if code["sweep"].text:
            self.sweep = synapses.run_regularly(code["sweep"].text, when="end", order=2, name=f"{self.name}_sweep")
        self.synapses = synapses
        self.arrays = {
            index: [group.variables[f"x{k}"].get_value() for k in range(len(self._read(index)))]
            for index, group in groups.items()
        }
        return [*groups.values(), synapses]

    def _places(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Return for each global id its cell, and its box."""
        offsets = self.graph.offsets()
        cell, box = np.empty(self.graph.size, dtype=np.int32), np.full(self.graph.size, -1, dtype=np.int32)
        for name, lo, size in layout.starts():
            cell[offsets[name] : offsets[name] + size] = lo + np.arange(size)
        for name in self.targets:
            size = self.graph.population(name).size
            first = layout.boxes[name, self.projection.receptor]
            box[offsets[name] : offsets[name] + size] = first + np.arange(size)
        return cell, box

    # -- in every step ------------------------------------------------------------------------------------------

    def show(self, n: int, states: dict[str, dict[str, np.ndarray]]) -> None:
        """Copy what the statements of step n read, when the programs have run."""
        if self.node.decaying and len(self.edges.pre):
            self.synapses.variables["now"].get_value()[:] = n
        for k, variable in enumerate(self.node.reads("pre")):
            if len(self.rings) <= k:
                start = [self.graph.population(p) for p in self.sources]
                values = [np.broadcast_to(np.asarray(p.state(variable).init, float), (p.size,)) for p in start]
                self.rings.append(np.tile(np.concatenate(values), (self.slots, 1)))
            self.arrays["past"][k][:] = self.rings[k][(n - self.delays) % self.slots].reshape(-1)
        for k, variable in enumerate(self.node.reads("post")):
            self.arrays["goal"][k][:] = np.concatenate([states[p][variable] for p in self.targets])

    def keep(self, n: int, states: dict[str, dict[str, np.ndarray]]) -> None:
        """Keep what step n has left of the sources."""
        for ring, variable in zip(self.rings, self.node.reads("pre"), strict=True):
            ring[n % self.slots] = np.concatenate([states[p][variable] for p in self.sources])

    def due(self, n: int, obj: Any) -> bool:
        """Tell whether an object of this projection runs in step n: the statements of an interval at its end only."""
        return obj is not self.sweep or (n + 1) % self.node.every == 0

    def weights(self) -> np.ndarray:
        """Return the weights, in the canonical order."""
        return self.values("w")

    def values(self, variable: str) -> np.ndarray:
        """Return the weights (``w``) or another variable of the edges, as it was last computed."""
        if not len(self.edges.pre):
            return np.zeros(0)
        name = "w" if variable == "w" else f"e{list(self.node.edge).index(variable)}"
        return np.array(self.synapses.variables[name].get_value())

    def sampled(self, variable: str, n: int) -> np.ndarray:
        """Return the weights (``weight``) or another variable of the edges as it stands at the end of step n."""
        if variable == "weight" or not len(self.edges.pre):
            return self.weights()
        computed = self.synapses.variables
        return viewed(self.node, variable, self.values(variable), lambda: n - computed["computed"].get_value())

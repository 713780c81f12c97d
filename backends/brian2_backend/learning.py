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

from neurosim.backends.brian2_backend.edges import Edges, initial, members, places
from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
from neurosim.backends.brian2_backend.printer import edge_code
from neurosim.ir.edges import viewed
from neurosim.ir.graph import ProjectionNode


class Plastic:
    """One plastic projection: Brian2's objects, and what is copied into them in every step."""

    def __init__(self, layout: Layout, projection: ProjectionNode, number: int) -> None:
        assert projection.plasticity is not None
        self.graph, self.projection, self.node = layout.graph, projection, projection.plasticity
        self.name = f"neurosim_learning{number}"
        self.edges = Edges(layout.graph, projection)
        self.delays = np.unique(self.edges.delay)
        self.slots = int(self.delays.max(initial=0)) + 1
        self.sources, self.from_source = members(self.graph, projection.pre)
        self.targets, self.from_target = members(self.graph, projection.post)
        self.rings: list[np.ndarray] = []
        self.objects: list[Any] = []
        self.sweep: Any = None

    def _size(self, names: Sequence[str]) -> int:
        return sum(self.graph.population(n).size for n in names)

    def _read(self, index: str) -> list[str]:
        """Return the variables of one end that statements and the delivery read."""
        if index == "goal":
            return self.node.reads("post")
        release = self.projection.release
        return list(dict.fromkeys([*self.node.reads("pre"), *([] if release is None else [release])]))

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
        release = self.projection.release
        carried = "" if release is None else f"*past_x{self._read('past').index(release)}"
        events = {"deliver": f"x += ns_rint(w{carried}/grid)*grid", "learn": code["learn"].text}
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
        cell, box = places(layout, self.projection)
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

    # -- in every step ------------------------------------------------------------------------------------------

    def begin(self, n: int) -> None:
        """Copy what arrivals of step n read of their sources."""
        if self.node.decaying and len(self.edges.pre):
            self.synapses.variables["now"].get_value()[:] = n
        for k, variable in enumerate(self._read("past")):
            if len(self.rings) <= k:
                self.rings.append(np.tile(initial(self.graph, self.sources, variable), (self.slots, 1)))
            self.arrays["past"][k][:] = self.rings[k][(n - self.delays) % self.slots].reshape(-1)

    def show(self, states: dict[str, dict[str, np.ndarray]]) -> None:
        """Copy what statements read of their targets, when the programs have run."""
        for k, variable in enumerate(self.node.reads("post")):
            self.arrays["goal"][k][:] = np.concatenate([states[p][variable] for p in self.targets])

    def keep(self, n: int, states: dict[str, dict[str, np.ndarray]]) -> None:
        """Keep what step n has left of the sources."""
        for ring, variable in zip(self.rings, self._read("past"), strict=True):
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

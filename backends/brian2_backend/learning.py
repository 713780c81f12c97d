"""Learning rules in Brian2: the edges of a plastic projection as synapses of their own.

Three pathways lead along them: an arrival is delivered in the slot of all arrivals; at the end of the step, when the
programs have run, it is learned from, and after it (or before) the spikes of the targets; statements of an interval
come last. What delivers the weight after its change learns in the slot of arrivals too, before them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.edges import Edges, members, places
from neurosim.backends.brian2_backend.functions import fixed_functions
from neurosim.backends.brian2_backend.layout import Layout
from neurosim.backends.brian2_backend.past import DELIVERED, FIRST, SECOND, SWEPT, mirror, past
from neurosim.backends.brian2_backend.printer import SEEN, edge_code
from neurosim.ir.edges import viewed
from neurosim.ir.graph import ProjectionNode


class Plastic:
    """One plastic projection, and Brian2's objects of it.

    ``watched`` says that nobody looks at it from step to step: then the code itself waits for the end of an interval,
    and notes in which step a value left the finite numbers.
    """

    def __init__(self, layout: Layout, projection: ProjectionNode, number: int, watched: bool) -> None:
        assert projection.plasticity is not None
        self.graph, self.projection, self.node = layout.graph, projection, projection.plasticity
        self.name, self.watched = f"neurosim_learning{number}", watched
        self.edges = Edges(layout.graph, projection)
        self.sweep: Any = None
        self.synapses: Any = None

    def build(self, layout: Layout, built: Any) -> list[Any]:
        """Make the objects; ``built`` are Brian2's cells, boxes, groups and clock."""
        from brian2 import Synapses, second

        node, e = self.node, self.edges
        cells, boxes, groups, clock = built
        if not len(e.pre):
            return []
        every = node.every if self.watched else 0
        code = {
            "learn": edge_code(node.pre_program, node, self.watched),
            "fire": edge_code(node.post_program, node, self.watched),
            "sweep": edge_code(node.every_program, node, self.watched, every),
        }
        constants = {name: value for each in code.values() for name, value in each.slots.items()}
        model = ["w : 1", "box : integer (constant)", "grid : 1 (constant)"]
        model += [f"e{k} : 1" for k in range(len(node.edge))]
        model += ["computed : 1"] if node.decaying else []
        model += [f"{SEEN} : 1"] if self.watched else []
        model += [f"{name} : 1 (shared, constant)" for name in constants]
        release = self.projection.release
        sources, from_source = members(self.graph, self.projection.pre)
        targets, from_target = members(self.graph, self.projection.post)
        before = node.reads("pre")
        before += [] if release in (None, *before) else [str(release)]
        reach, ends = int(e.delay.max()), {}
        late = node.late(e.delay)
        behind = int(late.max())
        if before:
            ends["past"] = past(layout, sources, before, reach, groups, clock, f"{self.name}_past"), before
        if after := node.reads("post"):
            goal = f"{self.name}_goal"
            if behind:
                ends["goal"] = past(layout, targets, after, behind, groups, clock, goal), after
            else:
                ends["goal"] = mirror(layout, targets, after, groups, clock, goal), after
        model += [f"{index} : integer (constant)" for index in ends]
        carried = "" if release is None else f"*past_x{before.index(release)}"
        events = {"deliver": f"x += ns_rint(w{carried}/grid)*grid", "learn": code["learn"].text}
        self.synapses = synapses = Synapses(
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
        for index, (group, variables) in ends.items():
            for k in range(len(variables)):
                synapses.variables.add_reference(f"{index}_x{k}", group, f"x{k}", index=index)
        cell, box = places(layout, self.projection)
        synapses.connect(i=cell[e.pre], j=cell[e.post])
        synapses.w, synapses.box, synapses.grid = e.weight, box[e.post], e.grid
        if "past" in ends:
            synapses.past = (reach - e.delay) * (len(ends["past"][0]) // reach) + from_source[e.pre]
        if "goal" in ends:
            first = (behind - late) * (len(ends["goal"][0]) // behind) if behind else 0
            synapses.goal = first + from_target[e.post]
        for name, value in constants.items():
            setattr(synapses, name, value)
        if self.watched:
            setattr(synapses, SEEN, -1.0)
        synapses.deliver.delay = (e.delay - 1).astype(np.float64) * second  # its queue counts from the step after
        synapses.deliver.order = 0  # Brian2's own choice is -1
        order = {"learn": FIRST, "fire": SECOND}
        if node.spikes_first:
            order = {"learn": SECOND, "fire": FIRST}
        for pathway, steps in (("learn", e.delay), ("fire", late)):
            if not code[pathway].text:
                continue
            path = getattr(synapses, pathway)
            path.when, path.order = "end", order[pathway]
            if node.delivers_after:
                path.when, path.order, steps = "synapses", order[pathway] - DELIVERED, steps - 1
            if steps.any():
                path.delay = steps.astype(np.float64) * second
        if code["sweep"].text:
            self.sweep = synapses.run_regularly(code["sweep"].text, when="end", order=SWEPT, name=f"{self.name}_sweep")
        return [*(group for group, _ in ends.values()), synapses]

    def due(self, n: int, obj: Any) -> bool:
        """Tell whether an object of this projection runs in step n: the statements of an interval at its end only."""
        return obj is not self.sweep or (n + 1) % self.node.every == 0

    def name_of(self, variable: str) -> str:
        """Return the name, in the code, of the weights (``w`` or ``weight``) or of another variable of the edges."""
        return "w" if variable in ("w", "weight") else f"e{list(self.node.edge).index(variable)}"

    def values(self, variable: str) -> np.ndarray:
        """Return the weights or another variable of the edges, as it was last computed, in the canonical order."""
        if not len(self.edges.pre):
            return np.zeros(0)
        return np.array(self.synapses.variables[self.name_of(variable)].get_value())

    def sampled(self, variable: str, n: int) -> np.ndarray:
        """Return the weights (``weight``) or another variable of the edges as it stands at the end of step n."""
        if variable == "weight" or not len(self.edges.pre):
            return self.values("w")
        computed = self.synapses.variables
        return self.seen(variable, self.values(variable), lambda: n - computed["computed"].get_value())

    def seen(self, variable: str, values: np.ndarray, since: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a variable of the edges as it stands some steps after it was computed."""
        return values if variable == "weight" else viewed(self.node, variable, values, since)

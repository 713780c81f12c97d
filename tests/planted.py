"""Engines with one fault each: the reference with one thing changed, registered as another package's would be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.backends.base import Backend, Drained, Engine, Options
from neurosim.backends.reference_backend import ReferenceBackend, ReferenceEngine
from neurosim.ir.graph import Graph
from neurosim.passes.discretise import discretise


class Faulty(ReferenceBackend):
    """The reference, with a graph or an engine that something was done to."""

    name = "faulty"
    options = ("mode",)

    def plant(self, graph: Graph) -> Graph:
        return graph

    def build(self, graph: Graph, options: Options) -> Engine:
        return self.engine(self.plant(graph))

    engine: type[ReferenceEngine] = ReferenceEngine


def changed(graph: Graph, pop: str = "p", **parts: Any) -> Graph:
    """The graph with parts of a population replaced."""
    return dataclasses.replace(graph, populations=tuple(
        dataclasses.replace(p, **parts) if p.name == pop else p for p in graph.populations))  # fmt: skip


def equations(graph: Graph, params: Any = None, **system: Any) -> Graph:
    """The graph with the equations of ``p`` changed, discretised again."""
    pop = graph.population("p")
    assert pop.model is not None
    states = tuple(v for v in pop.states if not v.name.startswith("_"))
    bare = dataclasses.replace(pop, system=dataclasses.replace(pop.model.system, **system), program=None,
                               params={**pop.model.params, **(params or {})}, states=states)  # fmt: skip
    new = discretise(dataclasses.replace(graph, populations=(bare,), projections=(), probes=())).populations[0]
    return changed(graph, program=new.program, params=new.params, states=new.states)


def parameter(graph: Graph, key: str, change: Callable[[Any], Any]) -> Graph:
    params = dict(graph.population("p").params)
    params[key] = change(params[key])
    return changed(graph, params=params)


class Stamped(Faulty):
    class engine(ReferenceEngine):
        def __init__(self, graph: Graph) -> None:
            super().__init__(graph)
            self.kept: dict[str, np.ndarray] = {}

        def drain(self) -> Drained:
            """Hand every spike over a step later; those of the last step are kept until then."""
            out, spikes = super().drain(), {}
            for name, (steps, ids) in out.spikes.items():
                late = np.concatenate([self.kept.get(name, np.zeros((0, 2), np.int64)), np.stack([steps + 1, ids], 1)])
                self.kept[name], now = late[late[:, 0] >= self.n], late[late[:, 0] < self.n]
                spikes[name] = now[:, 0], now[:, 1]
            return Drained(spikes, out.samples, out.counts)


class Delayed(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return dataclasses.replace(graph, projections=tuple(
            dataclasses.replace(p, delay_steps=p.delay_steps + 1) if p.name == "in" else p
            for p in graph.projections))  # type: ignore[operator]  # fmt: skip


class Hasty(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return dataclasses.replace(graph, projections=tuple(
            dataclasses.replace(p, delay_steps=p.delay_steps - 1) for p in graph.projections))  # type: ignore[operator]  # fmt: skip


class Resting(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return parameter(graph, "_refractory_steps", lambda k: k + 1)


class Restless(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return parameter(graph, "_refractory_steps", lambda k: k - 1)


class Strict(Faulty):
    def plant(self, graph: Graph) -> Graph:
        program = graph.population("p").program
        assert program is not None
        instrs = tuple(dataclasses.replace(i, op="gt") if i.op == "ge" else i for i in program.instrs)
        return changed(graph, program=dataclasses.replace(program, instrs=instrs))


class Nudged(Faulty):
    class engine(ReferenceEngine):
        def advance(self, steps: int) -> None:
            for _ in range(steps):
                super().advance(1)
                if self.n == 3:
                    self.states["p"]["v"] += 1e-15


class Rounding(Faulty):
    """Fires where its own last bit is on the other side: its state is the reference's."""

    def plant(self, graph: Graph) -> Graph:
        program = graph.population("p").program
        assert program is not None
        instrs = tuple(dataclasses.replace(i, attr=1.0 - 2.0**-53) if (i.op, i.attr) == ("const", 1.0) else i
                       for i in program.instrs)  # fmt: skip
        return changed(graph, program=dataclasses.replace(program, instrs=instrs))


class Elsewhere(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return changed(graph, states=tuple(
            dataclasses.replace(v, init=np.asarray(v.init) + 1e-4) if v.name == "v" else v
            for v in graph.population("p").states))  # fmt: skip


class Euler(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return equations(graph, method="euler")


class Before(Faulty):
    def plant(self, graph: Graph) -> Graph:
        model = graph.population("p").model
        assert model is not None
        jumps = {r: tuple(dataclasses.replace(j, when="before") for j in js) for r, js in model.system.jumps.items()}
        return equations(graph, jumps=jumps)


class Unclamped(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return equations(graph, clamp=())


class Resetting(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return parameter(graph, "v_reset", lambda v: v + 1e-3)


class Lower(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return parameter(graph, "v_th", lambda v: v - 1e-3)


class Slower(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return equations(graph, params={"tau_m": 21e-3})


class Heavier(Faulty):
    class engine(ReferenceEngine):
        def __init__(self, graph: Graph) -> None:
            super().__init__(graph)
            self.weight = self.weight * 1.25


class Losing(Faulty):
    def plant(self, graph: Graph) -> Graph:
        return dataclasses.replace(graph, projections=tuple(p for p in graph.projections if p.name != "in"))


class Tardy(Faulty):
    class engine(ReferenceEngine):
        def _leaf(self, pop: Any, state: Any, slot: Any, ins: Any, *args: Any) -> Any:
            if ins.op not in ("time", "step", "table", "poisson", "poisson_of", "uniform", "normal"):
                return super()._leaf(pop, state, slot, ins, *args)
            now, self.n = self.n, max(self.n - 1, 0)
            try:
                return super()._leaf(pop, state, slot, ins, *args)
            finally:
                self.n = now


class Fickle(Faulty):
    class engine(ReferenceEngine):
        built = 0

        def __init__(self, graph: Graph) -> None:
            super().__init__(graph)
            type(self).built += 1
            self.states["p"]["v"] = self.states["p"]["v"] + 1e-4 * type(self).built


class Refusing(Faulty):
    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        return [("second population", graph.populations[-1].where)] if len(graph.populations) > 1 else []


class Forgetful(Delayed):
    """Late, and cannot record the synaptic current."""

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        return [(f"record of '{p.variable}'", p.where) for p in graph.probes if p.variable == "exc.x"]


PLANTED: dict[str, type[Backend]] = {
    kind.__name__.lower(): kind
    for kind in (Faulty, Stamped, Delayed, Hasty, Resting, Restless, Strict, Nudged, Rounding, Elsewhere, Euler, Before,
                 Unclamped, Resetting, Lower, Slower, Heavier, Losing, Tardy, Fickle, Refusing, Forgetful)
}  # fmt: skip

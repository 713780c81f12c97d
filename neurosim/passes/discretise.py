"""Pass ``discretise``: the equations of a population become one program per step of dt. Their integration is in
:mod:`neurosim.passes.integration`; here are input and arrivals before it, detection and reactions after it.
"""

from __future__ import annotations

from dataclasses import replace as with_
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError
from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.graph import EventNode, Graph, Model, PoissonTable, PopulationNode, StateVar
from neurosim.ir.ops import DETECT, INPUT, INTEGRATE, REACT
from neurosim.ir.random import POISSON_MEAN_LIMIT, poisson_thresholds
from neurosim.ir.timegrid import LONGEST, NEVER, whole_steps
from neurosim.passes.fold import fold
from neurosim.passes.integration import Integration, exact_part
from neurosim.passes.learning import learning
from neurosim.passes.links import coupling

COUNTDOWN, HELD, ABOVE = "_refractory", "_held", "_above"
"""State variables made here: steps left of the refractory period; whether one that a condition ends lasted in the last
step, or began there; whether the threshold was met in it. ``_held[e]`` and ``_above[e]`` are those of event e."""


def made_here(variable: str) -> bool:
    """Tell whether a state variable follows from what the user's variables and spikes were: no probe records it."""
    return variable == COUNTDOWN or variable.startswith((HELD, ABOVE))

MAX_POISSON_ROWS = 256
"""Up to so many different rates in one drive are tabulated; more are inverted step by step."""


def discretise(graph: Graph) -> Graph:
    """Write the step program of every population, and those of every learning rule."""
    return with_(
        graph,
        populations=tuple(_Step(graph, p).run() for p in graph.populations),
        projections=tuple(
            p if p.plasticity is None else learning(p, p.plasticity, graph.dt) for p in graph.projections
        ),
        links=tuple(coupling(link) for link in graph.links),
        stage="discretise",
    )


class _Step(Integration):
    """Writes one population's program."""

    def run(self) -> PopulationNode:
        """Write all phases and fold what is constant."""
        b, s = self.b, self.system
        for var in self.pop.states:
            self.old[var.name] = b.emit("load", attr=var.name)
        states = list(self.pop.states)

        b.phase = INPUT
        arrived = self.arrivals()

        b.phase = INTEGRATE
        lasting = s.refractory if s.refractory is not None and ex.is_condition(s.refractory) else None
        period = s.refractory if lasting is None else None
        if period is not None:
            steps = self.refractory_steps(period, f"the refractory period of population '{self.pop.name}'")
            self.params["_refractory_steps"] = steps
            states.append(StateVar(COUNTDOWN, "f", 0.0, "steps"))
            self.old[COUNTDOWN] = b.emit("load", attr=COUNTDOWN)
            self.refractory = b.emit("gt", self.old[COUNTDOWN], b.const(0.0))
        for event in s.events:  # in step m, an event of step n is m - n steps old
            older = b.emit("add", self.old[event.name], b.const(1.0))
            self.old[event.name] = b.emit("min", older, b.const(NEVER))
        if lasting is not None:
            self.refractory = self.held(lasting, HELD, states)
        self.start = dict(self.old)
        self.start = self.jumps("before", self.start, arrived)
        self.new = dict(self.start)
        self.integrate()
        self.integrated = True
        for var in self.updates:
            self.update(var)
        self.new = self.jumps("after", self.new, arrived)

        if self.traces:
            self.integrate_traces()
        final = dict(self.new)
        for kept, e in s.snapshots:
            final[kept] = self.value(e, self.new)
        b.phase = DETECT
        happens = {event.name: self.event(event, states, final) for event in s.events}
        if s.threshold is not None:
            spike = condition = self.value(s.threshold, self.new)
            if s.edge:
                spike = self.rising(condition, ABOVE, states, final)
            if self.refractory is not None:
                spike = b.emit("and", spike, b.emit("not", self.refractory))
            b.phase = REACT
            env = dict(self.new)
            for var, e in s.reset:
                env[var] = self.value(e, env)
            for var in dict.fromkeys(v for v, _ in s.reset):
                final[var] = b.emit("select", spike, env[var], self.new[var])
            if period is not None:
                less = b.emit("max", b.emit("sub", self.old[COUNTDOWN], b.const(1.0)), b.const(0.0))
                final[COUNTDOWN] = b.emit("select", spike, b.emit("param", attr="_refractory_steps"), less)
            elif self.refractory is not None:
                final[HELD] = b.emit("float", b.emit("or", spike, self.refractory))
            env = dict(self.new)
            for var, e in s.marks:
                env[var] = self.value(e, env)
                final[var] = b.emit("select", spike, env[var], self.new[var])
            b.emit("emit", spike, attr="spike")
        b.phase = REACT
        self.react(happens, final)
        for var in states:
            if var.name in final and final[var.name] != self.old.get(var.name):
                b.emit("store", final[var.name], attr=var.name)
        program, params = fold(b.build(), self.params)
        for key, value in params.items():
            if not np.all(np.isfinite(value)):
                raise ParameterError(
                    f"a constant of population '{self.pop.name}' ({key}) is not finite: a parameter that something is "
                    "divided by is 0, or a value is beyond the range of numbers",
                    self.pop.where,
                )
        return with_(
            self.pop,
            system=None,
            program=program,
            model=Model(self.written, self.pop.params),
            params=params,
            states=tuple(states),
            poisson=self.poisson,
            streams=self.streams,
        )

    def react(self, happens: dict[str, int], final: dict[str, int]) -> None:
        """Append the reactions of the events, each on what the spike and the events before it have left; then their
        ages, which every reaction still reads as they were."""
        b = self.b
        variables = [e.var for e in self.system.equations]
        for event in self.system.events:
            here = {**self.new, **{v: final[v] for v in variables if v in final}}
            env = dict(here)
            for var, e in event.reaction:
                env[var] = self.value(e, env)
            for var in dict.fromkeys(v for v, _ in event.reaction):
                final[var] = b.emit("select", happens[event.name], env[var], here[var])
        for name, now in happens.items():
            final[name] = b.emit("select", now, b.const(0.0), self.old[name])

    def rising(self, condition: int, key: str, states: list[StateVar], final: dict[str, int]) -> int:
        """Append whether a condition holds that did not in the step before, which ``key`` keeps."""
        b = self.b
        states.append(StateVar(key, "f", 0.0, "1"))
        was = b.emit("gt", b.emit("load", attr=key), b.const(0.0))
        final[key] = b.emit("float", condition)
        return b.emit("and", condition, b.emit("not", was))

    def held(self, condition: Expr, key: str, states: list[StateVar]) -> int:
        """Append whether a refractory period that a condition ends goes on in this step; ``key`` keeps that it did in
        the last one, or began there."""
        states.append(StateVar(key, "f", 0.0, "1"))
        was = self.b.emit("gt", self.b.emit("load", attr=key), self.b.const(0.0))
        return self.b.emit("and", was, self.value(condition, self.old))

    def event(self, event: EventNode, states: list[StateVar], final: dict[str, int]) -> int:
        """Append whether an event happens in this step."""
        b = self.b
        now = self.value(event.condition, self.new)
        if event.edge:
            now = self.rising(now, f"{ABOVE}[{event.name}]", states, final)
        if event.refractory is not None and ex.is_condition(event.refractory):
            key = f"{HELD}[{event.name}]"
            quiet = self.held(event.refractory, key, states)
            now = b.emit("and", now, b.emit("not", quiet))
            final[key] = b.emit("float", b.emit("or", now, quiet))
        elif event.refractory is not None:
            key = f"_refractory_steps[{event.name}]"
            what = f"the refractory period of event '{event.name}' of population '{self.pop.name}'"
            self.params[key] = self.refractory_steps(event.refractory, what, counted=True)
            now = b.emit("and", now, b.emit("gt", self.old[event.name], b.emit("param", attr=key)))
        return now

    def arrivals(self) -> dict[str, int]:
        """Append what arrives at each receptor: the inbox and the Poisson drives."""
        b, out = self.b, {}
        for receptor in self.pop.receptors:
            total = b.emit("inbox", attr=receptor)
            for d in self.system.drives:
                if d.receptor == receptor:
                    total = b.emit(
                        "add", total, b.emit("mul", self.poisson_count(d.name, d.mean), self.value(d.weight, {}))
                    )
            out[receptor] = total
        return out

    def poisson_count(self, stream: str, mean: Expr) -> int:
        """Append the count of a drive: from a table where the mean is constant and takes few values."""
        self.streams[stream] = f"{self.pop.name}/{stream}.count"
        if self.known(mean):
            means = np.atleast_1d(np.asarray(self.constant(mean), dtype=np.float64))
            rows, row = np.unique(means, return_inverse=True)
            if len(rows) <= MAX_POISSON_ROWS:
                try:
                    tables = [poisson_thresholds(float(m)) for m in rows]
                except ParameterError as e:
                    raise ParameterError(
                        f"drive '{stream}' of population '{self.pop.name}': {e.message}", self.pop.where
                    ) from None
                wide = np.full((len(rows), max(1, max(len(t) for t in tables))), 2**32 - 1, dtype=np.uint32)
                for k, t in enumerate(tables):
                    wide[k, : len(t)] = t
                self.poisson[stream] = PoissonTable(wide, None if len(rows) == 1 else row.astype(np.int32))
                return self.b.emit("poisson", attr=stream)
            if rows[-1] > POISSON_MEAN_LIMIT:
                raise ParameterError(
                    f"drive '{stream}' of population '{self.pop.name}': a Poisson count in one step must have a mean "
                    f"of at most {POISSON_MEAN_LIMIT:g}, not {rows[-1]:g}; use a smaller dt, a lower rate, or several "
                    "drives",
                    self.pop.where,
                )
        return self.b.emit("poisson_of", self.value(mean, self.old), attr=stream)

    def jumps(self, when: str, env: dict[str, int], arrived: dict[str, int]) -> dict[str, int]:
        """Append all jumps of one kind; their gains read the values before any of them."""
        out = dict(env)
        for receptor, jumps in self.system.jumps.items():
            for j in jumps:
                if j.when == when:
                    out[j.var] = self.jump(j.var, out[j.var], j.gain, arrived[receptor], env)
        return out

    def jump(self, var: str, value: int, gain: Expr, arrived: int, env: dict[str, int]) -> int:
        """Append ``value + gain * arrived``; a clamped variable takes nothing while it is refractory."""
        b = self.b
        amount = arrived if ex.is_one(gain) else b.emit("mul", self.value(gain, env), arrived)
        after = b.emit("add", value, amount)
        return b.emit("select", self.refractory, value, after) if self.clamped(var) else after  # type: ignore[arg-type]

    def refractory_steps(self, period: Expr, what: str, counted: bool = False) -> Any:
        """Return a refractory period in whole steps; ``counted``: one that is told from the steps since an event."""
        if not self.known(period):
            raise EquationError(f"{what} must be made of parameters", self.pop.where)
        seconds = self.constant(period)
        if not np.all(np.isfinite(seconds)) or np.min(seconds) < 0:
            raise ParameterError(f"{what} must not be negative, got {np.min(seconds) * 1e3:.6g} ms", self.pop.where)
        if np.ndim(seconds) == 0:
            steps: Any = float(whole_steps(float(seconds), self.graph.dt, what, self.pop.where))
        else:
            steps = np.rint(np.asarray(seconds) / self.graph.dt)
        if np.max(steps, initial=0.0) >= (LONGEST if counted else np.inf):
            raise ParameterError(
                f"{what} is {np.max(steps):.0f} steps, and the steps since an event are counted to 2^24 = {LONGEST} "
                f"({LONGEST * self.graph.dt:.6g} s at this dt): shorten it",
                self.pop.where,
            )
        if self.graph.precision == "single" and np.max(steps, initial=0.0) > LONGEST:
            raise ParameterError(
                f"{what} is {np.max(steps):.0f} steps, and single precision counts no more than 2^24 = "
                f"{LONGEST} one by one ({LONGEST * self.graph.dt:.6g} s at this dt): use "
                "precision='double', or shorten it",
                self.pop.where,
            )
        return steps

    def integrate_traces(self) -> None:
        """Append the new values of what learning rules read."""
        exact = exact_part(self.system, set(self.traces), set(self.params))
        for var in self.traces:
            if var not in exact:
                raise EquationError(
                    f"the trace {var} at population '{self.pop.name}' is not linear with constant coefficients, and "
                    "traces are integrated exactly",
                    self.pop.where,
                )
        self.exact(self.traces)

"""Pass ``discretise``: the equations of a population become one program per step of dt.

Linear subsystems with constant coefficients are integrated exactly: with x' = A x + f and f constant during a step,
x(t + dt) = P x + Phi f (:mod:`neurosim.passes.propagators`). The rest follows the cell's scheme. ``exact`` and
``auto`` split the system: a variable belongs to the exact part if its equation is linear in the exact part and reads
nothing else that changes during a step; ``auto`` gives what remains to exponential Euler. The implicit schemes solve
for the variables that are linear in each other together (:mod:`neurosim.passes.elimination`), and treat the others as
``auto`` does. The Runge-Kutta schemes and ``euler`` take all variables together. Stimuli and what arrived are constant
during a step.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace as with_
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError
from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.graph import EventNode, Graph, Model, PoissonTable, PopulationNode, StateVar, System
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program, emit
from neurosim.ir.ops import DETECT, INPUT, INTEGRATE, REACT
from neurosim.ir.program import Builder
from neurosim.ir.random import POISSON_MEAN_LIMIT, poisson_thresholds
from neurosim.ir.timegrid import LONGEST, NEVER, whole_steps
from neurosim.passes.elimination import coefficients, coupled, solve
from neurosim.passes.fold import fold
from neurosim.passes.learning import learning
from neurosim.passes.propagators import propagators

COUNTDOWN, ABOVE = "_refractory", "_above"
"""State variables made here: steps left of the refractory period; whether the threshold was met in the last step."""

IMPLICIT = ("implicit_euler", "crank_nicolson", "tree")

MAX_EXACT = 24
"""Up to so many coupled variables ``tree`` integrates exactly; a full matrix takes more work than an elimination."""

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
        stage="discretise",
    )


def exact_part(system: System, states: set[str], params: set[str], without: Collection[str] = frozenset()) -> list[str]:
    """Return the variables that can be integrated exactly: the largest set closed under the rule above."""
    odes = {e.var: e.expr for e in system.equations if e.kind == "ode" and e.var in states}
    inside = set(odes) - set(without)
    changed = True
    while changed:
        changed = False
        for var in list(inside):
            split = ex.linear(odes[var], inside)
            ok = split is not None
            if split is not None:
                constant = all(_is_constant(c, params) for c in split[0].values())
                ok = constant and not (ex.names(split[1]) & (set(odes) - inside))
            if not ok:
                inside.discard(var)
                changed = True
    return [v for v in odes if v in inside]


def _is_constant(e: Expr, params: set[str]) -> bool:
    return all(x.op in ("const", "name") or x.args for x in ex.walk(e)) and ex.names(e) <= params


class _Step:
    """Writes one population's program."""

    def __init__(self, graph: Graph, pop: PopulationNode) -> None:
        assert pop.system is not None
        self.graph, self.pop, self.system = graph, pop, pop.system
        self.b = Builder()
        self.params: dict[str, Any] = dict(pop.params)
        self.old: dict[str, int] = {}
        self.new: dict[str, int] = {}
        self.poisson: dict[str, PoissonTable] = {}
        self.streams: dict[str, str] = {}
        every = {e.var: e.expr for e in self.system.equations if e.kind == "ode"}
        self.odes = {v: e for v, e in every.items() if v not in self.system.traces}
        self.traces = {v: e for v, e in every.items() if v in self.system.traces}
        self.updates = {e.var: e.expr for e in self.system.equations if e.kind == "update"}
        self.refractory: int | None = None
        self.integrated = False
        self._busy: list[str] = []

    # -- reading expressions ------------------------------------------------------------------------------------

    def value(self, e: Expr, env: dict[str, int]) -> int:
        """Append an expression whose state variables have the values ``env``."""

        def leaf(x: Expr) -> int:
            if x.op == "next":
                return self.update(x.attr)
            if x.op in ("uniform", "normal"):
                self.streams[x.attr] = f"{self.pop.name}/{x.attr}"
                return self.b.emit(x.op, attr=x.attr)
            if x.attr in env:
                return env[x.attr]
            if x.attr == "t":
                return self.b.emit("time")
            if x.attr in self.pop.tables:
                return self.b.emit("table", self.b.emit("step"), attr=x.attr)
            return self.b.emit("param", attr=x.attr)

        if e.op == "scheduled":
            return self.b.emit("scheduled", attr=e.attr)
        return emit(self.b, e, leaf)

    def constant(self, e: Expr) -> Any:
        """Evaluate an expression of parameters in double precision: a float, or one per neuron."""
        program = edge_program(e)
        assert program.result is not None
        return evaluate(program, lambda ins: np.asarray(self.params[ins.attr], dtype=np.float64)[()])[program.result]

    def known(self, e: Expr) -> bool:
        """Tell whether an expression is made of parameters alone."""
        return _is_constant(e, set(self.params))

    # -- the step -----------------------------------------------------------------------------------------------

    def run(self) -> PopulationNode:
        """Write all phases and fold what is constant."""
        b, s = self.b, self.system
        for var in self.pop.states:
            self.old[var.name] = b.emit("load", attr=var.name)
        states = list(self.pop.states)

        b.phase = INPUT
        arrived = self.arrivals()

        b.phase = INTEGRATE
        if s.refractory is not None:
            steps = self.refractory_steps(s.refractory, f"the refractory period of population '{self.pop.name}'")
            self.params["_refractory_steps"] = steps
            states.append(StateVar(COUNTDOWN, "f", 0.0, "steps"))
            self.old[COUNTDOWN] = b.emit("load", attr=COUNTDOWN)
            self.refractory = b.emit("gt", self.old[COUNTDOWN], b.const(0.0))
        for event in s.events:  # in step m, an event of step n is m - n steps old
            older = b.emit("add", self.old[event.name], b.const(1.0))
            self.old[event.name] = b.emit("min", older, b.const(NEVER))
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
            if self.refractory is not None:
                less = b.emit("max", b.emit("sub", self.old[COUNTDOWN], b.const(1.0)), b.const(0.0))
                final[COUNTDOWN] = b.emit("select", spike, b.emit("param", attr="_refractory_steps"), less)
            env = dict(self.new)
            for var, e in s.marks:
                env[var] = self.value(e, env)
                final[var] = b.emit("select", spike, env[var], self.new[var])
            b.emit("emit", spike, attr="spike")
        b.phase = REACT
        for event in s.events:
            here = {**self.new, **{v: final[v] for v in self.changeable() if v in final}}
            env = dict(here)
            for var, e in event.reaction:
                env[var] = self.value(e, env)
            for var in dict.fromkeys(v for v, _ in event.reaction):
                final[var] = b.emit("select", happens[event.name], env[var], here[var])
        for event in s.events:
            final[event.name] = b.emit("select", happens[event.name], b.const(0.0), self.old[event.name])
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
            model=Model(self.system, self.pop.params),
            params=params,
            states=tuple(states),
            poisson=self.poisson,
            streams=self.streams,
        )

    def changeable(self) -> list[str]:
        """Return the variables that a statement may change."""
        return [e.var for e in self.system.equations]

    def rising(self, condition: int, key: str, states: list[StateVar], final: dict[str, int]) -> int:
        """Append whether a condition holds that did not in the step before, which ``key`` keeps."""
        b = self.b
        states.append(StateVar(key, "f", 0.0, "1"))
        was = b.emit("gt", b.emit("load", attr=key), b.const(0.0))
        final[key] = b.emit("float", condition)
        return b.emit("and", condition, b.emit("not", was))

    def event(self, event: EventNode, states: list[StateVar], final: dict[str, int]) -> int:
        """Append whether an event happens in this step."""
        b = self.b
        now = self.value(event.condition, self.new)
        if event.edge:
            now = self.rising(now, f"{ABOVE}[{event.name}]", states, final)
        if event.refractory is not None:
            key = f"_refractory_steps[{event.name}]"
            what = f"the refractory period of event '{event.name}' of population '{self.pop.name}'"
            self.params[key] = self.refractory_steps(event.refractory, what)
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

    def clamped(self, var: str) -> bool:
        """Tell whether a variable stands still while the neuron is refractory."""
        return self.refractory is not None and var in self.system.clamp

    def hold(self, var: str, value: int) -> int:
        """Append the choice between the new value and standing still."""
        if not self.clamped(var):
            return value
        assert self.refractory is not None
        return self.b.emit("select", self.refractory, self.start[var], value)

    def refractory_steps(self, period: Expr, what: str) -> Any:
        """Return a refractory period in whole steps."""
        if not self.known(period):
            raise EquationError(f"{what} must be made of parameters", self.pop.where)
        seconds = self.constant(period)
        if not np.all(np.isfinite(seconds)) or np.min(seconds) < 0:
            raise ParameterError(f"{what} must not be negative, got {np.min(seconds) * 1e3:.6g} ms", self.pop.where)
        if np.ndim(seconds) == 0:
            steps: Any = float(whole_steps(float(seconds), self.graph.dt, what, self.pop.where))
        else:
            steps = np.rint(np.asarray(seconds) / self.graph.dt)
        if self.graph.precision == "single" and np.max(steps, initial=0.0) > LONGEST:
            raise ParameterError(
                f"{what} is {np.max(steps):.0f} steps, and single precision counts no more than 2^24 = "
                f"{LONGEST} one by one ({LONGEST * self.graph.dt:.6g} s at this dt): use "
                "precision='double', or shorten it",
                self.pop.where,
            )
        return steps

    def update(self, var: str) -> int:
        """Append the discrete update of a variable (once), after those whose new values it reads."""
        if var not in self.updates:
            if not self.integrated:
                raise EquationError(
                    f"a differential equation of population '{self.pop.name}' reads {var}[n+1], which comes out "
                    f"of the same integration: read {var}, or make the reader a discrete update",
                    self.pop.where,
                )
            return self.new[var]
        key = f"{var}[n+1]"
        if key in self.new:
            return self.new[key]
        if var in self._busy:
            circle = " -> ".join(f"{v}[n+1]" for v in [*self._busy[self._busy.index(var) :], var])
            raise EquationError(f"{circle} is a circle of new values in population '{self.pop.name}'", self.pop.where)
        self._busy.append(var)
        value = self.hold(var, self.value(self.updates[var], self.start))
        self._busy.pop()
        self.new[key] = self.new[var] = value
        return value

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

    # -- integration --------------------------------------------------------------------------------------------

    def integrate(self) -> None:
        """Append the new values of the differential equations."""
        for var in (x.attr for e in self.odes.values() for x in ex.walk(e) if x.op == "next" and x.attr in self.odes):
            self.update(var)
        if not self.odes:
            return
        method = self.system.method
        if method in ("euler", "rk2", "rk4"):
            self.runge_kutta(method)
            return
        groups: list[list[str]] = []
        exact: list[str] = []
        if method != "exponential_euler":
            exact = exact_part(self.system, set(self.odes), set(self.params))
        if method in IMPLICIT and (method != "tree" or len(exact) < len(self.odes) or len(exact) > MAX_EXACT):
            groups = coupled(self.odes)
            apart = {v for group in groups for v in group}
            exact = exact_part(self.system, set(self.odes), set(self.params), apart)
        rest = [v for v in self.odes if v not in exact]
        if rest and method == "exact":
            raise EquationError(
                f"population '{self.pop.name}' cannot be integrated exactly: the equation of {', '.join(rest)} "
                "is not linear with constant coefficients; use method='exponential_euler', 'rk2', 'rk4' or 'euler'",
                self.pop.where,
            )
        if exact:
            self.exact({v: self.odes[v] for v in exact})
        solved = self.implicit([v for group in groups for v in group if v in rest]) if groups else {}
        self.new.update(solved)
        for var in rest:
            if var not in solved:
                self.new[var] = self.exponential_euler(var)

    def implicit(self, variables: list[str]) -> dict[str, int]:
        """Append ``x + d`` with (1 - theta dt A) d = dt f(x): A holds the coefficients at the step's start.

        theta is 1 for ``implicit_euler`` and 1/2 for ``crank_nicolson``. A clamped variable stands still.
        """
        b, place = self.b, {v: k for k, v in enumerate(variables)}
        dt = b.emit("param", attr="dt")
        share = b.emit("mul", dt, b.const(0.5)) if self.system.method == "crank_nicolson" else dt
        matrix: dict[tuple[int, int], int] = {}
        right: list[int] = []
        one, zero = b.const(1.0), b.const(0.0)
        for var, k in place.items():
            found = coefficients(self.odes[var], {v for v in ex.names(self.odes[var]) if v in place})
            entries = {place[v]: b.emit("mul", share, self.value(c, self.start)) for v, c in found.items()}
            change = b.emit("mul", dt, self.value(self.odes[var], self.start))
            row = {j: b.emit("sub", one, e) if j == k else b.emit("neg", e) for j, e in entries.items()}
            row.setdefault(k, one)
            if self.clamped(var):
                assert self.refractory is not None
                row = {j: b.emit("select", self.refractory, one if j == k else zero, e) for j, e in row.items()}
                change = b.emit("select", self.refractory, zero, change)
            matrix.update({(k, j): e for j, e in row.items()})
            right.append(change)
        out = {}
        for var, d in zip(variables, solve(b, matrix, right), strict=True):
            out[var] = self.hold(var, b.emit("flush", b.emit("add", self.start[var], d)))
        return out

    def exact(self, odes: dict[str, Expr]) -> None:
        """Append ``P x + Phi f``; while refractory, the clamped variables are constants of the others' equations."""
        variables, n = list(odes), len(odes)
        splits = [ex.linear(e, set(odes)) for e in odes.values()]
        coefficients = [[self.constant(s[0].get(w, ex.ZERO)) if s else 0.0 for w in variables] for s in splits]
        for i, line in enumerate(coefficients):
            if not all(np.all(np.isfinite(c)) for c in line):
                raise ParameterError(
                    f"d{variables[i]}/dt of population '{self.pop.name}' has a coefficient that is not finite: a "
                    "parameter that something is divided by is 0",
                    self.pop.where,
                )
        shape = (n, n, self.pop.size) if any(np.ndim(c) for row in coefficients for c in row) else (n, n, 1)
        matrix = np.empty(shape)
        for i, row in enumerate(coefficients):
            for j, c in enumerate(row):
                matrix[i, j] = c
        free = self._solve(np.moveaxis(matrix, -1, 0))
        still = matrix.copy()
        clamped = [k for k, v in enumerate(variables) if self.clamped(v)]
        still[clamped] = 0.0
        held = self._solve(np.moveaxis(still, -1, 0)) if clamped else free
        rests = [s[1] if s else ex.ZERO for s in splits]
        values = {}
        for i, var in enumerate(variables):
            value = self.row(variables, i, free, rests, "P", set())
            if (
                i not in clamped
                and clamped
                and not all(np.array_equal(a[:, i], b[:, i]) for a, b in zip(free, held, strict=True))
            ):
                assert self.refractory is not None
                value = self.b.emit(
                    "select", self.refractory, self.row(variables, i, held, rests, "H", set(clamped)), value
                )
            values[var] = self.hold(var, self.b.emit("flush", value))
        self.new.update(values)

    def _solve(self, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sets, back = np.unique(matrices, axis=0, return_inverse=True)
        P, Phi = propagators(sets, self.graph.dt)
        back = back.reshape(-1)
        return (P[back], Phi[back]) if len(back) > 1 else (P, Phi)

    def row(
        self,
        variables: list[str],
        i: int,
        solution: tuple[np.ndarray, np.ndarray],
        rests: list[Expr],
        tag: str,
        frozen: set[int],
    ) -> int:
        """Append one row of ``P x + Phi f``: variables in order, then varying terms of f, then the constant."""
        b, (P, Phi) = self.b, solution
        value: int | None = None

        def plus(term: int) -> None:
            nonlocal value
            value = term if value is None else b.emit("add", value, term)

        for j, w in enumerate(variables):
            if np.any(P[:, i, j]):
                plus(b.emit("mul", self.coefficient(f"{tag}[{variables[i]},{w}]", P[:, i, j]), self.start[w]))
        steady: Any = 0.0
        for j, w in enumerate(variables):
            if not np.any(Phi[:, i, j]) or j in frozen:
                continue
            fixed, varying = self.split(rests[j])
            if not ex.is_zero(varying):
                weight = self.coefficient(f"{tag}hi[{variables[i]},{w}]", Phi[:, i, j])
                plus(b.emit("mul", weight, self.value(varying, self.start)))
            if not ex.is_zero(fixed):
                phi = Phi[:, i, j] if Phi.shape[0] > 1 else Phi[0, i, j]
                steady = steady + phi * self.constant(fixed)
        if np.any(steady):
            plus(self.coefficient(f"{tag}c[{variables[i]}]", np.atleast_1d(steady)))
        return b.const(0.0) if value is None else value

    def coefficient(self, key: str, values: np.ndarray) -> int:
        """Keep a coefficient as a parameter: one value, or one per neuron."""
        same = values.size == 1 or bool(np.all(values == values[0]))
        self.params[key] = float(values[0]) if same else np.array(values)
        return self.b.emit("param", attr=key)

    def split(self, e: Expr) -> tuple[Expr, Expr]:
        """Split a sum into what is made of parameters and what varies from step to step."""
        if self.known(e):
            return e, ex.ZERO
        if e.op in ("add", "sub"):
            (fa, va), (fb, vb) = self.split(e.args[0]), self.split(e.args[1])
            join = ex.add if e.op == "add" else ex.sub
            return join(fa, fb), join(va, vb)
        if e.op == "neg":
            fixed, varying = self.split(e.args[0])
            return ex.neg(fixed), ex.neg(varying)
        if e.op in ("mul", "div"):
            a, c = e.args
            if self.known(c):
                fixed, varying = self.split(a)
                join = ex.mul if e.op == "mul" else ex.div
                return join(fixed, c), join(varying, c)
            if e.op == "mul" and self.known(a):
                fixed, varying = self.split(c)
                return ex.mul(a, fixed), ex.mul(a, varying)
        return ex.ZERO, e

    def exponential_euler(self, var: str) -> int:
        """Append ``x + dt (a x + b) exprel(a dt)`` with a and b frozen at the start of the step."""
        b = self.b
        split = ex.linear(self.odes[var], {var})
        if split is None:
            raise EquationError(
                f"d{var}/dt of population '{self.pop.name}' is not linear in {var}, so exponential Euler does "
                "not apply; use method='rk4', 'rk2' or 'euler'",
                self.pop.where,
            )
        a = split[0].get(var, ex.ZERO)
        dt = b.emit("param", attr="dt")
        slope = self.value(self.odes[var], self.start)
        if ex.is_zero(a):
            change = b.emit("mul", slope, dt)
        else:
            change = b.emit(
                "mul", b.emit("mul", slope, dt), b.emit("exprel", b.emit("mul", self.value(a, self.start), dt))
            )
        return self.hold(var, b.emit("flush", b.emit("add", self.start[var], change)))

    def runge_kutta(self, method: str) -> None:
        """Append Euler, the midpoint rule or the classical fourth-order rule for all equations together."""
        b = self.b
        dt = b.emit("param", attr="dt")

        def slopes(at: dict[str, int]) -> dict[str, int]:
            out = {}
            for var, e in self.odes.items():
                slope = self.value(e, at)
                if self.clamped(var):
                    assert self.refractory is not None
                    slope = b.emit("select", self.refractory, b.const(0.0), slope)
                out[var] = slope
            return out

        def moved(k: dict[str, int], step: int) -> dict[str, int]:
            return {**self.start, **{v: b.emit("add", self.start[v], b.emit("mul", k[v], step)) for v in self.odes}}

        k1 = slopes(self.start)
        if method == "euler":
            end = moved(k1, dt)
        else:
            half = b.emit("mul", dt, b.const(0.5))
            k2 = slopes(moved(k1, half))
            if method == "rk2":
                end = moved(k2, dt)
            else:
                k3 = slopes(moved(k2, half))
                k4 = slopes(moved(k3, dt))
                sixth, two = b.emit("div", dt, b.const(6.0)), b.const(2.0)
                mean = {
                    v: b.emit("add", b.emit("add", k1[v], b.emit("mul", two, b.emit("add", k2[v], k3[v]))), k4[v])
                    for v in self.odes
                }
                end = moved(mean, sixth)
        for var in self.odes:
            self.new[var] = b.emit("flush", end[var])

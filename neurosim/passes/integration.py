"""The equations of one population in one step: how expressions are read, and the schemes of integration.

Linear subsystems with constant coefficients are integrated exactly: with x' = A x + f and f constant during a step,
x(t + dt) = P x + Phi f (:mod:`neurosim.passes.propagators`). The rest follows the cell's scheme. ``exact`` and
``auto`` split the system: a variable belongs to the exact part if its equation is linear in the exact part and reads
nothing else that changes during a step; ``auto`` gives what remains to exponential Euler. The linearly implicit schemes
solve for the variables that are linear in each other together (:mod:`neurosim.passes.elimination`), and treat the
others as ``auto`` does. The Runge-Kutta schemes and ``euler`` take all variables together. Stimuli and what arrived are
constant during a step.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError
from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.graph import Graph, PoissonTable, PopulationNode, System
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program, emit
from neurosim.ir.program import Builder
from neurosim.passes.elimination import coefficients, coupled, solve
from neurosim.passes.propagators import propagators
from neurosim.passes.steps import in_whole_steps

IMPLICIT = ("implicit_euler", "crank_nicolson", "tree")

MAX_EXACT = 24
"""Up to so many variables ``tree`` integrates exactly; a full matrix of more takes longer than an elimination."""


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


class Integration:
    """Reads the equations of a population, and appends their new values to its program."""

    def __init__(self, graph: Graph, pop: PopulationNode) -> None:
        assert pop.system is not None
        self.params: dict[str, Any] = dict(pop.params)
        what = f"population '{pop.name}'"
        system = pop.system.rewritten(lambda e: in_whole_steps(e, self.params, graph.dt, what, pop.where))
        self.graph, self.pop, self.system = graph, pop, system
        self.written = pop.system
        self.b = Builder()
        self.old: dict[str, int] = {}
        self.start: dict[str, int] = {}
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
            if x.op == "inbox":
                return self.b.emit("inbox", attr=x.attr)
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

    # -- what stands still, and discrete updates ------------------------------------------------------------------

    def clamped(self, var: str) -> bool:
        """Tell whether a variable stands still while the neuron is refractory."""
        return self.refractory is not None and var in self.system.clamp

    def hold(self, var: str, value: int) -> int:
        """Append the choice between the new value and standing still."""
        if not self.clamped(var):
            return value
        assert self.refractory is not None
        return self.b.emit("select", self.refractory, self.start[var], value)

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
        solved = self.implicit([v for group in groups for v in group]) if groups else {}
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

"""The normal form of a population's mathematics: polynomials with numbers for coefficients, and what is no polynomial.

However a cell is written, its equations become polynomials in its state variables: parameters are put in, brackets
multiplied out, equal terms added. What is no polynomial of them becomes a *symbol*: a function of polynomials
(``exp(...)``), or an input that no state of the cell enters (a time array, a random number, a function of time). Two
cells are the same if their polynomials are, whatever names and brackets the user chose. All numbers are in SI units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.graph import Graph, PopulationNode, System
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program
from neurosim.ir.ops import COMPARE

Number = Any
"""A float, or an array of one value per neuron."""
Monomial = tuple[str, ...]
"""Names of states and symbols, sorted, repeated for powers; the constant term is ``()``."""
Poly = dict[Monomial, Number]

CLOSE = 1e-10
"""Relative difference up to which two coefficients are the same: some are solved for."""

_MAX_TERMS = 200
_CHANCE = ("uniform", "normal")


class NoPolynomial(Exception):
    """An expression that has no normal form; the text completes "the cell ...".

    It never leaves this package: what is caught becomes a reason of a refusal.
    """


# -- arithmetic ----------------------------------------------------------------------------------------------------


def add(p: Poly, q: Poly, sign: float = 1.0) -> Poly:
    """Return ``p + sign q``; terms that cancel exactly are left out."""
    out = dict(p)
    for mono, c in q.items():
        out[mono] = out[mono] + sign * c if mono in out else sign * c
    return {m: c for m, c in out.items() if np.any(c)}


def mul(p: Poly, q: Poly) -> Poly:
    """Return the product."""
    out: Poly = {}
    for m, a in p.items():
        for n, b in q.items():
            key = tuple(sorted((*m, *n)))
            out[key] = out[key] + a * b if key in out else a * b
    if len(out) > _MAX_TERMS:
        raise NoPolynomial(f"has an equation of more than {_MAX_TERMS} terms")
    return {m: c for m, c in out.items() if np.any(c)}


def scale(p: Poly, factor: Number) -> Poly:
    """Return ``factor * p``."""
    return {m: c * factor for m, c in p.items()}


def constant(value: Number) -> Poly:
    """Return a polynomial without variables."""
    return {(): value} if np.any(value) else {}


def variable(name: str) -> Poly:
    """Return the polynomial that is one variable."""
    return {(name,): 1.0}


def same_number(a: Number, b: Number) -> bool:
    """Tell whether two coefficients agree to :data:`CLOSE`."""
    return bool(np.all(np.abs(np.subtract(a, b)) <= CLOSE * np.maximum(np.abs(a), np.abs(b))))


def same(p: Poly, q: Poly) -> bool:
    """Tell whether two polynomials agree, coefficient by coefficient."""
    return all(same_number(p.get(m, 0.0), q.get(m, 0.0)) for m in {*p, *q})


def term_text(mono: Monomial) -> str:
    """Write a monomial as a user would: ``v**2*u``."""
    powers = {name: mono.count(name) for name in dict.fromkeys(mono)}
    return "*".join(name if k == 1 else f"{name}**{k}" for name, k in powers.items()) or "1"


def number_text(value: Number) -> str:
    """Write a coefficient; of an array, its range."""
    values = np.atleast_1d(np.asarray(value, dtype=float))
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def text(p: Poly) -> str:
    """Write a polynomial in SI units, for messages."""
    if not p:
        return "0"
    terms = [
        number_text(c) if not m else term_text(m) if same_number(c, 1.0) else f"{number_text(c)}*{term_text(m)}"
        for m, c in p.items()
    ]
    return " + ".join(terms).replace("+ -", "- ")


# -- a population --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Symbol:
    """What stands for something that is no polynomial: a function of polynomials, or an input."""

    op: str
    args: tuple[Poly, ...] = ()
    expr: Expr | None = None


@dataclass(frozen=True)
class Condition:
    """A threshold ``poly op 0``; ``op`` is ``ge``, ``gt``, ``le``, ``lt``, or another comparison."""

    op: str
    poly: Poly


@dataclass
class Normal:
    """One population.

    Attributes
    ----------
    odes, updates : dict
        Variable -> polynomial: the slope per second, or the value after the step.
    inputs : tuple of str
        Variables of the input's own, which nothing of the cell enters (the state of coloured noise).
    jumps : dict
        Receptor -> (variable, gain, ``before`` or ``after`` the decay).
    threshold : Condition, str or None
        None: it never spikes; a text says why there is no normal form.
    conjuncts : list of Condition
        Comparisons that all have to hold for a spike; none where the threshold is no such thing.
    refractory : number
        Steps.
    clamp : tuple of str
        What stands still meanwhile; empty where nothing is refractory.
    symbols : dict
        Name -> what it stands for.
    problems : list of str
        What has no normal form.
    """

    pop: PopulationNode
    dt: float
    odes: dict[str, Poly] = field(default_factory=dict)
    updates: dict[str, Poly] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    jumps: dict[str, list[tuple[str, Poly, str]]] = field(default_factory=dict)
    threshold: Condition | str | None = None
    conjuncts: list[Condition] = field(default_factory=list)
    reset: list[tuple[str, Poly]] = field(default_factory=list)
    refractory: Number = 0.0
    clamp: tuple[str, ...] = ()
    symbols: dict[str, Symbol] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def is_input(self, mono: Monomial) -> bool:
        """Tell whether a term is made of inputs alone (and is no constant)."""
        return bool(mono) and all(n in self.symbols and self.symbols[n].expr is not None for n in mono)

    def function(self, op: str, *args: Poly) -> Poly:
        """Return the symbol of a function, the same one for the same arguments."""
        for name, s in self.symbols.items():
            if s.op == op and len(s.args) == len(args) and all(map(same, s.args, args)):
                return variable(name)
        name = f"{op}({', '.join(map(text, args))})"
        while name in self.symbols:
            name += "'"
        self.symbols[name] = Symbol(op, tuple(args))
        return variable(name)


def input_variables(system: System) -> tuple[str, ...]:
    """Return the discrete variables that nothing of the cell enters and no spike changes: an input's own."""
    found = {e.var: e.expr for e in system.equations if e.kind == "update"}
    variables = {e.var for e in system.equations}
    changed = {v for v, _ in system.reset} | {j.var for js in system.jumps.values() for j in js}
    read = set() if system.threshold is None else ex.names(system.threshold)
    inside = set(found) - changed - read - set(system.clamp)
    while True:
        out = {v for v in inside if ex.names(found[v]) & (variables - inside)}
        if not out:
            return tuple(v for v in found if v in inside)
        inside -= out


class _Reader:
    """Puts the expressions of one population into normal form."""

    def __init__(self, graph: Graph, pop: PopulationNode) -> None:
        assert pop.model is not None
        self.system, self.params = pop.model.system, pop.model.params
        self.out = Normal(pop, graph.dt)
        self.variables = {e.var for e in self.system.equations}
        self.inputs = set(input_variables(self.system))
        self.states = self.variables - self.inputs
        self.renewed: dict[str, Poly] = {}

    def known(self, e: Expr) -> bool:
        """Tell whether an expression is made of parameters and numbers."""
        return ex.names(e) <= set(self.params) and not any(x.op in _CHANCE or x.op == "scheduled" for x in ex.walk(e))

    def value(self, e: Expr) -> Number:
        """Evaluate an expression of parameters, in double precision."""
        program = edge_program(e)
        assert program.result is not None
        out = evaluate(program, lambda ins: np.asarray(self.params[ins.attr], dtype=np.float64)[()])[program.result]
        return float(out) if np.ndim(out) == 0 else np.asarray(out, dtype=np.float64)

    def poly(self, e: Expr) -> Poly:
        """Return the normal form of a number."""
        if self.known(e):
            return constant(self.value(e))
        if e.op == "name" and e.attr in self.states:
            return variable(e.attr)
        if e.op == "next" and e.attr in self.states:
            return self.next(e.attr)
        if e.op in ("add", "sub"):
            return add(self.poly(e.args[0]), self.poly(e.args[1]), 1.0 if e.op == "add" else -1.0)
        if e.op == "neg":
            return scale(self.poly(e.args[0]), -1.0)
        if e.op == "mul":
            return mul(self.poly(e.args[0]), self.poly(e.args[1]))
        if e.op == "div" and self.known(e.args[1]):
            return scale(self.poly(e.args[0]), 1.0 / self.value(e.args[1]))
        if not (ex.names(e) & self.states):
            return self.input(e)
        if any(x.op in COMPARE or x.op in ("and", "or", "not") for x in e.args):
            raise NoPolynomial("has an equation with a condition")
        return self.out.function(e.op, *(self.poly(a) for a in e.args))

    def input(self, e: Expr) -> Poly:
        """Return the symbol of an input."""
        for name, s in self.out.symbols.items():
            if s.expr == e:
                return variable(name)
        name = f"input {sum(s.expr is not None for s in self.out.symbols.values())}"
        self.out.symbols[name] = Symbol(e.op, (), e)
        return variable(name)

    def next(self, var: str) -> Poly:
        """Return the new value of a discrete variable."""
        for e in self.system.equations:
            if e.var == var and e.kind == "update":
                if var not in self.renewed:
                    self.renewed[var] = self.poly(e.expr)
                return self.renewed[var]
        raise NoPolynomial(f"reads {var}[n+1], the outcome of an integration")

    def attempt(self, read: Callable[[], Any]) -> Any:
        """Read something; what has no normal form is noted."""
        try:
            return read()
        except NoPolynomial as e:
            self.out.problems.append(f"it {e}")
            return None

    def condition(self, e: Expr) -> Condition | str:
        """Return the normal form of the threshold."""
        if e.op not in COMPARE:
            return f"tests {ex.render(e)}" if e.op != "scheduled" else "spikes at given times"
        try:
            return Condition(e.op, add(self.poly(e.args[0]), self.poly(e.args[1]), -1.0))
        except NoPolynomial as problem:
            return str(problem)

    def conjuncts(self, e: Expr) -> list[Condition]:
        """Return the comparisons that a threshold joins by ``and``, or none if anything else is in it."""
        parts = [self.conjuncts(x) for x in e.args] if e.op == "and" else []
        if parts:
            return [x for part in parts for x in part] if all(parts) else []
        found = self.condition(e)
        return [] if isinstance(found, str) else [found]

    def run(self) -> Normal:
        """Read everything."""
        out, s = self.out, self.system
        out.inputs = input_variables(s)
        for e in s.equations:
            if e.var in self.inputs:
                continue
            p = self.attempt(lambda e=e: self.next(e.var) if e.kind == "update" else self.poly(e.expr))
            if p is not None:
                (out.updates if e.kind == "update" else out.odes)[e.var] = p
        for receptor, jumps in s.jumps.items():
            rows = [(j.var, self.attempt(lambda j=j: self.poly(j.gain)), j.when) for j in jumps]
            out.jumps[receptor] = [row for row in rows if row[1] is not None]
        if s.threshold is not None:
            out.threshold = self.condition(s.threshold)
            out.conjuncts = self.conjuncts(s.threshold)
        for var, e in s.reset:
            p = self.attempt(lambda e=e: self.poly(e))
            if p is not None:
                out.reset.append((var, p))
        if s.refractory is not None and ex.is_condition(s.refractory):
            out.problems.append(f"it is refractory while {ex.render(s.refractory)}, and NEST's cells for a time")
        elif s.refractory is not None:
            out.refractory = np.rint(np.asarray(self.value(s.refractory)) / out.dt)[()]
            out.clamp = tuple(s.clamp) if np.any(out.refractory) else ()
        return out


def normal_form(graph: Graph, pop: PopulationNode) -> Normal:
    """Return the normal form of a population."""
    return _Reader(graph, pop).run()


def equations_of(graph: Graph, pop: PopulationNode, states: set[str]) -> Callable[[Expr], Poly]:
    """Return the function that puts an expression of some variables of a population into normal form.

    It raises :class:`NoPolynomial` for one that is not made of them, parameters, and numbers.
    """
    reader = _Reader(graph, pop)
    reader.states, reader.inputs = set(states), set()

    def read(e: Expr) -> Poly:
        p = reader.poly(e)
        if reader.out.symbols:
            raise NoPolynomial(f"reads {next(iter(reader.out.symbols))}")
        return p

    return read

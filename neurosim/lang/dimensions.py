"""Dimensions of variables are inferred, not declared: every ``+``, comparison and equation is a constraint.

The dimension of an expression is a product of powers of unknown dimensions (one per state variable or port) and a
known one; ``a + b`` says that two such products are equal. The constraints are linear in the exponents and are
solved by elimination as they are met (A. Kennedy, "Types for units-of-measure", 2010), so that the first equation
that contradicts the ones before it is the one that is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from neurosim.errors import DimensionError, UnknownNameError, suggest
from neurosim.ir.expr import Expr, is_zero, render
from neurosim.ir.ops import COMPARE, FUNCTIONS
from neurosim.units import DIMENSIONLESS, FREQUENCY, TIME, Dimension, usual_unit


@dataclass(frozen=True, slots=True)
class Form:
    """A product of unknowns to rational powers, and a known dimension."""

    unknowns: tuple[tuple[str, Fraction], ...]
    known: Dimension

    def times(self, other: Form, power: int | Fraction = 1) -> Form:
        """Return ``self * other ** power``."""
        powers = dict(self.unknowns)
        for name, p in other.unknowns:
            powers[name] = powers.get(name, Fraction(0)) + p * power
        if any(abs(p) > MAX_POWER or p.denominator > MAX_POWER for p in powers.values()):
            raise DimensionError(
                f"a unit is raised to a power beyond {MAX_POWER}: look for a square that is taken again and again"
            )
        known = tuple(a + b * power for a, b in zip(self.known.exponents, other.known.exponents, strict=True))
        if any(abs(p) > MAX_POWER or Fraction(p).denominator > MAX_POWER for p in known):
            raise DimensionError(
                f"a unit is raised to a power beyond {MAX_POWER}: look for a square that is taken again and again"
            )
        return Form(tuple((n, p) for n, p in powers.items() if p), Dimension(known))

    def power(self, power: int | Fraction) -> Form:
        """Return ``self ** power``."""
        return Form((), DIMENSIONLESS).times(self, power)


NUMBER = Form((), DIMENSIONLESS)

MAX_POWER = 10_000
"""Largest power, or root, of a unit that can come up on the way to a result."""


def _free(name: str) -> Form:
    return Form(((name, Fraction(1)),), DIMENSIONLESS)


def _hint(a: Form, b: Form) -> str:
    """Suggest the unit that is likely missing where a plain number met a quantity."""
    for one, other in ((a, b), (b, a)):
        if not one.unknowns and not other.unknowns and one.known == DIMENSIONLESS:
            unit = usual_unit(other.known)
            return f"; give the plain number its unit, as in 5*{unit}" if unit else ""
    return ""


class Solver:
    """Collects constraints and knows, at any moment, what follows from them.

    Parameters
    ----------
    known : mapping
        Name -> dimension, of parameters; any other name is an unknown.
    unknown : set of str
        Names whose dimension is to be found.
    """

    def __init__(self, known: Mapping[str, Dimension], unknown: set[str], where: str | None) -> None:
        self.known, self.unknown, self.where = dict(known), set(unknown), where
        self.solved: dict[str, Form] = {}

    def reduce(self, form: Form) -> Form:
        """Put what is known of the unknowns into a form."""
        out = Form((), form.known)
        for name, p in form.unknowns:
            out = out.times(self._solution(name), p)
        return out

    def _solution(self, name: str) -> Form:
        """Return what a name stands for in terms of free unknowns, and keep it; a chain may be as long as the text."""
        open_ = [name] if name in self.solved else []
        while open_:
            form = self.solved[open_[-1]]
            later = [u for u, _ in form.unknowns if u in self.solved]
            waiting = [u for u in later if any(w in self.solved for w, _ in self.solved[u].unknowns)]
            if waiting:
                open_ += waiting
                continue
            out = Form((), form.known)
            for u, p in form.unknowns:
                out = out.times(self.solved.get(u) or _free(u), p)
            self.solved[open_.pop()] = out
        return self.solved.get(name) or _free(name)

    def equal(self, a: Form, b: Form, doing: str, text: str) -> None:
        """Demand that two forms are equal."""
        with self._located(text):
            gap = self.reduce(a.times(b, -1))
        if not gap.unknowns:
            if gap.known != DIMENSIONLESS:
                left, right = self.reduce(a), self.reduce(b)
                first, join = doing.split("|")
                if left.unknowns or right.unknowns:
                    detail = f"{first.rstrip(':')}: the units differ by a factor of {gap.known}"
                else:
                    detail = f"{first} {left.known} {join} {right.known}"
                raise DimensionError(f"{detail} in '{text}'{_hint(left, right)}", self.where)
            return
        name, p = gap.unknowns[0]
        with self._located(text):
            rest = Form(tuple(u for u in gap.unknowns if u[0] != name), gap.known).power(-1 / p)
        self.solved[name] = rest

    @contextmanager
    def _located(self, text: str) -> Iterator[None]:
        """Say where a power beyond the limit came up."""
        try:
            yield
        except DimensionError as e:
            if e.where is not None:
                raise
            raise DimensionError(f"{e.message}, in '{text}'", self.where) from None

    def form(self, e: Expr, text: str) -> Form:
        """Return the form of an expression, adding the constraints inside it."""
        with self._located(text):
            return self._form(e, text)

    def _form(self, e: Expr, text: str) -> Form:
        if e.op == "const":
            return Form((), e.dim or DIMENSIONLESS)
        if e.op in ("name", "next"):
            if e.attr in ("t", "dt"):
                return Form((), TIME)
            if e.attr in self.known:
                return Form((), self.known[e.attr])
            if e.attr in self.unknown:
                return Form(((e.attr, Fraction(1)),), DIMENSIONLESS)
            raise UnknownNameError(
                f"unknown name '{e.attr}' in '{text}'{suggest(e.attr, [*self.known, *self.unknown])}", self.where
            )
        if e.op in ("uniform", "normal"):
            return NUMBER
        parts = [self._form(a, text) for a in e.args]
        if e.op in ("add", "sub", "min", "max"):
            verb = {"add": "cannot add|and", "sub": "cannot subtract|and"}.get(e.op, "cannot compare|with")
            self.equal(parts[0], parts[1], verb, text)
            return parts[0]
        if e.op in COMPARE:
            self.equal(parts[0], parts[1], "cannot compare|with", text)
            return NUMBER
        if e.op == "mul":
            return parts[0].times(parts[1])
        if e.op == "div":
            return parts[0].times(parts[1], -1)
        if e.op in ("neg", "abs", "flush"):
            return parts[0]
        if e.op == "sqrt":
            return parts[0].power(Fraction(1, 2))
        if e.op == "select":
            self.equal(parts[1], parts[2], "cannot choose between|and", text)
            return parts[1]
        if e.op == "in_steps":
            self.equal(parts[0], Form((), TIME), "in_steps() takes a time:|and", text)
            return NUMBER
        if e.op in FUNCTIONS or e.op in ("floor", "rint"):
            for a, part in zip(e.args, parts, strict=True):
                got = self.reduce(part)
                if not got.unknowns and got.known != DIMENSIONLESS:
                    what = "a power that is no whole number" if e.op == "pow" else f"{e.op}()"
                    unit = usual_unit(got.known)
                    raise DimensionError(
                        f"{what} takes dimensionless numbers, but '{render(a)}' is {got.known} in '{text}'"
                        + (f"; divide it by a quantity such as 1*{unit}" if unit else ""),
                        self.where,
                    )
                self.equal(part, NUMBER, f"{e.op}() takes dimensionless numbers:|and", text)
            return NUMBER
        return NUMBER  # and, or, not

    def dimension(self, name: str) -> Dimension | None:
        """Return the dimension of a name, None while it is free."""
        if name in self.known:
            return self.known[name]
        form = self.reduce(Form(((name, Fraction(1)),), DIMENSIONLESS))
        return None if form.unknowns else form.known

    def resolve(self, e: Expr, text: str) -> Dimension | None:
        """Return the dimension of an expression, None while it is free."""
        form = self.reduce(self.form(e, text))
        return None if form.unknowns else form.known

    def assign(self, name: str, e: Expr, text: str, rate: bool = False) -> None:
        """Demand that an expression fits a variable (or, with ``rate``, its derivative, which may be a plain 0)."""
        if rate and is_zero(e):
            return
        target = self.form(Expr("name", (), name), text)
        if rate:
            target = target.times(Form((), FREQUENCY))
        self.equal(target, self.form(e, text), "the two sides differ:|and", text)

    def declare(self, name: str, dim: Dimension, text: str) -> None:
        """Demand a dimension for a name."""
        self.equal(self.form(Expr("name", (), name), text), Form((), dim), f"'{name}' cannot be both|and", text)

"""The grammar of equations, conditions and statements.

A hand-written recursive descent into :class:`neurosim.ir.expr.Expr`; text is never evaluated, so a network file
cannot run code. ::

    expression  = disjunction
    disjunction = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | comparison
    comparison  = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
    sum         = product { ("+" | "-") product }
    product     = unary { ("*" | "/") unary }
    unary       = ("-" | "+") unary | power
    power       = atom [ "**" unary ]
    atom        = number | name | name "(" [ expression { "," expression } ] ")" | name "[" "n" "+" "1" "]"
                | "(" expression ")"
    equation    = "d" name "/" "dt" "=" expression [ ":" unit ]
                | name "[" "n" "+" "1" "]" "=" expression [ ":" unit ]
                | name "=" expression [ ":" unit ]
    statement   = name ("=" | "+=" | "-=" | "*=" | "/=") expression

Equations and statements are separated by new lines or semicolons; ``#`` starts a comment.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from neurosim.errors import EquationError, suggest
from neurosim.ir.expr import Expr, add, call, const, div, mul, neg, sub
from neurosim.ir.expr import name as name_
from neurosim.units import DIMENSIONLESS, UNITS, Dimension, Quantity, parse_quantity

MAX_LENGTH, MAX_DEPTH = 20_000, 60
"""Longest text and deepest nesting that are accepted (a hostile file cannot exhaust the stack)."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|\+=|-=|\*=|/=|[-+*/<>=(),\[\]:]))"
)
_FUNCTIONS = {
    "exp": 1, "expm1": 1, "exprel": 1, "log": 1, "log1p": 1, "sigmoid": 1, "tanh": 1, "sin": 1, "cos": 1, "sqrt": 1,
    "abs": 1, "floor": 1, "min": 2, "max": 2, "where": 3, "uniform": 0, "normal": 0, "clip": 3,
}  # fmt: skip
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
RESERVED = frozenset({"t", "dt", "pi", "and", "or", "not", *_FUNCTIONS})
"""Names a variable or parameter may not take."""


@dataclass(frozen=True, slots=True)
class Equation:
    """``kind`` is ``ode`` (dx/dt), ``update`` (x[n+1]) or ``let`` (a named intermediate)."""

    var: str
    kind: str
    expr: Expr
    dim: Dimension | None
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """``var = expr``, after ``+=`` and its kin have been written out."""

    var: str
    expr: Expr
    text: str


class Parser:
    """Parses one piece of text; ``names`` are variables and parameters that hide units of the same name."""

    def __init__(self, text: str, names: Collection[str] = (), where: str | None = None) -> None:
        if len(text) > MAX_LENGTH:
            raise EquationError(f"the text is {len(text)} characters long; at most {MAX_LENGTH} are read", where)
        self.text, self.names, self.where = text, names, where
        self.draws = 0
        self.tokens: list[tuple[str, str, int]] = []
        self._tokenise()
        self.at = 0
        self.depth = 0

    def _tokenise(self) -> None:
        at, end = 0, len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if not found:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                raise self.error(f"unexpected character {self.text[at]!r}", at)
            kind = found.lastgroup or ""
            self.tokens.append((kind, found.group(kind), found.start(kind)))
            at = found.end()
        self.tokens.append(("end", "", end))

    def error(self, message: str, at: int | None = None) -> EquationError:
        """Build the error: the sentence, the text and a caret under the place."""
        place = self.tokens[self.at][2] if at is None else at
        start = self.text.rfind("\n", 0, place) + 1
        stop = self.text.find("\n", place)
        line = self.text[start : stop if stop >= 0 else len(self.text)]
        return EquationError(f"{message}\n    {line}\n    {' ' * (place - start)}^", self.where)

    def peek(self) -> str:
        """Return the text of the next token."""
        return self.tokens[self.at][1]

    def take(self) -> tuple[str, str, int]:
        """Consume the next token."""
        token = self.tokens[self.at]
        self.at += 1
        return token

    def expect(self, sign: str) -> None:
        """Consume the given sign, or complain."""
        if self.peek() != sign:
            raise self.error(f"expected {sign!r}" + (f", found {self.peek()!r}" if self.peek() else " here"))
        self.take()

    def accept(self, *signs: str) -> str | None:
        """Consume one of the given signs if it is next."""
        if self.tokens[self.at][0] != "number" and self.peek() in signs and self.peek():
            return self.take()[1]
        return None

    def finish(self) -> None:
        """Complain about what is left over."""
        if self.tokens[self.at][0] != "end":
            raise self.error(f"unexpected {self.peek()!r}")

    # -- expressions ----------------------------------------------------------------------------------------------

    def expression(self) -> Expr:
        """Parse ``expression``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels")
        left = self.conjunction()
        while self.accept("or"):
            left = call("or", left, self.conjunction())
        self.depth -= 1
        return left

    def conjunction(self) -> Expr:
        """Parse ``conjunction``."""
        left = self.negation()
        while self.accept("and"):
            left = call("and", left, self.negation())
        return left

    def negation(self) -> Expr:
        """Parse ``negation``."""
        inverted = False
        while self.accept("not"):
            inverted = not inverted
        inner = self.comparison()
        return call("not", inner) if inverted else inner

    def comparison(self) -> Expr:
        """Parse ``comparison``."""
        left = self.sum()
        sign = self.accept(*_COMPARE)
        if sign:
            left = call(_COMPARE[sign], left, self.sum())
            if self.peek() in _COMPARE:
                raise self.error("a chain of comparisons: write (a < b) and (b < c)")
        return left

    def sum(self) -> Expr:
        """Parse ``sum``."""
        left = self.product()
        while sign := self.accept("+", "-"):
            right = self.product()
            left = Expr("add" if sign == "+" else "sub", (left, right))
        return left

    def product(self) -> Expr:
        """Parse ``product``."""
        left = self.unary()
        while sign := self.accept("*", "/"):
            left = Expr("mul" if sign == "*" else "div", (left, self.unary()))
        return left

    def unary(self) -> Expr:
        """Parse ``unary``."""
        inverted = False
        while sign := self.accept("-", "+"):
            inverted ^= sign == "-"
        inner = self.power()
        if not inverted:
            return inner
        if inner.op == "const":
            return Expr("const", (), -inner.attr, inner.dim, inner.span)
        return Expr("neg", (inner,))

    def power(self) -> Expr:
        """Parse ``power``; an integer exponent becomes multiplications, 0.5 a square root."""
        base = self.atom()
        if not self.accept("**"):
            return base
        at = self.tokens[self.at][2]
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels")
        exponent = self.unary()
        self.depth -= 1
        if exponent.op != "const" or exponent.dim is not None:
            return call("pow", base, exponent)
        if exponent.attr == 0.5:
            return call("sqrt", base)
        if exponent.attr == int(exponent.attr):
            if abs(exponent.attr) > 64:
                raise self.error("an integer exponent is at most 64 in magnitude", at)
            return _power(base, int(exponent.attr))
        return call("pow", base, exponent)

    def atom(self) -> Expr:
        """Parse ``atom``."""
        kind, text, at = self.take()
        if kind == "number":
            value = float(text)
            if value == float("inf"):
                raise self.error("the number is too large", at)
            return Expr("const", (), value, None, (at, at + len(text)))
        if text == "(" and kind == "sign":
            inner = self.expression()
            self.expect(")")
            return inner
        if kind != "name" or text in ("and", "or", "not"):
            self.at -= 1
            raise self.error("expected a number, a name or '('" + (f", found {text!r}" if text else " here"))
        span = (at, at + len(text))
        if self.peek() == "(":
            return self._function(text, at)
        if self.peek() == "[":
            self.take()
            for sign in ("n", "+", "1"):
                self.expect(sign)
            self.expect("]")
            return Expr("next", (), text, None, span)
        if text in self.names:
            return Expr("name", (), text, None, span)
        if text == "pi":
            return Expr("const", (), 3.141592653589793, None, span)
        if text in UNITS:
            unit: Quantity = UNITS[text]
            return Expr("const", (), float(unit.value), unit.dim, span)
        return Expr("name", (), text, None, span)

    def _function(self, text: str, at: int) -> Expr:
        if text not in _FUNCTIONS:
            raise self.error(f"no function {text!r}{suggest(text, _FUNCTIONS)}", at)
        self.take()
        args: list[Expr] = []
        if self.peek() != ")":
            args.append(self.expression())
            while self.accept(","):
                args.append(self.expression())
        self.expect(")")
        if len(args) != _FUNCTIONS[text]:
            raise self.error(f"{text} takes {_FUNCTIONS[text]} argument(s), got {len(args)}", at)
        if text in ("uniform", "normal"):
            self.draws += 1
            return Expr(text, (), f"{text}{self.draws - 1}")
        if text == "where":
            return call("select", *args)
        if text == "clip":
            return call("min", call("max", args[0], args[1]), args[2])
        return call(text, *args)

    # -- equations and statements ---------------------------------------------------------------------------------

    def equation(self) -> Equation:
        """Parse ``equation``."""
        kind, text, at = self.take()
        if kind != "name":
            raise self.error("an equation starts with dx/dt, x[n+1] or x", at)
        if self.accept("/"):
            self.expect("dt")
            if not text.startswith("d") or len(text) < 2:
                raise self.error("the left side of a differential equation is written dx/dt", at)
            var, what = text[1:], "ode"
        elif self.accept("["):
            for sign in ("n", "+", "1"):
                self.expect(sign)
            self.expect("]")
            var, what = text, "update"
        else:
            var, what = text, "let"
        if var in RESERVED:
            raise self.error(f"'{var}' is a reserved name", at)
        self.expect("=")
        expr = self.expression()
        dim = None
        if self.accept(":"):
            start = self.tokens[self.at][2]
            unit = self.text[start:].strip()
            dim = _dimension(unit, self.where)
            self.at = len(self.tokens) - 1
        self.finish()
        return Equation(var, what, expr, dim, " ".join(self.text.split()))

    def statement(self) -> Statement:
        """Parse ``statement``."""
        kind, var, at = self.take()
        if kind != "name":
            raise self.error("a statement starts with the variable it changes", at)
        sign = self.accept("=", "+=", "-=", "*=", "/=")
        if not sign:
            raise self.error("expected '=', '+=', '-=', '*=' or '/='")
        value = self.expression()
        self.finish()
        old = name_(var)
        made = {"=": lambda: value, "+=": lambda: add(old, value), "-=": lambda: sub(old, value),
                "*=": lambda: mul(old, value), "/=": lambda: div(old, value)}[sign]()  # fmt: skip
        return Statement(var, made, " ".join(self.text.split()))


def _power(base: Expr, exponent: int) -> Expr:
    if exponent < 0:
        return div(const(1.0), _power(base, -exponent)) if exponent != -1 else Expr("div", (const(1.0), base))
    if exponent == 0:
        return const(1.0)
    out: Expr | None = None
    square = base
    while exponent:  # by squaring: x**4 is two multiplications
        if exponent & 1:
            out = square if out is None else Expr("mul", (out, square))
        exponent >>= 1
        if exponent:
            square = Expr("mul", (square, square))
    assert out is not None
    return out


def _dimension(text: str, where: str | None) -> Dimension:
    if text == "1":
        return DIMENSIONLESS
    value = parse_quantity(text if text[:1].isdigit() else "1 " + text)
    return value.dim if isinstance(value, Quantity) else DIMENSIONLESS


def lines(text: str) -> list[str]:
    """Split text into equations or statements, without comments and blank lines."""
    if len(text) > MAX_LENGTH:
        raise EquationError(f"the text is {len(text)} characters long; at most {MAX_LENGTH} are read")
    bare = "\n".join(line.split("#", 1)[0] for line in text.splitlines())
    return [part.strip() for part in re.split(r"[;\n]", bare) if part.strip()]


def parse_expression(text: str, names: Collection[str] = (), where: str | None = None) -> Expr:
    """Parse one expression."""
    parser = Parser(text, names, where)
    out = parser.expression()
    parser.finish()
    return out


def parse_equations(text: str, names: Collection[str] = (), where: str | None = None) -> tuple[Equation, ...]:
    """Parse equations; their own left sides hide units too (``m`` is a gate here, not a metre)."""
    parts = lines(text)
    own = {*names, *(left for part in parts if (left := _left(part)))}
    out: list[Equation] = []
    draws = 0
    for part in parts:
        parser = Parser(part, own, where)
        parser.draws = draws
        out.append(parser.equation())
        draws = parser.draws
    seen: set[str] = set()
    for eq in out:
        if eq.var in seen:
            raise EquationError(f"'{eq.var}' is defined twice: {eq.text}", where)
        seen.add(eq.var)
    return tuple(out)


def _left(part: str) -> str | None:
    found = re.match(r"\s*(?:d(?P<ode>\w+)\s*/\s*dt|(?P<other>\w+)\s*(?:\[[^]]*\]\s*)?)\s*=(?!=)", part)
    return (found.group("ode") or found.group("other")) if found else None


def parse_statements(text: str, names: Collection[str] = (), where: str | None = None) -> tuple[Statement, ...]:
    """Parse statements, executed in order."""
    return tuple(Parser(part, names, where).statement() for part in lines(text))


__all__ = [
    "Equation", "Parser", "RESERVED", "Statement", "lines", "neg", "parse_equations", "parse_expression",
    "parse_statements",
]  # fmt: skip

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

Equations and statements are separated by new lines or semicolons; ``#`` starts a comment. Conditions and numbers do
not mix: what ``and``, ``or``, ``not`` and ``where`` take as a condition is a comparison, and no sum holds one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from neurosim.errors import EquationError, ParameterError, suggest
from neurosim.habits import FUNCTIONS, elsewhere
from neurosim.ir.expr import Expr, call, const, div, is_condition, too_large, walk
from neurosim.ir.expr import name as name_
from neurosim.units import DIMENSIONLESS, UNITS, Dimension, Quantity, parse_quantity

MAX_LENGTH, MAX_DEPTH, MAX_LEVELS = 100_000, 60, 200
"""Longest text, deepest nesting of brackets and deepest tree (a hostile file cannot exhaust the stack)."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|\+=|-=|\*=|/=|[-+*/<>=(),\[\]:]))"
)
_FUNCTIONS = {
    "exp": 1,
    "expm1": 1,
    "exprel": 1,
    "log": 1,
    "log1p": 1,
    "sigmoid": 1,
    "tanh": 1,
    "sin": 1,
    "cos": 1,
    "sqrt": 1,
    "abs": 1,
    "floor": 1,
    "min": 2,
    "max": 2,
    "where": 3,
    "uniform": 0,
    "normal": 0,
    "clip": 3,
    "in_steps": 1,
}
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

    def __init__(self, text: str, names: Collection[str] = (), where: str | None = None, draws: int = 0) -> None:
        _readable(text, where)
        self.text, self.names, self.where = text, names, where
        self.draws = draws
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
                c = self.text[at]
                more = ": a power is written **" if c == "^" else ""
                if not c.isascii():
                    kind = unicodedata.name(c, "without a name").lower()
                    more = f" (U+{ord(c):04X}, {kind}): write letters a to z, digits and the signs of a keyboard"
                raise self.error(f"unexpected character {ascii(c) if not c.isprintable() else repr(c)}{more}", at)
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
        head, tail = line[: place - start], line[place - start :]
        if len(head) > 50:
            head = "…" + head[-49:]
        if len(tail) > 50:
            tail = tail[:49] + "…"
        head, tail = _printable(head), _printable(tail)
        return EquationError(f"{message}\n    {head}{tail}\n    {' ' * len(head)}^", self.where)

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
            more = ": only an expression belongs here, without 'name ='" if self.peek() == "=" else ""
            raise self.error(f"unexpected {self.peek()!r}{more}")

    def whole(self, condition: bool | None = False) -> Expr:
        """Parse an expression that is all of the rest: a number, a condition, or (None) either."""
        at = self.tokens[self.at][2]
        out = self.expression()
        self.finish()
        if condition and not is_condition(out):
            raise self.error("a condition compares values, as in v >= v_th; this is a number", at)
        if condition is False:
            self.number(out, at)
        problem = too_large(out, MAX_LEVELS)
        if problem:
            raise EquationError(f"{problem}: give a name to a part of it, on a line of its own", self.where)
        return out

    def number(self, e: Expr, at: int) -> Expr:
        """Complain about a condition where a number has to stand."""
        if is_condition(e):
            raise self.error("a condition is no number: write where(condition, 1, 0)", at)
        return e

    def condition(self, e: Expr, at: int) -> Expr:
        """Complain about a number where a condition has to stand."""
        if not is_condition(e):
            raise self.error("a comparison has to stand here, as in v > 0", at)
        return e

    # -- expressions ----------------------------------------------------------------------------------------------

    def expression(self) -> Expr:
        """Parse ``expression``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels")
        at = self.tokens[self.at][2]
        left = self.conjunction()
        while self.accept("or"):
            self.condition(left, at)
            right = self.tokens[self.at][2]
            left = call("or", left, self.condition(self.conjunction(), right))
        self.depth -= 1
        return left

    def conjunction(self) -> Expr:
        """Parse ``conjunction``."""
        at = self.tokens[self.at][2]
        left = self.negation()
        while self.accept("and"):
            self.condition(left, at)
            right = self.tokens[self.at][2]
            left = call("and", left, self.condition(self.negation(), right))
        return left

    def negation(self) -> Expr:
        """Parse ``negation``."""
        count = 0
        while self.accept("not"):
            count += 1
        at = self.tokens[self.at][2]
        inner = self.comparison()
        if count:
            self.condition(inner, at)
        return call("not", inner) if count % 2 else inner

    def comparison(self) -> Expr:
        """Parse ``comparison``."""
        at = self.tokens[self.at][2]
        left = self.sum()
        sign = self.accept(*_COMPARE)
        if sign:
            self.number(left, at)
            right = self.tokens[self.at][2]
            left = call(_COMPARE[sign], left, self.number(self.sum(), right))
            if self.peek() in _COMPARE:
                raise self.error("a chain of comparisons: write (a < b) and (b < c)")
        return left

    def sum(self) -> Expr:
        """Parse ``sum``."""
        at = self.tokens[self.at][2]
        left = self.product()
        while sign := self.accept("+", "-"):
            self.number(left, at)
            right = self.tokens[self.at][2]
            left = Expr("add" if sign == "+" else "sub", (left, self.number(self.product(), right)))
        return left

    def product(self) -> Expr:
        """Parse ``product``."""
        at = self.tokens[self.at][2]
        left = self.unary()
        while sign := self.accept("*", "/"):
            self.number(left, at)
            right = self.tokens[self.at][2]
            left = Expr("mul" if sign == "*" else "div", (left, self.number(self.unary(), right)))
        return left

    def unary(self) -> Expr:
        """Parse ``unary``."""
        inverted, signs = False, 0
        while sign := self.accept("-", "+"):
            inverted ^= sign == "-"
            signs += 1
        at = self.tokens[self.at][2]
        inner = self.power()
        if signs:
            self.number(inner, at)
        if not inverted:
            return inner
        if inner.op == "const":
            return Expr("const", (), -inner.attr, inner.dim, inner.span)
        return Expr("neg", (inner,))

    def power(self) -> Expr:
        """Parse ``power``; an integer exponent becomes multiplications, 0.5 a square root."""
        start = self.tokens[self.at][2]
        base = self.atom()
        if not self.accept("**"):
            return base
        self.number(base, start)
        at = self.tokens[self.at][2]
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels")
        exponent = self.number(self.unary(), at)
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
            if self.tokens[self.at + 1][1] != "n":
                raise self.error("only x[n+1], the new value, has brackets: variables have no index")
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
            more = elsewhere(text, FUNCTIONS) or suggest(text, _FUNCTIONS)
            if [token[1] for token in self.tokens[self.at : self.at + 3]] == ["(", "t", ")"]:
                more += f"; a TimedArray is given as {text}=… and read as {text}, without (t)"
            raise self.error(f"no function {text!r}{more}", at)
        self.take()
        args: list[Expr] = []
        places: list[int] = []
        if self.peek() != ")":
            places.append(self.tokens[self.at][2])
            args.append(self.expression())
            while self.accept(","):
                places.append(self.tokens[self.at][2])
                args.append(self.expression())
        self.expect(")")
        if len(args) != _FUNCTIONS[text]:
            raise self.error(f"{text} takes {_FUNCTIONS[text]} argument(s), got {len(args)}", at)
        if text in ("uniform", "normal"):
            self.draws += 1
            return Expr(text, (), f"{text}{self.draws - 1}")
        for k, (e, place) in enumerate(zip(args, places, strict=True)):
            self.condition(e, place) if text == "where" and k == 0 else self.number(e, place)
        if text == "where":
            return call("select", *args)
        if text == "clip":
            return call("min", call("max", args[0], args[1]), args[2])
        return call(text, *args)

    # -- equations and statements ---------------------------------------------------------------------------------

    def equation(self, unit: str | None = None) -> Equation:
        """Parse ``equation``; the text after ``:``, a unit, comes separately."""
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
            if self.peek() == "*" and "/dt" in "".join(self.text.split()).partition("=")[0]:
                raise self.error(f"only the derivative stands on the left: divide the right side by {text}", at)
            if unit is not None and not self.peek():
                raise self.error(f"'{text}' has a unit but no equation: a parameter is given as {text}=…", at)
        problem = reserved(var)
        if problem:
            raise self.error(f"'{var}' cannot name a variable: {problem}", at)
        self.expect("=")
        expr = self.whole()
        shown = " ".join(self.text.split())
        if unit is None:
            return Equation(var, what, expr, None, shown)
        return Equation(var, what, expr, _dimension(unit, self.where), f"{shown} : {unit}")

    def statement(self) -> Statement:
        """Parse ``statement``."""
        kind, var, at = self.take()
        if kind != "name":
            raise self.error("a statement starts with the variable it changes", at)
        sign = self.accept("=", "+=", "-=", "*=", "/=")
        if not sign:
            raise self.error("expected '=', '+=', '-=', '*=' or '/='")
        value = self.whole()
        op = {"+=": "add", "-=": "sub", "*=": "mul", "/=": "div"}.get(sign)
        made = value if op is None else call(op, name_(var), value)
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


def _printable(text: str) -> str:
    """Return text with the characters that move a cursor, turn the writing or cannot be shown as escapes."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in text)


def drawn(e: Expr) -> int:
    """Return how many streams are taken once the random numbers of an expression have theirs."""
    return max((int(x.attr.lstrip("uniformal")) + 1 for x in walk(e) if x.op in ("uniform", "normal")), default=0)


def reserved(key: str) -> str | None:
    """Return why a variable or parameter may not have a name, None where it may."""
    if key in RESERVED:
        return "the name is reserved"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", key):
        return "use letters (a to z), digits and '_'"
    return "names that start with '_' are kept for neurosim" if key.startswith("_") else None


def _readable(text: str, where: str | None) -> None:
    if not isinstance(text, str):
        raise EquationError(
            f"equations, conditions and expressions are text, not {type(text).__name__} {text!r}", where
        )
    if len(text) > MAX_LENGTH:
        raise EquationError(f"the text is {len(text)} characters long; at most {MAX_LENGTH} are read", where)


def _dimension(text: str, where: str | None) -> Dimension:
    if text == "1":
        return DIMENSIONLESS
    flags = re.fullmatch(r"[^()]+\((?P<flags>[A-Za-z ,]+)\)", text)
    if flags:
        more = ""
        if "unless refractory" in flags["flags"]:
            more = ": what the threshold reads stands still while refractory, and clamp='v, w' names other variables"
        raise EquationError(f"after ':' stands a unit, such as mV, or 1, without '({flags['flags']})'{more}", where)
    try:
        value = parse_quantity(text if text[:1].isdigit() or not text else "1 " + text)
    except ParameterError as e:
        raise EquationError(f"after ':' stands a unit, such as mV, or 1: {e.message}", where) from None
    return value.dim if isinstance(value, Quantity) else DIMENSIONLESS


def lines(text: str, where: str | None = None) -> list[str]:
    """Split text into equations or statements, without comments and blank lines."""
    _readable(text, where)
    bare = "\n".join(line.split("#", 1)[0] for line in text.split("\n"))
    return [part.strip() for part in re.split(r"[;\n]", bare) if part.strip()]


def parse_expression(
    text: str, names: Collection[str] = (), where: str | None = None, condition: bool | None = False, draws: int = 0
) -> Expr:
    """Parse one expression: a number, a condition, or (``condition=None``) either."""
    return Parser(text, names, where, draws).whole(condition)


def parse_equations(text: str, names: Collection[str] = (), where: str | None = None) -> tuple[Equation, ...]:
    """Parse equations; their own left sides hide units too (``m`` is a gate here, not a metre)."""
    parts = lines(text, where)
    own = {*names, *(left for part in parts if (left := _left(part)))}
    out: list[Equation] = []
    draws = 0
    for part in parts:
        body, colon, unit = part.partition(":")
        parser = Parser(body, own, where, draws)
        out.append(parser.equation(unit.strip() if colon else None))
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


def parse_statements(
    text: str, names: Collection[str] = (), where: str | None = None, draws: int = 0
) -> tuple[Statement, ...]:
    """Parse statements, executed in order."""
    out: list[Statement] = []
    for part in lines(text, where):
        parser = Parser(part, names, where, draws)
        out.append(parser.statement())
        draws = parser.draws
    return tuple(out)


__all__ = [
    "Equation",
    "Parser",
    "RESERVED",
    "Statement",
    "drawn",
    "lines",
    "parse_equations",
    "parse_expression",
    "parse_statements",
    "reserved",
]

"""Expressions: trees over the closed list of operations, before they become programs.

A node's operation is one of :data:`neurosim.ir.ops.OPS`, or ``name`` (a variable or parameter), or ``next`` (a
discrete variable's value after this step, written ``v[n+1]``), or ``in_steps`` (a time as a number of steps). Constants
carry their dimension until the units have been checked. Trees are immutable; every function here returns a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurosim.ir.ops import COMPARE, FUNCTIONS
from neurosim.units import Dimension


@dataclass(frozen=True, slots=True)
class Expr:
    """A node: operation, arguments, attribute (literal, name or stream number), and where in the text it stood."""

    op: str
    args: tuple[Expr, ...] = ()
    attr: Any = None
    dim: Dimension | None = None
    span: tuple[int, int] = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return render(self)


def const(value: float) -> Expr:
    """Make a literal."""
    return Expr("const", (), float(value))


def name(text: str) -> Expr:
    """Make a reference to a variable or parameter."""
    return Expr("name", (), text)


ZERO, ONE = const(0.0), const(1.0)

MAX_NODES, MAX_SUM = 10_000, 32
"""Largest tree, and longest sum that is written as a chain."""


def is_zero(e: Expr) -> bool:
    """Tell whether a tree is the literal zero."""
    return e.op == "const" and e.attr == 0.0


def is_one(e: Expr) -> bool:
    """Tell whether a tree is the dimensionless literal one (a unit such as ``second`` is not)."""
    return e.op == "const" and e.attr == 1.0 and e.dim is None


def is_condition(e: Expr) -> bool:
    """Tell whether a tree is true or false rather than a number."""
    return e.op in COMPARE or e.op in ("and", "or", "not")


def add(a: Expr, b: Expr) -> Expr:
    """``a + b``, without literal zeros."""
    return b if is_zero(a) else a if is_zero(b) else Expr("add", (a, b))


def sub(a: Expr, b: Expr) -> Expr:
    """``a - b``, without literal zeros."""
    return a if is_zero(b) else neg(b) if is_zero(a) else Expr("sub", (a, b))


def mul(a: Expr, b: Expr) -> Expr:
    """``a * b``, without literal zeros and ones."""
    if is_zero(a) or is_zero(b):
        return ZERO
    return b if is_one(a) else a if is_one(b) else Expr("mul", (a, b))


def div(a: Expr, b: Expr) -> Expr:
    """``a / b``, without literal ones below."""
    return ZERO if is_zero(a) else a if is_one(b) else Expr("div", (a, b))


def neg(a: Expr) -> Expr:
    """``-a``."""
    if is_zero(a):
        return a
    return a.args[0] if a.op == "neg" else Expr("neg", (a,))


def call(op: str, *args: Expr) -> Expr:
    """Apply any other operation."""
    return Expr(op, args)


def total(terms: Iterable[Expr]) -> Expr:
    """Sum from left to right; more than :data:`MAX_SUM` terms by halves, so that the tree stays flat."""
    given = list(terms)
    if len(given) > MAX_SUM:
        middle = len(given) // 2
        return add(total(given[:middle]), total(given[middle:]))
    out = ZERO
    for term in given:
        out = add(out, term)
    return out


def measure(e: Expr) -> tuple[int, int]:
    """Return the number of nodes of a tree and its depth; quick also where subtrees are shared."""
    seen: dict[int, tuple[int, int]] = {}
    open_ = [e]
    while open_:
        node = open_[-1]
        missing = [a for a in node.args if id(a) not in seen]
        if missing:
            open_ += missing
            continue
        open_.pop()
        parts = [seen[id(a)] for a in node.args]
        seen[id(node)] = 1 + sum(p[0] for p in parts), 1 + max((p[1] for p in parts), default=0)
    return seen[id(e)]


def too_large(e: Expr, depth: int) -> str | None:
    """Say in what a tree exceeds the limits that keep every pass quick and off the end of the stack."""
    size, levels = measure(e)
    if size > MAX_NODES:
        return f"an expression has {size} operations once written out; at most {MAX_NODES} are allowed"
    return f"an expression is nested {levels} levels deep; at most {depth} are allowed" if levels > depth else None


def walk(e: Expr) -> Iterable[Expr]:
    """Yield every node, arguments first."""
    for a in e.args:
        yield from walk(a)
    yield e


def names(e: Expr) -> set[str]:
    """Return the names a tree refers to (``v`` for ``v[n+1]`` too)."""
    return {x.attr for x in walk(e) if x.op in ("name", "next")}


def replace(e: Expr, how: Callable[[Expr], Expr | None]) -> Expr:
    """Rebuild a tree from the leaves up, putting ``how(node)`` in the place of a node where it is not None."""
    new = how(e)
    if new is not None:
        return new
    if not e.args:
        return e
    args = tuple([replace(a, how) for a in e.args])
    return e if all(a is b for a, b in zip(args, e.args, strict=True)) else Expr(e.op, args, e.attr, e.dim, e.span)


def substitute(e: Expr, table: Mapping[str, Expr]) -> Expr:
    """Put trees in the place of names."""
    return replace(e, lambda x: table.get(x.attr) if x.op == "name" else None)


def rename(e: Expr, how: Callable[[str], str]) -> Expr:
    """Rename every variable and parameter."""
    return replace(e, lambda x: Expr(x.op, (), how(x.attr), x.dim, x.span) if x.op in ("name", "next") else None)


def linear(e: Expr, variables: set[str]) -> tuple[dict[str, Expr], Expr] | None:
    """Split a tree that is linear in ``variables`` into coefficients and the rest; None where it is not linear.

    Returns
    -------
    (coefficients, rest) or None
        ``e == sum(coefficients[x] * x) + rest``, neither holding any of ``variables``.
    """
    if not (names(e) & variables):
        return {}, e
    if e.op == "name":
        return {e.attr: ONE}, ZERO
    if e.op in ("add", "sub"):
        left, right = linear(e.args[0], variables), linear(e.args[1], variables)
        if left is None or right is None:
            return None
        join = add if e.op == "add" else sub
        keys = list(dict.fromkeys([*left[0], *right[0]]))
        return {k: join(left[0].get(k, ZERO), right[0].get(k, ZERO)) for k in keys}, join(left[1], right[1])
    if e.op == "neg":
        inner = linear(e.args[0], variables)
        return None if inner is None else ({k: neg(c) for k, c in inner[0].items()}, neg(inner[1]))
    if e.op == "mul":
        for factor, other in (e.args, e.args[::-1]):
            if not (names(factor) & variables):
                inner = linear(other, variables)
                if inner is None:
                    return None
                return {k: mul(factor, c) for k, c in inner[0].items()}, mul(factor, inner[1])
        return None
    if e.op == "div" and not (names(e.args[1]) & variables):
        inner = linear(e.args[0], variables)
        if inner is None:
            return None
        return {k: div(c, e.args[1]) for k, c in inner[0].items()}, div(inner[1], e.args[1])
    return None


_INFIX = {"add": ("+", 4), "sub": ("-", 4), "mul": ("*", 5), "div": ("/", 5), "and": ("and", 1), "or": ("or", 0)}
_COMPARE_TEXT = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def render(e: Expr, level: int = -1) -> str:
    """Write a tree as the text that would parse to it (SI numbers, to the bit)."""
    if e.op == "const":
        text = repr(float(e.attr)).removesuffix(".0")
        return f"({text})" if text.startswith("-") and level > 4 else text
    if e.op == "name":
        return str(e.attr)
    if e.op == "next":
        return f"{e.attr}[n+1]"
    if e.op in COMPARE:
        text, at = f"{render(e.args[0], 4)} {_COMPARE_TEXT[e.op]} {render(e.args[1], 4)}", 3
    elif e.op in _INFIX:
        sign, at = _INFIX[e.op]
        text = f"{render(e.args[0], at)} {sign} {render(e.args[1], at + 1)}"
    elif e.op == "pow":
        text, at = f"{render(e.args[0], 8)} ** {render(e.args[1], 8)}", 7
    elif e.op in ("neg", "not"):
        text, at = f"{'-' if e.op == 'neg' else 'not '}{render(e.args[0], 6)}", 2 if e.op == "not" else 4
    else:
        return f"{'where' if e.op == 'select' else e.op}({', '.join(render(a) for a in e.args)})"
    return f"({text})" if at < level else text


__all__ = [
    "FUNCTIONS", "ONE", "ZERO", "Expr", "add", "call", "const", "div", "is_condition", "is_one", "is_zero", "linear",
    "measure", "mul", "name", "names", "neg", "rename", "render", "replace", "sub", "substitute", "too_large",
    "total", "walk",
]  # fmt: skip

"""Expressions to programs."""

from __future__ import annotations

from collections.abc import Callable

from neurosim.ir.expr import Expr
from neurosim.ir.program import Builder, Program


def emit(builder: Builder, e: Expr, leaf: Callable[[Expr], int]) -> int:
    """Append an expression to a program and return the position of its value.

    Parameters
    ----------
    builder : Builder
        The program being written.
    e : Expr
        The expression; literals are float constants.
    leaf : callable
        Gives the position of a ``name``, ``next``, ``uniform``, ``normal`` or ``inbox`` node.
    """
    if e.op == "const":
        return builder.const(float(e.attr))
    if e.op in ("name", "next", "uniform", "normal", "inbox"):
        return leaf(e)
    if e.op == "in_steps":  # of something that varies; constants are rounded beforehand (neurosim.passes.steps)
        steps = builder.emit("div", emit(builder, e.args[0], leaf), leaf(Expr("name", (), "dt")))
        return builder.emit("floor", builder.emit("add", steps, builder.const(0.5)))
    return builder.emit(e.op, *(emit(builder, a, leaf) for a in e.args), attr=e.attr)


def edge_program(e: Expr, written: str = "") -> Program:
    """Make a program over edges: names become ``param`` leaves (``i``, ``distance``, ``x_pre`` …).

    ``written`` is the text that the expression was read from.
    """
    b = Builder()

    def leaf(x: Expr) -> int:
        return b.emit(x.op, attr=x.attr) if x.op in ("uniform", "normal") else b.emit("param", attr=x.attr)

    return b.build(emit(b, e, leaf), written)

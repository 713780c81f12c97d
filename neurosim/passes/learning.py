"""Learning rules in the pass ``discretise``: statements over edges become programs of the phase *learn*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from neurosim.ir.expr import Expr, names
from neurosim.ir.graph import PlasticityNode, ProjectionNode
from neurosim.ir.lower import emit
from neurosim.ir.ops import LEARN
from neurosim.ir.program import Builder, Program
from neurosim.passes.fold import fold
from neurosim.passes.steps import in_whole_steps

WEIGHT = "w"


def exponent(var: str) -> str:
    """Return the parameter that says what a variable of the edge changes by in a step: e to its power."""
    return f"{var}.exponent"


def learning(projection: ProjectionNode, node: PlasticityNode, dt: float) -> ProjectionNode:
    """Write the programs of a projection's rule, and fold what is constant."""
    exponents = {exponent(var): node.edge[var] * dt for var in node.decaying}
    node = replace(node, params={**node.params, **exponents})
    programs, params = [], {}
    known = dict(node.params)
    what = f"the learning rule of projection '{projection.name}'"
    for tag, written in (("pre", node.on_pre), ("post", node.on_post), ("every", node.on_every)):
        statements = [(var, in_whole_steps(e, known, dt, what, projection.where)) for var, e in written]
        node = replace(node, params=known)
        program, used = _program(statements, node, tag)
        programs.append(program)
        params.update(used)
    done = replace(
        node,
        params={**params, **exponents},
        on_pre=(),
        on_post=(),
        on_every=(),
        bounds=(None, None),
        pre_program=programs[0],
        post_program=programs[1],
        every_program=programs[2],
        views={var: _view(node, var) for var in node.edge},
    )
    return replace(projection, plasticity=done)


def _program(
    statements: Sequence[tuple[str, Expr]], node: PlasticityNode, tag: str
) -> tuple[Program | None, dict[str, Any]]:
    if not statements:
        return None, {}
    b = Builder()
    b.phase = LEARN
    env: dict[str, int] = {}
    touched = {var for var, _ in statements}.union(*(names(e) for _, e in statements))
    if touched & set(node.decaying):
        for var in node.decaying:
            env[var] = _decayed(b, var)

    def leaf(x: Expr) -> int:
        side, _, full = x.attr.partition(":")
        if full:
            return b.emit(side, attr=full)
        if x.attr in node.params:
            return b.emit("param", attr=x.attr)
        return env[x.attr] if x.attr in env else b.emit("load", attr=x.attr)

    for var, e in statements:
        env[var] = emit(b, e, leaf)
    lower, upper = node.bounds if WEIGHT in env else (None, None)
    if lower is not None:
        env[WEIGHT] = b.emit("max", env[WEIGHT], emit(b, lower, leaf))
    if upper is not None:
        env[WEIGHT] = b.emit("min", env[WEIGHT], emit(b, upper, leaf))
    for var, value in env.items():
        b.emit("store", value, attr=var)
    return fold(b.build(), node.params, f"{tag}c")


def _view(node: PlasticityNode, var: str) -> Program:
    b = Builder()
    b.phase = LEARN
    return b.build(_decayed(b, var) if var in node.decaying else b.emit("load", attr=var))


def _decayed(b: Builder, var: str) -> int:
    """Append what a variable of the edge has become since it was last computed."""
    passed = b.emit("exp", b.emit("mul", b.emit("since"), b.emit("param", attr=exponent(var))))
    return b.emit("flush", b.emit("mul", b.emit("load", attr=var), passed))

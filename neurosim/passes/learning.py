"""Learning rules in the pass ``discretise``: statements over edges become programs of the phase *learn*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from neurosim.ir.expr import Expr
from neurosim.ir.graph import PlasticityNode, ProjectionNode
from neurosim.ir.lower import emit
from neurosim.ir.ops import LEARN
from neurosim.ir.program import Builder, Program
from neurosim.passes.fold import fold

WEIGHT = "w"


def learning(projection: ProjectionNode, node: PlasticityNode) -> ProjectionNode:
    """Write the programs of a projection's rule, and fold what is constant."""
    programs, params = [], {}
    for tag, statements in (("pre", node.on_pre), ("post", node.on_post)):
        program, used = _program(statements, node, tag)
        programs.append(program)
        params.update(used)
    done = replace(
        node,
        params=params,
        on_pre=(),
        on_post=(),
        bounds=(None, None),
        pre_program=programs[0],
        post_program=programs[1],
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

    def leaf(x: Expr) -> int:
        side, _, full = x.attr.partition(":")
        if full:
            return b.emit(side, attr=full)
        if x.attr in node.params:
            return b.emit("param", attr=x.attr)
        return env[x.attr] if x.attr in env else b.emit("load", attr=x.attr)

    for var, e in statements:
        env[var] = emit(b, e, leaf)
    lower, upper = node.bounds
    if lower is not None:
        env[WEIGHT] = b.emit("max", env[WEIGHT], emit(b, lower, leaf))
    if upper is not None:
        env[WEIGHT] = b.emit("min", env[WEIGHT], emit(b, upper, leaf))
    for var, value in env.items():
        b.emit("store", value, attr=var)
    return fold(b.build(), node.params, f"{tag}c")

"""Pass ``expand``: intermediates and ports are written out, so that equations read states and parameters only."""

from __future__ import annotations

from dataclasses import replace as with_

from neurosim.errors import EquationError
from neurosim.ir.expr import Expr, names, substitute, too_large, total
from neurosim.ir.graph import Graph, PopulationNode

MAX_DEPTH = 300
"""Deepest tree after everything has been written out."""


def expand(graph: Graph) -> Graph:
    """Inline ``let`` equations and the sums of ports."""
    return with_(graph, populations=tuple(_population(p) for p in graph.populations), stage="expand")


def _population(pop: PopulationNode) -> PopulationNode:
    system = pop.system
    assert system is not None
    lets = {e.var: e.expr for e in system.equations if e.kind == "let"}
    raw: dict[str, Expr] = {**lets, **{port: total(terms) for port, terms in system.ports.items()}}
    done: dict[str, Expr] = {}
    for start in raw:  # depth first, with a stack of its own: a chain may be as long as the text
        active = [start]
        while active:
            key = active[-1]
            used = names(raw[key])
            waiting = [n for n in raw if n in used and n not in done] if key not in done else []
            for n in waiting:
                if n in active:
                    raise EquationError(
                        f"{' -> '.join([*active[active.index(n) :], n])} is a circle of intermediates in population "
                        f"'{pop.name}': make one of them a differential equation or a discrete update",
                        pop.where,
                    )
            if waiting:
                active.append(waiting[0])
                continue
            if key not in done:
                done[key] = _checked(substitute(raw[key], done), pop)
            active.pop()

    def inline(e: Expr) -> Expr:
        return _checked(substitute(e, done), pop) if names(e) & raw.keys() else e

    flat = with_(system, equations=tuple(e for e in system.equations if e.kind != "let"), ports={})
    return with_(pop, system=flat.rewritten(inline))


def _checked(e: Expr, pop: PopulationNode) -> Expr:
    """Refuse what would grow beyond all measure, such as intermediates that each hold the one before twice."""
    problem = too_large(e, MAX_DEPTH)
    if problem:
        raise EquationError(f"population '{pop.name}': {problem}", pop.where)
    return e

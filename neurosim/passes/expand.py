"""Pass ``expand``: intermediates and ports are written out, so that equations read states and parameters only."""

from __future__ import annotations

from dataclasses import replace as with_

from neurosim.errors import EquationError
from neurosim.ir.expr import Expr, names, substitute, total
from neurosim.ir.graph import Drive, EquationNode, Graph, Jump, PopulationNode, System


def expand(graph: Graph) -> Graph:
    """Inline ``let`` equations and the sums of ports."""
    return with_(graph, populations=tuple(_population(p) for p in graph.populations), stage="expand")


def _population(pop: PopulationNode) -> PopulationNode:
    system = pop.system
    assert system is not None
    lets = {e.var: e.expr for e in system.equations if e.kind == "let"}
    raw: dict[str, Expr] = {**lets, **{port: total(terms) for port, terms in system.ports.items()}}
    done: dict[str, Expr] = {}
    active: list[str] = []

    def resolve(name: str) -> Expr:
        if name in done:
            return done[name]
        if name in active:
            raise EquationError(
                f"{' -> '.join([*active[active.index(name):], name])} is a circle of intermediates in population "
                f"'{pop.name}': make one of them a differential equation or a discrete update", pop.where)  # fmt: skip
        active.append(name)
        done[name] = inline(raw[name])
        active.pop()
        return done[name]

    def inline(e: Expr) -> Expr:
        used = names(e) & raw.keys()
        return substitute(e, {n: resolve(n) for n in used}) if used else e

    new = System(
        equations=tuple(EquationNode(e.var, e.kind, inline(e.expr)) for e in system.equations if e.kind != "let"),
        ports={},
        jumps={k: tuple(Jump(j.var, inline(j.gain), j.when) for j in js) for k, js in system.jumps.items()},
        drives=tuple(Drive(d.name, d.receptor, inline(d.mean), d.weight) for d in system.drives),
        threshold=None if system.threshold is None else inline(system.threshold),
        reset=tuple((v, inline(e)) for v, e in system.reset),
        refractory=None if system.refractory is None else inline(system.refractory),
        edge=system.edge,
        clamp=system.clamp,
        method=system.method,
    )
    return with_(pop, system=new)

"""What must hold of a graph after every pass; a violation is a fault of the pass, and names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from neurosim.errors import VerifyError
from neurosim.ir.expr import walk
from neurosim.ir.graph import Graph, LinkNode, PopulationNode, ProjectionNode
from neurosim.ir.ops import COUPLE, EDGE_OPS, EFFECTS, INTEGRATE, LEARN, OPS, REACT
from neurosim.ir.program import Instr

STAGES = ("units", "expand", "discretise", "delays", "order")
"""The passes, in order."""


def _programs(pop: PopulationNode) -> Iterator[str]:
    program = pop.program
    if program is None:
        yield "has no program"
        return
    states = {v.name for v in pop.states}
    phase, stored = 0, set()
    for k, ins in enumerate(program.instrs):
        if ins.op not in OPS:
            yield f"%{k}: unknown operation {ins.op}"
            continue
        if len(ins.args) != OPS[ins.op].arity or any(not 0 <= a < k for a in ins.args):
            yield f"%{k}: {ins.op} has arguments {ins.args}"
        if ins.phase < phase:
            yield f"%{k}: phase {ins.phase} after phase {phase}"
        phase = max(phase, ins.phase)
        if ins.op in ("load", "store") and ins.attr not in states:
            yield f"%{k}: {ins.op} of '{ins.attr}', which is no state variable"
        if ins.op in ("pre", "post", "since"):
            yield f"%{k}: {ins.op} in a population's program"
        if ins.op == "param" and ins.attr not in pop.params:
            yield f"%{k}: parameter '{ins.attr}' has no value"
        if ins.op == "inbox" and (ins.phase > INTEGRATE or ins.attr not in pop.receptors):
            yield f"%{k}: inbox '{ins.attr}' read in phase {ins.phase}"
        if ins.op == "table" and ins.attr not in pop.tables:
            yield f"%{k}: no time array '{ins.attr}'"
        if ins.op == "scheduled" and ins.attr not in pop.schedules:
            yield f"%{k}: no spike list '{ins.attr}'"
        if ins.op == "poisson" and ins.attr not in pop.poisson:
            yield f"%{k}: no Poisson table '{ins.attr}'"
        if ins.op in ("uniform", "normal", "poisson", "poisson_of") and ins.attr not in pop.streams:
            yield f"%{k}: no stream '{ins.attr}'"
        if ins.op == "store":
            if ins.attr in stored:
                yield f"%{k}: '{ins.attr}' is stored twice"
            stored.add(ins.attr)
        if ins.op in EFFECTS and ins.phase not in (INTEGRATE, REACT):
            yield f"%{k}: {ins.op} in phase {ins.phase}"
    try:
        types = program.types()
    except VerifyError as e:
        yield e.message
        return
    for k, ins in enumerate(program.instrs):
        if ins.op in ("and", "or", "not", "emit") and any(types[a] != "b" for a in ins.args):
            yield f"%{k}: {ins.op} of a value that is not boolean"
        if ins.op == "store" and types[ins.args[0]] != "f":
            yield f"%{k}: store of type {types[ins.args[0]]}"


def _learning(graph: Graph, proj: ProjectionNode) -> Iterator[str]:
    """Edge programs read edge variables, constants, and variables that all populations of an end have; they store."""
    node = proj.plasticity
    if node is None:
        return
    ends = {
        "pre": [graph.population(s.population) for s in proj.pre],
        "post": [graph.population(s.population) for s in proj.post],
    }
    if node.delivers_after and not node.dendritic:
        yield "delivers what it has learned from a target whose step is not over"
    for program in node.programs():
        if program.uses("since") and not set(program.stores()) >= set(node.decaying):
            yield "computes some of the decaying variables and not all"
        for k, ins in enumerate(program.instrs):
            yield from _over_edges(k, ins, LEARN, node.params, ends)
            if ins.op in ("load", "store") and ins.attr not in ("w", *node.edge):
                yield f"%{k}: {ins.op} of '{ins.attr}', which is no edge variable"


def _coupling(graph: Graph, link: LinkNode) -> Iterator[str]:
    """The program of a link reads the weight, constants, and variables that all populations of an end have."""
    if link.program is None:
        yield "has no program"
        return
    ends = {
        "pre": [graph.population(s.population) for s in link.edges.pre],
        "post": [graph.population(s.population) for s in link.edges.post],
    }
    for k, ins in enumerate(link.program.instrs):
        yield from _over_edges(k, ins, COUPLE, link.params, ends)
        if ins.op == "since" or (ins.op == "load" and ins.attr != "w") or (ins.op == "store" and ins.attr != "sum"):
            yield f"%{k}: {ins.op} of '{ins.attr}' in a link"
    if list(link.program.stores()) != ["sum"]:
        yield "gives no value"


def _over_edges(
    k: int, ins: Instr, phase: int, params: Mapping[str, float], ends: Mapping[str, list[PopulationNode]]
) -> Iterator[str]:
    """What holds of every program over edges."""
    if ins.op not in EDGE_OPS:
        yield f"%{k}: {ins.op} in a program over edges"
        return
    if len(ins.args) != OPS[ins.op].arity or any(not 0 <= a < k for a in ins.args):
        yield f"%{k}: {ins.op} has arguments {ins.args}"
    if ins.phase != phase:
        yield f"%{k}: phase {ins.phase} in a program over edges"
    if ins.op == "param" and not np.isfinite(params.get(ins.attr, np.nan)):
        yield f"%{k}: parameter '{ins.attr}' has no finite value"
    if ins.op in ends and any(ins.attr not in {v.name for v in pop.states} for pop in ends[ins.op]):
        yield f"%{k}: {ins.op} of '{ins.attr}', which an end does not have"


def _arrays(pop: PopulationNode) -> Iterator[str]:
    for what, table in (("parameter", pop.params), ("initial", {v.name: v.init for v in pop.states})):
        for key, value in table.items():
            if np.shape(value) not in ((), (pop.size,)):
                yield f"{what} '{key}' has shape {np.shape(value)}"
            elif not np.all(np.isfinite(value)):
                yield f"{what} '{key}' is not finite"


def _systems(pop: PopulationNode) -> Iterator[str]:
    if pop.system is None:
        yield "has no equations"
        return
    if len({v.name for v in pop.states}) != len(pop.states):
        yield "has two state variables of one name"
    for e in pop.system.equations:
        if any(x.dim is not None for x in walk(e.expr)):
            yield f"the equation of '{e.var}' still has units"


def _flat(pop: PopulationNode) -> Iterator[str]:
    if pop.system is not None and (pop.system.ports or any(e.kind == "let" for e in pop.system.equations)):
        yield "still has intermediates"


def _grids(pop: PopulationNode) -> Iterator[str]:
    for receptor in pop.receptors:
        grid = pop.grids.get(receptor, 0.0)
        if not grid > 0 or np.frexp(grid)[0] != 0.5:
            yield f"the grid of receptor '{receptor}' is {grid!r}, no power of two"


_RULES: dict[str, tuple[Callable[[PopulationNode], Iterator[str]], ...]] = {
    "units": (_systems, _arrays),
    "expand": (_systems, _flat, _arrays),
    "discretise": (_programs, _arrays),
    "delays": (_programs, _arrays),
    "order": (_programs, _arrays, _grids),
}


def verify(graph: Graph) -> Graph:
    """Check a graph against the rules of its stage; return it unchanged.

    Raises
    ------
    VerifyError
        Naming pass, population or projection, and rule.
    """
    names = {p.name for p in graph.populations}
    for pop in graph.populations:
        for rule in _RULES[graph.stage]:
            for complaint in rule(pop):
                raise VerifyError(f"after pass '{graph.stage}': population '{pop.name}' {complaint}", pop.where)
    for link in graph.links if STAGES.index(graph.stage) >= 2 else ():
        for complaint in _coupling(graph, link):
            raise VerifyError(f"after pass '{graph.stage}': the link '{link.name}' {complaint}", link.where)
    for proj in (*graph.projections, *(link.edges for link in graph.links)):
        for segment in (*proj.pre, *proj.post):
            if segment.population not in names:
                raise VerifyError(
                    f"after pass '{graph.stage}': projection '{proj.name}' names no population '{segment.population}'"
                )
        if STAGES.index(graph.stage) >= 3 and isinstance(proj.delay, float) and not (proj.delay_steps or 0) >= 1:
            raise VerifyError(
                f"after pass '{graph.stage}': projection '{proj.name}' has a delay of {proj.delay_steps} steps"
            )
        for complaint in _learning(graph, proj) if STAGES.index(graph.stage) >= 2 else ():
            raise VerifyError(f"after pass '{graph.stage}': the learning rule of projection '{proj.name}' {complaint}")
        for segment in proj.pre if proj.release is not None else ():
            if proj.release not in {v.name for v in graph.population(segment.population).states}:
                raise VerifyError(
                    f"after pass '{graph.stage}': projection '{proj.name}' delivers '{proj.release}', which population "
                    f"'{segment.population}' does not have"
                )
        for segment in proj.post:
            if proj.receptor not in graph.population(segment.population).receptors:
                raise VerifyError(
                    f"after pass '{graph.stage}': projection '{proj.name}' names no receptor '{proj.receptor}'"
                )
    return graph

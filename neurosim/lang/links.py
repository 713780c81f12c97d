"""Couplings without spikes, as the user writes them: what each edge adds to its target in every step.

A receptor made with ``link="i_gap = w*(v_pre - v_post)"`` takes no spikes. The names in that line are the weight
``w``, parameters of the receptor, and state variables of both cells, ``v_pre`` of the source and ``v_post`` of the
target, as they were when the step began.
"""

from __future__ import annotations

from collections.abc import Iterator

from neurosim.errors import DimensionError, EquationError, ParameterError, UnknownNameError, suggest
from neurosim.ir.expr import Expr, names, rename, replace, walk
from neurosim.lang.components import Receptor
from neurosim.lang.connect import Connection
from neurosim.lang.dimensions import Solver
from neurosim.lang.groups import Group
from neurosim.units import Dimension

SIDES = ("pre", "post")


def linked(post: Group, receptor: str, where: str | None) -> Receptor | None:
    """Return the receptor of a group if links lead to it, None if spikes do."""
    found = [pop.cell.receptors[receptor] for pop, _ in post.parts]
    if all(r.link is None for r in found):
        return None
    if any(r.link is None for r in found):
        raise ParameterError(
            f"receptor '{receptor}' takes spikes in one population of '{post.name}' and none in another: connect to "
            "each of them by itself",
            where,
        )
    return found[0]


def weight_dimension(pre: Group, post: Group, receptor: str, where: str | None) -> Dimension:
    """Check a link between two groups, and return the dimension of its weights.

    Raises
    ------
    UnknownNameError
        It reads a variable that an end does not have.
    DimensionError
        Its dimensions do not fit, or those of the weight are not the same for all populations.
    """
    found: dict[Dimension, str] = {}
    for source, _ in pre.parts:
        for target, _ in post.parts:
            part = target.cell.receptors[receptor]
            assert part.link is not None
            known: dict[str, Dimension] = {}
            for name in sorted(names(part.link.expr) - {"w"}):
                if name in part.params:
                    known[name] = target.scope.solver.known[f"{receptor}.{name}"]
                    continue
                variable, side = _end(name, part)
                pop = source if side == "pre" else target
                if variable not in pop.cell.variables:
                    end = "source" if side == "pre" else "target"
                    raise UnknownNameError(
                        f"receptor '{receptor}' of population '{target.label}' reads '{name}' ({part.link.text}), but "
                        f"its {end} '{pop.label}' has no state variable '{variable}'"
                        f"{suggest(variable, pop.cell.variables)}",
                        where,
                    )
                known[name] = pop.scope.dimension(variable)
            known[part.link.var] = target.scope.dimension(f"{receptor}.{part.link.var}")
            solver = Solver(known, {"w"}, where)
            solver.assign(part.link.var, part.link.expr, part.link.text)
            dim = solver.dimension("w")
            if dim is None:
                raise DimensionError(f"the dimension of the weight w does not follow from '{part.link.text}'", where)
            found.setdefault(dim, f"from '{source.label}' to '{target.label}'")
    if len(found) > 1:
        each = ", ".join(f"{dim} {ends}" for dim, ends in found.items())
        raise DimensionError(f"the weights of this link have different dimensions: {each}; make it several", where)
    return next(iter(found))


def value(link: Connection) -> Expr:
    """Return what an edge adds: names of variables at the ends are ``pre:x`` and ``post:x``."""
    part = link.post.parts[0][0].cell.receptors[link.receptor]
    assert part.link is not None

    def how(name: str) -> str:
        if name == "w" or name in part.params:
            return name
        variable, side = _end(name, part)
        return f"{side}:{variable}"

    return rename(part.link.expr, how)


def same_link(link: Connection) -> None:
    """Complain where the targets of a link would have to be told different things."""
    parts = [(pop, pop.cell.receptors[link.receptor]) for pop, _ in link.post.parts]
    first, one = parts[0]

    def meaning(part: Receptor) -> tuple[Expr, set[str]]:
        """Return what an edge computes, and which of its names are parameters."""
        assert part.link is not None
        return bare(part.link.expr), names(part.link.expr) & set(part.params)

    for pop, other in parts[1:]:
        if meaning(one) != meaning(other):
            raise ParameterError(
                f"the links of '{first.label}' and '{pop.label}' at receptor '{link.receptor}' differ: connect to each "
                "of them by itself",
                link.where,
            )


def bare(e: Expr) -> Expr:
    """Return an expression without the places in the text that it was read from."""
    return replace(e, lambda x: Expr(x.op, (), x.attr, x.dim) if not x.args else None)


def checked(part: Receptor) -> None:
    """Check what can be checked before there are ends.

    Raises
    ------
    EquationError
        The line reads no weight, or something that an edge does not have.
    """
    link = part.link
    assert link is not None
    if link.kind != "let":
        raise EquationError(
            f"a link is written 'name = …', as in 'i_gap = w*(v_pre - v_post)', not '{link.text}'", part.where
        )
    if link.var in part.params or link.var in part.variables or link.var == "w":
        raise EquationError(f"the link of {part.name} gives '{link.var}', which is a name already", part.where)
    if link.var.rpartition("_")[2] in SIDES:
        raise EquationError(
            f"the link of {part.name} gives '{link.var}', which is how a variable of one end is named: call the sum "
            "otherwise, as in 'i_gap = …'",
            part.where,
        )
    if "w" not in names(link.expr):
        raise EquationError(f"the link of {part.name} reads no weight w: '{link.text}'", part.where)
    for x in walk(link.expr):
        if x.op in ("uniform", "normal", "next", "in_steps") or (x.op == "name" and x.attr in ("t", "dt")):
            what = {"next": "a new value ([n+1])", "name": f"the time ('{x.attr}')", "in_steps": "in_steps()"}
            raise EquationError(
                f"the link of {part.name} cannot read {what.get(x.op, 'random numbers')}: '{link.text}'", part.where
            )
    for _ in _ends(part):
        pass


def _ends(part: Receptor) -> Iterator[tuple[str, str]]:
    assert part.link is not None
    for name in sorted(names(part.link.expr) - {"w"} - set(part.params)):
        yield _end(name, part)


def _end(name: str, part: Receptor) -> tuple[str, str]:
    """Split ``v_pre`` into variable and side."""
    variable, _, side = name.rpartition("_")
    if not variable or side not in SIDES:
        known = ", ".join(part.params) or "none"
        raise UnknownNameError(
            f"the link of {part.name} reads '{name}', which is neither a parameter of it ({known}) nor a variable of "
            "one end: write v_pre for the source's v, v_post for the target's",
            part.where,
        )
    return variable, side

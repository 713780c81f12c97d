"""Linear systems inside a step: which variables are coupled, and Gaussian elimination written out as operations.

The order is that of least degree, leaves first; for the compartments of a tree no new entry appears, and the work is
proportional to their number (M. Hines, Int. J. Biomed. Comput. 15 (1984)).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.program import Builder


def coefficients(e: Expr, variables: set[str]) -> dict[str, Expr]:
    """Return what multiplies each variable in a tree, where it is linear in them and where it is not.

    Of a product in which both factors hold variables, the left one is frozen, unless only it is linear; what stands
    inside a function or below a fraction is frozen too, and so is the condition of a choice. So ``g*block(v)*(e - v)``
    has the coefficient ``-g*block(v)`` of ``v``. This is not the Jacobian, and need not be: a scheme that steps by the
    whole of ``e`` and takes only its matrix from here is consistent in any case.
    """
    if not (ex.names(e) & variables):
        return {}
    split = ex.linear(e, variables)
    if split is not None:
        return split[0]
    if e.op in ("add", "sub"):
        left, right = coefficients(e.args[0], variables), coefficients(e.args[1], variables)
        join = ex.add if e.op == "add" else ex.sub
        return {k: join(left.get(k, ex.ZERO), right.get(k, ex.ZERO)) for k in dict.fromkeys([*left, *right])}
    if e.op == "neg":
        return {k: ex.neg(c) for k, c in coefficients(e.args[0], variables).items()}
    if e.op == "mul":
        left, right = e.args
        plain = [bool(ex.names(x) & variables) and ex.linear(x, variables) is not None for x in (left, right)]
        if not (ex.names(right) & variables) or (plain[0] and not plain[1]):
            left, right = right, left
        return {k: ex.mul(left, c) for k, c in coefficients(right, variables).items()}
    if e.op == "select":
        left, right = coefficients(e.args[1], variables), coefficients(e.args[2], variables)
        keys = dict.fromkeys([*left, *right])
        return {k: ex.call("select", e.args[0], left.get(k, ex.ZERO), right.get(k, ex.ZERO)) for k in keys}
    if e.op == "div":
        return {k: ex.div(c, e.args[1]) for k, c in coefficients(e.args[0], variables).items()}
    return {}


def coupled(odes: Mapping[str, Expr]) -> list[list[str]]:
    """Return the groups of two and more variables that depend on each other linearly, as the compartments of a cell do.

    A gate is not coupled to the potential whose current it multiplies, nor a conductance that does not read it.
    """
    leader = {var: var for var in odes}

    def find(var: str) -> str:
        while leader[var] != var:
            leader[var] = leader[leader[var]]
            var = leader[var]
        return var

    reads = {var: ex.names(e) & odes.keys() for var, e in odes.items()}
    for var, others in reads.items():
        for other in sorted(others - {var}):
            if var in reads[other] and find(var) != find(other):
                ends = ((var, other), (other, var))
                if all(not ex.is_zero(coefficients(odes[a], {a, b}).get(b, ex.ZERO)) for a, b in ends):
                    leader[find(other)] = find(var)
    groups: dict[str, list[str]] = {}
    for var in odes:
        groups.setdefault(find(var), []).append(var)
    return [group for group in groups.values() if len(group) > 1]


def order(size: int, entries: Collection[tuple[int, int]]) -> list[int]:
    """Return an order of elimination: always the row with the fewest neighbours left, the lowest where several do."""
    near = [{j for i, j in entries if i == k} | {i for i, j in entries if j == k} for k in range(size)]
    for k in range(size):
        near[k].discard(k)
    out: list[int] = []
    left = set(range(size))
    while left:
        k = min(left, key=lambda k: (len(near[k]), k))
        left.discard(k)
        out.append(k)
        for i in near[k]:
            near[i] |= near[k]
            near[i] -= {i, k}
    return out


def solve(b: Builder, matrix: Mapping[tuple[int, int], int], right: list[int]) -> list[int]:
    """Append the solution of a system whose entries and right side are values of the program.

    Parameters
    ----------
    matrix : mapping of (row, column) to position
        What is missing is zero; the diagonal is complete. Nothing is exchanged, so it should dominate, as the leak and
        the couplings of compartments make sure.
    right : list of position

    Returns
    -------
    list of position
    """
    at, y = dict(matrix), list(right)
    turn = order(len(y), matrix.keys())
    place = {k: n for n, k in enumerate(turn)}
    rows: dict[int, set[int]] = {k: set() for k in turn}
    columns: dict[int, set[int]] = {k: set() for k in turn}
    for i, j in at:
        rows[i].add(j)
        columns[j].add(i)
    for k in turn:
        later = sorted((j for j in rows[k] if place[j] > place[k]), key=place.__getitem__)
        for i in sorted((i for i in columns[k] if place[i] > place[k]), key=place.__getitem__):
            factor = b.emit("div", at[i, k], at[k, k])
            for j in later:
                less = b.emit("mul", factor, at[k, j])
                if (i, j) in at:
                    at[i, j] = b.emit("sub", at[i, j], less)
                else:
                    at[i, j] = b.emit("neg", less)
                    rows[i].add(j)
                    columns[j].add(i)
            y[i] = b.emit("sub", y[i], b.emit("mul", factor, y[k]))
    for k in reversed(turn):
        for j in sorted((j for j in rows[k] if place[j] > place[k]), key=place.__getitem__):
            y[k] = b.emit("sub", y[k], b.emit("mul", at[k, j], y[j]))
        y[k] = b.emit("div", y[k], at[k, k])
    return y


__all__ = ["coefficients", "coupled", "order", "solve"]

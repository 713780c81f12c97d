"""Projections as the user writes them: rules with text in them, weights and delays with units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import (
    ConnectivityError,
    DimensionError,
    EquationError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    caller,
    suggest,
)
from neurosim.ir import rules as ir_rules
from neurosim.ir.distributions import Shared
from neurosim.ir.expr import Expr, walk
from neurosim.ir.lower import edge_program
from neurosim.lang.components import Random, TimedArray
from neurosim.lang.dimensions import Solver
from neurosim.lang.groups import Group
from neurosim.lang.parser import parse_expression
from neurosim.lang.values import EdgeQuantity
from neurosim.units import DIMENSIONLESS, LENGTH, Dimension, Quantity, quantity, scalar, usual_unit


@dataclass(frozen=True)
class Connection:
    """A projection. ``weight`` and ``delay`` are in SI: a number, an array per edge, a distribution or a program;
    ``plasticity`` is a learning rule, ``short_term`` a model of short-term plasticity, or None."""

    name: str
    pre: Group
    post: Group
    receptor: str
    rule: ir_rules.Rule
    weight: Any
    delay: Any
    where: str | None
    plasticity: Any = None
    short_term: Any = None


class Where:
    """Connect the pairs for which a condition holds, each with a probability.

    Parameters
    ----------
    condition : str, optional
        Over ``i``, ``j`` (indices in the groups), ``N_pre``, ``N_post``, ``x_pre`` … ``z_post`` and ``distance``
        (lengths), and the parameters of the cells as ``tau_m_pre``, ``tau_m_post``: ``"abs(i - j) <= 5 and i != j"``.
    p : str or float, optional
        Probability over the same names: ``"exp(-distance/(100*um))"``; 1 by default.
    """

    def __init__(self, condition: str | None = None, p: str | float | None = None) -> None:
        self.condition, self.p, self.where = condition, p, caller()

    def lower(self, pre: Group, post: Group) -> ir_rules.Rule:
        """Parse and check the texts for two groups."""
        condition = probability = None
        if self.condition is not None:
            e, _ = edge_expression(self.condition, pre, post, self.where, condition=True)
            condition = edge_program(e, self.condition)
        if self.p is not None:
            e, dim = edge_expression(str(self.p), pre, post, self.where)
            if dim != DIMENSIONLESS:
                raise DimensionError(f"the probability '{self.p}' must be dimensionless, got {dim}", self.where)
            probability = edge_program(e, str(self.p))
        return ir_rules.Where(condition, probability)


class DistanceDependent:
    """Connect each pair with a probability that depends on their distance.

    Parameters
    ----------
    p : str
        Probability over ``distance``: ``"0.3*exp(-distance**2/(2*(150*um)**2))"``.
    max_distance : Quantity, optional
        No edges beyond it.
    autapses : bool
        Whether a neuron may connect to itself.
    """

    def __init__(self, p: str | float, max_distance: Quantity | None = None, autapses: bool = True) -> None:
        self.p, self.autapses, self.where = str(p), autapses, caller()
        self.max_distance = None if max_distance is None else scalar(max_distance, LENGTH, "max_distance", self.where)

    def lower(self, pre: Group, post: Group) -> ir_rules.Rule:
        """Parse and check the text for two groups."""
        for group in (pre, post):
            if any(pop.positions is None for pop, _ in group.parts):
                raise ConnectivityError(
                    f"'{group.name}' has no positions: give positions= to net.population", self.where
                )
        e, dim = edge_expression(self.p, pre, post, self.where)
        if dim != DIMENSIONLESS:
            raise DimensionError(f"the probability '{self.p}' must be dimensionless, got {dim}", self.where)
        p = edge_program(e, self.p)
        return ir_rules.DistanceDependent(p, max_distance=self.max_distance, autapses=self.autapses)


_PLACES = {"distance", *(f"{a}_{side}" for a in "xyz" for side in ("pre", "post"))}

_NAMED = {
    "all_to_all": ir_rules.AllToAll,
    "one_to_one": ir_rules.OneToOne,
    "fixed_indegree": ir_rules.FixedInDegree,
    "fixed_outdegree": ir_rules.FixedOutDegree,
    "fixed_total_number": ir_rules.FixedTotalNumber,
    "pairwise_bernoulli": ir_rules.FixedProbability,
}


def _stacked(rows: Any, where: str | None) -> Any:
    """Join rows, each a list of numbers or quantities or an array, to one matrix."""
    dims = {
        x.dim for row in rows for x in (row if isinstance(row, (list, tuple)) else [row]) if isinstance(x, Quantity)
    }
    dim = dims.pop() if len(dims) == 1 else DIMENSIONLESS
    values = [quantity(row, dim, "the matrix of weights", where) for row in rows]
    if len({np.shape(row) for row in values}) != 1:
        raise ConnectivityError(
            f"the rows of the matrix of weights have {sorted({np.size(row) for row in values})} entries", where
        )
    return Quantity(np.array(values), dim) if dim != DIMENSIONLESS else np.array(values)


def _is_matrix(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 2
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(
            isinstance(row, (list, tuple)) or np.ndim(row.value if isinstance(row, Quantity) else row) == 1
            for row in value
        )
    )


def prepare_rule(
    rule: Any, weight: Any, dim_of_weight: Dimension, pre: Group, post: Group, where: str | None
) -> tuple[ir_rules.Rule, Any]:
    """Turn what the user gave as ``rule`` into a rule of the IR; a weight matrix becomes an edge list and an array."""
    raw: Any = weight.value if isinstance(weight, Quantity) else weight
    shared = isinstance(rule, ir_rules.Rule) and rule.kernel_shape is not None
    if not shared and (hasattr(raw, "tocoo") or _is_matrix(raw)):
        if rule is not None:
            raise ConnectivityError("a matrix of weights is the rule already: leave rule= out", where)
        if not hasattr(raw, "tocoo"):
            weight = weight if isinstance(weight, (Quantity, np.ndarray)) else _stacked(weight, where)
            dim = weight.dim if isinstance(weight, Quantity) else DIMENSIONLESS
            raw = np.asarray(quantity(weight, dim, "the matrix of weights", where))
        if tuple(raw.shape) != (len(pre), len(post)):
            raise ConnectivityError(
                f"the matrix must be [{len(pre)}, {len(post)}], sources by targets, got {list(raw.shape)}", where
            )
        try:
            edges, values = ir_rules.from_matrix(raw)
        except ConnectivityError as e:
            raise ConnectivityError(e.message, where) from None
        if hasattr(raw, "tocoo") and dim_of_weight != DIMENSIONLESS:
            raise DimensionError(
                f"a sparse matrix holds plain numbers, and the weight must be {_a(dim_of_weight)}: give the entries, "
                f"rule=EdgeList(m.row, m.col), weight=m.data*{usual_unit(dim_of_weight) or 'unit'} with m = "
                f"matrix.tocoo()",
                where,
            )
        return edges, Quantity(values, weight.dim) if isinstance(weight, Quantity) else values
    if rule is None:
        rule = ir_rules.AllToAll()
    if isinstance(rule, str):
        if rule in ("all_to_all", "one_to_one"):
            return _NAMED[rule](), None
        if rule in _NAMED:
            raise ConnectivityError(f"the rule '{rule}' needs its number: {_NAMED[rule].__name__}(…)", where)
        if re.fullmatch(r"[A-Za-z_-]+", rule):  # one word is no condition
            raise UnknownNameError(
                f"no rule '{rule}'{suggest(rule, _NAMED)} (a condition on pairs is written as in 'i != j')", where
            )
        return Where(rule).lower(pre, post), None
    if isinstance(rule, (Where, DistanceDependent)):
        return rule.lower(pre, post), None
    if not isinstance(rule, ir_rules.Rule):
        raise ParameterError(f"rule must be a connection rule such as FixedProbability(0.1), got {rule!r}", where)
    return rule, None


def check_shared(rule: ir_rules.Rule, label: str, weight: Any, plasticity: Any, where: str | None) -> None:
    """Refuse what would give each edge a weight of its own where the rule's edges share theirs."""
    if rule.kernel_shape is None or (plasticity is None and not isinstance(weight, str)):
        return
    raise UnsupportedError(
        f"{'an expression' if plasticity is None else 'a learning rule'} gives each edge of projection '{label}' a "
        f"weight of its own, and the edges of a {type(rule).__name__} share theirs: list them, with "
        "rule, element = convolution.edge_list()",
        where,
    )


def edge_expression(
    text: str, pre: Group, post: Group, where: str | None, condition: bool = False
) -> tuple[Expr, Dimension]:
    """Parse an expression (or condition) over edges and find its dimension."""
    known: dict[str, Dimension] = {k: DIMENSIONLESS for k in ("i", "j", "N_pre", "N_post")}
    located = all(pop.positions is not None for g in (pre, post) for pop, _ in g.parts)
    if located:
        known.update({f"{a}_{side}": LENGTH for a in "xyz" for side in ("pre", "post")}, distance=LENGTH)
    for side, group in (("pre", pre), ("post", post)):  # what all populations of a union have, in one dimension
        pops = [pop for pop, _ in group.parts]
        for key in pops[0].cell.params:
            dims = {
                p.scope.dimension(key)
                if key in p.cell.params and not isinstance(p.cell.value(key), TimedArray)
                else None
                for p in pops
            }
            if len(dims) == 1 and None not in dims:
                known[f"{key}_{side}"] = pops[0].scope.dimension(key)
    e = parse_expression(text, known, where, condition)
    if any(x.op == "next" or (x.op == "name" and x.attr in ("t", "dt")) for x in walk(e)):
        raise EquationError(
            f"'{text}' is evaluated once per edge, before the first step: it cannot depend on time", where
        )
    if not located and (missing := sorted(x.attr for x in walk(e) if x.op == "name" and x.attr in _PLACES)):
        raise ConnectivityError(
            f"'{text}' reads {missing[0]}, but '{pre.name}' or '{post.name}' has no positions: give positions= "
            "to net.population",
            where,
        )
    solver = Solver(known, set(), where)
    dim = solver.resolve(e, text)
    assert dim is not None
    return e, dim


def edge_quantity(
    value: Any, dim: Dimension, what: str, pre: Group, post: Group, rule: ir_rules.Rule, where: str | None
) -> Any:
    """Check a weight or delay and return it as the IR wants it."""
    kernel, edges = rule.kernel_shape, rule.count()
    if isinstance(value, (Random, EdgeQuantity)):
        if value.dim != dim:
            raise DimensionError(f"{what} must be {_a(dim)}, got {value.kind} of {value.dim}", where)
        if isinstance(value, EdgeQuantity):
            if value.of != rule:
                raise ConnectivityError(f"{what} is {value.kind} of other edges than those of the rule", where)
            return value.draw
        return value.draw if kernel is None else Shared(value.draw, kernel)
    if isinstance(value, str):
        e, got = edge_expression(value, pre, post, where)
        if got != dim:
            raise DimensionError(f"{what} must be {_a(dim)}, got '{value}' of {got}", where)
        return edge_program(e, value)
    si = quantity(value, dim, what, where)
    if np.ndim(si) == 0:
        return float(si)
    array = np.array(si, dtype=float)
    if kernel is not None:
        if array.shape != kernel:
            raise ConnectivityError(
                f"{what} needs the shape {list(kernel)} of the kernel, which the edges share: output channels, input "
                f"channels of a group, elements; got {list(array.shape)}",
                where,
            )
        return Shared(array, kernel)
    if edges is None:
        raise ConnectivityError(
            f"{what} is an array, but the rule does not fix the number of edges: use EdgeList, "
            "a matrix, a distribution or an expression",
            where,
        )
    if array.shape != (edges,):
        raise ConnectivityError(f"{what} needs {edges} values, one per edge, got shape {list(array.shape)}", where)
    return array


def _a(dim: Dimension) -> str:
    return str(dim) if dim == DIMENSIONLESS else f"a {dim}"

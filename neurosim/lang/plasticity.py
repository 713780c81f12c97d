"""Learning rules: traces of the neurons at both ends of a synapse, and what a spike changes at the synapse.

A rule is a prototype like a cell: calling it returns a copy with other parameter values. ``net.connect(…,
plasticity=rule)`` gives it to a projection; its traces become variables of the populations at both ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from neurosim.errors import DimensionError, EquationError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.expr import Expr, const, is_zero, linear, name, names, rename, render, walk
from neurosim.lang.component import Component
from neurosim.lang.components import Receptor
from neurosim.lang.dimensions import Solver
from neurosim.lang.groups import Group, Population
from neurosim.lang.parser import Equation, Statement, parse_equations, parse_expression, parse_statements
from neurosim.lang.values import Random, TimedArray
from neurosim.units import DIMENSIONLESS, TIME, Dimension, Quantity, scalar

BEFORE = "@before"
"""Ends the name of a trace's value before the jump of its own spike."""

WEIGHT = "w"
"""The weight of the synapse, in statements."""

CHOICES = {
    "delay_type": ("axonal", "dendritic"),
    "coincidence": ("arrival_first", "spike_first", "apart"),
    "delivers": ("before", "after"),
}
"""What a rule says of its timing, the default first."""


@dataclass(frozen=True)
class EdgeStatement:
    """A change of an edge variable; names are those of edge variables and parameters, ``pre:x`` and ``post:x``."""

    var: str
    expr: Expr
    text: str


class Plasticity(Component):
    """A learning rule by its equations.

    Parameters
    ----------
    pre, post : str
        Differential equations of traces, linear in them, one set for each source and each target neuron:
        ``"dx/dt = -x/tau_plus"``. They are integrated exactly.
    edge : str
        Variables of the synapse itself, from 0: ``"dc/dt = -c/tau_c"`` decays and is computed when somebody reads it,
        ``"ds/dt = 0"`` keeps its value between the statements that change it.
    on_pre, on_post : str
        Statements carried out when a spike arrives at the synapse, and when the target neuron spikes. A statement that
        changes a trace happens at the neuron, on its own spikes: ``on_pre`` may change traces of ``pre``, ``on_post``
        those of ``post``. One that changes ``w`` or a variable of ``edge`` happens at the synapse; it may read these,
        the traces of both sides, the parameters, and state variables of the cells as ``v_pre`` and ``v_post``; a
        receptor that has one variable stands for it, ``dopamine_post``: so comes a third factor.
        Statements run in order: one that stands after ``x += 1`` reads the trace with its jump.
    on_every : str
        Statements carried out at every synapse at the end of every interval ``every``, a quantity or an expression of
        parameters, a whole number of steps.
    every : Quantity or str, optional
        That interval.
    lower, upper : str or number, optional
        Bounds of the weight, made of parameters; every change ends within them.
    require : str, optional
        What must hold of the parameters, such as ``"rate*key < 2"``; a projection that breaks it is refused.
    delay_type : str
        Where the delay of an edge sits: ``"axonal"``, before the synapse, or ``"dendritic"``, behind it: then the
        synapse sees the spikes of the target, and all else there, a delay after they happened.
    coincidence : str
        What happens where a spike arrives in the step in which (as the synapse sees it) the target spikes:
        ``"arrival_first"``, ``"spike_first"``, each seen by the other, or ``"apart"``: the spike of the target
        changes the weight first, and neither sees the trace of the other.
    delivers : str
        Which weight an arriving spike delivers: that ``"before"`` or ``"after"`` the change that it makes itself; the
        latter with dendritic delays only.
    **params
        Parameters: one value each, or a :class:`~neurosim.params.Param`.

    Notes
    -----
    In a step, arrivals come before the spikes of the targets (but see ``coincidence``): an arriving spike sees the
    traces of the target without the jump of this step, and a spike of the target sees those of the source with it;
    statements of ``on_every`` come last. docs/semantics.md has the rest.
    """

    kind = "plasticity"
    choices = tuple(CHOICES)

    def __init__(
        self,
        *,
        pre: str = "",
        post: str = "",
        on_pre: str = "",
        on_post: str = "",
        edge: str = "",
        on_every: str = "",
        every: Quantity | str | None = None,
        lower: str | float | None = None,
        upper: str | float | None = None,
        require: str | None = None,
        delay_type: str = "axonal",
        coincidence: str = "arrival_first",
        delivers: str = "before",
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        self.timing = {"delay_type": delay_type, "coincidence": coincidence, "delivers": delivers}
        bounds = tuple(None if b is None else str(b) for b in (lower, upper))
        texts = (pre, post, edge, on_pre, on_post, on_every, every, require, *bounds)
        super().__init__("", params, name, source, doc, (), texts)
        for key, value in self.timing.items():
            self._chosen(key, value, self.where)
        self.sides = {
            side: parse_equations(text, (*self.params, WEIGHT), self.where)
            for side, text in (("pre", pre), ("post", post), ("edge", edge))
        }
        self.traces = {side: tuple(eq.var for eq in self.sides[side]) for side in ("pre", "post")}
        self.edge = tuple(eq.var for eq in self.sides["edge"])
        self._distinct()
        self.equations = tuple(eq for eqs in self.sides.values() for eq in eqs)
        known = (*self.own, WEIGHT)
        self.events = {
            side: parse_statements(text, known, self.where) if text.strip() else ()
            for side, text in (("pre", on_pre), ("post", on_post), ("every", on_every))
        }
        self.every_text, self.require_text = every if isinstance(every, str) else "", require or ""
        self.every = self._interval(every)
        self.require = None if require is None else self._requirement(require)
        self.edge_dimensions: dict[str, Dimension] = {}
        if not any(st.var == WEIGHT for sts in self.events.values() for st in sts):
            raise EquationError(f"{self.name} never changes the weight: no statement of it assigns 'w'", self.where)
        self.bounds_text = bounds
        self.bounds = tuple(None if b is None else parse_expression(b, known, self.where) for b in bounds)
        for side, statements in self.events.items():
            for st in statements:
                self._allowed(side, st)

    def _chosen(self, key: str, value: Any, where: str | None) -> None:
        if value not in CHOICES[key]:
            legal = ", ".join(f"'{each}'" for each in CHOICES[key])
            raise ParameterError(f"{key} of {self.name} must be one of {legal}; got {value!r}", where)

    def _option(self, key: str, value: Any) -> bool:
        if key not in CHOICES:
            return False
        self._chosen(key, value, caller())
        self.timing = {**self.timing, key: value}
        return True

    def _distinct(self) -> None:
        seen: set[str] = set()
        for side, eqs in self.sides.items():
            for eq in eqs:
                if eq.kind != "ode":
                    what = "variable of the synapse" if side == "edge" else "trace"
                    raise EquationError(
                        f"a {what} is given by a differential equation, 'dx/dt = -x/tau'; {self.name} has '{eq.text}'",
                        self.where,
                    )
                if eq.var in seen or eq.var in self.params or eq.var == WEIGHT:
                    raise EquationError(
                        f"'{eq.var}' names two things in {self.name}: traces of both sides, variables of the synapse, "
                        "parameters and the weight 'w' have names of their own",
                        self.where,
                    )
                seen.add(eq.var)
        for eq in self.sides["edge"]:
            if self.decay(eq) is None:
                raise EquationError(
                    f"'{eq.text}' of {self.name} is no decay: a variable of the synapse decays at a rate made of "
                    f"parameters, 'd{eq.var}/dt = -{eq.var}/tau', or keeps its value, 'd{eq.var}/dt = 0'; statements "
                    "change it",
                    self.where,
                )

    def decay(self, eq: Equation) -> Expr | None:
        """Return the rate of change of a variable of the synapse, over its value; None if it is no such thing."""
        split = linear(eq.expr, {eq.var})
        if split is None or not is_zero(split[1]) or names(eq.expr) - {eq.var, *self.params}:
            return None
        return split[0].get(eq.var, const(0.0))

    def _requirement(self, text: str) -> Expr:
        e = parse_expression(text, (*self.own, WEIGHT), self.where, condition=True)
        self.of_parameters("requirement", text, e)
        return e

    def of_parameters(self, what: str, text: str, e: Expr) -> None:
        """Check that an expression reads nothing but parameters."""
        if foreign := sorted(names(e) - self.params.keys()):
            raise UnknownNameError(
                f"the {what} '{text}' of {self.name} is made of parameters; it has no parameter '{foreign[0]}'"
                f"{suggest(foreign[0], self.params)}",
                self.where,
            )

    def _interval(self, every: Quantity | str | None) -> Quantity | Expr | None:
        """Check the interval of ``on_every``."""
        if every is None:
            if self.events["every"]:
                raise EquationError(
                    f"{self.name} has statements on_every and no interval: give every=10*ms, or a parameter's name",
                    self.where,
                )
            return None
        if not self.events["every"]:
            raise EquationError(f"{self.name} has an interval and no statements on_every to carry out", self.where)
        if isinstance(every, str):
            e = parse_expression(every, (*self.own, WEIGHT), self.where)
            self.of_parameters("interval", every, e)
            return e
        scalar(every, TIME, f"every of {self.name}", self.where)
        return every

    def _allowed(self, side: str, st: Statement) -> None:
        """Check what a statement changes and reads."""
        own = self.traces.get(side, ())
        for other in self.traces.keys() - {side}:
            if st.var in self.traces[other]:
                what = "a trace" if side == "every" else "a trace of the other side"
                raise EquationError(
                    f"'{st.text}' of {self.name} changes {what}: the trace '{st.var}' jumps with the spikes of its own "
                    f"neuron, in on_{other}",
                    self.where,
                )
        if st.var not in (WEIGHT, *self.edge, *own):
            raise UnknownNameError(
                f"'{st.text}' of {self.name} changes '{st.var}', which is neither the weight 'w' nor a trace or a "
                f"variable of the synapse{suggest(st.var, [WEIGHT, *self.edge, *own])}",
                self.where,
            )
        if any(x.op in ("uniform", "normal", "next") for x in walk(st.expr)):
            raise EquationError(
                f"a statement of a learning rule is not random and reads no new value ([n+1]): '{st.text}'", self.where
            )
        if names(st.expr) & {"t", "dt"}:
            raise EquationError(f"a statement of a learning rule cannot read t or dt: '{st.text}'", self.where)
        if st.var in own and (foreign := sorted(names(st.expr) - {*own, *self.params})):
            raise EquationError(
                f"'{st.text}' of {self.name} happens at a neuron, which knows its own traces and the parameters only, "
                f"not '{foreign[0]}'",
                self.where,
            )

    def __repr__(self) -> str:
        unusual = [f"{key}='{value}'" for key, value in self.timing.items() if value != CHOICES[key][0]]
        plain = super().__repr__()
        return f"{plain[:-1]}{', ' if unusual and not plain.endswith('()') else ''}{', '.join(unusual)})"

    def _options_text(self) -> dict[str, str]:
        return {
            "on_pre": "; ".join(st.text for st in self.events["pre"]),
            "on_post": "; ".join(st.text for st in self.events["post"]),
            "on_every": "; ".join(st.text for st in self.events["every"]),
            "every": render(self.every) if isinstance(self.every, Expr) else str(self.every or ""),
            "require": "" if self.require is None else render(self.require),
            **{key: value if value != CHOICES[key][0] else "" for key, value in self.timing.items()},
            "bounds": ", ".join(
                f"{side} {b}" for side, b in zip(("lower", "upper"), self.bounds_text, strict=True) if b
            ),
        }

    # -- for the passes -----------------------------------------------------------------------------------------

    def jumps(self, side: str) -> tuple[Statement, ...]:
        """Return what a spike changes at its own neuron."""
        return tuple(st for st in self.events[side] if st.var in self.traces[side])

    def changes(self, side: str) -> Iterator[tuple[Statement, set[str]]]:
        """Yield the statements of an event that change the edge, each with the traces that have jumped before it."""
        jumped: set[str] = set()
        later = [st.var for st in self.events[side]]
        for k, st in enumerate(self.events[side]):
            if st.var == WEIGHT or st.var in self.edge:
                between = jumped & set(later[k + 1 :]) & names(st.expr)
                if between:
                    raise EquationError(
                        f"'{st.text}' of {self.name} stands between two changes of '{min(between)}': a statement at "
                        "the synapse reads a trace before its jump or after all of it",
                        self.where,
                    )
                yield st, set(jumped)
            else:
                jumped.add(st.var)

    def statements(self, side: str, label: str, pre: Group, post: Group) -> tuple[EdgeStatement, ...]:
        """Return the changes of the edge on an event, in the names of the populations at both ends."""
        out = []
        for st, jumped in self.changes(side):
            place = partial(self._place, side, jumped, st.text, label, pre, post)
            out.append(EdgeStatement(st.var, rename(st.expr, place), st.text))
        return tuple(out)

    def _place(self, side: str, jumped: set[str], text: str, label: str, pre: Group, post: Group, key: str) -> str:
        """Return the name, at the edge, of what a statement on the event of a side calls ``key``."""
        first = self.timing["coincidence"]
        if key in self.traces["pre"]:
            left = key in jumped if side == "pre" else side == "every" or first == "arrival_first"
            return f"pre:{label}.{key}{'' if left else BEFORE}"
        if key in self.traces["post"]:
            left = key in jumped if side == "post" else side == "every" or first == "spike_first"
            return f"post:{label}.{key}{'' if left else BEFORE}"
        if key in (*self.params, *self.edge, WEIGHT):
            return key
        return self._cell_variable(key, text, label, pre, post)

    def _cell_variable(self, key: str, text: str, label: str, pre: Group, post: Group) -> str:
        found = re.fullmatch(r"(\w+)_(pre|post)", key)
        known: list[str] = [*self.own, WEIGHT]
        for side, group in (("pre", pre), ("post", post)):
            known += [f"{v}_{side}" for v in sorted(readable(group))]
        if found is None or key not in known:
            raise UnknownNameError(
                f"unknown name '{key}' in '{text}' of {self.name}{suggest(key, known)}",
                self.where,
            )
        return f"{found[2]}:{label}.{key}"

    def snapshots(self, label: str, pre: Group, post: Group) -> dict[str, dict[str, Expr]]:
        """Return side -> name of a value that the statements read, other than a trace itself -> what it is."""
        out: dict[str, dict[str, Expr]] = {"pre": {}, "post": {}}
        for event in self.events:
            for st in self.statements(event, label, pre, post):
                for key in sorted(names(st.expr)):
                    side, _, full = key.partition(":")
                    if full.endswith(BEFORE):
                        out[side][full] = name(full.removesuffix(BEFORE))
                    elif full and full.removeprefix(f"{label}.") not in self.traces[side]:
                        variable = full.removeprefix(f"{label}.").rsplit("_", 1)[0]
                        out[side][full] = name(readable(pre if side == "pre" else post)[variable])
        return out


def readable(group: Group) -> dict[str, str]:
    """Return what statements may read of the neurons of a group -> the variable: the state variables of the cell, and,
    by its name, a receptor that has one variable."""
    found = []
    for pop, _ in group.parts:
        receptors = {key: part.variables for key, part in pop.scope.parts.items() if isinstance(part, Receptor)}
        single = {key: f"{key}.{variables[0]}" for key, variables in receptors.items() if len(variables) == 1}
        found.append({**single, **{v: v for v in pop.cell.variables}})
    return {key: full for key, full in found[0].items() if all(other.get(key) == full for other in found[1:])}


class Traces(Component):
    """The part of a rule that lives in one population: the traces of one side, or of both where it is source and
    target."""

    kind = "plasticity"

    def __init__(self, rule: Plasticity, sides: set[str]) -> None:
        self.__dict__.update(rule.__dict__)
        self.rule, self.on = rule, sides
        self.equations = tuple(eq for side in ("pre", "post") if side in sides for eq in rule.sides[side])
        self.marks = tuple(st for side in ("pre", "post") if side in sides for st in rule.jumps(side))


def attach(rule: Any, label: str, pre: Group, post: Group, weight: Dimension, where: str | None) -> Plasticity:
    """Enter a rule's traces into the populations at both ends, check its statements' dimensions, and return the rule
    with those of the synapse's variables."""
    if not isinstance(rule, Plasticity):
        raise ParameterError(f"plasticity must be a learning rule such as PairSTDP(…), got {rule!r}", where)
    for key in rule.params:
        value = rule.value(key)
        if isinstance(value, (Random, TimedArray)) or np.ndim(value.value if isinstance(value, Quantity) else value):
            raise ParameterError(
                f"{key} of {rule.name} must be one value for the whole projection; got {value!r}", rule.where
            )
    if rule.timing["delivers"] == "after" and rule.timing["delay_type"] != "dendritic":
        raise ParameterError(
            f"{rule.name} delivers the weight after the change by the arriving spike, which takes delay_type="
            "'dendritic': with axonal delays an arrival is learned from at the end of its step, when the target's "
            "variables of that step are known",
            rule.where,
        )
    sides: dict[str, tuple[Population, set[str]]] = {}
    for side, group in (("pre", pre), ("post", post)):
        for pop, _ in group.parts:
            sides.setdefault(pop.label, (pop, set()))[1].add(side)
    for pop, _ in sides.values():
        if label in pop.scope.parts:
            raise ParameterError(
                f"population '{pop.label}' has a receptor or stimulus '{label}' already: give the projection another "
                "name",
                where,
            )
    entered: list[Population] = []
    try:
        for pop, on in sides.values():
            pop.scope.add_traces(label, Traces(rule, on))
            entered.append(pop)
        attached = copy(rule)
        attached.edge_dimensions = _dimensions(rule, label, pre, post, weight)
    except Exception:
        for pop in entered:
            pop.scope.parts.pop(label, None)
        raise
    return attached


def detach(label: str, pre: Group, post: Group) -> None:
    """Take the traces of a rule out of the populations again: the projection was refused for another reason."""
    for pop, _ in (*pre.parts, *post.parts):
        pop.scope.parts.pop(label, None)


def _dimensions(
    rule: Plasticity, label: str, pre: Group, post: Group, weight: Dimension
) -> dict[str, Dimension]:
    """Check the dimensions of all statements, and return those of the variables of the synapse."""
    known: dict[str, Dimension] = {WEIGHT: weight}
    for side, group in (("pre", pre), ("post", post)):
        scope = group.parts[0][0].scope
        known.update({key: scope.dimension(f"{label}.{key}") for key in rule.params})
        for trace in rule.traces[side]:
            known[f"{side}:{label}.{trace}"] = known[f"{side}:{label}.{trace}{BEFORE}"] = scope.dimension(
                f"{label}.{trace}"
            )
        for full, e in rule.snapshots(label, pre, post)[side].items():
            if not full.endswith(BEFORE):
                found = {pop.scope.dimension(e.attr) for pop, _ in group.parts}
                if len(found) > 1:
                    raise DimensionError(f"'{e.attr}' has different dimensions in '{group.name}'", rule.where)
                known[f"{side}:{full}"] = found.pop()
    solver = Solver(known, set(rule.edge), rule.where)
    for eq in rule.sides["edge"]:
        solver.assign(eq.var, eq.expr, eq.text, rate=True)
    for side in rule.events:
        for st in rule.statements(side, label, pre, post):
            solver.assign(st.var, st.expr, st.text)
    if rule.require is not None:
        solver.resolve(rule.require, render(rule.require))
    if isinstance(rule.every, Expr) and (got := solver.resolve(rule.every, render(rule.every))) != TIME:
        raise DimensionError(
            f"the interval '{render(rule.every)}' of {rule.name} must be a {TIME}, and is {got}", rule.where
        )
    for text, bound in zip(rule.bounds_text, rule.bounds, strict=True):
        if bound is None or (bound.op == "const" and bound.attr == 0.0):
            continue
        rule.of_parameters("bound", str(text), bound)
        got = solver.resolve(bound, text or "")
        if got != weight:
            raise DimensionError(
                f"the bound '{text}' of {rule.name} is {got}, and the weight of projection '{label}' is {weight}",
                rule.where,
            )
    return {var: solver.dimension(var) or DIMENSIONLESS for var in rule.edge}

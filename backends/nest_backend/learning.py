"""NEST's synapses that learn: which of them a projection's rule is.

A rule is compared by its polynomials, like a cell. NEST's synapses have dendritic delays only, deliver the weight after
the change by the arriving spike, and do not pair a spike of the target with an arrival at the same time: a rule has to
say so. They look at the spikes of the target when a spike arrives, so a weight stands as of the last arrival.

References
----------
A. Morrison, A. Aertsen, M. Diesmann, Neural Comput. 19 (2007): how NEST keeps the spikes of a target; R. Gütig,
R. Aharonov, S. Rotter, H. Sompolinsky, J. Neurosci. 23 (2003), eqs. 1-2: the rule of ``stdp_synapse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurosim.backends.nest_backend.normal import (
    NoPolynomial,
    Poly,
    add,
    constant,
    equations_of,
    mul,
    same,
    same_number,
    scale,
    variable,
)
from neurosim.ir.graph import Graph, Model, PlasticityNode, ProjectionNode
from neurosim.ir.program import Program

MODEL = "stdp_synapse_lbl"
"""NEST's synapse; each has a label, by which weights are brought into the order of the edges."""

_MS, _BEFORE = 1e3, "@before"
_WHOLE = 9
"""Whole powers below it are multiplied out."""


@dataclass(frozen=True)
class Learner:
    """A rule as NEST has it.

    Attributes
    ----------
    params : dict
        Parameters of the synapse, in NEST's units.
    w_max : float
        The greatest weight, in SI units: NEST is told it as it is told weights.
    tau_minus : float
        Time constant of the target's trace, in ms, which NEST keeps at the neuron.
    """

    params: Mapping[str, float]
    w_max: float
    tau_minus: float


def recognise_rule(graph: Graph, projection: ProjectionNode) -> Learner | str:
    """Return what a projection's rule is in NEST, or what of it NEST has not: completes "no ..."."""
    node = projection.plasticity
    assert node is not None
    differences = _timing(node)
    if projection.release is not None:
        differences.append("it has short-term plasticity besides")
    try:
        found = _learner(graph, projection, node)
        differences += [found] if isinstance(found, str) else []
    except NoPolynomial as e:
        found = ""
        differences.append(f"its rule {e}")
    if differences or isinstance(found, str):
        return f"synapse of NEST's like that of projection '{projection.name}' (nearest: stdp_synapse): " + "; ".join(
            differences
        )
    return found


def recognise_learners(graph: Graph) -> dict[str, Learner | str]:
    """Return what each projection with a rule is in NEST, those that do not go together included."""
    found = {p.name: recognise_rule(graph, p) for p in graph.projections if p.plasticity is not None}
    taus: dict[str, float] = {}
    for projection in graph.projections:
        rule = found.get(projection.name)
        for s in projection.post if isinstance(rule, Learner) else ():
            assert isinstance(rule, Learner)
            if not same_number(taus.setdefault(s.population, rule.tau_minus), rule.tau_minus):
                found[projection.name] = (
                    f"second tau_minus of population '{s.population}': NEST keeps the trace of a target once for all "
                    f"its synapses, and projection '{projection.name}' has another time constant"
                )
    return found


def _timing(node: PlasticityNode) -> list[str]:
    out = []
    if not node.dendritic:
        out.append("its delay is axonal; NEST's are dendritic (delay_type='dendritic')")
    if not node.delivers_after:
        out.append("it delivers the weight before the change by the arriving spike; NEST's after (delivers='after')")
    apart = node.spikes_first and all(
        var.endswith(_BEFORE)
        for program, op in ((node.pre_program, "post"), (node.post_program, "pre"))
        if program is not None
        for var in program.uses(op)
    )
    if not apart:
        out.append("it pairs a spike of the target with an arrival in the same step; NEST does not "
                   "(coincidence='apart')")  # fmt: skip
    return out


@dataclass(frozen=True)
class _Change:
    """The weight after an event: a polynomial, and the bounds that it is brought into."""

    poly: Poly
    lower: float | None = None
    upper: float | None = None


def _bounded(value: _Change, op: str, bound: float) -> _Change:
    held = value.lower if op == "max" else value.upper
    if held not in (None, bound):
        raise NoPolynomial("has a bound of its own within a statement")
    return replace(value, lower=bound) if op == "max" else replace(value, upper=bound)


class _Statements:
    """Puts a program over edges into polynomials of the weight ``w`` and of traces; a power is a symbol of its own."""

    def __init__(self, node: PlasticityNode) -> None:
        self.node = node
        self.powers: dict[str, tuple[Poly, float]] = {}

    def read(self, program: Program) -> _Change:
        """Return the weight after the program."""
        values: list[_Change] = []
        for ins in program.instrs:
            a = [values[k] for k in ins.args]
            if ins.op == "store":
                if ins.attr != "w":
                    raise NoPolynomial(f"has a variable of the synapse, '{ins.attr}'")
                values.append(a[0])
            elif ins.op in ("max", "min") and set(a[1].poly) <= {()}:
                values.append(_bounded(a[0], ins.op, float(a[1].poly.get((), 0.0))))
            else:
                values.append(_Change(self._value(ins.op, ins.attr, [self._plain(x) for x in a])))
        return values[program.stores()["w"]]

    def _plain(self, value: _Change) -> Poly:
        if value.lower is not None or value.upper is not None:
            raise NoPolynomial("has a bound within a statement")
        return value.poly

    def _value(self, op: str, attr: str, a: list[Poly]) -> Poly:
        if op == "const":
            return constant(float(attr))
        if op == "param":
            return constant(float(self.node.params[attr]))
        if op in ("pre", "post"):
            return variable(attr.removesuffix(_BEFORE))
        if op == "load":
            if attr != "w":
                raise NoPolynomial(f"has a variable of the synapse, '{attr}'")
            return variable(attr)
        if op in ("add", "sub"):
            return add(a[0], a[1], 1.0 if op == "add" else -1.0)
        if op == "mul":
            return mul(a[0], a[1])
        if op == "neg":
            return scale(a[0], -1.0)
        if op == "div" and set(a[1]) == {()}:
            return scale(a[0], 1.0 / a[1][()])
        if op == "sqrt":
            return self._power(a[0], 0.5)
        if op == "pow" and set(a[1]) <= {()}:
            return self._power(a[0], float(a[1].get((), 0.0)))
        raise NoPolynomial(f"has the operation {op}")

    def _power(self, base: Poly, exponent: float) -> Poly:
        if exponent in range(_WHOLE):
            return _times(base, int(exponent))
        name = f"power {len(self.powers)}"
        self.powers[name] = base, exponent
        return variable(name)

    def weight_dependence(self, p: Poly, trace: str, base: Poly) -> tuple[float, float] | None:
        """Return c and mu if a polynomial is ``c * base**mu * trace``, where ``base`` is one of the weight."""
        if any(m.count(trace) != 1 for m in p):
            return None
        rest = {tuple(n for n in m if n != trace): c for m, c in p.items()}
        for mu in range(_WHOLE):
            whole = _times(base, mu)
            mono = next(iter(whole))
            factor = rest.get(mono, 0.0) / whole[mono]
            if same(rest, scale(whole, factor)):
                return factor, float(mu)
        if len(rest) == 1 and len(mono := next(iter(rest))) == 1 and mono[0] in self.powers:
            found, exponent = self.powers[mono[0]]
            first = next(iter(base))
            factor = found.get(first, 0.0) / base[first]
            if factor > 0 and same(found, scale(base, factor)):
                return rest[mono] * factor**exponent, exponent
        return None


def _times(base: Poly, times: int) -> Poly:
    out: Poly = {(): 1.0}
    for _ in range(times):
        out = mul(out, base)
    return out


def _learner(graph: Graph, projection: ProjectionNode, node: PlasticityNode) -> Learner | str:
    if node.every_program is not None:
        return "it has statements of an interval"
    if node.pre_program is None or node.post_program is None:
        return "it learns from one of the two events only"
    seen = _Statements(node)
    arrival, spike = seen.read(node.pre_program), seen.read(node.post_program)
    traces = []
    for program, op in ((node.post_program, "pre"), (node.pre_program, "post")):
        names = {var.removesuffix(_BEFORE) for var in program.uses(op)}
        if len(names) != 1:
            return "each of its events reads one trace of the other side, in NEST"
        traces.append(names.pop())
    x, y = traces
    for trace, ends in ((x, projection.pre), (y, projection.post)):
        if any(trace not in _model(graph, s.population).system.traces for s in ends):
            return f"it reads '{trace.rpartition('.')[2]}', a variable of a cell"
    w_max = spike.upper
    bounded = arrival.lower == 0.0 and spike.lower in (None, 0.0) and arrival.upper in (None, w_max)
    if not bounded or w_max is None or not w_max > 0:
        return "its weights have no bounds of 0 and a number above"
    up = seen.weight_dependence(add(spike.poly, variable("w"), -1.0), x, {(): 1.0, ("w",): -1.0 / w_max})
    down = seen.weight_dependence(add(variable("w"), arrival.poly, -1.0), y, {("w",): 1.0 / w_max})
    if up is not None and up[0] == 0:
        return "it has no potentiation, of which NEST's depression is a multiple (alpha)"
    if up is None or down is None or not up[0] > 0 or not down[0] >= 0:
        return (
            "its changes are not lambda*w_max*(1 - w/w_max)**mu_plus*x by a spike of the target and "
            "-alpha*lambda*w_max*(w/w_max)**mu_minus*y by an arrival"
        )
    before = _trace(graph, [s.population for s in projection.pre], x)
    after = _trace(graph, [s.population for s in projection.post], y)
    if before is None or after is None:
        return "its traces do not decay exponentially from 0, or do not grow by one amount with each spike"
    rate, depression = up[0] * before[1] / w_max, down[0] * after[1] / w_max
    params = {"lambda": rate, "alpha": depression / rate, "mu_plus": up[1], "mu_minus": down[1], "tau_plus": before[0]}
    return Learner(params, w_max, after[0])


def _model(graph: Graph, population: str) -> Model:
    model = graph.population(population).model
    assert model is not None
    return model


def _trace(graph: Graph, populations: list[str], trace: str) -> tuple[float, float] | None:
    """Return the time constant of a trace, in ms, and what a spike adds to it; None if it is no such trace."""
    found = set()
    for name in dict.fromkeys(populations):
        pop, system = graph.population(name), _model(graph, name).system
        read = equations_of(graph, pop, {trace})
        slope = next(read(e.expr) for e in system.equations if e.var == trace)
        jumps = [read(e) for var, e in system.marks if var == trace]
        if set(slope) != {(trace,)} or not slope[trace,] < 0 or len(jumps) != 1 or np.any(pop.state(trace).init):
            return None
        added = add(jumps[0], variable(trace), -1.0)
        if set(added) != {()} or not added[()] > 0:
            return None
        found.add((-_MS / slope[trace,], added[()]))
    return found.pop() if len(found) == 1 else None

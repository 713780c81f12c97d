"""Pass ``units``: the user's network becomes a graph in SI units, with every drawn parameter drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurosim.errors import ConnectivityError, EquationError, ParameterError, UnknownNameError, suggest
from neurosim.ir.expr import ZERO, Expr, mul, name, names, render, replace, substitute, walk
from neurosim.ir.graph import (
    Drive,
    EquationNode,
    EventNode,
    Graph,
    Jump,
    LinkNode,
    PlasticityNode,
    PopulationNode,
    ProbeNode,
    ProjectionNode,
    Schedule,
    Segment,
    StateVar,
    System,
    Table,
)
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program
from neurosim.ir.random import Draws
from neurosim.ir.timegrid import NEVER, whole_steps
from neurosim.lang import links
from neurosim.lang.components import Random, TimedArray
from neurosim.lang.connect import Connection
from neurosim.lang.groups import Group, Population
from neurosim.lang.network import Network
from neurosim.lang.plasticity import Traces
from neurosim.lang.short_term import LABEL, RELEASE, ShortTerm
from neurosim.units import Dimension, Quantity


def units(network: Network) -> Graph:
    """Lower a network; equations keep their names, ``receptor.variable`` for those of receptors and stimuli."""
    return Graph(
        name=network.name,
        dt=network.dt,
        seed=network.seed,
        populations=tuple(_population(network, pop) for pop in network.populations.values()),
        projections=tuple(
            _projection(
                c,
                c.post.parts[0][0].scope.weight_dimension(c.receptor),
                _plasticity(network, c),
                None if c.short_term is None else f"{c.name}.{LABEL}.{RELEASE}",
            )
            for c in network.projections.values()
        ),
        links=tuple(_link(network, c) for c in network.links.values()),
        probes=tuple(
            ProbeNode(
                p.target,
                p.variable,
                p.ids,
                1 if p.every is None else whole_steps(p.every, network.dt, "the interval of a probe", p.where, 1),
                p.where,
                p.edge,
            )
            for p in network.probes
        ),
    )


def _projection(
    c: Connection, dim: Dimension, plasticity: PlasticityNode | None = None, release: str | None = None
) -> ProjectionNode:
    ends = _segments(c.pre), _segments(c.post)
    return ProjectionNode(
        c.name, *ends, c.receptor, c.rule, c.weight, c.delay, None, dim.symbol, plasticity, c.where, release
    )


def _link(network: Network, c: Connection) -> LinkNode:
    links.same_link(c)
    value = _bare(links.value(c))
    found: dict[str, float] = {}
    for pop, _ in c.post.parts:
        values, part = Values(network, pop), pop.cell.receptors[c.receptor]
        for key in part.params:
            if key not in names(value):
                continue
            given = part.value(key)
            known = None if isinstance(given, TimedArray) else values.param(c.receptor, key)
            if known is None or np.ndim(known) or found.setdefault(key, float(known)) != known:
                raise ParameterError(
                    f"{key} of receptor '{c.receptor}' of population '{pop.label}' is read by the link '{c.name}', and "
                    "is one constant for all its edges: put what differs into the weights, or into the output",
                    c.where,
                )
    dim = links.weight_dimension(c.pre, c.post, c.receptor, c.where)
    return LinkNode(_projection(c, dim), found, value)


def _segments(group: Group) -> tuple[Segment, ...]:
    return tuple(Segment(pop.label, ids, pop.n if ids is None else len(ids)) for pop, ids in group.parts)


def _plasticity(network: Network, c: Connection) -> PlasticityNode | None:
    rule = c.plasticity
    if rule is None:
        return None
    values = Values(network, c.post.parts[0][0])
    params = {key: float(values.param(c.name, key)) for key in rule.params}
    if rule.require is not None and not bool(_constant(_bare(rule.require), params)):
        read = ", ".join(f"{key} = {rule.value(key)}" for key in rule.params if key in names(rule.require))
        raise ParameterError(
            f"{rule.name} of projection '{c.name}' needs {render(rule.require)}; it has {read}", rule.where
        )
    bounds = [None if b is None else _bare(b) for b in rule.bounds]
    found = [None if b is None else float(_constant(b, params)) for b in bounds]
    lower, upper = found
    if lower is not None and upper is not None and lower > upper:
        raise ParameterError(
            f"the weights of projection '{c.name}' have the lower bound {lower:g} above the upper bound {upper:g}",
            c.where,
        )
    events = {
        side: tuple((st.var, _bare(st.expr)) for st in rule.statements(side, c.name, c.pre, c.post))
        for side in rule.events
    }
    decays = {eq.var: _bare(rule.decay(eq)) for eq in rule.sides["edge"]}
    rates = {var: float(_constant(e, params)) for var, e in decays.items()}
    for var, rate in rates.items():
        if not rate <= 0:
            raise ParameterError(
                f"the variable '{var}' of the synapses of projection '{c.name}' grows, at {rate:g} Hz: it has to decay",
                rule.where,
            )
    every = rule.every
    seconds = float(_constant(_bare(every), params)) if isinstance(every, Expr) else every and float(every.value)
    return PlasticityNode(
        params=params,
        edge=rates,
        units={var: dim.symbol for var, dim in rule.edge_dimensions.items()},
        every=0 if seconds is None else whole_steps(seconds, network.dt, f"every of {rule.name}", rule.where, 1),
        on_pre=events["pre"],
        on_post=events["post"],
        on_every=events["every"],
        dendritic=rule.timing["delay_type"] == "dendritic",
        spikes_first=rule.timing["coincidence"] != "arrival_first",
        delivers_after=rule.timing["delivers"] == "after",
        bounds=(bounds[0], bounds[1]),
        largest=None if lower is None or upper is None else max(abs(lower), abs(upper)),
    )


def _constant(e: Expr, params: Mapping[str, float]) -> Any:
    program = edge_program(e)
    assert program.result is not None
    return evaluate(program, lambda ins: np.float64(params[ins.attr]))[program.result]


def _kept(network: Network, pop: Population) -> Iterator[tuple[str, Traces | ShortTerm, dict[str, Expr]]]:
    """Yield the label, the traces and the snapshots of all that projections keep at the neurons of a population."""
    for key, part in pop.scope.parts.items():
        if isinstance(part, ShortTerm):
            yield key, part, {}
        elif isinstance(part, Traces):
            c = network.projections[key]
            found = part.rule.snapshots(key, c.pre, c.post)
            yield key, part, {v: e for side in ("pre", "post") if side in part.on for v, e in found[side].items()}


def _bare(e: Expr) -> Expr:
    """Drop dimensions and places: they have been checked."""
    return replace(e, lambda x: Expr(x.op, (), x.attr) if not x.args else None)


class Values:
    """Evaluates the parameters of one population; expressions may refer to other parameters of the same part."""

    def __init__(self, network: Network, pop: Population) -> None:
        self.network, self.pop = network, pop
        self.done: dict[str, Any] = {"dt": network.dt}
        self.tables: dict[str, Table] = {}
        self._open: list[str] = []

    def param(self, prefix: str, key: str) -> Any:
        """Return the SI value of a parameter: a float or an array of n."""
        full = f"{prefix}.{key}" if prefix else key
        if full in self.done:
            return self.done[full]
        if full in self._open:
            raise EquationError(
                f"the parameters {', '.join(self._open)} of population '{self.pop.label}' refer to "
                "each other in a circle",
                self.pop.where,
            )
        self._open.append(full)
        part = self.pop.scope.parts[prefix]
        value = self.concrete(part.value(key), full, prefix)
        part.params[key].check(value, f"{key} of {part.name}", part.where)
        self._open.pop()
        self.done[full] = value
        return value

    def concrete(self, value: Any, full: str, prefix: str) -> Any:
        """Turn a value as given into numbers."""
        if isinstance(value, Random):
            return value.draw.sample(Draws(self.network.seed, f"value:{self.pop.label}.{full}"), 0, self.pop.n)
        if isinstance(value, TimedArray):
            raise ParameterError(
                f"{full} of population '{self.pop.label}' changes in time (a TimedArray), so no other parameter "
                "and no initial value can be computed from it",
                value.where,
            )
        if isinstance(value, str):
            return self._expression(value, full, prefix)
        raw = value.value if isinstance(value, Quantity) else value
        return float(raw) if np.ndim(raw) == 0 else np.asarray(raw, dtype=np.float64)

    def _expression(self, text: str, full: str, prefix: str) -> Any:
        part = self.pop.scope.parts[prefix]
        e, _ = self.pop.scope.value(prefix, text, part.where)
        pos = self.pop.positions

        def leaf(ins: Any, *_: Any) -> Any:
            if ins.op in ("uniform", "normal"):
                draws = Draws(self.network.seed, f"value:{self.pop.label}.{full}.{ins.attr}")
                return getattr(draws, ins.op)(0, self.pop.n)
            key = ins.attr
            if key in part.params:
                return np.float64(v) if np.ndim(v := self.param(prefix, key)) == 0 else v
            if key == "index":
                return np.arange(self.pop.n, dtype=np.float64)
            if key == "N":
                return np.float64(self.pop.n)
            if key == "dt":
                return np.float64(self.network.dt)
            if key in ("x", "y", "z"):
                if pos is None:
                    raise ConnectivityError(
                        f"'{text}' reads the position {key}, but population '{self.pop.label}' has none: give "
                        "positions= to net.population",
                        self.pop.where,
                    )
                return pos[:, "xyz".index(key)]
            if prefix and key in self.pop.cell.params:
                return np.float64(v) if np.ndim(v := self.param("", key)) == 0 else v
            known = [*part.params, "index", "N"]
            raise UnknownNameError(f"unknown name '{key}' in '{text}'{suggest(key, known)}", part.where)

        program = edge_program(_bare(e))
        assert program.result is not None
        out = evaluate(program, leaf)[program.result]
        if not np.isfinite(out).all():
            at = int(np.flatnonzero(~np.isfinite(np.atleast_1d(out)))[0])
            what = f"initial {full[:-3]}" if full.endswith("(0)") else full
            raise ParameterError(
                f"{what} of population '{self.pop.label}' must be finite: '{text}' is {np.atleast_1d(out)[at]} for "
                f"neuron {at}",
                self.pop.where,
            )
        return float(out) if np.ndim(out) == 0 else np.array(out)


def _population(network: Network, pop: Population) -> PopulationNode:
    scope, values = pop.scope, Values(network, pop)
    tables: dict[str, Table] = {}
    for prefix, part in scope.parts.items():
        for key in part.params:
            full = f"{prefix}.{key}" if prefix else key
            value = part.value(key)
            if isinstance(value, TimedArray):
                if value.values.ndim == 2 and value.values.shape[1] != pop.n:
                    raise ParameterError(
                        f"the TimedArray for {full} of population '{pop.label}' must be [T, {pop.n}], "
                        f"got {list(value.values.shape)}",
                        value.where,
                    )
                every = whole_steps(value.dt, network.dt, f"dt of the TimedArray for {full}", value.where, 1)
                tables[full] = Table(value.values, every, value.repeat)
            else:
                values.param(prefix, key)
    params = dict(values.done)

    equations: list[EquationNode] = []
    states: list[StateVar] = []
    for prefix, part in scope.parts.items():
        for eq in part.equations:
            full = f"{prefix}.{eq.var}" if prefix else eq.var
            equations.append(EquationNode(full, eq.kind, _bare(scope.expr(prefix, eq.expr))))
            if eq.kind != "let":
                owner, given = ("", pop.init[full]) if full in pop.init else (prefix, part.init.get(eq.var, 0.0))
                init = values.concrete(given, f"{full}(0)", owner)
                states.append(StateVar(full, "f", init, scope.dimension(full).symbol))

    cell = pop.cell
    for event in cell.events:
        age = values.concrete(pop.init.get(event, cell.init.get(event, NEVER)), f"{event}(0)", "")
        if np.any(np.asarray(age) < 0) or np.any(np.asarray(age) > NEVER) or np.any(age != np.rint(age)):
            raise ParameterError(
                f"initial {event} of population '{pop.label}' is a number of steps since the event: whole, from 0 to "
                f"2^24 (never); got {np.min(age):g}" + (f" to {np.max(age):g}" if np.ndim(age) else ""),
                pop.where,
            )
        states.append(StateVar(event, "f", age, "1"))
    ports: dict[str, list[Expr]] = {p: [] for p in cell.ports}
    jumps: dict[str, tuple[Jump, ...]] = {}
    for key, receptor in cell.receptors.items():
        if receptor.output is not None:
            ports[receptor.port].append(_bare(scope.expr(key, receptor.output)))
        full = scope.full(key)
        jumps[key] = tuple(Jump(full(v), _bare(scope.expr(key, g)), receptor.when) for v, g in receptor.gains.items())
    drives: list[Drive] = []
    for key, stimulus, ids, receptor in pop.stimuli:
        mask = None
        if ids is not None:
            mask = f"{key}@on"
            on = np.zeros(pop.n)
            on[ids] = 1.0
            params[mask] = on
        if stimulus.kind == "drive":
            mean = mul(mul(_bare(scope.expr(key, stimulus.rate_expr)), name(f"{key}.n")), name("dt"))
            assert receptor is not None
            drives.append(Drive(key, receptor, mean if mask is None else mul(mean, name(mask)), name(f"{key}.weight")))
        else:
            out = _bare(scope.expr(key, stimulus.output))
            ports[stimulus.port].append(out if mask is None else mul(out, name(mask)))

    traces: list[str] = []
    marks: list[tuple[str, Expr]] = []
    snapshots: list[tuple[str, Expr]] = []
    for key, part, kept in _kept(network, pop):
        traces += [f"{key}.{v}" for v in part.variables]
        marks += [(f"{key}.{st.var}", _bare(scope.expr(key, st.expr))) for st in part.marks]
        for full, e in kept.items():
            (source,) = names(e)
            snapshots.append((full, e))
            init = next(s.init for s in states if s.name == source)
            states.append(StateVar(full, "f", init, scope.dimension(source).symbol))

    schedules: dict[str, Schedule] = {}
    threshold = None if cell.threshold is None else _bare(scope.expr("", cell.threshold))
    if cell.schedule is not None:
        schedules["spikes"] = cell.schedule.lower(pop.n, network.dt, pop.label, pop.where)
        threshold = Expr("scheduled", (), "spikes")
    system = System(
        equations=tuple(equations),
        ports={k: tuple(v) for k, v in ports.items()},
        jumps=jumps,
        drives=tuple(drives),
        threshold=threshold,
        reset=tuple((st.var, _bare(scope.expr("", st.expr))) for st in cell.reset),
        refractory=None if cell.refractory is None else _bare(scope.expr("", cell.refractory)),
        edge=cell.edge,
        clamp=cell.clamp,
        method=cell.method,
        precision=cell.precision,
        traces=tuple(traces),
        marks=tuple(marks),
        snapshots=tuple(snapshots),
        events=tuple(
            EventNode(
                key,
                _bare(scope.expr("", event.condition)),
                tuple((st.var, _bare(scope.expr("", st.expr))) for st in event.reaction),
                None if event.refractory is None else _bare(scope.expr("", event.refractory)),
                event.edge,
            )
            for key, event in cell.events.items()
        ),
    )
    led = {c.receptor for c in network.links.values() if any(q is pop for q, _ in c.post.parts)}
    sums = {f"{k}.{r.link.var}": Expr("inbox", (), k) if k in led else ZERO  # nothing adds to a sum that no link has
            for k, r in cell.receptors.items() if r.link is not None}  # fmt: skip
    if sums:
        system = system.rewritten(lambda e: substitute(e, sums))
    _check_next(system, pop)
    return PopulationNode(
        name=pop.label,
        size=pop.n,
        system=system,
        params=params,
        states=tuple(states),
        receptors=tuple(cell.receptors),
        tables=tables,
        schedules=schedules,
        positions=pop.positions,
        where=pop.where,
        attributes={k: params[k] for k in cell.params if k in params},
        drive_weights={d.name: (d.receptor, float(params[f"{d.name}.weight"])) for d in drives},
    )


def _check_next(system: System, pop: Population) -> None:
    """A new value is that of an equation; differential equations are integrated together and read none."""
    kinds = {e.var: e.kind for e in system.equations if e.kind != "let"}
    for e in (*(e.expr for e in system.equations), *(term for terms in system.ports.values() for term in terms)):
        for x in walk(e):
            if x.op == "next" and x.attr not in kinds:
                raise EquationError(
                    f"'{x.attr}[n+1]' is read, but population '{pop.label}' has no equation that gives '{x.attr}' "
                    "a new value",
                    pop.where,
                )

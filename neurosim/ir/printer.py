"""A graph as text: what ``neurosim ir`` prints. All numbers are SI; arrays are summed up in a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError
from neurosim.ir.distributions import Draw, PerEdge
from neurosim.ir.expr import Expr, is_condition, render
from neurosim.ir.graph import (
    Graph,
    LinkNode,
    PlasticityNode,
    PopulationNode,
    ProbeNode,
    ProjectionNode,
    Schedule,
    Segment,
    System,
    Table,
    digest,
)
from neurosim.ir.program import Program
from neurosim.units import DIMENSIONLESS, Quantity, parse_quantity


def render_graph(graph: Graph) -> str:
    """Return a graph as text, population by population; a program that an earlier population has is not repeated."""
    edges = sum(_expected(p) for p in (*graph.projections, *(link.edges for link in graph.links)))
    trial = f", trial {graph.trial}" if graph.trial else ""
    lines = [
        f"graph '{graph.name}' after the pass '{graph.stage}'",
        f"  {graph.size:,} neurons, {len(graph.populations)} populations, {len(graph.projections)} projections, "
        f"{f'{len(graph.links)} links, ' if graph.links else ''}about {edges:,.0f} edges",
        f"  dt {graph.dt * 1e3:.6g} ms, seed {graph.seed}{trial}, {graph.precision}, "
        f"weights of {graph.weight_bits} bits",
        f"  hash {digest(graph)}",
    ]
    known: list[tuple[str, Any]] = []
    for pop in graph.populations:
        lines += ["", *_population(pop, known)]
    for proj in graph.projections:
        lines += ["", *_projection(graph, proj)]
    for link in graph.links:
        lines += ["", *_link(link)]
    if graph.probes:
        lines += ["", *(_probe(graph, p) for p in graph.probes)]
    return "\n".join(lines)


# -- populations ----------------------------------------------------------------------------------------------------


def _population(pop: PopulationNode, known: list[tuple[str, Any]]) -> Iterator[str]:
    yield f"population {pop.name}: {pop.size:,} {'neuron' if pop.size == 1 else 'neurons'}"
    yield from _rows("states", {v.name: f"{v.unit or '1':<8} {_value(v.init)}" for v in pop.states})
    yield from _rows("parameters", {k: _value(v) for k, v in pop.params.items()})
    yield from _rows("time arrays", {k: _table(t) for k, t in pop.tables.items()})
    yield from _rows("spike lists", {k: _schedule(s) for k, s in pop.schedules.items()})
    yield from _rows("poisson tables", {k: _value(t.thresholds) for k, t in pop.poisson.items()})
    yield from _rows("streams", pop.streams)
    yield from _rows("receptors", {r: f"grid {_grid(pop.grids[r])}" if r in pop.grids else "" for r in pop.receptors})
    body = pop.system if pop.program is None else pop.program
    if body is None:
        return
    title = "equations" if pop.program is None else "program"
    for name, other in known:
        if other == body:
            yield f"  {title} as in population {name}"
            return
    known.append((pop.name, body))
    yield f"  {title}"
    if isinstance(body, Program):
        yield body.text("    ")
    else:
        yield from (f"    {line}" for line in _equations(body))


def _table(t: Table) -> str:
    return f"a row every {t.every} steps{', repeated' if t.repeat else ''}: {_value(t.values)}"


def _schedule(s: Schedule) -> str:
    return f"{len(s.neurons):,} spikes{f', again every {s.period} steps' if s.period else ''}"


def _equations(system: System) -> Iterator[str]:
    left = {"ode": "d{}/dt", "update": "{}[n+1]", "let": "{}"}
    for e in system.equations:
        yield f"{left[e.kind].format(e.var)} = {render(e.expr)}"
    for port, terms in system.ports.items():
        yield f"{port} = {' + '.join(render(t) for t in terms) or '0'}"
    for receptor, jumps in system.jumps.items():
        for j in jumps:
            gain = render(j.gain, 5)
            yield f"on an arrival at {receptor}: {j.var} += {'' if gain == '1' else gain + ' * '}w, {j.when} the decay"
    for d in system.drives:
        yield f"poisson drive {d.name} at {d.receptor}: mean {render(d.mean)} a step, weight {render(d.weight)}"
    if system.threshold is not None:
        yield f"spike when {render(system.threshold)}{' becomes true' * system.edge}"
        for var, e in system.reset:
            yield f"reset {var} = {render(e)}"
        for var, e in system.marks:
            yield f"mark {var} = {render(e)}"
    for var, e in system.snapshots:
        yield f"keep {var} = {render(e)}, before reset and marks"
    if system.refractory is not None:
        held = f", holding {', '.join(system.clamp)}" if system.clamp else ""
        yield f"refractory {_lasts(system.refractory)} {render(system.refractory)}{held}"
    for event in system.events:
        yield f"event {event.name} when {render(event.condition)}{' becomes true' * event.edge}"
        for var, e in event.reaction:
            yield f"on {event.name}: {var} = {render(e)}"
        if event.refractory is not None:
            yield f"{event.name} refractory {_lasts(event.refractory)} {render(event.refractory)}"
    yield f"method {system.method}"


def _lasts(refractory: Expr) -> str:
    return "while" if is_condition(refractory) else "for"


# -- projections and probes -----------------------------------------------------------------------------------------


def _projection(graph: Graph, proj: ProjectionNode) -> Iterator[str]:
    yield f"projection {proj.name}: {_ends(proj.pre)} -> {_ends(proj.post)}, receptor {proj.receptor}"
    yield f"  rule     {proj.rule.describe()}, about {_expected(proj):,.0f} edges"
    grids = {graph.population(s.population).grids.get(proj.receptor) for s in proj.post} - {None}
    grid = f", on the grid {', '.join(sorted(_grid(g) for g in grids if g))}" if grids else ""
    yield f"  weight   {_edge_value(proj.weight, proj.weight_unit)}{grid}"
    steps = "" if proj.delay_steps is None else f", {proj.delay_steps} {'step' if proj.delay_steps == 1 else 'steps'}"
    yield f"  delay    {_edge_value(proj.delay, 's')}{steps}"
    if proj.release is not None:
        yield f"  delivers the weight times {proj.release} of the source, as of the step of the spike"
    if proj.plasticity is not None:
        yield from _plasticity(proj.plasticity)


def _link(link: LinkNode) -> Iterator[str]:
    p = link.edges
    yield f"link {p.name}: {_ends(p.pre)} -> {_ends(p.post)}, receptor {p.receptor}"
    yield f"  rule     {p.rule.describe()}, about {_expected(p):,.0f} edges"
    yield f"  weight   {_edge_value(p.weight, p.weight_unit)}"
    yield from _rows("parameters", {k: _value(v) for k, v in link.params.items()})
    if link.value is not None:
        yield f"  in every step, an edge adds {render(link.value)}"
    elif link.program is not None:
        yield "  in every step, an edge adds"
        yield link.program.text("    ")


def _plasticity(node: PlasticityNode) -> Iterator[str]:
    for var, rate in node.edge.items():
        yield f"  variable {var} of the edge{f', d{var}/dt = {rate:g}*{var}' if rate else ''}"
    for event, statements, program in (
        ("on an arrival", node.on_pre, node.pre_program),
        ("on a spike of the target", node.on_post, node.post_program),
        (f"every {node.every} steps", node.on_every, node.every_program),
    ):
        if statements or program is not None:
            yield f"  {event}"
        yield from (f"    {var} = {render(e)}" for var, e in statements)
        if program is not None:
            yield program.text("    ")
    if node.dendritic:
        yield "  learns with the target as it was two delays ago: the delay is dendritic"
    if node.spikes_first:
        yield "  spikes of the target change it before arrivals do"
    if node.delivers_after:
        yield "  delivers the weight after the changes of the step"
    words = zip(("at least", "at most"), node.bounds, strict=True)
    bounds = [f"{word} {render(b)}" for word, b in words if b is not None]
    if bounds:
        yield f"  weights are {' and '.join(bounds)}"
    yield from _rows("parameters of learning", {k: _value(v) for k, v in node.params.items()})


def _probe(graph: Graph, probe: ProbeNode) -> str:
    every = "every step" if probe.every == 1 else f"every {probe.every} steps"
    if probe.edge:
        return f"probe {probe.variable} of {probe.target}, {every}"
    size = graph.population(probe.target).size
    who = "all neurons" if probe.ids is None else f"{len(probe.ids):,} of {size:,} neurons"
    return f"probe {probe.variable} of {probe.target}, {who}, {every}"


def _ends(segments: tuple[Segment, ...]) -> str:
    return " + ".join(s.population if s.ids is None else f"{s.population} ({s.size:,} of it)" for s in segments)


def _expected(proj: ProjectionNode) -> float:
    return float(proj.rule.expected(sum(s.size for s in proj.pre), sum(s.size for s in proj.post)))


# -- values ---------------------------------------------------------------------------------------------------------


def _rows(title: str, table: Mapping[str, str]) -> Iterator[str]:
    if table:
        yield f"  {title}"
        width = min(24, max(map(len, table)))
        yield from (f"    {k:<{width}}  {text}".rstrip() for k, text in table.items())


def _value(value: Any) -> str:
    """Return a number in full, or the range of an array."""
    array = np.asarray(value)
    if array.ndim == 0:
        short = f"{array.item():.12g}"
        return short if float(short) == array.item() else repr(array.item())
    shape = " x ".join(f"{n:,}" for n in array.shape)
    if array.size == 0:
        return f"{shape} values"
    low, high = float(array.min()), float(array.max())
    if low == high:
        return f"{shape} values, all {low:.6g}"
    return f"{shape} values, {low:.6g} to {high:.6g}, mean {float(array.mean()):.6g}"


def _edge_value(value: Any, unit: str) -> str:
    if isinstance(value, Program):
        return f"an expression of {len(value)} operations ({unit or '1'})"
    if isinstance(value, (Draw, PerEdge)):
        return f"{value.describe()} ({unit or '1'})"
    if np.ndim(value):
        return f"{_value(value)} ({unit or '1'})"
    try:
        one = parse_quantity(unit or "1")
    except NeurosimError:
        one = 1.0
    return str(Quantity(float(value), one.dim if isinstance(one, Quantity) else DIMENSIONLESS))


def _grid(grid: float) -> str:
    return f"2^{int(np.frexp(grid)[1]) - 1}"


__all__ = ["render_graph"]

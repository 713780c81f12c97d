"""NEST's synapses with short-term plasticity: which of them a projection's equations are.

Every one of NEST's connections keeps the resources of its source for itself, so it does again what one source here does
once. What a spike does to them is a polynomial in their values before it; two models are the same if these polynomials
and the equations between spikes are.

References
----------
H. Markram, Y. Wang, M. Tsodyks, PNAS 95 (1998); M. Tsodyks, A. Uziel, H. Markram, J. Neurosci. 20 (2000).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from neurosim.backends.nest_backend.normal import NoPolynomial, Poly, add, equations_of, mul, same, scale, variable
from neurosim.ir.expr import names
from neurosim.ir.graph import Graph, PopulationNode, ProjectionNode

_MS = 1e3


@dataclass(frozen=True)
class Synapse:
    """One of NEST's synapse models, with its parameters in NEST's units."""

    model: str
    params: Mapping[str, float]


@dataclass(frozen=True)
class _Resources:
    """Slopes between spikes, and values after one (``release`` among them), as polynomials of the values before."""

    slopes: Mapping[str, Poly]
    after: Mapping[str, Poly]
    release: Poly


def recognise_synapse(graph: Graph, projection: ProjectionNode) -> Synapse | str:
    """Return what a projection with a release is in NEST, or what of it NEST has not: completes "no ..."."""
    what = f"synapse of NEST's like that of projection '{projection.name}'"
    found = [_of_source(graph, projection, name) for name in dict.fromkeys(s.population for s in projection.pre)]
    refused = next((each for each in found if isinstance(each, str)), None)
    if refused is not None:
        return f"{what}: {refused}"
    if any(each != found[0] for each in found):
        return f"{what}: its sources have different parameters, and NEST is told one value: make a projection for each"
    return found[0]


def _of_source(graph: Graph, projection: ProjectionNode, population: str) -> Synapse | str:
    """Return what a projection is for the sources in one population, or what differs."""
    assert projection.release is not None
    source = graph.population(population)
    assert source.model is not None
    own = variables_of(source, projection.release) - {projection.release}
    lead = projection.release.rpartition(".")[0] + "."
    if any(np.ndim(value) for key, value in source.model.params.items() if key.startswith(lead)):
        return "its parameters differ from neuron to neuron, and NEST is told one value"
    try:
        found = _resources(graph, source, projection.release, own)
    except NoPolynomial as e:
        return f"its short-term plasticity {e}"
    init = {v: np.asarray(source.state(v).init, dtype=float) for v in own}
    for model, size in ((_depression, 1), (_facilitation, 2), (_inactivation, 3)):
        for roles in permutations(sorted(own)) if len(own) == size else ():
            synapse = model(found, *roles)
            if synapse is None:
                continue
            made, rest = synapse
            if all(np.all(init[v] == rest[v]) for v in own):
                return made
            return f"its resources do not start at rest, and NEST's {made.model} does"
    return "its equations are those of neither tsodyks2_synapse nor tsodyks_synapse"


def variables_of(pop: PopulationNode, release: str) -> set[str]:
    """Return the variables of one projection's short-term plasticity."""
    lead = release.rpartition(".")[0] + "."
    return {v.name for v in pop.states if v.name.startswith(lead)}


def without_resources(graph: Graph, pop: PopulationNode) -> PopulationNode:
    """Return a population without what its projections' synapses keep in NEST."""
    assert pop.model is not None
    mine = [p.release for p in graph.projections if p.release and any(s.population == pop.name for s in p.pre)]
    s = pop.model.system
    learn = [p.name for p in graph.projections if p.plasticity is not None]
    gone = set().union(*(variables_of(pop, release) for release in mine))
    gone |= {v for v in (*s.traces, *(var for var, _ in s.snapshots)) if v.rpartition(".")[0] in learn}
    if not gone:
        return pop
    system = dataclasses.replace(
        s,
        equations=tuple(e for e in s.equations if e.var not in gone),
        traces=tuple(v for v in s.traces if v not in gone),
        marks=tuple(m for m in s.marks if m[0] not in gone),
        snapshots=tuple(m for m in s.snapshots if m[0] not in gone),
    )
    states = tuple(v for v in pop.states if v.name not in gone)
    return dataclasses.replace(pop, states=states, model=dataclasses.replace(pop.model, system=system))


def _resources(graph: Graph, pop: PopulationNode, release: str, own: set[str]) -> _Resources:
    assert pop.model is not None
    system = pop.model.system
    read = equations_of(graph, pop, own)
    slopes = {e.var: read(e.expr) for e in system.equations if e.var in own}
    now: dict[str, Poly] = {v: variable(v) for v in own}
    for var, e in system.marks:
        if var not in (*own, release):
            continue
        if release in names(e) and release not in now:
            raise NoPolynomial("reads what the spike before has released")
        now[var] = _put(equations_of(graph, pop, own | {release})(e), now)
    return _Resources(slopes, {v: now[v] for v in own}, now[release])


def _put(p: Poly, now: Mapping[str, Poly]) -> Poly:
    """Put polynomials in the place of variables."""
    out: Poly = {}
    for mono, c in p.items():
        term: Poly = {(): 1.0}
        for name in mono:
            term = mul(term, now[name])
        out = add(out, scale(term, c))
    return out


def _decay(p: Poly, var: str) -> float | None:
    """Return the time constant of a decay towards 0, in ms; None if it is none."""
    return None if set(p) != {(var,)} or not p[var,] < 0 else -_MS / p[var,]


def _recovery(p: Poly, var: str) -> float | None:
    """Return the time constant of a return to 1, in ms."""
    slope = p.get((), 0.0)
    return _MS / slope if slope > 0 and same(p, {(): slope, (var,): -slope}) else None


def _used(found: _Resources, u: str) -> tuple[float, float, Poly] | None:
    """Return U, tau_fac and the value of u that a spike uses, if ``u`` is a facilitation."""
    big, tau = found.after[u].get((), 0.0), _decay(found.slopes[u], u)
    after = {m: c for m, c in {(): big, (u,): 1.0 - big}.items() if c}
    return (big, tau, after) if tau is not None and same(found.after[u], after) else None


_Match = tuple[Synapse, dict[str, float]] | None


def _depression(found: _Resources, x: str) -> _Match:
    big, tau = found.release.get((x,), 0.0), _recovery(found.slopes[x], x)
    fits = same(found.release, {(x,): big}) and same(found.after[x], add(variable(x), found.release, -1.0))
    if tau is None or not fits:
        return None
    return Synapse("tsodyks2_synapse", {"U": big, "u": big, "x": 1.0, "tau_rec": tau, "tau_fac": 0.0}), {x: 1.0}


def _facilitation(found: _Resources, u: str, x: str) -> _Match:
    used, tau = _used(found, u), _recovery(found.slopes[x], x)
    if used is None or tau is None:
        return None
    big, facil, after = used
    fits = same(found.release, mul(after, variable(x)))
    if not fits or not same(found.after[x], add(variable(x), found.release, -1.0)):
        return None
    params = {"U": big, "u": big, "x": 1.0, "tau_rec": tau, "tau_fac": facil}
    return Synapse("tsodyks2_synapse", params), {u: 0.0, x: 1.0}


def _inactivation(found: _Resources, u: str, y: str, z: str) -> _Match:
    used, psc = _used(found, u), _decay(found.slopes[y], y)
    rec = -1.0 / found.slopes[z].get((z,), -np.inf)
    if used is None or psc is None or not rec > 0:
        return None
    big, facil, after = used
    free: Poly = {(): 1.0, (y,): -1.0, (z,): -1.0}
    fits = same(found.release, mul(after, free)) and same(found.after[y], add(variable(y), found.release))
    fits = fits and same(found.after[z], variable(z))
    if not fits or not same(found.slopes[z], {(y,): _MS / psc, (z,): -1.0 / rec}):
        return None
    params = {"U": big, "u": 0.0, "x": 1.0, "y": 0.0, "tau_rec": _MS * rec, "tau_fac": facil, "tau_psc": psc}
    return Synapse("tsodyks_synapse", params), {u: 0.0, y: 0.0, z: 0.0}

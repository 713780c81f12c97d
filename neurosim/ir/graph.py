"""The graph: what passes hand to each other, frozen, in SI units.

A population is first a :class:`System` of equations, later a :class:`~neurosim.ir.program.Program` with its arrays;
a projection is a rule (or edge list) and two edge values, later a delay in steps and weights on a grid. Nothing here
knows a unit, a backend or a file format.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import UnknownNameError, suggest
from neurosim.ir.expr import Expr
from neurosim.ir.program import Program

Array = np.ndarray


@dataclass(frozen=True)
class EquationNode:
    """One equation; ``kind`` is ``ode``, ``update`` or ``let``."""

    var: str
    kind: str
    expr: Expr


@dataclass(frozen=True)
class Jump:
    """``var += gain * inbox`` when a spike arrives; ``when`` is ``before`` or ``after`` the decay of the step."""

    var: str
    gain: Expr
    when: str


@dataclass(frozen=True)
class Drive:
    """A Poisson drive onto a receptor: its mean count per step (an expression in steps), weight and stream."""

    name: str
    receptor: str
    mean: Expr
    weight: Expr


@dataclass(frozen=True)
class EventNode:
    """An event besides the spike; the state variable of its name holds the steps since it last happened.

    ``refractory`` is a duration in seconds, or a condition that ends it, as for the spike.
    """

    name: str
    condition: Expr
    reaction: tuple[tuple[str, Expr], ...] = ()
    refractory: Expr | None = None
    edge: bool = False


@dataclass(frozen=True)
class System:
    """The equations of one population: the cell, its receptors and the currents injected, names already distinct.

    Attributes
    ----------
    equations : tuple of EquationNode
        In the order they were written: the cell's, each receptor's, each current's.
    ports : dict
        Name of a port (``i``) -> the expressions that are summed into it.
    jumps : dict
        Receptor -> what an arrival changes.
    drives : tuple of Drive
        Poisson input.
    threshold, reset, refractory, edge, clamp
        The event ``spike``: condition, statements ``(variable, expression)`` in order, duration in seconds or the
        condition that has to hold for it to last, whether only the moment the condition becomes true counts, and which
        variables stand still while refractory.
    method : str
        One of :data:`neurosim.lang.components.METHODS`.
    precision : str
        The only one in which the equations mean what they say, as whole numbers beyond 2^24 do; empty for any.
    traces : tuple of str
        Variables that learning rules read: integrated exactly, whatever the method, and never clamped.
    marks : tuple of (str, Expr)
        What a spike changes in them, in order.
    snapshots : tuple of (str, Expr)
        Values kept as they were after the update of the step, before reset and marks.
    events : tuple of EventNode
        What happens besides the spike: all conditions are tested before anything reacts, the spike reacts first.
    """

    equations: tuple[EquationNode, ...]
    ports: Mapping[str, tuple[Expr, ...]]
    jumps: Mapping[str, tuple[Jump, ...]]
    drives: tuple[Drive, ...] = ()
    threshold: Expr | None = None
    reset: tuple[tuple[str, Expr], ...] = ()
    refractory: Expr | None = None
    edge: bool = False
    clamp: tuple[str, ...] = ()
    method: str = "auto"
    precision: str = ""
    traces: tuple[str, ...] = ()
    marks: tuple[tuple[str, Expr], ...] = ()
    snapshots: tuple[tuple[str, Expr], ...] = ()
    events: tuple[EventNode, ...] = ()

    def rewritten(self, how: Callable[[Expr], Expr]) -> System:
        """Return the same system with ``how`` applied to every expression but those of traces."""

        def maybe(e: Expr | None) -> Expr | None:
            return None if e is None else how(e)

        def pairs(given: tuple[tuple[str, Expr], ...]) -> tuple[tuple[str, Expr], ...]:
            return tuple((v, how(e)) for v, e in given)

        return dataclasses.replace(
            self,
            equations=tuple(EquationNode(e.var, e.kind, how(e.expr)) for e in self.equations),
            ports={k: tuple(how(e) for e in terms) for k, terms in self.ports.items()},
            jumps={k: tuple(Jump(j.var, how(j.gain), j.when) for j in js) for k, js in self.jumps.items()},
            drives=tuple(Drive(d.name, d.receptor, how(d.mean), d.weight) for d in self.drives),
            threshold=maybe(self.threshold),
            reset=pairs(self.reset),
            refractory=maybe(self.refractory),
            snapshots=pairs(self.snapshots),
            events=tuple(
                EventNode(e.name, how(e.condition), pairs(e.reaction), maybe(e.refractory), e.edge)
                for e in self.events
            ),
        )


@dataclass(frozen=True)
class StateVar:
    """A state variable: type (``f``, ``i`` or ``b``), initial value (one, or one per neuron), unit for display."""

    name: str
    kind: str
    init: float | Array
    unit: str = ""


@dataclass(frozen=True)
class Schedule:
    """Spikes given beforehand: step -> neurons, as a compressed list; repeated every ``period`` steps if > 0."""

    steps: Array
    neurons: Array
    period: int = 0


@dataclass(frozen=True)
class Table:
    """A time array: ``values`` is [T] or [T, N]; row ``k`` holds for ``every`` steps; repeated if ``repeat``."""

    values: Array
    every: int
    repeat: bool = False


@dataclass(frozen=True)
class PoissonTable:
    """Inversion thresholds: ``thresholds`` [U, K] (32-bit), ``row`` the row of each neuron (None: row 0 for all).

    Rows are filled up with 2^32 - 1, which is no threshold (:func:`neurosim.ir.random.poisson_thresholds` has none).
    """

    thresholds: Array
    row: Array | None

    def unpadded(self, k: int) -> Array:
        """Return the thresholds of row k."""
        row = self.thresholds[k]
        return row[row != 0xFFFFFFFF]


@dataclass(frozen=True)
class Model:
    """What a program was made from: flat equations, and the value of every parameter they name.

    No engine runs it. An engine that has cells of its own compares them with it.
    """

    system: System
    params: Mapping[str, float | Array]


@dataclass(frozen=True)
class PopulationNode:
    """A population. ``program`` is None until the pass ``discretise``; ``params`` then holds what the program reads,
    and ``model`` what ``system`` was.

    ``attributes`` are the cell's parameters, which expressions over edges may name (``tau_m_pre``); ``grids`` gives
    each receptor's grid, ``drive_weights`` the receptor and weight of each Poisson drive.
    """

    name: str
    size: int
    system: System | None
    params: Mapping[str, float | Array]
    states: tuple[StateVar, ...]
    receptors: tuple[str, ...]
    program: Program | None = None
    model: Model | None = field(default=None, compare=False)
    streams: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    poisson: Mapping[str, PoissonTable] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    grids: Mapping[str, float] = field(default_factory=dict)
    drive_weights: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    attributes: Mapping[str, float | Array] = field(default_factory=dict)
    positions: Array | None = None
    where: str | None = None

    def state(self, name: str) -> StateVar:
        """Return a state variable by name."""
        for var in self.states:
            if var.name == name:
                return var
        raise UnknownNameError(
            f"population '{self.name}' has no state variable '{name}'{suggest(name, [v.name for v in self.states])}"
        )


@dataclass(frozen=True)
class Segment:
    """Neurons of one population: all of them (``ids`` is None) or the given ones, in order."""

    population: str
    ids: Array | None
    size: int


@dataclass(frozen=True)
class PlasticityNode:
    """How the edges of a projection change.

    Attributes
    ----------
    params : dict
        Values of the parameters that the statements read.
    edge : dict
        Variables of the edge besides the weight, which start at 0 -> the rate at which they change, in 1/s: 0 or
        less. One that decays holds the value of the step in which it was last computed (see the operation ``since``).
    units : dict
        Variable of the edge -> its unit, for results.
    every : int
        Steps between the ends of which ``on_every`` runs; 0 where there is no such statement.
    on_pre, on_post, on_every : tuple of (str, Expr)
        Statements on the arrival of a spike, on a spike of the target, and in every step n with n + 1 a multiple of
        ``every``, until the pass ``discretise``; the names of variables at the ends are ``pre:x`` and ``post:x``.
    dendritic : bool
        Whether the delay lies behind the synapse: then what arrives in step n, ``delay`` steps after its spike, is
        learned from with the target, its spikes and its variables, as they were 2 * ``delay`` steps ago.
    spikes_first : bool
        Whether, within a step, the changes by spikes of the target come before those by arrivals.
    delivers_after : bool
        Whether both come before the arrivals of the step are delivered; only with ``dendritic``.
    bounds : (Expr or None, Expr or None)
        Least and greatest weight.
    largest : float or None
        The greatest magnitude that the bounds allow.
    pre_program, post_program, every_program : Program or None
        What the statements became.
    views : dict
        Variable of the edge -> program whose result is its value in the present step.
    """

    params: Mapping[str, float]
    edge: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    every: int = 0
    on_pre: tuple[tuple[str, Expr], ...] = ()
    on_post: tuple[tuple[str, Expr], ...] = ()
    on_every: tuple[tuple[str, Expr], ...] = ()
    dendritic: bool = False
    spikes_first: bool = False
    delivers_after: bool = False
    bounds: tuple[Expr | None, Expr | None] = (None, None)
    largest: float | None = None
    pre_program: Program | None = None
    post_program: Program | None = None
    every_program: Program | None = None
    views: Mapping[str, Program] = field(default_factory=dict)

    def programs(self) -> tuple[Program, ...]:
        """Return the programs that there are."""
        return tuple(p for p in (self.pre_program, self.post_program, self.every_program) if p is not None)

    def late(self, delay: Any) -> Any:
        """Return how many steps ago the target was as an edge sees it, from its delay in steps."""
        return 2 * delay if self.dendritic else 0 * delay

    @property
    def decaying(self) -> tuple[str, ...]:
        """The variables of the edge that decay: a program that computes one computes all."""
        return tuple(var for var, rate in self.edge.items() if rate)

    def reads(self, op: str) -> list[str]:
        """Return the variables of the source (``op`` is ``pre``) or target (``post``) that any program reads."""
        return list(dict.fromkeys(v for p in self.programs() for v in p.uses(op)))


@dataclass(frozen=True)
class ProjectionNode:
    """Edges from one group to another.

    ``weight`` and ``delay`` are edge values (:mod:`neurosim.ir.distributions`): weight in SI, delay in seconds, and
    in steps once ``delay_steps`` is set (a constant, or None where it must be drawn edge by edge). With ``plasticity``,
    ``weight`` is where the weights start. With ``release``, a variable of all its sources, what arrives is the weight
    times that variable's value at the end of the step of the spike, on the receptor's grid.
    """

    name: str
    pre: tuple[Segment, ...]
    post: tuple[Segment, ...]
    receptor: str
    rule: Any
    weight: Any
    delay: Any
    delay_steps: int | None = None
    weight_unit: str = ""
    plasticity: PlasticityNode | None = None
    where: str | None = None
    release: str | None = None


@dataclass(frozen=True)
class LinkNode:
    """A coupling without spikes: in every step, each edge adds a value to a receptor of its target.

    The value is computed from what both ends were when the step began. Those of one target are added from 0 in the
    canonical order of the edges, and the sums of several links onto one receptor in the order of the links.

    Attributes
    ----------
    edges : ProjectionNode
        Whom it joins, how strongly, and onto which receptor. Its delay means nothing.
    params : dict
        Values of the parameters that the value is made of.
    value : Expr or None
        Over ``w``, parameters, and variables ``pre:x`` and ``post:x``, until the pass ``discretise``.
    program : Program or None
        What the value became; it is stored as ``sum``.
    """

    edges: ProjectionNode
    params: Mapping[str, float]
    value: Expr | None = None
    program: Program | None = None

    @property
    def name(self) -> str:
        """Its name, which no projection has."""
        return self.edges.name

    @property
    def receptor(self) -> str:
        """The receptor of the targets."""
        return self.edges.receptor

    @property
    def where(self) -> str | None:
        """Where the user made it."""
        return self.edges.where

    def reads(self, op: str) -> list[str]:
        """Return the variables of the source (``op`` is ``pre``) or target (``post``) that the program reads."""
        assert self.program is not None
        return self.program.uses(op)


@dataclass(frozen=True)
class ProbeNode:
    """What is recorded: ``spikes``, ``rate``, a state variable of a population; or, with ``edge``, ``weight`` or
    another variable of a projection's edges."""

    target: str
    variable: str
    ids: Array | None
    every: int = 1
    where: str | None = None
    edge: bool = False

    @property
    def sampled(self) -> bool:
        """Whether it is a state variable of neurons."""
        return not self.edge and self.variable not in ("spikes", "rate")


_TRIAL = 0x9E3779B97F4A7C15
"""What a trial adds to the seed: odd, and far from what seeds differ by."""


@dataclass(frozen=True)
class Graph:
    """One network. ``trial`` is which of its trials: they differ in what is drawn in every step."""

    name: str
    dt: float
    seed: int
    populations: tuple[PopulationNode, ...]
    projections: tuple[ProjectionNode, ...]
    probes: tuple[ProbeNode, ...]
    precision: str = "double"
    weight_bits: int = 40
    stage: str = "units"
    trial: int = 0
    links: tuple[LinkNode, ...] = ()

    @property
    def chance(self) -> int:
        """The seed of what is drawn in every step; that of everything else is ``seed``."""
        return (self.seed + self.trial * _TRIAL) % 2**64

    def population(self, name: str) -> PopulationNode:
        """Return a population by name."""
        for pop in self.populations:
            if pop.name == name:
                return pop
        raise UnknownNameError(f"no population '{name}'{suggest(name, [p.name for p in self.populations])}")

    def projection(self, name: str) -> ProjectionNode:
        """Return a projection by name."""
        for proj in self.projections:
            if proj.name == name:
                return proj
        raise UnknownNameError(f"no projection '{name}'{suggest(name, [p.name for p in self.projections])}")

    def linked(self, population: str) -> list[str]:
        """Return the receptors of a population that links lead to."""
        ends = {(s.population, link.receptor) for link in self.links for s in link.edges.post}
        return [r for r in self.population(population).receptors if (population, r) in ends]

    def offsets(self) -> dict[str, int]:
        """Return population -> global id of its first neuron (populations lie one after the other)."""
        out, at = {}, 0
        for pop in self.populations:
            out[pop.name] = at
            at += pop.size
        return out

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(p.size for p in self.populations)


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        hasher.update(f"<{value.dtype.str}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        hasher.update(f"<{type(value).__name__}".encode())
        for f in dataclasses.fields(value):
            if f.compare and f.name not in ("where", "span"):
                hasher.update(f.name.encode())
                _feed(hasher, getattr(value, f.name))
    elif isinstance(value, Mapping):
        hasher.update(b"<map")
        for key in value:
            hasher.update(str(key).encode())
            _feed(hasher, value[key])
    elif isinstance(value, (tuple, list)):
        hasher.update(f"<{len(value)}".encode())
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, (float, np.floating)):
        hasher.update(float(value).hex().encode())
    elif isinstance(value, (int, np.integer)):
        hasher.update(f"<{int(value)}".encode())
    elif getattr(value, "__dict__", None):  # a rule that is no dataclass: its repr would hold an address
        hasher.update(f"<{type(value).__qualname__}".encode())
        _feed(hasher, vars(value))
    else:
        hasher.update(f"<{value!r}".encode())


def digest(value: Any) -> str:
    """Return the SHA-256 of a graph, node or program: equal meaning in, equal text out, on every machine."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()

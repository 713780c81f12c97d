"""What a network is in Lava's processes: sources, LIF cells in integers, and connections as matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurosim.backends.base import Options
from neurosim.errors import UnsupportedError
from neurosim.hardware.loihi2.arithmetic import LIMITS, sign_mode
from neurosim.hardware.loihi2.cells import loihi_lif
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PopulationNode, ProbeNode, ProjectionNode
from neurosim.registry import load_backend


@dataclass(frozen=True)
class Source:
    """Neurons whose spikes are known beforehand: [neurons, steps], 0 or 1."""

    name: str
    spikes: np.ndarray


@dataclass(frozen=True)
class Cells:
    """A process ``LIF``: its parameters by Lava's names, each one number or one per neuron."""

    name: str
    size: int
    parameters: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Connection:
    """A process ``Dense``, ``Sparse`` or one with delays. Entries are (post, pre, weight, delay in Lava's steps)."""

    name: str
    pre: str
    post: str
    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    delays: np.ndarray
    exponent: int
    sign: str
    receptor: str

    @property
    def delayed(self) -> bool:
        """Whether it needs more than the step that every connection takes."""
        return bool(self.delays.max(initial=0) > 0)

    @property
    def dense(self) -> bool:
        """Whether a full matrix is the better way to write it."""
        return 4 * len(self.weights) >= self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Lowered:
    """A network for Lava."""

    sources: list[Source]
    cells: list[Cells]
    connections: list[Connection]


def complaints(graph: Graph) -> list[tuple[str, str | None]]:
    """Return what Lava's processes in integers cannot express: (sentence after "no", where the user made it)."""
    found: list[tuple[str, str | None]] = []
    targets = {s.population for p in graph.projections for s in p.post}
    for pop in graph.populations:
        if loihi_lif(graph, pop) is None:
            if pop.name in targets or pop.receptors or pop.program is None or not pop.program.emits():
                found.append((f"cell of Loihi 2's integers in population '{pop.name}'", pop.where))
            continue
        assert pop.model is not None
        if np.any(np.asarray(pop.model.params["t_ref"])):
            found.append((f"refractory period of integer cells in Lava (population '{pop.name}')", pop.where))
        if pop.drive_weights:
            found.append((f"Poisson drive in population '{pop.name}': make it a source and connect it", pop.where))
        for state in pop.states:
            if np.any(np.asarray(state.init) != np.rint(state.init)):
                found.append((f"fraction in {state.name} of population '{pop.name}' at the start", pop.where))
    return found


def lower(graph: Graph, steps: int) -> Lowered:
    """Return the processes of a network, and the spikes of its sources over so many steps.

    Raises
    ------
    UnsupportedError
        Weights, delays or exponents that Lava's connections do not have.
    """
    cells = [made for pop in graph.populations if (made := _cells(graph, pop)) is not None]
    known = {c.name for c in cells}
    sources = [pop for pop in graph.populations if pop.name not in known]
    connections = [c for p in graph.projections for c in _connections(graph, p)]
    for pop in graph.populations:
        _one_rounding(pop, [c for c in connections if c.post == pop.name and c.exponent < 0])
    return Lowered(_played(graph, sources, steps), cells, connections)


def _cells(graph: Graph, pop: PopulationNode) -> Cells | None:
    params = loihi_lif(graph, pop)
    if params is None:
        return None
    bias, exponent = np.asarray(params["bias"], dtype=np.int64), 0
    while np.abs(bias).max(initial=0) > 32767 and not (bias % 2).any():
        bias, exponent = bias // 2, exponent + 1
    if np.abs(bias).max(initial=0) > 32767:
        raise UnsupportedError(
            f"the biases of population '{pop.name}' are no 16-bit numbers times one power of two", pop.where
        )
    start = {s.name: np.asarray(s.init) for s in pop.states if s.name in ("u", "v")}
    values = {**{k: params[k] for k in ("du", "dv", "vth")}, "bias_mant": bias, "bias_exp": exponent, **start}
    return Cells(pop.name, pop.size, {k: np.asarray(v).astype(np.int64) for k, v in values.items()})


def _played(graph: Graph, sources: list[PopulationNode], steps: int) -> list[Source]:
    """Run the sources alone."""
    if not sources:
        return []
    probes = tuple(ProbeNode(pop.name, "spikes", None) for pop in sources)
    alone = replace(graph, populations=tuple(sources), projections=(), probes=probes)
    engine = load_backend("reference").build(alone, Options())
    engine.advance(steps)
    drained, out = engine.drain(), []
    for pop in sources:
        at, ids = drained.spikes[pop.name]
        spikes = np.zeros((pop.size, steps), dtype=np.int32)
        spikes[ids, at] = 1
        out.append(Source(pop.name, spikes))
    return out


def _connections(graph: Graph, node: ProjectionNode) -> list[Connection]:
    """Return the connections that a projection needs: one for each pair of populations and sign, if it must be."""
    names = [p.name for p in graph.populations]
    starts = np.array([graph.offsets()[n] for n in names])
    pieces = list(iter_edges(graph, node))

    def column(values: list[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *values]).astype(kind)

    pre, post = (column([getattr(e, end) for e in pieces], np.int64) for end in ("pre", "post"))
    weight = column([np.broadcast_to(e.weight, (len(e),)) for e in pieces], np.float64)
    delay = column([np.broadcast_to(e.delay, (len(e),)) for e in pieces], np.int64) - 1
    if (weight != np.rint(weight)).any() or np.abs(weight).max(initial=0) > 256 or weight.max(initial=0) > 255:
        raise UnsupportedError(f"weights of projection '{node.name}' are no whole numbers from -256 to 255", node.where)
    if delay.max(initial=0) > 63:
        raise UnsupportedError(
            f"projection '{node.name}' has delays of up to {delay.max() + 1} steps; Lava's reach 64", node.where
        )
    of_pre, of_post = np.searchsorted(starts, pre, "right") - 1, np.searchsorted(starts, post, "right") - 1
    out: list[Connection] = []
    for a, b in sorted(set(zip(of_pre.tolist(), of_post.tolist(), strict=True))):
        here = np.flatnonzero((of_pre == a) & (of_post == b) & (weight != 0))
        source, target = graph.population(names[a]), graph.population(names[b])
        exponent = _exponent(graph, target, node)
        rows, columns = post[here] - starts[b], pre[here] - starts[a]
        values, late = weight[here].astype(np.int64), delay[here]
        for sign, part in _by_sign(values, exponent, node):
            for again in _layers(rows[part], columns[part]):
                which = np.flatnonzero(part)[again]
                name = node.name if not out else f"{node.name}.{len(out) + 1}"  # no name of a user's has a dot
                out.append(
                    Connection(name, source.name, target.name, (target.size, source.size), rows[which], columns[which],
                               values[which], late[which], exponent, sign, node.receptor)
                )  # fmt: skip
    return out


def _exponent(graph: Graph, target: PopulationNode, node: ProjectionNode) -> int:
    params = loihi_lif(graph, target)
    assert params is not None
    scale = params[f"{node.receptor}.scale"]
    exponent = np.log2(np.asarray(scale, dtype=np.float64))
    if exponent.ndim or exponent != np.rint(exponent):
        raise UnsupportedError(
            f"the scale of receptor '{node.receptor}' of population '{target.name}' is no power of two: {scale}",
            target.where,
        )
    return int(exponent)


def _by_sign(values: np.ndarray, exponent: int, node: ProjectionNode) -> list[tuple[str, np.ndarray]]:
    """Split weights where they must be: mixed ones are even in Lava, and only mixed ones reach -256."""
    lowest = values == LIMITS["mixed"][0]
    sign = sign_mode(values)
    if not len(values):
        return []
    if sign != "mixed" and not lowest.any():
        return [(sign, ~lowest)]
    if not (values % 2).any():
        return [("mixed", np.ones(len(values), dtype=bool))]
    if exponent < 0:
        raise UnsupportedError(
            f"projection '{node.name}' has odd weights of both signs and a negative weight exponent: two connections "
            "by sign would be rounded apart; make the weights even",
            node.where,
        )
    parts = [("excitatory", values > 0), ("inhibitory", (values < 0) & ~lowest), ("mixed", lowest)]
    return [(name, part) for name, part in parts if part.any()]


def _layers(rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
    """Spread edges over matrices such that each has one entry for a pair: the first edges of all pairs, the second …"""
    order = np.lexsort((columns, rows))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(rows[order]) != 0) | (np.diff(columns[order]) != 0)
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    nth = np.empty(len(order), dtype=np.int64)
    nth[order] = np.arange(len(order)) - first
    return [np.flatnonzero(nth == k) for k in range(int(nth.max(initial=-1)) + 1)]


def _one_rounding(pop: PopulationNode, into: list[Connection]) -> None:
    """Refuse what Lava rounds down separately where the receptor rounds its sum."""
    for receptor in pop.receptors:
        mine = [c for c in into if c.receptor == receptor]
        if len(mine) > 1 or any(len(set(c.delays.tolist())) > 1 for c in mine):
            raise UnsupportedError(
                f"receptor '{receptor}' of population '{pop.name}' has a negative weight exponent and more than one "
                "connection or delay; Lava rounds each by itself: give every one a receptor of its own",
                pop.where,
            )

"""Where everything lies: populations with one program in one group, all spikes in one place, all inboxes in another.

Brian2 compiles code for every group and every set of synapses, so few of them are made: a :class:`Block` for each
program, whatever the number of populations that have it; *cells*, one place for the spikes of all neurons, block by
block; and *boxes*, one place for all inboxes. One set of synapses leads from cells to boxes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.backends.brian2_backend.printer import Printed, print_program
from neurosim.errors import ResourceError
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, PopulationNode, Schedule, Table
from neurosim.ir.random import stream_key

MOST_SYNAPSES = 2**31 - 1
"""Brian2 numbers synapses with 32 bits."""

_EDGE_TYPES = (np.int32, np.int32, np.float64, np.int32)


@dataclass
class Block:
    """Populations that share a program.

    Attributes
    ----------
    populations : list of PopulationNode
        In the order of their neurons.
    printed : Printed
        Their step.
    start : int
        First of their cells.
    slots : dict
        Name in the code -> its value: one, or one per neuron.
    initial : dict
        Name in the code of a state variable -> initial value: one, or one per neuron.
    boxes : dict
        Name in the code of an inbox -> first of its boxes.
    """

    populations: list[PopulationNode]
    printed: Printed
    start: int
    slots: dict[str, Any] = field(default_factory=dict)
    initial: dict[str, Any] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(p.size for p in self.populations)

    @property
    def name(self) -> str:
        """Return a name made from the code: compiled code holds it, and the same code has to find it again."""
        shared = sorted(name for name, value in self.slots.items() if np.ndim(value) == 0)
        text = "\n".join([self.printed.code, *shared])
        return f"neurosim_{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def part(self, population: str) -> slice:
        """Return where a population's neurons lie in the block."""
        at = 0
        for pop in self.populations:
            if pop.name == population:
                return slice(at, at + pop.size)
            at += pop.size
        raise KeyError(population)


@dataclass
class Synapses:
    """All edges: cells, boxes, weights, and delays in steps."""

    cells: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray
    delays: np.ndarray

    def __len__(self) -> int:
        return len(self.cells)


@dataclass
class Layout:
    """A network as Brian2 gets it.

    Attributes
    ----------
    blocks : list of Block
        In the order of their cells.
    data : ndarray
        Time arrays, spike lists and Poisson thresholds, as ``ns_lookup`` reads them.
    synapses : Synapses
        All edges but those that have synapses of their own.
    limits : ndarray
        2^53 units of its grid for each box.
    boxes : dict
        (population, receptor) -> its first box.
    may_overflow : bool
        Whether all spikes of all sources together could exceed a box's limit.
    edges : int
        How many there are, also when they are forgotten.
    """

    graph: Graph
    blocks: list[Block]
    data: np.ndarray
    synapses: Synapses
    limits: np.ndarray
    may_overflow: bool
    boxes: dict[tuple[str, str], int]
    edges: int = 0

    def forget_synapses(self) -> None:
        """Drop the edges, of which Brian2 has its own copy by now; their number stays."""
        self.synapses = Synapses(*(np.zeros(0, t) for t in _EDGE_TYPES))

    def block(self, population: str) -> Block:
        """Return the block that holds a population."""
        return next(b for b in self.blocks if any(p.name == population for p in b.populations))

    def starts(self) -> list[tuple[str, int, int]]:
        """Return (population, first cell, size) in the order of the cells."""
        return [(p.name, b.start + b.part(p.name).start, p.size) for b in self.blocks for p in b.populations]


class _Data:
    """Collects what ``ns_lookup`` reads."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.size = 0

    def add(self, *parts: Any) -> int:
        """Append numbers and return where they start."""
        start = self.size
        for part in parts:
            array = np.atleast_1d(np.asarray(part, dtype=np.float64)).reshape(-1)
            self.parts.append(array)
            self.size += len(array)
        return start

    def table(self, table: Table) -> float:
        values = np.asarray(table.values, dtype=np.float64)
        width = values.shape[1] if values.ndim == 2 else 1
        return float(self.add([table.every, len(values), float(table.repeat), width], values))

    def schedule(self, schedule: Schedule, size: int) -> np.ndarray:
        """Append every neuron's steps, ascending."""
        order = np.lexsort((schedule.steps, schedule.neurons))
        steps, neurons = np.asarray(schedule.steps)[order], np.asarray(schedule.neurons)[order]
        row = np.searchsorted(neurons, np.arange(size + 1))
        return np.array(
            [self.add([b - a, schedule.period], steps[a:b]) for a, b in zip(row[:-1], row[1:], strict=True)],
            dtype=np.float64,
        )

    def join(self) -> np.ndarray:
        return np.concatenate([*self.parts, np.zeros(1)])


def lay_out(graph: Graph, watched: bool) -> Layout:
    """Find the place of everything in a network.

    Parameters
    ----------
    graph : Graph
        The network.
    watched : bool
        Whether the code itself notes in which step something went wrong.
    """
    groups: dict[Any, list[PopulationNode]] = {}
    for pop in graph.populations:
        assert pop.program is not None
        key = pop.program.text(), tuple(v.name for v in pop.states), tuple(sorted(pop.receptors))  # text: -0 is not 0
        groups.setdefault(key, []).append(pop)
    boxes: dict[tuple[str, str], int] = {}
    grids: list[np.ndarray] = []
    at = 0
    for pops in groups.values():
        for receptor in sorted(pops[0].receptors):
            for pop in pops:
                boxes[pop.name, receptor] = at
                at += pop.size
                linked = receptor in graph.linked(pop.name)  # what links add lies on no grid
                grids.append(np.full(pop.size, np.inf if linked else pop.grids.get(receptor, 0.0)))
    limits = 2.0**53 * np.concatenate(grids) if grids else np.zeros(0)
    first_cell, cell = {}, 0
    for pops in groups.values():
        for pop in pops:
            first_cell[pop.name] = cell
            cell += pop.size
    synapses = _synapses(graph, first_cell, boxes)
    heaviest = np.bincount(synapses.boxes, np.abs(synapses.weights), minlength=at)
    # weights that change, and what a spike may carry, have no greatest sum
    unknown = any(p.plasticity is not None or p.release is not None for p in graph.projections)
    may_overflow = bool(np.any(heaviest > limits)) or unknown
    data, blocks = _Data(), []
    for pops in groups.values():
        program = pops[0].program
        assert program is not None
        over = [r for r in program.uses("inbox") if may_overflow] if watched else None
        printed = print_program(program, [v.name for v in pops[0].states], over)
        block = Block(pops, printed, first_cell[pops[0].name])
        block.boxes = {name: boxes[pops[0].name, receptor] for receptor, name in printed.inboxes.items()}
        block.slots = {
            name: _joined(pops, [_slot(graph, pop, kind, key, data) for pop in pops])
            for (kind, key), name in printed.slots.items()
        }
        block.initial = {
            name: _joined(pops, [pop.state(variable).init for pop in pops])
            for variable, name in printed.states.items()
        }
        blocks.append(block)
    return Layout(graph, blocks, data.join(), synapses, limits, may_overflow, boxes, len(synapses))


def _joined(pops: Sequence[PopulationNode], values: Sequence[Any]) -> Any:
    """Return one number where all neurons have the same, else one per neuron."""
    if all(np.ndim(v) == 0 for v in values) and len({np.float64(v).tobytes() for v in values}) == 1:
        return float(values[0])
    return np.concatenate(
        [np.broadcast_to(np.asarray(v, dtype=np.float64), (p.size,)) for v, p in zip(values, pops, strict=True)]
    )


def _slot(graph: Graph, pop: PopulationNode, kind: str, key: str, data: _Data) -> Any:
    """Return the value of something constant: one, or one per neuron of the population."""
    if kind == "param":
        return pop.params[key]
    if kind == "dt":
        return graph.dt
    if kind == "index":
        return np.arange(pop.size, dtype=np.float64)
    if kind in ("key0", "key1"):
        return float(stream_key(graph.chance, pop.streams[key])[kind == "key1"])
    if kind == "table":
        return data.table(pop.tables[key])
    if kind == "schedule":
        return data.schedule(pop.schedules[key], pop.size)
    if kind == "limit":
        return np.inf if key in graph.linked(pop.name) else 2.0**53 * pop.grids[key]
    assert kind == "poisson"
    table = pop.poisson[key]
    rows = [table.unpadded(k) for k in range(len(table.thresholds))]
    starts = np.array([data.add(len(row), row) for row in rows], dtype=np.float64)
    return float(starts[0]) if table.row is None else starts[np.asarray(table.row)]


def _synapses(graph: Graph, first_cell: dict[str, int], boxes: dict[tuple[str, str], int]) -> Synapses:
    """Make all edges, and translate their ends."""
    cell = np.empty(graph.size, dtype=np.int32)
    offsets = graph.offsets()
    for pop in graph.populations:
        lo = offsets[pop.name]
        cell[lo : lo + pop.size] = first_cell[pop.name] + np.arange(pop.size)
    parts: list[tuple[np.ndarray, ...]] = []
    made = 0
    for proj in graph.projections:
        if proj.plasticity is not None or proj.release is not None:
            continue
        box = np.full(graph.size, -1, dtype=np.int32)
        for s in proj.post:
            lo, size = offsets[s.population], graph.population(s.population).size
            box[lo : lo + size] = boxes[s.population, proj.receptor] + np.arange(size)
        for e in iter_edges(graph, proj):
            made += len(e)
            if made > MOST_SYNAPSES:
                raise ResourceError(
                    f"the network has more than {MOST_SYNAPSES:,} connections, which is the most that Brian2 can "
                    "number: use a smaller scale, or backend='native'",
                    proj.where,
                )
            parts.append(
                (
                    cell[e.pre],
                    box[e.post],
                    np.broadcast_to(np.asarray(e.weight, dtype=np.float64), (len(e),)),
                    np.broadcast_to(np.asarray(e.delay, dtype=np.int32), (len(e),)),
                )
            )
    return Synapses(*(np.concatenate([np.zeros(0, t), *(p[k] for p in parts)]) for k, t in enumerate(_EDGE_TYPES)))

"""How a graph lies in memory: which thread owns which neurons, where each inbox is, and the rows of edges.

Every thread owns a run of tiles of every population, their inboxes, and the part of each source's row that ends in
them. Edges are grouped into blocks, one for each source population, receptor and storage class; within a block the row
of a source is sorted by delay (delivered when due), or kept whole and scattered into a ring of steps where the edges
of one delay are too few to be worth a look-up per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.backends.native import tables as K
from neurosim.backends.native.draws import NativeDraws, build_kernel
from neurosim.errors import ConnectivityError
from neurosim.ir.distributions import Draw, bound
from neurosim.ir.edges import Edges, iter_edges
from neurosim.ir.graph import Graph, ProjectionNode
from neurosim.ir.random import Draws
from neurosim.ir.rules import Convolution, EdgeList, Rule

LEAST_RUN = 6.0
"""Edges of one source, delay and thread below which scattering into a ring is cheaper than looking up each delay."""

CHUNK = 500_000
"""Edges generated at a time: few enough that what they pass through stays in the cache."""

NO_DELAY = np.zeros(1, dtype=np.uint16)
NO_WEIGHT = np.zeros(1, dtype=np.float64)


@dataclass
class Share:
    """One thread's part: its tiles of each population, and where their inboxes are."""

    tiles: list[tuple[int, int]]
    inbox: dict[tuple[int, str], int]
    width: int
    place: dict[str, np.ndarray]


@dataclass
class Block:
    """Projections (or parts of them) that share rows: one source population, receptor and storage class.

    A plastic projection, and one whose sources have short-term plasticity (``release``: the variable that a spike
    carries), has blocks of its own, one for each pair of its populations; ``post`` is then the target's.
    """

    population: int
    receptor: str
    weight: float | None
    ring: bool
    lowest: int
    highest: int
    projections: list[ProjectionNode] = field(default_factory=list)
    plastic: ProjectionNode | None = None
    post: int = -1
    release: str | None = None


@dataclass
class Delivery:
    """One thread's edges, as the kernels read them."""

    blocks: np.ndarray
    rows: np.ndarray
    delays: np.ndarray
    target16: np.ndarray
    target32: np.ndarray
    delay16: np.ndarray
    weight32: np.ndarray
    weight64: np.ndarray
    shared: np.ndarray
    grids: np.ndarray
    plastic: np.ndarray
    ids: np.ndarray
    edges: int


def share(graph: Graph, tid: int, threads: int) -> Share:
    """Divide tiles among threads, and lay the inboxes of one thread out receptor by receptor."""
    tiles = []
    for pop in graph.populations:
        count = -(-pop.size // K.TILE)
        tiles.append((count * tid // threads, count * (tid + 1) // threads))
    offsets, inbox, place, at = graph.offsets(), {}, {}, 0
    for receptor in dict.fromkeys(r for pop in graph.populations for r in pop.receptors):
        where = np.full(graph.size, -1, dtype=np.int32)
        for p, pop in enumerate(graph.populations):
            if receptor in pop.receptors:
                lo, hi = tiles[p]
                inbox[p, receptor] = at
                first, last = lo * K.TILE, min(hi * K.TILE, pop.size)
                where[offsets[pop.name] + first : offsets[pop.name] + last] = np.arange(at, at + last - first)
                at += (hi - lo) * K.TILE
        place[receptor] = where
    return Share(tiles, inbox, max(at, K.TILE), place)


class _Lowest(Draws):
    """A stream of the lowest numbers that can be drawn."""

    def _words(self, start: int, count: int, steps: np.ndarray) -> np.ndarray:
        return np.zeros((len(steps), count), dtype=np.uint32)


def delay_range(graph: Graph, projection: ProjectionNode) -> tuple[int, int]:
    """Return the smallest and largest delay that a projection can have, in steps."""
    if projection.delay_steps is not None:
        return projection.delay_steps, projection.delay_steps
    delay = projection.delay
    if isinstance(delay, Draw):
        # a value rises with its uniform number; the functions do so only up to their last bits, hence the slack
        least = float(delay.sample(_Lowest(graph.seed, ""), 0, 1)[0])
        low, high = least - abs(least) * 2.0**-39, bound(delay) or 0.0
        if delay.kind == "uniform":
            high = min(high, delay.b)
        return max(1, int(np.rint(low / graph.dt))), max(1, int(np.rint(high / graph.dt)))
    if isinstance(delay, np.ndarray):
        steps = np.rint(delay / graph.dt)
        if len(steps) == 0 or steps.min() < 1:
            next(iter(iter_edges(graph, projection, weights=False)), None)  # says what is wrong
            return 1, 1
        return int(steps.min()), int(steps.max())
    low, high = 65535, 1
    for e in iter_edges(graph, projection, NativeDraws, CHUNK, weights=False):
        low, high = min(low, int(np.min(e.delay))), max(high, int(np.max(e.delay)))
    return min(low, high), high


def scattered(projection: ProjectionNode, low: int, high: int, threads: int) -> bool:
    """Tell whether the edges of a source and delay are too few to be looked up when due."""
    n_pre, n_post = sum(s.size for s in projection.pre), sum(s.size for s in projection.post)
    run = projection.rule.expected(n_pre, n_post) / max(1, n_pre) / (high - low + 1) / threads
    return high > low and run < LEAST_RUN


def blocks_of(graph: Graph, threads: int) -> list[Block]:
    """Group the projections into blocks."""
    index = {p.name: k for k, p in enumerate(graph.populations)}
    found: dict[tuple[Any, ...], list[Block]] = {}
    for proj in graph.projections:
        low, high = delay_range(graph, proj)
        if proj.plasticity is not None or proj.release is not None:
            pairs = dict.fromkeys((a.population, b.population) for a in proj.pre for b in proj.post)
            for a, b in pairs:
                plastic = None if proj.plasticity is None else proj
                same = None if plastic is not None else _one_weight(proj, graph.population(b).grids[proj.receptor])
                own = Block(index[a], proj.receptor, same, False, low, high, [proj], plastic, index[b], proj.release)
                found[proj.name, a, b] = [own]
            continue
        ring = scattered(proj, low, high, threads)
        grids = {graph.population(s.population).grids[proj.receptor] for s in proj.post}
        weight = _one_weight(proj, grids.pop()) if len(grids) == 1 else None
        for segment in dict.fromkeys(s.population for s in proj.pre):
            alike = found.setdefault((index[segment], proj.receptor, weight, ring), [])
            # a row has a place for every delay of its block: those far apart make two blocks
            block = next((b for b in alike if ring or (low <= b.highest + 1 and high >= b.lowest - 1)), None)
            if block is None:
                block = Block(index[segment], proj.receptor, weight, ring, low, high)
                alike.append(block)
            block.lowest, block.highest = min(block.lowest, low), max(block.highest, high)
            block.projections.append(proj)
    return [block for alike in found.values() for block in alike]


def _one_weight(projection: ProjectionNode, grid: float) -> float | None:
    """Return the weight that all edges of a projection have on a grid, None where they differ."""
    return float(np.rint(projection.weight / grid) * grid) if isinstance(projection.weight, float) else None


def most_arrivals(rule: Rule, n_pre: int, n_post: int) -> float:
    """Return a number that no target's edges exceed (where they are drawn: with a probability below 1e-20)."""
    if isinstance(rule, EdgeList):
        return float(np.bincount(rule.post).max(initial=0))
    if isinstance(rule, Convolution):
        return float(rule.most)
    mean = rule.expected(n_pre, n_post) / max(1, n_post)
    if not type(rule).__module__.startswith("neurosim.ir.rules."):
        return mean * n_post  # a user's rule may favour one target
    return mean + 10.0 * mean**0.5 + 100.0


def place_of(graph: Graph, block: Block, share: Share) -> np.ndarray:
    """Return where each neuron's inbox is, -1 for those that are no targets of the block or another thread's."""
    place = share.place[block.receptor]
    if block.post < 0:
        return place
    pop = graph.populations[block.post]
    first = graph.offsets()[pop.name]
    own = np.full_like(place, -1)
    own[first : first + pop.size] = place[first : first + pop.size]
    return own


def _pieces(graph: Graph, block: Block, weights: bool) -> Iterator[Edges]:
    for proj in block.projections:
        for edges in iter_edges(graph, proj, NativeDraws, CHUNK, weights=weights):
            if len(edges):
                yield edges


def _column(value: Any, dtype: Any) -> np.ndarray:
    return np.ascontiguousarray(np.atleast_1d(np.asarray(value)), dtype=dtype)


def deliveries(graph: Graph, shares: list[Share]) -> tuple[list[Delivery], list[Block]]:
    """Build the rows of every thread, and return them with the blocks that they are of.

    Edges are generated twice, to count and to place, and never held as a list.
    """
    threads, count_edges = len(shares), build_kernel("count_edges")
    blocks = blocks_of(graph, threads)
    offsets = list(graph.offsets().values())
    counts: list[list[np.ndarray]] = []  # [block][thread]
    spans: list[list[np.ndarray]] = []
    kept: list[Block] = []
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            sources = graph.populations[block.population].size
            nd = 1 if block.ring else block.highest - block.lowest + 1
            count = [np.zeros(sources * nd, dtype=np.int64) for _ in shares]
            span = [np.array([2**31, -1], dtype=np.int64) for _ in shares]
            places = [place_of(graph, block, s) for s in shares]
            for e in _pieces(graph, block, weights=False):
                delay = _column(e.delay, np.int64)
                if delay.min() < block.lowest or delay.max() > block.highest:
                    raise ConnectivityError("a delay lies outside the range of its distribution")
                args = (
                    _column(e.pre, np.uint32),
                    _column(e.post, np.uint32),
                    delay,
                    offsets[block.population],
                    sources,
                    block.lowest,
                    nd,
                )
                list(
                    pool.map(
                        lambda k, a=args, c=count, s=span, at=places: count_edges(*a, at[k], c[k], s[k]),
                        range(threads),
                    )
                )
            if _trim(block, count, sources):
                kept.append(block)
                counts.append(count)
                spans.append(span)
        blocks = kept
        out = [
            _allocate(graph, blocks, [c[k] for c in counts], [s[k] for s in spans], shares[k]) for k in range(threads)
        ]
        del counts
        for b, block in enumerate(blocks):
            sources = graph.populations[block.population].size
            nd = 1 if block.ring else block.highest - block.lowest + 1
            places = [place_of(graph, block, s) for s in shares]
            for e in _pieces(graph, block, weights=block.weight is None):
                args = (
                    _column(e.pre, np.uint32),
                    _column(e.post, np.uint32),
                    _column(e.delay, np.int64),
                    _column(e.weight, np.float64),
                    offsets[block.population],
                    sources,
                    block.lowest,
                    nd,
                )
                if block.plastic is not None:  # where each edge comes to lie, so that weights can be told in order
                    numbers = (*args[:3], np.arange(e.start, e.start + len(e), dtype=np.float64), *args[4:])
                    list(
                        pool.map(
                            lambda k, a=numbers, n=b, at=places: out[k].place(
                                n, a, at[k], out[k].delivery.ids, again=True
                            ),
                            range(threads),
                        )
                    )
                list(pool.map(lambda k, a=args, n=b, at=places: out[k].place(n, a, at[k]), range(threads)))
    return [o.delivery for o in out], blocks


def _trim(block: Block, count: list[np.ndarray], sources: int) -> bool:
    """Narrow the delays of a block, and its counts, to those that occur; tell whether it has any edge.

    The shortest delay decides how many steps the threads go without meeting, and each delay costs a start per row.
    """
    if block.ring:
        return any(c.any() for c in count)
    occur = np.flatnonzero(sum(c.reshape(sources, -1).sum(axis=0) for c in count))
    if not len(occur):
        return False
    first, last = int(occur[0]), int(occur[-1])
    if last - first < block.highest - block.lowest:
        for k, c in enumerate(count):
            count[k] = c.reshape(sources, -1)[:, first : last + 1].reshape(-1)
        block.lowest, block.highest = block.lowest + first, block.lowest + last
    return True


class _Rows:
    """The arrays of one thread while they are being filled."""

    def __init__(self, delivery: Delivery, cursors: list[np.ndarray]) -> None:
        self.delivery, self.cursors = delivery, cursors

    def place(
        self, b: int, args: tuple[Any, ...], place: np.ndarray, column: np.ndarray | None = None, again: bool = False
    ) -> None:
        """Put one piece of edges into the rows of block b, their weights into ``column`` where one is given.

        With ``again`` the rows are left as if nothing had been placed, for the same edges to come once more.
        """
        d = self.delivery
        if len(self.cursors[b]) == 0:
            return
        kind = int(d.blocks[b, K.B_CLASS])
        narrow = kind in (K.DUE16_SHARED, K.DUE16_F32, K.DUE16_F64)
        weights: np.ndarray = NO_WEIGHT
        if kind in (K.DUE16_F64, K.DUE32_F64, K.RING_F64, K.RELEASED_F64):
            weights = d.weight64
        elif kind in (K.DUE16_F32, K.DUE32_F32, K.RING_F32, K.RELEASED_F32):
            weights = d.weight32
        elif kind in (K.PLASTIC, K.RELEASED_PLASTIC):
            weights = d.plastic if column is None else column
        ring = kind >= K.RING_SHARED
        element = "f8" if weights.dtype == np.float64 else "f4"
        build_kernel(f"place_{'u2' if narrow else 'u4'}_{element}")(
            *args,
            place,
            self.cursors[b].copy() if again else self.cursors[b],
            0 if ring else int(d.blocks[b, K.B_BASE]),
            d.target16 if narrow else d.target32,
            weights,
            int(d.blocks[b, K.B_WEIGHT_AT]),
            d.delay16 if ring else NO_DELAY,
            int(d.blocks[b, K.B_BASE]) if ring else 0,
        )


def _allocate(
    graph: Graph, blocks: list[Block], counts: list[np.ndarray], spans: list[np.ndarray], share: Share
) -> _Rows:
    """Choose storage classes, and lay the rows of one thread out, from the counts."""
    table = np.zeros((len(blocks), K.B_COLUMNS), dtype=np.int64)
    offsets = list(graph.offsets().values())
    rows: list[np.ndarray] = []
    delays: list[int] = []
    cursors: list[np.ndarray] = []
    row_at = 0
    size = {"16": 0, "32": 0, "d": 0, "w32": 0, "w64": 0, "plastic": 0}
    wide = "w64" if graph.weight_bits > 24 else "w32"
    for b, (block, count, span) in enumerate(zip(blocks, counts, spans, strict=True)):
        edges = int(count.sum())
        narrow = (
            not block.ring and block.post < 0 and int(span[1] - span[0]) < 65536
        )  # also where there are no edges: one class less to compile
        target = "16" if narrow else "32"
        store = "plastic" if block.plastic is not None else wide
        if block.plastic is not None:
            kind = K.PLASTIC if block.release is None else K.RELEASED_PLASTIC
        elif block.release is not None:
            each = K.RELEASED_F64 if wide == "w64" else K.RELEASED_F32
            kind = each if block.weight is None else K.RELEASED_SHARED
        elif block.ring:
            kind = K.RING_SHARED if block.weight is not None else K.RING_F64 if wide == "w64" else K.RING_F32
        elif block.weight is not None:
            kind = K.DUE16_SHARED if narrow else K.DUE32_SHARED
        elif wide == "w64":
            kind = K.DUE16_F64 if narrow else K.DUE32_F64
        else:
            kind = K.DUE16_F32 if narrow else K.DUE32_F32
        base = (size["d"] - size["32"]) if block.ring else int(span[0]) if edges else 0
        if block.plastic is not None:  # targets are counted from the first neuron, whose state is looked up too
            base = share.inbox[block.post, block.receptor]
        starts = size[target] + np.concatenate(([0], np.cumsum(count)))
        nd = 1 if block.ring else block.highest - block.lowest + 1
        table[b] = (
            block.population,
            kind,
            offsets[block.population],
            len(count),
            row_at,
            nd,
            len(delays),
            base,
            size[store] - size[target],
            -1,
        )
        if not block.ring:
            delays += range(block.lowest, block.highest + 1)
        rows.append(starts.astype(np.int64))
        cursors.append(starts[:-1].astype(np.int64).copy() if edges else np.zeros(0, np.int64))
        row_at += len(starts)
        size[target] += edges
        if block.ring:
            size["d"] += edges
        if block.weight is None:
            size[store] += edges
    shared = np.array([0.0 if b.weight is None else b.weight for b in blocks] or [0.0])
    grids = [0.0 if b.post < 0 else graph.populations[b.post].grids[b.receptor] for b in blocks]
    delivery = Delivery(
        table,
        np.concatenate(rows) if rows else np.zeros(1, np.int64),
        np.array(delays or [1], dtype=np.int64),
        np.empty(max(2, size["16"]), np.uint16),
        np.empty(max(2, size["32"]), np.uint32),
        np.empty(max(2, size["d"]), np.uint16),
        np.empty(max(2, size["w32"]), np.float32),
        np.empty(max(2, size["w64"]), np.float64),
        shared,
        np.array(grids or [0.0]),
        np.zeros(max(2, size["plastic"]), np.float64),
        np.zeros(max(2, size["plastic"]), np.float64),
        sum(int(c.sum()) for c in counts),
    )
    return _Rows(delivery, cursors)

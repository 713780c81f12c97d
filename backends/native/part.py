"""One thread's part of a network: the arrays of its neurons, as the kernel reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.backends.native import tables as K
from neurosim.backends.native.layout import Share
from neurosim.backends.native.printer import Shape, scalar_values
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.random import stream_key


class Part:
    """One thread's arrays.

    ``shapes`` are those of the populations; they are numbered in the order in which they first occur.
    """

    def __init__(self, graph: Graph, share: Share, shapes: Sequence[Shape], slots: int, dtype: Any) -> None:
        self.graph, self.share, self.shapes = graph, share, shapes
        self.status = np.zeros(K.STATUS_WORDS, dtype=np.int64)
        self.spike, self.words = np.zeros(K.TILE, np.uint8), np.zeros(K.TILE, np.uint32)
        self.counts = np.zeros(K.TILE, np.int32)
        self.pops = np.zeros((len(graph.populations), 11), dtype=np.int64)
        scalars: list[float] = []
        keys: list[int] = []
        tabled: list[np.ndarray] = [np.zeros(1)]
        thresholds: list[np.ndarray] = [np.zeros(1, np.uint32)]
        scheduled: list[np.ndarray] = [np.zeros(1, np.int64)]
        state: list[np.ndarray] = []
        at, kinds = 0, list(dict.fromkeys(shapes))
        for p, (pop, offset) in enumerate(zip(graph.populations, graph.offsets().values(), strict=True)):
            shape, (lo, hi) = shapes[p], share.tiles[p]
            first = lo * K.TILE
            row = self.pops[p]
            row[K.KIND], row[K.TILES], row[K.FIRST], row[K.SIZE] = kinds.index(shape), hi - lo, first, pop.size
            row[K.STATE], row[K.SCALARS], row[K.NUMBER] = at, len(scalars), offset + first
            row[K.VALID] = max(0, min(hi * K.TILE, pop.size) - first)
            scalars += scalar_values(shape, pop.params)
            if shape.checked:
                linked = graph.linked(pop.name)  # what links add lies on no grid
                scalars += [np.inf if r in linked else pop.grids[r] * 2.0**53 for r in shape.inboxes]
            row[K.INBOX] = len(keys)
            keys += [share.inbox[p, r] for r in shape.inboxes]
            row[K.KEYS] = len(keys)
            if shape.scheduled:
                plan = pop.schedules["spikes"]
                mine = (plan.neurons >= first) & (plan.neurons < hi * K.TILE)
                start = sum(len(x) for x in scheduled)
                # L_START, L_END, L_PERIOD, L_LENGTH
                keys += [start, start + int(mine.sum()), plan.period, int(mine.sum())]
                scheduled += [plan.steps[mine].astype(np.int64), plan.neurons[mine].astype(np.int64) - first]
            for op, attr in shape.draws:
                key = stream_key(graph.chance, pop.streams[attr])
                entry = [int(key[0]), int(key[1]), 0, 0]  # D_KEY0, D_KEY1, D_THRESHOLDS, D_COUNT
                if op == "poisson":
                    table = pop.poisson[attr].thresholds
                    entry[K.D_THRESHOLDS :] = [sum(len(x) for x in thresholds), table.shape[1]]
                    thresholds.append(table.reshape(-1))
                keys += entry
            row[K.TABLES] = len(keys)
            for name, wide in shape.tables:
                table = pop.tables[name]
                # T_VALUES, T_EVERY, T_ROWS, T_REPEAT
                keys += [sum(len(x) for x in tabled), table.every, len(table.values), int(table.repeat)]
                tabled += [table.values.reshape(-1), np.zeros(K.TILE if wide else 0)]
            block = self._fill(pop, shape, lo, hi, dtype)
            state.append(block.reshape(-1))
            at += block.size
        self.f = np.concatenate(state) if state else np.zeros(1, dtype)
        self.scalars = np.array(scalars or [0.0], dtype=dtype)
        self.keys = np.array(keys or [0], dtype=np.int64)
        self.tabled = np.concatenate(tabled).astype(dtype)
        self.thresholds = np.concatenate(thresholds).astype(np.uint32)
        self.scheduled = np.concatenate(scheduled)
        self.width = share.width
        self.inbox = np.zeros(slots * share.width)
        self._records(graph)

    @staticmethod
    def _fill(pop: PopulationNode, shape: Shape, lo: int, hi: int, dtype: Any) -> np.ndarray:
        """Return the tiles [tiles, rows, 64] of one population; the last neuron fills the places beyond the end."""
        names = shape.row_names()
        out = np.zeros((hi - lo, len(names), K.TILE), dtype=dtype)
        wanted = np.minimum(np.arange(lo * K.TILE, hi * K.TILE), pop.size - 1)
        numbers = iter(
            [pop.poisson[a].row for op, a in shape.draws if op == "poisson" and pop.poisson[a].row is not None]
        )
        for i, name in enumerate(names):
            kind, _, key = name.partition(":")
            if kind == "s":
                value: Any = pop.state(key).init
            elif kind == "p":
                value = pop.params[key]
            elif kind == "n":
                value = next(numbers)
            else:
                continue
            full = np.broadcast_to(np.asarray(value, dtype=dtype), (pop.size,))
            out[:, i, :] = full[wanted].reshape(hi - lo, K.TILE)
        return out

    def rows_of(self, p: int) -> tuple[int, list[str]]:
        """Return the number of rows of a tile of population p, and their names."""
        shape = self.shapes[p]
        return shape.height, shape.row_names()

    def _view(self, p: int) -> np.ndarray:
        lo, hi = self.share.tiles[p]
        height = self.shapes[p].height
        start = int(self.pops[p, K.STATE])
        return self.f[start : start + (hi - lo) * height * K.TILE].reshape(hi - lo, height, K.TILE)

    def state(self, p: int) -> list[np.ndarray]:
        """Return copies of this thread's part of every state variable of population p."""
        view = self._view(p)
        return [view[:, i, :].reshape(-1).copy() for i in range(len(self.graph.populations[p].states))]

    def write(self, p: int, row: int, values: float | np.ndarray) -> None:
        """Set a row of the tiles of population p; the last neuron fills the places beyond the end."""
        view = self._view(p)
        if np.ndim(values) == 0:
            view[:, row, :] = values
            return
        lo, hi = self.share.tiles[p]
        size = self.graph.populations[p].size
        wanted = np.minimum(np.arange(lo * K.TILE, hi * K.TILE), size - 1)
        view[:, row, :] = np.asarray(values)[wanted].reshape(hi - lo, K.TILE)

    def take_states(self, other: Part) -> None:
        """Copy the states, which are the first rows of a tile, from a part of the same neurons."""
        for p, pop in enumerate(self.graph.populations):
            self._view(p)[:, : len(pop.states), :] = other._view(p)[:, : len(pop.states), :]

    def _records(self, graph: Graph) -> None:
        """List where the recorded state variables of this thread lie: (probe, start, end) and the positions."""
        self.recorded: list[tuple[int, int, int]] = []
        where: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        at = 0
        names = [p.name for p in graph.populations]
        for k, probe in enumerate(graph.probes):
            if not probe.sampled:
                continue
            p = names.index(probe.target)
            pop, row = graph.populations[p], self.pops[p]
            ids = np.arange(pop.size) if probe.ids is None else np.asarray(probe.ids)
            local = ids - row[K.FIRST]
            columns = np.flatnonzero((local >= 0) & (local < row[K.VALID]))
            local = local[columns]
            shape = self.shapes[p]
            place = row[K.STATE] + (local // K.TILE) * shape.height * K.TILE
            place = place + shape.states.index(probe.variable) * K.TILE + local % K.TILE
            where.append(np.stack([place, columns], axis=1))
            self.recorded.append((k, at, at + len(columns)))
            at += len(columns)
        self.where = np.concatenate(where)

"""The compiled engine: one thread per core runs the printed loop over its own neurons."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from neurosim.backends.base import Drained, Engine, Options, diverged, overflowed, put_back, recorded, weight_diverged
from neurosim.backends.compiled.cache import load
from neurosim.backends.native import memory
from neurosim.backends.native import tables as K
from neurosim.backends.native.layout import deliveries, most_arrivals, share
from neurosim.backends.native.learning import Learning, Past, columns_of, rules_of
from neurosim.backends.native.printer import Shape, arguments, module_source, scalar_values, shape_of
from neurosim.ir.edges import iter_edges, viewed
from neurosim.ir.graph import Graph, PlasticityNode, PopulationNode
from neurosim.ir.random import stream_key

SAMPLE_BYTES = 64 << 20
"""Memory for state samples between two calls of :meth:`NativeEngine.drain`."""

WORTH_A_THREAD = 2000
"""Neurons below which another thread costs more than it gives."""


def default_threads(graph: Graph) -> int:
    """Return how many threads are worth while: one core each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(cores, graph.size // WORTH_A_THREAD))


class NativeEngine(Engine):
    """State in tiles, edges in rows, spikes in one log per thread."""

    def __init__(self, graph: Graph, options: Options) -> None:
        start = time.perf_counter()
        self.graph, self.n = graph, 0
        self.threads = options.threads or default_threads(graph)
        self.dtype = np.float64 if graph.precision == "double" else np.float32
        self.shares = [share(graph, k, self.threads) for k in range(self.threads)]
        self.edge_tables, self.blocks = deliveries(graph, self.shares)
        checked = self._sums_may_overflow()
        self.shapes: list[Shape] = []
        self.kind = []
        for pop in graph.populations:
            shape = shape_of(pop, checked)
            if shape not in self.shapes:
                self.shapes.append(shape)
            self.kind.append(self.shapes.index(shape))
        classes = frozenset(int(row[K.B_CLASS]) for d in self.edge_tables for row in d.blocks)
        compile_start = time.perf_counter()
        self.rules = rules_of(graph) if K.PLASTIC in classes else []
        source = module_source(self.shapes, self.rules, graph.precision, classes)
        self.layout = hashlib.sha256(source.encode()).hexdigest()
        spec = arguments(graph.precision, bool(self.rules))
        self.kernel: Any = load(source, "run", spec)
        self.argument = {entry.split()[0]: at for at, entry in enumerate(spec)}  # its place in a call
        self.bound: list[Any] = [None] * self.threads  # a kernel's arguments, packed
        self.compile_wall = time.perf_counter() - compile_start
        self._delays()
        self._parts()
        self._logs()
        self._probes()
        # finite numbers may leave single precision; a variable that no step stores is looked at once
        self.unseen = any(not np.isfinite(v).all() for p in graph.populations for v in self.state(p.name).values())
        self.pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None
        self.timings = {
            "build": time.perf_counter() - start - self.compile_wall,
            "compile": self.compile_wall,
            "simulate": 0.0,
        }

    # -- building -----------------------------------------------------------------------------------------------

    def _sums_may_overflow(self) -> bool:
        """Tell whether a sum could leave the grid's 53 bits even in principle: then every step checks."""
        for pop in self.graph.populations:
            for receptor in pop.receptors:
                most = sum(
                    most_arrivals(p.rule, sum(s.size for s in p.pre), sum(s.size for s in p.post))
                    for p in self.graph.projections
                    if p.receptor == receptor and any(s.population == pop.name for s in p.post)
                )
                if most * 2.0**self.graph.weight_bits > 2.0**53:
                    return True
        return False

    def _delays(self) -> None:
        """Find the shortest delay (threads meet once in so many steps) and how much of the past is needed."""
        shortest, longest, ring = 1 << 30, 1, 0
        for d in self.edge_tables:
            for row in d.blocks:
                if row[K.B_CLASS] >= K.RING_SHARED:
                    a = int(row[K.B_BASE]) + int(d.rows[row[K.B_ROW_AT]])
                    b = int(row[K.B_BASE]) + int(d.rows[row[K.B_ROW_AT] + row[K.B_ROWS]])
                    if b > a:
                        shortest = min(shortest, int(d.delay16[a:b].min()))
                        ring = max(ring, int(d.delay16[a:b].max()))
                else:
                    own = d.delays[row[K.B_DELAY_AT] : row[K.B_DELAY_AT] + row[K.B_NDELAY]]
                    shortest, longest = min(shortest, int(own[0])), max(longest, int(own[-1]))
        self.window, self.reach = memory.window(shortest), max(longest, ring)
        self.slots = max(1, ring)
        self.history = memory.history(longest, self.window)
        self.past = Past(self.graph, longest, self.window, self.dtype)

    def _parts(self) -> None:
        """Fill every thread's state, scalars, keys and time arrays."""
        self.parts = [_Part(self, k) for k in range(self.threads)]
        self.weight = [d.plastic.astype(self.dtype) for d in self.edge_tables]
        nodes = [p.plasticity for p in self.graph.projections if p.plasticity is not None]
        most = max((len(node.edge) for node in nodes), default=0)
        decaying = any(node.decaying for node in nodes)
        self.edge_values = [np.zeros((max(1, most), len(w) if most else 0), self.dtype) for w in self.weight]
        self.computed = [np.zeros(len(w) if decaying else 0, np.int64) for w in self.weight]
        self.learning = [self._learning(k) for k in range(self.threads)]
        self.control = np.zeros(K.CONTROL_WORDS, dtype=np.int64)

    def _learning(self, k: int) -> Learning:
        part = self.parts[k]
        widths = [(hi - lo) * K.TILE for lo, hi in part.share.tiles]
        columns = columns_of(self.edge_tables[k], self.blocks, widths)
        return Learning(self.graph, self.rules, self.blocks, columns, self.past, part)

    def _logs(self) -> None:
        biggest = max(sum((hi - lo) * K.TILE for lo, hi in s.tiles) for s in self.shares)
        self.need = biggest * self.window  # a window's worst case
        length = memory.log_length(biggest, self.history, self.window)
        self.logs = np.zeros((self.threads, length), dtype=np.int32)
        columns = len(self.graph.populations) + 1
        self.stretch = memory.stretch(len(self.graph.populations), self.window)
        self.segments = np.zeros((self.threads, self.history + self.stretch, columns), dtype=np.int64)

    def _probes(self) -> None:
        self.state_probes = [k for k, p in enumerate(self.graph.probes) if p.sampled]
        self.sample_bytes = sum(self._width(k) * 8 / self.graph.probes[k].every for k in self.state_probes)
        self.weight_probes = [
            k
            for k, p in enumerate(self.graph.probes)
            if p.edge and self.graph.projection(p.target).plasticity is not None
        ]
        self.samples: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {
            k: [] for k in (*self.state_probes, *self.weight_probes)
        }
        self.found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
            p.name: [] for p in self.graph.populations if recorded(self.graph, p.name)
        }
        self.counts = {p.name: 0 for p in self.graph.populations}

    def _width(self, k: int) -> int:
        probe = self.graph.probes[k]
        if probe.edge:
            weights = self.weights(probe.target)
            assert weights is not None
            return len(weights)
        return self.graph.population(probe.target).size if probe.ids is None else len(probe.ids)

    # -- stepping -----------------------------------------------------------------------------------------------

    def advance(self, steps: int) -> None:
        """Simulate that many steps.

        Raises
        ------
        DivergedError
            As the reference does, at the same step. What was recorded until then can be drained; nothing can follow,
            since some threads are some steps ahead.
        """
        start = time.perf_counter()
        last = self.n + steps
        while self.n < last:
            stop = min(last, self.n + (1 if self.unseen else self.stretch))
            for k in self.weight_probes:  # the kernel knows nothing of them: it stops where one is due
                every = self.graph.probes[k].every
                stop = min(stop, (self.n // every + 1) * every)
            if self.sample_bytes:
                stop = min(stop, self.n + max(1, int(SAMPLE_BYTES / self.sample_bytes)))
            self._run(stop)
        self.timings["simulate"] += time.perf_counter() - start

    def _run(self, stop: int) -> None:
        """Run all threads from the present step to ``stop``, or as far as the logs reach; collect what they wrote."""
        first = self.n
        out, records, at = self._buffers(first, stop)
        self.control[:] = 0
        jobs = []
        if self.pool is not None:
            jobs = [self.pool.submit(self._thread, k, first, stop, out, records[k]) for k in range(1, self.threads)]
        reached = [self._thread(0, first, stop, out, records[0])]
        reached += [job.result() for job in jobs]
        bad = [k for k, part in enumerate(self.parts) if part.status[K.OVERFLOWED] or part.status[K.DIVERGED]]
        self.n = min(reached[k] for k in bad or [0])
        for k, (offset, width, rows) in at.items():
            every = self.graph.probes[k].every
            taken = self.n // every - first // every
            if taken:
                steps = (first // every + 1 + np.arange(taken)) * every - 1
                values = out[offset : offset + rows * width].reshape(rows, width)[:taken].astype(np.float64)
                self.samples[k].append((steps, values))
        for k in self.weight_probes:
            if self.n > first and self.n % self.graph.probes[k].every == 0:
                probe = self.graph.probes[k]
                self.samples[k].append((np.array([self.n - 1]), np.array([self._edge(probe.target, probe.variable)])))
        self._collect(first)
        first_bad = [k for k in bad if reached[k] == self.n]
        # a step ends with its variables, and the next begins with its sums
        diverged_parts = [self.parts[k] for k in first_bad if not self.parts[k].status[K.OVERFLOWED]]
        if self.unseen and not bad:
            self.unseen, diverged_parts = False, self.parts
        self._finite(diverged_parts)
        if first_bad:
            raise overflowed(self.graph, self.n)

    def _thread(self, k: int, first: int, stop: int, out: np.ndarray, records: np.ndarray) -> int:
        try:
            return self._call(k, first, stop, out, records)
        except BaseException:
            self.control[K.ABORT] = 1  # the others must not wait for this one
            raise

    def _call(self, k: int, first: int, stop: int, out: np.ndarray, records: np.ndarray) -> int:
        changing = {"first": first, "last": stop, "origin": first - self.history, "records": records, "out": out}
        if self.bound[k] is None:
            self.bound[k] = self._bind(k, changing)
        for name, value in changing.items():
            self.bound[k].change(self.argument[name], value)
        return int(self.bound[k]())

    def _bind(self, k: int, changing: Mapping[str, Any]) -> Any:
        """Pack a thread's arguments, by the names that they have in the kernel."""
        part, d = self.parts[k], self.edge_tables[k]
        constant = {
            "tid": k, "threads": self.threads, "window": self.window, "control": self.control, "status": part.status,
            "dt": self.graph.dt, "pops": part.pops, "f": part.f, "scalars": part.scalars, "keys": part.keys,
            "tabled": part.tabled, "thresholds": part.thresholds, "scheduled": part.scheduled, "inbox": part.inbox,
            "width": part.width, "slots": self.slots, "need": self.need, "blocks": d.blocks, "rows": d.rows,
            "delays": d.delays, "target16": d.target16, "target32": d.target32, "delay16": d.delay16,
            "weight32": d.weight32, "weight64": d.weight64, "shared": d.shared, "logs": self.logs,
            "segments": self.segments, "where": part.where, "spike": part.spike, "words": part.words,
            "counts": part.counts, **self._learned(k),
        }  # fmt: skip
        given = {**constant, **changing}
        return self.kernel.bind(*(given[name] for name in self.argument))

    def _learned(self, k: int) -> dict[str, Any]:
        """Return the arguments of learning, where there is any."""
        if not self.rules:
            return {}
        learning = self.learning[k]
        c = learning.columns
        return {
            "learn": learning.rows, "copies": learning.copies, "edges": self.weight[k],
            "edge_values": self.edge_values[k], "computed": self.computed[k], "lparams": learning.params,
            "lkeys": learning.keys, "lhist": self.past.values, "hslots": self.past.slots, "columns": c.columns,
            "column_edge": c.edge, "column_pre": c.pre, "column_delay": c.delay,
        }  # fmt: skip

    def _buffers(self, first: int, stop: int) -> tuple[np.ndarray, list[np.ndarray], dict[int, tuple[int, int, int]]]:
        """Lay out the samples of the next stretch: their buffer, a table per thread, where each probe's samples are."""
        at, total = {}, 0
        for k in self.state_probes:
            every, width = self.graph.probes[k].every, self._width(k)
            rows = stop // every - first // every
            at[k] = (total, width, rows)
            total += rows * width
        tables = []
        for part in self.parts:
            rows_ = [
                (self.graph.probes[k].every, first // self.graph.probes[k].every + 1, lo, hi, at[k][0], at[k][1])
                for k, lo, hi in part.recorded
            ]
            tables.append(np.array(rows_, dtype=np.int64).reshape(-1, 6))
        return np.zeros(max(1, total), dtype=self.dtype), tables, at

    def _collect(self, first: int) -> None:
        """Copy new spikes out of the logs, and move what the past still needs to the fronts of logs and segments."""
        new = self.n - first
        steps_of: list[np.ndarray] = []
        ids_of: list[np.ndarray] = []
        for k in range(self.threads):
            segments = self.segments[k, self.history : self.history + new]
            if new:
                for name, count in zip(self.counts, np.diff(segments, axis=1).sum(0).tolist(), strict=True):
                    self.counts[name] += count
                ids_of.append(self.logs[k, segments[0, 0] : segments[-1, -1]].copy())
                steps_of.append(np.repeat(first + np.arange(new), segments[:, -1] - segments[:, 0]))
            past = self.segments[k, new : new + self.history].copy()
            start, end = int(past[0, 0]), int(past[-1, -1])
            self.logs[k, : end - start] = self.logs[k, start:end].copy()
            self.segments[k, : self.history] = past - start
        if self.found and any(len(ids) for ids in ids_of):
            steps, ids = np.concatenate(steps_of), np.concatenate(ids_of)
            order = np.argsort(steps, kind="stable")  # each log is in order, and the threads own ascending neurons
            steps, ids = steps[order], ids[order].astype(np.int64)
            for pop, offset in zip(self.graph.populations, self.graph.offsets().values(), strict=True):
                mine = (ids >= offset) & (ids < offset + pop.size) if pop.name in self.found else np.zeros(0, bool)
                if mine.any():
                    self.found[pop.name].append((steps[mine], ids[mine] - offset))

    def drain(self) -> Drained:
        """Hand over spikes and samples."""
        spikes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, parts in self.found.items():
            if len(parts) == 1:
                spikes[name] = parts[0]
            elif parts:
                spikes[name] = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
            else:
                spikes[name] = np.zeros(0, np.int64), np.zeros(0, np.int64)
            self.found[name] = []
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k in range(len(self.graph.probes)):
            if k not in self.samples:
                samples.append(None)
                continue
            parts = self.samples[k]
            samples.append(
                (
                    np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, np.int64),
                    np.concatenate([p[1] for p in parts]) if parts else np.zeros((0, self._width(k))),
                )
            )
            self.samples[k] = []
        counts, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        return Drained(spikes, samples, counts)  # type: ignore[arg-type]

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return everything that changes from step to step, but for the logs of spikes; between two calls of _run."""
        out = {"past": self.past.values}
        for k, part in enumerate(self.parts):
            out.update({f"{k}/f": part.f, f"{k}/inbox": part.inbox, f"{k}/status": part.status,
                        f"{k}/segments": self.segments[k, : self.history], f"{k}/weight": self.weight[k],
                        f"{k}/edge": self.edge_values[k], f"{k}/computed": self.computed[k]})  # fmt: skip
        return out

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of everything that changes from step to step; of the logs, what later steps still read."""
        out = {key: values.copy() for key, values in self._arrays().items()}
        for k in range(self.threads):
            out[f"{k}/log"] = self.logs[k, : self.segments[k, self.history - 1, -1]].copy()
        return out

    def restore(self, arrays: Mapping[str, np.ndarray], steps: int) -> None:
        """Go to where a snapshot was, taken on as many threads."""
        put_back(arrays, self._arrays())
        for k in range(self.threads):
            length = int(self.segments[k, self.history - 1, -1])
            put_back(arrays, {f"{k}/log": self.logs[k, :length]})
        self.n = steps

    def write(self, population: str, name: str, values: float | np.ndarray) -> None:
        """Set a state variable or a parameter, in every thread's part."""
        p = list(self.graph.offsets()).index(population)
        shape = self.shapes[self.kind[p]]
        if name in shape.scalars:
            for part in self.parts:
                part.scalars[part.pops[p, K.SCALARS] + shape.scalars.index(name)] = values
            return
        row = shape.row_names().index(f"s:{name}" if name in shape.states else f"p:{name}")
        for part in self.parts:
            part.write(p, row, values)

    def follow(self, other: Engine, recent: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Go on from another engine's states; parameters, which lie beside them in the tiles, stay this one's."""
        assert isinstance(other, NativeEngine) and self.threads == other.threads
        mine = {f"{k}/f": part.f for k, part in enumerate(self.parts)}
        mine |= {f"{k}/inbox": part.inbox for k, part in enumerate(self.parts)}
        self.restore({**other.snapshot(), **mine}, other.n)
        for part, old in zip(self.parts, other.parts, strict=True):
            part.take_states(old)
            part.status[K.SCATTERED] = self.n
        self._scatter(recent)

    def _scatter(self, recent: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Fill the rings of arrivals to come; edges that are delivered when due find their spikes in the logs."""
        rings = {(p.name, block.population) for block in self.blocks if block.ring for p in block.projections}
        offsets = self.graph.offsets()
        starts = np.array(list(offsets.values()))
        fired: dict[int, np.ndarray] = {}
        for name, (steps, ids) in recent.items():
            for step in np.unique(steps):
                everyone = fired.setdefault(int(step), np.zeros(self.graph.size, bool))
                everyone[ids[steps == step] + offsets[name]] = True
        for projection in self.graph.projections if rings else ():
            mine = np.array([(projection.name, k) in rings for k in range(len(starts))])
            for e in iter_edges(self.graph, projection) if mine.any() else ():
                rung = mine[np.searchsorted(starts, e.pre, side="right") - 1]
                weight, delay = np.broadcast_to(e.weight, len(e)), np.broadcast_to(e.delay, len(e))
                for step, everyone in fired.items():
                    due = np.flatnonzero(rung & everyone[e.pre] & (step + delay >= self.n))
                    for part in self.parts:
                        place = part.share.place[projection.receptor][e.post[due]]
                        here = place >= 0
                        slots = (step + delay[due][here]) % self.slots * part.width
                        np.add.at(part.inbox, slots + place[here], weight[due][here])

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of the state variables."""
        p = list(self.graph.offsets()).index(population)
        pop = self.graph.populations[p]
        pieces = [part.state(p) for part in self.parts]
        return {v.name: np.concatenate([piece[i] for piece in pieces])[: pop.size] for i, v in enumerate(pop.states)}

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a plastic projection, gathered from all threads."""
        if self.graph.projection(projection).plasticity is None:
            return None
        return self._gather(projection, self.weight).astype(np.float64)

    def _edge(self, projection: str, variable: str) -> np.ndarray:
        """Return the weights (``weight``) or another variable of the edges as it stands at the end of the last step."""
        node = self.graph.projection(projection).plasticity
        assert node is not None
        if variable == "weight":
            return self._gather(projection, self.weight).astype(np.float64)
        kept = self._gather(projection, self._edge_arrays(node, variable))
        return viewed(node, variable, kept, lambda: self.n - 1 - self._gather(projection, self.computed), self.dtype)

    def _edge_arrays(self, node: PlasticityNode, variable: str) -> list[np.ndarray]:
        """Return every thread's values of a variable of the edges, as they were last computed."""
        return self.weight if variable == "w" else [v[list(node.edge).index(variable)] for v in self.edge_values]

    def _gather(self, projection: str, arrays: list[np.ndarray]) -> np.ndarray:
        """Bring what the threads hold of a plastic projection's edges into the canonical order."""
        ids, values = [np.zeros(0, np.int64)], [np.zeros(0, arrays[0].dtype)]
        for d, held in zip(self.edge_tables, arrays, strict=True):
            for row, block in zip(d.blocks, self.blocks, strict=True):
                if block.plastic is not None and block.plastic.name == projection:
                    bounds = d.rows[row[K.B_ROW_AT]], d.rows[row[K.B_ROW_AT] + row[K.B_ROWS]]
                    run = slice(int(bounds[0] + row[K.B_WEIGHT_AT]), int(bounds[1] + row[K.B_WEIGHT_AT]))
                    ids.append(d.ids[run].astype(np.int64))
                    values.append(held[run])
        order = np.concatenate(ids)
        out = np.empty(len(order), dtype=arrays[0].dtype)
        out[order] = np.concatenate(values)
        return out

    def edges(self) -> int:
        """Return the number of edges."""
        return sum(d.edges for d in self.edge_tables)

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None

    def _finite(self, parts: list[_Part]) -> None:
        """Raise for the first state variable, in the reference's order, that left the finite numbers in these parts."""
        for p, pop in enumerate(self.graph.populations):
            pieces = [part.state(p) for part in parts]
            for i, var in enumerate(pop.states):
                for part, piece in zip(parts, pieces, strict=True):
                    bad = np.flatnonzero(~np.isfinite(piece[i][: part.pops[p, K.VALID]]))
                    if len(bad):
                        raise diverged(self.graph, pop.name, var.name, int(part.pops[p, K.FIRST] + bad[0]), self.n)
        for proj in self.graph.projections if parts else ():
            node = proj.plasticity
            if node is None:
                continue
            for variable in ("w", *node.edge):
                values = self._gather(proj.name, self._edge_arrays(node, variable))
                bad = np.flatnonzero(~np.isfinite(values))
                if len(bad):
                    raise weight_diverged(self.graph, proj.name, variable, int(bad[0]), self.n)


class _Part:
    """One thread's arrays, as the kernel reads them."""

    def __init__(self, engine: NativeEngine, tid: int) -> None:
        graph, self.share, self.engine = engine.graph, engine.shares[tid], engine
        share, dtype = self.share, engine.dtype
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
        at = 0
        for p, (pop, offset) in enumerate(zip(graph.populations, graph.offsets().values(), strict=True)):
            shape, (lo, hi) = engine.shapes[engine.kind[p]], share.tiles[p]
            first = lo * K.TILE
            row = self.pops[p]
            row[K.KIND], row[K.TILES], row[K.FIRST], row[K.SIZE] = engine.kind[p], hi - lo, first, pop.size
            row[K.STATE], row[K.SCALARS], row[K.NUMBER] = at, len(scalars), offset + first
            row[K.VALID] = max(0, min(hi * K.TILE, pop.size) - first)
            scalars += scalar_values(shape, pop.params)
            if shape.checked:
                scalars += [pop.grids[r] * 2.0**53 for r in shape.inboxes]
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
                key = stream_key(graph.seed, pop.streams[attr])
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
        self.inbox = np.zeros(engine.slots * share.width)
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
        shape = self.engine.shapes[self.engine.kind[p]]
        return shape.height, shape.row_names()

    def _view(self, p: int) -> np.ndarray:
        engine, (lo, hi) = self.engine, self.share.tiles[p]
        height = engine.shapes[engine.kind[p]].height
        start = int(self.pops[p, K.STATE])
        return self.f[start : start + (hi - lo) * height * K.TILE].reshape(hi - lo, height, K.TILE)

    def state(self, p: int) -> list[np.ndarray]:
        """Return copies of this thread's part of every state variable of population p."""
        view = self._view(p)
        return [view[:, i, :].reshape(-1).copy() for i in range(len(self.engine.graph.populations[p].states))]

    def write(self, p: int, row: int, values: float | np.ndarray) -> None:
        """Set a row of the tiles of population p; the last neuron fills the places beyond the end."""
        view = self._view(p)
        if np.ndim(values) == 0:
            view[:, row, :] = values
            return
        lo, hi = self.share.tiles[p]
        size = self.engine.graph.populations[p].size
        wanted = np.minimum(np.arange(lo * K.TILE, hi * K.TILE), size - 1)
        view[:, row, :] = np.asarray(values)[wanted].reshape(hi - lo, K.TILE)

    def take_states(self, other: _Part) -> None:
        """Copy the states, which are the first rows of a tile, from a part of the same neurons."""
        for p, pop in enumerate(self.engine.graph.populations):
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
            shape = self.engine.shapes[self.engine.kind[p]]
            place = row[K.STATE] + (local // K.TILE) * shape.height * K.TILE
            place = place + shape.states.index(probe.variable) * K.TILE + local % K.TILE
            where.append(np.stack([place, columns], axis=1))
            self.recorded.append((k, at, at + len(columns)))
            at += len(columns)
        self.where = np.concatenate(where)

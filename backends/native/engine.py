"""The compiled engine: one thread per core runs the printed loop over its own neurons."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from neurosim.backends.base import Drained, Engine, Options, diverged, overflowed, put_back, recorded, weight_diverged
from neurosim.backends.compiled.cache import load
from neurosim.backends.native import memory
from neurosim.backends.native import tables as K
from neurosim.backends.native.layout import deliveries, most_arrivals, share
from neurosim.backends.native.learning import Columns, Learning, columns_of, rules_of, timed
from neurosim.backends.native.links import Links, kinds_of
from neurosim.backends.native.part import Part
from neurosim.backends.native.past import Past
from neurosim.backends.native.printer import PLASTIC, RELEASED, Shape, arguments, module_source, shape_of
from neurosim.ir.edges import iter_edges, viewed
from neurosim.ir.graph import Graph, PlasticityNode, digest

SAMPLE_BYTES = 64 << 20
"""Memory for state samples between two calls of :meth:`NativeEngine.drain`."""

WORTH_A_THREAD = 2000
"""Neurons below which another thread costs more than it gives."""


def _wiring(graph: Graph) -> str:
    """Return the digest of all that the edges follow from."""
    of = [(p.name, p.size, p.receptors, p.grids, p.attributes, p.positions) for p in graph.populations]
    return digest([graph.seed, graph.dt, graph.precision, graph.weight_bits, of, graph.projections])


def default_threads(graph: Graph) -> int:
    """Return how many threads are worth while: one core each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(cores, graph.size // WORTH_A_THREAD))


class NativeEngine(Engine):
    """State in tiles, edges in rows, spikes in one log per thread."""

    def __init__(self, graph: Graph, options: Options, like: NativeEngine | None = None) -> None:
        """Build it, with the edges and the code of an engine of another trial, ``like``, where they are equal."""
        start = time.perf_counter()
        self.graph, self.n = graph, 0
        self.threads = options.threads or default_threads(graph)
        self.dtype = np.float64 if graph.precision == "double" else np.float32
        self.wiring: str | None = None
        alike = like if like is not None and self.threads == like.threads and self._connects_as(like) else None
        if alike is not None:
            self.shares, self.edge_tables, self.blocks = alike.shares, alike.edge_tables, alike.blocks
        else:
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
        self.rules = rules_of(graph) if classes & PLASTIC else []
        released = bool(classes & RELEASED)
        self.link_kinds = kinds_of(graph)
        spec = arguments(graph.precision, bool(self.rules), bool(self.rules) or released, bool(self.link_kinds))
        if alike is not None and self._code() == alike._code():
            self.layout, self.kernel = alike.layout, alike.kernel
        else:
            source = module_source(self.shapes, self.rules, graph.precision, classes, self.link_kinds)
            self.layout = hashlib.sha256(source.encode()).hexdigest()
            self.kernel = load(source, "run", spec)
        self.argument = {entry.split()[0]: at for at, entry in enumerate(spec)}  # its place in a call
        self.bound: list[Any] = [None] * self.threads  # a kernel's arguments, packed
        self.compile_wall = time.perf_counter() - compile_start
        self._delays()
        self._parts(alike)
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

    def _connects_as(self, other: NativeEngine) -> bool:
        """Tell whether this network's edges are those of another engine's, weights on their grids included."""
        mine, theirs = self.graph, other.graph
        if mine.projections is theirs.projections and mine.populations is theirs.populations:
            return True
        self.wiring = _wiring(mine)
        if other.wiring is None:
            other.wiring = _wiring(theirs)
        return self.wiring == other.wiring

    def _sums_may_overflow(self) -> bool:
        """Tell whether a sum could leave the grid's 53 bits even in principle: then every step checks."""
        for p in self.graph.projections:  # what a spike carries has no bound, nor has every weight that learns
            if p.release is not None or (p.plasticity is not None and p.plasticity.largest is None):
                return True
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
            for row, block in zip(d.blocks, self.blocks, strict=True):
                if row[K.B_CLASS] >= K.RING_SHARED:
                    a = int(row[K.B_BASE]) + int(d.rows[row[K.B_ROW_AT]])
                    b = int(row[K.B_BASE]) + int(d.rows[row[K.B_ROW_AT] + row[K.B_ROWS]])
                    if b > a:
                        shortest = min(shortest, int(d.delay16[a:b].min()))
                        ring = max(ring, int(d.delay16[a:b].max()))
                else:
                    own = d.delays[row[K.B_DELAY_AT] : row[K.B_DELAY_AT] + row[K.B_NDELAY]]
                    shortest, longest = min(shortest, int(own[0])), max(longest, int(own[-1]))
                    if block.plastic is not None and block.plastic.plasticity is not None:
                        longest = max(longest, block.plastic.plasticity.late(int(own[-1])))
        self.window, self.reach = 1 if self.graph.links else memory.window(shortest), max(longest, ring)
        self.slots = max(1, ring)
        self.history = memory.history(longest, self.window)
        self.past = Past(self.graph, longest, self.window, self.dtype)
        for d in self.edge_tables:
            for row, block in zip(d.blocks, self.blocks, strict=True):
                if block.release is not None:
                    row[K.B_RELEASE] = self.past.at[self.graph.populations[block.population].name, block.release]

    def _parts(self, alike: NativeEngine | None) -> None:
        """Fill every thread's state, scalars, keys and time arrays."""
        own = [self.shapes[kind] for kind in self.kind]
        self.parts = [Part(self.graph, s, own, self.slots, self.dtype) for s in self.shares]
        self.weight = [d.plastic.astype(self.dtype) for d in self.edge_tables]
        nodes = [p.plasticity for p in self.graph.projections if p.plasticity is not None]
        most = max((len(node.edge) for node in nodes), default=0)
        decaying = any(node.decaying for node in nodes)
        self.edge_values = [np.zeros((max(1, most), len(w) if most else 0), self.dtype) for w in self.weight]
        self.computed = [np.zeros(len(w) if decaying else 0, np.int64) for w in self.weight]
        self.columns = alike.columns if alike is not None else [self._columns(k) for k in range(self.threads)]
        self.learning = [Learning(self.graph, self.rules, self.blocks, c, self.past, part)
                         for c, part in zip(self.columns, self.parts, strict=True)]  # fmt: skip
        self.control = np.zeros(K.CONTROL_WORDS, dtype=np.int64)
        self.links = Links(self.graph, self.link_kinds, self.parts, self.dtype) if self.link_kinds else None

    def _code(self) -> tuple[Any, ...]:
        """Return all that the compiled code depends on."""
        return self.shapes, self.kind, self.rules, self.link_kinds

    def _columns(self, k: int) -> Columns:
        widths = [(hi - lo) * K.TILE for lo, hi in self.parts[k].share.tiles]
        return columns_of(self.edge_tables[k], self.blocks, widths, timed(self.rules))

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
        if self.links is not None:
            self.links.begin(first)
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
            "weight32": d.weight32, "weight64": d.weight64, "shared": d.shared, "grids": d.grids,
            "logs": self.logs,
            "segments": self.segments, "where": part.where, "spike": part.spike, "words": part.words,
            "counts": part.counts, **self._learned(k), **(self.links.bound(k) if self.links is not None else {}),
        }  # fmt: skip
        given = {**constant, **changing}
        return self.kernel.bind(*(given[name] for name in self.argument))

    def _learned(self, k: int) -> dict[str, Any]:
        """Return the arguments of the past and of learning, which the kernel has where there is any."""
        learning = self.learning[k]
        c = learning.columns
        return {
            "copies": self.past.copies(self.graph, self.parts[k]), "lhist": self.past.values, "hslots": self.past.slots,
            "learn": learning.rows, "edges": self.weight[k], "edge_values": self.edge_values[k],
            "computed": self.computed[k], "lparams": learning.params, "lkeys": learning.keys, "columns": c.columns,
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

    def write_weights(self, projection: str, values: np.ndarray) -> None:
        """Set the weights of a projection that learns, in every thread's part."""
        for k, run, ids in self._runs(projection):
            self.weight[k][run] = values[ids]

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
        for k, run, numbers in self._runs(projection):
            ids.append(numbers)
            values.append(arrays[k][run])
        order = np.concatenate(ids)
        out = np.empty(len(order), dtype=arrays[0].dtype)
        out[order] = np.concatenate(values)
        return out

    def _runs(self, projection: str) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Yield where the edges of a plastic projection lie: thread, places, and their numbers."""
        for k, d in enumerate(self.edge_tables):
            for row, block in zip(d.blocks, self.blocks, strict=True):
                if block.plastic is not None and block.plastic.name == projection:
                    bounds = d.rows[row[K.B_ROW_AT]], d.rows[row[K.B_ROW_AT] + row[K.B_ROWS]]
                    run = slice(int(bounds[0] + row[K.B_WEIGHT_AT]), int(bounds[1] + row[K.B_WEIGHT_AT]))
                    yield k, run, d.ids[run].astype(np.int64)

    def edges(self) -> int:
        """Return the number of edges."""
        return sum(d.edges for d in self.edge_tables) + (0 if self.links is None else self.links.edges())

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None

    def _finite(self, parts: list[Part]) -> None:
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

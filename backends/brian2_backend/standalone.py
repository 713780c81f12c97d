"""The standalone engine: a whole run as one C++ program of Brian2's."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.backends.base import Drained, Engine, overflowed, recorded, weight_diverged
from neurosim.backends.brian2_backend.engine import find_divergence
from neurosim.backends.brian2_backend.layout import Layout, lay_out
from neurosim.backends.brian2_backend.learning import Plastic
from neurosim.backends.brian2_backend.network import Built, build
from neurosim.backends.brian2_backend.printer import HORIZON, SEEN
from neurosim.backends.brian2_backend.session import compilers, session
from neurosim.errors import BackendError, DivergedError, ResourceError
from neurosim.ir.graph import Graph

_LAST = 2000
"""Characters of a compiler's or a program's complaint that an error shows."""


class StandaloneEngine(Engine):
    """Compiles a network once; each stretch of steps is one run of the program, from step 0 on.

    Brian2's programs cannot go on where they ended, so a second call of :meth:`advance` runs the first stretch again.
    Nothing looks at the values meanwhile: the code notes the first step in which one leaves the finite numbers, or a
    sum its grid. The run is then repeated up to there, and ends as on every other engine.
    """

    at_once = True

    def __init__(self, graph: Graph, threads: int) -> None:
        start = time.perf_counter()
        self.graph, self.threads, self.n = graph, threads, 0
        self.layout: Layout = lay_out(graph, watched=True)
        self.folder = Path(tempfile.mkdtemp(prefix="neurosim_brian2_"))
        self._cleaner = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._write()
            gc.collect()  # what Brian2 made are circles, and as large as the network
            compile_start = time.perf_counter()
            self._compile()
        except BaseException as e:
            self.close()
            if isinstance(e, OSError):
                raise ResourceError(f"the C++ program cannot be written to {self.folder.parent}: {e.strerror}; set "
                                    "TMPDIR to a folder with more room") from e  # fmt: skip
            raise
        self.starts = self.layout.starts()
        self.states = {p.name: {v.name: _full(v.init, p.size) for v in p.states} for p in graph.populations}
        self.spikes = np.zeros(0, np.int64), np.zeros(0, np.int64)  # steps and cells of the last run
        self.learned: dict[str, dict[str, np.ndarray]] = {}  # projection -> its edges after the last run
        self.rows: list[tuple[np.ndarray, np.ndarray] | None] = [None for _ in graph.probes]
        self.handed = 0
        compiled = time.perf_counter() - compile_start
        self.timings = {"build": time.perf_counter() - start - compiled, "compile": compiled, "simulate": 0.0}

    # -- building -----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write the program."""
        with session("standalone", self.threads) as brian2:
            device = brian2.get_device()
            built = build(self.layout, watched=True)
            self.layout.forget_synapses()
            spikes = brian2.SpikeMonitor(built.cells, name="neurosim_spikes")
            probes = self._monitors(built)
            built.network.add(spikes, *[m for m, _ in probes.values()])
            built.network.run(0 * brian2.second, namespace={})
            horizon = device.get_array_name(built.cells.variables[HORIZON])
            device.insert_code("main", f"{built.network.name}.run({horizon}[0], NULL, 1e300);")
            device.build(directory=str(self.folder), compile=False, run=False)

            def file(owner: Any, name: str) -> str:
                return device.get_array_filename(owner.variables[name])

            self.spike_files = file(spikes, "t"), file(spikes, "i")
            self.probe_files = {k: (file(m, "t"), file(m, name)) for k, (m, name) in probes.items()}
            self.computed_files = {k: file(m, "computed") for k, (m, _) in probes.items() if "computed" in m.variables}
            self.seen_files = [(file(g, SEEN), b.size) for g, b in zip(built.groups, self.layout.blocks, strict=True)]
            self.plastic = {p.projection.name: p for p in built.plastic}
            self.edge_files = {name: self._edge_files(p, file) for name, p in self.plastic.items()}
            self.seen_files += [(files[SEEN], len(self.plastic[name].edges.pre))
                                for name, files in self.edge_files.items() if files]  # fmt: skip
            self.state_files = [
                {v: file(g, name) for v, name in b.printed.states.items()}
                for g, b in zip(built.groups, self.layout.blocks, strict=True)
            ]

    @staticmethod
    def _edge_files(plastic: Plastic, file: Any) -> dict[str, str]:
        """Return variable in the code -> file of it, for the edges of a projection that learns."""
        if plastic.synapses is None:
            return {}
        names = ["w", SEEN, *(f"e{k}" for k in range(len(plastic.node.edge)))]
        return {name: file(plastic.synapses, name) for name in names + ["computed"] * bool(plastic.node.decaying)}

    def _monitors(self, built: Built) -> dict[int, tuple[Any, str]]:
        """Return a monitor and the name of its variable for every probe of the state, or of edges that learn.

        They look at the start of steps 0, k, 2k, …: at what stood at the end of steps k - 1, 2k - 1, …
        """
        from brian2 import Clock, StateMonitor, second

        clocks = {1: built.clock}
        out = {}
        learning = {p.projection.name: p for p in built.plastic if p.synapses is not None}
        for k, probe in enumerate(self.graph.probes):
            if not probe.sampled and not (probe.edge and probe.target in learning):
                continue
            if probe.every not in clocks:
                clocks[probe.every] = Clock(dt=probe.every * second, name=f"neurosim_clock_{probe.every}")
            if probe.edge:
                plastic = learning[probe.target]
                names = [plastic.name_of(probe.variable), *(["computed"] if plastic.node.decaying else [])]
                monitor = StateMonitor(plastic.synapses, names, record=np.arange(len(plastic.edges.pre)),
                                       clock=clocks[probe.every], when="start", name=f"neurosim_probe_{k}")  # fmt: skip
                out[k] = monitor, names[0]
                continue
            block = self.layout.block(probe.target)
            group, part = built.groups[self.layout.blocks.index(block)], block.part(probe.target)
            ids = np.arange(part.stop - part.start) if probe.ids is None else np.asarray(probe.ids)
            name = block.printed.states[probe.variable]
            if not len(ids):
                continue
            monitor = StateMonitor(group, name, record=part.start + ids, clock=clocks[probe.every], when="start",
                                   name=f"neurosim_probe_{k}")  # fmt: skip
            out[k] = monitor, name
        return out

    def _compile(self) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        command = ["make", f"-j{cores}", f"CXX={compilers()['CXX']}"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, errors="replace")
        if done.returncode == -signal.SIGINT:
            raise KeyboardInterrupt
        if done.returncode:
            raise BackendError(
                f"the C++ program of backend 'brian2' does not compile ({' '.join(command)}): "
                f"{(done.stderr or done.stdout)[-_LAST:].strip()}"
            )

    # -- running ------------------------------------------------------------------------------------------------------

    def advance(self, steps: int) -> None:
        """Simulate that many steps, and all before them once more."""
        start = time.perf_counter()
        last = self.n + steps
        self._run(last)
        fault = self._fault()
        if fault is not None:
            step, too_large = fault // 2, fault % 2 == 0
            last = step if too_large else step + 1
            self._run(last)
        self._read(last)
        self.n = last
        self.timings["simulate"] += time.perf_counter() - start
        if fault is not None:
            failure = overflowed(self.graph, last) if too_large else self._diverged(last)
            assert failure is not None
            raise failure

    def _run(self, steps: int) -> None:
        """Run the program for so many steps from the start."""
        results = self.folder / "results"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        command = ["./main", "--results_dir", f"{results}{os.sep}", f"neurosim_cells.{HORIZON}={float(steps)!r}"]
        with open(self.folder / "run.log", "w+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
            try:
                process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            log.seek(0)
            said = log.read()[-_LAST:].strip()
        if process.returncode == -signal.SIGINT:
            raise KeyboardInterrupt
        if process.returncode or said:
            raise BackendError(
                f"the C++ program of backend 'brian2' failed with status {process.returncode}: "
                f"{said or 'it said nothing'}"
            )

    def _array(self, name: str, dtype: Any, size: int | None = None) -> np.ndarray:
        """Return an array that the program has written."""
        path = self.folder / "results" / name
        found = np.fromfile(path, dtype=dtype) if path.exists() else np.zeros(0, dtype)
        if size is not None and len(found) != size:
            raise BackendError(
                f"the C++ program of backend 'brian2' wrote {len(found)} of {size} values to {path}: is the disk full? "
                "Set TMPDIR to a folder with more room"
            )
        return found

    def _fault(self) -> int | None:
        """Return 2 n where a sum was too large in step n, 2 n + 1 where a value left the finite numbers, else None."""
        first = []
        for name, size in self.seen_files:
            seen = self._array(name, np.float64, size)
            first += [float(seen[seen >= 0.0].min())] if np.any(seen >= 0.0) else []
        for pop in self.graph.populations:
            assert pop.program is not None
            idle = {v.name: v.init for v in pop.states if v.name not in pop.program.stores()}
            first += [1.0 for init in idle.values() if not np.all(np.isfinite(init))]
        return int(min(first)) if first else None

    def _diverged(self, step: int) -> DivergedError | None:
        """Return the error for the first value of a neuron, or else of an edge, that is no finite number."""
        found = find_divergence(self.graph, self.states, step)
        for name, plastic in self.plastic.items() if found is None else ():
            for variable in ("w", *plastic.node.edge):
                bad = np.flatnonzero(~np.isfinite(self.learned[name].get(plastic.name_of(variable), 0.0)))
                if len(bad):
                    return weight_diverged(self.graph, name, variable, int(bad[0]), step)
        return found

    def _read(self, steps: int) -> None:
        """Read what a run of so many steps has left behind."""
        at = self._array(self.spike_files[0], np.float64)
        self.spikes = at.astype(np.int64), self._array(self.spike_files[1], np.int32, len(at)).astype(np.int64)
        for files, block in zip(self.state_files, self.layout.blocks, strict=True):
            for variable, name in files.items():
                values = self._array(name, np.float64, block.size)
                for pop in block.populations:
                    self.states[pop.name][variable] = values[block.part(pop.name)].copy()
        for name, files in self.edge_files.items():
            count = len(self.plastic[name].edges.pre)
            self.learned[name] = {v: self._array(f, np.float64, count) for v, f in files.items()}
        for k, (when, what) in self.probe_files.items():
            probe = self.graph.probes[k]
            if probe.edge:
                self.rows[k] = self._edge_rows(k, steps)
                continue
            state = self.states[probe.target][probe.variable]
            ids = np.arange(len(state)) if probe.ids is None else np.asarray(probe.ids)
            times = self._array(when, np.float64).astype(np.int64)
            values = self._array(what, np.float64, len(times) * len(ids)).reshape(len(times), len(ids))
            times, values = times[1:] - 1, values[1:]  # the first row holds the initial values
            if steps and steps % probe.every == 0:
                times, values = np.append(times, steps - 1), np.vstack([values, state[ids][None]])
            self.rows[k] = times, values

    def _edge_rows(self, k: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and samples [T, edges] of a probe of edges."""
        probe = self.graph.probes[k]
        plastic, last = self.plastic[probe.target], self.learned[probe.target]
        when, what = self.probe_files[k]
        count = len(plastic.edges.pre)
        times = self._array(when, np.float64).astype(np.int64)
        values = self._array(what, np.float64, len(times) * count).reshape(len(times), count)
        computed = np.zeros_like(values)
        if k in self.computed_files:
            computed = self._array(self.computed_files[k], np.float64, values.size).reshape(values.shape)
        # the first row holds the initial values
        rows = [(int(t) - 1, values[i], computed[i]) for i, t in enumerate(times) if i]
        if steps and steps % probe.every == 0:
            rows.append((steps - 1, last[plastic.name_of(probe.variable)], last.get("computed", np.zeros(count))))
        seen = [plastic.seen(probe.variable, v, lambda n=n, c=c: n - c) for n, v, c in rows]
        return np.array([n for n, _, _ in rows], dtype=np.int64), np.array(seen).reshape(len(rows), count)

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a plastic projection."""
        if projection not in self.plastic:
            return None
        plastic = self.plastic[projection]
        return self.learned.get(projection, {}).get("w", plastic.edges.weight).copy()

    def drain(self) -> Drained:
        """Hand over spikes and samples of the steps since the last call."""
        new = self.spikes[0] >= self.handed
        steps, cells = self.spikes[0][new], self.spikes[1][new]
        spikes, counts = {}, {}
        for name, lo, size in self.starts:
            mine = (cells >= lo) & (cells < lo + size)
            counts[name] = int(np.count_nonzero(mine))
            if recorded(self.graph, name):
                spikes[name] = steps[mine], cells[mine] - lo
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k, probe in enumerate(self.graph.probes):
            if not probe.sampled and not (probe.edge and probe.target in self.plastic):
                samples.append(None)
                continue
            if probe.edge:
                width = len(self.plastic[probe.target].edges.pre)
            else:
                width = self.graph.population(probe.target).size if probe.ids is None else len(probe.ids)
            when, values = self.rows[k] or (np.zeros(0, np.int64), np.zeros((0, width)))
            samples.append((when[when >= self.handed], values[when >= self.handed]))
            self.rows[k] = None
        self.spikes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.handed = self.n
        return Drained(spikes, samples, counts)

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of the state variables."""
        return {name: values.copy() for name, values in self.states[population].items()}

    def edges(self) -> int:
        """Return the number of edges."""
        return self.layout.edges + sum(len(p.edges.pre) for p in self.plastic.values())

    def close(self) -> None:
        """Delete the program and its files."""
        self._cleaner()


def _full(init: Any, size: int) -> np.ndarray:
    return np.array(np.broadcast_to(np.asarray(init, dtype=np.float64), (size,)))

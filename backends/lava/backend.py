"""The lava backend: integer networks in Lava itself, in an environment and processes of their own."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from neurosim.backends.base import Backend, Drained, Engine, Options, recorded
from neurosim.backends.lava.environment import VERSION, python
from neurosim.backends.lava.lower import complaints, lower
from neurosim.backends.lava.script import ARRAYS, RESULT, SCRIPT, arrays, script
from neurosim.backends.lava.worker import run_script
from neurosim.backends.loihi2_backend import ROUNDED, QuantisedEngine
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.loihi2.quantisation import complaints as float_complaints
from neurosim.hardware.loihi2.quantisation import in_integers, quantised_graph
from neurosim.ir.graph import Graph

_LIMIT = 600.0
"""Seconds that a run may take unless told otherwise."""


class LavaBackend(Backend):
    """Lava 0.10 in fixed point runs networks of Loihi 2's integers (:mod:`neurosim.hardware.loihi2`) unchanged.

    A network in SI units is quantised first, as by the backend ``loihi2``.

    Its option ``timeout`` is how many seconds a run may take, 600 by default.
    """

    name = "lava"
    options = ("timeout",)
    summary = "Lava 0.10, fixed point: networks of Loihi 2's integers, out of process"

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        """Return what of the graph Lava's integer processes cannot express."""
        found = super().unsupported(graph)
        if not in_integers(graph):
            found += float_complaints(graph)
            if found:
                return found
            graph = quantised_graph(graph)[0]
        found += complaints(graph)
        for probe in graph.probes:
            if probe.sampled and probe.variable not in ("u", "v"):
                found.append((f"recording of {probe.variable} (Lava's LIF has u and v)", probe.where))
        return found

    def rounds(self, graph: Graph) -> str:
        """Return what the numbers of a network in SI units become."""
        return "" if in_integers(graph) else ROUNDED

    def build(self, graph: Graph, options: Options) -> Engine:
        """Find Lava, and check what can be checked before a run."""
        given = options.extra.get("timeout", _LIMIT)
        try:
            limit = float(given)
        except (TypeError, ValueError):
            limit = 0.0
        if not limit > 0:
            raise ParameterError(f"timeout of backend 'lava' must be seconds above 0, got {given!r}")
        found = python()
        assert found is not None  # the registry has looked
        if in_integers(graph):
            return LavaEngine(graph, found, limit)
        made, quantised = quantised_graph(graph)
        return QuantisedEngine(LavaEngine(made, found, limit), graph, quantised)

    def version(self) -> str:
        """Return Lava's version."""
        return f"lava-nc {VERSION}"


class LavaEngine(Engine):
    """One run, from step 0: Lava's processes cannot be started again after they have stopped."""

    at_once = True

    def __init__(self, graph: Graph, python: Path, limit: float) -> None:
        start = time.perf_counter()
        self.graph, self.python, self.limit, self.n = graph, python, limit, 0
        self.lowered = lower(graph, 0)
        self.result: dict[str, np.ndarray] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="neurosim_lava_"))
        self.timings = {"build": time.perf_counter() - start, "compile": 0.0, "simulate": 0.0}

    def edges(self) -> int:
        """Return the number of synapses."""
        return sum(len(c.weights) for c in self.lowered.connections)

    def advance(self, steps: int) -> None:
        """Run that many steps."""
        if self.n:
            raise UnsupportedError("backend 'lava' cannot go on after a run: run the whole duration at once")
        if not steps:
            return
        start = time.perf_counter()
        self.lowered = lower(self.graph, steps)
        states = list(dict.fromkeys((p.target, p.variable) for p in self.graph.probes if p.sampled))
        text = script(self.lowered, f"network '{self.graph.name}'", steps, states, "")
        (self.folder / SCRIPT).write_text(text, encoding="utf-8")
        np.savez(self.folder / ARRAYS, **arrays(self.lowered))
        run_script(self.python, self.folder, SCRIPT, self.limit)
        with np.load(self.folder / RESULT) as found:
            self.result = dict(found)
        self.n = steps
        self.timings["simulate"] += time.perf_counter() - start

    def drain(self) -> Drained:
        """Hand over what was recorded."""
        result, self.result = self.result, {}
        spikes, counts = {}, {}
        none = np.zeros(0, np.int64)
        for pop in self.graph.populations:
            steps, ids = result.get(f"{pop.name}.steps", none), result.get(f"{pop.name}.neurons", none)
            counts[pop.name] = len(steps)
            if recorded(self.graph, pop.name):
                spikes[pop.name] = steps.astype(np.int64), ids.astype(np.int64)
        samples: list[tuple[np.ndarray, np.ndarray] | None] = []
        for probe in self.graph.probes:
            if not probe.sampled:
                samples.append(None)
                continue
            size = self.graph.population(probe.target).size
            rows = result.get(f"{probe.target}.{probe.variable}", np.zeros((0, size)))
            at = np.arange(probe.every - 1, len(rows), probe.every)
            picked = rows[at] if probe.ids is None else rows[at][:, probe.ids]
            samples.append((at.astype(np.int64), picked.astype(np.float64)))
        return Drained(spikes, samples, counts)

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return no state: Lava's is gone with its processes."""
        return {}

    def close(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.folder, ignore_errors=True)

"""The loihi2 backend: a network brought to Loihi 2's integers, run by the native engine; v comes back in volts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from neurosim.backends.base import Backend, Drained, Engine, Options
from neurosim.errors import ParameterError
from neurosim.hardware.loihi2.quantisation import RANGE, Quantised, complaints, in_integers, quantised_graph
from neurosim.ir.graph import Graph
from neurosim.registry import load_backend

ROUNDED = (
    "computes in Loihi 2's integers: decays of 12 bits, weights of 8, thresholds of 17; quantise() and "
    "'neurosim quantise' say what each number became"
)


class Loihi2Backend(Backend):
    """Loihi 2's integers, emulated to the bits of Lava 0.10 (:mod:`neurosim.hardware.loihi2`).

    A network in SI units is quantised first; one in integers runs as it is. Its option ``below`` is that of
    :func:`neurosim.hardware.loihi2.quantise`.
    """

    name = "loihi2"
    threads = True
    options = ("below",)
    summary = "Loihi 2's integers, bit for bit Lava's: a network of LIF cells is quantised, and run by native"

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        """Return what of the graph has no counterpart in integers."""
        found = super().unsupported(graph)
        if in_integers(graph):
            return found
        found += complaints(graph)
        for probe in graph.probes:
            if probe.sampled and probe.variable != "v":
                what = f"recording of {probe.variable}: of a quantised cell there are spikes and v"
                found.append((what, probe.where))
        return found

    def rounds(self, graph: Graph) -> str:
        """Return what the numbers of a network in SI units become."""
        return "" if in_integers(graph) else ROUNDED

    def build(self, graph: Graph, options: Options) -> Engine:
        """Quantise, and build the native engine."""
        given = options.extra.get("below", RANGE)
        try:
            below = float(given)
        except (TypeError, ValueError):
            raise ParameterError(f"below of backend 'loihi2' must be a number, got {given!r}") from None
        inner = Options(threads=options.threads)
        if in_integers(graph):
            return load_backend("native").build(graph, inner)
        made, quantised = quantised_graph(graph, below)
        return QuantisedEngine(load_backend("native").build(made, inner), graph, quantised)


class QuantisedEngine(Engine):
    """An engine of integers that hands out volts."""

    def __init__(self, inner: Engine, graph: Graph, quantised: Quantised) -> None:
        self.inner, self.graph, self.quantised = inner, graph, quantised
        self.threads, self.at_once, self.timings = inner.threads, inner.at_once, inner.timings
        self.known = {p.name for p in quantised.populations}

    def edges(self) -> int:
        """Return the number of synapses that are not 0."""
        return self.inner.edges()

    def advance(self, steps: int) -> None:
        """Simulate that many steps."""
        self.inner.advance(steps)

    def drain(self) -> Drained:
        """Hand over spikes, and v in volts."""
        found = self.inner.drain()
        samples = [
            sample if sample is None or probe.target not in self.known
            else (sample[0], self.quantised.volts(probe.target, sample[1], probe.ids))
            for probe, sample in zip(self.graph.probes, found.samples, strict=True)
        ]  # fmt: skip
        return replace(found, samples=samples)

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return v in volts; of a source everything."""
        found = self.inner.state(population)
        if population not in self.known:
            return found
        return {"v": self.quantised.volts(population, np.asarray(found["v"]))} if "v" in found else {}

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return the inner engine's."""
        return self.inner.snapshot()

    def restore(self, arrays: Mapping[str, np.ndarray], steps: int) -> None:
        """Go to where a snapshot was."""
        self.inner.restore(arrays, steps)

    def close(self) -> None:
        """Give back what the inner engine holds."""
        self.inner.close()

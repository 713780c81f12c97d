"""The native backend: programs printed as numba, compiled once, cached on disk."""

from __future__ import annotations

from importlib import metadata

from neurosim.backends.base import Backend, Engine, Options
from neurosim.backends.native.expressions import ROWS
from neurosim.ir.graph import Graph
from neurosim.ir.ops import EFFECTS, OPS, RANDOM


class NativeBackend(Backend):
    """Compiled loops on all cores."""

    name = "native"
    operations = frozenset(ROWS) | RANDOM | EFFECTS | {n for n, o in OPS.items() if o.group in ("leaf", "table")}
    precisions = ("double", "single")
    threads = True
    summary = "compiled loops (numba), multi-threaded; the default"

    def estimate(self, graph: Graph) -> int:
        """Return about how many bytes building and running take: edges as they are stored, a chunk in the making."""
        total = 0.0
        for p in graph.projections:
            n_pre, n_post = sum(s.size for s in p.pre), sum(s.size for s in p.post)
            weight = 0 if isinstance(p.weight, float) else 8 if graph.weight_bits > 24 else 4
            total += p.rule.expected(n_pre, n_post) * (4 + weight)
        return int(1.05 * total + 1500 * graph.size + (300 << 20 if total > 1e8 else 0))

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build rows and state, and compile or load the programs."""
        from neurosim.backends.native.engine import NativeEngine

        return NativeEngine(graph, options)

    def version(self) -> str:
        """Return numba's version."""
        return metadata.version("numba")

"""The native backend: programs printed as numba, compiled once, cached on disk."""

from __future__ import annotations

from importlib import metadata

from neurosim.backends.base import Backend, Engine, Options
from neurosim.backends.compiled.expressions import ROWS
from neurosim.ir.graph import Graph
from neurosim.ir.ops import EFFECTS, OPS, RANDOM


class NativeBackend(Backend):
    """Compiled loops on all cores."""

    name = "native"
    operations = frozenset(ROWS) | RANDOM | EFFECTS | {n for n, o in OPS.items() if o.group in ("leaf", "table")}
    precisions = ("double", "single")
    threads = True
    plasticity = True
    releases = True
    links = True
    checkpoints = True
    live = True
    concurrent = True
    summary = "compiled loops (numba), multi-threaded; the default"

    def estimate(self, graph: Graph, threads: int | None = None) -> int:
        """Return about how many bytes building and running take on so many threads."""
        from neurosim.backends.native.engine import default_threads
        from neurosim.backends.native.memory import estimate

        return estimate(graph, threads or default_threads(graph))

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build rows and state, and compile or load the programs."""
        from neurosim.backends.native.engine import NativeEngine

        return NativeEngine(graph, options)

    def build_like(self, graph: Graph, options: Options, engine: Engine) -> Engine:
        """Build state alone, where connections and programs are those of another engine."""
        from neurosim.backends.native.engine import NativeEngine

        assert isinstance(engine, NativeEngine)
        return NativeEngine(graph, options, engine)

    def version(self) -> str:
        """Return numba's version."""
        return metadata.version("numba")

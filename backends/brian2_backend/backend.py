"""The brian2 backend: programs printed as Brian2 abstract code, in three modes."""

from __future__ import annotations

from importlib import metadata

from neurosim.backends.base import Backend, Engine, Options
from neurosim.backends.brian2_backend.printer import OPERATIONS, whole_numbers
from neurosim.errors import ParameterError, UnsupportedError, suggest
from neurosim.ir.graph import Graph

MODES = ("cython", "numpy", "standalone")

_FIXED, _EDGE, _NEURON = 400_000_000, 100, 2000
"""Bytes: Brian2 itself and a compiler at work; an edge; a neuron."""


class Brian2Backend(Backend):
    """Brian2 runs the steps; arithmetic, edges and random numbers are the network's own.

    Its option ``mode`` is one of

    - ``cython`` (the default where a C++ compiler is found): compiled step by step, run from Python;
    - ``numpy``: no compiler, no wait, slow steps (the default elsewhere);
    - ``standalone``: the whole run as one C++ program, on several ``threads`` if wanted (the default where more than
      one is asked for).

    All modes give the same bits.
    """

    name = "brian2"
    operations = OPERATIONS
    threads = True
    plasticity = True
    releases = True
    links = True
    options = ("mode",)
    summary = "Brian2 (cython, numpy or C++ standalone): the same steps as its abstract code"

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        """Return what of the graph Brian2 cannot express."""
        found = super().unsupported(graph)
        for pop in graph.populations:
            assert pop.program is not None
            op = whole_numbers(pop.program)
            if op is not None and op in self.operations:
                found.append((f"operation '{op}' of 64-bit integers in population '{pop.name}'", pop.where))
        return found

    def estimate(self, graph: Graph, threads: int | None = None) -> int:
        """Return about how many bytes building and running take, the C++ program of mode ``standalone`` included.

        Measured at 4 million edges: 66 to 90 bytes an edge at the peak, in every mode.
        """
        every = (*graph.projections, *(link.edges for link in graph.links))
        edges = sum(p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post)) for p in every)
        return int(_FIXED + _EDGE * edges + _NEURON * graph.size)

    def build(self, graph: Graph, options: Options) -> Engine:
        """Make Brian2's objects, and compile or load their code."""
        mode = choose_mode(options)
        if mode == "standalone":
            from neurosim.backends.brian2_backend.standalone import StandaloneEngine

            return StandaloneEngine(graph, options.threads or 1)
        from neurosim.backends.brian2_backend.engine import RuntimeEngine

        return RuntimeEngine(graph, mode)

    def version(self) -> str:
        """Return Brian2's version."""
        return metadata.version("brian2")


def choose_mode(options: Options) -> str:
    """Return the mode that is asked for, or the default.

    Raises
    ------
    ParameterError
        No such mode.
    UnsupportedError
        Threads for a mode that has one.
    BackendMissingError
        No compiler for a mode that needs one.
    """
    from neurosim.backends.brian2_backend.session import missing_compiler, need_compiler

    threads = options.threads or 1
    mode = options.extra.get("mode")
    if mode is None:
        mode = "standalone" if threads > 1 else "numpy" if missing_compiler() else "cython"
    if mode not in MODES:
        raise ParameterError(
            f"mode of backend 'brian2' must be one of {', '.join(MODES)}, not {mode!r}{suggest(str(mode), MODES)}"
        )
    if threads > 1 and mode != "standalone":
        raise UnsupportedError(
            f"mode '{mode}' of backend 'brian2' runs on one thread: leave threads out, or use mode='standalone'"
        )
    if mode != "numpy":
        need_compiler(mode)
    return mode

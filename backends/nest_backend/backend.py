"""The backend ``nest``: what it refuses before anything runs, and the engine it builds."""

from __future__ import annotations

from importlib import metadata

from neurosim.backends.base import Backend, Engine, Options
from neurosim.backends.nest_backend import kernel
from neurosim.backends.nest_backend.cells import Cell, Source
from neurosim.backends.nest_backend.learning import recognise_learners
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.backends.nest_backend.short_term import recognise_synapse
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.ir.graph import Graph, PopulationNode, ProbeNode
from neurosim.ir.program import Program

_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


class NestBackend(Backend):
    """Recognises cells that NEST has, and runs them in NEST."""

    name = "nest"
    summary = "NEST 3.10: cells recognised by their mathematics, NEST's own update; the way to clusters"
    precisions = ("double",)
    threads = True
    options = ("approximate",)
    weights_as_of = "as of the last spike of the source"

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        """Return what differs from NEST's cells; operations do not matter here, as no program is run."""
        return self._unsupported(graph, False)

    def check(self, graph: Graph) -> None:
        """Refuse what NEST has not; a cell that only ``approximate`` allows waits for :meth:`build`, which knows it."""
        self._refuse(self._unsupported(graph, True))

    def _refuse(self, found: list[tuple[str, str | None]]) -> None:
        if found:
            what, where = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise UnsupportedError(f"backend 'nest' cannot run this network: no {what}{more}; run it with "
                                   "backend='native' or change the construct", where)  # fmt: skip

    def _unsupported(self, graph: Graph, willing: bool) -> list[tuple[str, str | None]]:
        found: list[tuple[str, str | None]] = []
        if graph.precision not in self.precisions:
            found.append((f"precision '{graph.precision}' (it has {', '.join(self.precisions)})", None))
        if not kernel.on_grid(graph.dt):
            found.append((f"dt of {graph.dt * 1e3:.9g} ms (NEST counts in thousandths of a millisecond: use one of "
                          "them, or a multiple)", None))  # fmt: skip
        if graph.links:
            return found + [(f"couplings without spikes (link '{k.name}'; NEST's gap junctions are solved together "
                             "with its cells, to a tolerance, and are other steps)", k.where)
                            for k in graph.links]  # fmt: skip
        rules = recognise_learners(graph)
        for projection in graph.projections:
            rule = rules.get(projection.name)
            synapse = None if projection.release is None else recognise_synapse(graph, projection)
            found += [(each, projection.where) for each in (rule, synapse) if isinstance(each, str)]
        for probe in graph.probes:
            if probe.edge and probe.target in rules:
                found.append((f"recording of {probe.variable} of projection '{probe.target}' (NEST changes a weight "
                              "when a spike arrives, from all that happened since the last: it has none between)",
                              probe.where))  # fmt: skip
        for pop in graph.populations:
            seen = recognise(graph, pop)
            if seen.what is None:
                found.append((seen.sentence(pop), pop.where))
            elif isinstance(seen.what, Cell) and seen.what.approximate and not willing:
                found.append((adaptive(pop, seen.what), pop.where))
            elif isinstance(seen.what, Source):
                found += [(f"recording of {probe.variable} of population '{pop.name}' (in NEST it plays spikes, and "
                           "keeps nothing)", probe.where) for probe in graph.probes
                          if probe.target == pop.name and probe.sampled]  # fmt: skip
            elif isinstance(seen.what, Cell):
                found += [row for probe in graph.probes if (row := _unseen(probe, pop, seen.what))]
        return found

    def build(self, graph: Graph, options: Options) -> Engine:
        """Build the network in NEST's kernel, which is emptied first."""
        from neurosim.backends.nest_backend.engine import NestEngine

        if not approximate(options):
            self._refuse(self._unsupported(graph, False))
        return NestEngine(graph, options)

    def estimate(self, graph: Graph, threads: int | None = None) -> int:
        """Return 100 bytes an edge of this rank (NEST's 42, and the arrays it is built from) and 5000 a neuron."""
        edges = sum(p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post)) for p in graph.projections)
        return int(100 * edges / kernel.ranks(kernel.load())[1] + 5000 * graph.size)

    def remark(self) -> str:
        """Return what ``neurosim doctor`` says of this NEST: whether it has threads, and MPI for several machines."""
        nest = kernel.load()
        built = nest.GetKernelStatus("build_info")
        threads = "threads" if built["have_threads"] else "no threads"
        if built["have_mpi"]:
            count = kernel.ranks(nest)[1]
            return f"NEST {built['version']} with {threads} and MPI ({count} rank{'s' if count > 1 else ''} now)"
        return f"NEST {built['version']} with {threads}, without MPI: one machine (docs/nest.md tells of several)"

    def version(self) -> str:
        """Return NEST's version."""
        return metadata.version("nest-simulator")


def adaptive(pop: PopulationNode, cell: Cell) -> str:
    """Complete "no ...", of a cell that NEST integrates in its own way."""
    return (
        f"scheme of NEST's that agrees with another engine's in population '{pop.name}': its equations are those of "
        f"{cell.model}, which NEST integrates adaptively; with approximate=True (--backend-option approximate=yes) it "
        "runs, and agrees in its statistics only"
    )


def approximate(options: Options) -> bool:
    """Return the option ``approximate``, which the command line gives as text."""
    value = options.extra.get("approximate", False)
    word = str(value).lower()
    if isinstance(value, bool) or word in (*_YES, *_NO):
        return word in _YES
    raise ParameterError(f"approximate must be yes or no, got {value!r}")


def _unseen(probe: ProbeNode, pop: PopulationNode, cell: Cell) -> tuple[str, str | None] | None:
    """Return the refusal of a probe of something that NEST does not show."""
    assert pop.model is not None and isinstance(pop.program, Program)
    from neurosim.backends.nest_backend.normal import input_variables

    if probe.target != pop.name or not probe.sampled or probe.variable in cell.readings:
        return None
    if probe.variable in input_variables(pop.model.system):
        return None
    shown = ", ".join(cell.readings) or "nothing"
    return f"recording of {probe.variable} of population '{pop.name}' (NEST's {cell.model} shows {shown})", probe.where

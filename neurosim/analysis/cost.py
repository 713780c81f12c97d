"""What a run takes: memory, sparsity and operations by NeuroBench's definitions, and estimates of energy from them.

NeuroBench's harness measures layers of PyTorch models. Here a projection stands for a layer of connections, a
population that can spike for a layer of activations, and a connection that does not exist for a weight of 0.

Source: J. Yik et al., Nat. Commun. 16 (2025), 1545, "The NeuroBench framework"; the harness, version 2.3.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest


class Technology(NamedTuple):
    """What operations cost, in joules, and who says so.

    Synaptic operations are accumulations, or multiply-accumulations; an update of a neuron costs ``update``, and what
    its arithmetic does.
    """

    accumulate: float
    multiply_accumulate: float
    addition: float
    multiplication: float
    update: float
    source: str


TECHNOLOGIES: Mapping[str, Technology] = {
    "45nm float32": Technology(
        0.9e-12, 4.6e-12, 0.9e-12, 3.7e-12, 0.0,
        "M. Horowitz, ISSCC 2014, 45 nm: an addition 0.9 pJ, a multiplication 3.7 pJ; arithmetic only, no memory",
    ),
    "45nm int8": Technology(
        0.03e-12, 0.23e-12, 0.03e-12, 0.2e-12, 0.0,
        "M. Horowitz, ISSCC 2014, 45 nm: an addition 0.03 pJ, a multiplication 0.2 pJ; arithmetic only, no memory",
    ),
    "Loihi": Technology(
        23.6e-12, 23.6e-12, 0.0, 0.0, 81e-12,
        "M. Davies et al., IEEE Micro 38 (2018), table 2, Loihi 1 before silicon, lower bounds: a synaptic operation "
        "23.6 pJ, an update of an active neuron 81 pJ",
    ),
}  # fmt: skip
"""Name -> costs."""

_ADDITIONS = frozenset(("add", "sub", "lt", "le", "gt", "ge", "eq", "ne", "min", "max"))
_MULTIPLICATIONS = frozenset(("mul", "div", "sqrt"))


class Estimate(NamedTuple):
    """An estimate of energy, in joules per sample: of synapses, of updates of neurons, and what it rests on."""

    synapses: float
    updates: float
    source: str

    @property
    def total(self) -> float:
        """Both, in joules per sample."""
        return self.synapses + self.updates


@dataclass(frozen=True)
class Cost:
    """What a run took. "Per sample" is the whole run, divided by the number of samples that were shown in it.

    Attributes
    ----------
    samples, steps : int
        Of the run.
    footprint : int
        Bytes of weights, parameters and state variables in the precision of the run. How an engine stores which neurons
        are connected is not in it.
    connection_sparsity : float
        Fraction of the pairs of neurons of all projections that have no weight, or 0.
    activation_sparsity : float
        Fraction of all neurons and steps without a spike, inputs left out.
    activation_sparsity_by_population : dict
        The same of each population that can spike, inputs too.
    effective_acs : float
        Accumulations per sample: a spike arrives at a synapse whose weight is not 0.
    effective_macs : float
        Multiply-accumulations per sample: the same where what arrives is no plain spike, but is multiplied with the
        weight (short-term plasticity).
    dense : float
        Operations per sample without any sparsity: every pair of neurons of a projection, in every step.
    operations_by_projection : dict
        Effective ones, of either kind.
    membrane_updates : float
        Changes of the membrane potential v from step to step, per sample, where all neurons count in the first step;
        nan where v of a population was not recorded in every step.
    neuron_updates : float
        Neurons times steps, per sample, inputs left out: what an engine computes that goes by the clock.
    additions, multiplications : float
        In these updates, per sample: arithmetic of the programs that engines run, comparisons among the additions,
        divisions and roots among the multiplications, functions written out.
    left_out : tuple of str
        What costs something and is not in these numbers.
    """

    samples: int
    steps: int
    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    activation_sparsity_by_population: Mapping[str, float]
    effective_acs: float
    effective_macs: float
    dense: float
    operations_by_projection: Mapping[str, float]
    membrane_updates: float
    neuron_updates: float
    additions: float
    multiplications: float
    left_out: tuple[str, ...] = ()

    def energy(self, technology: str = "45nm float32") -> Estimate:
        """Return an estimate of energy per sample: counts times what an operation costs, nothing measured.

        Parameters
        ----------
        technology : str
            A name in ``TECHNOLOGIES``, which also tells the source of each figure.
        """
        if not isinstance(technology, str):
            raise ParameterError(f"technology is one of {', '.join(TECHNOLOGIES)}; got {technology!r}", caller())
        if technology not in TECHNOLOGIES:
            raise UnknownNameError(f"no technology '{technology}'{suggest(technology, TECHNOLOGIES)}", caller())
        t = TECHNOLOGIES[technology]
        synapses = self.effective_acs * t.accumulate + self.effective_macs * t.multiply_accumulate
        arithmetic = self.additions * t.addition + self.multiplications * t.multiplication
        return Estimate(synapses, arithmetic + self.neuron_updates * t.update, t.source)

    def __str__(self) -> str:
        rows = [
            ("footprint", f"{self.footprint:,} B"),
            ("connection sparsity", f"{self.connection_sparsity:.4f}"),
            ("activation sparsity", f"{self.activation_sparsity:.4f}"),
            *((f"  {name}", f"{v:.4f}") for name, v in self.activation_sparsity_by_population.items()),
            ("effective ACs", f"{self.effective_acs:,.1f}"),
            ("effective MACs", f"{self.effective_macs:,.1f}"),
            ("dense", f"{self.dense:,.0f}"),
            (
                "membrane updates",
                "v not recorded" if np.isnan(self.membrane_updates) else f"{self.membrane_updates:,.1f}",
            ),
            ("neuron updates", f"{self.neuron_updates:,.1f}"),
            ("  additions", f"{self.additions:,.1f}"),
            ("  multiplications", f"{self.multiplications:,.1f}"),
        ]
        for name in TECHNOLOGIES:
            e = self.energy(name)
            rows.append((f"estimate, {name}", f"{e.synapses * 1e9:,.4g} + {e.updates * 1e9:,.4g} nJ"))
        head = f"per sample, of {self.samples:,} in {self.steps:,} steps (estimates: synapses + updates of neurons)"
        body = [f"{name:<26}{value:>24}" for name, value in rows]
        return "\n".join([head, *body, *(f"not counted: {what}" for what in self.left_out)])


def cost(network: Any, result: Any, samples: int = 1, *, inputs: Any = None) -> Cost:
    """Count what a run of a network took, by NeuroBench's definitions.

    Parameters
    ----------
    network : Network
        What was run.
    result : RunResult
        With the spikes of every population that has connections or can spike.
    samples : int
        How many were shown in the run.
    inputs : list of str, optional
        Populations that stand for the input: their activations and updates are not the network's. By default the
        sources of given spikes.

    Raises
    ------
    ParameterError
        If the result is not one of this network, or spikes of some neurons were not recorded.
    """
    where = caller()
    if not all(hasattr(network, name) for name in ("populations", "projections", "seed")):
        raise ParameterError(f"network is the Network that was run, got {network!r}", where)
    if not all(hasattr(result, name) for name in ("provenance", "populations", "spikes")):
        raise ParameterError(f"result is what net.run(...) returned, got {result!r}", where)
    if inputs is not None and (isinstance(inputs, str) or not isinstance(inputs, Iterable)):
        raise ParameterError(f"inputs are a list of names of populations, got {inputs!r}", where)
    if not isinstance(samples, (int, np.integer)) or isinstance(samples, bool) or samples < 1:
        raise ParameterError(f"samples is a whole number from 1 on, got {samples!r}", where)
    compiled = importlib.import_module("neurosim.compile")  # analysis does not depend on what makes graphs
    graph = compiled.compile_network(network, precision=result.provenance.precision)
    sizes = {pop.name: pop.size for pop in graph.populations}
    if dict(result.populations) != sizes or result.provenance.dt != graph.dt:
        raise ParameterError(f"the result is not one of the network '{network.name}': populations or dt differ", where)
    given = [pop.name for pop in graph.populations if pop.schedules] if inputs is None else list(inputs)
    unknown = next((name for name in given if name not in sizes), None)
    if unknown is not None:
        raise UnknownNameError(f"inputs: no population '{unknown}'{suggest(unknown, sizes)}", where)
    steps, n = _steps(result), int(samples)
    counts = {pop.name: _counts(result, pop.name, where) for pop in graph.populations if _spikes(network, pop)}
    tables = {node.name: _table(graph, node) for node in graph.projections}
    found = {node.name: _arrived(result, node, tables[node.name], where) / n for node in graph.projections}
    pairs = {node.name: sum(s.size for s in node.pre) * sum(s.size for s in node.post) for node in graph.projections}
    kept = sum(
        _joined(t, node.plasticity is not None) for t, node in zip(tables.values(), graph.projections, strict=True)
    )
    multiplied = {node.name for node in graph.projections if node.release is not None}
    own = [name for name in counts if name not in given]
    updated = [(pop, _arithmetic(pop.program)) for pop in graph.populations if pop.name not in given]
    places = sum(sizes[name] * steps for name in own)
    return Cost(
        samples=n,
        steps=steps,
        footprint=_footprint(graph, tables, 4 if graph.precision == "single" else 8),
        connection_sparsity=1 - kept / sum(pairs.values()) if pairs else 0.0,
        activation_sparsity=1 - sum(counts[name] for name in own) / places if places else 0.0,
        activation_sparsity_by_population={
            name: 1 - count / (sizes[name] * steps) if steps else 0.0 for name, count in counts.items()
        },
        effective_acs=float(sum(v for name, v in found.items() if name not in multiplied)),
        effective_macs=float(sum(v for name, v in found.items() if name in multiplied)),
        dense=sum(pairs.values()) * steps / n,
        operations_by_projection=found,
        membrane_updates=_membrane_updates(graph, result, given, steps) / n,
        neuron_updates=sum(pop.size for pop, _ in updated) * steps / n,
        additions=sum(pop.size * a for pop, (a, _) in updated) * steps / n,
        multiplications=sum(pop.size * m for pop, (_, m) in updated) * steps / n,
        left_out=_left_out(graph),
    )


def _spikes(network: Any, pop: Any) -> bool:
    """Whether a population can spike."""
    return bool(pop.schedules) or network.populations[pop.name].cell.threshold is not None


def _steps(result: Any) -> int:
    return int(result.provenance.n_steps)


def _train(result: Any, name: str, where: str | None) -> Any:
    spikes = result.spikes[name]
    if spikes.recorded is not None and len(spikes.recorded) < spikes.size:
        raise ParameterError(
            f"spikes of {len(spikes.recorded)} of the {spikes.size} neurons of '{name}' were recorded; counting needs "
            f'all of them: net.record({name}, "spikes")',
            where,
        )
    return spikes


def _counts(result: Any, name: str, where: str | None) -> int:
    return len(_train(result, name, where))


def _table(graph: Any, node: Any) -> Any:
    return importlib.import_module("neurosim.ir.edges").edge_table(graph, node)


def _joined(table: Any, plastic: bool) -> int:
    """Return how many pairs of neurons a projection joins: by a weight that is not 0, or that may change."""
    some = slice(None) if plastic else table.weight != 0
    pairs = table.pre[some].astype(np.uint64) << np.uint64(32) | table.post[some]
    return len(np.unique(pairs))


def _arrived(result: Any, node: Any, table: Any, where: str | None) -> int:
    """Return how often a spike arrived at a synapse within the run."""
    counted = np.ones(len(table), bool) if node.plasticity is not None else table.weight != 0
    pre, delay = table.pre[counted], table.delay[counted]
    total, first = 0, 0
    for segment in node.pre:
        spikes = _train(result, segment.population, where)
        members = np.arange(segment.size) if segment.ids is None else segment.ids
        here = (pre >= first) & (pre < first + segment.size)
        last = spikes.start_step + spikes.n_steps - 1
        for d in np.unique(delay[here]):
            synapses = np.bincount(pre[here & (delay == d)] - first, minlength=segment.size)
            fired = np.bincount(spikes.ids[spikes.steps + d <= last], minlength=spikes.size)
            total += int(synapses @ fired[members])
        first += segment.size
    return total


def _footprint(graph: Any, tables: Mapping[str, Any], width: int) -> int:
    values = sum(len(t) for t in tables.values())
    for pop in graph.populations:
        values += sum(np.size(v) for v in pop.params.values()) + pop.size * len(pop.states)
        values += sum(np.size(t.values) for t in pop.tables.values())
    return int(values * width)


def _membrane_updates(graph: Any, result: Any, inputs: list[str], steps: int) -> float:
    total = 0
    for pop in graph.populations:
        if pop.name in inputs or "v" not in [state.name for state in pop.states]:
            continue
        trace = dict(result.state.get(pop.name, {})).get("v")
        if trace is None or trace.values.shape != (steps, pop.size):
            return np.nan
        total += pop.size * min(steps, 1) + int(np.count_nonzero(np.diff(trace.values, axis=0)))
    return float(total)


def _arithmetic(program: Any) -> tuple[int, int]:
    """Return how many additions and multiplications a program has."""
    functions = importlib.import_module("neurosim.ir.functions").FUNCTIONS
    a = m = 0
    for instruction in program.instrs:
        if instruction.op in functions:
            more = _arithmetic(functions[instruction.op].body)
            a, m = a + more[0], m + more[1]
        a += instruction.op in _ADDITIONS
        m += instruction.op in _MULTIPLICATIONS
    return a, m


def _left_out(graph: Any) -> tuple[str, ...]:
    out = [
        f"arrivals of the Poisson drive '{name}' of '{pop.name}'" for pop in graph.populations for name in pop.poisson
    ]
    out += [f"learning in '{node.name}'" for node in graph.projections if node.plasticity is not None]
    out += [f"the coupling without spikes '{link.name}'" for link in graph.links]
    return tuple(out)

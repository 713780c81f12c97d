"""What is put into NEST and read out of it: generators whose content is set stretch by stretch, and recorders.

Time in NEST runs ``lead`` steps ahead of ours: its first steps set the network up, so that whatever arrives in our step
0 can be on its way. A spike that a generator has at time s (in steps) arrives over a connection of delay d in step
s + d - 1, counted from 0; the current that it has from time a on acts from step a + d on.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np

from neurosim.backends.nest_backend.cells import Source
from neurosim.backends.nest_backend.kernel import Clock
from neurosim.backends.nest_backend.signals import Counts, Signals, scheduled
from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.graph import Graph, PopulationNode

Array = np.ndarray


class Generator(Protocol):
    """Something whose content for NEST's steps from ``now`` to ``until`` has to be set before they are simulated."""

    def fill(self, now: int, until: int) -> None:
        """Set the content."""
        ...


class Timing:
    """Our step 0 in NEST's steps, and the delay of what devices send."""

    def __init__(self, clock: Clock, delay: int) -> None:
        self.clock, self.delay = clock, delay
        self.lead = delay + 2


def by_neuron(neurons: Array, size: int) -> list[slice]:
    """Return where each neuron's stretch of a sorted array lies."""
    ends = np.searchsorted(neurons, np.arange(size + 1))
    return [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]


class SourceTrains:
    """A population of spike generators: a list of times, or a condition on random numbers.

    ``early`` is how many steps before their time the spikes leave: on their way to a neuron that repeats them.
    """

    def __init__(
        self, nodes: Any, graph: Graph, pop: PopulationNode, source: Source, timing: Timing, early: int = 0
    ) -> None:
        self.nodes, self.pop, self.source, self.timing = nodes, pop, source, timing
        self.shift = timing.lead - early
        self.signals = None if source.condition is None else Signals(graph, pop, {"condition": source.condition})
        self.found: list[tuple[Array, Array]] = []

    def fill(self, now: int, until: int) -> None:
        """Set the spikes; those of our step n leave at n + 1."""
        first, stop = max(0, now - self.shift), max(0, until - self.shift)
        if self.source.schedule is not None:
            steps, neurons = scheduled(self.source.schedule, first, stop)
        else:
            assert self.signals is not None
            parts = []
            for at, values in self.signals.values(first, stop):
                hit = np.broadcast_to(values["condition"], (len(at), self.pop.size))
                row, who = np.nonzero(hit)
                parts.append((at[row], who))
            empty = (np.zeros(0, np.int64),) * 2
            steps, neurons = (np.concatenate(x) for x in zip(*parts, strict=True)) if parts else empty
        self.found.append((steps, neurons))
        order = np.lexsort((steps, neurons))
        times = self.timing.clock.ms(steps[order] + self.shift + 1)
        self.nodes.set([{"spike_times": times[s]} for s in by_neuron(neurons[order], self.pop.size)])

    def spikes(self, before: int) -> tuple[Array, Array]:
        """Hand over the spikes of steps before the given one."""
        steps, neurons = (np.concatenate(x) for x in zip((np.zeros(0, np.int64),) * 2, *self.found, strict=True))
        due = steps < before
        self.found = [(steps[~due], neurons[~due])]
        return steps[due], neurons[due]


class DriveTrains:
    """The Poisson counts of one drive, one spike generator per neuron, with multiplicities."""

    def __init__(self, nodes: Any, counts: Counts, timing: Timing) -> None:
        self.nodes, self.counts, self.timing = nodes, counts, timing

    def fill(self, now: int, until: int) -> None:
        """Set the counts; those of our step k leave so that they arrive in it."""
        shift = self.timing.lead - self.timing.delay + 1
        steps, neurons, counts = self.counts.events(max(0, now - shift + 1), max(0, until - shift + 1))
        times = self.timing.clock.ms(steps + shift)
        self.nodes.set([
            {"spike_times": times[s], "spike_multiplicities": counts[s]}
            for s in by_neuron(neurons, self.counts.pop.size)
        ])  # fmt: skip


class Currents:
    """All currents of one population that vary in time: one generator, or one per neuron, for each term."""

    def __init__(self, signals: Signals, terms: list[tuple[tuple[str, ...], Any, Any]], timing: Timing) -> None:
        self.signals, self.terms, self.timing = signals, terms, timing
        self.kept: dict[str, deque[tuple[int, Array]]] = {v: deque() for v in signals.updates}

    def fill(self, now: int, until: int) -> None:
        """Set the amplitudes: from time a on a generator's current acts from step a + delay on."""
        shift = self.timing.lead - self.timing.delay
        first, stop = max(0, now + 1 - shift), max(0, until + 1 - shift)
        rows: list[list[Array]] = [[] for _ in self.terms]
        for steps, values in self.signals.values(first, stop):
            for row, (names, _, _) in zip(rows, self.terms, strict=True):
                product = np.ones((1, 1))
                for name in names:
                    product = product * values[name]
                row.append(np.broadcast_to(product, (len(steps), product.shape[1])))
            for var, kept in self.kept.items():
                kept.append((int(steps[0]), values[var][0]))
        if stop <= first:
            return
        times = self.timing.clock.ms(np.arange(first, stop) + shift)
        for row, (_, nodes, coefficient) in zip(rows, self.terms, strict=True):
            table = np.concatenate(row)
            table = np.broadcast_to(table, (len(times), len(nodes))) * coefficient
            settings = []
            for column in table.T:
                at = np.flatnonzero(np.concatenate(([True], np.diff(column) != 0)))
                settings.append({"amplitude_times": times[at], "amplitude_values": column[at]})
            nodes.set(settings)


def varies(e: Expr, pop: PopulationNode, inputs: tuple[str, ...]) -> bool:
    """Tell whether an input differs between neurons."""
    assert pop.model is not None
    for x in ex.walk(e):
        if x.op in ("uniform", "normal"):
            return True
        if x.op in ("name", "next"):
            table = pop.tables.get(x.attr)
            if x.attr in inputs or x.attr == "index" or np.ndim(pop.model.params.get(x.attr, 0.0)):
                return True
            if table is not None and table.values.ndim == 2:
                return True
    return False


class Samples:
    """A multimeter: times in NEST's steps and values, one row per time."""

    def __init__(self, nest: Any, nodes: Any, names: list[str], timing: Timing, every: int = 1) -> None:
        ms = timing.clock.ms
        self.names, self.meter = names, nest.Create("multimeter", params={
            "record_from": names, "interval": ms(every), "offset": ms(timing.lead), "time_in_steps": True,
        })  # fmt: skip
        nest.Connect(self.meter, nodes, syn_spec={"delay": ms(timing.delay)})

    def take(self, gather: Any) -> tuple[Array, dict[str, Array]]:
        """Hand over what was sampled: times [T] and values [T, m] in the order of the nodes."""
        events = self.meter.events
        parts = gather({k: np.asarray(events[k]) for k in ("times", "senders", *self.names)})
        self.meter.n_events = 0
        joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        times = joined["times"].astype(np.int64)
        order = np.lexsort((joined["senders"], times))
        rows = np.unique(times)
        width = len(times) // max(1, len(rows))
        return rows, {k: joined[k][order].reshape(len(rows), width) for k in self.names}


def connected(nest: Any, generators: Any, nodes: Any, weight: Any, port: int, delay_ms: float) -> None:
    """Connect one generator to all neurons, or each to its own."""
    n = len(nodes)
    ids = np.asarray(generators.global_id).reshape(-1)
    spec: dict[str, Any] = {
        "weight": np.array(np.broadcast_to(np.asarray(weight, dtype=np.float64), (n,))),
        "delay": np.full(n, delay_ms),
    }
    if port > 0:
        spec["receptor_type"] = np.full(n, port)
    nest.Connect(np.array(np.broadcast_to(ids, (n,))), np.asarray(nodes.global_id).reshape(-1), "one_to_one", spec)


def per_node(params: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Return one dictionary of parameters per neuron."""
    whole = {k: v for k, v in params.items() if k != "tau_syn"}
    columns = {k: np.broadcast_to(np.asarray(v), (size,)).tolist() for k, v in whole.items()}
    taus = [np.broadcast_to(np.asarray(t, dtype=np.float64), (size,)) for t in params.get("tau_syn", ())]
    table = np.stack(taus, axis=1) if taus else None
    return [
        {**{k: c[i] for k, c in columns.items()}, **({} if table is None else {"tau_syn": table[i]})}
        for i in range(size)
    ]

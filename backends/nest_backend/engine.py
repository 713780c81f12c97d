"""The engine: a network in NEST, stepped in stretches, with our stamps and labels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from neurosim.backends.base import Drained, Engine, Options, diverged, recorded
from neurosim.backends.nest_backend import kernel
from neurosim.backends.nest_backend.cells import Cell, Source
from neurosim.backends.nest_backend.delivery import FIRST, Ranks, connect, learned
from neurosim.backends.nest_backend.devices import (
    Currents,
    DriveTrains,
    Generator,
    Samples,
    SourceTrains,
    Timing,
    connected,
    per_node,
    varies,
)
from neurosim.backends.nest_backend.learning import Learner, recognise_learners
from neurosim.backends.nest_backend.normal import input_variables
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.backends.nest_backend.signals import Counts, Signals
from neurosim.errors import DivergedError
from neurosim.ir.graph import Graph, PopulationNode

COUNTDOWN = "_refractory"
"""The state variable of the refractory period: NEST does not show its own, so it is reckoned from the spikes."""

SLICE = 10
"""Longest stretch, in steps, that NEST simulates between two exchanges: recorders lag behind by so much."""


_BLOCK = (200, 2000)
"""Fewest and most steps for which generators are filled at a time: setting thousands of them costs a tenth of a second
however little is set."""


class NestEngine(Engine):
    """A network in NEST's kernel.

    NEST is kept ``slice`` steps ahead of ours: a multimeter gives the values of a stretch only in the next one. What
    has been found beyond our step is held back.
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        begin = time.perf_counter()
        self.graph, self.n = graph, 0
        self.nest = kernel.load()
        self.clock = kernel.Clock(graph.dt)
        found = {p.name: recognise(graph, p).what for p in graph.populations}
        self.sources = {k: v for k, v in found.items() if isinstance(v, Source)}
        self.cells = {k: v for k, v in found.items() if isinstance(v, Cell)}
        self.threads = options.threads or 1  # NEST's threads spin where they wait: on a busy machine that costs tenfold
        # NEST's generators drive no synapses that keep something: a neuron in between repeats their spikes
        keeping = [p for p in graph.projections if p.release or p.plasticity]
        self.repeated = {s.population for p in keeping for s in p.pre} & set(self.sources)
        self.learners = {k: v for k, v in recognise_learners(graph).items() if isinstance(v, Learner)}
        with kernel.translated("build the network"):
            self.number = kernel.reset(self.nest, graph.dt, self.threads)
            self.ranks = Ranks(*kernel.ranks(self.nest))
            self.at_once = self.ranks.ranks > 1  # every rank has to ask for the same stretches
            self.gather = kernel.gather(self.nest)
            self._populations()
            made, shortest = connect(self.nest, graph, self.cells, self.clock, self.ranks)
            self._edges = sum(self.gather(made))
            self._devices(shortest)
            self._set_up()
        self.timings = {"build": time.perf_counter() - begin, "compile": 0.0, "simulate": 0.0}

    # -- building --------------------------------------------------------------------------------------------------

    def _populations(self) -> None:
        """Create the nodes, in the order of the global ids."""
        self.nodes: dict[str, Any] = {}
        for pop in self.graph.populations:
            cell = self.cells.get(pop.name)
            source = "parrot_neuron" if pop.name in self.repeated else "spike_generator"
            nodes = self.nest.Create(source if cell is None else cell.model, pop.size)
            if cell is not None:
                nodes.set(per_node({**cell.params, **cell.quiet, **self._traces(pop.name)}, pop.size))
            self.nodes[pop.name] = nodes
        for pop in self.graph.populations:
            first = int(np.ravel(self.nodes[pop.name].global_id)[0])
            assert first == self.graph.offsets()[pop.name] + FIRST, "NEST numbers nodes from 1 in order of creation"

    def _traces(self, population: str) -> dict[str, float]:
        """Return the parameter of the trace that NEST keeps at a target of synapses that learn."""
        for p in self.graph.projections:
            if p.name in self.learners and any(s.population == population for s in p.post):
                return {"tau_minus": self.learners[p.name].tau_minus}
        return {}

    def _devices(self, shortest: int) -> None:
        """Create generators and recorders, with a delay that keeps NEST's stretches at :data:`SLICE` steps or less.

        ``shortest`` is the shortest delay of this rank's connections. NEST has it too, of all ranks, but deadlocks
        where it is asked for it and some rank has no connection.
        """
        nest = self.nest
        self.timing = Timing(self.clock, min(SLICE, *self.gather(shortest)))  # the same on every rank
        delay = self.clock.ms(self.timing.delay)
        self.generators: list[Generator] = []
        self.trains: dict[str, SourceTrains] = {}
        self.currents: dict[str, Currents] = {}
        self.tails: dict[str, Samples] = {}
        for pop in self.graph.populations:
            nodes = self.nodes[pop.name]
            if pop.name in self.sources:
                early = 0
                if pop.name in self.repeated:
                    repeated, nodes, early = nodes, nest.Create("spike_generator", pop.size), self.timing.delay
                    connected(nest, nodes, repeated, 1.0, 0, delay)
                source = self.sources[pop.name]
                self.trains[pop.name] = SourceTrains(nodes, self.graph, pop, source, self.timing, early)
                continue
            self._inputs(pop, self.cells[pop.name], delay)
            names = sorted({r.recordable for r in self.cells[pop.name].readings.values()})
            if names:
                self.tails[pop.name] = Samples(nest, nodes, names, self.timing)
        self.generators += [*self.trains.values(), *self.currents.values()]
        self.recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
        for name in self.cells:
            nest.Connect(self.nodes[name], self.recorder, syn_spec={"delay": delay})
        self.probes: list[Samples | None] = []
        for probe in self.graph.probes:
            reading = self.cells[probe.target].readings.get(probe.variable) if probe.target in self.cells else None
            sampled = None
            if reading is not None:
                nodes = self.nodes[probe.target]
                if probe.ids is not None:
                    nodes = nodes[np.unique(probe.ids).tolist()]
                sampled = Samples(nest, nodes, [reading.recordable], self.timing, probe.every)
            self.probes.append(sampled)

    def _inputs(self, pop: PopulationNode, cell: Cell, delay: float) -> None:
        """Create what drives one population: Poisson counts, currents, and what sets up synaptic variables."""
        nest, nodes = self.nest, self.nodes[pop.name]
        assert pop.model is not None
        own = input_variables(pop.model.system)
        for drive in pop.model.system.drives:
            receptor, weight = pop.drive_weights[drive.name]
            port = cell.ports[receptor]
            each = nest.Create("spike_generator", pop.size)
            connected(nest, each, nodes, weight * port.factor, port.number, delay)
            self.generators.append(DriveTrains(each, Counts(self.graph, pop, drive), self.timing))
        terms = []
        for names, coefficient in cell.inputs:
            apart = any(varies(cell.symbols[s].expr, pop, own) for s in names)
            generators = nest.Create("step_current_generator", pop.size if apart else 1)
            connected(nest, generators, nodes, coefficient * cell.current, 0, delay)
            terms.append((names, generators, 1.0))
        if terms or own:
            exprs = {s: cell.symbols[s].expr for names, _ in cell.inputs for s in names}
            signals = Signals(self.graph, pop, exprs, own)
            self.currents[pop.name] = Currents(signals, terms, self.timing)
        for number, values in cell.kicks.items():
            if np.any(values):
                when = self.clock.ms(self.timing.lead - self.timing.delay)
                once = nest.Create("spike_generator", params={"spike_times": [when]})
                connected(nest, once, nodes, values, number, delay)

    def _set_up(self) -> None:
        """Run the steps before our step 0, then give the cells their state and threshold."""
        self.held: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        self.ready: list[np.ndarray] = []
        self.rows: dict[str, dict[int, dict[str, np.ndarray]]] = {name: {} for name in self.tails}
        self.sampled: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in self.probes]
        self.last_spike = np.full(self.graph.size, -(2**40), dtype=np.int64)
        self.told: dict[tuple[str, str, int], int] = {}
        self.at = self.filled = 0
        lead = self.timing.lead
        self._window(lead - 1)
        self._run_to(lead)
        for name, cell in self.cells.items():
            self.nodes[name].set(per_node(cell.start, self.graph.population(name).size))
        self._run_to(lead + self.timing.delay)
        self._collect()

    # -- running ---------------------------------------------------------------------------------------------------

    def _window(self, start: int) -> None:
        """Let the recorders of the state listen from a step of NEST's on."""
        for tail in self.tails.values():
            tail.meter.set([{"start": self.clock.ms(max(0, start))}])

    def _run_to(self, until: int) -> None:
        """Simulate up to a step of NEST's; generators are filled ahead, in blocks of their own."""
        while self.at < until:
            if self.at == self.filled:
                self.filled += min(max(_BLOCK[0], self.filled), _BLOCK[1])
                for generator in self.generators:
                    generator.fill(self.at, self.filled)
            stop = min(until, self.filled)
            self.nest.Simulate(self.clock.ms(stop - self.at))
            self.at = stop

    def advance(self, steps: int) -> None:
        """Simulate that many steps."""
        begin = time.perf_counter()
        kernel.check(self.number)
        with kernel.translated("simulate", self._diverged):
            end = self.timing.lead + self.n + steps
            self._window(end - 1)
            self._run_to(end + self.timing.delay)
            self.n += steps
            self._collect()
        self.timings["simulate"] += time.perf_counter() - begin
        self._finite()

    def _diverged(self) -> DivergedError:
        self.gather = lambda mine: [mine]  # other ranks are still waiting for our spikes
        return DivergedError(
            f"a cell's state is no finite number any more after t = {self.n * self.graph.dt * 1e3:.6g} ms, says NEST: "
            "use smaller weights or currents"
        )

    def _collect(self) -> None:
        """Take what the recorders hold; what lies beyond our step waits."""
        lead = self.timing.lead
        events = self.recorder.events
        parts = self.gather((np.asarray(events["times"], np.int64), np.asarray(events["senders"], np.int64)))
        self.recorder.n_events = 0
        self.held += [np.stack([t - 1 - lead, s - FIRST], axis=1) for t, s in parts]
        offsets = self.graph.offsets()
        for name, train in self.trains.items():
            steps, neurons = train.spikes(self.n)
            self.held.append(np.stack([steps, neurons + offsets[name]], axis=1))
        found = np.concatenate(self.held)
        assert np.all(found[:, 0] >= 0), "nothing spikes while the network is being set up"
        due = found[:, 0] < self.n
        self.held = [found[~due]]
        now = found[due]
        self.ready.append(now[np.lexsort((now[:, 1], now[:, 0]))])
        np.maximum.at(self.last_spike, now[:, 1], now[:, 0])
        for name, tail in self.tails.items():
            times, values = tail.take(self.gather)
            rows = self.rows[name]
            rows.update({int(t): {k: v[i] for k, v in values.items()} for i, t in enumerate(times)})
            self.rows[name] = {t: row for t, row in rows.items() if t >= lead + self.n}
        for k, sampler in enumerate(self.probes):
            if sampler is not None:
                times, values = sampler.take(self.gather)
                if len(times):
                    self.sampled[k].append((times - 1 - lead, values[sampler.names[0]]))

    def _finite(self) -> None:
        """End the run where a variable left the finite numbers."""
        for name, rows in self.rows.items():
            row = rows.get(self.timing.lead + self.n, {})
            for variable, reading in self.cells[name].readings.items():
                bad = np.flatnonzero(~np.isfinite(row.get(reading.recordable, 0.0)))
                if len(bad):
                    raise diverged(self.graph, name, variable, int(bad[0]), self.n)

    # -- results ---------------------------------------------------------------------------------------------------

    def drain(self) -> Drained:
        """Hand over spikes and samples of the steps done, and forget them."""
        found = np.concatenate([np.zeros((0, 2), np.int64), *self.ready])
        self.ready = []
        spikes, counts = {}, {}
        for name, first in self.graph.offsets().items():
            size = self.graph.population(name).size
            mine = found[(found[:, 1] >= first) & (found[:, 1] < first + size)]
            counts[name] = len(mine)
            if recorded(self.graph, name):
                spikes[name] = np.ascontiguousarray(mine[:, 0]), mine[:, 1] - first
        return Drained(spikes, [self._sample(k) for k in range(len(self.probes))], counts)

    def _sample(self, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        probe = self.graph.probes[k]
        if not probe.sampled:
            return None
        pop = self.graph.population(probe.target)
        ids = np.arange(pop.size) if probe.ids is None else np.asarray(probe.ids)
        if self.probes[k] is None:
            return self._own_samples(pop, probe.variable, ids, probe.every)
        reading = self.cells[pop.name].readings[probe.variable]
        columns = np.unique(ids)
        steps = np.concatenate([np.zeros(0, np.int64), *[s for s, _ in self.sampled[k]]])
        values = np.concatenate([np.zeros((0, len(columns))), *[v for _, v in self.sampled[k]]])
        due = steps < self.n
        self.sampled[k] = [(steps[~due], values[~due])] if np.any(~due) else []
        keep = due & (steps >= 0)
        scale, shift = (np.broadcast_to(x, (pop.size,))[columns] for x in (reading.scale, reading.shift))
        found = values[keep] / scale + shift
        return steps[keep], found[:, np.searchsorted(columns, ids)]

    def _own_samples(
        self, pop: PopulationNode, variable: str, ids: np.ndarray, every: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return samples of an input's own variable, which was computed here."""
        kept = self.currents[pop.name].kept[variable]
        rows = [(n, v[ids]) for n, v in kept if n < self.n and (n + 1) % every == 0]
        while kept and kept[0][0] < self.n - 1:
            kept.popleft()
        first = self.told.get((pop.name, variable, every), 0)
        rows = [(n, v) for n, v in rows if n >= first]
        self.told[pop.name, variable, every] = self.n
        values = np.array([v for _, v in rows]) if rows else np.zeros((0, len(ids)))
        return np.array([n for n, _ in rows], dtype=np.int64), values

    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return the state variables after the last step; those that NEST does not show are left out."""
        kernel.check(self.number)
        pop = self.graph.population(population)
        out: dict[str, np.ndarray] = {}
        cell = self.cells.get(population)
        row = self.rows.get(population, {}).get(self.timing.lead + self.n, {})
        for var in pop.states:
            initial = np.array(np.broadcast_to(np.asarray(var.init, dtype=float), (pop.size,)))
            if self.n == 0:
                out[var.name] = initial
            elif var.name == COUNTDOWN:
                first = self.graph.offsets()[population]
                since = self.n - 1 - self.last_spike[first : first + pop.size]
                out[var.name] = np.maximum(np.asarray(pop.params["_refractory_steps"]) - since, 0.0)
            elif cell is not None and var.name in cell.readings:
                r = cell.readings[var.name]
                out[var.name] = row[r.recordable] / r.scale + r.shift
            elif population in self.currents and var.name in self.currents[population].kept:
                out[var.name] = next(v for n, v in self.currents[population].kept[var.name] if n == self.n - 1).copy()
        return out

    def edges(self) -> int:
        """Return the number of edges that the projections made, on all ranks."""
        return self._edges

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a projection that learns, as of the last arrival at each synapse."""
        if projection not in self.learners:
            return None
        kernel.check(self.number)
        return learned(self.nest, self.graph, self.graph.projection(projection), self.cells, self.gather)

    def close(self) -> None:
        """Empty the kernel."""
        kernel.forget(self.number)

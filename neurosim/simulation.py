"""A run that the caller holds in hand: some steps, a look, a change, some more; closed loops with an environment."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from neurosim import memory
from neurosim import run as runner
from neurosim.compile import compile_network
from neurosim.errors import (
    DivergedError,
    NeurosimError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    caller,
    suggest,
)
from neurosim.ir.distributions import Shared
from neurosim.ir.edges import edge_table
from neurosim.ir.graph import Graph, PopulationNode, ProbeNode, digest
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.components import check_value
from neurosim.lang.links import weight_dimension
from neurosim.lang.network import Network
from neurosim.params import Param
from neurosim.units import DIMENSIONLESS, TIME, Quantity, parse_quantity, quantity, scalar

_SET = "set while it ran"


class Step:
    """What a stretch of a simulation did; handed out by :meth:`Simulation.stream`.

    Attributes
    ----------
    simulation : Simulation
        To change what follows.
    n : int
        Steps done.
    """

    __slots__ = ("_first", "_found", "n", "simulation")

    def __init__(self, simulation: Simulation, first: int, n: int, found: Any) -> None:
        self.simulation, self.n, self._first, self._found = simulation, n, first, found

    @property
    def t(self) -> float:
        """Time at the end of the stretch, in seconds."""
        return self.n * self.simulation.network.dt

    def spikes(self, population: str) -> np.ndarray:
        """Return who spiked in the stretch, in the order of time: int64 [spikes]."""
        return self._of(population)[1]

    def spike_steps(self, population: str) -> np.ndarray:
        """Return in which steps these spikes were: int64 [spikes]."""
        return self._of(population)[0]

    def counts(self, population: str) -> np.ndarray:
        """Return how often every neuron spiked in the stretch: int64 [neurons]."""
        who = self._of(population)[1]
        return np.bincount(who, minlength=self.simulation.graph.population(population).size)

    def state(self, population: str, variable: str) -> np.ndarray:
        """Return a state variable of every neuron as it is now, in SI."""
        return self.simulation.state(population, variable)

    def _of(self, population: str) -> tuple[np.ndarray, np.ndarray]:
        self.simulation.named(population)
        parts = [spikes[population] for spikes in self._found]
        if len(parts) == 1:
            return parts[0]
        nothing = np.zeros(0, np.int64)
        return np.concatenate([nothing, *(p[0] for p in parts)]), np.concatenate([nothing, *(p[1] for p in parts)])

    def __repr__(self) -> str:
        return f"<steps {self._first} to {self.n - 1} of '{self.simulation.network.name}'>"


class Simulation:
    """A network that runs as far as it is told, and can be changed in between; made by ``net.start()``.

    Parameters
    ----------
    network : Network
        What to run. It stays as it is: the simulation has a copy of its own, which its changes change.
    backend : str
        ``native`` or ``reference``, or another whose engines can be changed.
    threads, precision, weight_bits, output, **extra
        As :meth:`~neurosim.lang.network.Network.run` takes them.

    Attributes
    ----------
    network : Network
        The copy.
    n : int
        Steps done.
    """

    def __init__(
        self,
        network: Network,
        *,
        backend: str = "native",
        threads: int | None = None,
        precision: str = "double",
        weight_bits: int | None = None,
        output: Any = None,
        **extra: Any,
    ) -> None:
        where = caller()
        if runner.intercept is not None:
            raise ParameterError(
                "a script that takes a network step by step is run by python, not by 'neurosim run'", where
            )
        self._how: dict[str, Any] = {"precision": precision, "weight_bits": weight_bits}
        self.backend, self._extra = runner.chosen(backend, threads, extra, where), extra
        for key in extra:
            if key not in self.backend.options:
                own = ("backend", "threads", "precision", "weight_bits", "output", *self.backend.options)
                raise ParameterError(f"net.start() has no option '{key}'{suggest(key, own)}", where)
        if not self.backend.live:
            raise UnsupportedError(
                f"backend '{backend}' cannot be changed while it runs: use 'native' or 'reference', or net.run()", where
            )
        started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
        self.network = network = network.copy()
        self.graph = compile_network(network, **self._how)
        self.engine = self._engine(self.graph, threads)
        self._recent: deque[tuple[int, Any]] = deque()  # spikes that may not have arrived everywhere
        built = time.perf_counter() - begin
        self._provenance = runner.provenance_of(self.graph, self.engine, self.backend, 0, started, built)
        self._sink = runner.Sink(self.graph, self._provenance, output)
        self._stretch = 20  # steps that the engine takes at a time: it is asked again in a tenth of a second
        self.n, self._wall, self._closed, self._status, self._result = 0, 0.0, False, "finished", None
        self._changed: dict[str, str] = {}
        self._states = {(name, v.name): pop.scope.dimension(v.name) for name, pop in network.populations.items()
                        for v in self.graph.population(name).states if v.kind == "f"}  # fmt: skip
        self._direct: dict[str, tuple[str, str, Param, Any, tuple[int, ...]]] = {}
        self._pending: dict[str, np.ndarray] = {}  # who is to spike in the next step
        self._rows: set[tuple[str, str]] = set()  # parameters that have been given one value per neuron
        self._behind: dict[str, Any] = {}  # parameters that the engine has and the network has not yet

    def _engine(self, graph: Graph, threads: int | None) -> Any:
        self.backend.check(graph)
        memory.fits(self.backend, graph, threads)
        options = importlib.import_module("neurosim.backends.base").Options(threads=threads, extra=self._extra)
        # the spikes of all are needed where weights change, and handed to whoever asks
        all_spikes = tuple(ProbeNode(p.name, "spikes", None) for p in graph.populations)
        self._probed = dataclasses.replace(graph, probes=graph.probes + all_spikes)
        with runner.blamed(self.backend.name):
            return self.backend.build(self._probed, options)

    @property
    def t(self) -> Quantity:
        """Biological time that has passed."""
        return Quantity(self.n * self.network.dt, TIME)

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, duration: Quantity) -> Step:
        """Go on for a while; return what happened in it.

        Parameters
        ----------
        duration : Quantity
            A whole number of steps.
        """
        where = caller()
        seconds = scalar(duration, TIME, "the duration", where)
        steps = whole_steps(seconds, self.network.dt, "the duration", where)
        memory.holds(self.graph, steps, streamed=self._sink.writer is not None)
        return self._advance(steps)

    def stream(self, every: Quantity | None = None, duration: Quantity | None = None) -> Iterator[Step]:
        """Go on, and stop every so often: ``for step in simulation.stream(every=1 * ms)``.

        Parameters
        ----------
        every : Quantity, optional
            Time from one stop to the next, a whole number of steps; one step by default.
        duration : Quantity, optional
            When to end, counted from now; by default the loop is left with ``break``.
        """
        where, dt = caller(), self.network.dt
        stride = 1 if every is None else whole_steps(scalar(every, TIME, "every", where), dt, "every", where, least=1)
        left = None
        if duration is not None:
            left = whole_steps(scalar(duration, TIME, "the duration", where), dt, "the duration", where)
        return self._stops(stride, left)

    def _stops(self, stride: int, left: int | None) -> Iterator[Step]:
        while left is None or left > 0:
            now = stride if left is None else min(stride, left)
            yield self._advance(now)
            left = None if left is None else left - now

    def alone(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Hand on the steps of a simulation that nobody else holds; when they end, its file is finished."""
        try:
            yield from steps
        finally:
            if self._sink.writer is not None:
                self.close()

    def _advance(self, steps: int) -> Step:
        self._running()
        first, found = self.n, []
        with runner.interrupts() as stop:
            while self.n < first + steps and not stop.is_set():
                now, begin = min(self._stretch, first + steps - self.n), time.perf_counter()
                found.append(self._take(now))
                if now == self._stretch:
                    wall = time.perf_counter() - begin
                    self._stretch = int(np.clip(now * 0.1 / max(wall, 1e-6), max(1, now // 4), now * 4))
        if stop.is_set():
            self._status = "interrupted"
            raise KeyboardInterrupt
        self._status = "finished"
        return Step(self, first, self.n, found)

    def _take(self, steps: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Take some steps; return the spikes in them."""
        begin = time.perf_counter()
        try:
            with runner.blamed(self.backend.name):
                self.engine.advance(steps)
        except DivergedError:
            self._status = "diverged"
            raise
        finally:
            self.n = self.engine.n
            found = runner.drained(self.engine, self._probed, self.backend.name)
            self._sink.take(found, self.n)
            self._pending = {}
            self._recent.append((self.n, found.spikes))
            while self._recent and self._recent[0][0] <= self.n - self.engine.reach:
                self._recent.popleft()
            self._wall += time.perf_counter() - begin
        spikes: dict[str, tuple[np.ndarray, np.ndarray]] = found.spikes
        return spikes

    def _open(self) -> None:
        if self._closed:
            raise ParameterError("this simulation has been closed: start another one with net.start()", caller())

    def _running(self) -> None:
        self._open()
        if self._status == "diverged":
            raise ParameterError(
                "this run has diverged and cannot go on: result() has what was recorded until then", caller()
            )

    def named(self, population: str) -> None:
        """Complain about what is no population's name."""
        known = self.network.populations
        if not isinstance(population, str):
            raise ParameterError(f"a population is named here, as '{next(iter(known))}'; got {population!r}", caller())
        if population not in known:
            raise UnknownNameError(f"no population '{population}'{suggest(population, known)}", caller())

    # -- looking and changing -----------------------------------------------------------------------------------

    def state(self, population: str, variable: str) -> np.ndarray:
        """Return a state variable of every neuron as it is now, in SI: float64 [neurons]."""
        self._open()
        self._variable(population, variable)
        return np.asarray(self.engine.state(population)[variable], dtype=np.float64)

    def weights(self, projection: str) -> np.ndarray:
        """Return the weights of a projection as they are now, in SI, in the order of ``net.edges(projection)``."""
        self._open()
        projection = getattr(projection, "name", projection)
        nodes = {node.name: node for node in (*self.graph.projections, *(link.edges for link in self.graph.links))}
        if projection not in nodes:
            raise UnknownNameError(f"no projection '{projection}'{suggest(projection, nodes)}", caller())
        if nodes[projection].plasticity is None:
            return np.array(edge_table(self.graph, nodes[projection]).weight)
        return np.asarray(self.engine.weights(projection), dtype=np.float64)

    def _variable(self, population: str, variable: str) -> None:
        self.named(population)
        known = [v.name for v in self.graph.population(population).states]
        if variable not in known:
            raise UnknownNameError(
                f"population '{population}' has no state variable '{variable}'{suggest(variable, known)}", caller()
            )

    def _number(self, value: Any, n: int, path: str) -> Any:
        """Return a value as the engine takes it, if it is one that the engine can take."""
        array = np.asarray(value, dtype=np.float64)
        if array.shape not in ((), (n,)):
            raise ParameterError(f"{path} needs one value or {n}, got shape {list(array.shape)}", caller())
        if not np.isfinite(array).all():
            raise ParameterError(f"{path} must be finite", caller())
        if self.graph.precision == "single" and (np.abs(array) > np.finfo(np.float32).max).any():
            raise ParameterError(f"{path} must be finite in single precision, got {np.abs(array).max():g}", caller())
        return array if array.ndim else float(array)

    def set(self, path: str, value: Any) -> None:
        """Change a state variable or a parameter, of a population, a receptor or a stimulus, from the next step on.

        State variables cost microseconds: ``set("pop.v", -70*mV)``, or the value of a
        :func:`~neurosim.models.LiveCurrent`, ``set("pop.command.value", values)``. So do parameters that a step reads
        as they are, thresholds for one. Where something is computed from a parameter (a time constant), the network is
        compiled anew, which takes milliseconds; where the engine keeps tables of it (a Poisson rate), it is built anew
        and goes on from where it was. Connections stay as they were made.

        Parameters
        ----------
        path : str
            ``population.name``, or ``population.receptor.name``.
        value : Quantity
            One, or one for each neuron of the population.
        """
        self._running()
        if not isinstance(path, str):
            raise ParameterError(f"what is set is named, as 'pop.v'; got {path!r}", caller())
        pop, _, key = path.partition(".")
        if (pop, key) in self._states:
            self._pending.pop(pop, None)
            try:
                value = parse_quantity(value) if isinstance(value, str) else value
                si = quantity(value, self._states[pop, key], path)
            except NeurosimError as error:  # to ask beforehand where the user is takes longer than all else here
                raise type(error)(error.message, caller()) from None
            self.engine.write(pop, key, self._number(si, self.network.populations[pop].n, path))
            self._changed[path] = _SET
            return
        where = caller()
        value = parse_quantity(value) if isinstance(value, str) else value
        if path in self._direct:
            name, key, declared, dim, shape = self._direct[path]
            checked = check_value(value, declared, path, where)
            si = quantity(checked, dim, path, where)
            if np.shape(si) in ((), shape):
                self.engine.write(name, key, self._number(si, len(self.network[name]), path))
                self._behind[path], self._changed[path] = Quantity(si, dim) if dim != DIMENSIONLESS else si, _SET
                return
        self._catch_up()
        held = self.network[pop]
        parts, cell, stimuli, rows = dict(held.scope.parts), held.cell, held.stimuli, set(self._rows)
        if isinstance(value, (list, tuple)) and key in held.scope.solver.known:
            dim = held.scope.solver.known[key]
            si = quantity(value, dim, path, where)
            value = Quantity(si, dim) if dim != DIMENSIONLESS else si
        self.network.set_parameter(path, value)
        try:
            plain: Any = value.value if isinstance(value, Quantity) else value
            if np.ndim(plain) == 1:
                self._rows.add((pop, key))
            self._adopt(self._compiled(), path, where)
        except BaseException:
            held.scope.parts.update(parts)
            held.cell, held.stimuli, self._rows = cell, stimuli, rows
            raise
        self._changed[path] = _SET
        self._learn_whether_direct(path, pop, key)

    def _learn_whether_direct(self, path: str, pop: str, key: str) -> None:
        """Keep what the next change of a parameter needs, if a step reads it as it is and nothing is made of it."""
        prefix, _, last = key.rpartition(".")
        scope, node = self.network[pop].scope, self.graph.population(pop)
        if node.program is None or key not in node.program.uses("param"):
            return
        value = np.asarray(node.params[key], dtype=np.float64)
        dim, part = scope.solver.known[key], scope.parts[prefix]
        try:
            self.network.set_parameter(path, Quantity(value + 1e-3 * (np.abs(value).max() or 1e-3), dim))
            moved = self._compiled()
        except NeurosimError:  # another value is none that it may have
            return
        finally:
            self.network.set_parameter(path, Quantity(value, dim))
        if _changes(self.graph, moved) == [(pop, key)] and _rest(self.graph) == _rest(moved):
            self._direct[path] = pop, key, part.params[last], dim, np.shape(node.params[key])

    def _compiled(self) -> Graph:
        """Return the network's graph as it stands, with connections and layout as they are."""
        graph = compile_network(self.network, **self._how)
        nodes = []
        for old, new in zip(self.graph.populations, graph.populations, strict=True):
            rows = {key: np.broadcast_to(np.asarray(new.params[key], np.float64), (new.size,))
                    for name, key in self._rows if name == new.name and key in new.params}  # fmt: skip
            # connections may depend on parameters, and stay as they were made
            nodes.append(dataclasses.replace(new, attributes=old.attributes, params={**new.params, **rows}))
        return dataclasses.replace(graph, populations=tuple(nodes))

    def _catch_up(self) -> None:
        """Let the network and its graph know what was written into the engine."""
        if self._behind:
            for path, value in self._behind.items():
                self.network.set_parameter(path, value)
            self._behind, self.graph = {}, self._compiled()

    def set_weights(self, projection: str, weights: Any) -> None:
        """Give the edges of a projection other weights.

        Those of a projection that learns are written where they stand, which costs as much as the copy, and go on
        learning from there. For others, the engine is built anew, and goes on from where it was.

        Parameters
        ----------
        projection : str
            Its name. Weights that do not learn are not recorded.
        weights : Quantity
            One, or one for each edge, in the order of ``net.edges(projection)``; of a convolution the kernel. What is
            under way arrives with the new ones.
        """
        where = caller()
        self._running()
        projection = getattr(projection, "name", projection)
        held = self.network.links if projection in self.network.links else self.network.projections
        if projection not in held:
            known = [*self.network.projections, *self.network.links]
            raise UnknownNameError(f"no projection '{projection}'{suggest(projection, known)}", where)
        old = held[projection]
        if old.plasticity is None and any(p.edge and p.target == projection for p in self.graph.probes):
            raise UnsupportedError(
                f"the weights of '{projection}' are recorded as some that do not change: take that out, and keep what "
                "you set",
                where,
            )
        self._catch_up()
        nodes = (*self.graph.projections, *(link.edges for link in self.graph.links))
        learned = self.engine.weights(projection) if old.plasticity is not None else None
        if learned is not None:
            count, kernel = len(learned), None
        else:
            count = len(edge_table(self.graph, next(node for node in nodes if node.name == projection)))
            kernel = old.rule.kernel_shape
        if held is self.network.links:
            dim = weight_dimension(old.pre, old.post, old.receptor, where)
        else:
            dim = next(pop.scope.weight_dimension(old.receptor) for pop, _ in old.post.parts)
        si = np.asarray(quantity(weights, dim, f"weights of '{projection}'", where), dtype=np.float64)
        if si.shape not in ((), kernel or (count,)) or not np.all(np.isfinite(si)):
            many = f"{count}, one for each edge" if kernel is None else f"a kernel of them of shape {list(kernel)}"
            raise ParameterError(
                f"the weights of '{projection}' are one finite value, or {many}; got shape {list(si.shape)}", where
            )
        each: Any = np.broadcast_to(si, kernel or count).copy()
        if learned is not None:
            self.engine.write_weights(projection, each)
            self._changed[projection] = f"weights {_SET}"
            return
        each = each if kernel is None else Shared(each, kernel)
        held[projection] = dataclasses.replace(old, weight=each)
        try:
            self._adopt(self._compiled(), projection, where)
        except BaseException:
            held[projection] = old
            raise
        self._changed[projection] = f"weights {_SET}"

    def emit(self, population: str, ids: Any) -> None:
        """Let neurons of a :func:`~neurosim.models.LiveSource` spike in the next step.

        Parameters
        ----------
        ids : array of int
            Which.
        """
        self._running()
        self.named(population)
        if population not in self._pending:
            self._pending[population] = self._live(population)
        pending = self._pending[population]
        try:
            who = np.atleast_1d(np.asarray(ids))
        except ValueError:
            raise ParameterError(f"ids of '{population}' are one row of whole numbers, got {ids!r}", caller()) from None
        if who.size and (who.ndim != 1 or who.dtype.kind not in "iu"):
            raise ParameterError(
                f"ids of '{population}' are one row of whole numbers, got {who.dtype} of shape {list(who.shape)}",
                caller(),
            )
        if who.size and not 0 <= int(who.min()) <= int(who.max()) < len(pending):
            worst = who[(who < 0) | (who >= len(pending))][0]
            raise ParameterError(
                f"population '{population}' has the neurons 0 to {len(pending) - 1}, not {worst}", caller()
            )
        pending[who.astype(np.int64)] = 1.0
        self.engine.write(population, "pending", pending)

    def _live(self, population: str) -> np.ndarray:
        """Return who is to spike in the next step, in a source that takes spikes from outside."""
        pop = self.network.populations[population]
        if pop.cell.prototype is not importlib.import_module("neurosim.models").LiveSource:
            raise ParameterError(
                f"population '{population}' is a {pop.cell.name}: spikes are given to a LiveSource", caller()
            )
        self._changed[population] = "spikes given while it ran"
        pending: np.ndarray = self.engine.state(population)["pending"]
        return pending

    # -- the engine ---------------------------------------------------------------------------------------------

    def _adopt(self, graph: Graph, what: str, where: str | None) -> None:
        """Go on with other numbers."""
        alike = True  # one value for all neurons, or one for each, is laid out differently
        for old, new in zip(self.graph.populations, graph.populations, strict=True):
            if old.program != new.program or [v.name for v in old.states] != [v.name for v in new.states]:
                raise UnsupportedError(
                    f"'{what}' changes what a step of '{old.name}' does, not only its numbers (what is multiplied by 0 "
                    "is left out of it): start another simulation",
                    where,
                )
            alike &= all(np.ndim(value) == np.ndim(old.params[key]) for key, value in new.params.items())
        if alike and _rest(graph) == _rest(self.graph):
            used = {p.name: p.program.uses("param") if p.program is not None else () for p in graph.populations}
            for name, key in _changes(self.graph, graph):
                if key in used[name]:
                    self.engine.write(name, key, graph.population(name).params[key])
        else:
            engine = self._engine(graph, self.engine.threads)
            try:
                engine.follow(self.engine, self._under_way())
            except BaseException:
                engine.close()
                raise
            self.engine.close()
            self.engine, self._direct = engine, {}
        self.graph = self._sink.graph = graph

    def _under_way(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return (steps, neurons) of the last spikes of every population, as far back as a delay reaches."""
        out = {}
        for pop in self.graph.populations:
            parts = [spikes[pop.name] for _, spikes in self._recent]
            steps, ids = (np.concatenate([np.zeros(0, np.int64), *(p[i] for p in parts)]) for i in (0, 1))
            late = steps >= self.n - self.engine.reach
            out[pop.name] = steps[late], ids[late]
        return out

    # -- the end ------------------------------------------------------------------------------------------------

    def result(self) -> Any:
        """Return what was recorded so far, as ``net.run()`` returns it; with an output file this is the end of it.

        What was changed is in ``provenance.overrides``; ``provenance.network_hash`` is that of the network as it is
        now.
        """
        if self._result is not None:
            return self._result
        self._open()
        self._catch_up()
        graph = self.graph
        final = compile_network(self.network, **self._how) if self._changed else graph
        provenance = self._provenance.replace(
            n_steps=self.n, duration_s=self.n * self.network.dt, wall_simulate_s=self._wall, status=self._status,
            network_hash=digest(final), overrides=dict(self._changed),
        )  # fmt: skip
        learned = {p.name: self.engine.weights(p.name) for p in self.graph.projections if p.plasticity is not None}
        out = self._sink.finish(
            provenance, None, lambda name: learned[name] if name in learned else runner.projection_weights(graph, name)
        )
        out.edges = self.engine.edges()
        if self._sink.writer is not None:
            self._result = out
            self.close()
        return out

    def close(self) -> None:
        """Finish the output file, if there is one, and give back what the engine holds."""
        if self._closed:
            return
        try:
            if self._sink.writer is not None and self._result is None:
                self.result()
        finally:
            if not self._closed:
                self._closed = True
                self.engine.close()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None and self._status == "finished":
            self._status = "interrupted"
        self.close()

    def __reduce__(self) -> Any:
        raise UnsupportedError("a simulation cannot be copied: start another one, or keep its result()", caller())


def _changes(old: Graph, new: Graph) -> list[tuple[str, str]]:
    """Return the parameters (population, name) that differ."""
    pairs = zip(old.populations, new.populations, strict=True)
    return [(a.name, key) for a, b in pairs for key, value in b.params.items()
            if not np.array_equal(value, a.params[key])]  # fmt: skip


def _rest(graph: Graph) -> str:
    """Return a digest of all of a graph but the parameters and initial values of its populations."""

    def without(node: PopulationNode) -> PopulationNode:
        states = tuple(dataclasses.replace(v, init=0.0) for v in node.states)
        return dataclasses.replace(node, params={}, attributes={}, model=None, states=states)

    return digest(dataclasses.replace(graph, populations=tuple(without(p) for p in graph.populations)))

"""What every backend is: something that builds an engine from a graph, and the engine that steps it.

A backend is one module with one subclass of :class:`Backend`. It gets the graph after the pass ``order``, refuses
what it cannot express before anything runs (:meth:`Backend.unsupported`), and returns an :class:`Engine`. A third
party's backend is found through the entry-point group ``neurosim.backends``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import DivergedError, ParameterError, UnsupportedError
from neurosim.ir.graph import Graph
from neurosim.ir.ops import OPS


@dataclass(frozen=True)
class Options:
    """How to run: number of threads (None: the backend chooses) and whatever else a backend documents."""

    threads: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Drained:
    """What was recorded since the last call.

    Attributes
    ----------
    spikes : dict
        Population -> (steps, neurons), sorted by step, then neuron; for populations with a probe of spikes or rate.
    samples : list
        One entry per probe of the graph: None, or (steps, values [T, m]) for a state variable, taken at the end of
        the steps named.
    counts : dict
        Population -> number of spikes of all its neurons.
    """

    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray] | None]
    counts: dict[str, int]


class Engine(ABC):
    """A network that has been built. Steps are counted from 0; state is never reset.

    ``at_once`` says that the engine takes the steps of a whole run in one :meth:`advance`: no progress is shown then,
    and Ctrl-C ends the run with nothing kept. ``layout`` names the way in which :meth:`snapshot` lays out its arrays;
    ``reach`` is the longest delay and ``n`` the steps done, for those of a backend that is ``live``.
    """

    threads: int = 1
    at_once: bool = False
    layout: str = ""
    reach: int = 0
    n: int = 0
    timings: dict[str, float]

    @abstractmethod
    def advance(self, steps: int) -> None:
        """Simulate that many steps."""

    @abstractmethod
    def drain(self) -> Drained:
        """Hand over what was recorded since the last call."""

    @abstractmethod
    def state(self, population: str) -> dict[str, np.ndarray]:
        """Return a copy of a population's state variables."""

    def weights(self, projection: str) -> np.ndarray | None:
        """Return the weights of a plastic projection as they stand (SI), in canonical order; None if none change."""
        return None

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return everything that an engine newly built of the same graph, on as many threads, needs to go on."""
        raise UnsupportedError("this engine keeps no checkpoints")

    def restore(self, arrays: Mapping[str, np.ndarray], steps: int) -> None:
        """Go to where :meth:`snapshot` was, after so many steps; nothing has been simulated yet."""
        raise UnsupportedError("this engine keeps no checkpoints")

    def write(self, population: str, name: str, values: float | np.ndarray) -> None:
        """Set a state variable, or a parameter of a population's program, from the next step on.

        Parameters
        ----------
        name : str
            A state variable or a key of the population's ``params`` that its program reads.
        values : float or array
            One value, or one per neuron; a parameter keeps to what it was: one, or one per neuron.
        """
        raise UnsupportedError("this engine cannot be changed while it runs")

    def write_weights(self, projection: str, values: np.ndarray) -> None:
        """Set the weights of a projection that learns (SI, in canonical order), from the next step on."""
        raise UnsupportedError("this engine cannot be changed while it runs")

    def follow(self, other: Engine, recent: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Go on from where another engine is, whose graph differs in numbers only; this one has not simulated yet.

        Parameters
        ----------
        recent : mapping
            Population -> (steps, neurons) of its spikes in the last ``reach`` steps: what of them has not arrived yet
            arrives with the weights of this engine.
        """
        raise UnsupportedError("this engine cannot be changed while it runs")

    def edges(self) -> int:
        """Return the number of edges built."""
        return 0

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back what the engine holds."""


class Backend(ABC):
    """A way of running a graph.

    ``plasticity`` says that it has learning rules, ``releases`` short-term plasticity, ``links`` couplings without
    spikes, ``checkpoints`` that its engines keep them, ``live`` that they can be changed between two steps,
    ``concurrent`` that engines of one network can be stepped at the same time by several threads. ``weights_as_of``
    says of which time the weights of a projection that learns are, where that is not the present.
    """

    name: str
    operations: frozenset[str] = frozenset(OPS)
    precisions: tuple[str, ...] = ("double",)
    threads: bool = False
    plasticity: bool = False
    releases: bool = False
    links: bool = False
    checkpoints: bool = False
    live: bool = False
    concurrent: bool = False
    options: tuple[str, ...] = ()
    weights_as_of: str = ""
    summary: str = ""

    def unsupported(self, graph: Graph) -> list[tuple[str, str | None]]:
        """Return what of the graph the backend cannot express: (sentence, where the user made it)."""
        found: list[tuple[str, str | None]] = []
        if graph.precision not in self.precisions:
            found.append((f"precision '{graph.precision}' (it has {', '.join(self.precisions)})", None))
        for proj in graph.projections if not self.plasticity else ():
            if proj.plasticity is not None:
                found.append((f"learning rules (projection '{proj.name}')", proj.where))
        for proj in graph.projections if not self.releases else ():
            if proj.release is not None:
                found.append((f"short-term plasticity (projection '{proj.name}')", proj.where))
        for link in graph.links if not self.links else ():
            found.append((f"couplings without spikes (link '{link.name}')", link.where))
        for pop in graph.populations:
            assert pop.program is not None
            needs = pop.model.system.precision if pop.model is not None else ""
            if needs not in ("", graph.precision):
                what = f"precision '{graph.precision}' for population '{pop.name}': its cell needs {needs}"
                found.append((what, pop.where))
            for op in sorted({ins.op for ins in pop.program.instrs} - self.operations):
                found.append((f"operation '{op}' ({OPS[op].meaning}) in population '{pop.name}'", pop.where))
        return found

    def check(self, graph: Graph) -> None:
        """Raise :class:`UnsupportedError` naming the first construct that the backend cannot express."""
        found = self.unsupported(graph)
        if found:
            what, where = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            cure = "" if self.name == "native" else "run it with backend='native' or "
            raise UnsupportedError(
                f"backend '{self.name}' cannot run this network: no {what}{more}; {cure}change the construct",
                where,
            )

    def rounds(self, graph: Graph) -> str:
        """Return what the backend rounds a graph's numbers to, beyond floating point, on purpose; empty: nothing.

        It ends a sentence that begins with the backend's name, and explains where a run parts from the graph's program.
        """
        return ""

    def estimate(self, graph: Graph, threads: int | None = None) -> int:
        """Return about how many bytes the graph takes, built and run on so many threads (None: its own choice)."""
        every = (*graph.projections, *(link.edges for link in graph.links))
        edges = sum(p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post)) for p in every)
        return int(64 * edges + 2000 * graph.size)

    @abstractmethod
    def build(self, graph: Graph, options: Options) -> Engine:
        """Build the network; the graph has passed :meth:`check`."""

    def build_like(self, graph: Graph, options: Options, engine: Engine) -> Engine:
        """Build the network as it was built for an engine of another trial, which stays as it is.

        Whoever can take over what does not differ (connections, compiled code) does.
        """
        return self.build(graph, options)

    def version(self) -> str:
        """Return the version of the engine underneath, for the provenance."""
        return ""


def recorded(graph: Graph, population: str) -> bool:
    """Tell whether a population's spikes are asked for."""
    return any(p.target == population and p.variable in ("spikes", "rate") for p in graph.probes)


def put_back(arrays: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> None:
    """Copy arrays of a snapshot to where an engine has them.

    Raises
    ------
    ParameterError
        If one is missing or has another shape or type: the snapshot is of another engine.
    """
    for key, place in places.items():
        found = arrays.get(key)
        if found is None or found.shape != place.shape or found.dtype != place.dtype:
            raise ParameterError(f"the checkpoint does not fit this engine: '{key}' differs")
        place[...] = found


def diverged(graph: Graph, population: str, variable: str, neuron: int, step: int) -> DivergedError:
    """Return the error for a state variable that left the finite numbers.

    Parameters
    ----------
    graph : Graph
        What is run.
    population, variable : str
        The first population, in order, and the first of its variables that holds such a value.
    neuron : int
        The first neuron that does, counted from 0 within the population.
    step : int
        Steps done, the one that made it included.
    """
    return DivergedError(
        f"{variable} of neuron {neuron} in population '{population}' is no finite number any more at t = "
        f"{step * graph.dt * 1e3:.6g} ms: use a smaller dt, another method, or smaller weights, "
        "and look whether anything is divided by 0",
        graph.population(population).where,
    )


def weight_diverged(graph: Graph, projection: str, variable: str, edge: int, step: int) -> DivergedError:
    """Return the error for a variable of an edge (``w``: its weight) that left the finite numbers: the first of the
    first projection."""
    what = "weight" if variable == "w" else f"variable '{variable}'"
    return DivergedError(
        f"the {what} of edge {edge} of projection '{projection}' is no finite number any more at t = "
        f"{step * graph.dt * 1e3:.6g} ms: give the learning rule bounds, or a smaller rate",
        graph.projection(projection).where,
    )


def overflowed(graph: Graph, step: int) -> DivergedError:
    """Return the error for a sum of weights, arriving in a step, that is no exact number any more."""
    return DivergedError(
        f"a sum of weights exceeded 2^53 units of its receptor's grid before t = {step * graph.dt * 1e3:.6g} ms: "
        "use smaller weights or fewer inputs"
    )

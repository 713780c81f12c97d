"""Which core of Loihi 2 each neuron goes to, what binds, and an estimate of energy and time.

Neurons are dealt out in an order: a core is filled until its neurons or its synaptic memory (a synapse lies with its
target) are full. The order is the network's own, population by population, or one that keeps what is connected close
together (reverse Cuthill-McKee, SciPy's). Axons are counted afterwards. Sources of spikes are outside the chip.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.base import Chip, Violation, read_chip
from neurosim.hardware.loihi2.cells import loihi_lif
from neurosim.hardware.loihi2.quantisation import RANGE, in_integers, quantised_graph
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph
from neurosim.lang.network import Network

ORDERS = ("given", "local")


@functools.cache
def loihi2() -> Chip:
    """Return the limits of Loihi 2, each with its source."""
    return read_chip(Path(__file__).with_name("limits.toml"))


@dataclass
class Placement:
    """A network on chips.

    Attributes
    ----------
    chip : Chip
        Its limits.
    cores : dict
        Population -> core of each neuron, counted over all chips.
    used : dict
        ``neurons``, ``memory``, ``input_axons``, ``output_axons`` -> how much of it each core uses.
    closed : dict
        ``neurons`` or ``memory`` -> number of cores that it filled.
    synapses : int
        Number of synapses on the chips.
    messages : float
        Spikes sent from a core to another, per spike of a neuron, on average.
    violations : list of Violation
        What does not fit, or may not.
    """

    chip: Chip
    cores: dict[str, np.ndarray]
    used: dict[str, np.ndarray]
    closed: dict[str, int]
    synapses: int
    messages: float
    violations: list[Violation] = field(default_factory=list)
    _degree: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _reached: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def chips(self) -> int:
        """Number of chips."""
        return -(-len(self.used["neurons"]) // int(self.chip["cores"]))

    def costs(self, rates: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Estimate a step: energy in J, time in s, synaptic operations.

        Constants are those of Loihi 1 before silicon, lower bounds, since none of Loihi 2 are published.

        Parameters
        ----------
        rates : mapping
            Population -> spikes per step, of each neuron or of all on average; sources included.
        """
        shapes = {name: self._degree[name].shape for name in rates}
        spikes = {name: np.broadcast_to(np.asarray(r, dtype=float), shapes[name]) for name, r in rates.items()}
        synops = sum(float((spikes[name] * self._degree[name]).sum()) for name in spikes)
        sent = sum(float((spikes[name] * self._reached[name]).sum()) for name in spikes)
        neurons = sum(len(c) for c in self.cores.values())
        count = max(len(self.used["neurons"]), 1)
        busiest = float(self.used["neurons"].max(initial=0)) * self.chip["update_time"]
        return {
            "synops": synops,
            "energy": synops * self.chip["synop_energy"] + neurons * self.chip["update_energy"]
            + sent * self.chip["message_energy"],
            "time": busiest + synops / count * self.chip["synop_time"] + self.chip["barrier_time"],
        }  # fmt: skip

    def __str__(self) -> str:
        count = len(self.used["neurons"])
        cores = "core" if count == 1 else "cores"
        lines = [f"{self.chip.name}: {count:,} {cores} of {self.chips} {'chip' if self.chips == 1 else 'chips'} with "
                 f"{self.chip['cores']:.0f} each; {self.synapses:,} synapses", "",
                 f"{'in a core':<28}{'mean':>12}{'most':>12}{'limit':>12}"]  # fmt: skip
        for name, values in self.used.items():
            if len(values):
                lines.append(f"{name.replace('_', ' '):<28}{values.mean():>12,.0f}{values.max():>12,.0f}"
                             f"{self.chip[name]:>12,.0f}")  # fmt: skip
        full = max(self.closed, key=lambda name: self.closed[name])
        binds = f"{full} ({self.closed[full]} of {count} cores are full by it)" if self.closed[full] else "nothing"
        lines += ["", f"what binds: {binds}",
                  f"traffic: a spike goes to {self.messages:.2f} other cores on average"]  # fmt: skip
        return "\n".join([*lines, *(f"- {v}" for v in self.violations)])


def place(network: Network, *, order: str = "given", below: float = RANGE) -> Placement:
    """Put a network on as many cores of Loihi 2 as it needs; one in SI units is quantised first.

    Parameters
    ----------
    network : Network
        What to place.
    order : {"given", "local"}
        In which the neurons are dealt out: the network's, or one that keeps neighbours together, which needs SciPy.
    below : float
        As for :func:`~neurosim.hardware.loihi2.quantise`.

    Raises
    ------
    UnsupportedError
        It has no counterpart in integers.
    ParameterError
        No such order, or no SciPy.
    """
    if order not in ORDERS:
        raise ParameterError(f"order must be {' or '.join(ORDERS)}, got {order!r}")
    if order == "local" and importlib.util.find_spec("scipy") is None:
        raise ParameterError("order 'local' needs SciPy: pip install scipy")
    graph = compile_network(network)
    if not in_integers(graph):
        graph = quantised_graph(graph, below)[0]
    return placed(graph, order)


def placed(graph: Graph, order: str = "given") -> Placement:
    """Put a graph in integers on as many cores as it needs; ``order`` is one of those of :func:`place`."""
    return _placed(graph, loihi2(), order)


def _placed(graph: Graph, chip: Chip, order: str) -> Placement:
    for link in graph.links:
        raise UnsupportedError(f"Loihi 2 has no couplings without spikes (link '{link.name}')", link.where)
    offsets = graph.offsets()
    on_chip = {p.name for p in graph.populations if loihi_lif(graph, p) is not None}
    mine = np.concatenate([np.zeros(0, bool), *(np.full(p.size, p.name in on_chip) for p in graph.populations)])
    bits, pieces = np.zeros(graph.size), []
    for proj in graph.projections:
        edges = list(iter_edges(graph, proj))
        found = [(np.asarray(e.pre, np.int64), np.asarray(e.post, np.int64)) for e in edges]
        late = any(np.any(np.asarray(e.delay) > 1) for e in edges)
        cost = chip["weight_bits"] + chip["index_bits"] + (chip["delay_bits"] if late else 0)
        for pre, post in found:
            bits += np.bincount(post, minlength=graph.size) * cost
            pieces.append((pre, post))
    dealt = np.flatnonzero(mine)
    if order == "local":
        dealt = _local(graph.size, pieces)
        dealt = dealt[mine[dealt]]
    core, closed = _dealt(dealt, bits, chip)
    of = np.full(graph.size, -1, np.int64)
    of[dealt] = core
    count = int(core.max(initial=-1)) + 1
    wide = max(count, 1)
    pairs = np.unique(np.concatenate([np.zeros(0, np.int64), *(pre * wide + of[post] for pre, post in pieces)]))
    pre_of, core_of = pairs // wide, pairs % wide
    away = pre_of[of[pre_of] != core_of]
    reached = np.bincount(away, minlength=graph.size)
    degree = sum((np.bincount(pre, minlength=graph.size) for pre, _ in pieces), np.zeros(graph.size, np.int64))
    senders = away[mine[away]]
    used = {
        "neurons": np.bincount(core, minlength=count),
        "memory": np.bincount(core, bits[dealt], minlength=count),
        "input_axons": np.bincount(core_of, minlength=count),
        "output_axons": np.bincount(of[senders], minlength=count),
    }

    def parts(values: np.ndarray, names: set[str]) -> dict[str, np.ndarray]:
        at = {p.name: slice(offsets[p.name], offsets[p.name] + p.size) for p in graph.populations}
        return {name: values[where] for name, where in at.items() if name in names}

    everything = {p.name for p in graph.populations}
    made = Placement(chip, parts(of, on_chip), used, closed, int(degree.sum()),
                     float(reached[mine].mean()) if mine.any() else 0.0, [], parts(degree, everything),
                     parts(reached, everything))  # fmt: skip
    made.violations += _violations(graph, made, bits, mine)
    return made


def _local(size: int, pieces: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the neurons in an order in which those that are connected are close."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    pre, post = (np.concatenate([np.zeros(0, np.int64), *(piece[k] for piece in pieces)]) for k in (0, 1))
    edges = csr_matrix((np.ones(len(pre), np.int8), (pre, post)), shape=(size, size))
    return np.asarray(reverse_cuthill_mckee((edges + edges.T).tocsr(), symmetric_mode=True), dtype=np.int64)


def _dealt(neurons: np.ndarray, bits: np.ndarray, chip: Chip) -> tuple[np.ndarray, dict[str, int]]:
    """Return the core of each neuron, and how many cores the neurons and the memory filled."""
    filled = np.concatenate([[0.0], np.cumsum(bits[neurons])])
    core = np.zeros(len(neurons), np.int64)
    closed, start, k = {"neurons": 0, "memory": 0}, 0, 0
    while start < len(neurons):
        by_memory = int(np.searchsorted(filled, filled[start] + chip["memory"], "right")) - 1
        by_count = start + int(chip["neurons"])
        stop = max(min(by_memory, by_count, len(neurons)), start + 1)
        core[start:stop] = k
        if stop < len(neurons):
            closed["neurons" if by_count <= by_memory else "memory"] += 1
        start, k = stop, k + 1
    return core, closed


def _violations(graph: Graph, made: Placement, bits: np.ndarray, mine: np.ndarray) -> list[Violation]:
    chip, out = made.chip, []
    for name, offset in graph.offsets().items():
        size = graph.population(name).size
        most = float(bits[offset : offset + size].max(initial=0)) if mine[offset : offset + size].any() else 0.0
        if most > chip["memory"]:
            out.append(Violation(chip.limits["memory"], f"a neuron of population '{name}'", most,
                                 "give it fewer inputs, or split it into several neurons"))  # fmt: skip
    for name in ("input_axons", "output_axons"):
        over = made.used[name] > chip[name]
        if over.any():
            cure = "connect more locally, or with fewer sources"
            where = f"{int(over.sum())} of {len(over)} cores"
            out.append(Violation(chip.limits[name], where, float(made.used[name].max()), cure))
    return out

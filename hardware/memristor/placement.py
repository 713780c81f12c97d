"""How many crossbars of memristors a network takes: its synapses, cut into blocks.

A crossbar is a matrix: sources are its rows, targets its columns. A projection is cut into blocks of its size, and a
block takes a crossbar if there is any synapse in it, however few: what is sparse wastes devices. The devices sum up
currents and nothing more, so that any neuron may be behind them; they are outside the crossbars, with the router.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.base import Chip, Violation, read_chip
from neurosim.hardware.rewriting import synapses
from neurosim.lang.network import Network

ORDERS = ("given",)


@functools.cache
def crossbars() -> Chip:
    """Return the limits of the chip, each with its source."""
    return read_chip(Path(__file__).with_name("limits.toml"))


@dataclass
class Placement:
    """A network in crossbars.

    Attributes
    ----------
    chip : Chip
        Its limits.
    blocks : dict
        Projection and population -> crossbars and synapses.
    violations : list of Violation
        What does not fit.
    """

    chip: Chip
    blocks: dict[tuple[str, str], tuple[int, int]]
    violations: list[Violation] = field(default_factory=list)
    _reads: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def used(self) -> int:
        """Crossbars in use."""
        return sum(count for count, _ in self.blocks.values())

    def cost_lines(self, rates: Mapping[str, Any], steps: int, dt: float) -> str:
        """Say what reading costs if the crossbars of a source are read whenever it spikes, a read for each spike.

        An operation is a multiplication or an addition; the figures are those of matrix products, in which all inputs
        are read at once: for single spikes they are lower bounds.
        """
        cells = self.chip["rows"] * self.chip["columns"]
        reads = sum(float(np.sum(rates[name] * self._reads[name])) for name in rates if name in self._reads) * steps
        ops = 2 * cells * reads
        return (f"{reads:,.0f} reads of a crossbar in {steps * dt:g} s of the network, one for each spike: at least "
                f"{ops / self.chip['efficiency'] * 1e3:.3g} mJ and\n{ops / self.chip['throughput'] * 1e3:.3g} ms "
                f"({self.chip.limits['efficiency'].source})")  # fmt: skip

    def __str__(self) -> str:
        cells = int(self.chip["rows"] * self.chip["columns"])
        total = sum(n for _, n in self.blocks.values())
        full = total / (self.used * cells) if self.used else 0.0
        lines = [f"{self.chip.name}: {self.used:,} of {self.chip['cores']:.0f} crossbars; {total:,} synapses, "
                 f"{full:.1%} of their cells", "",
                 f"{'projection':<24}{'onto':<14}{'crossbars':>11}{'synapses':>12}{'in use':>9}"]  # fmt: skip
        lines += [f"{name:<24}{post:<14}{count:>11,}{n:>12,}{n / (count * cells) if count else 0:>9.1%}"
                  for (name, post), (count, n) in self.blocks.items()]  # fmt: skip
        binds = ", ".join(dict.fromkeys(v.limit.name for v in self.violations)) or "nothing"
        return "\n".join([*lines, "", f"what binds: {binds}", *(f"- {v}" for v in self.violations)])


def place(network: Network, *, order: str = "given") -> Placement:
    """Put a network's synapses on crossbars of phase-change memory.

    Parameters
    ----------
    network : Network
        Any whose neurons are joined by spikes alone.
    order : {"given"}
        Of the neurons: the network's.

    Raises
    ------
    UnsupportedError
        There are couplings without spikes, or drives without sources.
    """
    if order not in ORDERS:
        raise ParameterError(f"order must be {' or '.join(map(repr, ORDERS))} for crossbars, got {order!r}")
    chip, graph = crossbars(), compile_network(network)
    refused = [(f"coupling without spikes (link '{link.name}')", link.where) for link in graph.links]
    refused += [(f"Poisson drive in population '{p.name}': make a PoissonSource and connect it", p.where)
                for p in graph.populations if p.drive_weights]  # fmt: skip
    if refused:
        raise UnsupportedError("crossbars have no " + "\n  - no ".join(what for what, _ in refused), refused[0][1])
    made = Placement(chip, {}, _reads={p.name: np.zeros(p.size) for p in graph.populations})
    rows, columns = int(chip["rows"]), int(chip["columns"])
    starts = np.array(list(graph.offsets().values()))
    for s in synapses(network, graph):
        keep = s.weight != 0
        of = np.searchsorted(starts, s.sources[keep], "right") - 1
        local, column = s.sources[keep] - starts[of], s.targets[keep] // columns
        blocks = np.unique(np.stack([of, local // rows, column]), axis=1)
        made.blocks[s.projection, s.post] = blocks.shape[1], int(keep.sum())
        reads = np.unique(np.stack([of, local, column]), axis=1)
        for k, pop in enumerate(graph.populations):
            made._reads[pop.name] += np.bincount(reads[1][reads[0] == k], minlength=pop.size)
    if made.used > chip["cores"]:
        (name, _), (most, _) = max(made.blocks.items(), key=lambda item: item[1][0])
        cure = "take several chips, fewer neurons, or order them such that connected ones are neighbours"
        where = f"the network, most of it projection '{name}' with {most:,},"
        made.violations.append(Violation(chip.limits["cores"], where, made.used, cure))
    return made

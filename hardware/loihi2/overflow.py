"""Where the integers overflow: the same cells with counters beside u and v, which change nothing of either.

A current that wraps round changes its sign, and a potential that saturates stays at the end of its range; neither is
seen in the spikes. The counters are state variables of the cell, so that every step of every neuron is counted and
nothing has to be recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import UnsupportedError
from neurosim.hardware.loihi2.arithmetic import HALF
from neurosim.hardware.loihi2.cells import Dense, counting_lif, loihi_lif
from neurosim.ir.graph import Graph, ProbeNode
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity


@dataclass(frozen=True)
class Overflow:
    """What happened at the ends of 24 bits in a population, over all its neurons and steps.

    Attributes
    ----------
    wraps : int
        Times that a current went round.
    clipped_low, clipped_high : int
        Times that a potential was held at the least and at the greatest value.
    neurons : int
        Neurons in which any of it happened.
    u_most, v_least, v_most : float
        The current's largest magnitude, and the potential's least and greatest value before the threshold was tested,
        each as a share of the 24 bits' half range and before it was wrapped or clipped.
    """

    wraps: int
    clipped_low: int
    clipped_high: int
    neurons: int
    u_most: float
    v_least: float
    v_most: float


def counting_graph(graph: Graph) -> Graph:
    """Return a graph of integers whose cells count, and in which every population's spikes are recorded.

    Raises
    ------
    UnsupportedError
        A Poisson drive, which such a cell does not have.
    """
    net = Network("counting", dt=Quantity(graph.dt, TIME), seed=graph.seed)
    for pop in graph.populations:
        params = loihi_lif(graph, pop)
        if params is None:
            continue
        if pop.drive_weights:
            raise UnsupportedError(f"overflows of population '{pop.name}' cannot be counted: it has a Poisson drive; "
                                   "make a PoissonSource and connect it", pop.where)  # fmt: skip
        own = {k: np.asarray(params[k], dtype=float)[()] for k in ("du", "dv", "vth", "bias")}
        receptors = {r: Dense(scale=params[f"{r}.scale"]) for r in pop.receptors}
        start: dict[str, Any] = {s.name: s.init for s in pop.states if s.name in ("u", "v")}
        cell = counting_lif()(receptors=receptors, t_ref=Quantity(np.asarray(params["t_ref"], float)[()], TIME), **own)
        net.population(pop.name, pop.size, cell, init=start)
    if not net.populations:
        return replace(graph, probes=())
    made = compile_network(net)
    counted = {p.name: p for p in made.populations}
    nodes = tuple(replace(counted[p.name], grids=p.grids, where=p.where) if p.name in counted else p
                  for p in graph.populations)  # fmt: skip
    return replace(graph, populations=nodes, probes=tuple(ProbeNode(p.name, "spikes", None) for p in nodes))


def overflow(state: dict[str, np.ndarray]) -> Overflow:
    """Return what a population's counters say at the end of a run."""
    wraps, low, high = (np.rint(state[k]).astype(np.int64) for k in ("wraps", "low", "high"))
    return Overflow(
        int(wraps.sum()), int(low.sum()), int(high.sum()), int(((wraps > 0) | (low > 0) | (high > 0)).sum()),
        float(np.max(state["u_most"])) / HALF, float(np.min(state["v_least"])) / HALF,
        float(np.max(state["v_most"])) / HALF,
    )  # fmt: skip

"""A network again, with other weights or parameters: what the passes for analogue devices have in common.

The copy keeps cells, edges, delays, stimuli, probes and seed, so that whatever differs in its spikes comes from what
was changed. It runs wherever the network does; its edges are listed, as those of a trained network are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, caller
from neurosim.ir.distributions import Shared
from neurosim.ir.edges import edge_table
from neurosim.ir.edges import kernel as shared_kernel
from neurosim.ir.graph import Graph
from neurosim.ir.rules import EdgeList
from neurosim.lang.network import Network
from neurosim.units import DIMENSIONLESS, Quantity


@dataclass(frozen=True)
class Synapses:
    """The synapses of a projection onto one population.

    Attributes
    ----------
    projection, post, receptor : str
        Which they are.
    where : numpy.ndarray
        Their places among the projection's edges. Edges that share a weight have a place each.
    sources : numpy.ndarray
        Of each, its source among all neurons of the network.
    targets : numpy.ndarray
        Of each, its target in the population.
    weight : numpy.ndarray
        In SI units.
    unit : str
        The symbol of those.
    """

    projection: str
    post: str
    receptor: str
    where: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    unit: str


def synapses(network: Network, graph: Graph | None = None) -> Iterator[Synapses]:
    """Yield the synapses of every projection, one for each population it reaches, in the order they were made.

    Edges that share a weight in the network are one by one here: a device has a weight of its own for each.
    """
    graph = compile_network(network) if graph is None else graph
    offsets = graph.offsets()
    for node in graph.projections:
        table = edge_table(graph, node)
        ids = [np.arange(s.size) if s.ids is None else np.asarray(s.ids) for s in node.post]
        before = np.concatenate([offsets[s.population] + (np.arange(s.size) if s.ids is None else s.ids)
                                 for s in node.pre])  # fmt: skip
        segment = np.repeat(np.arange(len(ids)), [len(i) for i in ids])[table.post]
        target = np.concatenate(ids)[table.post]
        names = [part.population for part in node.post]
        for post in dict.fromkeys(names):  # several parts of the target may be of one population
            here = np.flatnonzero(np.array([name == post for name in names])[segment])
            dim = network[post].scope.weight_dimension(node.receptor)
            yield Synapses(node.name, post, node.receptor, here, before[table.pre[here]].astype(np.int64),
                           target[here].astype(np.int64), table.weight[here],
                           "" if dim == DIMENSIONLESS else dim.symbol)  # fmt: skip


def with_weights(network: Network, change: Callable[[Synapses], np.ndarray]) -> Network:
    """Return the network with other weights.

    Parameters
    ----------
    network : Network
        It stays as it is.
    change : callable
        Takes the synapses of a projection onto a population; returns their weights, in SI units. Where all edges
        that share a weight get the same, they go on sharing it; otherwise they are listed.
    """
    graph = compile_network(network)
    made: dict[str, np.ndarray] = {}
    for some in synapses(network, graph):
        values = np.asarray(change(some), dtype=np.float64)
        if values.shape != some.weight.shape or not np.isfinite(values).all():
            raise ParameterError(
                f"the weights of projection '{some.projection}' must become {len(some.weight)} finite numbers", caller()
            )
        whole = made.setdefault(some.projection, np.zeros(0))
        size = max(len(whole), int(some.where.max(initial=-1)) + 1)
        made[some.projection] = np.concatenate([whole, np.zeros(size - len(whole))])
        made[some.projection][some.where] = values
    out = network.copy()
    for name, values in made.items():
        connection = out.projections[name]
        convolution: Any = connection.rule
        shape = convolution.kernel_shape
        node = next(p for p in graph.projections if p.name == name)
        if shape is None:  # an array of weights has a list of edges, in their order: a file can keep it
            table = edge_table(graph, node)
            out.projections[name] = replace(connection, rule=EdgeList(table.pre, table.post), weight=values)
            continue
        rule, element = convolution.edge_list()
        kernel = np.zeros(int(np.prod(shape)))
        kernel[element] = values
        if np.array_equal(kernel[element], values):
            unused = np.setdiff1d(np.arange(len(kernel)), element)
            old = shared_kernel(graph, node)
            assert old is not None
            kernel[unused] = old.reshape(-1)[unused]
            out.projections[name] = replace(connection, weight=Shared(kernel.reshape(shape), shape))
        else:
            out.projections[name] = replace(connection, rule=rule, weight=values)
    return out


def parameters(network: Network, graph: Graph) -> Iterator[tuple[str, str, np.ndarray, int]]:
    """Yield population, parameter (``tau_m``, ``exc.tau``), its value or values in SI, and the number of neurons.

    Only numbers: what changes in time, or is an expression, has none.
    """
    for pop in graph.populations:
        known = {} if pop.model is None else pop.model.params
        for prefix, part in network[pop.name].scope.parts.items():
            for key in part.params:
                name = f"{prefix}.{key}" if prefix else key
                if name in known:
                    yield pop.name, name, np.asarray(known[name], dtype=np.float64), pop.size


def with_parameters(network: Network, changed: Mapping[tuple[str, str], np.ndarray]) -> Network:
    """Return the network with other parameters: (population, parameter) -> values in SI, one or one per neuron."""
    out = network.copy()
    for (pop, key), values in changed.items():
        dim = out[pop].scope.solver.known[key]
        out.set_parameter(f"{pop}.{key}", values if dim == DIMENSIONLESS else Quantity(values, dim))
    return out


def learning(network: Network) -> list[str]:
    """Return sentences about weights that a pass does not hold: those that learn, and those of Poisson drives."""
    said = [f"projection '{name}' learns: only its weights at the start were changed, and what it learns is not"
            for name, c in network.projections.items() if c.plasticity is not None]  # fmt: skip
    for name, pop in network.populations.items():
        said += [f"the Poisson drive '{key}' of population '{name}' is no synapse: its weight is what it was"
                 for key, _, _, receptor in pop.stimuli if receptor is not None]  # fmt: skip
    said += [f"the coupling '{name}' has no spikes: its weights are what they were" for name in network.links]
    return said


def whole(value: Any, lo: int, hi: int, what: str) -> int:
    """Return a whole number of a range, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not lo <= value <= hi:
        raise ParameterError(f"{what} must be a whole number from {lo:,} to {hi:,}, got {value!r}", caller())
    return int(value)


def is_number(value: Any) -> bool:
    """Return whether a value is a plain real number, of Python or NumPy."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def positive(value: Any, what: str, zero: bool = True) -> float:
    """Return a finite number of 0 or more (above 0 with ``zero=False``), or refuse it."""
    if not is_number(value) or not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ParameterError(
            f"{what} must be a number {'of 0 or more' if zero else 'above 0'}, got {value!r}", caller()
        )
    return float(value)

"""From a chain of populations that are snnTorch's to an ``nn.Sequential`` of snnTorch's own modules."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import BackendMissingError, UnsupportedError
from neurosim.interchange.snntorch.cells import INPUT, recognised
from neurosim.ir.edges import edge_table
from neurosim.ir.graph import Graph, PopulationNode, ProjectionNode
from neurosim.lang.network import Network

MOST = 1 << 28
"""Numbers of a matrix that are written at most: a gigabyte in single precision."""


def write_model(network: Network, *, spike_grad: Any = None) -> Any:
    """Return a network as an ``nn.Sequential`` of ``Linear``, ``Leaky`` and ``Synaptic``.

    The network is a chain: a source of spikes, and populations of :func:`~neurosim.interchange.snntorch.leaky` and
    :func:`~neurosim.interchange.snntorch.synaptic` (recognised by their equations), each behind one projection of one
    step of delay. A convolution comes back as a ``Linear`` of its whole matrix. The neurons keep their states to
    themselves (``init_hidden=True``), so that ``model(x)`` takes and gives one step; ``snntorch.utils.reset(model)``
    begins anew. Spikes that the source was given are no part of a model.

    Parameters
    ----------
    network : Network
        The chain.
    spike_grad : callable, optional
        snnTorch's surrogate; its own default without one.

    Raises
    ------
    UnsupportedError
        The network is no such chain; the error says where not.
    """
    try:
        torch = importlib.import_module("torch")
        snn = importlib.import_module("snntorch")
    except ImportError:
        raise BackendMissingError(
            "snnTorch is not installed: pip install 'neurosim-snn[snntorch]'", network.where
        ) from None
    graph = compile_network(network)
    layers: OrderedDict[str, Any] = OrderedDict()
    for k, (pop, projection) in enumerate(_chain(graph)):
        kind, reset, delayed = _kind(graph, pop)
        _as_in_a_model(graph, pop, k)
        params = {k: np.broadcast_to(np.asarray(v, np.float64), (pop.size,)) for k, v in _params(pop).items()}
        weight = _matrix(graph, pop, projection)
        bias = bool(np.any(params["bias"]))
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            if bias:
                linear.bias.copy_(torch.from_numpy(params["bias"].copy()))
        one = {k: torch.tensor(_one(v), dtype=torch.float32) for k, v in params.items()}
        how = {"beta": one["beta"], "threshold": one["v_th"], "spike_grad": spike_grad, "init_hidden": True,
               "reset_mechanism": reset, "reset_delay": delayed}  # fmt: skip
        made = snn.Leaky(**how) if kind == "Leaky" else snn.Synaptic(alpha=one["alpha"], **how)
        for name, layer in ((projection.name, linear), (pop.name, made)):
            label = name.replace(".", "_")
            while label in layers or hasattr(torch.nn.Sequential, label):  # a model has methods, such as pop
                label += "_"
            layers[label] = layer
    return torch.nn.Sequential(layers)


def _chain(graph: Graph) -> list[tuple[PopulationNode, ProjectionNode]]:
    """Return the populations behind the source, each with the projection to it."""
    for link in graph.links:
        raise UnsupportedError(f"snnTorch has no couplings without spikes (link '{link.name}')", link.where)
    into: dict[str, list[ProjectionNode]] = {p.name: [] for p in graph.populations}
    after: dict[str, list[str]] = {p.name: [] for p in graph.populations}
    for projection in graph.projections:
        if (
            len(projection.pre) != 1
            or len(projection.post) != 1
            or any(s.ids is not None for s in (*projection.pre, *projection.post))
        ):
            raise UnsupportedError(
                f"projection '{projection.name}' is between parts of populations; a chain is between whole ones",
                projection.where,
            )
        into[projection.post[0].population].append(projection)
        after[projection.pre[0].population].append(projection.post[0].population)
    sources = [p for p in graph.populations if not into[p.name]]
    if len(sources) != 1 or sources[0].receptors:
        raise UnsupportedError("a chain begins with one population that only gives spikes, such as SpikeSource; here "
                               f"nothing leads to {', '.join(p.name for p in sources) or 'none'}", None)  # fmt: skip
    out, at = [], sources[0].name
    while after[at]:
        if len(after[at]) != 1 or len(into[after[at][0]]) != 1 or len(out) >= len(graph.populations):
            raise UnsupportedError(
                f"population '{at}' is connected to {', '.join(map(repr, after[at]))}: in a chain each population has "
                "one projection to the next, and none back", graph.population(at).where
            )  # fmt: skip
        at = after[at][0]
        out.append((graph.population(at), into[at][0]))
    if not out or len(out) + 1 != len(graph.populations):
        raise UnsupportedError("not all populations are part of the chain", None)
    return out


def _kind(graph: Graph, pop: PopulationNode) -> tuple[str, str, bool]:
    found = recognised(graph, pop)
    if found is None:
        raise UnsupportedError(
            f"population '{pop.name}' is not snnTorch's Leaky or Synaptic, by its equations; those are "
            "neurosim.interchange.snntorch.leaky and synaptic, with the receptor that they come with", pop.where
        )  # fmt: skip
    return found


def _as_in_a_model(graph: Graph, pop: PopulationNode, k: int) -> None:
    """Refuse what a model of layers has no way of saying: a state to begin with, a bias that begins at another time."""
    assert pop.model is not None
    begun = [v.name for v in pop.states if np.any(np.asarray(v.init))]
    if begun:
        raise UnsupportedError(f"population '{pop.name}' begins with another '{begun[0]}' than 0; a model of layers "
                               "begins with 0", pop.where)  # fmt: skip
    if not np.any(np.asarray(pop.model.params["bias"])):
        return
    begin = np.asarray(pop.model.params.get("begin", -np.inf)) / graph.dt
    if np.any((begin <= k) | (begin >= k + 1)):
        raise UnsupportedError(
            f"the bias of population '{pop.name}' has to begin with its first input, in step {k + 1}, as it does in a "
            f"model of layers: give its cell begin={(k + 0.5) * graph.dt * 1e3:g}*ms", pop.where
        )  # fmt: skip


def _params(pop: PopulationNode) -> Any:
    assert pop.model is not None
    return {k: v for k, v in pop.model.params.items() if k in ("alpha", "beta", "v_th", "bias")}


def _matrix(graph: Graph, pop: PopulationNode, projection: ProjectionNode) -> np.ndarray:
    """Return the weights as a matrix [post, pre]."""
    edges = edge_table(graph, projection)
    n_pre = projection.pre[0].size
    if projection.plasticity is not None or projection.release is not None:
        raise UnsupportedError(f"projection '{projection.name}' changes by itself; a Linear does not", projection.where)
    if len(edges.delay) and (edges.delay != 1).any():
        raise UnsupportedError(f"projection '{projection.name}' has delays of up to {edges.delay.max()} steps; a model "
                               "of layers has one step", projection.where)  # fmt: skip
    if projection.receptor != INPUT:
        raise UnsupportedError(f"projection '{projection.name}' ends at the receptor '{projection.receptor}'; it must "
                               f"be '{INPUT}'", projection.where)  # fmt: skip
    if n_pre * pop.size > MOST:
        raise UnsupportedError(f"projection '{projection.name}' would be a matrix of {n_pre * pop.size:,} numbers; at "
                               f"most {MOST:,} are written", projection.where)  # fmt: skip
    out = np.zeros((pop.size, n_pre))
    np.add.at(out, (edges.post.astype(np.int64), edges.pre.astype(np.int64)), edges.weight)
    return out


def _one(values: np.ndarray) -> Any:
    return float(values[0]) if np.all(values == values[0]) else values

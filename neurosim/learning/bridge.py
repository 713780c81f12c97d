"""From a network to a PyTorch module, and its weights back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, suggest
from neurosim.ir.distributions import Shared
from neurosim.ir.rules import EdgeList
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
from neurosim.learning.trainable import trainable
from neurosim.registry import load_backend
from neurosim.units import Quantity

THRESHOLDS, LOWEST = ("v_th", "v_threshold"), ("v_reset", "v_rest", "v_leak")
"""Parameters between which a cell's potential moves, by the names that the library's cells give them."""


def to_torch(
    network: Network,
    *,
    surrogate: str | Callable[[Any], Any] | None = "atan",
    scale: Mapping[str, Any] | None = None,
    detach_reset: bool = True,
    precision: str = "single",
    fuse: bool = True,
    train: Iterable[str] | Mapping[str, Any] = (),
    max_delay: Any = None,
) -> Any:
    """Return a network as a PyTorch module; see :meth:`neurosim.Network.to_torch`.

    Parameters
    ----------
    train : sequence of str, or mapping
        What is trained besides the weights: ``population.parameter`` of a cell, a receptor or a stimulus, and
        ``projection.delay``. A mapping gives what each counts in, as a quantity, or None for the default: the power of
        two near its mean size.
    max_delay : quantity, optional
        The longest that a trained delay can become; by default twice the longest that there is.

    Other parameters are described at the method.
    """
    backend = load_backend("snntorch")
    if precision in ("bfloat16", "float16", "half", "mixed"):
        raise ParameterError(
            f"precision must be 'double' or 'single', got {precision!r}: in 8 or 11 bits states would lose what a leak "
            "takes from a potential in a step. Products can be in bfloat16: fit(..., mixed=True), or torch.autocast",
            network.where,
        )
    graph = compile_network(network, precision=precision)
    backend.check(graph)
    for node in graph.projections:
        if node.rule.kernel_shape is not None and len({s.population for s in node.post}) > 1:
            raise UnsupportedError(
                f"projection '{node.name}' ends at several populations, where its kernel is rounded to grids of their "
                "own: for training, connect each of them",
                node.where,
            )
    scales = _scales(network, scale or {}) if surrogate is not None else {}
    graph, cells, makers, delays = trainable(network, graph, train, scales, max_delay)
    return backend.module(graph, surrogate, scales, detach_reset, fuse, cells, makers, delays)


def load_torch(network: Network, module: Any) -> None:
    """Take the weights of a module into the network; see :meth:`neurosim.Network.load_torch`."""
    if not hasattr(module, "synapses") or not hasattr(module, "graph"):
        raise ParameterError(f"a module of net.to_torch() is loaded, got {type(module).__name__}", network.where)
    found = {s.name: s for s in module.synapses}
    if set(found) != set(network.projections) or module.graph.dt != network.dt:
        raise ParameterError("this module was not made of this network: its projections or dt differ", network.where)
    changed = {}
    module.settle()
    for name, connection in network.projections.items():
        edges = found[name]
        sizes = len(connection.pre), len(connection.post)
        if (edges.n_pre, edges.n_post) != sizes:
            raise ParameterError(
                f"projection '{name}' has {sizes[0]} x {sizes[1]} neurons, the module's {edges.n_pre} x {edges.n_post}",
                connection.where,
            )
        learned = module.learned(name)
        if edges.shared or connection.rule.kernel_shape is not None:
            if connection.rule != edges.rule:
                raise ParameterError(
                    f"projection '{name}' is {connection.rule.describe()}, the module's {edges.rule.describe()}",
                    connection.where,
                )
            changed[name] = dataclasses.replace(connection, weight=Shared(learned, learned.shape))
            continue
        changed[name] = dataclasses.replace(
            connection,
            rule=EdgeList(edges.pre, edges.post),
            weight=learned,
            delay=edges.delay_steps * network.dt,
        )
    values = {}
    for label in module.cells:
        pop, _, key = label.partition(".")
        values[label] = Quantity(module.value(label), network[pop].scope.solver.known[key])
    for target in (copy.deepcopy(network), network) if values else ():  # the network is changed whole, or not at all
        for label, value in values.items():
            target.set_parameter(label, value)
    network.projections.update(changed)


def _scales(network: Network, given: Mapping[str, Any]) -> dict[str, float]:
    unknown = next((name for name in given if name not in network.populations), None)
    if unknown is not None:
        raise UnknownNameError(f"scale: no population '{unknown}'{suggest(unknown, network.populations)}")
    out = {}
    for name, pop in network.populations.items():
        if name in given:
            value = given[name]
            si = np.asarray(value.value if isinstance(value, Quantity) else value)
            if si.ndim or si.dtype.kind not in "iuf" or not (np.isfinite(si) and si > 0):
                raise ParameterError(f"scale of population '{name}' must be one number above 0, got {value}")
            out[name] = float(si)
        elif pop.cell.threshold is not None:
            out[name] = _distance(pop)
    return out


def _distance(pop: Population) -> float:
    """Return how far it is from where the potential is reset, or rests, to the threshold."""
    found = [next((pop.cell.value(k) for k in names if k in pop.cell.params), None) for names in (THRESHOLDS, LOWEST)]
    numbers = [np.asarray(v.value if isinstance(v, Quantity) else v) for v in found]
    known = all(v.dtype.kind in "iuf" for v in numbers)
    far = float(np.mean(np.abs(numbers[0] - numbers[1]))) if known else 0.0
    if not far:
        raise ParameterError(
            f"population '{pop.label}': the surrogate needs to know what is far from the threshold; give it in the "
            f"unit of what is compared with the threshold: to_torch(scale={{'{pop.label}': ...}})",
            pop.where,
        )
    return far

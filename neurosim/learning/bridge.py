"""From a network to a PyTorch module, and its weights back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnknownNameError, suggest
from neurosim.ir.graph import Graph
from neurosim.ir.program import Program
from neurosim.ir.rules import EdgeList
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
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
    train: Iterable[str] = (),
) -> Any:
    """Return a network as a PyTorch module; see :meth:`neurosim.Network.to_torch`."""
    backend = load_backend("snntorch")
    graph = compile_network(network, precision=precision)
    backend.check(graph)
    scales = _scales(network, scale or {}) if surrogate is not None else {}
    return backend.module(graph, surrogate, scales, detach_reset, fuse, _trainable(network, graph, list(train)))


def load_torch(network: Network, module: Any) -> None:
    """Take the weights of a module into the network; see :meth:`neurosim.Network.load_torch`."""
    found = {s.name: s for s in module.synapses}
    if set(found) != set(network.projections) or module.graph.dt != network.dt:
        raise ParameterError("this module was not made of this network: its projections or dt differ", network.where)
    changed = {}
    for name, connection in network.projections.items():
        edges = found[name]
        sizes = len(connection.pre), len(connection.post)
        if (edges.n_pre, edges.n_post) != sizes:
            raise ParameterError(
                f"projection '{name}' has {sizes[0]} x {sizes[1]} neurons, the module's {edges.n_pre} x {edges.n_post}",
                connection.where,
            )
        changed[name] = dataclasses.replace(
            connection,
            rule=EdgeList(edges.pre, edges.post),
            weight=module.learned(name),
            delay=edges.delay_steps * network.dt,
        )
    network.projections.update(changed)
    for label in module.trained:
        pop, _, key = label.partition(".")
        network.set_parameter(label, Quantity(module.value(label), network[pop].scope.solver.known[key]))


def _trainable(network: Network, graph: Graph, labels: list[str]) -> list[str]:
    """Check what parameters are to be trained: those that a step reads as they are, and nothing else is made of."""
    for label in labels:
        name, _, key = label.partition(".")
        pop, node = network[name], graph.population(name)
        own = {f"{p}.{k}" if p else k for p, part in pop.scope.parts.items() for k in part.params}
        legal = [f"{name}.{k}" for k in node.params if k in own and k in (node.program or Program(())).uses("param")]
        if label not in legal:
            reason = (
                "is no parameter" if key not in own else "is not read in a step as it is, but in what is made of it"
            )
            raise ParameterError(
                f"train: '{label}' {reason}; of '{name}' can be trained: {', '.join(legal) or 'nothing'}", network.where
            )
        value = np.asarray(node.params[key], dtype=np.float64)
        other = copy.deepcopy(network)
        other.set_parameter(label, Quantity(value + 1e-3 * (np.abs(value).max() or 1e-3), pop.scope.solver.known[key]))
        moved = compile_network(other, precision=graph.precision).population(name).params
        touched = [k for k in node.params if k != key and not np.array_equal(node.params[k], moved[k])]
        if touched:
            raise ParameterError(f"train: '{label}' is also part of {', '.join(touched)}, which is computed before the "
                                 "first step", network.where)  # fmt: skip
    return labels


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

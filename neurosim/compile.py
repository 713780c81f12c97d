"""The way from a network to a graph that a backend can print: the passes, in order, each checked at its exit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from neurosim.errors import EquationError, ParameterError, caller
from neurosim.ir.graph import Graph
from neurosim.ir.verify import verify
from neurosim.lang.network import Network
from neurosim.passes.delays import delays
from neurosim.passes.discretise import discretise
from neurosim.passes.expand import expand
from neurosim.passes.order import order
from neurosim.passes.units import units

PASSES: tuple[Callable[[Graph], Graph], ...] = (expand, discretise, delays, order)
"""What follows the pass ``units``, which makes the graph."""


def compile_network(
    network: Network, *, precision: str = "double", weight_bits: int | None = None, after: str = "order"
) -> Graph:
    """Lower a network as far as the pass ``after``.

    Parameters
    ----------
    network : Network
        What the user wrote.
    precision : {"double", "single"}
        Of the state; weights are on their grid in both.
    weight_bits : {40, 24}, optional
        Bits of the weights' grid below the largest magnitude; 40 in double, 24 in single by default.
    after : str
        Last pass to run: units, expand, discretise, delays or order.
    """
    if precision not in ("double", "single"):
        raise ParameterError(f"precision must be 'double' or 'single', got {precision!r}", caller())
    bits = (24 if precision == "single" else 40) if weight_bits is None else weight_bits
    if bits not in (24, 40):
        raise ParameterError(f"weight_bits must be 40 or 24, got {weight_bits}", caller())
    known = ("units", *(p.__name__ for p in PASSES))
    if after not in known:
        raise ParameterError(f"no pass '{after}'; the passes are {', '.join(known)}", caller())
    try:
        graph = verify(replace(units(network), precision=precision, weight_bits=bits))
        for step in PASSES:
            if graph.stage == after:
                break
            graph = verify(step(graph))
    except RecursionError:
        raise EquationError(
            "the equations or parameters refer to each other over too many links to be followed", network.where
        ) from None
    return graph

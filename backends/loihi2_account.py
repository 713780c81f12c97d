"""What bringing a network to Loihi 2's integers did: to its numbers, at the ends of 24 bits, and on the chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.base import Options
from neurosim.errors import NeurosimError, ParameterError
from neurosim.hardware.loihi2.overflow import Overflow, counting_graph, overflow
from neurosim.hardware.loihi2.placement import Placement, placed
from neurosim.hardware.loihi2.quantisation import RANGE, Quantised, in_integers, quantised_graph
from neurosim.ir.graph import Graph
from neurosim.registry import load_backend

_CHUNK = 10_000
"""Steps between two looks at the spikes of the run that counts."""


@dataclass(frozen=True)
class Account:
    """A network in Loihi 2's integers, and one run of it.

    Attributes
    ----------
    quantised : Quantised or None
        What became of its numbers; None for a network that was written in integers.
    placement : Placement
        Where it lies on the chip.
    costs : dict
        Estimates of a step at the rates of the run: :meth:`Placement.costs`.
    overflow : dict
        Population -> what happened at the ends of 24 bits; sources have none. Empty where ``uncounted`` says why.
    uncounted : str
        Why overflows could not be counted, or are those of other spikes; empty where they are the run's.
    """

    quantised: Quantised | None
    placement: Placement
    costs: dict[str, float]
    overflow: dict[str, Overflow]
    uncounted: str


def account(graph: Graph, spikes: Mapping[str, Any], steps: int, options: Mapping[str, Any]) -> Account:
    """Account for a run in integers.

    The run is repeated with cells that count; their spikes are compared with those given.

    Parameters
    ----------
    graph : Graph
        The network as it was given to the backend.
    spikes : mapping
        Population -> spikes of the run (``steps`` and ``ids``), of all populations.
    steps : int
        Steps of the run.
    options : mapping
        The backend's; only ``below`` is looked at.

    Raises
    ------
    UnsupportedError
        The network has no counterpart in integers.
    """
    try:
        below = float(options.get("below", RANGE))
    except (TypeError, ValueError):
        raise ParameterError(f"below of backend 'loihi2' must be a number, got {options['below']!r}") from None
    made, quantised = (graph, None) if in_integers(graph) else quantised_graph(graph, below)
    placement = placed(made)
    rates = {p.name: np.bincount(spikes[p.name].ids, minlength=p.size) / max(steps, 1) for p in made.populations}
    costs = placement.costs(rates)
    try:
        found, same = _counted(counting_graph(made), spikes, steps, set(placement.cores))
    except NeurosimError as e:
        return Account(quantised, placement, costs, {}, e.message)
    if not same:
        return Account(quantised, placement, costs, {},
                       "the run that counted them spiked differently, so that its overflows are not those of this run")
    return Account(quantised, placement, costs, found, "")


def _counted(graph: Graph, spikes: Mapping[str, Any], steps: int, cells: set[str]) -> tuple[dict[str, Overflow], bool]:
    """Run a graph whose cells count; return the counts, and whether it spiked as it should."""
    engine = load_backend("native").build(graph, Options())
    try:
        done, same = 0, True
        while done < steps:
            part = min(_CHUNK, steps - done)
            engine.advance(part)
            drained = engine.drain().spikes
            for name, (at, ids) in drained.items():
                given = spikes[name]
                lo, hi = np.searchsorted(given.steps, (done, done + part))
                same &= np.array_equal(given.steps[lo:hi], at) and np.array_equal(given.ids[lo:hi], ids)
            done += part
        return {p.name: overflow(engine.state(p.name)) for p in graph.populations if p.name in cells}, bool(same)
    finally:
        engine.close()

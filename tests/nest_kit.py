"""What tests of the backend ``nest`` share: graphs of single cells, and runs on the reference and on NEST."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.backends.nest_backend.cells import Cell as NestCell
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.compile import compile_network
from neurosim.lang.components import Receptor
from neurosim.models import (
    AlphaCurrent,
    DeltaCurrent,
    ExpCurrent,
)
from neurosim.units import ms

KINDS = {"exp": ExpCurrent, "alpha": AlphaCurrent, "delta": DeltaCurrent}
SPAN = 10e-3
"""|v_th - v_reset| of the cells below, in volts."""


def compiled(net: ns.Network, precision: str = "double") -> Any:
    """Return a network's graph, as backends get it."""
    return compile_network(net, precision=precision, weight_bits=None)


def alone(cell: Any, n: int = 2, dt: float = 0.1) -> Any:
    """Return the graph of one population without connections."""
    net = ns.Network("alone", dt=dt * ms)
    net.population("p", n, cell)
    return compiled(net)


def model(cell: Any, **more: Any) -> str:
    """Return the name of the NEST cell that a cell is."""
    graph = alone(cell, **more)
    found = recognise(graph, graph.populations[0])
    assert isinstance(found.what, NestCell), found.differences
    return found.what.model


def both(build: Any, steps: int, dt: float = 0.1, **options: Any) -> tuple[Any, Any]:
    """Run a network on the reference and on NEST."""
    truth = build().run(steps * dt * ms, backend="reference")
    return truth, build().run(steps * dt * ms, backend="nest", **options)


def agree(truth: Any, nest: Any, within: float = 1e-9 * SPAN, least: int = 1) -> None:
    """Assert equal spikes (some of them), and values within a tolerance at the same times."""
    assert sum(len(s) for s in truth.spikes.values()) >= least
    for name, spikes in truth.spikes.items():
        assert spikes.identical(nest.spikes[name]), name
    for name, traces in truth.state.items():
        for variable, trace in traces.items():
            other = nest.state[name][variable]
            assert np.array_equal(trace.times, other.times)
            assert trace.values.shape == other.values.shape
            assert np.max(np.abs(trace.values - other.values), initial=0.0) <= within, (name, variable)


def synapse(kind: str, tau: Any, **more: Any) -> Receptor:
    """Return a receptor of one of NEST's three kinds."""
    return DeltaCurrent(**more) if kind == "delta" else KINDS[kind](tau=tau, **more)

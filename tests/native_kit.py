"""Networks and comparisons that tests of the compiled engine share."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
import neurosim.conformance.random_networks as rn
from neurosim.compile import compile_network
from neurosim.models import PulseCurrent, SpikeSource
from neurosim.units import ms

DT = 0.1 * ms
QUIET = ns.Cell("x[n+1] = 0.9*x + i", threshold="x > limit", reset="x = 0*x", receptors={"exc": PulseCurrent},
                limit=1.0, name="Quiet")  # fmt: skip
"""Leaky, without dimensions."""

ALWAYS = QUIET(limit=-10.0)
"""Spikes in every step; the same program, since what a test waits for is the compiler."""


def same(
    net: ns.Network, threads: int | None = 1, steps: int = 60, stretches: list[int] | None = None, **options: Any
) -> rn.Outcome:
    """Run a network on both engines, and compare all bits."""
    graph = compile_network(net, **options)
    want = rn.outcome(graph, "reference", [steps])
    got = rn.outcome(graph, "native", stretches or [steps], threads)
    assert not rn.difference(graph, want, got)
    return want


def quiet(n: int, seed: int = 1, **connection: Any) -> ns.Network:
    """Return neurons driven by a source of spikes and connected among themselves."""
    net = ns.Network(dt=DT, seed=seed)
    g = np.random.default_rng(n)
    source = net.population("source", 20, SpikeSource([np.unique(g.integers(0, 50, 15)) * DT for _ in range(20)]))
    cells = net.population("cells", n, QUIET, init={"x": ns.uniform(0.0, 1.0)})
    net.connect(source, cells, rule=ns.FixedProbability(0.5), weight=0.4, delay=DT, name="in")
    net.connect(
        cells, cells, **{"rule": ns.FixedInDegree(5), "weight": 0.2, "delay": 2 * DT, "name": "own", **connection}
    )
    net.record([source, cells], "spikes")
    net.record(cells[:: max(1, n // 7)], "x", every=3 * DT)
    return net

"""Networks that several tests share."""

from __future__ import annotations

import neurosim as ns
from neurosim.conformance.kit import DT, SYN
from neurosim.lang.components import Cell, Drive
from neurosim.units import Hz, ms


def balanced(n: int = 200, seed: int = 3) -> ns.Network:
    """A small balanced network with all kinds of chance in it, on which runs, engines and threads are compared."""
    net = ns.Network("balanced", dt=DT * ms, seed=seed)
    cell = Cell(
        "dv/dt = (i - v)/tau\ndg/dt = -g/tau_g",
        threshold="v >= 1 + g",
        reset="v = 0; g += 0.1",
        refractory=1 * ms,
        clamp="v",
        tau=ns.normal(10 * ms, 1 * ms, lo=5 * ms),
        tau_g=50 * ms,
        receptors={"exc": SYN, "inh": SYN(tau=8 * ms)},
    )
    exc = net.population("exc", n * 4 // 5, cell, init={"v": ns.uniform(0.0, 1.0)})
    inh = net.population("inh", n - n * 4 // 5, cell, init={"v": ns.uniform(0.0, 1.0)})
    net.connect(
        [exc],
        [exc, inh],
        receptor="exc",
        rule=ns.FixedProbability(0.1),
        weight=ns.normal(0.12, 0.02),
        delay=ns.uniform(0.1 * ms, 2 * ms),
    )
    net.connect(inh, exc + inh, receptor="inh", rule=ns.FixedInDegree(6), weight=-0.4, delay=0.8 * ms)
    net.stimulate(exc + inh, Drive(rate=5000 * Hz, weight=0.06, receptor="exc"))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net

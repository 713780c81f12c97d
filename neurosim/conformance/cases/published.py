"""Networks: a recurrent one beside a loop of NumPy's, and published ones at the size of the literature."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim import analysis
from neurosim.conformance.kit import DT, case, network, record
from neurosim.models import LIF, DCInput, ExpCurrent
from neurosim.models.networks import brunel, cuba, potjans_diesmann
from neurosim.units import ms, mV

# -- 200 neurons, spike for spike -------------------------------------------------------------------------------------

_N, _EXC, _STEPS = 200, 160, 3000
_UNIT = 2.0**-30
"""Weights are whole multiples of this (V), so that they lie on their grid and nothing rounds them."""


def _edges() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return sources, targets, weights (V), delays (steps) and constant currents (V): NumPy's legacy generator, whose
    numbers are the same in every version."""
    g = np.random.RandomState(4752)
    pre, post = np.nonzero((g.uniform(size=(_N, _N)) < 0.1) & ~np.eye(_N, dtype=bool))
    size = np.where(pre < _EXC, 1.0, -5.0) * g.uniform(0.5, 1.5, len(pre)) * 1e-3
    return pre, post, np.rint(size / _UNIT) * _UNIT, g.randint(10, 31, len(pre)), g.uniform(15e-3, 30e-3, _N)


def _loop() -> tuple[np.ndarray, np.ndarray]:
    """Step the network by exact propagators (Rotter and Diesmann, 1999); return steps and neurons of its spikes."""
    pre, post, weight, delay, current = _edges()
    p, s = np.exp(-DT / 20), np.exp(-DT / np.array([5.0, 10.0]))
    q = (p - s) / (1 / np.array([5.0, 10.0]) - 1 / 20) / 20
    by_source = [np.flatnonzero(pre == k) for k in range(_N)]
    ring = np.zeros((32, 2, _N))
    v, x, held = np.full(_N, -0.07), np.zeros((2, _N)), np.zeros(_N, int)
    out: list[tuple[int, int]] = []
    for n in range(_STEPS):
        end = -0.07 + current
        v = np.where(held > 0, v, end + (v - end) * p + q @ x)
        x = x * s[:, None] + ring[n % 32]
        ring[n % 32] = 0
        spiking = np.flatnonzero((held == 0) & (v >= -0.05))
        held = np.maximum(held - 1, 0)
        v[spiking], held[spiking] = -0.06, 20
        for k in spiking:
            out.append((n, k))
            e = by_source[k]
            np.add.at(ring[:, int(k >= _EXC)], ((n + delay[e]) % 32, post[e]), weight[e])
    return tuple(np.array(out).T)  # type: ignore[return-value]


def _network(r: Any) -> None:
    steps, ids = _loop()
    spikes = r.spikes["p"]
    assert len(steps) > 1000
    same = min(len(steps), len(spikes.steps))
    apart = np.flatnonzero((spikes.steps[:same] != steps[:same]) | (spikes.ids[:same] != ids[:same]))
    assert not len(apart), f"spike {apart[0]}, in step {steps[apart[0]]}, is another one"
    assert len(steps) == len(spikes.steps)


@case("200 recurrently connected LIF neurons, weights and delays (1 to 3 ms) of each edge its own: spike for spike.",
      _STEPS, _network, subject="networks")  # fmt: skip
def lif_network() -> ns.Network:
    pre, post, weight, delay, current = _edges()
    net = network()
    cell = LIF(t_ref=2 * ms, receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=10 * ms)})
    p = net.population("p", _N, cell)
    net.stimulate(p, DCInput(current * 1e3 * mV))
    for receptor, chosen in (("exc", pre < _EXC), ("inh", pre >= _EXC)):
        rule = ns.EdgeList(pre[chosen], post[chosen])
        net.connect(p, p, receptor=receptor, rule=rule, weight=weight[chosen] * 1e3 * mV, delay=delay[chosen] * DT * ms)
    return record(net, ("p", "spikes"))


# -- published networks -----------------------------------------------------------------------------------------------


def _cuba(r: Any) -> None:
    for name in ("exc", "inh"):
        assert 5.0 <= analysis.rate(r.spikes[name]) <= 6.0, name
        assert 0.4 <= analysis.cv_isi(r.spikes[name]) <= 0.7, name


@case("CUBA (Brette et al. 2007, benchmark 2): 4000 neurons, 1 s, 5.5 spikes/s as on Brian2.", 10_000, _cuba,
      subject="networks", slow=True)  # fmt: skip
def cuba_published() -> ns.Network:
    return cuba()


def _brunel(r: Any) -> None:
    for name in ("exc", "inh"):
        rate = analysis.rate(r.spikes[name], start=100 * ms)
        assert 30 <= rate <= 35, f"{name}: {rate:.1f} spikes/s"


@case("Brunel (2000), asynchronous irregular, a fifth of the neurons, all 1250 inputs of each: 32 spikes/s.",
      5000, _brunel, subject="networks", slow=True)  # fmt: skip
def brunel_reduced() -> ns.Network:
    return brunel(n=2500)


def _microcircuit(r: Any) -> None:
    published = {"L23E": 0.75, "L23I": 3.28, "L4E": 4.76, "L4I": 6.20, "L5E": 6.55, "L5I": 8.97, "L6E": 1.10,
                 "L6I": 8.06}  # fmt: skip
    for name, rate in published.items():
        found = analysis.rate(r.spikes[name], start=100 * ms)
        assert abs(found / rate - 1) <= (0.45 if name == "L5E" else 0.25), f"{name}: {found:.2f} spikes/s, not {rate}"


@case("Microcircuit (Potjans and Diesmann 2014) at 10 %: 1 s, the rates of Romaro et al. (2021), table A.1.", 10_000,
      _microcircuit, subject="networks", slow=True)  # fmt: skip
def microcircuit() -> ns.Network:
    return potjans_diesmann(scale=0.1)

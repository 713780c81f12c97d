"""Cases of time and delays."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import DT, case, clock, listener, network, record, refusal, values, when
from neurosim.errors import ConnectivityError, ParameterError
from neurosim.ir.distributions import Draw
from neurosim.ir.random import Draws
from neurosim.lang.components import Cell, Current, Receptor
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import ms, mV

# -- time ----------------------------------------------------------------------------------------------------------


def _stamp(r: Any) -> None:
    assert when(r, "p") == [3, 7, 11]
    assert r.spikes["p"].t.tolist() == [3 * 1e-4, 7 * 1e-4, 11 * 1e-4]
    assert r.state["p"]["v"].times.tolist() == [(n + 1) * 1e-4 for n in range(12)]
    assert values(r, "p", "v") == [1, 2, 3, 0] * 3


@case(
    "Step n covers [n dt, (n+1) dt): a spike found in it is stamped n dt, a value after it is labelled (n+1) dt.",
    12,
    _stamp,
)
def stamp() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("v[n+1] = v + 1", threshold="v >= 4", reset="v = 0"))
    return record(net, ("p", "spikes"), ("p", "v"))


def _first(r: Any) -> None:
    assert [when(r, "p", k) for k in range(3)] == [[0], [0], []]
    assert [values(r, "p", "v", k)[0] for k in range(3)] == [0, 0, 0.5]


@case("Initial values stand before step 0, so a neuron can spike in step 0.", 2, _first)
def first_step() -> ns.Network:
    net = network()
    net.population("p", 3, Cell("v[n+1] = v", threshold="v >= 1", reset="v = 0"), init={"v": [1.0, 2.0, 0.5]})
    return record(net, ("p", "spikes"), ("p", "v"))


def _now(r: Any) -> None:
    assert values(r, "p", "v") == [n * (DT * 1e-3) * 1e3 for n in range(6)]
    assert values(r, "p", "s") == [np.float64(n) * (DT * 1e-3) * 1e3 for n in range(6)]


@case("In step n the time t is n dt, for stimuli and for equations.", 6, _now)
def time_of_a_step() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("v[n+1] = i\ns[n+1] = t/ms"))
    net.stimulate(net["p"], Current(output="t/ms"))
    return record(net, ("p", "v"), ("p", "s"))


def _every(r: Any) -> None:
    assert values(r, "p", "v") == [3, 6, 9]
    assert np.allclose(r.state["p"]["v"].times, [3e-4, 6e-4, 9e-4], rtol=1e-15)
    assert np.allclose(r.population_rates["p"].values, [1 / (2 * 5e-4), 8 / (2 * 5e-4)], rtol=1e-12)


@case("A probe with an interval of k steps samples after steps k-1, 2k-1, ...", 10, _every)
def sampling() -> ns.Network:
    net = network()
    net.population("p", 2, Cell("v[n+1] = v + 1", threshold="v > 4"), init={"v": [0.0, -3.0]})
    net.record(net["p"], "v", every=0.3 * ms)
    net.record(net["p"], "rate", every=0.5 * ms)
    return net


# -- delays --------------------------------------------------------------------------------------------------------


def _arrival(r: Any) -> None:
    assert when(r, "source") == [2, 3, 6]
    for neuron, delay in enumerate((1, 2, 5)):
        arrived = [n for n, x in enumerate(values(r, "q", "e.x", neuron)) if x]
        assert arrived == [n + delay for n in (2, 3, 6) if n + delay < 12]


@case("A spike of step n on a connection with a delay of d arrives in step n + d/dt.", 12, _arrival)
def arrival() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(2, 3, 6)), net.population("q", 3, listener())
    for neuron, delay in enumerate((1, 2, 5)):
        net.connect(source, q[neuron], weight=1.0, delay=delay * DT * ms)
    return record(net, ("source", "spikes"), ("q", "e.x"))


def _one(r: Any) -> None:
    assert when(r, "a") == [1, 3, 5, 7, 9]
    assert when(r, "b") == [2, 4, 6, 8]


@case(
    "The shortest delay is one step: a spike cannot act in the step in which it is found, whatever the order of "
    "the populations.",
    10,
    _one,
)
def shortest_delay() -> ns.Network:
    net = network()
    a = net.population(
        "a",
        1,
        Cell(
            "v[n+1] = v",
            threshold="v >= 1 or t > 0.5*dt and t < 1.5*dt",
            reset="v = 0",
            receptors={"e": Receptor(event="v += w")},
        ),
    )
    b = net.population(
        "b", 1, Cell("v[n+1] = v", threshold="v >= 1", reset="v = 0", receptors={"e": Receptor(event="v += w")})
    )
    net.connect(a, b, weight=1.0)
    net.connect(b, a, weight=1.0)
    return record(net, ("a", "spikes"), ("b", "spikes"))


def _tolerance(r: Any) -> None:
    for neuron, delay in enumerate((3, 3, 7)):
        assert [n for n, x in enumerate(values(r, "q", "e.x", neuron)) if x] == [delay]


@case("A constant delay within a millionth of a step of a whole number is taken as it.", 10, _tolerance)
def delay_tolerance() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0)), net.population("q", 3, listener())
    for neuron, delay in enumerate((0.3, 0.3 + 0.9e-7, 0.7 - 0.9e-7)):
        net.connect(source, q[neuron], weight=1.0, delay=delay * ms)
    return record(net, ("q", "e.x"))


def _drawn(r: Any) -> None:
    seconds = Draw("uniform", 0.5e-3, 6.5e-3).sample(Draws(11, "edges:s/delay"), 0, 200)
    expected = np.rint(seconds / 1e-3).astype(int)
    assert {2, 4, 6} <= set(expected)
    got = [np.flatnonzero(values(r, "q", "e.x", k)).tolist() for k in range(200)]
    assert got == [[d] for d in expected]


@case("Drawn delays are rounded to the nearest step, ties to even, edge by edge.", 9, _drawn, dt=1.0)
def drawn_delays() -> ns.Network:
    net = network(dt=1.0)
    source, q = net.population("source", 1, clock(0)), net.population("q", 200, listener())
    net.connect(source, q, weight=1.0, delay=ns.uniform(0.5 * ms, 6.5 * ms), name="s")
    return record(net, ("q", "e.x"))


def _ties(r: Any) -> None:
    assert [np.flatnonzero(values(r, "q", "e.x", k)).tolist() for k in range(5)] == [[2], [2], [4], [4], [1]]


@case("Delays given edge by edge are rounded like drawn ones: 1.5 and 2.5 steps are both 2.", 9, _ties, dt=1.0)
def delays_at_ties() -> ns.Network:
    net = network(dt=1.0)
    source, q = net.population("source", 1, clock(0)), net.population("q", 5, listener())
    net.connect(source, q, rule=ns.EdgeList([0] * 5, range(5)), weight=1.0, delay=[1.5, 2.5, 3.5, 4.49, 0.51] * ms)
    return record(net, ("q", "e.x"))


def _bounds(r: Any) -> None:
    clipped = [np.flatnonzero(values(r, "q", "e.x", k)).tolist()[0] for k in range(100)]
    redrawn = [np.flatnonzero(values(r, "r", "e.x", k)).tolist()[0] for k in range(100)]
    assert min(clipped) == min(redrawn) == 2
    assert max(clipped) == max(redrawn) == 6
    assert clipped.count(2) > 30 > redrawn.count(2)


@case(
    "Delays outside the bounds of their distribution are moved to the bound (clip) or drawn from what lies "
    "within (redraw).",
    9,
    _bounds,
    dt=1.0,
)
def bounded_delays() -> ns.Network:
    net = network(dt=1.0)
    source = net.population("source", 1, clock(0))
    for name, how in (("q", "clip"), ("r", "redraw")):
        net.connect(
            source,
            net.population(name, 100, listener()),
            weight=1.0,
            delay=ns.normal(3 * ms, 3 * ms, lo=2 * ms, hi=6 * ms, how=how),
        )
    return record(net, ("q", "e.x"), ("r", "e.x"))


def _long(r: Any) -> None:
    assert np.flatnonzero(values(r, "q", "e.x")).tolist() == [1, 4, 300, 303, 997, 1000]


@case("Delays of very different length share a target.", 1100, _long)
def long_delays() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0, 3)), net.population("q", 1, listener())
    for steps in (1, 300, 997):
        net.connect(source, q, weight=1.0, delay=steps * DT * ms)
    return record(net, ("q", "e.x"))


# -- what lies off the grid -------------------------------------------------------------------------------------------


def _connected(delay: Any, rule: Any = None) -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[0.0] * ms]))
    target = net.population("q", 1, LIF(receptors={"e": DeltaCurrent}))
    net.connect(source, target, rule=rule, weight=1 * mV, delay=delay)
    return net


@refusal("A constant delay that is no whole number of steps is an error that names the nearest legal ones.",
         ParameterError, "the delay of projection", "0.25 ms", "nearest legal: 0.2 ms or 0.3 ms")  # fmt: skip
def illegal_delay() -> ns.Network:
    return _connected(0.25 * ms)


@refusal("A constant delay of less than one step is an error that names the smallest.", ParameterError,
         "the delay of projection", "nearest legal: 0.1 ms")  # fmt: skip
def no_delay() -> ns.Network:
    return _connected(0 * ms)


@refusal("A delay beyond 65535 steps is an error.", ParameterError, "65540 steps", "65535")
def longest_delay() -> ns.Network:
    return _connected(6554 * ms)


@refusal("A delay that varies and is rounded to less than one step is an error, raised when the network is built.",
         ConnectivityError, "0 steps", "the smallest is 1")  # fmt: skip
def delay_rounded_to_nothing() -> ns.Network:
    return _connected([0.04] * ms, ns.EdgeList([0], [0]))


@refusal("A refractory period that is no whole number of steps is an error that names the nearest legal ones.",
         ParameterError, "refractory period", "0.25 ms", "nearest legal: 0.2 ms or 0.3 ms")  # fmt: skip
def illegal_refractory_period() -> ns.Network:
    net = network()
    net.population("p", 1, LIF(t_ref=0.25 * ms))
    return net


@refusal("A duration that is no whole number of steps is an error that names the nearest legal ones.", ParameterError,
         "duration", "1.05 ms", "nearest legal: 1 ms or 1.1 ms", duration=1.05 * ms)  # fmt: skip
def illegal_duration() -> ns.Network:
    net = network()
    net.population("p", 1, LIF)
    return net

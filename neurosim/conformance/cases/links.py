"""Cases of couplings without spikes: when they read, how they add up, what the library's do in closed form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import DT, case, network, record, refusal, values
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models import LIF, GapJunction, GradedSynapse, RateLink, SpikeSource
from neurosim.units import ms, mV, nS, pF

COUNTER = ns.Cell("x[n+1] = x + 1; y[n+1] = y + i", receptors={"k": ns.Receptor(link="s = w*x_pre", output="s")})
"""x counts steps, y sums what links give."""


def _counters(size: int = 1, **init: Any) -> ns.Network:
    net = network()
    net.population("a", size, COUNTER, init=init)
    return net


def _started(r: Any) -> None:
    # x is 0, 1, 2 … when the steps begin; 3 times that adds up, in whichever order the two populations come
    assert values(r, "a", "y") == values(r, "b", "y") == [0, 3, 9, 18, 30]


@case(
    "A link acts in every step, without delay: it reads both ends as they were when the step began, whatever the order "
    "of the populations.",
    5,
    _started,
)
def links_read_the_start() -> ns.Network:
    net = _counters()
    net.population("b", 1, COUNTER)
    net.connect(net["a"], net["b"], weight=3)
    net.connect(net["b"], net["a"], weight=3)
    return record(net, ("a", "y"), ("b", "y"))


ADDENDS = (1.0, 2.0**60, -(2.0**60), 0.25, 2.0**-53, 2.0**-53)
"""Their sum depends on the order."""


def _ordered(r: Any) -> None:
    # forwards the first term is lost in the second, backwards all but the last are
    assert values(r, "b", "y", 0) == [0.25 + 2.0**-52]
    assert values(r, "b", "y", 1) == [1.0]
    assert float(sum(Decimal(x) for x in ADDENDS)) == 1.25 + 2.0**-52


@case(
    "What the edges of a link add to one target is added from 0 in the canonical order of the edges, on no grid.",
    1,
    _ordered,
)
def links_add_in_order() -> ns.Network:
    net = _counters(6, x=np.array(ADDENDS))
    net.population("b", 2, COUNTER)
    pre = np.concatenate([np.arange(6), np.arange(6)[::-1]])
    net.connect(net["a"], net["b"], rule=ns.EdgeList(pre, np.repeat([0, 1], 6)), weight=1.0)
    return record(net, ("b", "y"))


def _several(r: Any) -> None:
    # (2^53 + 1) + 1 in one sum, and (2^53) + (1 + 1) in two
    assert values(r, "b", "y", 0) == [2.0**53]
    assert values(r, "b", "y", 1) == [2.0**53 + 2]


@case("The sums of several links onto one receptor are added in the order of the links.", 1, _several)
def sums_of_links() -> ns.Network:
    net = _counters(3, x=np.array([2.0**53, 1.0, 1.0]))
    net.population("b", 2, COUNTER)
    net.connect(net["a"], net["b"][0], weight=1.0)
    net.connect(net["a"][0], net["b"][1], weight=1.0)
    net.connect(net["a"][1:], net["b"][1], weight=1.0)
    return record(net, ("b", "y"))


def _both(r: Any) -> None:
    # the link gives 1, 2, 3 …; spikes of steps 0, 1, 2 … arrive a step later, 5 each
    assert values(r, "b", "y") == [1, 3, 6, 10]
    assert values(r, "b", "h") == [0, 5, 10, 15]


@case("A cell may have receptors of both kinds, each for itself.", 4, _both)
def links_beside_spikes() -> ns.Network:
    net = network()
    source = net.population("a", 1, SpikeSource([np.arange(8) * DT * ms]))
    count = ns.Cell("x[n+1] = x + 1", init={"x": 1})
    link, spikes = ns.Receptor(link="s = w*x_pre", output="s"), ns.Receptor(event="h += w")
    cell = ns.Cell("h[n+1] = h; y[n+1] = y + i", receptors={"k": link, "e": spikes})
    net.population("c", 1, count)
    net.population("b", 1, cell)
    net.connect(source, net["b"], receptor="e", weight=5.0, delay=DT * ms)
    net.connect(net["c"], net["b"], receptor="k", weight=1.0)
    return record(net, ("b", "y"), ("b", "h"))


@refusal(
    "What acts in every step has no delay, and neither learns nor tires.", ParameterError, "takes no spikes", "no delay"
)
def links_have_no_delay() -> ns.Network:
    net = _counters(2)
    net.connect(net["a"], net["a"], weight=1.0, delay=1 * ms)
    return net


@refusal("It reads state variables that both ends have.", UnknownNameError, "has no state variable 'x'", "'a'")
def links_read_what_there_is() -> ns.Network:
    net = network()
    net.population("a", 1, LIF())
    net.population("b", 1, COUNTER)
    net.connect(net["a"], net["b"], weight=1.0)
    return net


# -- the library ---------------------------------------------------------------------------------------------------

TAU, G, C = 10.0, 2.0, 100.0
"""ms, nS, pF"""

PASSIVE = "dv/dt = (e - v)/tau + i/c"


def _gap(r: Any) -> None:
    # with the coupling constant during a step, the mean of two equal cells decays by p, and their difference by
    # p - 2 (1 - p) g tau / C
    p = float(np.exp(np.longdouble(-DT) / np.longdouble(TAU)))
    q = p - 2.0 * (1.0 - p) * G * 1e-9 * TAU * 1e-3 / (C * 1e-12)
    n = np.arange(1, len(values(r, "a", "v", 0)) + 1)
    a, b = np.array(values(r, "a", "v", 0)), np.array(values(r, "a", "v", 1))
    assert np.allclose((a + b) / 2, 5e-3 * p**n, rtol=1e-12, atol=0)
    assert np.allclose(a - b, 10e-3 * q**n, rtol=1e-11, atol=1e-18)
    assert np.allclose(a - b, 10e-3 * np.exp(-(1 / TAU + 2 * G / C) * n * DT), rtol=2e-2)  # and nearly so in time


@case("A gap junction equalises two passive cells, and leaves their mean alone.", 200, _gap, subject="library")
def gap_junction() -> ns.Network:
    net = network()
    cell = ns.Cell(PASSIVE, e=0 * mV, tau=TAU * ms, c=C * pF, receptors={"gap": GapJunction})
    pop = net.population("a", 2, cell, init={"v": np.array([10.0, 0.0]) * mV})
    net.connect(pop, pop, rule=ns.EdgeList([0, 1], [1, 0]), weight=G * nS)
    return record(net, ("a", "v"))


def _graded(r: Any) -> None:
    # the source stays where it is: g goes to w/2 where it is half open, and to w/(1 + e) a slope below
    n = np.arange(1, 101)
    for k, share in ((0, 0.5), (1, 1 / (1 + np.e))):
        want = 3e-9 * share * -np.expm1(-n * DT / 4.0)
        assert np.allclose(values(r, "b", "e.g", k), want, rtol=1e-12, atol=0), k


@case(
    "A graded synapse opens as far as the potential of its source says, with its time constant.", 100, _graded,
    subject="library",
)  # fmt: skip
def graded_synapse() -> ns.Network:
    net = network()
    still = ns.Cell("dv/dt = 0*(v - e)/ms", e=0 * mV)
    net.population("a", 2, still, init={"v": np.array([-35.0, -40.0]) * mV})
    cell = ns.Cell(PASSIVE, e=0 * mV, tau=TAU * ms, c=C * pF, receptors={"e": GradedSynapse(tau=4 * ms)})
    net.population("b", 2, cell)
    net.connect(net["a"], net["b"], rule=ns.OneToOne(), weight=3 * nS)
    return record(net, ("b", "e.g"))


def _rates(r: Any) -> None:
    # a linear network of rates: r' = (W r - r)/tau, with W = [[0, 2], [-2, 0]] held during a step
    p = float(np.exp(np.longdouble(-DT) / np.longdouble(TAU)))
    step = p * np.eye(2) + (1 - p) * np.array([[0.0, 2.0], [-2.0, 0.0]])
    x = np.array([1.0, 0.0])
    for n in range(300):
        x = step @ x
        got = [values(r, "a", "r", k)[n] for k in (0, 1)]
        assert np.allclose(got, x, rtol=1e-11, atol=1e-14), n
    assert min(values(r, "a", "r", 0)) < -0.2  # it turns


@case("Rates that turn each other follow the matrix of their step.", 300, _rates, subject="library")
def rate_link() -> ns.Network:
    net = network()
    pop = net.population("a", 2, ns.Cell("dr/dt = (i - r)/tau", tau=TAU * ms, receptors={"in": RateLink}),
                         init={"r": np.array([1.0, 0.0])})  # fmt: skip
    net.connect(pop, pop, rule=ns.EdgeList([1, 0], [0, 1]), weight=np.array([2.0, -2.0]))
    return record(net, ("a", "r"))

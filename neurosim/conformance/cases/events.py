"""Cases of events besides the spike, and of compartments: ages, order, implicit schemes, dendritic spikes."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import case, network, record, refusal, values
from neurosim.errors import ParameterError
from neurosim.lang.components import Cell, Event, Receptor
from neurosim.models import DCInput, SpikeSource
from neurosim.models.dendrites import DendriticSpike, L5Pyramidal, Passive
from neurosim.units import ms, mV, nS, pA, pF

NEVER = float(1 << 24)


def _age(r: Any) -> None:
    assert values(r, "p", "e") == [NEVER, NEVER, 0, 1, 2, 3, 0, 1]
    assert values(r, "p", "seen") == [NEVER, NEVER, NEVER, 1, 2, 3, 4, 1]
    assert r.events("p", "e").steps.tolist() == [2, 6]


@case(
    "The name of an event is the number of steps since it last happened, 2^24 if it has not: in step m, m - n after "
    "one of step n.",
    8,
    _age,
)
def event_age() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("k[n+1] = k + 1\nseen[n+1] = e", events={"e": Event("k == 3 or k == 7")}))
    return record(net, ("p", "e"), ("p", "seen"))


def _order(r: Any) -> None:
    assert values(r, "p", "x") == [0, 123, 123, 12323]
    assert values(r, "p", "y") == [0, 12, 12, 1232]


@case(
    "All conditions are tested on the new values before anything reacts; the spike reacts first, then the events in "
    "the order in which they are declared.",
    4,
    _order,
)
def events_in_order() -> ns.Network:
    events = {"a": Event("k >= 2", "x = 10*x + 2; y = x"), "b": Event("k >= 2", "x = 10*x + 3")}
    cell = Cell(
        "k[n+1] = k + 1\nx[n+1] = x\ny[n+1] = y", threshold="k >= 2", reset="k = 0; x = where(x == 0, 1, x)",
        events=events,
    )  # fmt: skip
    net = network()
    net.population("p", 1, cell)
    return record(net, ("p", "x"), ("p", "y"))


def _event_refractory(r: Any) -> None:
    found = r.events("p", "e")
    assert [found.steps[found.ids == k].tolist() for k in range(3)] == [list(range(12)), [0, 3, 6, 9], [0, 6]]


@case(
    "After an event of step n its condition is not tested in the next t/dt steps of its refractory period.",
    12,
    _event_refractory,
)
def event_refractory() -> ns.Network:
    net = network()
    cell = Cell("k[n+1] = k + 1", events={"e": Event("k > 0", refractory="rest")}, rest=[0.0, 0.2, 0.5] * ms)
    net.population("p", 3, cell)
    return record(net, ("p", "e"))


def _event_condition(r: Any) -> None:
    assert r.events("p", "e").steps.tolist() == [0, 5, 8]  # x at the beginning of steps 1 to 4, and 6, 7, is below 4
    assert values(r, "p", "x") == [0, 1, 2, 3, 4, 2, 3, 4, 2, 3]


@case("The refractory period of an event may be a condition, as that of the spike.", 10, _event_condition)
def event_refractory_condition() -> ns.Network:
    net = network()
    events = {"e": Event("x >= 0", "x = where(x > 4, 2, x)", refractory="x < 4")}
    net.population("p", 1, Cell("x[n+1] = x + 1", events=events), init={"x": -1.0})
    return record(net, ("p", "e"), ("p", "x"))


def _event_edge(r: Any) -> None:
    assert r.events("p", "rising").steps.tolist() == [0, 4, 8]
    assert r.events("p", "level").steps.tolist() == [0, 1, 4, 5, 8, 9]


@case("With edge=True an event happens only in the step in which its condition becomes true.", 12, _event_edge)
def event_edge() -> ns.Network:
    events = {"rising": Event("x < 2", edge=True), "level": Event("x < 2")}
    net = network()
    net.population("p", 1, Cell("x[n+1] = where(x > 2, 0, x + 1)", events=events), init={"x": 3.0})
    return record(net, ("p", "rising"), ("p", "level"))


def _time(r: Any) -> None:
    assert values(r, "p", "a") == [9, 9, 9, 9]
    assert [values(r, "p", "b", k)[-1] for k in range(3)] == [3, 4, 7]
    assert values(r, "p", "c") == [1, 2, 3, 4]


@case(
    "in_steps(t) is a time as a number of steps; where it differs between neurons or varies, it is rounded.", 4, _time
)
def time_in_steps() -> ns.Network:
    net = network()
    text = "a[n+1] = in_steps(t_a + 2*t_a)\nb[n+1] = in_steps(t_b)\nc[n+1] = in_steps(t + t_a/3)"
    net.population("p", 3, Cell(text, t_a=0.3 * ms, t_b=[0.349, 0.351, 0.7] * ms))
    return record(net, ("p", "a"), ("p", "b"), ("p", "c"))


@refusal(
    "in_steps of a constant time that is no whole number of steps is an error that names the nearest legal values.",
    ParameterError, "in_steps(t_a)", "0.2 ms or 0.3 ms",
)  # fmt: skip
def illegal_time_in_steps() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("a[n+1] = in_steps(t_a)", t_a=0.25 * ms))
    return net


def _chain(method: str) -> ns.Cell:
    parts = {"a": Passive(c_m=100 * pF, g_l=5 * nS), "b": Passive(c_m=40 * pF, g_l=2 * nS), "c": Passive(c_m=20 * pF)}
    return ns.compartments(parts, {("a", "b"): 12 * nS, ("b", "c"): 4 * nS}, method=method)


def _system() -> tuple[np.ndarray, np.ndarray]:
    c = np.array([100.0, 40.0, 20.0])[:, None]
    a = np.array([[-17.0, 12.0, 0.0], [12.0, -18.0, 4.0], [0.0, 4.0, -6.5]]) / c
    return a, np.array([0.0, 0.0, 50.0]) / c[:, 0]


def _implicit(r: Any) -> None:
    a, b = _system()
    for name, share in (("implicit_euler", 1.0), ("crank_nicolson", 0.5)):
        x = np.zeros(3)  # mV above rest; conductances in nS, capacitances in pF: rates in 1/ms, so dt is 0.1
        found = np.array([values(r, name, f"v_{part}") for part in "abc"])
        for n in range(50):
            x = x + np.linalg.solve(np.eye(3) - share * 0.1 * a, 0.1 * (a @ x + b))
            assert np.allclose(found[:, n], (x - 65) * 1e-3, rtol=0, atol=1e-14), (name, n)


@case(
    "An implicit scheme solves (1 - s dt A) d = dt f(x) for the step d of the variables that are linear in each other, "
    "with s = 1 (implicit_euler) or 1/2 (crank_nicolson) and A their coefficients at the start of the step.",
    50,
    _implicit,
)
def implicit_schemes() -> ns.Network:
    net = network()
    for method in ("implicit_euler", "crank_nicolson"):
        pop = net.population(method, 1, _chain(method))
        net.stimulate(pop, DCInput(50 * pA)(port="i_c"))
        for part in "abc":
            net.record(pop, f"v_{part}")
    return net


def _conductance(r: Any) -> None:
    """Two compartments, one with a conductance whose reversal potential is 0 and a block by its potential."""
    a, b = _system()
    a = a[:2, :2] + np.diag([0.0, 4.0 / 40])  # the third compartment is not there
    v, g = np.array([-65.0, -65.0]), 0.0
    for n in range(60):
        part = g / (1 + np.exp(-v[1] / 20)) / 40
        slope = a @ (v + 65) - np.array([0, part * v[1]])
        v = v + np.linalg.solve(np.eye(2) - 0.1 * (a - np.diag([0, part])), 0.1 * slope)
        g = g * np.exp(-0.1 / 3) + (60 if n == 10 else 0)
        found = [values(r, "p", f"v_{name}")[n] for name in "ab"]
        assert np.allclose(found, v * 1e-3, rtol=0, atol=1e-14), n


@case(
    "In A, the coefficient of a potential in a product of things that vary is the rest of the product at the start of "
    "the step: a conductance is implicit, its gates are not.",
    60,
    _conductance,
)
def implicit_conductance() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([9 * 0.1 * ms]))
    blocked = Receptor(
        "dg/dt = -g/tau", event="g += w", output="g/(1 + exp(-v/(20*mV)))*(e_rev - v)", tau=3 * ms, e_rev=0 * mV
    )
    parts = {"a": Passive(c_m=100 * pF, g_l=5 * nS), "b": Passive(c_m=40 * pF, g_l=2 * nS)}
    cell = ns.compartments(parts, {("a", "b"): 12 * nS}, receptors={"syn": blocked.at("b")})
    net.connect(source, net.population("p", 1, cell), weight=60 * nS, delay=0.1 * ms)
    return record(net, ("p", "v_a"), ("p", "v_b"))


def _exact(r: Any) -> None:
    a, b = _system()
    rates, modes = np.linalg.eig(a)
    steady = np.linalg.solve(a, -b)
    for n in range(40):
        x = steady - (modes * np.exp(rates * (n + 1))) @ np.linalg.solve(modes, steady)
        found = [values(r, "p", f"v_{part}")[n] for part in "abc"]
        assert np.allclose(found, (x - 65) * 1e-3, rtol=0, atol=1e-14), n


@case("Compartments that are linear with constant coefficients are solved exactly together.", 40, _exact, dt=1.0)
def coupled_compartments() -> ns.Network:
    net = network(dt=1.0)
    pop = net.population("p", 1, _chain("tree"))
    net.stimulate(pop, DCInput(50 * pA)(port="i_c"))
    return record(net, *((("p", f"v_{part}")) for part in "abc"))


def _dendritic(r: Any) -> None:
    v, last, found = -65.0, -(10**6), []
    for n in range(300):
        age = n - last
        i = 300.0 + (30 * (70 - v) if age <= 12 else 0) + (15 * (-89 - v) if 2 <= age <= 26 else 0)
        v += 0.1 * (2.5 * (-65 - v) + i) / 50
        if v >= -35 and age >= 50:
            last = n
            found.append(n)
        assert abs(values(r, "p", "v")[n] - v * 1e-3) < 1e-12, n
    assert r.events("p", "spike_na").steps.tolist() == found and len(found) > 3


@case("DendriticSpike: the two currents of Dendrify's dendritic spike, by a loop of its own.", 300, _dendritic,
      subject="library")  # fmt: skip
def dendritic_spike() -> ns.Network:
    net = network()
    pop = net.population("p", 1, Passive.insert(na=DendriticSpike())(method="euler"))
    net.stimulate(pop, DCInput(300 * pA))
    return record(net, ("p", "v"), ("p", "spike_na"))


def _pyramidal(r: Any) -> None:
    v, d, w, a, th, last, spikes = -70.0, -70.0, 0.0, 0.0, 0.0, -(10**6), []
    for n in range(2000):
        plateau = 1 / (1 + np.exp(-(d + 38) / 6))
        back = 2600.0 if n - last <= 20 else 0.0
        v, w, d, a, th = (
            v + 0.1 * ((-70 - v) / 16 + (1300 * plateau - w + 500) / 370),
            w - 0.1 * w / 100,
            d + 0.1 * ((-70 - d) / 7 + (1200 * plateau + back - a + 250) / 170),
            a + 0.1 * (13 * (d + 70) - a) / 30,
            th - 0.1 * th / 27,
        )
        assert abs(values(r, "p", "v_dend")[n] - d * 1e-3) < 1e-9, n
        if v > -50 + th:
            last = n
            spikes.append(n)
            v, w, th = -70.0, w + 200, th + 2
    assert r.spikes["p"].steps.tolist() == spikes and len(spikes) > 4


@case("L5Pyramidal: its equations by Euler, in a loop of its own.", 2000, _pyramidal, subject="library")
def l5_pyramidal() -> ns.Network:
    net = network()
    pop = net.population("p", 1, L5Pyramidal)
    net.stimulate(pop, DCInput(500 * pA)(port="i_soma"), name="soma")
    net.stimulate(pop, DCInput(250 * pA)(port="i_dend"), name="dend")
    return record(net, ("p", "spikes"), ("p", "v_dend"))

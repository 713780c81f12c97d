"""Cases of cells: refractory periods, thresholds, resets, jumps, integration, time arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import DT, HOLD, SYN, case, clock, listener, network, record, values, when
from neurosim.lang.components import Cell, Current, Receptor, TimedArray
from neurosim.models import SpikeSource
from neurosim.units import ms

# -- refractory period and clamping --------------------------------------------------------------------------------


def _refractory(r: Any) -> None:
    for name, steps in (("none", 0), ("one", 1), ("two", 20)):
        assert when(r, name) == list(range(0, 100, steps + 1)), name


@case(
    "After a spike of step n the threshold is not tested in the next t_ref/dt steps: 0, one step, 2 ms.",
    100,
    _refractory,
)
def refractory_steps() -> ns.Network:
    net = network()
    for name, t_ref in (("none", 0.0), ("one", 0.1), ("two", 2.0)):
        net.population(name, 1, Cell("v[n+1] = 2", threshold="v > 1", refractory=t_ref * ms))
        net.record(net[name], "spikes")
    return net


def _refractory_each(r: Any) -> None:
    assert [when(r, "p", k)[1] for k in range(4)] == [1, 3, 3, 5]


@case("Refractory periods given neuron by neuron are rounded to steps, ties to even.", 12, _refractory_each, dt=1.0)
def refractory_per_neuron() -> ns.Network:
    net = network(dt=1.0)
    net.population("p", 4, Cell("v[n+1] = 2", threshold="v > 1", refractory="t_r", t_r=[0.5, 1.5, 2.5, 3.6] * ms))
    return record(net, ("p", "spikes"))


def _condition(r: Any) -> None:
    # u at the beginning of step n is n: the period ends in step 8, when u has risen to 7.5 and more
    assert when(r, "free") == [2, 8, 11, 14, 17]
    assert values(r, "free", "v") == [1, 2, 0, 1, 2, 3, 4, 5, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert when(r, "still") == [2, 10, 13, 16, 19]
    assert values(r, "still", "v") == [1, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert when(r, "own") == [2, 7, 12, 17]  # the reset of the spike lets v begin anew, from -2


@case(
    "A condition in the place of the refractory period is tested at the beginning of each step after the spike's, on "
    "what the step before has left; the first step in which it does not hold ends it. Nothing stands still unless it "
    "is named.",
    20,
    _condition,
)
def refractory_condition() -> ns.Network:
    net = network()
    for name, clamp in (("free", None), ("still", "v")):
        cell = Cell("v[n+1] = v + 1\nu[n+1] = u + 1", threshold="v >= 3", reset="v = 0", refractory="u < 7.5",
                    clamp=clamp)  # fmt: skip
        net.population(name, 1, cell)
        record(net, (name, "spikes"), (name, "v"))
    net.population("own", 1, Cell("v[n+1] = v + 1", threshold="v >= 0", reset="v = -2", refractory="v < 2",
                                  init={"v": -3.0}))  # fmt: skip
    return record(net, ("own", "spikes"))


def _clamp(r: Any) -> None:
    assert when(r, "p") == [2, 8]
    assert values(r, "p", "v") == [1, 2, 0, 0, 0, 0, 1, 2, 0, 0]
    assert values(r, "p", "u") == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@case(
    "While refractory, the clamped variables (those the threshold reads, unless others are named) stand still; "
    "the rest goes on.",
    10,
    _clamp,
)
def clamping() -> ns.Network:
    net = network()
    net.population(
        "p", 1, Cell("v[n+1] = v + 1\nu[n+1] = u + 1", threshold="v >= 3", reset="v = 0", refractory=0.3 * ms)
    )
    return record(net, ("p", "spikes"), ("p", "v"), ("p", "u"))


def _input(r: Any) -> None:
    for name, kept in (("lost", [0, 0, 0, 0, 0, 0, 16, 16]), ("kept", [0, 2, 6, 14, 30, 30, 46, 46])):
        assert values(r, name, "v" if name == "lost" else "e.x") == kept, name
    assert when(r, "lost") == [0]


@case("An arrival at a clamped variable is lost while it is clamped; one at another variable is not.", 8, _input)
def input_while_refractory() -> ns.Network:
    net = network()
    source = net.population("source", 5, Cell("k[n+1] = k + 1", threshold="k == when", when=[1, 2, 3, 4, 6.0]))
    weights = np.array([2.0, 4.0, 8.0, 16.0, 16.0])
    for name, receptor in (("lost", Receptor(event="v += w")), ("kept", HOLD)):
        cell = Cell(
            "v[n+1] = v",
            threshold="v >= 1 and t < 4.5*dt",
            reset="v = 0",
            refractory=0.4 * ms,
            receptors={"e": receptor},
        )
        target = net.population(name, 1, cell, init={"v": 1.0})
        net.connect(source, target, rule=ns.EdgeList(range(5), [0] * 5), weight=weights)
        net.record(target, "v" if name == "lost" else "e.x")
    return record(net, ("lost", "spikes"))


def _coupled(r: Any) -> None:
    v, w = np.array(values(r, "p", "v")), np.array(values(r, "p", "w"))
    spike = when(r, "p")[0]
    held = slice(spike, spike + 21)
    assert np.all(v[held] == 0.2)
    assert v[spike + 21] != 0.2
    expected = 0.1 + (w[spike] - 0.1) * np.exp(-np.arange(21) * DT / 30)
    assert np.allclose(w[held], expected, rtol=1e-13)


@case("A clamped variable is a constant in the equations of the others, which are still solved exactly.", 200, _coupled)
def clamped_and_coupled() -> ns.Network:
    net = network()
    net.population(
        "p",
        1,
        Cell(
            "dv/dt = (2 - v - w)/tau\ndw/dt = (a*v - w)/tau_w",
            threshold="v >= 1",
            reset="v = 0.2; w += 0.3",
            refractory=2 * ms,
            tau=10 * ms,
            tau_w=30 * ms,
            a=0.5,
        ),
    )
    return record(net, ("p", "spikes"), ("p", "v"), ("p", "w"))


# -- threshold and reset -------------------------------------------------------------------------------------------


def _comparison(r: Any) -> None:
    assert [len(r.spikes[n]) for n in ("ge", "gt", "near", "both")] == [1, 0, 1, 1]


@case(
    "The comparison of the threshold is the one that is written: v = v_th fires with >= and not with >.", 1, _comparison
)
def threshold_comparison() -> ns.Network:
    net = network()
    for name, text in (
        ("ge", "v >= 1"),
        ("gt", "v > 1"),
        ("near", "v > 0.9999999999999999"),
        ("both", "v >= 1 and not v > 1"),
    ):
        net.population(name, 1, Cell("v[n+1] = v", threshold=text), init={"v": 1.0})
        net.record(net[name], "spikes")
    return net


def _after_update(r: Any) -> None:
    assert [when(r, "p", k) for k in range(3)] == [[1], [], []]
    assert r.state["p"]["v"].values[1].tolist() == [1.0, 0.5, 0.25]


@case("The threshold is tested after the update of the step, on the new values, arrivals included.", 3, _after_update)
def threshold_sees_new_values() -> ns.Network:
    net = network()
    source = net.population("source", 2, clock(0))
    p = net.population("p", 3, Cell("v[n+1] = 0", threshold="v >= 1", receptors={"e": Receptor(event="v += w")}))
    net.connect(source, p, weight=np.array([[1.0, 0.5, 1.0], [0.0, 0.0, -0.75]]))
    return record(net, ("p", "spikes"), ("p", "v"))


def _edge(r: Any) -> None:
    assert when(r, "edge") == [1, 4, 7]
    assert when(r, "level") == [1, 2, 4, 7, 8]


@case("An edge threshold fires only in the step in which its condition becomes true.", 9, _edge)
def edge_threshold() -> ns.Network:
    net = network()
    for name in ("edge", "level"):
        net.population(name, 1, Cell("v[n+1] = i", threshold="v > 1", edge=name == "edge"))
        net.stimulate(net[name], Current(output="a", a=TimedArray([0, 2, 2, 0, 2, 0, 0, 2, 2], DT * ms)))
        net.record(net[name], "spikes")
    return net


def _reset(r: Any) -> None:
    assert values(r, "value", "v") == [1.5, 0.25, 1.75, 0.25, 1.75, 0.25]
    assert values(r, "subtraction", "v") == [1.5, 1.0, 0.5, 0.0, 1.5, 1.0]


@case("A reset is to a value or by subtraction, as written.", 6, _reset)
def reset() -> ns.Network:
    net = network()
    for name, text in (("value", "v = 0.25"), ("subtraction", "v -= 2")):
        net.population(name, 1, Cell("v[n+1] = v + 1.5", threshold="v >= 2", reset=text))
        net.record(net[name], "v")
    return net


def _statements(r: Any) -> None:
    assert values(r, "p", "u") == [5.0]
    assert values(r, "p", "v") == [1.0]


@case("The statements of a reset run in order; each reads what those before it have written.", 1, _statements)
def reset_in_order() -> ns.Network:
    net = network()
    net.population(
        "p",
        1,
        Cell("v[n+1] = v\nu[n+1] = u", threshold="v >= 2", reset="u = v; v = u - 2; u += v + v"),
        init={"v": 3.0},
    )
    net.record(net["p"], "u")
    net.record(net["p"], "v")
    return net


def _lists(r: Any) -> None:
    assert [when(r, "once", k) for k in range(3)] == [[0, 3], [], [3, 11]]
    assert [when(r, "again", k) for k in range(2)] == [[1, 5, 9, 13], [3, 7, 11]]
    assert np.flatnonzero(values(r, "q", "e.x")).tolist() == [2, 5, 13]


@case("A source of given times spikes at n dt in step n; with a period, the pattern repeats.", 14, _lists)
def spike_lists() -> ns.Network:
    net = network()
    once = net.population("once", 3, SpikeSource([[0.0, 0.3] * ms, [] * ms, [1.1, 0.3] * ms]))
    net.population("again", 2, SpikeSource([0.1, 0.3] * ms, [0, 1], period=0.4 * ms))
    q = net.population("q", 1, listener())
    net.connect(once, q, weight=1.0, delay=0.2 * ms)
    net.record(q, "e.x")
    return record(net, ("once", "spikes"), ("again", "spikes"))


# -- jumps ---------------------------------------------------------------------------------------------------------


def _jump(r: Any) -> None:
    decay = np.exp(-DT / 5)
    after, before = values(r, "after", "e.x"), values(r, "before", "e.x")
    assert np.allclose(after, [0, 0, 3, 3 * decay, 3 * decay**2], rtol=1e-15)
    assert np.allclose(before, [0, 0, 3 * decay, 3 * decay**2, 3 * decay**3], rtol=1e-15)
    assert [v > 0 for v in values(r, "after", "v")] == [False, False, False, True, True]
    assert [v > 0 for v in values(r, "before", "v")] == [False, False, True, True, True]


@case(
    "An arrival lands after the decay of its step (when='after') or before it (when='before'), as the receptor says.",
    5,
    _jump,
)
def jump_after_or_before() -> ns.Network:
    net = network()
    source = net.population("source", 1, clock(1))
    for name in ("after", "before"):
        cell = Cell("dv/dt = (i - v)/tau", tau=2 * ms, receptors={"e": SYN(when=name)})
        net.connect(source, net.population(name, 1, cell), weight=3.0)
        net.record(net[name], "e.x")
        net.record(net[name], "v")
    return net


def _gains(r: Any) -> None:
    for name in ("after", "before"):
        assert values(r, name, "v") == [10, 13]
        assert values(r, name, "u") == [0, 20]


@case("All jumps of a step read the values before any of them.", 2, _gains)
def gains_read_before_the_jumps() -> ns.Network:
    net = network()
    source = net.population("source", 1, clock(0))
    for name in ("after", "before"):
        cell = Cell(
            "v[n+1] = v\nu[n+1] = u",
            receptors={
                "e": Receptor(event="v += 2*w; u += v*w; v += w", when=name),
                "f": Receptor(event="u += v*w", when=name),
            },
        )
        target = net.population(name, 1, cell, init={"v": 10.0})
        for receptor in ("e", "f"):
            net.connect(source, target, receptor=receptor, weight=1.0)
        net.record(target, "v")
        net.record(target, "u")
    return net


# -- integration ---------------------------------------------------------------------------------------------------


def _exact(r: Any) -> None:
    t = np.arange(1, 51) * DT
    assert np.allclose(values(r, "p", "v"), t / 5 * np.exp(-t / 5), rtol=1e-13)
    assert np.allclose(values(r, "p", "x"), np.exp(-t / 5), rtol=1e-13)


@case("Linear equations with constant coefficients are solved exactly, equal time constants included.", 50, _exact)
def exact_integration() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("dv/dt = (x - v)/tau\ndx/dt = -x/tau", tau=5 * ms), init={"x": 1.0})
    return record(net, ("p", "v"), ("p", "x"))


def _exponential(r: Any) -> None:
    v, g = 0.1, 2.0
    for got_v, got_g in zip(values(r, "p", "v"), values(r, "p", "g"), strict=True):
        a = -(1 + g) / 3
        v, g = v + (a * v + g / 3) * (np.expm1(a * DT) / a), g * np.exp(-DT / 7)
        assert np.allclose([got_v, got_g], [v, g], rtol=1e-12)


@case(
    "What is not linear with constant coefficients takes an exponential Euler step, its coefficients those of "
    "the start of the step.",
    20,
    _exponential,
)
def exponential_euler() -> ns.Network:
    net = network()
    net.population(
        "p",
        1,
        Cell("dv/dt = (g*(1 - v) - v)/tau\ndg/dt = -g/tau_g", tau=3 * ms, tau_g=7 * ms),
        init={"g": 2.0, "v": 0.1},
    )
    return record(net, ("p", "v"), ("p", "g"))


def _schemes(r: Any) -> None:
    def f(x: float) -> float:
        return 1 - x * x

    h, x = 0.1, 0.3
    k1 = f(x)
    k2 = f(x + k1 * (h / 2))
    k3 = f(x + k2 * (h / 2))
    k4 = f(x + k3 * h)
    expected = {"euler": x + h * k1, "rk2": x + h * k2, "rk4": x + h / 6 * (k1 + 2 * (k2 + k3) + k4)}
    for name, value in expected.items():
        assert np.isclose(values(r, name, "v")[0], value, rtol=1e-15)


@case("euler, rk2 (midpoint) and rk4 (classical) step all equations together.", 1, _schemes)
def explicit_schemes() -> ns.Network:
    net = network()
    for name in ("euler", "rk2", "rk4"):
        net.population(name, 1, Cell("dv/dt = (1 - v*v)/tau", tau=1 * ms, method=name), init={"v": 0.3})
        net.record(net[name], "v")
    return net


def _updates(r: Any) -> None:
    x, y, z, u, w, v = (np.array(values(r, "p", k)) for k in "xyzuwv")
    assert x.tolist() == [1, 2, 3, 4, 5]
    assert y.tolist() == [0, 1, 2, 3, 4]
    assert z.tolist() == x.tolist()
    assert np.array_equal(u, v)
    assert np.array_equal(w[1:], v[:-1])


@case("A discrete update reads old values, and the new value of y where it says y[n+1].", 5, _updates)
def discrete_updates() -> ns.Network:
    net = network()
    net.population(
        "p",
        1,
        Cell(
            "x[n+1] = x + 1\ny[n+1] = x\nz[n+1] = x[n+1]\ndv/dt = (x - v)/tau\nu[n+1] = v[n+1]\nw[n+1] = v", tau=1 * ms
        ),
    )
    return record(net, *(("p", k) for k in "xyzuwv"))


def _flush(r: Any) -> None:
    x = np.array(values(r, "p", "x"))
    assert x[68] > 0
    assert np.all(x[70:] == 0.0)
    assert np.all((x == 0) | (x >= 1e-300))


@case("A decaying variable is set to 0 where its magnitude falls below 1e-300.", 90, _flush)
def flush_to_zero() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("dx/dt = -x/tau", tau=0.01 * ms), init={"x": 1.0})
    return record(net, ("p", "x"))


# -- time arrays ---------------------------------------------------------------------------------------------------


def _rows(r: Any) -> None:
    assert values(r, "hold", "v") == [1, 1, 2, 2, 3, 3, 3, 3]
    assert values(r, "repeat", "v") == [1, 1, 2, 2, 3, 3, 1, 1]
    assert [values(r, "each", "v", k) for k in range(2)] == [[1, 3, 5] + [5] * 5, [2, 4, 6] + [6] * 5]


@case(
    "Row k of a time array holds from k to k+1 of its intervals; the last row holds on, or the first follows it.",
    8,
    _rows,
)
def time_arrays() -> ns.Network:
    net = network()
    rows = {
        "hold": TimedArray([1, 2, 3], 0.2 * ms),
        "repeat": TimedArray([1, 2, 3], 0.2 * ms, repeat=True),
        "each": TimedArray([[1, 2], [3, 4], [5, 6]], 0.1 * ms),
    }
    for name, array in rows.items():
        net.population(name, 2, Cell("v[n+1] = a", a=array))
        net.record(net[name], "v")
    return net

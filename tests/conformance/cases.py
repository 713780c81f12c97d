"""Hand-written cases: one for every sentence of docs/semantics.md that a run can show.

A case is a network, how long it runs, and a check of what comes out; the check is worked out by hand or with other
code than the engine's, so every backend is tested against the sentence and not against another backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.ir.distributions import Draw
from neurosim.ir.interp import call
from neurosim.ir.random import Draws, poisson_from_words, poisson_inversion, poisson_thresholds
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.models import SpikeSource
from neurosim.units import Hz, Quantity, ms


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes
    ----------
    name, sentence : str
        Its name, and the sentence of docs/semantics.md that it shows.
    build : callable
        Makes the network.
    duration : Quantity
        How long it runs.
    check : callable
        Raises AssertionError where the result is not what the sentence says.
    tolerance : str
        Class of docs/semantics.md; E0: the same spikes on every engine.
    options : dict
        Options of the run.
    """

    name: str
    sentence: str
    build: Callable[[], ns.Network]
    duration: Quantity
    check: Callable[[Any], None]
    tolerance: str = "E0"
    options: dict[str, Any] = field(default_factory=dict)


CASES: list[Case] = []
DT = 0.1


def case(sentence: str, steps: int, check: Callable[[Any], None], dt: float = DT, **more: Any):
    """Enter a network under its function's name."""

    def enter(build: Callable[[], ns.Network]) -> Callable[[], ns.Network]:
        CASES.append(Case(build.__name__, sentence, build, steps * dt * ms, check, **more))
        return build

    return enter


# -- small parts ---------------------------------------------------------------------------------------------------

SYN = Receptor("dx/dt = -x/tau", event="x += w", output="x", tau=5 * ms)
HOLD = Receptor("x[n+1] = x", event="x += w", name="Hold")
FLASH = Receptor("x[n+1] = 0*x", event="x += w", name="Flash")


def network(dt: float = DT, seed: int = 11) -> ns.Network:
    return ns.Network("case", dt=dt * ms, seed=seed)


def clock(*steps: int, **more: Any) -> Cell:
    """A cell that spikes in the given steps, counted by itself."""
    condition = " or ".join(f"k == {n + 1}" for n in steps)
    return Cell("k[n+1] = k + 1", threshold=condition, name="Clock", **more)


def listener(receptor: Receptor = FLASH, **more: Any) -> Cell:
    """A cell that only receives."""
    return Cell("v[n+1] = v", receptors={"e": receptor}, name="Listener", **more)


def when(result: Any, name: str, neuron: int = 0) -> list[int]:
    """Return the steps in which a neuron spiked."""
    spikes = result.spikes[name]
    return spikes.steps[spikes.ids == neuron].tolist()


def values(result: Any, name: str, variable: str, neuron: int = 0) -> list[float]:
    """Return a neuron's trace."""
    return result.state[name][variable].of(neuron).tolist()


def record(net: ns.Network, *what: tuple[str, str]) -> ns.Network:
    for name, variable in what:
        net.record(net[name], variable)
    return net


# -- time ----------------------------------------------------------------------------------------------------------


def _stamp(r: Any) -> None:
    assert when(r, "p") == [3, 7, 11]
    assert r.spikes["p"].t.tolist() == [3 * 1e-4, 7 * 1e-4, 11 * 1e-4]
    assert r.state["p"]["v"].times.tolist() == [(n + 1) * 1e-4 for n in range(12)]
    assert values(r, "p", "v") == [1, 2, 3, 0] * 3


@case("Step n covers [n dt, (n+1) dt): a spike found in it is stamped n dt, a value after it is labelled (n+1) dt.", 12, _stamp)
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


@case("The shortest delay is one step: a spike cannot act in the step in which it is found, whatever the order of the populations.",
      10, _one)  # fmt: skip
def shortest_delay() -> ns.Network:
    net = network()
    a = net.population("a", 1, Cell("v[n+1] = v", threshold="v >= 1 or t > 0.5*dt and t < 1.5*dt", reset="v = 0",
                                    receptors={"e": Receptor(event="v += w")}))  # fmt: skip
    b = net.population("b", 1, Cell("v[n+1] = v", threshold="v >= 1", reset="v = 0", receptors={"e": Receptor(event="v += w")}))
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


@case("Delays outside the bounds of their distribution are moved to the bound (clip) or drawn from what lies within (redraw).", 9, _bounds,
      dt=1.0)  # fmt: skip
def bounded_delays() -> ns.Network:
    net = network(dt=1.0)
    source = net.population("source", 1, clock(0))
    for name, how in (("q", "clip"), ("r", "redraw")):
        net.connect(source, net.population(name, 100, listener()), weight=1.0,
                    delay=ns.normal(3 * ms, 3 * ms, lo=2 * ms, hi=6 * ms, how=how))  # fmt: skip
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


# -- refractory period and clamping --------------------------------------------------------------------------------


def _refractory(r: Any) -> None:
    for name, steps in (("none", 0), ("one", 1), ("two", 20)):
        assert when(r, name) == list(range(0, 100, steps + 1)), name


@case("After a spike of step n the threshold is not tested in the next t_ref/dt steps: 0, one step, 2 ms.", 100, _refractory)
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


def _clamp(r: Any) -> None:
    assert when(r, "p") == [2, 8]
    assert values(r, "p", "v") == [1, 2, 0, 0, 0, 0, 1, 2, 0, 0]
    assert values(r, "p", "u") == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@case("While refractory, the clamped variables (those the threshold reads, unless others are named) stand still; the rest goes on.", 10, _clamp)
def clamping() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("v[n+1] = v + 1\nu[n+1] = u + 1", threshold="v >= 3", reset="v = 0", refractory=0.3 * ms))
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
        cell = Cell("v[n+1] = v", threshold="v >= 1 and t < 4.5*dt", reset="v = 0", refractory=0.4 * ms, receptors={"e": receptor})
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
    net.population("p", 1, Cell("dv/dt = (2 - v - w)/tau\ndw/dt = (a*v - w)/tau_w", threshold="v >= 1", reset="v = 0.2; w += 0.3",
                                refractory=2 * ms, tau=10 * ms, tau_w=30 * ms, a=0.5))  # fmt: skip
    return record(net, ("p", "spikes"), ("p", "v"), ("p", "w"))


# -- threshold and reset -------------------------------------------------------------------------------------------


def _comparison(r: Any) -> None:
    assert [len(r.spikes[n]) for n in ("ge", "gt", "near", "both")] == [1, 0, 1, 1]


@case("The comparison of the threshold is the one that is written: v = v_th fires with >= and not with >.", 1, _comparison)
def threshold_comparison() -> ns.Network:
    net = network()
    for name, text in (("ge", "v >= 1"), ("gt", "v > 1"), ("near", "v > 0.9999999999999999"), ("both", "v >= 1 and not v > 1")):
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
    net.population("p", 1, Cell("v[n+1] = v\nu[n+1] = u", threshold="v >= 2", reset="u = v; v = u - 2; u += v + v"), init={"v": 3.0})
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


@case("An arrival lands after the decay of its step (when='after') or before it (when='before'), as the receptor says.", 5, _jump)
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
        cell = Cell("v[n+1] = v\nu[n+1] = u", receptors={"e": Receptor(event="v += 2*w; u += v*w; v += w", when=name),
                                                            "f": Receptor(event="u += v*w", when=name)})  # fmt: skip
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


@case("What is not linear with constant coefficients takes an exponential Euler step, its coefficients those of the start of the step.",
      20, _exponential)  # fmt: skip
def exponential_euler() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("dv/dt = (g*(1 - v) - v)/tau\ndg/dt = -g/tau_g", tau=3 * ms, tau_g=7 * ms), init={"g": 2.0, "v": 0.1})
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
    net.population("p", 1, Cell("x[n+1] = x + 1\ny[n+1] = x\nz[n+1] = x[n+1]\ndv/dt = (x - v)/tau\nu[n+1] = v[n+1]\nw[n+1] = v", tau=1 * ms))
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


@case("Row k of a time array holds from k to k+1 of its intervals; the last row holds on, or the first follows it.", 8, _rows)
def time_arrays() -> ns.Network:
    net = network()
    rows = {"hold": TimedArray([1, 2, 3], 0.2 * ms), "repeat": TimedArray([1, 2, 3], 0.2 * ms, repeat=True),
            "each": TimedArray([[1, 2], [3, 4], [5, 6]], 0.1 * ms)}  # fmt: skip
    for name, array in rows.items():
        net.population(name, 2, Cell("v[n+1] = a", a=array))
        net.record(net[name], "v")
    return net


# -- weights and sums ----------------------------------------------------------------------------------------------


def _grid(r: Any) -> None:
    w = r.weights("s")
    given = np.array([1.0, 1 / 3, 1e-9, -0.1, 1e-13])
    assert np.all(w == np.rint(given * 2.0**39) / 2.0**39)
    assert w[4] == 0.0
    assert np.array_equal(r.state["q"]["e.x"].values[1], w), "what weights() returns is what is delivered"


@case("Weights are rounded, ties to even, to a grid 40 bits below the power of two above the largest of their receptor.", 3, _grid)
def weight_grid() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0)), net.population("q", 5, listener())
    net.connect(source, q, rule=ns.EdgeList([0] * 5, range(5)), weight=np.array([1.0, 1 / 3, 1e-9, -0.1, 1e-13]), name="s")
    return record(net, ("q", "e.x"))


def _sums(r: Any) -> None:
    weights = np.rint(_SUMMANDS / 2.0**-36) * 2.0**-36
    exact = float(sum(int(w * 2**36) for w in weights)) / 2**36
    for name in ("forward", "backward", "split"):
        assert values(r, name, "e.x")[1] == exact, name


_SUMMANDS = np.random.default_rng(5).normal(size=400) * 10.0 ** np.random.default_rng(6).uniform(-6, 0, 400)
_SUMMANDS[0] = 9.9


@case("What arrives in a step adds up without rounding: any order and any division among projections gives the same bits.", 3, _sums)
def sums_have_no_order() -> ns.Network:
    net = network()
    source, n = net.population("source", 400, clock(0)), np.arange(400)
    orders = {"forward": [n], "backward": [n[::-1]], "split": [n[1::2], n[0:1], n[2::2][::-1]]}
    for name, parts in orders.items():
        target = net.population(name, 1, listener())
        for part in parts:
            net.connect(source, target, rule=ns.EdgeList(part, np.zeros(len(part), int)), weight=_SUMMANDS[part])
        net.record(target, "e.x")
    return net


def _multapses(r: Any) -> None:
    assert values(r, "q", "e.x")[1] == 3 * 0.5 + 0.25
    assert values(r, "source", "e.x")[1] == 2.0


@case("Several connections from one neuron to another all count, and so does one from a neuron to itself.", 3, _multapses)
def multapses_and_autapses() -> ns.Network:
    net = network()
    source = net.population("source", 1, clock(0, receptors={"e": FLASH}))
    q = net.population("q", 1, listener())
    net.connect(source, q, rule=ns.EdgeList([0, 0, 0], [0, 0, 0]), weight=0.5)
    net.connect(source, q, weight=0.25)
    net.connect(source, source, weight=2.0)
    return record(net, ("q", "e.x"), ("source", "e.x"))


def _groups(r: Any) -> None:
    first = np.flatnonzero(r.state["a"]["e.x"].values[1]).tolist(), r.state["a"]["e.x"].values[1].tolist()
    assert first == ([0, 1], [2.0, 1.0, 0.0])
    assert r.state["b"]["e.x"].values[1].tolist() == [0.0, 3.0]


@case("Neurons of a part keep its order, those of a union follow one another.", 3, _groups)
def parts_and_unions() -> ns.Network:
    net = network()
    source = net.population("source", 3, clock(0))
    a, b = net.population("a", 3, listener()), net.population("b", 2, listener())
    targets = a[[1, 0]] + b[1]
    # the i-th source to the i-th target: a's 0 (ascending within a union's own parts), then its 1, then b's 1
    net.connect(source, targets, rule=ns.OneToOne(), weight="1 + i")
    return record(net, ("a", "e.x"), ("b", "e.x"))


# -- chance --------------------------------------------------------------------------------------------------------


def _uniform(r: Any) -> None:
    u, z = Draws(11, "p/uniform0"), Draws(11, "p/normal1")
    for n in range(4):
        assert np.array_equal(r.state["p"]["x"].values[n], u.uniform(0, 70, n))
        assert np.array_equal(r.state["p"]["y"].values[n], call("ndtri", z.uniform(0, 70, n)))


@case("uniform() and normal() are those of the stream <population>/<name><number>, at the neuron's index and the step.", 4, _uniform)
def random_numbers() -> ns.Network:
    net = network()
    net.population("p", 70, Cell("x[n+1] = uniform()\ny[n+1] = normal()"))
    return record(net, ("p", "x"), ("p", "y"))


def _streams(r: Any) -> None:
    x, y, z = (r.state["p"][k].values.ravel() for k in ("x", "y", "z"))
    q = r.state["q"]["x"].values.ravel()
    few = r.state["p"]["x"].values[:, :40]
    assert not np.any(x == y)
    for a, b in ((x, y), (x, z), (y, z), (x, q)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.05
    assert abs(np.corrcoef(few[0], few[1])[0, 1]) < 0.5
    again = Draws(11, "p/uniform0")
    assert np.array_equal(few[3], again.uniform(0, 40, 3)), "the number of neurons does not matter"


@case("Streams of different names are independent: each call of uniform(), each population, each step.", 6, _streams)
def independent_streams() -> ns.Network:
    net = network()
    cell = Cell("x[n+1] = uniform()\ny[n+1] = uniform()\nz[n+1] = z", threshold="uniform() < 2", reset="z = uniform()")
    for name in ("p", "q"):
        net.population(name, 1000, cell)
    return record(net, ("p", "x"), ("p", "y"), ("p", "z"), ("q", "x"))


def _drawn_values(r: Any) -> None:
    v = Draw("uniform", 1.0, 2.0).sample(Draws(11, "value:p.v(0)"), 0, 50)
    k = Draw("normal", 0.0, 1.0).sample(Draws(11, "value:p.k"), 0, 50)
    assert np.array_equal(r.state["p"]["v"].values[0], v + k)


@case("Drawn parameters and initial values are those of the streams value:<population>.<name> and value:<population>.<name>(0).", 1,
      _drawn_values)  # fmt: skip
def drawn_values() -> ns.Network:
    net = network()
    net.population("p", 50, Cell("v[n+1] = v + k", k=ns.normal(0.0, 1.0)), init={"v": ns.uniform(1.0, 2.0)})
    return record(net, ("p", "v"))


def _poisson(r: Any) -> None:
    draws = Draws(11, "p/noise.count")
    x = np.zeros(100)
    for n in range(20):
        words = draws.words(0, 100, n)
        counts = np.where(np.arange(100) % 2, poisson_from_words(words, poisson_thresholds(0.5)), poisson_from_words(words, poisson_thresholds(2.0)))
        x = x + 0.25 * counts
        assert np.array_equal(r.state["p"]["e.x"].values[n], x), "the spikes of step n are there after step n: there is no delay"


@case("A Poisson drive draws one count per neuron and step by inversion, and delivers it in that step.", 20, _poisson, dt=1.0)
def poisson_drive() -> ns.Network:
    net = network(dt=1.0)
    p = net.population("p", 100, listener(HOLD))
    net.stimulate(p, Drive(rate=np.where(np.arange(100) % 2, 500.0, 2000.0) * Hz, weight=0.25), name="noise")
    return record(net, ("p", "e.x"))


def _poisson_varying(r: Any) -> None:
    draws, x = Draws(11, "p/noise.count"), np.zeros(60)
    for n in range(20):
        rate = [100.0, 3000.0][n // 10]
        x = x + poisson_inversion(draws.words(0, 60, n), np.float64(rate) * np.float64(1.0) * np.float64(1e-3))
        assert np.array_equal(r.state["p"]["e.x"].values[n], x)


@case("A rate that varies in time is inverted step by step, with the same words.", 20, _poisson_varying, dt=1.0)
def poisson_drive_varying() -> ns.Network:
    net = network(dt=1.0)
    p = net.population("p", 60, listener(HOLD))
    net.stimulate(p, Drive(rate=TimedArray([100, 3000] * Hz, 10 * ms), weight=1.0), name="noise")
    return record(net, ("p", "e.x"))


def _off(r: Any) -> None:
    counts = r.state["p"]["e.x"].values[-1]
    assert np.all(counts[[0, 2]] > 0)
    assert np.all(counts[[1, 3, 4]] == 0)
    assert r.state["p"]["v"].values[-1].tolist() == [0, 0, 0, 7, 7]


@case("A stimulus of a part of a population does nothing to the other neurons.", 300, _off)
def stimulus_of_a_part() -> ns.Network:
    net = network()
    p = net.population("p", 5, Cell("v[n+1] = i", receptors={"e": HOLD}))
    net.stimulate(p[[0, 2]], Drive(rate=1000 * Hz, weight=1.0))
    net.stimulate(p[3:], Current(output="7"))
    return record(net, ("p", "e.x"), ("p", "v"))


def _connectivity(r: Any) -> None:
    u = Draws(11, "edges:w/rule").uniform(0, 900)
    keep = np.flatnonzero(u < 0.2)
    weights = Draw("normal", 1.0, 0.1).sample(Draws(11, "edges:w/weight"), 0, len(keep))
    top = 2.0 ** (np.frexp(Draw("normal", 1.0, 0.1).bound())[1] - 40)
    delivered = np.rint(weights / top) * top
    assert np.array_equal(r.weights("w"), delivered)
    x = np.zeros(30)
    for edge, w in zip(keep, delivered, strict=True):
        x[edge % 30] += w
    assert np.array_equal(r.state["q"]["e.x"].values[1], x)


@case("Edges, weights and delays draw from the streams edges:<projection>/rule, /weight and /delay, in the canonical order.", 3, _connectivity)
def drawn_connectivity() -> ns.Network:
    net = network()
    source, q = net.population("source", 30, clock(0)), net.population("q", 30, listener())
    net.connect(source, q, rule=ns.Where(p=0.2), weight=ns.normal(1.0, 0.1), name="w")
    return record(net, ("q", "e.x"))


# -- single precision ----------------------------------------------------------------------------------------------


def _single(r: Any) -> None:
    v = np.float32(0.0)
    p, q = np.float32(np.exp(-0.1 / 3)), np.float32(-np.expm1(-0.1 / 3))
    for got in values(r, "p", "v"):
        v = np.float32(p * v) + q
        assert got == float(v)
    u = ((Draws(11, "p/uniform0").words(0, 9, 4) >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    assert r.state["p"]["x"].values[4].tolist() == u.tolist()


@case("In single precision every number of a step is rounded to 24 bits; uniform() takes the upper 23 bits of its word.", 40, _single,
      options={"precision": "single"})  # fmt: skip
def single_precision() -> ns.Network:
    net = network()
    net.population("p", 9, Cell("dv/dt = (1 - v)/tau\nx[n+1] = uniform()", tau=3 * ms))
    return record(net, ("p", "v"), ("p", "x"))


# -- nothing at all ------------------------------------------------------------------------------------------------


def _nothing(r: Any) -> None:
    assert len(r.spikes["p"]) == 0
    assert r.provenance.n_steps == 0
    assert r.provenance.status == "finished"


@case("A run of no steps is a run.", 0, _nothing)
def no_steps() -> ns.Network:
    net = network()
    net.population("p", 2, Cell("v[n+1] = v", threshold="v >= 0"))
    return record(net, ("p", "spikes"))


def balanced(n: int = 200, seed: int = 3) -> ns.Network:
    """A small balanced network with all kinds of chance in it: what two runs, engines or thread counts are compared on."""
    net = ns.Network("balanced", dt=DT * ms, seed=seed)
    cell = Cell("dv/dt = (i - v)/tau\ndg/dt = -g/tau_g", threshold="v >= 1 + g", reset="v = 0; g += 0.1", refractory=1 * ms, clamp="v",
                tau=ns.normal(10 * ms, 1 * ms, lo=5 * ms), tau_g=50 * ms,
                receptors={"exc": SYN, "inh": SYN(tau=8 * ms)})  # fmt: skip
    exc = net.population("exc", n * 4 // 5, cell, init={"v": ns.uniform(0.0, 1.0)})
    inh = net.population("inh", n - n * 4 // 5, cell, init={"v": ns.uniform(0.0, 1.0)})
    net.connect([exc], [exc, inh], receptor="exc", rule=ns.FixedProbability(0.1), weight=ns.normal(0.12, 0.02), delay=ns.uniform(0.1 * ms, 2 * ms))
    net.connect(inh, exc + inh, receptor="inh", rule=ns.FixedInDegree(6), weight=-0.4, delay=0.8 * ms)
    net.stimulate(exc + inh, Drive(rate=5000 * Hz, weight=0.06, receptor="exc"))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net


__all__ = ["CASES", "Case", "balanced"]

"""Cases that planted faults have asked for: each shows a sentence that some engine could break unseen before."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import DT, HOLD, case, clock, listener, network, record, refusal, values, when
from neurosim.errors import DivergedError
from neurosim.ir.random import Draws, poisson_from_words, poisson_thresholds
from neurosim.lang.components import Cell, Drive, Receptor
from neurosim.models import LIF, DCInput, DeltaCurrent, ExpCurrent, SpikeSource
from neurosim.units import Hz, ms, mV

SCHEMES = ("exact", "exponential_euler", "euler", "rk2", "rk4")


def _held(r: Any) -> None:
    for name in SCHEMES:
        v, u, spikes = values(r, name, "v"), values(r, name, "u"), when(r, name)
        assert len(spikes) == 2, name
        for n in spikes:
            assert v[n : n + 4] == [0.25] * 4, name
            assert v[n + 4] > 0.25, name
        assert np.all(np.diff(u) > 0), name


@case("Clamped variables stand still under every scheme of integration, and the others go on.", 36, _held)
def clamping_in_every_scheme() -> ns.Network:
    net = network()
    for name in SCHEMES:
        cell = Cell("dv/dt = (2 - v)/tau; du/dt = (5 - u)/tau_u", threshold="v >= 1", reset="v = 0.25",
                    refractory=0.3 * ms, method=name, tau=2 * ms, tau_u=3 * ms)  # fmt: skip
        net.population(name, 1, cell)
        for what in ("spikes", "v", "u"):
            net.record(net[name], what)
    return net


def _part(r: Any) -> None:
    trace = r.state["p"]["v"]
    assert [trace.of(k).tolist() for k in (5, 2)] == [[51.0, 52.0, 53.0], [21.0, 22.0, 23.0]]
    assert r.state["p"]["u"].of(7).tolist() == [2.0]


@case("A probe of some neurons has their values, whatever their order and interval.", 3, _part)
def probes_of_parts() -> ns.Network:
    net = network()
    p = net.population("p", 8, Cell("v[n+1] = v + 1\nu[n+1] = u + 1"), init={"v": 10.0 * np.arange(8)})
    net.record(p[[5, 2]], "v")
    net.record(p[7], "u", every=0.2 * ms)
    return net


_RATES = {"noise": (500.0, 2000.0), "hum": (1500.0, 100.0)}


def _own_rates(r: Any) -> None:
    for receptor, (drive, (odd, even)) in zip("ab", _RATES.items(), strict=True):
        x = np.zeros(70)
        for n in range(10):
            words = Draws(11, f"p/{drive}.count").words(0, 70, n)
            counts = [poisson_from_words(words, poisson_thresholds(rate * 1e-3)) for rate in (odd, even)]
            x = x + 0.25 * np.where(np.arange(70) % 2, *counts)
            assert np.array_equal(r.state["p"][f"{receptor}.x"].values[n], x), drive


@case("A Poisson drive reaches its receptor alone, each with the rates of its own.", 10, _own_rates, dt=1.0)
def drives_at_two_receptors() -> ns.Network:
    net = network(dt=1.0)
    p = net.population("p", 70, Cell("v[n+1] = v", receptors={"a": HOLD, "b": HOLD}))
    for receptor, (name, (odd, even)) in zip("ab", _RATES.items(), strict=True):
        rates = np.where(np.arange(70) % 2, odd, even) * Hz
        net.stimulate(p, Drive(rate=rates, weight=0.25, receptor=receptor), name=name)
    return record(net, ("p", "a.x"), ("p", "b.x"))


def _exchanged(r: Any) -> None:
    assert values(r, "p", "x") == [2, 1, 2, 1]
    assert values(r, "p", "y") == [1, 2, 1, 2]


@case("Two discrete updates may exchange values: each reads the other's old one.", 4, _exchanged)
def exchanged_values() -> ns.Network:
    net = network()
    net.population("p", 2, Cell("x[n+1] = y\ny[n+1] = x"), init={"x": 1.0, "y": 2.0})
    return record(net, ("p", "x"), ("p", "y"))


def _apart(r: Any) -> None:
    v, t = np.array(values(r, "p", "v")) + 0.07, np.arange(40) * DT
    expected = np.zeros(60)
    for first, weight, tau in ((5, 2e-3, 2.0), (15, 1e-3, 8.0)):
        rise = weight * tau / (tau - 20.0) * (np.exp(-t / tau) - np.exp(-t / 20.0))
        expected[first : first + 40] += rise[: 60 - first]
    assert np.allclose(v[:45], expected[:45], rtol=0, atol=1e-13)


@case("Receptors of one cell keep apart, each with a time constant of its own.", 60, _apart)
def receptors_kept_apart() -> ns.Network:
    net = network()
    source = net.population("source", 2, SpikeSource([[0.3] * ms, [1.3] * ms]))
    p = net.population("p", 1, LIF(receptors={"fast": ExpCurrent(tau=2 * ms), "slow": ExpCurrent(tau=8 * ms)}))
    for k, (receptor, weight) in enumerate((("fast", 2 * mV), ("slow", 1 * mV))):
        net.connect(source[k], p, receptor=receptor, weight=weight, delay=0.2 * ms)
    return record(net, ("p", "v"))


def _euler(r: Any) -> None:
    v, path, spikes = -70.0, [], []
    for n in range(200):
        v += 0.1 * (-70.0 - v + 60.0) / 20.0
        if v >= -50.0:
            v = -60.0
            spikes.append(n)
        path.append(v * 1e-3)
    assert when(r, "p") == spikes and len(spikes) > 1
    assert np.allclose(values(r, "p", "v"), path, rtol=1e-12)


@case("A scheme that is named is used, also where the equations could be solved exactly.", 200, _euler)
def named_scheme() -> ns.Network:
    net = network()
    p = net.population("p", 1, LIF(method="euler"))
    net.stimulate(p, DCInput(60 * mV))
    return record(net, ("p", "spikes"), ("p", "v"))


def _exactly_at(r: Any) -> None:
    assert (when(r, "ge"), when(r, "gt")) == ([3], [])


@case("A jump that ends exactly at the threshold fires with >= and not with >.", 6, _exactly_at)
def jump_to_the_threshold() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[0.1] * ms]))
    for name, sign in (("ge", ">="), ("gt", ">")):
        cell = Cell("dv/dt = -v/tau", threshold=f"v {sign} top", reset="v = bottom", tau=20 * ms, top=15.625 * mV,
                    bottom=-1 * mV, receptors={"e": DeltaCurrent})  # fmt: skip
        net.connect(source, net.population(name, 1, cell), weight=15.625 * mV, delay=0.2 * ms)
        net.record(net[name], "spikes")
    return net


def _current_held(r: Any) -> None:
    x, n = values(r, "p", "x"), when(r, "p")[0]
    assert x[n : n + 6] == [x[n]] * 6
    assert x[n + 6] < x[n]
    assert np.isclose(x[n + 6], x[n] * np.exp(-DT / 5), rtol=1e-13)


@case("A cell may clamp its synaptic current too: it stands still, and what arrives at it is lost.", 40, _current_held)
def clamped_current() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([np.array([0.1, 1.0, 1.5, 2.0]) * ms]))
    cell = Cell("dv/dt = (x - v)/tau\ndx/dt = -x/tau_x", threshold="v >= top", reset="v = 0*mV", refractory=0.5 * ms,
                clamp=("v", "x"), tau=10 * ms, tau_x=5 * ms, top=0.5 * mV,
                receptors={"e": Receptor(event="x += w")})  # fmt: skip
    net.connect(source, net.population("p", 1, cell), weight=10 * mV, delay=0.2 * ms)
    return record(net, ("p", "spikes"), ("p", "x"))


_FAR = 65536


def _far(r: Any) -> None:
    x = r.state["q"]["e.x"].values[1]
    assert np.flatnonzero(x).tolist() == [0, _FAR]
    assert x[[0, _FAR]].tolist() == [0.5, 0.25]


@case("The targets of a neuron may lie far apart: 65536 places, which is one more than 16 bits count.", 2, _far,
      options={"threads": 1})  # fmt: skip
def distant_targets() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0)), net.population("q", _FAR + 1, listener())
    net.connect(source, q, rule=ns.EdgeList([0, 0], [0, _FAR]), weight=[0.5, 0.25])
    return record(net, ("q", "e.x"))


def _literals(r: Any) -> None:
    x, y = np.float32(0.0), np.float32(1.0)
    decay = np.float32(np.exp(-10.0))
    for n in range(12):
        x = np.float32(np.float32(0.7) * x) + np.float32(0.1)
        y = decay * y
        y = y if y >= np.float32(1e-30) else np.float32(0.0)
        assert values(r, "p", "x")[n] == float(x), n
        assert values(r, "p", "y")[n] == float(y), n
    assert y == 0.0


@case("In single precision literals are rounded to 24 bits, and decaying variables become 0 below 1e-30.", 12,
      _literals, options={"precision": "single"})  # fmt: skip
def single_literals_and_flush() -> ns.Network:
    net = network()
    net.population("p", 1, Cell("x[n+1] = 0.7*x + 0.1\ndy/dt = -y/tau", tau=0.01 * ms), init={"y": 1.0})
    return record(net, ("p", "x"), ("p", "y"))


@refusal("A sum of weights beyond 2^53 units of its grid ends the run, and says when.", DivergedError,
         "2^53 units of its receptor's grid", "before t = 0.1 ms")  # fmt: skip
def overflowing_sum() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0)), net.population("q", 1, listener())
    net.connect(source, q, rule=ns.EdgeList([0] * 8300, [0] * 8300), weight=1.99)
    return record(net, ("q", "e.x"))


@refusal("A value that is no finite number any more ends the run, and says which and when.", DivergedError,
         "v of neuron 1 in population 'p'", "t = 0.2 ms")  # fmt: skip
def diverging_value() -> ns.Network:
    net = network()
    net.population("p", 3, Cell("v[n+1] = v*v"), init={"v": [1.0, 1e100, 2.0]})
    return record(net, ("p", "v"))

"""Cases of weights and their sums, of chance, and of precision."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import FLASH, HOLD, case, clock, listener, network, record, values
from neurosim.ir.distributions import Draw
from neurosim.ir.interp import call
from neurosim.ir.random import Draws, poisson_from_words, poisson_inversion, poisson_thresholds
from neurosim.lang.components import Cell, Current, Drive, TimedArray
from neurosim.units import Hz, ms

# -- weights and sums ----------------------------------------------------------------------------------------------


def _grid(r: Any) -> None:
    w = r.weights("s")
    given = np.array([1.0, 1 / 3, 1e-9, -0.1, 1e-13])
    assert np.all(w == np.rint(given * 2.0**39) / 2.0**39)
    assert w[4] == 0.0
    assert np.array_equal(r.state["q"]["e.x"].values[1], w), "what weights() returns is what is delivered"


@case(
    "Weights are rounded, ties to even, to a grid 40 bits below the power of two above the largest of their receptor.",
    3,
    _grid,
)
def weight_grid() -> ns.Network:
    net = network()
    source, q = net.population("source", 1, clock(0)), net.population("q", 5, listener())
    net.connect(
        source, q, rule=ns.EdgeList([0] * 5, range(5)), weight=np.array([1.0, 1 / 3, 1e-9, -0.1, 1e-13]), name="s"
    )
    return record(net, ("q", "e.x"))


def _sums(r: Any) -> None:
    weights = np.rint(_SUMMANDS / 2.0**-36) * 2.0**-36
    exact = float(sum(int(w * 2**36) for w in weights)) / 2**36
    for name in ("forward", "backward", "split"):
        assert values(r, name, "e.x")[1] == exact, name


_SUMMANDS = np.random.default_rng(5).normal(size=400) * 10.0 ** np.random.default_rng(6).uniform(-6, 0, 400)
_SUMMANDS[0] = 9.9


@case(
    "What arrives in a step adds up without rounding: any order and any division among projections gives the "
    "same bits.",
    3,
    _sums,
)
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


@case(
    "Several connections from one neuron to another all count, and so does one from a neuron to itself.", 3, _multapses
)
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


@case(
    "uniform() and normal() are those of the stream <population>/<name><number>, at the neuron's index and the step.",
    4,
    _uniform,
)
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


@case(
    "Drawn parameters and initial values are those of the streams value:<population>.<name> and "
    "value:<population>.<name>(0).",
    1,
    _drawn_values,
)
def drawn_values() -> ns.Network:
    net = network()
    net.population("p", 50, Cell("v[n+1] = v + k", k=ns.normal(0.0, 1.0)), init={"v": ns.uniform(1.0, 2.0)})
    return record(net, ("p", "v"))


def _poisson(r: Any) -> None:
    draws = Draws(11, "p/noise.count")
    x = np.zeros(100)
    for n in range(20):
        words = draws.words(0, 100, n)
        counts = np.where(
            np.arange(100) % 2,
            poisson_from_words(words, poisson_thresholds(0.5)),
            poisson_from_words(words, poisson_thresholds(2.0)),
        )
        x = x + 0.25 * counts
        assert np.array_equal(r.state["p"]["e.x"].values[n], x), (
            "the spikes of step n are there after step n: there is no delay"
        )


@case(
    "A Poisson drive draws one count per neuron and step by inversion, and delivers it in that step.",
    20,
    _poisson,
    dt=1.0,
)
def poisson_drive() -> ns.Network:
    net = network(dt=1.0)
    p = net.population("p", 100, listener(HOLD))
    net.stimulate(p, Drive(rate=np.where(np.arange(100) % 2, 500.0, 2000.0) * Hz, weight=0.25), name="noise")
    return record(net, ("p", "e.x"))


def _trial(r: Any) -> None:
    seed = (11 + 3 * 0x9E3779B97F4A7C15) % 2**64
    u, words = Draws(seed, "p/uniform0"), Draws(seed, "p/noise.count")
    x = np.zeros(20)
    for n in range(4):
        assert np.array_equal(r.state["p"]["v"].values[n], u.uniform(0, 20, n))
        x = x + poisson_from_words(words.words(0, 20, n), poisson_thresholds(2.0))
        assert np.array_equal(r.state["p"]["e.x"].values[n], x)
    assert np.array_equal(r.state["p"]["k"].values[0], Draws(11, "value:p.k(0)").uniform(0, 20, 0))


@case(
    "Trial 3 draws what is drawn in every step with the seed (seed + 3 * 0x9E3779B97F4A7C15) mod 2^64; initial values "
    "are those of the seed.",
    4,
    _trial,
    dt=1.0,
    options={"trial": 3},
)
def trials() -> ns.Network:
    net = network(dt=1.0)
    cell = Cell("v[n+1] = uniform()\nk[n+1] = k", receptors={"e": HOLD}, init={"k": ns.uniform(0, 1)}, name="Trial")
    p = net.population("p", 20, cell)
    net.stimulate(p, Drive(rate=2000.0 * Hz, weight=1.0), name="noise")
    return record(net, ("p", "v"), ("p", "k"), ("p", "e.x"))


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


@case(
    "Edges, weights and delays draw from the streams edges:<projection>/rule, /weight and /delay, in the "
    "canonical order.",
    3,
    _connectivity,
)
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
    u = ((Draws(11, "p/uniform0").words(0, 9, 4) >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(
        2.0**-23
    )
    assert r.state["p"]["x"].values[4].tolist() == u.tolist()


@case(
    "In single precision every number of a step is rounded to 24 bits; uniform() takes the upper 23 bits of its word.",
    40,
    _single,
    options={"precision": "single"},
)
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

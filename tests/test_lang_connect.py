"""Projections and stimuli as a user writes them, and every refusal on the way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from net_kit import CELL, ONE, network, refused

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import (
    ConnectivityError,
    DimensionError,
    EquationError,
    ParameterError,
    UnknownNameError,
)
from neurosim.ir.edges import iter_edges
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.units import Hz, ms, mV, um


def edges(net, name=None):
    """Return all edges of a projection: global ids, weights, delays in steps."""
    graph = compile_network(net)
    proj = graph.projections[0] if name is None else graph.projection(name)
    pieces = list(iter_edges(graph, proj))
    wide = [[np.broadcast_to(x, (len(e),)) for x in (e.pre, e.post, e.weight, e.delay)] for e in pieces]
    return [np.concatenate([w[k] for w in wide]) for k in range(4)]


# -- projections ---------------------------------------------------------------------------------------------------


def test_a_projection_gets_a_name_and_every_pair_of_lists_its_own():
    net = network(a=2, b=3)
    one = net.connect(net["a"], net["b"], weight=1 * mV)
    more = net.connect([net["a"], net["b"]], [net["a"], net["b"]], weight=1 * mV)
    named = net.connect([net["a"]], net["b"], weight=1 * mV, name="again")
    union = net.connect(net["a"] + net["b"], net["b"][1:], weight=1 * mV)
    assert [one.name, *(c.name for c in more), named[0].name, union.name] == [
        "a_b_exc",
        "a_a_exc",
        "a_b_exc_2",
        "b_a_exc",
        "b_b_exc",
        "again_a_b",
        "a+b_b_exc",
    ]
    assert list(net.projections) == [c.name for c in (one, *more, *named, union)]
    assert refused(ParameterError, lambda: net.connect(net["a"], net["b"], weight=1 * mV, name="a_b_exc")) == (
        "the network has a projection 'a_b_exc' already"
    )
    assert refused(ParameterError, lambda: net.connect(net["a"], net["b"], weight=1 * mV, name="a/b")).startswith(
        "'a/b' cannot name a projection"
    )


def test_the_receptor_is_chosen_or_asked_for():
    net = ns.Network(dt=0.1 * ms)
    two, one, none = (
        net.population("two", 1, CELL),
        net.population("one", 1, ONE),
        net.population("none", 1, CELL(receptors={})),
    )
    assert net.connect(two, one, weight=1 * mV).receptor == "exc"
    assert net.connect(one, two + one, receptor="exc", weight=1 * mV).receptor == "exc"
    message = refused(ConnectivityError, lambda: net.connect(one, two, weight=1 * mV))
    assert message == "'two' has the receptors exc, inh: say which with receptor="
    message = refused(ConnectivityError, lambda: net.connect(one, none, weight=1 * mV))
    assert message == "'none' has no receptors: give its cell some, as in LIF(receptors={'exc': ExpCurrent(tau=5*ms)})"
    message = refused(UnknownNameError, lambda: net.connect(one, two, receptor="ihn", weight=1 * mV))
    assert message == "'two' has no receptor 'ihn'; did you mean 'inh'?"
    message = refused(UnknownNameError, lambda: net.connect(one, two + one, receptor="inh", weight=1 * mV))
    assert message == "'two+one' has no receptor 'inh'; known: exc"


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (("a", "b"), "a population, a part of one or a list of them is needed, got 'a': write net['a']"),
        ((3, 4), "a population, a part of one or a list of them is needed, got 3"),
        (("zz", "b"), "a population, a part of one or a list of them is needed, got 'zz'"),
        ((["a"], ["b"]), "a population, a part of one or a list of them is needed, got 'a': write net['a']"),
        ((ONE, ONE), "a population, a part of one or a list of them is needed, got Mine("),
    ],
)
def test_ends_that_are_no_populations(ends, message):
    net = network(a=1, b=1)
    assert refused(ParameterError, lambda: net.connect(*ends, weight=1 * mV)).startswith(message)
    assert refused(ParameterError, lambda: net.stimulate(ends[0], Current(output="a", a=1 * mV))).startswith(message)
    assert refused(ParameterError, lambda: net.record(ends[0], "v")).startswith(message)


def test_another_networks_population():
    net, other = network(a=1), network(b=1)
    message = "'b' belongs to another network"
    assert refused(ParameterError, lambda: net.connect(net["a"], other["b"], weight=1 * mV)) == message
    assert refused(ParameterError, lambda: net.stimulate(other["b"], Current(output="a", a=1 * mV))) == message
    assert refused(ParameterError, lambda: net.record(other["b"], "v")) == message
    conn = other.connect(other["b"], other["b"], weight=1 * mV)
    assert (
        refused(ParameterError, lambda: net.record(conn, "weight"))
        == "the projection 'b_b_exc' belongs to another network"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "weight of the projection 'a_b_exc' is missing: give weight=1*mV"),
        (
            {"weight": [1, 2] * mV},
            "weight of the projection 'a_b_exc' is an array, but the rule does not fix the number of edges: use "
            "EdgeList, a matrix, a distribution or an expression",
        ),
        (
            {"weight": [1, 2] * mV, "rule": ns.EdgeList([0, 1, 1], [0, 1, 2])},
            "weight of the projection 'a_b_exc' needs 3 values, one per edge, got shape [2]",
        ),
        (
            {"weight": 1 * mV, "rule": ns.EdgeList([0, 2], [0, 1])},
            "projection 'a_b_exc': edge 1 has source 2; legal indices are 0 to 1",
        ),
        ({"weight": 1 * mV, "rule": "one_to_one"}, "projection 'a_b_exc': "),
        ({"weight": 1 * mV, "rule": "fixed_indegree"}, "the rule 'fixed_indegree' needs its number: FixedInDegree(…)"),
        ({"weight": np.ones((3, 2)) * mV}, "the matrix must be [2, 3], sources by targets, got [3, 2]"),
        ({"weight": [[1 * mV, 2 * mV], [1 * mV]]}, "the rows of the matrix of weights have [1, 2] entries"),
        ({"weight": [[1, 2, 3]] * mV}, "the matrix must be [2, 3], sources by targets, got [1, 3]"),
        (
            {"weight": np.ones((2, 3)) * mV, "rule": ns.AllToAll()},
            "a matrix of weights is the rule already: leave rule= out",
        ),
        (
            {"weight": 1 * mV, "rule": ns.DistanceDependent("0.5")},
            "'a' has no positions: give positions= to net.population",
        ),
        (
            {"weight": "distance/um*mV"},
            "'distance/um*mV' reads distance, but 'a' or 'b' has no positions: give positions= to net.population",
        ),
    ],
)
def test_projections_that_are_refused(given, message):
    net = network(a=2, b=3)
    got = refused((ConnectivityError, ParameterError), lambda: net.connect(net["a"], net["b"], **given))
    assert got.startswith(message), got
    assert net.projections == {}


def test_a_rule_has_to_be_one():
    net = network(a=2)
    assert refused(ParameterError, lambda: net.connect(net["a"], net["a"], weight=1 * mV, rule=0.1)) == (
        "rule must be a connection rule such as FixedProbability(0.1), got 0.1"
    )
    assert refused(UnknownNameError, lambda: net.connect(net["a"], net["a"], weight=1 * mV, rule="i < k")).startswith(
        "unknown name 'k' in 'i < k'"
    )
    assert refused(EquationError, lambda: net.connect(net["a"], net["a"], weight=1 * mV, rule="i + j")).startswith(
        "a condition compares values"
    )
    assert refused(EquationError, lambda: net.connect(net["a"], net["a"], weight=1 * mV, rule="t > 1*ms")) == (
        "'t > 1*ms' is evaluated once per edge, before the first step: it cannot depend on time"
    )
    assert refused(
        DimensionError, lambda: net.connect(net["a"], net["a"], weight=1 * mV, rule=ns.Where(p="tau_pre"))
    ) == ("the probability 'tau_pre' must be dimensionless, got time (s)")


def test_weights_from_matrices():
    dense = np.array([[0, 1.5, 0], [2.5, 0, -1]])
    for weights in (dense * mV, [[0 * mV, 1.5 * mV, 0 * mV], [2.5 * mV, 0 * mV, -1 * mV]], list(dense * mV)):
        net = network(a=2, b=3)
        net.connect(net["a"], net["b"], weight=weights)
        pre, post, weight, delay = edges(net)
        assert (pre.tolist(), post.tolist(), delay.tolist()) == ([0, 1, 1], [3, 2, 4], [1, 1, 1])
        assert weight == pytest.approx([1.5e-3, 2.5e-3, -1e-3], rel=1e-11)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array, scipy.sparse.csc_array])
def test_weights_from_sparse_matrices(make):
    cell = Cell(
        "v[n+1] = v + i", threshold="v > 1", receptors={"e": Receptor("x[n+1] = 0", event="x += w", output="x")}
    )
    net = ns.Network(dt=1 * ms)
    a = net.population("a", 2, cell)
    net.connect(a, a, weight=make(np.array([[0, 1.5], [2.5, 0]])))
    pre, post, weight, _ = edges(net)
    assert (pre.tolist(), post.tolist(), weight.tolist()) == ([0, 1], [1, 0], [1.5, 2.5])
    volts = network(b=2)
    matrix = make(np.eye(2))
    assert refused(DimensionError, lambda: volts.connect(volts["b"], volts["b"], weight=matrix)) == (
        "a sparse matrix holds plain numbers, and the weight must be a voltage (V): give the entries, "
        "rule=EdgeList(m.row, m.col), "
        "weight=m.data*mV with m = matrix.tocoo()"
    )
    m = matrix.tocoo()
    volts.connect(volts["b"], volts["b"], rule=ns.EdgeList(m.row, m.col), weight=m.data * mV)
    assert edges(volts)[2] == pytest.approx([1e-3, 1e-3], rel=1e-11)


def test_weights_and_delays_as_text():
    net = ns.Network(dt=0.1 * ms)
    place = ns.grid_positions((3,), 10 * um)
    a = net.population("a", 3, ONE(v_th=[1, 2, 3] * mV), positions=place)
    net.connect(a, a, rule="i != j", weight="v_th_pre + 10*v_th_post", delay="0.1*ms + distance/(100*um/ms)")
    pre, post, weight, delay = edges(net)
    assert pre.tolist() == [0, 0, 1, 1, 2, 2]
    assert weight == pytest.approx([21e-3, 31e-3, 12e-3, 32e-3, 13e-3, 23e-3], rel=1e-11)
    assert delay.tolist() == [2, 3, 2, 2, 3, 2]
    assert post.tolist() == [1, 2, 0, 2, 0, 1]


def test_where_and_distance():
    net = ns.Network(dt=0.1 * ms, seed=1)
    a = net.population("a", 30, ONE, positions=ns.grid_positions((30,), 10 * um))
    net.connect(a, a, rule=ns.Where("abs(i - j) == 1"), weight=1 * mV, name="next")
    net.connect(a, a, rule=ns.Where(p="exp(-distance/(50*um))"), weight=1 * mV, name="near")
    net.connect(
        a, a, rule=ns.DistanceDependent("where(distance < 25*um, 1, 0)", autapses=False), weight=1 * mV, name="ball"
    )
    net.connect(a, a, rule=ns.DistanceDependent(1.0, max_distance=15 * um), weight=1 * mV, name="cut")
    net.connect(a, a, rule="uniform() < 0.5", weight="uniform()*mV", delay=ns.uniform(0.1 * ms, 2 * ms), name="half")
    pre, post, *_ = edges(net, "next")
    assert set(np.abs(pre.astype(int) - post)) == {1}
    assert len(pre) == 58
    pre, post, *_ = edges(net, "near")
    assert 30 < len(pre) < 900
    pre, post, *_ = edges(net, "ball")
    assert set(np.abs(pre.astype(int) - post)) == {1, 2}
    assert len(pre) == 2 * 29 + 2 * 28
    pre, post, *_ = edges(net, "cut")
    assert set(np.abs(pre.astype(int) - post)) == {0, 1}
    pre, post, weight, delay = edges(net, "half")
    assert 350 < len(pre) < 550
    assert len(np.unique(weight)) == len(weight), "weights, rule and delays draw from streams of their own"
    assert abs(np.corrcoef(weight, delay)[0, 1]) < 0.2


def test_what_a_union_shares_can_be_named():
    net = ns.Network(dt=0.1 * ms)
    a, b = net.population("a", 1, ONE), net.population("b", 1, Cell("v[n+1] = v + v_th", v_th=3.0))
    net.connect(a, a, weight="v_th_pre")
    assert refused(UnknownNameError, lambda: net.connect(a + b, a, weight="v_th_pre")).startswith(
        "unknown name 'v_th_pre'"
    )
    assert refused(UnknownNameError, lambda: net.connect(a + b, a, weight="tau_pre/ms*mV")).startswith(
        "unknown name 'tau_pre'"
    )


def test_delays_outside_the_grid():
    for delay, text in (
        (
            0.05 * ms,
            "the delay of projection 'a_a_exc' is 0.05 ms, which is less than the smallest legal value at dt = 0.1 ms; "
            "nearest legal: 0.1 ms",
        ),
        (
            0 * ms,
            "the delay of projection 'a_a_exc' is 0 ms, which is less than the smallest legal value at dt = 0.1 "
            "ms; nearest "
            "legal: 0.1 ms",
        ),
        (
            -1 * ms,
            "the delay of projection 'a_a_exc' is -1 ms, which is less than the smallest legal value at dt = "
            "0.1 ms; nearest "
            "legal: 0.1 ms",
        ),
        (
            0.25 * ms,
            "the delay of projection 'a_a_exc' is 0.25 ms, which is not a whole number of steps at dt = 0.1 ms; "
            "nearest "
            "legal: 0.2 ms or 0.3 ms",
        ),
        (7000 * ms, "the delay of projection 'a_a_exc' is 70000 steps; the largest is 65535"),
    ):
        net = network(a=1)
        net.connect(net["a"], net["a"], weight=1 * mV, delay=delay)
        assert refused(ParameterError, lambda n=net: compile_network(n)) == text
    net = network(a=1)
    net.connect(net["a"], net["a"], weight=1 * mV, delay=0.3 * ms)
    assert compile_network(net).projections[0].delay_steps == 3


# -- stimuli -------------------------------------------------------------------------------------------------------


def test_stimuli_are_named_and_checked():
    net = network(a=4)
    a, dc = net["a"], Current(output="amp", amp=1 * mV, name="DC")
    net.stimulate(a, dc)
    net.stimulate(a[1:3], dc)
    net.stimulate(a, Drive(rate=10 * Hz, weight=1 * mV), name="noise")
    assert [key for key, *_ in a.stimuli] == ["dc", "dc1", "noise"]
    assert refused(ParameterError, lambda: net.stimulate(a, dc, name="noise")) == (
        "population 'a' has a stimulus, receptor or learning rule 'noise' already"
    )
    assert refused(ParameterError, lambda: net.stimulate(a, dc, name="exc")).startswith(
        "population 'a' has a stimulus, receptor or learning rule"
    )
    assert refused(ParameterError, lambda: net.stimulate(a, dc, name="a.b")).startswith("'a.b' cannot name a stimulus")
    assert refused(ParameterError, lambda: net.stimulate(a, 3)) == "a stimulus is a current or a Poisson input, got 3"
    assert refused(ParameterError, lambda: net.stimulate(a, dc(amp=[1, 2] * mV))) == (
        "amp of DC for population 'a' needs one value or 4, got shape [2]"
    )


@pytest.mark.parametrize("weight", [ns.uniform(0 * mV, 1 * mV), [1, 2] * mV, "v_th", TimedArray([1, 2] * mV, 1 * ms)])
def test_a_drive_has_one_weight(weight):
    assert refused(ParameterError, lambda: Drive(rate=1 * Hz, weight=weight)) == (
        "the weight of a Poisson drive is one value; use several drives for several weights"
    )


def test_a_parameter_called_on_is_no_mask():
    net = network(a=3)
    net.stimulate(net["a"][:1], Current(output="on", on=2 * mV))
    params = compile_network(net, after="units").populations[0].params
    assert params["current.on"] == 2e-3
    assert params["current@on"].tolist() == [1, 0, 0]


def test_time_arrays():
    assert refused(ParameterError, lambda: TimedArray([], 1 * ms)) == "a TimedArray is [T] or [T, N], got shape (0,)"
    assert refused(ParameterError, lambda: TimedArray(np.zeros((1, 2, 3)), 1 * ms)).startswith(
        "a TimedArray is [T] or [T, N]"
    )
    assert refused(DimensionError, lambda: TimedArray([1.0], 1)).startswith("the dt of a TimedArray must be a time (s)")
    net = network(a=3)
    assert refused(ParameterError, lambda: net.population("b", 1, ONE, init={"v": TimedArray([1] * mV, 1 * ms)})) == (
        "initial v of population 'b' is one value, an array, a distribution or an expression, not a TimedArray"
    )
    net.stimulate(net["a"], Current(output="a", a=TimedArray(np.zeros((5, 2)) * mV, 1 * ms)))
    assert refused(ParameterError, lambda: compile_network(net)) == (
        "the TimedArray for current.a of population 'a' must be [T, 3], got [5, 2]"
    )
    net = network(a=3)
    net.stimulate(net["a"], Current(output="a", a=TimedArray([1, 2] * mV, 0.25 * ms)))
    assert refused(ParameterError, lambda: compile_network(net)).startswith(
        "dt of the TimedArray for current.a is 0.25 ms, which is not"
    )
    net = network()
    net.population("p", 1, ONE(tau=TimedArray([1, 2] * ms, 1 * ms)), init={"v": "tau/ms*mV"})
    assert refused(ParameterError, lambda: compile_network(net)).startswith(
        "tau of population 'p' changes in time (a TimedArray), so no"
    )

"""The passes but for discretise: intermediates written out, constants folded, delays in steps, grids of weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_kit import build, traces
from net_kit import population_refused as refused

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import ConnectivityError, EquationError, ParameterError, UnknownNameError
from neurosim.ir.edges import iter_edges
from neurosim.ir.program import Instr, Program
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.passes.fold import fold
from neurosim.passes.order import grid
from neurosim.units import Hz, ms

# -- expand --------------------------------------------------------------------------------------------------------


def test_intermediates_and_ports_are_written_out():
    cell = Cell(
        "dv/dt = (u - v)/tau\nu = 2*z + i\nz = v*v*3",
        threshold="u > 1",
        reset="v = z",
        tau=1 * ms,
        receptors={"e": Receptor("dx/dt = -x/tau", event="x += u*w", output="x", tau=1 * ms)},
    )
    net = build(cell)
    net.stimulate(net["p"], Current(output="3"))
    system = compile_network(net, after="expand").populations[0].system
    assert [(e.var, str(e.expr)) for e in system.equations] == [
        ("v", "(2 * (v * v * 3) + (e.x + 3) - v) / tau"),
        ("e.x", "(-e.x) / e.tau"),
    ]
    assert str(system.threshold) == "2 * (v * v * 3) + (e.x + 3) > 1"
    assert str(system.reset[0][1]) == "v * v * 3"
    assert str(system.jumps["e"][0].gain) == "2 * (v * v * 3) + (e.x + 3)"
    assert system.ports == {}


@pytest.mark.parametrize(
    ("equations", "circle"),
    [
        ("a = b\nb = a\nv[n+1] = a", "a -> b -> a"),
        ("a = a + 1\nv[n+1] = a", "a -> a"),
        ("v[n+1] = 1\na = b\nb = c\nc = b", "b -> c -> b"),
    ],
)
def test_circles_of_intermediates(equations, circle):
    assert refused(EquationError, lambda: compile_network(build(Cell(equations)))) == (
        f"{circle} is a circle of intermediates in population 'p': make one of them a differential equation or "
        f"a discrete update"
    )


def test_a_port_in_a_circle():
    cell = Cell("v[n+1] = i", receptors={"e": Receptor("x[n+1] = 0", event="x += w", output="x + i")})
    assert refused(EquationError, lambda: compile_network(build(cell))).startswith(
        "i -> i is a circle of intermediates"
    )


def test_what_would_grow_without_bound_is_refused():
    doubling = "\n".join(["v[n+1] = a40", *(f"a{k} = a{k - 1} + a{k - 1}" for k in range(1, 41)), "a0 = v"])
    assert refused(EquationError, lambda: compile_network(build(Cell(doubling)))) == (
        "population 'p': an expression has 16383 operations once written out; at most 10000 are allowed"
    )
    deep = "\n".join(["v[n+1] = a400", *(f"a{k} = a{k - 1} + 1" for k in range(1, 401)), "a0 = v"])
    assert refused(EquationError, lambda: compile_network(build(Cell(deep)))) == (
        "population 'p': an expression is nested 301 levels deep; at most 300 are allowed"
    )
    long = "\n".join(["v[n+1] = a1200", *(f"a{k} = a{k - 1}" for k in range(1, 1201)), "a0 = v + 1"])
    assert traces(build(Cell(long)), 2, "v")[0].ravel().tolist() == [0, 1, 2]


def test_hundreds_of_stimuli():
    net = build(Cell("v[n+1] = i"), 300)
    for k in range(300):
        net.stimulate(net["p"][k], Current(output="a", a=float(k)))
    assert traces(net, 1, "v")[0][1].tolist() == list(range(300))


# -- fold ----------------------------------------------------------------------------------------------------------


def test_constants_are_folded_once_and_in_double():
    program = Program(
        (
            Instr("param", (), "k"),
            Instr("const", (), 2.0),
            Instr("mul", (0, 1)),
            Instr("exp", (2,)),
            Instr("load", (), "v"),
            Instr("mul", (3, 4)),
            Instr("store", (5,), "v"),
        )
    )
    folded, params = fold(program, {"k": 0.5, "unused": 3.0})
    assert [ins.op for ins in folded.instrs] == ["load", "param", "mul", "store"]
    assert params.keys() == {"c[0]"}
    assert params["c[0]"] == pytest.approx(np.e, rel=1e-15)
    folded, params = fold(program, {"k": np.array([0.0, 1.0])})
    assert params["c[0]"] == pytest.approx([1.0, np.e**2], rel=1e-15)


def test_a_parameter_called_c0_is_not_overwritten():
    cell = Cell("v[n+1] = (c1*7)*v + c0 + (c1*5)", c0=1.0, c1=2.0)
    assert traces(build(cell), 2, "v")[0].ravel().tolist() == [0, 11, 165]


def test_conditions_fold_too():
    cell = Cell("v[n+1] = where(k > 1, v + 1, v - 1)\nu[n+1] = where(q > 1, u + 1, u - 1)", k=2.0, q=[0.0, 2.0])
    v, u = traces(build(cell, 2), 2, "v", "u")
    assert v[2].tolist() == [2, 2]
    assert u[2].tolist() == [-2, 2]


def test_folding_does_not_touch_what_varies():
    cell = Cell("v[n+1] = t/ms + k*0 + uniform()*0", k=1.0)
    assert traces(build(cell), 3, "v")[0].ravel() == pytest.approx([0, 0, 0.1, 0.2])


# -- time grid, delays ---------------------------------------------------------------------------------------------


@given(st.integers(0, 10**9), st.sampled_from([1e-3, 1e-4, 2.5e-5, 1e-6, 0.1, 1 / 3]))
def test_whole_multiples_of_the_step_are_accepted(steps, dt):
    assert whole_steps(steps * dt, dt, "it", None) == steps


@given(st.integers(1, 900), st.floats(2e-6, 0.5))
def test_what_lies_between_is_refused(steps, off):
    with pytest.raises(ParameterError, match=f"nearest legal: {steps:g}000 ms or {steps + 1:g}000 ms"):
        whole_steps(steps + off, 1.0, "it", None)


def test_the_tolerance_is_a_millionth_of_a_step():
    assert whole_steps(3 + 0.9e-6, 1.0, "it", None) == 3
    assert whole_steps(3 - 0.9e-6, 1.0, "it", None) == 3
    with pytest.raises(ParameterError):
        whole_steps(3 + 1.1e-6, 1.0, "it", None)


def delayed(delay, n: int = 3) -> ns.Network:
    net = build(Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w")}), n)
    net.connect(net["p"], net["p"], rule=ns.OneToOne(), weight=1.0, delay=delay)
    return net


def test_delays_that_vary_are_rounded_to_steps_ties_to_even():
    net = build(Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w")}), 4, dt=1 * ms)
    net.connect(
        net["p"], net["p"], rule=ns.EdgeList([0, 1, 2, 3], [0, 1, 2, 3]), weight=1.0, delay=[1.5, 2.5, 3.4999, 0.6] * ms
    )
    graph = compile_network(net)
    assert graph.projections[0].delay_steps is None
    (piece,) = iter_edges(graph, graph.projections[0])
    assert piece.delay.tolist() == [2, 2, 3, 1]


def test_delays_that_vary_outside_the_legal_range():
    def run(delay):
        graph = compile_network(delayed(delay))
        return [e.delay for e in iter_edges(graph, graph.projections[0])]

    assert refused(ConnectivityError, lambda: run("0.04*ms + 0*i*ms")) == (
        "a delay of projection 'p_p_e' is 0 steps; the smallest is 1: bound the distribution with lo=0.1*ms"
    )
    assert refused(ConnectivityError, lambda: run("10*second + 0*i*ms")) == (
        "a delay of projection 'p_p_e' is 100000 steps; the largest is 65535"
    )
    steps = run(ns.normal(0.3 * ms, 1 * ms, lo=0.1 * ms, hi=0.5 * ms))[0]
    assert steps.min() >= 1 and steps.max() <= 5


# -- order ---------------------------------------------------------------------------------------------------------


def test_grids_lie_forty_bits_below_the_largest_weight():
    assert grid(1.0, 40) == 2.0**-39
    assert grid(0.99, 40) == 2.0**-40
    assert grid(0.0, 40) == 1.0
    assert grid(1e-320, 40) == 2.0**-1000
    assert grid(3.0, 24) == 2.0**-22


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), st.sampled_from([24, 40]))
def test_every_weight_lies_on_its_receptors_grid(weights, bits):
    net = build(
        Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w"), "f": Receptor(event="v += w")}),
        6,
    )
    k = len(weights)
    net.connect(net["p"], net["p"], receptor="e", rule=ns.EdgeList(range(k), range(k)), weight=np.array(weights))
    net.stimulate(net["p"], Drive(rate=1 * Hz, weight=0.1, receptor="e"))
    graph = compile_network(net, weight_bits=bits)
    pop = graph.populations[0]
    largest = max(0.1, *map(abs, weights))
    assert largest <= 2.0**bits * pop.grids["e"] <= 2 * largest * (1 + 1e-12)
    assert pop.grids["f"] == 1.0
    (piece,) = iter_edges(graph, graph.projections[0])
    units = np.asarray(piece.weight) / pop.grids["e"]
    assert np.array_equal(units, np.rint(units))
    assert np.allclose(piece.weight, weights, rtol=0, atol=pop.grids["e"] / 2)
    assert pop.params["poissoninput.weight"] / pop.grids["e"] == round(
        pop.params["poissoninput.weight"] / pop.grids["e"]
    )


def test_expressions_and_draws_are_bounded():
    net = build(
        Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w"), "f": Receptor(event="v += w")}),
        6,
    )
    net.connect(net["p"], net["p"], receptor="e", weight="i - 4*j")
    net.connect(net["p"], net["p"], receptor="f", weight=ns.normal(0.0, 1.0, lo=-2.0, hi=1.0))
    pop = compile_network(net).populations[0]
    assert pop.grids == {"e": 2.0 ** (5 - 40), "f": 2.0 ** (1 - 40)}, "20 needs five bits; no draw lies below -2"


def test_targets_of_a_union_keep_their_own_grids():
    cell = Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w")})
    net = build(cell, 2)
    q = net.population("q", 2, cell)
    net.connect(net["p"], net["p"] + q, weight=1 / 3)
    net.connect(net["p"], q, weight=1000.0)
    graph = compile_network(net)
    (piece,) = iter_edges(graph, graph.projections[0])
    assert {p.name: p.grids["e"] for p in graph.populations} == {"p": 2.0**-41, "q": 2.0**-30}
    fine, coarse = np.rint(2**41 / 3) / 2**41, np.rint(2**30 / 3) / 2**30
    assert piece.weight.tolist() == [fine, fine, coarse, coarse] * 2


def test_edges_can_be_had_without_a_run():
    cell = Cell("v[n+1] = v", threshold="v > 1", receptors={"e": Receptor(event="v += w")})
    net = build(cell, 3)
    q = net.population("q", 2, cell)
    net.connect(q, net["p"][1:] + q, weight="i + 10*j", delay="0.1*ms*(1 + j)", name="both")
    net.connect(q, q, rule=ns.FixedInDegree(1), weight=ns.normal(1.0, 0.1), name="drawn")
    edges = net.edges("both")
    assert len(edges) == 8
    assert edges.pre.tolist() == [0] * 4 + [1] * 4 and edges.post.tolist() == [0, 1, 2, 3] * 2
    assert np.allclose(edges.weight, edges.pre + 10.0 * edges.post)
    assert np.allclose(edges.delay, net.dt * (1 + edges.post))
    drawn = net.edges("drawn")
    assert np.array_equal(drawn.weight, net.run(1 * ms).weights("drawn")) and np.all(drawn.delay == net.dt)
    net.connect(q, q, rule=ns.EdgeList([], []), weight=1.0, name="none")
    assert len(net.edges("none")) == 0
    assert refused(UnknownNameError, lambda: net.edges("drown")) == (
        "no projection 'drown' in network 'network'; did you mean 'drawn'?"
    )


def test_tables_keep_their_values():
    pop = compile_network(build(Cell("v[n+1] = a", a=TimedArray([1, 2, 3], 0.2 * ms, repeat=True)))).populations[0]
    table = pop.tables["a"]
    assert (table.every, table.repeat, table.values.tolist()) == (2, True, [1.0, 2.0, 3.0])

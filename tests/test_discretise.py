"""The pass discretise: integration schemes, clamping, jumps, updates, events, Poisson tables."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from net_kit import DT, build, spikes, traces
from net_kit import population_refused as refused

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import EquationError, ParameterError
from neurosim.ir.random import poisson_thresholds
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.units import Hz, ms

# -- discretise: exact integration ---------------------------------------------------------------------------------


def linear_cell(a: np.ndarray, b: np.ndarray, **more) -> Cell:
    n = len(b)
    rows = (" + ".join(f"a{i}{j}*x{j}" for j in range(n)) + f" + b{i}" for i in range(n))
    params = {f"a{i}{j}": float(a[i, j]) / ms for i in range(n) for j in range(n)} | {
        f"b{i}": float(b[i]) / ms for i in range(n)
    }
    return Cell("\n".join(f"dx{i}/dt = {row}" for i, row in enumerate(rows)), **params, **more)


def exact_step(a: np.ndarray, b: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    n = len(b)
    whole = np.zeros((n + 1, n + 1))
    whole[:n, :n], whole[:n, n] = a * dt, b * dt
    e = scipy.linalg.expm(whole)
    return e[:n, :n], e[:n, n]


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.5, 4.0]))
def test_a_linear_system_is_solved_exactly(n, seed, scale):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n)) * scale - np.eye(n) * scale
    a[rng.random((n, n)) < 0.3] = 0.0
    b, x = rng.normal(size=n), rng.normal(size=n)
    net = build(linear_cell(a, b), init={f"x{i}": float(x[i]) for i in range(n)})
    program = compile_network(net).populations[0].program
    assert not {ins.op for ins in program.instrs} & {"div", "exp", "exprel"}, "one product and one sum per coefficient"
    found = np.hstack(traces(net, 12, *(f"x{i}" for i in range(n))))
    p, q = exact_step(a, b, DT)
    expected = [x]
    for _ in range(12):
        expected.append(p @ expected[-1] + q)
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(expected).max()))


def test_time_constants_that_are_equal_or_nearly_so():
    for ratio in (1.0, 1.0 + 1e-12, 1.0 + 1e-7):
        cell = Cell("dv/dt = (x - v)/tau\ndx/dt = -x/tau_x", tau=5 * ms, tau_x=5 * ratio * ms)
        v, _ = traces(build(cell, init={"x": 1.0}), 50, "v", "x")
        t = np.arange(51) * DT
        assert np.allclose(v[:, 0], t / 5 * np.exp(-t / 5), rtol=1e-6, atol=1e-15)


def test_coefficients_per_neuron():
    cell = Cell("dv/dt = (v_inf - v + i)/tau", tau=[1, 5, 5, 20] * ms, v_inf=[1.0, 2.0, 3.0, 4.0])
    net = build(cell, 4)
    net.stimulate(net["p"][1:3], Current(output="2"))
    (v,) = traces(net, 30, "v")
    rest = np.array([1.0, 4.0, 5.0, 4.0])
    expected = rest * (1 - np.exp(-np.arange(31)[:, None] * DT / np.array([1, 5, 5, 20])))
    assert np.allclose(v, expected, rtol=1e-13)
    params = compile_network(net).populations[0].params
    assert params["P[v,v]"].shape == (4,)
    assert params["P[v,v]"][1] == params["P[v,v]"][2]


def test_what_is_linear_is_solved_exactly_and_the_rest_by_exponential_euler():
    cell = Cell(
        "dv/dt = (g*(1 - v) - v)/tau\ndg/dt = -g/tau_g\ndu/dt = (v - u)/tau\ndw/dt = -(w - 1)*(1 + g)/tau",
        tau=3 * ms,
        tau_g=7 * ms,
    )
    v, g, u, w = traces(build(cell, init={"g": 2.0, "v": 0.1, "u": 0.3, "w": 0.2}), 1, "v", "g", "u", "w")
    assert g[1, 0] == pytest.approx(2 * np.exp(-0.1 / 7), rel=1e-15)
    a, b = -(1 + 2.0) / 3, 2.0 / 3
    assert v[1, 0] == pytest.approx(0.1 + (np.exp(a * DT) - 1) / a * (a * 0.1 + b), rel=1e-14)
    assert u[1, 0] == pytest.approx(0.3 + (1 - np.exp(-DT / 3)) * (0.1 - 0.3), rel=1e-14), "reads v as it was"
    assert w[1, 0] == pytest.approx(1 + (0.2 - 1) * np.exp(-3 * DT / 3), rel=1e-14)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk2", 2), ("rk4", 4), ("exponential_euler", 1)])
def test_the_order_of_the_schemes(method, order):
    def error(dt):
        cell = Cell(
            "dv/dt = (u - v*v*v)/tau\ndu/dt = -v/tau"
            if method != "exponential_euler"
            else "dv/dt = (u - v*u*u)/tau\ndu/dt = (-v*v - u)/tau",
            method=method,
            tau=1 * ms,
        )
        v, _ = traces(build(cell, dt=dt * ms, init={"v": 0.5, "u": 1.0}), round(1 / dt), "v", "u")
        return v[-1, 0]

    fine = error(1 / 1024)
    ratio = (error(1 / 8) - fine) / (error(1 / 16) - fine)
    assert np.log2(abs(ratio)) == pytest.approx(order, abs=0.35)


def test_one_step_of_every_scheme_by_hand():
    f = lambda x: 1 - x * x  # noqa: E731
    h, x = 0.1, 0.3
    k1 = f(x)
    k2 = f(x + k1 * h / 2)
    k3 = f(x + k2 * h / 2)
    k4 = f(x + k3 * h)
    expected = {"euler": x + h * k1, "rk2": x + h * k2, "rk4": x + h / 6 * (k1 + 2 * (k2 + k3) + k4)}
    for method, value in expected.items():
        (v,) = traces(build(Cell("dv/dt = (1 - v*v)/tau", method=method, tau=1 * ms), init={"v": x}), 1, "v")
        assert v[1, 0] == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            Cell("dv/dt = -v*v/tau", tau=1 * ms, method="exact"),
            "population 'p' cannot be integrated exactly: the equation of v is not "
            "linear with constant coefficients; use method='exponential_euler', 'rk2', 'rk4' or 'euler'",
        ),
        (
            Cell("dv/dt = -v*v/tau", tau=1 * ms),
            "dv/dt of population 'p' is not linear in v, so exponential Euler does not apply; use "
            "method='rk4', 'rk2' or 'euler'",
        ),
        (
            Cell("dv/dt = (u[n+1] - v)/tau\ndu/dt = -u/tau", tau=1 * ms),
            "a differential equation of population 'p' reads u[n+1], which "
            "comes out of the same integration: read u, or make the reader a discrete update",
        ),
        (
            Cell("dv/dt = (x[n+1] - v)/tau\nx[n+1] = v[n+1]", tau=1 * ms),
            "a differential equation of population 'p' reads v[n+1], which "
            "comes out of the same integration: read v, or make the reader a discrete update",
        ),
        (
            Cell("dv/dt = (y - v)/tau\ny = v[n+1]", tau=1 * ms),
            "a differential equation of population 'p' reads v[n+1], which comes out "
            "of the same integration: read v, or make the reader a discrete update",
        ),
        (
            Cell("x[n+1] = y[n+1]\ny[n+1] = x[n+1]"),
            "x[n+1] -> y[n+1] -> x[n+1] is a circle of new values in population 'p'",
        ),
        (
            Cell("v[n+1] = y[n+1]\ny = 3"),
            "'y[n+1]' is read, but population 'p' has no equation that gives 'y' a new value",
        ),
        (
            Cell("v[n+1] = k[n+1]", k=3.0),
            "'k[n+1]' is read, but population 'p' has no equation that gives 'k' a new value",
        ),
        (
            Cell("v[n+1] = v", threshold="v > 1", refractory="v*ms"),
            "the refractory period of population 'p' must be made of parameters",
        ),
    ],
)
def test_equations_that_cannot_be_discretised(cell, message):
    assert refused(EquationError, lambda: compile_network(build(cell))) == message


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            Cell("dv/dt = -v/tau", tau=0 * ms),
            "dv/dt of population 'p' has a coefficient that is not finite: a parameter that something "
            "is divided by is 0",
        ),
        (
            Cell("v[n+1] = v + 1/k", k=0.0),
            "a constant of population 'p' (c[0]) is not finite: a parameter that something is divided by "
            "is 0, or a value is beyond the range of numbers",
        ),
        (
            Cell("v[n+1] = v", threshold="v > 1", refractory="t_r", t_r=-1 * ms),
            "the refractory period of population 'p' must not be negative, got -1 ms",
        ),
        (
            Cell("v[n+1] = v", threshold="v > 1", refractory="t_r", t_r=0.25 * ms),
            "the refractory period of population 'p' is 0.25 ms, "
            "which is not a whole number of steps at dt = 0.1 ms; nearest legal: 0.2 ms or 0.3 ms",
        ),
    ],
)
def test_numbers_that_cannot_be_discretised(cell, message):
    assert refused(ParameterError, lambda: compile_network(build(cell))) == message


def test_a_refractory_period_that_single_precision_cannot_count():
    """A float32 that holds 2^24 + 1 does not exist: a countdown from beyond 2^24 would stand still."""
    assert np.float32(2**25) - np.float32(1) == np.float32(2**25)
    cell = Cell("v[n+1] = v", threshold="v > 1", refractory="t_r", t_r=2**24 * DT * ms)
    for precision in ("single", "double"):
        graph = compile_network(build(cell), precision=precision)
        assert graph.populations[0].params["_refractory_steps"] == 2**24
    for longer in ((2**24 + 1) * DT * ms, [1, (2**24 + 1) * DT] * ms):
        net = build(cell(t_r=longer), 2)
        assert np.max(compile_network(net).populations[0].params["_refractory_steps"]) == 2**24 + 1
        assert refused(ParameterError, lambda n=net: compile_network(n, precision="single")) == (
            "the refractory period of population 'p' is 16777217 steps, and single precision counts no more than "
            "2^24 = 16777216 one by one (1677.72 s at this dt): use precision='double', or shorten it"
        )


# -- discretise: clamping, jumps, updates, events ------------------------------------------------------------------


def test_a_clamped_potential_is_a_constant_of_the_others():
    a, tau, tau_w = 0.5, 10.0, 30.0
    cell = Cell(
        "dv/dt = (2 - v - w)/tau\ndw/dt = (a*v - w)/tau_w",
        threshold="v >= 1",
        reset="v = 0.2; w += 0.3",
        refractory="t_ref",
        tau=tau * ms,
        tau_w=tau_w * ms,
        a=a,
        t_ref=2 * ms,
    )
    net = build(cell)
    v, w = (x[:, 0] for x in traces(net, 200, "v", "w"))
    (first, second) = [n for n, _ in spikes(net, 200)][:2]
    assert v[first + 1] == 0.2, "the reset of step n is what step n leaves behind"
    assert np.all(v[first + 1 : first + 22] == 0.2)
    assert v[first + 22] != 0.2
    held = a * 0.2 + (w[first + 1] - a * 0.2) * np.exp(-np.arange(21) * DT / tau_w)
    assert np.allclose(w[first + 1 : first + 22], held, rtol=1e-14)
    free, const = exact_step(np.array([[-1 / tau, -1 / tau], [a / tau_w, -1 / tau_w]]), np.array([2 / tau, 0.0]), DT)
    x = np.array([v[first + 21], w[first + 21]])
    for n in range(first + 22, second + 1):
        x = free @ x + const
        assert np.allclose([v[n], w[n]], x, rtol=1e-12)


@pytest.mark.parametrize("method", ["euler", "rk2", "rk4", "exponential_euler", "auto"])
def test_clamping_is_the_same_in_every_scheme(method):
    cell = Cell(
        "dv/dt = (2 - v)/tau\ndw/dt = (v - w)/tau",
        threshold="v >= 1",
        reset="v = 0.2",
        refractory="t_ref",
        tau=10 * ms,
        t_ref=1 * ms,
        method=method,
    )
    net = build(cell, dt=0.125 * ms)
    v, w = (x[:, 0] for x in traces(net, 100, "v", "w"))
    first = spikes(net, 100)[0][0]
    assert np.all(v[first + 1 : first + 10] == 0.2)
    assert v[first + 10] > 0.2
    assert np.all(np.diff(w[first : first + 5]) != 0)
    assert w[first + 9] == pytest.approx(0.2 + (w[first + 1] - 0.2) * np.exp(-0.1), rel=1e-3)


@pytest.mark.parametrize(("clamp", "still"), [(None, "v"), ("u", "u"), (("v", "u"), "vu"), ((), "")])
def test_the_clamped_variables_are_those_of_the_threshold_or_those_named(clamp, still):
    cell = Cell(
        "v[n+1] = v + 1\nu[n+1] = u + 1\ny = v*2",
        threshold="y >= 6",
        reset="",
        refractory="t_ref",
        t_ref=0.3 * ms,
        clamp=clamp,
    )
    v, u = (x[:, 0].tolist() for x in traces(build(cell), 7, "v", "u"))
    assert v == ([0, 1, 2, 3, 3, 3, 3, 4] if "v" in still else [0, 1, 2, 3, 4, 5, 6, 7])
    assert u == ([0, 1, 2, 3, 3, 3, 3, 4] if "u" in still else [0, 1, 2, 3, 4, 5, 6, 7])


def arrivals(when: str, event: str = "x += w", equations: str = "dx/dt = -x/tau", method: str = "auto"):
    cell = Cell(
        "dv/dt = (x_in - v)/tau\nx_in = i",
        threshold="t < dt/2 and t > -dt",
        tau=2 * ms,
        method=method,
        receptors={"e": Receptor(equations, event=event, output="x", when=when, tau=5 * ms)},
    )
    net = build(cell)
    net.connect(net["p"], net["p"], weight=3.0, delay=0.2 * ms)
    return [x[:, 0] for x in traces(net, 5, "e.x", "v")]


@pytest.mark.parametrize("method", ["auto", "euler", "rk4", "exponential_euler"])
def test_a_jump_lands_after_the_decay_or_before_it(method):
    decay = np.exp(-DT / 5) if method in ("auto", "exponential_euler") else 1 - DT / 5 if method == "euler" else None
    (x, v), (y, u) = arrivals("after", method=method), arrivals("before", method=method)
    assert x[:4].tolist() == [0, 0, 0, 3], "a spike of step 0 with a delay of 2 steps: there when step 2 ends"
    assert v[:4].tolist() == [0, 0, 0, 0]
    assert v[4] > 0
    assert u[3] > 0, "before: it decays, and is seen, in the step in which it arrives"
    assert y[2] == 0
    if decay is not None:
        assert y[3] == pytest.approx(3 * decay, rel=1e-15)
        assert x[4] == pytest.approx(3 * decay, rel=1e-15)


@pytest.mark.parametrize("when", ["after", "before"])
def test_gains_read_the_values_before_any_jump(when):
    cell = Cell(
        "v[n+1] = v\nu[n+1] = u",
        threshold="t < dt/2",
        receptors={
            "e": Receptor(event="v += 2*w; u += v*w; v += w", when=when),
            "f": Receptor(event="u += v*w", when=when),
        },
    )
    net = build(cell, init={"v": 10.0})
    net.connect(net["p"], net["p"], receptor="e", weight=1.0)
    net.connect(net["p"], net["p"], receptor="f", weight=1.0)
    v, u = (x[:, 0].tolist() for x in traces(net, 2, "v", "u"))
    assert v == [10, 10, 13]
    assert u == [0, 0, 20]


def test_a_clamped_variable_takes_no_arrivals():
    cell = Cell(
        "v[n+1] = v",
        threshold="v >= 1",
        reset="v = 0.0",
        refractory="t_ref",
        t_ref=0.3 * ms,
        receptors={"e": Receptor(event="v += w")},
    )
    net = build(cell, init={"v": 5.0})
    net.connect(net["p"], net["p"], weight=2.0, delay=0.2 * ms, name="lost")
    net.connect(net["p"], net["p"], weight=7.0, delay=0.4 * ms, name="kept")
    (v,) = traces(net, 6, "v")
    assert v[:, 0].tolist() == [5, 0, 0, 0, 0, 0, 0], "the second arrives in step 4, and makes the neuron spike again"
    assert [n for n, _ in spikes(net, 6)] == [0, 4]


def test_updates_read_old_values_or_new_ones():
    cell = Cell(
        "x[n+1] = x + 1\ny[n+1] = x\nz[n+1] = x[n+1]\nq[n+1] = z[n+1] + y[n+1]\ndv/dt = (x - v)/tau\nu[n+1] = "
        "v[n+1]\nw[n+1] = v",
        tau=1 * ms,
    )
    x, y, z, q, v, u, w = (t[:, 0] for t in traces(build(cell), 6, *"xyzqvuw"))
    assert x.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert y.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert z.tolist() == x.tolist()
    assert q[1:].tolist() == (z + y)[1:].tolist()
    assert np.array_equal(u[1:], v[1:])
    assert np.array_equal(w[1:], v[:-1])


def test_a_differential_equation_may_read_the_new_value_of_a_discrete_variable():
    cell = Cell("dv/dt = (x[n+1] - v)/tau\nx[n+1] = x + 1\ndu/dt = (x - u)/tau", tau=1 * ms)
    v, u = (t[:, 0] for t in traces(build(cell), 3, "v", "u"))
    assert np.allclose(v[1:3], u[2:4] * 0 + [1 - np.exp(-0.1), 2 + (1 - np.exp(-0.1) - 2) * np.exp(-0.1)], rtol=1e-14)
    assert np.allclose(u[1:3], [0, 1 - np.exp(-0.1)], rtol=1e-14)


def test_an_edge_threshold_fires_when_the_condition_becomes_true():
    signal = [0, 2, 2, 0, 2, 0, 0, 2, 2]
    for edge, expected in ((True, [1, 4, 7]), (False, [1, 2, 4, 7, 8])):
        cell = Cell("v[n+1] = i", threshold="v > 1", edge=edge)
        net = build(cell)
        net.stimulate(net["p"], Current(output="a", a=TimedArray(signal, DT * ms)))
        assert [n for n, _ in spikes(net, 9)] == expected
    net = build(Cell("v[n+1] = v", threshold="v > 1", edge=True), init={"v": 2.0})
    assert [n for n, _ in spikes(net, 3)] == [0], "nothing was above before the first step"
    net = build(Cell("v[n+1] = v + 1", threshold="v > 1", reset="v = 0", edge=True))
    assert [n for n, _ in spikes(net, 9)] == [1, 3, 5, 7], "the condition is looked at before the reset"


def test_resets_run_in_order():
    cell = Cell("v[n+1] = v + 1\nu[n+1] = u", threshold="v >= 2", reset="u = v; v = u - 2; u += v; u += u")
    v, u = (x[:, 0].tolist() for x in traces(build(cell, init={"v": 1.5}), 1, "v", "u"))
    assert (v[1], u[1]) == (0.5, 6.0)


def test_random_numbers_of_equations_thresholds_and_resets_are_independent():
    cell = Cell(
        "x[n+1] = uniform()\nz[n+1] = z\nq[n+1] = q\ng[n+1] = uniform()",
        threshold="uniform() < 2",
        reset="z = uniform(); q = uniform()",
    )
    x, z, q, g = (t[1:].ravel() for t in traces(build(cell, 500), 3, "x", "z", "q", "g"))
    for k, one in enumerate((x, z, q, g)):
        for other in (x, z, q, g)[k + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


# -- Poisson -------------------------------------------------------------------------------------------------------


def poisson_net(rate, n: int = 4, **more) -> ns.Network:
    cell = Cell("dx/dt = -x/tau", tau=1 * ms, receptors={"e": Receptor(event="x += w")})
    net = build(cell, n)
    net.stimulate(net["p"], Drive(rate=rate, weight=0.5, **more))
    return net


def test_poisson_tables():
    pop = compile_network(poisson_net(1000 * Hz)).populations[0]
    table = pop.poisson["poissoninput"]
    assert table.row is None
    assert table.unpadded(0).tolist() == poisson_thresholds(1000 * 1e-4).tolist()
    pop = compile_network(poisson_net([0, 1000, 0, 3000] * Hz)).populations[0]
    table = pop.poisson["poissoninput"]
    assert table.row.tolist() == [0, 1, 0, 2]
    assert [table.unpadded(k).tolist() for k in range(3)] == [
        poisson_thresholds(m * 1e-4).tolist() for m in (0, 1000, 3000)
    ]
    assert table.unpadded(0).size == 0, "a rate of 0 gives no spike, whatever the word"


def test_many_rates_and_varying_rates_are_inverted_in_the_step():
    for rate in (np.linspace(1, 999, 300) * Hz, "100*Hz*(1 + sin(2*pi*t*5*Hz))", TimedArray([1, 2] * Hz, 1 * ms)):
        pop = compile_network(poisson_net(rate, n=300)).populations[0]
        assert pop.poisson == {}
        assert pop.program.uses("poisson_of") == ["poissoninput"]


@pytest.mark.parametrize(
    "rate", [20_000 * Hz, np.full(300, 20_000.0) * np.linspace(0.9, 1.1, 300) * Hz, "20000*Hz + 0*Hz*sin(t/second)"]
)
def test_the_rate_is_met(rate):
    net = poisson_net(rate, n=300)
    (x,) = traces(net, 200, "x")
    jumps = (x[1:] - x[:-1] * np.exp(-DT)) / 0.5
    assert np.allclose(jumps, np.rint(jumps), atol=1e-9)
    assert jumps.mean() == pytest.approx(2.0, rel=0.02)
    assert jumps.var() == pytest.approx(2.0, rel=0.05)


def test_a_drive_on_a_part_leaves_the_others_alone():
    net = build(Cell("dx/dt = -x/tau", tau=1 * ms, receptors={"e": Receptor(event="x += w")}), 10)
    net.stimulate(net["p"][[1, 7]], Drive(rate=5000 * Hz, weight=1.0))
    (x,) = traces(net, 100, "x")
    assert set(np.flatnonzero(x.any(axis=0))) == {1, 7}


def test_a_drive_that_is_too_fast():
    assert refused(ParameterError, lambda: compile_network(poisson_net(1e8 * Hz))).startswith(
        "drive 'poissoninput' of population 'p': a Poisson count in one step must have a mean between 0 and "
        "700, not 10000; use a "
    )
    assert (
        refused(ParameterError, lambda: Drive(rate=-5 * Hz, weight=1.0))
        == "rate of PoissonInput must be >= 0 Hz, got -5 Hz"
    )


def test_streams_have_names_that_cannot_meet():
    net = build(Cell("dx/dt = -x/tau + 0*uniform()/tau", tau=1 * ms, receptors={"e": Receptor(event="x += w")}))
    net.stimulate(net["p"], Drive(rate=10 * Hz, weight=1.0), name="uniform0")
    streams = compile_network(net).populations[0].streams
    assert streams == {"uniform0": "p/uniform0.count"} or len(set(streams.values())) == len(streams) == 2

"""Dimensions are found from the equations; where two disagree, the message says which, where, and what to write."""

from __future__ import annotations

import inspect
from pathlib import Path

import net_kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import DimensionError, EquationError, ParameterError, UnknownNameError
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.lang.dimensions import NUMBER, Form, Solver
from neurosim.lang.parser import parse_expression
from neurosim.units import (
    CONDUCTANCE,
    CURRENT,
    DIMENSIONLESS,
    RESISTANCE,
    TIME,
    VOLTAGE,
    Hz,
    Mohm,
    ms,
    mV,
    nA,
    nS,
    pA,
    pF,
    um,
)

HERE = Path(__file__).name


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def lif(**more):
    given = {
        "threshold": "v >= v_th",
        "reset": "v = v_reset",
        "refractory": "t_ref",
        "tau": 10 * ms,
        "v_rest": -70 * mV,
        "v_th": -50 * mV,
        "v_reset": -60 * mV,
        "t_ref": 2 * ms,
    }
    equations = more.pop("equations", "dv/dt = (v_rest - v + i)/tau")
    return Cell(equations, name="Mine", **{**given, **more})


def net() -> ns.Network:
    return ns.Network(dt=0.1 * ms)


def refused(make, kind=DimensionError):
    return net_kit.refused(kind, make)


# -- inference -----------------------------------------------------------------------------------------------------


def test_variables_get_the_dimension_of_their_equations():
    cell = Cell(
        "dv/dt = (g_l*(e_l - v) + i - w)/c_m\ndw/dt = (a*(v - e_l) - w)/tau_w\nu = v/(1*mV)\ns[n+1] = 0.9*s + u",
        threshold="v > 0*mV",
        c_m=200 * pF,
        g_l=10 * nS,
        e_l=-70 * mV,
        tau_w=100 * ms,
        a=2 * nS,
        receptors={"exc": Receptor("dg/dt = -g/tau", event="g += w", output="g*(e - v)", tau=5 * ms, e=0 * mV)},
    )
    pop = net().population("p", 2, cell)
    found = {k: pop.scope.dimension(k) for k in ("v", "w", "i", "u", "s", "exc.g", "exc.w")}
    assert found == {
        "v": VOLTAGE,
        "w": CURRENT,
        "i": CURRENT,
        "u": DIMENSIONLESS,
        "s": DIMENSIONLESS,
        "exc.g": CONDUCTANCE,
        "exc.w": CONDUCTANCE,
    }


def test_the_input_takes_the_unit_of_the_resistance():
    plain = net().population("p", 1, lif())
    ohmic = net().population("p", 1, lif(equations="dv/dt = (v_rest - v + r_m*i)/tau", r_m=100 * Mohm))
    assert (plain.scope.dimension("i"), ohmic.scope.dimension("i")) == (VOLTAGE, CURRENT)


def test_roots_and_powers():
    equations = "x = sqrt(a*a)\ny = a**3/a**2\nz = (a**4)**0.5/a\nq = where(a > b, a, -b)"
    pop = net().population("p", 1, Cell(equations, a=1 * mV, b=2 * mV))
    assert {k: pop.scope.dimension(k) for k in "xyzq"} == dict.fromkeys("xyzq", VOLTAGE)


def test_what_nothing_fixes_is_a_number():
    pop = net().population("p", 1, Cell("dx/dt = -x/tau\nk[n+1] = k + 1", tau=1 * ms))
    assert (pop.scope.dimension("x"), pop.scope.dimension("k")) == (DIMENSIONLESS, DIMENSIONLESS)


def test_a_declared_unit_decides():
    pop = net().population("p", 1, Cell("dx/dt = -x/tau : mV", tau=1 * ms))
    assert pop.scope.dimension("x") == VOLTAGE
    message = refused(lambda: net().population("p", 1, lif(equations="dv/dt = (v_rest - v + i)/tau : pA")))
    assert message == ("cannot subtract voltage (V) and current (A) in 'dv/dt = (v_rest - v + i)/tau : pA'"), message


def test_the_parameter_of_an_expression_gets_its_dimension():
    cell = lif(v_th="v_rest + gap", gap=20 * mV, t_ref="2*tau")
    pop = net().population("p", 1, cell)
    assert pop.scope.dimension("v_th") == VOLTAGE
    assert pop.scope.dimension("t_ref") == TIME


@given(st.permutations(range(5)))
def test_the_order_of_the_equations_does_not_matter(order):
    lines = ["dv/dt = (v_rest - v + i)/tau", "a = b*v", "b = c/c2", "c = 3*c2 + d2", "c2 = d2"]
    cell = Cell("\n".join(lines[k] for k in order) + "\nd2 = v*i", v_rest=1 * mV, tau=1 * ms)
    pop = net().population("p", 1, cell)
    assert pop.scope.dimension("a") == VOLTAGE
    assert pop.scope.dimension("c") == VOLTAGE**2


def test_the_solver_on_its_own():
    solver = Solver({"v": VOLTAGE}, {"x", "y"}, "here:1")
    assert solver.dimension("x") is None
    solver.assign("x", parse_expression("y*v", {"x", "y", "v"}), "x = y*v")
    assert solver.dimension("x") is None
    solver.equal(solver.form(parse_expression("y", {"y"}), ""), Form((), RESISTANCE), "|", "")
    assert solver.dimension("x") == VOLTAGE * RESISTANCE
    assert solver.resolve(parse_expression("x/v/y", {"x", "y", "v"}), "") == DIMENSIONLESS
    with pytest.raises(UnknownNameError, match="unknown name 'vv' in 'vv'; did you mean 'v'\\?"):
        solver.form(parse_expression("vv"), "vv")
    assert NUMBER.power(3) == NUMBER


def test_long_chains_and_high_powers_end_in_a_sentence():
    chain = "\n".join(f"x{k} = x{k + 1}" for k in range(1200)) + "\nx1200 = v"
    pop = net().population("p", 1, Cell(chain, v=1 * mV))
    assert pop.scope.dimension("x0") == VOLTAGE
    powers = "\n".join(f"y{k} = y{k - 1}**64" for k in range(1, 8)) + "\ny0 = v"
    message = refused(lambda: net().population("p", 1, Cell(powers, v=1 * mV)))
    assert message.startswith("a unit is raised to a power beyond 10000"), message


# -- equations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (
            "dv/dt = (v_rest - v + 5)/tau",
            "cannot add voltage (V) and dimensionless in 'dv/dt = (v_rest - v + 5)/tau'; "
            "give the plain number its unit, as in 5*mV",
        ),
        ("dv/dt = v_rest - v", "the two sides differ: V/s and voltage (V) in 'dv/dt = v_rest - v'"),
        ("dv/dt = (v_rest - v)*tau", "the two sides differ:"),
        ("dv/dt = (v_rest - tau)/tau", "cannot subtract voltage (V) and time (s) in 'dv/dt = (v_rest - tau)/tau'"),
        (
            "dv/dt = v_rest/tau*exp(v_rest)",
            "exp() takes dimensionless numbers, but 'v_rest' is voltage (V) in "
            "'dv/dt = v_rest/tau*exp(v_rest)'; divide it by a quantity such as 1*mV",
        ),
        (
            "dv/dt = v_rest/tau*v_rest**0.3",
            "a power that is no whole number takes dimensionless numbers, but 'v_rest' is voltage (V)",
        ),
        (
            "dv/dt = max(v_rest, 0)/tau",
            "cannot compare voltage (V) with dimensionless in 'dv/dt = max(v_rest, 0)/tau'; "
            "give the plain number its unit, as in 5*mV",
        ),
        ("dv/dt = where(v > 0*mV, v_rest, tau)/tau", "cannot choose between voltage (V) and time (s)"),
        ("dv/dt = (v_rest - v)/tau + t*v", "cannot add"),
        ("v[n+1] = v_rest*dt", "cannot compare V s with voltage (V) in 'v >= v_th'"),
        ("dv/dt = (v_rest - v + i)/tau : ms", "cannot subtract voltage (V) and time (s) in"),
    ],
)
def test_an_equation_whose_units_disagree(equations, message):
    got = refused(lambda: net().population("p", 1, lif(equations=equations)))
    assert got.startswith(message), got


def test_the_place_is_where_the_user_made_the_part():
    cell_line = line() + 1
    cell = lif(v_th=-50 * mV)(v_rest=-70 * mV)
    message = None
    with pytest.raises(DimensionError) as caught:
        cell(v_rest=3 * ms)
    override_line = line() - 1
    message = caught.value.message
    assert message == "v_rest of Mine must be a voltage (V), got time (s): 3 ms"
    assert caught.value.where == f"{caught.value.where.split(':')[0]}:{override_line}"
    with pytest.raises(DimensionError) as caught:
        net().population("p", 1, cell(receptors={"e": Receptor("dx/dt = -x", event="x += w")}))
    assert caught.value.where.endswith(f"{HERE}:{line() - 1}")
    assert cell.where.endswith(f"{HERE}:{cell_line}")


# -- threshold, reset, refractory period ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"threshold": "v >= -50"},
            "cannot compare voltage (V) with dimensionless in 'v >= -50'; give the plain number its unit, as in 5*mV",
        ),
        ({"threshold": "v >= tau"}, "cannot compare voltage (V) with time (s) in 'v >= tau'"),
        (
            {"threshold": "v >= v_th and t > 5"},
            "cannot compare time (s) with dimensionless in 'v >= v_th and t > 5'; give the plain "
            "number its unit, as in 5*ms",
        ),
        (
            {"reset": "v = -60"},
            "the two sides differ: voltage (V) and dimensionless in 'v = -60'; give the plain number its unit, "
            "as in 5*mV",
        ),
        ({"reset": "v += tau"}, "cannot add voltage (V) and time (s) in 'v += tau'"),
        (
            {"reset": "v += 0"},
            "cannot add voltage (V) and dimensionless in 'v += 0'; give the plain number its unit, as in 5*mV",
        ),
        ({"reset": "v *= second"}, "the two sides differ: voltage (V) and V s in 'v *= second'"),
        (
            {"refractory": "v_th"},
            "the refractory period must be a time, or a condition: voltage (V) and time (s) in 'refractory'",
        ),
    ],
)
def test_events_whose_units_disagree(parts, message):
    assert refused(lambda: net().population("p", 1, lif(**parts))) == message


def test_a_refractory_period_is_text_or_a_time():
    with pytest.raises(EquationError, match="^equations, conditions and expressions are text, not float 2.0"):
        lif(refractory=2.0)
    assert lif(refractory=3 * ms).value("t_refractory") == 3 * ms


# -- parameters, initial values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "tau of Mine must be a time (s), got the plain number 5: write 5*ms"),
        (0, "tau of Mine must be a time (s), got the plain number 0: write 0*ms"),
        (5 * mV, "tau of Mine must be a time (s), got voltage (V): 5 mV"),
        (
            ns.uniform(1 * mV, 2 * mV),
            "tau of Mine must be a time (s), got uniform(lo 0.001, hi 0.002), which is voltage (V)",
        ),
        (TimedArray([1.0, 2.0], 1 * ms), "tau of Mine must be a time (s), got TimedArray(2,), which is dimensionless"),
        (np.ones(3), "tau of Mine must be a time (s), got plain numbers: multiply them by ms"),
    ],
)
def test_a_parameter_of_the_wrong_dimension(value, message):
    assert refused(lambda: lif()(tau=value)) == message


@pytest.mark.parametrize("text", ["5", "v_rest", "1/tau"])
def test_an_expression_of_the_wrong_dimension(text):
    cell = lif()(v_th=text) if text != "v_rest" else lif()(t_ref=text)
    message = refused(lambda: net().population("p", 1, cell))
    key, due = ("v_th", "voltage (V)") if text != "v_rest" else ("t_ref", "time (s)")
    got = {"5": "dimensionless", "v_rest": "voltage (V)", "1/tau": "frequency (Hz)"}[text]
    assert message == f"{key} of Mine must be a {due}, got '{text}', which is {got}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-70, "initial v of population 'p' must be a voltage (V), got the plain number -70: write -70*mV"),
        (3 * ms, "initial v of population 'p' must be a voltage (V), got time (s): 3 ms"),
        (
            "v_rest + 5",
            "cannot add voltage (V) and dimensionless in 'v_rest + 5'; give the plain number its unit, as in 5*mV",
        ),
        ("tau", "initial v of population 'p' must be a voltage (V), got 'tau', which is time (s)"),
        (
            ns.normal(1, 2),
            "initial v of population 'p' must be a voltage (V), got normal(mean 1, sd 2), which is dimensionless",
        ),
    ],
)
def test_an_initial_value_of_the_wrong_dimension(value, message):
    assert refused(lambda: net().population("p", 1, lif(), init={"v": value})) == message


def test_initial_values_of_a_receptor_are_checked_too():
    receptor = Receptor("dx/dt = -x/tau_s", event="x += w", output="x", tau_s=5 * ms, init={"x": 3 * ms})
    message = refused(lambda: net().population("p", 1, lif(receptors={"e": receptor})))
    assert message == "initial e.x of population 'p' must be a voltage (V), got time (s): 3 ms"


def test_distributions_need_one_dimension():
    assert refused(lambda: ns.uniform(1 * mV, 2)) in (
        "uniform: all arguments need the same dimension, got voltage (V), dimensionless",
        "uniform: all arguments need the same dimension, got dimensionless, voltage (V)",
    )
    assert refused(lambda: ns.normal(1 * mV, 1 * mV, lo=0 * ms)).startswith(
        "normal: all arguments need the same dimension"
    )
    assert refused(lambda: ns.lognormal(-1 * mV, 0.5), ParameterError) == "lognormal: the median must be positive"


# -- receptors, stimuli, connections -------------------------------------------------------------------------------


def exp_current(**more):
    return Receptor("dx/dt = -x/tau_s", event="x += w", output="x", tau_s=5 * ms, name="Syn", **more)


@pytest.mark.parametrize(
    ("receptor", "message"),
    [
        (Receptor("dx/dt = -x/tau_s", event="x += w", output="x*nS", tau_s=5 * ms, init={}), None),
        (
            Receptor("dx/dt = (v - x)/tau_s", event="x += w", output="x/tau_s", tau_s=5 * ms),
            "receptor 'e' does not fit the port 'i' of population 'p': voltage (V) in the equations, but V/s in "
            "'x / tau_s'",
        ),
        (Receptor("dx/dt = -x/tau_s", event="x += w*v", output="x*x", tau_s=5), "the two sides differ"),
        (Receptor(event="v += w*t"), None),
        (Receptor("dg/dt = -g/tau_s", event="g += w; v += w", output="g", tau_s=5 * ms), None),
    ],
)
def test_receptors(receptor, message):
    def make():
        return net().population("p", 1, lif(receptors={"e": receptor}))

    if message is None:
        assert make().scope.weight_dimension("e") is not None
    else:
        assert refused(make).startswith(message)


def test_a_weight_of_the_wrong_dimension():
    network = net()
    pop = network.population("p", 2, lif(receptors={"e": exp_current()}))
    what = "weight of the projection 'p_p_e' must be a voltage (V), got"
    assert refused(lambda: network.connect(pop, pop, weight=0.5)) == f"{what} the plain number 0.5: write 0.5*mV"
    assert refused(lambda: network.connect(pop, pop, weight=1 * nA)) == f"{what} current (A): 1 nA"
    assert refused(lambda: network.connect(pop, pop, weight="tau_pre")) == f"{what} 'tau_pre' of time (s)"
    assert refused(lambda: network.connect(pop, pop, weight="3*mV + i")) == (
        "cannot add voltage (V) and dimensionless in '3*mV + i'; give the plain number its unit, as in 5*mV"
    )
    assert (
        refused(lambda: network.connect(pop, pop, weight=ns.normal(1, 1))) == f"{what} a distribution of dimensionless"
    )
    assert (
        refused(lambda: network.connect(pop, pop, weight=np.ones((2, 2))))
        == f"{what} plain numbers: multiply them by mV"
    )
    assert network.projections == {}


def test_a_delay_of_the_wrong_dimension():
    network = net()
    pop = network.population("p", 2, lif(receptors={"e": exp_current()}))
    what = "delay of the projection 'p_p_e' must be a time (s), got"
    assert (
        refused(lambda: network.connect(pop, pop, weight=1 * mV, delay=1)) == f"{what} the plain number 1: write 1*ms"
    )
    assert refused(lambda: network.connect(pop, pop, weight=1 * mV, delay=1 * mV)) == f"{what} voltage (V): 1 mV"
    assert (
        refused(lambda: network.connect(pop, pop, weight=1 * mV, delay="1 + i")) == f"{what} '1 + i' of dimensionless"
    )
    assert refused(lambda: network.connect(pop, pop, weight=1 * mV, delay=ns.uniform(1 * um, 2 * um))) == (
        f"{what} a distribution of length (m)"
    )


def test_a_stimulus_that_does_not_fit():
    network = net()
    pop = network.population("p", 2, lif(receptors={"e": exp_current()}))
    message = refused(lambda: network.stimulate(pop, Current(output="a", a=1 * pA)))
    assert message == (
        "current 'current' does not fit the port 'i' of population 'p': voltage (V) in the equations, but current (A) "
        "in 'a'"
    )
    message = refused(lambda: network.stimulate(pop, Current(output="3")))
    assert message.endswith(
        "voltage (V) in the equations, but dimensionless in '3'; give the plain number its unit, as in 5*mV"
    )
    message = refused(lambda: network.stimulate(pop, Drive(rate=5 * Hz, weight=1 * nS)))
    assert (
        message
        == "the weight of a drive onto receptor 'e' of population 'p' must be a voltage (V), got conductance (S)"
    )
    message = refused(lambda: network.stimulate(pop, Drive(rate="3*mV", weight=1 * mV)))
    assert message == "the rate of a Poisson drive must be a frequency (Hz), got voltage (V)"
    assert refused(lambda: Drive(rate=5, weight=1 * mV)) == (
        "rate of PoissonInput must be a frequency (Hz), got the plain number 5: write 5*Hz"
    )
    assert pop.scope.parts.keys() == {"", "e"}


def test_a_refused_stimulus_leaves_no_trace():
    network = net()
    pop = network.population("p", 2, lif())
    for _ in range(2):
        refused(lambda: network.stimulate(pop, Current("x[n+1] = x + 1", output="x*a", a=1 * pA)))
    network.stimulate(pop, Current("x[n+1] = x + 1", output="x*a", a=1 * mV))
    assert [key for key, *_ in pop.stimuli] == ["current"]


def test_unknown_names_are_suggested():
    assert refused(
        lambda: net().population("p", 1, lif(equations="dv/dt = (v_rest - v + i)/tua")), UnknownNameError
    ) == ("unknown name 'tua' in cell Mine of population 'p'; did you mean 'tau'?")
    assert refused(lambda: lif()(tua=1 * ms), UnknownNameError) == "Mine has no parameter 'tua'; did you mean 'tau'?"
    assert refused(lambda: net().population("p", 1, lif(), init={"w": 1}), UnknownNameError) == (
        "population 'p' has no state variable 'w'; known: v"
    )
    assert refused(lambda: net().population("p", 1, lif(v_th="v_rst + 1*mV")), UnknownNameError).startswith(
        "unknown name 'v_rst' in 'v_rst + 1*mV'; did you mean 'v_rest'?"
    )


def test_the_step_is_a_time():
    assert (
        refused(lambda: ns.Network(dt=0.1))
        == "dt of the network must be a time (s), got the plain number 0.1: write 0.1*ms"
    )
    assert refused(lambda: ns.Network(dt=-1 * ms), ParameterError) == "dt of the network must be positive, got -1 ms"
    assert (
        refused(lambda: ns.Network(dt=[1, 2] * ms), ParameterError)
        == "dt of the network must be one value, got shape [2]"
    )

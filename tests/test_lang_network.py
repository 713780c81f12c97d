"""Networks as a user builds them: populations, their parts and parameters, probes; and every refusal on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_kit import CELL, DELTA, ONE, SYN, network, refused

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import (
    ConnectivityError,
    DimensionError,
    EquationError,
    NeurosimError,
    ParameterError,
    UnknownNameError,
)
from neurosim.lang.components import Cell, Current, Drive, Receptor
from neurosim.params import Param
from neurosim.units import Hz, ms, mV, um

# -- populations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "cell", "message"),
    [
        ("", 1, ONE, "'' cannot name a population: use letters, digits and '_', a letter first"),
        ("1a", 1, ONE, "'1a' cannot name a population: use letters, digits and '_', a letter first"),
        ("a/b", 1, ONE, "'a/b' cannot name a population: use letters, digits and '_', a letter first"),
        (3, 1, ONE, "3 cannot name a population: use letters, digits and '_', a letter first"),
        ("p", 0, ONE, "population 'p' needs a whole number of neurons, at least 1; got 0"),
        ("p", 2.0, ONE, "population 'p' needs a whole number of neurons, at least 1; got 2.0"),
        ("p", -1, ONE, "population 'p' needs a whole number of neurons, at least 1; got -1"),
        ("p", 1, Cell, "population 'p' needs a cell such as LIF(), got <class 'neurosim.lang.components.Cell'>"),
        ("p", 1, SYN, "population 'p' needs a cell such as LIF(), got Receptor(tau=5 ms)"),
    ],
)
def test_populations_that_are_refused(name, n, cell, message):
    assert refused(ParameterError, lambda: network().population(name, n, cell)) == message


def test_names_are_unique_and_looked_up():
    net = network(exc=2, inh=1)
    assert net["exc"].n == 2
    assert (
        refused(ParameterError, lambda: net.population("exc", 1, ONE)) == "the network has a population 'exc' already"
    )
    assert refused(UnknownNameError, lambda: net["exs"]) == "no population 'exs'; did you mean 'exc'?"
    assert repr(net) == "<Network 'network': 3 neurons, 0 projections>"


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1"])
def test_seeds(seed):
    assert refused(ParameterError, lambda: ns.Network(dt=1 * ms, seed=seed)).startswith(
        "seed must be a whole number from 0 to"
    )


def test_parts_keep_their_order():
    pop = network(p=10)["p"]
    assert len(pop[2]) == len(pop[-1]) == 1
    ids = [
        part.parts[0][1].tolist()
        for part in (pop[2:5], pop[::-3], pop[[5, 2]], pop[np.array([-1, 0])], pop[np.arange(10) % 4 == 0])
    ]
    assert ids == [[2, 3, 4], [9, 6, 3, 0], [5, 2], [9, 0], [0, 4, 8]]
    assert pop[2:8][1:3].parts[0][1].tolist() == [3, 4]
    assert pop[:].parts[0][1] is None, "the whole population is no selection"
    assert pop[::-1].parts[0][1].tolist() == list(range(9, -1, -1))
    assert [g.parts[0][1].tolist() for g in pop[3:5]] == [[3], [4]]
    assert len(list(pop)) == 10


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (10, "index 10 is outside 'p' of 10 neurons"),
        (-11, "index -11 is outside 'p' of 10 neurons"),
        (slice(3, 3), "the selection from 'p' is empty"),
        ([], "the selection from 'p' is empty"),
        ([1, 1], "the selection from 'p' names a neuron twice"),
        ([0, -10], "the selection from 'p' names a neuron twice"),
        ([0, 10], "index 10 is outside 'p' of 10 neurons"),
        (np.zeros(10, bool), "the selection from 'p' is empty"),
        (np.ones(9, bool), "a mask of 'p' needs 10 values, got shape (9,)"),
        (True, "a mask of 'p' needs 10 values, got shape ()"),
        ("a", "index a population by a number, a slice, a mask or a list of whole numbers"),
        (1.5, "index a population by a number, a slice, a mask or a list of whole numbers"),
        ([[1, 2]], "index a population by a number, a slice, a mask or a list of whole numbers"),
        (None, "index a population by a number, a slice, a mask or a list of whole numbers"),
    ],
)
def test_parts_that_are_refused(key, message):
    assert refused(ParameterError, lambda: network(p=10)["p"][key]) == message


@given(st.integers(1, 12), st.data())
def test_a_part_is_what_numpy_takes(n, data):
    pop = network(p=n)["p"]
    key = data.draw(
        st.one_of(
            st.slices(n),
            st.lists(st.integers(-n, n - 1), unique_by=lambda k: k % n),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
    expected = np.arange(n)[
        np.array(key, dtype=bool if key and isinstance(key[0], bool) else int) if isinstance(key, list) else key
    ]
    if len(expected) == 0:
        refused(ParameterError, lambda: pop[key])
        return
    (part,) = pop[key].parts
    assert (np.arange(n) if part[1] is None else part[1]).tolist() == expected.tolist()


def test_unions():
    net = network(a=3, b=2)
    a, b = net["a"], net["b"]
    both = a + b
    assert (len(both), both.name, repr(both)) == (5, "a+b", "<a+b: 5 neurons>")
    assert [(p.label, ids.tolist()) for p, ids in both[1:4].parts] == [("a", [1, 2]), ("b", [0])]
    assert (b[:1] + a + b[1:]).name == "b+a"
    assert refused(ParameterError, lambda: both[::-1]) == "a selection from a union must keep the order of its neurons"
    assert refused(ParameterError, lambda: a + network(c=1)["c"]) == "populations of two networks cannot be joined"
    for pair in ((a, a), (a[:2], a[1:]), (a, a[1]), (both, b[1:])):
        assert refused(ParameterError, lambda p=pair: p[0] + p[1]).startswith("a neuron of '")
    with pytest.raises(TypeError):
        a + 3


# -- parameters ----------------------------------------------------------------------------------------------------


def test_parameters_may_be_arrays_draws_and_expressions():
    net = network()
    cell = ONE(tau=[10, 20, 30] * ms, v_th=ns.uniform(9 * mV, 11 * mV), v_rest="-v_th/2 + index*1*mV")
    net.population("p", 3, cell, init={"v": "v_rest*0.5"})
    node = compile_network(net, after="units").populations[0]
    assert node.params["tau"].tolist() == [0.01, 0.02, 0.03]
    assert np.all((node.params["v_th"] >= 9e-3) & (node.params["v_th"] < 11e-3))
    assert len(set(node.params["v_th"])) == 3
    assert np.allclose(node.params["v_rest"], -node.params["v_th"] / 2 + np.arange(3) * 1e-3, rtol=1e-15)
    assert node.state("v").init.tolist() == (node.params["v_rest"] * 0.5).tolist()


def test_a_draw_belongs_to_its_parameter_population_and_seed():
    def drawn(seed, name):
        net = ns.Network(dt=0.1 * ms, seed=seed)
        net.population(
            name,
            50,
            ONE(v_th=ns.uniform(0 * mV, 1 * mV), v_rest=ns.uniform(0 * mV, 1 * mV)),
            init={"v": ns.uniform(0 * mV, 1 * mV)},
        )
        node = compile_network(net, after="units").populations[0]
        return [node.params["v_th"], node.params["v_rest"], node.state("v").init]

    first, again = drawn(1, "p"), drawn(1, "p")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    others = [*first, *drawn(2, "p"), *drawn(1, "q")]
    assert len({x.tobytes() for x in others}) == 9, "every draw has a stream of its own"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tau": [1, 2] * ms}, "tau of population 'p' needs one value or 3, got shape [2]"),
        ({"tau": np.ones((3, 1)) * ms}, "tau of population 'p' needs one value or 3, got shape [3, 1]"),
        ({"receptors": {"exc": SYN(tau=[1, 2] * ms)}}, "exc.tau of population 'p' needs one value or 3, got shape [2]"),
        ({"tau": np.nan * ms}, "tau of Mine must be finite, got nan"),
        ({"tau": [1 * ms, np.inf * ms, 1 * ms]}, "tau of Mine must be finite, got inf"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    assert refused(ParameterError, lambda: network().population("p", 3, ONE(**params))) == message


def test_bounds_hold_for_draws_and_expressions_too():
    cell = Cell("dv/dt = -v/tau", tau=ns.Param(10 * ms, ms, lo=0 * ms, lo_open=True), k=3.0)
    for value, text in ((ns.normal(0 * ms, 1 * ms), "("), ("(k - 3)*ms", "got 0 ms")):
        net = network()
        net.population("p", 5, cell(tau=value))
        with pytest.raises(ParameterError, match="^tau of Cell must be > 0 ms, got ") as caught:
            compile_network(net)
        assert text in str(caught.value)
    assert refused(ParameterError, lambda: cell(tau=-1 * ms)) == "tau of Cell must be > 0 ms, got -1 ms"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"a": "b", "b": "a"}, "the parameters a, b of Cell refer to each other in a circle"),
        ({"a": "a + 1"}, "the parameters a of Cell refer to each other in a circle"),
        ({"a": "2*t"}, "'2*t' is evaluated once, before the first step: it cannot depend on time"),
        ({"a": "v[n+1]"}, "'v[n+1]' is evaluated once, before the first step: it cannot depend on time"),
        ({"a": "1 +"}, "expected a number, a name or '(' here\n    1 +\n       ^"),
        ({"a": "1 > 2"}, "a condition is no number: write where(condition, 1, 0)\n    1 > 2\n    ^"),
    ],
)
def test_expressions_that_are_refused(params, message):
    assert refused(EquationError, lambda: network().population("p", 3, Cell("v[n+1] = v*a", **params))) == message


def test_an_expression_may_read_positions():
    net = network()
    net.population(
        "p", 4, Cell("v[n+1] = v*a", a="x/(1*um) + 10*y/(1*um)"), positions=ns.grid_positions((2, 2), 1 * um)
    )
    assert compile_network(net, after="units").populations[0].params["a"] == pytest.approx([0, 10, 1, 11])
    net.population("q", 4, Cell("v[n+1] = v*a", a="x/(1*um)"))
    assert refused(ConnectivityError, lambda: compile_network(net)) == (
        "'x/(1*um)' reads the position x, but population 'q' has none: give positions= to net.population"
    )


def test_positions():
    net = network()
    line = net.population("a", 3, ONE, positions=[0, 1, 2] * um)
    assert line.positions.tolist() == [[0, 0, 0], [1e-6, 0, 0], [2e-6, 0, 0]]
    assert refused(ParameterError, lambda: net.population("b", 2, ONE, positions=np.zeros((3, 2)) * um)) == (
        "positions of population 'b' must be [2, 1 to 3], got [3, 2]"
    )
    assert refused(DimensionError, lambda: net.population("b", 1, ONE, positions=[0.0])).startswith(
        "positions of population 'b'"
    )
    assert ns.grid_positions((2, 1, 3), 1 * um).shape == (6, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cell("dv/dt = -v/tau", tau=1 * ms, v=2), "'v' is both a parameter and a variable of Cell"),
        (lambda: Cell("", threshold="v > 1", reset="w = 0"), "reset changes 'w', which is no state variable of Cell"),
        (
            lambda: Cell("y = 2", threshold="y > 1", reset="y = 0"),
            "reset changes 'y', which is no state variable of Cell",
        ),
        (lambda: Cell("v[n+1] = v", reset="v = 0"), "Cell has a reset or refractory period but no threshold"),
        (
            lambda: Cell("v[n+1] = v", threshold="v"),
            "a condition compares values, as in v >= v_th; this is a number\n    v\n    ^",
        ),
        (
            lambda: Cell("v[n+1] = v", threshold="v > 1", clamp="w"),
            "clamp names 'w', which is no state variable of Cell; known: v",
        ),
        (
            lambda: Cell("v[n+1] = v", threshold="v[n+1] > 1"),
            "the threshold of Cell cannot read a new value ([n+1]): it comes after "
            "the step, so the plain name is the new value: 'v[n+1] > 1'",
        ),
        (
            lambda: Cell("v[n+1] = v", threshold="v > 1", reset="v = v[n+1]"),
            "a reset of Cell cannot read a new value ([n+1]): it "
            "comes after the step, so the plain name is the new value: 'v = v[n+1]'",
        ),
        (
            lambda: Receptor("dx/dt = -x/tau", tau=5 * ms),
            "Receptor needs an event: what an arrival adds, as in event='g += w'; or a link",
        ),
        (
            lambda: Receptor(event="x = w"),
            "an arrival can only add to a variable, in proportion to the weight: 'x += gain*w', not 'x = w'",
        ),
        (
            lambda: Receptor(event="x += w + 1"),
            "an arrival can only add to a variable, in proportion to the weight: 'x += gain*w', not 'x += w + 1'",
        ),
        (
            lambda: Receptor(event="x = 1.0000001*x + w"),
            "an arrival can only add to a variable, in proportion to the weight: "
            "'x += gain*w', not 'x = 1.0000001*x + w'",
        ),
        (
            lambda: Receptor(event="x += w*w"),
            "an arrival can only add to a variable, in proportion to the weight: 'x += gain*w', not 'x += w*w'",
        ),
        (
            lambda: Receptor(event="x += x*w"),
            "an arrival can only add to a variable, in proportion to the weight: 'x += gain*w', not 'x += x*w'",
        ),
        (
            lambda: Receptor(event="x += uniform()*w"),
            "the gain of an arrival cannot be random or read a new value ([n+1]): 'x += uniform()*w'",
        ),
        (
            lambda: Receptor("dx/dt = -x/w", event="x += w", w=1 * ms),
            "'w' is the weight that arrives: Receptor cannot give the name to anything else",
        ),
    ],
)
def test_parts_of_a_model_that_are_refused(make, message):
    assert refused(EquationError, make) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Cell("dv/dt = -v/tau", threshold="v > 1", reset="v = 0", tau=5 * ms, refractry=2 * ms),
            "Cell has no option 'refractry'; did you mean 'refractory'?",
        ),
        (
            lambda: Cell("dv/dt = -v/tau", treshold="v > 1", reset="v = 0", tau=5 * ms),
            "Cell has no option 'treshold'; did you mean 'threshold'?",
        ),
        (
            lambda: Receptor("dx/dt = -x/tau", event="x += w", outptu="x", tau=5 * ms),
            "Receptor has no option 'outptu'; did you mean 'output'?",
        ),
        (
            lambda: Current(output="amp", prot="j", amp=1 * mV),
            "Current has no option 'prot'; did you mean 'port'?",
        ),
        (
            lambda: Drive(rate=1 * Hz, weight=1 * mV, recptor="exc"),
            "Drive has no option 'recptor'; did you mean 'receptor'?",
        ),
    ],
)
def test_a_misspelt_option_is_no_parameter(make, message):
    assert refused(ParameterError, make) == message


def test_parameters_may_be_named_like_options():
    cell = Cell("dv/dt = resets - v/tau", threshold="v > thresholds", tau=5 * ms, resets=1 / ms, thresholds=1.0)
    assert set(cell.params) == {"tau", "resets", "thresholds"}
    assert "inits" in Cell("dx/dt = -x/tau", init={"x": "2*inits"}, inits=1.0, tau=5 * ms).params
    assert "v_reset" in Cell("dv/dt = -v/tau", tau=5 * ms, v_reset=0 * mV).params
    assert "resets" in Cell("dx/dt = -x/tau", resets=Param(1.0, None, "declared, read by nobody"), tau=5 * ms).params


def test_a_description_has_all_that_makes_the_model():
    cell = Cell(
        "dv/dt = (i - v)/tau",
        threshold="v >= 1*mV",
        reset="v = 0*mV",
        refractory="t_ref",
        method="rk4",
        init={"v": "v_0"},
        receptors={"exc": SYN},
        tau=5 * ms,
        t_ref=1 * ms,
        v_0=0 * mV,
    )
    lines = [" ".join(line.split()) for line in cell.describe().splitlines()]
    for line in (
        "threshold: v >= 1*mV",
        "reset: v = 0*mV",
        "refractory: t_ref",
        "clamp: v",
        "method: rk4",
        "init: v = v_0",
    ):
        assert line in lines
    assert any(line.startswith("receptors: exc: Receptor(") for line in lines)
    lines = [" ".join(line.split()) for line in SYN(when="before", port="j").describe().splitlines()]
    assert {"event: x += w", "output: x", "when: before", "port: j"} <= set(lines)
    text = Current("x[n+1] = x", output="x + a", init={"x": [1, 2] * mV}, a=1 * mV).describe()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert {"output: x + a", "port: i", "init: x = array of 2"} <= set(lines)


@pytest.mark.parametrize(
    ("receptor", "message"),
    [
        (Receptor(event="u += w"), "unknown name 'u' in receptor Receptor of population 'p'"),
        (Receptor(event="tau += w"), "an arrival at receptor 'e' changes 'tau', which is no state variable; known: v"),
        (
            Receptor("x = v", event="x += w"),
            "an arrival at receptor 'e' changes 'x', which is no state variable; known: v",
        ),
        (Receptor("dx/dt = (w - x)/tau", event="x += w"), "unknown name 'w' in receptor Receptor of population 'p'"),
        (
            Receptor("dx/dt = -x/tau", event="x += w", output="w"),
            "unknown name 'w' in receptor Receptor of population 'p'",
        ),
        (
            Receptor(event="v += w", output="v", port="j"),
            "receptor 'e' feeds the port 'j', which Mine of population 'p' does not have",
        ),
    ],
)
def test_receptors_that_do_not_fit_the_cell(receptor, message):
    got = refused(NeurosimError, lambda: network().population("p", 3, CELL(receptors={"e": receptor})))
    assert got.startswith(message), got


def test_a_cell_that_does_not_read_its_port():
    cell = Cell("dv/dt = -v/tau", tau=1 * ms, receptors={"e": SYN(tau=5 * ms)})
    assert refused(EquationError, lambda: network().population("p", 1, cell)) == (
        "receptor 'e' feeds the port 'i', but no equation of Cell of population 'p' reads it"
    )
    cell = Cell("dv/dt = (e.w - v)/tau", tau=1 * ms, receptors={"e": DELTA})
    assert refused(UnknownNameError, lambda: network().population("p", 1, cell)).startswith(
        "unknown name 'e.w' in cell Cell"
    )


@pytest.mark.parametrize("key", ["1e", "a b", "a.b", "", "_e", "dt", "\u00e9"])
def test_receptors_need_names(key):
    assert refused(ParameterError, lambda: CELL(receptors={key: SYN})).startswith(f"'{key}' cannot name a receptor: ")
    assert refused(ParameterError, lambda: Cell("", **{key: 1.0})).startswith(
        f"'{key}' cannot be a parameter of Cell: "
    )


# -- probes and parameters from outside ----------------------------------------------------------------------------


def test_probes_of_one_variable_are_one():
    net = network(a=6)
    a = net["a"]
    net.record(a[4:], "v")
    net.record(a[[2, 0]], "v")
    net.record(a[:3], "spikes")
    net.record(a, "spikes")
    net.record([a], "exc.x", every=1 * ms)
    found = [(p.variable, None if p.ids is None else p.ids.tolist(), p.every) for p in net.probes]
    assert found == [("v", [0, 2, 4, 5], None), ("spikes", None, None), ("exc.x", None, 1e-3)]
    assert refused(ParameterError, lambda: net.record(a, "v", every=1 * ms)) == (
        "'v' of 'a' is recorded already, with another interval or of other neurons: record it once"
    )
    net.record(a[:2], "rate", every=1 * ms)
    assert refused(ParameterError, lambda: net.record(a[2:], "rate", every=1 * ms)).startswith(
        "'rate' of 'a' is recorded already"
    )


def test_probes_that_are_refused():
    net = network(a=2)
    a = net["a"]
    conn = net.connect(a, a, weight=1 * mV)
    assert refused(UnknownNameError, lambda: net.record(a, "spike")) == (
        "population 'a' has no variable 'spike' to record; did you mean 'spikes'?"
    )
    assert refused(UnknownNameError, lambda: net.record(a, "exc.y")).startswith(
        "population 'a' has no variable 'exc.y' to record"
    )
    b = net.population("b", 1, Cell("u = 2*v; dv/dt = -u/tau", tau=5 * ms))
    assert refused(UnknownNameError, lambda: net.record(b, "u")) == (
        "'u' of population 'b' is an intermediate, which nothing keeps: only state variables are recorded (v)"
    )
    said = refused(UnknownNameError, lambda: net.record(conn, "v"))
    assert said == f"projection '{conn.name}' has no variable 'v'; known: weight"
    assert (
        refused(DimensionError, lambda: net.record(a, "v", every=3))
        == "every must be a time (s), got the plain number 3: write 3*ms"
    )
    net.record(conn, "weight")
    net.record(a, "v", every=0.25 * ms)
    assert refused(ParameterError, lambda: compile_network(net)).startswith(
        "the interval of a probe is 0.25 ms, which is not a whole"
    )


def test_set_parameter_reaches_every_part():
    net = network(a=2, b=2)
    net.stimulate(net["a"], Current(output="amp", amp=1 * mV), name="dc")
    for path, value in (("a.tau", 3 * ms), ("a.exc.tau", "4 ms"), ("a.dc.amp", 2 * mV), ("a.v_th", [1, 2] * mV)):
        net.set_parameter(path, value)
    a, b = compile_network(net, after="units").populations
    assert (a.params["tau"], a.params["exc.tau"], a.params["dc.amp"]) == (3e-3, 4e-3, 2e-3)
    assert a.params["v_th"].tolist() == [1e-3, 2e-3]
    assert (b.params["tau"], b.params["exc.tau"]) == (10e-3, 5e-3), "another population keeps its own"
    assert refused(UnknownNameError, lambda: net.set_parameter("c.tau", 1 * ms)) == "no population 'c'; known: a, b"
    assert refused(UnknownNameError, lambda: net.set_parameter("a.tua", 1 * ms)).startswith(
        "population 'a' has no parameter 'tua'; did"
    )
    assert (
        refused(DimensionError, lambda: net.set_parameter("a.tau", 1))
        == "a.tau must be a time (s), got the plain number 1: write 1*ms"
    )
    assert refused(ParameterError, lambda: net.set_parameter("a.v_th", [1, 2, 3] * mV)).startswith(
        "a.v_th needs one value or 2"
    )


def test_an_input_by_its_usual_name_is_told_the_port():
    with pytest.raises(UnknownNameError, match=r"put in is called 'i', or say ports=\('I',\)"):
        ns.Network(dt=1 * ms).population("p", 1, Cell("dv/dt = (I - v)/tau", tau=5 * ms))


def test_a_list_of_names_is_recorded_one_by_one():
    net = network(p=3)
    net.record(net["p"], ["spikes", "v"], every=0.2 * ms)
    assert [(probe.target, probe.variable, probe.every) for probe in net.probes] == [
        ("p", "spikes", 2e-4),
        ("p", "v", 2e-4),
    ]

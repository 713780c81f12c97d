"""Cells of compartments: how they are joined, how they are stepped, and what is refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import EquationError, ParameterError, UnknownNameError
from neurosim.ir.interp import evaluate
from neurosim.ir.program import Builder, Program
from neurosim.lang.parser import parse_expression
from neurosim.models import (
    LIF,
    NMDA,
    AdEx,
    AlphaConductance,
    DCInput,
    ExpConductance,
    HodgkinHuxley,
    PoissonSource,
    SpikeSource,
)
from neurosim.models.dendrites import DendriticSpike, Passive, axial, cable, cylinder, tree
from neurosim.passes.elimination import coefficients, coupled, order, solve
from neurosim.units import Hz, cm, kohm, ms, mV, nS, ohm, pA, pF, uF, um, uS

V = ["v_soma", "v_trunk", "v_tuft"]
LINKS = {("soma", "trunk"): 12 * nS, ("trunk", "tuft"): 4 * nS}
PARTS = {
    "soma": Passive(c_m=100 * pF, g_l=5 * nS), "trunk": Passive(c_m=40 * pF, g_l=2 * nS),
    "tuft": Passive(c_m=20 * pF, g_l=1 * nS),
}  # fmt: skip


def run(cell, duration, stimuli=(), record=(), dt=0.1, backend="reference", n=1, **options):
    net = ns.Network("compartments", dt=dt * ms)
    pop = net.population("p", n, cell)
    for stimulus in stimuli:
        net.stimulate(pop, stimulus)
    for name in record:
        net.record(pop, name)
    return net.run(duration * ms, backend=backend, **options)


def last(result, names=V):
    return np.array([result.state["p"][name].values[-1, 0] for name in names])


def closed_form(t, current=50e-12):
    """The three compartments by one matrix exponential."""
    c = np.array([100e-12, 40e-12, 20e-12])
    a = -np.diag([5e-9, 2e-9, 1e-9])
    for (i, j), g in {(0, 1): 12e-9, (1, 2): 4e-9}.items():
        a[i, i] -= g
        a[j, j] -= g
        a[i, j] += g
        a[j, i] += g
    a = a / c[:, None]
    steady = np.linalg.solve(a, -np.array([0, 0, current]) / c)
    return -65e-3 + steady - expm(a * t) @ steady


# -- elimination -----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_elimination_solves(size, seed, tree):
    g = np.random.default_rng(seed)
    links = [(k, int(g.integers(0, k))) for k in range(1, size)]
    links += [] if tree else [(int(a), int(b)) for a, b in g.integers(0, size, (size, 2)) if a != b]
    dense = np.eye(size) * size
    for i, j in links:
        dense[i, j], dense[j, i] = -g.uniform(0.1, 1), -g.uniform(0.1, 1)
    right = g.normal(size=size)
    b = Builder()
    at = {(i, j): b.const(float(dense[i, j])) for i, j in np.argwhere(dense)}
    out = solve(b, {(int(i), int(j)): k for (i, j), k in at.items()}, [b.const(float(y)) for y in right])
    values = evaluate(Program(tuple(b.instrs)), lambda ins: None)
    assert np.allclose([float(values[k]) for k in out], np.linalg.solve(dense, right), rtol=1e-12, atol=1e-14)
    if tree:  # nothing fills in: one factor for each link
        assert sum(ins.op == "div" for ins in b.instrs) <= len(links) + size


def test_leaves_come_first():
    chain = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (1, 4), (4, 1)]
    assert order(5, chain) == [0, 3, 2, 1, 4]


@pytest.mark.parametrize(
    "text, found",
    [
        ("g*(e - v)", {"v": "g * (-1)"}),
        ("g*b/(1 + exp(v))*(e - v)", {"v": "g * b / (1 + exp(v)) * (-1)"}),
        ("(e - v)*g/(1 + exp(v))", {"v": "g * (-1) / (1 + exp(v))"}),
        ("exp(v) - 2*v", {"v": "-2"}),
        ("v*v", {"v": "v"}),
        ("exp(v)", {}),
        ("-(3*u - v)", {"u": "-3", "v": "1"}),
    ],
)
def test_coefficients(text, found):
    got = coefficients(parse_expression(text, ("v", "u", "g", "e", "b")), {"v", "u"})
    assert {k: str(c) for k, c in got.items()} == found


def test_what_is_coupled():
    def equations(**texts):
        names = (*texts, "g", "e")
        return {k: parse_expression(text, names) for k, text in texts.items()}

    assert coupled(equations(a="g*(b - a)", b="g*(a - b) - b", c="-c")) == [["a", "b"]]
    assert coupled(equations(v="m*m*h*(e - v)", m="(1/(1 + exp(v)) - m)", h="1 - h*exp(v)")) == []  # gates are not
    assert coupled(equations(v="g*(e - v) - w", w="g*(v - e) - w")) == [["v", "w"]]  # an adaptation is
    assert coupled(equations(v="x*(e - v)", x="-x")) == []  # a conductance is not


# -- integration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, tolerance", [("tree", 1e-15), ("exact", 1e-15)])
def test_linear_compartments_are_exact(method, tolerance):
    """Against one matrix exponential over the whole time, at any dt."""
    for dt in (0.1, 1.0, 5.0):
        r = run(ns.compartments(PARTS, LINKS, method=method), 20, [DCInput(50 * pA).at("tuft")], V, dt)
        assert np.abs(last(r) - closed_form(20e-3)).max() < tolerance


@pytest.mark.parametrize("method, power", [("implicit_euler", 1), ("crank_nicolson", 2)])
def test_order_of_the_implicit_schemes(method, power):
    cell = ns.compartments(PARTS, LINKS, method=method)
    errors = [
        np.abs(last(run(cell, 8, [DCInput(50 * pA).at("tuft")], V, dt)) - closed_form(8e-3)).max()
        for dt in (0.2, 0.1, 0.05, 0.025)
    ]
    slopes = -np.diff(np.log2(errors))
    assert np.all(np.abs(slopes - power) < 0.1 * power), (errors, slopes)


def test_stable_at_any_step():
    """A stiff pair: the explicit scheme explodes, the implicit one ends at rest."""
    parts = {"a": Passive(c_m=1 * pF, g_l=1 * nS), "b": Passive(c_m=100 * pF, g_l=1 * nS)}
    links, init = {("a", "b"): 100 * nS}, {"v_a": -20 * mV}
    for method, explodes in (("implicit_euler", False), ("euler", True)):
        net = ns.Network("stiff", dt=1 * ms)
        pop = net.population("p", 1, ns.compartments(parts, links, method=method), init=init)
        net.record(pop, "v_a")
        if explodes:
            assert np.abs(net.run(20 * ms, backend="reference").state["p"]["v_a"].values).max() > 1
        else:
            v = net.run(2000 * ms, backend="reference").state["p"]["v_a"].values
            assert v.min() > -65.1e-3 and v.max() < -20e-3 and abs(v[-1, 0] + 65e-3) < 1e-9


def active(method="tree"):
    """A soma that spikes, a dendrite with spikes of its own and conductances, one of them blocked by magnesium."""
    soma = LIF(tau_m=20 * ms, v_th=-50 * mV, v_rest=-65 * mV, v_reset=-60 * mV, t_ref=2 * ms, r_m=100 * 1e6 * ohm)
    dend = PARTS["trunk"].insert(na=DendriticSpike(), ca=DendriticSpike(e_rise=136 * mV, v_th=-20 * mV))
    more = {"ampa": ExpConductance(tau=2 * ms).at("dend"), "nmda": NMDA.at("dend"), "inh": AlphaConductance.at("soma")}
    return ns.compartments({"soma": soma, "dend": dend}, {("soma", "dend"): 10 * nS}, receptors=more, method=method)


def active_network(method="tree", threads=None, backend="native", duration=120, dt=0.1, n=70):
    net = ns.Network("active", dt=dt * ms, seed=3)
    source = net.population("source", 60, PoissonSource(150 * Hz))
    pop = net.population("p", n, active(method), init={"v_dend": ns.uniform(-70 * mV, -60 * mV)})
    for receptor, weight in (("ampa", 1.5 * nS), ("nmda", 0.7 * nS)):
        net.connect(source, pop, receptor=receptor, weight=weight, rule=ns.FixedProbability(0.4), delay=0.5 * ms)
    net.connect(pop, pop, receptor="inh", weight=1 * nS, rule=ns.FixedInDegree(5), delay=1 * ms)
    for name in ("spikes", "v_soma", "v_dend", "spike_na_dend", "spike_ca_dend"):
        net.record(pop, name)
    options = {} if threads is None else {"threads": threads}
    return net.run(duration * ms, backend=backend, **options)


@pytest.mark.parametrize("method", ["tree", "euler"])
def test_native_is_the_reference(method):
    a = active_network(method, backend="reference")
    assert len(a.spikes["p"]) > 20 and len(a.events("p", "spike_na_dend")) > 50
    for threads in (1, 2):
        b = active_network(method, threads)
        assert a.spikes["p"].identical(b.spikes["p"])
        assert all(a.state["p"][v].identical(b.state["p"][v]) for v in a.state["p"])


def test_conductances_converge():
    """A branch with a synapse against a solver with error control, which knows nothing of compartments."""
    cell = ns.compartments(PARTS, LINKS, receptors={"exc": ExpConductance(tau=3 * ms).at("tuft")})
    found = []
    for dt in (0.05, 0.025, 0.0125):
        net = ns.Network("synapse", dt=dt * ms)
        pop = net.population("p", 1, cell)
        net.connect(net.population("s", 1, SpikeSource([1 * ms])), pop, receptor="exc", weight=4 * nS, delay=1 * ms)
        for name in V:
            net.record(pop, name)
        found.append(last(net.run(10 * ms, backend="reference")))

    def slope(t, v, late):
        since = t - late - 2e-3
        g = 4e-9 * np.exp(-since / 3e-3) if since >= 0 else 0.0
        i = np.array(
            [12e-9 * (v[1] - v[0]), 12e-9 * (v[0] - v[1]) + 4e-9 * (v[2] - v[1]), 4e-9 * (v[1] - v[2]) - g * v[2]]
        )
        return (np.array([5e-9, 2e-9, 1e-9]) * (-65e-3 - v) + i) / np.array([100e-12, 40e-12, 20e-12])

    # the jump found in step n = 2 ms/dt acts from the end of that step on
    errors = []
    for dt, v in zip((0.05e-3, 0.025e-3, 0.0125e-3), found, strict=True):
        truth = solve_ivp(slope, (0, 10e-3), [-65e-3] * 3, args=(dt,), rtol=1e-10, atol=1e-13, max_step=5e-5).y[:, -1]
        errors.append(np.abs(v - truth).max())
    assert errors[2] < 5e-5 and np.all(np.abs(np.diff(np.log2(errors)) + 1) < 0.15), errors


def test_a_refractory_soma_stands_still_and_the_branch_goes_on():
    soma = LIF(v_th=-50 * mV, v_rest=-65 * mV, v_reset=-60 * mV, t_ref=5 * ms, r_m=100 * 1e6 * ohm)
    cell = ns.compartments({"soma": soma, "b": PARTS["trunk"]}, {("soma", "b"): 10 * nS}, method="implicit_euler")
    assert cell.clamp == ("v_soma",)
    r = run(cell, 60, [DCInput(600 * pA)(port="i_soma")], ["v_soma", "v_b", "spikes"])
    first = r.spikes["p"].steps[0]
    soma, branch = (r.state["p"][v].values[first : first + 51, 0] for v in ("v_soma", "v_b"))
    assert np.all(soma == soma[0]) and np.all(np.diff(branch) != 0)


# -- joining ---------------------------------------------------------------------------------------------------------


def test_names():
    cell = ns.compartments(
        {"soma": HodgkinHuxley(), "d": AdEx(receptors={"exc": ExpConductance(tau=2 * ms)}).insert(k=GATE)},
        {("soma", "d"): "g_l_soma/2"},
        threshold="v_soma > 0*mV",
        reset=None,
        method="euler",
    )
    assert {"v_soma", "m_soma", "v_d", "w_d", "n_k_d"} <= set(cell.variables)
    assert cell.ports == ("i_soma", "i_d") and set(cell.receptors) == {"exc_d"}
    assert cell.value("g_soma_d") == "g_l_soma/2" and cell.value("e_k_k_d") == -77 * mV
    assert "i_k_d = g_k_k_d*n_k_d*n_k_d*(e_k_k_d - v_d)" in cell.text
    assert "exp_d" not in cell.text and "where_d" not in cell.text  # functions are no names


GATE = ns.Channel(
    "dn/dt = (1/(1 + exp(-(v + 50*mV)/(5*mV))) - n)/tau", output="g_k*n*n*(e_k - v)", tau=4 * ms, g_k=8 * nS,
    e_k=-77 * mV, init={"n": 0.1},
)  # fmt: skip


def test_a_channel_by_hand():
    """A kinetic channel in a branch: the same numbers as equations that are written out."""
    cell = ns.compartments(
        {"a": PARTS["soma"], "b": PARTS["trunk"].insert(k=GATE)}, {("a", "b"): 12 * nS}, method="rk4"
    )
    full = ns.Cell(
        """
        dv_a/dt = (g_l_a*(e_l - v_a) + i_a + g*(v_b - v_a))/c_a
        dv_b/dt = (g_l_b*(e_l - v_b) + g*(v_a - v_b) + g_k*n*n*(e_k - v_b))/c_b
        dn/dt = (1/(1 + exp(-(v_b + 50*mV)/(5*mV))) - n)/tau
        """,
        ports=("i_a",), method="rk4", init={"v_a": "e_l", "v_b": "e_l", "n": 0.1}, g_l_a=5 * nS, g_l_b=2 * nS,
        e_l=-65 * mV, c_a=100 * pF, c_b=40 * pF, g=12 * nS, g_k=8 * nS, e_k=-77 * mV, tau=4 * ms,
    )  # fmt: skip
    names = (("v_a", "v_a"), ("v_b", "v_b"), ("n_k_b", "n"))
    a = run(cell, 50, [DCInput(300 * pA)(port="i_a")], [x for x, _ in names])
    b = run(full, 50, [DCInput(300 * pA)(port="i_a")], [x for _, x in names])
    for x, y in names:
        assert np.allclose(a.state["p"][x].values, b.state["p"][y].values, rtol=0, atol=1e-12)
    assert a.state["p"]["n_k_b"].values.max() > 0.5


def test_parameters_of_every_neuron_and_drawn():
    cell = ns.compartments(
        {"a": PARTS["soma"](g_l=np.array([5.0, 10.0]) * nS), "b": PARTS["trunk"](c_m=ns.uniform(30 * pF, 50 * pF))},
        {("a", "b"): np.array([1.0, 20.0]) * nS},
    )
    r = run(cell, 300, [DCInput(50 * pA)(port="i_a")], ["v_a", "v_b"], n=2)
    for k, (g_l, g) in enumerate(((5e-9, 1e-9), (10e-9, 20e-9))):
        inside = g_l + g * 2e-9 / (g + 2e-9)  # at rest the branch hangs on the link in series
        assert r.state["p"]["v_a"].values[-1, k] == pytest.approx(-65e-3 + 50e-12 / inside, abs=1e-8)


def test_a_value_is_changed_by_its_new_name():
    cell = ns.compartments(PARTS, LINKS)
    net = ns.Network("set", dt=0.1 * ms)
    net.population("p", 1, cell(g_l_tuft=3 * nS))
    net.set_parameter("p.g_soma_trunk", "7 nS")
    params = compile_network(net, after="units").populations[0].params
    assert (params["g_l_tuft"], params["g_soma_trunk"]) == (pytest.approx(3e-9), pytest.approx(7e-9))


def test_adex_as_a_soma():
    """By Euler's scheme, which does not carry the runaway of the last step into the branch: it converges."""
    cell = ns.compartments({"s": AdEx, "b": Passive}, {("s", "b"): 5 * nS}, method="euler")
    found = [run(cell, 50, [DCInput(1000 * pA).at("s")], ["v_b", "spikes"], dt=dt) for dt in (0.02, 0.01)]
    assert [len(r.spikes["p"]) for r in found] == [3, 3]
    assert all(-56e-3 < r.state["p"]["v_b"].values.max() < -53e-3 for r in found)


def test_a_gate_called_n():
    """The n of a new value, x[n+1], is no name."""
    part = ns.Cell(
        "dv/dt = (e - v + i*r)/tau\nx[n+1] = x + n\ny[n+1] = x[n+1] - n", e=-65 * mV, tau=9 * ms, n=2.0, r=1e6 * ohm
    )
    cell = ns.compartments({"a": part.insert(k=ns.Channel("u[n+1] = n + u", output="u*pA", n=3.0))}, {})
    r = run(cell, 0.3, (), ["x_a", "y_a", "u_k_a"])
    assert [r.state["p"][x].values[:, 0].tolist() for x in ("x_a", "y_a", "u_k_a")] == [[2, 4, 6], [0, 2, 4], [3, 6, 9]]


def test_a_choice_of_currents_is_implicit():
    """A conductance inside where() is in the matrix too: without it this explodes."""
    gated = ns.Channel(output="where(t < 1*second, g*(e - v), 0*pA)", g=2000 * nS, e=0 * mV)
    cell = ns.compartments({"a": Passive.insert(c=gated), "b": Passive}, {("a", "b"): 5 * nS})
    v = run(cell, 50, (), ["v_a"], dt=1.0).state["p"]["v_a"].values
    assert -65e-3 < v.min() and v.max() < 1e-3


def test_exact_up_to_a_size():
    """Up to 24 variables a linear tree is exact, beyond it is stepped implicitly."""
    for n, same in ((24, "exact"), (25, "implicit_euler")):
        cells = {m: cable(n, 500 * um, 1 * um, method=m) for m in ("tree", same)}
        a, b = (run(c, 5, [DCInput(20 * pA)(port="i0")], ["v0"]).state["p"]["v0"] for c in cells.values())
        assert a.identical(b)
    more = {"exc": ExpConductance(tau=2 * ms).at("tuft")}
    a, b = (run(ns.compartments(PARTS, LINKS, receptors=more, method=m), 5, [DCInput(20 * pA)(port="i_soma")], V)
            for m in ("tree", "implicit_euler"))  # fmt: skip
    assert all(a.state["p"][v].identical(b.state["p"][v]) for v in V)


def test_crank_nicolson_rings_where_the_step_is_long():
    """It is stable and not damped: a fast mode changes its sign from step to step; implicit Euler's is gone at once."""
    parts, links = (
        {"a": Passive(c_m=1 * pF, g_l=1 * nS), "b": Passive(c_m=100 * pF, g_l=1 * nS)},
        {("a", "b"): 100 * nS},
    )
    for method, rings in (("crank_nicolson", True), ("implicit_euler", False)):
        net = ns.Network("stiff", dt=1 * ms)
        net.population("p", 1, ns.compartments(parts, links, method=method, init={"v_a": "-20*mV"}))
        net.record(net["p"], "v_a")
        v = net.run(6 * ms, backend="reference").state["p"]["v_a"].values[:, 0]
        assert bool(np.all(np.diff(np.sign(np.diff(v))) != 0)) == rings and np.abs(v).max() < 0.2


def test_values_of_neurons_keep_their_declaration():
    cell = Passive(c_m=[10.0, 20.0] * pF).insert(k=GATE)
    assert cell.params["c_m"].meaning == Passive.params["c_m"].meaning
    with pytest.raises(ParameterError, match="c_m of Passive must be > 0 pF"):
        cell(c_m=-1 * pF)
    joined = ns.compartments({"a": cell}, {})
    assert joined.value("c_m_a").value.tolist() == [10e-12, 20e-12]


def test_a_refractory_period_that_was_changed_stays_changed():
    part = Passive.insert(c=ns.Channel(output="0*pA", events={"e": ns.Event("v > -99*mV", refractory=0.5 * ms)}))
    cell = ns.compartments({"a": part(t_e_c_refractory=0.1 * ms).insert(k=GATE)}, {})
    assert run(cell, 0.5, (), ["e_c_a"]).events("p", "e_c_a").steps.tolist() == [0, 2, 4]


def test_each_argument_replaces_its_own():
    """A threshold in place of the part's leaves its reset, its refractory period and what stands still."""
    soma = LIF(v_th=-50 * mV, v_rest=-65 * mV, v_reset=-60 * mV, t_ref=5 * ms, r_m=100 * 1e6 * ohm)
    cell = ns.compartments({"soma": soma, "b": PARTS["trunk"]}, {("soma", "b"): 10 * nS}, threshold="v_soma > -40*mV")
    assert [st.text for st in cell.reset] == ["v_soma = v_reset_soma"] and cell.refractory_text == "t_ref_soma"
    assert cell.clamp == ("v_soma",)
    other = ns.compartments({"soma": soma, "b": Passive}, {("soma", "b"): 10 * nS}, reset="v_soma = v_b")
    assert other.threshold_text == "v_soma >= v_th_soma" and [st.text for st in other.reset] == ["v_soma = v_b"]


def test_a_port_that_is_called_like_an_intermediate():
    two = ns.Cell(
        "dv/dt = (g*(e - v) + i + i_in)/c", ports=("i", "i_in"), g=1 * nS, e=-65 * mV, c=9 * pF, init={"v": "e"}
    )
    cell = two.insert(k=ns.Channel(output="1*pA"))
    assert cell.ports == ("i", "i_in")
    r = run(cell, 500, [DCInput(2 * pA)(port="i_in")], ["v"])
    assert r.state["p"]["v"].values[-1, 0] == pytest.approx(-65e-3 + 3e-3, abs=1e-9)


def test_what_a_receptor_reads_of_its_part():
    """In equations, initial values and parameters: a cell's parameter is that of the part."""
    receptor = ns.Receptor(
        "dx/dt = -x/tau", event="x += w", output="x*k*pA", tau="tau_m/2", init={"x": "scale"}, k="scale"
    )
    part = ns.Cell(
        "dv/dt = (e - v + i*r)/tau_m", e=-65 * mV, tau_m=10 * ms, scale=3.0, r=1e6 * ohm, receptors={"syn": receptor}
    )
    alone, joined = (run(c, 3, (), [name]).state["p"][name].values for c, name in
                     ((part, "syn.x"), (ns.compartments({"a": part}, {}), "syn_a.x")))  # fmt: skip
    assert np.array_equal(alone, joined) and alone[0, 0] == pytest.approx(3 * np.exp(-0.1 / 5))


def test_names_are_changed_once():
    """In a part x, g becomes g_x, also where the part has a g_x, which becomes g_x_x."""
    part = ns.Cell(
        "dv/dt = (k*(e - v) + i)/c", e=-65 * mV, g=1 * nS, g_x=8 * nS, k="g + g_x", c="g*9*ms", init={"v": "e"}
    )
    cell = ns.compartments({"x": part}, {})
    assert cell.value("k_x") == "g_x + g_x_x" and cell.value("c_x") == "g_x*9*ms"
    net = ns.Network("once", dt=0.1 * ms)
    net.population("p", 1, cell)
    params = compile_network(net, after="units").populations[0].params
    assert params["k_x"] == pytest.approx(9e-9) and params["c_x"] == pytest.approx(9e-12)


def test_a_part_that_needs_double_precision():
    part = ns.Cell("dv/dt = -v/tau + i*r/tau", tau=5 * ms, r=1e6 * ohm, precision="double")
    with pytest.raises(ns.errors.UnsupportedError, match="its cell needs double"):
        run(ns.compartments({"a": part}, {}), 1, precision="single")


def test_a_current_at_a_part():
    """A stimulus that reads the potential of the part that it is put on."""
    clamp = ns.Current(output="g*(e - v)", g=1000 * nS, e=-30 * mV).at("trunk")
    r = run(ns.compartments(PARTS, LINKS), 100, [clamp], V)
    assert abs(last(r)[1] + 30e-3) < 1e-3 and last(r)[0] < last(r)[1]


def test_inserting_twice():
    cell = PARTS["tuft"].insert(a=GATE).insert(b=GATE(g_k=1 * nS))
    assert {"n_a", "n_b"} <= set(cell.variables) and cell.value("g_k_b") == 1 * nS
    both = PARTS["tuft"].insert(a=GATE, b=GATE(g_k=1 * nS))
    one, two = (run(c, 20, [DCInput(80 * pA)], ["v"]).state["p"]["v"].values for c in (cell, both))
    assert np.allclose(one, two, rtol=0, atol=1e-15)


def test_geometry():
    one = cylinder(100 * um, 2 * um, cm=1 * uF / cm**2, gl=50 * uS / cm**2, scale_factor=2.0, spine_factor=1.5)
    area = np.pi * 100e-4 * 2e-4 * 3  # cm2
    assert one.value("c_m").value == pytest.approx(area * 1e-6) and one.value("g_l").value == pytest.approx(
        area * 50e-6
    )
    g = axial(100 * um, 2 * um, 50 * um, 1 * um, 100 * ohm * cm)
    halves = [4 * 1.0 * ln / (np.pi * d**2) / 2 for ln, d in ((100e-6, 2e-6), (50e-6, 1e-6))]
    assert g.value == pytest.approx(1 / sum(halves))


def rallpack_1(t, x, terms=400):
    """A finite cable with sealed ends and a current into one of them, as the sum of its modes (Rall 1969)."""
    length, diameter, rm, ra, cm_, current = 1e-3, 1e-6, 4.0, 1.0, 0.01, 0.1e-9
    lam, tau = np.sqrt(diameter / 4 * rm / ra), rm * cm_
    r_inf = 4 * ra * lam / (np.pi * diameter**2)
    n = np.arange(terms)[:, None]
    rate = 1 + (n * np.pi * lam / length) ** 2
    weight = np.where(n == 0, 1.0, 2.0) * np.cos(n * np.pi * x / length) / rate
    return current * r_inf * lam / length * (weight * (1 - np.exp(-rate * t / tau))).sum(0)


@pytest.mark.parametrize("backend, n", [("native", 20), ("reference", 100)])
def test_rallpack_1(backend, n):
    """The passive cable of 1 mm by 1 um, 0.1 nA at one end for 250 ms, at the middles of its first and its last
    compartment, by the tolerances of Brian2's test."""
    cell = cable(
        n, 1000 * um, 1 * um, r_axial=100 * ohm * cm, cm=1 * uF / cm**2, gl=1 / (40 * kohm * cm**2), v_rest=-65 * mV
    )
    r = run(cell, 250, [DCInput(100 * pA)(port="i0")], ["v0", f"v{n - 1}"], 0.05, backend)
    t = np.arange(1, 5001) * 0.05e-3
    piece = 1e-3 / n
    for name, x in (("v0", piece / 2), (f"v{n - 1}", 1e-3 - piece / 2)):
        v, truth = r.state["p"][name].values[:, 0] + 65e-3, rallpack_1(t, x)
        error = np.abs(v - truth) / np.abs(truth).max()
        assert np.sqrt((error**2).mean()) < 1e-3 and error.max() < 5e-3, (name, error.max())


def branching(depth):
    """Rallpack 2's tree: every branch has two of a length and a diameter after Rall's 3/2 law; one compartment each."""
    parents, lengths, diameters, level, size = [-1], [16.0], [32.0], [0], (16.0, 32.0)
    for _ in range(1, depth):
        size = size[0] / 2 ** (2 / 3), size[1] / 2 ** (1 / 3)
        above, level = level, []
        for parent in above:
            for _ in range(2):
                level.append(len(parents))
                parents.append(parent)
                lengths.append(size[0])
                diameters.append(size[1])
    return parents, lengths * um, diameters * um, level


def test_a_symmetric_tree_is_a_chain():
    """Branches of one level have one potential: the tree is a chain whose compartments are as many branches in one."""
    parents, lengths, diameters, ends = branching(4)
    whole = run(tree(parents, lengths, diameters), 20, [DCInput(100 * pA)(port="i0")], ["v0", *(f"v{k}" for k in ends)])
    names, links = [f"l{k}" for k in range(4)], {}
    size = [(16e-6 / 2 ** (2 * k / 3), 32e-6 / 2 ** (k / 3)) for k in range(4)]
    parts = {f"l{k}": cylinder(a * 1e6 * um, b * 1e6 * um, gl=25 * uS / cm**2, scale_factor=2.0**k)
             for k, (a, b) in enumerate(size)}  # fmt: skip
    for k, (a, b) in enumerate(zip(names, names[1:], strict=False)):
        one = axial(*(x * 1e6 * um for x in (*size[k], *size[k + 1])), 100 * ohm * cm)
        links[a, b] = one * 2.0 ** (k + 1)
    chain = run(ns.compartments(parts, links, method="crank_nicolson"), 20, [DCInput(100 * pA)(port="i_l0")],
                ["v_l0", "v_l3"])  # fmt: skip
    for ours, theirs in (("v0", "v_l0"), *((f"v{k}", "v_l3") for k in ends)):
        assert np.allclose(whole.state["p"][ours].values, chain.state["p"][theirs].values, rtol=0, atol=1e-12)


@pytest.mark.full
@pytest.mark.engine("brian2")
def test_rallpack_2():
    """1,023 compartments in a binary tree, against the theoretical solution that comes with Brian2, by the tolerances
    that Brian2 uses."""
    import brian2

    parents, lengths, diameters, ends = branching(10)
    assert len(parents) == 1023
    cell = tree(parents, lengths, diameters, gl=1 / (40 * kohm * cm**2))
    last_end = f"v{ends[-1]}"
    r = run(cell, 250, [DCInput(100 * pA)(port="i0")], ["v0", f"v{ends[0]}", last_end])
    assert np.allclose(r.state["p"][last_end].values, r.state["p"][f"v{ends[0]}"].values, rtol=0, atol=1e-12)
    folder = Path(brian2.__file__).parent / "tests" / "rallpack_data"
    for name, file in (("v0", "ref_branch.0"), (last_end, "ref_branch.x")):
        t, truth = np.loadtxt(folder / file)[::2].T
        v = r.state["p"][name].values[:, 0]
        assert np.allclose(t[1:], r.state["p"][name].times[: len(t) - 1])
        error = np.abs(v[: len(t) - 1] - truth[1:]) / np.ptp(truth)
        assert np.sqrt((error**2).mean()) < 2.5e-3 and error.max() < 5e-3


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts, links, options, error, message",
    [
        ({"a": 3}, {}, {}, ParameterError, "the part 'a' must be a cell such as Passive"),
        ({"a b": Passive}, {}, {}, ParameterError, "'a b' cannot name a part"),
        ({"a": Passive}, {("a", "b"): 1 * nS}, {}, UnknownNameError, "a link names no part 'b'"),
        ({"a": Passive}, {("a", "a"): 1 * nS}, {}, ParameterError, "'a' cannot be linked to itself"),
        ({"a": Passive}, {"ab": 1 * nS}, {}, ParameterError, "a link is between two parts"),
        (
            {"a": Passive, "b": Passive},
            {("a", "b"): 1 * mV},
            {},
            ns.errors.DimensionError,
            "the link between 'a' and 'b' must be a conductance",
        ),
        (
            {"a": Passive, "b": Passive},
            {("a", "b"): 1 * nS, ("b", "a"): 1 * nS},
            {},
            ParameterError,
            "are linked twice",
        ),
        (
            {"a": LIF(), "b": LIF()},
            {},
            {},
            ParameterError,
            r"2 parts have a threshold \(a, b\), and a cell has one",
        ),
        ({"a": ns.Cell("du/dt = -u/tau", tau=1 * ms)}, {}, {}, EquationError, "the part 'a' needs a potential v"),
        (
            {"l": Passive, "r": Passive},
            {("l", "r"): 1 * nS},
            {},
            ParameterError,
            "the name 'g_l_r' arises twice, from the ",
        ),
        (
            {"a": Passive},
            {},
            {"c_m_a": 3 * pF},
            ParameterError,
            "the name 'c_m_a' arises twice, from part 'a' and from",
        ),
        (
            {"a": Passive(receptors={"e": NMDA})},
            {},
            {"receptors": {"e_a": NMDA.at("a")}},
            ParameterError,
            "'e_a' arises",
        ),
        ({"a": SpikeSource([1 * ms])}, {}, {}, ParameterError, "the part 'a' has spikes that are given"),
        (
            {"a": AdEx, "b": Passive},
            {("a", "b"): 1 * nS},
            {},
            ParameterError,
            "the potential of part 'a' runs away exp",
        ),
        ([Passive], {}, {}, ParameterError, "the parts of a cell are a dictionary, by name"),
        ({"a": Passive}, [1], {}, ParameterError, "the links of a cell are a dictionary, by name"),
        ({"a": Passive}, {}, {"events": [1]}, ParameterError, "the events of a cell are a dictionary, by name"),
        (
            {"a": Passive, "b": Passive},
            {("a", "b"): 5},
            {},
            ns.errors.DimensionError,
            "the link between 'a' and 'b' must be a conductance",
        ),
        ({"a": Passive, "b": Passive}, {("a", "b"): -5 * nS}, {}, ParameterError, "must be >= 0 nS, got -5 nS"),
        ({"a": Passive}, {}, {"method": "hines"}, ParameterError, "method must be one of auto, exact"),
    ],
)
def test_refused(parts, links, options, error, message):
    with pytest.raises(error, match=message) as found:
        ns.compartments(parts, links, **options)
    assert "test_compartments.py" in str(found.value)


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: Passive.insert(a=3), ParameterError, "'a' must be a Channel such as DendriticSpike"),
        (
            lambda: Passive.insert(a=GATE(port="j")),
            EquationError,
            "channel 'a' feeds the port 'j', which Passive does not",
        ),
        (lambda: Passive.insert(a=GATE).insert(a=GATE), ParameterError, "channel 'a' would bring a second '"),
        (
            lambda: ns.Channel("", output="v", events={"e": 3}),
            ParameterError,
            "event 'e' of a channel must be an Event",
        ),
        (lambda: ExpConductance().at("a b"), ParameterError, "'a b' cannot name a part"),
        (lambda: cable(0, 1 * um, 1 * um), ParameterError, "a cable has a whole number of compartments"),
        (lambda: cable(3, 1 * ms, 1 * um), ns.errors.DimensionError, "length of the cable"),
        (lambda: tree([-1, 1], [1, 1] * um, [1, 1] * um), ParameterError, "compartment 1 of the tree hangs on 1"),
        (lambda: tree([0], [1] * um, [1] * um), ParameterError, "compartment 0 of the tree hangs on 0: it needs -1"),
        (lambda: cable(3, 1 * um, 1 * um, cm=1 * uF), ns.errors.DimensionError, "cm"),
        (lambda: cable(3, 1 * um, 1 * um, gl=-1 * uS / cm**2), ParameterError, "gl must be 0 or more"),
        (lambda: cable(3, 1 * um, 1 * um, r_axial=0 * ohm * cm), ParameterError, "r_axial must be above 0"),
        (lambda: tree("abc", [1] * um, [1] * um), ParameterError, "the parents of a tree are whole numbers"),
        (lambda: tree([-1, 0.5], [1, 1] * um, [1, 1] * um), ParameterError, "the parents of a tree are whole numbers"),
        (lambda: axial(0 * um, 1 * um, 1 * um, 1 * um, 100 * ohm * cm), ParameterError, "must be above 0"),
        (lambda: cylinder(1 * um, 0 * um), ParameterError, "the diameter of a cylinder must be above 0"),
        (lambda: tree([-1, 0], [1, 1] * um, 1 * um), ParameterError, "the diameters of the tree must be 2 lengths"),
    ],
)
def test_refused_elsewhere(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_receptor_on_a_branch_that_is_not_there():
    net = ns.Network("none", dt=0.1 * ms)
    cell = ns.compartments(PARTS, LINKS, receptors={"exc": ExpConductance().at("twig")})
    with pytest.raises(EquationError, match="receptor 'exc' feeds the port 'i_twig', which Compartments"):
        net.population("p", 1, cell)


@pytest.mark.engine("nest")
def test_no_cell_of_nest_or_loihi_has_events():
    spiking = Passive.insert(na=DendriticSpike())
    with pytest.raises(
        ns.errors.UnsupportedError, match=r"events besides the spike \(spike_na\), which no cell of NEST"
    ):
        run(spiking, 1, backend="nest")
    cell = LIF().insert(e=ns.Channel(output="0*mV", events={"up": ns.Event("v > 0*mV")}))
    with pytest.raises(ns.errors.UnsupportedError, match="counterpart of the cell of population 'p'"):
        run(cell, 1, backend="loihi2")


@pytest.mark.engine("brian2", "snntorch")
def test_engines_agree():
    names = ("v_soma", "v_trunk", "v_tuft")
    cell = ns.compartments(PARTS | {"tuft": PARTS["tuft"].insert(na=DendriticSpike(g_rise=10 * nS))}, LINKS)
    runs = [run(cell, 30, [DCInput(150 * pA)(port="i_tuft")], (*names, "spike_na_tuft"), backend=b)
            for b in ("reference", "native", "brian2", "snntorch")]  # fmt: skip
    assert len(runs[0].events("p", "spike_na_tuft")) > 1
    for (a, b), name in itertools.product(itertools.pairwise(runs), names):
        assert a.state["p"][name].identical(b.state["p"][name])

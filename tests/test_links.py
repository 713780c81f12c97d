"""Couplings without spikes: what the language says, what is refused, checkpoints, changes in between, convergence."""

from __future__ import annotations

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import (
    ConnectivityError,
    DimensionError,
    EquationError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
)
from neurosim.ir.printer import render_graph
from neurosim.models import AdEx, DCInput, ExpCurrent, GapJunction, GradedSynapse, PairSTDP, PoissonInput
from neurosim.models.dendrites import Passive
from neurosim.units import Hz, ms, mV, nS, pA, pF

PASSIVE = ns.Cell("dv/dt = (e - v)/tau + i/c", e=-70 * mV, tau=10 * ms, c=100 * pF, receptors={"gap": GapJunction})


def passive(n: int = 2, dt: float = 0.1, **more: object) -> ns.Network:
    net = ns.Network("coupled", dt=dt * ms, seed=3)
    net.population("a", n, PASSIVE(**more), init={"v": ns.uniform(-80 * mV, -50 * mV)})
    return net


def spiking(n: int = 90) -> ns.Network:
    """Two populations of cells that spike, coupled by all kinds of links and by spikes."""
    net = ns.Network("spiking", dt=0.1 * ms, seed=5)
    cell = AdEx(receptors={"gap": GapJunction, "graded": GradedSynapse(v_half=-50 * mV), "exc": ExpCurrent(tau=3 * ms)})
    for k, name in enumerate("ab"):
        net.population(name, n + 41 * k, cell, init={"v": ns.uniform(-75 * mV, -55 * mV)})
        net.stimulate(net[name], DCInput((700 + 100 * k) * pA))
        net.stimulate(net[name], PoissonInput(1000 * Hz, weight=30 * pA, receptor="exc"))
        net.record(net[name], "spikes")
        net.record(net[name], "v", every=1 * ms)
    net.connect(net["a"] + net["b"], net["b"] + net["a"], receptor="gap", rule=ns.FixedProbability(0.1),
                weight=ns.uniform(0 * nS, 1 * nS), name="gap")  # fmt: skip
    net.connect(net["b"][::2], net["a"], receptor="graded", rule=ns.FixedInDegree(5), weight=1 * nS, name="graded")
    net.connect(net["a"], net["b"], receptor="exc", rule=ns.FixedProbability(0.1), weight=40 * pA, delay=0.7 * ms)
    return net


def test_it_converges_to_the_equations():
    """Two passive cells: v_a - v_b decays with 1/tau + 2 g/C; the error of the held coupling is of first order."""
    errors = []
    for dt in (0.2, 0.1, 0.05):
        net = ns.Network("pair", dt=dt * ms)
        pop = net.population("a", 2, PASSIVE, init={"v": np.array([-60.0, -80.0]) * mV})
        net.connect(pop, pop, rule=ns.EdgeList([0, 1], [1, 0]), weight=5 * nS)
        net.record(pop, "v")
        v = net.run(4 * ms, backend="reference").state["a"]["v"].values[-1]
        errors.append(abs(v[0] - v[1] - 20e-3 * np.exp(-4e-3 * (1 / 10e-3 + 2 * 5e-9 / 100e-12))))
    assert errors[0] < 2e-4
    assert 1.8 < errors[0] / errors[1] < 2.2
    assert 1.8 < errors[1] / errors[2] < 2.2


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_native_is_the_reference(threads, precision):
    want = spiking().run(60 * ms, backend="reference", precision=precision)
    got = spiking().run(60 * ms, threads=threads, precision=precision)
    for name in "ab":
        assert got.spikes[name].identical(want.spikes[name])
        assert got.state[name]["v"].identical(want.state[name]["v"])
        assert len(want.spikes[name].ids) > 50


def test_the_coupling_matters_and_pulls_cells_together():
    spread = []
    for weight in (0.0, 1.0):
        net = passive(20)
        net.connect(net["a"], net["a"], weight=weight * nS)
        net.record(net["a"], "v")
        spread.append(np.ptp(net.run(10 * ms).state["a"]["v"].values[-1]))
    assert spread[1] < spread[0] / 5


def test_a_chain_of_cells_on_parts():
    """Coupling of dendrites: both ends of a link on a part lie on that part."""
    part = ns.compartments({"soma": Passive(), "dend": Passive()}, {("soma", "dend"): 5 * nS})
    cell = part(receptors={"gap": GapJunction.at("dend")})
    net = ns.Network("parts", dt=0.1 * ms)
    pop = net.population("a", 2, cell)
    net.connect(pop, pop, rule=ns.EdgeList([0, 1], [1, 0]), weight=3 * nS)
    assert "v_dend_pre" in cell.receptors["gap"].link_text
    net.stimulate(pop[0], DCInput(50 * pA).at("soma"))
    for variable in ("v_soma", "v_dend"):
        net.record(pop, variable)
    state = net.run(50 * ms).state["a"]
    rise = {v: state[v].values[-1] - state[v].values[0] for v in ("v_soma", "v_dend")}
    assert rise["v_soma"][0] > rise["v_dend"][0] > rise["v_dend"][1] > rise["v_soma"][1] > 0


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_run_goes_on_from_a_checkpoint(backend, tmp_path):
    whole = spiking().run(40 * ms, backend=backend)
    kept = tmp_path / "run.ckpt"
    first = spiking().run(25 * ms, backend=backend, checkpoint=str(kept), checkpoint_every=10 * ms)
    assert first.provenance.n_steps == 250
    again = spiking().run(40 * ms, backend=backend, checkpoint=str(kept), resume=True)
    for name in "ab":
        assert again.spikes[name].identical(whole.spikes[name])
        assert again.state[name]["v"].identical(whole.state[name]["v"])


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_what_is_set_between_two_steps_is_read_by_the_next(backend):
    net = passive(2)
    net.connect(net["a"], net["a"], rule=ns.EdgeList([0], [1]), weight=5 * nS)
    simulation = net.start(backend=backend)
    simulation.run(1 * ms)
    simulation.set("a.v", np.array([0.0, -70.0]) * mV)
    simulation.run(0.1 * ms)
    p = np.exp(-0.01)
    want = -70e-3 * p + (1 - p) * (-70e-3 + 10e-3 / 100e-12 * 5e-9 * 70e-3)
    assert simulation.state("a", "v")[1] == pytest.approx(want, rel=1e-12)


def test_weights_and_parameters_of_a_link_change_while_it_runs():
    half = ns.Receptor(link="s = w*gain*v_pre", output="s", gain=1.0)
    cell = ns.Cell("v[n+1] = 1 + 0*v; y[n+1] = y + i", receptors={"in": half}, init={"v": 1})
    for backend in ("native", "reference"):
        net = ns.Network("live", dt=1 * ms)
        pop = net.population("a", 2, cell)
        net.connect(pop, pop, rule=ns.EdgeList([0, 1], [1, 0]), weight=np.array([1.0, 2.0]), name="k")
        simulation = net.start(backend=backend)
        simulation.run(2 * ms)
        assert simulation.state("a", "y").tolist() == [4.0, 2.0]
        simulation.set("a.in.gain", 10.0)
        simulation.run(1 * ms)
        assert simulation.state("a", "y").tolist() == [24.0, 12.0]
        simulation.set_weights("k", np.array([3.0, 4.0]))
        simulation.run(1 * ms)
        assert simulation.state("a", "y").tolist() == [64.0, 42.0]


def test_trials_share_what_they_can():
    net = spiking()
    trials = net.run_trials(30 * ms, 3, threads=2)
    for k in range(3):
        alone = spiking().run_trials(30 * ms, [k], backend="reference")
        for name in "ab":
            assert trials[k].spikes[name].identical(alone[0].spikes[name])
    assert not trials[0].spikes["a"].identical(trials[1].spikes["a"])


def test_a_diverging_coupling_is_named():
    net = passive(2)
    net.connect(net["a"], net["a"], weight=1e6 * nS)
    messages = []
    for backend in ("native", "reference"):
        with pytest.raises(ns.errors.DivergedError, match="v of neuron 0 in population 'a'") as error:
            net.run(10000 * ms, backend=backend)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_edges_and_the_graph_as_text():
    net = spiking()
    table = net.edges("gap")
    assert len(table) > 500
    assert not table.delay.any()
    text = render_graph(compile_network(net))
    assert "link gap: a + b -> b + a, receptor gap" in text
    assert "%3 = sub(%1, %2)" in text
    assert "2 links" in text
    assert "i_gap = w*(v_pre - v_post)" in GapJunction.describe()


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("s = v_pre", EquationError, "reads no weight w"),
        ("s = w*v", UnknownNameError, "write v_pre for the source's v"),
        ("s = w*normal()", EquationError, "cannot read random numbers"),
        ("s = w*t", EquationError, "cannot read the time ('t')"),
        ("ds/dt = w*v_pre", EquationError, "a link is written 'name = …'"),
        ("s = w*v_pre; r = w", EquationError, "is one line"),
        ("gain = w*v_pre", EquationError, "is both a parameter and a variable|is a name already"),
        ("w = w*v_pre", EquationError, "is a name already"),
    ],
)
def test_a_line_that_is_none(line, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        ns.Receptor(link=line, output="gain*w", gain=2.0)


def test_an_event_and_a_link_are_two_things():
    with pytest.raises(EquationError, match="an event and a link"):
        ns.Receptor(link="s = w*v_pre", event="v += w")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"delay": 1 * ms}, "has no delay"),
        ({"plasticity": PairSTDP(w_max=1 * nS)}, "has no learning rule"),
        ({"short_term": ns.models.TsodyksMarkram()}, "has no short-term plasticity"),
    ],
)
def test_what_acts_in_every_step_has_none_of_these(given, says):
    net = passive()
    with pytest.raises(ParameterError, match=says):
        net.connect(net["a"], net["a"], weight=1 * nS, **given)
    assert not net.links


def test_dimensions_follow_from_both_ends():
    net = passive()
    with pytest.raises(DimensionError, match="must be a conductance"):
        net.connect(net["a"], net["a"], weight=1 * mV)
    pure = net.population("b", 1, ns.Cell("v[n+1] = v + 1"))
    with pytest.raises(DimensionError, match="v_pre"):
        net.connect(pure, net["a"], weight=1 * nS)
    source = net.population("c", 1, ns.Cell("x[n+1] = x + 1"))
    with pytest.raises(UnknownNameError, match="source 'c' has no state variable 'v'"):
        net.connect(source, net["a"], weight=1 * nS)


def test_a_parameter_of_a_link_is_one_constant():
    part = ns.Receptor(link="s = w*gain*v_pre", output="s", gain=ns.uniform(0, 1))
    net = ns.Network("n", dt=1 * ms)
    pop = net.population("a", 2, ns.Cell("v[n+1] = v + i", receptors={"in": part}))
    net.connect(pop, pop, weight=1.0)
    with pytest.raises(ParameterError, match="is one constant for all its edges"):
        net.run(1 * ms)


def test_no_spikes_no_drive_no_probe():
    net = passive()
    net.connect(net["a"], net["a"], weight=1 * nS, name="gap")
    with pytest.raises(ParameterError, match="takes no spikes: drive another"):
        net.stimulate(net["a"], PoissonInput(10 * Hz, weight=1 * nS))
    with pytest.raises(ParameterError, match=r"net\.edges\('gap'\) has them"):
        net.record(net.links["gap"], "weight")
    with pytest.raises(ParameterError, match="has a projection 'gap' already"):
        net.connect(net["a"], net["a"], weight=1 * nS, name="gap")
    with pytest.raises(ConnectivityError):
        net.connect(net["a"], net["a"], weight=1 * nS, rule=ns.EdgeList([5], [0]))


def test_who_has_no_links_says_so():
    net = passive()
    net.connect(net["a"], net["a"], weight=1 * nS, name="gap")
    with pytest.raises(UnsupportedError, match=r"link 'gap'.*backend='native'"):
        net.run(1 * ms, backend="loihi2")
    assert net.copy().links["gap"].rule is net.links["gap"].rule
    assert repr(net).endswith("0 projections, 1 links>")


def test_targets_that_mean_different_things_are_refused():
    """The same words may be a parameter of one population's receptor and a variable of another's."""
    given = ns.Receptor(link="s = w*x_pre", output="s", x_pre=100.0)
    read = ns.Receptor(link="s=w * x_pre", output="s")
    other = ns.Receptor(link="r = w*x_pre", output="r")

    def net(*receptors: ns.Receptor) -> ns.Network:
        out = ns.Network("union", dt=1 * ms)
        source = out.population("c", 1, ns.Cell("x[n+1] = x", init={"x": 7}))
        pops = [out.population(f"p{k}", 1, ns.Cell("x[n+1] = x; y[n+1] = i", receptors={"k": r}))
                for k, r in enumerate(receptors)]  # fmt: skip
        out.connect(source, pops[0] + pops[1], weight=1.0)
        out.record(pops, "y")
        return out

    with pytest.raises(ParameterError, match="links of 'p0' and 'p1' at receptor 'k' differ"):
        net(given, read).run(1 * ms)
    result = net(read, other).run(1 * ms)
    assert [result.state[p]["y"].values[0, 0] for p in ("p0", "p1")] == [7.0, 7.0]


@pytest.mark.parametrize("name", ["v_pre", "i_post"])
def test_a_sum_is_not_named_like_a_variable_of_an_end(name):
    with pytest.raises(EquationError, match="is how a variable of one end is named"):
        ns.Receptor(link=f"{name} = w*v_pre", output=name)


def test_a_link_is_text():
    with pytest.raises(EquationError, match="a link is text"):
        ns.Receptor(link=3)
    assert ns.Receptor(link=None, event="v += w").link is None


def test_a_receptor_that_no_link_leads_to_adds_nothing():
    net = passive(2)
    net.record(net["a"], "v")
    alone = ns.Network("alone", dt=0.1 * ms, seed=3)
    bare = ns.Cell("dv/dt = (e - v)/tau + i/c", e=-70 * mV, tau=10 * ms, c=100 * pF)
    alone.population("a", 2, bare, init={"v": ns.uniform(-80 * mV, -50 * mV)})
    alone.record(alone["a"], "v")
    assert net.run(2 * ms).state["a"]["v"].identical(alone.run(2 * ms).state["a"]["v"])
    assert not any(ins.op == "inbox" for p in compile_network(net).populations for ins in p.program.instrs)


def test_exports_say_what_they_lack(tmp_path):
    from neurosim.interchange.sonata import write

    net = passive(2)
    net.connect(net["a"], net["a"], weight=1 * nS, name="gap")
    with pytest.raises(UnsupportedError, match=r"SONATA has no couplings without spikes \(receptor 'gap'"):
        write.export(net, str(tmp_path / "out"), duration=5 * ms)

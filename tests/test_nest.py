"""The backend ``nest``: which cells it recognises, that NEST then does what the reference does, and what it refuses."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.nest_backend import delivery, kernel
from neurosim.backends.nest_backend.cells import Cell as NestCell
from neurosim.backends.nest_backend.cells import Source
from neurosim.backends.nest_backend.delivery import FIRST, Ranks, local_edges, signs
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.compile import compile_network
from neurosim.errors import BackendError, DivergedError, ParameterError, UnsupportedError
from neurosim.ir.edges import iter_edges
from neurosim.lang.components import Cell, Receptor
from neurosim.models import (
    IF,
    LIF,
    AdEx,
    AlphaConductance,
    AlphaCurrent,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    HodgkinHuxley,
    Izhikevich,
    OUNoise,
    PoissonInput,
    PoissonSource,
    PulseCurrent,
    SineCurrent,
    SpikeSource,
    StepCurrent,
    WhiteNoise,
)
from neurosim.registry import load_backend
from neurosim.units import Hz, Mohm, Quantity, ms, mV, nS, pA

pytestmark = pytest.mark.engine("nest")

KINDS = {"exp": ExpCurrent, "alpha": AlphaCurrent, "delta": DeltaCurrent}
SPAN = 10e-3
"""|v_th - v_reset| of the cells below, in volts."""


def compiled(net: ns.Network, precision: str = "double") -> Any:
    """Return a network's graph, as backends get it."""
    return compile_network(net, precision=precision, weight_bits=None)


def alone(cell: Any, n: int = 2, dt: float = 0.1) -> Any:
    """Return the graph of one population without connections."""
    net = ns.Network("alone", dt=dt * ms)
    net.population("p", n, cell)
    return compiled(net)


def model(cell: Any, **more: Any) -> str:
    """Return the name of the NEST cell that a cell is."""
    graph = alone(cell, **more)
    found = recognise(graph, graph.populations[0])
    assert isinstance(found.what, NestCell), found.differences
    return found.what.model


def both(build: Any, steps: int, dt: float = 0.1, **options: Any) -> tuple[Any, Any]:
    """Run a network on the reference and on NEST."""
    truth = build().run(steps * dt * ms, backend="reference")
    return truth, build().run(steps * dt * ms, backend="nest", **options)


def agree(truth: Any, nest: Any, within: float = 1e-9 * SPAN, least: int = 1) -> None:
    """Assert equal spikes (some of them), and values within a tolerance at the same times."""
    assert sum(len(s) for s in truth.spikes.values()) >= least
    for name, spikes in truth.spikes.items():
        assert spikes.identical(nest.spikes[name]), name
    for name, traces in truth.state.items():
        for variable, trace in traces.items():
            other = nest.state[name][variable]
            assert np.array_equal(trace.times, other.times)
            assert trace.values.shape == other.values.shape
            assert np.max(np.abs(trace.values - other.values), initial=0.0) <= within, (name, variable)


def synapse(kind: str, tau: Any, **more: Any) -> Receptor:
    """Return a receptor of one of NEST's three kinds."""
    return DeltaCurrent(**more) if kind == "delta" else KINDS[kind](tau=tau, **more)


# -- what is recognised --------------------------------------------------------------------------------------------


def test_the_library_s_cells():
    names = {kind: model(LIF(receptors={"e": synapse(kind, 5 * ms)})) for kind in KINDS}
    assert names == {"exp": "iaf_psc_exp", "alpha": "iaf_psc_alpha", "delta": "iaf_psc_delta"}
    assert model(LIF) == "iaf_psc_exp"
    assert model(Izhikevich) == "izhikevich"
    assert model(AdEx) == "aeif_cond_exp"
    assert model(LIF(receptors={"e": ExpConductance, "i": ExpConductance})) == "iaf_cond_exp"
    assert model(LIF(receptors={"e": AlphaConductance})) == "iaf_cond_alpha"
    assert model(AdEx(receptors={"e": AlphaConductance})) == "aeif_cond_alpha"
    graph = alone(PoissonSource(5 * Hz))
    assert isinstance(recognise(graph, graph.populations[0]).what, Source)


def test_a_cell_of_one_s_own_with_the_same_mathematics():
    """Other names, brackets and units; the synapse written into the cell; the threshold turned round."""
    cell = Cell(
        "du/dt = -a*(u - u0) + (s + i)/c\nds/dt = b*q - s*b\ndq/dt = -q*b",
        threshold="0*mV <= u - top",
        reset="u = low + 0*mV",
        refractory="2*pause",
        clamp="u",
        a=0.05 / ms, b=0.2 / ms, u0=-65 * mV, c=200 * (pA * ms / mV), top=-50 * mV, low=-60 * mV, pause=1 * ms,
        init={"u": -65 * mV},
        receptors={"e": Receptor(event="q += w"), "f": Receptor(event="q += 2*w")},
    )  # fmt: skip
    graph = alone(cell)
    found = recognise(graph, graph.populations[0]).what
    assert isinstance(found, NestCell)
    assert found.model == "iaf_psc_alpha"
    assert found.params["tau_m"] == 20.0
    assert found.params["t_ref"] == 2.0
    assert found.start["V_th"] == pytest.approx(15e-3)

    def network() -> ns.Network:
        net = ns.Network("own", dt=0.1 * ms, seed=1)
        pop = net.population("p", 5, cell)
        net.stimulate(pop, PoissonInput(2000 * Hz, weight=60 * pA, receptor="f"))
        net.connect(pop, pop, receptor="e", weight=20 * pA, delay=0.4 * ms)
        for variable in ("spikes", "u", "s"):
            net.record(pop, variable)
        return net

    truth, nest = both(network, 1000)
    agree(truth, nest, least=20)


def test_any_number_of_receptors_of_either_sign():
    cell = LIF(receptors={k: ExpCurrent(tau=t * ms) for k, t in (("a", 2), ("b", 5), ("c", 9))})
    net = ns.Network(dt=0.1 * ms)
    mixed = net.population("mixed", 2, cell)
    signed = net.population("signed", 2, LIF(receptors={"a": ExpCurrent(tau=2 * ms), "b": ExpCurrent(tau=5 * ms)}))
    swapped = net.population("swapped", 2, LIF(receptors={"a": ExpCurrent(tau=2 * ms), "b": ExpCurrent(tau=5 * ms)}))
    net.connect(mixed, mixed, receptor="a", weight=ns.normal(0 * mV, 1 * mV))
    net.connect(mixed, signed, receptor="a", weight=ns.uniform(0 * mV, 1 * mV))
    net.connect(mixed, signed, receptor="b", weight=-1 * mV)
    net.connect(mixed, swapped, receptor="a", weight=-1 * mV)
    net.connect(mixed, swapped, receptor="b", weight=ns.normal(1 * mV, 1 * mV, lo=0 * mV))
    graph = compiled(net)
    found = {p.name: recognise(graph, p).what for p in graph.populations}
    assert found["mixed"].model == "iaf_psc_exp_multisynapse"
    assert [found["mixed"].ports[k].number for k in "abc"] == [1, 2, 3]
    assert found["signed"].model == found["swapped"].model == "iaf_psc_exp"
    assert (found["signed"].params["tau_syn_ex"], found["signed"].params["tau_syn_in"]) == (2.0, 5.0)
    assert (found["swapped"].params["tau_syn_ex"], found["swapped"].params["tau_syn_in"]) == (5.0, 2.0)


def test_weights_reach_nest_unchanged():
    """C_m takes the resistance in, so that the factor on weights is 1 and their sums stay exact."""
    for r_m in (1.0, 80 * Mohm):
        graph = alone(LIF(tau_m=20 * ms, r_m=r_m, receptors={"e": ExpCurrent, "a": ExpCurrent(tau=1 * ms)}))
        cell = recognise(graph, graph.populations[0]).what
        assert {p.factor for p in cell.ports.values()} == {1.0}
    graph = alone(LIF(receptors={"e": AlphaCurrent(tau=3.7 * ms)}))
    assert recognise(graph, graph.populations[0]).what.ports["e"].factor == 1.0


def test_signs_of_weights():
    assert signs(1.0) == {1}
    assert signs(-1.0) == {-1}
    assert signs(0.0) == set()
    assert signs(np.array([1.0, -2.0])) == {1, -1}
    assert signs(ns.normal(1.0, 1.0).draw) == {1, -1}
    assert signs(ns.normal(-1.0, 1.0, hi=0.0).draw) == {-1}
    assert signs(ns.uniform(0.0, 1.0).draw) == signs(ns.lognormal(1.0, 1.0).draw) == {1}


# -- what is refused -----------------------------------------------------------------------------------------------

OWN = {"threshold": "v >= v_th", "reset": "v = v_reset", "refractory": 2 * ms, "tau": 10 * ms, "v_th": -50 * mV,
       "v_reset": -60 * mV}  # fmt: skip
LEAK = "dv/dt = (v_reset - v + i)/tau"
BEFORE = "receptor 'e' adds its jump before the decay of the step (when='before'); NEST adds it after (when='after')"
NEAR = "cell of NEST's like that of population 'p' (nearest: iaf_psc_exp): "


def own(text: str = LEAK, **more: Any) -> Cell:
    """Return a cell that NEST has, but for what is given."""
    return Cell(text, **{**OWN, **more})


REFUSED = {
    "a threshold that is to be exceeded": (
        own(threshold="v > v_th"), NEAR + "its threshold is v > V_th; NEST's is v >= V_th"),
    "a threshold from below": (
        own(threshold="v <= v_th"), NEAR + "its threshold is v <= V_th; NEST's is v >= V_th"),
    "a threshold of two conditions": (
        own(threshold="v >= v_th and t > 1*ms"),
        NEAR + "its threshold tests v >= v_th and t > 1 * 0.001; NEST's is v >= V_th"),
    "an edge threshold": (
        own(edge=True),
        NEAR + "its threshold counts only where the condition becomes true (edge=True); NEST's always does"),
    "a reset by subtraction": (
        own(reset="v -= 5*mV"), NEAR + "its reset is by subtraction (v = v - 0.005); NEST's sets v to V_reset"),
    "no reset": (own(reset=None), NEAR + "its reset leaves it; NEST's sets v to V_reset"),
    "a reset to a threshold": (
        own(reset="v = v_th"), NEAR + "v_reset is not below the threshold, as NEST demands"),
    "a jump before the decay": (
        own(receptors={"e": ExpCurrent(when="before")}),
        NEAR + BEFORE),
    "a delta jump before the decay": (
        own(receptors={"e": DeltaCurrent(when="before")}),
        NEAR.replace("exp", "delta") + BEFORE),
    "clamped synapses": (
        own(LEAK.replace("i)", "i + x)") + "\ndx/dt = -x/tau_x", tau_x=2 * ms, clamp=("v", "x"),
            receptors={"e": Receptor(event="x += w")}),
        NEAR + "x stands still while refractory (clamp); in NEST only v does"),
    "nothing clamped": (own(clamp=()), NEAR + "v goes on while refractory; NEST's stands still"),
    "receptors of two kinds": (
        own(receptors={"e": ExpCurrent, "d": DeltaCurrent}),
        NEAR + "its receptors are of different kinds (d: delta, e: exp); a cell of NEST's has one kind"),
    "a weight that counts by another variable": (
        own(LEAK + "\ndz/dt = -z/tau", receptors={"e": Receptor(event="v += z*w")}),
        NEAR + "it has the variable z, which v does not read as a synaptic current; NEST's has none "
        "such; the jump of receptor 'e' depends on z; NEST's is the weight times a constant"),
    "a rise of its own": (
        own(LEAK.replace("i)", "i + x)") + "\ndx/dt = y/ms - x/tau_x\ndy/dt = -y/tau", tau_x=2 * ms,
            receptors={"e": Receptor(event="y += w")}, clamp="v"),
        NEAR + "x rises and decays with different time constants; NEST's alpha-shaped current has one; it has the "
        "variable y, which v does not read as a synaptic current; NEST's has none such; receptor 'e' changes y; NEST's "
        "change a synaptic current or the potential"),
    "adaptation": (
        own(LEAK.replace("i)", "i - w_a)") + "\ndw_a/dt = -w_a/tau", reset="v = v_reset; w_a += 1*mV"),
        NEAR + "its reset changes w_a; NEST's changes v alone"),
    "no leak": (IF, NEAR + "v has no leak; NEST's has one"),
    "Runge-Kutta": (own(method="rk4"), NEAR + "it is integrated with method='rk4'; NEST integrates it exactly"),
    "a discrete cell": (
        Cell("v[n+1] = 0.5*v", threshold="v >= 4", reset="v = 0"),
        NEAR + "no single variable is its membrane potential; NEST's threshold reads one"),
    "an equation with a condition": (
        own("dv/dt = (v_reset - where(v > v_reset, v, 2*v) + i)/tau", method="euler"),
        NEAR + "no single variable is its membrane potential; NEST's threshold reads one; it has an equation with a "
        "condition"),
    "no resistance": (
        LIF(r_m=0.0, receptors={"e": ExpCurrent}),
        NEAR + "it has the variable e.x, which v does not read as a synaptic current; NEST's has none such; receptor "
        "'e' changes e.x; NEST's change a synaptic current or the potential"),
    "another current onto Izhikevich's": (
        Izhikevich(receptors={"e": ExpCurrent}),
        NEAR.replace("iaf_psc_exp", "izhikevich") + "it is integrated with method='auto'; NEST's steps are "
        "Izhikevich's own; receptor 'e' is no current of one step and no jump of v; NEST's are; beside v it has 2 "
        "variables (u, e.x); NEST's has one, U_m"),
    "Izhikevich's in one step": (
        Cell("v[n+1] = v + dt*(0.04*v**2/(ms*mV) + 5*v/ms + 140*mV/ms - u + i)\n"
             "u[n+1] = u + dt*0.02/ms*(0.2/ms*v[n+1] - u)",
             threshold="v >= 30*mV", reset="v = -65*mV; u += 8*mV/ms"),
        NEAR.replace("iaf_psc_exp", "izhikevich") + "v and u do not step as NEST's do: V += h/2 (0.04 V**2 + 5 V + 140 "
        "- U + I) twice, then U += h a (b V - U); or both by forward Euler"),
    "three conductances": (
        LIF(receptors={k: ExpConductance for k in "abc"}),
        NEAR.replace("psc", "cond") + "it has 3 conductances; NEST's cell has two"),
    "a conductance that jumps before": (
        LIF(receptors={"e": ExpConductance(when="before")}),
        NEAR.replace("psc", "cond") + BEFORE),
    "Hodgkin and Huxley": (
        HodgkinHuxley,
        NEAR.replace("iaf_psc_exp", "hh_cond_exp_traub") + "it is of Hodgkin and Huxley's kind; NEST's finds a spike "
        "at the peak of V, above V_T + 30 mV, and no threshold of this language means that"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what: str):
    cell, message = REFUSED[what]
    assert [text for text, _ in load_backend("nest").unsupported(alone(cell))] == [message]


def test_one_thing_different_is_all_that_is_refused():
    assert load_backend("nest").unsupported(alone(own())) == []


def test_the_whole_sentence():
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, own(threshold="v > v_th"))
    with pytest.raises(UnsupportedError) as e:
        net.run(1 * ms, backend="nest")
    assert e.value.message == (
        f"backend 'nest' cannot run this network: no {NEAR}its threshold is v > V_th; NEST's is v >= V_th; run it with "
        "backend='native' or change the construct"
    )
    assert "test_nest.py" in str(e.value.where)


def test_precision_and_step():
    backend = load_backend("nest")
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, LIF)
    assert backend.unsupported(compiled(net, "single")) == [("precision 'single' (it has double)", None)]
    assert backend.unsupported(alone(LIF, dt=0.0305)) == [
        ("dt of 0.0305 ms (NEST counts in thousandths of a millisecond: use one of them, or a multiple)", None)
    ]


def test_what_cannot_be_recorded():
    net = ns.Network(dt=0.1 * ms)
    pop = net.population("p", 2, LIF(receptors={"e": AlphaCurrent}))
    net.record(pop, "e.y")
    found = load_backend("nest").unsupported(compiled(net))
    assert [text for text, _ in found] == ["recording of e.y of population 'p' (NEST's iaf_psc_alpha shows v, e.x)"]


def test_equal_time_constants_with_numbered_synapses():
    net = ns.Network(dt=0.1 * ms)
    pop = net.population("p", 2, LIF(tau_m=5 * ms, receptors={"e": ExpCurrent(tau=5 * ms)}))
    net.connect(pop, pop, weight=ns.normal(0 * mV, 1 * mV))
    found = load_backend("nest").unsupported(compiled(net))
    assert [text for text, _ in found] == [
        NEAR
        + "a synaptic time constant equals that of the membrane, which NEST's iaf_psc_exp_multisynapse refuses; with "
        "at most two receptors, each with weights of one sign, iaf_psc_exp has no such limit"
    ]


def test_conductances_of_either_sign():
    net = ns.Network(dt=0.1 * ms)
    pop = net.population("p", 2, LIF(receptors={"e": ExpConductance}))
    net.connect(pop, pop, weight=ns.normal(0.1, 1.0))
    found = load_backend("nest").unsupported(compiled(net))
    assert [text for text, _ in found] == [
        NEAR.replace("psc", "cond")
        + "weights of receptor 'e' are not surely positive; NEST's conductances take no others"
    ]


def test_a_drive_that_depends_on_the_state():
    net = ns.Network(dt=0.1 * ms)
    pop = net.population("p", 2, own("dv/dt = (v_reset - v + i)/tau", receptors={"e": ExpCurrent}))
    net.stimulate(pop, PoissonInput("10*Hz*(v/v_th)", weight=1 * mV), name="noise")
    found = load_backend("nest").unsupported(compiled(net))
    assert [text for text, _ in found] == [
        NEAR + "the rate of its Poisson drive noise depends on the state; NEST's may not"
    ]


def test_adaptive_cells_need_the_option():
    graph = alone(AdEx)
    what = (
        "scheme of NEST's that agrees with another engine's in population 'p': its equations are those of "
        "aeif_cond_exp, which NEST integrates adaptively; with approximate=True (--backend-option approximate=yes) it "
        "runs, and agrees in its statistics only"
    )
    backend = load_backend("nest")
    assert [text for text, _ in backend.unsupported(graph)] == [what]
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, AdEx)
    with pytest.raises(UnsupportedError) as e:
        net.run(1 * ms, backend="nest")
    assert e.value.message == (
        f"backend 'nest' cannot run this network: no {what}; run it with backend='native' or change the construct"
    )
    assert net.run(1 * ms, backend="nest", approximate="yes").provenance.status == "finished"
    with pytest.raises(ParameterError, match="^approximate must be yes or no, got 'perhaps'$"):
        net.run(1 * ms, backend="nest", approximate="perhaps")


# -- NEST does what the reference does -----------------------------------------------------------------------------


def one(kind: str, dt: float, tau_m: float, tau: float, weight: Any, **cell: Any) -> ns.Network:
    """A neuron that gets spikes of given times, several at once, with everything recorded."""
    net = ns.Network("one", dt=dt * ms, seed=3)
    pop = net.population("p", 2, LIF(tau_m=tau_m * ms, receptors={"e": synapse(kind, tau * ms)}, **cell))
    times = np.array([0, 0, 1, 5, 30, 31, 60]) * dt
    given = net.population("given", 7, SpikeSource(times * ms, np.arange(7)))
    net.connect(given, pop, weight=weight, delay=3 * dt * ms)
    net.record(pop, "spikes")
    net.record(pop, "v")
    if kind != "delta":
        net.record(pop, "e.x")
    return net


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dt", [0.05, 0.1, 1.0])
@pytest.mark.parametrize(("tau_m", "tau"), [(20, 5), (10, 0.5), (5, 5), (5, 5.0000001), (2, 30)])
def test_psp(kind: str, dt: float, tau_m: float, tau: float):
    truth, nest = both(lambda: one(kind, dt, tau_m, tau, 1 * mV), 150, dt)
    agree(truth, nest, least=0)
    assert np.ptp(truth.state["p"]["v"].values) > 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
def test_refractory_period_and_input_in_it(kind: str, t_ref: float):
    """A neuron driven over threshold again and again, with input while it is refractory."""
    truth, nest = both(lambda: one(kind, 0.1, 10, 4, 400 * mV, t_ref=t_ref * ms), 300)
    agree(truth, nest, 1e-9 * 0.4, least=4)


def test_a_neuron_above_threshold_at_the_start_and_one_at_it():
    """v >= V_th, also exactly; the first step has spikes."""

    def network() -> ns.Network:
        net = ns.Network("start", dt=0.1 * ms)
        cell = LIF(v_rest=-50 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=1 * ms)
        pop = net.population("p", 3, cell, init={"v": [-40, -50, -50.001] * mV})
        net.record(pop, "spikes")
        net.record(pop, "v")
        return net

    truth, nest = both(network, 40)
    agree(truth, nest, least=2)
    assert nest.spikes["p"].steps.tolist()[:2] == [0, 0]


def varied() -> ns.Network:
    """Parameters neuron by neuron, initial values of synapses, parts of populations, every kind of current."""
    net, g, n = ns.Network("varied", dt=0.1 * ms, seed=3), np.random.default_rng(1), 12
    cell = LIF(tau_m=ns.uniform(10 * ms, 30 * ms), v_rest=g.uniform(-70, -60, n) * mV, v_th=g.uniform(-55, -50, n) * mV,
               t_ref=ns.uniform(0 * ms, 3 * ms), r_m=g.uniform(0.5, 2, n),
               receptors={"e": ExpCurrent(tau=ns.uniform(1 * ms, 5 * ms)), "i": ExpCurrent(tau=10 * ms)})  # fmt: skip
    pop = net.population("p", n, cell, init={"v": ns.uniform(-65 * mV, -45 * mV), "e.x": ns.uniform(0 * mV, 9 * mV)})
    given = net.population("given", 3, SpikeSource([[0.0, 0.3, 5.5] * ms, [] * ms, [1.1] * ms], period=20 * ms))
    net.connect(given, pop, receptor="e", weight=9 * mV, delay=ns.uniform(0.1 * ms, 2 * ms))
    net.connect(given, pop[[3, 1]], receptor="e", weight=np.array([[1.0, 2.0]] * 3) * mV, delay=1.3 * ms)
    net.connect(pop, pop, receptor="i", weight=ns.normal(-1 * mV, 1 * mV), name="own",
                rule=ns.FixedProbability(0.3), delay=1.5 * ms)  # fmt: skip
    net.connect(pop[::2] + pop[1], pop[:4], receptor="e", rule=ns.EdgeList([0, 0, 1, 2], [1, 1, 0, 2]), weight=1 * mV,
                delay=70 * ms)  # fmt: skip
    net.stimulate(pop, SineCurrent(8 * mV, 30 * Hz, offset=12 * mV))
    net.stimulate(pop[2:5], OUNoise(1 * mV, 3 * mV, 5 * ms))
    net.stimulate(pop, StepCurrent([0.0, 10.0, 20.3] * ms, [3.0, 0.0, -2.0] * mV))
    net.stimulate(pop, ArrayCurrent(g.normal(0, 2, (7, n)) * mV, 0.3 * ms, repeat=True))
    net.stimulate(pop, WhiteNoise(0 * mV, 20 * mV))
    net.stimulate(pop, DCInput(3 * mV, start=5 * ms, stop=30 * ms))
    net.stimulate(pop, PoissonInput(g.choice([100.0, 900.0], n) * Hz, weight=-1 * mV, receptor="i", n=2), name="noise")
    net.stimulate(pop[:5], PoissonInput("400*Hz*(1 + sin(2*pi*50*Hz*t))", weight=2 * mV, receptor="e"), name="wave")
    for probe in ("spikes", "v", "i.x"):
        net.record(pop, probe)
    net.record(given, "spikes")
    net.record(pop[[2, 5]], "e.x", every=0.7 * ms)
    net.record(pop[2:4], "ounoise.x", every=0.3 * ms)
    net.record(pop, "rate", every=5 * ms)
    return net


@pytest.mark.parametrize("threads", [1, 2])
def test_everything_at_once(threads: int):
    truth, nest = both(varied, 900, threads=threads)
    agree(truth, nest, least=50)
    assert nest.provenance.threads == threads
    assert nest.edges == truth.edges
    assert np.array_equal(truth.weights("own"), nest.weights("own"))
    assert truth.population_rates["p"].values.tolist() == nest.population_rates["p"].values.tolist()


def recurrent(kind: str = "exp", n: int = 200) -> ns.Network:
    """A recurrent network of excitation and inhibition, driven by Poisson spikes."""
    net = ns.Network("recurrent", dt=0.1 * ms, seed=7)
    gain = {"exp": 1.0, "alpha": 0.4, "delta": 0.35}[kind]
    cell = LIF(tau_m=15 * ms, t_ref=2 * ms, receptors={"e": synapse(kind, 3 * ms), "i": synapse(kind, 6 * ms)})
    exc, inh = (net.population(name, size, cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
                for name, size in (("exc", n * 4 // 5), ("inh", n - n * 4 // 5)))  # fmt: skip
    net.connect(exc, exc + inh, receptor="e", rule=ns.FixedProbability(0.1), weight=ns.uniform(0 * mV, 2 * gain * mV),
                delay=ns.uniform(0.1 * ms, 3 * ms))  # fmt: skip
    net.connect(inh, exc + inh, receptor="i", rule=ns.FixedInDegree(8), weight=-4 * gain * mV, delay=0.8 * ms)
    net.stimulate(exc + inh, PoissonInput(100 * Hz, weight=1.5 * gain * mV, receptor="e", n=70))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_networks(kind: str):
    truth = recurrent(kind).run(600 * ms)
    agree(truth, recurrent(kind).run(600 * ms, backend="nest"), least=2000)


@pytest.mark.checkout
def test_some_random_networks(root: Path):
    """The evidence compares 200 of them."""
    spec = importlib.util.spec_from_file_location("evidence_nest", root / "tests" / "evidence" / "nest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    spikes = 0
    for seed in range(6):
        found, count = module.Drawn(seed).difference(300)
        assert found == ""
        spikes += count
    assert spikes > 1000


def test_izhikevich():
    """Both schemes; rounding grows in the take-off of a spike, so values agree for some spikes only."""

    def listing(dt: float = 0.1) -> ns.Network:
        net, g = ns.Network("listing", dt=dt * ms, seed=3), np.random.default_rng(1)
        cell = Izhikevich(a=ns.uniform(0.02 / ms, 0.1 / ms), d=g.uniform(2, 8, 9) * (mV / ms),
                          receptors={"e": PulseCurrent, "i": PulseCurrent})  # fmt: skip
        pop = net.population("p", 9, cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
        net.stimulate(pop, DCInput(g.uniform(3, 12, 9) * mV / ms))
        net.stimulate(pop, ArrayCurrent(g.normal(0, 4, (30, 9)) * (mV / ms), 3 * ms))
        net.stimulate(pop, PoissonInput(100 * Hz, weight=5 * mV / ms, receptor="e"))
        net.connect(pop, pop, receptor="i", weight=-20 * mV / ms, delay=2 * ms, rule=ns.FixedProbability(0.4))
        for probe in ("spikes", "v", "u"):
            net.record(pop, probe)
        return net

    def euler() -> ns.Network:
        net = ns.Network("euler", dt=0.1 * ms)
        cell = Cell("dx/dt = (0.04*x*x + 5*x + 140 - y + i)/ms\ndy/dt = a*(b*x - y)", threshold="x >= 30",
                    reset="x = -65; y += 8", a=0.02 / ms, b=0.2, init={"x": -65, "y": -13}, method="euler",
                    receptors={"e": Receptor(event="x += w")})  # fmt: skip
        pop = net.population("p", 3, cell)
        net.stimulate(pop, DCInput(np.array([5.0, 8, 11])))
        net.connect(pop, pop, weight=3.0, delay=1 * ms)
        for probe in ("spikes", "x", "y"):
            net.record(pop, probe)
        return net

    agree(*both(listing, 1000), within=1e-6, least=30)
    agree(*both(euler, 1500), within=1e-6, least=8)
    agree(*both(lambda: listing(1.0), 20, 1.0), within=1e-6, least=5)


@pytest.mark.parametrize(("cell", "drive", "weight"), [
    (LIF(tau_m=20 * ms, v_rest=-65 * mV, t_ref=2 * ms, r_m=100 * Mohm,
         receptors={"e": ExpConductance(tau=2 * ms), "i": ExpConductance(tau=5 * ms, e_rev=-80 * mV)}), 0, 2),
    (LIF(tau_m=20 * ms, v_rest=-65 * mV, t_ref=2 * ms, r_m=100 * Mohm,
         receptors={"e": AlphaConductance(tau=2 * ms), "i": AlphaConductance(tau=5 * ms, e_rev=-80 * mV)}), 0, 2),
    (AdEx(receptors={"e": ExpConductance(tau=2 * ms), "i": ExpConductance(tau=5 * ms, e_rev=-80 * mV)}), 500, 4),
    (AdEx(receptors={"e": AlphaConductance(tau=2 * ms), "i": AlphaConductance(tau=5 * ms, e_rev=-80 * mV)}), 500, 3),
], ids=["iaf_cond_exp", "iaf_cond_alpha", "aeif_cond_exp", "aeif_cond_alpha"])  # fmt: skip
def test_adaptive_cells_agree_in_their_statistics(cell: Any, drive: float, weight: float):
    """Class R: the rate within 5 %; before the first spike the potential within the schemes' errors."""

    def network() -> ns.Network:
        net = ns.Network("cond", dt=0.02 * ms, seed=5)
        pop = net.population("p", 20, cell, init={"e.g": 1 * nS})
        net.stimulate(pop, PoissonInput(100 * Hz, weight=weight * nS, receptor="e", n=20))
        net.stimulate(pop, PoissonInput(100 * Hz, weight=weight * nS, receptor="i", n=4))
        net.stimulate(pop, DCInput(drive * pA))
        for probe in ("spikes", "v", "e.g"):
            net.record(pop, probe)
        return net

    truth, nest = network().run(400 * ms), network().run(400 * ms, backend="nest", approximate=True)
    first = int(truth.spikes["p"].steps.min())
    assert len(truth.spikes["p"]) > 100
    assert abs(len(nest.spikes["p"]) / len(truth.spikes["p"]) - 1) < 0.05
    assert np.max(np.abs(truth.state["p"]["e.g"].values / nest.state["p"]["e.g"].values - 1)) < 1e-3
    v, w = (r.state["p"]["v"].values[: first - 20] for r in (truth, nest))
    assert np.max(np.abs(v - w)) < 2e-4


# -- the engine ----------------------------------------------------------------------------------------------------


def engine(net: ns.Network, name: str = "nest", **options: Any) -> Any:
    """Build an engine as a run does."""
    backend, graph = load_backend(name), compiled(net)
    backend.check(graph)
    return backend.build(graph, Options(**options))


def test_stretches_hand_over_and_forget():
    """Any division of a run into stretches gives the same; drain keeps nothing; the state is that of the last step."""
    truth, nest = engine(varied(), "reference"), engine(varied())
    assert nest.state("p").keys() >= {"v", "e.x", "i.x", "ounoise.x", "_refractory"}
    for steps in (0, 1, 1, 2, 7, 30, 1, 5, 200, 3):
        for e in (truth, nest):
            e.advance(steps)
        for name in ("p", "given"):
            a, b = truth.state(name), nest.state(name)
            for variable, values in b.items():
                assert np.allclose(a[variable], values, rtol=0, atol=1e-9 * SPAN), (steps, variable)
        a, b = truth.drain(), nest.drain()
        assert a.counts == b.counts
        for name in a.spikes:
            assert all(np.array_equal(x, y) for x, y in zip(a.spikes[name], b.spikes[name], strict=True))
        for x, y in zip(a.samples, b.samples, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                assert np.array_equal(x[0], y[0])
                assert np.allclose(x[1], y[1], rtol=0, atol=1e-9 * SPAN)
    again = nest.drain()
    assert set(again.counts.values()) == {0}
    assert all(s is None or len(s[0]) == 0 for s in again.samples)
    assert nest.edges() == truth.edges()
    nest.close()


def test_one_network_at_a_time():
    first = engine(one("exp", 0.1, 10, 5, 1 * mV))
    first.advance(5)
    second = engine(one("exp", 0.1, 10, 5, 1 * mV))
    message = (
        "^NEST holds one network per process, and this engine's is gone: it was closed, or another one has been built "
        "since. Finish one run before the next is built, or use a process for each$"
    )
    for use in (lambda: first.advance(5), lambda: first.state("p")):
        with pytest.raises(BackendError, match=message):
            use()
    first.close()  # which must not take the second's network away
    second.advance(5)
    assert sum(second.drain().counts.values()) == 3
    second.close()
    with pytest.raises(BackendError, match=message):
        second.advance(1)


def test_nest_says_nothing(capfd: pytest.CaptureFixture[str]):
    one("exp", 0.1, 10, 5, 1 * mV).run(5 * ms, backend="nest")
    assert capfd.readouterr() == ("", "")


def test_errors_of_nest_are_sentences():
    nest = kernel.load()
    with pytest.raises(BackendError) as e, kernel.translated("make a cell"):
        nest.Create("no_such_cell")
    assert e.value.message == "NEST refused to make a cell: UnknownModelName: no_such_cell is not a known model name."


def test_a_potential_that_leaves_the_finite_numbers():
    net = ns.Network("far", dt=0.1 * ms)
    pop = net.population("p", 2, LIF(receptors={"e": DeltaCurrent}, v_th=1e308 * mV))
    given = net.population("s", 1, SpikeSource([[0.0, 0.1, 0.2, 0.3] * ms]))
    net.connect(given, pop, weight=Quantity(-1e308, mV.dim), delay=0.1 * ms)
    net.record(pop, "v")
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergedError, match="^v of neuron 0 in population 'p' is no finite number"),
    ):
        net.run(5 * ms, backend="nest")


def test_no_steps_and_no_neurons_that_receive():
    net = ns.Network("sources", dt=0.1 * ms, seed=2)
    net.record(net.population("p", 20, PoissonSource(300 * Hz)), "spikes")
    assert len(net.run(0 * ms, backend="nest").spikes["p"]) == 0
    truth, nest = (net.run(50 * ms, backend=b) for b in ("reference", "nest"))
    agree(truth, nest, least=100)


def test_more_connections_than_one_synapse_model_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery, "MOST", 50)
    truth, nest = both(varied, 200)
    agree(truth, nest, least=10)
    assert nest.edges == truth.edges > 50


def test_what_the_doctor_says():
    backend = load_backend("nest")
    assert backend.remark() == (
        f"NEST {backend.version()} with threads, without MPI: one machine (docs/nest.md tells of several)"
    )


# -- ranks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_every_edge_is_built_on_one_rank(ranks: int):
    """What the ranks of an MPI run build is the whole, and nothing twice; NEST's own numbers say whose a node is."""
    graph = compiled(varied())
    for projection in graph.projections:
        whole = [e for e in iter_edges(graph, projection)]
        seen = []
        for rank in range(ranks):
            for e in local_edges(graph, projection, Ranks(rank, ranks)):
                assert np.all((np.asarray(e.post, dtype=np.int64) + FIRST) % ranks == rank)
                weight, delay = (np.broadcast_to(x, e.post.shape) for x in (e.weight, e.delay))
                seen += list(zip(e.pre.tolist(), e.post.tolist(), weight.tolist(), delay.tolist(), strict=True))
        every = [
            row
            for e in whole
            for row in zip(e.pre.tolist(), e.post.tolist(), np.broadcast_to(e.weight, e.post.shape).tolist(),
                           np.broadcast_to(e.delay, e.post.shape).tolist(), strict=True)
        ]  # fmt: skip
        assert sorted(seen) == sorted(every)


def test_nest_places_nodes_as_ranks_say():
    """Virtual process = node mod (ranks*threads), whatever the population; the rank is that mod ranks."""
    nest = kernel.load()
    kernel.reset(nest, 1e-4, 3)
    nodes = nest.Create("iaf_psc_exp", 10)
    assert nodes.vp == tuple(k % 3 for k in range(FIRST, FIRST + 10))
    nest.ResetKernel()


class _ManyRanks:
    """NEST as it looks on the first of four ranks."""

    @staticmethod
    def Rank() -> int:
        return 0

    @staticmethod
    def NumProcesses() -> int:
        return 4


def test_ranks_without_mpi4py(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BackendError) as e:
        kernel.gather(_ManyRanks)
    assert e.value.message == (
        "NEST runs on 4 MPI ranks, and their results are gathered with mpi4py, which is not installed: pip install "
        "mpi4py (built against the same MPI as NEST)"
    )

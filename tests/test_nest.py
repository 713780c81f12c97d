"""The backend ``nest``: which cells it recognises, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nest_kit import KINDS, agree, alone, both, compiled, model, synapse

import neurosim as ns
from neurosim.backends.nest_backend.cells import Cell as NestCell
from neurosim.backends.nest_backend.cells import Source
from neurosim.backends.nest_backend.delivery import signs
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.lang.components import Cell, Receptor
from neurosim.models import (
    IF,
    LIF,
    AdEx,
    AlphaConductance,
    AlphaCurrent,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    Izhikevich,
    PoissonInput,
    PoissonSource,
)
from neurosim.registry import load_backend
from neurosim.units import Hz, Mohm, ms, mV, pA

pytestmark = pytest.mark.engine("nest")

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
    "a conductance that does not rest at 0": (
        LIF(receptors={"e": Receptor("dg/dt = (0.1 - g)/(5*ms)", event="g += w", output="g*(0*mV - v)")}),
        NEAR.replace("psc", "cond") + "de.g/dt = 20 - 200*e.g; NEST's conductances are exponential or alpha-shaped; "
        "receptor 'e' does not add to a conductance; NEST's do; it has the variables e.g; NEST's has none such"),
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


def test_a_rule_without_traces_is_refused() -> None:
    """It leaves nothing at the cells that would tell: the weights would stand still in silence."""
    net = ns.Network("learning", dt=0.1 * ms)
    pop = net.population("p", 3, LIF(receptors={"e": ExpCurrent(tau=5 * ms)}))
    rule = ns.Plasticity(on_pre="w += 1*mV", lower=0, upper="top", top=9 * mV)
    net.connect(pop, pop, weight=1 * mV, plasticity=rule, name="pp")
    with pytest.raises(UnsupportedError, match="it learns from one of the two events only"):
        net.run(1 * ms, backend="nest")

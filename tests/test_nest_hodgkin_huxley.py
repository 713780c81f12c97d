"""The backend ``nest``: Hodgkin and Huxley's cell with the channels of Traub and Miles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nest_kit import alone, compiled

import neurosim as ns
from neurosim.backends.nest_backend.cells import Cell as NestCell
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.errors import UnsupportedError
from neurosim.lang.components import Cell, Current
from neurosim.models import (
    LIF,
    AlphaConductance,
    DCInput,
    ExpConductance,
    ExpCurrent,
    HodgkinHuxley,
    HodgkinHuxleyPeak,
    PoissonInput,
)
from neurosim.registry import load_backend
from neurosim.units import Hz, ms, mV, nF, nS, pA, uS

pytestmark = pytest.mark.engine("nest")

SYNAPSES = {"e": ExpConductance(tau=5 * ms), "i": ExpConductance(tau=10 * ms, e_rev=-80 * mV)}
NEAR = "cell of NEST's like that of population 'p' (nearest: hh_cond_exp_traub): "

# -- what is recognised --------------------------------------------------------------------------------------------


def found(cell: Any, n: int = 2) -> NestCell:
    """Return what a cell is in NEST."""
    graph = alone(cell, n=n)
    seen = recognise(graph, graph.populations[0])
    assert isinstance(seen.what, NestCell), seen.differences
    assert seen.what.model == "hh_cond_exp_traub"
    return seen.what


def test_the_library_s_cell_has_nest_s_defaults() -> None:
    """But for the gates' start: NEST takes their steady state at E_L without the shift by V_T."""
    cell = found(HodgkinHuxleyPeak(receptors=SYNAPSES))
    assert cell.approximate
    seen = {**cell.params, **cell.start}
    gates = [float(seen.pop(key)) for key in ("Act_m", "Act_n", "Inact_h")]
    assert seen == {
        "C_m": 200.0, "g_L": 10.0, "t_ref": 2.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "E_ex": 0.0, "E_in": -80.0,
        "V_m": -60.0, "V_T": -63.0, "E_L": -60.0, "g_Na": 20000.0, "E_Na": 50.0, "g_K": 6000.0, "E_K": -90.0,
        "I_e": 0.0,
    }  # fmt: skip
    assert gates == pytest.approx([0.0269, 0.0604, 0.9913], abs=1e-4)


OWN = """
x = (u - shift)/mV
du/dt = gl/c*(el - u) + gna/c*a**2*a*b*(ena - u) + (ek - u)*d*d*d*d*gk/c + i/c
da/dt = {rise}*(1 - a) - 0.28*(x - 40)/(exp((x - 40)/5) - 1)/ms*a
db/dt = 0.128/exp((x - 17)/18)/ms - b*(0.128/exp((x - 17)/18)/ms + {close})
dd/dt = 0.032*(x - 15)/(1 - exp((15 - x)/5))/ms*(1 - d) - d*0.5*exp(0.25 - x/40)/ms
last[n+1] = u
"""
WAYS = {
    "expm1": ("0.32*(13 - x)/expm1((13 - x)/4)/ms", "4*sigmoid((x - 40)/5)/ms"),
    "exp": ("0.32*(x - 13)/(1 - exp(-(x - 13)/4))/ms", "4/(1 + exp(-(x - 40)/5))/ms"),
    "factors": ("0.64*(13 - x)/(2*ms*exp(3.25 - x/4) - 2*ms)", "8*exp(2)/ms/(2*exp(10 - x/5) + 2*exp(2))"),
}
"""The rates of opening of m and of closing of h, in other ways than the library's."""


def own(way: str = "exp", text: str = OWN, **more: Any) -> Cell:
    """Return NEST's cell with other names and brackets, and two V_T."""
    rise, close = WAYS[way]
    given = {
        "threshold": "last > u and shift + 30*mV <= u", "refractory": "pause", "clamp": (), "pause": 1 * ms,
        "init": {"u": -65 * mV, "b": 0.5}, "shift": np.array([-63.0, -58.0]) * mV, "c": 1 * nF, "gl": 5 * nS,
        "gna": 90 * uS, "gk": 30 * uS, "el": -61 * mV, "ena": 55 * mV, "ek": -91 * mV, **more,
    }  # fmt: skip
    return Cell(text.format(rise=rise, close=close), **given)


@pytest.mark.parametrize("way", WAYS)
def test_a_cell_of_one_s_own_with_the_same_mathematics(way: str) -> None:
    cell = found(own(way))
    assert cell.start["V_T"] == pytest.approx([-63.0, -58.0], rel=1e-14)
    given = {**cell.params, **cell.start}
    wanted = {"g_Na": 20000.0, "E_Na": 55.0, "g_K": 20000 / 3, "E_K": -91.0, "g_L": 10 / 9, "E_L": -61.0,
              "C_m": 2000 / 9, "V_m": -65.0, "Inact_h": 0.5, "t_ref": 1.0}  # fmt: skip
    # without a synapse only ratios to C_m count, and g_Na has NEST's value
    assert {k: np.ravel(given[k])[0] for k in wanted} == pytest.approx(wanted)
    assert set(cell.readings) == {"u", "a", "b", "d"}


def test_a_product_of_inputs_is_no_channel() -> None:
    four = Current(output="sin(t/ms)*sin(t/(2*ms))*sin(t/(3*ms))*sin(t/(4*ms))*mV")
    net = ns.Network(dt=0.1 * ms)
    net.stimulate(net.population("p", 2, LIF), four)
    assert load_backend("nest").unsupported(compiled(net)) == []


# -- how far it agrees ---------------------------------------------------------------------------------------------


def driven(cell: Cell, dt: float, **init: Any) -> ns.Network:
    """Ten neurons under Poisson input and a current each, with everything recorded that NEST shows."""
    net = ns.Network("driven", dt=dt * ms, seed=5)
    pop = net.population("p", 10, cell, init={"v": ns.uniform(-70 * mV, -60 * mV), "e.g": 2 * nS, "i.g": 3 * nS})
    net.stimulate(pop, PoissonInput(100 * Hz, weight=3 * nS, receptor="e", n=20))
    net.stimulate(pop, PoissonInput(100 * Hz, weight=6 * nS, receptor="i", n=4))
    net.stimulate(pop, DCInput(np.linspace(0, 500, 10) * pA))
    for probe in ("spikes", "v", "m", "h", "n", "e.g", "i.g"):
        net.record(pop, probe)
    return net


def test_traces_and_spikes() -> None:
    """Runge-Kutta of fixed steps against NEST's of chosen ones.

    Each neuron has as many spikes, each within 0.04 ms. Until the first spike v is within 1e-8 V and gates within 1e-6;
    after it, where one upstroke may be a step later than the other, v is within 0.1 mV on average.
    """
    cell = HodgkinHuxleyPeak(method="rk4", receptors=SYNAPSES, v_t=ns.uniform(-65 * mV, -60 * mV))
    truth = driven(cell, 0.02).run(200 * ms)
    nest = driven(cell, 0.02).run(200 * ms, backend="nest", approximate=True)
    a, b = truth.spikes["p"], nest.spikes["p"]
    assert len(a) > 200
    for k in range(10):
        x, y = a.steps[a.ids == k], b.steps[b.ids == k]
        assert len(x) == len(y)
        assert np.max(np.abs(x - y)) <= 2
    first = int(a.steps.min()) - 50
    for variable, before, after in (("v", 1e-8, 1e-4), *((gate, 1e-6, 1e-3) for gate in "mhn"), ("e.g", 1e-18, 1e-18),
                                    ("i.g", 1e-18, 1e-18)):  # fmt: skip
        apart = np.abs(truth.state["p"][variable].values - nest.state["p"][variable].values)
        assert np.max(apart[:first]) < before, variable
        assert np.mean(apart) < after, variable


def coupled() -> ns.Network:
    """Excitation and inhibition, both at some 140 Hz."""
    net = ns.Network("coupled", dt=0.02 * ms, seed=1)
    cell = HodgkinHuxleyPeak(method="rk4", receptors=SYNAPSES)
    init = {"v": ns.uniform(-70 * mV, -60 * mV)}
    exc, inh = net.population("exc", 160, cell, init=init), net.population("inh", 40, cell, init=init)
    net.connect(exc, exc + inh, receptor="e", rule=ns.FixedProbability(0.1), weight=1 * nS, delay=0.5 * ms)
    net.connect(inh, exc + inh, receptor="i", rule=ns.FixedProbability(0.1), weight=20 * nS, delay=0.5 * ms)
    net.stimulate(exc + inh, PoissonInput(200 * Hz, weight=3 * nS, receptor="e", n=15))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net


def test_a_network_agrees_in_its_statistics() -> None:
    """Class R: rates within 5 % (here 2 %), CV of the intervals within 0.03."""
    truth, nest = coupled().run(300 * ms), coupled().run(300 * ms, backend="nest", approximate=True)
    for name, size in (("exc", 160), ("inh", 40)):
        a, b = truth.spikes[name], nest.spikes[name]
        assert len(a) > 1000
        assert abs(len(b) / len(a) - 1) < 0.02
        gaps = [[np.diff(np.sort(s.steps[s.ids == k])) for k in range(size)] for s in (a, b)]
        v, w = (np.mean([np.std(g) / np.mean(g) for g in each if len(g) > 4]) for each in gaps)
        assert abs(v - w) < 0.03


def test_a_constant_current_with_and_without_a_leak() -> None:
    """It is a part of E_L only where there is a leak."""
    cell = own(text=OWN.replace("i/c", "(i + bias)/c"), bias=2000 * pA, gl=np.array([0, 50]) * nS, method="rk4",
               init={"u": -65 * mV, "a": 0.01, "b": 0.99, "d": 0.03})  # fmt: skip
    net = ns.Network("constant", dt=0.02 * ms)
    net.record(net.population("p", 2, cell), "u")
    truth, nest = net.run(6 * ms), net.run(6 * ms, backend="nest", approximate=True)
    u, w = (r.state["p"]["u"].values for r in (truth, nest))
    assert np.max(np.abs(u - w)) < 1e-4
    assert np.all(np.ptp(u, axis=0) > 5e-3)


@pytest.mark.parametrize("v0", [-50.0, -48.0, -23.0])
def test_a_start_where_nest_s_rates_are_zero_by_zero(v0: float) -> None:
    def network() -> ns.Network:
        net = ns.Network("start", dt=0.01 * ms)
        pop = net.population("p", 1, HodgkinHuxleyPeak(method="rk4"), init={"v": v0 * mV, "m": 0.1, "h": 0.5, "n": 0.2})
        net.record(pop, "v")
        return net

    truth, nest = network().run(0.5 * ms), network().run(0.5 * ms, backend="nest", approximate=True)
    assert np.max(np.abs(truth.state["p"]["v"].values - nest.state["p"]["v"].values)) < 1e-6


# -- what is refused -----------------------------------------------------------------------------------------------

SPIKE = (
    "it does not spike where v >= V_T + 30 mV and v below its value a step before, as NEST's does (and "
    "HodgkinHuxleyPeak of neurosim.models)"
)
RATE = "{} does not {} at the rate of NEST's {} (Traub and Miles, shifted by V_T)"
CHANNELS = "du/dt does not hold g_Na m**3 h (E_Na - u) + g_K n**4 (E_K - u); NEST's does"
REFUSED = {
    "a threshold that v rises above": (HodgkinHuxley, [SPIKE]),
    "no peak": (own(threshold="u >= shift + 30*mV"), [SPIKE]),
    "a lower threshold": (own(threshold="u >= shift + 20*mV and u < last"), [SPIKE]),
    "a threshold to be exceeded": (own(threshold="u > shift + 30*mV and u < last"), [SPIKE]),
    "one of two": (own(threshold="u >= shift + 30*mV or u < last"), [SPIKE]),
    "a third condition": (own(threshold="u >= shift + 30*mV and u < last and a > 0.1"), [SPIKE]),
    "no threshold": (own(threshold=None, refractory=None),
                     ["it never spikes; NEST's does where v >= V_T + 30 mV and v below its value a step before"]),
    "an edge": (
        own(edge=True), ["its threshold counts only where the condition becomes true (edge=True); NEST's always does"]),
    "a clamp": (own(clamp="u"), ["u stands still while refractory (clamp); in NEST nothing does"]),
    "a reset": (own(reset="a = 0"), ["its reset changes a; NEST's changes nothing"]),
    "two steps before": (
        own(text=OWN.replace("last[n+1] = u", "late[n+1] = u\nlast[n+1] = late")),
        [SPIKE, "last[n+1] is a discrete update; NEST's has but the potential a step before"]),
    "another rate": (own(text=OWN.replace("0.28", "0.3")), [RATE.format("a", "close", "m")]),
    "another slope": (own(text=OWN.replace("(15 - x)/5", "(15 - x)/6")), [RATE.format("d", "open", "n")]),
    "another shift": (own(text=OWN.replace("(x - 17)/18", "(x - 16)/18")), [RATE.format("b", "open", "h")]),
    "no closed part": (own(text=OWN.replace("{rise}*(1 - a)", "{rise}")), [RATE.format("a", "close", "m")]),
    "another power": (own(text=OWN.replace("a**2*a*b", "a**2*b*b")), [CHANNELS]),
    "another channel": (
        own(text=OWN.replace("+ i/c", "+ (ek - u)*p/(9*ms) + i/c") + "dp/dt = (0.1 - p)/(100*ms)"),
        ["dp/dt = 1 - 10*p; NEST's conductances are exponential or alpha-shaped", "it has the variable p; NEST's has "
         "none such"]),
    "alpha-shaped conductances": (
        HodgkinHuxleyPeak(receptors={"e": AlphaConductance}),
        ["its conductances are alpha-shaped; those of NEST's are exponential"]),
    "three conductances": (
        HodgkinHuxleyPeak(receptors={k: ExpConductance for k in "abc"}), ["it has 3 conductances; NEST's has two"]),
    "a current": (
        HodgkinHuxleyPeak(receptors={"e": ExpCurrent}),
        ["receptor 'e' does not add to a conductance; NEST's do", "it has the variable e.x; NEST's has none such",
         "dv/dt holds e.x; NEST's has none such"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what: str) -> None:
    cell, messages = REFUSED[what]
    assert [text for text, _ in load_backend("nest").unsupported(alone(cell))] == [NEAR + "; ".join(messages)]


def test_it_needs_the_option() -> None:
    net = ns.Network(dt=0.05 * ms)
    pop = net.population("p", 2, HodgkinHuxleyPeak(receptors=SYNAPSES))
    with pytest.raises(UnsupportedError, match="those of hh_cond_exp_traub, which NEST integrates adaptively"):
        net.run(1 * ms, backend="nest")
    net.record(pop, "before")
    with pytest.raises(UnsupportedError, match="no recording of before .* shows v, m, h, n, e.g, i.g"):
        net.run(1 * ms, backend="nest", approximate=True)


def test_conductances_of_either_sign() -> None:
    net = ns.Network(dt=0.05 * ms)
    pop = net.population("p", 2, HodgkinHuxleyPeak(receptors=SYNAPSES))
    net.connect(pop, pop, receptor="i", weight=-1 * nS)
    assert [text for text, _ in load_backend("nest").unsupported(compiled(net))] == [
        NEAR + "weights of receptor 'i' are not surely positive; NEST's conductances take no others"
    ]

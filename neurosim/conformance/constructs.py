"""One small network per construct of the language: the rows of README's support table, and what its words rest on.

``unsupported`` of a backend says which of them it refuses; the others run on it and on the reference, and every spike
and every recorded value has to be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.lang.compartments import Channel
from neurosim.lang.components import Event
from neurosim.lang.network import Network
from neurosim.models import (
    LIF,
    AdEx,
    AlphaConductance,
    AlphaCurrent,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    Depression,
    ExpConductance,
    ExpCurrent,
    GapJunction,
    GradedSynapse,
    HodgkinHuxley,
    Izhikevich,
    OUNoise,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    RateLink,
    SineCurrent,
    SpikeSource,
    StepCurrent,
    TripletSTDP,
    TsodyksMarkram,
    WhiteNoise,
)
from neurosim.models.dendrites import DendriticSpike, Passive
from neurosim.units import Hz, Quantity, ms, mV, nS, pA, pF, um

CONSTRUCTS: dict[str, Callable[[], Network]] = {}
"""Name in the table -> a network with that construct and little else; all its probes are compared."""

OPTIONS: dict[str, dict[str, Any]] = {
    "single precision": {"precision": "single"},
    "24-bit weights": {"weight_bits": 24},
}
"""How to run a construct, where that is what it is about."""

DURATION = 20 * ms
"""How long each of them runs."""


def construct(name: str) -> Callable[[Callable[[], Network]], Callable[[], Network]]:
    """Enter a network under a name."""

    def enter(build: Callable[[], Network]) -> Callable[[], Network]:
        CONSTRUCTS[name] = build
        return build

    return enter


def _net(cell: Any, n: int = 20, dt: Quantity = 0.1 * ms, drive: Any = None, **population: Any) -> Network:
    """A population ``p``, driven so that it fires, with spikes and all its state recorded."""
    net = Network("construct", dt=dt, seed=7)
    pop = net.population("p", n, cell, **population)
    if drive is not None:
        net.stimulate(pop, drive)
    net.record(pop, "spikes")
    for variable in cell.variables:
        net.record(pop, variable)
    return net


def _spread(low: Any, high: Any, n: int = 20) -> Any:
    """Constant currents from low to high, one per neuron."""
    return DCInput(low + (high - low) * np.linspace(0.0, 1.0, n))


def _pair(
    rule: Any = None, weight: Any = 2 * mV, delay: Any = 0.5 * ms, short_term: Any = None, **positions: Any
) -> Network:
    """Two populations of LIF cells, the first driven and connected to the second."""
    cell = LIF(receptors={"syn": ExpCurrent(tau=3 * ms)})
    net = _net(cell, drive=_spread(25 * mV, 60 * mV), **positions)
    post = net.population("q", 20, cell, **positions)
    net.connect(net["p"], post, rule=rule, weight=weight, delay=delay, short_term=short_term)
    net.record(post, "v")
    return net


@construct("linear cells, integrated exactly")
def _linear() -> Network:
    return _net(LIF(t_ref=2 * ms), drive=_spread(25 * mV, 60 * mV))


@construct("conductances, Hodgkin-Huxley (exponential Euler)")
def _exponential_euler() -> Network:
    return _net(HodgkinHuxley, n=5, drive=_spread(200 * pA, 900 * pA, 5))


@construct("Runge-Kutta and Euler schemes")
def _runge_kutta() -> Network:
    return _net(AdEx, n=5, drive=_spread(600 * pA, 1500 * pA, 5))


@construct("discrete updates, `x[n+1] = …`")
def _updates() -> Network:
    return _net(Izhikevich, dt=1 * ms, drive=_spread(5 * mV / ms, 20 * mV / ms))


@construct("cells of one's own: threshold by level or edge, reset, refractoriness")
def _own() -> Network:
    cell = ns.Cell("dv/dt = (v_rest - v + i)/tau; dw/dt = -w/tau_w", threshold="v - w >= 20*mV and v > v_rest",
                   edge=True, reset="v -= 20*mV; w += 1*mV", refractory=1 * ms, clamp="v", tau=10 * ms,
                   tau_w=50 * ms, v_rest=0 * mV)  # fmt: skip
    return _net(cell, drive=_spread(15 * mV, 60 * mV))


@construct("refractory for as long as a condition holds")
def _refractory_condition() -> Network:
    cell = ns.Cell("dv/dt = (v_rest - v + i)/tau; da/dt = -a/tau_a", threshold="v > 20*mV", reset="v = v_rest; a += 1",
                   refractory="a > 0.5", events={"e": Event("v > 10*mV", refractory="a > 0.2")},
                   tau=10 * ms, tau_a=20 * ms, v_rest=0 * mV)  # fmt: skip
    return _net(cell, drive=_spread(25 * mV, 60 * mV))


@construct("receptors: exponential, alpha, delta; before or after the decay")
def _receptors() -> Network:
    cell = LIF(receptors={"a": ExpCurrent, "b": AlphaCurrent, "c": DeltaCurrent(when="before"), "d": ExpConductance,
                          "e": AlphaConductance(e_rev=-80 * mV)})  # fmt: skip
    net = _net(cell, drive=_spread(18 * mV, 30 * mV))
    source = net.population("source", 20, PoissonSource(200 * Hz))
    for receptor, weight in (("a", 1 * mV), ("b", 1 * mV), ("c", 1 * mV), ("d", 0.1), ("e", 0.1)):
        net.connect(source, net["p"], receptor=receptor, rule="one_to_one", weight=weight)
    net.record(net["p"], "e.g")
    return net


@construct("events besides the spike, with conditions and reactions")
def _events() -> Network:
    cell = LIF(t_ref=2 * ms).insert(
        up=Channel(
            "dx/dt = -x/tau",
            output="x",
            tau=3 * ms,
            level=-55 * mV,
            events={
                "on": Event("v >= level", "x += 5*mV", refractory=4 * ms),
                "off": Event("on == in_steps(2*ms)", "x -= 1*mV"),
            },
        )
    )
    return _net(cell, drive=_spread(18 * mV, 40 * mV))


@construct("compartments: exact, implicit or explicit; dendritic spikes")
def _compartments() -> Network:
    soma = ns.Cell("dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > -50*mV", reset="v = -60*mV", refractory=2 * ms,
                   c_m=200 * pF, g_l=10 * nS, e_l=-65 * mV, init={"v": "e_l"})  # fmt: skip
    net = Network("construct", dt=0.1 * ms, seed=7)
    for method in ("tree", "crank_nicolson", "euler"):
        branch = Passive if method == "crank_nicolson" else Passive.insert(na=DendriticSpike())
        cell = ns.compartments({"soma": soma, "d": branch, "e": Passive}, {("soma", "d"): 15 * nS, ("d", "e"): 5 * nS},
                               method=method)  # fmt: skip
        pop = net.population(method, 10, cell)
        net.stimulate(pop, _spread(300 * pA, 900 * pA, 10)(port="i_d"))
        for name in ("spikes", *cell.variables):
            net.record(pop, name)
    return net


@construct("parameters and initial values per neuron: arrays, distributions, expressions")
def _per_neuron() -> Network:
    cell = LIF(tau_m=ns.normal(20 * ms, 2 * ms, lo=5 * ms), v_th=np.linspace(-55, -45, 20) * mV, t_ref="tau_m/10")
    return _net(cell, drive=_spread(25 * mV, 60 * mV), init={"v": ns.uniform(-70 * mV, -60 * mV)})


@construct("currents: constant, stepwise, sinusoidal, from an array, of one's own")
def _currents() -> Network:
    net = _net(LIF, drive=_spread(10 * mV, 30 * mV))
    net.stimulate(net["p"][:10], StepCurrent([0, 5] * ms, [10, 0] * mV))
    net.stimulate(net["p"], SineCurrent(10 * mV, 100 * Hz))
    net.stimulate(net["p"], ArrayCurrent(np.linspace(0, 10, 7) * mV, 1 * ms, repeat=True))
    net.stimulate(net["p"], ns.Current(output="slope*t", slope=1 * mV / ms))
    return net


@construct("noise currents: white, Ornstein-Uhlenbeck")
def _noise() -> Network:
    net = _net(LIF, drive=WhiteNoise(25 * mV, 20 * mV))
    net.stimulate(net["p"], OUNoise(0 * mV, 5 * mV, 5 * ms))
    return net


@construct("Poisson input: constant, per neuron, varying in time")
def _poisson() -> Network:
    net = _net(LIF(receptors={"syn": DeltaCurrent}))
    for rate in (2000 * Hz, np.linspace(0, 4000, 20) * Hz, "1000*Hz*(1 + sin(2*pi*50*Hz*t))"):
        net.stimulate(net["p"], PoissonInput(rate, weight=1 * mV))
    return net


@construct("sources: Poisson, given spike times")
def _sources() -> Network:
    cell = LIF(receptors={"syn": DeltaCurrent})
    net = _net(cell, drive=DCInput(18 * mV))
    for name, source in (("a", PoissonSource(100 * Hz)), ("b", SpikeSource([[0.1 * k] * ms for k in range(20)]))):
        net.record(net.population(name, 20, source), "spikes")
        net.connect(net[name], net["p"], rule="one_to_one", weight=5 * mV)
    return net


@construct("rules: all to all, one to one, fixed probability, in-degree, out-degree, total number")
def _rules() -> Network:
    net = _pair()
    for rule in (
        ns.OneToOne(),
        ns.FixedProbability(0.3),
        ns.FixedInDegree(3),
        ns.FixedOutDegree(3),
        ns.FixedTotalNumber(50),
    ):
        net.connect(net["p"], net["q"], rule=rule, weight=1 * mV)
    return net


@construct("conditions over pairs, distance, edge lists, matrices, rules of one's own")
def _pairs() -> Network:
    net = _pair("abs(i - j) <= 2 and i != j", positions=ns.grid_positions((4, 5), 10 * um))
    p, q = net["p"], net["q"]
    net.connect(p, q, rule=ns.DistanceDependent("0.8*exp(-distance/(20*um))"), weight=1 * mV)
    net.connect(p, q, rule=ns.EdgeList([0, 1, 2], [3, 4, 5]), weight=[1, 2, 3] * mV)
    net.connect(p, q, weight=np.eye(20) * mV)

    @dataclass(frozen=True)
    class Ring(ns.Rule):
        hops: int = 1

        def edges(self, ctx: Any) -> Iterator[tuple[Any, Any]]:
            i = np.arange(ctx.n_pre, dtype=np.uint32)
            yield i, (i + np.uint32(self.hops)) % np.uint32(ctx.n_post)

    net.connect(p, q, rule=Ring(3), weight=1 * mV)
    return net


@construct("weights and delays per edge: distributions, arrays, expressions")
def _edges() -> Network:
    net = _pair(weight=ns.normal(1 * mV, 0.5 * mV, lo=0 * mV), delay=ns.uniform(0.1 * ms, 3 * ms))
    net.connect(net["p"], net["q"], rule="one_to_one", weight="(1 + i/N_pre)*mV", delay="(1 + j)*0.1*ms")
    net.connect(net["p"], net["q"], weight=ns.lognormal(0.5 * mV, 0.3), delay=ns.exponential(1 * ms, lo=0.1 * ms))
    return net


@construct("parts and unions of populations")
def _groups() -> Network:
    net = _pair()
    p, q = net["p"], net["q"]
    net.connect(p[::2] + q[5:], q[:5] + p[[1, 3]], rule=ns.FixedProbability(0.5), weight=1 * mV)
    return net


@construct("recording: spikes, rates, variables of some neurons, every so often")
def _recording() -> Network:
    net = _pair()
    net.record(net["q"], "rate", every=5 * ms)
    net.record(net["q"][[3, 7]], "syn.x", every=1 * ms)
    return net


@construct("learning rules: traces, variables of synapses, intervals, bounds, rules of one's own")
def _learning() -> Network:
    net = _net(PoissonSource(200 * Hz))
    target = net.population("q", 10, LIF(t_ref=1 * ms, receptors={"e": ExpCurrent(tau=3 * ms)}))
    own = ns.Plasticity(
        pre="dx/dt = -x/tau",
        on_pre="w += rate*(v_post + 60*mV); x += 1",
        on_post="w -= rate*mV*x",
        lower=0,
        upper="top",
        tau=5 * ms,
        rate=0.1,
        top=20 * mV,
    )
    pairs = PairSTDP(w_max=20 * mV, rate=0.1)
    triplets = TripletSTDP(w_1=1 * mV, w_max=20 * mV)
    late = ns.Plasticity(
        pre="dx/dt = -x/tau",
        edge="dc/dt = -c/tau_c",
        on_pre="x += 1",
        on_post="c += x",
        on_every="w += rate*mV*(c - 1)",
        every=2 * ms,
        lower=0,
        upper="top",
        tau=5 * ms,
        tau_c=50 * ms,
        rate=0.1,
        top=20 * mV,
    )
    for k, rule in enumerate((own, pairs, triplets, late)):
        delay = 1 * ms if k else ns.uniform(0.2 * ms, 3 * ms)
        net.connect(net["p"], target, weight=ns.uniform(5 * mV, 15 * mV), delay=delay, plasticity=rule, name=f"r{k}")
        net.record(net.projections[f"r{k}"], "weight", every=1 * ms)
    net.record(net.projections["r3"], "c", every=3 * ms)
    for variable in ("spikes", "v", "r2.o1"):
        net.record(target, variable)
    return net


@construct("learning with dendritic delays, as NEST's STDP")
def _dendritic() -> Network:
    net = _net(PoissonSource(300 * Hz))
    target = net.population("q", 20, LIF(t_ref=1 * ms, tau_m=10 * ms, receptors={"syn": ExpCurrent(tau=3 * ms)}))
    timing = {"delay_type": "dendritic", "coincidence": "apart", "delivers": "after"}
    rule = PairSTDP(w_max=20 * mV, rate=0.3, alpha=0.6, tau_plus=15 * ms, tau_minus=30 * ms, **timing)
    weight, delay = ns.uniform(0 * mV, 10 * mV), ns.uniform(0.2 * ms, 2 * ms)
    net.connect(net["p"], target, weight=weight, delay=delay, plasticity=rule)
    net.record(target, "spikes")
    return net


@construct("short-term plasticity")
def _short_term() -> Network:
    model = TsodyksMarkram(U=0.3, tau_rec=20 * ms, tau_facil=50 * ms)
    net = _pair(short_term=model, delay=ns.uniform(0.2 * ms, 2 * ms), weight=ns.uniform(2 * mV, 6 * mV))
    net.connect(net["q"], net["p"], weight=1 * mV, delay=0.3 * ms, short_term=Depression(U=0.5, tau_rec=50 * ms))
    net.record(net["q"], "spikes")
    return net


@construct("couplings without spikes: gap junctions, graded synapses, rates, kinds of one's own")
def _links() -> Network:
    net = _net(PoissonSource(200 * Hz))
    own = ns.Receptor(link="s = w*tanh((v_pre - v_post)/(5*mV))", output="s")
    receptors = {"e": ExpCurrent(tau=3 * ms), "gap": GapJunction, "graded": GradedSynapse(v_half=-55 * mV), "own": own}
    target = net.population("q", 10, LIF(t_ref=1 * ms, receptors=receptors), init={"v": ns.uniform(-65 * mV, -51 * mV)})
    unit = ns.Cell("dr/dt = (tanh(i) - r)/tau", tau=5 * ms, receptors={"in": RateLink})
    rates = net.population("u", 4, unit, init={"r": ns.uniform(-1, 1)})
    net.stimulate(target, DCInput(14 * mV))
    net.connect(net["p"], target, receptor="e", weight=20 * mV, delay=0.4 * ms)
    net.connect(target, target, receptor="gap", rule=ns.FixedProbability(0.4), weight=ns.uniform(0, 0.2))
    net.connect(target, target, receptor="graded", rule=ns.FixedInDegree(3), weight=0.1)
    net.connect(target[:5], target[5:], receptor="own", rule=ns.OneToOne(), weight=4 * mV)
    net.connect(rates, rates, weight=ns.normal(0.0, 1.5))
    net.record(target, "spikes")
    net.record(target, "v")
    net.record(rates, "r")
    return net



@construct("single precision")
def _single() -> Network:
    return _pair(ns.FixedProbability(0.5))


@construct("24-bit weights")
def _bits() -> Network:
    net = _pair(weight=ns.normal(1 * mV, 0.2 * mV))
    conductances = net.population("r", 20, LIF(r_m=1.0 / (10 * nS), receptors={"syn": ExpConductance(tau=3 * ms)}))
    net.connect(net["p"], conductances, weight=ns.uniform(0 * nS, 2 * nS), delay=1 * ms)
    net.record(conductances, "v")
    return net

"""Cells, receptors and stimuli of random networks, and the families that combine them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.random_networks.dice import Dice
from neurosim.lang.plasticity import CHOICES, Plasticity
from neurosim.lang.short_term import ShortTerm
from neurosim.models import (
    IF,
    LIF,
    AdEx,
    AlphaConductance,
    AlphaCurrent,
    ArrayCurrent,
    CubaLIF,
    DCInput,
    DeltaCurrent,
    Depression,
    ExpConductance,
    ExpCurrent,
    GapJunction,
    GradedSynapse,
    HodgkinHuxley,
    Izhikevich,
    NearestSTDP,
    OUNoise,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    PulseCurrent,
    SineCurrent,
    SpikeSource,
    StepCurrent,
    TripletSTDP,
    TsodyksMarkram,
    TsodyksUzielMarkram,
    WhiteNoise,
)
from neurosim.models.dendrites import DendriticSpike, Passive
from neurosim.units import Hz, ms, mV, nS, pA, pF


@dataclass
class Made:
    """One population's cell: initial values, stimuli (and whether a part of the population gets one), weights."""

    cell: Any
    init: dict[str, Any] = field(default_factory=dict)
    stimuli: list[tuple[Any, bool]] = field(default_factory=list)
    weights: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Receptor -> (typical weight, its unit)."""
    variables: tuple[str, ...] = ()
    links: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Receptor that takes no spikes -> (typical weight of all edges of a target together, its unit)."""


# -- cells --------------------------------------------------------------------------------------------------------


def _refractory(d: Dice, dt: Any) -> Any:
    return d.pick((0, 1, 3, 20, 50)) * dt


def lif(d: Dice, n: int, dt: Any) -> Made:
    """Integrated exactly, all neurons alike."""
    cell = LIF(tau_m=d.number(5, 30) * ms, v_rest=-65 * mV, v_reset=-60 * mV, t_ref=_refractory(d, dt),
               receptors={"exc": ExpCurrent(tau=d.number(1, 8) * ms),
                          "inh": ExpCurrent(tau=5 * ms, when="before")})  # fmt: skip
    drive = PoissonInput(d.number(0, 400) * Hz, weight=d.number(0.5, 3) * mV, receptor="exc", n=20)
    return Made(cell, {"v": ns.uniform(-65 * mV, -50 * mV)}, [(drive, False), (DCInput(d.number(5, 25) * mV), False)],
                {"exc": (1.5, "mV"), "inh": (-2.0, "mV")}, ("v", "exc.x", "inh.x"))  # fmt: skip


def lif_varied(d: Dice, n: int, dt: Any) -> Made:
    """Parameters drawn, given by arrays and by expressions; few different rates; coloured noise."""
    g = d.arrays()
    cell = LIF(tau_m=ns.normal(15 * ms, 5 * ms, lo=3 * ms), v_rest=-65 * mV, v_th=g.uniform(-55, -45, n) * mV,
               v_reset="v_rest - 1*mV*index/N", t_ref=ns.uniform(0 * ms, 2.5 * ms),
               receptors={"exc": AlphaCurrent(tau=ns.uniform(0.5 * ms, 6 * ms)),
                          "inh": ExpCurrent(tau="tau_m/2")})  # fmt: skip
    rates = g.choice([100.0, 700.0, 2500.0], n)
    rates[:2] = 100.0, 700.0
    drive = PoissonInput(rates * Hz, weight=1.1 * mV, receptor="exc", n=2)
    noise = OUNoise(mean=d.number(10, 20) * mV, sigma=g.uniform(1, 5, n) * mV, tau=d.number(1, 9) * ms)
    return Made(cell, {"v": g.uniform(-66, -55, n) * mV}, [(drive, False), (noise, True)],
                {"exc": (1.0, "mV"), "inh": (-1.5, "mV")}, ("v", "exc.x", "exc.y", "ounoise.x"))  # fmt: skip


def lif_delta(d: Dice, n: int, dt: Any) -> Made:
    """Jumps after and before the decay; white noise; a rate that changes with time."""
    cell = LIF(tau_m=d.number(5, 30) * ms, v_rest=-62 * mV, t_ref=_refractory(d, dt),
               receptors={"exc": DeltaCurrent, "inh": DeltaCurrent(when="before")})  # fmt: skip
    drive = PoissonInput("900*Hz*(1 + sin(2*pi*20*Hz*t))", weight=d.number(0, 2) * mV, receptor="exc", n=3)
    noise = WhiteNoise(8 * mV, d.number(5, 60) * mV)
    return Made(cell, {"v": ns.normal(-60 * mV, 4 * mV)}, [(noise, False), (drive, True)],
                {"exc": (0.8, "mV"), "inh": (-1.1, "mV")}, ("v",))  # fmt: skip


def integrate_and_fire(d: Dice, n: int, dt: Any) -> Made:
    """No leak; more different rates than are tabulated (in 257 neurons or more); rates from an array [T, N]."""
    g = d.arrays()
    cell = IF(t_ref=_refractory(d, dt), receptors={"exc": DeltaCurrent, "inh": DeltaCurrent(when="before")})
    many = PoissonInput(g.uniform(100, 3000, n) * Hz, weight=0.9 * mV, receptor="exc")
    table = ns.TimedArray(g.uniform(0, 4000, (d.integer(2, 9), n)) * Hz, d.integer(1, 7) * dt, repeat=d.flag())
    rates = PoissonInput(table, 0.4 * mV, "exc", n=2)
    return Made(cell, {"v": ns.uniform(-60 * mV, -50 * mV)}, [(many, False), (rates, False)],
                {"exc": (0.5, "mV"), "inh": (-0.5, "mV")}, ("v",))  # fmt: skip


def adex(d: Dice, n: int, dt: Any) -> Made:
    """Runge-Kutta, an exponential, conductances."""
    cell = AdEx(t_ref=_refractory(d, dt), tau_w=d.number(20, 200) * ms,
                receptors={"exc": ExpConductance(tau=d.number(1, 6) * ms),
                          "inh": AlphaConductance(e_rev=-80 * mV)})  # fmt: skip
    sine = SineCurrent(
        d.number(50, 500) * pA, d.number(5, 80) * Hz, phase=d.number(0, 6), offset=d.number(400, 1100) * pA
    )
    return Made(cell, {"v": ns.uniform(-75 * mV, -50 * mV)},
                [(sine, False), (PoissonInput(400 * Hz, weight=2 * nS, receptor="exc", n=10), True)],
                {"exc": (3.0, "nS"), "inh": (4.0, "nS")}, ("v", "w", "exc.g", "inh.y"))  # fmt: skip


def izhikevich(d: Dice, n: int, dt: Any) -> Made:
    """Discrete updates that read new values; pulses of one step; a current from an array [T, N]."""
    g = d.arrays()
    cell = Izhikevich(a=ns.uniform(0.02 / ms, 0.1 / ms), d=g.uniform(2, 8, n) * (mV / ms),
                      receptors={"exc": ExpCurrent(tau=d.number(1, 6) * ms), "inh": PulseCurrent})  # fmt: skip
    table = ArrayCurrent(g.normal(8, 5, (d.integer(2, 40), n)) * (mV / ms), d.integer(1, 9) * dt, repeat=d.flag())
    return Made(cell, {"v": ns.uniform(-70 * mV, -50 * mV)}, [(table, False)],
                {"exc": (2.0, "mV/ms"), "inh": (-9.0, "mV/ms")}, ("v", "u", "exc.x"))  # fmt: skip


def hodgkin_huxley(d: Dice, n: int, dt: Any) -> Made:
    """Exponential Euler, a spike at an edge; a stepwise current."""
    cell = HodgkinHuxley(
        receptors={"exc": AlphaConductance(tau=d.number(1, 3) * ms), "inh": ExpConductance(e_rev=-80 * mV)}
    )
    steps = np.cumsum([d.integer(0, 9), d.integer(1, 60), d.integer(1, 60)])
    current = StepCurrent(steps * dt, np.array([d.number(50, 400), d.number(-100, 100), d.number(100, 500)]) * pA)
    return Made(cell, {"v": ns.uniform(-70 * mV, -40 * mV)}, [(current, False), (WhiteNoise(0 * pA, 30 * pA), True)],
                {"exc": (2.0, "nS"), "inh": (6.0, "nS")}, ("v", "m", "h", "exc.g"))  # fmt: skip


def cuba_lif(d: Dice, n: int, dt: Any) -> Made:
    """NIR's cell: weights without dimension."""
    cell = CubaLIF(
        r=d.number(1, 3), tau_mem=ns.uniform(2 * ms, 20 * ms), receptors={"exc": PulseCurrent, "inh": PulseCurrent}
    )
    return Made(cell, {}, [(DCInput(ns.uniform(0.2, 1.0)), False), (PoissonInput(900 * Hz, 3.0, "exc"), False)],
                {"exc": (4.0, "1"), "inh": (-4.0, "1")}, ("v", "i_syn"))  # fmt: skip


def own_edge(d: Dice, n: int, dt: Any) -> Made:
    """A cell of one's own: an oscillator with updates, intermediates, an edge, subtraction at the reset."""
    cell = ns.Cell(
        """
        angle = 2*pi*frequency*t + phase
        dv/dt = (drive*(1 + 0.5*cos(angle)) - v + i)/tau
        x[n+1] = clip(0.95*x + 0.1*where(v > 5*mV or x < 0.2, 1, 0) + 0.01*normal(), -1, 3)
        y[n+1] = tanh(x[n+1]) + 0.5*y*sigmoid(v/mV - 8)
        """,
        threshold="v + 2*mV*x >= theta",
        reset="v = v - 4*mV; x += 0.5",
        edge=True,
        refractory="t_ref",
        clamp="v",
        receptors={"exc": ExpCurrent(tau=3 * ms), "inh": ns.Receptor(event="v += 0.5*w; x -= 0.01*w/mV", name="Both")},
        tau=ns.normal(10 * ms, 2 * ms, lo=2 * ms),
        drive=d.number(8, 16) * mV,
        frequency=d.number(5, 60) * Hz,
        phase=ns.uniform(0.0, 6.0),
        theta=10 * mV,
        t_ref=_refractory(d, dt),
        init={"v": ns.uniform(0 * mV, 9 * mV), "x": "0.3*uniform()"},
    )
    return Made(cell, {}, [(DCInput(3 * mV, start=4 * dt, stop=d.integer(9, 200) * dt), True)],
                {"exc": (1.0, "mV"), "inh": (-1.0, "mV")}, ("v", "x", "y"))  # fmt: skip


def own_escape(d: Dice, n: int, dt: Any) -> Made:
    """A cell of one's own: escape noise, powers and logarithms, midpoint rule, refractory while it has adapted."""
    cell = ns.Cell(
        """
        dv/dt = (e - v)/tau + 0.02*(v/mV)**2*mV/ms*exp(-abs(v/mV)/9) + i/tau - a/ms
        da/dt = -a/tau_a
        rate = 40*Hz*exp((v - theta)/(2*mV))
        """,
        threshold="uniform() < 1 - exp(-rate*dt) and v > e - 3*mV",
        reset="v = e; a += log1p(1 + max(a/mV, 0))*0.05*mV",
        refractory="a > tired and v < theta",
        clamp=("v",) if d.integer(0, 1) else (),
        method="rk2",
        tired=d.number(0, 0.2) * mV,
        receptors={"exc": ExpCurrent(tau=2 * ms, when="before"), "inh": AlphaCurrent(tau=3 * ms)},
        e=d.number(0, 5) * mV,
        tau=d.number(5, 20) * ms,
        tau_a=30 * ms,
        theta=9 * mV,
    )
    return Made(cell, {"v": ns.uniform(0 * mV, 9 * mV)}, [(DCInput(d.number(2, 9) * mV), False)],
                {"exc": (1.0, "mV"), "inh": (-1.0, "mV")}, ("v", "a"))  # fmt: skip


def _branching(d: Dice, dt: Any, method: str, links: tuple[tuple[str, str], ...], clamp: Any) -> Made:
    """Compartments with channels and events; the shape and the scheme belong to the kind, the numbers are drawn."""
    soma = ns.Cell(
        "dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > -48*mV", reset="v = -62*mV", refractory=_refractory(d, dt),
        clamp=clamp, init={"v": "e_l"}, c_m=150 * pF, g_l=8 * nS, e_l=-65 * mV,
    )  # fmt: skip
    times = {name: d.integer(0, most) * dt for name, most in
             (("duration_rise", 15), ("offset_fall", 5), ("duration_fall", 30), ("refractory", 90))}  # fmt: skip
    spike = DendriticSpike(v_th=-50 * mV, g_rise=d.number(5, 30) * nS, **times)
    latch = ns.Channel(
        "dx/dt = -x/tau", output="x", tau=d.number(1, 9) * ms, late=d.integer(1, 30) * dt,
        events={"on": ns.Event("v > -55*mV", "x += 20*pA; v -= 1*mV", refractory=d.integer(0, 40) * dt),
                "off": ns.Event("on == in_steps(late) or v > -20*mV", "x = x/2", edge=True)},
    )  # fmt: skip
    parts: dict[str, Any] = {"soma": soma}
    for k, (_, name) in enumerate(links):
        twig = Passive(c_m=d.number(20, 60) * pF, g_l=ns.uniform(1 * nS, 3 * nS))
        parts[name] = twig.insert(**({"na": spike}, {"latch": latch}, {})[k % 3])
    more = {
        "exc": ExpConductance(tau=d.number(1, 6) * ms).at(links[-1][1]),
        "inh": AlphaConductance(e_rev=-80 * mV).at("soma"),
    }
    joined = {ends: d.number(1, 20) * nS for ends in links}
    cell = ns.compartments(parts, joined, receptors=more, method=method)
    drive = PoissonInput(d.number(100, 900) * Hz, weight=1.5 * nS, receptor="exc", n=4)
    return Made(cell, {"v_soma": ns.uniform(-66 * mV, -55 * mV)},
                [(drive, False), (DCInput(d.number(0, 200) * pA)(port="i_soma"), False)],
                {"exc": (2.0, "nS"), "inh": (2.0, "nS")}, cell.variables)  # fmt: skip


def branching(d: Dice, n: int, dt: Any) -> Made:
    """A tree with a fork, solved from the leaves; the soma stands still while refractory."""
    return _branching(d, dt, "tree", (("soma", "a"), ("a", "b"), ("a", "c")), "v")


def branching_chain(d: Dice, n: int, dt: Any) -> Made:
    """A chain, by half of the new slope; nothing stands still."""
    return _branching(d, dt, "crank_nicolson", (("soma", "a"), ("a", "b")), ())


def branching_star(d: Dice, n: int, dt: Any) -> Made:
    """Two branches of the soma, stepped explicitly."""
    return _branching(d, dt, "rk2", (("soma", "a"), ("soma", "b")), "v")


def spike_source(d: Dice, n: int, dt: Any) -> Made:
    """Spikes given beforehand."""
    g = d.arrays()
    return Made(SpikeSource([np.unique(g.integers(0, 250, d.integer(0, 30))) * dt for _ in range(n)]))


def spike_source_with_input(d: Dice, n: int, dt: Any) -> Made:
    """Spikes given beforehand, in neurons that also have something to integrate."""
    made = spike_source(d, n, dt)
    made.cell = made.cell(
        receptors={"exc": ns.Receptor("dx/dt = -x/tau", event="x += w", tau=d.number(1, 9) * ms, name="Trace")}
    )
    made.weights, made.variables = {"exc": (1.0, "1")}, ("exc.x",)
    return made


def pattern(d: Dice, n: int, dt: Any) -> Made:
    """A pattern that repeats."""
    g, period = d.arrays(), d.integer(1, 90)
    at = np.unique(g.integers(0, period * n, d.integer(1, 200)))
    return Made(SpikeSource((at // n) * dt, at % n, period=period * dt))


def poisson_source(d: Dice, n: int, dt: Any) -> Made:
    """Random spikes, one rate."""
    return Made(PoissonSource(d.number(0, 300) * Hz))


def poisson_source_varied(d: Dice, n: int, dt: Any) -> Made:
    """Random spikes, a rate of each neuron."""
    return Made(PoissonSource(ns.exponential(d.number(10, 200) * Hz)))


def poisson_source_moving(d: Dice, n: int, dt: Any) -> Made:
    """Random spikes, a rate that changes with time."""
    return Made(PoissonSource("r*(1 + sin(2*pi*f*t))", r=d.number(0, 200) * Hz, f=d.number(1, 90) * Hz))


@dataclass(frozen=True)
class Family:
    """What compiled code depends on."""

    kinds: tuple[Callable[[Dice, int, Any], Made], ...]
    precision: str = "double"
    weight_bits: int = 40
    rules: tuple[Callable[[Dice, Any], Plasticity], ...] = ()
    short_term: tuple[Callable[[Dice], ShortTerm], ...] = ()


def pair_rule(d: Dice, one: Any) -> Plasticity:
    """Additive pairs; ``one`` is the unit of the weights."""
    taus = {"tau_plus": d.number(1, 60) * ms, "tau_minus": d.number(1, 60) * ms}
    return PairSTDP(rate=d.number(0.001, 0.5), alpha=d.number(0, 2), w_max=d.number(0.5, 9) * one, **taus)


def nearest_rule(d: Dice, one: Any) -> Plasticity:
    """Nearest pairs."""
    return NearestSTDP(rate=d.number(0.001, 0.5), w_max=d.number(0.5, 9) * one)


def power_rule(d: Dice, one: Any) -> Plasticity:
    """A power of the weight, which functions of the IR compute; weights may have either sign."""
    return Plasticity(
        pre="dx/dt = -x/tau",
        post="dy/dt = -y/tau",
        on_pre="w -= rate*w*y; x += 1",
        on_post="w += rate*w_0*(abs(w)/w_0)**mu*x; y += 1",
        tau=d.number(1, 40) * ms,
        rate=d.number(0.001, 0.1),
        mu=d.number(0, 1),
        w_0=d.number(0.1, 3) * one,
    )


def triplet_rule(d: Dice, one: Any) -> Plasticity:
    """Triplets."""
    return TripletSTDP(w_1=d.number(0.1, 20) * one, w_max=d.number(0.5, 9) * one, a3_minus=d.number(0, 0.01))


def own_rule(d: Dice, one: Any) -> Plasticity:
    """A rule that reads a trace before and after its jump, on both sides, and a variable of the target."""
    return Plasticity(
        pre="dx/dt = (a - x)/tau",
        post="dy/dt = -y/tau; dz/dt = (y - z)/tau",
        on_pre="w += rate*(x - z); x = x/2 + 1; w -= rate*y*x",
        on_post="w += rate*y; y += 1; w += rate*(x - y*abs(w)/top)",
        lower="-top",
        upper="top",
        tau=d.number(1, 40) * ms,
        a=d.number(-1, 1),
        rate=d.number(-1, 1) * one,
        top=d.number(0.1, 5) * one,
    )


def synapse_rule(d: Dice, one: Any) -> Plasticity:
    """A rule with variables of the synapse, one that decays and one that does not, and an interval."""
    return Plasticity(
        pre="dx/dt = -x/tau",
        post="dy/dt = -y/tau; dz/dt = 0",
        edge="dc/dt = -c/tau_c; ds/dt = 0",
        on_pre="c -= y; x += 1",
        on_post="c += x; s += rate*c; y += 1; z += 1",
        on_every="s = s/2 + rate*(c + x*y); w += s + rate*(z - 3)/100",
        every=d.pick((1, 2, 5)) * ms,
        lower="-top",
        upper="top",
        tau=d.number(1, 40) * ms,
        tau_c=d.number(0.5, 400) * ms,
        rate=d.number(-0.2, 0.2) * one,
        top=d.number(0.1, 5) * one,
    )


def retimed(d: Dice, rule: Plasticity) -> Plasticity:
    """The rule with another timing, mostly."""
    kind = d.pick(CHOICES["delay_type"])
    delivers = d.pick(CHOICES["delivers"]) if kind == "dendritic" else "before"
    return rule(delay_type=kind, coincidence=d.pick(CHOICES["coincidence"]), delivers=delivers)


RULES = (pair_rule, nearest_rule, power_rule, triplet_rule, own_rule, synapse_rule)


def coupled(d: Dice, n: int, dt: Any) -> Made:
    """Coupled without spikes, by the library's receptors and by one of its own."""
    own = ns.Receptor(
        "dx/dt = (s - x)/tau",
        link="s = w*sigmoid((v_pre - v_half)/slope)*(1 - abs(v_post)/(200*mV))",
        output="x",
        tau=d.number(1, 9) * ms,
        v_half=-60 * mV,
        slope=d.number(1, 9) * mV,
    )
    receptors = {"gap": GapJunction, "graded": GradedSynapse(v_half=-60 * mV, tau=d.number(1, 9) * ms), "own": own,
                 "exc": ExpCurrent(tau=d.number(1, 8) * ms)}  # fmt: skip
    cell = LIF(tau_m=ns.uniform(5 * ms, 30 * ms), v_rest=-65 * mV, t_ref=_refractory(d, dt), receptors=receptors)
    drive = PoissonInput(d.number(0, 400) * Hz, weight=d.number(0.5, 3) * mV, receptor="exc", n=20)
    return Made(cell, {"v": ns.uniform(-65 * mV, -50 * mV)}, [(drive, True), (DCInput(d.number(10, 25) * mV), False)],
                {"exc": (1.5, "mV")}, ("v", "own.x", "graded.g"),
                {"gap": (0.8, "1"), "graded": (0.5, "1"), "own": (9.0, "mV")})  # fmt: skip


def coupled_adex(d: Dice, n: int, dt: Any) -> Made:
    """Gap junctions between cells with conductances, whose equations are not linear."""
    cell = AdEx(t_ref=_refractory(d, dt), receptors={"gap": GapJunction, "exc": ExpConductance(tau=3 * ms)})
    return Made(cell, {"v": ns.uniform(-75 * mV, -55 * mV)}, [(DCInput(d.number(300, 900) * pA), False)],
                {"exc": (3.0, "nS")}, ("v", "w"), {"gap": (8.0, "nS")})  # fmt: skip


# -- short-term plasticity ----------------------------------------------------------------------------------------


def facilitation(d: Dice) -> ShortTerm:
    """Depression and facilitation."""
    return TsodyksMarkram(U=d.number(0, 1), tau_rec=d.number(1, 300) * ms, tau_facil=d.number(1, 300) * ms)


def depression(d: Dice) -> ShortTerm:
    """Depression alone."""
    return Depression(U=d.number(0, 1), tau_rec=d.number(1, 300) * ms)


def inactivation(d: Dice) -> ShortTerm:
    """Three states of what is released."""
    return TsodyksUzielMarkram(U=d.number(0, 1), tau_rec=d.number(1, 300) * ms, tau_psc=d.number(0.5, 9) * ms)


def own_release(d: Dice) -> ShortTerm:
    """What is released may have either sign and grow beyond 1, before the first spike too."""
    return ns.ShortTerm(
        "da/dt = (b - a)/tau",
        on_spike="release = c - a; a = a/2 + 1; release = release*(1 + abs(a)/2)",
        init={"a": d.number(-1, 1)},
        tau=d.number(1, 40) * ms,
        b=d.number(-1, 1),
        c=d.number(0, 2),
    )


SHORT_TERM = (facilitation, depression, inactivation, own_release)

FAMILIES = (
    Family((poisson_source, lif, lif), short_term=SHORT_TERM),
    Family((spike_source, lif_varied, adex), weight_bits=24),
    Family((pattern, izhikevich, own_edge)),
    Family((poisson_source_moving, branching, hodgkin_huxley, integrate_and_fire)),
    Family((spike_source, own_escape, cuba_lif, lif_delta), "single", 24, short_term=SHORT_TERM),
    Family((spike_source_with_input, lif_varied, branching_chain, own_edge), "single", 40),
    Family((spike_source, coupled, coupled_adex)),
    Family((pattern, coupled, lif), "single", 24),
)
"""Those of the sample: every kind of cell, both precisions, both grids; short-term plasticity in two, couplings without
spikes in the last two."""

ALL = 40
"""Number of families in the full tier."""

_SOURCES = (
    spike_source,
    spike_source_with_input,
    pattern,
    poisson_source,
    poisson_source_varied,
    poisson_source_moving,
)
_CELLS = (
    lif,
    lif_varied,
    lif_delta,
    integrate_and_fire,
    adex,
    izhikevich,
    hodgkin_huxley,
    cuba_lif,
    own_edge,
    own_escape,
    branching,
    branching_chain,
    branching_star,
    coupled,
    coupled_adex,
)
WIDEST: dict[Callable[[Dice, int, Any], Made], tuple[int, ...]] = {integrate_and_fire: (257, 319, 320, 321, 384)}
VARIED = {lif_varied, izhikevich, cuba_lif, own_edge, integrate_and_fire, lif_delta, adex, hodgkin_huxley}


PLASTIC = (
    Family((poisson_source, lif), rules=(pair_rule, own_rule)),
    Family((spike_source, lif_delta, adex), "double", 24, rules=(triplet_rule, nearest_rule)),
    Family((pattern, izhikevich, lif), "single", 24, rules=(power_rule, own_rule), short_term=SHORT_TERM),
    Family((poisson_source_varied, lif, adex), rules=(synapse_rule, pair_rule), short_term=SHORT_TERM),
    Family((spike_source, lif_delta), "single", 24, rules=(synapse_rule,)),
)
"""Families of the sample whose projections learn."""

ALL_PLASTIC = 20
"""Number of those in the full tier."""


def plastic_family(number: int) -> Family:
    """Return one of :data:`PLASTIC`, or, beyond them, another one."""
    if number < len(PLASTIC):
        return PLASTIC[number]
    g = random.Random(1000 + number)
    kinds = [g.choice(_CELLS) for _ in range(g.randint(1, 2))] + [g.choice(_SOURCES)]
    g.shuffle(kinds)
    precision, bits = g.choice([("double", 40), ("double", 40), ("double", 24), ("single", 24)])
    rules = tuple(g.sample(RULES, 2))
    return Family(tuple(kinds), precision, bits, rules, SHORT_TERM if g.random() < 0.4 else ())


def family(number: int) -> Family:
    """Return one of :data:`FAMILIES`, or, beyond them, another one."""
    if number < len(FAMILIES):
        return FAMILIES[number]
    g = random.Random(number)
    kinds = [g.choice(_CELLS) for _ in range(g.randint(1, 3))] + [g.choice(_SOURCES)] * g.randint(0, 1)
    g.shuffle(kinds)
    precision, bits = g.choice([("double", 40), ("double", 24), ("single", 24), ("single", 40)])
    return Family(tuple(kinds), precision, bits, (), SHORT_TERM if g.random() < 0.3 else ())

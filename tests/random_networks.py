"""Random networks, and the comparison of two engines on them, bit for bit.

What compiled code depends on is drawn from a small number of *families* (which cells, receptors and stimuli, precision,
bits of the weights), since a program takes seconds to compile; sizes, values, rules, weights, delays, probes, threads
and stretches are drawn anew for every network. Whoever draws is a :class:`Chooser`: hypothesis, which can shrink what
it finds, or a seed.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from unittest import mock

import numpy as np

import neurosim as ns
from neurosim.backends.base import Drained, Engine, Options
from neurosim.compile import compile_network
from neurosim.errors import DivergedError
from neurosim.ir.graph import Graph
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
from neurosim.units import Hz, ms, mV, nS, pA, um

T = TypeVar("T")

SIZES = (1, 2, 3, 7, 31, 63, 64, 65, 100, 127, 128, 129, 150, 191, 192, 193, 200)
"""Sizes of populations: around the tile of 64 neurons and its multiples, and others."""

DELAYS = (0, 0, 1, 2, 6, 14, 31, 62, 63, 64, 129)
"""Constant delays in steps, beyond the network's shortest."""


class Chooser(Protocol):
    """Draws whole numbers."""

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        ...


class Seeded:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return self.generator.randint(low, high)


class Dice:
    """What is drawn, in terms of a chooser."""

    def __init__(self, chooser: Chooser) -> None:
        self.integer = chooser.integer

    def pick(self, options: Sequence[T]) -> T:
        """Return one of several."""
        return options[self.integer(0, len(options) - 1)]

    def number(self, low: float, high: float) -> float:
        """Return one of 1001 values from ``low`` to ``high``."""
        return low + (high - low) * self.integer(0, 1000) / 1000

    def flag(self) -> bool:
        """Return yes or no."""
        return bool(self.integer(0, 1))

    def arrays(self) -> np.random.Generator:
        """Return a generator for arrays of data."""
        return np.random.default_rng(self.integer(0, 2**31))


@dataclass
class Made:
    """One population's cell: initial values, stimuli (and whether a part of the population gets one), weights."""

    cell: Any
    init: dict[str, Any] = field(default_factory=dict)
    stimuli: list[tuple[Any, bool]] = field(default_factory=list)
    weights: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Receptor -> (typical weight, its unit)."""
    variables: tuple[str, ...] = ()


UNITS = {"mV": mV, "nS": nS, "mV/ms": mV / ms, "1": 1.0}


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
    """A cell of one's own: escape noise, powers and logarithms, midpoint rule, no refractory period."""
    cell = ns.Cell(
        """
        dv/dt = (e - v)/tau + 0.02*(v/mV)**2*mV/ms*exp(-abs(v/mV)/9) + i/tau - a/ms
        da/dt = -a/tau_a
        rate = 40*Hz*exp((v - theta)/(2*mV))
        """,
        threshold="uniform() < 1 - exp(-rate*dt) and v > e - 3*mV",
        reset="v = e; a += log1p(1 + max(a/mV, 0))*0.05*mV",
        method="rk2",
        receptors={"exc": ExpCurrent(tau=2 * ms, when="before"), "inh": AlphaCurrent(tau=3 * ms)},
        e=d.number(0, 5) * mV,
        tau=d.number(5, 20) * ms,
        tau_a=30 * ms,
        theta=9 * mV,
    )
    return Made(cell, {"v": ns.uniform(0 * mV, 9 * mV)}, [(DCInput(d.number(2, 9) * mV), False)],
                {"exc": (1.0, "mV"), "inh": (-1.0, "mV")}, ("v", "a"))  # fmt: skip


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


FAMILIES = (
    Family((poisson_source, lif, lif)),
    Family((spike_source, lif_varied, adex), weight_bits=24),
    Family((pattern, izhikevich, own_edge)),
    Family((poisson_source_moving, lif_delta, hodgkin_huxley, integrate_and_fire)),
    Family((spike_source, own_escape, cuba_lif, lif_delta), "single", 24),
    Family((spike_source_with_input, lif_varied, adex, own_edge), "single", 40),
)
"""Those of the sample: every kind of cell, both precisions, both grids."""

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
)
_WIDEST = {integrate_and_fire: (257, 319, 320, 321, 384)}
_VARIED = {lif_varied, izhikevich, cuba_lif, own_edge, integrate_and_fire, lif_delta, adex, hodgkin_huxley}


def family(number: int) -> Family:
    """Return one of :data:`FAMILIES`, or, beyond them, another one."""
    if number < len(FAMILIES):
        return FAMILIES[number]
    g = random.Random(number)
    kinds = [g.choice(_CELLS) for _ in range(g.randint(1, 3))] + [g.choice(_SOURCES)] * g.randint(0, 1)
    g.shuffle(kinds)
    precision, bits = g.choice([("double", 40), ("double", 24), ("single", 24), ("single", 40)])
    return Family(tuple(kinds), precision, bits)


# -- connections --------------------------------------------------------------------------------------------------


class _Writer:
    """Writes one random network."""

    def __init__(self, chooser: Chooser, fam: Family) -> None:
        self.d = d = Dice(chooser)
        self.dt = d.pick((0.1, 0.1, 0.125)) * ms
        self.net = ns.Network("random", dt=self.dt, seed=d.integer(0, 2**64 - 1))
        self.least = d.pick((1, 1, 1, 2, 3, 5, 17, 66))
        self.steps = d.integer(40, 260)
        self.made: dict[str, Made] = {}
        for k, kind in enumerate(fam.kinds):
            sizes = _WIDEST.get(kind, SIZES[1:] if kind in _VARIED else SIZES)
            n = d.pick(sizes)
            made = kind(d, n, self.dt)
            pop = self.net.population(
                f"p{k}", n, made.cell, init=made.init, positions=d.arrays().uniform(0, 300, (n, 2)) * um
            )
            for stimulus, part in made.stimuli:
                self.net.stimulate(pop[: d.integer(1, n - 1)] if part and n > 1 else pop, stimulus)
            self.made[pop.name] = made
        self.targets = [name for name, made in self.made.items() if made.weights]
        self.connections = 0
        if self.targets:
            for constant_weight in (True, False):  # every network has edges of each storage class, so the code is one
                self.connect(constant_weight, True)
                self.connect(constant_weight, False)
            for _ in range(d.integer(0, 4)):
                self.connect(None, None)
        self.probes()

    def part(self, name: str) -> Any:
        """Return a population, or a part of it."""
        d, pop = self.d, self.net[name]
        how = d.integer(0, 5)
        if how == 1:
            lo = d.integer(0, pop.n - 1)
            return pop[lo : d.integer(lo + 1, pop.n) : d.integer(1, 3)]
        if how == 2:
            mask = d.arrays().random(pop.n) < 0.4
            mask[d.integer(0, pop.n - 1)] = True
            return pop[mask]
        if how == 3:
            return pop[d.arrays().permutation(pop.n)[: d.integer(1, pop.n)]]
        return pop

    def connect(self, constant_weight: bool | None, constant_delay: bool | None) -> None:
        """Add a projection; None leaves open whether weight and delay are constant."""
        d = self.d
        pre = self.part(d.pick(list(self.made)))
        if d.integer(0, 3) == 0:
            others = [n for n in self.made if n not in pre.name.split("+")]
            if others:
                pre = pre + self.part(d.pick(others))
        target = d.pick(self.targets)
        receptor = d.pick(list(self.made[target].weights))
        post, (size, unit) = self.part(target), self.made[target].weights[receptor]
        if constant_weight is None and d.flag():
            others = [
                n for n in self.targets if n != target and self.made[n].weights.get(receptor, ("", ""))[1] == unit
            ]
            if others:
                post = post + self.part(d.pick(others))
        size *= d.number(0.2, 1.5)
        self.connections += 1
        given: dict[str, Any] = {"receptor": receptor, "name": f"c{self.connections}"}
        sparse = constant_delay is False
        how = d.integer(0, 3) if constant_weight is not True and not sparse else 9
        if how == 0:
            matrix = size * d.arrays().random((len(pre), len(post))) * (d.arrays().random((len(pre), len(post))) < 0.2)
            self.net.connect(pre, post, weight=matrix * UNITS[unit], delay=self.constant_delay(), **given)
            return
        if how == 1:
            m, g = d.integer(0, 500), d.arrays()
            rule = ns.EdgeList(g.integers(0, len(pre), m), g.integers(0, len(post), m))
            weight = g.normal(size, abs(size) / 3, m) * UNITS[unit]
            delay = (
                self.constant_delay() if constant_delay else (self.least + g.integers(0, d.pick((3, 90)), m)) * self.dt
            )
            self.net.connect(pre, post, rule=rule, weight=weight, delay=delay, **given)
            return
        rule = self.rule(pre, post, sparse)
        if constant_weight is None:
            constant_weight = d.flag()
        if constant_delay is None:
            constant_delay = d.flag()
        weight = size * UNITS[unit] if constant_weight else self.drawn_weight(size, unit)
        delay = self.constant_delay() if constant_delay else self.wide_delay() if sparse else self.drawn_delay()
        self.net.connect(pre, post, rule=rule, weight=weight, delay=delay, **given)

    def constant_delay(self) -> Any:
        """Return one delay."""
        return (self.least + self.d.pick(DELAYS)) * self.dt

    def wide_delay(self) -> Any:
        """Return delays so different that edges are scattered into a ring."""
        return ns.uniform(self.least * self.dt, (self.least + self.d.integer(20, 90)) * self.dt)

    def drawn_delay(self) -> Any:
        """Return delays drawn in some way."""
        d, dt, low = self.d, self.dt, self.least * self.dt
        how = d.integer(0, 5)
        if how == 0:
            return ns.uniform(low, (self.least + d.integer(1, 3)) * dt)
        if how == 1:
            return ns.normal((self.least + 5) * dt, d.number(0.1, 20) * dt, lo=low, how=d.pick(("redraw", "clip")))
        if how == 2:
            return ns.exponential(d.number(1, 30) * dt, lo=low)
        if how == 3:
            return ns.lognormal((self.least + 2) * dt, d.number(0.1, 1.0), lo=low, hi=(self.least + 200) * dt)
        if how == 4:
            return f"{float(low / ms)!r}*ms*(1 + abs(i - j)/{d.integer(1, 9)})"
        return self.wide_delay()

    def drawn_weight(self, size: float, unit: str) -> Any:
        """Return weights drawn in some way."""
        d, one = self.d, UNITS[unit]
        how = d.integer(0, 4)
        if how == 0:
            return ns.uniform(0.0 * size * one, size * one) if size > 0 else ns.uniform(size * one, 0.0 * size * one)
        if how == 1:
            bound = {"lo": 0.0 * one} if size > 0 else {"hi": 0.0 * one}
            return ns.normal(size * one, abs(size) * d.number(0, 2) * one, how=d.pick(("redraw", "clip")), **bound)
        if how == 2 and size > 0:
            return ns.lognormal(size * one, 0.5)
        if how == 3 and size > 0:
            return ns.exponential(size * one)
        text = f"{size!r}" if size >= 0 else f"(-{-size!r})"
        return text + ("" if unit == "1" else f"*{unit}") + "*(0.2 + i/N_pre + 0.3*normal())"

    def rule(self, pre: Any, post: Any, sparse: bool) -> Any:
        """Return a rule that can join the groups; a ``sparse`` one makes few edges of each source."""
        d = self.d
        a, b = len(pre), len(post)
        autapses = d.flag()
        shared = bool({p.label for p, _ in pre.parts} & {p.label for p, _ in post.parts})
        few = max(1, d.integer(1, 6))
        if sparse:
            how = d.integer(0, 2)
            if how == 0 and not (shared and not autapses and b < 2):
                return ns.FixedOutDegree(few, autapses=autapses)
            if how == 1:
                return ns.FixedProbability(min(1.0, few / b), autapses=autapses)
            return ns.FixedTotalNumber(d.integer(0, 4 * a))
        room = 1 if shared and not autapses else 0
        how = d.integer(0, 8)
        if how == 0:
            return ns.AllToAll(autapses=autapses)
        if how == 1 and a == b:
            return ns.OneToOne()
        if how == 2 and a > room:
            return ns.FixedInDegree(d.integer(1, a - room), autapses=autapses, multapses=False)
        if how == 3 and b > room:
            return ns.FixedOutDegree(d.integer(1, b - room), autapses=autapses, multapses=d.flag())
        if how == 4:
            return ns.FixedTotalNumber(
                d.integer(0, a * b - room * min(a, b)), autapses=autapses or a * b == 1, multapses=d.flag()
            )
        if how == 5:
            return ns.Where(d.pick(("abs(i - j) <= 5 and i != j", "i < j or uniform() < 0.1")), p="exp(-abs(i - j)/20)")
        if how == 6:
            return ns.DistanceDependent(
                "0.8*exp(-distance**2/(2*(80*um)**2))", max_distance=d.number(50, 300) * um, autapses=autapses
            )
        if how == 7 and a > room:
            return ns.FixedInDegree(d.integer(0, 2 * a), autapses=autapses)
        return ns.FixedProbability(d.pick((0.02, 0.1, 0.5, 1.0)), autapses=autapses)

    def probes(self) -> None:
        """Record spikes, and state variables of some neurons every so many steps."""
        d = self.d
        for name, made in self.made.items():
            pop = self.net[name]
            if d.integer(0, 9):
                self.net.record(pop, "spikes")
            for variable in made.variables:
                if d.flag():
                    self.net.record(self.part(name), variable, every=d.pick((1, 1, 2, 3, 7, 50)) * self.dt)


@dataclass
class Case:
    """A random network: its graph, and how it is to be run."""

    graph: Graph
    steps: int
    threads: tuple[int, ...]
    stretches: list[list[int]]
    eager: bool
    """Whether compiled random numbers are used, and edges are made in small pieces, however few there are."""


def draw(chooser: Chooser, fam: Family) -> Case:
    """Draw a network of a family."""
    written = _Writer(chooser, fam)
    d = written.d
    graph = compile_network(written.net, precision=fam.precision, weight_bits=fam.weight_bits)
    threads = (1, d.integer(2, 3))
    return Case(graph, written.steps, threads, [_stretches(d, written.steps) for _ in threads], d.integer(0, 3) == 0)


def _stretches(d: Dice, steps: int) -> list[int]:
    """Cut a run into calls of ``advance``."""
    out: list[int] = []
    if d.flag():
        return [steps]
    while steps > 0:
        out.append(min(steps, d.pick((1, 2, 3, 5, 7, 31, 63, 64, 65, 101))))
        steps -= out[-1]
    return out


# -- comparing ----------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What an engine did: spikes, samples and counts of all stretches, the state at the end, how many edges."""

    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray] | None]
    counts: dict[str, int]
    state: dict[str, dict[str, np.ndarray]]
    edges: int
    diverged: str = ""


def build(graph: Graph, backend: str, threads: int | None = None) -> Engine:
    """Build an engine."""
    return load_backend(backend).build(graph, Options(threads=threads))


def outcome(graph: Graph, backend: str, stretches: Sequence[int], threads: int | None = None) -> Outcome:
    """Run a graph in stretches."""
    engine = build(graph, backend, threads)
    parts: list[Drained] = []
    diverged = ""
    try:
        for steps in stretches:
            engine.advance(steps)
            parts.append(engine.drain())
    except DivergedError as e:
        diverged = str(e)
    spikes = {p.name: tuple(np.concatenate([np.asarray(x.spikes[p.name][i], np.int64) for x in parts]) for i in (0, 1))
              for p in graph.populations if parts and p.name in parts[0].spikes}  # fmt: skip
    samples: list[Any] = []
    for k in range(len(graph.probes)):
        each = [x.samples[k] for x in parts]
        samples.append(
            None if not each or each[0] is None else tuple(np.concatenate([s[i] for s in each if s]) for i in (0, 1))
        )
    counts = {p.name: sum(x.counts[p.name] for x in parts) for p in graph.populations}
    state = {p.name: engine.state(p.name) for p in graph.populations}
    out = Outcome(spikes, samples, counts, state, engine.edges(), diverged)  # type: ignore[arg-type]
    engine.close()
    return out


def difference(graph: Graph, a: Outcome, b: Outcome) -> str:
    """Say where two outcomes first differ, in one bit or more; an empty text if nowhere."""
    if bool(a.diverged) != bool(b.diverged):
        return f"only one diverged: {a.diverged or b.diverged}"
    if a.diverged:
        return ""
    if a.edges != b.edges:
        return f"{a.edges} edges and {b.edges}"
    if a.spikes.keys() != b.spikes.keys() or len(a.samples) != len(b.samples):
        return "other things were recorded"
    found: list[tuple[int, str]] = []
    for name in a.spikes:
        (s, i), (t, j) = a.spikes[name], b.spikes[name]
        n = min(len(s), len(t))
        off = np.flatnonzero((s[:n] != t[:n]) | (i[:n] != j[:n]))
        if len(off) or len(s) != len(t):
            k = int(off[0]) if len(off) else n
            step = min(int(x[k]) for x in (s, t) if k < len(x))
            found.append((step, f"spike {k} of '{name}', at step {step}: {len(s)} and {len(t)} spikes"))
    for k, (x, y) in enumerate(zip(a.samples, b.samples, strict=True)):
        probe = graph.probes[k]
        if (x is None) != (y is None):
            return f"{probe.target}.{probe.variable}: sampled by one"
        if x is None or y is None:
            continue
        if not np.array_equal(x[0], y[0]) or x[1].shape != y[1].shape:
            return f"{probe.target}.{probe.variable}: sampled at other steps, {x[1].shape} and {y[1].shape}"
        off = np.argwhere(np.ascontiguousarray(x[1]).view(np.int64) != np.ascontiguousarray(y[1]).view(np.int64))
        if len(off):
            t, j = off[0]
            found.append(
                (
                    int(x[0][t]),
                    f"{probe.target}.{probe.variable}, step {x[0][t]}, column {j}: {x[1][t, j]!r} and {y[1][t, j]!r}",
                )
            )
    if found:
        return min(found)[1]
    if a.counts != b.counts:
        return f"counts {a.counts} and {b.counts}"
    for name, states in a.state.items():
        if states.keys() != b.state[name].keys():
            return f"'{name}' has the states {list(states)} and {list(b.state[name])}"
        for variable, values in states.items():
            other = b.state[name][variable]
            if values.dtype != other.dtype or values.tobytes() != other.tobytes():
                off = np.flatnonzero(values != other)
                at = int(off[0]) if len(off) else -1
                pair = f"{values[at]!r} and {other[at]!r}"
                return f"state {variable} of '{name}' ({values.dtype}, {other.dtype}), neuron {at}: {pair}"
    return ""


@contextlib.contextmanager
def eager(on: bool = True) -> Iterator[None]:
    """Let the compiled engine make its edges in small pieces, from compiled random numbers, however few there are."""
    if not on:
        yield
        return
    from neurosim.backends.native import draws, layout

    with (
        mock.patch.object(draws, "_SMALL", 1),
        mock.patch.object(draws, "_WORTH", 1),
        mock.patch.object(layout, "CHUNK", 97),
    ):
        yield


def check(case: Case) -> tuple[str, Outcome]:
    """Run a case on both engines; return where they differ (nowhere: an empty text), and what the reference did."""
    want = outcome(case.graph, "reference", [case.steps])
    for threads, stretches in zip(case.threads, case.stretches, strict=True):
        with eager(case.eager):
            got = outcome(case.graph, "native", stretches, threads)
        problem = difference(case.graph, want, got)
        if problem:
            return f"native with {threads} threads in stretches {stretches[:9]}: {problem}", want
    return "", want


def compare(first: int, stop: int) -> dict[str, Any]:
    """Compare the networks of some seeds."""
    counts: Counter[str] = Counter()
    differences: list[str] = []
    for seed in range(first, stop):
        number = seed % ALL
        case = draw(Seeded(seed), family(number))
        problem, reference = check(case)
        if problem:
            differences.append(f"network {seed} (family {number}): {problem}")
        counts.update(
            {
                "networks": 1,
                case.graph.precision: 1,
                f"weights of {case.graph.weight_bits} bits": 1,
                "populations": len(case.graph.populations),
                "neurons": case.graph.size,
                "edges": reference.edges,
                "steps": case.steps,
                "spikes": sum(reference.counts.values()),
                "values sampled": sum(s[1].size for s in reference.samples if s is not None),
                "runs": len(case.threads),
                "diverged on both": int(bool(reference.diverged)),
                "silent": int(not any(reference.counts.values())),
            }
        )
    return {"counts": dict(counts), "differences": differences}

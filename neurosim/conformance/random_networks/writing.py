"""Writing a random network: sizes, connections and probes around the cells of a family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.conformance.random_networks.cells import VARIED, WIDEST, Family, Made, retimed
from neurosim.conformance.random_networks.dice import Chooser, Dice
from neurosim.ir.graph import Graph
from neurosim.units import ms, mV, nS, um

SIZES = (1, 2, 3, 7, 31, 63, 64, 65, 100, 127, 128, 129, 150, 191, 192, 193, 200)
"""Sizes of populations: around the tile of 64 neurons and its multiples, and others."""

DELAYS = (0, 0, 1, 2, 6, 14, 31, 62, 63, 64, 129)
"""Constant delays in steps, beyond the network's shortest."""

UNITS = {"mV": mV, "nS": nS, "mV/ms": mV / ms, "1": 1.0}


class _Writer:
    """Writes one random network."""

    def __init__(self, chooser: Chooser, fam: Family) -> None:
        self.d = d = Dice(chooser)
        self.rules, self.short_term = fam.rules, fam.short_term
        self.dt = d.pick((0.1, 0.1, 0.125)) * ms
        self.net = ns.Network("random", dt=self.dt, seed=d.integer(0, 2**64 - 1))
        self.least = d.pick((1, 1, 1, 2, 3, 5, 17, 66))
        self.steps = d.integer(40, 260)
        self.made: dict[str, Made] = {}
        for k, kind in enumerate(fam.kinds):
            sizes = WIDEST.get(kind, SIZES[1:] if kind in VARIED else SIZES)
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
        if any(made.links for made in self.made.values()):
            for _ in range(d.integer(1, 5)):
                self.couple()
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
        if self.rules and (self.connections <= len(self.rules) or d.flag()):
            rule = self.rules[(self.connections - 1) % len(self.rules)]
            given["plasticity"] = retimed(d, rule(d, UNITS[unit]))
            size = abs(size)
        if self.short_term and d.flag():
            given["short_term"] = d.pick(self.short_term)(d)
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

    def couple(self) -> None:
        """Add a coupling without spikes, from what has a potential."""
        d = self.d
        target = d.pick([name for name, made in self.made.items() if made.links])
        receptor = d.pick(list(self.made[target].links))
        pre = self.part(d.pick([name for name, made in self.made.items() if "v" in made.variables]))
        post, (size, unit) = self.part(target), self.made[target].links[receptor]
        size *= d.number(0.1, 1.0) / len(pre)
        weight = size * UNITS[unit] if d.flag() else ns.uniform(0.0 * size * UNITS[unit], size * UNITS[unit])
        self.net.connect(pre, post, receptor=receptor, rule=self.rule(pre, post, False), weight=weight)

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
        for projection in self.net.projections.values():
            if projection.plasticity is not None and d.flag():
                for variable in ("weight", *projection.plasticity.edge):
                    self.net.record(projection, variable, every=d.pick((1, 7, 50)) * self.dt)
        for name, made in self.made.items():
            pop = self.net[name]
            if d.integer(0, 9):
                self.net.record(pop, "spikes")
            for variable in made.variables:
                if d.flag():
                    self.net.record(self.part(name), variable, every=d.pick((1, 1, 2, 3, 7, 50)) * self.dt)


@dataclass
class RandomNetwork:
    """A random network: its graph, and how it is to be run."""

    graph: Graph
    steps: int
    threads: tuple[int, ...]
    stretches: list[list[int]]
    eager: bool
    """Whether the compiled engine uses compiled random numbers, and small pieces of edges, however few there are."""


def draw(chooser: Chooser, fam: Family) -> RandomNetwork:
    """Draw a network of a family."""
    written = _Writer(chooser, fam)
    d = written.d
    graph = compile_network(written.net, precision=fam.precision, weight_bits=fam.weight_bits)
    graph = replace(graph, trial=d.pick((0, 0, 1, 2**63)))
    threads = (1, d.integer(2, 3))
    stretches = [_stretches(d, written.steps) for _ in threads]
    return RandomNetwork(graph, written.steps, threads, stretches, d.integer(0, 3) == 0)


def _stretches(d: Dice, steps: int) -> list[int]:
    """Cut a run into calls of ``advance``."""
    out: list[int] = []
    if d.flag():
        return [steps]
    while steps > 0:
        out.append(min(steps, d.pick((1, 2, 3, 5, 7, 31, 63, 64, 65, 101))))
        steps -= out[-1]
    return out

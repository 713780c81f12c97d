"""NEST against our own engines: random networks of what NEST has, the current-based network, the microcircuit."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.models import (
    LIF,
    AlphaCurrent,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    ExpCurrent,
    GuetigSTDP,
    MultiplicativeSTDP,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    SineCurrent,
    SpikeSource,
    TsodyksMarkram,
    WhiteNoise,
)
from neurosim.models.networks.cuba import cuba
from neurosim.models.networks.potjans_diesmann import potjans_diesmann
from neurosim.units import Hz, ms, mV, second

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py", "neurosim/run.py",
    "backends/base.py", "backends/reference_backend/*.py", "backends/native/**/*.py",
    "backends/compiled/*.py", "backends/nest_backend/**/*.py",
    "models/cells/*.py", "models/inputs/*.py", "models/plasticity/*.py", "models/synapses/*.py", "models/short_term.py",
    "models/networks/cuba.py", "models/networks/potjans_diesmann.py",
]  # fmt: skip

NETWORKS, TOGETHER, STEPS = 200, 10, 600

TOLERANCE = 1e-9
"""Of |v_th - v_reset|: how far the potentials of two engines may be apart (class E1)."""

RECEPTORS = {"exp": ExpCurrent, "alpha": AlphaCurrent, "delta": DeltaCurrent}


class Drawn:
    """A random network of what NEST has; everything about it is a function of the seed."""

    def __init__(self, seed: int) -> None:
        self.g, self.arrays, self.seed = random.Random(seed), np.random.default_rng(seed), seed
        self.dt = self.g.choice([0.05, 0.1, 0.1, 0.1, 0.25, 1.0])
        self.threads = self.g.choice([1, 1, 2, 3])
        self.tau_minus: dict[str, float] = {}

    def steps(self, low: int, high: int) -> Any:
        """Return a duration of some steps."""
        return self.g.randint(low, high) * self.dt * ms

    def per_neuron(self, n: int, low: float, high: float, unit: Any) -> Any:
        """Return one value for all, one for each, or a distribution."""
        kind = self.g.randrange(3)
        if kind == 0:
            return self.g.uniform(low, high) * unit
        return self.arrays.uniform(low, high, n) * unit if kind == 1 else ns.uniform(low * unit, high * unit)

    def cell(self, n: int) -> Any:
        """Return an integrate-and-fire cell with one to three receptors of one kind."""
        g, kind = self.g, self.g.choice(list(RECEPTORS))
        tau_m = self.per_neuron(n, 5, 30, ms)
        receptors = {}
        for name in g.sample(["a", "b", "c"], g.randint(1, 3)):
            if kind == "delta":
                receptors[name] = DeltaCurrent
            else:
                same = kind == "alpha" and g.random() < 0.3 and not isinstance(tau_m, type(ns.uniform(1 * ms, 2 * ms)))
                receptors[name] = RECEPTORS[kind](tau=tau_m if same else self.per_neuron(n, 0.5, 8, ms))
        return LIF(tau_m=tau_m, v_rest=self.per_neuron(n, -70, -60, mV), v_th=self.per_neuron(n, -52, -48, mV),
                   v_reset=self.per_neuron(n, -65, -55, mV), receptors=receptors,
                   t_ref=self.steps(0, 40) if g.random() < 0.6 else ns.uniform(0 * ms, 3 * ms))  # fmt: skip

    def stimulate(self, net: Any, pop: Any, cell: Any) -> None:
        """Add a constant current that makes some neurons fire, and what else chance has."""
        g, n = self.g, pop.n
        net.stimulate(pop, DCInput(self.per_neuron(n, 0, 26, mV)))
        for receptor in cell.receptors:
            if g.random() < 0.5:
                rate = g.choice([g.uniform(50, 900) * Hz, self.arrays.choice([100.0, 500.0], n) * Hz,
                                 "600*Hz*(1 + sin(2*pi*30*Hz*t))"])  # fmt: skip
                part = pop if g.random() < 0.7 or n < 2 else pop[: n // 2]
                if part is not pop and isinstance(rate, ns.Quantity) and np.ndim(rate.value):
                    rate = 300 * Hz
                net.stimulate(
                    part, PoissonInput(rate, weight=g.uniform(-2, 4) * mV, receptor=receptor, n=g.randint(1, 5))
                )
        currents: list[Callable[[], Any]] = [
            lambda: SineCurrent(self.per_neuron(n, 0, 8, mV), g.uniform(5, 80) * Hz),
            lambda: ArrayCurrent(self.arrays.normal(0, 4, (g.randint(2, 9), n)) * mV, self.steps(1, 9), repeat=True),
            lambda: ArrayCurrent(self.arrays.normal(0, 4, g.randint(2, 30)) * mV, self.steps(1, 9)),
            lambda: WhiteNoise(0 * mV, g.uniform(1, 20) * mV),
            lambda: DCInput(g.uniform(-5, 9) * mV, start=self.steps(0, 99), stop=self.steps(100, 300)),
        ]
        for make in g.sample(currents, g.choice([0, 0, 1, 2])):
            net.stimulate(pop, make())

    def rule(self, pre: int, post: int) -> Any:
        """Return any rule of ours that fits two sizes."""
        g = self.g
        fits = [
            lambda: ns.FixedProbability(g.uniform(0.05, 0.4)),
            lambda: ns.FixedInDegree(g.randint(1, 12)),
            lambda: ns.FixedOutDegree(g.randint(1, 12)),
            lambda: ns.FixedTotalNumber(g.randint(1, 300)),
            lambda: ns.AllToAll(),
            lambda: ns.EdgeList(self.arrays.integers(0, pre, 20), self.arrays.integers(0, post, 20)),
        ]
        if pre == post:
            fits.append(lambda: ns.OneToOne())
        return g.choice(fits)()

    def learning(self, target: str, w_max: float) -> Any:
        """Return a rule as NEST has it; those onto one target share the time constant that is kept there."""
        g = self.g
        kind, more = g.choice([(PairSTDP, {}), (MultiplicativeSTDP, {}), (GuetigSTDP, {"mu": g.uniform(0.05, 0.95)})])
        tau = self.tau_minus.setdefault(target, g.uniform(3, 60))
        return kind(w_max=w_max * mV, rate=g.uniform(0.01, 0.3), alpha=g.uniform(0.2, 2),
                    tau_plus=g.uniform(3, 60) * ms, tau_minus=tau * ms, delay_type="dendritic",
                    coincidence="apart", delivers="after", **more)  # fmt: skip

    def network(self) -> ns.Network:
        """Return the network, with the spikes of all and the potentials of all cells recorded."""
        g = self.g
        net = ns.Network(f"random {self.seed}", dt=self.dt * ms, seed=self.seed)
        cells = []
        for k in range(g.randint(1, 3)):
            n = g.choice([1, 2, 7, 20, 64, 100])
            cell = self.cell(n)
            pop = net.population(f"p{k}", n, cell, init={"v": ns.uniform(-65 * mV, -45 * mV)})
            cells.append((pop, cell))
            self.stimulate(net, pop, cell)
        sources = [net.population("poisson", g.randint(1, 40), PoissonSource(g.uniform(20, 400) * Hz))]
        times = [np.unique(self.arrays.integers(0, 400, 12)) * self.dt * ms for _ in range(3)]
        sources.append(net.population("given", 3, SpikeSource(times)))
        for _ in range(g.randint(2, 7)):
            pre = g.choice([p for p, _ in cells] + sources)
            post, cell = g.choice(cells)
            low = g.choice([-3.0, 0.0, -1.0])
            weight = g.choice(
                [g.uniform(low, low + 3) * mV, ns.uniform(low * mV, (low + 3) * mV), ns.normal(1 * mV, 2 * mV)]
            )
            delay = g.choice([self.steps(1, 3), self.steps(1, 60), ns.uniform(self.dt * ms, 20 * self.dt * ms)])
            receptor, rule = g.choice(list(cell.receptors)), self.rule(pre.n, post.n)
            learned, more = g.random(), {}
            if learned < 0.25:
                w_max = g.uniform(0.5, 4)
                weight, more = ns.uniform(0 * mV, w_max * mV), {"plasticity": self.learning(post.name, w_max)}
            elif learned < 0.35:
                more = {"short_term": TsodyksMarkram(U=g.uniform(0.1, 0.9), tau_rec=g.uniform(5, 300) * ms)}
            net.connect(pre, post, receptor=receptor, rule=rule, weight=weight, delay=delay, **more)
        for pop in [p for p, _ in cells] + sources:
            net.record(pop, "spikes")
        for pop, _ in cells:
            net.record(pop, "v", every=self.steps(1, 4))
        return net

    def difference(self, steps: int = STEPS) -> tuple[str, int]:
        """Run it on NEST and on the reference; return what differs (nothing: "") and the number of spikes."""
        duration = steps * self.dt * ms
        ours = Drawn(self.seed).network().run(duration, backend="reference")
        nest = Drawn(self.seed).network().run(duration, backend="nest", threads=self.threads)
        for name, spikes in ours.spikes.items():
            if not spikes.identical(nest.spikes[name]):
                return f"network {self.seed}: {first_difference(spikes, nest.spikes[name], name)}", 0
        for name, traces in ours.state.items():
            a, b = traces["v"], nest.state[name]["v"]
            worst = float(np.max(np.abs(a.values - b.values), initial=0.0))
            if not np.array_equal(a.times, b.times) or worst > TOLERANCE * 1e-2:
                return f"network {self.seed}: v of {name} differs by {worst:g} V", 0
        return "", sum(len(s) for s in ours.spikes.values())


def first_difference(a: Any, b: Any, name: str) -> str:
    """Say where two sets of spikes part."""
    ours, theirs = set(zip(a.steps.tolist(), a.ids.tolist(), strict=True)), set(
        zip(b.steps.tolist(), b.ids.tolist(), strict=True)
    )  # fmt: skip
    step, neuron = min(ours ^ theirs)
    where = "ours" if (step, neuron) in ours else "NEST's"
    common = f"{len(ours & theirs)} spikes of {len(ours)} (ours) and {len(theirs)} (NEST) in common"
    return f"{name} has {common}; they part in step {step} with a spike of neuron {neuron} that is only {where}"


def compare(first: int, stop: int) -> dict[str, Any]:
    """Compare the random networks of some seeds."""
    counts: Counter[str] = Counter()
    differences = []
    for seed in range(first, stop):
        found, spikes = Drawn(seed).difference()
        counts.update({"networks": 1, "identical": not found, "silent": not found and not spikes, "spikes": spikes})
        differences += [found] if found else []
    return {"counts": dict(counts), "differences": differences}


def large(build: Callable[[], ns.Network], threads: int) -> dict[str, Any]:
    """Run a published network for a second on NEST and on native."""
    nest, ours = build().run(1 * second, backend="nest", threads=threads), build().run(1 * second)
    rows = {}
    for name, s in ours.spikes.items():
        other = nest.spikes[name]
        same = s.identical(other)
        rows[name] = {"native": len(s), "nest": len(other), "identical": same,
                      "first difference": "" if same else first_difference(s, other, name)}  # fmt: skip
    return {"populations": rows, "synapses": nest.edges, "passed": all(r["identical"] for r in rows.values())}


def aside(what: str, *arguments: Any) -> Any:
    """Call a function of this file in a process of its own, since NEST's memory is not given back."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(globals()[what], *arguments).result()


def _cuba() -> ns.Network:
    return cuba()


def _microcircuit() -> ns.Network:
    return potjans_diesmann(scale=0.1)


def run(log: Any) -> dict[str, Any]:
    """Compare everything."""
    total: Counter[str] = Counter()
    differences: list[str] = []
    for first in range(0, NETWORKS, TOGETHER):
        stop = min(first + TOGETHER, NETWORKS)
        part = log.step(f"networks {first} to {stop - 1}", lambda a=first, b=stop: aside("compare", a, b))
        total.update(part["counts"])
        differences += part["differences"]
        for line in part["differences"]:
            log(line)
    out: dict[str, Any] = {"random": {"counts": dict(sorted(total.items())), "differences": differences}}
    for name, build, threads in (
        ("cuba", _cuba, 1),
        ("cuba, 2 threads", _cuba, 2),
        ("microcircuit 10 %", _microcircuit, 1),
    ):
        out[name] = log.step(name, lambda f=build, t=threads: aside("large", f, t))
        log(f"{name}: {out[name]['populations']}")
    enough = total["silent"] <= NETWORKS // 20
    out["passed"] = (
        not differences and enough and all(v.get("passed", True) for v in out.values() if isinstance(v, dict))
    )
    return out

"""Cases of learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.kit import DT, FLASH, case, clock, network, record, values
from neurosim.lang.components import Cell
from neurosim.lang.plasticity import Plasticity
from neurosim.models import (
    CalciumSTDP,
    GuetigSTDP,
    HeterosynapticSTDP,
    InhibitorySTDP,
    MultiplicativeSTDP,
    NearestSTDP,
    PairSTDP,
    PowerLawSTDP,
    SpikeSource,
    SynapticScaling,
    TripletSTDP,
)
from neurosim.units import Hz, ms, second

COUNT = Plasticity(
    pre="dx/dt = -x/tau",
    post="dy/dt = -y/tau",
    on_pre="w += 1 + 100*y; x += 1",
    on_post="w += 10000*(1 + 100*x); y += 1",
    lower=-1e9,
    upper=1e9,
    tau=1e30 * ms,
    name="Count",
)
"""Adds what can be told apart afterwards: arrivals 1, spikes of the target 10^4, and 100 times what each has seen."""


def _pairs(
    rule: Any, sources: list[list[int]], targets: list[list[int]], delay: Any = DT * ms, weight: Any = 0.5
) -> Any:
    """A network of single pairs: spikes of the k-th source and of the k-th target in given steps."""
    net = network()
    pre = net.population("a", len(sources), SpikeSource([np.array(s) * DT * ms for s in sources]))
    cell = SpikeSource([np.array(s) * DT * ms for s in targets])(receptors={"e": FLASH})
    post = net.population("b", len(targets), cell)
    net.connect(pre, post, rule="one_to_one", weight=weight, delay=delay, plasticity=rule, name="ab")
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


def _weights(r: Any) -> np.ndarray:
    return r.weight_traces["ab"].values


# -- the window ----------------------------------------------------------------------------------------------------

LAGS = (0, 1, 2, 5, 10, 57, 100, 333, 1000)
"""Steps from the arrival to the spike of the target, and back."""

_BOTH = [*LAGS, *(-k for k in LAGS[1:])]
_AT, _DELAY = 1001, 4


def _window(r: Any) -> None:
    rate, alpha, tau_plus, tau_minus = 0.01, 1.05, 16.8, 33.7
    for w, s in zip(_weights(r)[-1], _BOTH, strict=True):
        want = rate * math.exp(-s * DT / tau_plus) if s >= 0 else -alpha * rate * math.exp(s * DT / tau_minus)
        assert abs(w - 0.5 - want) <= 1e-12 * abs(want) + 2e-16, (s, w - 0.5, want)


@case(
    "A pair of an arrival and a spike of the target, s after it, changes the weight by A_plus exp(-s/tau_plus) for "
    "s >= 0 and by -A_minus exp(s/tau_minus) for s < 0; the delay passes before the arrival.",
    2010,
    _window,
)
def learning_window() -> ns.Network:
    rule = PairSTDP(tau_plus=16.8 * ms, tau_minus=33.7 * ms)
    return _pairs(rule, [[_AT - _DELAY] for _ in _BOTH], [[_AT + s] for s in _BOTH], delay=_DELAY * DT * ms)


def _together(r: Any) -> None:
    # the arrival of step 5 sees no spike of the target, which comes after it and sees it
    assert _weights(r)[:, 0].tolist() == [0.0] * 5 + [1 + 10000 * 101.0] * 3


@case(
    "Within a step, arrivals come before the spikes of the targets: an arrival does not see the spike of the target of "
    "the same step, and is seen by it.",
    8,
    _together,
)
def arrivals_before_targets() -> ns.Network:
    return _pairs(COUNT, [[4]], [[5]], weight=0.0)


def _seen(r: Any) -> None:
    # target spikes in step 6: it has seen the spike of step 2 on the edges with a delay of at most 4
    want = [1 + 10000 * 101.0 if d <= 4 else 1 * (2 + d <= 9) + 10000 + 100.0 * (2 + d > 6) for d in (1, 2, 4, 5, 7)]
    assert _weights(r)[-1].tolist() == want


@case("A synapse sees the trace of its source as the spikes arrive there, by the delay of the edge.", 10, _seen)
def traces_arrive() -> ns.Network:
    delays = np.array([1, 2, 4, 5, 7]) * DT * ms
    net = network()
    pre = net.population("a", 5, SpikeSource([[2 * DT] * ms] * 5))
    post = net.population("b", 5, SpikeSource([[6 * DT] * ms] * 5)(receptors={"e": FLASH}))
    rule = ns.EdgeList(np.arange(5), np.arange(5))
    net.connect(pre, post, rule=rule, weight=0.0, delay=delays, plasticity=COUNT, name="ab")
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


def _delivered(r: Any) -> None:
    # arrivals in steps 3, 4 and 7; the target spikes in step 5 (0.25 each time, 0.5 by the target)
    assert values(r, "b", "e.x") == [0, 0, 0, 1.0, 1.25, 0, 0, 2.0, 0]


@case(
    "What is delivered is the weight as the step before has left it; the changes of a step follow its arrivals.",
    9,
    _delivered,
)
def delivery_before_learning() -> ns.Network:
    rule = Plasticity(on_pre="w += 0.25", on_post="w += 0.5", name="Steps")
    return record(_pairs(rule, [[2, 3, 6]], [[5]], weight=1.0), ("b", "e.x"))


def _ordered(r: Any) -> None:
    # second arrival: x is 1 before its jump and 2 after it; the target, twice: y is 0, 1 before and 1, 2 after
    assert _weights(r)[-1].tolist() == [0 + 1 + 10 * (1 + 2) + 100 * (0 + 1) + 1000 * (1 + 2)]


@case(
    "Statements run in order: one that stands before the change of a trace reads it as it was, one after it as it is.",
    9,
    _ordered,
)
def statements_in_order() -> ns.Network:
    rule = Plasticity(
        pre="dx/dt = -x/tau",
        post="dy/dt = -y/tau",
        on_pre="w += x; x += 1; w += 10*x",
        on_post="w += 100*y; y += 1; w += 1000*y",
        lower=-1e9,
        upper=1e9,
        tau=1e30 * ms,
    )
    return _pairs(rule, [[2, 3]], [[5, 6]], weight=0.0)


def _bounded(r: Any) -> None:
    assert _weights(r)[:, 0].tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.25, 0.25, 0.25]


@case("Every change of a weight ends within the bounds of the rule.", 9, _bounded)
def weight_bounds() -> ns.Network:
    return _pairs(Plasticity(on_pre="w += 3", on_post="w -= 3", lower=0.25, upper="top", top=1.0), [[2]], [[6]])


def _rounded(r: Any) -> None:
    w, x = _weights(r)[:, 0], values(r, "b", "e.x")
    grid = 2.0**-39  # 2 is the smallest power above the bound, 1
    third = 1.0 / 3.0
    assert w[3] == third and x[7] == np.rint(third / grid) * grid != third


@case(
    "A weight that changes keeps every bit; each time it is delivered it is rounded to its receptor's grid.",
    9,
    _rounded,
)
def plastic_weight_on_the_grid() -> ns.Network:
    rule = Plasticity(on_pre="w = third", upper=1.0, lower=0.0, third=1.0 / 3.0)
    return record(_pairs(rule, [[2, 6]], [[8]], weight=0.75), ("b", "e.x"))


def _before_reset(r: Any) -> None:
    # the target counts 1, 2, 3 and is reset in step 2, 5, ...; an arrival in step 4 finds 2
    assert _weights(r)[-1].tolist() == [3.0 * 2 + 100 * 2.0]


@case(
    "A rule reads a state variable of the target as the step has left it, before the reset; of the source likewise, as "
    "of the step of the spike.",
    6,
    _before_reset,
)
def rules_read_cells() -> ns.Network:
    net = network()
    pre = net.population("a", 1, clock(3))
    counting = Cell("v[n+1] = v + 1", threshold="v >= 3", reset="v = 0", receptors={"e": FLASH})
    post = net.population("b", 1, counting)
    rule = Plasticity(on_pre="w += 100*v_post", on_post="w += v_post", lower=0, upper=1e9)
    net.connect(pre, post, weight=0.0, plasticity=rule, name="ab")
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


def _exact(r: Any) -> None:
    spikes = (2, 5, 40)
    for n, (x, y) in enumerate(zip(values(r, "a", "ab.x"), values(r, "b", "ab.y"), strict=True)):
        want = sum(math.exp(-(n - s) * DT / 3.0) for s in spikes if s <= n)
        assert abs(x - want) <= 1e-13 * want
        assert abs(y - want) <= 1e-13 * want


@case(
    "Traces of learning rules are variables of the populations at both ends; they decay exactly, whatever the scheme "
    "of the cell, and go on while it is refractory.",
    60,
    _exact,
)
def traces_are_exact() -> ns.Network:
    net = network()
    cell = Cell(
        "k[n+1] = k + 1\ndv/dt = -v*v/tau",
        threshold="k == 3 or k == 6 or k == 41",
        method="rk2",
        receptors={"e": FLASH},
        tau=5 * ms,
    )
    a = net.population("a", 1, cell)
    resting = Cell(
        "k[n+1] = k + 1\ndv/dt = -v/tau",
        threshold="k == 3 or k == 6 or k == 41",
        refractory=2 * DT * ms,
        clamp="v",
        receptors={"e": FLASH},
        tau=5 * ms,
    )
    b = net.population("b", 1, resting, init={"v": 1.0})
    rule = Plasticity(
        pre="dx/dt = -x/tau",
        post="dy/dt = -y/tau",
        on_pre="w += 0*x; x += 1",
        on_post="w += y; y += 1",
        lower=0,
        upper=1e9,
        tau=3 * ms,
    )
    net.connect(a, b, weight=0.0, plasticity=rule, name="ab")
    return record(net, ("a", "ab.x"), ("b", "ab.y"))


TAU_C = 7.0

TAGGED = Plasticity(
    pre="dx/dt = -x/tau",
    post="dy/dt = -y/tau",
    edge="dc/dt = -c/tau_c; dk/dt = 0",
    on_pre="c += 1; k += 1; w += c; x += 1",
    on_post="k = 3*k; w += k; y += 1",
    lower=-1e9,
    upper=1e9,
    tau=20 * ms,
    tau_c=TAU_C * ms,
    name="Tagged",
)


def _kept(r: Any) -> None:
    steps = np.arange(1, 301)
    arrivals, targets = np.array([31, 32, 140]), [100]
    tag = np.sum([np.where(steps - 1 >= a, np.exp(-(steps - 1 - a) * DT / TAU_C), 0.0) for a in arrivals], axis=0)
    assert np.allclose(r.weight_traces["ab.c"].values[:, 0], tag, rtol=1e-13, atol=0)
    count = (steps > 31) * 1.0 + (steps > 32) + (steps > 100) * 4 + (steps > 140)
    assert r.weight_traces["ab.k"].values[:, 0].tolist() == count.tolist()
    # an arrival reads the tag with what it has just added, a spike of the target its own change of k
    last = 1 + 1 + math.exp(-DT / TAU_C) + tag[140] + 6.0 * len(targets)
    assert abs(_weights(r)[-1, 0] - last) < 1e-13 * last


@case(
    "A variable of the synapse starts at 0 and decays by exp(-s/tau) over a time s, or not at all; it is computed when "
    "a statement or a probe reads it, and changes by the statements of its synapse only.",
    300,
    _kept,
)
def synapses_have_variables() -> ns.Network:
    net = _pairs(TAGGED, [[30, 31, 139]], [[100]], weight=0.0)
    for variable in ("c", "k"):
        net.record(net.projections["ab"], variable, every=DT * ms)
    return net


def _swept(r: Any) -> None:
    # the arrival of step 9 and the spike of the target in step 19 count in these steps
    steps = [9] * 10 + [19] * 10 + [29] * 10
    added = {9: 1 + 10000.0, 19: 1 + 100 + 20000.0, 29: 1 + 100 + 20000.0}
    want = np.cumsum([added[n] if k == n else 0.0 for k, n in enumerate(steps)])
    assert _weights(r)[:, 0].tolist() == want.tolist()


@case(
    "Statements of an interval run in every step n with n + 1 a multiple of it, at every synapse, after the changes by "
    "arrivals and by spikes of targets; they read the traces with the jumps of the step.",
    30,
    _swept,
)
def intervals_come_last() -> ns.Network:
    rule = Plasticity(
        pre="dx/dt = 0",
        post="dy/dt = 0",
        edge="dm/dt = 0",
        on_pre="x += 1; m += 1",
        on_post="y += 1; m += 1",
        on_every="w += x + 100*y + 10000*m",
        every=10 * DT * ms,
        lower=-1e9,
        upper=1e9,
        name="Swept",
    )
    return _pairs(rule, [[8]], [[19]], weight=0.0)


# -- the library ---------------------------------------------------------------------------------------------------

_STEPS, _PAIRS = 1500, 40


def _trains(seed: int) -> list[list[int]]:
    g = np.random.default_rng(seed)
    return [np.unique(g.integers(0, _STEPS, g.integers(1, 40))).tolist() for _ in range(_PAIRS)]


def _follow(rule: Callable[[], oracles.Learner], delay: int) -> list[float]:
    return [oracles.learn(rule, a, b, delay, 0.5, _STEPS, DT) for a, b in zip(_trains(5), _trains(6), strict=True)]


def _against(rule: Callable[[], oracles.Learner]) -> Any:
    def check(r: Any) -> None:
        assert np.allclose(_weights(r)[-1], _follow(rule, 7), rtol=1e-12, atol=1e-14)
        assert np.std(_weights(r)[-1]) > 1e-3

    return check


def _trained(rule: Any) -> ns.Network:
    return _pairs(rule, _trains(5), _trains(6), delay=7 * DT * ms)


def _library(text: str, rule: Callable[[], oracles.Learner]) -> Any:
    return case(f"{text}, against a loop over the spikes of single pairs.", _STEPS, _against(rule), subject="library")


@_library("PairSTDP: additive, all pairs", oracles.pair(lambda w: 0.05, lambda w: 0.06))
def pair_stdp() -> ns.Network:
    return _trained(PairSTDP(rate=0.05, alpha=1.2))


@_library("CalciumSTDP: the weight relaxes while calcium is above its thresholds", oracles.calcium())
def calcium_stdp() -> ns.Network:
    return _trained(CalciumSTDP(tau=15 * second))


@_library("HeterosynapticSTDP: triplets, pairs, bursts of the target, every arrival", oracles.heterosynaptic())
def heterosynaptic_stdp() -> ns.Network:
    return _trained(HeterosynapticSTDP(a=0.05, b=0.03, delta=0.002))


def _scaled(r: Any) -> None:
    # the target spikes in steps 3 and 15; the ends of the intervals are steps 9, 19 and 29
    w, rate = 0.5, 0.0
    for end, spikes in ((9, [3]), (19, [3, 15]), (29, [3, 15])):
        rate = math.fsum(math.exp(-(end - s) * DT / 50.0) / 0.05 for s in spikes)
        w += 20.0 * 1e-3 * w * (1 - rate / 30.0)
        assert abs(_weights(r)[end, 0] - w) <= 1e-13
    assert np.unique(_weights(r)[:, 0]).size == 4


@case(
    "SynapticScaling: at the end of every interval a weight changes in proportion to itself, by how far the target's "
    "rate is from rho.",
    30,
    _scaled,
    subject="library",
)
def synaptic_scaling() -> ns.Network:
    rule = SynapticScaling(tau=50 * ms, rho=30 * Hz, rate=20 * Hz, interval=1 * ms)
    return _pairs(rule, [[2]], [[3, 15]])


@_library("NearestSTDP: additive, the nearest pairs", oracles.pair(lambda w: 0.05, lambda w: 0.06, nearest=True))
def nearest_stdp() -> ns.Network:
    return _trained(NearestSTDP(rate=0.05, alpha=1.2))


@_library(
    "MultiplicativeSTDP: potentiation by w_max - w, depression by w",
    oracles.pair(lambda w: 0.05 * (1 - w), lambda w: 0.06 * w),
)
def multiplicative_stdp() -> ns.Network:
    return _trained(MultiplicativeSTDP(rate=0.05, alpha=1.2))


@_library(
    "GuetigSTDP: powers of the weight between additive and multiplicative",
    oracles.pair(lambda w: 0.05 * (1 - w) ** 0.3, lambda w: 0.06 * w**0.3),
)
def guetig_stdp() -> ns.Network:
    return _trained(GuetigSTDP(rate=0.05, alpha=1.2, mu=0.3))


@_library(
    "PowerLawSTDP: potentiation by a power of the weight",
    oracles.pair(lambda w: 0.05 * 0.4 * (w / 0.4) ** 0.4, lambda w: 0.06 * w, top=math.inf),
)
def power_law_stdp() -> ns.Network:
    return _trained(PowerLawSTDP(rate=0.05, alpha=1.2, w_0=0.4))


@_library("TripletSTDP: pairs and triplets", oracles.triplet())
def triplet_stdp() -> ns.Network:
    return _trained(TripletSTDP)


@_library("InhibitorySTDP: near-coincidence strengthens, each arrival weakens", oracles.balancing(0.02, 20.0, 0.01))
def inhibitory_stdp() -> ns.Network:
    return _trained(InhibitorySTDP(rate=0.02, rho=10 * Hz))

"""Learning in NEST: rules recognised by their polynomials, the same spikes and weights, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.backends.nest_backend.learning import Learner, recognise_rule
from neurosim.compile import compile_network
from neurosim.errors import UnsupportedError
from neurosim.models import (
    LIF,
    DCInput,
    ExpCurrent,
    GuetigSTDP,
    MultiplicativeSTDP,
    NearestSTDP,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    SpikeSource,
    TripletSTDP,
    TsodyksMarkram,
)
from neurosim.units import Hz, ms, mV

pytestmark = pytest.mark.engine("nest")

NEST = {"delay_type": "dendritic", "coincidence": "apart", "delivers": "after"}
RULES = {
    "additive": PairSTDP(w_max=1 * mV, rate=0.1, tau_plus=17 * ms, tau_minus=33 * ms, **NEST),
    "multiplicative": MultiplicativeSTDP(w_max=1 * mV, rate=0.1, alpha=0.8, **NEST),
    "guetig": GuetigSTDP(w_max=1 * mV, rate=0.1, mu=0.4, **NEST),
}


def recurrent(rule: Any, delay: Any, seed: int = 3, **cell: Any) -> ns.Network:
    """Cells that excite each other and are excited by sources, all of it plastic."""
    net = ns.Network("learning", dt=0.1 * ms, seed=seed)
    pop = net.population("a", 120, LIF(receptors={"e": ExpCurrent}, t_ref=2 * ms, **cell))
    source = net.population("s", 30, PoissonSource(40 * Hz))
    net.stimulate(pop, DCInput(19 * mV))
    net.stimulate(pop, PoissonInput(300 * Hz, weight=2 * mV, receptor="e", n=2))
    for pre in (pop, source):
        weight = ns.uniform(0 * mV, 1 * mV)
        net.connect(pre, pop, weight=weight, delay=delay, rule=ns.FixedProbability(0.15), plasticity=rule)
    net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("delay", [0.1 * ms, 1.5 * ms, ns.uniform(0.1 * ms, 3 * ms)], ids=["shortest", "one", "drawn"])
def test_the_same_spikes_as_native(rule: str, delay: Any):
    ours = recurrent(RULES[rule], delay).run(250 * ms)
    nest = recurrent(RULES[rule], delay).run(250 * ms, backend="nest")
    assert ours.spikes["a"].count > 800
    assert ours.spikes["a"].identical(nest.spikes["a"])


def test_weights_of_cells_that_differ_and_threads():
    """C_m, which makes NEST's units fit, differs from cell to cell, and the greatest weight with it."""
    taus = np.linspace(11, 31, 120) * ms
    runs = [recurrent(RULES["additive"], 1 * ms, tau_m=taus).run(200 * ms, **how)
            for how in ({}, {"backend": "nest"}, {"backend": "nest", "threads": 2})]  # fmt: skip
    assert runs[0].spikes["a"].count > 800
    assert all(runs[0].spikes["a"].identical(r.spikes["a"]) for r in runs[1:])


@pytest.mark.parametrize("rule", RULES)
def test_the_same_weights(rule: str):
    """NEST's weights are as of the last spike of the source: here one of all sources, after which nothing happens."""

    def network() -> ns.Network:
        net = ns.Network("weights", dt=0.1 * ms, seed=5)
        g = np.random.default_rng(1)
        trains = [np.unique([*g.integers(0, 2000, 20), 2700]) * 0.1 * ms for _ in range(40)]
        source = net.population("s", 40, SpikeSource(trains))
        pop = net.population("a", 25, LIF(tau_m=ns.uniform(10 * ms, 30 * ms), receptors={"e": ExpCurrent}))
        net.stimulate(pop, DCInput(ns.uniform(17 * mV, 24 * mV), stop=230 * ms))
        net.connect(source, pop, weight=ns.uniform(0 * mV, 1 * mV), delay=ns.uniform(0.1 * ms, 4 * ms),
                    rule=ns.FixedProbability(0.5), plasticity=RULES[rule], name="sa")  # fmt: skip
        net.record(pop, "spikes")
        return net

    ours, nest = network().run(300 * ms), network().run(300 * ms, backend="nest")
    assert ours.spikes["a"].count > 100 and ours.spikes["a"].steps.max() < 2700
    assert ours.spikes["a"].identical(nest.spikes["a"])
    changed = np.abs(ours.weights("sa") - network().edges("sa").weight)
    assert np.mean(changed > 1e-5) > 0.9
    np.testing.assert_allclose(nest.weights("sa"), ours.weights("sa"), rtol=0, atol=1e-15)


def test_a_rule_is_told_by_its_mathematics():
    """Other names, other brackets, jumps of 2, a constant left out: the same synapse."""
    mine = ns.Plasticity(
        pre="dfast/dt = -fast/(10*ms)",
        post="dslow/dt = -k*slow",
        on_pre="w = w - slow*w*0.03; fast = 2 + fast",
        on_post="w = w + 0.1*fast*(1*mV - w)/2; slow += 1",
        lower=0,
        upper="1*mV",
        k=25 * Hz,
        **NEST,
    )
    graph = compile_network(recurrent(mine, 1 * ms))
    found = recognise_rule(graph, graph.projections[0])
    assert isinstance(found, Learner)
    want = {"lambda": 0.1, "alpha": 0.3, "mu_plus": 1.0, "mu_minus": 1.0, "tau_plus": 10.0}
    assert found.params == pytest.approx(want) and found.tau_minus == pytest.approx(40.0)
    assert found.w_max == pytest.approx(1e-3)


def _pairs(by_spike: str, by_arrival: str) -> ns.Plasticity:
    return ns.Plasticity(pre="dx/dt = -x/tau", post="dy/dt = -y/tau", on_pre=f"{by_arrival}; x += 1",
                         on_post=f"{by_spike}; y += 1", tau=5 * ms, lower=0, upper="1*mV", **NEST)  # fmt: skip


USUAL = PairSTDP(w_max=1 * mV, rate=0.1)
NOT_NESTS = {
    "axonal": (USUAL, "its delay is axonal; NEST's are dendritic"),
    "before": (USUAL(delay_type="dendritic", coincidence="apart"), "it delivers the weight before the change"),
    "coincident": (USUAL(delay_type="dendritic", delivers="after"), "it pairs a spike of the target with an"),
    "nearest": (NearestSTDP(w_max=1 * mV, **NEST), "its traces do not decay exponentially from 0, or do not grow"),
    "triplet": (TripletSTDP(w_1=1 * mV, w_max=1 * mV, **NEST), "its changes are not lambda"),
    "intervals": (
        ns.Plasticity(pre="dx/dt = -x/tau", on_pre="x += 1", on_every="w += 0.1*mV*x", every=1 * ms, tau=5 * ms,
                      lower=0, upper="1*mV", **NEST),
        "it has statements of an interval",
    ),
    "unbounded": (
        ns.Plasticity(pre="dx/dt = -x/tau", post="dy/dt = -y/tau", on_pre="w -= 0.1*mV*y; x += 1",
                      on_post="w += 0.1*mV*x; y += 1", tau=5 * ms, lower=0, **NEST),
        "its weights have no bounds of 0 and a number above",
    ),
    "a bound within": (_pairs("w = min(w + 0.1*mV*x, 0.5*mV)", "w -= 0.1*mV*y"), "has a bound of its own within a st"),
    "another bound": (_pairs("w += 0.1*mV*x", "w = max(w - 0.1*mV*y, 0.3*mV)"), "has a bound of its own within a st"),
    "cells": (_pairs("w += 0.1*mV*x", "w -= 0.01*v_post"), "it reads 'v_post', a variable of a cell"),
    "no potentiation": (_pairs("w += 0*mV*x", "w -= 0.1*mV*y"), "it has no potentiation"),
    "synapse": (
        ns.Plasticity(pre="dx/dt = -x/tau", post="dy/dt = -y/tau", edge="dc/dt = 0", on_pre="w -= c*mV*y; x += 1",
                      on_post="c += 1; w += 0.1*mV*x; y += 1", tau=5 * ms, lower=0, upper="1*mV", **NEST),
        "has a variable of the synapse, 'c'",
    ),
    "other weights": (
        ns.Plasticity(pre="dx/dt = -x/tau", post="dy/dt = -y/tau", on_pre="w -= 0.1*y*(1*mV - w); x += 1",
                      on_post="w += 0.1*mV*x; y += 1", tau=5 * ms, lower=0, upper="1*mV", **NEST),
        "its changes are not lambda",
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", NOT_NESTS)
def test_what_is_another_rule_is_refused_with_the_reason(which: str):
    rule, reason = NOT_NESTS[which]
    with pytest.raises(UnsupportedError, match=f"no synapse of NEST's like that of projection 'a_a_e'.*{reason}"):
        recurrent(rule, 1 * ms).run(5 * ms, backend="nest")


def _refused(change: Any) -> str:
    net = ns.Network("refused", dt=0.1 * ms)
    pop = net.population("a", 5, LIF(receptors={"e": ExpCurrent}))
    change(net, pop)
    with pytest.raises(UnsupportedError) as e:
        net.run(5 * ms, backend="nest")
    return str(e.value)


def test_two_time_constants_at_one_target_are_refused():
    def two(net: ns.Network, pop: Any) -> None:
        for tau in (20, 30):
            net.connect(pop, pop, weight=0.1 * mV, plasticity=RULES["additive"](tau_minus=tau * ms), name=f"t{tau}")

    assert "no second tau_minus of population 'a': NEST keeps the trace of a target once" in _refused(two)


def test_weights_outside_the_bounds_at_the_start_are_refused():
    def outside(net: ns.Network, pop: Any) -> None:
        net.connect(pop, pop, weight=ns.uniform(0 * mV, 2 * mV), plasticity=RULES["additive"], name="wide")

    assert "a weight of projection 'wide' starts at 0.00" in _refused(outside)


def test_recorded_weights_and_short_term_plasticity_besides_are_refused():
    def recorded(net: ns.Network, pop: Any) -> None:
        net.connect(pop, pop, weight=0.1 * mV, plasticity=RULES["additive"], name="aa")
        net.record(net.projections["aa"], "weight", every=1 * ms)

    def both(net: ns.Network, pop: Any) -> None:
        net.connect(pop, pop, weight=0.1 * mV, plasticity=RULES["additive"], short_term=TsodyksMarkram(), name="aa")

    assert "no recording of weight of projection 'aa' (NEST changes a weight when a spike arrives" in _refused(recorded)
    assert "it has short-term plasticity besides" in _refused(both)


def test_recorded_traces_of_sources_are_refused():
    net = recurrent(RULES["additive"], 1 * ms)
    net.record(net["s"], "s_a_e.x")
    with pytest.raises(
        UnsupportedError, match="recording of s_a_e.x of population 's' .in NEST it plays spikes, and k"
    ):
        net.run(5 * ms, backend="nest")


@pytest.mark.parametrize("start", [0.0, 0.3])
def test_weights_start_at_either_bound_at_a_receptor_of_its_own_sign(start: float):
    """0 is of no sign, and what is rounded to the receptor's grid may lie above the bound."""

    def network(gain: str) -> ns.Network:
        falls = ns.Receptor("dg/dt = -g/tau", event=f"g += {gain}", output=f"{gain[0] if gain[0] == '-' else ''}g",
                            tau=15 * ms, name="Falls")  # fmt: skip
        net = ns.Network("start", dt=0.1 * ms, seed=4)
        source = net.population("s", 40, PoissonSource(50 * Hz))
        cell = LIF(receptors={"fast": ExpCurrent(tau=2 * ms), "slow": falls})
        pop = net.population("a", 20, cell)
        net.stimulate(pop, DCInput(17 * mV))
        net.connect(source, pop, receptor="fast", weight=1 * mV)
        net.connect(source, pop, receptor="slow", weight=start * mV, delay=1 * ms, name="sa",
                    plasticity=PairSTDP(w_max=0.3 * mV, rate=0.1, **NEST))  # fmt: skip
        net.record(pop, "spikes")
        return net

    for gain in ("w", "-w"):
        ours, nest = network(gain).run(200 * ms), network(gain).run(200 * ms, backend="nest")
        assert ours.spikes["a"].count > 50 and ours.spikes["a"].identical(nest.spikes["a"])
        assert np.ptp(nest.weights("sa")) > 1e-5 and np.all(np.isfinite(nest.weights("sa")))


def test_trials_run_in_nest_one_after_another():
    """NEST holds one network, and does not survive being called from another thread."""
    nest = recurrent(RULES["additive"], 1 * ms).run_trials(20 * ms, 3, backend="nest")
    ours = recurrent(RULES["additive"], 1 * ms).run_trials(20 * ms, 3)
    pairs = list(zip(ours, nest, strict=True))
    assert len(pairs) == 3 and all(a.spikes["a"].identical(b.spikes["a"]) for a, b in pairs)

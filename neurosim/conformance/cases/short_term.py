"""Cases of short-term plasticity: what a spike carries, when it was released, how it adds up; the library's models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.kit import DT, case, listener, network, record, values
from neurosim.lang.plasticity import Plasticity
from neurosim.lang.short_term import ShortTerm
from neurosim.models import Depression, SpikeSource, TsodyksMarkram, TsodyksUzielMarkram
from neurosim.units import ms

COUNT = ShortTerm("dk/dt = 0", on_spike="k += 1; release = k", name="Count")
"""The first spike carries 1, the second 2."""


def _line(model: ShortTerm, steps: Sequence[int], delays: Sequence[int] = (1,), weight: Any = 1.0) -> ns.Network:
    """A source that spikes in the given steps, and a listener for each delay."""
    net = network()
    source = net.population("a", 1, SpikeSource([np.array(steps) * DT * ms]))
    post = net.population("b", len(delays), listener())
    net.connect(source, post, weight=weight, delay=np.array(delays) * DT * ms, short_term=model, name="ab",
                rule=ns.EdgeList(np.zeros(len(delays), int), np.arange(len(delays))))  # fmt: skip
    return record(net, ("b", "e.x"))


def _left(r: Any) -> None:
    # spikes of steps 2, 3 and 7
    assert values(r, "b", "e.x", 0) == [0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0]
    assert values(r, "b", "e.x", 1) == [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]


@case(
    "A spike delivers the weight times what was released when it left, whatever the source has done since.", 12, _left
)
def release_leaves_with_the_spike() -> ns.Network:
    return _line(COUNT, (2, 3, 7), (1, 4))


def _ordered(r: Any) -> None:
    # a falls to half in a step: to 1 in step 2, and again, from 8, in step 5
    assert np.allclose(r.state["a"]["ab.stp.a"].of(0), [4, 2, 8, 4, 2, 8, 4], rtol=1e-15, atol=0)
    assert np.allclose(values(r, "b", "e.x"), [0, 0, 0, 11, 0, 0, 11], rtol=0, atol=1e-10)


@case(
    "Its variables change between spikes by their equations, solved exactly, the step of the spike included; then the "
    "statements run in order, each reading what those before it have written.",
    7,
    _ordered,
)
def short_term_statements_in_order() -> ns.Network:
    model = ShortTerm("da/dt = -a/tau", on_spike="release = 10 + a; a += 7", init={"a": 8.0},
                      tau=DT / np.log(2.0) * ms)  # fmt: skip
    return record(_line(model, (2, 5)), ("a", "ab.stp.a"))


def _rounded(r: Any) -> None:
    third = np.rint(2.0**39 / 3.0) * 2.0**-39
    assert values(r, "b", "e.x") == [0, 0, 0, third, 0] and third != 1.0 / 3.0
    weight = np.rint(0.7 * 2.0**40) * 2.0**-40
    assert values(r, "d", "e.x") == [0, 0, 0, 9.0 * weight, 0]
    assert 9.0 * weight != np.rint(9.0 * 0.7 * 2.0**40) * 2.0**-40


@case(
    "What is delivered lies on the grid of the receptor: weights are rounded to it, and then their products.",
    5,
    _rounded,
)
def release_on_the_grid() -> ns.Network:
    net = _line(ShortTerm("", on_spike="release = 1/c", c=3.0), (2,))
    post = net.population("d", 1, listener())
    net.connect(net["a"], post, weight=0.7, delay=DT * ms, short_term=ShortTerm("", on_spike="release = 9"))
    return record(net, ("d", "e.x"))


def _learned(r: Any) -> None:
    # the weight is 1, 1.5 and 2 when the three spikes arrive, which carry 1, 2 and 3
    assert values(r, "b", "e.x") == [0, 0, 0, 1, 0, 3, 0, 6]
    assert r.weight_traces["ab"].values[-1].tolist() == [2.5]


@case("With a learning rule, a spike delivers the weight of now times what it carries.", 8, _learned)
def release_and_learning() -> ns.Network:
    net = network()
    source = net.population("a", 1, SpikeSource([np.array([2, 4, 6]) * DT * ms]))
    post = net.population("b", 1, listener())
    rule = Plasticity(on_pre="w += 0.5", lower=0, upper=8)
    net.connect(source, post, weight=1.0, delay=DT * ms, plasticity=rule, short_term=COUNT, name="ab")
    net.record(net.projections["ab"], "weight")
    return record(net, ("b", "e.x"))


# -- the library ---------------------------------------------------------------------------------------------------

SPIKES = (3, 40, 41, 42, 90, 200, 205, 210, 600, 980)
"""Steps: a first spike after a rest, a burst, a regular part, pauses."""

U, REC, FACIL, PSC = 0.3, 20.0, 30.0, 3.0


def _carried(want: Callable[[], list[float]]) -> Callable[[Any], None]:
    def check(r: Any) -> None:
        got = r.state["b"]["e.x"].of(0)[np.array(SPIKES) + 1]
        assert np.allclose(got, want(), rtol=1e-11, atol=1e-12), (got, want())
        assert np.count_nonzero(r.state["b"]["e.x"].of(0)) == len(SPIKES)

    return check


TIMES = [n * DT for n in SPIKES]


@case(
    "TsodyksMarkram: a spike raises u by U (1 - u), releases u x, and takes it from x; u decays, x recovers.",
    1000,
    _carried(lambda: oracles.facilitation(TIMES, U, REC, FACIL)),
    subject="library",
)
def tsodyks_markram_release() -> ns.Network:
    return _line(TsodyksMarkram(U=U, tau_rec=REC * ms, tau_facil=FACIL * ms), SPIKES)


@case(
    "Depression: a spike releases U x and takes it from x, which recovers.",
    1000,
    _carried(lambda: oracles.facilitation(TIMES, U, REC, 0.0)),
    subject="library",
)
def depression_release() -> ns.Network:
    return _line(Depression(U=U, tau_rec=REC * ms), SPIKES)


@case(
    "TsodyksUzielMarkram: what is released is active, then inactive, before it is available again.",
    1000,
    _carried(lambda: oracles.inactivation(TIMES, U, REC, FACIL, PSC)),
    subject="library",
)
def tsodyks_uziel_markram_release() -> ns.Network:
    model = TsodyksUzielMarkram(U=U, tau_rec=REC * ms, tau_facil=FACIL * ms, tau_psc=PSC * ms)
    return _line(model, SPIKES)

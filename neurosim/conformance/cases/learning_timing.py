"""Cases of when a synapse sees and does what: dendritic delays, events that coincide, the weight that is delivered."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.cases.learning import COUNT
from neurosim.conformance.kit import DT, FLASH, case, clock, network, record, values
from neurosim.models import SpikeSource
from neurosim.units import ms


def _source(*trains: list[int]) -> Any:
    return SpikeSource([np.array(steps) * DT * ms for steps in trains])


def _weights(r: Any, name: str = "ab") -> list[float]:
    return r.weight_traces[name].values[:, 0].tolist()


# -- where the delay sits ------------------------------------------------------------------------------------------


def _behind(r: Any) -> None:
    # the source's spikes are at the synapse at once, in 4 and 12, those of the target 2 steps later, in 5 and 8; all is
    # told when the source's spikes arrive at the target, 2 steps after that
    want = [0] * 6 + [1] + [1010001] * 3 + [2020001] * 4 + [2020202] * 2
    assert _weights(r) == want


@case(
    "With a dendritic delay, the spikes of the source are at the synapse at once and those of the target a delay "
    "later; the weight is told a delay after that.",
    16,
    _behind,
)
def dendritic_delay() -> ns.Network:
    net = network()
    pre, post = (
        net.population("a", 1, _source([4, 12])),
        net.population("b", 1, _source([3, 6])(receptors={"e": FLASH})),
    )
    net.connect(pre, post, weight=0.0, delay=2 * DT * ms, plasticity=COUNT(delay_type="dendritic"), name="ab")
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


_DELAYS = (1, 2, 4, 5, 7)


def _by_edge(r: Any) -> None:
    # all sources in step 2, all targets in step 6: seen by what is told 2 and 6 + 2 d steps later
    want = [1 * (2 + d <= 15) + 1010000 * (6 + 2 * d <= 15) for d in _DELAYS]
    assert r.weight_traces["ab"].values[-1].tolist() == want


@case("Each edge sees its target by its own dendritic delay.", 16, _by_edge)
def targets_seen_late() -> ns.Network:
    net = network()
    pre = net.population("a", 5, _source(*[[2]] * 5))
    post = net.population("b", 5, _source(*[[6]] * 5)(receptors={"e": FLASH}))
    each = ns.EdgeList(np.arange(5), np.arange(5))
    net.connect(pre, post, rule=each, weight=0.0, delay=np.array(_DELAYS) * DT * ms, name="ab",
                plasticity=COUNT(delay_type="dendritic"))  # fmt: skip
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


def _cells(r: Any) -> None:
    # k is n + 1 after step n; what arrives in step n has seen it in step n - 6
    assert _weights(r)[4:] == [0, 0, 0, 2, 2, 2, 2, 2 + 6]


@case("Of a target behind a dendritic delay, a rule reads the cell's variables as they were, too.", 12, _cells)
def cells_seen_late() -> ns.Network:
    net = network()
    rule = ns.Plasticity(on_pre="w += k_post", lower=0, upper=64, delay_type="dendritic", name="Reads")
    pre, post = net.population("a", 1, _source([0, 4, 8])), net.population("b", 1, clock(9, receptors={"e": FLASH}))
    net.connect(pre, post, weight=0.0, delay=3 * DT * ms, plasticity=rule, name="ab")
    net.record(net.projections["ab"], "weight", every=DT * ms)
    return net


# -- what coincides ------------------------------------------------------------------------------------------------


def _coincide(r: Any) -> None:
    # an arrival adds 1 and 100 for each spike of the target that it sees, a spike of the target 10^4 and 10^6
    last = [_weights(r, name)[-1] for name in ("arrival_first", "spike_first", "apart")]
    assert last == [1 + 1010000, 10000 + 101, 10000 + 1]


@case(
    "A rule says what an arrival and a spike of the target in the same step see of each other: the spike sees the "
    "arrival, the arrival the spike, or neither the other.",
    8,
    _coincide,
)
def coincident_events() -> ns.Network:
    net = network()
    pre, post = net.population("a", 1, _source([4])), net.population("b", 1, _source([5])(receptors={"e": FLASH}))
    for name in ("arrival_first", "spike_first", "apart"):
        net.connect(pre, post, weight=0.0, delay=DT * ms, plasticity=COUNT(coincidence=name), name=name)
        net.record(net.projections[name], "weight", every=DT * ms)
    return net


def _order(r: Any) -> None:
    # halves by the target, one more by the arrival, of a weight of 1, in step 5 (with the delay, 6 and 7)
    assert [_weights(r, name)[-1] for name in ("arrival_first", "spike_first", "apart")] == [1.0, 1.5, 1.5]


@case(
    "Where the spike of the target comes first, or both are apart, its change of the weight comes before that by the "
    "arrival.",
    9,
    _order,
)
def order_of_changes() -> ns.Network:
    net = network()
    pre, post = net.population("a", 1, _source([5])), net.population("b", 1, _source([4])(receptors={"e": FLASH}))
    rule = ns.Plasticity(on_pre="w += 1", on_post="w = w/2", lower=0, upper=8, delay_type="dendritic", name="Halves")
    for name in ("arrival_first", "spike_first", "apart"):
        net.connect(pre, post, weight=1.0, delay=DT * ms, plasticity=rule(coincidence=name), name=name)
        net.record(net.projections[name], "weight", every=DT * ms)
    return net


# -- which weight is delivered -------------------------------------------------------------------------------------


def _after(r: Any) -> None:
    # arrivals in steps 3, 4 and 7, each 0.25 more; the spike of the target in step 4 adds 0.5 in step 6
    assert values(r, "b", "e.x") == [0, 0, 0, 1.25, 1.5, 0, 0, 2.25, 0]


@case("A rule may deliver the weight after the change by the arriving spike.", 9, _after)
def delivery_after_learning() -> ns.Network:
    net = network()
    rule = ns.Plasticity(on_pre="w += 0.25", on_post="w += 0.5", lower=0, upper=8, delay_type="dendritic",
                         delivers="after", name="Steps")  # fmt: skip
    pre, post = net.population("a", 1, _source([2, 3, 6])), net.population("b", 1, _source([4])(receptors={"e": FLASH}))
    net.connect(pre, post, weight=1.0, delay=DT * ms, plasticity=rule, name="ab")
    return record(net, ("b", "e.x"))

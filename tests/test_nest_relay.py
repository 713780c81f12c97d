"""The backend ``nest``: relays, which NEST's parrot is where every spike that arrives makes one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nest_kit import agree, alone, both, compiled

import neurosim as ns
from neurosim.backends.nest_backend.recognise import recognise
from neurosim.errors import UnsupportedError
from neurosim.lang.components import Cell, Receptor
from neurosim.models import (
    LIF,
    ExpCurrent,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    PulseCurrent,
    Relay,
    SpikeSource,
    TsodyksMarkram,
)
from neurosim.registry import load_backend
from neurosim.units import Hz, ms, mV

pytestmark = pytest.mark.engine("nest")

RULE = PairSTDP(w_max=2 * mV, rate=0.1, delay_type="dendritic", coincidence="apart", delivers="after")
NEAR = "cell of NEST's like that of population 'p' (nearest: parrot_neuron): "


def fed(cell: Any, **connection: Any) -> ns.Network:
    """Five neurons of a cell, each with one connection from a neuron that fires in many steps, also one by one."""
    net = ns.Network("fed", dt=0.1 * ms, seed=2)
    source = net.population("source", 5, PoissonSource(4000 * Hz))
    pop = net.population("p", 5, cell)
    net.connect(source, pop, **{"rule": ns.OneToOne(), "weight": 1.0, "delay": 0.3 * ms, **connection}, name="only")
    net.record(source, "spikes")
    net.record(pop, "spikes")
    return net


def refusal(net: ns.Network) -> list[str]:
    """Return what the backend refuses of a network."""
    return [text for text, _ in load_backend("nest").unsupported(compiled(net))]


# -- what is recognised, and spikes as ours do ---------------------------------------------------------------------


def test_a_spike_leaves_in_the_step_of_its_arrival() -> None:
    """A delay of 0.5 ms is one of 0.5 ms, and no step more."""

    def network() -> ns.Network:
        net = ns.Network("chain", dt=0.1 * ms)
        source = net.population("source", 1, SpikeSource([[0.0, 0.1, 0.2, 4.0] * ms]))
        for k in range(3):
            relay = net.population(f"relay{k}", 1, Relay)
            net.connect(source, relay, weight=1, delay=0.5 * ms)
            net.record(relay, "spikes")
            source = relay
        return net

    truth, nest = both(network, 60)
    agree(truth, nest, least=12)
    assert [nest.spikes[f"relay{k}"].steps.tolist() for k in range(3)] == [
        [5, 6, 7, 45], [10, 11, 12, 50], [15, 16, 17, 55]]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_relays_between_cells(threads: int) -> None:
    """Weights and delays edge by edge, a ring of relays; short-term plasticity and learning from a relay on."""

    def network() -> ns.Network:
        net = ns.Network("between", dt=0.1 * ms, seed=1)
        source = net.population("source", 20, PoissonSource(300 * Hz))
        a, b, ring = (net.population(name, 20, Relay) for name in ("a", "b", "ring"))
        lif = net.population("lif", 20, LIF(receptors={"e": ExpCurrent}))
        net.connect(source, a, rule=ns.OneToOne(), weight=ns.uniform(0.01, 2), delay=ns.uniform(0.1 * ms, 3 * ms))
        net.connect(a, lif, rule=ns.FixedProbability(0.5), weight=2 * mV, delay=0.1 * ms)
        net.connect(a, lif, rule=ns.FixedProbability(0.3), weight=5 * mV, delay=1 * ms, short_term=TsodyksMarkram)
        net.connect(b, lif, rule=ns.FixedProbability(0.2), weight=1 * mV, delay=1 * ms, plasticity=RULE)
        net.connect(lif, b, rule=ns.OneToOne(), weight=1, delay=0.7 * ms)
        net.connect(source[3], ring[0], weight=1, delay=1 * ms)
        net.connect(ring[:-1], ring[1:], rule=ns.OneToOne(), weight=1, delay=0.2 * ms)
        for pop in (a, b, ring, lif):
            net.record(pop, "spikes")
        return net

    truth, nest = both(network, 2000, threads=threads)
    agree(truth, nest, least=2000)
    assert min(len(s) for s in truth.spikes.values()) > 100


@pytest.mark.parametrize("cell", [
    Cell("u[n+1] = 0*u", threshold="0.5 <= 3*u", reset="u = 7", receptors={"a": Receptor(event="u += 2*w")}),
    Cell("u[n+1] = 2*i", threshold="u > 0.5", receptors={"a": PulseCurrent}),
    Cell("u[n+1] = 1 - i", threshold="u < 1", receptors={"a": PulseCurrent}),
    Cell("u[n+1] = 0*u", threshold="u/(3*ms) >= 1/(3*ms)", receptors={"a": Receptor(event="u += w")}),
], ids=["scales", "pulse", "mirrored", "tie"])  # fmt: skip
def test_a_relay_of_one_s_own(cell: Cell) -> None:
    graph = compiled(fed(cell))
    found = recognise(graph, graph.population("p"))
    assert found.differences == []
    truth, nest = both(lambda: fed(cell), 300)
    agree(truth, nest, least=200)
    assert len(nest.spikes["p"]) > 100


# -- what is refused -----------------------------------------------------------------------------------------------

SEVERAL = "more than one connection leads to its neuron {}: of two spikes in a step it makes one, and NEST's two"
INPUT = {"receptors": {"a": Receptor(event="x += w")}}
REFUSED = {
    "several connections": (Relay, {"rule": ns.FixedInDegree(2)}, SEVERAL.format(0)),
    "one neuron with several": (Relay, {"rule": ns.EdgeList([0, 1, 4], [0, 3, 3])}, SEVERAL.format(3)),
    "the same connection twice": (Relay, {"rule": ns.EdgeList([2, 2], [2, 2])}, SEVERAL.format(2)),
    "a negative weight": (
        Relay, {"weight": -1.0}, "a spike of weight -1 does not make its neuron 0 spike; NEST's repeats a spike of any "
        "weight"),
    "a weight below the threshold": (
        Cell("x[n+1] = 0*x", threshold="x >= top", top=np.array([1, 1, 1, 2.0, 1]), **INPUT), {},
        "a spike of weight 1 does not make its neuron 3 spike; NEST's repeats a spike of any weight"),
    "a refractory period": (
        Cell("x[n+1] = 0*x", threshold="x > 0", refractory=1 * ms, **INPUT), {},
        "it has a refractory period; NEST's has none"),
    "an edge": (
        Cell("x[n+1] = 0*x", threshold="x > 0", edge=True, **INPUT), {},
        "its threshold counts only where the condition becomes true (edge=True); NEST's always does"),
    "spikes of its own": (
        Cell("x[n+1] = 0*x", threshold="x < 1", **INPUT), {}, "it spikes where nothing arrives; NEST's only repeats"),
    "a jump that is renewed away": (
        Cell("x[n+1] = 0*x", threshold="x > 0", receptors={"a": Receptor(event="x += w", when="before")}), {},
        "receptor 'a' adds its jump to x before it is renewed (when='before'), so that it never spikes"),
    "a step of its own": (
        Cell("x[n+1] = i", threshold="x > 0", receptors={"a": PulseCurrent(when="after")}), {},
        "receptor 'a' adds its jump after x has read a.x (when='after'), so that it spikes a step after the arrival; "
        "NEST's does at once"),
    "a gain of its own": (
        Cell("x[n+1] = 0*x\ny[n+1] = y", threshold="x > 0", reset="y = 1",
             receptors={"a": Receptor(event="x += w*y")}), {},
        "the jump of receptor 'a' depends on y; NEST's depends on nothing"),
    "a pulse at the start": (
        Cell("y[n+1] = 0*y\nx[n+1] = y", threshold="x > 0", init={"y": 1.0},
             receptors={"a": Receptor(event="y += w", when="before")}), {},
        "x follows y, which the start or the reset sets; NEST's has no variable"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what: str) -> None:
    cell, connection, message = REFUSED[what]
    assert refusal(fed(cell, **connection)) == [NEAR + message]


def test_refusals_of_what_drives_it() -> None:
    net = fed(Relay)
    net.connect(net["source"][0], net["p"][2:4], weight=1, delay=2 * ms)
    assert refusal(net) == [NEAR + SEVERAL.format(2)]
    net = fed(Relay, short_term=TsodyksMarkram)
    assert refusal(net) == [NEAR + "short-term plasticity weighs what projection 'only' sends it; NEST's repeats a "
                            "spike of any weight"]  # fmt: skip
    rule = ns.Plasticity(on_pre="w += 0.1", lower=0, upper=2)
    assert NEAR + "projection 'only' learns what it sends it; NEST's repeats a spike of any weight" in refusal(
        fed(Relay, plasticity=rule)
    )
    net = fed(Relay)
    net.stimulate(net["p"], PoissonInput(10 * Hz, weight=1.0), name="noise")
    assert refusal(net) == [NEAR + "Poisson drive noise may send it several spikes in a step, of which it makes one "
                            "and NEST's as many"]  # fmt: skip


def test_a_relay_shows_nothing() -> None:
    net = fed(Relay)
    net.record(net["p"], "x")
    with pytest.raises(UnsupportedError, match="no recording of x of population 'p' .NEST's parrot_neuron shows noth"):
        net.run(1 * ms, backend="nest")


def test_a_cell_that_remembers_is_no_relay() -> None:
    graph = alone(Cell("x[n+1] = 0.5*x", threshold="x > 0", receptors={"a": Receptor(event="x += w")}))
    assert recognise(graph, graph.populations[0]).nearest == "iaf_psc_exp"

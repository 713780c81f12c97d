"""The backend ``nest``: NEST does what the reference does; its engine, and its ranks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nest_kit import KINDS, SPAN, agree, both, compiled, synapse

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.nest_backend import delivery, kernel
from neurosim.backends.nest_backend.delivery import FIRST, Ranks, local_edges
from neurosim.errors import BackendError, DivergedError
from neurosim.ir.edges import iter_edges
from neurosim.lang.components import Cell, Receptor
from neurosim.models import (
    LIF,
    AdEx,
    AlphaConductance,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
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
from neurosim.units import Hz, Mohm, Quantity, ms, mV, nS, pA

pytestmark = pytest.mark.engine("nest")

# -- NEST does what the reference does -----------------------------------------------------------------------------


def one(kind: str, dt: float, tau_m: float, tau: float, weight: Any, **cell: Any) -> ns.Network:
    """A neuron that gets spikes of given times, several at once, with everything recorded."""
    net = ns.Network("one", dt=dt * ms, seed=3)
    pop = net.population("p", 2, LIF(tau_m=tau_m * ms, receptors={"e": synapse(kind, tau * ms)}, **cell))
    times = np.array([0, 0, 1, 5, 30, 31, 60]) * dt
    given = net.population("given", 7, SpikeSource(times * ms, np.arange(7)))
    net.connect(given, pop, weight=weight, delay=3 * dt * ms)
    net.record(pop, "spikes")
    net.record(pop, "v")
    if kind != "delta":
        net.record(pop, "e.x")
    return net


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dt", [0.05, 0.1, 1.0])
@pytest.mark.parametrize(("tau_m", "tau"), [(20, 5), (10, 0.5), (5, 5), (5, 5.0000001), (2, 30)])
def test_psp(kind: str, dt: float, tau_m: float, tau: float):
    truth, nest = both(lambda: one(kind, dt, tau_m, tau, 1 * mV), 150, dt)
    agree(truth, nest, least=0)
    assert np.ptp(truth.state["p"]["v"].values) > 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
def test_refractory_period_and_input_in_it(kind: str, t_ref: float):
    """A neuron driven over threshold again and again, with input while it is refractory."""
    truth, nest = both(lambda: one(kind, 0.1, 10, 4, 400 * mV, t_ref=t_ref * ms), 300)
    agree(truth, nest, 1e-9 * 0.4, least=4)


def test_a_neuron_above_threshold_at_the_start_and_one_at_it():
    """v >= V_th, also exactly; the first step has spikes."""

    def network() -> ns.Network:
        net = ns.Network("start", dt=0.1 * ms)
        cell = LIF(v_rest=-50 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=1 * ms)
        pop = net.population("p", 3, cell, init={"v": [-40, -50, -50.001] * mV})
        net.record(pop, "spikes")
        net.record(pop, "v")
        return net

    truth, nest = both(network, 40)
    agree(truth, nest, least=2)
    assert nest.spikes["p"].steps.tolist()[:2] == [0, 0]


def varied() -> ns.Network:
    """Parameters neuron by neuron, initial values of synapses, parts of populations, every kind of current."""
    net, g, n = ns.Network("varied", dt=0.1 * ms, seed=3), np.random.default_rng(1), 12
    cell = LIF(tau_m=ns.uniform(10 * ms, 30 * ms), v_rest=g.uniform(-70, -60, n) * mV, v_th=g.uniform(-55, -50, n) * mV,
               t_ref=ns.uniform(0 * ms, 3 * ms), r_m=g.uniform(0.5, 2, n),
               receptors={"e": ExpCurrent(tau=ns.uniform(1 * ms, 5 * ms)), "i": ExpCurrent(tau=10 * ms)})  # fmt: skip
    pop = net.population("p", n, cell, init={"v": ns.uniform(-65 * mV, -45 * mV), "e.x": ns.uniform(0 * mV, 9 * mV)})
    given = net.population("given", 3, SpikeSource([[0.0, 0.3, 5.5] * ms, [] * ms, [1.1] * ms], period=20 * ms))
    net.connect(given, pop, receptor="e", weight=9 * mV, delay=ns.uniform(0.1 * ms, 2 * ms))
    net.connect(given, pop[[3, 1]], receptor="e", weight=np.array([[1.0, 2.0]] * 3) * mV, delay=1.3 * ms)
    net.connect(pop, pop, receptor="i", weight=ns.normal(-1 * mV, 1 * mV), name="own",
                rule=ns.FixedProbability(0.3), delay=1.5 * ms)  # fmt: skip
    net.connect(pop[::2] + pop[1], pop[:4], receptor="e", rule=ns.EdgeList([0, 0, 1, 2], [1, 1, 0, 2]), weight=1 * mV,
                delay=70 * ms)  # fmt: skip
    net.stimulate(pop, SineCurrent(8 * mV, 30 * Hz, offset=12 * mV))
    net.stimulate(pop[2:5], OUNoise(1 * mV, 3 * mV, 5 * ms))
    net.stimulate(pop, StepCurrent([0.0, 10.0, 20.3] * ms, [3.0, 0.0, -2.0] * mV))
    net.stimulate(pop, ArrayCurrent(g.normal(0, 2, (7, n)) * mV, 0.3 * ms, repeat=True))
    net.stimulate(pop, WhiteNoise(0 * mV, 20 * mV))
    net.stimulate(pop, DCInput(3 * mV, start=5 * ms, stop=30 * ms))
    net.stimulate(pop, PoissonInput(g.choice([100.0, 900.0], n) * Hz, weight=-1 * mV, receptor="i", n=2), name="noise")
    net.stimulate(pop[:5], PoissonInput("400*Hz*(1 + sin(2*pi*50*Hz*t))", weight=2 * mV, receptor="e"), name="wave")
    for probe in ("spikes", "v", "i.x"):
        net.record(pop, probe)
    net.record(given, "spikes")
    net.record(pop[[2, 5]], "e.x", every=0.7 * ms)
    net.record(pop[2:4], "ounoise.x", every=0.3 * ms)
    net.record(pop, "rate", every=5 * ms)
    return net


@pytest.mark.parametrize("threads", [1, 2])
def test_everything_at_once(threads: int):
    truth, nest = both(varied, 900, threads=threads)
    agree(truth, nest, least=50)
    assert nest.provenance.threads == threads
    assert nest.edges == truth.edges
    assert np.array_equal(truth.weights("own"), nest.weights("own"))
    assert truth.population_rates["p"].values.tolist() == nest.population_rates["p"].values.tolist()


def recurrent(kind: str = "exp", n: int = 200) -> ns.Network:
    """A recurrent network of excitation and inhibition, driven by Poisson spikes."""
    net = ns.Network("recurrent", dt=0.1 * ms, seed=7)
    gain = {"exp": 1.0, "alpha": 0.4, "delta": 0.35}[kind]
    cell = LIF(tau_m=15 * ms, t_ref=2 * ms, receptors={"e": synapse(kind, 3 * ms), "i": synapse(kind, 6 * ms)})
    exc, inh = (net.population(name, size, cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
                for name, size in (("exc", n * 4 // 5), ("inh", n - n * 4 // 5)))  # fmt: skip
    net.connect(exc, exc + inh, receptor="e", rule=ns.FixedProbability(0.1), weight=ns.uniform(0 * mV, 2 * gain * mV),
                delay=ns.uniform(0.1 * ms, 3 * ms))  # fmt: skip
    net.connect(inh, exc + inh, receptor="i", rule=ns.FixedInDegree(8), weight=-4 * gain * mV, delay=0.8 * ms)
    net.stimulate(exc + inh, PoissonInput(100 * Hz, weight=1.5 * gain * mV, receptor="e", n=70))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_networks(kind: str):
    truth = recurrent(kind).run(600 * ms)
    agree(truth, recurrent(kind).run(600 * ms, backend="nest"), least=2000)


@pytest.mark.checkout
def test_some_random_networks(root: Path):
    """The evidence compares 200 of them."""
    spec = importlib.util.spec_from_file_location("evidence_nest", root / "tests" / "evidence" / "nest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    spikes = 0
    for seed in range(6):
        found, count = module.Drawn(seed).difference(300)
        assert found == ""
        spikes += count
    assert spikes > 1000


def test_izhikevich():
    """Both schemes; rounding grows in the take-off of a spike, so values agree for some spikes only."""

    def listing(dt: float = 0.1) -> ns.Network:
        net, g = ns.Network("listing", dt=dt * ms, seed=3), np.random.default_rng(1)
        cell = Izhikevich(a=ns.uniform(0.02 / ms, 0.1 / ms), d=g.uniform(2, 8, 9) * (mV / ms),
                          receptors={"e": PulseCurrent, "i": PulseCurrent})  # fmt: skip
        pop = net.population("p", 9, cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
        net.stimulate(pop, DCInput(g.uniform(3, 12, 9) * mV / ms))
        net.stimulate(pop, ArrayCurrent(g.normal(0, 4, (30, 9)) * (mV / ms), 3 * ms))
        net.stimulate(pop, PoissonInput(100 * Hz, weight=5 * mV / ms, receptor="e"))
        net.connect(pop, pop, receptor="i", weight=-20 * mV / ms, delay=2 * ms, rule=ns.FixedProbability(0.4))
        for probe in ("spikes", "v", "u"):
            net.record(pop, probe)
        return net

    def euler() -> ns.Network:
        net = ns.Network("euler", dt=0.1 * ms)
        cell = Cell("dx/dt = (0.04*x*x + 5*x + 140 - y + i)/ms\ndy/dt = a*(b*x - y)", threshold="x >= 30",
                    reset="x = -65; y += 8", a=0.02 / ms, b=0.2, init={"x": -65, "y": -13}, method="euler",
                    receptors={"e": Receptor(event="x += w")})  # fmt: skip
        pop = net.population("p", 3, cell)
        net.stimulate(pop, DCInput(np.array([5.0, 8, 11])))
        net.connect(pop, pop, weight=3.0, delay=1 * ms)
        for probe in ("spikes", "x", "y"):
            net.record(pop, probe)
        return net

    agree(*both(listing, 1000), within=1e-6, least=30)
    agree(*both(euler, 1500), within=1e-6, least=8)
    agree(*both(lambda: listing(1.0), 20, 1.0), within=1e-6, least=5)


@pytest.mark.parametrize(("cell", "drive", "weight"), [
    (LIF(tau_m=20 * ms, v_rest=-65 * mV, t_ref=2 * ms, r_m=100 * Mohm,
         receptors={"e": ExpConductance(tau=2 * ms), "i": ExpConductance(tau=5 * ms, e_rev=-80 * mV)}), 0, 2),
    (LIF(tau_m=20 * ms, v_rest=-65 * mV, t_ref=2 * ms, r_m=100 * Mohm,
         receptors={"e": AlphaConductance(tau=2 * ms), "i": AlphaConductance(tau=5 * ms, e_rev=-80 * mV)}), 0, 2),
    (AdEx(receptors={"e": ExpConductance(tau=2 * ms), "i": ExpConductance(tau=5 * ms, e_rev=-80 * mV)}), 500, 4),
    (AdEx(receptors={"e": AlphaConductance(tau=2 * ms), "i": AlphaConductance(tau=5 * ms, e_rev=-80 * mV)}), 500, 3),
], ids=["iaf_cond_exp", "iaf_cond_alpha", "aeif_cond_exp", "aeif_cond_alpha"])  # fmt: skip
def test_adaptive_cells_agree_in_their_statistics(cell: Any, drive: float, weight: float):
    """Class R: the rate within 5 %; before the first spike the potential within the schemes' errors."""

    def network() -> ns.Network:
        net = ns.Network("cond", dt=0.02 * ms, seed=5)
        pop = net.population("p", 20, cell, init={"e.g": 1 * nS})
        net.stimulate(pop, PoissonInput(100 * Hz, weight=weight * nS, receptor="e", n=20))
        net.stimulate(pop, PoissonInput(100 * Hz, weight=weight * nS, receptor="i", n=4))
        net.stimulate(pop, DCInput(drive * pA))
        for probe in ("spikes", "v", "e.g"):
            net.record(pop, probe)
        return net

    truth, nest = network().run(400 * ms), network().run(400 * ms, backend="nest", approximate=True)
    first = int(truth.spikes["p"].steps.min())
    assert len(truth.spikes["p"]) > 100
    assert abs(len(nest.spikes["p"]) / len(truth.spikes["p"]) - 1) < 0.05
    assert np.max(np.abs(truth.state["p"]["e.g"].values / nest.state["p"]["e.g"].values - 1)) < 1e-3
    v, w = (r.state["p"]["v"].values[: first - 20] for r in (truth, nest))
    assert np.max(np.abs(v - w)) < 2e-4


# -- the engine ----------------------------------------------------------------------------------------------------


def engine(net: ns.Network, name: str = "nest", **options: Any) -> Any:
    """Build an engine as a run does."""
    backend, graph = load_backend(name), compiled(net)
    backend.check(graph)
    return backend.build(graph, Options(**options))


def test_stretches_hand_over_and_forget():
    """Any division of a run into stretches gives the same; drain keeps nothing; the state is that of the last step."""
    truth, nest = engine(varied(), "reference"), engine(varied())
    assert nest.state("p").keys() >= {"v", "e.x", "i.x", "ounoise.x", "_refractory"}
    for steps in (0, 1, 1, 2, 7, 30, 1, 5, 200, 3):
        for e in (truth, nest):
            e.advance(steps)
        for name in ("p", "given"):
            a, b = truth.state(name), nest.state(name)
            for variable, values in b.items():
                assert np.allclose(a[variable], values, rtol=0, atol=1e-9 * SPAN), (steps, variable)
        a, b = truth.drain(), nest.drain()
        assert a.counts == b.counts
        for name in a.spikes:
            assert all(np.array_equal(x, y) for x, y in zip(a.spikes[name], b.spikes[name], strict=True))
        for x, y in zip(a.samples, b.samples, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                assert np.array_equal(x[0], y[0])
                assert np.allclose(x[1], y[1], rtol=0, atol=1e-9 * SPAN)
    again = nest.drain()
    assert set(again.counts.values()) == {0}
    assert all(s is None or len(s[0]) == 0 for s in again.samples)
    assert nest.edges() == truth.edges()
    nest.close()


def test_one_network_at_a_time():
    first = engine(one("exp", 0.1, 10, 5, 1 * mV))
    first.advance(5)
    second = engine(one("exp", 0.1, 10, 5, 1 * mV))
    message = (
        "^NEST holds one network per process, and this engine's is gone: it was closed, or another one has been built "
        "since. Finish one run before the next is built, or use a process for each$"
    )
    for use in (lambda: first.advance(5), lambda: first.state("p")):
        with pytest.raises(BackendError, match=message):
            use()
    first.close()  # which must not take the second's network away
    second.advance(5)
    assert sum(second.drain().counts.values()) == 3
    second.close()
    with pytest.raises(BackendError, match=message):
        second.advance(1)


def test_nest_says_nothing(capfd: pytest.CaptureFixture[str]):
    one("exp", 0.1, 10, 5, 1 * mV).run(5 * ms, backend="nest")
    assert capfd.readouterr() == ("", "")


def test_errors_of_nest_are_sentences():
    nest = kernel.load()
    with pytest.raises(BackendError) as e, kernel.translated("make a cell"):
        nest.Create("no_such_cell")
    assert e.value.message == "NEST refused to make a cell: UnknownModelName: no_such_cell is not a known model name."


def test_a_potential_that_leaves_the_finite_numbers():
    net = ns.Network("far", dt=0.1 * ms)
    pop = net.population("p", 2, LIF(receptors={"e": DeltaCurrent}, v_th=1e308 * mV))
    given = net.population("s", 1, SpikeSource([[0.0, 0.1, 0.2, 0.3] * ms]))
    net.connect(given, pop, weight=Quantity(-1e308, mV.dim), delay=0.1 * ms)
    net.record(pop, "v")
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergedError, match="^v of neuron 0 in population 'p' is no finite number"),
    ):
        net.run(5 * ms, backend="nest")


def test_no_steps_and_no_neurons_that_receive():
    net = ns.Network("sources", dt=0.1 * ms, seed=2)
    net.record(net.population("p", 20, PoissonSource(300 * Hz)), "spikes")
    assert len(net.run(0 * ms, backend="nest").spikes["p"]) == 0
    truth, nest = (net.run(50 * ms, backend=b) for b in ("reference", "nest"))
    agree(truth, nest, least=100)


def test_more_connections_than_one_synapse_model_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery, "MOST", 50)
    truth, nest = both(varied, 200)
    agree(truth, nest, least=10)
    assert nest.edges == truth.edges > 50


def test_what_the_doctor_says():
    backend = load_backend("nest")
    have = kernel.load().GetKernelStatus("build_info")["have_mpi"]
    mpi = " and MPI (1 rank now)" if have else ", without MPI: one machine (docs/nest.md tells of several)"
    assert backend.remark() == f"NEST {backend.version()} with threads{mpi}"


# -- ranks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_every_edge_is_built_on_one_rank(ranks: int):
    """What the ranks of an MPI run build is the whole, and nothing twice; NEST's own numbers say whose a node is."""
    graph = compiled(varied())
    for projection in graph.projections:
        whole = [e for e in iter_edges(graph, projection)]
        seen = []
        for rank in range(ranks):
            for _, e in local_edges(graph, projection, Ranks(rank, ranks)):
                assert np.all((np.asarray(e.post, dtype=np.int64) + FIRST) % ranks == rank)
                weight, delay = (np.broadcast_to(x, e.post.shape) for x in (e.weight, e.delay))
                seen += list(zip(e.pre.tolist(), e.post.tolist(), weight.tolist(), delay.tolist(), strict=True))
        every = [
            row
            for e in whole
            for row in zip(e.pre.tolist(), e.post.tolist(), np.broadcast_to(e.weight, e.post.shape).tolist(),
                           np.broadcast_to(e.delay, e.post.shape).tolist(), strict=True)
        ]  # fmt: skip
        assert sorted(seen) == sorted(every)


def test_nest_places_nodes_as_ranks_say():
    """Virtual process = node mod (ranks*threads), whatever the population; the rank is that mod ranks."""
    nest = kernel.load()
    kernel.reset(nest, 1e-4, 3)
    nodes = nest.Create("iaf_psc_exp", 10)
    assert nodes.vp == tuple(k % 3 for k in range(FIRST, FIRST + 10))
    nest.ResetKernel()


class _ManyRanks:
    """NEST as it looks on the first of four ranks."""

    @staticmethod
    def Rank() -> int:
        return 0

    @staticmethod
    def NumProcesses() -> int:
        return 4


def test_ranks_without_mpi4py(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BackendError) as e:
        kernel.gather(_ManyRanks)
    assert e.value.message == (
        "NEST runs on 4 MPI ranks, and their results are gathered with mpi4py, which is not installed: pip install "
        "mpi4py (built against the same MPI as NEST)"
    )

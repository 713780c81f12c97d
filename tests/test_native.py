"""The compiled engine: tiles, threads, storage classes, logs, and how runs end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from native_kit import ALWAYS, DT, QUIET, quiet, same

import neurosim as ns
import neurosim.conformance.random_networks as rn
from neurosim.backends.base import Options
from neurosim.backends.native import layout
from neurosim.backends.native import tables as K
from neurosim.backends.native.engine import NativeEngine
from neurosim.compile import compile_network
from neurosim.errors import ConnectivityError, DivergedError
from neurosim.ir.edges import iter_edges
from neurosim.models import PoissonInput, SpikeSource
from neurosim.units import Hz, ms

# -- shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 192, 193])
def test_tile_boundaries(n: int) -> None:
    assert sum(same(quiet(n), threads=1).counts.values())
    same(quiet(n), threads=2)


@pytest.mark.parametrize("threads", [3, 5, 8])
def test_more_threads_than_tiles(threads: int) -> None:
    same(quiet(65), threads)
    same(quiet(1), threads)


def test_silent_network() -> None:
    net = ns.Network(dt=DT, seed=1)
    cells = net.population("cells", 100, QUIET)
    net.connect(cells, cells, rule=ns.FixedInDegree(5), weight=0.2, delay=DT)
    net.record(cells, "spikes")
    assert same(net, 2).counts == {"cells": 0}


def test_no_projections() -> None:
    net = ns.Network(dt=DT, seed=1)
    net.population("cells", 70, ALWAYS)
    assert same(net, 2).counts == {"cells": 70 * 60}


def test_projection_without_edges() -> None:
    same(quiet(70, rule=ns.FixedTotalNumber(0)), 2)
    same(quiet(70, rule=ns.FixedTotalNumber(0), weight=ns.uniform(0.0, 1.0), delay=ns.uniform(DT, 9 * DT)), 2)


def test_nothing_recorded_and_no_steps() -> None:
    net = quiet(70)
    net.probes.clear()
    same(net, 2)
    same(net, 2, 0)


def test_auto_threads() -> None:
    engine = rn.build(compile_network(quiet(70)), "native")
    assert engine.threads == 1
    engine.close()


def test_the_comparison_sees_one_bit() -> None:
    graph = compile_network(quiet(70))
    a, b = (rn.outcome(graph, "reference", [30]) for _ in range(2))
    assert not rn.difference(graph, a, b)
    b.state["cells"]["x"][69] = np.nextafter(b.state["cells"]["x"][69], 9.0)
    assert "state x of 'cells' (float64, float64), neuron 69" in rn.difference(graph, a, b)
    samples = b.samples[-1]
    assert samples is not None and len(samples[1]) == 10
    samples[1][4, 2] = -samples[1][4, 2]
    assert rn.difference(graph, a, b).startswith("cells.x, step 14, column 2: ")
    b.spikes["cells"] = b.spikes["cells"][0][1:], b.spikes["cells"][1][1:]
    assert "spike 0 of 'cells', at step" in rn.difference(graph, a, b)


def test_spikes_given_beforehand_beside_equations() -> None:
    net = ns.Network(dt=DT, seed=3)
    trace = ns.Receptor("dx/dt = -x/tau", event="x += w", tau=5 * ms, name="Trace")
    times = np.random.default_rng(1).permutation(30)[:9] * DT
    source = net.population("source", 130, SpikeSource([times] * 130, period=3 * ms)(receptors={"in": trace}))
    net.connect(source, source, rule=ns.FixedProbability(0.1), weight=0.3, delay=DT)
    net.record(source[::9], "in.x")
    assert same(net, 2).counts == {"source": 130 * 18}


def test_a_rate_that_differs_by_neuron_and_time() -> None:
    net = ns.Network(dt=DT, seed=3)
    cells = net.population("cells", 70, QUIET)
    rates = ns.TimedArray(np.random.default_rng(1).uniform(0, 9000, (7, 70)) * Hz, 3 * DT, repeat=True)
    net.stimulate(cells, PoissonInput(rates, weight=0.3))
    assert sum(same(net, 2).counts.values()) > 70


def test_same_network_object_twice() -> None:
    net = quiet(100)
    first, again = net.run(5 * ms), net.run(5 * ms, threads=2)
    assert len(first.spikes["cells"]) and np.array_equal(first.spikes["cells"].steps, again.spikes["cells"].steps)
    assert np.array_equal(first.spikes["cells"].ids, again.spikes["cells"].ids)
    assert np.array_equal(first.state["cells"]["x"].values, again.state["cells"]["x"].values)


def test_stretches() -> None:
    for stretches in ([1] * 60, [7, 53], [59, 1], [0, 30, 0, 30]):
        same(quiet(70, delay=7 * DT), 2, 60, stretches)


# -- storage ------------------------------------------------------------------------------------------------------

DRAWN, WIDE = ns.uniform(0.0, 0.4), ns.uniform(3 * DT, 40 * DT)


@pytest.mark.parametrize(
    ("weight", "delay", "bits", "kinds"),
    [
        (0.2, 3 * DT, 40, {K.DUE16_SHARED}),
        (DRAWN, 3 * DT, 40, {K.DUE16_F64}),
        (DRAWN, 3 * DT, 24, {K.DUE16_F32}),
        (0.2, WIDE, 40, {K.RING_SHARED}),
        (DRAWN, WIDE, 40, {K.RING_F64}),
        (DRAWN, WIDE, 24, {K.RING_F32}),
    ],
)
def test_one_storage_class_alone(weight: Any, delay: Any, bits: int, kinds: set[int]) -> None:
    net = ns.Network(dt=DT, seed=3)
    cells = net.population("cells", 130, QUIET(limit=0.6), init={"x": ns.uniform(0.0, 1.0)})
    net.connect(cells, cells, rule=ns.FixedInDegree(20), weight=weight, delay=delay)
    graph = compile_network(net, weight_bits=bits)
    engine = NativeEngine(graph, Options(threads=2))
    assert {int(row[K.B_CLASS]) for d in engine.edge_tables for row in d.blocks} == kinds
    engine.close()
    assert sum(same(net, 2, weight_bits=bits).counts.values()) > 130


@pytest.mark.parametrize("bits", [40, 24])
def test_targets_too_far_apart_for_16_bits(bits: int) -> None:
    net = ns.Network(dt=DT, seed=3)
    cells = net.population("cells", 66_000, QUIET, init={"x": ns.uniform(0.0, 1.2)})
    net.connect(cells, cells, rule=ns.FixedTotalNumber(200_000), weight=0.1, delay=DT)
    net.connect(cells, cells, rule=ns.FixedTotalNumber(200_000), weight=DRAWN, delay=2 * DT)
    graph = compile_network(net, weight_bits=bits)
    engine = NativeEngine(graph, Options(threads=1))
    wide = {K.DUE32_SHARED, K.DUE32_F64 if bits == 40 else K.DUE32_F32}
    assert {int(row[K.B_CLASS]) for d in engine.edge_tables for row in d.blocks} == wide
    engine.close()
    same(net, 1, 8, weight_bits=bits)


def test_delays_far_apart_do_not_share_rows() -> None:
    net = quiet(70)
    for k, delay in enumerate((1, 2, 3, 900, 901, 30_000, 65_535)):
        net.connect(net["cells"], net["cells"], rule=ns.FixedInDegree(2), weight=0.2, delay=delay * DT, name=f"far{k}")
    graph = compile_network(net)
    blocks = layout.blocks_of(graph, 1)
    assert sorted((b.lowest, b.highest) for b in blocks) == [
        (1, 1),
        (1, 3),
        (900, 901),
        (30_000, 30_000),
        (65_535, 65_535),
    ]
    same(net, 2, 70)
    same(net, 1, 1000, [333] * 3 + [1])


@pytest.mark.parametrize(
    "delay", [ns.normal(5 * ms, 0.1 * ms), ns.normal(5 * ms, 0.1 * ms, lo=DT), "4.5*ms + 0.2*ms*sin(i)"]
)
@pytest.mark.parametrize(("edges", "kind"), [(20, K.RING_SHARED), (300, K.DUE16_SHARED)])
def test_threads_meet_as_seldom_as_the_delays_allow(delay: Any, edges: int, kind: int) -> None:
    net = ns.Network(dt=DT, seed=3)
    cells = net.population("cells", 130, QUIET(limit=0.6), init={"x": ns.uniform(0.0, 1.0)})
    net.connect(cells, cells, rule=ns.FixedInDegree(edges), weight=10 / edges, delay=delay)
    engine = NativeEngine(compile_network(net), Options(threads=2))
    least = min(int(np.min(e.delay)) for e in iter_edges(engine.graph, engine.graph.projections[0]))
    assert least > 40 and engine.window == least
    assert {int(row[K.B_CLASS]) for d in engine.edge_tables for row in d.blocks} == {kind}
    assert max(int(row[K.B_NDELAY]) for d in engine.edge_tables for row in d.blocks) < 20
    engine.close()
    assert sum(same(net, 2, 150).counts.values()) > 130


def test_two_grids_on_one_receptor() -> None:
    net = ns.Network(dt=DT, seed=3)
    a = net.population("a", 70, QUIET, init={"x": ns.uniform(0.0, 1.2)})
    b = net.population("b", 70, QUIET, init={"x": ns.uniform(0.0, 1.2)})
    net.connect(a, b, rule=ns.FixedInDegree(3), weight=1e6, delay=DT, name="coarse")
    net.connect(a + b, a + b, rule=ns.FixedInDegree(9), weight=0.123456789, delay=DT, name="both")
    same(net, 2)
    same(net, 1, weight_bits=24)


def test_a_rule_of_ones_own_that_yields_empty_pieces() -> None:
    class Ring(ns.Rule):
        def edges(self, ctx: Any) -> Iterator[Any]:
            i = np.arange(ctx.n_pre, dtype=np.uint32)
            yield i[:0], i[:0]
            yield i, (i + np.uint32(1)) % np.uint32(ctx.n_post)
            yield i[:0], i[:0]

        def expected(self, n_pre: int, n_post: int) -> float:
            return float(n_pre)

        def describe(self) -> str:
            return "Ring"

    same(quiet(70, rule=Ring(), weight=DRAWN, delay=WIDE), 2)


def test_a_delay_that_is_no_number() -> None:
    net = quiet(70, delay="0.5*ms*log(i - 1)")
    for backend in ("reference", "native"):
        with pytest.raises(ConnectivityError, match="delay of projection 'own'"):
            net.run(1 * ms, backend=backend)


# -- logs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "n", "steps"), [(1, 200, 3200), (50, 200, 3200), (50, 30, 700)])
def test_every_neuron_spikes_in_every_step(delay: int, n: int, steps: int) -> None:
    net = ns.Network(dt=DT, seed=1)
    cells = net.population("cells", n, ALWAYS)
    net.connect(cells, cells, rule=ns.FixedInDegree(2), weight=0.1, delay=delay * DT)
    net.record(cells[: n // 2], "spikes")
    net.record(cells[:3], "x", every=100 * DT)
    assert same(net, 1, steps).counts == {"cells": n * steps}  # 640,000 spikes: the log is emptied on the way
    same(net, 2, steps, [steps // 3, steps // 3, steps - 2 * (steps // 3)])


def test_all_spikes_arrive_through_a_ring() -> None:
    net = ns.Network(dt=DT, seed=1)
    cells = net.population("cells", 70, ALWAYS)
    net.connect(cells, cells, rule=ns.FixedInDegree(3), weight=ns.uniform(0.0, 0.1), delay=ns.uniform(2 * DT, 300 * DT))
    same(net, 3, 700, [1, 1, 298, 400])


# -- how runs end -------------------------------------------------------------------------------------------------


def test_divergence_names_population_and_neuron() -> None:
    net = ns.Network(dt=DT, seed=1)
    net.population("calm", 10, QUIET)
    burst = ns.Cell("x[n+1] = x*x", threshold="x < 0", name="Burst")
    net.population("wild", 100, burst, init={"x": [1.0] * 77 + [3.0] + [1.0] * 22})
    said = []
    for backend in ("reference", "native"):
        with pytest.raises(
            DivergedError, match=r"x of neuron 77 in population 'wild' is no finite number any more at t = "
        ) as e:
            net.run(20 * ms, backend=backend)
        said.append(e.value.where)
        assert e.value.result.provenance.status == "diverged"  # type: ignore[attr-defined]
    assert said[0] == said[1] is not None


def endings(net: ns.Network, **options: Any) -> list[tuple[Any, ...]]:
    """Return how a network's runs end: on the reference, then on native with stretches of 1, 7, 1000 steps."""
    graph, found = compile_network(net, **options), []
    runs = [("reference", 1, 1000), *(("native", threads, stretch) for threads in (1, 2) for stretch in (1, 7, 1000))]
    for backend, threads, stretch in runs:
        engine = rn.build(graph, backend, threads)
        with pytest.raises(DivergedError) as e:
            for _ in range(1000):
                engine.advance(stretch)
        out = engine.drain()
        kept = [[a.tolist() for a in pair] for pair in (*out.spikes.values(), *(s for s in out.samples if s))]
        found.append((e.value.message, e.value.where, engine.n, kept, out.counts))
        engine.close()
    return found


@pytest.mark.parametrize("precision", ["double", "single"])
def test_divergence_is_seen_in_its_step(precision: str) -> None:
    """A program that gets back from an infinity to a number, so that only a look at every step sees it."""
    net = ns.Network(dt=DT, seed=1)
    back = ns.Cell("x[n+1] = where(x >= 1e300, 0*x0, x*x)", threshold="x > 10", x0=1.0, name="Back")
    net.population("calm", 200, QUIET)
    wild = net.population("wild", 300, back, init={"x": [1.0] * 150 + [3.0] + [1.0] * 100 + [2.0, 3.0] + [1.0] * 47})
    net.connect(wild, net["calm"], rule=ns.FixedInDegree(3), weight=2.0, delay=9 * DT)
    net.record([wild, net["calm"]], "spikes")
    net.record(wild[140:260], "x", every=3 * DT)
    first, *others = endings(net, precision=precision)
    assert first[0].startswith("x of neuron 150 in population 'wild' is no finite number any more at t = ")
    assert first[2] > 5 and first[3][1][0], "some spikes are kept"
    assert all(other == first for other in others)


def test_a_sum_beyond_the_grid_is_seen_in_its_step() -> None:
    net = ns.Network(dt=DT, seed=1)
    source = net.population("source", 50, SpikeSource([np.array([0.5, 1.3]) * ms] * 50))
    cells = net.population("cells", 200, QUIET)
    ends = np.random.default_rng(1).integers(0, 50, 8400), np.full(8400, 170)
    net.connect(source, cells, rule=ns.EdgeList(*ends), weight=0.999, delay=3 * DT)
    net.record([source, cells], "spikes")
    net.record(cells[160:180], "x")
    first, *others = endings(net)
    assert first[0].startswith("a sum of weights exceeded 2^53 units of its receptor's grid before t = 0.8 ms")
    assert first[2] == 8
    assert all(other == first for other in others)


@pytest.mark.parametrize("targets", [1, 1000])
def test_a_sum_beyond_the_grid(targets: int) -> None:
    def network(edges: int) -> ns.Network:
        net = ns.Network(dt=DT, seed=1)
        source = net.population("source", 50, SpikeSource([[0.5] * ms] * 50))
        cells = net.population("cells", targets, QUIET)
        g = np.random.default_rng(1)
        net.connect(
            source, cells, rule=ns.EdgeList(g.integers(0, 50, edges), np.zeros(edges, int)), weight=0.999, delay=DT
        )
        return net

    for backend in ("reference", "native"):  # a weight of 0.999 is 0.999 2^40 units
        with pytest.raises(DivergedError, match="exceeded 2\\^53 units of its receptor's grid"):
            network(8400).run(2 * ms, backend=backend)
        network(8400).run(2 * ms, backend=backend, weight_bits=24)
    same(network(8100))


def test_a_rule_that_favours_one_target_is_watched() -> None:
    assert layout.most_arrivals(ns.EdgeList(np.arange(500), np.zeros(500, int)), 500, 500) == 500
    assert layout.most_arrivals(ns.FixedInDegree(20_000), 10, 1) >= 20_000
    assert layout.most_arrivals(ns.FixedProbability(0.5), 1000, 1) >= 600
    assert layout.most_arrivals(ns.AllToAll(), 1000, 7) >= 1000


def test_interrupt_between_stretches() -> None:
    net = quiet(70)
    net.record(net["cells"], "rate", every=1 * ms)

    def progress(stage: str, done: int, total: int, wall: float) -> None:
        if stage == "simulate" and done >= 40:
            signal.raise_signal(signal.SIGINT)
            stop.append(done)

    stop: list[int] = []
    result = net.run(10_000 * ms, progress=progress)
    assert result.provenance.status == "interrupted"
    assert len(stop) == 1 and result.provenance.n_steps == stop[0]
    whole = net.run(result.provenance.n_steps * DT)
    assert np.array_equal(result.spikes["cells"].steps, whole.spikes["cells"].steps)
    assert signal.getsignal(signal.SIGINT) is not None

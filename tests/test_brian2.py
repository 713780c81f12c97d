"""Networks on Brian2: the same bits in all three modes, and its global state left as it was found."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
import neurosim.conformance.random_networks as rn
from neurosim.backends.base import Options
from neurosim.backends.brian2_backend import functions, printer, session
from neurosim.backends.brian2_backend.backend import choose_mode
from neurosim.backends.brian2_backend.layout import lay_out
from neurosim.compile import compile_network
from neurosim.conformance.cases import BY_NAME
from neurosim.conformance.constructs import CONSTRUCTS, OPTIONS
from neurosim.conformance.judge import Target, run_case
from neurosim.errors import BackendError, BackendMissingError, DivergedError, ParameterError, UnsupportedError
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.graph import Graph
from neurosim.ir.interp import FORMATS, ROWS, call
from neurosim.ir.ops import OPS
from neurosim.ir.program import Builder
from neurosim.ir.random import Draws, poisson_from_words, poisson_inversion, poisson_thresholds
from neurosim.models import LIF, DCInput, ExpCurrent, PoissonInput, PulseCurrent, SpikeSource
from neurosim.units import Hz, ms, mV

pytestmark = pytest.mark.engine("brian2")

DT = 0.1 * ms
QUIET = ns.Cell("x[n+1] = 0.9*x + i", threshold="x > limit", reset="x = 0*x", receptors={"exc": PulseCurrent},
                limit=1.0, name="Quiet")  # fmt: skip
"""Leaky, without dimensions."""


def quiet(n: int = 70, seed: int = 1, **connection: Any) -> ns.Network:
    """Return neurons driven by a source of spikes and connected among themselves."""
    net = ns.Network(dt=DT, seed=seed)
    g = np.random.default_rng(n)
    source = net.population("source", 20, SpikeSource([np.unique(g.integers(0, 50, 15)) * DT for _ in range(20)]))
    cells = net.population("cells", n, QUIET, init={"x": ns.uniform(0.0, 1.0)})
    net.connect(source, cells, rule=ns.FixedProbability(0.5), weight=0.4, delay=DT, name="in")
    net.connect(
        cells, cells, **{"rule": ns.FixedInDegree(5), "weight": 0.2, "delay": 2 * DT, "name": "own", **connection}
    )
    net.record([source, cells], "spikes")
    net.record(cells[:: max(1, n // 7)], "x", every=3 * DT)
    return net


def growing() -> ns.Network:
    """Return neurons of which one leaves the finite numbers in step 9, some steps after others have spiked."""
    net = ns.Network(dt=DT, seed=1)
    pop = net.population("a", 3, ns.Cell("v[n+1] = v*v", threshold="v > 2", init={"v": [1.0, 3.0, 2.0]}))
    net.record(pop, "v", every=2 * DT)
    net.record(pop, "spikes")
    return net


def crowded() -> ns.Network:
    """Return a network in which a sum exceeds its grid in step 5."""
    net = ns.Network(dt=DT, seed=1)
    source = net.population("s", 3, ns.Cell("k[n+1] = k + 1", threshold="k > 2"))
    target = net.population("t", 2, ns.Cell("v[n+1] = 0*v + i", receptors={"e": PulseCurrent}))
    net.connect(source, target, weight=1.0, rule=ns.FixedInDegree(20_000), delay=3 * DT)
    net.record(source, "spikes")
    net.record(target, "v")
    return net


def outcome(graph: Graph, mode: str, stretches: list[int], threads: int | None = None) -> tuple[rn.Outcome, int]:
    """Run a graph in stretches, whatever the mode; what was recorded before it diverged is there. Return n, too."""
    engine = rn.build(graph, "brian2", threads, {"mode": mode})
    parts, diverged = [], ""
    for steps in stretches:
        try:
            engine.advance(steps)
        except DivergedError as e:
            diverged = str(e)
        parts.append(engine.drain())
    spikes = {name: tuple(np.concatenate([x.spikes[name][i] for x in parts]) for i in (0, 1))
              for name in parts[0].spikes}  # fmt: skip
    samples: list[Any] = [
        None if parts[0].samples[k] is None else tuple(np.concatenate([x.samples[k][i] for x in parts]) for i in (0, 1))
        for k in range(len(graph.probes))
    ]
    counts = {name: sum(x.counts[name] for x in parts) for name in parts[0].counts}
    states = {p.name: engine.state(p.name) for p in graph.populations}
    edges, n = engine.edges(), int(engine.n)  # type: ignore[attr-defined]
    weights = {p.name: engine.weights(p.name) for p in graph.projections if p.plasticity is not None}
    engine.close()
    return rn.Outcome(spikes, samples, counts, states, edges, diverged, weights), n  # type: ignore[arg-type]


def same(net: ns.Network, mode: str = "numpy", stretches: list[int] | None = None, **options: Any) -> rn.Outcome:
    """Run a network on Brian2 and on the reference, and compare all bits."""
    graph, stretches = compile_network(net, **options), stretches or [60]
    want = rn.outcome(graph, "reference", [sum(stretches)])
    got, _ = outcome(graph, mode, stretches)
    assert not rn.difference(graph, want, got)
    assert got.diverged == want.diverged
    return got


# -- the functions --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., np.ndarray]:
    """The header's functions, compiled with the backend's flags, over arrays."""
    folder = tmp_path_factory.mktemp("header")
    (folder / "functions.h").write_text(functions.header(), encoding="utf-8")
    text = ['#include "functions.h"']
    for name, spec in functions._specs().items():
        args = ", ".join(f"x[{k}*n + i]" for k in range(spec.arity))
        loop = f"for (long i = 0; i < n; i++) out[i] = {functions.PREFIX}{name}({args});"
        text.append(f'extern "C" void f_{name}(const double *x, double *out, long n) {{ {loop} }}')
    find = "for (long i = 0; i < n; i++) out[i] = ns_find(data, x[i], x[n + i], x[2*n + i], x[3*n + i]);"
    text.append(f'extern "C" void f_find(const double *data, const double *x, double *out, long n) {{ {find} }}')
    (folder / "all.cpp").write_text("\n".join(text), encoding="utf-8")
    command = [session.compilers()["CXX"], *session.FLAGS, "-shared", "-fPIC", "all.cpp", "-o", "all.so"]
    subprocess.run(command, cwd=folder, check=True)
    loaded = ctypes.CDLL(str(folder / "all.so"))

    def run(name: str, *args: Any, data: np.ndarray | None = None) -> np.ndarray:
        x = np.ascontiguousarray(np.broadcast_arrays(*[np.asarray(a, dtype=np.float64) for a in args]))
        out = np.empty(x.shape[1])
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in ([data] if data is not None else []) + [x, out]]
        getattr(loaded, f"f_{name}")(*pointers, ctypes.c_long(x.shape[1]))
        return out

    return run


def numbers(seed: int = 1) -> np.ndarray:
    """Numbers of every kind: ordinary, huge, tiny, and those that are special."""
    g = np.random.default_rng(seed)
    special = [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -2.5, 1e-300, 9e-301, -9e-301, 5e-324, 1e308, -1e308]
    special += [np.inf, -np.inf, np.nan]
    wide = g.uniform(1.0, 2.0, 3000) * 2.0 ** g.integers(-1021, 1023, 3000) * g.choice([-1.0, 1.0], 3000)
    return np.concatenate([special, wide, g.normal(0.0, 30.0, 3000), g.uniform(0.0, 1.0, 3000)])


def identical(a: Any, b: Any) -> bool:
    """Tell whether two arrays have the same bits; nan is nan."""
    x, y = (np.ascontiguousarray(v, dtype=np.float64) for v in (a, b))
    both = np.isnan(x) & np.isnan(y)
    return bool(np.array_equal(np.where(both, 0.0, x).view(np.int64), np.where(both, 0.0, y).view(np.int64)))


PLAIN = ("div", "min", "max", "abs", "sqrt", "floor", "rint", "flush", "exponent", "mantissa", *FUNCTIONS)


@pytest.mark.parametrize("name", PLAIN)
def test_header_is_the_interpreter(library: Callable[..., np.ndarray], name: str) -> None:
    x = numbers()
    if name in ("exponent", "mantissa"):
        x = x[np.isfinite(x) & (np.abs(x) >= 2.0**-1022)]
    args = [x] if OPS[name].arity == 1 else [x, np.roll(x, 7)]
    with np.errstate(all="ignore"):
        want = call(name, *args) if name in FUNCTIONS else ROWS[name](FORMATS[np.dtype(float)], None, *args)
        python = functions._specs()[name].python(*args)
    assert identical(library(name, *args), want)
    assert identical(python, want)


def test_header_on_whole_numbers_grids_and_choices(library: Callable[..., np.ndarray]) -> None:
    k = np.arange(-1022.0, 1024.0)
    assert identical(library("pow2", k), 2.0**k)
    x = np.random.default_rng(2).normal(0.0, 1e-3, 2000)
    assert identical(library("round_to", x, 2.0**-20), np.rint(x / 2.0**-20) * 2.0**-20)
    assert identical(library("select", x > 0, x, -0.0), np.where(x > 0, x, -0.0))
    assert identical(functions._round_to(x, 2.0**-20), np.rint(x / 2.0**-20) * 2.0**-20)


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1])
@pytest.mark.parametrize("step", [0, 7, 2**31 + 5, 2**33 + 1])
def test_words_are_those_of_the_network(library: Callable[..., np.ndarray], seed: int, step: int) -> None:
    stream = Draws(seed, "p/uniform0")
    words = stream.words(0, 1001, step).astype(np.float64)
    args = (float(stream.key[0]), float(stream.key[1]), float(step), np.arange(1001.0))
    assert identical(library("word", *args), words)
    assert identical(functions._word(*args), words)


def test_words_of_two_populations_side_by_side() -> None:
    streams = [Draws(1, name) for name in ("a/x", "b/x")]
    keys = [np.repeat([float(s.key[k]) for s in streams], [5, 9]) for k in (0, 1)]
    index = np.concatenate([np.arange(5.0), np.arange(9.0)])
    want = np.concatenate([streams[0].words(0, 5, 3), streams[1].words(0, 9, 3)])
    assert identical(functions._word(*keys, 3.0, index), want)


def test_poisson_counts_are_those_of_the_network(library: Callable[..., np.ndarray]) -> None:
    words = Draws(3, "p").words(0, 3000, 5)
    means = np.concatenate([np.random.default_rng(1).uniform(0.0, 30.0, 2990), [0, -1, 700, 699.9, 1e-12] * 2])
    want = poisson_inversion(words, means).astype(np.float64)
    assert identical(library("poisson_of", words, means), want)
    assert identical(functions._poisson_of(words.astype(float), means), want)
    for mean in (700.0001, np.inf):
        assert np.isnan(library("poisson_of", words[:4], mean)).all()
        assert np.isnan(functions._poisson_of(words[:4], mean)).all()
    assert not library("poisson_of", words[:4], np.nan).any()


def test_tables_lists_and_thresholds(library: Callable[..., np.ndarray]) -> None:
    g, rows = np.random.default_rng(1), np.arange(12.0)
    thresholds = [poisson_thresholds(m).astype(float) for m in (0.0, 0.3, 4.0)]
    parts = [[2, 3, 0, 1, *rows[:3]], [5, 3, 1, 4, *rows], [3, 0, 1, 4, 9], [0, 0], [3, 7, 0, 2, 6],
             *([len(t), *t] for t in thresholds)]  # fmt: skip
    at = np.cumsum([0, *map(len, parts)])
    data = np.concatenate([*map(np.asarray, parts), [0.0]]).astype(float)
    for n in range(40):
        held, repeated = min(n // 2, 2), (n // 5) % 3
        rest = [n in (1, 4, 9), False, n % 7 in (0, 2, 6)]
        for base, want in zip(at[:5], [held, rows[4 * repeated + 3], *rest], strict=True):
            kind = functions.TABLE if base < at[2] else functions.SCHEDULE
            for found in (library("find", kind, float(n), float(base), [3.0], data=data),
                          functions._find(data, kind, float(n), float(base), np.array([3.0]))):  # fmt: skip
                assert found == [float(want)], (n, base)
    words = g.integers(0, 2**32, 500, dtype=np.uint32)
    which = g.integers(0, 3, 500)
    want = [poisson_from_words(words[k : k + 1], thresholds[which[k]].astype(np.uint32))[0] for k in range(500)]
    args = (functions.COUNT, words.astype(float), at[5:8][which].astype(float), 0.0)
    assert identical(library("find", *args, data=data), want)
    assert identical(functions._find(data, *args), want)


# -- networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in CONSTRUCTS if OPTIONS.get(n, {}).get("precision") != "single"])
def test_constructs(name: str) -> None:
    assert sum(same(CONSTRUCTS[name](), "numpy", [50, 150], **OPTIONS.get(name, {})).counts.values())


CASES = ("spike_lists", "poisson_drive", "poisson_drive_varying", "time_arrays", "long_delays", "edge_threshold",
         "sums_have_no_order", "random_numbers", "refractory_per_neuron", "no_steps", "flush_to_zero")  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    found = run_case(BY_NAME[name], Target("brian2", {"mode": "numpy"}))
    assert found.reached == "bits", found.message


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 40, 46, 51, 58])
def test_random_networks(seed: int) -> None:
    network = rn.draw(rn.Seeded(seed), rn.family(seed % rn.ALL))
    want = rn.outcome(network.graph, "reference", [network.steps])
    got, _ = outcome(network.graph, "numpy", network.stretches[0])
    assert not rn.difference(network.graph, want, got)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_random_networks_that_learn(seed: int) -> None:
    network = rn.draw(rn.Seeded(seed), rn.plastic_family(seed % rn.ALL_PLASTIC))
    want = rn.outcome(network.graph, "reference", [network.steps])
    got, _ = outcome(network.graph, "numpy", network.stretches[0])
    assert not rn.difference(network.graph, want, got)


def test_standalone_learns_on_threads() -> None:
    """Weights, variables of synapses and what is sampled of them, intervals, and what spikes carry."""
    network = rn.draw(rn.Seeded(3), rn.plastic_family(3))
    want = rn.outcome(network.graph, "reference", [network.steps])
    got, _ = outcome(network.graph, "standalone", [network.steps], threads=2)
    assert any(p.release is not None for p in network.graph.projections) and want.weights
    assert any(p.edge for p in network.graph.probes)
    assert not rn.difference(network.graph, want, got)


def test_standalone_names_the_edge_that_leaves_the_numbers() -> None:
    net = ns.Network("weights", dt=DT)
    source = net.population("s", 1, SpikeSource([[9] * ms]))
    receptor = ns.Receptor("x[n+1] = 0*x", event="x += w")
    target = net.population("t", 2, SpikeSource([[1] * ms, [1, 2, 3] * ms])(receptors={"e": receptor}))
    rule = ns.Plasticity(on_post="w = w*1e200", name="Explosive")
    net.connect(source, target, weight=1e-6, delay=DT, plasticity=rule, name="st")
    graph = compile_network(net)
    want = rn.outcome(graph, "reference", [50])
    got, n = outcome(graph, "standalone", [50])
    assert "weight of edge 1 of projection 'st'" in want.diverged and got.diverged == want.diverged and n < 50


@pytest.mark.parametrize("seed", [0, 2])
def test_random_networks_compiled(seed: int) -> None:
    network = rn.draw(rn.Seeded(seed), rn.family(seed % rn.ALL))
    want = rn.outcome(network.graph, "reference", [network.steps])
    got, _ = outcome(network.graph, "cython", network.stretches[0])
    assert not rn.difference(network.graph, want, got)


def test_standalone_in_stretches() -> None:
    out = same(quiet(delay=ns.uniform(DT, 9 * DT)), "standalone", [7, 0, 13, 40])
    assert out.counts["cells"] > 1000 and len(out.samples[-1][0]) == 20  # type: ignore[index]


def test_standalone_on_threads_ends_where_a_value_leaves_the_numbers() -> None:
    graph = compile_network(growing())
    want = rn.outcome(graph, "reference", [50])
    got, n = outcome(graph, "standalone", [50], threads=2)
    assert got.diverged == want.diverged and "neuron 1" in got.diverged and n == 10
    assert len(got.samples[0][0]) == 5 and got.counts == {"a": 20}  # type: ignore[index]


@pytest.mark.parametrize("net", [growing, crowded])
def test_a_run_that_diverges_keeps_what_was_recorded(net: Callable[[], ns.Network]) -> None:
    with pytest.raises(DivergedError) as truth:
        net().run(50 * DT, backend="reference")
    with pytest.raises(DivergedError) as found:
        net().run(50 * DT, backend="brian2", mode="numpy")
    assert str(found.value) == str(truth.value)
    one, other = found.value.result, truth.value.result  # type: ignore[attr-defined]
    assert one.provenance.status == "diverged" and one.provenance.n_steps == other.provenance.n_steps
    assert one.counts == other.counts and sum(one.counts.values())
    for name, spikes in other.spikes.items():
        assert spikes.identical(one.spikes[name])


@pytest.mark.parametrize("n", [1, 2, 70])
def test_sizes(n: int) -> None:
    assert sum(same(quiet(n)).counts.values())


@pytest.mark.parametrize("delay", [DT, ns.uniform(DT, 9 * DT)])
def test_projection_without_edges(delay: Any) -> None:
    same(quiet(7, rule=ns.FixedTotalNumber(0), delay=delay))
    net = ns.Network(dt=DT, seed=1)
    cells = net.population("cells", 3, QUIET(limit=-10.0))
    net.connect(cells, cells, rule=ns.FixedTotalNumber(0), weight=0.2, delay=delay)
    assert same(net).counts == {"cells": 180}


def test_no_threshold_no_inbox_nothing_recorded() -> None:
    net = ns.Network(dt=DT)
    net.population("a", 3, ns.Cell("v[n+1] = v + 1"))
    assert same(net, stretches=[3, 0, 4]).state["a"]["v"].tolist() == [7.0] * 3


def test_signed_zeros_and_intermediates() -> None:
    net = ns.Network(dt=0.05 * ms)
    text = "v[n+1] = -v\nu[n+1] = where(t > 1*ms, exp(-v), -0.0)\nw[n+1] = u*0 - 0.0\nz[n+1] = v"
    pop = net.population("a", 5, ns.Cell(text, init={"v": [0.0, -0.0, 1.0, 2.0, -0.5]}))
    for name in "uvwz":
        net.record(pop, name)
    out = same(net)
    assert np.signbit(out.state["a"]["z"]).tolist() == [True, False, True, True, False]
    assert np.signbit(out.samples[0][1][0]).all() and not np.signbit(out.state["a"]["u"]).any()  # type: ignore[index]


def test_programs_that_differ_in_the_sign_of_a_zero_are_two() -> None:
    net = ns.Network(dt=DT)
    for name, text in (("a", "v[n+1] = 0.0*v + 0.0"), ("b", "v[n+1] = 0.0*v + (-0.0)")):
        net.record(net.population(name, 2, ns.Cell(text), init={"v": -1.0}), "v")
    out = same(net)
    assert out.state.keys() == {"a", "b"}


def test_populations_with_one_program_are_one_group() -> None:
    net = ns.Network(dt=DT, seed=5)
    cell = LIF(t_ref=1 * ms, receptors={"syn": ExpCurrent(tau=3 * ms)})
    for k, n in enumerate((3, 5, 4)):
        pop = net.population(f"p{k}", n, cell(tau_m=(10 + k) * ms))
        net.stimulate(pop, PoissonInput(2000 * Hz, weight=2 * mV, receptor="syn"))
        net.stimulate(pop, DCInput((15 + k) * mV))
        net.record(pop, "spikes")
    net.connect(net["p0"] + net["p2"], net["p1"] + net["p2"], weight=1 * mV, delay=0.5 * ms)
    layout = lay_out(compile_network(net), watched=False)
    assert [len(b.populations) for b in layout.blocks] == [3]
    assert layout.starts() == [("p0", 0, 3), ("p1", 3, 5), ("p2", 8, 4)]
    assert sum(same(net, stretches=[400]).counts.values()) > 20


def test_all_operations_are_printed() -> None:
    assert set(OPS) - {"arg"} == set(printer.OPERATIONS)


def test_integers_beyond_doubles_are_refused() -> None:
    b = Builder()
    b.emit("store", b.emit("float", b.emit("add", b.emit("step"), b.const(1))), attr="v")
    assert printer.whole_numbers(b.build()) == "add"


# -- runs -----------------------------------------------------------------------------------------------------------


def test_engines_in_turns() -> None:
    graph, other = compile_network(quiet()), compile_network(quiet(seed=2, delay=ns.uniform(DT, 5 * DT)))
    engines = [rn.build(g, "brian2", None, {"mode": "numpy"}) for g in (graph, other, graph)]
    counts: list[dict[str, int]] = [{} for _ in engines]
    for _ in range(3):
        for k, engine in enumerate(engines):
            engine.advance(20)
            for name, count in engine.drain().counts.items():
                counts[k][name] = counts[k].get(name, 0) + count
    assert counts[0] == counts[2] == rn.outcome(graph, "reference", [60]).counts
    assert counts[1] == rn.outcome(other, "reference", [60]).counts


def test_drain_forgets() -> None:
    engine = rn.build(compile_network(quiet()), "brian2", None, {"mode": "numpy"})
    engine.advance(30)
    assert sum(engine.drain().counts.values())
    again = engine.drain()
    assert not sum(again.counts.values())
    assert not any(len(s[0]) for s in again.spikes.values())
    assert not any(len(s[0]) for s in again.samples if s is not None)
    assert all(not parts for parts in (*engine.found.values(), *engine.samples))  # type: ignore[attr-defined]


def test_interrupt_keeps_what_was_recorded() -> None:
    def progress(stage: str, done: int, total: int, wall: float) -> None:
        if stage == "simulate" and done >= 40:
            signal.raise_signal(signal.SIGINT)

    result = quiet().run(10_000 * ms, backend="brian2", mode="numpy", progress=progress)
    assert result.provenance.status == "interrupted" and result.provenance.n_steps >= 40
    whole = quiet().run(result.provenance.n_steps * DT, backend="reference")
    assert result.spikes["cells"].identical(whole.spikes["cells"])


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a maker of standalone engines whose program is a line of shell instead."""
    from neurosim.backends.brian2_backend.standalone import StandaloneEngine

    def make(line: str) -> Any:
        def write(engine: StandaloneEngine) -> None:
            path = engine.folder / "main"
            path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
            path.chmod(0o700)

        monkeypatch.setattr(StandaloneEngine, "_compile", write)
        return rn.build(compile_network(quiet(3)), "brian2", None, {"mode": "standalone"})

    return make


def test_interrupt_ends_the_program_and_the_run(program: Callable[[str], Any]) -> None:
    engine = program("kill -INT $$")
    with pytest.raises(KeyboardInterrupt):
        engine.advance(3)
    assert engine.folder.exists()
    engine.close()
    assert not engine.folder.exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo out of luck; exit 3", "failed with status 3: out of luck"),
        ("echo Error opening static array", "failed with status 0: Error opening static array"),
        ("exit 0", "wrote 0 of 20 values to .*: is the disk full"),
    ],
)
def test_a_program_that_fails(program: Callable[[str], Any], line: str, says: str) -> None:
    engine = program(line)
    with pytest.raises(BackendError, match=says):
        engine.advance(3)
    engine.close()


# -- Brian2's own state ---------------------------------------------------------------------------------------------


def brian_state() -> tuple[Any, ...]:
    brian2 = session.load()
    module = importlib.import_module("brian2.devices.device")
    log = logging.getLogger("brian2")
    return (module.active_device, list(module.previous_devices), dict(brian2.prefs.prefs), log.level, sys.excepthook)


def test_everything_is_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    brian2 = session.load()
    before = brian_state()
    quiet(5).run(2 * ms, backend="brian2", mode="numpy")
    assert brian_state() == before
    with pytest.raises(DivergedError):
        growing().run(50 * DT, backend="brian2", mode="numpy")
    assert brian_state() == before
    with pytest.raises(ZeroDivisionError), session.session("standalone", threads=3):
        assert brian2.prefs["devices.cpp_standalone.openmp_threads"] == 3
        assert brian2.get_device() is not before[0]
        raise ZeroDivisionError
    assert brian_state() == before
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_users_own_brian2_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another device, other preferences and a network half run, none of which the backend minds or changes."""
    brian2 = session.load()
    monkeypatch.setitem(brian2.prefs.prefs, "core.default_float_dtype", np.float32)
    monkeypatch.setitem(brian2.prefs.prefs, "codegen.target", "numpy")
    group = brian2.NeuronGroup(3, "dv/dt = -v/(10*ms) : 1", method="exact", name="mine")
    group.v = [1, 2, 3]
    network = brian2.Network(group)
    with np.errstate(all="ignore"):
        network.run(1 * brian2.ms, namespace={})
    brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        same(quiet(9))
        assert brian2.get_device() is brian2.all_devices["cpp_standalone"]
    finally:
        brian2.devices.reset_device()
        brian2.all_devices["cpp_standalone"].reinit()
    with np.errstate(all="ignore"):
        network.run(1 * brian2.ms, namespace={})
    assert group.v[:].dtype == np.float32
    assert np.allclose(group.v, np.array([1, 2, 3]) * np.exp(-0.2), rtol=1e-5)


IMPORT = """
import logging, sys, warnings
before = sys.excepthook, warnings.showwarning
import neurosim as ns
from neurosim.units import ms
assert "brian2" not in sys.modules
net = ns.Network(dt=0.1*ms)
net.population("a", 2, ns.Cell("v[n+1] = v + 1", threshold="v > 2"))
net.run(1*ms, backend="brian2", mode="numpy")
assert (sys.excepthook, warnings.showwarning) == before
assert sys.modules["brian2"].get_device() is sys.modules["brian2"].all_devices["runtime"]
"""


def test_the_first_import_changes_nothing_for_the_user(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- refusals -------------------------------------------------------------------------------------------------------


def test_single_precision_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="precision 'single'"):
        quiet(3).run(1 * ms, backend="brian2", precision="single")


def test_modes() -> None:
    with pytest.raises(ParameterError, match="one of cython, numpy, standalone, not 'nunpy'; did you mean 'numpy'"):
        quiet(3).run(1 * ms, backend="brian2", mode="nunpy")
    with pytest.raises(UnsupportedError, match="mode 'cython' of backend 'brian2' runs on one thread: .*standalone"):
        quiet(3).run(1 * ms, backend="brian2", mode="cython", threads=2)
    assert choose_mode(Options()) == "cython"
    assert choose_mode(Options(threads=2)) == "standalone"
    assert choose_mode(Options(threads=1, extra={"mode": "numpy"})) == "numpy"


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.setenv(name, "nocompiler")
    for mode in ("cython", "standalone"):
        with pytest.raises(BackendMissingError, match=f"mode '{mode}'.* there is no 'nocompiler'.*mode='numpy'"):
            quiet(3).run(1 * ms, backend="brian2", mode=mode)
    assert choose_mode(Options()) == "numpy"
    same(quiet(3))


def test_no_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, command in session.compilers().items():
        (tmp_path / command).symlink_to(shutil.which(command) or command)
        monkeypatch.setenv(key, command)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendMissingError, match="there is no 'make'"):
        choose_mode(Options(extra={"mode": "standalone"}))
    assert choose_mode(Options()) == "cython"


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(BackendError, match="the C\\+\\+ program of backend 'brian2' does not compile .*CXX=false"):
        quiet(3).run(1 * ms, backend="brian2", mode="standalone")


def test_a_compiler_without_a_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(session, "FLAGS", (*session.FLAGS, "-fno-such-flag"))
    with pytest.raises(BackendMissingError, match="does not take -fno-such-flag"):
        quiet(3).run(1 * ms, backend="brian2", mode="cython")


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEUROSIM_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BackendMissingError, match="cannot be written .*NEUROSIM_CACHE_DIR"):
        quiet(3).run(1 * ms, backend="brian2", mode="cython")


def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise AttributeError("module 'numpy' has no attribute 'trapz'")

    session.load()
    monkeypatch.delitem(sys.modules, "brian2")
    monkeypatch.setattr(session.importlib, "import_module", refuse)
    with pytest.raises(BackendMissingError, match="Brian2 .* cannot be imported .*trapz.*pip install 'brian2"):
        session.load()

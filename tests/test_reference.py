"""The reference interpreter: its engine's own duties. What its steps mean is shown by neurosim/conformance/cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.reference_backend import ReferenceBackend, ReferenceEngine
from neurosim.compile import compile_network
from neurosim.errors import DivergedError, ParameterError
from neurosim.ir.graph import Schedule, Table
from neurosim.ir.leaves import scheduled, table_row, uniform_words
from neurosim.lang.components import Cell, Receptor
from neurosim.units import ms, second

HERE = Path(__file__).name


def counter(n: int = 3, threshold: float = 4.0) -> ns.Network:
    net = ns.Network(dt=0.1 * ms, seed=1)
    cell = Cell(
        "v[n+1] = v + 1", threshold="v >= th", reset="v = 0", th=threshold, receptors={"e": Receptor(event="v += w")}
    )
    pop = net.population("p", n, cell)
    net.record(pop, "spikes")
    net.record(pop[:2], "v")
    return net


def engine(net: ns.Network, **options) -> ReferenceEngine:
    return ReferenceBackend().build(compile_network(net, **options), Options())


def test_stretches_do_not_matter():
    whole, parts = engine(counter()), engine(counter())
    whole.advance(12)
    drained = [whole.drain()]
    for steps in (1, 4, 0, 7):
        parts.advance(steps)
        drained.append(parts.drain())
    one, many = drained[0], drained[1:]
    for k in (0, 1):
        assert np.array_equal(one.spikes["p"][k], np.concatenate([d.spikes["p"][k] for d in many]))
        assert np.array_equal(one.samples[1][k], np.concatenate([d.samples[1][k] for d in many]))
    assert one.counts == {"p": 9} == {"p": sum(d.counts["p"] for d in many)}
    assert one.samples[0] is None
    assert many[2].samples[1][1].shape == (0, 2)


def test_spikes_come_sorted_by_step_then_neuron():
    e = engine(counter())
    e.advance(8)
    steps, neurons = e.drain().spikes["p"]
    assert steps.tolist() == [3, 3, 3, 7, 7, 7]
    assert neurons.tolist() == [0, 1, 2] * 2
    assert (steps.dtype, neurons.dtype) == (np.int64, np.int64)


def test_what_is_not_recorded_is_only_counted():
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, Cell("v[n+1] = v", threshold="v >= 0"))
    e = engine(net)
    e.advance(3)
    drained = e.drain()
    assert (drained.spikes, drained.samples, drained.counts) == ({}, [], {"p": 6})


def test_state_is_a_copy():
    e = engine(counter())
    e.advance(2)
    state = e.state("p")
    state["v"][:] = 99
    assert e.state("p")["v"].tolist() == [2, 2, 2]
    assert state.keys() == {"v"}


def test_edges_are_counted_and_the_ring_is_as_long_as_the_longest_delay():
    net = counter()
    net.connect(net["p"], net["p"], weight=0.0, delay=0.7 * ms)
    net.connect(net["p"], net["p"][0], weight=0.0, delay=0.2 * ms)
    e = engine(net)
    assert e.edges() == 9 + 3
    assert e.slots == 8
    assert engine(counter()).edges() == 0


@pytest.mark.parametrize("precision", ["double", "single"])
def test_every_value_has_the_precision_of_the_run(precision):
    e = engine(counter(), precision=precision)
    e.advance(1)
    assert e.state("p")["v"].dtype == (np.float64 if precision == "double" else np.float32)
    assert e.drain().samples[1][1].dtype == np.float64


# -- what goes wrong -----------------------------------------------------------------------------------------------


def exploding(threshold: str | None = None) -> ns.Network:
    net = ns.Network(dt=1 * ms)
    net.population("p", 3, Cell("v[n+1] = v*v*g", threshold=threshold, g=[0.0, 1e3, 0.0]), init={"v": 10.0})
    net.record(net["p"], "v")
    return net


def test_a_run_that_diverges_names_the_variable_the_neuron_and_the_step():
    net = exploding("v > 1")
    net.record(net["p"], "spikes")
    with pytest.raises(DivergedError) as caught:
        net.run(1 * second, backend="reference")
    assert caught.value.message == (
        "v of neuron 1 in population 'p' is no finite number any more at t = 7 ms: use a smaller dt, "
        "another method, or smaller weights, and look whether anything is divided by 0"
    )
    assert HERE in caught.value.where
    result = caught.value.result
    assert result.provenance.status == "diverged"
    assert result.provenance.n_steps == 7
    assert result.state["p"]["v"].of(1).tolist()[:2] == [1e5, 1e13]
    assert result.spikes["p"].steps.tolist() == [0, 1, 2, 3, 4, 5, 6], "what was recorded is kept"


def test_the_message_does_not_depend_on_how_the_run_is_cut():
    for stretch in (1, 3, 50):
        e = engine(exploding())
        with pytest.raises(DivergedError, match="at t = 7 ms"):
            for _ in range(50):
                e.advance(stretch)


def test_options_are_checked():
    net = counter()
    for duration, message in (
        (
            0.25 * ms,
            "the duration is 0.25 ms, which is not a whole number of steps at dt = 0.1 ms; nearest legal: 0.2 "
            "ms or 0.3 ms",
        ),
        (-1 * ms, "duration must not be negative, got -1 ms"),
        ([1, 2] * ms, "duration must be one value, got shape [2]"),
    ):
        with pytest.raises(ParameterError) as caught:
            net.run(duration, backend="reference")
        assert (caught.value.message, HERE in caught.value.where) == (message, True)
    for threads in (0, -1, 1.5, "2"):
        with pytest.raises(ParameterError, match="^threads must be a whole number of at least 1, got "):
            net.run(1 * ms, backend="reference", threads=threads)
    with pytest.raises(ParameterError, match="^backend 'reference' has no option 'thread'; did you mean 'threads'\\?"):
        net.run(1 * ms, backend="reference", thread=2)


# -- leaves --------------------------------------------------------------------------------------------------------


def test_rows_of_time_arrays():
    table = Table(np.array([10.0, 20.0, 30.0]), every=2)
    assert [table_row(table, n) for n in range(8)] == [10, 10, 20, 20, 30, 30, 30, 30]
    table = Table(np.array([10.0, 20.0, 30.0]), every=2, repeat=True)
    assert [table_row(table, n) for n in range(8)] == [10, 10, 20, 20, 30, 30, 10, 10]


def test_spike_lists():
    schedule = Schedule(np.array([0, 2, 2, 5]), np.array([1, 0, 3, 2]))
    assert [scheduled(schedule, n).tolist() for n in range(7)] == [[1], [], [0, 3], [], [], [2], []]
    again = Schedule(schedule.steps, schedule.neurons, period=6)
    assert scheduled(again, 8).tolist() == [0, 3]
    assert scheduled(again, 6).tolist() == [1]


def test_uniform_numbers_stay_inside_0_and_1():
    words = np.array([0, 2**32 - 1, 2**31], dtype=np.uint32)
    double, single = uniform_words(words, np.float64), uniform_words(words, np.float32)
    assert double.tolist() == [2.0**-33, 1 - 2.0**-33, 0.5 + 2.0**-33]
    assert single.tolist() == [2.0**-24, 1 - 2.0**-24, 0.5 + 2.0**-24]
    assert single.dtype == np.float32

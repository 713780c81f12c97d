"""Running: what is kept of a run that is short, streamed, or asks for what a backend does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import DivergedError, ParameterError, UnsupportedError
from neurosim.models import LIF, DeltaCurrent, PoissonInput
from neurosim.units import Hz, ms, mV

BACKENDS = ("reference", "native")


def small(n: int = 5, rate: Any = 500 * Hz) -> ns.Network:
    """A few neurons, all connected, under Poisson input."""
    net = ns.Network("small", dt=0.1 * ms, seed=3)
    pop = net.population("p", n, LIF(receptors={"e": DeltaCurrent}))
    net.connect(pop, pop, weight=0.5 * mV, delay=1 * ms, name="loop")
    net.stimulate(pop, PoissonInput(rate, weight=2 * mV))
    net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_streamed_run_keeps_what_one_in_memory_keeps(backend: str, tmp_path: Path) -> None:
    def run(**more: Any) -> Any:
        net = small()
        net.record(net["p"], "v", every=1 * ms)
        net.record(net["p"], "rate", every=5 * ms)
        net.record(net.projections["loop"], "weight", every=10 * ms)
        return net.run(50 * ms, backend=backend, **more)

    kept, streamed = run(), run(output=tmp_path / "run.h5", load=True)
    assert len(kept.spikes["p"]) > 0
    assert kept.spikes["p"].identical(streamed.spikes["p"])
    assert kept.state["p"]["v"].identical(streamed.state["p"]["v"])
    assert np.array_equal(kept.population_rates["p"].values, streamed.population_rates["p"].values)
    assert kept.weight_traces["loop"].identical(streamed.weight_traces["loop"])
    assert kept.weight_traces["loop"].values.shape == (5, 25)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_shorter_than_a_probes_interval_has_an_empty_trace(backend: str) -> None:
    net = small()
    net.record(net["p"], "v", every=1 * ms)
    for duration in (0 * ms, 0.5 * ms):
        result = net.run(duration, backend=backend)
        assert result.state["p"]["v"].values.shape == (0, 5)
        assert len(result.spikes["p"]) == 0


def test_threads_are_refused_where_there_are_none() -> None:
    with pytest.raises(UnsupportedError, match="backend 'reference' runs on one thread: leave threads out"):
        small().run(1 * ms, backend="reference", threads=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_poisson_means_beyond_the_limit_end_the_run(backend: str) -> None:
    with pytest.raises(DivergedError, match="is no finite number any more"):
        small(rate="8e6*Hz + 0*Hz*t/second").run(1 * ms, backend=backend)
    with pytest.raises(ParameterError, match="at most 700"):
        small(300, rate=np.linspace(1e6, 8e6, 300) * Hz).run(1 * ms, backend=backend)

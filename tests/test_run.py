"""Running: what is kept of a run that is short, streamed, or asks for what a backend does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim import memory
from neurosim.compile import compile_network
from neurosim.errors import DivergedError, ParameterError, ResourceError, UnsupportedError
from neurosim.models import LIF, DeltaCurrent, PoissonInput
from neurosim.units import Hz, ms, mV, second

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


@pytest.mark.parametrize("version", [1, 2])
def test_the_memory_of_a_container_counts(tmp_path, version):
    """A group allows 5 MB, of which 2 MB are used and 0.5 MB of those can be freed; the machine has 8000 kB."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 99999 kB\nMemAvailable:  8000 kB\n")
    assert memory.available_memory(str(tmp_path)) == 8000 * 1024
    folder, limit, usage, freed = {
        1: ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    }[version]
    (tmp_path / "proc/self/cgroup").write_text("5:cpu:/x\n4:memory:/a/b\n" if version == 1 else "0::/a/b\n")
    without = "max" if version == 2 else str(2**63 - 4096)
    for group, (most, used, file) in {"a/b": (without, 10, 0), "a": (5_000_000, 2_000_000, 500_000)}.items():
        at = tmp_path / folder / group
        at.mkdir(parents=True, exist_ok=True)
        (at / limit).write_text(f"{most}\n")
        (at / usage).write_text(f"{used}\n")
        (at / "memory.stat").write_text(f"cache 3\n{freed} {file}\n")
    assert memory.available_memory(str(tmp_path)) == 3_500_000


def test_what_is_recorded_has_to_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is known before a step is made: nobody waits for the kernel to kill the run."""
    monkeypatch.setattr(memory, "available_memory", lambda root="/": 2**30)
    net = ns.Network("m", dt=0.1 * ms)
    p = net.population("p", 1000, LIF())
    net.record(p, "v")
    with pytest.raises(ResourceError, match=r"what is recorded needs about 1.5 GiB, most of it 'v' of 'p'.*output="):
        net.run(10 * second, backend="reference")
    with pytest.raises(ResourceError, match=r"needs about 1.5 GiB"):
        net.run_trials(100 * ms, 100)
    other = ns.Network("w", dt=0.1 * ms)  # weights are kept in memory whatever there is of files
    p = other.population("p", 100, LIF(receptors={"e": DeltaCurrent}))
    other.record(other.connect(p, p, weight=1 * mV, name="w"), "weight")
    with pytest.raises(ResourceError, match=r"about 1.5 GiB, most of it 'weight' of 'w'.*less often \(every=1\*ms\)$"):
        other.run(2 * second, backend="reference")
    net.run(1 * ms, backend="reference", output=tmp_path / "out.h5")
    memory.holds(compile_network(net), 100_000, streamed=True)

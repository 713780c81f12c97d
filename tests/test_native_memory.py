"""What a run takes, estimated before anything is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from native_kit import DT, QUIET

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.native.backend import NativeBackend
from neurosim.backends.native.engine import NativeEngine
from neurosim.compile import compile_network
from neurosim.errors import ResourceError
from neurosim.models import IF, PoissonInput
from neurosim.units import Hz, ms, mV

MEMORY = """
import ctypes, sys, threading, time
import neurosim as ns
from neurosim.backends.native.backend import NativeBackend
from neurosim.backends.base import Options
from neurosim.compile import compile_network
from neurosim.units import ms
kind = sys.argv[1]
def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096
def network(n, edges):
    net = ns.Network(dt=0.1*ms, seed=1)
    cell = ns.Cell("dx/dt = -x/tau", threshold="x > 1", reset="x = 0*x", tau=5*ms,
                   receptors={"exc": ns.Receptor(event="x += w", name="Add")})
    a = net.population("a", n, cell, init={"x": ns.uniform(0.0, 1.5)})
    weight = 0.001 if kind == "shared" else ns.uniform(0.0, 0.001)
    delay = 0.5*ms if kind != "ring" else ns.uniform(0.1*ms, 10*ms)
    net.connect(a, a, rule=ns.FixedTotalNumber(edges), weight=weight, delay=delay)
    return compile_network(net)
def run(graph):
    engine = NativeBackend().build(graph, Options(threads=2))
    engine.advance(100)
    return engine
run(network(2000, 20000)).close()  # everything that is loaded once
graph = network(5000, 5_000_000)
if hasattr(ctypes.CDLL(None), "malloc_trim"):
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator holds back would be counted as nothing later
before, peak, over = resident(), 0, threading.Event()
def watch():
    global peak
    while not over.is_set():
        peak = max(peak, resident())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
engine = run(graph)
over.set()
watcher.join()
print(peak - before, NativeBackend().estimate(graph))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["shared", "drawn", "ring"])
def test_estimate_of_memory(kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, kind], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    real, estimate = map(int, done.stdout.split())
    assert estimate / 1.5 < real < estimate * 1.5, f"{real:,} bytes, estimated as {estimate:,}"


def test_the_estimate_counts_the_logs_and_every_thread() -> None:
    def network(delay: int, rows: int) -> ns.Network:
        net = ns.Network(dt=DT, seed=1)
        cells = net.population("cells", 6400, QUIET)
        net.connect(cells, cells, rule=ns.FixedInDegree(5), weight=0.2, delay=delay * DT)
        net.stimulate(cells, PoissonInput(ns.TimedArray(np.linspace(1.0, 2.0, rows) * Hz, DT), weight=0.1))
        return net

    def estimate(delay: int, rows: int, threads: int) -> int:
        return NativeBackend().estimate(compile_network(network(delay, rows)), threads)

    # a step more of history is an entry a neuron in the logs, and a row of the table of where steps begin
    assert estimate(1100, 10, 1) - estimate(100, 10, 1) == 1000 * (4 * 6400 + 2 * 8)
    assert estimate(100, 1010, 2) - estimate(100, 10, 2) == 2 * 8 * 1000
    engine = NativeEngine(compile_network(network(1100, 10)), Options(threads=2))
    arrays = (engine.logs, engine.segments, engine.parts[0].inbox, engine.parts[1].inbox)
    assert estimate(1100, 10, 2) > sum(a.nbytes for a in arrays) > engine.logs.nbytes > 4 * 1100 * 6400
    engine.close()


def test_a_network_that_does_not_fit() -> None:
    net = ns.Network(dt=DT)
    cells = net.population("cells", 100_000, IF(receptors={"exc": ns.Receptor(event="v += w", name="Add")}))
    net.connect(cells, cells, rule=ns.FixedInDegree(10_000_000), weight=0.1 * mV, delay=DT)
    with pytest.raises(ResourceError, match=r"needs about [\d,.]+ GiB \(100,000 neurons, 1,000,000,000,000 edges\)"):
        net.run(1 * ms)

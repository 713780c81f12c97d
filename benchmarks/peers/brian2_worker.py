"""Run one benchmark network in Brian2 and print what it took.

Engine ``brian2`` is the C++ standalone device with Brian2's default flags (``-O3 -ffast-math -march=native``): without
OpenMP for one thread, which is its fastest single-threaded form, with ``openmp_threads`` for more. Engine
``brian2-cython`` is the runtime device with cython code (one thread).

Brian2 as fast as it goes without changing the work: weights are constants of the synaptic statement, the delay is one
per projection, spikes are only counted, and the index arrays of the fixed in-degree network are sorted by source
(unsorted, Brunel 12,500 gives the same spikes in 2 to 3 times the time).
Two conventions are translated: Brian2 clamps t_ref/dt - 1 further steps, so that it is given t_ref + dt; and the
threshold is ``v >= v_th``.

The standalone device reports the *processor* time of its loop when it runs without OpenMP, so that the wall time is
taken by two lines of C put around the loop.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks.networks import (
    BRUNEL,
    BRUNEL_STDP,
    COBA,
    CUBA,
    DT_MS,
    NETWORKS,
    CobaNetwork,
    DeltaNetwork,
    Network,
    PlasticNetwork,
    SparseNetwork,
)
from benchmarks.peers.worker import Measurement, Task, main, measurement

CUBA_EQUATIONS = """
dv/dt = (ge + gi - (v - v_rest))/tau_m : volt (unless refractory)
dge/dt = -ge/tau_exc : volt
dgi/dt = -gi/tau_inh : volt
"""
COBA_EQUATIONS = """
dv/dt = (ge*(e_exc - v) + gi*(e_inh - v) - (v - v_rest) + drive)/tau_m : volt (unless refractory)
dge/dt = -ge/tau_exc : 1
dgi/dt = -gi/tau_inh : 1
"""
BRUNEL_EQUATIONS = "dv/dt = -(v - v_rest)/tau_m : volt (unless refractory)"

WALL_CLOCK = """
struct timespec bench_{name};
clock_gettime(CLOCK_MONOTONIC, &bench_{name});
"""
WALL_REPORT = """
std::ofstream bench_file(brian::results_dir + "wall.txt");
bench_file.precision(9);
#define BENCH_SECONDS(a, b) (double(b.tv_sec - a.tv_sec) + 1e-9*double(b.tv_nsec - a.tv_nsec))
bench_file << std::fixed << BENCH_SECONDS(bench_start, bench_ready) << " " << BENCH_SECONDS(bench_ready, bench_done);
"""


class Built(NamedTuple):
    """What a builder made: the cells, the monitor that counts their spikes, the synapses, and all of it as one."""

    cells: Any
    counter: Any
    synapses: list[Any]
    net: Any


def _cells(b2: ModuleType, task: Task, network: Network, equations: str, method: str, namespace: dict[str, Any]) -> Any:
    """Make the neuron group with the constants that every network has."""
    shared = {
        "tau_m": network.tau_m_ms * b2.ms,
        "v_rest": network.v_rest_mv * b2.mV,
        "v_th": network.v_th_mv * b2.mV,
        "v_reset": network.v_reset_mv * b2.mV,
    }
    return b2.NeuronGroup(
        task.size,
        equations,
        threshold="v >= v_th",
        reset="v = v_reset",
        refractory=(network.t_ref_ms + DT_MS) * b2.ms,
        method=method,
        namespace=shared | namespace,
        name="cells",
    )


def _finish(b2: ModuleType, cells: Any, parts: list[Any], synapses: list[Any]) -> Built:
    counter = b2.SpikeMonitor(cells, record=False, name="counter")
    return Built(cells, counter, synapses, b2.Network(cells, counter, *synapses, *parts))


def _sparse(b2: ModuleType, task: Task, network: SparseNetwork, cells: Any, weight_unit: Any) -> Built:
    """Initial values and the two random projections of a Vogels-Abbott network."""
    cells.v = "v_low + rand()*(v_high - v_low)"
    exc, _ = network.split(task.size)
    synapses = []
    projections = (("exc", cells[:exc], "ge", network.weight_exc), ("inh", cells[exc:], "gi", network.weight_inh))
    for name, sources, variable, weight in projections:
        projection = b2.Synapses(
            sources,
            cells,
            on_pre=f"{variable} += w",
            delay=network.delay_ms * b2.ms,
            namespace={"w": weight * weight_unit},
            name=f"from_{name}",
        )
        projection.connect(p=network.probability(task.size))
        synapses.append(projection)
    return _finish(b2, cells, [], synapses)


def _sparse_namespace(b2: ModuleType, network: SparseNetwork) -> dict[str, Any]:
    return {
        "tau_exc": network.tau_exc_ms * b2.ms,
        "tau_inh": network.tau_inh_ms * b2.ms,
        "v_low": network.v_init_low_mv * b2.mV,
        "v_high": network.v_init_high_mv * b2.mV,
    }


def cuba(b2: ModuleType, task: Task, network: SparseNetwork = CUBA) -> Built:
    """Current-based network, integrated exactly."""
    cells = _cells(b2, task, network, CUBA_EQUATIONS, "exact", _sparse_namespace(b2, network))
    return _sparse(b2, task, network, cells, b2.mV)


def coba(b2: ModuleType, task: Task, network: CobaNetwork = COBA) -> Built:
    """Conductance-based network, exponential Euler."""
    namespace = _sparse_namespace(b2, network) | {
        "e_exc": network.e_exc_mv * b2.mV,
        "e_inh": network.e_inh_mv * b2.mV,
        "drive": network.drive_mv * b2.mV,
    }
    cells = _cells(b2, task, network, COBA_EQUATIONS, "exponential_euler", namespace)
    return _sparse(b2, task, network, cells, 1.0)


LEARNING_EQUATIONS = """
w : volt
dx/dt = -x/tau_stdp : 1 (event-driven)
dy/dt = -y/tau_stdp : 1 (event-driven)
"""


def _learning(b2: ModuleType, network: Any, sources: Any, targets: Any) -> Any:
    """Make the synapses that learn, as Brian2's own STDP example writes them."""
    return b2.Synapses(
        sources,
        targets,
        LEARNING_EQUATIONS,
        on_pre={"pre": "v_post += w; x += 1; w = clip(w - alpha*rate*w*y, 0*volt, w_max)"},
        on_post="y += 1; w = clip(w + rate*(w_max - w)*x, 0*volt, w_max)",
        delay={"pre": network.delay_ms * b2.ms},
        namespace={
            "tau_stdp": network.tau_stdp_ms * b2.ms,
            "w_max": network.weight_max_mv * b2.mV,
            "rate": network.stdp_rate,
            "alpha": network.stdp_alpha,
        },
        name="learning",
    )


def brunel(b2: ModuleType, task: Task, network: DeltaNetwork = BRUNEL) -> Built:
    """Delta-synapse network with fixed in-degrees and Poisson input."""
    import numpy as np

    cells = _cells(b2, task, network, BRUNEL_EQUATIONS, "exact", {})
    exc, inh = network.split(task.size)
    rng = np.random.default_rng(task.seed)
    synapses = []
    learns = isinstance(network, PlasticNetwork)
    to_all: list[tuple[str, Any, int, int, float, Any]] = [
        ("exc", cells[:exc], exc, network.in_degree_exc, network.weight_exc_mv, cells),
        ("inh", cells[exc:], inh, network.in_degree_inh, network.weight_inh_mv, cells),
    ]
    if learns:
        to_all[0] = ("exc", *to_all[0][1:5], cells[exc:])
        to_all.append(("learning", *to_all[0][1:5], cells[:exc]))
    for name, group, count, degree, weight, goal in to_all:
        size = len(goal) * degree
        sources = rng.integers(0, count, size=size, dtype=np.uint16 if count <= 1 << 16 else np.uint32)
        order = np.argsort(sources, kind="stable")  # so that the targets of one source lie together and ascend
        targets = (order // degree).astype(np.int32)
        if name == "learning":
            projection = _learning(b2, network, group, goal)
        else:
            projection = b2.Synapses(
                group,
                goal,
                on_pre="v += w",
                delay=network.delay_ms * b2.ms,
                namespace={"w": weight * b2.mV},
                name=f"from_{name}",
            )
        projection.connect(i=sources[order].astype(np.int32), j=targets)
        if name == "learning":
            projection.w = weight * b2.mV
        synapses.append(projection)
    drive = b2.PoissonInput(
        cells, "v", network.in_degree_exc, network.external_rate_hz * b2.Hz, weight=network.weight_exc_mv * b2.mV
    )
    return _finish(b2, cells, [drive], synapses)


BUILDERS: dict[str, Callable[[ModuleType, Task], Built]] = {
    "cuba": cuba,
    "coba": coba,
    "brunel": brunel,
    "brunel_stdp": lambda b2, task: brunel(b2, task, BRUNEL_STDP),
}


class Walls(NamedTuple):
    """Wall seconds of the parts of a run."""

    build: float
    compile: float
    simulate: float


def _run_standalone(b2: ModuleType, task: Task) -> tuple[Built, Walls]:
    """Generate, compile and run a C++ project in ``task.workdir``; compiled files of an earlier run are used again."""
    start = time.perf_counter()
    project = task.workdir / "project"
    b2.set_device("cpp_standalone", directory=str(project), build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = task.threads if task.threads > 1 else 0
    b2.defaultclock.dt = DT_MS * b2.ms
    b2.seed(task.seed)
    built = BUILDERS[task.network](b2, task)
    device = b2.get_device()
    device.insert_code("before_start", WALL_CLOCK.format(name="start"))
    device.insert_code("before_network_run", WALL_CLOCK.format(name="ready"))
    device.insert_code("after_network_run", WALL_CLOCK.format(name="done") + WALL_REPORT)
    built.net.run(task.duration_ms * b2.ms)
    device.build(directory=str(project), compile=True, run=True, with_output=False)
    make, binary = device.timers["compile"]["make"], device.timers["run_binary"]
    generate = time.perf_counter() - start - make - binary
    setup, simulate = map(float, Path(device.results_dir, "wall.txt").read_text().split())
    return built, Walls(generate + setup, make, simulate)


def _run_cython(b2: ModuleType, task: Task) -> tuple[Built, Walls]:
    """Run in this process with cython code, whose cache is kept in ``task.workdir``.

    What `Network.run` does before its loop counts as compiling. Brian2 compiles the code that makes synapses while it
    makes them, so that a cold ``build`` holds some compiling too.
    """
    if task.threads != 1:
        raise ValueError(f"brian2-cython runs on one thread, not {task.threads}")
    start = time.perf_counter()
    b2.prefs.codegen.target = "cython"
    b2.prefs.codegen.runtime.cython.cache_dir = str(task.workdir / "cython")
    b2.defaultclock.dt = DT_MS * b2.ms
    b2.seed(task.seed)
    built = BUILDERS[task.network](b2, task)
    ready = time.perf_counter()
    built.net.run(task.duration_ms * b2.ms)
    done = time.perf_counter()
    simulate = b2.get_device()._last_run_time  # the wall time of the loop alone; the runtime device has no public name
    return built, Walls(ready - start, done - ready - simulate, simulate)


MODES: dict[str, Callable[[ModuleType, Task], tuple[Built, Walls]]] = {
    "brian2": _run_standalone,
    "brian2-cython": _run_cython,
}


def run(task: Task) -> Measurement:
    """Build, compile and simulate the task's network."""
    start = time.perf_counter()
    import brian2 as b2

    imported = time.perf_counter()
    built, walls = MODES[task.engine](b2, task)
    counts = built.counter.count[:]
    exc, inh = NETWORKS[task.network].split(task.size)
    return measurement(
        task,
        import_s=imported - start,
        build_s=walls.build,
        compile_s=walls.compile,
        simulate_s=walls.simulate,
        counts={"exc": int(counts[:exc].sum()), "inh": int(counts[exc:].sum())},
        sizes={"exc": exc, "inh": inh},
        synapses=sum(len(projection) for projection in built.synapses),
    )


if __name__ == "__main__":
    sys.exit(main("brian2", "pip install 'brian2==2.9.*' 'numpy<2.4'", run))

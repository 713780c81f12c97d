"""A network of cells with active dendrites beside Dendrify on Brian2's C++ standalone.

Run ``python benchmarks/dendrites.py``. The network is that of ``neurosim run dendritic``: four compartments a cell,
Euler, dt 0.1 ms, nothing recorded but spikes. Every figure is a fresh process; engines are interleaved; what was
compiled once is used again. Brian2 runs with its default flags (-ffast-math), its PoissonInput in place of a group of
sources, and without OpenMP for one thread. Seconds are those of the steps alone; the ratio is of the medians. Trust
ratios, and those only on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 1.0


def ours(n: int, threads: int) -> dict[str, float]:
    """Run neurosim."""
    import neurosim as ns
    from neurosim.units import second

    net = ns.network("dendritic")(n=n, p=probability(n))
    result = net.run(SECONDS * second, threads=threads)
    p = result.provenance
    return {"simulate": p.wall_simulate_s, "build": p.wall_build_s, "rate": float(result.rates("cells"))}


def theirs(n: int, threads: int, folder: str) -> dict[str, float]:
    """Run Dendrify."""
    import brian2 as b
    from brian2.units import Hz, cm, ms, mV, nS, ohm, second, uF, um, uS
    from dendrify import Dendrite, NeuronModel, Soma

    start = time.perf_counter()
    b.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b.defaultclock.dt = 0.1 * ms
    b.seed(42)
    soma = Soma("soma", length=25 * um, diameter=25 * um)
    trunk = Dendrite("trunk", length=100 * um, diameter=2.5 * um)
    prox = Dendrite("prox", length=100 * um, diameter=1 * um)
    dist = Dendrite("dist", length=100 * um, diameter=0.5 * um)
    dist.synapse("AMPA", tag="X", g=1 * nS, t_decay=5 * ms)
    prox.synapse("AMPA", tag="Y", g=2 * nS, t_decay=5 * ms)
    for part, rise, fall in ((trunk, 34, 27.2), (prox, 15.3, 12.24), (dist, 7, 5.6)):
        part.dspikes("Na", g_rise=rise * nS, g_fall=fall * nS)
    model = NeuronModel(
        [(soma, trunk, 15 * nS), (trunk, prox, 10 * nS), (prox, dist, 4 * nS)], cm=1 * uF / cm**2, gl=40 * uS / cm**2,
        r_axial=150 * ohm * cm, scale_factor=2.8, spine_factor=1.5, v_rest=-60 * mV,
    )  # fmt: skip
    model.config_dspikes(
        "Na", threshold=-40 * mV, duration_rise=1.2 * ms, duration_fall=2.4 * ms, offset_fall=0.2 * ms,
        refractory=5 * ms, reversal_rise="E_Na", reversal_fall="E_K",
    )  # fmt: skip
    cells = model.make_neurongroup(
        n, method="euler", threshold="V_soma > -50*mV", reset="V_soma = -60*mV", refractory=4 * ms, name="cells"
    )
    inputs = [b.PoissonInput(cells, v, 1, 50 * Hz, weight=1) for v in ("s_AMPA_X_dist", "s_AMPA_Y_prox")]
    synapses = b.Synapses(cells, cells, on_pre="s_AMPA_Y_prox += 0.01", name="recurrent")
    synapses.connect(p=probability(n))
    counter = b.SpikeMonitor(cells, record=False)
    net = b.Network(cells, synapses, counter, *inputs)
    device = b.get_device()
    clock = "struct timespec bench_{0};\nclock_gettime(CLOCK_MONOTONIC, &bench_{0});\n"
    report = (
        'std::ofstream bench_file(brian::results_dir + "wall.txt");\nbench_file.precision(9);\n'
        "bench_file << std::fixed << double(bench_done.tv_sec - bench_ready.tv_sec) + "
        "1e-9*double(bench_done.tv_nsec - bench_ready.tv_nsec);\n"
    )
    device.insert_code("before_network_run", clock.format("ready"))
    device.insert_code("after_network_run", clock.format("done") + report)
    net.run(SECONDS * second)
    device.build(directory=folder, compile=True, run=True, with_output=False)
    simulate = float(Path(device.results_dir, "wall.txt").read_text())
    build = time.perf_counter() - start - device.timers["compile"]["make"] - simulate
    return {"simulate": simulate, "build": build, "rate": float(counter.num_spikes) / n / SECONDS}


def probability(n: int) -> float:
    """Probability of a connection: 50 inputs a cell."""
    return min(1.0, 50 / n)


def measured(engine: str, n: int, threads: int, folder: str) -> dict[str, float]:
    """Run one worker process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", engine, str(n), str(threads), folder]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"{engine}, {n} cells, {threads} threads failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000", help="numbers of cells [%(default)s]")
    parser.add_argument("--threads", default="1,2", help="numbers of threads [%(default)s]")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, after one that compiles [%(default)s]")
    parser.add_argument("--worker", nargs=4, metavar=("ENGINE", "N", "THREADS", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        engine, n, threads, folder = given.worker
        out = ours(int(n), int(threads)) if engine == "neurosim" else theirs(int(n), int(threads), folder)
        print(json.dumps(out))
        return
    print(f"{SECONDS:g} s of biology; seconds of wall time for the steps: median of {given.repeat}; spikes/s")
    print(f"{'cells':>7} {'threads':>7} {'neurosim':>10} {'Dendrify':>10} {'ratio':>6} {'rates':>13}")
    with tempfile.TemporaryDirectory() as scratch:
        for n in map(int, given.sizes.split(",")):
            for threads in map(int, given.threads.split(",")):
                rows: dict[str, list[dict[str, float]]] = {"neurosim": [], "dendrify": []}
                for turn in range(given.repeat + 1):
                    for engine, found in rows.items():
                        one = measured(engine, n, threads, f"{scratch}/{n}-{threads}")
                        if turn:
                            found.append(one)
                a, c = (median(one["simulate"] for one in rows[e]) for e in ("neurosim", "dendrify"))
                rates = "/".join(f"{median(one['rate'] for one in rows[e]):.2f}" for e in rows)
                print(f"{n:7d} {threads:7d} {a:10.3f} {c:10.3f} {c / a:6.1f} {rates:>13}", flush=True)


if __name__ == "__main__":
    main()

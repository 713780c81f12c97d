"""What a batch of trials costs beside the same runs one after another: ``python benchmarks/trials.py``.

Sparse networks of LIF cells under Poisson input (35 Hz), recorded spikes, 200 ms a trial. One after another means
``net.run(…, trial=k)`` with its own choice of threads; the batch is ``net.run_trials``; both are whole, with building,
in rounds that take turns, and their spikes are compared. *Simulation alone* counts the steps of the single runs only:
its ratio says what running side by side gives beyond building once. Trust ratios, on an idle machine.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

import neurosim as ns
from neurosim.models import LIF, ExpCurrent, PoissonInput
from neurosim.units import Hz, ms, mV

DURATION = 200 * ms


def network(n: int) -> ns.Network:
    """Four fifths excite, one fifth inhibits; about 150 connections a cell."""
    net = ns.Network("trials", dt=0.1 * ms, seed=2)
    cell = LIF(tau_m=20 * ms, t_ref=2 * ms, receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=10 * ms)})
    exc, inh = net.population("exc", 4 * n // 5, cell), net.population("inh", n // 5, cell)
    for pop in (exc, inh):
        net.stimulate(pop, PoissonInput(1000 * Hz, weight=4 * mV, receptor="exc", n=2))
    rule = ns.FixedInDegree(min(120, n // 4))
    net.connect(exc, [exc, inh], receptor="exc", rule=rule, weight=0.3 * mV, delay=1 * ms)
    net.connect(inh, [exc, inh], receptor="inh", rule=ns.FixedInDegree(min(30, n // 10)), weight=-2 * mV, delay=1 * ms)
    net.record(exc, "spikes")
    return net


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="400,2000,10000")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{given.trials} trials of 200 ms, median of {given.rounds} rounds")
    print(f"{'neurons':>8}  {'rate Hz':>7}  {'one by one':>10}  {'batch':>7}  {'ratio':>5}  {'simulation alone':>16}")
    for n in map(int, given.sizes.split(",")):
        net = network(n)
        net.run_trials(1 * ms, 2)  # what was compiled once is used again
        walls: list[tuple[float, float, float]] = []
        rate = 0.0
        for _ in range(given.rounds):
            begin = time.perf_counter()
            single = [net.run(DURATION, trial=k) for k in range(given.trials)]
            alone = time.perf_counter() - begin
            batch = net.run_trials(DURATION, given.trials)
            for one, other in zip(single, batch, strict=True):
                assert one.spikes["exc"].identical(other.spikes["exc"]), "a trial is not the run that it is alone"
            rate = float(np.mean(batch.counts("exc"))) / (4 * n // 5) / 0.2
            walls.append((alone, batch.wall_s, sum(r.provenance.wall_simulate_s for r in single)))
        a, b, c = (median(column) for column in zip(*walls, strict=True))
        print(f"{n:8,}  {rate:7.1f}  {a:8.2f} s  {b:5.2f} s  {a / b:5.1f}  {c / b:16.1f}", flush=True)


if __name__ == "__main__":
    main()

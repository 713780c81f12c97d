"""What it costs to stop a network every k steps, beside a run without stops: ``python benchmarks/loops.py``."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.models import LiveCurrent, LiveSource
from neurosim.units import ms, mV

STEPS = 10_000


def network(n: int) -> ns.Network:
    """CUBA with a source of spikes and a current that come from outside."""
    net = ns.network("cuba")(n=n)
    source = net.population("source", 20, LiveSource)
    net.connect(source, net["exc"], receptor="exc", rule=ns.FixedProbability(0.02), weight=1.6 * mV, delay=1 * ms)
    net.stimulate(net["exc"], LiveCurrent, name="command")
    return net


def loop(n: int, every: int, steps: int, change: bool) -> float:
    """Return the wall seconds of so many steps with a stop every so often."""
    sim: Any = network(n).start(threads=1)
    values = np.linspace(0, 1, len(sim.network["exc"])) * mV
    sim.run(0.1 * ms * 100)
    begin = time.perf_counter()
    for step in sim.stream(every=every * 0.1 * ms, duration=steps * 0.1 * ms):
        if change:
            step.spikes("exc")
            sim.set("exc.command.value", values)
            sim.emit("source", [1, 2])
    wall = time.perf_counter() - begin
    sim.close()
    return wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of every run [%(default)s]")
    steps = parser.parse_args().steps
    print(f"us per step of 0.1 ms, {steps} steps, one thread; only stopped / spikes read, a current set, spikes given")
    print(f"{'neurons':>8} {'no stop':>9} " + " ".join(f"{f'every {k}':>17}" for k in (1, 10, 100)))
    for n in (400, 4000):
        loop(n, steps, 200, False)  # compile
        without = loop(n, steps, steps, False)
        rows = [(loop(n, k, steps, False), loop(n, k, steps, True)) for k in (1, 10, 100)]
        cells = " ".join(f"{1e6 * a / steps:8.1f} {1e6 * b / steps:8.1f}" for a, b in rows)
        print(f"{n:8d} {1e6 * without / steps:9.1f} {cells}")


if __name__ == "__main__":
    main()

"""Published results of learning, at length: Song, Miller and Abbott's competition over five seeds.

Run with ``scripts/evidence learning``. The numbers to compare with are those of Brian2's example of the same network,
with the same parameters: the fractions of weights below a tenth and above nine tenths of the greatest, and the rate of
each interval. Brian2 runs here too, with five seeds of its own: one run of either says little, as the rates of its
last interval lie between 18 and 22 Hz.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.models.networks import song
from neurosim.units import second

SOURCES = ["neurosim/ir/*.py", "neurosim/lang/*.py", "neurosim/passes/*.py", "backends/native/*.py",
           "backends/compiled/*.py",
           "models/plasticity/*.py", "models/synapses/exponential.py", "models/cells/lif.py",
           "models/networks/song.py", "tests/evidence/learning.py"]  # fmt: skip

SEEDS = (1, 2, 3, 4, 5)
ONE_RUN = {100: (0.234, 0.185, 26.0), 300: (0.270, 0.229, 20.4), 600: (0.282, 0.246, 18.3)}
"""Seconds -> fraction below 0.1, fraction above 0.9, rate since the row before: one run of Brian2 2.9, kept."""


def row(weights: np.ndarray, spikes: np.ndarray, start: int, stop: int) -> list[float]:
    """Fractions of the weights, in units of the greatest, at ``stop``, and the rate since ``start``, both in s."""
    rate = np.count_nonzero((spikes >= start) & (spikes < stop)) / (stop - start)
    return [float((weights < 0.1).mean()), float((weights > 0.9).mean()), float(rate)]


def rows(weights: np.ndarray, spikes: np.ndarray) -> dict[str, list[float]]:
    """One run: fractions and rates at each time of :data:`ONE_RUN`, from the weights at every 100 s."""
    starts = [0, *ONE_RUN]
    return {str(at): row(weights[at // 100 - 1], spikes, start, at)
            for start, at in zip(starts, ONE_RUN, strict=False)}  # fmt: skip


def competition(seed: int) -> dict[str, list[float]]:
    """One run of neurosim, of 600 s."""
    result = song(seed=seed, every=100 * second).run(600 * second)
    return rows(result.weight_traces["synapses"].values / 0.01, result.spikes["neuron"].steps * 1e-4)


def peer(seed: int) -> dict[str, list[float]]:
    """One run of Brian2, compiled, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", __file__, str(seed), folder]  # -P: brian2.py lies beside this file
        subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads((Path(folder) / "rows.json").read_text(encoding="utf-8"))


def in_brian2(seed: int, folder: str) -> None:
    """Run the network as a user of Brian2 writes it (the equations and defaults of its own example), and keep rows."""
    import brian2 as b
    from brian2 import Hz, ms, mV, second

    b.set_device("cpp_standalone", directory=str(Path(folder) / "code"), build_on_run=False)
    b.seed(seed)
    names = {"El": -74 * mV, "Ee": 0 * mV, "tau_m": 10 * ms, "tau_e": 5 * ms, "tau": 20 * ms, "vt": -54 * mV,
             "vr": -60 * mV, "top": 0.01, "up": 0.01 * 0.01, "down": -1.05 * 0.01 * 0.01}  # fmt: skip
    inputs = b.PoissonGroup(1000, rates=15 * Hz)
    neuron = b.NeuronGroup(1, "dv/dt = (ge*(Ee - v) + El - v)/tau_m : volt\n dge/dt = -ge/tau_e : 1",
                           threshold="v > vt", reset="v = vr", method="euler", namespace=names)  # fmt: skip
    neuron.v = -60 * mV
    synapses = b.Synapses(
        inputs, neuron,
        "w : 1\n dx/dt = -x/tau : 1 (event-driven)\n dy/dt = -y/tau : 1 (event-driven)",
        on_pre="ge += w; x += up; w = clip(w + y, 0, top)", on_post="y += down; w = clip(w + x, 0, top)",
        namespace=names,
    )  # fmt: skip
    synapses.connect()
    synapses.w = "rand()*top"
    spikes = b.SpikeMonitor(neuron)
    weights = b.StateMonitor(synapses, "w", record=np.arange(1000), dt=100 * second)
    b.run(600 * second + 0.1 * ms)  # the last sample is taken when 600 s begin
    b.device.build(directory=str(Path(folder) / "code"), compile=True, run=True, debug=False)
    found = rows(np.asarray(weights.w).T[1:] / 0.01, np.asarray(spikes.t / second))
    (Path(folder) / "rows.json").write_text(json.dumps(found), encoding="utf-8")


def run(log: Any) -> dict[str, Any]:
    """The means over the seeds of both, side by side: fractions within 0.03, rates within 5 %."""
    here = [log.step(f"song, seed {seed}", lambda s=seed: competition(s)) for seed in SEEDS]
    there = [log.step(f"song in Brian2, seed {seed}", lambda s=seed: peer(s)) for seed in SEEDS]
    table, passed = {}, True
    for at, one in ONE_RUN.items():
        mean, other = (np.mean([r[str(at)] for r in runs], axis=0) for runs in (here, there))
        ok = bool(np.all(abs(mean[:2] - other[:2]) <= 0.03) and abs(mean[2] / other[2] - 1) <= 0.05)
        table[str(at)] = {"mean": mean.tolist(), "Brian2": other.tolist(), "one run of Brian2": list(one), "passed": ok}
        passed &= ok
        log(f"{at} s: {table[str(at)]}")
    return {"seeds": len(SEEDS), "song": table, "runs": here, "runs of Brian2": there, "passed": passed}


if __name__ == "__main__":
    in_brian2(int(sys.argv[1]), sys.argv[2])

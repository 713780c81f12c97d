"""Published results of learning, at length: Song, Miller and Abbott's competition over five seeds.

Run with ``scripts/evidence learning``. The numbers to compare with are those of Brian2's example of the same network,
with the same parameters: the fractions of weights below a tenth and above nine tenths of the greatest, and the rate of
each interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.models.networks import song
from neurosim.units import second

SOURCES = ["neurosim/ir/*.py", "neurosim/lang/*.py", "neurosim/passes/*.py", "backends/native/*.py",
           "backends/compiled/*.py",
           "models/plasticity/*.py", "models/synapses/exponential.py", "models/cells/lif.py",
           "models/networks/song.py", "tests/evidence/learning.py"]  # fmt: skip

SEEDS = (1, 2, 3, 4, 5)
PUBLISHED = {100: (0.234, 0.185, 26.0), 300: (0.270, 0.229, 20.4), 600: (0.282, 0.246, 18.3)}
"""Seconds -> fraction below 0.1, fraction above 0.9, rate since the row before (Brian2 2.9, one seed)."""


def competition(seed: int) -> dict[str, list[float]]:
    """One run of 600 s: fractions and rates at each time of :data:`PUBLISHED`."""
    result = song(seed=seed, every=100 * second).run(600 * second)
    trace, spikes = result.weight_traces["synapses"], result.spikes["neuron"].steps * 1e-4
    rows, start = {}, 0
    for at in PUBLISHED:
        w = trace.values[at // 100 - 1] / 0.01
        rate = np.count_nonzero((spikes >= start) & (spikes < at)) / (at - start)
        rows[str(at)] = [float((w < 0.1).mean()), float((w > 0.9).mean()), float(rate)]
        start = at
    return rows


def run(log: Any) -> dict[str, Any]:
    """The mean over the seeds beside the published numbers: fractions within 0.03, rates within 5 %."""
    runs = [log.step(f"song, seed {seed}", lambda s=seed: competition(s)) for seed in SEEDS]
    rows, passed = {}, True
    for at, (low, high, rate) in PUBLISHED.items():
        mean = np.mean([r[str(at)] for r in runs], axis=0)
        ok = abs(mean[0] - low) <= 0.03 and abs(mean[1] - high) <= 0.03 and abs(mean[2] / rate - 1) <= 0.05
        rows[str(at)] = {"mean": mean.tolist(), "published": [low, high, rate], "passed": bool(ok)}
        passed &= bool(ok)
        log(f"{at} s: {rows[str(at)]}")
    return {"seeds": len(SEEDS), "song": rows, "runs": runs, "passed": passed}

"""Masquelier, Guyonneau and Thorpe (2008): a pattern hidden among 2,000 afferents is found, in 50 runs of 450 s.

Run with ``scripts/evidence hidden_pattern``. A run succeeds as in the paper, in its last 150 s: more than 98 % of the
presentations answered and no spike elsewhere; and its mean latency is below 15 ms. Nine of ten runs have to.

Others had 96 of 100 (the paper), 90 to 96 of 100 (its code, run again by Hathway and Goodman) and 94 of 100 (their
reproduction with Brian2, with the grid of 0.1 ms that is used here; 98 and 99 on finer ones). Ten runs tell little
about such a rate: one whose runs succeed in 95 of 100 cases has fewer than nine of ten in one case of twelve. Of the
first ten seeds here eight succeed, with steps of 0.1 ms and of 0.02 ms, which is why there are fifty. Runs fail as
they do in Brian2: with a latency that has become very short, one or two false alarms or 3 % of the pattern missed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.models.networks.masquelier import LENGTH, detection, masquelier, presentations
from neurosim.units import second

SOURCES = ["neurosim/ir/*.py", "neurosim/lang/*.py", "neurosim/passes/*.py", "backends/native/*.py",
           "backends/compiled/*.py", "models/cells/spike_source.py", "models/networks/masquelier.py",
           "tests/evidence/hidden_pattern.py"]  # fmt: skip

SEEDS, SECONDS, NEEDED = range(1, 51), 450.0, 45


def search(seed: int) -> dict[str, Any]:
    """One run: how well the pattern is told in each third, when the last false alarm was, and where the weights are."""
    pattern = presentations(seed)
    result = masquelier(seed=seed, every=50 * second).run(SECONDS * second)
    spikes = result.spikes["neuron"].t
    thirds = [detection(spikes, pattern, at, at + SECONDS / 3) for at in np.arange(3) * SECONDS / 3]
    shown = (np.arange(3)[:, None] * pattern.period + pattern.starts).ravel()
    latest = shown[np.maximum(np.searchsorted(shown, spikes, side="right") - 1, 0)]
    outside = (spikes < latest) | (spikes - latest >= LENGTH)
    weights = result.weight_traces["synapses"].values[-1]
    return {
        "hit_rate": [d.hit_rate for d in thirds],
        "false_alarms": [d.false_alarms for d in thirds],
        "latency_ms": [1e3 * d.latency for d in thirds],
        "success": bool(thirds[-1].success and thirds[-1].latency < 0.015),
        "spikes": len(spikes),
        "last_false_alarm_s": float(spikes[outside].max(initial=0.0)),
        "strong synapses, of those in the pattern and of the others": [
            int((w > 0.9).sum()) for w in (weights[:1000], weights[1000:])
        ],
    }


def run(log: Any) -> dict[str, Any]:
    """All seeds."""
    runs = {}
    for seed in SEEDS:
        runs[str(seed)] = log.step(f"seed {seed}", lambda s=seed: search(s))
        log(f"seed {seed}: {runs[str(seed)]}")
    found = sum(r["success"] for r in runs.values())
    return {"runs": runs, "succeeded": found, "of": len(runs), "passed": found >= NEEDED}

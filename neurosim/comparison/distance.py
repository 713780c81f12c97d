"""Distances between spike trains, by Elephant (an optional extra): of a sample of neurons, which is stated."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, NamedTuple

import numpy as np

TAU = 10e-3
"""Time constant of van Rossum's kernel, s."""

MOST_NEURONS, MOST_SPIKES = 50, 1000
INSTALL = "pip install 'neurosim-snn[interop]'"


class Distance(NamedTuple):
    """Mean van Rossum distance over ``neurons`` neurons, up to step ``end``: 1 for one spike that the other lacks."""

    value: float
    neurons: int
    end: int


def missing() -> str | None:
    """Return the line that installs Elephant, None where it is there."""
    found = all(importlib.util.find_spec(name) is not None for name in ("elephant", "neo", "quantities"))
    return None if found else INSTALL


def van_rossum(a: Any, b: Any) -> Distance | None:
    """Return the mean van Rossum distance of a population's neurons in two runs, None where no neuron spikes.

    Trains are filtered with exp(-t / 10 ms) and compared by their Euclidean distance, in Elephant's normalisation: 1
    between an empty train and a single spike. Of the neurons that spike in either run 50 are taken, evenly over their
    ids, up to the step in which one of them reaches its 1000th spike. Source: van Rossum, Neural Comput. 13:751 (2001).

    Parameters
    ----------
    a, b : Spikes
        Of one population, recorded alike.
    """
    import neo
    import quantities as pq
    from elephant.spike_train_dissimilarity import van_rossum_distance

    active = np.flatnonzero(np.bincount(np.concatenate([a.ids, b.ids]), minlength=a.size))
    if not len(active):
        return None
    sample = active[np.unique(np.linspace(0, len(active) - 1, min(len(active), MOST_NEURONS)).astype(np.int64))]
    trains = [_trains(s, sample) for s in (a, b)]
    first, end = a.start_step, a.start_step + a.n_steps
    for train in (t for side in trains for t in side):
        if len(train) > MOST_SPIKES:
            end = min(end, int(train[MOST_SPIKES]))
    values = []
    stop = (end - first) * a.dt * 1e3
    for x, y in zip(*trains, strict=True):
        pair = [neo.SpikeTrain((t[t < end] - first) * a.dt * 1e3, units=pq.ms, t_stop=stop) for t in (x, y)]
        with warnings.catch_warnings():  # tiny negative squares, which Elephant sets to 0
            warnings.simplefilter("ignore", RuntimeWarning)
            values.append(float(van_rossum_distance(pair, TAU * 1e3 * pq.ms, sort=False)[0, 1]))
    return Distance(float(np.mean(values)), len(sample), end)


def _trains(spikes: Any, sample: np.ndarray) -> list[np.ndarray]:
    """Return the steps of each neuron of the sample."""
    mine = np.isin(spikes.ids, sample)
    steps, ids = spikes.steps[mine], spikes.ids[mine]
    order = np.argsort(ids, kind="stable")
    steps, ids = steps[order], ids[order]
    ends = np.searchsorted(ids, [sample, sample + 1])
    return [steps[lo:hi] for lo, hi in zip(*ends, strict=True)]

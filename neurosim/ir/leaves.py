"""What the leaves of a step read besides state: time arrays, spike lists and random words, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.ir.graph import PoissonTable, Schedule, Table
from neurosim.ir.random import poisson_from_words


def table_row(table: Table, n: int) -> Any:
    """Return the row of a time array that holds in step n."""
    k = n // table.every
    return table.values[k % len(table.values) if table.repeat else min(k, len(table.values) - 1)]


def scheduled(schedule: Schedule, n: int) -> np.ndarray:
    """Return the neurons of a spike list in step n."""
    at = n % schedule.period if schedule.period else n
    lo, hi = np.searchsorted(schedule.steps, [at, at + 1])
    return schedule.neurons[lo:hi]


def uniform_words(words: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers in (0, 1) from words; in single precision from their upper 24 bits."""
    if dtype is np.float64:
        return (words.astype(np.float64) + 0.5) * 2.0**-32
    return ((words >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def poisson_row(words: np.ndarray, table: PoissonTable) -> np.ndarray:
    """Return counts from words by each neuron's row of thresholds."""
    if table.row is None:
        return poisson_from_words(words, table.unpadded(0))
    out = np.empty(len(words), dtype=np.int64)
    for k in range(len(table.thresholds)):
        at = table.row == k
        out[at] = poisson_from_words(words[at], table.unpadded(k))
    return out

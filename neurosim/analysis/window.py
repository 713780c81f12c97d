"""Times as users write them, turned into the steps of a recorded run.

Every statistic works on the integer step of a spike, so that a window, a bin or an interval means the same steps on
every backend. A spike found in step n is stamped n dt; the window [start, stop) holds the steps with
start <= n dt < stop.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from neurosim.errors import ParameterError
from neurosim.units import TIME, Quantity, quantity

_ON_GRID = 1e-6  # of a step: how far a time may lie from the grid and still be taken as on it (as for delays)


class SpikeRecord(Protocol):
    """The spikes of one population: what the functions of this room need to know (see ``recording.Spikes``)."""

    @property
    def steps(self) -> np.ndarray: ...
    @property
    def ids(self) -> np.ndarray: ...
    @property
    def size(self) -> int: ...
    @property
    def dt(self) -> float: ...
    @property
    def n_steps(self) -> int: ...
    @property
    def start_step(self) -> int: ...
    @property
    def recorded(self) -> np.ndarray | None: ...


def seconds(value: object, name: str) -> float:
    """Return a single finite time in seconds."""
    time = quantity(value, TIME, name)
    if isinstance(time, np.ndarray):
        raise ParameterError(f"{name} must be one time, not {len(time)}")
    return time


def window(spikes: SpikeRecord, start: Quantity | None = None, stop: Quantity | None = None) -> tuple[int, int]:
    """Return the first step of [start, stop) and the one after its last, cut to the steps that were run."""
    first, end = spikes.start_step, spikes.start_step + spikes.n_steps
    lo = first if start is None else max(first, math.ceil(seconds(start, "start") / spikes.dt - _ON_GRID))
    hi = end if stop is None else min(end, math.ceil(seconds(stop, "stop") / spikes.dt - _ON_GRID))
    if hi <= lo and not (start is None and stop is None):
        asked = f"from {'the start' if start is None else start} to {'the end' if stop is None else stop}"
        ran = f"{first * spikes.dt:g} s to {end * spikes.dt:g} s"
        raise ParameterError(f"the window {asked} is empty: the run was {ran}")
    return lo, hi


def whole_steps(width: Quantity, dt: float, name: str) -> int:
    """Return ``width`` as a number of steps; it must be a positive multiple of ``dt``."""
    exact = seconds(width, name) / dt
    steps = round(exact)
    if steps < 1 or abs(exact - steps) > _ON_GRID:
        below = max(1, math.floor(exact))
        raise ParameterError(
            f"{name} = {width} is not a whole number of steps of {dt * 1e3:g} ms; "
            f"the nearest are {below * dt * 1e3:g} ms and {(below + 1) * dt * 1e3:g} ms"
        )
    return steps


def inside(spikes: SpikeRecord, start: Quantity | None, stop: Quantity | None) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and ids of the spikes in [start, stop), still sorted by (step, id)."""
    lo, hi = window(spikes, start, stop)
    first, end = np.searchsorted(spikes.steps, (lo, hi))
    return spikes.steps[first:end], spikes.ids[first:end]


def neurons(spikes: SpikeRecord) -> int:
    """Return how many neurons were recorded."""
    return spikes.size if spikes.recorded is None else len(spikes.recorded)

"""Neurons that spike at given times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.graph import Schedule
from neurosim.ir.timegrid import MOST_STEPS, TOLERANCE, whole_steps
from neurosim.lang.components import Cell
from neurosim.units import TIME, Quantity, quantity


def SpikeSource(
    times: Any, ids: Any = None, *, period: Quantity | None = None, align: str = "exact", duplicates: str = "error"
) -> Cell:
    """Return a source that spikes at given times; a time of n*dt is a spike of step n.

    Parameters
    ----------
    times : list of Quantity, dict of int to Quantity, or Quantity
        One array of times per neuron (a list, a dict that leaves silent neurons out, or [N, T] where all have as many),
        or all times in one array, beside `ids`.
    ids : array of int, optional
        The neuron of each of the times.
    period : Quantity, optional
        Repeat the pattern for ever, every so often; all times lie before it.
    align : {"exact", "round"}
        Times must be whole numbers of steps (to 1e-6 of one), or are rounded to the nearest.
    duplicates : {"error", "merge"}
        Two spikes of a neuron in one step are refused, or become one.
    """
    return Cell(schedule=SpikeTimes(times, ids, period, align, duplicates), name="SpikeSource",
                doc="spikes at given times")  # fmt: skip


class SpikeTimes:
    """Times and neurons in order, to be put on a network's grid."""

    def __init__(self, times: Any, ids: Any, period: Quantity | None, align: str, duplicates: str,
                 size: int | None = None) -> None:  # fmt: skip
        self.where = where = caller()
        if align not in ("exact", "round"):
            raise ParameterError(f"align must be 'exact' or 'round', got {align!r}", where)
        if duplicates not in ("error", "merge"):
            raise ParameterError(f"duplicates must be 'error' or 'merge', got {duplicates!r}", where)
        self.align, self.duplicates = align, duplicates
        self.size = size  # neurons that the times were given for, where that was said
        if ids is not None:
            self.times = _seconds(times, where)
            self.ids = np.asarray(ids)
            if self.ids.shape != self.times.shape or (self.ids.size and not np.issubdtype(self.ids.dtype, np.integer)):
                raise ParameterError(f"ids must be one whole number for each of the {self.times.size} times", where)
        elif isinstance(times, (Mapping, Sequence)):
            rows = dict(times.items() if isinstance(times, Mapping) else enumerate(times))
            if isinstance(times, Sequence):
                self.size = len(rows)
            parts = {key: _seconds(row, where) for key, row in rows.items()}
            self.times = np.concatenate([np.zeros(0), *parts.values()])
            self.ids = np.repeat(np.array(list(parts), dtype=np.int64), [len(p) for p in parts.values()])
        elif isinstance(times, Quantity) and np.ndim(times.value) == 2:
            rows = np.asarray(quantity(times, TIME, "times of a SpikeSource", where), dtype=np.float64)
            self.size = len(rows)
            self.times, self.ids = rows.ravel(), np.repeat(np.arange(len(rows)), rows.shape[1])
        else:
            raise ParameterError(
                "times of a SpikeSource are one array per neuron (a list or dict), as in [[5, 10]*ms] for one neuron, "
                "or one array with ids=", where
            )  # fmt: skip
        if np.any(self.times < 0):
            first = self.times.min() * 1e3
            raise ParameterError(f"times of a SpikeSource must not be negative, got {first:g} ms", where)
        self.period = None if period is None else float(quantity(period, TIME, "period of a SpikeSource", where))

    def lower(self, n: int, dt: float, label: str, where: str | None) -> Schedule:
        """Return the spikes by step for a population of ``n`` neurons."""
        if self.size is not None and self.size != n:
            raise ParameterError(
                f"population '{label}' of {n} neurons has a SpikeSource with times for {self.size}", where
            )
        bad = self.ids[(self.ids < 0) | (self.ids >= n)]
        if len(bad):
            raise ParameterError(f"the SpikeSource of population '{label}' names neuron {bad[0]}; there are {n}", where)
        with np.errstate(over="ignore"):
            ratio = self.times / dt
        late = np.flatnonzero(~(ratio < MOST_STEPS))
        if len(late):
            whole_steps(float(self.times[late[0]]), dt, f"a spike time of population '{label}'", self.where)
        steps = np.rint(ratio).astype(np.int64)
        off = np.flatnonzero(np.abs(ratio - steps) > TOLERANCE)
        if self.align == "exact" and len(off):
            what = f"a spike time of neuron {self.ids[off[0]]} in population '{label}'"
            try:
                whole_steps(float(self.times[off[0]]), dt, what, self.where)
            except ParameterError as e:
                raise ParameterError(f"{e.message} (align='round' takes the nearest)", self.where) from None
        period = 0
        if self.period is not None:
            period = whole_steps(self.period, dt, f"the period of population '{label}'", self.where, least=1)
            if len(steps) and steps.max() >= period:
                raise ParameterError(f"population '{label}' has a spike at {steps.max() * dt * 1e3:g} ms, which is not "
                                     f"before its period of {self.period * 1e3:g} ms", self.where)  # fmt: skip
        order = np.lexsort((self.ids, steps))
        steps, ids = steps[order], self.ids[order]
        twice = np.flatnonzero((np.diff(steps) == 0) & (np.diff(ids) == 0)) + 1
        if len(twice) and self.duplicates == "error":
            who, at = ids[twice[0]], steps[twice[0]] * dt * 1e3
            raise ParameterError(f"neuron {who} of population '{label}' spikes twice in the step at {at:g} ms: "
                                 "duplicates='merge' makes that one spike", self.where)  # fmt: skip
        return Schedule(np.delete(steps, twice), np.delete(ids, twice).astype(np.int32), period)

    def __repr__(self) -> str:
        return f"SpikeTimes({len(self.times)} spikes)"


def _seconds(times: Any, where: str | None) -> np.ndarray:
    if isinstance(times, (Sequence, np.ndarray)) and not len(times):
        return np.zeros(0)
    return np.atleast_1d(np.asarray(quantity(times, TIME, "times of a SpikeSource", where), dtype=np.float64)).ravel()

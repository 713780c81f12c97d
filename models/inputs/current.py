"""Currents that are known in advance: constant, stepwise, sinusoidal, from an array.

An amplitude is in the unit of the cell's input: amperes, or volts where the cell has r_m = 1. Times are taken to the
nearest step; a current that starts at t acts in the step that starts there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Current, TimedArray
from neurosim.params import Param
from neurosim.units import DIMENSIONLESS, TIME, Hz, Quantity, ms, quantity

_CONSTANT = Current(
    output="amplitude",
    amplitude=Param(0.0, None, "amplitude"),
    name="DCInput",
    doc="constant current",
)

_PULSE = Current(
    output="where(t > start - dt/2 and t < stop - dt/2, amplitude, 0*amplitude)",
    amplitude=Param(0.0, None, "amplitude"),
    start=Param(0 * ms, ms, "first step of the current"),
    stop=Param(0 * ms, ms, "first step without it"),
    name="DCInput",
    doc="constant current from start to stop",
)

_SINE = Current(
    output="offset + amplitude*sin(2*pi*frequency*t + phase)",
    amplitude=Param(0.0, None, "amplitude of the oscillation"),
    frequency=Param(10 * Hz, Hz, "frequency", lo=0),
    phase=Param(0.0, 1, "phase at t = 0 in radians"),
    offset=Param(0.0, None, "mean"),
    name="SineCurrent",
    doc="sinusoidal current",
)

_ARRAY = Current(output="values", values=Param(0.0, None, "values"), name="ArrayCurrent", doc="current from an array")

LiveCurrent = Current(
    "value[n+1] = value",
    output="value",
    name="LiveCurrent",
    doc=(
        "a current that is set while the network runs, by simulation.set('pop.NAME.value', values), where NAME is the "
        "stimulus' own; 0 at the start, and then what was set last"
    ),
)

_FOREVER = 1e9
"""Seconds after which nobody looks any more: the end of a current that has a start and no stop."""

_MAX_ROWS = 10_000_000


def DCInput(amplitude: Any, start: Quantity | None = None, stop: Quantity | None = None) -> Current:
    """Return a constant current.

    Parameters
    ----------
    amplitude : Quantity
        One, an array with one per neuron, a distribution or an expression.
    start, stop : Quantity, optional
        It acts in [start, stop); from the start and for ever by default.
    """
    if start is None and stop is None:
        return _CONSTANT(amplitude=amplitude)
    return _PULSE(amplitude=amplitude, start=0 * ms if start is None else start,
                  stop=Quantity(_FOREVER, TIME) if stop is None else stop)  # fmt: skip


def SineCurrent(amplitude: Any, frequency: Any, phase: Any = 0.0, offset: Any = None) -> Current:
    """Return ``offset + amplitude*sin(2*pi*frequency*t + phase)``, taken at the start of each step.

    Parameters
    ----------
    amplitude, frequency : Quantity
        One, or an array with one per neuron.
    phase : float
        In radians.
    offset : Quantity, optional
        0 by default.
    """
    return _SINE(amplitude=amplitude, frequency=frequency, phase=phase, offset=_zero(amplitude, offset))


def StepCurrent(times: Any, amplitudes: Any) -> Current:
    """Return a current that changes at given times: ``amplitudes[k]`` from ``times[k]`` on, 0 before the first.

    Parameters
    ----------
    times : Quantity
        Ascending, whole numbers of steps.
    amplitudes : Quantity
        [K], or [K, N] with one per neuron.
    """
    where = caller()
    at = np.atleast_1d(np.asarray(quantity(times, TIME, "times of a StepCurrent", where), dtype=float))
    dim = amplitudes.dim if isinstance(amplitudes, Quantity) else DIMENSIONLESS
    values = np.asarray(quantity(amplitudes, dim, "amplitudes of a StepCurrent", where), dtype=float)
    if values.ndim == 0 or at.ndim != 1 or len(values) != len(at) or not len(at):
        raise ParameterError(f"a StepCurrent needs one amplitude per time, got {values.shape} and {at.shape}", where)
    ticks = np.rint(at * 1e9).astype(np.int64)  # in nanoseconds
    if ticks[0] < 0 or np.any(np.diff(ticks) <= 0):
        raise ParameterError("times of a StepCurrent must ascend, from 0 or later", where)
    if ticks[0] > 0:
        ticks, values = np.concatenate(([0], ticks)), np.concatenate((np.zeros_like(values[:1]), values))
    row = math.gcd(*ticks.tolist()) or 1_000_000
    if int(ticks[-1]) // row >= _MAX_ROWS:
        raise ParameterError(f"times of a StepCurrent have no common step above {row} ns: round them", where)
    held = np.repeat(np.arange(len(ticks)), np.append(np.diff(ticks) // row, 1))
    return _ARRAY(values=TimedArray(Quantity(values[held], dim), Quantity(row * 1e-9, TIME)))


def ArrayCurrent(values: Any, dt: Quantity, repeat: bool = False) -> Current:
    """Return a current from an array: row ``k`` holds from ``k*dt`` to ``(k + 1)*dt``, the last one for ever.

    Parameters
    ----------
    values : Quantity
        [T], the same for all neurons, or [T, N].
    dt : Quantity
        Duration of a row, a whole number of the network's steps.
    repeat : bool
        Start again after the last row.
    """
    return _ARRAY(values=TimedArray(values, dt, repeat))


def _zero(like: Any, given: Any) -> Any:
    """The given value, or 0 of the same dimension as another one."""
    if given is not None:
        return given
    dim = getattr(like, "dim", None)
    return 0.0 if dim is None else Quantity(0.0, dim)

"""How alike two spike trains are: coincidences within a precision, and the distance of the trains when smoothed.

Trains are arrays of spike times in seconds in ascending order, as ``result.spikes["pop"].trains()`` gives them, so that
a recording can be compared with a simulation. Widths are quantities (``2*ms``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.analysis.window import seconds
from neurosim.errors import ParameterError
from neurosim.units import Quantity


def coincidence_factor(recorded: Any, predicted: Any, window: Quantity, duration: Quantity) -> float:
    """Coincidences of two trains beyond chance, from 1 (all) over 0 (as many as of a Poisson train) to below.

    With N coincidences, of n spikes recorded and m predicted at the rate f = m/duration:
    (N - 2 f window n) / ((n + m)/2) / (1 - 2 f window). The term that is subtracted is what a Poisson train of the
    predicted rate would give. Each spike takes part in one coincidence at most.

    Parameters
    ----------
    recorded, predicted : array of float
        Spike times in s, ascending, in [0, duration).
    window : Quantity
        Largest distance of two spikes that coincide; published values are for 2 or 4 ms.
    duration : Quantity
        How long both trains were observed.

    Returns
    -------
    float
        Dimensionless; NaN where both trains are empty.

    Raises
    ------
    ParameterError
        If times are not in order or outside [0, duration), or the window is so wide that chance fills it.

    Notes
    -----
    Source: W. M. Kistler, W. Gerstner, J. L. van Hemmen, Neural Comput. 9:1015 (1997); R. Jolivet et al.,
    J. Neurosci. Methods 169:417 (2008).
    """
    reach, length = seconds(window, "window"), seconds(duration, "duration")
    if not (reach > 0 and length > 0):
        raise ParameterError(f"window and duration must be positive, not {window} and {duration}")
    a, b = _train(recorded, "recorded", length), _train(predicted, "predicted", length)
    if len(a) + len(b) == 0:
        return math.nan
    by_chance = 2 * len(b) / length * reach
    if by_chance >= 1:
        raise ParameterError(
            f"a window of {window} on both sides of a spike holds {by_chance:.3g} predicted spikes by chance; "
            f"the factor needs less than one: take less than {500 * length / len(b):.3g} ms"
        )
    excess = _coincidences(a, b, reach) - by_chance * len(a)
    return excess / ((len(a) + len(b)) / 2) / (1 - by_chance)


def van_rossum_distance(a: Any, b: Any, tau: Quantity) -> float:
    """Euclidean distance of two trains whose spikes are replaced by decaying exponentials (dimensionless).

    A train of one spike is 1 away from an empty one, and two single spikes that are t apart are
    sqrt(2 (1 - exp(-t/tau))) apart; this is Elephant's scale, sqrt(2) times the paper's.

    Parameters
    ----------
    a, b : array of float
        Spike times in s, ascending.
    tau : Quantity
        Time constant of the exponentials: differences in time are told from about it on.

    Returns
    -------
    float
        The distance, 0 for equal trains.

    Raises
    ------
    ParameterError
        If times are not in order, or tau is not positive.

    Notes
    -----
    Source: M. C. W. van Rossum, Neural Comput. 13:751 (2001).
    """
    scale = seconds(tau, "tau")
    if not scale > 0:
        raise ParameterError(f"tau must be positive, not {tau}")
    trains = _train(a, "a"), _train(b, "b")
    times = np.concatenate(trains)
    sign = np.concatenate([np.ones(len(trains[0])), -np.ones(len(trains[1]))])
    order = np.argsort(times, kind="stable")
    decay = np.exp(-np.diff(times[order], append=np.inf) / scale)
    total = difference = 0.0
    for jump, left in zip(sign[order].tolist(), decay.tolist(), strict=True):
        difference += jump
        total += difference * difference * (1 - left * left)  # 2/tau times the integral up to the next spike
        difference *= left
    return math.sqrt(total)


def _train(times: Any, name: str, length: float = math.inf) -> np.ndarray:
    """Return spike times as an array, checked."""
    if isinstance(times, Quantity):
        raise ParameterError(f"{name} holds plain numbers in seconds, as trains() gives them, not a quantity")
    try:
        train = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{name} must be an array of spike times in seconds, not {times!r}") from None
    if train.ndim != 1 or not np.all(np.isfinite(train)) or np.any(np.diff(train) < 0):
        raise ParameterError(f"{name} must be one row of finite spike times in ascending order")
    if len(train) and length < math.inf and not (train[0] >= 0 and train[-1] < length):
        raise ParameterError(
            f"{name} has spikes from {train[0]:g} s to {train[-1]:g} s, outside of [0, {length:g}) s; "
            "are they in seconds?"
        )
    return train


def _coincidences(a: np.ndarray, b: np.ndarray, reach: float) -> int:
    """Return how many pairs at most can be made of spikes no further apart than ``reach``, each in one pair."""
    i = j = found = 0
    x, y = a.tolist(), b.tolist()
    reach *= 1 + 1e-9  # times on a grid: 2.3 ms and 4.3 ms are 2 ms apart
    while i < len(x) and j < len(y):
        gap = x[i] - y[j]
        if abs(gap) <= reach:
            found, i, j = found + 1, i + 1, j + 1
        elif gap < 0:
            i += 1
        else:
            j += 1
    return found

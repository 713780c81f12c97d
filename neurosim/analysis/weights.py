"""How weights are spread, and how that changes while a network learns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import ParameterError, caller


class WeightHistogram(NamedTuple):
    """How many weights lie where, at each time they were recorded.

    Attributes
    ----------
    times : ndarray
        In seconds: float64 [times].
    bounds : ndarray
        Of the bins, in the weights' SI unit: float64 [bins + 1].
    fractions : ndarray
        Of the weights that lie in each bin: float64 [times, bins]. The last bin includes its upper bound.
    """

    times: np.ndarray
    bounds: np.ndarray
    fractions: np.ndarray


def weight_histogram(
    trace: Any, bins: int = 50, low: float | None = None, high: float | None = None
) -> WeightHistogram:
    """Return the distribution of recorded weights over time.

    Parameters
    ----------
    trace : WeightTrace
        Of a result: ``result.weight_traces["ab"]``.
    bins : int
        Of equal width.
    low, high : float, optional
        Where they begin and end, in the weights' SI unit; by default the least and the greatest weight there was.
        Weights outside are left out.

    Raises
    ------
    ParameterError
        If there are no bins, no weights, or ``low`` is not below ``high``.
    """
    where, values = caller(), np.asarray(trace.values, dtype=np.float64)
    if not isinstance(bins, int) or bins < 1:
        raise ParameterError(f"bins is a whole number from 1 on, got {bins!r}", where)
    if not values.size:
        raise ParameterError("this trace holds no weights", where)
    least = float(values.min()) if low is None else float(low)
    most = float(values.max()) if high is None else float(high)
    if low is None and high is None and least == most:  # all weights are equal: a bin for them, and others above
        most = least + (abs(least) or 1.0)
    if not least < most:
        raise ParameterError(f"low must be below high, got {least:g} and {most:g}", where)
    bounds = np.linspace(least, most, bins + 1)
    counts = np.array([np.histogram(row, bounds)[0] for row in values])
    return WeightHistogram(np.asarray(trace.times), bounds, counts / values.shape[1])

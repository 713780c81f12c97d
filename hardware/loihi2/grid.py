"""Weights beside the grid that they are put on: how much of it is used, how far they move, what falls off its ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MANTISSA = 255
"""The largest mantissa of a weight: 8 bits beside the sign."""

FINE, COARSE, MARGIN = 96, 48, 2
"""Bins of the weights as they were, bins at most of what is stored, and grid values shown beyond both ends."""


@dataclass(frozen=True)
class WeightGrid:
    """What a projection's weights became; everything but ``step`` is in steps of the grid.

    Attributes
    ----------
    step : float
        A step of the grid in the weight's own unit (SI), the mean over the targets, whose gains may differ.
    unit : str
        That unit.
    edges : int
        Weights that were put on it, those that became 0 included.
    lowest, highest : int
        Least and greatest mantissa.
    levels : int
        Different mantissas in use.
    saturated : int
        Weights beyond the largest mantissa, which were clipped to it: none, with the exponents of ``quantise``.
    rms, worst : float
        Root mean square and largest distance of a weight from where it was put.
    span : tuple of float
        From where to where both histograms reach.
    wanted, stored : ndarray
        Histograms over the span: of the weights as they were, in 96 bins, and of the mantissas, in at most 48.
    """

    step: float
    unit: str
    edges: int
    lowest: int
    highest: int
    levels: int
    saturated: int
    rms: float
    worst: float
    span: tuple[float, float]
    wanted: np.ndarray
    stored: np.ndarray

    @property
    def bits(self) -> int:
        """Bits that the largest magnitude takes."""
        return int(max(abs(self.lowest), abs(self.highest))).bit_length()


def on_grid(wanted: np.ndarray, step: float, unit: str) -> tuple[np.ndarray, WeightGrid]:
    """Round weights, given in steps of the grid, to mantissas; return these and what it cost.

    Parameters
    ----------
    wanted : array
        Weights in steps of the grid.
    step, unit : float, str
        A step in the weight's own unit, and that unit.
    """
    whole = np.rint(wanted)
    mantissa = np.clip(whole, -MANTISSA, MANTISSA)
    if not len(wanted):
        none = np.zeros(0, np.int64)
        return mantissa, WeightGrid(step, unit, 0, 0, 0, 0, 0, 0.0, 0.0, (0.0, 0.0), none, none)
    low, high = int(mantissa.min()), int(mantissa.max())
    first = min(low, int(np.floor(wanted.min()))) - MARGIN
    last = max(high, int(np.ceil(wanted.max()))) + MARGIN
    wide = -(-(last - first + 1) // COARSE)  # grid values a bin
    bins = -(-(last - first + 1) // wide)
    span = first - 0.5, first - 0.5 + bins * wide
    error = mantissa - wanted
    made = WeightGrid(
        step, unit, len(wanted), low, high, len(np.unique(mantissa)), int((np.abs(whole) > MANTISSA).sum()),
        float(np.sqrt(np.mean(error**2))), float(np.abs(error).max()), span,
        np.histogram(wanted, FINE, span)[0], np.histogram(mantissa, bins, span)[0],
    )  # fmt: skip
    return mantissa, made

"""neurosim.analysis: how alike two trains are, against trains whose distance is known, brute force, and Elephant."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from neurosim.analysis import coincidence_factor, van_rossum_distance
from neurosim.errors import DimensionError, ParameterError
from neurosim.units import ms, mV, second


def poisson(rate: float, length: float, g: np.random.Generator) -> np.ndarray:
    return np.sort(g.uniform(0, length, g.poisson(rate * length)))


def test_equal_trains_coincide_fully_and_independent_ones_by_chance() -> None:
    g = np.random.default_rng(1)
    a = poisson(20, 50, g)
    assert coincidence_factor(a, a, 2 * ms, 50 * second) == pytest.approx(1, abs=1e-12)
    chance = [coincidence_factor(a, poisson(20, 50, g), 2 * ms, 50 * second) for _ in range(40)]
    # a spike takes part in one coincidence only, so that chance is a little below the formula's
    assert abs(np.mean(chance)) < 0.02


def test_the_factor_by_hand() -> None:
    """Three recorded, two predicted, one pair within 2 ms, in 1 s: f = 2 Hz, by chance 2 * 2 * 0.002 * 3."""
    recorded, predicted = [0.1, 0.2, 0.3], [0.101, 0.25]
    expected = (1 - 0.024) / 2.5 / (1 - 0.008)
    assert coincidence_factor(recorded, predicted, 2 * ms, 1 * second) == pytest.approx(expected, rel=1e-12)
    assert coincidence_factor([], [0.1], 2 * ms, 1 * second) == 0
    assert np.isnan(coincidence_factor([], [], 2 * ms, 1 * second))


def test_a_spike_takes_part_in_one_coincidence_and_the_edge_counts() -> None:
    burst = coincidence_factor([0.1], [0.099, 0.1, 0.101], 2 * ms, 1 * second)
    assert burst == pytest.approx((1 - 2 * 3 * 0.002) / 2 / (1 - 0.012), rel=1e-12)
    assert coincidence_factor([0.0043], [0.0023], 2 * ms, 1 * second) == pytest.approx(1)  # 2 ms but for rounding
    assert coincidence_factor([0.0044], [0.0023], 2 * ms, 1 * second) < 0


def test_pairs_are_as_many_as_can_be() -> None:
    g = np.random.default_rng(2)
    for _ in range(20):
        a, b = np.sort(g.uniform(0, 1, 40)), np.sort(g.uniform(0, 1, 30))
        near = np.abs(a[:, None] - b) <= 0.01
        rows, columns = optimize.linear_sum_assignment(-near.astype(float))
        most = near[rows, columns].sum()
        expected = (most - 2 * 30 * 0.01 * 40) / 35 / (1 - 0.6)
        assert coincidence_factor(a, b, 10 * ms, 1 * second) == pytest.approx(expected, rel=1e-12)


def test_van_rossum_of_single_spikes_and_by_the_sum_over_pairs() -> None:
    assert van_rossum_distance([], [0.3], 10 * ms) == pytest.approx(1)
    assert van_rossum_distance([0.1], [0.107], 10 * ms) == pytest.approx(np.sqrt(2 * (1 - np.exp(-0.7))), rel=1e-12)
    g = np.random.default_rng(3)
    a, b = poisson(40, 3, g), poisson(30, 3, g)
    assert van_rossum_distance(a, a, 5 * ms) == 0
    assert van_rossum_distance([], [], 5 * ms) == 0

    def overlap(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-np.abs(x[:, None] - y) / 0.005).sum())

    expected = np.sqrt(overlap(a, a) + overlap(b, b) - 2 * overlap(a, b))
    assert van_rossum_distance(a, b, 5 * ms) == pytest.approx(expected, rel=1e-9)
    assert van_rossum_distance(b, a, 5 * ms) == pytest.approx(expected, rel=1e-9)


def test_bad_trains_are_named() -> None:
    with pytest.raises(
        ParameterError, match="recorded has spikes from 3 s to 900 s, outside of .0, 1. s; are they in sec"
    ):
        coincidence_factor([3.0, 900.0], [0.1], 2 * ms, 1 * second)
    with pytest.raises(ParameterError, match="predicted must be one row of finite spike times in ascending order"):
        coincidence_factor([0.1], [0.2, 0.1], 2 * ms, 1 * second)
    with pytest.raises(ParameterError, match="a holds plain numbers in seconds"):
        van_rossum_distance([1, 2] * ms, [0.1], 2 * ms)
    with pytest.raises(ParameterError, match="b must be an array of spike times"):
        van_rossum_distance([0.1], "spikes", 2 * ms)
    with pytest.raises(ParameterError, match="holds 1.2 predicted spikes by chance.*less than 41.7 ms"):
        coincidence_factor([0.1], np.linspace(0, 0.9, 12), 50 * ms, 1 * second)
    with pytest.raises(ParameterError, match="tau must be positive"):
        van_rossum_distance([0.1], [0.2], 0 * ms)
    with pytest.raises(ParameterError, match="must be positive"):
        coincidence_factor([0.1], [0.2], 0 * ms, 1 * second)
    with pytest.raises(DimensionError, match="tau must be a time"):
        van_rossum_distance([0.1], [0.2], 1 * mV)

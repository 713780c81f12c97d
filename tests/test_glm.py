"""neurosim.analysis.SpikeGLM: it finds the filters that made the spikes, and the optimum of another optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize

from neurosim.analysis import SpikeGLM, bits_per_spike, raised_cosines
from neurosim.errors import ParameterError

STIMULUS, HISTORY = raised_cosines(4, 30, first=3, offset=20), raised_cosines(3, 40, offset=5)
TRUE = SpikeGLM(-4.0, STIMULUS @ [0.0, 0.25, 0.1, -0.1], HISTORY @ [-4.0, -1.0, 0.3], 2.0, 0.5)


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    """A stimulus of 60,000 steps and the spikes that TRUE gives."""
    x = 2.0 + 0.5 * np.random.default_rng(1).normal(size=60_000)
    spikes = np.zeros(60_000, bool)
    spikes[TRUE.simulate(x, 1, seed=2)[0]] = True
    return x, spikes


def test_it_finds_what_made_the_spikes(made: Any) -> None:
    x, spikes = made
    found = SpikeGLM.fit(x, spikes, STIMULUS, HISTORY, ridge=0.0)
    assert spikes.sum() > 1000
    assert found.offset == pytest.approx(TRUE.offset, abs=0.15)
    assert np.max(np.abs(found.stimulus_filter - TRUE.stimulus_filter)) < 0.08
    assert np.max(np.abs(found.history_filter[3:] - TRUE.history_filter[3:])) < 0.5
    gained = found.log_likelihood(x, spikes).sum() - TRUE.log_likelihood(x, spikes).sum()
    assert 0 < gained < 15  # chi squared of eight parameters, halved


def test_the_optimum_is_that_of_a_library_optimiser(made: Any) -> None:
    x, spikes = made[0][:8000], made[1][:8000]
    found = SpikeGLM.fit(x, spikes, STIMULUS, HISTORY, ridge=2.0)
    a, b = STIMULUS, HISTORY
    z = (x - x.mean()) / x.std()

    def loss(w: np.ndarray) -> float:
        driven = np.convolve(z, a @ w[1:5])[: len(x)]
        past = np.concatenate([[0.0], np.convolve(spikes, b @ w[5:])[: len(x) - 1]])
        hazard = np.exp(w[0] + driven + past)
        return 1.0 * w[1:] @ w[1:] - np.where(spikes, np.log(-np.expm1(-hazard)), -hazard).sum()

    best = optimize.minimize(loss, np.r_[-3.0, np.zeros(7)], method="BFGS", options={"gtol": 1e-3})
    assert found.offset == pytest.approx(best.x[0], abs=1e-3)
    assert found.stimulus_filter == pytest.approx(a @ best.x[1:5], abs=1e-3)
    assert found.history_filter == pytest.approx(b @ best.x[5:], abs=1e-3)


def test_likelihood_and_simulation_agree() -> None:
    """Its own spikes are as probable as it says: the mean log-likelihood is minus the entropy of the steps."""
    x = 2.0 + 0.5 * np.random.default_rng(4).normal(size=4000)
    trials, gaps = TRUE.simulate(x, 30, seed=5), []
    for steps in trials:
        spikes = np.zeros(4000, bool)
        spikes[steps] = True
        p = -np.expm1(-np.exp(TRUE.log_hazard(x, spikes)))
        entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
        gaps.append(TRUE.log_likelihood(x, spikes).sum() + entropy.sum())
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(30)
    assert not np.array_equal(trials[0], trials[1])
    assert np.array_equal(TRUE.simulate(x, 30, seed=5)[7], trials[7])


def test_spikes_act_from_the_next_step_on() -> None:
    model = SpikeGLM(-3.0, np.array([1.0, 0.0]), np.array([-5.0, -2.0]), 0.0, 1.0)
    eta = model.log_hazard([0, 1, 0, 0, 0], [False, True, False, False, False])
    assert eta.tolist() == [-3, -2, -8, -5, -3]


def test_bumps_cover_every_lag_and_end() -> None:
    bumps = raised_cosines(6, 200, first=2, offset=5)
    assert bumps.shape == (200, 6) and bumps[-1, -1] < 0.01 and bumps.max() <= 1
    assert np.argmax(bumps[:, 0]) == 1 and np.all(np.diff(np.argmax(bumps, 0)) > 0)


def test_bits_per_spike_by_hand() -> None:
    spikes = np.array([True, False, False, False])
    assert bits_per_spike(np.log([0.25, 0.75, 0.75, 0.75]), spikes) == pytest.approx(0, abs=1e-12)
    assert bits_per_spike(np.zeros(4), spikes) == pytest.approx(-np.log2(0.25 * 0.75**3))


def test_bad_input_is_named(made: Any) -> None:
    x, spikes = made
    with pytest.raises(ParameterError, match="one finite value for each step"):
        SpikeGLM.fit(x[:-1], spikes, STIMULUS, HISTORY)
    with pytest.raises(ParameterError, match="not the times"):
        SpikeGLM.fit(x, np.cumsum(np.ones(60_000)), STIMULUS, HISTORY)
    with pytest.raises(ParameterError, match="at least one spike"):
        SpikeGLM.fit(x, np.zeros(60_000, bool), STIMULUS, HISTORY)
    with pytest.raises(ParameterError, match="history_basis is .lags, n."):
        SpikeGLM.fit(x, spikes, STIMULUS, np.zeros((40, 2)))
    with pytest.raises(ParameterError, match="has not settled after 1 iterations"):
        SpikeGLM.fit(x, spikes, STIMULUS, HISTORY, iterations=1)
    with pytest.raises(ParameterError, match="1 <= first < last"):
        raised_cosines(5, 10, first=10)
    with pytest.raises(ParameterError, match="0 of 3 have one"):
        bits_per_spike([0, 0, 0], [False] * 3)
    with pytest.raises(ParameterError, match="one likelihood for each step"):
        bits_per_spike([0, 0], [False] * 3)

"""Stimuli: the deterministic ones value by value, the noisy ones by their moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from model_runs import run, trace

import neurosim as ns
from neurosim.errors import DimensionError, ParameterError
from neurosim.models import (
    LIF,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    OUNoise,
    PoissonInput,
    SineCurrent,
    StepCurrent,
    WhiteNoise,
)
from neurosim.units import Hz, Mohm, ms, mV, pA

METER = ns.Cell("y[n+1] = i : pA")
"""Shows its input: after step n, y is the current of step n."""


def current(stimulus: ns.Current, duration: float, dt: float = 0.1, n: int = 1, seed: int = 1) -> np.ndarray:
    """Return the current of each step, [steps, n], in pA."""
    return trace(run(METER, duration * ms, dt=dt * ms, n=n, stimuli=[stimulus], record=["y"], seed=seed), "y") * 1e12


def test_dc() -> None:
    np.testing.assert_allclose(current(DCInput(200 * pA), 2), 200, rtol=1e-15)
    np.testing.assert_allclose(current(DCInput([1, 2, 3] * pA), 0.2, n=3), [[1, 2, 3]] * 2, rtol=1e-15)


@pytest.mark.parametrize("dt", [0.1, 0.05, 0.025])
def test_pulse_hits_its_steps(dt: float) -> None:
    """Every start and stop on the grid, also where n*dt and the number given differ in the last bit."""
    for start in (0.0, 0.3, 0.7, 1.1, 2.9):
        got = current(DCInput(5 * pA, start=start * ms, stop=(start + 0.6) * ms), 4, dt)[:, 0]
        at = np.flatnonzero(got)
        assert at[0] == round(start / dt) and at[-1] == round((start + 0.6) / dt) - 1 and len(at) == round(0.6 / dt)
    forever = current(DCInput(5 * pA, start=1 * ms), 4, dt)[:, 0]
    np.testing.assert_array_equal(np.flatnonzero(forever), np.arange(round(1 / dt), round(4 / dt)))


def test_steps() -> None:
    got = current(StepCurrent([0.5, 1.2, 2.0] * ms, [10, -20, 0] * pA), 3)[:, 0]
    expected = np.repeat([0.0, 10.0, -20.0, 0.0], [5, 7, 8, 10])
    np.testing.assert_allclose(got, expected, rtol=1e-15)
    each = current(StepCurrent([0, 1] * ms, [[1, 2], [3, 4]] * pA), 2, n=2)
    np.testing.assert_allclose(each[[0, 9, 10, 19]], [[1, 2], [1, 2], [3, 4], [3, 4]], rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepCurrent([1, 1] * ms, [1, 2] * pA), "must ascend"),
        (lambda: StepCurrent([-1, 1] * ms, [1, 2] * pA), "must ascend"),
        (lambda: StepCurrent([1, 2] * ms, [1] * pA), "one amplitude per time"),
        (lambda: run(METER, 1 * ms, stimuli=[StepCurrent([0.05] * ms, [1] * pA)]), "TimedArray for .* is 0.05 ms"),
        (lambda: StepCurrent([0, 1], [1, 2] * pA), "plain number"),
    ],
)
def test_steps_refuse(make: Any, message: str) -> None:
    with pytest.raises((ParameterError, DimensionError), match=message):
        make()


def test_sine() -> None:
    t = np.arange(200) * 0.1e-3
    got = current(SineCurrent(50 * pA, 80 * Hz, phase=0.5, offset=10 * pA), 20)[:, 0]
    np.testing.assert_allclose(got, 10 + 50 * np.sin(2 * np.pi * 80 * t + 0.5), rtol=0, atol=1e-12)
    assert abs(current(SineCurrent(50 * pA, 80 * Hz), 0.1)[0, 0]) < 1e-15
    each = current(SineCurrent([1, 2] * pA, [100, 200] * Hz), 1, n=2)
    np.testing.assert_allclose(each[5], [np.sin(0.1 * np.pi), 2 * np.sin(0.2 * np.pi)], rtol=1e-12)


def test_array() -> None:
    values = np.array([1.0, 5.0, -2.0])
    held = current(ArrayCurrent(values * pA, 0.3 * ms), 1.5)[:, 0]
    np.testing.assert_allclose(held, np.repeat([1, 5, -2], [3, 3, 9]), rtol=1e-15)
    again = current(ArrayCurrent(values * pA, 0.3 * ms, repeat=True), 1.5)[:, 0]
    np.testing.assert_allclose(again, np.repeat([1, 5, -2, 1, 5], 3), rtol=1e-15)


def test_white_noise() -> None:
    x = current(WhiteNoise(30 * pA, 8 * pA), 50, n=400)
    assert x.mean() == pytest.approx(30, abs=5 * 8 / math.sqrt(x.size))
    assert x.std() == pytest.approx(8, rel=5 / math.sqrt(2 * x.size))
    z = (x - 30) / 8
    assert abs((z[1:] * z[:-1]).mean()) < 5 / math.sqrt(x.size)
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 5 / math.sqrt(x.size)


def test_white_noise_through_a_membrane() -> None:
    """``sigma*sqrt(dt/(2*tau_m))``, and the same at every dt with ``at``."""
    cell = LIF(tau_m=5 * ms, r_m=1000 * Mohm, v_th=0 * mV, v_rest=-70 * mV)
    for dt, at in ((0.1, None), (0.4, None), (0.4, 0.1 * ms)):
        noise = WhiteNoise(0 * pA, 20 * pA, at=at)
        v = trace(run(cell, 120 * ms, dt=dt * ms, n=300, stimuli=[noise], record=["v"]), "v")[int(40 / dt) :] * 1e3
        expected = 20 * math.sqrt((dt if at is None else 0.1) / 10)
        assert v.std() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("dt", [0.1, 1.0, 7.0])
def test_ou_noise(dt: float) -> None:
    tau, n, count = 5.0, 1500, 200
    x = current(OUNoise(40 * pA, 12 * pA, tau * ms), count * dt, dt, n) - 40
    decay = math.exp(-dt / tau)
    independent = n * max(1.0, count * (1 - decay) / (1 + decay))
    assert x.mean() == pytest.approx(0, abs=5 * 12 / math.sqrt(independent))
    assert x.std() == pytest.approx(12, rel=5 / math.sqrt(2 * independent) + 0.005)
    assert x[0].std() == pytest.approx(12, rel=5 / math.sqrt(2 * n))  # from the first step on
    for lag in (1, 3):
        correlation = (x[lag:] * x[:-lag]).mean() / 144
        assert correlation == pytest.approx(decay**lag, abs=5 / math.sqrt(independent))
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] == pytest.approx(0, abs=0.6)


def test_noise_is_the_same_whoever_asks() -> None:
    a, b = (current(OUNoise(0 * pA, 5 * pA, 3 * ms), 5, n=n, seed=3) for n in (4, 9))
    np.testing.assert_array_equal(a, b[:, :4])
    assert np.any(current(OUNoise(0 * pA, 5 * pA, 3 * ms), 5, n=4, seed=4) != a)


def test_units_of_noise_have_to_agree() -> None:
    with pytest.raises(DimensionError):
        run(METER, 1 * ms, stimuli=[WhiteNoise(0 * mV, 1 * pA)])


def counter(stimulus: ns.Drive, n: int, duration: float = 100) -> np.ndarray:
    """Return how many spikes came in each step: the jumps of a variable that does not decay."""
    cell = ns.Cell("dv/dt = 0*v/(1*ms)", receptors={"syn": DeltaCurrent})
    return np.diff(trace(run(cell, duration * ms, n=n, stimuli=[stimulus], record=["v"]), "v"), axis=0, prepend=0.0)


def test_poisson_input() -> None:
    counts = counter(PoissonInput(400 * Hz, weight=1.0, n=50), 200)
    assert set(np.unique(counts)) <= set(range(15))
    assert counts.mean() == pytest.approx(2.0, abs=5 * math.sqrt(2 / counts.size))
    assert counts.var() == pytest.approx(2.0, rel=0.02)
    each = counter(PoissonInput([0, 1000, 9000] * Hz, weight=0.5), 3)
    np.testing.assert_allclose(each.sum(axis=0), [0, 50, 450], atol=5 * 0.5 * math.sqrt(900))
    late = counter(PoissonInput("where(t > 49.95*ms, 1000*Hz, 0*Hz)", weight=1.0), 50)
    assert late[:500].sum() == 0 and late[500:].sum() == pytest.approx(2500, abs=250)

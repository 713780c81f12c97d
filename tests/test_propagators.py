"""Propagators against 60-digit arithmetic; every entry of every family is within 0.51 ulp."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neurosim.errors import ParameterError
from neurosim.passes.propagators import propagators

pytestmark = pytest.mark.filterwarnings("error")

MAX_ULP = 0.51  # a correctly rounded result is within 0.5
TINY = 1e-290  # below this the low words underflow
DT = 1e-4
GAPS = [0.0, *(10.0**-k for k in range(3, 13)), -1e-3, -1e-9]
Array = NDArray[np.float64]


def exact(a: Array, dt: float) -> tuple[mpmath.matrix, mpmath.matrix]:
    """Van Loan's augmented matrix, scaled far down, 60 digits and more; exp and integral of the given doubles."""
    n = len(a)
    with mpmath.workdps(60):
        norm = mpmath.mpf(float(np.abs(a).sum(axis=1).max())) * dt + 1
        halvings = int(mpmath.ceil(mpmath.log(norm, 2))) + 8
    with mpmath.workdps(70 + halvings // 3):
        big = mpmath.zeros(2 * n)
        h = mpmath.mpf(dt) / mpmath.mpf(2) ** halvings
        for i, j in itertools.product(range(n), repeat=2):
            big[i, j] = mpmath.mpf(float(a[i, j])) * h
        for i in range(n):
            big[i, n + i] = h
        total = mpmath.eye(2 * n)
        for k in range(20 + n, 0, -1):
            total = mpmath.eye(2 * n) + big * total / k
        for _ in range(halvings):
            total = total * total
        return total[:n, :n], total[:n, n:]


def ulps(value: float, true: mpmath.mpf) -> float:
    if abs(true) < TINY:
        return 0.0 if abs(value) <= 2 * TINY else math.inf
    return float(abs(mpmath.mpf(value) - true) / mpmath.mpf(math.ulp(float(true))))


def worst(a: Array, dt: float) -> float:
    got = propagators(a[None], dt)
    with mpmath.workdps(60):
        return max(
            ulps(float(g[0, i, j]), e[i, j])
            for g, e in zip(got, exact(a, dt), strict=True)
            for i, j in itertools.product(range(len(a)), repeat=2)
        )


def lif(tau_m: float, tau_e: float, tau_i: float, c: float = 250e-12) -> Array:
    return np.array([[-1 / tau_m, 1 / c, 1 / c], [0, -1 / tau_e, 0], [0, 0, -1 / tau_i]])


def alpha(tau_m: float, tau_s: float, c: float = 250e-12) -> Array:
    return np.array([[-1 / tau_m, 1 / c, 0], [0, -1 / tau_s, 1], [0, 0, -1 / tau_s]])


def adaptive(tau: float, tau_w: float, a: float, c: float) -> Array:
    return np.array([[-1 / tau, -1 / c], [a / tau_w, -1 / tau_w]])


@pytest.mark.parametrize("gap", GAPS)
def test_near_degenerate(gap: float) -> None:
    tau = 10e-3
    assert worst(lif(tau, tau * (1 + gap), 3e-3), DT) <= MAX_ULP
    assert worst(alpha(tau, tau * (1 + gap)), DT) <= MAX_ULP
    assert worst(alpha(tau * (1 + gap), tau), 1e-2) <= MAX_ULP


@pytest.mark.parametrize("ratio", [1e-9, 1e-5, 0.1, 1.0, 30.0, 1e3])
def test_stiff_and_tiny_steps(ratio: float) -> None:
    for other in (1e-3, 7e-3, 20.0):
        assert worst(lif(10e-3, 5e-3, other), ratio * 5e-3) <= MAX_ULP
    assert worst(alpha(10e-3, 5e-3), ratio * 5e-3) <= MAX_ULP
    assert worst(alpha(1e-6, 20.0), ratio * 1e-6) <= MAX_ULP


@pytest.mark.parametrize("dt", [1e-9, 1e-4, 1e-3, 20e-3])
@pytest.mark.parametrize(
    "args", [(20e-3, 100e-3, 4e-9, 200e-12), (20e-3, 20e-3, 80e-9, 200e-12), (9e-3, 144e-3, -1e-9, 104e-12)]
)
def test_adaptive(args: tuple[float, float, float, float], dt: float) -> None:
    assert worst(adaptive(*args), dt) <= MAX_ULP


def test_adaptive_is_oscillating() -> None:
    assert np.abs(np.linalg.eigvals(adaptive(20e-3, 20e-3, 80e-9, 200e-12)).imag).max() > 1


def test_closed_form() -> None:
    """Rotter and Diesmann's formula, without series."""
    tau_m, tau_s, c = 10e-3, 2e-3, 250e-12
    a = np.array([[-1 / tau_m, 1 / c], [0, -1 / tau_s]])
    p, phi = propagators(a[None], DT)
    with mpmath.workdps(60):
        u, v, w, h = (mpmath.mpf(float(x)) for x in (a[0, 0], a[1, 1], a[0, 1], DT))
        eu, ev = mpmath.exp(u * h), mpmath.exp(v * h)
        true_p = [[eu, w * (eu - ev) / (u - v)], [mpmath.mpf(0), ev]]
        off = w * ((eu - 1) / u - (ev - 1) / v) / (u - v)
        true_phi = [[(eu - 1) / u, off], [mpmath.mpf(0), (ev - 1) / v]]
        for got, true in ((p, true_p), (phi, true_phi)):
            for i, j in itertools.product(range(2), repeat=2):
                assert ulps(float(got[0, i, j]), true[i][j]) <= MAX_ULP


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_zero_matrix_and_integrator_chain(n: int) -> None:
    p, phi = propagators(np.zeros((2, n, n)), 0.1)
    assert np.array_equal(p, np.broadcast_to(np.eye(n), p.shape))
    assert np.array_equal(phi, 0.1 * np.broadcast_to(np.eye(n), p.shape))
    assert worst(np.diag(np.full(n - 1, 4e9), 1), 1e-4) <= MAX_ULP
    chain = np.diag(np.full(n - 1, 3e5), 1) - 70.0 * np.eye(n)
    assert worst(chain, 1e-3) <= MAX_ULP and worst(chain, 0.3) <= MAX_ULP


def test_pure_integrator_rows_and_columns() -> None:
    a = np.array([[0, 4e9, 0], [0, -200.0, 0], [0, 0, 0]])
    for dt in (1e-12, 1e-4, 5.0):
        assert worst(a, dt) <= MAX_ULP
    assert propagators(a[None], DT)[0][0, 0, 0] == 1.0


def test_extreme_stiffness_does_not_overflow() -> None:
    p, phi = propagators(np.array([[[-1e300, 1.0], [0, -1e-300]], [[-1e9, 4e12], [0, -1e9]]]), 1.0)
    assert np.array_equal(p[0], [[0, 1e-300], [0, 1]])
    assert phi[0, 0, 0] == 1e-300 and phi[1, 0, 0] == 1e-9 and np.all(p[1] == 0)
    assert phi[1, 0, 1] == pytest.approx(4e-6, rel=1e-15)


@given(st.integers(1, 5), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_random_stable_triangular(n: int, rnd: object) -> None:
    rng = np.random.default_rng(rnd.getrandbits(32))  # type: ignore[attr-defined]
    a = np.triu(10.0 ** rng.uniform(-3, 10, (n, n)) * (rng.random((n, n)) < 0.6), 1)
    rate = 10.0 ** rng.uniform(-2, 4, n) * (rng.random(n) < 0.9)
    rate = np.where(rng.random(n) < 0.4, rate[0] * (1 + 10.0 ** rng.uniform(-15, -3, n)), rate)
    order = rng.permutation(n)
    assert worst((a - np.diag(rate))[np.ix_(order, order)], float(10.0 ** rng.uniform(-5, -1))) <= MAX_ULP


@given(st.integers(2, 4), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_random_coupled_any_sign(n: int, rnd: object) -> None:
    """Entries may cancel: the bound, plus 1e-20 of what the entry would be without cancellation."""
    rng = np.random.default_rng(rnd.getrandbits(32))  # type: ignore[attr-defined]
    units = 2.0 ** rng.integers(-30, 30, n)
    a = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.7) * units[:, None] / units[None, :]
    dt = float(10.0 ** rng.uniform(-4, 1))
    with mpmath.workdps(60):
        for got, true, size in zip(propagators(a[None], dt), exact(a, dt), exact(np.abs(a), dt), strict=True):
            for i, j in itertools.product(range(n), repeat=2):
                error = abs(mpmath.mpf(float(got[0, i, j])) - true[i, j])
                assert error <= MAX_ULP * math.ulp(float(true[i, j])) + 1e-20 * size[i, j]


def test_identities() -> None:
    a = np.stack([lif(10e-3, 5e-3, 10e-3), alpha(10e-3, 10e-3)])
    p, phi = propagators(a, DT)
    assert np.allclose(a @ phi, p - np.eye(3), rtol=1e-12, atol=1e-15)  # A Phi = P - 1
    p2, phi2 = propagators(a, 2 * DT)
    assert np.allclose(p @ p, p2, rtol=1e-14, atol=0)
    assert np.allclose(phi + p @ phi, phi2, rtol=1e-14, atol=0)


def test_structural_zeros_are_exact() -> None:
    a = np.stack([lif(10e-3, 5e-3, 2e-3), alpha(10e-3, 5e-3), lif(10e-3, 10e-3, 1e-6), np.eye(3) * -5])
    for value in propagators(a, DT):
        zero = value == 0
        assert np.array_equal(zero[0], [[0, 0, 0], [1, 0, 1], [1, 1, 0]])
        assert np.array_equal(zero[1], [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
        assert np.array_equal(zero[2], zero[0])
        assert np.array_equal(zero[3], ~np.eye(3, dtype=bool))
        assert not np.signbit(value).any()  # no -0.0


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_batch_equals_one_by_one(n: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.normal(size=(60, n, n)) * 10.0 ** rng.uniform(-3, 3, (60, 1, 1)) * (rng.random((60, n, n)) < 0.4)
    a[:, range(n), range(n)] = -np.abs(a).sum(axis=2)
    a[40:] = np.triu(a[40:])
    a = np.concatenate([a] * 90 if n <= 2 else [a] * 40 if n == 3 else [a] * 5)  # several chunks
    p, phi = propagators(a, 0.1)
    for b in range(0, 60, 2):
        one = propagators(a[b : b + 1], 0.1)
        assert np.array_equal(one[0][0].view(np.int64), p[b].view(np.int64))
        assert np.array_equal(one[1][0].view(np.int64), phi[b].view(np.int64))
    assert np.array_equal(p.reshape(-1, 60, n, n), np.broadcast_to(p[:60], (len(p) // 60, 60, n, n)))


def test_empty_batch_and_input_untouched() -> None:
    assert propagators(np.zeros((0, 3, 3)), 1.0)[0].shape == (0, 3, 3)
    a = lif(10e-3, 5e-3, 2e-3)[None]
    before = a.copy()
    propagators(a, DT)
    assert np.array_equal(a, before)


@pytest.mark.parametrize(
    ("a", "dt", "message"),
    [
        ([[[math.nan]]], 1.0, "must be finite"),
        ([[[-math.inf]]], 1.0, "must be finite"),
        ([[[1.0]]], math.inf, "dt must be"),
        ([[[1.0]]], 0.0, "dt must be"),
        ([[1.0]], 1.0, "shape"),
        ([[[1.0, 2.0]]], 1.0, "shape"),
        ([[[-1.0]], [[1e4]]], 1.0, "matrix 1 grows"),
    ],
)
def test_refused(a: object, dt: float, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        propagators(np.array(a), dt)

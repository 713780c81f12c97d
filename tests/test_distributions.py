"""Distributions of weights, delays and initial values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.errors import ConnectivityError, ParameterError
from neurosim.ir.distributions import Draw, bound, edge_values
from neurosim.ir.program import Builder
from neurosim.ir.random import NORMAL_BOUND, Draws
from neurosim.ir.rules import EdgeContext

N = 100_000

CASES = [
    Draw("uniform", -2.0, 3.0),
    Draw("uniform", -2.0, 3.0, lo=-1.0, hi=10.0),
    Draw("uniform", -2.0, 3.0, lo=-1.0, hi=1.0, how="clip"),
    Draw("normal", 1.0, 0.5),
    Draw("normal", 1.0, 0.5, lo=0.0),
    Draw("normal", 1.0, 0.5, hi=0.9),
    Draw("normal", 1.0, 0.5, lo=0.6, hi=1.7),
    Draw("normal", 1.0, 0.5, lo=2.5),  # the upper tail
    Draw("normal", -1.0, 0.5, hi=-2.5),  # the lower tail
    Draw("normal", 1.0, 0.5, lo=0.6, hi=1.7, how="clip"),
    Draw("lognormal", -2.0, 0.7),
    Draw("lognormal", -2.0, 0.7, lo=0.05, hi=0.3),
    Draw("lognormal", -2.0, 0.7, lo=0.2),
    Draw("lognormal", -2.0, 0.7, lo=-1.0, hi=0.3, how="clip"),
    Draw("exponential", 2.0),
    Draw("exponential", 2.0, lo=1.0, hi=3.0),
    Draw("exponential", 2.0, lo=30.0),
    Draw("exponential", 2.0, lo=1.0, hi=3.0, how="clip"),
]


def _cdf(d: Draw, x: float) -> float:
    if d.kind == "uniform":
        return min(max((x - d.a) / (d.b - d.a), 0.0), 1.0)
    if d.kind == "exponential":
        return -math.expm1(-x / d.a) if x > 0 else 0.0
    if d.kind == "lognormal":
        if x <= 0:
            return 0.0
        x = math.log(x)
    return 0.5 * math.erfc(-(x - d.a) / d.b / math.sqrt(2))


@pytest.mark.parametrize("draw", CASES, ids=Draw.describe)
def test_samples_follow_the_distribution(draw):
    x = draw.sample(Draws(21, "d"), 0, N)
    assert x.dtype == np.float64 and x.shape == (N,)
    lo = -math.inf if draw.lo is None else draw.lo
    hi = math.inf if draw.hi is None else draw.hi
    assert x.min() >= lo and x.max() <= hi
    assert abs(x.mean() - draw.mean()) < 4.5 * x.std() / math.sqrt(N)
    # distribution function at quantiles of the sample (Kolmogorov, P < 0.001); ends of clipped ones have mass
    at = np.quantile(x, np.linspace(0.02, 0.98, 25))
    at = at[(at > lo) & (at < hi)]
    below, above = _cdf(draw, lo), _cdf(draw, hi)
    for v in at:
        want = _cdf(draw, v)
        if draw.how == "redraw":
            want = (want - below) / (above - below)
        assert abs(np.mean(x <= v) - want) < 1.95 / math.sqrt(N)


@pytest.mark.parametrize("draw", CASES, ids=Draw.describe)
def test_bound_is_the_largest_magnitude(draw):
    class Ends(Draws):
        def _words(self, start, count, steps):
            return np.resize(np.array([0, 2**32 - 1], dtype=np.uint32), (len(steps), count))

    extremes = np.abs(draw.sample(Ends(0, "x"), 0, 2)).max()
    assert extremes <= draw.bound() <= extremes * (1 + 1e-11)
    assert np.abs(draw.sample(Draws(1, "x"), 0, 5000)).max() <= draw.bound()


@given(st.sampled_from(CASES), st.integers(0, 10_000), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_value_depends_on_its_index_only(draw, start, count):
    draws = Draws(2, "w")
    assert np.array_equal(draw.sample(draws, start, count), draw.sample(draws, 0, start + count)[start:])


def test_normal_bound():
    assert Draw("normal", 0.0, 1.0).bound() == pytest.approx(NORMAL_BOUND, rel=1e-9)
    assert Draw("normal", -3.0, 1.0).bound() == pytest.approx(3 + NORMAL_BOUND, rel=1e-9)
    assert 4.0 - 1e-8 < Draw("normal", -3.0, 1.0, lo=-4.0).bound() <= 4.0


def test_without_spread():
    draws = Draws(1, "x")
    for draw, value in (
        (Draw("normal", 2.0, 0.0), 2.0),
        (Draw("normal", 2.0, 0.0, lo=1.0), 2.0),
        (Draw("normal", 2.0, 0.0, lo=3.0, how="clip"), 3.0),
        (Draw("lognormal", 0.0, 0.0), 1.0),
        (Draw("uniform", 4.0, 4.0), 4.0),
        (Draw("uniform", 4.0, 4.0, hi=5.0), 4.0),
    ):
        assert draw.sample(draws, 0, 3).tolist() == [value] * 3
        assert draw.mean() == value and draw.bound() == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"kind": "gamma", "a": 1.0}, "no distribution 'gamma'; known: exponential"),
        ({"kind": "normall", "a": 1.0}, "did you mean 'normal'"),
        ({"kind": "normal", "a": 1.0, "b": -1.0}, "sd must be at least 0, not -1"),
        ({"kind": "normal", "a": math.nan, "b": 1.0}, "mean must be finite"),
        ({"kind": "uniform", "a": 1.0, "b": 0.0}, "hi = 0 lies below lo = 1"),
        ({"kind": "exponential", "a": 0.0}, "mean must be positive"),
        ({"kind": "normal", "a": 0.0, "b": 1.0, "lo": 1.0, "hi": 0.0}, r"bounds \[1, 0\] hold no value"),
        ({"kind": "normal", "a": 0.0, "b": 1.0, "lo": 50.0}, "no value lies within the bounds"),
        ({"kind": "normal", "a": 0.0, "b": 0.0, "lo": 1.0}, "no value lies within the bounds"),
        ({"kind": "uniform", "a": 0.0, "b": 1.0, "lo": 2.0}, "no value lies within the bounds"),
        ({"kind": "lognormal", "a": 700.0, "b": 10.0}, "beyond the range of float64"),
        ({"kind": "normal", "a": 0.0, "b": 1.0, "how": "wrap"}, "'redraw'n or 'clip'ped, not 'wrap'"),
    ],
)
def test_errors_say_what_is_legal(args, text):
    with pytest.raises(ParameterError, match=text):
        Draw(**args)


def test_describe():
    assert Draw("normal", 1e-3, 1e-4).describe() == "normal(mean 0.001, sd 0.0001)"
    assert Draw("exponential", 2.0, lo=1.0).describe() == "exponential(mean 2), redrawn to [1, inf]"
    assert Draw("uniform", 0.0, 1.0, hi=0.5, how="clip").describe() == "uniform(lo 0, hi 1), clipped to [-inf, 0.5]"


def _context() -> EdgeContext:
    return EdgeContext(10, 20, lambda name: Draws(4, name), pre_attributes={"w": np.arange(10.0)})


def test_edge_values_of_every_kind():
    ctx = _context()
    pre, post = np.array([1, 2, 3], dtype=np.uint32), np.array([4, 5, 6], dtype=np.uint32)
    assert edge_values(2.5, ctx, 7, pre, post).tolist() == [2.5] * 3
    assert edge_values(np.arange(10.0), ctx, 7, pre, post).tolist() == [7.0, 8.0, 9.0]
    draw = Draw("normal", 0.0, 1.0)
    assert np.array_equal(edge_values(draw, ctx, 7, pre, post, "weight"), Draws(4, "weight").normal(7, 3))
    b = Builder()
    program = b.build(b.emit("mul", b.emit("param", attr="w_pre"), b.emit("uniform", attr="1")))
    got = edge_values(program, ctx, 7, pre, post, "weight")
    assert np.array_equal(got, np.array([1.0, 2.0, 3.0]) * Draws(4, "weight.1").uniform(7, 3))
    b = Builder()
    assert edge_values(b.build(b.const(3.0)), ctx, 0, pre, post).tolist() == [3.0] * 3
    assert edge_values(np.arange(3.0), ctx, 3, pre[:0], post[:0]).size == 0


def test_array_of_the_wrong_length():
    with pytest.raises(ConnectivityError, match="one value per edge"):
        edge_values(np.arange(3.0), _context(), 2, np.array([0, 1]), np.array([0, 1]))


def test_bound_of_every_kind():
    assert bound(-2.0) == 2.0
    assert bound(np.array([1.0, -3.0, 2.0])) == 3.0
    assert bound(np.array([])) == 0.0
    assert bound(Draw("uniform", -1.0, 5.0)) == pytest.approx(5.0)
    b = Builder()
    assert bound(b.build(b.const(1.0))) is None
    with pytest.raises(ConnectivityError, match="finite"):
        bound(np.array([1.0, math.nan]))

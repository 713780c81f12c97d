"""Counter-based random numbers: known answers, addressing, and that they look random."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.errors import ParameterError
from neurosim.ir.interp import call
from neurosim.ir.random import (
    NORMAL_BOUND,
    Draws,
    integers_from_uniform,
    philox,
    poisson_from_words,
    poisson_inversion,
    poisson_thresholds,
    stream_key,
    uniform_from_words,
)

FULL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # Random123 1.14, tests/kat_vectors, rows "philox4x32 10"
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FULL,) * 4, (FULL, FULL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counter, key, answer):
    block, step = counter[0] | counter[1] << 32, counter[2] | counter[3] << 32
    assert tuple(philox(block, step, key)) == answer


def _philox_by_hand(counter: list[int], key: list[int]) -> list[int]:
    for _ in range(10):
        p, q = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [q >> 32 ^ counter[1] ^ key[0], q & FULL, p >> 32 ^ counter[3] ^ key[1], p & FULL]
        key = [(key[0] + 0x9E3779B9) & FULL, (key[1] + 0xBB67AE85) & FULL]
    return counter


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, FULL), st.integers(0, FULL))
@settings(max_examples=50, deadline=None)
def test_philox_is_the_published_algorithm(block, step, k0, k1):
    want = _philox_by_hand([block & FULL, block >> 32, step & FULL, step >> 32], [k0, k1])
    assert philox(block, step, (k0, k1)).tolist() == want


def test_philox_broadcasts_across_tiles():
    blocks, steps = np.arange(30_000, dtype=np.uint64), np.array([[0], [7]], dtype=np.uint64)
    words = philox(blocks, steps, (1, 2))
    assert words.shape == (2, 30_000, 4) and words.dtype == np.uint32
    for b, s in ((0, 0), (16_383, 1), (16_384, 0), (29_999, 1)):
        assert words[s, b].tolist() == _philox_by_hand([b, 0, int(steps[s, 0]), 0], [1, 2])


def test_stream_key_is_pinned():
    assert stream_key(42, "exc.rule") == (1950657220, 2260581988)
    assert stream_key(2**64 - 1, "é") == (395697157, 2209910455)
    assert Draws(42, "exc.rule").words(0, 4).tolist() == [0xEA318C57, 0xD1FC4C23, 0xCDB64019, 0xB6A2EA46]
    keys = {stream_key(seed, name) for seed in range(20) for name in ("a", "b", "ab", "")}
    assert len(keys) == 80


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed):
    with pytest.raises(ParameterError, match="between 0 and 2\\^64 - 1"):
        Draws(seed, "x")


@given(st.integers(0, 10_000), st.integers(0, 300), st.integers(0, 2**64 - 1))
@settings(max_examples=50, deadline=None)
def test_a_word_depends_on_index_and_step_only(start, count, step):
    draws = Draws(5, "s")
    words = draws.words(start, count, step)
    assert words.shape == (count,)
    assert np.array_equal(words, draws.words_at(np.arange(start, start + count), step))
    assert np.array_equal(words, draws.words(0, start + count, step)[start:])
    table = draws.words(start, count, np.array([3, step], dtype=np.uint64))
    assert table.shape == (2, count) and np.array_equal(table[1], words)
    u = draws.uniform53(start, count, step)
    assert np.array_equal(u, draws.uniform53_at(np.arange(start, start + count), step))
    assert np.array_equal(draws.uniform(start, count, step), draws.uniform_at(np.arange(start, start + count), step))


def test_words_of_a_long_run_and_of_many_steps_cross_tiles():
    draws = Draws(5, "s")
    words = draws.words(3, 200_001)
    for k in (0, 65_530, 65_536, 131_069, 200_000):
        assert words[k] == draws.words_at(3 + k)
    table = draws.words(1, 7, np.arange(20_000))
    assert np.array_equal(table[[0, 8191, 8192, 19_999]], [draws.words(1, 7, s) for s in (0, 8191, 8192, 19_999)])


def test_indices_beyond_32_bits():
    draws = Draws(1, "far")
    start = 2**34 - 2  # block 2^32 - 1 into 2^32
    assert np.array_equal(draws.words(start, 4), draws.words_at(np.arange(start, start + 4)))
    assert not np.array_equal(draws.words(2**34, 4), draws.words(0, 4))


def test_negative_start_is_refused():
    with pytest.raises(ParameterError, match="negative"):
        Draws(1, "x").words(-1, 4)


def test_uniforms_are_exact_and_inside():
    words = np.array([0, 1, 2**31, FULL], dtype=np.uint32)
    want = [float(Fraction(2 * int(w) + 1, 2**33)) for w in words]
    assert uniform_from_words(words).tolist() == want
    draws = Draws(9, "u")
    pairs = draws.words(14, 20).reshape(10, 2).tolist()
    want = [float(Fraction((high << 21 | low >> 11) | 1, 2**53)) for low, high in pairs]
    assert draws.uniform53(7, 10).tolist() == want


class _Fixed(Draws):
    """Draws whose words are all the same."""

    word = 0

    def _words(self, start, count, steps):
        return np.full((len(steps), count), self.word, dtype=np.uint32)


def test_extreme_words_stay_inside():
    draws = _Fixed(0, "x")
    assert draws.uniform53(0, 1)[0] == 2.0**-53
    draws.word = FULL
    assert draws.uniform53(0, 1)[0] == 1.0 - 2.0**-53
    for bound in (1, 2, 3, 10, 77_169, 2**31 - 1, 2**32, 2**40 + 1, 2**52 - 1, 2**52):
        assert draws.integers(0, 1, bound)[0] == bound - 1
    assert 0.0 < NORMAL_BOUND - draws.normal(0, 1)[0] < 1e-9


def test_a_kernel_and_functions_can_be_replaced():
    class Other(_Fixed):
        def fn(self, name, *x):
            return -x[0] if name == "ndtri" else None

    assert Other(0, "x").normal(0, 3).tolist() == [-(2.0**-33)] * 3


def test_integers_take_a_bound_each():
    bounds = np.array([1, 2, 1000, 10**9] * 50)
    got = Draws(3, "i").integers(0, 200, bounds)
    assert got.dtype == np.int64 and (got >= 0).all() and (got < bounds).all()
    assert np.array_equal(got, integers_from_uniform(Draws(3, "i").uniform53(0, 200), bounds))


def _chi_square(counts: np.ndarray, expected: np.ndarray | float) -> float:
    """Standardised chi-square statistic: about normal for many cells."""
    df = counts.size - 1
    return (float(((counts - expected) ** 2 / expected).sum()) - df) / math.sqrt(2 * df)


def test_uniformity():
    draws = Draws(11, "chi")
    n = 200_000
    words = draws.words(0, n)
    for shift in (0, 8, 16, 24):
        counts = np.bincount((words >> np.uint32(shift)) & np.uint32(255), minlength=256)
        assert abs(_chi_square(counts, n / 256)) < 4
    assert abs(_chi_square(np.bincount(draws.integers(0, n, 100), minlength=100), n / 100)) < 4
    pairs = (words[:-1] >> np.uint32(28)) * np.uint32(16) + (words[1:] >> np.uint32(28))  # neighbours in a stream
    assert abs(_chi_square(np.bincount(pairs, minlength=256), (n - 1) / 256)) < 4
    later = draws.words(0, n, 1)  # the same index one step later
    pairs = (words >> np.uint32(28)) * np.uint32(16) + (later >> np.uint32(28))
    assert abs(_chi_square(np.bincount(pairs, minlength=256), n / 256)) < 4
    for u in (draws.uniform(0, n), draws.uniform53(0, n)):
        u.sort()
        assert np.abs(u - (np.arange(n) + 0.5) / n).max() * math.sqrt(n) < 1.95  # Kolmogorov: P = 0.001


def test_normal_moments():
    z = Draws(12, "z").normal(0, 200_000)
    n = z.size
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs((z**2).mean() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert np.abs(z).max() < NORMAL_BOUND


def test_streams_are_uncorrelated():
    a, b, c = (Draws(s, n).normal(0, 50_000) for s, n in ((1, "a"), (1, "b"), (2, "a")))
    for x, y in ((a, b), (a, c), (b, c), (a[1:], a[:-1])):
        assert abs(np.corrcoef(x, y)[0, 1]) < 4 / math.sqrt(50_000)


@pytest.mark.parametrize("mean", [1e-4, 0.1, 1.6, 20.0, 350.0, 700.0])
def test_poisson_thresholds_are_the_distribution_function(mean):
    mpmath = pytest.importorskip("mpmath")
    table = poisson_thresholds(mean)
    assert table.dtype == np.uint32 and (np.diff(table.astype(np.int64)) >= 0).all()
    with mpmath.workdps(60):
        m = mpmath.mpf(mean)
        want, total = [], mpmath.mpf(0)
        while len(want) <= len(table):
            total += mpmath.exp(-m) * m ** len(want) / mpmath.factorial(len(want))
            want.append(int(mpmath.floor(total * 2**32)))
    assert table.tolist() == want[:-1]
    assert want[-1] >= 2**32 - 1 > want[-2]


def test_poisson_counts_at_the_thresholds():
    table = poisson_thresholds(1.6)
    assert poisson_from_words(np.array([0, FULL], dtype=np.uint32), table).tolist() == [0, len(table)]
    for k, c in enumerate(table):
        assert poisson_from_words(np.array([c - 1, c], dtype=np.uint32), table).tolist() == [k, k + 1]


def test_poisson_of_mean_zero_and_out_of_range():
    assert poisson_thresholds(0.0).size == 0 and poisson_thresholds(1e-12).size == 0
    assert poisson_from_words(np.array([0, FULL], dtype=np.uint32), poisson_thresholds(0.0)).tolist() == [0, 0]
    for mean in (-0.1, 700.1, math.nan):
        with pytest.raises(ParameterError, match="between 0 and 700"):
            poisson_thresholds(mean)


def _inversion_by_hand(word: int, mean: float) -> int:
    u = (word + 0.5) * 2.0**-32
    p = float(call("exp", -mean))
    s, k = p, 0
    while u > s and k < 1000:
        k += 1
        p = p * mean / k
        s = s + p
    return k


@given(st.lists(st.tuples(st.integers(0, FULL), st.floats(0, 700)), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_poisson_inversion_is_the_loop_in_its_docstring(cases):
    words, means = np.array([w for w, _ in cases], dtype=np.uint32), np.array([m for _, m in cases])
    assert poisson_inversion(words, means).tolist() == [_inversion_by_hand(w, m) for w, m in cases]


def test_poisson_inversion_edges():
    words = np.array([0, FULL, FULL, FULL, FULL], dtype=np.uint32)
    assert poisson_inversion(words, [1.0, 0.0, -1.0, math.nan, 1e5]).tolist() == [0, 0, 0, 0, 1000]
    assert poisson_inversion(words.reshape(5, 1), 0.0).shape == (5, 1)


@pytest.mark.parametrize("mean", [0.05, 1.6, 40.0])
def test_both_poissons_agree_and_have_the_moments(mean):
    words = Draws(8, "poisson").words(0, 50_000)
    tabulated, inverted = poisson_from_words(words, poisson_thresholds(mean)), poisson_inversion(words, mean)
    assert np.count_nonzero(tabulated != inverted) <= 2  # the table rounds down to 2^-32
    n = words.size
    assert abs(tabulated.mean() - mean) < 4 * math.sqrt(mean / n)
    assert abs(tabulated.var() / mean - 1) < 4 * math.sqrt((2 + 1 / mean) / n)

"""First differences, ties and statistics, on spikes and values whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.analysis.agreement import (
    Difference,
    Overlap,
    agree_statistically,
    constant_shift,
    first_difference,
    is_tie,
    ks_limit,
    only,
    overlap,
    statistics,
)
from neurosim.errors import ParameterError
from neurosim.recording import Provenance, RunResult, Spikes

DT = 1e-4


def spikes(*pairs: tuple[int, int], size: int = 5, n_steps: int = 100, **more: object) -> Spikes:
    steps, ids = [p[0] for p in pairs], [p[1] for p in pairs]
    return Spikes(np.array(steps, np.int64), np.array(ids, np.int64), size, DT, n_steps, **more)  # type: ignore[arg-type]


def poisson(rate: float, seed: int, size: int = 200, n_steps: int = 20_000) -> Spikes:
    steps, ids = np.nonzero(np.random.default_rng(seed).random((n_steps, size)) < rate * DT)
    return Spikes(steps, ids, size, DT, n_steps)


# -- first difference -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (((1, 0), (4, 2)), ((1, 0), (4, 2)), None),
        ((), (), None),
        (((1, 0), (4, 2)), ((1, 0), (5, 2)), (2, 4, "a")),
        (((1, 0), (5, 2)), ((1, 0), (4, 2)), (2, 4, "b")),
        (((1, 0),), ((1, 0), (4, 2)), (2, 4, "b")),
        (((1, 0), (4, 2)), ((1, 0),), (2, 4, "a")),
        (((1, 3),), ((1, 2), (1, 3)), (2, 1, "b")),
        (((1, 2), (1, 3)), ((1, 3), (2, 2)), (2, 1, "a")),
        (((7, 4),), (), (4, 7, "a")),
    ],
)
def test_first_difference(a: tuple, b: tuple, expected: tuple[int, int, str] | None) -> None:
    found = first_difference({"p": spikes(*a)}, {"p": spikes(*b)})
    assert found == (None if expected is None else Difference("p", expected[0], expected[1], DT, expected[2]))


def test_the_first_difference_of_all_populations() -> None:
    a = {"p": spikes((1, 0), (9, 1)), "q": spikes((3, 4)), "r": spikes((8, 0))}
    b = {"r": spikes((8, 0)), "q": spikes((5, 4)), "p": spikes((1, 0), (9, 2))}
    found = first_difference(a, b)
    assert found == Difference("q", 4, 3, DT, "a")
    assert found is not None and found.t == 3 * DT
    assert str(found) == "neuron 4 of 'q' in step 3 (t = 0.3 ms)"
    assert first_difference({"p": spikes((3, 1)), "q": spikes((3, 0))}, {"p": spikes(), "q": spikes()}) == Difference(
        "p", 1, 3, DT, "a")  # fmt: skip


def test_results_are_taken_as_mappings_are() -> None:
    runs = [RunResult({"p": 5}, Provenance(dt=DT, n_steps=100), {"p": spikes(*s)}) for s in (((1, 1),), ((2, 1),))]
    assert first_difference(*runs) == Difference("p", 1, 1, DT, "a")
    assert constant_shift(*runs) == 1
    assert agree_statistically(*runs) == []


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"q": spikes()}, "different populations, so they cannot be compared: p, q"),
        ({"p": spikes(size=6)}, "differ in size of 'p' (5 and 6)"),
        ({"p": spikes(n_steps=99)}, "differ in n_steps of 'p' (100 and 99)"),
        ({"p": spikes(start_step=1)}, "differ in start_step of 'p'"),
        ({"p": spikes(recorded=np.array([0]))}, "recorded different neurons of 'p'"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: dict[str, Spikes], text: str) -> None:
    for compared in (first_difference, constant_shift, agree_statistically):
        with pytest.raises(ParameterError) as e:
            compared({"p": spikes()}, other)
        assert text in str(e.value)


def test_sets_of_random_spikes() -> None:
    """Against sets of Python, which are slow and plain."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        pairs = [sorted({(int(s), int(i)) for s, i in zip(rng.integers(0, 9, 20), rng.integers(0, 5, 20), strict=True)})
                 for _ in (0, 1)]  # fmt: skip
        a, b = (spikes(*p) for p in pairs)
        x, y = map(set, pairs)
        assert overlap(a, b) == Overlap(len(x & y), len(x - y), len(y - x))
        assert [p for p, mine in zip(pairs[0], only(a, b), strict=True) if mine] == sorted(x - y)
        found = first_difference({"p": a}, {"p": b})
        assert found is not None and (found.step, found.neuron) == min(x ^ y)
        assert found.only_in == ("a" if (found.step, found.neuron) in x else "b")


@pytest.mark.parametrize("k", [-2, -1, 0, 1, 2])
def test_constant_shifts(k: int) -> None:
    a = spikes((3, 0), (3, 1), (50, 4), (90, 2))
    b = spikes((3 + k, 0), (3 + k, 1), (50 + k, 4), (90 + k, 2))
    assert constant_shift({"p": a}, {"p": b}) == k
    assert constant_shift({"p": a, "q": a}, {"p": b, "q": a}) == (None if k else 0)


def test_a_shift_over_the_end_of_the_run() -> None:
    assert constant_shift({"p": spikes((3, 0), (99, 1))}, {"p": spikes((4, 0))}) == 1
    assert constant_shift({"p": spikes((3, 0), (98, 1))}, {"p": spikes((4, 0))}) is None
    assert constant_shift({"p": spikes((3, 0))}, {"p": spikes((8, 0))}) is None
    assert constant_shift({"p": spikes((99, 0))}, {"p": spikes()}) is None  # nothing says that it was moved out


# -- ties -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "threshold", "reset", "tie"),
    [
        (1.0, 1.0 - 2**-53, 1.0, 0.0, True),
        (1.0 - 2**-53, 1.0, 1.0, 0.0, True),
        (1.0 + 2**-52, 1.0 - 2**-53, 1.0, 0.0, True),
        (-0.05, -0.05 + 7e-18, -0.05, -0.06, True),
        (-0.05, -0.05 - 9e-12, -0.05, -0.06, True),
        (-0.05, -0.05 - 1.1e-11, -0.05, -0.06, False),  # further apart than 1e-9 of 10 mV
        (1.0 - 3e-10, 1.0 - 2e-10, 1.0, 0.0, False),  # close to each other, but not to the threshold
        (1.0 - 2e-10, 1.0 - 1e-10, 1.0, 0.0, True),
        (1.0, 1.0, 1.0, 0.0, False),  # rounding cannot tell equal values apart
        (1.0, 0.9, 1.0, 0.0, False),
        (1.0, 1.0 - 2**-53, 1.0, 1.0, False),  # no scale, no tie
    ],
)
def test_ties(a: float, b: float, threshold: float, reset: float, tie: bool) -> None:
    assert is_tie(a, b, threshold, reset) is tie


def test_a_nan_is_no_tie() -> None:
    assert not is_tie(math.nan, 1.0, 1.0, 0.0)


# -- statistics -----------------------------------------------------------------------------------------------------


def test_equal_spikes_agree() -> None:
    a = poisson(20.0, 1)
    assert agree_statistically({"p": a}, {"p": a}) == []
    assert agree_statistically({"p": spikes()}, {"p": spikes()}) == []


def test_two_draws_of_one_process_agree() -> None:
    assert agree_statistically({"p": poisson(50.0, 1)}, {"p": poisson(50.0, 2)}) == []


def test_what_does_not_agree_is_named() -> None:
    a, b = poisson(50.0, 1), poisson(60.0, 2)
    found = agree_statistically({"p": a}, {"p": b})
    assert any(line.startswith("rate of 'p': ") and line.endswith("more than 5 %") for line in found)
    assert agree_statistically({"p": spikes((1, 1))}, {"p": spikes()})[0].startswith("rate of 'p': 20 and 0, 100 %")


def test_regular_and_irregular_trains_of_one_rate() -> None:
    a = poisson(50.0, 1)
    every = round(1 / (50.0 * DT))
    steps, ids = np.meshgrid(np.arange(0, a.n_steps - every, every), np.arange(a.size), indexing="ij")
    steps = steps + (ids * every) // a.size
    b = Spikes(steps.ravel(), ids.ravel(), a.size, DT, a.n_steps)
    kinds = {line.split(" of ")[0] for line in agree_statistically({"p": a}, {"p": b})}
    assert {"CV", "synchrony", "intervals"} <= kinds and "rate" not in kinds


def test_synchrony_takes_whole_steps() -> None:
    """3 ms are 1.5 steps of 2 ms: the bin is the nearest number of whole ones."""
    s = Spikes(np.array([0, 1]), np.array([0, 0]), 1, 2e-3, 10)
    assert statistics(s).synchrony == pytest.approx(1.6)  # 5 bins of 2 steps hold 2, 0, 0, 0, 0 spikes
    assert math.isfinite(statistics(Spikes(s.steps, s.ids, 1, 5e-3, 10)).synchrony)


def test_the_limit_of_the_kolmogorov_smirnov_distance() -> None:
    """1.6276 sqrt((m + n)/(m n)) at the level of 1 %, and no less than 0.05."""
    assert ks_limit(100, 100) == pytest.approx(1.6276 * math.sqrt(0.02), rel=1e-4)
    assert ks_limit(10**6, 10**6) == 0.05
    assert math.isnan(ks_limit(0, 5))


def test_ten_million_spikes_are_compared_as_arrays() -> None:
    """No answer depends on the size; nothing here goes spike by spike."""
    rng = np.random.default_rng(1)
    keys = np.unique(rng.integers(0, 10**9, 2_000_000))
    steps, ids = np.divmod(keys, 10**5)
    a = Spikes(steps, ids, 10**5, DT, 10**4)
    less = np.delete(np.arange(len(keys)), len(keys) // 2)
    b = Spikes(steps[less], ids[less], 10**5, DT, 10**4)
    at = len(keys) // 2
    assert first_difference({"p": a}, {"p": b}) == Difference("p", int(ids[at]), int(steps[at]), DT, "a")
    assert overlap(a, b) == Overlap(len(less), 1, 0)
    assert np.flatnonzero(only(a, b)).tolist() == [at]

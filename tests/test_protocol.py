"""Learning rules measured by pairs of spikes, against their formulas; how weights spread."""

from __future__ import annotations

import numpy as np
import pytest

import neurosim as ns
from neurosim.analysis import weight_histogram
from neurosim.errors import ParameterError
from neurosim.learning import stdp_window
from neurosim.models import CalciumSTDP, MultiplicativeSTDP, NearestSTDP, PairSTDP, TripletSTDP
from neurosim.recording import WeightTrace
from neurosim.units import Hz, ms, mV

LAGS = np.array([-100, -33.3, -10, -1, -0.2, -0.1, 0, 0.1, 0.2, 1, 10, 33.3, 100])


def pair(lag: np.ndarray) -> np.ndarray:
    """Additive STDP of the lag that the synapse sees, with the library's constants, of a greatest weight of 1."""
    return np.where(lag >= -1e-9, 0.01 * np.exp(-lag / 20), -0.0105 * np.exp(lag / 20))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(("delay", "kind"), [(0.1, "axonal"), (1.5, "axonal"), (0.1, "dendritic"), (2.0, "dendritic")])
def test_window_of_pairs_is_the_formula(backend: str, delay: float, kind: str) -> None:
    rule = PairSTDP(w_max=2 * mV, delay_type=kind)
    found = stdp_window(rule, LAGS * ms, weight=1 * mV, delay=delay * ms, backend=backend)
    seen = LAGS - delay if kind == "axonal" else LAGS + delay
    assert np.allclose(found.change, 2e-3 * pair(seen), rtol=0, atol=2e-3 * 1e-11)  # weights lie on a grid of 1e-12
    assert np.array_equal(found.lags, np.round(LAGS * 10) * 1e-4) and found.weight == 1e-3
    assert np.allclose(found.relative, found.change / 1e-3)


def test_trains_of_pairs() -> None:
    """Sixty pairs at 20 Hz, every one with every other, summed by hand."""
    n, period, lag = 60, 50.0, np.array([-10.0, 10.0])
    found = stdp_window(PairSTDP(w_max=1.0), lag * ms, weight=0.5, pairs=n, frequency=20 * Hz)
    k = np.arange(n)
    for change, each in zip(found.change, lag - 0.1, strict=True):
        assert change == pytest.approx(pair(each + period * (k[:, None] - k)).sum(), abs=1e-10)
    few = stdp_window(NearestSTDP(w_max=1.0), lag * ms, weight=0.5, pairs=n, frequency=20 * Hz)
    # the nearest spikes of a train: n of one side at the lag, n - 1 of the other at what is left of the period
    for change, each in zip(few.change, lag - 0.1, strict=True):
        other = each - period if each > 0 else each + period
        assert change == pytest.approx(n * pair(np.array(each)) + (n - 1) * pair(np.array(other)), abs=1e-10)


def test_triplets_depend_on_frequency() -> None:
    """Pfister and Gerstner (2006): pre before post does little at low frequency; at 40 Hz both orders strengthen."""
    lags, rule = np.array([-10, 10]) * ms, TripletSTDP(w_max=5.0)
    slow, fast = (stdp_window(rule, lags, 1.0, pairs=60, frequency=f * Hz).relative for f in (0.1, 40))
    assert slow[0] < -0.2 and abs(slow[1]) < 0.1
    assert fast[0] > 0 and fast[1] > 0.3


def test_rules_that_go_on_after_the_spikes() -> None:
    """Calcium (Graupner and Brunel, 2012), whose efficacy changes while calcium is above a threshold."""
    found = stdp_window(CalciumSTDP(), np.array([-20, 10]) * ms, 0.5, pairs=60, after=500 * ms)
    assert found.change[0] < 0 < found.change[1]


def test_weights_of_any_unit() -> None:
    without = stdp_window(MultiplicativeSTDP(), [10] * ms, 0.5).change
    with_one = stdp_window(MultiplicativeSTDP(w_max=1 * mV), [10] * ms, 0.5 * mV).change
    assert with_one == pytest.approx(1e-3 * without, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": 3}, r"what is measured is a learning rule, such as PairSTDP\(\); got 3"),
        ({"lags": [0.13] * ms}, "a lag is 0.13 ms, which is not a whole number of steps at dt = 0.1 ms"),
        ({"lags": [] * ms}, r"lags are one row of times, got shape \[0\]"),
        ({"pairs": 0}, "pairs is a whole number from 1 on, got 0"),
        ({"frequency": 3 * Hz}, "the period is 333.3.* ms, which is not a whole number of steps"),
        ({"delay": 0 * ms}, "delay is 0 ms, which is less than the smallest legal value"),
    ],
)
def test_what_cannot_be_measured(arguments: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"rule": PairSTDP(w_max=1.0), "lags": [10] * ms, "weight": 0.5, **arguments}
    with pytest.raises(ParameterError, match=message) as caught:
        stdp_window(given.pop("rule"), given.pop("lags"), given.pop("weight"), **given)  # type: ignore[arg-type]
    assert caught.value.where is not None and "test_protocol.py" in caught.value.where


# -- how weights spread


def test_histogram_of_weights() -> None:
    values = np.array([[0.0, 0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 1.0]])
    found = weight_histogram(WeightTrace("", np.arange(4), np.array([1.0, 2.0]), values), bins=4)
    assert found.bounds.tolist() == [0, 0.25, 0.5, 0.75, 1] and found.times.tolist() == [1, 2]
    assert found.fractions.tolist() == [[0.5, 0, 0.25, 0.25], [0.25, 0, 0, 0.75]]
    part = weight_histogram(WeightTrace("", np.arange(4), np.array([1.0, 2.0]), values), bins=2, low=0.4, high=0.8)
    assert part.fractions.tolist() == [[0.25, 0], [0, 0]]


def test_histogram_of_a_run() -> None:
    result = ns.network("song")(n=50, every=100 * ms).run(300 * ms, backend="reference")
    found = weight_histogram(result.weight_traces["synapses"], low=0.0, high=0.01)
    assert found.fractions.shape == (3, 50) and np.allclose(found.fractions.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"bins": 0}, "bins is a whole number from 1 on, got 0"),
        ({"low": 1.0, "high": 1.0}, "low must be below high, got 1 and 1"),
    ],
)
def test_histograms_that_cannot_be(more: dict[str, object], message: str) -> None:
    trace = WeightTrace("", np.arange(1), np.array([1.0]), np.array([[0.5]]))
    assert weight_histogram(trace, bins=2).fractions.tolist() == [[1.0, 0.0]]
    with pytest.raises(ParameterError, match=f"^{message}"):
        weight_histogram(trace, **more)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="this trace holds no weights"):
        weight_histogram(WeightTrace("", np.zeros(0), np.zeros(0), np.zeros((0, 0))))

"""neurosim.analysis against trains whose statistics are known."""

# pyright: reportArgumentType=false

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from neurosim import analysis
from neurosim.errors import DimensionError, ParameterError
from neurosim.recording import RateTrace, Spikes
from neurosim.units import ms, mV, second

DT = 1e-4


def from_counts(counts: np.ndarray, size: int, rng: np.random.Generator, dt: float = DT) -> Spikes:
    """Spikes of a population with ``counts[n]`` spikes in step n, each of a random neuron."""
    steps = np.repeat(np.arange(len(counts)), counts)
    key = np.unique(steps * size + rng.integers(0, size, len(steps)))
    return Spikes(key // size, key % size, size, dt, len(counts))


def poisson(rate: float, size: int, n_steps: int, seed: int = 0) -> Spikes:
    rng = np.random.default_rng(seed)
    return from_counts(rng.poisson(rate * size * DT, n_steps), size, rng)


def regular(interval: int, size: int, n_steps: int) -> Spikes:
    """Neuron k fires every ``interval`` steps, first in step k % interval."""
    train = [np.arange(k % interval, n_steps, interval) for k in range(size)]
    return Spikes(np.concatenate(train), np.repeat(np.arange(size), [len(t) for t in train]), size, DT, n_steps)


@pytest.fixture(scope="module")
def random() -> Spikes:
    return poisson(40.0, 100, 200_000)  # 20 s: about 800 spikes a neuron


def test_rate_counts_spikes_over_recorded_neurons_and_time() -> None:
    spikes = Spikes([0, 100, 100, 199], [0, 0, 2, 1], 4, 1e-3, 200)
    assert analysis.rate(spikes) == pytest.approx(4 / (4 * 0.2))
    assert analysis.rate(spikes, start=100 * ms) == pytest.approx(3 / (4 * 0.1))
    assert analysis.rate(spikes, stop=100 * ms) == pytest.approx(1 / (4 * 0.1))
    some = Spikes([0, 100], [0, 2], 4, 1e-3, 200, recorded=[0, 2])
    assert analysis.rate(some) == pytest.approx(2 / (2 * 0.2))
    assert analysis.neuron_rates(some).tolist() == pytest.approx([5.0, 5.0])
    assert analysis.neuron_rates(spikes).tolist() == pytest.approx([10.0, 5.0, 5.0, 0.0])


def test_windows_hold_the_steps_from_start_up_to_stop() -> None:
    spikes = Spikes([2, 3, 4, 5], [0, 0, 0, 0], 1, 1e-4, 10)  # 3 * 1e-4 / 1e-4 is not exactly 3
    assert analysis.rate(spikes, 0.3 * ms, 0.5 * ms) == pytest.approx(2 / 0.2e-3)
    late = Spikes([1002, 1003], [0, 0], 1, 1e-4, 10, start_step=1000)
    assert analysis.rate(late) == pytest.approx(2 / 1e-3)
    assert analysis.rate(late, start=100.3 * ms) == pytest.approx(1 / 0.7e-3)


def test_times_must_be_times_inside_the_run() -> None:
    spikes = regular(10, 2, 100)
    with pytest.raises(DimensionError, match=r"start must be a time.*, got the plain number 5: write 5\*ms"):
        analysis.rate(spikes, start=5)
    with pytest.raises(DimensionError, match=r"bin must be a time.*, got voltage"):
        analysis.synchrony(spikes, bin=3 * mV)
    with pytest.raises(ParameterError, match=r"the window from 1 s to the end is empty: the run was 0 s to 0.01 s"):
        analysis.rate(spikes, start=1 * second)
    with pytest.raises(ParameterError, match=r"bin = 0.25 ms is not a whole number .* nearest are 0.2 ms and 0.3 ms"):
        analysis.population_rate(spikes, bin=0.25 * ms)


def test_poisson_trains(random: Spikes) -> None:
    assert analysis.rate(random) == pytest.approx(40.0, rel=0.02)
    assert analysis.cv_isi(random) == pytest.approx(1.0, abs=0.03)
    assert analysis.cv2(random) == pytest.approx(1.0, abs=0.03)
    assert analysis.lv(random) == pytest.approx(1.0, abs=0.03)
    assert analysis.fano(random) == pytest.approx(1.0, abs=0.05)
    assert analysis.synchrony(random) == pytest.approx(1.0, abs=0.05)


def test_regular_trains() -> None:
    spikes = regular(25, 50, 20_000)
    assert analysis.cv_isi(spikes) == analysis.cv2(spikes) == analysis.lv(spikes) == 0.0
    assert set(analysis.isi(spikes).tolist()) == {25 * DT}
    assert analysis.fano(spikes, bin=25 * DT * second) == 0.0
    assert analysis.synchrony(spikes, bin=2.5 * ms) == 0.0
    together = Spikes(np.repeat(np.arange(0, 20_000, 100), 50), np.tile(np.arange(50), 200), 50, DT, 20_000)
    # bins of 1 ms, one in ten holds 50 spikes: mean 5, variance 0.1 * 50^2 - 25
    assert analysis.synchrony(together, bin=1 * ms) == pytest.approx((250 - 25) / 5)


def test_gamma_trains_have_the_cv_of_their_shape() -> None:
    rng = np.random.default_rng(3)
    steps = np.cumsum(rng.gamma(4.0, 50.0, (40, 400)).round().astype(int).clip(1), axis=1)
    spikes = Spikes(steps.ravel(), np.repeat(np.arange(40), 400), 40, DT, int(steps.max()) + 1)
    assert analysis.cv_isi(spikes) == pytest.approx(0.5, abs=0.02)
    assert analysis.lv(spikes) == pytest.approx(3 / (2 * 4 + 1), abs=0.02)  # Shinomoto 2003: 3 / (2 shape + 1)


def test_undefined_statistics_are_nan() -> None:
    silent = Spikes([], [], 5, DT, 1000)
    for measure in (analysis.cv_isi, analysis.cv2, analysis.lv, analysis.synchrony, analysis.fano):
        assert np.isnan(measure(silent))
    assert analysis.rate(silent) == 0.0
    assert np.isnan(analysis.rate(Spikes([], [], 5, DT, 0)))
    assert np.isnan(analysis.ks_isi(silent, regular(10, 2, 100)))
    with pytest.raises(ParameterError, match="min_spikes must be at least 3"):
        analysis.cv_isi(silent, min_spikes=2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 80))
def test_vectorised_statistics_equal_the_textbook_loops(seed: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    key = np.unique(rng.integers(0, 200, count) * size + rng.integers(0, size, count))
    spikes = Spikes(key // size, key % size, size, DT, 200)
    cvs, cv2s, lvs, fanos, pooled = [], [], [], [], []
    for k in range(size):
        own = spikes.steps[spikes.ids == k]
        gaps = np.diff(own)
        pooled += gaps.tolist()
        if len(own):
            windows = np.histogram(own, bins=np.arange(0, 201, 20))[0]
            fanos.append(windows.var() / windows.mean())
        if len(own) >= 3:
            cvs.append(gaps.std() / gaps.mean())
            contrast = np.diff(gaps) / (gaps[1:] + gaps[:-1])
            cv2s.append(np.mean(2 * np.abs(contrast)))
            lvs.append(np.mean(3 * contrast**2))
    assert np.round(analysis.isi(spikes) / DT).tolist() == pooled
    assert analysis.fano(spikes, bin=2 * ms) == pytest.approx(np.mean(fanos) if fanos else np.nan, nan_ok=True)
    assert analysis.cv_isi(spikes) == pytest.approx(np.mean(cvs) if cvs else np.nan, nan_ok=True)
    assert analysis.cv2(spikes) == pytest.approx(np.mean(cv2s) if cv2s else np.nan, nan_ok=True)
    assert analysis.lv(spikes) == pytest.approx(np.mean(lvs) if lvs else np.nan, nan_ok=True)


def test_many_neurons_take_the_path_without_radix_sort() -> None:
    few = poisson(20.0, 60, 50_000)
    many = Spikes(few.steps, few.ids + 70_000, 80_000, DT, 50_000)
    assert analysis.cv_isi(many) == analysis.cv_isi(few)
    assert analysis.fano(many) == pytest.approx(analysis.fano(few))


def test_population_rate_keeps_whole_bins() -> None:
    spikes = Spikes([0, 9, 10, 29, 30], [0, 1, 0, 0, 0], 2, 1e-3, 35)
    trace = analysis.population_rate(spikes, bin=10 * ms)
    assert trace.values.tolist() == pytest.approx([100.0, 50.0, 50.0])
    assert trace.times.tolist() == pytest.approx([0.0, 0.01, 0.02])
    assert trace.centres.tolist() == pytest.approx([0.005, 0.015, 0.025])
    assert len(analysis.population_rate(spikes, bin=10 * ms, start=5 * ms)) == 3


def test_spectrum_is_welch_as_scipy_does_it() -> None:
    rng = np.random.default_rng(5)
    for n, width in ((1000, 200), (1003, 125)):
        trace = RateTrace(rng.random(n) * 50, 1e-3)
        ours = analysis.power_spectrum(trace, segment=width * 1e-3 * second)
        overlap = width // 2
        freqs, psd = signal.welch(trace.values, 1e3, "hann", nperseg=width, noverlap=overlap, detrend="constant")
        assert ours.freqs == pytest.approx(freqs)
        assert ours.psd == pytest.approx(psd, rel=1e-9, abs=1e-12)


def test_a_modulated_rate_shows_as_a_peak() -> None:
    rng = np.random.default_rng(7)
    n, size, at = 50_000, 200, 40.0
    times = np.arange(n) * DT
    spikes = from_counts(rng.poisson(20.0 * size * DT * (1 + 0.8 * np.sin(2 * np.pi * at * times))), size, rng)
    spectrum = analysis.power_spectrum(analysis.population_rate(spikes, bin=1 * ms), segment=500 * ms)
    peak = analysis.spectral_peak(spectrum, low=5.0, high=200.0)
    assert peak.freq == pytest.approx(at, abs=2.0)
    assert peak.prominence > 20
    flat = analysis.power_spectrum(analysis.population_rate(poisson(20.0, size, n)), segment=500 * ms)
    assert analysis.spectral_peak(flat, low=5.0).prominence < 5
    # a Poisson population of N neurons at rate r has the white spectrum 2 r / N
    assert np.mean(flat.psd[1:-1]) == pytest.approx(2 * 20.0 / size, rel=0.1)
    with pytest.raises(ParameterError, match="a spectrum needs a segment of 2 to 5000 bins of 1 ms, not 6000"):
        analysis.power_spectrum(RateTrace(np.ones(5000), 1e-3), segment=6 * second)
    with pytest.raises(ParameterError, match="no line between 600 Hz and 700 Hz"):
        analysis.spectral_peak(spectrum, low=600.0, high=700.0)


def test_ks_distance() -> None:
    a, b = np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    assert analysis.ks_isi(a, b) == pytest.approx(0.75 - 1 / 3)  # at 2: 3/4 against 1/3
    assert analysis.ks_isi(a, a) == 0.0
    assert analysis.ks_isi(a, b + 10) == 1.0
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 30, 200).astype(float), rng.integers(0, 40, 300).astype(float)
    assert analysis.ks_isi(x, y) == pytest.approx(stats.ks_2samp(x, y)[0])
    assert analysis.ks_isi(poisson(40, 50, 50_000, seed=1), poisson(40, 50, 50_000, seed=2)) < 0.03

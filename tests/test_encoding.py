"""Encoders: the laws that they state, the spikes of snnTorch where nothing is drawn, and the same spikes on engines."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import neurosim as ns
from neurosim import encoding
from neurosim.errors import DimensionError, ParameterError, ResourceError
from neurosim.models import LIF, ExpCurrent, SpikeSource
from neurosim.units import Hz, ms, mV

UNIT = st.floats(0, 1, width=32)


def signal(batch: int = 3, steps: int = 40, features: int = 5) -> np.ndarray:
    """A random walk, [batch, time, features]."""
    return np.random.default_rng(2).normal(0, 0.1, (batch, steps, features)).cumsum(axis=1)


def images(batch: int = 4, shape: tuple[int, ...] = (3, 2)) -> np.ndarray:
    return np.random.default_rng(3).random((batch, *shape))


# -- what all of them take and give ---------------------------------------------------------------------------------

ENCODERS = {
    "rate": lambda x: encoding.rate(x, 7, seed=3),
    "regular_rate": lambda x: encoding.regular_rate(x, 7),
    "latency": lambda x: encoding.latency(x, 7, normalize=True),
    "population": lambda x: encoding.population(x, 7, neurons=4),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_layout(name: str) -> None:
    encode, many = ENCODERS[name], 4 if name == "population" else 1
    x = images()
    spikes = encode(x)
    assert spikes.shape == (4, 7, 6 * many) and spikes.dtype == x.dtype and set(np.unique(spikes)) <= {0, 1}
    assert np.array_equal(encode(x.reshape(4, 6)), spikes)
    if name != "rate":  # there a sample alone has number 0
        assert np.array_equal(encode(x[2].ravel()), spikes[2])
    assert np.array_equal(encode(x[0].ravel()), spikes[0])
    assert np.array_equal(encode(x.reshape(4, 6).tolist()), spikes)
    assert encode(x.astype(np.float16)).dtype == encode(np.eye(3, dtype=int)).dtype == np.float32
    assert encode(np.zeros((0, 6))).shape == (0, 7, 6 * many)


@pytest.mark.engine("torch")
@pytest.mark.parametrize("name", ENCODERS)
def test_tensors_come_back_as_tensors(name: str) -> None:
    import torch

    x = torch.from_numpy(images()).requires_grad_()
    spikes = ENCODERS[name](x)
    assert isinstance(spikes, torch.Tensor) and spikes.dtype == x.dtype and spikes.device == x.device
    assert np.array_equal(spikes.numpy(), ENCODERS[name](images()))


def test_torch_is_not_loaded() -> None:
    import subprocess

    code = "import sys; from neurosim import encoding, datasets; encoding.rate([0.5], 3); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- rate -----------------------------------------------------------------------------------------------------------


def test_spikes_are_drawn_with_the_probability_of_the_value() -> None:
    """Counts of 4000 steps are binomial: mean n p and variance n p (1 - p), to within five standard errors."""
    p, n = np.repeat([0.02, 0.3, 0.5, 0.97], 200), 4000
    counts = encoding.rate(p, n, seed=1).sum(0).reshape(4, 200)
    for row, q in zip(counts, p[::200], strict=True):
        variance = n * q * (1 - q)
        assert row.mean() == pytest.approx(n * q, abs=5 * (variance / 200) ** 0.5)
        assert row.var() == pytest.approx(variance, rel=5 * (2 / 200) ** 0.5)


def test_steps_neurons_and_samples_are_drawn_on_their_own() -> None:
    """Of pairs of neighbours in time, in neurons and in the batch a quarter spikes twice."""
    x = encoding.rate(np.full((60, 70), 0.5), 80, seed=5)
    for a, b in ((x[:, 1:], x[:, :-1]), (x[..., 1:], x[..., :-1]), (x[1:], x[:-1])):
        assert (a * b).mean() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / a.size) ** 0.5)


def test_certain_spikes() -> None:
    spikes = encoding.rate([-0.5, 0, 1, 3], 200)
    assert np.array_equal(spikes.sum(0), [0, 0, 200, 200])


def test_a_sample_has_its_spikes_in_any_batch() -> None:
    x = images(6, (5,))
    whole = encoding.rate(x, 9, seed=4)
    order = np.array([5, 0, 3])
    assert np.array_equal(encoding.rate(x[order], 9, seed=4, samples=order), whole[order])
    assert np.array_equal(encoding.rate(x[3], 9, seed=4, samples=3), whole[3])
    assert not np.array_equal(encoding.rate(x, 9, seed=5), whole)
    np.random.seed(7)
    assert np.array_equal(encoding.rate(x, 9, seed=4), whole)


def test_frozen_spikes() -> None:
    """The numbers are those of Philox, on every machine: as they were when this was written."""
    spikes = encoding.rate(np.full((2, 8), 0.5), 2, seed=42)
    rows = ["".join(str(int(v)) for v in row) for row in spikes.reshape(4, 8)]
    assert rows == ["00100101", "11000001", "10110111", "11101100"]


def test_rate_in_hertz_and_offset_and_first() -> None:
    spikes = encoding.rate(np.full(400, 1.0), 500, gain=(40 * Hz) * (1 * ms), seed=2)
    assert spikes.mean() == pytest.approx(0.04, abs=5 * (0.04 / 200_000) ** 0.5)
    later = encoding.rate(np.full(400, 1.0), 500, gain=0, offset=0.04, seed=2, first=100)
    assert not later[:100].any() and np.array_equal(later[100:], spikes[100:])


def test_rate_of_a_signal() -> None:
    x = np.zeros((2, 50, 3))
    x[0, 10:20, 1] = x[1, :, 2] = 1
    assert np.array_equal(encoding.rate(x), x) and np.array_equal(encoding.rate(x[0]), x[0])
    constant = images(3, (4,))
    assert np.array_equal(encoding.rate(np.repeat(constant[:, None], 9, 1), seed=1), encoding.rate(constant, 9, seed=1))


@given(arrays.arrays(np.float64, (2, 3), elements=UNIT), st.integers(1, 60), st.floats(0, 0.99))
def test_regular_counts_are_rounded(x: np.ndarray, steps: int, phase: float) -> None:
    spikes = encoding.regular_rate(x, steps, phase=phase)
    assert np.array_equal(spikes.cumsum(1)[:, -1], np.floor(steps * x + phase) - np.floor(phase))
    for row, p in zip(spikes.transpose(0, 2, 1).reshape(6, steps), x.ravel(), strict=True):
        gaps = np.diff(np.flatnonzero(row))
        assert len(gaps) < 2 or gaps.max() - gaps.min() <= 1 or p < 1e-6


# -- latency --------------------------------------------------------------------------------------------------------

WAYS: list[dict[str, Any]] = [
    {"normalize": True}, {"normalize": True, "law": "linear"}, {"normalize": True, "clip": True, "threshold": 0.3},
    {"tau": 3.0, "late": "drop"}, {"tau": 0.5, "threshold": 0.2, "first": 2, "late": "drop"},
    {"law": "linear", "tau": 8.0, "first": 1}, {"law": "linear", "tau": 30.0, "late": "drop", "clip": True},
    {"law": "linear", "normalize": True, "first": 4, "threshold": 0.25},
    {"normalize": True, "first": 4},
]  # fmt: skip


@pytest.mark.engine("snntorch")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(f"{k}={v}" for k, v in way.items()))
def test_latencies_are_snntorchs(way: dict[str, Any]) -> None:
    import torch
    from snntorch import spikegen

    x = np.concatenate([np.random.default_rng(8).random((40, 25)), np.zeros((40, 1)), np.ones((40, 1))], axis=1)
    theirs = {key: value for key, value in way.items() if key not in ("law", "late")}
    there = spikegen.latency(
        torch.from_numpy(x), num_steps=20, linear=way.get("law") == "linear", bypass=way.get("late") == "drop",
        **{{"first": "first_spike_time"}.get(key, key): value for key, value in theirs.items()},
    )  # fmt: skip
    assert np.array_equal(encoding.latency(x, 20, **way), there.numpy().transpose(1, 0, 2))


def test_the_logarithmic_law_is_the_charging_of_a_membrane() -> None:
    """An integrator driven by x, in steps of 1/1000, crosses the threshold within 1/1000 of the law's time."""
    x, tau, threshold = np.array([0.11, 0.2, 0.5, 1.0]), 6000.0, 0.1
    spikes = encoding.latency(x, 20_000, tau=tau, threshold=threshold)
    v, crossed = np.zeros(4), np.full(4, -1)
    for n in range(20_000):
        crossed = np.where((crossed < 0) & (v >= threshold), n, crossed)
        v = x + (v - x) * np.exp(-1 / tau)
    assert np.all(np.abs(spikes.argmax(0) - crossed) <= 1) and np.all(spikes.sum(0) == 1)


@given(arrays.arrays(np.float64, 6, elements=UNIT), st.sampled_from(["log", "linear"]), st.integers(2, 50))
def test_larger_values_are_earlier(x: np.ndarray, law: str, steps: int) -> None:
    spikes = encoding.latency(x, steps, law=law, normalize=True)
    assert np.array_equal(spikes.sum(0), np.ones(6))
    times = spikes.argmax(0)
    assert np.all(np.diff(times[np.argsort(x)]) <= 0)


def test_normalised_latencies_do_not_depend_on_the_batch() -> None:
    x = images(5, (6,))
    together = encoding.latency(x, 30, normalize=True)
    assert all(
        np.array_equal(encoding.latency(row, 30, normalize=True), spikes)
        for row, spikes in zip(x, together, strict=True)
    )


# -- delta ----------------------------------------------------------------------------------------------------------


@pytest.mark.engine("snntorch")
@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_deltas_are_snntorchs(padding: bool, kind: Any) -> None:
    import torch
    from snntorch import spikegen

    x = signal().astype(kind)
    timed = torch.from_numpy(x.transpose(1, 0, 2))
    on = spikegen.delta(timed, threshold=0.05, padding=padding).numpy().transpose(1, 0, 2)
    assert np.array_equal(encoding.delta(x, threshold=0.05, padding=padding), on) and on.any()
    both = spikegen.delta(timed, threshold=0.05, padding=padding, off_spike=True).numpy().transpose(1, 0, 2)
    ours = encoding.delta(x, threshold=0.05, padding=padding, off_spike=True)
    assert ours.shape == (3, 40, 10) and np.array_equal(ours[..., :5] - ours[..., 5:], both)


@given(arrays.arrays(np.float64, (30, 2), elements=st.floats(-0.2, 0.2)))
def test_a_level_follows_what_changes_slowly(steps: np.ndarray) -> None:
    """A signal that moves less than a threshold a step is known from its spikes to within a threshold, for ever."""
    x = steps.cumsum(0) * 0.999
    spikes = encoding.delta(x, threshold=0.2, off_spike=True, against="level")
    level = 0.2 * (spikes[:, :2] - spikes[:, 2:]).cumsum(0)
    assert np.all(np.abs(level - x) < 0.2 + 1e-9)


def test_a_slow_rise_is_seen_by_a_level_only() -> None:
    x = np.linspace(0, 1, 101)[:, None]
    assert not encoding.delta(x, threshold=0.1).any()
    assert encoding.delta(x, threshold=0.1, against="level").sum() == 10
    assert encoding.delta(x + 5, threshold=0.1, against="level", padding=True).sum() in (9, 10)  # 6 - 5 is rounded


# -- population -----------------------------------------------------------------------------------------------------


def test_receptive_fields_of_the_paper() -> None:
    """Bohte et al. 2002: centres (2i - 3)/2 of a distance from the lower end, width 1/1.5 of it."""
    m, low, high = 8, -2.0, 4.0
    apart = (high - low) / (m - 2)
    centres = [low + (2 * i - 3) / 2 * apart for i in range(1, m + 1)]
    found = encoding.receptive_fields(np.array(centres), low=low, high=high).reshape(m, m)
    assert np.allclose(np.diag(found), 1)
    far = (np.subtract.outer(centres, centres) * 1.5 / apart) ** 2
    assert np.allclose(found, np.exp(-far / 2))


def test_spikes_of_a_population() -> None:
    found = encoding.population([0.25], 11, neurons=6)  # a centre: low + 3/2 of a quarter … 0.125, 0.375
    assert [(int(n), int(i)) for n, i in np.argwhere(found)] == [(2, 1), (2, 2)]
    responses = encoding.receptive_fields([0.25], neurons=6)
    assert [round(10 * (1 - r)) for r in responses if r >= 0.1] == [2, 2]
    assert not encoding.population([40.0], 11).any()
    assert encoding.population([0.0, 0.0], 5, low=[0, -9], high=[1, 9], neurons=3).shape == (5, 6)


@given(UNIT, st.integers(3, 20))
def test_a_value_is_found_again(value: float, m: int) -> None:
    """The mean of the centres, weighted by how early the spikes are, is the value to within a distance of centres."""
    spikes = encoding.population([value], 201, neurons=m, cutoff=0.02)
    n, i = np.nonzero(spikes)
    weights, centres = 1 - n / 200, (i - 0.5) / (m - 2)
    found = np.average(centres, weights=weights)
    assert abs(found - value) < 0.75 / (m - 2) and len(n) >= 1


# -- the same spikes on engines -------------------------------------------------------------------------------------


def network(times: Any, ids: Any) -> ns.Network:
    net = ns.Network("coded", dt=1 * ms, seed=2)
    source = net.population("source", 20, SpikeSource(times, ids))
    cell = LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": ExpCurrent(tau=5 * ms)})
    out = net.population("out", 30, cell)
    net.connect(source, out, weight=ns.normal(3 * mV, 4 * mV), delay=ns.uniform(1 * ms, 4 * ms), name="in")
    net.record(source + out, "spikes")
    return net


def test_what_a_source_emits_is_what_was_encoded() -> None:
    spikes = encoding.rate(np.linspace(0, 0.5, 20), 60, seed=9)
    result = network(*encoding.source(spikes, 1 * ms)).run(60 * ms, backend="reference")
    emitted = np.zeros((60, 20))
    emitted[result.spikes["source"].steps, result.spikes["source"].ids] = 1
    assert np.array_equal(emitted, spikes) and len(result.spikes["out"].ids) > 20


def test_a_batch_comes_one_after_the_other() -> None:
    spikes = encoding.rate(images(3, (20,)), 10, seed=9)
    times, ids = encoding.source(spikes, 0.1 * ms, silence=5)
    found = np.zeros((45, 20))
    found[np.rint(times / (0.1 * ms)).astype(int), ids] = 1
    assert np.array_equal(found.reshape(3, 15, 20)[:, :10], spikes) and not found.reshape(3, 15, 20)[:, 10:].any()


@pytest.mark.engine("snntorch")
def test_module_and_native_spike_alike() -> None:
    import torch

    spikes = encoding.rate(torch.linspace(0, 0.5, 20, dtype=torch.float64), 60, seed=9)
    net = network(*encoding.source(spikes, 1 * ms))
    there = net.to_torch(precision="double")({"source": spikes}).spikes["out"][0].detach().numpy()
    result = net.run(60 * ms, backend="native").spikes["out"]
    here = np.zeros((60, 30))
    here[result.steps, result.ids] = 1
    assert np.array_equal(here, there) and there.sum() > 20


# -- bad input ------------------------------------------------------------------------------------------------------

X = [0.5, 0.2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: encoding.rate(X), "x must be [time, features] or [batch, time, features], got shape [2]"),
        (lambda: encoding.rate(0.5, 3), "x must be [features] or [batch, features], got shape []"),
        (lambda: encoding.rate(["a"], 3), "x must be numbers, got an array of <U1"),
        (lambda: encoding.rate([[1], [1, 2]], 3), "x is no array of numbers: setting an array element with a sequence"),
        (lambda: encoding.rate([0.1, np.nan], 3), "x must be finite, got nan at index [1]"),
        (lambda: encoding.rate(X * mV, 3), "x must be plain numbers, got voltage (V): divide by a unit, as in x / mV"),
        (lambda: encoding.rate(X, 0), "steps must be a whole number from 1 on, got 0"),
        (lambda: encoding.rate(X, 2.5), "steps must be a whole number from 1 on, got 2.5"),
        (lambda: encoding.rate(X, 3, first=3), "first is step 3, and there are only 3 steps (the last is 2)"),
        (lambda: encoding.rate(X, 3, gain=np.inf), "gain must be a finite number, got inf"),
        (lambda: encoding.rate(X, 3, seed=-1), "seed must be a whole number from 0 on, got -1"),
        (lambda: encoding.rate(X, 3, seed=1 << 64), "a seed is below 2^64, got 18446744073709551616"),
        (lambda: encoding.rate([X, X], 3, samples=[1]), "samples are one whole number for each of the 2 samples"),
        (lambda: encoding.rate([X, X], 3, samples=[1, -4]), "numbers of samples are 0 to 2^32 - 1, got -4 to 1"),
        (lambda: encoding.regular_rate(X, 3, phase=1), "phase must be below 1"),
        (lambda: encoding.latency([2.0], 3), "latency codes values in 0 … 1, got 2 to 2: scale them first"),
        (lambda: encoding.latency(X, 3, law="cubic"), "law must be 'log' or 'linear', got 'cubic'"),
        (lambda: encoding.latency(X, 3, late="wrap"), "late must be 'error' or 'drop', got 'wrap'"),
        (lambda: encoding.latency(X, 3, tau=0), "tau must be a finite number above 0, got 0"),
        (lambda: encoding.latency(X, 3, threshold=0), "threshold must be a finite number above 0 to 1, got 0"),
        (lambda: encoding.latency([0.0], 3), "the value 0 would spike in step 12, and there are 3 steps"),
        (lambda: encoding.delta(X), "x must be [time, features] or [batch, time, features], got shape [2]"),
        (lambda: encoding.delta([X], threshold=-1), "threshold must be a finite number above 0, got -1"),
        (lambda: encoding.delta([X], against="mean"), "against must be 'previous' or 'level', got 'mean'"),
        (lambda: encoding.population(X, 5, neurons=2), "neurons must be a whole number from 3 on, got 2"),
        (lambda: encoding.population(X, 5, low=1), "low must be below high, and of feature 0 they are 1 and 1"),
        (lambda: encoding.population(X, 5, high=[1, 2, 3]), "high must be one finite number, or one for each of the 2"),
        (lambda: encoding.source([[2.0]], 1 * ms), "the value of sample 0, step 0, neuron 0 is 2"),
        (lambda: encoding.source(X, 1 * ms), "spikes are [time, neurons] or [batch, time, neurons], got float64"),
        (lambda: encoding.source(np.zeros((2, 5, 8, 8)), 1 * ms), "float64 of shape [2, 5, 8, 8]: flatten the rest"),
        (lambda: encoding.source([X], -1 * ms), "dt must be above 0, got -1 ms"),
    ],
)  # fmt: skip
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in caught.value.message
    assert caught.value.where is not None and "test_encoding.py" in caught.value.where


def test_too_much_and_without_a_unit() -> None:
    with pytest.raises(ResourceError, match=r"spikes of shape \[1, 3000000000, 2\] are 6,000,000,000 values"):
        encoding.rate(X, 3_000_000_000)
    with pytest.raises(DimensionError, match=r"dt must be a time \(s\), got the plain number 1"):
        encoding.source([[1]], 1)  # type: ignore[arg-type]

"""Cells against closed forms, against fine integration, and against the listing of their paper."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from model_runs import MS, poke, run, steps, trace
from scipy.integrate import solve_ivp

import neurosim as ns
from neurosim.errors import DimensionError, ParameterError
from neurosim.models import (
    GLIF,
    IF,
    LIF,
    AdEx,
    CubaLIF,
    DCInput,
    DeltaCurrent,
    EscapeLIF,
    HodgkinHuxley,
    Izhikevich,
    PoissonSource,
    PulseCurrent,
    SpikeSource,
)
from neurosim.units import Hz, Mohm, kHz, ms, mV, nS, pA, pF

# -- leaky and perfect integrators ------------------------------------------------------------------------------------


@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
def test_lif_rate_against_current(t_ref: float) -> None:
    amplitudes = np.linspace(155, 905, 16)
    cell = LIF(r_m=100 * Mohm, t_ref=t_ref * ms)
    result = run(cell, 300 * ms, n=16, stimuli=[DCInput(amplitudes * pA)], record=["v"], init={"v": -60 * mV})
    wait = round(t_ref / 0.1)
    for k, amplitude in enumerate(amplitudes):
        end = -70.0 + 0.1 * amplitude
        if end < -50.0:
            assert len(steps(result, k)) == 0
            continue
        climb = math.ceil(20.0 / 0.1 * math.log((end + 60.0) / (end + 50.0)) - 1e-9)
        expected = np.arange(climb - 1, 3000, climb + wait)
        np.testing.assert_array_equal(steps(result, k), expected)
        after = np.arange(climb - 1)  # the first climb, before the spike
        closed = end + (-60.0 - end) * np.exp(-(after + 1) * 0.1 / 20.0)
        np.testing.assert_allclose(trace(result, "v")[after, k], closed * MS, rtol=1e-12)


def test_lif_stands_still_while_refractory() -> None:
    result = run(LIF(r_m=100 * Mohm, t_ref=2 * ms), 100 * ms, stimuli=[DCInput(400 * pA)], record=["v"])
    first = steps(result)[0]
    v = trace(result, "v")[:, 0]
    assert np.all(v[first : first + 21] == -0.06) and v[first + 21] > -0.06


def test_if_counts_charge() -> None:
    result = run(IF(c_m=200 * pF, t_ref=1 * ms), 50 * ms, stimuli=[DCInput(300 * pA)], record=["v"])
    v = trace(result, "v")[:60, 0]
    np.testing.assert_allclose(v, -0.06 + 1.5 * 1e-4 * (np.arange(60) + 1), rtol=1e-12)
    np.testing.assert_array_equal(steps(result), np.arange(66, 500, 67 + 10))


def test_if_takes_slopes_or_jumps() -> None:
    assert len(steps(run(IF, 50.05 * ms, dt=0.05 * ms, stimuli=[DCInput(1.001 * mV / ms)]))) == 5
    jumps = poke(IF(receptors={"syn": DeltaCurrent}), None, 3 * mV, 5 * ms, record=["v"])
    np.testing.assert_allclose(trace(jumps, "v")[[10, 11, -1], 0], [-0.06, -0.057, -0.057], rtol=1e-12)


# -- CubaLIF ----------------------------------------------------------------------------------------------------------


def test_cuba_lif_against_closed_form() -> None:
    ts, tm, drive = 3.0, 11.0, 0.7
    cell = CubaLIF(tau_syn=ts * ms, tau_mem=tm * ms, w_in=2.0, r=1.5, v_leak=0.25)
    t = (np.arange(300) + 1) * 0.1
    full = 2.0 * drive
    i = full * (1 - np.exp(-t / ts))
    v = 0.25 + 1.5 * full * (1 - np.exp(-t / tm) - (np.exp(-t / tm) - np.exp(-t / ts)) * ts / (tm - ts))
    result = run(cell(v_threshold=9.0), 30 * ms, stimuli=[DCInput(drive)], record=["v", "i_syn"])
    np.testing.assert_allclose(trace(result, "i_syn")[:, 0], i, rtol=1e-12)
    np.testing.assert_allclose(trace(result, "v")[:, 0], v, rtol=1e-12)
    first = steps(run(cell, 30 * ms, stimuli=[DCInput(drive)]))[0]
    assert first == np.flatnonzero(v > 1.0)[0]


def test_cuba_lif_threshold_has_to_be_exceeded() -> None:
    assert len(steps(run(CubaLIF(v_threshold=0.0), 10 * ms))) == 0


def test_cuba_lif_with_euler_is_the_usual_loop() -> None:
    rng = np.random.default_rng(3)
    spikes = np.flatnonzero(rng.random(200) < 0.3)
    net = ns.Network(dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([spikes * 0.1 * ms]))
    cell = net.population("p", 1, CubaLIF(method="euler", tau_syn=2 * ms, tau_mem=4 * ms, r=8.0))
    net.connect(source, cell, weight=1.0, delay=0.1 * ms)
    for variable in ("spikes", "v"):
        net.record(cell, variable)
    result = net.run(20.1 * ms, backend="reference")
    i = v = 0.0
    out, found = [], []
    for n in range(201):
        s = float(n - 1 in spikes)
        i, v = i + 0.1 / 2.0 * (s - i), v + 0.1 / 4.0 * (8.0 * i - v)
        if v > 1.0:
            v = 0.0
            found.append(n)
        out.append(v)
    assert len(found) > 3
    np.testing.assert_array_equal(steps(result), found)
    np.testing.assert_allclose(trace(result, "v")[:, 0], out, rtol=1e-12, atol=1e-15)


def test_pulse_is_the_input_of_one_step() -> None:
    cell = ns.Cell("y[n+1] = i", receptors={"input": PulseCurrent})
    result = poke(cell, "input", 0.75, 3 * ms, record=["y"])
    np.testing.assert_array_equal(np.flatnonzero(trace(result, "y")[:, 0]), [11])
    assert trace(result, "y")[11, 0] == 0.75


# -- AdEx -------------------------------------------------------------------------------------------------------------

ADEX = {"c": 281e-12, "g": 30e-9, "e": -70.6e-3, "t": -50.4e-3, "s": 2e-3, "a": 4e-9, "b": 80.5e-12, "tw": 0.144}


def adex_spikes(current: float, duration: float, p: dict[str, float] = ADEX) -> tuple[list[float], Any]:
    """Integrate finely from spike to spike; return their times and the solution up to the first."""

    def slopes(t: float, y: np.ndarray) -> list[float]:
        v, w = min(y[0], 0.01), y[1]
        return [(-p["g"] * (v - p["e"]) + p["g"] * p["s"] * math.exp((v - p["t"]) / p["s"]) - w + current) / p["c"],
                (p["a"] * (v - p["e"]) - w) / p["tw"]]  # fmt: skip

    def peak(t: float, y: np.ndarray) -> float:
        return float(y[0])

    peak.terminal = True  # type: ignore[attr-defined]
    t, y, times, first = 0.0, np.array([p["e"], 0.0]), [], None
    while t < duration:
        part = solve_ivp(slopes, (t, duration), y, method="DOP853", rtol=1e-11, atol=1e-15, events=peak,
                         dense_output=True)  # fmt: skip
        first = part.sol if first is None else first
        t, y = float(part.t[-1]), part.y[:, -1]
        if part.status == 1:
            times.append(t)
            y = np.array([-60e-3, y[1] + p["b"]])
    return times, first


def test_adex_against_fine_integration() -> None:
    dt = 0.02
    times, first = adex_spikes(1.5e-9, 0.06)
    result = run(AdEx, 60 * ms, dt=dt * ms, stimuli=[DCInput(1500 * pA)], record=["v", "w"])
    got = (steps(result) + 1) * dt * MS
    assert len(got) == len(times) > 3
    early = int(times[0] / (dt * MS)) - 50  # 1 ms before the first spike
    truth = first((np.arange(early) + 1) * dt * MS)
    np.testing.assert_allclose(trace(result, "v")[:early, 0], truth[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(trace(result, "w")[:early, 0], truth[1], rtol=0, atol=1e-17)
    late = got - times  # a spike ends its step, and the next interval starts from there
    assert np.all(late >= -1e-9) and np.all(late <= 1.6 * (np.arange(len(got)) + 1) * dt * MS)


def test_adex_spike_leaves_adaptation_clean() -> None:
    result = run(AdEx(b=100 * pA, a=0 * nS), 40 * ms, stimuli=[DCInput(900 * pA)], record=["v", "w"])
    first = steps(result)[0]
    w = trace(result, "w")[:, 0]
    assert np.all(w[:first] == 0.0) and w[first] == pytest.approx(100e-12, rel=1e-12)
    assert trace(result, "v")[first, 0] == -60e-3
    assert np.all(np.isfinite(trace(run(AdEx, 40 * ms, stimuli=[DCInput(5000 * pA)], record=["v"]), "v")))


# -- Izhikevich -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [(0.02, 0.2, -65, 8), (0.02, 0.2, -55, 4), (0.02, 0.2, -50, 2), (0.1, 0.2, -65, 2), (0.02, 0.25, -65, 2)],
    ids=["regular", "bursting", "chattering", "fast", "low threshold"],
)
def test_izhikevich_is_the_loop_of_the_paper(a: float, b: float, c: float, d: float) -> None:
    """For as long as rounding does not tell: at 1 ms a spike multiplies a difference by about ten."""
    drive = np.random.default_rng(1).normal(6.0, 3.0, 100)
    v, u, found, path = float(c), b * c, [], []
    for ms_, i in enumerate(drive):  # one turn a millisecond: look for spikes, reset, half a step, half a step, u
        v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + i)
        v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + i)
        u += a * (b * v - u)
        if v >= 30:  # the paper finds it at the head of the next turn; nothing lies between
            found.append(ms_)
            v, u = float(c), u + d
        path.append((v, u))
    cell = Izhikevich(a=a * kHz, b=b * kHz, c=c * mV, d=d * mV / ms)
    current = ns.TimedArray(drive * mV / ms, 1 * ms)
    stimulus = ns.Current(output="x", x=current)
    result = run(cell, 100 * ms, dt=1 * ms, stimuli=[stimulus], record=["v", "u"])
    assert len(found) > 1
    np.testing.assert_array_equal(steps(result), found)
    np.testing.assert_allclose(trace(result, "v")[:, 0], np.array(path)[:, 0] * 1e-3, rtol=1e-6)
    np.testing.assert_allclose(trace(result, "u")[:, 0], np.array(path)[:, 1], rtol=1e-6)


def test_izhikevich_single_steps() -> None:
    rng = np.random.default_rng(2)
    v, u, i = rng.uniform(-90, 30, 500), rng.uniform(-20, 10, 500), rng.uniform(-20, 20, 500)
    result = run(Izhikevich, 1 * ms, dt=1 * ms, n=500, stimuli=[DCInput(i * mV / ms)], record=["v", "u"],
                 init={"v": v * mV, "u": u * mV / ms})  # fmt: skip
    x = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + i)
    x = x + 0.5 * (0.04 * x**2 + 5 * x + 140 - u + i)
    y = u + 0.02 * (0.2 * x - u)
    fired = x >= 30
    x, y = np.where(fired, -65.0, x), np.where(fired, y + 8, y)
    assert 20 < np.count_nonzero(fired) < 480
    np.testing.assert_array_equal(np.sort(result.spikes["p"].ids), np.flatnonzero(fired))
    np.testing.assert_allclose(trace(result, "v")[0] * 1e3, x, rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(trace(result, "u")[0], y, rtol=1e-11, atol=1e-12)


# -- Hodgkin-Huxley ---------------------------------------------------------------------------------------------------


@functools.cache
def hodgkin_huxley(duration: float, current: float, v0: float = -60.0, gates: tuple[float, ...] | None = None) -> Any:
    """Integrate finely, in mV and ms, with the rates as they stand in the literature."""

    def ratio(x: float, y: float) -> float:
        return y * (1 - x / y / 2) if abs(x / y) < 1e-6 else x / math.expm1(x / y)

    def rates(v: float) -> list[tuple[float, float]]:
        u = v + 63.0
        return [(0.32 * ratio(13 - u, 4), 0.28 * ratio(u - 40, 5)),
                (0.128 * math.exp((17 - u) / 18), 4 / (1 + math.exp((40 - u) / 5))),
                (0.032 * ratio(15 - u, 5), 0.5 * math.exp((10 - u) / 40))]  # fmt: skip

    def slopes(t: float, y: np.ndarray) -> list[float]:
        v, m, h, n = y
        total = 10 * (-60 - v) + 20000 * m**3 * h * (50 - v) + 6000 * n**4 * (-90 - v) + current
        return [total / 200, *(a * (1 - x) - b * x for (a, b), x in zip(rates(v), (m, h, n), strict=True))]

    start = gates or tuple(a / (a + b) for a, b in rates(v0))
    return solve_ivp(slopes, (0, duration), [v0, *start], method="LSODA", rtol=1e-11, atol=1e-13, dense_output=True).sol


@pytest.mark.parametrize(("method", "dt"), [("rk4", 0.02), ("exponential_euler", 0.01)])
def test_hodgkin_huxley_against_fine_integration(method: str, dt: float) -> None:
    variables = ["v", "m", "h", "n"]
    result = run(HodgkinHuxley(method=method), 12 * ms, dt=dt * ms, stimuli=[DCInput(1000 * pA)], record=variables)
    truth = hodgkin_huxley(12.0, 1000.0)((np.arange(round(12 / dt)) + 1) * dt)
    crossings = np.flatnonzero((truth[0][1:] > -20) & (truth[0][:-1] <= -20)) + 1
    assert len(crossings) >= 2
    assert np.max(np.abs(steps(result) - crossings)) * dt <= (0.02 if method == "rk4" else 0.15)
    for variable, expected in zip(variables, truth, strict=True):
        error = np.abs(trace(result, variable)[:, 0] * (1e3 if variable == "v" else 1) - expected)
        before = error[: crossings[0] - round(1 / dt)]  # until 1 ms before the first spike, where time does not tell
        assert np.max(error if method == "rk4" else before) < (0.2 if method == "rk4" else 0.1)


@pytest.mark.parametrize("v0", [-50.0, -48.0, -23.0])
def test_hodgkin_huxley_where_a_rate_is_zero_by_zero(v0: float) -> None:
    gates = (0.1, 0.5, 0.2)
    init = {"v": v0 * mV, **dict(zip("mhn", gates, strict=True))}
    result = run(HodgkinHuxley(method="rk4"), 0.01 * ms, dt=0.001 * ms, record=["v", "m", "n"], init=init)
    truth = hodgkin_huxley(0.01, 0.0, v0, gates)((np.arange(10) + 1) * 1e-3)
    for k, variable in ((0, "v"), (1, "m"), (3, "n")):
        scale = 1e-3 if variable == "v" else 1.0
        np.testing.assert_allclose(trace(result, variable)[:, 0], truth[k] * scale, rtol=1e-9)


# -- sources ----------------------------------------------------------------------------------------------------------


def test_poisson_source() -> None:
    result = run(PoissonSource(50 * Hz), 200 * ms, n=2000)
    counts = np.bincount(result.spikes["p"].ids, minlength=2000)
    assert counts.sum() == pytest.approx(20000, abs=5 * math.sqrt(20000))
    assert np.var(counts) / np.mean(counts) == pytest.approx(1 - 0.005, abs=0.16)
    assert np.bincount(result.spikes["p"].steps // 200, minlength=10).std() < 5 * math.sqrt(2000)


def test_poisson_source_takes_every_kind_of_rate() -> None:
    many = run(PoissonSource(np.array([0.0, 100.0, 1e6]) * Hz), 100 * ms, n=3).spikes["p"]
    assert np.bincount(many.ids, minlength=3)[0] == 0 and np.bincount(many.ids)[2] == 1000
    table = run(PoissonSource(ns.TimedArray([0, 1000] * Hz, 50 * ms)), 100 * ms, n=50).spikes["p"]
    assert table.steps.min() >= 500 and len(table.steps) == pytest.approx(2500, abs=250)
    timed = run(PoissonSource("where(t > 49.95*ms, peak, 0*Hz)", peak=1000 * Hz), 100 * ms, n=50).spikes["p"]
    np.testing.assert_array_equal(timed.steps, table.steps)  # the same uniform numbers
    index = run(PoissonSource("where(index < 2, 0*Hz, 1e6*Hz)"), 1 * ms, n=3).spikes["p"]
    assert set(index.ids) == {2}
    with pytest.raises(DimensionError):
        PoissonSource(5 * ms)


def test_spike_source_forms_agree() -> None:
    rows = [[1.0, 2.5] * ms, [] * ms, [0.0, 2.5] * ms]
    forms: list[Any] = [
        SpikeSource(rows),
        SpikeSource({0: [1.0, 2.5] * ms, 2: [2.5, 0.0] * ms}),
        SpikeSource({0: [1.0 * ms, 2.5 * ms], 2: (2.5 * ms, 0.0 * ms)}),
        SpikeSource([2.5, 0.0, 1.0, 2.5] * ms, [2, 2, 0, 0]),
    ]
    for form in forms:
        got = run(form, 5 * ms, n=3).spikes["p"]
        np.testing.assert_array_equal(got.steps, [0, 10, 25, 25])
        np.testing.assert_array_equal(got.ids, [2, 0, 0, 2])


def test_spike_source_repeats() -> None:
    got = run(SpikeSource([[0.0, 1.0] * ms], period=2 * ms), 5 * ms).spikes["p"]
    np.testing.assert_array_equal(got.steps, [0, 10, 20, 30, 40])
    assert len(run(SpikeSource([[]]), 1 * ms).spikes["p"].steps) == 0


def test_spike_source_takes_a_table() -> None:
    got = run(SpikeSource([[1.0, 2.5], [0.5, 0.0]] * ms), 5 * ms, n=2).spikes["p"]
    np.testing.assert_array_equal(got.steps, [0, 5, 10, 25])
    np.testing.assert_array_equal(got.ids, [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpikeSource([[1.03] * ms]), "nearest legal: 1 ms or 1.1 ms"),
        (lambda: SpikeSource([[1.0, 1.0] * ms]), "spikes twice in the step at 1 ms"),
        (lambda: SpikeSource([[1.0] * ms, [2.0] * ms]), "of 1 neurons has a SpikeSource with times for 2"),
        (lambda: SpikeSource([1.0] * ms, [4]), "names neuron 4; there are 1"),
        (lambda: SpikeSource([[-1.0] * ms]), "must not be negative"),
        (lambda: SpikeSource([[3.0] * ms], period=2 * ms), "not before its period"),
        (lambda: SpikeSource([1.0] * ms), r"as in \[\[5, 10\]\*ms\]"),
        (lambda: SpikeSource([1.0] * ms, [0, 1]), "one whole number for each"),
        (lambda: SpikeSource([[1.0]]), "plain number"),
    ],
)
def test_spike_source_refuses(make: Any, message: str) -> None:
    with pytest.raises((ParameterError, DimensionError), match=message):
        run(make(), 5 * ms)


def test_spike_source_rounds_and_merges_on_request() -> None:
    got = run(SpikeSource([[1.03, 0.98] * ms], align="round", duplicates="merge"), 5 * ms).spikes["p"]
    np.testing.assert_array_equal(got.steps, [10])


# -- GLIF, escape noise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"level": 0}, "the level of a GLIF cell is 1, 2, 3, 4 or 5, got 0"),
        ({"level": "5"}, "the level of a GLIF cell is 1, 2, 3, 4 or 5, got '5'"),
        ({"n_asc": -1}, "n_asc, the number of after-spike currents, must be 0 or more, got -1"),
        ({"n_asc": 1.5}, "n_asc, the number of after-spike currents, must be 0 or more, got 1.5"),
    ],
)
def test_glif_that_there_is_none_of(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says.replace("(", r"\(")):
        GLIF(**arguments)


def test_glif_levels_have_the_parameters_that_they_read() -> None:
    assert [len(GLIF(level).params) for level in (1, 2, 3, 4, 5)] == [6, 9, 12, 15, 17]
    assert "asc_amp_2" in GLIF(3, 3).params and "asc_amp_0" not in GLIF(3, 0).params


@pytest.mark.parametrize("precision", ["double", "single"])
def test_escape_noise_far_above_the_threshold_is_certain(precision: str) -> None:
    """A hazard that would overflow is one of a spike in every step."""
    net = ns.Network(dt=0.1 * ms)
    pop = net.population("p", 3, EscapeLIF(v_rest=10000 * mV, v_reset=10000 * mV))
    net.record(pop, "spikes")
    assert len(net.run(2 * ms, backend="native", precision=precision).spikes["p"]) == 60

"""Every cell of the library under a constant current, a step of current, and spikes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.kit import case, network, record, values, when
from neurosim.models import (
    ALIF,
    EIF,
    IF,
    LIF,
    AdEx,
    CubaLIF,
    DCInput,
    DeltaCurrent,
    EscapeLIF,
    ExpConductance,
    ExpCurrent,
    HodgkinHuxley,
    HodgkinHuxleyPeak,
    Izhikevich,
    PoissonSource,
    PulseCurrent,
    Relay,
    SpikeSource,
    StepCurrent,
)
from neurosim.units import Hz, ms, mV, nA, nS, pA

TRAINS = ([12, 40, 55, 70, 71, 72, 200, 230], [40, 56, 71, 130, 131, 200])
"""Steps in which the two sources of spikes fire."""


def driven(cell: Any, currents: Any, step: Any, weights: list[Any], dt: float = 0.1) -> ns.Network:
    """A population of a cell with constant currents; the last neuron but one gets a step more, the last one spikes.

    The step is there from step 50 to 149; spikes come with a delay of two steps.
    """
    net = network(dt=dt)
    n = np.size(currents if isinstance(currents, np.ndarray) else currents.value)
    pop = net.population("p", n, cell)
    net.stimulate(pop, DCInput(currents))
    shape = np.outer([0.0, 1.0, 0.0], np.arange(n) == n - 2)
    net.stimulate(pop, StepCurrent([0, 50 * dt, 150 * dt] * ms, shape * step))
    source = net.population("source", 2, SpikeSource([np.array(train) * dt * ms for train in TRAINS]))
    for k, weight in enumerate(weights):
        net.connect(source[k], pop[n - 1], weight=weight, delay=2 * dt * ms)
    return record(net, ("p", "spikes"), ("p", "v"))


def on(n: int) -> bool:
    """Tell whether the step of current is there."""
    return 50 <= n < 150


def agree(r: Any, neuron: int, expected: Any, spikes: list[int], scale: float, far: float) -> None:
    """Compare a neuron with what it should do; `expected` times `scale` is in SI."""
    neuron %= r.populations["p"]
    assert when(r, "p", neuron) == spikes, f"spikes of neuron {neuron}"
    got, want = np.array(values(r, "p", "v", neuron)), np.array(expected) * scale
    assert np.all(np.abs(got - want) <= far * np.max(np.abs(want))), f"v of neuron {neuron}"


# -- leaky and perfect integrators ------------------------------------------------------------------------------------

_LIF_DC = np.linspace(15.3, 60.7, 9)


def _lif(r: Any) -> None:
    for k, amplitude in enumerate(_LIF_DC):
        spikes, path = oracles.lif(300, 0.1, lambda n, a=amplitude: a, {}, wait=20)
        agree(r, k, path, spikes, 1e-3, 1e-11)
        if amplitude > 20:
            first = oracles.climb(-70, -70 + amplitude, -50, 20, 0.1) - 1
            more = oracles.climb(-60, -70 + amplitude, -50, 20, 0.1) + 20
            assert spikes == list(range(first, 300, more))
        else:
            assert spikes == []
    spikes, path = oracles.lif(300, 0.1, lambda n: 120.0 * on(n), {}, wait=20)
    agree(r, -2, path, spikes, 1e-3, 1e-11)
    assert len(spikes) > 1
    kicks = oracles.arrivals(TRAINS, (12.0, 40.0), 2)
    spikes, path = oracles.lif(300, 0.1, lambda n: 12.0, kicks, wait=20, tau_s=5.0)
    agree(r, -1, path, spikes, 1e-3, 1e-10)
    assert len(spikes) > 2


@case("LIF: constant current (spikes in closed form), step of current, exponential currents.", 300, _lif,
      subject="library")  # fmt: skip
def lif_drives() -> ns.Network:
    cell = LIF(t_ref=2 * ms, receptors={"syn": ExpCurrent(tau=5 * ms)})
    return driven(cell, [*_LIF_DC, 0, 12] * mV, 120 * mV, [12 * mV, 40 * mV])


def _isi(r: Any) -> None:
    for k, end in enumerate(_ENDS):
        found = when(r, "p", k)
        steps = oracles.climb(0, end, 1, 10, 0.1)
        assert found == list(range(steps - 1, 2000, steps)), f"{end}"
        exact = 10 * math.log(end / (end - 1))
        assert exact <= steps * 0.1 < exact + 0.1


_ENDS = np.array([1.0001, 1.01, 1.3, 1.7, 2.5, 5.3, 40.1])


@case("Interval of a leaky integrate-and-fire neuron at constant current: tau ln(I/(I - 1)), rounded up to the grid.",
      2000, _isi, subject="library")  # fmt: skip
def lif_interval() -> ns.Network:
    net = network()
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_th=10 * mV, v_reset=0 * mV)
    net.stimulate(net.population("p", len(_ENDS), cell), DCInput(_ENDS * 10 * mV))
    net.record(net["p"], "spikes")
    return net


def _refractory(r: Any) -> None:
    rise = oracles.climb(-60, 230, -50, 20, 0.1)
    for name, wait in (("none", 0), ("one", 1), ("two", 20)):
        first = oracles.climb(-70, 230, -50, 20, 0.1) - 1
        assert when(r, name) == list(range(first, 500, rise + wait)), name
        above = np.array(values(r, name, "v")) + 0.06
        assert np.all(np.abs(above[first : first + wait + 1]) < 1e-14) and above[first + wait + 1] > 1e-4, name


@case("A LIF neuron stands at its reset potential for the t_ref/dt steps after a spike: 0, one step, 2 ms.", 500,
      _refractory, subject="library")  # fmt: skip
def lif_refractory_period() -> ns.Network:
    net = network()
    for name, t_ref in (("none", 0.0), ("one", 0.1), ("two", 2.0)):
        net.stimulate(net.population(name, 1, LIF(t_ref=t_ref * ms)), DCInput(300 * mV))
        net.record(net[name], "spikes")
        net.record(net[name], "v")
    return net


_IF_DC = np.array([0.5, 1.001, 3.3, 9.7])


def _if_loop(drive: float, kicks: dict[int, float]) -> tuple[list[int], list[float]]:
    """Count charge: 10 mV make a spike, and for ten steps after it nothing counts."""
    v, held, spikes, path = 0.0, 0, [], []
    for n in range(300):
        if held:
            held -= 1
        else:
            v += 0.1 * drive * on(n) + kicks.get(n, 0.0)
            if v >= 10:
                v, held = 0.0, 10
                spikes.append(n)
        path.append(v - 60)
    return spikes, path


def _if(r: Any) -> None:
    for k, slope in enumerate(_IF_DC):
        steps = math.ceil(10 / (slope * 0.1))
        assert when(r, "p", k) == list(range(steps - 1, 300, steps + 10))
        climbed = np.array(values(r, "p", "v", k))[: steps - 1]
        assert np.allclose(climbed, (-60 + slope * 0.1 * np.arange(1, min(steps, 301))) * 1e-3, rtol=1e-12)
    for neuron, drive, kicks in ((-2, 2.7, {}), (-1, 0.0, oracles.arrivals(TRAINS, (3.0, 4.5), 2))):
        spikes, path = _if_loop(drive, kicks)
        agree(r, neuron, path, spikes, 1e-3, 1e-12)
        assert len(spikes) > 1


@case("IF: constant slopes (the charge counts), step, jumps; what arrives while refractory is lost.", 300, _if,
      subject="library")  # fmt: skip
def if_drives() -> ns.Network:
    cell = IF(t_ref=1 * ms, receptors={"syn": DeltaCurrent})
    return driven(cell, [*_IF_DC, 0, 0] * (mV / ms), 2.7 * mV / ms, [3 * mV, 4.5 * mV])


_CUBA = {"s": 3.0, "m": 11.0, "r": 1.5, "w": 2.0}
_CUBA_DC = np.array([0.2, 0.4, 0.9])


def _cuba_loop(drive: Callable[[int], float]) -> tuple[list[int], list[float]]:
    """Step NIR's CubaLIF by the closed forms of its two equations: input constant during a step."""
    ts, tm, dt = _CUBA["s"], _CUBA["m"], 0.1
    a, b = math.exp(-dt / ts), math.exp(-dt / tm)
    i = v = 0.0
    spikes, path = [], []
    for n in range(300):
        end = _CUBA["w"] * drive(n)
        v = v * b + _CUBA["r"] * (end * (1 - b) + (i - end) * (b - a) * ts / (tm - ts))
        i = end + (i - end) * a
        if v > 1:
            spikes.append(n)
            v = 0.0
        path.append(v)
    return spikes, path


def _cuba(r: Any) -> None:
    kicks = oracles.arrivals(TRAINS, (8.0, 30.0), 2)
    drives = [*(lambda n, a=a: a for a in _CUBA_DC), lambda n: 1.3 * on(n), lambda n: 0.3 + kicks.get(n, 0.0)]
    for k, drive in enumerate(drives):
        spikes, path = _cuba_loop(drive)
        agree(r, k, path, spikes, 1, 1e-11)
        assert len(spikes) > 1 or k < 2
    t = np.arange(1, 301) * 0.1
    below = 2 * 0.2 * 1.5 * (1 - np.exp(-t / 11) - (np.exp(-t / 11) - np.exp(-t / 3)) * 3 / 8)
    assert np.allclose(values(r, "p", "v", 0), below, rtol=1e-10)


@case("CubaLIF: constant input (closed form below the threshold), step, pulses of one step.", 300, _cuba,
      subject="library")  # fmt: skip
def cuba_lif_drives() -> ns.Network:
    cell = CubaLIF(tau_syn=3 * ms, tau_mem=11 * ms, r=1.5, w_in=2.0, receptors={"input": PulseCurrent})
    return driven(cell, np.array([*_CUBA_DC, 0, 0.3]), 1.3, [8.0, 30.0])


def _alif_loop(drive: Callable[[int], float], kicks: dict[int, float]) -> tuple[list[int], list[float], list[float]]:
    """Step a leaky membrane and a threshold that a spike raises by 2 mV and that decays in 200 ms."""
    v, a, held, spikes, path, above = -70.0, 0.0, 0, [], [], []
    for n in range(600):
        a *= math.exp(-0.1 / 200)
        if held:
            held -= 1
        else:
            end = drive(n) - 70
            v = end + (v - end) * math.exp(-0.1 / 20) + kicks.get(n, 0.0)
            if v >= a - 50:
                v, a, held = -60.0, a + 2, 10
                spikes.append(n)
        path.append(v)
        above.append(a)
    return spikes, path, above


_ALIF_DC = np.array([15.0, 40.0, 90.0])


def _alif(r: Any) -> None:
    kicks = oracles.arrivals(TRAINS, (12.0, 14.0), 2)
    drives = [*((lambda n, a=a: a, {}) for a in _ALIF_DC), (lambda n: 150.0 * on(n), {}), (lambda n: 19.0, kicks)]
    for k, (drive, jumps) in enumerate(drives):
        spikes, path, above = _alif_loop(drive, jumps)
        agree(r, k, path, spikes, 1e-3, 1e-10)
        assert np.allclose(values(r, "p", "a", k), np.array(above) * 1e-3, rtol=1e-10, atol=1e-15)
        assert len(spikes) > 1 or k == 0
    intervals = np.diff(when(r, "p", 2))
    assert np.all(np.diff(intervals) >= 0) and intervals[-1] > intervals[0], "a constant current is adapted to"


@case("ALIF: each spike raises the threshold, which decays also while refractory; intervals grow.", 600, _alif,
      subject="library")  # fmt: skip
def alif_drives() -> ns.Network:
    cell = ALIF(t_ref=1 * ms, receptors={"syn": DeltaCurrent})
    net = driven(cell, [*_ALIF_DC, 0, 19] * mV, 150 * mV, [12 * mV, 14 * mV])
    return record(net, ("p", "a"))


_ESCAPE_DC = np.repeat([14.0, 20.0, 26.0, 40.0], 12)


def _escape(r: Any) -> None:
    """Count what a hazard of exp((v + 50)/4)/(19 ms) does to the uniform numbers of the neurons."""
    v, held, count = np.full(48, -70.0), np.zeros(48, dtype=int), np.zeros(48, dtype=int)
    for n in range(400):
        free = held == 0
        v = np.where(free, _ESCAPE_DC - 70 + (v - _ESCAPE_DC + 70) * math.exp(-0.1 / 20), v)
        u = (oracles.words(11, "p/uniform0", 48, n) + 0.5) / 2**32
        fired = free & (u < -np.expm1(-np.exp((v + 50) / 4) * 0.1 / 19))
        v, held, count = np.where(fired, -60.0, v), np.where(fired, 20, np.maximum(held - 1, 0)), count + fired
        spikes = r.spikes["p"]
        assert spikes.ids[spikes.steps == n].tolist() == np.flatnonzero(fired).tolist(), f"step {n}"
    assert np.all(np.diff(count.reshape(4, 12).sum(1)) > 0), "the stronger the input, the more spikes"


@case("EscapeLIF: a spike where the neuron's uniform number is below 1 - exp(-hazard*dt), softly about the threshold.",
      400, _escape, subject="library")  # fmt: skip
def escape_lif_drives() -> ns.Network:
    net = network()
    net.stimulate(net.population("p", 48, EscapeLIF(t_ref=2 * ms)), DCInput(_ESCAPE_DC * mV))
    return record(net, ("p", "spikes"))


def _flat(r: Any) -> None:
    """At a potential that stands still spikes are a Poisson process of the hazard at that potential."""
    expected = 2000 * -math.expm1(-0.1 / 19) * 200
    assert abs(len(r.spikes["p"].steps) - expected) < 4 * math.sqrt(expected)


@case("EscapeLIF at its threshold spikes at rho_0, 1/(19 ms), to four standard deviations of a count.", 200, _flat,
      subject="library")  # fmt: skip
def escape_lif_rate() -> ns.Network:
    net = network()
    net.population("p", 2000, EscapeLIF(v_rest=-50 * mV, v_reset=-50 * mV))
    return record(net, ("p", "spikes"))


_NIR_INPUT = [60, 220, 270, 310, 320, 350, 370, 400, 410, *range(430, 540, 10), *range(670, 790, 10), 840, 850]
"""Input of the LIF list in ``paper/01_lif`` of github.com/neuromorphs/NIR at 7232ada (BSD-3), first column of its
lif_*.csv. The spikes below are the third column, the same there for the exact solution, Norse, Nengo, snnTorch and
SpiNNaker2 (J. E. Pedersen et al., Nat. Commun. 15, 2024, figure 3)."""


def _nir(r: Any) -> None:
    for name in ("exact", "euler"):
        assert when(r, name) == [460, 510, 710, 760]


@case("The LIF list of the NIR paper: tau = 2.5 ms, threshold 0.1, 34 input pulses, four spikes.", 1000, _nir,
      subject="library")  # fmt: skip
def nir_lif() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([(np.array(_NIR_INPUT) - 1) * 0.1 * ms]))
    cell = ns.Cell("dv/dt = (v_leak - v + r*i)/tau", threshold="v > v_threshold", reset="v = v_leak", tau=2.5 * ms,
                   r=1.0, v_leak=0.0, v_threshold=0.1, receptors={"input": PulseCurrent}, name="LIF")  # fmt: skip
    for name in ("exact", "euler"):
        target = net.population(name, 1, cell(method=name))
        net.connect(source, target, weight=1.0, delay=0.1 * ms)
        net.record(target, "spikes")
    return net


# -- cells that are stepped numerically -------------------------------------------------------------------------------


def _izhikevich_loop(drive: Callable[[int], float], kicks: dict[int, float]) -> tuple[list[int], list[float]]:
    """Step the listing of the paper (E. M. Izhikevich, 2003): two half steps of v, then u with the new v."""
    v, u, x = -65.0, -13.0, 0.0
    spikes, path = [], []
    for n in range(300):
        i = drive(n) + x
        for _ in range(2):
            v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + i)
        u += 0.02 * (0.2 * v - u)
        x = x * math.exp(-1 / 5) + kicks.get(n, 0.0)
        if v >= 30:
            v, u = -65.0, u + 8
            spikes.append(n)
        path.append(v)
    return spikes, path


_IZHIKEVICH_DC = np.array([3.0, 4.5, 6.0, 10.0])


def _izhikevich(r: Any) -> None:
    for k, amplitude in enumerate(_IZHIKEVICH_DC):
        spikes, path = _izhikevich_loop(lambda n, a=amplitude: a, {})
        agree(r, k, path, spikes, 1e-3, 1e-6)
        assert bool(spikes) == (amplitude > 4)
    spikes, path = _izhikevich_loop(lambda n: 9.0 * on(n), {})
    agree(r, -2, path, spikes, 1e-3, 1e-6)
    assert len(spikes) > 2
    spikes, path = _izhikevich_loop(lambda n: 2.0, oracles.arrivals(TRAINS, (6.0, 9.0), 2))
    agree(r, -1, path, spikes, 1e-3, 1e-6)
    assert len(spikes) > 2


@case("Izhikevich: the loop of the paper at 1 ms, under constant current, a step, exponential currents.", 300,
      _izhikevich, dt=1.0, subject="library")  # fmt: skip
def izhikevich_drives() -> ns.Network:
    cell = Izhikevich(receptors={"syn": ExpCurrent(tau=5 * ms)})
    unit = mV / ms
    return driven(cell, [*_IZHIKEVICH_DC, 0, 2] * unit, 9 * unit, [6 * unit, 9 * unit], dt=1.0)


def _adex_loop(drive: Callable[[int], float], kicks: dict[int, float]) -> tuple[list[int], list[float]]:
    """Step Brette and Gerstner's equations by Runge-Kutta, conductance included: ms, mV, pA, nS, pF."""

    def slopes(y: np.ndarray, i: float) -> np.ndarray:
        v, w, g = y
        low = min(v, 0.0)
        leak = 30 * (-70.6 - low) + 30 * 2 * math.exp((low + 50.4) / 2)
        return np.array([(leak - w + i + g * (0 - v)) / 281, (4 * (low + 70.6) - w) / 144, -g / 3])

    y, spikes, path = np.array([-70.6, 0.0, 0.0]), [], []
    for n in range(300):
        i = drive(n)
        y = oracles.rk4(lambda z, i=i: slopes(z, i), y, 0.1)
        y[2] += kicks.get(n, 0.0)
        if y[0] >= 0:
            y[0], y[1] = -60.0, y[1] + 80.5
            spikes.append(n)
        path.append(y[0])
    return spikes, path


_ADEX_DC = np.array([400.0, 900.0, 1500.0])


def _adex(r: Any) -> None:
    for k, amplitude in enumerate(_ADEX_DC):
        spikes, path = _adex_loop(lambda n, a=amplitude: a, {})
        agree(r, k, path, spikes, 1e-3, 1e-7)
        assert bool(spikes) == (amplitude > 500)
    spikes, path = _adex_loop(lambda n: 2500.0 * on(n), {})
    agree(r, -2, path, spikes, 1e-3, 1e-7)
    assert len(spikes) > 1
    spikes, path = _adex_loop(lambda n: 400.0, oracles.arrivals(TRAINS, (30.0, 50.0), 2))
    agree(r, -1, path, spikes, 1e-3, 1e-7)
    assert len(spikes) > 1


@case("AdEx: Runge-Kutta steps of all equations, under constant current, a step, conductances.", 300, _adex,
      subject="library")  # fmt: skip
def adex_drives() -> ns.Network:
    cell = AdEx(receptors={"syn": ExpConductance(tau=3 * ms)})
    return driven(cell, [*_ADEX_DC, 0, 400] * pA, 2500 * pA, [30 * nS, 50 * nS])


def _eif_loop(drive: Callable[[int], float], kicks: dict[int, float]) -> tuple[list[int], list[float]]:
    """Step Fourcaud-Trocme's equation by Runge-Kutta, the current of the synapse with it."""

    def slopes(y: np.ndarray, i: float) -> np.ndarray:
        low = min(y[0], -30.0)
        return np.array([(-65 - low + 3.48 * math.exp((low + 59.9) / 3.48) + i + y[1]) / 10, -y[1] / 5])

    y, held, spikes, path = np.array([-65.0, 0.0]), 0, [], []
    for n in range(800):
        i, before = drive(n), y[0]
        y = oracles.rk4(lambda z, i=i: slopes(z, i), y, 0.1)
        y[1] += kicks.get(n, 0.0)
        if held:
            y[0], held = before, held - 1
        elif y[0] >= -30:
            y[0], held = -68.0, 17
            spikes.append(n)
        path.append(y[0])
    return spikes, path


_EIF_DC = np.array([1.5, 1.62, 4.0, 12.0])


def _eif(r: Any) -> None:
    kicks = oracles.arrivals(TRAINS, (15.0, 30.0), 2)
    drives = [*((lambda n, a=a: a, {}) for a in _EIF_DC), (lambda n: 40.0 * on(n), {}), (lambda n: 1.0, kicks)]
    for k, (drive, jumps) in enumerate(drives):
        spikes, path = _eif_loop(drive, jumps)
        agree(r, k, path, spikes, 1e-3, 1e-7)
        assert bool(spikes) == (k > 1), "v_t - delta_t - e_l = 1.62 mV is the least current that is enough"
    assert values(r, "p", "v", 0)[-1] < -59.9e-3


@case("EIF: Runge-Kutta steps; silent up to v_t - delta_t - e_l = 1.62 mV and firing above; a step; currents.", 800,
      _eif, subject="library")  # fmt: skip
def eif_drives() -> ns.Network:
    cell = EIF(receptors={"syn": ExpCurrent(tau=5 * ms)})
    return driven(cell, [*_EIF_DC, 0, 1] * mV, 40 * mV, [15 * mV, 30 * mV])


def _hh_rates(v: float) -> tuple[tuple[float, float], ...]:
    """Rates (1/ms) of opening and closing of m, h, n: Traub and Miles (1991), shifted by -63 mV."""
    a, b, c = v + 63 - 13, v + 63 - 40, v + 63 - 15
    return (
        (0.32 * -a / math.expm1(-a / 4), 0.28 * b / math.expm1(b / 5)),
        (0.128 * math.exp((17 - v - 63) / 18), 4 / (1 + math.exp((40 - v - 63) / 5))),
        (0.032 * -c / math.expm1(-c / 5), 0.5 * math.exp((10 - v - 63) / 40)),
    )


def _hh_loop(
    drive: Callable[[int], float], kicks: dict[int, float], peak: bool = False
) -> tuple[list[int], list[float]]:
    """Step Hodgkin and Huxley's equations by exponential Euler: each variable from the others' start of the step.

    A spike is where v rises above -20 mV, or, 2 ms after the last or later, where it is past its peak above -33 mV.
    """
    v, x = -60.0, [a / (a + b) for a, b in _hh_rates(-60.0)]
    g, above, spikes, path = 0.0, False, [], []
    for n in range(300):
        before = v
        na, k = 20e3 * x[0] ** 3 * x[1], 6e3 * x[2] ** 4
        rate = (10 + na + k + g) / 200
        rates = zip(x, _hh_rates(v), strict=True)
        slope = (10 * (-60 - v) + na * (50 - v) + k * (-90 - v) + g * (0 - v) + drive(n)) / 200
        x = [a / (a + b) + (old - a / (a + b)) * math.exp(-(a + b) * 0.1) for old, (a, b) in rates]
        v += slope * -math.expm1(-rate * 0.1) / rate
        g = g * math.exp(-0.1 / 3) + kicks.get(n, 0.0)
        late = not spikes or n > spikes[-1] + 20
        if (v >= -33 and v < before and late) if peak else (v > -20 and not above):
            spikes.append(n)
        above = v > -20
        path.append(v)
    return spikes, path


_HH_DC = np.array([20.0, 300.0, 700.0])


def _hh(r: Any, peak: bool = False) -> None:
    for k, amplitude in enumerate(_HH_DC):
        spikes, path = _hh_loop(lambda n, a=amplitude: a, {}, peak)
        agree(r, k, path, spikes, 1e-3, 1e-8)
        assert spikes
    spikes, path = _hh_loop(lambda n: 900.0 * on(n), {}, peak)
    agree(r, -2, path, spikes, 1e-3, 1e-8)
    assert len(spikes) > 1
    spikes, path = _hh_loop(lambda n: 20.0, oracles.arrivals(TRAINS, (25.0, 25.0), 2), peak)
    agree(r, -1, path, spikes, 1e-3, 1e-8)
    assert len(spikes) > 1


@case("Hodgkin-Huxley: exponential Euler steps, spikes at an edge, under constant current, a step, conductances.", 300,
      _hh, subject="library")  # fmt: skip
def hodgkin_huxley_drives() -> ns.Network:
    cell = HodgkinHuxley(receptors={"syn": ExpConductance(tau=3 * ms)})
    return driven(cell, [*_HH_DC, 0, 20] * pA, 0.9 * nA, [25 * nS, 25 * nS])


@case("HodgkinHuxleyPeak: the same steps, spikes past the peak of v, the next one at least t_ref later.", 300,
      lambda r: _hh(r, peak=True), subject="library")  # fmt: skip
def hodgkin_huxley_peak_drives() -> ns.Network:
    cell = HodgkinHuxleyPeak(receptors={"syn": ExpConductance(tau=3 * ms)})
    return driven(cell, [*_HH_DC, 0, 20] * pA, 0.9 * nA, [25 * nS, 25 * nS])


# -- relays -----------------------------------------------------------------------------------------------------------

_RELAYED = [[0, 1, 2, 7, 30], [3, 30, 31], [4, 30]]


def _relay(r: Any) -> None:
    for k, steps in enumerate(_RELAYED):
        assert when(r, "first", k) == [n + 1 + 3 * k for n in steps]
        assert when(r, "second", k) == [n + 5 + 3 * k for n in steps if n + 5 + 3 * k < 50]


@case("Relay: each spike that arrives is one in the step of its arrival, whatever its weight above 0; in a chain.", 50,
      _relay, subject="library")  # fmt: skip
def relay() -> ns.Network:
    net = network()
    source = net.population("source", 3, SpikeSource([np.array(steps) * 0.1 * ms for steps in _RELAYED]))
    first, second = net.population("first", 3, Relay), net.population("second", 3, Relay)
    net.connect(source, first, rule=ns.EdgeList([0, 1, 2], [0, 1, 2]), weight=[1e-3, 1, 50], delay=[0.1, 0.4, 0.7] * ms)
    net.connect(first, second, rule=ns.OneToOne(), weight=1, delay=0.4 * ms)
    return record(net, ("first", "spikes"), ("second", "spikes"))


def _relay_sums(r: Any) -> None:
    arrived = np.zeros(50)
    for steps, weight in zip(_RELAYED, (1, 2, -3), strict=True):
        arrived[np.array(steps) + 2] += weight
    assert when(r, "p") == np.flatnonzero(arrived > 0).tolist()
    assert values(r, "p", "x") == arrived.tolist()


@case("Relay: spikes that arrive in one step make one, and none where their weights add up to 0 or less.", 50,
      _relay_sums, subject="library")  # fmt: skip
def relay_of_several() -> ns.Network:
    net = network()
    source = net.population("source", 3, SpikeSource([np.array(steps) * 0.1 * ms for steps in _RELAYED]))
    net.connect(source, net.population("p", 1, Relay), weight=np.array([[1], [2], [-3]]), delay=0.2 * ms)
    return record(net, ("p", "spikes"), ("p", "x"))


# -- sources ----------------------------------------------------------------------------------------------------------


def _poisson_source(r: Any) -> None:
    for name, rate in (("one", np.full(70, 200.0)), ("each", np.linspace(0, 2000, 70))):
        for n in range(30):
            u = (oracles.words(11, f"{name}/uniform0", 70, n) + 0.5) / 2**32
            spikes = r.spikes[name]
            assert spikes.ids[spikes.steps == n].tolist() == np.flatnonzero(u < rate * 1e-3).tolist(), name


@case("PoissonSource: a spike where the neuron's uniform number is below rate*dt, at one rate or one per neuron.", 30,
      _poisson_source, dt=1.0, subject="library")  # fmt: skip
def poisson_source() -> ns.Network:
    net = network(dt=1.0)
    for name, rate in (("one", 200 * Hz), ("each", np.linspace(0, 2000, 70) * Hz)):
        net.record(net.population(name, 70, PoissonSource(rate)), "spikes")
    return net

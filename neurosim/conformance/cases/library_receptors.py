"""Every receptor and stimulus of the library: what one spike does, in closed form where there is one."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.kit import DT, case, network, record, values
from neurosim.models import (
    LIF,
    NMDA,
    AlphaConductance,
    AlphaCurrent,
    ArrayCurrent,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    OUNoise,
    PoissonInput,
    PulseCurrent,
    SineCurrent,
    SpikeSource,
    WhiteNoise,
)
from neurosim.units import Hz, Mohm, ms, mV, nS, uF

AT = 9
"""The step in which the source spikes."""

DELAYS = (1, 15)
"""Delays in steps: dt, and 1.5 ms."""


def poked(cell: Any, weight: Any) -> ns.Network:
    """Two equal neurons of a cell that a spike reaches after one step and after 1.5 ms."""
    net = network()
    source = net.population("source", 1, SpikeSource([[AT * DT] * ms]))
    target = net.population("p", len(DELAYS), cell)
    for k, delay in enumerate(DELAYS):
        net.connect(source, target[k], weight=weight, delay=delay * DT * ms)
    return record(net, ("p", "v"))


def psp(r: Any, neuron: int, name: str = "p") -> tuple[np.ndarray, np.ndarray]:
    """Return times after the arrival (ms), and the potential above rest (V): both from the step of the arrival on."""
    v = np.array(values(r, name, "v", neuron)) + 0.07
    first = AT + DELAYS[neuron]
    assert np.all(np.abs(v[:first]) < 1e-14), "nothing before the arrival"
    return np.arange(len(v) - first) * DT, v[first:]


# -- currents ---------------------------------------------------------------------------------------------------------


def _exp(r: Any) -> None:
    peak_time, peak = oracles.exp_psp_peak(20, 5)
    for neuron in range(2):
        t, v = psp(r, neuron)
        assert np.allclose(v, 3e-3 * oracles.exp_psp(t, 20, 5), rtol=1e-9, atol=1e-15)
        assert abs(t[np.argmax(v)] - peak_time) <= DT
        assert 0 <= 3e-3 * peak - v.max() <= 1e-4 * peak * 3e-3


@case("ExpCurrent: the potential after one spike in closed form, its peak in time and height; delays of dt and 1.5 ms.",
      400, _exp, subject="library")  # fmt: skip
def exp_current_psp() -> ns.Network:
    return poked(LIF(receptors={"syn": ExpCurrent(tau=5 * ms)}), 3 * mV)


def _alpha(r: Any) -> None:
    for neuron in range(2):
        t, v = psp(r, neuron)
        assert np.allclose(v, 3e-3 * oracles.alpha_psp(t, 20, 2), rtol=1e-9, atol=1e-15)


@case("AlphaCurrent: the potential after one spike in closed form.", 400, _alpha, subject="library")
def alpha_current_psp() -> ns.Network:
    return poked(LIF(receptors={"syn": AlphaCurrent(tau=2 * ms)}), 3 * mV)


_TAUS = np.array([20.0, 20.0 * (1 + 1e-9), 20.0 * (1 - 1e-5), 10.0, 40.0])


def _equal(r: Any) -> None:
    for name, closed in (("exp", oracles.exp_psp), ("alpha", oracles.alpha_psp)):
        for k, tau in enumerate(_TAUS):
            v = np.array(values(r, name, "v", k))[AT + 1 :] + 0.07
            t = np.arange(len(v)) * DT
            # the closed forms lose digits beside the singularity: there, the one of the limit is nearer
            near = 20.0 if abs(tau / 20 - 1) < 1e-6 else tau
            far = 3e-8 if near != tau or abs(tau / 20 - 1) < 1e-3 else 1e-9
            assert np.allclose(v, 3e-3 * closed(t, 20, near), rtol=far, atol=1e-14), f"{name}, {tau}"


@case("Synapses as slow as the membrane, or nearly so, have their limit's potential: no digits are lost.", 400, _equal,
      subject="library")  # fmt: skip
def equal_time_constants() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[AT * DT] * ms]))
    for name, receptor in (("exp", ExpCurrent), ("alpha", AlphaCurrent)):
        cell = LIF(tau_m=20 * ms, v_th=0 * mV, receptors={"syn": receptor(tau=_TAUS * ms)})
        net.connect(source, net.population(name, len(_TAUS), cell), weight=3 * mV, delay=DT * ms)
        net.record(net[name], "v")
    return net


def _delta(late: int) -> Any:
    def check(r: Any) -> None:
        for neuron in range(2):
            t, v = psp(r, neuron)
            assert np.allclose(v, 3e-3 * np.exp(-(t + late * DT) / 20), rtol=1e-9)

    return check


@case("DeltaCurrent: a jump by the weight in the step of the arrival, which decays with the membrane from the next on.",
      200, _delta(0), subject="library")  # fmt: skip
def delta_psp() -> ns.Network:
    return poked(LIF(receptors={"syn": DeltaCurrent}), 3 * mV)


@case("DeltaCurrent(when='before'): the jump decays in the step of the arrival already.", 200, _delta(1),
      subject="library")  # fmt: skip
def delta_psp_before() -> ns.Network:
    return poked(LIF(receptors={"syn": DeltaCurrent(when="before")}), 3 * mV)


def _pulse(r: Any) -> None:
    for neuron in range(2):
        t, v = psp(r, neuron)
        assert np.allclose(v, 40e-3 * -np.expm1(-DT / 20) * np.exp(-t / 20), rtol=1e-9)


@case("PulseCurrent: an input of one step, that of the arrival.", 200, _pulse, subject="library")
def pulse_psp() -> ns.Network:
    return poked(LIF(receptors={"syn": PulseCurrent}), 40 * mV)


# -- conductances -----------------------------------------------------------------------------------------------------


def _conductance(r: Any) -> None:
    for name, e_rev, alpha in (("exp", 0.0, False), ("alpha", -80.0, True)):
        g = np.array(values(r, name, "syn.g"))
        t = np.arange(len(g) - AT - 1) * DT
        shape = t / 2 * np.exp(1 - t / 2) if alpha else np.exp(-t / 2)
        assert np.allclose(g[AT + 1 :], 5e-9 * shape, rtol=1e-9, atol=1e-20) and np.all(g[: AT + 1] == 0)
        v, open_ = -70.0, 0.0  # each step with the conductance of its start: exponential Euler
        for n, got in enumerate(values(r, name, "v")):
            rate = (1 + open_ * 0.1) / 20
            end = (-70.0 + open_ * 0.1 * e_rev) / (1 + open_ * 0.1)
            v = end + (v - end) * math.exp(-rate * DT)
            assert abs(v * 1e-3 - got) < 1e-12, f"{name}, step {n}"
            open_ = g[n] * 1e9


@case("ExpConductance, AlphaConductance: the conductance in closed form, the potential drawn to the reversal by steps "
      "of exponential Euler.", 300, _conductance, subject="library")  # fmt: skip
def conductance_psp() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[AT * DT] * ms]))
    for name, receptor in (("exp", ExpConductance), ("alpha", AlphaConductance(e_rev=-80 * mV))):
        cell = LIF(r_m=100 * Mohm, v_th=0 * mV, receptors={"syn": receptor(tau=2 * ms)})
        target = net.population(name, 1, cell)
        net.connect(source, target, weight=5 * nS, delay=DT * ms)
        net.record(target, "syn.g")
        net.record(target, "v")
    return net


def _nmda(r: Any) -> None:
    """The conductance in closed form; at a clamped potential the block is Jahr and Stevens' number."""
    for name, v in (("low", -70.0), ("high", -20.0)):
        g = np.array(values(r, name, "syn.g"))
        t = np.arange(len(g) - AT - 1) * DT
        course = 5e-9 * (np.exp(-t / 50) - np.exp(-t / 2)) * 50 / 48
        assert np.all(g[: AT + 1] == 0) and np.allclose(g[AT + 1 :], course, rtol=1e-6, atol=1e-24), name
        open_ = 1 / (1 + math.exp(-0.062 * v) / 3.57)  # C. E. Jahr, C. F. Stevens (1990), eq. 4a at 1 mM
        # v moves by the integral of the current, nothing leaks, and so little that it stands still
        area = 5e-9 * 50 / 48 * (50 * -np.expm1(-t / 50) - 2 * -np.expm1(-t / 2)) * 1e-3
        moved = np.array(values(r, name, "v"))[AT + 1 :] - v * 1e-3
        assert np.allclose(moved[3:] / (area[3:] * -v * 1e-3 / 1e-6), open_, rtol=2e-4), name
    assert abs(1 / (1 + math.exp(0.062 * 70) / 3.57) - 0.0445) < 1e-3 and abs(open_ - 0.508) < 1e-3


@case("NMDA: the conductance in closed form; at -70 mV magnesium leaves 4 % of its current, at -20 mV half.", 300,
      _nmda, subject="library")  # fmt: skip
def nmda_block() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[AT * DT] * ms]))
    for name, v in (("low", -70.0), ("high", -20.0)):
        cell = ns.Cell("dv/dt = i/c_m", init={"v": "e_l"}, receptors={"syn": NMDA(tau=50 * ms)}, c_m=1 * uF, e_l=v * mV,
                       method="rk4", name="Membrane")  # fmt: skip
        target = net.population(name, 1, cell)
        net.connect(source, target, weight=5 * nS, delay=DT * ms)
        net.record(target, "syn.g")
        net.record(target, "v")
    return net


# -- many arrivals ----------------------------------------------------------------------------------------------------


def _together(r: Any) -> None:
    weights = np.array([2.0**-9, 3 * 2.0**-9, -(2.0**-9), 2.0**-12])
    t = np.arange(100 - AT - 3) * DT
    got = np.array(values(r, "p", "v"))[AT + 3 :] + 0.07
    assert np.allclose(got, weights.sum() * oracles.exp_psp(t, 20, 5), rtol=1e-9, atol=1e-15)
    assert np.array_equal(values(r, "p", "v"), values(r, "q", "v")), "any order of the sum"


@case("Spikes of several sources, of different delays, that arrive in one step act as their sum, in any order.", 100,
      _together, subject="library")  # fmt: skip
def simultaneous_arrivals() -> ns.Network:
    net = network()
    weights = np.array([2.0**-9, 3 * 2.0**-9, -(2.0**-9), 2.0**-12]) * 1e3
    trains = [[AT * DT] * ms, [AT * DT] * ms, [(AT + 1) * DT] * ms, [(AT + 2) * DT] * ms]
    source = net.population("source", 4, SpikeSource(trains))
    cell = LIF(receptors={"syn": ExpCurrent(tau=5 * ms)})
    for name, order in (("p", (0, 1, 2, 3)), ("q", (3, 1, 0, 2))):
        target = net.population(name, 1, cell)
        for k in order:
            net.connect(source[k], target, weight=weights[k] * mV, delay=(3, 3, 2, 1)[k] * DT * ms)
        net.record(target, "v")
    return net


def _heterogeneous(r: Any) -> None:
    delays = 1 + np.arange(40) * 7 % 33
    for k, delay in enumerate(delays):
        v = np.array(values(r, "p", "v", k)) + 0.07
        first = AT + int(delay)
        assert np.all(np.abs(v[:first]) < 1e-14)
        assert np.allclose(v[first:], 3e-3 * np.exp(-np.arange(len(v) - first) * DT / 20), rtol=1e-9)


@case("Delays edge by edge, from dt to 33 steps: each jump lands in its own step.", 60, _heterogeneous,
      subject="library")  # fmt: skip
def heterogeneous_delays() -> ns.Network:
    net = network()
    source = net.population("source", 1, SpikeSource([[AT * DT] * ms]))
    target = net.population("p", 40, LIF(receptors={"syn": DeltaCurrent}))
    delays = (1 + np.arange(40) * 7 % 33) * DT
    net.connect(source, target, rule=ns.EdgeList([0] * 40, range(40)), weight=3 * mV, delay=delays * ms)
    return record(net, ("p", "v"))


# -- stimuli ----------------------------------------------------------------------------------------------------------


def _poisson(r: Any) -> None:
    decay, v = math.exp(-DT / 20), np.zeros(50)
    tables = [Decimal("1.5"), Decimal("0.25")]
    for n in range(60):
        drawn = oracles.words(11, "p/poissoninput.count", 50, n)
        counts = np.where(np.arange(50) % 2, *(oracles.poisson_counts(drawn, mean) for mean in tables))
        v = v * decay + 2.0**-10 * counts
        assert np.allclose(r.state["p"]["v"].values[n] + 0.07, v, rtol=1e-9, atol=1e-15), f"step {n}"


@case("PoissonInput: the count of a neuron and step is read off a table of 50 digits, by a word of Philox 4x32-10.", 60,
      _poisson, subject="library")  # fmt: skip
def poisson_input() -> ns.Network:
    net = network()
    p = net.population("p", 50, LIF(v_th=1000 * mV, receptors={"syn": DeltaCurrent}))
    rates = np.where(np.arange(50) % 2, 15000.0, 2500.0)
    net.stimulate(p, PoissonInput(rates * Hz, weight=2.0**-10 * 1e3 * mV))
    return record(net, ("p", "v"))


def _currents(r: Any) -> None:
    p, n = math.exp(-DT / 20), np.arange(200)
    drives = {
        "pulse": 10.0 * ((n >= 20) & (n < 120)),
        "sine": 5 + 10 * np.sin(2 * np.pi * 0.05 * n * DT + 0.5),
        "array": np.array([1.0, 4.0, -2.0])[n // 5 % 3],
    }
    for name, drive in drives.items():
        v = -70.0
        for k, got in enumerate(values(r, name, "v")):
            v = (v + 70) * p - 70 + drive[k] * (1 - p)
            assert abs(got - v * 1e-3) < 1e-12, f"{name}, step {k}"


@case("DCInput from start to stop, SineCurrent, ArrayCurrent: each value holds for its step, from its start on.", 200,
      _currents, subject="library")  # fmt: skip
def currents() -> ns.Network:
    net = network()
    stimuli = {
        "pulse": DCInput(10 * mV, start=2 * ms, stop=12 * ms),
        "sine": SineCurrent(10 * mV, 50 * Hz, phase=0.5, offset=5 * mV),
        "array": ArrayCurrent([1.0, 4.0, -2.0] * mV, 0.5 * ms, repeat=True),
    }
    for name, stimulus in stimuli.items():
        net.stimulate(net.population(name, 1, LIF), stimulus)
        net.record(net[name], "v")
    return net


def _noise(r: Any) -> None:
    p = math.exp(-DT / 20)
    v, w, x = np.full(30, -70.0), np.full(30, -70.0), 2 * _normal("value:p.ounoise.x(0).normal0", 0)
    rho = math.exp(-DT / 5)
    for n in range(40):
        v = (v + 70) * p - 70 + (12 + 4 * _normal("q/whitenoise.normal0", n)) * (1 - p)
        assert np.allclose(r.state["q"]["v"].values[n], v * 1e-3, rtol=1e-8), f"white, step {n}"
        w = (w + 70) * p - 70 + (10 + x) * (1 - p)
        assert np.allclose(r.state["p"]["v"].values[n], w * 1e-3, rtol=1e-8), f"OU, potential, step {n}"
        x = rho * x + 2 * math.sqrt(1 - rho**2) * _normal("p/ounoise.normal0", n)
        assert np.allclose(r.state["p"]["ounoise.x"].values[n], x * 1e-3, rtol=1e-8), f"OU, step {n}"


def _normal(stream: str, step: int) -> np.ndarray:
    """Return 30 normal numbers: the inverse distribution function of the words, from Python's own statistics."""
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    return np.array([inverse((int(w) + 0.5) / 2**32) for w in oracles.words(11, stream, 30, step)])


@case("WhiteNoise, OUNoise: normal numbers of their own streams, through the exact update at any dt.", 40, _noise,
      subject="library")  # fmt: skip
def noise() -> ns.Network:
    net = network()
    net.stimulate(net.population("q", 30, LIF), WhiteNoise(12 * mV, 4 * mV))
    net.stimulate(net.population("p", 30, LIF), OUNoise(10 * mV, 2 * mV, 5 * ms))
    return record(net, ("q", "v"), ("p", "v"), ("p", "ounoise.x"))

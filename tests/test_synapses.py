"""Receptors against closed forms, in 50 digits where these lose digits themselves."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from model_runs import poke, trace
from scipy.integrate import solve_ivp

import neurosim as ns
from neurosim.errors import UnknownNameError
from neurosim.models import (
    LIF,
    AlphaConductance,
    AlphaCurrent,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    SpikeSource,
)
from neurosim.units import Mohm, mA, ms, mV, nS

GAPS = [0.0, *(10.0**-k for k in range(3, 13)), -1e-3, -1e-9, 1.0, -0.75]
WEIGHT = 2.0**-33  # A; it lies on its grid, so that rounding it changes nothing
LEAD = 12  # a spike of step 10 with a delay of one step counts from the end of step 11


def exp_psp(s: float, tau_m: float, tau_s: float) -> mpmath.mpf:
    """Potential s after the arrival, per unit of weight times resistance."""
    with mpmath.workdps(60):
        s, tau_m, tau_s = mpmath.mpf(s), mpmath.mpf(tau_m), mpmath.mpf(tau_s)
        rate = 1 / tau_s - 1 / tau_m
        if rate == 0:
            return s / tau_m * mpmath.exp(-s / tau_m)
        return mpmath.exp(-s / tau_m) * -mpmath.expm1(-rate * s) / rate / tau_m


def alpha_psp(s: float, tau_m: float, tau_s: float) -> mpmath.mpf:
    """The same for an alpha function of peak 1."""
    with mpmath.workdps(60):
        s, tau_m, tau_s = mpmath.mpf(s), mpmath.mpf(tau_m), mpmath.mpf(tau_s)
        rate = 1 / tau_s - 1 / tau_m
        if rate == 0:
            area = s * s / 2
        else:
            area = (1 - mpmath.exp(-rate * s) * (1 + rate * s)) / rate**2
        return mpmath.e / tau_s / tau_m * mpmath.exp(-s / tau_m) * area


@pytest.mark.parametrize(("receptor", "closed"), [(ExpCurrent, exp_psp), (AlphaCurrent, alpha_psp)])
def test_psp_near_equal_time_constants(receptor: ns.Receptor, closed: object) -> None:
    taus = 20.0 * (1 + np.array(GAPS))
    cell = LIF(tau_m=20 * ms, v_rest=0 * mV, v_th=1000 * mV, r_m=1 * Mohm, receptors={"syn": receptor(tau=taus * ms)})
    result = poke(cell, "syn", WEIGHT * 1e3 * mA, 80 * ms, n=len(taus), record=["v", "syn.x"])
    v = trace(result, "v")
    assert np.all(v[:LEAD] == 0)
    for k in (1, 2, 50, 200, 680):
        truth = [float(closed(k * 1e-4, 20e-3, float(tau)) * WEIGHT * 1e6) for tau in (taus * ms).value]
        np.testing.assert_allclose(v[LEAD + k - 1], truth, rtol=1e-11)


def test_exponential_current_starts_at_the_weight() -> None:
    cell = LIF(receptors={"syn": ExpCurrent(tau=5 * ms)})
    x = trace(poke(cell, "syn", 2 * mV, 20 * ms, record=["syn.x"]), "syn.x")[LEAD - 1 :, 0]
    np.testing.assert_allclose(x, 2e-3 * np.exp(-np.arange(len(x)) * 0.1 / 5), rtol=1e-11)


def test_alpha_peaks_at_the_weight_after_tau() -> None:
    cell = LIF(receptors={"syn": AlphaCurrent(tau=2 * ms)})
    x = trace(poke(cell, "syn", 3 * mV, 20 * ms, record=["syn.x"]), "syn.x")[LEAD - 1 :, 0]
    assert np.argmax(x) == 20 and x[20] == pytest.approx(3e-3, rel=1e-11)


@pytest.mark.parametrize(("receptor", "alpha"), [(ExpConductance, False), (AlphaConductance, True)])
def test_conductances_against_fine_integration(receptor: ns.Receptor, alpha: bool) -> None:
    tau, tau_m, c = 2.0, 20.0, 200.0
    cell = LIF(tau_m=tau_m * ms, r_m=tau_m / c * 1e3 * Mohm, v_th=0 * mV, method="rk4",
               receptors={"syn": receptor(tau=tau * ms)})  # fmt: skip
    result = poke(cell, "syn", 5 * nS, 20 * ms, dt=0.02 * ms, record=["v", "syn.g"])

    def slope(t: float, v: np.ndarray) -> list[float]:
        g = 5 * (t / tau * np.exp(1 - t / tau) if alpha else np.exp(-t / tau))
        return [(-70 - v[0]) / tau_m + g * (0 - v[0]) / c]

    lead = 52
    at = [0.02, 1.0, 5.0, 18.0]
    truth = solve_ivp(slope, (0, 18), [-70.0], method="DOP853", rtol=1e-12, atol=1e-12, t_eval=at).y[0]
    got = trace(result, "v")[[lead, lead + 49, lead + 249, lead + 899], 0] * 1e3
    np.testing.assert_allclose(got, truth, rtol=1e-8)


def test_delta_before_and_after_the_decay() -> None:
    for when, height in (("after", 1.0), ("before", np.exp(-0.1 / 20))):
        cell = LIF(receptors={"syn": DeltaCurrent(when=when)})
        v = trace(poke(cell, "syn", 5 * mV, 3 * ms), "v")[:, 0] + 0.07
        assert np.all(np.abs(v[: LEAD - 1]) < 1e-15)
        decay = np.exp(-np.arange(len(v) - LEAD + 1) * 0.1 / 20)
        np.testing.assert_allclose(v[LEAD - 1 :], 5e-3 * height * decay, rtol=1e-10)


def test_delta_is_lost_while_refractory() -> None:
    net = ns.Network(dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([[1.0, 2.0, 4.0] * ms]))
    cell = net.population("p", 1, LIF(t_ref=2 * ms, v_reset=-70 * mV, receptors={"syn": DeltaCurrent}))
    net.connect(source, cell, weight=30 * mV, delay=0.1 * ms)
    net.record(cell, "spikes")
    net.record(cell, "v")
    result = net.run(6 * ms, backend="reference")
    np.testing.assert_array_equal(result.spikes["p"].steps, [11, 41])
    assert trace(result, "v")[21, 0] == -0.07


def test_two_spikes_in_one_step_add() -> None:
    net = ns.Network(dt=0.1 * ms)
    source = net.population("source", 2, SpikeSource([[1.0] * ms, [1.0] * ms]))
    cell = net.population("p", 1, LIF(receptors={"a": ExpCurrent(tau=5 * ms), "b": ExpCurrent(tau=1 * ms)}))
    net.connect(source, cell, receptor="a", weight=1 * mV, delay=0.1 * ms)
    net.connect(source, cell, receptor="b", weight=-1 * mV, delay=0.3 * ms)
    net.record(cell, "a.x")
    net.record(cell, "b.x")
    result = net.run(2 * ms, backend="reference")
    assert trace(result, "a.x")[11, 0] == pytest.approx(2e-3, rel=1e-11)
    np.testing.assert_array_equal(np.flatnonzero(trace(result, "b.x")[:, 0])[0], 13)


def test_a_receptor_that_jumps_v_needs_a_cell_that_has_it() -> None:
    net = ns.Network(dt=0.1 * ms)
    with pytest.raises(UnknownNameError, match="unknown name 'v'"):
        net.population("p", 1, ns.Cell("dy/dt = -y/(1*second)", receptors={"syn": DeltaCurrent}))

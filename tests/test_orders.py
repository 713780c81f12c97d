"""Every scheme converges at its order; the exact one leaves rounding only."""

from __future__ import annotations

import numpy as np
import pytest
from model_runs import run, trace
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import neurosim as ns
from neurosim.models import DCInput, ExpConductance, SpikeSource
from neurosim.units import ms, mV

STEPS = np.array([0.1, 0.05, 0.025, 0.0125])  # ms

FITZHUGH = """
    dv/dt = (v - v*v*v/3 - w + 0.5)/(1*ms)
    dw/dt = (v + 0.7 - 0.8*w)/(3*ms)
"""
CONDITIONALLY_LINEAR = """
    dv/dt = (-v*(1 + w*w) + 2)/(1*ms)
    dw/dt = (cos(v) - w)/(2*ms)
"""
SLOPES = {
    FITZHUGH: lambda t, y: [y[0] - y[0] ** 3 / 3 - y[1] + 0.5, (y[0] + 0.7 - 0.8 * y[1]) / 3],
    CONDITIONALLY_LINEAR: lambda t, y: [-y[0] * (1 + y[1] ** 2) + 2, (np.cos(y[0]) - y[1]) / 2],
}


@pytest.mark.parametrize(
    ("method", "equations", "order"),
    [
        ("euler", FITZHUGH, 1),
        ("rk2", FITZHUGH, 2),
        ("rk4", FITZHUGH, 4),
        ("euler", CONDITIONALLY_LINEAR, 1),
        ("exponential_euler", CONDITIONALLY_LINEAR, 1),
        ("auto", CONDITIONALLY_LINEAR, 1),
        ("rk2", CONDITIONALLY_LINEAR, 2),
        ("rk4", CONDITIONALLY_LINEAR, 4),
    ],
)
def test_order(method: str, equations: str, order: int) -> None:
    truth = solve_ivp(SLOPES[equations], (0, 2), [-1.0, 0.3], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    cell = ns.Cell(equations, method=method, init={"v": -1.0, "w": 0.3})
    errors = []
    for dt in STEPS:
        result = run(cell, 2 * ms, dt=dt * ms, record=["v", "w"])
        errors.append(np.hypot(*(trace(result, x)[-1, 0] - y for x, y in zip("vw", truth, strict=True))))
    slope = np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_exact_leaves_rounding(dt: float) -> None:
    cell = ns.Cell("""
        dv/dt = (-v + 3*w + i)/(5*ms)
        dw/dt = (-v - 0.5*w)/(2*ms)
        dx/dt = (w - x)/(7*ms)
    """, method="exact", init={"v": 1.0, "w": -2.0, "x": 0.5})  # fmt: skip
    a = np.array([[-1 / 5, 3 / 5, 0], [-1 / 2, -1 / 4, 0], [0, 1 / 7, -1 / 7]])
    rest = -np.linalg.solve(a, [0.4 / 5, 0, 0])
    result = run(cell, 20 * ms, dt=dt * ms, stimuli=[DCInput(0.4)], record=["v", "w", "x"])
    got = np.array([trace(result, x)[:, 0] for x in "vwx"]).T
    for k in (0, 1, len(got) // 2, len(got) - 1):
        truth = rest + expm(a * (k + 1) * dt) @ (np.array([1.0, -2.0, 0.5]) - rest)
        np.testing.assert_allclose(got[k], truth, rtol=0, atol=1e-14 * (k + 10))


def test_conductances_decay_exactly_while_the_potential_is_of_first_order() -> None:
    """``auto`` takes the linear part exactly: what it gets wrong is v alone, and in proportion to dt."""
    errors = []
    for dt in STEPS:
        net = ns.Network(dt=dt * ms)
        source = net.population("source", 1, SpikeSource([[1.0 - dt] * ms]))
        receptors = {"exc": ExpConductance(e_rev=60 * mV)}
        cell = net.population("p", 1, ns.Cell("dv/dt = (i - v)/(10*ms)", receptors=receptors))
        net.connect(source, cell, weight=2.0, delay=dt * ms)
        net.record(cell, "v")
        net.record(cell, "exc.g")
        result = net.run((5 + dt) * ms, backend="reference")
        after = 4.0  # ms since the arrival took effect
        assert trace(result, "exc.g")[-1, 0] == pytest.approx(2 * np.exp(-after / 5), rel=1e-13)
        truth = solve_ivp(lambda t, v: [(2 * np.exp(-t / 5) * (0.06 - v[0]) - v[0]) / 10], (0, after), [0.0],
                          method="DOP853", rtol=1e-12, atol=1e-15).y[0, -1]  # fmt: skip
        errors.append(abs(trace(result, "v")[-1, 0] - truth))
    assert np.polyfit(np.log(STEPS), np.log(errors), 1)[0] == pytest.approx(1, abs=0.2)

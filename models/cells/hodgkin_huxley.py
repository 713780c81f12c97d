"""A Hodgkin-Huxley cell with the channels of Traub and Miles, and two ways to find its spikes."""

from __future__ import annotations

from typing import Any

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV, nS, pF, uS

_RATES = {
    "m": ("1.28/ms/exprel((v_t + 13*mV - {v})/(4*mV))", "1.4/ms/exprel(({v} - v_t - 40*mV)/(5*mV))"),
    "h": ("0.128/ms*exp((v_t + 17*mV - {v})/(18*mV))", "4/ms/(1 + exp((v_t + 40*mV - {v})/(5*mV)))"),
    "n": ("0.16/ms/exprel((v_t + 15*mV - {v})/(5*mV))", "0.5/ms*exp((v_t + 10*mV - {v})/(40*mV))"),
}
"""Gate -> rates of opening and closing; x/(exp(x) - 1) is written 1/exprel(x), which has no singularity at 0."""

_GATES = "\n".join(
    f"alpha_{gate} = {opening.format(v='v')}\n"
    f"beta_{gate} = {closing.format(v='v')}\n"
    f"d{gate}/dt = alpha_{gate}*(1 - {gate}) - beta_{gate}*{gate}"
    for gate, (opening, closing) in _RATES.items()
)

_STEADY = {
    gate: f"1/(1 + ({closing.format(v='e_l')})/({opening.format(v='e_l')}))"
    for gate, (opening, closing) in _RATES.items()
}

_MEMBRANE = f"""
    dv/dt = (g_l*(e_l - v) + g_na*m**3*h*(e_na - v) + g_k*n**4*(e_k - v) + i)/c_m
    {_GATES}
    """

_PARAMS: dict[str, Any] = {
    "c_m": Param(200 * pF, pF, "membrane capacitance (1 uF/cm2 on 20,000 um2)", lo=0 * pF, lo_open=True),
    "g_l": Param(10 * nS, nS, "leak conductance (0.05 mS/cm2)", lo=0 * nS),
    "g_na": Param(20 * uS, uS, "sodium conductance (100 mS/cm2)", lo=0 * uS),
    "g_k": Param(6 * uS, uS, "potassium conductance (30 mS/cm2)", lo=0 * uS),
    "e_l": Param(-60 * mV, mV, "reversal potential of the leak"),
    "e_na": Param(50 * mV, mV, "reversal potential of sodium"),
    "e_k": Param(-90 * mV, mV, "reversal potential of potassium"),
    "v_t": Param(-63 * mV, mV, "shift of the gates' rates, which sets the threshold"),
}

_SOURCE = "R. D. Traub, R. Miles (1991); R. Brette et al., J. Comput. Neurosci. 23 (2007), benchmark 3"

HodgkinHuxley = Cell(
    _MEMBRANE,
    threshold="v > v_th",
    edge=True,
    method="exponential_euler",
    init={"v": "e_l", **_STEADY},
    **_PARAMS,
    v_th=Param(-20 * mV, mV, "a spike is where v rises above this"),
    name="HodgkinHuxley",
    doc=(
        "sodium, potassium and leak; gates start at their steady state at e_l. Each equation is linear in its own "
        "variable: exponential Euler, first order, stable at 0.1 ms; method='rk4' needs dt of 0.05 ms or less"
    ),
    source=_SOURCE,
)

HodgkinHuxleyPeak = Cell(
    f"{_MEMBRANE}\nbefore[n+1] = v",
    threshold="v >= v_t + 30*mV and v < before",
    refractory="t_ref",
    clamp=(),
    method="exponential_euler",
    init={"v": "e_l", "before": "e_l", **_STEADY},
    **_PARAMS,
    t_ref=Param(2 * ms, ms, "shortest time between two spikes; the membrane goes on meanwhile", lo=0 * ms),
    name="HodgkinHuxleyPeak",
    doc=(
        "HodgkinHuxley with NEST's spikes: one is the first step in which v, still above v_t + 30 mV, has fallen: 0.15 "
        "to 0.3 ms after it has risen above -20 mV"
    ),
    source=f"{_SOURCE}; the spikes: NEST 3.10, hh_cond_exp_traub",
)

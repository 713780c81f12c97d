"""The adaptive exponential integrate-and-fire cell."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV, nS, pA, pF

AdEx = Cell(
    """
    u = min(v, v_peak)
    dv/dt = (g_l*(e_l - u) + g_l*delta_t*exp((u - v_t)/delta_t) - w + i)/c_m
    dw/dt = (a*(u - e_l) - w)/tau_w
    """,
    threshold="v >= v_peak",
    reset="v = v_reset; w += b",
    refractory="t_ref",
    method="rk4",
    init={"v": "e_l"},
    c_m=Param(281 * pF, pF, "membrane capacitance", lo=0 * pF, lo_open=True),
    g_l=Param(30 * nS, nS, "leak conductance", lo=0 * nS, lo_open=True),
    e_l=Param(-70.6 * mV, mV, "resting potential"),
    v_t=Param(-50.4 * mV, mV, "potential at which a spike takes off"),
    delta_t=Param(2 * mV, mV, "sharpness of the take-off", lo=0 * mV, lo_open=True),
    v_peak=Param(0 * mV, mV, "potential at which a spike is cut off; 20 mV, the paper's, is microseconds later"),
    v_reset=Param(-60 * mV, mV, "potential after a spike", source="NEST, aeif_cond_exp (the paper: e_l)"),
    a=Param(4 * nS, nS, "subthreshold adaptation"),
    b=Param(80.5 * pA, pA, "adaptation by a spike"),
    tau_w=Param(144 * ms, ms, "time constant of the adaptation", lo=0 * ms, lo_open=True),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    name="AdEx",
    doc=(
        "adaptive exponential integrate-and-fire. As in NEST, both slopes are taken at min(v, v_peak), so that the "
        "exponential cannot overflow in the step of a spike; while refractory v stands at v_reset and w goes on"
    ),
    source="R. Brette, W. Gerstner, J. Neurophysiol. 94 (2005), parameters as in NEST's aeif_cond_exp",
)

"""The exponential integrate-and-fire cell."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV

EIF = Cell(
    """
    u = min(v, v_peak)
    dv/dt = (e_l - u + delta_t*exp((u - v_t)/delta_t) + r_m*i)/tau_m
    """,
    threshold="v >= v_peak",
    reset="v = v_reset",
    refractory="t_ref",
    method="rk4",
    init={"v": "e_l"},
    tau_m=Param(10 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    e_l=Param(-65 * mV, mV, "resting potential without the exponential"),
    v_t=Param(-59.9 * mV, mV, "potential at which a spike takes off: the least of the current's curve"),
    delta_t=Param(3.48 * mV, mV, "sharpness of the take-off", lo=0 * mV, lo_open=True),
    v_peak=Param(-30 * mV, mV, "potential at which a spike is cut off"),
    v_reset=Param(-68 * mV, mV, "potential after a spike"),
    t_ref=Param(1.7 * ms, ms, "refractory period", lo=0 * ms),
    r_m=Param(1.0, None, "membrane resistance; dimensionless where inputs are given as potentials"),
    name="EIF",
    doc=(
        "exponential integrate-and-fire. It fires for ever where r_m*i exceeds v_t - delta_t - e_l. The slope is taken "
        "at min(v, v_peak), so that the exponential cannot overflow in the step of a spike"
    ),
    source="N. Fourcaud-Trocme, D. Hansel, C. van Vreeswijk, N. Brunel, J. Neurosci. 23 (2003), fit of Wang-Buzsaki",
)

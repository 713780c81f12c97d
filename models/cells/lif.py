"""Leaky and non-leaky integrate-and-fire cells."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV

LIF = Cell(
    "dv/dt = (v_rest - v + r_m*i)/tau_m",
    threshold="v >= v_th",
    reset="v = v_reset",
    refractory="t_ref",
    init={"v": "v_rest"},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-70 * mV, mV, "resting potential"),
    v_th=Param(-50 * mV, mV, "threshold"),
    v_reset=Param(-60 * mV, mV, "potential after a spike"),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    r_m=Param(1.0, None, "membrane resistance; dimensionless where inputs are given as potentials"),
    name="LIF",
    doc="leaky integrate-and-fire; currents i in amperes with r_m in ohms, or in volts with r_m = 1",
    source="L. Lapicque (1907); W. Gerstner et al., Neuronal Dynamics (2014), eq. 1.5",
)

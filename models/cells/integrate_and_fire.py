"""Integrate-and-fire without a leak."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV

IF = Cell(
    "dv/dt = i/c_m",
    threshold="v >= v_th",
    reset="v = v_reset",
    refractory="t_ref",
    init={"v": "v_reset"},
    c_m=Param(1.0, None, "membrane capacitance; 1 where inputs are given as slopes of the potential (mV/ms)",
              lo=0, lo_open=True),
    v_th=Param(-50 * mV, mV, "threshold"),
    v_reset=Param(-60 * mV, mV, "potential after a spike, and at the start"),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    name="IF",
    doc="perfect integrate-and-fire; currents i in amperes with c_m in farads, or in mV/ms with c_m = 1",
    source="L. F. Abbott, Brain Res. Bull. 50 (1999); W. Gerstner et al., Neuronal Dynamics (2014), sec. 1.3",
)  # fmt: skip

"""A slow conductance that magnesium blocks at rest."""

from __future__ import annotations

from neurosim.lang.components import Receptor
from neurosim.params import Param
from neurosim.units import ms, mV

NMDA = Receptor(
    """
    dg/dt = y - g/tau
    dy/dt = -y/tau_rise
    block = 1/(1 + mg/3.57*exp(-v/v_block))
    """,
    event="y += w/tau_rise",
    output="g*block*(e_rev - v)",
    tau=Param(100 * ms, ms, "decay time constant", lo=0 * ms, lo_open=True),
    tau_rise=Param(2 * ms, ms, "rise time constant", lo=0 * ms, lo_open=True),
    e_rev=Param(0 * mV, mV, "reversal potential"),
    mg=Param(1.0, 1, "magnesium concentration in mM", lo=0),
    v_block=Param(1 * mV / 0.062, mV, "potential over which the block changes e-fold", lo=0 * mV, lo_open=True),
    name="NMDA",
    doc="NMDA conductance with magnesium block; the weight is the jump of g if the rise were instantaneous",
    source="C. E. Jahr, C. F. Stevens, J. Neurosci. 10 (1990); tau and tau_rise: X.-J. Wang, J. Neurosci. 19 (1999)",
)

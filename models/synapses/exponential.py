"""Synaptic currents and conductances that jump and decay exponentially."""

from __future__ import annotations

from neurosim.lang.components import Receptor
from neurosim.params import Param
from neurosim.units import ms, mV

ExpCurrent = Receptor(
    "dx/dt = -x/tau",
    event="x += w",
    output="x",
    tau=Param(5 * ms, ms, "decay time constant", lo=0 * ms, lo_open=True),
    name="ExpCurrent",
    doc="exponential current; the weight is its peak",
    source="S. Rotter, M. Diesmann, Biol. Cybern. 81 (1999), sec. 3.1",
)

ExpConductance = Receptor(
    "dg/dt = -g/tau",
    event="g += w",
    output="g*(e_rev - v)",
    tau=Param(5 * ms, ms, "decay time constant", lo=0 * ms, lo_open=True),
    e_rev=Param(0 * mV, mV, "reversal potential"),
    name="ExpConductance",
    doc="exponential conductance; the weight is its peak",
    source="T. P. Vogels, L. F. Abbott, J. Neurosci. 25 (2005)",
)

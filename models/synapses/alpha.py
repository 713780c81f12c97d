"""Synaptic currents and conductances that rise and fall: t exp(-t/tau)."""

from __future__ import annotations

from neurosim.lang.components import Receptor
from neurosim.params import Param
from neurosim.units import ms, mV

AlphaCurrent = Receptor(
    """
    dx/dt = y - x/tau
    dy/dt = -y/tau
    """,
    event="y += w*exp(1)/tau",
    output="x",
    tau=Param(2 * ms, ms, "time to the peak", lo=0 * ms, lo_open=True),
    name="AlphaCurrent",
    doc="alpha-shaped current; the weight is its peak, reached after tau",
    source="W. Rall, J. Neurophysiol. 30 (1967); S. Rotter, M. Diesmann, Biol. Cybern. 81 (1999), sec. 3.1",
)

AlphaConductance = Receptor(
    """
    dg/dt = y - g/tau
    dy/dt = -y/tau
    """,
    event="y += w*exp(1)/tau",
    output="g*(e_rev - v)",
    tau=Param(2 * ms, ms, "time to the peak", lo=0 * ms, lo_open=True),
    e_rev=Param(0 * mV, mV, "reversal potential"),
    name="AlphaConductance",
    doc="alpha-shaped conductance; the weight is its peak, reached after tau",
    source="W. Rall, J. Neurophysiol. 30 (1967)",
)

"""Couplings without spikes: gap junctions, graded synapses, rates."""

from __future__ import annotations

from neurosim.lang.components import Receptor
from neurosim.params import Param
from neurosim.units import ms, mV

GapJunction = Receptor(
    link="i_gap = w*(v_pre - v_post)",
    output="i_gap",
    name="GapJunction",
    doc="electrical synapse; the weight is its conductance. An edge is one direction: connect both ways",
    source="T. J. Lewis, J. Rinzel, J. Comput. Neurosci. 14 (2003)",
)

GradedSynapse = Receptor(
    "dg/dt = (g_inf - g)/tau",
    link="g_inf = w/(1 + exp((v_half - v_pre)/slope))",
    output="g*(e_rev - v)",
    v_half=Param(-35 * mV, mV, "potential of the source at which half of the conductance is open"),
    slope=Param(5 * mV, mV, "how steep its opening is", lo=0 * mV, lo_open=True),
    tau=Param(10 * ms, ms, "time constant of opening and closing", lo=0 * ms, lo_open=True),
    e_rev=Param(0 * mV, mV, "reversal potential"),
    name="GradedSynapse",
    doc="transmission that follows the potential of the source; the weight is the largest conductance",
    source="A. A. Prinz, D. Bucher, E. Marder, Nat. Neurosci. 7 (2004), with one time constant",
)

RateLink = Receptor(
    link="i_rate = w*r_pre",
    output="i_rate",
    name="RateLink",
    doc="what continuous units give each other: the weight times r, a state variable of the source",
    source="H. R. Wilson, J. D. Cowan, Biophys. J. 12 (1972)",
)

"""The triplet rule of spike-timing-dependent plasticity."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import ms

TripletSTDP = Plasticity(
    pre="dr1/dt = -r1/tau_plus; dr2/dt = -r2/tau_x",
    post="do1/dt = -o1/tau_minus; do2/dt = -o2/tau_y",
    on_pre="w -= w_1*o1*(a2_minus + a3_minus*r2); r1 += 1; r2 += 1",
    on_post="w += w_1*r1*(a2_plus + a3_plus*o2); o1 += 1; o2 += 1",
    lower=0,
    upper="w_max",
    tau_plus=Param(16.8 * ms, ms, "time constant of r1", lo=0 * ms, lo_open=True),
    tau_x=Param(101 * ms, ms, "time constant of r2", lo=0 * ms, lo_open=True),
    tau_minus=Param(33.7 * ms, ms, "time constant of o1", lo=0 * ms, lo_open=True),
    tau_y=Param(125 * ms, ms, "time constant of o2", lo=0 * ms, lo_open=True),
    a2_plus=Param(5e-10, 1, "potentiation by pairs", lo=0.0),
    a3_plus=Param(6.2e-3, 1, "potentiation by triplets", lo=0.0),
    a2_minus=Param(7e-3, 1, "depression by pairs", lo=0.0),
    a3_minus=Param(2.3e-4, 1, "depression by triplets", lo=0.0),
    w_1=Param(1.0, None, "the weight that counts as 1"),
    w_max=Param(2.0, None, "greatest weight"),
    name="TripletSTDP",
    doc="pairs and triplets of spikes, all to all; the defaults are the fit to visual cortex",
    source="J.-P. Pfister, W. Gerstner, J. Neurosci. 26 (2006), eqs. 2-4 and table 4 (visual cortex, all-to-all, full)",
)

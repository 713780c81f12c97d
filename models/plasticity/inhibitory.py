"""Plasticity of inhibitory synapses that balances excitation."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import Hz, ms

InhibitorySTDP = Plasticity(
    pre="dx/dt = -x/tau",
    post="dy/dt = -y/tau",
    on_pre="w += rate*(y - 2*rho*tau); x += 1",
    on_post="w += rate*x; y += 1",
    lower=0,
    upper="w_max",
    tau=Param(20 * ms, ms, "time constant of both traces", lo=0 * ms, lo_open=True),
    rho=Param(3 * Hz, Hz, "rate that the target is driven to", lo=0 * Hz),
    rate=Param(1e-3, None, "step of the weight"),
    w_max=Param(1.0, None, "greatest weight"),
    name="InhibitorySTDP",
    doc="symmetric: near-coincidence strengthens, every arrival weakens, until the target fires at rho",
    source="T. P. Vogels, H. Sprekeler, F. Zenke, C. Clopath, W. Gerstner, Science 334 (2011), eq. 1",
)

"""Plasticity that holds a neuron's rate: scaling of all its synapses, and competition among them."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import Hz, ms, second

SynapticScaling = Plasticity(
    post="dr/dt = -r/tau",
    on_post="r += 1/tau",
    on_every="w += rate*interval*w*(1 - r/rho)",
    every="interval",
    lower=0,
    upper="w_max",
    tau=Param(10 * second, second, "time over which the target's rate r is estimated", lo=0 * ms, lo_open=True),
    rho=Param(5 * Hz, Hz, "rate that the target is driven to", lo=0 * Hz, lo_open=True),
    rate=Param(0.01 * Hz, Hz, "relative change of the weights at a target that is silent", lo=0 * Hz),
    interval=Param(100 * ms, ms, "time between two changes", lo=0 * ms, lo_open=True),
    w_max=Param(1.0, None, "greatest weight"),
    require="rate*interval < 1",
    name="SynapticScaling",
    doc="all weights onto a neuron grow together while it fires below rho, and shrink above it",
    source="M. C. W. van Rossum, G. Q. Bi, G. G. Turrigiano, J. Neurosci. 20 (2000)",
)

HeterosynapticSTDP = Plasticity(
    pre="dx/dt = -x/tau_plus",
    post="dy/dt = -y/tau_minus; dz/dt = -z/tau_slow",
    on_pre="w += w_unit*(delta - b*y); x += 1",
    on_post="w += w_unit*a*x*z - beta*(w - w_ref)*y**3; y += 1; z += 1",
    lower=0,
    upper="w_max",
    tau_plus=Param(20 * ms, ms, "time constant of the source's trace x", lo=0 * ms, lo_open=True),
    tau_minus=Param(20 * ms, ms, "time constant of the target's trace y", lo=0 * ms, lo_open=True),
    tau_slow=Param(100 * ms, ms, "time constant of the target's trace z", lo=0 * ms, lo_open=True),
    a=Param(1e-3, None, "potentiation by triplets"),
    b=Param(1e-3, None, "depression by pairs"),
    beta=Param(0.05, None, "return of all weights onto a neuron that bursts", lo=0.0),
    delta=Param(2e-5, None, "growth with every arrival"),
    w_unit=Param(1.0, None, "the weight that a, b and delta are in units of"),
    w_ref=Param(0.5, None, "weight to which a burst of the target moves every synapse"),
    w_max=Param(5.0, None, "greatest weight"),
    name="HeterosynapticSTDP",
    doc=(
        "triplets strengthen, pairs weaken; a burst of the target moves all of its synapses to w_ref, active or not, "
        "and every arrival adds a little: so no weight runs away and none dies"
    ),
    source="F. Zenke, E. J. Agnes, W. Gerstner, Nat. Commun. 6 (2015) 6922, with a constant b and reference weight",
)

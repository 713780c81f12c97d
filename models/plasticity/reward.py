"""Spike-timing-dependent plasticity that waits for a reward."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import Hz, ms, second

RewardSTDP = Plasticity(
    pre="dx/dt = -x/tau_plus",
    post="dy/dt = -y/tau_minus",
    edge="dc/dt = -c/tau_c",
    on_pre="c -= a_minus*y; x += 1",
    on_post="c += a_plus*x; y += 1",
    on_every="w += rate*c*dopamine_post*interval",
    every="interval",
    lower=0,
    upper="w_max",
    tau_plus=Param(20 * ms, ms, "time constant of x", lo=0 * ms, lo_open=True),
    tau_minus=Param(20 * ms, ms, "time constant of y", lo=0 * ms, lo_open=True),
    tau_c=Param(1 * second, second, "time constant of the eligibility c", lo=0 * ms, lo_open=True),
    a_plus=Param(0.01, None, "eligibility that an arrival before a spike leaves"),
    a_minus=Param(0.015, None, "eligibility that an arrival after a spike takes"),
    rate=Param(1 * Hz, Hz, "change of the weight, by eligibility and concentration"),
    interval=Param(10 * ms, ms, "steps of the integral of c times dopamine", lo=0 * ms, lo_open=True),
    w_max=Param(1.0, None, "greatest weight"),
    name="RewardSTDP",
    doc=(
        "pairs of spikes leave an eligibility c at the synapse; the weight moves by the integral of c times the "
        "concentration at the receptor dopamine of the target (Modulator)"
    ),
    source="E. M. Izhikevich, Cereb. Cortex 17 (2007), eqs. 2-4",
)

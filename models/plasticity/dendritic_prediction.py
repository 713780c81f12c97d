"""Plasticity of dendritic synapses that learn to predict the spikes of the soma."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import kHz, ms, mV

_STAR = "(e_l + attenuation*(v_dend_post - e_l))"  # the somatic potential that the dendrite alone would hold
_ODDS = f"k*exp(min((theta - {_STAR})/width, 80))"
_PHI = f"phi_max/(1 + {_ODDS})"
_H = f"{_ODDS}/(1 + {_ODDS})"  # phi'/phi, in units of 1/width

DendriticPrediction = Plasticity(
    pre="ds/dt = -s/tau_s; dp/dt = (s - p)/tau_l",
    edge="ddelta/dt = -delta/tau_delta",
    on_pre="s += 1",
    on_post=f"delta += {_H}*p/tau_delta",
    on_every=f"delta -= {_PHI}*{_H}*p*interval/tau_delta; w += w_1*eta*delta*interval",
    every="interval",
    lower=0,
    upper="w_max",
    tau_s=Param(3 * ms, ms, "time constant of the synaptic current, the receptor's", lo=0 * ms, lo_open=True),
    tau_l=Param(10 * ms, ms, "time constant of the dendrite, c_dend/g_dend of the cell", lo=0 * ms, lo_open=True),
    tau_delta=Param(100 * ms, ms, "time constant of the change delta that waits", lo=0 * ms, lo_open=True),
    eta=Param(1.0, 1, "rate of learning", lo=0.0),
    e_l=Param(-70 * mV, mV, "resting potential, the cell's"),
    attenuation=Param(600 / 630, 1, "g_couple/(g_couple + g_soma) of the cell", lo=0.0, hi=1.0),
    phi_max=Param(0.15 * kHz, kHz, "greatest rate, the cell's", lo=0 * kHz),
    k=Param(0.5, 1, "the rate at theta is phi_max/(1 + k)", lo=0),
    theta=Param(-55 * mV, mV, "potential in the middle of the rate's rise, the cell's"),
    width=Param(3 * mV, mV, "softness of its rise, the cell's", lo=0 * mV, lo_open=True),
    interval=Param(0.1 * ms, ms, "steps of the integrals; dt at best", lo=0 * ms, lo_open=True),
    w_1=Param(1.0, None, "the weight that counts as 1"),
    w_max=Param(1.0, None, "greatest weight"),
    name="DendriticPrediction",
    doc=(
        "weights move by what the soma fires and the dendrite did not predict, (S - phi(V*)) h(V*) PSP, low-pass "
        "filtered: S the spikes of the target, V* the somatic potential that v_dend alone would hold, PSP the "
        "potential that this synapse makes, h = phi'/phi in units of 1/width. The target has v_dend, as UrbanczikSenn"
    ),
    source="R. Urbanczik, W. Senn, Neuron 81 (2014); NEST's urbanczik_synapse",
)

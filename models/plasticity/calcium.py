"""Plasticity by the calcium at the synapse."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import ms, second

# Between two events calcium only falls, from `peak` to c, so the time that it spends above a threshold is
# tau_ca*log(max(peak, theta)/max(c, theta)), and an exponential of it a power of that ratio. First it is above both
# thresholds, then above that of depression alone.
_ABOVE_BOTH = "(max(c, theta_p)/max(peak, theta_p))"
_ABOVE_ONE = "(max(c, theta_d)/max(peak, theta_d))"
_SINCE = (
    f"w = w_0 + (w_1 - w_0)*gamma_p/(gamma_p + gamma_d)*(1 - {_ABOVE_BOTH}**((gamma_p + gamma_d)*tau_ca/tau)) "
    f"+ (w - w_0)*{_ABOVE_BOTH}**((gamma_p + gamma_d)*tau_ca/tau); "
    f"w = w_0 + (w - w_0)*({_ABOVE_ONE}/{_ABOVE_BOTH})**(gamma_d*tau_ca/tau); "
)

CalciumSTDP = Plasticity(
    edge="dc/dt = -c/tau_ca; dpeak/dt = 0",
    on_pre=f"{_SINCE}c += c_pre; peak = c",
    on_post=f"{_SINCE}c += c_post; peak = c",
    require="theta_d <= theta_p",
    tau_ca=Param(20 * ms, ms, "time constant of calcium", lo=0 * ms, lo_open=True),
    tau=Param(150 * second, second, "time constant of the efficacy", lo=0 * ms, lo_open=True),
    c_pre=Param(1.0, None, "calcium that an arrival brings", lo=0.0),
    c_post=Param(2.0, None, "calcium that a spike of the target brings", lo=0.0),
    theta_d=Param(1.0, None, "calcium above which the efficacy falls", lo=0.0, lo_open=True),
    theta_p=Param(1.3, None, "calcium above which it rises as well", lo=0.0, lo_open=True),
    gamma_d=Param(200.0, None, "rate of depression, per tau", lo=0.0, lo_open=True),
    gamma_p=Param(321.808, None, "rate of potentiation, per tau", lo=0.0),
    w_0=Param(0.0, None, "weight of an efficacy of 0"),
    w_1=Param(1.0, None, "weight of an efficacy of 1"),
    lower="min(w_0, w_1)",
    upper="max(w_0, w_1)",
    name="CalciumSTDP",
    doc=(
        "both spikes bring calcium; above one threshold the weight falls towards w_0, above another it also rises, "
        "towards w_1. Exact between spikes, and brought up to date at each; the projection's delay is the calcium's too"
    ),
    source=(
        "M. Graupner, N. Brunel, PNAS 109 (2012), eq. 1 without noise and without the cubic term, as M. Graupner, "
        "P. Wallisch, S. Ostojic, J. Neurosci. 36 (2016) have it; defaults: the curve DP"
    ),
)

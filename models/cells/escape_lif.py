"""The leaky integrate-and-fire cell with a stochastic threshold."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import Hz, ms, mV

EscapeLIF = Cell(
    """
    dv/dt = (v_rest - v + r_m*i)/tau_m
    hazard = rho_0*exp(min((v - v_th)/delta_u, 80))
    """,
    threshold="uniform() < 1 - exp(-hazard*dt)",
    reset="v = v_reset",
    refractory="t_ref",
    init={"v": "v_rest"},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-70 * mV, mV, "resting potential"),
    v_th=Param(-50 * mV, mV, "potential at which the hazard is rho_0"),
    v_reset=Param(-60 * mV, mV, "potential after a spike"),
    rho_0=Param(1 / (19 * ms), Hz, "hazard at v_th", lo=0 * Hz),
    delta_u=Param(4 * mV, mV, "softness of the threshold: the hazard grows e-fold over it", lo=0 * mV, lo_open=True),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    r_m=Param(1.0, None, "membrane resistance; dimensionless where inputs are given as potentials"),
    name="EscapeLIF",
    doc=(
        "leaky integrate-and-fire with escape noise: in every step a spike with probability 1 - exp(-hazard*dt), where "
        "the hazard is rho_0*exp((v - v_th)/delta_u)"
    ),
    source=(
        "W. Gerstner et al., Neuronal Dynamics (2014), sec. 9.1; R. Jolivet, A. Rauch, H.-R. Luescher, W. Gerstner, "
        "J. Comput. Neurosci. 21 (2006), rho_0 and delta_u"
    ),
)

"""A cell that adapts its excitability to its input: intrinsic plasticity."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import Hz, ms, mV

IntrinsicUnit = Cell(
    """
    dv/dt = (v_rest - v + r_m*i)/tau_m
    s = (v - u_0)/u_a
    hazard = r_0*(max(s, 0) + log(1 + exp(-abs(s))))
    pull = (1 + r_0/mu)*sigmoid(s) - 1
    r_0[n+1] = r_0 + dt*eta*Hz**2/r_0*(1 - hazard/mu)
    u_0[n+1] = u_0 + dt*eta*mV**2/u_a*pull
    u_a[n+1] = max(u_a + dt*eta*mV**2/u_a*(s*pull - 1), a_least)
    """,
    threshold="uniform() < 1 - exp(-hazard*dt)",
    reset="",
    refractory="t_ref",
    clamp=(),
    init={"v": "v_rest", "r_0": "r_start", "u_0": "u_start", "u_a": "a_start"},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-70 * mV, mV, "resting potential"),
    mu=Param(5 * Hz, Hz, "mean rate that the cell seeks", lo=0 * Hz, lo_open=True),
    eta=Param(1 * Hz, Hz, "rate of adaptation, of r_0 in Hz and of u_0 and u_a in mV", lo=0 * Hz),
    r_start=Param(20 * Hz, Hz, "r_0 at the start: the slope of the rate is r_0/u_a above u_0", lo=0 * Hz, lo_open=True),
    u_start=Param(-60 * mV, mV, "u_0 at the start: the potential at which the cell begins to fire"),
    a_start=Param(4 * mV, mV, "u_a at the start: the softness of that", lo=0 * mV, lo_open=True),
    a_least=Param(0.5 * mV, mV, "least u_a; the rule's step, which is 1/u_a, must not take it through 0", lo=0 * mV,
                  lo_open=True),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    r_m=Param(1.0, None, "membrane resistance; dimensionless where inputs are given as potentials"),
    name="IntrinsicUnit",
    doc=(
        "a stochastic cell that fires at the rate r_0*log(1 + exp((v - u_0)/u_a)), and moves all three so that its "
        "rate becomes exponentially distributed with mean mu: the most that its spikes can tell of v at that cost. A "
        "spike resets nothing"
    ),
    source=(
        "P. Joshi, J. Triesch, IJCNN 2009; C. Savin, P. Joshi, J. Triesch, PLoS Comput. Biol. 6 (2010) e1000757, after "
        "J. Triesch, ICANN 2005"
    ),
)  # fmt: skip

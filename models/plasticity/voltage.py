"""Plasticity by the potential of the target."""

from __future__ import annotations

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import ms, mV

ClopathSTDP = Plasticity(
    pre="dx/dt = -x/tau_x",
    on_pre="w -= w_1*a_ltd*max(u_minus_post - theta_minus, 0*mV)/mV; x += 1",
    on_every=(
        "w += where(v_post <= v_top, w_1*a_ltp*x*max(v_post - theta_plus, 0*mV)*max(u_plus_post - theta_minus, 0*mV)"
        "/mV**2*interval/tau_x, 0*w_1)"
    ),
    every="interval",
    lower=0,
    upper="w_max",
    tau_x=Param(15 * ms, ms, "time constant of the source's trace x", lo=0 * ms, lo_open=True),
    a_ltd=Param(14e-5, 1, "depression by an arrival, for each mV that u_minus is above theta_minus", lo=0.0),
    a_ltp=Param(8e-5, 1, "potentiation, for each mV that v is above theta_plus and u_plus above theta_minus", lo=0.0),
    theta_minus=Param(-70.6 * mV, mV, "value of the filtered potentials above which they count"),
    theta_plus=Param(-45.3 * mV, mV, "potential above which it potentiates"),
    v_top=Param(33 * mV, mV, "greatest potential: above it v has no meaning, in the step in which a spike is found"),
    interval=Param(0.1 * ms, ms, "steps of the integral of potentiation: dt, for all that v does to count",
                   lo=0 * ms, lo_open=True),
    w_1=Param(1.0, None, "the weight that counts as 1"),
    w_max=Param(3.0, None, "greatest weight"),
    name="ClopathSTDP",
    doc=(
        "an arrival depresses by how far the target's filtered potential u_minus is above rest; potentiation goes on "
        "while v is above a second threshold, with the source's trace and a second filtered potential, u_plus. The "
        "target has v, u_minus and u_plus, as ClopathAdEx does"
    ),
    source="C. Clopath, L. Buesing, E. Vasilaki, W. Gerstner, Nat. Neurosci. 13 (2010), eqs. 1-3, constant A_LTD",
)  # fmt: skip

"""The leaky integrate-and-fire cell with an adaptive threshold."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import ms, mV

ALIF = Cell(
    """
    dv/dt = (v_rest - v + r_m*i)/tau_m
    da/dt = -a/tau_a
    """,
    threshold="v >= v_th + a",
    reset="v = v_reset; a += beta",
    refractory="t_ref",
    clamp="v",
    init={"v": "v_rest"},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-70 * mV, mV, "resting potential"),
    v_th=Param(-50 * mV, mV, "threshold of a neuron that has been silent"),
    v_reset=Param(-60 * mV, mV, "potential after a spike"),
    tau_a=Param(200 * ms, ms, "time constant of the adaptation", lo=0 * ms, lo_open=True),
    beta=Param(2 * mV, mV, "what a spike adds to the threshold"),
    t_ref=Param(0 * ms, ms, "refractory period", lo=0 * ms),
    r_m=Param(1.0, None, "membrane resistance; dimensionless where inputs are given as potentials"),
    name="ALIF",
    doc=(
        "leaky integrate-and-fire with an adaptive threshold v_th + a: each spike raises it by beta, and it decays, "
        "also while refractory"
    ),
    source=(
        "M. J. Chacron, B. Lindner, A. Longtin, J. Comput. Neurosci. 23 (2007); G. Bellec et al., Nat. Commun. 11 "
        "(2020), there with a reset by subtraction; the defaults are round numbers"
    ),
)

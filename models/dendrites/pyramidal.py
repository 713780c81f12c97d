"""Two-compartment pyramidal cells."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.lang.event import Event
from neurosim.params import Param
from neurosim.units import ms, mV, nS, pA, pF

L5Pyramidal = Cell(
    """
    plateau = 1/(1 + exp(-(v_dend - e_dend)/d_dend))
    dv_soma/dt = (e_l - v_soma)/tau_soma + (g_soma*plateau - w_soma + i_soma)/c_soma
    dw_soma/dt = -w_soma/tau_w_soma
    dv_dend/dt = (e_l - v_dend)/tau_dend + (g_dend*plateau + bap*back - w_dend + i_dend)/c_dend
    dw_dend/dt = (a_dend*(v_dend - e_l) - w_dend)/tau_w_dend
    back = where(spiked <= in_steps(t_bap), 1, 0)
    dtheta/dt = -theta/tau_theta
    """,
    threshold="v_soma > v_th + theta",
    reset="v_soma = v_reset; w_soma += b_soma; theta += theta_spike",
    clamp=(),
    ports=("i_soma", "i_dend"),
    events={"spiked": Event("v_soma > v_th + theta")},  # the spike again: what reads its age is the back-propagation
    method="euler",
    init={"v_soma": "e_l", "v_dend": "e_l"},
    e_l=Param(-70 * mV, mV, "resting potential of both compartments"),
    v_th=Param(-50 * mV, mV, "threshold of a soma that has been silent"),
    v_reset=Param(-70 * mV, mV, "somatic potential after a spike"),
    theta_spike=Param(2 * mV, mV, "what a spike adds to the threshold"),
    tau_theta=Param(27 * ms, ms, "time constant of the threshold", lo=0 * ms, lo_open=True),
    tau_soma=Param(16 * ms, ms, "time constant of the soma", lo=0 * ms, lo_open=True),
    c_soma=Param(370 * pF, pF, "capacitance of the soma", lo=0 * pF, lo_open=True),
    g_soma=Param(1300 * pA, pA, "current of the dendrite's plateau into the soma"),
    b_soma=Param(200 * pA, pA, "adaptation by a spike"),
    tau_w_soma=Param(100 * ms, ms, "time constant of the adaptation of the soma", lo=0 * ms, lo_open=True),
    tau_dend=Param(7 * ms, ms, "time constant of the dendrite", lo=0 * ms, lo_open=True),
    c_dend=Param(170 * pF, pF, "capacitance of the dendrite", lo=0 * pF, lo_open=True),
    g_dend=Param(1200 * pA, pA, "regenerative current of the dendrite"),
    a_dend=Param(13 * nS, nS, "adaptation of the dendrite"),
    tau_w_dend=Param(30 * ms, ms, "time constant of the adaptation of the dendrite", lo=0 * ms, lo_open=True),
    bap=Param(2600 * pA, pA, "current of a back-propagating action potential into the dendrite"),
    t_bap=Param(2 * ms, ms, "how long that current flows", lo=0 * ms),
    e_dend=Param(-38 * mV, mV, "potential at which the plateau is half on"),
    d_dend=Param(6 * mV, mV, "width of its onset", lo=0 * mV, lo_open=True),
    name="L5Pyramidal",
    doc=(
        "layer-5 pyramidal cell of a soma and an apical dendrite with a calcium plateau: input to the soma gives "
        "single spikes, coincident input to the dendrite turns them into bursts"
    ),
    source="Auryn's NaudGroup, equations and numbers; after R. Naud, H. Sprekeler, PNAS 115 (2018)",
)

__all__ = ["L5Pyramidal"]

"""The two-compartment cell whose dendrite learns to predict its soma."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import kHz, ms, mV, nS, pF

UrbanczikSenn = Cell(
    """
    dv_soma/dt = (g_soma*(e_l - v_soma) + g_couple*(v_dend - v_soma) + i_soma)/c_soma
    dv_dend/dt = (g_dend*(e_l - v_dend) + i_dend)/c_dend
    hazard = phi_max/(1 + k*exp(min((theta - v_soma)/width, 80)))
    """,
    threshold="uniform() < 1 - exp(-hazard*dt)",
    reset="",
    refractory="t_ref",
    clamp=(),
    ports=("i_soma", "i_dend"),
    init={"v_soma": "e_l", "v_dend": "e_l"},
    c_soma=Param(300 * pF, pF, "capacitance of the soma", lo=0 * pF, lo_open=True),
    g_soma=Param(30 * nS, nS, "leak conductance of the soma", lo=0 * nS, lo_open=True),
    c_dend=Param(300 * pF, pF, "capacitance of the dendrite", lo=0 * pF, lo_open=True),
    g_dend=Param(30 * nS, nS, "leak conductance of the dendrite", lo=0 * nS, lo_open=True),
    g_couple=Param(600 * nS, nS, "conductance from the dendrite to the soma, not back", lo=0 * nS),
    e_l=Param(-70 * mV, mV, "resting potential of both"),
    phi_max=Param(0.15 * kHz, kHz, "greatest rate", lo=0 * kHz),
    k=Param(0.5, 1, "the rate at theta is phi_max/(1 + k)", lo=0),
    theta=Param(-55 * mV, mV, "somatic potential in the middle of the rate's rise"),
    width=Param(3 * mV, mV, "softness of its rise, 1/beta of the paper", lo=0 * mV, lo_open=True),
    t_ref=Param(0 * ms, ms, "refractory period; with one, the rate stays below phi, and predictions too", lo=0 * ms),
    name="UrbanczikSenn",
    doc=(
        "a soma and a dendrite that drives it but is not driven by it; spikes come at the rate phi(v_soma), and reset "
        "nothing. What is given to the soma as conductances is the teacher of the dendrite's synapses "
        "(DendriticPrediction)"
    ),
    source=(
        "R. Urbanczik, W. Senn, Neuron 81 (2014); units and numbers as in NEST's example of pp_cond_exp_mc_urbanczik"
    ),
)

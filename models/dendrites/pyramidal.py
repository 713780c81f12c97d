"""Two-compartment pyramidal cells."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.lang.event import Event
from neurosim.params import Param
from neurosim.units import cm, mS, ms, mV, nS, pA, pF, uA, uF, um

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


def _calcium(part: str) -> tuple[str, dict[str, str]]:
    """Return equations of what both compartments of CA1Pyramidal have, and the steady states of their gates.

    Pinsky and Rinzel's calcium current (gate s), the potassium currents that calcium opens (c fast, q slow), calcium
    and the leak. x/(exp(x) - 1) is written 1/exprel(x), which has no singularity at 0.
    """
    v, ca = f"v_{part}", f"ca_{part}"
    rising = f"exp(({v} + 50*mV)/(11*mV) - ({v} + 53.5*mV)/(27*mV))/18.975"
    falling = f"2*exp((-53.5*mV - {v})/(27*mV))"
    rates = {
        "s": (f"1.6/ms/(1 + exp(-0.072/mV*({v} - 5*mV)))", f"0.1/ms/exprel(({v} + 8.9*mV)/(5*mV))"),
        "c": (f"where({v} > -10*mV, {falling}, {rising})/ms", f"where({v} > -10*mV, 0, {falling} - {rising})/ms"),
    }
    lines = [
        f"j_ca_{part} = g_ca_{part}*s_{part}**2*({v} - e_ca)",
        f"j_{part} = g_l*(e_l - {v}) - j_ca_{part}"
        f" + (g_c_{part}*c_{part}*min({ca}/250, 1) + g_ahp_{part}*q_{part})*(e_k - {v})",
        f"d{ca}/dt = -f_ca*j_ca_{part} - {ca}/tau_ca",
        f"dq_{part}/dt = min(2e-5*{ca}, 0.01)/ms*(1 - q_{part}) - 0.001/ms*q_{part}",
    ]
    for gate, (opening, closing) in rates.items():
        lines += [
            f"a_{gate}_{part} = {opening}",
            f"b_{gate}_{part} = {closing}",
            f"d{gate}_{part}/dt = a_{gate}_{part}*(1 - {gate}_{part}) - b_{gate}_{part}*{gate}_{part}",
        ]
    steady = {f"{gate}_{part}": f"1/(1 + ({closing})/({opening}))".replace(v, "e_l")
              for gate, (opening, closing) in rates.items()}  # fmt: skip
    return "\n".join(lines), {v: "e_l", **steady}


_SOMA, _SOMA_RESTS = _calcium("soma")
_DEND, _DEND_RESTS = _calcium("dend")
_CA1_RATES = {
    "m": ("1.28/ms/exprel((-46.9*mV - {v})/(4*mV))", "1.4/ms/exprel(({v} + 19.9*mV)/(5*mV))"),
    "h": ("0.128/ms*exp((-43*mV - {v})/(18*mV))", "4/ms/(1 + exp((-20*mV - {v})/(5*mV)))"),
    "n": ("0.08/ms/exprel((-24.9*mV - {v})/(5*mV))", "0.25/ms*exp(-1 - 0.025/mV*{v})"),
}
_CA1_STEADY = {
    gate: "1/(1 + ({1})/({0}))".format(*(rate.format(v="e_l") for rate in _CA1_RATES[gate])) for gate in "hn"
}
_DENSITY = mS / cm**2

CA1Pyramidal = Cell(
    f"""
    a_m = {_CA1_RATES["m"][0].format(v="v_soma")}
    b_m = {_CA1_RATES["m"][1].format(v="v_soma")}
    m = a_m/(a_m + b_m)
    a_h = {_CA1_RATES["h"][0].format(v="v_soma")}
    b_h = {_CA1_RATES["h"][1].format(v="v_soma")}
    dh/dt = a_h*(1 - h) - b_h*h
    a_n = {_CA1_RATES["n"][0].format(v="v_soma")}
    b_n = {_CA1_RATES["n"][1].format(v="v_soma")}
    dn/dt = a_n*(1 - n) - b_n*n
    {_SOMA}
    {_DEND}
    j_spike = g_na*m**2*h*(e_na - v_soma) + g_k*n*(e_k - v_soma)
    dv_soma/dt = (j_soma + j_spike + (g_c*(v_dend - v_soma) + i_soma/area)/p_soma)/c_m
    dv_dend/dt = (j_dend + (g_c*(v_soma - v_dend) + i_dend/area)/(1 - p_soma))/c_m
    """,
    threshold="v_soma > v_th",
    edge=True,
    ports=("i_soma", "i_dend"),
    method="rk4",
    init={**_SOMA_RESTS, **_DEND_RESTS, **_CA1_STEADY},
    c_m=Param(3 * uF / cm**2, uF / cm**2, "capacitance of the membrane", lo=0 * uF / cm**2, lo_open=True),
    area=Param(
        20_000 * um**2,
        um**2,
        "membrane of both compartments; it scales injected and synaptic currents alone",
        lo=0 * um**2,
        lo_open=True,
    ),
    p_soma=Param(0.5, None, "part of the membrane that is soma", lo=0.0, hi=1.0, lo_open=True, hi_open=True),
    g_c=Param(1.5 * _DENSITY, _DENSITY, "coupling of soma and dendrite", lo=0 * _DENSITY),
    g_l=Param(0.1 * _DENSITY, _DENSITY, "leak of both", lo=0 * _DENSITY),
    g_na=Param(30 * _DENSITY, _DENSITY, "sodium conductance of the soma", lo=0 * _DENSITY),
    g_k=Param(17 * _DENSITY, _DENSITY, "delayed rectifier of the soma", lo=0 * _DENSITY),
    g_ca_soma=Param(6 * _DENSITY, _DENSITY, "calcium conductance of the soma", lo=0 * _DENSITY),
    g_ca_dend=Param(5 * _DENSITY, _DENSITY, "calcium conductance of the dendrite", lo=0 * _DENSITY),
    g_c_soma=Param(15 * _DENSITY, _DENSITY, "potassium that calcium and voltage open in the soma", lo=0 * _DENSITY),
    g_c_dend=Param(5 * _DENSITY, _DENSITY, "potassium that calcium and voltage open in the dendrite", lo=0 * _DENSITY),
    g_ahp_soma=Param(0.8 * _DENSITY, _DENSITY, "potassium that calcium alone opens in the soma", lo=0 * _DENSITY),
    g_ahp_dend=Param(0.8 * _DENSITY, _DENSITY, "potassium that calcium alone opens in the dendrite", lo=0 * _DENSITY),
    e_l=Param(-65 * mV, mV, "reversal potential of the leak"),
    e_na=Param(60 * mV, mV, "reversal potential of sodium"),
    e_k=Param(-75 * mV, mV, "reversal potential of potassium"),
    e_ca=Param(80 * mV, mV, "reversal potential of calcium"),
    f_ca=Param(0.13 * cm**2 / (uA * ms), cm**2 / (uA * ms), "calcium that a current density brings in a time"),
    tau_ca=Param(1 / 0.075 * ms, ms, "time constant of the removal of calcium", lo=0 * ms, lo_open=True),
    v_th=Param(-20 * mV, mV, "a spike is where v_soma rises above this"),
    name="CA1Pyramidal",
    doc=(
        "CA1 pyramidal cell of a soma and a dendrite: that of CA3 by Pinsky and Rinzel, but with calcium, and "
        "potassium that it opens, in the soma too, so that it fires single spikes, which adapt, where theirs bursts; "
        "dt of 0.05 ms or less"
    ),
    source=(
        "K. A. Ferguson, S. A. Campbell, Can. Appl. Math. Q. 17 (2009); numbers as in J. J. Dainauskas et al., Front. "
        "Synaptic Neurosci. 15 (2023); kinetics of P. F. Pinsky, J. Rinzel, J. Comput. Neurosci. 1 (1994)"
    ),
)

__all__ = ["CA1Pyramidal", "L5Pyramidal"]

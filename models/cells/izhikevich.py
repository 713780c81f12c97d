"""Izhikevich's cell, stepped as in his paper."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import kHz, ms, mV

Izhikevich = Cell(
    """
    half = v + 0.5*dt*(0.04*v**2/(ms*mV) + 5*v/ms + 140*mV/ms - u + i)
    v[n+1] = half + 0.5*dt*(0.04*half**2/(ms*mV) + 5*half/ms + 140*mV/ms - u + i)
    u[n+1] = u + dt*a*(b*v[n+1] - u)
    """,
    threshold="v >= v_peak",
    reset="v = c; u += d",
    init={"v": "c", "u": "b*c"},
    a=Param(0.02 / ms, kHz, "rate of the recovery"),
    b=Param(0.2 / ms, kHz, "sensitivity of the recovery to the potential"),
    c=Param(-65 * mV, mV, "potential after a spike"),
    d=Param(8 * mV / ms, mV / ms, "what a spike adds to the recovery"),
    v_peak=Param(30 * mV, mV, "potential at which a spike is cut off"),
    name="Izhikevich",
    doc=(
        "Izhikevich's quadratic cell in the paper's units (times in ms, v in mV, u and the input i in mV/ms), advanced "
        "as in the paper's listing: v in two half steps with u as it was, then u with the new v. The paper's step is "
        "1 ms, and its numbers (also spike counts) belong to that step"
    ),
    source="E. M. Izhikevich, IEEE Trans. Neural Netw. 14 (2003)",
)

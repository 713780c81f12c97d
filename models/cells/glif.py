"""The generalised leaky integrate-and-fire cells of the Allen Institute, GLIF 1 to 5.

The discrete system is that of NEST's ``glif_psc``: membrane, synaptic currents and threshold components are solved
exactly over a step; after-spike currents enter with their mean over the step; everything but the synapses stands still
while the neuron is refractory, and after-spike currents and the spike component of the threshold decay over that time
at once, in the reset. Currents that are injected (port ``i_inj``) move the voltage component of the threshold, synaptic
ones (port ``i``) do not.
"""

from __future__ import annotations

import functools
from typing import Any

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import kHz, ms, mV, nS, pA, pF

_PARAMS = {
    "g": Param(9.43 * nS, nS, "leak conductance", lo=0 * nS, lo_open=True),
    "e_l": Param(-78.85 * mV, mV, "resting potential"),
    "v_th": Param(-51.68 * mV, mV, "threshold of a neuron that has been silent"),
    "c_m": Param(58.72 * pF, pF, "membrane capacitance", lo=0 * pF, lo_open=True),
    "t_ref": Param(3.75 * ms, ms, "refractory period", lo=0 * ms, lo_open=True),
}
_RESET = {"v_reset": Param(-78.85 * mV, mV, "potential after a spike")}
_SPIKING = {
    "th_spike_add": Param(0.37 * mV, mV, "what a spike adds to the threshold"),
    "th_spike_decay": Param(0.009 / ms, kHz, "rate at which that decays", lo=0),
    "voltage_reset_fraction": Param(0.20, 1, "part of v - e_l that a spike leaves"),
    "voltage_reset_add": Param(18.51 * mV, mV, "what it adds"),
}
_ADAPTING = {
    "th_voltage_index": Param(0.005 / ms, kHz, "rate at which the threshold follows v - e_l"),
    "th_voltage_decay": Param(0.09 / ms, kHz, "rate at which that decays; not equal to g/c_m", lo=0, lo_open=True),
}
_DECAY, _AMP = (0.003, 0.1), (-9.18, -198.94)


def GLIF(level: int = 5, n_asc: int = 2, **params: Any) -> Cell:
    """Return a generalised leaky integrate-and-fire cell of the Allen Institute, of level 1 to 5.

    The levels are 1 a leaky integrator; 2 with a reset that depends on v and a threshold that spikes raise; 3 with
    after-spike currents; 4 both; 5 with a threshold that follows v as well. The defaults are those of NEST's
    ``glif_psc``, a cell of the Allen Cell Types Database. A current is synaptic by default; an injected one, which also
    moves the threshold of level 5, is ``DCInput(100 * pA)(port="i_inj")``.

    Parameters
    ----------
    level : int
        From 1 to 5.
    n_asc : int
        After-spike currents of the levels 3 to 5, each with ``asc_decay_0``, ``asc_amp_0``, ``asc_r_0`` and so on.
    **params
        Parameters and options of a cell, such as ``receptors``.
    """
    if level not in (1, 2, 3, 4, 5):
        raise ParameterError(f"the level of a GLIF cell is 1, 2, 3, 4 or 5, got {level!r}", caller())
    if not isinstance(n_asc, int) or n_asc < 0:
        raise ParameterError(f"n_asc, the number of after-spike currents, must be 0 or more, got {n_asc!r}", caller())
    return _declared(level, n_asc if level >= 3 else 0)(**params)


@functools.cache
def _declared(level: int, n_asc: int) -> Cell:
    """Return the declaration of a level with its defaults."""
    params: dict[str, Any] = dict(_PARAMS)
    equations, reset = [], []
    clamp, threshold = ["v"], "v_th"
    total = "i_inj"
    if n_asc:
        equations += [f"mean_{a} = (1 - exp(-asc_decay_{a}*dt))/(asc_decay_{a}*dt)" for a in range(n_asc)]
        equations.append("i_asc = " + " + ".join(f"asc_{a}*mean_{a}" for a in range(n_asc)))  # of values from before
        total = "i_inj + i_asc"
    equations.append(f"dv/dt = (g*(e_l - v) + i + {total})/c_m")
    for a in range(n_asc):
        equations.append(f"asc_{a}[n+1] = asc_{a}*exp(-asc_decay_{a}*dt)")
        reset.append(f"asc_{a} = asc_amp_{a} + asc_{a}*asc_r_{a}*exp(-asc_decay_{a}*t_ref)")
        clamp.append(f"asc_{a}")
        known = min(a, 1)
        params |= {
            f"asc_decay_{a}": Param(_DECAY[known] / ms, kHz, "rate of an after-spike current", lo=0, lo_open=True),
            f"asc_amp_{a}": Param(_AMP[known] * pA, pA, "what a spike adds to it"),
            f"asc_r_{a}": Param(1.0, 1, "part of it that a spike leaves"),
        }
    if level in (2, 4, 5):
        equations += ["th_s[n+1] = th_s*exp(-th_spike_decay*dt)", "v_before[n+1] = v"]
        reset += ["th_s = th_s*exp(-th_spike_decay*t_ref) + th_spike_add",
                  "v = e_l + voltage_reset_fraction*(v_before - e_l) + voltage_reset_add"]  # fmt: skip
        clamp.append("th_s")
        threshold += " + th_s"
        params |= _SPIKING
    else:
        reset.append("v = v_reset")
        params |= _RESET
    if level == 5:
        equations += [
            f"beta = ({total})/g",
            "ratio = th_voltage_index/th_voltage_decay",
            "driven = th_voltage_index/(th_voltage_decay - g/c_m)*(v - e_l - beta)",
            "th_v[n+1] = driven*exp(-g*dt/c_m) + exp(-th_voltage_decay*dt)*(th_v - driven - ratio*beta) + ratio*beta",
        ]
        clamp.append("th_v")
        threshold += " + th_v"
        params |= _ADAPTING
    return Cell(
        "\n".join(equations),
        threshold=f"v > {threshold}",
        reset="\n".join(reset),
        refractory="t_ref",
        clamp=clamp,
        ports=("i", "i_inj"),
        init={"v": "e_l", **({"v_before": "e_l"} if level in (2, 4, 5) else {})},
        name=f"GLIF{level}",
        doc="generalised leaky integrate-and-fire cell, as NEST's glif_psc",
        source="C. Teeter et al., Nat. Commun. 9 (2018), 709, eqs. 1-12 and table 1; NEST 3, glif_psc",
        **params,
    )

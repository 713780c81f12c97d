"""The adaptive exponential cell with the spike, and the filtered potentials, that voltage-based plasticity reads."""

from __future__ import annotations

import functools
from typing import Any

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Cell
from neurosim.lang.event import Event
from neurosim.params import Param
from neurosim.units import ms, mV, nS, pA, pF

_LONGEST = 1000


def ClopathAdEx(lag: int = 40, **params: Any) -> Cell:
    """Return the cell of Clopath et al., to be the target of :data:`~neurosim.models.ClopathSTDP`.

    An adaptive exponential cell whose spike lasts: v stands at v_clamp for t_clamp, then falls to v_reset, where the
    depolarisation z after a spike and a raised threshold v_t go on. u_minus and u_plus are the potential through
    low-pass filters, as it was ``lag`` steps before; the rule reads them.

    The lag is NEST's, and that of the authors' own code, 3 to 5 ms; no equation of the paper has it. The filters must
    not have seen the spike that the rule is about to learn from, or any pair of spikes, however rare, potentiates. It
    is counted in steps, since each is a variable of the cell: the default is 4 ms at dt = 0.1 ms.

    Parameters
    ----------
    lag : int
        How many steps the filters are behind, from 0 to 1000.
    **params
        Parameters and options of a cell, such as ``receptors``.

    Raises
    ------
    ParameterError
        If the lag is no such number.
    """
    if not isinstance(lag, int) or isinstance(lag, bool) or not 0 <= lag <= _LONGEST:
        raise ParameterError(
            f"lag of ClopathAdEx is a whole number of steps from 0 to {_LONGEST}, got {lag!r}: 4 ms are 40 at "
            "dt = 0.1 ms",
            caller(),
        )
    return _declared(lag)(**params)


@functools.cache
def _declared(lag: int) -> Cell:
    """Return the declaration with its defaults."""
    line = [f"past_{k}[n+1] = {f'past_{k - 1}' if k else 'u'}" for k in range(lag)]
    seen = f"past_{lag - 1}" if lag else "u"
    return Cell(
        "\n".join([
            "u = min(v, v_clamp)",
            "dv/dt = (g_l*(e_l - u) + g_l*delta_t*exp((u - v_t)/delta_t) - w + z + i)/c_m",
            "dw/dt = (a*(u - e_l) - w)/tau_w",
            "dz/dt = -z/tau_z",
            "dv_t/dt = (v_t_rest - v_t)/tau_v_t",
            *line,
            f"du_minus/dt = ({seen} - u_minus)/tau_minus",
            f"du_plus/dt = ({seen} - u_plus)/tau_plus",
        ]),
        threshold="v >= v_clamp",
        reset="v = v_clamp; w += b; z = i_sp; v_t = v_t_max",
        refractory="t_clamp",
        clamp=("v",),
        events={"spiked": Event("v >= v_clamp", refractory="t_clamp"),
                "repolarised": Event("spiked == in_steps(t_clamp)", "v = v_reset")},
        method="rk4",
        init={"v": "e_l", "v_t": "v_t_rest", "u_minus": "e_l", "u_plus": "e_l",
              **{f"past_{k}": "e_l" for k in range(lag)}},
        c_m=Param(281 * pF, pF, "membrane capacitance", lo=0 * pF, lo_open=True),
        g_l=Param(30 * nS, nS, "leak conductance", lo=0 * nS, lo_open=True),
        e_l=Param(-70.6 * mV, mV, "resting potential"),
        delta_t=Param(2 * mV, mV, "sharpness of the take-off", lo=0 * mV, lo_open=True),
        v_clamp=Param(33 * mV, mV, "potential at which a spike is cut off, and stands while it lasts"),
        t_clamp=Param(2 * ms, ms, "how long it lasts", lo=0 * ms, lo_open=True),
        v_reset=Param(-49.6 * mV, mV, "potential after a spike", source="NEST's example of the rule"),
        a=Param(4 * nS, nS, "subthreshold adaptation"),
        b=Param(0.0805 * pA, pA, "adaptation by a spike", source="as in NEST; Brette and Gerstner (2005): 80.5 pA"),
        tau_w=Param(144 * ms, ms, "time constant of the adaptation", lo=0 * ms, lo_open=True),
        i_sp=Param(400 * pA, pA, "current that depolarises after a spike"),
        tau_z=Param(40 * ms, ms, "its time constant", lo=0 * ms, lo_open=True),
        v_t_rest=Param(-50.4 * mV, mV, "potential at which a spike takes off"),
        v_t_max=Param(-30.4 * mV, mV, "the same just after a spike"),
        tau_v_t=Param(50 * ms, ms, "time constant of its return", lo=0 * ms, lo_open=True),
        tau_minus=Param(10 * ms, ms, "time constant of u_minus", lo=0 * ms, lo_open=True),
        tau_plus=Param(7 * ms, ms, "time constant of u_plus", lo=0 * ms, lo_open=True),
        name="ClopathAdEx",
        doc=(
            "adaptive exponential cell whose spike stands at v_clamp for a while and leaves a depolarisation and a "
            "raised threshold; u_minus and u_plus are its potential, filtered, some steps late"
        ),
        source=(
            "C. Clopath, L. Buesing, E. Vasilaki, W. Gerstner, Nat. Neurosci. 13 (2010); spike, lag and numbers as in "
            "NEST's aeif_psc_delta_clopath, but for v_t_max, which is positive there"
        ),
    )  # fmt: skip

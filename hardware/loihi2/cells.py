"""Cells and synapses in Loihi 2's arithmetic, as equations over whole numbers.

They run on every backend whose numbers are double precision, to the same bits, and mean what Lava 0.10 computes.
Step n of ours is Lava's step n + 1, and a delay of 1 step here is a ``Dense`` of Lava's, without a delay of its own.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, caller
from neurosim.hardware.loihi2.arithmetic import shifted
from neurosim.ir.graph import Graph, PopulationNode, System
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.network import Network
from neurosim.params import Param
from neurosim.units import TIME, Quantity, ms

Dense = Receptor(
    "x[n+1] = 0*x",
    event="x += w",
    output="64*floor(x*scale)",
    when="before",
    scale=Param(1.0, 1, "2 to the exponent that the weights of all connections share", lo=2.0**-8, hi=2.0**7),
    name="Dense",
    doc=(
        "a connection of Lava's (Dense, Sparse): the sum of the weights of the step, times two to the power of the "
        "weight exponent and rounded down after the sum; one receptor for each exponent, and, where that is negative, "
        "for each connection and delay"
    ),
    source="Lava 0.10.0, lava/proc/dense/models.py",
)

_STEP = """
    u_left = where(u < 0, -1, 1)*floor(abs(u)*(4095 - du)/4096)
    u_sum = u_left + i
    u[n+1] = where(u_sum > 8388608, u_sum - 16777216, where(u_sum <= -8388608, u_sum + 16777216, u_sum))
    v_left = where(v < 0, -1, 1)*floor(abs(v)*(4096 - dv)/4096)
    v[n+1] = clip(v_left + u[n+1] + bias, -8388607, 8388607)
"""

_LIF = Cell(
    _STEP,
    threshold="v > 64*vth",
    reset="v = 0",
    refractory="t_ref",
    clamp="v",
    precision="double",
    receptors={"a_in": Dense},
    du=Param(0.0, 1, "decay of u, in 4096ths a step, beyond the one that it always has", lo=0, hi=4095),
    dv=Param(0.0, 1, "decay of v, in 4096ths a step", lo=0, hi=4095),
    vth=Param(10.0, 1, "threshold in units of a weight, to be exceeded", lo=0, hi=131071),
    bias=Param(0.0, 1, "what is added to v in every step, in units of v"),
    t_ref=Param(0 * ms, ms, "refractory period, in which v stands still; Lava has none in integers", lo=0 * ms),
    name="LoihiLIF",
    doc="leaky integrate-and-fire cell of Loihi 2 in integers: u wraps round at 24 bits, v saturates",
    source="Lava 0.10.0, lava/proc/lif/models.py, PyLifModelBitAcc",
)


def LIF(*, du: Any = 0, dv: Any = 0, vth: Any = 10, bias_mant: Any = 0, bias_exp: int = 0, **options: Any) -> Cell:
    """Return Loihi 2's leaky integrate-and-fire cell.

    In every step ``u = u*(4095 - du)/4096 + 64*input`` and ``v = v*(4096 - dv)/4096 + u + bias``, magnitudes rounded
    down, u wrapped and v clipped at 24 bits; a spike where ``v > 64*vth``, which sets v to 0.

    Parameters
    ----------
    du, dv : int or array of int
        Decays of u and v, 0 to 4095 4096ths a step; u always has one more.
    vth : int or array of int
        Threshold, 0 to 131071, in units of a weight with exponent 0.
    bias_mant, bias_exp : int
        ``bias_mant*2**bias_exp``, rounded down, is added to v in every step; -4096 to 4095, and -8 to 7.
    **options
        ``receptors={"name": Dense(scale=2.0**exponent)}``; one ``a_in`` of exponent 0 by default. ``t_ref``: a
        refractory period.
    """
    where = caller()
    limits = {"du": (du, 0, 4095), "dv": (dv, 0, 4095), "vth": (vth, 0, 131071), "bias_mant": (bias_mant, -4096, 4095)}
    for name, (value, lo, hi) in limits.items():
        found = np.asarray(value)
        whole = found.dtype.kind in "iuf" and bool((found == np.rint(found)).all())
        if not whole or (found < lo).any() or (found > hi).any():
            raise ParameterError(f"{name} of Loihi's LIF must be whole numbers from {lo} to {hi}, got {value!r}", where)
    if not isinstance(bias_exp, (int, np.integer)) or not -8 <= bias_exp <= 7:
        raise ParameterError(f"bias_exp of Loihi's LIF is one whole number from -8 to 7, got {bias_exp!r}", where)
    bias = shifted(bias_mant, int(bias_exp))

    def plain(value: Any) -> Any:
        return np.asarray(value, dtype=np.float64)[()]

    made: Cell = _LIF(du=plain(du), dv=plain(dv), vth=plain(vth), bias=plain(bias), **options)
    return made


@functools.cache
def counting_lif() -> Cell:
    """Return the cell with counters: ``wraps`` of u, clips of v at its ``low`` and ``high`` end, and how far both went.

    u and v are those of :func:`LIF`, bit for bit. While v is clamped nothing is added to it, so its counters stand
    still too; u runs on.
    """
    counters = """
    v_sum = v_left + u[n+1] + bias
    wraps[n+1] = wraps + where(u_sum > 8388608, 1, 0) + where(u_sum <= -8388608, 1, 0)
    low[n+1] = low + where(v_sum < -8388607, 1, 0)
    high[n+1] = high + where(v_sum > 8388607, 1, 0)
    u_most[n+1] = max(u_most, abs(u_sum))
    v_least[n+1] = min(v_least, v_sum)
    v_most[n+1] = max(v_most, v_sum)
    """
    params: dict[str, Any] = dict(_LIF.params)
    return Cell(
        _STEP + counters, threshold="v > 64*vth", reset="v = 0", refractory="t_ref",
        clamp=("v", "low", "high", "v_least", "v_most"), precision="double", receptors={"a_in": Dense},
        name="CountingLoihiLIF", doc="Loihi 2's cell, with counters of its overflows",
        source="Lava 0.10.0, lava/proc/lif/models.py, PyLifModelBitAcc", **params,
    )  # fmt: skip


def loihi_lif(graph: Graph, pop: PopulationNode) -> dict[str, Any] | None:
    """Return the parameters of a population that is :func:`LIF` with ``Dense`` receptors, None for any other."""
    if pop.model is None or any(len(j) != 1 for j in pop.model.system.jumps.values()):
        return None
    system = _system(graph.dt, pop.receptors)
    if system is None or replace(pop.model.system, drives=()) != system:
        return None
    return dict(pop.model.params)


@functools.cache
def _system(dt: float, receptors: tuple[str, ...]) -> System | None:
    """Return the equations of :func:`LIF` with receptors of these names."""
    network = Network("pattern", dt=Quantity(dt, TIME))
    try:
        network.population("pattern", 1, LIF(receptors={name: Dense for name in receptors}))
    except NeurosimError:  # the names are none of receptors
        return None
    model = compile_network(network).populations[0].model
    return None if model is None else model.system

"""Passive membrane, its size by geometry, and cables of it."""

from __future__ import annotations

import math

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import CONDUCTANCE, LENGTH, Quantity, cm, mV, nS, ohm, pF, scalar, uF, uS

Passive = Cell(
    "dv/dt = (g_l*(e_l - v) + i)/c_m",
    init={"v": "e_l"},
    c_m=Param(50 * pF, pF, "membrane capacitance", lo=0 * pF, lo_open=True),
    g_l=Param(2.5 * nS, nS, "leak conductance", lo=0 * nS),
    e_l=Param(-65 * mV, mV, "resting potential"),
    name="Passive",
    doc="a piece of passive membrane, without a spike: the compartment that most dendrites are made of",
    source="W. Rall, in Handbook of Physiology, The Nervous System 1 (1977)",
)


def cylinder(
    length: Quantity,
    diameter: Quantity,
    *,
    cm: Quantity = 1 * uF / cm**2,
    gl: Quantity = 40 * uS / cm**2,
    v_rest: Quantity = -65 * mV,
    scale_factor: float = 1.0,
    spine_factor: float = 1.0,
) -> Cell:
    """Return a :data:`Passive` compartment of the size of an open cylinder; the names are Dendrify's.

    Parameters
    ----------
    length, diameter : Quantity
        The membrane's area is pi*length*diameter, times both factors.
    cm, gl : Quantity
        Specific capacitance and leak conductance.
    v_rest : Quantity
        Resting potential.
    scale_factor, spine_factor : float
        What the area is multiplied with: to fit the whole cell, and for spines.
    """
    area = math.pi * length * diameter * scale_factor * spine_factor
    return Passive(c_m=cm * area, g_l=gl * area, e_l=v_rest)


def axial(
    length_a: Quantity, diameter_a: Quantity, length_b: Quantity, diameter_b: Quantity, r_axial: Quantity
) -> Quantity:
    """Return the conductance between the middles of two cylinders: that of both halves in series."""
    each = [4 * r_axial * ln / (math.pi * d**2) / 2 for ln, d in ((length_a, diameter_a), (length_b, diameter_b))]
    return 1 / (each[0] + each[1])


def cable(
    n: int,
    length: Quantity,
    diameter: Quantity,
    *,
    r_axial: Quantity = 100 * ohm * cm,
    cm: Quantity = 1 * uF / cm**2,
    gl: Quantity = 25 * uS / cm**2,
    v_rest: Quantity = -65 * mV,
    method: str = "crank_nicolson",
) -> Cell:
    """Return a passive cable of ``n`` equal cylinders with sealed ends.

    The potentials are ``v0`` to ``v{n-1}``; each has a port, ``i0`` and so on. The compartments share their parameters.
    A compiled engine takes about a quarter of a second a compartment to compile, once.

    Parameters
    ----------
    n : int
        Number of compartments.
    length, diameter : Quantity
        Of the whole cable.
    r_axial, cm, gl, v_rest : Quantity
        Specific resistance of the inside, specific capacitance and leak of the membrane, resting potential.
    """
    where = caller()
    if not isinstance(n, int) or n < 1:
        raise ParameterError(f"a cable has a whole number of compartments, at least 1; got {n!r}", where)
    scalar(length, LENGTH, "length of the cable", where)
    scalar(diameter, LENGTH, "diameter of the cable", where)
    piece = length / n
    one = cylinder(piece, diameter, cm=cm, gl=gl, v_rest=v_rest)
    g = axial(piece, diameter, piece, diameter, r_axial)
    scalar(g, CONDUCTANCE, "conductance along the cable", where)
    rows = []
    for k in range(n):
        links = "".join(f" + g_a*(v{j} - v{k})" for j in (k - 1, k + 1) if 0 <= j < n)
        rows.append(f"dv{k}/dt = (g_l*(e_l - v{k}){links} + i{k})/c_m")
    return Cell(
        "\n".join(rows), ports=tuple(f"i{k}" for k in range(n)), init={f"v{k}": "e_l" for k in range(n)}, method=method,
        name="cable", doc=f"a passive cable of {n} compartments",
        c_m=Param(one.value("c_m"), pF, "capacitance of a compartment"),
        g_l=Param(one.value("g_l"), nS, "leak conductance of a compartment"),
        g_a=Param(g, nS, "conductance between neighbours"), e_l=Param(v_rest, mV, "resting potential"),
    )  # fmt: skip


__all__ = ["Passive", "axial", "cable", "cylinder"]

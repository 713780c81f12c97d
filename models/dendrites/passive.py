"""Passive membrane, its size by geometry, and cables of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import LENGTH, Quantity, cm, mV, nS, ohm, pF, quantity, scalar, uF, uS

_CM = cm  # the centimetre, which parameters called cm hide

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
    where = caller()
    for what, value in (("length", length), ("diameter", diameter)):
        if not scalar(value, LENGTH, f"{what} of the cylinder", where) > 0:
            raise ParameterError(f"the {what} of a cylinder must be above 0, got {value}", where)
    area = math.pi * length * diameter * scale_factor * spine_factor
    return Passive(c_m=cm * area, g_l=gl * area, e_l=v_rest)


def axial(
    length_a: Quantity, diameter_a: Quantity, length_b: Quantity, diameter_b: Quantity, r_axial: Quantity
) -> Quantity:
    """Return the conductance between the middles of two cylinders: that of both halves in series."""
    where = caller()
    for value in (length_a, diameter_a, length_b, diameter_b):
        if not scalar(value, LENGTH, "length or diameter of a cylinder", where) > 0:
            raise ParameterError(f"the length and diameter of a cylinder must be above 0, got {value}", where)
    each = [4 * r_axial * ln / (math.pi * d**2) / 2 for ln, d in ((length_a, diameter_a), (length_b, diameter_b))]
    return 1 / (each[0] + each[1])


def tree(
    parents: Sequence[int],
    lengths: Quantity,
    diameters: Quantity,
    *,
    r_axial: Quantity = 100 * ohm * cm,
    cm: Quantity = 1 * uF / cm**2,
    gl: Quantity = 25 * uS / cm**2,
    v_rest: Quantity = -65 * mV,
    method: str = "crank_nicolson",
) -> Cell:
    """Return a passive tree of cylinders, one compartment each, with sealed ends.

    The potentials are ``v0``, ``v1``, …, and each compartment has a port, ``i0`` and so on, for currents. Compartments
    of equal size share their parameters. For channels and synapses, join :func:`cylinder` s by
    :func:`neurosim.compartments`.

    Parameters
    ----------
    parents : sequence of int
        For every compartment the number of the one it hangs on; -1 for the first, and each parent before its children.
    lengths, diameters : Quantity
        One value each, in the same order.
    r_axial, cm, gl, v_rest : Quantity
        Specific resistance of the inside, specific capacitance and leak of the membrane, resting potential.
    method : str
        As for :class:`neurosim.Cell`; ``crank_nicolson`` is of second order here.

    Notes
    -----
    Each compartment is written out in the program: ``native`` takes about a quarter of a second for each to compile,
    once; ``reference`` compiles nothing.
    """
    where = caller()
    given: list[Any] = list(parents) if isinstance(parents, (Sequence, np.ndarray)) else [None]
    ends = [int(p) for p in given if isinstance(p, (int, np.integer))]
    if len(ends) < len(given):
        raise ParameterError(
            f"the parents of a tree are whole numbers, one for each compartment; got {parents!r}", where
        )
    n = len(ends)
    for k, parent in enumerate(ends):
        if not (-1 if k == 0 else 0) <= parent < max(k, 0):
            raise ParameterError(
                f"compartment {k} of the tree hangs on {parent}: it needs "
                + ("-1, since it is the first" if k == 0 else f"a parent from 0 to {k - 1}"),
                where,
            )
    ln = _each(lengths, n, "lengths of the tree", where)
    d = _each(diameters, n, "diameters of the tree", where)
    c_area = _specific(cm, (uF / _CM**2).dim, "cm", where)
    g_area = _specific(gl, (uS / _CM**2).dim, "gl", where, zero=True)
    r = _specific(r_axial, (ohm * _CM).dim, "r_axial", where)
    names: dict[tuple[str, float], str] = {}

    def shared(kind: str, value: float) -> str:
        known = (kind, float(value))
        if known not in names:
            names[known] = f"{kind}{sum(key[0] == kind for key in names)}"
        return names[known]

    links: list[list[str]] = [[] for _ in ends]
    for k, parent in enumerate(ends):
        if parent >= 0:
            halves = sum(2 * r * ln[j] / (math.pi * d[j] ** 2) for j in (k, parent))
            g = shared("g_a", 1 / halves)
            links[k].append(f"{g}*(v{parent} - v{k})")
            links[parent].append(f"{g}*(v{k} - v{parent})")
    rows = []
    for k in range(n):
        area = math.pi * ln[k] * d[k]
        c, g = shared("c_m", c_area * area), shared("g_l", g_area * area)
        rows.append(f"dv{k}/dt = ({' + '.join([f'{g}*(e_l - v{k})', *links[k], f'i{k}'])})/{c}")
    meaning = {"g_a": (nS, "conductance between compartments"), "c_m": (pF, "capacitance of a compartment"),
               "g_l": (nS, "leak conductance of a compartment")}  # fmt: skip
    params: dict[str, Any] = {
        name: Param(Quantity(value, meaning[kind][0].dim), *meaning[kind]) for (kind, value), name in names.items()
    }
    return Cell(
        "\n".join(rows), ports=tuple(f"i{k}" for k in range(n)), init={f"v{k}": "e_l" for k in range(n)}, method=method,
        name="tree", doc=f"a passive tree of {n} compartments", e_l=Param(v_rest, mV, "resting potential"), **params,
    )  # fmt: skip


def _specific(value: Any, dim: Any, what: str, where: str | None, zero: bool = False) -> float:
    out = scalar(value, dim, what, where)
    if not (out > 0 or (zero and out == 0)):
        raise ParameterError(f"{what} must be {'0 or more' if zero else 'above 0'}, got {value}", where)
    return out


def _each(value: Quantity, n: int, what: str, where: str | None) -> list[float]:
    out = np.asarray(quantity(value, LENGTH, what, where), dtype=float)
    if out.shape != (n,) or n == 0 or not np.all(out > 0):
        raise ParameterError(f"the {what} must be {n} lengths above 0, got shape {list(out.shape)}", where)
    return out.tolist()


def cable(n: int, length: Quantity, diameter: Quantity, **specific: Any) -> Cell:
    """Return a passive cable of ``n`` equal cylinders with sealed ends: a :func:`tree` without a branch.

    Parameters
    ----------
    n : int
        Number of compartments.
    length, diameter : Quantity
        Of the whole cable.
    **specific
        ``r_axial``, ``cm``, ``gl``, ``v_rest`` and ``method``, as for :func:`tree`.
    """
    where = caller()
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ParameterError(f"a cable has a whole number of compartments, at least 1; got {n!r}", where)
    whole = scalar(length, LENGTH, "length of the cable", where)
    wide = scalar(diameter, LENGTH, "diameter of the cable", where)
    pieces = Quantity(np.full(n, whole / n), LENGTH), Quantity(np.full(n, wide), LENGTH)
    return tree(range(-1, n - 1), *pieces, **specific)


__all__ = ["Passive", "axial", "cable", "cylinder", "tree"]

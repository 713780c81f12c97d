"""Neurons that spike at random."""

from __future__ import annotations

from typing import Any

from neurosim.errors import caller
from neurosim.ir.expr import names
from neurosim.lang.components import Cell
from neurosim.lang.parser import parse_expression
from neurosim.params import Param
from neurosim.units import Hz

_DOC = "in every step a spike with probability rate*dt, independently: a Poisson train with at most one spike a step"

_SOURCE = Cell(threshold="uniform() < rate*dt", rate=Param(10 * Hz, Hz, "rate", lo=0), name="PoissonSource", doc=_DOC)


def PoissonSource(rate: Any = 10 * Hz, **params: Any) -> Cell:
    """Return a source of Poisson spikes: in every step a spike with probability ``rate*dt`` (1 where that exceeds 1).

    Its neurons connect, and are recorded, like any others; where only the sum of many trains matters,
    :func:`PoissonInput` is cheaper.

    Parameters
    ----------
    rate : Quantity, TimedArray or str
        One rate, an array with one per neuron, a distribution, an array over time, or an expression: of time ``t``,
        such as ``"20*Hz*(1 + sin(2*pi*5*Hz*t))"``, or of ``index``, ``N`` and the position ``x``, ``y``, ``z``.
    **params
        Parameters that an expression of time names.
    """
    if isinstance(rate, str) and (params or "t" in names(parse_expression(rate, ("t", *params), caller()))):
        return Cell(f"rate = {rate} : Hz", threshold="uniform() < rate*dt", name="PoissonSource", doc=_DOC, **params)
    return _SOURCE(rate=rate, **params)

"""Couplings without spikes in the pass ``discretise``: what an edge adds becomes a program of the phase *couple*."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurosim.errors import ParameterError
from neurosim.ir.expr import Expr
from neurosim.ir.graph import LinkNode
from neurosim.ir.lower import emit
from neurosim.ir.ops import COUPLE
from neurosim.ir.program import Builder
from neurosim.passes.fold import fold

SUM = "sum"
"""What the program stores: the value that its edge adds."""


def coupling(link: LinkNode) -> LinkNode:
    """Write the program of a link, and fold what is constant."""
    assert link.value is not None
    b = Builder()
    b.phase = COUPLE

    def leaf(x: Expr) -> int:
        side, _, variable = x.attr.partition(":")
        if variable:
            return b.emit(side, attr=variable)
        return b.emit("param", attr=x.attr) if x.attr in link.params else b.emit("load", attr=x.attr)

    b.emit("store", emit(b, link.value, leaf), attr=SUM)
    program, params = fold(b.build(), link.params)
    for key, value in params.items():
        if not np.all(np.isfinite(value)):
            raise ParameterError(
                f"a constant of the link '{link.name}' ({key}) is not finite: a parameter that something is divided by "
                "is 0, or a value is beyond the range of numbers",
                link.where,
            )
    return replace(link, params=params, value=None, program=program)


__all__ = ["SUM", "coupling"]

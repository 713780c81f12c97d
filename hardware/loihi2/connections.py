"""Connections with stored weights, exponents and delays, as Lava's ``Dense`` and ``DelayDense`` have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import ConnectivityError, ParameterError, caller
from neurosim.hardware.loihi2.arithmetic import Sign, stored
from neurosim.ir.rules import EdgeList
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity

MAX_DELAY = 63
"""Steps: the largest delay of a connection (Lava's ``DelayDense``)."""


def connect(
    network: Network,
    pre: Population,
    post: Population,
    weights: Any,
    *,
    receptor: str | None = None,
    bits: int = 8,
    sign: Sign | None = None,
    delays: Any = 0,
    name: str | None = None,
) -> Any:
    """Add a connection with weights in whole numbers, as they are stored on the chip.

    Parameters
    ----------
    network : Network
        Where both populations are.
    pre, post : Population
        Source and target; the target's cell is :func:`~neurosim.hardware.loihi2.LIF`.
    weights : array of [post, pre], dense or sparse
        Whole numbers, in Lava's orientation; brought to ``bits`` and ``sign`` by
        :func:`~neurosim.hardware.loihi2.arithmetic.stored`. 0 is no synapse.
    receptor : str, optional
        Its ``scale`` is two to the weight exponent.
    bits, sign
        Bits of a magnitude, and sign mode; by default 8, and what the weights are.
    delays : int or array of [post, pre]
        0 to 63 steps, besides the step that every connection takes.
    """
    where = caller()
    given = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights)
    if given.shape != (len(post), len(pre)):
        raise ConnectivityError(
            f"weights from '{pre.name}' to '{post.name}' must be [{len(post)}, {len(pre)}], [post, pre] as in Lava, "
            f"got {list(given.shape)}",
            where,
        )
    table = stored(given, bits, sign)
    late = np.asarray(delays)
    whole = late.dtype.kind in "iu" and late.shape in ((), given.shape)
    if not whole or (late < 0).any() or (late > MAX_DELAY).any():
        raise ParameterError(
            f"delays must be whole steps from 0 to {MAX_DELAY}, one or one per weight, got {delays!r}", where
        )
    to, source = np.nonzero(table)
    steps = np.broadcast_to(late, given.shape)[to, source] + 1
    return network.connect(
        pre, post, receptor=receptor, rule=EdgeList(source, to), weight=table[to, source].astype(np.float64),
        delay=Quantity(steps * network.dt, TIME), name=name,
    )  # fmt: skip

"""Independent Poisson spike trains onto a receptor."""

from __future__ import annotations

from typing import Any

from neurosim.lang.components import Drive


def PoissonInput(rate: Any, weight: Any, receptor: str | None = None, n: Any = 1) -> Drive:
    """Return Poisson input: every neuron gets spike trains of its own, added up (they cannot be recorded).

    An input spike of step k acts in step k: there is no delay.

    Parameters
    ----------
    rate : Quantity, array, TimedArray or str
        Rate of one train: constant, per neuron, or varying in time (an expression of ``t``).
    weight : Quantity
        Weight of one spike.
    receptor : str, optional
        Receptor of the target; may be left out where it has only one.
    n : int or array
        Number of trains per neuron; their sum is a Poisson train of rate ``n*rate``.
    """
    return Drive(rate=rate, weight=weight, receptor=receptor, n=n)

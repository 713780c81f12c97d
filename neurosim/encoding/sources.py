"""The same spikes for a population of any backend."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosim.encoding.values import as_array, whole
from neurosim.errors import ParameterError, caller
from neurosim.units import TIME, Quantity, scalar


class SourceSpikes(NamedTuple):
    """What ``SpikeSource(*…)`` takes.

    Attributes
    ----------
    times : Quantity
        Of each spike, in order: a spike of step n is at n dt.
    ids : ndarray
        Its neuron.
    """

    times: Quantity
    ids: np.ndarray


def source(spikes: Any, dt: Quantity, *, silence: int = 0) -> SourceSpikes:
    """Return times and neurons of spikes, as ``SpikeSource(*source(spikes, dt))`` takes them.

    Parameters
    ----------
    spikes : array_like or tensor
        0 and 1: [time, neurons], or a batch [batch, time, neurons] whose samples come one after the other.
    dt : Quantity
        The network's: the length of a step.
    silence : int
        Steps without spikes after each sample, in which the network comes to rest: sample k begins in step
        ``k * (time + silence)``.

    Raises
    ------
    ParameterError
        If a value is neither 0 nor 1: a neuron spikes once in a step, or not.
    """
    where = caller()
    step = scalar(dt, TIME, "dt", where)
    if step <= 0:
        raise ParameterError(f"dt must be above 0, got {step * 1e3:g} ms", where)
    silence = whole(silence, "silence", 0, where)
    found = as_array(spikes)
    if found.dtype.kind not in "biuf" or found.ndim not in (2, 3):
        raise ParameterError(f"spikes are [time, neurons] or [batch, time, neurons], got {found.dtype} of shape "
                             f"{list(found.shape)}{': flatten the rest' * (found.ndim > 3)}", where)  # fmt: skip
    found = found if found.ndim == 3 else found[None]
    wrong = (found != 0) & (found != 1)
    if wrong.any():
        k, n, i = (int(v) for v in np.argwhere(wrong)[0])
        raise ParameterError(f"a neuron spikes once in a step, or not: the value of sample {k}, step {n}, neuron {i} "
                             f"is {found[k, n, i]:g}", where)  # fmt: skip
    sample, at, ids = np.nonzero(found)
    return SourceSpikes(Quantity((sample * (found.shape[1] + silence) + at) * step, TIME), ids)


__all__ = ["SourceSpikes", "source"]

"""Population coding: overlapping receptive fields share out the range of a value among neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.encoding.latencies import latency
from neurosim.encoding.values import flattened, real, room, values, whole
from neurosim.errors import ParameterError, caller


def receptive_fields(x: Any, *, neurons: int = 8, low: Any = 0.0, high: Any = 1.0, beta: float = 1.5) -> Any:
    """Return how strongly the neurons of each feature respond: Gaussians over its range, 1 at their centres.

    Of m neurons the i-th, from 1 on, has its centre at ``low + (2i - 3)/2 (high - low)/(m - 2)`` and the width
    (standard deviation) ``(high - low)/(beta (m - 2))`` [1]_: the first and the last centre lie half a distance outside
    the range.

    Parameters
    ----------
    x : array_like or tensor
        [features] or [batch, features, …].
    neurons : int
        m, from 3 on: for each feature.
    low, high : float or array_like
        The range, of all features or of each.
    beta : float
        Above 0: the larger, the narrower the fields.

    Returns
    -------
    array or tensor
        In 0 … 1: [batch, features * m], or [features * m] of one sample; the neurons of a feature are neighbours.
        It can be given to :func:`neurosim.encoding.rate` or :func:`neurosim.encoding.latency`.

    References
    ----------
    .. [1] S. M. Bohte, H. La Poutré, J. N. Kok, "Unsupervised clustering with spiking neurons by sparse temporal
       coding and multilayer RBF networks", IEEE Trans. Neural Networks 13, 426 (2002).
    """
    where = caller()
    found = values(x, "x", False, where)
    m = whole(neurons, "neurons", 3, where)
    beta = real(beta, "beta", 0, np.inf, where, strict=True)
    flat = flattened(found.numbers, 1).astype(np.float64)
    bottom, top = (_bound(v, name, flat.shape[1], where) for v, name in ((low, "low"), (high, "high")))
    if not np.all(bottom < top):
        k = int(np.argmin(bottom < top))
        raise ParameterError(f"low must be below high, and of feature {k} they are {bottom[k]:g} and {top[k]:g}", where)
    room((len(flat), flat.shape[1], m), where)
    apart = (top - bottom) / (m - 2)
    centres = bottom[:, None] + (np.arange(m) - 0.5) * apart[:, None]
    far = (flat[:, :, None] - centres) * beta / apart[:, None]
    responses = np.exp(-0.5 * np.minimum(np.square(far), 1400.0))  # further out it would leave the normal doubles
    return found.back(flattened(responses, 1))


def population(
    x: Any,
    steps: int,
    *,
    neurons: int = 8,
    low: Any = 0.0,
    high: Any = 1.0,
    beta: float = 1.5,
    cutoff: float = 0.1,
    first: int = 0,
) -> Any:
    """Return spikes of receptive fields: the stronger a response, the earlier its spike.

    A response r of :func:`receptive_fields` is a spike in step ``first + (1 - r)(steps - 1 - first)``, rounded; none if
    r is below the cutoff. The paper has 11 steps, 0 to 10, and no spikes after 9: the defaults here. A value between
    two centres makes some of the neurons spike, and when they do says where it lies.

    Parameters
    ----------
    x, neurons, low, high, beta
        As in :func:`receptive_fields`.
    steps : int
        How many.
    cutoff : float
        0 to 1: weaker responses are no spikes.
    first : int
        The step of a response of 1.

    Returns
    -------
    array or tensor
        0 and 1: [batch, time, features * m], or [time, features * m] of one sample.
    """
    where = caller()
    cutoff = real(cutoff, "cutoff", 0, 1, where)
    responses = receptive_fields(x, neurons=neurons, low=low, high=high, beta=beta)
    return latency(responses, steps, law="linear", threshold=cutoff, clip=True, normalize=True, first=first)


def _bound(value: Any, name: str, features: int, where: str | None) -> np.ndarray:
    given = np.asarray(value)
    if given.dtype.kind not in "iuf" or given.shape not in ((), (features,)) or not np.isfinite(given).all():
        raise ParameterError(f"{name} must be one finite number, or one for each of the {features} features, "
                             f"got {value!r}", where)  # fmt: skip
    return np.broadcast_to(given.astype(np.float64), (features,))


__all__ = ["population", "receptive_fields"]

"""From a trained ReLU network to a spiking one: by the time of one spike, exactly, or by rates, in the limit.

*Time to first spike.* A value x >= 0 of a layer is a spike at t_max - x, and 0 is no spike. While the spikes of the
layer before arrive, the potential rises with a slope that is the sum of their weights; at t_min, when the last could
have come, it is W x. From then on its slope is 1, so that it reaches the threshold t_max - t_min - b at t_max - (W x +
b), the spike time of the layer's own value, if that is above 0. (A. Stanojevic et al., Nat. Commun. 15 (2024), 6837,
the B1 model.)

*Rates.* A neuron that loses 1 when it spikes does so as often as its input goes into 1, W r + b times a step if its
inputs have the rates r, and never if that is below 0. Activations are divided by the largest (or nearly) of their
layer, since a neuron spikes once a step at most. (P. U. Diehl et al., IJCNN 2015; B. Rueckauer et al., Front. Neurosci.
11 (2017), 682.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.learning.affine import Affine, affine_maps
from neurosim.learning.converted import Layer, RateConversion, TimedConversion, outputs_of, samples_of
from neurosim.units import TIME, Quantity, ms, scalar

_SMALLEST = 1e-150
"""Activations below it count as none when a layer is scaled: their inverse would overflow."""


def convert(
    model: Any,
    data: Any,
    *,
    method: str = "ttfs",
    window: Quantity = 16 * ms,
    headroom: float = 0.5,
    bound: str = "data",
    percentile: float | None = None,
    reset: str = "subtract",
    input_max: float | None = None,
) -> Any:
    """Turn a trained ReLU network into a spiking one.

    Parameters
    ----------
    model : torch.nn.Sequential
        Of Linear, Conv, AvgPool, BatchNorm, Flatten, Dropout and ReLU layers; what ``model.eval()`` computes is
        converted. It is not changed, and weights that change later do not reach the converted network.
    data : array or tensor
        [samples, *shape of one]: samples such as those that it was trained on, from which activations are measured. All
        values are at least 0.
    method : {"ttfs", "rate"}
        By the time of one spike, or by rates.
    window : Quantity
        Of ``ttfs``: the time in which a layer spikes.
    headroom : float
        Of ``ttfs``: by what part activations may exceed the largest of the data; what is larger yet saturates.
    bound : {"data", "interval"}
        Of ``ttfs``: where largest activations come from: the data, or a bound by interval arithmetic that no input from
        0 to ``input_max`` can exceed. It is the looser the deeper the network, and leaves the values fewer steps.
    percentile : float, optional
        Of the activations of a layer that are above 0, the one that is taken for the largest; 100 by default with
        ``ttfs``, 99.9 with ``rate``. Activations above it are cut, and all others get more steps.
    reset : {"subtract", "zero"}
        Of ``rate``: what a spike does to the potential.
    input_max : float, optional
        The largest input there will be; by default that of the data.

    Returns
    -------
    TimedConversion or RateConversion

    Raises
    ------
    ParameterError
        If a layer has no counterpart in spikes, data are negative, not finite, or of a shape that the model does not
        take.
    """
    where = caller()
    if percentile is None:
        percentile = 99.9 if isinstance(method, str) and method == "rate" else 100.0
    _check(method, bound, reset, headroom, percentile, where)
    x, shape, largest = _inputs(data, input_max, where)
    maps = affine_maps(model, shape, where)
    width = scalar(window, TIME, "window", where)
    if not width > 0:
        raise ParameterError(f"window must be positive, got {window}", where)
    if method == "rate":
        layers = _layers(maps, _activations(maps, x, percentile), largest)
        reach = max(float(np.abs(outputs_of(maps, x[k : k + 1000])).max()) for k in range(0, len(x), 1000))
        return RateConversion(layers, largest, shape, tuple(maps), reset, reach)
    if bound == "interval":
        scales = _bounds(maps, largest)
    else:
        scales = [s * (1 + headroom) for s in _activations(maps, x, percentile)]
    return TimedConversion(_layers(maps, scales, largest), largest, shape, tuple(maps), width)


def _inputs(data: Any, input_max: float | None, where: str | None) -> tuple[np.ndarray, tuple[int, ...], float]:
    """Return data [samples, inputs], the shape of a sample, and the largest input."""
    try:
        given = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    except (TypeError, ValueError) as e:  # a list whose rows differ in length
        raise ParameterError(f"data are an array of numbers: {str(e).partition('. ')[0]}", where) from None
    if given.ndim < 2:
        raise ParameterError(
            f"data are [samples, *shape of one], at least two axes; got shape {list(given.shape)}", where
        )
    shape = given.shape[1:]
    x = samples_of(given, shape, "data", where)
    if input_max is not None and not _number(input_max):
        raise ParameterError(f"input_max is a number, got {input_max!r}", where)
    largest = float(x.max()) if input_max is None else float(input_max)
    if not (np.isfinite(largest) and largest > 0):
        raise ParameterError("inputs are all 0: give input_max=, the largest that there will be, above 0", where)
    if largest < x.max():
        raise ParameterError(f"input_max is {largest:g}, but data hold {x.max():g}", where)
    return x, shape, largest


def _check(method: str, bound: str, reset: str, headroom: float, percentile: float, where: str | None) -> None:
    options = {"method": (method, ("ttfs", "rate")), "bound": (bound, ("data", "interval")),
               "reset": (reset, ("subtract", "zero"))}  # fmt: skip
    for key, (given, legal) in options.items():
        if not isinstance(given, str) or given not in legal:
            raise ParameterError(f"{key} is {' or '.join(map(repr, legal))}, got {given!r}", where)
    if not (_number(headroom) and np.isfinite(headroom) and headroom >= 0):
        raise ParameterError(f"headroom is a number from 0 on, got {headroom!r}", where)
    if not (_number(percentile) and 0 < percentile <= 100):
        raise ParameterError(f"percentile lies above 0 and up to 100, got {percentile!r}", where)


def _number(value: Any) -> bool:
    """Tell whether a value is one real number."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _layers(maps: list[Affine], scales: list[float], largest: float) -> tuple[Layer, ...]:
    """Return the layers, their weights such that values of the one before and of their own lie between 0 and 1."""
    out, before = [], largest
    for k, (one, scale) in enumerate(zip(maps, scales, strict=True)):
        last = k == len(maps) - 1
        unit = 1.0 if last or scale <= _SMALLEST else scale
        out.append(Layer("output" if last else f"hidden{k + 1}", len(one.bias), one.weight * (before / unit),
                         one.bias / unit, unit, not last))  # fmt: skip
        before = unit
    return tuple(out)


def _activations(maps: list[Affine], x: np.ndarray, percentile: float) -> list[float]:
    """Return, for each map, a percentile of its outputs above 0."""
    found: list[list[np.ndarray]] = [[] for _ in maps]
    for first in range(0, len(x), 1000):
        a = x[first : first + 1000]
        for k, one in enumerate(maps):
            a = one(a)
            above = a[a > 0]
            found[k].append(above if percentile < 100 else above.max(keepdims=True, initial=0.0))
    joined = [np.concatenate(parts) for parts in found]
    return [float(np.percentile(some, percentile)) if len(some) else 0.0 for some in joined]


def _bounds(maps: list[Affine], largest: float) -> list[float]:
    """Return what no output of each map exceeds, for inputs from 0 to the largest."""
    high, out = np.full(maps[0].weight.shape[0], largest), []
    for one in maps:
        positive = one.weight.maximum(0) if hasattr(one.weight, "nnz") else np.maximum(one.weight, 0)
        high = np.maximum(high @ positive + one.bias, 0.0)
        out.append(float(high.max()) * (1 + 1e-12))
    return out

"""What is given to an encoder: an array, lists or a tensor; checked, and given back as what it was."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import ParameterError, ResourceError
from neurosim.units import Quantity

LARGEST = 1 << 31
"""Values of one array of spikes; more is refused before anything is allocated."""


class Values(NamedTuple):
    """Numbers to be encoded.

    Attributes
    ----------
    numbers : ndarray
        Finite, of a floating type: [batch, …].
    back : callable
        Makes what was given of an array [batch, time, neurons]: a tensor, or without the batch.
    """

    numbers: np.ndarray
    back: Callable[[np.ndarray], Any]


def tensor_type() -> Any:
    """Return ``torch.Tensor`` where torch is loaded, else None: then nothing that is given can be a tensor."""
    return getattr(sys.modules.get("torch"), "Tensor", None)


def as_array(x: Any) -> np.ndarray:
    """Return an array or a tensor, on any device and with or without a gradient, as an array."""
    tensor = tensor_type()
    if tensor is not None and isinstance(x, tensor):
        return x.detach().cpu().numpy()
    return np.asarray(x)


def values(x: Any, name: str, timed: bool, where: str | None) -> Values:
    """Check what is to be encoded, and put a batch around a single sample.

    Parameters
    ----------
    timed : bool
        Whether there is an axis of time: then one sample has two axes or more, else one.
    """
    if isinstance(x, Quantity):
        raise ParameterError(f"{name} must be plain numbers, got {x.dim}: divide by a unit, as in x / mV", where)
    try:
        found = as_array(x)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is no array of numbers: {str(error).splitlines()[0]}", where) from None
    if found.dtype.kind not in "biuf":
        raise ParameterError(f"{name} must be numbers, got an array of {found.dtype}", where)
    single = found.ndim == (2 if timed else 1)
    if not single and found.ndim < (3 if timed else 2):
        wanted = "[time, features] or [batch, time, features]" if timed else "[features] or [batch, features]"
        raise ParameterError(f"{name} must be {wanted}, got shape {list(found.shape)}", where)
    numbers = found if found.dtype.kind == "f" else found.astype(np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        index = [int(k) for k in np.argwhere(~finite)[0]]
        raise ParameterError(f"{name} must be finite, got {numbers[tuple(index)]} at index {index}", where)
    out = numbers.dtype if numbers.dtype.itemsize >= 4 else np.dtype(np.float32)

    def back(spikes: np.ndarray) -> Any:
        spikes = spikes.astype(out, copy=False)
        spikes = spikes[0] if single else spikes
        tensor = tensor_type()
        if tensor is not None and isinstance(x, tensor):
            return sys.modules["torch"].from_numpy(np.ascontiguousarray(spikes)).to(x.device)
        return spikes

    return Values(numbers[None] if single else numbers, back)


def flattened(numbers: np.ndarray, kept: int) -> np.ndarray:
    """Return an array with the axes behind the first few made one, also where there are no values."""
    return numbers.reshape(*numbers.shape[:kept], math.prod(numbers.shape[kept:]))


def whole(value: Any, name: str, least: int, where: str | None) -> int:
    """Return a whole number that is not below the least one."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise ParameterError(f"{name} must be a whole number from {least} on, got {value!r}", where)
    return int(value)


def real(value: Any, name: str, low: float, high: float, where: str | None, strict: bool = False) -> float:
    """Return a finite number within bounds; `strict` leaves the lower one out."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high or (strict and value == low):
        bounds = ("", f" above {low:g}" if strict else f" from {low:g}")[low > -math.inf]
        bounds += ("", f" to {high:g}")[high < math.inf] or (" on" if bounds and not strict else "")
        raise ParameterError(f"{name} must be a finite number{bounds}, got {value!r}", where)
    return float(value)


def room(shape: tuple[int, ...], where: str | None) -> None:
    """Refuse spikes that nobody could hold.

    Raises
    ------
    ResourceError
        More than 2^31 values.
    """
    if math.prod(shape) > LARGEST:
        raise ResourceError(f"spikes of shape {list(shape)} are {math.prod(shape):,} values, more than {LARGEST:,}: "
                            "encode fewer samples, steps or neurons at a time", where)  # fmt: skip


__all__ = ["LARGEST", "Values", "as_array", "flattened", "real", "room", "tensor_type", "values", "whole"]

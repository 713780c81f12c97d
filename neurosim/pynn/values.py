"""What a parameter, weight or initial value can be in a PyNN script, and the numbers it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, caller
from neurosim.ir.interp import call
from neurosim.pynn.celltypes import Sequence
from neurosim.pynn.random import distribution_of

TOLERANCE = 1e-6
"""How far, in steps, a time may lie from a whole number of steps and still be taken as it."""


class RoundingWarning(UserWarning):
    """A time was moved to the nearest step."""


def per_neuron(value: Any, n: int, what: str, where: str | None) -> float | np.ndarray:
    """Return a number, or one per neuron, for a number, an array, a distribution or a function of the index.

    As in PyNN, a function gets the indices of all neurons at once; one that cannot take them gets each by itself.
    """
    drawn = distribution_of(value)
    if drawn is not None:
        value = drawn.next(n)
    elif callable(value):
        together = _together(value, n)
        fits = together is not None and np.shape(together) in ((), (n,))
        value = together if fits else [value(i) for i in range(n)]
    out = _numbers(value, what, where)
    if out.ndim == 0:
        return float(out)
    if out.shape != (n,):
        raise ParameterError(f"{what} needs one value or {n}, one for each neuron; got shape {list(out.shape)}", where)
    return out


def times_per_neuron(value: Any, n: int, what: str, where: str | None) -> list[np.ndarray]:
    """Return the spike times (ms) of every neuron: one list for all, or one :class:`Sequence` (or list) for each."""
    if callable(value):
        together = _together(value, n)
        every = isinstance(together, (list, tuple, np.ndarray)) and all(hasattr(x, "value") for x in together)
        value = together if every and len(together) == n else [value(i) for i in range(n)]
    if isinstance(value, Sequence) or hasattr(value, "value"):
        rows = [value] * n
    elif any(isinstance(x, (Sequence, list, tuple)) or hasattr(x, "value") or np.ndim(x) for x in value):
        rows = list(value)
        if len(rows) != n:
            raise ParameterError(f"{what} has lists for {len(rows)} neurons, and there are {n}", where)
    else:
        rows = [value] * n
    out = [np.sort(np.atleast_1d(_numbers(getattr(row, "value", row), what, where)).ravel()) for row in rows]
    for times in out:
        if len(times) and times[0] < 0:
            raise ParameterError(f"{what} must not be negative, got {times[0]:g} ms", where)
    return out


def _together(function: Callable[[Any], Any], n: int) -> Any:
    """Return a function of the indices of all neurons, None where it wants one index.

    An array raises one of these where a number is wanted (``if i < 3``, ``lists[i]``, ``math.exp(i)``). If it is
    another fault of the function's, the call with one index, which follows, raises it again.
    """
    try:
        return function(np.arange(n))
    except (TypeError, ValueError, IndexError, KeyError):
        return None


def _numbers(value: Any, what: str, where: str | None) -> np.ndarray:
    try:
        out = np.asarray(value)
        if out.dtype.kind not in "biuf" and out.size:
            raise TypeError
        out = out.astype(float)
    except (TypeError, ValueError):
        raise ParameterError(
            f"{what} must be a number, an array, a RandomDistribution or a function, got {value!r}", where
        ) from None
    if not np.isfinite(out).all():
        raise ParameterError(f"{what} must be finite, got {out[~np.isfinite(out)].flat[0]}", where)
    return out


def whole(ms: Any, timestep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times in steps, to the nearest, ties to even; and which of them had to be moved."""
    ratio = np.asarray(ms, dtype=float) / timestep
    steps = np.rint(ratio)
    return steps.astype(np.int64), np.abs(ratio - steps) > np.maximum(TOLERANCE, 4e-16 * np.abs(ratio))


def _function(name: str) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        return call(name, np.asarray(x, dtype=float))

    return apply


_NAMES: dict[str, Any] = {name: _function(name) for name in ("exp", "log", "sin", "cos", "tanh")}
_NAMES |= {name: getattr(np, name) for name in (
    "abs", "fabs", "sqrt", "minimum", "maximum", "floor", "ceil", "where", "arccos", "arcsin", "arctan", "arctan2",
    "cosh", "sinh", "tan", "log10", "power", "hypot", "fmod", "logical_and", "logical_or", "logical_not", "pi", "e",
)}  # fmt: skip


def of_distance(text: str | Callable[[Any], Any], where: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of distance that a text in ``d`` (Python, with NumPy's functions) or a callable means."""
    where = where or caller()
    if isinstance(text, str):
        try:
            code = compile(text.strip(), "<distance expression>", "eval")
        except SyntaxError as e:
            raise EquationError(f"the distance expression '{text}' does not parse: {e.msg}", where) from None
        for name in code.co_names:
            if name != "d" and name not in _NAMES:
                raise EquationError(f"the distance expression '{text}' reads '{name}'; it may use d and functions such "
                                    "as exp, sqrt, abs", where)  # fmt: skip

    def function(d: np.ndarray) -> np.ndarray:
        try:
            with np.errstate(over="ignore", under="ignore"):
                out = eval(code, {"__builtins__": {}, **_NAMES, "d": d}) if isinstance(text, str) else text(d)
        except Exception as e:
            raise EquationError(f"the distance expression {text!r} failed: {type(e).__name__}: {e}", where) from e
        return np.broadcast_to(np.asarray(out, dtype=float), np.shape(d))

    return function

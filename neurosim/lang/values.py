"""Values of parameters other than plain ones: drawn per neuron or edge, or changing with time; and their check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import DimensionError, ParameterError, caller
from neurosim.ir.distributions import Draw, PerEdge
from neurosim.params import Param
from neurosim.units import DIMENSIONLESS, TIME, Dimension, Quantity, quantity, scalar


class Random:
    """A value drawn per neuron or per edge: a distribution with a dimension. Made by :func:`normal` and its kin."""

    kind = "a distribution"

    def __init__(self, draw: Draw, dim: Dimension) -> None:
        self.draw, self.dim = draw, dim

    def __repr__(self) -> str:
        return self.draw.describe()


class EdgeQuantity:
    """Values of the edges of one rule, with a dimension: what is read from its file, say.

    Attributes
    ----------
    of : Rule
        Whose edges they belong to.
    draw : PerEdge
        Their values.
    dim : Dimension
        What they are.
    kind : str
        What they are called in an error.
    """

    def __init__(self, of: Any, draw: PerEdge, dim: Dimension, kind: str) -> None:
        self.of, self.draw, self.dim, self.kind = of, draw, dim, kind


def _pair(a: Any, b: Any, what: str, *more: Any) -> tuple[list[Any], Dimension]:
    where = caller()
    dims = {x.dim if isinstance(x, Quantity) else DIMENSIONLESS for x in (a, b, *more) if x is not None}
    if len(dims) != 1:
        raise DimensionError(f"{what}: all arguments need the same dimension, got {', '.join(map(str, dims))}", where)
    dim = dims.pop()
    return [None if x is None else scalar(x, dim, what, where) for x in (a, b, *more)], dim


def _drawn(dim: Dimension, *values: Any) -> Random:
    """Make a distribution; what is wrong with it is said with the user's line, and that numbers are in SI units."""
    try:
        return Random(Draw(*values), dim)
    except ParameterError as e:
        unit = "" if dim == DIMENSIONLESS else f" (in {dim.symbol})"
        raise ParameterError(f"{e.message}{unit}", caller()) from None


def uniform(low: Any, high: Any) -> Random:
    """Draw uniformly from [low, high)."""
    (lo, hi), dim = _pair(low, high, "uniform")
    return _drawn(dim, "uniform", lo, hi)


def normal(mean: Any, sd: Any, lo: Any = None, hi: Any = None, how: str = "redraw") -> Random:
    """Draw from a normal distribution.

    Parameters
    ----------
    mean, sd : Quantity or float
        Mean and standard deviation.
    lo, hi : Quantity or float, optional
        Bounds.
    how : {"redraw", "clip"}
        What becomes of values outside: drawn again (the truncated distribution), or set to the bound.
    """
    (m, s, low, high), dim = _pair(mean, sd, "normal", lo, hi)
    return _drawn(dim, "normal", m, s, low, high, how)


def lognormal(median: Any, sigma: float, lo: Any = None, hi: Any = None, how: str = "redraw") -> Random:
    """Draw ``median * exp(sigma * z)`` with ``z`` standard normal; bounds as in :func:`normal`."""
    (m, low, high), dim = _pair(median, lo, "lognormal", hi)
    if m is None or m <= 0:
        raise ParameterError("lognormal: the median must be positive", caller())
    return _drawn(dim, "lognormal", float(np.log(m)), float(sigma), low, high, how)


def exponential(mean: Any, lo: Any = None, hi: Any = None, how: str = "redraw") -> Random:
    """Draw from an exponential distribution of the given mean; bounds as in :func:`normal`."""
    (m, low, high), dim = _pair(mean, lo, "exponential", hi)
    return _drawn(dim, "exponential", m, 0.0, low, high, how)


class TimedArray:
    """A value that changes with time: row ``k`` holds from ``k * dt`` to ``(k + 1) * dt``.

    Parameters
    ----------
    values : Quantity or array
        [T], the same for all neurons, or [T, N].
    dt : Quantity
        Duration of a row, a whole number of the network's steps.
    repeat : bool
        Start again after the last row; otherwise the last row holds on.
    """

    def __init__(self, values: Any, dt: Quantity, repeat: bool = False) -> None:
        self.where = caller()
        self.dim = values.dim if isinstance(values, Quantity) else DIMENSIONLESS
        self.values = np.array(quantity(values, self.dim, "the values of a TimedArray", self.where), dtype=float)
        if self.values.ndim not in (1, 2) or self.values.shape[0] == 0:
            raise ParameterError(f"a TimedArray is [T] or [T, N], got shape {self.values.shape}", self.where)
        self.dt = scalar(dt, TIME, "the dt of a TimedArray", self.where)
        self.repeat = bool(repeat)

    def __repr__(self) -> str:
        return f"TimedArray{self.values.shape}"


def check_value(value: Any, param: Param, what: str, where: str | None) -> Any:
    """Check a parameter value against its declaration; arrays, distributions and expressions pass through."""
    if isinstance(value, str):
        return value
    if isinstance(value, (Random, TimedArray)):
        if param.dim is not None and value.dim != param.dim:
            raise DimensionError(f"{what} must be {_article(param.dim)}, got {value!r}, which is {value.dim}", where)
        return value
    if param.dim is not None:
        si = quantity(value, param.dim, what, where)
        param.check(si, what, where)
        return Quantity(si, param.dim) if param.dim != DIMENSIONLESS else si
    if isinstance(value, Quantity):
        param.check(quantity(value, value.dim, what, where), what, where)
        return value
    si = quantity(value, DIMENSIONLESS, what, where)
    param.check(si, what, where)
    return si


def by_name(given: Any, what: str, example: str, where: str | None) -> dict[str, Any]:
    """Return a mapping as a dict; refuse what is none, with an example."""
    if given is not None and not isinstance(given, Mapping):
        raise ParameterError(f"{what} are given by name, as in {example}; got {given!r}", where)
    return dict(given or {})


def _article(dim: Dimension) -> str:
    return f"a {dim}" if dim != DIMENSIONLESS else "dimensionless"


def declared(value: Any) -> Param:
    """A parameter declared by a value alone: the value is default and dimension."""
    dim = value.dim if isinstance(value, (Quantity, Random, TimedArray)) else DIMENSIONLESS
    return Param(Quantity(0.0, dim), Quantity(1.0, dim)) if dim != DIMENSIONLESS else Param(0.0, None)

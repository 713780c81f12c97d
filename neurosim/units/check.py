"""The gate to the compiler: a value of the user's is checked against its dimension once, and goes on in SI."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import DimensionError, ParameterError
from neurosim.units.algebra import Quantity, plain
from neurosim.units.dimension import DIMENSIONLESS, NAMED, Dimension, usual_unit


def quantity(
    value: Any, dim: Dimension, what: str, where: str | None = None, *, finite: bool = True
) -> float | np.ndarray:
    """Check a user's value against the dimension it must have, and return it in SI.

    Parameters
    ----------
    value : Quantity, number, array_like, or list of Quantity
        What the user wrote.
    dim : Dimension
        What it must be.
    what : str
        Its name in messages, such as ``"tau_m of population 'exc'"``.
    where : str, optional
        ``file:line`` of the user's code.
    finite : bool
        Whether infinities and NaN are refused.

    Returns
    -------
    float or ndarray
        SI value; an array is a new float64 array of the caller's own.

    Raises
    ------
    DimensionError
        If the dimension differs, also for a plain number (even 0) where a unit is due.
    ParameterError
        If `value` is not numeric, or not finite although it must be.
    """
    if isinstance(value, (list, tuple)) and any(isinstance(item, Quantity) for item in value):
        value = Quantity([quantity(item, dim, what, where, finite=finite) for item in value], dim)
    must = f"{what} must {_be(dim)}, got"
    if isinstance(value, Quantity):
        if value.dim != dim:
            raise DimensionError(f"{must} {value.dim}: {value}", where)
        number = value.value if isinstance(value.value, float) else np.array(value.value)
    else:
        number = plain(value)
        if number is None or isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
            text = isinstance(value, str) and dim != DIMENSIONLESS
            more = f": write it without quotes, as in 1*{usual_unit(dim) or 'unit'}" if text else ""
            raise ParameterError(f"{must} {type(value).__name__} {value!r}{more}", where)
        if dim != DIMENSIONLESS:
            raise DimensionError(f"{must} {_fix(number, dim)}", where)
    if finite and not np.all(np.isfinite(number)):
        at = "" if isinstance(number, float) else f" at index {index_text(~np.isfinite(number))}"
        first = np.atleast_1d(number)[~np.isfinite(np.atleast_1d(number))][0]
        raise ParameterError(f"{what} must be finite, got {first}{at}", where)
    return number


def scalar(value: Any, dim: Dimension, what: str, where: str | None = None) -> float:
    """Check a user's value as :func:`quantity` does, and that it is a single one."""
    number = quantity(value, dim, what, where)
    if not isinstance(number, float):
        raise ParameterError(f"{what} must be one value, got shape {list(np.shape(number))}", where)
    return number


def index_text(mask: Any) -> str:
    """Return the index of the first true entry of a mask as a user would write it: ``3`` or ``(0, 3)``."""
    index = tuple(int(k) for k in np.argwhere(mask)[0])
    return str(index[0] if len(index) == 1 else index)


def _be(dim: Dimension) -> str:
    if dim == DIMENSIONLESS:
        return "be dimensionless"
    if dim not in NAMED:
        return f"have dimension {dim}"
    return f"be {'an' if str(dim)[0] in 'aeiou' else 'a'} {dim}"


def _fix(number: float | np.ndarray, dim: Dimension) -> str:
    """Say what to write instead of a plain number."""
    unit = usual_unit(dim)
    if isinstance(number, np.ndarray):
        return f"plain numbers: multiply them by {unit or f'a unit of {dim}'}"
    text = f"{number:.12g}"
    return f"the plain number {text}: " + (f"write {text}*{unit}" if unit else f"multiply it by a unit of {dim}")

"""Quantities: numbers with a dimension, their arithmetic, and the register of units.

How a quantity is written and read is in :mod:`neurosim.units.text`. That module needs `Quantity`, so the methods here
that show or read text import it late.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from neurosim.errors import DimensionError, ParameterError
from neurosim.units.dimension import DIMENSIONLESS, Dimension, power_text, rational, usual_unit


def plain(x: object) -> float | np.ndarray | None:
    """Return a plain number, or an array or nested list of them, as float or float64; None for anything else."""
    if isinstance(x, (float, int)):
        return float(x)
    if not isinstance(x, (np.ndarray, np.generic, list, tuple)):
        return None
    try:
        array = np.asarray(x)
    except ValueError:  # a ragged list
        return None
    if array.dtype.kind not in "biuf":
        return None
    return float(array) if array.ndim == 0 else array.astype(np.float64)


class Quantity:
    """An immutable number, or array of numbers, with a physical dimension.

    Parameters
    ----------
    value : float or array_like
        Magnitude in SI units. An array is copied and made read-only.
    dim : Dimension
        Physical dimension.
    unit_name : str, optional
        Unit that `str` prefers, such as ``"ms"`` or ``"mS/cm^2"``. It never changes what the quantity is.

    Raises
    ------
    ParameterError
        If `value` is not numeric.
    DimensionError
        From sums and comparisons of unlike dimensions, and from any conversion that would drop a unit unseen.

    Notes
    -----
    ``==`` between unlike dimensions is False, not an error, so that quantities can be keys. No plain number, not even
    0, may be added to a quantity; only ``sum`` may start from its 0.
    """

    __slots__ = ("dim", "unit_name", "value")
    __array_ufunc__ = None  # so that NumPy's own operators stand back and `array * ms` reaches __rmul__

    value: float | np.ndarray
    dim: Dimension
    unit_name: str | None

    def __init__(self, value: Any, dim: Dimension, unit_name: str | None = None) -> None:
        number = plain(value)
        if number is None:
            raise ParameterError(f"a quantity needs a number or an array of numbers, got {value!r}")
        if isinstance(number, np.ndarray):
            number.setflags(write=False)
        object.__setattr__(self, "value", number)
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "unit_name", unit_name)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise AttributeError(f"a quantity is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a quantity is immutable: cannot delete {name}")

    def __reduce__(self) -> tuple[type[Quantity], tuple[Any, ...]]:
        return Quantity, (self.value, self.dim, self.unit_name)

    # -- products: the dimension follows; what becomes of the preferred unit is only a matter of display

    def _times(self, other: object, op: Callable[[Any, Any], Any], sign: str, swap: bool = False) -> Any:
        if isinstance(other, Quantity):
            dim = op(self.dim, other.dim)
            if dim == DIMENSIONLESS:
                return op(self.value, other.value)
            return Quantity(op(self.value, other.value), dim, _joined(self.unit_name, sign, other.unit_name, dim))
        number = plain(other)
        if number is None:
            return NotImplemented
        if swap:
            return _wrap(op(number, self.value), op(DIMENSIONLESS, self.dim), None)
        return _wrap(op(self.value, number), self.dim, self.unit_name)

    def __mul__(self, other: object) -> Any:
        return self._times(other, operator.mul, "*")

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Any:
        return self._times(other, operator.truediv, "/")

    def __rtruediv__(self, other: object) -> Any:
        return self._times(other, operator.truediv, "/", swap=True)

    def __pow__(self, power: object) -> Any:
        if isinstance(power, Quantity):
            raise DimensionError(f"an exponent must be a plain number, got {power.dim}")
        if not isinstance(power, (int, float, Fraction, np.integer, np.floating)):
            return NotImplemented
        exact = rational(power if isinstance(power, Fraction) else float(power))
        if isinstance(self.value, float) and self.value < 0 and exact.denominator != 1:
            raise ParameterError(f"cannot raise the negative {self} to the power {exact}")
        name, dim = self.unit_name, self.dim**exact
        if name is not None:
            name = power_text(name if name.isalnum() else f"({name})", exact)
        return _wrap(self.value ** float(exact), dim, None if dim in LADDERS else name)

    def __rpow__(self, _base: object) -> NoReturn:
        raise DimensionError(f"an exponent must be a plain number, got {self.dim}")

    # -- sums and comparisons: like with like

    def _like(self, other: object, op: Callable[[Any, Any], Any], message: str) -> Any:
        """Apply `op` to the SI values; refuse unlike dimensions with `message`."""
        number, dim = (other.value, other.dim) if isinstance(other, Quantity) else (plain(other), DIMENSIONLESS)
        if number is None:
            return NotImplemented
        if dim != self.dim:
            raise DimensionError(message.format(self.dim, dim if isinstance(other, Quantity) else "a plain number"))
        return op(self.value, number)

    def _sum(self, other: object, op: Callable[[Any, Any], Any], message: str) -> Any:
        number = self._like(other, op, message)
        return NotImplemented if number is NotImplemented else Quantity(number, self.dim, self.unit_name)

    def __add__(self, other: object) -> Quantity:
        return self._sum(other, operator.add, "cannot add {0} and {1}")

    def __radd__(self, other: object) -> Quantity:
        if type(other) is int and other == 0:  # sum() starts from 0
            return self
        return self._sum(other, operator.add, "cannot add {1} and {0}")

    def __sub__(self, other: object) -> Quantity:
        return self._sum(other, operator.sub, "cannot subtract {1} from {0}")

    def __rsub__(self, other: object) -> Quantity:
        return self._sum(other, lambda mine, theirs: theirs - mine, "cannot subtract {0} from {1}")

    def __lt__(self, other: object) -> Any:
        return self._like(other, operator.lt, "cannot compare {0} and {1}")

    def __le__(self, other: object) -> Any:
        return self._like(other, operator.le, "cannot compare {0} and {1}")

    def __gt__(self, other: object) -> Any:
        return self._like(other, operator.gt, "cannot compare {0} and {1}")

    def __ge__(self, other: object) -> Any:
        return self._like(other, operator.ge, "cannot compare {0} and {1}")

    def __eq__(self, other: object) -> Any:
        unlike = self.dim != (other.dim if isinstance(other, Quantity) else DIMENSIONLESS)
        return False if unlike else self._like(other, operator.eq, "")

    def __ne__(self, other: object) -> Any:
        unlike = self.dim != (other.dim if isinstance(other, Quantity) else DIMENSIONLESS)
        return True if unlike else self._like(other, operator.ne, "")

    def __hash__(self) -> int:
        if isinstance(self.value, np.ndarray):
            raise TypeError("an array quantity is not hashable")
        return hash(self.value) if self.dim == DIMENSIONLESS else hash((self.value, self.dim))

    # -- one operand, containers, conversions

    def __neg__(self) -> Quantity:
        return Quantity(-self.value, self.dim, self.unit_name)

    def __pos__(self) -> Quantity:
        return self

    def __abs__(self) -> Quantity:
        return Quantity(abs(self.value), self.dim, self.unit_name)

    def __bool__(self) -> bool:
        return bool(self.value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array; ``()`` for a scalar."""
        return np.shape(self.value)

    def __len__(self) -> int:
        return len(self._array())

    def __getitem__(self, index: Any) -> Quantity:
        return Quantity(self._array()[index], self.dim, self.unit_name)

    def __iter__(self) -> Iterator[Quantity]:
        return (Quantity(x, self.dim, self.unit_name) for x in self._array())

    def _array(self) -> np.ndarray:
        if isinstance(self.value, np.ndarray):
            return self.value
        raise TypeError(f"{self} is a single quantity: it has no length and no items")

    def to(self, unit: Quantity | str) -> Any:
        """Return the plain float or array that, times `unit`, is this quantity.

        Raises
        ------
        DimensionError
            If `unit` is of another dimension.
        """
        from neurosim.units.text import parse_quantity

        target = parse_quantity(unit) if isinstance(unit, str) else unit
        if not isinstance(target, Quantity):
            target = Quantity(target, DIMENSIONLESS)
        if target.dim != self.dim:
            raise DimensionError(f"cannot express {self.dim} in {target.unit_name or target}, which is {target.dim}")
        return self.value / target.value

    def __float__(self) -> float:
        if self.dim != DIMENSIONLESS:
            unit = usual_unit(self.dim)
            hint = f": divide by a unit, as in x/{unit if unit.isalnum() else f'({unit})'}" if unit else ""
            raise DimensionError(f"cannot make a plain number of {self.dim}{hint}")
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.dim != DIMENSIONLESS:
            float(self)  # NumPy would otherwise wrap the quantity in an object array; this raises
        return np.array(self.value, dtype=dtype)

    def __str__(self) -> str:
        from neurosim.units.text import text_of

        return text_of(self)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        from neurosim.units.text import display_unit

        name, scale = display_unit(self)
        return f"{format(self.value / scale, spec)} {name}".rstrip()


def _wrap(value: Any, dim: Dimension, name: str | None) -> Any:
    return value if dim == DIMENSIONLESS else Quantity(value, dim, name)


def _joined(left: str | None, sign: str, right: str | None, dim: Dimension) -> str | None:
    """Name of a compound unit such as mS/cm^2; None where the dimension has plain units, or the name grows silly."""
    if left is None or right is None or dim in LADDERS or len(left) + len(right) > 40:
        return None
    compound = "*" in right or "/" in right or " " in right
    return f"{left}{sign}({right})" if compound else f"{left}{sign}{right}"


UNITS: dict[str, Quantity] = {}
"""Unit name -> unit: the names that equations may use. One-letter symbols other than ``s`` are not here, because
``m``, ``g`` and ``V`` are far more often the gating variable, the conductance and the membrane potential."""

READABLE: dict[str, Quantity] = {}  # UNITS and the one-letter symbols: in a quantity's text a name can only be a unit
LADDERS: dict[Dimension, list[Quantity]] = {}  # units a thousand apart, for choosing a prefix


def unit(scale: float, dim: Dimension, symbol: str, *names: str) -> Quantity:
    """Make a unit that prints as `symbol`, and register it under `names` (under `symbol` if there are none)."""
    made = Quantity(scale, dim, symbol)
    UNITS.update(dict.fromkeys(names or (symbol,), made))
    READABLE.update(dict.fromkeys((symbol, *names), made))
    if round(math.log10(scale), 6) % 3 == 0:  # not minute, hour, cm
        LADDERS.setdefault(dim, []).append(made)
    return made

"""What a model declares about each of its parameters: default, unit, legal range, meaning and source.

The declaration is data: it checks a user's value, prints itself in messages, and fills in the model's docstring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import DimensionError, ParameterError, caller
from neurosim.units import DIMENSIONLESS, Dimension, Quantity, index_text, quantity


@dataclass(frozen=True)
class Param:
    """Declaration of one parameter.

    Parameters
    ----------
    default : float, Quantity or str
        Value if the user gives none. Text is an expression over the model's other names, such as ``"v_rest"``, and is
        resolved by the model.
    unit : Quantity or 1, optional
        Unit to print in, which also fixes the dimension; 1 means dimensionless. If None, the dimension is that of a
        `default` with a unit, else it is left to be inferred from the equations.
    meaning : str
        One phrase for the docstring, in lower case and without a full stop.
    lo, hi : Quantity or float, optional
        Bounds, inclusive unless `lo_open` or `hi_open`. A plain 0 is taken in the parameter's own unit.
    source : str
        Where the default comes from: a paper, a data sheet.

    Raises
    ------
    DimensionError
        If the default, the bounds and the unit are not of one dimension.
    ParameterError
        If the bounds exclude everything, or exclude the default.
    """

    default: float | Quantity | str
    unit: Quantity | float | None = None
    meaning: str = ""
    lo: Quantity | float | None = None
    hi: Quantity | float | None = None
    source: str = ""
    lo_open: bool = False
    hi_open: bool = False

    def __post_init__(self) -> None:
        where = caller()
        if self.unit is not None and not isinstance(self.unit, Quantity) and self.unit != 1:
            raise DimensionError(f"the unit of a parameter must be a unit such as ms, or 1, got {self.unit!r}", where)
        lo, hi = self._bound(self.lo, "lower", where), self._bound(self.hi, "upper", where)
        if lo is not None and hi is not None and (lo > hi or (lo == hi and (self.lo_open or self.hi_open))):
            raise ParameterError(f"no value is {self._range()}", where)
        if not isinstance(self.default, str):
            # with neither unit nor dimension there is only a plain number, which checks as dimensionless
            default = quantity(self.default, self.dim or DIMENSIONLESS, "the default of a parameter", where)
            self.check(default, "the default of a parameter", where)

    def limits(self) -> tuple[float, float]:
        """Return both bounds in SI; minus and plus infinity where there is none."""
        low, high = self._bound(self.lo, "lower"), self._bound(self.hi, "upper")
        return -math.inf if low is None else low, math.inf if high is None else high

    def _bound(self, bound: Quantity | float | None, side: str, where: str | None = None) -> float | None:
        """Return a bound as an SI float."""
        if bound is None or (not isinstance(bound, Quantity) and bound == 0):  # zero is zero in every unit
            return bound if bound is None else 0.0
        if self.dim is None and isinstance(bound, Quantity):
            raise DimensionError(f"the {side} bound {bound} needs a parameter with a unit, and this has none", where)
        what = f"the {side} bound of a parameter"
        si = quantity(bound, self.dim or DIMENSIONLESS, what, where, finite=False)
        if not isinstance(si, float) or np.isnan(si):
            raise ParameterError(f"{what} must be a single number, got {bound}", where)
        return si

    @property
    def dim(self) -> Dimension | None:
        """Physical dimension; None if it is left to be inferred."""
        if isinstance(self.unit, Quantity):
            return self.unit.dim
        if self.unit is not None:
            return DIMENSIONLESS
        return self.default.dim if isinstance(self.default, Quantity) else None

    @property
    def si_default(self) -> float | np.ndarray | str:
        """The default in SI units; an expression is returned as it is."""
        if isinstance(self.default, str):
            return self.default
        return self.default.value if isinstance(self.default, Quantity) else float(self.default)

    def check(self, value_si: float | np.ndarray, what: str, where: str | None = None) -> None:
        """Refuse a value outside the bounds; NaN is outside of any bound.

        Parameters
        ----------
        value_si : float or ndarray
            Value in SI units, as `units.quantity` returns it.
        what : str
            Its name in messages, such as ``"tau_m of population 'exc'"``.
        where : str, optional
            ``file:line`` of the user's code.

        Raises
        ------
        ParameterError
            With the first bad value and the bounds, in the parameter's unit.
        """
        lo, hi = self._bound(self.lo, "lower"), self._bound(self.hi, "upper")
        value = np.asarray(value_si, dtype=np.float64)
        good = np.ones(value.shape, dtype=bool)
        if lo is not None:
            good &= value > lo if self.lo_open else value >= lo
        if hi is not None:
            good &= value < hi if self.hi_open else value <= hi
        if np.all(good):
            return
        text = f"{what} must be {self._range()}, got {self._show(float(value[~good].flat[0]))}"
        if value.ndim:
            text += f" at index {index_text(~good)} ({np.count_nonzero(~good)} of {value.size} values)"
        raise ParameterError(text, where)

    def describe(self, name: str = "") -> str:
        """Return one line: ``tau_m = 20 ms: membrane time constant (> 0 ms)``."""
        default = self.default if isinstance(self.default, str) else self._show(self.si_default)
        head = f"{name} = {default}" if name else str(default)
        return f"{head}: {self._meaning()}" if self._meaning() else head

    def _meaning(self) -> str:
        words = " ".join(self.meaning.split())
        return f"{words} ({self._range()})".lstrip() if self._range() else words

    def _range(self) -> str:
        lo, hi = self._bound(self.lo, "lower"), self._bound(self.hi, "upper")
        parts = []
        if lo is not None:
            parts.append(f"{'>' if self.lo_open else '>='} {self._show(lo)}")
        if hi is not None:
            parts.append(f"{'<' if self.hi_open else '<='} {self._show(hi)}")
        return " and ".join(parts)

    def _show(self, value_si: Any) -> str:
        like = self.unit if isinstance(self.unit, Quantity) else self.default
        name = like.unit_name if isinstance(like, Quantity) else None
        return str(Quantity(value_si, self.dim or DIMENSIONLESS, name))

    def _unit_text(self) -> str:
        if self.dim is None:
            return ""
        like = self.unit if isinstance(self.unit, Quantity) else self.default
        return (like.unit_name if isinstance(like, Quantity) else None) or self.dim.symbol

    def _default_text(self) -> str:
        if isinstance(self.default, str):
            return self.default
        shown = self._show(self.si_default)
        return shown.removesuffix(f" {self._unit_text()}")


def table(params: Mapping[str, Param]) -> str:
    """Render parameters as a reStructuredText table of name, default, unit and meaning, for a model's docstring.

    A default is written in the unit beside it, or with its own unit where another prefix suits it better.
    """
    if not params:
        return ""
    rows = [("name", "default", "unit", "meaning")]
    rows += [(name, p._default_text(), p._unit_text(), p._meaning()) for name, p in params.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])

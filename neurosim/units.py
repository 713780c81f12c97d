"""Physical quantities at the edge of the language; plain SI floats behind it.

``20 * ms`` is a `Quantity`: one float (or float64 array) in SI and a `Dimension`. Everything that crosses into the
compiler goes through `quantity`, which checks the dimension once and hands on the SI number.

A unit is a quantity like any other, and multiplying by it is one floating-point product: ``0.1 * ms`` is exactly what
``0.1 * 1e-3`` is, and ``parse_quantity("0.1 ms")`` is that number too. When all units cancel, the result is a plain
float or array, so ``(3 * mV) / mV`` needs no unwrapping.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from neurosim.errors import DimensionError, NeurosimError, ParameterError, suggest

_BASE = ("m", "kg", "s", "A", "K", "mol", "cd")
_PRINT_ORDER = (1, 0, 2, 3, 4, 5, 6)  # kg before m, as textbooks write it


@dataclass(frozen=True, slots=True)
class Dimension:
    """Exponents of the seven SI base units m, kg, s, A, K, mol, cd; whole numbers or fractions, never floats."""

    exponents: tuple[int | Fraction, ...]

    def __post_init__(self) -> None:
        if len(self.exponents) != len(_BASE):
            raise ValueError(f"a dimension has {len(_BASE)} exponents ({', '.join(_BASE)}), got {len(self.exponents)}")
        if all(type(e) is int for e in self.exponents):  # nearly always, and Fraction is slow
            return
        exact = (Fraction(e) for e in self.exponents)
        object.__setattr__(self, "exponents", tuple(e.numerator if e.denominator == 1 else e for e in exact))

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension(tuple(a + b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __truediv__(self, other: Dimension) -> Dimension:
        return Dimension(tuple(a - b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __pow__(self, power: float | Fraction) -> Dimension:
        exact = _rational(power)
        return Dimension(tuple(e * exact for e in self.exponents))

    @property
    def symbol(self) -> str:
        """The SI unit as text that `parse_quantity` can read: ``V``, ``mol/m^3``, ``kg m^2 s^-1``; ``1`` for none."""
        if self in _NAMED:
            return _NAMED[self][1]
        if self in _RATES:
            return _RATES[self]
        parts = [(_BASE[k], self.exponents[k]) for k in _PRINT_ORDER if self.exponents[k]]
        return " ".join(name if e == 1 else _power_text(name, e) for name, e in parts)

    def __str__(self) -> str:
        if self == DIMENSIONLESS:
            return "dimensionless"
        return f"{_NAMED[self][0]} ({self.symbol})" if self in _NAMED else self.symbol

    __repr__ = __str__


def _rational(power: float | Fraction) -> Fraction:
    exact = Fraction(power).limit_denominator(120) if math.isfinite(power) else None  # 1/3 is not a binary number
    if exact is None or abs(exact - Fraction(power)) > 1e-9:
        raise DimensionError(f"a unit can only be raised to a whole number or a simple fraction, got {power}")
    return exact


def _power_text(name: str, power: int | Fraction) -> str:
    return f"{name}^{power}" if Fraction(power).denominator == 1 else f"{name}^({power})"


def _of(m: int = 0, kg: int = 0, s: int = 0, A: int = 0, K: int = 0, mol: int = 0, cd: int = 0) -> Dimension:
    return Dimension((m, kg, s, A, K, mol, cd))


DIMENSIONLESS = _of()
LENGTH, MASS, TIME, CURRENT, TEMPERATURE, AMOUNT, LUMINOSITY = (_of(**{name: 1}) for name in _BASE)
FREQUENCY = TIME**-1
CHARGE = CURRENT * TIME
ENERGY = _of(m=2, kg=1, s=-2)
POWER = ENERGY / TIME
VOLTAGE = POWER / CURRENT
CONDUCTANCE = CURRENT / VOLTAGE
RESISTANCE = VOLTAGE / CURRENT
CAPACITANCE = CHARGE / VOLTAGE
AREA, VOLUME = LENGTH**2, LENGTH**3
CONCENTRATION = AMOUNT / VOLUME
VELOCITY = LENGTH / TIME

# dimension -> its name, its SI symbol, and the unit (as Python) that a modeller would write for it
_NAMED: dict[Dimension, tuple[str, str, str]] = {
    DIMENSIONLESS: ("dimensionless", "1", ""),
    TIME: ("time", "s", "ms"),
    VOLTAGE: ("voltage", "V", "mV"),
    CURRENT: ("current", "A", "pA"),
    CONDUCTANCE: ("conductance", "S", "nS"),
    CAPACITANCE: ("capacitance", "F", "pF"),
    RESISTANCE: ("resistance", "ohm", "Mohm"),
    FREQUENCY: ("frequency", "Hz", "Hz"),
    LENGTH: ("length", "m", "um"),
    CONCENTRATION: ("concentration", "mol/m^3", "mM"),
    CHARGE: ("charge", "C", "coulomb"),
    ENERGY: ("energy", "J", "joule"),
    POWER: ("power", "W", "watt"),
    TEMPERATURE: ("temperature", "K", "kelvin"),
    AMOUNT: ("amount", "mol", "mole"),
    MASS: ("mass", "kg", "kg"),
    AREA: ("area", "m^2", "um**2"),
    VOLUME: ("volume", "m^3", "um**3"),
    VELOCITY: ("velocity", "m/s", "metre/second"),
    CAPACITANCE / AREA: ("capacitance per area", "F/m^2", "uF/cm**2"),
    CONDUCTANCE / AREA: ("conductance per area", "S/m^2", "mS/cm**2"),
    CURRENT / AREA: ("current density", "A/m^2", "uA/cm**2"),
    RESISTANCE * LENGTH: ("resistivity", "ohm m", "ohm*cm"),
}


_RATES = {VOLTAGE / TIME: "V/s", CURRENT / TIME: "A/s", CONDUCTANCE / TIME: "S/s", VOLTAGE * TIME: "V s"}
"""Dimensions without a name that the equations of neurons are full of."""


def _plain(x: object) -> float | np.ndarray | None:
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
        number = _plain(value)
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
        number = _plain(other)
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
        exact = _rational(power if isinstance(power, Fraction) else float(power))
        if isinstance(self.value, float) and self.value < 0 and exact.denominator != 1:
            raise ParameterError(f"cannot raise the negative {self} to the power {exact}")
        name, dim = self.unit_name, self.dim**exact
        if name is not None:
            name = _power_text(name if name.isalnum() else f"({name})", exact)
        return _wrap(self.value ** float(exact), dim, None if dim in _LADDERS else name)

    def __rpow__(self, _base: object) -> NoReturn:
        raise DimensionError(f"an exponent must be a plain number, got {self.dim}")

    # -- sums and comparisons: like with like

    def _like(self, other: object, op: Callable[[Any, Any], Any], message: str) -> Any:
        """Apply `op` to the SI values; refuse unlike dimensions with `message`."""
        number, dim = (other.value, other.dim) if isinstance(other, Quantity) else (_plain(other), DIMENSIONLESS)
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
        target = parse_quantity(unit) if isinstance(unit, str) else unit
        if not isinstance(target, Quantity):
            target = Quantity(target, DIMENSIONLESS)
        if target.dim != self.dim:
            raise DimensionError(f"cannot express {self.dim} in {target.unit_name or target}, which is {target.dim}")
        return self.value / target.value

    def __float__(self) -> float:
        if self.dim != DIMENSIONLESS:
            unit = _suggested(self.dim)
            hint = f": divide by a unit, as in x/{unit if unit.isalnum() else f'({unit})'}" if unit else ""
            raise DimensionError(f"cannot make a plain number of {self.dim}{hint}")
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.dim != DIMENSIONLESS:
            float(self)  # NumPy would otherwise wrap the quantity in an object array; this raises
        return np.array(self.value, dtype=dtype)

    def __str__(self) -> str:
        return _format(self)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        name, scale = _display_unit(self)
        return f"{format(self.value / scale, spec)} {name}".rstrip()


def _wrap(value: Any, dim: Dimension, name: str | None) -> Any:
    return value if dim == DIMENSIONLESS else Quantity(value, dim, name)


def _joined(left: str | None, sign: str, right: str | None, dim: Dimension) -> str | None:
    """Name of a compound unit such as mS/cm^2; None where the dimension has plain units, or the name grows silly."""
    if left is None or right is None or dim in _LADDERS or len(left) + len(right) > 40:
        return None
    compound = "*" in right or "/" in right or " " in right
    return f"{left}{sign}({right})" if compound else f"{left}{sign}{right}"


# -- units ----------------------------------------------------------------------------------------------------------

UNITS: dict[str, Quantity] = {}
"""Unit name -> unit: the names that equations may use. One-letter symbols other than ``s`` are not here, because
``m``, ``g`` and ``V`` are far more often the gating variable, the conductance and the membrane potential."""

_READABLE: dict[str, Quantity] = {}  # UNITS and the one-letter symbols: in a quantity's text a name can only be a unit
_LADDERS: dict[Dimension, list[Quantity]] = {}  # units a thousand apart, for choosing a prefix


def _unit(scale: float, dim: Dimension, symbol: str, *names: str) -> Quantity:
    """Make a unit that prints as `symbol`, and register it under `names` (under `symbol` if there are none)."""
    unit = Quantity(scale, dim, symbol)
    UNITS.update(dict.fromkeys(names or (symbol,), unit))
    _READABLE.update(dict.fromkeys((symbol, *names), unit))
    if round(math.log10(scale), 6) % 3 == 0:  # not minute, hour, cm
        _LADDERS.setdefault(dim, []).append(unit)
    return unit


second = s = _unit(1.0, TIME, "s", "second", "s")
ms, us, ns = _unit(1e-3, TIME, "ms"), _unit(1e-6, TIME, "us"), _unit(1e-9, TIME, "ns")
minute, hour = _unit(60.0, TIME, "minute"), _unit(3600.0, TIME, "hour")
volt = _unit(1.0, VOLTAGE, "V", "volt")
mV, uV, nV = _unit(1e-3, VOLTAGE, "mV"), _unit(1e-6, VOLTAGE, "uV"), _unit(1e-9, VOLTAGE, "nV")
amp = ampere = _unit(1.0, CURRENT, "A", "amp", "ampere")
mA, uA, nA = _unit(1e-3, CURRENT, "mA"), _unit(1e-6, CURRENT, "uA"), _unit(1e-9, CURRENT, "nA")
pA, fA = _unit(1e-12, CURRENT, "pA"), _unit(1e-15, CURRENT, "fA")
siemens = _unit(1.0, CONDUCTANCE, "S", "siemens")
mS, uS = _unit(1e-3, CONDUCTANCE, "mS"), _unit(1e-6, CONDUCTANCE, "uS")
nS, pS = _unit(1e-9, CONDUCTANCE, "nS"), _unit(1e-12, CONDUCTANCE, "pS")
farad, mF = _unit(1.0, CAPACITANCE, "F", "farad"), _unit(1e-3, CAPACITANCE, "mF")
uF, nF, pF = _unit(1e-6, CAPACITANCE, "uF"), _unit(1e-9, CAPACITANCE, "nF"), _unit(1e-12, CAPACITANCE, "pF")
ohm, kohm = _unit(1.0, RESISTANCE, "ohm"), _unit(1e3, RESISTANCE, "kohm")
Mohm, Gohm = _unit(1e6, RESISTANCE, "Mohm"), _unit(1e9, RESISTANCE, "Gohm")
hertz = Hz = _unit(1.0, FREQUENCY, "Hz", "hertz", "Hz")
kHz, MHz = _unit(1e3, FREQUENCY, "kHz"), _unit(1e6, FREQUENCY, "MHz")
metre = meter = _unit(1.0, LENGTH, "m", "metre", "meter")
cm, mm = _unit(1e-2, LENGTH, "cm"), _unit(1e-3, LENGTH, "mm")
um, nm = _unit(1e-6, LENGTH, "um"), _unit(1e-9, LENGTH, "nm")
mole, molar = _unit(1.0, AMOUNT, "mol", "mole"), _unit(1e3, CONCENTRATION, "molar")
mM, uM, nM = _unit(1.0, CONCENTRATION, "mM"), _unit(1e-3, CONCENTRATION, "uM"), _unit(1e-6, CONCENTRATION, "nM")
coulomb, joule = _unit(1.0, CHARGE, "C", "coulomb"), _unit(1.0, ENERGY, "J", "joule")
watt, kelvin = _unit(1.0, POWER, "W", "watt"), _unit(1.0, TEMPERATURE, "K", "kelvin")
kg = kilogram = _unit(1.0, MASS, "kg", "kg", "kilogram")
gram, candela = _unit(1e-3, MASS, "g", "gram"), _unit(1.0, LUMINOSITY, "cd", "candela")

# -- text -----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?: (?P<number> (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
      | (?P<name> [A-Za-z_][A-Za-z_0-9]* )
      | (?: \*\* | \^ ) \s* (?: \( \s* (?P<fraction> [+-]?[0-9]{1,3} (?: / [1-9][0-9]{0,2} )? ) \s* \)
                              | (?P<power> [+-]?[0-9]{1,3} (?: \.[0-9]{1,9} )? (?! [\w.] ) ) )
      | (?P<op> \*\* | [-+*/^()] ) )""",
    re.VERBOSE,
)
_SPELLINGS = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u03a9": "ohm", "\u2126": "ohm", "\u2212": "-"})
_LONGEST_TEXT = 200  # also bounds the recursion of nested brackets


class _Reader:
    """Recursive descent over one text.

    ::

        product  := [sign] factor { ('*' | '/') factor | unit }           juxtaposed units multiply, as in "20 ms"
        factor   := (number | unit | '(' product ')') [ ('**' | '^') exponent ]
        exponent := [sign] number | '(' [sign] digits ['/' digits] ')'    a few digits, so that it is cheap and exact
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []  # (kind, text)
        if len(text) > _LONGEST_TEXT:
            raise ParameterError(f"cannot read a quantity of {len(text)} characters; the most is {_LONGEST_TEXT}")
        spelled, at = text.translate(_SPELLINGS).strip(), 0
        while at < len(spelled):
            match = _TOKEN.match(spelled, at)
            if match is None:
                self.fail(f"unexpected '{spelled[at:].lstrip()[0]}'")
            kind = str(match.lastgroup)
            self.tokens.append(("power" if kind == "fraction" else kind, match[kind]))
            at = match.end()
        self.tokens.append(("end", "the end"))
        self.tokens.reverse()  # a stack: the next token is the last

    def fail(self, reason: str) -> NoReturn:
        raise ParameterError(f"cannot read '{self.text}' as a quantity: {reason}")

    def skip(self, *options: str) -> str:
        """Pass the next token and return it if it is one of the operators `options`, else return ``""``."""
        kind, token = self.tokens[-1]
        return self.tokens.pop()[1] if kind == "op" and token in options else ""

    def product(self, closing: str) -> Any:
        negative = self.skip("+", "-") == "-"
        value, divided = self.factor(), False
        while self.tokens[-1][1] != closing:
            kind, token = self.tokens[-1]
            if self.skip("/"):
                value, divided = value / self.factor(), True
            elif self.skip("*"):
                value = value * self.factor()
            elif kind != "name":
                self.fail("a bracket is not closed" if kind == "end" else f"unexpected '{token}'")
            elif divided:
                self.fail(f"'{token}' after a division is ambiguous, write '*' or brackets")
            else:
                value = value * self.factor()
        return -value if negative else value

    def factor(self) -> Any:
        kind, token = self.tokens[-1]
        if self.skip("("):
            base = self.product(closing=")")
        elif kind == "number":
            base = float(token)
        elif kind == "name":
            base = self.unit(token)
        else:
            self.fail(f"expected a number or a unit, found {token if kind == 'end' else repr(token)}")
        self.tokens.pop()
        if self.tokens[-1][0] == "power":
            power = Fraction(self.tokens.pop()[1])
            return base**power if isinstance(base, Quantity) else base ** float(power)
        if self.tokens[-1][1] in ("**", "^"):
            self.fail(f"expected a short number, or a fraction in brackets, after '{self.tokens[-1][1]}'")
        return base

    def unit(self, name: str) -> Quantity:
        if name in _READABLE:
            return _READABLE[name]
        # difflib does not see that mv is mV, since half of its letters differ
        cased = " or ".join(f"'{k}'" for k in sorted(_READABLE) if k.lower() == name.lower())
        self.fail(f"unknown unit '{name}'" + (f"; did you mean {cased}?" if cased else suggest(name, _READABLE)))


def parse_quantity(text: str) -> Quantity | float:
    """Read a quantity written as text, without evaluating it as code.

    Parameters
    ----------
    text : str
        Such as ``"20 ms"``, ``"20ms"``, ``"-1.5e-3*mV"``, ``"1 nA/mV"``, ``"1/ms"``, ``"3*mV**2"``,
        ``"10 mS/cm^2"``. Operators associate to the left as in Python, and the result is the same number to the bit.

    Returns
    -------
    Quantity or float
        A float if there is no unit, or if the units cancel.

    Raises
    ------
    ParameterError
        If the text is malformed, names an unknown unit, or leaves the finite numbers.
    """
    reader = _Reader(text)
    try:
        value = reader.product(closing="the end")
        finite = math.isfinite(value.value if isinstance(value, Quantity) else value)
    except NeurosimError:
        raise
    except (ArithmeticError, TypeError):  # overflow, division by zero, a complex root
        finite, value = False, math.nan
    if not finite:
        reader.fail("it has no finite value")
    return value


@lru_cache(maxsize=256)
def _scale(name: str | None) -> tuple[float, Dimension]:
    """SI value and dimension of a unit expression; a dimensionless 1 if it is none (unit_name is free text)."""
    try:
        unit = parse_quantity(name or "1")
    except NeurosimError:
        unit = 1.0
    return (float(unit.value), unit.dim) if isinstance(unit, Quantity) else (1.0, DIMENSIONLESS)


def _suggested(dim: Dimension) -> str:
    return _NAMED[dim][2] if dim in _NAMED else ""


def usual_unit(dim: Dimension) -> str:
    """Return the unit a modeller would write for a dimension, as Python; ``""`` where there is none."""
    return _suggested(dim)


def _display_unit(q: Quantity) -> tuple[str, float]:
    """Choose the unit to print in: the one it was written in, the usual one, or the prefix that suits the size."""
    if q.dim == DIMENSIONLESS:
        return "", 1.0
    sizes = np.abs(np.atleast_1d(q.value))
    size = float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    usual = _suggested(q.dim).replace("**", "^")
    for name, low, high in ((q.unit_name, 1e-3, 1e5), (usual, 0.1, 1e3)):
        scale, dim = _scale(name)
        # the slack lets a size that rounding left just short of a limit count as having reached it
        if dim == q.dim and name and scale > 0 and (size == 0 or low <= size / scale * (1 + 1e-12) < high):
            return name, scale
    ladder = sorted(_LADDERS.get(q.dim, ()), key=lambda unit: unit.value)
    fitting = [unit for unit in ladder if size / unit.value * (1 + 1e-12) >= 1] or ladder[:1]
    return (str(fitting[-1].unit_name), float(fitting[-1].value)) if fitting else (q.dim.symbol, 1.0)


def _format(q: Quantity) -> str:
    """Text of a quantity; a finite scalar's reads back, through `parse_quantity`, as the same number to the bit."""
    name, scale = _display_unit(q)
    if isinstance(q.value, np.ndarray):
        shown = np.array2string(q.value / scale, threshold=6, separator=", ", formatter={"float_kind": "{:.6g}".format})
        return f"{shown} {name}".rstrip()
    if not math.isfinite(q.value):
        return f"{q.value} {name}".rstrip()
    for digits in (6, 9, 12, 15, 16, 17):
        text = f"{q.value / scale:.{digits}g} {name}".rstrip()
        try:
            back = parse_quantity(text)
        except ParameterError:  # next to the largest float, rounding up or the prefix itself overflows
            break
        if (back.value if isinstance(back, Quantity) else back) == q.value:
            return text
    # dividing by a prefix and multiplying again can miss by the last bit; the SI unit cannot
    return f"{q.value!r} {q.dim.symbol if q.dim != DIMENSIONLESS else ''}".rstrip()


# -- the gate ---------------------------------------------------------------------------------------------------------


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
        number = _plain(value)
        if number is None or isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
            raise ParameterError(f"{must} {type(value).__name__} {value!r}", where)
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
    if dim not in _NAMED:
        return f"have dimension {dim}"
    return f"be {'an' if str(dim)[0] in 'aeiou' else 'a'} {dim}"


# What a star imports: the units. Not ns, nanoseconds, which is what everybody calls neurosim itself.
__all__ = [name for name, value in list(globals().items()) if isinstance(value, Quantity) and name != "ns"]


def _fix(number: float | np.ndarray, dim: Dimension) -> str:
    """Say what to write instead of a plain number."""
    unit = _suggested(dim)
    if isinstance(number, np.ndarray):
        return f"plain numbers: multiply them by {unit or f'a unit of {dim}'}"
    text = f"{number:.12g}"
    return f"the plain number {text}: " + (f"write {text}*{unit}" if unit else f"multiply it by a unit of {dim}")

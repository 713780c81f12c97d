"""Physical dimensions: exponents of the SI base units, and the names of those that modellers meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from neurosim.errors import DimensionError

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
        exact = rational(power)
        return Dimension(tuple(e * exact for e in self.exponents))

    @property
    def symbol(self) -> str:
        """The SI unit as text that `parse_quantity` can read: ``V``, ``mol/m^3``, ``kg m^2 s^-1``; ``1`` for none."""
        if self in NAMED:
            return NAMED[self][1]
        if self in _RATES:
            return _RATES[self]
        parts = [(_BASE[k], self.exponents[k]) for k in _PRINT_ORDER if self.exponents[k]]
        return " ".join(name if e == 1 else power_text(name, e) for name, e in parts)

    def __str__(self) -> str:
        if self == DIMENSIONLESS:
            return "dimensionless"
        return f"{NAMED[self][0]} ({self.symbol})" if self in NAMED else self.symbol

    __repr__ = __str__


def rational(power: float | Fraction) -> Fraction:
    exact = Fraction(power).limit_denominator(120) if math.isfinite(power) else None  # 1/3 is not a binary number
    if exact is None or abs(exact - Fraction(power)) > 1e-9:
        raise DimensionError(f"a unit can only be raised to a whole number or a simple fraction, got {power}")
    return exact


def power_text(name: str, power: int | Fraction) -> str:
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
NAMED: dict[Dimension, tuple[str, str, str]] = {
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


def usual_unit(dim: Dimension) -> str:
    """Return the unit a modeller would write for a dimension, as Python; ``""`` where there is none."""
    return NAMED[dim][2] if dim in NAMED else ""

"""Quantities as text: reading them, choosing the unit to print in, and printing what reads back to the same bits."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from neurosim.errors import NeurosimError, ParameterError, suggest
from neurosim.units.algebra import LADDERS, READABLE, Quantity
from neurosim.units.dimension import DIMENSIONLESS, Dimension, usual_unit

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
        if name in READABLE:
            return READABLE[name]
        # difflib does not see that mv is mV, since half of its letters differ
        cased = " or ".join(f"'{k}'" for k in sorted(READABLE) if k.lower() == name.lower())
        self.fail(f"unknown unit '{name}'" + (f"; did you mean {cased}?" if cased else suggest(name, READABLE)))


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


def display_unit(q: Quantity) -> tuple[str, float]:
    """Choose the unit to print in: the one it was written in, the usual one, or the prefix that suits the size."""
    if q.dim == DIMENSIONLESS:
        return "", 1.0
    sizes = np.abs(np.atleast_1d(q.value))
    size = float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    usual = usual_unit(q.dim).replace("**", "^")
    for name, low, high in ((q.unit_name, 1e-3, 1e5), (usual, 0.1, 1e3)):
        scale, dim = _scale(name)
        # the slack lets a size that rounding left just short of a limit count as having reached it
        if dim == q.dim and name and scale > 0 and (size == 0 or low <= size / scale * (1 + 1e-12) < high):
            return name, scale
    ladder = sorted(LADDERS.get(q.dim, ()), key=lambda unit: unit.value)
    fitting = [unit for unit in ladder if size / unit.value * (1 + 1e-12) >= 1] or ladder[:1]
    return (str(fitting[-1].unit_name), float(fitting[-1].value)) if fitting else (q.dim.symbol, 1.0)


def text_of(q: Quantity) -> str:
    """Text of a quantity; a finite scalar's reads back, through `parse_quantity`, as the same number to the bit."""
    name, scale = display_unit(q)
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

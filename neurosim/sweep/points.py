"""The points of a sweep: which settings, in which order, with which seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurosim.errors import NeurosimError, ParameterError
from neurosim.units import Quantity, parse_quantity

MOST_POINTS = 1_000_000
"""A sweep of more points is taken for a slip of the pen."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes
    ----------
    index : int
        Its place in the sweep, from 0.
    settings : dict
        What is set, as text: ``{"g": "4.25", "exc.tau_m": "15ms"}``, fixed settings included.
    trial : int
        Number of the trial, from 0.
    seed : int
        Seed of everything random: that of the sweep plus the number of the trial.
    """

    index: int
    settings: Mapping[str, str]
    trial: int
    seed: int


def axes(items: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read ``--set``: what is varied, and over which values.

    Parameters
    ----------
    items : sequence of str
        ``KEY=VALUE`` (fixed), ``KEY=A,B,C`` (a list), or ``KEY=FIRST:LAST:STEP`` (LAST included; quantities keep the
        unit of FIRST: ``exc.tau_m=10ms:20ms:2ms``).

    Raises
    ------
    ParameterError
        The text is none of these; the same key twice; a step that does not lead from FIRST to LAST.
    """
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        key, equals, text = (part.strip() for part in item.partition("="))
        if not (key and equals and text):
            raise ParameterError(f"--set takes KEY=VALUE, KEY=A,B,C or KEY=FIRST:LAST:STEP; got '{item}'")
        if key in found:
            raise ParameterError(f"--set {key} is given twice: write all its values in one, {key}=A,B,C")
        if text.count(":") == 1:
            raise ParameterError(f"--set {item}: a range has three parts, FIRST:LAST:STEP, such as {text}:1")
        found[key] = _range(item, text) if text.count(":") == 2 else tuple(v.strip() for v in _split(text))
        if not all(found[key]):
            raise ParameterError(f"--set {item}: a value between two commas is missing")
        if len(set(found[key])) < len(found[key]):
            raise ParameterError(f"--set {item}: the same value stands there twice; for repetitions use --trials")
    return found


def _split(text: str) -> list[str]:
    """Split at commas outside brackets (``rate=f(1,2)`` is one value)."""
    out, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            out.append("")
        else:
            out[-1] += letter
    return out


def _number(item: str, text: str) -> tuple[float, str]:
    """Return a number and the text of its unit."""
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµμ*/^ ")
    try:
        return float(digits), text.strip()[len(digits) :].strip()
    except ValueError:
        raise ParameterError(f"--set {item}: '{text}' is no number") from None


def _range(item: str, text: str) -> tuple[str, ...]:
    parts = [_number(item, part) for part in text.split(":")]
    units = [unit for _, unit in parts if unit]
    unit = parts[0][1]
    if units and (not unit or len(units) < 3):
        raise ParameterError(f"--set {item}: FIRST, LAST and STEP need a unit each, such as 10ms:20ms:2ms")
    factors = [_factor(item, u, unit) for _, u in parts]
    first, last, step = (value * factor for (value, _), factor in zip(parts, factors, strict=True))
    if not all(math.isfinite(x) for x in (first, last, step)) or step == 0 or (last - first) * step < 0:
        raise ParameterError(f"--set {item}: from {first:g} no step of {step:g} leads to {last:g}")
    count = math.floor((last - first) / step * (1 + 1e-12) + 1e-9) + 1
    if count > MOST_POINTS:
        raise ParameterError(f"--set {item}: {count:,} values are more than a sweep takes ({MOST_POINTS:,})")
    # Twelve digits: 4 + 3 * 0.1 is written 4.3, as a user would write it.
    return tuple(f"{first + k * step:.12g}{unit}" for k in range(count))


def _factor(item: str, unit: str, into: str) -> float:
    if unit == into:
        return 1.0
    try:
        one, other = parse_quantity(f"1{unit}"), parse_quantity(f"1{into}")
        if isinstance(one, Quantity) and isinstance(other, Quantity) and one.dim == other.dim:
            return float(one / other)
    except NeurosimError:
        pass
    raise ParameterError(f"--set {item}: '{unit}' and '{into}' are not units of the same kind")


def grid(varied: Mapping[str, Sequence[str]], trials: int, seed: int) -> list[Point]:
    """Return all points: the last key varies fastest, trials fastest of all.

    Parameters
    ----------
    varied : mapping
        Key -> values, as :func:`axes` returns them.
    trials : int
        Runs of each combination; trial k has the seed ``seed + k``.
    seed : int
        Seed of trial 0.
    """
    if trials < 1:
        raise ParameterError(f"trials must be at least 1, got {trials}")
    count = math.prod(len(v) for v in varied.values()) * trials
    if count > MOST_POINTS:
        raise ParameterError(f"{count:,} points are more than a sweep takes ({MOST_POINTS:,})")
    if not 0 <= seed <= 2**64 - trials:
        raise ParameterError(f"seeds run from {seed} to {seed + trials - 1}; they lie between 0 and 2**64 - 1")
    combinations = itertools.product(*varied.values())
    pairs = itertools.product(combinations, range(trials))
    return [Point(k, dict(zip(varied, values, strict=True)), t, seed + t) for k, (values, t) in enumerate(pairs)]

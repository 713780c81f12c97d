"""Durations as whole numbers of steps."""

from __future__ import annotations

from neurosim.errors import ParameterError

TOLERANCE = 1e-6
"""How far, in steps, a constant duration may lie from a whole number of steps and still be taken as it."""

LONGEST = 1 << 24
"""Whole numbers up to this one are exact in single precision: countdowns and the steps since an event are held in the
precision of the run."""

MOST_STEPS = 1 << 53
"""Steps from here on are not told apart in double precision."""

NEVER = float(LONGEST)
"""Steps since an event that has not happened, or that happened longer ago than anyone counts."""


def whole_steps(
    seconds: float, dt: float, what: str, where: str | None, least: int = 0, most: int | None = None
) -> int:
    """Return a constant duration in steps, or complain and name the nearest legal values."""
    ratio = seconds / dt
    if not ratio < MOST_STEPS:
        raise ParameterError(
            f"{what} is {seconds:.6g} s, more steps at dt = {_ms(dt)} than can be counted (2^53)", where
        )
    if most is not None and ratio >= most:
        raise ParameterError(
            f"{what} is {_ms(seconds)}, which is not less than {most} steps at dt = {_ms(dt)} ({_ms(most * dt)}): the "
            "steps since an event are not counted any further",
            where,
        )
    steps = round(ratio)
    if abs(ratio - steps) <= max(TOLERANCE, 4e-16 * ratio) and steps >= least:  # the quotient itself is rounded
        return int(steps)
    low = max(least, int(ratio // 1))
    legal = f"{_ms(low * dt)} or {_ms((low + 1) * dt)}" if ratio > least else _ms(least * dt)
    raise ParameterError(
        f"{what} is {_ms(seconds)}, which is {'less than' if ratio < least else 'not a whole number of'} "
        f"{'the smallest legal value' if ratio < least else 'steps'} at dt = {_ms(dt)}; nearest legal: {legal}",
        where,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.6g} ms"

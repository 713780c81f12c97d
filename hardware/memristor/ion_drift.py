"""The memristor of linear ion drift, as a cell: it runs on every backend.

A film of thickness D is doped up to the part x of it. Its resistance is that of both parts in series, and the boundary
moves with the current::

    R = r_on*x + r_off*(1 - x)          dx/dt = mobility*r_on/D**2 * (v/R) * f(x)

(D. B. Strukov, G. S. Snider, D. R. Stewart & R. S. Williams, Nature 453 (2008), 80, equations 5 and 6). The window f
slows the boundary at the ends of the film. Without one, x is a function of the flux alone, the integral of v in time
(:func:`drifted_state`): that is what makes it a memristor. A step is one of the midpoint method, and x stays within 0
and 1, whatever the window: near 1 the resistance is least and the current largest, and steps must be short there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.hardware.rewriting import is_number, positive
from neurosim.lang.components import Cell
from neurosim.params import Param
from neurosim.units import kohm, metre, nm, ohm, second, volt

WINDOWS = {
    "hard": "1",
    "joglekar": "1 - ((2*{x} - 1)**2)**p",
    "biolek": "1 - (({x} - where(i > 0*volt, 0, 1))**2)**p",
}
"""Name -> f: none within the film; Y. N. Joglekar & S. J. Wolf, Eur. J. Phys. 30 (2009), 661, which never lets go of a
boundary that is at an end; Z. Biolek, D. Biolek & V. Biolková, Radioengineering 18 (2009), 210, which does."""

_RATE = "mobility*r_on/thickness**2*(i/(r_on*{x} + r_off*(1 - {x})))*({window})"

_EQUATIONS = "middle = clip(x + dt/2*{first}, 0, 1); x[n+1] = clip(x + dt*{second}, 0, 1)"

_MOBILITY = metre**2 / (volt * second)

_UNITS = {
    "r_on": Param(100 * ohm, ohm, "resistance of the film when doped throughout", lo=0 * ohm, lo_open=True),
    "r_off": Param(16 * kohm, ohm, "resistance of the film without doping", lo=0 * ohm, lo_open=True),
    "mobility": Param(1e-14 * _MOBILITY, _MOBILITY, "mobility of the dopants"),
    "thickness": Param(10 * nm, nm, "thickness of the film", lo=0 * nm, lo_open=True),
}


def IonDrift(window: str = "hard", *, p: float = 1.0, x: float = 0.1, **params: Any) -> Cell:
    """Return a population's cell that is a memristor; a stimulus, in volts, is the voltage across it.

    ``x`` can be recorded; the resistance is ``r_on*x + r_off*(1 - x)``.

    Parameters
    ----------
    window : {"hard", "joglekar", "biolek"}
        What slows the boundary at the ends of the film.
    p : float
        Of the windows that have one: the larger, the more they are like ``hard``.
    x : float
        Doped part at the start, 0 to 1.
    **params
        ``r_on`` (100 ohm), ``r_off`` (160 times that), ``mobility`` (1e-14 m^2/(V s)) and ``thickness`` (10 nm): ratio,
        mobility and thickness as in Strukov's figure 2b.

    Raises
    ------
    ParameterError
        No such window; p or x out of range.
    """
    where = caller()
    if not isinstance(window, str) or window not in WINDOWS:
        raise ParameterError(f"window must be one of {', '.join(map(repr, WINDOWS))}, got {window!r}", where)
    if not is_number(p) or not is_number(x) or not 0 < p < np.inf or not 0 <= x <= 1:
        raise ParameterError(f"a memristor needs numbers, p above 0 and x from 0 to 1, got p={p!r} and x={x!r}", where)
    own: dict[str, Any] = {**_UNITS}
    if window != "hard":
        own["p"] = Param(float(p), 1, "exponent of the window")
    first, second = (_RATE.format(x=name, window=WINDOWS[window].format(x=name)) for name in ("x", "middle"))
    made: Cell = Cell(
        _EQUATIONS.format(first=first, second=second), init={"x": float(x)}, name="IonDrift",
        doc="a memristor of linear ion drift: the current through it moves the boundary of its doped part",
        source="D. B. Strukov et al., Nature 453 (2008), 80", **own,
    )(**params)  # fmt: skip
    return made


def drifted_state(
    flux: Any, x: float = 0.1, *, r_on: float = 100.0, r_off: float = 16e3, mobility: float = 1e-14,
    thickness: float = 10e-9,
) -> np.ndarray:  # fmt: skip
    """Return the doped part after a flux, without a window, in closed form; all in SI units.

    ``R dx = k v dt`` with ``R = r_off - (r_off - r_on) x`` and ``k = mobility*r_on/thickness**2`` is integrated to a
    quadratic equation in x. It holds while the boundary is within the film: at its ends the boundary stays, and what x
    is then depends on more than the flux (:func:`IonDrift` goes on). With the defaults that is from -0.15 to 0.65 V s.

    Parameters
    ----------
    flux : array_like
        Integral of the voltage from the start, in V s; its past, too, must lie in the range.
    x : float
        Doped part at the start, 0 to 1.
    r_on, r_off, mobility, thickness : float
        As those of :func:`IonDrift`, in ohm, m^2/(V s) and m.

    Raises
    ------
    ParameterError
        A flux with which the boundary would leave the film, or a parameter out of range.
    """
    sizes = {"r_on": r_on, "r_off": r_off, "mobility": mobility, "thickness": thickness}
    r_on, r_off, mobility, thickness = (positive(value, name, zero=False) for name, value in sizes.items())
    if not is_number(x) or not 0 <= x <= 1:
        raise ParameterError(f"the doped part at the start must be a number from 0 to 1, got x={x!r}", caller())
    try:
        given = np.asarray(flux, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"the flux must be numbers, in V s, got {flux!r}", caller()) from None
    k, less = mobility * r_on / thickness**2, r_off - r_on
    begun, full = r_off * x - less * x * x / 2, (r_on + r_off) / 2
    moved = k * given + begun  # 0 at x = 0, full at x = 1
    slack = 1e-12 * full
    if not np.all((moved >= -slack) & (moved <= full + slack)):
        raise ParameterError(
            f"from x = {x:g} the boundary is within the film for a flux from {-begun / k:.6g} to "
            f"{(full - begun) / k:.6g} V s, got {given.min():.6g} to {given.max():.6g}: beyond it stays at an end of "
            "the film, and an IonDrift cell, run, says when it leaves", caller(),
        )  # fmt: skip
    moved = np.clip(moved, 0.0, full)
    # the root of x*r_off - less*x**2/2 = moved within the film, without a division by less, which may be 0
    return np.asarray(2 * moved / (r_off + np.sqrt(r_off**2 - 2 * less * moved)))

"""Print the minimax coefficients of neurosim/ir/functions.py (needs mpmath; runs half a minute).

Each polynomial approximates the part of a function that is left after its leading terms, such that the largest error
of the whole function, relative to it, is smallest (Remez' exchange on a dense grid, 60 digits). The coefficients are
rounded to the format at the end, and the error is printed after that rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

Real = mpmath.mpf
GRID = 1500


def minimax(f: Callable[[Real], Real], weight: Callable[[Real], Real], low: Real, high: Real, terms: int) -> list[Real]:
    """Return coefficients, lowest first, of the polynomial that minimises max ``|weight (f - p)|`` on (low, high)."""
    middle, half = (low + high) / 2, (high - low) / 2
    xs = [middle - half * mpmath.cos(mpmath.pi * (k + mpmath.mpf(1) / 2) / GRID) for k in range(GRID)]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    chosen = [round(GRID * (k + 0.5) / (terms + 1)) for k in range(terms + 1)]
    for _ in range(30):
        a = mpmath.matrix(terms + 1)
        b = mpmath.matrix(terms + 1, 1)
        for row, k in enumerate(chosen):
            for j in range(terms):
                a[row, j] = xs[k] ** j
            a[row, terms] = (-1) ** row / ws[k]
            b[row] = fs[k]
        solution = mpmath.lu_solve(a, b)
        p = [solution[j] for j in range(terms)]
        error = [w * (v - mpmath.polyval(p[::-1], x)) for x, v, w in zip(xs, fs, ws, strict=True)]
        peaks: list[int] = []  # the largest error of each run of one sign
        for k in range(GRID):
            if peaks and (error[k] > 0) == (error[peaks[-1]] > 0):
                if abs(error[k]) > abs(error[peaks[-1]]):
                    peaks[-1] = k
            else:
                peaks.append(k)
        while len(peaks) > terms + 1:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < terms + 1 or peaks == chosen:
            break
        chosen = peaks
    return p


def rounded(x: Real, single: bool) -> float:
    """The nearest number of the format."""
    return float(np.float32(float(x))) if single else float(x)


def show(
    name: str,
    f: Callable[[Real], Real],
    weight: Callable[[Real], Real],
    low: Real,
    high: Real,
    terms: int,
    single: bool,
) -> None:
    """Print one polynomial and its error as a power of two."""
    p = [rounded(c, single) for c in minimax(f, weight, low, high, terms)]
    xs = [low + (high - low) * (k + mpmath.mpf(1) / 2) / 998 for k in range(998)]
    worst = max(abs(weight(x) * (f(x) - mpmath.polyval([mpmath.mpf(c) for c in p[::-1]], x))) for x in xs)
    print(f"{name} {'single' if single else 'double'}: error 2^{float(mpmath.log(worst, 2)):.1f}")
    for c in p:
        print(f"    {float(np.float32(c)) if single else c!r},")


def pieces(x: Real, parts: list[int], single: bool) -> list[float]:
    """Split a constant: one piece ending at each of the given bits after the point, and the rest."""
    out = []
    for bit in parts:
        piece = mpmath.floor(x * mpmath.mpf(2) ** bit) / mpmath.mpf(2) ** bit
        out.append(float(piece))
        x -= piece
    return [*out, rounded(x, single)]


def main() -> None:
    """Print everything."""
    mpmath.mp.dps = 60
    exp, log, sin, cos = mpmath.exp, mpmath.log, mpmath.sin, mpmath.cos
    sqrt = mpmath.sqrt
    half_ln2 = log(2) / 2 * mpmath.mpf("1.001")
    s_max = (sqrt(mpmath.mpf(2)) - 1) / (sqrt(mpmath.mpf(2)) + 1)
    z_log = (s_max * mpmath.mpf("1.001")) ** 2
    z_sin = (mpmath.pi / 4 * mpmath.mpf("1.001")) ** 2
    tiny = mpmath.mpf(10) ** -20

    def atanh2(z: Real) -> Real:  # log((1 + s) / (1 - s)) / s with z = s^2
        return log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z)

    for single in (False, True):
        show(
            "exp: (e^r - 1 - r) / r^2",
            lambda r: (exp(r) - 1 - r) / r**2,
            lambda r: r**2 / abs(exp(r) - 1),
            -half_ln2,
            half_ln2,
            6 if single else 11,
            single,
        )
        show(
            "log: (log((1+s)/(1-s)) - 2s) / s^3, z = s^2",
            lambda z: (atanh2(z) - 2) / z,
            lambda z: z / 2,
            tiny,
            z_log,
            3 if single else 7,
            single,
        )
        show(
            "pow: (3/2 log((1+s)/(1-s)) / s - 3 - s^2) / s^4, z = s^2",
            lambda z: (mpmath.mpf(3) / 2 * atanh2(z) - 3 - z) / z**2,
            lambda z: z**2 / 3,
            tiny,
            z_log,
            3 if single else 7,
            single,
        )
        show(
            "sin: (sin r - r) / r^3, z = r^2",
            lambda z: (sin(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3,
            lambda z: sqrt(z) ** 3 / sin(sqrt(z)),
            tiny,
            z_sin,
            3 if single else 6,
            single,
        )
        show(
            "cos: (cos r - 1 + r^2 / 2) / r^4, z = r^2",
            lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2,
            lambda z: z**2 / cos(sqrt(z)),
            tiny,
            z_sin,
            3 if single else 6,
            single,
        )
        for name, value, parts in (
            ("ln 2", log(2), [13] if single else [40]),
            ("ln 2 of pow", log(2), [12] if single else [26]),
            ("pi/2", mpmath.pi / 2, [7, 15, 23, 31] if single else [26, 53]),
            ("2/(3 ln 2)", 2 / (3 * log(2)), [11] if single else [25]),
            ("1/ln 2", 1 / log(2), []),
            ("2/pi", 2 / mpmath.pi, []),
        ):
            print(name, pieces(value, parts, single))


if __name__ == "__main__":
    main()

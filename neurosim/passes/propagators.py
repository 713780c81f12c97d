"""Exact propagators of linear systems: ``P = expm(A dt)`` and ``Phi = integral_0^dt expm(A s) ds``.

``x' = A x + b`` with constant ``b`` is stepped by ``x <- P x + Phi b``. P and Phi are computed in double-double
arithmetic (about 105 bits) and rounded at the end; nothing divides by ``tau_m - tau_syn``, so no case is degenerate.

1. *Balance.* Integer exponents ``d`` with ``|a_ij dt| 2^(d_j - d_i) <= 2^mu`` for all i, j, where ``2^mu`` is the
   largest geometric mean of ``|A dt|`` over a cycle (max-plus eigenvalue and its Kleene star; integers only). The
   similarity is exact, and 1/C ~ 1e10 beside 1/tau ~ 1e2 costs nothing.
2. *Scale* by ``2^-s`` so that the spectral radius of ``|X|`` is at most 1/8. ``A dt`` is formed unrounded.
3. *Taylor.* ``R = sum X^k / (k+1)!`` by Horner's rule to order n + 15, ``P = I + X R``. Entry (i, j) starts at the
   power that is the length of the shortest path from i to j (at most n - 1), so truncation is componentwise small.
4. *Double* s times: ``R <- (I + P) R / 2``, ``P <- P P``: the two non-trivial blocks of the square of the augmented
   matrix ``expm [[X, I], [0, 0]]``. Relative errors grow by at most 2 per doubling (s = 13 where dt / tau = 1e3), and
   nothing cancels for neuron models, whose couplings do not change sign along a path.
5. ``Phi = R dt``; undo the balance; round.

Only entries that a path of non-zeros in A reaches are computed; all others are exactly 0.0. Only elementwise +, -, *,
``frexp`` and ``ldexp`` are used, never BLAS or ``exp``: neither platform nor batch can change a bit. Results below
about 1e-290 lose digits gradually, and growth beyond about 1e300 counts as overflow.

References
----------
Dekker, T. J. (1971). A floating-point technique for extending the available precision. Numer. Math. 18, 224-242.
Van Loan, C. F. (1978). Computing integrals involving the matrix exponential. IEEE Trans. Autom. Control 23, 395-404.
Higham, N. J. (2005). The scaling and squaring method for the matrix exponential revisited. SIMAX 26, 1179-1193.
Rotter, S., Diesmann, M. (1999). Exact digital simulation of time-invariant linear systems. Biol. Cybern. 81, 381-402.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.errors import ParameterError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
DD = tuple[Array, Array]  # unevaluated sum high + low, with high = fl(high + low)

_NONE = -(1 << 40)  # max-plus zero: the exponent of 0.0
_SCALE_BITS = 3  # spectral radius of |X| after scaling: at most 2^-3
_EXTRA_ORDER = 15  # Taylor order beyond n: (1/8)^16 / 16! is 2e-28
_CHUNK_ELEMENTS = 1 << 14  # per work array, so that a dozen of them stay in the cache


class _Pattern(NamedTuple):
    """Entries (row[p], col[p]) that may be non-zero, and how a product of two such matrices is summed."""

    row: Ints
    col: Ints
    diagonal: Ints  # positions p with row == col
    terms: list[tuple[Ints, Ints]]  # t-th summand of positions 0..len-1: positions of its left and right factors


def propagators(A: ArrayLike, dt: float) -> tuple[Array, Array]:
    """Return ``expm(A dt)`` and ``integral_0^dt expm(A s) ds`` of a batch of small matrices.

    Parameters
    ----------
    A : array_like, shape (B, n, n)
        System matrices, taken as exact.
    dt : float
        Length of the step, positive, taken as exact.

    Returns
    -------
    P, Phi : ndarray, shape (B, n, n), float64
        Well-conditioned entries within 0.51 units in the last place, structural zeros exactly 0.0.

    Raises
    ------
    ParameterError
        If the shape is wrong, an entry or dt is not finite, dt is not positive, or the result overflows.
    """
    a = np.asarray(A, dtype=np.float64)
    step = float(dt)
    if a.ndim != 3 or a.shape[1] != a.shape[2]:
        raise ParameterError(f"system matrices must have shape (B, n, n), not {a.shape}")
    if not (math.isfinite(step) and step > 0.0):
        raise ParameterError(f"dt must be positive and finite, not {step!r}")
    finite = np.isfinite(a)
    if not finite.all():
        b, i, j = (int(x) for x in np.argwhere(~finite)[0])
        raise ParameterError(f"system matrix {b} has the entry {a[b, i, j]} at row {i}, column {j}; it must be finite")
    p, phi = np.zeros(a.shape), np.zeros(a.shape)
    if a.size == 0:
        return p, phi
    pattern = _pattern(np.any(a != 0.0, axis=0))
    size = max(1, _CHUNK_ELEMENTS // len(pattern.row))
    with np.errstate(all="ignore"):  # underflow is meant; overflow is looked for below
        for start in range(0, a.shape[0], size):
            part = slice(start, start + size)
            values = _chunk(np.ascontiguousarray(np.moveaxis(a[part], 0, -1)), step, pattern)
            for out, value in zip((p, phi), values, strict=True):
                out[part, pattern.row, pattern.col] = value.T
    finite = np.isfinite(p) & np.isfinite(phi)
    if not finite.all():
        b = int(np.argwhere(~finite)[0][0])
        raise ParameterError(f"system matrix {b} grows beyond the range of float64 within one step of dt = {step!r}")
    return p, phi


def _chunk(a: Array, dt: float, pattern: _Pattern) -> tuple[Array, Array]:
    """Both results for matrices ``a`` of shape [n, n, b], at the positions of ``pattern``: [positions, b]."""
    n, row, col = a.shape[0], pattern.row, pattern.col
    dt_mantissa, dt_exponent = math.frexp(dt)
    mantissa, exponent = np.frexp(a)
    exponent = exponent.astype(np.int64) + dt_exponent
    shift, d = _balance(np.where(a == 0.0, _NONE, exponent + np.frexp(np.abs(mantissa) * dt_mantissa)[1]))
    order = np.argsort(-shift, kind="stable")  # so that the sets still to be doubled are always the first ones
    shift, d, mantissa, exponent = shift[order], d[:, order], mantissa[row, col][:, order], exponent[row, col][:, order]
    similarity = d[col] - d[row]
    x = _two_prod(_ldexp(mantissa, exponent + similarity - shift), dt_mantissa)

    degree = n + _EXTRA_ORDER
    r: DD = np.zeros(x[0].shape), np.zeros(x[0].shape)
    for k in range(degree, -1, -1):  # Horner
        r = _add_diagonal(_matmul(r, x, pattern), Fraction(1, math.factorial(k + 1)), pattern)
    p = _add_diagonal(_matmul(r, x, pattern), Fraction(1), pattern)
    for level in range(int(shift[0])):
        m = int(np.count_nonzero(shift > level))
        p_m, r_m = (p[0][:, :m], p[1][:, :m]), (r[0][:, :m], r[1][:, :m])
        twice = _matmul(_add_diagonal(p_m, Fraction(1), pattern), r_m, pattern)
        r[0][:, :m], r[1][:, :m] = 0.5 * twice[0], 0.5 * twice[1]
        p[0][:, :m], p[1][:, :m] = _matmul(p_m, p_m, pattern)

    phi, low = _two_prod(r[0], dt_mantissa)
    phi = phi + (low + r[1] * dt_mantissa)
    back = np.argsort(order, kind="stable")
    p_out, phi_out = _ldexp(p[0], -similarity), _ldexp(phi, dt_exponent - similarity)
    return p_out[:, back] + 0.0, phi_out[:, back] + 0.0  # -0.0 becomes 0.0


def _balance(e: Ints) -> tuple[Ints, Ints]:
    """Number of halvings [b] and balancing exponents d [n, b] for matrices with ``|x_ij| <= 2^e_ij``, [n, n, b]."""
    n, b = e.shape[0], e.shape[2]
    walk, mu = e, np.full(b, _NONE, dtype=np.int64)
    reach = (e > _NONE // 2) | np.eye(n, dtype=bool)[:, :, None]
    for length in range(1, n + 1):  # largest cycle mean, rounded up; -(-a // b) is the ceiling
        walk = walk if length == 1 else np.max(walk[:, :, None] + e[None, :, :], axis=1)
        mu = np.maximum(mu, np.max(-(-walk[np.arange(n), np.arange(n)] // length), axis=0))
    for k in range(n):
        reach = reach | (reach[:, None, k] & reach[None, k, :])
    component = np.max(np.sum(reach & reach.swapaxes(0, 1), axis=0), axis=0)  # size of the largest cyclic block
    bits = np.array([max(c - 1, 0).bit_length() for c in range(n + 1)], dtype=np.int64)[component] + _SCALE_BITS
    mu = np.maximum(mu, -bits)
    star = e - mu
    for k in range(n):  # no cycle of e - mu is positive, so heaviest paths exist
        star = np.maximum(star, star[:, None, k] + star[None, k, :])
    return mu + bits, np.maximum(np.max(star, axis=1), 0)


def _pattern(nonzero: NDArray[np.bool_]) -> _Pattern:
    """Positions reachable along non-zeros (reflexive, transitive), those with the longest sums first."""
    n = len(nonzero)
    reach = nonzero | np.eye(n, dtype=bool)
    for k in range(n):
        reach |= reach[:, k, None] & reach[None, k, :]
    sums = {(i, j): [k for k in range(n) if reach[i, k] and reach[k, j]] for i, j in np.argwhere(reach).tolist()}
    pairs = sorted(sums, key=lambda pair: (-len(sums[pair]), pair))
    at = {pair: p for p, pair in enumerate(pairs)}
    terms = []
    for t in range(len(sums[pairs[0]])):
        used = [(i, sums[i, j][t], j) for i, j in pairs if len(sums[i, j]) > t]
        terms.append((np.array([at[i, k] for i, k, _ in used]), np.array([at[k, j] for _, k, j in used])))
    row, col = np.array(pairs).T
    return _Pattern(row, col, np.array([at[i, i] for i in range(n)]), terms)


def _ldexp(x: Array, exponent: Ints) -> Array:
    return np.ldexp(x, np.clip(exponent, -5000, 5000).astype(np.int32))  # int32: C int on every platform


def _split(x: Array) -> DD:
    """Veltkamp: x = high + low exactly, 26 bits each."""
    c = 134217729.0 * x
    high = c - (c - x)
    return high, x - high


def _two_sum(a: Array, b: Array | float) -> DD:
    """Knuth: s + e = a + b exactly."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def _two_prod(a: Array, b: float) -> DD:
    """Dekker: p + e = a b exactly."""
    p = a * b
    a1, a2 = _split(a)
    b1, b2 = _split(np.float64(b))  # type: ignore[arg-type]
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _matmul(a: DD, b: DD, pattern: _Pattern) -> DD:
    """Matrix product of double-doubles; a summand that is zero changes no bit of the sum."""
    (a1, a2), (b1, b2) = _split(a[0]), _split(b[0])
    high, low = np.zeros(a[0].shape), np.zeros(a[0].shape)
    for left, right in pattern.terms:
        m = len(left)
        u, u1, u2, v, v1, v2 = a[0][left], a1[left], a2[left], b[0][right], b1[right], b2[right]
        p = u * v
        error = ((u1 * v1 - p) + u1 * v2 + u2 * v1) + u2 * v2
        error += u * b[1][right] + a[1][left] * v
        high[:m], carry = _two_sum(high[:m], p)
        low[:m] += carry + error
    return _two_sum(high, low)


def _add_diagonal(a: DD, value: Fraction, pattern: _Pattern) -> DD:
    high, low = a[0].copy(), a[1].copy()
    c = float(value)
    at = pattern.diagonal
    s, e = _two_sum(high[at], c)
    high[at], low[at] = _two_sum(s, e + (low[at] + float(value - Fraction(c))))
    return high, low

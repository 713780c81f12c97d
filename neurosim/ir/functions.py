"""exp, log, ndtri, …: every function of the operation list as a program over the primitive operations.

No engine calls a library's: NumPy, numba and torch differ from each other in the last bit. A body uses only
``+ - * /``, comparisons, ``select``, ``sqrt``, ``rint``, ``floor`` and the three exponent operations, in a fixed order,
without branches and without fused multiply-add; it may use functions that stand before it in this file. Every body
exists twice, for double and for single precision, with literals of its own.

The methods are the usual ones: reduce the argument so that little is left (exactly, with constants in two or three
pieces), take the leading terms of the series as they are, approximate the remainder by a minimax polynomial
(``scripts/coefficients.py`` finds the coefficients), and put the pieces together small ones first. Power carries the
logarithm in two numbers; ndtri is Wichura's rational approximation. Results between zero and the smallest normal
number are not produced by exp and pow: they are 0.0 (the smallest results are stated with the bounds).

The bounds are the largest errors seen, in units in the last place of the result, rounded up: in double over some
millions of arguments, in single over all of them (pow and ndtri: samples). ``tests/test_functions.py`` measures them
again, against the next wider format and against 50 digits.

References
----------
Cody, W. J., Waite, W. (1980). Software Manual for the Elementary Functions. Prentice-Hall.
Dekker, T. J. (1971). A floating-point technique for extending the available precision. Numer. Math. 18, 224-242.
Tang, P. T. P. (1990). Table-driven implementation of the logarithm function. ACM Trans. Math. Softw. 16, 378-400.
Wichura, M. J. (1988). Algorithm AS 241: The percentage points of the normal distribution. Appl. Statist. 37, 477-484.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurosim.ir.program import Builder, Program

INF, NAN = math.inf, math.nan


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes
    ----------
    name : str
        Its operation.
    arity : int
        Number of arguments; a body reads argument ``k`` as ``arg`` with attribute ``k``.
    body, body_single : Program
        What it computes, for each precision.
    bound : str
        Largest error in units in the last place and the domain, double then single.
    source : str
        Method.
    """

    name: str
    arity: int
    body: Program
    body_single: Program
    bound: str
    source: str


class _V:
    """A value in a program being written; operators append instructions, plain numbers become literals."""

    __slots__ = ("b", "k")

    def __init__(self, b: Builder, k: int) -> None:
        self.b, self.k = b, k

    def do(self, op: str, *others: _V | float) -> _V:
        return _V(self.b, self.b.emit(op, self.k, *(self._at(o) for o in others)))

    def _at(self, other: _V | float) -> int:
        return other.k if isinstance(other, _V) else self.b.const(float(other))

    def const(self, value: float) -> _V:
        return _V(self.b, self.b.const(float(value)))

    def select(self, a: _V | float, b: _V | float) -> _V:
        """``a`` where this (a condition) holds, else ``b``."""
        return self.do("select", a, b)

    def __add__(self, other: _V | float) -> _V:
        return self.do("add", other)

    def __sub__(self, other: _V | float) -> _V:
        return self.do("sub", other)

    def __mul__(self, other: _V | float) -> _V:
        return self.do("mul", other)

    def __truediv__(self, other: _V | float) -> _V:
        return self.do("div", other)

    def __radd__(self, other: float) -> _V:
        return self.const(other).do("add", self)

    def __rsub__(self, other: float) -> _V:
        return self.const(other).do("sub", self)

    def __rmul__(self, other: float) -> _V:
        return self.const(other).do("mul", self)

    def __rtruediv__(self, other: float) -> _V:
        return self.const(other).do("div", self)

    def __neg__(self) -> _V:
        return self.do("neg")

    def __lt__(self, other: _V | float) -> _V:
        return self.do("lt", other)

    def __le__(self, other: _V | float) -> _V:
        return self.do("le", other)

    def __gt__(self, other: _V | float) -> _V:
        return self.do("gt", other)

    def __ge__(self, other: _V | float) -> _V:
        return self.do("ge", other)

    def is_(self, other: _V | float) -> _V:
        return self.do("eq", other)

    def __or__(self, other: _V) -> _V:
        return self.do("or", other)

    def __and__(self, other: _V) -> _V:
        return self.do("and", other)


@dataclass(frozen=True)
class _Literals:
    """What differs between the precisions. Polynomials are listed from the constant term up."""

    exp: Sequence[float]  # (e^r - 1 - r) / r^2, |r| <= ln(2) / 2
    log: Sequence[float]  # (log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, |s| <= 0.1716
    pow: Sequence[float]  # (3/2 log((1 + s) / (1 - s)) / s - 3 - s^2) / s^4 in z = s^2
    sin: Sequence[float]  # (sin r - r) / r^3 in z = r^2, |r| <= pi / 4
    cos: Sequence[float]  # (cos r - 1 + r^2 / 2) / r^4 in z = r^2
    inv_ln2: float
    ln2: tuple[float, float]  # high part times any exponent is exact
    ln2_pow: tuple[float, float]  # high part has half the bits of the format
    cp: tuple[float, float]  # 2 / (3 ln 2), high part has half the bits of the format
    two_over_pi: float
    half_pi: Sequence[float]  # pieces; all but the last have an exact product with any multiple that occurs
    angle: float  # largest |argument| of sin and cos
    exp_range: tuple[float, float]  # e^x is 0 below, infinite above
    pow_range: tuple[float, float]  # 2^x is 0 below, infinite from
    pow_clamp: float  # exponents beyond it act like it
    splitter: float  # Veltkamp's constant
    tiny: float  # smallest normal number
    lift: float  # makes a denormal normal: exponent of two
    same: float  # below it expm1(x) and log1p(x) are x
    central: tuple[Sequence[float], Sequence[float]]  # ndtri: numerator and denominator, 0.075 <= p <= 0.925
    middle: tuple[Sequence[float], Sequence[float]]  # to e^-25
    far: tuple[Sequence[float], Sequence[float]]  # beyond


DOUBLE = _Literals(
    exp=(
        0.5,
        0.16666666666666677,
        0.041666666666666505,
        0.008333333333321608,
        0.0013888888888962895,
        0.00019841269886207915,
        2.4801587171854526e-05,
        2.755724410422601e-06,
        2.7557402932241094e-07,
        2.5109081382421237e-08,
        2.0875330540501197e-09,
    ),
    log=(
        0.6666666666666735,
        0.3999999999940748,
        0.28571428744142574,
        0.22222198378365438,
        0.18183575170983357,
        0.1531375562432704,
        0.14799067423508372,
    ),
    pow=(
        0.6000000000000343,
        0.4285714285512554,
        0.33333333784330554,
        0.272726761459773,
        0.23080155306973152,
        0.1988476253160894,
        0.19798925388417693,
    ),
    sin=(
        -0.1666666666666663,
        0.008333333333322005,
        -0.00019841269829495511,
        2.755731358762655e-06,
        -2.505074230915645e-08,
        1.5895904817802985e-10,
    ),
    cos=(
        0.041666666666666595,
        -0.0013888888888872895,
        2.4801587288748186e-05,
        -2.7557314148622755e-07,
        2.0875696572433782e-09,
        -1.1358310481156597e-11,
    ),
    inv_ln2=1.4426950408889634,
    ln2=(0.6931471805592082, 7.371002565167799e-13),
    ln2_pow=(0.6931471675634384, 1.2996506893889889e-08),
    cp=(0.9617966711521149, 2.2773860736742555e-08),
    two_over_pi=0.6366197723675814,
    half_pi=(1.570796325802803, 9.920935184482005e-10, 6.123233995736766e-17),
    angle=1e8,
    exp_range=(-708.0, 709.782712893384),
    pow_range=(-1021.0, 1024.0),
    pow_clamp=2.0**64,
    splitter=2.0**27 + 1.0,
    tiny=2.0**-1022,
    lift=54.0,
    same=2.0**-54,
    central=(
        (
            3.3871328727963666080e0,
            1.3314166789178437745e2,
            1.9715909503065514427e3,
            1.3731693765509461125e4,
            4.5921953931549871457e4,
            6.7265770927008700853e4,
            3.3430575583588128105e4,
            2.5090809287301226727e3,
        ),
        (
            1.0,
            4.2313330701600911252e1,
            6.8718700749205790830e2,
            5.3941960214247511077e3,
            2.1213794301586595867e4,
            3.9307895800092710610e4,
            2.8729085735721942674e4,
            5.2264952788528545610e3,
        ),
    ),
    middle=(
        (
            1.42343711074968357734e0,
            4.63033784615654529590e0,
            5.76949722146069140550e0,
            3.64784832476320460504e0,
            1.27045825245236838258e0,
            2.41780725177450611770e-1,
            2.27238449892691845833e-2,
            7.74545014278341407640e-4,
        ),
        (
            1.0,
            2.05319162663775882187e0,
            1.67638483018380384940e0,
            6.89767334985100004550e-1,
            1.48103976427480074590e-1,
            1.51986665636164571966e-2,
            5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ),
    ),
    far=(
        (
            6.65790464350110377720e0,
            5.46378491116411436990e0,
            1.78482653991729133580e0,
            2.96560571828504891230e-1,
            2.65321895265761230930e-2,
            1.24266094738807843860e-3,
            2.71155556874348757815e-5,
            2.01033439929228813265e-7,
        ),
        (
            1.0,
            5.99832206555887937690e-1,
            1.36929880922735805310e-1,
            1.48753612908506148525e-2,
            7.86869131145613259100e-4,
            1.84631831751005468180e-5,
            1.42151175831644588870e-7,
            2.04426310338993978564e-15,
        ),
    ),
)

SINGLE = _Literals(
    exp=(
        0.5,
        0.1666666567325592,
        0.04166635870933533,
        0.008333389647305012,
        0.0013940719654783607,
        0.00019845884526148438,
    ),
    log=(0.6666677594184875, 0.3997744917869568, 0.29874420166015625),
    pow=(0.6000022888183594, 0.4282055199146271, 0.3513159453868866),
    sin=(-0.16666655242443085, 0.008332155644893646, -0.0001951463200384751),
    cos=(0.04166664555668831, -0.0013887309469282627, 2.443241282890085e-05),
    inv_ln2=1.4426950216293335,
    ln2=(0.693115234375, 3.194618329871446e-05),
    ln2_pow=(0.693115234375, 3.194618329871446e-05),
    cp=(0.96142578125, 0.0003709126904141158),
    two_over_pi=0.6366197466850281,
    half_pi=(1.5703125, 0.000457763671875, 2.5987625122070312e-05, 7.543712854385376e-08, 6.07710062827671e-11),
    angle=1e5,
    exp_range=(-86.5, 88.72283172607422),
    pow_range=(-125.0, 128.0),
    pow_clamp=2.0**32,
    splitter=2.0**12 + 1.0,
    tiny=2.0**-126,
    lift=25.0,
    same=2.0**-25,
    central=(
        (3.3871327179e0, 5.0434271938e1, 1.5929113202e2, 5.9109374720e1),
        (1.0, 1.7895169469e1, 7.8757757664e1, 6.7187563600e1),
    ),
    middle=(
        (1.4234372777e0, 2.7568153900e0, 1.3067284816e0, 1.7023821103e-1),
        (1.0, 7.3700164250e-1, 1.2021132975e-1, 0.0),
    ),
    far=(
        (6.6579051150e0, 3.0812263860e0, 4.2868294337e-1, 1.7337203997e-2),
        (1.0, 2.4197894225e-1, 1.2258202635e-2, 0.0),
    ),
)


def _polynomial(x: _V, coefficients: Sequence[float | _V]) -> _V:
    """``c0 + c1 x + c2 x^2 + …``, neighbours paired (Estrin's scheme): shorter chains, a third faster than Horner's."""
    terms = [c if isinstance(c, _V) else x.const(c) for c in coefficients]
    while len(terms) > 1:
        pairs = [terms[k] + terms[k + 1] * x for k in range(0, len(terms) - 1, 2)]
        terms = pairs + terms[2 * len(pairs) :]
        if len(terms) > 1:
            x = x * x
    return terms[0]


def _power_of_e(r: _V, c: _Literals, low: _V | None = None) -> _V:
    """``e^(r + low) - 1`` for ``|r| <= ln(2) / 2`` and a negligible low part."""
    rest = (r * r) * _polynomial(r, c.exp)
    return r + (rest if low is None else rest + (low + low * r))


def _scaled(m: _V, k: _V) -> _V:
    """``(1 + m) 2^k``; 2^k itself would be infinite for the largest results."""
    return ((m + 1.0) * 2.0) * (k - 1.0).do("pow2")


def _reduce(x: _V, c: _Literals) -> tuple[_V, _V]:
    """``k`` and ``r`` with ``x = k ln 2 + r``."""
    k = (x * c.inv_ln2).do("rint")
    return k, (x - k * c.ln2[0]) - k * c.ln2[1]


def _exp(c: _Literals, x: _V) -> _V:
    k, r = _reduce(x, c)
    y = _scaled(_power_of_e(r, c), k)
    low, high = c.exp_range
    return (x > high).select(INF, (x < low).select(0.0, y))


def _expm1(c: _Literals, x: _V) -> _V:
    k, r = _reduce(x, c)
    half = (k - 1.0).do("pow2")
    y = (_power_of_e(r, c) * half + (half - 0.5)) * 2.0
    low, high = c.exp_range
    y = (x > high).select(INF, (x < low).select(-1.0, y))
    return (x.do("abs") < c.same).select(x, y)  # also keeps denormals and -0


def _exprel(c: _Literals, x: _V) -> _V:
    y = x.is_(0.0).select(1.0, x.do("expm1") / x)
    return (x > c.exp_range[1]).select(INF, y)


def _parts(x: _V, c: _Literals) -> tuple[_V, _V]:
    """``e`` and ``m`` with ``x = m 2^e`` and ``sqrt(1/2) <= m <= sqrt(2)``, for positive finite x."""
    small = x < c.tiny
    lifted = small.select(x * 2.0**c.lift, x)
    e = lifted.do("exponent") - small.select(c.lift, 0.0)
    m = lifted.do("mantissa")
    upper = m > 1.4142135623730951
    return upper.select(e + 1.0, e), upper.select(m * 0.5, m)


def _log(c: _Literals, x: _V) -> _V:
    e, m = _parts(x, c)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    square = (f * 0.5) * f  # log(1 + f) = f - f^2/2 + s (f^2/2 + z L(z)): the leading terms carry no error
    y = e * c.ln2[0] - ((square - (s * (square + z * _polynomial(z, c.log)) + e * c.ln2[1])) - f)
    return (x > 0.0).select((x < INF).select(y, x), x.is_(0.0).select(-INF, NAN))


def _log1p(c: _Literals, x: _V) -> _V:
    u = x + 1.0
    main = u.do("log")
    y = main + (x - (u - 1.0)) / u  # what rounding 1 + x lost
    y = ((u > 0.0) & (u < INF)).select(y, main)
    return (x.do("abs") < c.same).select(x, y)


def _sigmoid(c: _Literals, x: _V) -> _V:
    return 1.0 / ((-x).do("exp") + 1.0)


def _tanh(c: _Literals, x: _V) -> _V:
    t = (x.do("abs") * -2.0).do("expm1")
    y = t / (t + 2.0)
    return (x < 0.0).select(y, -y)


def _wave(c: _Literals, x: _V, quarters: float) -> _V:
    """``sin(x + quarters pi / 2)``."""
    x = (x.do("abs") <= c.angle).select(x, NAN)
    n = (x * c.two_over_pi).do("rint")
    r = x
    for piece in c.half_pi:  # every difference is exact but the last one, or two in single
        r = r - n * piece
    z = r * r
    sine = r + (r * z) * _polynomial(z, c.sin)
    half = z * 0.5
    one = 1.0 - half
    cosine = one + (((1.0 - one) - half) + (z * z) * _polynomial(z, c.cos))
    turned = n + quarters if quarters else n
    quadrant = turned - (turned * 0.25).do("floor") * 4.0
    y = (quadrant.is_(1.0) | quadrant.is_(3.0)).select(cosine, sine)
    return (quadrant >= 2.0).select(-y, y)


def _split(x: _V, c: _Literals) -> _V:
    """The upper half of the bits of x."""
    big = x * c.splitter
    return big - (big - x)


def _log2_pair(x: _V, c: _Literals) -> tuple[_V, _V]:
    """``log2(x)`` as the sum of a number with half the bits and a small one."""
    e, m = _parts(x, c)
    d, f = m + 1.0, m - 1.0
    v = 1.0 / d
    s = f * v
    s_high, d_high = _split(s, c), _split(d, c)
    s_low = v * ((f - s_high * d_high) - s_high * (m - (d_high - 1.0)))
    z, square = s * s, s_high * s_high
    rest = (z * z) * _polynomial(z, c.pow) + s_low * (s_high + s)
    # log(m) = 2/3 s (3 + s^2 + rest)
    t_high = _split((square + 3.0) + rest, c)
    t_low = rest - ((t_high - 3.0) - square)
    high, low = s_high * t_high, s_low * t_high + t_low * s
    p_high = _split(high + low, c)
    p_low = low - (p_high - high)
    z_high = p_high * c.cp[0]
    z_low = p_high * c.cp[1] + p_low * (c.cp[0] + c.cp[1])
    total = _split((z_high + z_low) + e, c)
    return total, z_low - ((total - e) - z_high)


def _pow(c: _Literals, a: _V, b: _V) -> _V:
    high, low = _log2_pair(a, c)
    y = (b > c.pow_clamp).select(c.pow_clamp, (b < -c.pow_clamp).select(-c.pow_clamp, b))
    y_high = _split(y, c)
    p_high, p_low = y_high * high, (y - y_high) * high + y * low
    z = p_high + p_low
    k = z.do("rint")
    p_high = p_high - k
    t = _split(p_high + p_low, c)
    u = t * c.ln2_pow[0]
    v = (p_low - (t - p_high)) * (c.ln2_pow[0] + c.ln2_pow[1]) + t * c.ln2_pow[1]
    r = u + v
    y = _scaled(_power_of_e(r, c, v - (r - u)), k)
    y = (z >= c.pow_range[1]).select(INF, (z < c.pow_range[0]).select(0.0, y))
    at_zero, at_infinity = (b < 0.0).select(INF, 0.0), (b > 0.0).select(INF, 0.0)
    y = (a > 0.0).select((a < INF).select(y, at_infinity), a.is_(0.0).select(at_zero, NAN))
    return b.is_(0.0).select(1.0, b.do("ne", b).select(b, y))


def _ndtri(c: _Literals, p: _V) -> _V:
    q = p - 0.5
    below, central = q < 0.0, q.do("abs") <= 0.425
    x = 0.180625 - q * q
    inner = [_polynomial(x, part) for part in c.central]
    t = (-below.select(p, 1.0 - p).do("log")).do("sqrt")
    middle = t <= 5.0
    x = t - middle.select(1.6, 5.0)
    outer = [
        _polynomial(x, [middle.select(u, v) for u, v in zip(near, far, strict=True)])
        for near, far in zip(c.middle, c.far, strict=True)
    ]
    top = central.select(inner[0] * q, below.select(-outer[0], outer[0]))
    y = top / central.select(inner[1], outer[1])
    return (p <= 0.0).select(-INF, (p >= 1.0).select(INF, y))


def _function(name: str, arity: int, body: Callable[..., _V], bound: str, source: str) -> Function:
    programs = []
    for literals in (DOUBLE, SINGLE):
        b = Builder()
        args = [_V(b, b.emit("arg", attr=k)) for k in range(arity)]
        programs.append(b.build(body(literals, *args).k))
    return Function(name, arity, programs[0], programs[1], bound, source)


FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        _function(
            "exp",
            1,
            _exp,
            "double 1.0 ulp, single 1.0 ulp; 0 below -708 (single -86.5), inf above 709.78 (88.72)",
            "x = k ln 2 + r, minimax polynomial in r",
        ),
        _function(
            "expm1",
            1,
            _expm1,
            "double 2.3 ulp, single 1.8 ulp; every x, inf above 709.78 (single 88.72)",
            "as exp, with 2^k - 1 added last",
        ),
        _function(
            "exprel",
            1,
            _exprel,
            "double 2.3 ulp, single 2.0 ulp; every x, inf above 709.78 (single 88.72)",
            "expm1(x) / x",
        ),
        _function(
            "log",
            1,
            _log,
            "double 0.9 ulp, single 0.9 ulp; every x, denormal ones too",
            "x = m 2^e, series in s = (m - 1) / (m + 1)",
        ),
        _function(
            "log1p", 1, _log1p, "double 1.6 ulp, single 1.6 ulp; every x", "log(1 + x) and the rounding of 1 + x"
        ),
        _function(
            "sigmoid",
            1,
            _sigmoid,
            "double 2.4 ulp, single 2.6 ulp; 0 below -709.78 (single -88.72)",
            "1 / (1 + exp(-x))",
        ),
        _function("tanh", 1, _tanh, "double 2.8 ulp, single 2.7 ulp; every x", "t / (2 + t), t = expm1(-2 |x|)"),
        _function(
            "sin",
            1,
            lambda c, x: _wave(c, x, 0.0),
            "double 1.7 ulp, single 2.5 ulp; |x| <= 1e8 (single 1e4; to 1e5 within 9e-8), nan beyond",
            "Cody and Waite's reduction by pi/2",
        ),
        _function(
            "cos",
            1,
            lambda c, x: _wave(c, x, 1.0),
            "double 1.7 ulp, single 2.5 ulp; |x| <= 1e8 (single 1e4; to 1e5 within 9e-8), nan beyond",
            "Cody and Waite's reduction by pi/2",
        ),
        _function(
            "pow",
            2,
            _pow,
            "double 1.2 ulp, single 1.0 ulp; a >= 0, else nan; 0 below 2^-1021 (single 2^-125)",
            "2^(b log2 a), the logarithm in two numbers",
        ),
        _function(
            "ndtri",
            1,
            _ndtri,
            "double 6.0 ulp, single 6.0 ulp; 0 < a < 1, -inf and inf outside",
            "Wichura's AS 241, PPND16 and PPND7",
        ),
    )
}

"""What a weight, a delay or an initial value can be: a number, a distribution, an array or an expression.

Everything here is in SI units, and everything drawn is a function of (seed, stream, index): the index is the edge's id
in the canonical order of its rule, or the neuron's index, so that a value does not depend on who asks for it, in which
order, or in how many pieces.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError, ParameterError, suggest
from neurosim.ir.program import Program
from neurosim.ir.random import NORMAL_BOUND, Draws

if TYPE_CHECKING:
    from neurosim.ir.rules import EdgeContext

F64 = NDArray[np.float64]
Fn = Callable[..., Any]

PARAMETERS = {
    "uniform": ("lo", "hi"),
    "normal": ("mean", "sd"),
    "lognormal": ("mu", "sigma"),
    "exponential": ("mean", ""),
}
"""Kind -> names of its parameters ``a`` and ``b``."""

_U_MIN, _U_MAX = 2.0**-33, 1.0 - 2.0**-33
_LEAST_MASS = 1e-290
_LOG_MAX = 709.0


@dataclass(frozen=True)
class Draw:
    """A distribution; every number is one uniform of 32 bits, turned into a value by a non-decreasing function.

    ============  ===============================================  ====================================
    kind          a, b                                             value of the uniform number u
    ============  ===============================================  ====================================
    uniform       lower and upper end                              ``a + u (b - a)``
    normal        mean, standard deviation                         ``a + b ndtri(u)``
    lognormal     mean and standard deviation of the logarithm     ``exp(a + b ndtri(u))``
    exponential   mean, unused                                     ``-a log(1 - u)``
    ============  ===============================================  ====================================

    A lognormal's ``a`` is the logarithm of the value in SI units; ``exp(a)`` is its median (as in PyNN and NEST). As u
    stays 2^-33 away from 0 and 1, a normal number stays within 6.34 standard deviations.

    Attributes
    ----------
    kind : str
        ``uniform``, ``normal``, ``lognormal`` or ``exponential``.
    a, b : float
        The parameters.
    lo, hi : float, optional
        No value lies outside.
    how : str
        ``redraw``: as if values outside were drawn again until one lies inside, that is, the distribution given that
        it lies in [lo, hi]. It is had without repetition: u is replaced by ``F(lo) + u (F(hi) - F(lo))``, or by the
        mirror image of that in the upper tail where lo lies above the median. F(lo) and F(hi) are two constants,
        computed once with ``math.erfc`` and ``math.exp`` (so they, and nothing else here, rest on the platform's C
        library).
        ``clip``: values outside are moved to the nearest end.
    """

    kind: str
    a: float
    b: float = 0.0
    lo: float | None = None
    hi: float | None = None
    how: str = "redraw"

    def __post_init__(self) -> None:
        if self.kind not in PARAMETERS:
            raise ParameterError(f"no distribution '{self.kind}'{suggest(self.kind, PARAMETERS)}")
        if self.how not in ("redraw", "clip"):
            raise ParameterError(f"values out of bounds can be 'redraw'n or 'clip'ped, not '{self.how}'")
        first, second = PARAMETERS[self.kind]
        for name, value in ((first, self.a), (second or "b", self.b)):
            if not math.isfinite(value):
                raise ParameterError(f"{self.kind}: {name} must be finite, not {value:g}")
        if self.kind == "uniform" and self.b < self.a:
            raise ParameterError(f"uniform: hi = {self.b:g} lies below lo = {self.a:g}")
        if self.kind in ("normal", "lognormal") and self.b < 0:
            raise ParameterError(f"{self.kind}: {second} must be at least 0, not {self.b:g}")
        if self.kind == "exponential" and self.a <= 0:
            raise ParameterError(f"exponential: mean must be positive, not {self.a:g}")
        lo, hi = self._ends()
        if math.isnan(lo) or math.isnan(hi) or lo > hi:
            raise ParameterError(f"{self.kind}: the bounds [{lo:g}, {hi:g}] hold no value")
        if self.how == "redraw" and self._bounded() and not self._support()[0] >= _LEAST_MASS:
            raise ParameterError(f"{self.describe()}: no value lies within the bounds")
        if self.kind == "lognormal":
            overflows = hi == math.inf and self.a + NORMAL_BOUND * self.b > _LOG_MAX
        else:
            overflows = not math.isfinite(25.0 * abs(self.a) + 25.0 * abs(self.b))
        if overflows:
            raise ParameterError(f"{self.describe()}: values beyond the range of float64")

    def _bounded(self) -> bool:
        return self.lo is not None or self.hi is not None

    def _ends(self) -> tuple[float, float]:
        return -math.inf if self.lo is None else float(self.lo), math.inf if self.hi is None else float(self.hi)

    def _spread(self) -> bool:
        """Whether there is more than one value before bounds are looked at."""
        return self.kind == "exponential" or self.b > (self.a if self.kind == "uniform" else 0.0)

    def _score(self, x: float) -> float:
        """Where a bound lies on the scale on which the distribution is standard (normal or exponential)."""
        if self.kind == "lognormal":
            x = math.log(x) if x > 0.0 else -math.inf
        if self.kind == "exponential":
            return max(x, 0.0) / self.a
        return (x - self.a) / self.b

    def _support(self) -> tuple[float, float, float, bool]:
        """Probability of [lo, hi], F at its near and at its far end, and whether F counts from the upper end."""
        lo, hi = self._ends()
        if not self._spread():
            value = math.exp(self.a) if self.kind == "lognormal" else self.a
            return float(lo <= value <= hi), 0.0, 1.0, False
        if self.kind == "uniform":
            lo, hi = max(lo, self.a), min(hi, self.b)
            return (hi - lo) / (self.b - self.a), lo, hi, False
        p, q = self._score(lo), self._score(hi)
        if self.kind == "exponential":
            near, far = math.exp(-p), math.exp(-q)
            return near - far, near, far, True
        if p > 0.0:
            near, far = _below(-p), _below(-q)
            return near - far, near, far, True
        near, far = _below(p), _below(q)
        return far - near, near, far, False

    def _transform(self, u: F64, fn: Fn) -> F64:
        near, far, upper = 0.0, 1.0, False
        redraw = self.how == "redraw" and self._bounded()
        if redraw and self._spread():
            _, near, far, upper = self._support()
        if not self._spread():
            x = np.full(u.shape, math.exp(self.a) if self.kind == "lognormal" else self.a)
        elif self.kind == "uniform":
            near, far = (near, far) if redraw else (self.a, self.b)
            x = near + u * (far - near)
        elif self.kind == "exponential":
            x = -self.a * fn("log", near - u * (near - far) if redraw else 1.0 - u)
        else:
            v = (near - u * (near - far) if upper else near + u * (far - near)) if redraw else u
            z = fn("ndtri", v)
            x = self.a + self.b * (-z if upper else z)
            if self.kind == "lognormal":
                x = fn("exp", x)
        x = np.asarray(x, dtype=np.float64)
        return np.clip(x, *self._ends()) if self._bounded() else x

    def sample(self, draws: Draws, start: int, count: int) -> F64:
        """Return the values of indices start .. start + count - 1."""
        return self._transform(draws.uniform(start, count), draws.fn)

    def bound(self) -> float:
        """Return a magnitude that no value exceeds, at most 2e-12 (relative) above the largest that occurs."""
        from neurosim.ir.interp import call

        ends = self._transform(np.array([_U_MIN, _U_MAX]), call)
        slack = 1.0 + 2.0**-39  # the functions are monotone only up to their last bits
        lo, hi = self._ends()
        return max(abs(float(np.clip(ends[0] * slack, lo, hi))), abs(float(np.clip(ends[1] * slack, lo, hi))),
                   abs(float(ends[0])), abs(float(ends[1])))  # fmt: skip

    def mean(self) -> float:
        """Return the expected value, bounds included."""
        lo, hi = self._ends()
        if not self._spread():
            return min(max(math.exp(self.a) if self.kind == "lognormal" else self.a, lo), hi)
        mass, moment = self._moment(lo, hi)
        if not self._bounded():
            return moment
        if self.how == "redraw":
            return min(max(moment / mass, lo), hi)
        for end, part in ((lo, self._moment(-math.inf, lo)[0]), (hi, self._moment(hi, math.inf)[0])):
            moment += end * part if part > 0.0 else 0.0
        return moment

    def _moment(self, lo: float, hi: float) -> tuple[float, float]:
        """Probability of [lo, hi], and the integral of the value over it."""
        if self.kind == "uniform":
            lo, hi = min(max(lo, self.a), self.b), min(max(hi, self.a), self.b)
            return (hi - lo) / (self.b - self.a), 0.5 * (hi - lo) * (hi + lo) / (self.b - self.a)
        if lo >= hi:
            return 0.0, 0.0
        p, q = self._score(lo), self._score(hi)
        if self.kind == "exponential":
            tail = [(0.0, 0.0) if x == math.inf else (math.exp(-x), (x + 1.0) * math.exp(-x)) for x in (p, q)]
            return tail[0][0] - tail[1][0], self.a * (tail[0][1] - tail[1][1])
        mass = _between(p, q)
        if self.kind == "normal":
            return mass, self.a * mass + self.b * (_density(p) - _density(q))
        return mass, math.exp(self.a + 0.5 * self.b * self.b) * _between(p - self.b, q - self.b)

    def describe(self) -> str:
        """Return one line: kind, parameters (SI), bounds."""
        names = PARAMETERS[self.kind]
        values = ", ".join(f"{n} {v:g}" for n, v in zip(names, (self.a, self.b), strict=True) if n)
        if not self._bounded():
            return f"{self.kind}({values})"
        lo, hi = self._ends()
        return f"{self.kind}({values}), {'redrawn' if self.how == 'redraw' else 'clipped'} to [{lo:g}, {hi:g}]"


def _below(z: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


def _between(p: float, q: float) -> float:
    return _below(-p) - _below(-q) if p > 0.0 else _below(q) - _below(p)


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


class PerEdge(ABC):
    """Base of values of edges that are no number, distribution, array or expression over edges."""

    kind = "per edge"

    @abstractmethod
    def at(self, ctx: EdgeContext, start: int, pre: NDArray[Any], post: NDArray[Any], stream: str) -> F64:
        """Return the values of consecutive edges; see :func:`edge_values`."""

    @abstractmethod
    def support(self) -> Draw | F64:
        """Return what has the same least and greatest value: a distribution, or an array."""

    @abstractmethod
    def mean(self) -> float:
        """Return the mean over all edges, or about that."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line."""


@dataclass(frozen=True)
class Shared(PerEdge):
    """A value for each element of a kernel, which the edges of a rule share.

    Attributes
    ----------
    values : ndarray or Draw
        In the kernel's shape; or a distribution: element k takes the number of index k of the stream.
    shape : tuple of int
        The kernel's.
    """

    values: Draw | NDArray[np.float64]
    shape: tuple[int, ...]

    kind = "kernel"

    def kernel(self, draws: Draws) -> F64:
        """Return the kernel; ``draws`` is the stream from which a distribution takes its numbers."""
        if isinstance(self.values, Draw):
            return self.values.sample(draws, 0, math.prod(self.shape)).reshape(self.shape)
        return self.values

    def at(self, ctx: EdgeContext, start: int, pre: NDArray[Any], post: NDArray[Any], stream: str) -> F64:
        return self.kernel(ctx.draws(stream)).reshape(-1)[ctx.rule.element(pre, post, start)]

    def support(self) -> Draw | F64:
        return self.values

    def mean(self) -> float:
        return float(self.values.mean())

    def describe(self) -> str:
        kernel = f"a kernel of {' x '.join(map(str, self.shape))}"
        if isinstance(self.values, Draw):
            return f"{kernel}, each of {self.values.describe()}"
        return f"{kernel}, {float(self.values.min()):.6g} to {float(self.values.max()):.6g}"


EdgeValue = float | Draw | NDArray[np.float64] | Program | PerEdge
"""A value per edge: one number, a distribution, an array in the canonical order of the edges, or an expression; what
edges share, or what is read piece by piece, is a :class:`PerEdge`."""


def edge_values(
    value: EdgeValue, ctx: EdgeContext, start: int, pre: NDArray[Any], post: NDArray[Any], stream: str = "value"
) -> F64:
    """Return the values of consecutive edges.

    Parameters
    ----------
    value : float, Draw, ndarray or Program
        A program may use what :meth:`neurosim.ir.rules.EdgeContext.evaluate` offers, and draws one number per edge
        with ``uniform`` and ``normal``.
    ctx : EdgeContext
        The two groups; its ``draws`` makes the stream.
    start : int
        Id of the first of these edges.
    pre, post : ndarray
        Their ends, group-local.
    stream : str
        Name of the stream; weight and delay of one projection need different ones.
    """
    count = len(pre)
    if isinstance(value, Program):
        return np.asarray(ctx.evaluate(value, pre, post, start, stream), dtype=np.float64)
    if isinstance(value, Draw):
        return value.sample(ctx.draws(stream), start, count)
    if isinstance(value, PerEdge):
        return value.at(ctx, start, pre, post, stream)
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(count, float(array))
    if array.ndim != 1 or start + count > len(array):
        raise ConnectivityError(
            f"{stream}: an array of shape {array.shape} cannot serve edges {start} to {start + count - 1}; "
            "give one value per edge, in the order of the rule, or a single number"
        )
    return array[start : start + count]


def bound(value: EdgeValue) -> float | None:
    """Return a magnitude that no edge's value exceeds; None for a program, whose values have to be computed."""
    if isinstance(value, PerEdge):
        value = value.support()
    if isinstance(value, Program):
        return None
    if isinstance(value, Draw):
        return value.bound()
    array = np.asarray(value, dtype=np.float64)
    largest = max(abs(float(array.max())), abs(float(array.min()))) if array.size else 0.0
    if not math.isfinite(largest):
        raise ConnectivityError("values of edges must be finite numbers; this one holds an infinity or a nan")
    return largest


__all__ = ["PARAMETERS", "Draw", "EdgeValue", "PerEdge", "Shared", "bound", "edge_values"]

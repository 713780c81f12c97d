"""Random numbers by PyNN's names: distributions, their parameters in PyNN's order, and generators with a seed.

Every number comes from neurosim's own counter-based generator (:mod:`neurosim.ir.random`), so a network is the same on
every engine, machine and number of threads. ``NumpyRNG(seed)`` is accepted under its name; its numbers are not those of
NumPy. So are the objects of the module ``pyNN.random``, which are recognised by their attributes.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, caller, suggest
from neurosim.ir.distributions import Draw
from neurosim.ir.random import Draws

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "binomial": ("n", "p"),
    "gamma": ("k", "theta"),
    "exponential": ("beta",),
    "lognormal": ("mu", "sigma"),
    "normal": ("mu", "sigma"),
    "normal_clipped": ("mu", "sigma", "low", "high"),
    "normal_clipped_to_boundary": ("mu", "sigma", "low", "high"),
    "poisson": ("lambda_",),
    "uniform": ("low", "high"),
    "uniform_int": ("low", "high"),
    "vonmises": ("mu", "kappa"),
}
"""Name of a distribution -> names of its parameters, in PyNN's order."""

_MOST_STATES = 10_000_000
"""Longest table of a discrete distribution."""

_unseeded = itertools.count()
_base = 42


def restart(seed: int) -> None:
    """Let generators without a seed of their own follow from this one; called by ``setup``."""
    global _unseeded, _base
    _unseeded, _base = itertools.count(), seed


@functools.cache
def _both(ours: type, theirs: type) -> type:
    return type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__, "__module__": __name__})


class NumpyRNG:
    """A generator of random numbers, by PyNN's name for its default one.

    Parameters
    ----------
    seed : int, optional
        Without one, the ``rng_seed`` of ``setup`` and a running number are taken: the same script draws the same.
    parallel_safe : bool
        Accepted; draws never depend on the number of processes.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Where PyNN is loaded, descend from its generators too: its RandomDistribution takes no others."""
        theirs = getattr(sys.modules.get("pyNN.random"), "AbstractRNG", None)
        return object.__new__(cls if theirs is None or issubclass(cls, theirs) else _both(cls, theirs))

    def __init__(self, seed: int | None = None, parallel_safe: bool = True) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ParameterError(
                f"the seed of a random number generator must be a whole number, got {seed!r}", caller()
            )
        self.seed = None if seed is None else int(seed)
        self.parallel_safe = parallel_safe
        self._key = f"pynn:{next(_unseeded)}" if seed is None else "pynn"
        self._from = _base if self.seed is None else self.seed % 2**64
        self._used = self._made = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(seed={self.seed})"

    def streams(self) -> Callable[[str], Draws]:
        """Return a maker of streams that nobody else has, for a rule of connectivity."""
        self._made += 1
        made = self._made
        return lambda name: Draws(self._from, f"{self._key}/{made}/{name}")

    def _take(self, count: int, fine: bool = False) -> tuple[Draws, int]:
        """Reserve indices of the generator's own stream."""
        start, self._used = self._used, self._used + count
        return Draws(self._from, f"{self._key}/{'fine' if fine else 'draws'}"), start

    def _uniform(self, count: int) -> np.ndarray:
        draws, start = self._take(count, fine=True)
        return draws.uniform53(start, count)

    def next(
        self, n: int | None = None, distribution: str | None = None, parameters: Any = None, mask: Any = None
    ) -> Any:
        """Return one number (``n`` None) or an array of ``n``, uniform in (0, 1) where no distribution is named."""
        where = caller()
        name = distribution or "uniform"
        values = {"low": 0.0, "high": 1.0} if distribution is None and parameters is None else dict(parameters)
        _check_names(name, values, where)
        if n is not None and (not isinstance(n, (int, np.integer)) or n < 0):
            raise ParameterError(f"the number of draws must be a whole number of at least 0, got {n!r}", where)
        out = _SAMPLERS[name](self, 1 if n is None else int(n), *(values[k] for k in DISTRIBUTIONS[name]))
        out = out if mask is None else out[np.asarray(mask)]
        return out[0] if n is None else out

    random = sample = next

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        """Return uniform numbers, by NumPy's argument names."""
        return self._shaped("uniform", size, low=low, high=high)

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: Any = None) -> Any:
        """Return normal numbers, by NumPy's argument names."""
        return self._shaped("normal", size, mu=loc, sigma=scale)

    def exponential(self, scale: float = 1.0, size: Any = None) -> Any:
        """Return exponential numbers, by NumPy's argument names."""
        return self._shaped("exponential", size, beta=scale)

    def randint(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """Return whole numbers in [low, high), or in [0, low) where there is no ``high``."""
        low, high = (0, low) if high is None else (low, high)
        return self._shaped("uniform_int", size, low=low, high=high)

    def permutation(self, what: Any) -> np.ndarray:
        """Return the elements of an array, or the numbers below ``what``, in random order."""
        array = np.arange(what) if isinstance(what, (int, np.integer)) else np.asarray(what)
        return array[np.argsort(self._uniform(len(array)), kind="stable")]

    def choice(self, what: Any, size: int = 1, replace: bool = True) -> np.ndarray:
        """Return elements of an array, or numbers below ``what``, with or without repetition."""
        array = np.arange(what) if isinstance(what, (int, np.integer)) else np.asarray(what)
        if not replace:
            if size > len(array):
                raise ParameterError(f"{size} different elements cannot be chosen out of {len(array)}", caller())
            return self.permutation(array)[:size]
        return array[(self._uniform(size) * len(array)).astype(np.int64)]

    def _shaped(self, name: str, size: Any, **values: Any) -> Any:
        if size is None:
            return self.next(None, name, values)
        shape = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
        return self.next(math.prod(shape), name, values).reshape(shape)


class NativeRNG(NumpyRNG):
    """The simulator's own generator, which here is the same one."""


class GSLRNG(NumpyRNG):
    """The generators of the GNU Scientific Library are accepted by name; the numbers are ours."""

    def __init__(self, seed: int | None = None, type: str = "mt19937", parallel_safe: bool = True) -> None:
        super().__init__(seed, parallel_safe)


class RandomDistribution:
    """A distribution to draw parameters, weights or delays from.

    Parameters
    ----------
    distribution : str
        ``uniform(low, high)``, ``normal(mu, sigma)``, ``normal_clipped(mu, sigma, low, high)`` (values outside are
        drawn again), ``normal_clipped_to_boundary``, ``lognormal(mu, sigma)`` of the logarithm, ``exponential(beta)``
        with mean beta, ``gamma(k, theta)``, ``uniform_int(low, high)`` (high excluded), ``poisson(lambda_)``,
        ``binomial(n, p)``.
    parameters_pos : sequence, optional
        The parameters in that order; or else give them by name.
    rng : NumpyRNG, optional
        Where the numbers come from.
    """

    def __init__(self, distribution: str, parameters_pos: Any = None, rng: Any = None, **parameters_named: Any) -> None:
        where = caller()
        if distribution not in DISTRIBUTIONS:
            raise UnknownNameError(
                f"no distribution '{distribution}'{suggest(str(distribution), DISTRIBUTIONS)}", where
            )
        names = DISTRIBUTIONS[distribution]
        if parameters_pos is not None:
            if parameters_named:
                raise ParameterError("parameters of a distribution go by position or by name, not both", where)
            if isinstance(parameters_pos, dict) or np.size(parameters_pos) != len(names):
                raise ParameterError(f"'{distribution}' takes ({', '.join(names)}), got {parameters_pos!r}", where)
            parameters_named = dict(zip(names, np.atleast_1d(parameters_pos).tolist(), strict=True))
        _check_names(distribution, parameters_named, where)
        if distribution == "vonmises":
            raise UnsupportedError(
                "the distribution 'vonmises' is not there: draw the values with NumPy instead", where
            )
        self.name, self.parameters, self.rng = distribution, parameters_named, own_rng(rng)

    def next(self, n: int | None = None, mask: Any = None) -> Any:
        """Return one number (``n`` None) or an array of ``n``."""
        return self.rng.next(n, self.name, self.parameters, mask)

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v!r}" for k, v in self.parameters.items())
        return f"RandomDistribution('{self.name}', {values})"


_foreign: weakref.WeakKeyDictionary[Any, NumpyRNG] = weakref.WeakKeyDictionary()


def own_rng(rng: Any) -> NumpyRNG:
    """Return a generator of ours: the one given, one with the seed of PyNN's, or a new one for None."""
    if rng is None:
        return NumpyRNG()
    if isinstance(rng, NumpyRNG):
        return rng
    if not hasattr(rng, "seed") or callable(rng.seed):
        raise ParameterError(f"rng must be a NumpyRNG or NativeRNG, got {rng!r}", caller())
    if rng not in _foreign:
        _foreign[rng] = NumpyRNG(rng.seed)
    return _foreign[rng]


def distribution_of(value: Any) -> RandomDistribution | None:
    """Return a distribution of ours for one of ours or of PyNN's, None for anything else."""
    if isinstance(value, RandomDistribution):
        return value
    if all(hasattr(value, k) for k in ("name", "parameters", "rng", "next")) and value.name in DISTRIBUTIONS:
        return RandomDistribution(value.name, rng=value.rng, **value.parameters)
    return None


def _check_names(name: str, values: dict[str, Any], where: str | None) -> None:
    if name not in DISTRIBUTIONS:
        raise UnknownNameError(f"no distribution '{name}'{suggest(name, DISTRIBUTIONS)}", where)
    if set(values) != set(DISTRIBUTIONS[name]):
        wanted, got = ", ".join(DISTRIBUTIONS[name]), ", ".join(values) or "nothing"
        raise ParameterError(f"'{name}' takes the parameters {wanted}; got {got}", where)


def _continuous(kind: str, how: str = "redraw") -> Callable[..., np.ndarray]:
    def sample(
        rng: NumpyRNG, n: int, a: float, b: float = 0.0, lo: float | None = None, hi: float | None = None
    ) -> Any:
        ends = [None if x is None or math.isinf(x) else float(x) for x in (lo, hi)]
        draws, start = rng._take(n)
        return Draw(kind, float(a), float(b), ends[0], ends[1], how).sample(draws, start, n)

    return sample


def _uniform_int(rng: NumpyRNG, n: int, low: int, high: int) -> np.ndarray:
    if not high > low:
        raise ParameterError(f"uniform_int: high = {high} must lie above low = {low}", caller())
    draws, start = rng._take(n, fine=True)
    return int(low) + draws.integers(start, n, int(high) - int(low))


def _gamma(rng: NumpyRNG, n: int, k: float, theta: float) -> np.ndarray:
    """Marsaglia and Tsang (2000): a cube of a shifted normal number, accepted against a uniform one."""
    if not (k > 0 and theta > 0):
        raise ParameterError(f"gamma: k and theta must be positive, got {k!r} and {theta!r}", caller())
    shape = k if k >= 1.0 else k + 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    out, open_ = np.empty(n), np.arange(n)
    normal = _continuous("normal")
    while len(open_):
        z, u = normal(rng, len(open_), 0.0, 1.0), rng._uniform(len(open_))
        v = (1.0 + c * z) ** 3
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (v > 0) & (np.log(u) < 0.5 * z * z + d - d * v + d * np.log(np.where(v > 0, v, 1.0)))
        out[open_[good]] = d * v[good]
        open_ = open_[~good]
    if k < 1.0:
        out *= rng._uniform(n) ** (1.0 / k)
    return out * theta


def _from_table(rng: NumpyRNG, n: int, logs: np.ndarray) -> np.ndarray:
    """Draw the index of a table of the logarithms of probabilities, by inversion."""
    below = np.cumsum(np.exp(logs))
    return np.searchsorted(below / below[-1], rng._uniform(n), side="right").clip(0, len(logs) - 1)


def _poisson(rng: NumpyRNG, n: int, lambda_: float) -> np.ndarray:
    if not 0 <= lambda_ < _MOST_STATES / 2:
        raise ParameterError(f"poisson: lambda_ must lie between 0 and {_MOST_STATES // 2}, got {lambda_!r}", caller())
    if lambda_ == 0:
        return np.zeros(n, dtype=np.int64)
    most = int(lambda_ + 40 * math.sqrt(lambda_) + 60)
    steps = np.log(lambda_) - np.log(np.arange(1, most + 1))
    return _from_table(rng, n, np.concatenate([[0.0], np.cumsum(steps)]) - lambda_)


def _binomial(rng: NumpyRNG, count: int, n: int, p: float) -> np.ndarray:
    if not 0 <= p <= 1 or not 0 <= n < _MOST_STATES:
        raise ParameterError(
            f"binomial: n must be a number from 0 to {_MOST_STATES}, p lie between 0 and 1; got {n!r} and {p!r}",
            caller(),
        )
    if p in (0.0, 1.0):
        return np.full(count, int(n * p), dtype=np.int64)
    k = np.arange(1, int(n) + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(int(n) - k + 1) - np.log(k) + math.log(p) - math.log1p(-p))])
    return _from_table(rng, count, logs - logs.max())


_SAMPLERS: dict[str, Callable[..., np.ndarray]] = {
    "binomial": _binomial,
    "gamma": _gamma,
    "exponential": _continuous("exponential"),
    "lognormal": _continuous("lognormal"),
    "normal": _continuous("normal"),
    "normal_clipped": _continuous("normal"),
    "normal_clipped_to_boundary": _continuous("normal", "clip"),
    "poisson": _poisson,
    "uniform": _continuous("uniform"),
    "uniform_int": _uniform_int,
}

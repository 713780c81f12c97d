"""The generalised linear model of a spike train: what a stimulus and the train's own past say of the next spike.

The usual statistical description, and the yardstick for a mechanistic model: the log of the hazard is a constant, plus
the stimulus through a filter, plus a filter of the spikes so far. The likelihood is concave, so there is one best fit.

Source: W. Truccolo et al., J. Neurophysiol. 93:1074 (2005); J. W. Pillow et al., Nature 454:995 (2008).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neurosim.errors import ParameterError

_LARGEST = 5.0  # of the log of the hazard in a step: a spike is certain there, and exp() stays finite


def raised_cosines(n: int, last: int, first: int = 1, offset: float = 1.0) -> np.ndarray:
    """Return ``n`` overlapping bumps for the filters of a :class:`SpikeGLM`, finer at short lags than at long ones.

    Parameters
    ----------
    n : int
        Number of bumps, at least 2.
    last : int
        Longest lag, in steps.
    first : int
        Lag at which the first bump is highest.
    offset : float
        Bumps are evenly spaced in log(lag + offset): nearly evenly in the lag itself while that is below it.

    Returns
    -------
    numpy.ndarray
        [last, n]; row k is the lag of k + 1 steps. The last bump falls to zero at ``last``.
    """
    if not (n >= 2 and 1 <= first < last and offset > 0):
        raise ParameterError(
            f"raised cosines need n >= 2, 1 <= first < last and offset > 0, not n={n}, first={first}, last={last}, "
            f"offset={offset}"
        )
    low, high = np.log(first + offset), np.log(last + offset)
    apart = (high - low) / (n + 1)  # a bump reaches two distances to each side
    phase = (np.log(np.arange(1, last + 1) + offset)[:, None] - low - apart * np.arange(n)) * (np.pi / 2 / apart)
    return 0.5 * (1 + np.cos(np.clip(phase, -np.pi, np.pi)))


def bits_per_spike(log_likelihood: Any, spikes: Any) -> float:
    """Return what a model says of each spike beyond the mean rate, in bits.

    Parameters
    ----------
    log_likelihood : array of float
        Natural log of the probability of what happened in each step.
    spikes : array of bool
        Whether there was a spike, for the same steps.

    Returns
    -------
    float
        (log-likelihood - that of a constant probability, the mean of these very steps) / spikes / ln 2.
    """
    happened, given = np.asarray(spikes, dtype=bool), np.asarray(log_likelihood, dtype=np.float64)
    if happened.shape != given.shape or happened.ndim != 1:
        raise ParameterError(f"one likelihood for each step: got {given.shape} for {happened.shape} steps")
    count, steps = int(happened.sum()), len(happened)
    if count in (0, steps):
        raise ParameterError(f"bits per spike need steps with and without a spike; {count} of {steps} have one")
    constant = count * np.log(count / steps) + (steps - count) * np.log1p(-count / steps)
    return float((given.sum() - constant) / count / np.log(2))


@dataclasses.dataclass(frozen=True, eq=False)
class SpikeGLM:
    """A fitted model: in step n a spike with probability 1 - exp(-exp(eta)), as a cell with escape noise has it.

    eta[n] = offset + sum over k >= 0 of stimulus_filter[k] x[n - k] + sum over k >= 1 of history_filter[k - 1] s[n - k]
    for the stimulus x, less ``centre`` and in units of ``scale``, and spikes s. Before its beginning the stimulus was
    ``centre`` and there were no spikes.

    Attributes
    ----------
    offset : float
        Log of the hazard in a step at the mean stimulus, long after a spike.
    stimulus_filter, history_filter : numpy.ndarray
        By lag in steps, from 0 and from 1 on.
    centre, scale : float
        Mean and standard deviation of the stimulus that it was fitted to.
    """

    offset: float
    stimulus_filter: np.ndarray
    history_filter: np.ndarray
    centre: float
    scale: float

    @classmethod
    def fit(cls, stimulus: Any, spikes: Any, stimulus_basis: np.ndarray, history_basis: np.ndarray,
            ridge: float = 1.0, iterations: int = 100) -> SpikeGLM:  # fmt: skip
        """Return the model of greatest penalised likelihood, by Fisher scoring.

        Parameters
        ----------
        stimulus : array of float
            One value for each step.
        spikes : array of bool
            Whether there was a spike, for the same steps.
        stimulus_basis, history_basis : numpy.ndarray
            [lags, n], such as :func:`raised_cosines`: each filter is a weighted sum of the columns.
        ridge : float
            Penalty ridge/2 times the sum of squared weights of the columns, as they are: larger columns cost less.
            A basis with a column for lags that no interval has needs one above 0.
        iterations : int
            At most so many.

        Raises
        ------
        ParameterError
            If the arrays do not fit together, nothing spikes, or the fit does not settle.
        """
        x, s = _pair(stimulus, spikes)
        if not (s.any() and x.std() > 0 and ridge >= 0):
            raise ParameterError("a fit needs at least one spike, a stimulus that varies, and ridge >= 0")
        bases = [_basis(b, name) for b, name in ((stimulus_basis, "stimulus_basis"), (history_basis, "history_basis"))]
        centre, scale = float(x.mean()), float(x.std())
        design = np.column_stack([np.ones(len(x)), _filtered((x - centre) / scale, bases[0]), _after(s, bases[1])])
        weights = _maximise(design, s, ridge, iterations)
        n = bases[0].shape[1] + 1
        return cls(float(weights[0]), bases[0] @ weights[1:n], bases[1] @ weights[n:], centre, scale)

    def log_hazard(self, stimulus: Any, spikes: Any) -> np.ndarray:
        """Return eta of each step, given the stimulus and the spikes that there were."""
        x, s = _pair(stimulus, spikes)
        return self._driven(x) + _after(s, self.history_filter[:, None])[:, 0]

    def log_likelihood(self, stimulus: Any, spikes: Any) -> np.ndarray:
        """Return the natural log of the probability of what happened in each step."""
        return _log_probability(self.log_hazard(stimulus, spikes), np.asarray(spikes, dtype=bool))

    def simulate(self, stimulus: Any, trials: int, seed: int) -> list[np.ndarray]:
        """Return the steps of the spikes of each trial; the model's own spikes are its past."""
        driven, g = self._driven(np.asarray(stimulus, dtype=np.float64)), np.random.default_rng(seed)
        lags = len(self.history_filter)
        coming = np.zeros((lags, trials))  # a ring: what past spikes add to the steps to come
        steps, ids = [], []
        for n, base in enumerate(driven):
            row = n % lags
            fired = np.flatnonzero(g.random(trials) < -np.expm1(-np.exp(np.minimum(base + coming[row], _LARGEST))))
            coming[row] = 0.0
            if len(fired):
                coming[:, fired] += np.roll(self.history_filter, row + 1)[:, None]
                steps += [n] * len(fired)
                ids += fired.tolist()
        at, who = np.array(steps, dtype=np.int64), np.array(ids, dtype=np.int64)
        return [at[who == k] for k in range(trials)]

    def _driven(self, x: np.ndarray) -> np.ndarray:
        return self.offset + _filtered((x - self.centre) / self.scale, self.stimulus_filter[:, None])[:, 0]


def _pair(stimulus: Any, spikes: Any) -> tuple[np.ndarray, np.ndarray]:
    x, s = np.asarray(stimulus, dtype=np.float64), np.asarray(spikes)
    if x.ndim != 1 or x.shape != s.shape or not np.all(np.isfinite(x)):
        raise ParameterError(f"stimulus and spikes are one finite value for each step, got {x.shape} and {s.shape}")
    if s.dtype != bool and not np.all((s == 0) | (s == 1)):
        raise ParameterError("spikes says of each step whether there was one: True or False, 1 or 0, not the times")
    return x, s.astype(bool)


def _basis(basis: np.ndarray, name: str) -> np.ndarray:
    if np.ndim(basis) != 2 or not np.all(np.any(basis, axis=0)):
        raise ParameterError(f"{name} is [lags, n] and no column of it is empty, got {np.shape(basis)}")
    return np.asarray(basis, dtype=np.float64)


def _filtered(x: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """[T, n]: the past of x, the present included, through each column."""
    return np.column_stack([np.convolve(x, column)[: len(x)] for column in basis.T])


def _after(s: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """[T, n]: the columns, added from the step after each spike on."""
    out = np.zeros((len(s) + len(basis) + 1, basis.shape[1]))
    for step in np.flatnonzero(s):
        out[step + 1 : step + 1 + len(basis)] += basis
    return out[: len(s)]


def _log_probability(eta: np.ndarray, s: np.ndarray) -> np.ndarray:
    hazard = np.exp(np.clip(eta, -40.0, _LARGEST))
    return np.where(s, np.log(-np.expm1(-hazard)), -hazard)


def _maximise(design: np.ndarray, s: np.ndarray, ridge: float, iterations: int) -> np.ndarray:
    """Fisher scoring with halved steps; the constant is not penalised."""
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    weights = np.zeros(design.shape[1])
    weights[0] = np.log(-np.log1p(-s.mean()))

    def value(w: np.ndarray) -> float:
        return float(_log_probability(design @ w, s).sum() - 0.5 * penalty @ (w * w))

    best = value(weights)
    for _ in range(iterations):
        hazard = np.exp(np.clip(design @ weights, -40.0, _LARGEST))
        chance, slope = -np.expm1(-hazard), np.maximum(hazard * np.exp(-hazard), 1e-300)
        gradient = design.T @ (slope * (s - chance) / (chance * np.maximum(1 - chance, 1e-300))) - penalty * weights
        information = (design * (slope**2 / (chance * np.maximum(1 - chance, 1e-300)))[:, None]).T @ design
        step = np.linalg.lstsq(information + np.diag(penalty), gradient, rcond=None)[0]
        while (now := value(weights + step)) < best and np.max(np.abs(step)) > 1e-9:
            step /= 2
        weights = weights + step if now >= best else weights
        if now - best < 1e-8 * abs(best):
            return weights
        best = now
    raise ParameterError(
        f"the fit of the GLM has not settled after {iterations} iterations; a larger ridge makes it better posed"
    )

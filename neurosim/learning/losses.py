"""Losses and regularisers on what a network's module gives, each a callable of its output.

A loss takes ``(output, targets)``, a regulariser ``(output, module)``; both return one number with derivatives. An
online rule calls them with the output of one step at a time. Where that has no meaning, ``whole_run = True`` on the
class or function says so, and :func:`~neurosim.learning.fit` refuses it with such a rule. torch is imported when they
are called.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

from neurosim.errors import ParameterError, UnknownNameError, suggest


def _torch() -> Any:
    return importlib.import_module("torch")


def _spikes(output: Any, population: str) -> Any:
    if population not in output.spikes:
        raise UnknownNameError(f"the module gives no spikes of '{population}'{suggest(population, output.spikes)}")
    return output.spikes[population]


def _votes(values: Any, classes: int | None) -> Any:
    """Return [batch, classes] of [batch, neurons]: neurons in consecutive groups of equal size vote for a class."""
    if classes is None:
        return values
    n = values.shape[1]
    if not isinstance(classes, int) or classes < 1 or n % classes:
        raise ParameterError(f"classes must divide the {n} neurons, got {classes!r}")
    return values.view(len(values), classes, n // classes).sum(2)


class _Classifier:
    """What classes a network answers; :meth:`scores` is larger for the likelier."""

    def scores(self, output: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} says no scores")

    def __call__(self, output: Any, targets: Any) -> Any:
        """Return the mean cross-entropy; ``targets`` are the right classes, [batch]."""
        return _torch().nn.functional.cross_entropy(self.scores(output), targets)

    def correct(self, output: Any, targets: Any) -> Any:
        """Return which answers are right, [batch]."""
        return self.scores(output).argmax(1) == targets


@dataclass(frozen=True)
class RateLoss(_Classifier):
    """Cross-entropy of spike counts.

    Attributes
    ----------
    population : str
        Whose spikes are counted.
    classes : int, optional
        In how many groups of neurons, one after the other; each neuron is a class without it.
    scale : float
        What a spike counts in the exponent of the softmax.
    """

    population: str
    classes: int | None = None
    scale: float = 1.0

    def scores(self, output: Any) -> Any:
        """Return counts, scaled."""
        return self.scale * _votes(_spikes(output, self.population).sum(1), self.classes)


@dataclass(frozen=True)
class FirstSpikeLoss(_Classifier):
    """Cross-entropy of the steps of first spikes: the class whose neuron spikes first is the answer.

    The step of the first spike is ``sum_n prod_{m <= n} (1 - s_m)``: a product that is 1 until the first spike. So it
    has a derivative wherever spikes have one, and a silent neuron has the length of the run. Which spike is the first
    only a whole run can tell: it is not for online rules.

    Attributes
    ----------
    population : str
        Whose spikes.
    scale : float
        What a step counts in the exponent of the softmax.
    """

    population: str
    scale: float = 0.2
    whole_run: ClassVar[bool] = True

    def steps(self, output: Any) -> Any:
        """Return the step of each first spike, [batch, neurons]."""
        return (1 - _spikes(output, self.population)).cumprod(1).sum(1)

    def scores(self, output: Any) -> Any:
        """Return minus the steps, scaled."""
        return -self.scale * self.steps(output)


@dataclass(frozen=True)
class MembraneLoss(_Classifier):
    """Cross-entropy of a variable over time, such as the potential of a readout that does not spike.

    Attributes
    ----------
    variable : str
        ``population.variable``, which :func:`fit` asks the module for.
    over : {"max", "mean", "last"}
        What of its course counts.
    scale : float
        What 1 of it, in SI, counts in the exponent of the softmax: 1000 for a millivolt to count as 1.
    """

    variable: str
    over: str = "max"
    scale: float = 1000.0

    @property
    def traces(self) -> tuple[str, ...]:
        """What the module has to be asked for."""
        return (self.variable,)

    def scores(self, output: Any) -> Any:
        """Return maxima, means or last values, scaled."""
        values = output.traces[self.variable]
        if self.over not in ("max", "mean", "last"):
            raise ParameterError(f"over must be 'max', 'mean' or 'last', got {self.over!r}")
        found = {"max": lambda: values.amax(1), "mean": lambda: values.mean(1), "last": lambda: values[:, -1]}
        return self.scale * found[self.over]()


@dataclass(frozen=True)
class RateBounds:
    """A penalty for neurons whose mean rate is not within bounds, as the square of how far they are off.

    The mean is over the batch and the steps of the output. With an online rule that is one step, and the mean is over
    the batch alone: of few samples, chance takes it out of narrow bounds.

    Attributes
    ----------
    population : str
        Whose.
    low, high : float
        In spikes per step.
    strength : float
        What the mean square is multiplied by.
    """

    population: str
    low: float = 0.0
    high: float = 1.0
    strength: float = 1.0

    def __call__(self, output: Any, module: Any) -> Any:
        """Return the penalty."""
        rate = _spikes(output, self.population).mean((0, 1))
        off = (self.low - rate).clamp(min=0) + (rate - self.high).clamp(min=0)
        return self.strength * off.square().mean()


@dataclass(frozen=True)
class SynapticOperations:
    """A penalty for each time that a spike meets an edge, per sample: what an event-driven chip spends energy on.

    Attributes
    ----------
    strength : float
        What their number is multiplied by.
    """

    strength: float = 1e-6

    def __call__(self, output: Any, module: Any) -> Any:
        """Return the penalty."""
        total = 0.0
        for s in module.synapses:
            fan_out, at = s.fan_out(), 0
            for name, ids, size in s.sources:
                spikes = _spikes(output, name).sum(1)
                spikes = spikes if ids is None else spikes[:, ids]
                total = total + (spikes * fan_out[at : at + size]).sum(1).mean()
                at += size
        return self.strength * total


@dataclass(frozen=True)
class L1:
    """A penalty for weights: the sum of their magnitudes, each in the unit of its projection.

    Attributes
    ----------
    strength : float
        What the sum is multiplied by.
    projections : tuple of str, optional
        Which; all without it.
    """

    strength: float = 1e-5
    projections: tuple[str, ...] | None = None

    def __call__(self, output: Any, module: Any) -> Any:
        """Return the penalty."""
        return self.strength * sum(module.weights[name].abs().sum() for name in self.projections or module.weights)

"""Online rules as :func:`~neurosim.learning.fit` takes them: gradients found forward in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from neurosim.errors import ParameterError, caller, suggest

FEEDBACK = ("symmetric", "random", "adaptive")


@dataclass(frozen=True)
class EProp:
    """e-prop: an eligibility trace for each synapse, and learning signals from readouts.

    A readout is a population that does not spike and that the loss reads, by
    :class:`~neurosim.learning.MembraneLoss`. The derivatives in the traces are those of the cell's own step, of any
    cell. As against the whole gradient, ways through the spikes of other neurons are left out, but for that to the
    readouts. Memory is a few numbers for each synapse and sample of a batch.

    Attributes
    ----------
    feedback : {"symmetric", "random", "adaptive"}
        What brings the readouts' errors to the neurons: the weights of the connections to them; random weights; or
        random ones that follow the changes of the readout's and decay.
    decay : float
        Of adaptive feedback: what part is lost at each step of the optimiser.
    every : int, optional
        After how many steps of the network the optimiser takes one; at the end of each batch by default.
    seed : int
        Of random feedback.

    References
    ----------
    G. Bellec et al., Nat. Commun. 11 (2020), 3625.
    """

    feedback: str = "symmetric"
    decay: float = 1e-3
    every: int | None = None
    seed: int = 0
    name: ClassVar[str] = "e-prop"

    def __post_init__(self) -> None:
        where = caller()
        if self.feedback not in FEEDBACK:
            legal = ", ".join(map(repr, FEEDBACK))
            raise ParameterError(f"feedback must be one of {legal}, got {self.feedback!r}", where)
        real = isinstance(self.decay, (int, float)) and not isinstance(self.decay, bool)
        if not (real and math.isfinite(self.decay) and 0 <= self.decay < 1):
            raise ParameterError(f"decay must be a number from 0 to below 1, got {self.decay!r}", where)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ParameterError(f"seed must be a whole number, got {self.seed!r}", where)
        _steps(self.every, where)

    def learner(self, module: Any) -> Any:
        """Return what trains a module of :meth:`neurosim.Network.to_torch`."""
        return module.online("eprop", feedback=self.feedback, decay=float(self.decay), seed=self.seed)


@dataclass(frozen=True)
class OTTT:
    """Online training through time: a trace of each source's spikes, times the derivative of one instant.

    The derivative of a step's loss is found back through the layers at that instant, by weights and surrogates alone.
    It is for layers of cells of one potential that leaks, with one time constant a population. Memory is some numbers
    for each neuron and sample of a batch, and not more for more synapses.

    Attributes
    ----------
    every : int, optional
        After how many steps of the network the optimiser takes one; at the end of each batch by default.

    References
    ----------
    M. Xiao et al., NeurIPS 2022 (arXiv:2210.04195).
    """

    every: int | None = None
    name: ClassVar[str] = "OTTT"

    def __post_init__(self) -> None:
        _steps(self.every, caller())

    def learner(self, module: Any) -> Any:
        """Return what trains a module of :meth:`neurosim.Network.to_torch`."""
        return module.online("ottt")


def _steps(every: Any, where: str | None) -> None:
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise ParameterError(f"every must be a whole number of steps above 0, got {every!r}", where)


def online_rule(gradient: Any, where: str | None) -> EProp | OTTT | None:
    """Return the rule that is meant, None for backpropagation through time."""
    if isinstance(gradient, (EProp, OTTT)):
        return gradient
    rules = {"bptt": None, "eprop": EProp, "ottt": OTTT}
    if not isinstance(gradient, str) or gradient not in rules:
        hint = suggest(gradient, rules) if isinstance(gradient, str) else ""
        raise ParameterError(
            f"gradient must be 'bptt', 'eprop' or 'ottt', EProp(...) or OTTT(...); got {gradient!r}{hint}", where
        )
    made = rules[gradient]
    return None if made is None else made()

"""What the cases are made of: the class, the list, and small parts of networks.

A case is a network, how long it runs, and a check of what comes out; the check is worked out by hand or with other
code than the engine's, so every backend is tested against the sentence and not against another backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import neurosim as ns
from neurosim.errors import NeurosimError
from neurosim.lang.components import Cell, Receptor
from neurosim.units import Quantity, ms

SUBJECTS = ("semantics", "library", "networks")
"""What a case is about: a sentence of docs/semantics.md, a part of the library, a network."""


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes
    ----------
    name, sentence : str
        Its name, and the sentence that it shows.
    build : callable
        Makes the network.
    duration : Quantity
        How long it runs.
    check : callable
        Gets the result; raises AssertionError where that is not what the sentence says. It stands on work by hand or on
        other code than the engine's (:mod:`neurosim.conformance.oracles`).
    tolerance : {"E0", "E1", "R", "Q", "T"}
        Class of docs/semantics.md in which a backend has to agree with the reference; E0: the same spikes.
    options : dict
        Options of the run.
    subject : str
        One of :data:`SUBJECTS`.
    slow : bool
        Whether it takes more than seconds, so that only the full tier runs it.
    refusal : tuple of type and str, optional
        The error that building or running ends in, and what its message has to say; then nothing is checked.
    """

    name: str
    sentence: str
    build: Callable[[], ns.Network]
    duration: Quantity
    check: Callable[[Any], None]
    tolerance: str = "E0"
    options: dict[str, Any] = field(default_factory=dict)
    subject: str = "semantics"
    slow: bool = False
    refusal: tuple[type[NeurosimError], tuple[str, ...]] | None = None


CASES: list[Case] = []
DT = 0.1


def case(sentence: str, steps: int, check: Callable[[Any], None], dt: float = DT, **more: Any):
    """Enter a network under its function's name."""

    def enter(build: Callable[[], ns.Network]) -> Callable[[], ns.Network]:
        CASES.append(Case(build.__name__, sentence, build, steps * dt * ms, check, **more))
        return build

    return enter


def refusal(sentence: str, error: type[NeurosimError], *says: str, duration: Quantity = 1 * ms):
    """Enter a network that is refused, on every engine, before anything runs; the message says certain things."""

    def enter(build: Callable[[], ns.Network]) -> Callable[[], ns.Network]:
        CASES.append(Case(build.__name__, sentence, build, duration, _never, refusal=(error, says)))
        return build

    return enter


def _never(result: Any) -> None:
    raise AssertionError("a network that has to be refused has run")


# -- small parts ---------------------------------------------------------------------------------------------------

SYN = Receptor("dx/dt = -x/tau", event="x += w", output="x", tau=5 * ms)
HOLD = Receptor("x[n+1] = x", event="x += w", name="Hold")
FLASH = Receptor("x[n+1] = 0*x", event="x += w", name="Flash")


def network(dt: float = DT, seed: int = 11) -> ns.Network:
    return ns.Network("case", dt=dt * ms, seed=seed)


def clock(*steps: int, **more: Any) -> Cell:
    """A cell that spikes in the given steps, counted by itself."""
    condition = " or ".join(f"k == {n + 1}" for n in steps)
    return Cell("k[n+1] = k + 1", threshold=condition, name="Clock", **more)


def listener(receptor: Receptor = FLASH, **more: Any) -> Cell:
    """A cell that only receives."""
    return Cell("v[n+1] = v", receptors={"e": receptor}, name="Listener", **more)


def when(result: Any, name: str, neuron: int = 0) -> list[int]:
    """Return the steps in which a neuron spiked."""
    spikes = result.spikes[name]
    return spikes.steps[spikes.ids == neuron].tolist()


def values(result: Any, name: str, variable: str, neuron: int = 0) -> list[float]:
    """Return a neuron's trace."""
    return result.state[name][variable].of(neuron).tolist()


def record(net: ns.Network, *what: tuple[str, str]) -> ns.Network:
    for name, variable in what:
        net.record(net[name], variable)
    return net

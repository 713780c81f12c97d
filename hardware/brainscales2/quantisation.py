"""Weights of six bits: how large a step is, which weights are at the end of the range, and what that costs.

A synapse of the chip holds a magnitude of 0 to 63; its row is excitatory or inhibitory. What one step is worth is set
at the input of the neuron, so that all synapses onto a receptor of a population share it. Everything else of a network
stays as it is: a chip whose circuits differ is :func:`neurosim.hardware.brainscales2.fixed_pattern`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.hardware.rewriting import Synapses, learning, synapses, whole, with_weights
from neurosim.lang.network import Network

BITS = 6
"""Of a synapse's weight (C. Pehle et al., Front. Neurosci. 16 (2022), 795876)."""


@dataclass(frozen=True)
class ProjectionChange:
    """What became of the synapses of a projection onto a population.

    Attributes
    ----------
    name, post : str
        Which they are.
    synapses : int
        How many have a weight other than 0.
    step : float
        What one step of the weight is worth, in SI units; 0 where there is none.
    unit : str
        Their symbol.
    largest : int
        The largest magnitude, in steps.
    rms_error : float
        Of these weights, relative to the largest of them.
    saturated, lost : int
        How many were beyond the range, and how many became 0.
    """

    name: str
    post: str
    synapses: int
    step: float
    unit: str
    largest: int
    rms_error: float
    saturated: int
    lost: int


@dataclass
class Quantised:
    """A network whose weights are whole numbers of steps, and what it cost.

    Attributes
    ----------
    network : Network
        The same network with these weights; it runs on every backend.
    projections : list
        What became of each.
    changes : list of str
        Sentences about what is not as on the chip.
    """

    network: Network
    projections: list[ProjectionChange] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{'projection':<22}{'onto':<12}{'synapses':>10}{'step':>16}{'largest':>9}{'error':>9}"
                 f"{'saturated':>11}{'lost':>8}"]  # fmt: skip
        lines += [
            f"{p.name:<22}{p.post:<12}{p.synapses:>10,}{f'{p.step:.3g} {p.unit}'.strip():>16}{p.largest:>9}"
            f"{p.rms_error:>9.2%}{p.saturated:>11,}{p.lost:>8,}"
            for p in self.projections
        ]
        return "\n".join([*lines, *([""] if self.changes else []), *(f"- {change}" for change in self.changes)])


def quantise(network: Network, *, bits: int = BITS, saturate: float = 0.0) -> Quantised:
    """Return a network with the weights that BrainScaleS-2 can hold.

    Parameters
    ----------
    network : Network
        Any; its cells are not looked at.
    bits : int
        Of a weight's magnitude, 1 to 16: largest ``2**bits - 1`` steps. The chip's are 6.
    saturate : float
        The share of the synapses onto a receptor that may be beyond the range, 0 up to 1: steps become finer for the
        others. With 0 the largest weight is at the end of the range.

    Raises
    ------
    ParameterError
        No such bits or share.
    """
    top = 2 ** whole(bits, 1, 16, "bits of a weight") - 1
    if isinstance(saturate, bool) or not isinstance(saturate, (int, float)) or not 0 <= saturate < 1:
        raise ParameterError(f"saturate is a share of the synapses, from 0 to below 1, got {saturate!r}", caller())
    steps = _steps(network, top, float(saturate))
    out = Quantised(network)

    def change(s: Synapses) -> np.ndarray:
        step = steps[s.post, s.receptor]
        if step == 0:
            out.projections.append(ProjectionChange(s.projection, s.post, 0, 0.0, s.unit, 0, 0.0, 0, 0))
            return s.weight
        count = np.rint(np.abs(s.weight) / step)
        made = np.copysign(np.minimum(count, top), s.weight)
        wanted = float(np.abs(s.weight).max(initial=0.0))
        error = float(np.sqrt(np.mean((made * step - s.weight) ** 2))) / wanted if wanted else 0.0
        out.projections.append(
            ProjectionChange(s.projection, s.post, int((made != 0).sum()), step, s.unit,
                             int(np.abs(made).max(initial=0)), error, int((count > top).sum()),
                             int(((made == 0) & (s.weight != 0)).sum()))
        )  # fmt: skip
        return made * step

    out.network = with_weights(network, change)
    out.changes += learning(network)
    return out


def _steps(network: Network, top: int, saturate: float) -> dict[tuple[str, str], float]:
    """Return (population, receptor) -> what a step of a weight is worth."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for s in synapses(network):
        found.setdefault((s.post, s.receptor), []).append(np.abs(s.weight[s.weight != 0]))
    out = {}
    for key, parts in found.items():
        sizes = np.sort(np.concatenate(parts))
        # of n weights, int(saturate * n) lie above the end of the range
        out[key] = float(sizes[len(sizes) - 1 - int(saturate * len(sizes))]) / top if len(sizes) else 0.0
    return out

"""The fixed pattern of a chip: no two of its analogue circuits are alike, and a network on it differs in every neuron.

Relative spreads are lognormal: a value is multiplied by ``exp(spread*z)``, z normal, so that its median stays and its
sign too. Potentials are shifted, by ``spread*z`` times the distance from reset to threshold. The numbers z are those of
the project's counter-based streams, of the chip's seed, the population, the parameter and the neuron: a chip is the
same on every machine, and a population's part of the pattern does not depend on what else is in the network.

What is published of the spreads. Calibration, by the authors of the chip's software, must bring the standard deviation
of each parameter below a share of what it is with equal settings; :data:`CALIBRATED` is :data:`UNCALIBRATED` times
these shares. Of rows of synapses, whose drivers are calibrated in the chip's mode for matrix products (hagen
mode), they expect a standard deviation of about 2 of about 30 steps afterwards. The sizes in ``UNCALIBRATED`` are
assumptions, since we found none published: measure your chip, and give your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.hardware.rewriting import Synapses, learning, parameters, positive, whole, with_parameters, with_weights
from neurosim.ir.graph import Graph
from neurosim.ir.random import Draws
from neurosim.lang.network import Network

RELATIVE = ("tau_m", "tau_syn", "adaptation", "synapse", "row", "gain")
POTENTIALS = ("leak", "reset", "threshold", "reversal")

CELL = {
    "tau_m": "tau_m", "tau_mem": "tau_m", "g_l": "tau_m", "tau_syn": "tau_syn", "tau_w": "adaptation",
    "a": "adaptation", "b": "adaptation", "tau_a": "adaptation",
    "beta": "adaptation", "v_rest": "leak", "e_l": "leak", "v_leak": "leak",
    "v_reset": "reset", "v_th": "threshold", "v_t": "threshold", "v_threshold": "threshold",
}  # fmt: skip
"""Parameter of a cell -> the spread it has. A leak of its own conductance sets the membrane's time constant."""

RECEPTOR = {"tau": "tau_syn", "e_rev": "reversal"}
"""The same of a receptor."""

_ENDS = ("v_th", "v_t", "v_threshold"), ("v_reset", "v_rest", "e_l", "v_leak")


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a chip's parameters.

    Attributes
    ----------
    tau_m, tau_syn, adaptation : float
        Of time constants of membrane and receptors, and of the adaptation; relative.
    leak, reset, threshold, reversal : float
        Of potentials, in distances from reset to threshold.
    synapse, row, gain : float
        Of weights, relative: of each synapse, of all synapses of a source (they lie in its row), and of all onto a
        receptor of a neuron.
    """

    tau_m: float = 0.0
    tau_syn: float = 0.0
    adaptation: float = 0.0
    leak: float = 0.0
    reset: float = 0.0
    threshold: float = 0.0
    reversal: float = 0.0
    synapse: float = 0.0
    row: float = 0.0
    gain: float = 0.0

    def __post_init__(self) -> None:
        for f in fields(self):
            positive(getattr(self, f.name), f"the spread {f.name}")

    def __mul__(self, factor: float) -> Spread:
        """Return all spreads, times a number."""
        return Spread(**{f.name: getattr(self, f.name) * factor for f in fields(self)})


UNCALIBRATED = Spread(tau_m=0.3, tau_syn=0.3, adaptation=0.3, leak=0.1, reset=0.1, threshold=0.1, reversal=0.1,
                      synapse=0.05, row=0.2, gain=0.3)  # fmt: skip
"""Equal settings for all circuits. All of it is assumed."""

SHARES = {"tau_m": 0.45, "tau_syn": 0.2, "leak": 0.3, "reset": 0.2, "threshold": 0.35}
"""What calibration leaves, at most, of a standard deviation (calix, tests/hw/py/test_neuron_distribution.py, 2026)."""

CALIBRATED = replace(UNCALIBRATED, **{name: share * getattr(UNCALIBRATED, name) for name, share in SHARES.items()},
                     adaptation=0.45 * UNCALIBRATED.adaptation, gain=0.2 * UNCALIBRATED.gain,
                     reversal=0.3 * UNCALIBRATED.reversal, row=2 / 30)  # fmt: skip
"""After calibration: ``UNCALIBRATED`` times :data:`SHARES`; ``row`` as it is after that of the synapse drivers in hagen
mode (calix, tests/hw/py/test_hagen_input.py); single synapses are not calibrated. The shares of adaptation, gain
and reversal potential are not tested there; they are taken to be as good as those of the membrane, the synaptic time
constant and the leak."""


@dataclass(frozen=True)
class ParameterChange:
    """A parameter whose neurons differ: its name, the spread's, and the standard deviation that came of it (relative,
    or in distances from reset to threshold)."""

    population: str
    name: str
    spread: str
    deviation: float


@dataclass
class Varied:
    """A network on one chip, of many.

    Attributes
    ----------
    network : Network
        The same network with these parameters and weights; it runs on every backend.
    parameters : list
        What differs from neuron to neuron.
    weights : dict
        Projection -> standard deviation of its weights, relative to what each was.
    changes : list of str
        Sentences.
    """

    network: Network
    parameters: list[ParameterChange] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{'population':<14}{'parameter':<18}{'as':<12}{'deviation':>11}"]
        lines += [f"{p.population:<14}{p.name:<18}{p.spread:<12}{p.deviation:>11.2%}" for p in self.parameters]
        if self.weights:
            lines += ["", f"{'projection':<44}{'deviation':>11}"]
            lines += [f"{name:<44}{value:>11.2%}" for name, value in self.weights.items()]
        return "\n".join([*lines, *([""] if self.changes else []), *(f"- {change}" for change in self.changes)])


def fixed_pattern(
    network: Network, spread: Spread = CALIBRATED, *, seed: int = 0, names: Mapping[str, str] | None = None
) -> Varied:
    """Return a network whose neurons and synapses differ as those of a chip do.

    Parameters
    ----------
    network : Network
        Any. Parameters are known by the names that the library's cells and receptors give them.
    spread : Spread
        How much they differ: :data:`CALIBRATED`, :data:`UNCALIBRATED`, or your own.
    seed : int
        Of the chip: each is another one. The network's own seed has no part in it.
    names : mapping, optional
        Parameters of your own cells -> the spread they have, such as ``{"tau_slow": "adaptation"}``; ``""`` for none.

    Raises
    ------
    UnknownNameError
        A name that no cell of the network has, or no such spread.
    ParameterError
        Potentials are to differ, and there is no threshold or no reset to measure by.
    """
    seed = whole(seed, 0, 2**64 - 1, "the seed of a chip")
    if not isinstance(spread, Spread):
        raise ParameterError(f"spread must be a Spread, such as CALIBRATED, got {spread!r}", caller())
    graph = compile_network(network)
    known = CELL | _checked(network, graph, names or {})
    out, changed, distances = Varied(network), {}, _distances(graph)
    for pop, key, values, size in parameters(network, graph):
        prefix, _, last = key.rpartition(".")
        if prefix and prefix not in network[pop].cell.receptors:
            continue  # a stimulus comes from outside
        kind = (RECEPTOR if prefix else known).get(last, "")
        amount = getattr(spread, kind) if kind else 0.0
        if not amount:
            continue
        draws = Draws(seed, f"brainscales2:{pop}.{key}")
        z = draws.normal(0, size)
        if kind in POTENTIALS:
            if pop not in distances:
                raise ParameterError(
                    f"potentials of population '{pop}' differ by a part of the distance from its reset to its "
                    f"threshold, and its cell has no {' or '.join(_ENDS[0])} above its {' or '.join(_ENDS[1])}: give a "
                    "Spread without leak, reset, threshold and reversal", network[pop].where,
                )  # fmt: skip
            made = values + amount * z * distances[pop]
        else:
            made = values * draws.fn("exp", amount * z)
        changed[pop, key] = made
        out.parameters.append(ParameterChange(pop, key, kind, float(np.std(amount * z))))
    _say(out, network, graph, changed)
    out.network = with_weights(with_parameters(network, changed), _weights(out, graph, spread, seed))
    out.changes += learning(network)
    return out


def _weights(out: Varied, graph: Graph, spread: Spread, seed: int) -> Any:
    sizes = {p.name: p.size for p in graph.populations}
    rows = {sign: np.concatenate([Draws(seed, f"brainscales2:{name}.rows{sign}").normal(0, size)
                                  for name, size in sizes.items()])
            for sign in "+-"}  # fmt: skip

    def change(s: Synapses) -> np.ndarray:
        draws = Draws(seed, f"brainscales2:{s.projection}>{s.post}")
        gains = Draws(seed, f"brainscales2:{s.post}.{s.receptor}.gain").normal(0, sizes[s.post])
        z = spread.synapse * draws.normal(0, len(s.weight)) + spread.gain * gains[s.targets]
        z += spread.row * np.where(s.weight < 0, rows["-"][s.sources], rows["+"][s.sources])
        if z.any():
            out.weights[s.projection if s.projection not in out.weights else f"{s.projection} onto {s.post}"] = float(
                np.std(np.expm1(z))
            )
        return s.weight * draws.fn("exp", z)

    return change


def _checked(network: Network, graph: Graph, names: Mapping[str, str]) -> dict[str, str]:
    there = {key for pop in network.populations.values() for key in pop.cell.params}
    kinds = (*RELATIVE[:3], *POTENTIALS)
    for key, kind in names.items():
        if key not in there:
            raise UnknownNameError(f"no cell of the network has a parameter '{key}'{suggest(key, there)}", caller())
        if kind and kind not in kinds:
            raise UnknownNameError(f"parameters have no spread '{kind}'{suggest(kind, kinds)}", caller())
    return dict(names)


def _distances(graph: Graph) -> dict[str, np.ndarray]:
    """Return population -> distance from reset (or rest) to threshold, where there are both."""
    out = {}
    for pop in graph.populations:
        p = {} if pop.model is None else pop.model.params
        top, low = (next((np.asarray(p[n]) for n in end if n in p), None) for end in _ENDS)
        if top is not None and low is not None and np.all(top > low):
            out[pop.name] = top - low
    return out


def _say(out: Varied, network: Network, graph: Graph, changed: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Say of which cells nothing is known, and which neurons cannot be silent any more."""
    for pop in graph.populations:
        cell = network[pop.name].cell
        same = not any(p == pop.name and "." not in k for p, k in changed)
        if same and cell.receptors and cell.threshold is not None:
            out.changes.append(f"no parameter of the cell of population '{pop.name}' differs: none has a spread")
        p = {} if pop.model is None else pop.model.params
        for top in _ENDS[0]:
            if top in p and "v_reset" in p:
                high = np.asarray(changed.get((pop.name, top), p[top]))
                low = np.asarray(changed.get((pop.name, "v_reset"), p["v_reset"]))
                if count := int(np.broadcast_to(high <= low, (pop.size,)).sum()):
                    out.changes.append(f"{count} neurons of population '{pop.name}' have a threshold at or below their "
                                       "reset: they spike without end")  # fmt: skip

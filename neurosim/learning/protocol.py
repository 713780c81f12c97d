"""Learning rules measured as experimenters do it: pairs of spikes at given lags, and what becomes of the weight."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.network import Network
from neurosim.lang.plasticity import Plasticity
from neurosim.units import DIMENSIONLESS, FREQUENCY, TIME, Hz, Quantity, ms, quantity, scalar

# A cell that spikes when it is told to, in that step, and nothing else moves it.
_TOLD = Cell("v[n+1] = 0", threshold="v >= 1", reset="v = 0", name="Told")


class Window(NamedTuple):
    """What pairs of spikes did to a weight.

    Attributes
    ----------
    lags : ndarray
        From each spike of the source to that of the target, in seconds: float64 [lags].
    change : ndarray
        Of the weight, in its SI unit: float64 [lags].
    weight : float
        The weight at the beginning, in its SI unit.
    """

    lags: np.ndarray
    change: np.ndarray
    weight: float

    @property
    def relative(self) -> np.ndarray:
        """The change as a fraction of the weight at the beginning."""
        return self.change / self.weight


def stdp_window(
    rule: Plasticity,
    lags: Quantity,
    weight: Any,
    *,
    pairs: int = 1,
    frequency: Quantity = 1 * Hz,
    delay: Quantity | None = None,
    after: Quantity = 0 * ms,
    dt: Quantity = 0.1 * ms,
    backend: str = "native",
) -> Window:
    """Measure a learning rule by pairs of spikes: one synapse for each lag, whose two neurons spike when told to.

    The lag is that of the spikes at the two somata. With a delay d on the axon the synapse sees a lag of ``lag - d``,
    with one on the dendrite ``lag + d``.

    Parameters
    ----------
    rule : Plasticity
        Of the library or one's own. It may read traces and variables of the synapse, not variables of the target's
        cell, which here has none.
    lags : Quantity
        Times from the spike of the source to that of the target, whole numbers of steps: [lags].
    weight : Quantity
        At the beginning, in the unit that the rule's bounds have.
    pairs : int
        How many, each with the same lag.
    frequency : Quantity
        Of the pairs; its period is a whole number of steps.
    delay : Quantity, optional
        Of the synapse; one step by default.
    after : Quantity
        Time to go on after the last spike has been seen, for rules that change weights at intervals.
    dt : Quantity
        Of the simulation.
    backend : str
        What runs it.

    Raises
    ------
    ParameterError
        If a time is no whole number of steps, a period is too short for the lags, or there is nothing to measure.

    References
    ----------
    G. Bi, M. Poo, J. Neurosci. 18 (1998) for single pairs; P. J. Sjöström, G. G. Turrigiano, S. B. Nelson, Neuron 32
    (2001) for trains of them.
    """
    where = caller()
    if not isinstance(rule, Plasticity):
        raise ParameterError(f"what is measured is a learning rule, such as PairSTDP(); got {rule!r}", where)
    if not isinstance(pairs, int) or pairs < 1:
        raise ParameterError(f"pairs is a whole number from 1 on, got {pairs!r}", where)
    step = scalar(dt, TIME, "dt", where)
    start = scalar(weight, weight.dim if isinstance(weight, Quantity) else DIMENSIONLESS, "weight", where)
    given = np.atleast_1d(np.asarray(quantity(lags, TIME, "lags", where), dtype=np.float64))
    if given.ndim != 1 or not len(given):
        raise ParameterError(f"lags are one row of times, got shape {list(given.shape)}", where)
    lag = np.array([whole_steps(abs(x), step, "a lag", where) * (1 if x >= 0 else -1) for x in given.tolist()])
    held = 1 if delay is None else whole_steps(scalar(delay, TIME, "delay", where), step, "delay", where, least=1)
    period = whole_steps(1 / scalar(frequency, FREQUENCY, "frequency", where), step, "the period", where, least=1)
    first = int(np.abs(lag).max()) + 2
    pre = first + period * np.arange(pairs)
    rest = whole_steps(scalar(after, TIME, "after", where), step, "after", where)
    duration = int(pre[-1] + first + 2 * held + 2 + rest)

    models, size = importlib.import_module("neurosim.models"), len(lag)
    net = Network("stdp_window", dt=dt)

    def told(name: str, steps: np.ndarray) -> Any:
        """Return a source whose neurons spike in the given steps: [neurons, spikes]."""
        times = np.sort(steps, axis=1) * (step * 1e3) * ms
        return net.population(name, size, models.SpikeSource(list(times), align="round"))

    # the weight has a unit of its own, which the receptor takes from the one that it is given
    learns = Receptor("dx/dt = -x/tau : 1", event="x += w/one", tau=1 * ms, one=_one(weight))
    force = Receptor(event="v += w")
    source = told("source", np.tile(pre, (size, 1)))
    command = told("command", pre + lag[:, None] - 1)  # it arrives a step later, and the spike is found in that step
    target = net.population("target", size, _TOLD(receptors={"learns": learns, "force": force}))
    net.connect(command, target, receptor="force", rule="one_to_one", weight=1.0, delay=dt)
    net.connect(source, target, receptor="learns", rule="one_to_one", weight=weight, delay=held * step * 1e3 * ms,
                plasticity=rule, name="synapses")  # fmt: skip
    result = net.run(duration * step * 1e3 * ms, backend=backend)
    return Window(lag * step, np.asarray(result.weights("synapses")) - start, start)


def _one(weight: Any) -> Any:
    """Return 1 in the SI unit of a weight."""
    return Quantity(1.0, weight.dim) if isinstance(weight, Quantity) else 1.0

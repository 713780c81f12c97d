"""A neuron that finds a spike pattern hidden in noise: Masquelier, Guyonneau and Thorpe's experiment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.network import Network
from neurosim.lang.plasticity import Plasticity
from neurosim.models.cells.spike_source import SpikeSource
from neurosim.params import Param
from neurosim.units import TIME, Quantity, ms, scalar, second

LENGTH = 0.05
"""Seconds that the pattern lasts."""

SOURCE = "T. Masquelier, R. Guyonneau, S. J. Thorpe, PLoS ONE 3 (2008) e1377"

ResponseNeuron = Cell(
    """
    du/dt = (peak*x - u)/tau_m - dip*a/tau_s
    dx/dt = -x/tau_s
    da/dt = -a/tau_s
    """,
    threshold="u > u_th",
    edge=True,
    reset="u = 2*u_th; x = 0; a = 1",
    receptors={"exc": Receptor(event="x += w", name="Kernel", doc="a postsynaptic potential of height w")},
    tau_m=Param(10 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    tau_s=Param(2.5 * ms, ms, "time constant of the rise of a potential", lo=0 * ms, lo_open=True),
    u_th=Param(500.0, None, "threshold, in heights of a potential whose weight is 1"),
    peak=Param(4 ** (4 / 3), None, "what makes a potential 1 high: (tau_m/tau_s)**(tau_m/(tau_m - tau_s))"),
    dip=Param(1500.0, None, "depth of the afterpotential: three thresholds"),
    name="ResponseNeuron",
    doc=(
        "spike-response neuron as equations: potentials rise with tau_s and fall with tau_m; a spike wipes out those "
        "before it, and leaves an afterpotential that begins at 2*u_th and goes below rest"
    ),
    source=f"{SOURCE}; its kernels as equations: P. Hathway, D. F. M. Goodman, ReScience 4 (2018), eqs. 1-3",
)

AlternatingSTDP = Plasticity(
    pre="dx/dt = -x/tau_plus",
    post="dy/dt = -y/tau_minus",
    edge="dopen/dt = 0",
    on_pre="w -= a_minus*y*(1 - open); open = 1; x = 1",
    on_post="w += a_plus*x*open; open = 0; y = 1",
    lower=0,
    upper=1,
    tau_plus=Param(16.8 * ms, ms, "time constant of potentiation", lo=0 * ms, lo_open=True),
    tau_minus=Param(33.7 * ms, ms, "time constant of depression", lo=0 * ms, lo_open=True),
    a_plus=Param(0.03125, None, "greatest potentiation", lo=0.0),
    a_minus=Param(0.85 * 0.03125, None, "greatest depression", lo=0.0),
    name="AlternatingSTDP",
    doc=(
        "reduced nearest neighbours: a spike of the target pairs with the last arrival, and the first arrival after it "
        "with that spike; other arrivals change nothing"
    ),
    source=f"{SOURCE}; A. Morrison, M. Diesmann, W. Gerstner, Biol. Cybern. 98 (2008), fig. 7C",
)


class Pattern(NamedTuple):
    """When a pattern is shown, in inputs that repeat themselves for ever.

    Attributes
    ----------
    starts : ndarray
        The beginning of each presentation in the first round, in seconds: float64 [shown].
    length : float
        Of the pattern, in seconds.
    period : float
        After which the inputs repeat themselves, in seconds.
    """

    starts: np.ndarray
    length: float
    period: float


class Detection(NamedTuple):
    """How well spikes tell when a pattern was shown.

    Attributes
    ----------
    hit_rate : float
        The fraction of its presentations with a spike.
    false_alarms : int
        Spikes outside of all presentations.
    latency : float
        The mean time from the start of a presentation to the first spike in it, in seconds; nan without a hit.
    """

    hit_rate: float
    false_alarms: int
    latency: float

    @property
    def success(self) -> bool:
        """The paper's criterion: more than 98 % of the presentations found, and nothing else."""
        return self.hit_rate > 0.98 and self.false_alarms == 0


def presentations(seed: int = 1, repeat: Quantity = 150 * second, share: float = 0.25) -> Pattern:
    """Return when :func:`masquelier` shows the pattern: in a share of all stretches of 50 ms, no two in a row.

    Parameters
    ----------
    seed, repeat, share
        As given to :func:`masquelier`.
    """
    where = caller()
    period = scalar(repeat, TIME, "repeat", where)
    stretches = round(period / LENGTH)
    shown = int(stretches * share)
    if abs(stretches * LENGTH - period) > 1e-9 or not 0 < share <= 0.5 or shown < 1:
        raise ParameterError(
            f"the pattern is shown in a share of at most 0.5 of the stretches of {LENGTH * 1e3:g} ms that make up "
            f"'repeat', at least once; got share={share:g} and"
            f" repeat={period:g} s, which is {period / LENGTH:g} of them",
            where,
        )
    # choose among fewer, then put one that is left out after each: no two are neighbours
    chosen = np.random.default_rng([seed, 0]).choice(stretches - shown + 1, shown, replace=False)
    return Pattern((np.sort(chosen) + np.arange(shown)) * LENGTH, LENGTH, period)


def _spikes(
    pattern: Pattern, n: int, seed: int, involved: float, jitter: float, noise: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return times in order, in seconds, and neurons of the spikes of one round, pattern and noise included."""
    rng = np.random.default_rng([seed, 1])
    times, ids = _wandering(rng, n, pattern.period)
    first, takes_part = pattern.starts[0], ids < round(involved * n)

    part = (times >= first) & (times < first + pattern.length) & takes_part
    own_times, own_ids = times[part] - first, ids[part]
    latest = np.maximum(np.searchsorted(pattern.starts, times, side="right") - 1, 0)
    since = times - pattern.starts[latest]
    kept = ~(takes_part & (since >= 0) & (since < pattern.length))
    shown = len(pattern.starts)
    copies = pattern.starts[:, None] + own_times + rng.normal(0.0, jitter, (shown, len(own_times)))

    more = rng.poisson(noise * pattern.period * n)
    times = np.concatenate([times[kept], copies.ravel(), rng.uniform(0, pattern.period, more)])
    ids = np.concatenate([ids[kept], np.tile(own_ids, shown), rng.integers(0, n, more)])
    inside = (times >= 0) & (times < pattern.period)
    order = np.argsort(times[inside])
    return times[inside][order], ids[inside][order]


def _wandering(rng: np.random.Generator, n: int, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times and neurons of Poisson spikes, in no order, whose rates wander between 0 and 90 Hz.

    The paper's process, in steps of 1 ms: from one bound to the other in 50 ms at the fastest, and nobody is silent for
    longer than that.
    """
    step, top, silence = 1e-3, 90.0, 0.05
    fastest, total = top / 0.05, round(duration / step)
    rate, change = rng.uniform(0, top, n), rng.uniform(-fastest, fastest, n)
    last = np.floor(-rng.uniform(0, silence, n) / step)  # the step of everyone's last spike
    patience, steps, who = round(silence / step), [], []
    for first in range(0, total, 200):
        block = min(200, total - first)
        rates = np.empty((block, n))
        pushes = rng.uniform(-fastest / 5, fastest / 5, (block, n))
        for row, push in zip(rates, pushes, strict=True):
            row[:] = rate
            rate += change * step
            np.minimum(np.maximum(rate, 0, out=rate), top, out=rate)
            change += push
            np.minimum(np.maximum(change, -fastest, out=change), fastest, out=change)
        found = rng.random((block, n)) < rates * step
        for k, row in enumerate(found, first):
            spikes = np.flatnonzero(row | (k - last >= patience))
            last[spikes] = k
            steps.append(np.full(len(spikes), k))
            who.append(spikes)
    at = np.concatenate(steps)
    return (at + rng.random(len(at))) * step, np.concatenate(who)


def detection(spikes: np.ndarray, pattern: Pattern, start: float, stop: float) -> Detection:
    """Say how well spikes tell when a pattern was shown.

    Parameters
    ----------
    spikes : ndarray
        Times of the neuron's spikes, in seconds: float64 [spikes].
    start, stop : float
        In seconds; presentations that lie wholly between them count, and spikes between them.
    """
    rounds = np.arange(int(np.ceil(stop / pattern.period)))
    shown = (rounds[:, None] * pattern.period + pattern.starts).ravel()
    spikes = np.sort(spikes[(spikes >= start) & (spikes < stop)])
    latest = np.searchsorted(shown, spikes, side="right") - 1
    within = (latest >= 0) & (spikes - shown[np.maximum(latest, 0)] < pattern.length)
    counted = (shown >= start) & (shown + pattern.length <= stop)
    if not counted.any():
        raise ParameterError(f"the pattern is not shown between {start:g} and {stop:g} s", caller())
    hit, first = np.unique(latest[within], return_index=True)
    delays = (spikes[within][first] - shown[hit])[counted[hit]]
    return Detection(
        hit_rate=len(delays) / int(counted.sum()),
        false_alarms=int((~within).sum()),
        latency=float(delays.mean()) if len(delays) else float("nan"),
    )


def masquelier(
    n: int = 2000, seed: int = 1, dt: Quantity = 0.1 * ms, weight: float = 0.475, repeat: Quantity = 150 * second,
    share: float = 0.25, involved: float = 0.5, jitter: Quantity = 1 * ms, every: Quantity = 10 * second,
) -> Network:  # fmt: skip
    """Return one neuron with n inputs, in half of which a pattern of 50 ms is hidden for a quarter of the time.

    Nothing tells the neuron that there is a pattern, when it begins or who takes part, and no rate gives it away. By
    spike-timing-dependent plasticity its synapses come to pick those that fire at the beginning of the pattern, and the
    neuron answers to nothing else, within a few milliseconds: see :func:`presentations` and :func:`detection`.
    A hundred of the inputs are recorded.

    Parameters
    ----------
    n : int
        Inputs.
    seed : int
        Of the inputs.
    weight : float
        At the beginning, of the greatest, which is 1.
    repeat : Quantity
        The inputs repeat themselves after so long, as in the paper, whose 450 s are three times 150 s.
    share, involved : float
        The fraction of the time that shows the pattern, and of the inputs that take part in it.
    jitter : Quantity
        Standard deviation of every spike of the pattern.
    every : Quantity
        Interval at which the weights are recorded.
    dt : Quantity
        Of the simulation.

    References
    ----------
    T. Masquelier, R. Guyonneau, S. J. Thorpe, PLoS ONE 3 (2008) e1377; reproduced by P. Hathway, D. F. M. Goodman,
    ReScience 4 (2018), whose grid and whose reading of the rule this follows.
    """
    where = caller()
    if not (0 < involved <= 1 and n >= 1):
        raise ParameterError(f"n is at least 1 and involved above 0 and at most 1; got {n} and {involved:g}", where)
    net = Network("masquelier", dt=dt, seed=seed)
    pattern = presentations(seed, repeat, share)
    times, ids = _spikes(pattern, n, seed, involved, scalar(jitter, TIME, "jitter", where))
    on_grid = np.floor(times / net.dt) * net.dt * second
    source = SpikeSource(on_grid, ids, period=repeat, align="round", duplicates="merge")
    inputs = net.population("inputs", n, source)
    neuron = net.population("neuron", 1, ResponseNeuron)
    synapses = net.connect(inputs, neuron, receptor="exc", weight=weight, delay=dt, plasticity=AlternatingSTDP,
                           name="synapses")  # fmt: skip
    net.record(neuron, "spikes")
    net.record(inputs[:: max(1, n // 100)], "spikes")
    net.record(synapses, "weight", every=every)
    net.default_duration = 450 * second
    return net

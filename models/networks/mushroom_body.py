"""The fly's mushroom body with the synapses of one brain: odours, dense at its entrance, sparse in Kenyon cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import TimedArray
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.cells.poisson_source import PoissonSource
from neurosim.models.networks.connectomes import MushroomBody, read_mushroom_body
from neurosim.models.synapses.exponential import ExpCurrent
from neurosim.units import Hz, Quantity, ms, mV, second

GROUPS = ("PN", "KC", "APL", "MBON")
"""Projection neurons of the antennal lobe, Kenyon cells, the anterior paired lateral neuron, output neurons."""


@dataclass(frozen=True)
class Odours:
    """Odours that are presented one after the other, the whole series in each trial.

    Attributes
    ----------
    rates : ndarray
        [odour, PN] rate of each projection neuron while the odour is there, in Hz.
    trials : int
        How often each is presented.
    spontaneous : float
        Rate in clean air, in Hz.
    on, off : float
        Seconds of the odour, and of clean air before it, whole numbers of 0.1 s.
    """

    rates: np.ndarray
    trials: int
    spontaneous: float
    on: float = 0.5
    off: float = 0.5

    @property
    def duration(self) -> Quantity:
        """Time that all presentations take."""
        return (self.on + self.off) * self.trials * len(self.rates) * second

    @property
    def course(self) -> TimedArray:
        """Rates of the projection neurons over time."""
        air, odour = round(10 * self.off), round(10 * self.on)
        rows = np.full((len(self.rates), air + odour, self.rates.shape[1]), self.spontaneous)
        rows[:, air:] = self.rates[:, None]
        return TimedArray(np.tile(rows.reshape(-1, self.rates.shape[1]), (self.trials, 1)) * Hz, 100 * ms)

    def counts(self, t: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
        """Return how many spikes each of `size` neurons fired during each odour: [trial, odour, neuron].

        Parameters
        ----------
        t, ids : ndarray
            [spike] when and which neuron fired, in a run from the start: ``spikes.t, spikes.ids``.
        size : int
            Neurons of the population.
        """
        shape = (self.trials, len(self.rates), size)
        turn = np.floor(t / (self.on + self.off) + 1e-9).astype(int)  # 1e-9: t is on a grid, and rounded
        there = t - turn * (self.on + self.off) > self.off - 1e-9
        flat = np.bincount(turn[there] * size + ids[there], minlength=math.prod(shape))
        return flat.reshape(shape)


def draw_odours(
    body: MushroomBody, odours: int, similarity: float, active: float, peak: float, spontaneous: float, seed: int
) -> np.ndarray:
    """Return rates of the projection neurons for some odours, [odour, PN] in Hz.

    All projection neurons of a glomerulus fire at its rate. An odour excites each glomerulus with the probability
    `active`, to a rate that is drawn uniformly from 0 to `peak`; with the probability `similarity` a glomerulus does
    what it does in a pattern that is common to all. Those of humidity and temperature (``VP…``) take no part.
    """
    g = np.random.default_rng(seed)
    names, glomerulus = np.unique(body.glomerulus[body.groups["PN"]], return_inverse=True)
    shape = (odours + 1, len(names))
    drawn = (g.random(shape) < active) * g.uniform(0, peak, shape)
    patterns = np.where(g.random((odours, len(names))) < similarity, drawn[:1], drawn[1:])
    patterns[:, [str(name).startswith("VP") for name in names]] = 0.0
    return spontaneous + patterns[:, glomerulus]


def odours_of(
    body: MushroomBody,
    odours: int = 10,
    trials: int = 2,
    similarity: float = 0.5,
    active: float = 0.5,
    peak: Quantity = 165 * Hz,
    spontaneous: Quantity = 2 * Hz,
    seed: int = 1,
) -> Odours:
    """Return the odours that :func:`mushroom_body` presents, by the same keywords."""
    for name, value in (("odours", odours), ("trials", trials)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ParameterError(f"{name} must be a whole number, at least 1; got {value!r}", caller())
    for name, share in (("similarity", similarity), ("active", active)):
        if not 0 <= share <= 1:
            raise ParameterError(f"{name} must be from 0 to 1, got {share}", caller())
    for name, rate in (("peak", peak), ("spontaneous", spontaneous)):
        if not float(rate / Hz) >= 0:
            raise ParameterError(f"{name} must be 0 Hz or more, got {rate}", caller())
    air = float(spontaneous / Hz)
    return Odours(draw_odours(body, odours, similarity, active, float(peak / Hz), air, seed), trials, air)


def mushroom_body(
    path: str | None = None,
    seed: int = 1,
    dt: Quantity = 0.1 * ms,
    odours: int = 10,
    trials: int = 2,
    similarity: float = 0.5,
    active: float = 0.5,
    peak: Quantity = 165 * Hz,
    spontaneous: Quantity = 2 * Hz,
    apl: float = 1.0,
    w_syn: Quantity = 0.275 * mV,
) -> Network:
    """Return projection neurons, Kenyon cells, the APL and output neurons of a fly's right hemisphere, and odours.

    Published are the connections and their synapse counts (FlyWire 783, connections of five synapses and more), the
    signs by transmitter, and, from a model of the whole brain, all parameters of cells and synapses: they were fitted
    to nothing here. Chosen are the odours. Left out are the connections onto projection neurons (which are Poisson
    sources) and dopaminergic neurons. The APL of flies does not spike; here it does, as in that model.

    The result: an odour excites 5 to 10 % of the Kenyon cells with the APL, and a third or more without
    (``apl=0``); odours are less alike in Kenyon cells than in projection neurons with the APL, and more without.

    Parameters
    ----------
    path : str, optional
        File of the connectome: see :func:`~neurosim.models.networks.connectomes.read_mushroom_body`.
    seed : int
        Of the odours and of the projection neurons' spikes.
    odours, trials : int
        How many odours, and how often each of them is presented: 0.5 s, after 0.5 s of clean air.
    similarity : float
        Share of the glomeruli that do the same in all odours.
    active : float
        Fraction of the glomeruli that an odour excites.
    peak : Quantity
        Their rates are uniform from 0 to this.
    spontaneous : Quantity
        Rate of projection neurons without an odour; it adds to what an odour brings.
    apl : float
        Factor of the APL's output; 0 silences it.
    w_syn : Quantity
        Weight of one synapse.
    dt : Quantity
        Step.

    References
    ----------
    S. Dorkenwald et al., P. Schlegel et al., Nature 634 (2024), the connectome; P. K. Shiu et al., Nature 634 (2024),
    cells and synapses; A. C. Lin et al., Nat. Neurosci. 17 (2014), what the APL does; G. C. Turner, M. Bazhenov,
    G. Laurent, J. Neurophysiol. 99 (2008), sparseness of Kenyon cells.
    """
    if not apl >= 0:
        raise ParameterError(f"apl must be 0 or more, got {apl}", caller())
    body = read_mushroom_body(path)
    shown = odours_of(body, odours, trials, similarity, active, peak, spontaneous, seed)
    net = Network("mushroom_body", dt=dt, seed=seed)
    cell = LIF(tau_m=20 * ms, v_rest=-52 * mV, v_reset=-52 * mV, v_th=-45 * mV, t_ref=2.2 * ms,
               receptors={"syn": ExpCurrent(tau=5 * ms)})  # fmt: skip
    for name in GROUPS:
        net.population(name, len(body.groups[name]), PoissonSource(rate=shown.course) if name == "PN" else cell)
    for pre in GROUPS:
        for post in GROUPS[1:]:
            sources, targets, n_syn = body.between(pre, post)
            if len(sources):
                sign = body.sign[body.groups[pre]][sources] * (apl if pre == "APL" else 1.0)
                net.connect(net[pre], net[post], rule=EdgeList(sources, targets), weight=sign * n_syn * w_syn,
                            delay=1.8 * ms, name=f"{pre}_{post}")  # fmt: skip
    net.record(list(net.populations.values()), "spikes")
    net.default_duration = shown.duration
    return net

"""C. elegans: neurons without spikes, joined by the synapses and gap junctions that were seen, are touched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.network import Network
from neurosim.models.networks.connectomes import Worm, read_c_elegans
from neurosim.models.synapses.link import GapJunction
from neurosim.params import Param
from neurosim.units import Hz, Quantity, amp, ms, mV, nA, pA, pF, pS, second, volt

MOTOR = ("DA", "DB", "DD", "VA", "VB", "VD", "AS")
"""Classes of motor neurons along the body: A act in going backward, B in going forward, and D inhibit; D. and AS are on
the dorsal side, V. on the ventral."""

G_LEAK, CAPACITANCE = 10 * pS, 1.5 * pF
E_LEAK, E_EXC, E_INH = -35 * mV, 0 * mV, -48 * mV
RISE, DECAY = 1 / 1.5 * Hz, 5 / 1.5 * Hz
"""Of the synaptic variable s."""

GradedNeuron = Cell(
    """
    dv/dt = (g_leak*(e_leak - v) + current + i)/c
    ds/dt = rise*(1 - s)*sigmoid((v - v_half)/width) - decay*s
    """,
    init={"v": "e_leak", "s": "rise/(rise + 2*decay)"},
    c=Param(CAPACITANCE, pF, "capacitance of the membrane", lo=0 * pF, lo_open=True),
    g_leak=Param(G_LEAK, pS, "leak conductance", lo=0 * pS),
    e_leak=Param(E_LEAK, mV, "reversal potential of the leak"),
    current=Param(0 * pA, pA, "constant input"),
    v_half=Param(-20 * mV, mV, "potential at which release is half of its maximum"),
    width=Param(8 * mV, mV, "how gradual release is", lo=0 * mV, lo_open=True),
    rise=Param(RISE, Hz, "rate at which full release opens synapses", lo=0 * Hz),
    decay=Param(DECAY, Hz, "rate at which synapses close", lo=0 * Hz),
    name="GradedNeuron",
    doc="a passive neuron without spikes that releases transmitter gradually; s is the open fraction of its synapses",
    source="J. M. Kunert, E. Shlizerman, J. N. Kutz, Phys. Rev. E 89 (2014)",
)

OpenFraction = Receptor(
    link="g = w*s_pre",
    output="g*(e_rev - v)",
    e_rev=Param(E_EXC, mV, "reversal potential"),
    name="OpenFraction",
    doc="graded synapses whose open fraction s is a variable of the source; the weight is the conductance when open",
    source="J. M. Kunert, E. Shlizerman, J. N. Kutz, Phys. Rev. E 89 (2014)",
)


def equilibrium(worm: Worm, current: np.ndarray, g_syn: Quantity = 100 * pS, g_gap: Quantity = 100 * pS) -> np.ndarray:
    """Return the potentials at which all neurons rest if each releases half of what it can: [N] in volts.

    In the model these are the neurons' ``v_half``; so they are a fixed point, and what matters is whether it is stable.

    Parameters
    ----------
    worm : Worm
        Neurons and connections.
    current : ndarray
        [N] constant input in amperes.
    g_syn, g_gap : Quantity
        Conductance of one synapse (open), and of one gap junction.
    """
    n, leak = len(worm.names), G_LEAK.value
    share = RISE.value / (RISE.value + 2 * DECAY.value)  # s where release is half
    synapses, junctions = np.zeros((2, n, n))
    synapses[worm.post, worm.pre] = share * g_syn.value * worm.n_syn
    junctions[worm.left, worm.right] = junctions[worm.right, worm.left] = g_gap.value * worm.n_gap
    reversal = np.where(worm.gabaergic, E_INH.value, E_EXC.value)
    matrix = np.diag(leak + synapses.sum(axis=1) + junctions.sum(axis=1)) - junctions
    return np.linalg.solve(matrix, leak * E_LEAK.value + synapses @ reversal + current)


def ablated(worm: Worm, which: str) -> Worm:
    """Return the worm without the connections of some neurons (which stay, alone): names as in :meth:`Worm.cells`."""
    gone = worm.cells(which)
    kept = ~(np.isin(worm.pre, gone) | np.isin(worm.post, gone))
    joined = ~(np.isin(worm.left, gone) | np.isin(worm.right, gone))
    return Worm(worm.names, worm.pre[kept], worm.post[kept], worm.n_syn[kept], worm.left[joined], worm.right[joined],
                worm.n_gap[joined])  # fmt: skip


@dataclass(frozen=True)
class Modes:
    """How neurons move together around their mean.

    Attributes
    ----------
    amplitude : float
        Largest standard deviation over time of a neuron, in the unit of what was given.
    share : float
        Fraction of the variance in the two largest modes; 0 where nothing moves.
    period : float
        Mean interval between upward crossings of the mean by the neuron that moves most, in seconds; NaN without two.
    courses : ndarray
        [time, 2] the two modes over time.
    shapes : ndarray
        [2, neuron] what each neuron has of them.
    """

    amplitude: float
    share: float
    period: float
    courses: np.ndarray
    shapes: np.ndarray


def modes(t: np.ndarray, v: np.ndarray, still: float = 1e-9) -> Modes:
    """Return the two largest modes (singular vectors) of some potentials.

    Parameters
    ----------
    t : ndarray
        [time] in seconds.
    v : ndarray
        [time, neuron]
    still : float
        Standard deviation below which nothing is said to move.
    """
    moving = v - v.mean(axis=0)
    spread = moving.std(axis=0)
    left, size, shapes = np.linalg.svd(moving, full_matrices=False)
    if spread.max() <= still:
        return Modes(float(spread.max()), 0.0, float("nan"), left[:, :2] * size[:2], shapes[:2])
    most = moving[:, spread.argmax()]
    up = np.flatnonzero((most[:-1] < 0) & (most[1:] >= 0))
    crossed = t[up] - most[up] * (t[up + 1] - t[up]) / (most[up + 1] - most[up])
    period = float(np.mean(np.diff(crossed))) if len(crossed) > 1 else float("nan")
    share = float(np.sum(size[:2] ** 2) / np.sum(size**2))
    return Modes(float(spread.max()), share, period, left[:, :2] * size[:2], shapes[:2])


def c_elegans(
    path: str | None = None,
    seed: int = 1,
    dt: Quantity = 0.1 * ms,
    dataset: str = "varshney2011",
    touch: str = "PLM",
    current: Quantity = 2 * nA,
    ablate: str = "",
    g_syn: Quantity = 100 * pS,
    g_gap: Quantity = 100 * pS,
) -> Network:
    """Return the neurons of C. elegans, at rest, and from the start on a current into some of them.

    Neurons are passive and have no spikes. Each releases transmitter gradually (a sigmoid of its potential), onto
    synapses that open and close slowly; gap junctions conduct between potentials. All synapses have the same
    conductance, and GABA inhibits. As published, a neuron releases half of its maximum at the potential at which it
    would rest with the current, so that rest is a fixed point at every current. From 1.3 nA into PLM on it is unstable
    and the motor neurons oscillate, with a period of 1.8 s at 2 nA. Such currents, and the volts that they make in PLM
    and its neighbours, are those of the published model, not of worms.

    Parameters
    ----------
    path : str, optional
        File of the connectome: see :func:`~neurosim.models.networks.connectomes.read_c_elegans`.
    seed : int
        Of what is drawn, which here is nothing.
    dataset : str
        ``"varshney2011"``, which comes with this package, or ``"cook2019"``, which does not.
    touch : str
        Names of the neurons that get the current, or of their classes: ``"PLM"``, ``"ALM, AVM"``.
    current : Quantity
        Into each of them.
    ablate : str
        Neurons whose synapses and gap junctions are removed, named in the same way.
    g_syn, g_gap : Quantity
        Conductance of one synapse (open), and of one gap junction; in ``"cook2019"``, of one section.
    dt : Quantity
        Step. Couplings act with the potentials at its start, so it must be short where conductances are large: as in
        the default, 0.1 ms.

    References
    ----------
    J. M. Kunert, E. Shlizerman, J. N. Kutz, Phys. Rev. E 89 (2014), the model; J. Kim, W. Leahy, E. Shlizerman, Front.
    Comput. Neurosci. 13 (2019), its published code and the values of all parameters; S. R. Wicks, C. J. Roehrig, C. H.
    Rankin, J. Neurosci. 16 (1996), from which they derive.
    """
    for name, conductance in (("g_syn", g_syn), ("g_gap", g_gap)):
        if not float(conductance / pS) >= 0:
            raise ParameterError(f"{name} must be 0 pS or more, got {conductance}", caller())
    worm = ablated(read_c_elegans(path, dataset), ablate)
    n, injected = len(worm.names), np.zeros(len(worm.names))
    injected[worm.cells(touch)] = float(current / amp)
    cell = GradedNeuron(
        current=injected * amp,
        v_half=equilibrium(worm, injected, g_syn, g_gap) * volt,
        receptors={"gap": GapJunction(), "exc": OpenFraction(), "inh": OpenFraction(e_rev=E_INH)},
    )
    net = Network("c_elegans", dt=dt, seed=seed)
    rest = equilibrium(worm, np.zeros(n), g_syn, g_gap)
    neurons = net.population("neurons", n, cell, init={"v": rest * volt})
    inhibits = worm.gabaergic[worm.pre]
    for receptor, here in (("exc", ~inhibits), ("inh", inhibits)):
        net.connect(neurons, neurons, receptor=receptor, rule=EdgeList(worm.pre[here], worm.post[here]),
                    weight=worm.n_syn[here] * g_syn, name=receptor)  # fmt: skip
    ends = np.concatenate([worm.left, worm.right]), np.concatenate([worm.right, worm.left])
    net.connect(neurons, neurons, receptor="gap", rule=EdgeList(*ends), weight=np.tile(worm.n_gap, 2) * g_gap,
                name="gap")  # fmt: skip
    net.record(neurons, "v", every=10 * ms)
    net.default_duration = 40 * second
    return net

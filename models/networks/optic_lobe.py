"""The fly's motion pathways, connected as in the electron microscope: 45,669 cells of 65 types, and a moving edge."""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import Cell, Current, TimedArray, uniform
from neurosim.lang.network import Network
from neurosim.models.networks.connectomes import OpticLobe, read_optic_lobe
from neurosim.models.synapses.exponential import ExpCurrent
from neurosim.params import Param
from neurosim.units import Hz, Quantity, ms, mV, second

RECEPTORS = tuple(f"R{k}" for k in range(1, 9))
"""Photoreceptors, the input."""

DETECTORS = ("T4a", "T4b", "T4c", "T4d", "T5a", "T5b", "T5c", "T5d")
"""The direction-selective cells; T4 for moving brightness increments, T5 for decrements."""

PREFERRED = {"a": 180.0, "b": 0.0, "c": 90.0, "d": 270.0}
"""Measured preferred directions of T4 and T5 in degrees, in the coordinates of the lattice (Maisak et al. 2013)."""

SLOW = ("Mi4", "Mi9", "C3", "CT1(M10)", "CT1(Lo1)", "Tm9")
"""Inputs of T4 and T5 that were measured to be low-pass (Serbe 2016, Arenz 2017, Meier and Borst 2019); C3 is counted
among them by its place, on the side of Mi4 and CT1, and not by a measurement."""

TRANSIENT = ("L1", "L2", "Mi1", "Tm1", "Tm2", "Tm3", "Tm4")
"""Cells of the two pathways whose responses to a step decay: Mi1 and the Tm cells (band-pass, the same sources), L1 and
L2 (of the lamina's cells only L3 is sustained, Matsliah 2024)."""

SWING = 10 * mV
"""From reset to threshold."""

AdaptingLIF = Cell(
    """
    dv/dt = (v_rest - v + bias + i - a)/tau_m
    da/dt = -a/tau_a
    """,
    threshold="v >= v_th",
    reset="v = v_rest; a += jump",
    init={"v": "v_rest"},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-60 * mV, mV, "resting potential without bias, and reset"),
    v_th=Param(-50 * mV, mV, "threshold"),
    bias=Param(0 * mV, mV, "constant input"),
    tau_a=Param(200 * ms, ms, "time constant of the adaptation", lo=0 * ms, lo_open=True),
    jump=Param(0 * mV, mV, "what a spike adds to the adaptation current"),
    name="AdaptingLIF",
    doc="leaky integrate-and-fire with an adaptation current a",
    source="J. Benda, A. V. M. Herz, Neural Comput. 15 (2003)",
)

_EDGE = Current(
    output="0.5*contrast*swing*(1 + tanh((speed*(t - start - wait) - lead - x*across - y*along)/(2*blur)))",
    swing=Param(0 * mV, mV, "input of the brightest edge less that of grey"),
    x=Param(0.0, 1, "place in columns"),
    y=Param(0.0, 1, "place in columns"),
    across=Param(0.0, 1, "cosine of the direction"),
    along=Param(0.0, 1, "sine of the direction"),
    contrast=Param(0.0, 1, "1 for an ON edge, -1 for an OFF edge"),
    start=Param(0 * ms, ms, "when this edge's turn began"),
    wait=Param(0 * ms, ms, "grey before it comes"),
    speed=Param(0 * Hz, Hz, "columns per second"),
    lead=Param(0.0, 1, "distance from the centre at which it starts"),
    blur=Param(1.0, 1, "scale of the edge in columns", lo=0, lo_open=True),
    name="MovingEdge",
    doc="an edge that moves over the lattice, blurred by the optics of an ommatidium",
)


@dataclass(frozen=True)
class MovingEdges:
    """Edges that cross the lattice one after the other, with grey in between.

    Attributes
    ----------
    angles : tuple of float
        Direction in which each moves, in degrees, counter-clockwise from the right.
    contrasts : tuple of int
        +1 for a bright edge on grey (ON), -1 for a dark one (OFF).
    speed : float
        In columns per second; a column is about 5 degrees of the visual field.
    extent : int
        Radius of the lattice.
    wait : float
        Seconds of grey before each.
    """

    angles: tuple[float, ...]
    contrasts: tuple[int, ...]
    speed: float
    extent: int
    wait: float = 0.6

    @property
    def lead(self) -> float:
        """Distance from the centre, in columns, at which an edge starts and ends."""
        return self.extent + 2.0

    @property
    def turn(self) -> float:
        """Seconds from one edge to the next, a whole number of 10 ms."""
        return 0.01 * math.ceil(100 * (self.wait + 2 * self.lead / self.speed))

    @property
    def duration(self) -> Quantity:
        """Time that all of them take."""
        return self.turn * len(self.angles) * second

    def arrivals(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return when each edge is over each place, in seconds: [edge, place]."""
        angle = np.radians(self.angles)[:, None]
        ahead = x * np.cos(angle) + y * np.sin(angle) + self.lead
        return self.turn * np.arange(len(self.angles))[:, None] + self.wait + ahead / self.speed

    def current(self, x: np.ndarray, y: np.ndarray, swing: Quantity, blur: float) -> Current:
        """Return the input of photoreceptors at some places."""
        angle, period = np.radians(self.angles), self.turn * second
        return _EDGE(x=x, y=y, swing=swing, blur=blur, lead=self.lead, speed=self.speed * Hz, wait=self.wait * second,
                     across=TimedArray(np.cos(angle), period), along=TimedArray(np.sin(angle), period),
                     contrast=TimedArray(np.array(self.contrasts, dtype=float), period),
                     start=TimedArray(self.turn * np.arange(len(angle)) * second, period))  # fmt: skip

    def responses(self, t: np.ndarray, ids: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
        """Return the peak rate of a population in response to each edge, in Hz: [edge].

        Each cell's spikes are taken relative to the edge's arrival at its column, from 0.4 s before to 0.6 s after,
        and averaged over cells; the peak is that of the mean in 50 ms.

        Parameters
        ----------
        t, ids : ndarray
            [spike] when and which cell of the population fired, in a run from the start: ``spikes.t, spikes.ids``.
        x, y : ndarray
            [n] places of its cells in columns.
        radius : float
            Only cells within it count: those at the border lack inputs.
        """
        bins, width, mean = 100, 0.01, 5
        edge = np.minimum((t / self.turn).astype(int), len(self.angles) - 1)
        since = t - self.arrivals(x, y)[edge, ids] + 0.4
        bin_ = np.floor(since / width).astype(int)
        inside = np.hypot(x, y) <= radius
        there = inside[ids] & (bin_ >= 0) & (bin_ < bins)
        counts = np.bincount(edge[there] * bins + bin_[there], minlength=len(self.angles) * bins)
        sums = np.lib.stride_tricks.sliding_window_view(counts.reshape(-1, bins), mean, axis=1).sum(axis=2)
        return sums.max(axis=1) / (mean * width * np.count_nonzero(inside))


def moving_edges(
    angle: float | None = None, polarity: str = "both", speed: float = 12.0, extent: int = 15
) -> MovingEdges:
    """Return the edges that :func:`optic_lobe` shows, by the same keywords."""
    polarities = {"on": (1,), "off": (-1,), "both": (1, -1)}
    if polarity not in polarities:
        raise ParameterError(f"polarity must be 'on', 'off' or 'both', got {polarity!r}", caller())
    if not 0 < speed <= 100:
        raise ParameterError(f"speed is in columns per second, above 0 and up to 100; got {speed}", caller())
    angles = tuple(float(a) for a in range(0, 360, 30)) if angle is None else (float(angle),)
    signs = polarities[polarity]
    return MovingEdges(angles * len(signs), tuple(c for c in signs for _ in angles), float(speed), extent)


def selectivity(angles: np.ndarray, responses: np.ndarray) -> tuple[float, float]:
    """Return the index of direction selectivity and the preferred direction in degrees, from -180 to 180.

    The index is the length of the sum of the responses as vectors over the sum of their lengths: 0 if all directions
    are alike, 1 if there is a response to one only (0 without any).
    """
    vector = np.sum(responses * np.exp(1j * np.radians(angles)))
    total = float(np.sum(responses))
    return (float(abs(vector)) / total if total > 0 else 0.0), float(np.degrees(np.angle(vector)))


def optic_lobe(
    path: str | None = None,
    seed: int = 1,
    dt: Quantity = 1 * ms,
    extent: int = 15,
    angle: float | None = None,
    polarity: str = "both",
    speed: float = 12.0,
    gain: float = 1.5,
    rate: Quantity = 50 * Hz,
    margin: Quantity = 2 * mV,
    tau_fast: Quantity = 10 * ms,
    tau_slow: Quantity = 100 * ms,
    adaptation: float = 1.0,
    tau_a: Quantity = 200 * ms,
    tau_m: Quantity = 20 * ms,
    delay: Quantity = 1 * ms,
    blur: float = 0.25,
    silence: str = "",
    record: str = "all",
) -> Network:
    """Return the optic lobe's motion pathways, from photoreceptors to T4 and T5, and edges that move over the eye.

    Published are the cells, connections, synapse counts and signs, and which cells are slow and which transient
    (but for C3, see ``SLOW``).
    These neurons are graded; here they are spiking ones that fire at `rate` in grey, from which their rates go up and
    down. Light changes the input of photoreceptors, by as much as doubles their rate and darkness by as much as ends it
    (the feedback that they have comes on top). Every number below is chosen, and the same for all cells of a kind: T4a
    to T4d differ in nothing but in how they are connected, and so do T5a to T5d. The constant input of each cell is
    what makes it fire at `rate`, given that all others do; that of T4 and T5 leaves them `margin` below threshold.

    The result (the whole lattice, 24 edges): T4 responds to bright edges only, T5 to dark ones only, and the preferred
    directions of all eight types are within 20 degrees of the measured ones (``PREFERRED``). If all cells are alike in
    time (``tau_slow=10*ms, adaptation=0.0``), or without the inhibition from Mi4, C3 and CT1 (``silence``), little
    selectivity is left.

    Parameters
    ----------
    path : str, optional
        File of the connectome: see :func:`~neurosim.models.networks.connectomes.read_optic_lobe`.
    seed : int
        Of the initial potentials; nothing else is random.
    extent : int
        Radius of the lattice in columns; 15 is the published size.
    angle : float, optional
        Direction of the edge in degrees, counter-clockwise from the right; 12 directions in turn by default.
    polarity : str
        ``"on"``, ``"off"``, or ``"both"``, all ON edges first.
    speed : float
        Of the edge, in columns per second; 12 are about 60 degrees per second.
    gain : float
        Change of a cell's rate if all its inputs were excitatory and changed their rates by 1 Hz. A synapse's weight
        is its share of the synapses onto its target.
    rate : Quantity
        Of all cells but T4 and T5 in grey.
    margin : Quantity
        Distance of T4 and T5 to threshold in grey, of 10 mV from rest to threshold.
    tau_fast, tau_slow : Quantity
        Decay of synaptic currents; slow are those from ``SLOW``.
    adaptation, tau_a : float, Quantity
        Adaptation of ``TRANSIENT`` cells, in the end by how many Hz for each Hz of the cell's rate, and its time
        constant.
    tau_m, delay, dt : Quantity
        Membrane time constant, synaptic delay, step.
    blur : float
        Scale of the edge as ommatidia see it, in columns. 0.25 stands for an acceptance angle of about one column.

    silence : str
        Types whose output is blocked, as ``"Mi4, CT1(M10)"``; all others rest as before.
    record : str
        Spikes of ``"all"`` populations, 190 million in 24 edges (2.5 GB), or of the ``"detectors"``, T4 and T5.

    References
    ----------
    J. K. Lappalainen et al., Nature 634 (2024), the connectome; M. S. Maisak et al., Nature 500 (2013), T4 and T5;
    E. Serbe et al., Neuron 89 (2016), A. Arenz et al., Curr. Biol. 27 (2017), M. Meier, A. Borst, Curr. Biol. 29
    (2019), dynamics of their inputs; A. Matsliah et al., Nature 634 (2024), of the lamina's cells.
    """
    edges = moving_edges(angle, polarity, speed, extent)
    _check(gain, adaptation, rate, dt, margin, record)
    lobe = read_optic_lobe(path, extent)
    per_hz = float(tau_m * SWING * Hz / mV)  # mV of input that change the rate of a LIF, well above threshold, by 1 Hz
    share = np.where(_are(lobe, _named(lobe, silence))[lobe.pre], 0.0, gain * per_hz * _shares(lobe))
    slow, r0 = _are(lobe, SLOW), float(rate / Hz)
    decay = np.where(slow, float(tau_slow / second), float(tau_fast / second))[lobe.pre]
    tired = np.where(_are(lobe, TRANSIENT), adaptation * per_hz, 0.0)
    bias = _bias(lobe, share, tired, r0, float(margin / mV), float(dt / second), float(tau_m / second))

    net = Network("optic_lobe", dt=dt, seed=seed)
    receptors = {"fast": ExpCurrent(tau=tau_fast), "slow": ExpCurrent(tau=tau_slow)}
    for kind, name in enumerate(lobe.types):
        cells, quiet = np.flatnonzero(lobe.kind == kind), name in DETECTORS
        jump = float(tired[cells[0]] / (tau_a / second)) * mV
        cell = AdaptingLIF(tau_m=tau_m, tau_a=tau_a, bias=bias[cells] * mV, jump=jump, receptors=receptors)
        pop = net.population(population(name), len(cells), cell, init={
            "v": cell.value("v_rest") if quiet else uniform(cell.value("v_rest"), cell.value("v_th")),
            "a": float(tired[cells[0]] * r0) * mV,
        })  # fmt: skip
        if name in RECEPTORS:
            net.stimulate(pop, edges.current(lobe.x[cells], lobe.y[cells], per_hz * r0 * mV, blur), name="edge")
    pops = list(net.populations.values())
    everything = functools.reduce(operator.add, pops[1:], pops[0])
    for receptor, chosen in (("fast", ~slow[lobe.pre]), ("slow", slow[lobe.pre])):
        net.connect(everything, everything, receptor=receptor, rule=EdgeList(lobe.pre[chosen], lobe.post[chosen]),
                    weight=(share / decay)[chosen] * mV, delay=delay, name=receptor)  # fmt: skip
    net.record([pop for pop in pops if record == "all" or pop.name in DETECTORS], "spikes")
    net.default_duration = edges.duration
    return net


def population(cell_type: str) -> str:
    """Return the name of a type's population: ``"CT1_M10"`` for ``"CT1(M10)"``."""
    return cell_type.replace("(", "_").replace(")", "")


def _named(lobe: OpticLobe, names: str) -> tuple[str, ...]:
    """Return the cell types in a list that is separated by commas."""
    types = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in types:
        if name not in lobe.types:
            raise UnknownNameError(f"silence: there is no cell type '{name}'{suggest(name, lobe.types)}", caller())
    return types


def _are(lobe: OpticLobe, types: tuple[str, ...]) -> np.ndarray:
    """Return which cells are of some types."""
    return np.isin(lobe.kind, [lobe.types.index(t) for t in types])


def _shares(lobe: OpticLobe) -> np.ndarray:
    """Return of each connection its signed share of the synapses onto its target.

    The total is that of the type's cell with the most synapses, one in the middle, so that cells at the border, where
    inputs are missing, have the same weights.
    """
    total = np.zeros(len(lobe.types))
    np.maximum.at(total, lobe.kind, np.bincount(lobe.post, lobe.n_syn, len(lobe.kind)))
    return lobe.sign * lobe.n_syn / total[lobe.kind[lobe.post]]


def _bias(
    lobe: OpticLobe, share: np.ndarray, tired: np.ndarray, r0: float, margin: float, dt: float, tau_m: float
) -> np.ndarray:
    """Return the constant inputs in mV with which every cell is at rest as it should be, given that all others are."""
    quiet, swing = _are(lobe, DETECTORS), float(SWING / mV)
    # The rate of a leaky integrate-and-fire cell, inverted; a spike waits half a step for the grid, on average.
    tonic = swing / -math.expm1((dt / 2 - 1 / r0) / tau_m)
    rest = np.where(quiet, 0.0, r0)
    level = np.where(quiet, swing - margin, tonic)
    return level + tired * rest - np.bincount(lobe.post, share * rest[lobe.pre], len(lobe.kind))


def _check(gain: float, adaptation: float, rate: Quantity, dt: Quantity, margin: Quantity, record: str) -> None:
    """Refuse numbers that mean nothing here (those of cells and synapses are checked with them)."""
    if record not in ("all", "detectors"):
        raise ParameterError(f"record must be 'all' or 'detectors', got {record!r}", caller())
    for name, value in (("gain", gain), ("adaptation", adaptation)):
        if not value >= 0:
            raise ParameterError(f"{name} must be 0 or more, got {value}", caller())
    if not 0 < float(rate * dt) <= 0.2:
        most = 0.2 / float(dt / second)
        raise ParameterError(f"rate must be above 0 and at most {most:g} Hz, a spike in 5 steps; got {rate}", caller())
    if not float(margin / mV) >= 0:
        raise ParameterError(f"margin must be 0 mV or more, got {margin}", caller())

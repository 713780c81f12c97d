"""Connections from spikes: how many synapses join the neurons whose published spikes are known to a tenth of a ms.

In the model of :mod:`neurosim.models.networks.fly_brain` a spike ends all that its neuron has collected. So the
potential since a neuron's last spike is a sum over the spikes that have arrived since, each with a known course, times
unknown whole numbers of synapses: below the threshold in every step but that of the next spike, and above it there.
Published are all spikes of all neurons that fire; with thousands of spikes of a neuron these inequalities leave one
integer.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller
from neurosim.ir.rules import EdgeList
from neurosim.lang.network import Network
from neurosim.models.cells.spike_source import SpikeSource
from neurosim.models.networks.fly_brain import DELAY, SUGAR, T_REF, W_SYN, BrainCell
from neurosim.units import ms, mV, second

_STEP = 0.1  # ms
_MEMBRANE, _SYNAPSE = (float(BrainCell.value(k).value) * 1e3 for k in ("tau_m", "tau_syn"))
_THRESHOLD = float((BrainCell.value("v_th").value - BrainCell.value("v_rest").value) * 1e3)  # mV above rest
_LATER = round(float(DELAY / ms) / _STEP)
_REFRACTORY = round(float(T_REF / ms) / _STEP) + 1  # steps from a spike to the first in which the potential moves
_ONE = float(W_SYN / mV)

_HELP = (
    "the published spikes are the files of results/example in github.com/philshiu/Drosophila_brain_model (MIT, 6 MB): "
    "set the path to that folder"
)


@dataclass(frozen=True)
class Trial:
    """One second of the published model.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    silenced : int
        Index of the neuron whose output was silenced, -1 for none.
    steps, cells : ndarray of int
        [spike] steps of 0.1 ms, ascending, and indices of the neurons.
    """

    experiment: str
    silenced: int
    steps: np.ndarray
    cells: np.ndarray


@dataclass(frozen=True)
class SugarSpikes:
    """All spikes of the published experiments with sugar neurons.

    Attributes
    ----------
    ids : ndarray of int64
        [N] FlyWire ids (version 630) of the neurons that fire in any of them, ascending.
    trials : tuple of Trial
        30 of each experiment.
    """

    ids: np.ndarray
    trials: tuple[Trial, ...]

    @property
    def driven(self) -> np.ndarray:
        """[N] whether a neuron is one of the 21 that Poisson spikes drive."""
        return np.isin(self.ids, SUGAR)

    @property
    def experiments(self) -> tuple[str, ...]:
        """Names of the experiments."""
        return tuple(dict.fromkeys(trial.experiment for trial in self.trials))

    def of(self, experiments: Sequence[str]) -> list[Trial]:
        """Return the trials of some experiments."""
        unknown = [e for e in experiments if e not in self.experiments]
        if unknown:
            raise UnknownNameError(f"no experiment '{unknown[0]}'; known: {', '.join(self.experiments)}", caller())
        return [trial for trial in self.trials if trial.experiment in experiments]

    def cell(self, flywire_id: int) -> int:
        """Return the index of a neuron."""
        place = int(np.searchsorted(self.ids, flywire_id))
        if place == len(self.ids) or self.ids[place] != flywire_id:
            raise UnknownNameError(f"no neuron {flywire_id} fires in these experiments", caller())
        return place


@dataclass(frozen=True)
class Inputs:
    """What is known of the connections onto a neuron.

    Attributes
    ----------
    n_syn : ndarray of float
        [N] signed numbers of synapses from each neuron; whole numbers where they are determined.
    error : ndarray of float
        [N] their standard errors, at least as large as the width of the prior where no spikes tell.
    """

    n_syn: np.ndarray
    error: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """[N] whether a number is determined, 0 included."""
        return self.error < _SURE


def read_sugar_spikes(path: str | os.PathLike[str]) -> SugarSpikes:
    """Return the published spikes.

    Parameters
    ----------
    path : path
        The folder of the authors' parquet files, which pyarrow reads, or an npz archive of the same spikes.

    Raises
    ------
    ParameterError
        There are no such files, or pyarrow is missing.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise ParameterError(f"there is no folder '{place}': {_HELP}", caller())
    try:
        tables = _archive(place) if place.is_file() else _folder(place)
    except (KeyError, ValueError, TypeError, OSError) as e:
        raise ParameterError(f"'{place}' has no spikes of these experiments: {_HELP}", caller()) from e
    ids = np.unique(np.concatenate([found for _, _, _, found in tables]))
    trials = []
    for name, steps, trial, found in tables:
        cut = name.partition("-")[2]
        silenced = int(np.searchsorted(ids, int(cut))) if cut else -1
        cells = np.searchsorted(ids, found)
        for k in range(int(trial.max()) + 1):
            here = np.flatnonzero(trial == k)
            here = here[np.lexsort((cells[here], steps[here]))]
            trials.append(Trial(name, silenced, steps[here], cells[here]))
    return SugarSpikes(ids, tuple(trials))


_Table = tuple[str, np.ndarray, np.ndarray, np.ndarray]
"""Name of an experiment; steps, trials and FlyWire ids of its spikes."""


def _archive(file: Path) -> list[_Table]:
    with np.load(file, allow_pickle=False) as z:
        names = [key.removesuffix("__ids") for key in z.files if key.endswith("__ids")]
        if not names:
            raise ValueError("no experiments")
        return [(n, z[f"{n}__t_0p1ms"].astype(int), z[f"{n}__trial"].astype(int),
                 z[f"{n}__ids"][z[f"{n}__neuron"]]) for n in names]  # fmt: skip


def _folder(place: Path) -> list[_Table]:
    files = sorted(place.glob("sugarR*.parquet"))
    if not files:
        raise ValueError("no files")
    try:
        import pyarrow.parquet as parquet
    except ImportError as e:
        raise ParameterError("reading a parquet file needs pyarrow: pip install pyarrow", caller()) from e
    found = []
    for file in files:
        table = parquet.read_table(file, columns=["t", "trial", "flywire_id"])
        t, trial, ids = (table[key].to_numpy() for key in ("t", "trial", "flywire_id"))
        found.append((file.stem, np.rint(t * 1e3 / _STEP).astype(int), trial.astype(int), ids.astype(np.int64)))
    return found


# -- the inequalities -------------------------------------------------------------------------------------------------

_SURE, _PRIOR = 0.3, 10.0
"""Synapses: the standard error below which a number counts as determined, and the width of the prior."""


def _course(steps: np.ndarray) -> np.ndarray:
    """Return the potential in mV, some steps after one synapse's spike has arrived."""
    t = _STEP * steps
    shape = np.exp(-t / _MEMBRANE) - np.exp(-t / _SYNAPSE)
    return np.where(steps > 0, _ONE * _SYNAPSE / (_MEMBRANE - _SYNAPSE) * shape, 0.0)


def _row(trial: Trial, step: int, since: int, n: int) -> np.ndarray:
    """Return what one synapse of each neuron has brought until a step, from the end of refractoriness on."""
    arrivals = trial.steps + _LATER
    a, b = np.searchsorted(arrivals, (since, step))
    row = np.bincount(trial.cells[a:b], weights=_course(step - arrivals[a:b]), minlength=n)
    if trial.silenced >= 0:
        row[trial.silenced] = 0.0
    return row


def _at_spikes(spikes: SugarSpikes, target: int, trials: list[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the steps of a neuron's spikes, and of the steps before."""
    n, on, before = len(spikes.ids), [], []
    for trial in trials:
        since = 0
        for step in trial.steps[trial.cells == target]:
            on.append(_row(trial, step, since, n))
            before.append(_row(trial, step - 1, since, n))
            since = step + _REFRACTORY
    return np.array(on).reshape(-1, n), np.array(before).reshape(-1, n)


def _least_squares(on: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return estimates and standard errors from what is nearly true: midway between the steps the threshold is met."""
    middle, rise = (on + before) / 2, on - before
    width = np.full(len(on), 0.1)
    for _ in range(3):
        scaled = middle / width[:, None]
        precision = scaled.T @ scaled + np.eye(on.shape[1]) / _PRIOR**2
        n_syn = np.linalg.solve(precision, scaled.T @ (_THRESHOLD / width))
        width = np.maximum(abs(rise @ n_syn), 0.02) / np.sqrt(12)  # uniform within the step
    return n_syn, np.sqrt(np.diag(np.linalg.inv(precision)))


def _within(on: np.ndarray, below: np.ndarray, start: np.ndarray, error: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return numbers near `start` that fulfil the inequalities, as far as possible (Newton's method on the excess)."""
    margin, hardness = 2e-3, 0.01  # mV
    high, low = on[:, free], below[:, free]
    at_high, at_low = on @ start, below @ start
    scale = 1 / (2 * np.maximum(error[free], 0.05)) ** 2

    def excess(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        short, over = _THRESHOLD + margin - at_high - high @ d, at_low + low @ d - _THRESHOLD + margin
        short, over = np.maximum(short, 0), np.maximum(over, 0)
        return short, over, float((short @ short + over @ over) / hardness**2 + scale @ d**2)

    d = np.zeros(len(scale))
    short, over, cost = excess(d)
    for _ in range(15):
        rows = np.concatenate([high[short > 0], -low[over > 0]])
        by = np.concatenate([short[short > 0], over[over > 0]])
        if not len(by):
            break
        right = rows.T @ by / hardness**2 - scale * d
        step = np.linalg.solve(rows.T @ rows / hardness**2 + np.diag(scale), right)
        for size in (1.0, 0.5, 0.25, 0.125, 0.0625):
            trial = excess(d + size * step)
            if trial[2] < cost:
                break
        else:
            break
        done = cost - trial[2] < 1e-3 * cost
        d, (short, over, cost) = d + size * step, trial
        if done:
            break
    out = start.copy()
    out[free] += d
    return out


@functools.cache
def _potential() -> Callable[..., np.ndarray]:
    """Return a compiled function: the potential of a neuron that is made to spike when it did."""
    import numba  # most who import this module identify nothing

    decay_v, decay_g = float(np.exp(-_STEP / _MEMBRANE)), float(np.exp(-_STEP / _SYNAPSE))
    gain, refractory = _SYNAPSE / (_MEMBRANE - _SYNAPSE) * (decay_v - decay_g), _REFRACTORY

    def potential(arrivals: np.ndarray, jumps: np.ndarray, own: np.ndarray, steps: int) -> np.ndarray:
        out, v, g, a, b, free = np.zeros(steps), 0.0, 0.0, 0, 0, 0
        for n in range(steps):
            if n >= free:
                v, g = v * decay_v + g * gain, g * decay_g
            out[n] = v
            while a < len(arrivals) and arrivals[a] == n:
                if n >= free:
                    g += jumps[a]
                a += 1
            if b < len(own) and own[b] == n:
                v, g, free, b = 0.0, 0.0, n + refractory, b + 1
        return out

    return numba.njit(potential)


def _too_high(spikes: SugarSpikes, target: int, trials: list[Trial], n_syn: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how many of a neuron's spikes are missed, and rows of the peaks above threshold where it has none."""
    missed, rows = 0, []
    for trial in trials:
        weights = n_syn * _ONE
        if trial.silenced >= 0:
            weights[trial.silenced] = 0.0
        own = trial.steps[trial.cells == target]
        v = _potential()(trial.steps + _LATER, weights[trial.cells], own, 10_000)
        missed += int(np.sum(v[own] <= _THRESHOLD))
        over = v > _THRESHOLD
        over[own] = False
        peaks = over & (v >= np.append(v[1:], -np.inf)) & (v >= np.append(-np.inf, v[:-1]))
        for step in np.flatnonzero(peaks)[: max(0, 3000 - len(rows))]:
            last = own[own < step]
            rows.append(_row(trial, step, last[-1] + _REFRACTORY if len(last) else 0, len(n_syn)))
    return missed, np.array(rows).reshape(-1, len(n_syn))


def identify(spikes: SugarSpikes, target: int, experiments: Sequence[str], rounds: int = 5) -> Inputs:
    """Return how many synapses each neuron has onto one of them, from the times of all their spikes.

    A first estimate is by least squares. What it determines to be 0 stays 0; the rest is moved until the inequalities
    hold, and in each round rounded where it is determined, and steps are added in which a spike is predicted that did
    not come. Numbers for which there are too few spikes stay near what the prior, 0 +- 10 synapses, makes of them.

    Parameters
    ----------
    spikes : SugarSpikes
        The published spikes.
    target : int
        Index of the neuron; it must not be one of those that Poisson spikes drive.
    experiments : sequence of str
        Whose spikes are used.
    rounds : int
        Rounds at most.
    """
    if spikes.driven[target]:
        raise ParameterError(f"neuron {spikes.ids[target]} fires with Poisson spikes, not by its synapses", caller())
    trials, n = spikes.of(experiments), len(spikes.ids)
    on, before = _at_spikes(spikes, target, trials)
    if len(on) < 10:
        return Inputs(np.zeros(n), np.full(n, np.inf))
    used = np.any(on > 0, axis=0)
    n_syn, error = np.zeros(n), np.full(n, _PRIOR)
    n_syn[used], error[used] = _least_squares(on[:, used], before[:, used])
    free = used & ~((error < _SURE) & (abs(n_syn) < 0.5))
    n_syn[~free] = 0.0
    for turn in range(rounds):
        n_syn = _within(on, before, n_syn, error, free)
        if turn > 0:
            sure = free & (error < _SURE) & (abs(n_syn - np.rint(n_syn)) < 0.25)
            n_syn[sure] = np.rint(n_syn[sure])
            free &= ~sure
        missed, peaks = _too_high(spikes, target, trials, n_syn)
        if missed == len(peaks) == 0:
            break
        before = np.concatenate([before, peaks])
    return Inputs(n_syn, error)


def replay(spikes: SugarSpikes, inputs: Mapping[int, Inputs], trial: Trial) -> Network:
    """Return a network in which some neurons are simulated and all others fire as published.

    Parameters
    ----------
    spikes : SugarSpikes
        The published spikes.
    inputs : mapping of int to Inputs
        Connections of each neuron that is simulated, by its index: of one, or of all that Poisson spikes do not drive.
    trial : Trial
        Which second. Its populations are ``"published"`` and ``"simulated"``, each in the order of the indices.
    """
    simulated = np.array(sorted(inputs), dtype=int)
    others = np.setdiff1d(np.arange(len(spikes.ids)), simulated)
    net = Network("fly_circuit", dt=_STEP * ms)
    here = np.isin(trial.cells, others)
    source = SpikeSource(trial.steps[here] * _STEP * ms, np.searchsorted(others, trial.cells[here]))
    published = net.population("published", len(others), source)
    cells = net.population("simulated", len(simulated), BrainCell)
    n_syn = np.array([inputs[k].n_syn for k in simulated])
    if trial.silenced >= 0:
        n_syn[:, trial.silenced] = 0.0
    for pre, group in ((published, others), (cells, simulated)):
        target, k = np.nonzero(n_syn[:, group])
        if len(k):
            weight = n_syn[target, group[k]] * W_SYN
            net.connect(pre, cells, receptor="synapse", rule=EdgeList(k, target), weight=weight, delay=DELAY)
    net.record([published, cells], "spikes")
    net.default_duration = 1 * second
    return net

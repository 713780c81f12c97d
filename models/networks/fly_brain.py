"""The whole brain of the fly as integrate-and-fire neurons (Shiu et al. 2024), from the files of its authors."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.network import Network
from neurosim.models.inputs.poisson import PoissonInput
from neurosim.params import Param
from neurosim.units import Hz, Quantity, ms, mV, second

SUGAR = (720575940624963786, 720575940630233916, 720575940637568838, 720575940638202345, 720575940617000768,
         720575940630797113, 720575940632889389, 720575940621754367, 720575940621502051, 720575940640649691,
         720575940639332736, 720575940616885538, 720575940639198653, 720575940620900446, 720575940617937543,
         720575940632425919, 720575940633143833, 720575940612670570, 720575940628853239, 720575940629176663,
         720575940611875570)  # fmt: skip
"""FlyWire ids (version 630) of the 21 sugar-sensing neurons of the right labellum."""

MN9 = 720575940660219265
"""FlyWire id of the left motor neuron 9, which extends the proboscis."""

W_SYN = 0.275 * mV
"""What a spike adds to g for each synapse: the model's one free parameter."""

DELAY = 1.8 * ms

T_REF = 2.1 * ms
"""2.2 ms as Brian2 counts it, which lets go in the step in which that time has passed; here 21 steps stand still. The
published spikes tell which it was: with a step more or less no weights explain them (tested)."""

BrainCell = Cell(
    """
    dv/dt = (v_rest - v + g)/tau_m
    dg/dt = -g/tau_syn
    """,
    threshold="v > v_th",
    reset="v = v_reset; g = 0*mV",
    refractory="t_ref",
    clamp=("v", "g"),
    init={"v": "v_rest"},
    receptors={"synapse": Receptor(event="g += w", name="Synapse"), "forced": Receptor(event="v += w", name="Forced")},
    tau_m=Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    tau_syn=Param(5 * ms, ms, "synaptic time constant", lo=0 * ms, lo_open=True),
    v_rest=Param(-52 * mV, mV, "resting potential"),
    v_reset=Param(-52 * mV, mV, "potential after a spike"),
    v_th=Param(-45 * mV, mV, "threshold"),
    t_ref=Param(T_REF, ms, "refractory period, in which arriving spikes are lost", lo=0 * ms),
    name="BrainCell",
    doc="leaky integrate-and-fire with one synaptic variable g, which a spike ends",
    source="P. K. Shiu et al., Nature 634 (2024)",
)

_HELP = (
    "the connectome is the pair of files 2023_03_23_connectivity_630_final.parquet and "
    "2023_03_23_completeness_630_final.csv (the published experiments), or Connectivity_783.parquet and "
    "Completeness_783.csv, of github.com/philshiu/Drosophila_brain_model (MIT; about 100 MB): set path to the parquet "
    "file and neurons to the csv file"
)
_COLUMNS = ("Presynaptic_Index", "Postsynaptic_Index", "Excitatory x Connectivity")


@dataclass(frozen=True)
class FlyBrain:
    """Neurons and signed synapse counts.

    Attributes
    ----------
    ids : ndarray of int64
        [N] FlyWire ids.
    pre, post : ndarray of int
        [E] indices of the neurons.
    n_syn : ndarray of int
        [E] synapses, negative where the source has GABA or glutamate.
    """

    ids: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    n_syn: np.ndarray

    def cells(self, ids: Any) -> np.ndarray:
        """Return the indices of neurons by their FlyWire ids.

        Raises
        ------
        UnknownNameError
            An id is not among the neurons (ids change between versions of FlyWire).
        """
        wanted = np.asarray(ids, dtype=np.int64)
        order = np.argsort(self.ids)
        place = np.minimum(np.searchsorted(self.ids[order], wanted), len(self.ids) - 1)
        found = order[place]
        missing = wanted[self.ids[found] != wanted]
        if len(missing):
            raise UnknownNameError(
                f"{len(missing)} of {wanted.size} ids are not among the {len(self.ids)} neurons, such as {missing[0]}; "
                "ids belong to a version of FlyWire (630 or 783)", caller()
            )  # fmt: skip
        return found


def read_fly_brain(path: str | os.PathLike[str], neurons: str | os.PathLike[str]) -> FlyBrain:
    """Return the connectome of a fly's brain from the two files of the published model.

    Parameters
    ----------
    path : path
        The parquet file of connections: 14.7 million of version 630, 15.1 million of version 783. pyarrow reads it.
    neurons : path
        The csv file that lists the neurons, in the order of the indices in the other one.

    Raises
    ------
    ParameterError
        A file is missing or has other contents, or pyarrow is; the message says what to do.

    References
    ----------
    P. K. Shiu et al., Nature 634 (2024); S. Dorkenwald et al., P. Schlegel et al., Nature 634 (2024).
    """
    table, listed = Path(path).expanduser(), Path(neurons).expanduser()
    for file in (table, listed):
        if not file.is_file():
            raise ParameterError(f"there is no file '{file}': {_HELP}", caller())
    pre, post, n_syn = _columns(table)
    try:
        with listed.open(encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            next(rows)
            ids = np.array([int(row[0]) for row in rows], dtype=np.int64)
    except (ValueError, IndexError, StopIteration, UnicodeDecodeError) as e:
        raise ParameterError(f"'{listed}' is no list of neurons: {_HELP}", caller()) from e
    last = max(pre.max(initial=-1), post.max(initial=-1))
    if last >= len(ids) or min(pre.min(initial=0), post.min(initial=0)) < 0:
        raise ParameterError(
            f"'{table}' connects neurons up to number {last}, but '{listed}' lists {len(ids)}: the two files must be "
            "of the same version", caller()
        )  # fmt: skip
    return FlyBrain(ids, pre, post, n_syn)


def _columns(table: Path) -> tuple[np.ndarray, ...]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as e:
        raise ParameterError("reading a parquet file needs pyarrow: pip install pyarrow", caller()) from e
    try:
        read = parquet.read_table(table, columns=list(_COLUMNS))
        return tuple(np.asarray(read[name].to_numpy(), dtype=np.int64) for name in _COLUMNS)
    except (pa.ArrowException, KeyError, ValueError, TypeError, OSError) as e:
        raise ParameterError(f"'{table}' is no table with the columns {', '.join(_COLUMNS)}: {_HELP}", caller()) from e


def fly_network(
    brain: FlyBrain, excite: Any = SUGAR, rate: Quantity = 150 * Hz, silence: Any = (), seed: int = 1
) -> Network:
    """Return the model of Shiu et al. (2024): all neurons at rest, but some that Poisson spikes force to fire.

    Parameters
    ----------
    brain : FlyBrain
        Neurons and connections.
    excite : sequence of int
        FlyWire ids of the neurons that are made to spike; they have no refractory period.
    rate : Quantity
        Of the Poisson spikes. One that comes in the step of a spike before it does nothing, as in Brian2, where the
        published results are from: neurons fire at ``rate/(1 + rate*dt)``.
    silence : sequence of int
        FlyWire ids of neurons without output.
    seed : int
        Of the Poisson spikes.
    """
    net = Network("fly_brain", dt=0.1 * ms, seed=seed)
    forced, silent = brain.cells(excite), brain.cells(silence)
    t_ref = np.full(len(brain.ids), float(T_REF / ms))
    t_ref[forced] = 0.0
    cells = net.population("neurons", len(brain.ids), BrainCell(t_ref=t_ref * ms))
    kept = ~np.isin(brain.pre, silent)
    net.connect(cells, cells, receptor="synapse", rule=EdgeList(brain.pre[kept], brain.post[kept]),
                weight=brain.n_syn[kept] * W_SYN, delay=DELAY, name="synapses")  # fmt: skip
    per_step = float(rate * net.dt * second)
    net.stimulate(cells[forced], PoissonInput(rate=rate / (1 + per_step), weight=250 * W_SYN, receptor="forced"))
    net.record(cells, "spikes")
    net.default_duration = 1 * second
    return net

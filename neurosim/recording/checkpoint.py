"""A folder in which a run keeps where it is, so that it can go on after it has been killed.

What an engine needs to go on lies in ``state-<steps>.h5``, of which the last two are kept; what was recorded since the
state before lies in ``recorded-<number>.h5``, one file for each state. Every file is whole or not there, and sealed
(:mod:`neurosim.recording.seal`). Nothing in a file is code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResultFileError, caller
from neurosim.recording.atomic import discard, lock, refusal
from neurosim.recording.endure import fault
from neurosim.recording.safe import sealed
from neurosim.recording.seal import broken
from neurosim.recording.sonata import COMPRESSION_LIMIT

FORMAT = "neurosim checkpoint 2"

KEPT = 2
"""States that are kept; should the last one be damaged, the one before can be gone on from."""

_NEEDED = {"state": {"identity", "steps", "threads", "chunks"}, "recording": {"spikes", "samples", "counts", "steps"}}
_STATE = re.compile(r"state-(\d{12})\.h5")
_WORDS = {
    "network": "another network, other parameters, another seed or other things recorded",
    "backend": "another backend",
    "backend_version": "another version of the backend",
    "precision": "another precision",
    "layout": "another version of the engine's code",
}


@dataclass
class Recorded:
    """What was recorded between two states: as an engine hands it over."""

    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[tuple[np.ndarray, np.ndarray] | None]
    counts: dict[str, int]


class Checkpoints:
    """The folder of one run.

    Parameters
    ----------
    folder : path
        Made if it is not there. It is locked until :meth:`close`.
    resume : bool
        Go on from the last state in it; without it, a folder that holds a state is refused.

    Attributes
    ----------
    steps : int
        Steps done in the last state; 0 if there is none.

    Raises
    ------
    ParameterError
        If there is a state and ``resume`` is not set, or another process uses the folder.
    ResultFileError
        If the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], resume: bool) -> None:
        self.folder = os.path.realpath(os.fspath(folder))
        self.shown = os.fspath(folder)
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._lock = open(os.path.join(self.folder, "lock"), "ab")
        except OSError as error:
            raise refusal(self.shown, error, caller()) from None
        if not lock(self._lock.fileno()):
            self._lock.close()
            raise ParameterError(
                f"another run uses the checkpoint '{self.shown}': give this one a folder of its own", caller()
            )
        for name in os.listdir(self.folder):  # what a run that was killed had not finished
            if name.endswith(".part"):
                discard(os.path.join(self.folder, name))
        self.pending: list[Recorded] = []
        states = self._states()
        self.steps = states[-1] if states else 0
        if states and not resume:
            self.close()
            raise ParameterError(
                f"'{self.shown}' holds a checkpoint at step {self.steps:,}: resume from it, or remove the folder",
                caller(),
            )
        self.attrs: dict[str, Any] = {}
        self.arrays: dict[str, np.ndarray] = {}
        try:
            if states:
                self.attrs, self.arrays = self._read(self._state_name(self.steps), "state")
        except BaseException:
            self.close()
            raise
        self.chunks = int(self.attrs.get("chunks", 0))
        self.threads: int | None = self.attrs.get("threads")

    def check(self, identity: Mapping[str, str]) -> None:
        """Refuse to go on with something else than what was run; the first state decides."""
        self.identity = dict(identity)
        kept = self.attrs.get("identity", self.identity)
        for key, word in _WORDS.items():
            if kept.get(key) != self.identity[key]:
                raise ParameterError(f"the checkpoint '{self.shown}' is of {word}: it cannot be gone on from", caller())

    def recorded(self) -> Iterator[tuple[Recorded, int]]:
        """Yield what was recorded up to the state, and the steps done then."""
        before = 0
        for k in range(1, self.chunks + 1):
            attrs, arrays = self._read(self._chunk_name(k), "recording")
            wrong = _contradiction(attrs, arrays, before, self.steps)
            if wrong:
                shown = os.path.join(self.shown, self._chunk_name(k))
                raise ResultFileError(f"'{shown}' is no recording of a checkpoint: {wrong}", caller())
            before = int(attrs["steps"])
            try:
                spikes = {name: (arrays[f"steps/{i}"], arrays[f"ids/{i}"]) for i, name in enumerate(attrs["spikes"])}
                samples = [
                    (arrays[f"at/{i}"], arrays[f"values/{i}"]) if there else None
                    for i, there in enumerate(attrs["samples"])
                ]
            except KeyError as error:
                shown = os.path.join(self.shown, self._chunk_name(k))
                lacks = f"'{shown}' is no recording of a checkpoint: it lacks {error}"
                raise ResultFileError(lacks, caller()) from None
            yield Recorded(spikes, samples, attrs["counts"]), int(attrs["steps"])

    def take(self, drained: Any) -> None:
        """Keep what an engine has handed over until the next state is saved."""
        self.pending.append(Recorded(drained.spikes, drained.samples, drained.counts))

    def save(self, steps: int, threads: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Save what was recorded since the last state, and then the state after so many steps."""
        self.chunks += 1
        self._write_chunk(steps)
        attrs = {"identity": self.identity, "steps": steps, "threads": threads, "chunks": self.chunks}
        self._write(self._state_name(steps), "state", attrs, arrays)
        self.steps, self.pending = steps, []
        for old in self._states()[:-KEPT]:
            discard(os.path.join(self.folder, self._state_name(old)))

    def close(self) -> None:
        """Give the folder back."""
        self._lock.close()

    # -- files --------------------------------------------------------------------------------------------------

    def _states(self) -> list[int]:
        return sorted(int(found[1]) for name in os.listdir(self.folder) if (found := _STATE.fullmatch(name)))

    @staticmethod
    def _state_name(steps: int) -> str:
        return f"state-{steps:012d}.h5"

    @staticmethod
    def _chunk_name(k: int) -> str:
        return f"recorded-{k:08d}.h5"

    def _write_chunk(self, steps: int) -> None:
        arrays: dict[str, np.ndarray] = {}
        names = list(self.pending[0].spikes) if self.pending else []
        counts = {name: sum(p.counts[name] for p in self.pending) for name in (self.pending[0].counts if self.pending
                                                                               else ())}  # fmt: skip
        for i, name in enumerate(names):
            arrays[f"steps/{i}"] = np.concatenate([p.spikes[name][0] for p in self.pending])
            arrays[f"ids/{i}"] = np.concatenate([p.spikes[name][1] for p in self.pending])
        there = [sample is not None for sample in (self.pending[0].samples if self.pending else ())]
        for i in np.flatnonzero(there):
            pieces = [sample for p in self.pending if (sample := p.samples[i]) is not None]
            arrays[f"at/{i}"] = np.concatenate([at for at, _ in pieces])
            arrays[f"values/{i}"] = np.concatenate([values for _, values in pieces])
        attrs = {"spikes": names, "samples": there, "counts": counts, "steps": steps}
        self._write(self._chunk_name(self.chunks), "recording", attrs, arrays)

    def _write(self, name: str, kind: str, attrs: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        shown = os.path.join(self.shown, name)
        with sealed(os.path.join(self.folder, name), FORMAT, shown) as (file, raw):
            file.attrs["about"] = json.dumps({"kind": kind, **attrs}, sort_keys=True)
            for key, array in arrays.items():
                if raw.error is None:
                    file.create_dataset(key, data=array)
                    file.flush()

    def _read(self, name: str, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Read a file, and see that it holds what was written."""
        import h5py

        path, shown = os.path.join(self.folder, name), os.path.join(self.shown, name)
        where = caller()
        try:
            wrong = broken(path, FORMAT)
        except FileNotFoundError:
            raise ResultFileError(
                f"the checkpoint lacks '{shown}': it cannot be gone on from{self._cure(name)}", where
            ) from None
        except OSError as error:
            raise ResultFileError(f"cannot read '{shown}': {(error.strerror or str(error)).lower()}", where) from None
        if wrong is not None:
            what = wrong or "damaged, or no checkpoint of neurosim: it does not hold what was written"
            raise ResultFileError(f"'{shown}' is {what}{self._cure(name)}", where)
        harm = fault(path)
        if harm:
            raise ResultFileError(f"'{shown}' is damaged: {harm}{self._cure(name)}", where)
        arrays: dict[str, np.ndarray] = {}

        def take(key: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                if item.dtype.kind not in "fiub" or item.external is not None or item.is_virtual or item.shape is None:
                    raise ValueError(f"{key} is no array of numbers of this file")
                if item.nbytes > COMPRESSION_LIMIT * item.id.get_storage_size():
                    raise ValueError(f"{key} claims more bytes than the file can hold")
                arrays[key] = np.asarray(item[()])

        try:
            with h5py.File(path, "r") as file:
                attrs = json.loads(str(file.attrs["about"]))
                file.visititems(take)
            missing = _NEEDED[kind] - attrs.keys()
            if kind == "state" and not (isinstance(attrs.get("identity"), dict) and all(
                isinstance(attrs.get(key), int) and 0 <= attrs[key] < 2**53 for key in ("steps", "threads", "chunks")
            )):  # fmt: skip
                raise ValueError("it does not say what it is a state of")
        except MemoryError:
            raise ResultFileError(f"'{shown}' holds more than fits into memory", where) from None
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:  # whole, and not ours
            what = str(error) if type(error) is ValueError else type(error).__name__
            raise ResultFileError(f"'{shown}' is no checkpoint of neurosim ({what})", where) from None
        if attrs.get("kind") != kind or missing:
            raise ResultFileError(f"'{shown}' is no {kind} of a checkpoint{self._cure(name)}", where)
        return attrs, arrays

    def _cure(self, name: str) -> str:
        """Say what can still be done."""
        states = self._states()
        before = self._state_name(states[-2]) if len(states) > 1 else ""
        if _STATE.fullmatch(name) and before and name == self._state_name(states[-1]):
            return f"; remove it to go on from '{before}', the state before"
        if before and name == self._chunk_name(self.chunks):  # which the state before does not need
            return f"; remove '{self._state_name(states[-1])}' to go on from '{before}', the state before"
        return f"; remove '{self.shown}' to start at 0"


def _contradiction(attrs: Mapping[str, Any], arrays: Mapping[str, np.ndarray], before: int, most: int) -> str:
    """Say what in a recording cannot be: it was between two numbers of steps; empty if all can."""
    spikes, samples, counts, end = (attrs[key] for key in ("spikes", "samples", "counts", "steps"))
    if not (isinstance(end, int) and before < end <= most):
        return f"it ends at step {end!r}, and has to end in {before + 1} to {most}"
    if not (isinstance(spikes, list) and all(isinstance(name, str) for name in spikes)
            and isinstance(samples, list) and isinstance(counts, dict)
            and all(isinstance(n, int) for n in counts.values())):  # fmt: skip
        return "it does not say what was recorded"
    for i in range(len(spikes)):
        row, ids = arrays.get(f"steps/{i}"), arrays.get(f"ids/{i}")
        if row is None or ids is None:
            continue  # said by name where they are taken
        if not (row.ndim == 1 and row.shape == ids.shape and row.dtype.kind in "iu" and ids.dtype.kind in "iu"):
            return f"the spikes of '{spikes[i]}' are not a step and a neuron each"
        if len(row) and not (before <= row.min() and row.max() < end):
            return f"the spikes of '{spikes[i]}' lie outside the steps {before} to {end - 1}"
        if len(ids) and ids.min() < 0:
            return f"the spikes of '{spikes[i]}' are of a neuron {ids.min()}"
    for i, there in enumerate(samples):
        at, values = arrays.get(f"at/{i}"), arrays.get(f"values/{i}")
        if there and at is not None and values is not None and not (
            at.ndim == 1 and at.dtype.kind in "iu" and values.ndim == 2 and len(at) == len(values)
        ):  # fmt: skip
            return f"the samples {i} are not a row of values for each step"
    return ""

"""Spikes and reports of a run, where the simulation's configuration wants them: by SONATA's populations and node ids.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResultFileError
from neurosim.interchange.sonata import reports
from neurosim.interchange.sonata.build import Circuit
from neurosim.interchange.sonata.files import display
from neurosim.recording.atomic import refusal, write_bytes
from neurosim.recording.sonata import StreamWriter


class Output:
    """Writes ``output.spikes_file`` (and ``spikes_file_csv``) and the files of ``reports`` after a run.

    Parameters
    ----------
    circuit : Circuit
        What was run.
    directory : str, optional
        Another folder than ``output.output_dir``.
    """

    def __init__(self, circuit: Circuit, directory: str | None = None) -> None:
        self.circuit = circuit
        given = circuit.config.output
        self.directory = directory or given.get("output_dir")
        self.wanted = {}
        for key, kind in (("spikes_file", "spikes"), ("spikes_file_csv", "spikes as text")):
            name = given.get(key, "spikes.h5" if key == "spikes_file" and self.directory else None)
            if name is None:
                continue
            if not isinstance(name, str) or os.path.basename(name) != name and not os.path.isabs(name):
                raise ParameterError(f"output.{key} of '{display(circuit.config.path)}' must be the name of a file, "
                                     "got "
                                     f"{name!r}")  # fmt: skip
            self.wanted[kind] = os.path.join(self.directory or os.path.dirname(circuit.config.path), name)
        self.folder = self.directory or os.path.dirname(circuit.config.path)
        self.reports = {f"report {r.name}": os.path.join(self.folder, r.file) for r in circuit.reports}

    def ready(self) -> None:
        """Make the folder now, so that a run is not lost to a place that cannot be written."""
        for path in (*self.wanted.values(), *self.reports.values()):
            folder = os.path.dirname(path)
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                told = refusal(display(folder), error)
                raise ResultFileError(f"{told.message}; --set output=FOLDER takes another one") from None
            if not os.access(folder, os.W_OK):
                raise ResultFileError(f"you have no permission to write to '{display(folder)}', the output folder of "
                                      f"'{display(self.circuit.config.path)}'; --set output=FOLDER takes another "
                                      "one")  # fmt: skip

    def __call__(self, result: Any) -> dict[str, str]:
        """Write the spikes and the reports of a run; return the files by what they hold."""
        members: dict[str, list[Any]] = {}
        for part in self.circuit.parts:
            if part.built is not None:
                members.setdefault(part.nodes.name, []).append(part)
        if any(part.label not in result.spikes for parts in members.values() for part in parts):
            raise ResultFileError("the spikes of this run are too many to be held in memory, so the spikes file of the "
                                  "configuration was not written; with -o FILE.h5 they are kept by "
                                  "population")  # fmt: skip
        found = {}
        for name, parts in members.items():
            steps = np.concatenate([result.spikes[p.label].steps for p in parts])
            ids = np.concatenate([p.nodes.ids[p.rows[result.spikes[p.label].ids]] for p in parts])
            order = np.lexsort((ids, steps))
            found[name] = steps[order], ids[order]
        if (path := self.wanted.get("spikes")) is not None:
            sizes = {name: int(parts[0].nodes.ids.max()) + 1 for name, parts in members.items()}
            with StreamWriter(path, result.provenance, sizes) as writer:
                for name, (steps, ids) in found.items():
                    writer.record_spikes(name)
                    writer.spikes(name, steps, ids)
        if (path := self.wanted.get("spikes as text")) is not None:
            scale = result.provenance.dt * 1e3
            rows = [(step, name, node) for name, (steps, ids) in found.items()
                    for step, node in zip(steps.tolist(), ids.tolist(), strict=True)]  # fmt: skip
            lines = [f"{(step + 1) * scale!r} {name} {node}" for step, name, node in sorted(rows)]
            write_bytes(path, "\n".join(["timestamps population node_ids", *lines, ""]).encode())
        for report in self.circuit.reports:
            reports.write(report, self.folder, result)
        return {**self.wanted, **self.reports}

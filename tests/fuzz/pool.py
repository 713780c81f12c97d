"""The process that watches: it starts workers, and a worker that dies or does not come back is a finding, too."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent

PATIENCE = {"planted-hang": 2.0}
"""Seconds that an input may take on a busy machine, where it is not 60: a reader itself may wait 20 for its helper."""


@dataclass
class Tried:
    """What came of inputs: how many were accepted, refused, not even made; what was found, by where and what it was."""

    target: str
    accepted: int = 0
    refused: int = 0
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    unmade: int = 0
    next: int = 0

    @property
    def count(self) -> int:
        return self.accepted + self.refused + sum(f["times"] for f in self.findings.values())

    def note(self, says: dict[str, Any]) -> None:
        if says["came"] != "finding":
            setattr(self, says["came"], getattr(self, says["came"]) + 1)
            return
        what = says["what"].split("\n")[0]
        key = f"{says['at']} {what.split(':')[0]}" if says["at"] else what[:120]
        kept = self.findings.setdefault(key, {"number": says["number"], "what": says["what"], "at": says["at"],
                                              "input": says["input"], "times": 0})  # fmt: skip
        kept["times"] += 1
        if len(json.dumps(says["input"])) < len(json.dumps(kept["input"])):  # the shortest is the easiest to read
            kept |= {"number": says["number"], "what": says["what"], "input": says["input"]}


def tried(target: str, first: int = 0, count: int = 10**9, seconds: float = 60.0) -> Tried:
    """Try inputs from a number on, as many as asked for or as there is time for."""
    out = Tried(target, next=first)
    end = time.monotonic() + seconds
    starts = 0
    while out.next < first + count and (left := end - time.monotonic()) > 0:
        before = out.next
        with tempfile.TemporaryDirectory(prefix="neurosim-fuzz-") as folder:
            _one(out, first + count - out.next, left, Path(folder))
        starts += 1
        if out.next == before and starts > 3:
            raise RuntimeError(f"the worker of '{target}' does not start")
    return out


def _one(out: Tried, count: int, seconds: float, folder: Path) -> None:
    """Run one worker to its end, whichever that is."""
    command = [sys.executable, "-m", "fuzz.worker", out.target, str(out.next), str(count), str(seconds), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
                   "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "", "HDF5_USE_FILE_LOCKING": "FALSE"}  # fmt: skip
    patience = PATIENCE.get(out.target, 60.0)
    with open(folder / "stderr", "wb") as err, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=err, env=environment, start_new_session=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            held, current, said = b"", None, time.monotonic()
            done = started = made = False
            while not done:
                if ready.select(timeout=1.0):
                    piece = process.stdout.read()
                    if piece == b"":
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(10.0)
                        break
                    held += piece or b""
                    said = time.monotonic()
                    *lines, held = held.split(b"\n")
                    for line in lines:
                        if line == b"ready":
                            started = True
                        elif line == b"done":
                            done = True
                        elif line == b"made":
                            made = True
                        elif line.startswith(b"{"):
                            out.note(json.loads(line))
                            out.next, current = int(current or out.next) + 1, None
                        else:
                            current, made = int(line), False
                elif time.monotonic() - said > (patience if started else 120.0):
                    break
        process.kill()
        process.wait()
    if done:
        return
    if not started:
        raise RuntimeError(f"the worker of '{out.target}' did not start:\n{(folder / 'stderr').read_text()[-3000:]}")
    if current is not None and not made:
        out.unmade += 1  # the library that was to damage a file was itself at its end
        out.next = current + 1
    elif current is not None:
        code = process.returncode
        silent = time.monotonic() - said > patience
        died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        what = f"did not come back within {patience:g} s" if silent else f"the interpreter died ({died})"
        last = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-1500:]
        out.note({"number": current, "came": "finding", "what": what, "at": "", "input": [f"number {current}", last]})
        out.next = current + 1

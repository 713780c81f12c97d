"""Take one measurement: start a fresh process, wait for it, read its answer.

A `Config` (an engine and a number of threads) on a `Case` (a network, a size, a duration) gives an `Outcome`, which is
never an exception: a missing engine, a failure and a timeout are outcomes too, and appear in the table as such.

*Cold* is the first run of a config on a case: nothing that this engine compiled is there. *Warm* is any later one, in
the same working directory. Brian2's projects and cython cache and numba's cache are all kept in that directory, so
that the user's own caches are neither used nor touched. (The operating system's file cache is warm in both.)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.worker import MISSING

ROOT = Path(__file__).resolve().parent.parent
ENGINES = {
    "native": "benchmarks.peers.native_worker",
    "brian2": "benchmarks.peers.brian2_worker",
    "brian2-cython": "benchmarks.peers.brian2_worker",
    "nest": "benchmarks.peers.nest_worker",
}
OURS = "native"
SINGLE_THREADED = frozenset({"brian2-cython"})


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    network: str
    size: int
    duration_ms: float

    def __str__(self) -> str:
        """``cuba 4,000``."""
        return f"{self.network} {self.size:,}"


@dataclass(frozen=True)
class Config:
    """What simulates it."""

    engine: str
    threads: int

    def __str__(self) -> str:
        """``nest/2``."""
        return f"{self.engine}/{self.threads}"


@dataclass(frozen=True)
class Outcome:
    """One measurement, or why there is none."""

    case: Case
    config: Config
    repeat: int
    cache: str
    """``cold`` or ``warm``."""
    status: str
    """``ok``, ``missing``, ``failed`` or ``timeout``."""
    process_s: float
    load: float
    """The machine's load average over the last minute, before the process started."""
    message: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    """The worker's `Measurement`; empty unless ``ok``."""

    def as_dict(self) -> dict[str, Any]:
        """A flat dictionary for the JSON file."""
        record = asdict(self) | asdict(self.case) | asdict(self.config) | self.values
        for nested in ("case", "config", "values"):
            del record[nested]
        return record


def worker_command(case: Case, config: Config, seed: int, workdir: Path) -> list[str]:
    """The command line that runs ``config`` on ``case``."""
    return [
        sys.executable,
        *("-m", ENGINES[config.engine]),
        *("--engine", config.engine),
        *("--network", case.network),
        *("--size", str(case.size)),
        *("--threads", str(config.threads)),
        *("--duration-ms", str(case.duration_ms)),
        *("--seed", str(seed)),
        *("--workdir", str(workdir)),
    ]


def _environment(config: Config, workdir: Path) -> dict[str, str]:
    """The environment of a worker: caches in ``workdir``, and no more threads than it is measured with."""
    return os.environ | {
        "OMP_NUM_THREADS": str(config.threads),
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "NUMBA_CACHE_DIR": str(workdir / "numba"),
        "XDG_CACHE_HOME": str(workdir / "cache"),
    }


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process and what it started (it leads a session of its own)."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def measure(
    case: Case, config: Config, repeat: int, command: list[str], workdir: Path, timeout_s: float, cold: bool
) -> Outcome:
    """Run ``command`` in a fresh process, and time all of it.

    The answer is the last line of its output if that is a JSON object; a command that is no worker of ours (the
    ``neurosim`` program) has none, and gives an outcome without values.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(config, workdir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    status, message, values = "ok", "", {}
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _stop(process)
        status, message = "timeout", f"stopped after {timeout_s:g} s"
    except BaseException:
        _stop(process)
        raise
    process_s = time.perf_counter() - start
    if status == "ok":
        last = _last_line(output)
        if process.returncode == MISSING and last.startswith("{"):
            status, message = "missing", json.loads(last)["missing"]
        elif process.returncode != 0:
            named = [line for line in errors.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
            reason = (named[-1] if named else "") or _last_line(errors) or last or "no message"
            status, message = "failed", f"exit status {process.returncode}: {reason}"
        elif last.startswith("{"):
            values = json.loads(last)
    return Outcome(case, config, repeat, "cold" if cold else "warm", status, process_s, load, message, values)

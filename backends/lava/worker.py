"""A script in Lava's environment: a group of processes that can be ended, with a limit of time and no traces left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from neurosim.errors import BackendError

_SHARED = Path("/dev/shm")
_GONE = 10.0
"""Seconds that processes which were killed may take to go."""


def run_script(python: Path, folder: Path, script: str, limit: float, alive: Callable[[], None] | None = None) -> str:
    """Run a script in its folder, and return what it printed.

    Lava's processes wait for each other for ever when one of them fails: the whole group is ended then, and the
    shared memory that it leaves behind removed.

    Parameters
    ----------
    python : Path
        Interpreter.
    folder : Path
        The script's; nothing else may lie there, since Lava imports every module beside a script.
    script : str
        File name.
    limit : float
        Seconds.
    alive : callable, optional
        Called several times a second meanwhile.

    Raises
    ------
    BackendError
        The script failed, with its traceback; or it did not end in time.
    """
    command = [str(python), script]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    said, wrong = folder / "stdout", folder / "stderr"
    with said.open("wb") as out, wrong.open("wb") as err:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            env=environment,
        )  # fmt: skip
        segments: set[str] = set()
        start = time.monotonic()
        try:
            while process.poll() is None and time.monotonic() - start < limit:
                segments |= _mapped(process.pid)
                if alive is not None:
                    alive()
                time.sleep(0.05)
            late = process.poll() is None
        finally:
            _end(process)
            for name in segments:
                (_SHARED / name).unlink(missing_ok=True)
    if late:
        raise BackendError(
            f"Lava did not end within {limit:g} s and was stopped; the option timeout= gives it longer{_last(wrong)}"
        )
    if process.returncode not in (0, 2):
        raise BackendError(f"Lava failed (exit status {process.returncode}){_last(wrong)}")
    return said.read_text(encoding="utf-8", errors="replace")


def _members(group: int) -> list[Path]:
    """Return the processes of a group that live, as folders of /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has gone meanwhile
            continue
        if int(of) == group and state not in "ZX":
            found.append(entry)
    return found


def _mapped(group: int) -> set[str]:
    """Return the shared memory that the processes of a group have mapped, by its name in /dev/shm."""
    found = set()
    for entry in _members(group):
        try:
            lines = (entry / "maps").read_text().splitlines()
        except OSError:
            continue
        paths = [line.partition(f"{_SHARED}/")[2] for line in lines]
        found |= {path.split(" ")[0] for path in paths if path.startswith("psm_")}
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group, also after its leader has, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    while _members(process.pid) and time.monotonic() - start < _GONE:
        time.sleep(0.02)


def _last(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    return f":\n{text[-2000:]}" if text else ""

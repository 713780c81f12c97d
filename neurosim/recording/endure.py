"""A look at an HDF5 file by a process of its own, before this one reads it.

On a damaged file, or one that was made to do harm, the HDF5 library may crash, or never come back, and take with it
whoever called it. So a helper reads everything first: groups, attributes, and the data of all but large arrays. It is
started with the first file, lives as long as this process, and is started anew where a file was too much for it.
Files that this very process has sealed (:mod:`neurosim.recording.seal`) are not looked at.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from typing import Any

from neurosim.recording.seal import written_here

PATIENCE = 20.0
"""Seconds that reading a small file may take."""

RATE = 10e6
"""Bytes a second that a large one may take in addition."""

# Whatever a damaged file makes HDF5 raise is of no interest to the helper: only whether it dies, never comes back, or
# takes memory that the file does not hold (a size in it may be anything, and HDF5 allocates first).
HELPER = """
import json, os, sys
import h5py

def peak():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0

def look(found):
    for key in found.attrs:
        try:
            found.attrs[key]
        except Exception:
            pass
    if isinstance(found, h5py.Dataset) and not found.is_virtual and not found.external and found.nbytes < 1 << 24:
        try:
            found[()]
        except Exception:
            pass

for line in sys.stdin:
    path, before, held = json.loads(line), peak(), 0
    try:
        held = os.path.getsize(path)
        with h5py.File(path, "r") as file:
            look(file)
            file.visititems(lambda name, found: look(found))
    except Exception:
        pass
    print("much" if peak() - before > (1 << 29) + 2 * held else "done", flush=True)
"""
"""What the helper runs; what it cannot read is for the reader to say."""

_lock = threading.Lock()
_helper: tuple[int, Any, queue.SimpleQueue[str], threading.Thread] | None = None


def fault(path: str | os.PathLike[str]) -> str | None:
    """Return what happens to whoever reads a file, None if nothing does.

    Raises
    ------
    OSError
        No process can be started.
    """
    if written_here(path):
        return None
    with _lock:
        process, answers = _started()
        try:
            process.stdin.write(json.dumps(os.path.realpath(os.fsdecode(path))) + "\n")
            process.stdin.flush()
            answer = answers.get(timeout=PATIENCE + os.path.getsize(path) / RATE)
        except queue.Empty:
            _end()
            return "reading it does not come to an end"
        except BrokenPipeError:
            answer = ""
        except BaseException:  # Ctrl-C: the answer still to come would be taken for that of the next file
            _end()
            raise
        if answer != "done\n":
            _end()
            return ("reading it takes more memory than it can hold" if answer == "much\n" else
                    "reading it crashes the HDF5 library")  # fmt: skip
    return None


def _started() -> tuple[Any, queue.SimpleQueue[str]]:
    """Return the helper of this process (one that was forked has to start its own)."""
    global _helper
    if _helper is None or _helper[0] != os.getpid() or _helper[1].poll() is not None:
        # -P: a module of the current folder must not be taken for h5py.
        process = subprocess.Popen([sys.executable, "-P", "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, start_new_session=True)  # fmt: skip
        answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        listener = threading.Thread(target=_listen, args=(process.stdout, answers), daemon=True)
        listener.start()
        _helper = os.getpid(), process, answers, listener
    return _helper[1], _helper[2]


def _listen(lines: Any, answers: queue.SimpleQueue[str]) -> None:
    with lines:
        for line in lines:
            answers.put(line)
    answers.put("")


@atexit.register
def _end() -> None:
    """End the helper of this process."""
    global _helper
    if _helper is not None and _helper[0] == os.getpid():
        process = _helper[1]
        process.kill()
        process.wait()
        _helper[3].join()  # it closes the pipe that it reads from
        with contextlib.suppress(OSError):
            process.stdin.close()
    _helper = None

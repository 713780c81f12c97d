"""NEST itself: loaded without its greeting, one network at a time, its errors as sentences, its ranks."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neurosim.errors import BackendError, DivergedError

TIC = 1000
"""NEST's clock counts in thousandths of a millisecond."""

_built = 0
"""How many networks this process has built in NEST: an engine whose number is another one has lost its network."""


def load() -> Any:
    """Import NEST without its greeting, and with nothing printed below an error."""
    quiet = os.environ.get("PYNEST_QUIET")
    os.environ["PYNEST_QUIET"] = "1"
    try:
        nest: Any = importlib.import_module("nest")
    finally:
        if quiet is None:
            del os.environ["PYNEST_QUIET"]
    nest.verbosity = nest.VerbosityLevel.QUIET
    return nest


def reset(nest: Any, dt: float, threads: int) -> int:
    """Empty the kernel and set its resolution; return the number of the network that is built now."""
    global _built
    _built += 1
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.QUIET
    nest.SetKernelStatus({"local_num_threads": threads, "resolution": round(dt * 1e3 * TIC) / TIC})
    return _built


def forget(number: int) -> None:
    """Empty the kernel if it still holds the network of that number."""
    global _built
    if number == _built:
        _built += 1
        nest = load()
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.QUIET


def check(number: int) -> None:
    """Refuse to use an engine whose network another one has replaced."""
    if number != _built:
        raise BackendError(
            "NEST holds one network per process, and this engine's is gone: it was closed, or another one has been "
            "built since. Finish one run before the next is built, or use a process for each"
        )


def on_grid(dt: float) -> bool:
    """Tell whether NEST's clock can have steps of this length."""
    tics = dt * 1e3 * TIC
    return round(tics) >= 1 and abs(tics - round(tics)) <= 1e-6


class Clock:
    """Steps as NEST's milliseconds: the nearest number to a whole count of its tics."""

    def __init__(self, dt: float) -> None:
        self.tics = round(dt * 1e3 * TIC)

    def ms(self, steps: Any) -> Any:
        """Return one time, or an array of times."""
        return np.asarray(steps, dtype=np.int64) * self.tics / TIC if np.ndim(steps) else int(steps) * self.tics / TIC


@contextlib.contextmanager
def translated(doing: str, diverged: Callable[[], DivergedError] | None = None) -> Iterator[None]:
    """Turn NEST's errors into ours; ``doing`` completes "NEST refused to"."""
    nest = load()
    try:
        yield
    except nest.NESTError as e:
        words = " ".join(re.sub(r"\s+", " ", str(e)).split())
        if diverged is not None and type(e).__name__ == "NumericalInstability":
            raise diverged() from e
        raise BackendError(f"NEST refused to {doing}: {type(e).__name__}: {words}") from e


# -- ranks ---------------------------------------------------------------------------------------------------------


def ranks(nest: Any) -> tuple[int, int]:
    """Return this process's rank and how many there are (0 and 1 without MPI)."""
    return int(nest.Rank()), int(nest.NumProcesses())


def gather(nest: Any) -> Callable[[Any], list[Any]]:
    """Return a function that gives every rank the list of what all of them hold.

    Raises
    ------
    BackendError
        NEST runs on several ranks and mpi4py, which carries the results, is missing.
    """
    if ranks(nest)[1] == 1:
        return lambda mine: [mine]
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except ImportError as e:
        raise BackendError(
            f"NEST runs on {ranks(nest)[1]} MPI ranks, and their results are gathered with mpi4py, which is not "
            "installed: pip install mpi4py (built against the same MPI as NEST)"
        ) from e
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = functools.partial(_leave, mpi)
    return mpi.COMM_WORLD.allgather


def _leave(mpi: Any, *error: Any) -> None:
    """Print what a script did not catch, and end all ranks: NEST's would wait for this one at their end for ever."""
    sys.__excepthook__(*error)
    sys.stdout.flush()
    sys.stderr.flush()
    mpi.COMM_WORLD.Abort(1)

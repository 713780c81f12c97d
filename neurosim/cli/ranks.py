"""Processes that one ``mpirun`` started: the first of them speaks for all, and an error of one ends all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

_NUMBER = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
_PATIENCE = 3.0
"""Seconds that ranks with an error wait for the others to have one, too."""


def several() -> bool:
    """Tell whether ``mpirun`` started this process."""
    return any(key in os.environ for key in _NUMBER)


def rank() -> int:
    """Return this process's number among those that one ``mpirun`` started; 0 without it."""
    return next((int(os.environ[key]) for key in _NUMBER if os.environ.get(key, "").isdigit()), 0)


def say(text: str, code: int, echo: Callable[[str], None]) -> None:
    """Say an error: once if all ranks have it; else with the rank in it, and end those that would wait for this one."""
    if rank() == 0:
        echo(text)
    if _alike():
        return
    if rank() > 0:
        echo(f"rank {rank()}: {text}")
    sys.stdout.flush()
    sys.stderr.flush()
    if _together():
        sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)


def _together() -> bool:
    """Tell whether the ranks have begun to run one network together."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and mpi.COMM_WORLD.size > 1


def _alike() -> bool:
    """Tell whether all ranks have an error; without MPI the first is taken to speak for all, and mpirun ends them."""
    if not _together():
        if rank() > 0:
            time.sleep(_PATIENCE)
        return rank() == 0
    end = time.monotonic() + _PATIENCE
    here = sys.modules["mpi4py.MPI"].COMM_WORLD.Ibarrier()
    while not here.Test():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True

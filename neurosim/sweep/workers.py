"""Who runs the points: processes of this machine, or a Dask cluster.

A worker is spawned, not forked (a process that has run OpenMP threads must not be forked), and holds one point at a
time. One that dies (killed, out of memory, crashed in compiled code) costs its point one of three attempts.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from neurosim.errors import BackendMissingError, NeurosimError, ParameterError
from neurosim.recording.atomic import write_bytes
from neurosim.sweep.points import Point

ATTEMPTS = 3
"""How often a point is tried whose worker dies."""

Task = Callable[[Point, str], None]
"""Runs a point and writes its result to a path; a function that can be pickled."""


@dataclass(frozen=True)
class Outcome:
    """How a point ended: ``failure`` is None, or the sentence that says why there is no result."""

    point: Point
    failure: str | None = None


def attempt(task: Task, point: Point, path: str) -> str | None:
    """Run a point; return None, or why it has no result."""
    try:
        task(point, path)
    except NeurosimError as e:
        return str(e)
    except MemoryError:
        return "there is not enough memory for it"
    except Exception as e:
        # Whatever a network file of the user's may raise belongs to its point, not to the sweep.
        return f"{type(e).__name__}: {e}"
    return None


def _work(pipe: Connection, task: Task) -> None:
    """What a worker does: run points until the pipe is closed. Ctrl-C is its parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            point, path = pipe.recv()
        except EOFError:
            return
        failure = attempt(task, point, path)
        try:
            pipe.send(failure)
        except BrokenPipeError:
            return


class _Worker:
    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, task), daemon=True)
        self.process.start()
        theirs.close()
        self.point: Point | None = None

    def give(self, point: Point, path: str) -> None:
        self.point = point
        self.pipe.send((point, path))

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def on_processes(task: Task, points: Sequence[Point], path: Callable[[Point], str], jobs: int) -> Iterator[Outcome]:
    """Run points in ``jobs`` processes of this machine; yield each as it ends, in no order.

    Parameters
    ----------
    task : callable
        What runs a point.
    points : sequence of Point
        What is to be run.
    path : callable
        Point -> where its result goes.
    jobs : int
        Number of processes.
    """
    left = list(reversed(points))
    tries: Counter[int] = Counter()
    workers: list[_Worker] = []
    try:
        while left or any(w.point for w in workers):
            while left and len(workers) < jobs:
                workers.append(_Worker(task))
            for worker in list(workers):
                if worker.point is None and left:
                    point = left.pop()
                    tries[point.index] += 1
                    try:
                        worker.give(point, path(point))
                    except (BrokenPipeError, ConnectionError):
                        pass  # it died while idle; its end is seen below
            busy = {w.pipe: w for w in workers if w.point}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                point, worker.point = worker.point, None
                assert point is not None
                try:
                    failure = worker.pipe.recv()
                except (EOFError, ConnectionError):
                    worker.end()
                    workers.remove(worker)
                    if tries[point.index] < ATTEMPTS:
                        left.append(point)
                        continue
                    code = worker.process.exitcode or 0
                    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
                    failure = (
                        f"its process died {ATTEMPTS} times (the last time by {how}): too little memory, or a crash "
                        "in compiled code; try it alone"
                    )
                yield Outcome(point, failure)
    finally:
        for worker in workers:
            worker.end()


def remote(task: Task, point: Point) -> tuple[str | None, bytes]:
    """Run a point where no disk is shared: return why it has no result, and the bytes of the result's file."""
    with tempfile.TemporaryDirectory(prefix="neurosim-") as scratch:
        path = os.path.join(scratch, "point.h5")
        failure = attempt(task, point, path)
        if failure is not None:
            return failure, b""
        with open(path, "rb") as file:
            return None, file.read()


def on_dask(task: Task, points: Sequence[Point], path: Callable[[Point], str], scheduler: str) -> Iterator[Outcome]:
    """Run points on a Dask cluster; yield each as it ends.

    Parameters
    ----------
    task, points, path
        As for :func:`on_processes`. The network's file must be found under the same path on every worker.
    scheduler : str
        Address, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    BackendMissingError
        Dask is not installed.
    ParameterError
        No scheduler answers there.
    """
    try:
        from dask.distributed import Client, as_completed
    except ImportError:
        raise BackendMissingError("--scheduler needs Dask: pip install 'neurosim-snn[cluster]'") from None
    try:
        client: Any = Client(scheduler, timeout=10)
    except (OSError, ValueError, TimeoutError) as e:
        why = str(e).split("\n")[0] or type(e).__name__
        raise ParameterError(f"no Dask scheduler answers at '{scheduler}': {why}") from None
    with client:
        futures = {client.submit(remote, task, p, pure=False, retries=ATTEMPTS - 1): p for p in points}
        done = as_completed(list(futures))
        try:
            for future in done:
                point = futures.pop(future)
                try:
                    failure, data = future.result()
                except Exception as e:  # KilledWorker and whatever else a cluster can do
                    failure, data = f"the cluster gave it up: {type(e).__name__}: {e}", b""
                if failure is None:
                    write_bytes(path(point), data)
                future.release()
                yield Outcome(point, failure)
        finally:
            client.cancel(list(futures))

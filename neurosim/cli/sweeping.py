"""What ``neurosim sweep`` does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim import run as runner
from neurosim.cli.load import Loaded, load, parse_duration
from neurosim.cli.progress import clock
from neurosim.cli.running import apart, can_write, engine_options
from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, ResultFileError
from neurosim.registry import load_backend
from neurosim.sweep import Outcome, Point, Store, SweepResult, axes, grid, on_dask, on_processes
from neurosim.sweep.store import FINISHED, keep
from neurosim.units import second

_MOST_ROWS = 40


@dataclass(frozen=True)
class Job:
    """Runs one point: what a worker is sent. ``duration`` and ``options`` are those of the command line."""

    target: str
    folder: str
    duration: str | None
    options: Mapping[str, Any]

    def load(self, settings: Mapping[str, str], seed: int | None) -> Loaded:
        """Build the network of a point."""
        os.chdir(self.folder)
        with contextlib.redirect_stdout(sys.stderr):
            loaded = load(self.target, tuple(f"{k}={v}" for k, v in settings.items()), seed)
        if not any(p.variable == "spikes" for p in loaded.network.probes):
            loaded.network.record(loaded.network.populations.values(), "spikes")
        return loaded

    def __call__(self, point: Point, path: str) -> None:
        """Run a point and write its result."""
        loaded = self.load(point.settings, point.seed)
        duration = loaded.duration or 1 * second if self.duration is None else parse_duration(self.duration)
        options = {**loaded.options, **self.options}
        keep(runner.simulate(loaded.network, duration, overrides=loaded.overrides, **options), path)


def sweep_command(
    network: str,
    *,
    settings: tuple[str, ...],
    trials: int,
    seed: int | None,
    duration: str | None,
    backend: str | None,
    extra: tuple[str, ...],
    threads: int | None,
    precision: str | None,
    jobs: int | None,
    scheduler: str | None,
    output: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run all points that have no result yet, write the file, print the table; return the exit code."""
    started = time.perf_counter()
    if jobs is not None and jobs < 1:
        raise ParameterError(f"--jobs must be at least 1, got {jobs}")
    if scheduler is not None and jobs is not None:
        raise ParameterError("--jobs is for processes of this machine: leave it out with --scheduler")
    can_write(output)
    apart({"-o": output}, network)
    varied = axes(settings)
    given = {"backend": backend, "precision": precision, **engine_options(extra, backend or "native")}
    given = {k: v for k, v in given.items() if v is not None}
    job = Job(network, os.getcwd(), duration, given)
    first = {k: v[0] for k, v in varied.items()}
    loaded = job.load(first, seed)
    points = grid(varied, trials, loaded.network.seed if seed is None else seed)
    _look_at(job, varied, first, loaded, threads)
    # Points share the machine: each runs on one thread unless told otherwise.
    if load_backend(given.get("backend", loaded.options.get("backend", "native"))).threads:
        job = Job(network, job.folder, duration, {**given, "threads": threads or 1})
    if jobs is None:
        jobs = max(1, _cores() // (threads or 1))
    store = Store(os.path.abspath(output), _spec(job, varied, points, trials), points, output)
    if _finished(store):
        _say(f"'{output}' holds this sweep already: nothing to do")
        return _show(SweepResult.load(output), output, as_json, quiet)
    failures: dict[int, str] = {}
    with store.held():
        missing = store.missing()
        if len(missing) < len(points):
            _say(f"goes on: {len(points) - len(missing)} of {len(points)} points are done")
        run = on_processes(job, missing, store.part, jobs) if scheduler is None else on_dask(
            job, missing, store.part, scheduler)  # fmt: skip
        interrupted = False
        with _Progress(len(points), len(points) - len(missing), silent=as_json or quiet) as progress:
            try:
                for outcome in run:
                    progress(outcome)
                    if outcome.failure is not None:
                        failures[outcome.point.index] = outcome.failure
            except KeyboardInterrupt:
                interrupted = True
            finally:
                run.close()  # type: ignore[attr-defined]
        if interrupted:
            done = len(points) - len(store.missing())
            _say(f"interrupted: {done} of {len(points)} points are kept in '{output}.points'; the same command goes on")
            return 130
        store.merge(failures)
    result = SweepResult.load(output)
    if not (as_json or quiet):
        _say(f"{len(missing)} runs in {clock(time.perf_counter() - started)}")
    _show(result, output, as_json, quiet)
    if failures:
        k, why = min(failures.items())
        raise ResultFileError(
            f"{len(failures)} of {len(points)} points have no result, the first of them {_named(points[k])}: {why}. "
            f"All others are in '{output}'; the same command tries again"
        )
    return 0


def _look_at(job: Job, varied: Mapping[str, Sequence[str]], first: Mapping[str, str], loaded: Loaded,
             threads: int | None) -> None:  # fmt: skip
    """Find the user's mistakes before anything runs: every value is set once, and one network compiled."""
    if threads is not None and threads < 1:
        raise ParameterError(f"threads must be a whole number of at least 1, got {threads}")
    if job.duration is not None:
        parse_duration(job.duration)
    options = {**loaded.options, **job.options}
    engine = load_backend(options.get("backend", "native"))
    engine.check(compile_network(loaded.network, precision=options.get("precision", "double")))
    for key, values in varied.items():
        for value in values[1:]:
            try:
                job.load({**first, key: value}, None)
            except NeurosimError as e:
                said = e.message.removeprefix(f"--set {key}: ")
                raise ParameterError(f"--set {key}={value}: {said}", e.where) from e


def _spec(job: Job, varied: Mapping[str, Sequence[str]], points: list[Point], trials: int) -> dict[str, Any]:
    """Return what makes this sweep this sweep; a change of the network's file makes it another one."""
    path = os.path.join(job.folder, job.target)
    digest = ""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    return {
        "network": job.target,
        "network_sha256": digest,
        "set": {k: list(v) for k, v in varied.items()},
        "trials": trials,
        "seed": points[0].seed,
        "duration": job.duration,
        "options": {k: v for k, v in job.options.items() if k != "threads"},
        "neurosim": __version__,
    }


def _finished(store: Store) -> bool:
    """Tell whether the output is this very sweep, without a failure."""
    if not os.path.exists(store.output) or store.folder.exists():
        return False
    try:
        found = SweepResult.load(store.output)
    except ResultFileError:
        raise ResultFileError(f"'{store.shown}' exists and is no sweep: choose another output") from None
    if found.spec != json.loads(store.spec):
        raise ResultFileError(f"'{store.shown}' holds another sweep: choose another output, or remove it first")
    return all(status == FINISHED for status in found.status)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _named(point: Point) -> str:
    return ", ".join([*(f"{k}={v}" for k, v in point.settings.items()), f"trial {point.trial}"])


class _Progress:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self, total: int, done: int, silent: bool) -> None:
        from rich.console import Console

        self.total, self.done, self.fresh, self.silent = total, done, 0, silent
        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal and not silent
        self.start = self.said = time.perf_counter()
        self.bar: Any = None

    def __enter__(self) -> _Progress:
        if self.live:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeRemainingColumn

            columns = SpinnerColumn(), MofNCompleteColumn(), BarColumn(bar_width=24), TimeRemainingColumn()
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.bar.start()
            self.task = self.bar.add_task("points", total=self.total, completed=self.done)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, outcome: Outcome) -> None:
        self.done, self.fresh = self.done + 1, self.fresh + 1
        if outcome.failure is not None and not self.silent:
            self.console.print(f"failed: {_named(outcome.point)}: {outcome.failure}", markup=False)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
        elif not self.silent and time.perf_counter() - self.said > 10:
            self.said = time.perf_counter()
            left = (self.said - self.start) / self.fresh * (self.total - self.done)
            self.console.print(f"{self.done} of {self.total} points, {clock(left)} to go")


def _show(result: SweepResult, output: str, as_json: bool, quiet: bool) -> int:
    if as_json:
        print(json.dumps(_as_json(result, output), indent=2, allow_nan=False))
    elif not quiet:
        _table(result, output)
    return 0


def _as_json(result: SweepResult, output: str) -> dict[str, Any]:
    def plain(x: float) -> float | None:
        return None if np.isnan(x) else float(x)

    rows = [
        {"settings": dict(p.settings), "trial": p.trial, "seed": p.seed, "status": result.status[p.index],
         **{k: plain(v[p.index]) for k, v in result.columns.items()}}
        for p in result.points
    ]  # fmt: skip
    return {"file": output, "spec": result.spec, "points": rows}


def _table(result: SweepResult, output: str) -> None:
    """Print the mean rate of every population at every combination; the spread over trials where there are some."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from neurosim.cli import show

    out = show.console()
    keys = [k for k, v in result.spec["set"].items() if len(v) > 1]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for key in keys:
        table.add_column(key)
    populations = [c.partition("/")[2] for c in result.columns if c.startswith("rate/")]
    for name in populations:
        table.add_column(f"{name} (Hz)", justify="right")
    trials = result.spec["trials"]
    groups = [result.points[k : k + trials] for k in range(0, len(result), trials)]
    for group in groups[:_MOST_ROWS]:
        at = [p.index for p in group if result.status[p.index] == FINISHED]
        cells = []
        for name in populations:
            rates = result.columns[f"rate/{name}"][at]
            spread = f" ± {np.std(rates, ddof=1):.2f}" if len(rates) > 1 else ""
            cells.append(f"{np.mean(rates):.2f}{spread}" if len(rates) else "failed")
        table.add_row(*(group[0].settings[k] for k in keys), *cells)
    out.print(table)
    if len(groups) > _MOST_ROWS:
        out.print(Text(f"… and {len(groups) - _MOST_ROWS} more rows", style="dim"))
    what = f"± is the standard deviation over {trials} trials; " if trials > 1 else ""
    out.print(Text(f"{what}wrote {output}; SweepResult.load('{output}') reads it", style="dim"), soft_wrap=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""What all workers share: the task they are given, the line of JSON they answer with, and how they fail.

A worker is run as ``python -m benchmarks.peers.nest_worker --engine nest --network cuba --size 4000 …`` from the
repository root. It prints one line of JSON as the last line of its output: a `Measurement`, or
``{"missing": "nest is not installed: pip install nest-simulator"}`` with exit status `MISSING`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MISSING = 3
"""Exit status of a worker whose engine is not installed."""


@dataclass(frozen=True)
class Task:
    """One run of one network in one engine."""

    engine: str
    network: str
    size: int
    threads: int
    duration_ms: float
    seed: int
    workdir: Path
    """Where compiled code may be kept; empty for a cold run, kept from the run before for a warm one."""


@dataclass(frozen=True)
class Measurement:
    """What a worker reports; all times are wall seconds.

    ``build_s`` is everything between the import and the first step except for compiling, ``simulate_s`` the steps
    alone. ``process_s`` is not here: only the parent can see the whole process.
    """

    engine: str
    network: str
    size: int
    threads: int
    duration_ms: float
    import_s: float
    build_s: float
    compile_s: float
    simulate_s: float
    rates: dict[str, float]
    spikes: int
    synapses: int


def measurement(
    task: Task,
    *,
    import_s: float,
    build_s: float,
    compile_s: float,
    simulate_s: float,
    counts: dict[str, int],
    sizes: dict[str, int],
    synapses: int,
) -> Measurement:
    """Turn spike counts of populations into rates (Hz, over the whole run) and fill in the task's own fields."""
    seconds = task.duration_ms / 1000.0
    return Measurement(
        engine=task.engine,
        network=task.network,
        size=task.size,
        threads=task.threads,
        duration_ms=task.duration_ms,
        import_s=import_s,
        build_s=build_s,
        compile_s=compile_s,
        simulate_s=simulate_s,
        rates={name: counts[name] / sizes[name] / seconds for name in counts},
        spikes=sum(counts.values()),
        synapses=synapses,
    )


def main(module: str, install: str, run: Callable[[Task], Measurement], argv: Sequence[str] | None = None) -> int:
    """Parse the task, run it and print the answer; the entry point of every worker.

    Parameters
    ----------
    module : str
        The package that must be importable.
    install : str
        The command that installs it.
    run : callable
        Does the work. It imports the engine itself, because the import is timed.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--duration-ms", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workdir", type=Path, required=True)
    task = Task(**vars(parser.parse_args(argv)))
    if importlib.util.find_spec(module) is None:
        print(json.dumps({"missing": f"{module} is not installed: {install}"}))
        return MISSING
    task.workdir.mkdir(parents=True, exist_ok=True)
    print("\n" + json.dumps(asdict(run(task))), flush=True)
    return 0

"""Measure neurosim and its peers, side by side.

::

    python benchmarks/run.py                                   # everything: about half an hour on two idle cores
    python benchmarks/run.py --quick                           # small, short, one thread, one run: about a minute
    python benchmarks/run.py --networks cuba --sizes 4000 --engines native,brian2,nest --threads 1,2 --repeat 5
    python benchmarks/run.py --whole-process                   # from nothing to the end of 1 s of CUBA, all included
    python benchmarks/run.py --json out.json                   # keep every single measurement

Engines: ``native`` (ours), ``brian2`` (C++ standalone), ``brian2-cython``, ``nest``. Networks: ``networks.py`` states
all parameters. dt = 0.1 ms, double, nothing recorded but spike counts.

How to read the table
---------------------
- Every figure is a median; every measurement is a fresh process. The configs are interleaved (A B C A B C), so that a
  busy minute of the machine hits all of them.
- *build*: import done to first step, except compiling. *compile*: of the cold run. *simulate*: the steps alone.
  *(min)*: the fastest run; far below the median means that the machine was busy (barriers that spin suffer most).
  *RTF*: wall seconds of simulating per biological second (below 1 is faster than real time).
- *cold*: the whole process, interpreter and imports included, when nothing was ever compiled; *warm*: when the same run
  was done before. The first repeat is cold, the others are warm, so that ``--repeat 1`` has no warm figure.
- *sim/ours*, *warm/ours*: the peer's time over ours with the same number of threads, paired repeat by repeat. Above 1,
  ours is faster. **Trust these before any time in seconds**, and trust nothing if the load average printed below the
  table is near the number of cores or above.
- Rates, spikes and synapses show that the work was equal. Where they differ by more than the draw of the connections
  explains (``Network.tolerance_hz``), a line that starts with ``UNEQUAL WORK`` says so: those ratios mean nothing.
  Repeats share one seed. One draw of COBA 4,000 may have 5 % more excitatory spikes than the next, in any engine: a
  ratio that is to be trusted to better than that needs several ``--seed``.
- An engine that is not installed, fails or takes too long keeps its line, with the reason.

What is equal, and what is not: Brian2's default flags include ``-ffast-math``; NEST integrates COBA with adaptive
RKF45, Brian2 with exponential Euler; NEST at a delay of 0.1 ms exchanges spikes every step, as the network asks.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: the workers' packages are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.measure import ENGINES, OURS, SINGLE_THREADED, Case, Config, Outcome, measure, worker_command  # noqa: E402
from benchmarks.networks import NETWORKS  # noqa: E402
from benchmarks.report import as_records, best_against_best, format_table, summarise, unequal_work  # noqa: E402

DISTRIBUTIONS = ("neurosim-snn", "numba", "numpy", "Brian2", "Cython", "nest-simulator")
WHOLE_PROCESS_ENGINES = ("native", "brian2", "brian2-cython", "nest")


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name '{name}'; known: {', '.join(known)}")
        return names

    return parse


def _integers(text: str) -> list[int]:
    try:
        values = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers such as 4000,40000") from None
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': every number must be at least 1")
    return values


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
        if value <= 0:
            raise argparse.ArgumentTypeError(f"'{text}' is not above 0")
        return value

    return parse


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="benchmarks/run.py"
    )
    parser.add_argument("--networks", type=_names(tuple(NETWORKS)), help="default: cuba,coba,brunel")
    parser.add_argument("--sizes", type=_integers, help="numbers of neurons, for all networks; default: the network's")
    parser.add_argument("--engines", type=_names(tuple(ENGINES)), help="default: native,brian2,nest")
    parser.add_argument("--threads", type=_integers, help="default: 1,2")
    parser.add_argument("--repeat", type=_positive(int), help="runs of every config; default: 3")
    parser.add_argument("--duration", type=_positive(float), help="biological seconds; default: the network's")
    parser.add_argument("--seed", type=int, default=1, help="the same for all runs; default: 1")
    parser.add_argument("--timeout", type=_positive(float), default=900.0, help="seconds a process; default: 900")
    parser.add_argument("--json", type=Path, help="write all measurements and the summary to this file")
    parser.add_argument(
        "--quick", action="store_true", help="small, short, one thread, one run, unless other options say otherwise"
    )
    parser.add_argument(
        "--whole-process",
        action="store_true",
        help="CUBA 4,000 for 1 s on one thread, whole processes only, `neurosim run` against the peers' workers",
    )
    options = parser.parse_args(argv)
    options.networks = options.networks or list(NETWORKS)
    options.threads = options.threads or ([1] if options.quick or options.whole_process else [1, 2])
    options.repeat = options.repeat or (1 if options.quick else 3)
    default_engines = WHOLE_PROCESS_ENGINES if options.whole_process else ("native", "brian2", "nest")
    options.engines = options.engines or list(default_engines)
    return options


def plan(options: argparse.Namespace) -> tuple[list[Case], list[Config], list[str]]:
    """The cases, the configs to run on each, and notes on what was left out."""
    cases = []
    for name in options.networks:
        network = NETWORKS[name]
        duration_ms = network.quick_ms if options.quick else network.duration_ms
        if options.duration:
            duration_ms = 1000.0 * options.duration
        sizes = options.sizes or ([network.quick_size] if options.quick else network.sizes)
        cases += [Case(name, size, duration_ms) for size in sizes]
    configs, notes = [], []
    for threads in options.threads:
        for engine in options.engines:
            if engine not in SINGLE_THREADED or threads == 1:
                configs.append(Config(engine, threads))
            else:
                notes.append(f"{engine} has one thread only: not run with {threads}")
    return cases, configs, notes


def _progress(outcome: Outcome) -> None:
    what = f"{outcome.case} {outcome.config} {outcome.cache} #{outcome.repeat}"
    result = f"{outcome.process_s:.2f} s" if outcome.status == "ok" else f"{outcome.status}: {outcome.message}"
    if outcome.values:
        result += f" (simulate {outcome.values['simulate_s']:.3f} s)"
    print(f"  {what}: {result}", file=sys.stderr, flush=True)


def run_networks(options: argparse.Namespace, scratch: Path) -> tuple[list[Outcome], list[str]]:
    """Every config on every case, interleaved; a config that did not work is not tried again on that case."""
    cases, configs, notes = plan(options)
    outcomes: list[Outcome] = []
    missing: set[str] = set()
    for case in cases:
        given_up: set[Config] = set()
        for repeat in range(1, options.repeat + 1):
            for config in configs:
                if config in given_up:
                    continue
                workdir = scratch / f"{case.network}-{case.size}" / f"{config.engine}-{config.threads}"
                command = worker_command(case, config, options.seed, workdir)
                outcome = measure(case, config, repeat, command, workdir, options.timeout, cold=repeat == 1)
                outcomes.append(outcome)
                _progress(outcome)
                if outcome.status != "ok":
                    given_up.add(config)
                if outcome.status == "missing" and config.engine not in missing:
                    missing.add(config.engine)
                    notes.append(f"{config.engine} is missing: {outcome.message}")
        shutil.rmtree(scratch / f"{case.network}-{case.size}", ignore_errors=True)
    return outcomes, notes


def _neurosim_command(threads: int) -> list[str]:
    """The installed program if it lies beside this interpreter, else the package run as a module."""
    program = Path(sys.executable).parent / "neurosim"
    start = [str(program)] if program.exists() else [sys.executable, "-m", "neurosim"]
    return [*start, "run", "cuba", "--duration", "1s", "--threads", str(threads)]


def run_whole_process(options: argparse.Namespace, scratch: Path) -> tuple[list[Outcome], list[str]]:
    """Whole processes to the end of 1 s of CUBA: each repeat is one cold and one warm run of every engine."""
    case = Case("cuba", 4000, 1000.0 * (options.duration or 1.0))
    outcomes: list[Outcome] = []
    given_up: set[Config] = set()
    configs = [Config(engine, 1) for engine in options.engines]
    for repeat in range(1, options.repeat + 1):
        for cold in (True, False):
            for config in configs:
                if config in given_up:
                    continue
                workdir = scratch / f"{config.engine}-{repeat}"
                command = worker_command(case, config, options.seed, workdir)
                if config.engine == OURS:
                    command = _neurosim_command(config.threads)
                    command[command.index("1s")] = f"{case.duration_ms / 1000.0:g}s"
                outcome = measure(case, config, repeat, command, workdir, options.timeout, cold=cold)
                outcomes.append(outcome)
                _progress(outcome)
                if outcome.status != "ok":
                    given_up.add(config)
        for config in configs:
            shutil.rmtree(scratch / f"{config.engine}-{repeat}", ignore_errors=True)
    return outcomes, [f"ours is the program itself: {' '.join(_neurosim_command(1))}"]


def describe_machine() -> dict[str, Any]:
    """Processor, cores and versions."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "python": platform.python_version(), "versions": versions}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite; the exit status is 1 if some config that was not merely missing did not work."""
    options = parse_arguments(argv)
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; {versions}\n", flush=True)
    scenario = run_whole_process if options.whole_process else run_networks
    with tempfile.TemporaryDirectory(prefix="neurosim-bench-") as scratch:
        outcomes, notes = scenario(options, Path(scratch))
    rows = summarise(outcomes)
    unequal = unequal_work(rows)
    load = median(outcome.load for outcome in outcomes)
    print(format_table(rows), "", *best_against_best(rows), "", sep="\n")
    for case in dict.fromkeys(row.case for row in rows):
        print(f"{case}: {case.duration_ms / 1000.0:g} s of {NETWORKS[case.network].summary}")
    for sentence in unequal:
        print(f"UNEQUAL WORK: {sentence}")
    for note in notes:
        print(f"note: {note}")
    print(f"load average before the measurements: median {load:.2f} on {machine['cores']} cores")
    if options.json:
        record = {
            "machine": machine,
            "options": {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()},
            "measurements": [outcome.as_dict() for outcome in outcomes],
            "summary": as_records(rows),
            "unequal_work": unequal,
            "notes": notes,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(any(outcome.status in ("failed", "timeout") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

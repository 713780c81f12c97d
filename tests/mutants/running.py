"""Running the conformance suite on a mutant, in a process and with a compile cache of its own.

The package is copied in the shape that it has when installed, and a run that imports anything of it from elsewhere
counts for nothing. Compiled code is kept by the hash of its source, so a cache that the unchanged package has filled
serves its mutants as well; what a mutant compiles differently goes to a folder that only it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mutants.kit import MAPPED, Mutant, MutantError, installed, mutated

HERE = Path(__file__).resolve().parent
SUITE = "neurosim.conformance.test_backend"

BY_HAND = ("reference", "brian2:mode=cython", "brian2:mode=standalone")
"""Targets on which only the cases run: on ``reference`` nothing else says anything, and each program of the other two
takes a C++ compiler some seconds; what they do not share with ``brian2:mode=numpy`` is little."""

FEW = {
    "brian2:mode=standalone": ("stamp", "sampling", "no_steps", "arrival", "shortest_delay", "multapses_and_autapses",
                               "time_of_a_step", "time_arrays", "spike_lists", "random_numbers", "poisson_drive"),
}  # fmt: skip
"""Cases that run where others would take too long: a standalone program is compiled anew for each."""

OWN_ARITHMETIC = ("nest",)
"""Targets that compute with cells of their own, so that values may differ by rounding."""

STARTED, LEAST, TIMES = 240.0, 180.0, 20.0
"""Seconds until tests are collected; seconds after which a test hangs: so many, or so often what it takes unchanged."""

KEPT = (".o", ".json", ".so", ".pyd")
"""Files of a compile cache that are never written again, so that a link to them does."""


@dataclass
class Outcome:
    """What came of one run of the suite.

    Attributes
    ----------
    tests : dict
        Name of a test -> outcome and seconds, in the order in which they ran.
    failed : str
        The first test that failed, hung, or ended the process; empty if all passed.
    about : str
        Its case, construct or seed.
    how : str
        How it failed.
    """

    tests: dict[str, tuple[str, float]] = field(default_factory=dict)
    failed: str = ""
    about: str = ""
    how: str = ""


def snapshot(root: Path, tree: Path) -> None:
    """Copy the package into a tree of the shape that it has when installed."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "neurosim", tree / "neurosim", ignore=leave)
    for folder in MAPPED:
        shutil.copytree(root / folder, tree / "neurosim" / folder, ignore=leave)


def plant(mutant: Mutant, root: Path, base: Path, tree: Path) -> None:
    """Make the mutant's tree: links to the files of another one, but for the file that is changed.

    Parameters
    ----------
    root, base : Path
        The repository, and the tree that :func:`snapshot` has made of it.

    Raises
    ------
    MutantError
        The mutant does not fit, or the repository's file has changed since the tree was made.
    """
    text = mutated(mutant, root)
    if (root / mutant.file).read_bytes() != (base / installed(mutant.file)).read_bytes():
        raise MutantError(f"{mutant.file} has changed since the tree was copied: begin again")
    shutil.copytree(base, tree, copy_function=os.link)
    target = tree / installed(mutant.file)
    target.unlink()
    target.write_text(text, encoding="utf-8")
    for old in target.parent.glob(f"__pycache__/{target.stem}.*"):
        old.unlink()


def split(target: str) -> tuple[str, list[str]]:
    """Return a backend and its options, from ``brian2:mode=numpy``."""
    name, *options = target.split(":")
    return name, options


def warm(source: Path, cache: Path) -> None:
    """Begin a compile cache with what another one holds."""

    def take(a: str, b: str) -> None:
        if os.path.exists(b):
            return
        with contextlib.suppress(OSError):  # one that is gone meanwhile is compiled anew
            if a.endswith(KEPT):
                with contextlib.suppress(OSError):  # on another disk
                    os.link(a, b)
                    return
            shutil.copy2(a, b)

    if source.is_dir():
        shutil.copytree(source, cache, dirs_exist_ok=True, copy_function=take)
    cache.mkdir(parents=True, exist_ok=True)


def environment(tree: Path, work: Path, cache: Path) -> dict[str, str]:
    """Return the variables of a process that imports the package from a tree and keeps everything in its folder."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("NEUROSIM_", "PYTEST_", "PYTHON", "NUMBA_"))}
    temporary = work / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return own | {
        "PYTHONPATH": os.pathsep.join((str(tree), str(HERE.parent))),
        "PYTHONSAFEPATH": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "NEUROSIM_CACHE_DIR": str(cache),
        "XDG_CACHE_HOME": str(cache / "xdg"),
        "TMPDIR": str(temporary),
    }


def run_suite(
    tree: Path,
    target: str,
    work: Path,
    cache: Path,
    *,
    first: Sequence[str] = (),
    only: Iterable[str] | None = None,
    seconds: Mapping[str, float] | None = None,
    unsupported: Path | None = None,
    stop: bool = True,
) -> Outcome:
    """Run the suite on the package in a tree.

    Parameters
    ----------
    tree : Path
        Where the package lies.
    target : str
        Backend and options.
    work, cache : Path
        Folders of this run: for what it writes, and for compiled code.
    first : sequence of str
        Cases, constructs or seeds to begin with.
    only : iterable of str, optional
        The tests to run, by name or by what they are about; all without.
    seconds : mapping, optional
        What tests take on the unchanged package: one that takes twenty times as long, and three minutes, hangs.
    unsupported : Path, optional
        The list of cases that do not pass: a backend that has to refuse one, and runs it, fails.
    stop : bool
        Whether the first failure ends the run.

    Raises
    ------
    MutantError
        Nothing was tested, or the package came from elsewhere.
    """
    work.mkdir(parents=True, exist_ok=True)
    report, plan, settings = work / "report.jsonl", work / "plan.json", work / "pytest.ini"
    report.write_text("", encoding="utf-8")
    settings.write_text("[pytest]\n", encoding="utf-8")
    plan.write_text(json.dumps({"tree": str(tree), "report": str(report), "first": list(first),
                                "only": None if only is None else list(only)}), encoding="utf-8")  # fmt: skip
    backend, options = split(target)
    what = f"{SUITE}::test_case" if target in BY_HAND else SUITE
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(settings), "--rootdir", str(work), "--tb=no",
               "-p", "no:cacheprovider", "-p", "neurosim.conformance.plugin", "-p", "mutants.watch", "--pyargs", what,
               "--neurosim-backend", backend, *(["-x"] if stop else [])]  # fmt: skip
    for option in options:
        command += ["--neurosim-backend-option", option]
    if backend in OWN_ARITHMETIC:
        command += ["--neurosim-own-arithmetic"]
    if unsupported is not None:
        command += ["--neurosim-unsupported", str(unsupported)]
    variables = environment(tree, work, cache) | {"NEUROSIM_MUTANT_PLAN": str(plan)}
    return _watched(command, variables, work, report, dict(seconds or {}))


def _watched(
    command: list[str], variables: dict[str, str], work: Path, report: Path, seconds: dict[str, float]
) -> Outcome:
    """Start a run, read its report as it grows, and end it where a test hangs."""
    out = Outcome()
    about: dict[str, str] = {}
    collected = finished = False
    strangers: list[str] = []
    running, since, done = "", time.monotonic(), 0
    with open(work / "output.log", "w", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, cwd=work, env=variables, stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        try:
            while True:
                ended = process.poll() is not None
                lines = report.read_text(encoding="utf-8").splitlines(keepends=True)
                whole = [line for line in lines if line.endswith("\n")]
                for line in whole[done:]:
                    event = json.loads(line)
                    strangers += event.get("strangers", [])
                    since = time.monotonic()
                    if event["event"] == "collected":
                        collected, about = bool(event["tests"]), event["about"]
                    elif event["event"] == "begins":
                        running = event["test"]
                    elif event["event"] == "ends":
                        running = ""
                        out.tests[event["test"]] = event["outcome"], event["seconds"]
                        if event["outcome"] == "failed" and not out.failed:
                            # Where the scratch folder and the interpreter lie says nothing, and changes every time.
                            how = event["text"].replace(f"{work}{os.sep}", "").replace(f"{sys.prefix}{os.sep}", "")
                            out.failed, out.how = event["test"], how
                    else:
                        finished = True
                done = len(whole)
                if ended:
                    break
                limit = max(LEAST, TIMES * seconds.get(running, 0.0)) if running else STARTED
                if time.monotonic() - since > limit:
                    where = running or ("the end" if out.tests else "the start")
                    _end(process)
                    if not running:
                        raise MutantError(f"the suite hangs at {where}: {_last(work)}")
                    out.failed, out.how = running, f"hangs: no end after {limit:.0f} s"
                    finished = True
                    break
                time.sleep(0.1)
        finally:
            _end(process)
    if strangers:
        raise MutantError(f"modules of the package were not those of the tree: {', '.join(strangers[:3])}")
    if not collected:
        raise MutantError(f"no test was collected: {_last(work)}")
    if not finished and not out.failed:
        code = process.returncode
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        if not running:
            raise MutantError(f"the process ended with {ending} between two tests: {_last(work)}")
        out.failed, out.how = running, f"the process ended with {ending}"
    out.about = about.get(out.failed, "")
    return out


def _end(process: subprocess.Popen[Any]) -> None:
    """End a run with all that it has started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # the group that it was started in
        except ProcessLookupError:
            pass
        process.wait()


def _last(work: Path) -> str:
    """Return the end of what a run has printed."""
    text = (work / "output.log").read_text(encoding="utf-8", errors="replace").strip()
    return text[-1500:] or "it printed nothing"


class Workshop:
    """A scratch folder with the unchanged package, and how the suite runs on it.

    Parameters
    ----------
    root : Path
        The repository.
    folder : Path
        Scratch; what is in it is of no use afterwards, but for the compile cache.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder, self.base = root, folder, folder / "base"
        self.cache = folder / "cache"
        for name in ("base", "mutants", "baseline", "compared"):
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        _warm_from_user(self.cache)
        snapshot(root, self.base)
        self.unsupported = Path(shutil.copy(root / "tests" / "conformance" / "unsupported.toml", folder))

    def baseline(self, target: str, only: Iterable[str] | None = None) -> dict[str, float]:
        """Run the suite on the unchanged package; return the tests that pass, and their seconds.

        What fails or is refused there says nothing about a mutant, and is left out of its run.
        """
        work = self.folder / "baseline" / target.replace(":", "-")
        only = FEW.get(target) if only is None else only
        out = run_suite(self.base, target, work, self.cache, only=only, unsupported=self.unsupported, stop=False)
        passing = {name: seconds for name, (outcome, seconds) in out.tests.items() if outcome == "passed"}
        if not passing:
            raise MutantError(f"no test passes on {target} unchanged: {_last(work)}")
        return passing

    def run(self, mutant: Mutant, passing: Mapping[str, float]) -> dict[str, Any]:
        """Run the suite on a mutant, those tests that pass without it; return what came of it, for JSON."""
        work = self.folder / "mutants" / mutant.name
        tree, cache = work / "tree", work / "cache"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        plant(mutant, self.root, self.base, tree)
        warm(self.cache, cache)
        began = time.monotonic()
        try:
            out = run_suite(tree, mutant.target, work, cache, first=mutant.first, only=passing, seconds=passing,
                            unsupported=self.unsupported)  # fmt: skip
        except MutantError as e:
            raise MutantError(f"mutant '{mutant.name}': {e}") from e
        shutil.rmtree(work)
        row = {k: v for k, v in asdict(mutant).items() if k in ("breaks", "file", "target", "equivalent")}
        return row | {"killed_by": out.about, "test": out.failed, "how": out.how, "tests_run": len(out.tests),
                      "seconds": round(time.monotonic() - began, 1)}  # fmt: skip

    def show(self, mutant: Mutant, network: str) -> dict[str, Any]:
        """Return what ``neurosim compare`` says of a mutant's backend and ``reference`` on a network."""
        work = self.folder / "compared" / mutant.name
        tree, cache = work / "tree", work / "cache"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        plant(mutant, self.root, self.base, tree)
        warm(self.cache, cache)
        report, plan = work / "report.json", work / "plan.json"
        plan.write_text(json.dumps({"tree": str(tree), "network": network, "target": mutant.target,
                                    "report": str(report)}), encoding="utf-8")  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "mutants.comparing", str(plan)], cwd=work, capture_output=True,
                              env=environment(tree, work, cache), text=True, errors="replace", timeout=600)  # fmt: skip
        if done.returncode or not report.exists():
            raise MutantError(f"mutant '{mutant.name}': comparing fails: {done.stderr.strip()[-1500:]}")
        found = json.loads(report.read_text(encoding="utf-8"))
        if found.pop("strangers"):
            raise MutantError(f"mutant '{mutant.name}': modules of the package were not those of the tree")
        shutil.rmtree(work)
        return {"network": network, "target": mutant.target, **found}


def _warm_from_user(cache: Path) -> None:
    """Begin with what the package has compiled for the user who runs this."""
    given = os.environ.get("NEUROSIM_CACHE_DIR")
    if given:
        warm(Path(given), cache)
        return
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurosim"
    warm(usual / "kernels", cache)
    warm(usual / "brian2", cache / "brian2")


def run_all(
    workshop: Workshop,
    chosen: Sequence[Mutant],
    step: Callable[[str, Callable[[], Any]], Any],
    done: Container[str] = (),
    *,
    jobs: int = 1,
    hinted: bool = False,
) -> list[dict[str, Any]]:
    """Run the suite on the unchanged package, then on each mutant.

    Parameters
    ----------
    workshop : Workshop
        Where.
    chosen : sequence of Mutant
        The mutants.
    step : callable
        ``step(name, function)`` returns ``function()``, or what it returned in an interrupted run.
    done : container of str
        Names of the steps that are done already.
    jobs : int
        How many mutants run at the same time.
    hinted : bool
        Whether only those tests run that the mutants name, for writing one.

    Returns
    -------
    list of dict
        A row per mutant, in their order.
    """
    passing: dict[str, dict[str, float]] = {}
    for target in dict.fromkeys(m.target for m in chosen):
        mine = [m for m in chosen if m.target == target]
        only = {name for m in mine for name in m.first} if hinted else None
        passing[target] = step(f"unchanged on {target}", lambda t=target, o=only: workshop.baseline(t, o))
    rows: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(workshop.run, m, passing[m.target]): m for m in chosen if m.name not in done}
        for mutant in chosen:
            if mutant.name in done:
                rows[mutant.name] = step(mutant.name, dict)
        try:
            for job in as_completed(waiting):
                rows[waiting[job].name] = step(waiting[job].name, job.result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [rows[m.name] for m in chosen]


def told(name: str, row: Mapping[str, Any]) -> str:
    """Return what came of a mutant in a line."""
    if not row["test"]:
        return f"{name}: survives {row['tests_run']} tests on {row['target']} ({row['seconds']} s)"
    return f"{name}: killed by {row['killed_by']} on {row['target']} ({row['seconds']} s): {row['how'][:200]}"


def judged(mutant: Mutant, row: Mapping[str, Any]) -> str:
    """Say what is wrong with what came of a mutant; an empty text if nothing is."""
    if mutant.equivalent and row["test"]:
        return f"{mutant.name} is declared equivalent, and {row['test']} notices it: {row['how']}"
    if not mutant.equivalent and not row["test"]:
        return f"{mutant.name} survives {row['tests_run']} tests on {mutant.target}: {mutant.breaks}"
    return ""

"""The pytest plugin inside a run on a mutant: which tests, in which order, and a line about each as it happens.

NEUROSIM_MUTANT_PLAN names a JSON file with ``tree`` (the folder that the package has to come from), ``report`` (the
file that gets a line per event), ``first`` (cases, constructs or seeds to begin with) and ``only`` (tests by name or by
what they are about; null for all).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

_GIVEN = os.environ.get("NEUROSIM_MUTANT_PLAN")
PLAN = json.loads(Path(_GIVEN).read_text(encoding="utf-8")) if _GIVEN else {}
KINDS = ("test_case", "test_some_construct_runs", "test_same_spikes_in_every_run",
         "test_same_spikes_on_any_number_of_threads", "test_random_network", "test_construct")  # fmt: skip
"""Tests in the order in which they run: what was worked out by hand first."""


def say(**what: Any) -> None:
    """Write a line of the report at once: the process may not live to its end."""
    with open(PLAN["report"], "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


def strangers_to(folder: str) -> list[str]:
    """Return the package's modules that do not come from a tree."""
    tree = os.path.realpath(folder) + os.sep
    files = {n: getattr(m, "__file__", None) for n, m in list(sys.modules.items()) if n.split(".")[0] == "neurosim"}
    return sorted(f"{n} from {f}" for n, f in files.items() if f and not os.path.realpath(f).startswith(tree))


def name_of(item: pytest.Item) -> str:
    """Return a test's name without what is the same for all: ``test_case[arrival]``, ``test_random_network[3]``."""
    return item.nodeid.rpartition("::")[2]


def kind_of(item: pytest.Item) -> str:
    return name_of(item).partition("[")[0]


def about(item: pytest.Item) -> str:
    """Return the case, construct or seed of a test; for the others the test's own name."""
    params = getattr(item, "callspec", None)
    for key in ("neurosim_case", "neurosim_construct", "neurosim_random"):
        if params is not None and key in params.params:
            value = params.params[key]
            return str(getattr(value, "name", value))
    return kind_of(item)


def rank(item: pytest.Item) -> tuple[int, int, float]:
    first = PLAN["first"]
    params = getattr(item, "callspec", None)
    case = params.params.get("neurosim_case") if params is not None else None
    hinted = first.index(about(item)) if about(item) in first else len(first)
    duration = case.duration.value if case is not None else 0.0
    return hinted, KINDS.index(kind_of(item)) if kind_of(item) in KINDS else len(KINDS), duration


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = PLAN["only"]
    drop = [] if only is None else [item for item in items if not {name_of(item), about(item)} & set(only)]
    if drop:
        config.hook.pytest_deselected(items=drop)
    items[:] = sorted((item for item in items if item not in drop), key=rank)
    say(event="collected", tests=[name_of(item) for item in items], about={name_of(i): about(i) for i in items},
        strangers=strangers_to(PLAN["tree"]))  # fmt: skip


_began: dict[str, float] = {}


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    test = nodeid.rpartition("::")[2]
    _began[test] = time.monotonic()
    say(event="begins", test=test)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call" or report.outcome == "failed":
        error = call.excinfo.value if call.excinfo is not None else None
        text = "" if error is None else f"{type(error).__name__}: {error}"
        say(event="ends", test=name_of(item), outcome=report.outcome, text=" ".join(text.split())[:600],
            seconds=round(time.monotonic() - _began.get(name_of(item), time.monotonic()), 2))  # fmt: skip
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    say(event="finished", status=int(exitstatus), strangers=strangers_to(PLAN["tree"]))

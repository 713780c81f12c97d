"""The pytest plugin: on which backends the conformance suite runs, and with which options.

``pytest --pyargs neurosim.conformance --neurosim-backend NAME`` runs everything on a backend that any installed package
brings. A test module that imports the tests of :mod:`neurosim.conformance.test_backend` may set

``TARGETS``
    a list of :class:`neurosim.conformance.judge.Target`, in place of the options;
``UNSUPPORTED``
    the path of the list of cases that do not pass;
``neurosim_marks(target, kind, name)``
    a function that returns the marks of one test; `kind` is ``case``, ``construct``, ``random`` or ``backend``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from neurosim.conformance.judge import Target

pytest.register_assert_rewrite("neurosim.conformance.cases", "neurosim.conformance.test_backend")

REFUSED = "refused: "
"""How the reason of a test begins that a backend does not run because it refuses the network."""

LISTED = "neurosim_refused"
"""Property of a test: case, backend and message of a case that is refused and not in the list."""

_SLOW = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("neurosim", "neurosim's conformance suite (pytest --pyargs neurosim.conformance)")
    group.addoption("--neurosim-backend", action="append", metavar="NAME", help="backend to test; may be repeated")
    group.addoption("--neurosim-backend-option", action="append", metavar="KEY=VALUE", help="option of its runs")
    group.addoption("--neurosim-unsupported", metavar="FILE", help="TOML list of cases that do not pass, with reasons")
    group.addoption(
        "--neurosim-list-refused", metavar="FILE", help="write such a list of what is refused, to start from"
    )
    group.addoption("--neurosim-random", type=int, default=12, metavar="N", help="number of random networks (12)")
    group.addoption("--neurosim-slow", action="store_true", help="also the published networks, for minutes each")
    group.addoption(
        "--neurosim-own-arithmetic",
        action="store_true",
        help="the engine computes with cells of its own: values may differ by rounding, and spikes from a tie on",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "neurosim_slow: a conformance case that takes minutes (--neurosim-slow)")


def targets(config: pytest.Config) -> list[Target]:
    """Read the options.

    Raises
    ------
    pytest.UsageError
        No backend, one that no package brings, or an option that is not written KEY=VALUE.
    """
    from neurosim import registry
    from neurosim.conformance.judge import Target
    from neurosim.errors import suggest

    names = config.getoption("--neurosim-backend")
    if not names:
        raise pytest.UsageError("say which backend the conformance suite is to run on: --neurosim-backend NAME")
    options = {}
    for text in config.getoption("--neurosim-backend-option") or []:
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise pytest.UsageError(f"--neurosim-backend-option is written KEY=VALUE, not {text!r}")
        options[key] = value
    known = registry.backends()
    for name in names:
        if name not in known:
            raise pytest.UsageError(f"no backend '{name}'{suggest(name, known)}")
    return [Target(name, options, bool(config.getoption("--neurosim-own-arithmetic"))) for name in names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "neurosim_target" not in metafunc.fixturenames:
        return
    from neurosim.conformance.cases import CASES
    from neurosim.conformance.constructs import CONSTRUCTS
    from neurosim.conformance.judge import random_seeds

    chosen = getattr(metafunc.module, "TARGETS", None) or targets(metafunc.config)
    rows: dict[str, dict[str, Any]] = {
        "case": {case.name: case for case in CASES},
        "construct": {name: name for name in CONSTRUCTS},
        "random": {str(seed): seed for seed in random_seeds(int(metafunc.config.getoption("--neurosim-random") or 0))},
    }
    kind = next((kind for kind in rows if f"neurosim_{kind}" in metafunc.fixturenames), "backend")
    more = getattr(metafunc.module, "neurosim_marks", _marks)
    if kind == "backend":
        params = [pytest.param(t, id=t.label, marks=more(t, kind, "")) for t in chosen]
        metafunc.parametrize("neurosim_target", params)
        return
    metafunc.parametrize(
        ("neurosim_target", f"neurosim_{kind}"),
        [
            pytest.param(target, item, id=f"{name}-{target.label}", marks=more(target, kind, name))
            for target in chosen
            for name, item in rows[kind].items()
        ],
    )


def _marks(target: Target, kind: str, name: str) -> list[pytest.MarkDecorator]:
    from neurosim.conformance.cases import BY_NAME

    return [pytest.mark.neurosim_slow] if kind == "case" and BY_NAME[name].slow else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--neurosim-slow"):
        return
    slow = [item for item in items if item.get_closest_marker("neurosim_slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
        config.stash[_SLOW] = len(slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist: the controller prints
        output["neurosim_slow"] = session.config.stash.get(_SLOW, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    count = getattr(node, "workeroutput", {}).get("neurosim_slow", 0)
    if count:
        node.config.stash[_SLOW] = count  # every worker collects the same tests


@pytest.fixture
def neurosim_unsupported(request: pytest.FixtureRequest) -> Any:
    """The list of cases that do not pass: ``UNSUPPORTED`` of the module, or the option's."""
    from neurosim.conformance.unsupported import read_unsupported

    path = getattr(request.module, "UNSUPPORTED", None) or request.config.getoption("--neurosim-unsupported")
    return read_unsupported(path) if path else {}


def _list_refused(terminalreporter: Any, path: str) -> None:
    """Write a list of the cases that were refused, those of one message together."""
    from neurosim.conformance.unsupported import write_refused

    reports = [r for key in ("passed", "failed") for r in terminalreporter.stats.get(key, [])]
    rows = [value for r in reports for key, value in getattr(r, "user_properties", ()) if key == LISTED]
    write_refused(path, rows)
    terminalreporter.write_line(f"{path}: {len(rows)} cases that are refused; give each entry its reason")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    refused: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if f"Skipped: {REFUSED}" in reason and "[" in report.nodeid:
            test, _, name = report.nodeid.rpartition("::")[2].partition("[")
            refused[f"{name.rstrip(']').rpartition('-')[2]}, {test.removeprefix('test_').replace('_', ' ')}"] += 1
    for what, count in sorted(refused.items()):
        terminalreporter.write_line(f"refused by {what}: {count} (-rs says why)")
    if config.stash.get(_SLOW, 0):
        terminalreporter.write_line(f"left out: {config.stash[_SLOW]} slow conformance cases (--neurosim-slow)")
    path = config.getoption("--neurosim-list-refused")
    if path:
        _list_refused(terminalreporter, path)

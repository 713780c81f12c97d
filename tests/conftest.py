"""What every test stands on: seeds, strict float arithmetic, and the rule that nothing skips silently.

A test that needs another simulator or a file of ``../shared/data`` says so with a marker. Where that is missing, the
test fails when ``CI=true``; in anyone's clone it is deselected, and the last lines of the run say how many and why.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from neurosim import registry

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or ROOT.parent / "shared" / "data")
CI = os.environ.get("CI", "").lower() in ("1", "true")
FULL = os.environ.get("NEUROSIM_FULL", "") not in ("", "0")
# engine: (the modules to look for, the extra that installs them)
ENGINES = {
    "lava": ((), "lava"),
    "brian2": (("brian2",), "brian2"),
    "nest": (("nest",), "nest"),
    "snntorch": (("torch", "snntorch"), "snntorch"),
    "torch": (("torch", "safetensors"), "torch"),
    "triton": (("triton",), "triton"),
    "titans-pytorch": (("titans_pytorch",), "oracles"),
    "mambapy": (("mambapy",), "oracles"),
    "transformers": (("transformers",), "oracles"),
    "nirtorch": (("nirtorch",), "oracles"),
    "dendrify": (("brian2", "dendrify"), "oracles"),
    "sphinx": (("sphinx", "myst_parser", "furo"), "docs"),
}

# The sample is the same on every run; the full tier draws anew and keeps what it found in .hypothesis.
settings.register_profile("sample", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("full", max_examples=500, deadline=None)
settings.load_profile("full" if FULL else "sample")

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")

_left_out: Counter[str] = Counter()


def _gpu() -> bool:
    """Whether torch is here and finds a CUDA device."""
    return importlib.util.find_spec("torch") is not None and bool(importlib.import_module("torch").cuda.is_available())


@functools.cache
def _mpi() -> bool:
    """Whether mpirun, mpi4py and a NEST that was built with MPI are here; asked elsewhere, as NEST's starts MPI."""
    if shutil.which("mpirun") is None or any(importlib.util.find_spec(name) is None for name in ("nest", "mpi4py")):
        return False
    asked = "import nest; print(nest.GetKernelStatus('build_info')['have_mpi'])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    return done.stdout.split()[-1:] == ["True"]


def _missing(item: pytest.Item) -> str | None:
    """Return what this test needs and does not find, as a sentence's end."""
    for marker in item.iter_markers("engine"):
        for name in marker.args:
            if name not in ENGINES:
                raise pytest.UsageError(f"{item.nodeid}: unknown engine '{name}'; known: {', '.join(ENGINES)}")
            if name == "lava":
                line = registry.missing("lava")
                if line:
                    return f"Lava is not installed: {line}"
            modules, extra = ENGINES[name]
            if any(importlib.util.find_spec(module) is None for module in modules):
                return f"{name} is not installed: pip install -e '.[{extra}]' -c constraints.txt"
    for marker in item.iter_markers("shared_data"):
        for path in marker.args or (".",):
            if not (SHARED / path).exists():
                return "files of ../shared/data are not here: set NEUROSIM_SHARED_DATA to their folder"
    return None


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin("neurosim_conformance"):
        raise pytest.UsageError(
            "the plugin neurosim_conformance is not installed: this checkout was installed by an earlier version, so "
            "run pip install -e '.[test,dev]' -c constraints.txt once more"
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    keep, drop = [], []
    for item in items:
        why = None
        if item.get_closest_marker("full") and not FULL:
            why = "belong to the full tier: scripts/test --full"
        elif item.get_closest_marker("browser") and not BROWSER:
            why = "no Chromium is here to open a page in: apt install chromium"
        elif item.get_closest_marker("gpu") and not _gpu():
            why = "no GPU is here"
        elif item.get_closest_marker("mpi") and not _mpi():
            why = "no NEST with MPI is here: docs/nest.md has the lines that build one"
        elif not CI:
            why = _missing(item)
        (keep if why is None else drop).append(item)
        if why is not None:
            _left_out[why] += 1
    if drop:
        config.hook.pytest_deselected(items=drop)
        items[:] = keep


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = _missing(item)
    if missing:
        pytest.fail(missing, pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist: the controller prints
        output["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    for why, count in getattr(node, "workeroutput", {}).get("left_out", {}).items():
        _left_out[why] = count  # every worker collects the same tests


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for why, count in sorted(_left_out.items()):
        terminalreporter.write_line(f"left out: {count} test{'s' if count > 1 else ''}, {why}")


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """Seed every generator; a division by zero, an overflow or an invalid operation in NumPy is an error."""
    random.seed(1)
    np.random.seed(1)
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds tests/: the checkout, where there is one (marker ``checkout``)."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; mark the test with ``shared_data("the/files/it/reads")``."""
    return SHARED


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether this is the full tier: for counts and sizes that the sample cuts down."""
    return FULL


@pytest.fixture
def double_tensors() -> Iterator[None]:
    """Tensors in double precision, on one thread, from one seed."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these tensors are small
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)

"""What the tests of the command line share: small networks as files, and ways to call a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from neurosim.cli.main import cli

HEAD = """
import neurosim as ns
from neurosim.units import ms, mV
cell = ns.Cell("dv/dt = (1.5 - v)/tau", threshold="v >= 1", reset="v = 0", init={"v": "index/N"}, tau=10*ms)
"""
ONE = (
    HEAD
    + """
net = ns.Network("one", dt=0.1*ms, seed=3)
net.population("p", 8, cell)
"""
)
BUILDER = (
    HEAD
    + """
def network(n: int = 8, tau: object = 10*ms, kind: str = "plain", fast: bool = False, scale: float = 1.0):
    net = ns.Network(f"{kind}{fast}{scale}", dt=0.1*ms, seed=3)
    net.population("p", n, cell(tau=tau))
    return net
"""
)
DIVERGES = """
import neurosim as ns
from neurosim.units import ms
net = ns.Network("div", dt=0.1*ms)
cell = ns.Cell("dv/dt = v*v/tau", threshold="v < 0", reset="v = 0", init={"v": 1.0}, tau=1*ms, method="euler")
net.population("p", 5, cell)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def call(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), prog_name="neurosim")


def ran(*args: str) -> Result:
    """Run on the reference for 20 ms, unless the arguments say otherwise."""
    done = call("run", "-b", "reference", "-d", "20ms", *args)
    assert done.exit_code == 0, done.output
    return done


def told(*args: str) -> dict[str, Any]:
    return json.loads(ran("--json", *args).stdout)


def mistake(*args: str) -> str:
    """The sentence that a command ends with; its exit code must be 2 and it must print nothing else."""
    done = call(*args)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr.startswith("error: ") and done.stderr.endswith("\n")
    return done.stderr[len("error: ") : -1]


def process(*args: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neurosim", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

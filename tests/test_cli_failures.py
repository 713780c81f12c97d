"""The command line: mistakes, failures and interruptions, and how each ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_kit import DIVERGES, HEAD, ONE, call, here, mistake, process, write

from neurosim import registry
from neurosim.errors import ParameterError
from neurosim.recording import RunResult

__all__ = ["here"]  # every test runs in a folder of its own


def test_whole_sentences() -> None:
    write("one.py", ONE)
    run = ("run", "one.py")
    assert mistake(*run, "-b", "nativ") == "no backend 'nativ'; did you mean 'native'?"
    assert mistake(*run, "-d", "2") == "--duration needs a unit of time: 2s or 2ms"
    assert mistake(*run, "-d", "2mV") == "--duration must be a time (s), got voltage (V): 2 mV"
    assert mistake(*run, "-b", "null", "-d", "0.15ms") == (
        "the duration is 0.15 ms, which is not a whole number of steps at dt = 0.1 ms; nearest legal: 0.1 ms or 0.2 ms"
    )
    assert mistake(*run, "-b", "null", "--threads", "0") == "threads must be a whole number of at least 1, got 0"
    assert mistake(*run, "--plot", "x.gif") == "cannot draw a '.gif' file; png, svg and pdf are known"
    assert mistake("ir", "one.py", "--after", "ordr") == (
        "no pass 'ordr'; the passes are units, expand, discretise, delays, order"
    )


def test_an_engine_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("nowhere:Engine", ("nowhere_at_all",), "pip install nowhere", "tests")
    monkeypatch.setitem(registry.BACKENDS, "absent", entry)
    assert mistake("run", "x.py", "-b", "absent") == "backend 'absent' is not installed: pip install nowhere"
    text = call("backends").stdout
    assert re.search(r"^absent +missing +– +tests", text, re.MULTILINE)
    assert "\nabsent: not installed: pip install nowhere\n" in text


def test_a_file_that_cannot_be_written_is_said_before_the_run() -> None:
    started = "raise RuntimeError('the script was read')\n"
    for option in ("-o", "--plot"):
        done = call("run", write("net.py", started), option, "none/x.png")
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr == "error: cannot write 'none/x.png': its directory does not exist; create it first\n"
    assert sorted(os.listdir()) == ["net.py"]


def test_a_run_that_diverges_keeps_what_it_had() -> None:
    write("net.py", DIVERGES)
    done = call("run", "-b", "reference", "-d", "100ms", "-o", "out.h5", "net.py")
    assert done.exit_code == 3
    assert re.match(r"error: \S.*", done.stderr) and len(done.stderr.splitlines()) == 1
    assert "wrote out.h5" in done.stdout
    assert RunResult.load("out.h5").provenance.status == "diverged"
    done = call("run", "-b", "reference", "-d", "100ms", "--json", "net.py")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["status"] == "diverged"
    assert done.stderr == f"error: {json.loads(done.stdout)['error']}\n"


def test_a_run_that_does_not_fit() -> None:
    script = HEAD.replace("(1.5 - v)", "(i - v)") + (
        "receptor = ns.Receptor('dx/dt = -x/tau', event='x += w', output='x', tau=5*ms)\n"
        "net = ns.Network('big', dt=0.1*ms)\n"
        "p = net.population('p', 10**6, cell(receptors={'e': receptor}))\n"
        "net.connect(p, p, weight=1.0, rule=ns.AllToAll())\n"
    )
    done = call("run", write("net.py", script))
    assert done.exit_code == 3, done.output
    assert re.fullmatch(
        r"about 1,000,000 M synapses, needs [\d.]+ GiB, [\d.]+ GiB free\n"
        r"error: the network needs about [\d.]+ GiB .* edges\), and [\d.]+ GiB are free: use a smaller scale.*\n",
        done.stderr,
    )


def test_faults_of_our_own_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("neurosim.run.simulate", broken)
    done = call("run", write("one.py", ONE))
    assert done.exit_code == 1
    assert done.stderr == (
        "error: neurosim failed, which is not your fault (RuntimeError: no idea); "
        "please report it with the traceback that --debug shows\n"
    )
    assert isinstance(call("run", "one.py", "--debug").exception, RuntimeError)
    assert isinstance(call("--debug", "run", "one.py").exception, RuntimeError)


def test_debug_shows_the_users_traceback() -> None:
    done = call("run", "--debug", write("net.py", "x = 1/0\n"))
    assert isinstance(done.exception, ParameterError)
    assert isinstance(done.exception.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupt_keeps_what_was_recorded(as_json: bool) -> None:
    write("net.py", ONE)
    started = process("run", "-b", "reference", "-d", "1000s", "-o", "out.h5", "net.py", *["--json"] * as_json)
    for _ in range(600):
        if list(Path.cwd().glob("out.h5.*.part")):  # the file is opened just before the first step
            break
        time.sleep(0.05)
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert re.fullmatch(r"interrupted after \S+ s of 1000 s: what was recorded is kept in out\.h5\n", err)
    result = RunResult.load("out.h5")
    assert result.provenance.status == "interrupted"
    assert 0 < result.provenance.n_steps < 10_000_000
    if as_json:
        assert json.loads(out)["status"] == "interrupted"
    else:
        assert re.search(r"^population ", out, re.MULTILINE)


def test_a_closed_pipe_is_no_error() -> None:
    line = f"{sys.executable} -m neurosim ir cuba --set n=100 | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("graph 'cuba' after the pass 'order'\n", "")

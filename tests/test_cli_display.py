"""The command line in a terminal: 80 columns, the raster, the progress bar."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np
import pytest
from cli_kit import HEAD, ONE, call, here, ran, told, write

from neurosim.cli.progress import Bar, clock
from neurosim.recording import Provenance, RunResult, Spikes

__all__ = ["here"]  # every test runs in a folder of its own


def wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > 80]


def test_everything_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["L23E", "a_population_with_a_very_long_name", "x" * 19, *(f"q{k}" for k in range(45))]
    script = HEAD + f"net = ns.Network('potjans_and_others_and_more', dt=0.1*ms, seed=2**63)\nfor k in {names}:\n"
    script += "    net.population(k, 12, cell)\n"
    script += "net.published = {'A. Author, B. Author and C. Author, table 5': dict.fromkeys(net.populations, 1.0)}\n"
    for args in (["run", "-b", "reference", "-d", "6ms", "--raster", write("net.py", script)], ["run", "-h"], ["-h"],
                 ["backends"], ["networks"], ["ir", "-h"]):  # fmt: skip
        done = call(*args)
        assert (done.exit_code, wide(done.stdout)) == (0, []), done.stderr
        assert ("a row of dots" in done.stdout) == ("--raster" in args)
    text = call("run", "-b", "null", "-d", "1ms", "net.py").stdout
    assert "and 8 smaller populations (--json and -o have all)" in text
    assert re.search(r"^a_popula\w+…", text, re.MULTILINE)
    out = json.loads(call("run", "-b", "null", "-d", "1ms", "--json", "net.py").stdout)
    assert len(out["populations"]) == 48


def test_raster() -> None:
    from neurosim.cli.raster import draw

    rng = np.random.default_rng(3)
    steps, n = 10_000, 400

    def result(**rates: float) -> RunResult:
        spikes = {}
        for name, hz in rates.items():
            at = rng.random((steps, n)) < hz * 1e-4
            spikes[name] = Spikes(*np.nonzero(at), n, 1e-4, steps)
        return RunResult(dict.fromkeys(rates, n), Provenance(dt=1e-4, n_steps=steps), spikes)

    picture = draw(result(exc=5.0, inh=10.0), 80, "utf-8")
    assert picture is not None
    lines = picture.plain.splitlines()
    assert len(lines) == 12 + 3
    assert [len(line) <= 80 for line in lines] == [True] * 15
    assert lines[0].startswith("exc ") and lines[6].startswith("inh ") and lines[12].startswith("rate ")
    assert lines[13].split() == ["0", "0.5", "1", "s"]
    note = r" +(one neuron|\d+ neurons) a row of dots, \d+ of 800; mean rate of all, highest \S+ Hz"
    assert re.fullmatch(note, lines[14])
    assert any("\u2800" < c <= "\u28ff" for c in lines[0])

    busy = draw(result(a=300.0), 80, "utf-8")  # a shorter window, for else every dot would be set
    assert busy is not None and busy.plain.splitlines()[-2].split()[0] in ("500", "800", "900")
    assert draw(result(a=0.0), 80, "utf-8") is None
    assert draw(result(a=10.0), 80, "ascii") is None


def test_raster_where_asked_for() -> None:
    write("one.py", ONE)
    assert "a row of dots" in ran("--raster", "one.py").stdout
    assert "a row of dots" not in ran("one.py").stdout  # no terminal
    assert told("--raster", "one.py")["spikes"] == 13


def test_a_terminal_gets_a_bar() -> None:
    pty = pytest.importorskip("pty")
    write("one.py", ONE)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="80")
        os.execv(sys.executable, [sys.executable, "-m", "neurosim", "run", "-b", "reference", "-d", "100ms", "one.py"])
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    text = shown.decode()
    assert "building" in text and "simulating" in text and "RTF" in text and " left" in text
    assert "a row of dots" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is back
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert not wide("\n".join(re.split(r"[\r\n]+", plain)))


def test_bar_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("neurosim.cli.progress.time.perf_counter", lambda: now[0])
    with Bar(1e-4) as bar:
        bar("build", 0, 1000, 0.0)
        bar("build", 1000, 1000, 1.0)
        for done in range(10, 1001, 10):
            now[0] += 1.0
            bar("simulate", done, 1000, now[0])
    assert capsys.readouterr().err.splitlines() == [
        "simulated 0.025 of 0.1 s in 25 s, 1:15 to go",
        "simulated 0.05 of 0.1 s in 50 s, 50 s to go",
        "simulated 0.075 of 0.1 s in 1:15, 25 s to go",
    ]


def test_clock() -> None:
    shown = {0.04: "0.0 s", 9.94: "9.9 s", 9.96: "10 s", 59.4: "59 s", 59.6: "1:00", 3725.0: "1:02:05"}
    assert {seconds: clock(seconds) for seconds in shown} == shown


SILENT = """
import neurosim as ns
from neurosim.models import LIF, DCInput, ExpCurrent, SpikeSource
from neurosim.units import ms, mV
net = ns.Network("quiet", dt=0.1*ms)
cell = LIF(receptors={"exc": ExpCurrent(tau=5*ms)})
a, b, c, d = (net.population(name, 4, cell) for name in "abcd")
never = net.population("never", 2, SpikeSource([[]*ms, []*ms]))
net.stimulate(a, DCInput(15*mV))
net.stimulate(d, DCInput(15*mV), name="dc")
net.connect(a, b, weight=1*mV)
net.record([a, b, c, d, never], "spikes")
net.record(a[:2], "v")
net.record(c, "v")
"""


def test_a_population_that_does_not_spike_is_explained() -> None:
    said = call("run", "-b", "reference", "-d", "20ms", write("net.py", SILENT)).stdout
    notes = " ".join(said[said.index("note:") :].split()).split("note: ")[1:]
    assert [note.strip() for note in notes] == [
        "'a' did not spike: v of 2 of its neurons lay between -69.93 mV and -60.52 mV, its threshold is "
        "'v >= v_th', v_th = -50 mV",
        "'b' did not spike: what is connected to it did not spike (a)",
        "'c' did not spike: nothing stimulates it, and nothing is connected to it; v was -70 mV, its threshold is "
        "'v >= v_th', v_th = -50 mV",
        "'d' did not spike: net.record(net['d'], 'v') would show how near it comes to its threshold, "
        "'v >= v_th', v_th = -50 mV",
    ]


def test_silence_that_is_none_is_not_explained() -> None:
    some = SILENT.replace('net.record([a, b, c, d, never], "spikes")', 'net.record([a[:2], never], "spikes")')
    assert "did not spike" not in call("run", "-b", "reference", "-d", "1ms", write("net.py", some)).stdout
    assert "did not spike" not in call("run", "-b", "null", "-d", "1ms", write("net.py", SILENT)).stdout
    assert "did not spike" not in call("run", "-b", "reference", "-d", "1ms", "--json", "net.py").stdout

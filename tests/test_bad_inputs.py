"""Bad input of every kind, and the whole of what neurosim says to it.

The rows lie in ``bad_inputs/*.txt``::

    ## what is wrong
    what the user writes: Python, then perhaps commands behind "$ "
    =>
    the whole message

Python stands in a file ``net.py`` of its own, after the names of ``HEAD``, and fails with the message: the error's
type, its text, and in brackets the line of ``net.py`` that is to blame. Of a command the exit code and all of stderr
are shown, and nothing may be on stdout. ``<…>`` stands for what a library or the machine puts there, on one line.

``python tests/test_bad_inputs.py`` prints every row with what is said now.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neurosim.cli.main import cli
from neurosim.errors import NeurosimError, VerifyError

ROWS = Path(__file__).with_name("bad_inputs")

HEAD = """
import json, h5py, numpy as np, neurosim as ns
from pathlib import Path
from neurosim.units import Hz, Mohm, ampere, mV, ms, nA, nS, pA, pF, second, um, volt
from neurosim.models import *
from neurosim.recording import RunResult, read_spikes

plain = ns.Cell("dv/dt = (1.5 - v)/tau", threshold="v >= 1", reset="v = 0", tau=10*ms)
net = ns.Network("net", dt=0.1*ms, seed=3)
cell = LIF(receptors={"exc": ExpCurrent(tau=5*ms), "inh": ExpCurrent(tau=10*ms)})
p = net.population("p", 4, cell)
q = net.population("q", 3, cell)

def script(text, name="net.py"):
    "Write a script of the user's: a network `net` with the populations p and q, and what `text` says."
    Path(name).write_text('''
import neurosim as ns
from neurosim.units import *
cell = ns.Cell("dv/dt = (1.5 - v)/tau", threshold="v >= 1", reset="v = 0", tau=10*ms)
net = ns.Network("net", dt=0.1*ms, seed=3)
p, q = net.population("p", 4, cell), net.population("q", 3, cell)
''' + text)

def result(name="out.h5"):
    "Write a results file."
    small = ns.Network("small", dt=0.1*ms)
    small.record(small.population("p", 2, plain), "spikes")
    return small.run(5*ms, backend="reference", output=name)

def edit(path, name, values=None, seal=None):
    "Put something else in the place of what an HDF5 file holds, and seal the file anew."
    from fuzz.damage import sealed
    with h5py.File(path, "r+") as file:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        if values is not None:
            file[name] = values
            if not isinstance(values, (h5py.ExternalLink, h5py.SoftLink)):
                file[name].attrs.update(kept)
    if seal:
        sealed(Path(path), seal)

def saved(old, new):
    "Save the network, put something else in the place of what its document holds, and seal the file anew."
    net.save("n.h5")
    with h5py.File("n.h5", "r") as file:
        text = bytes(file["network"][()]).decode()
    assert old in text
    edit("n.h5", "network", np.frombuffer(text.replace(old, new, 1).encode(), np.uint8), "neurosim network 1")

def change(path, old, new):
    "Change a text in a file."
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))

def circuit():
    "Write a circuit in SONATA."
    import sonata_kit
    sonata_kit.small(Path("."))

def graph():
    "Write a graph in NIR."
    import nir_kit
    nir_kit.write(Path("."), *nir_kit.lif_graph())
"""


@dataclass(frozen=True)
class Row:
    """One bad input: where it stands, what is written, what is said."""

    place: str
    title: str
    code: str
    commands: tuple[str, ...]
    said: str


def read(path: Path) -> list[Row]:
    """Return the rows of a file."""
    rows = []
    for part in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        given, arrow, said = rest.partition("=>\n")
        assert arrow, f"{path.name}: '{title}' has no =>"
        lines = given.splitlines()
        code = "\n".join(line for line in lines if not line.startswith("$ "))
        commands = tuple(line[2:] for line in lines if line.startswith("$ "))
        rows.append(Row(f"{path.stem}: {title}", title, code, commands, said.strip("\n")))
    return rows


def said_by(row: Row) -> str:
    """Carry a row out in the present folder, and return what is said."""
    names: dict[str, Any] = {}
    exec(compile(HEAD, "head.py", "exec"), names)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(row.code, "net.py", "exec"), names)
        except NeurosimError as error:
            assert not row.commands and not isinstance(error, VerifyError), error
            return f"{type(error).__name__}: {error}"
    assert row.commands, "nothing was refused"
    for command in row.commands:
        done = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="neurosim")
    text = "\n".join(line.rstrip() for line in done.stderr.splitlines())
    return f"exit {done.exit_code}\n{text}" + (f"\nstdout: {done.stdout}" if done.stdout else "")


def same(said: str, expected: str) -> bool:
    """Whether a text is what was expected, ``<…>`` standing for anything on a line."""
    return re.fullmatch(".*".join(map(re.escape, expected.split("<…>"))), said) is not None


ALL = [row for path in sorted(ROWS.glob("*.txt")) for row in read(path)]


def test_there_are_many_and_none_twice() -> None:
    assert len(ALL) >= 100
    assert len({row.place for row in ALL}) == len({(row.code, row.commands) for row in ALL}) == len(ALL)


@pytest.mark.parametrize("row", ALL, ids=[row.place for row in ALL])
def test_the_whole_message(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    said = said_by(row)
    assert same(said, row.said), f"{said}\n\ninstead of\n\n{row.said}"
    assert "Traceback" not in said and "not your fault" not in said


def test_a_quoted_text_does_nothing_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["run", "net\x1b[31m\u202e\udcff.py"])
    assert done.stderr == "error: cannot read 'net\\x1b[31m\\u202e\\udcff.py': there is no such file\n"


if __name__ == "__main__":
    home = Path.cwd()
    for path in [Path(arg) for arg in sys.argv[1:]] or sorted(ROWS.glob("*.txt")):
        for row in read(home / path):
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                try:
                    now = said_by(row)
                except BaseException as error:
                    now = f"!!! {type(error).__name__}: {error}"
            given = "\n".join([row.code, *(f"$ {command}" for command in row.commands)]).strip("\n")
            print(f"## {row.title}\n{given}\n=>\n{row.said if same(now, row.said) else now}\n", flush=True)
    os.chdir(home)

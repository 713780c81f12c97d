"""The code in the pages: finds the fenced blocks of a Markdown file and runs them as a reader would, top to bottom.

``python``   is executed, all blocks of a page in one namespace; a first line ``# name.py`` also writes that file, and
             the functions test_… of a file ``test_….py`` are called.
``error``    is the exact message that the python block before it ends with.
``text``     after a python block is what it printed; a line ``...`` stands for any number of lines,
             and ``...`` within a line for anything.
``console``  holds ``$ command`` lines, each followed by its output; those of ``neurosim`` and ``pytest`` are executed.
``toml``     with a first line ``# name.toml`` is written to that file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from neurosim.errors import NeurosimError

_FENCE = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/.-]+\.(?:py|toml))")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line of the page that the text starts on."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start(2)) + 1) for m in _FENCE.finditer(text)]


def run_page(page: Path, folder: Path) -> None:
    """Run a page in an empty folder (the working directory); raise AssertionError where it does not hold."""
    found = blocks(page)
    module = ModuleType(f"page_{page.stem}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    scope = vars(module)
    for k, block in enumerate(found):
        after = found[k + 1] if k + 1 < len(found) else Block("", "", 0)
        at = f"{page.name}:{block.line}"
        named = _FILE.match(block.text)
        if named:
            target = folder / named[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        if block.language == "python":
            said, message = _execute(block, folder / (named[1] if named else "net.py"), scope)
            if after.language == "error":
                assert message is not None, f"{at}: no error, though the page shows one"
                assert _plain(message) == _plain(after.text), f"{at}: the error is\n{message}"
            else:
                assert message is None, f"{at}: {message}"
            if after.language == "text":
                assert like(said, after.text), f"{at}: printed\n{said}"
        elif block.language == "console":
            for command, shown in _commands(block.text):
                if command.startswith(("neurosim ", "pytest ")):
                    said = shell(command, folder)
                    assert not shown or like(said, shown), f"{at}: $ {command} printed\n{said}"


def pretend_installed(page: Path, folder: Path) -> None:
    """Make the package whose pyproject.toml a page shows look installed: its entry points are found in the folder."""
    shown = next(tomllib.loads(b.text) for b in blocks(page) if b.language == "toml" and "[project]" in b.text)
    project = shown["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def _execute(block: Block, path: Path, scope: dict[str, Any]) -> tuple[str, str | None]:
    """Run a block of Python; return what it printed, and the message it ended with."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            exec(compile("\n" * (block.line - 1) + block.text, str(path), "exec"), scope)
            if path.name.startswith("test_"):
                for name in re.findall(r"^def (test_\w+)", block.text, re.MULTILINE):
                    scope[name]()
        except NeurosimError as e:
            return said.getvalue(), e.message
    return said.getvalue(), None


def _commands(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ (.*)$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def shell(command: str, folder: Path, check: bool = False) -> str:
    """Run one line of the command line in a folder and return what it printed; `check` asserts that it succeeds."""
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-P", "-m", *shlex.split(command)], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"$ {command}\n{said}"
    return said


def like(said: str, shown: str) -> bool:
    """Whether a text is the one shown, where a line ``...`` stands for any lines and ends of lines do not count."""
    parts = [re.escape("\n".join(part)).replace(r"\.\.\.", "[^\n]*") for part in _split(_lines(shown))]
    pattern = r"(?:.*\n)?".join(f"{part}\n" if part else "" for part in parts)
    return re.fullmatch(pattern, "\n".join(_lines(said)) + "\n", re.DOTALL) is not None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _split(lines: list[str]) -> list[list[str]]:
    """Cut a text at its lines of dots."""
    out: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "...":
            out.append([])
        else:
            out[-1].append(line)
    return out


def _plain(text: str) -> str:
    """Compare messages without regard to where lines are wrapped and indented."""
    return " ".join(text.split())

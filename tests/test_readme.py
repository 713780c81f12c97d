"""README.md: its commands, its code, its picture. (Its support table: tests/conformance/test_support.py.)"""

from __future__ import annotations

import re
from pathlib import Path

import doc_blocks
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


@pytest.mark.checkout
def test_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    doc_blocks.run_page(README, tmp_path)
    assert (tmp_path / "cuba.png").stat().st_size > 10_000


@pytest.mark.checkout
def test_commands(tmp_path: Path) -> None:
    """Every neurosim command runs; the network of the first line at a smaller scale."""
    lines = [line for b in doc_blocks.blocks(README) if b.language == "sh" for line in b.text.splitlines()]
    commands = [part for line in lines for part in line.split(" && ") if part.startswith("neurosim ")]
    assert len(commands) >= 4
    for command in commands:
        small = command.replace("scale=0.1", "scale=0.02").replace("--duration 2s", "--duration 100ms")
        doc_blocks.shell(small.replace("potjans_diesmann", "potjans_diesmann --duration 100ms"), tmp_path, check=True)
    assert (tmp_path / "raster.png").exists() and (tmp_path / "cuba.h5").exists()


@pytest.mark.checkout
def test_the_line_that_passes_all_tests_is_what_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    line = next(line for line in README.read_text(encoding="utf-8").splitlines() if line.endswith("scripts/test -n 2"))
    installed = re.search(r"pip install (?:-qq )?(-e '\.\[.*?\]' -c constraints\.txt)", ci)
    assert installed is not None and f"pip install {installed[1]}" in line
    for step in ("scripts/check", "scripts/test -n 2"):
        assert f"\n{step}\n" in ci + "\n" and f"&& {step}" in line


@pytest.mark.checkout
def test_picture() -> None:
    picture = ROOT / "docs" / "images" / "microcircuit.png"
    assert picture.stat().st_size < 300_000 and picture.read_bytes()[:4] == b"\x89PNG"

"""README.md: its commands, its code, its picture, and the support table's word that the spikes are the same."""

from __future__ import annotations

import re
from pathlib import Path

import doc_blocks
import pytest

from neurosim.compile import compile_network
from neurosim.conformance import constructs
from neurosim.registry import BACKENDS, load_backend
from neurosim.units import ms

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SAMPLE = ("linear cells, integrated exactly", "weights and delays per edge: distributions, arrays, expressions",
          "parts and unions of populations")  # fmt: skip
COMPARED = [name for name in BACKENDS if name not in ("null", "reference")]


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


@pytest.mark.parametrize("backend", COMPARED)
@pytest.mark.parametrize(
    "name", [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.full) for n in constructs.CONSTRUCTS]
)
def test_construct(name: str, backend: str) -> None:
    options = constructs.OPTIONS.get(name, {})
    build = constructs.CONSTRUCTS[name]
    if load_backend(backend).unsupported(compile_network(build(), **options)):
        return  # the table says so
    truth = build().run(20 * ms, backend="reference", **options)
    assert sum(truth.counts.values()) > 0
    assert constructs.differences(truth, build().run(20 * ms, backend=backend, **options)) == []


def test_the_comparison_sees_a_difference() -> None:
    build = constructs.CONSTRUCTS[SAMPLE[0]]
    one, other = build(), build()
    other.set_parameter("p.v_th", "-49.9mV")
    found = constructs.differences(one.run(20 * ms, backend="reference"), other.run(20 * ms, backend="reference"))
    assert "spikes of p" in found and "v of p" in found

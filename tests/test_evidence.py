"""The evidence runner: results with their hashes, going on after an interruption, and what counts as stale."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

PART = """
from pathlib import Path
SOURCES = ["neurosim/*.py"]
def calls():
    with open("calls", "a") as file:
        return file.write("1")
def run(log):
    log("begins")
    log.step("one", calls)
    if Path("fail").read_text() == "yes":
        raise RuntimeError("stopped")
    return {"n": log.step("two", lambda: 2), "passed": Path("fail").read_text() == "no"}
"""


@pytest.fixture
def main(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    loader = importlib.machinery.SourceFileLoader("evidence_runner", str(root / "scripts" / "evidence"))
    spec = importlib.util.spec_from_loader("evidence_runner", loader)
    assert spec is not None
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # beside a script without a suffix
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    for folder in ("tests/evidence", "neurosim"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tests/evidence/demo.py").write_text(PART, encoding="utf-8")
    (tmp_path / "neurosim/a.py").write_text("a = 1", encoding="utf-8")
    (tmp_path / "fail").write_text("no", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield lambda *argv: module.main(list(argv), root=tmp_path)
    sys.modules.pop("evidence_demo", None)


def test_results_and_staleness(main: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    main("--stale")
    assert capsys.readouterr().out == "evidence: demo: never run\n"
    assert main("demo") == 0
    kept = json.loads(Path("evidence/demo.json").read_text(encoding="utf-8"))
    assert kept["results"] == {"n": 2, "passed": True}
    assert set(kept["sources"]) == {"neurosim/a.py", "tests/evidence/demo.py"}
    assert not Path("build/evidence/demo.json").exists()
    assert "begins" in Path("build/evidence/demo.log").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main("--stale") == 0
    assert "demo: current" in capsys.readouterr().out
    Path("neurosim/b.py").write_text("", encoding="utf-8")
    Path("neurosim/a.py").write_text("a = 2", encoding="utf-8")
    assert main("--stale") == 0
    assert "changed: neurosim/a.py, neurosim/b.py" in capsys.readouterr().out


def test_goes_on_after_an_interruption(main: Callable[..., int]) -> None:
    Path("fail").write_text("yes", encoding="utf-8")
    assert main("demo") == 1
    assert not Path("evidence/demo.json").exists()
    Path("fail").write_text("no", encoding="utf-8")
    assert main("demo") == 0
    assert Path("calls").read_text(encoding="utf-8") == "1"  # step one was not run again


def test_starts_again_when_a_source_has_changed(main: Callable[..., int]) -> None:
    Path("fail").write_text("yes", encoding="utf-8")
    assert main("demo") == 1
    Path("neurosim/a.py").write_text("a = 2", encoding="utf-8")
    Path("fail").write_text("no", encoding="utf-8")
    assert main("demo") == 0
    assert Path("calls").read_text(encoding="utf-8") == "11"


def test_a_part_that_does_not_pass_is_kept_and_fails(main: Callable[..., int]) -> None:
    Path("fail").write_text("half", encoding="utf-8")
    assert main("demo") == 1
    assert json.loads(Path("evidence/demo.json").read_text(encoding="utf-8"))["results"]["passed"] is False


def test_unknown_part(main: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main("dmo")
    assert "no part named dmo; known: demo" in capsys.readouterr().err

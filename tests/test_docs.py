"""The pages of docs/: blocks of code run and print what is shown, generated parts are current, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import doc_blocks
import numpy as np
import pytest
from test_fly_brain import write_brain

from neurosim.ir.ops import PHASES
from neurosim.ir.verify import STAGES
from neurosim.lang.network import Network
from neurosim.models.networks.fly_circuit import read_sugar_spikes

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
WITH_CODE = [p for p in PAGES if any(b.language == "python" for b in doc_blocks.blocks(p))]
NEEDS = {"for_brian2_users": [pytest.mark.engine("brian2")],
         "for_pynn_users": [pytest.mark.engine("brian2", "nest")],
         "nest": [pytest.mark.engine("nest")], "models": [pytest.mark.engine("torch")],
         "training": [pytest.mark.engine("snntorch")], "encoding": [pytest.mark.engine("snntorch")],
         "for_snntorch_users": [pytest.mark.engine("snntorch")], "conversion": [pytest.mark.engine("torch")],
         "connectomes": [pytest.mark.shared_data("fly_optic_lobe", "fly_mushroom_body", "fly_brain_reference")],
         }  # fmt: skip
"""Page -> marks of what its code needs."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory whose modules are found, and forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if name.startswith("page_") or (place and Path(place).is_relative_to(tmp_path)):
            del sys.modules[name]


def download(folder: Path, shared: Path) -> None:
    """Write what is downloaded: wheels with two connectomes in them, published spikes, and a brain (a made-up one)."""
    for name, member, file in (
        ("flyvis-1.2.0", "flyvis/connectome/fib25-fib19_v2.2.json", "fly_optic_lobe/fib25-fib19_v2.2.json"),
        ("fly_ftl_extract-0.1.0", "fly_ftl_extract/data/mb_fafb783.npz", "fly_mushroom_body/mb_fafb783.npz"),
    ):
        with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.write(shared / file, member)
    import pyarrow as pa
    import pyarrow.parquet as parquet

    place = folder / "results" / "example"
    place.mkdir(parents=True)
    spikes = read_sugar_spikes(shared / "fly_brain_reference" / "shiu_sugar_spikes.npz")
    for experiment in spikes.experiments:
        trials = spikes.of([experiment])
        table = {"t": np.concatenate([t.steps for t in trials]) * 1e-4,
                 "trial": np.repeat(np.arange(len(trials)), [len(t.steps) for t in trials]),
                 "flywire_id": spikes.ids[np.concatenate([t.cells for t in trials])]}  # fmt: skip
        parquet.write_table(pa.table(table), place / f"{experiment}.parquet")
    for made, name in zip(write_brain(folder, [0], [1], [2], spikes.ids),
                          ("connectivity_630_final.parquet", "completeness_630_final.csv"), strict=True):  # fmt: skip
        made.rename(folder / f"2023_03_23_{name}")


def generator() -> ModuleType:
    """Load scripts/docs."""
    loader = SourceFileLoader("scripts_docs", str(ROOT / "scripts" / "docs"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [pytest.param(p, id=p.stem, marks=NEEDS.get(p.stem, ())) for p in WITH_CODE])
def test_code_of_a_page(page: Path, folder: Path, full: bool, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not full:  # the spikes are the same, and every small cell would have to be compiled
        assert Network.run.__kwdefaults__ is not None
        monkeypatch.setitem(Network.run.__kwdefaults__, "backend", "reference")
    if page.stem == "add_a_backend":
        doc_blocks.pretend_installed(page, folder)
    if page.stem == "connectomes":
        download(folder, shared)
    doc_blocks.run_page(page, folder)


def test_every_page_but_the_two_indexes_has_code() -> None:
    assert {p.stem for p in PAGES} - {p.stem for p in WITH_CODE} <= {"index", "ir", "semantics"}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generator().renew(text) == text, "run scripts/docs"


def test_phases_and_stages_of_the_page() -> None:
    page = (ROOT / "docs" / "ir.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d) \| (\w+) \|", page, re.MULTILINE) == [(str(k), name) for k, name in enumerate(PHASES)]
    checks = page.partition("## What the verifier checks")[2]
    assert re.findall(r"^\| (\w+) \|", checks, re.MULTILINE)[1:] == list(STAGES)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


def test_index_names_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [p.name for p in PAGES if p.stem != "index" and f"({p.name})" not in text] == []


# -- the tool itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "shown", "same"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \nb\n\n", "a\nb", True),
        ("a\nb\nc\n", "a\n...\nc", True),
        ("a\nc\n", "a\n...\nc", True),
        ("a\nb\n", "...\nb", True),
        ("took 3 s, done\n", "took ... s, done", True),
        ("a\nb\nc\n", "a\nc", False),
        ("a\nb\n", "a", False),
        ("x\ny\n", "took ...", False),
    ],
)
def test_like(said: str, shown: str, same: bool) -> None:
    assert doc_blocks.like(said, shown) == same


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nprint(1)\n```\n```text\n2\n```\n", "printed"),
        ("```python\nx = 1\n```\n```error\nno\n```\n", "no error"),
        ("```python\nimport neurosim as ns\nns.network('nix')\n```\n", "no network"),
        ("```python\nimport neurosim as ns\nns.network('nix')\n```\n```error\nother\n```\n", "the error is"),
        ("```python\n# test_x.py\ndef test_x():\n    assert False, 'called'\n```\n", "called"),
    ],
)
def test_a_page_that_does_not_hold(text: str, complaint: str, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        doc_blocks.run_page(page, folder)

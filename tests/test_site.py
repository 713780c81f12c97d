"""The site: it builds without a warning, and nothing on its pages leads nowhere or comes from elsewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import doc_blocks
import pytest

import neurosim as ns
from neurosim import models
from neurosim.cli.main import cli
from neurosim.conformance.cases import BY_NAME

pytestmark = [pytest.mark.checkout, pytest.mark.engine("sphinx")]
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@dataclass
class Page:
    """What a page holds: anchors, links, what it loads, and its text."""

    anchors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    text: str = ""


class Reader(HTMLParser):
    """Collects a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.page.anchors += [value for key in ("id", "name") if (value := found.get(key)) and tag != "meta"]
        if tag == "a" and found.get("href"):
            self.page.links.append(str(found["href"]))
        elif tag in ("link", "script", "img", "iframe", "source", "object", "use"):
            self.page.loads += [str(found[key]) for key in ("href", "src", "srcset", "data") if found.get(key)]

    def handle_data(self, data: str) -> None:
        self.page.text += data


def read(path: Path) -> Page:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def build(out: Path) -> subprocess.CompletedProcess[str]:
    """Build as scripts/site does, with nothing but this checkout and without a proxy to anywhere."""
    environment = {**os.environ, "no_proxy": "*", "PYTHONWARNINGS": ""}
    command = [sys.executable, str(ROOT / "scripts" / "site"), "--out", str(out)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    done = build(out)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}


def broken(pages: dict[str, Page], site: Path) -> list[str]:
    """Every link, picture, script and anchor of the pages that is not there."""
    out = []
    for name, page in pages.items():
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith("data:"):
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path))) if parts.path else name
            if not (site / path).is_file():
                out.append(f"{name}: {target}: no such file")
            elif parts.fragment and path in pages and unquote(parts.fragment) not in pages[path].anchors:
                out.append(f"{name}: {target}: no such anchor")
    return out


def test_nothing_leads_nowhere(pages: dict[str, Page], site: Path) -> None:
    assert sum(len(page.links) for page in pages.values()) > 5000
    # Furo's template has a link to the top of every page, which browsers know without an anchor.
    assert [line for line in broken(pages, site) if not line.endswith("#: no such anchor")] == []


def test_a_page_loads_nothing_from_elsewhere(pages: dict[str, Page], site: Path) -> None:
    assert [
        f"{n}: {u}" for n, page in pages.items() for u in page.loads if urlsplit(u).scheme not in ("", "data")
    ] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles and not [u for text in styles for u in re.findall(r"url\(['\"]?((?:https?:)?//[^)'\"]+)", text)]
    assert not [u for text in styles for u in re.findall(r"@import\s+[^;]*//[^;]*", text)]


def test_links_to_elsewhere_are_those_of_the_pages(pages: dict[str, Page]) -> None:
    """No template adds its own, and none names a machine that is not public."""
    hosts = {urlsplit(link).netloc for page in pages.values() for link in page.links if urlsplit(link).netloc}
    written = {h for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
               for h in re.findall(r"https?://([\w.-]+)", path.read_text(encoding="utf-8"))}  # fmt: skip
    assert hosts - written <= {"github.com", "pradyunsg.me"}  # who made the theme, in its footer


def test_pages_are_there(pages: dict[str, Page]) -> None:
    wanted = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    wanted |= {"index", "documentation", "gallery", "engines", "api", "commands", "contributing", "changelog", "search"}
    assert {f"{name}.html" for name in wanted} <= set(pages)
    start = pages["index.html"]
    for name in ("tutorial", "for_brian2_users", "for_pynn_users", "gallery", "cells", "semantics", "api"):
        assert f"{name}.html" in start.links
    assert "several threads, the same spikes on any number" in pages["engines.html"].text


def test_the_gallery_shows_every_example(pages: dict[str, Page], site: Path) -> None:
    page = pages["gallery.html"]
    for script in EXAMPLES:
        text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
        assert text is not None
        plain = " ".join(text.split("\n\n")[0].split()).replace("`", "")
        assert plain in " ".join(page.text.split()), script.name
        assert f"source/examples/{script.name}.html" in page.links
    shown = [u for u in page.loads if u.startswith("_images/")]
    assert len(shown) == len(EXAMPLES)
    for picture in shown:
        assert (site / picture).read_bytes()[:4] == b"\x89PNG" and (site / picture).stat().st_size > 8_000


def test_every_case_of_semantics_leads_to_its_source(pages: dict[str, Page], site: Path) -> None:
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    named = [name for name in re.findall(r"\[`(\w+)`\]", text) if name in BY_NAME]
    assert len(named) > 80
    for name in named:
        anchor = f"case-{name.replace('_', '-')}"
        (link,) = {u for u in pages["semantics.html"].links if u.endswith(f"#{anchor}")}
        path = link.partition("#")[0]
        assert path.startswith("source/neurosim/conformance/cases/")
        html = (site / path).read_text(encoding="utf-8")
        shown = re.search(rf'id="{anchor}".*?</pre>', html, re.DOTALL)
        assert shown is not None
        plain = re.sub(r"<[^>]+>", "", shown[0])
        assert f"def {name}(" in plain and plain.count("@case(") + plain.count("@refusal(") == 1, name


def test_every_public_name_is_in_the_reference(pages: dict[str, Page]) -> None:
    for name in ns.__all__:
        assert f"neurosim.{name}" in pages["api/neurosim.html"].anchors
    listed = pages["api/neurosim.models.html"]
    for name in models.__all__:
        assert f"neurosim.models.{name}" in listed.anchors or f"../cells.html#declared-{name.lower()}" in listed.links
    for module, names in {"neurosim.analysis": ("cv_isi", "rate"), "neurosim.pynn": ("setup", "Population"),
                          "neurosim.recording": ("RunResult", "Spikes"), "neurosim.errors": ("DimensionError",),
                          "neurosim.models.titans": ("NeuralMemory",)}.items():  # fmt: skip
        for name in names:
            assert f"{module}.{name}" in pages[f"api/{module}.html"].anchors
    assert all(f"neurosim {name}" in pages["commands.html"].text for name in cli.commands)


def test_code_of_the_start_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    doc_blocks.run_page(ROOT / "docs" / "site" / "start.md", tmp_path)


def test_the_search_knows_the_pages(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index[index.index("{") : index.rindex("}") + 1])
    assert {"semantics", "cells", "api/neurosim"} <= set(found["docnames"]) and "refractori" in found["terms"]


# -- the tools themselves --------------------------------------------------------------------------------------------


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    links = "".join(f'<a href="{target}">x</a>' for target in ("#a", "#b", "gone.html", "two.html#x"))
    text = f'<p id="a">{links}<img src="p.png">'
    (tmp_path / "one.html").write_text(text, encoding="utf-8")
    (tmp_path / "two.html").write_text("<p>", encoding="utf-8")
    found = broken({name: read(tmp_path / name) for name in ("one.html", "two.html")}, tmp_path)
    assert found == ["one.html: #b: no such anchor", "one.html: gone.html: no such file",
                     "one.html: two.html#x: no such anchor", "one.html: p.png: no such file"]  # fmt: skip


BROKEN = {"[one](gone.md)": "gone.md", "[one](two.md#nowhere)": "nowhere", "[one](#case-nix)": "case-nix",
          "![one](gone.png)": "gone.png", "```{nix}\n```": "nix"}  # fmt: skip
"""What a page might hold -> what is said of it."""


@pytest.mark.parametrize("texts", [("[one](two.md) and [two](two.md#there)",), tuple(BROKEN)], ids=["whole", "broken"])
def test_a_page_that_does_not_hold_fails_the_build(texts: tuple[str, ...], tmp_path: Path) -> None:
    pages, script = tmp_path / "pages", ROOT / "scripts" / "site"
    (pages / "static").mkdir(parents=True)
    (pages / "conf.py").write_bytes((ROOT / "docs" / "site" / "conf.py").read_bytes())
    text = "\n\n".join(["# One", *texts, "```{toctree}\ntwo\n```\n"])
    (pages / "index.md").write_text(text, encoding="utf-8")
    (pages / "two.md").write_text("# Two\n\n## There\n\ntext\n", encoding="utf-8")
    render = (
        "import pathlib, runpy, sys; sys.exit(runpy.run_path(sys.argv[1])['render'](*map(pathlib.Path, sys.argv[2:])))"
    )
    done = subprocess.run([sys.executable, "-c", render, str(script), str(pages), str(tmp_path / "out")],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode == 0) == ("" == done.stderr) == (texts != tuple(BROKEN)), done.stderr
    assert [said for text, said in BROKEN.items() if text in texts and said not in done.stderr] == []


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    import stage as module

    yield module, module.Stage(tmp_path)
    for name in ("stage", "api", "gallery", "pictures", "conf"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("tutorial.md", "tutorial.md"),
        ("semantics.md#time", "semantics.md#time"),
        ("index.md", "documentation.md"),
        ("../README.md", "engines.md"),
        ("../CONTRIBUTING.md", "contributing.md"),
        ("../examples", "gallery.md"),
        ("../examples/", "gallery.md"),
        ("../examples/02_cuba.py", "source/examples/02_cuba.py.md"),
        ("../neurosim/ir/ops.py", "source/neurosim/ir/ops.py.md"),
        ("images/dendrites.png", "images/dendrites.png"),
        ("https://docs.python.org/3/", "https://docs.python.org/3/"),
        ("#here", "#here"),
    ],
)
def test_links_are_led_to_their_places(link: str, there: str, stage) -> None:
    assert stage[1].rewritten(f"a [b]({link}) c", "docs/compare.md", "compare.md") == f"a [b]({there}) c"
    fenced = f"```python\n[b]({link})\n```\n"
    assert stage[1].rewritten(fenced, "docs/compare.md", "compare.md") == fenced


def test_the_name_of_a_page_becomes_its_title(stage) -> None:
    for text, there in {
        "see [loops.md](loops.md#many-trials)": "see [](loops.md#many-trials)",
        "[CONTRIBUTING.md](../CONTRIBUTING.md)": "[](contributing.md)",
        "[the loops](loops.md)": "[the loops](loops.md)",
    }.items():
        assert stage[1].rewritten(text, "docs/compare.md", "compare.md") == there


def test_docstrings_are_taken_as_they_are_meant(stage) -> None:
    import conf

    for line, there in {
        "|x| in [B, *] and (B, *size)": r"\|x\| in [B, \*] and (B, \*size)",
        "``a | b`` and *this* and **that**": "``a | b`` and *this* and **that**",
        ">>> 0.1 * ms | 1": ">>> 0.1 * ms | 1",
        r":math:`\eta S_{t-1} - \theta\nabla\ell`": "``ηS_{t-1} - θ∇ℓ``",
    }.items():
        lines = [line]
        conf.escape(None, "function", "f", None, None, lines)
        assert lines == [there]
    with pytest.raises(ValueError, match="f: the site has no letter for zeta"):
        conf.escape(None, "function", "f", None, None, [r":math:`\zeta`"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](../neurosim/nix.py)", r"docs/x.md: there is no 'neurosim/nix.py' in the repository"),
        ("[a](../../elsewhere.md)", r"docs/x.md: the link to '../../elsewhere.md' leaves the repository"),
    ],
)
def test_links_that_cannot_be_led_anywhere(text: str, complaint: str, stage) -> None:
    module, staged = stage
    with pytest.raises(module.SiteError, match=re.escape(complaint)):
        staged.rewritten(text, "docs/x.md", "x.md")


def test_a_case_that_is_not_there(stage) -> None:
    module, staged = stage
    assert module.with_cases("a [`stamp`].", staged) == "a \\[[`stamp`](#case-stamp)\\]."
    with pytest.raises(module.SiteError, match="semantics.md names cases that are not there: nix"):
        module.with_cases("a [`stamp`] [`nix`]", staged)


def test_a_file_of_cases_is_shown_whole(stage) -> None:
    """Cut into pieces by case, with nothing lost and the numbers of the lines right."""
    module, _ = stage
    path = "neurosim/conformance/cases/cells.py"
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    shown = {}
    for first, piece, _name in module._pieces(path, "\n".join(lines)):
        shown.update(enumerate(piece, first))
    assert {k: line for k, line in enumerate(lines, 1) if line.strip()} == {k: v for k, v in shown.items() if v.strip()}

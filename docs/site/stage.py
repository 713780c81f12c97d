"""The pages of the site, written into one folder for Sphinx: docs/, what is generated, and the sources they point to.

In the repository a page links to others, to ``../README.md``, ``../examples`` and to files of the package. On the site
every such link leads to a place of its own: a page, an entry of the gallery, or a page that shows the file's text.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).resolve().parent

PAGES = {"docs/index.md": "documentation.md", "README.md": "engines.md", "CONTRIBUTING.md": "contributing.md",
         "CHANGELOG.md": "changelog.md", "examples": "gallery.md"}  # fmt: skip
"""Where on the site something of the repository is, if not under its own name."""

CASES = "neurosim/conformance/cases/"
_FENCE = re.compile(r"^(```+|~~~+).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_NAMED = re.compile(r"\[[\w./-]+\.md\](?=\([\w./-]+\.md[#)])")
_CASE = re.compile(r"\[`(\w+)`\](?!\()")
_LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".cfg": "ini"}


class SiteError(Exception):
    """Something that a page promises is not there."""


@dataclass
class Stage:
    """The folder of pages, and the files whose text is to be shown."""

    folder: Path
    shown: dict[str, None] = field(default_factory=dict)  # in the order of their first mention

    def write(self, name: str, text: str) -> None:
        """Write a page."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def place(self, path: str, anchor: str = "") -> str:
        """Return where on the site a path of the repository is; a file that is no page is shown from now on."""
        path = path.rstrip("/")
        if path in PAGES:
            return PAGES[path] + anchor
        if path.startswith("docs/"):
            return path.removeprefix("docs/") + anchor
        if not (ROOT / path).exists():
            raise SiteError(f"there is no '{path}' in the repository")
        self.shown.setdefault(path)
        return f"source/{path}.md" + anchor

    def rewritten(self, text: str, origin: str, page: str) -> str:
        """Return a page with its links led to their places; ``origin`` and ``page`` are where it was and where it is.

        A link whose text is the name of a page gets the title of what it leads to.
        """

        def link(found: re.Match[str]) -> str:
            target, mark, anchor = found[2].partition("#")
            if not target or ":" in target:
                return found[0]
            path = os.path.normpath(os.path.join(os.path.dirname(origin), target))
            if path.startswith(".."):
                raise SiteError(f"{origin}: the link to '{found[2]}' leaves the repository")
            try:
                there = self.place(path.replace(os.sep, "/"), mark + anchor)
            except SiteError as e:
                raise SiteError(f"{origin}: {e}") from None
            return found[1] + _relative(there, page) + found[3]

        return outside_code(text, lambda part: _NAMED.sub("[]", _LINK.sub(link, part)))

    def copy(self, origin: str, change: Callable[[str], str] = lambda text: text) -> None:
        """Bring a page of the repository to the site."""
        page = PAGES.get(origin, origin.removeprefix("docs/"))
        text = (ROOT / origin).read_text(encoding="utf-8")
        self.write(page, self.rewritten(change(text), origin, page))


def _relative(there: str, page: str) -> str:
    return os.path.relpath(there, os.path.dirname(page) or ".").replace(os.sep, "/")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a text with a change made to all but its fenced blocks."""
    out, at = [], 0
    for fence in _FENCE.finditer(text):
        out += [change(text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*out, change(text[at:])])


# -- semantics.md: every name in brackets leads to its case ----------------------------------------------


def with_cases(text: str, stage: Stage) -> str:
    """Return the page with every [`name`] of a case linked to the source of that case."""
    from neurosim.conformance.cases import BY_NAME

    unknown: list[str] = []

    def link(found: re.Match[str]) -> str:
        case = BY_NAME.get(found[1])
        if case is None:
            unknown.append(found[1])
            return found[0]
        stage.place(_file_of(case.build))
        return f"\\[[`{found[1]}`](#{anchor_of(case.name)})\\]"

    text = outside_code(text, lambda part: _CASE.sub(link, part))
    if unknown:
        raise SiteError(f"semantics.md names cases that are not there: {', '.join(unknown)}")
    return text


def with_targets(text: str) -> str:
    """Return the page of declarations with a target at each of them, for the reference of names to link to."""
    return re.sub(r"^### (\w+)$", r"(declared-\1)=\n### \1", text, flags=re.MULTILINE)


def anchor_of(case: str) -> str:
    """Return the anchor at the source of a case."""
    return f"case-{case.replace('_', '-')}"


def _file_of(function: Callable[..., object]) -> str:
    return CASES + Path(inspect.getfile(function)).name


# -- files of the repository, as pages ------------------------------------------------------------------


def source_page(path: str, stage: Stage) -> str:
    """Return the page that shows a file, or the files of a folder."""
    if (ROOT / path).is_dir():
        rows = [f"- [`{name}`]({_relative(stage.place(name), f'source/{path}.md')})" for name in _files(path)]
        return "\n".join(["---", "orphan: true", "---", "", f"# `{path}/`", "", *rows, ""])
    text = (ROOT / path).read_text(encoding="utf-8")
    language = _LANGUAGES.get(PurePosixPath(path).suffix, "text")
    out = ["---", "orphan: true", "---", "", f"# `{path}`", ""]
    for first, lines, case in _pieces(path, text):
        if case is not None:
            out += [f"({anchor_of(case)})=", ""]
        out += [f"````````{{code-block}} {language}", f":lineno-start: {first}", "", *lines, "````````", ""]
    return "\n".join(out)


def _files(folder: str) -> list[str]:
    """Return the text files of a folder that git would keep, by name."""
    found = sorted(p for p in (ROOT / folder).iterdir() if p.suffix in _LANGUAGES and p.is_file())
    return [f"{folder}/{p.name}" for p in found]


def _pieces(path: str, text: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Cut a file of cases after each case; yield first line, lines, and the name of the case that they are.

    The check of a case stands before the case, so it belongs to the same piece.
    """
    lines = text.splitlines()
    ends = _case_ends(text) if path.startswith(CASES) else {}
    first = 0
    for end in [*sorted(ends), len(lines)]:
        while first < end and not lines[first].strip():
            first += 1
        if first < end:
            yield first + 1, lines[first:end], ends.get(end)
        first = end


def _case_ends(text: str) -> dict[int, str]:
    """Return the last line of every function that makes a case -> the case."""
    from neurosim.conformance.cases import BY_NAME

    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.end_lineno or 0: node.name for node in functions if node.name in BY_NAME}


# -- all of it ------------------------------------------------------------------


def section(text: str, title: str) -> str:
    """Return a section of a page, its heading included."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SiteError(f"README.md has no section '{title}'")
    return found[0]


def stage_all(folder: Path, pictures: Path) -> None:
    """Write all pages into an empty folder; ``pictures`` holds those of the gallery."""
    import api
    import gallery

    stage = Stage(folder)
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    shutil.copy(SITE / "conf.py", folder / "conf.py")
    shutil.copytree(SITE / "static", folder / "static")

    start = (SITE / "start.md").read_text(encoding="utf-8")
    stage.write("index.md", stage.rewritten(start, "docs/site/start.md", "index.md"))
    changes: dict[str, Callable[[str], str]] = {
        "semantics.md": lambda text: with_cases(text, stage),
        "cells.md": with_targets,
    }
    for path in sorted((ROOT / "docs").glob("*.md")):
        stage.copy(f"docs/{path.name}", changes.get(path.name, lambda text: text))
    stage.copy("CONTRIBUTING.md")
    stage.copy("CHANGELOG.md")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    engines = section(readme, "What runs where") + section(readme, "How fast it is")
    stage.write("engines.md", "# Engines\n\n" + stage.rewritten(engines, "README.md", "engines.md"))
    stage.write("gallery.md", gallery.page(stage, pictures))
    for name, text in api.pages():
        stage.write(name, text)
    done: set[str] = set()
    while left := [path for path in stage.shown if path not in done]:  # a folder shows its files
        for path in left:
            stage.write(f"source/{path}.md", source_page(path, stage))
            done.add(path)

"""The gallery: every example with its picture, the first sentence of its docstring, and its text."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pictures

if TYPE_CHECKING:
    from stage import Stage

INTRODUCTION = """\
# Examples

Scripts of one page each, in reading order: `python examples/01_one_neuron.py` in a checkout prints the numbers that its
docstring promises, and the tests see whether it does. The pictures show what they find.
"""

TITLES = {"02": "CUBA", "03": "COBA", "04": "Brunel's regimes", "06": "A cell of one's own", "08": "Distance"}
"""Where the name of the file is no good title."""


def page(stage: Stage, drawn: Path) -> str:
    """Return the page; its pictures are those kept in docs/images, and those drawn for this build."""
    out = [INTRODUCTION]
    for number in pictures.numbers():
        script = pictures.example(number)
        path = f"examples/{script.name}"
        title = TITLES.get(number) or script.stem[3:].replace("_", " ").capitalize()
        out += [
            ":::{container} entry",
            "",
            f"[![{title}]({_picture(number, stage, drawn)})]({stage.place(path)})",
            "",
            f"**[{number} · {title}]({stage.place(path)})**",
            "",
            sentence(script),
            ":::",
            "",
        ]
    return "\n".join(out)


def sentence(script: Path) -> str:
    """Return the first paragraph of a script's docstring, which is a sentence."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{script.name} has no docstring for the gallery to show")
    return " ".join(text.split("\n\n")[0].split())


def _picture(number: str, stage: Stage, drawn: Path) -> str:
    kept = pictures.KEPT.get(number)
    if kept is not None:
        return f"images/{kept}"
    folder = stage.folder / "gallery"
    folder.mkdir(exist_ok=True)
    shutil.copy(drawn / f"{number}.png", folder)
    return f"gallery/{number}.png"


def draw_missing(folder: Path) -> None:
    """Draw what is not kept in docs/images and not in the folder, or older there than its script."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in pictures.numbers():
        target = folder / f"{number}.png"
        made_by = (pictures.example(number), Path(pictures.__file__))
        fresh = target.exists() and all(target.stat().st_mtime > path.stat().st_mtime for path in made_by)
        if number not in pictures.KEPT and not fresh:
            print(f"picture of {pictures.example(number).name}", flush=True)
            pictures.make(number, target)

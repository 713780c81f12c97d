"""What a mutant is, and planting it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

MAPPED = ("backends", "models", "hardware")
"""Folders of the repository that are installed inside the package."""


class MutantError(Exception):
    """A mutant does not fit the source, or a run of the suite says nothing about it."""


@dataclass(frozen=True)
class Mutant:
    """A planted fault.

    Attributes
    ----------
    name : str
        Its name.
    breaks : str
        One sentence: what is wrong now.
    file : str
        Path from the repository's root.
    old, new : str
        The text that is replaced, and the one that stands there instead.
    target : str
        Where the suite runs, as ``neurosim compare`` writes it: ``native``, ``brian2:mode=numpy``. On ``reference``
        only the cases count that were worked out by hand, since nothing else is compared with anything.
    first : tuple of str
        Names of tests that are likely to notice, to be run first; the verdict does not depend on them.
    count, occurrence : int
        How often the old text stands in the file, and which of them is replaced, counted from 1.
    more : tuple of (str, str)
        Further texts of the same file, once each, and what stands there instead.
    equivalent : str
        Why no run can tell it from the original, where that is so; then the suite has to pass.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    target: str
    first: tuple[str, ...] = ()
    count: int = 1
    occurrence: int = 1
    more: tuple[tuple[str, str], ...] = ()
    equivalent: str = ""


def mutated(mutant: Mutant, root: Path) -> str:
    """Return the file's text with the fault in it.

    Parameters
    ----------
    root : Path
        Of the repository.

    Raises
    ------
    MutantError
        The old text stands there another number of times than declared, nothing changes, or Python cannot read it.
    """
    path = root / mutant.file
    if not path.is_file():
        raise MutantError(f"mutant '{mutant.name}': there is no file {mutant.file}")
    before = path.read_text(encoding="utf-8")
    found = before.count(mutant.old)
    if found != mutant.count:
        raise MutantError(
            f"mutant '{mutant.name}': its text stands {found} times in {mutant.file}, not {mutant.count}; the source "
            f"has changed, so write the mutant anew:\n{mutant.old}"
        )
    if not 1 <= mutant.occurrence <= mutant.count:
        raise MutantError(f"mutant '{mutant.name}': occurrence {mutant.occurrence} of {mutant.count}")
    pieces = before.split(mutant.old)
    text = mutant.old.join(pieces[: mutant.occurrence]) + mutant.new + mutant.old.join(pieces[mutant.occurrence :])
    for old, new in mutant.more:
        if text.count(old) != 1:
            raise MutantError(
                f"mutant '{mutant.name}': this text stands {text.count(old)} times in {mutant.file}, not once:\n{old}"
            )
        text = text.replace(old, new)
    if text == before:
        raise MutantError(f"mutant '{mutant.name}' changes nothing in {mutant.file}")
    try:
        changed = ast.dump(ast.parse(text)) != ast.dump(ast.parse(before))
    except SyntaxError as e:
        raise MutantError(f"mutant '{mutant.name}' leaves {mutant.file} unreadable: {e}") from e
    if not changed:
        raise MutantError(f"mutant '{mutant.name}' changes nothing but the look of {mutant.file}")
    return text


def installed(file: str) -> str:
    """Return where a file of the repository lies in the installed package."""
    folder = file.split("/", 1)[0]
    return f"neurosim/{file}" if folder in MAPPED else file

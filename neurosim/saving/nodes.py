"""A document that is not believed: each step into it says what has to be there, and names the place where it is not.

Whatever is read is marked, so that a member that nobody asked for, or an array that nothing refers to, is found: a
reader that skips what it does not know would build another network than was saved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

MOST_BYTES = 64 << 20
"""Largest document; arrays are not in it."""

MOST_LEVELS = 40
"""Deepest nesting; a network has about a dozen levels."""

MOST_LETTERS = 10_000
"""Longest name, note or reference."""

TYPES = {"values": "<f8", "indices": "<i8", "edges": "<u4"}
"""What an array holds -> its type in the file."""


class DocumentError(Exception):
    """What is wrong with a document, and where."""


class Node:
    """A value in a document, and its place: ``populations[0].cell.params.tau_m``."""

    def __init__(self, value: Any, path: str, arrays: Arrays) -> None:
        self.value, self.path, self.arrays = value, path, arrays

    def fail(self, what: str) -> NoReturn:
        """Refuse the value: ``what`` completes "populations[0].n …"."""
        raise DocumentError(f"{self.path} {what}")

    @property
    def shown(self) -> str:
        """The value in a few characters."""
        text = ascii(self.value) if isinstance(self.value, str) else json.dumps(self.value)
        return text if len(text) <= 40 else f"{text[:39]}…"

    def into(self, key: str | int) -> Node:
        """Step into an object or a list."""
        if isinstance(key, int):
            step = f"[{key}]"
        else:
            step = f".{key}" if key.isidentifier() and key.isascii() and len(key) < 60 else f"[{ascii(key)[:60]}]"
        return Node(self.value[key], (self.path + step).removeprefix("."), self.arrays)

    def members(self) -> dict[str, Node]:
        """Return the members of an object whose names are the user's, in their order."""
        if not isinstance(self.value, dict):
            self.fail(f"is {self.shown}, not an object")
        return {key: self.into(key) for key in self.value}

    def object(self, needs: tuple[str, ...], may: tuple[str, ...] = ()) -> dict[str, Node]:
        """Return the members of an object whose names are the format's; none may lack, and none may be unknown."""
        found = self.members()
        for key in needs:
            if key not in found:
                self.fail(f"lacks '{key}'")
        for key, node in found.items():
            if key not in needs and key not in may:
                node.fail("is not known to this version of neurosim")
        return found

    def items(self) -> list[Node]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            self.fail(f"is {self.shown}, not a list")
        return [self.into(k) for k in range(len(self.value))]

    def text(self) -> str:
        """Return text that the grammar reads, or that is compared with what is known."""
        if not isinstance(self.value, str):
            self.fail(f"is {self.shown}, not text")
        return self.value

    def label(self) -> str:
        """Return text that a person reads: what a terminal would obey, or cannot show, is refused."""
        found = self.text()
        wrong = unshown(found)
        if wrong:
            self.fail(wrong)
        return found

    def choice(self, *known: str) -> str:
        """Return one of the known words."""
        if self.text() not in known:
            self.fail(f"is {self.shown}, and not one of {', '.join(known)}")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"is {self.shown}, not true or false")
        return self.value

    def number(self) -> float | int:
        """Return a number; that it is finite has been seen to. A whole one stays whole."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            self.fail(f"is {self.shown}, not a number")
        if isinstance(self.value, int) and abs(self.value) > 1 << 64:
            self.fail(f"is {self.shown}, beyond all sizes")
        return self.value

    def whole(self, least: int, most: int) -> int:
        """Return a whole number of a range."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            self.fail(f"is {self.shown}, not a whole number from {least} to {most}")
        return self.value

    def array(self, what: str, ndim: int = 1) -> np.ndarray:
        """Return the array that ``{"array": k}`` refers to."""
        return self.arrays.take(self.object(("array",))["array"], what, ndim)


class Arrays:
    """The arrays of a file by number; each belongs to one place of the document."""

    def __init__(self, held: Mapping[int, np.ndarray]) -> None:
        self.held = dict(held)
        self.open = set(self.held)

    def take(self, node: Node, what: str, ndim: int) -> np.ndarray:
        """Return an array of numbers of a kind, if it is one and nobody else has taken it."""
        k = node.whole(0, 2**53)
        if k not in self.held:
            node.fail(f"refers to array {k}, which is not in the file")
        if k not in self.open:
            node.fail(f"refers to array {k}, which belongs to something else already")
        array = self.held[k]
        if array.dtype != np.dtype(TYPES[what]) or array.ndim != ndim:
            node.fail(f"refers to an array of {array.dtype} with {array.ndim} axes, and has to be {TYPES[what]} "
                      f"with {ndim}")  # fmt: skip
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            node.fail("refers to an array with values that are not finite")
        self.open.discard(k)
        return array

    def all_taken(self) -> None:
        """Refuse an array that nothing refers to."""
        if self.open:
            raise DocumentError(f"arrays/{min(self.open)} belongs to nothing")


def unshown(text: str) -> str | None:
    """Say why a text is none for people; None if it is."""
    if len(text) > MOST_LETTERS:
        return f"is a text of {len(text):,} letters; at most {MOST_LETTERS:,} are read"
    bad = next((c for c in text if not c.isprintable() and c not in "\n\t"), None)
    return None if bad is None else f"holds the character {bad!a}, which cannot be shown"


def parse(data: bytes) -> Any:
    """Return what a document holds, if it is plain JSON: no name twice, no number beyond the finite ones, not nested
    beyond all sense."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_finite)
    except DocumentError:
        raise
    except UnicodeDecodeError:
        raise DocumentError("the document is not UTF-8") from None
    except RecursionError:
        raise DocumentError("the document is nested too deeply") from None
    except ValueError as error:  # also a number of thousands of digits
        raise DocumentError(f"the document is not JSON ({str(error).splitlines()[0]})") from None
    for value, depth in _walk(found):
        if depth > MOST_LEVELS:
            raise DocumentError("the document is nested too deeply")
        if isinstance(value, float) and not math.isfinite(value):
            raise DocumentError("the document holds a number that is not finite")
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise DocumentError("the document holds half a character")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise DocumentError(f"the document has the name {ascii(twice)[:60]} twice in one place")
    return found


def _finite(text: str) -> NoReturn:
    raise DocumentError(f"the document holds the number {text}")


def _walk(found: Any) -> Iterator[tuple[Any, int]]:
    open_ = [(found, 0)]
    while open_:
        value, depth = open_.pop()
        yield value, depth
        if isinstance(value, dict):
            open_ += [(x, depth + 1) for pair in value.items() for x in pair]
        elif isinstance(value, list):
            open_ += [(x, depth + 1) for x in value]


__all__ = ["MOST_BYTES", "TYPES", "Arrays", "DocumentError", "Node", "parse", "unshown"]

"""What a document is written with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from neurosim.saving.nodes import TYPES, unshown


def written(document: Any) -> bytes:
    """Return a document as bytes: the same for the same network, whoever writes it.

    The order of members is that of the network, where it counts.
    """
    return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode("utf-8")


class UnsaveableError(Exception):
    """Something that a file cannot hold: what, and what to do."""


class Writer:
    """Collects the arrays of a document, and knows what is being described."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._open: list[str] = []

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Say what is described meanwhile."""
        self._open.append(what)
        yield
        self._open.pop()  # after an error it stays, for the message

    def refuse(self, what: str) -> NoReturn:
        """Refuse to save."""
        raise UnsaveableError(f"{' of '.join(reversed(self._open))}: {what}" if self._open else what)

    def array(self, values: Any, what: str) -> dict[str, int]:
        """Take an array, and return how the document refers to it."""
        array = np.asarray(values, dtype=TYPES[what]).view()
        array.flags.writeable = False
        self.arrays.append(array)
        return {"array": len(self.arrays) - 1}

    def label(self, text: Any) -> str:
        """Return text that a person reads, as `Node.label` takes it back."""
        if not isinstance(text, str):
            self.refuse(f"{text!r} is not text")
        wrong = unshown(text)
        if wrong:
            self.refuse(f"it {wrong}")
        return text

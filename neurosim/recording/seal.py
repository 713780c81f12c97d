"""The head of an HDF5 file of ours: how long the rest is, and its SHA-256.

HDF5 leaves room for it, the user block, and other programs read past it. It is looked at before HDF5 is: on a damaged
file HDF5 itself may crash, or never return.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

_written: set[bytes] = set()

HEAD = 512
"""Bytes of the head: the format, the length and the digest, as text, then zeros."""

KINDS = {
    "result": ("the result of a run", "'neurosim report {}' shows it, RunResult.load reads it"),
    "network": ("a network", "'neurosim run {}' runs it, Network.load reads it"),
    "checkpoint": ("a part of a checkpoint", "'neurosim run … --resume' goes on from the folder that it lies in"),
    "sweep": ("the result of a sweep", "SweepResult.load reads it"),
}
"""Files of ours: the word in their head -> what they are, and what is done with them."""


def seal(file: Any, form: str) -> None:
    """Write the head of a whole file that is open for reading and writing, and was written with ``HEAD`` bytes free."""
    length = file.seek(0, os.SEEK_END)
    head = _head(form, length, _digest(file))
    file.seek(0)
    file.write(head)
    _written.add(head)


def written_here(path: str | os.PathLike[str]) -> bool:
    """Whether this process has sealed a file with this head; that the rest is as it was is for `broken` to say."""
    with open(path, "rb") as file:
        return file.read(HEAD) in _written


def another(path: str | os.PathLike[str], form: str) -> str | None:
    """Say what a file of ours is if it is not of a form, but of another kind or version; None else.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open(path, "rb") as file:
        found = re.match(rb"neurosim (\w+) (\d{1,9})\n", file.read(HEAD))
    if found is None or found[0].decode() == f"{form}\n":
        return None
    kind, version = found[1].decode(), int(found[2])
    wanted, mine = form.split(" ")[1:]
    if kind != wanted:
        what, use = KINDS.get(kind, (f"a '{kind}'", "this version of neurosim does not know what that is"))
        return f"is {what}, not {KINDS[wanted][0]}: {use.format(os.fspath(path))}"
    age = "a newer" if version > int(mine) else "an older"
    return f"was written by {age} version of neurosim: its layout is number {version}, and this one reads number {mine}"


def broken(path: str | os.PathLike[str], form: str) -> str | None:
    """Say what is wrong with a file: None if it is as it was sealed, "" if it has no head of this form.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
        if not head.startswith(f"{form}\n".encode()):
            return ""
        length = file.seek(0, os.SEEK_END)
        if head == _head(form, length, _digest(file)):
            return None
    found = head[len(form) + 1 :].split(b"\n")[0].removeprefix(b"bytes ")
    if found.isdigit() and length < int(found):
        return f"truncated: of the {int(found):,} bytes that were written {length:,} are there"
    return "damaged, or another program has changed it: it does not hold what was written"


def _digest(file: Any) -> str:
    file.seek(HEAD)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _head(form: str, length: int, digest: str) -> bytes:
    return f"{form}\nbytes {length}\nsha256 {digest}\n".encode().ljust(HEAD, b"\0")

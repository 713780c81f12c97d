"""The head of an HDF5 file of ours: how long the rest is, and its SHA-256.

HDF5 leaves room for it, the user block, and other programs read past it. It is looked at before HDF5 is: on a damaged
file HDF5 itself may crash, or never return.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

_written: set[bytes] = set()

HEAD = 512
"""Bytes of the head: the format, the length and the digest, as text, then zeros."""


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

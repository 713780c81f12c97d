"""Files that are whole or not there: written beside their place under another name, then moved into it."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator

from neurosim.errors import ParameterError, ResultFileError, caller

_WORDS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EFBIG: "it would be larger than the largest file allowed here (ulimit -f)",
    errno.EACCES: "you have no permission to write there",
    errno.EPERM: "you have no permission to write there",
    errno.EROFS: "the disk is mounted read-only",
    errno.ENOENT: "its directory does not exist; create it first",
    errno.ENOTDIR: "a part of its path is a file, not a directory",
    errno.EISDIR: "it is a directory; give the name of a file",
    errno.EEXIST: "a file of that name is there; give the name of a folder",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EBUSY: "another run is writing it; wait for its end or give another name",
}


def refusal(path: str, error: OSError, where: str | None = None) -> ResultFileError:
    """Return the error that tells the user, in one sentence, why ``path`` could not be written."""
    reason = _WORDS.get(error.errno or 0) or (error.strerror or str(error)).split("\n")[0]
    told = ResultFileError(f"cannot write '{path}': {reason}", where)
    told.errno = error.errno
    return told


def begin(path: str | os.PathLike[str], alone: bool = False) -> tuple[int, str, str]:
    """Open a new, uniquely named ``.part`` file beside ``path``; return (descriptor, its name, the final name).

    With ``alone``, for what is written for long, it is refused while another process writes the same file: whoever
    ended last would replace what the other had made.
    """
    shown = os.fspath(path)
    if not shown:
        raise ParameterError("the name of a file to write is empty", caller())
    if "\0" in os.fsdecode(shown):
        raise ParameterError(f"{shown!r} cannot name a file: it holds a byte of zero", caller())
    target = os.path.realpath(shown)
    try:
        if os.path.exists(target):
            mode = os.stat(target).st_mode
            if stat.S_ISDIR(mode):
                raise OSError(errno.EISDIR, "")
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")
            if not os.access(target, os.W_OK):
                raise OSError(errno.EACCES, "")
        _clear(target)
        if alone and _written(target):
            raise OSError(errno.EBUSY, "")
        part = f"{target}.{secrets.token_hex(4)}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(part, flags, 0o666)
        with contextlib.suppress(OSError):  # a file system that has no locks
            while not lock(descriptor):  # somebody is looking whether it is held
                time.sleep(0.001)
        if alone and any(other != part for other in _written(target)):  # of two that begin together none may go on
            os.close(descriptor)
            discard(part)
            raise OSError(errno.EBUSY, "")
        return descriptor, part, target
    except OSError as error:
        raise refusal(shown, error, caller()) from None


_AGE = 60.0
"""Wall seconds without a write after which a part that nobody holds is what a killed process has left."""


def _clear(target: str) -> None:
    """Remove parts of a file whose writers were killed: their locks have gone with them.

    Between the end of a part's writing and its move into place nobody holds it either, but it is young then.
    """
    for part, held in _parts(target):
        with contextlib.suppress(OSError):
            if not held and time.time() - os.stat(part).st_mtime >= _AGE:
                os.unlink(part)


def _written(target: str) -> list[str]:
    """Return the parts of a file that somebody is writing."""
    return [part for part, held in _parts(target) if held]


def _parts(target: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a file, and whether somebody holds each."""
    for part in glob.glob(f"{glob.escape(target)}.*.part"):
        if re.fullmatch(r"\.[0-9a-f]{8}\.part", part[len(target) :]):
            with contextlib.suppress(OSError):
                descriptor = os.open(part, os.O_RDWR)
                try:
                    yield part, not lock(descriptor, shared=True)
                finally:
                    os.close(descriptor)


def lock(descriptor: int, shared: bool = False) -> bool:
    """Lock an open file until it is closed, or its process ends; return whether it was free.

    ``shared`` is for those who only look whether somebody holds it: they do not hinder one another.
    """
    if os.name == "nt":  # pragma: no cover - untested there
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # it is there on Windows only
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def commit(part: str, target: str) -> None:
    """Move a finished part into place, so that it survives a power cut; on failure nothing of it is left."""
    try:
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        discard(part)
        raise refusal(target, error) from None
    if os.name == "posix":
        directory = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(directory)
        except OSError:  # some network file systems cannot; the file itself is safe
            pass
        finally:
            os.close(directory)


def discard(part: str) -> None:
    """Remove a part, if it is there."""
    try:
        os.unlink(part)
    except OSError:
        pass


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file, or nothing."""
    descriptor, part, target = begin(path)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        discard(part)
        raise refusal(os.fspath(path), error) from None
    except BaseException:
        discard(part)
        raise
    commit(part, target)

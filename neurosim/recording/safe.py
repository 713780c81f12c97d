"""HDF5 files that are whole and sealed, or not there, whatever the disk does while they are written."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from neurosim.errors import ResultFileError
from neurosim.recording.atomic import begin, commit, discard, refusal
from neurosim.recording.seal import HEAD, seal


class SafeFile:
    """The part file as HDF5 sees it: an error of the disk is kept for later, never shown to HDF5.

    HDF5 loses its footing when a write fails (it prints tracebacks as it closes, and can crash the process). So a
    failed write is remembered here, what HDF5 wrote since is held in memory for it to read back, and the writer, which
    looks at ``error`` after each flush, closes at once.
    """

    def __init__(self, descriptor: int) -> None:
        self.file = os.fdopen(descriptor, "r+b", buffering=0)
        self.error: OSError | None = None
        self.held: list[tuple[int, bytes]] = []
        self.at = self.end = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + (0, self.at, self.end)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def write(self, data: bytes) -> int:
        try:
            if self.error is None:
                self._write(data)
        except OSError as error:
            self.error = error
        if self.error is not None:
            self.held.append((self.at, bytes(data)))
        self.at += len(data)
        self.end = max(self.end, self.at)
        return len(data)

    def _write(self, data: bytes) -> None:
        self.file.seek(self.at)
        view = memoryview(data)
        while view:  # a nearly full disk takes a part of it first
            done = self.file.write(view)
            if not done:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = view[done:]

    def read(self, size: int) -> bytes:
        found = bytearray(size)
        try:
            self.file.seek(self.at)
            piece = self.file.read(size) or b""
            found[: len(piece)] = piece
        except OSError as error:
            self.error = self.error or error
        for start, data in self.held:
            lo, hi = max(start, self.at), min(start + len(data), self.at + size)
            if lo < hi:
                found[lo - self.at : hi - self.at] = data[lo - start : hi - start]
        self.at += size
        return bytes(found)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = self.read(len(view))
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            if self.error is None:
                self.file.truncate(size)
        except OSError as error:
            self.error = error
        self.end = size
        return size

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        try:
            self.file.close()
        except OSError as error:  # some file systems report a full disk only now
            self.error = self.error or error


def sealed(
    path: str | os.PathLike[str], form: str | None, shown: str | None = None
) -> contextlib.AbstractContextManager[tuple[Any, SafeFile]]:
    """Write a file: what is put into the HDF5 file is sealed and moved into place at the end of the block.

    Parameters
    ----------
    form : str or None
        Of the seal; None for a file of another's format, which has none.
    shown : str, optional
        The file as its user wrote it.

    Returns
    -------
    context manager
        Of the HDF5 file and of what lies below it: whoever writes much looks at the ``error`` of the latter now and
        then, since what HDF5 writes after an error is kept in memory.

    Raises
    ------
    ResultFileError
        It cannot be written; nothing of it is left.
    """
    descriptor, part, target = begin(path)
    return _sealed(SafeFile(descriptor), part, target, form, shown or os.fspath(path))


@contextlib.contextmanager
def _sealed(raw: SafeFile, part: str, target: str, form: str | None, shown: str) -> Iterator[tuple[Any, SafeFile]]:
    import h5py

    try:
        with uninterrupted():
            try:
                with h5py.File(raw, "w", userblock_size=0 if form is None else HEAD) as file:
                    yield file, raw
            except (OSError, RuntimeError, ValueError) as error:
                if raw.error is None:
                    raise error if isinstance(error, OSError) else OSError(str(error).split(" (")[0]) from None
            if raw.error is None and form is not None:
                seal(raw.file, form)
            raw.close()
        if raw.error is not None:
            raise raw.error
    except OSError as error:
        raw.close()
        discard(part)
        raise error if isinstance(error, ResultFileError) else refusal(shown, error) from None
    except BaseException:
        raw.close()
        discard(part)
        raise
    commit(part, target)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until HDF5 is done: an exception inside its callbacks would ruin the file."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    waiting: list[tuple[int, Any]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
        if waiting and callable(before):
            before(*waiting[0])

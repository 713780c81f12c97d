"""The process in which inputs are tried: ``python -m fuzz.worker TARGET FIRST COUNT SECONDS FOLDER``.

Before each input it says its number; after it, what came of it. It watches itself for what no reader of data may do:
an audit hook for code, processes, sockets, and files opened to write outside its folder; inotify for a file that
nothing but a link in the input leads to, opened by whatever library.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import faulthandler
import io
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from fuzz import files, texts
from neurosim.recording import endure

MEMORY = 6 << 30
"""Bytes of address space; torch alone takes a part of it."""

READERS = texts.TARGETS | texts.PLANTED

LOOK = 20.0
"""Seconds after which a worker writes where it is; those that watch have more patience."""

GREW = 1 << 30
"""Bytes by which one input may raise the largest memory that was ever used."""

CODE = ("exec", "compile", "import", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
        "os.spawn",
        "socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class", "marshal.loads", "code.__new__",
        "webbrowser.open", "pty.spawn", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.chmod", "os.link",
        "os.symlink", "os.truncate", "builtins.input")  # fmt: skip
FILES_MAY = ("import", "exec", "compile", "marshal.loads", "ctypes.dlopen", "code.__new__")
"""What a reader of files may do, too: modules are loaded when they are first used, and dataclasses compile."""

IN_OPEN = 0x20


class Watch:
    """What happened while an input was tried."""

    def __init__(self, folder: Path, outside: Path) -> None:
        self.folder, self.outside, self.active = os.path.realpath(folder), outside, ""
        self.seen: list[str] = []
        libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
        self.notify = libc.inotify_init1(os.O_NONBLOCK) if hasattr(libc, "inotify_init1") else -1
        if self.notify >= 0:
            libc.inotify_add_watch(self.notify, os.fsencode(outside), IN_OPEN)
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, _, flags = (*args, 0)[:3]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if self.active == "texts" or (writes and not self.inside(path)):
                self.seen.append(f"open {path!r} {flags}")
        elif event in CODE and not (self.active == "files" and self.may(event, args)):
            self.seen.append(f"{event} {str(args)[:200]}")

    def may(self, event: str, args: tuple[Any, ...]) -> bool:
        if event in FILES_MAY:
            return True
        if event == "subprocess.Popen":  # the helper that looks at a file first
            return list(args[1]) == [sys.executable, "-P", "-c", endure.HELPER]
        return event in ("os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.truncate") and self.inside(args[0])

    def inside(self, path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return True
        name = os.path.realpath(os.fsdecode(path))
        return name.startswith(self.folder + os.sep) or name == os.devnull

    def opened(self) -> bool:
        """Whether the file outside was opened since this was last asked."""
        if self.notify < 0:
            return False
        try:
            return bool(os.read(self.notify, 4096))
        except BlockingIOError:
            return False


def outcome(target: str, number: int, work: Path, whole: Path, watch: Watch, pipe: Any) -> dict[str, Any]:
    """Make an input, say so, try it, and return what came of it."""
    from neurosim.errors import NeurosimError, VerifyError

    rng = random.Random(f"{target} {number}")
    folder = work / "in"
    if target in READERS:
        given: Any = texts.made(target, rng)
        group, attempt = "texts", lambda: READERS[target](given)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        given = files.made(target, rng, whole, folder, watch.outside)
        group, attempt = "files", lambda: files.KINDS[target].read(folder)
    watch.seen, before = [], peak()
    watch.opened()
    print("made", file=pipe)
    says = {"number": number, "input": given, "came": "accepted"}
    try:
        watch.active = group
        with contextlib.redirect_stdout(io.StringIO()):
            attempt()
    except NeurosimError as error:
        watch.active = ""
        says["came"] = "refused"
        if isinstance(error, VerifyError) or not str(error):
            says |= {"came": "finding", "what": f"{type(error).__name__}: {error}", "at": place(error)}
    except (Exception, SystemExit, RecursionError) as error:
        watch.active = ""
        says |= {"came": "finding", "what": f"{type(error).__name__}: {error}"[:500], "at": place(error)}
    finally:
        watch.active = ""
    grew = peak() - before
    if watch.seen:
        says |= {"came": "finding", "what": f"did what an input may not: {watch.seen[0]}", "at": ""}
    elif watch.opened():
        says |= {"came": "finding", "what": "opened a file that a link led to", "at": ""}
    elif grew > GREW:
        says |= {"came": "finding", "what": f"took {grew / 2**30:.1f} GiB of memory", "at": ""}
    return says


def peak() -> int:
    """Return the most bytes of memory that this process has used; getrusage counts in those of its parent."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def place(error: BaseException) -> str:
    """Return the innermost line of neurosim's that an exception passed through."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        parts = Path(frame.filename).parts
        if not {"fuzz", "site-packages"} & set(parts) and "lib/python" not in frame.filename:
            found = f"{'/'.join(parts[-2:])}:{frame.lineno}"
    return found


def main(target: str, first: int, count: int, seconds: float, folder: Path) -> None:
    warnings.simplefilter("ignore")
    endure.PATIENCE = 5.0
    pipe = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    whole, outside = folder / "whole", folder / "outside.h5"
    if target in files.KINDS:
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        files.KINDS[target].make(whole)
        import h5py

        with h5py.File(outside, "w") as file:
            file["x"] = list(range(8))
        files.KINDS[target].read(shutil.copytree(whole, folder / "work" / "sound"))  # a whole file is read
    else:
        outside.write_bytes(b"")
        if target in texts.TARGETS:
            warm(target)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    tempfile.tempdir = str(work)
    watch = Watch(work, outside)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    end = time.monotonic() + seconds
    print("ready", file=pipe)
    for number in range(first, first + count):
        if time.monotonic() > end:
            break
        print(number, file=pipe)
        faulthandler.dump_traceback_later(LOOK, exit=False)
        print(json.dumps(outcome(target, number, work, whole, watch, pipe)), file=pipe)
    faulthandler.cancel_dump_traceback_later()
    print("done", file=pipe)


def warm(target: str) -> None:
    """Use everything once, so that what is loaded late is loaded."""
    from neurosim.errors import NeurosimError

    for number in range(60):
        with contextlib.suppress(NeurosimError, Exception):
            READERS[target](texts.made(target, random.Random(number)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))

"""Compiled code on disk, shared by all processes: one folder per hash of everything that was printed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
from pathlib import Path
from types import ModuleType

FORMAT = 1
"""Counts up when the meaning of a cached module changes without its text."""

_loaded: dict[str, ModuleType] = {}


def directory() -> Path:
    """Return the folder of the cache: ``$NEUROSIM_CACHE_DIR``, else the user's cache folder, else a temporary one."""
    given = os.environ.get("NEUROSIM_CACHE_DIR")
    if given:
        return Path(given)
    if platform.system() == "Windows":
        base = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "neurosim" / "kernels"


def key(source: str) -> str:
    """Return the hash of a printed module, the versions it is compiled with, and the processor."""
    import llvmlite
    import numba
    import numpy

    parts = (source, str(FORMAT), numba.__version__, llvmlite.__version__, numpy.__version__, sys.version, platform.machine(), _cpu())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _cpu() -> str:
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def load(source: str, label: str) -> ModuleType:
    """Return the module of a source text; numba finds its compiled functions beside the file.

    The file is written once, under its hash, and never changed: numba's own check (of time and size of the file)
    then can never be wrong.
    """
    name = key(source)
    if name in _loaded:
        return _loaded[name]
    folder = _writable(directory() / name)
    path = folder / f"{label}.py"
    if not path.exists():
        handle, part = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            f.write(source)
        try:
            os.link(part, path)  # fails if another process was first: then its file stands
        except FileExistsError:
            pass
        except OSError:
            os.replace(part, path)
        if os.path.exists(part):
            os.unlink(part)
    module_name = f"_neurosim_{label}_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    _loaded[name] = module
    return module


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe{os.getpid()}"
        probe.touch()
        probe.unlink()
        return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="neurosim-kernels-"))


def size() -> int:
    """Return the bytes that the cache holds."""
    root = directory()
    return sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) if root.exists() else 0

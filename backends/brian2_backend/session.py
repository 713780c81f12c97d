"""Brian2's global state, borrowed: preferences, the active device and the log are set here, and given back.

Brian2 keeps all three for the whole process. Everything that a backend does with Brian2 happens inside
:func:`session`, which leaves them as it found them, also after an error; so a user's own Brian2 code in the same
process, and several engines in turns, do not notice each other.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import platform
import shlex
import shutil
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from neurosim.backends.brian2_backend.functions import header, header_name
from neurosim.errors import BackendMissingError
from neurosim.registry import BACKENDS

FLAGS = ("-w", "-O3", "-std=c++11", "-fno-fast-math", "-ffp-contract=off")
"""For the compiler, in place of Brian2's own, which let it reorder and contract: the last bits are the network's."""

INSTALL = "apt install g++ make, or conda install -c conda-forge cxx-compiler make"


def load() -> Any:
    """Import Brian2 and return it; its import changes how the process shows warnings and errors, which is undone."""
    if "brian2" in sys.modules:
        return sys.modules["brian2"]
    hook, shown = sys.excepthook, warnings.showwarning
    capturing = getattr(logging, "_warnings_showwarning", None) is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("brian2")
    except Exception as e:  # whatever two versions that do not fit each other bring about
        raise BackendMissingError(
            f"Brian2 {metadata.version('brian2')} cannot be imported ({type(e).__name__}: {e}); "
            f"versions that fit each other: {BACKENDS['brian2'].install}"
        ) from e
    finally:
        sys.excepthook = hook
        if not capturing:
            logging.captureWarnings(False)
        warnings.showwarning = shown


def cache_directory() -> Path:
    """Return the folder of compiled code: beside that of the native backend, by flags, header and versions.

    Brian2 looks code up by its text alone, whatever it was compiled with.
    """
    given = os.environ.get("NEUROSIM_CACHE_DIR")
    if given:
        root = Path(given)
    elif platform.system() == "Windows":
        root = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "neurosim"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "neurosim"
    parts = (header_name(), *FLAGS, *(compilers().values()), platform.platform(), sys.version, load().__version__)
    return root / "brian2" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def compilers() -> dict[str, str]:
    """Return the commands that compile: C and C++, as Python's own build system finds them."""
    out = {}
    for key, fallback in (("CC", "cc"), ("CXX", "c++")):
        words = shlex.split(os.environ.get(key) or sysconfig.get_config_var(key) or fallback)
        out[key] = words[0] if words else fallback
    return out


def missing_compiler(make: bool = False) -> str | None:
    """Return the first command that compiling needs and this machine lacks, None if all are there."""
    needed = [*compilers().values(), *(["make"] if make else [])]
    return next((c for c in needed if shutil.which(c) is None), None)


def need_compiler(mode: str) -> None:
    """Raise :class:`BackendMissingError` where a mode cannot compile."""
    lacking = missing_compiler(make=mode == "standalone")
    if lacking:
        raise BackendMissingError(
            f"mode '{mode}' of backend 'brian2' compiles C++ code, and there is no '{lacking}' on this machine: "
            f"install it ({INSTALL}), name another by the environment variables CC and CXX, or use mode='numpy'"
        )


def headers() -> Path:
    """Return the folder with the header of our functions, written if it is not there."""
    folder = cache_directory()
    target = folder / header_name()
    try:
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, part = tempfile.mkstemp(dir=folder, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as f:
                f.write(header())
            os.replace(part, target)
    except OSError as e:
        raise BackendMissingError(
            f"the folder {folder} for code that Brian2 compiles cannot be written ({e.strerror}): set "
            "NEUROSIM_CACHE_DIR to another, or use mode='numpy'"
        ) from e
    return folder


def preferences(mode: str, threads: int) -> dict[str, Any]:
    """Return what Brian2 is to be set to."""
    import numpy as np

    out: dict[str, Any] = {
        "core.default_float_dtype": np.float64,
        "core.default_integer_dtype": np.int32,
        "core.stop_on_keyboard_interrupt": False,
        "codegen.target": "numpy" if mode == "numpy" else "cython",
        "codegen.string_expression_target": "numpy",
        "codegen.loop_invariant_optimisations": False,  # they rewrite expressions
    }
    if mode == "numpy":
        return out
    folder = str(headers())
    return out | {
        "codegen.cpp.extra_compile_args": list(FLAGS),
        "codegen.cpp.include_dirs": [folder],
        "codegen.cpp.headers": [f'"{header_name()}"'],
        "codegen.cpp.define_macros": [],
        "codegen.cpp.extra_link_args": [],
        "codegen.runtime.cython.cache_dir": folder,
        "codegen.max_cache_dir_size": 0,  # a warning of Brian2's about a folder of ours
        "devices.cpp_standalone.openmp_threads": threads if threads > 1 else 0,
    }


@contextmanager
def session(mode: str, threads: int = 1) -> Iterator[Any]:
    """Lend Brian2, set up for a mode, and put everything back.

    Parameters
    ----------
    mode : {"cython", "numpy", "standalone"}
        How code is run; for ``standalone`` the active device is a new one, of this session alone.
    threads : int
        Of standalone code.
    """
    brian2 = load()
    module: Any = importlib.import_module("brian2.devices.device")  # the same name leads to a proxy in brian2.devices
    prefs = brian2.prefs
    wanted = preferences(mode, threads)
    before = {key: prefs[key] for key in wanted}
    active, log = module.active_device, logging.getLogger("brian2")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL + 1)
        for key, value in wanted.items():
            prefs[key] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.active_device = _new_device() if mode == "standalone" else module.runtime_device
            if mode != "numpy":
                _need_flags()
            yield brian2
    finally:
        module.active_device = active
        for key, value in before.items():
            prefs[key] = value
        log.setLevel(level)


def _new_device() -> Any:
    """Return a standalone device that holds nothing yet; Brian2's own may hold a user's network."""
    from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

    device = CPPStandaloneDevice()
    device.activate(build_on_run=False)
    return device


def _need_flags() -> None:
    """Raise :class:`BackendMissingError` where the compiler lacks a flag, which Brian2 would leave out in silence."""
    from brian2.codegen.cpp_prefs import get_compiler_and_args

    refused = [flag for flag in FLAGS if flag not in get_compiler_and_args()[1]]
    if refused:
        raise BackendMissingError(
            f"the compiler {compilers()['CXX']} does not take {' '.join(refused)}, without which the last bits would "
            f"be its own: use another ({INSTALL}) by the environment variables CC and CXX, or mode='numpy'"
        )

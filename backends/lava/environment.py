"""Where Lava is: an environment of its own, with Python 3.10, which it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from neurosim.errors import BackendMissingError, ResourceError

VERSION = "0.10.0"
VARIABLE = "NEUROSIM_LAVA"


def home() -> Path:
    """Return the environment's folder: ``$NEUROSIM_LAVA``, or ``neurosim/lava`` in the user's cache folder."""
    given = os.environ.get(VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(given) if given else Path(base) / "neurosim" / "lava"


def python() -> Path | None:
    """Return the interpreter that has Lava, None if there is none."""
    found = home() / "bin" / "python"
    installed = home().glob(f"lib/python3.*/site-packages/lava_nc-{VERSION}.dist-info")
    return found if found.exists() and any(installed) else None


def interpreters() -> list[str]:
    """Return interpreters that are Python 3.10 and run, the likeliest first."""
    found = [shutil.which("python3.10")]
    roots = [os.environ.get("PYENV_ROOT"), os.path.expanduser("~/.pyenv")]
    found += [str(p) for root in roots if root for p in sorted(Path(root).glob("versions/3.10*/bin/python"))]
    if (uv := shutil.which("uv")) is not None:
        done = subprocess.run([uv, "python", "find", "3.10"], capture_output=True, text=True)
        found.append(done.stdout.strip() if done.returncode == 0 else None)
    return [p for p in dict.fromkeys(found) if p and _runs(p)]


def _runs(path: str) -> bool:
    """Tell whether this is Python 3.10; a shim of pyenv's may be there and lead nowhere."""
    code = "import sys, venv; raise SystemExit(sys.version_info[:2] != (3, 10))"
    try:
        return subprocess.run([path, "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install() -> Path:
    """Make the environment, or make it anew, and return its interpreter.

    Raises
    ------
    BackendMissingError
        There is no Python 3.10.
    ResourceError
        pip did not succeed; its last lines are in the message.
    """
    candidates = interpreters()
    if not candidates:
        raise BackendMissingError(
            "Lava needs Python 3.10, and none was found: install one (pyenv install 3.10, uv python install 3.10), or "
            f"set {VARIABLE} to the folder of an environment that has lava-nc {VERSION}"
        )
    target = home()
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [candidates[0], "-m", "venv", str(target)],
        [str(target / "bin" / "python"), "-m", "pip", "install", "-q", f"lava-nc=={VERSION}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            raise ResourceError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-2000:].strip()}")
    return target / "bin" / "python"

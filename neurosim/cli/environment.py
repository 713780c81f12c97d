"""What this installation has: ``neurosim networks``, ``backends`` and ``doctor``."""

from __future__ import annotations

import importlib
import inspect
import os
import platform
import sys
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim import memory, registry
from neurosim import run as runner
from neurosim.cli.load import keywords_of
from neurosim.cli.show import console
from neurosim.errors import BackendError, BackendMissingError, NeurosimError

DEFAULT = inspect.signature(runner.simulate).parameters["backend"].default
_CORE = ("numpy", "numba", "llvmlite", "h5py", "matplotlib", "click", "rich", "jinja2")
_OPTIONAL = ("scipy", "brian2", "nest-simulator", "torch", "snntorch", "nir", "neo", "libsonata", "elephant")


def networks_command() -> None:
    """List the library's networks, each with the first line of its text and its keywords."""
    out = console()
    for name in registry.NETWORKS:
        try:
            builder = registry.load_network(name)
        except (ImportError, AttributeError, NeurosimError) as e:
            out.print(Text.assemble((name, "bold"), f"  cannot be loaded: {e}"))
            continue
        module = inspect.getdoc(sys.modules[builder.__module__]) or inspect.getdoc(builder) or ""
        out.print(Text(name, "bold"))
        out.print(Text(_filled(" ".join(module.split("\n\n")[0].split()).split(" "), out.width)))
        words = {k: "" if v is inspect.Parameter.empty else f"={v}" for k, v in keywords_of(builder).items()}
        spelled = [f"{k}{v.replace(' ', '')}," for k, v in words.items()]
        out.print(Text(_filled(spelled, out.width).rstrip(","), style="dim"))
    out.print(Text("\nneurosim run NAME --set KEYWORD=VALUE --set POPULATION.PARAMETER=VALUE"))


def backends_command() -> None:
    """List every backend and the line that installs what is missing."""
    out = console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for head in ("backend", "status", "precision"):
        table.add_column(head, no_wrap=True)
    table.add_column("what for")
    lines = []
    for name, entry in registry.backends().items():
        backend, why = _state(name)
        word = "available" if backend is not None else "missing" if registry.missing(name) else "broken"
        status = Text(word, "green" if backend is not None else "red")
        precisions = ", ".join(backend.precisions) if backend is not None else "–"
        table.add_row(Text(name, "bold"), status, precisions, entry.summary)
        if backend is None:
            lines.append(f"{name}: {why}")
    out.print(table)
    for line in lines:
        out.print(Text(f"\n{line}"), soft_wrap=True)


def doctor_command() -> int:
    """Print what one asks for when something does not work; return 1 if the default backend cannot run."""
    out = console()

    def say(name: str, text: str, good: bool | None = None) -> None:
        mark = {True: ("ok  ", "green"), False: ("no  ", "red"), None: ("    ", "")}[good]
        out.print(Text.assemble(mark, (f"{name:<12}", "bold"), text), soft_wrap=True)

    say("neurosim", f"{_version('neurosim-snn')}, in {Path(__file__).resolve().parent.parent}")
    say("python", f"{platform.python_version()}, {sys.executable}", sys.version_info >= (3, 11))
    say("platform", platform.platform(terse=True))
    free = memory.available_memory()
    say("machine", f"{_cores()} cores" + (f", {free / 2**30:.1f} GiB of memory free" if free is not None else ""))
    threads = os.environ.get("NUMBA_NUM_THREADS")
    say("threads", f"at most {threads or _cores()}" + (" (NUMBA_NUM_THREADS)" if threads else ""))
    for name in _CORE:
        found = _version(name)
        say(name, found or f"missing: pip install {name}", bool(found))
    others = [f"{name} {found}" for name in _OPTIONAL if (found := _version(name))]
    say("optional", ", ".join(others) or "none")
    _cache(say)
    failed = False
    for name in registry.backends():
        backend, why = _state(name)
        if backend is not None and name == DEFAULT:
            backend, why = _tried(name) or (backend, "runs a network, and gives the spikes of the reference")
        say(name, why or getattr(backend, "remark", lambda: "can be loaded")(), backend is not None)
        failed |= backend is None and name == DEFAULT
    out.print()
    if failed:
        out.print(f"The default backend '{DEFAULT}' cannot run: see above (--backend reference runs, slowly).")
    else:
        out.print(f"All is well: the default backend '{DEFAULT}' runs.")
    return int(failed)


def _state(name: str) -> tuple[Any, str]:
    """Return a backend and nothing to say, or None and why it cannot be had."""
    try:
        return registry.load_backend(name), ""
    except BackendError as e:
        return None, e.message
    except BackendMissingError as e:
        line = registry.missing(name)
        return None, f"not installed: {line}" if line else e.message
    except Exception as e:  # whatever an engine does when it is imported
        return None, f"cannot be loaded: {type(e).__name__}: {e}"


def _tried(name: str) -> tuple[None, str] | None:
    """Run a small network on a backend and on the reference; return what is wrong."""
    from neurosim.lang.components import Cell
    from neurosim.lang.network import Network
    from neurosim.units import ms

    spikes = []
    for backend in (name, "reference"):
        net = Network("doctor", dt=0.1 * ms)
        cell = Cell("dv/dt = (2 - v)/tau", threshold="v >= 1", reset="v = 0", init={"v": "index/N"}, tau=10 * ms)
        net.record(net.population("a", 10, cell), "spikes")
        try:
            spikes.append(net.run(50 * ms, backend=backend).spikes["a"])
        except Exception as e:
            return None, f"{backend} cannot run: {type(e).__name__}: {e}"
    if not len(spikes[1]) or not spikes[0].identical(spikes[1]):
        return None, f"its spikes differ from the reference ({len(spikes[0])} and {len(spikes[1])}); please report it"
    return None


def _cache(say: Any) -> None:
    """Say where compiled kernels are kept."""
    try:
        folder = Path(importlib.import_module("neurosim.backends.compiled.cache").directory())
    except Exception as e:
        say("cache", f"no folder for compiled kernels: {e}", False)
        return
    held = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder.exists() else 0
    near = next(p for p in (folder, *folder.parents) if p.exists())
    good = os.access(near, os.W_OK)
    hint = "" if good else ": not writable, so kernels are compiled each time; set NEUROSIM_CACHE_DIR to another"
    say("cache", f"{folder}, {held / 1e6:.1f} MB{hint}", good)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _filled(words: list[str], width: int) -> str:
    """Return words in indented lines of the terminal's width."""
    return textwrap.indent(textwrap.fill(" ".join(words), width - 4, break_on_hyphens=False), " " * 4)

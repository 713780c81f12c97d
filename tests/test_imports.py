"""The house: who may import whom, what a bare ``import neurosim`` loads, and whether the wheel holds every folder."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"neurosim": "neurosim", "backends": "neurosim.backends", "models": "neurosim.models",
           "hardware": "neurosim.hardware"}  # fmt: skip

# What each part of neurosim/ may import besides itself; "" is the package's own public names.
ARROWS: dict[str, set[str]] = {"habits": set(), "errors": {"habits"}, "units": {"errors"}}
ARROWS["params"] = {"errors", "units"}
ARROWS["ir"] = ARROWS["params"] | {"params"}
ARROWS["lang"] = ARROWS["ir"] | {"ir", "habits"}
ARROWS["passes"] = ARROWS["lang"] | {"lang"}
ARROWS["compile"] = ARROWS["passes"] | {"passes"}
ARROWS["registry"] = {"errors", "units", "params"}
ARROWS["recording"] = {"errors", "habits", "units", "analysis"}
ARROWS["analysis"] = {"errors", "units"}
ARROWS["encoding"] = {"errors", "units"}
ARROWS["memory"] = ARROWS["ir"] | {"ir"}
ARROWS["run"] = ARROWS["compile"] | {"compile", "registry", "recording", "analysis", "memory"}
ARROWS["simulation"] = ARROWS["run"] | {"run"}
ARROWS["trials"] = ARROWS["simulation"]
ARROWS["learning"] = ARROWS["compile"] | {"compile", "registry"}
ARROWS["encoding"] = ARROWS["ir"] | {"ir"}
ARROWS["datasets"] = ARROWS["ir"] | {"ir", "recording"}
ARROWS["saving"] = ARROWS["lang"] | {"lang", "registry", "recording"}
ARROWS["report"] = {"errors", "units", "recording", "analysis"}
ARROWS["comparison"] = ARROWS["run"] | {"run", "report"}
ARROWS[""] = ARROWS["comparison"] | {"comparison"}
ARROWS["sweep"] = {"errors", "units", "recording"}
ARROWS["pynn"] = ARROWS[""] | {""}
ARROWS["interchange"] = ARROWS["pynn"] | {"pynn"}
ARROWS["cli"] = ARROWS[""] | {"", "sweep", "interchange"}
ARROWS["__main__"] = {"cli"}
# What a user begins with: it imports what users import, and is read as text.
ARROWS["templates"] = {"", "units", "neurosim.models"}
# It tests all of it, and nothing imports it.
ARROWS["conformance"] = ARROWS["cli"] | {"neurosim.models", "neurosim.backends"}
# The same for the folders that hang off the side; their own parts are named in full.
SIDE = {
    "neurosim.models": {"", "errors", "units", "params", "ir", "lang"},
    "neurosim.backends": {"errors", "units", "ir", "registry", "recording", "neurosim.backends.base",
                          "neurosim.backends.compiled"},
    "neurosim.hardware": {"errors", "units", "params", "ir", "lang", "compile", "recording", "neurosim.models"},
}
# Lava runs what hardware/loihi2 describes, and is a format to export to.
MORE = {
    "neurosim.backends.lava": {"", "compile", "lang", "interchange", "neurosim.backends.loihi2_backend"},
    "neurosim.backends.loihi2_account": set(),
    "neurosim.backends.loihi2_backend": set(),
}
for _name in MORE:
    MORE[_name] |= {"neurosim.hardware"}
ENGINES = {"torch", "snntorch", "brian2", "nest", "numba", "llvmlite", "lava", "nengo", "pyNN", "nir"}
LATE = ENGINES | {"matplotlib", "h5py", "click", "rich"}
# Themselves loaded late, so they may load their engine at once.
AT_IMPORT = {
    "neurosim.backends.compiled.bridge": {"numba", "llvmlite"},
    "neurosim.backends.native": {"numba", "llvmlite"},
    "neurosim.backends.snntorch_backend.arithmetic": {"torch"},
    "neurosim.backends.snntorch_backend.blocks": {"torch"},
    "neurosim.backends.snntorch_backend.convolved": {"torch"},
    "neurosim.backends.snntorch_backend.delivery": {"torch"},
    "neurosim.backends.snntorch_backend.engine": {"torch"},
    "neurosim.backends.snntorch_backend.eprop": {"torch"},
    "neurosim.backends.snntorch_backend.fused": {"torch"},
    "neurosim.backends.snntorch_backend.module": {"torch"},
    "neurosim.backends.snntorch_backend.online": {"torch"},
    "neurosim.backends.snntorch_backend.ottt": {"torch"},
    "neurosim.backends.snntorch_backend.state": {"torch"},
    "neurosim.backends.snntorch_backend.stretch": {"torch"},
    "neurosim.backends.snntorch_backend.trained": {"torch"},
    "neurosim.hardware.training": {"torch"},
    "neurosim.models.jepa": {"torch"},
    "neurosim.models.kernels": {"torch"},
    "neurosim.models.kernels.scan_numba": {"numba", "llvmlite"},
    "neurosim.models.layers": {"torch"},
    "neurosim.models.mamba": {"torch"},
    "neurosim.models.spikeformer": {"torch"},
    "neurosim.models.titans": {"torch"},
}


class Import(NamedTuple):
    module: str  # importing, by its installed name
    target: str  # imported: a module, or module.name
    line: int
    late: bool  # inside a function, or for the type checker only


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the project: the name it has when installed, and its file."""
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts))), path


def statements(module: str, is_package: bool, text: str) -> Iterator[Import]:
    """The imports of one source text; ``from a import b`` counts as ``a.b``."""

    def walk(node: ast.AST, late: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner = late or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                inner = True
            if isinstance(child, ast.Import):
                for name in child.names:
                    yield Import(module, name.name, child.lineno, late)
            elif isinstance(child, ast.ImportFrom):
                source = child.module or ""
                if child.level:
                    base = module.split(".")
                    base = base[: len(base) - child.level + is_package]
                    source = ".".join([*base, source] if source else base)
                for name in child.names:
                    yield Import(module, f"{source}.{name.name}", child.lineno, late)
            else:
                yield from walk(child, inner)

    yield from walk(ast.parse(text), False)


def side(name: str) -> str | None:
    return next((p for p in SIDE if name == p or name.startswith(p + ".")), None)


def part(name: str, parts: set[str]) -> str:
    """The part of the house that a name of ours lies in: the arrow's end."""
    home = side(name)
    if home:
        return ".".join(name.split(".")[:3])
    first = (name.split(".") + [""])[1]
    return first if first in parts else ""


def forbidden(found: Import, modules: set[str]) -> str | None:
    """Say what is wrong with one import of ours, or return None."""
    parts = {m.split(".")[1] for m in modules if m.count(".")}
    home = side(found.module)
    here, there = part(found.module, parts), part(found.target, parts)
    if here == there:
        return None
    if home == "neurosim.backends":
        allowed = SIDE[home] - ({"neurosim.backends.base"} if here == home else set()) | MORE.get(here, set())
    elif home:
        if side(found.target) == home:
            return None
        allowed = SIDE[home]
    elif here not in ARROWS:
        return f"'{here}' has no row in ARROWS: give it its place in the house"
    else:
        allowed = ARROWS[here]
    if there in allowed or side(found.target) in allowed:
        return None
    return f"'{here or 'neurosim'}' may not import '{there or 'neurosim'}'"


def all_imports() -> list[Import]:
    return [
        found
        for module, path in sources()
        for found in statements(module, path.name == "__init__.py", path.read_text(encoding="utf-8"))
    ]


def ours(name: str) -> bool:
    return name == "neurosim" or name.startswith("neurosim.")


def report(rows: list[str]) -> None:
    assert not rows, "\n" + "\n".join(rows)


@pytest.mark.checkout
def test_arrows() -> None:
    modules = {module for module, _ in sources()}
    report([
        f"{found.module}:{found.line} imports {found.target}: {why}"
        for found in all_imports()
        if ours(found.target) and (why := forbidden(found, modules))
    ])  # fmt: skip


@pytest.mark.checkout
def test_imports_of_our_own_exist() -> None:
    modules = {module for module, _ in sources()}
    report([
        f"{found.module}:{found.line} imports {found.target}, which is not there"
        for found in all_imports()
        if ours(found.target) and found.target not in modules and found.target.rpartition(".")[0] not in modules
    ])  # fmt: skip


@pytest.mark.checkout
def test_no_engine_is_loaded_at_import_time() -> None:
    def excused(found: Import, engine: str) -> bool:
        return any(
            engine in engines and (found.module == package or found.module.startswith(package + "."))
            for package, engines in AT_IMPORT.items()
        )

    report([
        f"{found.module}:{found.line} imports {engine} at import time: move it into the function that needs it"
        for found in all_imports()
        if not found.late and (engine := found.target.split(".")[0]) in ENGINES and not excused(found, engine)
    ])  # fmt: skip


@pytest.mark.checkout
def test_no_parent_relative_imports() -> None:
    report([
        f"{path.relative_to(ROOT)}:{node.lineno} climbs out of its package"
        for _, path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 1
    ])  # fmt: skip


@pytest.mark.checkout
def test_setup_cfg_lists_every_folder() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = config["options"]["packages"].split()
    folders = {m if p.name == "__init__.py" else m.rpartition(".")[0] for m, p in sources()}
    assert len(listed) == len(set(listed))
    assert set(listed) == folders
    assert folders == {m for m, p in sources() if p.name == "__init__.py"}, "a folder has no __init__.py"

    data = config["options.package_data"]
    patterns = [p.strip() for row in data.values() for p in row.split(",")]
    report([
        f"{path.relative_to(ROOT)} would be missing from the wheel: no pattern in [options.package_data]"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
        and not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
    ])  # fmt: skip


def test_import_neurosim_loads_nothing_heavy(tmp_path: Path) -> None:
    code = f"import sys, neurosim; print(*sorted(set({sorted(LATE)}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_the_plugin_of_the_conformance_suite_needs_pytest() -> None:
    code = """
        import importlib, pkgutil, sys
        sys.modules["pytest"] = None
        import neurosim.conformance as suite
        for found in pkgutil.walk_packages(suite.__path__, suite.__name__ + "."):
            if found.name.rpartition(".")[2] not in ("plugin", "test_backend"):
                importlib.import_module(found.name)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


MODULES = {"neurosim", "neurosim.errors", "neurosim.ir", "neurosim.lang", "neurosim.cli", "neurosim.run",
           "neurosim.conformance", "neurosim.odd"}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "text", "legal"),
    [
        ("neurosim.lang.network", "from neurosim.ir import graph", True),
        ("neurosim.ir.graph", "from neurosim.lang import network", False),
        ("neurosim.ir.graph", "def f():\n    from neurosim.lang import network", False),
        ("neurosim.ir.graph", "import neurosim", False),
        ("neurosim.run", "from neurosim.backends import reference", False),
        ("neurosim.run", "import neurosim.models", False),
        ("neurosim.odd", "from neurosim import errors", False),
        ("neurosim", "from neurosim.run import simulate", True),
        ("neurosim", "from neurosim.cli import main", False),
        ("neurosim.cli.main", "import neurosim as ns", True),
        ("neurosim.cli.main", "from neurosim.conformance import judge", False),
        ("neurosim.cli.main", "from neurosim.models import LIF", False),
        ("neurosim.conformance.judge", "from neurosim.models import LIF", True),
        ("neurosim.conformance.judge", "from neurosim.backends.base import Options", True),
        ("neurosim.models.cells.lif", "from neurosim import Cell", True),
        ("neurosim.models.cells.lif", "from neurosim.models.synapses import x", True),
        ("neurosim.models.cells.lif", "from neurosim.run import simulate", False),
        ("neurosim.backends.native.codegen", "from neurosim.backends.native import types", True),
        ("neurosim.backends.native.codegen", "from . import types", True),
        ("neurosim.backends.native.codegen", "from neurosim.backends.base import Backend", True),
        ("neurosim.backends.native.codegen", "from neurosim.backends import base", True),
        ("neurosim.backends.native.codegen", "from neurosim.backends import brian2_backend", False),
        ("neurosim.backends.native.codegen", "from neurosim.passes import order", False),
        ("neurosim.backends.base", "import neurosim.backends.native.codegen", False),
    ],
)
def test_the_arrow_test_itself(module: str, text: str, legal: bool) -> None:
    (found,) = statements(module, False, text)
    assert (forbidden(found, MODULES) is None) == legal


def test_late_imports_are_told_from_early_ones() -> None:
    text = "import a\nclass C:\n import b\nif TYPE_CHECKING:\n import c\ndef f():\n import d\nif x:\n import e"
    assert [(f.target, f.late) for f in statements("neurosim.x", False, text)] == [
        ("a", False), ("b", False), ("c", True), ("d", True), ("e", False)]  # fmt: skip

"""The reference of Python's names and of the command line: one page a module, from ``__all__`` and the docstrings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MODULES = {
    "neurosim": "what `import neurosim as ns` has: networks, cells, connections, values, runs",
    "neurosim.models": "cells, receptors, stimuli and rules of the library",
    "neurosim.models.networks": "published networks",
    "neurosim.models.dendrites": "compartments, dendritic spikes, cables and trees",
    "neurosim.units": "quantities",
    "neurosim.recording": "results and their files",
    "neurosim.analysis": "what the spikes say",
    "neurosim.comparison": "the same network on several engines",
    "neurosim.simulation": "a run that goes on step by step",
    "neurosim.trials": "many runs of one network",
    "neurosim.sweep": "files of sweeps",
    "neurosim.errors": "every error, and what it means",
    "neurosim.pynn": "PyNN's interface",
    "neurosim.learning": "networks as PyTorch modules",
    "neurosim.interchange.snntorch": "models of snnTorch's layers",
    "neurosim.encoding": "numbers and sounds become spikes",
    "neurosim.datasets": "recordings of events, images and time series, from files",
    "neurosim.hardware.loihi2": "networks in Loihi 2's integers",
    "neurosim.hardware.training": "training with Loihi 2's integers",
    "neurosim.hardware.brainscales2": "networks on BrainScaleS-2",
    "neurosim.hardware.memristor": "networks on memristors",
    "neurosim.models.layers": "spiking layers in PyTorch",
    "neurosim.models.titans": "Titans",
    "neurosim.models.mamba": "Mamba",
    "neurosim.models.jepa": "JEPA",
    "neurosim.models.spikeformer": "the spiking transformer",
}
"""Module -> what is in it, in the order of the list."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every page of the reference."""
    rows = [f"| [`{name}`](api/{name}.rst) | {about} |" for name, about in MODULES.items()]
    tree = "\n".join(f"api/{name}" for name in MODULES)
    yield "api.md", "\n".join([
        "# Python", "", "Every public name, from its docstring; `[source]` shows the code.", "",
        "| module | what it has |", "| --- | --- |", *rows, "",
        "```{toctree}", ":hidden:", "", tree, "```", "",
    ])  # fmt: skip
    for name in MODULES:
        yield f"api/{name}.rst", module_page(name)
    yield "commands.md", commands()


def public(module: ModuleType) -> list[str]:
    """Return the public names of a module: its ``__all__``, else what it defines, or imports as its own."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.lower)
    package = hasattr(module, "__path__")
    return sorted(
        (name for name, made in vars(module).items() if not name.startswith("_") and _own(made, module, package)),
        key=str.lower,
    )


def _own(made: Any, module: ModuleType, package: bool) -> bool:
    home = getattr(made, "__module__", "") or ""
    if not (inspect.isclass(made) or inspect.isfunction(made)):
        return False
    return home.startswith(module.__name__ + ".") if package else home == module.__name__


def module_page(name: str) -> str:
    """Return the page of a module, in reStructuredText."""
    title = f"``{name}``"
    out = [title, "=" * len(title), "", f".. automodule:: {name}", "   :no-members:", ""]
    declared = []
    module = _import(name)
    made_here = [e for e in public(module) if inspect.isclass(m := getattr(module, e)) or inspect.isroutine(m)]
    if len(made_here) > 3:
        out += [" · ".join(f":py:obj:`~{name}.{entry}`" for entry in made_here), ""]
    for entry in public(module):
        made = getattr(module, entry)
        if inspect.isclass(made):
            out += [f".. autoclass:: {name}.{entry}", "   :members:", ""]
        elif inspect.isroutine(made):
            out += [f".. autofunction:: {name}.{entry}", ""]
        elif not inspect.ismodule(made):
            declared.append(entry)
    if declared:
        out += [*_declared(name, module, declared), ""]
    return "\n".join(out)


def _import(name: str) -> ModuleType:
    """Import a module, where it needs PyTorch with a stand-in for that, as autodoc does."""
    from conf import autodoc_mock_imports
    from sphinx.ext.autodoc.mock import mock

    with mock(autodoc_mock_imports):
        return importlib.import_module(name)


def _declared(name: str, module: ModuleType, entries: list[str]) -> list[str]:
    """Return what a module has besides classes and functions: declarations, values and units."""
    from neurosim.lang.components import Component

    made = {entry: getattr(module, entry) for entry in entries}
    if name == "neurosim.models":
        links = ", ".join(f":ref:`{entry} <declared-{entry}>`" for entry in entries)
        return [f"Declarations, with equations, parameters and sources on a page of their own: {links}."]
    if all(isinstance(value, Component) for value in made.values()):
        out = []
        for entry, value in made.items():
            out += [f".. py:data:: {name}.{entry}", "", "   .. code-block:: text", ""]
            out += [f"      {line}".rstrip() for line in value.describe().splitlines()] + [""]
        return out
    if all(dataclasses.is_dataclass(value) for value in made.values()):
        out = []
        for entry, value in made.items():
            out += [f".. py:data:: {name}.{entry}", "", f"   ``{value!r}``", ""]
        return out
    return [f"Units and dimensions: {', '.join(f'``{entry}``' for entry in entries)}"]


def commands() -> str:
    """Return the page of the command line: what --help says of every command."""
    from click.testing import CliRunner

    from neurosim.cli.main import cli

    out = ["# The command line", "", "What `--help` says.", ""]
    ways = [(), *((name,) for name in cli.commands), ("lava", "install")]
    for way in ways:
        said = CliRunner().invoke(cli, [*way, "--help"], prog_name="neurosim", env={"COLUMNS": "88"})
        if said.exit_code:
            raise RuntimeError(f"neurosim {' '.join(way)} --help ended with {said.exit_code}: {said.output}")
        out += [f"## `{' '.join(('neurosim', *way))}`", "", "```text", said.output.strip(), "```", ""]
    return "\n".join(out)

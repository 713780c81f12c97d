"""Networks in other people's formats: what ``neurosim export --to`` can write, and what ``neurosim run`` can read.

A target is a name and the place of a function ``export(network, directory, *, duration, lossy) -> Written``, as text,
so that nothing is imported before it is used; whoever adds a format adds a line.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from neurosim.errors import ParameterError, UnknownNameError, suggest
from neurosim.ir.graph import Graph
from neurosim.recording.atomic import refusal

TARGETS: dict[str, str] = {
    "lava": "neurosim.backends.lava.export:export",
    "nir": "neurosim.interchange.nir.write:export",
    "pynn": "neurosim.interchange.pynn_script:export",
    "sonata": "neurosim.interchange.sonata.write:export",
}


@dataclass
class Written:
    """What an export has written, and what it changed.

    Attributes
    ----------
    directory : str
        Where it lies.
    start : str
        The file to begin with, such as ``simulation_config.json``.
    files : list of str
        All files, relative to the directory.
    changes : list of str
        Sentences: what other programs will take differently from neurosim.
    losses : list of str
        Sentences: what could not be written at all (only with ``lossy``).
    """

    directory: str
    start: str
    files: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def exporter(target: str) -> Callable[..., Written]:
    """Return the function that writes a format."""
    if target not in TARGETS:
        raise UnknownNameError(f"neurosim cannot export to '{target}'{suggest(target, TARGETS)}")
    module, _, name = TARGETS[target].partition(":")
    found: Any = getattr(importlib.import_module(module), name)
    return found


@contextlib.contextmanager
def new_folder(directory: str) -> Iterator[str]:
    """Hand out a folder to write into: it becomes ``directory`` when all is written, and is gone where something fails.

    Raises
    ------
    ParameterError
        There is something already.
    """
    target = os.path.abspath(directory)
    if os.path.isfile(target) or (os.path.isdir(target) and os.listdir(target)):
        raise ParameterError(f"'{directory}' is there already and not an empty folder: name another one, or empty it")
    part = f"{target}.{secrets.token_hex(4)}.part"
    try:
        os.makedirs(part)
        yield part
        if os.path.isdir(target):
            os.rmdir(target)
        os.replace(part, target)
    except OSError as error:
        raise refusal(directory, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fixed_weights(graph: Graph, tool: str) -> list[str]:
    """Return the losses of a format whose synapses neither learn nor depend on the spikes before."""
    out = []
    for p in graph.projections:
        if p.plasticity is not None:
            out.append(f"the learning rule of '{p.name}': {tool} gets its weights at the start")
        if p.release is not None:
            out.append(f"the short-term plasticity of '{p.name}': {tool} gets its weights, which every spike delivers")
    out += [f"the link '{link.name}': {tool} gets no couplings without spikes" for link in graph.links]
    return out


def refuse_losses(losses: list[str], lossy: bool) -> None:
    """Stop an export that would lose something, unless the user asked for what remains."""
    if losses and not lossy:
        many = "\n".join(f"  - {loss}" for loss in losses)
        raise ParameterError(f"the export would lose something; --lossy writes the rest:\n{many}")

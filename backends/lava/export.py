"""``neurosim export --to lava``: a folder with a script and its arrays, which runs in Lava and checks itself."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import replace
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim.backends.base import Options
from neurosim.backends.lava.lower import complaints, lower
from neurosim.backends.lava.script import ARRAYS, SCRIPT, arrays, script
from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.loihi2.quantisation import in_integers, quantised_graph
from neurosim.interchange import Written
from neurosim.ir.graph import ProbeNode
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.network import Network
from neurosim.registry import load_backend
from neurosim.units import TIME, Quantity, scalar


def export(network: Network, directory: str, *, duration: Quantity, lossy: bool = False) -> Written:
    """Write a network of Loihi 2's integers as ``network.py`` and ``network.npz``.

    ``python network.py`` runs it in Lava 0.10 and compares its spikes with those that ``native`` gives. Lava need not
    be installed to write it.

    Parameters
    ----------
    network : Network
        Populations of :func:`neurosim.hardware.loihi2.LIF`, and sources; others are quantised first.
    directory : str
        A folder that does not exist yet, or is empty.
    duration : Quantity
        Of the run that is compared.
    lossy : bool
        Changes nothing: all is written or nothing.

    Raises
    ------
    UnsupportedError
        Something that Lava's integer processes cannot express.
    """
    steps = whole_steps(scalar(duration, TIME, "the duration of the export"), network.dt,
                        "the duration of the export", None, least=1)  # fmt: skip
    target = os.path.abspath(directory)
    if os.path.isfile(target) or (os.path.isdir(target) and os.listdir(target)):
        raise ParameterError(f"'{directory}' is there already and not an empty folder: name another one, or empty it")
    graph, changes = compile_network(network), []
    if not in_integers(graph):
        graph, quantised = quantised_graph(graph)
        changes = quantised.changes
    found = complaints(graph)
    if found:
        raise UnsupportedError(f"Lava cannot take this network: no {found[0][0]}", found[0][1])
    lowered = lower(graph, steps)
    emitting = [p.name for p in graph.populations]
    spied = replace(graph, probes=tuple(ProbeNode(name, "spikes", None) for name in emitting))
    engine = load_backend("native").build(spied, Options())
    engine.advance(steps)
    expected = engine.drain().spikes
    engine.close()
    data: dict[str, Any] = arrays(lowered)
    data |= {f"{name}.expected": np.array(expected[name]) for name in emitting}
    part = f"{target}.{secrets.token_hex(4)}.part"
    try:
        os.makedirs(part)
        np.savez_compressed(os.path.join(part, ARRAYS), **data)
        with open(os.path.join(part, SCRIPT), "w", encoding="utf-8") as file:
            file.write(script(lowered, f"Network '{network.name}'", steps, [], __version__))
        if os.path.isdir(target):
            os.rmdir(target)
        os.replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    total = sum(len(ids) for _, ids in expected.values())
    return Written(directory, SCRIPT, [SCRIPT, ARRAYS], [
        "Lava counts time from 1: what neurosim does in step n happens in its time step n + 1",
        f"{total} spikes are expected in {steps} steps; the script compares",
        "connections, weights and delays are the numbers that neurosim drew; odd weights of both signs became two "
        "connections, since Lava's mixed weights are even",
        *changes,
    ])  # fmt: skip

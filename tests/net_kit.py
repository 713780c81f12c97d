"""What the tests of the language and of the passes share: small networks, runs on the reference, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import NeurosimError
from neurosim.lang.components import Cell, Receptor
from neurosim.units import ms, mV

DT = 0.1
DELTA = Receptor(event="v += w")
SYN = Receptor("dx/dt = -x/tau", event="x += w", output="x", tau=5 * ms)
CELL = Cell(
    "dv/dt = (v_rest - v + i)/tau",
    threshold="v >= v_th",
    reset="v = v_rest",
    tau=10 * ms,
    v_rest=0 * mV,
    v_th=10 * mV,
    receptors={"exc": SYN, "inh": SYN(tau=10 * ms)},
    name="Mine",
)
ONE = CELL(receptors={"exc": SYN})


def network(**sizes: int) -> ns.Network:
    """A network of populations of ``ONE``, by name and size."""
    net = ns.Network(dt=DT * ms, seed=3)
    for name, n in sizes.items():
        net.population(name, n, ONE)
    return net


def build(cell: Cell, n: int = 1, dt: Any = DT * ms, **more: Any) -> ns.Network:
    """A network of one population, ``p``."""
    net = ns.Network(dt=dt, seed=5)
    net.population("p", n, cell, **more)
    return net


def traces(net: ns.Network, steps: int, *variables: str) -> list[np.ndarray]:
    """Run on the reference and return [steps + 1, n] of each variable, the initial values first."""
    pop = net["p"]
    for var in variables:
        net.record(pop, var)
    net.record(pop, "spikes")
    first = compile_network(net, after="units").populations[0]
    result = net.run(steps * net.dt * 1e3 * ms, backend="reference")
    assert result.provenance.n_steps == steps
    return [np.vstack([np.broadcast_to(first.state(v).init, (pop.n,)), result.state["p"][v].values]) for v in variables]


def spikes(net: ns.Network, steps: int) -> list[tuple[int, int]]:
    """Run on the reference and return (step, neuron) of every spike of ``p``."""
    for pop in net.populations.values():
        net.record(pop, "spikes")
    found = net.run(steps * net.dt * 1e3 * ms, backend="reference").spikes["p"]
    return list(zip(found.steps.tolist(), found.ids.tolist(), strict=True))


def refused(kind: type[NeurosimError], make: Callable[[], Any]) -> str:
    """Return the message of an error, and check that the error names the file of the test."""
    return _refused(kind, make, make.__code__.co_filename)


def population_refused(kind: type[NeurosimError], make: Callable[[], Any]) -> str:
    """The same where the error may name the place at which `build` made the population: this file."""
    return _refused(kind, make, make.__code__.co_filename, __file__)


def _refused(kind: type[NeurosimError], make: Callable[[], Any], *files: str) -> str:
    with pytest.raises(kind) as caught:
        make()
    assert caught.value.where is not None, caught.value.message
    assert any(Path(file).name + ":" in caught.value.where for file in files), caught.value
    return caught.value.message

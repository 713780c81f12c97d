"""Helpers for the tests of models: one population, run on the reference, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.models import SpikeSource
from neurosim.recording.result import RunResult
from neurosim.units import ms

MS = 1e-3


def run(cell: Any, duration: Any, dt: Any = 0.1 * ms, n: int = 1, stimuli: Iterable[Any] = (),
        record: Iterable[str] = (), backend: str = "reference", seed: int = 1,
        **population: Any) -> RunResult:  # fmt: skip
    """Run ``n`` unconnected neurons of one kind."""
    net = ns.Network(dt=dt, seed=seed)
    pop = net.population("p", n, cell, **population)
    for stimulus in stimuli:
        net.stimulate(pop, stimulus)
    for variable in ("spikes", *record):
        net.record(pop, variable)
    return net.run(duration, backend=backend)


def poke(cell: Any, receptor: str | None, weight: Any, duration: Any, dt: Any = 0.1 * ms, n: int = 1, at: Any = 1 * ms,
         record: Iterable[str] = ("v",), **population: Any) -> RunResult:  # fmt: skip
    """Send one spike to each of ``n`` neurons, with a delay of one step."""
    net = ns.Network(dt=dt, seed=1)
    source = net.population("source", 1, SpikeSource([[at / ms] * ms]))
    pop = net.population("p", n, cell, **population)
    net.connect(source, pop, receptor=receptor, weight=weight, delay=dt)
    for variable in ("spikes", *record):
        net.record(pop, variable)
    return net.run(duration, backend="reference")


def trace(result: RunResult, variable: str) -> np.ndarray:
    """Return a recorded variable: the values after each step, [steps, n]."""
    return result.state["p"][variable].values


def steps(result: RunResult, neuron: int = 0) -> np.ndarray:
    """Return the steps in which a neuron spiked."""
    spikes = result.spikes["p"]
    return spikes.steps[spikes.ids == neuron]

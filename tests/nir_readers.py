"""Networks that are written as NIR graphs, and other simulators that read these, for tests and evidence."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import nir
import numpy as np

import neurosim as ns
from neurosim.interchange.nir.build import read_inputs
from neurosim.interchange.nir.write import export
from neurosim.models import IF, LIF, DCInput, DeltaCurrent, ExpCurrent, PulseCurrent, SpikeSource
from neurosim.units import ms, mV


def network(cell: Any, recurrent: bool, drive: bool = False) -> ns.Network:
    net = ns.Network("net", dt=0.1 * ms, seed=3)
    at, who = np.nonzero(np.random.default_rng(0).random((300, 10)) < 0.08)
    source = net.population("s", 10, SpikeSource(at * 0.1 * ms, who))
    a, b = net.population("a", 20, cell), net.population("b", 5, cell)
    net.connect(source, a, weight=ns.normal(4 * mV, 3 * mV), delay=0.1 * ms, name="sa")
    if recurrent:
        net.connect(a, a, rule=ns.FixedProbability(0.3), weight=ns.normal(-1 * mV, 1 * mV), delay=0.1 * ms, name="aa")
        net.connect(source, b, weight=ns.normal(1 * mV, 2 * mV), delay=ns.uniform(0.5 * ms, 1 * ms), name="sb")
    net.connect(a, b, weight=ns.normal(5 * mV, 2 * mV), delay=0.3 * ms, name="ab")
    if drive:
        net.stimulate(a, DCInput(np.linspace(1, 10, 20) * mV))
    net.record([a, b], "spikes")
    return net


CELLS = {
    "delta": LIF(v_reset=-70 * mV, receptors={"e": DeltaCurrent}),
    "delta, before": LIF(v_reset=-70 * mV, tau_m=5 * ms, receptors={"e": DeltaCurrent(when="before")}),
    "delta, Euler": LIF(v_reset=-70 * mV, method="euler", receptors={"e": DeltaCurrent}),
    "exponential": LIF(v_reset=-70 * mV, tau_m=10 * ms, receptors={"e": ExpCurrent(tau=5 * ms)}),
    "exponential, equal": LIF(v_reset=-70 * mV, tau_m=5 * ms, receptors={"e": ExpCurrent(tau=5 * ms)}),
    "pulse": LIF(v_reset=-70 * mV, r_m=100.0, receptors={"e": PulseCurrent}),
    "integrator": IF(v_reset=-70 * mV, receptors={"e": DeltaCurrent}),
}  # fmt: skip


def compared(net: ns.Network, folder: Path, tool: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes of ``b`` that were written beside a graph, and those of a simulator's own reading of it.

    Parameters
    ----------
    tool : {"snntorch", "norse"}
    """
    import torch

    export(net, str(folder), duration=30 * ms)
    x = read_inputs(str(folder / "inputs.h5"), 0.1 * ms)["s"]
    data = nir.read_data(folder / "expected.h5").nodes["b"].observables["spikes"]
    expected = data.to_time_gridded(1e-4).data[0].astype(float)
    graph = nir.read(folder / "graph.nir")
    with contextlib.redirect_stdout(io.StringIO()):  # snnTorch says how it scales weights
        if tool == "norse":
            import norse.torch

            module: Any = norse.torch.from_nir(graph, dt=1e-4)
        else:
            from snntorch.import_nir import import_from_nir

            module = import_from_nir(graph)
    state, got = None, []
    with torch.no_grad():
        for row in x[: len(expected)]:
            z, state = module(torch.tensor(row[None], dtype=torch.float32), state)
            got.append((z[0] if isinstance(z, tuple) else z)[0].numpy())
    return expected, np.array(got)

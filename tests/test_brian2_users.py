"""What docs/for_brian2_users.md says of Brian2 itself, beside what its own blocks show."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.models import SpikeSource
from neurosim.units import ms

pytestmark = pytest.mark.engine("brian2")

STEPS = 3000


@pytest.fixture
def brian2() -> Any:
    module = importlib.import_module("brian2")
    kept = module.prefs.codegen.target, module.defaultclock.dt
    module.prefs.codegen.target, module.defaultclock.dt = "numpy", 0.1 * module.ms
    yield module
    module.prefs.codegen.target, module.defaultclock.dt = kept


def theirs(brian2: Any, at: np.ndarray, delay: int, resets_last: bool) -> list[int]:
    source = brian2.SpikeGeneratorGroup(1, np.zeros(len(at), int), at * 0.1 * brian2.ms)
    cell = brian2.NeuronGroup(1, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
    wire = brian2.Synapses(source, cell, on_pre="v_post += 0.3", delay=delay * 0.1 * brian2.ms)
    wire.connect()
    monitor = brian2.SpikeMonitor(cell)
    net = brian2.Network(source, cell, wire, monitor)
    if not resets_last:
        net.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]
    net.run(STEPS * 0.1 * brian2.ms)
    return np.rint(monitor.t_ / 1e-4).astype(int).tolist()


@pytest.mark.parametrize("delay", [0, 5])
def test_jumps_of_v(brian2: Any, delay: int) -> None:
    """They are the same but for what arrives in the step of a spike, which Brian2's reset wipes out."""
    at = np.unique(np.random.default_rng(0).integers(1, STEPS - 10, 400))
    net = ns.Network("jumps", dt=0.1 * ms)
    source = net.population("source", 1, SpikeSource([at * 0.1 * ms]))
    cell = net.population("cell", 1, ns.Cell(
        "dv/dt = -v/tau", threshold="v > 1", reset="v = 0", method="exact", tau=10 * ms,
        receptors={"jump": ns.Receptor(event="v += w", when="before")},
    ))  # fmt: skip
    net.connect(source, cell, weight=0.3, delay=(delay + 1) * 0.1 * ms)
    net.record(cell, "spikes")
    ours = net.run(STEPS * 0.1 * ms, backend="reference").spikes["cell"].steps.tolist()
    assert len(ours) > 50
    assert ours == theirs(brian2, at, delay, resets_last=False)
    assert ours != theirs(brian2, at, delay, resets_last=True)


@pytest.mark.parametrize("clamp", ["", "v"])
@pytest.mark.parametrize(
    ("refractory", "threshold", "reset"),
    [
        ("v > 0.5", "v > 0.8", ""),
        ("u > 0.3", "v > 0.6", "v = 0; u += 1"),
        ("u > 0.3 or v > 0.75", "v > 0.6", "u += 0.5"),
    ],
)
def test_conditions_in_the_place_of_a_refractory_period(
    brian2: Any, refractory: str, threshold: str, reset: str, clamp: str
) -> None:
    drive = np.linspace(0, 1.5, 5)
    equations = "dv/dt = (1.2*sin(2*pi*t/(13*ms)) + w - v)/(3*ms){}\ndu/dt = -u/(4*ms){}"
    flag = " : 1 (unless refractory)" if clamp else " : 1"
    group = brian2.NeuronGroup(
        5, equations.format(flag, " : 1") + "\nw : 1", threshold=threshold, reset=reset.replace("; ", "\n") or None,
        refractory=refractory, method="euler",
    )  # fmt: skip
    group.w = drive
    monitor = brian2.SpikeMonitor(group)
    brian2.Network(group, monitor).run(200 * brian2.ms)
    wanted = set(zip(np.rint(monitor.t_ / 1e-4).astype(int).tolist(), np.asarray(monitor.i).tolist(), strict=True))
    cell = ns.Cell(equations.format("", ""), threshold=threshold, reset=reset or None, refractory=refractory,
                   clamp=clamp or None, method="euler", w=drive)  # fmt: skip
    net = ns.Network("refractory", dt=0.1 * ms)
    net.record(net.population("cells", 5, cell), "spikes")
    found = net.run(200 * ms, backend="reference").spikes["cells"]
    assert len(wanted) > 3 and set(zip(found.steps.tolist(), found.ids.tolist(), strict=True)) == wanted

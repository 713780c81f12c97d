"""ReLU networks that tell digits, converted to spikes: MNIST's whole test set, exactly, on grids, and by rates.

A perceptron and a convolutional network are trained here. First spikes are computed in closed form, and run on
``native`` at several steps of time; rates run for several numbers of steps; what Loihi 2's integers make of rates is
run on the first images, one a run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SOURCES = [
    "backends/native/*.py", "backends/compiled/*.py", "hardware/loihi2/*.py", "neurosim/learning/[ac]*.py",
    "neurosim/analysis/cost.py", "neurosim/ir/**/*.py", "neurosim/passes/**/*.py", "tests/evidence/conversion.py",
]  # fmt: skip

SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
EPOCHS, BATCH, CHUNK, CHIP, CHIP_STEPS = 6, 128, 1000, 100, 32
GRIDS, STEPS = (4, 8, 16, 64), (2, 4, 8, 16, 32)


def data() -> dict[str, Any]:
    """Return images in 0 … 1 and labels, of the training and the test set."""
    import numpy as np
    import torch

    with np.load(SHARED / "mnist" / "mnist.npz") as f:
        out = {k: torch.from_numpy(f[k])[:, None].float() / 255 for k in ("x_train", "x_test")}
        return out | {k: torch.from_numpy(f[k]).long() for k in ("y_train", "y_test")}


def trained(kind: str, log: Any) -> Any:
    """Return a network trained on the training set: a ``perceptron``, or a ``convolutional`` one."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    if kind == "perceptron":
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Dropout(0.2), nn.Linear(300, 100),
                              nn.ReLU(), nn.Linear(100, 10))  # fmt: skip
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 5, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    given = data()
    x, y = given["x_train"], given["y_train"]
    epochs = EPOCHS if kind == "perceptron" else EPOCHS // 2
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * -(-len(x) // BATCH))
    for epoch in range(epochs):
        total = 0.0
        for some in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[some]), y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += float(loss.detach()) * len(some)
        log(f"{kind}, epoch {epoch + 1} of {epochs}: loss {total / len(x):.4f}")
    return model.double().eval()


def run_all(show: Any, images: Any) -> dict[str, Any]:
    """Run all images on native, some at a time, as ``show`` presents them; return outputs, spikes and operations."""
    import numpy as np

    from neurosim.analysis import cost

    logits, spikes, operations, neurons = [], 0, 0.0, 0
    for some in images.split(CHUNK):
        shown = show(some)
        result = shown.run(progress=False)
        logits.append(shown.read(result))
        spikes += sum(s.count for s in result.spikes.values())
        neurons = sum(s.size for s in result.spikes.values())
        operations += cost(shown.network, result).effective_acs
    return {"logits": np.concatenate(logits), "spikes": spikes / neurons / len(images),
            "operations": operations / len(images)}  # fmt: skip


def row(found: dict[str, Any], labels: Any, outputs: Any) -> dict[str, float]:
    """Return accuracy and agreement with the network's answers in percent, and what it took."""
    import numpy as np

    answers = found["logits"].argmax(1)
    return {
        "right": 100 * float(np.mean(answers == labels)),
        "answers of the network": 100 * float(np.mean(answers == outputs.argmax(1))),
        "spikes of a neuron": found["spikes"],
        "synaptic operations": found["operations"],
    }


def first_spikes(kind: str, model: Any, log: Any) -> dict[str, Any]:
    """Exactly, and on grids; with windows that hold every activation, and with those that cut one in a thousand."""
    import numpy as np
    import torch

    from neurosim.learning import convert
    from neurosim.units import ms

    given = data()
    x, labels = given["x_test"].double(), given["y_test"].numpy()
    with torch.no_grad():
        outputs = model(x).numpy()
    timed = convert(model, given["x_train"], window=16 * ms)
    exact = timed.evaluate(x)
    out: dict[str, Any] = {
        "network": 100 * float(np.mean(outputs.argmax(1) == labels)),
        "first spikes": 100 * float(np.mean(exact.logits.argmax(1) == labels)),
        "largest difference of an output": float(np.abs(exact.logits - outputs).max()),
        "spikes of a neuron": exact.spikes_per_neuron,
        "saturated": sum(exact.saturated.values()),
        "multiply-accumulations of the network": timed.macs(x),
    }
    log(f"{kind}: {out}")
    for way, converted in (
        ("steps of a window", timed),
        ("steps of a window, largest of 99.9 %", convert(model, given["x_train"], percentile=99.9, headroom=0)),
    ):
        out[way] = {}
        for steps in GRIDS if kind == "perceptron" else GRIDS[1:3]:
            dt = 16 * ms / steps
            found = run_all(lambda some, c=converted, dt=dt: c.present(some, dt=dt), x)
            out[way][str(steps)] = row(found, labels, outputs)
            out[way][str(steps)]["off from the rounded times"] = float(
                np.abs(found["logits"] - converted.evaluate(x, dt).logits).max()
            )
            log(f"{kind}, {way}: {steps}: {out[way][str(steps)]}")
    return out


def rates(model: Any, log: Any) -> dict[str, Any]:
    """Rates of the perceptron, with resets by subtraction and to zero; the latter in Loihi 2's integers as well."""
    import numpy as np
    import torch

    from neurosim.learning import convert

    given = data()
    x, labels = given["x_test"].double(), given["y_test"].numpy()
    with torch.no_grad():
        outputs = model(x).numpy()
    out: dict[str, Any] = {}
    for reset in ("subtract", "zero"):
        converted = convert(model, given["x_train"], method="rate", reset=reset)
        out[reset] = {}
        for steps in STEPS:
            found = run_all(lambda some, c=converted, steps=steps: c.present(some, steps=steps), x)
            out[reset][str(steps)] = row(found, labels, outputs)
            log(f"rates, {reset}, {steps} steps: {out[reset][str(steps)]}")
    converted = convert(model, given["x_train"], method="rate", reset="zero")
    answers: dict[str, list[int]] = {"native": [], "loihi2": []}
    for k in range(CHIP):
        shown = converted.present_to_lif(x[k : k + 1], steps=CHIP_STEPS)
        for backend, said in answers.items():
            said.append(int(shown.read(shown.run(backend=backend, progress=False)).argmax()))
    right = {backend: 100 * float(np.mean(np.array(said) == labels[:CHIP])) for backend, said in answers.items()}
    same = 100 * float(np.mean(np.array(answers["native"]) == np.array(answers["loihi2"])))
    out["LIF, one sample a run"] = {
        "samples": CHIP,
        "steps": CHIP_STEPS,
        "right": right,
        "loihi2 as native": same,
        "network": 100 * float(np.mean(outputs[:CHIP].argmax(1) == labels[:CHIP])),
    }
    log(f"LIF: {out['LIF, one sample a run']}")
    return out


def run(log: Any) -> dict[str, Any]:
    """Train, convert and count."""

    def perceptron() -> dict[str, Any]:
        model = trained("perceptron", log)
        return {"first spikes": first_spikes("perceptron", model, log), "rates": rates(model, log)}

    both = log.step("perceptron", perceptron)
    found, rate = {"perceptron": both["first spikes"]}, both["rates"]
    found["convolutional"] = log.step(
        "convolutional", lambda: first_spikes("convolutional", trained("convolutional", log), log)
    )
    good = all(
        f["first spikes"] == f["network"] and f["largest difference of an output"] < 1e-9 and not f["saturated"]
        and f["spikes of a neuron"] < 1
        and all(r["off from the rounded times"] < 1e-6 for w in f.values() if isinstance(w, dict) for r in w.values())
        for f in found.values()
    )  # fmt: skip
    network = found["perceptron"]["network"]
    close = abs(found["perceptron"]["steps of a window"][str(GRIDS[-1])]["right"] - network) < 0.2
    close = close and abs(rate["subtract"][str(STEPS[-1])]["right"] - network) < 0.2
    chip = rate["LIF, one sample a run"]
    return {"first spikes": found, "rates": rate, "passed": good and close and chip["loihi2 as native"] > 97}

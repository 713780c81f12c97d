"""Digits seen by an event camera: real N-MNIST recordings are read, learned, and told apart on the default engine.

A recording is 300 ms of events, ON and OFF, of 34 x 34 pixels; the camera moves three times. Here 2 x 2 pixels are one
and 10 ms a step, and a pixel's events of a step are a spike of its neuron. Gradients through time train two layers, 256
neurons and ten for each digit, on 1,000 recordings, for half a minute. The result: more than 93 of 100 recordings that
it has not seen are told right, by the module and by native, where they come one after the other.

    python examples/21_event_camera.py ../shared/data/nmnist_small/nmnist_small.npz

or the folder with ``Train`` and ``Test`` of N-MNIST itself; what lies in NEUROSIM_SHARED_DATA is read by default.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch

import neurosim as ns
from neurosim import datasets, encoding
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import ms, mV

SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
DATA = SHARED / "nmnist_small" / "nmnist_small.npz"
DT, STEPS, SILENCE, SIDE, HIDDEN, EACH, BATCH = 10 * ms, 30, 60, 17, 256, 10, 50


def network(times=[] * ms, ids=()):
    """Return the classifier; spikes come from its source, if any are given."""
    net = ns.Network("digits", dt=DT, seed=1)
    cell = LIF(tau_m=100 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    pixels = net.population("pixels", 2 * SIDE**2, SpikeSource(times, np.asarray(ids, dtype=int)))
    hidden, digits = net.population("hidden", HIDDEN, cell), net.population("digits", 10 * EACH, cell)
    net.connect(pixels, hidden, weight=ns.normal(0 * mV, 0.5 * mV), delay=DT, name="in")
    net.connect(hidden, digits, weight=ns.normal(0 * mV, 1 * mV), delay=DT, name="out")
    net.record(hidden + digits, "spikes")
    return net


def votes(spikes):
    """Return [samples, digits] of output spikes [samples, steps, neurons]."""
    return spikes.sum(1).reshape(len(spikes), 10, EACH).sum(2)


def train(spikes, labels, epochs, seed=0):
    """Return the module trained on spikes [samples, steps, pixels]; in every batch the images are moved a little."""
    g = torch.Generator().manual_seed(seed)
    module = network().to_torch()
    images, labels = torch.from_numpy(spikes).unflatten(2, (2, SIDE, SIDE)), torch.from_numpy(labels)
    optimiser, batches = torch.optim.AdamW(module.parameters(), weight_decay=1e-3), len(labels) // BATCH
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=epochs * batches, pct_start=0.2)
    for epoch in range(epochs):
        order = torch.randperm(len(labels), generator=g)
        for some in order[: batches * BATCH].split(BATCH):
            moves = torch.randint(-1, 2, (5, 2), generator=g).tolist()
            moved = [part.roll(move, (3, 4)) for part, move in zip(images[some].chunk(5), moves, strict=True)]
            answer = votes(module({"pixels": torch.cat(moved).flatten(2)}).spikes["digits"])
            loss = torch.nn.functional.cross_entropy(0.3 * answer, labels[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1:2d}: loss {loss.item():.3f}")
    return module


def run(module, spikes, backend="native"):
    """Return votes [samples, digits] of one run of the trained network, and its result."""
    net = network(*encoding.source(spikes, DT, silence=SILENCE))
    net.load_torch(module)
    result, period = net.run(len(spikes) * (STEPS + SILENCE) * DT, backend=backend), STEPS + SILENCE
    of, counts = result.spikes["digits"], np.zeros((len(spikes), 10))
    seen = of.steps % period < STEPS  # the module is asked no longer
    np.add.at(counts, (of.steps[seen] // period, of.ids[seen] // EACH), 1)
    return counts, result


def main(data=DATA, epochs=40, path=None, backend="native"):
    """Read, train and test; return the accuracies and the confusion matrix [digit, answer] of the engine."""
    recordings = datasets.read_recordings(data)
    coded = recordings.map(lambda events: events.downsample(2).spikes(DT, STEPS))
    module = train(*coded.train.arrays(), epochs)
    spikes, labels = coded.test.arrays()
    with torch.no_grad():
        there = votes(module({"pixels": torch.from_numpy(spikes)}).spikes["digits"]).argmax(1).numpy()
    counts, result = run(module, spikes, backend)
    here = counts.argmax(1)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (labels, here), 1)
    found = {"module": (there == labels).mean(), backend: (here == labels).mean(), "same": (here == there).mean(),
             "confusion": confusion}  # fmt: skip
    print("{} unseen recordings: {:.0%} right as a module, {:.0%} on {}; {:.0%} of the answers are the same".format(
        len(labels), found["module"], found[backend], backend, found["same"]))  # fmt: skip
    if path:
        draw(recordings.test, spikes, result, found, path)
    return found


def draw(recordings, spikes, result, found, path):
    """Save a picture: recordings, the spikes that one of them causes, and the confusion matrix."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    top, bottom = left.subfigures(2, 1, height_ratios=(1, 1.9))
    shown = [int(np.flatnonzero(recordings.labels == digit)[0]) for digit in (2, 4, 5, 8)]
    for ax, k in zip(top.subplots(1, 4), shown, strict=True):
        off, on = np.clip(recordings[k][0].between(40 * ms, 70 * ms).frames(30 * ms, 1)[0, ..., None] / 3, 0, 1)
        ax.imshow((1 - on * (0.0, 0.45, 0.95) - off * (0.9, 0.5, 0.1)).clip(0, 1))
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{recordings[k][1]}", fontsize=10)
    top.suptitle("events of 30 ms: brighter (orange), darker (blue)", fontsize=10)
    first, rows = shown[0] * (STEPS + SILENCE), {"pixels": spikes[shown[0]]}
    for name, size in (("hidden", HIDDEN), ("digits", 10 * EACH)):
        rows[name], of = np.zeros((STEPS, size)), result.spikes[name]
        inside = (of.steps >= first) & (of.steps < first + STEPS)
        rows[name][of.steps[inside] - first, of.ids[inside]] = 1
    rows["digits"] = rows["digits"].reshape(STEPS, 10, EACH).sum(2)
    for ax, (name, row) in zip(
        bottom.subplots(3, 1, sharex=True, height_ratios=(2, 2, 1.4)), rows.items(), strict=True
    ):
        ax.imshow(row.T, aspect="auto", origin="lower", cmap="Greys", interpolation="none", vmax=row.max() or 1,
                  extent=(0, STEPS * (DT / ms), -0.5, row.shape[1] - 0.5))  # fmt: skip
        ax.set_ylabel("votes" if name == "digits" else name, fontsize=9)
    ax.set(yticks=range(0, 10, 2), xlabel="time (ms)")
    bottom.suptitle(
        f"spikes of the first, a {recordings[shown[0]][1]}, and the votes of ten neurons a digit", fontsize=10
    )
    ax, confusion = right.subplots(), found["confusion"]
    ax.imshow(confusion, cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            dark = count > 0.6 * confusion.max()
            ax.text(column, row, count, ha="center", va="center", color="w" if dark else "k" if row == column else "C3")
    ax.set(xticks=range(10), yticks=range(10), xlabel="answer", ylabel="digit")
    ax.set_title(f"{confusion.sum()} unseen recordings, {np.trace(confusion) / confusion.sum():.0%} right", fontsize=10)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2], path="event_camera.png")
    except ns.errors.DataFileError as error:
        sys.exit(f"{error.message}\nusage: python {sys.argv[0]} [nmnist_small.npz, or the folder of N-MNIST]")

"""A recurrent network hears spoken digits through a cochlea, learns to tell them apart, and runs in Loihi 2's integers.

The Free Spoken Digit Dataset: six speakers say each digit fifty times, and recordings 0 to 4 of each are for testing. A
bank of gammatone filters and four nerve fibres in each make spikes of a recording; 128 cells with time constants from 8
to 80 ms hear them and each other; six cells vote for each digit. Plain PyTorch trains all weights through time. The
result: from a tenth to 97 % of 300 unseen recordings after eight epochs, and no less in Loihi 2's integers; native
gives every spike that PyTorch gave. With weights of two bits it would be 89 %, and is 96 % if training goes on with
them. Takes three to five minutes.
"""

import os
from pathlib import Path

import numpy as np
import torch

import neurosim as ns
from neurosim.encoding import Cochlea, Fibres, at_level, sound
from neurosim.hardware.training import IntegerTraining
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import Hz, kHz, ms, mV

FOLDER = Path(os.environ.get("NEUROSIM_SHARED_DATA") or "../shared/data") / "fsdd"
DT, STEPS, HIDDEN, DIGITS, EACH = 4 * ms, 150, 128, 10, 6
COCHLEA, FIBRES = Cochlea(8 * kHz, 48, lowest=100 * Hz, highest=3.6 * kHz), Fibres()


def load(folder, fraction):
    """Return recordings, all of the same mean level, their digits, and which are for testing."""
    file = Path(folder) / "fsdd_8khz.npz"
    if not file.exists():
        raise SystemExit(f"{file} is missing: main(folder=...) takes the folder of the dataset")
    with np.load(file) as data:
        every = slice(None, None, round(1 / fraction))
        recordings = [at_level(x) for x in np.split(data["audio"], data["offsets"][1:-1])[every]]
        return recordings, torch.from_numpy(data["labels"][every].astype(np.int64)), data["is_test"][every]


def network(spikes=None):
    """Build it; spikes [steps, fibres] come from its nerve, if any are given."""
    net, size = ns.Network("spoken_digits", dt=DT, seed=1), COCHLEA.channels * FIBRES.each
    step, fibre = np.nonzero(np.zeros((STEPS, size)) if spikes is None else np.asarray(spikes))
    taus = {"hidden": np.geomspace(8, 80, HIDDEN) * ms, "digits": 40 * ms}
    nerve = net.population("nerve", size, SpikeSource(step * DT, fibre))
    hidden, digits = (net.population(name, n, LIF(tau_m=taus[name], v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV,
                                                  receptors={"in": DeltaCurrent}))
                      for name, n in (("hidden", HIDDEN), ("digits", DIGITS * EACH)))  # fmt: skip
    net.connect(nerve, hidden, weight=ns.normal(0.2 * mV, 1.2 * mV), delay=DT, name="forth")
    net.connect(hidden, hidden, weight=ns.normal(0 * mV, 0.1 * mV), delay=4 * DT, name="recurrent")
    net.connect(hidden, digits, weight=ns.normal(0 * mV, 0.6 * mV), delay=DT, name="readout")
    net.record(nerve + hidden + digits, "spikes")
    return net


def votes(spikes):
    """Return how often the cells of each digit have spiked: [n, digits] of [n, steps, cells]."""
    return spikes.sum(1).view(len(spikes), DIGITS, EACH).sum(2)


def train(module, spikes, labels, epochs, batch=64, rate=2e-3):
    """Train on recordings that begin up to 50 ms late and lack a tenth of their spikes, each time others."""
    torch.manual_seed(1)
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=1e-3)
    total = max(2, epochs * (len(spikes) // batch))
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    for epoch in range(epochs):
        for some in torch.randperm(len(spikes))[: len(spikes) // batch * batch].view(-1, batch):
            late = int(torch.randint(0, 12, ()))
            given = torch.nn.functional.pad(spikes[some], (0, 0, late, 0))[:, :STEPS]
            given = given * (torch.rand_like(given) > 0.1)
            answer = votes(module({"nerve": given}).spikes["digits"])
            loss = torch.nn.functional.cross_entropy(0.1 * answer, labels[some])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            pace.step()
        print(f"  epoch {epoch + 1}: loss {loss.item():.3f}")


def answers(module, spikes):
    """Return the digits that a module hears."""
    with torch.no_grad():
        return torch.cat([votes(module({"nerve": some}).spikes["digits"]) for some in spikes.split(100)]).argmax(1)


def main(epochs=8, fraction=1.0, folder=FOLDER, path=None):
    """Train, bring the weights back, compare the engines on a recording of each digit, and draw one of them."""
    recordings, labels, test = load(folder, fraction)
    spikes = torch.from_numpy(sound(recordings, COCHLEA, DT, fibres=FIBRES, steps=STEPS))
    module = network().to_torch()
    found = {"before": (answers(module, spikes[test]) == labels[test]).double().mean().item()}
    train(module, spikes[~test], labels[~test], epochs)
    heard = answers(module, spikes[test])
    found["after"] = (heard == labels[test]).double().mean().item()
    (trained := network()).load_torch(module)
    integers, two = IntegerTraining(trained), IntegerTraining(trained, bits=2)
    for name, of in (("integers", integers), ("two_bits", two)):
        found[name] = (answers(of, spikes[test]) == labels[test]).double().mean().item()
    train(two, spikes[~test], labels[~test], max(1, epochs // 4), rate=4e-4)
    found["two_bits_trained"] = (answers(two, spikes[test]) == labels[test]).double().mean().item()

    some = [int(np.flatnonzero(test & (labels.numpy() == digit))[-1]) for digit in range(DIGITS)]
    found |= {"same": 0, "total": 0}
    for k in some:
        (ready := network(spikes[k])).load_torch(module)
        result, there = ready.run(STEPS * DT, precision="single"), module({"nerve": spikes[k]}).spikes
        for name in ("hidden", "digits"):
            ours = set(zip(result.spikes[name].steps, result.spikes[name].ids, strict=True))
            theirs = set(zip(*np.nonzero(there[name][0].detach().numpy()), strict=True))
            found |= {"same": found["same"] + len(ours & theirs), "total": found["total"] + len(ours | theirs)}
        if path is not None and k == some[7]:
            draw(recordings[k], result, torch.stack([labels[test], heard]).numpy(), path)
    print("{before:.0%} of the test recordings right before training, {after:.1%} after; {integers:.1%} in Loihi 2's "
          "integers; {two_bits:.1%} with weights of two bits, {two_bits_trained:.1%} trained with them; "
          "{same} of {total} spikes the same on native".format(**found))  # fmt: skip
    return found


def draw(recording, result, told, path):
    """Save the picture: a recording, what becomes of it on its way through the network, and all answers."""
    import matplotlib.pyplot as plt

    figure, length, nerve = plt.figure(figsize=(11, 6.8), layout="constrained"), STEPS * 4, result.spikes["nerve"]
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1))
    axes = left.subplots(5, 1, sharex=True, height_ratios=(0.6, 1.3, 1.6, 1.3, 1.2))
    axes[0].plot(np.arange(len(recording)) / 8, recording, "k", lw=0.4)
    levels = COCHLEA.levels(recording, 1 * ms)
    t, kilohertz = np.arange(len(levels)), COCHLEA.centres / 1e3
    image = axes[1].pcolormesh(t, kilohertz, levels.T, vmin=-80, vmax=-20, cmap="magma", rasterized=True)
    axes[1].set_yscale("log")
    axes[1].set(yticks=(0.1, 0.3, 1, 3), yticklabels=("0.1", "0.3", "1", "3"))
    left.colorbar(image, cax=axes[1].inset_axes((0.82, 0.15, 0.02, 0.7)), label="dB")
    for k, color in enumerate(("C0", "C0", "C0", "C1")):
        shown = nerve.ids // COCHLEA.channels == k
        axes[2].plot(1e3 * nerve.t[shown], nerve.ids[shown], ".", ms=1.5, color=color)
    axes[3].plot(1e3 * result.spikes["hidden"].t, result.spikes["hidden"].ids, "k.", ms=1.5)
    for digit in range(DIGITS):
        times = np.sort(result.spikes["digits"].t[result.spikes["digits"].ids // EACH == digit])
        at = np.concatenate([[0], 1e3 * times, [length]])
        axes[4].step(at, np.append(np.arange(len(times) + 1), len(times)), where="post", color=f"C{digit}", label=digit)
    axes[4].legend(ncols=2, fontsize=6, loc="upper left", title="digit", frameon=False, title_fontsize=7)
    names = ("sound", "kHz", "nerve fibre", "hidden cell", "votes")
    for ax, name in zip(axes, names, strict=True):
        ax.set(ylabel=name, xlim=(0, length))
    axes[2].set_title("three fibres of level in each channel (blue), one of onset (orange)", fontsize=8, pad=2)
    axes[4].set_xlabel("time (ms)")
    ax, table = right.subplots(), np.zeros((DIGITS, DIGITS), int)
    np.add.at(table, tuple(told), 1)
    ax.imshow(table, cmap="Blues")
    for (i, j), n in np.ndenumerate(table):
        if n:
            ax.text(j, i, n, ha="center", va="center", color="w" if n > table.max() / 2 else "k")
    ax.set(xticks=range(10), yticks=range(10), xlabel="heard", ylabel="said",
           title=f"{np.mean(told[0] == told[1]):.1%} of {told.shape[1]} unseen recordings")  # fmt: skip
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(path="spoken_digits.png")

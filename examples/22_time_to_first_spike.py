"""A network that tells digits, in spikes: one spike at most of each neuron, or rates; how long each takes to be right.

784-300-100-10 neurons with ReLUs are trained in PyTorch on MNIST and converted twice. By first spikes (A. Stanojevic
et al., Nat. Commun. 15, 2024) a value is the time of a spike: the outputs are the network's own, to rounding, from 0.27
spikes of a neuron. On a grid of time spikes are rounded to it, and accuracy depends on its step, less so where values
of the largest thousandth are cut off. By rates (B. Rueckauer et al., Front. Neurosci. 11, 2017) a value is a number of
spikes, and accuracy depends on how long a digit is shown. The result: right as often as the network, both ways. Rates
need fewer steps for it, first spikes a fourth of the spikes, and no neuron more than one. Takes a minute.
"""

import itertools
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from neurosim.analysis import cost
from neurosim.learning import convert
from neurosim.units import ms

FILE = Path(os.environ.get("NEUROSIM_SHARED_DATA") or "../shared/data") / "mnist" / "mnist.npz"
WINDOW, SIZES = 16 * ms, (784, 300, 100, 10)


def trained(x, y, epochs):
    """Return a perceptron trained on images and labels, in double precision."""
    torch.manual_seed(1)
    layers = [layer for a, b in itertools.pairwise(SIZES) for layer in (nn.Linear(a, b), nn.ReLU())]
    model, batches = nn.Sequential(*layers[:-1]), -(-len(x) // 128)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for some in torch.randperm(len(x)).split(128):
            loss = nn.functional.cross_entropy(model(x[some]), y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    return model.double()


def main(path=None, epochs=3, count=1000, grids=(4, 6, 8, 12, 16, 32, 64), shown=(2, 4, 8, 16, 32, 64)):
    """Return accuracies (%) of the network and of both conversions, spikes of a neuron, and what a digit takes."""
    with np.load(FILE) as f:
        x, test = (torch.tensor(f[k]).reshape(-1, 784) / 255 for k in ("x_train", "x_test"))
        y, labels = torch.tensor(f["y_train"]).long(), f["y_test"]
    model, test = trained(x, y, epochs), test.double()
    with torch.no_grad():
        outputs = model(test).numpy()

    def right(logits):
        return 100 * float(np.mean(logits.argmax(1) == labels[: len(logits)]))

    timed, rates = convert(model, x, window=WINDOW), convert(model, x, method="rate")
    cut = convert(model, x, window=WINDOW, percentile=99.9, headroom=0)
    exact = timed.evaluate(test)
    found = {"network": right(outputs), "exact": right(exact.logits), "spikes": exact.spikes_per_neuron,
             "error": float(np.abs(exact.logits - outputs).max()), "macs": timed.macs(test)}  # fmt: skip
    ways = {"first spikes": [timed.present(test[:count], dt=WINDOW / n) for n in grids],
            "first spikes, cut": [cut.present(test[:count], dt=WINDOW / n) for n in grids],
            "rates": [rates.present(test[:count], steps=n) for n in shown]}  # fmt: skip
    for way, shows in ways.items():
        found[way] = {}
        for few in shows:
            result = few.run(progress=False)
            spikes = sum(s.count for s in result.spikes.values()) / count / sum(SIZES[:-1])
            operations = cost(few.network, result, count).effective_acs
            found[way][few.period] = right(few.read(result)), spikes, operations
    if path is not None:
        draw(test[:1], timed, found, right(outputs[:count]), path)
    return found


def draw(digit, timed, found, aim, path):
    """Save the spikes of one digit, and accuracy and spikes against the steps that a digit takes."""
    import matplotlib.pyplot as plt

    widths = {"layout": "constrained", "width_ratios": (5, 4, 4)}
    figure, (raster, accuracy, spikes) = plt.subplots(1, 3, figsize=(11, 3.4), **widths)
    times, first = timed.evaluate(digit).times, 0
    for k, (name, t) in enumerate(times.items()):
        neurons, window = t.shape[1], (16 * k, 16 * (k + 1))
        raster.fill_between(window, first, first + neurons, color=f"C{k}", alpha=0.12, lw=0)
        raster.plot(1e3 * t[0], first + np.arange(neurons), ".", ms=3, color=f"C{k}")
        place = {"x": window[1] + 0.6} if k < 2 else {"x": window[0] - 0.6, "ha": "right"}
        said = f"{name}: {np.isfinite(t).mean():.0%} spike"
        raster.text(y=first + neurons / 2, s=said, color=f"C{k}", va="center", fontsize=9, **place)
        first += neurons
    raster.set(xlim=(-1, 60), ylim=(first, 0), xlabel="time (ms)", ylabel="neuron", title="one digit, one spike each")
    raster.inset_axes([0.68, 0.57, 0.3, 0.4]).imshow(digit.reshape(28, 28).numpy(), cmap="gray_r")
    raster.child_axes[0].set(xticks=(), yticks=())
    for way in ("first spikes", "first spikes, cut", "rates"):
        steps, (right, per_neuron, _) = list(found[way]), np.transpose(list(found[way].values()))
        accuracy.plot(steps, right, "o-", ms=4, label=way)
        spikes.plot(steps, per_neuron, "o-", ms=4, label=way)
    accuracy.axhline(aim, color="k", lw=0.8, ls=":", label="the network")
    accuracy.set(xscale="log", ylim=(50, 100), xlabel="steps for a digit", ylabel="right (%)", title="accuracy")
    spikes.axhline(found["spikes"], color="k", lw=0.8, ls=":", label="first spikes, exact")
    spikes.set(xscale="log", yscale="log", xlabel="steps for a digit", title="spikes of a neuron for a digit")
    accuracy.legend(loc="lower right"), spikes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    found = main(path="time_to_first_spike.png")
    print(f"right in {found['network']:.2f} %; first spikes {found['exact']:.2f} %, outputs to {found['error']:.0e}, "
          f"{found['spikes']:.2f} spikes of a neuron")  # fmt: skip
    for way in ("first spikes", "first spikes, cut", "rates"):
        for steps, (right, spikes, operations) in found[way].items():
            print(f"{way:<18} {steps:3} steps: {right:5.1f} % right, {spikes:5.2f} spikes of a neuron, "
                  f"{operations:9,.0f} synaptic operations")  # fmt: skip
    print(f"the network itself: {found['macs']:,.0f} multiply-accumulations. See time_to_first_spike.png")

"""A neuron finds a spike pattern that is hidden in noise, and comes to answer to its beginning.

Of 2,000 inputs, which fire irregularly at 64 Hz, a thousand repeat the same 50 ms of spikes a quarter of the time. No
rate tells when, and nothing tells the neuron that there is a pattern at all (Masquelier, Guyonneau and Thorpe, 2008).
Its synapses learn by the times of spikes alone. The result: at first it fires at 60 Hz, at anything; within a minute,
after some hundred presentations, it answers nearly every one of them and nothing else, about 5 ms after the beginning.
Only synapses from inputs of the pattern are strong in the end.
"""

import numpy as np

from neurosim.models.networks.masquelier import LENGTH, detection, masquelier, presentations
from neurosim.units import second


def main(duration=60 * second, seed=1, path=None, backend="native"):
    """Return how well the pattern was told at the beginning and in the last 10 s, and the weights at the end."""
    net, pattern = masquelier(seed=seed, repeat=duration), presentations(seed, repeat=duration)
    result = net.run(duration, backend=backend)
    spikes, weights = result.spikes["neuron"].t, result.weights("synapses")
    out = {
        "first": detection(spikes, pattern, 0.0, 10.0),
        "last": detection(spikes, pattern, pattern.period - 10, pattern.period),
        "strong": ((weights[:1000] > 0.9).sum(), (weights[1000:] > 0.9).sum()),
    }
    if path is not None:
        draw(pattern, spikes, result.spikes["inputs"], weights, path)
    return out


def draw(pattern, spikes, inputs, weights, path):
    """Save the picture: inputs, when each spike came in the pattern, and how strong the inputs are at the end."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained", width_ratios=(1.1, 1.1, 1))
    last = pattern.starts[-2]
    for start in pattern.starts:
        if last - 0.16 < start < last + 0.21:
            axes[0].axvspan(1e3 * (start - last), 1e3 * (start - last + LENGTH), color="C1", alpha=0.2, lw=0)
    near = (inputs.t > last - 0.15) & (inputs.t < last + 0.2)
    axes[0].plot(1e3 * (inputs.t[near] - last), inputs.ids[near], "k.", ms=1.5)
    for spike in spikes[(spikes > last - 0.15) & (spikes < last + 0.2)]:
        axes[0].axvline(1e3 * (spike - last), color="C0", lw=1.2)
    axes[0].set(xlabel="time (ms)", ylabel="input", title="some inputs; the neuron's spikes (blue)", xlim=(-150, 200))

    latest = np.maximum(np.searchsorted(pattern.starts, spikes, side="right") - 1, 0)
    since = spikes - pattern.starts[latest]
    within = (since >= 0) & (since < LENGTH)
    axes[1].plot(spikes[~within], np.full((~within).sum(), -4), "k|", ms=6, alpha=0.4)
    axes[1].plot(spikes[within], 1e3 * since[within], "C0.", ms=3)
    axes[1].set(xlabel="time (s)", ylabel="ms after the pattern's start", title="when it spikes (bottom: elsewhere)")

    bins = np.linspace(0, 1, 21)
    axes[2].hist([weights[:1000], weights[1000:]], bins, stacked=True, color=["C1", "0.6"],
                 label=["in the pattern", "not in it"])  # fmt: skip
    axes[2].set(xlabel="weight", ylabel="inputs", title="synapses at the end", yscale="log")
    axes[2].legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    found = main(path="hidden_pattern.png")
    for when in ("first", "last"):
        d = found[when]
        print(f"{when} 10 s: {d.hit_rate:.1%} found, {d.false_alarms} false alarms, after {1e3 * d.latency:.1f} ms")
    print("strong synapses: {} of the pattern's inputs, {} of the others".format(*found["strong"]))

"""A memory that learns what surprises it: Titans' recurrence carried out by spikes and local synapses.

Keys reach the error units through synapses that are the memory; what they do not predict makes the units fire, and at
the end of a token each synapse changes by what it has seen. The result: with more steps a token the memory comes ever
closer to the exact recurrence, in inverse proportion; a known stream is hardly any surprise, something new is.
"""

import numpy as np

import neurosim as ns
from neurosim.models import ArrayCurrent, ErrorUnit, RateUnit, Surprise
from neurosim.units import kHz, ms

MOMENTUM, FORGETTING, RATE = 0.5, 0.01, 0.3


def stream(tokens=240, pairs=5, d=32):
    """Return keys and values [tokens, d] of a few pairs again and again, and a new one at every twentieth token."""
    g = np.random.default_rng(7)
    order = g.integers(0, pairs, tokens)
    new = np.arange(60, tokens, 20)
    order[new] = pairs + np.arange(len(new))
    keys = np.abs(g.normal(size=(pairs + len(new), d))) * (g.random((pairs + len(new), d)) < 0.2)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    values = g.uniform(-0.7, 0.7, (pairs + len(new), d))
    return keys[order], values[order], new


def exact(keys, values):
    """Return the memory at the end of Titans' recurrence."""
    memory = surprise = np.zeros((values.shape[1], keys.shape[1]))
    for k, v in zip(keys, values, strict=True):
        surprise = MOMENTUM * surprise + RATE * np.outer(v - memory @ k, k)
        memory = (1 - FORGETTING) * memory + surprise
    return memory


def spiking(keys, values, steps):
    """Return the memory at the end, and the rate of error spikes at each token, of a network of spiking neurons."""
    token = steps * 0.1 * ms
    net = ns.Network("titans", dt=0.1 * ms, seed=1)
    key = net.population("key", keys.shape[1], RateUnit())
    error = net.population("error", values.shape[1], ErrorUnit())
    net.stimulate(key, ArrayCurrent(keys, dt=token))
    net.stimulate(error, ArrayCurrent(values, dt=token))
    rule = Surprise(momentum=MOMENTUM, forgetting=FORGETTING, rate=RATE, interval=token, unit=10 * kHz)
    net.connect(key, error, weight=0.0, plasticity=rule, name="memory")
    net.record(error, "rate", every=token)
    result = net.run(len(keys) * token)
    return result.weights("memory").reshape(keys.shape[1], -1).T, result.population_rates["error"].values / 10e3


def main(steps=(8, 16, 32, 64, 128)):
    """Return the relative error of the memory for each number of steps a token, its slope, and both surprises."""
    keys, values, new = stream()
    truth = exact(keys, values)
    runs = {n: spiking(keys, values, n) for n in steps}
    errors = {n: float(np.linalg.norm(memory - truth) / np.linalg.norm(truth)) for n, (memory, _) in runs.items()}
    slope = np.polyfit(np.log(list(errors)), np.log(list(errors.values())), 1)[0]
    surprise = runs[steps[-1]][1]
    known = np.setdiff1d(np.arange(60, len(keys)), new)
    return {"errors": errors, "slope": float(slope), "novel": float(surprise[new].min()),
            "known": float(np.quantile(surprise[known], 0.95)), "surprise": surprise, "new": new}  # fmt: skip


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    found = main()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", width_ratios=(2, 1))
    left.plot(found["surprise"], lw=1)
    left.plot(found["new"], found["surprise"][found["new"]], "o", ms=5, label="something new")
    left.legend(loc="upper right", ncols=2)
    left.set_ylim(0, 1.2 * found["surprise"].max())
    left.set(xlabel="token", ylabel="error spikes a step and neuron", title="Surprise")
    right.loglog(list(found["errors"]), list(found["errors"].values()), "o-")
    right.set(xlabel="steps a token", ylabel="error of the memory", title=f"slope {found['slope']:.2f}")
    figure.savefig("surprise.png", dpi=150)
    print("\n".join(f"{key:9} {value}" for key, value in found.items() if key not in ("surprise", "new")))

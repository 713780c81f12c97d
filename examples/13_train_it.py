"""A network learns by gradients to tell spike patterns apart, and then runs on the default engine, spike for spike.

Each class is a pattern of one spike per input at its own time, seen with jitter and missing spikes. The network becomes
a PyTorch module, plain PyTorch trains all its weights through time, and they come back into the network. The result:
from chance to above 95 % of patterns never seen in training, and native gives every spike that PyTorch gave.
"""

import numpy as np
import torch

import neurosim as ns
from neurosim.models import LIF, ExpCurrent, SpikeSource
from neurosim.units import ms, mV

INPUTS, HIDDEN, CLASSES, STEPS = 100, 80, 4, 60


def patterns(n, g, jitter=1.5, kept=0.8):
    """Return spikes [n, steps, inputs] of patterns of random classes, and the classes."""
    times = np.random.default_rng(0).uniform(5, STEPS - 15, (CLASSES, INPUTS))
    labels = g.integers(0, CLASSES, n)
    at = np.rint(times[labels] + g.normal(0, jitter, (n, INPUTS))).astype(int).clip(0, STEPS - 1)
    spikes = np.zeros((n, STEPS, INPUTS))
    trial, neuron = np.nonzero(g.random((n, INPUTS)) < kept)
    spikes[trial, at[trial, neuron], neuron] = 1
    return torch.from_numpy(spikes), torch.from_numpy(labels)


def network(spikes=None):
    """Build it; spikes [steps, inputs] come from its source, if any are given."""
    net = ns.Network("patterns", dt=1 * ms, seed=2)
    step, neuron = np.nonzero(np.zeros((STEPS, INPUTS)) if spikes is None else spikes.numpy())
    cell = LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, t_ref=2 * ms, receptors={"syn": ExpCurrent(tau=5 * ms)})
    source = net.population("source", INPUTS, SpikeSource(step * ms, neuron))
    hidden, out = net.population("hidden", HIDDEN, cell), net.population("out", CLASSES, cell)
    net.connect(source, hidden, weight=ns.normal(5 * mV, 8 * mV), delay=1 * ms, name="in")
    net.connect(hidden, hidden, rule=ns.FixedProbability(0.2), weight=ns.normal(0 * mV, 8 * mV),
                delay=ns.uniform(1 * ms, 8 * ms), name="recurrent")  # fmt: skip
    net.connect(hidden, out, weight=ns.normal(3 * mV, 8 * mV), delay=1 * ms, name="readout")
    net.record(hidden + out, "spikes")
    return net


def guess(module, spikes):
    """Return the output that spikes most, for each pattern."""
    with torch.no_grad():
        return module({"source": spikes}).spikes["out"].sum(1).argmax(1)


def main(iterations=60, batch=64):
    """Train, bring the weights back, and compare the engines on unseen patterns."""
    g = np.random.default_rng(1)
    module = network().to_torch(precision="double", surrogate="fast_sigmoid")
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    unseen, answers = patterns(400, g)
    found = {"same": 0, "total": 0, "before": (guess(module, unseen) == answers).double().mean().item()}
    for k in range(iterations):
        spikes, labels = patterns(batch, g)
        loss = torch.nn.functional.cross_entropy(module({"source": spikes}).spikes["out"].sum(1), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if k % 10 == 9:
            print(f"  iteration {k + 1:3d}: loss {loss.item():.3f}")
    found["after"] = (guess(module, unseen) == answers).double().mean().item()

    for one in unseen[:20]:
        (trained := network(one)).load_torch(module)
        result, there = trained.run(STEPS * ms), module({"source": one}).spikes
        for name in ("hidden", "out"):
            ours = set(zip(result.spikes[name].steps, result.spikes[name].ids, strict=True))
            theirs = set(zip(*np.nonzero(there[name][0].detach().numpy()), strict=True))
            found = found | {"same": found["same"] + len(ours & theirs), "total": found["total"] + len(ours | theirs)}
    print("{before:.0%} of 400 unseen patterns right before training, {after:.0%} after; "
          "{same} of {total} spikes the same on native".format(**found))  # fmt: skip
    return found


if __name__ == "__main__":
    main()

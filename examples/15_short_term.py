"""What a synapse tells of its source's rate, if it depresses or facilitates.

Sources at eight rates, from 1 to 200 Hz, drive a target each through Tsodyks and Markram's synapses, with parameters
of pyramidal cells. The result: what a depressing synapse delivers in a second does not grow beyond 1/tau_rec, whatever
the rate; from its limiting frequency, 1/(U tau_rec), on, the rate is no longer told. A spike at a facilitating synapse
delivers most near 1/sqrt(U tau_rec tau_facil), its peak frequency. And when 200 depressing inputs step from 20 to
50 Hz, the target is told at once, by a peak more than half as high again, and then no more: it ends where it began.
"""

import numpy as np

import neurosim as ns
from neurosim.models import LIF, Depression, ExpCurrent, SpikeSource, TsodyksMarkram
from neurosim.units import ms, mV, second

RATES = np.array([1, 2, 5, 10, 20, 50, 100, 200.0])
KINDS = {
    "depressing": Depression(U=0.5, tau_rec=800 * ms),
    "facilitating": TsodyksMarkram(U=0.03, tau_rec=130 * ms, tau_facil=530 * ms),
}
CELL = LIF(tau_m=20 * ms, v_th=1000 * mV, receptors={"exc": ExpCurrent(tau=3 * ms)})


def steady(kind):
    """Return what a spike delivers in the end, of a weight of 1, at each rate."""
    net = ns.Network("rates", dt=0.1 * ms)
    trains = [np.arange(1, 10 * rate + 1) / rate * second for rate in RATES]
    source = net.population("source", len(RATES), SpikeSource(trains))
    target = net.population("target", len(RATES), CELL)
    net.connect(source, target, rule="one_to_one", weight=1 * mV, short_term=kind, name="synapse")
    net.record(source, "synapse.stp.release", every=100 * ms)
    return net.run(10 * second).state["source"]["synapse.stp.release"].values[-1]


def step():
    """Return the depolarisation of a target in mV: 200 irregular inputs step from 20 to 50 Hz after a second."""
    g, net = np.random.default_rng(1), ns.Network("step", dt=0.1 * ms)
    trains = [np.concatenate([g.uniform(0, 2, 40), g.uniform(2, 3, 50)]) for _ in range(200)]
    source = net.population("source", 200, SpikeSource([np.unique(np.round(t, 4)) * second for t in trains]))
    target = net.population("target", 1, CELL)
    net.connect(source, target, weight=4 * mV, short_term=KINDS["depressing"])
    net.record(target, "v", every=1 * ms)
    v = 1e3 * net.run(3 * second).state["target"]["v"].of(0)
    return v[1000:] + 70


def main(path=None):
    """Return the steady releases by kind, both frequencies, and the depolarisation before, at and after the step."""
    released, told = {name: steady(kind) for name, kind in KINDS.items()}, step()
    out = {"released": released, "limiting": 1 / (0.5 * 0.8), "peak": 1 / np.sqrt(0.03 * 0.13 * 0.53)}
    out["step"] = told[500:1000].mean(), told[1000:1060].max(), told[1500:].mean()
    if path is not None:
        draw(out, told, path)
    return out


def draw(out, told, path):
    """Save the picture: what a spike delivers, what arrives in a second, and the step."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for name, release in out["released"].items():
        axes[0].semilogx(RATES, release, "o-", label=name)
        axes[1].loglog(RATES, release * RATES, "o-", label=name)
    axes[0].axvline(out["peak"], color="C1", ls=":", lw=1, label="peak frequency")
    axes[1].axvline(out["limiting"], color="C0", ls=":", lw=1, label="limiting frequency")
    axes[0].set(xlabel="rate of the source (Hz)", ylabel="delivered by a spike, of the weight")
    axes[1].set(xlabel="rate of the source (Hz)", ylabel="delivered in a second, of the weight")
    axes[2].plot(np.arange(len(told)) - 1000, told, lw=0.8)
    axes[2].set(xlabel="time since the step from 20 to 50 Hz (ms)", ylabel="depolarisation (mV)")
    for axis in axes[:2]:
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    found = main("short_term.png")
    for name, release in found["released"].items():
        print(f"{name:13s}" + "  ".join(f"{r:.3f}" for r in release))
    print("step: {:.2f} mV before, {:.2f} mV at its peak, {:.2f} mV after".format(*found["step"]))

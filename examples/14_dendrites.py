"""What dendrites are there for: a branch that spikes tells synapses that are together from synapses that are apart.

A soma has four thin branches. The same eight synapses fire at once, either all on one branch or two on each. The
result: where branches have spikes, the cluster depolarises the soma almost twice as much as the same synapses
scattered; without the spikes (``g_rise = 0``) it depolarises it less, since synapses on one branch use up each other's
driving force. And as more synapses of one branch fire, the soma's response is sublinear up to a threshold, and jumps
there to three times the sum of its parts, for all or nothing.
"""

import numpy as np

import neurosim as ns
from neurosim.models import DendriticSpike, ExpConductance, Passive, SpikeSource
from neurosim.units import ms, mV, nS, pF

BRANCHES, MOST = 4, 10


def neuron(g_rise):
    """Return a cell of a soma and four branches with sodium spikes and synapses."""
    soma = Passive(c_m=150 * pF, g_l=8 * nS)
    spike = DendriticSpike(v_th=-48 * mV, g_rise=g_rise, g_fall=g_rise / 2, duration_rise=3 * ms, offset_fall=3 * ms,
                           duration_fall=2 * ms, refractory=10 * ms)  # fmt: skip
    branch = Passive(c_m=20 * pF, g_l=1 * nS).insert(na=spike)
    parts = {"soma": soma, **{f"b{k}": branch for k in range(BRANCHES)}}
    links = {("soma", f"b{k}"): 4 * nS for k in range(BRANCHES)}
    receptors = {f"exc{k}": ExpConductance(tau=2 * ms).at(f"b{k}") for k in range(BRANCHES)}
    return ns.compartments(parts, links, receptors=receptors)


def responses(g_rise, patterns):
    """Return the depolarisation of the soma over time in mV for each pattern: synapses on every branch, at 10 ms."""
    net = ns.Network("dendrites", dt=0.1 * ms)
    cells = net.population("cells", len(patterns), neuron(g_rise))
    source = net.population("source", 1, SpikeSource([10 * ms]))
    for k in range(BRANCHES):
        for n, pattern in enumerate(patterns):
            if pattern[k]:
                net.connect(source, cells[n], receptor=f"exc{k}", weight=pattern[k] * 1.5 * nS, name=f"s{k}_{n}")
    net.record(cells, "v_soma")
    return 1e3 * (net.run(50 * ms).state["cells"]["v_soma"].values + 65e-3)


def main(path=None):
    """Return the responses to clustered and scattered synapses, and to 1 to 10 on a branch, with and without spikes."""
    clustered, scattered = [8, 0, 0, 0], [2, 2, 2, 2]
    more = [[k, 0, 0, 0] for k in range(1, MOST + 1)]
    traces = {
        label: responses(g, [clustered, scattered, *more]) for label, g in (("spikes", 25 * nS), ("none", 0 * nS))
    }
    out = {label: dict(zip(("clustered", "scattered"), t.max(0)[:2], strict=True)) for label, t in traces.items()}
    for label, trace in traces.items():
        out[label]["branch"] = trace.max(0)[2:]
    if path is not None:
        draw(traces, out, path)
    return out


def draw(traces, out, path):
    """Save the picture: the soma's potential, and its response against the number of synapses."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    time = 0.1 * np.arange(1, len(traces["spikes"]) + 1)
    for label, style in (("spikes", "-"), ("none", ":")):
        word = "active" if label == "spikes" else "passive"
        axes[0].plot(time, traces[label][:, 0], f"C0{style}", label=f"eight on one branch, {word}")
        axes[0].plot(time, traces[label][:, 1], f"C1{style}", label=f"two on each, {word}")
        axes[1].plot(range(1, MOST + 1), out[label]["branch"], f"C0o{style}", label=f"{word} branch")
    axes[0].set(xlabel="time (ms)", ylabel="depolarisation of the soma (mV)", xlim=(8, 50))
    axes[1].plot([1, MOST], out["none"]["branch"][0] * np.array([1, MOST]), "k--", lw=1, label="sum of single ones")
    axes[1].set(xlabel="synapses on one branch", ylabel="peak at the soma (mV)")
    for axis in axes:
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    for name, found in main("dendrites.png").items():
        print(f"{name:8s}" + "  ".join(f"{k} {np.round(v, 2)}" for k, v in found.items()))

"""Izhikevich's twenty behaviours (2004) in one picture: a population whose neurons differ in parameters and input.

The inputs of his figure 1, at one step of 0.1 ms; the second pulse of bistability comes where it stops the spikes at
this step. The result: each neuron does what its name says, such as a spike 35 ms after the end of an inhibition, a
resonator that answers two pulses 40 ms apart and not 20, and an integrator that answers 5 ms and not 10.
"""

import numpy as np

import neurosim as ns
from neurosim.models import ArrayCurrent
from neurosim.units import ms, mV

CELL = ns.Cell(
    "v[n+1] = v + dt*(0.04*v**2/(ms*mV) + slope*v + offset - u + i)\nu[n+1] = u + dt*a*(b*(v[n+1] + lift) - leak*u)",
    threshold="v > 30*mV", reset="v = c; u += d", source="E. M. Izhikevich, IEEE Trans. Neural Netw. 15 (2004)",
    a=0 / ms, b=0 / ms, c=0 * mV, d=0 * mV / ms, slope=5 / ms, offset=140 * mV / ms, lift=0 * mV, leak=1.0,
)  # fmt: skip


def pulses(*given, base=0.0):
    """Return an input that is higher by `high` in each (start, stop, high)."""
    return lambda t: base + sum(high * ((t > start) & (t < stop)) for start, stop, high in given)


LATER = 1e9
BEHAVIOURS = {  # a, b, c, d, v at the start, ms to look at, input in mV/ms
    "tonic spiking": (0.02, 0.2, -65, 6, -70, 100, pulses((10, LATER, 14))),
    "phasic spiking": (0.02, 0.25, -65, 6, -64, 200, pulses((20, LATER, 0.5))),
    "tonic bursting": (0.02, 0.2, -50, 2, -70, 220, pulses((22, LATER, 15))),
    "phasic bursting": (0.02, 0.25, -55, 0.05, -64, 200, pulses((20, LATER, 0.6))),
    "mixed mode": (0.02, 0.2, -55, 4, -70, 160, pulses((16, LATER, 10))),
    "frequency adaptation": (0.01, 0.2, -65, 8, -70, 85, pulses((8.5, LATER, 30))),
    "class 1 excitable": (0.02, -0.1, -55, 6, -60, 300, lambda t: 0.075 * np.maximum(t - 30, 0)),
    "class 2 excitable": (0.2, 0.26, -65, 0, -64, 300, lambda t: 0.015 * np.maximum(t - 30, 0) - 0.5),
    "spike latency": (0.02, 0.2, -65, 6, -70, 100, pulses((10, 13, 7.04))),
    "subthreshold oscillation": (0.05, 0.26, -60, 0, -62, 200, pulses((20, 25, 2))),
    "resonator": (0.1, 0.26, -60, -1, -62, 400, pulses(*((t, t + 4, 0.65) for t in (40, 60, 280, 320)))),
    "integrator": (0.02, -0.1, -55, 6, -60, 100, pulses(*((t, t + 2, 9) for t in (9.1, 14.1, 70, 80)))),
    "rebound spike": (0.03, 0.25, -60, 4, -64, 200, pulses((20, 25, -15))),
    "rebound burst": (0.03, 0.25, -52, 0, -64, 200, pulses((20, 25, -15))),
    "threshold variability": (0.03, 0.25, -60, 4, -64, 100, pulses((10, 15, 1), (70, 75, -6), (80, 85, 1))),
    "bistability": (0.1, 0.26, -60, 0, -61, 300, pulses((37.5, 42.5, 1), (209, 214, 1), base=0.24)),
    "afterpotential": (1, 0.2, -60, -21, -70, 50, pulses((9, 11, 20))),
    "accommodation": (0.02, 1, -55, 4, -65, 400,
                      lambda t: np.where(t < 200, t / 25, 0) + np.where(abs(t - 306.25) < 6.25, (t - 300) * 0.32, 0)),
    "inhibition-induced spiking": (-0.02, -1, -60, 8, -63.8, 350, pulses((50, 250, -5), base=80)),
    "inhibition-induced bursting": (-0.026, -1, -45, 0, -63.8, 350, pulses((50, 250, -5), base=80)),
}  # fmt: skip


def main(backend: str = "native") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the spikes (ms) and the potential after each step (mV) of every behaviour."""
    a, b, c, d, start, _, inputs = zip(*BEHAVIOURS.values(), strict=True)
    (a, b, c, d, v), name = np.array([a, b, c, d, start], float), np.array(list(BEHAVIOURS))
    early, slow = (name == "class 1 excitable") | (name == "integrator"), name == "accommodation"
    cell = CELL(a=a / ms, b=b / ms, c=c * mV, d=d * mV / ms, lift=65 * slow * mV, leak=1.0 - slow,
                slope=np.where(early, 4.1, 5) / ms, offset=np.where(early, 108, 140) * mV / ms)  # fmt: skip
    net = ns.Network("twenty_behaviours", dt=0.1 * ms)
    pop = net.population("p", 20, cell, init={"v": v * mV, "u": np.where(slow, -16, b * v) * mV / ms})
    t = np.arange(4000) * 0.1
    net.stimulate(pop, ArrayCurrent(np.stack([f(t) + 0 * t for f in inputs], 1) * mV / ms, 0.1 * ms))
    net.record(pop, "spikes"), net.record(pop, "v")
    result = net.run(400 * ms, backend=backend)
    spikes, traces = result.spikes["p"].trains(), result.state["p"]["v"].values * 1e3
    shown = {n: row[5] for n, row in BEHAVIOURS.items()}
    return {n: ((s := spikes[k] * 1e3)[s < shown[n]], traces[: 10 * shown[n], k]) for k, n in enumerate(BEHAVIOURS)}


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(5, 4, figsize=(12, 10), layout="constrained")
    for ax, (title, (times, path)) in zip(axes.flat, main().items(), strict=True):
        at = np.arange(len(path)) * 0.1
        ax.plot(at, path, "k", lw=0.7), ax.vlines(times, -60, 30, "k", lw=0.7), ax.set_ylim(-100, 35)
        ax.plot(at, -97 + 12 * ((i := BEHAVIOURS[title][6](at)) - i.min()) / np.ptp(i), "C0", lw=1)
        ax.set_title(f"{title}: {len(times)} spike{'s' * (len(times) != 1)}", fontsize=9)
    figure.supxlabel("time (ms); blue: input"), figure.supylabel("potential (mV)")
    figure.savefig("twenty_behaviours.png", dpi=90)

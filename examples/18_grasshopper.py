"""An auditory receptor of a grasshopper: a cell is fitted to recorded spikes, and predicts those of another sound.

Two recordings of 10 s, of sounds whose amplitude varies up to 200 and up to 800 Hz (A. Rokem et al., J. Neurophysiol.
95, 2006; files of PyPI's nitime). The cell integrates the sound's energy (T. Gollisch et al., J. Neurosci. 22, 2002),
which saturates, and has a threshold that follows its potential and that its spikes raise. Candidates are a population:
they spike where the receptor did, and each adds up its likelihood, so that one run is a generation of an evolution.
The result: fitted to 7 s of a recording, the cell tells more bits per spike of its last 3 s than a generalised linear
model (GLM) of the amplitude or of its logarithm, and of the other sound's recording no less. Takes two to four minutes.
"""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import differential_evolution

import neurosim as ns
from neurosim import analysis
from neurosim.models import ArrayCurrent, PulseCurrent, SpikeSource
from neurosim.units import kHz, ms

FOLDER = Path(os.environ.get("NEUROSIM_SHARED_DATA") or "../shared/data") / "neural_recordings"
EQUATIONS = """
    de/dt = (i - e)/tau_e                                     # energy of the sound
    dv/dt = (gain*log(max(e, 1e-6)/(e + half)) - v)/tau_v     # potential, in units of the threshold's softness
    dh/dt = (follow*v - h)/tau_h                              # the threshold follows it,
    dr/dt = -r/tau_r; da/dt = -a/tau_a; db/dt = -b/tau_b      # and is raised by spikes
    since[n+1] = since + dt
    risk = where(since > 3*ms, exp(clip(v - h - r - a - b, -60, 9)), 0)*rho*dt
    chance[n+1] = 1 - exp(-risk)"""
REPLAYED = f"""{EQUATIONS}
    seen[n+1] = y
    likelihood[n+1] = likelihood + where(y > 0.5, log(max(-expm1(-risk), 1e-30)), -risk)"""
RANGE = {"latency": (4, 9), "tau_e": (0.2, 4), "tau_v": (0.1, 4), "tau_h": (0.5, 20), "tau_r": (0.3, 5),
         "tau_a": (5, 500), "tau_b": (500, 9000), "gain": (0.5, 15), "half": (1e-3, 1), "follow": (0.05, 1.2),
         "rho": (0.1, 1e4), "jump_r": (1, 100), "jump_a": (3e-3, 3), "jump_b": (1e-3, 0.3)}  # fmt: skip
STEPS, TRAIN, LEAD = 100_000, 70_000, 100  # of 0.1 ms: a recording, its part to fit, mean sound before it
FILES = ("grasshopper_1", "grasshopper_2")  # up to 200, and up to 800 Hz
HEARING = {"GLM of dB": lambda amplitude: 20 * np.log10(amplitude), "GLM": lambda amplitude: amplitude}


def load(name):
    """Return the sound's amplitude, and whether there was a spike, in each step."""
    data, spikes = np.load(FOLDER / f"{name}.npz"), np.zeros(STEPS, bool)
    spikes[np.rint(data["spike_times"] / 100).astype(int)] = True
    return data["stimulus"][:, 1].astype(float).reshape(-1, 2).mean(1), spikes


def network(amplitude, candidates, equations, threshold, **options):
    """Return a network of one neuron for each of the candidates, [parameters, n], that hear the sound."""
    values = {k: v * {"tau": ms, "rho": kHz}.get(k[:3], 1) for k, v in zip(RANGE, candidates, strict=True)}
    cell = ns.Cell(equations, threshold=threshold, reset="r += jump_r; a += jump_a; b += jump_b; since = 0*ms",
                   ports=("i", "y"), init={"since": 1000 * ms, "e": 0.03}, method="exponential_euler",
                   **{k: v for k, v in values.items() if k != "latency"})  # fmt: skip
    net = ns.Network("receptor", dt=0.1 * ms, seed=1)
    net.population("cells", candidates.shape[1], cell(**options))
    net.stimulate(net["cells"], ArrayCurrent(np.append(np.full(LEAD, 0.04), amplitude**2), 0.1 * ms))
    return net


def likelihood(candidates, amplitude, spikes, every):
    """Return the log-likelihood of the spikes up to the end of each `every` steps, for each candidate."""
    net = network(amplitude, candidates, REPLAYED, "seen > 0.5", receptors={"s": PulseCurrent(port="y")})
    source, cells = net.population("source", 1, SpikeSource([np.flatnonzero(spikes) * 0.1 * ms])), net["cells"]
    delay = np.round(0.1 * LEAD - candidates[0], 1) * ms  # the sound comes LEAD late: a latency is a shorter delay
    one_each = ns.EdgeList([0] * len(delay), range(len(delay)))
    net.connect(source, cells, rule=one_each, weight=1.0, delay=delay, receptor="s")
    net.record(cells, "likelihood", every=every * 0.1 * ms)
    return net.run((len(spikes) + LEAD) * 0.1 * ms, progress=False).state["cells"]["likelihood"].values


def fit(amplitude, spikes, generations, seed=1):
    """Return the most likely parameters that differential evolution finds, [parameters, 1]."""

    def loss(x):
        return -likelihood(np.exp(x), amplitude, spikes, len(spikes) + LEAD)[-1]

    found = differential_evolution(loss, np.log(list(RANGE.values())), vectorized=True, updating="deferred", tol=0,
                                   popsize=8, mutation=(0.4, 0.9), recombination=0.9, polish=False,
                                   maxiter=generations, seed=seed)  # fmt: skip
    return np.exp(found.x)[:, None]


def fit_glm(sound, spikes):
    """Return a GLM of the last 15 ms of the sound and 200 ms of spikes, with a weight of its own for the first 3."""
    lags, dead = analysis.raised_cosines(16, 150, 5, 100), np.arange(1, 2001)[:, None] <= 30
    after = np.hstack([dead, analysis.raised_cosines(10, 2000, 35) * ~dead])
    return analysis.SpikeGLM.fit(sound, spikes, lags / lags.sum(0), after, ridge=0.3)


def run_cell(parameters, amplitude, spikes, trials):
    """Return the log-likelihood of each step, and the spikes of trials that differ in chance."""
    late = round(10 * parameters[0, 0])
    each = np.diff(likelihood(parameters, amplitude, spikes, 1)[:, 0], prepend=0)[LEAD - late :][: len(spikes)]
    net = network(amplitude, parameters.repeat(trials, 1), EQUATIONS, "uniform() < chance")
    net.record(net["cells"], "spikes")
    ran = net.run((STEPS + LEAD) * 0.1 * ms, progress=False).spikes["cells"]
    return each, [ran.steps[ran.ids == k] - LEAD + late for k in range(trials)]


def score(spikes, each, trains, first, end):
    """Return bits a spike, coincidences (1 ms; also of trials with the next) and distance (2 ms), from first to end."""
    length, recorded = (end - first) * 0.1 * ms, np.flatnonzero(spikes)
    own, *trains = ((t[(t >= first) & (t < end)] - first) * 1e-4 for t in (recorded, *trains))
    return {"bits": analysis.bits_per_spike(each[first:end], spikes[first:end]),
            "gamma": np.mean([analysis.coincidence_factor(own, t, 1 * ms, length) for t in trains]),
            "again": np.mean([analysis.coincidence_factor(*two, 1 * ms, length) for two in pairwise(trains)]),
            "psth": np.corrcoef(smooth([own], end - first), smooth(trains, end - first))[0, 1],
            "distance": np.mean([analysis.van_rossum_distance(own, t, 2 * ms) for t in trains]) / len(own) ** 0.5,
            }  # fmt: skip


def smooth(trains, steps, width=20):
    """Return the rate over the trains in Hz, in a Gaussian window, by default of 2 ms."""
    counts = np.histogram(np.concatenate(trains), steps, (0, steps * 1e-4))[0]
    return gaussian_filter1d(counts * 1e4 / len(trains), width)


def main(generations=150, trials=50, fitted_to=FILES, path=None):
    """Return scores[fitted to, tested on][model]: on the last 3 s of the same recording, and on the whole other one."""
    data, found, shown = {name: load(name) for name in FILES}, {}, {}
    for fitted in fitted_to:
        amplitude, spikes = (values[:TRAIN] for values in data[fitted])
        cell = fit(amplitude, spikes, generations)
        glms = {name: fit_glm(hear(amplitude), spikes) for name, hear in HEARING.items()}
        for tested, (amplitude, spikes) in data.items():
            runs = {"cell": run_cell(cell, amplitude, spikes, trials)}
            for name, hear in HEARING.items():
                sound, glm = hear(amplitude), glms[name]
                runs[name] = glm.log_likelihood(sound, spikes), glm.simulate(sound, trials, seed=1)
            part = (TRAIN, STEPS) if tested == fitted else (0, STEPS)
            found[fitted, tested] = {name: score(spikes, *run, *part) for name, run in runs.items()}
            shown[fitted, tested] = {name: trains for name, (_, trains) in runs.items()}
        found[fitted] = dict(zip(RANGE, cell[:, 0], strict=True))
    if path is not None:
        draw(data, found, shown, path)
    return found


def draw(data, found, shown, path):
    """Save the picture: sound, recorded and predicted spikes in a part that was not fitted, and the scores."""
    import matplotlib.pyplot as plt

    figure, t, name = plt.figure(figsize=(11, 7), layout="constrained"), np.arange(81_000, 84_000), FILES[1]
    rows = [["sound"] * 3, ["spikes"] * 3, ["rate"] * 3, ["bits", "gamma", "psth"]]
    axes = figure.subplot_mosaic(rows, height_ratios=(0.6, 1.6, 0.8, 1.7))
    recorded, labels = np.flatnonzero(data[name][1]) / 10, ("cell", "GLM of dB")
    axes["sound"].plot(t / 10, HEARING["GLM of dB"](data[name][0][t]), "k", lw=0.6)
    axes["sound"].set(ylabel="sound (dB)", title="what neither was fitted to: recorded, and 20 trials of each")
    axes["spikes"].eventplot(recorded, lineoffsets=-4, colors="k", linelengths=5, lw=1.2)
    axes["rate"].vlines(recorded, 0, 600, "k", lw=0.5)
    for k, label in enumerate(labels):
        trains, rows = [train * 1e-4 for train in shown[name, name][label]], np.arange(20) + 22 * k
        axes["spikes"].eventplot([x * 1e3 for x in trains[:20]], lineoffsets=rows, colors=f"C{k}", lw=1)
        axes["rate"].plot(t / 10, smooth(trains, STEPS, 7)[t], f"C{k}", lw=1)
    axes["spikes"].set(yticks=(-4, 9.5, 31.5), yticklabels=("recorded", *labels))
    axes["rate"].set(xlabel="time (ms)", ylabel="rate (Hz)", ylim=(0, 600))
    for key in ("sound", "spikes", "rate"):
        axes[key].set_xlim(t[0] / 10, t[-1] / 10)
        axes[key].tick_params(labelbottom=key == "rate")
    pairs = [(a, b) for a in FILES for b in FILES]
    labels = {"bits": "bits per spike", "gamma": "coincidences, $\\Gamma$ (1 ms)", "psth": "correlation"}
    for key, label in labels.items():
        for k, model in enumerate(found[pairs[0]]):
            heights = [found[pair][model][key] for pair in pairs]
            axes[key].bar(np.arange(4) + 0.28 * (k - 1), heights, 0.26, color=("C0", "C1", "C7")[k], label=model)
        words = ["\nto ".join("slow" if x == FILES[0] else "fast" for x in pair) for pair in pairs]
        axes[key].set(xticks=range(4), xticklabels=words, ylabel=label)
    axes["bits"].set(ylim=(-0.6, 3.2), xlabel="sound of the recording that was fitted, and predicted")
    axes["bits"].legend(frameon=False, ncols=3, fontsize=8, columnspacing=1, handlelength=1)
    axes["gamma"].plot(np.arange(4) - 0.28, [found[pair]["cell"]["again"] for pair in pairs], "k_", ms=14, mew=2)
    axes["gamma"].set_title("line: the cell with itself", fontsize=9)
    axes["psth"].set_title("recorded with predicted rate (2 ms)", fontsize=9)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    for key, values in main(path="grasshopper.png").items():
        for model, scores in values.items() if isinstance(key, tuple) else [("parameters", values)]:
            print(*key if isinstance(key, tuple) else [key], model, *(f"{k} {v:.4g}" for k, v in scores.items()))

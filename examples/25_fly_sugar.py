"""A fly tastes sugar: what published spikes tell of the brain that made them; and that brain, where its files are.

In the whole-brain model of Shiu et al. (2024) 21 sugar neurons drive some 450 others, among them MN9, which extends the
proboscis. From the times of these spikes in three experiments the synapses between them are found, as whole numbers:
15,000 connections, 0.5 % of which break Dale's law, which nothing demands. The result, in an experiment that was not
used: MN9, given its published input, fires in 99 % of the published steps of 0.1 ms; and where the sugar neurons alone
fire as published, the others' rates have a correlation of 0.999 with theirs, and MN9 fires at 66 Hz (published: 67 Hz).

    python examples/25_fly_sugar.py results/example                # the folder of that name; ten minutes
    python examples/25_fly_sugar.py results/example 2023_03_23_connectivity_630_final.parquet \\
        2023_03_23_completeness_630_final.csv                      # the published experiment itself besides

All of them are in github.com/philshiu/Drosophila_brain_model; pyarrow reads them.
"""

import sys

import numpy as np

from neurosim.models.networks.fly_brain import MN9, fly_network, read_fly_brain
from neurosim.models.networks.fly_circuit import identify, read_sugar_spikes, replay
from neurosim.units import Hz, second

USED = ("sugarR", "sugarR-720575940617937543", "sugarR-720575940621754367")
HELD_OUT = "sugarR_100Hz"


def main(spikes, connectivity=None, neurons=None, ids=None, trials=30, plot=None, backend="native"):
    """Return what was found of the synapses of some neurons (FlyWire ids; all that are not driven by default), and of
    their spikes in the experiment held out; and of the whole brain if its files are given."""
    published = read_sugar_spikes(spikes)
    targets = np.flatnonzero(~published.driven) if ids is None else [published.cell(k) for k in ids]
    inputs = {}
    for done, k in enumerate(targets):
        inputs[int(k)] = identify(published, int(k), USED)
        if done % 50 == 49:
            print(f"{done + 1} of {len(targets)} neurons identified", flush=True)
    n_syn = np.array([np.where(of.known, of.n_syn, 0) for of in inputs.values()])
    found = {"connections": np.count_nonzero(n_syn), "whole": np.mean(n_syn[n_syn != 0] % 1 == 0), "n_syn": n_syn,
             "positive": np.sum(n_syn > 0, axis=0), "negative": np.sum(n_syn < 0, axis=0)}  # fmt: skip
    found["against_dale"] = np.minimum(found["positive"], found["negative"]).sum() / found["connections"]
    mn9, held_out = published.cell(MN9), published.of([HELD_OUT])[:trials]
    chosen = {"alone": {mn9: inputs[mn9]}, "together": inputs}
    for word, simulated in chosen.items():
        group, counts, hits, steps = sorted(simulated), np.zeros((2, len(simulated))), 0, []
        for trial in held_out:
            ours = replay(published, simulated, trial).run(1 * second, backend=backend).spikes["simulated"]
            theirs = [trial.steps[trial.cells == k] for k in group]
            counts += [[len(s) for s in theirs], np.bincount(ours.ids, minlength=len(group))]
            steps.append((theirs[group.index(mn9)], ours.steps[ours.ids == group.index(mn9)]))
            hits += len(np.intersect1d(*steps[-1]))
        found[word] = {"rates": counts / len(held_out), "mn9": counts[:, group.index(mn9)] / len(held_out),
                       "same_step": hits / sum(len(a) for a, _ in steps), "steps": steps}  # fmt: skip
    if connectivity is not None:
        found["brain"] = whole_brain(published, read_fly_brain(connectivity, neurons), inputs, trials, backend)
    if plot is not None:
        draw(found, plot)
    return found


def whole_brain(published, brain, inputs, trials, backend):
    """Return the published experiment, run: rates of all neurons that fire here or there, and the synapses found."""
    counts = fly_network(brain, rate=200 * Hz).run_trials(1 * second, trials, backend=backend).neuron_counts("neurons")
    theirs = np.zeros(len(brain.ids))
    for trial in published.of(["sugarR"]):
        theirs += np.bincount(brain.cells(published.ids[trial.cells]), minlength=len(theirs)) / 30
    ours = counts.mean(axis=0)
    either = (ours > 0) | (theirs > 0)
    place = brain.cells(published.ids)
    true = np.zeros((len(place), len(place)))
    index = np.full(len(brain.ids), -1)
    index[place] = np.arange(len(place))
    inside = (index[brain.pre] >= 0) & (index[brain.post] >= 0)
    np.add.at(true, (index[brain.post[inside]], index[brain.pre[inside]]), brain.n_syn[inside])
    told, right = 0, 0  # numbers that are determined, 0 here and there left out
    for k, of in inputs.items():
        here = of.known & ((of.n_syn != 0) | (true[k] != 0))
        told, right = told + np.sum(here), right + np.sum(of.n_syn[here] == true[k][here])
    mn9 = brain.cells([MN9])[0]
    return {"rates": np.array([theirs[either], ours[either]]), "active": (np.sum(theirs > 0), np.sum(ours > 0)),
            "mn9": (theirs[mn9], ours[mn9]), "synapses_right": right / max(1, told)}  # fmt: skip


def draw(found, path):
    """Save the picture: signs of the connections, MN9's spikes, and the rates of all."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    left.plot(found["positive"], found["negative"], ".", ms=5, alpha=0.5)
    left.set(xlabel="excitatory connections found", ylabel="inhibitory", title="each source has one sign")
    for row, (theirs, ours) in enumerate(found["alone"]["steps"][:8]):
        middle.plot(0.1 * theirs, np.full(len(theirs), row - 0.17), "|", color="k", ms=6, mew=0.8)
        middle.plot(0.1 * ours, np.full(len(ours), row + 0.17), "|", color="C3", ms=6, mew=0.8)
    middle.plot([], [], "|k", label="published"), middle.plot([], [], "|", color="C3", label="by the synapses found")
    middle.set(xlabel="time (ms)", ylabel="trial", title="MN9, its input as published", xlim=(0, 400), ylim=(-1.6, 7.6))
    middle.legend(fontsize=8, loc="lower right", ncols=2, frameon=False)
    theirs, ours = found["together"]["rates"]
    right.plot([0, 160], [0, 160], color="0.7", lw=0.8)
    right.plot(theirs, ours, ".", ms=4, alpha=0.6)
    right.plot(*found["together"]["mn9"], "o", color="C3", mfc="none", label="MN9")
    right.set(xlabel="published (Hz)", ylabel="with the synapses found (Hz)", title="all driven by the sugar neurons")
    right.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    results = main(*sys.argv[1:4], plot="fly_sugar.png")
    print(f"{results['connections']} connections found, {results['whole']:.1%} whole numbers, "
          f"{results['against_dale']:.2%} against Dale's law")  # fmt: skip
    for word in ("alone", "together"):
        theirs, ours = results[word]["mn9"]
        print(f"{word:9} MN9 fires at {ours:.1f} Hz, published {theirs:.1f} Hz; "
              f"{results[word]['same_step']:.1%} in the same step")  # fmt: skip
    print(f"rates of all: correlation {np.corrcoef(results['together']['rates'])[0, 1]:.4f}")
    if "brain" in results:
        of = results["brain"]
        print(f"whole brain: MN9 {of['mn9'][1]:.1f} Hz, published {of['mn9'][0]:.1f} Hz; {of['active'][1]} fire, "
              f"published {of['active'][0]}; correlation {np.corrcoef(of['rates'])[0, 1]:.4f}; "
              f"{of['synapses_right']:.1%} of the synapses found are right")  # fmt: skip

"""What the APL neuron does for odours: the fly's mushroom body with the synapses of one brain.

Odours are patterns over the glomeruli, some alike, some not; Kenyon cells and all synapses have the parameters of a
published model of the whole brain, and nothing is fitted. The result: with the inhibitory APL about 5 % of the Kenyon
cells respond to an odour, without it about 30 %. Similar odours, with a correlation of 0.61 in the projection neurons,
become less alike in the Kenyon cells (0.52); without the APL more (0.65).

    python examples/17_mushroom_body.py fly_ftl_extract-0.1.0-….whl

from ``pip download --no-deps --python-version 3.14 --only-binary :all: fly-ftl-extract==0.1.0``.
"""

import sys

import numpy as np

import neurosim as ns
from neurosim.models.networks.connectomes import read_mushroom_body
from neurosim.models.networks.mushroom_body import odours_of


def main(connectome=None, seeds=(1, 2, 3, 4, 5), similarities=(0.25, 0.5, 0.75), plot=None, backend="native"):
    """Return, with and without the APL, the fraction of active Kenyon cells and the correlations of pairs of odours."""
    body = read_mushroom_body(connectome)
    found = {}
    for apl in (1.0, 0.0):
        active, alike, counts = [], [], {}
        for similarity in similarities:
            for seed in seeds:
                odours = odours_of(body, similarity=similarity, seed=seed)
                net = ns.network("mushroom_body")(path=connectome, apl=apl, similarity=similarity, seed=seed)
                result = net.run(odours.duration, backend=backend)
                counts = {k: odours.counts(s.t, s.ids, s.size) for k, s in result.spikes.items()}
                active.append(np.mean(counts["KC"] > 0))
                pairs = [correlations(counts[k].mean(axis=0)) for k in ("PN", "KC")]
                alike.append(np.array([np.full_like(pairs[0], similarity), *pairs]))
        found["with" if apl else "without"] = {
            "active": np.array(active), "alike": np.concatenate(alike, axis=1), "responses": counts["KC"].mean(axis=0)
        }  # fmt: skip
    if plot is not None:
        draw(found, plot)
    return found


def correlations(counts):
    """Return the correlation of each pair of odours, over the neurons."""
    return np.corrcoef(counts)[np.triu_indices(len(counts), 1)]


def draw(found, path):
    """Save the picture: responses, how many respond, and how alike two odours are before and after."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(12.5, 3.6), layout="constrained", width_ratios=(1.3, 1.3, 0.7, 1.3))
    order = np.argsort(-found["without"]["responses"].sum(axis=0), kind="stable")
    for axis, (word, of), colour in zip(axes, found.items(), ("C0", "C3"), strict=False):
        shown = axis.imshow(of["responses"][:, order[:600]].T, aspect="auto", vmax=8, cmap="magma_r")
        axis.set(title=f"{word} the APL", xlabel="odour", ylabel="Kenyon cell, by its response without")
        axes[2].boxplot(100 * of["active"], positions=[int(word == "without")], widths=0.6, tick_labels=[word],
                        boxprops={"color": colour}, medianprops={"color": colour})  # fmt: skip
        axes[3].plot(*of["alike"][1:], ".", ms=3, color=colour, alpha=0.5, label=f"{word} the APL")
    figure.colorbar(shown, ax=axes[1], label="spikes", fraction=0.06)
    axes[2].set(title="responding", ylabel="% of the Kenyon cells", ylim=(0, None))
    axes[3].plot([-0.2, 1], [-0.2, 1], color="0.6", lw=0.8, zorder=0)
    axes[3].set(xlabel="correlation in projection neurons", ylabel="in Kenyon cells", title="pairs of odours")
    axes[3].legend(frameon=False, markerscale=3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    for label, values in main(*sys.argv[1:2], plot="mushroom_body.png").items():
        _, entrance, kenyon = values["alike"][:, values["alike"][0] == 0.75].mean(axis=1)
        print(f"{label:8}the APL: {np.mean(values['active']):.1%} of the Kenyon cells respond; similar odours have a "
              f"correlation of {entrance:.2f} in projection neurons, {kenyon:.2f} in Kenyon cells")  # fmt: skip

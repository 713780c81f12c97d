"""The fly's optic lobe, 45,669 cells connected as in the electron microscope, sees edges move.

Bright and dark edges cross the eye in 12 directions, 24 edges and 83 seconds in all, which takes a minute or two. Which
inputs of T4 and T5 are slow or transient is published; T4a to T4d have the same parameters, and so do T5a to T5d. What
tells them apart is the wiring alone. The result: T4 responds to bright edges only and T5 to dark ones only; all eight
prefer a direction within 20 degrees of the measured one. Selectivity, 1 for a response to one direction only, is 0.2 to
0.6 in T4 and 0.45 to 0.7 in T5. It is gone without inhibition (``main(silence="Mi4,C3,CT1(M10),CT1(Lo1)")``).

    python examples/16_optic_lobe.py flyvis-1.2.0-py3-none-any.whl

from ``pip download --no-deps flyvis==1.2.0``, or without the path where flyvis is installed.
"""

import sys

import numpy as np

import neurosim as ns
from neurosim.models.networks.connectomes import read_optic_lobe
from neurosim.models.networks.optic_lobe import DETECTORS, PREFERRED, moving_edges, selectivity


def main(connectome=None, extent=15, plot=None, backend="native", **parameters):
    """Return the angles, and by cell type the responses (Hz) to ON and OFF edges, selectivity and direction."""
    lobe, edges = read_optic_lobe(connectome, extent), moving_edges(extent=extent)
    net = ns.network("optic_lobe")(path=connectome, extent=extent, record="detectors", **parameters)
    result = net.run(edges.duration, backend=backend)
    angles = np.array(edges.angles[:12])
    found = {"angles": angles, "types": {}}
    for name in DETECTORS:
        spikes, cells = result.spikes[name], lobe.cells(name)
        on, off = edges.responses(spikes.t, spikes.ids, lobe.x[cells], lobe.y[cells], extent - 3).reshape(2, 12)
        index, direction = selectivity(angles, on if name.startswith("T4") else off)
        error = (direction - PREFERRED[name[2]] + 180) % 360 - 180
        found["types"][name] = {"on": on, "off": off, "index": index, "direction": direction, "error": error}
    if plot is not None:
        draw(found, plot)
    return found


def draw(found, path):
    """Save the picture: responses of the eight types over the direction of the edge."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(11, 6), subplot_kw={"projection": "polar"}, layout="constrained")
    around = np.radians(np.append(found["angles"], 360))
    for axis, (name, of) in zip(axes.flat, found["types"].items(), strict=True):
        for key, colour, label in (("off", "0.25", "dark edge"), ("on", "C1", "bright edge")):
            axis.plot(around, np.append(of[key], of[key][0]), color=colour, label=label)
            axis.fill(around, np.append(of[key], of[key][0]), color=colour, alpha=0.15)
        top = 1.1 * max(of["on"].max(), of["off"].max(), 1.0)
        axis.plot(
            2 * [np.radians(PREFERRED[name[2]])],
            [0.9 * top, 1.02 * top],
            color="C0",
            lw=4,
            label="measured in flies",
        )
        axis.plot(2 * [np.radians(of["direction"])], [0, 0.9 * top], color="C3", lw=1.2, label="preferred here")
        axis.set(ylim=(0, 1.03 * top), xticks=np.radians([0, 90, 180, 270]))
        axis.set_yticks([top / 1.1], [f"{top / 1.1:.0f} Hz"])
        axis.set_rlabel_position(35 if name[2] != "b" else 145)
        axis.set_title(f"{name}   {of['index']:.2f}", fontsize=11)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    results = main(*sys.argv[1:2], plot="optic_lobe.png")
    for kind, values in results["types"].items():
        print(f"{kind}  bright {values['on'].max():5.1f} Hz  dark {values['off'].max():5.1f} Hz  "
              f"selectivity {values['index']:.2f}  prefers {values['direction']:+5.0f}, "
              f"{values['error']:+.0f} from the measured direction")  # fmt: skip

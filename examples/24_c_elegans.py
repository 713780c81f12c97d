"""C. elegans is touched at the tail: 279 neurons without spikes, joined by synapses and gap junctions as in the worm.

A constant current into the touch neurons PLM stands for the touch. The result, with the parameters of a published model
and nothing fitted: up to 1.2 nA all neurons rest; from 1.3 nA on the motor neurons oscillate, at 2 nA with a period of
1.8 s, and two modes have 99.7 % of their variance. Without gap junctions they rest, and without the interneurons PVC
too. With the connections of a later reconstruction (Cook et al. 2019) they rest at all of these currents.

    python examples/24_c_elegans.py cect-0.3.5-py3-none-any.whl

from ``pip download --no-deps cect==0.3.5``; without it, or an installed cect, only the first reconstruction is run.
"""

import sys

import numpy as np

import neurosim as ns
from neurosim.errors import ParameterError
from neurosim.models.networks.c_elegans import MOTOR, modes
from neurosim.models.networks.connectomes import read_c_elegans
from neurosim.units import nA, pS, second

VARIANTS = {"no gap junctions": {"g_gap": 0 * pS}, "without PVC": {"ablate": "PVC"},
            "without AVB": {"ablate": "AVB"}, "without AVA": {"ablate": "AVA"}}  # fmt: skip


def main(connectome=None, currents=(1.0, 1.2, 1.3, 1.5, 2.0, 2.5, 3.0), variants=tuple(VARIANTS), seconds=40,
         plot=None, backend="native"):  # fmt: skip
    """Return how the motor neurons move in the second half of each run, and their potentials (mV) at 2 nA."""
    worm = read_c_elegans()

    def run(worm, current=2.0, **options):
        net = ns.network("c_elegans")(current=current * nA, **options)
        v = net.run(seconds * second, backend=backend).state["neurons"]["v"]
        late, motor = v.times >= seconds / 2, 1e3 * np.asarray(v.values)[:, worm.cells(",".join(MOTOR))]
        return modes(v.times[late], motor[late], still=0.1), v.times, motor

    found = {"names": [worm.names[k] for k in worm.cells(",".join(MOTOR))], "touched": {}, "cook": {}}
    for current in currents:
        found["touched"][current], times, v = run(worm, current)
        if current == 2.0:
            found |= {"times": times, "v": v}
    found["variants"] = {name: run(worm, **VARIANTS[name])[0] for name in variants}
    try:
        other = read_c_elegans(connectome, "cook2019")
    except ParameterError as e:
        print(f"Cook et al. (2019) is left out: {e}")
    else:  # a section conducts so much that all synapses, and all gap junctions, conduct what they do in the first
        one = {"g_syn": 100 * pS * worm.n_syn.sum() / other.n_syn.sum(),
               "g_gap": 100 * pS * worm.n_gap.sum() / other.n_gap.sum()}  # fmt: skip
        for current in currents:
            found["cook"][current] = run(other, current, path=connectome, dataset="cook2019", **one)[0]
    if plot is not None:
        draw(found, plot)
    return found


def draw(found, path):
    """Save the picture: potentials of the motor neurons, their two modes, and what moves them."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", width_ratios=(2, 1, 1))
    last = found["times"] >= found["times"][-1] - 8
    kinds = [name.rstrip("0123456789") for name in found["names"]]
    order = sorted(range(len(kinds)), key=lambda k: (kinds[k], int(found["names"][k][len(kinds[k]) :])))
    moving = (found["v"][last] - found["v"][last].mean(axis=0))[:, order]
    shown = left.imshow(moving.T, aspect="auto", cmap="RdBu_r", vmin=-5, vmax=5, interpolation="nearest",
                        extent=(0, 8, len(kinds), 0))  # fmt: skip
    starts = [sorted(kinds).index(kind) for kind in sorted(set(kinds))]
    left.set_yticks([(a + b) / 2 for a, b in zip(starts, [*starts[1:], len(kinds)], strict=True)], sorted(set(kinds)))
    left.hlines(starts[1:], 0, 8, color="0.4", lw=0.5)
    left.set(xlabel="time (s)", title="motor neurons after a touch, head to tail in each class")
    figure.colorbar(shown, ax=left, label="from the mean (mV)", fraction=0.04)
    middle.plot(*found["touched"][2.0].courses.T, color="C0", lw=1)
    middle.set(xlabel="first mode (mV)", ylabel="second mode (mV)",
               title=f"{found['touched'][2.0].share:.1%} of the variance")  # fmt: skip
    for key, label in (("touched", "Varshney et al. 2011"), ("cook", "Cook et al. 2019")):
        if found[key]:
            right.plot(list(found[key]), [m.amplitude for m in found[key].values()], "o-", ms=4, label=label)
    for marker, (name, m) in zip("sv", list(found["variants"].items())[:2], strict=False):
        right.plot(2.0, m.amplitude, marker, ms=9, mfc="none", label=name)
    right.set(xlabel="current into PLM (nA)", ylabel="largest oscillation (mV)", title="what it takes", ylim=(-0.7, 15))
    right.legend(fontsize=8, frameon=False, loc="upper left")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    for key, of in main(*sys.argv[1:2], plot="c_elegans.png").items():
        for what, m in of.items() if key in ("touched", "variants", "cook") else ():
            print(f"{key:9}{what:<17} {m.amplitude:6.2f} mV  period {m.period:.2f} s  in two modes {m.share:.1%}")

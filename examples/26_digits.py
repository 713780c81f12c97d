"""Neurons that look at digits and come to stand for them, though nobody says which is which.

A hundred neurons compete for images of MNIST, of which each pixel is a Poisson source (P. U. Diehl and M. Cook, 2015).
Whoever spikes learns by the times of spikes what it sees, and finds it harder to spike the next time; so each becomes
the picture of a digit, in one of the ways in which people write it. No label has a part in that. Then the neurons are
given labels, by how they answer to 10,000 images of the training set, and are asked about the test set, which has had
no part in anything. The result: after one look at 30,000 images of the training set 78.5 % of the test set's 10,000
are told right; a third of the errors take a 9 for a 4, a 5 for a 3, or the other way round. More images take longer.

    python examples/26_digits.py [neurons [images]]

It says how far it is and when it will be done; after Ctrl-C the same line goes on from where it was.
"""

import os
import sys
from pathlib import Path

import numpy as np

from neurosim.models.networks.digits import assign, respond, tell, train

FILE = Path(os.environ.get("NEUROSIM_SHARED_DATA") or "../shared/data") / "mnist" / "mnist.npz"


def main(n=100, images=30_000, labelled=10_000, tested=10_000, checkpoint=None, path=None, file=FILE):
    """Return the fraction that is told right, what is taken for what, labels of the neurons, and what they learnt."""
    if not Path(file).exists():
        raise SystemExit(f"{file} is missing: main(file=…) or NEUROSIM_SHARED_DATA says where MNIST is")
    with np.load(file) as f:
        x, y, x_test, y_test = (f[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    learned = train(x[:images], n=n, checkpoint=checkpoint, progress=True)
    labels = assign(respond(learned, x[-labelled:], progress=True), y[-labelled:])
    counts = respond(learned, x_test[:tested], seed=2, progress=True)
    told = tell(counts, labels)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (y_test[:tested], told), 1)
    found = {"right": np.trace(confusion) / tested, "confusion": confusion, "labels": labels, "learned": learned,
             "spikes": counts.sum() / tested}  # fmt: skip
    if path is not None:
        draw(found, path)
    return found


def draw(found, path):
    """Save the picture: what each neuron has learnt, in the order of their labels, and what is taken for what."""
    import matplotlib.pyplot as plt

    weights, labels, confusion = found["learned"].weights, found["labels"], found["confusion"]
    order, columns = np.argsort(labels, kind="stable"), int(np.ceil(np.sqrt(len(labels))))
    figure, (fields, table) = plt.subplots(1, 2, figsize=(11, 5.4), layout="constrained", width_ratios=(1.25, 1))
    sheet = np.full((-(-len(labels) // columns) * 29, columns * 29), np.nan)
    for k, neuron in enumerate(order):
        row, column = divmod(k, columns)
        sheet[29 * row : 29 * row + 28, 29 * column : 29 * column + 28] = weights[:, neuron].reshape(28, 28)
        if columns <= 12:
            fields.text(29 * column + 0.5, 29 * row + 1, labels[neuron], fontsize=7, va="top", color="C0")
    fields.imshow(sheet, cmap="Greys", vmin=0, vmax=np.quantile(weights, 0.998))
    fields.set(xticks=(), yticks=(), title=f"what {len(labels)} neurons have learnt, by label")
    fields.spines[:].set_visible(False)
    table.imshow(np.sqrt(confusion / np.maximum(1, confusion.sum(1, keepdims=True))), cmap="Blues", vmin=0, vmax=1)
    for is_, told in np.ndindex(10, 10):
        if confusion[is_, told]:
            dark = confusion[is_, told] > 0.4 * confusion[is_].sum()
            style = {"ha": "center", "va": "center", "fontsize": 8, "color": "w" if dark else "k"}
            table.text(told, is_, confusion[is_, told], **style)
    table.set(xticks=range(10), yticks=range(10), xlabel="told", ylabel="is")
    table.set_title(f"{found['right']:.1%} of {confusion.sum():,} images of the test set are told right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    if not all(word.isdecimal() and int(word) for word in sys.argv[1:]) or len(sys.argv) > 3:
        sys.exit(f"usage: python {sys.argv[0]} [neurons [images]]")
    neurons, images = [*map(int, sys.argv[1:]), *(100, 30_000)[len(sys.argv) - 1 :]]
    name = f"digits_{neurons}_{images}"
    found = main(neurons, images, checkpoint=f"{name}.npz", path=f"{name}.png")
    print(f"{found['right']:.2%} are told right, with {found['spikes']:.1f} spikes an image. See {name}.png; what was "
          f"learnt is in {name}.npz")  # fmt: skip

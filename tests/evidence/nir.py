"""NIR: the paper's convolutional graph on all test samples of N-MNIST, and graphs of ours in snnTorch and Norse.

Norse has to be installed for it, in an environment of its own: the torchvision that it brings breaks transformers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

SOURCES = [
    "neurosim/interchange/nir/*.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "backends/native/*.py", "backends/compiled/*.py", "models/cells/*.py", "models/synapses/*.py",
    "tests/nir_readers.py", "tests/evidence/nir.py",
]  # fmt: skip

SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def digits(reset: str) -> dict[str, int]:
    """Run the published graph on every test sample, native, 1 ms a step."""
    import numpy as np

    from neurosim.interchange.nir.build import read_network
    from neurosim.units import ms

    data = np.load(SHARED / "nmnist_small" / "nmnist_small.npz")
    events = {key: data[key] for key in ("t_us", "p", "x", "y", "offsets", "labels")}
    right, which = 0, np.flatnonzero(data["is_test"])
    for k in which:
        mine = {key: events[key][events["offsets"][k] : events["offsets"][k + 1]] for key in ("t_us", "p", "x", "y")}
        at = mine["t_us"] // 1000
        seen = at < 310
        x = np.zeros((310, 2, 34, 34))
        np.add.at(x, (at[seen], mine["p"][seen], mine["y"][seen], mine["x"][seen]), 1)
        circuit = read_network(str(SHARED / "nir" / "02_cnn" / "cnn_sinabs.nir"), dt=1 * ms, inputs=x, reset=reset)
        counts = circuit.output(circuit.network.run(circuit.duration), "output").sum(0)
        right += int(counts.argmax() == events["labels"][k])
    return {"right": right, "samples": len(which)}


def readers(tool: str) -> dict[str, dict[str, int]]:
    """Compare the spikes of feed-forward networks of every kind that a simulator can read."""
    from nir_readers import CELLS, compared, network

    out = {}
    for name, cell in CELLS.items():
        if name == "integrator":  # both give it a leak of their own
            continue
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected, got = compared(network(cell, False), Path(folder) / "out", tool)
        out[name] = {"spikes": int(expected.sum()), "differ": int((expected != got).sum())}
    return out


def run(log: Any) -> dict[str, Any]:
    """Do all of it."""
    found: dict[str, Any] = {f"N-MNIST, reset={r}": log.step(f"N-MNIST {r}", lambda r=r: digits(r))
                             for r in ("value", "subtract")}  # fmt: skip
    passed = found["N-MNIST, reset=value"]["right"] >= 95
    for tool in ("snntorch", "norse"):
        found[tool] = log.step(tool, lambda t=tool: readers(t))
        passed &= all(each["spikes"] > 30 and not each["differ"] for each in found[tool].values())
    return {"passed": passed, **found}

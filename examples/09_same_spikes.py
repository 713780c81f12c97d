"""The same spikes on both engines, on any number of threads, and from a file: identical, not similar.

The result: the reference interpreter, one thread and two threads of the compiled engine, and a results file that was
saved and read agree in every spike of every neuron.
"""

import tempfile
from pathlib import Path

import neurosim as ns
from neurosim.recording import RunResult
from neurosim.units import Quantity, ms


def main(duration: Quantity = 100 * ms) -> dict[str, int]:
    """Return the number of spikes, and 1 for each comparison that holds."""
    runs = {
        "reference": ns.network("cuba")(n=1000).run(duration, backend="reference"),
        "one_thread": ns.network("cuba")(n=1000).run(duration, threads=1),
        "two_threads": ns.network("cuba")(n=1000).run(duration, threads=2),
    }
    with tempfile.TemporaryDirectory() as folder:
        runs["one_thread"].save(Path(folder) / "cuba.h5")
        runs["file"] = RunResult.load(Path(folder) / "cuba.h5")
    first = runs.pop("reference")
    same = {name: int(all(r.spikes[k].identical(first.spikes[k]) for k in first.spikes)) for name, r in runs.items()}
    return {"spikes": sum(len(s) for s in first.spikes.values()), **same}


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:12} {value}")

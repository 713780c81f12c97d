"""Four thousand cells with conductance synapses: 21 Hz in both populations over the first half second.

The same connections as `cuba`, but an arriving spike opens a conductance, and what flows depends on the potential:
the equation of v stays linear in v, with coefficients that change from step to step, and is advanced by exponential
Euler. A constant drive keeps the network active; without it activity dies out sooner or later.
"""

import neurosim as ns
from neurosim.units import Quantity, ms, mV


def main(duration: Quantity = 500 * ms, backend: str = "native") -> dict[str, float]:
    """Return the rates, the CV of the intervals, and the lowest potential in mV."""
    net = ns.network("coba")(drive=20 * mV)
    net.record(net["exc"][:20], "v")
    result = net.run(duration, backend=backend)
    return {
        "exc_hz": result.rates("exc"),
        "inh_hz": result.rates("inh"),
        "cv": result.cv_isi("exc"),
        "lowest_mv": 1e3 * float(result.state["exc"]["v"].values.min()),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:16} {value:.2f}")

"""Four thousand cells with current synapses: 5.5 Hz, irregular (CV near 0.5), kept up by the network itself.

Vogels and Abbott's network as in benchmark 2 of Brette et al. (2007). It is in the library under the name `cuba`;
here it is written out. Both give the same spikes, as everything random follows from the seed and the names.
"""

import neurosim as ns
from neurosim.models import LIF, ExpCurrent
from neurosim.units import Quantity, ms, mV, second


def build(seed: int = 42) -> ns.Network:
    """Return the network."""
    net = ns.Network("cuba", dt=0.1 * ms, seed=seed)
    cell = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=5 * ms,
               receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=10 * ms)})  # fmt: skip
    exc = net.population("exc", 3200, cell, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    inh = net.population("inh", 800, cell, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    rule = ns.FixedProbability(0.02)
    net.connect(exc, exc + inh, receptor="exc", rule=rule, weight=1.62 * mV, delay=0.1 * ms, name="exc")
    net.connect(inh, exc + inh, receptor="inh", rule=rule, weight=-9 * mV, delay=0.1 * ms, name="inh")
    net.record([exc, inh], "spikes")
    return net


def main(duration: Quantity = 1 * second, backend: str = "native") -> dict[str, float]:
    """Return rates, irregularity, and whether the library's network spikes alike."""
    result = build().run(duration, backend=backend)
    library = ns.network("cuba")(seed=42).run(duration, backend=backend)
    return {
        "exc_hz": result.rates("exc"),
        "inh_hz": result.rates("inh"),
        "cv": result.cv_isi("exc"),
        "same_as_library": float(all(library.spikes[k].identical(result.spikes[k]) for k in ("exc", "inh"))),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:16} {value:.2f}")

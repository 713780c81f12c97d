"""One neuron, one constant current: the rate that the closed form gives, 63 Hz.

A leaky integrator is driven to 30 mV above rest. From the reset at -60 mV it climbs to the threshold at -50 mV within
tau_m ln(20/10) = 13.9 ms, to which 2 ms of refractoriness are added.
"""

import math

import neurosim as ns
from neurosim.models import LIF, DCInput
from neurosim.units import Quantity, ms, mV, second


def main(duration: Quantity = 1 * second, backend: str = "native") -> dict[str, float]:
    """Return the rate, the interval in ms, and the interval that the closed form gives."""
    net = ns.Network("one_neuron", dt=0.1 * ms)
    cell = LIF(tau_m=20 * ms, v_rest=-70 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=2 * ms)
    neuron = net.population("neuron", 1, cell)
    net.stimulate(neuron, DCInput(30 * mV))
    net.record(neuron, "spikes")
    net.record(neuron, "v")

    result = net.run(duration, backend=backend)
    times = result.spikes["neuron"].t
    interval = (times[-1] - times[0]) / (len(times) - 1)
    return {
        "rate_hz": 1 / interval,
        "interval_ms": 1e3 * interval,
        "closed_form_ms": 20 * math.log(20 / 10) + 2,
        "highest_mv": 1e3 * float(result.state["neuron"]["v"].values.max()),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:16} {value:.2f}")

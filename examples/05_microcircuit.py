"""The cortical microcircuit at a tenth of its size: the published rates, lowest in L2/3E and L6E.

Potjans and Diesmann (2014): 77,169 neurons in four layers, of which `scale` are kept, with the input that is lost put
back. The result: every rate within 20 % of what NetPyNE gives at this scale (Romaro et al. 2021).
"""

from typing import Any

import neurosim as ns
from neurosim.units import Quantity, ms, second


def main(
    duration: Quantity = 1 * second, backend: str = "native", scale: float = 0.1, plot: str = ""
) -> dict[str, Any]:
    """Return the rates of the eight populations without the first 100 ms, and the published ones."""
    net = ns.network("potjans_diesmann")(scale=scale)
    result = net.run(duration, backend=backend)
    if plot:
        result.plot(plot)
    published = list(net.published.values())[-1]
    return {"rates": result.rates(start=100 * ms), "published": published, "synapses": result.edges}


if __name__ == "__main__":
    found = main(plot="microcircuit.png")
    print(f"{found['synapses']:,} synapses; raster in microcircuit.png")
    for name, rate in found["rates"].items():
        print(f"{name:6} {rate:6.2f} Hz   published {found['published'][name]:6.2f} Hz")

"""A sheet of cells, connected by distance: a spike in the middle becomes a ring that spreads at 0.33 mm per ms.

Half of the pairs within 100 um are connected, with delays around 0.4 ms. One spike is enough to fire a neighbour, so a
wave runs outwards. The result: every cell fires once, those at 200 um after 2.0 ms, those at 400 um after 2.6 ms.
"""

import numpy as np

import neurosim as ns
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import Quantity, ms, mV, um

SIDE = 41


def main(duration: Quantity = 10 * ms, backend: str = "native") -> dict[str, float]:
    """Return arrival times of the front at two distances, its speed, and how many cells fired how often."""
    net = ns.Network("sheet", dt=0.1 * ms, seed=1)
    positions = ns.grid_positions((SIDE, SIDE), 25 * um)
    sheet = net.population(
        "sheet", SIDE * SIDE, LIF(t_ref=8 * ms, receptors={"syn": DeltaCurrent}), positions=positions
    )
    spark = net.population("spark", 1, SpikeSource([[1.0] * ms]))
    middle = SIDE * SIDE // 2
    net.connect(spark, sheet[middle], weight=25 * mV)
    net.connect(sheet, sheet, rule=ns.DistanceDependent("0.5", max_distance=100 * um, autapses=False),
                weight=25 * mV, delay=ns.normal(0.4 * ms, 0.1 * ms, lo=0.1 * ms))  # fmt: skip
    net.record(sheet, "spikes")
    spikes = net.run(duration, backend=backend).spikes["sheet"]

    xy = np.asarray(positions / um)
    distance = np.hypot(*(xy[spikes.ids] - xy[middle]).T[:2])
    near, far = (float(np.mean(1e3 * spikes.t[abs(distance - d) < 15])) for d in (200, 400))
    return {
        "at_200um_ms": near,
        "at_400um_ms": far,
        "speed_mm_per_ms": 0.2 / (far - near),
        "fired": len(np.unique(spikes.ids)) / (SIDE * SIDE),
        "spikes_per_cell": len(spikes) / (SIDE * SIDE),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:16} {value:.2f}")

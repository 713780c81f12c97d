"""A cell of one's own: the quadratic integrate-and-fire neuron, whose rate is sqrt(eta)/(pi tau), 31.8 Hz at eta = 1.

dv/dt = (v^2 + eta)/tau climbs from minus to plus infinity within pi tau/sqrt(eta). Here it climbs from -v_peak to
v_peak = 100, within 2 tau/sqrt(eta) arctan(v_peak/sqrt(eta)), which gives 32.0 Hz. The result: at eta = 0.25, 1 and 4
the rate is within 0.5 % of that.
"""

import math

import numpy as np

import neurosim as ns
from neurosim.units import Quantity, ms, second

QIF = ns.Cell(
    "dv/dt = (v**2 + eta + i)/tau",
    threshold="v >= v_peak",
    reset="v = -v_peak",
    method="rk4",
    tau=ns.Param(10 * ms, ms, "time constant", lo=0 * ms, lo_open=True),
    eta=ns.Param(1.0, 1, "distance from the bifurcation"),
    v_peak=ns.Param(100.0, 1, "stands for infinity", lo=1),
    name="QIF",
    doc="quadratic integrate-and-fire",
    source="B. Ermentrout, N. Kopell, SIAM J. Appl. Math. 46 (1986)",
)


def main(duration: Quantity = 1 * second, backend: str = "native") -> dict[str, list[float]]:
    """Return the rates found and expected, for three values of eta in one population."""
    eta = np.array([0.25, 1.0, 4.0])
    net = ns.Network("own_cell", dt=0.01 * ms)
    cells = net.population("cells", 3, QIF(eta=eta), init={"v": -100.0})
    net.record(cells, "spikes")
    trains = net.run(duration, backend=backend).spikes["cells"].trains()
    found = [(len(t) - 1) / (t[-1] - t[0]) for t in trains.values()]
    expected = [math.sqrt(e) / (2 * 0.01 * math.atan(100 / math.sqrt(e))) for e in eta]
    return {"found_hz": found, "expected_hz": expected}


if __name__ == "__main__":
    print(QIF.describe(), end="\n\n")
    for name, values in main().items():
        print(f"{name:12}", "  ".join(f"{v:.1f}" for v in values))

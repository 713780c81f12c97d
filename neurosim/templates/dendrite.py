"""my_network: pyramidal cells with a dendrite that spikes, and inputs that reach it.

    neurosim run my_network.py
    neurosim run my_network.py --set rate=25Hz --set pyramids.g_soma_apical=8nS --plot my_network.png
    neurosim compare my_network.py --backends native,reference --duration 100ms
    neurosim sweep my_network.py --set rate=20Hz:30Hz:5Hz -o my_network.sweep.h5
    python my_network.py

--set takes the arguments of network(), and POPULATION.PARAMETER for what is declared in a cell.
"""

import neurosim as ns
from neurosim.models import DCInput, DendriticSpike, ExpConductance, Passive, PoissonSource
from neurosim.units import Hz, Quantity, ms, mV, nS, pA, pF, second

# The soma fires and is reset as a point neuron is. The dendrite is a membrane of its own with a sodium spike in it, an
# event of a few ms; conductances join the two. What a part calls `v` the whole cell calls `v_soma`, `v_apical`.
SOMA = ns.Cell(
    "dv/dt = (g_l*(e_l - v) + i)/c_m",
    threshold="v > v_th",
    reset="v = v_reset",
    refractory="t_ref",
    init={"v": "e_l"},
    c_m=200 * pF,
    g_l=10 * nS,
    e_l=-65 * mV,
    v_th=-50 * mV,
    v_reset=-60 * mV,
    t_ref=3 * ms,
)
APICAL = Passive(c_m=50 * pF, g_l=2.5 * nS, e_l=-65 * mV).insert(na=DendriticSpike(v_th=-40 * mV))
PYRAMID = ns.compartments(
    {"soma": SOMA, "apical": APICAL},
    {("soma", "apical"): 15 * nS},
    receptors={
        "exc": ExpConductance(tau=2 * ms).at("apical"),
        "inh": ExpConductance(tau=8 * ms, e_rev=-75 * mV).at("soma"),
    },
)


def network(n: int = 50, rate: Quantity = 20 * Hz, weight: Quantity = 2 * nS, seed: int = 1) -> ns.Network:
    """Return the network: n cells whose dendrites are driven by 200 inputs, and which inhibit one another."""
    net = ns.Network("my_network", dt=0.1 * ms, seed=seed)
    pyramids = net.population("pyramids", n, PYRAMID)
    inputs = net.population("inputs", 200, PoissonSource(rate))

    # Each cell has 40 of the inputs, on its dendrite; where several come together, the dendrite spikes.
    net.connect(inputs, pyramids, receptor="exc", rule=ns.FixedInDegree(40), weight=weight, delay=1 * ms)
    net.connect(pyramids, pyramids, receptor="inh", rule=ns.FixedProbability(0.2), weight=0.5 * nS, delay=2 * ms)
    net.stimulate(pyramids, DCInput(50 * pA).at("soma"))

    # The event's name is the number of steps since the dendrite spiked last; result.events() makes times of it.
    net.record([inputs, pyramids], "spikes")
    for variable in ("v_soma", "v_apical", "spike_na_apical"):
        net.record(pyramids[:5], variable)
    net.default_duration = 1 * second  # where neither --duration nor run() says how long
    return net


def main() -> None:
    """Run it with and without spikes in the dendrites."""
    result = network().run(1 * second)
    dendritic = result.events("pyramids", "spike_na_apical")
    print(f"somata {result.rates('pyramids'):.1f} Hz, dendrites {len(dendritic) / 5:.1f} Hz")  # 5 cells, 1 second
    result.plot("my_network.png", stop=300 * ms)
    print("wrote my_network.png")

    passive = network()
    for parameter in ("g_rise_na_apical", "g_fall_na_apical"):  # as --set pyramids.g_rise_na_apical=0nS does
        passive.set_parameter(f"pyramids.{parameter}", 0 * nS)
    print(f"somata {passive.run(1 * second).rates('pyramids'):.1f} Hz where the dendrites do not spike")


if __name__ == "__main__":
    main()

"""my_network: a population of cells of your own, with Poisson input and random connections.

    neurosim run my_network.py
    neurosim run my_network.py --set rate=2500Hz --set cells.tau_w=300ms --plot my_network.png
    neurosim compare my_network.py --backends native,reference --duration 200ms
    neurosim sweep my_network.py --set rate=1500Hz:2500Hz:500Hz --trials 2 -o my_network.sweep.h5
    python my_network.py

--set takes the arguments of network(), and POPULATION.PARAMETER for what is declared in a cell.
"""

import neurosim as ns
from neurosim.models import ExpCurrent, PoissonInput
from neurosim.units import Hz, Quantity, ms, mV, second

# A leaky integrate-and-fire cell that tires: each spike raises w, which pulls v down. Write your own equations here;
# their units are checked. `i` is the sum of all receptors and stimuli: a potential in this cell.
CELL = ns.Cell(
    """
    dv/dt = (v_rest - v - w + i)/tau_m
    dw/dt = -w/tau_w
    """,
    threshold="v > v_th",
    reset="v = v_reset; w += b",
    refractory="t_ref",
    init={"v": "v_rest"},
    receptors={"exc": ExpCurrent(tau=5 * ms)},  # a spike adds its weight to a current that decays within 5 ms
    v_rest=-65 * mV,
    v_th=-50 * mV,
    v_reset=-65 * mV,
    tau_m=20 * ms,
    tau_w=150 * ms,
    b=1 * mV,
    t_ref=2 * ms,
)


def network(n: int = 100, rate: Quantity = 2000 * Hz, weight: Quantity = 2 * mV, seed: int = 1) -> ns.Network:
    """Return the network: n cells, each with Poisson input of its own."""
    net = ns.Network("my_network", dt=0.1 * ms, seed=seed)

    # A population has a name, a size and a cell. Parameters may differ between its neurons: give an array of n values,
    # a distribution such as ns.uniform(15 * ms, 25 * ms), or an expression of `index`.
    cells = net.population("cells", n, CELL(tau_m=ns.uniform(15 * ms, 25 * ms)))

    # Input from outside: see also DCInput, StepCurrent, OUNoise in neurosim.models, or a population of PoissonSource.
    net.stimulate(cells, PoissonInput(rate, weight=weight, receptor="exc"))

    # Every pair is connected with a probability of 0.1; a spike arrives 1.5 ms later.
    net.connect(cells, cells, receptor="exc", rule=ns.FixedProbability(0.1), weight=0.5 * mV, delay=1.5 * ms)

    # Only what is named is recorded: all spikes, and two variables of the first three cells.
    net.record(cells, "spikes")
    net.record(cells[:3], "v")
    net.record(cells[:3], "w")
    net.default_duration = 1 * second  # where neither --duration nor run() says how long
    return net


def main() -> None:
    """Run it and look at what came out; results are NumPy arrays in SI units."""
    result = network().run(1 * second)
    spikes = result.spikes["cells"]  # spikes.t: times in seconds, spikes.ids: who
    v = result.state["cells"]["v"].of(0)  # one value a step, in volts
    print(f"{len(spikes)} spikes, {result.rates('cells'):.1f} Hz, CV of the intervals {result.cv_isi('cells'):.2f}")
    print(f"cell 0 lies between {1e3 * v.min():.1f} and {1e3 * v.max():.1f} mV")
    result.plot("my_network.png")
    print("wrote my_network.png")


if __name__ == "__main__":
    main()

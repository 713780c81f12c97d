"""my_network: a cell that learns by STDP which of its inputs arrive together.

    neurosim run my_network.py
    neurosim run my_network.py --set w_max=3mV --duration 5s --plot my_network.png
    neurosim compare my_network.py --backends native,reference --duration 300ms
    neurosim sweep my_network.py --set jitter=1ms,2ms,4ms -o my_network.sweep.h5
    python my_network.py

--set takes the arguments of network(), and POPULATION.PARAMETER for what is a parameter of a cell.
"""

import numpy as np

import neurosim as ns
from neurosim.models import LIF, ExpCurrent, PairSTDP, PoissonSource, SpikeSource
from neurosim.units import Hz, Quantity, ms, mV, second


def network(
    n: int = 100,
    jitter: Quantity = 2 * ms,
    rate: Quantity = 10 * Hz,
    w_max: Quantity = 2 * mV,
    seed: int = 1,
) -> ns.Network:
    """Return the network: n inputs that fire in volleys, n that fire at random, and the cell that listens.

    All inputs fire at the same rate and start with the same weight. What differs is that those of a volley come within
    a few ms (`jitter`), so they make the cell fire, and so their synapses grow at the expense of the others.
    """
    net = ns.Network("my_network", dt=0.1 * ms, seed=seed)

    # One volley in each period: every input has its own time in it. Given times must be steps, or are rounded to them.
    period = 1 / rate
    times = period / 2 + np.random.default_rng(seed).normal(size=(n, 1)) * jitter
    volley = net.population("volley", n, SpikeSource(times, period=period, align="round"))
    random = net.population("random", n, PoissonSource(rate))

    cell = LIF(tau_m=10 * ms, v_rest=-70 * mV, v_th=-55 * mV, v_reset=-70 * mV, t_ref=2 * ms,
               receptors={"exc": ExpCurrent(tau=3 * ms)})  # fmt: skip
    neuron = net.population("neuron", 1, cell)

    # A rule is data as a cell is: print(PairSTDP.describe()), or write your own as ns.Plasticity (docs: "Add a learning
    # rule"). Here a pair of spikes changes a weight by 2 % of w_max at most, and weakens a little more than it
    # strengthens (alpha), so that inputs which come at random lose.
    rule = PairSTDP(w_max=w_max, rate=0.02, alpha=1.2)
    for source in (volley, random):
        synapses = net.connect(source, neuron, receptor="exc", weight=w_max / 2, delay=1 * ms, plasticity=rule,
                               name=f"from_{source.label}")  # fmt: skip
        net.record(synapses, "weight", every=100 * ms)

    net.record([volley, random, neuron], "spikes")
    net.record(neuron, "v")
    net.default_duration = 10 * second  # where neither --duration nor run() says how long
    return net


def main() -> None:
    """Print how the weights of the two kinds of inputs part."""
    result = network().run(10 * second)
    for name in ("from_volley", "from_random"):
        trace = result.weight_traces[name]  # trace.values: [times, synapses], in volts
        means = 1e3 * trace.values.mean(1)
        print(f"{name:12} {means[0]:.2f} mV at {trace.times[0]:.1f} s, {means[-1]:.2f} mV at {trace.times[-1]:.1f} s")
    print(f"the cell fires at {result.rates('neuron'):.1f} Hz")
    result.plot("my_network.png", start=9 * second)
    print("wrote my_network.png")


if __name__ == "__main__":
    main()

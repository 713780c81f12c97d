"""my_network: excitation and inhibition in balance: irregular spikes at low rates.

    neurosim run my_network.py
    neurosim run my_network.py --set g=6 --set exc.tau_m=15ms --plot my_network.png
    neurosim compare my_network.py --backends native,reference --duration 100ms
    neurosim sweep my_network.py --set g=2:6:1 --duration 500ms -o my_network.sweep.h5
    python my_network.py

--set takes the arguments of network(), and POPULATION.PARAMETER for what is a parameter of a cell.
"""

import neurosim as ns
from neurosim.models import LIF, DeltaCurrent, PoissonInput
from neurosim.units import Hz, Quantity, ms, mV, second


def network(
    n: int = 1000,
    g: float = 5.0,
    rate: Quantity = 25 * Hz,
    weight: Quantity = 0.4 * mV,
    in_degree: int = 100,
    seed: int = 1,
) -> ns.Network:
    """Return the network: n cells, four of five excitatory, each with in_degree synapses from both kinds together.

    Inhibition is g times as strong as excitation. Excitatory inputs are four times as many, so beyond g = 4 inhibition
    has the upper hand, and what is left to make a cell fire are chance fluctuations.
    """
    net = ns.Network("my_network", dt=0.1 * ms, seed=seed)

    # print(LIF.describe()) shows the equations and all parameters. DeltaCurrent: a spike moves v at once.
    cell = LIF(tau_m=20 * ms, v_rest=-70 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=2 * ms,
               receptors={"syn": DeltaCurrent})  # fmt: skip
    start = {"v": ns.uniform(-70 * mV, -50 * mV)}  # drawn for each neuron, so that they do not begin in step
    n_exc, k_exc = 4 * n // 5, 4 * in_degree // 5
    exc = net.population("exc", n_exc, cell, init=start)
    inh = net.population("inh", n - n_exc, cell, init=start)

    # Every cell has as many inputs as every other: which ones they are is drawn. The pairs in brackets say that both
    # populations are targets, by a projection for each. Drawn delays are rounded to steps.
    delay = ns.uniform(1 * ms, 2 * ms)
    net.connect(exc, [exc, inh], rule=ns.FixedInDegree(k_exc), weight=weight, delay=delay)
    net.connect(inh, [exc, inh], rule=ns.FixedInDegree(in_degree - k_exc), weight=-g * weight, delay=delay)

    # Each cell also hears in_degree excitatory neurons of the rest of the brain, which fire at `rate`. By themselves
    # they would bring v to in_degree * rate * weight * tau_m = 20 mV above rest, which is the threshold.
    net.stimulate([exc, inh], PoissonInput(rate, weight=weight, n=in_degree))

    net.record([exc, inh], "spikes")
    net.record(exc[:3], "v")
    net.default_duration = 1 * second  # where neither --duration nor run() says how long
    return net


def main() -> None:
    """Compare what comes out with weak and with strong inhibition, without the first 100 ms."""
    for g in (3.0, 6.0):
        result = network(g=g).run(1 * second)
        print(f"g = {g:g}")
        for row in result.summary(start=100 * ms):
            print(f"  {row.population}  {row.rate:6.1f} Hz   CV {row.cv_isi:.2f}   synchrony {row.synchrony:.2f}")
    result.plot("my_network.png", start=100 * ms, stop=400 * ms)
    print("wrote my_network.png (of the last one)")


if __name__ == "__main__":
    main()

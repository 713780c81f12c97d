"""A neuron whose thousand synapses compete: Song, Miller and Abbott's spike-timing-dependent plasticity."""

from __future__ import annotations

from neurosim.lang.components import uniform
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.cells.poisson_source import PoissonSource
from neurosim.models.plasticity.pair import PairSTDP
from neurosim.models.synapses.exponential import ExpConductance
from neurosim.units import Hz, Quantity, ms, mV, second


def song(
    n: int = 1000,
    seed: int = 1,
    dt: Quantity = 0.1 * ms,
    rate: Quantity = 15 * Hz,
    w_max: float = 0.01,
    step: float = 0.01,
    alpha: float = 1.05,
    tau_stdp: Quantity = 20 * ms,
    tau_m: Quantity = 10 * ms,
    tau_exc: Quantity = 5 * ms,
    every: Quantity = 10 * second,
) -> Network:
    """Return one neuron with n Poisson inputs, whose synapses learn by additive pairs.

    Synapses that help the neuron to fire grow, at the cost of the others, until the neuron is balanced and fires
    irregularly. The result, with the parameters given: the weights drift apart to both bounds and the rate falls, from
    26 Hz in the first 100 s to 20 Hz at 600 s; 29 % of the weights then lie below a tenth of the greatest, 23 % above
    nine tenths (means of five seeds; ``scripts/evidence learning`` puts those of Brian2 beside them).

    Parameters
    ----------
    n : int
        Inputs, each a Poisson source of ``rate``.
    seed : int
        Of everything random.
    w_max : float
        The greatest conductance, in units of the leak; weights start evenly between 0 and it.
    step, alpha : float
        Of potentiation, as a fraction of ``w_max``, and depression over potentiation.
    every : Quantity
        Interval at which the weights are recorded.
    dt, rate, tau_stdp, tau_m, tau_exc : Quantity
        Of the simulation, the inputs, the rule, the cell and its synapses.

    References
    ----------
    S. Song, K. D. Miller, L. F. Abbott, Nat. Neurosci. 3 (2000); parameters of Brian2's example of the same.
    """
    net = Network("song", dt=dt, seed=seed)
    cell = LIF(tau_m=tau_m, v_rest=-74 * mV, v_th=-54 * mV, v_reset=-60 * mV,
               receptors={"exc": ExpConductance(tau=tau_exc, e_rev=0 * mV)})  # fmt: skip
    inputs = net.population("inputs", n, PoissonSource(rate))
    neuron = net.population("neuron", 1, cell, init={"v": -60 * mV})
    rule = PairSTDP(tau_plus=tau_stdp, tau_minus=tau_stdp, rate=step, alpha=alpha, w_max=w_max)
    synapses = net.connect(inputs, neuron, receptor="exc", weight=uniform(0.0, w_max), delay=dt, plasticity=rule,
                           name="synapses")  # fmt: skip
    net.record([inputs, neuron], "spikes")
    net.record(neuron, "rate", every=1 * second)
    net.record(synapses, "weight", every=every)
    net.default_duration = 100 * second
    net.published = {"Brian2 2.9, 100 s": {"inputs": 15.0, "neuron": 26.0}}
    return net

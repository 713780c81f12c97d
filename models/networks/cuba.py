"""Vogels and Abbott's network with current synapses, as benchmark 2 of Brette et al. (2007)."""

from __future__ import annotations

from neurosim.ir.rules import FixedProbability
from neurosim.lang.components import uniform
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.synapses.exponential import ExpCurrent
from neurosim.units import Quantity, ms, mV, second


def cuba(
    n: int = 4000,
    seed: int = 42,
    dt: Quantity = 0.1 * ms,
    in_degree: float = 80.0,
    weight_exc: Quantity = 1.62 * mV,
    weight_inh: Quantity = -9 * mV,
    delay: Quantity = 0.1 * ms,
    tau_m: Quantity = 20 * ms,
    tau_exc: Quantity = 5 * ms,
    tau_inh: Quantity = 10 * ms,
    v_rest: Quantity = -49 * mV,
    v_th: Quantity = -50 * mV,
    v_reset: Quantity = -60 * mV,
    t_ref: Quantity = 5 * ms,
) -> Network:
    """Return the current-based network: 4 excitatory neurons to 1 inhibitory, sparsely and randomly connected.

    It stays active by itself (the resting potential lies above the threshold), irregularly and at low rate. The
    result: with the parameters given, both populations fire at 5.5 spikes/s (5 to 6 over seeds and sizes), with a CV
    of the intervals near 0.5.

    Parameters
    ----------
    n : int
        Number of neurons, 4/5 of them excitatory.
    seed : int
        Of everything random.
    in_degree : float
        Mean number of synapses a neuron gets: each pair is connected with probability ``in_degree/n`` (0.02 at 4000).
    weight_exc, weight_inh : Quantity
        What a spike adds to the synaptic input, a potential (the resistance is part of it).
    dt, delay, tau_m, tau_exc, tau_inh, v_rest, v_th, v_reset, t_ref : Quantity
        Of the simulation, the synapses and the cells.

    References
    ----------
    R. Brette et al., J. Comput. Neurosci. 23 (2007), benchmark 2, after T. P. Vogels, L. F. Abbott, J. Neurosci. 25
    (2005). Weights as in Brian2's CUBA example.
    """
    net = Network("cuba", dt=dt, seed=seed)
    cell = LIF(tau_m=tau_m, v_rest=v_rest, v_th=v_th, v_reset=v_reset, t_ref=t_ref,
               receptors={"exc": ExpCurrent(tau=tau_exc), "inh": ExpCurrent(tau=tau_inh)})  # fmt: skip
    init = {"v": uniform(-60 * mV, -50 * mV)}
    exc = net.population("exc", n * 4 // 5, cell, init=init)
    inh = net.population("inh", n - n * 4 // 5, cell, init=init)
    rule = FixedProbability(min(1.0, in_degree / n))
    net.connect(exc, exc + inh, receptor="exc", rule=rule, weight=weight_exc, delay=delay, name="exc")
    net.connect(inh, exc + inh, receptor="inh", rule=rule, weight=weight_inh, delay=delay, name="inh")
    net.record([exc, inh], "spikes")
    net.default_duration = 1 * second
    net.published = {"Brian2 2.9, same parameters": {"exc": 5.5, "inh": 5.5}}
    return net

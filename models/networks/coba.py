"""Vogels and Abbott's network with conductance synapses, with a constant drive that keeps it active."""

from __future__ import annotations

from neurosim.ir.rules import FixedProbability
from neurosim.lang.components import uniform
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.inputs.current import DCInput
from neurosim.models.synapses.exponential import ExpConductance
from neurosim.units import Quantity, ms, mV, second


def coba(
    n: int = 4000,
    seed: int = 42,
    dt: Quantity = 0.1 * ms,
    in_degree: float = 80.0,
    weight_exc: float = 0.6,
    weight_inh: float = 6.7,
    drive: Quantity = 20 * mV,
    delay: Quantity = 0.1 * ms,
    tau_m: Quantity = 20 * ms,
    tau_exc: Quantity = 5 * ms,
    tau_inh: Quantity = 10 * ms,
    e_exc: Quantity = 0 * mV,
    e_inh: Quantity = -80 * mV,
    v_rest: Quantity = -60 * mV,
    v_th: Quantity = -50 * mV,
    v_reset: Quantity = -60 * mV,
    t_ref: Quantity = 5 * ms,
) -> Network:
    """Return the conductance-based network: 4 excitatory neurons to 1 inhibitory, sparsely and randomly connected.

    The result: with the parameters given, both populations fire at about 21 spikes/s over the first half second (18
    to 25 over seeds and sizes). Without the drive (``drive=0*mV``, the paper's parameters) activity that was
    started dies out sooner or later; how long it lasts depends on the draw, so that no rate is promised.

    Parameters
    ----------
    n : int
        Number of neurons, 4/5 of them excitatory.
    seed : int
        Of everything random.
    in_degree : float
        Mean number of synapses a neuron gets: each pair is connected with probability ``in_degree/n``.
    weight_exc, weight_inh : float
        What a spike adds to the conductance, in multiples of the leak conductance.
    drive : Quantity
        Constant input as a potential: the resting potential without synapses is ``v_rest + drive``.
    dt, delay, tau_m, tau_exc, tau_inh, e_exc, e_inh, v_rest, v_th, v_reset, t_ref : Quantity
        Of the simulation, the synapses and the cells.

    References
    ----------
    R. Brette et al., J. Comput. Neurosci. 23 (2007), benchmark 1, after T. P. Vogels, L. F. Abbott, J. Neurosci. 25
    (2005); the drive is Brian2's COBA example's.
    """
    net = Network("coba", dt=dt, seed=seed)
    receptors = {"exc": ExpConductance(tau=tau_exc, e_rev=e_exc), "inh": ExpConductance(tau=tau_inh, e_rev=e_inh)}
    cell = LIF(tau_m=tau_m, v_rest=v_rest, v_th=v_th, v_reset=v_reset, t_ref=t_ref, receptors=receptors)
    init = {"v": uniform(-60 * mV, -50 * mV)}
    exc = net.population("exc", n * 4 // 5, cell, init=init)
    inh = net.population("inh", n - n * 4 // 5, cell, init=init)
    net.stimulate([exc, inh], DCInput(drive), name="drive")
    rule = FixedProbability(min(1.0, in_degree / n))
    net.connect(exc, exc + inh, receptor="exc", rule=rule, weight=weight_exc, delay=delay, name="exc")
    net.connect(inh, exc + inh, receptor="inh", rule=rule, weight=weight_inh, delay=delay, name="inh")
    net.record([exc, inh], "spikes")
    net.default_duration = 0.5 * second
    if drive == 20 * mV:
        net.published = {"Brian2 2.9, same parameters": {"exc": 21.5, "inh": 21.5}}
    return net

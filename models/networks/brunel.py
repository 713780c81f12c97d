"""Brunel's network of excitatory and inhibitory neurons with delta synapses, in its four regimes."""

from __future__ import annotations

from neurosim.errors import ParameterError, caller, suggest
from neurosim.ir.rules import FixedInDegree
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.inputs.poisson import PoissonInput
from neurosim.models.plasticity.pair import MultiplicativeSTDP
from neurosim.models.synapses.delta import DeltaCurrent
from neurosim.units import Quantity, ms, mV, second

REGIMES = {"AI": (5.0, 2.0), "SR": (3.0, 2.0), "SI_fast": (6.0, 4.0), "SI_slow": (4.5, 0.9)}
"""Regime -> g and eta of the paper's figure 8."""


def brunel(
    n: int = 12500,
    seed: int = 42,
    dt: Quantity = 0.1 * ms,
    regime: str = "AI",
    g: float | None = None,
    eta: float | None = None,
    in_degree: int = 1000,
    epsilon: float | None = None,
    J: Quantity = 0.1 * mV,
    delay: Quantity = 1.5 * ms,
    tau_m: Quantity = 20 * ms,
    v_th: Quantity = 20 * mV,
    v_reset: Quantity = 0 * mV,
    t_ref: Quantity = 2 * ms,
    stdp_rate: float = 0.0,
    stdp_alpha: float = 1.0,
) -> Network:
    """Return the network: 4 excitatory neurons to 1 inhibitory, fixed in-degrees, one Poisson input per neuron.

    The result: with the parameters given (asynchronous irregular, reset to 0 mV, as NEST's ``brunel_delta_nest.py``)
    both populations fire at 32 spikes/s. The paper resets to 10 mV; ``v_reset=10*mV`` gives 37 spikes/s.

    Parameters
    ----------
    n : int
        Number of neurons, 4/5 of them excitatory.
    seed : int
        Of everything random.
    regime : {"AI", "SR", "SI_fast", "SI_slow"}
        Sets `g` and `eta` to the values of the paper's figure 8: asynchronous irregular (5, 2), synchronous regular
        (3, 2), synchronous irregular with a fast (6, 4) or a slow oscillation (4.5, 0.9).
    g : float, optional
        Strength of inhibitory synapses relative to excitatory ones.
    eta : float, optional
        External rate relative to the one that brings the mean potential to the threshold without recurrent input.
    in_degree : int
        Excitatory synapses a neuron gets from the network (a quarter of it inhibitory ones), and external ones. Kept
        when `n` changes.
    epsilon : float, optional
        Connection probability: the in-degree is this fraction of the excitatory neurons, instead of `in_degree`.
    J : Quantity
        What an excitatory spike adds to the potential.
    dt, delay, tau_m, v_th, v_reset, t_ref : Quantity
        Of the simulation, the synapses and the cells; the resting potential is 0 mV.
    stdp_rate, stdp_alpha : float
        With a rate above 0 the synapses among excitatory neurons learn by ``MultiplicativeSTDP``, from J towards bounds
        of 0 and 2 J; they are then a projection of their own, ``exc_exc``.

    References
    ----------
    N. Brunel, J. Comput. Neurosci. 8 (2000), model A, figure 8 and table 1.
    """
    if regime not in REGIMES:
        raise ParameterError(f"no regime '{regime}'{suggest(regime, REGIMES)}; known: {', '.join(REGIMES)}", caller())
    standard = stdp_rate == 0 and g is None and eta is None and n == 12500 and epsilon is None and in_degree == 1000
    g = REGIMES[regime][0] if g is None else g
    eta = REGIMES[regime][1] if eta is None else eta
    n_exc = n * 4 // 5
    if epsilon is not None:
        in_degree = round(epsilon * n_exc)
    net = Network("brunel", dt=dt, seed=seed)
    cell = LIF(tau_m=tau_m, v_rest=0 * mV, v_th=v_th, v_reset=v_reset, t_ref=t_ref, receptors={"syn": DeltaCurrent})
    exc = net.population("exc", n_exc, cell)
    inh = net.population("inh", n - n_exc, cell)
    rate = eta * v_th / (J * in_degree * tau_m)
    net.stimulate([exc, inh], PoissonInput(rate, weight=J, n=in_degree), name="external")
    if stdp_rate > 0:
        rule = MultiplicativeSTDP(w_max=2 * J, rate=stdp_rate, alpha=stdp_alpha)
        net.connect(exc, exc, rule=FixedInDegree(in_degree), weight=J, delay=delay, plasticity=rule, name="exc_exc")
        net.connect(exc, inh, rule=FixedInDegree(in_degree), weight=J, delay=delay, name="exc_inh")
    else:
        net.connect(exc, exc + inh, rule=FixedInDegree(in_degree), weight=J, delay=delay, name="exc")
    net.connect(inh, exc + inh, rule=FixedInDegree(in_degree // 4), weight=-g * J, delay=delay, name="inh")
    net.record([exc, inh], "spikes")
    net.default_duration = 1 * second
    if standard and v_reset == 0 * mV and regime == "AI":
        net.published = {"NEST 3.10, brunel_delta_nest.py": {"exc": 32.10, "inh": 31.90}}
    return net

"""Potjans and Diesmann's cortical microcircuit: one square millimetre of early sensory cortex in eight populations."""

from __future__ import annotations

import math

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.rules import FixedTotalNumber
from neurosim.lang.components import normal
from neurosim.lang.network import Network
from neurosim.models.cells.lif import LIF
from neurosim.models.inputs.current import DCInput
from neurosim.models.inputs.poisson import PoissonInput
from neurosim.models.synapses.exponential import ExpCurrent
from neurosim.units import Hz, Quantity, ms, mV, pA, pF, second

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")

SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
"""Neurons at full scale (paper, table 5)."""

PROBABILITIES = np.array([
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
"""Probability that a pair is connected at least once: row target, column source (paper, table 5)."""

EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
"""External in-degree at full scale (paper, table 5)."""

FULL_RATES = np.array([0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523])
"""Rates (Hz) of NEST's full-scale network: the mean input that scaling takes away is put back from them."""

V_INIT = (np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43]),
          np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48]))  # fmt: skip
"""Mean and standard deviation (mV) of the initial potentials, near those of the running network (NEST's example)."""

_NETPYNE = {1.0: (0.90, 2.80, 4.39, 5.70, 6.80, 8.22, 1.14, 7.60),
            0.1: (0.75, 3.28, 4.76, 6.20, 6.55, 8.97, 1.10, 8.06)}  # fmt: skip


def synapse_numbers() -> np.ndarray:
    """Return the number of synapses of every pair of populations at full scale, not rounded: [target, source].

    K pairs drawn at random, with replacement, connect a given pair at least once with probability
    ``1 - (1 - 1/(N_pre N_post))**K``; solved for K.
    """
    pairs = np.outer(SIZES, SIZES)
    return np.log1p(-PROBABILITIES) / np.log1p(-1.0 / pairs)


def potjans_diesmann(
    scale: float = 0.1,
    seed: int = 55,
    dt: Quantity = 0.1 * ms,
    n_scale: float | None = None,
    k_scale: float | None = None,
    psp: Quantity = 0.15 * mV,
    g: float = -4.0,
    rel_weight_sd: float = 0.1,
    rate_ext: Quantity = 8 * Hz,
    delay_exc: Quantity = 1.5 * ms,
    delay_inh: Quantity = 0.75 * ms,
    rel_delay_sd: float = 0.5,
    tau_m: Quantity = 10 * ms,
    tau_syn: Quantity = 0.5 * ms,
    c_m: Quantity = 250 * pF,
    v_rest: Quantity = -65 * mV,
    v_th: Quantity = -50 * mV,
    v_reset: Quantity = -65 * mV,
    t_ref: Quantity = 2 * ms,
) -> Network:
    """Return the microcircuit: 77,169 neurons and 298.9 million synapses times the scale.

    The result: the rates of the eight populations as published (``net.published``), irregular, with the lowest rates
    in L2/3E and L6E and the highest in L5I; at ``scale=0.1`` within about 20 %. The initial potentials are near those
    of the running network; published rates leave out the first 100 ms all the same, so compare
    ``result.rates(start=100*ms)``.

    Parameters
    ----------
    scale : float
        Fraction of the neurons and of the synapses each of them has. At 1 the network is the published one. Below,
        weights grow by ``1/sqrt(scale)``, which keeps the variance of the input, and a constant current puts back
        the mean input that is missing (computed from the rates at full scale), as in NEST's example.
    seed : int
        Of everything random.
    n_scale, k_scale : float, optional
        The two fractions apart; both are `scale` by default.
    psp : Quantity
        Peak of an excitatory postsynaptic potential; 0.15 mV is a weight of 87.8 pA. Doubled from L4E to L23E.
    g : float
        Inhibitory weights relative to excitatory ones.
    rel_weight_sd, rel_delay_sd : float
        Standard deviations relative to the mean, of weights (normal, clipped at 0) and delays (normal, drawn again
        below one step).
    rate_ext : Quantity
        Rate of each external synapse.
    dt, delay_exc, delay_inh, tau_m, tau_syn, c_m, v_rest, v_th, v_reset, t_ref : Quantity
        Of the simulation, the synapses and the cells.

    References
    ----------
    T. C. Potjans, M. Diesmann, Cereb. Cortex 24 (2014); scaling: S. J. van Albada et al., PLoS Comput. Biol. 11 (2015)
    and NEST's ``pynest/examples/Potjans_2014``; rates at 10 %: C. Romaro et al., Neural Comput. 33 (2021), table A.1.
    """
    n_scale, k_scale = (scale if x is None else float(x) for x in (n_scale, k_scale))
    for name, value in (("n_scale", n_scale), ("k_scale", k_scale)):
        if not 0 < value <= 1:
            raise ParameterError(f"scale, n_scale and k_scale must be > 0 and <= 1, got {name} = {value:g}", caller())
    full = synapse_numbers()
    sizes = np.maximum(np.rint(SIZES * n_scale), 1).astype(int)
    numbers = np.rint(full * n_scale * k_scale).astype(int)
    external = np.rint(EXTERNAL * k_scale).astype(int)

    weight = psp_to_weight(psp, tau_m, tau_syn, c_m)
    factor = np.where(np.arange(8) % 2 == 0, 1.0, g) * np.ones((8, 1))
    factor[0, 2] = 2.0
    rate = float(rate_ext / Hz)
    lost = (factor * full / SIZES[:, None] * FULL_RATES).sum(axis=1) + EXTERNAL * rate  # weights per second and neuron
    compensation = (1.0 - math.sqrt(k_scale)) * lost * Hz * weight * tau_syn
    strong = weight / math.sqrt(k_scale)

    net = Network("potjans_diesmann", dt=dt, seed=seed)
    cell = LIF(tau_m=tau_m, v_rest=v_rest, v_th=v_th, v_reset=v_reset, t_ref=t_ref, r_m=tau_m / c_m,
               receptors={"syn": ExpCurrent(tau=tau_syn)})  # fmt: skip
    pops = [
        net.population(name, int(size), cell, init={"v": normal(float(mean) * mV, float(sd) * mV)})
        for name, size, mean, sd in zip(POPULATIONS, sizes, *V_INIT, strict=True)
    ]
    for k, pop in enumerate(pops):
        net.stimulate(pop, PoissonInput(rate_ext, weight=strong, n=int(external[k])), name="external")
        if k_scale < 1:
            net.stimulate(pop, DCInput(float(compensation[k] / pA) * pA), name="compensation")
    for i, post in enumerate(pops):
        for j, pre in enumerate(pops):
            if numbers[i, j] == 0:
                continue
            mean, delay = float(factor[i, j]) * strong, (delay_exc, delay_inh)[j % 2]
            sign = {"lo": 0 * pA} if factor[i, j] > 0 else {"hi": 0 * pA}
            net.connect(pre, post, rule=FixedTotalNumber(int(numbers[i, j])),
                        weight=normal(mean, abs(rel_weight_sd * mean), how="clip", **sign),
                        delay=normal(delay, rel_delay_sd * delay, lo=dt),
                        name=f"{pre.name}_{post.name}")  # fmt: skip
    net.record(pops, "spikes")
    net.default_duration = 1 * second
    net.published = {"NEST, full scale": dict(zip(POPULATIONS, FULL_RATES.tolist(), strict=True))}
    if n_scale == k_scale and n_scale in _NETPYNE:
        label = f"NetPyNE, {n_scale:.0%} (Romaro 2021)"
        net.published[label] = dict(zip(POPULATIONS, _NETPYNE[n_scale], strict=True))
    return net


def psp_to_weight(psp: Quantity, tau_m: Quantity, tau_syn: Quantity, c_m: Quantity) -> Quantity:
    """Return the peak of the exponential current whose postsynaptic potential peaks at ``psp``."""
    ratio = float(tau_m / tau_syn)
    peak = (ratio ** (1 / (1 - ratio)) - ratio ** (ratio / (1 - ratio))) / (ratio - 1)  # in units of tau_m/c_m
    return psp * c_m / tau_m / peak

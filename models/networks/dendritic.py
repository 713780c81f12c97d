"""A recurrent network of cells with active dendrites."""

from __future__ import annotations

from neurosim.ir.rules import FixedProbability
from neurosim.lang.network import Network
from neurosim.models.dendrites.dendrify import Dendrite, NeuronModel, Soma
from neurosim.models.inputs.poisson import PoissonInput
from neurosim.units import Hz, Quantity, cm, ms, mV, nS, ohm, second, uF, um, uS


def dendritic(
    n: int = 1000,
    seed: int = 42,
    dt: Quantity = 0.1 * ms,
    p: float = 0.05,
    rate: Quantity = 50 * Hz,
    active: bool = True,
    method: str = "euler",
) -> Network:
    """Return a network after the one that Dendrify's authors time: somata with a trunk, a proximal and a distal
    dendrite, all with sodium spikes, each cell with Poisson input to the two outer ones, and connected at random.

    Theirs has dendritic spikes with decaying currents, as Dendrify 1 had them; here they are those of Dendrify 2.2.

    The result: with 1,000 cells, the somata fire at 7.1 +- 0.2 spikes/s, the proximal dendrites have 8 +- 0.5 sodium
    spikes a second, the distal ones 14 +- 0.5, the trunks none; without them (``active=False``) the somata fire at 6.9.

    Parameters
    ----------
    n : int
        Number of cells.
    seed : int
        Of everything random.
    dt : Quantity
        Step.
    p : float
        Probability of a connection, onto the proximal dendrite.
    rate : Quantity
        Of the Poisson input to each dendrite.
    active : bool
        Whether the dendrites spike.
    method : str
        ``"euler"``, as in Dendrify; ``"tree"`` is stable at larger steps.

    References
    ----------
    M. Pagkalos, S. Chavlis, P. Poirazi, Nat. Commun. 14 (2023), the benchmark beside it; dendritic spikes as in
    Dendrify 2.2.
    """
    soma = Soma("soma", length=25 * um, diameter=25 * um)
    trunk = Dendrite("trunk", length=100 * um, diameter=2.5 * um)
    prox = Dendrite("prox", length=100 * um, diameter=1 * um)
    dist = Dendrite("dist", length=100 * um, diameter=0.5 * um)
    dist.synapse("AMPA", "X", g=1 * nS, t_decay=5 * ms)
    prox.synapse("AMPA", "Y", g=2 * nS, t_decay=5 * ms)
    if active:
        for part, rise, fall in ((trunk, 34, 27.2), (prox, 15.3, 12.24), (dist, 7, 5.6)):
            part.dspikes("Na", g_rise=rise * nS, g_fall=fall * nS)
    links = [(soma, trunk, 15 * nS), (trunk, prox, 10 * nS), (prox, dist, 4 * nS)]
    model = NeuronModel(
        links, cm=1 * uF / cm**2, gl=40 * uS / cm**2, r_axial=150 * ohm * cm, scale_factor=2.8, spine_factor=1.5,
        v_rest=-60 * mV,
    )  # fmt: skip
    if active:
        model.config_dspikes(
            "Na", threshold=-40 * mV, duration_rise=1.2 * ms, duration_fall=2.4 * ms, offset_fall=0.2 * ms,
            refractory=5 * ms, reversal_rise="E_Na", reversal_fall="E_K",
        )  # fmt: skip
    cell = model.cell(threshold="V_soma > -50*mV", reset="V_soma = -60*mV", refractory=4 * ms, method=method)
    net = Network("dendritic", dt=dt, seed=seed)
    cells = net.population("cells", n, cell)
    net.stimulate(cells, PoissonInput(rate, weight=1.0, receptor="AMPA_X_dist"), name="to_dist")
    net.stimulate(cells, PoissonInput(rate, weight=1.0, receptor="AMPA_Y_prox"), name="to_prox")
    net.connect(cells, cells, receptor="AMPA_Y_prox", rule=FixedProbability(p), weight=0.01, delay=dt)
    net.record(cells, "spikes")
    net.default_duration = 1 * second
    return net

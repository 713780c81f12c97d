"""Cells that learn without weights: intrinsic plasticity, and release sites with vesicles that come and go."""

from __future__ import annotations

import numpy as np
import pytest
from learning_kit import BRIAN2, NATIVE, same_bits

import neurosim as ns
from neurosim.models import (
    LIF,
    DeltaCurrent,
    IntrinsicUnit,
    OUNoise,
    PairSTDP,
    PoissonSource,
    ReleaseSite,
    SpikeSource,
    TsodyksMarkram,
)
from neurosim.units import Hz, ms, mV, second

# -- intrinsic plasticity --------------------------------------------------------------------------------------------


def excitable(mu: float = 5.0, cells: int = 2, dt: float = 1.0) -> ns.Network:
    """Cells that begin with one excitability, and get inputs of two means and two widths."""
    net = ns.Network("intrinsic", dt=dt * ms, seed=2)
    pop = net.population("p", 4 * cells, IntrinsicUnit(mu=mu * Hz, u_start=-55 * mV))
    mean, width = np.repeat([5.0, 15.0], 2 * cells), np.tile([3.0, 6.0], 2 * cells)
    net.stimulate(pop, OUNoise(mean=mean * mV, sigma=width * mV, tau=50 * ms))
    net.record(pop, "spikes")
    net.record(pop, ["v", "r_0", "u_0", "u_a"], every=20 * ms)
    return net


def unlike_exponential(rates: np.ndarray, mean: float) -> float:
    """Return the Kolmogorov-Smirnov distance of a sample from the exponential distribution."""
    x = np.sort(rates)
    return float(np.abs(1 - np.exp(-x / mean) - (np.arange(len(x)) + 0.5) / len(x)).max())


@pytest.mark.parametrize("mu", [5.0, 10.0])
def test_rates_become_exponentially_distributed_whatever_the_input(mu: float) -> None:
    """Joshi and Triesch (2009), Savin, Joshi and Triesch (2010): the distribution of rates, of mean mu, with the spikes
    that it makes; the inputs' means and widths differ by factors of 3 and 2."""
    result = excitable(mu).run(400 * second)
    v, r_0, u_0, u_a = (result.state["p"][k].values for k in ("v", "r_0", "u_0", "u_a"))
    rates = r_0 * np.log1p(np.exp((v - u_0) / u_a))
    first, late = rates[:250], rates[len(rates) // 2 :]
    assert np.ptp(first.mean(axis=0)) > mu / 2  # 5 s
    assert np.abs(late.mean(axis=0) / mu - 1).max() < 0.06
    assert max(unlike_exponential(x, mu) for x in late.T) < 0.06
    assert min(unlike_exponential(x, mu) for x in first.T) > 0.06
    spikes = result.spikes["p"]
    counts = np.bincount(spikes.ids[spikes.steps >= 200_000], minlength=8) / 200
    assert np.abs(counts / mu - 1).max() < 0.1


def test_intrinsic_units_on_native_bit_for_bit() -> None:
    assert same_bits(lambda: excitable(cells=1), 500 * ms, NATIVE).spikes["p"].count > 5


@pytest.mark.engine("brian2")
def test_intrinsic_units_on_brian2_bit_for_bit() -> None:
    assert same_bits(lambda: excitable(cells=1), 500 * ms, BRIAN2).spikes["p"].count > 5


# -- stochastic release ----------------------------------------------------------------------------------------------


def test_release_is_tsodyks_and_markrams_on_average_and_binomial_around_it() -> None:
    """Fuhrmann et al. (2002): the mean over trials is the deterministic model's, exactly, since each site knows its own
    release only. Here over sites, within four standard errors of the binomial distribution."""
    sites, at = 20_000, np.array([10, 30, 50, 70, 90, 400, 410])
    model = {"U": 0.3, "tau_rec": 200 * ms, "tau_facil": 100 * ms}
    net = ns.Network("release", dt=0.1 * ms, seed=3)
    source = net.population("source", 1, SpikeSource([at * ms]))
    site = net.population("site", sites, ReleaseSite(**model))
    target = net.population("target", 1, LIF(receptors={"e": DeltaCurrent()}))
    net.connect(source, site, weight=1.0, delay=0.1 * ms)
    net.connect(source, target, weight=1 * mV, delay=0.1 * ms, short_term=TsodyksMarkram(**model), name="mean")
    net.record(site, "spikes")
    net.record(source, "mean.stp.release")
    result = net.run(420 * ms)
    released = np.bincount(result.spikes["site"].steps, minlength=4200)
    assert released.sum() == released[at * 10 + 1].sum()
    share, want = released[at * 10 + 1] / sites, result.state["source"]["mean.stp.release"].of(0)[at * 10]
    assert np.ptp(want) > 0.2
    assert np.all(np.abs(share - want) < 4 * np.sqrt(want * (1 - want) / sites)), (share, want)


def sites_that_learn() -> ns.Network:
    """Two release sites for each of 30 sources, whose synapses learn from what was released."""
    net = ns.Network("sites", dt=0.1 * ms, seed=4)
    source = net.population("source", 30, PoissonSource(80 * Hz))
    site = net.population("site", 60, ReleaseSite(tau_rec=50 * ms))
    target = net.population("target", 5, LIF(receptors={"e": DeltaCurrent()}))
    net.connect(source, site, rule=ns.EdgeList(np.repeat(np.arange(30), 2), np.arange(60)), weight=1.0, delay=1 * ms)
    net.connect(site, target, weight=2 * mV, delay=0.1 * ms, plasticity=PairSTDP(w_max=4 * mV), name="synapses")
    for pop in (source, site, target):
        net.record(pop, "spikes")
    net.record(site, ["u", "docked"], every=1 * ms)
    return net


def test_release_sites_on_native_bit_for_bit() -> None:
    truth = same_bits(sites_that_learn, 100 * ms, NATIVE)
    assert 0 < truth.spikes["site"].count < 2 * truth.spikes["source"].count
    assert np.ptp(truth.weights("synapses")) > 1e-6


@pytest.mark.engine("brian2")
def test_release_sites_on_brian2_bit_for_bit() -> None:
    assert same_bits(sites_that_learn, 40 * ms, BRIAN2).spikes["site"].count > 10

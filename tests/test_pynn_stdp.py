"""``neurosim.pynn``'s STDPMechanism: spikes and weights of pyNN.nest, weights that are asked for, what is refused."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import neurosim.pynn as sim
from neurosim.errors import ConnectivityError, ParameterError, UnknownNameError, UnsupportedError

DEPENDENCES = ["AdditiveWeightDependence", "MultiplicativeWeightDependence",
               "AdditivePotentiationMultiplicativeDepression", "GutigWeightDependence"]  # fmt: skip
SOURCES, CELLS, TOP = 8, 3, 0.5


def _trains(seed: int, count: int, *last: float) -> list[list[float]]:
    """Spike times at halves of a millisecond: others NEST may round up."""
    g = np.random.default_rng(seed)
    return [np.unique([*np.round(2 * g.uniform(2, 150, 18)) / 2, *last]).tolist() for _ in range(count)]


def learning(peer: Any, dependence: str, **setup: Any) -> tuple[list[list[float]], list[float]]:
    """Spike times of cells that some sources drive and others reach by synapses that learn, and the weights.

    At the end all sources spike once more, too weakly to be answered: NEST changes weights when their sources spike.
    """
    peer.setup(timestep=0.1, min_delay=0.1, **setup)
    sources = peer.Population(SOURCES, peer.SpikeSourceArray(spike_times=_trains(1, SOURCES, 190.0)))
    drive = peer.Population(CELLS, peer.SpikeSourceArray(spike_times=_trains(2, CELLS)))
    cells = peer.Population(CELLS, peer.IF_curr_exp(tau_refrac=2.0, tau_syn_E=2.0))
    peer.Projection(drive, cells, peer.OneToOneConnector(), peer.StaticSynapse(weight=6.0, delay=0.5))
    mechanism = peer.STDPMechanism(
        timing_dependence=peer.SpikePairRule(tau_plus=20.0, tau_minus=25.0, A_plus=0.05, A_minus=0.06),
        weight_dependence=getattr(peer, dependence)(w_max=TOP),
        weight=TOP / 2,
        delay=1.3,
    )
    projection = peer.Projection(sources, cells, peer.AllToAllConnector(), mechanism)
    cells.record("spikes")
    peer.run(220.0)
    spikes = [np.asarray(t.magnitude).tolist() for t in cells.get_data().segments[0].spiketrains]
    weights = np.asarray(projection.get("weight", format="array")).ravel().tolist()
    peer.end()
    return spikes, weights


NEST: dict[str, tuple[list[list[float]], list[float]]] = {
    "AdditiveWeightDependence": (
        [
            [16.5, 28.3, 41.7, 47.5, 67.1, 91.8, 100.3, 105.0, 124.0],
            [19.7, 32.6, 51.4, 61.1, 72.9, 99.3, 105.8, 128.5, 135.5],
            [18.3, 36.8, 68.1, 76.4, 81.0, 93.6, 106.9, 126.7, 134.8],
        ],
        [
            0.0322441148,
            0.0278313817,
            0.2268268033,
            0.0,
            0.0,
            0.0,
            0.0,
            0.2024069760,
            0.1577101027,
            0.0,
            0.1703605810,
            0.0341629243,
            0.0434380197,
            0.1122814471,
            0.0460134666,
            0.0740277182,
            0.1835685658,
            0.1324236736,
            0.0,
            0.0563544422,
            0.1765021493,
            0.0100259912,
            0.0371522473,
            0.0553431611,
        ],
    ),
    "MultiplicativeWeightDependence": (
        [
            [16.5, 28.2, 41.7, 47.4, 66.9, 88.1, 96.6, 102.2, 111.1, 126.0],
            [19.7, 32.6, 51.2, 61.0, 72.6, 98.9, 105.6, 120.3, 133.6, 140.7],
            [18.3, 36.8, 67.9, 76.2, 80.9, 93.6, 106.8, 126.3, 133.0, 137.6],
        ],
        [
            0.1988741482,
            0.1932284497,
            0.2371261067,
            0.1509399897,
            0.1433928817,
            0.1421192321,
            0.1822069965,
            0.2572245131,
            0.2834155113,
            0.1368247089,
            0.2261093931,
            0.2194172625,
            0.1503710803,
            0.2522831933,
            0.2550604889,
            0.2037514509,
            0.2512262348,
            0.2484828784,
            0.1991177601,
            0.2126296574,
            0.2383493247,
            0.1573937073,
            0.2104557237,
            0.2064019796,
        ],
    ),
    "AdditivePotentiationMultiplicativeDepression": (
        [
            [16.5, 28.0, 41.5, 47.1, 66.7, 87.1, 96.4, 102.1, 110.9, 124.7, 148.4],
            [19.7, 32.6, 51.0, 60.9, 72.3, 81.1, 101.0, 106.0, 119.5, 130.5, 135.8],
            [18.3, 36.6, 55.5, 70.3, 79.0, 91.1, 105.1, 125.3, 131.1, 136.5],
        ],
        [
            0.3425301429,
            0.3330370082,
            0.3703871349,
            0.3218258366,
            0.2033145180,
            0.1685412058,
            0.2723007201,
            0.4093673497,
            0.4873817917,
            0.2861562335,
            0.3497348798,
            0.3505853106,
            0.2825987710,
            0.2792388794,
            0.3195847620,
            0.3508265836,
            0.3894968085,
            0.4020331178,
            0.2822268821,
            0.3564860799,
            0.4085598794,
            0.2792058336,
            0.2898699972,
            0.3009213605,
        ],
    ),
    "GutigWeightDependence": (
        [
            [16.5, 28.2, 41.7, 47.5, 67.0, 89.1, 96.8, 102.3, 111.3, 127.2],
            [19.7, 32.6, 51.3, 61.1, 72.7, 99.1, 105.7, 120.8, 133.8, 141.0],
            [18.3, 36.8, 68.0, 76.2, 80.9, 93.6, 106.8, 126.4, 133.8],
        ],
        [
            0.1530040875,
            0.1489518540,
            0.2348120702,
            0.0885707703,
            0.0840914238,
            0.0816366342,
            0.1872701082,
            0.2338838350,
            0.2154517432,
            0.0857292018,
            0.2013949109,
            0.1386984495,
            0.0829874560,
            0.2283832098,
            0.1836411267,
            0.1653696277,
            0.2798006950,
            0.2008268550,
            0.1471664031,
            0.1750424601,
            0.2199450584,
            0.0938608129,
            0.1807245391,
            0.1514335816,
        ],
    ),
}
"""Spike times (ms) and weights (nA) of PyNN 0.13.0 with NEST 3.10: ``python tests/test_pynn_stdp.py``."""


@pytest.mark.parametrize("dependence", DEPENDENCES)
def test_spikes_and_weights_are_those_of_pynn_nest(dependence: str) -> None:
    spikes, weights = learning(sim, dependence)
    want, learned = NEST[dependence]
    assert sum(map(len, want)) > 20 and np.ptp(learned) > 0.05
    for got, expected in zip(spikes, want, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-9)
    np.testing.assert_allclose(weights, learned, atol=1e-9)


@pytest.mark.parametrize("fraction", [1, 0])
def test_a_pair_by_hand(fraction: int) -> None:
    """Source at 10 ms, delay 2 ms; the target spikes 8 ms later: 8 - 2 ms apart at an axonal synapse, 8 + 2 else."""
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0]))
    drive = sim.Population(1, sim.SpikeSourceArray(spike_times=[17.9]))
    cell = sim.Population(1, sim.IF_curr_delta())
    sim.Projection(drive, cell, sim.OneToOneConnector(), sim.StaticSynapse(weight=50.0, delay=0.1))
    synapse = sim.STDPMechanism(sim.SpikePairRule(A_plus=0.1), sim.AdditiveWeightDependence(w_max=2.0), None, fraction,
                                weight=1.0, delay=2.0)  # fmt: skip
    projection = sim.Projection(source, cell, sim.OneToOneConnector(), synapse)
    cell.record("spikes")
    sim.run(40.0)
    (spike,) = np.asarray(cell.get_data().segments[0].spiketrains[0].magnitude)
    lag = spike - 10.0 + (2.0 if fraction else -2.0)
    (weight,) = projection.get("weight", format="list", with_address=False)
    assert weight == pytest.approx(1.0 + 0.2 * np.exp(-lag / 20.0), rel=1e-10)  # the receptor's grid
    assert projection[0].weight == weight and next(iter(projection)).weight == weight


def test_weights_of_now_in_callbacks_and_after_reset() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(4, sim.SpikeSourceArray(spike_times=[[5.0 + k, 40.0 + k] for k in range(4)]))
    cells = sim.Population(5, sim.IF_curr_exp(i_offset=1.5))
    mechanism = sim.STDPMechanism(sim.SpikePairRule(), sim.MultiplicativeWeightDependence(w_max=0.1), weight=0.05)
    static = sim.Projection(source, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.01))
    projection = sim.Projection(source, cells[:2] + cells[3:], sim.OneToOneConnector(), mechanism)
    seen: list[np.ndarray] = []

    def look(t: float) -> float:
        seen.append(np.array(projection.get("weight", format="list", with_address=False)))
        return t + 20.0

    sim.run(80.0, callbacks=[look])
    assert len(seen) == 4 and np.all(seen[0] == 0.05)
    assert all(not np.array_equal(a, b) for a, b in zip(seen, seen[1:], strict=False))
    assert set(static.get("weight", format="list", with_address=False)) == {0.01}
    last = np.array(projection.get("weight", format="list", with_address=False))
    assert np.nanmax(projection.get("weight", format="array")) == last.max()
    sim.reset()
    assert projection.get("weight", format="list", with_address=False) == [0.05] * 4
    sim.run(80.0)
    assert projection.get("weight", format="list", with_address=False) == last.tolist()


def _mechanism(**changed: Any) -> Any:
    given = {"timing_dependence": sim.SpikePairRule(), "weight_dependence": sim.AdditiveWeightDependence(), **changed}
    return sim.STDPMechanism(**given)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: _mechanism(timing_dependence=None),
            r"timing_dependence of STDPMechanism must be one such as SpikePair",
        ),
        (
            lambda: _mechanism(weight_dependence=sim.SpikePairRule()),
            "weight_dependence of STDPMechanism must be one such",
        ),
        (lambda: _mechanism(voltage_dependence="v"), "has no voltage_dependence"),
        (
            lambda: _mechanism(dendritic_delay_fraction=0.5),
            r"must be 1 \(the delay is on the dendrite\) or 0 .* got 0.5",
        ),
        (lambda: sim.SpikePairRule(tau_plus=0), "tau_plus of SpikePairRule must be above 0, got 0"),
        (lambda: sim.SpikePairRule(A_minus=-1), "A_minus of SpikePairRule must be 0 or more, got -1"),
        (lambda: sim.SpikePairRule(A=1), "SpikePairRule has no parameter 'A'"),
        (lambda: sim.AdditiveWeightDependence(w_min=0.1), r"w_min .* must be 0 \(as with pyNN.nest\), got 0.1"),
        (lambda: sim.AdditiveWeightDependence(w_max=[1, 2]), "w_max .* must be one number for the whole projection"),
        (lambda: sim.Vogels2011Rule(), "no timing dependence but SpikePairRule"),
    ],
)
def test_what_is_no_mechanism_is_refused(make: Any, says: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError, UnsupportedError), match=says):
        make()


@pytest.mark.parametrize("weight", [1.5, -0.1])
def test_weights_start_within_their_bounds(weight: float) -> None:
    sim.setup()
    cells = sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(ParameterError if weight > 0 else ConnectivityError, match="has a weight of"):
        sim.Projection(cells, cells, sim.OneToOneConnector(), _mechanism(weight=weight), receptor_type="excitatory")
    projection = sim.Projection(cells, cells, sim.OneToOneConnector(), _mechanism(weight=0.5))
    with pytest.raises(ParameterError, match="those of an STDPMechanism are from 0 to w_max = 1"):
        projection.set(weight=1.5)


def test_learning_at_inhibitory_currents_is_refused() -> None:
    sim.setup()
    cells = sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(ParameterError, match="weights of an STDPMechanism are positive, those onto the inhibitory"):
        sim.Projection(cells, cells, sim.OneToOneConnector(), _mechanism(), receptor_type="inhibitory")
    other = sim.Population(2, sim.IF_cond_exp())
    sim.Projection(cells, other, sim.OneToOneConnector(), _mechanism(weight=0.01), receptor_type="inhibitory")


@pytest.mark.engine("nest")
def test_a_script_with_learning_runs_on_nest_too() -> None:
    assert learning(sim, DEPENDENCES[0], backend="nest")[0] == learning(sim, DEPENDENCES[0])[0]


def main() -> None:
    """Print what real PyNN gives on NEST, to be frozen above."""
    warnings.simplefilter("ignore")
    peer = importlib.import_module("pyNN.nest")
    for dependence in DEPENDENCES:
        spikes, weights = learning(peer, dependence, spike_precision="on_grid")
        print(f'    "{dependence}": (')
        print(f"        {[np.round(train, 1).tolist() for train in spikes]},")
        print(f"        {np.round(weights, 10).tolist()},\n    ),")


if __name__ == "__main__":
    sys.exit(main())

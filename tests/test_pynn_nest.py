"""Spikes of ``neurosim.pynn`` are those that PyNN's NEST backend gives.

The frozen spike times are made by the function at the end, run with real PyNN::

    python tests/test_pynn_nest.py nest

(PyNN 0.13.0, NEST 3.10.0, NumPy 2.3.5, 24 November 2026.)
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import neurosim.pynn as sim
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.pynn import RandomDistribution

DRIVEN = {
    "IF_curr_exp": ({"tau_refrac": 2.0}, 1.5, -0.5),
    "IF_curr_alpha": ({"tau_refrac": 2.0, "tau_syn_E": 2.0}, 3.0, -0.5),
    "IF_curr_delta": ({"tau_refrac": 2.0}, 9.0, -2.0),
    "IF_cond_exp": ({"tau_refrac": 2.0}, 0.08, 0.02),
    "IF_cond_alpha": ({"tau_refrac": 2.0, "tau_syn_E": 1.0}, 0.2, 0.02),
    "EIF_cond_exp_isfa_ista": ({"tau_refrac": 2.0}, 0.04, 0.01),
    "EIF_cond_alpha_isfa_ista": ({"tau_refrac": 2.0}, 0.04, 0.01),
    "Izhikevich": ({}, 12.0, -2.0),
    "HH_cond_exp": ({}, 0.1, 0.02),
}


def driven(sim: Any, name: str, **setup: Any) -> np.ndarray:
    """Spike times of a cell that two sources drive, through both receptors."""
    parameters, excitation, inhibition = DRIVEN[name]
    sim.setup(timestep=0.1, min_delay=0.1, **setup)
    often = [round(5.0 + 4.0 * k, 1) for k in range(24)]
    seldom = [round(7.0 + 11.0 * k, 1) for k in range(9)]
    exc = sim.Population(2, sim.SpikeSourceArray(spike_times=often))
    inh = sim.Population(2, sim.SpikeSourceArray(spike_times=seldom))
    cells = sim.Population(2, getattr(sim, name)(**parameters))
    cells.record("spikes")
    for source, weight, delay, receptor in ((exc, excitation, 1.0, "excitatory"), (inh, inhibition, 2.0, "inhibitory")):
        synapse = sim.StaticSynapse(weight=weight, delay=delay)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse, receptor_type=receptor)
    sim.run(100.0)
    times = np.asarray(cells.get_data().segments[0].spiketrains[0].magnitude)
    sim.end()
    return times


DYNAMIC = {
    "depressing": ("IF_cond_exp", {"U": 0.67, "tau_rec": 80.0, "tau_facil": 0.0}, 0.6),
    "facilitating": ("IF_curr_exp", {"U": 0.05, "tau_rec": 30.0, "tau_facil": 200.0}, 30.0),
    "default": ("IF_cond_alpha", {}, 2.0),
}


def dynamic(sim: Any, name: str, **setup: Any) -> np.ndarray:
    """Spike times of a cell that a source drives through synapses with short-term plasticity."""
    kind, parameters, weight = DYNAMIC[name]
    sim.setup(timestep=0.1, min_delay=0.1, **setup)
    times = np.cumsum(np.tile([3.0, 3.0, 3.0, 3.0, 3.0, 12.5], 8))
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=np.round(times, 1).tolist()))
    cells = sim.Population(2, getattr(sim, kind)(tau_refrac=2.0))
    cells.record("spikes")
    synapse = sim.TsodyksMarkramSynapse(weight=weight, delay=0.7, **parameters)
    sim.Projection(source, cells, sim.OneToOneConnector(), synapse, receptor_type="excitatory")
    sim.run(240.0)
    times = np.asarray(cells.get_data().segments[0].spiketrains[0].magnitude)
    sim.end()
    return times


def injected(sim: Any, **setup: Any) -> dict[str, np.ndarray]:
    """Spike times of cells with currents injected, which begin and end within the run."""
    sim.setup(timestep=0.1, min_delay=0.1, **setup)
    sources = {
        "dc": sim.DCSource(amplitude=1.2, start=13.0, stop=71.0),
        "ac": sim.ACSource(amplitude=1.0, offset=0.8, frequency=40.0, phase=30.0, start=9.0, stop=90.0),
        "step": sim.StepCurrentSource(times=[5.0, 40.0, 60.0], amplitudes=[1.5, 0.2, 2.0]),
    }
    cells = {name: sim.Population(2, sim.IF_curr_exp(tau_refrac=2.0)) for name in sources}
    for name, source in sources.items():
        source.inject_into(cells[name])
        cells[name].record("spikes")
    sim.run(100.0)
    times = {k: np.asarray(c.get_data().segments[0].spiketrains[0].magnitude) for k, c in cells.items()}
    sim.end()
    return times


NEST: dict[str, list[float]] = {
    "IF_curr_exp": [22.2, 36.5, 50.6, 64.8, 79.0, 93.3],
    "IF_curr_alpha": [12.1, 18.3, 24.5, 30.6, 36.7, 42.9, 49.0, 55.3, 61.4, 67.7, 73.8, 80.0, 86.2, 92.3, 98.6],
    "IF_curr_delta": [14.0, 26.0, 38.0, 50.0, 62.0, 70.0, 82.0, 94.0],
    "IF_cond_exp": [
        10.9,
        16.1,
        21.0,
        26.3,
        31.2,
        36.0,
        40.5,
        45.6,
        50.7,
        55.6,
        60.2,
        65.0,
        70.2,
        75.1,
        79.9,
        84.5,
        89.6,
        94.7,
        99.6,
    ],
    "IF_cond_alpha": [
        7.7,
        11.5,
        15.4,
        19.4,
        23.4,
        27.4,
        31.4,
        35.4,
        39.4,
        43.4,
        47.4,
        51.4,
        55.4,
        59.4,
        63.4,
        67.4,
        71.4,
        75.4,
        79.4,
        83.4,
        87.4,
        91.4,
        95.4,
        99.4,
    ],
    "EIF_cond_exp_isfa_ista": [11.6, 17.4, 23.4, 29.0, 35.1, 40.9, 47.2, 53.3, 59.7, 66.6, 73.3, 80.2, 87.1, 94.6],
    "EIF_cond_alpha_isfa_ista": [
        11.4,
        15.5,
        19.2,
        22.7,
        26.1,
        29.5,
        32.8,
        36.1,
        39.5,
        42.9,
        46.3,
        49.7,
        53.1,
        56.5,
        59.9,
        63.4,
        66.9,
        70.4,
        73.9,
        77.4,
        80.9,
        84.4,
        87.9,
        91.5,
        95.1,
        98.7,
    ],
    "Izhikevich": [16.3],
    "HH_cond_exp": [12.1, 30.6, 50.8, 71.0, 91.1],
    "dc": [32.7, 54.4],
    "ac": [39.5, 69.0],
    "step": [18.9, 34.8, 67.3, 78.8, 90.3],
    "depressing": [
        4.5,
        7.4,
        10.7,
        14.9,
        28.4,
        36.7,
        56.8,
        65.2,
        84.7,
        93.2,
        112.3,
        120.9,
        140.0,
        148.7,
        167.6,
        176.3,
        195.2,
        204.0,
        222.8,
    ],
    "facilitating": [
        10.9,
        15.9,
        23.5,
        31.6,
        36.3,
        41.2,
        46.5,
        57.7,
        62.8,
        68.1,
        74.2,
        85.3,
        90.4,
        95.8,
        102.2,
        112.8,
        117.8,
        123.2,
        129.7,
        140.2,
        145.2,
        150.7,
        157.2,
        167.6,
        172.6,
        178.1,
        184.6,
        195.0,
        200.0,
        205.6,
        212.1,
        222.5,
    ],
    "default": [4.1, 7.4, 13.3, 37.8, 71.4, 114.4, 145.3, 175.7, 208.9],
}


@pytest.mark.parametrize("name", [n for n in DRIVEN if n != "HH_cond_exp"])
def test_spikes_are_those_of_nest(name: str) -> None:
    found = driven(sim, name)
    np.testing.assert_allclose(found, NEST[name], atol=1e-9)


def test_hodgkin_huxley_is_within_two_steps_of_nest() -> None:
    found = driven(sim, "HH_cond_exp")
    assert len(found) == len(NEST["HH_cond_exp"])
    assert np.abs(found - NEST["HH_cond_exp"]).max() < 0.25


@pytest.mark.parametrize("name", ["dc", "ac", "step"])
def test_currents_act_when_those_of_nest_do(name: str) -> None:
    np.testing.assert_allclose(injected(sim)[name], NEST[name], atol=1e-9)


@pytest.mark.parametrize("name", DYNAMIC)
def test_short_term_plasticity_is_that_of_pynn_nest(name: str) -> None:
    assert len(NEST[name]) > 5
    np.testing.assert_allclose(dynamic(sim, name), NEST[name], atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"U": 1.5}, "U of TsodyksMarkramSynapse must be from 0 to 1, got 1.5"),
     ({"tau_rec": 0}, "tau_rec .* must be above 0"), ({"tau_facil": -1.0}, "tau_facil .* must be 0 or more"),
     ({"U": RandomDistribution("uniform", (0, 1))}, "U .* must be one number for the whole projection"),
     ({"tau": 3.0}, "TsodyksMarkramSynapse has no parameter 'tau'")],
)  # fmt: skip
def test_parameters_of_short_term_plasticity(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=says):
        sim.TsodyksMarkramSynapse(weight=1.0, **parameters)


def test_short_term_plasticity_takes_a_hundred_time_constants_of_the_targets() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0]))
    cells = sim.Population(101, sim.IF_curr_exp(tau_syn_E=np.linspace(1.0, 2.0, 101)))
    sim.Projection(source, cells, sim.AllToAllConnector(), sim.TsodyksMarkramSynapse(weight=1.0), label="many")
    with pytest.raises(ParameterError, match="the targets of 'many' have 101 different tau_syn"):
        sim.run(1.0)


def main(backend: str) -> None:
    """Print what real PyNN gives for the networks above, to be frozen here."""
    warnings.simplefilter("ignore")
    peer = importlib.import_module(f"pyNN.{backend}")
    setup = {"spike_precision": "on_grid"} if backend == "nest" else {}
    found = {name: driven(peer, name, **setup) for name in DRIVEN} | injected(peer, **setup)
    found |= {name: dynamic(peer, name, **setup) for name in DYNAMIC}
    for name, times in found.items():
        print(f'    "{name}": {np.round(times, 1).tolist()},')


if __name__ == "__main__":
    main(sys.argv[1])

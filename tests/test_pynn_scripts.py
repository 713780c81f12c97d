"""What scripts written for PyNN's other simulators rely on: functions of all indices, changes between runs, names."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import neurosim.pynn as sim
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError

# -- parameters given as functions -----------------------------------------------------------------------------------


def test_a_function_gets_the_indices_of_all_cells() -> None:
    sim.setup()
    cells = sim.Population(
        4, sim.IF_cond_exp(v_rest=lambda i: i / np.max(i) - 70.0), initial_values={"v": lambda i: -i}
    )
    assert cells.get("v_rest").tolist() == pytest.approx([-70.0, -70.0 + 1 / 3, -70.0 + 2 / 3, -69.0])
    assert cells.initial_values["v"].tolist() == [0.0, -1.0, -2.0, -3.0]


def test_a_function_that_takes_one_index_gets_each() -> None:
    sim.setup()
    cells = sim.Population(
        4, sim.IF_cond_exp(cm=lambda i: 1.0 if i < 2 else 2.0, tau_m=lambda i: [9.0, 8.0, 7.0, 6.0][i])
    )
    assert cells.get("cm").tolist() == [1.0, 1.0, 2.0, 2.0]
    assert cells.get("tau_m").tolist() == [9.0, 8.0, 7.0, 6.0]


def test_a_function_that_fails_says_why() -> None:
    sim.setup()
    with pytest.raises(ZeroDivisionError):
        sim.Population(2, sim.IF_cond_exp(cm=lambda i: 1 / 0))


@pytest.mark.parametrize(
    "times",
    [lambda i: [sim.Sequence([5.0 + k, 50.0]) for k in i], lambda i: sim.Sequence([5.0 + i, 50.0]),
     lambda i: [5.0 + i, 50.0]],
    ids=["all", "each", "list"],
)  # fmt: skip
def test_spike_times_of_a_function(times: Any) -> None:
    sim.setup()
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=times))
    assert [list(row) for row in source.get("spike_times")] == [[5.0, 50.0], [6.0, 50.0]]


def test_positions_by_index() -> None:
    sim.setup()
    cells = sim.Population(9, sim.IF_cond_alpha(), structure=sim.Grid2D(dx=10.0, dy=20.0))
    cells.set(v_thresh=lambda i: -50.0 + cells.position_generator(i).T[0])
    assert cells.get("v_thresh").tolist() == (-50.0 + cells.positions[0]).tolist()
    assert cells[3:5].position_generator(1).tolist() == cells.positions[:, 4].tolist()
    both = cells[:2] + cells[5:]
    assert both.position_generator([1, 2]).tolist() == cells.positions[:, [1, 5]].T.tolist()
    assert cells[3:5].structure is cells.structure


def test_a_grid_that_does_not_fit_matters_once_a_position_is_asked_for() -> None:
    space = importlib.import_module("pyNN.space")
    sim.setup()
    cells = sim.Population(5, sim.IF_cond_exp(), structure=space.Grid2D())
    cells.record("v")
    with pytest.warns(UserWarning, match="the cells of 'population0' have no positions: Invalid size: n=5"):
        sim.run(1.0)
    assert cells.get_data().segments[0].analogsignals[0].shape == (11, 5)
    with pytest.raises(Exception, match="Invalid size"):
        len(cells.positions)


# -- generators and names --------------------------------------------------------------------------------------------


def test_a_distribution_of_pynn_takes_our_generators() -> None:
    random = importlib.import_module("pyNN.random")
    sim.setup()
    rng = sim.NativeRNG(seed=7)
    assert isinstance(rng, sim.NumpyRNG)
    theirs = random.RandomDistribution("normal", mu=0.5, sigma=0.1, rng=rng)
    ours = sim.RandomDistribution("normal", mu=0.5, sigma=0.1, rng=sim.NativeRNG(seed=7))
    sim.Population(3, sim.IF_curr_exp(tau_m=theirs))
    fresh = random.RandomDistribution("normal", mu=0.5, sigma=0.1, rng=sim.NativeRNG(seed=7))
    assert fresh.next(4).tolist() == ours.next(4).tolist()


def test_arguments_of_setup_for_other_simulators() -> None:
    assert sim.setup(timestep=0.1, quit_on_end=False, loglevel=2, useSystemSim=True, maxNeuronLoss=0.0) == 0
    with pytest.raises(UnknownNameError, match="no argument 'time_step'"):
        sim.setup(time_step=0.1)


@pytest.mark.parametrize("name", ["LIF", "AdExp", "ExpPSR", "AlphaPSR", "BetaPSR", "PointNeuron"])
def test_cells_made_of_parts_are_refused_by_name(name: str) -> None:
    sim.setup()
    with pytest.raises(UnsupportedError, match=f"the cell type {name} is not supported: cells made of parts"):
        getattr(sim, name)(tau_m=10.0)


# -- short-term plasticity -------------------------------------------------------------------------------------------


def test_targets_with_different_time_constants() -> None:
    """Each cell gets what it would get alone, in whatever order the constants come."""

    def conductances(taus: Any) -> np.ndarray:
        sim.setup(timestep=0.1)
        source = sim.Population(2, sim.SpikeSourceArray(spike_times=[5.0, 9.0, 16.0]))
        cells = sim.Population(np.size(taus), sim.IF_cond_exp(tau_syn_I=taus))
        cells.record("gsyn_inh")
        kind = sim.TsodyksMarkramSynapse(U=0.3, tau_rec=80.0, tau_facil=30.0, weight=0.01, delay=0.5)
        joined = sim.Projection(source, cells, sim.AllToAllConnector(), kind, receptor_type="inhibitory")
        sim.run(30.0)
        assert joined.get("tau_rec", format="array").tolist() == [[80.0] * np.size(taus)] * 2
        assert joined.get("weight", format="array").tolist() == [[0.01] * np.size(taus)] * 2
        return cells.get_data().segments[0].analogsignals[0].magnitude

    taus = [6.7, 1.2, 4.3, 1.2]
    together = conductances(taus)
    for k, tau in enumerate(taus):
        np.testing.assert_array_equal(together[:, k], conductances([tau])[:, 0])
    assert len({float(g) for g in together[-1]}) == 3


# -- changes between runs --------------------------------------------------------------------------------------------

CHANGES = [
    (sim.EIF_cond_exp_isfa_ista(i_offset=1.0), {"a": 20.0, "tau_w": 100.0}),
    (sim.EIF_cond_alpha_isfa_ista(i_offset=1.0), {"b": 0.2, "delta_T": 1.5}),
    (sim.IF_cond_exp(i_offset=1.0), {"cm": 0.5, "v_rest": -60.0}),
    (sim.IF_curr_exp(i_offset=1.0), {"i_offset": 2.0, "v_thresh": -55.0}),
    (sim.IF_curr_delta(i_offset=1.0), {"i_offset": 2.0, "v_reset": -60.0}),
    (sim.SpikeSourcePoisson(rate=300.0), {"rate": 900.0}),
]


def record(kind: Any, change: dict[str, float]) -> list[np.ndarray]:
    sim.setup(timestep=0.1)
    cells = sim.Population(3, kind)
    cells.record(kind.recordable)
    sim.run(40.0)
    if change:
        cells[:2].set(**change)
    sim.run(10.0)
    sim.run(30.0)
    segment = cells.get_data().segments[0]
    return [np.concatenate([s.magnitude[:, k] for s in segment.analogsignals] + [segment.spiketrains[k].magnitude])
            if segment.analogsignals else segment.spiketrains[k].magnitude for k in range(3)]  # fmt: skip


@pytest.mark.parametrize(("kind", "change"), CHANGES, ids=lambda x: type(x).__name__ if not isinstance(x, dict) else "")
def test_a_change_leaves_the_past_and_the_others_as_they_were(kind: Any, change: dict[str, float]) -> None:
    with_change, without = record(kind, change), record(kind, {})
    np.testing.assert_array_equal(with_change[2], without[2])
    assert not np.array_equal(with_change[0], without[0])
    signals = [r for r in kind.recordable if r != "spikes"]
    if signals:
        width = 801
        for k in range(len(signals)):
            past = slice(k * width, k * width + 401)
            np.testing.assert_array_equal(with_change[0][past], without[0][past])
    else:
        np.testing.assert_array_equal(*(x[x <= 40.0] for x in (with_change[0], without[0])))


def test_a_change_acts_from_the_next_step_on() -> None:
    """cm dv/dt = i from rest, without a leak to speak of: the slope is that of the current of the time."""
    sim.setup(timestep=0.1)
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=1e9, v_thresh=0.0, i_offset=0.1))
    cells.record("v")
    expected = [-65.0]
    for i_offset, steps in ((0.1, 10), (0.5, 20), (0.5, 5), (0.0, 10)):
        cells.set(i_offset=i_offset)
        sim.run(steps * 0.1)
        expected += [expected[-1] + i_offset * 0.1 * k for k in range(1, steps + 1)]
    np.testing.assert_allclose(cells.get_data().segments[0].analogsignals[0].magnitude[:, 0], expected, atol=1e-6)
    assert cells.get("i_offset") == 0.0


def test_a_rate_that_a_callback_changes() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(100, sim.SpikeSourcePoisson(rate=0.0))
    source.record("spikes")
    rates = iter([0.0, 100.0, 0.0, 300.0])

    def change(t: float) -> float:
        source.set(rate=next(rates, 0.0))
        return t + 100.0

    sim.run(400.0, callbacks=[change])
    times = np.concatenate([train.magnitude for train in source.get_data().segments[0].spiketrains])
    counts = np.histogram(times - 0.05, bins=np.arange(0.0, 401.0, 100.0))[0]
    assert counts[0] == counts[2] == 0
    assert abs(counts[1] - 1000) < 5 * np.sqrt(1000)
    assert abs(counts[3] - 3000) < 5 * np.sqrt(3000)


def test_changes_are_not_those_of_the_next_trial() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(1, sim.IF_cond_exp(i_offset=1.0))
    cells.record("v")
    sim.run(0.0)
    cells.set(tau_m=10.0)
    sim.run(20.0)
    cells.set(i_offset=0.0)
    sim.run(20.0)
    sim.reset()
    sim.run(40.0)
    first, second = (s.analogsignals[0].magnitude for s in cells.get_data().segments)
    assert first[200] > -60.0 > first[-1]
    assert second.tolist() == [[-65.0]] * 401


@pytest.mark.parametrize("change", [{"tau_refrac": 3.0}, {"tau_syn_E": 3.0}, {"tau_m": 15.0}])
def test_other_parameters_keep_to_the_run(change: dict[str, float]) -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    sim.run(1.0)
    with pytest.raises(ParameterError, match=r"set\(.*\) of 'cells' at t = 1 ms: a network that has begun to run"):
        cells.set(**change)

"""The objects of ``neurosim.pynn``: populations, connectors, random numbers, structures, and what errors say."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim.pynn as sim
from neurosim.errors import (
    ConnectivityError,
    EquationError,
    NeurosimError,
    ParameterError,
    UnknownNameError,
)
from neurosim.pynn import RandomDistribution, StaticSynapse


def spikes(group: Any, k: int = 0) -> np.ndarray:
    """Spike times (ms) of one cell in the last segment."""
    return np.asarray(group.get_data("spikes").segments[-1].spiketrains[k].magnitude)


def signal(group: Any, name: str = "v") -> np.ndarray:
    """Samples [T, cells] of a variable in the last segment."""
    (found,) = (s for s in group.get_data(name).segments[-1].analogsignals if s.name == name)
    return np.asarray(found.magnitude)


# -- groups, parameters, connectors -----------------------------------------------------------------------------------


def test_populations_views_and_assemblies() -> None:
    sim.setup()
    p = sim.Population(10, sim.IF_curr_exp(tau_m=np.arange(10) + 5.0), label="p", structure=sim.Line(dx=3.0))
    q = sim.Population(4, sim.IF_curr_exp())
    view = p[2:8][::2]
    assert view.get("tau_m").tolist() == [7.0, 9.0, 11.0] and p.get("cm") == 1.0
    view.set(tau_m=1.0, cm=lambda i: i + 1.0)
    assert p.get("tau_m").tolist() == [5, 6, 1, 8, 1, 10, 1, 12, 13, 14] and view.get("cm").tolist() == [1, 2, 3]
    p[0].v_thresh = -55.0
    assert p.get("v_thresh")[:2].tolist() == [-55.0, -50.0] and p[0].v_thresh == -55.0
    assert p.id_to_index(p[7]) == 7 and view.id_to_index(p[4]) == 1 and p.nearest((16.0, 0, 0)) == p[5]
    both = p + q[1:3]
    assert len(both) == 12 and len(both[8:11]) == 3 and both.get_population("p") is p
    both.set(v_rest=-70.0)
    assert q.get("v_rest").tolist() == [-65.0, -70.0, -70.0, -65.0]
    with pytest.warns(DeprecationWarning, match="set"):
        q.tset("cm", [1.0, 2.0, 3.0, 4.0])
    assert len(p.sample(4, rng=sim.NumpyRNG(1))) == 4
    mask = np.zeros(10, bool)
    mask[3] = True
    assert p[mask].all_cells.tolist() == [p[3]]
    assert isinstance(p.get(["tau_m", "cm"]), list) and p.initial_values["v"] == -65.0


def test_an_assembly_is_a_source_and_a_target() -> None:
    sim.setup(timestep=0.1)
    a = sim.Population(2, sim.SpikeSourceArray(spike_times=[sim.Sequence([1.0]), sim.Sequence([2.0])]))
    b = sim.Population(2, sim.SpikeSourceArray(spike_times=[3.0]))
    targets = sim.Population(3, sim.IF_curr_exp()), sim.Population(2, sim.IF_curr_exp(v_rest=-60.0))
    everything = a + b, targets[0] + targets[1]
    edges = [(0, 0, 0.1, 1.0), (1, 4, 0.2, 2.0), (3, 1, 0.3, 3.0), (3, 3, 0.4, 0.5)]
    prj = sim.Projection(*everything, sim.FromListConnector(edges), StaticSynapse())
    np.testing.assert_allclose(prj.get(["weight", "delay"], "list"), edges)
    everything[1].record("v")
    sim.run(20.0)
    v = np.hstack([signal(t) - r for t, r in zip(targets, (-65.0, 0.0), strict=True)])
    begin = [np.flatnonzero(np.abs(np.diff(v[:, k], 2)) > 1e-4) for k in range(3)]
    assert begin[0][0] == 19 and begin[1][0] == 59 and not len(begin[2])  # 1 + 1 ms and 3 + 3 ms, and a step
    assert everything[1].get_data().segments[0].analogsignals[1].array_annotations["channel_index"].tolist() == [3, 4]


def test_connectors_make_what_they_say(tmp_path: Path) -> None:
    sim.setup(timestep=0.1)
    p, q = sim.Population(12, sim.IF_curr_exp()), sim.Population(8, sim.IF_curr_exp())

    def edges(pre: Any, post: Any, connector: Any) -> np.ndarray:
        prj = sim.Projection(pre, post, connector, StaticSynapse(weight=1.0))
        found = np.zeros((len(pre), len(post)), int)
        np.add.at(found, tuple(np.array(prj.get([], "list"), int).reshape(-1, 2).T), 1)
        assert found.sum() == len(prj)
        return found

    assert edges(p, q, sim.AllToAllConnector()).sum() == 96
    assert edges(p, p, sim.AllToAllConnector(allow_self_connections=False)).trace() == 0
    assert np.array_equal(edges(p, p[:], sim.AllToAllConnector(False)), 1 - np.eye(12))
    assert np.array_equal(edges(p, p, sim.AllToAllConnector("NoMutual")), np.tril(np.ones((12, 12)), -1))
    assert np.array_equal(edges(p, q, sim.OneToOneConnector()), np.eye(12)[:, :8])
    assert (edges(p, q, sim.FixedNumberPreConnector(5)).sum(0) == 5).all()
    assert (edges(p, q, sim.FixedNumberPostConnector(5)).sum(1) == 5).all()
    twice = edges(p, q, sim.FixedNumberPostConnector(19))  # 8 targets: all twice, three of them a third time
    assert (twice.sum(1) == 19).all() and twice.min() == 2 and twice.max() == 3
    repeated = edges(p, q, sim.FixedNumberPreConnector(30, with_replacement=True))
    assert (repeated.sum(0) == 30).all() and repeated.max() > 3
    drawn = edges(p, q, sim.FixedNumberPreConnector(RandomDistribution("uniform_int", low=1, high=5)))
    assert set(drawn.sum(0)) <= {1, 2, 3, 4} and len(set(drawn.sum(0))) > 1 and drawn.max() == 1
    assert edges(p, p, sim.FixedNumberPreConnector(11, allow_self_connections=False)).trace() == 0
    assert edges(p, q, sim.FixedTotalNumberConnector(200)).sum() == 200
    matrix = np.arange(96).reshape(12, 8) % 7 == 0
    assert np.array_equal(edges(p, q, sim.ArrayConnector(matrix)), matrix)
    assert np.array_equal(edges(p, q, sim.IndexBasedProbabilityConnector(lambda i, j: (i + j) % 3 == 0)),
                          (np.arange(12)[:, None] + np.arange(8)) % 3 == 0)  # fmt: skip
    near = edges(p, q, sim.DisplacementDependentProbabilityConnector(lambda d: np.abs(d[0]) < 1.5))
    assert np.array_equal(near, np.abs(np.arange(12)[:, None] - np.arange(8)) < 1.5)
    some = sim.Projection(p, q, sim.FixedProbabilityConnector(0.3), StaticSynapse(weight=0.25, delay=0.7))
    assert np.array_equal(edges(p, q, sim.CloneConnector(some)), ~np.isnan(some.get("weight", "array")))
    some.save("all", str(tmp_path / "edges.txt"))
    again = sim.Projection(p, q, sim.FromFileConnector(str(tmp_path / "edges.txt")))
    assert again.get(["weight", "delay"], "list") == some.get(["weight", "delay"], "list")
    assert some.get("delay", "list", with_address=False) == pytest.approx([0.7] * len(some))


def test_values_of_synapses_and_histogram() -> None:
    sim.setup(timestep=0.1)
    p = sim.Population(30, sim.IF_curr_exp())
    rng = sim.NumpyRNG(4)
    prj = sim.Projection(p, p, sim.AllToAllConnector(), StaticSynapse(
        weight=RandomDistribution("normal_clipped", mu=0.5, sigma=0.1, low=0.3, high=np.inf, rng=rng),
        delay=RandomDistribution("uniform", (0.5, 2.0), rng=rng)))  # fmt: skip
    w = np.array(prj.get("weight", "list", with_address=False))
    assert w.min() >= 0.3 and abs(w.mean() - 0.5055) < 0.015
    d = np.array(prj.get("delay", "list", with_address=False)) / 0.1
    np.testing.assert_allclose(d, np.rint(d), atol=1e-9)
    prj.set(weight=np.arange(900.0).reshape(30, 30))
    with pytest.warns(DeprecationWarning):
        counts, ends = prj.weightHistogram(nbins=3)
    assert counts.tolist() == [300, 300, 300] and ends[-1] == 899.0
    pairs = sim.Projection(p, p, sim.FromListConnector([(0, 1, 1.0, 0.1), (0, 1, 5.0, 0.1), (2, 3, 2.0, 0.1)]))
    for several, expected in (("sum", 6.0), ("min", 1.0), ("max", 5.0), ("first", 1.0), ("last", 5.0)):
        assert pairs.get("weight", "array", multiple_synapses=several)[0, 1] == expected


@pytest.mark.parametrize(
    ("name", "parameters", "mean", "sd"),
    [("uniform", (1.0, 3.0), 2.0, 1 / math.sqrt(3)), ("normal", (1.0, 2.0), 1.0, 2.0),
     ("exponential", (2.5,), 2.5, 2.5), ("lognormal", (0.0, 0.5), 1.1331, 0.604), ("gamma", (2.0, 3.0), 6.0, 4.243),
     ("gamma", (0.5, 2.0), 1.0, 1.414), ("poisson", (3.5,), 3.5, 1.871), ("binomial", (20, 0.3), 6.0, 2.049),
     ("uniform_int", (2, 6), 3.5, 1.118), ("normal_clipped", (0.0, 1.0, 0.0, 9.0), 0.7979, 0.603),
     ("normal_clipped_to_boundary", (0.0, 1.0, 0.0, 9.0), 0.3989, 0.5838)],
)  # fmt: skip
def test_distributions_have_their_moments(name: str, parameters: tuple[float, ...], mean: float, sd: float) -> None:
    x = RandomDistribution(name, parameters, rng=sim.NumpyRNG(seed=11)).next(20000)
    assert abs(x.mean() - mean) < 5 * sd / math.sqrt(20000)
    assert x.std() == pytest.approx(sd, rel=0.05)
    again = RandomDistribution(name, parameters, rng=sim.NumpyRNG(seed=11))
    assert np.array_equal(np.concatenate([again.next(20000)]), x)


def test_random_numbers_follow_from_the_seed() -> None:
    def draw(seed: int) -> list[float]:
        sim.setup(rng_seed=seed)
        p = sim.Population(3, sim.IF_curr_exp(tau_m=RandomDistribution("uniform", low=10.0, high=20.0)))
        return p.get("tau_m").tolist()

    assert draw(1) == draw(1) != draw(2)
    rng = sim.NumpyRNG(3)
    assert sorted(rng.permutation(6)) == list(range(6)) and not np.array_equal(rng.next(3), rng.next(3))
    assert 0.0 < rng.next() < 1.0 and set(rng.randint(2, 4, size=50)) == {2, 3}


def test_structures() -> None:
    assert sim.Grid2D(aspect_ratio=3.0, dx=2.0).generate_positions(12)[:2, :4].tolist() == [[0, 0, 2, 2], [0, 1, 0, 1]]
    cube = sim.Grid3D(z0=5.0).generate_positions(8)
    assert cube[:, 1].tolist() == [0.0, 0.0, 6.0] and cube[:, 4].tolist() == [1.0, 0.0, 5.0]
    shuffled = sim.Grid2D(fill_order="random", rng=sim.NumpyRNG(1)).generate_positions(9)
    assert sorted(map(tuple, shuffled.T)) == sorted(map(tuple, sim.Grid2D().generate_positions(9).T))
    ball = sim.RandomStructure(sim.Sphere(2.0), origin=(10.0, 0.0, 0.0), rng=sim.NumpyRNG(2)).generate_positions(100)
    assert np.linalg.norm(ball.T - [10, 0, 0], axis=1).max() < 2.0
    box = sim.RandomStructure(sim.Cuboid(2.0, 4.0, 6.0), rng=sim.NumpyRNG(2)).generate_positions(100)
    assert (np.abs(box).max(1) < [1, 2, 3]).all() and (np.abs(box).max(1) > [0.8, 1.6, 2.4]).all()
    with pytest.raises(ParameterError, match="do not fill a grid"):
        sim.Grid2D().generate_positions(10)


# -- errors are sentences ---------------------------------------------------------------------------------------------


def wrong(name: str) -> Any:
    sim.setup(timestep=0.1, min_delay=0.5, max_delay=5.0)
    p = sim.Population(3, sim.IF_curr_exp(), label="p")
    source = sim.Population(1, sim.SpikeSourceArray())
    every = sim.AllToAllConnector()
    return {
        "parameter": lambda: sim.IF_curr_exp(tau_n=1.0),
        "kind": lambda: p.set(tau_m="ten"),
        "size": lambda: p.set(tau_m=[1.0, 2.0]),
        "variable": lambda: p.record("vv"),
        "gsyn": lambda: p.record("gsyn_exc"),
        "delay": lambda: sim.Projection(source, p, every, StaticSynapse(weight=1.0, delay=0.3)),
        "long": lambda: sim.Projection(source, p, every, StaticSynapse(weight=1.0, delay=7.0)),
        "source": lambda: sim.Projection(p, source, every),
        "receptor": lambda: sim.Projection(source, p, every, receptor_type="inhib"),
        "list": lambda: sim.Projection(source, p, sim.FromListConnector([(0, 3)])),
        "inject": lambda: sim.DCSource().inject_into(source),
        "synapse": lambda: StaticSynapse(wieght=1.0),
        "distribution": lambda: RandomDistribution("normall", (0, 1)),
        "order": lambda: RandomDistribution("normal", (0.0, 1.0, 2.0)),
        "distance": lambda: sim.DistanceDependentProbabilityConnector("exp(-D)"),
        "syntax": lambda: sim.DistanceDependentProbabilityConnector("exp(-d"),
        "setup": lambda: sim.setup(time_step=0.1),
        "negative": lambda: sim.SpikeSourceArray and sim.Population(1, sim.SpikeSourceArray(spike_times=[-1.0])),
        "current": lambda: sim.StepCurrentSource(times=[1.0], amplitudes=0.5),
        "view": lambda: p[3:],
        "initial": lambda: p.initialize(vm=-60.0),
        "cell": lambda: p.set(tau_mm=1.0),
        "class": lambda: sim.Population(3, "IF_curr_exp"),
        "coarse": lambda: sim.Population(1, sim.IF_cond_alpha(tau_syn_E=0.03)),
    }[name]


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("parameter", UnknownNameError, "did you mean 'tau_m'"),
        ("kind", ParameterError, "tau_m of 'p' must be a number"),
        ("size", ParameterError, "one value or 3"),
        ("variable", UnknownNameError, "'vv' cannot be recorded from IF_curr_exp; did you mean 'v'"),
        ("gsyn", UnknownNameError, "cannot be recorded from IF_curr_exp; known: spikes, v"),
        ("delay", ConnectivityError, "is 0.3 ms; the shortest of this simulation is 0.5 ms"),
        ("long", ConnectivityError, "is 7 ms; the longest of this simulation is 5 ms"),
        ("source", ConnectivityError, "a spike source cannot be a target"),
        ("receptor", UnknownNameError, "did you mean 'inhibitory'"),
        ("list", ConnectivityError, "connection 0 has the target 3; legal are 0 to 2"),
        ("inject", ParameterError, "a spike source has no membrane"),
        ("synapse", UnknownNameError, "did you mean 'weight'"),
        ("distribution", UnknownNameError, "did you mean 'normal'"),
        ("order", ParameterError, r"takes \(mu, sigma\)"),
        ("distance", EquationError, "reads 'D'"),
        ("syntax", EquationError, "does not parse"),
        ("setup", UnknownNameError, "did you mean 'timestep'"),
        ("negative", ParameterError, "must not be negative, got -1 ms"),
        ("current", ParameterError, "must be a list of numbers"),
        ("view", ParameterError, "the selection from 'p' is empty"),
        ("initial", UnknownNameError, "no state variable 'vm'"),
        ("cell", UnknownNameError, "did you mean 'tau_m'"),
        ("class", ParameterError, "needs a cell type"),
        ("coarse", ParameterError, "too long for tau_syn_E"),
    ],
)
def test_errors_say_what_is_wrong_and_where(name: str, error: type[NeurosimError], says: str) -> None:
    act = wrong(name)
    with pytest.raises(error, match=says) as caught:
        act()
    assert "test_pynn_objects.py" in str(caught.value)


@pytest.mark.parametrize(
    ("synapse", "says"),
    [
        ({"weight": -0.01}, "are at least 0; write weight=0.01, receptor_type='inhibitory'"),
        ({"weight": RandomDistribution("normal", (0.0, 1.0))}, r"are at least 0; RandomDistribution\('normal_clipped'"),
        ({"weight": RandomDistribution("uniform", (-2.0, -1.0))}, "are at least 0; bound the distribution 'uniform'"),
        ({"delay": RandomDistribution("normal", (0.0, 1.0))}, r"max_delay\); RandomDistribution\('normal_clipped'"),
    ],
)
def test_a_value_out_of_bounds_says_what_to_write(synapse: dict[str, Any], says: str) -> None:
    sim.setup()
    p = sim.Population(20, sim.IF_cond_exp())
    with pytest.raises(ConnectivityError, match=says):
        sim.Projection(p, p, sim.AllToAllConnector(), StaticSynapse(**{"weight": 0.01, **synapse}))


def test_a_second_setup_begins_anew() -> None:
    sim.setup()
    old = sim.Population(1, sim.IF_curr_exp(), label="old")
    sim.setup()
    sim.Population(1, sim.IF_curr_exp())
    with pytest.raises(ParameterError, match=r"'old' was made before the last setup\(\)"):
        old.record("v")


def test_times_off_the_grid_are_rounded_with_a_warning() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.04, 2.0, 2.03]))
    cell = sim.Population(1, sim.IF_curr_exp(tau_refrac=0.12))
    with pytest.warns(sim.RoundingWarning, match="a delay of 'population.*' of 0.66 ms is rounded"):
        prj = sim.Projection(source, cell, sim.AllToAllConnector(), StaticSynapse(weight=1.0, delay=0.66))
    assert prj.get("delay", "list", with_address=False) == pytest.approx([0.7])
    source.record("spikes")
    with pytest.warns(sim.RoundingWarning) as said:
        sim.run(5.0)
    told = " | ".join(str(w.message) for w in said)
    assert "2 spike times" in told and "1 spike times" in told and "tau_refrac" in told
    np.testing.assert_allclose(spikes(source), [1.0, 2.0])
    assert said[0].filename == __file__


def test_objects_of_pynn_itself_are_understood() -> None:
    pynn_random = importlib.import_module("pyNN.random")
    sim.setup()
    rng = pynn_random.NumpyRNG(seed=5)
    p = sim.Population(4, sim.IF_curr_exp(cm=pynn_random.RandomDistribution("uniform", (1.0, 2.0), rng=rng)))
    expected = RandomDistribution("uniform", (1.0, 2.0), rng=sim.NumpyRNG(5)).next(4)
    assert np.array_equal(p.get("cm"), expected)

"""Results as objects and files of other tools, and as films."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import neo
import numpy as np
import pandas as pd
import pynwb
import pytest
from cli_kit import call, here
from PIL import Image

import neurosim as ns
from neurosim.errors import BackendMissingError, ParameterError, ResultFileError
from neurosim.models import LIF, DCInput, ExpConductance, ExpCurrent, PairSTDP
from neurosim.recording import Provenance, RunResult, Spikes
from neurosim.recording.safe import SafeFile
from neurosim.units import Mohm, ms, mV, pA, second

__all__ = ["here"]

DT = 1e-4


@pytest.fixture(scope="module")
def result() -> RunResult:
    """Two populations, variables at two intervals, a rate, weights of a projection that learns."""
    net = ns.Network("all", dt=0.1 * ms, seed=3)
    cell = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV)
    a = net.population("a", 20, cell(receptors={"exc": ExpCurrent()}), init={"v": ns.uniform(-60 * mV, -50 * mV)})
    b = net.population("b", 10, cell(receptors={"exc": ExpConductance(tau=5 * ms)}))
    ab = net.connect(a, b, receptor="exc", weight=0.1, delay=1 * ms, plasticity=PairSTDP(w_max=1.0), name="ab")
    net.record([a, b[3:6]], "spikes")
    net.record(a[:3], "v")
    net.record(b[2:4], "exc.g", every=0.5 * ms)
    net.record(a, "rate", every=5 * ms)
    net.record(ab, "weight", every=20 * ms)
    return net.run(100 * ms, backend="reference")


def test_tables_of_pandas(result: RunResult) -> None:
    spikes, state, rates, weights = result.to_pandas()
    assert list(spikes.columns) == ["t", "population", "neuron"] and spikes.t.is_monotonic_increasing
    for name, held in result.spikes.items():
        rows = spikes[spikes.population == name]
        assert np.array_equal(rows.t, held.t) and np.array_equal(rows.neuron, held.ids)
    v, g = result.state["a"]["v"], result.state["b"]["exc.g"]
    assert np.array_equal(state["a", "v"].dropna().to_numpy(), v.values)
    assert np.array_equal(state["b", "exc.g"].dropna().to_numpy(), g.values)  # sampled every fifth step
    assert list(state["b", "exc.g"].columns) == [2, 3] and len(state) == len(v.times)
    assert state.index.name == "t" and state.index[0] == pytest.approx(DT)
    assert np.array_equal(rates["a"], result.population_rates["a"].values)
    assert np.array_equal(weights["ab"].to_numpy(), result.weight_traces["ab"].values)
    assert spikes.groupby("population", observed=True).size()["a"] == len(result.spikes["a"])


def test_tree_of_xarray(result: RunResult) -> None:
    tree = result.to_xarray()
    v = tree["a/v"]["v"]
    assert v.dims == ("t", "neuron") and v.attrs["units"] == "V"
    assert np.array_equal(v.sel(neuron=1), result.state["a"]["v"].of(1))
    assert np.array_equal(tree["b/spikes"]["neuron"], result.spikes["b"].ids) and tree["b/spikes"].attrs["size"] == 10
    assert np.array_equal(tree["a/spikes"]["t"], result.spikes["a"].t)
    assert np.array_equal(tree["ab/weight"]["weight"].values, result.weight_traces["ab"].values)
    assert float(tree["a/rate"]["rate"].sel(t=0.005)) == result.population_rates["a"].values[1]
    assert tree.attrs["seed"] == 3 and tree.attrs["network"] == "all"


def test_block_of_neo(result: RunResult) -> None:
    block = result.to_neo()
    (segment,) = block.segments
    trains = {(t.annotations["source_population"], t.annotations["source_index"]): t for t in segment.spiketrains}
    assert set(trains) == {("a", k) for k in range(20)} | {("b", k) for k in (3, 4, 5)}
    for (name, k), train in trains.items():  # the end of the step, where our own time is its beginning
        assert np.allclose(train.rescale("s").magnitude, result.spikes[name].of(k) + DT, rtol=0, atol=1e-12)
        assert float(train.t_stop.rescale("s")) == pytest.approx(0.1)
    signals = {s.name: s for s in segment.analogsignals}
    assert set(signals) == {"a.v", "b.exc.g", "a.rate", "ab.weight"}
    v = signals["a.v"]
    assert v.units.dimensionality.string == "V" and np.array_equal(v.magnitude, result.state["a"]["v"].values)
    assert float(v.t_start.rescale("s")) == pytest.approx(DT) and v.array_annotations["neuron"].tolist() == [0, 1, 2]
    assert float(signals["b.exc.g"].sampling_period.rescale("ms")) == pytest.approx(0.5)
    # a spike stands where the sample shows the reset
    first = trains["a", 0][0].rescale("s").magnitude
    assert v.magnitude[round(float(first) / DT) - 1, 0] == pytest.approx(-0.060)


def test_units_as_neo_has_them() -> None:
    net = ns.Network("units", dt=0.1 * ms)
    cell = LIF(r_m=100 * Mohm)
    pop = net.population("p", 2, cell(receptors={"exc": ExpConductance(tau=5 * ms), "cur": ExpCurrent(tau=5 * ms)}))
    net.stimulate(pop, DCInput(10 * pA))
    for variable in ("v", "exc.g", "cur.x"):
        net.record(pop, variable)
    segment = net.run(5 * ms, backend="reference").to_neo().segments[0]
    units = {s.name: s.units.dimensionality.string for s in segment.analogsignals}
    assert units == {"p.v": "V", "p.exc.g": "S", "p.cur.x": "A"}


def test_file_of_nwb(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "all.nwb"
    result.to_nwb(path, description="a test")
    assert not pynwb.validate(path=str(path))
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        assert file.session_description == "a test" and "seed: 3" in file.source_script
        units = file.units.to_dataframe()
        assert len(units) == 23 and "end of the step" in file.units.description
        for _, row in units.iterrows():
            ours = result.spikes[row.population].of(int(row.neuron)) + DT
            assert np.allclose(row.spike_times, ours, rtol=0, atol=1e-12)
            assert np.allclose(row.obs_intervals, [[0, 0.1]])
        v = file.acquisition["a.v"]
        assert v.unit == "V" and v.rate == pytest.approx(1 / DT) and v.starting_time == pytest.approx(DT)
        assert np.array_equal(v.data[:], result.state["a"]["v"].values) and "neurons 0-2 of 'a'" in v.description
        assert np.array_equal(file.acquisition["ab.weight"].data[:], result.weight_traces["ab"].values)
    block = neo.io.NWBIO(str(path), "r").read_all_blocks()[0]
    assert sum(len(t) for t in block.segments[0].spiketrains) == sum(len(s) for s in result.spikes.values())


def test_what_nothing_was_recorded_in(tmp_path: Path) -> None:
    empty = RunResult({"p": 3}, Provenance(network="empty", dt=DT, n_steps=10, started="2026-11-29T10:00:00"))
    tables = empty.to_pandas()
    assert all(len(t) == 0 for t in tables) and isinstance(tables.state.columns, pd.MultiIndex)
    assert list(empty.to_xarray().children) == []
    assert len(empty.to_neo().segments[0].spiketrains) == 0
    empty.to_nwb(tmp_path / "empty.nwb")
    assert not pynwb.validate(path=str(tmp_path / "empty.nwb"))


def test_a_file_is_what_the_result_was(result: RunResult, tmp_path: Path) -> None:
    result.save(tmp_path / "all.h5")
    again = RunResult.load(tmp_path / "all.h5").to_pandas()
    for ours, theirs in zip(result.to_pandas(), again, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize(("module", "call"), [("pandas", "to_pandas"), ("xarray", "to_xarray"), ("neo", "to_neo")])
def test_a_library_that_is_missing(
    result: RunResult, module: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissingError) as caught:
        getattr(result, call)()
    assert caught.value.message == f"{call}() needs {module}, which is not installed: pip install {module}"


def test_nwb_that_cannot_be_written(result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultFileError, match="its directory does not exist"):
        result.to_nwb(tmp_path / "no" / "x.nwb")
    with pytest.raises(ParameterError, match="description is text, got int"):
        result.to_nwb(tmp_path / "x.nwb", description=3)
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(BackendMissingError, match="pip install pynwb"):
        result.to_nwb(tmp_path / "x.nwb")
    assert list(tmp_path.iterdir()) == []


# -- films


def test_raster_grows(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "raster.gif"
    result.animate(path, slower=20, fps=10)
    with Image.open(path) as film:
        assert film.n_frames == 20 and film.info["duration"] == 100
        ink = []
        for k in (0, 9, 19):
            film.seek(k)
            pixels = np.asarray(film.convert("RGB"), dtype=int)
            coloured = pixels.max(axis=2) - pixels.min(axis=2) > 60
            ink.append(int(coloured.sum()))
    assert 0 < ink[0] < ink[1] < ink[2]


def test_activity_lights_up_and_fades(tmp_path: Path) -> None:
    spikes = Spikes(np.array([500]), np.array([0]), 4, DT, 2000)  # one of four neurons, once, at 50 ms
    run = RunResult({"p": 4}, Provenance(network="one", dt=DT, n_steps=2000), {"p": spikes})
    path = tmp_path / "map.gif"
    run.animate(path, kind="activity", slower=10, fps=10, tau=20 * ms)
    brightest = []
    with Image.open(path) as film:
        for k in range(film.n_frames):
            film.seek(k)
            pixels = np.asarray(film.convert("RGB"), dtype=int)
            inner = pixels[pixels.shape[0] // 4 : -20, 10:-10]
            warm = (inner[..., 0] > inner[..., 2] + 60).sum()  # yellow and orange: after a spike
            brightest.append(int(warm))
    assert brightest[:4] == [0] * 4 and brightest[5] > 1000 and brightest[-1] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kind": "rastr"}, "kind is 'raster' or 'activity', got 'rastr'; did you mean 'raster'?"),
        ({"fps": 100}, "fps is a whole number from 1 to 50, got 100"),
        ({"slower": 0}, "slower must be positive, got 0"),
        ({"start": 50 * ms, "stop": 50 * ms}, "the film is to end after it begins: it would go from 0.05 to 0.05 s"),
        ({"slower": 1000}, "0.1 s, 1000 times slower and at 20 frames a second, are 2000 frames; a film has 2 to 1000: "
                           "change start, stop, slower or fps"),
    ],
)  # fmt: skip
def test_films_that_cannot_be_made(result: RunResult, tmp_path: Path, more: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        result.animate(tmp_path / "x.gif", **more)
    assert caught.value.message == message and list(tmp_path.iterdir()) == []


def test_films_are_gifs_of_spikes(tmp_path: Path) -> None:
    run = RunResult({"p": 4}, Provenance(network="one", dt=DT, n_steps=2000))
    with pytest.raises(ParameterError, match="^there is nothing to show: this run recorded no spikes"):
        run.animate(tmp_path / "x.gif")
    with pytest.raises(ParameterError, match=r"^a film is written as a GIF: give a name that ends in \.gif, not "):
        run.animate(tmp_path / "x.mp4", stop=1 * second)


# -- the command line


@pytest.mark.usefixtures("here")
def test_commands(result: RunResult) -> None:
    result.save("out.h5")
    done = call("convert", "out.h5", "-o", "out.csv")
    assert done.exit_code == 0 and done.output.startswith("wrote out.csv (")
    table = pd.read_csv("out.csv")
    pd.testing.assert_frame_equal(
        table, result.to_pandas().spikes.astype({"population": table.population.dtype}), check_exact=True
    )
    assert call("convert", "out.h5", "-o", "out.nwb", "--description", "mine").exit_code == 0
    assert not pynwb.validate(path="out.nwb")
    done = call("animate", "out.h5", "--kind", "activity", "--stop", "50ms", "--fps", "5")
    assert done.exit_code == 0 and done.output.startswith("wrote out.gif (")
    with Image.open("out.gif") as film:
        assert film.n_frames in (2, 3)
    wrong = call("convert", "out.h5", "-o", "out.mat")
    assert wrong.exit_code == 2
    assert wrong.stderr == "error: 'out.mat' should end in one of .nwb, .csv, which names the format\n"
    wrong = call("convert", "out.h5", "-o", "o.csv", "--description", "x")
    assert wrong.stderr == "error: --description is for .nwb files, not for 'o.csv'\n"
    assert call("animate", "none.h5").exit_code == 3


@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk_leaves_no_nwb(result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                   room: int) -> None:  # fmt: skip
    write = SafeFile._write

    def limited(self: SafeFile, data: bytes) -> None:
        if self.at + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    monkeypatch.setattr(SafeFile, "_write", limited)
    with pytest.raises(ResultFileError, match=r"cannot write '.*x.nwb': the disk is full; free some space"):
        result.to_nwb(tmp_path / "x.nwb")
    assert not os.listdir(tmp_path)

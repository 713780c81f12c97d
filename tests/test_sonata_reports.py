"""Reports of SONATA simulations: recorded, written, read by libsonata; what cannot be written is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import sonata_kit as kit
from click.testing import CliRunner

import neurosim as ns
from neurosim.cli.load import load
from neurosim.cli.main import cli
from neurosim.interchange.sonata.build import read_network
from neurosim.interchange.sonata.write import export
from neurosim.models import LIF, DCInput, ExpCurrent, PoissonSource
from neurosim.units import Hz, ms, mV


def membrane(**more: Any) -> dict[str, Any]:
    return {"module": "membrane_report", "cells": "net", "variable_name": "V_m", "sections": "soma", **more}


def run(path: Path, **options: str) -> tuple[Any, Any]:
    loaded = load(str(path), tuple(f"{k}={v}" for k, v in options.items()), None)
    assert loaded.finish is not None and loaded.duration is not None
    loaded.finish.ready()
    result = loaded.network.run(loaded.duration, backend="reference")
    return result, loaded.finish(result)


def test_potentials_by_the_equation(tmp_path: Path) -> None:
    """Without inputs V_m returns to -70 mV from where each node starts, with 12 ms; the last node is left out."""
    import libsonata

    cells = {"population": "net", "node_id": [2, 1]}
    reports = {"vm": membrane(cells=cells, dt=0.5, start_time=10.0, end_time=40.0)}
    path = kit.small(tmp_path, inputs={}, reports=reports)
    _, files = run(path)
    assert files["report vm"] == str(tmp_path / "out" / "vm.h5")
    found = libsonata.SomaReportReader(files["report vm"])["net"]
    assert list(found.get_node_ids()) == [1, 2] and found.times == pytest.approx((10.0, 40.5, 0.5))
    assert found.data_units == "mV" and found.time_units == "ms"
    frame = found.get()
    times = 10.0 + 0.5 * np.arange(61)
    np.testing.assert_allclose(frame.times, times)
    for column, start in enumerate((-60.0, -57.0)):
        np.testing.assert_allclose(frame.data[:, column], -70 + (start + 70) * np.exp(-times / 12), atol=2e-5)


def test_a_report_holds_what_the_network_records(tmp_path: Path) -> None:
    reports = {"all": membrane(cells=["net"]), "two": membrane(cells={"node_id": [0]}, file_name="first.h5"),
               "synapse": membrane(variable_name="exc.x"), "off": membrane(enabled=False)}  # fmt: skip
    result, files = run(kit.small(tmp_path, reports=reports))
    assert sorted(files) == ["report all", "report synapse", "report two", "spikes"]
    trace = result.state["net"]["v"]
    with h5py.File(files["report all"]) as file, h5py.File(files["report two"]) as two:
        group = file["report/net"]
        np.testing.assert_array_equal(group["data"][()], (trace.values * 1e3).astype(np.float32))
        np.testing.assert_array_equal(two["report/net/data"][()], group["data"][()][:, :1])
        np.testing.assert_allclose(group["mapping/time"][()], [0.1, 100.1, 0.1])
        assert file.attrs["magic"] == kit.MAGIC and np.ptp(group["data"][()]) > 5
    with h5py.File(files["report synapse"]) as file:
        expected = result.state["net"]["exc.x"].values.astype(np.float32)
        np.testing.assert_array_equal(file["report/net/data"][()], expected)
        assert file["report/net/data"].attrs["units"] == result.state["net"]["exc.x"].unit != "mV"


NOT_WRITTEN = {
    "object": ("V_m", "must be an object"),
    "module": (membrane(module="extracellular"), "its module is 'extracellular', and those that record variables are"),
    "variable": (membrane(variable_name="cai"), "keep no 'cai'; they have V_m, v, exc"),
    "no variable": (membrane(variable_name=["v", "i"]), "it needs one 'variable_name'"),
    "cells": (membrane(cells="pyramidal"), "names the node set 'pyramidal'"),
    "virtual": (membrane(cells="ext"), "none of its cells has a state: they are virtual"),
    "step": (membrane(dt=0.25), "its dt of 0.25 ms is no whole number of steps of 0.1 ms"),
    "time": (membrane(start_time="now"), "its start_time must be a number of milliseconds, got 'now'"),
    "file": (membrane(file_name="../out.h5"), "its file_name must be the name of a file"),
}


@pytest.mark.parametrize("which", NOT_WRITTEN)
def test_what_is_not_written_is_said(which: str, tmp_path: Path) -> None:
    entry, reason = NOT_WRITTEN[which]
    path = kit.small(tmp_path, reports={"r": entry})
    done = CliRunner().invoke(cli, ["run", str(path), "-b", "reference"])
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "the report 'r' is not written: " in words and reason in words
    assert not list((tmp_path / "out").glob("r*.h5"))


def test_two_intervals_of_one_variable_are_said(tmp_path: Path) -> None:
    circuit = read_network(str(kit.small(tmp_path, reports={"a": membrane(), "b": membrane(dt=1.0)})))
    assert [r.name for r in circuit.reports] == ["a"]
    assert any("the report 'b' is not written: 'v' of 'net' is recorded already" in note for note in circuit.notes)


def test_probes_are_written_as_reports_and_come_back(tmp_path: Path) -> None:
    net = ns.Network("probed", dt=0.1 * ms, seed=2)
    source = net.population("s", 5, PoissonSource(300 * Hz))
    cells = net.population("cells", 6, LIF(receptors={"exc": ExpCurrent(tau=5 * ms)}))
    net.stimulate(cells, DCInput(18 * mV))
    net.connect(source, cells, weight=ns.uniform(1 * mV, 3 * mV), delay=1 * ms)
    net.record(cells[[1, 4]], "v", every=0.5 * ms)
    net.record(cells, "exc.x")
    net.record(cells, "spikes")
    net.record(cells, "rate", every=5 * ms)
    written = export(net, str(tmp_path / "out"), duration=50 * ms)
    assert any("variables of cells is not written: 'rate' of 'cells'" in change for change in written.changes)
    path = tmp_path / "out" / "simulation_config.json"
    assert set(json.loads(path.read_text(encoding="utf-8"))["reports"]) == {"cells_v", "cells_exc_x"}
    truth = net.run(50 * ms, backend="reference")
    again, files = run(path)
    assert again.spikes["cells"].identical(truth.spikes["cells"])
    for variable, name in (("v", "report cells_v"), ("exc.x", "report cells_exc_x")):
        assert np.array_equal(again.state["cells"][variable].values, truth.state["cells"][variable].values)
        with h5py.File(files[name]) as file:
            expected = (truth.state["cells"][variable].values * 1e3).astype(np.float32)  # both in mV
            np.testing.assert_array_equal(file["report/cells/data"][()], expected)


@pytest.mark.shared_data("sonata")
def test_the_report_of_a_circuit_of_the_allen_institute(tmp_path: Path, shared: Path) -> None:
    import libsonata

    allen = shared / "sonata"
    options = {"components": str(allen / "point_components"), "dt": "0.02ms", "output": str(tmp_path)}
    loaded = load(str(allen / "bmtk_point_120cells" / "config.simulation.json"),
                  tuple(f"{k}={v}" for k, v in options.items()), None)  # fmt: skip
    assert loaded.finish is not None
    result = loaded.network.run(100 * ms)
    files = loaded.finish(result)
    found = libsonata.SomaReportReader(files["report membrane_potential"])["cortex"]
    assert list(found.get_node_ids()) == [0, 20, 60, 80, 100]
    data = found.get().data
    assert data.shape == (5000, 5) and np.all(data < -40) and np.all(data >= -90) and np.ptp(data) > 5

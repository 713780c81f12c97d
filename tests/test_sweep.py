"""Sweeps: which points, the same spikes as alone, and what is left when processes die."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from neurosim.cli.main import cli
from neurosim.errors import BackendMissingError, NeurosimError, ParameterError, ResultFileError
from neurosim.recording import RunResult
from neurosim.recording.safe import SafeFile
from neurosim.sweep import Outcome, Point, Store, SweepResult, axes, grid, on_dask, on_processes

NET = """
import neurosim as ns
from neurosim.models import LIF, DeltaCurrent, PoissonInput
from neurosim.units import Hz, ms, mV


def network(rate=2000.0, weight=1.0, seed=3):
    net = ns.Network("driven", dt=0.1 * ms, seed=seed)
    pop = net.population("p", 40, LIF(receptors={"syn": DeltaCurrent}))
    net.stimulate(pop, PoissonInput(rate * Hz, weight=weight * mV))
    net.connect(pop, pop, rule=ns.FixedProbability(0.1), weight=0.2 * mV)
    return net
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def sweep(*arguments: str) -> list[str]:
    return ["sweep", "net.py", "-d", "20ms", *arguments]


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(cli, sweep(*arguments), prog_name="neurosim")
    assert result.exit_code == code, result.output
    return result


# -- points -------------------------------------------------------------------------------------------------------


def test_ranges_and_lists():
    found = axes(["g=4:5:0.25", "tau=10ms:30ms:10ms", "mode=a,b", "w=3*mV", "down=1:0:-0.5", "t=100us:0.3ms:0.1ms"])
    assert found["g"] == ("4", "4.25", "4.5", "4.75", "5")
    assert found["tau"] == ("10ms", "20ms", "30ms")
    assert found["mode"] == ("a", "b") and found["w"] == ("3*mV",)
    assert found["down"] == ("1", "0.5", "0")
    assert found["t"] == ("100us", "200us", "300us")


def test_a_range_ends_where_its_steps_do():
    assert axes(["x=0:1:0.1"])["x"] == tuple(f"{k / 10:g}" for k in range(11))
    assert axes(["x=0:1:0.3"])["x"] == ("0", "0.3", "0.6", "0.9")
    assert len(axes(["x=0:100:0.001"])["x"]) == 100_001


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["g"], "--set takes KEY=VALUE, KEY=A,B,C or KEY=FIRST:LAST:STEP; got 'g'"),
        (["g=1", "g=2"], "--set g is given twice: write all its values in one, g=A,B,C"),
        (["g=4:6"], "--set g=4:6: a range has three parts, FIRST:LAST:STEP, such as 4:6:1"),
        (["g=4:6:-1"], "--set g=4:6:-1: from 4 no step of -1 leads to 6"),
        (["g=4:6:0"], "--set g=4:6:0: from 4 no step of 0 leads to 6"),
        (["g=a:6:1"], "--set g=a:6:1: 'a' is no number"),
        (["g=1,,2"], "--set g=1,,2: a value between two commas is missing"),
        (["g=1,1"], "--set g=1,1: the same value stands there twice; for repetitions use --trials"),
        (["t=1ms:2:1ms"], "--set t=1ms:2:1ms: FIRST, LAST and STEP need a unit each, such as 10ms:20ms:2ms"),
        (["t=1ms:2mV:1ms"], "--set t=1ms:2mV:1ms: 'mV' and 'ms' are not units of the same kind"),
        (["g=0:1:1e-7"], "--set g=0:1:1e-7: 10,000,001 values are more than a sweep takes (1,000,000)"),
    ],
)
def test_what_cannot_be_read(items, message):
    with pytest.raises(ParameterError) as e:
        axes(items)
    assert str(e.value) == message


def test_the_order_of_points_and_their_seeds():
    points = grid({"a": ("1", "2"), "b": ("x", "y")}, trials=2, seed=7)
    assert [p.index for p in points] == list(range(8))
    assert [(p.settings["a"], p.settings["b"], p.trial, p.seed) for p in points[:5]] == [
        ("1", "x", 0, 7), ("1", "x", 1, 8), ("1", "y", 0, 7), ("1", "y", 1, 8), ("2", "x", 0, 7)]  # fmt: skip
    for trials, seed, message in ((0, 1, "trials must be at least 1, got 0"), (2, 2**64 - 1, "seeds run from")):
        with pytest.raises(ParameterError, match=message):
            grid({}, trials, seed)


# -- the command --------------------------------------------------------------------------------------------------


def test_every_point_is_as_if_run_alone(net):
    run("--set", "rate=9000,12000", "--set", "p.tau_m=10ms:20ms:10ms", "--trials", "2", "--seed", "5", "-o", "s.h5")
    found = SweepResult.load("s.h5")
    assert len(found) == 8 and set(found.status) == {"finished"} and not os.path.exists("s.h5.points")
    for k in (0, 3, 6):
        point = found.points[k]
        settings = [x for key, value in point.settings.items() for x in ("--set", f"{key}={value}")]
        alone = ["run", "net.py", "-d", "20ms", "--seed", str(point.seed), *settings, "-q", "-o", f"{k}.h5"]
        assert CliRunner().invoke(cli, alone).exit_code == 0
        one, other = RunResult.load(f"{k}.h5").spikes["p"], found.result(k).spikes["p"]
        assert len(one) > 10 and one.identical(other)
        assert found.columns["spikes/p"][k] == len(one)
        assert found.columns["rate/p"][k] == pytest.approx(len(one) / 40 / 0.02)
    assert found.select(trial=1, rate="12000") == [5, 7]
    with pytest.raises(ParameterError, match="the sweep has no setting 'weight'; it has rate, p.tau_m"):
        found.select(weight="1")
    with pytest.raises(ParameterError, match="the sweep has the points 0 to 7, not 8"):
        found.result(8)


def test_what_is_shown(net):
    shown = run("--set", "rate=1500,3000", "--trials", "3", "-o", "s.h5", "-j", "1").stdout
    assert "rate" in shown and "p (Hz)" in shown and shown.count("±") == 3
    told = json.loads(run("--set", "rate=1500,3000", "--trials", "3", "-o", "s.h5", "--json").stdout)
    assert [p["seed"] for p in told["points"]] == [3, 4, 5] * 2
    assert told["points"][0]["rate/p"] == SweepResult.load("s.h5").columns["rate/p"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "rate=1,2x"], "--set rate=2x: cannot read '2x' as a quantity"),
        (["--set", "rates=1,2"], "network() has no keyword 'rates'; did you mean 'rate'?"),
        (["--set", "p.tau_m=10ms,20mV"], "--set p.tau_m=20mV: "),
        (["--trials", "0"], "trials must be at least 1, got 0"),
        (["-j", "0"], "--jobs must be at least 1, got 0"),
        (["--threads", "0"], "threads must be a whole number of at least 1, got 0"),
        (["--scheduler", "tcp://x:1", "-j", "2"], "--jobs is for processes of this machine"),
        (["--backend-option", "a=1"], "backend 'native' has no option 'a'; it has none"),
        (["-b", "natve"], "no backend 'natve'; did you mean 'native'?"),
    ],
)
def test_mistakes_are_found_before_anything_runs(net, arguments, message):
    assert message in run(*arguments, "-o", "s.h5", code=2).stderr
    assert not os.path.exists("s.h5") and not os.path.exists("s.h5.points")


def test_a_sweep_is_not_written_over_another(net):
    run("--set", "rate=1500", "-o", "s.h5")
    assert "holds this sweep already: nothing to do" in run("--set", "rate=1500", "-o", "s.h5").stderr
    assert "holds another sweep: choose another output" in run("--set", "rate=1600", "-o", "s.h5", code=3).stderr
    Path("net.py").write_text(NET.replace("0.2 * mV", "0.3 * mV"))
    assert "holds another sweep" in run("--set", "rate=1500", "-o", "s.h5", code=3).stderr
    Path("x.h5").write_bytes(b"something else")
    assert "exists and is no sweep" in run("--set", "rate=1500", "-o", "x.h5", code=3).stderr
    assert Path("x.h5").read_bytes() == b"something else"


def test_points_that_fail_do_not_cost_the_others(net):
    Path("net.py").write_text(NET.replace("    return net", "    if seed == 4:\n        1 / 0\n    return net"))
    told = run("--set", "rate=1500,3000", "--trials", "2", "-o", "s.h5", code=3).stderr
    assert "2 of 4 points have no result, the first of them rate=1500, trial 1: " in told
    assert "ZeroDivisionError" in told and "Traceback" not in told
    found = SweepResult.load("s.h5")
    assert [s == "finished" for s in found.status] == [True, False, True, False]
    assert np.isnan(found.columns["rate/p"][1]) and found.columns["rate/p"][0] > 0
    with pytest.raises(ParameterError, match="point 1 has no result: "):
        found.result(1)


# -- faults -------------------------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The workers of a sweep (of its processes, the one that tracks resources for Python is none)."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"spawn_main" in command:
            found.append(int(child))
    return found


def wait_for(points: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.h5"))) < points:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_worker_and_a_crash_of_the_command_change_nothing(net):
    arguments = ["--set", "rate=1000:2750:250", "--set", "weight=0.5,1", "--trials", "4", "-j", "2"]
    run(*arguments, "-o", "whole.h5")
    whole = SweepResult.load("whole.h5")
    assert len(whole) == 64 and set(whole.status) == {"finished"}

    command = [sys.executable, "-m", "neurosim", *sweep(*arguments, "-o", "broken.h5", "-q")]
    folder = net / "broken.h5.points"
    process = subprocess.Popen(command)
    wait_for(5, folder, process)
    victims = children(process.pid)
    assert victims
    os.kill(victims[0], signal.SIGKILL)
    wait_for(12, folder, process)
    process.kill()
    process.wait()
    done = len(list(folder.glob("*.h5")))
    assert 12 <= done < 64 and not os.path.exists("broken.h5")
    damaged = sorted(folder.glob("*.h5"))[3]
    damaged.write_bytes(damaged.read_bytes()[:1000])

    again = subprocess.run(command[:-1], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "of 64 points are done" in again.stderr
    assert Path("broken.h5").read_bytes() == Path("whole.h5").read_bytes()
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="sends signals")
def test_ctrl_c_keeps_what_is_done(net):
    command = [sys.executable, "-m", "neurosim", *sweep("--trials", "200", "-j", "1", "-o", "s.h5")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(3, net / "s.h5.points", process)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "points are kept in 's.h5.points'; the same command goes on" in told and "Traceback" not in told
    assert len(list((net / "s.h5.points").glob("*.h5"))) >= 3


def dies(point: Point, path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fails(point: Point, path: str) -> None:
    raise ValueError(f"not {point.settings['a']}")


@pytest.mark.skipif(sys.platform != "linux", reason="sends signals")
def test_a_point_whose_process_always_dies_is_given_up():
    outcomes = list(on_processes(dies, grid({"a": ("1",)}, 1, 0), lambda p: "nowhere", jobs=1))
    assert outcomes[0].failure == (
        "its process died 3 times (the last time by signal SIGKILL): too little memory, or a crash in compiled code; "
        "try it alone"
    )


def test_a_point_that_raises_is_told(tmp_path):
    points = grid({"a": ("1", "2")}, 1, 0)
    outcomes = sorted(on_processes(fails, points, lambda p: "nowhere", jobs=2), key=lambda o: o.point.index)
    assert outcomes == [Outcome(points[0], "ValueError: not 1"), Outcome(points[1], "ValueError: not 2")]


def test_two_sweeps_into_one_file_are_refused(tmp_path):
    stores = [Store(tmp_path / "s.h5", {"set": {}}, grid({}, 1, 0)) for _ in range(2)]
    with stores[0].held(), pytest.raises(ResultFileError, match="another sweep is writing"), stores[1].held():
        pass
    other = Store(tmp_path / "s.h5", {"set": {"g": ["1"]}}, grid({}, 1, 0))
    with pytest.raises(ResultFileError, match="holds the points of another sweep"), other.held():
        pass


def test_files_that_are_no_sweeps(tmp_path):
    path = tmp_path / "x.h5"
    for content, said in ((None, "there is no file"), (b"", "is empty"), (b"no file of this kind", "so not a sweep")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ResultFileError, match=said):
            SweepResult.load(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "neurosim sweep"
        file.attrs["version"] = 99
    with pytest.raises(ResultFileError, match="is a sweep of version 99; this neurosim reads 1"):
        SweepResult.load(path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        file.attrs["spec"] = "{}"
        file.create_group("table")
    with pytest.raises(ResultFileError, match="is damaged: it does not say what was swept"):
        SweepResult.load(path)


def test_a_damaged_sweep_is_refused_not_read(net):
    run("--set", "rate=1500,3000", "-o", "s.h5")
    whole = Path("s.h5").read_bytes()
    for end in (0, 100, len(whole) // 2, len(whole) - 10):
        Path("cut.h5").write_bytes(whole[:end])
        with pytest.raises(NeurosimError):
            SweepResult.load("cut.h5")


# -- a cluster ----------------------------------------------------------------------------------------------------


def written(point: Point, path: str) -> None:
    if point.trial == 1:
        raise ParameterError("not this one")
    Path(path).write_text(point.settings["a"])


def test_points_on_a_cluster(tmp_path):
    from dask.distributed import LocalCluster

    points = grid({"a": ("1", "2")}, 2, 0)
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        outcomes = list(on_dask(written, points, lambda p: str(tmp_path / f"{p.index}"), cluster.scheduler_address))
    assert {o.point.index: o.failure for o in outcomes} == {0: None, 1: "not this one", 2: None, 3: "not this one"}
    assert [(tmp_path / str(k)).read_text() for k in (0, 2)] == ["1", "2"]


def test_no_scheduler_there():
    with pytest.raises(ParameterError, match="no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        list(on_dask(fails, [], lambda p: "", "tcp://127.0.0.1:9"))


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(BackendMissingError) as e:
        list(on_dask(fails, [], lambda p: "", "tcp://127.0.0.1:9"))
    assert str(e.value) == "--scheduler needs Dask: pip install 'neurosim-snn[cluster]'"


@pytest.mark.parametrize("room", [0, 3000, 40_000])
def test_a_full_disk_at_the_end_keeps_the_points(net, monkeypatch, room):
    real, write = Store.merge, SafeFile._write

    def limited(self: SafeFile, data: bytes) -> None:
        if self.at + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    def merge(self, failures):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SafeFile, "_write", limited)
            real(self, failures)

    monkeypatch.setattr(Store, "merge", merge)
    said = run("--set", "weight=1,2", "-o", "out.h5", code=3).output
    assert "out.h5': the disk is full; free some space" in " ".join(said.split())
    assert not os.path.exists("out.h5")
    monkeypatch.setattr(Store, "merge", real)
    run("--set", "weight=1,2", "-o", "out.h5")
    assert len(SweepResult.load("out.h5").points) == 2

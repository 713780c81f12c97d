"""neurosim.recording: records, results, and files that are whole or not there."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import libsonata
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurosim.errors import ParameterError, ResultFileError, UnknownNameError
from neurosim.recording import (
    Provenance,
    RateTrace,
    RunResult,
    Spikes,
    StreamWriter,
    Trace,
    WeightTrace,
    atomic,
    read_spikes,
    sonata,
)
from neurosim.recording.atomic import begin
from neurosim.recording.safe import SafeFile
from neurosim.recording.seal import HEAD, seal
from neurosim.recording.sonata import FORMAT
from neurosim.units import VOLTAGE, ms

DT = 1e-4
STEPS = 2000


def random_spikes(size: int, count: int, seed: int = 0, **more: object) -> Spikes:
    rng = np.random.default_rng(seed)
    key = np.unique(rng.integers(0, STEPS, count) * size + rng.integers(0, size, count))
    return Spikes(key // size, key % size, size, DT, STEPS, **more)


def result(**changes: object) -> RunResult:
    rng = np.random.default_rng(1)
    times = (np.arange(STEPS) + 1) * DT
    provenance = Provenance(
        network="demo",
        network_hash="abc",
        seed=7,
        dt=DT,
        n_steps=STEPS,
        duration_s=0.2,
        backend="reference",
        backend_version="0.1",
        threads=2,
        versions={"numpy": np.__version__, "platform": "Linux µ"},
        started="2026-11-22T18:00:00+00:00",
        wall_simulate_s=0.25,
        overrides={"exc.tau_m": "15 ms"},
    )
    return RunResult(
        {"exc": 80, "inh": 20, "L2/3 é.": 5, "silent": 3, "unrecorded": 4},
        provenance.replace(**changes),
        {
            "exc": random_spikes(80, 600),
            "inh": Spikes([3, 3, 9], [1, 19, 1], 20, DT, STEPS, recorded=[1, 4, 19]),
            "L2/3 é.": random_spikes(5, 20, seed=2),
            "silent": Spikes([], [], 3, DT, STEPS),
        },
        {
            "exc": {
                "v": Trace("v", VOLTAGE, np.array([5, 2]), times, rng.standard_normal((STEPS, 2)) * 1e-300),
                "g": Trace("g", "S", np.arange(3), times[::10], rng.random((200, 3)).astype(np.float32)),
            }
        },
        {"inh": RateTrace(rng.random(20) * 10, 0.01, 0.0)},
        {"exc->inh": WeightTrace("V", np.array([4, 9]), times[::100], rng.random((20, 2)))},
        {"exc->inh": np.array([1.5, -2.0, 3.0])}.__getitem__,
    )


def assert_equal(a: RunResult, b: RunResult) -> None:
    assert (a.populations, a.provenance, list(a.populations)) == (b.populations, b.provenance, list(b.populations))
    assert list(a.spikes) == list(b.spikes) and all(a.spikes[k].identical(b.spikes[k]) for k in a.spikes)
    assert {k: list(v) for k, v in a.state.items()} == {k: sorted(v, reverse=True) for k, v in b.state.items()}
    assert all(trace.identical(b.state[k][n]) for k, held in a.state.items() for n, trace in held.items())
    assert all(trace.identical(b.weight_traces[k]) for k, trace in a.weight_traces.items())
    for name, trace in a.population_rates.items():
        other = b.population_rates[name]
        assert (trace.bin, trace.start, trace.values.tobytes()) == (other.bin, other.start, other.values.tobytes())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    result().save(path, weights=["exc->inh"])
    return path


# -- records


def test_spikes_are_sorted_checked_and_read_only() -> None:
    spikes = Spikes([5, 2, 5, 2], [1, 3, 0, 0], 4, 1e-3, 10)
    assert spikes.steps.tolist() == [2, 2, 5, 5] and spikes.i.tolist() == [0, 3, 0, 1]
    assert spikes.t.tolist() == [2 * 1e-3, 2 * 1e-3, 5 * 1e-3, 5 * 1e-3]
    assert spikes.count == len(spikes) == 4
    assert spikes.of(0).tolist() == [2 * 1e-3, 5 * 1e-3]
    assert {n: t.tolist() for n, t in spikes.trains().items()} == {0: [0.002, 0.005], 1: [0.005], 2: [], 3: [0.002]}
    some = Spikes([2], [3], 4, 1e-3, 10, recorded=[3, 1])
    assert sorted(some.trains()) == [1, 3]
    with pytest.raises(ValueError, match="read-only"):
        spikes.steps[0] = 1
    with pytest.raises(ParameterError, match="neuron 4 does not exist: the population has ids 0 to 3"):
        spikes.of(4)
    with pytest.raises(ParameterError, match=r"neuron 0 was not recorded \(only 2 of 4 were\)"):
        some.of(0)
    with pytest.raises(ParameterError, match="ids 0 to 4, the population has 4 neurons"):
        Spikes([1, 2], [0, 4], 4, 1e-3, 10)
    with pytest.raises(ParameterError, match=r"steps 9 to 10, the run was \[0, 10\)"):
        Spikes([9, 10], [0, 0], 4, 1e-3, 10)
    with pytest.raises(ParameterError, match="two rows of equal length"):
        Spikes([9, 10], [0], 4, 1e-3, 10)


def test_identical_sees_every_difference() -> None:
    base = Spikes([1, 2], [0, 1], 3, 1e-3, 10)
    assert base.identical(Spikes([2, 1], [1, 0], 3, 1e-3, 10))
    for other in (
        Spikes([1, 3], [0, 1], 3, 1e-3, 10),
        Spikes([1, 2], [0, 2], 3, 1e-3, 10),
        Spikes([1], [0], 3, 1e-3, 10),
        Spikes([1, 2], [0, 1], 4, 1e-3, 10),
        Spikes([1, 2], [0, 1], 3, 2e-3, 10),
        Spikes([1, 2], [0, 1], 3, 1e-3, 11),
        Spikes([1, 2], [0, 1], 3, 1e-3, 10, recorded=[0, 1, 2]),
    ):
        assert not base.identical(other)
    trace = Trace("v", "V", [0], [0.1], [[0.0]])
    assert trace.identical(Trace("v", VOLTAGE, [0], [0.1], [[0.0]]))
    assert not trace.identical(Trace("v", "V", [0], [0.1], [[-0.0]]))  # bit for bit


def test_traces_have_a_column_a_neuron() -> None:
    trace = Trace("v", VOLTAGE, np.array([5, 2]), np.array([0.1, 0.2]), np.array([[1, 2], [3, 4]]))
    assert trace.of(2).tolist() == [2.0, 4.0] and trace.unit == "V" and len(trace) == 2
    with pytest.raises(ParameterError, match="'v' of neuron 3 was not recorded; recorded ids: 5, 2"):
        trace.of(3)
    with pytest.raises(ParameterError, match=r"values are \(1, 2\), times and ids need \(2, 2\)"):
        Trace("v", "V", np.array([5, 2]), np.array([0.1, 0.2]), np.array([[1, 2]]))


# -- results


def test_unknown_names_say_what_was_recorded() -> None:
    run = result()
    with pytest.raises(
        UnknownNameError, match=r"^this result holds no spikes of 'exx' .*; did you mean 'exc'\? \(.*test_recording"
    ):
        run.spikes["exx"]
    with pytest.raises(UnknownNameError, match=r'recorded: exc, .*\); add net.record\(unrecorded, "spikes"\) before'):
        run.rates("unrecorded")
    with pytest.raises(UnknownNameError, match=r"holds no variable 'u' of 'exc' \(recorded: v, g\)"):
        run.state["exc"]["u"]
    with pytest.raises(UnknownNameError, match=r"holds no weights of 'a'; result.save\(path, weights=\['a'\]\) keeps"):
        RunResult({}, Provenance(dt=DT)).weights("a")
    assert "exx" not in run.spikes and run.spikes.get("exx") is None
    assert run.weights("exc->inh").tolist() == [1.5, -2.0, 3.0]


def test_rates_and_summary() -> None:
    run = result()
    assert run.rates("inh") == pytest.approx(3 / (3 * 0.2))
    assert run.rates("inh", stop=0.5 * ms) == pytest.approx(2 / (3 * 0.5e-3))
    rates = run.rates()
    assert list(rates) == list(run.spikes) and rates["silent"] == 0.0
    assert set(run.cv_isi()) == set(run.spikes)
    rows = run.summary()
    assert [row.population for row in rows] == list(run.populations)
    assert (rows[1].neurons, rows[1].spikes, rows[1].rate) == (20, 3, pytest.approx(5.0))
    assert rows[4].spikes is None and np.isnan(rows[4].rate)
    assert repr(run) == f"RunResult('demo', 0.2 s on reference, {sum(map(len, run.spikes.values()))} spikes, finished)"
    with pytest.raises(ParameterError, match="status must be one of finished, interrupted, diverged, not 'done'"):
        run.provenance.replace(status="done")
    with pytest.raises(ParameterError, match="disagree with the result about dt"):
        RunResult({"a": 3}, Provenance(dt=1e-3), {"a": Spikes([], [], 3, DT, 5)})


# -- files


def test_round_trip_is_bit_equal(saved: Path) -> None:
    back = RunResult.load(saved)
    assert_equal(result(), back)
    assert back.weights("exc->inh").tolist() == [1.5, -2.0, 3.0]
    with pytest.raises(UnknownNameError, match=r"holds no weights of 'exc->in'; did you mean 'exc->inh'\?"):
        back.weights("exc->in")
    assert os.listdir(saved.parent) == ["run.h5"]
    back.save(saved)  # over itself
    assert_equal(result(), RunResult.load(saved))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable()),
    st.integers(0, 50),
    st.integers(0, 10**9),
    st.floats(1e-6, 1.0),
)
def test_any_name_and_step_round_trips(tmp_path: Path, name: str, count: int, start: int, dt: float) -> None:
    rng = np.random.default_rng(count)
    spikes = Spikes(start + rng.integers(0, 100, count), rng.integers(0, 9, count), 9, dt, 100, start_step=start)
    RunResult({name: 9}, Provenance(dt=dt, n_steps=100), {name: spikes}).save(tmp_path / "a.h5")
    back = RunResult.load(tmp_path / "a.h5")
    assert list(back.spikes) == [name] and back.spikes[name].identical(spikes)


def test_libsonata_reads_spikes_and_reports(saved: Path) -> None:
    run = result()
    reader = libsonata.SpikeReader(str(saved))
    assert set(reader.get_population_names()) == {"exc", "inh", "L2%2F3 é.", "silent"}
    assert str(reader["exc"].sorting) in ("by_time", "Sorting.by_time")
    got = reader["exc"].get_dict()
    assert got["node_ids"].tolist() == run.spikes["exc"].ids.tolist()
    assert got["timestamps"] == pytest.approx((run.spikes["exc"].steps + 1) * 0.1)  # ms, end of the step
    assert reader["silent"].get() == []
    report = libsonata.ElementReportReader(str(saved))["exc:g"]
    assert report.times == pytest.approx((0.1, 200.1, 1.0)) and report.data_units == "S" and report.time_units == "ms"
    frame = report.get()
    assert frame.times == pytest.approx(run.state["exc"]["g"].times * 1e3)
    assert np.array_equal(frame.data, run.state["exc"]["g"].values)
    assert sorted(libsonata.ElementReportReader(str(saved))["exc:v"].get_node_ids()) == [2, 5]


def test_layout_is_that_of_the_guide(saved: Path) -> None:
    with h5py.File(saved) as file:
        assert file.attrs["magic"] == 0x0A7A and file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].dtype == np.uint32 and file.attrs["version"].shape == (2,)
        group = file["spikes/exc"]
        assert h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype) == {"none": 0, "by_id": 1, "by_time": 2}
        assert group.attrs["sorting"] == 2
        assert group["timestamps"].attrs["units"] == "ms" and group["timestamps"].dtype == np.float64
        assert group["node_ids"].dtype == np.uint64


def test_foreign_spike_files(saved: Path, tmp_path: Path) -> None:
    times, ids = read_spikes(saved)["inh"]
    assert times == pytest.approx([4e-4, 4e-4, 1e-3]) and ids.tolist() == [1, 19, 1]
    old = tmp_path / "old.h5"
    with h5py.File(old, "w") as file:
        file.attrs["magic"] = np.uint32(0x0A7A)
        file["spikes/timestamps"] = [2.0, 1.0]
        file["spikes/gids"] = [7, 8]
    times, ids = read_spikes(old)[""]
    assert times.tolist() == [2e-3, 1e-3] and ids.tolist() == [7, 8]
    with pytest.raises(ResultFileError, match=r"is a SONATA file but not a neurosim result .*read_spikes"):
        RunResult.load(old)


# -- damaged and foreign files


def test_files_that_are_no_results(tmp_path: Path) -> None:
    def refuses(path: Path, text: str) -> None:
        with pytest.raises(ResultFileError, match=text) as caught:
            RunResult.load(path)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "\n" not in str(caught.value)

    refuses(tmp_path / "none.h5", "there is no file")
    refuses(tmp_path, "is a directory")
    (tmp_path / "empty.h5").write_bytes(b"")
    refuses(tmp_path / "empty.h5", "is empty")
    (tmp_path / "text.h5").write_text("hello " * 999)
    refuses(tmp_path / "text.h5", "not an HDF5 file")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = [1]
    refuses(tmp_path / "plain.h5", "not a SONATA one")


def test_every_truncation_is_noticed(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    for cut in [*range(1, len(data), len(data) // 40), len(data) - 1]:
        (tmp_path / "cut.h5").write_bytes(data[:cut])
        with pytest.raises(ResultFileError, match=r"cut.h5' is (truncated|damaged|not an HDF5 file)"):
            RunResult.load(tmp_path / "cut.h5")


def test_flipped_bits_never_change_spikes_unseen(tmp_path: Path) -> None:
    run = RunResult({"e": 50}, Provenance(dt=DT, n_steps=STEPS), {"e": random_spikes(50, 500)})
    run.save(tmp_path / "a.h5")
    data = bytearray((tmp_path / "a.h5").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(HEAD, len(data), 300):  # HDF5 alone sees a third of them, and hangs on some
        bit = 1 << int(rng.integers(8))
        data[at] ^= bit
        (tmp_path / "b.h5").write_bytes(data)
        data[at] ^= bit
        with pytest.raises(ResultFileError, match="is damaged, or another program has changed it"):
            RunResult.load(tmp_path / "b.h5")
    for at in range(HEAD):  # in the seal itself: said, or the result as it is
        data[at] ^= 1
        (tmp_path / "b.h5").write_bytes(data)
        data[at] ^= 1
        with contextlib.suppress(ResultFileError):
            assert RunResult.load(tmp_path / "b.h5").spikes["e"].identical(run.spikes["e"])


def test_a_file_without_a_seal_is_read(saved: Path) -> None:
    """Of before there were seals, or with a head that another program has put there."""
    data = saved.read_bytes()
    whole = RunResult.load(saved)
    saved.write_bytes(bytes(HEAD) + data[HEAD:])
    assert RunResult.load(saved).spikes["exc"].identical(whole.spikes["exc"])


def edited(saved: Path, edit: Callable[[h5py.File], None]) -> str:
    """Change a file as somebody would who seals it again, and return what is said."""
    with h5py.File(saved, "r+") as file:
        edit(file)
    with open(saved, "r+b") as raw:
        seal(raw, FORMAT)
    with pytest.raises(ResultFileError) as caught:
        RunResult.load(saved)
    return str(caught.value)


def test_contradictions_are_named(saved: Path) -> None:
    def shorten(file: h5py.File) -> None:
        file["spikes/exc/node_ids"].resize(3, axis=0)

    assert "is damaged: /spikes/exc/node_ids has shape (3,), which does not fit the rest" in edited(saved, shorten)


def test_huge_claims_are_refused_before_memory_is_taken(saved: Path) -> None:
    def claim(file: h5py.File) -> None:
        for name in ("steps", "node_ids", "timestamps"):
            file[f"spikes/exc/{name}"].resize(10**15, axis=0)

    assert "claims 8000000000000000 bytes, more than the file can hold" in edited(saved, claim)


def test_links_out_of_the_file_are_refused(saved: Path) -> None:
    def link(file: h5py.File) -> None:
        del file["spikes/exc"]
        file["spikes/exc"] = h5py.ExternalLink("/etc/other.h5", "/x")

    assert "'exc' in /spikes is a link to somewhere else" in edited(saved, link)


# -- writing


def test_places_that_cannot_be_written(saved: Path, tmp_path: Path) -> None:
    for path, reason in {
        tmp_path / "no" / "run.h5": "its directory does not exist; create it first",
        tmp_path: "it is a directory; give the name of a file",
        saved / "run.h5": "a part of its path is a file, not a directory",
        Path("/dev/null"): "it is a device or a pipe, not a file",
        tmp_path / ("x" * 300): "its name is too long",
    }.items():
        with pytest.raises(ResultFileError, match=f"cannot write '.*': {reason}"):
            result().save(path)
    assert os.listdir(tmp_path) == ["run.h5"]


def full_after(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    real = SafeFile._write

    def limited(self: SafeFile, data: bytes) -> None:
        if self.at + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    monkeypatch.setattr(SafeFile, "_write", limited)


@pytest.mark.parametrize("room", [0, 100, 3000, 20_000, 60_000])
def test_a_full_disk_leaves_the_old_file_alone(saved: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    before = saved.read_bytes()
    full_after(monkeypatch, room)
    with pytest.raises(ResultFileError, match=r"cannot write '.*run.h5': the disk is full; free some space") as caught:
        result().save(saved)
    assert caught.value.errno == errno.ENOSPC and isinstance(caught.value, OSError)
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["run.h5"]


def test_failures_to_move_into_place_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(ResultFileError, match="you have no permission to write there"):
        result().save(tmp_path / "run.h5")
    with pytest.raises(ResultFileError, match="you have no permission"):
        atomic.write_bytes(tmp_path / "run.png", b"picture")
    assert os.listdir(tmp_path) == []


def chunks(writer: StreamWriter, parts: int = 8) -> None:
    spikes, trace = result().spikes["exc"], result().state["exc"]["v"]
    for lo, hi in zip(range(0, STEPS, STEPS // parts), range(STEPS // parts, STEPS + 1, STEPS // parts), strict=True):
        a, b = np.searchsorted(spikes.steps, (lo, hi))
        writer.spikes("exc", spikes.steps[a:b][::-1], spikes.ids[a:b][::-1])  # any order within a chunk
        writer.trace("exc", "v", trace.times[lo:hi], trace.values[lo:hi], trace.ids, trace.unit_dim)


def test_streaming_equals_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sonata, "_BUFFER_BYTES", 1000)
    run = result()
    writer = StreamWriter(tmp_path / "run.h5", run.provenance, run.populations)
    writer.record_spikes("silent")
    chunks(writer)
    assert os.listdir(tmp_path) != ["run.h5"]
    writer.close(run.provenance.replace(wall_simulate_s=3.0))
    assert os.listdir(tmp_path) == ["run.h5"]
    back = RunResult.load(tmp_path / "run.h5")
    assert back.spikes["exc"].identical(run.spikes["exc"]) and back.spikes["silent"].identical(run.spikes["silent"])
    assert back.state["exc"]["v"].identical(run.state["exc"]["v"])
    assert back.provenance.wall_simulate_s == 3.0
    with pytest.raises(ResultFileError, match="is already closed"):
        writer.close()


def test_misuse_of_the_writer(tmp_path: Path) -> None:
    run = result()
    with StreamWriter(tmp_path / "run.h5", run.provenance, run.populations) as writer:
        writer.spikes("exc", np.array([5]), np.array([1]))
        with pytest.raises(ParameterError, match="at step 4 come after those of a later step"):
            writer.spikes("exc", np.array([4]), np.array([1]))
        with pytest.raises(ParameterError, match=r"ids outside \[0, 80\)"):
            writer.spikes("exc", np.array([6]), np.array([80]))
        with pytest.raises(UnknownNameError, match=r"unknown population 'exx'; did you mean 'exc'\?"):
            writer.spikes("exx", np.array([6]), np.array([8]))
    assert RunResult.load(tmp_path / "run.h5").spikes["exc"].steps.tolist() == [5]
    writer = StreamWriter(tmp_path / "other.h5", run.provenance, run.populations)
    writer.abort()
    assert os.listdir(tmp_path) == ["run.h5"]


def test_an_interrupted_run_keeps_what_was_recorded(tmp_path: Path) -> None:
    run = result()
    with pytest.raises(KeyboardInterrupt), StreamWriter(tmp_path / "run.h5", run.provenance, run.populations) as writer:
        writer.spikes("exc", np.array([5, 90]), np.array([1, 2]))
        writer.reached = 120
        raise KeyboardInterrupt
    back = RunResult.load(tmp_path / "run.h5")
    assert (back.provenance.status, back.provenance.n_steps) == ("interrupted", 120)
    assert back.spikes["exc"].steps.tolist() == [5, 90] and back.spikes["exc"].n_steps == 120


def test_ctrl_c_while_writing_waits_for_the_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, real, sent = result(), SafeFile._write, []

    def interrupted(self: SafeFile, data: bytes) -> None:
        if self.at > 5000 and not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGINT)
        real(self, data)

    monkeypatch.setattr(SafeFile, "_write", interrupted)
    monkeypatch.setattr(sonata, "_BUFFER_BYTES", 1000)
    with pytest.raises(KeyboardInterrupt), StreamWriter(tmp_path / "run.h5", run.provenance, run.populations) as writer:
        chunks(writer)
    back = RunResult.load(tmp_path / "run.h5")
    assert back.provenance.status == "interrupted" and 0 < len(back.spikes["exc"]) < len(run.spikes["exc"])


def test_a_killed_writer_leaves_no_results_file(tmp_path: Path) -> None:
    code = f"""
import sys, os, signal; sys.path[:0] = {sys.path!r}
import numpy as np
from neurosim.recording import Provenance, StreamWriter
writer = StreamWriter({str(tmp_path / "run.h5")!r}, Provenance(dt=1e-4), {{"e": 10}})
for k in range(200):
    writer.spikes("e", np.full(10_000, k), np.arange(10_000) % 10)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left.startswith("run.h5.") and left.endswith(".part")


def test_long_texts_and_empty_columns(tmp_path: Path) -> None:
    long = {"weights": "µ1.5 " * 30_000}
    run = RunResult(
        {"e": 3},
        Provenance(dt=DT, n_steps=STEPS, overrides=long),
        {"e": Spikes([], [], 3, DT, STEPS, recorded=[])},
        {
            "e": {
                "v": Trace("v", "V", [], np.arange(5) * DT, np.zeros((5, 0))),
                "w": Trace("w", "V", [1], [], np.zeros((0, 1))),
            }
        },
    )
    run.save(tmp_path / "run.h5")
    back = RunResult.load(tmp_path / "run.h5")
    assert back.provenance.overrides == long
    assert back.spikes["e"].identical(run.spikes["e"])
    assert all(back.state["e"][k].identical(run.state["e"][k]) for k in "vw")


def test_a_trace_says_what_it_is_and_has_the_times_of_spikes_name():
    trace = Trace("v", "V", [4], [1e-4, 2e-4], [[0.0], [0.0]])
    assert repr(trace) == "Trace('v' of 1 neuron at 2 times, in V)"
    assert trace.t is trace.times


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """A part that somebody still writes to is locked, and one that is young may be on its way into place."""
    target = tmp_path / "out.h5"
    left, young, other = (tmp_path / f"out.h5.{k}.part" for k in ("0123abcd", "0123abce", "mine"))
    for path in (left, young, other):
        path.write_bytes(b"x")
    held, part, _ = begin(target)
    for path in (left, other, part):
        os.utime(path, (1, 1))
    second, another, _ = begin(target)
    assert sorted(map(str, tmp_path.iterdir())) == sorted([str(young), str(other), part, another])
    with pytest.raises(ResultFileError, match="another run is writing it; wait for its end or give another name"):
        begin(target, alone=True)
    os.close(held), os.close(second)
    third, _, _ = begin(target, alone=True)  # they have ended
    os.close(third)

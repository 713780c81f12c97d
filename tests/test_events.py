"""Events and what is made of them, files written as their formats are described, and files that lie."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from event_files_kit import HEAD3, ROW, aedat2, aedat3, atis, packet3, plain_atis, same, some, write
from hypothesis import given
from hypothesis import strategies as st

from neurosim import datasets
from neurosim.datasets import Events
from neurosim.errors import BackendMissingError, DataFileError, ParameterError, ResourceError
from neurosim.units import ms, us

# -- events ---------------------------------------------------------------------------------------------------------

EVENTS = st.integers(0, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 999), min_size=n, max_size=n), st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, 4), min_size=n, max_size=n), st.lists(st.integers(0, 1), min_size=n, max_size=n),
    )
)  # fmt: skip


def made(columns: Any) -> Events:
    t, x, y, p = (np.array(column, dtype=np.int64) for column in columns)
    return Events(t * 1e-3, x, y, p, (7, 5))


@given(EVENTS)
def test_frames_count_every_event(columns: Any) -> None:
    events = made(columns)
    expected = np.zeros((100, 2, 5, 7))
    for t, x, y, p in zip(*columns, strict=True):
        expected[t // 10, p, y, x] += 1
    assert np.array_equal(events.frames(10 * ms, 100), expected)
    assert np.array_equal(events.frames(10 * ms, 100, binary=True), expected > 0)
    spikes = events.spikes(10 * ms, 100)
    assert spikes.dtype == np.float32 and np.array_equal(spikes, (expected > 0).reshape(100, -1))
    for t, x, y, p in zip(*columns, strict=True):
        assert spikes[t // 10, (p * 5 + y) * 7 + x] == 1
    assert np.all(np.diff(events.t) >= 0) and len(events) == len(columns[0])
    steps = max(columns[0]) // 10 + 1 if columns[0] else 1
    assert np.array_equal(events.frames(10 * ms), expected[:steps])


@given(st.integers(0, 1 << 40), st.integers(1, 10**6))
def test_a_time_falls_into_its_step(t: int, step: int) -> None:
    """Times of whole microseconds, in seconds: none is moved into the step before or behind by rounding."""
    events = Events(np.array([t * 1e-6]), [0], [0], [0], (1, 1), 1)
    start = t // step
    moved = Events(np.array([(t - max(start - 2, 0) * step) * 1e-6]), [0], [0], [0], (1, 1), 1)
    assert int(moved.frames(step * us).argmax()) == t // step - max(start - 2, 0)
    assert events.duration == t * 1e-6


@given(EVENTS, st.integers(0, 4), st.integers(0, 2), st.integers(1, 3), st.integers(1, 3))
def test_parts_of_the_sensor(columns: Any, left: int, top: int, width: int, height: int) -> None:
    events = made(columns)
    whole, part = events.frames(10 * ms, 100), events.crop(left, top, width, height)
    assert part.sensor == (width, height)
    if len(part) or not len(events):
        assert np.array_equal(part.frames(10 * ms, 100), whole[:, :, top : top + height, left : left + width])
    assert np.array_equal(events.flip(horizontal=True).frames(10 * ms, 100), whole[..., ::-1])
    assert np.array_equal(events.flip(vertical=True).frames(10 * ms, 100), whole[:, :, ::-1])
    small = events.downsample(2)
    assert small.sensor == (4, 3) and small.neurons == 24
    padded = np.zeros((100, 2, 6, 8))
    padded[:, :, :5, :7] = whole
    assert np.array_equal(small.frames(10 * ms, 100), padded.reshape(100, 2, 3, 2, 4, 2).sum((3, 5)))


@given(EVENTS, st.integers(1, 300))
def test_denoise_is_the_search_through_all_pairs(columns: Any, window: int) -> None:
    events = made(columns)
    t = np.rint(events.t * 1e3).astype(int)
    kept = [
        any(
            0 <= t[k] - t[j] <= window
            and max(abs(int(events.x[k] - events.x[j])), abs(int(events.y[k] - events.y[j]))) == 1
            for j in range(k)
        )
        for k in range(len(events))
    ]  # fmt: skip
    found = events.denoise((window + 0.5) * ms)
    assert np.array_equal(found.t, events.t[kept]) and np.array_equal(found.x, events.x[kept])


def test_parts_of_time() -> None:
    events = Events(np.arange(10) * 0.1, np.arange(10), np.zeros(10, int), np.zeros(10, int), (10, 1))
    part = events.between(300 * ms, 600 * ms)
    assert list(part.x) == [3, 4, 5] and np.allclose(part.t, [0, 0.1, 0.2])
    assert list(events[2:4].x) == [2, 3] and list(events[events.x > 7].x) == [8, 9] and list(events[[9, 1]].x) == [1, 9]
    assert np.allclose(events[5:].from_start().t, np.arange(5) * 0.1) and len(events[:0].from_start()) == 0
    assert (
        repr(events) == "Events(10 events to 0.9 s, 10 x 1 x 2)" and repr(events[:0]) == "Events(0 events, 10 x 1 x 2)"
    )


def test_events_are_sorted_and_ties_keep_their_order() -> None:
    events = Events([0.2, 0.1, 0.2, 0.1], [0, 1, 2, 3], [0] * 4, [True, False, True, False], (4, 1))
    assert list(events.x) == [1, 3, 0, 2] and list(events.p) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Events(**{**ROW, "x": [0]}), "x must be whole numbers, one for each of the 2 times"),
        (lambda: Events(**{**ROW, "x": [0.0, 1.0]}), "whole numbers, one for each of the 2 times, got float64"),
        (lambda: Events(**{**ROW, "x": [0, 2]}), "event 1 has x = 2, and with a sensor of 2 x 1 and 2 polarities x is"),
        (lambda: Events(**{**ROW, "p": [0, 2]}), "event 1 has p = 2"),
        (lambda: Events(**{**ROW, "t": [0, -1.0]}), "times are finite and from 0 on: of event 1 it is -1 s"),
        (lambda: Events(**{**ROW, "t": [[0]]}), "t must be a row of times in seconds"),
        (lambda: Events(**{**ROW, "sensor": 3}), "sensor is a width and a height in pixels, as in (34, 34), got 3"),
        (lambda: Events(**{**ROW, "sensor": (2, 0)}), "sensor is a width and a height in pixels"),
        (lambda: Events(**ROW, polarities=3), "polarities must be 1 or 2, got 3"),
        (lambda: Events(**ROW)[0], "events[0] would be a single event"),
        (lambda: Events(**ROW).frames(0 * ms), "dt must be above 0"),
        (lambda: Events(**ROW).frames(1 * ms, 0), "steps must be a whole number from 1 on, got 0"),
        (lambda: Events(**ROW).frames(1 * ms, 50), "no event lies in the first 50 steps of 1 ms: the first is at 0.1"),
        (lambda: Events(**ROW).crop(1, 0, 2, 1), "a part of 2 x 1 pixels from column 1 and row 0 on does not lie"),
        (lambda: Events(**ROW).downsample(0), "factor must be a whole number from 1 on"),
        (lambda: Events(**ROW).denoise(0 * ms), "window must be above 0"),
        (lambda: Events(**ROW).between(3 * ms, 3 * ms), "start must be before stop"),
    ],
)  # fmt: skip
def test_bad_events(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in caught.value.message and "test_events.py" in str(caught.value.where)


def test_frames_that_nobody_can_hold() -> None:
    with pytest.raises(ResourceError, match="more than 2,147,483,648 values"):
        Events([1e6], [0], [0], [0], (640, 480)).frames(1 * ms)


# -- files of one recording -------------------------------------------------------------------------------------------

FORMATS: dict[str, Any] = {
    "a.bin": atis, "b.bs2": plain_atis, "c.aedat": aedat2, "d.aedat": aedat3,
    "e.aedat": lambda **found: aedat2(**found, chip="DVS128"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_comes_back(name: str, tmp_path: Path) -> None:
    found = some()
    if name.endswith("aedat"):
        found["t"] -= found["t"][0]
    path = write(tmp_path / name, FORMATS[name](**found))
    events = datasets.read_events(path)
    assert same(events, **found)
    assert events.sensor == {"c": (240, 180), "d": (240, 180), "e": (128, 128)}.get(name[0], (34, 34))


@pytest.mark.parametrize("unit", ["us", "s"])
@pytest.mark.parametrize("name", ["a.h5", "b.hdf5", "c.npz"])
def test_arrays_of_a_recording_come_back(name: str, unit: str, tmp_path: Path) -> None:
    found = some()
    stored = {**found, "t": found["t"] if unit == "us" else found["t"] * 1e-6}
    if name.endswith("npz"):
        np.savez_compressed(tmp_path / name, sensor=np.array([40, 50]), **stored)
    else:
        with h5py.File(tmp_path / name, "w") as file:
            group = file.create_group("events") if name == "a.h5" else file
            for key, column in stored.items():
                group.create_dataset({"t": "ts", "p": "pol"}.get(key, key), data=column, compression="gzip")
            group.attrs["sensor"] = np.array([40, 50])
    events = datasets.read_events(tmp_path / name)
    assert same(events, **found) and events.sensor == (40, 50)
    assert datasets.read_events(tmp_path / name, sensor=(34, 60)).sensor == (34, 60)


def test_polarities_of_minus_one(tmp_path: Path) -> None:
    found = some()
    np.savez(tmp_path / "a.npz", **{**found, "p": 2 * found["p"] - 1})
    assert same(datasets.read_events(tmp_path / "a.npz", sensor=(34, 34)), **found)


def test_what_is_no_event_of_polarity_is_left_out(tmp_path: Path) -> None:
    """Frames, motion and triggers among the addresses, and invalid events."""
    found = some(50)
    found["t"] -= found["t"][0]
    davis = aedat2(**found, extra=(0x8000_0000, 0x8000_0800, 0x400))
    assert same(datasets.read_events(write(tmp_path / "a.aedat", davis)), **found)
    dvs = aedat2(**found, chip="DVS128", extra=(0x8000,))
    assert same(datasets.read_events(write(tmp_path / "b.aedat", dvs)), **found)
    valid = np.arange(50) % 3 > 0
    valid[0] = True
    data = HEAD3 + b"#!END-HEADER\r\n" + packet3(**found, valid=valid.astype(int))
    kept = {name: column[valid] for name, column in found.items()}
    assert same(datasets.read_events(write(tmp_path / "c.aedat", data)), **kept)


def test_clocks_that_begin_anew(tmp_path: Path) -> None:
    found = {name: np.array(v) for name, v in (("x", [1, 2, 3]), ("y", [4, 5, 6]), ("p", [0, 1, 0]))}
    wrapped = aedat2(t=np.array([0xFFFF_FFF0, 0xFFFF_FFFF, 4]), **found)
    assert same(datasets.read_events(write(tmp_path / "a.aedat", wrapped)), t=[0, 15, 20], **found)
    first = packet3(t=[(1 << 31) - 5], x=[1], y=[4], p=[0])
    later = packet3(t=[3, 4], x=[2, 3], y=[5, 6], p=[1, 0], overflow=1)
    data = HEAD3 + b"#!END-HEADER\r\n" + first + later
    assert same(datasets.read_events(write(tmp_path / "b.aedat", data)), t=[0, 8, 9], **found)


def test_an_address_may_look_like_a_line_of_the_header(tmp_path: Path) -> None:
    found = {"t": np.array([0, 5]), "x": np.array([16, 3]), "y": np.array([140, 2]), "p": np.array([0, 1])}
    data = aedat2(**found)
    assert data.split(b"\r\n")[-1].startswith(b"#")  # the byte of y = 140
    assert same(datasets.read_events(write(tmp_path / "a.aedat", data)), **found)


def test_a_camera_that_the_file_does_not_name(tmp_path: Path) -> None:
    found = some(30)
    found["t"] -= found["t"][0]
    path = write(tmp_path / "a.aedat", aedat2(**found, chip=""))
    with pytest.raises(DataFileError, match="does not name its camera.*camera='DVS128'"):
        datasets.read_events(path)
    events = datasets.read_events(path, camera="davis346")
    assert same(events, **found) and events.sensor == (346, 260)
    with pytest.raises(DataFileError, match="no camera 'nikon' is known; known: DVS128, DAVIS128"):
        datasets.read_events(path, camera="nikon")


class Decoder:
    """What the library aedat has, for one recording."""

    packets: list[dict[str, Any]] = []
    streams: dict[int, dict[str, Any]] = {}

    def __init__(self, path: str) -> None:
        assert Path(path).exists()

    def id_to_stream(self) -> dict[int, dict[str, Any]]:
        return self.streams

    def __iter__(self) -> Any:
        return iter(self.packets)


def test_aedat_4_is_read_by_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = some(40)
    found["t"] -= found["t"][0]
    rows = np.empty(40, dtype=[("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
    for name, column in found.items():
        rows["on" if name == "p" else name] = column
    rows["t"] += 1_600_000_000_000_000  # since 1970: in seconds as a double, a microsecond would be lost
    monkeypatch.setattr(Decoder, "streams", {0: {"type": "frame"}, 1: {"type": "events", "width": 346, "height": 260}})
    packets = [
        {"stream_id": 1, "events": rows[:25]},
        {"stream_id": 0, "frame": {}},
        {"stream_id": 1, "events": rows[25:]},
    ]
    monkeypatch.setattr(Decoder, "packets", packets)
    monkeypatch.setitem(sys.modules, "aedat", types.SimpleNamespace(Decoder=Decoder))  # type: ignore[arg-type]
    path = write(tmp_path / "a.aedat4", b"#!AER-DAT4.0\r\n....")
    events = datasets.read_events(path)
    assert same(events, **found) and events.sensor == (346, 260)
    monkeypatch.setattr(Decoder, "streams", {0: {"type": "frame"}})
    with pytest.raises(DataFileError, match="has no stream of events, only frame"):
        datasets.read_events(path)

    def panics(self: Any, path: str) -> None:
        raise BaseException("range end index 9 out of range")  # as a panic of Rust's arrives

    monkeypatch.setattr(Decoder, "__init__", panics)
    with pytest.raises(DataFileError, match="damaged or truncated: range end index 9"):
        datasets.read_events(path)
    monkeypatch.setitem(sys.modules, "aedat", None)  # type: ignore[arg-type]
    with pytest.raises(BackendMissingError, match="pip install aedat"):
        datasets.read_events(path)


@given(st.binary(max_size=400), st.sampled_from(["a.bin", "b.aedat", "c.npz", "d.h5", "e.ts", "f.tsv", "g-idx"]),
       st.booleans())  # fmt: skip
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str, head: bool
) -> None:
    """Nothing but a sentence of ours comes out, whatever the bytes."""
    heads = {"b.aedat": HEAD3 + b"#!END-HEADER\r\n\x01\x00", "c.npz": b"PK\x03\x04", "g-idx": b"\0\0\x08\x01",
             "e.ts": b"@classLabel true 1 2\n@data\n1,2:"}  # fmt: skip
    path = write(tmp_path_factory.mktemp("any") / name, heads.get(name, b"") * head + data)
    read = {"e": datasets.read_series, "f": datasets.read_series, "g": lambda p: datasets.read_images(p, p)}
    try:
        read.get(name[0], datasets.read_events)(path)
    except (DataFileError, ParameterError) as error:
        assert str(path) in error.message


CUT: dict[str, tuple[bytes, str]] = {
    "a.bin": (atis(**some(5))[:-1], "4 are left over at byte"),
    "b.aedat": (aedat2(**some(5))[:-3], "is truncated: 5 bytes are left over after the last event of 8, at byte"),
    "c.aedat": (aedat3(**some(6))[:-3], "claims 3 events of 8 bytes, and 21 bytes are left"),
    "d.aedat": (aedat3(**some(6)) + b"\1\0", "is truncated: the head of a packet at byte"),
    "e.aedat": (HEAD3 + packet3(**some(3)), "has no '#!END-HEADER' at the end of its header"),
    "f.aedat": (b"#!AER-DAT3.1\r\n" + b"#\r\n" * (1 << 19), "its header does not end within 1,048,576 bytes"),
    "g.aedat": (b"#!AER-DAT9.0\r\n", "does not begin as AEDAT 2.0, 3.1 or 4.0 does"),
    "h.aedat": (HEAD3 + b"#!END-HEADER\r\n" + packet3(**some(4), kind=0x8001), "only the format RAW is read"),
    "i.aedat": (HEAD3 + b"#!END-HEADER\r\n" + packet3(**some(4), size=4), "has polarity events of 4 bytes"),
    "j.aedat": (HEAD3 + b"#!END-HEADER\r\n" + struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, 1, 2**32 - 1, 1),
                "claims 4,294,967,295 events of 8 bytes, and 0 bytes are left"),
    "k.bin": (atis(**some(5, width=200, height=200)), "outside a sensor of 34 x 34 (N-MNIST's, as no other is given)"),
    "l.txt": (b"hello there", "is of no format that is known: it begins with b'hello th'"),
    "m.npz": (b"PK\x03\x04rest", "is truncated or not a NumPy archive"),
    "n.h5": (b"\x89HDF\r\n\x1a\nrest", "is damaged"),
    "o.bin": (b"", "is empty, not a recording of events"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_files_that_lie(name: str, tmp_path: Path) -> None:
    data, message = CUT[name]
    path = write(tmp_path / name, data)
    with pytest.raises(DataFileError) as caught:
        datasets.read_events(path)
    assert message in caught.value.message and f"'{path}'" in caught.value.message
    assert "test_events.py" in str(caught.value.where)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "nix.bin", "there is no file '.*nix.bin'; nothing is downloaded"),
        (tmp_path, "is a directory, not a recording"),
        (Path("/dev/zero"), "is no regular file"), (3, "the path of a recording of events must be a text or a Path"),
    ):  # fmt: skip
        with pytest.raises(DataFileError, match=message):
            datasets.read_events(path)
    with pytest.raises(DataFileError, match="no format 'csv' of events is known; known: aedat, atis, hdf5, npz"):
        datasets.read_events(write(tmp_path / "a.csv", b"1"), format="csv")


# -- NumPy archives that lie ------------------------------------------------------------------------------------------


def npy(head: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + body


def archive(path: Path, compression: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def column(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(values))
    return out.getvalue()


class Trap:
    """A pickle that leaves a file behind when it is loaded."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("trapped"),)


def test_archives_that_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = {name: column(values) for name, values in some(4).items()}
    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    held = io.BytesIO()
    np.save(held, trap, allow_pickle=True)
    long = "{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }\n"
    for bad, message in (
        (held.getvalue(), "array 't' holds Python objects, which would be code"),
        (npy(long % 2**60), "array 't' claims 9,223,372,036,854,775,808 bytes and has 0"),
        (npy(long % 2, b"\0" * 9), "array 't' claims 16 bytes and has 9"),
        (npy("{'descr': '<i8', 'shape': (-1,)}"), "the head of an array cannot be read"),
        (npy("__import__('os').getcwd()"), "the head of an array cannot be read"),
        (column(["a"]), "array 't' is of type <U1"),
        (column([[1, 2]]), "array 't' has shape [1, 2], and 1 axes are expected"),
        (b"not an array at all", "the head of an array cannot be read"),
    ):
        path = archive(tmp_path / "a.npz", **{**good, "t": bad})
        with pytest.raises(DataFileError) as caught:
            datasets.read_events(path, sensor=(34, 34))
        assert message in caught.value.message and "a.npz" in caught.value.message
    assert not (tmp_path / "trapped").exists()
    pickle.loads(pickle.dumps(trap))
    assert (tmp_path / "trapped").exists()  # it is a trap
    bomb = npy(long % 10**6, bytes(8 * 10**6))
    archive(tmp_path / "b.npz", zipfile.ZIP_BZIP2, **{**good, "t": bomb})
    with pytest.raises(DataFileError, match="claims 8,000,074 bytes, packed in"):
        datasets.read_events(tmp_path / "b.npz", sensor=(34, 34))
    data = bytearray(archive(tmp_path / "c.npz", **good).read_bytes())
    data[170] ^= 255  # in the values of the first array: 35 bytes of head in the archive, 128 of its own
    with pytest.raises(DataFileError, match="is damaged: .*Bad CRC-32"):
        datasets.read_events(write(tmp_path / "c.npz", bytes(data)), sensor=(34, 34))
    with pytest.raises(DataFileError, match="has no array 't' .*it has: p, x, y"):
        datasets.read_events(archive(tmp_path / "d.npz", **{k: v for k, v in good.items() if k != "t"}))
    with pytest.raises(DataFileError, match="does not say how large its sensor is"):
        datasets.read_events(archive(tmp_path / "e.npz", **good))

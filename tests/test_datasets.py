"""Data sets: events and what is made of them, files written as their formats are described, and files that lie."""

from __future__ import annotations

import gzip
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
from hypothesis import given
from hypothesis import strategies as st

from neurosim import datasets, encoding
from neurosim.datasets import Dataset, Events
from neurosim.errors import BackendMissingError, DataFileError, ParameterError, ResourceError
from neurosim.units import ms, mV, second, us


def some(
    n: int = 200, width: int = 34, height: int = 34, seed: int = 0, longest: int = 300_000
) -> dict[str, np.ndarray]:
    """Events in the order of their times, in microseconds."""
    g = np.random.default_rng(seed)
    return {"t": np.sort(g.integers(0, 300_000, n)), "x": g.integers(0, width, n), "y": g.integers(0, height, n),
            "p": g.integers(0, 2, n)}  # fmt: skip


def same(found: Events, t: Any, x: Any, y: Any, p: Any) -> bool:
    pairs = ((found.t, np.asarray(t) * 1e-6), (found.x, x), (found.y, y), (found.p, p))
    return all(np.array_equal(a, b) for a, b in pairs)


# -- files, as their descriptions say --------------------------------------------------------------------------------


def atis(t: Any, x: Any, y: Any, p: Any) -> bytes:
    """N-MNIST's 40 bits; an event in row 240 wherever the clock of 13 bits begins anew."""
    out, again = bytearray(), 0
    for time, *event in zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True):
        while time - (again << 13) >= 1 << 13:
            again += 1
            out += bytes([0, 240, 0, 0, 0])
        rest = time - (again << 13)
        out += bytes([event[0], event[1], (event[2] << 7) | (rest >> 16), (rest >> 8) & 255, rest & 255])
    return bytes(out)


def plain_atis(t: Any, x: Any, y: Any, p: Any) -> bytes:
    """The same with times of 23 bits, as in N-MNIST itself."""
    return b"".join(bytes([a, b, (c << 7) | (u >> 16), (u >> 8) & 255, u & 255])
                    for u, a, b, c in zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))  # fmt: skip


def aedat2(t: Any, x: Any, y: Any, p: Any, chip: str = "Davis240C", extra: tuple[int, ...] = ()) -> bytes:
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    head += f"# AEChip: eu.seebetter.ini.chips.davis.{chip}\r\n".encode() if chip else b""
    if chip == "DVS128":
        address = (x << 1) | (y << 8) | (1 - p)
    else:
        address = (y << 22) | (x << 12) | (p << 11)
    rows = np.stack([address, t], 1).astype(">u4")
    frames = np.array([[a, t[0]] for a in extra], dtype=">u4").reshape(-1, 2)
    return head + frames.tobytes() + rows.tobytes()


HEAD3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#Start-Time: 2020-10-30 17:33:59 (TZ+0300)\r\n"


def packet3(t: Any, x: Any, y: Any, p: Any, kind: int = 1, size: int = 8, valid: Any = 1, overflow: int = 0) -> bytes:
    words = (np.asarray(x) << 17) | (np.asarray(y) << 2) | (np.asarray(p) << 1) | valid
    body = np.stack([words, t], 1).astype("<u4").tobytes()
    n = len(body) // size
    return struct.pack("<HHIIIIII", kind, 1, size, 4, overflow, n, n, n) + body


def aedat3(t: Any, x: Any, y: Any, p: Any) -> bytes:
    half = len(t) // 2
    special = struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 2, 2, 2) + bytes(16)
    a, b = ({"t": t[part], "x": x[part], "y": y[part], "p": p[part]} for part in (slice(half), slice(half, None)))
    return HEAD3 + b"#!END-HEADER\r\n" + packet3(**a) + special + packet3(**b)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def idx(array: np.ndarray) -> bytes:
    kind = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


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


ROW = {"t": [0.1, 0.2], "x": [0, 1], "y": [0, 0], "p": [0, 1], "sensor": (2, 1)}


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
    assert message in caught.value.message and "test_datasets.py" in str(caught.value.where)


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
    assert "test_datasets.py" in str(caught.value.where)


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


# -- data sets of recordings ------------------------------------------------------------------------------------------


def folders(root: Path) -> None:
    """N-MNIST's layout: Train and Test, a folder for each digit."""
    for half, count in (("Train", 3), ("Test", 1)):
        for digit in (0, 2, 10):
            folder = root / half / str(digit)
            folder.mkdir(parents=True)
            for k in range(count):
                write(folder / f"{k:05}.bin", plain_atis(**some(20 + k, seed=100 * digit + k)))
            write(folder / "notes.txt", b"not a recording")


def test_folders_of_recordings(tmp_path: Path) -> None:
    folders(tmp_path)
    found = datasets.read_recordings(tmp_path)
    assert len(found) == 12 and found.classes == ("0", "2", "10") and repr(found) == "Dataset(12 samples, 3 classes)"
    assert [len(found.train), len(found.test)] == [9, 3] and list(found.test.labels) == [0, 1, 2]
    events, label = found.train[7]
    assert label == 2 and same(events, **some(21, seed=1001))
    alone = datasets.read_recordings(tmp_path / "Train")
    assert len(alone) == 9
    with pytest.raises(ParameterError, match=r"do not say what is the test set: split\(0.2, seed=1\) draws one"):
        _ = alone.test
    (tmp_path / "Train/0/00000.bin").write_bytes(b"123")
    with pytest.raises(DataFileError, match="00000.bin' is truncated"):  # when it is asked for
        found[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFileError, match="has no folders of recordings"):
        datasets.read_recordings(tmp_path / "empty")
    with pytest.raises(DataFileError, match="is a single recording: read_events"):
        datasets.read_recordings(tmp_path / "Train/0/00001.bin")


def packed(counts: tuple[int, ...] = (5, 0, 9)) -> dict[str, Any]:
    rows = [some(n, seed=n) for n in counts]
    columns = {name: np.concatenate([row[name] for row in rows]) for name in ("x", "y", "p")}
    return {**columns, "t_us": np.concatenate([row["t"] for row in rows]), "offsets": np.cumsum([0, *counts]),
            "labels": np.arange(len(counts)), "is_test": np.arange(len(counts)) == 1}  # fmt: skip


def test_an_archive_of_recordings(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **packed())
    found = datasets.read_recordings(tmp_path / "a.npz", sensor=(34, 34))
    assert [len(events) for events, _ in found] == [5, 0, 9] and same(found[2][0], **some(9, seed=9))
    assert list(found.test.labels) == [1] and list(found.train.labels) == [0, 2]
    for change, message in (
        ({"offsets": np.array([0, 5, 4, 14])}, "'offsets' should rise from 0 to the number of events, 14"),
        ({"offsets": np.array([0, 5, 5, 13])}, "'offsets' should rise from 0"),
        ({"labels": np.arange(2)}, "array 'labels' has 2 values, and 3 belong to the others"),
        ({"is_test": np.zeros(4, bool)}, "array 'is_test' has 4 values"),
        ({"x": np.zeros(3, int)}, "array 'x' has 3 values, and 14 belong to the others"),
    ):
        np.savez(tmp_path / "b.npz", **{**packed(), **change})
        with pytest.raises(DataFileError) as caught:
            datasets.read_recordings(tmp_path / "b.npz")
        assert message in caught.value.message
    np.savez(tmp_path / "c.npz", **some())
    with pytest.raises(DataFileError, match=r"has no array 'offsets', .* read_events\(\) reads it"):
        datasets.read_recordings(tmp_path / "c.npz")


def heidelberg(path: Path, times: list[Any], units: list[Any], labels: Any, keys: Any = (b"eins", b"zwei")) -> Path:
    with h5py.File(path, "w") as file:
        spikes = file.create_group("spikes")
        for name, rows, kind in (("times", times, np.float16), ("units", units, np.uint16)):
            made_here = spikes.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(kind))
            for k, row in enumerate(rows):
                made_here[k] = np.asarray(row, dtype=kind)
        file["labels"] = np.asarray(labels)
        file.create_group("extra")["keys"] = np.array(keys)
    return path


def test_spike_trains_of_a_cochlea(tmp_path: Path) -> None:
    times, units = [[0.25, 0.125], [0.5], []], [[699, 3], [20], []]
    found = datasets.read_recordings(heidelberg(tmp_path / "shd.h5", times, units, [1, 0, 1]))
    assert found.classes == ("eins", "zwei") and list(found.labels) == [1, 0, 1]
    events = found[0][0]
    assert list(events.t) == [0.125, 0.25] and list(events.x) == [3, 699] and events.neurons == 700
    spikes = events.spikes(125 * ms, 4)
    assert spikes.shape == (4, 700) and list(np.argwhere(spikes).ravel()) == [1, 3, 2, 699]
    assert not found[2][0].spikes(125 * ms, 4).any()
    for rows, message in (
        (([[0.5]], [[1, 2]], [0]), "recording 0 has 1 times and 2 units"),
        (([[0.5]], [[700]], [0]), "has spikes of unit 700, and of 700 only"),
        (([[0.5]], [[7]], [0, 1]), "spikes/times has shape (1,), and there are 2 labels"),
        (([[0.5]], [[7]], [2]), "there are 2 classes, and labels from 2 to 2"),
    ):
        with pytest.raises(DataFileError) as caught:
            datasets.read_recordings(heidelberg(tmp_path / "bad.h5", *rows))
        assert message in caught.value.message


def test_rows_that_are_the_same_bytes_again_and_again(tmp_path: Path) -> None:
    """A row of a megabyte that a thousand rows point to: the file is small, what it claims is not."""
    path = heidelberg(tmp_path / "a.h5", [np.zeros(1 << 19)] * 2, [[1]] * 2, [0, 0])
    data = path.read_bytes()
    with h5py.File(path) as file:
        at = file["spikes/times"].id.get_offset()
        heidelberg(tmp_path / "b.h5", [np.zeros(1 << 19)] + [[0]] * 63, [[1]] * 64, [0] * 64)
    data = (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "b.h5") as file:
        at = file["spikes/times"].id.get_offset()
    row = data[at : at + 16]  # length, and the address in the heap
    (tmp_path / "b.h5").write_bytes(data[:at] + row * 64 + data[at + 16 * 64 :])
    with pytest.raises(DataFileError, match="spikes/times claims more than the .* bytes of the file"):
        datasets.read_recordings(tmp_path / "b.h5")


def test_links_out_of_the_file(tmp_path: Path) -> None:
    heidelberg(tmp_path / "a.h5", [[0.5]], [[7]], [0])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink("b.h5", "labels")
    with pytest.raises(DataFileError, match="'labels' in / is a link to somewhere else"):
        datasets.read_recordings(tmp_path / "a.h5")


class Tonic:
    """A data set as tonic's are: structured arrays, labels, a size."""

    sensor_size = (34, 34, 2)
    kind = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    targets: Any = [3, 1]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, k: int) -> Any:
        row = some(6 + k, seed=k)
        out = np.empty(6 + k, dtype=self.kind)
        for name in self.kind.names or ():
            out[name] = row[name] if name != "p" or self.sensor_size[2] == 2 else 1
        return out, self.targets[k]


def test_data_sets_of_tonic() -> None:
    found = datasets.from_tonic(Tonic())
    assert list(found.labels) == [3, 1] and same(found[1][0], **some(7, seed=1)) and found[1][0].sensor == (34, 34)

    class Audio(Tonic):
        sensor_size = (700, 1, 1)
        kind = np.dtype([("t", int), ("x", int), ("p", int)])
        targets = ("one", "two")

    heard = datasets.from_tonic(Audio())
    assert heard.classes == ("one", "two") and heard[0][0].neurons == 700 and not heard[0][0].p.any()

    class Frames(Tonic):
        def __getitem__(self, k: int) -> Any:
            return np.zeros((3, 2, 34, 34)), 0

    with pytest.raises(ParameterError, match="sample 0 of this data set of tonic's is no structured array of events"):
        datasets.from_tonic(Frames())[0]
    with pytest.raises(ParameterError, match="takes a data set of tonic's.*got int"):
        datasets.from_tonic(3)


# -- images and series ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("packed", [False, True])
def test_images_of_idx_files(kind: str, packed: bool, tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((6, 4, 3)) * 100).astype(kind)
    y = np.arange(6, dtype=np.uint8)
    wrap = gzip.compress if packed else bytes
    a, b = write(tmp_path / "x", wrap(idx(x))), write(tmp_path / "y", wrap(idx(y)))
    found = datasets.read_images(a, b, scale=False)
    images, labels = found.arrays()
    assert np.array_equal(images, x) and images.dtype == np.dtype(kind) and np.array_equal(labels, y)
    scaled = datasets.read_images(a, b)[2][0]
    assert np.array_equal(scaled, x[2] / np.float32(255) if kind == "uint8" else x[2])


def test_folders_and_archives_of_images(tmp_path: Path) -> None:
    x, y = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2), np.arange(5, dtype=np.uint8)
    write(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(idx(x[:3])))
    with pytest.raises(DataFileError, match="has no file 'train-labels-…'"):
        datasets.read_images(tmp_path)
    write(tmp_path / "train-labels-idx1-ubyte", idx(y[:3]))
    assert len(datasets.read_images(tmp_path)) == 3
    write(tmp_path / "t10k-images.idx3-ubyte", idx(x[3:]))
    with pytest.raises(DataFileError, match="has no file 't10k-labels-…'"):
        datasets.read_images(tmp_path)
    write(tmp_path / "t10k-labels.idx1-ubyte", idx(y[3:]))
    np.savez(tmp_path / "a.npz", x_train=x[:3], y_train=y[:3], x_test=x[3:], y_test=y[3:])
    np.savez(tmp_path / "b.npz", images=x, labels=y)
    for path in (tmp_path, tmp_path / "a.npz", tmp_path / "b.npz"):
        found = datasets.read_images(path)
        assert np.array_equal(found.arrays()[0], x.astype(np.float32) / 255) and list(found.labels) == list(y)
        if path.name != "b.npz":
            assert list(found.test.labels) == [3, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(np.zeros((3, 2, 2), np.uint8))[:-1], "for its shape [3, 2, 2] it needs 12 bytes after byte 16, and has"),
        (idx(np.zeros((3, 2, 2), np.uint8)) + b"!", "is longer than it says"),
        (b"\0\0\x08\x03\0\0", "is truncated at byte 6, in the lengths of its 3 axes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "is truncated or damaged: for its shape [4294967295, 4294967295, 4294967295]"),
        (b"\0\0\x07\x01\0\0\0\1!", "is not an IDX file: it should begin with two zero bytes, a type (0x08, 0x09"),
        (b"hello", "and begins with b'hell'"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "bytes after byte 16, and has at most"),
        (gzip.compress(idx(np.zeros((3, 2, 2), np.uint8)))[:-9], "is truncated: it ends in the middle"),
        (b"\x1f\x8b" + b"rubbish" * 9, "cannot read"),
        (gzip.compress(idx(np.zeros((3, 2, 2), np.uint8)) [:-2]), "is truncated: for its shape [3, 2, 2]"),
    ],
)  # fmt: skip
def test_images_that_lie(data: bytes, message: str, tmp_path: Path) -> None:
    labels = write(tmp_path / "y", idx(np.zeros(3, np.uint8)))
    with pytest.raises(DataFileError) as caught:
        datasets.read_images(write(tmp_path / "x", data), labels)
    assert message in caught.value.message and "'" + str(tmp_path / "x") in caught.value.message


def test_images_and_labels_that_do_not_belong_together(tmp_path: Path) -> None:
    x, y = write(tmp_path / "x", idx(np.zeros((3, 2, 2), np.uint8))), write(tmp_path / "y", idx(np.zeros(4, np.uint8)))
    with pytest.raises(DataFileError, match=r"does not hold images and their labels: .*\[3, 2, 2\].*\[4\]"):
        datasets.read_images(x, y)
    with pytest.raises(DataFileError, match="give the file of their labels, too"):
        datasets.read_images(x)


TS = """# a comment
@problemName Two
@timeStamps false
@univariate false
@classLabel true left right
@data
1,2,3:4,5,6:right

7,?,9:1,1,1:left
"""


def test_time_series(tmp_path: Path) -> None:
    write(tmp_path / "Two_TRAIN.ts", TS.encode())
    write(tmp_path / "Two_TEST.ts", TS.replace("1,2,3:4,5,6", "0,0,0,0:1,1,1,1").encode())
    found = datasets.read_series(tmp_path)
    assert len(found) == 4 and found.classes == ("left", "right") and list(found.labels) == [1, 0, 1, 0]
    assert np.array_equal(found[0][0], [[1, 4], [2, 5], [3, 6]]) and found.test[0][0].shape == (4, 2)
    assert np.isnan(found[1][0][1, 0])
    path = write(tmp_path / "One_TRAIN.tsv", b"-1\t0.5\t1.5\tNaN\n10\t1\t2\t3\n2\t4\t5\t6\n")
    alone = datasets.read_series(path)
    assert alone.classes == ("-1", "2", "10") and list(alone.labels) == [0, 2, 1]
    assert [len(sample) for sample, _ in alone] == [2, 3, 3] and alone[1][0].shape == (3, 1)
    assert encoding.delta(alone[1][0], threshold=1).tolist() == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.ts", TS.replace("5", "x"), "line 7: 'x' is no number (value 2)"),
        ("a.ts", TS.replace("5", "1e999"), "line 7: '1e999' is not finite (value 2)"),
        ("a.ts", TS.replace(",6", ""), "line 7: dimensions of different lengths, 3, 2"),
        ("a.ts", TS.replace(":1,1,1", ""), "line 9: 1 dimensions, and 2 in the first series"),
        ("a.ts", TS.replace("6:right", "6:up"), "line 7: the class 'up' is not one of the head's: left, right"),
        ("a.ts", TS.replace("6:right", "6:"), "line 7: the series has no label"),
        ("a.ts", TS.replace("Stamps false", "Stamps true"), "line 3: series with time stamps are not read"),
        ("a.ts", TS.replace("true left right", "false"), "line 5: its series have no classes"),
        ("a.ts", TS.replace("@classLabel true left right\n", ""), "line 5: '@data', and no line before has said"),
        ("a.ts", TS.replace("@data\n", ""), "line 6: values before '@data'"),
        ("a.ts", TS.partition("@data")[0], "has no line '@data': it is truncated, or no .ts file"),
        ("a.ts", TS.partition("1,2,3")[0], "holds no series"),
        ("a.tsv", "1\n", "line 1: a label and then values are expected, between tabs"),
        ("a.tsv", "1\t2\n1\tNaN\n", "line 2: the series has no values"),
        ("a.tsv", "1\t2\t1,5\n", "line 1: '1,5' is no number (value 2)"),
        ("a.csv", "1\t2\n", "is of no kind of time series that is known: known are .ts and .tsv"),
        ("a.tsv", "\xe9\t2\n", "is no text"),
    ],
)
def test_series_that_are_none(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, text.encode("latin-1"))
    with pytest.raises(DataFileError) as caught:
        datasets.read_series(path)
    assert message in caught.value.message and str(path) in caught.value.message


# -- Dataset ----------------------------------------------------------------------------------------------------------


def small() -> Dataset:
    return Dataset(np.arange(20.0).reshape(10, 2), np.arange(10) % 2, classes=["a", "b"], test=np.arange(10) > 7)


def test_a_data_set() -> None:
    data = small()
    sample, label = data[3]
    assert list(sample) == [6, 7] and label == 1 and isinstance(label, int) and data[-1][1] == 1
    assert [len(part) for part in (data[2:5], data[[9, 1]], data[data.labels == 0], data.test, data.train)] == [
        3,
        2,
        5,
        2,
        8,
    ]
    doubled = data.map(lambda x: 2 * x).map(lambda x: x + 1)
    assert list(doubled[3][0]) == [13, 15] and list(doubled[[9, 1]][:1][0][0]) == [37, 39]
    assert [label for _, label in data.test] == [0, 1] and list(data.test.test.labels) == [0, 1]
    samples, labels = doubled.arrays()
    assert samples.shape == (10, 2) and np.array_equal(labels, data.labels)
    names = Dataset([1, 2, 3], ["b", "a", "b"])
    assert names.classes == ("a", "b") and list(names.labels) == [1, 0, 1]
    assert Dataset([1, 2], [0.5, 1.5])[1] == (2, 1.5)


def test_a_split_has_a_part_of_every_class() -> None:
    data = Dataset(np.arange(300), np.repeat([0, 1, 2], [200, 70, 30]))
    one, other = data.split(0.2, seed=1)
    assert list(np.bincount(other.labels)) == [40, 14, 6] and len(one) == 240
    assert sorted([*one.arrays()[0], *other.arrays()[0]]) == list(range(300))
    again, different = data.split(0.2, seed=1)[1], data.split(0.2, seed=2)[1]
    assert np.array_equal(other.arrays()[0], again.arrays()[0])
    assert not np.array_equal(other.arrays()[0], different.arrays()[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dataset([1, 2], [0]), "2 samples need as many labels, got shape [1]"),
        (lambda: Dataset([1], [None]), "labels are numbers or texts, got object"),
        (lambda: Dataset([1], [3], classes=["a"]), "there are 1 classes, and labels from 3 to 3"),
        (lambda: Dataset([1], [0], test=[1]), "test is true or false for each of the 1 samples"),
        (lambda: small()[[True]], "a data set of 10 samples has none such"),
        (lambda: small()[[11]], "a data set of 10 samples has none such"),
        (lambda: small().split(1.0), "fraction must be above 0 and below 1, got 1.0"),
        (lambda: small().split(0.5, seed=-1), "seed must be a whole number from 0 to 2^64 - 1, got -1"),
        (lambda: Dataset([[1], [1, 2]], [0, 1]).arrays(), "sample 1 has shape [2], the first [1]"),
        (
            lambda: Dataset([Events(**ROW)], [0]).arrays(),
            "sample 0 is no array of numbers but Events: give the data set",
        ),
    ],
)
def test_bad_data_sets(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in caught.value.message and "test_datasets.py" in str(caught.value.where)
    with pytest.raises(IndexError):
        small()[10]


@pytest.mark.engine("torch")
def test_a_data_loader_takes_it(tmp_path: Path) -> None:
    import torch

    folders(tmp_path)
    data = datasets.read_recordings(tmp_path).train.map(lambda events: events.spikes(10 * ms, 30))
    order = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(0))
    batches = list(order)
    assert [tuple(spikes.shape) for spikes, _ in batches] == [(4, 30, 2312), (4, 30, 2312), (1, 30, 2312)]
    assert sorted(int(k) for _, labels in batches for k in labels) == sorted(data.labels.tolist())
    assert all(spikes.dtype == torch.float32 for spikes, _ in batches)


# -- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data("nmnist_small/nmnist_small.npz")
def test_nmnist(shared: Path, tmp_path: Path) -> None:
    found = datasets.read_recordings(shared / "nmnist_small/nmnist_small.npz")
    assert [len(found.train), len(found.test)] == [1000, 100] and sorted(set(found.labels)) == list(range(10))
    sizes = [len(found[k][0]) for k in range(0, 1100, 10)]
    assert min(sizes) > 1000 and max(sizes) < 8000
    events, label = found[0]
    assert label == 5 and events.sensor == (34, 34) and 0.29 < events.duration < 0.34
    # three saccades of about 105 ms: in each, most events come while the camera is fastest
    counts = events.frames(5 * ms, 63).sum((1, 2, 3)).reshape(3, 21)
    assert np.all(counts.max(1) > 3 * counts.min(1))
    columns = {"t": np.rint(events.t * 1e6).astype(int), "x": events.x, "y": events.y, "p": events.p}
    again = datasets.read_events(write(tmp_path / "00002.bin", plain_atis(**columns)))
    assert same(again, **columns)
    assert 0.8 < len(events.denoise(5 * ms)) / len(events) < 1


@pytest.mark.shared_data("mnist/mnist.npz")
def test_mnist(shared: Path) -> None:
    found = datasets.read_images(shared / "mnist/mnist.npz")
    assert [len(found.train), len(found.test)] == [60000, 10000]
    image, label = found[0]
    assert label == 5 and image.shape == (28, 28) and image.dtype == np.float32 and image.max() == 1
    assert encoding.rate(image.ravel(), 10).shape == (10, 784)


def test_a_unit_is_asked_for() -> None:
    events = Events(**ROW)
    with pytest.raises(TypeError, match="dt must be a time"):
        events.frames(3 * mV)
    assert events.frames(1 * second).shape == (1, 2, 1, 2)

"""Data sets: recordings, images and series from files, and what PyTorch takes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from event_files_kit import ROW, idx, plain_atis, same, some, write

from neurosim import datasets, encoding
from neurosim.datasets import Dataset, Events
from neurosim.errors import DataFileError, ParameterError
from neurosim.units import ms, mV, second

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
    write(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(idx(x[:3]), mtime=0))
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
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12, mtime=0), "bytes after byte 16, and has at most"),
        (gzip.compress(idx(np.zeros((3, 2, 2), np.uint8)), mtime=0)[:-9], "is truncated: it ends in the middle"),
        (b"\x1f\x8b" + b"rubbish" * 9, "cannot read"),
        (gzip.compress(idx(np.zeros((3, 2, 2), np.uint8))[:-2], mtime=0), "is truncated: for its shape [3, 2, 2]"),
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

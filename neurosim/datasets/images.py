"""Images: MNIST's IDX files, and NumPy archives."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.datasets.collection import Dataset
from neurosim.datasets.files import Archive, existing, reading, start
from neurosim.errors import DataFileError, caller
from neurosim.recording.sonata import COMPRESSION_LIMIT

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAMES = (("train-images", "train-labels"), ("t10k-images", "t10k-labels"))
ARCHIVES = (("x_train", "y_train", "x_test", "y_test"),)
PLAIN_IMAGES, PLAIN_LABELS = ("x", "images", "data"), ("y", "labels", "targets")


def read_images(path: Any, labels: Any = None, *, scale: bool = True) -> Dataset:
    """Read a data set of images.

    ==========  ====================================================================================================
    a folder    with MNIST's four files, or the two of its training set: ``train-images-idx3-ubyte``, …, or packed
                (.gz); Fashion-MNIST, KMNIST and others have the same names
    IDX         a file of images, and `labels`, the file of their labels; both may be packed
    ``.npz``    arrays x_train, y_train, x_test, y_test; or x (images, data) and y (labels, targets)
    ==========  ====================================================================================================

    Parameters
    ----------
    path : path
        Of the folder or file.
    labels : path, optional
        Of the file of labels, beside one of images.
    scale : bool
        Make numbers of bytes 0 … 255 into float32 0 … 1, which is what the encoders want.

    Returns
    -------
    Dataset
        Its samples are arrays [height, width] or [height, width, colours].

    Raises
    ------
    DataFileError
        If a file is missing, foreign, truncated or damaged.
    """
    where = caller()
    if isinstance(path, (str, os.PathLike)) and Path(os.fsdecode(path)).is_dir() and labels is None:
        parts = _of_folder(Path(os.fsdecode(path)), where)
    else:
        file = existing(path, "a file of images", where)
        with reading(file, "a file of images", where):
            packed = start(file, 4) == b"PK\x03\x04"
        if packed:
            parts = _of_archive(Archive(file, where))
        elif labels is None:
            raise DataFileError(f"'{file}' holds images alone, if anything: give the file of their labels, too, as in "
                                "read_images(images, labels)", where)  # fmt: skip
        else:
            parts = [(read_idx(file, where), read_idx(existing(labels, "a file of labels", where), where))]
    for images, answers in parts:
        if images.ndim < 2 or answers.shape != (len(images),) or answers.dtype.kind not in "iu":
            raise DataFileError(f"'{path}' does not hold images and their labels: what should be images is of shape "
                                f"{list(images.shape)}, what should be labels {answers.dtype} of shape "
                                f"{list(answers.shape)}", where)  # fmt: skip
        if images.shape[1:] != parts[0][0].shape[1:]:
            raise DataFileError(f"'{path}' has images of {list(parts[0][0].shape[1:])} in the training set and of "
                                f"{list(images.shape[1:])} in the test set", where)  # fmt: skip
    images = parts[0][0] if len(parts) == 1 else np.concatenate([part[0] for part in parts])
    test = np.repeat([False, True], [len(part[0]) for part in parts]) if len(parts) == 2 else None
    transform = _scaled if scale and images.dtype == np.uint8 else None
    return Dataset(images, np.concatenate([part[1] for part in parts]), test=test, transform=transform)


def read_idx(path: Path, where: str | None = None) -> np.ndarray:
    """Read an IDX file: two zero bytes, a type, the number of axes, their lengths (32 bits, big-endian), the values.

    Described on MNIST's page by Y. LeCun, C. Cortes and C. J. C. Burges.
    """
    what = "an IDX file"
    size = path.stat().st_size
    with reading(path, what, where):
        packed = start(path, 2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in KINDS or not 1 <= head[3] <= 8:
                raise DataFileError(f"'{path}' is not an IDX file: it should begin with two zero bytes, a type "
                                    f"({', '.join(f'0x{k:02X}' for k in KINDS)}) and a number of axes, and begins with "
                                    f"{head!r}", where)  # fmt: skip
            lengths = file.read(4 * head[3])
            if len(lengths) < 4 * head[3]:
                raise DataFileError(f"'{path}' is truncated at byte {4 + len(lengths)}, in the lengths of its "
                                    f"{head[3]} axes", where)  # fmt: skip
            shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
            kind, begin = np.dtype(KINDS[head[2]]), 4 + len(lengths)
            wanted, room = math.prod(shape) * kind.itemsize, COMPRESSION_LIMIT * size if packed else size - begin
            if wanted > room:
                raise DataFileError(f"'{path}' is truncated or damaged: for its shape {list(shape)} it needs "
                                    f"{wanted:,} bytes after byte {begin}, and has {'at most ' * packed}{room:,}",
                                    where)  # fmt: skip
            data = file.read(wanted + 1)
    if len(data) != wanted:
        word = "truncated" if len(data) < wanted else "longer than it says"
        there = f"{len(data):,}" if len(data) < wanted else "more"
        raise DataFileError(f"'{path}' is {word}: for its shape {list(shape)} it needs {wanted:,} bytes after byte "
                            f"{begin}, and has {there}", where)  # fmt: skip
    return np.frombuffer(data, kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)


def _of_folder(folder: Path, where: str | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images and labels of the training set, and of the test set if it is there."""
    out = []
    for names in NAMES:
        found = [next((f for f in sorted(folder.iterdir()) if f.name.startswith(name) and f.is_file()), None)
                 for name in names]  # fmt: skip
        if all(found):
            out.append(tuple(read_idx(existing(f, "an IDX file", where), where) for f in found))
        elif any(found) or not out:
            missing = names[0] if found[0] is None else names[1]
            raise DataFileError(f"'{folder}' has no file '{missing}-…' as MNIST's folders do", where)
    return out


def _of_archive(archive: Archive) -> list[tuple[np.ndarray, np.ndarray]]:
    for names in ARCHIVES:
        if all(name in archive for name in names):
            a, b, c, d = names
            return [(archive.read(a, "iuf", None), archive.read(b, "iu")),
                    (archive.read(c, "iuf", None), archive.read(d, "iu"))]  # fmt: skip
    return [(archive.read(archive.first(*PLAIN_IMAGES), "iuf", None), archive.read(archive.first(*PLAIN_LABELS), "iu"))]


def _scaled(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / np.float32(255)


__all__ = ["read_idx", "read_images"]

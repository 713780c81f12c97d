"""Time series of the UCR and UEA archives: files ``.tsv`` and ``.ts``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurosim.datasets.collection import Dataset
from neurosim.datasets.files import existing, reading
from neurosim.errors import DataFileError, caller

MISSING = ("?", "nan", "")


class _Found(NamedTuple):
    series: list[np.ndarray]
    labels: list[str]
    declared: list[str] | None


def read_series(path: Any) -> Dataset:
    """Read a data set of time series with classes.

    ========  =======================================================================================================
    ``.tsv``  UCR: a line for each series, the label and then the values, between tabs; shorter series end with NaN
    ``.ts``   UEA (sktime): a head of lines with @, and after ``@data`` a line for each series: the values of a
              dimension between commas, dimensions and at last the label between colons; ? where a value is missing
    ========  =======================================================================================================

    Parameters
    ----------
    path : path
        Of a file, or of a folder with two files ``…_TRAIN`` and ``…_TEST`` of one of these kinds.

    Returns
    -------
    Dataset
        Its samples are float64 [time, dimensions], as `neurosim.encoding.delta` takes them; missing values are NaN, and
        series may differ in length. Labels are numbers of classes, which are in the order of their values if all are
        numbers, else of the file's head or the alphabet.

    Raises
    ------
    DataFileError
        If a file is missing, foreign or damaged, or has time stamps or no classes; it says in which line.
    """
    where = caller()
    if isinstance(path, (str, os.PathLike)) and Path(os.fsdecode(path)).is_dir():
        parts = [_read(file, where) for file in _halves(Path(os.fsdecode(path)), where)]
    else:
        parts = [_read(existing(path, "a file of time series", where), where)]
    names = _classes(parts)
    number = {name: k for k, name in enumerate(names)}
    labels = [number[label] for part in parts for label in part.labels]
    test = np.repeat([False, True], [len(part.labels) for part in parts]) if len(parts) == 2 else None
    return Dataset([one for part in parts for one in part.series], np.array(labels, dtype=np.int64), classes=names,
                   test=test)  # fmt: skip


def _classes(parts: list[_Found]) -> list[str]:
    found = {label for part in parts for label in part.labels} | {n for part in parts for n in part.declared or []}
    try:
        return sorted(found, key=float)
    except ValueError:
        declared = parts[0].declared
        return declared if declared is not None and set(declared) == found else sorted(found)


def _halves(folder: Path, where: str | None) -> list[Path]:
    for suffix in (".ts", ".tsv"):
        found = [sorted(folder.glob(f"*_{half}{suffix}")) for half in ("TRAIN", "TEST")]
        if [len(half) for half in found] == [1, 1]:
            return [existing(half[0], "a file of time series", where) for half in found]
    raise DataFileError(f"'{folder}' has no pair of files …_TRAIN.ts and …_TEST.ts, or of .tsv", where)


def _read(path: Path, where: str | None) -> _Found:
    suffix = path.suffix.lower()
    if suffix not in (".ts", ".tsv"):
        raise DataFileError(f"'{path}' is of no kind of time series that is known: known are .ts and .tsv", where)
    with reading(path, "a file of time series", where):
        try:
            with open(path, encoding="utf-8") as file:
                found = (_ts if suffix == ".ts" else _tsv)(path, enumerate(file, 1), where)
        except UnicodeDecodeError as error:
            raise DataFileError(f"'{path}' is no text (byte {error.start} of a part that was read), so no file of time "
                                "series", where) from None  # fmt: skip
    if not found.series:
        raise DataFileError(f"'{path}' holds no series", where)
    return found


def _tsv(path: Path, lines: Any, where: str | None) -> _Found:
    series, labels = [], []
    for k, line in lines:
        if not line.strip():
            continue
        label, *fields = line.rstrip("\r\n").split("\t")
        if not fields:
            raise DataFileError(f"'{path}', line {k}: a label and then values are expected, between tabs", where)
        row = _numbers(path, k, fields, where)
        there = np.flatnonzero(~np.isnan(row))
        if not len(there):
            raise DataFileError(f"'{path}', line {k}: the series has no values", where)
        series.append(row[: there[-1] + 1, None])
        labels.append(_label(path, k, label, where))
    return _Found(series, labels, None)


def _ts(path: Path, lines: Any, where: str | None) -> _Found:
    declared, begun = None, False
    series, labels = [], []
    dimensions = 0
    for k, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not begun:
            key, *values = text.split()
            if not key.startswith("@"):
                raise DataFileError(f"'{path}', line {k}: values before '@data'", where)
            key = key.lower()
            if key == "@timestamps" and [v.lower() for v in values] == ["true"]:
                raise DataFileError(f"'{path}', line {k}: series with time stamps are not read, only evenly sampled "
                                    "ones", where)  # fmt: skip
            if key == "@classlabel":
                if not values or values[0].lower() != "true":
                    raise DataFileError(f"'{path}', line {k}: its series have no classes", where)
                declared = values[1:]
            begun = key == "@data"
            if begun and declared is None:
                raise DataFileError(
                    f"'{path}', line {k}: '@data', and no line before has said '@classLabel true …'", where
                )
            continue
        *parts, label = text.split(":")
        if not parts:
            raise DataFileError(f"'{path}', line {k}: values and a label are expected, between colons", where)
        columns = [_numbers(path, k, part.split(","), where) for part in parts]
        if len({len(column) for column in columns}) > 1:
            raise DataFileError(f"'{path}', line {k}: dimensions of different lengths, "
                                f"{', '.join(str(len(column)) for column in columns)}", where)  # fmt: skip
        dimensions = dimensions or len(columns)
        if len(columns) != dimensions:
            raise DataFileError(f"'{path}', line {k}: {len(columns)} dimensions, and {dimensions} in the first series",
                                where)  # fmt: skip
        label = _label(path, k, label, where)
        if declared and label not in declared:
            raise DataFileError(f"'{path}', line {k}: the class '{label}' is not one of the head's: "
                                f"{', '.join(declared)}", where)  # fmt: skip
        series.append(np.stack(columns, axis=1))
        labels.append(label)
    if not begun:
        raise DataFileError(f"'{path}' has no line '@data': it is truncated, or no .ts file", where)
    return _Found(series, labels, declared or None)


def _label(path: Path, k: int, label: str, where: str | None) -> str:
    if not label.strip():
        raise DataFileError(f"'{path}', line {k}: the series has no label", where)
    return label.strip()


def _numbers(path: Path, k: int, fields: list[str], where: str | None) -> np.ndarray:
    """Return the values of a line; missing ones are NaN."""
    out = np.empty(len(fields))
    for i, field in enumerate(fields):
        field = field.strip()
        try:
            out[i] = np.nan if field.lower() in MISSING else float(field)
        except ValueError:
            raise DataFileError(f"'{path}', line {k}: '{field[:20]}' is no number (value {i + 1})", where) from None
        if np.isinf(out[i]):
            raise DataFileError(f"'{path}', line {k}: '{field[:20]}' is not finite (value {i + 1})", where)
    return out


__all__ = ["read_series"]

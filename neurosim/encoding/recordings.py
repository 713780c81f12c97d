"""Recordings: read from WAV files, checked, and brought to a level."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, ResultFileError, caller
from neurosim.units import Hz, Quantity

FULL = {"uint8": 128.0, "int16": 32768.0, "int32": 2.0**31, "int64": 2.0**63}
"""Type of the samples of a WAV file -> what is 1."""


class Recording(NamedTuple):
    """What a WAV file holds.

    Attributes
    ----------
    sound : ndarray
        float64 in -1 … 1: [samples], of more than one channel [samples, channels].
    sample_rate : Quantity
        In Hz.
    """

    sound: np.ndarray
    sample_rate: Quantity


def read_wav(path: str | os.PathLike[str]) -> Recording:
    """Read a WAV file: integers of 8 to 64 bits or floating point, uncompressed.

    Raises
    ------
    ResultFileError
        If it is missing or no such file.
    """
    where, shown = caller(), os.fspath(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # chunks of text beside the sound are of no concern
            rate, data = scipy_module("scipy.io.wavfile").read(path)
    except FileNotFoundError:
        raise ResultFileError(f"there is no file '{shown}'", where) from None
    except OSError as e:
        raise ResultFileError(f"'{shown}' cannot be read: {e.strerror or e}", where) from None
    except Exception as e:  # struct.error, ValueError and others, by where the file is broken
        raise ResultFileError(
            f"'{shown}' is no uncompressed WAV file ({str(e).rstrip('.') or type(e).__name__}): convert it, for "
            f"instance with 'ffmpeg -i {shown} -c:a pcm_s16le out.wav'", where
        ) from None  # fmt: skip
    x = np.asarray(data)
    zero = 128.0 if x.dtype == np.uint8 else 0.0
    sound = (x.astype(np.float64) - zero) / FULL.get(x.dtype.name, 1.0)
    return Recording(sound, float(rate) * Hz)


def samples(sound: Any, what: str = "a recording") -> np.ndarray:
    """Return a recording as float64 [samples] in -1 … 1; int16 is divided by 32768.

    Raises
    ------
    ParameterError
        If it has more than one channel, other numbers, or is not finite.
    """
    try:
        x = np.asarray(sound)
    except ValueError:  # rows of different lengths
        x = np.asarray(None)
    where = caller()
    if x.ndim == 2:
        raise ParameterError(
            f"{what} must have one channel, got shape {list(x.shape)}: of two, take one, sound[:, 0], or their mean, "
            "sound.mean(axis=1); several recordings are a list of them", where
        )  # fmt: skip
    if x.ndim != 1 or x.dtype.kind not in "iuf":
        raise ParameterError(f"{what} must be one row of numbers, got shape {list(x.shape)} of {x.dtype}", where)
    if x.dtype.kind in "iu":
        if x.dtype != np.int16:
            raise ParameterError(
                f"{what} of whole numbers must have samples of 16 bits, int16; got {x.dtype}: divide them by what is "
                "to be 1", where
            )  # fmt: skip
        return x / FULL["int16"]
    x = x.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(x))
    if len(wrong):
        raise ParameterError(f"{what} must be finite, got {x[wrong[0]]} at sample {wrong[0]}", where)
    if np.abs(x).max(initial=0.0) > 1:
        raise ParameterError(
            f"{what} in floating point must lie in -1 … 1, got {x[np.abs(x).argmax()]:g}: divide it by what is to be 1 "
            "(32768 for samples of 16 bits)", where
        )  # fmt: skip
    return x


def at_level(sound: Any, level: float = -23.0) -> np.ndarray:
    """Return a recording with another gain: as loud as a sine of that level, in dB of a sine of amplitude 1.

    Loud is the mean square over the whole recording. Silence stays silence.

    Raises
    ------
    ParameterError
        If a peak would lie outside -1 … 1.
    """
    x = samples(sound)
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not np.isfinite(level):
        raise ParameterError(f"level must be a number of dB, got {level!r}", caller())
    power = float(np.mean(np.square(x))) if len(x) else 0.0
    if not power:
        return x
    out = x * (10 ** (level / 20) / np.sqrt(2 * power))
    peak = float(np.abs(out).max())
    if peak > 1:
        raise ParameterError(
            f"at a level of {level:g} dB the recording's peak would be {peak:.3g}, above 1: take a level of at most "
            f"{np.floor(level - 20 * np.log10(peak)):g} dB", caller()
        )  # fmt: skip
    return out


def scipy_module(name: str) -> Any:
    """Return a part of SciPy, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BackendMissingError("sound needs SciPy: pip install scipy", caller()) from None

"""Digits without a teacher: train Diehl and Cook's network on images, ask it about others, and read its answers.

No label has a part in training. Afterwards each neuron is given the label of the images to which it answered most, and
an image the label whose neurons answer most::

    learned = train(images, n=100, checkpoint="digits.npz")
    labels = assign(respond(learned, images[:10_000]), digits[:10_000])
    told = tell(respond(learned, others), labels)
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import DataFileError, ParameterError, ResultFileError, caller
from neurosim.lang.network import Network
from neurosim.models.networks.diehl_cook import INTENSITY, PIXELS, SHOWN, SIDE, SILENCE, diehl_cook, numbers, rates
from neurosim.units import DIMENSIONLESS, Hz, scalar, second, volt

LEAST, MOST = 5, 32.0
"""Spikes that an image has to cause, or it is shown again with an intensity that is 1 higher; where that ends."""

SUM = 78.0
"""Of the weights of each neuron, before every image."""

STRETCH, ASKED = 1000, 250
"""Images from one checkpoint to the next, and images that one simulation is asked about."""

_UNITS = {"dt": second, "theta_plus": volt, "tau_theta": second}
_PARAMETERS = (*_UNITS, "nu_pre", "nu_post", "excite", "inhibit")
_ARRAYS = ("weights", "theta", "history")


@dataclass(frozen=True, eq=False)
class Learned:
    """What a network has learnt so far.

    Attributes
    ----------
    weights : ndarray
        From pixels to neurons, float64 [784, n]; those of a neuron sum to 78.
    theta : ndarray
        Of each neuron, in volts, float64 [n]: its threshold is theta - 72 mV.
    history : ndarray
        Of each stretch of training, float64 [stretches, 3]: images so far; spikes that an image caused, on average;
        how many times one was shown, on average.
    seed : int
        Of all that was drawn.
    shown : int
        Images that it has learnt from.
    digest : str
        Of them, by SHA-256: training goes on with the images it began with.
    parameters : mapping
        Of :func:`~neurosim.models.networks.diehl_cook.diehl_cook`, in SI, where they are not the published ones.
    """

    weights: np.ndarray
    theta: np.ndarray
    history: np.ndarray
    seed: int
    shown: int
    digest: str
    parameters: Mapping[str, float]

    def network(self, seed: int | None = None, learning: bool = False, image: Any = None) -> Network:
        """Return the network as it stands.

        Parameters
        ----------
        seed : int, optional
            Of Poisson spikes; its own if not given.
        learning : bool
            True for one that learns on.
        image : array_like, optional
            That it is shown.
        """
        with_units: dict[str, Any] = {k: v * _UNITS[k] if k in _UNITS else v for k, v in self.parameters.items()}
        return diehl_cook(len(self.theta), self.seed if seed is None else seed, image=image, learning=learning,
                          weights=self.weights, theta=self.theta * volt, **with_units)  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it to an npz file, whole or not at all.

        Parameters
        ----------
        path : path
            Of the file; one that is there is replaced. Its name stays as it is, also without ``.npz``.

        Raises
        ------
        ResultFileError
            If it cannot be written.
        """
        # neurosim.recording.atomic does the same, but models describe networks and import nothing that runs them or
        # keeps their results.
        about = {"seed": int(self.seed), "shown": int(self.shown), "digest": self.digest,
                 "parameters": dict(self.parameters)}  # fmt: skip
        part = Path(f"{os.fspath(path)}.{secrets.token_hex(4)}.part")
        try:
            try:
                with part.open("wb") as file:
                    np.savez(file, about=json.dumps(about), **{k: getattr(self, k) for k in _ARRAYS})
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as e:
            raise ResultFileError(f"cannot write '{path}': {e.strerror or e}", caller()) from None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Learned:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataFileError
            If there is no such file, or another one.
        """
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {k: np.asarray(file[k], dtype=np.float64) for k in _ARRAYS}
                about = json.loads(str(file["about"]))
            n = len(arrays["theta"])
            shapes = {"weights": (PIXELS, n), "theta": (n,), "history": (len(arrays["history"]), 3)}
            if any(a.shape != shapes[k] or not np.isfinite(a).all() for k, a in arrays.items()):
                raise ValueError("arrays of other shapes, or values that are no numbers")
            parameters = {k: float(v) for k, v in about["parameters"].items()}
            if set(parameters) - set(_PARAMETERS):
                raise ValueError("parameters of another network")
            return Learned(**arrays, seed=int(about["seed"]), shown=int(about["shown"]), digest=str(about["digest"]),
                           parameters=parameters)  # fmt: skip
        except FileNotFoundError:
            raise DataFileError(f"there is no file '{path}'", caller()) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as e:
            said = str(e).split("\n")[0] or type(e).__name__
            raise DataFileError(
                f"'{path}' is not what Learned.save() writes ({said}): remove it, or name another file", caller()
            ) from None


def begin(n: int = 100, seed: int = 1, **parameters: Any) -> Learned:
    """Return what an untrained network knows: weights as they were drawn.

    Parameters
    ----------
    n : int
        Neurons.
    seed : int
        Of all that is drawn, from 0 to 2^64 - 1.
    **parameters
        Of :func:`~neurosim.models.networks.diehl_cook.diehl_cook`: dt, nu_pre, nu_post, theta_plus, tau_theta, excite,
        inhibit.

    Raises
    ------
    ParameterError
        If ``n`` or ``seed`` is no whole number in its range, or a parameter is unknown, not one number or outside its
        legal values.
    DimensionError
        If a parameter has another dimension, or none where it needs one.
    """
    where, plain = caller(), {}
    for key, value in parameters.items():
        if key not in _PARAMETERS:
            raise ParameterError(f"'{key}' is none of the parameters {', '.join(_PARAMETERS)}", where)
        plain[key] = scalar(value, _UNITS[key].dim if key in _UNITS else DIMENSIONLESS, key, where)
    seed = _whole_seed(seed)
    weights = diehl_cook(n, seed, **parameters).edges("features").weight
    start = _normalised(np.asarray(weights, np.float64).reshape(PIXELS, -1))
    return Learned(start, np.full(start.shape[1], 0.02), np.empty((0, 3)), seed, 0, "", plain)


def train(
    images: Any, n: int = 100, seed: int = 1, *, checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Learned], None] | bool | None = None, **parameters: Any,
) -> Learned:  # fmt: skip
    """Show a network images one after the other, from which it learns; return what it has learnt.

    Each is shown for 350 ms, and nothing for the 150 ms after it. One that causes fewer than 5 spikes is shown again,
    with rates that are a step higher. Every 1000 images a simulation begins anew from weights and thresholds, with
    Poisson spikes of its own; so a training that goes on from a checkpoint ends as one that was never interrupted, to
    the bit.

    Parameters
    ----------
    images : array_like
        Values from 0 to 255: [images, 28, 28] or [images, 784].
    n : int
        Neurons.
    seed : int
        Of all that is drawn, from 0 to 2^64 - 1.
    checkpoint : path, optional
        A file that is written every 1000 images. Where it is there already, training goes on from it.
    progress : callable or bool, optional
        Told what has been learnt, every 1000 images and at the end; True prints a line.
    **parameters
        As :func:`begin` takes them.

    Raises
    ------
    ParameterError
        Of images that are none; of a checkpoint of other images, of another network or another seed; of what
        :func:`begin` does not take; and if ``nu_pre`` is so large that all weights of a neuron become 0.
    DimensionError
        If a parameter has another dimension, or none where it needs one.
    DataFileError
        If the checkpoint is there, but not what :meth:`Learned.save` writes.
    ResultFileError
        If the checkpoint cannot be written.
    """
    images, where = _images(images), caller()
    learned = begin(n, seed, **parameters)
    if checkpoint is not None and os.path.exists(checkpoint):
        learned = _goes_on(Learned.load(checkpoint), learned, images, checkpoint, where)
    if progress is True:
        progress = _Lines(learned.shown, len(images))
    while learned.shown < len(images):
        learned = _stretch(learned, images)
        if checkpoint is not None:
            learned.save(checkpoint)
        if progress:
            progress(learned)
    return learned


class _Lines:
    """Says how far a training is, and how long it will take."""

    def __init__(self, shown: int, images: int) -> None:
        self.first, self.images, self.begun = shown, images, time.perf_counter()

    def __call__(self, learned: Learned) -> None:
        each = (time.perf_counter() - self.begun) / (learned.shown - self.first)
        print(f"learnt from {learned.shown:,} of {self.images:,} images: {learned.history[-1, 1]:.1f} spikes and "
              f"{1e3 * each:.0f} ms each, {each * (self.images - learned.shown) / 60:.1f} min to go",
              file=sys.stderr, flush=True)  # fmt: skip


def respond(
    learned: Learned, images: Any, *, seed: int | None = None, threads: int | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> np.ndarray:  # fmt: skip
    """Show images to a network that does not learn any more; return how often each neuron spiked: int64 [images, n].

    Parameters
    ----------
    learned : Learned
        The network.
    images : array_like
        As :func:`train` takes them. They are shown in the same way.
    seed : int, optional
        Of Poisson spikes, from 0 to 2^64 - 1; the network's own if not given.
    threads : int, optional
        How many groups of 250 images are shown at a time; the number of cores by default. The spikes do not depend on
        it.
    progress : callable or bool, optional
        Told the number of images that have been shown, and of all; True prints a line now and then.

    Raises
    ------
    ParameterError
        If images are none that :func:`train` takes, ``seed`` is no whole number in its range, ``threads`` none from 1
        on, or ``learned`` no :class:`Learned`.
    """
    if not isinstance(learned, Learned):
        raise ParameterError(
            f"learned is what train() or Learned.load() returns, got {type(learned).__name__}", caller()
        )
    if threads is not None and not (_whole(threads) and threads >= 1):
        raise ParameterError(f"threads must be a whole number of at least 1, got {threads!r}", caller())
    images, seed = _images(images), _whole_seed(learned.seed if seed is None else seed)
    starts = range(0, len(images), ASKED)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    found: list[np.ndarray] = []
    if progress is True:
        progress = _line

    def group(at: int) -> np.ndarray:
        net = learned.network(_seed(seed, "respond", at))
        net.probes.clear()
        with net.start(threads=1) as sim:
            return np.array([_shown(sim, image, 0)[0] for image in images[at : at + ASKED]])

    with ThreadPoolExecutor(max(1, min(threads or cores, len(starts)))) as pool:
        jobs = [pool.submit(group, at) for at in starts]
        try:
            for job in jobs:
                found.append(job.result())
                if progress:
                    progress(sum(map(len, found)), len(images))
        finally:
            for job in jobs:
                job.cancel()
    return np.concatenate([np.zeros((0, len(learned.theta)), np.int64), *found])


def _line(done: int, total: int) -> None:
    if done % (10 * ASKED) == 0 or done == total:
        print(f"asked about {done:,} of {total:,} images", file=sys.stderr, flush=True)


def assign(counts: np.ndarray, labels: Any) -> np.ndarray:
    """Return the label of each neuron: that of the images to which it answered with the most spikes, on average.

    Parameters
    ----------
    counts : ndarray
        As :func:`respond` returns them, [images, n]; of images for training.
    labels : array_like of int
        Of these images, 0 to 9.

    Returns
    -------
    ndarray
        int64 [n]; -1 of a neuron that never spiked, which takes no part in what :func:`tell` tells.

    Raises
    ------
    ParameterError
        If counts are not [images, n], finite and from 0 on, or labels not one whole number from 0 to 9 for each image.
    """
    counts = _counts(counts)
    what = f"labels are {len(counts)} whole numbers from 0 to 9, one for each image"
    given = numbers(labels, what)
    if given.shape != (len(counts),) or given.dtype.kind not in "iu" or not np.all((given >= 0) & (given <= 9)):
        raise ParameterError(f"{what}; got {_about(given)}", caller())
    shown = np.bincount(given.astype(np.int64), minlength=10)
    sums = np.array([counts[given == label].sum(0) for label in range(10)])
    mean = sums / np.maximum(shown, 1)[:, None]
    return np.where(mean.max(0) > 0, mean.argmax(0), -1)


def tell(counts: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """Return the label of each image, int64 [images]: that whose neurons spiked most, on average.

    Parameters
    ----------
    counts : ndarray
        As :func:`respond` returns them, [images, n].
    assigned : ndarray
        As :func:`assign` returns them, [n].

    Raises
    ------
    ParameterError
        If counts are not [images, n], finite and from 0 on, or labels not one whole number from -1 to 9 for each
        neuron.
    """
    counts = _counts(counts)
    what = f"labels of neurons are {counts.shape[1]} whole numbers from -1 to 9, one for each"
    given = numbers(assigned, what)
    if given.shape != counts.shape[1:] or given.dtype.kind not in "iu" or not np.all((given >= -1) & (given <= 9)):
        raise ParameterError(f"{what}; got {_about(given)}", caller())
    votes = np.array([counts[:, given == label].mean(1) if np.any(given == label) else np.full(len(counts), -1.0)
                      for label in range(10)])  # fmt: skip
    return votes.argmax(0)


def _stretch(learned: Learned, images: np.ndarray) -> Learned:
    """Learn from the images up to the next checkpoint."""
    stop = min(len(images), (learned.shown // STRETCH + 1) * STRETCH)
    net, spikes, times = learned.network(_seed(learned.seed, "train", learned.shown), learning=True), 0, 0
    net.probes.clear()  # nobody reads them
    with net.start(threads=1) as sim:
        for image in images[learned.shown : stop]:
            counts, often = _shown(sim, image, len(learned.theta))
            spikes, times = spikes + int(counts.sum()), times + often
        weights, theta = sim.weights("features").reshape(PIXELS, -1), sim.state("exc", "theta")
    here = stop - learned.shown
    return replace(
        learned,
        weights=_normalised(weights),
        theta=theta,
        history=np.concatenate([learned.history, [[stop, spikes / here, times / here]]]),
        shown=stop,
        digest=_digest(images[learned.shown : stop], learned.digest),
    )


def _shown(sim: Any, image: np.ndarray, learning: int) -> tuple[np.ndarray, int]:
    """Show an image until it has been noticed; return the spikes of each neuron, and how often that was.

    ``learning`` is the number of neurons whose weights are made to sum to the same before each time, 0 for none.
    """
    intensity, times = INTENSITY, 0
    while True:
        if learning:
            sim.set_weights("features", _normalised(sim.weights("features").reshape(PIXELS, learning)).ravel())
        sim.set("inputs.rate", rates(image, intensity) * Hz)
        counts = sim.run(SHOWN).counts("exc")
        sim.set("inputs.rate", 0 * Hz)
        sim.run(SILENCE)
        times += 1
        if counts.sum() >= LEAST or intensity >= MOST:
            return counts, times
        intensity += 1


def _normalised(weights: np.ndarray) -> np.ndarray:
    sums = weights.sum(0)
    if not np.all(sums > 0):
        raise ParameterError(f"all weights of neuron {np.argmin(sums)} have become 0: nu_pre is too large", caller())
    return np.asarray(weights * (SUM / sums))


def _goes_on(found: Learned, fresh: Learned, images: np.ndarray, path: Any, where: str | None) -> Learned:
    """Return what a file holds, if training may go on from it."""
    for what, there, here in (
        ("neurons", len(found.theta), len(fresh.theta)),
        ("the seed", found.seed, fresh.seed),
        ("the parameters", dict(found.parameters), dict(fresh.parameters)),
    ):
        if there != here:
            raise ParameterError(
                f"the checkpoint '{path}' is of another training, {what}: {there}, not {here}; name another file", where
            )
    if found.shown > len(images) or found.digest != _digest(images[: found.shown]):
        raise ParameterError(
            f"the checkpoint '{path}' is of another training: its {found.shown:,} images are not the first of these "
            f"{len(images):,}; name another file",
            where,
        )
    if found.shown % STRETCH and found.shown < len(images):
        raise ParameterError(
            f"the checkpoint '{path}' is of a training that ended with {found.shown:,} images, not a multiple of "
            f"{STRETCH:,}, from which none goes on: name another file",
            where,
        )
    return found


def _images(images: Any) -> np.ndarray:
    """Return images as rows of pixels."""
    what = "images are values from 0 to 255, [images, 28, 28] or [images, 784]"
    given = numbers(images, what)
    if given.shape[1:] not in ((SIDE, SIDE), (PIXELS,)):
        raise ParameterError(f"{what}; got {_about(given)}", caller())
    if given.size and not (given.min() >= 0 and given.max() <= 255):
        raise ParameterError(f"images are values from 0 to 255, got {given.min():g} to {given.max():g}", caller())
    return given.reshape(-1, PIXELS)


def _counts(counts: Any) -> np.ndarray:
    """Return what may be counts of spikes: [images, n]."""
    what = "counts are [images, n], finite numbers from 0 on, as respond() returns them"
    given = numbers(counts, what)
    if given.ndim != 2 or not np.all((given >= 0) & (given < np.inf)):
        raise ParameterError(f"{what}; got {_about(given)}", caller())
    return given


def _about(given: np.ndarray) -> str:
    """Say what an array is like."""
    span = f", from {given.min():g} to {given.max():g}" if given.size else ""
    return f"{given.dtype} of shape {list(given.shape)}{span}"


def _whole(value: Any) -> bool:
    """Tell whether a value is one whole number."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _whole_seed(seed: Any) -> int:
    """Return a seed as Python's integer: NumPy's are written differently, by repr and in JSON not at all."""
    if not (_whole(seed) and 0 <= seed < 2**64):
        raise ParameterError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}", caller())
    return int(seed)


def _digest(images: np.ndarray, before: str = "") -> str:
    """Return a digest of images and those before them: each stretch of them makes the next of the last."""
    for at in range(0, len(images), STRETCH):
        some = np.ascontiguousarray(images[at : at + STRETCH], dtype=np.float64).tobytes()
        before = hashlib.sha256(before.encode() + some).hexdigest()
    return before


def _seed(seed: int, purpose: str, at: int) -> int:
    """Return a seed that another one, a purpose and a number of images make."""
    what = repr((int(seed), purpose, at))
    return int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), "little")

"""A data set: samples and their labels, for a loop or for PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, ResourceError, caller
from neurosim.ir.random import Draws


class Dataset:
    """Samples with labels.

    ``dataset[k]`` is the k-th sample, as the transforms have made it, and its label; ``dataset[mask]``,
    ``dataset[3:7]`` and ``dataset[[5, 1]]`` are data sets of some of them. Samples that are files of their own are read
    when they are asked for.

    Parameters
    ----------
    samples : sequence
        Whatever has a length and gives the k-th sample for a number k.
    labels : array_like
        One for each sample. Those that are no numbers become the number of their class, in sorted order.
    classes : sequence of str, optional
        What the labels 0, 1, … mean.
    test : array_like of bool, optional
        Which samples belong to the test set.
    transform : callable, optional
        Is given a sample, and returns what ``dataset[k]`` has instead.

    Raises
    ------
    ParameterError
        If lengths differ.
    """

    def __init__(
        self,
        samples: Any,
        labels: Any,
        *,
        classes: Sequence[str] | None = None,
        test: Any = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        where = caller()
        self._samples, self._transform = samples, transform
        self.labels = np.asarray(labels)
        if self.labels.shape != (len(samples),):
            raise ParameterError(f"{len(samples)} samples need as many labels, got shape {list(self.labels.shape)}",
                                 where)  # fmt: skip
        if self.labels.dtype.kind in "US":
            found, self.labels = np.unique(self.labels.astype(str), return_inverse=True)
            classes = [str(name) for name in found]
        elif self.labels.dtype.kind not in "iubf":
            raise ParameterError(f"labels are numbers or texts, got {self.labels.dtype}", where)
        self.labels = self.labels.astype(np.float64 if self.labels.dtype.kind == "f" else np.int64)
        self.classes = None if classes is None else tuple(classes)
        self._test = None if test is None else np.asarray(test)
        if self._test is not None and (self._test.shape != self.labels.shape or self._test.dtype.kind != "b"):
            raise ParameterError(f"test is true or false for each of the {len(samples)} samples, got "
                                 f"{self._test.dtype} of shape {list(self._test.shape)}", where)  # fmt: skip
        if self.classes is not None and self.labels.dtype.kind == "i" and len(self.labels):
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ParameterError(f"there are {len(self.classes)} classes, and labels from {low} to {high}", where)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes is not None else ""
        return f"Dataset({len(self)} samples{classes})"

    def __getitem__(self, which: Any) -> Any:
        """Return a sample and its label, or a data set of some."""
        if isinstance(which, (int, np.integer)) and not isinstance(which, (bool, np.bool_)):
            k = int(which) + len(self) * (which < 0)
            if not 0 <= k < len(self):
                raise IndexError(f"sample {which} of a data set of {len(self)}")  # ends a loop: Python's own
            sample = self._samples[k]
            return sample if self._transform is None else self._transform(sample), self.labels[k].item()
        try:
            numbers = np.arange(len(self))[which]
        except IndexError as error:
            raise ParameterError(f"a data set of {len(self)} samples has none such: {error}", caller()) from None
        return Dataset(_Some(self._samples, numbers), self.labels[numbers], classes=self.classes,
                       test=None if self._test is None else self._test[numbers],
                       transform=self._transform)  # fmt: skip

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[k] for k in range(len(self)))

    def map(self, transform: Callable[[Any], Any]) -> Dataset:
        """Return the data set with one more transform, which is given what the ones before have made."""
        before = self._transform
        return Dataset(self._samples, self.labels, classes=self.classes, test=self._test,
                       transform=transform if before is None else _Both(before, transform))  # fmt: skip

    @property
    def train(self) -> Dataset:
        """The samples that do not belong to the test set."""
        return self[~self._tested(caller())]

    @property
    def test(self) -> Dataset:
        """The samples of the test set."""
        return self[self._tested(caller())]

    def split(self, fraction: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Return two data sets, the second with a fraction of every class, drawn at random.

        Parameters
        ----------
        fraction : float
            Above 0 and below 1; the number in each class is rounded.
        seed : int
            The same seed gives the same split on every machine.
        """
        where = caller()
        if not isinstance(fraction, (int, float, np.floating)) or not 0 < fraction < 1:
            raise ParameterError(f"fraction must be above 0 and below 1, got {fraction!r}", where)
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 1 << 64:
            raise ParameterError(f"seed must be a whole number from 0 to 2^64 - 1, got {seed!r}", where)
        chance = Draws(int(seed), "datasets.split").uniform53(0, len(self))
        second = np.zeros(len(self), dtype=bool)
        for label in np.unique(self.labels):
            of_class = np.flatnonzero(self.labels == label)
            of_class = of_class[np.argsort(chance[of_class], kind="stable")]
            second[of_class[: round(fraction * len(of_class))]] = True
        return self[~second], self[second]

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all samples in one array [samples, …], and the labels.

        Raises
        ------
        ParameterError
            If samples differ in shape, or are no arrays.
        """
        where = caller()
        out: np.ndarray | None = None
        for k in range(len(self)):
            sample = self[k][0]
            try:
                array = np.asarray(sample)
            except (TypeError, ValueError):  # no array can be made of it
                array = np.asarray(None)
            if array.dtype.kind not in "biuf":
                raise ParameterError(f"sample {k} is no array of numbers but {type(sample).__name__}: give the data "
                                     "set a transform, as in dataset.map(lambda events: events.spikes(1*ms, 300))",
                                     where)  # fmt: skip
            if out is None:
                out = _room((len(self), *array.shape), array.dtype, where)
            if array.shape != out.shape[1:]:
                raise ParameterError(
                    f"sample {k} has shape {list(array.shape)}, the first {list(out.shape[1:])}", where
                )
            out[k] = array
        return np.zeros((0,)) if out is None else out, self.labels

    def _tested(self, where: str | None) -> np.ndarray:
        if self._test is None:
            raise ParameterError("these files do not say what is the test set: split(0.2, seed=1) draws one", where)
        return self._test


def _room(shape: tuple[int, ...], kind: np.dtype, where: str | None) -> np.ndarray:
    try:
        return np.empty(shape, kind)
    except MemoryError:
        raise ResourceError(f"samples of shape {list(shape)} do not fit into memory: take some of them at a time, as "
                            "in dataset[:1000].arrays(), or a DataLoader", where) from None  # fmt: skip


class _Some:
    """Some samples of others."""

    def __init__(self, samples: Any, numbers: np.ndarray) -> None:
        if isinstance(samples, _Some):  # not a chain of them
            samples, numbers = samples.samples, samples.numbers[numbers]
        self.samples, self.numbers = samples, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, k: int) -> Any:
        return self.samples[int(self.numbers[k])]


class _Both:
    """Two transforms, one after the other."""

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any]) -> None:
        self.first, self.second = first, second

    def __call__(self, sample: Any) -> Any:
        return self.second(self.first(sample))


__all__ = ["Dataset"]

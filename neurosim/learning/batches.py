"""The data of a training: arrays, data sets and loaders as batches, divided among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurosim.errors import ParameterError
from neurosim.learning.kept import first_line


def hash_of(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's order: the same after a stop."""
    return (seed * 1_000_003 + epoch) % 2**63


@dataclass(frozen=True)
class Loader:
    """An epoch's batches, made anew for each epoch.

    Attributes
    ----------
    epoch : callable
        Takes the number of the epoch, from 0; gives its batches, each ``(inputs, targets, ids, joint)``: inputs and
        targets of this process, the numbers of its samples in the data, and how many samples all processes have.
    length : int
        Number of batches.
    """

    epoch: Callable[[int], Iterator[Any]]
    length: int

    def __call__(self, epoch: int) -> Iterator[Any]:
        return self.epoch(epoch)

    def __len__(self) -> int:
        return self.length


def _none(values: Any) -> Any:
    """Return no samples of a batch."""
    return {k: v[:0] for k, v in values.items()} if isinstance(values, Mapping) else values[:0]


class Data:
    """How data become batches: each is inputs, targets, the numbers of its samples, and how many all processes have.

    Parameters
    ----------
    torch, module
        The library, and what is trained.
    truncate : int, optional
        Steps of a piece of time.
    rank, world : int
        This process, and how many there are.
    joint : callable
        Adds up a number over all processes.
    where : str, optional
        Where the training was asked for.
    """

    def __init__(
        self, torch: Any, module: Any, truncate: int | None, rank: int, world: int, joint: Callable[[int], int],
        where: str | None,
    ) -> None:  # fmt: skip
        self.torch, self.module, self.truncate, self.rank, self.world = torch, module, truncate, rank, world
        self.joint, self.where = joint, where

    def batches_of(self, data: Any, batch: int, seed: int | None) -> Any:
        """Return what gives an epoch's batches, with the number of them as its length.

        Parameters
        ----------
        data : pair, Dataset or DataLoader
            As :func:`~neurosim.learning.fit` takes it.
        batch : int
            Samples of a batch, of all processes together; a DataLoader has its own.
        seed : int, optional
            Of the order of samples, another in each epoch. Without it they keep their order, and every process has all
            of them: that is for test data.

        Returns
        -------
        Loader

        Raises
        ------
        ParameterError
            The data are none of these, have no samples, or are not as many inputs as targets; inputs of a pair are not
            [samples, time, neurons], have no steps, differ in steps where they are cut in time, or have no name where
            the network has several sources; a batch cannot be divided among the processes, or a DataLoader does not.
        """
        if hasattr(data, "batch_sampler"):
            if self.world > 1 and seed is not None and not hasattr(getattr(data, "sampler", None), "num_replicas"):
                raise ParameterError(
                    f"a DataLoader for {self.world} processes needs a torch.utils.data.DistributedSampler: without one "
                    "each process trains on all of the data", self.where
                )  # fmt: skip
            if not len(data):
                raise ParameterError("the DataLoader gives no batches", self.where)

            def loaded(k: int) -> Iterator[Any]:
                if hasattr(getattr(data, "sampler", None), "set_epoch"):
                    data.sampler.set_epoch(k)
                at = 0
                for inputs, targets in data:
                    ids = self.torch.arange(at, at + len(targets)) * self.world + self.rank
                    at += len(targets)
                    yield inputs, targets, ids, self.joint(len(targets)) if seed is not None else len(targets)

            return Loader(loaded, len(data))
        if (
            hasattr(data, "__getitem__")
            and hasattr(data, "__len__")
            and not isinstance(data, (tuple, list, Mapping))
            and (not hasattr(data, "shape"))
        ):
            size, collate = len(data), self.torch.utils.data.default_collate
            if not size:
                raise ParameterError("the data set has no samples", self.where)

            def pick(ids: Any) -> tuple[Any, Any]:
                some = collate([tuple(data[int(i)]) for i in ids] or [tuple(data[0])])
                return tuple(some) if len(ids) else tuple(_none(x) for x in some)  # none, of the same shape

        else:
            if not isinstance(data, tuple) or len(data) != 2:
                raise ParameterError("data must be a pair of inputs and targets, a Dataset or a DataLoader", self.where)
            inputs = data[0] if isinstance(data[0], Mapping) else {self.only(): data[0]}
            try:
                tensors = {k: self.torch.as_tensor(v) for k, v in inputs.items()}
                targets = self.torch.as_tensor(data[1])
                _ = len(targets)  # a number by itself has no length
            except (TypeError, ValueError, RuntimeError) as e:
                raise ParameterError(
                    f"inputs and targets must be arrays of numbers: {first_line(e)}", self.where
                ) from None
            self.named(tensors)
            if self.truncate is not None and len({v.shape[1] for v in tensors.values()}) > 1:
                found = ", ".join(f"{v.shape[1]} of '{k}'" for k, v in tensors.items())
                raise ParameterError(f"inputs must have as many steps, to be cut in time: got {found}", self.where)
            size = len(targets)
            if not size or any(len(v) != size for v in tensors.values()):
                sizes = ", ".join(f"{len(v)} of '{k}'" for k, v in tensors.items()) or "none"
                raise ParameterError(
                    f"there must be as many inputs as targets, and some: got {sizes}, and {size}", self.where
                )

            def pick(ids: Any) -> tuple[Any, Any]:
                return {k: v[ids] for k, v in tensors.items()}, targets[ids]

        if seed is not None and self.world > 1 and batch % self.world:
            raise ParameterError(f"a batch of {batch} cannot be divided among {self.world} processes", self.where)

        def epoch(k: int) -> Iterator[Any]:
            g = None if seed is None else self.torch.Generator().manual_seed(hash_of(seed, k))
            order = self.torch.arange(size) if g is None else self.torch.randperm(size, generator=g)
            for begin in range(0, size, batch):
                ids = order[begin : begin + batch]
                own = ids if g is None else ids[self.rank :: self.world]
                yield *pick(own), own, len(ids)

        return Loader(epoch, -(-size // batch))

    def named(self, inputs: Any) -> Mapping[str, Any]:
        """Return the inputs of a batch, or of all samples, as a mapping of names to [samples, time, neurons].

        Raises
        ------
        ParameterError
            An input has other axes or no steps, or needs a name.
        """
        named = inputs if isinstance(inputs, Mapping) else {self.only(): inputs}
        for name, values in named.items():
            shape = getattr(values, "shape", None)
            if shape is None or len(shape) < 3:
                found = type(values).__name__ if shape is None else list(shape)
                raise ParameterError(f"inputs must be [samples, time, neurons], got {found} of '{name}'", self.where)
            if not shape[1]:
                raise ParameterError(f"inputs have no steps: got {list(shape)} of '{name}'", self.where)
        return named

    def only(self) -> str:
        """Return the one source that inputs without a name are given to.

        Raises
        ------
        ParameterError
            The network has none, or several.
        """
        graph = getattr(self.module, "graph", None)
        names = [] if graph is None else [p.name for p in graph.populations if p.schedules and not p.receptors]
        if len(names) != 1:
            raise ParameterError(
                f"the network has {len(names)} sources that spikes could be given to: give the inputs as a mapping, "
                "{'population': spikes}", self.where
            )  # fmt: skip
        return names[0]

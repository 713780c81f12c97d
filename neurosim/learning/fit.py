"""Training: a loop over plain PyTorch that stops and goes on, says what it does, and runs on several processes."""

from __future__ import annotations

import contextlib
import csv
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosim.errors import BackendMissingError, NeurosimError, ParameterError, caller

COLUMNS: tuple[str, ...] = ("epoch", "loss", "correct", "test_loss", "test_correct", "seconds")
"""What is known of an epoch, and written to a log."""


@dataclass
class History:
    """What came of training.

    Attributes
    ----------
    epochs : list of dict
        One for each: ``epoch``, ``loss``, ``seconds``; ``correct``, of the answers in training, where the loss has
        answers; ``test_loss`` and ``test_correct`` where there is test data.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, name: str) -> list[float]:
        return [epoch[name] for epoch in self.epochs if name in epoch]


def fit(
    module: Any,
    data: Any,
    loss: Callable[[Any, Any], Any],
    *,
    test: Any = None,
    epochs: int = 10,
    batch: int = 64,
    optimiser: Any = None,
    lr: float = 1e-3,
    schedule: Callable[[Any, int], Any] | None = None,
    regularisers: Sequence[Callable[[Any, Any], Any]] = (),
    truncate: int | None = None,
    clip: float | None = None,
    seed: int = 0,
    checkpoint: str | None = None,
    log: str | None = None,
    quiet: bool = False,
) -> History:
    """Train a network's module.

    Parameters
    ----------
    module : torch.nn.Module
        Of :meth:`neurosim.Network.to_torch`, or any that takes inputs as it does.
    data : pair, Dataset or DataLoader
        Inputs and targets. Inputs are [samples, time, neurons], for the one population or receptor that takes any, or a
        mapping of names to those; targets are [samples, ...]. A Dataset gives one of each, a DataLoader batches.
    loss : callable
        Takes the module's output and the targets: :class:`~neurosim.learning.RateLoss`,
        :class:`~neurosim.learning.FirstSpikeLoss`, :class:`~neurosim.learning.MembraneLoss`, or any function.
    test : like data, optional
        Looked at after every epoch, never trained on.
    epochs, batch : int
        How often, and how many samples at once. Under ``torchrun`` a batch is divided among the processes.
    optimiser : torch.optim.Optimizer or callable, optional
        One, or what makes one of the module; AdamW with the rate ``lr`` by default.
    schedule : callable, optional
        Takes the optimiser and the number of batches in all; returns a scheduler of torch's, which steps after each.
    regularisers : sequence of callable
        Take the output and the module; what they return is added to the loss.
    truncate : int, optional
        Backpropagation reaches so many steps back: time is cut into pieces, each with a loss and a step of its own.
    clip : float, optional
        The largest norm of the gradient.
    seed : int
        Of the order of samples, and of what is random in the network: each sample of each epoch has noise of its own.
    checkpoint : str, optional
        A file that is kept after every epoch, whole or not at all; training goes on from it if it is there, and ends
        where it would have ended without a stop, to the bit (the state of torch's generator, from which a DataLoader
        may draw, is part of it).
    log : str, optional
        A CSV file (``.csv``), or a folder for TensorBoard, if that is installed.
    quiet : bool
        Whether nothing is printed.

    Returns
    -------
    History

    Raises
    ------
    ParameterError
        Something does not fit together; or the loss is no finite number any more: the module is then as it was after
        the last whole epoch.
    """
    where = caller()
    torch = importlib.import_module("torch")
    _looked_at(torch, module, loss, regularisers, clip, lr, seed, schedule, where)
    for name, value in (
        ("epochs", epochs),
        ("batch", batch),
        *((("truncate", truncate),) if truncate is not None else ()),
    ):
        if not isinstance(value, int) or value < 1:
            raise ParameterError(f"{name} must be a whole number above 0, got {value!r}", where)
    run = _Run(torch, module, loss, tuple(regularisers), truncate, clip, where)
    run.noise = seed
    train = run.batches_of(data, batch, seed)
    found = None if test is None else run.batches_of(test, batch, None)
    made = _optimiser(torch, module, optimiser, lr, where)
    scheduler = None if schedule is None else schedule(made, epochs * len(train))
    settings = {"batch": batch, "seed": seed, "truncate": truncate}
    keeper = _Keeper(
        torch, None if checkpoint is None else os.fspath(checkpoint), module, made, scheduler, settings, where
    )
    history = History(keeper.load())
    keeper.remember()
    with _logger(None if log is None else os.fspath(log), history, run.rank, where) as write:
        for epoch in range(len(history.epochs), epochs):
            begun = time.perf_counter()
            row = {"epoch": float(epoch + 1)}
            try:
                row |= run.epoch(train(epoch), made, scheduler, epoch)
            except _Diverged as e:
                keeper.restore()
                raise ParameterError(
                    f"{e.what} in epoch {epoch + 1}, batch {e.batch + 1}: train with a smaller rate, or with clip=1.0. "
                    f"The module is as it was after epoch {epoch}", where
                ) from None  # fmt: skip
            if found is not None:
                row |= {f"test_{k}": v for k, v in run.look(found(0)).items()}
            row["seconds"] = time.perf_counter() - begun
            history.epochs.append(row)
            keeper.remember()
            keeper.save(history.epochs, run.rank)
            write(row)
            if not quiet and run.rank == 0:
                print(_line(row, epochs), file=sys.stderr, flush=True)
    return history


def _line(row: Mapping[str, float], epochs: int) -> str:
    parts = [f"epoch {row['epoch']:.0f} of {epochs}", f"loss {row['loss']:.4f}"]
    parts += [f"right {row['correct']:.2%}"] if "correct" in row else []
    parts += [f"test loss {row['test_loss']:.4f}"] if "test_loss" in row else []
    parts += [f"right {row['test_correct']:.2%}"] if "test_correct" in row else []
    return ", ".join([*parts, f"{row['seconds']:.1f} s"])


def _looked_at(
    torch: Any,
    module: Any,
    loss: Any,
    regularisers: Any,
    clip: Any,
    lr: Any,
    seed: Any,
    schedule: Any,
    where: str | None,
) -> None:
    """Complain of arguments of another kind."""
    if not isinstance(module, torch.nn.Module) or not hasattr(module, "device"):
        hint = "; IntegerTraining is trained by a loop of one's own" if hasattr(module, "mantissas") else ""
        raise ParameterError(f"a module of net.to_torch() is trained, got {type(module).__name__}{hint}", where)
    if getattr(module, "surrogate", True) is None:
        raise ParameterError("this module has no gradients: make it with a surrogate, as to_torch() does", where)
    if not any(p.requires_grad for p in module.parameters()):
        raise ParameterError("the module has no parameters that are trained (requires_grad)", where)
    if (
        isinstance(regularisers, (str, bytes))
        or not isinstance(regularisers, Sequence)
        or not all(map(callable, regularisers))
    ):
        raise ParameterError(f"regularisers are a list of functions of output and module, got {regularisers!r}", where)
    for name, value in (("loss", loss), ("schedule", schedule)):
        if not callable(value) and not (name == "schedule" and value is None):
            raise ParameterError(f"{name} must be a function, got {value!r}", where)
    for name, value in (("lr", lr), ("clip", clip)):
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
        if not good and not (name == "clip" and value is None):
            raise ParameterError(f"{name} must be a number above 0, got {value!r}", where)
    if not isinstance(seed, int) or seed < 0:
        raise ParameterError(f"seed must be a whole number, 0 or more; got {seed!r}", where)


def _optimiser(torch: Any, module: Any, given: Any, lr: float, where: str | None) -> Any:
    """Return the optimiser: AdamW, the given one, or what makes one of the module."""
    if given is None:
        return torch.optim.AdamW(module.parameters(), lr=lr)
    if isinstance(given, torch.optim.Optimizer):
        return given
    if isinstance(given, type) and issubclass(given, torch.optim.Optimizer):
        return given(module.parameters(), lr=lr)
    made = given(module) if callable(given) else None
    if not isinstance(made, torch.optim.Optimizer):
        raise ParameterError(
            f"optimiser must be one of torch.optim, or a function that makes one of the module; got {given!r}", where
        )
    return made


def _first(error: Exception) -> str:
    """Return the first line of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Diverged(Exception):
    def __init__(self, what: str, batch: int) -> None:
        self.what, self.batch = what, batch


class _Run:
    """One training: how a batch is taken."""

    def __init__(
        self, torch: Any, module: Any, loss: Any, regularisers: Any, truncate: Any, clip: Any, where: Any
    ) -> None:
        self.torch, self.module, self.loss, self.regularisers = torch, module, loss, regularisers
        self.truncate, self.clip, self.where, self.noise = truncate, clip, where, 0
        self.traces = tuple(getattr(loss, "traces", ()))
        graph = getattr(module, "graph", None)
        self.random = graph is not None and any(p.streams for p in graph.populations)
        self.rank, self.world = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            distributed = torch.distributed
            if not distributed.is_initialized():
                distributed.init_process_group("nccl" if module.device.type == "cuda" else "gloo")
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
            for tensor in (*module.parameters(), *module.buffers()):
                distributed.broadcast(tensor.data, 0)

    # -- data ---------------------------------------------------------------------------------------------------

    def batches_of(self, data: Any, batch: int, seed: int | None) -> Any:
        """Return what gives an epoch's batches, with the number of them as its length."""
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
                    yield inputs, targets, ids, self._joint(len(targets)) if seed is not None else len(targets)

            return _Loader(loaded, len(data))
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
                return tuple(collate([tuple(data[int(i)]) for i in ids])) if len(ids) else (None, ids)

        else:
            if not isinstance(data, tuple) or len(data) != 2:
                raise ParameterError("data must be a pair of inputs and targets, a Dataset or a DataLoader", self.where)
            inputs = data[0] if isinstance(data[0], Mapping) else {self._only(): data[0]}
            try:
                tensors = {k: self.torch.as_tensor(v) for k, v in inputs.items()}
                targets = self.torch.as_tensor(data[1])
                _ = [len(v) for v in (*tensors.values(), targets)]  # numbers by themselves have no length
            except (TypeError, ValueError, RuntimeError) as e:
                raise ParameterError(f"inputs and targets must be arrays of numbers: {_first(e)}", self.where) from None
            if self.truncate is not None and len({v.shape[1] for v in tensors.values() if v.ndim > 1}) > 1:
                found = ", ".join(f"{v.shape[1]} of '{k}'" for k, v in tensors.items())
                raise ParameterError(f"inputs must have as many steps, to be cut in time: got {found}", self.where)
            size = len(targets)
            if not size or any(len(v) != size for v in tensors.values()):
                sizes = ", ".join(f"{len(v)} of '{k}'" for k, v in tensors.items())
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

        return _Loader(epoch, -(-size // batch))

    def _only(self) -> str:
        graph = getattr(self.module, "graph", None)
        names = [] if graph is None else [p.name for p in graph.populations if p.schedules and not p.receptors]
        if len(names) != 1:
            raise ParameterError(
                f"the network has {len(names)} sources that spikes could be given to: give the inputs as a mapping, "
                "{'population': spikes}", self.where
            )  # fmt: skip
        return names[0]

    # -- steps --------------------------------------------------------------------------------------------------

    def pieces(self, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the inputs, cut in time."""
        if not isinstance(inputs, Mapping):
            inputs = {self._only(): inputs}
        if self.truncate is None:
            return [dict(inputs)]
        length = next(iter(inputs.values())).shape[1]
        return [{k: v[:, at : at + self.truncate] for k, v in inputs.items()} for at in range(0, length, self.truncate)]

    def epoch(self, batches: Any, optimiser: Any, scheduler: Any, epoch: int) -> dict[str, float]:
        """Train on all batches; return the mean loss and how many answers were right."""
        totals = _Totals()
        self.module.train()
        for k, (inputs, targets, ids, size) in enumerate(batches):
            state = None
            for piece in self.pieces(inputs) if len(ids) else [{}]:
                optimiser.zero_grad()
                what = None
                if len(ids):
                    try:
                        output, value, right = self.taken(piece, targets, ids, epoch, state)
                        (value * (len(ids) * self.world / size)).backward()  # shares of the last batch may be unequal
                        state, number = output.state.detach(), float(value.detach())
                        what = None if math.isfinite(number) else f"the loss is {number}"
                        totals.add(number, right, len(ids))
                    except ParameterError:
                        if self.finite():
                            raise
                        what = "the parameters are no finite numbers any more"
                what = self._agreed(what)
                if what is not None:
                    raise _Diverged(what, k)
                if self.clip is not None:
                    self.torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
                optimiser.step()
                if not self.finite():
                    raise _Diverged("the parameters are no finite numbers any more", k)
            if scheduler is not None:
                scheduler.step()
        return self._gathered(totals)

    def taken(self, piece: Any, targets: Any, ids: Any, epoch: int, state: Any = None) -> tuple[Any, Any, Any]:
        """Return the output of a batch, its loss with what the regularisers add, and which answers are right."""
        targets, seeds = targets.to(self.module.device), None
        if self.random:
            seeds = [hash_of(hash_of(self.noise, epoch), int(i)) for i in ids]
        output = self.module(piece, state=state, traces=self.traces, seeds=seeds)
        try:
            value = self.loss(output, targets)
            right = self.loss.correct(output, targets) if hasattr(self.loss, "correct") else None
        except NeurosimError:
            raise
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError) as e:
            kind = f"{targets.dtype} {list(targets.shape)}"
            raise ParameterError(f"the loss cannot be computed of targets {kind}: {_first(e)}", self.where) from None
        for regulariser in self.regularisers:
            value = value + regulariser(output, self.module)
        if not self.torch.is_tensor(value) or value.numel() != 1:
            found = f"a tensor of shape {list(value.shape)}" if self.torch.is_tensor(value) else type(value).__name__
            raise ParameterError(f"the loss must be one number, as a tensor; got {found}", self.where)
        if self.torch.is_grad_enabled() and not value.requires_grad:
            raise ParameterError("the loss does not depend on anything that is trained", self.where)
        return output, value, right

    def look(self, batches: Any) -> dict[str, float]:
        """Return the same without training."""
        totals = _Totals()
        self.module.eval()
        with self.torch.no_grad():
            for inputs, targets, ids, _ in batches:
                whole = inputs if isinstance(inputs, Mapping) else {self._only(): inputs}
                _, value, right = self.taken(whole, targets, ids, -1)
                totals.add(float(value), right, len(ids))
        self.module.train()
        return totals.means()

    def finite(self) -> bool:
        """Tell whether all parameters are."""
        return all(bool(self.torch.isfinite(p).all()) for p in self.module.parameters())

    def _joint(self, size: int) -> int:
        """Return how many samples all processes have in a batch."""
        if self.world == 1:
            return size
        total = self.torch.tensor(size, device=self.module.device)
        self.torch.distributed.all_reduce(total)
        return int(total)

    def _agreed(self, what: str | None) -> str | None:
        """Add the gradients of all processes; return what is wrong, in this one or another."""
        if self.world == 1:
            return what
        torch = self.torch
        wrong = torch.tensor(float(what is not None), device=self.module.device)
        torch.distributed.all_reduce(wrong)
        for parameter in self.module.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.world
        return what or ("the loss is no finite number in another process" if wrong else None)

    def _gathered(self, totals: _Totals) -> dict[str, float]:
        if self.world > 1:
            shared = self.torch.tensor(
                [totals.loss, totals.right, totals.samples, totals.answers], dtype=self.torch.float64
            )
            self.torch.distributed.all_reduce(shared)
            totals.loss, totals.right, totals.samples, totals.answers = shared.tolist()
        return totals.means()


@dataclass
class _Totals:
    loss: float = 0.0
    right: float = 0.0
    samples: float = 0.0
    answers: float = 0.0

    def add(self, loss: float, right: Any, samples: int) -> None:
        self.loss += loss * samples
        self.samples += samples
        if right is not None:
            self.right += float(right.double().sum())
            self.answers += samples

    def means(self) -> dict[str, float]:
        out = {"loss": self.loss / max(self.samples, 1)}
        return out | ({"correct": self.right / self.answers} if self.answers else {})


@dataclass(frozen=True)
class _Loader:
    epoch: Callable[[int], Iterator[Any]]
    length: int

    def __call__(self, epoch: int) -> Iterator[Any]:
        return self.epoch(epoch)

    def __len__(self) -> int:
        return self.length


def hash_of(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's order: the same after a stop."""
    return (seed * 1_000_003 + epoch) % 2**63


# -- what is kept -----------------------------------------------------------------------------------------------------


class _Keeper:
    """Keeps the state of training: in memory after each epoch, and in a file where one is asked for."""

    def __init__(
        self, torch: Any, path: str | None, module: Any, optimiser: Any, scheduler: Any, settings: Any, where: Any
    ) -> None:
        self.torch, self.path, self.settings, self.where = torch, path, settings, where
        self.parts = {"module": module, "optimiser": optimiser}
        if scheduler is not None:
            self.parts["scheduler"] = scheduler
        self.last: dict[str, Any] = {}

    def load(self) -> list[dict[str, float]]:
        """Take the state of the file, if there is one; return its epochs."""
        if self.path is None or not os.path.exists(self.path):
            return []
        self.remember()
        try:
            state = self.torch.load(self.path, weights_only=True)
            settings, epochs, random = state["settings"], list(state["epochs"]), state["random"]
            if settings == self.settings:
                for name, part in self.parts.items():
                    part.load_state_dict(state[name])
                self.torch.set_rng_state(random)
        except Exception as e:  # what torch, pickle and zip files raise of a file that is none, and parts of states
            self.restore()
            raise ParameterError(
                f"the checkpoint '{self.path}' is not one of this training, or is damaged ({_first(e)[:120]}): remove "
                "it to begin anew", self.where
            ) from None  # fmt: skip
        if settings != self.settings:
            raise ParameterError(
                f"the checkpoint '{self.path}' was written with {settings}, and this training has {self.settings}: "
                "remove it to begin anew", self.where
            )  # fmt: skip
        return epochs

    def remember(self) -> None:
        """Keep the module's state in memory."""
        self.last = {k: v.detach().clone() for k, v in self.parts["module"].state_dict().items()}

    def restore(self) -> None:
        """Bring the module back to where it was."""
        self.parts["module"].load_state_dict(self.last)

    def save(self, epochs: list[dict[str, float]], rank: int) -> None:
        """Write the file, whole or not at all."""
        if self.path is None or rank:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        # of torch's own generator: a DataLoader may draw its order from it
        state |= {"epochs": epochs, "settings": self.settings, "random": self.torch.get_rng_state()}
        part = f"{self.path}.part"
        try:
            self.torch.save(state, part)
            os.replace(part, self.path)
        except (OSError, RuntimeError) as e:
            reason = getattr(e, "strerror", None) or _first(e)
            raise ParameterError(f"the checkpoint '{self.path}' cannot be written: {reason}", self.where) from None


@contextlib.contextmanager
def _logger(
    path: str | None, history: History, rank: int, where: str | None
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Give what writes a row."""
    if path is None or rank:
        yield lambda row: None
    elif path.endswith(".csv"):
        try:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()

                def write(row: dict[str, float]) -> None:
                    writer.writerow({k: f"{v:.9g}" for k, v in row.items()})
                    file.flush()

                for row in history.epochs:
                    write(row)
                yield write
        except OSError as e:
            raise ParameterError(f"the log '{path}' cannot be written: {e.strerror}", where) from None
    else:
        try:
            board = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            raise BackendMissingError(
                "TensorBoard is not installed: pip install tensorboard, or give a file that ends in .csv", where
            ) from None
        with board.SummaryWriter(path) as out:

            def show(row: dict[str, float]) -> None:
                for name, value in row.items():
                    if name != "epoch":
                        out.add_scalar(name, value, int(row["epoch"]))

            yield show

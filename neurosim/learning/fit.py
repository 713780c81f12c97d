"""Training: a loop over plain PyTorch that stops and goes on, says what it does, and runs on several processes."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosim.errors import NeurosimError, ParameterError, caller
from neurosim.learning.batches import Data, hash_of
from neurosim.learning.kept import Keeper, first_line, logger
from neurosim.learning.online import OTTT, EProp, online_rule


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
    gradient: str | EProp | OTTT = "bptt",
    truncate: int | None = None,
    clip: float | None = None,
    mixed: bool = False,
    seed: int = 0,
    checkpoint: str | None = None,
    log: str | None = None,
    quiet: bool = False,
) -> History:
    """Train a network's module.

    Parameters
    ----------
    module : torch.nn.Module
        Of :meth:`neurosim.Network.to_torch`, an :class:`~neurosim.hardware.training.IntegerTraining`, or any that takes
        inputs as they do.
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
    gradient : {"bptt", "eprop", "ottt"}, EProp or OTTT
        How it is found: by backpropagation through time; or forward, by an online rule, whose memory does not grow with
        the number of steps. Then the loss is taken of every step by itself, and what counts (in training: ``loss`` and
        ``correct`` of the history as well) is the mean over steps. What has a true attribute ``whole_run``, such as
        FirstSpikeLoss, has no meaning for a single step and is refused.
    truncate : int, optional
        Backpropagation reaches so many steps back: time is cut into pieces, each with a loss and a step of its own.
    clip : float, optional
        The largest norm of the gradient.
    mixed : bool
        Whether products of spikes and weights, forward and backward, are computed in bfloat16 (torch's ``autocast``).
        Parameters, states, sums of several projections, sparse projections and test data keep single precision.
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
    UnsupportedError
        An online rule does not cover something in the network; the error says what.
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
    rule = online_rule(gradient, where)
    if rule is not None:
        _by_steps(rule, loss, regularisers, where)
    if not isinstance(mixed, bool):
        raise ParameterError(f"mixed must be True or False, got {mixed!r}", where)
    if mixed and rule is not None:
        raise ParameterError(f"mixed is for gradient='bptt': traces of {rule.name} keep the module's precision", where)
    if mixed and any(p.dtype == torch.float64 for p in module.parameters()):
        raise ParameterError("mixed is for modules of net.to_torch(precision='single'); this one is in double", where)
    if rule is not None and truncate is not None:
        raise ParameterError(f"truncate is for gradient='bptt': {rule.name} looks back as far as its traces do", where)
    if rule is not None and not hasattr(module, "online"):
        raise ParameterError(f"{rule.name} trains a module of net.to_torch(), got {type(module).__name__}", where)
    run = _Run(torch, module, loss, tuple(regularisers), truncate, clip, rule, mixed, seed, where)
    return _trained(run, data, test, epochs, batch, (optimiser, lr, schedule), rule, checkpoint, log, quiet)


def _trained(
    run: _Run, data: Any, test: Any, epochs: int, batch: int, how: tuple[Any, float, Any], rule: Any,
    checkpoint: Any, log: Any, quiet: bool,
) -> History:  # fmt: skip
    """Go through the epochs that are left."""
    (optimiser, lr, schedule), where, torch = how, run.where, run.torch
    train = run.data.batches_of(data, batch, run.noise)
    found = None if test is None else run.data.batches_of(test, batch, None)
    made = _optimiser(torch, run.module, optimiser, lr, where)
    scheduler = None if schedule is None else schedule(made, epochs * len(train))
    settings = {"batch": batch, "seed": run.noise, "truncate": run.truncate}
    settings |= ({} if rule is None else {"gradient": repr(rule)}) | ({"mixed": True} if run.mixed else {})
    keeper = Keeper(
        torch, None if checkpoint is None else os.fspath(checkpoint), run.module, made, scheduler, run.learner,
        settings, where,
    )  # fmt: skip
    history = History(keeper.load())
    keeper.remember()
    with logger(None if log is None else os.fspath(log), history, run.rank, where) as write:
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
        raise ParameterError(f"a module of net.to_torch() is trained, got {type(module).__name__}", where)
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


def _by_steps(rule: EProp | OTTT, loss: Any, regularisers: Sequence[Any], where: str | None) -> None:
    """Complain of what cannot be said of one step, which is all that an online rule has at once."""
    for what, instead in ((loss, "use RateLoss or MembraneLoss, or "), *((r, "train with ") for r in regularisers)):
        if getattr(what, "whole_run", False):
            name = getattr(what, "__name__", type(what).__name__)
            raise ParameterError(
                f"{name} needs all steps at once, and {rule.name} has one at a time: {instead}gradient='bptt'", where
            )


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


def _leave(distributed: Any) -> None:
    """Leave the other processes, whose threads would abort this one where it ends without.

    Not before it ends: another training in the same script would look for the others where they were, and wait for
    ever.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


class _Diverged(Exception):
    def __init__(self, what: str, batch: int) -> None:
        self.what, self.batch = what, batch


class _Run:
    """One training: how a batch is taken."""

    def __init__(
        self, torch: Any, module: Any, loss: Any, regularisers: Any, truncate: Any, clip: Any, rule: Any, mixed: bool,
        noise: int, where: Any,
    ) -> None:  # fmt: skip
        self.torch, self.module, self.loss, self.regularisers = torch, module, loss, regularisers
        self.truncate, self.clip, self.where, self.noise, self.mixed = truncate, clip, where, noise, mixed
        self.traces = tuple(getattr(loss, "traces", ()))
        graph = getattr(module, "graph", None)
        self.random = graph is not None and any(p.streams for p in graph.populations)
        self.every = None if rule is None else rule.every
        self.rank, self.world = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            distributed = torch.distributed
            if not distributed.is_initialized():
                distributed.init_process_group("nccl" if module.device.type == "cuda" else "gloo")
                atexit.register(_leave, distributed)
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
            for tensor in (*module.parameters(), *module.buffers()):
                distributed.broadcast(tensor.data, 0)
        self.learner = None if rule is None else rule.learner(module)  # of the weights that all processes begin with
        self.data = Data(torch, module, truncate, self.rank, self.world, self._joint, where)

    def rounds(self, inputs: Any, targets: Any, ids: Any, size: int, epoch: int) -> Iterator[Callable[[], Any]]:
        """Yield what finds gradients, once before each step of the optimiser: functions that return the loss and which
        answers were right."""
        inputs = self.data.named(inputs)
        targets, share = targets.to(self.module.device), len(ids) * self.world / size  # the last may be unequal
        seeds = [hash_of(hash_of(self.noise, epoch), int(i)) for i in ids] if self.random else None
        if self.learner is not None:
            yield from self._ahead(self.learner, inputs, targets, seeds, share)
            return
        length = next((v.shape[1] for v in inputs.values()), 0)  # without inputs the module knows how long it runs
        state = None
        for at in range(0, length, self.truncate or length) if length else [0]:
            piece = {k: v[:, at : at + self.truncate] for k, v in inputs.items()} if self.truncate else dict(inputs)

            def take(piece: dict[str, Any] = piece) -> tuple[float, Any]:
                nonlocal state
                output, value, right = self.taken(piece, targets, seeds, state)
                (value * share).backward()
                state = output.state.detach()
                return float(value.detach()), right

            yield take

    def _ahead(
        self, learner: Any, inputs: Mapping[str, Any], targets: Any, seeds: Any, share: float
    ) -> Iterator[Callable[[], Any]]:
        """Yield the same of an online rule: the loss is the mean of that of the steps since the last."""
        lengths = {k: v.shape[1] for k, v in inputs.items()}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{n} of '{k}'" for k, n in lengths.items()) or "none"
            raise ParameterError(f"inputs must have as many steps, for an online rule: got {found}", self.where)
        length = next(iter(lengths.values()))
        every = self.every or length
        for begin in range(0, length, every):

            def take(begin: int = begin, end: int = min(begin + every, length)) -> tuple[float, Any]:
                if begin == 0:
                    learner.begin(len(targets), seeds)
                learner.changed()
                total, answers = 0.0, None  # sums: a list would grow with the steps

                def judged(output: Any) -> Any:
                    nonlocal answers
                    value, right = self.judged(output, targets)
                    if right is not None:
                        answers = right.double() if answers is None else answers + right.double()
                    return value

                for n in range(begin, end):
                    now = {k: v[:, n] for k, v in inputs.items()}
                    total += float(learner.step(now, judged, self.traces, share / (end - begin)))
                if end == length:
                    if not learner.heard:
                        raise ParameterError("the loss does not depend on anything that is trained", self.where)
                    learner.finish()
                return total / (end - begin), None if answers is None else answers / (end - begin)

            yield take

    def epoch(self, batches: Any, optimiser: Any, scheduler: Any, epoch: int) -> dict[str, float]:
        """Train on all batches; return the mean loss and how many answers were right."""
        totals = _Totals()
        self.module.train()
        for k, (inputs, targets, ids, size) in enumerate(batches):
            for take in self.rounds(inputs, targets, ids, size, epoch):
                optimiser.zero_grad()
                what = None
                if len(ids):
                    try:
                        number, right = take()
                        what = None if math.isfinite(number) else f"the loss is {number}"
                        totals.add(number, right, len(ids))
                    except ParameterError:
                        if self.finite():
                            raise
                        what = "the parameters are no finite numbers any more"
                elif self.learner is not None:  # adaptive feedback follows the weights without samples too
                    self.learner.changed()
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

    def taken(self, piece: Any, targets: Any, seeds: Any, state: Any = None) -> tuple[Any, Any, Any]:
        """Return the output of a batch, its loss with what the regularisers add, and which answers are right."""
        with self.precision():
            output = self.module(piece, state=state, traces=self.traces, seeds=seeds)
            value, right = self.judged(output, targets)
        if self.torch.is_grad_enabled() and not value.requires_grad:
            raise ParameterError("the loss does not depend on anything that is trained", self.where)
        return output, value, right

    def judged(self, output: Any, targets: Any) -> tuple[Any, Any]:
        """Return the loss of an output, and which answers are right."""
        try:
            value = self.loss(output, targets)
            right = self.loss.correct(output, targets) if hasattr(self.loss, "correct") else None
        except NeurosimError:
            raise
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError) as e:
            kind = f"{targets.dtype} {list(targets.shape)}"
            raise ParameterError(
                f"the loss cannot be computed of targets {kind}: {first_line(e)}", self.where
            ) from None
        for regulariser in self.regularisers:
            value = value + regulariser(output, self.module)
        if not self.torch.is_tensor(value) or value.numel() != 1:
            found = f"a tensor of shape {list(value.shape)}" if self.torch.is_tensor(value) else type(value).__name__
            raise ParameterError(f"the loss must be one number, as a tensor; got {found}", self.where)
        return value, right

    def precision(self) -> Any:
        """Return the context in which products are computed: without gradients, that is of test data, the module's."""
        if not self.mixed or not self.torch.is_grad_enabled():
            return contextlib.nullcontext()
        return self.torch.autocast(self.module.device.type, self.torch.bfloat16)

    def look(self, batches: Any) -> dict[str, float]:
        """Return the same without training."""
        totals = _Totals()
        self.module.eval()
        with self.torch.no_grad():
            for inputs, targets, ids, _ in batches:
                whole = self.data.named(inputs)
                seeds = [hash_of(hash_of(self.noise, -1), int(i)) for i in ids] if self.random else None
                _, value, right = self.taken(whole, targets.to(self.module.device), seeds)
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
            parts = [totals.loss, totals.right, totals.samples, totals.answers]
            shared = self.torch.tensor(parts, dtype=self.torch.float64, device=self.module.device)
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

"""What is kept of a training: its state after each epoch, in memory and in a file, and a log."""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from neurosim.errors import BackendMissingError, ParameterError

if TYPE_CHECKING:
    from neurosim.learning.fit import History

COLUMNS: tuple[str, ...] = ("epoch", "loss", "correct", "test_loss", "test_correct", "seconds")
"""What is known of an epoch, and written to a log."""


def first_line(error: Exception) -> str:
    """Return the first line of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Keeper:
    """Keeps the state of training: in memory after each epoch, and in a file where one is asked for."""

    def __init__(
        self, torch: Any, path: str | None, module: Any, optimiser: Any, scheduler: Any, learner: Any, settings: Any,
        where: Any,
    ) -> None:  # fmt: skip
        self.torch, self.path, self.settings, self.where = torch, path, settings, where
        self.parts = {"module": module, "optimiser": optimiser}
        if scheduler is not None:
            self.parts["scheduler"] = scheduler
        if learner is not None:
            self.parts["online"] = learner
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
                f"the checkpoint '{self.path}' is not one of this training, or is damaged ({first_line(e)[:120]}): "
                "remove it to begin anew", self.where
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
            reason = getattr(e, "strerror", None) or first_line(e)
            raise ParameterError(f"the checkpoint '{self.path}' cannot be written: {reason}", self.where) from None


@contextlib.contextmanager
def logger(
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

"""Where a batch of runs is, between two stretches of steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class State:
    """Where a batch of runs is.

    Attributes
    ----------
    step : int
        Steps done.
    batch : int
        Number of runs.
    variables : dict
        Population -> variable -> [batch, neurons].
    pending : dict
        (population, receptor) -> what is on its way, one entry per step to come: [batch, neurons], or None for
        nothing.
    """

    step: int
    batch: int
    variables: dict[str, dict[str, Tensor]]
    pending: dict[tuple[str, str], list[Tensor | None]]

    def detach(self) -> State:
        """Return it without its history: what truncated backpropagation through time goes on from."""
        variables = {p: {k: v.detach() for k, v in vs.items()} for p, vs in self.variables.items()}
        pending = {k: [None if t is None else t.detach() for t in ts] for k, ts in self.pending.items()}
        return State(self.step, self.batch, variables, pending)

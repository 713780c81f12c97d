"""What happens in a cell besides its spike: a condition with a reaction of its own, such as a dendritic spike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neurosim.errors import ParameterError, caller
from neurosim.ir.expr import is_condition
from neurosim.units import Quantity

if TYPE_CHECKING:
    from neurosim.ir.expr import Expr
    from neurosim.lang.parser import Statement


class Event:
    """A condition on the variables of a cell, and what happens when it holds.

    In the equations, conditions and statements of the cell, the event's name stands for the number of steps since it
    last happened: 1 in the step after it, 2^24 if it never has (or no one can tell any more). So
    ``where(na <= in_steps(1*ms), 1, 0)`` is 1 during the millisecond that follows. The same number is what
    ``net.record(population, "na")`` samples: 0 in the step of an event.

    Parameters
    ----------
    condition : str
        Tested in every step after integration and arrivals, on the new values, before anything reacts.
    reaction : str, optional
        Statements executed in order where the condition holds; after the reset of a spike in the same step, and after
        the reactions of the events declared before.
    refractory : str or Quantity, optional
        For how long after an event the condition is not tested: a time or a condition, as for the spike.
    edge : bool
        Happens only where the condition becomes true (it was false in the step before).
    """

    def __init__(
        self, condition: str, reaction: str | None = None, *, refractory: Any = None, edge: bool = False
    ) -> None:
        self.where = caller()
        for what, text in (("condition", condition), ("reaction", reaction or "")):
            if not isinstance(text, str):
                raise ParameterError(f"the {what} of an event is text, such as 'v >= v_th'; got {text!r}", self.where)
        if refractory is not None and not isinstance(refractory, (str, Quantity)):
            raise ParameterError(
                "the refractory period of an event is a time, the name of one, or a condition such as 'v > 0*mV', got "
                f"{refractory!r}", self.where,
            )
        self.condition, self.reaction, self.edge = condition, reaction or "", bool(edge)
        self.refractory: str | Quantity | None = refractory

    def texts(self) -> tuple[str, ...]:
        """Return all that was written as text."""
        return (self.condition, self.reaction, *([self.refractory] if isinstance(self.refractory, str) else []))

    def __repr__(self) -> str:
        more = "" if self.refractory is None else f", refractory={str(self.refractory)!r}"
        return f"Event({self.condition!r}, {self.reaction!r}{more}{', edge=True' * self.edge})"


@dataclass(frozen=True)
class ParsedEvent:
    """An event as its cell read it."""

    condition: Expr
    reaction: tuple[Statement, ...]
    refractory: Expr | None
    refractory_text: str
    edge: bool
    event: Event = field(compare=False)

    def text(self) -> str:
        """Return one line for ``describe()``."""
        out = f"when {self.event.condition}{' (where it becomes true)' * self.edge}"
        if self.reaction:
            out += f": {'; '.join(st.text for st in self.reaction)}"
        if self.refractory is None:
            return out
        return f"{out}, refractory {'while' if is_condition(self.refractory) else 'for'} {self.refractory_text}"


def check_events(given: Any, whose: str, where: str | None) -> dict[str, Event]:
    """Return events by name; refuse anything else."""
    out = dict(given or {})
    for key, event in out.items():
        if not isinstance(event, Event):
            raise ParameterError(
                f"event '{key}' of {whose} must be an Event, such as Event('v >= v_th', refractory=5*ms); "
                f"got {event!r}",
                where,
            )
    return out


__all__ = ["Event", "ParsedEvent", "check_events"]

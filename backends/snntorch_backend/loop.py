"""What the fused loops of a population are printed from: its step, the adjoint of that, and what they read and leave.

A fused loop carries a population through a stretch of steps in one kernel. It takes what arrives as a whole, so it
serves populations whose input does not depend on their own spikes of the same stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.ir.adjoint import adjoint, bar
from neurosim.ir.graph import PopulationNode
from neurosim.ir.program import Builder, Program

GIVEN = ("inbox", "scheduled", "table", "uniform", "normal", "poisson")
"""Leaves that differ from step to step and are made before the loop, [batch, time, neurons]."""

Leaf = tuple[str, str]
"""Operation and attribute of a leaf."""


@dataclass(frozen=True)
class Loop:
    """A population's steps.

    Attributes
    ----------
    program, back : Program
        One step; its adjoint, or None where nothing has a derivative.
    carry : Program
        The step without its spikes: what is computed again on the way back.
    states : tuple of str
        State variables, in order.
    inputs : tuple of Leaf
        What is read from arrays [batch, time, neurons]; ``scheduled`` as 0 or 1.
    rows, scalars : tuple of str
        Parameters with one value per neuron, and with one.
    event : str or None
        What is emitted.
    trained : tuple of str
        Parameters after which there are derivatives.
    """

    program: Program
    carry: Program
    back: Program | None
    states: tuple[str, ...]
    inputs: tuple[Leaf, ...]
    rows: tuple[str, ...]
    scalars: tuple[str, ...]
    event: str | None
    trained: tuple[str, ...]

    @property
    def arrivals(self) -> tuple[str, ...]:
        """The receptors, whose arrivals have derivatives."""
        return tuple(attr for op, attr in self.inputs if op == "inbox")


def refusal(pop: PopulationNode) -> str | None:
    """Return why a population's steps cannot be fused, or None."""
    assert pop.program is not None
    kinds = {v.kind for v in pop.states}
    if kinds - {"f"}:
        return "a state variable is no float"
    if any(ins.op == "poisson_of" for ins in pop.program.instrs):
        return "a Poisson count has a mean that is computed in the step"
    if len(pop.program.emits()) > 1:
        return "it emits several events"
    return None


def loop_of(
    pop: PopulationNode,
    rows: tuple[str, ...],
    slope: Program | None,
    detach_reset: bool = True,
    trained: tuple[str, ...] = (),
    spikes: bool = True,
) -> Loop:
    """Return the loop of a population.

    Parameters
    ----------
    pop : PopulationNode
        One that :func:`refusal` has nothing against.
    rows : tuple of str
        Those of its parameters that have one value per neuron.
    slope : Program, optional
        Derivative of the surrogate; None: there is no way back.
    detach_reset, spikes
        As in :func:`neurosim.ir.adjoint.adjoint`.
    trained : tuple of str
        Parameters after which derivatives are wanted.
    """
    program = pop.program
    assert program is not None
    kinds = {v.name: v.kind for v in pop.states}
    back = None
    if slope is not None:
        back = adjoint(program, kinds, slope, detach_reset, trained, spikes)
    given = list(dict.fromkeys((ins.op, ins.attr) for ins in program.instrs if ins.op in GIVEN))
    used = list(program.uses("param"))
    if back is not None:
        used += [p for p in back.uses("param") if p not in used]
    emits = program.emits()
    return Loop(
        program=program,
        carry=_without_events(program),
        back=back,
        states=tuple(kinds),
        inputs=tuple(sorted(given, key=lambda leaf: leaf[0] != "inbox")),
        rows=tuple(p for p in used if p in rows),
        scalars=tuple(p for p in used if p not in rows),
        event=next(iter(emits), None),
        trained=tuple(p for p in trained if back is not None and bar("param", p) in back.stores()),
    )


def _without_events(program: Program) -> Program:
    b = Builder()
    place: list[int] = []
    for ins in program.instrs:
        b.phase = ins.phase
        place.append(-1 if ins.op == "emit" else b.emit(ins.op, *(place[a] for a in ins.args), attr=ins.attr))
    return b.build()

"""What arrivals move: the state variables of a cell that they reach, and whether they do so linearly."""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.ir.graph import PopulationNode
from neurosim.ir.ops import DETECT

_LINEAR = ("add", "sub", "neg", "flush", "store", "select", "load", "inbox")
_COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")


@dataclass(frozen=True)
class Cone:
    """What arrivals move in a population.

    Attributes
    ----------
    variables : tuple of str
        State variables that have a derivative after what arrives, or has arrived, other than by the test at the
        threshold; in the order of the population's.
    bent : str or None
        What keeps a step from being linear in them, the same way in every step, but for that test and what follows
        from it; None where it is.
    """

    variables: tuple[str, ...]
    bent: str | None


def cone_of(pop: PopulationNode, resets: bool = False) -> Cone:
    """Return what arrivals move in a population; ``resets``: also by a reset whose condition has a derivative."""
    assert pop.program is not None
    instrs, kinds = pop.program.instrs, pop.program.types({v.name: v.kind for v in pop.states})
    reached: set[str] = set()
    while True:
        live: list[bool] = []
        tests: list[bool] = []  # conditions that have a derivative: the threshold's, and what they join
        for k, ins in enumerate(instrs):
            args = ins.args[1:] if ins.op == "select" else ins.args  # a condition has none, but for those
            moved = ins.op == "inbox" or (ins.op == "load" and ins.attr in reached) or any(live[a] for a in args)
            tested = ins.op in _COMPARE and ins.phase == DETECT and moved
            tests.append(resets and (tested or (kinds[k] == "b" and any(tests[a] for a in ins.args))))
            moved = moved or (ins.op == "select" and tests[ins.args[0]])
            live.append(moved and kinds[k] == "f")
        found = {ins.attr for k, ins in enumerate(instrs) if ins.op == "store" and live[k]}
        if found <= reached:
            break
        reached |= found
    bent, fixed = None, _fixed(pop)
    for k, ins in enumerate(instrs):
        moved = [live[a] for a in ins.args]
        if ins.op in _COMPARE and any(moved) and ins.phase != DETECT:
            bent = "a comparison before the threshold's"
        elif live[k] and ins.op not in _LINEAR:
            others = [fixed[a] for a, m in zip(ins.args, moved, strict=True) if not m]
            fine = len(others) == 1 and all(others) and (ins.op == "mul" or (ins.op == "div" and not moved[1]))
            bent = bent if fine else f"the operation '{ins.op}'"
    return Cone(tuple(v.name for v in pop.states if v.name in reached), bent)


def _fixed(pop: PopulationNode) -> list[bool]:
    """Return which values of a step are the same in all steps: what is made of parameters and literals."""
    assert pop.program is not None
    out: list[bool] = []
    for ins in pop.program.instrs:
        out.append(ins.op in ("const", "param") or (bool(ins.args) and all(out[a] for a in ins.args)))
    return out

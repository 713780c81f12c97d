"""Programs as Brian2 abstract code: one statement per instruction, in its order.

Values are doubles, conditions Brian2's booleans; names say what they are: ``v12`` is the value of instruction 12,
``s0_v`` a state variable, ``p3_tau`` a parameter, ``in1_exc`` an inbox. All state is read first and written last, so a
statement never sees what another one has stored. Everything that may differ between two networks with the same
programs is a variable, never a literal: code that was compiled for one serves the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosim.backends.brian2_backend.functions import COUNT, PREFIX, SCHEDULE, TABLE
from neurosim.errors import VerifyError
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.graph import LinkNode, PlasticityNode
from neurosim.ir.ops import EFFECTS, OPS, RANDOM
from neurosim.ir.program import Program

STEP, FIRED, SEEN, HORIZON = "ns_n", "fired", "ns_seen", "ns_horizon"
"""Names in Brian2: the step, the spike flag, the first fault seen, how many steps a standalone program runs for."""


@dataclass(frozen=True)
class Printed:
    """A program in Brian2's language.

    Attributes
    ----------
    code : str
        Abstract code of one step.
    states : dict
        State variable -> its name in the code.
    slots : dict
        What is constant, ``(kind, key)`` -> its name: ``param``, ``dt``, ``index``, ``key0`` and ``key1`` of a stream,
        ``table``, ``schedule`` and ``poisson`` (where it starts in the data), ``limit`` of a receptor.
    inboxes : dict
        Receptor -> its name.
    spikes : bool
        Whether the program can spike.
    """

    code: str
    states: dict[str, str]
    slots: dict[tuple[str, str], str] = field(default_factory=dict)
    inboxes: dict[str, str] = field(default_factory=dict)
    spikes: bool = False


def literal(value: float) -> str:
    """Return the text of a number; what is not finite comes from a division that gives it."""
    if math.isnan(value):
        return f"{PREFIX}div(0.0, 0.0)"
    if math.isinf(value):
        return f"{PREFIX}div({'1.0' if value > 0 else '(-1.0)'}, 0.0)"
    return f"({value!r})" if repr(value).startswith("-") else repr(value)


def _infix(symbol: str) -> Callable[[Sequence[str]], str]:
    return lambda a: f"{a[0]} {symbol} {a[1]}"


def _called(name: str) -> Callable[[Sequence[str]], str]:
    return lambda a: f"{PREFIX}{name}({', '.join(a)})"


ROWS: dict[str, Callable[[Sequence[str]], str]] = {
    "add": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "neg": lambda a: f"-{a[0]}",
    "lt": _infix("<"),
    "le": _infix("<="),
    "gt": _infix(">"),
    "ge": _infix(">="),
    "eq": _infix("=="),
    "ne": _infix("!="),
    "and": _infix("and"),
    "or": _infix("or"),
    "not": lambda a: f"not {a[0]}",
    **{name: _called(name) for name in ("div", "abs", "min", "max", "sqrt", "floor", "rint", "flush", "pow2",
                                        "exponent", "mantissa", *FUNCTIONS)},
}  # fmt: skip
"""Operation -> texts of its arguments -> text of its value; what is not here has a row of its own below."""

LEAVES = frozenset(("const", "param", "load", "inbox", "pre", "post", "since", "step", "time", "index", "scheduled",
                    "table", "select", "float", "round_to"))  # fmt: skip

OPERATIONS = frozenset(ROWS) | LEAVES | RANDOM | EFFECTS
"""All that can be printed."""


def whole_numbers(program: Program) -> str | None:
    """Return an operation that computes with integers, which doubles hold up to 2^53 only, or None."""
    types = program.types()
    for k, ins in enumerate(program.instrs):
        if types[k] == "i" and OPS[ins.op].result == "=":
            return ins.op
    return None


class _Printer:
    def __init__(self, program: Program, states: Sequence[str], watched: Sequence[str] | None) -> None:
        self.program, self.watched = program, watched
        self.types = program.types()
        self.lines: list[str] = []
        self.texts: list[str] = []
        self.states = {name: f"s{k}_{_clean(name)}" for k, name in enumerate(states)}
        self.slots: dict[tuple[str, str], str] = {}
        self.inboxes: dict[str, str] = {}
        self.words: dict[str, str] = {}

    def slot(self, kind: str, key: str = "") -> str:
        """Return the name of something constant."""
        return self.slots.setdefault((kind, key), f"p{len(self.slots)}_{kind}_{_clean(key)}".rstrip("_"))

    def inbox(self, receptor: str) -> str:
        return self.inboxes.setdefault(receptor, f"in{len(self.inboxes)}_{_clean(receptor)}")

    def word(self, stream: str) -> str:
        """Return the name of a stream's word, drawn once a step."""
        if stream not in self.words:
            name = self.words[stream] = f"w{len(self.words)}"
            keys = f"{self.slot('key0', stream)}, {self.slot('key1', stream)}"
            self.lines.append(f"{name} = {PREFIX}word({keys}, {STEP}, {self.slot('index')})")
        return self.words[stream]

    def uniform(self, stream: str) -> str:
        return f"({self.word(stream)} + 0.5)*{2.0**-32!r}"

    def value(self, k: int) -> str | None:
        """Return the text of an instruction's value; None for an effect."""
        ins = self.program.instrs[k]
        op, attr, a = ins.op, ins.attr, [self.texts[i] for i in ins.args]
        if op in ROWS:
            return ROWS[op](a)
        if op == "const":
            return literal(float(attr))
        if op == "load":
            return self.states[attr]
        if op == "param":
            return self.slot("param", attr)
        if op == "inbox":
            return self.inbox(attr)
        if op == "step":
            return STEP
        if op == "time":
            return f"{STEP}*{self.slot('dt')}"
        if op == "index":
            return self.slot("index")
        if op == "float":
            return a[0] if self.types[ins.args[0]] != "b" else f"{PREFIX}select({a[0]}, 1.0, 0.0)"
        if op == "select":
            if self.types[k] == "b":
                return f"({a[0]} and {a[1]}) or ((not {a[0]}) and {a[2]})"
            return f"{PREFIX}select({', '.join(a)})"
        if op == "round_to":
            return f"{PREFIX}round_to({a[0]}, {literal(float(attr))})"
        if op == "table":
            return f"{PREFIX}lookup({TABLE!r}, {a[0]}, {self.slot('table', attr)}, {self.slot('index')})"
        if op == "scheduled":
            return f"{PREFIX}lookup({SCHEDULE!r}, {STEP}, {self.slot('schedule', attr)}, 0.0) > 0.5"
        if op == "uniform":
            return self.uniform(attr)
        if op == "normal":
            return f"{PREFIX}ndtri({self.uniform(attr)})"
        if op == "poisson":
            return f"{PREFIX}lookup({COUNT!r}, {self.word(attr)}, {self.slot('poisson', attr)}, 0.0)"
        if op == "poisson_of":
            return f"{PREFIX}poisson_of({self.word(attr)}, {a[0]})"
        if op in EFFECTS:
            return None
        raise VerifyError(f"the Brian2 printer has no row for the operation {op!r}")

    def run(self) -> Printed:
        program = self.program
        self.lines.append(f"{STEP} = 1.0*t_in_timesteps")
        for k, ins in enumerate(program.instrs):
            text = self.value(k)
            if text is None:
                self.texts.append("")
            elif ins.op in ("const", "param", "inbox", "step", "index"):
                self.texts.append(text)
            else:
                self.texts.append(f"v{k}")
                self.lines.append(f"v{k} = {text}")
        stores, emits = program.stores(), program.emits()
        if self.watched is not None:
            self.watch(stores)
        for name, k in stores.items():
            moved = program.instrs[k].op == "load"  # an array of Brian2's own: to be copied before it is written
            self.lines.append(f"{self.states[name]} = {PREFIX}same({self.texts[k]})" if moved
                              else f"{self.states[name]} = {self.texts[k]}")  # fmt: skip
        if emits:
            self.lines.append(f"{FIRED} = {self.texts[emits['spike']]}")
        return Printed("\n".join(self.lines), self.states, self.slots, self.inboxes, bool(emits))

    def watch(self, stores: dict[str, int]) -> None:
        """Append the search for sums beyond their limit (of the receptors in ``watched``) and for values not finite."""
        seen = SEEN
        for k, receptor in enumerate(self.watched or ()):
            limit = self.slot("limit", receptor)
            self.lines.append(f"x{k} = {PREFIX}watch_sum({seen}, {self.inbox(receptor)}, {limit}, {STEP})")
            seen = f"x{k}"
        for name, k in stores.items():
            self.lines.append(f"y{k}_{_clean(name)} = {PREFIX}watch({seen}, {self.texts[k]}, {STEP})")
            seen = f"y{k}_{_clean(name)}"
        if seen != SEEN:
            self.lines.append(f"{SEEN} = {PREFIX}same({seen})")


def print_program(program: Program, states: Sequence[str], watched: Sequence[str] | None = None) -> Printed:
    """Print one population's program.

    Parameters
    ----------
    program : Program
        The step.
    states : sequence of str
        All state variables of the population.
    watched : sequence of str, optional
        None where somebody looks at the values from outside after every step; else the code notes in which step a
        value left the finite numbers, or the sum at one of these receptors its limit.
    """
    return _Printer(program, states, watched).run()


@dataclass(frozen=True)
class EdgeCode:
    """A program over edges in Brian2's language, and its constants: name in the code -> value."""

    text: str
    slots: dict[str, float]


def edge_code(program: Program | None, node: PlasticityNode, watched: bool = False, every: int = 0) -> EdgeCode:
    """Print a program over edges: the weight is ``w``, the edge's other variables are ``e0`` …, those of the ends
    ``past_x0``, ``goal_x0`` …; ``now`` is the step, ``computed`` that in which decaying variables were computed.

    Parameters
    ----------
    watched : bool
        Whether the code notes in which step a value leaves the finite numbers.
    every : int
        Where it is not 0, the code is run in every step and does something at the end of so many.
    """
    if program is None:
        return EdgeCode("", {})
    ends = {"pre": ("past", node.reads("pre")), "post": ("goal", node.reads("post"))}
    names = {key: f"p{k}" for k, key in enumerate(node.params)}
    own = {"w": "w", **{key: f"e{k}" for k, key in enumerate(node.edge)}}
    texts: list[str] = []
    lines = ["now = 1.0*t_in_timesteps"]
    if every:
        lines.append(f"due = ((t_in_timesteps + 1) % {every}) == 0")
    seen = SEEN

    def stored(name: str, value: str) -> str:
        return f"{name} = {PREFIX}select(due, {value}, {name})" if every else f"{name} = {PREFIX}same({value})"

    for k, ins in enumerate(program.instrs):
        a = [texts[i] for i in ins.args]
        if ins.op == "const":
            texts.append(literal(float(ins.attr)))
        elif ins.op == "param":
            texts.append(names[ins.attr])
        elif ins.op == "since":
            texts.append("since")
            lines.append("since = now - computed")
        elif ins.op == "load":
            texts.append(f"v{k}")
            lines.append(f"v{k} = {PREFIX}same({own[ins.attr]})")
        elif ins.op in ends:
            index, variables = ends[ins.op]
            texts.append(f"{index}_x{variables.index(ins.attr)}")
        elif ins.op == "store":
            texts.append(a[0])
            lines.append(stored(own[ins.attr], a[0]))
            if watched:
                lines.append(f"z{k} = {PREFIX}watch({seen}, {PREFIX}same({own[ins.attr]}), now)")
                seen = f"z{k}"
        else:
            texts.append(f"v{k}")
            lines.append(f"v{k} = {_edge_value(ins.op, ins.attr, a)}")
    if program.uses("since"):
        lines.append(stored("computed", "now"))
    if seen != SEEN:
        lines.append(f"{SEEN} = {PREFIX}same({seen})")
    return EdgeCode("\n".join(lines), {names[key]: node.params[key] for key in program.uses("param")})


def link_code(link: LinkNode) -> EdgeCode:
    """Print the program of a link: its value is ``val``, the weight ``w``, what it reads of the ends ``past_x0`` … and
    ``goal_x0`` …"""
    assert link.program is not None
    ends = {"pre": ("past", link.reads("pre")), "post": ("goal", link.reads("post"))}
    names = {key: f"p{k}" for k, key in enumerate(link.params)}
    texts: list[str] = []
    lines: list[str] = []
    for k, ins in enumerate(link.program.instrs):
        a = [texts[i] for i in ins.args]
        if ins.op == "const":
            texts.append(literal(float(ins.attr)))
        elif ins.op == "param":
            texts.append(names[ins.attr])
        elif ins.op == "load":
            texts.append("w")
        elif ins.op in ends:
            index, variables = ends[ins.op]
            texts.append(f"{index}_x{variables.index(ins.attr)}")
        elif ins.op == "store":
            texts.append(a[0])
            lines.append(f"val = {PREFIX}same({a[0]})")
        else:
            texts.append(f"v{k}")
            lines.append(f"v{k} = {_edge_value(ins.op, ins.attr, a)}")
    return EdgeCode("\n".join(lines), {names[key]: link.params[key] for key in link.program.uses("param")})


def _edge_value(op: str, attr: Any, a: list[str]) -> str:
    if op == "select":
        return f"{PREFIX}select({', '.join(a)})"
    if op == "round_to":
        return f"{PREFIX}round_to({a[0]}, {literal(float(attr))})"
    return ROWS[op](a)


def _clean(name: str) -> str:
    """Return a name as part of an identifier; what stands before it keeps it unique.

    Brian2 keeps names that end in _pre and _post for itself.
    """
    return re.sub(r"_(pre|post)$", r"_\1end", re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_"))

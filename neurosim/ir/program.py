"""Programs: single-assignment sequences of operations.

The value of an instruction is named by its position, so single assignment holds by construction, and equal
subexpressions are found by looking an instruction up. :class:`Builder` is the only way a program comes to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurosim.errors import VerifyError
from neurosim.ir.ops import EFFECTS, OPS, PHASES


@dataclass(frozen=True, slots=True)
class Instr:
    """One operation.

    Attributes
    ----------
    op : str
        A name of :data:`neurosim.ir.ops.OPS`.
    args : tuple of int
        Positions of earlier instructions.
    attr : str, float, int, tuple or None
        What the operation needs besides values: a variable, a literal, a stream.
    phase : int
        Index into :data:`neurosim.ir.ops.PHASES`.
    """

    op: str
    args: tuple[int, ...] = ()
    attr: Any = None
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A sequence of instructions; the effects (``store``, ``emit``) are what remains of it after a step.

    ``written`` is the text of an expression over edges, for whoever writes it down again; no engine reads it.
    """

    instrs: tuple[Instr, ...]
    result: int | None = None
    written: str = field(default="", compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.instrs)

    def types(self, states: Mapping[str, str] | None = None) -> list[str]:
        """Return the type (``f``, ``i`` or ``b``) of every value; ``states`` gives those of the state variables."""
        out: list[str] = []
        for ins in self.instrs:
            result = OPS[ins.op].result
            if ins.op == "const":
                result = "i" if isinstance(ins.attr, int) and not isinstance(ins.attr, bool) else "f"
            elif ins.op == "load" and states is not None:
                result = states.get(ins.attr, "f")
            elif result == "=":
                kinds = {out[a] for a in ins.args[1 if ins.op == "select" else 0 :]}
                if len(kinds) != 1:
                    raise VerifyError(f"{ins.op} mixes value types {sorted(kinds)}")
                result = kinds.pop()
            out.append(result)
        return out

    def stores(self) -> dict[str, int]:
        """Return state variable -> position of the value it takes."""
        return {ins.attr: ins.args[0] for ins in self.instrs if ins.op == "store"}

    def emits(self) -> dict[str, int]:
        """Return event -> position of its condition."""
        return {ins.attr: ins.args[0] for ins in self.instrs if ins.op == "emit"}

    def uses(self, op: str) -> list[Any]:
        """Return the attributes of all instructions of one operation, in order, without repeats."""
        return list(dict.fromkeys(ins.attr for ins in self.instrs if ins.op == op))

    def text(self, indent: str = "") -> str:
        """Render one line per instruction, grouped by phase, as ``neurosim ir`` prints it."""
        lines: list[str] = []
        phase = -1
        for k, ins in enumerate(self.instrs):
            if ins.phase != phase and self.result is None:
                phase = ins.phase
                lines.append(f"{indent}{phase} {PHASES[phase]}")
            args = ", ".join(f"%{a}" for a in ins.args)
            attr = "" if ins.attr is None else (f"[{ins.attr!r}]" if isinstance(ins.attr, float) else f"[{ins.attr}]")
            head = "" if ins.op in EFFECTS else f"%{k} = "
            lines.append(f"{indent}  {head}{ins.op}{attr}{'(' + args + ')' if args else ''}")
        return "\n".join(lines)


class Builder:
    """Writes a program: looks equal instructions up, and drops operations that change nothing.

    Only rewrites that keep every bit are made: ``x + 0`` is kept (it turns -0 into 0), ``x * 1`` and ``x / 1`` go.
    """

    def __init__(self) -> None:
        self.instrs: list[Instr] = []
        self.phase = 0
        self._known: dict[tuple[str, tuple[int, ...], str], int] = {}

    def emit(self, op: str, *args: int, attr: Any = None) -> int:
        """Append an instruction (or find its equal) and return its position."""
        info = OPS[op]
        if len(args) != info.arity:
            raise VerifyError(f"{op} takes {info.arity} arguments, got {len(args)}")
        short = self._shortcut(op, args)
        if short is not None:
            return short
        key = (op, args, f"{type(attr).__name__}:{attr!r}")
        if op not in EFFECTS and key in self._known:  # a stream too: asked twice in a step, it gives the same number
            return self._known[key]
        self.instrs.append(Instr(op, args, attr, self.phase))
        self._known[key] = len(self.instrs) - 1
        return len(self.instrs) - 1

    def _shortcut(self, op: str, args: tuple[int, ...]) -> int | None:
        if op == "mul":
            for a, b in (args, args[::-1]):
                if self._literal(a) == 1.0:
                    return b
        elif op == "div" and self._literal(args[1]) == 1.0:
            return args[0]
        elif op == "select" and args[1] == args[2]:
            return args[1]
        return None

    def _literal(self, k: int) -> float | None:
        ins = self.instrs[k]
        return ins.attr if ins.op == "const" and isinstance(ins.attr, float) else None

    def const(self, value: float | int) -> int:
        """Append a literal; a Python int makes an integer value."""
        return self.emit("const", attr=value)

    def build(self, result: int | None = None, written: str = "") -> Program:
        """Return the finished program, without instructions that nothing uses."""
        live: set[int] = set() if result is None else {result}
        for k in range(len(self.instrs) - 1, -1, -1):
            ins = self.instrs[k]
            if k in live or ins.op in EFFECTS:
                live.add(k)
                live.update(ins.args)
        number: dict[int, int] = {}
        kept: list[Instr] = []
        for k, ins in enumerate(self.instrs):
            if k in live:
                number[k] = len(kept)
                kept.append(Instr(ins.op, tuple(number[a] for a in ins.args), ins.attr, ins.phase))
        return Program(tuple(kept), None if result is None else number[result], written)


__all__ = ["Builder", "Instr", "Program"]

"""Folding: what depends on parameters alone is computed once, in double precision, and becomes a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.ir.interp import evaluate
from neurosim.ir.ops import EFFECTS, LEAVES, RANDOM
from neurosim.ir.program import Instr, Program


def fold(program: Program, params: Mapping[str, Any], tag: str = "c") -> tuple[Program, dict[str, Any]]:
    """Return the program with constant subexpressions made parameters ``c[0]``, ``c[1]`` …, and all parameters used.

    Folding keeps meaning, not bits: the folded value is what the interpreter computes in double precision, and every
    backend then uses that value.
    """
    constant: list[bool] = []
    for ins in program.instrs:
        leaf = ins.op in ("const", "param")
        pure = ins.op not in LEAVES and ins.op not in EFFECTS and ins.op not in RANDOM and ins.op != "table"
        constant.append(leaf or (pure and bool(ins.args) and all(constant[a] for a in ins.args)))
    part = Program(
        tuple(ins if constant[k] else Instr("const", (), 0.0, ins.phase) for k, ins in enumerate(program.instrs))
    )
    values = evaluate(part, lambda ins: np.asarray(params[ins.attr], dtype=np.float64)[()])

    instrs: list[Instr] = []
    place: dict[int, int] = {}
    used: dict[str, Any] = {}

    def put(ins: Instr) -> int:
        instrs.append(ins)
        return len(instrs) - 1

    def get(k: int, phase: int) -> int:
        if k not in place:  # a constant met for the first time by something that varies
            ins = program.instrs[k]
            if ins.op == "const":
                place[k] = put(Instr("const", (), ins.attr, phase))
            elif ins.op == "param":
                used[ins.attr] = params[ins.attr]
                place[k] = put(Instr("param", (), ins.attr, phase))
            elif np.asarray(values[k]).dtype == bool and np.ndim(values[k]) == 0:
                one, zero = put(Instr("const", (), 1.0, phase)), put(Instr("const", (), 0.0, phase))
                place[k] = put(Instr("gt", (one, zero) if values[k] else (zero, one), None, phase))
            else:
                key = f"{tag}[{sum(u.startswith(f'{tag}[') for u in used)}]"  # no name a user could give
                value = np.asarray(values[k])
                if value.dtype == bool:
                    used[key] = value.astype(np.float64)
                    load, zero = put(Instr("param", (), key, phase)), put(Instr("const", (), 0.0, phase))
                    place[k] = put(Instr("gt", (load, zero), None, phase))
                else:
                    used[key] = float(value) if value.ndim == 0 else np.array(value, dtype=np.float64)
                    place[k] = put(Instr("param", (), key, phase))
        return place[k]

    for k, ins in enumerate(program.instrs):
        if not constant[k]:
            args = tuple(get(a, ins.phase) for a in ins.args)
            place[k] = put(Instr(ins.op, args, ins.attr, ins.phase))
    return Program(tuple(instrs)), used

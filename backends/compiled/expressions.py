"""The numba printer's table: one row per value operation.

A row turns the texts of the arguments into the text of an expression. Argument texts must be names or literals, since
some rows use one twice; so a program is printed as one assignment per instruction, with literals in place. What is
printed computes bit for bit what :mod:`neurosim.ir.interp` computes if it is compiled with ``error_model="numpy"`` and
without ``fastmath``; LLVM contracts a product and a sum to one operation only where it is told to.

Written so that a loop around it becomes vector code on AVX2: bits are reinterpreted, never converted to 64-bit
integers; a selection has names on both sides, so that nothing needs a branch; conditions are joined by ``&`` and
``|``. In single precision every literal is ``np.float32(…)``, since numba would widen the expression otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from neurosim.errors import UnsupportedError
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.program import Program

HEADER = "import numpy as np\nfrom numba import njit\n"
"""What the printed functions need to stand before them."""

JIT = '@njit(error_model="numpy", forceinline=True)'
"""Decorator of a printed function: LLVM inlines it into the caller's loop, which is cheaper than inlining in numba."""

TINY = {"f64": 1e-300, "f32": 1e-30}
FLOAT = {"f64": "np.float64", "f32": "np.float32"}
INT = {"f64": "np.int64", "f32": "np.int32"}
FRACTION = {"f64": 52, "f32": 23}
BIAS = {"f64": 1023, "f32": 127}
WIDTH = {"f64": 64, "f32": 32}


def literal(value: float | int, dtype: str) -> str:
    """Return the text of a literal: exactly this number (rounded to single in a run in single precision)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value >= 0 else f"({value})"
    x = float(value)
    if dtype == "f32":
        with np.errstate(all="ignore"):
            x = float(np.float32(x))
    if math.isnan(x):
        text = "np.nan"
    elif math.isinf(x):
        text = "np.inf" if x > 0 else "-np.inf"
    else:
        text = repr(x)
    if dtype == "f32":
        return f"np.float32({text})"
    return f"({text})" if text.startswith("-") else text


def _signed(bits: int, dtype: str) -> str:
    """The signed integer with these bits."""
    return literal(bits - (1 << WIDTH[dtype]) if bits >> (WIDTH[dtype] - 1) else bits, dtype)


def _bits(x: str, dtype: str) -> str:
    """The bits of a float as a signed integer; numba wants the cast before ``view``."""
    return f"{FLOAT[dtype]}({x}).view({INT[dtype]})"


def _view(integer: str, dtype: str) -> str:
    """A float from its bits; numba computes with 64-bit integers, hence the cast in single."""
    return f"{INT[dtype]}({integer}).view({FLOAT[dtype]})"


def beyond(odd: str, x: str, dtype: str) -> str:
    """Return the text that keeps ``odd`` and makes it negative if x is no finite number.

    The carry is unsigned: numba promises LLVM that sums of signed integers never overflow, so that LLVM may conclude
    that a sum of two numbers that are not negative is not, and leave the test out.
    """
    unsigned = f"np.uint{WIDTH[dtype]}"
    exponent = f"{unsigned}({(2 * BIAS[dtype] + 1) << FRACTION[dtype]})"
    carried = f"({FLOAT[dtype]}({x}).view({unsigned}) & {exponent}) + {unsigned}({1 << FRACTION[dtype]})"
    return f"{INT[dtype]}({odd} | {INT[dtype]}({unsigned}({carried})))"


def _pow2(a: Sequence[str], attr: Any, t: str) -> str:
    magic = literal(1.5 * 2.0 ** FRACTION[t], t)  # adding it leaves the integer in the low bits
    return _view(f"({_bits(f'{a[0]} + {magic}', t)} + {BIAS[t]}) << {FRACTION[t]}", t)


def _exponent(a: Sequence[str], attr: Any, t: str) -> str:
    one = 2.0 ** FRACTION[t]  # with the integer in its low bits: one + integer
    bits = (BIAS[t] + FRACTION[t]) << FRACTION[t]
    integer = f"(({_bits(a[0], t)} >> {FRACTION[t]}) & {2 * BIAS[t] + 1}) | {bits}"
    return f"({_view(integer, t)} - {literal(one + BIAS[t], t)})"


def _mantissa(a: Sequence[str], attr: Any, t: str) -> str:
    keep = ((1 << WIDTH[t]) - 1) ^ ((2 * BIAS[t] + 1) << FRACTION[t])
    return _view(f"({_bits(a[0], t)} & {_signed(keep, t)}) | {BIAS[t] << FRACTION[t]}", t)


def _flush(a: Sequence[str], attr: Any, t: str) -> str:
    return f"({literal(0.0, t)} if abs({a[0]}) < {literal(TINY[t], t)} else {a[0]})"


def _round_to(a: Sequence[str], attr: Any, t: str) -> str:
    grid = literal(float(attr), t)
    return f"(np.rint({a[0]} / {grid}) * {grid})"


def _infix(symbol: str) -> Callable[[Sequence[str], Any, str], str]:
    return lambda a, attr, t: f"({a[0]} {symbol} {a[1]})"


def _called(name: str) -> Callable[[Sequence[str], Any, str], str]:
    return lambda a, attr, t: f"{name}_{t}({', '.join(a)})"


def _prefix(head: str) -> Callable[[Sequence[str], Any, str], str]:
    return lambda a, attr, t: f"{head}({a[0]})"


ROWS: dict[str, Callable[[Sequence[str], Any, str], str]] = {
    "const": lambda a, attr, t: literal(attr, t),
    "add": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "div": _infix("/"),
    "neg": lambda a, attr, t: f"(-{a[0]})",
    "abs": _prefix("abs"),
    "min": lambda a, attr, t: f"({a[0]} if {a[0]} < {a[1]} else {a[1]})",
    "max": lambda a, attr, t: f"({a[0]} if {a[0]} > {a[1]} else {a[1]})",
    "sqrt": _prefix("np.sqrt"),
    "floor": _prefix("np.floor"),
    "rint": _prefix("np.rint"),
    "flush": _flush,
    "round_to": _round_to,
    "float": lambda a, attr, t: f"{FLOAT[t]}({a[0]})",
    "pow2": _pow2,
    "exponent": _exponent,
    "mantissa": _mantissa,
    "lt": _infix("<"),
    "le": _infix("<="),
    "gt": _infix(">"),
    "ge": _infix(">="),
    "eq": _infix("=="),
    "ne": _infix("!="),
    "and": _infix("&"),
    "or": _infix("|"),
    "not": lambda a, attr, t: f"(not {a[0]})",
    "select": lambda a, attr, t: f"({a[1]} if {a[0]} else {a[2]})",
    **{name: _called(name) for name in FUNCTIONS},
}
"""Operation -> (texts of the arguments, attribute, ``"f64"`` or ``"f32"``) -> text of the expression."""


def expression(op: str, args: Sequence[str], attr: Any, dtype: str) -> str:
    """Return the text of one value operation.

    Parameters
    ----------
    op : str
        A key of :data:`ROWS`.
    args : sequence of str
        Names or literals.
    attr : object
        The instruction's attribute.
    dtype : {"f64", "f32"}
        Precision of the run.
    """
    row = ROWS.get(op)
    if row is None:
        raise UnsupportedError(f"the numba printer has no row for the operation {op!r}")
    return row(args, attr, dtype)


def print_function(name: str, precision: str) -> str:
    """Return the source of one function, named ``exp_f64``, ``exp_f32``, …; it calls those that it rests on.

    Parameters
    ----------
    name : str
        A key of :data:`neurosim.ir.functions.FUNCTIONS`.
    precision : {"f64", "f32"}
        Which of the two bodies.
    """
    body = _body(name, precision)
    lines = [JIT, f"def {name}_{precision}({', '.join(f'a{k}' for k in range(FUNCTIONS[name].arity))}):"]
    texts: list[str] = []
    for k, ins in enumerate(body.instrs):
        if ins.op == "arg":
            texts.append(f"a{ins.attr}")
            continue
        text = expression(ins.op, [texts[a] for a in ins.args], ins.attr, precision)
        if ins.op == "const":
            texts.append(text)
        else:
            texts.append(f"v{k}")
            lines.append(f"    v{k} = {text}")
    assert body.result is not None
    lines.append(f"    return {texts[body.result]}")
    return "\n".join(lines) + "\n"


def function_sources(names: Iterable[str], precision: str) -> list[str]:
    """Return the sources of functions and of all that they rest on, each after those that it calls."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for ins in _body(name, precision).instrs:
                if ins.op in FUNCTIONS:
                    visit(ins.op)
            order.append(name)

    for name in names:
        visit(name)
    return [print_function(name, precision) for name in order]


def _body(name: str, precision: str) -> Program:
    function = FUNCTIONS[name]
    return function.body if precision == "f64" else function.body_single

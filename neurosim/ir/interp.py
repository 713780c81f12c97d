"""The meaning of every operation, in plain NumPy.

What this file computes is what every engine has to compute, bit for bit. A value is an array over the neuron axis or
a NumPy scalar, and everything broadcasts. Floating-point numbers stay in the run's precision throughout: literals are
cast to it first, so that ``single`` never passes through a double. Nothing here warns: an overflow to infinity, an
underflow and a nan are values like others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neurosim.errors import VerifyError
from neurosim.ir.functions import FUNCTIONS as BODIES
from neurosim.ir.ops import COMPARE, EFFECTS, FUNCTIONS, LEAVES, OPS
from neurosim.ir.program import Instr, Program

_CHUNK = 1 << 14  # elements of one pass of `call`, so that its intermediate values stay in the cache


class Format:
    """The constants of one floating-point format that the bit operations and ``flush`` need."""

    def __init__(self, dtype: type, bits: type, fraction: int, bias: int, tiny: float) -> None:
        self.dtype = dtype
        self.bits = bits  # the unsigned integer of the same width
        self.fraction = bits(fraction)
        self.bias = bits(bias)
        self.magic = dtype(1.5 * 2.0**fraction)  # adding it leaves an integer in the low bits of the fraction
        self.exponent_mask = bits((2 * bias + 1) << fraction)
        self.one = bits(bias << fraction)
        self.tiny = dtype(tiny)  # the threshold of `flush`


FORMATS = {
    np.dtype(np.float64): Format(np.float64, np.uint64, 52, 1023, 1e-300),
    np.dtype(np.float32): Format(np.float32, np.uint32, 23, 127, 1e-30),
}


def _select(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)[()]


def _pow2(a: Any, fmt: Format) -> Any:
    bits = (a + fmt.magic).view(fmt.bits)
    return ((bits + fmt.bias) << fmt.fraction).view(fmt.dtype)


def _exponent(a: Any, fmt: Format) -> Any:
    biased = (a.view(fmt.bits) & fmt.exponent_mask) >> fmt.fraction
    return biased.astype(fmt.dtype) - fmt.dtype(fmt.bias)


def _mantissa(a: Any, fmt: Format) -> Any:
    return ((a.view(fmt.bits) & ~fmt.exponent_mask) | fmt.one).view(fmt.dtype)


# one row per operation: fmt holds the precision, attr the instruction's attribute
ROWS: dict[str, Callable[..., Any]] = {
    "add": lambda fmt, attr, a, b: a + b,
    "sub": lambda fmt, attr, a, b: a - b,
    "mul": lambda fmt, attr, a, b: a * b,
    "div": lambda fmt, attr, a, b: a / b,
    "neg": lambda fmt, attr, a: -a,
    "abs": lambda fmt, attr, a: np.abs(a),
    "min": lambda fmt, attr, a, b: _select(a < b, a, b),
    "max": lambda fmt, attr, a, b: _select(a > b, a, b),
    "sqrt": lambda fmt, attr, a: np.sqrt(a),
    "floor": lambda fmt, attr, a: np.floor(a),
    "rint": lambda fmt, attr, a: np.rint(a),
    "flush": lambda fmt, attr, a: _select(np.abs(a) < fmt.tiny, fmt.dtype(0.0), a),
    "round_to": lambda fmt, attr, a: np.rint(a / fmt.dtype(attr)) * fmt.dtype(attr),
    "float": lambda fmt, attr, a: a.astype(fmt.dtype),
    "pow2": lambda fmt, attr, a: _pow2(a, fmt),
    "exponent": lambda fmt, attr, a: _exponent(a, fmt),
    "mantissa": lambda fmt, attr, a: _mantissa(a, fmt),
    "lt": lambda fmt, attr, a, b: a < b,
    "le": lambda fmt, attr, a, b: a <= b,
    "gt": lambda fmt, attr, a, b: a > b,
    "ge": lambda fmt, attr, a, b: a >= b,
    "eq": lambda fmt, attr, a, b: a == b,
    "ne": lambda fmt, attr, a, b: a != b,
    "and": lambda fmt, attr, a, b: np.logical_and(a, b),
    "or": lambda fmt, attr, a, b: np.logical_or(a, b),
    "not": lambda fmt, attr, a: np.logical_not(a),
    "select": lambda fmt, attr, c, a, b: _select(c, a, b),
    "store": lambda fmt, attr, a: a,
    "emit": lambda fmt, attr, a: a,
}


def evaluate(
    program: Program, leaf: Callable[..., Any], dtype: DTypeLike = np.float64, functions: bool = True
) -> list[Any]:
    """Return the value of every instruction of a program.

    Parameters
    ----------
    program : Program
        What to compute.
    leaf : callable
        ``leaf(instr, *args)`` answers what the program takes from outside: the leaves other than ``const`` (without
        arguments), ``poisson_of`` and ``table`` (with the values of theirs).
    dtype : numpy.float64 or numpy.float32
        Precision of the run.
    functions : bool
        Whether exp, log, … are computed by their programs; if not, ``leaf`` is asked for them too.

    Returns
    -------
    list
        One array or NumPy scalar per instruction; an effect (``store``, ``emit``) has the value of its argument.
    """
    values: list[Any] = []
    fmt = _format(dtype)
    with np.errstate(all="ignore"):
        for ins in program.instrs:
            args = [values[a] for a in ins.args]
            values.append(_one(ins, args, fmt, leaf, functions))
    return values


def call(name: str, *arrays: Any, dtype: DTypeLike = np.float64) -> Any:
    """Return one of the functions of :data:`neurosim.ir.functions.FUNCTIONS` of the arrays, which broadcast.

    Parameters
    ----------
    name : str
        A name of the group ``function``.
    *arrays : array_like
        The arguments, converted to ``dtype``.
    dtype : numpy.float64 or numpy.float32
        The precision; the two have different programs.
    """
    fmt = _format(dtype)
    given = np.broadcast_arrays(*[np.asarray(a, dtype=fmt.dtype) for a in arrays])
    flat = [a.reshape(-1) for a in given]
    out: NDArray[Any] = np.empty(flat[0].size, dtype=fmt.dtype)
    with np.errstate(all="ignore"):
        for start in range(0, out.size, _CHUNK):
            out[start : start + _CHUNK] = _function(name, [a[start : start + _CHUNK] for a in flat], fmt)
    return out.reshape(given[0].shape)[()]


def _format(dtype: DTypeLike) -> Format:
    try:
        return FORMATS[np.dtype(dtype)]
    except KeyError:
        raise VerifyError(f"the precision must be float64 or float32, not {np.dtype(dtype)}") from None


def _one(ins: Instr, args: list[Any], fmt: Format, leaf: Callable[..., Any] | None, functions: bool) -> Any:
    """The value of one instruction, given those of its arguments."""
    row = ROWS.get(ins.op)
    if row is not None:
        return row(fmt, ins.attr, *args)
    if ins.op == "const":
        whole = isinstance(ins.attr, int) and not isinstance(ins.attr, bool)
        return np.int64(ins.attr) if whole else fmt.dtype(ins.attr)
    if functions and ins.op in FUNCTIONS:
        return _function(ins.op, args, fmt)
    if leaf is None:
        raise VerifyError(f"the body of a function uses {ins.op}, which only a step can answer")
    value = leaf(ins, *args)
    if isinstance(value, float) and not isinstance(value, np.floating):
        return fmt.dtype(value)
    if isinstance(value, bool | int):
        return np.bool_(value) if isinstance(value, bool) else np.int64(value)
    if value.dtype.kind == "f" and value.dtype != fmt.dtype:
        raise VerifyError(f"{ins.op} [{ins.attr}] came as {value.dtype} in a run of {np.dtype(fmt.dtype)}")
    return value


def _function(name: str, args: list[Any], fmt: Format) -> Any:
    """A function's value by its body; intermediate values are dropped after their last use."""
    function = BODIES[name]
    body = function.body if fmt.dtype is np.float64 else function.body_single
    last = {a: k for k, ins in enumerate(body.instrs) for a in ins.args}
    values: dict[int, Any] = {}
    for k, ins in enumerate(body.instrs):
        values[k] = args[ins.attr] if ins.op == "arg" else _one(ins, [values[a] for a in ins.args], fmt, None, True)
        for a in set(ins.args):
            if last[a] == k and a != body.result:
                del values[a]
    assert body.result is not None
    return values[body.result]


_asked = {name for name, info in OPS.items() if info.group in ("leaf", "random", "table")} - {"const"}
_missing = set(OPS) - set(ROWS) - _asked - FUNCTIONS - {"const"}
if _missing or not (COMPARE <= set(ROWS) and EFFECTS <= set(ROWS) and LEAVES - {"const"} <= _asked):
    raise VerifyError(f"the interpreter lacks {sorted(_missing)}")

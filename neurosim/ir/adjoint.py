"""The adjoint of a step: from the derivatives after its results, those after all that it read.

The adjoint of a program is a program over the same operations, so whatever prints steps prints their gradients too
(reverse accumulation; A. Griewank, A. Walther, Evaluating Derivatives, SIAM 2008, ch. 3). It begins with the step
itself, whose values the derivatives need.

The step function at the threshold has the derivative of a surrogate (E. O. Neftci, H. Mostafa, F. Zenke, IEEE Signal
Process. Mag. 36:51, 2019). Conditions that rest on it carry numbers 0 and 1: *and* is their product, *or* their
probabilistic sum, *not* 1 less the number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache

from neurosim.errors import UnsupportedError
from neurosim.ir.ops import DETECT, FUNCTIONS
from neurosim.ir.program import Builder, Program

BAR = "bar "
"""Begins the name of a derivative: ``load[bar v]`` reads the one after the variable as the step leaves it, and
``inbox[bar spike]`` the one after the event."""

PER_UNIT = "1/surrogate scale"
"""The parameter that the distance from the threshold is multiplied by before the surrogate is asked."""

Slope = Callable[[Builder, int, tuple[int, ...]], tuple[int, ...]]


def bar(op: str, name: str) -> str:
    """Return the variable in which the adjoint of a leaf is stored: ``bar load v``, ``bar inbox exc``."""
    return f"{BAR}{op} {name}"


def adjoint(
    program: Program,
    states: Mapping[str, str],
    slope: Program | None,
    detach_reset: bool = True,
    params: Collection[str] = (),
    spikes: bool = True,
) -> Program:
    """Return the adjoint of one step of a population.

    Parameters
    ----------
    program : Program
        The step.
    states : mapping
        State variable -> its type: ``f``, ``i`` or ``b``; only floats have derivatives.
    slope : Program, optional
        The surrogate's derivative, a function of one argument; None: the threshold has none.
    detach_reset : bool
        Whether the reset has no derivative.
    params : collection of str
        Parameters after which derivatives are wanted too.
    spikes : bool
        Whether the emitted spikes have a derivative (not where others are emitted in their place).

    Returns
    -------
    Program
        Reads besides what the step reads ``load[bar VARIABLE]`` and ``inbox[bar EVENT]``; stores ``bar load VARIABLE``,
        ``bar inbox RECEPTOR``, ``bar param PARAMETER``. What is not stored is 0.
    """
    b = Builder()
    place = _repeat(b, program)
    kinds = program.types(states)
    shadows = _shadows(program, kinds) if slope is not None else set()
    sums: dict[int, int] = {}

    def add(k: int, value: int) -> None:
        sums[k] = b.emit("add", sums[k], value) if k in sums else value

    for ins in program.instrs:
        if ins.op == "store" and states.get(ins.attr) == "f":
            add(ins.args[0], b.emit("load", attr=BAR + ins.attr))
        elif ins.op == "emit" and spikes and ins.args[0] in shadows:
            add(ins.args[0], b.emit("inbox", attr=BAR + ins.attr))
    loaded: dict[str, int] = {}
    for k in range(len(program.instrs) - 1, -1, -1):
        ins = program.instrs[k]
        if k not in sums or ins.op in ("store", "emit"):
            continue
        g, args = sums[k], tuple(place[a] for a in ins.args)
        if ins.op in ("load", "inbox") or (ins.op == "param" and ins.attr in params):
            loaded[bar(ins.op, ins.attr)] = g
            continue
        if kinds[k] == "b":
            if k in shadows:
                assert slope is not None
                for a, value in _logic(b, program, k, place, shadows, g, slope):
                    add(a, value)
            continue
        if ins.op == "select":
            condition, yes, no = args
            zero = b.const(0.0)
            if ins.args[0] in shadows and not detach_reset:
                add(ins.args[0], b.emit("mul", g, b.emit("sub", yes, no)))
            add(ins.args[1], b.emit("select", condition, g, zero))
            add(ins.args[2], b.emit("select", condition, zero, g))
            continue
        if not args:
            continue
        for a, value in zip(ins.args, _slopes(b, ins.op, place[k], args, g), strict=False):
            if kinds[a] == "f" and value is not None:
                add(a, value)
    for name, value in loaded.items():
        b.emit("store", value, attr=name)
    return b.build()


def _repeat(b: Builder, program: Program) -> list[int]:
    """Append a program without its effects; return the place of each of its values."""
    place: list[int] = []
    for ins in program.instrs:
        b.phase = ins.phase
        args = tuple(place[a] for a in ins.args)
        place.append(args[0] if ins.op in ("store", "emit") else b.emit(ins.op, *args, attr=ins.attr))
    return place


def _shadows(program: Program, kinds: list[str]) -> set[int]:
    """Return the conditions that stand for a number with a derivative: tests at the threshold, and what they join."""
    found: set[int] = set()
    for k, ins in enumerate(program.instrs):
        test = ins.op in ("lt", "le", "gt", "ge") and ins.phase == DETECT and kinds[ins.args[0]] == "f"
        joined = ins.op in ("and", "or", "not") and any(a in found for a in ins.args)
        if test or joined:
            found.add(k)
    return found


def _logic(
    b: Builder, program: Program, k: int, place: list[int], shadows: set[int], g: int, slope: Program
) -> list[tuple[int, int]]:
    """Return (argument, its share) of a condition that stands for a number."""
    ins = program.instrs[k]
    if ins.op == "not":
        return [(ins.args[0], b.emit("neg", g))]
    if ins.op in ("and", "or"):
        out = []
        for a, other in (ins.args, ins.args[::-1]):
            if a in shadows:
                number = b.emit("float", place[other])
                weight = number if ins.op == "and" else b.emit("sub", b.const(1.0), number)
                out.append((a, b.emit("mul", g, weight)))
        return out
    low, high = ins.args if ins.op in ("lt", "le") else ins.args[::-1]
    per_unit = b.emit("param", attr=PER_UNIT)
    x = b.emit("mul", b.emit("sub", place[high], place[low]), per_unit)
    share = b.emit("mul", b.emit("mul", g, per_unit), inline(b, slope, x))
    return [(high, share), (low, b.emit("neg", share))]


def inline(b: Builder, body: Program, *args: int) -> int:
    """Append a function of ``args``; return the place of its result."""
    place: list[int] = []
    for ins in body.instrs:
        if ins.op == "arg":
            place.append(args[ins.attr])
        else:
            place.append(b.emit(ins.op, *(place[a] for a in ins.args), attr=ins.attr))
    assert body.result is not None
    return place[body.result]


def _slopes(b: Builder, op: str, y: int, args: tuple[int, ...], g: int) -> tuple[int | None, ...]:
    """Return what each argument of a float operation gets of the derivative ``g`` after its value ``y``."""
    if op in FUNCTIONS:
        return tuple(b.emit("mul", g, s) for s in SLOPES[op](b, y, args))
    if op in ("add", "round_to", "flush"):  # the last two as what they approximate
        return (g, g)
    if op == "sub":
        return g, b.emit("neg", g)
    if op == "mul":
        return b.emit("mul", g, args[1]), b.emit("mul", g, args[0])
    if op == "div":
        share = b.emit("div", g, args[1])
        return share, b.emit("neg", b.emit("mul", share, y))
    if op == "neg":
        return (b.emit("neg", g),)
    zero = b.const(0.0)
    if op == "abs":
        back = b.emit("select", b.emit("lt", args[0], zero), b.emit("neg", g), zero)
        return (b.emit("select", b.emit("gt", args[0], zero), g, back),)
    if op in ("min", "max"):
        first = b.emit("lt" if op == "min" else "gt", *args)
        return b.emit("select", first, g, zero), b.emit("select", first, zero, g)
    if op == "sqrt":
        return (b.emit("div", g, b.emit("mul", b.const(2.0), y)),)
    if op in ("floor", "rint", "float", "pow2", "exponent", "mantissa", "table", "poisson_of"):
        return (None,)
    raise UnsupportedError(f"the operation '{op}' has no derivative")


# -- functions -----------------------------------------------------------------------------------------------------


def _exp(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (y,)


def _expm1(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("add", y, b.const(1.0)),)


def _exprel(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    """((x - 1) e^x + 1)/x^2 away from 0; near it 1/2 + x/3 + x^2/8 + x^3/30, of which it is the quotient of small
    numbers."""
    x, one = a[0], b.const(1.0)
    near = b.emit("lt", b.emit("abs", x), b.const(1e-3))
    far = b.emit("select", near, one, x)
    top = b.emit("add", b.emit("mul", b.emit("sub", far, one), b.emit("exp", far)), one)
    series = b.emit("add", b.const(1 / 8), b.emit("mul", x, b.const(1 / 30)))
    series = b.emit("add", b.const(1 / 3), b.emit("mul", x, series))
    series = b.emit("add", b.const(0.5), b.emit("mul", x, series))
    return (b.emit("select", near, series, b.emit("div", top, b.emit("mul", far, far))),)


def _log(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("div", b.const(1.0), a[0]),)


def _log1p(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("div", b.const(1.0), b.emit("add", b.const(1.0), a[0])),)


def _sigmoid(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("mul", y, b.emit("sub", b.const(1.0), y)),)


def _tanh(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("sub", b.const(1.0), b.emit("mul", y, y)),)


def _sin(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("cos", a[0]),)


def _cos(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    return (b.emit("neg", b.emit("sin", a[0])),)


def _pow(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    one, zero = b.const(1.0), b.const(0.0)
    positive = b.emit("gt", a[0], zero)
    log = b.emit("log", b.emit("select", positive, a[0], one))
    return (
        b.emit("mul", a[1], b.emit("pow", a[0], b.emit("sub", a[1], one))),
        b.emit("select", positive, b.emit("mul", y, log), zero),
    )


def _ndtri(b: Builder, y: int, a: tuple[int, ...]) -> tuple[int, ...]:
    half = b.emit("div", b.emit("mul", y, y), b.const(2.0))
    return (b.emit("mul", b.const(2.5066282746310002), b.emit("exp", half)),)


SLOPES: dict[str, Slope] = {
    "exp": _exp, "expm1": _expm1, "exprel": _exprel, "log": _log, "log1p": _log1p, "sigmoid": _sigmoid, "tanh": _tanh,
    "sin": _sin, "cos": _cos, "pow": _pow, "ndtri": _ndtri,
}  # fmt: skip
"""Function -> its derivatives after each argument, from its value and the arguments."""


@cache
def slope_program(name: str, argument: int) -> Program:
    """Return a derivative of a function as a program: argument 0 is the function's value, the others its arguments."""
    b = Builder()
    y = b.emit("arg", attr=0)
    args = tuple(b.emit("arg", attr=k + 1) for k in range(2 if name == "pow" else 1))
    return b.build(SLOPES[name](b, y, args)[argument])

"""The operations of the IR as torch operations: the bits of the interpreter forward, a derivative backward.

Every operation is one torch operation, or a few, on whole tensors, so nothing is contracted or reordered. Functions
(exp, log, …) are computed by their programs; their derivatives are written down, since those of a program that takes
numbers apart into bits would be 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.ir.adjoint import slope_program
from neurosim.ir.functions import FUNCTIONS as BODIES
from neurosim.ir.interp import FORMATS as NUMPY_FORMATS
from neurosim.ir.ops import DETECT, FUNCTIONS, OPS
from neurosim.ir.program import Program

Surrogate = Callable[[Tensor], Tensor]
"""What stands for the step function at the threshold: 1 above 0, else 0, with a derivative of its own."""


class Format:
    """The constants of one floating-point format, taken from the interpreter's."""

    def __init__(self, dtype: torch.dtype, bits: torch.dtype, numpy_name: str) -> None:
        source = next(f for d, f in NUMPY_FORMATS.items() if d.name == numpy_name)
        self.dtype, self.bits = dtype, bits
        self.double = dtype == torch.float64
        self.fraction, self.bias = int(source.fraction), int(source.bias)
        self.mask, self.one = int(source.exponent_mask), int(source.one)
        self.magic, self.tiny = float(source.magic), float(source.tiny)


FORMATS = {
    torch.float64: Format(torch.float64, torch.int64, "float64"),
    torch.float32: Format(torch.float32, torch.int32, "float32"),
}


def first_order() -> None:
    """Refuse a second derivative: those of surrogates and of functions are written down, not differentiated.

    To be called backward. torch's own ``once_differentiable`` misses what only the point of a derivative depends on.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("a network's module has no second derivatives: create_graph=True cannot go through it")


class _Rounded(torch.autograd.Function):
    """Multiples of a grid, ties to even; the derivative passes straight through."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Any) -> Tensor:
        return (torch.round(values / grid) * grid).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _Flushed(torch.autograd.Function):
    """0 in place of the tiniest numbers; the derivative passes straight through, as that of what is approximated."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, tiny: float) -> Tensor:
        return torch.where(a.abs() < tiny, torch.zeros((), dtype=a.dtype, device=a.device), a)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _Selected(torch.autograd.Function):
    """``where`` whose condition has a derivative: a reset that is not detached."""

    @staticmethod
    def forward(ctx: Any, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(condition, a, b)
        return torch.where(condition > 0, a, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        condition, a, b = ctx.saved_tensors
        g, zero = grads[0], torch.zeros_like(grads[0])
        return g * (a - b), torch.where(condition > 0, g, zero), torch.where(condition > 0, zero, g)


class _Surrogate(torch.autograd.Function):
    """Whether a threshold is passed, as 0 or 1, with a surrogate's derivative.

    The surrogate is asked backward, for its derivative alone: what snnTorch's return forward is always float32, and
    would round the gradients that flow through it.
    """

    @staticmethod
    def forward(ctx: Any, above: Tensor, passed: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(above)
        ctx.surrogate = surrogate
        return passed.to(above.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        first_order()
        (above,) = ctx.saved_tensors
        with torch.enable_grad():
            x = above.detach().requires_grad_()
            soft = ctx.surrogate(x)
            (slope,) = torch.autograd.grad(soft, x, torch.ones_like(soft))
        return grads[0] * slope, None, None


class _Root(torch.autograd.Function):
    """The square root, correctly rounded: torch's own on the CPU is now and then one unit off (it is MKL's)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        if a.device.type == "cpu":
            with np.errstate(invalid="ignore"):
                root = torch.from_numpy(np.asarray(np.sqrt(a.detach().numpy())))
        else:
            root = a.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return grads[0] / (2 * root)


def on_grid(values: Tensor, grid: Any) -> Tensor:
    """Round weights to their receptor's grid (a power of two, or one per weight); straight through backward."""
    rounded: Any = _Rounded.apply(values, grid)
    return rounded


def _flushed(a: Tensor, tiny: float) -> Tensor:
    flushed: Any = _Flushed.apply(a, tiny)
    return flushed


def _root(a: Tensor) -> Tensor:
    root: Any = _Root.apply(a)
    return root


def _pow2(a: Tensor, fmt: Format) -> Tensor:
    return (((a + fmt.magic).view(fmt.bits) + fmt.bias) << fmt.fraction).view(fmt.dtype)


def _exponent(a: Tensor, fmt: Format) -> Tensor:
    return ((a.view(fmt.bits) & fmt.mask) >> fmt.fraction).to(fmt.dtype) - fmt.bias


def _mantissa(a: Tensor, fmt: Format) -> Tensor:
    return ((a.view(fmt.bits) & ~fmt.mask) | fmt.one).view(fmt.dtype)


ROWS: dict[str, Callable[..., Tensor]] = {
    "add": lambda fmt, attr, a, b: a + b,
    "sub": lambda fmt, attr, a, b: a - b,
    "mul": lambda fmt, attr, a, b: a * b,
    "div": lambda fmt, attr, a, b: a.to(fmt.dtype) / b.to(fmt.dtype),
    "neg": lambda fmt, attr, a: -a,
    "abs": lambda fmt, attr, a: a.abs(),
    "min": lambda fmt, attr, a, b: torch.where(a < b, a, b),
    "max": lambda fmt, attr, a, b: torch.where(a > b, a, b),
    "sqrt": lambda fmt, attr, a: _root(a),
    "floor": lambda fmt, attr, a: a.floor(),
    "rint": lambda fmt, attr, a: a.round(),
    "flush": lambda fmt, attr, a: _flushed(a, fmt.tiny),
    "round_to": lambda fmt, attr, a: on_grid(a, attr),
    "float": lambda fmt, attr, a: a.to(fmt.dtype),
    "pow2": lambda fmt, attr, a: _pow2(a, fmt),
    "exponent": lambda fmt, attr, a: _exponent(a, fmt),
    "mantissa": lambda fmt, attr, a: _mantissa(a, fmt),
    "lt": lambda fmt, attr, a, b: a < b,
    "le": lambda fmt, attr, a, b: a <= b,
    "gt": lambda fmt, attr, a, b: a > b,
    "ge": lambda fmt, attr, a, b: a >= b,
    "eq": lambda fmt, attr, a, b: a == b,
    "ne": lambda fmt, attr, a, b: a != b,
    "and": lambda fmt, attr, a, b: a & b,
    "or": lambda fmt, attr, a, b: a | b,
    "not": lambda fmt, attr, a: ~a,
    "select": lambda fmt, attr, c, a, b: torch.where(c, a, b),
    "store": lambda fmt, attr, a: a,
    "emit": lambda fmt, attr, a: a,
}
"""One row per operation, as in :mod:`neurosim.ir.interp`."""


class _Called(torch.autograd.Function):
    """A function by its program, with its derivatives by theirs."""

    @staticmethod
    def forward(ctx: Any, name: str, fmt: Format, *args: Tensor) -> Tensor:
        out = _body(name, fmt, list(args))
        ctx.name, ctx.fmt = name, fmt
        ctx.save_for_backward(out, *args)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        first_order()
        out, *args = ctx.saved_tensors
        slopes = (_run(slope_program(ctx.name, k), ctx.fmt, [out, *args]) for k in range(len(args)))
        return (None, None, *(grads[0] * slope for slope in slopes))


def _body(name: str, fmt: Format, args: list[Tensor]) -> Tensor:
    return _run(BODIES[name].body if fmt.double else BODIES[name].body_single, fmt, args)


def _run(body: Program, fmt: Format, args: list[Tensor]) -> Tensor:
    """Return the result of a program of ``args``."""
    assert body.result is not None
    values: list[Tensor] = []
    for ins in body.instrs:
        if ins.op == "arg":
            values.append(args[ins.attr])
        elif ins.op == "const":
            values.append(literal(ins.attr, fmt, args[0].device))
        elif ins.op in FUNCTIONS:
            values.append(_body(ins.op, fmt, [values[a] for a in ins.args]))
        else:
            values.append(ROWS[ins.op](fmt, ins.attr, *(values[a] for a in ins.args)))
    return values[body.result]


def literal(value: Any, fmt: Format, device: torch.device | str | None = None) -> Tensor:
    """Return a literal as a tensor without axes: a whole number stays one."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return torch.tensor(value, dtype=torch.int64 if whole else fmt.dtype, device=device)


def call(name: str, fmt: Format, *args: Tensor) -> Tensor:
    """Return a function of the IR of tensors, which broadcast."""
    given = torch.broadcast_tensors(*args)
    if torch.is_grad_enabled() and any(a.requires_grad for a in given):
        called: Any = _Called.apply(name, fmt, *given)
        return called
    return _body(name, fmt, list(given))


class Step:
    """A population's program, ready to be evaluated once a step.

    With a surrogate, a comparison of floats in the phase ``detect`` gets a shadow: the number 0 or 1 that it stands
    for, whose derivative is the surrogate's. Logic carries shadows on, ``emit`` hands them out as spikes, and
    ``select`` (a reset) takes them only where the reset is not detached.
    """

    def __init__(self, program: Program, fmt: Format) -> None:
        self.program, self.fmt = program, fmt
        self.kinds = [OPS[ins.op].result for ins in program.instrs]
        self._literals: dict[torch.device, dict[int, Tensor]] = {}

    def literals(self, device: torch.device) -> dict[int, Tensor]:
        """Return position -> literal, made once for each device."""
        if device not in self._literals:
            consts = [(k, ins.attr) for k, ins in enumerate(self.program.instrs) if ins.op == "const"]
            self._literals[device] = {k: literal(value, self.fmt, device) for k, value in consts}
        return self._literals[device]

    def __call__(
        self,
        leaf: Callable[..., Tensor],
        device: torch.device,
        surrogate: Surrogate | None = None,
        detach_reset: bool = True,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return state variable -> its new value, and event -> where it happens (numbers, with a surrogate)."""
        values: list[Any] = []
        shadow: dict[int, Tensor] = {}
        stores, emits, literals, fmt = {}, {}, self.literals(device), self.fmt
        for k, ins in enumerate(self.program.instrs):
            args = [values[a] for a in ins.args]
            if ins.op == "const":
                value = literals[k]
            elif ins.op in FUNCTIONS:
                value = call(ins.op, fmt, *args)
            elif ins.op == "select" and not detach_reset and ins.args[0] in shadow and args[1].is_floating_point():
                value = _Selected.apply(*torch.broadcast_tensors(shadow[ins.args[0]], *args[1:]))
            elif ins.op in ROWS:
                value = ROWS[ins.op](fmt, ins.attr, *args)
            else:
                value = leaf(ins, *args)
            if surrogate is not None and self.kinds[k] == "b":
                grown = self._shadow(k, args, shadow, value, surrogate)
                if grown is not None:
                    shadow[k] = grown
            if ins.op == "store":
                stores[ins.attr] = value
            elif ins.op == "emit":
                emits[ins.attr] = shadow.get(ins.args[0], value)
            values.append(value)
        return stores, emits

    def _shadow(
        self, k: int, args: list[Tensor], shadow: dict[int, Tensor], value: Tensor, surrogate: Surrogate
    ) -> Tensor | None:
        ins = self.program.instrs[k]
        if ins.op in ("lt", "le", "gt", "ge"):
            if ins.phase != DETECT or not args[0].is_floating_point():
                return None
            above = args[0] - args[1] if ins.op in ("gt", "ge") else args[1] - args[0]
            passed: Any = _Surrogate.apply(above, value, surrogate)
            return passed
        if ins.op not in ("and", "or", "not") or not any(a in shadow for a in ins.args):
            return None
        numbers = [shadow[a] if a in shadow else v.to(self.fmt.dtype) for a, v in zip(ins.args, args, strict=True)]
        if ins.op == "not":
            return 1 - numbers[0]
        product = numbers[0] * numbers[1]
        return product if ins.op == "and" else numbers[0] + numbers[1] - product

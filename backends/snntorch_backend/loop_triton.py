"""Fused loops printed as Triton: a program instance takes some neurons of one run through all steps, in registers.

What is printed keeps to the operations' meaning to the bit: divisions and roots are correctly rounded ones, and the
kernels are to be launched with ``enable_fp_fusion=False``. Functions are written out. Forward keeps the state of every
step, since a device's memory is fast beside its registers' number.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurosim.backends.compiled.cache import directory
from neurosim.backends.compiled.expressions import BIAS, FRACTION, TINY, WIDTH
from neurosim.backends.compiled.expressions import ROWS as NUMBA
from neurosim.backends.snntorch_backend.loop import Loop
from neurosim.ir.adjoint import BAR, bar
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.program import Instr, Program

SEGMENT = 1
"""Steps between two states that are kept for the way back."""

HEADER = "import triton\nimport triton.language as tl\n"

_OPERATORS = ("add", "sub", "mul", "neg", "lt", "le", "gt", "ge", "eq", "ne", "and", "or")
"""Operations that are operators of Python, and so are written as for numba."""


def number(value: float | int, dtype: str) -> str:
    """Return the text of a literal for all neurons of an instance: exactly this number in its type."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"tl.full((BLOCK,), {value}, tl.int64)"
    x = float(value)
    if dtype == "f32":
        with np.errstate(all="ignore"):
            x = float(np.float32(x))
    text = repr(x) if math.isfinite(x) else f'float("{x}")'
    return f"tl.full((BLOCK,), {text}, tl.float{WIDTH[dtype]})"


def _signed(bits: int, t: str) -> int:
    return bits - (1 << WIDTH[t]) if bits >> (WIDTH[t] - 1) else bits


def _bits(x: str, t: str) -> str:
    return f"({x}).to(tl.int{WIDTH[t]}, bitcast=True)"


def _view(x: str, t: str) -> str:
    return f"({x}).to(tl.float{WIDTH[t]}, bitcast=True)"


def _div(a: Sequence[str], attr: Any, t: str) -> str:
    real = [f"{x}.to(tl.float{WIDTH[t]})" for x in a]
    return f"tl.div_rn({real[0]}, {real[1]})" if t == "f32" else f"({real[0]} / {real[1]})"


def _rint(x: str, t: str) -> str:
    """Nearest integer, ties to even: a number so large that it has no fraction is added and taken away."""
    magic = repr(2.0 ** FRACTION[t])
    near = f"tl.where({x} < 0, -(({magic} - {x}) - {magic}), ({x} + {magic}) - {magic})"
    return f"tl.where((tl.abs({x}) < {magic}) & ({x} != 0), {near}, {x})"


def _round_to(a: Sequence[str], attr: Any, t: str) -> str:
    grid = repr(float(attr))  # a power of two: the quotient is exact
    return f"({_rint(f'({a[0]} * {1 / float(attr)!r})', t)} * {grid})"


def _pow2(a: Sequence[str], attr: Any, t: str) -> str:
    magic = repr(1.5 * 2.0 ** FRACTION[t])  # adding it leaves the integer in the low bits
    return _view(f"({_bits(f'{a[0]} + {magic}', t)} + {BIAS[t]}) << {FRACTION[t]}", t)


def _exponent(a: Sequence[str], attr: Any, t: str) -> str:
    raw = f"({_bits(a[0], t)} >> {FRACTION[t]}) & {2 * BIAS[t] + 1}"
    return f"(({raw}).to(tl.float{WIDTH[t]}) - {float(BIAS[t])!r})"


def _mantissa(a: Sequence[str], attr: Any, t: str) -> str:
    keep = _signed(((1 << WIDTH[t]) - 1) ^ ((2 * BIAS[t] + 1) << FRACTION[t]), t)
    return _view(f"({_bits(a[0], t)} & {keep}) | {BIAS[t] << FRACTION[t]}", t)


ROWS: dict[str, Callable[[Sequence[str], Any, str], str]] = {
    **{op: NUMBA[op] for op in _OPERATORS},
    "div": _div,
    "abs": lambda a, attr, t: f"tl.abs({a[0]})",
    "min": lambda a, attr, t: f"tl.where({a[0]} < {a[1]}, {a[0]}, {a[1]})",
    "max": lambda a, attr, t: f"tl.where({a[0]} > {a[1]}, {a[0]}, {a[1]})",
    "sqrt": lambda a, attr, t: f"tl.sqrt_rn({a[0]})" if t == "f32" else f"tl.sqrt({a[0]})",
    "floor": lambda a, attr, t: f"tl.floor({a[0]})",
    "rint": lambda a, attr, t: _rint(a[0], t),
    "flush": lambda a, attr, t: f"tl.where(tl.abs({a[0]}) < {TINY[t]!r}, tl.zeros_like({a[0]}), {a[0]})",
    "round_to": _round_to,
    "float": lambda a, attr, t: f"{a[0]}.to(tl.float{WIDTH[t]})",
    "pow2": _pow2,
    "exponent": _exponent,
    "mantissa": _mantissa,
    "not": lambda a, attr, t: f"(~{a[0]})",
    "select": lambda a, attr, t: f"tl.where({a[0]}, {a[1]}, {a[2]})",
}
"""Operation -> (names of the arguments, attribute, ``"f64"`` or ``"f32"``) -> text of the expression."""


class _Lines:
    """The text of programs, one assignment per instruction; literals are kept apart, to stand before the loop."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.lines, self.literals, self.count = dtype, list[str](), dict[str, str](), 0

    def literal(self, value: float | int) -> str:
        """Return the name of a literal."""
        return self.literals.setdefault(number(value, self.dtype), f"c{len(self.literals)}")

    def named(self, text: str) -> str:
        """Append an assignment and return its name."""
        self.count += 1
        self.lines.append(f"v{self.count} = {text}")
        return f"v{self.count}"

    def print(self, program: Program, leaf: Callable[[Instr], str]) -> list[str]:
        """Append a program; return the name of every value."""
        names: list[str] = []
        for ins in program.instrs:
            args = [names[a] for a in ins.args]
            if ins.op == "const":
                names.append(self.literal(ins.attr))
            elif ins.op in ("store", "emit"):
                names.append(args[0])
            elif ins.op in FUNCTIONS:
                function = FUNCTIONS[ins.op]
                body = function.body if self.dtype == "f64" else function.body_single
                inner = self.print(body, lambda i, args=args: args[i.attr])
                assert body.result is not None
                names.append(inner[body.result])
            elif not args or ins.op == "table":
                text = leaf(ins)
                names.append(text if text.isidentifier() else self.named(text))
            else:
                names.append(self.named(ROWS[ins.op](args, ins.attr, self.dtype)))
        return names


def _leaf(loop: Loop, dtype: str) -> Callable[[Instr], str]:
    def text(ins: Instr) -> str:
        op, attr = ins.op, ins.attr
        if op == "param":
            return f"p{loop.scalars.index(attr)}" if attr in loop.scalars else f"e{loop.rows.index(attr)}"
        if op == "load":
            return f"b{loop.states.index(attr[len(BAR) :])}" if attr.startswith(BAR) else f"s{loop.states.index(attr)}"
        if op == "inbox" and attr.startswith(BAR):
            return "d_spike"
        if op in ("step", "time", "index"):
            return {"step": "now", "time": "time", "index": "index"}[op]
        name = f"a{loop.inputs.index((op, attr))}"
        return f"({name} > 0)" if op == "scheduled" else name

    return text


_PLACE = """    run = tl.program_id(0).to(tl.int64)
    index = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    inside = index < neurons
    zero = {zero}
    one = {one}"""

_NUMBERS = ("neurons", "batch", "steps", "start")


def _head(name: str, loop: Loop, arrays: Sequence[str]) -> list[str]:
    strides = [f"stride{k}" for k in range(len(loop.inputs))]
    loose = ", ".join(repr(n) for n in ("steps", "start", "batch", *strides))
    arguments = ", ".join([*arrays, *_NUMBERS, *strides, "dt: tl.constexpr", "BLOCK: tl.constexpr"])
    return [f"@triton.jit(do_not_specialize=[{loose}])", f"def {name}({arguments}):"]


def _load(array: str, row: str) -> str:
    return f"tl.load({array} + ({row}) * neurons + index, mask=inside, other=0)"


def _store(array: str, row: str, value: str) -> str:
    return f"tl.store({array} + ({row}) * neurons + index, {value}, mask=inside)"


def _setup(loop: Loop, lines: _Lines) -> list[str]:
    shape = f"tl.zeros((BLOCK,), tl.float{WIDTH[lines.dtype]})"
    return [
        *_PLACE.format(zero=number(0.0, lines.dtype), one=number(1.0, lines.dtype)).splitlines(),
        *(f"    p{k} = tl.load(scalars + {k}) + {shape}" for k in range(len(loop.scalars))),
        *(f"    e{k} = {_load('each', str(k))}" for k in range(len(loop.rows))),
        *(f"    {name} = {text}" for text, name in lines.literals.items()),
    ]


def _now(loop: Loop, dtype: str) -> list[str]:
    return [
        "        now = (start + t + tl.zeros((BLOCK,), tl.int64))",
        f"        time = (now.to(tl.float64) * dt).to(tl.float{WIDTH[dtype]})",
        *(f"        a{k} = {_load(f'x{k}', f'run * stride{k} + t')}" for k in range(len(loop.inputs))),
    ]


def print_forward(loop: Loop, dtype: str, traced: Sequence[str], kept: bool) -> tuple[str, tuple[str, ...]]:
    """Return source and array arguments of the kernel ``ahead``; arguments as in the numba printer."""
    lines = _Lines(dtype)
    names = lines.print(loop.program, _leaf(loop, dtype))
    stores, count = loop.program.stores(), len(loop.states)
    arrays = ["scalars", "each", "before", "after", "kept", "spikes", *(f"x{k}" for k in range(len(loop.inputs))),
              *(f"trace{k}" for k in range(len(traced)))]  # fmt: skip
    out = [*_head("ahead", loop, arrays), *_setup(loop, lines)]
    out += [f"    s{k} = {_load('before', f'{k} * batch + run')}" for k in range(count)]
    out += ["    for t in range(steps):", *_now(loop, dtype)]
    if kept:
        out += [f"        {_store('kept', f'(run * steps + t) * {count} + {k}', f's{k}')}" for k in range(count)]
    out += [f"        {line}" for line in lines.lines]
    out += [f"        s{loop.states.index(name)} = {names[k]}" for name, k in stores.items()]
    if loop.event is not None:
        fired = names[loop.program.emits()[loop.event]]
        out += [f"        {_store('spikes', 'run * steps + t', f'tl.where({fired}, one, zero)')}"]
    for k, name in enumerate(traced):
        out += [f"        {_store(f'trace{k}', 'run * steps + t', f's{loop.states.index(name)}')}"]
    out += [f"    {_store('after', f'{k} * batch + run', f's{k}')}" for k in range(count)]
    return HEADER + "\n\n" + "\n".join(out) + "\n", tuple(arrays)


def print_backward(loop: Loop, dtype: str, traced: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return source and array arguments of the kernel ``back``."""
    assert loop.back is not None
    lines = _Lines(dtype)
    names = lines.print(loop.back, _leaf(loop, dtype))
    stores, count = loop.back.stores(), len(loop.states)
    arrays = ["scalars", "each", "kept", "d_after", "d_before", "d_params", "d_spikes",
              *(f"x{k}" for k in range(len(loop.inputs))), *(f"d_x{k}" for k in range(len(loop.arrivals))),
              *(f"d_trace{k}" for k in range(len(traced)))]  # fmt: skip
    out = [*_head("back", loop, arrays), *_setup(loop, lines)]
    out += [f"    b{k} = {_load('d_after', f'{k} * batch + run')}" for k in range(count)]
    out += [f"    total{k} = zero" for k in range(len(loop.trained))]
    out += ["    for ago in range(steps):", "        t = steps - 1 - ago", *_now(loop, dtype)]
    out += [f"        s{k} = {_load('kept', f'(run * steps + t) * {count} + {k}')}" for k in range(count)]
    for k, name in enumerate(traced):
        state = loop.states.index(name)
        out += [f"        b{state} = b{state} + {_load(f'd_trace{k}', 'run * steps + t')}"]
    if loop.event is not None:
        out += [f"        d_spike = {_load('d_spikes', 'run * steps + t')}"]
    out += [f"        {line}" for line in lines.lines]

    def found(op: str, name: str) -> str:
        place = stores.get(bar(op, name))
        return "zero" if place is None else names[place]

    for k, name in enumerate(loop.arrivals):
        out += [f"        {_store(f'd_x{k}', 'run * steps + t', found('inbox', name))}"]
    out += [f"        total{k} = total{k} + {found('param', name)}" for k, name in enumerate(loop.trained)]
    out += [f"        new{k} = {found('load', name)}" for k, name in enumerate(loop.states)]
    out += [f"        b{k} = new{k}" for k in range(count)]
    out += [f"    {_store('d_before', f'{k} * batch + run', f'b{k}')}" for k in range(count)]
    out += [f"    {_store('d_params', f'{k} * batch + run', f'total{k}')}" for k in range(len(loop.trained))]
    return HEADER + "\n\n" + "\n".join(out) + "\n", tuple(arrays)


def kernel(source: str, name: str) -> Any:
    """Return a kernel of a printed module. Triton reads a function's text from a file, so the module becomes one."""
    hashed = hashlib.sha256(source.encode()).hexdigest()[:32]
    path = directory() / f"triton-{name}-{hashed}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(f".{np.random.default_rng().integers(1 << 62)}.tmp")
        part.write_text(source, encoding="utf-8")
        part.replace(path)
    spec = importlib.util.spec_from_file_location(f"_neurosim_{name}_{hashed}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)

"""What Brian2 lacks: every operation whose bits matter, as a Brian2 function for each of its targets.

One C header holds them all. Cython code and C++ standalone code include it; the numpy target calls the interpreter's
own rows. Functions such as exp are printed from their programs, so nothing here computes anything a second time. All
values are doubles (whole numbers are exact up to 2^53), because Brian2's integers have 32 bits.

Division has a function too: Cython code of Brian2 raises an exception where a divisor is 0.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.interp import FORMATS, ROWS, call
from neurosim.ir.random import POISSON_COUNT_LIMIT, POISSON_MEAN_LIMIT, philox, poisson_inversion

PREFIX = "ns_"
"""First letters of every name in the header and in printed code."""

TABLE, SCHEDULE, COUNT = 0.0, 1.0, 2.0
"""First argument of ``ns_lookup``: a row of a time array; a step in a list?; how many thresholds are reached."""

_DOUBLE = FORMATS[np.dtype(np.float64)]

_PRIMITIVE = """
static inline uint64_t ns_bits(double a) { uint64_t b; std::memcpy(&b, &a, 8); return b; }
static inline double ns_float(uint64_t b) { double a; std::memcpy(&a, &b, 8); return a; }
static inline double ns_same(double a) { return a; }
static inline double ns_div(double a, double b) { return a / b; }
static inline double ns_abs(double a) { return std::fabs(a); }
static inline double ns_min(double a, double b) { return a < b ? a : b; }
static inline double ns_max(double a, double b) { return a > b ? a : b; }
static inline double ns_sqrt(double a) { return std::sqrt(a); }
static inline double ns_floor(double a) { return std::floor(a); }
static inline double ns_rint(double a) { return std::rint(a); }
static inline double ns_flush(double a) { return std::fabs(a) < 1e-300 ? 0.0 : a; }
static inline double ns_round_to(double a, double grid) { return std::rint(a / grid) * grid; }
static inline double ns_select(bool c, double a, double b) { return c ? a : b; }
static inline double ns_pow2(double a) { return ns_float((ns_bits(a + 6755399441055744.0) + 1023u) << 52); }
static inline double ns_exponent(double a) { return (double)(int64_t)((ns_bits(a) >> 52) & 0x7ffu) - 1023.0; }
static inline double ns_mantissa(double a)
{
    return ns_float((ns_bits(a) & 0x800fffffffffffffULL) | 0x3ff0000000000000ULL);
}
"""

_RANDOM = f"""
static inline double ns_word(double k0, double k1, double n, double index)
{{
    uint32_t key0 = (uint32_t)k0, key1 = (uint32_t)k1;
    const uint64_t i = (uint64_t)index, step = (uint64_t)n;
    uint32_t c[4] = {{(uint32_t)(i >> 2), (uint32_t)(i >> 34), (uint32_t)step, (uint32_t)(step >> 32)}};
    for (int round = 0; round < 10; round++)
    {{
        const uint64_t p0 = (uint64_t)c[0] * 0xD2511F53u, p1 = (uint64_t)c[2] * 0xCD9E8D57u;
        const uint32_t a = (uint32_t)(p1 >> 32) ^ c[1] ^ key0, b = (uint32_t)(p0 >> 32) ^ c[3] ^ key1;
        c[0] = a; c[1] = (uint32_t)p1; c[2] = b; c[3] = (uint32_t)p0;
        key0 += 0x9E3779B9u; key1 += 0xBB67AE85u;
    }}
    return (double)c[i & 3];
}}
static inline double ns_poisson_of(double word, double mean)
{{
    if (mean > {POISSON_MEAN_LIMIT!r}) return NAN;
    if (!(mean > 0.0)) return 0.0;
    const double u = (word + 0.5) * {2.0**-32!r};
    double p = ns_exp(-mean), s = p, k = 0.0;
    while (u > s && k < {float(POISSON_COUNT_LIMIT)!r}) {{ k = k + 1.0; p = p * mean / k; s = s + p; }}
    return k;
}}
static inline double ns_reached(const double *sorted, int64_t count, double x)
{{
    int64_t lo = 0, hi = count;
    while (lo < hi) {{ const int64_t at = (lo + hi) / 2; if (sorted[at] <= x) lo = at + 1; else hi = at; }}
    return (double)lo;
}}
static inline double ns_find(const double *data, double kind, double x, double base, double index)
{{
    const double *d = data + (int64_t)base;
    if (kind == {TABLE!r})
    {{
        const int64_t rows = (int64_t)d[1], width = (int64_t)d[3];
        int64_t k = (int64_t)x / (int64_t)d[0];
        k = d[2] != 0.0 ? k % rows : (k < rows ? k : rows - 1);
        return d[4 + k * width + (width > 1 ? (int64_t)index : 0)];
    }}
    if (kind == {COUNT!r}) return ns_reached(d + 1, (int64_t)d[0], x);
    const double at = d[1] > 0.0 ? (double)((int64_t)x % (int64_t)d[1]) : x;
    const double k = ns_reached(d + 2, (int64_t)d[0], at);
    return k > 0.0 && d[1 + (int64_t)k] == at ? 1.0 : 0.0;
}}
"""

_WATCH = """
static inline double ns_watch(double seen, double x, double n)
{
    return seen >= 0.0 || std::isfinite(x) ? seen : 2.0 * n + 1.0;
}
static inline double ns_watch_sum(double seen, double sum, double limit, double n)
{
    return seen >= 0.0 || !(std::fabs(sum) > limit) ? seen : 2.0 * n;
}
"""

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&&", "or": "||"}  # fmt: skip
_CALLED = ("abs", "min", "max", "sqrt", "floor", "rint", "flush", "pow2", "exponent", "mantissa", *FUNCTIONS)


def c_literal(value: float) -> str:
    """Return the text of a number in C: exactly this number."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return f"({value!r})" if repr(value).startswith("-") else repr(value)


def print_function(name: str) -> str:
    """Return one function of the IR in C, from its program in double precision."""
    body = FUNCTIONS[name].body
    types = body.types()
    texts: list[str] = []
    lines = [f"static inline double {PREFIX}{name}({', '.join(f'double a{k}' for k in range(FUNCTIONS[name].arity))})"]
    lines.append("{")
    for k, ins in enumerate(body.instrs):
        a = [texts[i] for i in ins.args]
        if ins.op == "arg":
            texts.append(f"a{ins.attr}")
            continue
        if ins.op == "const":
            texts.append(c_literal(float(ins.attr)))
            continue
        if ins.op in _INFIX:
            text = f"{a[0]} {_INFIX[ins.op]} {a[1]}"
        elif ins.op in ("neg", "not"):
            text = f"{'-' if ins.op == 'neg' else '!'}{a[0]}"
        elif ins.op == "select":
            text = f"{a[0]} ? {a[1]} : {a[2]}"
        elif ins.op in _CALLED:
            text = f"{PREFIX}{ins.op}({', '.join(a)})"
        else:
            raise AssertionError(f"the body of {name} uses {ins.op}")
        texts.append(f"v{k}")
        lines.append(f"    const {'bool' if types[k] == 'b' else 'double'} v{k} = {text};")
    assert body.result is not None
    return "\n".join([*lines, f"    return {texts[body.result]};", "}"])


@cache
def header() -> str:
    """Return the C header with all functions."""
    parts = ["#pragma once\n#include <cmath>\n#include <cstdint>\n#include <cstring>", _PRIMITIVE]
    parts += [print_function(name) for name in FUNCTIONS]
    return "\n".join([*parts, _RANDOM, _WATCH])


@cache
def header_name() -> str:
    """Return the header's file name, which changes with its text: compiled code is cached by the name it includes."""
    return f"neurosim_{hashlib.sha256(header().encode()).hexdigest()[:16]}.h"


# -- the numpy target ------------------------------------------------------------------------------------------


def _row(op: str, *args: Any) -> Any:
    return ROWS[op](_DOUBLE, None, *[np.asarray(a, dtype=np.float64)[()] for a in args])


def _same(a: Any) -> Any:
    return np.array(a, dtype=np.float64)[()]


def _select(c: Any, a: Any, b: Any) -> Any:
    return ROWS["select"](_DOUBLE, None, c, np.float64(a), np.float64(b))


def _round_to(a: Any, grid: Any) -> Any:
    return ROWS["round_to"](_DOUBLE, grid, np.asarray(a, dtype=np.float64)[()])


def _word(k0: Any, k1: Any, n: Any, index: Any) -> Any:
    """Return words for the neurons; one key at a time, since neurons of several populations may stand together."""
    index = np.atleast_1d(np.asarray(index)).astype(np.uint64)
    low, high = (np.broadcast_to(np.asarray(k).astype(np.uint64), index.shape) for k in (k0, k1))
    out = np.empty(index.shape)
    for key in np.unique(low | (high << np.uint64(32))):
        at = (low | (high << np.uint64(32))) == key
        own = index[at] >> np.uint64(2)
        blocks, where = np.unique(own, return_inverse=True)
        words = philox(blocks, np.uint64(int(n)), (int(key) & 0xFFFFFFFF, int(key) >> 32))
        out[at] = words[where, (index[at] & np.uint64(3)).astype(np.intp)]
    return out


def _poisson_of(word: Any, mean: Any) -> Any:
    words, means = np.broadcast_arrays(np.asarray(word).astype(np.uint32), np.asarray(mean, dtype=np.float64))
    counts = poisson_inversion(words, np.minimum(means, POISSON_MEAN_LIMIT)).astype(np.float64)
    return np.where(means > POISSON_MEAN_LIMIT, np.nan, counts)


def _reached(data: np.ndarray, start: np.ndarray, count: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return how many of the ``count`` ascending numbers from ``start`` on do not exceed x, for every neuron."""
    lo, hi = np.zeros_like(count), count.copy()
    while np.any(lo < hi):
        at = (lo + hi) // 2
        below = (lo < hi) & (data[np.minimum(start + at, len(data) - 1)] <= x)
        lo, hi = np.where(below, at + 1, lo), np.where(below | (lo >= hi), hi, at)
    return lo


def _find(data: np.ndarray, kind: float, x: Any, base: Any, index: Any) -> Any:
    x, base, index = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), np.asarray(base).astype(np.int64), np.asarray(index).astype(np.int64)
    )
    if kind == TABLE:
        every, rows, repeat, width = (data[base + k].astype(np.int64) for k in range(4))
        k = x.astype(np.int64) // every
        k = np.where(repeat != 0, k % rows, np.minimum(k, rows - 1))
        return data[base + 4 + k * width + np.where(width > 1, index, 0)]
    count = data[base].astype(np.int64)
    if kind == COUNT:
        return _reached(data, base + 1, count, x).astype(np.float64)
    period = data[base + 1]
    at = np.where(period > 0, x % np.maximum(period, 1.0), x)
    k = _reached(data, base + 2, count, at)
    return np.where((k > 0) & (data[base + 1 + k] == at), 1.0, 0.0)


# -- Brian2's functions -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spec:
    arity: int
    python: Callable[..., Any]


def _specs() -> dict[str, _Spec]:
    out = {op: _Spec(2, partial(_row, op)) for op in ("div", "min", "max")}
    rows = ("abs", "sqrt", "floor", "rint", "flush", "pow2", "exponent", "mantissa")
    out |= {op: _Spec(1, partial(_row, op)) for op in rows}
    out |= {name: _Spec(f.arity, partial(call, name)) for name, f in FUNCTIONS.items()}
    out |= {"same": _Spec(1, _same), "select": _Spec(3, _select), "round_to": _Spec(2, _round_to)}
    out |= {"word": _Spec(4, _word), "poisson_of": _Spec(2, _poisson_of)}
    return out | {"watch": _Spec(3, _unused), "watch_sum": _Spec(4, _unused)}


def _unused(*args: Any) -> Any:
    raise AssertionError("only standalone code watches itself")


@cache
def fixed_functions() -> dict[str, Any]:
    """Return Brian2 functions by name: those that depend on no network."""
    return {f"{PREFIX}{name}": _make(f"{PREFIX}{name}", spec) for name, spec in _specs().items()}


def _make(name: str, spec: _Spec) -> Any:
    from brian2 import Function

    units = [None if name == f"{PREFIX}select" and k == 0 else 1 for k in range(spec.arity)]
    function = Function(spec.python, arg_units=units, return_unit=1, arg_types=["any"] * spec.arity,
                        return_type="float", stateless=True)  # fmt: skip
    kinds = ["bint" if unit is None else "double" for unit in units]
    declared = f'cdef extern from "{header_name()}" nogil:\n    double {name}({", ".join(kinds)})\n'
    function.implementations.add_implementation("numpy", code=spec.python, name=name)
    function.implementations.add_implementation("cython", code=declared, name=name)
    function.implementations.add_implementation("cpp", code=None, name=name)
    return function


def lookup_function(data: np.ndarray) -> Any:
    """Return the Brian2 function ``ns_lookup(kind, x, base, index)`` over a network's tables and lists.

    Parameters
    ----------
    data : ndarray of float64
        Time arrays, spike lists and Poisson thresholds one after the other; ``base`` is where one starts.
    """
    from brian2 import Function

    name, key = f"{PREFIX}lookup", f"{PREFIX}data"
    function = Function(partial(_find, data), arg_units=[1] * 4, return_unit=1, arg_types=["float"] * 4,
                        return_type="float", stateless=True)  # fmt: skip
    inner = f"{PREFIX}find"
    cython = (
        f'cdef extern from "{header_name()}" nogil:\n'
        f"    double {inner}(const double *, double, double, double, double)\n\n"
        f"cdef double {name}(double kind, double x, double base, double index) noexcept:\n"
        f"    return {inner}(_namespace{key}, kind, x, base, index)\n"
    )
    cpp = (
        f"static inline double {name}(double kind, double x, double base, double index)\n"
        f"{{\n    return {inner}(_namespace{key}, kind, x, base, index);\n}}\n"
    )
    function.implementations.add_implementation("numpy", code=partial(_find, data), name=name)
    function.implementations.add_implementation("cython", code=cython, name=name, namespace={key: data})
    function.implementations.add_implementation("cpp", code=cpp, name=name, namespace={key: data})
    return function

"""The interpreter row by row, and the numba printer's rows against it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from neurosim.backends.compiled.expressions import HEADER, ROWS, expression, literal
from neurosim.errors import VerifyError
from neurosim.ir import interp
from neurosim.ir.interp import call, evaluate
from neurosim.ir.ops import EFFECTS, FUNCTIONS, OPS
from neurosim.ir.program import Builder, Instr, Program

PRECISIONS = {"f64": np.float64, "f32": np.float32}
INF, NAN = math.inf, math.nan
Array = NDArray[Any]
both = pytest.mark.parametrize("precision", PRECISIONS)


def one(op: str, *args: Any, attr: Any = None, dtype: Any = np.float64) -> Any:
    """The value of a single operation; arguments come in as loads."""
    b = Builder()
    k = b.emit(op, *(b.emit("load", attr=str(i)) for i in range(len(args))), attr=attr)
    values = [a if isinstance(a, bool) else np.asarray(a)[()] for a in args]
    cast = [v.astype(dtype) if getattr(v, "dtype", np.dtype(bool)).kind == "f" else v for v in values]
    return evaluate(Program(tuple(b.instrs), k), lambda ins: cast[int(ins.attr)], dtype)[k]


def bits(x: Any) -> Any:
    x = np.asarray(x)
    return x.view({8: np.uint64, 4: np.uint32, 1: np.uint8}[x.dtype.itemsize])


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and bool(np.all((bits(a) == bits(b)) | ((a != a) & (b != b))))


def test_every_operation_has_a_meaning() -> None:
    asked = {n for n, o in OPS.items() if o.group in ("leaf", "random", "table")}
    assert set(interp.ROWS) | FUNCTIONS | asked == set(OPS)
    assert set(ROWS) == (set(OPS) - asked - EFFECTS) | {"const"}


@both
def test_arithmetic_stays_in_its_precision(precision: str) -> None:
    dtype = PRECISIONS[precision]
    b = Builder()
    x, n = b.emit("load", attr="x"), b.emit("step")
    c = b.const(0.1)
    s = b.emit("add", b.emit("mul", x, c), b.emit("float", n))
    for op in ("sqrt", "floor", "rint", "abs", "neg", "flush"):
        s = b.emit(op, s)
    for name in sorted(FUNCTIONS):
        s = b.emit("add", s, b.emit(name, *[x] * OPS[name].arity))
    for op in ("min", "max", "div", "sub"):
        s = b.emit(op, s, x)
    s = b.emit("select", b.emit("lt", s, c), s, c)
    s = b.emit("round_to", s, attr=2.0**-10)
    program = b.build(b.emit("store", s, attr="x"))
    for value in (np.linspace(0.1, 0.9, 7).astype(dtype), dtype(0.25), 0.25):
        for step in (3, np.int64(3), np.arange(7)):
            values = evaluate(program, lambda i, v=value, t=step: v if i.op == "load" else t, dtype)
            for kind, v in zip(program.types(), values, strict=True):
                assert v.dtype == {"f": np.dtype(dtype), "i": np.dtype(np.int64), "b": np.dtype(bool)}[kind]


def test_literals() -> None:
    b = Builder()
    b.const(0.1), b.const(3), b.const(INF), b.const(-7)
    for dtype in (np.float64, np.float32):
        v = evaluate(Program(tuple(b.instrs)), lambda i: None, dtype)
        assert [x.dtype for x in v] == [dtype, np.int64, dtype, np.int64]
        assert v[0] == dtype(0.1) and v[1] == 3 and v[2] == INF and v[3] == -7
    assert float(evaluate(Program(tuple(b.instrs)), lambda i: None, np.float32)[0]) != 0.1


@both
def test_min_and_max_are_selections(precision: str) -> None:
    dtype = PRECISIONS[precision]
    assert same(one("min", 0.0, -0.0, dtype=dtype), dtype(-0.0)) and same(
        one("min", -0.0, 0.0, dtype=dtype), dtype(0.0)
    )
    assert same(one("max", 0.0, -0.0, dtype=dtype), dtype(-0.0)) and same(
        one("max", -0.0, 0.0, dtype=dtype), dtype(0.0)
    )
    assert one("min", NAN, 1.0, dtype=dtype) == 1.0 and np.isnan(one("min", 1.0, NAN, dtype=dtype))
    assert one("max", NAN, 1.0, dtype=dtype) == 1.0 and np.isnan(one("max", 1.0, NAN, dtype=dtype))
    assert one("min", np.array([1, 5]), np.array([3, 2])).tolist() == [1, 2]


def test_rint_ties_to_even() -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.5000001, 1e300, INF])
    assert same(one("rint", x), np.array([-2.0, -2.0, -0.0, 0.0, 2.0, 2.0, 3.0, 1e300, INF]))


def test_flush() -> None:
    x = np.array([0.9e-300, -0.9e-300, 1e-300, -1e-300, 0.0, -0.0, 5e-324, 1.0, INF, NAN])
    assert same(one("flush", x), np.array([0.0, 0.0, 1e-300, -1e-300, 0.0, 0.0, 0.0, 1.0, INF, NAN]))
    x = np.array([0.9e-30, -0.9e-30, 1e-30, -1e-30, -0.0, 1e-44], dtype=np.float32)
    assert same(one("flush", x, dtype=np.float32), np.array([0.0, 0.0, 1e-30, -1e-30, 0.0, 0.0], dtype=np.float32))


@given(st.floats(-1e6, 1e6), st.integers(-40, 10))
def test_round_to(x: float, power: int) -> None:
    grid = 2.0**power
    y = float(one("round_to", x, attr=grid))
    assert y / grid == round(x / grid) and abs(y - x) <= grid / 2
    assert float(one("round_to", y, attr=grid)) == y


@both
@given(value=st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_exponent_and_mantissa(precision: str, value: float) -> None:
    dtype = PRECISIONS[precision]
    with np.errstate(all="ignore"):
        x = dtype(value)
    if not np.isfinite(x) or abs(x) < np.finfo(dtype).tiny:
        return
    e, m = one("exponent", x, dtype=dtype), one("mantissa", x, dtype=dtype)
    assert e.dtype == m.dtype == dtype
    assert 1 <= abs(m) < 2 and float(m) * 2.0 ** (int(e) // 2) * 2.0 ** (int(e) - int(e) // 2) == float(x)
    assert one("pow2", e, dtype=dtype) == math.ldexp(1.0, int(e))


@both
def test_pow2(precision: str) -> None:
    dtype = PRECISIONS[precision]
    low, high = (-1022, 1023) if precision == "f64" else (-126, 127)
    k = np.arange(low, high + 1)
    assert same(one("pow2", k.astype(dtype), dtype=dtype), np.ldexp(dtype(1.0), k))
    assert one("pow2", low - 1.0, dtype=dtype) == 0.0 and one("pow2", high + 1.0, dtype=dtype) == INF


def test_comparisons_and_logic() -> None:
    a, b = np.array([1.0, 2.0, 3.0, NAN]), np.array([2.0, 2.0, 2.0, 2.0])
    expected = {"lt": [1, 0, 0, 0], "le": [1, 1, 0, 0], "gt": [0, 0, 1, 0], "ge": [0, 1, 1, 0], "eq": [0, 1, 0, 0],
                "ne": [1, 0, 1, 1]}  # fmt: skip
    for op, row in expected.items():
        assert one(op, a, b).tolist() == [bool(v) for v in row]
    p, q = np.array([True, True, False]), np.array([True, False, False])
    assert one("and", p, q).tolist() == [True, False, False] and one("or", p, q).tolist() == [True, True, False]
    assert one("not", p).tolist() == [False, False, True]
    assert one("float", p, dtype=np.float32).dtype == np.float32
    assert one("select", q, a[:3], -1.0).tolist() == [1.0, -1.0, -1.0]


@both
def test_nothing_warns(precision: str) -> None:
    """Under conftest's strict errors: overflow, division by zero and invalid operations are values."""
    dtype = PRECISIONS[precision]
    big = np.finfo(dtype).max
    assert one("mul", big, 2.0, dtype=dtype) == INF and one("div", 1.0, 0.0, dtype=dtype) == INF
    assert np.isnan(one("sqrt", -1.0, dtype=dtype)) and np.isnan(one("sub", INF, INF, dtype=dtype))
    assert one("mul", np.finfo(dtype).tiny, 1e-10, dtype=dtype) < 1e-40 or precision == "f64"


def test_leaves_are_asked_with_their_arguments() -> None:
    b = Builder()
    mean = b.emit("param", attr="rate")
    count = b.emit("poisson_of", mean, attr=4)
    row = b.emit("table", b.emit("time"), attr="current")
    b.emit("emit", b.emit("gt", count, row), attr="spike")
    asked: list[tuple[str, Any, tuple[Any, ...]]] = []

    def leaf(ins: Instr, *args: Any) -> Any:
        asked.append((ins.op, ins.attr, args))
        return {"param": 3.0, "poisson_of": np.array([2.0, 7.0]), "time": 0.5, "table": 5.0}[ins.op]

    values = evaluate(Program(tuple(b.instrs)), leaf)
    assert asked == [("param", "rate", ()), ("poisson_of", 4, (3.0,)), ("time", None, ()), ("table", "current", (0.5,))]
    assert values[-1].tolist() == [False, True]


def test_functions_may_be_asked_too() -> None:
    b = Builder()
    b.emit("exp", b.emit("load", attr="x"))
    program = Program(tuple(b.instrs))
    assert evaluate(program, lambda ins, *a: 2.0 if ins.op == "load" else np.float64(9.0), functions=False)[1] == 9.0
    assert evaluate(program, lambda ins, *a: 2.0)[1] == call("exp", 2.0)


def test_a_value_of_the_wrong_precision_is_our_bug() -> None:
    program = Program((Instr("load", (), "v"),))
    with pytest.raises(VerifyError, match="float64 in a run of float32"):
        evaluate(program, lambda ins: np.zeros(3), np.float32)
    with pytest.raises(VerifyError, match="float16"):
        evaluate(program, lambda ins: np.zeros(3), np.float16)
    with pytest.raises(VerifyError, match="only a step"):
        interp._one(Instr("load", (), "v"), [], interp.FORMATS[np.dtype(np.float64)], None, True)


@pytest.mark.parametrize("value", [0.1, -0.1, 0.0, -0.0, 1e-320, 1e300, INF, -INF, NAN, 3, -3, 1 / 3])
@both
def test_literals_are_printed_exactly(value: float, precision: str) -> None:
    back = eval(literal(value, precision), {"np": np})
    if isinstance(value, int):
        assert back == value and isinstance(back, int)
        return
    with np.errstate(all="ignore"):
        assert same(PRECISIONS[precision](value), PRECISIONS[precision](back))
        assert precision == "f64" or isinstance(back, np.float32)


@both
def test_numba_computes_every_row(precision: str) -> None:
    """One compiled loop holds all primitive rows; one output column each."""
    from numba import njit

    dtype = PRECISIONS[precision]
    b = Builder()
    x, y, n = b.emit("load", attr="x"), b.emit("load", attr="y"), b.emit("load", attr="n")
    c, d = b.emit("lt", x, y), b.emit("ne", x, b.const(0.5))
    results = [b.emit(op, x, y) for op in ("add", "sub", "mul", "div", "min", "max")]
    unary = ("neg", "abs", "sqrt", "floor", "rint", "flush", "pow2", "exponent", "mantissa")
    results += [b.emit(op, x) for op in unary]
    results += [b.emit("round_to", y, attr=2.0**-8), b.emit("float", n), b.emit("float", c)]
    results += [b.emit("select", b.emit(op, x, y), x, b.const(0.1)) for op in ("lt", "le", "gt", "ge", "eq", "ne")]
    logic = [b.emit("and", c, d), b.emit("or", c, d), b.emit("not", c)]
    results += [b.emit("select", k, x, y) for k in logic]
    results += [b.emit("float", b.emit(op, n, b.const(3))) for op in ("add", "sub", "mul", "min", "max")]
    results += [b.emit("float", b.emit(op, n)) for op in ("neg", "abs")]
    program = Program(tuple(b.instrs))

    texts: list[str] = []
    lines = ["def loop(x, y, n, out):", "    for i in range(x.size):"]
    for k, ins in enumerate(program.instrs):
        text = (
            f"{ins.attr}[i]"
            if ins.op == "load"
            else expression(ins.op, [texts[a] for a in ins.args], ins.attr, precision)
        )
        texts.append(text if ins.op == "const" else f"v{k}")
        lines += [] if ins.op == "const" else [f"        v{k} = {text}"]
    lines += [f"        out[{row}, i] = v{k}" for row, k in enumerate(results)]
    namespace: dict[str, Any] = {}
    exec(HEADER + "\n".join(lines), namespace)

    rng = np.random.default_rng(1)
    shape = 2000
    special = [0.0, -0.0, INF, -INF, NAN, 0.5, 1e-310, 1e-44, 2.5, -2.5]
    wide = 10.0 ** rng.uniform(-38, 38, shape)
    parts = [rng.normal(0, 3, shape), np.round(rng.normal(0, 40, shape)), wide, special]
    given_x = np.concatenate(parts).astype(dtype)
    given_y = rng.permutation(given_x)
    whole = rng.integers(-(2**62), 2**62, given_x.size)
    whole[::2] = rng.integers(-100, 100, whole[::2].size)
    out = np.empty((len(results), given_x.size), dtype)
    njit(error_model="numpy")(namespace["loop"])(given_x, given_y, whole, out)
    values = evaluate(program, lambda ins: {"x": given_x, "y": given_y, "n": whole}[ins.attr], dtype)
    for row, k in enumerate(results):
        assert same(out[row], values[k]), program.instrs[k]

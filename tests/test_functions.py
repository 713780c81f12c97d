"""The functions: error bounds over their ranges, special values, and the same bits from numba as from NumPy.

Large samples are measured against the next wider format (extended precision on x86, double for single), a small one
against 50 digits, so that nothing rests on a library alone.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosim.backends.compiled.expressions import HEADER, function_sources, print_function
from neurosim.errors import UnsupportedError
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.interp import call
from neurosim.ir.ops import FUNCTIONS as NAMES
from neurosim.ir.ops import OPS

PRECISIONS = {"f64": np.float64, "f32": np.float32}
WIDE: dict[str, type] = {"f64": np.longdouble, "f32": np.float64}
HAS_EXTENDED = np.finfo(np.longdouble).nmant >= 63
ALLOWED = {"add", "sub", "mul", "div", "neg", "abs", "min", "max", "sqrt", "floor", "rint", "lt", "le", "gt", "ge",
           "eq", "ne", "and", "or", "not", "select", "pow2", "exponent", "mantissa", "const", "arg"}  # fmt: skip
INF, NAN = math.inf, math.nan
Array = NDArray[Any]
both = pytest.mark.parametrize("precision", PRECISIONS)
each = pytest.mark.parametrize("name", FUNCTIONS)


def uniform(low: float, high: float) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, n: rng.uniform(low, high, n)


def magnitudes(low: float, high: float, signs: tuple[int, ...] = (1,)) -> Callable[[np.random.Generator, int], Array]:
    """Log-uniform between two powers of ten."""
    return lambda rng, n: 10.0 ** rng.uniform(low, high, n) * rng.choice(signs, n)


# name -> samples over the domain; each is one sampler per argument
def samples(name: str, precision: str) -> list[tuple[Callable[[np.random.Generator, int], Array], ...]]:
    double = precision == "f64"
    bottom, top = (-708.0, 709.7) if double else (-86.5, 88.7)
    small, large = (-300.0, 300.0) if double else (-36.0, 37.0)
    angle = 1e8 if double else 1e4
    signed = (-1, 1)
    whole = [(uniform(-1.0, 1.0),), (uniform(-8.0, 8.0),), (uniform(bottom, top),), (magnitudes(small, 0.0, signed),)]
    table: dict[str, list[tuple[Callable[[np.random.Generator, int], Array], ...]]] = {
        "exp": whole,
        "expm1": whole,
        "exprel": whole,
        "sigmoid": [(uniform(-8.0, 8.0),), (uniform(bottom, top),)],
        "tanh": whole,
        "log": [(uniform(0.5, 2.0),), (uniform(0.99, 1.01),), (magnitudes(small, large),)],
        "log1p": [(uniform(-0.999, 3.0),), (magnitudes(small, large),), (magnitudes(-20.0, -0.01, (-1,)),)],
        "sin": [(uniform(-4.0, 4.0),), (uniform(-angle, angle),), (magnitudes(small, 1.0, signed),)],
        "cos": [(uniform(-4.0, 4.0),), (uniform(-angle, angle),), (magnitudes(small, 1.0, signed),)],
        "pow": [
            (uniform(0.0, 10.0), uniform(-10.0, 10.0)),
            (uniform(0.5, 2.0), uniform(-1000.0, 1000.0) if double else uniform(-120.0, 120.0)),
            (uniform(0.999, 1.001), uniform(-5e5, 5e5) if double else uniform(-8e4, 8e4)),
            (magnitudes(small, large), uniform(-1.0, 1.0)),
        ],
        "ndtri": [(uniform(0.0, 1.0),), (uniform(0.07, 0.93),), (magnitudes(small, -1.0),), (magnitudes(-11.0, -0.4),)],
    }
    return table[name]


WIDER: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "exprel": lambda x: np.expm1(x) / x,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "pow": np.power,
}


def _ndtri(p: Any) -> Any:
    """Newton from our own value: the square of its error is what remains."""
    x = mpmath.mpf(float(call("ndtri", float(p))))
    root = mpmath.sqrt(2)
    return x - (mpmath.erfc(-x / root) / 2 - p) / (mpmath.exp(-x * x / 2) / (root * mpmath.sqrt(mpmath.pi)))


EXACT: dict[str, Callable[..., Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "exprel": lambda x: mpmath.expm1(x) / x,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "pow": mpmath.power,
    "ndtri": _ndtri,
}


def draw(name: str, precision: str, k: int, count: int) -> list[Array]:
    rng = np.random.default_rng([k, count])
    dtype = PRECISIONS[precision]
    out = [sampler(rng, count).astype(dtype) for sampler in samples(name, precision)[k]]
    if name == "ndtri":
        out[0] = out[0][out[0] < 1]
    return [x[x != 0] if len(out) == 1 else x for x in out]


def bound(name: str, precision: str) -> float:
    """The bound as the function states it."""
    found = re.match(r"double ([\d.]+) ulp, single ([\d.]+) ulp", FUNCTIONS[name].bound)
    assert found, FUNCTIONS[name].bound
    return float(found[1 if precision == "f64" else 2])


def worst_wide(name: str, precision: str, k: int, count: int) -> float:
    """Largest error in ulp against the next wider format, of results that are normal numbers."""
    args = draw(name, precision, k, count)
    got = call(name, *args, dtype=PRECISIONS[precision])
    with np.errstate(all="ignore"):
        ref = WIDER[name](*[x.astype(WIDE[precision]) for x in args])
        near = ref.astype(PRECISIONS[precision])
        smallest = 2.0**-1020 if precision == "f64" else 2.0**-124
        use = np.isfinite(near) & (np.abs(near) > (smallest if name == "pow" else np.finfo(near.dtype).tiny))
        error = np.abs(got.astype(ref.dtype) - ref)[use] / np.spacing(np.abs(near[use])).astype(ref.dtype)
    assert use.mean() > 0.5
    return float(error.max())


def worst_exact(name: str, precision: str, k: int, count: int) -> float:
    """The same against 50 digits."""
    args = draw(name, precision, k, count)
    got = call(name, *args, dtype=PRECISIONS[precision])
    worst = 0.0
    smallest = 2.0**-1020 if precision == "f64" else 2.0**-124
    with mpmath.workdps(50):
        for value, *xs in zip(got.tolist(), *(x.tolist() for x in args), strict=True):
            ref = EXACT[name](*[mpmath.mpf(x) for x in xs])
            if abs(ref) < smallest or abs(ref) > np.finfo(got.dtype).max:
                continue
            ulp = float(np.spacing(PRECISIONS[precision](abs(float(ref)))))
            worst = max(worst, float(abs(mpmath.mpf(value) - ref) / ulp))
    return worst


def adversarial(name: str, precision: str, count: int) -> list[Array]:
    """Arguments for bit comparisons: every bit pattern, denormals, infinities and nan, and a typical range."""
    rng = np.random.default_rng(3)
    dtype = PRECISIONS[precision]
    bits = np.uint64 if precision == "f64" else np.uint32
    out = []
    for k in range(FUNCTIONS[name].arity):
        low, high = (
            (0.0, 1.0) if name == "ndtri" else (0.0, 4.0) if name in ("log", "pow") and k == 0 else (-30.0, 30.0)
        )
        patterns = rng.integers(0, np.iinfo(bits).max, count // 4, dtype=bits, endpoint=True).view(dtype)
        typical = rng.uniform(low, high, count - 2 * (count // 4)).astype(dtype)
        wide = (10.0 ** rng.uniform(-38, 38, count // 4)).astype(dtype)
        x = np.concatenate([typical, patterns, wide])
        special = np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, np.finfo(dtype).tiny, 5e-324], dtype=dtype)
        x[: len(special)] = special if k == 0 else special[::-1]
        out.append(x)
    return out


@functools.cache
def compiled(name: str, precision: str) -> Any:
    """A loop over the printed function, compiled once per session."""
    arity = FUNCTIONS[name].arity
    heads = ", ".join(f"x{k}" for k in range(arity))
    items = ", ".join(f"x{k}[i]" for k in range(arity))
    source = HEADER + "\n".join(function_sources([name], precision))
    source += f'@njit(error_model="numpy")\ndef loop({heads}, out):\n    for i in range(out.size):\n'
    source += f"        out[i] = {name}_{precision}({items})\n"
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["loop"]


def assert_same_bits(a: Array, b: Array) -> None:
    """Equal, and equal in the sign of zero; a nan is a nan."""
    assert a.dtype == b.dtype
    bits = np.uint64 if a.dtype == np.float64 else np.uint32
    different = (a.view(bits) != b.view(bits)) & ~(np.isnan(a) & np.isnan(b))
    assert not different.any(), f"{different.sum()} differ, first at {np.argmax(different)}"


def test_every_function_has_a_body() -> None:
    assert set(FUNCTIONS) == NAMES
    for f in FUNCTIONS.values():
        assert f.arity == OPS[f.name].arity and f.source
        for body in (f.body, f.body_single):
            assert body.types()[body.result or 0] == "f"
            assert {ins.op for ins in body.instrs} <= ALLOWED | NAMES
            assert {ins.attr for ins in body.instrs if ins.op == "arg"} == set(range(f.arity))


@both
@each
def test_error_bound(name: str, precision: str, full: bool) -> None:
    limit = bound(name, precision)
    for k in range(len(samples(name, precision))):
        if name in WIDER and (precision == "f32" or HAS_EXTENDED):
            assert worst_wide(name, precision, k, 2_000_000 if full else 50_000) <= limit
        assert worst_exact(name, precision, k, 10_000 if full else 150) <= limit


@both
@each
def test_numba_gives_the_same_bits(name: str, precision: str, full: bool) -> None:
    count = 10_000_000 if full or name in ("exp", "log") else 1_000_000
    args = adversarial(name, precision, count)
    out = np.empty(count, dtype=PRECISIONS[precision])
    compiled(name, precision)(*args, out)
    assert_same_bits(out, call(name, *args, dtype=PRECISIONS[precision]))


@both
@each
def test_printed_code_has_no_fused_operations_and_is_vector_code(name: str, precision: str) -> None:
    loop = compiled(name, precision)
    x = np.full(8, 0.5, dtype=PRECISIONS[precision])
    loop(*[x] * FUNCTIONS[name].arity, np.empty_like(x))
    (assembly,) = loop.inspect_asm().values()
    assert not re.search(r"\bv?f(n?m)(add|sub|la|ls)", assembly)
    if "xmm" in assembly:  # x86
        assert re.search(r"\bv?mulp[sd]\b", assembly)


def test_sources_come_in_order() -> None:
    names = [re.search(r"def (\w+)\(", s)[1] for s in function_sources(["exprel", "ndtri"], "f32")]  # type: ignore[index]
    assert names == ["expm1_f32", "exprel_f32", "log_f32", "ndtri_f32"]
    assert "np.float32(" in print_function("exp", "f32") and "float32" not in print_function("exp", "f64")


def test_unknown_operation_is_refused() -> None:
    from neurosim.backends.compiled.expressions import expression

    with pytest.raises(UnsupportedError, match="gamma"):
        expression("gamma", ["x"], None, "f64")


SPECIAL = [
    ("exp", (0.0, -0.0, INF, -INF, NAN, -1e4, 1e4), (1.0, 1.0, INF, 0.0, NAN, 0.0, INF)),
    ("expm1", (0.0, -0.0, INF, -INF, NAN, 1e-40), (0.0, -0.0, INF, -1.0, NAN, 1e-40)),
    ("exprel", (0.0, -0.0, INF, -INF, NAN), (1.0, 1.0, INF, 0.0, NAN)),
    ("log", (1.0, 0.0, -0.0, -1.0, INF, -INF, NAN), (0.0, -INF, -INF, NAN, INF, NAN, NAN)),
    ("log1p", (0.0, -0.0, -1.0, -2.0, INF, NAN, 1e-40), (0.0, -0.0, -INF, NAN, INF, NAN, 1e-40)),
    ("sigmoid", (0.0, INF, -INF, NAN), (0.5, 1.0, 0.0, NAN)),
    ("tanh", (0.0, INF, -INF, NAN), (0.0, 1.0, -1.0, NAN)),
    ("sin", (0.0, INF, NAN, 1e9), (0.0, NAN, NAN, NAN)),
    ("cos", (0.0, INF, NAN, 1e9), (1.0, NAN, NAN, NAN)),
    ("ndtri", (0.5, 0.0, 1.0, -1.0, 2.0, NAN), (0.0, -INF, INF, -INF, INF, NAN)),
]


@both
@pytest.mark.parametrize(("name", "given", "expected"), SPECIAL, ids=lambda v: v if isinstance(v, str) else "")
def test_special_values(name: str, given: tuple[float, ...], expected: tuple[float, ...], precision: str) -> None:
    dtype = PRECISIONS[precision]
    assert_same_bits(call(name, given, dtype=dtype), np.array(expected, dtype=dtype))


@both
def test_special_values_of_pow(precision: str) -> None:
    cases = [
        (2.0, 10.0, 1024.0), (4.0, 0.5, 2.0), (2.0, -1.0, 0.5), (10.0, 2.0, 100.0), (1.0, INF, 1.0), (1.0, -3.0, 1.0),
        (0.0, 2.0, 0.0), (-0.0, 0.5, 0.0), (0.0, -1.0, INF), (0.0, 0.0, 1.0), (INF, 0.0, 1.0), (INF, 0.5, INF),
        (INF, -2.0, 0.0), (0.5, INF, 0.0), (0.5, -INF, INF), (2.0, INF, INF), (2.0, -INF, 0.0), (-1.0, 2.0, NAN),
        (NAN, 1.0, NAN), (2.0, NAN, NAN), (0.0, NAN, NAN), (INF, NAN, NAN), (10.0, 1e30, INF), (10.0, -1e30, 0.0),
    ]  # fmt: skip
    a, b, expected = (np.array(column, dtype=PRECISIONS[precision]) for column in zip(*cases, strict=True))
    assert_same_bits(call("pow", a, b, dtype=PRECISIONS[precision]), expected)


def test_ends_of_the_range() -> None:
    assert call("exp", 709.782712893384) == pytest.approx(np.finfo(float).max, rel=1e-12)
    assert call("exp", math.nextafter(709.782712893384, INF)) == INF
    assert call("exp", -708.0) == pytest.approx(math.exp(-708.0), rel=3e-16)
    assert call("exp", math.nextafter(-708.0, -INF)) == 0.0
    assert np.isfinite(call("exp", 88.72283172607422, dtype=np.float32))
    assert call("exp", 88.7229, dtype=np.float32) == INF
    assert call("exp", -86.5, dtype=np.float32) > np.finfo(np.float32).tiny
    assert call("exp", -86.51, dtype=np.float32) == 0.0
    assert call("log", 5e-324) == pytest.approx(math.log(5e-324), rel=3e-16)
    assert call("log", np.finfo(float).max) == pytest.approx(math.log(np.finfo(float).max), rel=3e-16)
    assert call("log", 1e-45, dtype=np.float32) == pytest.approx(math.log(2.0**-149), rel=1e-7)
    assert call("ndtri", 1 - 2.0**-33) == pytest.approx(6.337957754553789, rel=1e-15)


def around(points: Array, steps: int) -> Array:
    """Each point with its neighbours, sorted, as rows."""
    bits = np.int64 if points.dtype == np.float64 else np.int32
    return (points.view(bits)[:, None] + np.arange(-steps, steps + 1, dtype=bits)).view(points.dtype)


@both
def test_exp_and_log_step_by_step(precision: str) -> None:
    """Where the exponent of the result, or of the argument, changes: no step back of more than one unit."""
    dtype = PRECISIONS[precision]
    k = np.arange(1, 120)
    for name, points in (
        ("exp", ((k + 0.5) * math.log(2.0)).astype(dtype)),
        ("log", np.concatenate([2.0**k, 2.0 ** (k + 0.5), [2.0**-0.5]]).astype(dtype)),
    ):
        x = around(points, 300)
        y = call(name, x, dtype=dtype)
        back = np.maximum.accumulate(y, axis=1) - y
        assert np.all(back <= np.spacing(np.abs(y)))


@both
def test_identities(precision: str) -> None:
    dtype = PRECISIONS[precision]
    rng = np.random.default_rng(5)
    x = rng.uniform(-20, 20, 10_000).astype(dtype)
    assert_same_bits(call("sin", -x, dtype=dtype), -call("sin", x, dtype=dtype))
    assert_same_bits(call("cos", -x, dtype=dtype), call("cos", x, dtype=dtype))
    assert_same_bits(call("tanh", -x, dtype=dtype), -call("tanh", x, dtype=dtype))
    p = (rng.integers(1, 2**20, 10_000) / 2**21).astype(dtype)
    assert_same_bits(call("ndtri", 1 - p, dtype=dtype), -call("ndtri", p, dtype=dtype))


def test_single_sine_far_out_is_right_in_absolute_terms() -> None:
    x = np.random.default_rng(6).uniform(-1e5, 1e5, 200_000).astype(np.float32)
    for name, ref in (("sin", np.sin(x.astype(float))), ("cos", np.cos(x.astype(float)))):
        assert np.abs(call(name, x, dtype=np.float32) - ref).max() < 9e-8


def test_the_value_does_not_depend_on_the_batch() -> None:
    x = np.random.default_rng(7).uniform(-5, 5, 40_000)
    whole = call("exp", x)
    assert_same_bits(np.array([call("exp", v) for v in x[:50]]), whole[:50])
    assert_same_bits(call("exp", x.reshape(200, 200)).reshape(-1), whole)
    assert_same_bits(call("pow", x[:3] ** 2, 0.5), call("pow", x[:3] ** 2, np.full(3, 0.5)))

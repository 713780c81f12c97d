"""The grammar: what parses, to which tree, and what every refusal says."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurosim.errors import EquationError
from neurosim.ir.expr import Expr, linear, measure, names, render, total, walk
from neurosim.ir.expr import name as variable
from neurosim.lang import parser
from neurosim.lang.parser import drawn, parse_equations, parse_expression, parse_statements
from neurosim.units import TIME, VOLTAGE

ENV = {"a": 0.7, "b": -1.3, "c": 2.5, "v": 0.11}

OPS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "not": operator.not_,
    "abs": abs,
    "div": lambda x, y: x / y if y else math.copysign(math.inf, x) if x else math.nan,
    "and": lambda x, y: x and y,
    "or": lambda x, y: x or y,
    "min": min,
    "max": max,
    "select": lambda c, x, y: x if c else y,
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
}


def number(e: Expr) -> float:
    """Evaluate a tree in Python's floats; functions are those of the math module."""
    if e.op == "const":
        return e.attr
    if e.op in ("name", "next"):
        return ENV[e.attr]
    args = [number(x) for x in e.args]
    try:
        if e.op == "pow":
            return float(args[0] ** args[1]) if args[0] >= 0 else math.nan
        return OPS[e.op](*args) if e.op in OPS else float(getattr(math, e.op)(*args))
    except (OverflowError, ZeroDivisionError, ValueError):
        return math.nan


def parse(text: str, **options: object) -> Expr:
    return parse_expression(text, ENV, condition=None, **options)


@pytest.mark.parametrize(
    "text",
    [
        "a + b*c",
        "(a + b)*c",
        "a - b - c",
        "a/b/c",
        "a/b*c",
        "a - (b - c)",
        "a - -b",
        "-a*b",
        "+a",
        "--a",
        "-a - -b",
        "a*-b",
        "2*a - 3*b + 4",
        "1.5e-3",
        "1E3*a",
        ".5 + 5.",
        "a + b + c",
        "a*(b*c)",
        "a*b*c",
        "-(a + b)",
        "abs(b)",
        "min(a, b)",
        "max(a, b*c)",
        "exp(a)",
        "sqrt(c)",
        "sin(a)*cos(b)",
        "log(c) - tanh(b)",
    ],
)
def test_an_expression_means_what_python_means(text):
    expected = eval(
        text,
        {
            "min": min,
            "max": max,
            "abs": abs,
            **{k: getattr(math, k) for k in ("exp", "sqrt", "sin", "cos", "log", "tanh")},
        },
        ENV,
    )
    assert number(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-a**2", -(0.7 * 0.7)),
        ("(-a)**2", 0.7 * 0.7),
        ("a**-1", 1 / 0.7),
        ("a**-2", 1 / (0.7 * 0.7)),
        ("2**3**2", 512.0),
        ("a**0", 1.0),
        ("a**1", 0.7),
        ("a**0.5", math.sqrt(0.7)),
        ("a**+2", 0.7 * 0.7),
        ("a**4", (0.7 * 0.7) * (0.7 * 0.7)),
        ("a**3", 0.7 * (0.7 * 0.7)),
        ("c**1.5", 2.5**1.5),
        ("c**a", 2.5**0.7),
        ("2**-1", 0.5),
        ("a**2.0", 0.7 * 0.7),
    ],
)
def test_powers(text, value):
    assert number(parse(text)) == value


def test_small_powers_are_products_and_the_half_is_a_root():
    assert {x.op for x in walk(parse("v**7"))} == {"mul", "name"}
    assert parse("v**0.5").op == "sqrt"
    assert parse("v**a").op == "pow"
    assert parse("v**-3").op == "div"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a < b", False),
        ("a > b and b < c", True),
        ("a > b or a > b and a < b", True),
        ("not a < b", True),
        ("not not a < b", False),
        ("not (a < b and a < c)", True),
        ("a == 0.7", True),
        ("a != 0.7", False),
        ("a + b <= c*a", True),
        ("a >= 0.7", True),
        ("not a > b or a < c", True),
        ("where(a > b, a, b)", 0.7),
        ("where(a < b or c < a, a, b + 1)", -1.3 + 1),
        ("clip(c, 0, 2)", 2.0),
        ("clip(b, 0, 2)", 0.0),
    ],
)
def test_conditions_bind_as_in_python(text, value):
    assert number(parse(text)) == value


def test_constants_and_units():
    assert parse("pi").attr == math.pi
    assert parse("ms") == Expr("const", (), 1e-3, TIME)
    assert number(parse("20*ms")) == 20 * 1e-3
    assert parse("V").op == "name", "one-letter units are names: V, m and g are variables far more often"


def test_names_hide_units():
    assert parse_expression("ms", {"ms"}).op == "name"
    (eq,) = parse_equations("nS = 3")
    assert (eq.var, eq.kind) == ("nS", "let")
    gate, other = parse_equations("dms/dt = -ms/tau\nx = 2*ms", ("tau",))
    assert names(gate.expr) == {"ms", "tau"}
    assert names(other.expr) == {"ms"}
    late, _ = parse_equations("x = 2*mV; mV[n+1] = 3")
    assert names(late.expr) == {"mV"}, "a line further down hides the unit too"


def test_the_three_kinds_of_equations():
    a, b, c = parse_equations("dv/dt = -v/tau : volt # leak\n\n  x [n+1] = x + v[n+1]; y = v*2")
    assert [(e.var, e.kind, e.dim) for e in (a, b, c)] == [
        ("v", "ode", VOLTAGE),
        ("x", "update", None),
        ("y", "let", None),
    ]
    assert b.expr.args[1] == Expr("next", (), "v")
    assert a.text == "dv/dt = -v/tau : volt"
    assert [e.var for e in parse_equations("d_x = 1\nddt = 2\ndelta = d_x")] == ["d_x", "ddt", "delta"]
    assert parse_equations("dd/dt = 1")[0].var == "d"
    assert parse_equations("c = 1 : uF/cm^2")[0].dim is not None, "units are written as everywhere else"
    assert parse_equations("c = 1 : 1")[0].dim == parse_equations("c = 1 : mV/mV")[0].dim
    assert parse_equations("# nothing\n;;\n\r\n") == ()


def test_statements_are_written_out():
    a, b, c, d, e = parse_statements("v = c; u += b\nw -= 2*w; x *= 2\n y /= a + 1")
    assert [str(s.expr) for s in (a, b, c, d, e)] == ["c", "u + b", "w - 2 * w", "x * 2", "y / (a + 1)"]
    assert [s.var for s in (a, b, c, d, e)] == ["v", "u", "w", "x", "y"]
    assert str(parse_statements("v += 0")[0].expr) == "v + 0", "kept, so that its dimension is checked"
    assert parse_statements("v *= second")[0].expr.args[1].dim == TIME


def test_every_random_number_has_a_stream_of_its_own():
    eqs = parse_equations("x = uniform() + normal()\ny = uniform()")
    drawn_names = [x.attr for eq in eqs for x in walk(eq.expr) if x.op in ("uniform", "normal")]
    assert drawn_names == ["uniform0", "normal1", "uniform2"]
    assert drawn(eqs[1].expr) == 3
    first, second = parse_statements("x = uniform(); y = uniform()", draws=3)
    assert (first.expr.attr, second.expr.attr) == ("uniform3", "uniform4")


# -- refusals ------------------------------------------------------------------------------------------------------


TAIL = "): write letters a to z, digits and the signs of a keyboard"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "expected a number, a name or '(' here\n    a +\n       ^"),
        ("a + * b", "expected a number, a name or '(', found '*'\n    a + * b\n        ^"),
        ("(a + b", "expected ')' here\n    (a + b\n          ^"),
        ("a b", "unexpected 'b'\n    a b\n      ^"),
        ("a^2", "unexpected character '^': a power is written **\n    a^2\n     ^"),
        ("a ? b", "unexpected character '?'\n    a ? b\n      ^"),
        ("", "expected a number, a name or '(' here\n    \n    ^"),
        ("sinn(a)", "no function 'sinn'; did you mean 'sin'?\n    sinn(a)\n    ^"),
        ("sin(a, b)", "sin takes 1 argument(s), got 2\n    sin(a, b)\n    ^"),
        ("min()", "min takes 2 argument(s), got 0\n    min()\n    ^"),
        ("a < b < c", "a chain of comparisons: write (a < b) and (b < c)\n    a < b < c\n          ^"),
        ("1e999", "the number is too large\n    1e999\n    ^"),
        ("a**65", "an integer exponent is at most 64 in magnitude\n    a**65\n       ^"),
        ("a**-1e300", "an integer exponent is at most 64 in magnitude\n    a**-1e300\n       ^"),
        ("v[n]", "expected '+', found ']'\n    v[n]\n       ^"),
        ("v[n+2]", "expected '1', found '2'\n    v[n+2]\n        ^"),
        ("a and b", "a comparison has to stand here, as in v > 0\n    a and b\n    ^"),
        ("a > b and c", "a comparison has to stand here, as in v > 0\n    a > b and c\n              ^"),
        ("not a", "a comparison has to stand here, as in v > 0\n    not a\n        ^"),
        ("where(a, b, c)", "a comparison has to stand here, as in v > 0\n    where(a, b, c)\n          ^"),
        ("a*(b > c)", "a condition is no number: write where(condition, 1, 0)\n    a*(b > c)\n      ^"),
        ("exp(a > b)", "a condition is no number: write where(condition, 1, 0)\n    exp(a > b)\n        ^"),
        ("(a > b) > c", "a condition is no number: write where(condition, 1, 0)\n    (a > b) > c\n    ^"),
        ("-(a > b)", "a condition is no number: write where(condition, 1, 0)\n    -(a > b)\n     ^"),
        ("(a > b)**2", "a condition is no number: write where(condition, 1, 0)\n    (a > b)**2\n    ^"),
        ("a = b", "unexpected '=': only an expression belongs here, without 'name ='\n    a = b\n      ^"),
        ("a; b", "unexpected character ';'\n    a; b\n     ^"),
        ("1__import__", "unexpected '__import__'\n    1__import__\n     ^"),
        ("__import__('os')", "unexpected character \"'\"\n    __import__('os')\n               ^"),
        ("__import__(os)", "no function '__import__'"),
        ("a.__class__", None),
        ("a[0]", "only x[n+1], the new value, has brackets: variables have no index\n    a[0]\n     ^"),
        ("lambda: a", "unexpected ':'\n    lambda: a\n          ^"),
        ("\0", "unexpected character '\\x00'\n    \\x00\n    ^"),
        ("\u0661", f"unexpected character '\u0661' (U+0661, arabic-indic digit one{TAIL}\n    \u0661\n    ^"),
        ("\u03c4", f"unexpected character '\u03c4' (U+03C4, greek small letter tau{TAIL}\n    \u03c4\n    ^"),
        ("a \u2212 b", f"unexpected character '\u2212' (U+2212, minus sign{TAIL}\n    a \u2212 b\n      ^"),
    ],
)
def test_refusals_say_what_and_where(text, message):
    if message is None:  # a dotted name: nobody defines it, so it is refused where names are looked up
        assert parse(text) == variable("a.__class__")
        return
    with pytest.raises(EquationError) as caught:
        parse(text, where="model.py:7")
    assert caught.value.message.startswith(message)
    assert str(caught.value).endswith("(model.py:7)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v", "expected '=' here\n    v\n     ^"),
        ("3 = v", "an equation starts with dx/dt, x[n+1] or x\n    3 = v\n    ^"),
        ("v/dt = 3", "the left side of a differential equation is written dx/dt\n    v/dt = 3\n    ^"),
        ("d/dt = 3", "the left side of a differential equation is written dx/dt\n    d/dt = 3\n    ^"),
        ("dv/dx = 3", "expected 'dt', found 'dx'\n    dv/dx = 3\n       ^"),
        ("dt = 3", "'dt' cannot name a variable: the name is reserved\n    dt = 3\n    ^"),
        ("exp = 3", "'exp' cannot name a variable: the name is reserved\n    exp = 3\n    ^"),
        ("ddt/dt = 3", "'dt' cannot name a variable: the name is reserved\n    ddt/dt = 3\n    ^"),
        ("_x = 3", "'_x' cannot name a variable: names that start with '_' are kept for neurosim\n    _x = 3\n    ^"),
        ("exc.g = 3", "'exc.g' cannot name a variable: use letters (a to z), digits and '_'\n    exc.g = 3\n    ^"),
        ("x = 1; dx/dt = 2", "'x' is defined twice: dx/dt = 2"),
        (
            "x = 1 : foo",
            "after ':' stands a unit, such as mV, or 1: cannot read '1 foo' as a quantity: unknown unit 'foo'",
        ),
        ("x = 1 :", "after ':' stands a unit, such as mV, or 1"),
        ("x = 1 : mV : ms", "after ':' stands a unit, such as mV, or 1"),
        ("x = v > 1", "a condition is no number: write where(condition, 1, 0)\n    x = v > 1\n        ^"),
        ("x == 3", "expected '=', found '=='\n    x == 3\n      ^"),
    ],
)
def test_equations_that_are_refused(text, message):
    with pytest.raises(EquationError) as caught:
        parse_equations(text, ("v",), "model.py:7")
    assert caught.value.message.startswith(message)
    assert caught.value.where == "model.py:7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v", "expected '=', '+=', '-=', '*=' or '/='\n    v\n     ^"),
        ("v == 1", "expected '=', '+=', '-=', '*=' or '/='\n    v == 1\n      ^"),
        ("3 = v", "a statement starts with the variable it changes\n    3 = v\n    ^"),
        ("v = c = d", "unexpected '=': only an expression belongs here, without 'name ='\n    v = c = d\n          ^"),
        ("v = a > b", "a condition is no number: write where(condition, 1, 0)\n    v = a > b\n        ^"),
    ],
)
def test_statements_that_are_refused(text, message):
    with pytest.raises(EquationError) as caught:
        parse_statements(text, ENV, "model.py:7")
    assert (caught.value.message, caught.value.where) == (message, "model.py:7")


def test_a_condition_is_asked_for():
    assert parse_expression("a > b", condition=True).op == "gt"
    with pytest.raises(EquationError, match="a condition compares values, as in v >= v_th; this is a number"):
        parse_expression("a", condition=True)
    with pytest.raises(EquationError, match="a condition is no number"):
        parse_expression("a > b")


@pytest.mark.parametrize("what", [parse_expression, parse_equations, parse_statements])
@pytest.mark.parametrize("given", [3, None, b"v", ["v"], 2.0])
def test_what_is_no_text_is_refused(what, given):
    with pytest.raises(EquationError, match="^equations, conditions and expressions are text, not "):
        what(given)


# -- hostile text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(" * 9000 + "a" + ")" * 9000,
        "-" * 19_000 + "a",
        "not " * 4000 + "a > b",
        "a" + "**a" * 6000,
        "a" + "+a" * 9000,
        "sin(" * 4000 + "a" + ")" * 4000,
        "a" + "*a" * 9000,
        "a" * 30_000,
        "(((a)**64)**64)**64",
        "1" + "0" * 15_000,
        "a>b" + " and a>b" * 2000,
        "abs" * 5000,
        "[" * 100,
        "a" + "**(a" * 3000,
        "a[n+1]" * 3000,
        "," * 5000,
        "1e" + "9" * 5000,
        "where(" * 3000,
        "a<" * 5000,
        "9" * 19_999,
    ],
)
def test_hostile_text_ends_quickly_and_without_exhausting_the_stack(text):
    try:
        out = parse(text)
    except EquationError as e:
        assert len(e.message) < 45_000
    else:
        size, depth = measure(out)
        assert size <= 10_000
        assert depth <= parser.MAX_LEVELS


def test_the_limits_are_named():
    with pytest.raises(EquationError, match="^the text is 100001 characters long; at most 100000 are read"):
        parse("a" * 100_001)
    with pytest.raises(EquationError, match=r"^the text is 100001 characters .* are read .model.py:7.$"):
        parse_equations("x" * 100_001, (), "model.py:7")
    with pytest.raises(EquationError, match="^nested deeper than 60 levels"):
        parse("(" * 61 + "a" + ")" * 61)
    with pytest.raises(EquationError, match="^nested deeper than 60 levels"):
        parse("a" + "**a" * 100)
    with pytest.raises(
        EquationError, match="^an expression is nested 201 levels deep; at most 200 are allowed: give a name"
    ):
        parse("a" + "+a" * 200)
    with pytest.raises(EquationError, match="^an expression has 524287 operations once written out; at most 10000"):
        parse("((a**64)**64)**64")
    assert measure(parse("a" + "+a" * 199)) == (399, 200)
    parse("(" * 59 + "a" + ")" * 59)


@given(st.text(max_size=60))
@example("a\x0b\x85b")
@example("1_000")
@example("\ud800")
@example("d\u0430/dt = 3")
def test_any_text_parses_or_is_refused(text):
    for how in (parse_expression, parse_equations, parse_statements):
        try:
            how(text)
        except EquationError:
            pass


_PIECES = st.sampled_from(
    [
        "a",
        "v",
        "x",
        "d",
        "dv",
        "dt",
        "t",
        "/",
        "*",
        "**",
        "+",
        "-",
        "(",
        ")",
        "=",
        "+=",
        "==",
        "<",
        ">=",
        "and",
        "or",
        "not",
        "[",
        "]",
        "n",
        "1",
        "2.5",
        "1e-3",
        ",",
        ";",
        "\n",
        "#",
        ":",
        "mV",
        "ms",
        "exp",
        "where",
        "uniform",
        "normal",
        " ",
        ".",
        "w",
    ]
)


@given(st.lists(_PIECES, max_size=25))
def test_any_row_of_tokens_parses_or_is_refused(pieces):
    for joint in ("", " "):
        for how in (parse_expression, parse_equations, parse_statements):
            try:
                how(joint.join(pieces))
            except EquationError:
                pass


# -- writing -------------------------------------------------------------------------------------------------------

_FLOATS = st.floats(0, 1e300, allow_nan=False, allow_infinity=False)
_LEAVES = st.one_of(_FLOATS.map(repr), st.sampled_from(sorted(ENV)))
_NUMBERS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda p: f"{p[0]} {p[1]} {p[2]}"),
        st.tuples(st.sampled_from(["-", "--", "sqrt", "abs", "exp", "tanh"]), inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, st.sampled_from(["2", "3", "-1", "0.5", "a", "1.7", "-b", "-0.3"])).map(
            lambda p: f"({p[0]})**{p[1]}"
        ),
        st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner, inner, inner).map(
            lambda p: f"where(not {p[0]} {p[1]} {p[2]} or {p[3]} < {p[4]} and {p[0]} > {p[4]}, {p[3]}, -{p[4]})"
        ),
    ),
    max_leaves=8,
)


def _same(x: float, y: float) -> bool:
    return np.float64(x).tobytes() == np.float64(y).tobytes() or (math.isnan(x) and math.isnan(y))


@given(_NUMBERS)
@example("a + (b + c)")
@example("a*(b*c)")
@example("(-2)**a")
@example("-(2**a)")
@example("1.0000001*a")
@example("-0*a")
@example("-(-a)")
@example("a/(b/c)")
def test_what_is_written_reads_back_as_the_same_value(text):
    try:
        tree = parse(text)
    except EquationError as e:
        assert "operations once written out" in e.message or "nested" in e.message
        return
    again = parse(render(tree))
    assert _same(number(tree), number(again)), (text, render(tree))


@given(_NUMBERS)
def test_what_is_written_is_stable(text):
    try:
        once = render(parse(text))
    except EquationError:
        return
    assert render(parse(once)) == once


def test_writing_keeps_conditions():
    for text in (
        "a < b and not (b < c or a > c)",
        "not (a < b)",
        "(a < b or a > b) and c < 1",
        "a < b or a > b and c < 1",
    ):
        assert render(parse(text)) == text


# -- trees ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3), st.floats(-10, 10), st.floats(-10, 10))
def test_linear_splits_into_coefficients_and_rest(values, x, y):
    a, b, c = values
    e = parse_expression("(a*x - y/b + c)*2 - (x + c)/b - (-y)", {"a", "b", "c", "x", "y"})
    split = linear(e, {"x", "y"})
    assert split is not None
    ENV_ = {"a": a, "b": b or 1.0, "c": c}
    before = dict(ENV)
    ENV.update(ENV_)
    try:
        whole = number(split[0]["x"]) * x + number(split[0]["y"]) * y + number(split[1])
        ENV.update(x=x, y=y)
        direct = number(e)
    finally:
        ENV.clear()
        ENV.update(before)
    assert math.isnan(direct) or whole == pytest.approx(direct, rel=1e-9, abs=1e-6 * max(1.0, abs(1 / ENV_["b"])))


@pytest.mark.parametrize(
    "text", ["x*y", "exp(x)", "1/x", "x**2", "where(x > 0, x, y)", "sqrt(x)", "x[n+1]", "a/(x + 1)"]
)
def test_linear_knows_what_is_not(text):
    assert linear(parse_expression(text, {"x", "y", "a"}), {"x", "y"}) is None


def test_long_sums_are_flat():
    assert measure(total(variable(f"x{k}") for k in range(32)))[1] == 32
    size, depth = measure(total(variable(f"x{k}") for k in range(5000)))
    assert size == 9999
    assert depth < 50

"""Quantities: algebra, text, and the sentences that a user meets."""

import copy
import math
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import units
from neurosim.errors import DimensionError, ParameterError
from neurosim.units import (
    AREA,
    CAPACITANCE,
    CONCENTRATION,
    CONDUCTANCE,
    CURRENT,
    DIMENSIONLESS,
    FREQUENCY,
    LENGTH,
    MASS,
    RESISTANCE,
    TIME,
    UNITS,
    VOLTAGE,
    Dimension,
    Hz,
    Quantity,
    cm,
    kg,
    metre,
    mM,
    mole,
    mS,
    ms,
    mV,
    nA,
    nS,
    parse_quantity,
    pF,
    quantity,
    s,
    second,
    uF,
    us,
    volt,
)

EXPONENTS = st.one_of(st.integers(-4, 4), st.sampled_from([Fraction(1, 2), Fraction(-3, 2), Fraction(1, 3)]))
DIMENSIONS = st.builds(lambda *e: Dimension(e), *[EXPONENTS] * 7)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)
NAMES = st.sampled_from(sorted(UNITS))


def si(text: str) -> Any:
    """SI value of a text, with or without a unit."""
    read = parse_quantity(text)
    return read.value if isinstance(read, Quantity) else read


# -- dimensions


@given(DIMENSIONS, DIMENSIONS)
def test_dimensions_form_a_group(a: Dimension, b: Dimension) -> None:
    assert a * b / b == a
    assert a * b == b * a
    assert a / a == DIMENSIONLESS
    assert a**2 == a * a
    assert a**-1 == DIMENSIONLESS / a
    assert (a**0.5) ** 2 == a
    assert hash(a * b / b) == hash(a)


@given(DIMENSIONS)
def test_symbol_of_a_dimension_reads_back(dim: Dimension) -> None:
    read = parse_quantity(dim.symbol)
    assert read == Quantity(1.0, dim)


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (VOLTAGE, "voltage (V)"), (TIME, "time (s)"), (CURRENT, "current (A)"), (CONDUCTANCE, "conductance (S)"),
        (CAPACITANCE, "capacitance (F)"), (RESISTANCE, "resistance (ohm)"), (FREQUENCY, "frequency (Hz)"),
        (LENGTH, "length (m)"), (DIMENSIONLESS, "dimensionless"), (CONCENTRATION, "concentration (mol/m^3)"),
        (MASS * LENGTH**2 / TIME, "kg m^2 s^-1"), (VOLTAGE / VOLTAGE, "dimensionless"), (TIME**0.5, "s^(1/2)"),
        (CAPACITANCE / LENGTH**2, "capacitance per area (F/m^2)"),
    ],
)  # fmt: skip
def test_dimension_text(dim: Dimension, text: str) -> None:
    assert str(dim) == text


def test_dimension_wants_seven_exponents_and_rational_powers() -> None:
    with pytest.raises(ValueError, match=r"^a dimension has 7 exponents \(m, kg, s, A, K, mol, cd\), got 2$"):
        Dimension((1, 2))
    sentence = "^a unit can only be raised to a whole number or a simple fraction, got 1.2345678$"
    with pytest.raises(DimensionError, match=sentence):
        _ = TIME**1.2345678
    with pytest.raises(DimensionError, match=r"got inf$"):
        _ = TIME**math.inf


def test_electrical_dimensions_agree() -> None:
    assert VOLTAGE / RESISTANCE == CURRENT
    assert VOLTAGE * CONDUCTANCE == CURRENT
    assert RESISTANCE * CAPACITANCE == TIME
    assert CAPACITANCE * VOLTAGE / TIME == CURRENT
    assert TIME * FREQUENCY == DIMENSIONLESS


# -- quantities


def test_numbers_arrays_and_lists_take_units_from_both_sides() -> None:
    for q in (5 * ms, ms * 5, 5.0 * ms, np.float64(5) * ms, ms * np.int64(5), np.array(5) * ms):
        assert isinstance(q, Quantity)
        assert q.value == 5 * 1e-3
        assert isinstance(q.value, float)
    for q in (np.array([1, 2]) * ms, ms * np.array([1, 2]), [1, 2] * ms, ms * (1, 2)):
        assert isinstance(q, Quantity)
        assert q.dim == TIME
        assert np.array_equal(q.value, np.array([1, 2]) * 1e-3)


@given(MODERATE, NAMES)
def test_a_unit_is_one_product(x: float, name: str) -> None:
    assert (x * UNITS[name]).value == x * UNITS[name].value


def test_cancelling_units_leaves_plain_numbers() -> None:
    for ratio in (20 * ms / ms, 1 * ms * Hz, ms**0):
        assert type(ratio) is float
    assert type(np.array([1.0, 2.0]) * ms / ms) is np.ndarray
    assert (1 / ms).dim == FREQUENCY
    rates: Any = np.array([1.0, 2.0]) / ms  # NumPy's stubs promise an array
    assert rates.dim == FREQUENCY
    assert (9 * mV**2) ** 0.5 == 3 * mV
    assert ((8 * mV**3) ** (1 / 3)).dim == VOLTAGE


@given(MODERATE, MODERATE)
def test_sums_are_sums_of_si_values(a: float, b: float) -> None:
    assert (a * mV + b * volt).value == a * 1e-3 + b
    assert (a * mV - b * volt).value == a * 1e-3 - b
    assert (a * mV < b * mV) == (a * 1e-3 < b * 1e-3)
    assert (a * mV >= b * mV) == (a * 1e-3 >= b * 1e-3)
    assert -(a * mV) == (-a) * mV
    assert abs(a * mV) == abs(a) * mV


def test_unlike_dimensions_are_refused_by_name() -> None:
    attempts = {
        "cannot add voltage (V) and time (s)": lambda: mV + ms,
        "cannot subtract time (s) from voltage (V)": lambda: mV - ms,
        "cannot compare voltage (V) and time (s)": lambda: mV < ms,
        "cannot add voltage (V) and a plain number": lambda: mV + 1,
        "cannot add a plain number and voltage (V)": lambda: 1.5 + mV,
        "cannot subtract voltage (V) from a plain number": lambda: np.array([1.0]) - mV,
        "cannot compare voltage (V) and a plain number": lambda: mV > 0,
        "an exponent must be a plain number, got time (s)": lambda: 2**ms,
        "cannot express voltage (V) in ms, which is time (s)": lambda: mV.to(ms),
        "cannot express voltage (V) in 1, which is dimensionless": lambda: mV.to("1"),
        "cannot make a plain number of voltage (V): divide by a unit, as in x/mV": lambda: float(mV),
        "cannot make a plain number of area (m^2): divide by a unit, as in x/(um**2)": lambda: float(cm**2),
        "cannot make a plain number of time (s): divide by a unit, as in x/ms": lambda: np.asarray([1 * ms]),
    }
    for sentence, attempt in attempts.items():
        with pytest.raises(DimensionError) as error:
            attempt()
        assert str(error.value) == sentence
    with pytest.raises(DimensionError, match=r"^an exponent must be a plain number, got time \(s\)$"):
        _ = mV**ms


def test_equality_of_unlike_things_is_false_and_hashes_agree() -> None:
    assert 1000 * us == 1 * ms
    assert 1 * ms != 1 * mV
    assert 0 * ms != 0
    assert ms != "ms"
    assert (ms == object()) is False
    assert hash(1 * ms) == hash(0.001 * second)
    assert len({1 * ms, 0.001 * second, 1 * mV}) == 2
    assert Quantity(2, DIMENSIONLESS) == 2
    assert hash(Quantity(2, DIMENSIONLESS)) == hash(2)
    with pytest.raises(TypeError, match="^an array quantity is not hashable$"):
        hash([1, 2] * ms)


def test_numpy_functions_do_not_drop_units_silently() -> None:
    with pytest.raises(TypeError):
        np.exp(ms)  # type: ignore[call-overload]
    with pytest.raises(DimensionError):
        np.asarray([1, 2] * ms)
    assert np.array_equal(np.asarray(Quantity([1, 2], DIMENSIONLESS)), [1.0, 2.0])
    assert float(Quantity(2, DIMENSIONLESS)) == 2.0
    with pytest.raises(TypeError):
        _ = ms * "x"
    with pytest.raises(TypeError):
        _ = ms + object()


def test_containers() -> None:
    q = [1, 2, 3] * ms
    assert len(q) == 3
    assert q.shape == (3,)
    assert (2 * ms).shape == ()
    assert q[1] == 2 * ms
    assert str(q[1:]) == "[2, 3] ms"
    assert list(q) == [1 * ms, 2 * ms, 3 * ms]
    assert sum(q) == (1e-3 + 2e-3 + 3e-3) * second
    assert np.array_equal(q > 1.5 * ms, [False, True, True])
    assert bool(1 * ms) and not 0 * ms
    for attempt in (lambda: len(ms), lambda: ms[0], lambda: iter(ms)):
        with pytest.raises(TypeError, match="^1 ms is a single quantity: it has no length and no items$"):
            attempt()


def test_immutable() -> None:
    source = np.array([1.0, 2.0])
    q = Quantity(source, TIME)
    source[0] = 9
    assert q[0] == 1 * second
    with pytest.raises(ValueError, match="read-only"):
        q.value[0] = 9  # type: ignore[index]
    with pytest.raises(AttributeError, match="^a quantity is immutable: cannot set value$"):
        q.value = 3
    with pytest.raises(AttributeError, match="^a quantity is immutable: cannot delete dim$"):
        del q.dim


@pytest.mark.parametrize("q", [20 * ms, [1, 2] * mV, 1 * mS / cm**2])
def test_copies_and_pickles(q: Quantity) -> None:
    for twin in (copy.copy(q), copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert np.all(twin == q)
        assert str(twin) == str(q)


def test_to() -> None:
    assert (2 * second).to(ms) == 2 / 1e-3
    assert (2 * second).to("ms") == 2 / 1e-3
    assert np.array_equal(([1, 2] * second).to(ms), np.array([1.0, 2.0]) / 1e-3)


def test_only_numbers_become_quantities() -> None:
    for bad in ("x", None, [[1], [1, 2]], np.array(["a"]), 1j):
        with pytest.raises(ParameterError, match="^a quantity needs a number or an array of numbers, got "):
            Quantity(bad, TIME)
    with pytest.raises(ParameterError, match=r"^cannot raise the negative -1 mV to the power 1/2$"):
        _ = (-1 * mV) ** 0.5


# -- printing


@pytest.mark.parametrize(
    ("q", "text"),
    [
        (20 * ms, "20 ms"), (-49 * mV, "-49 mV"), (0.1 * ms, "0.1 ms"), (250 * pF, "250 pF"), (1 / ms, "1 kHz"),
        (1 * second, "1 s"), (1e-9 * second, "1 ns"), (Quantity(-0.07, VOLTAGE), "-70 mV"), (0 * ms, "0 ms"),
        (Quantity(0, VOLTAGE), "0 mV"), (1 * nA / mV, "1 uS"), (10 * mS / cm**2, "10 mS/cm^2"),
        (1 * uF / cm**2, "1 uF/cm^2"), (3 * mV**2, "3 mV^2"), (Quantity(1e-10, AREA), "100 um^2"),
        (5 * nS / ms, "5 nS/ms"), (5 * kg / (metre * s), "5 kg/(m*s)"), (Quantity(2, MASS / TIME), "2 kg s^-1"),
        (140 * mM, "140 mM"), (mole, "1 mol"), (ms**0.5, "1 ms^(1/2)"), (math.inf * ms, "inf ms"),
        (Quantity(3, DIMENSIONLESS), "3"), (15 * mV + 3 * volt, "3015 mV"), (Quantity(1, TIME, "nonsense"), "1 s"),
        (Quantity(1, TIME, "mV"), "1 s"), (1e-5 * ms, "10 ns"), (np.arange(100) * ms, "[0, 1, 2, ..., 97, 98, 99] ms"),
        (1.1 * ms, "1.1 ms"), (second / 3, "0.3333333333333333 s"),
    ],
)  # fmt: skip
def test_text(q: Quantity, text: str) -> None:
    assert str(q) == repr(q) == text


def test_format() -> None:
    assert f"{second / 3:.2f}" == "0.33 s"
    assert f"{-70 * mV}" == "-70 mV"
    assert f"{Quantity(3, DIMENSIONLESS):.1f}" == "3.0"


@given(FLOATS, NAMES)
def test_text_of_any_float_reads_back_to_the_bit(x: float, name: str) -> None:
    for q in (Quantity(x, UNITS[name].dim), x * UNITS[name]):
        if math.isfinite(q.value):
            assert si(str(q)) == q.value


@given(MODERATE, NAMES, NAMES, st.integers(-3, 3))
def test_text_of_compound_units_reads_back(x: float, a: str, b: str, power: int) -> None:
    q = x * UNITS[a] / UNITS[b] ** power
    if isinstance(q, Quantity):
        read = parse_quantity(str(q))
        assert isinstance(read, Quantity)
        assert (read.value, read.dim) == (q.value, q.dim)


# -- reading


@pytest.mark.parametrize(
    ("text", "value", "dim"),
    [
        ("20 ms", 20 * 1e-3, TIME), ("20ms", 20 * 1e-3, TIME), ("-1.5e-3*mV", -(1.5e-3 * 1e-3), VOLTAGE),
        ("8 Hz", 8.0, FREQUENCY), ("0.5", 0.5, DIMENSIONLESS), ("1 nA/mV", 1e-9 / 1e-3, CONDUCTANCE),
        ("1/ms", 1 / 1e-3, FREQUENCY), ("3*mV**2", 3 * 1e-3**2, VOLTAGE**2), ("3 mV^2", 3 * 1e-3**2, VOLTAGE**2),
        ("ms", 1e-3, TIME), ("+.5 s", 0.5, TIME), ("1.e3ms", 1e3 * 1e-3, TIME), ("-0.07 V", -0.07, VOLTAGE),
        ("10 mS/cm^2", 10 * 1e-3 / 1e-2**2, CONDUCTANCE / AREA), ("1/(Mohm*pF)", 1 / (1e6 * 1e-12), FREQUENCY),
        ("2**3 ms", 8 * 1e-3, TIME), ("-2**2", -4.0, DIMENSIONLESS), ("5 \u00b5s", 5 * 1e-6, TIME),
        ("3 M\u03a9", 3e6, RESISTANCE), ("  7  kg m^2 s^-1 ", 7.0, MASS * AREA / TIME),
        ("ms ** ( 1/2 )", 1e-3**0.5, TIME**0.5), ("1 ms/ms", 1.0, DIMENSIONLESS), ("1/2*ms", 0.5 * 1e-3, TIME),
    ],
)  # fmt: skip
def test_parse(text: str, value: float, dim: Dimension) -> None:
    read = parse_quantity(text)
    assert si(text) == value
    assert (read.dim if isinstance(read, Quantity) else DIMENSIONLESS) == dim
    assert isinstance(read, float) == (dim == DIMENSIONLESS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a number or a unit, found the end"),
        ("20 *", "expected a number or a unit, found the end"),
        ("3 */ ms", "expected a number or a unit, found '/'"),
        ("3*-2", "expected a number or a unit, found '-'"),
        ("20 30", "unexpected '30'"),
        ("3 ms)", "unexpected ')'"),
        ("ms+1", "unexpected '+'"),
        ("2 $", "unexpected '$'"),
        ("__import__('os')", "unexpected '''"),
        ("(3 ms", "a bracket is not closed"),
        ("1/2 ms", "'ms' after a division is ambiguous, write '*' or brackets"),
        ("ms**x", "expected a short number, or a fraction in brackets, after '**'"),
        ("ms^", "expected a short number, or a fraction in brackets, after '^'"),
        ("ms**1e999999999", "expected a short number, or a fraction in brackets, after '**'"),
        ("ms**99999", "expected a short number, or a fraction in brackets, after '**'"),
        ("2**3**4", "unexpected '4'"),
        ("1/0", "it has no finite value"),
        ("1e999 ms", "it has no finite value"),
        ("10**999", "it has no finite value"),
        ("(-2)**0.5", "it has no finite value"),
        ("20 mss", "unknown unit 'mss'; did you mean 'ms'?"),
        ("20 mv", "unknown unit 'mv'; did you mean 'mV'?"),
        ("20 MS", "unknown unit 'MS'; did you mean 'mS' or 'ms'?"),
        ("3 secnd", "unknown unit 'secnd'; did you mean 'second'?"),
    ],
)
def test_parse_errors(text: str, reason: str) -> None:
    with pytest.raises(ParameterError) as error:
        parse_quantity(text)
    assert str(error.value) == f"cannot read '{text}' as a quantity: {reason}"


def test_parse_lists_the_units_if_none_is_near() -> None:
    with pytest.raises(ParameterError, match=r"^cannot read 'nan' as a quantity: unknown unit 'nan'; known: A, C, F, "):
        parse_quantity("nan")


def test_parse_bounds_its_work() -> None:
    with pytest.raises(ParameterError, match="^cannot read a quantity of 5000 characters; the most is 200$"):
        parse_quantity("(" * 5000)
    assert si("(" * 99 + "1" + ")" * 99) == 1.0


@given(st.text(alphabet="0123456789.eE+-*/^() msVnAHz_µ'", max_size=30))
def test_parse_never_fails_in_another_way(text: str) -> None:
    try:
        read = parse_quantity(text)
    except ParameterError:
        return
    assert isinstance(read, (float, Quantity))


# -- the table of units


def test_names_of_units() -> None:
    wanted = """second s ms us ns minute hour volt mV uV nV amp mA uA nA pA fA siemens mS uS nS pS farad uF nF pF ohm
        kohm Mohm Gohm hertz Hz kHz MHz metre cm mm um nm coulomb joule watt kelvin mole molar mM uM nM kg gram"""
    for name in wanted.split():
        assert UNITS[name] is getattr(units, name)
    assert [name for name in UNITS if len(name) == 1] == ["s"], "these would hide state variables in equations"
    for name in UNITS:
        assert parse_quantity(name) is UNITS[name]


def test_sizes_of_units() -> None:
    sizes = {"ms": 1e-3, "fA": 1e-15, "pS": 1e-12, "Gohm": 1e9, "hour": 3600.0, "cm": 1e-2, "mM": 1.0, "gram": 1e-3}
    for name, size in sizes.items():
        assert UNITS[name].value == size


# -- the gate


def test_quantity_returns_si() -> None:
    assert quantity(20 * ms, TIME, "tau_m") == 20 * 1e-3
    assert quantity(3, DIMENSIONLESS, "k") == 3.0
    assert type(quantity(np.float32(3), DIMENSIONLESS, "k")) is float
    taus = [1, 2] * ms
    out = quantity(taus, TIME, "tau_m")
    assert isinstance(out, np.ndarray)
    assert np.array_equal(out, taus.value)
    out[0] = 9  # the caller's own
    assert taus[0] == 1 * ms
    assert np.array_equal(quantity([1 * ms, 2 * second], TIME, "tau_m"), [1e-3, 2.0])
    assert np.array_equal(quantity([1, 2], DIMENSIONLESS, "k"), [1.0, 2.0])
    assert quantity(math.inf * ms, TIME, "tau_m", finite=False) == math.inf


@pytest.mark.parametrize(
    ("value", "dim", "kind", "sentence"),
    [
        (20, TIME, DimensionError, "tau_m of LIF must be a time (s), got the plain number 20: write 20*ms"),
        (0, TIME, DimensionError, "tau_m of LIF must be a time (s), got the plain number 0: write 0*ms"),
        (-70 * mV, TIME, DimensionError, "tau_m of LIF must be a time (s), got voltage (V): -70 mV"),
        (-70.5, VOLTAGE, DimensionError,
         "tau_m of LIF must be a voltage (V), got the plain number -70.5: write -70.5*mV"),
        ([1, 2], CURRENT, DimensionError,
         "tau_m of LIF must be a current (A), got plain numbers: multiply them by pA"),
        ([1 * ms, 2], TIME, DimensionError, "tau_m of LIF must be a time (s), got the plain number 2: write 2*ms"),
        (2, AREA, DimensionError, "tau_m of LIF must be an area (m^2), got the plain number 2: write 2*um**2"),
        (2, MASS / TIME, DimensionError,
         "tau_m of LIF must have dimension kg s^-1, got the plain number 2: multiply it by a unit of kg s^-1"),
        (2 * ms, DIMENSIONLESS, DimensionError, "tau_m of LIF must be dimensionless, got time (s): 2 ms"),
        ("20 ms", TIME, ParameterError,
         "tau_m of LIF must be a time (s), got str '20 ms': write it without quotes, as in 1*ms"),
        (None, TIME, ParameterError, "tau_m of LIF must be a time (s), got NoneType None"),
        (True, DIMENSIONLESS, ParameterError, "tau_m of LIF must be dimensionless, got bool True"),
        (math.nan, DIMENSIONLESS, ParameterError, "tau_m of LIF must be finite, got nan"),
        (math.inf * ms, TIME, ParameterError, "tau_m of LIF must be finite, got inf"),
        ([1.0, -math.inf] * ms, TIME, ParameterError, "tau_m of LIF must be finite, got -inf at index 1"),
        ([[1.0, math.nan]] * ms, TIME, ParameterError, "tau_m of LIF must be finite, got nan at index (0, 1)"),
    ],
)  # fmt: skip
def test_quantity_refuses(value: object, dim: Dimension, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as error:
        quantity(value, dim, "tau_m of LIF", "model.py:14")
    assert str(error.value) == f"{sentence} (model.py:14)"


@given(NAMES)
def test_the_fix_in_the_message_works(name: str) -> None:
    with pytest.raises(DimensionError) as error:
        quantity(3, UNITS[name].dim, "x")
    _, found, fix = str(error.value).partition("write ")
    if found:
        read = parse_quantity(fix)
        assert isinstance(read, Quantity)
        assert read.dim == UNITS[name].dim


def test_import_loads_only_numpy() -> None:
    heavy = "('torch', 'scipy', 'numba', 'pint', 'pandas')"
    code = f"import sys, neurosim.params; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_star_brings_units_and_leaves_the_name_of_the_package_alone() -> None:
    names: dict[str, object] = {}
    exec("from neurosim.units import *", names)
    names.pop("__builtins__")
    assert {"ms", "mV", "nA", "Mohm", "Hz", "um"} <= set(names) and "ns" not in names
    assert all(isinstance(value, Quantity) for value in names.values())

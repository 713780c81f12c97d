"""Declarations of parameters: what they accept, and what they say."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

from neurosim.errors import DimensionError, ParameterError
from neurosim.params import Param, table
from neurosim.units import DIMENSIONLESS, TIME, VOLTAGE, Quantity, cm, mS, ms, mV, pA, second

TAU = Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True, source="Vogels and Abbott 2005")


def message(error: pytest.ExceptionInfo) -> str:
    """The sentence without the place, which is that of this test."""
    return error.value.message


def test_dimension_comes_from_the_unit_or_else_from_the_default() -> None:
    assert TAU.dim == TIME
    assert Param(20 * ms).dim == TIME
    assert Param("v_rest", mV).dim == VOLTAGE
    assert Param(0.5, 1).dim == DIMENSIONLESS
    assert Param(0.5).dim is None
    assert Param("v_rest").dim is None


def test_si_default() -> None:
    assert TAU.si_default == 20 * 1e-3
    assert Param(0.5).si_default == 0.5
    assert Param("v_rest", mV).si_default == "v_rest"


def test_describe() -> None:
    assert TAU.describe("tau_m") == "tau_m = 20 ms: membrane time constant (> 0 ms)"
    assert TAU.describe() == "20 ms: membrane time constant (> 0 ms)"
    assert Param("v_rest", mV, "initial potential").describe("v") == "v = v_rest: initial potential"
    assert Param(0.5).describe("p") == "p = 0.5"
    probability = Param(0.5, 1, "release\n   probability", lo=0, hi=1)
    assert probability.describe("U") == "U = 0.5: release probability (>= 0 and <= 1)"
    assert Param(0.5, lo=0, hi=1, hi_open=True).describe("U") == "U = 0.5: (>= 0 and < 1)"
    assert Param(10 * mS / cm**2, meaning="leak").describe("g") == "g = 10 mS/cm^2: leak"


@pytest.mark.parametrize("value", [1e-3, 1e-300, np.array([1e-3, 1.0]), np.array([]), math.inf])
def test_check_accepts(value: float | np.ndarray) -> None:
    TAU.check(value, "tau_m of LIF")


def test_check_names_value_bounds_and_place() -> None:
    with pytest.raises(ParameterError) as error:
        TAU.check(-5e-3, "tau_m of LIF", "model.py:14")
    assert str(error.value) == "tau_m of LIF must be > 0 ms, got -5 ms (model.py:14)"
    with pytest.raises(ParameterError) as error:
        TAU.check(np.array([1e-3, 0.0, -1e-3]), "tau_m of LIF")
    assert str(error.value) == "tau_m of LIF must be > 0 ms, got 0 ms at index 1 (2 of 3 values)"
    with pytest.raises(ParameterError) as error:
        TAU.check(np.array([[1.0, 2.0], [1.0, -0.25]]), "tau")
    assert str(error.value) == "tau must be > 0 ms, got -250 ms at index (1, 1) (1 of 4 values)"
    with pytest.raises(ParameterError) as error:
        TAU.check(math.nan, "tau_m of LIF")
    assert str(error.value) == "tau_m of LIF must be > 0 ms, got nan ms"


def test_bounds_are_inclusive_unless_open() -> None:
    closed = Param(0.5, 1, lo=0, hi=1)
    closed.check(np.array([0.0, 1.0]), "p")
    half_open = Param(0.5, 1, lo=0, hi=1, hi_open=True)
    half_open.check(0.0, "p")
    with pytest.raises(ParameterError, match=r"^p must be >= 0 and < 1, got 1$"):
        half_open.check(1.0, "p")
    window = Param(-60 * mV, mV, lo=-100 * mV, hi=0)
    with pytest.raises(ParameterError, match=r"^v must be >= -100 mV and <= 0 mV, got 20 mV$"):
        window.check(20 * 1e-3, "v")


def test_without_bounds_everything_passes() -> None:
    Param(0.5).check(-1e300, "x")


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"default": 20, "unit": ms}, DimensionError,
         "the default of a parameter must be a time (s), got the plain number 20: write 20*ms"),
        ({"default": 20 * mV, "unit": ms}, DimensionError,
         "the default of a parameter must be a time (s), got voltage (V): 20 mV"),
        ({"default": 20 * ms, "lo": 1 * mV}, DimensionError,
         "the lower bound of a parameter must be a time (s), got voltage (V): 1 mV"),
        ({"default": 20 * ms, "hi": 100}, DimensionError,
         "the upper bound of a parameter must be a time (s), got the plain number 100: write 100*ms"),
        ({"default": 0.5, "hi": 1 * ms}, DimensionError,
         "the upper bound 1 ms needs a parameter with a unit, and this has none"),
        ({"default": -1 * ms, "lo": 0}, ParameterError, "the default of a parameter must be >= 0 ms, got -1 ms"),
        ({"default": "x", "unit": ms, "lo": 2 * ms, "hi": 1 * ms}, ParameterError, "no value is >= 2 ms and <= 1 ms"),
        ({"default": 1.0, "lo": 1, "hi": 1, "hi_open": True}, ParameterError, "no value is >= 1 and < 1"),
        ({"default": math.nan}, ParameterError, "the default of a parameter must be finite, got nan"),
        ({"default": 1.0, "lo": math.nan}, ParameterError,
         "the lower bound of a parameter must be a single number, got nan"),
        ({"default": 1.0, "unit": 2}, DimensionError,
         "the unit of a parameter must be a unit such as ms, or 1, got 2"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_where_it_is_made(arguments: dict, kind: type, sentence: str) -> None:
    with pytest.raises(kind) as error:
        Param(**arguments)
    assert message(error) == sentence
    assert "test_params.py:" in str(error.value)


def test_is_a_frozen_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TAU.meaning = "other"  # type: ignore[misc]
    same = Param(20 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True, source="Vogels and Abbott 2005")
    assert same == TAU
    assert hash(same) == hash(TAU)
    assert pickle.loads(pickle.dumps(TAU)) == TAU


def test_table() -> None:
    params = {
        "tau_m": TAU,
        "v_init": Param("v_rest", mV, "initial potential"),
        "U": Param(0.5, 1, "release probability", lo=0, hi=1),
        "i_e": Param(0 * pA, meaning="constant current"),
        "k": Param(2.0, meaning="gain"),
        "t_long": Param(300 * second, ms, "slow process"),
    }
    assert table(params) == (
        "======  =======  ====  ===================================\n"
        "name    default  unit  meaning\n"
        "======  =======  ====  ===================================\n"
        "tau_m   20       ms    membrane time constant (> 0 ms)\n"
        "v_init  v_rest   mV    initial potential\n"
        "U       0.5      1     release probability (>= 0 and <= 1)\n"
        "i_e     0        pA    constant current\n"
        "k       2              gain\n"
        "t_long  300 s    ms    slow process\n"
        "======  =======  ====  ==================================="
    )
    assert table({}) == ""


def test_quantity_default_may_be_an_array() -> None:
    per_type = Param(ms * np.array([10.0, 20.0]), lo=0)
    assert np.array_equal(np.asarray(per_type.si_default), np.array([10.0, 20.0]) * 1e-3)
    assert per_type.describe("tau") == "tau = [10, 20] ms: (>= 0 ms)"
    assert isinstance(per_type.default, Quantity)

"""How a value is written: numbers and quantities, arrays, distributions, values over time, expressions, declarations.

::

    0.5                                              a plain number
    "tau_m/2"                                        an expression
    {"si": 0.02, "unit": "s", "shown": "ms"}         a quantity; ``shown`` is the unit to print it in
    {"array": 3}  {"array": 3, "unit": "V"}          an array, plain or with a unit
    {"draw": {"kind": "normal", "a": …}, "unit": …}  a distribution; its numbers are in SI
    {"over": {"array": 4}, "dt": 0.001, …}           a TimedArray

Numbers are written with all the digits that make them the same to the bit.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError, ParameterError, caller
from neurosim.ir.distributions import PARAMETERS, Draw
from neurosim.lang.values import Random, TimedArray
from neurosim.params import Param
from neurosim.saving.nodes import Node
from neurosim.saving.writer import Writer
from neurosim.units import DIMENSIONLESS, TIME, Dimension, Quantity, parse_quantity

_UNIT_LETTERS = 60


def put(value: Any, w: Writer, bound: bool = False) -> Any:
    """Return a value as JSON; with ``bound``, it may be infinite."""
    if isinstance(value, str):
        return value
    if type(value) is Random:
        if type(value.draw) is not Draw:
            w.refuse(f"{value.draw!r} is not a distribution of neurosim's")
        given = {f.name: getattr(value.draw, f.name) for f in dataclasses.fields(value.draw)}
        plain = {key: x if isinstance(x, str) else number(x, w) for key, x in given.items() if x is not None}
        return {"draw": plain, "unit": unit(value.dim, w)}
    if type(value) is TimedArray:
        rows = w.array(value.values, "values")
        return {"over": rows, "axes": value.values.ndim, "unit": unit(value.dim, w), "dt": value.dt,
                **({"repeat": True} if value.repeat else {})}  # fmt: skip
    if isinstance(value, (list, tuple)) and any(isinstance(x, Quantity) for x in value):
        value = Quantity([x.value if isinstance(x, Quantity) else x for x in value], next(
            x.dim for x in value if isinstance(x, Quantity)))  # fmt: skip
    if isinstance(value, Quantity):
        of = {"unit": unit(value.dim, w)}
        shown = value.unit_name
        if shown and _readable(shown) == value.dim:
            of["shown"] = shown
        return {**(_array(value.value, w) or {"si": number(value.value, w, bound)}), **of}
    found = _array(value, w)
    return number(value, w, bound) if found is None else found


def _array(value: Any, w: Writer) -> dict[str, int] | None:
    """Return a reference if a value is an array of numbers."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.zeros((), dtype=object)
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            w.refuse(f"an array of {array.dtype} with {array.ndim} axes is no value; one axis of numbers is")
        return w.array(array, "values")
    return None


def number(value: Any, w: Writer, bound: bool = False) -> float | int | str:
    """Return a number as JSON; a whole one stays whole."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if not isinstance(value, (float, np.floating)):
        w.refuse(
            f"{value!r} is a {type(value).__name__}, and a file holds numbers, quantities, arrays, distributions and "
            "expressions"
        )
    if not math.isfinite(value):
        if not bound or math.isnan(value):
            w.refuse(f"the value {value} is not finite")
        return "inf" if value > 0 else "-inf"
    return float(value)


def take(node: Node, bound: bool = False) -> Any:
    """Return a value of a document."""
    if isinstance(node.value, str) and not (bound and node.value in ("inf", "-inf")):
        return node.text()
    if not isinstance(node.value, dict):
        return _number(node, bound)
    keys = node.value.keys()
    if "draw" in keys:
        found = node.object(("draw", "unit"))
        return Random(_draw(found["draw"]), dimension(found["unit"]))
    if "over" in keys:
        found = node.object(("over", "axes", "unit", "dt"), ("repeat",))
        rows = found["over"].array("values", found["axes"].whole(1, 2))
        made = TimedArray(_quantity(rows, dimension(found["unit"])), Quantity(float(found["dt"].number()), TIME),
                          "repeat" in found and found["repeat"].flag())  # fmt: skip
        return made
    if "array" in keys:
        found = node.object(("array",), ("unit", "shown"))
        array = node.arrays.take(found["array"], "values", 1)
        if "unit" not in found:
            return np.array(array)
        dim = dimension(found["unit"])
        return Quantity(array, dim, _shown(found, dim))
    found = node.object(("si", "unit"), ("shown",))
    dim = dimension(found["unit"])
    return Quantity(float(_number(found["si"], bound)), dim, _shown(found, dim))


def _number(node: Node, bound: bool) -> float | int:
    if bound and node.value in ("inf", "-inf"):
        return float(node.value)
    return node.number()


def _quantity(values: np.ndarray, dim: Dimension) -> Any:
    return Quantity(values, dim) if dim != DIMENSIONLESS else values


def _shown(found: dict[str, Node], dim: Dimension) -> str | None:
    """Return the unit to print in; text that is no unit could be anything."""
    if "shown" not in found:
        return None
    name = found["shown"].text()
    if _readable(name) != dim:
        found["shown"].fail(f"is {found['shown'].shown}, which is no unit of {dim}")
    return name


def _draw(node: Node) -> Draw:
    found = node.object(("kind", "a"), ("b", "lo", "hi", "how"))
    numbers = {key: found[key].number() for key in ("a", "b", "lo", "hi") if key in found}
    how = found["how"].choice("redraw", "clip") if "how" in found else "redraw"
    try:
        return Draw(found["kind"].choice(*PARAMETERS), how=how, **numbers)
    except ParameterError as error:
        raise ParameterError(error.message, caller()) from None


# -- units


def unit(dim: Dimension, w: Writer) -> str:
    """Return the SI unit of a dimension as text that reads back."""
    if _readable(dim.symbol) != dim:
        w.refuse(f"its dimension {dim.symbol} cannot be written")
    return dim.symbol


def dimension(node: Node) -> Dimension:
    """Return the dimension whose SI unit is written."""
    found = _readable(node.text())
    if found is None or found.symbol != node.value:
        node.fail(f"is {node.shown}, and not a unit of the SI such as V, s, Hz or 1")
    return found


@lru_cache(maxsize=512)
def _readable(text: str) -> Dimension | None:
    """Return the dimension of a unit's text, None if it is none."""
    if len(text) > _UNIT_LETTERS or not text.isprintable():
        return None
    try:
        made = parse_quantity(text)
    except NeurosimError:
        return None
    return made.dim if isinstance(made, Quantity) else DIMENSIONLESS


# -- declarations

_PARAM = {f.name: f.default for f in dataclasses.fields(Param)}


def put_param(param: Param, w: Writer) -> dict[str, Any]:
    """Return the declaration of a parameter as JSON, without what is as by default."""
    if type(param) is not Param:
        w.refuse(f"it is declared by {param!r}, and not by a Param")
    out: dict[str, Any] = {}
    for key, default in _PARAM.items():
        value = getattr(param, key)
        if key in ("meaning", "source"):
            if value != default:
                out[key] = w.label(value)
        elif key in ("lo_open", "hi_open"):
            if value:
                out[key] = True
        elif value is not default:
            out[key] = put(value, w, bound=key in ("lo", "hi"))
    return out


def take_param(node: Node) -> Param:
    """Return the declaration of a parameter."""
    found = node.object(("default",), tuple(_PARAM))
    given: dict[str, Any] = {}
    for key, each in found.items():
        if key in ("meaning", "source"):
            given[key] = each.label()
        elif key in ("lo_open", "hi_open"):
            given[key] = each.flag()
        else:
            given[key] = take(each, bound=key in ("lo", "hi"))
            if key != "default" and isinstance(given[key], str):
                each.fail(f"is {each.shown}, not a number or quantity")
    return Param(**given)

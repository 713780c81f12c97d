"""What the functions that make a network ask of what they are given: names, groups, sizes, initial values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neurosim.errors import DimensionError, ParameterError
from neurosim.lang.components import Random, TimedArray, check_value
from neurosim.lang.groups import Group, Population
from neurosim.lang.plasticity import Traces
from neurosim.lang.short_term import ShortTerm
from neurosim.params import Param
from neurosim.units import DIMENSIONLESS, Quantity


def variables(pop: Population) -> list[str]:
    """Return the state variables of a population, those of its receptors, stimuli and learning rules included."""
    out = list(pop.cell.variables)
    for key, receptor in pop.cell.receptors.items():
        out += [f"{key}.{v}" for v in receptor.variables]
    for key, stimulus, _, _ in pop.stimuli:
        out += [f"{key}.{v}" for v in stimulus.variables]
    for key, part in pop.scope.parts.items():
        out += [f"{key}.{v}" for v in part.variables] if isinstance(part, (Traces, ShortTerm)) else []
    return out


def groups(given: Any, network: Any, where: str | None, *more: type) -> list[Any]:
    """Return the populations in a list; refuse what is none before anything is built."""
    if isinstance(given, (Group, *more)):
        return [given]
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f": write net['{given}']" if isinstance(given, str) and given in network.populations else ""
        raise ParameterError(f"a population, a part of one or a list of them is needed, got {given!r}{hint}", where)
    out = list(given)
    for one in out:
        groups(one, network, where, *more)
    return out


def named(name: Any, what: str, where: str | None, more: str = "") -> None:
    """Refuse what cannot be a name."""
    allowed = isinstance(name, str) and name[:1].isalpha() and all(c.isalnum() or c in "_" + more for c in name)
    if not allowed:
        raise ParameterError(f"{name!r} cannot name a {what}: use letters, digits and '_', a letter first", where)


def _a(dim: Any) -> str:
    return str(dim) if dim == DIMENSIONLESS else f"a {dim}"


def initial(pop: Population, prefix: str, var: str, value: Any, where: str | None) -> Any:
    """Check an initial value."""
    full = f"{prefix}.{var}" if prefix else var
    what, dim = f"initial {full} of population '{pop.label}'", pop.scope.dimension(full)
    if isinstance(value, str):
        _, got = pop.scope.value(prefix, value, where)
        if got != dim:
            raise DimensionError(f"{what} must be {_a(dim)}, got '{value}', which is {got}", where)
        return value
    if isinstance(value, TimedArray):
        raise ParameterError(f"{what} is one value, an array, a distribution or an expression, not a TimedArray", where)
    out = check_value(value, Param(Quantity(0.0, dim), Quantity(1.0, dim), ""), what, where)
    fits(out, pop.n, what, where)
    return out


def fits(value: Any, n: int, what: str, where: str | None) -> None:
    """Refuse an array that has not one value per neuron."""
    shape = (
        np.shape(value.value if isinstance(value, Quantity) else value)
        if not isinstance(value, (str, Random, TimedArray))
        else ()
    )
    if shape not in ((), (n,)):
        raise ParameterError(f"{what} needs one value or {n}, got shape {list(shape)}", where)


def example(dims: Iterable[Any]) -> str:
    """Return a weight of the first of some dimensions, as one could write it."""
    return {"voltage (V)": "1*mV", "current (A)": "10*pA", "conductance (S)": "1*nS"}.get(str(next(iter(dims))), "1.0")


def same_ids(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Tell whether two selections are equal; None is everyone."""
    return a is b if a is None or b is None else bool(np.array_equal(a, b))

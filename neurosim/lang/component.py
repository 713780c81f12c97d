"""What cells, receptors and currents share."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.expr import Expr
from neurosim.lang.parser import (
    Equation,
    Statement,
    drawn,
    parse_equations,
    parse_expression,
    parse_statements,
    reserved,
)
from neurosim.lang.values import Random, TimedArray, check_value, declared
from neurosim.params import Param, table
from neurosim.units import DIMENSIONLESS, Dimension, Quantity, quantity


class Component:
    """What cells, receptors and currents share: equations, declared parameters and the values they were given."""

    kind = "component"
    choices: tuple[str, ...] = ()
    """Options that a copy may be given besides parameters."""

    def __init__(
        self,
        equations: str,
        params: Mapping[str, Any],
        name: str | None,
        source: str,
        doc: str,
        outer: tuple[str, ...] = (),
        texts: Iterable[Any] = (),
    ) -> None:
        self.where = caller()
        self._no_misspelt_option(params, (equations, *texts))
        self.name = name or type(self).__name__
        self.source, self.summary = source, doc
        self.text = equations
        self.params: dict[str, Param] = {}
        self.values: dict[str, Any] = {}
        self.init: dict[str, Any] = {}
        self.prototype: Component = self
        for key, value in params.items():
            problem = reserved(key)
            if problem:
                raise ParameterError(f"'{key}' cannot be a parameter of {self.name}: {problem}", self.where)
            if isinstance(value, (list, tuple)) and value and isinstance(value[0], Quantity):
                value = Quantity(quantity(value, value[0].dim, f"{key} of {self.name}", self.where), value[0].dim)
            self.params[key] = value if isinstance(value, Param) else declared(value)
            if not isinstance(value, Param):
                self.values[key] = check_value(value, self.params[key], f"{key} of {self.name}", self.where)
        self.equations: tuple[Equation, ...] = parse_equations(equations, (*self.params, *outer), self.where)
        self.draws = max((drawn(eq.expr) for eq in self.equations), default=0)
        for eq in self.equations:
            if eq.var in self.params:
                raise EquationError(f"'{eq.var}' is both a parameter and a variable of {self.name}", self.where)

    def _no_misspelt_option(self, params: Mapping[str, Any], texts: Iterable[Any]) -> None:
        """Refuse a parameter that no text of the component reads and that is nearly the name of an option."""
        plain = {key: value for key, value in params.items() if not isinstance(value, Param)}
        defaults = [value.default for value in params.values() if isinstance(value, Param)]
        written = [text for text in (*texts, *plain.values(), *defaults) if isinstance(text, str)]
        read = {word for text in written for word in re.findall(r"[A-Za-z_]\w*", re.sub(r"#.*", "", text))}
        unread = [key for key in plain if key not in read]
        if not unread:
            return
        signature = inspect.signature(type(self).__init__).parameters.values()
        options = [p.name for p in signature if p.kind is p.KEYWORD_ONLY]
        for key in unread:
            close = difflib.get_close_matches(key, options, n=1, cutoff=0.75)
            if close and close[0] not in key.split("_"):  # v_reset is a name of its own
                raise ParameterError(
                    f"{type(self).__name__} has no option '{key}'; did you mean '{close[0]}'?", self.where
                )

    # -- names --------------------------------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[str, ...]:
        """State variables, in the order of their equations."""
        return tuple(eq.var for eq in self.equations if eq.kind != "let")

    @property
    def own(self) -> set[str]:
        """All names the component defines."""
        return {*self.params, *(eq.var for eq in self.equations)}

    # -- values -------------------------------------------------------------------------------------------------

    def __call__(self, *unnamed: Any, **overrides: Any) -> Any:
        """Return a copy with other parameter values, given by name; unknown names and wrong dimensions are errors."""
        if unnamed:
            first = next(iter(self.params), "name")
            raise ParameterError(
                f"{self.name} takes its parameters by name, as in {self.name}({first}=…), got {unnamed[0]!r}", caller()
            )
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.values = dict(self.values)
        new.where = caller()
        for key, value in overrides.items():
            if not new._option(key, value):
                new.set(key, value)
        return new

    def _option(self, key: str, value: Any) -> bool:
        """Take an override that is not a parameter; tell whether it was one."""
        return False

    def set(self, key: str, value: Any) -> None:
        """Check one parameter value and keep it."""
        where = caller()
        if key not in self.params:
            known = [*self.params, *self.choices]
            raise UnknownNameError(f"{self.name} has no parameter '{key}'{suggest(key, known)}", where)
        self.values[key] = check_value(value, self.params[key], f"{key} of {self.name}", where)

    def value(self, key: str) -> Any:
        """Return a parameter as given, or its default."""
        return self.values.get(key, self.params[key].default)

    def dimension(self, key: str) -> Dimension:
        """Return the dimension of a parameter: the declared one, or that of its value."""
        declared = self.params[key].dim
        if declared is not None:
            return declared
        value = self.value(key)
        return value.dim if isinstance(value, (Quantity, Random, TimedArray)) else DIMENSIONLESS

    def describe(self) -> str:
        """Return equations and parameters as text, made from what is compiled."""
        head = f"{self.name}" + (f": {self.summary}" if self.summary else "")
        body = "\n".join(f"    {eq.text}" for eq in self.equations)
        options = {**self._options_text(), "init": ", ".join(f"{k} = {_shown(v)}" for k, v in self.init.items())}
        rest = "\n".join(f"    {f'{key}:':<12}{text}" for key, text in options.items() if text)
        source = f"Source: {self.source}" if self.source else ""
        return "\n\n".join(p for p in (head, body, rest, table(self.params), source) if p)

    def _options_text(self) -> dict[str, str]:
        """Return what is not an equation or a parameter, as :meth:`describe` shows it; empty texts are left out."""
        return {}

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v}" for k, v in self.values.items() if np.ndim(getattr(v, "value", v)) == 0)
        return f"{self.name}({given})"

    def _initial(self, init: Mapping[str, Any] | None) -> None:
        """Keep initial values of the component's own variables."""
        if init is not None and not isinstance(init, Mapping):
            raise ParameterError(f"init of {self.name} maps variables to values, as in {{'v': -70*mV}}; got {init!r}",
                                 self.where)  # fmt: skip
        self.init = dict(init or {})
        for var in self.init:
            if var not in self.variables:
                raise UnknownNameError(
                    f"{self.name} has no state variable '{var}'{suggest(var, self.variables)}", self.where
                )

    def _parse(self, text: str, more: tuple[str, ...] = (), condition: bool | None = False) -> Expr:
        """Parse an expression whose random numbers are none of those before it."""
        out = parse_expression(text, (*self.own, *more), self.where, condition, self.draws)
        self.draws = max(self.draws, drawn(out))
        return out

    def _statements(self, text: str, more: tuple[str, ...] = ()) -> tuple[Statement, ...]:
        out = parse_statements(text, (*self.own, *more), self.where, self.draws)
        self.draws = max([self.draws, *(drawn(st.expr) for st in out)])
        return out


def _shown(value: Any) -> str:
    """Return an initial value in a few characters."""
    shape = np.shape(getattr(value, "value", value))
    return str(value) if shape == () else f"array of {len(value)}"

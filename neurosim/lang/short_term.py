"""Short-term plasticity: what a spike releases depends on the spikes before it.

A model is a prototype like a cell: calling it returns a copy with other parameter values. ``net.connect(…,
short_term=model)`` gives it to a projection; its variables become variables of the source population, since they follow
from the spikes of the source alone, and cost nothing per edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, UnknownNameError, suggest
from neurosim.ir.expr import linear, names, walk
from neurosim.lang.component import Component
from neurosim.lang.groups import Group
from neurosim.lang.parser import parse_statements
from neurosim.lang.values import Random, TimedArray
from neurosim.units import DIMENSIONLESS, Quantity

RELEASE = "release"
"""What a spike carries, as a factor of the weight."""

LABEL = "stp"
"""Follows the projection's name in those of the variables: ``ab.stp.u``."""


class ShortTerm(Component):
    """A model of short-term plasticity by its equations.

    Parameters
    ----------
    equations : str
        Differential equations of the source's resources, linear in them: ``"dx/dt = (1 - x)/tau_rec"``. They are
        integrated exactly, whatever the scheme of the cell.
    on_spike : str
        Statements carried out at a spike of the source, in order, each reading what those before it have written. One
        of them sets ``release``, a number: the spike delivers the weight times it, at every synapse of the projection.
    init : mapping, optional
        Initial values of the variables; 0 by default.
    **params
        Parameters: one value each, or a :class:`~neurosim.params.Param`.

    Notes
    -----
    The release belongs to the spike: with a delay of d, what arrives in step n was released in step n - d/dt, whatever
    the source has done since. docs/semantics.md has the rest.

    Examples
    --------
    Depression alone, with the fraction ``U`` of what is available released by each spike:

    >>> import neurosim as ns
    >>> from neurosim.units import ms
    >>> ns.ShortTerm("dx/dt = (1 - x)/tau_rec", on_spike="release = U*x; x -= release", init={"x": 1},
    ...              U=0.5, tau_rec=800*ms)
    ShortTerm(U=0.5, tau_rec=800 ms)
    """

    kind = "short-term plasticity"

    def __init__(
        self,
        equations: str,
        *,
        on_spike: str,
        init: Mapping[str, Any] | None = None,
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        super().__init__(f"{equations}\nd{RELEASE}/dt = 0", params, name, source, doc, (), (on_spike,))
        self.text = equations
        for eq in self.equations:
            split = linear(eq.expr, set(self.variables)) if eq.kind == "ode" else None
            if eq.kind == "ode" and (split is None or names(eq.expr) - {*self.variables, *self.params}):
                raise EquationError(
                    f"'{eq.text}' of {self.name} cannot be solved exactly: an equation of short-term plasticity is "
                    "linear in its variables, and reads nothing but parameters besides",
                    self.where,
                )
            if eq.kind != "ode":
                raise EquationError(
                    f"a variable of short-term plasticity is given by a differential equation, "
                    f"'dx/dt = (1 - x)/tau'; {self.name} has '{eq.text}'",
                    self.where,
                )
        if RELEASE in self.params:
            raise ParameterError(f"'{RELEASE}' is what {self.name} computes, no parameter of it", self.where)
        self._initial(init)
        self.marks = parse_statements(on_spike, tuple(self.own), self.where) if on_spike.strip() else ()
        for st in self.marks:
            if st.var not in self.variables:
                raise UnknownNameError(
                    f"'{st.text}' of {self.name} changes '{st.var}', which is no variable of it"
                    f"{suggest(st.var, self.variables)}",
                    self.where,
                )
            foreign = sorted(names(st.expr) - self.own)
            if foreign:
                raise UnknownNameError(
                    f"'{st.text}' of {self.name} reads '{foreign[0]}'; it knows its own variables and parameters only"
                    f"{suggest(foreign[0], self.own)}",
                    self.where,
                )
            if any(x.op in ("uniform", "normal", "next") for x in walk(st.expr)):
                raise EquationError(
                    f"a statement of short-term plasticity is not random and reads no new value ([n+1]): '{st.text}'",
                    self.where,
                )
        if not any(st.var == RELEASE for st in self.marks):
            raise EquationError(
                f"{self.name} never says what a spike releases: one of the statements on_spike sets it, "
                f"'{RELEASE} = u*x'",
                self.where,
            )

    def _options_text(self) -> dict[str, str]:
        return {"on_spike": "; ".join(st.text for st in self.marks)}

    def describe(self) -> str:
        """Return equations and parameters as text, without the one that every model has."""
        return "\n".join(line for line in super().describe().split("\n") if line.strip() != f"d{RELEASE}/dt = 0")


def enter(model: Any, projection: str, pre: Group, where: str | None) -> ShortTerm:
    """Enter a model's variables into the populations of the sources, and return it.

    Raises
    ------
    ParameterError
        If it is no such model, or a parameter is not one value.
    DimensionError
        If what is released is no number.
    """
    if not isinstance(model, ShortTerm):
        raise ParameterError(f"short_term must be a model such as TsodyksMarkram(…), got {model!r}", where)
    for key in model.params:
        value = model.value(key)
        if isinstance(value, (Random, TimedArray)) or np.ndim(value.value if isinstance(value, Quantity) else value):
            raise ParameterError(
                f"{key} of {model.name} must be one value for the whole projection; got {value!r}", model.where
            )
    label = f"{projection}.{LABEL}"
    for pop in dict.fromkeys(pop for pop, _ in pre.parts):
        pop.scope.add_traces(label, model, {f"{label}.{RELEASE}": DIMENSIONLESS})
    return model


def leave(projection: str, pre: Group) -> None:
    """Take a model's variables out of the populations again: the projection was refused."""
    for pop, _ in pre.parts:
        pop.scope.parts.pop(f"{projection}.{LABEL}", None)

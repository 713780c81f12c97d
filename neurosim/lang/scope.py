"""The names of one population: the cell's, each receptor's (``exc.g``), each stimulus' (``noise.x``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

from neurosim.errors import DimensionError, EquationError, UnknownNameError, suggest
from neurosim.habits import NAMES, elsewhere
from neurosim.ir.expr import Expr, is_condition, names, rename, walk
from neurosim.lang.components import Cell, Component, Current, Drive, Receptor
from neurosim.lang.dimensions import NUMBER, Form, Solver
from neurosim.lang.parser import parse_expression
from neurosim.units import DIMENSIONLESS, FREQUENCY, LENGTH, TIME, Dimension

_ONE = Fraction(1)

MAX_LINKS = 50
"""Longest chain of parameters that are each an expression of the next."""


class Scope:
    """Composes a cell with its receptors and stimuli, and checks every equation's dimensions where it was written."""

    def __init__(self, population: str, cell: Cell, where: str | None) -> None:
        self.population, self.cell, self.where = population, cell, where
        self.parts: dict[str, Component] = {"": cell}
        self.found: dict[tuple[str, str], Dimension] = {}
        self.solver = Solver({}, set(cell.ports), where)
        self._enter("", cell)
        for key, receptor in cell.receptors.items():
            self._enter(key, receptor)
        self._check_cell(cell)
        for key, receptor in cell.receptors.items():
            self._check_receptor(key, receptor)
        self._settle()

    # -- names --------------------------------------------------------------------------------------------------

    def _enter(self, prefix: str, part: Component) -> None:
        self.parts[prefix] = part
        lead = f"{prefix}." if prefix else ""
        for key in part.params:
            self.solver.known[lead + key] = self._parameter(prefix, key, ())
        for eq in part.equations:
            self.solver.unknown.add(lead + eq.var)
        if isinstance(part, Receptor):
            self.solver.unknown.add(lead + ("w" if part.link is None else part.link.var))
            if part.link is not None and part.link.dim is not None:
                self.solver.declare(lead + part.link.var, part.link.dim, part.link.text)
        if isinstance(part, Cell):
            self.solver.known.update(dict.fromkeys(part.events, DIMENSIONLESS))

    def _parameter(self, prefix: str, key: str, open_: tuple[str, ...]) -> Dimension:
        """Return the dimension of a parameter; that of an expression is found, and has to be the declared one."""
        part = self.parts[prefix]
        value, declared = part.value(key), part.params[key].dim
        if not isinstance(value, str):
            return part.dimension(key)
        if (prefix, key) in self.found:
            return self.found[prefix, key]
        if len(open_) > MAX_LINKS:
            raise EquationError(
                f"the parameter {open_[0]} of {part.name} is computed over more than {MAX_LINKS} links", part.where
            )
        if key in open_:
            raise EquationError(
                f"the parameters {', '.join(open_)} of {part.name} refer to each other in a circle", part.where
            )
        _, got = self.value(prefix, value, part.where, (*open_, key))
        if declared is not None and got != declared:
            raise DimensionError(
                f"{key} of {part.name} must be {_a(declared)}, got '{value}', which is {got}", part.where
            )
        self.found[prefix, key] = got
        return got

    def value(self, prefix: str, text: str, where: str | None, open_: tuple[str, ...] = ()) -> tuple[Expr, Dimension]:
        """Parse the expression of a parameter or initial value: over parameters, ``index``, ``N``, ``x``, ``y``, ``z``.

        Returns
        -------
        (Expr, Dimension)
        """
        part, cell = self.parts[prefix], self.cell
        hiding = (*part.params, *cell.params, "index", "N", "x", "y", "z")
        e = parse_expression(text, hiding, where)
        known: dict[str, Dimension] = {
            "index": DIMENSIONLESS,
            "N": DIMENSIONLESS,
            "x": LENGTH,
            "y": LENGTH,
            "z": LENGTH,
        }
        for node in walk(e):
            if node.op == "name" and node.attr not in (*hiding, "t", "dt"):
                more = ": the number of a neuron is called 'index'" if node.attr == "i" else ""
                raise UnknownNameError(
                    f"unknown name '{node.attr}' in '{text}'{more or suggest(node.attr, [*hiding, 'dt'])}", where
                )
            if node.op == "next" or (node.op == "name" and node.attr == "t"):
                raise EquationError(
                    f"'{text}' is evaluated once, before the first step: it cannot depend on time", where
                )
            if node.op == "name" and node.attr in part.params:
                known[node.attr] = self._parameter(prefix, node.attr, open_)
            elif node.op == "name" and node.attr in cell.params:
                known[node.attr] = self._parameter("", node.attr, open_)
        got = Solver(known, set(), where).resolve(e, text)
        assert got is not None
        return e, got

    def full(self, prefix: str, event: bool = False) -> Callable[[str], str]:
        """Return the function that turns a name as a part wrote it into the population's name for it.

        The weight ``w`` that arrives is known in an ``event`` only.
        """
        part = self.parts[prefix]
        own = part.own | ({"w"} if event else set())

        def how(name: str) -> str:
            if prefix and name in own:
                return f"{prefix}.{name}"
            weight = name.endswith(".w") and isinstance(self.parts.get(name[:-2]), Receptor)
            if name in ("t", "dt") or (not weight and (name in self.solver.known or name in self.solver.unknown)):
                return name
            known = [*own, *self.cell.own, *self.cell.ports, "t", "dt"]
            raise UnknownNameError(
                f"unknown name '{name}' in {part.kind} {part.name} of population "
                f"'{self.population}'{_what_it_is(name, known, prefix)}",
                part.where,
            )

        return how

    def expr(self, prefix: str, e: Expr, event: bool = False) -> Expr:
        """Rename a part's expression, and tell the parts' random streams apart."""
        out = rename(e, self.full(prefix, event))
        return _streams(out, prefix)

    # -- dimensions ---------------------------------------------------------------------------------------------

    def _equations(self, prefix: str, part: Component) -> None:
        lead = f"{prefix}." if prefix else ""
        self.solver.where = part.where
        for eq in part.equations:
            if eq.dim is not None:
                self.solver.declare(lead + eq.var, eq.dim, eq.text)
        for eq in part.equations:
            self.solver.assign(lead + eq.var, self.expr(prefix, eq.expr), eq.text, rate=eq.kind == "ode")

    def _check_cell(self, cell: Cell) -> None:
        self._equations("", cell)
        if cell.threshold is not None:
            self._condition(cell.threshold, cell.threshold_text, cell.where)
        for st in cell.reset:
            self.solver.assign(st.var, self.expr("", st.expr), st.text)
        if cell.refractory is not None:
            self._refractory(cell.refractory, "the refractory period", cell.refractory_text)
        for key, event in cell.events.items():
            self._condition(event.condition, event.event.condition, cell.where)
            for st in event.reaction:
                self.solver.assign(st.var, self.expr("", st.expr), st.text)
            if event.refractory is not None:
                self._refractory(event.refractory, f"the refractory period of event '{key}'", event.refractory_text)

    def _refractory(self, e: Expr, what: str, text: str) -> None:
        """Check that what ends a refractory period is a condition, whose sides have one unit, or else a time."""
        form = self.solver.form(self.expr("", e), text if is_condition(e) else "refractory")
        if not is_condition(e):
            self.solver.equal(form, Form((), TIME), f"{what} must be a time, or a condition:|and", "refractory")

    def _condition(self, e: Expr, text: str, where: str | None) -> None:
        if not is_condition(e):
            raise EquationError(f"a condition compares values, such as 'v >= v_th'; '{text}' does not", where)
        self.solver.form(self.expr("", e), text)

    def _check_receptor(self, key: str, receptor: Receptor) -> None:
        self._equations(key, receptor)
        for st in receptor.event:
            var = self.full(key)(st.var)
            if var not in self.variables():
                raise EquationError(
                    f"an arrival at receptor '{key}' changes '{st.var}', which is no state variable"
                    f"{suggest(st.var, [*receptor.variables, *self.cell.variables])}",
                    receptor.where,
                )
            self.solver.assign(var, self.expr(key, st.expr, event=True), st.text)
        if receptor.output is not None:
            self._port(key, receptor, receptor.port, receptor.output)

    def _port(self, prefix: str, part: Component, port: str, output: Expr) -> None:
        if port not in self.cell.ports:
            raise EquationError(
                f"{part.kind} '{prefix}' feeds the port '{port}', which {self.cell.name} of population "
                f"'{self.population}' does not have{suggest(port, self.cell.ports)}",
                part.where,
            )
        got = self.solver.form(self.expr(prefix, output), f"output of {prefix}")
        read = [eq.expr for each in self.parts.values() for eq in each.equations]
        read += [e for e in (self.cell.threshold, *(st.expr for st in self.cell.reset)) if e is not None]
        read += [e for each in self.cell.events.values() for e in (each.condition, *(st.expr for st in each.reaction))]
        if not any(port in names(e) for e in read):
            raise EquationError(
                f"{part.kind} '{prefix}' feeds the port '{port}', but no equation of {self.cell.name} of population "
                f"'{self.population}' reads it",
                part.where,
            )
        try:
            self.solver.equal(
                Form(((port, _ONE),), DIMENSIONLESS),
                got,
                f"{part.kind} '{prefix}' does not fit the port '{port}' of population '{self.population}':|"
                "in the equations, but",
                str(output),
            )
        except DimensionError as e:
            hint = f" ({self.cell.name}: {self.cell.summary})" if self.cell.summary else ""
            raise DimensionError(e.message + hint, e.where) from None

    def variables(self) -> list[str]:
        """Return the state variables of all parts."""
        return [f"{prefix}.{v}" if prefix else v for prefix, part in self.parts.items() for v in part.variables]

    def _settle(self) -> None:
        """What is still free after all equations can be scaled at will: call it dimensionless."""
        for name in sorted(self.solver.unknown):
            if self.solver.dimension(name) is None:
                self.solver.equal(Form(((name, _ONE),), DIMENSIONLESS), NUMBER, "|", name)

    # -- stimuli ------------------------------------------------------------------------------------------------

    def add_current(self, key: str, current: Current) -> None:
        """Enter a current and check it."""
        with self._attempt(key):
            self._enter(key, current)
            self._equations(key, current)
            self._port(key, current, current.port, current.output)
            self._settle()

    def add_drive(self, key: str, drive: Drive, receptor: str) -> None:
        """Enter a Poisson drive and check its weight and rate."""
        with self._attempt(key):
            self._enter(key, drive)
            want, got = self.weight_dimension(receptor), drive.dimension("weight")
            if want != got:
                raise DimensionError(
                    f"the weight of a drive onto receptor '{receptor}' of population '{self.population}' must be "
                    f"{_a(want)}, got {got}",
                    drive.where,
                )
            self.solver.where = drive.where
            rate = self.solver.resolve(self.expr(key, drive.rate_expr), "rate")
            if rate != FREQUENCY:
                raise DimensionError(f"the rate of a Poisson drive must be {_a(FREQUENCY)}, got {rate}", drive.where)

    def add_traces(self, key: str, traces: Component, dimensions: Mapping[str, Dimension] | None = None) -> None:
        """Enter what a projection keeps at its neurons, and check it; ``dimensions`` are those of given variables."""
        with self._attempt(key):
            self._enter(key, traces)
            self._equations(key, traces)
            for variable, dim in (dimensions or {}).items():
                self.solver.declare(variable, dim, f"{traces.name}: {variable}")
            for st in traces.marks:  # type: ignore[attr-defined]
                self.solver.assign(f"{key}.{st.var}", self.expr(key, st.expr), st.text)
            self._settle()

    @contextmanager
    def _attempt(self, key: str) -> Iterator[None]:
        """Leave no trace of a stimulus that is refused."""
        solver = self.solver
        before = dict(solver.known), set(solver.unknown), dict(solver.solved)
        try:
            yield
        except Exception:
            self.parts.pop(key, None)
            self.found = {k: v for k, v in self.found.items() if k[0] != key}
            solver.known, solver.unknown, solver.solved = before
            raise

    def weight_dimension(self, receptor: str) -> Dimension:
        """Return the dimension of weights onto a receptor."""
        dim = self.solver.dimension(f"{receptor}.w")
        assert dim is not None
        return dim

    def dimension(self, name: str) -> Dimension:
        """Return the dimension of any name of the population."""
        dim = self.solver.dimension(name)
        return DIMENSIONLESS if dim is None else dim


def _what_it_is(name: str, known: list[str], prefix: str) -> str:
    """Return the end of a message about a name that nothing defines: what may have been meant."""
    target = name.removesuffix("_post")
    if name == "I" and not prefix:
        return ": the sum of what receptors and currents put in is called 'i', or say ports=('I',)"
    if name in NAMES:
        return elsewhere(name, NAMES)
    if target != name and target in known:
        return f": a receptor belongs to its target, whose variable is called '{target}'"
    more = suggest(name, known)
    if more.startswith("; known") and name.isidentifier() and not name.startswith("_"):
        more += f"; a parameter is given with its value, {name}=…"
    return more


def _a(dim: Dimension) -> str:
    return str(dim) if dim == DIMENSIONLESS else f"a {dim}"


def _streams(e: Expr, prefix: str) -> Expr:
    if e.op in ("uniform", "normal"):
        return Expr(e.op, (), f"{prefix}.{e.attr}" if prefix else e.attr)
    if not e.args:
        return e
    return Expr(e.op, tuple(_streams(a, prefix) for a in e.args), e.attr, e.dim, e.span)

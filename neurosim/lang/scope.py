"""The names of one population: the cell's, each receptor's (``exc.g``), each stimulus' (``noise.x``), with dimensions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from neurosim.errors import DimensionError, EquationError, UnknownNameError, suggest
from neurosim.ir.expr import Expr, rename
from neurosim.ir.ops import COMPARE
from neurosim.lang.components import Cell, Component, Current, Drive, Receptor
from neurosim.lang.dimensions import NUMBER, Form, Solver
from neurosim.units import DIMENSIONLESS, FREQUENCY, TIME, Dimension

_ONE = Fraction(1)


class Scope:
    """Composes a cell with its receptors and stimuli, and checks every equation's dimensions where it was written."""

    def __init__(self, population: str, cell: Cell, where: str | None) -> None:
        self.population, self.cell, self.where = population, cell, where
        self.parts: dict[str, Component] = {"": cell}
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
            self.solver.known[lead + key] = part.dimension(key)
        for eq in part.equations:
            self.solver.unknown.add(lead + eq.var)
        if isinstance(part, Receptor):
            self.solver.unknown.add(lead + "w")

    def full(self, prefix: str) -> Callable[[str], str]:
        """Return the function that turns a name as a part wrote it into the population's name for it."""
        part = self.parts[prefix]
        own = part.own | ({"w"} if isinstance(part, Receptor) else set())

        def how(name: str) -> str:
            if prefix and name in own:
                return f"{prefix}.{name}"
            if name in ("t", "dt") or name in self.solver.known or name in self.solver.unknown:
                return name
            known = [*own, *self.cell.own, *self.cell.ports, "t", "dt"]
            raise UnknownNameError(
                f"unknown name '{name}' in {part.kind} {part.name} of population '{self.population}'{suggest(name, known)}",
                part.where,
            )

        return how

    def expr(self, prefix: str, e: Expr) -> Expr:
        """Rename a part's expression, and tell the parts' random streams apart."""
        out = rename(e, self.full(prefix))
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
            form = self.solver.form(self.expr("", cell.refractory), "refractory")
            self.solver.equal(form, Form((), TIME), "the refractory period must be a time:|and", "refractory")

    def _condition(self, e: Expr, text: str, where: str | None) -> None:
        if e.op not in COMPARE and e.op not in ("and", "or", "not"):
            raise EquationError(f"a condition compares values, such as 'v >= v_th'; '{text}' does not", where)
        self.solver.form(self.expr("", e), text)

    def _check_receptor(self, key: str, receptor: Receptor) -> None:
        self._equations(key, receptor)
        for st in receptor.event:
            var = self.full(key)(st.var)
            self.solver.assign(var, self.expr(key, st.expr), st.text)
        if receptor.output is not None:
            self._port(key, receptor, receptor.port, receptor.output)

    def _port(self, prefix: str, part: Component, port: str, output: Expr) -> None:
        if port not in self.cell.ports:
            raise EquationError(
                f"{part.kind} '{prefix}' feeds the port '{port}', which {self.cell.name} of population "
                f"'{self.population}' does not have{suggest(port, self.cell.ports)}", part.where)  # fmt: skip
        got = self.solver.form(self.expr(prefix, output), f"output of {prefix}")
        self.solver.equal(Form(((port, _ONE),), DIMENSIONLESS), got, f"{part.kind} '{prefix}' does not fit the port '{port}' of "
                          f"population '{self.population}':|and", str(output))  # fmt: skip

    def _settle(self) -> None:
        """What is still free after all equations can be scaled at will: call it dimensionless."""
        for name in sorted(self.solver.unknown):
            if self.solver.dimension(name) is None:
                self.solver.equal(Form(((name, _ONE),), DIMENSIONLESS), NUMBER, "|", name)

    # -- stimuli ------------------------------------------------------------------------------------------------

    def add_current(self, key: str, current: Current) -> None:
        """Enter a current and check it."""
        self._enter(key, current)
        try:
            self._equations(key, current)
            self._port(key, current, current.port, current.output)
            self._settle()
        except Exception:
            del self.parts[key]
            raise

    def add_drive(self, key: str, drive: Drive, receptor: str) -> None:
        """Enter a Poisson drive and check its weight and rate."""
        self._enter(key, drive)
        try:
            want, got = self.weight_dimension(receptor), drive.dimension("weight")
            if want != got:
                raise DimensionError(
                    f"the weight of a drive onto receptor '{receptor}' of population '{self.population}' must be "
                    f"{_a(want)}, got {got}", drive.where)  # fmt: skip
            rate = self.solver.resolve(self.expr(key, drive.rate_expr), "rate")
            if rate != FREQUENCY:
                raise DimensionError(f"the rate of a Poisson drive must be a {FREQUENCY}, got {rate}", drive.where)
        except Exception:
            del self.parts[key]
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


def _a(dim: Dimension) -> str:
    return str(dim) if dim == DIMENSIONLESS else f"a {dim}"


def _streams(e: Expr, prefix: str) -> Expr:
    if e.op in ("uniform", "normal"):
        return Expr(e.op, (), f"{prefix}.{e.attr}" if prefix else e.attr)
    if not e.args:
        return e
    return Expr(e.op, tuple(_streams(a, prefix) for a in e.args), e.attr, e.dim, e.span)

"""Cells, receptors and currents: equations and parameters, as data.

All three are prototypes: calling one returns a copy with other parameter values, so a library model and a cell of
one's own are written in the same way::

    LIF = Cell("dv/dt = (v_rest - v + r_m*i)/tau_m", threshold="v >= v_th", reset="v = v_reset",
               refractory="t_ref", tau_m=Param(20*ms, ms, "membrane time constant", lo=0*ms), ...)
    fast = LIF(tau_m=5*ms)
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, caller, suggest
from neurosim.ir.expr import ZERO, Expr, add, is_condition, is_one, is_zero, linear, names, walk
from neurosim.lang.component import Component
from neurosim.lang.event import Event, ParsedEvent, check_events
from neurosim.lang.parser import Equation, Statement, parse_equations, reserved
from neurosim.lang.values import Random, TimedArray, by_name, check_value, exponential, lognormal, normal, uniform
from neurosim.params import Param
from neurosim.units import UNITS, Quantity

__all__ = [
    "METHODS", "Cell", "Component", "Current", "Drive", "Event", "Random", "Receptor", "TimedArray", "check_value",
    "exponential", "lognormal", "normal", "uniform",
]  # fmt: skip

METHODS = ("auto", "exact", "exponential_euler", "implicit_euler", "crank_nicolson", "tree", "euler", "rk2", "rk4")


class Receptor(Component):
    """What a synapse does to its target: the variables that carry the input, and what an arriving spike changes.

    With ``link`` in place of ``event`` it takes no spikes: every edge acts in every step, as a gap junction does.

    Parameters
    ----------
    equations : str
        Equations of the receptor's own variables; those of the cell (``v``) may be read.
    event : str
        Statements ``x += …`` linear in ``w``, the weight that arrives.
    link : str
        ``name = …``: what an edge adds in every step, from its weight ``w``, parameters, and state variables of both
        cells at the start of the step, ``v_pre`` and ``v_post``. The sum over the edges has that name in ``equations``
        and ``output``, and is constant during the step.
    output : str, optional
        What is added to the cell's ``port``.
    when : {"after", "before"}
        Whether an arrival is added after the decay of its step (NEST's and Brian2's order for exponential currents)
        or before it.
    port : str
        The name in the cell's equations that the outputs of all receptors are summed into.
    init : mapping, optional
        Initial values of the receptor's variables, as for a cell.
    **params
        Parameters: a value, or a :class:`~neurosim.params.Param`.
    """

    kind = "receptor"

    def __init__(
        self,
        equations: str = "",
        *,
        event: str = "",
        link: str | None = "",
        output: str | None = None,
        when: str = "after",
        port: str = "i",
        init: Mapping[str, Any] | None = None,
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        if not isinstance(link, str | None):
            raise EquationError(f"a link is text, as in link='i_gap = w*(v_pre - v_post)', not {link!r}", caller())
        link = link or ""
        self.link: Equation | None = None
        self.link_text = link
        made = (link.partition("=")[0].strip(),) if link else ()
        super().__init__(equations, params, name, source, doc, made, (event, link, output, *(init or {}).values()))
        self._initial(init)
        if link:
            if event:
                raise EquationError(f"{self.name} has an event and a link: spikes arrive, or edges act in every step",
                                    self.where)  # fmt: skip
            self._link(link)
        elif not event:
            raise EquationError(f"{self.name} needs an event: what an arrival adds, as in event='g += w'; or a link",
                                self.where)  # fmt: skip
        if when not in ("after", "before"):
            raise ParameterError(f"when must be 'after' or 'before' (the decay of the step), got {when!r}", self.where)
        if "w" in self.own:
            raise EquationError(
                f"'w' is the weight that arrives: {self.name} cannot give the name to anything else", self.where
            )
        self.when, self.port = when, port
        self.output = None if output is None else self._parse(output)
        self.output_text = output or ""
        self.event_text = event
        self.event: tuple[Statement, ...] = self._statements(event, ("w",))
        self.gains: dict[str, Expr] = {}
        for st in self.event:
            split = linear(st.expr, {st.var, "w"})
            if split is None or "w" not in split[0] or not is_one(split[0].get(st.var, ZERO)) or not is_zero(split[1]):
                raise EquationError(
                    f"an arrival can only add to a variable, in proportion to the weight: 'x += gain*w', not "
                    f"'{st.text}'",
                    self.where,
                )
            gain = split[0]["w"]
            if any(x.op in ("uniform", "normal", "next") for x in walk(gain)):
                raise EquationError(
                    f"the gain of an arrival cannot be random or read a new value ([n+1]): '{st.text}'", self.where
                )
            self.gains[st.var] = add(self.gains[st.var], gain) if st.var in self.gains else gain

    def _link(self, text: str) -> None:
        lines = parse_equations(text, (*self.params, *self.variables, "w"), self.where)
        if len(lines) != 1:
            raise EquationError(f"the link of {self.name} is one line, 'name = …', not {len(lines)}", self.where)
        self.link = lines[0]
        importlib.import_module("neurosim.lang.links").checked(self)

    @property
    def own(self) -> set[str]:
        """All names the receptor defines."""
        return {*super().own, *(() if self.link is None else (self.link.var,))}

    def at(self, part: str) -> Receptor:
        """Return the receptor on a part of a cell made by :func:`neurosim.compartments`: it reads that part's ``v``."""
        return importlib.import_module("neurosim.lang.compartments").at(self, part)

    def _options_text(self) -> dict[str, str]:
        event = "; ".join(st.text for st in self.event)
        when = self.when if self.link is None else ""
        return {"event": event, "link": self.link_text, "when": when, "output": self.output_text, "port": self.port}

    def _option(self, key: str, value: Any) -> bool:
        if key == "when":
            if value not in ("after", "before"):
                raise ParameterError(
                    f"when must be 'after' or 'before' (the decay of the step), got {value!r}", caller()
                )
            self.when = value
        elif key == "port":
            self.port = str(value)
        return key in ("when", "port")


class Current(Component):
    """A stimulus: a value computed in every step and added to a port of the cell.

    Parameters
    ----------
    equations : str
        Equations of the stimulus' own variables, if any (``x[n+1] = …`` for noise with memory).
    output : str
        The value in step n; may use ``t`` (= n dt), ``dt``, ``uniform()``, ``normal()``.
    port : str
        The name in the cell's equations it is added to.
    init : mapping, optional
        Initial values of the stimulus' variables, as for a cell.
    """

    kind = "current"

    def __init__(
        self,
        equations: str = "",
        *,
        output: str,
        port: str = "i",
        init: Mapping[str, Any] | None = None,
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        super().__init__(equations, params, name, source, doc, (), (output, *(init or {}).values()))
        self._initial(init)
        self.port = port
        self.output = self._parse(output)
        self.output_text = output

    def at(self, part: str) -> Current:
        """Return the current into a part of a cell made by :func:`neurosim.compartments`."""
        return importlib.import_module("neurosim.lang.compartments").at(self, part)

    def _options_text(self) -> dict[str, str]:
        return {"output": self.output_text, "port": self.port}

    def _option(self, key: str, value: Any) -> bool:
        if key == "port":
            self.port = str(value)
        return key == "port"


class Drive(Component):
    """Poisson input: every neuron gets its own spike trains, summed, onto a receptor.

    Parameters
    ----------
    rate : Quantity, array, TimedArray or str
        Rate of one train, constant, per neuron, or varying in time (an expression of ``t``).
    weight : Quantity
        Weight of one spike.
    receptor : str, optional
        Receptor of the target; may be left out where it has only one.
    n : int or array
        Number of independent trains per neuron; their sum is again Poisson, of rate ``n * rate``.
    """

    kind = "drive"

    def __init__(
        self,
        *,
        rate: Any,
        weight: Any,
        receptor: str | None = None,
        n: Any = 1,
        name: str | None = None,
        source: str = "",
        **params: Any,
    ) -> None:
        varying = isinstance(rate, str)
        given = {
            "rate": Param(0.0 * UNITS["Hz"], UNITS["Hz"], "rate of one train", lo=0.0),
            "n": Param(1.0, None, "trains", lo=0.0),
            "weight": Param(0.0, None, "weight of one spike"),
            **params,
        }
        if varying:
            del given["rate"]
        super().__init__("", given, name or "PoissonInput", source, "independent Poisson spike trains", (), (rate,))
        for key, value in (("rate", rate), ("weight", weight), ("n", n)):
            if not (varying and key == "rate"):
                self.set(key, value)
        given_weight = self.value("weight")
        single = not isinstance(given_weight, (str, Random, TimedArray))
        if not single or np.ndim(getattr(given_weight, "value", given_weight)) != 0:
            raise ParameterError(
                "the weight of a Poisson drive is one value; use several drives for several weights", self.where
            )
        self.receptor = receptor
        self.rate_text = rate if varying else ""
        self.rate_expr = self._parse(rate) if varying else self._parse("rate")


class Cell(Component):
    """A neuron model by its equations.

    Parameters
    ----------
    equations : str
        ``dx/dt = …`` (differential), ``x[n+1] = …`` (discrete; other variables are read as they were, or, written
        ``y[n+1]``, as they will be), ``x = …`` (a named intermediate). A name that nobody defines, ``i`` by custom,
        is a port: the sum of the receptors' outputs and the currents injected into it.
    threshold : str, optional
        Condition for a spike, tested after the update of the step, on the new values.
    reset : str, optional
        Statements executed in order when the neuron spikes.
    refractory : str, Quantity, optional
        How long after a spike the threshold is not tested and the ``clamp`` variables stand still: a time, or a
        condition, such as ``"v > 0*mV"``, tested at the beginning of each step after that of the spike: the first step
        in which it does not hold ends it.
    edge : bool
        A spike only where the condition becomes true (it was false in the step before).
    clamp : sequence of str, optional
        Variables that stand still while refractory; by default those that the threshold reads, or none where a
        condition ends it.
    method : str
        Integration of the differential equations: one of :data:`METHODS`. ``auto``: linear systems exactly, the rest by
        exponential Euler. ``implicit_euler``, ``crank_nicolson`` (linearly implicit): two and more variables that are
        linear in each other, as compartments are, are solved for together, the rest as by ``auto``. ``tree``: exactly
        if all is linear with constant coefficients, in at most 24 variables, else ``implicit_euler``.
    precision : {"double", "single"}, optional
        The only precision in which the cell means anything, as one in whole numbers beyond 2^24 does; any by default.
    receptors : mapping of str to Receptor
        Named receptors.
    init : mapping, optional
        Initial values: quantity, array, distribution or an expression of the parameters. 0 by default.
    ports : sequence of str
        Names of the ports.
    events : mapping of str to Event, optional
        What happens besides the spike, in the order in which it reacts.
    schedule : SpikeTimes, optional
        Given spike times in place of a threshold; what ``SpikeSource`` is made of.
    **params
        Parameters: a value, or a :class:`~neurosim.params.Param`.

    Calling a cell changes parameters, ``receptors``, ``method``, ``init`` and ``schedule``; the rest is the model.
    """

    kind = "cell"

    def __init__(
        self,
        equations: str = "",
        *,
        threshold: str | None = None,
        reset: str | None = None,
        refractory: Any = None,
        edge: bool = False,
        clamp: Any = None,
        method: str = "auto",
        precision: str = "",
        receptors: Mapping[str, Receptor] | None = None,
        init: Mapping[str, Any] | None = None,
        ports: tuple[str, ...] = ("i",),
        events: Mapping[str, Event] | None = None,
        schedule: Any = None,
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        init = by_name(init, "initial values", "init={'v': -65*mV}", caller())
        if isinstance(refractory, Quantity):
            params = {**params, "t_refractory": refractory}
            refractory = "t_refractory"
        ports = (ports,) if isinstance(ports, str) else tuple(ports)
        happens = check_events(events, name or type(self).__name__, caller())
        self.events: dict[str, ParsedEvent] = {}
        texts = (
            threshold,
            reset,
            refractory,
            *init.values(),
            *(t for e in happens.values() for t in e.texts()),
        )
        super().__init__(equations, params, name, source, doc, (*ports, *happens), texts)
        self.ports = tuple(p for p in ports if p not in self.own)
        self.schedule = schedule
        self.edge = bool(edge)
        self.method = _method(method, self.where)
        if precision not in ("", "double", "single"):
            raise ParameterError(f"precision of {self.name} is 'double' or 'single', got {precision!r}", self.where)
        self.precision = precision
        self.threshold = None if threshold is None else self._parse(threshold, condition=True)
        self.threshold_text = threshold or ""
        self.reset: tuple[Statement, ...] = () if reset is None else self._statements(reset)
        self.refractory = None if refractory is None else self._parse(refractory, condition=None)
        self.refractory_text = refractory or ""
        self._events(happens)
        for what, statements in [
            ("reset", self.reset),
            *((f"event '{k}'", e.reaction) for k, e in self.events.items()),
        ]:
            for st in statements:
                if st.var not in super().variables:
                    raise EquationError(
                        f"{what} changes '{st.var}', which is no state variable of {self.name}"
                        f"{suggest(st.var, super().variables)}",
                        self.where,
                    )
        if threshold is None and (reset is not None or refractory is not None):
            raise EquationError(f"{self.name} has a reset or refractory period but no threshold", self.where)
        self._old_values_only()
        if clamp is None:
            timed = self.refractory is not None and not is_condition(self.refractory)
            read = self._read(self.threshold) if self.threshold is not None and timed else set()
            clamp = [v for v in super().variables if v in read]
        self.clamp = (clamp,) if isinstance(clamp, str) else tuple(clamp)
        for var in self.clamp:
            if var not in super().variables:
                raise EquationError(
                    f"clamp names '{var}', which is no state variable of {self.name}{suggest(var, super().variables)}",
                    self.where,
                )
        self.receptors: dict[str, Receptor] = {}
        self._receptors(receptors)
        self.init = init

    def insert(self, **channels: Any) -> Cell:
        """Return the cell with channels in its membrane, as in ``Passive().insert(na=DendriticSpike())``.

        What channel ``na`` calls ``m`` the cell calls ``m_na``; its current is ``i_na``.
        """
        return importlib.import_module("neurosim.lang.compartments").insert(self, channels)

    @property
    def variables(self) -> tuple[str, ...]:
        """State variables in the order of their equations, then the events, which count the steps since."""
        return (*super().variables, *self.events)

    @property
    def own(self) -> set[str]:
        """All names the cell defines."""
        return {*super().own, *self.events}

    def _events(self, given: Mapping[str, Event]) -> None:
        for key in given:
            problem = reserved(key) or ("it is a name of the cell already" if key in super().own else None)
            if key in ("spike", "spikes", "rate"):
                problem = "it is what the threshold makes"
            if problem:
                raise ParameterError(f"'{key}' cannot name an event of {self.name}: {problem}", self.where)
        for key, event in given.items():
            quiet = event.refractory
            if isinstance(quiet, Quantity):
                name = f"t_{key}_refractory"
                if name in self.own:
                    raise ParameterError(
                        f"the refractory period of event '{key}' of {self.name} becomes the parameter '{name}', which "
                        f"there is already: write refractory='{name}'",
                        self.where,
                    )
                self.params[name] = Param(quiet, None, f"refractory period of {key}")
                self.values[name] = check_value(quiet, self.params[name], f"{name} of {self.name}", self.where)
                quiet = name
            self.events[key] = ParsedEvent(
                self._parse(event.condition, tuple(given), condition=True),
                self._statements(event.reaction, tuple(given)),
                None if quiet is None else self._parse(quiet, tuple(given), condition=None),
                quiet or "",
                event.edge,
                event,
            )

    def _old_values_only(self) -> None:
        parts = [("the threshold", self.threshold, self.threshold_text), ("the refractory period", self.refractory, "")]
        for key, event in self.events.items():
            parts += [(f"the condition of event '{key}'", event.condition, event.event.condition)]
            parts += [(f"the reaction of event '{key}'", st.expr, st.text) for st in event.reaction]
            parts += [(f"the refractory period of event '{key}'", event.refractory, "")]
        for what, e, text in [*parts, *(("a reset", st.expr, st.text) for st in self.reset)]:
            if e is not None and any(x.op == "next" for x in walk(e)):
                raise EquationError(
                    f"{what} of {self.name} cannot read a new value ([n+1]): it comes after the step, so "
                    f"the plain name is the new value{f': {text!r}' if text else ''}",
                    self.where,
                )

    def _read(self, e: Expr) -> set[str]:
        """Return the names an expression reads, also through intermediates."""
        lets = {eq.var: eq.expr for eq in self.equations if eq.kind == "let"}
        seen: set[str] = set()
        open_ = list(names(e))
        while open_:
            key = open_.pop()
            if key not in seen:
                seen.add(key)
                open_ += names(lets[key]) if key in lets else ()
        return seen

    def _receptors(self, given: Mapping[str, Receptor] | None) -> None:
        given = by_name(given, f"receptors of {self.name}", "receptors={'exc': ExpCurrent(tau=5*ms)}", caller())
        for key, receptor in given.items():
            if not isinstance(receptor, Receptor):
                raise ParameterError(
                    f"receptor '{key}' of {self.name} must be a Receptor, such as ExpCurrent(tau=5*ms); "
                    f"got {receptor!r}",
                    caller(),
                )
            problem = reserved(key)
            if problem:
                raise ParameterError(f"'{key}' cannot name a receptor: {problem}", caller())
        self.receptors = given

    def _options_text(self) -> dict[str, str]:
        return {
            "threshold": self.threshold_text + (" (where it becomes true)" if self.edge else ""),
            "reset": "; ".join(st.text for st in self.reset),
            "refractory": self.refractory_text,
            "clamp": ", ".join(self.clamp) if self.refractory_text else "",
            "method": self.method if any(eq.kind == "ode" for eq in self.equations) else "",
            "ports": ", ".join(self.ports) if self.ports != ("i",) else "",
            "events": "; ".join(f"{key} {event.text()}" for key, event in self.events.items()),
            "receptors": ", ".join(f"{key}: {receptor!r}" for key, receptor in self.receptors.items()),
        }

    def _option(self, key: str, value: Any) -> bool:
        if key == "receptors":
            self._receptors(value)
        elif key == "method":
            self.method = _method(value, caller())
        elif key == "init":
            self.init = {**self.init, **by_name(value, "initial values", "init={'v': -65*mV}", caller())}
        elif key == "schedule":
            self.schedule = value
        return key in ("receptors", "method", "init", "schedule")


def check_stimulus(given: Any, where: str | None) -> None:
    """Refuse what no population can be stimulated with, and say what may have been meant."""
    if isinstance(given, (Current, Drive)):
        return
    what = f"got {given!r}"
    if isinstance(given, Cell):
        what = f"got the cell {given!r}: make a population of it and connect that; PoissonInput(…) needs none"
    elif isinstance(given, Quantity):
        what = f"got {given}: a constant current is DCInput(…) of neurosim.models"
    raise ParameterError(f"a stimulus is a current or a Poisson input, {what}", where)


def _method(method: str, where: str | None) -> str:
    if method not in METHODS:
        raise ParameterError(f"method must be one of {', '.join(METHODS)}; got {method!r}", where)
    return method

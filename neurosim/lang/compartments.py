"""Cells made of compartments, and what is inserted into a membrane: channels, dendritic spikes.

Everything here writes equations. A compartment is a cell, and what it calls ``v`` the joined cell calls ``v_apical``;
so all that a cell has (receptors, events, schemes, parameters for every neuron, every engine) a branch has too, and
``print(cell.describe())`` shows the whole.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.expr import Expr, names, walk
from neurosim.lang.component import Component
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.event import Event, ParsedEvent, check_events
from neurosim.lang.parser import Equation, parse_expression, reserved
from neurosim.lang.values import Random, TimedArray
from neurosim.params import Param
from neurosim.units import CONDUCTANCE, Quantity, nS, quantity

_WORD = re.compile(r"\[\s*n\s*\+\s*1\s*\]|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[A-Za-z_][A-Za-z_0-9]*")


_GIVEN = ("index", "N")
"""What expressions of values may read besides parameters; x, y and z too, but those may be variables of a cell."""


class Channel(Component):
    """A current through the membrane, with variables and events of its own.

    Parameters
    ----------
    equations : str
        Equations of the channel's variables (gates); those of the cell (``v``) may be read.
    output : str
        The current into the cell, such as ``"g*m**3*h*(e_rev - v)"``.
    port : str
        The name in the cell's equations that the current is added to.
    events : mapping of str to Event, optional
        What happens in the channel, and the cell at large.
    init : mapping, optional
        Initial values of the channel's variables.
    **params
        Parameters: a value, or a :class:`~neurosim.params.Param`.
    """

    kind = "channel"

    def __init__(
        self,
        equations: str = "",
        *,
        output: str,
        port: str = "i",
        events: Mapping[str, Event] | None = None,
        init: Mapping[str, Any] | None = None,
        name: str | None = None,
        source: str = "",
        doc: str = "",
        **params: Any,
    ) -> None:
        self.events = check_events(events, "a channel", caller())
        texts = (output, *(init or {}).values(), *(t for e in self.events.values() for t in e.texts()))
        super().__init__(equations, params, name, source, doc, tuple(self.events), texts)
        self._initial(init)
        self._parse(output, tuple(self.events))
        self.port, self.output_text = port, output

    @property
    def own(self) -> set[str]:
        """All names the channel defines."""
        return {*super().own, *self.events}

    def _options_text(self) -> dict[str, str]:
        return {
            "output": self.output_text,
            "port": self.port,
            "events": "; ".join(f"{key}: {event!r}" for key, event in self.events.items()),
        }

    def _option(self, key: str, value: Any) -> bool:
        if key == "port":
            self.port = str(value)
        return key == "port"


# -- renaming ---------------------------------------------------------------------------------------------------------


def _put(text: str, how: Callable[[str], str]) -> str:
    """Rename the names in a text; numbers such as 1e3 and the [n+1] of new values stay."""
    return _WORD.sub(lambda found: how(found[0]) if found[0][0].isalpha() or found[0][0] == "_" else found[0], text)


def _equation(eq: Equation, how: Callable[[str], str]) -> str:
    left = {"ode": "d{}/dt", "update": "{}[n+1]", "let": "{}"}[eq.kind].format(how(eq.var))
    right, colon, unit = eq.text.split("=", 1)[1].partition(":")
    return f"{left} = {_put(right.strip(), how)}{f' : {unit.strip()}' if colon else ''}"


def _event(event: ParsedEvent, how: Callable[[str], str]) -> Event:
    """Return an event in new names; its refractory period is by now the parameter that was made of it."""
    quiet = _put(event.refractory_text, how) if event.refractory_text else None
    return Event(_put(event.event.condition, how), _put(event.event.reaction, how) or None, refractory=quiet,
                 edge=event.edge)  # fmt: skip


def _unread(event: Event, how: Callable[[str], str]) -> Event:
    """The same for an event that no cell has read yet."""
    quiet = _put(event.refractory, how) if isinstance(event.refractory, str) else event.refractory
    return Event(_put(event.condition, how), _put(event.reaction, how) or None, refractory=quiet, edge=event.edge)


@dataclass
class _Values:
    """Parameters as declared, and what was given for them: a declaration has one value, a neuron may have its own."""

    declared: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    def take(self, part: Component, how: Callable[[str], str]) -> None:
        """Take the parameters of a part under new names."""
        for key, param in part.params.items():
            value = part.value(key)
            if isinstance(value, str):
                value = _put(value, how)
            if isinstance(value, (str, float, int)) or (isinstance(value, Quantity) and np.ndim(value.value) == 0):
                param = dataclasses.replace(param, default=value)
            else:
                self.given[how(key)] = value
                if isinstance(param.default, str):
                    param = dataclasses.replace(param, default=_put(param.default, how))
            self.declared[how(key)] = param


def _init(part: Component, how: Callable[[str], str]) -> dict[str, Any]:
    return {how(k): _put(v, how) if isinstance(v, str) else v for k, v in part.init.items()}


def _table(new: Mapping[str, str]) -> Callable[[str], str]:
    return lambda name: new.get(name, name)


def _suffixed(own: set[str], suffix: str) -> Callable[[str], str]:
    return _table({name: f"{name}_{suffix}" for name in own})


# -- channels ---------------------------------------------------------------------------------------------------------


def insert(cell: Cell, channels: Mapping[str, Channel]) -> Cell:
    """Return a cell with channels in its membrane; what is ``m`` in channel ``na`` is ``m_na`` in the cell.

    Raises
    ------
    ParameterError
        If something is no channel, or a name is taken already.
    EquationError
        If the cell has no such port.
    """
    where = caller()
    added: list[str] = []
    inside: dict[str, list[str]] = {}
    values = _Values()
    init: dict[str, Any] = {}
    events: dict[str, Event] = {}
    taken = {*cell.own, *cell.ports}
    for key, channel in channels.items():
        if not isinstance(channel, Channel):
            raise ParameterError(f"'{key}' must be a Channel such as DendriticSpike(), got {channel!r}", where)
        _label(key, "channel", where)
        if channel.port not in cell.ports:
            raise EquationError(
                f"channel '{key}' feeds the port '{channel.port}', which {cell.name} does not have"
                f"{suggest(channel.port, cell.ports)}",
                where,
            )
        how = _suffixed(channel.own, key)
        current = f"i_{key}"
        new = {current, *(how(name) for name in channel.own)}
        both = sorted(new & taken)
        if both:
            raise ParameterError(f"channel '{key}' would bring a second '{both[0]}' to {cell.name}", where)
        taken |= new
        added += [_equation(eq, how) for eq in channel.equations]
        added += [f"{current} = {_put(channel.output_text, how)}"]
        inside.setdefault(channel.port, []).append(current)
        values.take(channel, how)
        init.update(_init(channel, how))
        events.update({how(k): _unread(e, how) for k, e in channel.events.items()})
    return _rebuilt(cell, added, inside, values, init, events)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else next(n for k in range(2, 10**6) if (n := f"{name}{k}") not in taken)


def _rebuilt(
    cell: Cell,
    added: list[str],
    inside: Mapping[str, list[str]],
    values: _Values,
    init: Mapping[str, Any],
    events: Mapping[str, Event],
) -> Cell:
    """Return a cell with more equations, whose ports ``inside`` also get the intermediates listed for them."""
    taken = {*cell.own, *cell.ports, *values.declared, *init, *events, *(text.split(" ")[0] for text in added)}
    total = {port: _free(f"{port}_in", taken) for port in inside}
    text = [_equation(eq, _table(total)) for eq in cell.equations]
    text += added + [f"{total[port]} = {' + '.join((port, *terms))}" for port, terms in inside.items()]
    values.take(cell, str)
    mine = {key: _event(e, str) for key, e in cell.events.items()}
    out = Cell(
        "\n".join(text), threshold=cell.threshold_text or None, clamp=cell.clamp, edge=cell.edge, name=cell.name,
        reset="; ".join(st.text for st in cell.reset) or None, refractory=cell.refractory_text or None,
        events={**mine, **events}, ports=cell.ports, receptors=cell.receptors, init={**cell.init, **init},
        method=cell.method, precision=cell.precision, source=cell.source, doc=cell.summary, **values.declared,
    )  # fmt: skip
    return out(**values.given) if values.given else out


def _label(key: Any, what: str, where: str | None) -> None:
    problem = reserved(key) if isinstance(key, str) else "it is no text"
    if problem:
        raise ParameterError(f"{key!r} cannot name a {what}: {problem}", where)


# -- compartments -----------------------------------------------------------------------------------------------------


def compartments(
    parts: Mapping[str, Cell],
    links: Mapping[tuple[str, str], Any],
    *,
    threshold: str | None = None,
    reset: str | None = None,
    refractory: Any = None,
    clamp: Any = None,
    events: Mapping[str, Event] | None = None,
    receptors: Mapping[str, Receptor] | None = None,
    init: Mapping[str, Any] | None = None,
    method: str = "tree",
    name: str = "Compartments",
    doc: str = "",
    source: str = "",
    **params: Any,
) -> Cell:
    """Return one cell whose compartments are joined by conductances.

    A name of a part gets the part's name behind it: ``v_soma``, ``g_l_apical``, the port ``i_apical``, the receptor
    ``ampa_apical``. The current ``g_soma_apical*(v_apical - v_soma)`` flows into the soma, and the opposite one into
    the apical compartment.

    Parameters
    ----------
    parts : mapping of str to Cell
        By name. At most one of them spikes: its threshold, reset and refractory period are the cell's.
    links : mapping of (str, str) to Quantity
        Conductance between two parts; like any parameter also an array, a distribution or an expression. They form a
        tree, or any other graph.
    threshold, reset, refractory, clamp : optional
        Each in place of that of the part that spikes, in the names of the joined cell.
    events, receptors, init, **params : optional
        More of them, in the names of the joined cell; ``ExpConductance().at("apical")`` is a receptor for a part.
    method : str
        As for :class:`Cell`, for the whole; the schemes of the parts are not asked. ``tree``, the default, is exact
        where everything is linear with constant coefficients, in at most 24 variables.

    Raises
    ------
    ParameterError, EquationError, UnknownNameError, DimensionError
        For parts that cannot be joined, and for names that would arise twice (a part ``r`` turns ``g_l`` into
        ``g_l_r``, and so does the link between ``l`` and ``r``). Also for a part whose potential runs away in the step
        of its spike, as that of AdEx and EIF does, unless the method is ``euler``: the others look at the end of the
        step, and carry it into its neighbours.
    """
    where = caller()
    for what, given in (
        ("parts", parts), ("links", links), ("events", events or {}), ("receptors", receptors or {}),
        ("init", init or {}),
    ):  # fmt: skip
        if not isinstance(given, Mapping):
            raise ParameterError(f"the {what} of a cell are a dictionary, by name; got {given!r}", where)
    names, values = _Names(where), _Values()
    near: dict[str, list[tuple[str, str]]] = {key: [] for key in parts}
    for key, cell in parts.items():
        _check_part(key, cell, where)
    for ends, g in links.items():
        _link(ends, g, parts, near, values, names, where)
    text: list[str] = []
    begin: dict[str, Any] = {}
    happens: dict[str, Event] = {}
    inputs: dict[str, Receptor] = {}
    ports: list[str] = []
    for key, cell in parts.items():
        own = {*cell.own, *cell.ports}
        how = _suffixed(own, key)
        names.claim(f"part '{key}'", (how(name) for name in own))
        names.claim(f"part '{key}'", (f"{k}_{key}" for k in cell.receptors))
        total = {**{name: how(name) for name in own}, "i": f"i_all_{key}" if near[key] else f"i_{key}"}
        text += [_equation(eq, _table(total)) for eq in cell.equations]
        if near[key]:
            names.claim(f"part '{key}'", [f"i_all_{key}"])
            currents = [f"{g}*(v_{other} - v_{key})" for g, other in near[key]]
            text.append(f"i_all_{key} = i_{key} + {' + '.join(currents)}")
        values.take(cell, how)
        begin.update(_init(cell, how))
        happens.update({how(k): _event(e, how) for k, e in cell.events.items()})
        inputs.update({f"{k}_{key}": receptor.at(key) for k, receptor in cell.receptors.items()})
        ports += [how(port) for port in cell.ports]
    for what, more in (("event", events or {}), ("receptor", receptors or {}), ("parameter", params)):
        names.claim(what, more)
    spiking = [key for key, cell in parts.items() if cell.threshold is not None]
    if len(spiking) > 1 and threshold is None:
        raise ParameterError(
            f"{len(spiking)} parts have a threshold ({', '.join(spiking)}), and a cell has one: say which with "
            "threshold=, or make the others events",
            where,
        )
    edge = False
    if len(spiking) == 1:
        cell = parts[spiking[0]]
        how = _suffixed({*cell.own, *cell.ports}, spiking[0])
        if threshold is None:
            threshold, edge = _put(cell.threshold_text, how), cell.edge
        if reset is None:
            reset = "; ".join(_put(st.text, how) for st in cell.reset) or None
        if refractory is None and cell.refractory_text:
            refractory = _put(cell.refractory_text, how)
        if clamp is None:
            clamp = tuple(how(v) for v in cell.clamp)
    running = next((key for key, cell in parts.items() if _runs_away(cell)), None)
    if running is not None and near[running] and method != "euler":
        raise ParameterError(
            f"the potential of part '{running}' runs away exponentially in the step of its spike, and "
            f"method='{method}' would carry that into the parts it is linked to: use method='euler', which does not "
            "look at the step's end",
            where,
        )
    precisions = {cell.precision for cell in parts.values() if cell.precision}
    if len(precisions) > 1:
        raise ParameterError("one part needs double precision, another single: no run has both", where)
    out = Cell(
        "\n".join(text), threshold=threshold, reset=reset, refractory=refractory, clamp=clamp, edge=edge,
        events={**happens, **(events or {})}, receptors={**inputs, **(receptors or {})}, ports=tuple(ports),
        init={**begin, **(init or {})}, method=method, precision=precisions.pop() if precisions else "", name=name,
        doc=doc, source=source,
        **{**values.declared, **params},
    )  # fmt: skip
    return out(**values.given) if values.given else out


class _Names:
    """The names of a joined cell: each may arise once."""

    def __init__(self, where: str | None) -> None:
        self.taken: dict[str, str] = {}
        self.where = where

    def claim(self, whose: str, names: Iterable[str]) -> None:
        """Enter names, or complain."""
        for name in names:
            if name in self.taken:
                raise ParameterError(
                    f"the name '{name}' arises twice, from {self.taken[name]} and from {whose}: call a part otherwise",
                    self.where,
                )
            self.taken[name] = whose


def _check_part(key: Any, cell: Any, where: str | None) -> None:
    _label(key, "part", where)
    if not isinstance(cell, Cell):
        raise ParameterError(f"the part '{key}' must be a cell such as Passive(), got {cell!r}", where)
    if cell.schedule is not None:
        raise ParameterError(f"the part '{key}' has spikes that are given: it has no membrane", where)
    if "v" not in cell.variables or "i" not in cell.ports:
        raise EquationError(f"the part '{key}' needs a potential v and a port i for the currents between parts", where)


def _runs_away(cell: Cell) -> bool:
    """Tell whether a cell spikes by an exponential of its own potential, as AdEx and EIF do."""
    lets = {eq.var: eq.expr for eq in cell.equations if eq.kind == "let"}
    slope = next((eq.expr for eq in cell.equations if eq.var == "v" and eq.kind == "ode"), None)
    if slope is None or cell.threshold is None:
        return False

    def reads(e: Expr) -> set[str]:
        return set().union(*(reads(lets[x]) if x in lets else {x} for x in names(e)))

    open_, inside = [slope], False
    while open_ and not inside:
        for x in walk(open_.pop()):
            inside = inside or (x.op == "exp" and "v" in reads(x.args[0]))
            open_ += [lets[x.attr]] if x.op == "name" and x.attr in lets else []
    return inside


def _link(
    ends: Any,
    g: Any,
    parts: Mapping[str, Cell],
    near: dict[str, list[tuple[str, str]]],
    values: _Values,
    names: _Names,
    where: str | None,
) -> None:
    """Enter the conductance between two parts."""
    a, b = _ends(ends, parts, where)
    if any(other == b for _, other in near[a]):
        raise ParameterError(f"'{a}' and '{b}' are linked twice", where)
    what = f"the link between '{a}' and '{b}'"
    if not isinstance(g, (str, Random, TimedArray)):
        quantity(g, CONDUCTANCE, what, where)
    key = f"g_{a}_{b}"
    names.claim(what, [key])
    values.declared[key] = Param(0 * nS, nS, f"conductance between {a} and {b}", lo=0 * nS)
    if isinstance(g, Quantity) and np.ndim(g.value) == 0:
        values.declared[key].check(g.value, what, where)
    if isinstance(g, str) or (isinstance(g, Quantity) and np.ndim(g.value) == 0):
        values.declared[key] = dataclasses.replace(values.declared[key], default=g)
    else:
        values.given[key] = g
    near[a].append((key, b))
    near[b].append((key, a))


def _ends(ends: Any, parts: Mapping[str, Cell], where: str | None) -> tuple[str, str]:
    if not isinstance(ends, tuple) or len(ends) != 2:
        raise ParameterError(f"a link is between two parts, as in {{('soma', 'apical'): 10*nS}}; got {ends!r}", where)
    for end in ends:
        if end not in parts:
            raise UnknownNameError(f"a link names no part '{end}'{suggest(str(end), parts)}", where)
    if ends[0] == ends[1]:
        raise ParameterError(f"'{ends[0]}' cannot be linked to itself", where)
    return ends


def at(component: Any, part: str) -> Any:
    """Return a receptor or a current on a part of a cell: what it reads of the cell, and its port, get the part's name
    behind."""
    where = caller()
    _label(part, "part", where)
    read = {st.var for st in getattr(component, "event", ())}
    trees = [eq.expr for eq in component.equations] + [st.expr for st in getattr(component, "event", ())]
    written = [component.value(key) for key in component.params] + list(component.init.values())
    trees += [parse_expression(text, component.own, where) for text in written if isinstance(text, str)]
    trees += [] if component.output is None else [component.output]
    read.update(*(names(e) for e in trees))
    given = {*component.own, "t", "dt", *_GIVEN}
    if isinstance(component, Receptor):
        given.add("w")
    put = _suffixed(read - given, part)  # functions and units stay
    values = _Values()
    values.take(component, put)
    more: dict[str, Any] = {"output": _put(component.output_text, put) or None, "port": f"{component.port}_{part}"}
    if isinstance(component, Receptor):
        more |= {"event": _put(component.event_text, put), "when": component.when}
        if component.link is not None:  # v_pre and v_post: both ends lie on that part
            ends = [name.rpartition("_") for name in names(component.link.expr) - given]
            more["link"] = _put(component.link_text, _table({f"{v}_{s}": f"{v}_{part}_{s}" for v, _, s in ends}))
    out = type(component)(
        "\n".join(_equation(eq, put) for eq in component.equations), init=_init(component, put), name=component.name,
        source=component.source, doc=component.summary, **more, **values.declared,
    )  # fmt: skip
    return out(**values.given) if values.given else out


__all__ = ["Channel", "at", "compartments", "insert"]

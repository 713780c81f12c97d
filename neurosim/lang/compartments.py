"""Cells made of compartments, and what is inserted into a membrane: channels, dendritic spikes.

Everything here writes equations. A compartment is a cell, and what it calls ``v`` the joined cell calls ``v_apical``;
so all that a cell has (receptors, events, schemes, parameters for every neuron, every engine) a branch has too, and
``print(cell.describe())`` shows the whole.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurosim.errors import EquationError, ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.expr import names
from neurosim.lang.component import Component
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.event import Event
from neurosim.lang.parser import Equation, reserved
from neurosim.params import Param
from neurosim.units import CONDUCTANCE, Quantity

_WORD = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[A-Za-z_][A-Za-z_0-9]*")

_KEPT = ("t", "dt", "index", "N", "x", "y", "z")
"""Names that mean the same in every compartment; a part may still give one of the last five to a variable."""


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
        self.events = dict(events or {})
        for key, event in self.events.items():
            if not isinstance(event, Event):
                raise ParameterError(f"event '{key}' of a channel must be an Event, got {event!r}", caller())
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
    """Rename the names in a text; numbers such as 1e3 stay."""
    return _WORD.sub(lambda found: how(found[0]) if found[0][0].isalpha() or found[0][0] == "_" else found[0], text)


def _equation(eq: Equation, how: Callable[[str], str]) -> str:
    left = {"ode": "d{}/dt", "update": "{}[n+1]", "let": "{}"}[eq.kind].format(how(eq.var))
    right, colon, unit = eq.text.split("=", 1)[1].partition(":")
    return f"{left} = {_put(right.strip(), how)}{f' : {unit.strip()}' if colon else ''}"


def _event(event: Event, how: Callable[[str], str]) -> Event:
    quiet = _put(event.refractory, how) if isinstance(event.refractory, str) else event.refractory
    return Event(_put(event.condition, how), _put(event.reaction, how) or None, refractory=quiet, edge=event.edge)


def _kept(part: Component, key: str, how: Callable[[str], str] = str) -> Any:
    """Return a parameter as declared, with the value it was given as its default; what is no single value, as it is."""
    value = part.value(key)
    if isinstance(value, str):
        value = _put(value, how)
    single = isinstance(value, (str, float, int)) or (isinstance(value, Quantity) and np.ndim(value.value) == 0)
    return dataclasses.replace(part.params[key], default=value) if single else value


def _values(part: Component, how: Callable[[str], str]) -> dict[str, Any]:
    """Return a part's parameters under their new names."""
    return {how(key): _kept(part, key, how) for key in part.params}


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
    params: dict[str, Any] = {}
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
        params.update(_values(channel, how))
        init.update(_init(channel, how))
        events.update({how(k): _event(e, how) for k, e in channel.events.items()})
    return _rebuilt(cell, added, inside, params, init, events)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else next(n for k in range(2, 10**6) if (n := f"{name}{k}") not in taken)


def _rebuilt(
    cell: Cell,
    added: list[str],
    inside: Mapping[str, list[str]],
    params: Mapping[str, Any],
    init: Mapping[str, Any],
    events: Mapping[str, Event],
) -> Cell:
    """Return a cell with more equations, whose ports ``inside`` also get the intermediates listed for them."""
    total = {port: _free(f"{port}_in", cell.own) for port in inside}
    text = [_equation(eq, _table(total)) for eq in cell.equations]
    text += added + [f"{total[port]} = {' + '.join((port, *terms))}" for port, terms in inside.items()]
    return Cell(
        "\n".join(text), threshold=cell.threshold_text or None, clamp=cell.clamp, edge=cell.edge, name=cell.name,
        reset="; ".join(st.text for st in cell.reset) or None, refractory=cell.refractory_text or None,
        events={**{k: e.event for k, e in cell.events.items()}, **events}, ports=cell.ports, receptors=cell.receptors,
        init={**cell.init, **init}, method=cell.method, precision=cell.precision, source=cell.source, doc=cell.summary,
        **{**_values(cell, str), **params},
    )  # fmt: skip


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
        In place of those of the part that spikes, in the names of the joined cell.
    events, receptors, **params : optional
        More of them, in the names of the joined cell; ``ExpConductance().at("apical")`` is one for a part.
    method : str
        As for :class:`Cell`. ``tree``, the default, is exact where everything is linear with constant coefficients.

    Raises
    ------
    ParameterError, EquationError, UnknownNameError
        For parts that cannot be joined, in the words of the caller's line.
    """
    where = caller()
    near: dict[str, list[tuple[str, str, str]]] = {key: [] for key in parts}
    given: dict[str, Any] = {}
    for ends, g in links.items():
        a, b = _ends(ends, parts, where)
        key = f"g_{a}_{b}"
        if key in given or f"g_{b}_{a}" in given:
            raise ParameterError(f"'{a}' and '{b}' are linked twice", where)
        if isinstance(g, Quantity) and g.dim != CONDUCTANCE:
            raise ParameterError(
                f"the link between '{a}' and '{b}' must be a conductance, such as 10*nS; got {g}", where
            )
        plain = isinstance(g, str) or (isinstance(g, Quantity) and np.ndim(g.value) == 0)
        given[key] = Param(g, None, f"conductance between {a} and {b}") if plain else g
        near[a].append((key, a, b))
        near[b].append((key, b, a))
    text: list[str] = []
    init: dict[str, Any] = {}
    happens: dict[str, Event] = {}
    inputs: dict[str, Receptor] = {}
    ports: list[str] = []
    spiking: list[tuple[Cell, Callable[[str], str]]] = []
    for key, cell in parts.items():
        if not isinstance(cell, Cell):
            raise ParameterError(f"the part '{key}' must be a cell such as Passive(), got {cell!r}", where)
        _label(key, "part", where)
        if "v" not in cell.variables or "i" not in cell.ports:
            raise EquationError(
                f"the part '{key}' needs a potential v and a port i for the currents between parts", where
            )
        how = _suffixed({*cell.own, *cell.ports}, key)
        inside = {
            **{name: how(name) for name in (*cell.own, *cell.ports)},
            "i": f"i_all_{key}" if near[key] else f"i_{key}",
        }
        text += [_equation(eq, _table(inside)) for eq in cell.equations]
        if near[key]:
            currents = [f"{g}*(v_{b} - v_{a})" for g, a, b in near[key]]
            text.append(f"i_all_{key} = i_{key} + {' + '.join(currents)}")
        given.update(_values(cell, how))
        init.update(_init(cell, how))
        happens.update({how(k): _event(e.event, how) for k, e in cell.events.items()})
        inputs.update({f"{k}_{key}": receptor.at(key) for k, receptor in cell.receptors.items()})
        ports += [how(port) for port in cell.ports]
        if cell.threshold is not None:
            spiking.append((cell, how))
    if len(spiking) > 1 and threshold is None:
        raise ParameterError(
            f"{len(spiking)} parts have a threshold ({', '.join(c.name for c, _ in spiking)}), and a cell has one: say "
            "which with threshold=, or make the others events",
            where,
        )
    edge = False
    if spiking and threshold is None:
        cell, how = spiking[0]
        threshold, edge = _put(cell.threshold_text, how), cell.edge
        if reset is None:
            reset = "; ".join(_put(st.text, how) for st in cell.reset) or None
        if refractory is None and cell.refractory_text:
            refractory = _put(cell.refractory_text, how)
        if clamp is None:
            clamp = tuple(how(v) for v in cell.clamp)
    return Cell(
        "\n".join(text), threshold=threshold, reset=reset, refractory=refractory, clamp=clamp, edge=edge,
        events={**happens, **(events or {})}, receptors={**inputs, **(receptors or {})}, ports=tuple(ports),
        init=init, method=method, name=name, doc=doc, source=source, **{**given, **params},
    )  # fmt: skip


def _ends(ends: Any, parts: Mapping[str, Cell], where: str | None) -> tuple[str, str]:
    if not isinstance(ends, tuple) or len(ends) != 2:
        raise ParameterError(f"a link is between two parts, as in {{('soma', 'apical'): 10*nS}}; got {ends!r}", where)
    for end in ends:
        if end not in parts:
            raise UnknownNameError(f"a link names no part '{end}'{suggest(str(end), parts)}", where)
    if ends[0] == ends[1]:
        raise ParameterError(f"'{ends[0]}' cannot be linked to itself", where)
    return ends


def at(receptor: Receptor, part: str) -> Receptor:
    """Return a receptor on a part of a cell: what it reads of the cell, and its port, get the part's name behind."""
    where = caller()
    _label(part, "part", where)

    def how(name: str) -> str:
        return name if name in receptor.own or name == "w" or name in _KEPT else f"{name}_{part}"

    read = set().union(
        *(names(eq.expr) for eq in receptor.equations),
        *(names(st.expr) | {st.var} for st in receptor.event),
        set() if receptor.output is None else names(receptor.output),
    )
    put = _table({name: how(name) for name in read})  # functions and units stay
    return Receptor(
        "\n".join(_equation(eq, put) for eq in receptor.equations), event=_put(receptor.event_text, put),
        output=_put(receptor.output_text, put) or None, when=receptor.when, port=f"{receptor.port}_{part}",
        init=receptor.init, name=receptor.name, source=receptor.source, doc=receptor.summary,
        **_values(receptor, str),
    )  # fmt: skip


__all__ = ["Channel", "at", "compartments", "insert"]

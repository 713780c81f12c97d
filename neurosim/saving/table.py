"""What the components of the language are made of: one row a field, by which they are written and read.

A field is an option of the component's constructor. A constructor that has another one than stands here is not written:
``tests/test_saving.py`` fails, and until then ``net.save`` refuses, naming it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from neurosim.lang.component import Component
from neurosim.lang.components import Cell, Current, Drive, Receptor
from neurosim.lang.event import Event
from neurosim.lang.plasticity import CHOICES, Plasticity
from neurosim.lang.short_term import ShortTerm
from neurosim.registry import load_prototypes, load_schedule, prototype_group, schedule_name
from neurosim.saving.nodes import Node
from neurosim.saving.values import put, put_param, take, take_param
from neurosim.saving.writer import Writer
from neurosim.units import TIME, Quantity

# -- forms: how a field is written and read


@dataclass(frozen=True)
class Form:
    """How a field becomes JSON and back."""

    put: Callable[[Any, Writer], Any]
    take: Callable[[Node], Any]


def _values(given: Mapping[str, Any], w: Writer) -> dict[str, Any]:
    out = {}
    for key, value in given.items():
        with w.of(f"the initial {key}"):
            out[key] = put(value, w)
    return out


def _schedule(schedule: Any, w: Writer) -> dict[str, Any]:
    kind = schedule_name(schedule)
    if kind is None:
        w.refuse(f"its spikes come from {schedule!r}, which is no SpikeSource: a file holds times")
    out: dict[str, Any] = {"kind": kind, "times": w.array(schedule.times, "values"),
                           "ids": w.array(schedule.ids, "indices")}  # fmt: skip
    if schedule.size is not None:
        out["size"] = int(schedule.size)
    if schedule.period is not None:
        out["period"] = schedule.period
    return {**out, "align": schedule.align, "duplicates": schedule.duplicates}


def _scheduled(node: Node) -> Any:
    found = node.object(("kind", "times", "ids", "align", "duplicates"), ("size", "period"))
    make = load_schedule(found["kind"].choice("SpikeTimes"))
    times = Quantity(found["times"].array("values"), TIME)
    period = Quantity(float(found["period"].number()), TIME) if "period" in found else None
    size = found["size"].whole(0, 2**31) if "size" in found else None
    return make(times, found["ids"].array("indices"), period, found["align"].text(), found["duplicates"].text(), size)


def _happens(events: Mapping[str, Any], w: Writer) -> dict[str, Any]:
    """Write events; a refractory period that was a time is by now the parameter that was made of it."""
    out = {}
    for key, parsed in events.items():
        if type(parsed.event) is not Event:
            w.refuse(f"event '{key}' is a {type(parsed.event).__name__}, which is a class of your own")
        out[key] = {"condition": parsed.event.condition}
        out[key] |= {"reaction": parsed.event.reaction} if parsed.event.reaction else {}
        out[key] |= {"refractory": parsed.refractory_text} if parsed.refractory_text else {}
        out[key] |= {"edge": True} if parsed.edge else {}
    return out


def _event(node: Node) -> Event:
    found = node.object(("condition",), ("reaction", "refractory", "edge"))
    texts = {key: found[key].text() if key in found else None for key in ("reaction", "refractory")}
    return Event(found["condition"].text(), texts["reaction"], refractory=texts["refractory"],
                 edge="edge" in found and found["edge"].flag())  # fmt: skip


def _named(read: Callable[[Node], Any]) -> Callable[[Node], dict[str, Any]]:
    return lambda node: {key: read(each) for key, each in node.members().items()}


TEXT = Form(lambda value, w: value, Node.text)
LABEL = Form(lambda value, w: w.label(value), Node.label)
FLAG = Form(lambda value, w: bool(value), Node.flag)
NAMES = Form(lambda value, w: list(value), lambda node: tuple(each.text() for each in node.items()))
VALUE = Form(put, take)
INIT = Form(_values, _named(take))
EVENTS = Form(_happens, _named(_event))
SCHEDULE = Form(_schedule, _scheduled)
RECEPTORS = Form(lambda given, w: {key: describe(each, w, f"receptor '{key}'") for key, each in given.items()},
                 _named(lambda node: component(node, Receptor)))  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One option of a constructor: how it is written, and how it is had from the component.

    ``changes``: a copy may be given another one, so that it belongs to the copy and not to its prototype.
    """

    form: Form
    get: Callable[[Any], Any]
    changes: bool = False


def _of(name: str) -> Callable[[Any], Any]:
    return lambda made: getattr(made, name)


def _lines(statements: Any) -> str | None:
    return "; ".join(st.text for st in statements) or None


def _about() -> dict[str, Field]:
    return {"name": Field(LABEL, _of("name")), "source": Field(LABEL, _of("source")),
            "doc": Field(LABEL, _of("summary"))}  # fmt: skip


def _own(name: str) -> Callable[[Any], Any]:
    """Return what gets a value of a drive that its constructor names, or the text of a rate that varies."""
    return lambda made: made.value(name) if name in made.params else made.rate_text


def _side(side: str) -> Field:
    return Field(TEXT, lambda rule: "\n".join(eq.text for eq in rule.sides[side]))


def _on(event: str) -> Field:
    return Field(TEXT, lambda rule: _lines(rule.events[event]) or "")


@dataclass(frozen=True)
class Kind:
    """A kind of component."""

    name: str
    make: type[Component]
    fields: dict[str, Field]
    defaults: dict[str, Any] = field(init=False)
    unknown: str | None = field(init=False)

    def __post_init__(self) -> None:
        options = {p.name: p.default for p in inspect.signature(self.make.__init__).parameters.values()
                   if p.name != "self" and p.kind is not p.VAR_KEYWORD}  # fmt: skip
        object.__setattr__(self, "defaults", options)
        odd = sorted(options.keys() ^ self.fields.keys())
        object.__setattr__(self, "unknown", odd[0] if odd else None)


KINDS = {kind.name: kind for kind in (
    Kind("cell", Cell, {
        "equations": Field(TEXT, _of("text")),
        "threshold": Field(TEXT, lambda cell: cell.threshold_text or None),
        "reset": Field(TEXT, lambda cell: _lines(cell.reset)),
        "refractory": Field(TEXT, lambda cell: cell.refractory_text or None),
        "edge": Field(FLAG, _of("edge")),
        "clamp": Field(NAMES, _of("clamp")),
        "method": Field(TEXT, _of("method"), changes=True),
        "precision": Field(TEXT, _of("precision")),
        "receptors": Field(RECEPTORS, _of("receptors"), changes=True),
        "init": Field(INIT, _of("init"), changes=True),
        "ports": Field(NAMES, _of("ports")),
        "events": Field(EVENTS, _of("events")),
        "schedule": Field(SCHEDULE, _of("schedule"), changes=True),
        **_about(),
    }),
    Kind("receptor", Receptor, {
        "equations": Field(TEXT, _of("text")),
        "event": Field(TEXT, _of("event_text")),
        "link": Field(TEXT, _of("link_text")),
        "output": Field(TEXT, lambda receptor: receptor.output_text or None),
        "when": Field(TEXT, _of("when"), changes=True),
        "port": Field(TEXT, _of("port"), changes=True),
        "init": Field(INIT, _of("init")),
        **_about(),
    }),
    Kind("current", Current, {
        "equations": Field(TEXT, _of("text")),
        "output": Field(TEXT, _of("output_text")),
        "port": Field(TEXT, _of("port"), changes=True),
        "init": Field(INIT, _of("init")),
        **_about(),
    }),
    Kind("drive", Drive, {
        "rate": Field(VALUE, _own("rate")),
        "weight": Field(VALUE, _own("weight")),
        "receptor": Field(TEXT, _of("receptor")),
        "n": Field(VALUE, _own("n")),
        "name": Field(LABEL, _of("name")),
        "source": Field(LABEL, _of("source")),
    }),
    Kind("plasticity", Plasticity, {
        "pre": _side("pre"),
        "post": _side("post"),
        "on_pre": _on("pre"),
        "on_post": _on("post"),
        "edge": _side("edge"),
        "on_every": _on("every"),
        "every": Field(VALUE, lambda rule: rule.every_text or rule.every),
        "lower": Field(TEXT, lambda rule: rule.bounds_text[0]),
        "upper": Field(TEXT, lambda rule: rule.bounds_text[1]),
        "require": Field(TEXT, lambda rule: rule.require_text or None),
        **{key: Field(TEXT, lambda rule, k=key: rule.timing[k], changes=True) for key in CHOICES},
        **_about(),
    }),
    Kind("short_term", ShortTerm, {
        "equations": Field(TEXT, _of("text")),
        "on_spike": Field(TEXT, lambda model: _lines(model.marks) or ""),
        "init": Field(INIT, _of("init")),
        **_about(),
    }),
)}  # fmt: skip
"""Every kind of component that a network holds."""

_KINDS = {kind.make: kind for kind in KINDS.values()}


# -- writing


def describe(made: Any, w: Writer, what: str) -> dict[str, Any]:
    """Return a component as JSON.

    Parameters
    ----------
    what : str
        How it is called in what the user is told: "receptor 'exc'".
    """
    with w.of(what):
        kind = _KINDS.get(type(made))
        if kind is None:
            w.refuse(
                f"{type(made).__name__} is a class of your own, and a file holds no code: write it by its equations, "
                "as neurosim.Cell(…), Receptor(…), Current(…), Plasticity(…) or ShortTerm(…)"
            )
        if kind.unknown:
            w.refuse(f"the format of files does not know '{kind.unknown}' of {kind.make.__name__}")
        out: dict[str, Any] = {"kind": kind.name}
        for key, each in kind.fields.items():
            value = each.get(made)
            if not _as_by_default(value, kind.defaults[key]):
                out[key] = each.form.put(value, w)
        for part, given, form in (("params", made.params, put_param), ("values", made.values, put)):
            rest: dict[str, Any] = {}
            for key, value in given.items():
                if key not in kind.fields:
                    with w.of(f"the parameter {key}"):
                        rest[key] = form(value, w)
            out |= {part: rest} if rest else {}
        return out


def _as_by_default(value: Any, default: Any) -> bool:
    if isinstance(value, dict):
        return not value
    return type(value) is type(default) and isinstance(value, (str, bool, tuple, type(None))) and value == default


# -- reading


def component(node: Node, *wanted: type[Component]) -> Any:
    """Return the component that a document describes, made by its constructor.

    What a component of the library was made of becomes a copy of that one, so that whoever knows the library's LIF by
    its name knows this one too.
    """
    members = node.members()
    if "kind" not in members:
        node.fail("lacks 'kind'")
    kind = KINDS[members["kind"].choice(*(kind.name for kind in KINDS.values() if kind.make in wanted))]
    needs = tuple(key for key, default in kind.defaults.items() if default is inspect.Parameter.empty)
    node.object(("kind", *needs), (*kind.fields, "params", "values"))
    params: dict[str, Any] = {}
    for key, each in (members["params"].members() if "params" in members else {}).items():
        if key in kind.defaults or key == "self":
            each.fail("cannot be a parameter: the name is that of an option")
        params[key] = take_param(each)
    given = {key: each.form.take(members[key]) for key, each in kind.fields.items() if key in members}
    values = {key: take(each) for key, each in (members["values"].members() if "values" in members else {}).items()}
    for key in values:
        if key not in params:
            members["values"].into(key).fail("is the value of a parameter that is not declared")
    like = _library(prototype_group(given.get("name", ""))).get(_declaration(kind, node.value))
    if like is not None and like.init.keys() <= (given.get("init") or {}).keys():
        none = {"receptors": {}, "init": {}}
        changes = {key: given.get(key, none.get(key, kind.defaults[key]))
                   for key, each in kind.fields.items() if each.changes}  # fmt: skip
        return like(**changes, **values)
    made = kind.make(**given, **params)
    return made(**values) if values else made


def _declaration(kind: Kind, described: Mapping[str, Any]) -> str:
    """Return what a prototype is, without what a copy may change."""
    fixed = {key: described[key] for key, each in kind.fields.items() if not each.changes and key in described}
    return json.dumps([kind.name, fixed, list(described.get("params", {}).items())])


@lru_cache
def _library(group: str) -> dict[str, Any]:
    """Return the components of a group of prototypes by their declarations."""
    found = {}
    for made in load_prototypes(group):
        kind = _KINDS.get(type(made))
        if kind is not None and not kind.unknown:
            found[_declaration(kind, describe(made, Writer(), made.name))] = made
    return found


__all__ = ["KINDS", "Field", "Form", "Kind", "component", "describe"]

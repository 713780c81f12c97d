"""Connection rules in a document: one row a rule, one entry a field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from neurosim.ir import rules
from neurosim.ir.program import Program
from neurosim.lang.connect import DistanceDependent, Where
from neurosim.lang.groups import Group
from neurosim.saving.nodes import Node
from neurosim.saving.values import number
from neurosim.saving.writer import Writer
from neurosim.units import LENGTH, Quantity

FIELDS: dict[type[rules.Rule], dict[str, str]] = {
    rules.AllToAll: {"autapses": "flag"},
    rules.OneToOne: {},
    rules.FixedProbability: {"p": "number", "autapses": "flag"},
    rules.FixedInDegree: {"k": "number", "autapses": "flag", "multapses": "flag"},
    rules.FixedOutDegree: {"k": "number", "autapses": "flag", "multapses": "flag"},
    rules.FixedTotalNumber: {"n": "number", "autapses": "flag", "multapses": "flag"},
    rules.EdgeList: {"pre": "edges", "post": "edges"},
    rules.DistanceDependent: {
        "probability": "expression", "sigma": "number", "p0": "number", "max_distance": "number", "autapses": "flag",
    },
    rules.Where: {"condition": "expression", "probability": "expression", "autapses": "flag"},
    rules.Convolution: {
        "shape": "sizes", "channels_out": "number", "kernel": "sizes", "stride": "sizes", "padding": "pairs",
        "dilation": "sizes", "groups": "number",
    },
}  # fmt: skip
"""Every rule that a file holds, and how its fields are written."""

NAMES = {rule.__name__: rule for rule in FIELDS}


def put_rule(rule: Any, w: Writer) -> dict[str, Any]:
    """Return a rule as JSON."""
    fields = FIELDS.get(type(rule))
    if fields is None:
        ours = type(rule).__module__.startswith("neurosim.interchange.")
        why = "finds its edges elsewhere" if ours else "is a class of your own, and a file holds no code"
        w.refuse(f"the rule {type(rule).__name__} {why}: connect with its edges, e = net.edges(NAME), "
                 "rule=EdgeList(e.pre, e.post)")  # fmt: skip
    out: dict[str, Any] = {"kind": type(rule).__name__}
    for each in dataclasses.fields(rule):
        if each.name not in fields:
            w.refuse(f"the format of files does not know '{each.name}' of {type(rule).__name__}")
        value = getattr(rule, each.name)
        if value is not None:
            with w.of(f"{each.name} of {type(rule).__name__}"):
                out[each.name] = _PUT[fields[each.name]](value, w)
    return out


def put_expression(program: Program, w: Writer) -> str:
    """Return an expression over edges as the text that it was read from."""
    if not program.written:
        w.refuse("it is a program that was made without text, and a file holds no code: give the expression as text")
    return program.written


def _expression(value: Any, w: Writer) -> Any:
    return {"text": put_expression(value, w)} if isinstance(value, Program) else {"kernel": w.label(value)}


_PUT: dict[str, Callable[[Any, Writer], Any]] = {
    "flag": lambda value, w: bool(value),
    "number": number,
    "edges": lambda value, w: w.array(value, "edges"),
    "sizes": lambda value, w: [number(k, w) for k in value],
    "pairs": lambda value, w: [[number(k, w) for k in pair] for pair in value],
    "expression": _expression,
}


def take_rule(node: Node, pre: Group, post: Group) -> rules.Rule:
    """Return a rule of a document, for two groups; the texts in it are parsed, and checked for them."""
    members = node.members()
    if "kind" not in members:
        node.fail("lacks 'kind'")
    make = NAMES[members["kind"].choice(*NAMES)]
    defaults = {f.name: f.default for f in dataclasses.fields(make)}  # type: ignore[arg-type]
    needs = tuple(key for key, default in defaults.items() if default is dataclasses.MISSING)
    node.object(("kind", *needs), tuple(defaults))
    given: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for key, form in FIELDS[make].items():
        if key not in members:
            continue
        each = members[key]
        if form == "flag":
            given[key] = each.flag()
        elif form == "number":
            given[key] = each.number()
        elif form == "edges":
            given[key] = each.array("edges")
        elif form == "sizes":
            given[key] = tuple(k.number() for k in each.items())
        elif form == "pairs":
            given[key] = tuple(tuple(k.number() for k in pair.items()) for pair in each.items())
        else:
            found = each.object((), ("text", "kernel"))
            if len(found) != 1:
                each.fail("is neither text nor the name of a kernel")
            if "text" in found:
                texts[key] = found["text"].text()
            else:
                given[key] = found["kernel"].label()
    if make is rules.Where:
        lowered: rules.Rule = Where(texts.get("condition"), texts.get("probability")).lower(pre, post)
    elif "probability" in texts:
        far = given.pop("max_distance", None)
        reach = None if far is None else Quantity(far, LENGTH)
        lowered = DistanceDependent(texts["probability"], reach).lower(pre, post)
    else:
        return make(**given)
    return dataclasses.replace(lowered, **given)  # type: ignore[type-var]

"""The network on the page of a run: a picture, a table of projections, equations with the parameters that were used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.report.series import readable

MOST_NODES, MOST_ROWS = 24, 300
"""Populations up to which the network is drawn, and projections up to which they are listed."""
_LETTER, _LINE, _NAME = 6.2, 12.0, 20  # px of a letter and a line of 11 px, letters of a name

_KINDS = ("excitatory", "inhibitory", "coupling")
"""Of arrows; a coupling pulls its target towards its source, as a gap junction does."""


def network(graph: Any, slots: Mapping[str, int]) -> dict[str, Any]:
    """Return what the picture of the network needs: populations on a ring, arrows between them, and a table."""
    nodes = _nodes(graph, slots)
    rows = []
    arrows: dict[tuple[str, str, str, bool], float] = {}
    params = {p.name: p.params for p in graph.populations}
    links = [link.edges for link in graph.links]
    mutual = [link.edges for link in graph.links if link.reads("post")]  # as a gap junction, which pulls either way
    for proj in (*graph.projections, *links):
        edges = proj.rule.expected(sum(s.size for s in proj.pre), sum(s.size for s in proj.post))
        learns = proj.plasticity is not None
        rows.append({"name": proj.name, "pre": " + ".join(s.population for s in proj.pre),
                     "post": " + ".join(s.population for s in proj.post), "receptor": proj.receptor,
                     "rule": proj.rule.describe(), "edges": edges, "weight": _value(proj.weight, proj.weight_unit),
                     "delay": "acts in every step" if proj in links else _value(proj.delay, "s", "ms"),
                     "learns": learns})  # fmt: skip
        whole = sum(s.size for s in proj.pre) * sum(s.size for s in proj.post)
        for a in proj.pre:
            for b in proj.post:
                below = inhibitory(_mean(proj.weight), proj.receptor, params.get(b.population, {}))
                kind = "coupling" if any(proj is link for link in mutual) else "inhibitory" if below else "excitatory"
                key = (a.population, b.population, kind, learns)
                arrows[key] = arrows.get(key, 0.0) + edges * a.size * b.size / max(1, whole)
    more = max(0, len(rows) - MOST_ROWS)
    made = {"nodes": [], "arrows": [], "rows": rows[:MOST_ROWS], "more": more, "box": ""}
    if len(nodes) > MOST_NODES:
        return made
    at = {n["name"]: n for n in nodes}
    made["arrows"] = [_arrow(at[a], at[b], kind, learns, n) for (a, b, kind, learns), n in arrows.items()]
    made["nodes"], made["box"] = nodes, _box(nodes)
    return made


def inhibitory(weight: float | None, receptor: str, params: Mapping[str, Any]) -> bool:
    """Whether a synapse holds its target back: a negative weight, or a reversal potential below the threshold (below
    rest, where there is none)."""
    below = weight is not None and weight < 0
    reversal = params.get(f"{receptor}.e_rev")
    level = next((params[key] for key in ("v_th", "v_rest", "e_l", "e_leak") if key in params), None)
    if reversal is None or level is None:
        return below
    return below != bool(np.mean(reversal) < np.mean(level))


def _nodes(graph: Any, slots: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return where the populations are drawn: on a ring, two beside each other, one alone."""
    number = len(graph.populations)
    texts = [f"{shorten(p.name, _NAME)} {p.size:,}" for p in graph.populations]
    ring = 70.0 + 6.0 * number
    if number <= 2:
        ring = 0.0 if number == 1 else max(75.0, _LETTER * sum(map(len, texts)) / 4 + 8)
    out = []
    for k, p in enumerate(graph.populations):
        angle = math.pi * (1 if number == 2 else -0.5) + 2 * math.pi * k / number
        ux, uy = (math.cos(angle), math.sin(angle)) if number > 1 else (0.0, -1.0)
        r = 9 + 3 * math.log10(max(1, p.size))
        far = r + 6
        anchor = "middle" if abs(ux) < 0.5 or number <= 2 else "start" if ux > 0 else "end"
        x, y = ring * ux, ring * uy
        if number <= 2:
            tx, ty = x, y + far + _LINE * 0.8
        else:
            tx, ty = x + ux * far, y + uy * (far + _LINE * 0.5) + _LINE * 0.35
        out.append({"name": p.name, "size": p.size, "slot": slots[p.name], "x": x, "y": y, "r": r, "ux": ux, "uy": uy,
                    "text": texts[k], "tx": tx, "ty": ty, "anchor": anchor, "k": k,
                    "out": number > 2})  # fmt: skip
    return out


def shorten(name: str, most: int) -> str:
    """Return a name of at most so many letters, with its middle left out: both ends tell it from others."""
    if len(name) <= most:
        return name
    return name[: (most - 1) // 2] + "…" + name[len(name) - most // 2 :]


def _box(nodes: list[dict[str, Any]]) -> str:
    """Return the part of the plane that holds all of them, with their labels and loops."""
    left = right = top = bottom = 0.0
    for n in nodes:
        long, loop = len(n["text"]) * _LETTER, n["r"] + 34
        begin = n["tx"] - {"start": 0.0, "middle": long / 2, "end": long}[n["anchor"]]
        left, right = min(left, begin, n["x"] - loop), max(right, begin + long, n["x"] + loop)
        top, bottom = min(top, n["ty"] - _LINE, n["y"] - loop), max(bottom, n["ty"] + 4, n["y"] + n["r"] + 6)
        if n["uy"] > 0.3:
            bottom = max(bottom, n["y"] + loop)
    return f"{left - 4:.1f} {top - 4:.1f} {right - left + 8:.1f} {bottom - top + 8:.1f}"


def _arrow(a: dict[str, Any], b: dict[str, Any], kind: str, learns: bool, edges: float) -> dict[str, Any]:
    """Return the path of an arrow: bent to the right of its way, a loop where it leads back."""
    width = 0.8 + 0.35 * math.log10(max(1.0, edges))
    apart = _KINDS.index(kind)  # those of different kinds do not lie over each other
    if a is b:
        ux, uy = (a["ux"], a["uy"]) if a["out"] else (0.0, -1.0)
        turn = 0.0  # a loop is not drawn over the name, which stands outside on a ring, else below
        if a["out"]:
            turn = -1.35 if a["anchor"] == "middle" else -0.9
        ux, uy = ux * math.cos(turn) - uy * math.sin(turn), ux * math.sin(turn) + uy * math.cos(turn)
        r, k = a["r"], a["r"] + 20 + 8 * apart
        sx, sy = a["x"] + r * (ux * 0.7 - uy * 0.7), a["y"] + r * (uy * 0.7 + ux * 0.7)
        far = r + 4
        ex, ey = a["x"] + far * (ux * 0.7 + uy * 0.7), a["y"] + far * (uy * 0.7 - ux * 0.7)
        path = (f"M{sx:.1f} {sy:.1f} C{sx + k * ux:.1f} {sy + k * uy:.1f} {ex + k * ux:.1f} {ey + k * uy:.1f} "
                f"{ex:.1f} {ey:.1f}")  # fmt: skip
    else:
        dx, dy = b["x"] - a["x"], b["y"] - a["y"]
        far = math.hypot(dx, dy)
        ux, uy = dx / far, dy / far
        bend = 14 + 10 * apart
        mx, my = (a["x"] + b["x"]) / 2 - uy * bend, (a["y"] + b["y"]) / 2 + ux * bend
        start, end = a["r"] + 1, b["r"] + 5
        path = (f"M{a['x'] + ux * start:.1f} {a['y'] + uy * start:.1f} Q{mx:.1f} {my:.1f} "
                f"{b['x'] - ux * end:.1f} {b['y'] - uy * end:.1f}")  # fmt: skip
    what = "mutual couplings" if kind == "coupling" else f"{kind} synapses"
    return {"path": path, "width": width, "kind": kind, "learns": learns, "a": a["k"], "b": b["k"],
            "title": f"{a['name']} to {b['name']}: about {edges:,.0f} {what}"
                     + (", learning" if learns else "")}  # fmt: skip


def _mean(value: Any) -> float | None:
    """Return the mean of a value of edges: a number, an array or a distribution; None for a program."""
    if isinstance(value, (float, np.ndarray)):
        return float(np.mean(value)) if np.size(value) else None
    return float(value.mean()) if hasattr(value, "mean") else None


def _value(value: Any, unit: str, always: str | None = None) -> str:
    mean = _mean(value)
    if mean is None:
        return "by expression"
    factor, shown = (1e3, always) if always is not None else readable(abs(mean), unit)
    text = f"{mean * factor:.4g} {shown}".strip()
    if isinstance(value, float):
        return text
    return f"{text} ({getattr(value, 'kind', 'per edge')})"


# -- equations and parameters ---------------------------------------------------------------------------------------


def parts(net: Any) -> list[dict[str, Any]]:
    """Return what a network is made of: cells, receptors, inputs and learning rules, with the values that were used.

    What has the same equations stands once; a parameter that differs has all its values, each with whose it is.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}

    def add(what: str, who: str, component: Any, init: Mapping[str, Any] | None = None) -> None:
        text = "\n\n".join(part for part in component.describe().split("\n\n") if not part.startswith("="))
        key = (what, component.name, text)
        held = found.setdefault(key, {"what": what, "title": component.name, "who": [], "text": text, "values": {}})
        held["who"].append(who)
        rows = [(key, component.value(key), component.params[key].meaning) for key in component.params]
        rows += [(key, value, "at the start") for key, value in (init or {}).items()]
        for name, value, meaning in rows:
            held["values"].setdefault((name, meaning), {}).setdefault(_shown(value), []).append(who)

    for pop in net.populations.values():
        add("cell", pop.label, pop.cell, pop.init)
        for key, receptor in pop.cell.receptors.items():
            add("receptor", f"{key} of {pop.label}", receptor)
        for key, stimulus, ids, _ in pop.stimuli:
            some = "" if ids is None else f" ({len(ids):,} neurons)"
            add("input", f"{key} to {pop.label}{some}", stimulus)
    for name, proj in net.projections.items():
        if proj.plasticity is not None:
            add("learning rule", name, proj.plasticity)
    order = ("cell", "receptor", "input", "learning rule")
    out = sorted(found.values(), key=lambda part: order.index(part["what"]))
    for part in out:
        part["rows"] = [(name, list(values.items()), meaning) for (name, meaning), values in part["values"].items()]
    return out


def _shown(value: Any) -> str:
    """Return a parameter as it was given: a number, a distribution, or what an array spans."""
    if getattr(value, "ndim", np.ndim(getattr(value, "value", 0))) == 0:
        if isinstance(value, float) or hasattr(value, "unit_name"):
            return f"{value:.6g}"
        symbol = getattr(getattr(value, "dim", None), "symbol", "")
        return f"{value} {symbol}".strip() if symbol not in ("1", "dimensionless") else str(value)
    flat = np.ravel(np.asarray(getattr(value, "value", value), dtype=np.float64))
    if not flat.size:
        return "nothing"
    low, high = int(np.argmin(flat)), int(np.argmax(flat))
    row = np.ndim(getattr(value, "value", value)) == 1
    ends = [_shown(value[k]) if row else f"{flat[k]:.6g} (SI)" for k in (low, high)]
    return f"{len(flat):,} values, {ends[0]} to {ends[1]}"

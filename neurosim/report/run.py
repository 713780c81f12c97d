"""The page of one run: activity to zoom into, rates, intervals, spectra, states, weights, network, provenance.

All numbers travel in the page, as text or as base64 of little-endian arrays; ``run.js`` draws them and fetches nothing.
What a page would be too heavy for is shown of a sample, and the page says of how many.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim import analysis
from neurosim.recording import WeightTrace
from neurosim.report.page import render, write_page
from neurosim.units import second

MOST_SPIKES, MOST_BINS, MOST_SAMPLES, MOST_TRACES, MOST_WEIGHTS = 400_000, 400, 250_000, 5, 60
MOST_NODES = 24
"""Populations up to which the network is drawn; a table is shown of any number."""

COLOURS = ("#3b82f6", "#e5730b", "#2da44e", "#a371f7", "#d6409f", "#0e9aa7", "#b58900", "#8c9198")


def write(result: Any, path: str | os.PathLike[str], graph: Any = None, cells: Mapping[str, str] | None = None,
          published: Mapping[str, Mapping[str, float]] | None = None) -> None:  # fmt: skip
    """Write the page of a run.

    Parameters
    ----------
    result : RunResult
        What to show.
    path : path
        The HTML file; an existing one is replaced only when the new one is complete.
    graph : Graph, optional
        The network, for its picture and its projections: a results file does not hold it.
    cells : mapping of str to str, optional
        Population -> description of its cell.
    published : mapping, optional
        Label -> population -> rate in Hz, shown beside the measured ones.
    """
    write_page(path, page(result, graph, cells, published))


def page(result: Any, graph: Any = None, cells: Mapping[str, str] | None = None,
         published: Mapping[str, Mapping[str, float]] | None = None) -> bytes:  # fmt: skip
    """Return the page as UTF-8."""
    p = result.provenance
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(result.populations)}
    raster, note = _raster(result)
    data = {
        "dt": p.dt, "steps": p.n_steps, "colours": colours, "raster": raster, "rates": _rates(result),
        "traces": _traces(result), "intervals": _intervals(result), "spectra": _spectra(result),
        "weights": _weights(result),
    }  # fmt: skip
    return render(
        "run.html.j2", result=result, p=p, rows=result.summary(), published=published or {}, colours=colours, note=note,
        data=_json(data), has={key: bool(data[key]) for key in ("raster", "rates", "traces", "intervals", "spectra",
                                                                "weights")},
        network=None if graph is None else _network(graph, colours), cells=cells or {},
        spikes=sum(len(s) for s in result.spikes.values()), weights_of=list(result.weight_traces),
        duration=p.n_steps * p.dt,
    )  # fmt: skip


def _json(value: Any) -> Any:
    """Return JSON that may stand inside a script element: no '<' in it, so no end of the element."""
    from markupsafe import Markup

    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _finite(value: Any) -> Any:
    """Return what JSON can hold: numbers that are none, as a run that diverged may have recorded, become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pack(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def _raster(result: Any) -> tuple[list[dict[str, Any]], str]:
    """Return spikes as packed steps and rows, of all neurons or of evenly spread ones."""
    total = sum(len(s) for s in result.spikes.values())
    share = min(1.0, MOST_SPIKES / max(1, total))
    out, shown, neurons = [], 0, 0
    for name, spikes in result.spikes.items():
        wanted = np.arange(spikes.size) if spikes.recorded is None else spikes.recorded
        count = max(1, int(share * len(wanted))) if len(wanted) else 0
        ids = wanted[np.unique(np.linspace(0, len(wanted) - 1, count).astype(np.int64))] if count else wanted
        mine = np.isin(spikes.ids, ids)
        rows = np.searchsorted(ids, spikes.ids[mine])
        shown, neurons = shown + len(ids), neurons + len(wanted)
        out.append({"name": name, "rows": len(ids), "at": _pack(spikes.steps[mine], "<u4"), "row": _pack(rows, "<u4"),
                    "ids": _pack(ids, "<u4")})  # fmt: skip
    note = "" if shown == neurons else f"Spikes of {shown:,} of {neurons:,} neurons are drawn; all numbers are of all."
    return out, note


def _rates(result: Any) -> list[dict[str, Any]]:
    """Return the rate of each population over time, in at most 400 bins."""
    p = result.provenance
    width = max(1, round(1e-3 / p.dt), -(-p.n_steps // MOST_BINS))
    out = []
    for name, spikes in result.spikes.items():
        bins = p.n_steps // width
        if not bins:
            continue
        counts = np.bincount(spikes.steps // width, minlength=bins)[:bins]
        size = spikes.size if spikes.recorded is None else len(spikes.recorded)
        rate = counts / (max(1, size) * width * p.dt)
        out.append({"name": name, "width": width, "values": _pack(rate, "<f4")})
    return out


def _traces(result: Any) -> list[dict[str, Any]]:
    """Return recorded variables, of a few neurons each, thinned out evenly where they are too many."""
    found = [(name, var, trace) for name, held in result.state.items() for var, trace in held.items() if len(trace)]
    room = MOST_SAMPLES // max(1, len(found) * MOST_TRACES)
    out = []
    for name, var, trace in found:
        ids = np.unique(np.linspace(0, len(trace.ids) - 1, min(MOST_TRACES, len(trace.ids))).astype(np.int64))
        every = max(1, -(-len(trace.times) // max(2, room)))
        values = np.asarray(trace.values)[::every][:, ids].astype(np.float64)
        factor, unit = _readable(float(np.nanmax(np.abs(values), initial=0.0)), trace.unit)
        out.append({"name": name, "variable": var, "unit": unit, "ids": [int(i) for i in np.asarray(trace.ids)[ids]],
                    "at": _pack(np.asarray(trace.times)[::every], "<f8"), "every": every,
                    "values": [_pack(values[:, k] * factor, "<f4") for k in range(len(ids))]})  # fmt: skip
    return out


def _readable(largest: float, symbol: str) -> tuple[float, str]:
    from neurosim.recording.plot import _readable as readable

    return readable(largest, "" if symbol in ("1", "dimensionless") else symbol)


def _intervals(result: Any) -> list[dict[str, Any]]:
    """Return a histogram of the intervals between spikes, up to their 99th percentile."""
    out = []
    for name, spikes in result.spikes.items():
        gaps = analysis.isi(spikes) * 1e3
        if len(gaps) < 10:
            continue
        longest = max(float(np.quantile(gaps, 0.99)), spikes.dt * 60e3)
        counts, edges = np.histogram(gaps, bins=60, range=(0.0, longest))
        share = (counts / len(gaps)).tolist()
        out.append({"name": name, "x": edges[:-1].tolist(), "width": float(edges[1]), "y": share})
    return out


def _spectra(result: Any) -> list[dict[str, Any]]:
    """Return the power spectrum of each population's rate from 2 to 250 Hz, relative to that of a Poisson process."""
    p, out = result.provenance, []
    if p.n_steps * p.dt < 0.5:
        return []
    for name, spikes in result.spikes.items():
        size = spikes.size if spikes.recorded is None else len(spikes.recorded)
        mean = len(spikes) / (max(1, size) * p.n_steps * p.dt)
        if len(spikes) < 100:
            continue
        trace = analysis.population_rate(spikes, bin=max(1, round(1e-3 / p.dt)) * p.dt * second)
        found = analysis.power_spectrum(trace, segment=min(0.5, p.n_steps * p.dt / 2) * second)
        freq, power = np.asarray(found.freqs), np.asarray(found.psd) * size / (2 * mean)
        keep = (freq >= 2.0) & (freq <= 250.0) & np.isfinite(power)
        if keep.any():
            out.append({"name": name, "x": freq[keep].tolist(), "y": power[keep].tolist()})
    return out


def _weights(result: Any) -> list[dict[str, Any]]:
    """Return, for recorded weights, histograms over time."""
    out = []
    for name, trace in result.weight_traces.items():
        values = np.asarray(trace.values, dtype=np.float64)
        if not values.size:
            continue
        rows = np.unique(np.linspace(0, len(values) - 1, min(MOST_WEIGHTS, len(values))).astype(np.int64))
        finite = values[rows][np.isfinite(values[rows])]
        factor, unit = _readable(float(np.max(np.abs(finite), initial=0.0)), trace.unit)
        low, high = (float(np.min(finite)) * factor, float(np.max(finite)) * factor) if finite.size else (0.0, 0.0)
        high = high if high > low else low + 1.0
        shown = WeightTrace(unit, trace.edges, np.asarray(trace.times)[rows], values[rows] * factor)
        counts = analysis.weight_histogram(shown, 50, low, high).fractions
        out.append({"name": name, "unit": unit, "low": low, "high": high, "edges": values.shape[1],
                    "at": shown.times.tolist(), "counts": counts.tolist(),
                    "mean": (values[rows].mean(axis=1) * factor).tolist()})  # fmt: skip
    return out


# -- the network ----------------------------------------------------------------------------------------------------


def _network(graph: Any, colours: Mapping[str, str]) -> dict[str, Any]:
    """Return what the picture of the network needs: populations on a circle, arrows between them, and a table."""
    names = [p.name for p in graph.populations]
    radius = 130.0
    place = {}
    for k, name in enumerate(names):
        angle = -math.pi / 2 + 2 * math.pi * k / max(1, len(names))
        far = radius if len(names) > 1 else 0.0
        place[name] = (230 + 1.45 * far * math.cos(angle), 180 + far * math.sin(angle))
    nodes = [
        {"name": p.name, "size": p.size, "x": place[p.name][0], "y": place[p.name][1], "colour": colours[p.name],
         "r": 9 + 4 * math.log10(max(1, p.size))}
        for p in graph.populations
    ]  # fmt: skip
    size = {n["name"]: n["r"] for n in nodes}
    rows = []
    arrows: dict[tuple[str, str, bool, bool], float] = {}
    links = [link.edges for link in graph.links]
    for proj in (*graph.projections, *links):
        edges = proj.rule.expected(sum(s.size for s in proj.pre), sum(s.size for s in proj.post))
        delay = "none: acts in every step" if proj in links else _value(proj.delay, "s")
        rows.append({"name": proj.name, "pre": " + ".join(s.population for s in proj.pre),
                     "post": " + ".join(s.population for s in proj.post), "receptor": proj.receptor,
                     "rule": proj.rule.describe(), "edges": edges, "weight": _value(proj.weight, proj.weight_unit),
                     "delay": delay, "learns": proj.plasticity is not None})  # fmt: skip
        mean = _mean(proj.weight)
        inhibitory = mean is not None and mean < 0
        for a in dict.fromkeys(s.population for s in proj.pre):
            for b in dict.fromkeys(s.population for s in proj.post):
                key = (a, b, inhibitory, proj.plasticity is not None)
                arrows[key] = arrows.get(key, 0.0) + edges
    if len(names) > MOST_NODES:
        return {"nodes": [], "arrows": [], "rows": rows}
    drawn = [_arrow(place, size, a, b, below, learns, edges) for (a, b, below, learns), edges in arrows.items()]
    return {"nodes": nodes, "arrows": drawn, "rows": rows}


def _mean(value: Any) -> float | None:
    """Return the mean of a value of edges: a number, an array or a distribution; None for a program."""
    if isinstance(value, (float, np.ndarray)):
        return float(np.mean(value)) if np.size(value) else None
    return float(value.mean()) if hasattr(value, "mean") else None


def _value(value: Any, unit: str) -> str:
    mean = _mean(value)
    if mean is None:
        return "by expression"
    factor, shown = _readable(abs(mean), unit)
    text = f"{mean * factor:.4g} {shown}".strip()
    if isinstance(value, float):
        return text
    return f"{text} ({getattr(value, 'kind', 'per edge')})"


def _arrow(place: Mapping[str, tuple[float, float]], size: Mapping[str, float], a: str, b: str, inhibitory: bool,
           learns: bool, edges: float) -> dict[str, Any]:  # fmt: skip
    """Return the path of an arrow: bent to the right of its way, a loop where it leads back."""
    (x0, y0), (x1, y1) = place[a], place[b]
    width = 0.8 + 0.35 * math.log10(max(1.0, edges))
    if a == b:
        dx, dy = x0 - 230, y0 - 180
        far = math.hypot(dx, dy) or 1.0
        ux, uy = (dx / far, dy / far) if far > 1 else (0.0, -1.0)
        r = size[a]
        sx, sy = x0 + r * (ux * 0.7 - uy * 0.7), y0 + r * (uy * 0.7 + ux * 0.7)
        ex, ey = x0 + r * (ux * 0.7 + uy * 0.7), y0 + r * (uy * 0.7 - ux * 0.7)
        k = r + 24
        path = (f"M{sx:.1f} {sy:.1f} C{sx + k * ux:.1f} {sy + k * uy:.1f} {ex + k * ux:.1f} {ey + k * uy:.1f} "
                f"{ex:.1f} {ey:.1f}")  # fmt: skip
    else:
        dx, dy = x1 - x0, y1 - y0
        far = math.hypot(dx, dy)
        ux, uy = dx / far, dy / far
        bend = 14 + (10 if inhibitory else 0)
        mx, my = (x0 + x1) / 2 - uy * bend, (y0 + y1) / 2 + ux * bend
        start, end = size[a] + 1, size[b] + 5
        path = (f"M{x0 + ux * start:.1f} {y0 + uy * start:.1f} Q{mx:.1f} {my:.1f} "
                f"{x1 - ux * end:.1f} {y1 - uy * end:.1f}")  # fmt: skip
    kind = "inhibitory" if inhibitory else "excitatory"
    return {"path": path, "width": width, "kind": kind, "learns": learns,
            "title": f"{a} to {b}: about {edges:,.0f} {kind} synapses" + (", learning" if learns else "")}  # fmt: skip

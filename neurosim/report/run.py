"""The page of one run: activity to zoom into, rates, intervals, spectra, states, weights, network, provenance.

All numbers travel in the page, as text or as base64 (:mod:`neurosim.report.series`); ``run.js`` draws them and fetches
nothing. What a page would be too heavy for is shown of a sample, and the page says of how many.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from neurosim.recording.events import events_of
from neurosim.report import picture, series
from neurosim.report.page import render, write_page
from neurosim.report.series import Curve

MOST_BYTES, SLOTS, MOST_LINES, MOST_LISTED = 5_000_000, 8, 8, 24
"""Size of a page, colours, curves of a figure that are drawn at first, populations listed before the figures."""

LIGHT = ("#0938db", "#c67130", "#15a671", "#a263c3", "#4a0c28", "#062f5e", "#7a2106", "#758997")
DARK = ("#4a78ff", "#f69028", "#a2e2a5", "#d5aaf8", "#d2326f", "#5aeedd", "#9f6333", "#8a92a8")
"""Colours of populations and neurons on the light and the dark ground. They differ in lightness as well, so that they
are told apart with every kind of colour vision; the tests measure it."""


def write(
    result: Any,
    path: str | os.PathLike[str],
    graph: Any = None,
    net: Any = None,
    published: Mapping[str, Mapping[str, float]] | None = None,
    curves: Iterable[Curve] = (),
) -> None:
    """Write the page of a run.

    Parameters
    ----------
    result : RunResult
        What to show.
    path : path
        The HTML file; an existing one is replaced only when the new one is complete.
    graph : Graph, optional
        The compiled network, for its picture and its projections: a results file does not hold it.
    net : Network, optional
        The network as it was written, for equations and parameters of cells, receptors, inputs and learning rules.
    published : mapping, optional
        Label -> population -> rate in Hz, shown beside the measured ones.
    curves : iterable of Curve, optional
        Figures of one's own, such as a learning curve or the window of a learning rule.

    Raises
    ------
    ParameterError
        If a line of a curve has another length than its x, or a curve more lines or points than can be seen.
    """
    write_page(path, page(result, graph, net, published, curves))


def page(
    result: Any,
    graph: Any = None,
    net: Any = None,
    published: Mapping[str, Mapping[str, float]] | None = None,
    curves: Iterable[Curve] = (),
) -> bytes:
    """Return the page as UTF-8: with less detail where it would have more than 5 MB."""
    detail, own = 1.0, series.curves(curves)
    while len(made := _page(result, graph, net, published or {}, own, detail)) > MOST_BYTES and detail > 1e-3:
        detail *= min(0.8, 0.95 * MOST_BYTES / len(made))
    return made


def _page(result: Any, graph: Any, net: Any, published: Mapping[str, Mapping[str, float]],
          own: list[dict[str, Any]], detail: float) -> bytes:  # fmt: skip
    p = result.provenance
    slots = {name: k % SLOTS for k, name in enumerate(result.populations)}
    events = events_of(result)
    raster, note = series.raster(result, events, detail)
    data = {
        "dt": p.dt, "steps": p.n_steps, "start": series.start_step(result) * p.dt, "slots": slots,
        "sizes": dict(result.populations), "raster": raster, "rates": series.rates(result, detail),
        "traces": series.traces(result, events, detail), "intervals": series.intervals(result),
        "spectra": series.spectra(result), "weights": series.weights(result), "curves": own,
    }  # fmt: skip
    rows = result.summary()
    by_spikes = sorted((r for r in rows if r.spikes), key=lambda r: -r.spikes)
    data["hidden"] = [r.population for r in by_spikes[MOST_LINES:]]
    listed = set(slots) if len(rows) <= MOST_LISTED else {
        r.population for r in sorted(rows, key=lambda r: -r.neurons)[: MOST_LISTED // 2]}  # fmt: skip
    drawn = [name for name in slots if name in {r.population for r in by_spikes[:MOST_LINES]}]
    return render(
        "run.html.j2", result=result, p=p, rows=rows, listed=listed, published=published, slots=slots, note=note,
        data=_json(data), has=_panels(result, data), light=LIGHT, dark=DARK, missing=_missing(result, data),
        events=[(band["label"], band["spikes"]) for band in raster if band["label"] != band["name"]],
        network=None if graph is None else picture.network(graph, slots), statistics=_statistics(data), most=SLOTS,
        parts=[] if net is None else picture.parts(net), spikes=sum(len(s) for s in result.spikes.values()),
        duration=p.n_steps * p.dt, hidden=len(data["hidden"]), drawn=drawn,
        others=[name for name in slots if name not in drawn], segment=min(series.SEGMENT, p.n_steps * p.dt / 2),
    )  # fmt: skip


def _panels(result: Any, data: Mapping[str, Any]) -> dict[str, bool]:
    """Return which figures have something to show."""
    kinds = ("raster", "rates", "traces", "intervals", "spectra", "weights")
    has = {kind: bool(data[kind]) and result.provenance.n_steps > 0 for kind in kinds}
    has["curves"] = bool(data["curves"])
    has["raster"] = has["raster"] and any(band["spikes"] for band in data["raster"])
    silent = bool(result.spikes) and not any(map(len, result.spikes.values()))
    has["rates"] = has["rates"] and not (silent and not result.population_rates)
    return has


def _statistics(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the figures of intervals and spectra show, as numbers: a row a population."""
    rows: dict[str, dict[str, Any]] = {}
    for kind in ("intervals", "spectra"):
        for item in data[kind]:
            rows.setdefault(item["name"], {"name": item["name"], "intervals": None, "spectra": None})[kind] = item
    return [rows[name] for name in data["slots"] if name in rows]


def _missing(result: Any, data: Mapping[str, Any]) -> str:
    """Say why a run has no intervals or no spectra, where it has spikes."""
    p, out = result.provenance, []
    if not any(len(s) for s in result.spikes.values()):
        return ""
    if not data["intervals"]:
        out.append(f"No population has {series.LEAST_INTERVALS} intervals between spikes, so no histogram is drawn.")
    if not data["spectra"]:
        why = (f"the run is shorter than {series.LEAST_TIME:g} s" if p.n_steps * p.dt < series.LEAST_TIME else
               f"no population has {series.LEAST_SPIKES} spikes")  # fmt: skip
        out.append(f"No spectrum is drawn: {why}.")
    return " ".join(out)


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

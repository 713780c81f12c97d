"""The page of a comparison: verdicts, tables, rasters laid over each other, the state around the first difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.analysis.agreement import only
from neurosim.report.integers import sections
from neurosim.report.page import FAINT, INK, NARROW, WIDE, bare, figure, render, svg, unit, write_page
from neurosim.report.picture import shorten

COMMON, ONLY_A, ONLY_B = "#8c9198", "#2f81f7", "#e5730b"
MOST_DOTS, MOST_NEURONS, MOST_DRAWN, MOST_BINS, MOST_BYTES = 40_000, 600, 12, 120, 5_000_000


def write(comparison: Any, path: str | os.PathLike[str]) -> None:
    """Write the page of a comparison.

    Parameters
    ----------
    comparison : neurosim.comparison.Comparison
        What to show.
    path : str or os.PathLike
        The HTML file; an existing one is replaced only when the new one is complete.
    """
    write_page(path, page(comparison))


def page(comparison: Any) -> bytes:
    """Return the page as UTF-8.

    Figures are drawn of at most 12 pairs, those that differ first, and of fewer where the page would exceed 5 MB.
    """
    drawn = MOST_DRAWN
    while len(made := _page(comparison, drawn)) > MOST_BYTES and drawn:
        drawn //= 2
    return made


def _page(comparison: Any, most: int) -> bytes:
    from markupsafe import Markup

    drawn = sorted((p for p in comparison.pairs if p.populations), key=lambda p: p.identical)[:most]
    pairs = []
    for k, pair in enumerate(comparison.pairs):
        figures = _figures(pair, comparison, f"pair{k}") if any(pair is d for d in drawn) else []
        pairs.append({
            "pair": pair, "id": f"pair{k}", "says": pair.says,
            "figures": [(title, Markup(wide), Markup(narrow), caption) for title, wide, narrow, caption in figures],
            "measures": pair.measures(), "lines": pair.lines(),
            "sample": _sampled(pair),
        })  # fmt: skip
    return render("comparison.html.j2", comparison=comparison, graph=comparison.graph, pairs=pairs,
                  integers=sections(comparison), colours={"common": COMMON, "a": ONLY_A, "b": ONLY_B},
                  left_out=sum(bool(p.populations) for p in comparison.pairs) - len(drawn))  # fmt: skip


def _sampled(pair: Any) -> str:
    """Say of which neurons the distances are means."""
    rows = [r for r in pair.populations if r.distance is not None]
    return ", ".join(f"{r.population}: {r.distance.neurons} neurons to step {r.distance.end:,}" for r in rows)


def _figures(pair: Any, comparison: Any, salt: str) -> list[tuple[str, str, str, str]]:
    """Return (title, wide SVG, narrow SVG, caption) of a pair's figures."""
    out = []

    def add(title: str, caption: str, draw: Callable[[float], Any]) -> None:
        both = [svg(draw(width), f"{title}: {pair.label}", f"{salt}{title}{width}") for width in (WIDE, NARROW)]
        out.append((title, both[0], both[1], caption))

    chosen, note = _sample(pair)
    if any(len(ids) for ids in chosen.values()):
        legend = "" if pair.identical else (
            f", as full strokes; only {pair.a.label} in blue, as upper halves; only {pair.b.label} in orange, as lower "
            "halves")  # fmt: skip
        line = "" if pair.difference is None else "The dotted line is the first difference. "
        add("Spikes", f"Spikes of both in grey{legend}. {line}{note}".strip(), lambda w: _raster(pair, chosen, w))
    if not pair.identical:
        add("Differences over time", f"Spikes that only {pair.a.label} has (up, blue) and only {pair.b.label} has "
            "(down, orange), all populations.", lambda w: _over_time(pair, w))  # fmt: skip
        at = pair.difference
        if at is not None and pair.diagnosis is not None and pair.diagnosis.around:
            add("State around the first difference", f"Neuron {at.neuron} of '{at.population}'; the line marks step "
                f"{at.step}, and the last panel how far the two sides are apart. Values at the end of each step.",
                lambda w: _around(pair, comparison.graph.dt, w))  # fmt: skip
    return out


def _sample(pair: Any) -> tuple[dict[str, np.ndarray], str]:
    """Return the neurons shown of each population: all, or evenly spread ones that keep the figure readable."""
    a, b = pair.a.result.spikes, pair.b.result.spikes
    total, size = sum(len(a[n]) + len(b[n]) for n in a), sum(a[n].size for n in a)
    share = min(1.0, MOST_NEURONS / max(1, size), MOST_DOTS / max(1, total))
    chosen = {}
    for name in a:
        count = max(1, round(share * a[name].size))
        ids = np.unique(np.linspace(0, a[name].size - 1, count).astype(np.int64))
        if pair.difference is not None and pair.difference.population == name:
            ids = np.union1d(ids, [pair.difference.neuron])
        chosen[name] = ids
    shown = sum(map(len, chosen.values()))
    return chosen, "" if shown == size else f"{shown:,} of {size:,} neurons are shown."


def _raster(pair: Any, chosen: dict[str, np.ndarray], width: float) -> Any:
    """Draw the spikes of both runs over each other, population above population."""
    from matplotlib.markers import TICKDOWN, TICKUP

    rows = sum(map(len, chosen.values()))
    made = figure(width, min(4.6, 1.3 + 0.01 * rows + 0.1 * len(chosen)))
    axes = made.add_subplot()
    top, ticks, names = 0, [], []
    size = 7.0 if rows > 100 else 14.0 if rows > 30 else 60.0
    for name, ids in chosen.items():
        for spikes, other, colour, layer, half in ((pair.a.result, pair.b.result, ONLY_A, 2, TICKUP),
                                                   (pair.b.result, pair.a.result, ONLY_B, 3, TICKDOWN)):  # fmt: skip
            s = spikes.spikes[name]
            mine = only(s, other.spikes[name])
            here = np.isin(s.ids, ids)
            for mask, shade, z in ((here & ~mine, COMMON, 1), (here & mine, colour, layer)):
                if z == 1 and colour == ONLY_B:
                    continue  # those that both have were drawn
                marker: Any = "|" if z == 1 else half  # told apart without colours, too
                axes.scatter(s.t[mask] * 1e3, -top - np.searchsorted(ids, s.ids[mask]), s=size, c=shade, marker=marker,
                             linewidths=0.9, zorder=z, rasterized=True)  # fmt: skip
        ticks.append(-top - (len(ids) - 1) / 2)
        names.append(shorten(name, 18 if width == WIDE else 9))
        top += len(ids)
        if name != list(chosen)[-1]:
            axes.axhline(-top + 0.5, color=FAINT, linewidth=0.6)
    axes.set_yticks(ticks if len(chosen) <= 16 else [], names if len(chosen) <= 16 else [])
    axes.set_ylim(-top + 0.2, 0.8)
    _time_axis(axes, pair)
    return made


def _over_time(pair: Any, width: float) -> Any:
    """Draw how many spikes only one side has, bin by bin."""
    from matplotlib.ticker import MaxNLocator

    made = figure(width, 1.7)
    axes = made.add_subplot()
    results = pair.a.result, pair.b.result
    n_steps, dt = results[0].provenance.n_steps, results[0].provenance.dt
    step = max(1, -(-n_steps // MOST_BINS))
    bins = -(-n_steps // step)
    for k, (colour, sign) in enumerate(((ONLY_A, 1), (ONLY_B, -1))):
        counts = np.zeros(bins)
        for name, spikes in results[k].spikes.items():
            mine = only(spikes, results[1 - k].spikes[name])
            counts += np.bincount(spikes.steps[mine] // step, minlength=bins)[:bins]
        axes.bar((np.arange(bins) + 0.5) * step * dt * 1e3, sign * counts, width=step * dt * 1e3, color=colour)
    axes.axhline(0.0, color=FAINT, linewidth=0.6)
    axes.set_ylabel("spikes", fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(lambda v, _: f"{abs(v):g}")
    _time_axis(axes, pair)
    return made


def _time_axis(axes: Any, pair: Any) -> None:
    p = pair.a.result.provenance
    axes.set_xlim(0.0, max(p.n_steps * p.dt * 1e3, 1e-12))
    axes.set_xlabel("time (ms)", fontsize=8)
    if pair.difference is not None:
        axes.axvline(pair.difference.t * 1e3, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    bare(axes)


def _around(pair: Any, dt: float, width: float) -> Any:
    """Draw the neuron's variables on both sides, and on a logarithmic scale how far they are apart."""
    around = dict(list(pair.diagnosis.around.items())[:3])
    made = figure(width, 1.35 * (len(around) + 1) + 0.4)
    panels = made.subplots(len(around) + 1, 1, sharex=True, squeeze=False)[:, 0]
    t = pair.diagnosis.threshold
    shades = ("#8c9198", "#a371f7", "#2da44e")
    for axes, shade, (var, (steps, a, b, symbol)) in zip(panels[:-1], shades, around.items(), strict=False):
        times = (steps + 1) * dt * 1e3
        factor, shown = _readable(float(np.nanmax(np.abs([a, b]), initial=0.0)), symbol)
        axes.plot(times, a * factor, color=ONLY_A, linewidth=2.4, alpha=0.75, label=pair.a.label)
        axes.plot(times, b * factor, color=ONLY_B, linewidth=1.0, label=pair.b.label)
        if t is not None and t.text.startswith(f"{var} "):
            axes.axhline(t.right_a * factor, color=INK, linewidth=0.6, linestyle=(0, (1, 2)))
        axes.set_ylabel(f"{var}{f' ({shown})' if shown else ''}", fontsize=8)
        size = max(float(np.nanmax(np.abs([a, b]), initial=0.0)), 1e-300)
        panels[-1].plot(times, np.maximum(np.abs(a - b) / size, 1e-18), ".-", color=shade, linewidth=0.8, markersize=3,
                        label=var)  # fmt: skip
    above = {"fontsize": 8, "frameon": False, "loc": "lower left", "bbox_to_anchor": (0.0, 0.97), "labelcolor": INK,
             "ncols": 3, "borderpad": 0.1}  # fmt: skip
    panels[0].legend(**above)
    panels[-1].set_yscale("log")
    panels[-1].set_ylim(1e-18, 3.0)
    panels[-1].set_yticks([1e-18, 1e-12, 1e-6, 1.0], ["0", "1e-12", "1e-6", "1"])
    panels[-1].yaxis.minorticks_off()
    panels[-1].axhline(1e-9, color=FAINT, linewidth=0.6)
    panels[-1].set_ylabel("apart (rel.)", fontsize=8)
    panels[-1].set_xlabel("time (ms)", fontsize=8)
    if len(around) > 1:
        panels[-1].legend(**above)
    for axes in panels:
        axes.axvline((pair.difference.step + 1) * dt * 1e3, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        bare(axes)
    made.align_ylabels(panels)
    return made


def _readable(largest: float, symbol: str) -> tuple[float, str]:
    """Return the factor and unit in which numbers of this size are best read."""
    from neurosim.recording.plot import _readable as readable

    return readable(largest, unit(symbol).strip())

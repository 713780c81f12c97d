"""One picture of a run: raster, mean rates, population rates over time, recorded variables."""

from __future__ import annotations

import functools
import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim import analysis
from neurosim.analysis.window import inside, neurons, seconds
from neurosim.errors import ParameterError, caller
from neurosim.recording.atomic import write_bytes
from neurosim.recording.events import events_of
from neurosim.recording.records import Spikes, Trace
from neurosim.units import Quantity, second

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neurosim.recording.result import RunResult

MOST_NEURONS = 2000
MOST_DOTS = 200_000
MOST_BANDS = 16  # with more populations only the large ones are named, and one rate stands for all
# Paired hues, told apart in greyscale too: dark for the 1st, 3rd, 5th, ... population, light for the 2nd, 4th, 6th, ...
FEW = ("#1b5e9e", "#c8452f", "#0b7a5c", "#7a3e8e")  # for up to four populations: first blue, second red
COLOURS = ("#1b5e9e", "#6fb1e0", "#0b7a5c", "#5fc3a0", "#b3541e", "#f0a35e", "#7a3e8e", "#c08ad0", "#444444", "#9a9a9a")
_INK, _FAINT = "#222222", "#6b6b6b"
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_LONGEST = 24  # letters of a name
TRACES = ("#1b5e9e", "#d1701f", "#15a671", "#a263c3", "#4a0c28")  # neurons of one panel, dark and light in turn
_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def draw(
    result: RunResult,
    path: str | os.PathLike[str] | None,
    start: Quantity | None,
    stop: Quantity | None,
    size: tuple[float, float] | None,
) -> Figure:
    """Draw the figure; see `RunResult.plot`."""
    from matplotlib.figure import Figure

    shown = {name: s for name, s in result.spikes.items() if neurons(s) > 0}
    events = events_of(result)
    shown |= {f"{name}: {event}": spikes for name, event, spikes in events}
    counts = {(name, event) for name, event, _ in events}
    found = [(name, var, trace) for name, held in result.state.items() for var, trace in held.items()]
    traces = [(name, trace) for name, var, trace in found if trace.values.size and (name, var) not in counts][:3]
    if not shown and not traces:
        raise ParameterError("there is nothing to plot: this run recorded neither spikes nor variables", caller())
    ridges = len(FEW) < len(shown) <= MOST_BANDS
    under = 0.5 + 0.22 * len(shown) if ridges else 1.5
    heights = ([4.6, under] if shown else []) + [1.3] * len(traces)
    figure = Figure(figsize=size or (9.6, 1.3 + sum(heights)), dpi=160, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(h_pad=0.05, w_pad=0.08, hspace=0.02, wspace=0.02)  # type: ignore[union-attr]
    widths = [5, 1] if shown else [1]
    grid = figure.add_gridspec(len(heights), len(widths), height_ratios=heights, width_ratios=widths)
    span, scale, unit = _span(result, start, stop)
    palette = FEW if len(shown) <= len(FEW) else COLOURS
    colours = {name: palette[k % len(palette)] for k, name in enumerate(shown or result.populations)}
    rows: list[Axes] = []
    if shown:
        rows.append(figure.add_subplot(grid[0, 0]))
        bands, share = _raster(rows[0], shown, colours, span, scale, start, stop)
        _mean_rates(figure.add_subplot(grid[0, 1], sharey=rows[0]), shown, bands, colours, start, stop)
        rows.append(figure.add_subplot(grid[1, 0], sharex=rows[0]))
        _rates(rows[1], shown, colours, span, scale, start, stop)
        if share:
            figure.text(0.995, 0.004, share, ha="right", va="bottom", fontsize=7, color=_FAINT)
    for name, trace in traces:
        axes = figure.add_subplot(grid[len(rows), 0], sharex=rows[0] if rows else None)
        rows.append(axes)
        _trace(axes, name, trace, colours.get(name, _INK), scale, result.spikes.get(name))
    rows[0].set_xlim(span[0] * scale, span[1] * scale)
    for axes in rows[:-1]:
        axes.tick_params(labelbottom=False)
    rows[-1].set_xlabel(f"time ({unit})", fontsize=9)
    figure.align_ylabels(rows)
    _title(figure, result)
    figure.__dict__["_repr_png_"] = functools.partial(_png, figure)  # shown by notebooks, without pyplot's global state
    if path is not None:
        _save(figure, path)
    return figure


def _png(figure: Figure) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    kind = os.path.splitext(os.fspath(path))[1].lstrip(".").lower() or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise ParameterError(f"cannot draw a '.{kind}' file; png, svg and pdf are known", caller())
    held = io.BytesIO()
    figure.savefig(held, format=kind)
    write_bytes(path, held.getvalue())


def _span(result: RunResult, start: Quantity | None, stop: Quantity | None) -> tuple[tuple[float, float], float, str]:
    """The window of time in s, and the factor and name of the unit it is shown in."""
    p = result.provenance
    first = min((s.start_step for s in result.spikes.values()), default=0) * p.dt
    span = (
        first if start is None else max(first, seconds(start, "start")),
        first + p.n_steps * p.dt if stop is None else min(first + p.n_steps * p.dt, seconds(stop, "stop")),
    )
    if span[1] <= span[0]:
        raise ParameterError(f"there is nothing to plot between {span[0]:g} s and {span[1]:g} s", caller())
    return (span, 1e3, "ms") if span[1] - span[0] < 2.0 else (span, 1.0, "s")


def _chosen(shown: dict[str, Spikes], dots: int) -> dict[str, np.ndarray]:
    """Ids to draw: evenly spaced, in proportion to the populations but enough of each, within both limits."""
    whole = {n: np.arange(s.size) if s.recorded is None else s.recorded for n, s in shown.items()}
    total = sum(map(len, whole.values()))
    share = min(1.0, MOST_NEURONS / total, MOST_DOTS / max(1, dots))
    chosen = {}
    for name, ids in whole.items():
        enough = round(min(1.0, share * total / MOST_NEURONS) * 0.4 * MOST_NEURONS / len(whole))
        count = min(len(ids), max(enough, round(share * len(ids)))) if share < 1 else len(ids)
        chosen[name] = ids[np.linspace(0, len(ids) - 1, count).round().astype(np.int64)]
    return chosen


def _raster(
    axes: Axes,
    shown: dict[str, Spikes],
    colours: dict[str, str],
    span: tuple[float, float],
    scale: float,
    start: Quantity | None,
    stop: Quantity | None,
) -> tuple[dict[str, tuple[float, float]], str]:
    """Draw the spikes, first population on top; return each one's band and what share of neurons is shown."""
    within = {name: inside(s, start, stop) for name, s in shown.items()}
    chosen = _chosen(shown, sum(len(steps) for steps, _ in within.values()))
    rows = sum(map(len, chosen.values()))
    gap = min(0.012, 0.15 / len(chosen)) * rows
    least = 0.045 * rows if len(shown) <= MOST_BANDS else 0.0  # a band is never lower than its name
    bands: dict[str, tuple[float, float]] = {}
    top = 0.0
    for name, spikes in shown.items():
        steps, ids = within[name]
        count = len(chosen[name])
        height = max(float(count), least)
        row = np.full(spikes.size, -1)
        row[chosen[name]] = np.arange(count)
        drawn = row[ids] >= 0
        x, y = steps[drawn] * spikes.dt * scale, top + (row[ids[drawn]] + 0.5) * height / count
        side = float(np.clip(4.6 * 72 / rows * height / count * 1.3, 1.1, 4.0))  # points: a little more than a row
        dense = side > 2.0 and np.count_nonzero(drawn) > 100 * count  # dots would lie over each other
        marker, line = ("|", 0.25) if dense else ("o", 0.0)
        axes.scatter(x, y, s=side**2, c=colours[name], marker=marker, linewidths=line, rasterized=True)
        bands[name] = (top, top + height)
        top += height + gap
    for low, _ in list(bands.values())[1:]:
        axes.axhline(low - gap / 2, color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_ylim(top - gap / 2, -gap / 2)
    named = {name: band for name, band in bands.items() if band[1] - band[0] >= 0.03 * top}
    axes.set_yticks([(low + high) / 2 for low, high in named.values()], [_cut(name) for name in named])
    _plain(axes)
    axes.tick_params(axis="y", length=0, labelsize=9)
    for label, name in zip(axes.get_yticklabels(), named, strict=True):
        label.set_color(_readable_on_white(colours[name]))
        label.set_fontweight("bold")
    total = sum(neurons(s) for s in shown.values())
    return bands, f"raster: {rows:,} of {total:,} recorded neurons" if rows < total else ""


def _mean_rates(
    axes: Axes,
    shown: dict[str, Spikes],
    bands: dict[str, tuple[float, float]],
    colours: dict[str, str],
    start: Quantity | None,
    stop: Quantity | None,
) -> None:
    """Draw a bar a population beside its band, with rate and CV as numbers."""
    rates = {name: analysis.rate(s, start, stop) for name, s in shown.items()}
    largest = max(rates.values()) or 1.0
    extent = max(high for _, high in bands.values())
    for name, (low, high) in bands.items():
        middle, thick = (low + high) / 2, min(0.6 * (high - low), 0.05 * extent)
        axes.barh(middle, rates[name], height=thick, color=colours[name])
        if high - low < 0.03 * extent:
            continue
        cv = analysis.cv_isi(shown[name], start=start, stop=stop)
        text = f"{rates[name]:.3g} Hz" + (f"\nCV {cv:.2f}" if np.isfinite(cv) else "")
        at = (rates[name], middle)
        axes.annotate(text, at, (4, 0), textcoords="offset points", va="center", fontsize=7, color=_INK)
    axes.set_xlim(0, largest * 1.75)
    _plain(axes)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(labelleft=False, left=False, labelbottom=False, bottom=False)
    axes.set_title("mean rate, CV ISI", fontsize=8, loc="left", color=_FAINT, pad=3)


def _rates(
    axes: Axes,
    shown: dict[str, Spikes],
    colours: dict[str, str],
    span: tuple[float, float],
    scale: float,
    start: Quantity | None,
    stop: Quantity | None,
) -> None:
    """Draw the population rates over a common bin: over each other when few, else as ridges on a common scale."""
    dt = next(iter(shown.values())).dt
    width = _round_bin((span[1] - span[0]) / 200, dt)
    traces = {name: analysis.population_rate(s, width * dt * second, start, stop) for name, s in shown.items()}
    if len(shown) > MOST_BANDS:
        total = sum(neurons(s) for s in shown.values())
        pooled = np.sum([traces[name].values * neurons(s) for name, s in shown.items()], axis=0) / total
        first = next(iter(traces.values()))
        traces, colours = {"all": analysis.RateTrace(pooled, first.bin, first.start)}, {"all": _INK}
    peak = max((float(np.max(trace.values, initial=0.0)) for trace in traces.values()), default=0.0) or 1.0
    few = len(traces) <= len(FEW)
    for k, (name, trace) in enumerate(traces.items()):
        if len(trace) == 0:
            continue
        edges = np.append(trace.times, trace.times[-1] + trace.bin) * scale
        base = 0.0 if few else float(-k)
        values = trace.values if few else base + 1.4 * trace.values / peak
        paint = {"color": colours[name], "baseline": base, "zorder": 2 + 0.1 * k}
        axes.stairs(values, edges, fill=True, alpha=0.22 if few else 0.75, linewidth=0, **paint)
        axes.stairs(values, edges, linewidth=0.9, **paint)
    if few:
        axes.set_ylim(bottom=0)
        axes.set_ylabel("rate (Hz)", fontsize=9)
        _plain(axes)
    else:
        _plain(axes)
        tops = [1.4 * float(np.max(trace.values, initial=0.0)) / peak - k for k, trace in enumerate(traces.values())]
        axes.set_ylim(0.85 - len(traces), max(0.6, *tops) + 0.1)
        axes.set_yticks([0.3 - k for k in range(len(traces))], [_cut(name) for name in traces])
        for label, name in zip(axes.get_yticklabels(), traces, strict=True):
            label.set_color(_readable_on_white(colours[name]))
    note = f"{'rate of all neurons' if 'all' in colours else 'rate'} in bins of {width * dt * 1e3:.3g} ms" + (
        "" if few else f"; highest {peak:.3g} Hz, one scale for all"
    )
    axes.set_title(note, fontsize=8, loc="left", color=_FAINT, pad=3)
    if not few:
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)


def _round_bin(width: float, dt: float) -> int:
    """Return the bin nearest above ``width`` that is 1, 2 or 5 times a power of ten ms, in steps."""
    for exponent in range(-6, 6):
        for lead in (1, 2, 5):
            candidate = lead * 10.0**exponent
            if candidate >= width * 0.999 and candidate >= dt:
                return max(1, round(candidate / dt))
    return max(1, round(width / dt))


def _trace(axes: Axes, population: str, trace: Trace, colour: str, scale: float, spikes: Spikes | None) -> None:
    """Draw a variable of at most five neurons."""
    finite = trace.values[np.isfinite(trace.values)]
    factor, unit = _readable(float(np.max(np.abs(finite), initial=0.0)), trace.unit)
    few = min(5, len(trace.ids))
    for column in range(few):
        shade = colour if few == 1 else TRACES[column]
        label = f"neuron {trace.ids[column]}"
        axes.plot(trace.times * scale, trace.values[:, column] * factor, color=shade, linewidth=0.8, label=label)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False, handlelength=1.2)
    legend.set_in_layout(spikes is None)  # beside a raster there is room: the column of mean rates
    more = f", {len(trace.ids)} neurons, 5 shown" if len(trace.ids) > 5 else ""
    axes.set_ylabel(f"{trace.variable} ({unit})" if unit else trace.variable, fontsize=9)
    title = f"{trace.variable} of {_cut(population)}{more}"
    axes.set_title(title, fontsize=8, loc="left", color=_readable_on_white(colour), pad=2)
    _plain(axes)


def _readable(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor and unit in which a number of this size is best read: 0.05 V as 50 mV."""
    if unit not in ("V", "A", "S", "F", "s", "Hz", "ohm", "C") or not largest > 0:
        return 1.0, "" if unit in ("1", "dimensionless") else unit
    exponent = int(np.clip(3 * np.floor(np.log10(largest * 1.0001) / 3), -12, 9))
    return 10.0**-exponent, _PREFIXES[exponent] + unit


def _title(figure: Figure, result: RunResult) -> None:
    p = result.provenance
    total = sum(result.populations.values())
    facts = [f"{total:,} neurons", f"{p.n_steps * p.dt:g} s", f"dt {p.dt * 1e3:g} ms", f"seed {p.seed}"]
    engine = " ".join(part for part in (p.backend, p.backend_version) if part)
    facts += [engine] if engine else []
    facts += [p.precision] if p.precision != "double" else []
    facts += [p.status.upper()] if p.status != "finished" else []
    facts_width, letter = 4.5 * len("  ·  ".join(facts)), 8.6  # points, and of a letter of the title
    room = int((72 * figure.get_size_inches()[0] - facts_width) / letter)
    figure.suptitle(
        _cut(p.network or "neurosim", max(12, room)), fontsize=13, fontweight="bold", color=_INK, x=0.01, ha="left"
    )
    figure.text(0.995, 0.988, "  ·  ".join(facts), fontsize=8, color=_FAINT, ha="right", va="top")


def _cut(name: str, most: int = _LONGEST) -> str:
    """Leave out the middle of what is too long: the ends of a name tell it from others."""
    return name if len(name) <= most else name[: most // 2] + "…" + name[len(name) - (most - 1) // 2 :]


def _readable_on_white(colour: str) -> str:
    """Return the colour, or a darker one of its hue: letters need a contrast of 4.5 to 1 (WCAG 2)."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    while 1.05 / (0.05 + np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ _LUMINANCE) < 4.5:
        rgb = rgb * 0.95
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in rgb)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    axes.tick_params(labelsize=8, colors=_INK, color="#bbbbbb")

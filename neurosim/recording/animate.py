"""A run as a film: the raster as it grows, or the activity of every neuron on a map."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim import analysis
from neurosim.analysis.window import neurons, seconds
from neurosim.errors import ParameterError, caller, suggest
from neurosim.recording.atomic import write_bytes
from neurosim.recording.plot import COLOURS, FEW, MOST_NEURONS
from neurosim.recording.records import Spikes
from neurosim.units import Quantity, second

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurosim.recording.result import RunResult

KINDS = ("raster", "activity")
MOST_FRAMES = 1000
_INK = "#222222"


def animate(
    result: RunResult,
    path: str | os.PathLike[str],
    kind: str,
    start: Quantity | None,
    stop: Quantity | None,
    slower: float,
    fps: int,
    tau: Quantity,
) -> None:
    """Make the film; see `RunResult.animate`."""
    where = caller()
    if kind not in KINDS:
        raise ParameterError(f"kind is 'raster' or 'activity', got {kind!r}{suggest(str(kind), KINDS)}", where)
    if not str(os.fspath(path)).lower().endswith(".gif"):
        raise ParameterError(
            f"a film is written as a GIF: give a name that ends in .gif, not '{os.fspath(path)}'", where
        )
    if not (isinstance(fps, int) and 1 <= fps <= 50):
        raise ParameterError(f"fps is a whole number from 1 to 50, got {fps!r}", where)
    if not slower > 0:
        raise ParameterError(f"slower must be positive, got {slower!r}", where)
    shown = {name: s for name, s in result.spikes.items() if neurons(s) > 0}
    if not shown:
        raise ParameterError("there is nothing to show: this run recorded no spikes", where)
    p = result.provenance
    first = 0.0 if start is None else seconds(start, "start")
    last = p.n_steps * p.dt if stop is None else seconds(stop, "stop")
    if not 0 <= first < last:
        raise ParameterError(f"the film is to end after it begins: it would go from {first:g} to {last:g} s", where)
    frames = round((last - first) * slower * fps)
    if not 2 <= frames <= MOST_FRAMES:
        raise ParameterError(
            f"{last - first:g} s, {slower:g} times slower and at {fps} frames a second, are {frames} frames; a film "
            f"has 2 to {MOST_FRAMES}: change start, stop, slower or fps",
            where,
        )
    film = (_Raster if kind == "raster" else _Activity)(result, shown, first, last, seconds(tau, "tau"))
    write_bytes(path, _encoded(film, np.linspace(first, last, frames + 1)[1:], fps))


def _encoded(film: Any, moments: np.ndarray, fps: int) -> bytes:
    """Return the film as a GIF, all of whose frames share their colours."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(film.figure)

    def image(moment: float | None) -> Any:
        if moment is None:
            film.fill()
        else:
            film.show(moment)
        canvas.draw()
        return Image.fromarray(np.array(canvas.buffer_rgba())[..., :3])

    palette = image(None).quantize(128)
    pictures = [image(moment).quantize(palette=palette, dither=Image.Dither.NONE) for moment in moments]
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
    return out.getvalue()


class _Film:
    """What both kinds share: the figure, its title, and the time."""

    figure: Figure

    def __init__(self, result: RunResult, size: tuple[float, float]) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
        self.name = result.provenance.network or "run"

    def title(self, moment: float) -> None:
        self.figure.suptitle(f"{self.name}   {1e3 * moment:7.1f} ms", fontsize=10, color=_INK, family="monospace")


class _Raster(_Film):
    """Spikes and rates up to now."""

    def __init__(self, result: RunResult, shown: dict[str, Spikes], first: float, last: float, tau: float) -> None:
        super().__init__(result, (8.0, 5.0))
        self.last = last
        palette = FEW if len(shown) <= len(FEW) else COLOURS
        above, below = self.figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        total = sum(neurons(s) for s in shown.values())
        every = max(1, -(-total // MOST_NEURONS))
        self.dots: list[tuple[Any, np.ndarray, np.ndarray]] = []
        self.lines: list[tuple[Any, np.ndarray, np.ndarray]] = []
        dt = result.provenance.dt
        width = max(1, round((last - first) / 200 / dt)) * dt
        offset, ticks = 0, []
        for k, (name, spikes) in enumerate(shown.items()):
            colour = palette[k % len(palette)]
            who = np.arange(spikes.size) if spikes.recorded is None else spikes.recorded
            rows = np.searchsorted(who, spikes.ids)
            kept = (rows % every == 0) & (spikes.t >= first) & (spikes.t < last)
            (dots,) = above.plot([], [], ".", ms=1.6, color=colour)
            self.dots.append((dots, spikes.t[kept], offset + rows[kept] // every))
            ticks.append((offset + len(who) / every / 2, name))
            offset += -(-len(who) // every)
            rate = analysis.population_rate(spikes, bin=width * second)
            (line,) = below.plot([], [], color=colour, lw=1)
            inside = (rate.times >= first) & (rate.times + rate.bin <= last)
            self.lines.append((line, rate.times[inside] + rate.bin, rate.values[inside]))
        above.set(ylim=(-1, offset), xlim=(1e3 * first, 1e3 * last))
        above.set_yticks([t for t, _ in ticks], [name for _, name in ticks], fontsize=8)
        highest = max((float(v.max()) for _, _, v in self.lines if len(v)), default=1.0)
        below.set(xlabel="time (ms)", ylabel="rate (Hz)", ylim=(0, 1.05 * highest or 1.0))
        self.now = [axes.axvline(1e3 * first, color=_INK, lw=0.8) for axes in (above, below)]

    def fill(self) -> None:
        """Show all colours that will be seen."""
        self.show(self.last)

    def show(self, moment: float) -> None:
        """Show what there is up to a time."""
        self.title(moment)
        for dots, times, rows in self.dots:
            n = np.searchsorted(times, moment, side="right")
            dots.set_data(1e3 * times[:n], rows[:n])
        for line, times, values in self.lines:
            n = np.searchsorted(times, moment, side="right")
            line.set_data(1e3 * times[:n], values[:n])
        for line in self.now:
            line.set_xdata([1e3 * moment])


class _Activity(_Film):
    """Every neuron a cell of a map, bright after a spike."""

    def __init__(self, result: RunResult, shown: dict[str, Spikes], first: float, last: float, tau: float) -> None:
        columns = int(np.ceil(np.sqrt(len(shown))))
        rows = -(-len(shown) // columns)
        super().__init__(result, (min(10.0, 0.6 + 2.6 * columns), min(9.0, 0.6 + 2.7 * rows)))
        axes = self.figure.subplots(rows, columns, squeeze=False).ravel()
        self.tau, self.maps = tau, []
        for axis in axes[len(shown) :]:
            axis.remove()
        for axis, (name, spikes) in zip(axes, shown.items(), strict=False):
            who = np.arange(spikes.size) if spikes.recorded is None else spikes.recorded
            side = int(np.ceil(np.sqrt(len(who))))
            picture = np.zeros((-(-len(who) // side), side))
            drawn = axis.imshow(picture, cmap="inferno", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(f"{name} ({len(who)})", fontsize=9)
            axis.set(xticks=[], yticks=[])
            self.maps.append((drawn, picture.shape, spikes.t, np.searchsorted(who, spikes.ids), len(who)))

    def fill(self) -> None:
        """Show all colours that will be seen."""
        self.title(0.0)
        for drawn, *_ in self.maps:
            drawn.set_data(np.linspace(0, 1, 1024).reshape(32, 32))

    def show(self, moment: float) -> None:
        """Show how recently everyone has spiked."""
        self.title(moment)
        for drawn, shape, times, rows, size in self.maps:
            a, b = np.searchsorted(times, (moment - 8 * self.tau, moment), side="right")
            last = np.full(size, -np.inf)
            np.maximum.at(last, rows[a:b], times[a:b])
            cells = np.full(shape[0] * shape[1], np.nan)  # what is no neuron stays white
            cells[:size] = np.exp((last - moment) / self.tau)
            drawn.set_data(cells.reshape(shape))

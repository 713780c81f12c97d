"""A raster of characters: braille cells of two time bins by four rows of neurons, and the mean rate below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

_ROWS = 12  # of characters, at least: each has four rows of dots
_MOST_POPULATIONS = 24
_MOST_LABEL = 14
_GOOD, _FULL = 0.08, 0.25  # share of dots set: what neurons are put together for, what a shorter window is shown for
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BARS = " ▁▂▃▄▅▆▇█"
_COLOURS = ("blue", "red", "green", "magenta", "cyan", "yellow")


def draw(result: Any, width: int, encoding: str) -> Text | None:
    """Return the picture, or None where there are no spikes or the terminal cannot show it."""
    from rich.text import Text

    shown = {name: s for name, s in result.spikes.items() if s.size and (s.recorded is None or len(s.recorded))}
    more = len(shown) - _MOST_POPULATIONS
    if more > 0:
        largest = sorted(shown, key=lambda k: -shown[k].size)[:_MOST_POPULATIONS]
        shown = {k: s for k, s in shown.items() if k in largest}
    if not sum(len(s) for s in shown.values()) or "utf" not in encoding.lower():
        return None
    label = min(_MOST_LABEL, max(4, *(len(k) for k in shown)))
    columns = width - label - 2
    ids = {k: np.arange(s.size) if s.recorded is None else s.recorded for k, s in shown.items()}
    rows = _share({k: len(v) for k, v in ids.items()})
    together = _together(shown, ids, rows, 2 * columns)
    chosen = {k: _spread(v, 4 * rows[k] * together) for k, v in ids.items()}
    any_one = next(iter(shown.values()))
    first, end = any_one.start_step, any_one.start_step + any_one.n_steps
    start = _window(shown, chosen, first, end, any_one.dt, 2 * columns)
    out = Text()
    for k, (name, spikes) in enumerate(shown.items()):
        colour = _COLOURS[k % len(_COLOURS)]
        cells = _braille(spikes, chosen[name], together, rows[name], start, end, columns)
        for r, line in enumerate(cells):
            out.append(f"{cut(name, label) if r == 0 else '':<{label}} ", style=f"bold {colour}")
            out.append(line + "\n", style=colour)
    counts = np.zeros(columns)
    for s in shown.values():
        counts += np.bincount(_bins(s.steps[s.steps >= start], start, end, columns), minlength=columns)
    neurons = sum(map(len, ids.values()))
    peak = counts.max() / (neurons * (end - start) * any_one.dt / columns)
    level = np.ceil(counts / max(1.0, counts.max()) * 8).astype(int)
    out.append(f"{'rate':<{label}} ", style="dim")
    out.append("".join(_BARS[i] for i in level) + "\n", style="dim")
    out.append(_axis(start * any_one.dt, end * any_one.dt, label, columns), style="dim")
    drawn = sum(map(len, chosen.values()))
    each = "one neuron" if together == 1 else f"{together} neurons"
    note = f"{each} a row of dots, {drawn:,} of {neurons:,}; mean rate of all, highest {peak:.3g} Hz"
    note += f"; {more} populations not shown" if more > 0 else ""
    indent = max(0, min(label + 1, width - 1 - len(note)))
    out.append(f"{'':<{indent}}{cut(note, width - 1 - indent)}", style="dim")
    return out


def _share(sizes: dict[str, int]) -> dict[str, int]:
    """Return how many rows each population gets: at least two, more for the larger ones, none that would be empty."""
    need = {k: -(-n // 4) for k, n in sizes.items()}
    rows = {k: min(2 if len(sizes) <= _ROWS else 1, n) for k, n in need.items()}
    while sum(rows.values()) < min(_ROWS, sum(need.values())):
        hungriest = max((k for k in sizes if rows[k] < need[k]), key=lambda k: sizes[k] / rows[k])
        rows[hungriest] += 1
    return rows


def _together(shown: dict[str, Any], ids: dict[str, np.ndarray], rows: dict[str, int], dots: int) -> int:
    """Return how many neurons share a row of dots: one, or more where they fire so rarely that nothing would show."""
    a_row = sum(len(s) for s in shown.values()) / sum(map(len, ids.values())) / dots
    return max(1, min(int(_GOOD / a_row), *(len(v) // (4 * rows[k]) for k, v in ids.items())))


def _spread(ids: np.ndarray, count: int) -> np.ndarray:
    """Return evenly spaced neurons."""
    return ids if len(ids) <= count else ids[np.linspace(0, len(ids) - 1, count).round().astype(np.int64)]


def _window(shown: dict[str, Any], chosen: dict[str, np.ndarray], first: int, end: int, dt: float, dots: int) -> int:
    """Return the first step to show: of the whole run, or of a last part of it that is not all dots."""
    times = np.concatenate([s.steps[np.isin(s.ids, chosen[k])] for k, s in shown.items()])
    neurons = sum(map(len, chosen.values()))
    start, unit = first, 10.0 ** np.ceil(np.log10((end - first) * dt))
    for lead in (unit * 10.0**-k * m for k in range(9) for m in (1.0, 0.5, 0.2)):
        filled = np.count_nonzero(times >= start) / (neurons * dots)
        width = round(lead / dt)
        if filled <= _FULL or width < dots:
            break
        if width < end - first:
            start = end - width
    return start


def _bins(steps: np.ndarray, start: int, end: int, count: int) -> np.ndarray:
    return (steps - start) * count // max(1, end - start)


def _braille(
    spikes: Any, chosen: np.ndarray, together: int, rows: int, start: int, end: int, columns: int
) -> list[str]:
    row = np.full(spikes.size, -1)
    row[chosen] = np.arange(len(chosen)) // together
    inside = (spikes.steps >= start) & (row[spikes.ids] >= 0)
    y, x = row[spikes.ids[inside]], _bins(spikes.steps[inside], start, end, 2 * columns)
    dots = np.zeros((4 * rows, 2 * columns), dtype=bool)
    dots[y, x] = True
    bits = (dots.reshape(rows, 4, columns, 2) * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(chr(0x2800 + b) if b else " " for b in line) for line in bits.tolist()]


def _axis(start: float, end: float, label: int, columns: int) -> str:
    """Return a line with the first, middle and last time."""
    factor, unit = (1e3, "ms") if end - start < 1 else (1.0, "s")
    left, middle, right = (f"{t * factor:.6g}" for t in (start, (start + end) / 2, end))
    right += f" {unit}"
    line = left.ljust(columns // 2 - len(middle) // 2) + middle
    return f"{'':<{label}} {line}{right.rjust(columns - len(line))}\n"


def cut(text: str, most: int) -> str:
    """Leave out the middle of what is too long: the ends of a name tell it from others."""
    return text if len(text) <= most else text[: most // 2] + "…" + text[len(text) - (most - 1) // 2 :]

"""What a run did, on a terminal of 80 columns or as one JSON object."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.cli.progress import clock

_MOST_ROWS = 40
_WIDEST = 100
_WIDEST_NAME = 20


def console() -> Console:
    """Return a console on stdout, at most 100 columns wide."""
    out = Console(highlight=False)
    return Console(highlight=False, width=min(out.width, _WIDEST)) if out.width > _WIDEST else out


def report(result: Any, published: Mapping[str, Mapping[str, float]], whole: float, raster: bool) -> None:
    """Print what was run, the raster, the table of populations, and the times."""
    out, p = console(), result.provenance
    rows = _rows(result, published)
    facts = [_count(sum(result.populations.values()), "neuron"), _count(_edges(result), "synapse", "synapses")]
    out.print(Text.assemble((p.network, "bold"), "  ", " · ".join([*facts, f"{p.n_steps * p.dt:.6g} s"])))
    engine = [f"{p.backend} {p.backend_version}".strip(), p.precision, _count(p.threads, "thread")]
    engine += [f"dt {p.dt * 1e3:.6g} ms", f"seed {p.seed}", *(f"{k} = {v}" for k, v in p.overrides.items())]
    out.print(Text(" · ".join(engine), style="dim"))
    if raster:
        from neurosim.cli.raster import draw

        picture = draw(result, out.width, out.encoding)
        if picture is not None:
            out.print()
            out.print(picture, no_wrap=True, crop=True)
    _table(out, rows, published)
    out.print(Text(_times(p, whole)))


def closing(files: Mapping[str, str], notes: list[str]) -> None:
    """Print where files were written, and what the reader should know."""
    out = console()
    for path in files.values():
        out.print(Text(f"wrote {path} ({_bytes(os.path.getsize(path))})"), soft_wrap=True)
    for note in notes:
        out.print(Text(f"note: {note}", style="dim"))


def as_json(result: Any, published: Mapping[str, Mapping[str, float]], whole: float, files: Mapping[str, str],
            error: str | None) -> None:  # fmt: skip
    """Print everything as one JSON object."""
    p = result.provenance
    bio = p.n_steps * p.dt
    told = {
        "network": p.network,
        "status": p.status,
        "error": error,
        "neurons": sum(result.populations.values()),
        "synapses": _edges(result),
        "spikes": sum(row["spikes"] or 0 for row in _rows(result, published)),
        "simulated_s": bio,
        "populations": {row.pop("population"): row for row in _rows(result, published)},
        "times": {
            "build_s": p.wall_build_s, "compile_s": p.wall_compile_s, "simulate_s": p.wall_simulate_s, "whole_s": whole,
            "real_time_factor": p.wall_simulate_s / bio if bio > 0 else None,
        },
        "provenance": dataclasses.asdict(p),
        "files": dict(files),
    }  # fmt: skip
    print(json.dumps(_plain(told), indent=2, allow_nan=False), flush=True)


def _rows(result: Any, published: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return a dict per population. Spikes and rate are those of all its neurons where the backend counted them."""
    p, counts = result.provenance, getattr(result, "counts", {})
    rows = []
    for row in result.summary():
        spikes, rate = row.spikes, row.rate
        if row.population in counts and p.n_steps:
            spikes = counts[row.population]
            rate = spikes / (row.neurons * p.n_steps * p.dt)
        rows.append({
            "population": row.population, "neurons": row.neurons, "spikes": spikes, "rate_hz": rate,
            "cv_isi": row.cv_isi, "synchrony": row.synchrony,
            "published": {label: {"rate_hz": hz[row.population], "difference": _relative(rate, hz[row.population])}
                          for label, hz in published.items() if row.population in hz},
        })  # fmt: skip
    return rows


def _table(out: Console, rows: list[dict[str, Any]], published: Mapping[str, Mapping[str, float]]) -> None:
    shown = rows
    if len(rows) > _MOST_ROWS:
        least = sorted((r["neurons"] for r in rows), reverse=True)[_MOST_ROWS - 1]
        shown = [r for r in rows if r["neurons"] >= least][:_MOST_ROWS]
    labels = list(published)
    beside = labels if len(labels) <= 1 else []  # two sources and more get a table of their own
    columns = ["neurons", "spikes", "rate Hz", "CV ISI", "synchrony"]
    cells = [[f"{r['neurons']:,}", _whole(r["spikes"]), _rate(r["rate_hz"]), _number(r["cv_isi"], 2),
              _number(r["synchrony"], 2), *_compared(r, beside)] for r in shown]  # fmt: skip
    _print(out, [*columns, *("published", "diff") * len(beside)], [r["population"] for r in shown], cells)
    if len(rows) > len(shown):
        out.print(Text(f"and {len(rows) - len(shown)} smaller populations (--json and -o have all)\n", style="dim"))
    if beside:
        out.print(Text(f"published: {beside[0]}", style="dim"))
    else:
        for k in range(0, len(labels), 3):
            some = labels[k : k + 3]
            heads = [h for i in range(len(some)) for h in (f"[{k + i + 1}] Hz", "diff")]
            cells = [[_rate(r["rate_hz"]), *_compared(r, some)] for r in shown]
            _print(out, ["rate Hz", *heads], [r["population"] for r in shown], cells)
        for k, label in enumerate(labels):
            out.print(Text(f"[{k + 1}] {label}", style="dim"))


def _print(out: Console, heads: list[str], names: list[str], cells: list[list[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("population", overflow="ellipsis", max_width=_WIDEST_NAME)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    from neurosim.cli.raster import cut

    for name, row in zip(names, cells, strict=True):
        table.add_row(cut(name, _WIDEST_NAME), *row)
    out.print()
    out.print(table)
    out.print()


def _compared(row: dict[str, Any], labels: list[str]) -> list[str]:
    out = []
    for label in labels:
        there = row["published"].get(label)
        out += ["–", "–"] if there is None else [_rate(there["rate_hz"]), _percent(there["difference"])]
    return out


def _times(p: Any, whole: float) -> str:
    bio = p.n_steps * p.dt
    parts = [f"build {clock(p.wall_build_s)}"]
    parts += [f"compile {clock(p.wall_compile_s)}"] if p.wall_compile_s >= 0.05 else []
    factor = f" (real-time factor {p.wall_simulate_s / bio:.3g})" if bio > 0 else ""
    return ", ".join([*parts, f"simulate {clock(p.wall_simulate_s)}{factor}", f"whole {clock(whole)}"])


def _edges(result: Any) -> int | None:
    return getattr(result, "edges", None)


def _relative(rate: float, reference: float) -> float:
    return rate / reference - 1.0 if reference else math.nan


def _percent(x: float) -> str:
    return "–" if not math.isfinite(x) else f"{100 * x:+.{1 if abs(x) < 10 else 0}f} %"


def _rate(x: float) -> str:
    return _number(x, 2 if x < 100 else 1)


def _number(x: float, digits: int) -> str:
    return f"{x:.{digits}f}" if math.isfinite(x) else "–"


def _whole(x: int | None) -> str:
    return "–" if x is None else f"{x:,}"


def _count(n: int | None, one: str, many: str | None = None) -> str:
    return f"{'?' if n is None else format(n, ',')} {one if n == 1 else many or one + 's'}"


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _plain(x: Any) -> Any:
    """Turn what NumPy and NaN there is into what JSON can hold."""
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x

"""What every page has in common: templates, and figures as SVG that follow the page's colours."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib wants colours; the page replaces these two by its own, so that figures follow light and dark.
INK, FAINT = "#010203", "#040506"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)"}

WIDE, NARROW = 8.6, 3.4
"""Widths of a figure in inches: for a desk, and for a telephone; the page's style shows one and hides the other."""


def render(template: str, **context: Any) -> bytes:
    """Return a page; ``template`` is a file of this folder."""
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)  # fmt: skip
    environment.filters.update(number=number, exact=repr, si=unit)
    return environment.get_template(template).render(**context).encode()


def write_page(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a page, whole or not at all."""
    from neurosim.recording.atomic import write_bytes

    write_bytes(path, data)


def number(x: float | None) -> str:
    """Return a number as a table shows it, a dash where there is none."""
    if x is None or not math.isfinite(x):
        return "–"
    return f"{x:.3f}" if abs(x) < 10 else f"{x:.2f}" if abs(x) < 100 else f"{x:,.1f}"


def unit(symbol: str) -> str:
    """Return the unit after a number, nothing for a pure number."""
    return "" if symbol in ("", "1", "dimensionless") else f" {symbol}"


def figure(width: float, height: float) -> Figure:
    """Return an empty figure on no ground, in inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=150, layout="constrained")
    made.patch.set_alpha(0.0)
    return made


def bare(axes: Any) -> None:
    """Take away what is not needed of an axes, and colour the rest as the page is coloured."""
    axes.patch.set_alpha(0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8, colors=INK, color=FAINT, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)


def svg(made: Figure, label: str, salt: str) -> str:
    """Return a figure as an SVG element: text stays text, and both inks become the page's."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        made.savefig(out, format="svg", metadata={k: None for k in ("Date", "Creator", "Format", "Type")})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    head, _, rest = text.partition(">")
    kept = " ".join(part for part in head.split(" ") if not part.startswith(("width=", "height=")))
    safe = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'{kept} role="img" aria-label="{safe}">{rest}'

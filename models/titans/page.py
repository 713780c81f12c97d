"""A page that shows a text with a colour behind each byte: how much it surprised the memory."""

from __future__ import annotations

import html
from collections.abc import Sequence

from neurosim.errors import ParameterError

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.7 monospace;max-width:60em;margin:2em auto;padding:0 1em;white-space:pre-wrap}}
p{{font-family:sans-serif;white-space:normal}}</style>
<h1>{title}</h1>
<p>Behind each character its surprise: white {low:.3g}, red {high:.3g} and above.</p>
<div>{body}</div>
</html>
"""


def surprise_page(text: str, surprise: Sequence[float], title: str = "Surprise", high: float | None = None) -> str:
    """Return an HTML page of its own.

    Parameters
    ----------
    text : str
        What was read.
    surprise : sequence of float
        One number for each byte of the text in UTF-8; a character shows the mean of its bytes.
    title : str
        Heading.
    high : float, optional
        The surprise that is fully red; the 98th percentile without it.
    """
    sizes = [len(c.encode("utf-8")) for c in text]
    if sum(sizes) != len(surprise) or not text:
        raise ParameterError(f"{sum(sizes)} bytes and {len(surprise)} numbers: give one number for each byte of a text")
    values, at = [], 0
    for n in sizes:
        values.append(sum(float(s) for s in surprise[at : at + n]) / n)
        at += n
    ordered = sorted(values)
    top = ordered[int(0.98 * (len(ordered) - 1))] if high is None else high
    low = ordered[0]
    spans = []
    for c, value in zip(text, values, strict=True):
        share = min(1.0, max(0.0, (value - low) / (top - low))) if top > low else 0.0
        spans.append(
            f'<span style="background:rgba(220,40,40,{share:.2f})" title="{value:.3g}">{html.escape(c)}</span>'
        )
    return _PAGE.format(title=html.escape(title), low=low, high=top, body="".join(spans))

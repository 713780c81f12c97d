"""What a chip's integers did to a network, on the page of a comparison: side by side, then number by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurosim.analysis.agreement import first_difference, overlap
from neurosim.report.page import unit
from neurosim.report.picture import MOST_ROWS
from neurosim.report.series import readable

WORTH_SEEING = 0.05
"""Relative error from which a number is coloured."""
MOST_CORES = 600
"""Cores that are drawn one by one."""

_W, _H, _AXIS, _UP, _DOWN = 200.0, 66.0, 28.0, 26.0, 24.0
"""Of a picture of weights: its size, where its axis is, and how far bars go up and down."""
_USED = {"neurons": "neurons", "memory": "synaptic memory (bits)", "input_axons": "input axons",
         "output_axons": "output axons"}  # fmt: skip
_FULL = {"neurons": "The number of neurons", "memory": "Synaptic memory"}


def sections(comparison: Any) -> dict[str, Any] | None:
    """Return what the page needs to say about integers, None where no backend computed in them."""
    integers = [s for s in comparison.sides if s.in_integers]
    if not integers:
        return None
    base = _base(comparison)
    return {
        "headline": headline(comparison, base), "rungs": [_rung(s, base) for s in comparison.sides],
        "table": None if base is None else _rates(comparison, base), "base": base,
        "metrics": list({name: None for s in comparison.sides for name in s.metrics}),
        "accounts": [_account(found, comparison) for found in comparison.integers], "error": error, "share": share,
    }  # fmt: skip


def _base(comparison: Any) -> Any:
    """Return the side that integers are held against: the first that does not compute in them, else the first."""
    ran = [s for s in comparison.sides if s.result is not None and not s.refusal]
    return next((s for s in ran if not s.in_integers), ran[0] if ran else None)


def headline(comparison: Any, base: Any) -> list[tuple[str, str]]:
    """Return sentences, each with ``good``, ``mild`` or ``bad``: what a reader has to know if nothing else."""
    out: list[tuple[str, str]] = []
    seen: list[Any] = [base] if base is not None and base.in_integers else []
    for side in comparison.sides:
        if side is base or side.result is None or side.refusal or base is None:
            continue
        like = next((s for s in seen if first_difference(s.result, side.result) is None), None)
        if like is not None:
            out.append(("good", f"{side.label} gives what {like.label} gives, spike for spike."))
            continue
        lead = next((s for s in seen if s.in_integers and side.in_integers), None)
        if lead is not None and lead.options.get("below") == side.options.get("below"):
            at = first_difference(lead.result, side.result)
            out.append(("bad", f"{side.label} and {lead.label} compute in the same integers and yet part at {at}."))
        out.append(_against(base, side))
        seen.append(side)
    for found in comparison.integers:
        over = found.account.overflow
        wraps = {name: o.wraps for name, o in over.items() if o.wraps}
        clips = {name: n for name, o in over.items() if (n := o.clipped_low + o.clipped_high)}
        if wraps:
            out.append(("bad", f"{_times(wraps)} a current wrapped round its 24 bits and changed its sign, in "
                        f"{_listed(wraps)}."))  # fmt: skip
        if clips:
            out.append(("mild", f"{_times(clips)} a potential was held at an end of its 24 bits, in "
                        f"{_listed(clips)}."))  # fmt: skip
    return out


def _against(base: Any, side: Any) -> tuple[str, str]:
    """Return a sentence about one side against what it is held against."""
    at = first_difference(base.result, side.result)
    mine, theirs = (sum(len(s) for s in x.result.spikes.values()) for x in (base, side))
    if at is None:
        return "good", f"All {mine:,} spikes of {base.label} are those of {side.label}, in the same steps."
    rates = [(r, n) for n in base.result.spikes
             if (r := _change(base.result.rates(n), side.result.rates(n))) is not None]  # fmt: skip
    far, name = max(rates, key=lambda rate: abs(rate[0]), default=(0.0, ""))
    rate = "no rate changes" if not rates or not far else f"rates change by up to {far:+.1%} ('{name}')"
    kind = "good" if abs(far) < WORTH_SEEING else "mild" if abs(far) < 0.2 else "bad"
    woken = {n: len(side.result.spikes[n]) for n, spikes in base.result.spikes.items()
             if not len(spikes) and len(side.result.spikes[n])}  # fmt: skip
    if woken:  # no percentage tells of these
        kind = "bad"
        rate = (f"{_listed(woken)} {'spikes' if len(woken) == 1 else 'spike'} there and not once in {base.label}"
                f"{f'; other {rate}' if far else ''}")  # fmt: skip
    count = f", as {base.label} does" if mine == theirs else f" where {base.label} spikes {mine:,} times"
    return kind, (f"{side.label} spikes {theirs:,} times{count}; {rate}; the first spike that differs is at "
                  f"{at.t * 1e3:.6g} ms.")  # fmt: skip


def _times(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return "Once" if total == 1 else f"{total:,} times"


def _listed(counts: Mapping[str, int]) -> str:
    """Return the populations with the highest counts."""
    most = sorted(counts, key=lambda name: -counts[name])
    rest = f" and {len(most) - 3:,} more populations" if len(most) > 3 else ""
    return ", ".join(f"'{name}'" for name in most[:3]) + rest


def _change(was: float, now: float) -> float | None:
    """Return a relative change, None where there is nothing to be relative to."""
    return now / was - 1 if was > 0 and math.isfinite(now) else None


def error(relative: float | None) -> Any:
    """Return a relative error for a table, coloured where it is large."""
    from markupsafe import Markup

    if relative is None:
        return Markup('<span class="soft">–</span>')
    size = abs(relative)
    text = "exact" if size < 5e-7 else f"{100 * relative:+.2g} %" if size < 0.095 else f"{100 * relative:+,.0f} %"
    return Markup(f'<span class="{"off" if size >= WORTH_SEEING else "soft"}">{text}</span>')


def share(x: float | None) -> str:
    """Return a share in percent, of which only 1 is "100 %": what is less stays less, and what is more stays more."""
    if x is None:
        return "–"
    text = f"{100 * x:,.0f}" if x >= 1 else f"{100 * x:.3g}"
    if text == "100" and x != 1:
        text = f"{(math.floor if x < 1 else math.ceil)(1e4 * x) / 100:.2f}"
    return f"{text} %"


def _rung(side: Any, base: Any) -> dict[str, Any]:
    """Return one side as a card."""
    out: dict[str, Any] = {"side": side, "base": side is base, "refusal": side.refusal}
    if side.refusal or side.result is None:
        return out
    p, mine = side.result.provenance, side.result.spikes
    out["what"] = "integers" if side.in_integers else f"{p.precision} precision"
    out["version"] = p.backend_version
    out["spikes"] = sum(len(s) for s in mine.values())
    if side is base:
        return out
    theirs = base.result.spikes
    shared = sum(overlap(theirs[n], mine[n]).common for n in theirs)
    total = sum(len(s) for s in theirs.values())
    out |= {"change": _change(total, out["spikes"]), "shared": shared / total if total else None,
            "first": first_difference(base.result, side.result)}  # fmt: skip
    return out


def _rates(comparison: Any, base: Any) -> dict[str, Any]:
    """Return the table of populations: a rate for each side, and how far it is from the base's."""
    others = [s for s in comparison.sides if s is not base and s.result is not None and not s.refusal]
    pairs = {id(s): comparison.pair(base.label, s.label) for s in others}
    rows = []
    for k, (name, spikes) in enumerate(base.result.spikes.items()):
        cells = []
        for side in others:
            row = pairs[id(side)].populations[k]
            mine = row.b if pairs[id(side)].b is side else row.a
            cells.append({"rate": mine.rate, "change": _change(base.result.rates(name), mine.rate),
                          "woken": not len(spikes) and mine.rate > 0, "common": row.spikes.common,
                          "distance": _distance(pairs[id(side)], row),
                          "first": first_difference({name: spikes}, {name: side.result.spikes[name]})})  # fmt: skip
        rows.append({"name": name, "neurons": spikes.size, "spikes": len(spikes), "rate": base.result.rates(name),
                     "cells": cells})  # fmt: skip
    missing = next((p.distance_missing for p in pairs.values() if p.distance_missing), None)
    return {"others": others, "rows": rows[:MOST_ROWS], "more": max(0, len(rows) - MOST_ROWS), "missing": missing}


def _distance(pair: Any, row: Any) -> float | None:
    """Return the distance of a population's trains: 0 where they are identical, which is not measured."""
    if pair.identical:
        return 0.0
    return None if row.distance is None else row.distance.value


# -- number by number ------------------------------------------------------------------------------------------------


def _account(found: Any, comparison: Any) -> dict[str, Any]:
    a, quantised = found.account, found.account.quantised
    steps = next(s for s in comparison.sides if s.label == found.labels[0]).result.provenance.n_steps
    sizes = {p.name: p.size for p in comparison.graph.populations}
    return {
        "labels": found.labels, "quantised": quantised is not None,
        "populations": [] if quantised is None else [_population(p) for p in quantised.populations[:MOST_ROWS]],
        "projections": [] if quantised is None else [_projection(p) for p in quantised.projections[:MOST_ROWS]],
        "more": {name: max(0, len(listed) - MOST_ROWS) for name, listed in (
            ("populations", quantised.populations if quantised else ()),
            ("projections", quantised.projections if quantised else ()), ("overflow", a.overflow))},
        "changes": [] if quantised is None else quantised.changes,
        "overflow": [(name, sizes[name], o) for name, o in list(a.overflow.items())[:MOST_ROWS]],
        "uncounted": a.uncounted,
        "overflows": sum(o.wraps + o.clipped_low + o.clipped_high for o in a.overflow.values()), "steps": steps,
        "chip": _chip(a.placement), "costs": a.costs, "dt": comparison.graph.dt,
        "constants": [a.placement.chip.limits[k] for k in a.placement.chip.limits
                      if k.endswith(("_energy", "_time"))],
    }  # fmt: skip


def _population(p: Any) -> dict[str, Any]:
    """Return what became of a population's numbers: (what it was and is, relative error) each."""
    syn = [(f"{name} {was * 1e3:.4g}" if len(p.tau_syn_was) > 1 else f"{was * 1e3:.4g}", p.tau_syn / was - 1)
           for name, was in p.tau_syn_was.items()]  # fmt: skip
    reach = np.abs(np.asarray(p.threshold_was) - np.asarray(p.zero))
    off = np.asarray(p.rest) - np.asarray(p.rest_was)
    return {
        "name": p.name, "unit": _quantity(1 / float(p.scale), "V"), "du": p.du, "dv": _span(p.dv, "{:,.0f}"),
        "vth": _span(p.vth, "{:,.0f}"),
        "tau_m": (f"{_span(p.tau_m_was, '{:.4g}', 1e3)} → {_span(p.tau_m, '{:.4g}', 1e3)} ms",
                  _worst(np.asarray(p.tau_m) / np.asarray(p.tau_m_was) - 1)),
        "tau_syn": (f"{', '.join(text for text, _ in syn)} → {p.tau_syn * 1e3:.4g} ms", [e for _, e in syn]),
        "threshold": (f"{_span(p.threshold_was, '{:.5g}', 1e3)} → {_span(p.threshold, '{:.5g}', 1e3)} mV",
                      _worst((np.asarray(p.threshold) - np.asarray(p.threshold_was)) / reach)),
        "rest": (f"{_span(p.rest_was, '{:.5g}', 1e3)} → {_span(p.rest, '{:.5g}', 1e3)} mV", _worst(off / reach)),
    }  # fmt: skip


def _quantity(value: float, symbol: str) -> str:
    factor, shown = readable(value, symbol)
    return f"{value * factor:.3g}{unit(shown)}"


def _span(values: Any, form: str, factor: float = 1.0) -> str:
    """Return a number, or the least and the greatest."""
    flat = np.ravel(np.asarray(values, dtype=float)) * factor
    low, high = form.format(flat.min()), form.format(flat.max())
    return low if low == high else f"{low} to {high}"


def _worst(errors: Any) -> float:
    """Return the error that is largest in magnitude, with its sign."""
    flat = np.ravel(np.asarray(errors, dtype=float))
    return float(flat[np.argmax(np.abs(flat))])


def _projection(p: Any) -> dict[str, Any]:
    return {"p": p, "grid": p.grid, "picture": weights(p)}


def weights(p: Any) -> str:
    """Draw a projection's weights as SVG: as they were in grey, on the grid in colour, over a common axis."""
    from markupsafe import Markup, escape

    g = p.grid
    if not g.edges:
        return Markup("<span class='soft'>no synapses</span>")
    lo, hi = g.span
    across = _W / (hi - lo)
    near = hi - lo <= 48  # grid values can be told apart
    at = np.arange(math.ceil(lo), math.floor(hi) + 1) if near else np.zeros(0)
    ticks = "".join(f"M{(m - lo) * across:.1f} {_AXIS - 1.5}v3" for m in at)
    factor, symbol = readable(max(abs(lo), abs(hi)) * g.step, g.unit)
    ends = [f"{x * g.step * factor:.3g}" for x in (lo, hi)]
    zero = "" if not lo < 0 < hi else f'<path class="zero" d="M{-lo * across:.1f} {_AXIS - _UP}v{_UP + _DOWN}"/>'
    label = escape(f"weights of {p.name}: {g.edges:,} from {ends[0]} to {ends[1]}{unit(symbol)}, "
                   f"on {g.levels:,} values of the grid")  # fmt: skip
    return Markup(
        f'<svg class="weights" viewBox="0 0 {_W:.0f} {_H:.0f}" role="img" aria-label="{label}">{zero}'
        f'{"".join(_bars(g.wanted, "was", 1.0))}{"".join(_bars(g.stored, "is", 0.4 if near else 0.9))}'
        f'<path class="tick" d="M0 {_AXIS}h{_W:.0f}{ticks}"/>'
        f'<text x="0" y="{_H - 2}">{ends[0]}</text><text x="{_W / 2}" y="{_H - 2}" text-anchor="middle">'
        f'{escape(symbol)}</text><text x="{_W:.0f}" y="{_H - 2}" text-anchor="end">{ends[1]}</text></svg>'
    )


def _bars(counts: np.ndarray, kind: str, share: float) -> Iterator[str]:
    """Yield the bars of a histogram over the whole width: up for what was, down for what is, the highest all the way.

    Each has this share of its bin's width, and is at least 1.5 wide, so that a single value is seen.
    """
    most, bin_ = max(int(counts.max(initial=0)), 1), _W / max(len(counts), 1)
    wide = max(share * bin_, 1.5)
    for k in np.flatnonzero(counts).tolist():
        high = max(1.0, (_UP if kind == "was" else _DOWN) * counts[k] / most)
        top = _AXIS - high if kind == "was" else _AXIS
        yield (f'<rect class="{kind}" x="{(k + 0.5) * bin_ - wide / 2:.2f}" y="{top:.1f}" width="{wide:.2f}" '
               f'height="{high:.1f}"/>')  # fmt: skip


def _chip(placement: Any) -> dict[str, Any]:
    """Return how full the cores are: a row for each resource, and the fill of every core."""
    rows = []
    for name, used in placement.used.items():
        limit = placement.chip.limits[name]
        most = float(used.max(initial=0))
        rows.append({"name": _USED[name], "mean": float(used.mean()) if len(used) else 0.0, "most": most,
                     "limit": limit, "fill": most / limit.value})  # fmt: skip
    cores = len(placement.used["neurons"])
    fills = np.max([np.asarray(placement.used[k]) / placement.chip[k] for k in ("neurons", "memory")], axis=0)
    full = max(placement.closed, key=lambda k: placement.closed[k])
    return {"p": placement, "rows": rows, "cores": cores, "fills": fills[:MOST_CORES].tolist(),
            "binds": "Nothing binds: no core is full" if not placement.closed[full] else
            f"{_FULL[full]} binds: {placement.closed[full]:,} of {cores:,} cores were closed by it"}  # fmt: skip


"""What the page of a run draws, as numbers small enough to travel in it.

Whole numbers go as differences, seven bits a byte (LEB128), all bytes as base64; ``run.js`` reads them. ``detail`` is
the share of the room that is used, 1 where the page has enough of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from neurosim import analysis
from neurosim.errors import ParameterError, caller
from neurosim.recording import Spikes, WeightTrace
from neurosim.recording.plot import _readable
from neurosim.units import second

MOST_SPIKES, MOST_BINS, MOST_SAMPLES, MOST_TRACES, MOST_WEIGHTS = 1_200_000, 60_000, 120_000, 5, 60
MOST_CURVES, MOST_POINTS = 8, 5000
LEAST_INTERVALS, LEAST_SPIKES, LEAST_TIME, SEGMENT = 10, 100, 0.5, 0.5
"""Below these, a histogram of intervals and a spectrum (spikes, run in s) are noise; the segments of the latter, s."""


class Curve(NamedTuple):
    """A figure of one's own on the page of a run: a window of STDP, a loss over epochs.

    Attributes
    ----------
    title : str
        Above the figure.
    x : array
        Where the lines have their points, in the unit that ``xlabel`` names; finite numbers.
    lines : mapping of str to array
        Name -> values, as many as ``x`` has; NaN leaves a gap.
    xlabel, ylabel : str
        With units, as in ``"lag (ms)"``.
    """

    title: str
    x: Any
    lines: Mapping[str, Any]
    xlabel: str = ""
    ylabel: str = ""


def curves(given: Iterable[Curve]) -> list[dict[str, Any]]:
    """Return figures that somebody added, checked."""
    out = []
    for curve in given:
        x = np.asarray(curve.x, np.float64)
        lines = {name: np.asarray(y, np.float64) for name, y in curve.lines.items()}
        if x.ndim != 1 or not x.size or not np.isfinite(x).all() or any(y.shape != x.shape for y in lines.values()):
            shapes = ", ".join(f"'{name}' {y.shape}" for name, y in lines.items())
            raise ParameterError(f"curve '{curve.title}': x must be a row of finite numbers and each line as long as "
                                 f"it; x is {x.shape}, {shapes}", caller())  # fmt: skip
        if len(x) > MOST_POINTS:
            raise ParameterError(f"curve '{curve.title}' has {len(x):,} points; thin it out to {MOST_POINTS:,}",
                                 caller())  # fmt: skip
        if not 0 < len(lines) <= MOST_CURVES:
            raise ParameterError(f"curve '{curve.title}' has {len(lines)} lines; 1 to {MOST_CURVES} can be told apart",
                                 caller())  # fmt: skip
        out.append({"title": curve.title, "xlabel": curve.xlabel, "ylabel": curve.ylabel, "x": x.tolist(),
                    "lines": [{"name": name, "y": y.tolist()} for name, y in lines.items()]})  # fmt: skip
    return out


def packed(values: np.ndarray) -> str:
    """Return whole numbers that are not negative as base64 of LEB128: small ones take one byte."""
    left = np.asarray(values).astype(np.uint64)
    size = np.ones(len(left), np.int64)
    for bits in range(7, 64, 7):
        size += left >= np.uint64(1 << bits)
    out = np.zeros(int(size.sum()), np.uint8)
    at = np.cumsum(size) - size
    for k in range(int(size.max(initial=0))):
        mine = size > k
        more = (size[mine] > k + 1).astype(np.uint64) << np.uint64(7)
        out[at[mine] + k] = (left[mine] >> np.uint64(7 * k) & np.uint64(127) | more).astype(np.uint8)
    return base64.b64encode(out.tobytes()).decode()


def floats(values: np.ndarray) -> str:
    """Return numbers as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def readable(largest: float, symbol: str) -> tuple[float, str]:
    """Return the factor and unit in which numbers of this size are best read."""
    return _readable(largest, "" if symbol in ("1", "dimensionless") else symbol)


def start_step(result: Any) -> int:
    """Return the number of the first step that was run."""
    return min((s.start_step for s in result.spikes.values()), default=0)


def neurons(spikes: Spikes) -> int:
    """Return how many neurons were recorded."""
    return spikes.size if spikes.recorded is None else len(spikes.recorded)


# -- spikes ---------------------------------------------------------------------------------------------------------


def raster(result: Any, events: list[tuple[str, str, Spikes]], detail: float) -> tuple[list[dict[str, Any]], str]:
    """Return spikes and events, of all neurons or of evenly spread ones, each population's in one row of numbers.

    A number is ``step * rows + row``, and its difference to the one before is kept: two bytes a spike, mostly.
    """
    bands = [(name, name, spikes) for name, spikes in result.spikes.items()]
    for name, event, spikes in reversed(events):
        at = next((k for k, band in enumerate(bands) if band[1] == name), len(bands) - 1) + 1
        bands.insert(at, (f"{name}: {event}", name, spikes))
    total = sum(len(s) for _, _, s in bands)
    share = min(1.0, detail * MOST_SPIKES / max(1, total))
    out, shown, all_of_them, thinned = [], 0, 0, 1
    for label, name, spikes in bands:
        wanted = np.arange(spikes.size) if spikes.recorded is None else spikes.recorded
        count = min(len(wanted), max(1, int(20 * detail), int(share * len(wanted)))) if share < 1 else len(wanted)
        ids = wanted[np.unique(np.linspace(0, len(wanted) - 1, count).astype(np.int64))] if count else wanted
        mine = np.isin(spikes.ids, ids)
        row = np.searchsorted(ids, spikes.ids[mine])
        code = (spikes.steps[mine] - start_step(result)) * max(1, len(ids)) + row
        shown, all_of_them = shown + len(ids), all_of_them + len(wanted)
        every = max(1, -(-len(code) // max(1, int(detail * MOST_SPIKES))))  # a few neurons with very many spikes
        thinned, code = max(thinned, every), code[::every]
        out.append({"label": label, "name": name, "rows": len(ids), "of": len(wanted), "spikes": len(spikes),
                    "codes": packed(np.diff(code, prepend=0)), "ids": packed(np.diff(ids, prepend=0))})  # fmt: skip
    note = f"Spikes of {shown:,} of {all_of_them:,} neurons are drawn; all numbers are of all." if share < 1 else ""
    note += f" Of neurons with very many, one spike of {thinned} is drawn." if thinned > 1 else ""
    return out, note


def rates(result: Any, detail: float) -> list[dict[str, Any]]:
    """Return the rate of each population over time: of its spikes, or of the probe "rate" where these are missing."""
    p, out = result.provenance, []
    most = max(50, int(detail * min(4000, MOST_BINS / max(1, len(result.populations)))))
    width = max(1, _round_up(max(1e-3, p.n_steps * p.dt / most), p.dt))
    for name in result.populations:
        spikes, trace = result.spikes.get(name), result.population_rates.get(name)
        if spikes is not None and p.n_steps >= width:
            counts = np.bincount((spikes.steps - spikes.start_step) // width, minlength=1)[: p.n_steps // width]
            counts = np.pad(counts, (0, p.n_steps // width - len(counts)))
            out.append({"name": name, "width": width * p.dt, "counts": packed(counts),
                        "to_rate": 1.0 / (max(1, neurons(spikes)) * width * p.dt)})  # fmt: skip
        elif spikes is None and trace is not None and len(trace):
            few = max(1, -(-len(trace) // most))
            values = trace.values[: len(trace) // few * few].reshape(-1, few).mean(axis=1)
            out.append({"name": name, "width": few * trace.bin, "values": floats(values)})
    return out


def _round_up(seconds: float, dt: float) -> int:
    """Return the next width of a bin that people would choose (1, 2, 5, 10, ... ms), in steps."""
    for exponent in range(-6, 9):
        for lead in (1, 2, 5):
            steps = lead * 10.0**exponent / dt
            if steps * dt >= seconds * 0.9999 and steps >= 0.999:
                return max(1, round(steps))
    return max(1, math.ceil(seconds / dt))


# -- variables ------------------------------------------------------------------------------------------------------


def traces(result: Any, events: list[tuple[str, str, Spikes]], detail: float) -> list[dict[str, Any]]:
    """Return recorded variables of up to five neurons; where there are too many samples, the extremes of every few."""
    counted = {(name, event) for name, event, _ in events}
    found = [(name, var, trace) for name, held in result.state.items() for var, trace in held.items()
             if trace.values.size and (name, var) not in counted]  # fmt: skip
    room = max(200, int(detail * MOST_SAMPLES / max(1, sum(min(MOST_TRACES, len(t.ids)) for _, _, t in found))))
    out = []
    for name, var, trace in found:
        ids = np.unique(np.linspace(0, len(trace.ids) - 1, min(MOST_TRACES, len(trace.ids))).astype(np.int64))
        values, times, every = np.asarray(trace.values)[:, ids].astype(np.float64), np.asarray(trace.times), 1
        if len(times) > room:
            every = -(-2 * len(times) // room)
            values, times = _extremes(values, times, every)
        finite = values[np.isfinite(values)]
        factor, unit = readable(float(np.max(np.abs(finite), initial=0.0)), trace.unit)
        steps = np.diff(times)
        even = len(times) < 2 or bool(np.allclose(steps, steps[0], rtol=1e-6))
        out.append({"name": name, "variable": var, "unit": unit, "ids": [int(i) for i in np.asarray(trace.ids)[ids]],
                    "of": len(trace.ids), "every": every, "from": float(times[0]),
                    "step": float(steps[0]) if even and len(steps) else 0.0,
                    "at": None if even else base64.b64encode(times.astype("<f8").tobytes()).decode(),
                    "values": [floats(values[:, k] * factor) for k in range(len(ids))]})  # fmt: skip
    return out


def _extremes(values: np.ndarray, times: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest of every few samples, in the order in which they came: no peak is lost."""
    bins = len(times) // every
    held = values[: bins * every].reshape(bins, every, -1)
    known = np.where(np.isfinite(held), held, np.nanmin(held[np.isfinite(held)], initial=0.0))
    low, high = known.argmin(axis=1), known.argmax(axis=1)
    pair = np.sort(np.stack([low, high], axis=1), axis=1)
    out = np.take_along_axis(held, pair, axis=1).reshape(2 * bins, -1)
    step = float(times[1] - times[0]) * every
    return out, float(times[0]) + (np.arange(2 * bins) + 0.5) * step / 2


# -- statistics -----------------------------------------------------------------------------------------------------


def intervals(result: Any) -> list[dict[str, Any]]:
    """Return the density of the intervals between spikes up to their 99th percentile, in bins of whole steps."""
    out = []
    for name, spikes in result.spikes.items():
        gaps = np.rint(analysis.isi(spikes) / spikes.dt).astype(np.int64)
        if len(gaps) < LEAST_INTERVALS:
            continue
        longest = int(np.quantile(gaps, 0.99)) + 1
        width = -(-longest // 60)
        bins = -(-longest // width)
        counts = np.bincount(gaps[gaps < bins * width] // width, minlength=bins)
        ms = spikes.dt * 1e3
        low, middle, high = (float(np.quantile(gaps, q)) * ms for q in (0.05, 0.5, 0.95))
        out.append({"name": name, "width": width * ms, "y": [_short(c / (len(gaps) * width * ms)) for c in counts],
                    "number": len(gaps), "median": middle, "low": low, "high": high})  # fmt: skip
    return out


def spectra(result: Any) -> list[dict[str, Any]]:
    """Return the power spectrum of each population's rate from 2 to 250 Hz, relative to that of a Poisson process."""
    p, out = result.provenance, []
    if p.n_steps * p.dt < LEAST_TIME:
        return []
    for name, spikes in result.spikes.items():
        if len(spikes) < LEAST_SPIKES:
            continue
        trace = analysis.population_rate(spikes, bin=max(1, round(1e-3 / p.dt)) * p.dt * second)
        found = analysis.power_spectrum(trace, segment=min(SEGMENT, p.n_steps * p.dt / 2) * second)
        freq, power = np.asarray(found.freqs), np.asarray(found.psd) * neurons(spikes) / (2 * analysis.rate(spikes))
        keep = (freq >= 2.0) & (freq <= 250.0) & np.isfinite(power)
        if keep.any():
            freq, power = freq[keep], power[keep]
            best = int(np.argmax(power))
            out.append({"name": name, "x": [_short(f) for f in freq], "y": [_short(v) for v in power],
                        "peak": float(freq[best]), "power": float(power[best])})  # fmt: skip
    return out


def _short(x: float) -> float:
    return float(f"{x:.4g}")


def weights(result: Any) -> list[dict[str, Any]]:
    """Return, for recorded weights, histograms over time."""
    out = []
    for name, trace in result.weight_traces.items():
        values = np.asarray(trace.values, dtype=np.float64)
        if not values.size:
            continue
        rows = np.unique(np.linspace(0, len(values) - 1, min(MOST_WEIGHTS, len(values))).astype(np.int64))
        finite = values[rows][np.isfinite(values[rows])]
        factor, unit = readable(float(np.max(np.abs(finite), initial=0.0)), trace.unit)
        low, high = (float(np.min(finite)) * factor, float(np.max(finite)) * factor) if finite.size else (0.0, 0.0)
        high = high if high > low else low + 1.0
        shown = WeightTrace(unit, trace.edges, np.asarray(trace.times)[rows], values[rows] * factor)
        counts = analysis.weight_histogram(shown, 50, low, high).fractions
        out.append({"name": name, "unit": unit, "low": low, "high": high, "edges": values.shape[1],
                    "at": shown.times.tolist(), "counts": [[_short(c) for c in row] for row in counts.tolist()],
                    "mean": (values[rows].mean(axis=1) * factor).tolist()})  # fmt: skip
    return out

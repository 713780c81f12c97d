"""A comparison as text of 80 columns, and as what JSON can hold."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.comparison.distance import TAU

MOST_ROWS = 30

VERDICTS = {
    "E0": "identical spikes",
    "E1": "identical until a tie in floating point, then alike in statistics",
    "R": "different spikes, alike in statistics",
    "DIFFERENT": "different spikes, and not alike in statistics either",
    "NOT RUN": "not compared",
}
_STYLES = {"E0": "bold green", "E1": "bold green", "R": "bold yellow", "DIFFERENT": "bold red", "NOT RUN": "bold red"}
_KINDS = {"tie": "a tie in floating point", "model": "a choice of the model", "fault": "a fault",
          "unexplained": "not explained"}  # fmt: skip


def show(comparison: Any, out: Console) -> None:
    """Print the network, what ran, one table per pair, and the verdict."""
    graph = comparison.graph
    neurons = f"{graph.size:,} neuron" + ("s" if graph.size != 1 else "")
    out.print(Text.assemble((graph.name, "bold"), "  ", " · ".join(
        [neurons, f"{comparison.duration:.6g} s", f"dt {graph.dt * 1e3:.6g} ms", f"seed {graph.seed}", graph.precision,
         *(f"{k} = {v}" for k, v in comparison.overrides.items())])))  # fmt: skip
    for side in comparison.sides:
        if side.refusal:
            _line(out, f"{side.label}: not run: {side.refusal}")
        else:
            p = side.result.provenance
            told = f"{p.backend_version}, " if p.backend_version else ""
            out.print(Text.assemble((side.label, "bold"), f": {told}{p.threads} thread{'s' * (p.threads != 1)}, "
                                    f"simulated in {p.wall_simulate_s:.3g} s"))  # fmt: skip
    for pair in comparison.pairs:
        if pair.verdict != "NOT RUN":
            _pair(pair, graph, out)
    out.print()
    for name in {name: None for side in comparison.sides for name in side.metrics}:
        _line(out, f"{name}: " + ", ".join(f"{s.label} {s.metrics[name]:.6g}" for s in comparison.sides
                                           if name in s.metrics))  # fmt: skip
    for pair in comparison.pairs:
        if pair.verdict != "NOT RUN":
            out.print(Text.assemble((f"{pair.verdict:<9}", _STYLES[pair.verdict]), f"  {pair.label}: {says(pair)}"))
    for side in comparison.sides:
        if side.refusal:
            lost = sum(side in (p.a, p.b) for p in comparison.pairs)
            out.print(Text.assemble(("NOT RUN", _STYLES["NOT RUN"]), f"    {side.label}: {lost} pair"
                                    f"{'s' * (lost != 1)} not compared"))  # fmt: skip


def says(pair: Any) -> str:
    """Return the verdict of a pair in words."""
    text = VERDICTS[pair.verdict]
    if pair.verdict == "NOT RUN":
        lost = [s.label for s in (pair.a, pair.b) if s.refusal]
        return f"{text}: {' and '.join(lost)} did not run"
    if pair.verdict == "R" and pair.accepted:
        return f"{text}, which is all that is asked of an approximate backend"
    if pair.verdict == "DIFFERENT" and pair.diagnosis is not None and pair.diagnosis.kind == "tie":
        return "identical until a tie in floating point, but not alike in statistics after it"
    return text


def _pair(pair: Any, graph: Any, out: Console) -> None:
    out.print()
    out.print(Text.assemble((pair.label, "bold"), "  ", (pair.verdict, _STYLES[pair.verdict]), f"  {says(pair)}"))
    rows = pair.populations
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda r: -(r.spikes.only_a + r.spikes.only_b))[:MOST_ROWS]
    if pair.identical:
        _print(out, ["spikes", "rate Hz", "CV ISI", "synchrony"], [r.population for r in rows],
               [[f"{r.spikes.common:,}", _number(r.a.rate), _number(r.a.cv_isi), _number(r.a.synchrony)]
                for r in rows])  # fmt: skip
    else:
        short = _short(pair)
        _print(out, ["common", f"only {short[0]}", f"only {short[1]}", "rate Hz", "rate Hz"],
               [r.population for r in rows], [[f"{r.spikes.common:,}", f"{r.spikes.only_a:,}", f"{r.spikes.only_b:,}",
                                               _number(r.a.rate), _number(r.b.rate)] for r in rows])  # fmt: skip
        _print(out, ["CV", "CV", "sync", "sync", "KS", "limit", "distance"], [r.population for r in rows],
               [[*(_number(x) for x in (r.a.cv_isi, r.b.cv_isi, r.a.synchrony, r.b.synchrony, r.ks, r.ks_limit)),
                 "–" if r.distance is None else _number(r.distance.value)] for r in rows])  # fmt: skip
        out.print(Text(f"pairs of columns: {pair.a.label}, {pair.b.label}", style="dim"))
    if len(pair.populations) > len(rows):
        out.print(Text(f"and {len(pair.populations) - len(rows)} more populations (--json has all)", style="dim"))
    for line in measures(pair):
        _line(out, line)
    if pair.difference is not None:
        for line in diagnosis_lines(pair):
            _line(out, line, "bold" if line.startswith("=>") else "")


def measures(pair: Any) -> list[str]:
    """Return the lines below the numbers of a pair: distances, recorded variables, what keeps it out of class R."""
    out = []
    if pair.distance_missing:
        out.append(f"distance: needs Elephant: {pair.distance_missing}")
    sampled = [r.distance for r in pair.populations if r.distance is not None]
    if sampled:
        most = max(d.neurons for d in sampled)
        out.append(f"distance: van Rossum, {TAU * 1e3:g} ms, mean of up to {most} neurons a population")
    for t in pair.traces:
        unit = "" if t.unit in ("1", "dimensionless") else f" {t.unit}"
        what = "edge" if t.edge else "neuron"
        if t.largest == 0:
            out.append(f"{t.variable} of '{t.target}': the same bits" if pair.identical else
                       f"{t.variable} of '{t.target}': the same")  # fmt: skip
        else:
            out.append(f"{t.variable} of '{t.target}': at most {t.largest:.3g}{unit} apart ({what} {t.index}, "
                       f"t = {t.time * 1e3:.6g} ms)")  # fmt: skip
    return [*out, *(f"not in class R: {line}" for line in pair.unlike)]


def diagnosis_lines(pair: Any) -> list[str]:
    """Return what is known of the first difference, in lines."""
    d, at, a, b = pair.diagnosis, pair.difference, pair.a.label, pair.b.label
    firing = a if at.only_in == "a" else b
    out = [f"first difference: {at}: only {firing} spikes"]
    wide = max(len(a), len(b))
    for var, (x, y, unit) in d.before.items():
        out += _two(f"  {var} before the step", a, b, x, y, unit, wide)
    for receptor, value in d.arrived.items():
        out.append(f"  arrives at '{receptor}': {value:.6g} (the same on both)")
    t = d.threshold
    if t is not None:
        ways = {"recorded": "recorded", "evaluated": "evaluated", "bound": "at least the threshold, as it spiked"}
        unit = _unit(t.unit)
        out.append(f"  compared: {t.text}")
        for name, left, right, own in ((a, t.left_a, t.right_a, t.own_a), (b, t.left_b, t.right_b, t.own_b)):
            out.append(f"    {name:<{wide}}  {left!r}{unit} with {right!r}{unit} ({ways[own]})")
        out.append(f"    |v_a - v_b| = {t.apart:.3g}, a tie up to {1e-9 * t.scale:.3g} (1e-9 of {t.scale_text})")
    if d.state is not None:
        s = d.state
        out.append(f"states part first after step {s.step}, in '{s.variable}' of neuron {s.neuron} of "
                   f"'{s.population}':")  # fmt: skip
        out += _two("", a, b, s.a, s.b, s.unit, wide)
    for name, finding in zip((a, b), d.findings, strict=True):
        if finding is not None and not finding.follows:
            out.append(f"{name}: {finding.bad:,} of {finding.lanes:,} steps looked at do not follow the program, first "
                       f"step {finding.step}: {finding.variable} = {finding.recorded!r}, not "
                       f"{finding.expected!r}")  # fmt: skip
    for name, same in zip((a, b), d.repeats, strict=True):
        if not same:
            out.append(f"{name} gave other spikes when it was run once more")
    out += [f"note: {note}" for note in d.notes]
    out.append(f"=> {_KINDS[d.kind]}: {d.hint}")
    return out


def _two(what: str, a: str, b: str, x: float, y: float, unit: str, wide: int) -> list[str]:
    if x == y and what:
        return [f"{what}: {x!r}{_unit(unit)} on both"]
    head = [f"{what}: {abs(x - y):.3g}{_unit(unit)} apart"] if what else []
    return [*head, f"    {a:<{wide}}  {x!r}{_unit(unit)}", f"    {b:<{wide}}  {y!r}{_unit(unit)}"]


def _line(out: Console, line: str, style: str = "") -> None:
    """Print a line; what does not fit goes on below, further in."""
    inner = len(line) - len(line.lstrip()) + 4
    parts = textwrap.wrap(line, out.width, subsequent_indent=" " * inner, break_on_hyphens=False)
    out.print(Text("\n".join(parts), style), no_wrap=True)


def _short(pair: Any) -> tuple[str, str]:
    """Return names that fit a column: the backend's, or A and B where they are equal."""
    if pair.a.backend == pair.b.backend:
        return "A", "B"
    return pair.a.backend[:9], pair.b.backend[:9]


def _print(out: Console, heads: list[str], names: list[str], cells: list[list[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("population", overflow="ellipsis", max_width=20, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, row in zip(names, cells, strict=True):
        table.add_row(name, *row)
    out.print(table)


def _number(x: float) -> str:
    return "–" if not math.isfinite(x) else f"{x:.3f}" if x < 10 else f"{x:.2f}" if x < 100 else f"{x:.1f}"


def _unit(unit: str) -> str:
    return "" if unit in ("", "1", "dimensionless") else f" {unit}"


def as_dict(comparison: Any) -> dict[str, Any]:
    """Return a comparison as plain numbers, texts, lists and dicts."""
    graph = comparison.graph
    return plain({
        "network": graph.name, "neurons": graph.size, "duration_s": comparison.duration, "dt_s": graph.dt,
        "seed": graph.seed, "precision": graph.precision, "verdict": comparison.verdict, "agrees": comparison.agrees,
        "backends": [
            {"label": s.label, "backend": s.backend, "options": s.options, "approximate": s.approximate,
             "refusal": s.refusal or None, "metrics": s.metrics,
             "provenance": None if s.result is None else dataclasses.asdict(s.result.provenance)}
            for s in comparison.sides],
        "pairs": [_pair_dict(p) for p in comparison.pairs],
    })  # fmt: skip


def _pair_dict(pair: Any) -> dict[str, Any]:
    d, at = pair.diagnosis, pair.difference
    out = {
        "a": pair.a.label, "b": pair.b.label, "verdict": pair.verdict, "accepted": pair.accepted,
        "identical": pair.identical, "not_in_class_R": pair.unlike,
        "populations": {
            r.population: {
                "neurons": r.neurons, **{k: v for k, v in r.spikes._asdict().items()}, "a": r.a._asdict(),
                "b": r.b._asdict(), "ks": r.ks, "ks_limit": r.ks_limit,
                "van_rossum": None if r.distance is None else r.distance._asdict()}
            for r in pair.populations},
        "traces": [t._asdict() for t in pair.traces],
        "distance_needs": pair.distance_missing,
    }  # fmt: skip
    if d is not None:
        out["first_difference"] = {
            **dataclasses.asdict(at), "t_s": at.t, "kind": d.kind, "hint": d.hint, "state_before": d.before,
            "arrived": d.arrived, "state_difference": None if d.state is None else dataclasses.asdict(d.state),
            "threshold": None if d.threshold is None else {
                **dataclasses.asdict(d.threshold), "apart": d.threshold.apart, "tie": d.threshold.tie},
            "follows": [None if f is None else dataclasses.asdict(f) for f in d.findings],
            "repeats": d.repeats, "notes": d.notes,
        }  # fmt: skip
    return out


def plain(x: Any) -> Any:
    """Turn what NumPy and NaN there is into what JSON can hold."""
    if isinstance(x, dict):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x

"""From outcomes to the tables that are read: medians, ratios to ours, and whether the work was equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.measure import OURS, Case, Config, Outcome
from benchmarks.networks import NETWORKS

SYNAPSE_TOLERANCE = 0.02

HEADER = (
    *("network", "engine/threads", "runs", "build s", "compile s", "simulate s", "(min)", "RTF", "cold s", "warm s"),
    *("exc Hz", "inh Hz", "spikes", "synapses", "sim/ours", "warm/ours"),
)


class Row(NamedTuple):
    """Medians of one config on one case; None where there is no such figure."""

    case: Case
    config: Config
    runs: int
    problem: str
    build_s: float | None = None
    compile_s: float | None = None
    """Of the cold runs; a warm one compiles nothing."""
    simulate_s: float | None = None
    simulate_min_s: float | None = None
    rtf: float | None = None
    """Wall seconds of simulating per biological second."""
    cold_s: float | None = None
    warm_s: float | None = None
    rates: dict[str, float] | None = None
    spikes: float | None = None
    synapses: float | None = None
    simulate_ratio: float | None = None
    """This over ours with the same number of threads, paired repeat by repeat; likewise ``process_ratio``."""
    process_ratio: float | None = None


def _median(values: Iterable[float]) -> float | None:
    values = list(values)
    return median(values) if values else None


def _paired_ratio(
    theirs: Sequence[Outcome], ours: Sequence[Outcome], figure: Callable[[Outcome], float]
) -> float | None:
    """Median over repeats of ``theirs / ours``, which a change of the machine's load hardly moves."""
    by_repeat = {(outcome.repeat, outcome.cache): figure(outcome) for outcome in ours}
    pairs = [(figure(outcome), by_repeat.get((outcome.repeat, outcome.cache))) for outcome in theirs]
    return _median(their / our for their, our in pairs if our)


def _partner(config: Config, good: dict[Config, list[Outcome]]) -> list[Outcome]:
    """Our outcomes with the same number of threads, or with the nearest."""
    ours = [candidate for candidate in good if candidate.engine == OURS]
    if not ours:
        return []
    return good[min(ours, key=lambda candidate: abs(candidate.threads - config.threads))]


def _simulate(outcome: Outcome) -> float:
    return float(outcome.values["simulate_s"])


def summarise(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row for each config on each case, in the order in which they first ran."""
    rows = []
    for case in dict.fromkeys(outcome.case for outcome in outcomes):
        configs: dict[Config, list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.case == case:
                configs.setdefault(outcome.config, []).append(outcome)
        good = {config: [o for o in runs if o.status == "ok"] for config, runs in configs.items()}
        good = {config: runs for config, runs in good.items() if runs}
        for config, runs in configs.items():
            bad = [outcome for outcome in runs if outcome.status != "ok"]
            problem = f"{bad[0].status}: {bad[0].message}" if bad else ""
            if config not in good:
                rows.append(Row(case, config, 0, problem))
            else:
                rows.append(_row(case, config, problem, good[config], _partner(config, good)))
    return rows


def _row(case: Case, config: Config, problem: str, runs: list[Outcome], ours: list[Outcome]) -> Row:
    cold = [outcome for outcome in runs if outcome.cache == "cold"]
    warm = [outcome for outcome in runs if outcome.cache == "warm"]
    measured = [outcome for outcome in runs if outcome.values]
    row = Row(
        case,
        config,
        len(runs),
        problem,
        cold_s=_median(outcome.process_s for outcome in cold),
        warm_s=_median(outcome.process_s for outcome in warm),
        process_ratio=_paired_ratio(warm, ours, lambda outcome: outcome.process_s),
    )
    if not measured:
        return row
    simulate_s = median(map(_simulate, measured))
    names = measured[0].values["rates"]
    return row._replace(
        build_s=median(outcome.values["build_s"] for outcome in measured),
        compile_s=_median(outcome.values["compile_s"] for outcome in measured if outcome.cache == "cold"),
        simulate_s=simulate_s,
        simulate_min_s=min(map(_simulate, measured)),
        rtf=simulate_s / (case.duration_ms / 1000.0),
        rates={name: median(outcome.values["rates"][name] for outcome in measured) for name in names},
        spikes=median(outcome.values["spikes"] for outcome in measured),
        synapses=median(outcome.values["synapses"] for outcome in measured),
        simulate_ratio=_paired_ratio(measured, [outcome for outcome in ours if outcome.values], _simulate),
    )


def _figure(value: float | None, digits: int = 3) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _cells(row: Row) -> list[str]:
    rates = row.rates or {}
    return [
        str(row.case),
        str(row.config),
        str(row.runs),
        *(_figure(value) for value in (row.build_s, row.compile_s, row.simulate_s, row.simulate_min_s, row.rtf)),
        *(_figure(value) for value in (row.cold_s, row.warm_s)),
        *(_figure(rates.get(name)) for name in ("exc", "inh")),
        *(_figure(value) for value in (row.spikes, row.synapses)),
        *(_figure(value) for value in (row.simulate_ratio, row.process_ratio)),
    ]


def format_table(rows: Sequence[Row]) -> str:
    """The table as text. A config without a single good run keeps its line, with the reason in place of figures."""
    lines = [list(HEADER)] + [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    for index, line in enumerate(lines):
        named, figures = zip(line[:2], widths[:2], strict=True), zip(line[2:], widths[2:], strict=True)
        padded = [cell.ljust(width) for cell, width in named] + [cell.rjust(width) for cell, width in figures]
        problem = rows[index - 1].problem if index else ""
        if index and rows[index - 1].runs == 0:
            padded = [*padded[:2], problem]
        elif problem:
            padded.append(problem)
        if index and (index == 1 or rows[index - 1].case != rows[index - 2].case):
            text.append("-" * (sum(widths) + 2 * len(widths) - 2))
        text.append("  ".join(padded).rstrip())
    return "\n".join(text)


def unequal_work(rows: Sequence[Row]) -> list[str]:
    """Sentences about rates and synapse counts which say that two engines did not run the same network.

    A rate is compared with the median over configs. Every engine draws its own connections, so that it may differ by
    `Network.tolerance_hz`; the inhibitory rate, which the feedback pins down, is the sharper test of the two.
    """
    found = []
    for case in dict.fromkeys(row.case for row in rows):
        network = NETWORKS[case.network]
        same = [row for row in rows if row.case == case and row.rates]
        for name in dict.fromkeys(name for row in same for name in row.rates or ()):
            middle = median(row.rates[name] for row in same if row.rates)
            allowed = network.tolerance_hz(name, middle, case.duration_ms)
            for row in same:
                rate = (row.rates or {})[name]
                if abs(rate - middle) > allowed:
                    found.append(
                        f"{case}: {row.config} {name} {rate:.2f} Hz, median of all {middle:.2f} +- {allowed:.2f} Hz"
                    )
        low, high = network.expected_hz
        for row in same if case.duration_ms >= network.duration_ms else ():
            mean = (row.spikes or 0.0) / case.size / (case.duration_ms / 1000.0)
            if not low <= mean <= high:
                found.append(f"{case}: {row.config} {mean:.2f} Hz over all neurons, expected {low:g} to {high:g} Hz")
        if same:
            middle = median(row.synapses or 0 for row in same)
            for row in same:
                if abs((row.synapses or 0) - middle) > SYNAPSE_TOLERANCE * middle:
                    found.append(f"{case}: {row.config} {row.synapses:,.0f} synapses, median of all {middle:,.0f}")
    return found


def best_against_best(rows: Sequence[Row]) -> list[str]:
    """For each case, our fastest config against the fastest peer: simulating, and the warm whole process.

    The fastest single runs are compared as well as the medians: barriers that spin (NEST's, OpenMP's) make two threads
    ten times slower when another process wants the core, and that must not be counted for us.
    """
    sentences = []
    for case in dict.fromkeys(row.case for row in rows):
        for title, figure in (
            ("simulate", "simulate_s"),
            ("simulate, fastest run", "simulate_min_s"),
            ("process, warm", "warm_s"),
        ):
            timed = [row for row in rows if row.case == case and getattr(row, figure) is not None]
            ours = [row for row in timed if row.config.engine == OURS]
            peers = [row for row in timed if row.config.engine != OURS]
            if not peers:
                continue
            peer = min(peers, key=lambda row: getattr(row, figure))
            sentence = f"{case}, {title}: best peer {peer.config} {_figure(getattr(peer, figure))} s"
            if ours:
                our = min(ours, key=lambda row: getattr(row, figure))
                ratio = getattr(peer, figure) / getattr(our, figure)
                sentence += f", ours {our.config} {_figure(getattr(our, figure))} s: ratio {_figure(ratio)}"
            else:
                sentence += ", ours not measured"
            sentences.append(sentence)
    return sentences


def as_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as dictionaries for the JSON file."""
    return [
        row._asdict() | {"case": str(row.case), "config": str(row.config), "duration_ms": row.case.duration_ms}
        for row in rows
    ]

"""One network on several backends, pair by pair: identical, apart by a tie, alike in statistics, or different."""

from __future__ import annotations

import copy
import functools
import io
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from neurosim import registry
from neurosim.analysis import isi, ks_isi
from neurosim.analysis.agreement import (
    CLASSES,
    Difference,
    Overlap,
    Statistics,
    agree_statistically,
    first_difference,
    ks_limit,
    overlap,
    statistics,
)
from neurosim.comparison import distance as distances
from neurosim.comparison.diagnosis import Diagnosis, diagnose
from neurosim.comparison.integers import Integers, accounts
from neurosim.compile import compile_network
from neurosim.errors import BackendMissingError, DivergedError, NeurosimError, ParameterError, caller, suggest
from neurosim.ir.graph import Graph
from neurosim.lang.network import Network, Probe
from neurosim.registry import load_backend
from neurosim.run import simulate
from neurosim.units import TIME, Quantity

NOT_RUN = "NOT RUN"
"""The verdict of a pair of which one side did not run to the end."""

_ORDER = (*CLASSES, NOT_RUN)
_YES = ("1", "true", "yes", "on")


@dataclass(eq=False)
class Side:
    """One backend with its options, and what came of it.

    Attributes
    ----------
    label : str
        As the user wrote it: ``native``, ``brian2:mode=standalone``.
    backend : str
        Its name in the registry.
    options : dict
        Keywords of the run.
    approximate : bool
        Whether agreement in statistics is all that is asked of it.
    result : RunResult or None
        The run, unless it was refused.
    refusal : str
        Why it did not run, or not to the end; empty where it did.
    metrics : dict
        Name -> what the function of ``compare``'s ``metrics`` returned for it.
    """

    label: str
    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    approximate: bool = False
    result: Any = None
    refusal: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def in_integers(self) -> bool:
        """Whether its backend computes in a chip's integers."""
        entry = registry.backends().get(self.backend)
        return entry is not None and entry.integers


class PopulationRow(NamedTuple):
    """One population in a pair; the distance is None where the pair is identical or Elephant is missing."""

    population: str
    neurons: int
    spikes: Overlap
    a: Statistics
    b: Statistics
    ks: float
    ks_limit: float
    distance: distances.Distance | None


class TraceRow(NamedTuple):
    """The largest difference of a recorded variable (or of weights): SI, its unit, where, and the variable's size."""

    target: str
    variable: str
    unit: str
    largest: float
    size: float
    index: int
    time: float
    edge: bool = False


@dataclass(eq=False)
class Pair:
    """Two backends compared.

    Attributes
    ----------
    a, b : Side
        The two.
    verdict : str
        ``E0``, ``E1``, ``R``, ``DIFFERENT`` (docs/semantics.md), or ``NOT RUN``.
    difference : Difference or None
        The first differing spike.
    diagnosis : Diagnosis or None
        What lies behind it.
    unlike : list of str
        What keeps the two out of class R.
    populations, traces : list
        Rows of numbers.
    distance_missing : str or None
        The line that installs what computes distances, where it is not there.
    """

    a: Side
    b: Side
    verdict: str
    difference: Difference | None = None
    diagnosis: Diagnosis | None = None
    unlike: list[str] = field(default_factory=list)
    populations: list[PopulationRow] = field(default_factory=list)
    traces: list[TraceRow] = field(default_factory=list)
    distance_missing: str | None = None

    @property
    def label(self) -> str:
        """Both names."""
        return f"{self.a.label} – {self.b.label}"

    @property
    def identical(self) -> bool:
        """Whether all spikes are the same."""
        return self.verdict == "E0"

    @property
    def accepted(self) -> bool:
        """Whether the pair agrees as far as is asked of it: E0, E1, or R where a side is declared approximate."""
        return self.verdict in ("E0", "E1") or (self.verdict == "R" and (self.a.approximate or self.b.approximate))

    @property
    def says(self) -> str:
        """The verdict in words."""
        from neurosim.comparison.table import says

        return says(self)

    def measures(self) -> list[str]:
        """Return what stands below the tables: distances, recorded variables, what keeps the pair out of class R."""
        from neurosim.comparison.table import measures

        return measures(self)

    def lines(self) -> list[str]:
        """Return what is known of the first difference in lines, the last of which says what it is; none if equal."""
        from neurosim.comparison.table import diagnosis_lines

        return diagnosis_lines(self) if self.diagnosis is not None else []


@dataclass(eq=False)
class Comparison:
    """What came of comparing backends on one network.

    Attributes
    ----------
    graph : Graph
        The network, compiled.
    duration : float
        Biological time, s.
    sides : list of Side
        Backends in the order in which they were named.
    pairs : list of Pair
        Every two of them.
    overrides : dict
        What ``--set`` changed.
    """

    graph: Graph
    duration: float
    sides: list[Side]
    pairs: list[Pair]
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst verdict of all pairs."""
        return max((p.verdict for p in self.pairs), key=_ORDER.index, default=NOT_RUN)

    @property
    def agrees(self) -> bool:
        """Whether every pair agrees as far as is asked of it (``neurosim compare`` ends with 0 then, else with 3)."""
        return bool(self.pairs) and all(p.accepted for p in self.pairs)

    @functools.cached_property
    def integers(self) -> list[Integers]:
        """What a chip's integers did to the network: an account for each way to them that the backends took.

        It is made when it is first asked for, by one more run in integers, whose cells count their overflows.
        """
        return accounts(self)

    def pair(self, a: str, b: str) -> Pair:
        """Return the pair of two labels, in either order."""
        for pair in self.pairs:
            if {a, b} == {pair.a.label, pair.b.label} or (pair.a.label, pair.b.label) == (a, b):
                return pair
        known = ", ".join(s.label for s in self.sides)
        raise ParameterError(f"no pair of '{a}' and '{b}' was compared; the backends are {known}", caller())

    def table(self, width: int = 80) -> str:
        """Return what ``neurosim compare`` prints, as plain text."""
        from rich.console import Console

        from neurosim.comparison.table import show

        out = Console(file=io.StringIO(), width=width, highlight=False, color_system=None, force_terminal=False)
        show(self, out)
        return out.file.getvalue()  # type: ignore[attr-defined]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers, texts, lists and dicts, as ``--json`` prints it."""
        from neurosim.comparison.table import as_dict

        return as_dict(self)

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML file that needs no network: verdict, tables, rasters, the state around the difference.

        Where a backend computes in a chip's integers, the file says first what these did to the network.

        Raises
        ------
        ResultFileError
            If it cannot be written; says why.
        """
        from neurosim.report.comparison import write

        write(self, path)

    def __repr__(self) -> str:
        return f"Comparison('{self.graph.name}', {', '.join(f'{p.label}: {p.verdict}' for p in self.pairs)})"


def compare(network: Network, duration: Quantity, backends: Iterable[str | tuple[str, Mapping[str, Any]]] = (
        "native", "reference"), *, precision: str = "double", weight_bits: int | None = None, progress: bool = False,
        overrides: Mapping[str, str] | None = None,
        metrics: Mapping[str, Callable[[Any], float]] | None = None) -> Comparison:  # fmt: skip
    """Run a network on several backends and compare every two of them.

    Parameters
    ----------
    network : Network
        What to run; it is not changed. All spikes of all populations are recorded, besides what its probes name.
    duration : Quantity
        Biological time, a whole number of steps.
    backends : iterable of str or (str, mapping)
        At least two: names, with options as in ``"brian2:mode=standalone"`` or ``("native", {"threads": 2})``. The
        option ``approximate=yes`` says that agreement in statistics is enough for a backend.
    precision, weight_bits
        As :func:`neurosim.run.simulate` takes them, the same for all.
    progress : bool
        Whether each run shows a bar.
    overrides : mapping, optional
        Kept in the provenance (what ``--set`` changed).
    metrics : mapping of str to callable, optional
        Measures of what the network is for, such as its accuracy: each gets the :class:`~neurosim.recording.RunResult`
        of a backend, with the spikes of all populations, and returns a number.

    Returns
    -------
    Comparison
        A backend that refuses the network, is not installed or fails is part of it, with the reason.

    Raises
    ------
    UnknownNameError
        A name that no backend has.
    ParameterError
        Fewer than two backends, or an option that a backend does not have.
    """
    where = caller()
    sides = _sides(backends, where)
    graph = compile_network(network, precision=precision, weight_bits=weight_bits)
    seconds = duration.value if isinstance(duration, Quantity) else float("nan")
    common = {"precision": precision, "weight_bits": weight_bits, "overrides": overrides}
    full = copy.copy(network)
    kept = [p for p in network.probes if p.variable not in ("spikes", "rate")]
    full.probes = [*(Probe(name, "spikes", None, None, network.where) for name in network.populations), *kept]
    for side in sides:
        _run(side, full, duration, {**common, "progress": progress or None})
        if side.result is not None and not side.refusal:
            side.metrics = {name: _metric(name, measure, side) for name, measure in (metrics or {}).items()}
    pairs = [_pair(graph, network, a, b, common) for a, b in itertools.combinations(sides, 2)]
    return Comparison(graph, float(seconds), sides, pairs, dict(overrides or {}))


def parse_side(text: str) -> tuple[str, dict[str, str]]:
    """Read ``name`` or ``name:key=value:key=value``."""
    name, *pairs = text.strip().split(":")
    options = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip() or not value.strip():
            raise ParameterError(f"'{text}': an option of a backend is written NAME:KEY=VALUE, such as "
                                 "brian2:mode=standalone")  # fmt: skip
        options[key.strip()] = value.strip()
    return name.strip(), options


def _sides(backends: Iterable[Any], where: str | None) -> list[Side]:
    """Read what the user named, and refuse what no backend knows before anything runs."""
    given = [backends] if isinstance(backends, str) else list(backends)
    out: list[Side] = []
    for one in given:
        name, options = parse_side(one) if isinstance(one, str) else (str(one[0]), dict(one[1]))
        label = ":".join([name, *(f"{k}={v}" for k, v in options.items())])
        times = sum(s.label.split(" (")[0] == label for s in out)
        out.append(_side(name, options, f"{label} ({times + 1})" if times else label, where))
    if len(out) < 2:
        raise ParameterError("a comparison needs two backends or more: backends=['native', 'reference']", where)
    return out


def _side(name: str, options: dict[str, Any], label: str, where: str | None) -> Side:
    side = Side(label, name)
    given = dict(options)
    if name == "null":
        side.refusal = "it runs nothing, so there is nothing to compare"
        return side
    try:
        engine = load_backend(name)
    except BackendMissingError as e:
        side.refusal = e.message
        return side
    if "approximate" in given:
        side.approximate = str(given["approximate"]).lower() in _YES
        if "approximate" not in engine.options:
            del given["approximate"]
    for key, value in given.items():
        known = ("threads", "approximate", *engine.options)
        if key not in known:
            raise ParameterError(f"backend '{name}' has no option '{key}'{suggest(key, known)}", where)
        if key == "threads":
            try:
                value = int(value)
            except (TypeError, ValueError):
                raise ParameterError(f"'{label}': threads must be a whole number, got {value!r}", where) from None
        side.options[key] = value
    return side


def _run(side: Side, network: Network, duration: Quantity, options: Mapping[str, Any]) -> None:
    """Run one side, and keep its result or the reason why there is none."""
    if side.refusal:
        return
    try:
        side.result = simulate(network, duration, backend=side.backend, **options, **side.options)
    except DivergedError as e:
        side.refusal = f"diverged: {e.message}"
    except NeurosimError as e:
        side.refusal = e.message
    if side.result is not None and side.result.provenance.status == "interrupted":
        raise KeyboardInterrupt


def _metric(name: str, measure: Callable[[Any], float], side: Side) -> float:
    """Return what a function of the user's says of a result."""
    try:
        return float(measure(side.result))
    except NeurosimError:
        raise
    except Exception as e:
        raise ParameterError(f"metric '{name}' gave no number for the result of '{side.label}': {type(e).__name__}: "
                             f"{e}".rstrip(": ")) from e  # fmt: skip


def _pair(graph: Graph, network: Network, a: Side, b: Side, common: Mapping[str, Any]) -> Pair:
    if a.refusal or b.refusal:
        return Pair(a, b, NOT_RUN)
    x, y = a.result, b.result
    difference = first_difference(x, y)
    pair = Pair(a, b, "E0", difference, traces=[*_traces(x, y), *_learned(graph, a, b)])
    if difference is not None:
        pair.distance_missing = distances.missing()
        pair.unlike = agree_statistically(x, y)

        def rerun(side: int, probes: Sequence[Any], steps: int) -> Any:
            chosen = (a, b)[side]
            again = copy.copy(network)
            again.probes = [Probe(p, v, ids, None, network.where, *edge) for p, v, ids, *edge in probes]
            duration = Quantity(steps * graph.dt, TIME)
            result = simulate(again, duration, backend=chosen.backend, **common, **chosen.options)
            if result.provenance.status == "interrupted":
                raise KeyboardInterrupt
            return result

        pair.diagnosis = diagnose(graph, difference, (a.label, b.label), (x, y),
                                  (load_backend(a.backend), load_backend(b.backend)), rerun)  # fmt: skip
        tie = pair.diagnosis.kind == "tie"
        pair.verdict = "DIFFERENT" if pair.unlike else "E1" if tie else "R"
    pair.populations = [_row(name, x.spikes[name], y.spikes[name], difference is not None and not pair.distance_missing)
                        for name in x.spikes]  # fmt: skip
    return pair


def _row(name: str, x: Any, y: Any, measure: bool) -> PopulationRow:
    gaps = isi(x), isi(y)
    apart = distances.van_rossum(x, y) if measure else None
    return PopulationRow(name, x.size, overlap(x, y), statistics(x), statistics(y), ks_isi(*gaps),
                         ks_limit(len(gaps[0]), len(gaps[1])), apart)  # fmt: skip


def _traces(x: Any, y: Any) -> list[TraceRow]:
    """Return the largest difference of everything that both runs recorded besides spikes."""
    out = []
    for name, held in x.state.items():
        for variable, trace in held.items():
            other = y.state.get(name, {}).get(variable)
            if other is not None and trace.values.shape == other.values.shape and trace.values.size:
                out.append(_trace_row(name, variable, trace, other, trace.ids))
    for name, trace in x.weight_traces.items():
        other = y.weight_traces.get(name)
        if other is not None and trace.values.shape == other.values.shape and trace.values.size:
            target, _, variable = name.partition(".")
            out.append(_trace_row(target, variable or "weight", trace, other, trace.edges)._replace(edge=True))
    return out


def _learned(graph: Graph, a_side: Side, b_side: Side) -> Iterator[TraceRow]:
    """Yield the largest difference of the weights of each projection that learns, as they stand at the end."""
    x, y = a_side.result, b_side.result
    stand = [f"{s.label}: {text}" for s in (a_side, b_side) if (text := load_backend(s.backend).weights_as_of)]
    what = f"learned weight ({'; '.join(stand)})" if stand else "learned weight"
    for p in graph.projections:
        if p.plasticity is None or p.name in x.weight_traces:
            continue
        a, b = x.weights(p.name), y.weights(p.name)
        if not len(a):
            continue
        off = np.abs(a - b)
        worst = int(np.argmax(np.where(np.isnan(off), math.inf, off)))
        size = float(max(np.max(np.abs(a)), np.max(np.abs(b))))
        yield TraceRow(p.name, what, p.weight_unit, float(off[worst]), size, worst,
                       x.provenance.n_steps * graph.dt, True)  # fmt: skip


def _trace_row(target: str, variable: str, trace: Any, other: Any, ids: np.ndarray) -> TraceRow:
    off = np.abs(trace.values - other.values)
    row, column = np.unravel_index(int(np.argmax(np.where(np.isnan(off), math.inf, off))), off.shape)
    size = float(max(np.max(np.abs(trace.values)), np.max(np.abs(other.values))))
    return TraceRow(target, variable, trace.unit, float(off[row, column]), size, int(ids[column]),
                    float(trace.times[row]))  # fmt: skip

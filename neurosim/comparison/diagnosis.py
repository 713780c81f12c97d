"""What lies behind the first spike that differs: a tie in floating point, a choice of the model, or a fault.

Both runs are repeated up to that spike with the state of its population, and of those that project to it, recorded.
Up to there the spikes are the same on both sides, so what arrives is known; every step can be evaluated once more
(:mod:`neurosim.comparison.replay`), and what does not follow the program is seen where it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurosim.analysis.agreement import TIE, Difference, constant_shift, first_difference, is_tie
from neurosim.comparison.explain import FAULT, MODEL, Cause, Finding, Test
from neurosim.comparison.replay import Outcome, Recorded, Replay, comparisons, refractory_site, reset_sites
from neurosim.errors import NeurosimError
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.ops import OPS
from neurosim.passes.discretise import made_here

TOLERANCE = {"double": 1e-9, "single": 2e-6}
"""What two states may differ by and still be called equal up to rounding, relative to the size of the variable."""

AFTER = 40
"""Steps recorded beyond the first difference, for the picture."""

BEFORE = 80
"""Steps shown before it."""

MOST_VALUES = 1 << 24
"""Recorded values a side: beyond, a sample of the neurons is taken, and said."""

_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}

Rerun = Callable[[int, Sequence[Any], int], Any]
"""``rerun(side, probes, steps)`` runs a side again, recording (population, variable, neurons), and (projection,
variable, None, True); RunResult."""


@dataclass(frozen=True)
class StateDifference:
    """The first value of a state variable that differs by more than rounding: after step ``step``, SI."""

    population: str
    variable: str
    unit: str
    neuron: int
    step: int
    a: float
    b: float


@dataclass(frozen=True)
class Threshold:
    """What both sides compared, before the reset, in the step of the first difference.

    Attributes
    ----------
    text : str
        The comparison, such as ``v >= c``.
    left_a, right_a, left_b, right_b : float
        Its two sides on either side, SI.
    own_a, own_b : str
        How the value came to be known: ``recorded`` by the engine (the side that did not spike), ``evaluated`` from
        its state before, or ``bound`` (evaluated too, on the wrong side of the threshold, of which the engine's own
        last bits must have been on the other: the threshold stands for it).
    scale : float
        |threshold - reset|, or what stands for it.
    scale_text : str
        What that is.
    unit : str
        SI unit of the variable, where there is one.
    """

    text: str
    left_a: float
    right_a: float
    left_b: float
    right_b: float
    own_a: str
    own_b: str
    scale: float
    scale_text: str
    unit: str

    @property
    def apart(self) -> float:
        """|v_a - v_b|, both measured from their threshold."""
        return abs((self.left_a - self.right_a) - (self.left_b - self.right_b))

    @property
    def tie(self) -> bool:
        """Whether it is a tie in floating point (docs/semantics.md)."""
        return is_tie(self.left_a - self.right_a, self.left_b - self.right_b, 0.0, self.scale)


@dataclass(frozen=True)
class Diagnosis:
    """Why two runs part.

    Attributes
    ----------
    difference : Difference
        The first differing spike.
    kind : {"tie", "model", "fault", "unexplained"}
        A tie in floating point; a choice that engines make differently; something that no choice explains; neither
        was found.
    hint : str
        One sentence that says it.
    before : dict of str to (float, float, str)
        State of the neuron at the end of the step before, on both sides, and its SI unit.
    arrived : dict of str to float
        What arrives at each receptor of the neuron in that step: the same on both sides.
    threshold : Threshold or None
        What is compared; None where spikes need no comparison, or a side did not record its state.
    state : StateDifference or None
        Where the states part first, if they do before the spikes.
    findings : tuple of Finding or None
        How each side follows the program.
    repeats : tuple of bool
        Whether each side gave the same spikes once more.
    notes : tuple of str
        What was sampled or could not be recorded.
    around : dict of str to (steps, a, b, unit)
        The neuron's variables around the difference.
    """

    difference: Difference
    kind: str
    hint: str
    before: Mapping[str, tuple[float, float, str]] = field(default_factory=dict)
    arrived: Mapping[str, float] = field(default_factory=dict)
    threshold: Threshold | None = None
    state: StateDifference | None = None
    findings: tuple[Finding | None, Finding | None] = (None, None)
    repeats: tuple[bool, bool] = (True, True)
    notes: tuple[str, ...] = ()
    around: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, str]] = field(default_factory=dict)


def diagnose(graph: Graph, difference: Difference, names: tuple[str, str], firsts: tuple[Any, Any],
             checks: tuple[Any, Any], rerun: Rerun) -> Diagnosis:  # fmt: skip
    """Find out why two runs part.

    Parameters
    ----------
    graph : Graph
        The network, after the pass ``order``.
    difference : Difference
        The first differing spike of the two.
    names : tuple of str
        What the sides are called.
    firsts : tuple of RunResult
        The two runs, with all spikes.
    checks : tuple of Backend
        Their backends, which are asked what they can record.
    rerun : callable
        Runs a side again.
    """
    end = min(difference.step + 1 + AFTER, firsts[0].provenance.n_steps)
    wanted, notes = _probes(graph, difference, end)
    wanted = _recordable(graph, wanted, names, checks, notes)
    near = {p for p, *_ in wanted} | {difference.population}
    learning = _learning(graph, near, end, names, checks, notes)
    spikes = [(p.name, "spikes", None) for p in graph.populations] + [(name, "weight", None, True) for name in learning]
    runs = []
    for side in (0, 1):
        try:
            runs.append(rerun(side, [*wanted, *spikes], end))
        except NeurosimError as e:
            return Diagnosis(difference, "unexplained", f"{names[side]} could not be run a second time: {e.message}",
                             notes=tuple(notes))  # fmt: skip
    repeats = tuple(_repeats(first, second, end) for first, second in zip(firsts, runs, strict=True))
    sides = [_records(graph, run, {p for p, *_ in wanted} | {difference.population}) for run in runs]
    notes += _weight_differences(runs, learning, difference.step)
    rounds = tuple(check.rounds(graph) for check in checks)
    case = _Case(graph, difference, names, firsts, runs, sides, repeats, notes, rounds)  # type: ignore[arg-type]
    return case.diagnosis()


def _probes(graph: Graph, difference: Difference, steps: int) -> tuple[list[Any], list[str]]:
    """Return what to record: all variables of the population and of those that project to it, of all neurons or some.

    Where the population has no state (a source of spikes), those that it projects to are recorded too.
    """
    near = {difference.population}
    for proj in (*graph.projections, *(link.edges for link in graph.links)):
        pre, post = {s.population for s in proj.pre}, {s.population for s in proj.post}
        if difference.population in post:
            near |= pre
        if difference.population in pre and not _variables(graph.population(difference.population)):
            near |= post
    pops = [p for p in graph.populations if p.name in near]
    width = sum(p.size * len(_variables(p)) for p in pops)
    wanted, notes = [], []
    for pop in pops:
        ids = None
        if width * steps > MOST_VALUES:
            most = max(1, MOST_VALUES // max(1, steps * sum(len(_variables(p)) for p in pops)))
            if most < pop.size:
                ids = np.unique(np.linspace(0, pop.size - 1, most).astype(np.int64))
                if pop.name == difference.population:
                    ids = np.unique(np.append(ids, difference.neuron))
                notes.append(f"states of {len(ids):,} of the {pop.size:,} neurons of '{pop.name}' were compared")
        wanted += [(pop.name, var, ids) for var in _variables(pop)]
    return wanted, notes


def _learning(graph: Graph, populations: set[str], steps: int, names: Sequence[str], checks: Sequence[Any],
              notes: list[str]) -> list[str]:  # fmt: skip
    """Return the projections onto these populations whose weights change and can be recorded: they are few enough, and
    both sides have them in every step."""
    out = []
    for proj in graph.projections:
        if proj.plasticity is None or not populations & {s.population for s in proj.post}:
            continue
        if lacking := [name for name, check in zip(names, checks, strict=True) if check.weights_as_of]:
            notes.append(f"the weights of '{proj.name}' change, and {lacking[0]} has none between two spikes of their "
                         "sources: what arrives by them is not known")  # fmt: skip
            continue
        edges = proj.rule.expected(sum(s.size for s in proj.pre), sum(s.size for s in proj.post))
        if edges * steps <= MOST_VALUES:
            out.append(proj.name)
        else:
            notes.append(f"the weights of '{proj.name}' change, and are too many to be followed: what arrives by them "
                         "is not known")  # fmt: skip
    return out


def _weight_differences(runs: list[Any], learning: list[str], end: int) -> list[str]:
    """Say which weight of each projection differs first, before step ``end``."""
    out = []
    for name in learning:
        a, b = (run.weight_traces[name].values[:end] for run in runs)
        rows = np.flatnonzero((a != b).any(axis=1))
        if len(rows):
            edge = int(np.flatnonzero(a[rows[0]] != b[rows[0]])[0])
            out.append(f"weights of '{name}' differ from step {rows[0]} on: edge {edge} has {a[rows[0], edge]:.17g} "
                       f"and {b[rows[0], edge]:.17g} {runs[0].weight_traces[name].unit}")  # fmt: skip
    return out


def _variables(pop: PopulationNode) -> list[str]:
    return [v.name for v in pop.states if not made_here(v.name)]


def _recordable(graph: Graph, wanted: list[Any], names: tuple[str, str], checks: tuple[Any, Any],
                notes: list[str]) -> list[Any]:  # fmt: skip
    """Leave out what one of the sides cannot record, and say so."""
    from neurosim.ir.graph import ProbeNode

    out = []
    for population, variable, ids in wanted:
        probe = ProbeNode(population, variable, ids)
        bare, with_it = replace(graph, probes=()), replace(graph, probes=(probe,))
        refused = [n for n, backend in zip(names, checks, strict=True)
                   if len(backend.unsupported(with_it)) > len(backend.unsupported(bare))]  # fmt: skip
        if refused:
            notes.append(f"'{variable}' of '{population}' cannot be recorded on {' and '.join(refused)}")
        else:
            out.append((population, variable, ids))
    return out


def _repeats(first: Any, second: Any, end: int) -> bool:
    """Tell whether a run gave the same spikes once more, as far as it went."""
    for name, spikes in second.spikes.items():
        early = first.spikes[name].steps < end
        if not (np.array_equal(first.spikes[name].steps[early], spikes.steps)
                and np.array_equal(first.spikes[name].ids[early], spikes.ids)):  # fmt: skip
            return False
    return True


def _records(graph: Graph, run: Any, populations: set[str]) -> dict[str, Recorded]:
    """Return what a run recorded of each population."""
    out = {}
    for name in populations:
        traces = run.state[name] if name in run.state else {}
        steps = run.provenance.n_steps
        whole = {v: t for v, t in traces.items() if len(t) == steps}
        ids = next((t.ids for t in whole.values()), np.arange(graph.population(name).size))
        out[name] = Recorded(ids, {v: t.values for v, t in whole.items()}, _Trains(run.spikes[name]))
    return out


class _Trains(Mapping[int, np.ndarray]):
    """The spike steps of each neuron, looked up when they are asked for."""

    def __init__(self, spikes: Any) -> None:
        self.spikes = spikes

    def __getitem__(self, neuron: int) -> np.ndarray:
        return self.spikes.steps[self.spikes.ids == neuron]

    def __iter__(self) -> Any:
        return iter(range(self.spikes.size))

    def __len__(self) -> int:
        return self.spikes.size


class _Case:
    """One first difference, with all that was recorded of it."""

    def __init__(self, graph: Graph, difference: Difference, names: tuple[str, str], firsts: tuple[Any, Any],
                 runs: list[Any], sides: list[dict[str, Recorded]], repeats: tuple[bool, bool],
                 notes: list[str], rounds: tuple[str, ...]) -> None:  # fmt: skip
        self.graph, self.at, self.names, self.firsts, self.runs = graph, difference, names, firsts, runs
        self.rounds = rounds
        self.sides, self.repeats, self.notes = sides, repeats, notes
        self.pop = graph.population(difference.population)
        self.tolerance = TOLERANCE[graph.precision]
        self.scales = {p: self._scale(p) for p in sides[0]}
        self.replays: dict[tuple[str, frozenset[int]], Replay] = {}

    def diagnosis(self) -> Diagnosis:
        """Put everything together."""
        now = first_difference(self.runs[0], self.runs[1])
        if now is None or (now.population, now.neuron, now.step) != (self.at.population, self.at.neuron, self.at.step):
            shaky = " and ".join(n for n, same in zip(self.names, self.repeats, strict=True) if not same)
            hint = (f"{shaky or 'a run'} gave other spikes when it was run once more, so the difference cannot be "
                    "followed")  # fmt: skip
            return Diagnosis(self.at, "unexplained", hint, repeats=self.repeats, notes=tuple(self.notes))
        state = self._state_difference(self.at.step)
        population, neuron = (self.at.population, self.at.neuron) if state is None else (state.population, state.neuron)
        findings = self._findings(population, neuron, self.at.step if state is None else state.step)
        threshold, outcomes, arrived = self._threshold(neuron if population == self.at.population else self.at.neuron)
        kind, hint = self._judge(state, findings, threshold, outcomes)
        if kind in (FAULT, "unexplained"):
            kind, hint = self._rounded(findings) or (kind, hint)
        return Diagnosis(self.at, kind, hint, self._before(), arrived, threshold, state, findings, self.repeats,
                         tuple(self.notes), self._around())  # fmt: skip

    # -- states -------------------------------------------------------------------------------------------------

    def _scale(self, population: str) -> dict[str, float]:
        """Return the largest magnitude of each variable that both sides recorded."""
        out = {}
        for var in self.sides[0][population].values:
            if var in self.sides[1][population].values:
                both = [self.sides[k][population].values[var] for k in (0, 1)]
                finite = [np.abs(x[np.isfinite(x)]) for x in both]
                out[var] = max((float(x.max()) for x in finite if x.size), default=0.0)
        return out

    def _state_difference(self, end: int) -> StateDifference | None:
        """Return the first value before step ``end`` that differs by more than rounding, on any recorded population."""
        best: tuple[int, int, float] | None = None
        found = None
        for population, scales in self.scales.items():
            ids = self.sides[0][population].ids
            for var, scale in scales.items():
                a, b = (self.sides[k][population].values[var][:end] for k in (0, 1))
                off = np.abs(a - b)
                bad = ~(off <= self.tolerance * scale)
                rows = np.flatnonzero(bad.any(axis=1))
                if not len(rows):
                    continue
                row = int(rows[0])
                # of several in one step: the neuron whose spikes differ first, then the largest
                weight = np.where(bad[row], np.where(np.isnan(off[row]), np.inf, off[row]) / (scale or 1.0), -1.0)
                mine = population == self.at.population
                column = int(np.argmax(weight))
                own = self.sides[0][population].column(self.at.neuron) if mine else None
                if own is not None and bad[row, own]:
                    column = own
                rank = (row, 0 if mine and ids[column] == self.at.neuron else 1, -float(weight[column]))
                if best is None or rank < best:
                    best = rank
                    unit = self.graph.population(population).state(var).unit
                    found = StateDifference(population, var, unit, int(ids[column]), row, float(a[row, column]),
                                            float(b[row, column]))  # fmt: skip
        return found

    def _findings(self, population: str, neuron: int, step: int) -> tuple[Finding | None, Finding | None]:
        """Compare both sides with the program, for the neuron whose state parts first."""
        pop = self.graph.population(population)
        if not _variables(pop) or set(_variables(pop)) != set(self.scales.get(population, ())):
            return None, None
        replay = self._replay(population, neuron)
        if replay.unknown:
            return None, None
        out = [Test(replay, self.sides[k][population], self.scales[population], self.tolerance, self.at.step, step)
               .finding() for k in (0, 1)]  # fmt: skip
        return out[0], out[1]

    def _replay(self, population: str, neuron: int) -> Replay:
        """Return the program for a neuron, and for the one whose spikes differ; its edges are gone through once."""
        neurons = frozenset({neuron} | ({self.at.neuron} if population == self.at.population else set()))
        if (population, neurons) not in self.replays:
            weights = {name: trace.values for name, trace in self.runs[0].weight_traces.items()}
            self.replays[population, neurons] = Replay(self.graph, population, sorted(neurons), self.firsts[0].spikes,
                                                       self.at.step + 1, weights, self.sides[0])  # fmt: skip
        return self.replays[population, neurons]

    def _before(self) -> dict[str, tuple[float, float, str]]:
        """Return the neuron's state at the end of the step before."""
        out = {}
        for var in self.scales[self.at.population]:
            if self.at.step == 0:
                init = np.broadcast_to(np.asarray(self.pop.state(var).init, float), (self.pop.size,))
                a = b = float(init[self.at.neuron])
            else:
                a, b = (self._value(k, var, self.at.step - 1) for k in (0, 1))
            out[var] = a, b, self.pop.state(var).unit
        return out

    def _value(self, side: int, var: str, step: int) -> float:
        recorded = self.sides[side][self.at.population]
        column = recorded.column(self.at.neuron)
        assert column is not None
        return float(recorded.values[var][step, column])

    def _around(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, str]]:
        out = {}
        for var in self.scales[self.at.population]:
            a, b = (self.sides[k][self.at.population] for k in (0, 1))
            column = a.column(self.at.neuron)
            lo, hi = max(0, self.at.step - BEFORE), min(a.steps, b.steps)
            out[var] = (np.arange(lo, hi), a.values[var][lo:hi, column], b.values[var][lo:hi, column],
                        self.pop.state(var).unit)  # fmt: skip
        return out

    # -- the threshold ------------------------------------------------------------------------------------------

    def _threshold(self, beside: int) -> tuple[Threshold | None, list[Outcome], dict[str, float]]:
        """Evaluate the step of the difference on both sides; ``beside`` is another neuron whose replay there is."""
        n, j = self.at.step, self.at.neuron
        replay = self._replay(self.at.population, beside)
        arrived: dict[str, float] = {}
        for (_, receptor), box in replay.arrivals.items():
            row = int(np.searchsorted(replay.neurons, j))
            arrived[receptor] = arrived.get(receptor, 0.0) + float(box[row, n])
        if replay.unknown or set(_variables(self.pop)) != set(self.scales[self.at.population]):
            return None, [], arrived
        lane = np.array([j]), np.array([n])
        outcomes = []
        for k in (0, 1):
            side, seen = self.sides[k][self.at.population], {}
            if (k == 0) != (self.at.only_in == "a") and side.steps > n:  # the silent side recorded what it compared
                seen = {var: np.array([self._value(k, var, n)]) for var in side.values}
            outcomes.append(replay.run(side, *lane, seen=seen))
        program = outcomes[0].program
        candidates = comparisons(program)
        if not candidates:
            return None, outcomes, arrived
        silent = 1 if self.at.only_in == "a" else 0
        site = min(candidates, key=lambda k: self._nearness(outcomes, k))
        scale, scale_text, unit = self._reset_scale(outcomes[1 - silent], site)
        ins, values = program.instrs[site], []
        for k in (0, 1):
            left, right = (float(outcomes[k].values[a][0]) for a in ins.args)
            how = "recorded" if k == silent and self.sides[k][self.at.population].steps > n else "evaluated"
            wrong = bool(outcomes[k].condition[0]) != (k != silent)
            if k != silent and wrong and abs(left - right) <= TIE * scale and left != right:
                left, how = right, "bound"
            values.append((left, right, how))
        (la, ra, ha), (lb, rb, hb) = values
        text = self._comparison(program, site)
        return Threshold(text, la, ra, lb, rb, ha, hb, scale, scale_text, unit), outcomes, arrived

    @staticmethod
    def _nearness(outcomes: list[Outcome], site: int) -> tuple[bool, float]:
        """Rank comparisons: first those that come out differently on the two sides, then the one that is closest."""
        held = [bool(o.values[site][0]) for o in outcomes]
        a, b = outcomes[0].program.instrs[site].args
        margins = [abs(float(o.values[a][0]) - float(o.values[b][0])) for o in outcomes]
        size = max(abs(float(outcomes[0].values[b][0])), abs(float(outcomes[0].values[a][0])), 1e-300)
        return held[0] == held[1], min(margins) / size

    def _reset_scale(self, outcome: Outcome, site: int) -> tuple[float, str, str]:
        """Return |threshold - reset| of a comparison, what it is made of, and the unit."""
        program = outcome.program
        left, right = program.instrs[site].args
        sites, stores = reset_sites(program), program.stores()
        threshold = float(outcome.values[right][0])
        for var, place in sites.items():
            if place not in (left, right):
                continue
            other = right if place == left else left
            unit, after = self.pop.state(var).unit, program.instrs[stores[var]]
            if after.op == "select" and after.args[2] == place:
                reset = float(outcome.values[after.args[1]][0])
                scale = abs(float(outcome.values[other][0]) - reset)
                if scale > 0:
                    return scale, f"|threshold - reset|, {var} being reset to {reset:.6g} {_si(unit)}".rstrip(), unit
            return self._size(threshold, outcome, left), f"|threshold|, as nothing resets {var}", unit
        return self._size(threshold, outcome, left), "|threshold|, as no variable stands alone in the comparison", ""

    @staticmethod
    def _size(threshold: float, outcome: Outcome, left: int) -> float:
        return abs(threshold) or abs(float(outcome.values[left][0])) or 1.0

    def _comparison(self, program: Any, site: int) -> str:
        names = {place: var for var, place in reset_sites(program).items()}
        ins = program.instrs[site]
        left, right = (names.get(a) or _leaf_name(program.instrs[a]) for a in ins.args)
        return f"{left or 'left'} {_SIGNS.get(ins.op, OPS[ins.op].name)} {right or 'threshold'}"

    # -- the verdict --------------------------------------------------------------------------------------------

    def _judge(self, state: StateDifference | None, findings: tuple[Finding | None, Finding | None],
               threshold: Threshold | None, outcomes: list[Outcome]) -> tuple[str, str]:  # fmt: skip
        shift = constant_shift(*self.firsts)
        if shift and self._state_difference(10**9) is None:
            kept = "and the states are the same" if any(self.scales.values()) else "and there is no state to look at"
            return MODEL, (f"all spikes of {self.names[1]} are those of {self.names[0]}, "
                           f"{abs(shift)} step{'s' if abs(shift) > 1 else ''} {'later' if shift > 0 else 'earlier'}, "
                           f"{kept}: spikes are stamped differently")  # fmt: skip
        if state is None and threshold is not None and threshold.tie and all(f is None or f.follows for f in findings):
            return "tie", "rounding alone decides which side of the threshold the value is on"
        if any(f is not None and not f.follows for f in findings):
            return self._deviation(findings)
        if state is not None:
            where = f"'{state.variable}' of '{state.population}'"
            if findings[0] is None:
                return "unexplained", (f"the states part first in {where}; not all variables were recorded, so no "
                                       "step could be evaluated again")  # fmt: skip
            return "unexplained", (f"both sides follow the program in every step, to rounding, and {where} parts all "
                                   "the same: the equations amplify rounding")  # fmt: skip
        return self._detection(threshold, outcomes)

    def _deviation(self, findings: tuple[Finding | None, Finding | None]) -> tuple[str, str]:
        """Say which side leaves the program, and what would explain it."""
        kinds, texts = [], []
        for name, finding in zip(self.names, findings, strict=True):
            if finding is None or finding.follows:
                continue
            kinds.append(self._kind(finding.causes))
            if finding.causes:
                likely = finding.causes[:3]
                why = " or ".join(c.text for c in likely)
                tail = "" if len(likely) == 1 else " (the steps at hand do not tell these apart)"
                texts.append(f"{name} does not follow the program: {why}{tail}")
            else:
                texts.append(f"{name} does not follow the program, by no pattern that is known here: first in step "
                             f"{finding.step}")  # fmt: skip
        kind = next((k for k in (FAULT, "unexplained", MODEL) if k in kinds), "unexplained")
        return kind, "; ".join(texts)

    def _rounded(self, findings: tuple[Finding | None, Finding | None]) -> tuple[str, str] | None:
        """Return the verdict where one side rounds on purpose, and the other follows the program."""
        if bool(self.rounds[0]) == bool(self.rounds[1]):  # two that round alike shall give the same
            return None
        side = 0 if self.rounds[0] else 1
        other = findings[1 - side]
        if other is not None and not other.follows:
            return None
        return MODEL, f"{self.names[side]} {self.rounds[side]}"

    @staticmethod
    def _kind(causes: tuple[Cause, ...]) -> str:
        if not causes:
            return "unexplained"
        return MODEL if all(c.kind == MODEL for c in causes) else FAULT

    def _detection(self, threshold: Threshold | None, outcomes: list[Outcome]) -> tuple[str, str]:
        """Say what is wrong where states agree, and follow the program, but one side spikes."""
        silent = 1 if self.at.only_in == "a" else 0
        quiet, firing = self.names[silent], self.names[1 - silent]
        if not outcomes:
            return "unexplained", "not all variables could be recorded, so the step could not be evaluated again"
        if threshold is None:
            wrong = quiet if bool(outcomes[0].condition[0]) else firing
            return FAULT, f"no threshold decides here (given spikes): {wrong} does not do what the program says"
        values = [(threshold.left_a, threshold.right_a), (threshold.left_b, threshold.right_b)]
        at_threshold = any(left == right for left, right in values)
        program_spikes = [bool(o.condition[0]) for o in outcomes]
        if at_threshold and threshold.apart == 0.0:
            wrong = quiet if program_spikes[silent] else firing
            return FAULT, (f"the value is exactly at the threshold on both sides, and {wrong} compares by another "
                           f"sign than the one in {threshold.text} ('>' for '>=' or the reverse)")  # fmt: skip
        site = refractory_site(outcomes[0].program)
        resting = site is not None and bool(outcomes[1 - silent].values[site][0])
        if not program_spikes[1 - silent] and resting:
            return FAULT, f"{firing} spikes while the neuron is refractory: its refractory period is shorter"
        if program_spikes[silent]:
            return FAULT, (f"{quiet}'s own value meets {threshold.text} and it does not spike: its threshold is "
                           "another, or it takes the neuron for refractory")  # fmt: skip
        if not program_spikes[1 - silent]:
            return FAULT, f"{firing} spikes though its value does not meet {threshold.text}: its threshold is another"
        return "unexplained", "both sides do what the program says of their states, which are equal only to rounding"


def _leaf_name(ins: Any) -> str:
    if ins.op == "const":
        return f"{ins.attr:.6g}"
    return str(ins.attr) if ins.op in ("param", "load") and not str(ins.attr).startswith("c[") else ""


def _si(unit: str) -> str:
    return "" if unit in ("1", "dimensionless") else unit

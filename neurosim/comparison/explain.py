"""Why the state that an engine recorded is not what the program gives: guesses, each tested on every step at hand.

A guess is a :class:`~neurosim.comparison.replay.Twist`: what the engine might do instead of what is written. It counts
only if the program so changed gives the recorded state, to rounding, in every step that was looked at: those that do
not follow the program as written, and those that do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.comparison.replay import PLAIN, Recorded, Replay, Twist
from neurosim.errors import EquationError
from neurosim.passes.integration import exact_part

MODEL, FAULT = "model", "fault"
"""A choice that engines make differently, and something that no choice explains."""

_MOST_STEPS = 5000
_METHODS = ("exact", "exponential_euler", "euler", "rk2", "rk4")


@dataclass(frozen=True)
class Cause:
    """What would explain a difference: a sentence's end, its kind (a choice of the model, or a fault), a short name."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Finding:
    """How one side follows the program.

    Attributes
    ----------
    lanes, bad : int
        Steps of neurons that were looked at, and those whose recorded state the program does not give.
    neuron, step, variable : int or None, int or None, str or None
        The first of the latter, and the variable that is farthest off there.
    recorded, expected : float
        Its value as recorded, and as the program gives it.
    causes : tuple of Cause
        The guesses that explain all of it. Several mean that the steps at hand do not tell them apart.
    """

    lanes: int
    bad: int
    neuron: int | None = None
    step: int | None = None
    variable: str | None = None
    recorded: float = float("nan")
    expected: float = float("nan")
    causes: tuple[Cause, ...] = ()

    @property
    def follows(self) -> bool:
        """Whether the side follows the program in all steps that were looked at."""
        return not self.bad


class Test:
    """One side's record against the program.

    Parameters
    ----------
    replay : Replay
        Of the population.
    side : Recorded
        What one engine recorded of it.
    scale : dict of str to float
        Size of each variable; what differs by more than ``tolerance`` times that differs by more than rounding.
    tolerance : float
        Relative to the scale.
    first, last : int
        Steps between which lanes lie; of more than 5000 those around ``near`` are taken.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, replay: Replay, side: Recorded, scale: dict[str, float], tolerance: float, last: int,
                 near: int) -> None:  # fmt: skip
        self.replay, self.side, self.scale, self.tolerance = replay, side, scale, tolerance
        lo = 0 if last < _MOST_STEPS else max(0, min(near - _MOST_STEPS // 5, last + 1 - _MOST_STEPS))
        steps = np.arange(lo, min(last + 1, lo + _MOST_STEPS, side.steps))
        held = np.array([n for n in replay.neurons if side.column(int(n)) is not None], dtype=np.int64)
        self.neurons, self.steps = np.repeat(held, len(steps)), np.tile(steps, len(held))
        self.columns = np.searchsorted(side.ids, self.neurons)

    def distance(self, twist: Twist = PLAIN) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return how far the record lies from what the program gives, in units of the tolerance; and the latter."""
        if not len(self.steps):
            return np.zeros(0), {}
        stored = self.replay.run(self.side, self.neurons, self.steps, twist).stored
        far = np.zeros(len(self.steps))
        for var, scale in self.scale.items():
            if var in stored and scale > 0:
                off = np.abs(self.side.values[var][self.steps, self.columns] - stored[var]) / (self.tolerance * scale)
                far = np.maximum(far, np.where(np.isnan(off), np.inf, off))
        return far, dict(stored)

    def explains(self, twist: Twist) -> bool:
        """Tell whether the program so changed gives every recorded state."""
        try:
            return bool(np.all(self.distance(twist)[0] <= 1.0))
        except EquationError:  # the equations do not admit this scheme, so no engine uses it
            return False

    def finding(self) -> Finding:
        """Say whether the side follows the program, and if not, what explains it."""
        far, stored = self.distance()
        bad = np.flatnonzero(far > 1.0)
        if not len(bad):
            return Finding(len(far), 0)
        k = bad[np.argmin(self.steps[bad])]
        off = {
            v: abs(float(self.side.values[v][self.steps[k], self.columns[k]]) - float(stored[v][k])) / s
            for v, s in self.scale.items() if v in stored and s > 0
        }  # fmt: skip
        var = max(off, key=lambda v: off[v] if off[v] == off[v] else np.inf)
        recorded, expected = float(self.side.values[var][self.steps[k], self.columns[k]]), float(stored[var][k])
        return Finding(len(far), len(bad), int(self.neurons[k]), int(self.steps[k]), var, recorded, expected,
                       tuple(self._causes(bad)))  # fmt: skip

    # -- guesses ------------------------------------------------------------------------------------------------

    def _causes(self, bad: np.ndarray) -> list[Cause]:
        if np.all(self.steps[bad] == 0) and np.any(self.steps > 0):
            return [Cause("initial values", FAULT, "its initial values are others: only step 0 is off, and all steps "
                          "after it follow the program")]  # fmt: skip
        found = [cause for twist, cause in self._guesses(bad) if self.explains(twist)]
        return found or self._pattern(bad)

    def _guesses(self, bad: np.ndarray) -> Iterator[tuple[Twist, Cause]]:
        pop = self.replay.pop
        if "_refractory_steps" in pop.params:
            for k in (1, -1, 2, -2):
                yield Twist(countdown=k), Cause("refractory period", FAULT, f"its refractory period is "
                                                f"{_steps(k, 'longer', 'shorter')}")  # fmt: skip
        arrives = {projection for (projection, _), box in self.replay.arrivals.items() if np.any(box)}
        groups: list[str | None] = [None, *sorted(arrives)] if len(arrives) > 1 else list(arrives)
        for which in groups:
            what = "all that arrives" if which is None else f"what arrives from projection '{which}'"
            for k in (1, -1, 2, -2):
                yield Twist(arrivals=k, projection=which), Cause("delay", FAULT, f"{what} comes "
                                                                 f"{_steps(k, 'late', 'early')}: delays")  # fmt: skip
            yield Twist(gain=0.0, projection=which), Cause("lost arrivals", FAULT, f"{what} is lost")
        if arrives:
            yield from self._equations_of_arrivals()
        yield from self._other_equations()
        for k in (1, -1):
            if self._has_stimuli():
                yield Twist(stimuli=k), Cause("stimuli", MODEL, "it takes stimuli and random numbers one step "
                                              f"{'late' if k > 0 else 'early'}")  # fmt: skip
        for which in groups if len(bad) > 1 else ():  # a factor fits any one step
            gain = self._gain(which)
            if gain is not None and abs(gain) > 1e-6:
                what = "all weights" if which is None else f"the weights of projection '{which}'"
                yield Twist(gain=gain, projection=which), Cause("weights", FAULT, f"{what} act {gain:.8g} times as "
                                                                "strongly as written")  # fmt: skip

    def _equations_of_arrivals(self) -> Iterator[tuple[Twist, Cause]]:
        system = self._system()
        for when, other in (("after", "before"), ("before", "after")):
            if any(j.when == when for jumps in system.jumps.values() for j in jumps):
                jumps = {r: tuple(dataclasses.replace(j, when=other if j.when == when else j.when) for j in js)
                         for r, js in system.jumps.items()}  # fmt: skip
                text = f"what arrives jumps {other} the decay of the step, not {when} it"
                yield Twist(change=(("jumps", jumps),)), Cause("jump", MODEL, text)

    def _other_equations(self) -> Iterator[tuple[Twist, Cause]]:
        system = self._system()
        if system.refractory is not None and system.clamp:
            yield Twist(change=(("clamp", ()),)), Cause("clamping", MODEL, f"{', '.join(system.clamp)} "
                                                        "goes on while the neuron is refractory")  # fmt: skip
        every = tuple(e.var for e in system.equations if e.kind in ("ode", "update"))
        if system.refractory is not None and set(every) != set(system.clamp):
            yield Twist(change=(("clamp", every),)), Cause("clamping", MODEL, "all variables stand still while the "
                                                           "neuron is refractory")  # fmt: skip
        for method in _METHODS:
            if method != system.method and any(e.kind == "ode" for e in system.equations):
                yield Twist(change=(("method", method),)), Cause("integration scheme", MODEL, "it integrates by "
                                                                 f"method='{method}'")  # fmt: skip

    def _system(self) -> Any:
        assert self.replay.pop.model is not None
        return self.replay.pop.model.system

    def _has_stimuli(self) -> bool:
        pop = self.replay.pop
        assert pop.program is not None
        return any(ins.op in ("time", "step", "table", "uniform", "normal", "poisson", "poisson_of", "scheduled")
                   for ins in pop.program.instrs)  # fmt: skip

    def _gain(self, which: str | None) -> float | None:
        """Return the factor on what arrives that puts the step farthest off right, by one secant; None without one."""
        far, plain = self.distance()
        k = int(np.argmax(np.where(np.isfinite(far), far, 0.0)))
        _, double = self.distance(Twist(gain=2.0, projection=which))
        for var, scale in self.scale.items():
            if var not in plain or not scale > 0:
                continue
            slope = float(double[var][k]) - float(plain[var][k])
            off = float(self.side.values[var][self.steps[k], self.columns[k]]) - float(plain[var][k])
            if abs(off) > self.tolerance * scale and abs(slope) > self.tolerance * scale:
                return 1.0 + off / slope
        return None

    def _pattern(self, bad: np.ndarray) -> list[Cause]:
        """Say in which steps the record is off, where no guess explains it."""
        spiked = np.zeros(len(self.steps), dtype=bool)
        for neuron, steps in self.side.spikes.items():
            mine = self.neurons == neuron
            spiked[mine] = np.isin(self.steps[mine], steps)
        arrived = self.replay.arrived(self.neurons, self.steps)
        if np.all(spiked[bad]):
            return [Cause("reset", FAULT, "it resets differently: only steps in which the neuron spikes are off")]
        if np.all(arrived[bad]) and not np.all(arrived):
            return [Cause("weights", FAULT, "only steps in which spikes arrive are off, by no common factor and no "
                          "common number of steps: weights, or which connections there are")]  # fmt: skip
        if len(bad) >= 3 and len(bad) >= 0.9 * np.count_nonzero(~spiked):
            return [Cause("parameters", FAULT, "nearly every step is off, and no other scheme of integration gives it: "
                          "a parameter or an equation differs")]  # fmt: skip
        quiet = np.count_nonzero(~(spiked[bad] | arrived[bad]))
        if quiet >= max(3, 0.5 * len(bad)) and not self._exact():
            return [Cause("integration", MODEL, "steps in which nothing arrives and nothing spikes are off, where the "
                          "equations have no exact solution: a scheme of integration that is none of ours (an adaptive "
                          "one), or a parameter")]  # fmt: skip
        return []

    def _exact(self) -> bool:
        """Tell whether the equations of the population are solved exactly, so that a scheme leaves no choice."""
        system, params = self._system(), set(self.replay.pop.model.params)  # type: ignore[union-attr]
        odes = {e.var for e in system.equations if e.kind == "ode"}
        return system.method in ("auto", "exact") and set(exact_part(system, odes, params)) == odes


def _steps(k: int, more: str, less: str) -> str:
    count = f"{abs(k)} step" + ("s" if abs(k) > 1 else "")
    return f"{count} {more if k > 0 else less}"

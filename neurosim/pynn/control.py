"""The simulation that a PyNN script talks to: setup, run, reset, end, and what has been recorded so far.

Runs continue exactly: the engine that took the first ``run`` takes the next. Where something was added in between that
leaves the past as it was (recording, a current that starts now, later spike times of a source), the network is built
anew and simulated again from 0: it is deterministic, so that past is the same, and it costs the time again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurosim import Network, memory
from neurosim import run as runner
from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, UnknownNameError, UnsupportedError, caller, suggest
from neurosim.lang.names import free_name
from neurosim.pynn import random as pynn_random
from neurosim.pynn.values import RoundingWarning, whole
from neurosim.registry import load_backend
from neurosim.units import ms

_FOREIGN = {
    "verbosity", "spike_precision", "recording_precision", "rng_type", "t_flush", "grng_seed", "rng_seeds",
    "rng_seeds_seed", "use_cvode", "rtol", "atol", "native_rng_baseseed", "default_maxstep", "debug", "label",
    "filename", "file", "quit_on_end", "loglevel", "useSystemSim", "maxNeuronLoss", "maxSynapseLoss",
    "hardwareNeuronSize", "hardware",
}  # fmt: skip
"""Arguments of setup that other simulators take: the old names of the seed, and what changes nothing here."""

_STRETCH = 2000
"""Steps between two looks at Ctrl-C."""


@dataclasses.dataclass
class Injection:
    """A current source, the cells it goes into, and the step from which it acts."""

    source: Any
    members: list[tuple[Any, np.ndarray]]
    since: int


class Simulation:
    """Everything between one ``setup`` and the next."""

    def __init__(
        self, timestep: float, min_delay: float, max_delay: float | None, seed: int, options: dict[str, Any]
    ) -> None:
        self.timestep, self.min_delay, self.max_delay = timestep, min_delay, max_delay
        self.seed, self.options = seed, options
        self.populations: list[Any] = []
        self.projections: list[Any] = []
        self.injections: list[Injection] = []
        self.write_on_end: list[tuple[Any, Any, Any]] = []
        self.cells = 0
        self.steps = 0
        self.trial = 0
        self.network: Any = None
        self.engine: Any = None
        self.done = 0
        self.graph: Any = None
        self.learned: dict[str, np.ndarray] = {}
        self.backend = str(options.get("backend", "native"))

    @property
    def t(self) -> float:
        """Current time, ms."""
        return self.steps * self.timestep

    @property
    def begun(self) -> bool:
        """Whether time has moved since the last setup or reset."""
        return self.network is not None

    # -- what may change, and when ----------------------------------------------------------------------------------

    def changing(self, what: str, where: str | None) -> None:
        """Refuse a change to a network that has begun to run."""
        if self.begun:
            raise ParameterError(
                f"{what} at t = {self.t:g} ms: a network that has begun to run keeps its cells, parameters and "
                "connections. Do it before the first run(), or after reset(), which starts again at t = 0",
                where,
            )

    def anew(self) -> None:
        """Let the next run build the network again and simulate from 0 (something was added to it)."""
        self._close()

    def inject(self, source: Any, members: list[tuple[Any, np.ndarray]]) -> None:
        """Add a current from now on."""
        self.injections.append(Injection(source, members, self.steps))
        self.anew()

    def rounded(self, times: Any, what: str, where: str | None, least: int = 0) -> np.ndarray:
        """Return times (ms) in steps, with a warning that says how many had to be moved to the grid."""
        steps, moved = whole(times, self.timestep)
        if np.any(moved):
            first = float(np.asarray(times, dtype=float)[moved].flat[0]) if np.ndim(times) else float(times)
            many = f" (and {int(np.count_nonzero(moved)) - 1} more)" if np.count_nonzero(moved) > 1 else ""
            warn(f"{what} of {first:g} ms{many} is rounded to the nearest step of {self.timestep:g} ms")
        return np.maximum(steps, least)

    # -- running ----------------------------------------------------------------------------------------------------

    def run_to(self, steps: int, where: str | None) -> None:
        """Simulate until so many steps are done."""
        if steps < self.steps:
            raise ParameterError(f"{steps * self.timestep:g} ms is in the past: it is {self.t:g} ms now", where)
        begun = self.begun
        network = self.network if self.engine is not None else self._build()
        if runner.intercept is not None and not begun:
            asked = {k: self.options.get(k) for k in ("threads", "weight_bits")}
            asked |= {"backend": self.backend, "precision": self.options.get("precision", "double")}
            runner.intercept(network, steps * self.timestep * ms, asked)
        if self.engine is not None and self.engine.at_once and steps > self.done:
            self._close()
        engine: Any = self.engine or self._start(network)
        self.network = network
        try:
            while self.done < steps:
                now = steps - self.done if engine.at_once else min(_STRETCH, steps - self.done)
                engine.advance(now)
                self.done += now
                self._keep()
        except (
            BaseException
        ):  # Ctrl-C, divergence: what was recorded is kept, and simulated again should the script go on
            self.steps = self.done
            with contextlib.suppress(NeurosimError):  # an engine may have nothing to give after what has ended it
                self._learned()
            self._close()
            raise
        self.steps = steps
        self._learned()

    def _learned(self) -> None:
        """Keep the weights of what learns, as they stand now."""
        for projection in self.graph.projections if self.graph is not None else ():
            if projection.plasticity is not None:
                self.learned[projection.name] = self.engine.weights(projection.name)

    def _build(self) -> Network:
        self._close()
        return importlib.import_module("neurosim.pynn.build").build(self)

    def _start(self, network: Any) -> Any:
        backend = load_backend(self.backend)
        threads = self.options.get("threads")
        if threads not in (None, 1) and not backend.threads:
            raise UnsupportedError(f"backend '{self.backend}' runs on one thread: leave threads out of setup()")
        self.graph = compile_network(network, precision=self.options.get("precision", "double"),
                                     weight_bits=self.options.get("weight_bits"))  # fmt: skip
        backend.check(self.graph)
        memory.fits(backend, self.graph)
        base = importlib.import_module("neurosim.backends.base")
        self.engine = backend.build(self.graph, base.Options(threads=threads, extra={}))
        self.done = 0
        for population in self.populations:
            population.recorder.start()
        return self.engine

    def _keep(self) -> None:
        drained = runner.drained(self.engine, self.graph, self.backend)
        names = {p.name: p for p in self.populations}
        for name, (steps, ids) in drained.spikes.items():
            names[name].recorder.take_spikes(steps, ids)
        for probe, sample in zip(self.graph.probes, drained.samples, strict=True):
            if probe.variable not in ("spikes", "rate") and sample is not None and len(sample[0]):
                names[probe.target].recorder.take_samples(probe.variable, *sample)

    def _close(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self.engine = self.graph = None
        self.done = 0

    def reset(self, annotations: dict[str, Any]) -> None:
        """Begin a new trial at t = 0."""
        for population in self.populations:
            population.recorder.finish_trial(annotations)
            population.history.clear()
        for one in self.injections:
            one.since = 0
        self._close()
        self.learned = {}
        self.network = None
        self.trial += self.steps > 0
        self.steps = 0

    def name_of(self, label: str) -> str:
        """Return a name for a population that neurosim can use, made from its label."""
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in label)
        plain = plain if plain[:1].isalpha() else f"p{plain}"
        return free_name(plain, {p.name for p in self.populations})


def warn(text: str) -> None:
    """Warn of a rounding, at the line of the script that brought it about."""
    depth, frame = 1, sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("neurosim."):
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, RoundingWarning, stacklevel=depth)


_simulation: Simulation | None = None


def current(where: str | None = None) -> Simulation:
    """Return the simulation that ``setup`` has made."""
    if _simulation is None:
        raise ParameterError("there is no simulation yet: call setup() first", where or caller())
    return _simulation


# -- PyNN's functions -------------------------------------------------------------------------------------------------


def setup(timestep: float = 0.1, min_delay: float | str = "auto", max_delay: float | str = "auto", **extra: Any) -> int:
    """Begin a simulation; one that there was before is gone.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay, max_delay : float or "auto"
        Bounds of the synaptic delays, ms; the step, and none. ``min_delay`` is also the delay that is not given.
    rng_seed : int
        Of everything that is drawn without a seed of its own; 42.
    backend, threads, precision, weight_bits
        As :func:`neurosim.run.simulate` takes them.

    Returns
    -------
    int
        The rank, 0.
    """
    global _simulation
    where = caller()
    own = ("rng_seed", "backend", "threads", "precision", "weight_bits")
    for key in extra:
        if key not in own and key not in _FOREIGN:
            known = {"timestep", "min_delay", "max_delay", *own}
            raise UnknownNameError(f"setup() has no argument '{key}'{suggest(key, known)}", where)
    step = _time(timestep, "timestep", where)
    if not step > 0:
        raise ParameterError(f"timestep must be positive, got {timestep!r}", where)
    least = step if min_delay == "auto" else _time(min_delay, "min_delay", where)
    most = None if max_delay == "auto" else _time(max_delay, "max_delay", where)
    if least < step * (1 - 1e-9):
        raise ParameterError(f"min_delay of {least:g} ms is shorter than the timestep of {step:g} ms", where)
    if most is not None and most < least:
        raise ParameterError(f"max_delay of {most:g} ms is shorter than min_delay of {least:g} ms", where)
    seeds = extra.get("rng_seeds") or [extra.get("grng_seed", extra.get("rng_seeds_seed", 42))]
    seed = extra.get("rng_seed", seeds[0])
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ParameterError(f"rng_seed must be a whole number from 0 to 2**63 - 1, got {seed!r}", where)
    if _simulation is not None:
        _simulation._close()
    pynn_random.restart(int(seed))
    _simulation = Simulation(step, least, most, int(seed), {k: v for k, v in extra.items() if k in own})
    return 0


def end(compatible_output: bool = True) -> None:
    """Write what ``record(..., to_file=...)`` was promised, and let the engine go."""
    sim = current()
    for population, variables, file in sim.write_on_end:
        population.write_data(file, variables)
    sim.write_on_end = []
    sim._close()


def run(simtime: float, callbacks: Sequence[Callable[[float], float]] | None = None) -> float:
    """Simulate for ``simtime`` ms more; returns the time reached. Callbacks as in :func:`run_until`."""
    where = caller()
    return run_until(current(where).t + _time(simtime, "the time to run", where), callbacks)


run_for = run


def run_until(time_point: float, callbacks: Sequence[Callable[[float], float]] | None = None) -> float:
    """Simulate until a time (ms), a whole number of steps.

    Parameters
    ----------
    callbacks : list of callables, optional
        Each is called with the current time, at first now, and returns when it wants to be called next.
    """
    where = caller()
    sim = current(where)
    target = _time(time_point, "the end of the run", where)
    steps, moved = whole(target, sim.timestep)
    if moved:
        low = int(target // sim.timestep)
        raise ParameterError(
            f"a run until {target:g} ms does not end on a step of {sim.timestep:g} ms; nearest: "
            f"{low * sim.timestep:g} or {(low + 1) * sim.timestep:g} ms", where)  # fmt: skip
    due = [(callback(sim.t), k) for k, callback in enumerate(callbacks or ())]
    while due and min(due)[0] < target - sim.timestep / 2:
        at = min(due)[0]
        sim.run_to(max(sim.steps, int(whole(at, sim.timestep)[0])), where)
        before = sim.steps
        now = {k for when, k in due if when < at + sim.timestep / 2}
        due = [(callbacks[k](sim.t), k) if k in now else (when, k) for when, k in due]  # type: ignore[index]
        for when, k in due:
            if k in now and whole(when, sim.timestep)[0] <= before:
                raise ParameterError(
                    f"a callback asks to be called again at {when:g} ms, and it is {sim.t:g} ms", where
                )
    sim.run_to(int(steps), where)
    return sim.t


def reset(annotations: dict[str, Any] | None = None) -> None:
    """Go back to t = 0: initial values again, a new segment of data, and random stimuli with new numbers."""
    current().reset(dict(annotations or {}))


def get_current_time() -> float:
    """Return the current time, ms."""
    return current().t


def get_time_step() -> float:
    """Return the step, ms."""
    return current().timestep


def get_min_delay() -> float:
    """Return the shortest delay, ms."""
    return current().min_delay


def get_max_delay() -> float:
    """Return the longest delay, ms: of ``setup``, or the longest there can be."""
    sim = current()
    return 65535 * sim.timestep if sim.max_delay is None else sim.max_delay


def num_processes() -> int:
    """Return the number of processes, 1."""
    return 1


def rank() -> int:
    """Return the number of this process, 0."""
    return 0


def network() -> Network:
    """Return the network that the script has described so far, as neurosim's own object (not part of PyNN)."""
    return importlib.import_module("neurosim.pynn.build").build(current())


def _time(value: Any, what: str, where: str | None) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not np.isfinite(value)
    ):
        raise ParameterError(f"{what} must be a number of milliseconds, got {value!r}", where)
    return float(value)

"""Current sources by PyNN's names (nA, ms, Hz, degrees), and the stimuli they become.

A source that starts at t acts in the step that starts there, and one that stops at t no longer does, as with NEST.
Times are taken to the nearest step.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurosim import Current, Param
from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.pynn.celltypes import lacking
from neurosim.pynn.values import whole
from neurosim.units import Hz, ms, nA

_FOREVER = 1e12

_WINDOW = "t > start - dt/2 and t < stop - dt/2"

_DC = Current(
    output=f"where({_WINDOW}, amplitude, 0*amplitude)",
    amplitude=Param(1.0 * nA, nA), start=Param(0 * ms, ms), stop=Param(_FOREVER * ms, ms), name="DCSource",
)  # fmt: skip
_AC = Current(
    output=f"where({_WINDOW}, offset + amplitude*sin(2*pi*frequency*(t - start) + phase), 0*amplitude)",
    amplitude=Param(1.0 * nA, nA), offset=Param(0.0 * nA, nA), frequency=Param(10 * Hz, Hz), phase=Param(0.0, 1),
    start=Param(0 * ms, ms), stop=Param(_FOREVER * ms, ms), name="ACSource",
)  # fmt: skip
_NOISE = Current(
    """
    count[n+1] = where(count > every - 1.5, 0*count, count + 1)
    x[n+1] = where(count > every - 1.5, normal(), x)
    """,
    output=f"where({_WINDOW}, mean + stdev*x, 0*mean)",
    init={"x": "normal()"},
    mean=Param(0.0 * nA, nA), stdev=Param(1.0 * nA, nA), every=Param(1.0, 1), start=Param(0 * ms, ms),
    stop=Param(_FOREVER * ms, ms), name="NoisyCurrentSource",
)  # fmt: skip


class StandardCurrentSource:
    """Base of the current sources; parameters are attributes."""

    default_parameters: dict[str, Any] = {}

    def __init__(self, **parameters: Any) -> None:
        self.where = caller()
        self.parameters = dict(self.default_parameters)
        self._used: Any = None
        self._take(parameters, self.where)

    def _take(self, parameters: dict[str, Any], where: str | None) -> None:
        for name, value in parameters.items():
            if name not in self.default_parameters:
                raise UnknownNameError(
                    f"{type(self).__name__} has no parameter '{name}'{suggest(name, self.default_parameters)}", where
                )
            array = np.asarray(getattr(value, "value", value))
            if array.dtype.kind not in "biuf" and array.size:
                raise ParameterError(f"{name} of {type(self).__name__} must be a number, got {value!r}", where)
            if not np.isfinite(array.astype(float)).all():
                raise ParameterError(f"{name} of {type(self).__name__} must be finite, got {value!r}", where)
            single = np.ndim(self.default_parameters[name]) == 0
            if single != (array.ndim == 0):
                wanted = "one number" if single else "a list of numbers"
                raise ParameterError(f"{name} of {type(self).__name__} must be {wanted}, got {value!r}", where)
            self.parameters[name] = float(array) if single else array.astype(float)

    def set(self, **parameters: Any) -> None:
        """Change parameters before the first run."""
        where = caller()
        if self._used is not None:
            self._used.changing(f"{type(self).__name__}.set()", where)
        self._take(parameters, where)

    def get_parameters(self) -> dict[str, Any]:
        """Return the parameters."""
        return dict(self.parameters)

    def __getattr__(self, name: str) -> Any:
        if name != "parameters" and name in self.__dict__.get("parameters", {}):
            return self.parameters[name]
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

    def inject_into(self, cells: Any) -> None:
        """Inject into a population, view or assembly, a cell, or a list of cells; from now on."""
        where = caller()
        state = importlib.import_module("neurosim.pynn.control").current(where)
        members = importlib.import_module("neurosim.pynn.assembly").members_of(cells, where)
        for population, _ in members:
            population._mine(where)
            if not population.celltype.injectable:
                raise ParameterError(
                    f"current cannot be injected into '{population.label}': a spike source has no membrane", where
                )
        self._used = state
        state.inject(self, members)

    def current(self, timestep: float, since: int) -> Current:
        """Return the stimulus, silent before step ``since``."""
        raise NotImplementedError(f"{type(self).__name__} says no current")

    def _window(self, timestep: float, since: int) -> dict[str, Any]:
        start, stop = (min(int(whole(self.parameters[k], timestep)[0]), 10**15) for k in ("start", "stop"))
        return {"start": max(start, since) * timestep * ms, "stop": stop * timestep * ms}


class DCSource(StandardCurrentSource):
    """Constant current in [start, stop)."""

    default_parameters = {"amplitude": 1.0, "start": 0.0, "stop": _FOREVER}

    def current(self, timestep: float, since: int) -> Current:
        return _DC(amplitude=self.parameters["amplitude"] * nA, **self._window(timestep, since))


class ACSource(StandardCurrentSource):
    """``offset + amplitude*sin(2 pi frequency (t - start) + phase)`` in [start, stop), phase in degrees."""

    default_parameters = {
        "amplitude": 1.0,
        "start": 0.0,
        "stop": _FOREVER,
        "frequency": 10.0,
        "offset": 0.0,
        "phase": 0.0,
    }

    def current(self, timestep: float, since: int) -> Current:
        p = self.parameters
        window = self._window(timestep, since)
        start = int(whole(p["start"], timestep)[0])
        phase = np.radians(p["phase"]) + 2e-3 * np.pi * p["frequency"] * max(0, since - start) * timestep
        return _AC(amplitude=p["amplitude"] * nA, offset=p["offset"] * nA, frequency=p["frequency"] * Hz,
                   phase=float(phase), **window)  # fmt: skip


class StepCurrentSource(StandardCurrentSource):
    """``amplitudes[k]`` from ``times[k]`` on; nothing before the first time, the last amplitude for ever."""

    default_parameters = {"amplitudes": np.zeros(0), "times": np.zeros(0)}

    def current(self, timestep: float, since: int) -> Current:
        times, amplitudes = self.parameters["times"], self.parameters["amplitudes"]
        if len(times) != len(amplitudes) or not len(times):
            raise ParameterError(
                f"a StepCurrentSource needs one amplitude per time, got {len(amplitudes)} and {len(times)}", self.where
            )
        if times[0] < 0 or np.any(np.diff(times) <= 0):
            raise ParameterError("times of a StepCurrentSource must ascend, from 0 or later", self.where)
        steps = np.maximum(whole(times, timestep)[0], since)
        last = np.append(np.diff(steps) > 0, True)  # of several in one step the last one counts
        step_current = importlib.import_module("neurosim.models.inputs").StepCurrent
        return step_current(steps[last] * timestep * ms, amplitudes[last] * nA)


class NoisyCurrentSource(StandardCurrentSource):
    """Normal numbers, a new one every ``dt`` (ms) and for every neuron, in [start, stop)."""

    default_parameters = {"mean": 0.0, "stdev": 1.0, "start": 0.0, "stop": _FOREVER, "dt": 0.1}

    def __init__(self, rng: Any = None, **parameters: Any) -> None:
        self.own_dt = "dt" in parameters
        super().__init__(**parameters)

    def current(self, timestep: float, since: int) -> Current:
        p = self.parameters
        every, moved = (1, False) if not self.own_dt else whole(p["dt"], timestep)
        if moved or every < 1:
            raise ParameterError(
                f"dt of a NoisyCurrentSource is {p['dt']:g} ms, which is no whole number of steps of {timestep:g} ms",
                self.where,
            )
        return _NOISE(mean=p["mean"] * nA, stdev=p["stdev"] * nA, every=float(every), **self._window(timestep, since))


NativeElectrodeType = lacking("NativeElectrodeType", "current source", "NEST's own devices are not there")

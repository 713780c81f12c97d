"""The result of a run: what was recorded, how it came about, and the first questions one asks of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from neurosim import analysis
from neurosim.analysis import RateTrace
from neurosim.errors import (
    ParameterError,
    ResultFileError,
    UnknownAttributeError,
    UnknownNameError,
    caller,
    suggest,
)
from neurosim.habits import RESULT, elsewhere
from neurosim.recording.records import Provenance, Recorded, Spikes, Trace, WeightTrace, as_float
from neurosim.units import Quantity, ms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurosim.recording.convert import Tables

_ROWS = 1 << 20  # spikes, or values, handed to the writer at a time


class SummaryRow(NamedTuple):
    """One population: rate in Hz, CV of the intervals, synchrony of 3 ms counts; NaN or None where not recorded."""

    population: str
    neurons: int
    spikes: int | None
    rate: float
    cv_isi: float
    synchrony: float


@dataclasses.dataclass(eq=False)
class RunResult:
    """What a run recorded.

    Attributes
    ----------
    populations : dict of str to int
        Size of every population, in the network's order.
    provenance : Provenance
        Network, seed, engine, versions, times, status.
    spikes : dict of str to Spikes
        By population. An unknown name raises `UnknownNameError` that says what was recorded (so in all dicts here).
    state : dict of str to dict of str to Trace
        By population, then by variable.
    population_rates : dict of str to RateTrace
        By population, from the probe "rate".
    weight_traces : dict of str to WeightTrace
        By projection.
    """

    populations: dict[str, int]
    provenance: Provenance
    spikes: dict[str, Spikes] = dataclasses.field(default_factory=dict)
    state: dict[str, dict[str, Trace]] = dataclasses.field(default_factory=dict)
    population_rates: dict[str, RateTrace] = dataclasses.field(default_factory=dict)
    weight_traces: dict[str, WeightTrace] = dataclasses.field(default_factory=dict)
    _weights: Callable[[str], Any] | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, spikes in self.spikes.items():
            if spikes.dt != self.provenance.dt or self.populations.get(name) != spikes.size:
                raise ParameterError(f"spikes of '{name}' disagree with the result about dt or the population's size")
        known = tuple(self.populations)
        state = {name: Recorded(traces, f"variable '{{}}' of '{name}'") for name, traces in self.state.items()}
        self.spikes = Recorded(self.spikes, "spikes of '{}'", known, 'net.record({}, "spikes")')
        self.state = Recorded(state, "variables of '{}'", known, 'net.record({}, "v")')
        rates = self.population_rates
        self.population_rates = Recorded(rates, "rate of '{}' over time", known, 'net.record({}, "rate")')
        self.weight_traces = Recorded(self.weight_traces, "weight trace of '{}'")

    def __repr__(self) -> str:
        p = self.provenance
        spikes = sum(len(s) for s in self.spikes.values())
        return f"RunResult('{p.network}', {p.n_steps * p.dt:g} s on {p.backend or '?'}, {spikes} spikes, {p.status})"

    if not TYPE_CHECKING:  # which shall go on to refuse what is not there

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # copy and pickle ask for these before there is anything
                raise AttributeError(name)
            raise UnknownAttributeError(f"the result of a run has no '{name}'{elsewhere(name, RESULT)}", caller())

    # -- questions

    @overload
    def rates(self, population: str, start: Quantity | None = None, stop: Quantity | None = None) -> float: ...
    @overload
    def rates(
        self, population: None = None, start: Quantity | None = None, stop: Quantity | None = None
    ) -> dict[str, float]: ...

    def rates(self, population: str | None = None, start: Quantity | None = None, stop: Quantity | None = None) -> Any:
        """Mean rate in Hz over recorded neurons, of one population or of all (a dict), in [start, stop)."""
        return self._each(population, lambda s: analysis.rate(s, start, stop))

    @overload
    def cv_isi(self, population: str, min_spikes: int = 3) -> float: ...
    @overload
    def cv_isi(self, population: None = None, min_spikes: int = 3) -> dict[str, float]: ...

    def cv_isi(self, population: str | None = None, min_spikes: int = 3) -> Any:
        """Mean CV of the intervals over neurons with at least ``min_spikes`` spikes (see `analysis.cv_isi`)."""
        return self._each(population, lambda s: analysis.cv_isi(s, min_spikes))

    def _each(self, population: str | None, measure: Callable[[Spikes], float]) -> Any:
        if population is not None:
            return measure(self.spikes[population])
        return {name: measure(spikes) for name, spikes in self.spikes.items()}

    def events(self, population: str, event: str) -> Spikes:
        """Return when an event of a cell happened (:class:`neurosim.Event`), from the samples of its probe.

        An event between two samples is found where no other follows before the second: sample at least once in the
        event's refractory period, or in every step, which is the default.

        Parameters
        ----------
        population, event : str
            As they were recorded: ``net.record(population, event)``.

        Returns
        -------
        Spikes
            The same type as that of the threshold's spikes: steps and neurons.
        """
        trace = self.state[population][event]
        p, size = self.provenance, self.populations[population]
        if np.any(trace.values < 0) or np.any(trace.values != np.rint(trace.values)):
            raise ParameterError(f"'{event}' of '{population}' is no event: its samples are not numbers of steps")
        steps = np.rint(trace.times / p.dt).astype(np.int64) - 1  # a sample stands at the end of its step
        since = np.diff(steps, prepend=-1)[:, None]
        when, column = np.nonzero(trace.values < since)  # younger than the sample before
        at = steps[when] - trace.values[when, column].astype(np.int64)
        return Spikes(at, trace.ids[column], size, p.dt, p.n_steps, 0, None if len(trace.ids) == size else trace.ids)

    def weights(self, projection: str) -> np.ndarray:
        """Return the weights of a projection (SI) as they stood at the end of the run."""
        if self._weights is None:
            raise UnknownNameError(
                f"this result holds no weights of '{projection}'; "
                f"result.save(path, weights=['{projection}']) keeps them in the file",
                caller(),
            )
        return self._weights(projection)

    def summary(self, start: Quantity | None = None) -> list[SummaryRow]:
        """One row a population; ``start`` leaves out the transient before it."""
        rows = []
        for name, size in self.populations.items():
            spikes = self.spikes.get(name)
            if spikes is None:
                rows.append(SummaryRow(name, size, None, np.nan, np.nan, np.nan))
                continue
            cv, together = analysis.cv_isi(spikes, start=start), analysis.synchrony(spikes, skip=start)
            rows.append(SummaryRow(name, size, len(spikes), analysis.rate(spikes, start), cv, together))
        return rows

    # -- pictures and files

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        start: Quantity | None = None,
        stop: Quantity | None = None,
        size: tuple[float, float] | None = None,
    ) -> Figure:
        """Draw raster, mean rates, population rates over time, and recorded variables.

        Parameters
        ----------
        path : str or os.PathLike, optional
            Where to save the figure; the suffix names the format (PNG when there is none).
        start, stop : Quantity, optional
            Window of time to show.
        size : tuple of float, optional
            Width and height in inches.
        """
        from neurosim.recording.plot import draw

        return draw(self, path, start, stop, size)

    def animate(
        self,
        path: str | os.PathLike[str],
        kind: str = "raster",
        start: Quantity | None = None,
        stop: Quantity | None = None,
        slower: float = 10.0,
        fps: int = 20,
        tau: Quantity = 20 * ms,
    ) -> None:
        """Write a film of the run, as a GIF.

        Parameters
        ----------
        path : str or os.PathLike
            It ends in ``.gif``.
        kind : {"raster", "activity"}
            The raster and the rates as they grow; or a map of each population with a square a neuron, in their order,
            which lights up with a spike and fades.
        start, stop : Quantity, optional
            Window of time to show.
        slower : float
            Seconds that a biological second takes.
        fps : int
            Frames a second, 50 at most.
        tau : Quantity
            Of the fading.

        Raises
        ------
        ParameterError
            If no spikes were recorded, or the film would have more than 1,000 frames.
        """
        from neurosim.recording.animate import animate

        animate(self, path, kind, start, stop, slower, fps, tau)

    def save(self, path: str | os.PathLike[str], weights: Iterable[str] = ()) -> None:
        """Write the result as HDF5 in the SONATA layout, whole or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            Results file; an existing one is replaced only when the new one is complete.
        weights : iterable of str
            Projections whose final weights are to be kept too.

        Raises
        ------
        ResultFileError
            If it cannot be written; says why.
        """
        from neurosim.recording.sonata import StreamWriter

        final = {name: as_float(self.weights(name)) for name in weights}
        writer = StreamWriter(path, self.provenance, self.populations)
        try:
            for name, spikes in self.spikes.items():
                writer.record_spikes(name, spikes.recorded, spikes.start_step, spikes.n_steps)
                for k in range(0, len(spikes), _ROWS):
                    writer.spikes(name, spikes.steps[k : k + _ROWS], spikes.ids[k : k + _ROWS])
            for name, traces in self.state.items():
                for variable, trace in traces.items():
                    rows = max(1, _ROWS // max(1, len(trace.ids)))
                    for k in range(0, max(1, len(trace)), rows):
                        piece = slice(k, k + rows)
                        writer.trace(name, variable, trace.times[piece], trace.values[piece], trace.ids, trace.unit)
            for name, rate in self.population_rates.items():
                writer.rate(name, rate)
            for name, trace in self.weight_traces.items():
                writer.weight_trace(name, trace.times, trace.values, trace.edges, trace.unit)
            for name, values in final.items():
                writer.weights(name, values)
            writer.close(self.provenance)
        except BaseException:
            writer.abort()
            raise

    # -- other tools

    def to_pandas(self) -> Tables:
        """Return data frames of pandas: ``spikes``, ``state``, ``rates`` and ``weights``, in SI units.

        A spike found in step n stands at n dt, as in this result.

        Raises
        ------
        BackendMissingError
            If pandas is not installed.
        """
        from neurosim.recording.convert import to_pandas

        return to_pandas(self)

    def to_xarray(self) -> Any:
        """Return an ``xarray.DataTree``: ``tree["exc/v"]["v"].sel(neuron=3)``, ``tree["exc/spikes"]["t"]``, ….

        Under each population stand ``spikes`` (times and neurons), ``rate`` and its recorded variables over ``t`` and
        ``neuron``; under each projection its recorded ``weight`` over ``t`` and ``edge``. SI units, named in the
        attributes; a spike found in step n stands at n dt.

        Raises
        ------
        BackendMissingError
            If xarray is not installed.
        """
        from neurosim.recording.convert import to_xarray

        return to_xarray(self)

    def to_neo(self) -> Any:
        """Return a ``neo.Block`` of one segment: a train for each recorded neuron, and a signal of all else.

        Neo's users expect a spike at the end of its step, (n + 1) dt, as NEST and SONATA have it; so it is here.

        Raises
        ------
        BackendMissingError
            If Neo is not installed.
        """
        from neurosim.recording.convert import to_neo

        return to_neo(self)

    def to_nwb(self, path: str | os.PathLike[str], description: str | None = None) -> None:
        """Write a file of Neurodata Without Borders: units with their spikes, time series, and the provenance.

        Parameters
        ----------
        path : str or os.PathLike
            Written as a whole or not at all.
        description : str, optional
            Of the session.

        Raises
        ------
        BackendMissingError
            If pynwb is not installed.
        ResultFileError
            If the file cannot be written.
        """
        from neurosim.recording.convert import to_nwb

        to_nwb(self, path, description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RunResult:
        """Read a result that `save` or a streaming run wrote; it is equal bit for bit.

        Raises
        ------
        ResultFileError
            If the file is missing, truncated, damaged or not a neurosim result.
        """
        from neurosim.recording.sonata_read import read_result

        return cls.of(read_result(path), path)

    @classmethod
    def of(cls, read: Any, path: str | os.PathLike[str]) -> RunResult:
        """Return what a file held (`neurosim.recording.sonata_read.Contents`) as a result."""
        try:
            return cls(
                read.populations,
                read.provenance,
                read.spikes,
                read.state,
                read.population_rates,
                read.weight_traces,
                _Loaded(read.weights, os.fspath(path)) if read.weights else None,
            )
        except ParameterError as error:  # its parts contradict each other
            raise ResultFileError(f"'{os.fspath(path)}' is damaged: {error.message}", caller()) from None


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """Weights that came with a results file."""

    held: Mapping[str, np.ndarray]
    path: str

    def __call__(self, projection: str) -> np.ndarray:
        if projection not in self.held:
            raise UnknownNameError(f"'{self.path}' holds no weights of '{projection}'{suggest(projection, self.held)}",
                                   caller())  # fmt: skip
        return self.held[projection]

"""A result as the objects and files of other tools: Neo, pandas, xarray, and Neurodata Without Borders.

Tables for pandas and xarray keep our convention, as everything in a result does: a spike found in step n stands at
n dt. Neo blocks and NWB files follow theirs, as SONATA files do: the spike stands at the end of its step, (n + 1) dt,
where the samples of its step stand too.
"""

from __future__ import annotations

import importlib
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, caller
from neurosim.recording.records import Spikes, Trace, WeightTrace
from neurosim.recording.safe import sealed

if TYPE_CHECKING:
    from neurosim.recording.result import RunResult

STAMP = "the end of the step in which the spike was found"


def _library(name: str, what: str, package: str | None = None) -> Any:
    """Return a module that a conversion needs, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BackendMissingError(
            f"{what} needs {package or name}, which is not installed: pip install {package or name}", caller()
        ) from None


class Tables(NamedTuple):
    """A result as data frames of pandas; all in SI units.

    Attributes
    ----------
    spikes : pandas.DataFrame
        A row a spike, in the order of time: ``t``, ``population`` (a category), ``neuron``.
    state : pandas.DataFrame
        Recorded variables: index ``t``, columns (population, variable, neuron). Where variables were sampled at
        different times, what was not sampled is NaN.
    rates : pandas.DataFrame
        Rates of populations over time: index ``t`` (the left edge of each bin), a column a population.
    weights : pandas.DataFrame
        Recorded weights: index ``t``, columns (projection, edge).
    """

    spikes: Any
    state: Any
    rates: Any
    weights: Any


def to_pandas(result: RunResult) -> Tables:
    """Return the result as tables; see `RunResult.to_pandas`."""
    pd = _library("pandas", "to_pandas()")
    names = list(result.spikes)
    sizes = [len(s) for s in result.spikes.values()]
    whose = pd.Categorical.from_codes(np.repeat(np.arange(len(names)), sizes), categories=names)
    nothing = np.zeros(0)
    spikes = pd.DataFrame(
        {
            "t": np.concatenate([nothing, *(s.t for s in result.spikes.values())]),
            "population": whose,
            "neuron": np.concatenate([nothing, *(s.ids for s in result.spikes.values())]).astype(np.int64),
        }
    )
    spikes = spikes.sort_values("t", kind="stable", ignore_index=True)

    def table(parts: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray, np.ndarray]], levels: list[str]) -> Any:
        frames = []
        for key, (times, columns, values) in parts.items():
            header = pd.MultiIndex.from_tuples([(*key, int(k)) for k in columns], names=levels)
            frames.append(pd.DataFrame(values, index=pd.Index(times, name="t"), columns=header))
        if not frames:
            return pd.DataFrame(
                index=pd.Index([], name="t", dtype=float),
                columns=pd.MultiIndex.from_arrays([[]] * len(levels), names=levels),
            )
        return pd.concat(frames, axis=1).sort_index()

    state = table(
        {(name, v): (x.times, x.ids, x.values) for name, held in result.state.items() for v, x in held.items()},
        ["population", "variable", "neuron"],
    )
    weights = table(
        {(name,): (w.times, w.edges, w.values) for name, w in result.weight_traces.items()}, ["projection", "edge"]
    )
    rates = [pd.Series(r.values, index=pd.Index(r.times, name="t"), name=name)
             for name, r in result.population_rates.items()]  # fmt: skip
    empty = pd.DataFrame(index=pd.Index([], name="t", dtype=float))
    return Tables(spikes, state, pd.concat(rates, axis=1).sort_index() if rates else empty, weights)


def to_xarray(result: RunResult) -> Any:
    """Return the result as a tree of datasets; see `RunResult.to_xarray`."""
    xr = _library("xarray", "to_xarray()")
    p = result.provenance
    tree: dict[str, Any] = {
        "/": xr.Dataset(
            attrs={
                "network": p.network,
                "network_hash": p.network_hash,
                "seed": p.seed,
                "dt": p.dt,
                "duration": p.n_steps * p.dt,
                "backend": p.backend,
                "status": p.status,
                "units": "SI; a spike found in step n is at n dt",
            }
        )
    }
    for name, spikes in result.spikes.items():
        tree[f"/{name}/spikes"] = xr.Dataset(
            {"neuron": ("spike", spikes.ids)}, {"t": ("spike", spikes.t, {"units": "s"})}, {"size": spikes.size}
        )
    for name, held in result.state.items():
        for variable, trace in held.items():
            tree[f"/{name}/{variable}"] = _dataset(xr, variable, trace.times, "neuron", trace.ids, trace)
    for name, rate in result.population_rates.items():
        tree[f"/{name}/rate"] = xr.Dataset(
            {"rate": ("t", rate.values, {"units": "Hz"})}, {"t": ("t", rate.times, {"units": "s"})}
        )
    for name, trace in result.weight_traces.items():
        tree[f"/{name}/weight"] = _dataset(xr, "weight", trace.times, "edge", trace.edges, trace)
    return xr.DataTree.from_dict(tree, name=p.network or None)


def _dataset(xr: Any, name: str, times: np.ndarray, axis: str, who: np.ndarray, trace: Trace | WeightTrace) -> Any:
    values = {name: (("t", axis), trace.values, {"units": trace.unit})}
    return xr.Dataset(values, {"t": ("t", times, {"units": "s"}), axis: (axis, who)})


def to_neo(result: RunResult) -> Any:
    """Return the result as a Neo block; see `RunResult.to_neo`."""
    neo, pq = _library("neo", "to_neo()"), _library("quantities", "to_neo()")
    p = result.provenance
    stop = p.n_steps * p.dt
    block = neo.Block(name=p.network, rec_datetime=_started(p.started).replace(tzinfo=None))
    block.annotate(
        simulator="neurosim", backend=p.backend, seed=p.seed, dt=p.dt, network_hash=p.network_hash, stamp=STAMP
    )
    segment = neo.Segment(name=p.network)
    block.segments.append(segment)
    for name, spikes in result.spikes.items():
        for neuron, times in _stamped(spikes):
            segment.spiketrains.append(
                neo.SpikeTrain(times, units="s", t_stop=stop, name=f"{name}[{neuron}]", source_population=name,
                               source_index=neuron)
            )  # fmt: skip
    signals = [(f"{name}.{v}", x.times, x.values, x.unit, {"neuron": x.ids}, {"source_population": name})
               for name, held in result.state.items() for v, x in held.items()]  # fmt: skip
    signals += [(f"{name}.rate", r.times, r.values[:, None], "Hz", {}, {"source_population": name})
                for name, r in result.population_rates.items()]  # fmt: skip
    signals += [(f"{name}.weight", w.times, w.values, w.unit, {"edge": w.edges}, {"source_projection": name})
                for name, w in result.weight_traces.items()]  # fmt: skip
    for name, times, values, unit, columns, notes in signals:
        unit, told = _neo_unit(pq, unit)
        common = {"units": unit, "name": name, "array_annotations": columns, **notes, **told}
        period = _even(times)
        if period is not None:
            segment.analogsignals.append(
                neo.AnalogSignal(values, t_start=times[0] * pq.s, sampling_period=period * pq.s, **common)
            )
        elif len(times):
            segment.irregularlysampledsignals.append(
                neo.IrregularlySampledSignal(times, values, time_units="s", **common)
            )
    return block


def _neo_unit(pq: Any, unit: str) -> tuple[Any, dict[str, str]]:
    """Return an SI unit as quantities knows it, and what else to say of it."""
    if unit in ("", "1"):
        return "dimensionless", {}
    try:
        return pq.Quantity(1.0, unit.replace("^", "**").replace(" ", "*")).units, {}
    except LookupError:
        return "dimensionless", {"si_unit": unit}


def to_nwb(result: RunResult, path: str | os.PathLike[str], description: str | None = None) -> None:
    """Write the result as a file of Neurodata Without Borders; see `RunResult.to_nwb`."""
    pynwb = _library("pynwb", "to_nwb()")
    where, p = caller(), result.provenance
    if description is not None and not isinstance(description, str):
        raise ParameterError(f"description is text, got {type(description).__name__}", where)
    file = pynwb.NWBFile(
        session_description=description or f"simulation of '{p.network}' by neurosim, {p.n_steps * p.dt:g} s",
        identifier=str(uuid.uuid4()),
        session_start_time=_started(p.started),
        source_script=_told(p),
        source_script_file_name="neurosim",
    )
    if result.spikes:
        told = f"all recorded neurons; a spike is stamped with {STAMP}"
        file.units = pynwb.misc.Units(name="units", description=told)
        file.add_unit_column("population", "population of the neuron")
        file.add_unit_column("neuron", "number of the neuron in its population, from 0")
        for name, spikes in result.spikes.items():
            begin_s, end_s = spikes.start_step * spikes.dt, (spikes.start_step + spikes.n_steps) * spikes.dt
            for neuron, times in _stamped(spikes):
                file.add_unit(spike_times=times, obs_intervals=[[begin_s, end_s]], population=name, neuron=neuron)
    for name, held in result.state.items():
        for variable, x in held.items():
            file.add_acquisition(
                _series(pynwb, f"{name}.{variable}", x, f"'{variable}' of neurons {_list(x.ids)} of '{name}'")
            )
    for name, r in result.population_rates.items():
        rate = Trace("rate", "Hz", np.zeros(1, np.int64), r.times, r.values[:, None])
        file.add_acquisition(_series(pynwb, f"{name}.rate", rate, f"mean rate of '{name}' from each time to the next"))
    for name, w in result.weight_traces.items():
        file.add_acquisition(_series(pynwb, f"{name}.weight", w, f"weights of edges {_list(w.edges)} of '{name}'"))
    with sealed(path, None) as (opened, _), pynwb.NWBHDF5IO(file=opened, mode="w") as io:
        io.write(file)


def _series(pynwb: Any, name: str, trace: Trace | WeightTrace, description: str) -> Any:
    period = _even(trace.times)
    when = (
        {"timestamps": trace.times} if period is None else {"rate": 1 / period, "starting_time": float(trace.times[0])}
    )
    unit = trace.unit or "1"
    return pynwb.TimeSeries(name=name.replace("/", "_"), data=trace.values, unit=unit, description=description, **when)


def _told(p: Any) -> str:
    """Return the provenance as lines of text."""
    fields = ("network", "network_hash", "seed", "dt", "backend", "backend_version", "precision", "threads", "status")
    versions = ", ".join(f"{name} {version}" for name, version in p.versions.items())
    overrides = "".join(f"\nset {key}={value}" for key, value in p.overrides.items())
    return "\n".join(f"{name}: {getattr(p, name)}" for name in fields) + f"\nversions: {versions}{overrides}"


def _list(ids: np.ndarray) -> str:
    """Return all numbers, those that follow one another as a range."""
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    runs = np.split(ids, breaks)
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs if len(r))


def _stamped(spikes: Spikes) -> list[tuple[int, np.ndarray]]:
    """Return every recorded neuron with its spikes, in seconds, at the end of their steps."""
    order = np.argsort(spikes.ids, kind="stable")
    times = (spikes.steps[order] + 1) * spikes.dt
    who = np.arange(spikes.size) if spikes.recorded is None else spikes.recorded
    first, last = (np.searchsorted(spikes.ids[order], who, side) for side in ("left", "right"))
    return [(n, times[a:b]) for n, a, b in zip(who.tolist(), first, last, strict=True)]


def _even(times: np.ndarray) -> float | None:
    """Return the interval of times that are evenly spaced, None of others."""
    if len(times) < 2:
        return None
    period = (times[-1] - times[0]) / (len(times) - 1)
    return float(period) if np.all(np.abs(np.diff(times) - period) < 1e-6 * period) else None


def _started(text: str) -> datetime:
    """Return when the run began; the epoch where that is not known."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime(1970, 1, 1)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

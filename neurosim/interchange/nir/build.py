"""A NIR graph as a network: neurons as populations, what lies between them as projections, biases as currents.

Time. NIR's edges take no time, and a spike of a neuron acts on the next one in the same step, as in simulators that go
through a graph layer by layer. Here a spike takes at least a step. So a population runs some steps behind the graph,
its *lag*, and delays are such that all paths to a neuron agree: what the graph does in step n a population does in step
n + lag. In a loop, every edge takes one step, which for a layer with recurrent weights is what others do too.
"""

from __future__ import annotations

import importlib
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError, ParameterError, UnsupportedError, suggest
from neurosim.interchange.nir import cells
from neurosim.interchange.nir.file import STUMBLES, Flat, Origin, checked, components, read_graph, require
from neurosim.interchange.nir.maps import LINEAR, Signals, kernel, numbers, unrolled
from neurosim.interchange.sonata.files import display
from neurosim.ir.edges import MAX_DELAY
from neurosim.ir.rules import Convolution, EdgeList
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.names import free_name, legal_name
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity, scalar

CHOICES = {"scheme": ("exact", "euler"), "reset": tuple(cells.RESETS), "integrators": ("step", "second"),
           "delays": ("exact", "round")}  # fmt: skip

GIVEN = "inputs"
"""The stimulus that brings in what was given for the Inputs."""

MAX_CURRENT = 1 << 31
"""Bytes of a layer's input over time that are made at most."""


@dataclass
class Circuit:
    """What was read.

    Attributes
    ----------
    network : Network
        Ready to run; it records the spikes of every neuron, and the potentials of those that only integrate.
    duration : Quantity or None
        Of the inputs that were given, and the lag of the last population.
    populations : dict
        NIR's name of a neuron, or of an Output, -> population.
    lags : dict
        The same names -> steps that it is behind the graph.
    shapes : dict
        The same names -> shape of the node.
    notes : list of str
        What was understood in a way that the user should know of.
    """

    network: Network
    duration: Quantity | None
    populations: dict[str, Any]
    lags: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    notes: list[str] = field(default_factory=list)

    def output(self, result: Any, name: str) -> np.ndarray:
        """Return what a node did, by the graph's own steps: [steps, *shape], spikes as 0 or 1, or potentials.

        Parameters
        ----------
        result : RunResult
            Of the network.
        name : str
            A neuron or an Output, as NIR calls it.
        """
        if name in self.populations and self.populations[name].cell.schedule is not None:
            raise ParameterError(f"'{name}' is an Input: it gives out what it is given")
        if name not in self.populations:
            raise ParameterError(f"the graph has no neuron or Output '{name}'{suggest(name, self.populations)}")
        pop, lag, shape = self.populations[name], self.lags[name], self.shapes[name]
        if pop.cell.threshold is None:
            values = result.state[pop.label]["v"].values
            return np.asarray(values)[lag:].reshape(-1, *shape)
        spikes = result.spikes[pop.label]
        total = result.provenance.n_steps
        out = np.zeros((max(total - lag, 0), pop.n), np.float32)
        kept = spikes.steps >= lag
        out[spikes.steps[kept] - lag, spikes.ids[kept]] = 1
        return out.reshape(-1, *shape)


def read_network(
    path: str,
    *,
    dt: Quantity | None = None,
    inputs: Mapping[str, Any] | Any = None,
    scheme: str | None = None,
    reset: str | None = None,
    integrators: str | None = None,
    delays: str = "exact",
    seed: int = 0,
) -> Circuit:
    """Read a NIR graph.

    Parameters
    ----------
    path : str
        The file.
    dt : Quantity, optional
        The step: NIR has none. May be left out where neurosim wrote the file.
    inputs : array, mapping of str to array, or path, optional
        Input node -> values [steps, *its shape]: spikes as 0 and 1, or anything else; or a file for `read_inputs`. They
        enter without delay. Without them an Input is a population, to be given spikes later
        (``module({"input": spikes})``).
    scheme : {"exact", "euler"}, optional
        NIR's equations solved exactly, or by the steps of snnTorch, Norse and others. Exact by default.
    reset : {"value", "subtract"}, optional
        After a spike v becomes v_reset, which is NIR's definition, or is lowered by the threshold, which is what many
        files were trained with: the file does not say.
    integrators : {"step", "second"}, optional
        I and IF have no time constant: they add ``r*input`` once a step, as simulators do, or per second, as NIR's
        equation says.
    delays : {"exact", "round"}
        Delays must be whole numbers of steps, or are rounded.
    seed : int
        Of the network.

    Raises
    ------
    NeurosimError
        A file that is missing or damaged, a graph that cannot be a network here: a sentence that names it.
    """
    flat = read_graph(path)
    shown = display(path)
    chosen = _conventions(flat, {"scheme": scheme, "reset": reset, "integrators": integrators, "delays": delays})
    if dt is None and "dt" not in flat.conventions:
        raise ParameterError(f"'{shown}' has no time step, as NIR has none: give it with --set dt=0.1ms")
    step = Quantity(flat.conventions["dt"], TIME) if dt is None else dt
    builder = _Builder(flat, shown, scalar(step, TIME, "dt"), chosen)
    builder.survey()
    if isinstance(inputs, str):
        inputs = read_inputs(inputs, step)
    return builder.build(step, _given(flat, inputs, shown), seed)


def _conventions(flat: Flat, asked: Mapping[str, str | None]) -> dict[str, str]:
    out = {}
    for key, legal in CHOICES.items():
        value = asked[key] or flat.conventions.get(key) or legal[0]
        if value not in legal:
            raise ParameterError(f"{key} must be {' or '.join(repr(x) for x in legal)}, got {value!r}")
        out[key] = value
    return out


def _given(flat: Flat, inputs: Any, shown: str) -> dict[str, np.ndarray] | None:
    """Return Input -> [steps, size], checked."""
    if inputs is None:
        return None
    if not flat.inputs:
        raise ParameterError(f"'{shown}' has no Input to give anything to")
    if not isinstance(inputs, Mapping):
        if len(flat.inputs) != 1:
            raise ParameterError(f"'{shown}' has the inputs {', '.join(flat.inputs)}: give a mapping from these to "
                                 "arrays")  # fmt: skip
        inputs = {flat.inputs[0]: inputs}
    out = {}
    for name, values in inputs.items():
        if name not in flat.inputs:
            raise ParameterError(f"'{shown}' has no input '{name}'{suggest(str(name), flat.inputs)}")
        shape = _shape(flat.nodes[name])
        try:
            array = np.asarray(values)
            if array.dtype.kind not in "biuf":
                raise TypeError(f"it is {array.dtype}")
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"the input '{name}' is no array of real numbers: {error}") from None
        if array.ndim < 1 or array.shape[1:] not in (shape, (int(np.prod(shape)),)):
            raise ParameterError(f"the input '{name}' must be [steps, {', '.join(str(k) for k in shape)}], got "
                                 f"{list(array.shape)}")  # fmt: skip
        if not np.all(np.isfinite(array)):
            raise ParameterError(f"the input '{name}' is not finite everywhere")
        out[name] = array.reshape(len(array), int(np.prod(shape)))
    missing = [name for name in flat.inputs if name not in out]
    if missing:
        raise ParameterError(f"the input '{missing[0]}' of '{shown}' is not given")
    if len({len(x) for x in out.values()}) > 1:
        raise ParameterError(f"the inputs have {sorted({len(x) for x in out.values()})} steps: give all as many")
    return out


def _shape(node: Any) -> tuple[int, ...]:
    given = node.output_type["output"]
    return tuple(int(k) for k in np.asarray(given).ravel())


class _Builder:
    """Takes a graph apart: what arrives where, who is behind whom."""

    def __init__(self, flat: Flat, shown: str, dt: float, chosen: dict[str, str]) -> None:
        self.flat, self.shown, self.dt, self.chosen = flat, shown, dt, chosen
        self.arriving: dict[str, Signals] = {}
        self.aliases: dict[str, str] = {}
        self.neurons = [n for n, node in flat.nodes.items() if type(node).__name__ in cells.SPIKING + cells.GRADED]
        self.notes: list[str] = []
        self.labels: dict[str, str] = {}  # projection -> the linear node that it is

    def survey(self) -> None:
        """Find what arrives at every neuron and Output."""
        from scipy import sparse

        nodes, edges = self.flat.nodes, self.flat.edges
        before: dict[str, list[str]] = {name: [] for name in nodes}
        for a, b in edges:
            before[b].append(a)
        linear = [n for n, node in nodes.items() if type(node).__name__ in LINEAR]
        known = set(linear)
        among = [(a, b) for a, b in edges if a in known and b in known]
        for name in self.flat.inputs:
            if before[name]:
                raise UnsupportedError(f"'{self.shown}': an edge leads from '{before[name][0]}' into the Input "
                                       f"'{name}'")  # fmt: skip
        signals: dict[str, Signals] = {}
        for group in components(linear, among):
            if len(group) > 1 or (group[0], group[0]) in among:
                raise UnsupportedError(f"'{self.shown}': {', '.join(group)} form a loop without a neuron in it")

        def of(name: str) -> Signals:
            if name in self.neurons or name in self.flat.inputs:
                size = int(np.prod(_shape(nodes[name])))
                return Signals({(name, 0): sparse.identity(size, format="csr")})
            return signals[name]

        def gathered(name: str) -> Signals:
            total = Signals()
            for other in before[name]:
                total.add(of(other))
            return total

        for (name,) in components(linear, among):
            if name in self.flat.inputs:
                continue
            delays = self._steps(name) if type(nodes[name]).__name__ == "Delay" else None
            signals[name] = gathered(name).through(name, nodes[name], delays)
        for name in self.neurons:
            self.arriving[name] = gathered(name)
        for name in self.flat.outputs:
            found = signals[name]
            only = next(iter(found.terms), (None, 0))
            if len(found.terms) == 1 and only[0] in self.neurons and _is_identity(found.terms[only]):
                self.aliases[name] = str(only[0])
            else:
                self.arriving[name] = found
        self._graded()

    def _graded(self) -> None:
        for name, signal in self.arriving.items():
            for source, _ in signal.terms:
                kind = type(self.flat.nodes[source]).__name__ if source is not None else ""
                if kind in cells.GRADED:
                    raise UnsupportedError(f"'{self.shown}': the potential of '{source}' ({kind}) goes on to '{name}': "
                                           "only spikes do here; a neuron without spikes can lead to an Output "
                                           "alone")  # fmt: skip

    def _steps(self, name: str) -> np.ndarray:
        given = numbers(self.flat.nodes[name], "delay", f"node '{name}'").ravel()
        if np.any(given < 0):
            raise ParameterError(f"'{self.shown}': a delay of the node '{name}' is negative")
        if np.any(given > MAX_DELAY * self.dt):
            raise ParameterError(f"'{self.shown}': a delay of the node '{name}' is {given.max():g} s; the longest are "
                                 f"{MAX_DELAY} steps, {MAX_DELAY * self.dt:g} s")  # fmt: skip
        if self.chosen["delays"] == "round":
            return np.rint(given / self.dt).astype(np.int64)
        each = {d: whole_steps(float(d), self.dt, f"a delay of the node '{name}'", None) for d in np.unique(given)}
        return np.array([each[d] for d in given], dtype=np.int64)

    def lags(self, sources: list[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Return name -> how many steps it is behind the graph, and name -> loop that it belongs to."""
        names = [*sources, *self.arriving]
        edges = [(s, name) for name, signal in self.arriving.items() for s, _ in signal.terms if s in names]
        loop, lag = {}, {}
        for k, group in enumerate(components(names, [(str(a), b) for a, b in edges])):
            loop |= dict.fromkeys(group, k)
            behind = [lag[s] + 1 - d for name in group if name in self.arriving
                      for s, d in self.arriving[name].terms if s in names and s not in group]  # fmt: skip
            lag |= dict.fromkeys(group, max([0, *behind]))
            if len(group) > 1:
                self.notes.append(f"{', '.join(group)} form a loop: each of its edges takes a step of its own")
        return lag, loop

    def build(self, dt: Quantity, given: dict[str, np.ndarray] | None, seed: int) -> Circuit:
        """Make the network."""
        models = importlib.import_module("neurosim.models")
        nodes = self.flat.nodes
        sources = self.flat.inputs if given is None else []
        lag, loop = self.lags(sources)
        net = Network(legal_name(self.shown.rpartition("/")[2].removesuffix(".nir")), dt=dt, seed=seed)
        pops: dict[str, Any] = {}
        taken: set[str] = set()
        options = self.chosen["scheme"], self.chosen["reset"], self.chosen["integrators"]
        for name in [*sources, *self.arriving]:
            label = free_name(legal_name(name), taken)
            taken.add(label)
            if name in sources:
                cell = models.SpikeSource(Quantity(np.zeros(0), TIME), np.zeros(0, np.int64))
            else:
                begin = (lag[name] - 0.5) * self.dt  # in the middle of a step: no time is compared with itself
                cell = cells.readout() if name in self.flat.outputs else cells.cell_of(nodes[name], *options, begin)
            pops[name] = net.population(label, int(np.prod(_shape(nodes[name]))), cell)
        total = len(next(iter(given.values()), ())) if given else 0
        end = total + max((lag[n] for n in self.arriving), default=0)
        for name, signal in self.arriving.items():
            self._connect(net, pops, name, signal, lag, loop)
            self._constant(net, pops[name], signal, lag[name])
            if given:
                self._enter(net, pops[name], signal, given, lag[name], end)
        for name in self.arriving:
            net.record(pops[name], "v" if pops[name].cell.threshold is None else "spikes")
        pops |= {out: pops[name] for out, name in self.aliases.items()}
        lag |= {out: lag[name] for out, name in self.aliases.items()}
        self._remark(lag, sources)
        projections = {label: node for label, node in self.labels.items()}
        net.origin["nir"] = Origin(self.flat, {pops[n].label: n for n in (*sources, *self.arriving)}, projections,
                                   {out: pops[n].label for out, n in self.aliases.items()}, given is None)  # fmt: skip
        duration = None if given is None else Quantity(end * self.dt, TIME)
        net.default_duration = duration
        return Circuit(net, duration, pops, lag, {n: _shape(nodes[n]) for n in pops}, self.notes)

    def _connect(self, net: Network, pops: dict[str, Any], name: str, signal: Signals, lag: dict[str, int],
                 loop: dict[str, int]) -> None:  # fmt: skip
        for (source, d), m in signal.terms.items():
            if source is None or source not in pops:
                continue
            edges = m.tocoo()
            edges.eliminate_zeros()
            via = signal.via[source, d]
            if not edges.nnz:
                self.notes.append(f"all weights from '{source}' to '{name}' are 0")
                continue
            steps = d + (1 if loop[source] == loop[name] else lag[name] - lag[source])
            label = free_name(legal_name(via[0] if len(via) == 1 else f"{source}_{name}"), net.projections)
            if len(via) == 1:
                self.labels[label] = via[0]
            rule, weight = self._shared(via, m) or (EdgeList(edges.col, edges.row), edges.data)
            net.connect(pops[source], pops[name], receptor=cells.INPUT, rule=rule, weight=weight,
                        delay=Quantity(steps * self.dt, TIME), name=label)  # fmt: skip

    def _shared(self, via: tuple[str, ...], m: Any) -> tuple[Convolution, np.ndarray] | None:
        """Return rule and kernel where a signal comes through one convolution and nothing else."""
        node = self.flat.nodes[via[0]] if len(via) == 1 else None
        if type(node).__name__ not in ("Conv1d", "Conv2d"):
            return None
        rule, weight = kernel(node, f"the node '{via[0]}'")
        return (rule, weight) if (unrolled(rule, weight) != m).nnz == 0 else None  # else a wire leads past it

    def _constant(self, net: Network, pop: Any, signal: Signals, lag: int) -> None:
        models = importlib.import_module("neurosim.models")
        for (source, d), m in signal.terms.items():
            if source is not None:
                continue
            begin = lag + d
            start = Quantity(begin * self.dt, TIME) if begin else None
            values = m.toarray()[:, 0]
            net.stimulate(pop, models.DCInput(values, start), name=f"bias_{d}" if d else "bias")

    def _enter(self, net: Network, pop: Any, signal: Signals, given: dict[str, np.ndarray], lag: int,
               end: int) -> None:  # fmt: skip
        """Inject what comes from the inputs, which is known."""
        models = importlib.import_module("neurosim.models")
        terms = [(s, d, m) for (s, d), m in signal.terms.items() if s in given]
        if not terms:
            return
        if (end + 1) * pop.n * 8 > MAX_CURRENT:
            raise UnsupportedError(f"'{self.shown}': what the inputs give to '{pop.label}' takes "
                                   f"{(end + 1) * pop.n * 8 / 2**30:.1f} GiB: run shorter pieces")  # fmt: skip
        total = np.zeros((end + 1, pop.n))  # the last row, which holds for ever, stays 0
        for source, d, m in terms:
            values = m @ given[str(source)].T
            first = lag + d
            count = max(0, min(values.shape[1], end - first))
            total[first : first + count] += values[:, :count].T
        net.stimulate(pop, models.ArrayCurrent(total, Quantity(self.dt, TIME)), name=GIVEN)

    def _remark(self, lag: dict[str, int], sources: list[str]) -> None:
        kinds = {type(self.flat.nodes[n]).__name__ for n in self.neurons}
        timed = kinds - {"I", "IF", "Threshold"}
        if timed and "scheme" not in self.flat.conventions:
            other = "euler" if self.chosen["scheme"] == "exact" else "exact"
            says = ("NIR's equations are solved exactly" if other == "euler" else
                    "steps are those of snnTorch and Norse (explicit Euler)")  # fmt: skip
            self.notes.append(f"{says}; --set scheme={other} takes the other way")
        if kinds & {"I", "IF"} and "integrators" not in self.flat.conventions:
            how = "once a step" if self.chosen["integrators"] == "step" else "per second"
            self.notes.append(f"I and IF add r*input {how} (--set integrators=step or second)")
        if kinds & {"IF", "LIF", "CubaLIF"} and "reset" not in self.flat.conventions:
            how = "to v_reset" if self.chosen["reset"] == "value" else "by the threshold"
            self.notes.append(
                f"a spike resets v {how}: NIR does not know the other way (--set reset=value or subtract)"
            )
        if sources:
            self.notes.append(f"nothing is given to {', '.join(sources)}: --set inputs=FILE does")
        late = {name: k for name, k in lag.items() if k and name not in sources}
        if late:
            each = ", ".join(f"{name} {k}" for name, k in list(late.items())[:8])
            more = f" and {len(late) - 8} more" if len(late) > 8 else ""
            self.notes.append("a spike takes a step here, and none in NIR: so many steps is a neuron behind the "
                              f"graph: {each}{more}")  # fmt: skip


def rebuild(origin: Origin, network: Network, scheme: str, reset: str, integrators: str) -> Network:
    """Return the network that a graph would be read as now, to be compared with one that was read from it.

    Parameters
    ----------
    network : Network
        Its step is taken.
    """
    chosen = {"scheme": scheme, "reset": reset, "integrators": integrators, "delays": "round"}
    builder = _Builder(origin.flat, "graph", network.dt, chosen)
    builder.survey()
    return builder.build(Quantity(network.dt, TIME), None if origin.driven else {}, network.seed).network


def read_inputs(path: str, dt: Quantity | None = None) -> Any:
    """Read inputs from a file: ``.npy`` with one array, ``.npz`` with one by the name of each Input, or data of NIR's.

    Parameters
    ----------
    dt : Quantity, optional
        The step onto which events are put, and that values on a grid of time must have.

    Returns
    -------
    array or dict of str to array
        As `read_network` takes them.
    """
    nir = require()
    shown = display(path)
    try:
        if path.endswith((".npy", ".npz")):
            with open(path, "rb") as file:
                found = np.load(file, allow_pickle=False)  # (never a pickle: that would be code)
                return found if isinstance(found, np.ndarray) else {key: found[key] for key in found.files}
        with checked(path, "the inputs"):
            pass
        data = nir.read_data(path)
        seconds = None if dt is None else scalar(dt, TIME, "dt")
        return {name: _gridded(_observable(name, node), seconds, name) for name, node in data.nodes.items()}
    except NeurosimError:
        raise
    except (*STUMBLES, EOFError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        what = str(error) or type(error).__name__
        if "pickle" in what:
            what = "they are objects of Python, whose reading would run code; save an array of numbers with numpy.save"
        raise ParameterError(f"the inputs '{shown}' cannot be read: {what}") from None


def _observable(name: str, node: Any) -> Any:
    """Return what of a node's data is its output: its spikes, or the only thing there is."""
    found = getattr(node, "observables", {})
    if "spikes" in found:
        return found["spikes"]
    if len(found) != 1:
        raise ParameterError(f"the inputs have {', '.join(found) or 'nothing'} of '{name}': 'spikes', or one thing")
    return next(iter(found.values()))


def _gridded(data: Any, dt: float | None, name: str) -> np.ndarray:
    """Return values or events of NIR's data, of one sample, as [steps, neurons]."""
    samples = len(data.data) if hasattr(data, "data") else 1 if np.ndim(data.idx) == 1 else len(data.idx)
    if samples != 1:
        raise ParameterError(f"the inputs hold {samples} samples of '{name}': one is read")
    if hasattr(data, "data"):
        if dt is not None and abs(data.dt / dt - 1) > 1e-6:
            raise ParameterError(f"the inputs of '{name}' have steps of {1e3 * data.dt:g} ms, and the run "
                                 f"{1e3 * dt:g} ms")  # fmt: skip
        return np.asarray(data.data[0])
    if dt is None:
        raise ParameterError("the inputs are events: give the step that they are put onto, --set dt=0.1ms")
    ids, times = np.ravel(data.idx).astype(np.int64), np.ravel(data.time).astype(np.float64)
    values = np.broadcast_to(np.ravel(getattr(data, "value", 1.0)), ids.shape)
    there = ~((ids == -1) & ~np.isfinite(times))  # the rest of a row of unequal length
    ids, times, values = ids[there], times[there], values[there]
    n = int(data.n_neurons)
    if len(ids) and (ids.min() < 0 or ids.max() >= n or not np.isfinite(times).all() or times.min() < 0):
        raise ParameterError(f"the inputs of '{name}' have an event that is of none of its {n} neurons, or at no time")
    steps = np.floor(times / dt + 1e-6).astype(np.int64)
    total = max(round(float(data.t_max) / dt), int(steps.max(initial=-1)) + 1)
    if total * n * 8 > MAX_CURRENT:
        raise ParameterError(f"the inputs of '{name}' are {total} steps of {n} neurons: too many to hold at once")
    out = np.zeros((total, n))
    np.add.at(out, (steps, ids), values)
    return out


def _is_identity(m: Any) -> bool:
    """Whether a matrix hands on what it gets."""
    from scipy import sparse

    return m.shape[0] == m.shape[1] and (m != sparse.identity(m.shape[0], format="csr")).nnz == 0

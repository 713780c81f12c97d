"""``neurosim export --to nir``: a network as a NIR graph, with the spikes of its sources and those that it makes.

::

    DIR/graph.nir      the graph
    DIR/inputs.h5      spikes of the Inputs, as NIR's data
    DIR/expected.h5    spikes that neurosim's neurons make of them, in the graph's own time
    DIR/README.txt     what was written, and what a reader will take differently
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim.compile import compile_network
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.interchange import Written, fixed_weights, new_folder, refuse_losses
from neurosim.interchange.nir import cells
from neurosim.interchange.nir.build import GIVEN, rebuild
from neurosim.interchange.nir.file import Origin, components, require
from neurosim.interchange.nir.neurons import Neuron, integrators_of, neuron, scheme_of
from neurosim.ir.edges import edge_table
from neurosim.ir.expr import names
from neurosim.ir.graph import ProbeNode
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.names import free_name
from neurosim.lang.network import Network
from neurosim.registry import load_backend
from neurosim.units import TIME, Quantity, scalar

GRAPH, INPUTS, EXPECTED = "graph.nir", "inputs.h5", "expected.h5"

FOREVER = 1e8
"""Seconds after which the end of a current counts as none."""

SHORT = 10_000
"""Steps times populations, and neurons, up to which the reference is quicker than compiling."""

MAX_MATRIX = 1 << 31
"""Bytes of the largest matrix that is written: NIR's are dense."""


def export(network: Network, directory: str, *, duration: Quantity, lossy: bool = False,
           scheme: str | None = None) -> Written:  # fmt: skip
    """Write a network.

    Parameters
    ----------
    network : Network
        What to write; its random numbers are drawn now.
    directory : str
        A folder that does not exist yet, or is empty.
    duration : Quantity
        How long the inputs and the expected spikes are.
    lossy : bool
        Write what can be written where something cannot.
    scheme : {"exact", "euler"}, optional
        How the reader takes a step. Euler by default, which is what snnTorch, Norse, SpikingJelly and Lava do; exact
        where a cell of the network means just that.

    Raises
    ------
    ParameterError
        Something would be lost and ``lossy`` is not given: the message lists it.
    UnsupportedError
        A cell that NIR does not have.
    """
    nir = require()
    steps = whole_steps(scalar(duration, TIME, "the duration of the export"), network.dt,
                        "the duration of the export", None, least=1)  # fmt: skip
    if scheme not in (None, "exact", "euler"):
        raise ParameterError(f"--nir-scheme must be 'exact' or 'euler', got {scheme!r}")
    written = Written(directory, GRAPH)
    with new_folder(directory) as part:
        writer = _Writer(network, scheme, written)
        graph = writer.graph()
        refuse_losses(written.losses, lossy)
        inputs, expected = writer.spikes(steps)
        nir.write(os.path.join(part, GRAPH), graph)
        written.files.append(GRAPH)
        for name, data in ((INPUTS, inputs), (EXPECTED, expected)):
            if data:
                nir.write_data(os.path.join(part, name), nir.NIRGraphData(nodes=data))
                written.files.append(name)
        written.files.append("README.txt")
        with open(os.path.join(part, "README.txt"), "w", encoding="utf-8") as file:
            file.write(_readme(network, writer, written, steps))
    return written


@dataclass
class _Link:
    """Edges between two populations that share a delay (in steps); weights in SI, multapses apart."""

    name: str
    source: str
    target: str
    delay: int
    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray


class _Writer:
    """Makes the graph of a network."""

    def __init__(self, network: Network, scheme: str | None, written: Written) -> None:
        self.network, self.written = network, written
        self.units, self.compiled = compile_network(network, after="units"), compile_network(network)
        self.scheme = scheme or _one([scheme_of(p.cell) for p in network.populations.values()], "schemes", "euler")
        self.integrators = _one([integrators_of(p.cell) for p in network.populations.values()], "integrators", "step")
        self.origin: Origin | None = network.origin.get("nir")
        self.silent: str | None = None  # an Input without spikes, where a neuron has no other
        self.names: dict[str, str] = {}  # population -> node
        self.neurons: dict[str, Neuron] = {}
        self.sources: list[str] = []
        self.lag: dict[str, int] = {}
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.currents: dict[str, np.ndarray] = {}  # constant, in SI
        self.starts: dict[str, set[int]] = {}  # steps in which they start
        self._plan()

    def _plan(self) -> None:
        """Decide what every population becomes."""
        fed = {s.population for p in self.units.projections for s in p.post}
        ends = [(a.population, b.population) for p in self.units.projections for a in p.pre for b in p.post]
        loops = [group for group in components(list(self.network.populations), ends)
                 if len(group) > 1 or (group[0], group[0]) in ends]  # fmt: skip
        recurrent = {label for group in loops for label in group}
        for label, pop in self.network.populations.items():
            node = self.units.population(label)
            self.names[label] = self.origin.populations.get(label, label) if self.origin else label
            if pop.cell.schedule is not None or _spikes_alone(pop, label in fed):
                self.sources.append(label)
            elif pop.cell.prototype is not cells.readout():
                self.neurons[label] = neuron(pop, node, self.scheme, self.network.dt, label in recurrent)
                self.written.changes += self.neurons[label].changes
                self.written.losses += self.neurons[label].losses
        self.reset = _one([n.reset or None for n in self.neurons.values()], "resets", "value")
        if self.reset != "value":
            self.written.changes.append(
                "v is lowered by the threshold after a spike, which NIR cannot say: the metadata "
                "do, and reading elsewhere needs that said (snnTorch: reset_mechanism)"
            )
        if not self.neurons:
            raise UnsupportedError(f"the network '{self.network.name}' has no neurons that NIR could hold")
        self._currents()
        self._edges()
        self._lags()

    def _currents(self) -> None:
        """Add up the constant currents of every population, in SI, and the steps in which they start."""
        for label, pop in self.network.populations.items():
            node, total, starts = self.units.population(label), np.zeros(pop.n), set()
            for key, stimulus, ids, _ in pop.stimuli:
                if not _constant(stimulus):
                    continue
                amplitude = np.broadcast_to(np.asarray(node.params[f"{key}.amplitude"], np.float64), (pop.n,))
                chosen = np.ones(pop.n, bool) if ids is None else np.isin(np.arange(pop.n), ids)
                start = np.broadcast_to(np.asarray(node.params.get(f"{key}.start", 0.0), np.float64), (pop.n,))
                total = total + amplitude * chosen
                starts |= set(np.rint(start[chosen & (amplitude != 0)] / self.network.dt).astype(int).tolist())
            if np.any(total):
                self.currents[label], self.starts[label] = total, starts

    def _edges(self) -> None:
        """Sort the connections by their ends and delays."""
        self.links: list[_Link] = []
        self.written.losses += fixed_weights(self.units, "NIR")
        for raw in self.units.projections:
            table, ordered = edge_table(self.units, raw), self.compiled.projection(raw.name)
            late_table = edge_table(self.compiled, ordered).delay
            pre, post = _places(raw.pre), _places(raw.post)
            for b, (target, at_b) in enumerate(post):
                late = self.neurons[target].late if target in self.neurons else 0
                mine = (table.post >= at_b[0]) & (table.post < at_b[0] + len(at_b[1]))
                for a, (source, at_a) in enumerate(pre):
                    rows = np.flatnonzero(mine & (table.pre >= at_a[0]) & (table.pre < at_a[0] + len(at_a[1])))
                    name = raw.name if len(pre) == len(post) == 1 else f"{raw.name}_{a}_{b}"
                    delays = late_table[rows] + late
                    for d in np.unique(delays):
                        these = rows[delays == d]
                        self.links.append(_Link(
                            name, source, target, int(d), at_a[1][table.pre[these] - at_a[0]],
                            at_b[1][table.post[these] - at_b[0]], table.weight[these]))  # fmt: skip

    def _lags(self) -> None:
        """Let each population start when the first of its inputs can come: the rest of a delay is written.

        One that does something without input starts with it, so that the graph does it in the same step.
        """
        everyone = list(self.network.populations)
        ends = [(k.source, k.target) for k in self.links]
        self.loop: dict[str, int] = {}
        for k, group in enumerate(components(everyone, ends)):
            self.loop |= dict.fromkeys(group, k)
            first = [self.lag[x.source] + x.delay for x in self.links if x.target in group and x.source not in group]
            first += [min(self.starts[label]) for label in group if label in self.starts]
            first += [0 for label in group if label in self.neurons and self.neurons[label].awake]
            self.lag |= dict.fromkeys(group, min(first, default=0))

    # -- the graph

    def graph(self) -> Any:
        """Return the graph, and put into ``written`` what it changes."""
        import nir

        origin = self.origin
        same = origin is not None and self._unchanged(origin)
        if origin is not None and same:
            self._verbatim(origin)
        elif origin is not None and not origin.driven and origin.flat.inputs:
            raise UnsupportedError("the network was read with inputs=, which are currents in it, and has been changed "
                                   "since: read the graph without inputs, change that, and write it")  # fmt: skip
        else:
            self._compose()
        for label, pop in self.network.populations.items():
            for key, stimulus, _, _ in pop.stimuli:
                if same and key == GIVEN and stimulus.name == "ArrayCurrent":
                    self.written.changes.append(f"what was given to '{self.names[label]}' as inputs is not written")
                elif not _constant(stimulus):
                    why = "NIR's constants have no end" if stimulus.name == "DCInput" else "NIR has none"
                    self.written.losses.append(f"the stimulus {stimulus.name} of '{label}': {why}")
        late = {self.names[k]: n for k, n in self.lag.items() if n}
        if late and not same:
            each = ", ".join(f"{k} {n}" for k, n in late.items())
            self.written.changes.append("the graph starts each neuron when its first input can come: in neurosim it is "
                                        f"behind the sources by {each} steps")  # fmt: skip
        if self.scheme == "euler" and abs(self.network.dt - 1e-4) > 1e-10:
            self.written.changes.append(
                f"snnTorch reads every graph as if dt were 0.1 ms, and here it is {1e3 * self.network.dt:g} ms"
            )
        others = [f"'{p.variable}' of '{p.target}'" for p in self.network.probes if p.variable not in ("spikes", "v")]
        if others:
            self.written.changes.append(f"what is recorded is not written: {', '.join(others)}")
        meta = {"dt": float(self.network.dt), "scheme": self.scheme, "reset": self.reset,
                "integrators": self.integrators, "version": __version__}  # fmt: skip
        for name, node in self.nodes.items():
            for key, value in vars(node).items():
                if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                    raise UnsupportedError(f"{key} of the node '{name}' would be {value[~np.isfinite(value)][0]}: "
                                           "the numbers of this network are too far apart for NIR's")  # fmt: skip
        try:
            kept = origin.flat.metadata if origin is not None and same else {}
            return nir.NIRGraph(self.nodes, self.edges, metadata={**kept, "neurosim": meta})
        except (ValueError, AssertionError) as error:
            raise UnsupportedError(f"the package nir does not take this graph: {error}") from None

    def _unchanged(self, origin: Origin) -> bool:
        """Whether connections and biases are still those of the file that the network was read from."""
        again = rebuild(origin, self.network, self.scheme, self.reset, self.integrators)
        sizes = [{k: p.n for k, p in net.populations.items()} for net in (again, self.network)]
        if sizes[0] != sizes[1]:
            return False
        other = compile_network(again, after="units")
        if again.projections.keys() != self.network.projections.keys():
            return False
        for raw in self.units.projections:
            mine, its = edge_table(self.units, raw), edge_table(other, other.projection(raw.name))
            if not all(np.array_equal(getattr(mine, k), getattr(its, k)) for k in ("pre", "post", "weight", "delay")):
                return False
        for label, pop in self.network.populations.items():
            a, b = ({k: v for k, v in g.population(label).params.items() if k.startswith("bias")}
                    for g in (self.units, other))  # fmt: skip
            if set(a) != set(b) or not all(np.array_equal(a[k], b[k]) for k in a):
                return False
            known = [key for key, s, _, _ in pop.stimuli if _constant(s)]
            if set(known) != {key for key, s, _, _ in again.populations[label].stimuli}:
                return False
        return True

    def _verbatim(self, origin: Origin) -> None:
        flat = origin.flat
        self.nodes, self.edges = dict(flat.nodes), list(flat.edges)
        for label, how in self.neurons.items():
            name = self.names[label]
            old = flat.nodes[name]
            self.nodes[name] = self._node(label, np.shape(getattr(old, next(iter(how.params)))))
            self.nodes[name].metadata = old.metadata
        if flat.nested:
            self.written.changes.append("subgraphs are written as part of the graph, their nodes as 'subgraph.node'")

    def _node(self, label: str, shape: tuple[int, ...]) -> Any:
        import nir

        how = self.neurons[label]
        return getattr(nir, how.kind)(**{k: np.array(v, np.float64).reshape(shape) for k, v in how.params.items()})

    def _compose(self) -> None:
        """Write populations as neurons and connections as dense matrices."""
        import nir

        sizes = {label: pop.n for label, pop in self.network.populations.items()}

        def add(label: str, node: Any) -> None:
            self.names[label] = self._put(self.names[label], node)

        for label in self.sources:
            add(label, nir.Input(input_type={"input": np.array([sizes[label]])}))
        for label in self.neurons:
            add(label, self._node(label, (sizes[label],)))
        readouts = [k for k in self.network.populations if k not in self.sources and k not in self.neurons]
        for label in readouts:
            add(label, nir.Output(output_type={"output": np.array([sizes[label]])}))
        constant = {label: self._bias(label) for label in (*self.neurons, *readouts)}
        for link in self.links:
            self._link(link, constant, sizes)
        for label, value in constant.items():
            if value is not None and np.any(value):
                self._apart(label, value)
        fed = {b for _, b in self.edges}
        roots = [label for label in self.neurons if self.names[label] not in fed]
        if not roots and not self.sources and self.silent is None:
            roots = [next(iter(self.neurons))]
        for label in roots:
            self._from_silence(label, nir.Linear(weight=np.zeros((sizes[label], 1))))
        self._outputs(readouts, sizes)

    def _outputs(self, readouts: list[str], sizes: dict[str, int]) -> None:
        """Show what the file showed that the network is from, else those that nobody listens to, else all recorded."""
        import nir

        leading = {link.source for link in self.links}
        last = [k for k in self.neurons if k not in leading] or (
            [] if readouts else [p.target for p in self.network.probes if p.target in self.neurons] or [*self.neurons]
        )
        shown = [(name, label) for name, label in (self.origin.outputs if self.origin else {}).items()
                 if label in self.neurons]  # fmt: skip
        last = list(dict.fromkeys(last))
        for name, label in shown or [("output" if len(last) == 1 else f"output_{k}", k) for k in last]:
            out = self._put(name, nir.Output(output_type={"output": np.array([sizes[label]])}))
            self.edges.append((self.names[label], out))

    def _from_silence(self, label: str, node: Any) -> None:
        """Lead a node from an Input without spikes to a neuron: NIR wants every neuron to have an input."""
        import nir

        if self.silent is None:
            self.silent = self._put("silence", nir.Input(input_type={"input": np.array([1])}))
            self.written.changes.append(f"NIR wants an Input for every neuron: '{self.silent}' gives nothing")
        made = self._put(f"{self.names[label]}_alone", node)
        self.edges += [(self.silent, made), (made, self.names[label])]

    def _put(self, name: str, node: Any) -> str:
        """Add a node under a name that is free."""
        name = free_name(name, self.nodes)
        self.nodes[name] = node
        return name

    def _link(self, link: _Link, constant: dict[str, Any], sizes: dict[str, int]) -> None:
        import nir

        name, source, target = link.name, link.source, link.target
        shape = sizes[target], sizes[source]
        if shape[0] * shape[1] * 8 > MAX_MATRIX:
            raise UnsupportedError(f"projection '{name}' is a matrix of {shape[0]:,} x {shape[1]:,}, "
                                   f"{shape[0] * shape[1] * 8 / 2**30:.1f} GiB: NIR's matrices are dense, and "
                                   f"{MAX_MATRIX >> 30} GiB are written at most")  # fmt: skip
        scale = self.neurons[target].weight if target in self.neurons else np.ones(sizes[target])
        dense = np.zeros(shape)
        np.add.at(dense, (link.post, link.pre), link.weight * np.broadcast_to(scale, (sizes[target],))[link.post])
        loop = self.loop[source] == self.loop[target]
        rest = link.delay - (1 if loop else self.lag[target] - self.lag[source])
        value = constant.get(target)
        if value is not None and np.all(np.isfinite(value)) and not loop:
            node = nir.Affine(weight=dense, bias=np.array(value))
            constant[target] = None
        else:
            node = nir.Linear(weight=dense)
        made = self._put(self.origin.projections.get(name, name) if self.origin else name, node)
        before = self.names[source]
        if rest:
            delay = self._put(f"{made}_delay", nir.Delay(delay=np.full(sizes[source], rest * self.network.dt)))
            self.edges.append((before, delay))
            before = delay
        self.edges += [(before, made), (made, self.names[target])]

    def _bias(self, label: str) -> np.ndarray | None:
        """Return the constant input of a population, in the neuron's own units; NaN where it has none such."""
        if label not in self.currents:
            return None
        if self.starts[label] != {self.lag[label]}:
            each = ", ".join(f"{1e3 * n * self.network.dt:g}" for n in sorted(self.starts[label]))
            self.written.changes.append(f"the constant currents into '{label}', which start at {each} ms, are there "
                                        "from the start of the graph")  # fmt: skip
        return self.currents[label] * (self.neurons[label].bias if label in self.neurons else 1.0)

    def _apart(self, label: str, value: np.ndarray) -> None:
        """Put a constant current where no Affine is there for it: into one of its own, or into the leak."""
        import nir

        how, name = self.neurons.get(label), self.names[label]
        if how is None or np.all(np.isfinite(value)):
            self._from_silence(label, nir.Affine(weight=np.zeros((len(value), 1)), bias=np.array(value)))
            return
        old = self.nodes[name].v_leak
        self.nodes[name].v_leak = old + (self.currents[label] * how.leak).reshape(np.shape(old))
        self.written.changes.append(f"the constant current into '{label}' is written as part of v_leak, where readers "
                                    "let a neuron start")  # fmt: skip

    # -- what it does

    def spikes(self, steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the network; return NIR's data of the sources and of the neurons, by the graph's own time."""
        spiking = [k for k, p in self.network.populations.items() if k in self.sources or p.cell.threshold is not None]
        probed = replace(self.compiled, probes=tuple(ProbeNode(name, "spikes", None) for name in spiking))
        options = importlib.import_module("neurosim.backends.base").Options()
        # the same bits; a short run is over before native has compiled
        short = steps * len(spiking) <= SHORT and self.compiled.size <= SHORT
        engine = load_backend("reference" if short else "native").build(probed, options)
        engine.advance(steps)
        found = engine.drain().spikes
        engine.close()
        dt = self.network.dt

        def data(label: str, lag: int) -> Any:
            at, who = found[label]
            kept = at >= lag
            return _events(at[kept] - lag, who[kept], self.network.populations[label].n, steps - lag, dt)

        inputs = {self.names[k]: data(k, 0) for k in self.sources}
        if self.silent is not None:
            nothing = np.zeros(0, np.int64)
            inputs[self.silent] = _events(nothing, nothing, 1, steps, dt)
        return inputs, {self.names[k]: data(k, self.lag[k]) for k in spiking if k not in self.sources}


def _events(at: np.ndarray, who: np.ndarray, n: int, steps: int, dt: float) -> Any:
    """Return spikes as NIR's data, one sample; in the middle of their steps, since readers round down."""
    import nir

    return nir.NIRNodeData({"spikes": nir.EventData(
        idx=np.asarray(who, np.int64)[None], time=((at + 0.5) * dt)[None], n_neurons=n,
        t_max=max(steps, 0) * dt)})  # fmt: skip


def _spikes_alone(pop: Any, fed: bool) -> bool:
    """Whether a population only gives out spikes, and is no neuron that NIR has."""
    models = importlib.import_module("neurosim.models")
    known = pop.cell.prototype in (models.LIF, models.IF, models.CubaLIF) or pop.cell.name.startswith("NIR_")
    if fed or known or pop.cell.receptors or pop.stimuli or pop.cell.threshold is None:
        return False
    read = set(names(pop.cell.threshold)).union(*(names(eq.expr) for eq in pop.cell.equations))
    return not read & set(pop.cell.ports)


def _places(segments: Any) -> list[tuple[str, tuple[int, np.ndarray]]]:
    """Return (population, (first index in the group, ids in the population)) of the parts of a group."""
    out, first = [], 0
    for s in segments:
        out.append((s.population, (first, np.arange(s.size) if s.ids is None else np.asarray(s.ids))))
        first += s.size
    return out


def _constant(stimulus: Any) -> bool:
    """Whether a stimulus is a constant current that never ends."""
    if stimulus.name != "DCInput" or stimulus.kind != "current":
        return False
    return "stop" not in stimulus.params or float(np.min(getattr(stimulus.value("stop"), "value", 0.0))) >= FOREVER


def _one(found: list[str | None], what: str, default: str) -> str:
    """Return what all that say something agree on."""
    said = sorted({x for x in found if x})
    if len(said) > 1:
        raise UnsupportedError(
            f"the cells of this network have different {what}, {' and '.join(said)}: a graph has one"
        )
    return said[0] if said else default


def _readme(network: Network, writer: _Writer, written: Written, steps: int) -> str:
    """Return the text beside the files."""
    rows = [f"  {name}: {type(node).__name__}" for name, node in writer.nodes.items()]
    lags = {writer.names[k]: n for k, n in writer.lag.items() if n}
    behind = [
        f"In neurosim the neurons run behind the graph, by steps: {', '.join(f'{k} {n}' for k, n in lags.items())}."
    ]

    def listed(title: str, items: list[str]) -> list[str]:
        return ["", title, *(f"  - {item}" for item in items)] if items else []

    text = [
        f"The network '{network.name}' as a NIR graph, written by neurosim {__version__}.",
        f"dt = {network.dt * 1e3:g} ms; a step is taken by the scheme '{writer.scheme}', a spike resets v by "
        f"'{writer.reset}'; this stands in the metadata.",
        *(
            [f"'neurosim run {GRAPH} --set inputs={INPUTS}' runs it again with the spikes of the Inputs in {INPUTS}."]
            if INPUTS in written.files
            else []
        ),
        f"{EXPECTED} has the spikes of {steps} steps"
        f"{', of the network with what was left out of the graph' if written.losses else ''}.",
        *(behind if lags else []),
        "",
        "Nodes",
        *rows,
        *listed("What others take differently", written.changes),
        *listed("What is not here (--lossy)", written.losses),
    ]
    return "\n".join(text) + "\n"

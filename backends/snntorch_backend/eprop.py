"""e-prop: an eligibility trace for each synapse, and learning signals from readouts.

G. Bellec, F. Scherr, A. Subramoney, E. Hajek, D. Salaj, R. Legenstein, W. Maass, A solution to the learning dilemma for
recurrent networks of spiking neurons, Nat. Commun. 11 (2020), 3625. With h the state of a neuron j and z its spike, the
eligibility vector of a synapse from i is ``eps[t] = dh[t]/dh[t-1] eps[t-1] + dh[t]/dW``, its eligibility trace
``e[t] = dz[t]/dh[t] eps[t]``, and the gradient is the sum of ``L[t] F(e)[t]``, where L is the learning signal that
comes back from the readouts and F what they filter spikes by. The derivatives are those of the neuron's own step, so
any cell has its e-prop: they are taken of its program, with the surrogate at the threshold.

What is left out, as against all of the gradient, is the way from a neuron's spikes through other neurons, which is to
say around the recurrent connections. Without any, with feedback by the weights of the readout, nothing is left out.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.cone import Cone, cone_of
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.backends.snntorch_backend.online import Online, slopes
from neurosim.errors import UnsupportedError

if TYPE_CHECKING:
    from neurosim.backends.snntorch_backend.module import NetworkModule


@dataclass
class Feedback:
    """A way back from a readout: a projection, and what stands for its weights on the way back, [from, to] in SI."""

    source: str
    target: str
    receptor: str
    delay: int
    synapses: Synapses | None
    weights: Tensor
    last: Tensor | None = None  # the projection's weights when adaptive feedback last followed them


@dataclass
class Edges:
    """The synapses of one projection onto one population, and what is remembered of each: [batch, synapses].

    ``vector`` is the eligibility vector, by variable. ``filtered`` is, by feedback, the eligibility trace as the
    readout's variables have it; ``travelling`` is what is on its way there.
    """

    synapses: Synapses
    target: str
    which: Tensor
    pre: Tensor
    post: Tensor
    delays: list[tuple[int, Tensor | None]]
    vector: dict[str, Tensor] = field(default_factory=dict)
    filtered: list[dict[str, Tensor]] = field(default_factory=list)
    travelling: list[deque[Tensor | None]] = field(default_factory=list)

    def arrived(self, spikes: dict[int, Tensor | None]) -> Tensor | None:
        """Return which synapses a spike has arrived at, [batch, synapses]; None for none."""
        out: Tensor | None = None
        for delay, some in self.delays:
            given = spikes[delay]
            if given is None:
                continue
            found = given[:, self.pre] if some is None else given[:, self.pre] * some
            out = found if out is None else out + found
        return out


class Eprop(Online):
    """Learning by e-prop; memory is that of a few numbers for each synapse and run of the batch.

    Parameters
    ----------
    module : NetworkModule
        What learns.
    feedback : {"symmetric", "random", "adaptive"}
        By what the readouts' errors come back: the weights of the connections that lead to them; random weights; or
        random ones that change as the readout's do, and decay (J. Kolen and J. Pollack's rule).
    decay : float
        Of adaptive feedback: which part is lost at each change of the weights.
    seed : int
        Of random feedback.
    """

    rule = "e-prop"

    def __init__(self, module: NetworkModule, feedback: str = "symmetric", decay: float = 1e-3, seed: int = 0) -> None:
        super().__init__(module)
        for s in self.learning:
            if s.shared:
                raise UnsupportedError(
                    f"e-prop has a trace for each synapse, and those of projection '{s.name}' share their weights: "
                    "train with gradient='ottt' or 'bptt'", s.where,
                )  # fmt: skip
        self.feedback, self.decay = feedback, decay
        self.cones: dict[str, Cone] = {name: cone_of(pop) for name, pop in self.pops.items()}
        resets = not module.detach_reset
        self.variables = {name: cone_of(pop, resets).variables for name, pop in self.pops.items()}
        self.edges = [edges for s in self.learning for edges in _edges(s, module.device)]
        learners = dict.fromkeys(e.target for e in self.edges if self._spikes(e.target))
        self.ways = [way for name in learners for way in self._ways(name, seed)]

    def _spikes(self, name: str) -> bool:
        program = self.node(name).program
        return program is not None and bool(program.emits())

    # -- feedback -----------------------------------------------------------------------------------------------

    def _ways(self, name: str, seed: int) -> list[Feedback]:
        """Return the ways back to a population."""
        found: list[Feedback] = []
        for s in self.beyond(name):
            for target in dict.fromkeys(s.names(s.targets)):
                if self.order[target] > self.order[name] and s.count:
                    delay = s.delays[0] if len(s.delays) == 1 else 0
                    found.append(Feedback(name, target, s.receptor, delay, s, self._dense(s, name, target)))
        if self.feedback == "symmetric":
            return found
        for way in found:
            assert way.synapses is not None
            way.last = way.weights
            size = way.weights.square().mean().sqrt()
            label = f"{seed}/{name}/{way.target}/{way.synapses.name}"
            way.weights = size * _drawn(label, way.weights)
        reached = {way.target for way in found}
        for target, pop in self.pops.items():  # readouts that are not connected have their say too
            if self.order[target] > self.order[name] and target not in reached and self.cones[target].bent is None:
                onto = [s for s in self.module.synapses if target in s.names(s.targets) and s.count]
                for s in onto[:1]:
                    size = float((s.each(self.module.weights[s.name]) * s.unit()).square().mean().sqrt().detach())
                    like = torch.zeros(self.node(name).size, pop.size, dtype=self.module.dtype,
                                       device=self.module.device)  # fmt: skip
                    weights = size * _drawn(f"{seed}/{name}/{target}", like)
                    found.append(Feedback(name, target, s.receptor, 1, None, weights))
        return found

    def _dense(self, s: Synapses, source: str, target: str) -> Tensor:
        """Return the weights from one population to another as a matrix, in SI."""
        with torch.no_grad():
            weight = (s.each(self.module.weights[s.name]) * self.module.weights.units[s.name]).to(self.module.dtype)
            at = torch.from_numpy(s.pre).to(weight.device), torch.from_numpy(s.post).to(weight.device)
            weight = weight.reshape(-1)[s.index["element"]] if s.shared and len(weight) != s.count else weight
            whole = torch.zeros(s.n_pre, s.n_post, dtype=weight.dtype, device=weight.device)
            whole.index_put_(at, weight, accumulate=True)
            return _part(_part(whole, s.sources, source, self.node(source).size, 0), s.targets, target,
                         self.node(target).size, 1)  # fmt: skip

    def changed(self) -> None:
        super().changed()
        for way in self.ways:
            if way.synapses is None or self.feedback == "random":
                continue
            now = self._dense(way.synapses, way.source, way.target)
            if way.last is None:
                way.weights = now
            else:
                way.weights, way.last = (1 - self.decay) * way.weights + (now - way.last), now

    def _refuse(self, way: Feedback, why: str) -> None:
        raise UnsupportedError(
            f"e-prop: the loss reads population '{way.target}', which gets spikes from '{way.source}' and {why}. A "
            f"readout of e-prop is a leaky sum that does not spike, such as a LIF whose v_th is out of reach, with "
            f"MembraneLoss('{way.target}.v'); or train with gradient='ottt' or 'bptt'",
            way.synapses.where if way.synapses is not None else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the feedback, where it changes."""
        ways = self.ways if self.feedback == "adaptive" else []
        return {str(k): {"weights": way.weights, "last": way.last} for k, way in enumerate(ways)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it."""
        for k, part in state.items():
            self.ways[int(k)].weights, self.ways[int(k)].last = part["weights"], part["last"]

    # -- traces -------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        assert self.run is not None
        like = {"dtype": self.module.dtype, "device": self.module.device}
        for e in self.edges:
            shape = self.run.batch, len(e.pre)
            e.vector = {v: torch.zeros(shape, **like) for v in self.variables[e.target]}
            own = [way for way in self.ways if way.source == e.target]
            e.filtered = [{v: torch.zeros(shape, **like) for v in self.cones[w.target].variables} for w in own]
            e.travelling = [deque([None] * max(1, w.delay), max(1, w.delay)) for w in own]
        self.found: set[str] = set()
        self.doubts: dict[str, str] = {}  # readout -> why it is none
        self.filters: dict[tuple[str, str], dict[str, list[float | None]]] = {}
        for way in self.ways:
            bent = self.cones[way.target].bent
            if bent is not None:
                self.doubts.setdefault(way.target, f"is not linear in what it gets ({bent})")
            elif way.delay == 0:
                self.doubts.setdefault(way.target, "is connected with several delays")
            else:
                self.filters[way.target, way.receptor] = self._filters(way)

    def learn(self) -> None:
        locals_, passing = {}, {}
        for e in self.edges:
            key = e.target, e.synapses.receptor
            if key not in locals_:
                locals_[key] = self._local(*key)
        for way in self.ways:
            if (way.target, way.receptor) not in passing:
                passing[way.target, way.receptor] = self._filter(way)
        with torch.no_grad():
            for e in self.edges:
                self._learn(e, locals_[e.target, e.synapses.receptor], passing)

    def _local(self, name: str, receptor: str) -> dict[str, list[Tensor | None]]:
        """Return the derivatives of a neuron's own step: variable, or "" for its spike -> after each variable, and
        after what arrives: [batch, neurons]."""
        variables = self.variables[name]
        after = [*(self.before[name, v] for v in variables), self.taps[name, receptor]]
        rows = {v: slopes(self.after[name, v], after) for v in variables}
        return rows | ({"": slopes(self.spikes[name], after)} if name in self.spikes else {})

    def _filter(self, way: Feedback) -> dict[str, list[float | None]] | None:
        """Return what a step makes of a readout's variables; None where it is not to be told."""
        name = way.target
        if name in self.spikes and bool(self.spikes[name].detach().any()):
            self.doubts.setdefault(name, "spikes")
        why = self.doubts.get(name)
        if why is not None and self._read(name):
            self._refuse(way, why)
        return self.filters[name, way.receptor] if why is None else None

    def _filters(self, way: Feedback) -> dict[str, list[float | None]]:
        """Return what a step makes of a readout's variables, the same for all of its neurons."""
        found: dict[str, list[float | None]] = {}
        for variable, row in self.linear(way.target, way.receptor).items():
            if any(value is not None and not bool((value == value[0, 0]).all()) for value in row):
                self.doubts.setdefault(way.target, "has neurons that filter spikes differently")
            found[variable] = [None if value is None else float(value[0, 0]) for value in row]
        return found

    def _read(self, name: str) -> bool:
        """Tell whether the loss of this step depends on a population directly."""
        return any(p == name for p, _ in (*self.of_state, *self.of_inbox))

    def _learn(self, e: Edges, local: dict[str, list[Tensor | None]], passing: dict) -> None:
        """Add the gradient of one set of synapses, and bring its traces up to this step."""
        arrived = e.arrived(self.arrived[e.synapses.name])
        variables = self.variables[e.target]
        inputs = [*e.vector.values(), arrived]
        total: Tensor | None = None

        def summed(after: list[Tensor | None], values: list[Tensor | None]) -> None:
            """Add up, over the batch, derivatives after the neuron times values of its synapses."""
            nonlocal total
            for slope, value in zip(after, values, strict=True):
                if slope is not None and value is not None:
                    share = (slope[:, e.post] * value).sum(0)
                    total = share if total is None else total + share

        direct = [self.of_state.get((e.target, v)) for v in variables]
        direct.append(self.of_inbox.get((e.target, e.synapses.receptor)))
        if any(d is not None for d in direct):
            self.found.add(e.synapses.name)
        summed(direct, inputs)
        spiked = _moved(local.get("", [None] * len(inputs)), inputs, e.post)
        own = [way for way in self.ways if way.source == e.target]
        for way, filtered, travelling in zip(own, e.filtered, e.travelling, strict=True):
            rows, coming = passing[way.target, way.receptor], travelling[0]
            if rows is not None:
                names = self.cones[way.target].variables
                ahead = [self.of_state.get((way.target, v)) for v in names]
                ahead.append(self.of_inbox.get((way.target, way.receptor)))
                if any(g is not None for g in ahead):
                    self.found.add(e.synapses.name)
                back = [None if g is None else g @ way.weights.t() for g in ahead]
                summed(back, [*filtered.values(), coming])
                old = [*filtered.values(), coming]
                for v in names:
                    parts = [f * x for f, x in zip(rows[v], old, strict=True) if f and x is not None]
                    filtered[v] = torch.stack(parts).sum(0) if len(parts) > 1 else (
                        parts[0] if parts else torch.zeros_like(filtered[v]))  # fmt: skip
            travelling.append(spiked)
        moved = {v: _moved(local[v], inputs, e.post) for v in variables}
        e.vector = {v: torch.zeros_like(e.vector[v]) if x is None else x for v, x in moved.items()}
        if total is not None:
            weight = self.module.weights[e.synapses.name]
            grad = torch.zeros_like(weight)
            grad[e.which] = (total * self.module.weights.units[e.synapses.name]).to(weight.dtype)
            self.add(weight, grad)

    def reached(self, s: Synapses) -> bool:
        return s.name in self.found

    def unreached(self, s: Synapses) -> str:
        return (
            f"e-prop has no learning signal for projection '{s.name}': its targets are not connected to a population "
            "that the loss reads. Give all neurons one, with feedback='random'; fix the weights by module.weights"
            f"['{s.name}'].requires_grad_(False); or train with gradient='ottt' or 'bptt'"
        )


def _edges(s: Synapses, device: torch.device) -> list[Edges]:
    """Return the synapses of a projection, by the population that they end at."""
    out, first = [], 0
    delay = torch.from_numpy(s.delay_steps).to(device)
    pre, post = (torch.from_numpy(x).to(device) for x in (s.pre, s.post))
    for name, ids, size in s.targets:
        which = ((post >= first) & (post < first + size)).nonzero()[:, 0]
        neuron = post[which] - first
        own = delay[which]
        lengths = torch.unique(own).tolist()
        delays: list[tuple[int, Tensor | None]] = [(int(d), None if len(lengths) == 1 else own == d) for d in lengths]
        if len(which):
            out.append(Edges(s, name, which, pre[which], neuron if ids is None else ids[neuron], delays))
        first += size
    return out


def _moved(rows: list[Tensor | None], inputs: list[Tensor | None], post: Tensor) -> Tensor | None:
    """Return a derivative after weights: that after the neuron's inputs times those of the inputs."""
    out: Tensor | None = None
    for slope, value in zip(rows, inputs, strict=True):
        if slope is not None and value is not None:
            share = slope[:, post] * value
            out = share if out is None else out + share
    return out


def _part(matrix: Tensor, parts: list, name: str, size: int, axis: int) -> Tensor:
    """Return the rows or columns of a matrix that are a population's, by its neurons."""
    shape = (size, matrix.shape[1]) if axis == 0 else (matrix.shape[0], size)
    out, first = torch.zeros(shape, dtype=matrix.dtype, device=matrix.device), 0
    for part, ids, count in parts:
        if part == name:
            where = torch.arange(count, device=matrix.device) if ids is None else ids
            out.index_add_(axis, where, matrix.narrow(axis, first, count))
        first += count
    return out


def _drawn(label: str, like: Tensor) -> Tensor:
    """Return normal numbers that a label decides."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:7], "little")
    g = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=g, dtype=torch.float64).to(like)

"""Online training through time: a trace for each source, and the derivatives of one instant through the layers.

M. Xiao, Q. Meng, Z. Zhang, D. He, Z. Lin, Online Training Through Time for Spiking Neural Networks, NeurIPS 2022
(arXiv:2210.04195). The gradient of a step's loss L after the weights W of a layer is ``g a``, where the trace
``a[t] = lambda a[t-1] + s[t]`` is of the spikes of the layer before, and ``g`` is the derivative of L after the
potentials of the layer, found back through the later layers at the same instant: by their weights and the surrogates
at their thresholds, neither by their leak nor by their reset.

The paper's layers spike at once; here a spike takes its delay, at least a step. So the instant of a layer is as many
steps before that of the next as the delay between them: those traces and slopes are remembered for as long. Connections
that lead back in a circle are learned in the same way, from their sources' traces, but nothing is found back through
them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.cone import cone_of
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.backends.snntorch_backend.online import Inbox, Online, slopes
from neurosim.errors import UnsupportedError

if TYPE_CHECKING:
    from neurosim.backends.snntorch_backend.module import NetworkModule


class Ottt(Online):
    """Learning by OTTT; memory is that of some traces per neuron."""

    rule = "OTTT"

    def __init__(self, module: NetworkModule) -> None:
        super().__init__(module)
        for s in self.learning:
            for name in dict.fromkeys(s.names(s.targets)):
                cone = cone_of(self.node(name))
                if cone.bent is None and len(cone.variables) == 1:
                    continue
                why = cone.bent or f"arrivals move {', '.join(cone.variables) or 'no variable'}"
                raise UnsupportedError(
                    f"OTTT is for cells of one potential that leaks and adds up what arrives, and those of population "
                    f"'{name}' are not ({why}): use DeltaCurrent as their receptor, or train with gradient='eprop' or "
                    "'bptt'", s.where,
                )  # fmt: skip
        for s in module.synapses:
            if s.count and len(s.delays) > 1:
                raise UnsupportedError(
                    f"OTTT is for layers, and projection '{s.name}' has {len(s.delays)} different delays: give it one, "
                    "or train with gradient='bptt'", s.where,
                )  # fmt: skip
        self.leaks: dict[str, float] = {}

    def forget(self) -> None:
        assert self.run is not None
        for s in self.learning:
            for name in s.names(s.targets):
                self.leaks[name] = self._leak(name, s)
            if len({self.leaks[name] for name in s.names(s.targets)}) > 1:
                raise UnsupportedError(
                    f"OTTT has one trace for each source, and the targets of projection '{s.name}' leak differently: "
                    "connect them one by one", s.where,
                )  # fmt: skip
        self.lags = self._lags()
        longest = max((lag for lags in self.lags.values() for lag in lags), default=0) + 1
        self.traces: dict[str, deque[Tensor | None]] = {s.name: deque([None] * longest, longest) for s in self.learning}
        self.gates: deque[dict[Inbox, Tensor]] = deque([{}] * longest, longest)
        self.found: set[str] = set()
        self._prepare()

    def changed(self) -> None:
        super().changed()
        self._prepare()

    def _prepare(self) -> None:
        """Keep the weights as they are now, on their grids."""
        module, grids = self.module, self.module.grids()
        self.weights: dict[str, Tensor] = {}
        for s in module.synapses:
            if s.count:
                with torch.no_grad():
                    weight = s.each(module.weights[s.name]) * module.weights.units[s.name]
                    self.weights[s.name] = s.prepared(weight, module.edge_grid(s, grids))

    def _leak(self, name: str, s: Synapses) -> float:
        """Return what is left of a potential after a step, below the threshold."""
        (variable,) = cone_of(self.node(name)).variables
        leak, gain = self.linear(name, s.receptor)[variable]
        if leak is None or gain is None or not bool((gain != 0).all()):
            raise UnsupportedError(
                f"OTTT is for cells whose potential leaks and that an arrival moves in its own step, which "
                f"'{variable}' of population '{name}' is not: train with gradient='bptt'", s.where,
            )  # fmt: skip
        if not bool((leak == leak[0, 0]).all()):
            raise UnsupportedError(
                f"OTTT has one trace for each source, and the neurons of population '{name}' leak differently: give "
                "them one time constant, or train with gradient='eprop'", s.where,
            )  # fmt: skip
        return float(leak[0, 0])

    def _lags(self) -> dict[str, set[int]]:
        """Return population -> how many steps it may be before a step whose loss it has to do with."""
        lags: dict[str, set[int]] = {name: {0} for name in self.pops}
        for name in sorted(self.pops, key=lambda n: -self.order[n]):
            for s in self.beyond(name):
                if s.count:
                    later = [t for t in s.names(s.targets) if self.order[t] > self.order[name]]
                    lags[name] |= {lag + s.delays[0] for t in later for lag in lags[t]}
        return lags

    def learn(self) -> None:
        gates = {}
        for name, spikes in self.spikes.items():
            keys = [(name, r) for r in self.node(name).receptors]
            for key, gate in zip(keys, slopes(spikes, [self.taps[k] for k in keys]), strict=True):
                if gate is not None:
                    gates[key] = gate
        self.gates.append(gates)
        for s in self.learning:
            leak, arrived = self.leaks[s.targets[0][0]], self.arrived[s.name][s.delays[0]]
            old = self.traces[s.name][-1]
            kept = None if old is None else leak * old
            self.traces[s.name].append(kept if arrived is None else arrived if kept is None else kept + arrived)
        self._back()

    def _back(self) -> None:
        """Find the loss's derivatives through the layers, from the last to the first, each at its own instant."""
        at: dict[tuple[str, int], dict[str, Tensor]] = {}  # population, lag -> receptor -> derivative
        for (name, receptor), g in self.of_inbox.items():
            at.setdefault((name, 0), {})[receptor] = g
        for name in sorted(self.pops, key=lambda n: -self.order[n]):
            for lag in sorted(self.lags[name]):
                for receptor, g in at.pop((name, lag), {}).items():
                    for s in self.module.synapses:
                        if s.count and s.receptor == receptor and name in s.names(s.targets):
                            self._through(s, name, lag, g, at)

    def _through(self, s: Synapses, name: str, lag: int, g: Tensor, at: dict[Any, dict[str, Tensor]]) -> None:
        """Add to the gradient of a projection, and find what its sources' spikes have to do with the loss."""
        upstream, first = [], 0
        for target, ids, size in s.targets:
            part = g if ids is None else g[:, ids]
            upstream.append(part if target == name else torch.zeros(len(g), size, dtype=g.dtype, device=g.device))
        ahead = torch.cat(upstream, 1)[None]
        weight, size = self.weights[s.name], s.n_pre
        trace = self.traces[s.name][-1 - lag] if s in self.learning else None
        if trace is not None:
            leaf = weight.detach().requires_grad_()
            (d_weight,) = torch.autograd.grad(s.graded(trace, leaf), leaf, ahead)
            self.add(self.module.weights[s.name], self._parameter(s, d_weight))
        if s in self.learning:
            self.found.add(s.name)
        before = [p for p in s.names(s.sources) if self.order[p] < self.order[name]]
        if not any((p, r) in self.gates[-1] for p in before for r in self.node(p).receptors):
            return
        spikes = torch.zeros(len(g), size, dtype=g.dtype, device=g.device, requires_grad=True)
        (d_spikes,) = torch.autograd.grad(s.graded(spikes, weight), spikes, ahead)
        then = lag + s.delays[0]
        for source, ids, count in s.sources:
            part, first = d_spikes[:, first : first + count], first + count
            if source not in before or then >= len(self.gates):
                continue
            if ids is not None:
                shape = len(g), self.node(source).size
                part = torch.zeros(shape, dtype=g.dtype, device=g.device).index_add(1, ids, part)
            for (population, receptor), gate in self.gates[-1 - then].items():
                if population == source:
                    found, share = at.setdefault((source, then), {}), part * gate
                    found[receptor] = found[receptor] + share if receptor in found else share

    def _parameter(self, s: Synapses, d_weight: Tensor) -> Tensor:
        """Return the derivative after a parameter from that after the weights that are delivered."""
        parameter = self.module.weights[s.name].detach().requires_grad_()
        with torch.enable_grad():
            made = s.prepared(s.each(parameter) * self.module.weights.units[s.name], 1.0)
        return torch.autograd.grad(made, parameter, d_weight)[0]

    def reached(self, s: Synapses) -> bool:
        return s.name in self.found

    def unreached(self, s: Synapses) -> str:
        return (
            f"OTTT has nothing to tell the weights of projection '{s.name}': no way leads from its targets to what the "
            f"loss reads; fix them by module.weights['{s.name}'].requires_grad_(False)"
        )

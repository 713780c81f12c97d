"""Where a batch of runs stands within a stretch of steps, and what a step takes: leaves, arrivals, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.arithmetic import Surrogate
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.backends.snntorch_backend.state import State
from neurosim.ir.graph import PopulationNode
from neurosim.ir.interp import call as numpy_call
from neurosim.ir.leaves import poisson_row, scheduled, table_row, uniform_words
from neurosim.ir.program import Instr
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_inversion

if TYPE_CHECKING:
    from neurosim.backends.snntorch_backend.module import NetworkModule


class Stretch:
    """Some steps of a batch of runs; the weights are put on their grid once, at its start."""

    def __init__(self, module: NetworkModule, state: State, streams: dict[tuple[str, str], list[Draws]]) -> None:
        self.module, self.n, self.batch = module, state.step, state.batch
        self.variables = {p: dict(vs) for p, vs in state.variables.items()}
        self.pending = {key: list(ts) for key, ts in state.pending.items()}
        self.streams, self.device = streams, module.device
        self.graded = torch.is_grad_enabled() and module.surrogate is not None
        grids = module.grids()
        self.limit = {key: 2.0**53 * g for key, g in grids.items()}
        self.weights: list[Tensor] = []
        for s in module.synapses:
            weight, grid = module.weights[s.name] * module.units[s.name], module.edge_grid(s, grids)
            if self.graded:
                self.weights.append(s.prepared(weight, grid))
            else:
                values = weight.detach().double()
                self.weights.append(torch.round(values / grid) * grid)
        self.matrices: dict[str, Tensor] = {}

    def state(self) -> State:
        """Return where it is now."""
        return State(self.n, self.batch, self.variables, self.pending)

    def step(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take one step, and return population -> spikes [batch, neurons]."""
        fired: dict[str, Tensor] = {}
        for pop in self.module.graph.populations:
            step = self.module.steps.get(pop.name)
            if step is None:
                continue
            stores, emits = step(
                self._leaf(pop, given), self.device, self._surrogate(pop.name), self.module.detach_reset
            )
            shape = (self.batch, pop.size)
            self.variables[pop.name] |= {var: value.expand(shape) for var, value in stores.items()}
            if emits:
                own = next(iter(emits.values()))
                fired[pop.name] = given.get(pop.name, own).to(self.module.dtype).expand(shape)
        for waiting in self.pending.values():
            waiting.pop(0)
            waiting.append(None)
        for s, weight in zip(self.module.synapses, self.weights, strict=True):
            self._send(s, weight, fired)
        self.n += 1
        return fired

    def _surrogate(self, population: str) -> Surrogate | None:
        surrogate = self.module.surrogate
        if surrogate is None or not self.graded:
            return None
        scale = self.module.scale.get(population, 1.0)
        return lambda above: surrogate(above / scale)

    def _send(self, synapses: Synapses, weight: Tensor, fired: Mapping[str, Tensor]) -> None:
        parts = []
        for name, ids, size in synapses.sources:
            spikes = fired.get(name)
            if spikes is None:
                spikes = torch.zeros(self.batch, size, dtype=self.module.dtype, device=self.device)
            elif ids is not None:
                spikes = spikes[:, ids]
            parts.append(spikes)
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        adds = self.added(synapses, weight, joined)
        if adds is None:
            return
        sizes = {p.name: p.size for p in self.module.graph.populations}
        for delay, add in zip(synapses.delays, adds, strict=True):
            at = 0
            for name, ids, size in synapses.targets:
                piece, at = add[:, at : at + size], at + size
                waiting = self.pending[name, synapses.receptor]
                if ids is not None:
                    whole = torch.zeros(self.batch, sizes[name], dtype=piece.dtype, device=self.device)
                    piece = whole.index_add(1, ids, piece)
                old = waiting[delay - 1]
                waiting[delay - 1] = piece if old is None else old + piece

    def added(self, synapses: Synapses, weight: Tensor, spikes: Tensor) -> Tensor | None:
        """Return what rows of spikes [rows, n_pre] add, by delay: [delays, rows, n_post]; None for nothing."""
        if self.graded:
            return synapses.graded(spikes, weight)
        return synapses.counted(spikes, weight, lambda: self._matrices(synapses, weight))

    def one_by_one(
        self, pop: PopulationNode, start: int, steps: int, inbox: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Run one population for some steps, operation by operation; return its spikes, and variables after each step.

        Parameters
        ----------
        inbox : mapping
            Receptor -> what arrives: [batch or 1, steps, neurons].
        """
        here, shape = self.n, (self.batch, pop.size)
        rows = {receptor: x.unbind(1) for receptor, x in inbox.items()}
        spikes: list[Tensor] = []
        kept: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for k in range(steps):
            self.n = start + k

            def leaf(ins: Instr, *args: Tensor, k: int = k) -> Tensor:
                return rows[ins.attr][k] if ins.op == "inbox" else self._answer(pop, {}, ins, *args)

            step = self.module.steps[pop.name]
            stores, emits = step(leaf, self.device, self._surrogate(pop.name), self.module.detach_reset)
            self.variables[pop.name] |= {var: value.expand(shape) for var, value in stores.items()}
            if emits:
                spikes.append(next(iter(emits.values())).to(self.module.dtype).expand(shape))
            for name, values in kept.items():
                values.append(self.variables[pop.name][name])
        self.n = here
        return torch.stack(spikes, 1) if spikes else None, {k: torch.stack(v, 1) for k, v in kept.items()}

    def leaf_rows(self, pop: PopulationNode, op: str, attr: str, start: int, steps: int) -> Tensor:
        """Return a leaf that differs from step to step, for some steps: [batch or 1, steps, neurons]."""
        here, rows = self.n, []
        for k in range(steps):
            self.n = start + k
            row = self._answer(pop, {}, Instr(op, (), attr))
            rows.append(row.expand(len(row) if row.ndim == 2 else 1, pop.size))
        self.n = here
        return torch.stack(rows, 1).to(self.module.dtype)

    def _matrices(self, synapses: Synapses, weight: Tensor) -> Tensor:
        if synapses.name not in self.matrices:
            self.matrices[synapses.name] = synapses.matrices(weight)
        return self.matrices[synapses.name]

    def _leaf(self, pop: PopulationNode, given: Mapping[str, Tensor]) -> Callable[..., Tensor]:
        return lambda ins, *args: self._answer(pop, given, ins, *args)

    def _answer(self, pop: PopulationNode, given: Mapping[str, Tensor], ins: Instr, *args: Tensor) -> Tensor:
        op, attr, module = ins.op, ins.attr, self.module
        if op == "load":
            return self.variables[pop.name][attr]
        if op == "param":
            return module.param(pop.name, attr)
        if op == "inbox":
            arrived = self.pending[pop.name, attr][0]
            more = given.get(f"{pop.name}.{attr}")
            if arrived is None:
                arrived = torch.zeros(self.batch, pop.size, dtype=module.dtype, device=self.device)
            return arrived.to(module.dtype) if more is None else arrived.to(module.dtype) + more
        if op == "step":
            return torch.tensor(self.n, device=self.device)
        if op == "time":
            return torch.tensor(self.n * module.graph.dt, dtype=module.dtype, device=self.device)
        if op == "index":
            return torch.arange(pop.size, device=self.device)
        if op == "table":
            return self._tensor(table_row(pop.tables[attr], self.n)).to(module.dtype)
        if op == "scheduled":
            return self._tensor(np.isin(np.arange(pop.size), scheduled(pop.schedules[attr], self.n)))
        draws = self.streams[pop.name, attr]
        means = [None] * len(draws)
        if op == "poisson_of":
            table = np.asarray(args[0].detach().cpu().numpy(), dtype=np.float64)
            means = list(np.broadcast_to(table, (self.batch, pop.size))) if table.ndim == 2 else [table] * len(draws)
            draws = draws * self.batch if len(means) > len(draws) else draws
        rows = [self._drawn(pop, ins, d.words(0, pop.size, self.n), mean) for d, mean in zip(draws, means, strict=True)]
        return self._tensor(np.stack(rows)).to(module.dtype)

    def _drawn(self, pop: PopulationNode, ins: Instr, words: np.ndarray, mean: Any) -> np.ndarray:
        dtype = self.module._numpy_dtype
        if ins.op == "uniform":
            return uniform_words(words, dtype)
        if ins.op == "normal":
            return numpy_call("ndtri", uniform_words(words, dtype), dtype=dtype)
        if ins.op == "poisson":
            return poisson_row(words, pop.poisson[ins.attr]).astype(dtype)
        if ins.op == "poisson_of":
            counts = poisson_inversion(words, np.minimum(mean, POISSON_MEAN_LIMIT)).astype(dtype)
            return np.where(mean > POISSON_MEAN_LIMIT, dtype(np.nan), counts)
        raise AssertionError(f"no leaf {ins.op}")

    def _tensor(self, value: Any) -> Tensor:
        return torch.from_numpy(np.array(value)).to(self.device)

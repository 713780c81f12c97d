"""Where a batch of runs stands within a stretch of steps, and what a step takes: leaves, arrivals, random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.arithmetic import Surrogate
from neurosim.backends.snntorch_backend.delivery import Synapses, valued
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
        self.weigh()

    def weigh(self) -> None:
        """Put the weights on their grid, as they are now."""
        module, grids = self.module, self.module.grids()
        self.limit = {key: 2.0**53 * g for key, g in grids.items()}
        self.weights: list[Tensor] = []
        self.rounded: dict[str, tuple[Tensor, Any]] = {}  # where a projection needs them besides: and the grid
        for s in module.synapses:
            weight, grid = s.each(module.weights[s.name]) * module.weights.units[s.name], module.edge_grid(s, grids)
            values = weight.detach().double()
            rounded = torch.round(values / grid) * grid
            self.weights.append(s.prepared(weight, grid) if self.graded else rounded)
            if s.release is not None or s.moving:
                self.rounded[s.name] = rounded, grid
        self.matrices: dict[str, Tensor] = {}

    def state(self) -> State:
        """Return where it is now."""
        return State(self.n, self.batch, self.variables, self.pending)

    def step(self) -> dict[str, Tensor]:
        """Take one step of all populations, and return population -> spikes [batch, 1, neurons]."""
        fired: dict[str, Tensor] = {}
        for pop in self.module.graph.populations:
            if pop.name in self.module.steps:
                waiting = {receptor: self.pending[pop.name, receptor][0] for receptor in pop.receptors}
                inbox = {r: self.nothing(pop) if x is None else x[:, None] for r, x in waiting.items()}
                emitted, _ = self.one_by_one(pop, self.n, 1, inbox, ())
                if emitted is not None:
                    fired[pop.name] = emitted
        self.deliver(fired)
        return fired

    def deliver(self, fired: Mapping[str, Tensor]) -> None:
        """End a step: what its spikes [batch, 1, neurons] add is on its way, the next arrivals come first."""
        for waiting in self.pending.values():
            waiting.pop(0)
            waiting.append(None)
        for s, weight in zip(self.module.synapses, self.weights, strict=True):
            carried = {p: self.variables[p][s.release][:, None] for p in s.names(s.sources) if s.release is not None}
            for delay, part, piece in self.sent(s, weight, fired, 1, carried):
                waiting = self.pending[s.targets[part][0], s.receptor]
                old = waiting[delay - 1]
                waiting[delay - 1] = piece[:, 0] if old is None else old + piece[:, 0]
        self.n += 1

    def nothing(self, pop: PopulationNode, steps: int = 1) -> Tensor:
        """Return an inbox in which nothing arrives: [1, steps, neurons]."""
        return torch.zeros(1, 1, 1, dtype=self.module.dtype, device=self.device).expand(1, steps, pop.size)

    def one_by_one(
        self, pop: PopulationNode, start: int, steps: int, inbox: Mapping[str, Tensor], wanted: Sequence[str],
        graded: bool | None = None,
    ) -> tuple[Tensor | None, dict[str, Tensor]]:  # fmt: skip
        """Run one population for some steps, operation by operation.

        Parameters
        ----------
        pop : PopulationNode
            Which; its variables are left as they are at the end.
        start, steps : int
            The first step and how many.
        inbox : mapping
            Receptor -> what arrives: [batch or 1, steps, neurons].
        wanted : sequence of str
            Variables to be returned.
        graded : bool, optional
            Whether the threshold has the surrogate's derivative; where the stretch has derivatives, by default.

        Returns
        -------
        tuple
            Its spikes [batch, steps, neurons], None if it has none; variable -> the same of its values after each step.
        """
        module, shape = self.module, (self.batch, pop.size)
        rows = {receptor: x.to(module.dtype).unbind(1) for receptor, x in inbox.items()}
        surrogate = self._surrogate(pop.name, self.graded if graded is None else graded)
        state = self.variables[pop.name]
        spikes: list[Tensor] = []
        kept: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for k in range(steps):

            def leaf(ins: Instr, *args: Tensor, k: int = k) -> Tensor:
                if ins.op == "load":
                    return state[ins.attr]
                return rows[ins.attr][k] if ins.op == "inbox" else self._outside(pop, ins, start + k, *args)

            stores, emits = module.steps[pop.name](leaf, self.device, surrogate, module.detach_reset)
            state.update({var: value.expand(shape) for var, value in stores.items()})
            if emits:
                spikes.append(next(iter(emits.values())).to(module.dtype).expand(shape))
            for name, values in kept.items():
                values.append(state[name])
        return torch.stack(spikes, 1) if spikes else None, {k: torch.stack(v, 1) for k, v in kept.items()}

    def leaf_rows(self, pop: PopulationNode, op: str, attr: str, start: int, steps: int) -> Tensor:
        """Return a leaf that differs from step to step, for some steps: [batch or 1, steps, neurons]."""
        ins = Instr(op, (), attr)
        rows = [self._outside(pop, ins, start + k) for k in range(steps)]
        return torch.stack(
            [row.expand(len(row) if row.ndim == 2 else 1, pop.size) for row in rows], 1
        ).to(self.module.dtype)  # fmt: skip

    def sent(
        self, s: Synapses, weight: Tensor, fired: Mapping[str, Tensor], steps: int, carried: Mapping[str, Tensor]
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Yield what spikes [batch, steps, neurons] add: (delay, part of the target, the same shape of its neurons).

        ``carried`` is what they carry, by population, where the projection has a release.
        """
        flat = carries = self._joined(s, fired, steps)
        if s.release is None:
            adds = self._plain(s, flat, weight)
        else:
            factor = self._joined(s, carried, steps)
            rounded, grid = self.rounded[s.name]
            adds = s.counted(flat.detach(), rounded, lambda: rounded, (factor.detach(), grid))
            if self.graded:
                carries = flat * factor
                adds = valued(s.graded(carries, weight), adds)
        if adds is None:
            return
        yield from self._pieces(s, adds, s.delays, steps)
        if s.moving and self.graded:
            moved = self._moved(s, carries.detach())
            later, earlier = [d + 1 for d in s.delays], [max(1, d - 1) for d in s.delays]
            whole = torch.tensor([0.5 if d > 1 else 1.0 for d in s.delays], dtype=moved.dtype, device=self.device)
            moved = moved * whole[:, None, None]
            yield from self._pieces(s, moved, later, steps)
            yield from self._pieces(s, -moved, earlier, steps)

    def _moved(self, s: Synapses, carries: Tensor) -> Tensor:
        """Return 0 for each delay, [delays, rows, n_post], with the derivative after delays of what spikes add."""
        delay = self.module.delay(s.name)
        size = self.rounded[s.name][0].to(delay.dtype) * (delay - delay.detach())
        return s.graded(carries, s.matrices(size) if s.full else size)

    def _pieces(
        self, s: Synapses, adds: Tensor, delays: Sequence[int], steps: int
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Yield rows [delays, rows, n_post] by delay and part of the target."""
        for delay, add in zip(delays, adds, strict=True):
            block, at = add.view(self.batch, steps, add.shape[1]), 0
            for part, (name, ids, size) in enumerate(s.targets):
                piece, at = block[:, :, at : at + size], at + size
                if ids is not None:
                    shape = self.batch, steps, self.module.graph.population(name).size
                    piece = torch.zeros(shape, dtype=piece.dtype, device=self.device).index_add(2, ids, piece)
                yield delay, part, piece

    def _plain(self, s: Synapses, flat: Tensor, weight: Tensor) -> Tensor | None:
        """Return what spikes that carry nothing add."""
        return s.graded(flat, weight) if self.graded else s.counted(flat, weight, lambda: self._matrices(s, weight))

    def _joined(self, s: Synapses, values: Mapping[str, Tensor], steps: int) -> Tensor:
        """Return values [batch, steps, neurons] of the populations of a projection's sources as [rows, n_pre]."""
        parts = []
        for name, ids, size in s.sources:
            found = values.get(name)
            if found is None:
                found = torch.zeros(self.batch, steps, size, dtype=self.module.dtype, device=self.device)
            elif ids is not None:
                found = found[:, :, ids]
            parts.append(found)
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 2)
        return joined.reshape(self.batch * steps, joined.shape[2])

    def _matrices(self, synapses: Synapses, weight: Tensor) -> Tensor:
        if synapses.name not in self.matrices:
            self.matrices[synapses.name] = synapses.matrices(weight)
        return self.matrices[synapses.name]

    def _surrogate(self, population: str, graded: bool) -> Surrogate | None:
        surrogate = self.module.surrogate
        if surrogate is None or not graded:
            return None
        scale = self.module.scale.get(population, 1.0)
        return lambda above: surrogate(above / scale)

    def _outside(self, pop: PopulationNode, ins: Instr, n: int, *args: Tensor) -> Tensor:
        """Return a leaf of step ``n`` that is neither state nor inbox."""
        op, attr, module = ins.op, ins.attr, self.module
        if op == "param":
            return module.param(pop.name, attr)
        if op == "step":
            return torch.tensor(n, device=self.device)
        if op == "time":
            return torch.tensor(n * module.graph.dt, dtype=module.dtype, device=self.device)
        if op == "index":
            return torch.arange(pop.size, device=self.device)
        if op == "table":
            return self._tensor(table_row(pop.tables[attr], n)).to(module.dtype)
        if op == "scheduled":
            return self._tensor(np.isin(np.arange(pop.size), scheduled(pop.schedules[attr], n)))
        draws = self.streams[pop.name, attr]
        means = [None] * len(draws)
        if op == "poisson_of":
            table = np.asarray(args[0].detach().cpu().numpy(), dtype=np.float64)
            means = list(np.broadcast_to(table, (self.batch, pop.size))) if table.ndim == 2 else [table] * len(draws)
            draws = draws * self.batch if len(means) > len(draws) else draws
        rows = [self._drawn(pop, ins, d.words(0, pop.size, n), mean) for d, mean in zip(draws, means, strict=True)]
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

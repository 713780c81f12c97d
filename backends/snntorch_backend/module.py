"""A network as a PyTorch module: batch by time by neurons in and out, weights to train, state to carry on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from neurosim.backends.snntorch_backend.arithmetic import FORMATS, Step, Surrogate
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, suggest
from neurosim.ir.graph import Graph, PopulationNode
from neurosim.ir.interp import call as numpy_call
from neurosim.ir.leaves import poisson_row, scheduled, table_row, uniform_words
from neurosim.ir.program import Instr
from neurosim.ir.random import POISSON_MEAN_LIMIT, Draws, poisson_inversion


@dataclass
class State:
    """Where a batch of runs is.

    Attributes
    ----------
    step : int
        Steps done.
    batch : int
        Number of runs.
    variables : dict
        Population -> variable -> [batch, neurons].
    pending : dict
        (population, receptor) -> what is on its way, one entry per step to come: [batch, neurons], or None for
        nothing.
    """

    step: int
    batch: int
    variables: dict[str, dict[str, Tensor]]
    pending: dict[tuple[str, str], list[Tensor | None]]

    def detach(self) -> State:
        """Return it without its history: what truncated backpropagation through time goes on from."""
        variables = {p: {k: v.detach() for k, v in vs.items()} for p, vs in self.variables.items()}
        pending = {k: [None if t is None else t.detach() for t in ts] for k, ts in self.pending.items()}
        return State(self.step, self.batch, variables, pending)


@dataclass
class Output:
    """What came of a stretch of steps.

    Attributes
    ----------
    spikes : dict
        Population -> [batch, time, neurons], 0 or 1.
    traces : dict
        ``"population.variable"`` -> [batch, time, neurons] at the end of each step, for those asked for.
    state : State
        To go on from.
    """

    spikes: dict[str, Tensor]
    traces: dict[str, Tensor]
    state: State


class Weights(nn.Module):
    """Projection -> parameter. Unlike in a ``ParameterDict`` names may be any, and keep their order."""

    def __init__(self, given: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._parameters.update(given)

    def __getitem__(self, name: str) -> nn.Parameter:
        found = self._parameters.get(name)
        if found is None:
            raise UnknownNameError(f"no projection '{name}'{suggest(name, self._parameters)}")
        return cast(nn.Parameter, found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


class NetworkModule(nn.Module):
    """A compiled network whose weights are parameters.

    Its steps are the network's own: in double precision the spikes are those of every other backend. Backward, the
    test at the threshold has the derivative of a surrogate; the reset is detached unless asked otherwise.

    Parameters
    ----------
    graph : Graph
        After the last pass; in single precision the module computes in float32.
    surrogate : callable, optional
        Takes how far a neuron is above its threshold, in units of ``scale``; returns 0 or 1 with a derivative. None:
        the module has no gradient.
    scale : mapping
        Population -> what of the compared variable counts as 1 for the surrogate, in SI.
    detach_reset : bool
        Whether the reset has no derivative.
    weights_in : torch.dtype, optional
        What the weights are kept in: as everything else by default. In double precision they are those of the graph,
        which are finer than single precision can say.

    Attributes
    ----------
    weights : Weights
        Projection -> weights of its edges, in the order that ``result.weights()`` has, in ``units``.
    units : dict
        Projection -> its weights' unit in SI: a power of two with which they begin as large as those of a
        ``torch.nn.Linear``, around 1/sqrt(inputs per neuron), so that the usual learning rates fit.
    """

    def __init__(
        self,
        graph: Graph,
        surrogate: Surrogate | None = None,
        scale: Mapping[str, float] | None = None,
        detach_reset: bool = True,
        weights_in: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.surrogate, self.detach_reset = graph, surrogate, detach_reset
        self.scale = dict(scale or {})
        self.dtype = torch.float64 if graph.precision == "double" else torch.float32
        self._numpy_dtype: Any = np.float64 if graph.precision == "double" else np.float32
        fmt = FORMATS[self.dtype]
        self.steps = {p.name: Step(p.program, fmt) for p in graph.populations if p.program is not None}
        self.synapses = [Synapses(graph, p) for p in graph.projections]
        self.units = {s.name: s.unit() for s in self.synapses}
        kept = weights_in or self.dtype
        self.weights = Weights({
            s.name: nn.Parameter(torch.from_numpy(s.initial / self.units[s.name]).to(kept)) for s in self.synapses
        })  # fmt: skip
        for k, pop in enumerate(graph.populations):
            for i, value in enumerate(pop.params.values()):
                self.register_buffer(f"_param{k}_{i}", torch.from_numpy(np.array(value)).to(self.dtype), False)
        self._at = {p.name: {key: f"_param{k}_{i}" for i, key in enumerate(p.params)} for k, p in enumerate(
            graph.populations)}  # fmt: skip
        self.reach = {(p.name, r): 1 for p in graph.populations for r in p.receptors}
        for s in self.synapses:
            for name, _, _ in s.targets:
                self.reach[name, s.receptor] = max(self.reach[name, s.receptor], max(s.delays, default=0) + 1)
        self._emitting = [p.name for p in graph.populations if p.program is not None and p.program.emits()]
        self._device = torch.device("cpu")

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((self.weights[name].device for name in self.weights), self._device)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        """Move everything, the edges too; the precision is the graph's and stays."""
        moved = fn(torch.zeros(1, dtype=self.dtype, device=self._device))
        if moved.dtype != self.dtype:
            raise UnsupportedError(
                f"this module computes in {self.dtype}: make it anew with precision='single' or 'double'"
            )
        self._device = moved.device
        out = super()._apply(fn, recurse)
        for s in self.synapses:
            s.to(self._device)
        return out

    def initial(self, batch: int = 1) -> State:
        """Return the state before the first step, for a batch of runs."""
        variables: dict[str, dict[str, Tensor]] = {}
        for pop in self.graph.populations:
            made = {}
            for var in pop.states:
                kind = {"i": torch.int64, "b": torch.bool}.get(var.kind, self.dtype)
                value = torch.from_numpy(np.array(var.init)).to(self.device).to(kind)
                made[var.name] = value.expand(batch, pop.size).clone()
            variables[pop.name] = made
        return State(0, batch, variables, {key: [None] * n for key, n in self.reach.items()})

    def grids(self) -> dict[tuple[str, str], float]:
        """Return (population, receptor) -> grid of the weights as they stand, never finer than the graph's."""
        bits = self.graph.weight_bits
        out = {(p.name, r): g for p in self.graph.populations for r, g in p.grids.items()}
        for s in self.synapses:
            weight = self.weights[s.name].detach()
            largest = float(weight.abs().max()) * self.units[s.name] if len(weight) else 0.0
            if not np.isfinite(largest):
                raise ParameterError(
                    f"the weights of projection '{s.name}' are not all finite any more: train with a smaller rate",
                    s.where,
                )
            needed = float(2.0 ** max(int(np.frexp(largest)[1]) - bits, -1000)) if largest else 0.0
            for name, _, _ in s.targets:
                out[name, s.receptor] = max(out[name, s.receptor], needed)
        return out

    # -- running ------------------------------------------------------------------------------------------------

    def forward(
        self,
        inputs: Mapping[str, Tensor] | None = None,
        *,
        steps: int | None = None,
        state: State | None = None,
        seeds: Sequence[int] | None = None,
        traces: Sequence[str] = (),
    ) -> Output:
        """Run.

        Parameters
        ----------
        inputs : mapping, optional
            Population -> spikes [batch, time, neurons] that it emits instead of its own; or ``"population.receptor"``
            -> what arrives there besides, in the receptor's unit in SI. What has no batch is that of every run.
        steps : int, optional
            How long, where there are no inputs.
        state : State, optional
            Where to begin; the first step by default.
        seeds : sequence of int, optional
            One for each run of the batch, for the random numbers of its cells and stimuli; by default all have the
            network's.
        traces : sequence of str
            Variables to return, as ``"population.variable"``.
        """
        given = self._inputs(inputs or {})
        lengths = {len(x[0]) for x in given.values()} | ({steps} if steps is not None else set())
        if len(lengths) != 1:
            raise ParameterError(
                f"inputs and steps= must agree on the number of steps, got {sorted(lengths) or 'neither'}"
            )
        batches = {len(x) for x in given.values()} - {1} | ({len(seeds)} if seeds is not None else set())
        if state is not None:
            batches.add(state.batch)
        if len(batches) > 1:
            raise ParameterError(f"inputs, state and seeds must have one batch, got sizes {sorted(batches)}")
        for label in traces:
            self._variable(label)
        state = state or self.initial(batches.pop() if batches else 1)
        run = Stretch(self, state, self._streams(seeds))
        spikes: dict[str, list[Tensor]] = {name: [] for name in self._emitting}
        kept: dict[str, list[Tensor]] = {label: [] for label in traces}
        for t in range(lengths.pop()):
            fired = run.step({key: x[:, t] for key, x in given.items()})
            for name, values in spikes.items():
                values.append(fired[name])
            for label, values in kept.items():
                pop, var = label.split(".", 1)
                values.append(run.variables[pop][var])
        def joined(values: list[Tensor], population: str) -> Tensor:
            none = torch.zeros(state.batch, 0, self.graph.population(population).size, dtype=self.dtype)
            return torch.stack(values, 1).to(self.dtype) if values else none.to(self.device)

        traced = {k: joined(v, k.partition(".")[0]) for k, v in kept.items()}
        return Output({k: joined(v, k) for k, v in spikes.items()}, traced, run.state())

    def _inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        out = {}
        known = [*self._emitting, *(f"{p}.{r}" for p, r in self.reach)]
        for key, value in inputs.items():
            if key not in known:
                raise UnknownNameError(f"no population or receptor '{key}' to give input to{suggest(key, known)}")
            size = self.graph.population(key.split(".", 1)[0]).size
            x = torch.as_tensor(value).to(self.device, self.dtype)
            x = x[None] if x.ndim == 2 else x
            if x.ndim != 3 or x.shape[2] != size:
                raise ParameterError(
                    f"input for '{key}' must be [batch, time, {size}] or [time, {size}], got {list(np.shape(value))}"
                )
            if key in self._emitting and bool(((x != 0) & (x != 1)).any()):
                raise ParameterError(f"input for population '{key}' must be spikes: 0 or 1")
            out[key] = x
        return out

    def _variable(self, label: str) -> None:
        pop, _, var = label.partition(".")
        self.graph.population(pop).state(var)

    def _streams(self, seeds: Sequence[int] | None) -> dict[tuple[str, str], list[Draws]]:
        return {
            (p.name, local): [Draws(seed, full) for seed in (seeds if seeds is not None else [self.graph.seed])]
            for p in self.graph.populations
            for local, full in p.streams.items()
        }

    def param(self, population: str, key: str) -> Tensor:
        """Return a parameter of a population's program."""
        return getattr(self, self._at[population][key])

    # -- back to the network ------------------------------------------------------------------------------------

    def learned(self, projection: str) -> np.ndarray:
        """Return the weights of a projection as a run uses them: on their grid, in SI."""
        values = self.weights[projection].detach().double()
        grid = self.edge_grid(next(s for s in self.synapses if s.name == projection), self.grids())
        values = values * self.units[projection]
        return (torch.round(values / grid) * grid).cpu().numpy()

    def edge_grid(self, synapses: Synapses, grids: Mapping[tuple[str, str], float]) -> Any:
        """Return the grid of a projection's weights: one, or one for each edge."""
        found = [grids[name, synapses.receptor] for name, _, _ in synapses.targets]
        if len(set(found)) == 1:
            return found[0]
        each = np.repeat(found, [size for _, _, size in synapses.targets])[synapses.post]
        return torch.from_numpy(each).to(self.device)


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
        self._index = {p.name: torch.arange(p.size, device=self.device) for p in module.graph.populations}

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
        if self.graded:
            adds: Tensor | None = synapses.graded(joined, weight)
        else:
            adds = synapses.counted(joined, weight, lambda: self._matrices(synapses, weight))
        if adds is None:
            return
        for delay, add in zip(synapses.delays, adds, strict=True):
            at = 0
            for name, ids, size in synapses.targets:
                piece, at = add[:, at : at + size], at + size
                waiting = self.pending[name, synapses.receptor]
                if ids is not None:
                    whole = torch.zeros(self.batch, len(self._index[name]), dtype=piece.dtype, device=self.device)
                    piece = whole.index_add(1, ids, piece)
                old = waiting[delay - 1]
                waiting[delay - 1] = piece if old is None else old + piece

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
            return self._index[pop.name]
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

"""A network as a PyTorch module: batch by time by neurons in and out, weights to train, state to carry on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from neurosim.backends.snntorch_backend.arithmetic import FORMATS, Step, Surrogate
from neurosim.backends.snntorch_backend.blocks import Blocks, groups_of
from neurosim.backends.snntorch_backend.convolved import synapses_of
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.backends.snntorch_backend.eprop import Eprop
from neurosim.backends.snntorch_backend.fused import Fused
from neurosim.backends.snntorch_backend.loop import loop_of, refusal
from neurosim.backends.snntorch_backend.online import Online
from neurosim.backends.snntorch_backend.ottt import Ottt
from neurosim.backends.snntorch_backend.state import State
from neurosim.backends.snntorch_backend.stretch import Stretch
from neurosim.backends.snntorch_backend.trained import Delays, Made, Maker, Trained, in_si
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError, suggest
from neurosim.ir.adjoint import PER_UNIT
from neurosim.ir.graph import Graph
from neurosim.ir.random import Draws


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


def _unit_of(name: str) -> str:
    """Return the key of a parameter's unit in the state of :class:`Weights`."""
    return f":unit of {name.replace('.', ':')}"


class Weights(nn.Module):
    """Name -> parameter, and what it counts in. Unlike in a ``ParameterDict`` names may be any, and keep their order.

    torch takes a dot in a name for a module in a module, so in ``state_dict`` and ``named_parameters`` it is a colon.
    Units are part of the state, as ``:unit of NAME``: those of a network that was trained before may differ. So is
    where parameters started, for those that are logarithms of a ratio to that.
    """

    def __init__(
        self, given: Mapping[str, nn.Parameter], units: Mapping[str, float], what: str,
        starts: Mapping[str, np.ndarray] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.names, self.what, self.units = list(given), what, {name: units[name] for name in given}
        self._parameters.update({name.replace(".", ":"): value for name, value in given.items()})
        for name, unit in self.units.items():
            self.register_buffer(_unit_of(name), torch.tensor(unit, dtype=torch.float64))
        self._starts = {name: f":start of {name.replace('.', ':')}" for name in starts or {}}
        for name, start in (starts or {}).items():
            self.register_buffer(self._starts[name], torch.from_numpy(np.array(start, dtype=np.float64)))

    def start(self, name: str) -> np.ndarray:
        """Return where a parameter that is a logarithm started, in SI."""
        return cast(Tensor, self._buffers[self._starts[name]]).double().cpu().numpy()

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.units = {name: float(cast(Tensor, self._buffers[_unit_of(name)])) for name in self.names}

    def __getitem__(self, name: str) -> nn.Parameter:
        if name not in self.names:
            raise UnknownNameError(f"no {self.what} '{name}'{suggest(name, self.names)}")
        return cast(nn.Parameter, self._parameters[name.replace(".", ":")])

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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
        the module has no gradient. Where its attribute ``slope`` is a program of one argument, its derivative,
        populations are run by fused loops; otherwise steps with gradients are taken operation by operation.
    scale : mapping
        Population -> what of the compared variable counts as 1 for the surrogate, in SI.
    detach_reset : bool
        Whether the reset has no derivative.
    weights_in : torch.dtype, optional
        What the weights are kept in: as everything else by default. In double precision they are those of the graph,
        which are finer than single precision can say.
    fuse : bool
        Whether populations may be run by fused loops.
    train : sequence of Trained
        Parameters of cells and stimuli that are parameters of the module.
    makers : mapping
        Population -> what makes the constants of its program that are made of those.
    delays : mapping
        Projection whose delays are parameters of the module -> how many steps they can become (None: twice as many as
        the longest has now).

    Attributes
    ----------
    weights : Weights
        Projection -> weights of its edges, in the order that ``result.weights()`` has, in ``units``; of a convolution
        its kernel [output channels, input channels of a group, ...].
    trained : Weights
        ``population.parameter`` -> its value, one or one per neuron, in ``units``; of what must be above 0 (times,
        capacitances, conductances, resistances) the logarithm of its ratio to where it started.
        ``projection.delay`` -> one delay per edge, in ``units``.
    """

    def __init__(
        self,
        graph: Graph,
        surrogate: Surrogate | None = None,
        scale: Mapping[str, float] | None = None,
        detach_reset: bool = True,
        weights_in: torch.dtype | None = None,
        fuse: bool = True,
        train: Sequence[Trained] = (),
        makers: Mapping[str, Maker] | None = None,
        delays: Mapping[str, int | None] | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.surrogate, self.detach_reset = graph, surrogate, detach_reset
        self.scale = dict(scale or {})
        self.dtype = torch.float64 if graph.precision == "double" else torch.float32
        self._numpy_dtype: Any = np.float64 if graph.precision == "double" else np.float32
        fmt = FORMATS[self.dtype]
        self.steps = {p.name: Step(p.program, fmt) for p in graph.populations if p.program is not None}
        self.synapses = [synapses_of(graph, p) for p in graph.projections]
        units = {s.name: s.unit() for s in self.synapses}
        kept = weights_in or self.dtype
        self.weights = Weights({
            s.name: nn.Parameter(torch.from_numpy(s.initial / units[s.name]).to(kept)) for s in self.synapses
        }, units, "projection")  # fmt: skip
        for k, pop in enumerate(graph.populations):
            for i, value in enumerate(pop.params.values()):
                self.register_buffer(f"_param{k}_{i}", torch.from_numpy(np.array(value)).to(self.dtype), False)
        self._at = {p.name: {key: f"_param{k}_{i}" for i, key in enumerate(p.params)} for k, p in enumerate(
            graph.populations)}  # fmt: skip
        self._cells = {t.label: t for t in train}
        moving = [s for s in self.synapses if s.name in (delays or {})]
        self._delays = {s.name: Delays.of(s.name, s.delay_steps, delays[s.name], s.where) for s in moving if delays}
        for s in moving:
            s.moving = True
        started = {s.name: torch.from_numpy(s.delay_steps / self._delays[s.name].unit).to(self.dtype) for s in moving}
        steps = {f"{name}.delay": d.unit * graph.dt for name, d in self._delays.items()}
        self.trained = Weights(
            {t.label: t.parameter(self.dtype) for t in train}
            | {f"{name}.delay": nn.Parameter(delay) for name, delay in started.items()},
            {t.label: t.unit for t in train} | steps,
            "trained parameter",
            {t.label: t.start for t in train if t.positive},
        )
        self._makers = {}
        for pop in graph.populations:
            own = [t for t in train if t.population == pop.name and t.made]
            if own:
                self._makers[pop.name] = Made((makers or {})[pop.name], own, pop.size, pop.where)
        self._moving = {t.population for t in train}
        self._now: dict[str, dict[str, Tensor]] = {}
        self.reach = {(p.name, r): 1 for p in graph.populations for r in p.receptors}
        for s in self.synapses:
            longest = self._delays[s.name].longest + 1 if s.name in self._delays else max(s.delays, default=0)
            for name, _, _ in s.targets:
                self.reach[name, s.receptor] = max(self.reach[name, s.receptor], longest + 1)
        self.groups = groups_of(graph)
        self._begin: tuple[torch.device, dict[str, dict[str, Tensor]]] | None = None
        self.fuse = fuse
        self._fused: dict[tuple[Any, ...], Fused | str] = {}
        self._emitting = [p.name for p in graph.populations if p.program is not None and p.program.emits()]
        self._device = torch.device("cpu")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: it makes kernels of its own."""
        return {**self.__dict__, "_fused": {}, "_begin": None, "_now": {}}

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def units(self) -> dict[str, float]:
        """What parameters count in, in SI: powers of two.

        Weights of a projection begin as large in theirs as those of a ``torch.nn.Linear``, around 1/sqrt(inputs per
        neuron), so that the usual learning rates fit; other parameters around 1.
        """
        return {**self.weights.units, **self.trained.units}

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
        if self._begin is None or self._begin[0] != self.device:
            self._begin = self.device, self._beginning(self.device)
        variables = {p: {k: v.expand(batch, -1).clone() for k, v in vs.items()} for p, vs in self._begin[1].items()}
        return State(0, batch, variables, {key: [None] * n for key, n in self.reach.items()})

    def _beginning(self, device: torch.device) -> dict[str, dict[str, Tensor]]:
        """Return population -> variable -> [1, neurons] before the first step."""
        out: dict[str, dict[str, Tensor]] = {}
        for pop in self.graph.populations:
            out[pop.name] = {}
            for var in pop.states:
                kind = {"i": torch.int64, "b": torch.bool}.get(var.kind, self.dtype)
                value = torch.from_numpy(np.array(var.init)).to(device).to(kind)
                out[pop.name][var.name] = value.expand(1, pop.size)
        return out

    def grids(self) -> dict[tuple[str, str], float]:
        """Return (population, receptor) -> grid of the weights as they stand, never finer than the graph's."""
        bits = self.graph.weight_bits
        out = {(p.name, r): g for p in self.graph.populations for r, g in p.grids.items()}
        for s in self.synapses:
            weight = self.weights[s.name].detach()
            largest = float(weight.abs().max()) * self.weights.units[s.name] if len(weight) else 0.0
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
        self._now = {}  # what was made of trained parameters belongs to one run, and to its way back
        self.settle()
        self._checked(inputs, steps, state, seeds)
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
        run, length = Stretch(self, state, self._streams(seeds)), lengths.pop()
        if not length:
            none = {p.name: torch.zeros(state.batch, 0, p.size, dtype=self.dtype, device=self.device)
                    for p in self.graph.populations}  # fmt: skip
            return Output({k: none[k] for k in self._emitting}, {k: none[k.partition(".")[0]] for k in traces}, state)
        blocks = Blocks(run, given, length, traces)
        blocks.all()
        return Output(
            {name: blocks.spikes[name] for name in self._emitting},
            {label: blocks.traces[label] for label in traces},
            run.state(),
        )

    def online(self, rule: str, **options: Any) -> Online:
        """Return what trains the weights forward in time, step by step, by ``"eprop"`` or ``"ottt"``.

        Parameters
        ----------
        rule : str
            Which: :class:`~neurosim.backends.snntorch_backend.eprop.Eprop` or
            :class:`~neurosim.backends.snntorch_backend.ottt.Ottt`.
        **options
            Those of the rule's class.

        Raises
        ------
        UnsupportedError
            The rule does not cover something in the network.
        """
        rules = {"eprop": Eprop, "ottt": Ottt}
        if rule not in rules:
            raise UnknownNameError(f"no online rule {rule!r}{suggest(str(rule), rules)}; there are 'eprop' and 'ottt'")
        return rules[rule](self, **options)

    def _checked(self, inputs: Any, steps: Any, state: Any, seeds: Any) -> None:
        """Complain of arguments of another kind."""
        if inputs is not None and not isinstance(inputs, Mapping):
            raise ParameterError(
                "inputs are a mapping of a population, or 'population.receptor', to a tensor; got "
                f"{type(inputs).__name__}"
            )
        whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
        if steps is not None and not (whole and steps >= 0):
            raise ParameterError(f"steps must be a whole number, 0 or more; got {steps!r}")
        own = {p.name for p in self.graph.populations}
        if state is not None and not (isinstance(state, State) and state.variables.keys() == own):
            raise ParameterError("state must be what this network's module gave as output.state")
        if seeds is not None and not isinstance(seeds, (Sequence, np.ndarray)):
            raise ParameterError(f"seeds are a list of whole numbers, one for each run of the batch; got {seeds!r}")

    def _inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        out = {}
        known = [*self._emitting, *(f"{p}.{r}" for p, r in self.reach)]
        for key, value in inputs.items():
            if key not in known:
                raise UnknownNameError(f"no population or receptor '{key}' to give input to{suggest(key, known)}")
            size = self.graph.population(key.split(".", 1)[0]).size
            x = torch.as_tensor(value).to(self.device, self.dtype)
            x = x[None] if x.ndim == 2 else x
            if x.ndim != 3 or x.shape[2] != size or not len(x):
                raise ParameterError(
                    f"input for '{key}' must be [batch, time, {size}] or [time, {size}], got {list(np.shape(value))}"
                )
            follows = [s for s in self.synapses if s.release is not None and key in s.names(s.sources)]
            if follows:
                raise ParameterError(
                    f"spikes of population '{key}' cannot be given: what they release in projection "
                    f"'{follows[0].name}' follows from its own spikes; give input to its receptors"
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
            (p.name, local): [Draws(seed, full) for seed in (seeds if seeds is not None else [self.graph.chance])]
            for p in self.graph.populations
            for local, full in p.streams.items()
        }

    def settle(self) -> None:
        """Bring parameters back to their limits, and let edges have the delays that theirs say."""
        for t in self._cells.values():
            t.keep(self.trained[t.label], self.trained.units[t.label])
        for s in self.synapses:
            if s.name in self._delays:
                delays, parameter = self._delays[s.name], self.trained[f"{s.name}.delay"]
                if not bool(torch.isfinite(parameter).all()):
                    raise ParameterError(
                        f"the delays of projection '{s.name}' are not all finite any more: train with a smaller rate",
                        s.where,
                    )
                low, high = 1 / delays.unit, delays.longest / delays.unit
                if bool(((parameter < low) | (parameter > high)).any()):
                    with torch.no_grad():
                        parameter.clamp_(low, high)
                s.retime(delays.steps(parameter).cpu().numpy(), self._device)

    def delay(self, projection: str) -> Tensor:
        """Return the trained delays of a projection in steps, with derivatives."""
        return self.trained[f"{projection}.delay"] * self._delays[projection].unit

    def _made(self, population: str) -> dict[str, Tensor]:
        """Return what trained parameters of a population are, or are made into, in a step."""
        if population not in self._now:
            found = {t.key: self._in_si(t) for t in self._cells.values() if t.population == population and not t.made}
            made = self._makers.get(population)
            if made is not None:
                parameters = [self.trained[t.label] for t in made.trained]
                found |= made(parameters, [self._start(t) for t in made.trained], self.dtype)
            self._now[population] = found
        return self._now[population]

    def _start(self, trained: Trained) -> np.ndarray:
        return self.trained.start(trained.label) if trained.positive else trained.start

    def _in_si(self, trained: Trained) -> Tensor:
        """Return a parameter that a step reads as it is."""
        parameter = self.trained[trained.label]
        if not trained.positive:
            return parameter * self.trained.units[trained.label]
        start = torch.from_numpy(np.array(self._start(trained))).to(parameter)
        return start * torch.exp(parameter)

    def param(self, population: str, key: str) -> Tensor:
        """Return a parameter of a population's program."""
        made = self._made(population) if population in self._moving else {}
        return made[key] if key in made else getattr(self, self._at[population][key])

    def rows(self, population: str) -> dict[str, bool]:
        """Return parameter of a population's program -> whether it has one value per neuron."""
        found = {k: getattr(self, at).ndim > 0 for k, at in self._at[population].items()}
        for t in self._cells.values():
            if t.population == population and not t.made:
                found[t.key] = t.start.ndim > 0
        made = self._makers.get(population)
        return found | (made.rows if made is not None else {})

    def params_of(self, population: str) -> dict[str, Tensor]:
        """Return all parameters that a population's steps and their derivatives read."""
        out = {key: self.param(population, key) for key in self._at[population]}
        out[PER_UNIT] = torch.tensor(1 / self.scale.get(population, 1.0), dtype=self.dtype, device=self.device)
        return out

    def fused_steps(self, population: str, graded: bool) -> Fused | str:
        """Return the fused loop of a population, or why its steps are taken operation by operation."""
        # what a loop is made from may be set anew between two runs
        key = population, graded, self.fuse, self.detach_reset, self.surrogate, self.scale.get(population)
        if key not in self._fused:
            self._fused[key] = self._fusion(population, graded)
        return self._fused[key]

    def _fusion(self, population: str, graded: bool) -> Fused | str:
        pop, slope = self.graph.population(population), getattr(self.surrogate, "slope", None)
        reason = refusal(pop) if self.fuse else "it was asked not to be"
        if reason is None and graded and slope is None:
            reason = "the surrogate is no program"
        if reason is not None:
            return reason
        rows = tuple(k for k, many in self.rows(population).items() if many)
        trained = tuple(k for t in self._cells.values() if t.population == population for k in t.made or (t.key,))
        loop = loop_of(pop, rows, slope if graded else None, self.detach_reset, tuple(dict.fromkeys(trained)))
        fixed = population not in self._moving
        return Fused(loop, pop.size, self.graph.dt, self.dtype, lambda: self.params_of(population), fixed)

    def loops(self) -> dict[str, str]:
        """Return population -> ``fused``, or why its steps are taken operation by operation."""
        found = {name: self.fused_steps(name, self.surrogate is not None) for name in self.steps}
        return {name: reason if isinstance(reason, str) else "fused" for name, reason in found.items()}

    # -- back to the network ------------------------------------------------------------------------------------

    def learned(self, projection: str) -> np.ndarray:
        """Return the weights of a projection as a run uses them: on their grid, in SI; of a convolution its kernel."""
        values = self.weights[projection].detach().double()
        grid = self.edge_grid(next(s for s in self.synapses if s.name == projection), self.grids())
        values = values * self.weights.units[projection]
        return (torch.round(values / grid) * grid).cpu().numpy()

    @property
    def cells(self) -> list[str]:
        """The trained parameters of cells and stimuli."""
        return list(self._cells)

    def value(self, label: str) -> np.ndarray:
        """Return a trained parameter in SI; the delays of a projection, ``projection.delay``, in whole steps."""
        parameter = self.trained[label]
        if label not in self._cells:
            return self._delays[label.removesuffix(".delay")].steps(parameter).cpu().numpy() * self.graph.dt
        t, point = self._cells[label], parameter.detach().double().cpu().numpy()
        return in_si(point, self._start(t), self.trained.units[label], t.positive)

    def edge_grid(self, synapses: Synapses, grids: Mapping[tuple[str, str], float]) -> Any:
        """Return the grid of a projection's weights: one, or one for each edge."""
        found = [grids[name, synapses.receptor] for name, _, _ in synapses.targets]
        if len(set(found)) == 1:
            return found[0]
        each = np.repeat(found, [size for _, _, size in synapses.targets])[synapses.post]
        return torch.from_numpy(each).to(self.device)

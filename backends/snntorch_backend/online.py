"""Learning forward in time: one step after the other, with what is needed of the past in traces of fixed size.

:class:`Online` takes the steps, those of every forward pass, and finds what the loss of a step depends on within it.
What past spikes have to do with that is for the rules to say: :mod:`.eprop` and :mod:`.ottt`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.cone import cone_of
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.backends.snntorch_backend.stretch import Stretch
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.ir.graph import PopulationNode
from neurosim.ir.program import Instr

if TYPE_CHECKING:
    from neurosim.backends.snntorch_backend.module import NetworkModule

State = tuple[str, str]
"""A population and one of its state variables."""

Inbox = tuple[str, str]
"""A population and one of its receptors."""


def _state(label: str) -> State:
    population, _, variable = label.partition(".")
    return population, variable


def slopes(values: Tensor | None, after: Sequence[Tensor]) -> list[Tensor | None]:
    """Return derivatives of values [batch, neurons], each after its own neuron's part of tensors; None for none."""
    if values is None or not values.requires_grad or not after:
        return [None] * len(after)
    return list(torch.autograd.grad(values.sum(), after, retain_graph=True, allow_unused=True))


class Online:
    """A module that learns while it runs.

    After :meth:`begin` each :meth:`step` takes one step of the network and adds the gradient of that step's loss to
    the ``grad`` of the weights; an optimiser may change them at any time, between two steps too, if :meth:`changed` is
    called then. What is kept has a size that does not depend on the number of steps.

    Parameters
    ----------
    module : NetworkModule
        Its weights are trained, those with ``requires_grad``.

    Raises
    ------
    UnsupportedError
        The rule does not cover something in the network; the error says what.
    """

    rule = "an online rule"

    def __init__(self, module: NetworkModule) -> None:
        self.module = module
        if module.surrogate is None:
            raise ParameterError("this module has no gradients: make it with a surrogate, as to_torch() does")
        self.learning = [s for s in module.synapses if module.weights[s.name].requires_grad and s.count]
        self.pops = {p.name: p for p in module.graph.populations if p.name in module.steps}
        self.order = {name: k for k, group in enumerate(module.groups) for name in group}
        fixed = [name for name in module.trained if module.trained[name].requires_grad]
        if fixed:
            raise UnsupportedError(
                f"{self.rule} trains weights, and '{fixed[0]}' is trained here too: leave it out of to_torch(train=...)"
                f", fix it by module.trained['{fixed[0]}'].requires_grad_(False), or train with gradient='bptt'"
            )
        for s in self.learning:
            if s.release is not None:
                raise UnsupportedError(
                    f"{self.rule} does not cover short-term plasticity, and projection '{s.name}' has it: train with "
                    "gradient='bptt'", s.where,
                )  # fmt: skip
        self.run: Stretch | None = None

    # -- running ------------------------------------------------------------------------------------------------

    def begin(self, batch: int = 1, seeds: Sequence[int] | None = None) -> None:
        """Start anew: the network in its first step, nothing remembered.

        Parameters
        ----------
        batch : int
            Number of runs.
        seeds : sequence of int, optional
            As in :meth:`NetworkModule.forward`.
        """
        module = self.module
        module._now = {}
        module.settle()
        with torch.no_grad():
            self.run = Stretch(module, module.initial(batch), module._streams(seeds))
        self.past: dict[str, deque[Tensor | None]] = {
            s.name: deque([None] * max(s.delays), max(s.delays)) for s in module.synapses if s.count
        }  # fmt: skip
        self.heard: set[str] = set()
        self.forget()

    def changed(self) -> None:
        """Take note that weights have changed."""
        if self.run is not None:
            with torch.no_grad():
                self.run.weigh()

    def step(
        self,
        inputs: Mapping[str, Any] | None,
        loss: Callable[[Any], Any],
        traces: Sequence[str] = (),
        share: float = 1.0,
    ) -> Any:
        """Take a step and learn from it.

        Parameters
        ----------
        inputs : mapping, optional
            As in :meth:`NetworkModule.forward`, of one step: [batch, neurons].
        loss : callable
            Takes the step's :class:`Output`, whose time axis has one entry; returns one number, or None: nothing is
            learned from this step.
        traces : sequence of str
            Variables that the loss reads, as ``"population.variable"``.
        share : float
            What the gradient is multiplied by.

        Returns
        -------
        Tensor or None
            What the loss returned, detached.
        """
        from neurosim.backends.snntorch_backend.module import Output

        if self.run is None:
            raise ParameterError("an online rule needs begin(batch) before its first step")
        run, given = self.run, self._given(inputs or {})
        for label in traces:
            self.module._variable(label)
        with torch.enable_grad():
            self._ahead(given)
            shown = {label: self.after[_state(label)][:, None] for label in traces}
            value = loss(Output({k: v[:, None] for k, v in self.spikes.items()}, shown, run.state()))
            self._wanted(value, share)
            self.arrived = {s.name: self._arrived(s) for s in self.learning}
            self.learn()
        fired = {name: spikes.detach()[:, None] for name, spikes in self.spikes.items()}
        with torch.no_grad():
            for s in self.module.synapses:
                if s.name in self.past:
                    self.past[s.name].append(run._joined(s, fired, 1))
            run.deliver(fired)
        for name, variables in run.variables.items():
            run.variables[name] = {k: v.detach() for k, v in variables.items()}
        self.before, self.taps, self.after, self.spikes, self.of_state, self.of_inbox = {}, {}, {}, {}, {}, {}
        return value.detach() if isinstance(value, Tensor) else value

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        out = {}
        assert self.run is not None
        for key, value in inputs.items():
            x = torch.as_tensor(value)
            if x.requires_grad:
                raise UnsupportedError(
                    f"{self.rule} gives no gradient to what made the input for '{key}': train layers before the "
                    "network with gradient='bptt', or detach() them"
                )
            found = self.module._inputs({key: x[:, None] if x.ndim == 2 else x})[key]
            if found.shape[1] != 1 or len(found) not in (1, self.run.batch):
                raise ParameterError(
                    f"input for '{key}' must be [{self.run.batch}, neurons], that of one step; got {list(x.shape)}"
                )
            out[key] = found[:, 0].expand(self.run.batch, -1)
        return out

    def _ahead(self, given: Mapping[str, Tensor]) -> None:
        """Take the step: what it began with and what arrived are leaves."""
        run = self.run
        assert run is not None
        self.before: dict[State, Tensor] = {}
        self.taps: dict[Inbox, Tensor] = {}
        self.after: dict[State, Tensor] = {}
        self.spikes: dict[str, Tensor] = {}
        for name, pop in self.pops.items():
            for var, value in run.variables[name].items():
                if value.is_floating_point():
                    run.variables[name][var] = self.before[name, var] = value.detach().clone().requires_grad_()
            for receptor in pop.receptors:
                waiting = run.pending[name, receptor][0]
                found = run.nothing(pop)[:, 0] if waiting is None else waiting.to(self.module.dtype)
                more = given.get(f"{name}.{receptor}")
                found = (found if more is None else found + more).expand(run.batch, pop.size)
                self.taps[name, receptor] = found.detach().clone().requires_grad_()
            inbox = {r: self.taps[name, r][:, None] for r in pop.receptors}
            emitted, _ = run.one_by_one(pop, run.n, 1, inbox, (), True)
            self.after |= {(name, var): value for var, value in run.variables[name].items()}
            if emitted is not None:
                self.spikes[name] = given[name] if name in given else emitted[:, 0]

    def _wanted(self, value: Any, share: float) -> None:
        """Find what the loss depends on within the step: derivatives after leaves, and after the weights directly."""
        self.of_state: dict[State, Tensor] = {}
        self.of_inbox: dict[Inbox, Tensor] = {}
        if value is None or not value.requires_grad:
            return
        weights = [self.module.weights[s.name] for s in self.learning]
        leaves = [*self.before.values(), *self.taps.values(), *weights]
        found = torch.autograd.grad(value * share, leaves, retain_graph=True, allow_unused=True)
        states, inboxes = found[: len(self.before)], found[len(self.before) :][: len(self.taps)]
        self.of_state = {k: g for k, g in zip(self.before, states, strict=True) if g is not None}
        self.of_inbox = {k: g for k, g in zip(self.taps, inboxes, strict=True) if g is not None}
        for weight, g in zip(weights, found[len(leaves) - len(weights) :], strict=True):
            self.add(weight, g)
        self.heard |= {p for p, _ in (*self.of_state, *self.of_inbox)}

    def _arrived(self, s: Synapses) -> dict[int, Tensor | None]:
        """Return delay -> the spikes [batch, n_pre] of a projection that arrive now."""
        return {d: self.past[s.name][-d] for d in s.delays}

    @staticmethod
    def add(weight: Tensor, grad: Tensor | None) -> None:
        """Add to the gradient of a parameter."""
        if grad is not None:
            weight.grad = grad.clone() if weight.grad is None else weight.grad + grad

    def state_dict(self) -> dict[str, Any]:
        """Return what of the rule lasts from batch to batch."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""

    # -- what a rule says ---------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Set the traces to their beginning."""
        raise NotImplementedError

    def learn(self) -> None:
        """Add the gradient of this step's loss, and bring the traces up to this step."""
        raise NotImplementedError

    def finish(self) -> None:
        """Complain of weights that nothing was learned for."""
        deaf = [s for s in self.learning if not self.reached(s)]
        if deaf and self.heard:
            raise UnsupportedError(self.unreached(deaf[0]), deaf[0].where)

    def reached(self, s: Synapses) -> bool:
        """Tell whether the losses so far had something to do with a projection."""
        raise NotImplementedError

    def unreached(self, s: Synapses) -> str:
        """Return what is to be done about one that they had not."""
        raise NotImplementedError

    # -- helpers ------------------------------------------------------------------------------------------------

    def beyond(self, population: str) -> Iterable[Synapses]:
        """Return the projections that lead out of a population to such as come after it, not back in a circle."""
        for s in self.module.synapses:
            names = s.names(s.targets)
            if population in s.names(s.sources) and any(self.order[t] > self.order[population] for t in names):
                yield s

    def linear(self, name: str, receptor: str) -> dict[str, list[Tensor | None]]:
        """Return what a step makes of the variables of a population that is linear, while it does not spike.

        Variable -> derivatives after each variable that arrivals move, and after what arrives: [1, neurons].
        """
        run, pop = self.run, self.node(name)
        assert run is not None
        names = cone_of(pop).variables
        like = {"dtype": self.module.dtype, "device": run.device, "requires_grad": True}
        # what is not a number passes no test, and the slopes of a linear step do not depend on where they are taken
        leaves = {v: torch.full((1, pop.size), torch.nan, **like) for v in names}
        taps = {r: torch.zeros(1, pop.size, **like) for r in pop.receptors}
        others = {v: torch.zeros_like(x[:1]) for v, x in run.variables[name].items()}

        def value(ins: Instr, *args: Tensor) -> Tensor:
            if ins.op == "load":
                return leaves[ins.attr] if ins.attr in leaves else others[ins.attr]
            return taps[ins.attr] if ins.op == "inbox" else run._outside(pop, ins, run.n, *args)

        with torch.enable_grad():
            stores, _ = self.module.steps[name](value, run.device)
            after = [*leaves.values(), taps[receptor]]
            return {v: slopes(stores[v].expand(1, pop.size), after) for v in names}

    def node(self, name: str) -> PopulationNode:
        """Return a population."""
        return self.pops[name]

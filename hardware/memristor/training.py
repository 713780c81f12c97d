"""Training on memristors: an optimiser whose steps are pulses.

A weight is one device beside a reference: ``w = largest*(2 g - 1)``, g its conductance from 0 to 1. What gradient
descent would add to it becomes a number of pulses of a linear device; what they do depends on the device, and on where
it is. So a step up and a step down by the same amount end elsewhere, and small steps get lost: a part of a pulse is
given as a whole one, with the probability of its size.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, caller
from neurosim.hardware.memristor.pulses import PulseCurve
from neurosim.hardware.rewriting import positive, whole
from neurosim.ir.random import Draws


def pulsed(
    parameters: Any, curve: PulseCurve, *, lr: float, largest: float | None = None, seed: int = 0,
    rounding: str = "stochastic",
) -> Any:  # fmt: skip
    """Return an optimiser (``torch.optim.Optimizer``) for parameters that are devices.

    It is plain gradient descent; parameters beyond the range are brought to its ends when it is made. It stops and goes
    on as any: its state holds the number of its steps, from which the random numbers follow.

    Parameters
    ----------
    parameters : torch.nn.Module or iterable of torch.nn.Parameter
        A module, such as ``net.to_torch()``, or some of its parameters. The devices are made with the optimiser: it
        takes no more of them later.
    curve : PulseCurve
        The device, such as :data:`~neurosim.hardware.memristor.AG_A_SI`.
    lr : float
        Learning rate.
    largest : float, optional
        Weight of the greatest conductance, in the parameters' unit; of each parameter its largest magnitude when the
        optimiser is made, unless it is given.
    seed : int
        Of the devices, the pulses and the rounding.
    rounding : {"stochastic", "nearest", "none"}
        How parts of pulses are given; with "none", as they are.

    Raises
    ------
    ParameterError
        A value out of range, or a parameter that is 0 throughout and no `largest`.
    BackendMissingError
        Without torch.
    """
    where = caller()
    if rounding not in ("stochastic", "nearest", "none"):
        raise ParameterError(f"rounding must be 'stochastic', 'nearest' or 'none', got {rounding!r}", where)
    if not isinstance(curve, PulseCurve):
        raise ParameterError(f"curve must be a PulseCurve, such as AG_A_SI, got {curve!r}", where)
    positive(lr, "lr", zero=False)
    if largest is not None:
        positive(largest, "largest", zero=False)
    if callable(getattr(parameters, "parameters", None)):
        parameters = parameters.parameters()
    parameters = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    return _optimiser()(parameters, curve, float(lr), largest, whole(seed, 0, 2**64 - 1, "seed"), rounding, where)


@functools.cache
def _optimiser() -> type:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise BackendMissingError("training needs torch: pip install torch snntorch", caller()) from None

    class Pulsed(torch.optim.Optimizer):  # type: ignore[name-defined,misc]
        """Gradient descent by pulses; see :func:`pulsed`."""

        def __init__(self, parameters: list[Any], curve: PulseCurve, lr: float, largest: float | None, seed: int,
                     rounding: str, where: str | None) -> None:  # fmt: skip
            try:
                super().__init__(parameters, {"lr": lr})
            except (TypeError, ValueError) as error:
                raise ParameterError("parameters must be those of a module that has some, or the module: torch says "
                                     f"'{error}'", where) from None  # fmt: skip
            self.curve, self.rounding = curve, rounding
            self._streams = []
            for k, p in enumerate(self._all()):
                size = float(p.detach().abs().max()) if largest is None else float(largest)
                if not size > 0:
                    raise ParameterError(f"parameter {k} is 0 throughout: say what weight the greatest conductance is, "
                                         "with largest=", where)  # fmt: skip
                self.state[p].update(largest=size, step=0)
                names = ("device", "cycle", "round")
                self._streams.append({name: Draws(seed, f"memristor:parameter {k}/{name}") for name in names})
                with torch.no_grad():
                    p.clamp_(-size, size)
            count = [p.numel() for p in self._all()]
            self._constants = [curve.constants(draws["device"].normal(0, n) if curve.device else None)
                               for draws, n in zip(self._streams, count, strict=True)]  # fmt: skip

        def add_param_group(self, param_group: dict[str, Any]) -> None:
            """Take the parameters that it is made with, and no others."""
            if hasattr(self, "_streams"):
                raise ParameterError("this optimiser has a device for each of its parameters: make another for more",
                                     caller())  # fmt: skip
            super().add_param_group(param_group)

        def _all(self) -> list[Any]:
            return [p for group in self.param_groups for p in group["params"]]

        def step(self, closure: Any = None) -> Any:
            """Give every parameter its pulses; `closure`, if any, is evaluated first, and what it returns returned."""
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            k = 0
            with torch.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            made = self._moved(k, p, group["lr"])
                            p.copy_(torch.from_numpy(made).reshape(p.shape).to(p.dtype))
                        k += 1
            return loss

        def _moved(self, k: int, p: Any, lr: float) -> np.ndarray:
            """Return what a parameter becomes, flat."""
            state, draws, curve = self.state[p], self._streams[k], self.curve
            size, step = state["largest"], state["step"]
            weight = p.detach().cpu().double().numpy().reshape(-1)
            wanted = -lr * p.grad.detach().cpu().double().numpy().reshape(-1) / (2 * size)
            pulses = np.clip(wanted, -1, 1) * np.where(wanted > 0, curve.up, curve.down)
            if self.rounding == "stochastic":
                pulses = np.floor(pulses + draws["round"].uniform(0, len(pulses), step))
            elif self.rounding == "nearest":
                pulses = np.rint(pulses)
            z = draws["cycle"].normal(0, len(pulses), step) if curve.cycle else None
            moved = curve.after(np.clip((weight / size + 1) / 2, 0, 1), pulses, z=z, constants=self._constants[k])
            state["step"] = step + 1
            return np.where(pulses == 0, weight, size * (2 * moved - 1))

    return Pulsed

"""What is trained besides weights: parameters of cells and stimuli, and delays.

A step reads some parameters as they are, such as a threshold. Of others it reads what was made of them when the network
was compiled, such as the entries of a propagator. Those are made anew, by the passes that made them first, whenever the
parameter has changed, so that the module takes the steps of the network that it is read back into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurosim.backends.snntorch_backend.arithmetic import first_order
from neurosim.errors import ParameterError

Maker = Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]
"""Takes parameters of a population in SI; returns all that its program reads."""

_STEP = 2.0**-10
"""How far a parameter is moved for its derivative. What is made of it is right to a unit in the last place, so the
difference of four points is to about 1e-12: its own error goes with the fourth power of this, that of rounding with
the inverse."""


@dataclass(frozen=True)
class Trained:
    """A parameter that is trained.

    Attributes
    ----------
    label : str
        ``population.parameter``.
    start : numpy.ndarray
        Its value in SI, one or one per neuron.
    unit : float
        What the module's parameter counts in, in SI.
    positive : bool
        Whether the module's parameter is the logarithm of its ratio to ``start`` instead, so that it stays above 0.
    made : tuple of str
        What the program reads that is made of it; empty where it reads the parameter itself.
    limits : pair
        The least and the greatest value that it may have, in SI; minus and plus infinity where there is none.
    """

    label: str
    start: np.ndarray
    unit: float
    positive: bool
    made: tuple[str, ...]
    limits: tuple[float, float]

    @property
    def population(self) -> str:
        """The population."""
        return self.label.partition(".")[0]

    @property
    def key(self) -> str:
        """The parameter's name within the population."""
        return self.label.partition(".")[2]

    def keep(self, parameter: Tensor, unit: float) -> None:
        """Bring the module's parameter back to the limits; what is no number is left to who uses it."""
        if self.positive or not np.isfinite(self.limits).any():
            return
        low, high = _inside(self.limits, unit, parameter.dtype)
        if bool(((parameter < low) | (parameter > high)).any()):
            with torch.no_grad():
                parameter.clamp_(low, high)

    def parameter(self, dtype: torch.dtype) -> nn.Parameter:
        """Return the module's parameter, at its beginning."""
        start = np.zeros_like(self.start) if self.positive else self.start / self.unit
        return nn.Parameter(torch.from_numpy(np.array(start)).to(dtype))


def _inside(limits: tuple[float, float], unit: float, dtype: torch.dtype) -> list[float]:
    """Return limits in a unit, rounded to numbers of a precision that are within them."""
    exact = np.float64(limits[0]) / unit, np.float64(limits[1]) / unit
    kind: Any = np.float64 if dtype == torch.float64 else np.float32
    low, high = kind(exact[0]), kind(exact[1])
    low = np.nextafter(low, kind(np.inf)) if low < exact[0] else low
    high = np.nextafter(high, kind(-np.inf)) if high > exact[1] else high
    return [float(low), float(high)]


def in_si(parameter: np.ndarray, start: np.ndarray, unit: float, positive: bool) -> np.ndarray:
    """Return a trained parameter in SI."""
    with np.errstate(over="ignore"):
        return start * np.exp(parameter) if positive else parameter * unit


class Made:
    """What a population's program reads, as tensors that have derivatives after the parameters it is made of.

    Parameters
    ----------
    maker : Maker
        How it is made.
    trained : sequence of Trained
        Those parameters of the population that are trained.
    size : int
        Neurons.
    where : str, optional
        Where the network was written.
    """

    def __init__(self, maker: Maker, trained: Sequence[Trained], size: int, where: str | None) -> None:
        self.maker, self.trained, self.size, self.where = maker, list(trained), size, where
        self.keys = list(dict.fromkeys(key for t in self.trained for key in t.made))
        many = any(t.start.ndim for t in self.trained)
        fixed = maker({t.key: t.start for t in self.trained})
        self.rows = {key: many or np.ndim(fixed[key]) > 0 for key in self.keys}

    def __call__(
        self, parameters: Sequence[Tensor], starts: Sequence[np.ndarray], dtype: torch.dtype
    ) -> dict[str, Tensor]:
        """Return what is made, by name: one number, or one per neuron."""
        out: Any = _Made.apply(self, list(starts), dtype, *parameters)
        return dict(zip(self.keys, out, strict=True))

    def numbers(self, points: Sequence[np.ndarray], starts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return what is made of parameters of the module, in double precision."""
        given = {}
        for t, point, start in zip(self.trained, points, starts, strict=True):
            given[t.key] = in_si(point, start, t.unit, t.positive)
            if not np.all(np.isfinite(given[t.key])) or (t.positive and not np.all(given[t.key] > 0)):
                raise ParameterError(
                    f"the trained parameter '{t.label}' is no longer a finite number that it can be: train with a "
                    "smaller rate", self.where,
                )  # fmt: skip
        made = self.maker(given)
        return [np.broadcast_to(made[k], (self.size,)) if self.rows[k] else np.asarray(made[k]) for k in self.keys]


class _Made(torch.autograd.Function):
    """Forward by the passes of the compiler, backward by a difference of four points of them."""

    @staticmethod
    def forward(ctx: Any, made: Made, starts: list[np.ndarray], dtype: torch.dtype, *parameters: Tensor) -> Any:
        ctx.made, ctx.starts = made, starts
        ctx.save_for_backward(*parameters)
        device = parameters[0].device
        values = made.numbers([_double(p) for p in parameters], starts)
        return tuple(torch.from_numpy(np.array(v)).to(device, dtype) for v in values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        first_order()
        made, points = ctx.made, [_double(p) for p in ctx.saved_tensors]
        upstream = [_double(g) for g in grads]
        out: list[Tensor | None] = []
        for k, parameter in enumerate(ctx.saved_tensors):
            if not ctx.needs_input_grad[3 + k]:
                out.append(None)
                continue
            at = {j: made.numbers([p + j * _STEP if i == k else p for i, p in enumerate(points)], ctx.starts)
                  for j in (-2, -1, 1, 2)}  # fmt: skip
            total = np.zeros_like(points[k])
            for g, a, b, c, d in zip(upstream, at[-2], at[-1], at[1], at[2], strict=True):
                each = g * ((8 * (c - b) - (d - a)) / (12 * _STEP))
                total = total + (each if total.ndim else each.sum())
            out.append(torch.from_numpy(np.asarray(total)).to(parameter))
        return None, None, None, *out


def _double(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


@dataclass(frozen=True)
class Delays:
    """The delays of a projection, trained edge by edge.

    Forward they are whole steps, so that the spikes are the network's. Backward, what arrives has the derivative of a
    line through its neighbours: half of what would arrive a step later less half of what would arrive a step earlier;
    for a delay of one step, which has no earlier one, the whole of a step later less what arrives.

    Attributes
    ----------
    projection : str
        Its name.
    unit : float
        Steps that the module's parameter counts in, a power of two.
    longest : int
        Steps that a delay can have at most.
    """

    projection: str
    unit: float
    longest: int

    @staticmethod
    def of(projection: str, steps: np.ndarray, longest: int | None, where: str | None) -> Delays:
        """Return those of a projection whose edges have delays of so many steps."""
        most = int(steps.max(initial=1))
        if longest is not None and longest < most:
            raise ParameterError(
                f"max_delay is {longest} steps, and projection '{projection}' has delays of {most}", where
            )
        unit = 2.0 ** np.rint(np.log2(steps.mean())) if len(steps) else 1.0
        return Delays(projection, float(unit), 2 * most if longest is None else longest)

    def steps(self, parameter: Tensor) -> Tensor:
        """Return the delays in whole steps."""
        return (parameter.detach().double() * self.unit).round().clamp(1, self.longest).to(torch.int64)

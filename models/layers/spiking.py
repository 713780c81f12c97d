"""Spikes in PyTorch: a threshold with a surrogate gradient, a leaky neuron over time, and what a model's spikes cost.

    m_t = beta m_{t-1} + x_t - s_{t-1} theta,   s_t = 1 where m_t > theta, else 0
    ds/dm = (a / 2) / (1 + (pi a (m - theta) / 2)^2)          in the backward pass only; the reset has no gradient

The same order and operations as ``snntorch.Leaky`` (reset by subtraction, one step later), and the same spikes.

Source: W. Fang et al., arXiv 2007.05785 (the arctangent); J. K. Eshraghian et al., Proc. IEEE 111 (2023).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, over: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(over)
        ctx.slope = slope
        return (over > 0).to(over.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (over,) = ctx.saved_tensors
        return grads[0] * (ctx.slope / 2) / (1 + (math.pi / 2 * ctx.slope * over).square()), None


def spike(over: Tensor, slope: float = 2.0) -> Tensor:
    """Return 1 where ``over`` (potential less threshold) is above zero, else 0; the gradient is the surrogate's."""
    return _Spike.apply(over, slope)


def ternary(x: Tensor, threshold: float = 0.5, slope: float = 2.0) -> Tensor:
    """Return 1 above the threshold, -1 below its negative, else 0: an ON and an OFF neuron's spikes."""
    return spike(x - threshold, slope) - spike(-x - threshold, slope)


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons over inputs (steps, ...); returns spikes of the same shape.

    Parameters
    ----------
    beta : float
        What is left of the potential after a step.
    threshold : float
        Above it a neuron fires.
    slope : float
        a of the surrogate.
    """

    def __init__(self, beta: float = 0.5, threshold: float = 1.0, slope: float = 2.0) -> None:
        super().__init__()
        self.beta, self.threshold, self.slope = beta, threshold, slope

    def forward(self, x: Tensor) -> Tensor:
        """x (steps, ...)."""
        m, s, out = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
        for now in x.unbind(0):
            m = self.beta * m + now - s.detach() * self.threshold
            s = spike(m - self.threshold, self.slope)
            out.append(s)
        return torch.stack(out)


@torch.no_grad()
def activity(model: nn.Module, x: Tensor) -> dict[str, float]:
    """Run a model once and count.

    Returns ``rate`` (mean spikes per neuron and step over all :class:`LIF`), ``synops`` (additions that spikes cause in
    linear and convolution layers, per sample) and ``macs`` (multiplications in layers whose inputs are no spikes, per
    sample).
    """
    found = {"spikes": 0.0, "chances": 0.0, "synops": 0.0, "macs": 0.0}

    def neurons(_: nn.Module, __: Any, out: Tensor) -> None:
        found["spikes"] += float(out.sum())
        found["chances"] += out.numel()

    def layer(module: nn.Module, given: Any, _: Any) -> None:
        (value,) = given
        binary = bool(((value == 0) | (value == 1)).all())
        found["synops" if binary else "macs"] += _operations(module, (value != 0) if binary else torch.ones_like(value))

    kept = [m.register_forward_hook(neurons) for m in model.modules() if isinstance(m, LIF)]
    kept += [m.register_forward_hook(layer) for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    try:
        model.eval()
        model(x)
    finally:
        for hook in kept:
            hook.remove()
    chances = max(found["chances"], 1.0)
    return {"rate": found["spikes"] / chances, "synops": found["synops"] / len(x), "macs": found["macs"] / len(x)}


def _operations(module: nn.Module, there: Tensor) -> float:
    """Return how many products a layer forms of the inputs that are there."""
    there = there.to(torch.float64)
    if isinstance(module, nn.Linear):
        return float(there.sum()) * module.out_features
    assert isinstance(module, nn.Conv2d)
    ones = torch.ones_like(module.weight, dtype=torch.float64)
    return float(F.conv2d(there, ones, None, module.stride, module.padding, module.dilation, module.groups).sum())

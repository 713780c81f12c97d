"""Meta-SpikeFormer, the spike-driven transformer V2, for small images.

SN is a layer of leaky neurons, x a membrane current; all shortcuts add currents, not spikes.

    convolution block:  x = x + pw(dw(SN(pw(SN(x)))));  x = x + conv(SN(conv(SN(x))))
    attention block:    x = x + conv(SN(scale Q (K^T V)));  x = x + conv(SN(conv(SN(x))))
                        Q, K, V = SN(conv(SN(x))), each 0 or 1

There is no softmax, so that Q (K^T V) = (Q K^T) V and the cost is linear in the number of pixels. Two stages of
convolution blocks and one of attention blocks, each at half the resolution of the one before; an image is shown for all
steps; the logits are of the mean over steps and pixels. ``spiking=False`` puts a ReLU for SN and takes one step: the
twin.

Every convolution has a batch norm, which folds into it at inference.

Source: M. Yao et al., arXiv 2404.03663 (Meta-SpikeFormer; SDSA-3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.layers.spiking import LIF


def spike_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return Q (K^T V) for q, k, v (..., pixels, channels): sums of spikes, linear in the number of pixels."""
    return q @ (k.mT @ v)


class _Conv(nn.Module):
    """A convolution and its batch norm over (steps, B, channels, height, width)."""

    def __init__(self, given: int, made: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(made)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])


class SpikeAttention(nn.Module):
    """The mixer of an attention block: (steps, B, channels, height, width) to the same."""

    def __init__(self, dim: int, heads: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        if dim % heads:
            raise ParameterError(f"dim={dim} is no multiple of heads={heads}")
        self.heads = heads
        self.enter, self.leave = neuron(), neuron()
        self.to_q, self.to_k, self.to_v = (nn.Sequential(_Conv(dim, dim), neuron()) for _ in range(3))
        self.to_out = _Conv(dim, dim)
        self.scale = (dim // heads) ** -0.5

    def _split(self, x: Tensor) -> Tensor:
        return x.flatten(3).unflatten(2, (self.heads, -1)).mT

    def forward(self, x: Tensor) -> Tensor:
        """x is a current; what is returned is to be added to it."""
        s = self.enter(x)
        mixed = spike_attention(*(self._split(to(s)) for to in (self.to_q, self.to_k, self.to_v)))
        return self.to_out(self.leave(self.scale * mixed.mT.flatten(2, 3).view(x.shape)))


class SpikeFormer(nn.Module):
    """Logits (B, classes) of images (B, channels, height, width).

    Parameters
    ----------
    classes, channels : int
        Of the output and of the input.
    dim : int
        Channels of the first stage; twice and four times as many in the next.
    heads, depth : int
        Of the attention stage.
    steps : int
        Steps for which an image is shown.
    beta : float
        Of the neurons.
    spiking : bool
        Whether neurons spike.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 1,
        *,
        dim: int = 16,
        heads: int = 4,
        depth: int = 1,
        steps: int = 4,
        beta: float = 0.5,
        spiking: bool = True,
    ) -> None:
        super().__init__()

        def neuron() -> nn.Module:
            return LIF(beta) if spiking else nn.ReLU()

        def channel(width: int, kernel: int) -> nn.Sequential:
            inner = 2 * width
            return nn.Sequential(neuron(), _Conv(width, inner, kernel), neuron(), _Conv(inner, width, kernel))

        def separable(width: int) -> nn.Sequential:
            inner = 2 * width
            return nn.Sequential(
                neuron(), _Conv(width, inner), neuron(), _Conv(inner, inner, 3, groups=inner), _Conv(inner, width)
            )

        self.steps = steps if spiking else 1
        wide, widest = 2 * dim, 4 * dim
        self.enter = _Conv(channels, dim, 3)
        self.first = nn.ModuleList([separable(dim), channel(dim, 3)])
        self.down_first = nn.Sequential(neuron(), _Conv(dim, wide, 3, stride=2))
        self.second = nn.ModuleList([separable(wide), channel(wide, 3)])
        self.down_second = nn.Sequential(neuron(), _Conv(wide, widest, 3, stride=2))
        self.third = nn.ModuleList()
        for _ in range(depth):
            self.third.extend([SpikeAttention(widest, heads, neuron), channel(widest, 1)])
        self.last = neuron()
        self.head = nn.Linear(widest, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits."""
        x = self.enter(image.expand(self.steps, *image.shape))
        for stage, down in ((self.first, self.down_first), (self.second, self.down_second), (self.third, None)):
            for block in stage:
                x = x + block(x)
            x = x if down is None else down(x)
        return self.head(self.last(x).mean((0, 3, 4)))


def train_images(
    model: nn.Module, x: Tensor, labels: Tensor, steps: int, *, batch: int = 64, lr: float = 3e-3, seed: int = 0
) -> list[float]:
    """Train a classifier with AdamW and a cosine; return the losses."""
    gen = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    model.train()
    losses = []
    for _ in range(steps):
        chosen = torch.randint(len(x), (batch,), generator=gen)
        loss = F.cross_entropy(model(x[chosen]), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        rate.step()
        losses.append(loss.item())
    return losses

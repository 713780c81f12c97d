"""A vision transformer that can be shown a part of its patches only: images, or video of patches with a depth in time.

    x_i = W patch_i + b + position_i;  x = x + attention(norm(x));  x = x + W_2 gelu(W_1 norm(x));  z = norm(x)

Positions are fixed sines and cosines, a share of the width for each axis. A patch that is not shown is not there: it is
left out before the first layer, and nothing of it can reach the others.

Source: A. Dosovitskiy et al., arXiv 2010.11929; M. Assran et al., arXiv 2301.08243.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.layers.attention import Attention


def positions(grid: Sequence[int], dim: int) -> Tensor:
    """Return (patches, dim): for each axis sines and cosines of the coordinate, and zeros to fill the width."""
    half = dim // (2 * len(grid))
    if half < 1:
        raise ParameterError(f"width {dim} has no room for a sine and a cosine for each of {len(grid)} axes")
    rates = 1e4 ** (-torch.arange(half, dtype=torch.float64) / half)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    waves = [
        w for a in axes for w in (torch.sin(a.flatten()[:, None] * rates), torch.cos(a.flatten()[:, None] * rates))
    ]
    return F.pad(torch.cat(waves, 1), (0, dim - 2 * half * len(grid))).to(torch.get_default_dtype())


def take(x: Tensor, index: Tensor) -> Tensor:
    """Return the patches (B, n, dim) of x (B, patches, dim) that ``index`` (B, n) names."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


class Layer(nn.Module):
    """Attention and a perceptron, each added behind a norm."""

    def __init__(self, dim: int, heads: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm_attention, self.norm_inner = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attention = Attention(dim, heads, penalty=False, bias=True)
        self.inner, self.outer = nn.Linear(dim, expansion * dim), nn.Linear(expansion * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n, dim)."""
        x = x + self.attention(self.norm_attention(x))
        return x + self.outer(F.gelu(self.inner(self.norm_inner(x))))


class Encoder(nn.Module):
    """Patches to features.

    Parameters
    ----------
    size : sequence of int
        Of the input without channels: (height, width), or (frames, height, width).
    patch : sequence of int
        Of a patch, axis by axis; divides ``size``.
    channels : int
        Channels of the input, its second axis.
    dim, depth, heads : int
        Width, layers, heads.
    """

    def __init__(
        self,
        size: Sequence[int],
        patch: Sequence[int],
        channels: int = 1,
        *,
        dim: int = 96,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if len(size) != len(patch) or any(s % p for s, p in zip(size, patch, strict=False)):
            raise ParameterError(f"patches of {tuple(patch)} do not tile an input of {tuple(size)}")
        self.grid, self.patch, self.dim = tuple(s // p for s, p in zip(size, patch, strict=True)), tuple(patch), dim
        self.embed = nn.Linear(channels * math.prod(patch), dim)
        self.register_buffer("positions", positions(self.grid, dim), persistent=False)
        self.layers = nn.ModuleList(Layer(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def patches(self, x: Tensor) -> Tensor:
        """Return rows (B, patches, channels times patch size) of (B, channels, *size), each channel by channel."""
        for axis, (n, p) in enumerate(zip(self.grid, self.patch, strict=True)):
            x = x.unflatten(2 + 2 * axis, (n, p))
        k = len(self.grid)
        order = [0, *(2 + 2 * a for a in range(k)), 1, *(3 + 2 * a for a in range(k))]
        return x.permute(order).flatten(1 + k).flatten(1, k)

    def forward(self, x: Tensor, shown: Tensor | None = None) -> Tensor:
        """Return features (B, n, dim) of the patches that ``shown`` (B, n) names, or of all."""
        tokens = self.embed(self.patches(x)) + self.get_buffer("positions")
        tokens = tokens if shown is None else take(tokens, shown)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)


class Predictor(nn.Module):
    """From the features of some patches to those of others: a narrow transformer over the shown and over mask tokens.

    A mask token is one learned vector plus the position of the patch that it asks for.
    """

    def __init__(self, grid: Sequence[int], dim: int, *, width: int = 48, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, width), nn.Linear(width, dim)
        self.register_buffer("positions", positions(grid, width), persistent=False)
        self.mask = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, context: Tensor, shown: Tensor, wanted: Tensor) -> Tensor:
        """Return (B, m, dim) for the patches ``wanted`` (B, m), from features (B, n, dim) of those ``shown`` (B, n)."""
        place = self.get_buffer("positions")
        x = torch.cat([self.enter(context) + place[shown], self.mask + place[wanted]], 1)
        for layer in self.layers:
            x = layer(x)
        return self.leave(self.norm(x[:, shown.shape[1] :]))

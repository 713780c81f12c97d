"""Which patches are shown, and which are to be predicted.

Multi-block: several target blocks of a share and an aspect, and one large context block less all targets. In a video a
block is a tube: the same patches in every frame. Within a batch all blocks have one size and places of their own, and
contexts are cut to the smallest.

Source: M. Assran et al., arXiv 2301.08243, section 3; A. Bardes et al., arXiv 2404.08471, section 3.2 (tubes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neurosim.errors import ParameterError


class Masks(NamedTuple):
    """Patches by number: ``context`` (B, n), ``targets`` (B, blocks, m); no patch is in both."""

    context: Tensor
    targets: Tensor


class MultiBlock:
    """Draws masks for a grid of patches.

    Parameters
    ----------
    grid : sequence of int
        Patches along each axis: (rows, columns), or (frames, rows, columns).
    targets : int
        Target blocks.
    target_share, context_share : (float, float)
        Least and greatest share of a frame's patches in a block.
    aspect : (float, float)
        Least and greatest ratio of rows to columns of a target block.
    least : int
        Patches that a context keeps at least (of a frame); what leaves fewer is drawn again.
    """

    def __init__(
        self,
        grid: Sequence[int],
        *,
        targets: int = 4,
        target_share: tuple[float, float] = (0.15, 0.2),
        context_share: tuple[float, float] = (0.85, 1.0),
        aspect: tuple[float, float] = (0.75, 1.5),
        least: int = 4,
    ) -> None:
        if len(grid) not in (2, 3):
            raise ParameterError(f"a grid of {len(grid)} axes: it has rows and columns, and before them perhaps frames")
        self.frames, self.rows, self.columns = (1, *grid) if len(grid) == 2 else tuple(grid)
        self.targets, self.target_share, self.context_share = targets, target_share, context_share
        self.aspect, self.least = aspect, least

    def _size(
        self, share: tuple[float, float], aspect: tuple[float, float], gen: torch.Generator | None
    ) -> tuple[int, int]:
        u, w = torch.rand(2, generator=gen).tolist()
        area = (share[0] + u * (share[1] - share[0])) * self.rows * self.columns
        ratio = aspect[0] + w * (aspect[1] - aspect[0])
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        return min(max(height, 1), self.rows), min(max(width, 1), self.columns)

    def _block(self, size: tuple[int, int], gen: torch.Generator | None) -> Tensor:
        top = int(torch.randint(self.rows - size[0] + 1, (1,), generator=gen))
        left = int(torch.randint(self.columns - size[1] + 1, (1,), generator=gen))
        return ((torch.arange(size[0]) + top)[:, None] * self.columns + torch.arange(size[1]) + left).flatten()

    def _tube(self, index: Tensor) -> Tensor:
        """Extrude patches of a frame, (..., n), through all frames: (..., frames n)."""
        frames = torch.arange(self.frames) * self.rows * self.columns
        return (frames[:, None] + index[..., None, :]).flatten(-2)

    def __call__(self, batch: int, generator: torch.Generator | None = None) -> Masks:
        """Return masks for a batch."""
        size = self._size(self.target_share, self.aspect, generator)
        around = self._size(self.context_share, (1.0, 1.0), generator)
        contexts, targets = [], []
        for _ in range(batch):
            for _ in range(1000):
                blocks = torch.stack([self._block(size, generator) for _ in range(self.targets)])
                context = torch.zeros(self.rows * self.columns, dtype=torch.bool)
                context[self._block(around, generator)] = True
                context[blocks.flatten()] = False
                if int(context.sum()) >= self.least:
                    break
            else:
                raise ParameterError(
                    f"{self.targets} blocks of {size[0]} x {size[1]} leave no context of {self.least} patches in "
                    f"{self.rows} x {self.columns}: take fewer or smaller ones"
                )
            contexts.append(context.nonzero()[:, 0])
            targets.append(blocks)
        n = min(len(c) for c in contexts)
        kept = torch.stack([c[torch.randperm(len(c), generator=generator)[:n].sort().values] for c in contexts])
        return Masks(self._tube(kept), self._tube(torch.stack(targets)))

"""JEPA: predict the features of what is hidden, not its pixels.

    z = encoder(shown patches);  s = norm(target encoder(all patches)) at the hidden ones, without gradient
    loss = mean of d(predictor(z, places), s) over blocks, patches, features;  d a square (I-JEPA) or |.| (V-JEPA)
    target encoder <- m target encoder + (1 - m) encoder, after every step

With ``moving=False`` the target encoder is the encoder itself and gradients flow into targets: the control, in which
nothing keeps features from becoming the same for everything.

Source: M. Assran et al., arXiv 2301.08243; A. Bardes et al., arXiv 2404.08471.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.jepa.encoder import Encoder, Predictor, take
from neurosim.models.jepa.masks import Masks, MultiBlock

DISTANCES = {"square": F.mse_loss, "absolute": F.l1_loss}


class JEPA(nn.Module):
    """An encoder, its slow copy, and a predictor.

    Parameters
    ----------
    encoder : Encoder
        Trained by gradients; images or video.
    width, depth, heads : int
        Of the predictor, narrower than the encoder.
    distance : str
        "square" or "absolute".
    moving : bool
        Whether targets come from the slow copy, without gradient; False is the control.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int = 48,
        depth: int = 2,
        heads: int = 4,
        distance: str = "square",
        moving: bool = True,
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise ParameterError(f"distance is '{distance}'; known: {', '.join(DISTANCES)}")
        self.encoder, self.moving, self.distance = encoder, moving, DISTANCES[distance]
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = Predictor(encoder.grid, encoder.dim, width=width, depth=depth, heads=heads)

    def targets(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Return the features (B, m, dim) to be predicted, each of mean zero and variance one over its width."""
        if self.moving:
            with torch.no_grad():
                return take(F.layer_norm(self.target(x), (self.encoder.dim,)), wanted)
        return take(self.encoder(x), wanted)

    def forward(self, x: Tensor, masks: Masks) -> Tensor:
        """Return the loss for inputs (B, channels, *size)."""
        context = self.encoder(x, masks.context)
        blocks = masks.targets.shape[1]
        shown = masks.context.repeat_interleave(blocks, 0)
        guess = self.predictor(context.repeat_interleave(blocks, 0), shown, masks.targets.flatten(0, 1))
        return self.distance(guess, self.targets(x, masks.targets.flatten(1)).view_as(guess))

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Let the slow copy follow the encoder: copy <- m copy + (1 - m) encoder."""
        for slow, fast in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - momentum)


def train_jepa(
    model: JEPA,
    batches: Iterator[Tensor],
    masks: MultiBlock,
    steps: int,
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    momentum: tuple[float, float] = (0.99, 1.0),
    generator: torch.Generator | None = None,
) -> list[float]:
    """Train with AdamW, warm-up and cosine; the momentum goes from the first value to the last. Return the losses."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=weight_decay)
    warm = max(1, steps // 10)
    model.train()
    losses = []
    for step in range(steps):
        share = step / steps
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / warm) * (1 - 0.9 * share)
        x = next(batches)
        drawn = Masks(*(m.to(x.device) for m in masks(len(x), generator)))
        loss = model(x, drawn)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        model.follow(momentum[0] + share * (momentum[1] - momentum[0]))
        losses.append(loss.item())
    return losses

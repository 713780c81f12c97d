"""What features are worth, and whether they have collapsed.

Source: Q. Garrido et al., arXiv 2210.02885 (effective rank).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Spread(NamedTuple):
    """How far features (n, dim) are from being all the same.

    ``deviation``: mean over the width of the standard deviation over inputs. ``rank``: exp of the entropy of the
    singular values, each over their sum. ``cosine``: mean cosine of two different inputs' features.
    """

    deviation: float
    rank: float
    cosine: float


@torch.no_grad()
def features(encoder: nn.Module, x: Tensor, batch: int = 500) -> Tensor:
    """Return the mean over patches of an encoder's features, (n, dim)."""
    encoder.eval()
    return torch.cat([encoder(part).mean(1) for part in x.split(batch)])


@torch.no_grad()
def spread(z: Tensor) -> Spread:
    """Measure features (n, dim)."""
    z = z.double()
    values = torch.linalg.svdvals(z)
    p = values / values.sum()
    unit = F.normalize(z, dim=-1)
    n = len(z)
    cosine = (unit.sum(0).square().sum() - n) / (n * (n - 1))
    return Spread(z.std(0).mean().item(), torch.exp(-torch.xlogy(p, p).sum()).item(), cosine.item())


def probe(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, decay: float = 1e-4, steps: int = 100) -> float:
    """Return the accuracy on ``test`` of logistic regression on standardised features, fitted by L-BFGS."""
    mean, scale = train.mean(0), train.std(0) + 1e-6
    train, test = (train - mean) / scale, (test - mean) / scale
    classes = int(labels.max()) + 1
    weight = torch.zeros(train.shape[1], classes, dtype=train.dtype, device=train.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=train.dtype, device=train.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(train @ weight + bias, labels) + decay * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return (test @ weight + bias).argmax(-1).eq(truth).double().mean().item()


@torch.no_grad()
def principal(train: Tensor, test: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the first ``dim`` principal components of flat inputs (n, pixels): what a linear encoder would find."""
    mean = train.mean(0)
    _, vectors = torch.linalg.eigh(torch.cov(train.T))
    axes = vectors[:, -dim:]
    return (train - mean) @ axes, (test - mean) @ axes

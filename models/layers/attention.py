"""Softmax attention with the linear distance penalty of ALiBi, which needs no positions and so no start.

    y_i = sum_j softmax_j(q_i k_j / sqrt(d) - 2^(-8 h / H) |i - j|) v_j,   h = 1..H

Source: A. Vaswani et al., arXiv 1706.03762; O. Press, N. A. Smith, M. Lewis, arXiv 2108.12409.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError


class Attention(nn.Module):
    """Attention over (B, T, dim), with as many keys and values as there are queries or more.

    Parameters
    ----------
    dim : int
        Width.
    heads : int
        Heads; a divisor of ``dim``.
    penalty : bool
        Whether distance counts (ALiBi).
    bias : bool
        Whether the projections have one.
    """

    def __init__(self, dim: int, heads: int, *, penalty: bool = True, bias: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise ParameterError(f"dim={dim} is no multiple of heads={heads}")
        self.heads = heads
        self.to_query, self.to_key, self.to_value, self.to_out = (nn.Linear(dim, dim, bias=bias) for _ in range(4))
        slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads) if penalty else torch.zeros(heads)
        self.register_buffer("slopes", slopes, persistent=False)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(
        self, x: Tensor, context: Tensor | None = None, *, distance: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return what each token of x (B, T, dim) finds in ``context`` (B, S, dim), or in x itself.

        ``distance`` (T, S) is what is penalised, ``mask`` (T, S) is true where a query may look.
        """
        context = x if context is None else context
        q, k, v = self._split(self.to_query(x)), self._split(self.to_key(context)), self._split(self.to_value(context))
        bias = None
        if distance is not None:
            bias = -self.get_buffer("slopes").to(x.dtype)[:, None, None] * distance.to(x.dtype)
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device) if bias is None else bias
            bias = bias.masked_fill(~mask, -torch.inf)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.to_out(y.transpose(1, 2).flatten(2))

"""Language models of Mamba blocks, and Jamba, which mixes them with attention and experts.

    x = embedding(ids);  x = x + mixer(norm(x));  logits = head(norm(x))

Jamba's layers, numbered from 0, are attention where i mod 8 = 4 and Mamba elsewhere (1 to 7); each is followed by a
gated perceptron, or where i mod 2 = 1 by a mixture of experts: a router's softmax p picks two experts, and
x + sum p_e E_e(x). There are no positions: Mamba knows the order.

Source: A. Gu, T. Dao, arXiv 2312.00752; O. Lieber et al., arXiv 2403.19887, section 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.mamba.block import Mamba2Block, MambaBlock

MIXERS = {"mamba": MambaBlock, "mamba2": Mamba2Block}


class MambaOut(NamedTuple):
    """Logits (B, T, vocabulary) and the next state, one part per layer."""

    logits: Tensor
    state: tuple[Any, ...]


class MambaStack(nn.Module):
    """Layers over (B, T, dim), each added behind a norm, and a norm at the end; ``**options`` go to every block.

    Parameters
    ----------
    dim, depth : int
        Width and layers.
    mixer : str
        "mamba" or "mamba2".
    **options
        Of the block.
    """

    def __init__(self, dim: int, depth: int, mixer: str = "mamba", **options: Any) -> None:
        super().__init__()
        if mixer not in MIXERS:
            raise ParameterError(f"mixer is '{mixer}'; known: {', '.join(MIXERS)}")
        self.norms = nn.ModuleList(nn.RMSNorm(dim, eps=1e-5) for _ in range(depth))
        self.layers = nn.ModuleList(MIXERS[mixer](dim, **options) for _ in range(depth))
        self.norm = nn.RMSNorm(dim, eps=1e-5)

    def forward(self, x: Tensor, state: tuple[Any, ...] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        """Return the output, and the next state of each layer."""
        states = []
        for norm, layer, held in zip(self.norms, self.layers, state or (None,) * len(self.layers), strict=True):
            y, new = layer(norm(x), held)
            x = x + y
            states.append(new)
        return self.norm(x), tuple(states)


class MambaLM(nn.Module):
    """Mamba or Mamba-2 as a language model.

    Parameters
    ----------
    dim, depth, mixer, **options
        Of :class:`MambaStack`.
    vocabulary : int
        Tokens; 256 for bytes.
    """

    def __init__(
        self, dim: int = 128, depth: int = 2, *, vocabulary: int = 256, mixer: str = "mamba", **options: Any
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.stack = MambaStack(dim, depth, mixer, **options)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, ids: Tensor, state: tuple[Any, ...] | None = None) -> MambaOut:
        """Read the next tokens (B, T)."""
        x, states = self.stack(self.embedding(ids), state)
        return MambaOut(self.head(x), states)


class MambaClassifier(nn.Module):
    """Logits (B, classes) of sequences of vectors (B, T, features): of the mean of a stack's outputs.

    Parameters
    ----------
    features, classes : int
        Of a vector, and of the output.
    dim, depth, **options
        Of :class:`MambaStack`.
    """

    def __init__(self, features: int, classes: int, dim: int = 64, depth: int = 2, **options: Any) -> None:
        super().__init__()
        self.embed, self.stack = nn.Linear(features, dim), MambaStack(dim, depth, **options)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """``length`` (B,) says how many tokens of each sequence count; all of them without it."""
        h, _ = self.stack(self.embed(x))
        if length is None:
            return self.head(h.mean(1))
        counts = torch.arange(x.shape[1], device=x.device) < length[:, None]
        return self.head((h * counts[..., None]).sum(1) / length[:, None])


class KeyValues(NamedTuple):
    """What attention keeps of the tokens so far: keys and values (B, H, T, d)."""

    keys: Tensor
    values: Tensor


class GroupedAttention(nn.Module):
    """Causal attention without positions; several heads of queries share one of keys and values."""

    def __init__(self, dim: int, heads: int, shared: int) -> None:
        super().__init__()
        if dim % heads or heads % shared:
            raise ParameterError(f"dim={dim}, heads={heads}, shared={shared}: each has to be a multiple of the next")
        self.heads, self.shared = heads, shared
        width = dim // heads
        self.q_proj, self.o_proj = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.k_proj, self.v_proj = (nn.Linear(dim, shared * width, bias=False) for _ in range(2))

    def forward(self, x: Tensor, state: KeyValues | None = None) -> tuple[Tensor, KeyValues]:
        """Return the output for (B, T, dim), and the keys and values of all tokens."""
        q, k, v = (
            p(x).unflatten(-1, (n, -1)).transpose(1, 2)
            for p, n in ((self.q_proj, self.heads), (self.k_proj, self.shared), (self.v_proj, self.shared))
        )
        if state is not None:
            k, v = torch.cat([state.keys, k], 2), torch.cat([state.values, v], 2)
        T, S = q.shape[2], k.shape[2]
        mask = torch.ones(T, S, dtype=torch.bool, device=x.device).tril(S - T)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).flatten(2)), KeyValues(k, v)


class GatedMLP(nn.Module):
    """W_down (silu(W_gate x) * W_up x)."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(dim, inner, bias=False), nn.Linear(dim, inner, bias=False)
        self.down_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., dim)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    """The ``top`` most probable of ``count`` gated perceptrons, weighted by their probabilities."""

    def __init__(self, dim: int, inner: int, count: int, top: int) -> None:
        super().__init__()
        if not 1 <= top <= count:
            raise ParameterError(f"top={top} of {count} experts: choose between 1 and {count}")
        self.router, self.top = nn.Linear(dim, count, bias=False), top
        self.experts = nn.ModuleList(GatedMLP(dim, inner) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., dim)."""
        flat = x.flatten(0, -2)
        share, chosen = torch.softmax(self.router(flat), -1).topk(self.top, -1)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            token, place = torch.where(chosen == e)
            out = out.index_add(0, token, share[token, place, None] * expert(flat[token]))
        return out.view_as(x)


class JambaLM(nn.Module):
    """Jamba.

    Parameters
    ----------
    dim, depth, heads : int
        Width, layers, heads of queries.
    shared_heads : int
        Heads of keys and values.
    inner : int, optional
        Width of the perceptrons; ``4 dim`` without it.
    experts, top : int
        Experts of a mixture, and how many of them see a token.
    attention_period, attention_offset, expert_period, expert_offset : int
        Layer i is attention where i mod period = offset, and the same for experts.
    vocabulary : int
        Tokens; 256 for bytes.
    state, conv : int
        Of the Mamba layers.
    """

    def __init__(
        self,
        dim: int = 64,
        depth: int = 8,
        heads: int = 4,
        *,
        shared_heads: int = 2,
        inner: int | None = None,
        experts: int = 4,
        top: int = 2,
        attention_period: int = 8,
        attention_offset: int = 4,
        expert_period: int = 2,
        expert_offset: int = 1,
        vocabulary: int = 256,
        state: int = 16,
        conv: int = 4,
    ) -> None:
        super().__init__()
        inner = inner or 4 * dim
        self.pattern = tuple("attention" if i % attention_period == attention_offset else "mamba" for i in range(depth))
        self.embedding = nn.Embedding(vocabulary, dim)
        self.mixers, self.inners = nn.ModuleList(), nn.ModuleList()
        for i, kind in enumerate(self.pattern):
            mamba = kind == "mamba"
            self.mixers.append(
                MambaBlock(dim, state, conv=conv, norms=True) if mamba else GroupedAttention(dim, heads, shared_heads)
            )
            mixture = i % expert_period == expert_offset
            self.inners.append(Experts(dim, inner, experts, top) if mixture else GatedMLP(dim, inner))
        self.norm_mixers = nn.ModuleList(nn.RMSNorm(dim, eps=1e-6) for _ in range(depth))
        self.norm_inners = nn.ModuleList(nn.RMSNorm(dim, eps=1e-6) for _ in range(depth))
        self.norm, self.head = nn.RMSNorm(dim, eps=1e-6), nn.Linear(dim, vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, ids: Tensor, state: tuple[Any, ...] | None = None) -> MambaOut:
        """Read the next tokens (B, T)."""
        x, states = self.embedding(ids), []
        parts = (self.norm_mixers, self.mixers, self.norm_inners, self.inners, state or (None,) * len(self.mixers))
        for norm_mixer, mixer, norm_inner, inner, held in zip(*parts, strict=True):
            y, new = mixer(norm_mixer(x), held)
            x = x + y
            x = x + inner(norm_inner(x))
            states.append(new)
        return MambaOut(self.head(self.norm(x)), tuple(states))

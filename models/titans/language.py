"""BrainMimeticLM: a language model over bytes whose memory goes on learning while it reads.

    x = embedding(ids);  x = block_l(x, state_l), l = 1..depth;  logits = head(norm(x))

The state that it returns holds each block's memory, so that a text can be read in pieces, and a memory be kept. With
``block="MAC"`` memories are those of the last whole segment, and the state holds the bytes since then: they are read
again with the next ones. Only complete segments are ever written for good.

Source: A. Behrouz, P. Zhong, V. Mirrokni, arXiv 2501.00663, section 4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurosim.errors import ParameterError
from neurosim.models.titans.blocks import MIXERS, TitansBlock
from neurosim.models.titans.memory import NeuralMemory


class LMState(NamedTuple):
    """The blocks' states, and the bytes (B, n) that they do not know yet."""

    blocks: tuple[Any, ...]
    pending: Tensor


class LMOut(NamedTuple):
    """Logits (B, T, vocabulary), the next state, and the surprise of every block's memory (B, depth, T)."""

    logits: Tensor
    state: LMState
    surprise: Tensor


class BrainMimeticLM(nn.Module):
    """Titans as a language model.

    Parameters
    ----------
    dim, depth, heads : int
        Width, blocks, heads of attention.
    vocabulary : int
        Tokens; 256 for bytes.
    block : str
        "MAC", "MAG" or "MAL".
    segment : int
        Tokens of a segment (MAC) or window (MAG, MAL).
    persistent : int
        Persistent tokens.
    reset : bool
        Empty the memory before every segment: the control of what memory is worth.
    **memory
        Of :class:`NeuralMemory`: ``depth`` is there ``memory_depth``, ``heads`` ``memory_heads``.
    """

    def __init__(
        self,
        dim: int = 128,
        depth: int = 2,
        heads: int = 4,
        *,
        vocabulary: int = 256,
        block: str = "MAC",
        segment: int = 64,
        persistent: int = 4,
        reset: bool = False,
        memory_heads: int = 1,
        memory_depth: int = 1,
        **memory: Any,
    ) -> None:
        super().__init__()
        if block not in MIXERS:
            raise ParameterError(f"block is '{block}'; known: {', '.join(MIXERS)}")
        self.block, self.segment = block, segment
        self.embedding = nn.Embedding(vocabulary, dim)
        self.layers = nn.ModuleList(
            TitansBlock(
                dim,
                MIXERS[block](
                    dim, heads, NeuralMemory(dim, memory_heads, depth=memory_depth, **memory),
                    segment=segment, persistent=persistent, reset=reset,
                ),
            )
            for _ in range(depth)
        )  # fmt: skip
        self.norm, self.head = nn.RMSNorm(dim), nn.Linear(dim, vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, ids: Tensor, state: LMState | None = None) -> LMOut:
        """Read the next bytes (B, T) of a text."""
        before = ids[:, :0] if state is None else state.pending
        old: tuple[Any, ...] = (None,) * len(self.layers) if state is None else state.blocks
        seen = torch.cat([before, ids], 1)
        x, states, surprises = self.embedding(seen), [], []
        for layer, held in zip(self.layers, old, strict=True):
            x, new, surprise = layer(x, held)
            states.append(new)
            surprises.append(surprise.mean(1))
        first = before.shape[1]
        pending = seen[:, seen.shape[1] - seen.shape[1] % self.segment :] if self.block == "MAC" else ids[:, :0]
        logits = self.head(self.norm(x[:, first:]))
        return LMOut(logits, LMState(tuple(states), pending), torch.stack(surprises, 1)[..., first:])

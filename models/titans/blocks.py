"""The three ways to put a memory beside attention: as context (MAC), as gate (MAG), as layer (MAL).

p are persistent tokens: learned, the same for every input, and not changed at inference.

MAC, for each segment x of the sequence, with the memory M that the segments before it left:

    h = M(x)                                    read, nothing is written
    y = attention of x over [p; h; x]           token t sees p and h, x up to t
    out_t = y_t * 2 sigmoid(norm(M_t(z_t)))     z = x + y is written to the memory, token by token

MAG:  out = window attention of x over [p; x], times 2 sigmoid(norm(M([p; x])))
MAL:  out = window attention of y over [p; y],  y = M([p; x])

(The paper's gated product is spelled here as twice a sigmoid, which leaves attention as it is while the memory is
empty.) A block adds its mixer and a perceptron to what it gets, each behind a norm. Blocks take a state and return the
next, and a sequence in pieces gives what it gives at once; where the memory's errors are those of the start of a chunk,
pieces have to end with a chunk. A MAC block's state is that of the last whole segment.

Source: A. Behrouz, P. Zhong, V. Mirrokni, arXiv 2501.00663, section 4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.models.layers.attention import Attention
from neurosim.models.titans.memory import NeuralMemory, NeuralState


class Mixed(NamedTuple):
    """What a block returns: (B, T, dim), its state, and the surprise of its memory (B, H, T)."""

    out: Tensor
    state: Any
    surprise: Tensor


class WindowState(NamedTuple):
    """State of a block with window attention: its memory, and the tokens that are still in the window."""

    memory: NeuralState
    window: Tensor


def _gated(y: Tensor, read: Tensor) -> Tensor:
    return y * 2 * torch.sigmoid(read)


class MemoryAsContext(nn.Module):
    """MAC's mixer: ``segment`` tokens at a time. ``reset`` empties the memory before each segment: a control."""

    def __init__(
        self, dim: int, heads: int, memory: NeuralMemory, *, segment: int = 64, persistent: int = 4, reset: bool = False
    ) -> None:
        super().__init__()
        self.attention, self.memory = Attention(dim, heads), memory
        self.segment, self.reset = segment, reset
        self.persistent = nn.Parameter(0.02 * torch.randn(persistent, dim))
        self.norm_read, self.norm_written, self.norm_gate = (nn.RMSNorm(dim) for _ in range(3))

    def _look(self, T: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return distance and mask of T tokens over [p; h; x]."""
        place = torch.arange(T, device=device)
        apart = place[:, None] - place
        near = torch.zeros(T, len(self.persistent), dtype=apart.dtype, device=device)
        return torch.cat([near, apart, apart], 1), torch.cat([near >= 0, apart >= 0, apart >= 0], 1)

    def forward(self, x: Tensor, state: NeuralState | None = None) -> Mixed:
        """x (B, T, dim) begins with a segment; the state returned is that of the last whole one."""
        empty = self.memory.initial_state(len(x))
        state = empty if state is None else state
        held, outs, surprises = state, [], []
        p = self.persistent.expand(len(x), -1, -1)
        for part in x.split(self.segment, 1):
            state = empty if self.reset else state
            h = self.norm_read(self.memory.recall(part, state))
            distance, mask = self._look(part.shape[1], x.device)
            y = self.attention(part, torch.cat([p, h, part], 1), distance=distance, mask=mask)
            found = self.memory(self.norm_written(part + y), state)
            outs.append(_gated(y, self.norm_gate(found.out)))
            surprises.append(found.surprise)
            state = found.state
            if part.shape[1] == self.segment:
                held = state
        return Mixed(torch.cat(outs, 1), held, torch.cat(surprises, -1))


class _Windowed(nn.Module):
    """What MAG and MAL share: attention over the last ``segment`` tokens and the persistent ones.

    ``reset`` empties the memory before each ``segment`` tokens: a control, whose pieces have to end with a segment.
    """

    def __init__(
        self, dim: int, heads: int, memory: NeuralMemory, *, segment: int = 64, persistent: int = 4, reset: bool = False
    ) -> None:
        super().__init__()
        self.attention, self.memory = Attention(dim, heads), memory
        self.window, self.reset = segment, reset
        self.persistent = nn.Parameter(0.02 * torch.randn(persistent, dim))
        self.norm = nn.RMSNorm(dim)

    def remember(self, x: Tensor, state: WindowState | None) -> tuple[Any, Tensor]:
        """Write x, and before the first token p; return what the memory returns and the tokens in the window."""
        before = x[:, :0] if state is None else state.window
        if state is not None and not self.reset:
            return self.memory(x, state.memory), before
        begun = self.memory(self.persistent.expand(len(x), -1, -1)).state
        if not self.reset:
            return self.memory(x, begun), before
        parts = [self.memory(part, begun) for part in x.split(self.window, 1)]
        out, surprise = torch.cat([f.out for f in parts], 1), torch.cat([f.surprise for f in parts], -1)
        return parts[-1]._replace(out=out, surprise=surprise), before

    def attend(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attention of x over p, the tokens before and itself; and the tokens of the next window."""
        seen = torch.cat([before, x], 1)
        T, S = x.shape[1], seen.shape[1]
        apart = torch.arange(S - T, S, device=x.device)[:, None] - torch.arange(S, device=x.device)
        near = torch.zeros(T, len(self.persistent), dtype=apart.dtype, device=x.device)
        mask = torch.cat([near >= 0, (apart >= 0) & (apart < self.window)], 1)
        context = torch.cat([self.persistent.expand(len(x), -1, -1), seen], 1)
        y = self.attention(x, context, distance=torch.cat([near, apart], 1), mask=mask)
        return y, seen[:, max(0, S - self.window + 1) :]


class MemoryAsGate(_Windowed):
    """MAG's mixer."""

    def forward(self, x: Tensor, state: WindowState | None = None) -> Mixed:
        """x (B, T, dim) is the next piece of the sequence."""
        found, before = self.remember(x, state)
        y, window = self.attend(x, before)
        return Mixed(_gated(y, self.norm(found.out)), WindowState(found.state, window), found.surprise)


class MemoryAsLayer(_Windowed):
    """MAL's mixer."""

    def forward(self, x: Tensor, state: WindowState | None = None) -> Mixed:
        """x (B, T, dim) is the next piece of the sequence."""
        found, before = self.remember(x, state)
        y, window = self.attend(self.norm(found.out), before)
        return Mixed(y, WindowState(found.state, window), found.surprise)


MIXERS = {"MAC": MemoryAsContext, "MAG": MemoryAsGate, "MAL": MemoryAsLayer}


class TitansBlock(nn.Module):
    """A mixer and a perceptron, each added behind a norm: x + mixer(norm(x)), then x + W_2 silu(W_1 norm(x))."""

    def __init__(self, dim: int, mixer: nn.Module, expansion: int = 4) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm_mixer, self.norm_inner = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.inner, self.outer = nn.Linear(dim, expansion * dim), nn.Linear(expansion * dim, dim)

    def forward(self, x: Tensor, state: Any = None) -> Mixed:
        """Return the block's output for (B, T, dim), its next state, and its memory's surprise."""
        found = self.mixer(self.norm_mixer(x), state)
        x = x + found.out
        return found._replace(out=x + self.outer(F.silu(self.inner(self.norm_inner(x)))))

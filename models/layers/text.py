"""Text as bytes: encoding, training on segments of a long text, bits per byte, sampling.

A language model is a module that is called with ids (B, T) and a state, or None, and returns something with ``logits``
(B, T, 256) and ``state``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError


def encode(text: str | bytes) -> Tensor:
    """Return the bytes of a text as integers; characters in UTF-8."""
    raw = text.encode("utf-8") if isinstance(text, str) else text
    return torch.tensor(list(raw), dtype=torch.long)


def decode(ids: Tensor) -> str:
    """Return the text of bytes; what is no UTF-8 becomes U+FFFD."""
    return bytes(ids.flatten().tolist()).decode("utf-8", errors="replace")


def segments(ids: Tensor, length: int, batch: int, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """Yield without end (batch, length + 1) bytes from random places of a text."""
    if len(ids) <= length:
        raise ParameterError(f"a text of {len(ids)} bytes has no segment of {length + 1}")
    while True:
        first = torch.randint(len(ids) - length, (batch,), generator=generator)
        yield torch.stack([ids[k : k + length + 1] for k in first.tolist()])


def train(
    model: nn.Module,
    batches: Iterator[Tensor],
    steps: int,
    *,
    lr: float = 3e-3,
    weight_decay: float = 0.01,
    clip: float = 1.0,
) -> list[float]:
    """Train to predict the next byte, with AdamW and one cosine of the rate; return the loss of each step, in bits."""
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, betas=(0.9, 0.99))
    warm = max(1, steps // 20)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min(1.0, (n + 1) / warm) * (0.55 + 0.45 * math.cos(math.pi * min(n, steps) / steps))
    )
    model.train()
    losses = []
    for _ in range(steps):
        ids = next(batches).to(device)
        loss = F.cross_entropy(model(ids[:, :-1]).logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        rate.step()
        losses.append(loss.item() / math.log(2))
    return losses


@torch.no_grad()
def bits_per_byte(model: nn.Module, ids: Tensor, piece: int = 1024) -> Tensor:
    """Return -log2 p of every byte after the first, (B, T - 1), of texts (B, T); the state is carried through them."""
    model.eval()
    state: Any = None
    bits = []
    for given, wanted in zip(ids[:, :-1].split(piece, 1), ids[:, 1:].split(piece, 1), strict=True):
        found = model(given, state)
        state = found.state
        loss = F.cross_entropy(found.logits.flatten(0, 1), wanted.flatten(), reduction="none")
        bits.append(loss.view(wanted.shape) / math.log(2))
    return torch.cat(bits, 1)


@torch.no_grad()
def sample(
    model: nn.Module,
    prompt: Tensor,
    count: int,
    *,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    state: Any = None,
) -> tuple[Tensor, Any]:
    """Return ``count`` bytes that go on from a prompt (T,), and the state; a temperature of 0 takes the likeliest."""
    model.eval()
    ids, out = prompt[None], []
    for _ in range(count):
        found = model(ids, state)
        state, logits = found.state, found.logits[:, -1]
        if temperature == 0:
            ids = logits.argmax(-1, keepdim=True)
        else:
            ids = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)
        out.append(ids)
    return torch.cat(out, 1)[0], state

"""Titans at length: recall against the number of pairs, and what a memory that is carried is worth.

Run with ``scripts/evidence titans``. The task is one that only a memory can solve, since what repeats lies beyond the
segment of attention: A B A B A B, with A and B of 16 random symbols each out of 32, so that 5 bits per symbol are the
floor without copying. For three seeds each a model is trained with its memory carried, and once more with its memory
emptied at each segment; both see the same data. Bits per symbol of sequences that training never saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from neurosim.models.kernels import gated_chunk
from neurosim.models.layers import bits_per_byte, train
from neurosim.models.titans import BrainMimeticLM

SOURCES = ["models/kernels/gated_chunk.py", "models/layers/*.py", "models/titans/*.py", "tests/evidence/titans.py"]
SEEDS = (0, 1, 2)
SYMBOLS, PART, STEPS = 32, 16, 400


def recall(pairs: int, d: int, seed: int, error: str = "exact") -> float:
    """Write pairs of random keys and one of 64 values four times; return the share of keys that give their value."""
    gen = torch.Generator().manual_seed(seed)
    keys = normalize(torch.randn(8, pairs, d, generator=gen), dim=-1)
    values = normalize(torch.randn(64, d, generator=gen), dim=-1)
    which = torch.randint(64, (8, pairs), generator=gen)
    k, v = keys.repeat(1, 4, 1), values[which].repeat(1, 4, 1)
    ones = torch.ones(k.shape[:2])
    memory = gated_chunk(k, k, v, 0 * ones, None, ones, error=error).state.memory
    return float(((keys @ memory) @ values.T).argmax(-1).eq(which).double().mean())


def copies(batch: int, gen: torch.Generator) -> Iterator[Tensor]:
    """Yield A B A B A B and one symbol more."""
    while True:
        once = torch.randint(SYMBOLS, (batch, 2 * PART), generator=gen)
        yield torch.cat([once, once, once, once[:, :1]], 1)


def copied(block: str, seed: int, reset: bool, steps: int) -> list[float]:
    """Train one block of width 64; return the bits per symbol of the first, second and third reading."""
    torch.manual_seed(seed)
    lm = BrainMimeticLM(64, 1, 4, vocabulary=SYMBOLS, block=block, segment=16, chunk=16, rate=1.0, reset=reset)
    train(lm, copies(32, torch.Generator().manual_seed(seed)), steps, lr=4e-3)
    ids = next(copies(256, torch.Generator().manual_seed(99)))
    return [float(part.mean()) for part in bits_per_byte(lm, ids, piece=ids.shape[1]).split(2 * PART, 1)]


def run(log: Any) -> dict[str, Any]:
    """All of it: a quarter of an hour on one core."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    pairs = log.step("recall", lambda: {
        error: {str(n): [recall(n, 32, s, error) for s in SEEDS] for n in (8, 16, 32, 64, 128, 256)}
        for error in ("exact", "none")
    })  # fmt: skip
    rows: dict[str, Any] = {}
    for block in ("MAG", "MAC"):
        rows[block] = {
            name: [
                log.step(f"copies {block} {name} {seed}", lambda b=block, s=seed, r=reset: copied(b, s, r, STEPS))
                for seed in SEEDS
            ]
            for name, reset in (("carried", False), ("emptied", True))
        }
    gains = {
        block: [off[2] - on[2] for on, off in zip(row["carried"], row["emptied"], strict=True)]
        for block, row in rows.items()
    }
    mean = {n: sum(v) / len(v) for n, v in pairs["exact"].items()}
    return {
        "recall": pairs,
        "bits_of_each_reading": rows,
        "gain_in_bits_on_the_third_reading": gains,
        "passed": mean["8"] == 1.0 and mean["256"] < 0.2 and all(g > 0.5 for row in gains.values() for g in row),
    }

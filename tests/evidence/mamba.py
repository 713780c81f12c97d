"""Mamba at length: selective copying beside a time-invariant twin, and what 100,000 tokens cost.

Run with ``scripts/evidence mamba``. Selective copying: four symbols of eight at random places among 64, to be given
back in order at the end (chance: 1/8); one layer, three seeds, and the twin whose delta, B and C do not depend on the
input. Memory: the peak of a process that runs forward and backward through Mamba, and through the Titans language
model, over 12,500 to 100,000 tokens, less that of one over 100: it has to grow no faster than the length.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from neurosim.models.mamba import MambaLM

SOURCES = ["models/kernels/*.py", "models/layers/*.py", "models/mamba/*.py", "models/titans/*.py",
           "tests/evidence/mamba.py"]  # fmt: skip
SEEDS, TOKENS, LENGTH, STEPS = (0, 1, 2), 4, 64, 500
LENGTHS = (12_500, 25_000, 50_000, 100_000)
MODELS = {
    "mamba": "from neurosim.models.mamba import MambaLM as Model; m = Model(16, 1)",
    "titans": "from neurosim.models.titans import BrainMimeticLM as Model; m = Model(16, 1, 2)",
}


def drawn(batch: int, gen: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and symbols: 2..9 at random places among blanks (0), then as many signs (1) to recall them at."""
    place = torch.rand(batch, LENGTH, generator=gen).argsort(-1)[:, :TOKENS].sort(-1).values
    symbols = torch.randint(2, 10, (batch, TOKENS), generator=gen)
    ids = torch.zeros(batch, LENGTH, dtype=torch.long).scatter(1, place, symbols)
    return torch.cat([ids, torch.ones(batch, TOKENS, dtype=torch.long)], 1), symbols


def copied(seed: int, selective: bool) -> float:
    """Train; return the share of symbols recalled."""
    torch.manual_seed(seed)
    gen = torch.Generator().manual_seed(seed)
    model = MambaLM(32, 1, vocabulary=10, selective=selective)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(STEPS):
        ids, symbols = drawn(32, gen)
        loss = cross_entropy(model(ids).logits[:, -TOKENS:].flatten(0, 1), symbols.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    ids, symbols = drawn(1000, torch.Generator().manual_seed(99))
    with torch.no_grad():
        return float(model(ids).logits[:, -TOKENS:].argmax(-1).eq(symbols).double().mean())


def peak(name: str, length: int) -> int:
    """Return the peak memory in bytes of a process of its own."""
    code = f"""
import resource, torch
torch.set_num_threads(1)
{MODELS[name]}
ids = torch.randint(256, (1, {length}))
torch.nn.functional.cross_entropy(m(ids[:, :-1]).logits[0], ids[0, 1:]).backward()
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def run(log: Any) -> dict[str, Any]:
    """All of it: ten minutes on one core."""
    torch.set_num_threads(1)
    recalled = {
        kind: [log.step(f"{kind} {seed}", lambda s=seed, c=chosen: copied(s, c)) for seed in SEEDS]
        for kind, chosen in (("selective", True), ("time-invariant", False))
    }
    bytes_ = {
        name: {str(n): log.step(f"memory {name} {n}", lambda m=name, k=n: peak(m, k) - peak(m, 100)) for n in LENGTHS}
        for name in MODELS
    }
    growth = {name: row[str(LENGTHS[-1])] / row[str(LENGTHS[-2])] for name, row in bytes_.items()}
    return {
        "recalled": recalled,
        "peak_bytes": bytes_,
        "growth_at_the_last_doubling": growth,
        "passed": min(recalled["selective"]) > max(recalled["time-invariant"]) + 0.2
        and all(g < 2.2 for g in growth.values()),
    }

"""Measure the kernels of the learned models and their peers, side by side, forward and backward.

::

    python benchmarks/learned.py                       # the sizes of the table: some minutes on two idle cores
    python benchmarks/learned.py --quick               # small: seconds
    python benchmarks/learned.py --threads 1 --repeat 5 --json out.json
    python benchmarks/learned.py --device cuda         # on a GPU (the compiled scan is for the CPU)

Memory: a linear Titans memory with momentum and forgetting, in single precision. ``exact`` and ``chunk start`` are
``gated_chunk`` at its best chunk; ``module`` is NeuralMemory, projections and convolution included; ``loop`` is the
recurrence token by token over ``unbind`` (indexing would cost the square of the length in the backward pass);
``titans-pytorch`` is its NeuralMemory with a memory of one layer, at its best chunk, norms and projections included; it
takes all gradients at the first weights of a call. Scan: the selective scan of Mamba; ``mambapy`` is its parallel scan.

Runs are interleaved (A B C A B C). ``forward`` and ``both`` are wall seconds, ``cpu both`` those of the processor over
all threads, which other programs disturb less; ratios are of the latter, each the least of all repeats. **Trust ratios
only, and of those what differs by more than a fifth.**
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from neurosim.models.kernels import gated_chunk, gated_loop, selective_scan
from neurosim.models.titans import NeuralMemory

CHUNKS = (16, 32, 64, 128)


def memory_runs(T: int, d: int, batch: int, device: str) -> dict[str, Callable[[], Tensor]]:
    """Return what is measured of memories: name -> a forward pass."""
    q, v = (torch.randn(batch, T, d, device=device, requires_grad=True) for _ in range(2))
    k = F.normalize(torch.randn(batch, T, d, device=device), dim=-1).requires_grad_()
    gates = [0.3 * torch.rand(batch, T, device=device) for _ in range(3)]
    alpha, eta, theta = (g.requires_grad_() for g in gates)
    x = torch.randn(batch, T, d, device=device, requires_grad=True)
    runs: dict[str, Callable[[], Tensor]] = {"loop": lambda: gated_loop(q, k, v, alpha, eta, theta).out}
    for c in CHUNKS:
        runs[f"exact {c}"] = lambda c=c: gated_chunk(q, k, v, alpha, eta, theta, chunk=c).out
        runs[f"chunk start {c}"] = lambda c=c: gated_chunk(q, k, v, alpha, eta, theta, chunk=c, error="chunk_start").out
        module = NeuralMemory(d, chunk=c).to(device)
        runs[f"module {c}"] = lambda m=module: m(x).out
    if importlib.util.find_spec("titans_pytorch"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import titans_pytorch
        for c in (16, 64, 128, 256):
            one = titans_pytorch.MemoryMLP(d, depth=1)
            theirs = titans_pytorch.NeuralMemory(d, chunk_size=c, model=one).to(device)
            runs[f"titans-pytorch {c}"] = lambda m=theirs: m(x)[0]
    return runs


def scan_runs(L: int, D: int, N: int, device: str) -> dict[str, Callable[[], Tensor]]:
    """Return what is measured of scans."""
    x = torch.randn(1, L, D, device=device, requires_grad=True)
    delta = (0.1 * torch.rand(1, L, D, device=device) + 1e-3).requires_grad_()
    A = (-16 * torch.rand(D, N, device=device) - 0.1).requires_grad_()
    B, C = (torch.randn(1, L, N, device=device, requires_grad=True) for _ in range(2))
    runs: dict[str, Callable[[], Tensor]] = {"loop": lambda: selective_scan(x, delta, A, B, C, engine="torch")[0]}
    if device == "cpu":
        runs["compiled"] = lambda: selective_scan(x, delta, A, B, C, engine="numba")[0]
    if importlib.util.find_spec("mambapy"):
        from mambapy.pscan import pscan

        def theirs() -> Tensor:
            grown = delta[..., None] * B[:, :, None] * x[..., None]
            return (pscan(torch.exp(delta[..., None] * A), grown) @ C[..., None])[..., 0]

        runs["mambapy"] = theirs
    return runs


def once(run: Callable[[], Tensor], device: str) -> tuple[float, float, float, float]:
    """Return seconds forward, and forward and backward: wall and processor."""

    def now() -> tuple[float, float]:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    wall, cpu = now()
    out = run()
    middle = now()
    out.sum().backward()
    end = now()
    return middle[0] - wall, end[0] - wall, middle[1] - cpu, end[1] - cpu


def measured(runs: dict[str, Callable[[], Tensor]], repeat: int, device: str) -> dict[str, dict[str, float]]:
    """Return the least seconds of every run, after one that does not count (compiling)."""
    kept: dict[str, list[tuple[float, ...]]] = {name: [] for name in runs}
    for k in range(repeat + 1):
        for name, run in runs.items():
            if k == 0 and name == "loop":
                continue  # nothing to compile, and it takes longest
            found = once(run, device)
            if k:
                kept[name].append(found)
    names = ("forward", "both", "cpu_forward", "cpu_both")
    return {name: dict(zip(names, map(min, zip(*rows, strict=True)), strict=True)) for name, rows in kept.items()}


def best(found: dict[str, dict[str, float]], kind: str) -> tuple[str, dict[str, float]]:
    """Return the fastest of a kind's chunks."""
    mine = {name: row for name, row in found.items() if name.rstrip("0123456789 ") == kind}
    return min(mine.items(), key=lambda item: item[1]["cpu_both"])


def table(title: str, found: dict[str, dict[str, float]], ours: str) -> str:
    """Return lines: the best of each kind, and its time over that of ``ours``."""
    kinds = dict.fromkeys(name.rstrip("0123456789 ") for name in found)
    rows = [best(found, kind) for kind in kinds]
    base = best(found, ours)[1]
    lines = [title, f"{'':22}{'forward':>10}{'both':>10}{'cpu both':>10}{'/ ' + ours:>14}"]
    for name, row in rows:
        times = "".join(f"{1e3 * row[key]:7.0f} ms" for key in ("forward", "both", "cpu_both"))
        lines.append(f"{name:22}{times}{row['cpu_both'] / base['cpu_both']:13.2f}x")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", help="file for every number")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    np.finfo(np.float32), np.finfo(np.float64)  # which look at denormals once
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    if args.device == "cpu":
        import numba

        numba.set_num_threads(min(args.threads, numba.config.NUMBA_NUM_THREADS))
    T, d, batch, L, D, N = (256, 32, 2, 512, 64, 8) if args.quick else (2048, 64, 8, 4096, 256, 16)
    memory = measured(memory_runs(T, d, batch, args.device), args.repeat, args.device)
    print(table(f"memory: T={T}, d={d}, batch {batch}", memory, "exact"))
    scan = measured(scan_runs(L, D, N, args.device), args.repeat, args.device)
    print(table(f"scan: L={L}, D={D}, N={N}", scan, "compiled" if "compiled" in scan else "loop"))
    load, version = os.getloadavg()[0], torch.__version__
    print(f"{args.threads} threads, {os.cpu_count()} cores, load {load:.1f}, torch {version}, {platform.machine()}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"memory": memory, "scan": scan, "arguments": vars(args), "load": load}, file, indent=1)


if __name__ == "__main__":
    main()

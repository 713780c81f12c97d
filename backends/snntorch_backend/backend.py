"""The snntorch backend: a network's steps as torch operations, on the CPU or a CUDA device."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from neurosim.backends.base import Backend, Engine, Options
from neurosim.errors import ParameterError, UnknownNameError, suggest
from neurosim.ir.graph import Graph
from neurosim.ir.surrogates import SURROGATE_SLOPES

SURROGATES = (
    "atan", "fast_sigmoid", "heaviside", "sigmoid", "spike_rate_escape", "SFS", "SSO", "straight_through_estimator",
    "triangular",
)  # fmt: skip
"""snnTorch's surrogates, each taken with its own default slope. Its LSO raises an error on any input (1.0.0)."""

_FIXED, _EDGE, _NEURON = 400_000_000, 110, 4000
"""Bytes: torch itself; an edge; a neuron."""


class SnnTorchSurrogate:
    """One of snnTorch's surrogates, by name. Theirs are functions within functions, which cannot be pickled.

    ``slope`` is its derivative as a program, None where it has none.
    """

    def __init__(self, name: str) -> None:
        self.name, self.slope = name, SURROGATE_SLOPES.get(name)
        self.function = getattr(importlib.import_module("snntorch.surrogate"), name)()

    def __call__(self, above: Any) -> Any:
        """Return 1 above 0, else 0, with the surrogate's derivative."""
        return self.function(above)

    def __reduce__(self) -> tuple[Any, ...]:
        return SnnTorchSurrogate, (self.name,)


class SnnTorchBackend(Backend):
    """PyTorch runs the steps; trained networks come from :meth:`neurosim.Network.to_torch`.

    Its option ``device`` is a torch device, ``cpu`` by default. Spikes are the same on any.
    """

    name = "snntorch"
    precisions = ("double", "single")
    threads = True
    releases = True
    options = ("device",)
    summary = "PyTorch: the same steps as tensors; net.to_torch() trains them with snnTorch's surrogates"

    def estimate(self, graph: Graph, threads: int | None = None) -> int:
        """Return about how many bytes building and running take."""
        edges = sum(p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post)) for p in graph.projections)
        return int(_FIXED + _EDGE * edges + _NEURON * graph.size)

    def build(self, graph: Graph, options: Options) -> Engine:
        """Make the module and its state."""
        import torch

        from neurosim.backends.snntorch_backend.engine import TorchEngine

        name = str(options.extra.get("device", "cpu"))
        try:
            device = torch.device(name)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as e:
            reason = (str(e).strip().splitlines() or [""])[0]
            raise ParameterError(f"device of backend 'snntorch' cannot be {name!r}: {reason}") from None
        return TorchEngine(graph, options.threads or 1, device)

    def module(
        self, graph: Graph, surrogate: Any, scale: Mapping[str, float], detach_reset: bool, fuse: bool = True,
        cells: Sequence[tuple[Any, ...]] = (), makers: Mapping[str, Any] | None = None,
        delays: Mapping[str, int | None] | None = None,
    ) -> Any:  # fmt: skip
        """Return the network as a module with gradients; a surrogate is a callable, or snnTorch's name for one.

        ``cells``, ``makers`` and ``delays`` are what :func:`neurosim.learning.trainable.trainable` found.
        """
        from neurosim.backends.snntorch_backend.module import NetworkModule
        from neurosim.backends.snntorch_backend.trained import Trained

        if isinstance(surrogate, str):
            if surrogate not in SURROGATES:
                raise UnknownNameError(f"snnTorch has no surrogate '{surrogate}'{suggest(surrogate, SURROGATES)}")
            surrogate = SnnTorchSurrogate(surrogate)
        train = [Trained(*cell) for cell in cells]
        return NetworkModule(graph, surrogate, scale, detach_reset, None, fuse, train, makers, delays)

    def version(self) -> str:
        """Return torch's version."""
        return f"torch {metadata.version('torch')}"

"""Projections whose edges share the elements of a kernel, delivered by torch's convolutions.

Elements and sums lie on the receptor's grid, so in double precision a convolution, whatever the order it adds in, gives
the bits of adding edge by edge. What transforms its input first (Winograd, FFT) would not: those are cuDNN's, which is
passed by there, and oneDNN's, which has none in double precision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim.backends.snntorch_backend.arithmetic import on_grid
from neurosim.backends.snntorch_backend.delivery import Synapses
from neurosim.ir.edges import kernel
from neurosim.ir.graph import Graph, ProjectionNode
from neurosim.ir.rules import Convolution

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class Convolved(Synapses):
    """A convolution with one delay: no array per edge is made unless somebody asks for the edges."""

    def __init__(self, graph: Graph, node: ProjectionNode) -> None:
        assert node.delay_steps is not None
        self._describe(graph, node)
        initial = kernel(graph, node)
        assert initial is not None
        self.initial, self.shared = initial, True
        self.delays, self.full, self.moving = [node.delay_steps], False, False
        self.device = torch.device("cpu")

    @staticmethod
    def fits(node: ProjectionNode) -> bool:
        """Tell whether a projection can be delivered so: with one delay, one grid, and nothing that spikes carry."""
        one = len({s.population for s in node.post}) == 1
        return isinstance(node.rule, Convolution) and node.delay_steps is not None and node.release is None and one

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        edges = self.rule.edge_list()[0]
        return edges.pre.astype(np.int64), edges.post.astype(np.int64)

    @property
    def pre(self) -> np.ndarray:  # type: ignore[override]
        return self._ends[0]

    @property
    def post(self) -> np.ndarray:  # type: ignore[override]
        return self._ends[1]

    @property
    def delay_steps(self) -> np.ndarray:  # type: ignore[override]
        return np.full(self.count, self.delays[0])

    @property
    def count(self) -> int:
        return int(self.rule.expected(self.n_pre, self.n_post))

    def fan_in(self) -> float:
        return self.count / self.n_post

    def fan_out(self) -> Tensor:
        return torch.from_numpy(np.bincount(self.pre, minlength=self.n_pre)).to(self.device)

    def to(self, device: torch.device) -> None:
        self.device = device
        self._moved(device)

    def each(self, weight: Tensor) -> Tensor:
        return weight

    def prepared(self, weight: Tensor, grid: Any) -> Tensor:
        return on_grid(weight, grid)

    def graded(self, spikes: Tensor, weight: Tensor) -> Tensor:
        rule = self.rule
        given = spikes.reshape(len(spikes), *rule.shape)
        padding: Sequence[int] = [before for before, _ in rule.padding]
        if any(before != after for before, after in rule.padding):
            given = functional.pad(given, [size for pair in reversed(rule.padding) for size in pair])
            padding = [0] * len(padding)
        exact = given.is_cuda and given.dtype == torch.float64
        with torch.backends.cudnn.flags(enabled=False) if exact else contextlib.nullcontext():
            made = _CONVOLUTIONS[len(padding)](
                given, weight, None, rule.stride, padding, rule.dilation, rule.groups
            )  # fmt: skip
        return made.to(spikes.dtype).reshape(1, len(spikes), self.n_post)

    def counted(
        self, spikes: Tensor, weight: Tensor, matrices: Callable[[], Tensor], carried: tuple[Tensor, Any] | None = None
    ) -> Tensor | None:
        return self.graded(spikes.double(), weight.double()) if bool(spikes.any()) else None


def synapses_of(graph: Graph, node: ProjectionNode) -> Synapses:
    """Return the edges of a projection as they are delivered."""
    return Convolved(graph, node) if Convolved.fits(node) else Synapses(graph, node)

"""Projections in torch: what spikes of a step add to the inboxes of later steps.

Weights lie on their receptor's grid, so the order of adding them does not matter, in a matrix product as little as
edge by edge.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.backends.snntorch_backend.arithmetic import first_order, on_grid
from neurosim.ir.edges import edge_table
from neurosim.ir.graph import Graph, ProjectionNode

_FULL = 8
"""A projection becomes matrices, one for each delay, where those hold at most so many numbers an edge."""


_ROW = 40
"""An edge taken from the rows costs as much as so many numbers of a matrix product."""


_AT_ONCE = 1 << 24
"""Numbers that are held at once to find the derivatives after weights."""


class _Along(torch.autograd.Function):
    """Spikes [rows, n_pre] along edges: what they add to each slot, a target and a delay. Nothing is kept per edge."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, index: dict[str, Tensor], slots: int) -> Tensor:
        ctx.save_for_backward(spikes, weight)
        ctx.index = index
        return _product(index["slot_row"], index["slot_pre"], weight[index["by_slot"]], slots, spikes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        first_order()
        (spikes, weight), index, (grad,) = ctx.saved_tensors, ctx.index, grads
        d_spikes = d_weight = None
        if ctx.needs_input_grad[0]:
            order = index["order"]
            d_spikes = _product(index["row"], index["slot"][order], weight[order], spikes.shape[1], grad)
        if ctx.needs_input_grad[1]:
            d_weight = torch.empty_like(weight)
            before, after = spikes.t().contiguous(), grad.t().contiguous()
            size = max(1, _AT_ONCE // max(1, len(spikes)))
            for begin in range(0, len(weight), size):
                some = slice(begin, begin + size)
                d_weight[some] = (before[index["pre"][some]] * after[index["slot"][some]]).sum(1)
        return d_spikes, d_weight, None, None


class _Valued(torch.autograd.Function):
    """Values of one tensor, with the derivative of another that differs by rounding."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, values: Tensor) -> Tensor:
        return values.to(smooth.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        first_order()
        return grads[0], None


def valued(smooth: Tensor, values: Tensor | None) -> Tensor:
    """Return ``values`` (None: zeros) with the derivative of ``smooth``."""
    out: Any = _Valued.apply(smooth, torch.zeros_like(smooth) if values is None else values)
    return out


def _product(row: Tensor, column: Tensor, values: Tensor, rows: int, given: Tensor) -> Tensor:
    """Return ``given`` [m, columns] times the transpose of a sparse matrix [rows, columns]."""
    if not len(values) or not len(given):
        return torch.zeros(len(given), rows, dtype=given.dtype, device=given.device)
    # sparse products have no bfloat16 on CPUs: under autocast they keep their precision
    with torch.autocast(given.device.type, enabled=False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # that it is in beta, and that nothing is checked
        matrix = torch.sparse_csr_tensor(row, column, values, (rows, given.shape[1]), check_invariants=False)
        return torch.matmul(matrix, given.t().contiguous()).t()


class Synapses:
    """The edges of one projection, in canonical order.

    ``pre`` and ``post`` are positions in the groups, ``delays`` the different delays in steps, ``group`` the edge's
    place among them. ``sources`` and ``targets`` are (population, neurons or None for all) of the groups' parts.
    ``release`` is the variable of the sources that spikes carry, or None. ``moving``: the delays are trained.
    ``initial`` are the weights in the shape in which they are a parameter: one an edge, or, where the edges share them
    (``shared``), their kernel.
    """

    def __init__(self, graph: Graph, node: ProjectionNode) -> None:
        self._describe(graph, node)
        edges = edge_table(graph, node)
        self.pre, self.post = edges.pre.astype(np.int64), edges.post.astype(np.int64)
        self.initial, self.delay_steps = edges.weight, edges.delay
        # where populations of a union round a kernel to different grids, there is no one that they share
        self.shared = edges.kernel is not None and len({s.population for s in node.post}) == 1
        self.moving = False
        self._sort()
        if self.shared and edges.kernel is not None:
            self.initial = edges.kernel
            self.index["element"] = torch.from_numpy(node.rule.element(self.pre, self.post, 0))

    def _describe(self, graph: Graph, node: ProjectionNode) -> None:
        """Keep what is known without the edges."""
        self.name, self.receptor, self.where, self.rule = node.name, node.receptor, node.where, node.rule
        self.release = node.release
        self.sources, self.targets = self._parts(node.pre), self._parts(node.post)
        self.n_pre, self.n_post = sum(s.size for s in node.pre), sum(s.size for s in node.post)

    def _sort(self) -> None:
        """Find by what edges are reached: source, or slot (a delay and a target)."""
        delays, group = np.unique(self.delay_steps, return_inverse=True)
        self.delays = [int(d) for d in delays]
        self.full = len(self.delays) * self.n_pre * self.n_post <= _FULL * len(self.pre)
        order = np.argsort(self.pre, kind="stable")
        slot = group.reshape(-1) * self.n_post + self.post
        by_slot = np.argsort(slot, kind="stable")
        slots = np.arange(len(self.delays) * self.n_post + 1)
        self.index = {
            "by_slot": torch.from_numpy(by_slot),
            "slot_row": torch.from_numpy(np.searchsorted(slot[by_slot], slots)),
            "slot_pre": torch.from_numpy(self.pre[by_slot]),
            "pre": torch.from_numpy(self.pre),
            "slot": torch.from_numpy(slot),
            "cell": torch.from_numpy((group.reshape(-1) * self.n_pre + self.pre) * self.n_post + self.post),
            "order": torch.from_numpy(order),
            "row": torch.from_numpy(np.searchsorted(self.pre[order], np.arange(self.n_pre + 1))),
        }

    def retime(self, delays: np.ndarray, device: torch.device) -> None:
        """Give the edges other delays, in steps."""
        if not np.array_equal(delays, self.delay_steps):
            self.delay_steps = delays
            self._sort()
            self.to(device)

    @property
    def soonest(self) -> int:
        """Steps after which a spike makes a difference: that of trained delays reaches one step further."""
        least = min(self.delays)
        return max(1, least - 1) if self.moving else least

    @staticmethod
    def _parts(segments: Any) -> list[tuple[str, Tensor | None, int]]:
        return [(s.population, None if s.ids is None else torch.from_numpy(np.array(s.ids)), s.size) for s in segments]

    @staticmethod
    def names(side: Any) -> list[str]:
        """Return the populations of ``sources`` or ``targets``."""
        return [name for name, _, _ in side]

    def unit(self) -> float:
        """Return the power of two in which the weights are about 1/sqrt(edges per target) large."""
        size = float(np.sqrt(np.mean(self.initial**2))) if self.initial.size else 0.0
        if not size or not self.count:
            return 1.0
        return float(2.0 ** np.clip(np.rint(np.log2(size) + np.log2(self.fan_in()) / 2), -1000, 1000))

    @property
    def count(self) -> int:
        """The number of edges."""
        return len(self.pre)

    def fan_in(self) -> float:
        """Return the mean number of edges of the targets that have any."""
        return self.count / len(np.unique(self.post))

    def fan_out(self) -> Tensor:
        """Return the number of edges of each source."""
        return torch.bincount(self.index["pre"], minlength=self.n_pre)

    def each(self, weight: Tensor) -> Tensor:
        """Return the weight of each edge from the parameter."""
        return weight.reshape(-1)[self.index["element"]] if self.shared else weight

    def to(self, device: torch.device) -> None:
        """Move what the edges are to a device."""
        self.index = {k: v.to(device) for k, v in self.index.items()}
        self._moved(device)

    def _moved(self, device: torch.device) -> None:
        for side in (self.sources, self.targets):
            side[:] = [(p, None if ids is None else ids.to(device), n) for p, ids, n in side]

    def prepared(self, weight: Tensor, grid: Any) -> Tensor:
        """Return the weights as :meth:`graded` wants them: on their grid, as matrices where the projection is full."""
        weight = on_grid(weight, grid)
        return self.matrices(weight) if self.full else weight

    def matrices(self, weight: Tensor) -> Tensor:
        """Return weights as matrices [delays, n_pre, n_post]."""
        cells = torch.zeros(len(self.delays) * self.n_pre * self.n_post, dtype=weight.dtype, device=weight.device)
        return cells.index_add(0, self.index["cell"], weight).view(len(self.delays), self.n_pre, self.n_post)

    def graded(self, spikes: Tensor, weight: Tensor) -> Tensor:
        """Return what spikes [B, n_pre] add, by delay: [delays, B, n_post], with derivatives after both.

        Under autocast products are rounded to bfloat16; what is added to them later is not.
        """
        if self.full:
            return torch.matmul(spikes, weight).to(spikes.dtype)
        out: Any = _Along.apply(spikes, weight, self.index, len(self.delays) * self.n_post)
        return out.view(len(spikes), len(self.delays), self.n_post).transpose(0, 1)

    def counted(
        self, spikes: Tensor, weight: Tensor, matrices: Callable[[], Tensor], carried: tuple[Tensor, Any] | None = None
    ) -> Tensor | None:
        """Return the same in double precision without derivatives, None if nothing spikes: from the rows of those
        that do, or from the matrices where that is less work.

        ``carried`` is what each spike carries, as [B, n_pre], and the grid of what is delivered: one, or one an edge.
        """
        batch, source = spikes.nonzero(as_tuple=True)
        if not len(batch):
            return None
        row = self.index["row"]
        counts = row[source + 1] - row[source]
        product = len(spikes) * len(self.delays) * self.n_pre * self.n_post
        if carried is None and self.full and _ROW * int(counts.sum()) > product:
            return torch.matmul(spikes.double(), matrices())
        start = row[source] - torch.cumsum(counts, 0) + counts
        edges = torch.arange(int(counts.sum()), device=row.device) + torch.repeat_interleave(start, counts)
        edges = self.index["order"][edges]
        width = len(self.delays) * self.n_post
        out = torch.zeros(len(spikes) * width, dtype=torch.float64, device=row.device)
        at = torch.repeat_interleave(batch, counts) * width + self.index["slot"][edges]
        adds = weight[edges].double()
        if carried is not None:
            factor, grid = carried
            grid = grid[edges] if isinstance(grid, Tensor) else grid
            adds = torch.round(adds * torch.repeat_interleave(factor[batch, source].double(), counts) / grid) * grid
        out.index_add_(0, at, adds)
        return out.view(len(spikes), len(self.delays), self.n_post).transpose(0, 1)

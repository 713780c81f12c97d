"""Edges of a projection, piece by piece, in the canonical order: what every backend builds from.

Neurons have global ids here: populations lie one after the other. Weights are on the receptor's grid, delays in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ConnectivityError, NeurosimError, origin
from neurosim.ir.distributions import Shared, edge_values
from neurosim.ir.graph import Graph, PlasticityNode, ProjectionNode, Segment
from neurosim.ir.interp import evaluate
from neurosim.ir.program import Instr, Program
from neurosim.ir.random import Draws
from neurosim.ir.rules import EdgeContext

MAX_DELAY = 65535
"""Longest delay in steps: it fits 16 bits."""

MakeDraws = Callable[[int, str], Draws]


@dataclass(frozen=True)
class Edges:
    """Consecutive edges: global ids of both ends, weights and delays (one value where all are equal)."""

    start: int
    pre: np.ndarray
    post: np.ndarray
    weight: float | np.ndarray
    delay: int | np.ndarray

    def __len__(self) -> int:
        return len(self.pre)


@dataclass(frozen=True)
class EdgeTable:
    """All edges of a projection, in the canonical order.

    Attributes
    ----------
    pre, post : numpy.ndarray
        Indices within the source group and the target group, uint32.
    weight : numpy.ndarray
        In SI units, on the receptor's grid.
    delay : numpy.ndarray
        In steps, int64.
    kernel : numpy.ndarray or None
        The weights that the edges of a convolution share, [output channels, input channels of a group, ...].
    """

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    kernel: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pre)


def global_ids(graph: Graph, segments: tuple[Segment, ...]) -> tuple[int, np.ndarray | None]:
    """Return (first id, None) for a contiguous group, else (0, id of every member)."""
    offsets = graph.offsets()
    if len(segments) == 1 and segments[0].ids is None:
        return offsets[segments[0].population], None
    return 0, np.concatenate(
        [offsets[s.population] + (np.arange(s.size) if s.ids is None else s.ids) for s in segments]
    ).astype(np.int64)


def context(graph: Graph, projection: ProjectionNode, draws: MakeDraws = Draws, chunk: int = 2_000_000) -> EdgeContext:
    """Return what the projection's rule needs to make its edges."""
    (pre0, pre_ids), (post0, post_ids) = global_ids(graph, projection.pre), global_ids(graph, projection.post)
    n_pre, n_post = sum(s.size for s in projection.pre), sum(s.size for s in projection.post)
    return EdgeContext(
        n_pre=n_pre,
        n_post=n_post,
        draws=lambda name: draws(graph.seed, f"edges:{projection.name}/{name}"),
        pre_ids=np.arange(pre0, pre0 + n_pre) if pre_ids is None else pre_ids,
        post_ids=np.arange(post0, post0 + n_post) if post_ids is None else post_ids,
        pre_positions=_stack(graph, projection.pre),
        post_positions=_stack(graph, projection.post),
        pre_attributes=_attributes(graph, projection.pre),
        post_attributes=_attributes(graph, projection.post),
        chunk=chunk,
        rule=projection.rule,
    )


def _stack(graph: Graph, segments: tuple[Segment, ...]) -> np.ndarray | None:
    parts = []
    for s in segments:
        positions = graph.population(s.population).positions
        if positions is None:
            return None
        parts.append(positions if s.ids is None else positions[s.ids])
    return np.concatenate(parts)


def _attributes(graph: Graph, segments: tuple[Segment, ...]) -> dict[str, np.ndarray]:
    nodes = [graph.population(s.population) for s in segments]
    shared = set.intersection(*(set(n.attributes) for n in nodes))
    out = {}
    for key in sorted(shared):
        parts = []
        for node, s in zip(nodes, segments, strict=True):
            full = np.broadcast_to(np.asarray(node.attributes[key], dtype=np.float64), (node.size,))
            parts.append(full if s.ids is None else full[s.ids])
        out[key] = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return out


def grid_of(graph: Graph, projection: ProjectionNode) -> float | np.ndarray:
    """Return the grid of the weights: one, or one per member of the target group."""
    grids = [graph.population(s.population).grids.get(projection.receptor, 0.0) for s in projection.post]
    if len(set(grids)) == 1:
        return grids[0]
    return np.repeat(grids, [s.size for s in projection.post])


def on_grid(values: np.ndarray | float, grid: np.ndarray | float) -> np.ndarray | float:
    """Round to multiples of the grid, ties to even."""
    return np.rint(values / grid) * grid


def iter_edges(
    graph: Graph, projection: ProjectionNode, draws: MakeDraws = Draws, chunk: int = 2_000_000, weights: bool = True
) -> Iterator[Edges]:
    """Yield the edges of a projection.

    Parameters
    ----------
    graph : Graph
        After the pass ``order`` (before it, weights are not on their grid).
    draws : callable
        ``draws(seed, name)`` makes a stream; a backend may hand in a faster maker of the same numbers.
    chunk : int
        Edges per piece.
    weights : bool
        False where only ends and delays are wanted; ``weight`` is then 0.
    """
    ctx = context(graph, projection, draws, chunk)
    (pre0, pre_ids), (post0, post_ids) = global_ids(graph, projection.pre), global_ids(graph, projection.post)
    grid = grid_of(graph, projection)
    start = 0
    for pre, post in _pieces(projection, ctx):
        yield Edges(
            start,
            pre + np.uint32(pre0) if pre_ids is None else pre_ids[pre],
            post + np.uint32(post0) if post_ids is None else post_ids[post],
            _weight(projection, ctx, grid, start, pre, post) if weights else 0.0,
            _delay(graph, projection, ctx, start, pre, post),
        )
        start += len(pre)


def edge_table(graph: Graph, projection: ProjectionNode) -> EdgeTable:
    """Return all edges of a projection at once (24 bytes each), after the pass ``order``."""
    ctx, grid, start = context(graph, projection), grid_of(graph, projection), 0
    none = np.zeros(0)
    parts = [(none.astype(np.uint32), none.astype(np.uint32), none, none.astype(np.int64))]
    for pre, post in _pieces(projection, ctx):
        weight = _weight(projection, ctx, grid, start, pre, post)
        delay = np.asarray(_delay(graph, projection, ctx, start, pre, post), dtype=np.int64)
        parts.append((pre, post, np.broadcast_to(weight, len(pre)), np.broadcast_to(delay, len(pre))))
        start += len(pre)
    pre, post, weights, delays = (np.concatenate(side) for side in zip(*parts, strict=True))
    return EdgeTable(pre, post, weights, delays, kernel(graph, projection))


def kernel(graph: Graph, projection: ProjectionNode) -> np.ndarray | None:
    """Return the weights that the edges share, in SI, in the shape of the rule's kernel; None where they share none.

    They are on their grid, the coarsest where the populations of a union have different ones.
    """
    shape = projection.rule.kernel_shape
    if shape is None:
        return None
    weight, grid = projection.weight, float(np.max(grid_of(graph, projection), initial=0.0))
    if isinstance(weight, Shared):
        weight = weight.kernel(Draws(graph.seed, f"edges:{projection.name}/weight"))
    values = np.array(np.broadcast_to(weight, shape), dtype=np.float64)
    return np.asarray(on_grid(values, grid)) if grid else values


def _pieces(projection: ProjectionNode, ctx: EdgeContext) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rule's pieces, checked: a rule may be anybody's, and the kernels trust its indices."""
    name = f"the rule {type(projection.rule).__name__} of projection '{projection.name}'"
    pieces = iter(())
    try:
        pieces = iter(projection.rule.edges(ctx))
        while True:
            piece = next(pieces, None)
            if piece is None:
                return
            pre, post = (np.asarray(side) for side in piece)
            for side, ids, size in (("source", pre, ctx.n_pre), ("target", post, ctx.n_post)):
                if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
                    raise ConnectivityError(
                        f"{name} must yield whole numbers, one array of sources and one of targets; its {side}s are "
                        f"{ids.dtype} of shape {list(ids.shape)}",
                        projection.where,
                    )
                if len(ids) and (int(ids.max()) >= size or int(ids.min()) < 0):
                    worst = int(ids.max()) if int(ids.max()) >= size else int(ids.min())
                    raise ConnectivityError(
                        f"{name} yields the {side} {worst}, but the group has the indices 0 to {size - 1}",
                        projection.where,
                    )
            if len(pre) != len(post):
                raise ConnectivityError(
                    f"{name} yields {len(pre)} sources with {len(post)} targets: an edge has one of each",
                    projection.where,
                )
            yield pre.astype(np.uint32, copy=False), post.astype(np.uint32, copy=False)
    except NeurosimError:
        raise
    except Exception as e:  # whatever a rule of the user's own may raise
        raise ConnectivityError(f"{name} failed: {type(e).__name__}: {e}", origin(e) or projection.where) from e


def _weight(
    projection: ProjectionNode,
    ctx: EdgeContext,
    grid: float | np.ndarray,
    start: int,
    pre: np.ndarray,
    post: np.ndarray,
) -> float | np.ndarray:
    local = grid[post] if isinstance(grid, np.ndarray) else grid
    if isinstance(projection.weight, float):
        return (
            float(on_grid(projection.weight, local))
            if np.ndim(local) == 0 and local
            else (on_grid(np.full(len(pre), projection.weight), local) if np.ndim(local) else projection.weight)
        )
    values = edge_values(projection.weight, ctx, start, pre, post, "weight")
    if isinstance(projection.weight, Program) and not np.all(np.isfinite(values)):
        raise ConnectivityError(f"the weights of projection '{projection.name}' are not all finite", projection.where)
    return on_grid(values, local) if np.ndim(local) or local else values


def _delay(
    graph: Graph, projection: ProjectionNode, ctx: EdgeContext, start: int, pre: np.ndarray, post: np.ndarray
) -> int | np.ndarray:
    if projection.delay_steps is not None:
        return projection.delay_steps
    steps = np.rint(edge_values(projection.delay, ctx, start, pre, post, "delay") / graph.dt)
    if len(steps) and (not np.all(np.isfinite(steps)) or steps.min() < 1):
        raise ConnectivityError(
            f"a delay of projection '{projection.name}' is {steps.min():g} steps; the smallest is 1: bound the "
            f"distribution with lo={graph.dt * 1e3:g}*ms",
            projection.where,
        )
    if len(steps) and steps.max() > MAX_DELAY:
        raise ConnectivityError(
            f"a delay of projection '{projection.name}' is {steps.max():g} steps; the largest is {MAX_DELAY}",
            projection.where,
        )
    return steps.astype(np.int64)


def viewed(
    node: PlasticityNode,
    variable: str,
    kept: np.ndarray,
    since: Callable[[], np.ndarray],
    dtype: Any = np.float64,
) -> np.ndarray:
    """Return a variable of the edges as it stands in the present step.

    Parameters
    ----------
    node : PlasticityNode
        After the pass ``discretise``.
    variable : str
        Its name in ``node.edge``.
    kept : array
        Its values as they were last computed.
    since : callable
        Returns the steps that have passed since; asked only where the variable decays.
    dtype : dtype
        Of the run's precision.
    """
    view = node.views[variable]
    assert view.result is not None

    def leaf(ins: Instr, *_: Any) -> Any:
        if ins.op == "since":
            return since().astype(dtype)
        return kept if ins.op == "load" else dtype(node.params[ins.attr])

    return np.array(evaluate(view, leaf, dtype)[view.result], dtype=np.float64)

"""What later steps read of a source as it was when its spike left: of its traces, and what the spike carries; and of a
target as it was, behind a dendritic delay.

Every thread fills the rings for its own neurons, and all read them. A step that is read lies behind the last meeting,
since the shortest delay is no shorter than the window.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurosim.backends.native import tables as K
from neurosim.backends.native.part import Part
from neurosim.ir.graph import Graph, ProjectionNode


def kept(projection: ProjectionNode) -> Iterator[tuple[str, str]]:
    """Yield the populations and variables of which a projection reads the past."""
    node = projection.plasticity
    reads = [] if node is None else node.reads("pre")
    for var in (*reads, *([] if projection.release is None else [projection.release])):
        yield from ((s.population, var) for s in projection.pre)
    for var in node.reads("post") if node is not None and node.dendritic else ():
        yield from ((s.population, var) for s in projection.post)


class Past:
    """The rings: one for each population and variable."""

    def __init__(self, graph: Graph, longest: int, window: int, dtype: type) -> None:
        self.slots = longest + window + 1
        self.at: dict[tuple[str, str], int] = {}
        rings, total = [], 0
        for name, var in dict.fromkeys(each for proj in graph.projections for each in kept(proj)):
            pop = graph.population(name)
            self.at[name, var] = total
            start = np.broadcast_to(np.asarray(pop.state(var).init, dtype=dtype), (pop.size,))
            rings.append(np.tile(start, self.slots))
            total += self.slots * pop.size
        self.values = np.concatenate([*rings, np.zeros(1, dtype)]).astype(dtype)

    def copies(self, graph: Graph, part: Part) -> np.ndarray:
        """Return, for the kernel, where a thread's neurons have these variables, and where they are kept."""
        rows = []
        names = [pop.name for pop in graph.populations]
        for (name, var), at in self.at.items():
            p = names.index(name)
            height, row = part.rows_of(p)
            start = int(part.pops[p, K.STATE]) + row.index(f"s:{var}") * K.TILE
            size, first = graph.populations[p].size, int(part.pops[p, K.FIRST])
            rows.append([start, int(part.pops[p, K.VALID]), height * K.TILE, at + first, size])
        return np.array(rows, dtype=np.int64).reshape(-1, 5)

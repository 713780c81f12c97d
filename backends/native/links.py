"""Couplings without spikes in the compiled engine: every target gathers over its edges, in the canonical order.

What links read of the neurons lies in one place for all threads, once for the present step and once for the next, which
every thread fills for its own neurons when it has stepped them; so the threads meet before every step. A target
belongs to one thread: no two add to one sum, and its terms are added in the order of the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurosim.backends.compiled.expressions import FLOAT, expression, literal
from neurosim.backends.native import tables as K
from neurosim.backends.native.part import Part
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph, LinkNode
from neurosim.ir.ops import FUNCTIONS
from neurosim.ir.program import Program

# columns of the table of links, one row per link, target population and thread: its code, where the sums go, the first
# target and how many there are, where the starts of their edges, the parameters and the variables are listed
KIND, BOX, FIRST, COUNT, STARTS, PARAMS, VARIABLES = range(7)
COLUMNS = 7

ARGUMENTS = ("links i8:2", "link_starts i8:1", "link_source u4:1", "link_weight {f}:1", "link_params {f}:1",
             "link_variables i8:1", "now {f}:1", "everyone i", "publish i8:2")  # fmt: skip
"""What the kernel gets where there are links."""


@dataclass(frozen=True)
class Kind:
    """What two links must share to run the same code: the program, and the order of what it reads."""

    program: Program
    params: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @classmethod
    def of(cls, link: LinkNode) -> Kind:
        """Read it off a link."""
        assert link.program is not None
        return cls(link.program, tuple(link.program.uses("param")), tuple(link.reads("pre")), tuple(link.reads("post")))


def kinds_of(graph: Graph) -> list[Kind]:
    """Return the distinct kinds of a graph's links."""
    return list(dict.fromkeys(Kind.of(link) for link in graph.links))


def functions_of(kinds: Sequence[Kind]) -> set[str]:
    """Return the functions that their programs call."""
    return {ins.op for kind in kinds for ins in kind.program.instrs if ins.op in FUNCTIONS}


def arguments(precision: str) -> str:
    """Return the arguments of the kernel, in the notation of the cache, as they follow others."""
    return ", " + ", ".join(ARGUMENTS).format(f="f8" if precision == "double" else "f4")


# -- printing ---------------------------------------------------------------------------------------------------------


def source(kinds: Sequence[Kind], dtype: str) -> list[str]:
    """Return the texts of the functions: a gather for each kind, and what is left for the next step."""
    return [*(_gather(k, kind, dtype) for k, kind in enumerate(kinds)), _PUBLISH]


def _gather(number: int, kind: Kind, dtype: str) -> str:
    """Print the loop over the targets of a link and their edges."""
    texts: list[str] = []
    lines: list[str] = []
    value = ""
    for k, ins in enumerate(kind.program.instrs):
        if ins.op == "const":
            texts.append(literal(ins.attr, dtype))
        elif ins.op == "param":
            texts.append(f"p{kind.params.index(ins.attr)}")
        elif ins.op == "load":
            texts.append("w")
        elif ins.op == "pre":
            texts.append(f"x{kind.sources.index(ins.attr)}")
        elif ins.op == "post":
            texts.append(f"y{kind.targets.index(ins.attr)}")
        elif ins.op == "store":
            value = texts[ins.args[0]]
            texts.append(value)
        else:
            lines.append(f"v{k} = {expression(ins.op, [texts[a] for a in ins.args], ins.attr, dtype)}")
            texts.append(f"v{k}")
    n = len(kind.sources)
    places = [f"place{i} = at + link_variables[row[{VARIABLES}] + {i}] * everyone" for i in range(n)]
    places += [f"goal{i} = at + link_variables[row[{VARIABLES}] + {n + i}] * everyone + row[{FIRST}]"
               for i in range(len(kind.targets))]  # fmt: skip
    return "\n".join([
        f'@njit(error_model="numpy")\ndef gather{number}(row, at, slot, link_starts, link_source, link_weight, '
        "link_params, link_variables, now, everyone):",
        *(f"    p{i} = link_params[row[{PARAMS}] + {i}]" for i in range(len(kind.params))),
        *(f"    {place}" for place in places),
        f"    for t in range(row[{COUNT}]):",
        f"        first, last = link_starts[row[{STARTS}] + t], link_starts[row[{STARTS}] + t + 1]",
        *(f"        y{i} = now[goal{i} + t]" for i in range(len(kind.targets))),
        "        total = 0.0",
        "        for e in range(first, last):",
        "            w = link_weight[e]",
        *(f"            x{i} = now[place{i} + np.int64(link_source[e])]" for i in range(n)),
        *(f"            {line}" for line in lines),
        f"            total += np.float64({FLOAT[dtype]}({value}))",
        f"        slot[row[{BOX}] + t] += total",
    ])  # fmt: skip


_PUBLISH = """@njit(error_model="numpy")
def publish_states(n, publish, f, now):
    for c in range(publish.shape[0]):
        start, valid, height = publish[c, 0], publish[c, 1], publish[c, 2]
        out = publish[c, 3] + (n & 1) * publish[c, 4]
        for k in range(valid):
            now[out + k] = f[start + (k // TILE) * height + k % TILE]"""
"""``publish`` rows: where a row of the first tile lies, valid neurons, height of a tile, where they go, and how far
apart the two steps are."""


def gathering(kinds: Sequence[Kind]) -> list[str]:
    """Return the lines of the loop over steps that add all links to the inboxes."""
    width = "link_variables[0]"
    out = [f"        at_now = (n & 1) * {width} * everyone", "        for g in range(links.shape[0]):",
           "            row = links[g]"]  # fmt: skip
    for k in range(len(kinds)):
        out += [
            f"            {'if' if k == 0 else 'elif'} row[{KIND}] == {k}:",
            f"                gather{k}(row, at_now, slot, link_starts, link_source, link_weight, link_params,",
            "                        link_variables, now, everyone)",
        ]
    return out


# -- building ---------------------------------------------------------------------------------------------------------


class Links:
    """The edges of all links, thread by thread, and what they read of the neurons, for all threads.

    ``variables`` are those that are read, of whatever population; ``now`` is [2, variables, neurons].
    """

    def __init__(self, graph: Graph, kinds: Sequence[Kind], parts: Sequence[Part], dtype: type) -> None:
        self.graph, self.parts = graph, parts
        self.variables = list(dict.fromkeys(v for kind in kinds for v in (*kind.sources, *kind.targets)))
        self.now = np.zeros((2, len(self.variables), graph.size), dtype)
        self.tables = [_Table(graph, kinds, part, self.variables, dtype) for part in parts]
        self.publish = [self._published(part) for part in parts]

    def edges(self) -> int:
        """Return how many there are."""
        return sum(t.edges for t in self.tables)

    def bound(self, k: int) -> dict[str, object]:
        """Return the arguments of thread k."""
        t = self.tables[k]
        return {"links": t.rows, "link_starts": t.starts, "link_source": t.source, "link_weight": t.weight,
                "link_params": t.params, "link_variables": t.variables, "now": self.now.reshape(-1),
                "everyone": self.graph.size, "publish": self.publish[k]}  # fmt: skip

    def begin(self, n: int) -> None:
        """Fill in what the states are before step n, whoever has set them."""
        for part in self.parts:
            for p, (pop, offset) in enumerate(zip(self.graph.populations, self.graph.offsets().values(), strict=True)):
                first, valid = int(part.pops[p, K.FIRST]), int(part.pops[p, K.VALID])
                wanted = [(i, v.name) for i, v in enumerate(pop.states) if v.name in self.variables]
                if not wanted or not valid:
                    continue
                state = part.state(p)
                for i, name in wanted:
                    at = offset + first
                    self.now[n & 1, self.variables.index(name), at : at + valid] = state[i][:valid]

    def _published(self, part: Part) -> np.ndarray:
        rows = []
        for p, (pop, offset) in enumerate(zip(self.graph.populations, self.graph.offsets().values(), strict=True)):
            height, names = part.rows_of(p)
            for v in pop.states:
                if v.name in self.variables:
                    start = int(part.pops[p, K.STATE]) + names.index(f"s:{v.name}") * K.TILE
                    out = self.variables.index(v.name) * self.graph.size + offset + int(part.pops[p, K.FIRST])
                    rows.append([start, int(part.pops[p, K.VALID]), height * K.TILE, out,
                                 len(self.variables) * self.graph.size])  # fmt: skip
        return np.array(rows, dtype=np.int64).reshape(-1, 5)


class _Table:
    """One thread's edges, by target."""

    def __init__(self, graph: Graph, kinds: Sequence[Kind], part: Part, variables: list[str], dtype: type) -> None:
        offsets, names = graph.offsets(), [p.name for p in graph.populations]
        rows: list[list[int]] = []
        params: list[float] = []
        listed = [len(variables)]
        starts: list[np.ndarray] = []
        sources: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        at = starts_at = 0
        for link in graph.links:
            kind = Kind.of(link)
            targets = [p for p in dict.fromkeys(s.population for s in link.edges.post)
                       if (shape := part.shapes[names.index(p)]) and link.receptor in shape.inboxes]  # fmt: skip
            found: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {p: [] for p in targets}
            for e in iter_edges(graph, link.edges):
                weight = np.broadcast_to(np.asarray(e.weight, np.float64), (len(e),))
                for p in targets:
                    row = part.pops[names.index(p)]
                    local = np.asarray(e.post, np.int64) - offsets[p] - row[K.FIRST]
                    mine = np.flatnonzero((local >= 0) & (local < row[K.VALID]))
                    found[p].append((local[mine], np.asarray(e.pre, np.uint32)[mine], weight[mine]))
            for p in targets:
                row, empty = part.pops[names.index(p)], (np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0))
                local, pre, weight = (np.concatenate(each) for each in zip(empty, *found[p], strict=True))
                if not len(local):
                    continue
                order = np.argsort(local, kind="stable")
                valid = int(row[K.VALID])
                rows.append([kinds.index(kind), part.share.inbox[names.index(p), link.receptor],
                             offsets[p] + int(row[K.FIRST]), valid, starts_at, len(params), len(listed)])  # fmt: skip
                params += [link.params[key] for key in kind.params]
                listed += [variables.index(v) for v in (*kind.sources, *kind.targets)]
                starts.append(at + np.concatenate(([0], np.cumsum(np.bincount(local, minlength=valid)))))
                sources.append(pre[order])
                weights.append(weight[order])
                at += len(local)
                starts_at += valid + 1
        self.edges = at
        self.rows = np.array(rows, dtype=np.int64).reshape(-1, COLUMNS)
        self.starts = np.concatenate([*starts, np.zeros(1)]).astype(np.int64)
        self.source = np.concatenate([*sources, np.zeros(1)]).astype(np.uint32)
        self.weight = np.concatenate([*weights, np.zeros(1)]).astype(dtype)
        self.params = np.array([*params, 0.0], dtype=dtype)
        self.variables = np.array(listed, dtype=np.int64)


__all__ = ["COLUMNS", "Kind", "Links", "arguments", "functions_of", "gathering", "kinds_of", "source"]

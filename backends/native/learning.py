"""Learning in the compiled engine: how plastic edges lie in memory, and the loops that change them.

A block of plastic edges is delivered when due, like others, and has besides a column for every target neuron of the
thread: the places of the edges that end in it, their sources and delays. An arrival changes a row, a spike of the
target a column, the end of an interval all; they belong to one thread. What statements read of a source is its past
(:mod:`neurosim.backends.native.past`); so is what they read of a target behind a dendritic delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurosim.backends.compiled.expressions import FLOAT, expression, literal
from neurosim.backends.native import tables as K
from neurosim.ir.graph import Graph, PlasticityNode
from neurosim.ir.ops import FUNCTIONS
from neurosim.ir.program import Program

if TYPE_CHECKING:
    from neurosim.backends.native.layout import Block, Delivery
    from neurosim.backends.native.part import Part
    from neurosim.backends.native.past import Past

TILE = K.TILE

# columns that the table of learning has besides those of tables.py, where a rule's timing is not the usual one: where
# the lateness of the target for each delay is listed, neurons of its population (0: the target is seen as it is), the
# half of the learning in which arrivals come, whether the learning comes before the delivery
L_LATE, L_GOAL, L_ORDER, L_EARLY = range(K.L_COLUMNS, K.L_COLUMNS + 4)
TIMED_COLUMNS = K.L_COLUMNS + 4


@dataclass(frozen=True)
class Rule:
    """What two projections must share to run the same compiled code."""

    pre_program: Program | None
    post_program: Program | None
    every_program: Program | None
    edge: tuple[str, ...]
    dendritic: bool
    spikes_first: bool
    delivers_after: bool

    @staticmethod
    def of(node: PlasticityNode) -> Rule:
        """Read the rule off a projection."""
        timing = node.dendritic, node.spikes_first, node.delivers_after
        return Rule(node.pre_program, node.post_program, node.every_program, tuple(node.edge), *timing)

    @property
    def timed(self) -> bool:
        """Whether its timing is not the usual one."""
        return self.dendritic or self.spikes_first or self.delivers_after

    def programs(self) -> tuple[Program, ...]:
        """Return the programs that there are."""
        return tuple(p for p in (self.pre_program, self.post_program, self.every_program) if p is not None)

    def reads(self, op: str) -> list[str]:
        """Return the variables of one end, or the parameters, in the order of the code's tables."""
        return list(dict.fromkeys(v for p in self.programs() for v in p.uses(op)))


def rules_of(graph: Graph) -> list[Rule]:
    """Return the distinct rules of a graph."""
    return list(dict.fromkeys(Rule.of(p.plasticity) for p in graph.projections if p.plasticity is not None))


def timed(rules: list[Rule]) -> bool:
    """Tell whether the timing of some rule is not the usual one: then the code and the columns have more places."""
    return any(rule.timed for rule in rules)


def early(rules: list[Rule]) -> bool:
    """Tell whether some rule learns before the delivery."""
    return any(rule.delivers_after for rule in rules)


def functions_of(rules: list[Rule]) -> set[str]:
    """Return the functions that statements call."""
    return {ins.op for r in rules for p in r.programs() for ins in p.instrs if ins.op in FUNCTIONS}


# -- printing ---------------------------------------------------------------------------------------------------------


def _body(rule: Rule, program: Program, dtype: str, place: str) -> list[str]:
    """Print what a program does at the edge that lies in ``place``."""
    texts: list[str] = []
    out: list[str] = []
    params, sources, targets = rule.reads("param"), rule.reads("pre"), rule.reads("post")
    for var in program.uses("load"):
        out.append(f"{_name(rule, var)} = {_array(rule, var)}[{place}]")
    if program.uses("since"):
        out.append(f"since = {FLOAT[dtype]}(n - computed[{place}])")
    end: list[str] = []
    for k, ins in enumerate(program.instrs):
        if ins.op == "const":
            texts.append(literal(ins.attr, dtype))
        elif ins.op == "param":
            texts.append(f"p{params.index(ins.attr)}")
        elif ins.op == "load":
            texts.append(_name(rule, ins.attr))
        elif ins.op == "since":
            texts.append("since")
        elif ins.op == "pre":
            texts.append(f"x{sources.index(ins.attr)}")
        elif ins.op == "post":
            texts.append(f"y{targets.index(ins.attr)}")
        elif ins.op == "store":
            value = texts[ins.args[0]]
            texts.append(value)
            end.append(f"{_array(rule, ins.attr)}[{place}] = {value}")
            end.append(f"bad |= not np.isfinite({FLOAT[dtype]}({value}))")
        else:
            out.append(f"v{k} = {expression(ins.op, [texts[a] for a in ins.args], ins.attr, dtype)}")
            texts.append(f"v{k}")
    if program.uses("since"):
        end.append(f"computed[{place}] = n")
    return [*out, *end]


def _name(rule: Rule, var: str) -> str:
    return "w" if var == "w" else f"e{rule.edge.index(var)}"


def _array(rule: Rule, var: str) -> str:
    return "edges" if var == "w" else f"edge_values[{rule.edge.index(var)}]"


def _params(rule: Rule) -> list[str]:
    return [f"    p{i} = lparams[row[L_PARAMS] + {i}]" for i in range(len(rule.reads("param")))]


def _row(name: str, program: Program | None, rule: Rule, dtype: str, seen: str) -> list[str]:
    """Print a loop over a row: the spike of a source arrives, or an interval ends; ``seen`` is one more argument."""
    name = f"""@njit(error_model="numpy")
def {name}(row, n, f, edges, edge_values, computed, target, lo, hi, shift, past, lparams, lkeys, lhist{seen}):"""
    if program is None:
        return [name, "    return False"]
    out = [name, "    bad = False", *_params(rule)]
    used_pre, used_post = program.uses("pre"), program.uses("post")
    for i, v in enumerate(rule.reads("pre")):
        if v in used_pre:
            out.append(f"    x{i} = lhist[lkeys[row[L_PRE] + {i}] + past]")
    out.append("    state, height = row[L_STATE], row[L_HEIGHT]")
    for i, v in enumerate(rule.reads("post")):
        if v in used_post:
            out.append(f"    row{i} = lkeys[row[L_POST_ROWS] + {i}]")
    out += ["    run = target[lo:hi]", "    for k in range(run.shape[0]):"]
    inner, values = [], "lhist" if rule.dendritic else "f"
    if used_post:
        place = "goal + j" if rule.dendritic else f"state + (j // {TILE}) * height + j % {TILE}"
        inner = ["j = np.int64(run[k])", f"at = {place}"]
    inner += [f"y{i} = {values}[at + row{i}]" for i, v in enumerate(rule.reads("post")) if v in used_post]
    inner += ["e = lo + k + shift", *_body(rule, program, dtype, "e")]
    return [*out, *(f"        {line}" for line in inner), "    return bad"]


def _post(number: int, rule: Rule, dtype: str) -> list[str]:
    """Print the loop over a column: a target spikes."""
    program = rule.post_program
    head = f"""@njit(error_model="numpy")
def fire{number}(row, f, edges, edge_values, computed, columns, a, b, at, n, hslots, lparams, lkeys, lhist, column_edge,
          column_pre, column_delay):"""
    if program is None:
        return [head, "    return False"]
    used_pre, used_post = program.uses("pre"), program.uses("post")
    out = [head, "    bad = False", *_params(rule)]
    values = "lhist" if rule.dendritic else "f"
    out += [
        f"    y{i} = {values}[at + lkeys[row[L_POST_ROWS] + {i}]]"
        for i, v in enumerate(rule.reads("post"))
        if v in used_post
    ]
    out += [f"    h{i} = lkeys[row[L_PRE] + {i}]" for i, v in enumerate(rule.reads("pre")) if v in used_pre]
    out += ["    size, first, lag, late = row[L_SIZE], row[L_EDGE], row[L_LAG], row[L_DELAY_AT]"]
    out += ["    then = ((n - lag) % hslots) * size", "    for k in range(a, b):"]
    inner = ["e = first + np.int64(column_edge[k])"]
    if used_pre:
        inner += [
            "if lag < 0:",
            "    then = ((n - np.int64(column_delay[late + k])) % hslots) * size",
            "i = then + np.int64(column_pre[k])",
        ]
        inner += [f"x{i} = lhist[h{i} + i]" for i, v in enumerate(rule.reads("pre")) if v in used_pre]
    inner += _body(rule, program, dtype, "e")
    return [*out, *(f"        {line}" for line in inner), "    return bad"]


LEARNING = (
    "learn, f, edges, edge_values, computed, target32, pops, lparams, lkeys, lhist, hslots, columns, column_edge, "
    "column_pre, column_delay"
)
"""What the function that learns gets besides the arrays of delivery."""


def source(rules: list[Rule], dtype: str) -> list[str]:
    """Return the texts of all that learns: a loop over rows and one over columns for each rule, and who calls them."""
    parts = []
    seen = ", goal" if timed(rules) else ""
    rest = f"shift, (m % hslots) * size + source, lparams, lkeys, lhist{seen})"
    for k, rule in enumerate(rules):
        parts.append("\n".join(_row(f"arrive{k}", rule.pre_program, rule, dtype, seen)))
        parts.append("\n".join(_post(k, rule, dtype)))
        parts.append("\n".join(_row(f"sweep{k}", rule.every_program, rule, dtype, seen)))
    arrive, fire, sweep = [], [], []
    for k in range(len(rules)):
        word = "if" if k == 0 else "elif"
        arrive += [
            f"                        {word} row[L_KIND] == {k}:",
            f"                            bad |= arrive{k}(row, n, f, edges, edge_values, computed, target32, lo, hi,",
            f"                                             {rest}",
        ]
        sweep += [
            f"                        {word} row[L_KIND] == {k}:",
            f"                            bad |= sweep{k}(row, n, f, edges, edge_values, computed, target32, lo, hi,",
            f"                                            {rest}",
        ]
        fire += [
            f"            {word} row[L_KIND] == {k}:",
            f"                bad |= fire{k}(row, f, edges, edge_values, computed, columns, start, end, at, n,",
            "                             hslots, lparams, lkeys, lhist, column_edge, column_pre, column_delay)",
        ]
    loops = {"arrive": "\n".join(arrive), "fire": "\n".join(fire), "sweep": "\n".join(sweep)}
    if timed(rules):
        return [*parts, _timed(loops)]
    return [*parts, _LEARN.format(**loops, learning=LEARNING, tile=TILE)]


def _timed(loops: dict[str, str]) -> str:
    """Print the function that learns, where a rule has another timing: arrivals and spikes in either order, before the
    delivery or after it, and the target as it was.

    All rules of the network use it then. Where none has, the form above does without looking any of that up.
    """
    fire = "\n".join(" " * 8 + line for line in loops["fire"].split("\n"))
    arrive = "\n".join(" " * 8 + line for line in loops["arrive"].split("\n"))
    return _LEARN_TIMED.format(arrive=arrive, fire=fire, sweep=loops["sweep"], learning=LEARNING, tile=TILE,
                               late=L_LATE, goals=L_GOAL, order=L_ORDER, early=L_EARLY)  # fmt: skip


_LEARN = """@njit(error_model="numpy")
def learn_step(tid, threads, n, origin, blocks, rows, delays, logs, segments, {learning}):
    bad = False
    for g in range(learn.shape[0]):
        row = learn[g]
        b, size = row[L_BLOCK], row[L_SIZE]
        pop, first, row_at, nd = blocks[b, B_POP], blocks[b, B_FIRST], blocks[b, B_ROW_AT], blocks[b, B_NDELAY]
        shift = blocks[b, B_WEIGHT_AT]
        for d in range(nd):
            m = n - delays[blocks[b, B_DELAY_AT] + d]
            if m < 0:
                continue
            h = m - origin
            for q in range(threads):
                log = logs[q]
                for s in range(segments[q, h, pop], segments[q, h, pop + 1]):
                    source = np.int64(log[s]) - first
                    r = row_at + source * nd + d
                    lo, hi = rows[r], rows[r + 1]
                    if hi > lo:
{arrive}
        mine, h, post = logs[tid], n - origin, row[L_POST]
        for s in range(segments[tid, h, post], segments[tid, h, post + 1]):
            j = np.int64(mine[s]) - pops[post, NUMBER]
            at = row[L_STATE] + (j // {tile}) * row[L_HEIGHT] + j % {tile}
            start, end = columns[row[L_COLUMN] + j], columns[row[L_COLUMN] + j + 1]
{fire}
        if row[L_EVERY] > 0 and (n + 1) % row[L_EVERY] == 0:
            for d in range(nd):
                m = n - delays[blocks[b, B_DELAY_AT] + d]
                for source in range(blocks[b, B_ROWS] // nd):
                    r = row_at + source * nd + d
                    lo, hi = rows[r], rows[r + 1]
                    if hi > lo:
{sweep}
    return bad"""


_LEARN_TIMED = """@njit(error_model="numpy")
def learn_step(early, tid, threads, n, origin, blocks, rows, delays, logs, segments, {learning}):
    bad = False
    for g in range(learn.shape[0]):
        row = learn[g]
        b, size, goals = row[L_BLOCK], row[L_SIZE], row[{goals}]
        pop, first, row_at, nd = blocks[b, B_POP], blocks[b, B_FIRST], blocks[b, B_ROW_AT], blocks[b, B_NDELAY]
        shift = blocks[b, B_WEIGHT_AT]
        for half in range(2 if row[{early}] == early else 0):
            if half == row[{order}]:
                for d in range(nd):
                    m = n - delays[blocks[b, B_DELAY_AT] + d]
                    if m < 0:
                        continue
                    h = m - origin
                    goal = ((n - lkeys[row[{late}] + d]) % hslots) * goals
                    for q in range(threads):
                        log = logs[q]
                        for s in range(segments[q, h, pop], segments[q, h, pop + 1]):
                            source = np.int64(log[s]) - first
                            r = row_at + source * nd + d
                            lo, hi = rows[r], rows[r + 1]
                            if hi > lo:
{arrive}
                continue
            mine, post = logs[tid], row[L_POST]
            for d in range(nd):
                m = n - lkeys[row[{late}] + d]
                if m < 0:
                    continue
                h = m - origin
                goal = (m % hslots) * goals
                for s in range(segments[tid, h, post], segments[tid, h, post + 1]):
                    j = np.int64(mine[s]) - pops[post, NUMBER]
                    at = row[L_STATE] + (j // {tile}) * row[L_HEIGHT] + j % {tile} if goals == 0 else goal + j
                    c = row[L_COLUMN] + j * nd + d
                    start, end = columns[c], columns[c + 1]
{fire}
        if early == 0 and row[L_EVERY] > 0 and (n + 1) % row[L_EVERY] == 0:
            for d in range(nd):
                m = n - delays[blocks[b, B_DELAY_AT] + d]
                goal = ((n - lkeys[row[{late}] + d]) % hslots) * goals
                for source in range(blocks[b, B_ROWS] // nd):
                    r = row_at + source * nd + d
                    lo, hi = rows[r], rows[r + 1]
                    if hi > lo:
{sweep}
    return bad"""


# -- building ---------------------------------------------------------------------------------------------------------


@dataclass
class Columns:
    """One thread's plastic edges as its targets see them; one entry of ``table`` per block that has any."""

    table: list[dict[str, int]]
    columns: np.ndarray
    edge: np.ndarray
    pre: np.ndarray
    delay: np.ndarray


def columns_of(delivery: Delivery, blocks: list[Block], widths: list[int], by_delay: bool) -> Columns:
    """Sort the plastic edges of one thread by target, or by target and delay, where a rule sees the target late.

    Parameters
    ----------
    widths : list of int
        The thread's neurons (whole tiles) of each population.
    by_delay : bool
        Whether a target has a column for each delay of the block.
    """
    table: list[dict[str, int]] = []
    starts: list[np.ndarray] = []
    edge: list[np.ndarray] = []
    pre: list[np.ndarray] = []
    delay: list[np.ndarray] = []
    column_at = edge_at = delay_at = 0
    for b, block in enumerate(blocks):
        if block.plastic is None:
            continue
        row = delivery.blocks[b]
        nd, sources = int(row[K.B_NDELAY]), int(row[K.B_ROWS]) // int(row[K.B_NDELAY])
        bounds = delivery.rows[int(row[K.B_ROW_AT]) : int(row[K.B_ROW_AT]) + sources * nd + 1]
        lo, hi = int(bounds[0]), int(bounds[-1])
        line = np.repeat(np.arange(sources * nd), np.diff(bounds))
        target, width = delivery.target32[lo:hi], widths[block.post]
        if by_delay:
            target, width = target.astype(np.int64) * nd + line % nd, width * nd
        order = np.argsort(target, kind="stable")
        line = line[order]
        count = np.bincount(target, minlength=width)
        starts.append(edge_at + np.concatenate(([0], np.cumsum(count))))
        edge.append(order.astype(np.uint32))
        pre.append((line // nd).astype(np.uint32))
        entry = {"block": b, "column": column_at, "edge": lo + int(row[K.B_WEIGHT_AT]), "lag": block.lowest, "delay": 0,
                 "delays": nd}  # fmt: skip
        if nd > 1:
            delay.append((block.lowest + line % nd).astype(np.uint16))
            entry["lag"], entry["delay"] = -1, delay_at - edge_at
            delay_at += hi - lo
        table.append(entry)
        column_at += width + 1
        edge_at += hi - lo

    def joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate([*parts, np.zeros(1, kind)]).astype(kind)

    return Columns(
        table,
        joined(starts, np.int64),
        joined(edge, np.uint32),
        joined(pre, np.uint32),
        joined(delay, np.uint16),
    )


class Learning:
    """One thread's tables of learning, as the kernel reads them."""

    def __init__(
        self, graph: Graph, rules: list[Rule], blocks: list[Block], columns: Columns, past: Past, part: Part
    ) -> None:
        self.columns = columns
        width = TIMED_COLUMNS if timed(rules) else K.L_COLUMNS
        rows: list[list[int]] = []
        params: list[float] = []
        keys: list[int] = []
        for entry in columns.table:
            block = blocks[entry["block"]]
            assert block.plastic is not None and block.plastic.plasticity is not None
            node = block.plastic.plasticity
            rule = Rule.of(node)
            source, target = graph.populations[block.population], graph.populations[block.post]
            height, names = part.rows_of(block.post)
            row = [0] * width
            row[K.L_BLOCK], row[K.L_KIND], row[K.L_POST] = entry["block"], rules.index(rule), block.post
            row[K.L_STATE], row[K.L_HEIGHT] = int(part.pops[block.post, K.STATE]), height * TILE
            row[K.L_COLUMN], row[K.L_EDGE] = entry["column"], entry["edge"]
            row[K.L_LAG], row[K.L_DELAY_AT], row[K.L_SIZE] = entry["lag"], entry["delay"], source.size
            row[K.L_EVERY] = node.every
            row[K.L_PARAMS] = len(params)
            params += [node.params[v] for v in rule.reads("param")]
            row[K.L_PRE] = len(keys)
            keys += [past.at[source.name, v] for v in rule.reads("pre")]
            row[K.L_POST_ROWS] = len(keys)
            if rule.dendritic:
                first = int(part.pops[block.post, K.FIRST])
                keys += [past.at[target.name, v] + first for v in rule.reads("post")]
            else:
                keys += [names.index(f"s:{v}") * TILE for v in rule.reads("post")]
            if timed(rules):
                row[L_LATE], row[L_GOAL] = len(keys), target.size if rule.dendritic else 0
                row[L_ORDER], row[L_EARLY] = int(rule.spikes_first), int(rule.delivers_after)
                keys += [node.late(block.lowest + d) for d in range(entry["delays"])]
            assert target.program is not None
            rows.append(row)
        self.rows = np.array(rows, dtype=np.int64).reshape(-1, width)
        self.params = np.array(params or [0.0], dtype=past.values.dtype)
        self.keys = np.array(keys or [0], dtype=np.int64)

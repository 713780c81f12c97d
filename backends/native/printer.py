"""Programs printed as numba: one function per distinct program, and the loop over steps that calls them.

A population is stored in tiles of 64 neurons, row by row: ``f[row * 64 + k]``. All rows of a tile, what arrived and
what was drawn included, lie in one array at constant distances, so LLVM turns the loop over a tile into vector code
without asking whether arrays overlap. Rows of a program, in order: state variables, parameters per neuron, then
scratch for inboxes, draws and table rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.backends.compiled.cache import BODY
from neurosim.backends.compiled.expressions import FLOAT, INT, beyond, expression, function_sources, literal
from neurosim.backends.native import learning, links, tables
from neurosim.ir.graph import PopulationNode
from neurosim.ir.ops import FUNCTIONS
from neurosim.ir.program import Program
from neurosim.ir.random import POISSON_COUNT_LIMIT, POISSON_MEAN_LIMIT

TILE = tables.TILE
RINGS = frozenset((tables.RING_SHARED, tables.RING_F32, tables.RING_F64))
RELEASED = frozenset(tables.RELEASED)
PLASTIC = frozenset((tables.PLASTIC, tables.RELEASED_PLASTIC))

_DUE = {
    tables.DUE16_SHARED: "add_shared(box, target16, lo, hi, shared[b])",
    tables.DUE32_SHARED: "add_shared(box, target32, lo, hi, shared[b])",
    tables.DUE16_F32: "add_each(box, target16, weight32, lo, hi, weight_at)",
    tables.DUE32_F32: "add_each(box, target32, weight32, lo, hi, weight_at)",
    tables.DUE16_F64: "add_each(box, target16, weight64, lo, hi, weight_at)",
    tables.DUE32_F64: "add_each(box, target32, weight64, lo, hi, weight_at)",
    tables.PLASTIC: "add_plastic(box, target32, edges, lo, hi, weight_at, grids[b])",
    tables.RELEASED_SHARED: "released_shared(box, target32, lo, hi, shared[b], lhist[then + log[s]], grids[b])",
    tables.RELEASED_F32:
        "released_each(box, target32, weight32, lo, hi, weight_at, lhist[then + log[s]], grids[b])",
    tables.RELEASED_F64:
        "released_each(box, target32, weight64, lo, hi, weight_at, lhist[then + log[s]], grids[b])",
    tables.RELEASED_PLASTIC:
        "released_each(box, target32, edges, lo, hi, weight_at, lhist[then + log[s]], grids[b])",
}
_RING = {
    tables.RING_SHARED: "ring_shared(inbox, width, slots, m, target32, delay16, lo, hi, late, shared[b])",
    tables.RING_F32: "ring_each(inbox, width, slots, m, target32, delay16, weight32, lo, hi, late, weight_at)",
    tables.RING_F64: "ring_each(inbox, width, slots, m, target32, delay16, weight64, lo, hi, late, weight_at)",
}
"""Storage class of a block -> the call that delivers a run of its edges."""


@dataclass(frozen=True)
class Shape:
    """What two populations must share to run the same compiled code.

    ``rows`` are the parameters that differ from neuron to neuron, ``scalars`` the others; ``inboxes``, ``draws`` and
    ``tables`` are read once per step; ``poisson`` says for each Poisson draw whether its neurons have rows of their
    own; ``tables`` whether each time array has one value per neuron.
    """

    program: Program
    states: tuple[str, ...]
    rows: tuple[str, ...]
    scalars: tuple[str, ...]
    inboxes: tuple[str, ...]
    draws: tuple[tuple[str, str], ...]
    poisson: tuple[bool, ...]
    tables: tuple[tuple[str, bool], ...]
    scheduled: bool
    spikes: bool
    checked: bool

    @cached_property
    def height(self) -> int:
        """Number of rows of a tile."""
        return len(self.row_names())

    def row_names(self) -> list[str]:
        """Return the names of the rows of a tile, in order."""
        return [
            *(f"s:{v}" for v in self.states),
            *(f"p:{v}" for v in self.rows),
            *(f"n:{k}" for k, own in enumerate(self.poisson) if own),
            *(f"i:{r}" for r in self.inboxes),
            *(f"d:{op}:{a}" for op, a in self.draws),
            *(f"t:{t}" for t, wide in self.tables if wide),
            *(["listed"] if self.scheduled and not self.only_scheduled else []),
        ]

    @property
    def only_scheduled(self) -> bool:
        """Whether the neurons do nothing but spike at given times: then no tile needs to be looked at."""
        return self.scheduled and all(ins.op in ("scheduled", "emit") for ins in self.program.instrs)


def shape_of(pop: PopulationNode, checked: bool) -> Shape:
    """Read off a population what its code depends on."""
    program = pop.program
    assert program is not None
    used = program.uses("param")
    draws = tuple(
        (ins.op, ins.attr)
        for ins in dict.fromkeys(i for i in program.instrs if i.op in ("uniform", "normal", "poisson", "poisson_of"))
    )
    return Shape(
        program=program,
        states=tuple(v.name for v in pop.states),
        rows=tuple(p for p in used if np.ndim(pop.params[p])),
        scalars=tuple(p for p in used if not np.ndim(pop.params[p])),
        inboxes=tuple(program.uses("inbox")),
        draws=draws,
        poisson=tuple(pop.poisson[a].row is not None for op, a in draws if op == "poisson"),
        tables=tuple((t, pop.tables[t].values.ndim == 2) for t in program.uses("table")),
        scheduled=bool(program.uses("scheduled")),
        spikes=bool(program.emits()),
        checked=checked,
    )


def module_source(
    shapes: list[Shape],
    rules: list[learning.Rule],
    precision: str,
    classes: frozenset[int],
    kinds: Sequence[links.Kind] = (),
) -> str:
    """Return the text of the module for a set of programs: kernels, functions, programs, and the loop over steps.

    ``rules`` are the programs that change edges, ``kinds`` those of links. ``classes`` are the storage classes of the
    network's edges; only their branches are printed, since compiling is what a first run waits for.
    """
    dtype = "f64" if precision == "double" else "f32"
    used = sorted(
        {ins.op for s in shapes for ins in s.program.instrs if ins.op in FUNCTIONS}
        | ({"ndtri"} if any(op == "normal" for s in shapes for op, _ in s.draws) else set())
        | learning.functions_of(rules)
        | links.functions_of(kinds)
    )
    parts = [Path(__file__).with_name(f"{p}.py").read_text(encoding="utf-8") for p in ("tables", "philox", "kernels")]
    names = sorted(n for n in vars(tables) if n.isupper() and isinstance(vars(tables)[n], int))
    parts.append(f"from neurosim.backends.native.tables import {', '.join(names)}")
    if any(op == "poisson_of" for s in shapes for op, _ in s.draws):
        parts += function_sources(["exp"], "f64")
        used = [u for u in used if dtype == "f32" or u != "exp"]
        parts += [_INVERSION]
    known = {p for p in parts}
    parts += [p for p in function_sources(used, dtype) if p not in known]
    for k, shape in enumerate(shapes):
        parts += [*([] if shape.only_scheduled else [_tile(k, shape, dtype)]), _update(k, shape, dtype)]
    parts += [_deliver_due(classes), *([_deliver_ring(classes)] if classes & RINGS else [])]
    parts += learning.source(rules, dtype) if rules else []
    parts += links.source(kinds, dtype) if kinds else []
    return "\n\n".join(parts) + "\n\n" + BODY + _loop(shapes, classes, rules, kinds)


_INVERSION = f"""
@njit(error_model="numpy")
def poisson_inversion(word, mean):
    u = (np.float64(word) + 0.5) * {2.0**-32!r}
    if mean > {POISSON_MEAN_LIMIT!r}:
        return np.nan
    if not mean > 0.0:
        return 0.0
    p = exp_f64(-mean)
    s = p
    k = 0
    while u > s and k < {POISSON_COUNT_LIMIT}:
        k += 1
        p = p * mean / np.float64(k)
        s = s + p
    return np.float64(k)
"""
"""Count by sequential inversion of one word; a mean beyond the limit gives no number, which ends the run."""


def _late(program: Program) -> set[int]:
    """Positions computed before the tile loop because a draw needs them (the mean of ``poisson_of``)."""
    need = [ins.args[0] for ins in program.instrs if ins.op == "poisson_of"]
    out: set[int] = set()
    while need:
        k = need.pop()
        if k not in out:
            out.add(k)
            need.extend(program.instrs[k].args)
    return out


class _Body:
    """The text of the value operations of one program, one assignment per instruction."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype = shape, dtype
        self.row = {name: i for i, name in enumerate(shape.row_names())}
        self.types = shape.program.types()

    def at(self, name: str) -> str:
        """Return the text of one element of a row."""
        return f"f[{self.row[name] * TILE} + k]"

    def lines(self, keep: set[int] | None = None) -> tuple[list[str], list[str]]:
        """Return the assignments (all, or those in ``keep``) and the name or literal of every value."""
        shape, texts, out = self.shape, [], []
        for k, ins in enumerate(shape.program.instrs):
            op, text = ins.op, None
            if op == "const":
                texts.append(literal(ins.attr, self.dtype))
                continue
            if op == "param" and ins.attr in shape.scalars:
                texts.append(f"p{shape.scalars.index(ins.attr)}")
                continue
            if op == "param":
                text = self.at(f"p:{ins.attr}")
            elif op == "load":
                text = self.at(f"s:{ins.attr}")
            elif op == "inbox":
                text = self.at(f"i:{ins.attr}")
            elif op in ("uniform", "normal", "poisson", "poisson_of"):
                text = self.at(f"d:{op}:{ins.attr}")
            elif op == "step":
                texts.append("n")
                continue
            elif op == "time":
                texts.append("time")
                continue
            elif op == "index":
                text = "np.int64(index + k)"
            elif op == "table":
                wide = dict(shape.tables)[ins.attr]
                place = [t for t, _ in shape.tables].index(ins.attr)
                if not wide:
                    texts.append(f"t{place}")
                    continue
                text = self.at(f"t:{ins.attr}")
            elif op == "scheduled":
                text = f"{self.at('listed')} > {literal(0.0, self.dtype)}"
            elif op in ("store", "emit"):
                texts.append("")
                if keep is None:
                    value = texts[ins.args[0]]
                    target = self.at(f"s:{ins.attr}") if op == "store" else "spike[k]"
                    out.append((target, f"np.uint8({value})" if op == "emit" else value))
                continue
            else:
                text = expression(op, [texts[a] for a in ins.args], ins.attr, self.dtype)
            texts.append(f"v{k}")
            if keep is None or k in keep:
                out.append((f"v{k}", text))
        return [f"{a} = {b}" for a, b in out], texts


def _arguments(shape: Shape) -> str:
    scalars = "".join(f", p{i}" for i in range(len(shape.scalars)))
    tables = "".join(f", t{i}" for i, (_, wide) in enumerate(shape.tables) if not wide)
    return f"f, spike, n, time, index{scalars}{tables}"


def _tile(number: int, shape: Shape, dtype: str) -> str:
    """Print the loop over one tile, and, where a draw needs it, the loop that computes its mean.

    The tile returns a negative number if a sum of what it stores for one neuron is no finite number, as it is if one of
    them is none: then all bits of its exponent are set, and one more carries into the sign. Whoever calls looks closer.
    """
    body = _Body(shape, dtype)
    lines, texts = body.lines()
    text = [
        f'@njit(error_model="numpy")\ndef tile{number}({_arguments(shape)}):',
        f"    odd = {INT[dtype]}(0)",
        f"    for k in range({TILE}):",
    ]
    text += [f"        {line}" for line in lines] or ["        pass"]
    stored = [texts[k] for k in shape.program.stores().values()]
    text += [f"        odd = {beyond('odd', ' + '.join(stored), dtype)}"] if stored else []
    text += ["    return odd"]
    late = _late(shape.program)
    for ins in shape.program.instrs:
        if ins.op == "poisson_of":
            before, texts = body.lines(late)
            mean = texts[ins.args[0]]
            draw = shape.draws.index(("poisson_of", ins.attr))
            text += [
                f'\n\n@njit(error_model="numpy")\ndef mean{number}_{draw}({_arguments(shape)}, words):',
                f"    for k in range({TILE}):",
                *(f"        {line}" for line in before),
                f"        count = poisson_inversion(words[k], np.float64({mean}))",
                f"        {body.at(f'd:poisson_of:{ins.attr}')} = {FLOAT[dtype]}(count)",
            ]
    return "\n".join(text)


_UPDATE = "pop, f, scalars, slot, keys, tabled, thresholds, scheduled, spike, words, counts, n, dt, log, at, status"
"""Arguments of the function that steps a population."""


def _update(number: int, shape: Shape, dtype: str) -> str:
    """Print the function that steps one population of this program: draws, inboxes, the tile loop, the spikes."""
    body, cast = _Body(shape, dtype), FLOAT[dtype]
    scalars = [f"    p{i} = scalars[pop[SCALARS] + {i}]" for i in range(len(shape.scalars))]
    out = [
        '@njit(error_model="numpy")',
        f"def update{number}({_UPDATE}):",
        f"    time = {cast}(np.float64(n) * dt)",
        *scalars,
    ]
    for i, (_, wide) in enumerate(shape.tables):
        at = f"keys[pop[TABLES] + {tables.ENTRY * i}"
        out += [f"    row{i} = table_row(n, {at} + T_EVERY], {at} + T_ROWS], {at} + T_REPEAT])"]
        if not wide:
            out += [f"    t{i} = {cast}(tabled[{at} + T_VALUES] + row{i}])"]
    if shape.scheduled:
        out += [_SCHEDULE]
    if shape.only_scheduled:
        out += [_LOG_LISTED]
        return "\n".join(out)
    if shape.scheduled:
        out += [_MARK_LISTED.format(height=shape.height * TILE, row=body.row["listed"] * TILE, tile=TILE)]
    out += [
        "    spike64 = spike.view(np.uint64)",
        "    for tile in range(pop[TILES]):",
        f"        base = pop[STATE] + tile * {shape.height * TILE}",
        f"        f0 = f[base : base + {shape.height * TILE}]",
        f"        index = pop[FIRST] + tile * {TILE}",
    ]
    for i, receptor in enumerate(shape.inboxes):
        row = body.row[f"i:{receptor}"] * TILE
        out += [
            f"        box = keys[pop[INBOX] + {i}] + tile * {TILE}",
            f"        inside = slot[box : box + {TILE}]",
            f"        for k in range({TILE}):",
            f"            f0[{row} + k] = {cast}(inside[k])",
        ]
        if shape.checked:
            out += [
                f"        for k in range({TILE}):",
                f"            if abs(inside[k]) > scalars[pop[SCALARS] + {len(shape.scalars) + i}]:",
                "                status[OVERFLOWED] = 1",
            ]
        out += [f"        for k in range({TILE}):", "            inside[k] = 0.0"]
    for i, (name, wide) in enumerate(shape.tables):
        if wide:
            row = body.row[f"t:{name}"] * TILE
            out += [
                f"        source = keys[pop[TABLES] + {tables.ENTRY * i} + T_VALUES] + row{i} * pop[SIZE] + index",
                f"        now = tabled[source : source + {TILE}]",
                f"        for k in range({TILE}):",
                f"            f0[{row} + k] = {cast}(now[k])",
            ]
    own = 0
    poisson = 0
    for i, (op, attr) in enumerate(shape.draws):
        row = body.row[f"d:{op}:{attr}"] * TILE
        at = f"keys[pop[KEYS] + {tables.ENTRY * (i + shape.scheduled)}"
        out += [f"        philox_tile({at} + D_KEY0], {at} + D_KEY1], index // 4, n, words)"]
        if op == "poisson":
            if shape.poisson[poisson]:
                names = [name for name in body.row if name.startswith("n:")]
                number_row = body.row[names[own]] * TILE
                out += [
                    f"        own_row = f0[{number_row} : {number_row + TILE}]",
                    f"        poisson_rows(words, thresholds, {at} + D_THRESHOLDS], {at} + D_COUNT], own_row, counts)",
                ]
                own += 1
            else:
                out += [f"        poisson_tile(words, thresholds, {at} + D_THRESHOLDS], {at} + D_COUNT], counts)"]
            poisson += 1
            out += [f"        for k in range({TILE}):", f"            f0[{row} + k] = {cast}(counts[k])"]
        elif op == "poisson_of":
            call = _arguments(shape).replace("f, spike", "f0, spike", 1)
            out += [f"        mean{number}_{i}({call}, words)"]
        else:
            uniform = (
                "(np.float64(words[k]) + 0.5) * 2.3283064365386963e-10"
                if dtype == "f64"
                else "(np.float32(words[k] >> np.uint32(9)) + np.float32(0.5)) * np.float32(1.1920928955078125e-07)"
            )
            value = "u" if op == "uniform" else f"ndtri_{dtype}(u)"
            out += [
                f"        for k in range({TILE}):",
                f"            u = {uniform}",
                f"            f0[{row} + k] = {value}",
            ]
    call = f"tile{number}({_arguments(shape).replace('f, spike', 'f0, spike', 1)})"
    if shape.program.stores():
        out += [
            f"        if {call} < 0:",  # a place beyond the last neuron may leave the finite numbers: it does not count
            f"            for k in range(min({TILE}, pop[VALID] - tile * {TILE})):",
            *(
                f"                status[DIVERGED] |= np.int64(not np.isfinite(f0[{body.row[f's:{v}'] * TILE} + k]))"
                for v in sorted(shape.program.stores())
            ),
        ]
    else:
        out += [f"        {call}"]
    if shape.spikes:
        out += [_SCAN]
    out += ["    return at"]
    return "\n".join(out)


_SCAN = f"""        for g in range({TILE // 8}):
            if spike64[g] != np.uint64(0):
                for k in range(8 * g, 8 * g + 8):
                    if spike[k] != np.uint8(0) and tile * {TILE} + k < pop[VALID]:
                        log[at] = np.int32(pop[NUMBER] + tile * {TILE} + k)
                        at += 1"""

_SCHEDULE = """    # this thread's list in `scheduled` is [steps | neurons]
    lo, hi = keys[pop[KEYS] + L_START], keys[pop[KEYS] + L_END]
    period, half = keys[pop[KEYS] + L_PERIOD], keys[pop[KEYS] + L_LENGTH]
    when = n % period if period > 0 else n
    a, b = lo, hi
    while a < b:
        middle = (a + b) // 2
        if scheduled[middle] < when:
            a = middle + 1
        else:
            b = middle"""

_LOG_LISTED = """    while a < hi and scheduled[a] == when:
        log[at] = np.int32(pop[NUMBER] + scheduled[half + a])
        at += 1
        a += 1
    return at"""

_MARK_LISTED = """    for tile in range(pop[TILES]):
        listed = pop[STATE] + tile * {height} + {row}
        for k in range({tile}):
            f[listed + k] = 0.0
    while a < hi and scheduled[a] == when:
        k = scheduled[half + a]
        f[pop[STATE] + k // {tile} * {height} + {row} + k % {tile}] = 1.0
        a += 1"""


def arguments(precision: str, plastic: bool, past: bool, linked: bool = False) -> tuple[str, ...]:
    """Return the arguments of ``run``, the module's kernel, in the notation of the cache: those of every network, of
    plastic edges, of what reads the past of sources, and of links."""
    f = "f8" if precision == "double" else "f4"
    text = f"""tid i, threads i, first i, last i, window i, control i8:1, status i8:1, dt d, pops i8:2, f {f}:1,
        scalars {f}:1, keys i8:1, tabled {f}:1, thresholds u4:1, scheduled i8:1, inbox f8:1, width i, slots i, origin i,
        need i, blocks i8:2, rows i8:1, delays i8:1, target16 u2:1, target32 u4:1, delay16 u2:1, weight32 f4:1,
        weight64 f8:1, shared f8:1, grids f8:1, logs i4:2, segments i8:3, records i8:2, where i8:2, out {f}:1,
        spike u1:1, words u4:1, counts i4:1"""
    if past:
        text += f", copies i8:2, lhist {f}:1, hslots i"
    if plastic:
        text += f""", learn i8:2, edges {f}:1, edge_values {f}:2, computed i8:1, lparams {f}:1, lkeys i8:1,
        columns i8:1, column_edge u4:1, column_pre u4:1, column_delay u2:1"""
    text += links.arguments(precision) if linked else ""
    return tuple(" ".join(a.split()) for a in text.split(","))


def _branches(calls: Mapping[int, str], classes: frozenset[int], indent: str) -> list[str]:
    used = [k for k in calls if k in classes]
    if len(used) == 1:
        return [f"{indent}{calls[used[0]]}"]
    return [f"{indent}{'if' if k == used[0] else 'elif'} kind == {k}:\n{indent}    {calls[k]}" for k in used]


def _deliver_due(classes: frozenset[int]) -> str:
    """Print the delivery of what arrives in step n."""
    body = _branches(_DUE, classes, " " * 20) or [" " * 20 + "pass"]
    then = " " * 12 + "then = blocks[b, B_RELEASE] + (m % hslots) * (blocks[b, B_ROWS] // nd) - first"
    text = _DELIVER_DUE.format(more=_due_arguments(classes), then=then if classes & RELEASED else "")
    return "\n".join([*(line for line in text.split("\n") if line.strip()), *body])


def _due_arguments(classes: frozenset[int]) -> str:
    """Return what the delivery of what is due gets besides, as it begins with a comma."""
    return (", edges" if classes & PLASTIC else "") + (", lhist, hslots" if classes & RELEASED else "")


def _deliver_ring(classes: frozenset[int]) -> str:
    """Print the scattering of the spikes of step m from the blocks whose edges have delays of their own."""
    return "\n".join([_DELIVER_RING, *_branches(_RING, classes, " " * 16)])


_DELIVER_DUE = """@njit(error_model="numpy")
def deliver_due(threads, n, slots, origin, inbox, width, blocks, rows, delays, target16, target32, weight32, weight64,
                shared, grids, logs, segments{more}):
    at = (n % slots) * width
    slot = inbox[at : at + width]
    for b in range(blocks.shape[0]):
        kind = blocks[b, B_CLASS]
        if kind >= RING_SHARED:
            continue
        pop, first, row_at, nd = blocks[b, B_POP], blocks[b, B_FIRST], blocks[b, B_ROW_AT], blocks[b, B_NDELAY]
        base, weight_at = blocks[b, B_BASE], blocks[b, B_WEIGHT_AT]
        box = slot[base:]
        for d in range(nd):
            m = n - delays[blocks[b, B_DELAY_AT] + d]
            if m < 0:
                continue
            h = m - origin
{then}
            for q in range(threads):
                log = logs[q]
                for s in range(segments[q, h, pop], segments[q, h, pop + 1]):
                    r = row_at + (np.int64(log[s]) - first) * nd + d
                    lo, hi = rows[r], rows[r + 1]"""

_DELIVER_RING = """@njit(error_model="numpy")
def deliver_ring(threads, m, slots, origin, inbox, width, blocks, rows, target32, delay16, weight32, weight64, shared,
                 logs, segments):
    h = m - origin
    for b in range(blocks.shape[0]):
        kind = blocks[b, B_CLASS]
        if kind < RING_SHARED:
            continue
        pop, first, row_at = blocks[b, B_POP], blocks[b, B_FIRST], blocks[b, B_ROW_AT]
        weight_at, late = blocks[b, B_WEIGHT_AT], blocks[b, B_BASE]
        for q in range(threads):
            log = logs[q]
            for s in range(segments[q, h, pop], segments[q, h, pop + 1]):
                r = row_at + np.int64(log[s]) - first
                lo, hi = rows[r], rows[r + 1]"""


def _loop(
    shapes: list[Shape], classes: frozenset[int], rules: list[learning.Rule], kinds: Sequence[links.Kind] = ()
) -> str:
    """Print the kernel's body: step one thread's neurons from ``first`` to ``last``; return the step reached.

    It is less than ``last`` if a log is full, or if a number went bad: the step whose arrivals left their grid, or the
    step after the one that left a state variable without a finite number. A thread that sees this does no further step;
    the others stop where all meet next, up to a window later.
    """
    ring, branches = bool(classes & RINGS), []
    early, late = ("1, ", "0, ") if learning.timed(rules) else ("", "")
    for k in range(len(shapes)):
        word = "if" if k == 0 else "elif"
        branches += [
            f"            {word} pop[KIND] == {k}:",
            f"                at = update{k}({_UPDATE})",
        ]
    return "\n".join(
        [
            "    log = logs[tid]",
            "    at = segments[tid, first - 1 - origin, pops.shape[0]]",
            "    scattered = status[SCATTERED]",
            "    turn = 0",
            "    for n in range(first, last):",
            "        if n == first or n % window == 0:",
            "            turn += 1",
            "            if log.shape[0] - at < need:",
            "                atomic_add(control, STOP + APART * (turn & 1), 1)",
            "            barrier(control, threads)",
            "            if atomic_load(control, STOP + APART * (turn & 1)) != 0 or atomic_load(control, ABORT) != 0:",
            "                status[SCATTERED] = scattered",
            "                return n",
            *(
                [
                    "            while scattered < n:",
                    "                deliver_ring(threads, scattered, slots, origin, inbox, width, blocks, rows,",
                    "                             target32, delay16, weight32, weight64, shared, logs, segments)",
                    "                scattered += 1",
                ]
                if ring
                else []
            ),
            *(_learn(early) if learning.early(rules) else []),
            "        deliver_due(threads, n, slots, origin, inbox, width, blocks, rows, delays, target16, target32,",
            f"                    weight32, weight64, shared, grids, logs, segments{_due_arguments(classes)})",
            "        slot = inbox[(n % slots) * width : (n % slots + 1) * width]",
            *(links.gathering(kinds) if kinds else []),
            "        h = n - origin",
            "        for p in range(pops.shape[0]):",
            "            pop = pops[p]",
            "            segments[tid, h, p] = at",
            *branches,
            "        segments[tid, h, pops.shape[0]] = at",
            *(_learn(late) if rules else []),
            *(["        keep_past(n, copies, f, lhist, hslots)"] if rules or classes & RELEASED else []),
            *(["        publish_states(n + 1, publish, f, now)"] if kinds else []),
            "        sample(n, f, records, where, out)",
            "        if status[OVERFLOWED] != 0 or status[DIVERGED] != 0:",
            "            atomic_add(control, STOP + APART * ((turn + 1) & 1), 1)",
            "            barrier(control, threads)",
            "            return n if status[OVERFLOWED] != 0 else n + 1",
            "    barrier(control, threads)",
            "    status[SCATTERED] = scattered",
            "    return last",
        ]
    )


def _learn(when: str) -> list[str]:
    """Print the call that changes edges; ``when`` says whether it comes before the delivery, where some do."""
    return [
        f"        if learn_step({when}tid, threads, n, origin, blocks, rows, delays, logs, segments,",
        f"                      {learning.LEARNING}):",
        "            status[DIVERGED] = 1",
    ]


def scalar_values(shape: Shape, params: Mapping[str, Any]) -> list[float]:
    """Return the values of a population's scalar parameters in the order of its code."""
    return [float(params[k]) for k in shape.scalars]

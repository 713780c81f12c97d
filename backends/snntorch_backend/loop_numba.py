"""Fused loops printed as numba: all steps of some neurons of one run, then of the next ones.

The unit of work is a tile of neurons in one run of the batch. Its rows (state, derivatives, results) lie in scratch at
constant distances, so LLVM makes vector code of the loop over the tile, and they stay in the first cache for all steps;
main memory sees the inputs and the spikes once. Backward, nothing is read that forward has stored but the state every
:data:`SEGMENT` steps: the states of a segment are computed again in scratch, then gone through in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurosim.backends.compiled.cache import BODY
from neurosim.backends.compiled.expressions import FLOAT, HEADER, expression, function_sources, literal
from neurosim.backends.snntorch_backend.loop import Loop
from neurosim.ir.adjoint import BAR, bar
from neurosim.ir.ops import FUNCTIONS
from neurosim.ir.program import Instr, Program

SEGMENT = 16
"""Steps between two states that are kept for the way back."""

WIDTHS = (16, 64, 256, 512)
"""Widths of a tile: the narrowest that holds a population whole, or the widest, since long rows are what a processor
fetches ahead."""

_DIRECT = 6
"""Arrays that a loop over a tile reads where they are. LLVM gives up on vector code where it would have to ask of more
pairs of arrays whether they overlap; further ones are copied into scratch first."""

_NUMBERS = ("begin i", "end i", "tiles i", "neurons i", "batch i", "steps i", "start i", "dt d")


@dataclass(frozen=True)
class Printed:
    """A kernel: its text, its arguments, and how many numbers its scratch arrays ``f`` and ``past`` hold."""

    source: str
    spec: tuple[str, ...]
    scratch: dict[str, int]


def width_of(neurons: int) -> int:
    """Return how many neurons a tile has."""
    return next((w for w in WIDTHS if neurons <= w), WIDTHS[-1])


class _Tile:
    """The function that takes one tile through one step, and the call of it.

    Parameters
    ----------
    name : str
        Of the function.
    width : int
        Of a tile.
    place : dict
        Row of scratch -> its number; shared by the functions of a kernel.
    state : callable
        State variable -> text of neuron ``k`` of it, as it was before the step.
    """

    def __init__(
        self, name: str, loop: Loop, dtype: str, width: int, place: dict[str, int], state: Callable[[str], str]
    ) -> None:
        self.name, self.loop, self.dtype, self.width, self.place, self.state = name, loop, dtype, width, place, state
        self.given: dict[str, tuple[str, str]] = {}  # array -> (its argument, its row), read where it is
        self.lines: list[str] = []

    def row(self, name: str) -> str:
        """Return the text of neuron ``k`` of a row of scratch."""
        return f"f[{self.place.setdefault(name, len(self.place)) * self.width} + k]"

    def array(self, array: str, row: str) -> str:
        """Return the text of neuron ``k`` of a row of an array."""
        if array not in self.given:
            self.given[array] = f"g{len(self.given)}", row
        number = list(self.given).index(array)
        return f"g{number}[k]" if number < _DIRECT else self.row(f"copy {array}")

    def leaf(self, ins: Instr) -> str:
        """Return the text of a leaf of a program."""
        op, attr, loop = ins.op, ins.attr, self.loop
        if op == "param":
            return f"p{loop.scalars.index(attr)}" if attr in loop.scalars else self.row(f"p {attr}")
        if op == "load":
            return self.row(attr) if attr.startswith(BAR) else self.state(attr)
        if op == "inbox" and attr.startswith(BAR):
            return self.array("d_spikes", "run * steps + t")
        if op in ("step", "time"):
            return {"step": "now", "time": "time"}[op]
        if op == "index":
            return "np.int64(first + k)"
        k = loop.inputs.index((op, attr))
        text = self.array(f"x{k}", f"run * stride{k} + t")
        return f"({text} > {literal(0.0, self.dtype)})" if op == "scheduled" else text

    def print(self, program: Program) -> list[str]:
        """Append one assignment per instruction of a program; return the text of every value."""
        texts: list[str] = []
        for k, ins in enumerate(program.instrs):
            if ins.op == "const":
                texts.append(literal(ins.attr, self.dtype))
                continue
            if ins.op in ("store", "emit"):
                texts.append(texts[ins.args[0]])
                continue
            outside = not ins.args or ins.op == "table"
            text = self.leaf(ins) if outside else expression(ins.op, [texts[a] for a in ins.args], ins.attr, self.dtype)
            if text.isidentifier():
                texts.append(text)
                continue
            texts.append(f"v{k}")
            self.lines.append(f"v{k} = {text}")
        return texts

    def function(self, scratch: str) -> str:
        """Print the function: a small one is quick to compile."""
        names = [f"g{k}" for k in range(min(_DIRECT, len(self.given)))]
        head = [
            '@njit(error_model="numpy")',
            f"def {self.name}({', '.join([scratch, 'scalars, now, time, first, w', *names])}):",
        ]
        head += [f"    p{k} = scalars[{k}]" for k in range(len(self.loop.scalars))]
        return "\n".join([*head, "    for k in range(w):", *(f"        {line}" for line in self.lines or ["pass"])])

    def call(self, scratch: str, indent: int) -> list[str]:
        """Print the call, and before it the views of the arrays that it reads."""
        pad, out, names = " " * indent, [f"{' ' * indent}now = start + t"], []
        out += [f"{pad}time = {FLOAT[self.dtype]}(np.float64(now) * dt)"]
        for k, (array, (_, row)) in enumerate(self.given.items()):
            if k < _DIRECT:
                out += _view(f"g{k}", array, row, indent)
                names.append(f"g{k}")
            else:
                out += _read(self.row(f"copy {array}"), array, row, indent)
        return [*out, f"{pad}{self.name}({', '.join([scratch, 'scalars, now, time, first, w', *names])})"]


def _view(name: str, array: str, row: str, indent: int) -> list[str]:
    """Print a view of a tile's part of a row of an array: LLVM sees that indices into it are never negative."""
    pad = " " * indent
    return [f"{pad}at = ({row}) * neurons + first", f"{pad}{name} = {array}[at : at + w]"]


def _read(into: str, array: str, row: str, indent: int) -> list[str]:
    pad = " " * indent
    return [*_view("piece", array, row, indent), f"{pad}for k in range(w):", f"{pad}    {into} = piece[k]"]


def _written(array: str, row: str, out_of: str, indent: int) -> list[str]:
    pad = " " * indent
    return [*_view("piece", array, row, indent), f"{pad}for k in range(w):", f"{pad}    piece[k] = {out_of}"]


def _kept(loop: Loop, state: int, segment: str) -> str:
    """Return the text of the row of ``kept`` that holds a state variable at the beginning of a segment."""
    return f"(run * segments + {segment}) * {len(loop.states)} + {state}"


def _begin() -> list[str]:
    """Print what both ways begin with: a tile's place."""
    return [
        f"    segments = (steps - 1) // {SEGMENT} + 1",
        "    for item in range(begin, end):",
        "        run = item // tiles",
        "        first = (item - run * tiles) * WIDTH",
        "        w = min(WIDTH, neurons - first)",
    ]


def _printed(
    loop: Loop, tiles: Sequence[str], programs: Sequence[Program], body: Sequence[str], arrays: Sequence[str],
    dtype: str, width: int, scratch: dict[str, int],
) -> Printed:  # fmt: skip
    used = sorted({ins.op for p in programs for ins in p.instrs if ins.op in FUNCTIONS})
    text = "\n\n".join([HEADER, *function_sources(used, dtype), *tiles]) + "\n\n" + BODY + "\n".join(body) + "\n"
    element, inputs = "f8" if dtype == "f64" else "f4", range(len(loop.inputs))
    spec = (
        *_NUMBERS,
        *(f"stride{k} i" for k in inputs),
        *(f"{name} {element}:1" for name in (*arrays, *(f"x{k}" for k in inputs))),
    )
    return Printed(text.replace("WIDTH", str(width)), spec, scratch)


def print_forward(loop: Loop, dtype: str, width: int, traced: Sequence[str], kept: bool) -> Printed:
    """Return the loop forward.

    Parameters
    ----------
    traced : sequence of str
        State variables whose values after every step are wanted.
    kept : bool
        Whether the state is kept every :data:`SEGMENT` steps.
    """
    place: dict[str, int] = {}
    tile = _Tile("ahead", loop, dtype, width, place, lambda name: tile.row(f"s {name}"))
    texts = tile.print(loop.program)
    one, zero = literal(1.0, dtype), literal(0.0, dtype)
    tile.lines += [f"{tile.row(f's {name}')} = {texts[k]}" for name, k in loop.program.stores().items()]
    tile.lines += [f"{tile.row('spike')} = {one} if {texts[k]} else {zero}" for k in loop.program.emits().values()]
    state = {name: tile.row(f"s {name}") for name in loop.states}
    out = _begin()
    for k, name in enumerate(loop.rows):
        out += _read(tile.row(f"p {name}"), "each", f"{k}", 8)
    for k, name in enumerate(loop.states):
        out += _read(state[name], "before", f"{k} * batch + run", 8)
    out += ["        for t in range(steps):"]
    if kept and loop.states:
        out += [f"            if t % {SEGMENT} == 0:"]
        for k, name in enumerate(loop.states):
            out += _written("kept", _kept(loop, k, f"t // {SEGMENT}"), state[name], 16)
    out += tile.call("f", 12)
    if loop.event is not None:
        out += _written("spikes", "run * steps + t", tile.row("spike"), 12)
    for k, name in enumerate(traced):
        out += _written(f"trace{k}", "run * steps + t", state[name], 12)
    for k, name in enumerate(loop.states):
        out += _written("after", f"{k} * batch + run", state[name], 8)
    out += ["    return np.int64(0)"]
    arrays = ["f", "scalars", "each", "before", "after", "kept", "spikes", *(f"trace{k}" for k in range(len(traced)))]
    scratch = {"f": len(place) * width}
    return _printed(loop, [tile.function("f")], [loop.program], out, arrays, dtype, width, scratch)


def print_backward(loop: Loop, dtype: str, width: int, traced: Sequence[str]) -> Printed:
    """Return the loop backward.

    ``past`` holds the states before each step of a segment, one step after the other.
    """
    assert loop.back is not None
    place: dict[str, int] = {}
    count, zero = len(loop.states), literal(0.0, dtype)

    def before(name: str) -> str:
        return f"q[{loop.states.index(name) * width} + k]"

    again = _Tile("ahead", loop, dtype, width, place, before)
    texts, stores = again.print(loop.carry), loop.carry.stores()
    for k, name in enumerate(loop.states):
        value = texts[stores[name]] if name in stores else before(name)
        again.lines.append(f"q[{(count + k) * width} + k] = {value}")
    back = _Tile("back", loop, dtype, width, place, before)
    texts, stores = back.print(loop.back), loop.back.stores()
    news = []
    for name in loop.states:
        value = stores.get(bar("load", name))
        news.append((back.row(BAR + name), zero if value is None else texts[value]))
    for name in loop.trained:
        row = back.row(f"sum {name}")
        news.append((row, f"{row} + {texts[stores[bar('param', name)]]}"))
    for k, name in enumerate(loop.arrivals):
        value = stores.get(bar("inbox", name))
        news.append((back.row(f"dx {k}"), zero if value is None else texts[value]))
    back.lines += [f"{row} = {value}" for row, value in news]

    out = _begin()
    for k, name in enumerate(loop.rows):
        out += _read(back.row(f"p {name}"), "each", f"{k}", 8)
    for k, name in enumerate(loop.states):
        out += _read(back.row(BAR + name), "d_after", f"{k} * batch + run", 8)
    for name in loop.trained:
        out += ["        for k in range(WIDTH):", f"            {back.row(f'sum {name}')} = {zero}"]
    out += [
        "        for segment in range(segments - 1, -1, -1):",
        f"            begins = segment * {SEGMENT}",
        f"            ends = min(steps, begins + {SEGMENT})",
    ]
    for k in range(count):
        out += _read(f"past[{k * width} + k]", "kept", _kept(loop, k, "segment"), 12)
    here = f"past[(t - begins) * {count * width} : (t - begins + 2) * {count * width}]"
    out += ["            for t in range(begins, ends - 1):", f"                q = {here}", *again.call("f, q", 16)]
    out += ["            for t in range(ends - 1, begins - 1, -1):", f"                q = {here}"]
    for k, name in enumerate(traced):
        row = back.row(BAR + name)
        out += _view("piece", f"d_trace{k}", "run * steps + t", 16)
        out += ["                for k in range(w):", f"                    {row} = {row} + piece[k]"]
    out += back.call("f, q", 16)
    for k in range(len(loop.arrivals)):
        out += _written(f"d_x{k}", "run * steps + t", back.row(f"dx {k}"), 16)
    for k, name in enumerate(loop.states):
        out += _written("d_before", f"{k} * batch + run", back.row(BAR + name), 8)
    for k, name in enumerate(loop.trained):
        out += _written("d_params", f"{k} * batch + run", back.row(f"sum {name}"), 8)
    out += ["    return np.int64(0)"]
    arrays = ["f", "past", "scalars", "each", "kept", "d_after", "d_before", "d_params", "d_spikes"]
    arrays += [f"d_x{k}" for k in range(len(loop.arrivals))] + [f"d_trace{k}" for k in range(len(traced))]
    tiles = [again.function("f, q"), back.function("f, q")]
    scratch = {"f": len(place) * width, "past": (SEGMENT + 2) * count * width}
    return _printed(loop, tiles, [loop.carry, loop.back], out, arrays, dtype, width, scratch)

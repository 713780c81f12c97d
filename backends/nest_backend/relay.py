"""NEST's parrot_neuron, which repeats every spike that reaches it, in the step in which it does.

A cell here spikes once in a step at most, and weighs what arrives; a parrot sends as many spikes as arrive, whatever
their weights. So a cell without memory is one only where both come to the same: where at most one connection leads to
each neuron, with a weight that passes the threshold.
"""

from __future__ import annotations

import numpy as np

from neurosim.backends.nest_backend.cells import Cell, Port
from neurosim.backends.nest_backend.normal import Condition, Normal, Number, text
from neurosim.ir.edges import iter_edges
from neurosim.ir.graph import Graph
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program

MODEL = "parrot_neuron"


def is_relay(n: Normal) -> bool:
    """Tell whether the threshold reads nothing but what has arrived, which no variable holds for longer than a step."""
    x = _read(n)
    if n.odes or not n.jumps or x is None:
        return False
    return all(len(mono) < 2 and all(n.updates.get(y) == {} for y in mono) for mono in n.updates[x])


def relay_cell(graph: Graph, n: Normal) -> tuple[str, list[str], Cell | None]:
    """Compare with the parrot; return its name, the differences, and the cell if there are none."""
    out: list[str] = list(n.problems)
    x = _read(n)
    assert x is not None
    assert n.pop.model is not None
    system = n.pop.model.system
    gains = {receptor: _gain(n, x, receptor, out) for receptor in n.jumps}
    held = {y for mono in n.updates[x] for y in mono}
    if any(np.any(n.pop.state(y).init) for y in held) or held & {var for var, _ in n.reset}:
        out.append(f"{x} follows {', '.join(sorted(held))}, which the start or the reset sets; NEST's has no variable")
    if np.any(n.refractory):
        out.append("it has a refractory period; NEST's has none")
    if system.edge:
        out.append("its threshold counts only where the condition becomes true (edge=True); NEST's always does")
    out += [f"Poisson drive {d.name} may send it several spikes in a step, of which it makes one and NEST's as many"
            for d in system.drives]  # fmt: skip
    if not out and np.any(_passes(n, x, 0.0, np.arange(n.pop.size))):
        out.append("it spikes where nothing arrives; NEST's only repeats")
    if not out:
        out += _arrivals(graph, n, x, gains)
    return MODEL, out, None if out else Cell(MODEL, {}, {}, quiet={}, ports={receptor: Port(0) for receptor in n.jumps})


def _read(n: Normal) -> str | None:
    """Return the one discrete variable that the threshold reads."""
    if not isinstance(n.threshold, Condition):
        return None
    read = {name for mono in n.threshold.poly for name in mono}
    return next(iter(read)) if len(read) == 1 and read <= set(n.updates) else None


def _gain(n: Normal, x: str, receptor: str, out: list[str]) -> Number:
    """Return what a weight of 1 adds to x in the step of its arrival."""
    total: Number = 0.0
    for var, gain, when in n.jumps[receptor]:
        passed = n.updates[x].get((var,), 0.0)
        if set(gain) - {()}:
            out.append(f"the jump of receptor '{receptor}' depends on {text(gain)}; NEST's depends on nothing")
        elif var == x and when == "after":
            total = total + gain.get((), 0.0)
        elif var != x and when == "before":
            total = total + passed * gain.get((), 0.0)
        elif var == x:
            out.append(f"receptor '{receptor}' adds its jump to {x} before it is renewed (when='before'), so that it "
                       "never spikes")  # fmt: skip
        elif np.any(passed):
            out.append(f"receptor '{receptor}' adds its jump after {x} has read {var} (when='after'), so that it "
                       "spikes a step after the arrival; NEST's does at once")  # fmt: skip
    return total


def _passes(n: Normal, x: str, arrived: Number, neurons: np.ndarray) -> np.ndarray:
    """Tell for which neurons what has arrived makes the threshold true, as it is written: a tie has to stay one."""
    assert n.pop.model is not None
    assert n.pop.model.system.threshold is not None
    params = n.pop.model.params

    def each(value: Number) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (n.pop.size,))[neurons]

    value = each(n.updates[x].get((), 0.0)) + arrived
    program = edge_program(n.pop.model.system.threshold)
    assert program.result is not None
    found = evaluate(program, lambda ins: value if ins.attr == x else each(params[ins.attr]))
    return np.asarray(found[program.result], dtype=bool)


def _arrivals(graph: Graph, n: Normal, x: str, gains: dict[str, Number]) -> list[str]:
    """Return why a population may not spike just as often as spikes arrive, if it may not."""
    first, size = graph.offsets()[n.pop.name], n.pop.size
    leading = np.zeros(size, dtype=np.int64)
    for projection in graph.projections:
        if n.pop.name not in {s.population for s in projection.post}:
            continue
        if projection.release is not None:
            return [f"short-term plasticity weighs what projection '{projection.name}' sends it; NEST's repeats a "
                    "spike of any weight"]  # fmt: skip
        if projection.plasticity is not None:
            return [f"projection '{projection.name}' learns what it sends it; NEST's repeats a spike of any weight"]
        gain = np.broadcast_to(gains[projection.receptor], (size,))
        for e in iter_edges(graph, projection):
            post = np.asarray(e.post, dtype=np.int64) - first
            mine = (post >= 0) & (post < size)
            to, weight = post[mine], np.broadcast_to(np.asarray(e.weight, dtype=np.float64), post.shape)[mine]
            np.add.at(leading, to, 1)
            if np.any(leading > 1):
                return [f"more than one connection leads to its neuron {int(np.argmax(leading > 1))}: of two spikes in "
                        "a step it makes one, and NEST's two"]  # fmt: skip
            weak = np.flatnonzero(~_passes(n, x, weight * gain[to], to))
            if len(weak):
                return [f"a spike of weight {weight[weak[0]]:g} does not make its neuron {to[weak[0]]} spike; NEST's "
                        "repeats a spike of any weight"]  # fmt: skip
    return []

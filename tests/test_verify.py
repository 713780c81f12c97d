"""The verifier finds each kind of fault that a pass could leave behind: one planted fault per rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import VerifyError
from neurosim.ir.graph import Graph
from neurosim.ir.ops import DETECT, INTEGRATE, REACT
from neurosim.ir.program import Instr, Program
from neurosim.ir.verify import verify
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray
from neurosim.units import Hz, ms


def graph_at(stage: str) -> Graph:
    cell = Cell(
        "dv/dt = (i - v)/tau\nx[n+1] = uniform()",
        threshold="v > 1",
        reset="v = 0",
        tau=[1, 2] * ms,
        receptors={"e": Receptor("dg/dt = -g/tau", event="g += w", output="g", tau=1 * ms)},
    )
    net = ns.Network(dt=0.1 * ms, seed=5)
    net.population("p", 2, cell)
    net.stimulate(net["p"], Drive(rate=10 * Hz, weight=1.0))
    net.stimulate(net["p"], Current(output="a", a=TimedArray([1.0, 2.0], 1 * ms)))
    net.connect(net["p"], net["p"], weight=1.0)
    return compile_network(net, after=stage)


def with_pop(graph: Graph, **changes) -> Graph:
    return replace(graph, populations=(replace(graph.populations[0], **changes),))


def with_instr(which: str, **changes):
    """Plant a fault in the first instruction of a kind."""

    def plant(graph: Graph) -> Graph:
        program = graph.populations[0].program
        k = next(k for k, ins in enumerate(program.instrs) if ins.op == which)
        instrs = list(program.instrs)
        instrs[k] = replace(instrs[k], **changes)
        return with_pop(graph, program=Program(tuple(instrs)))

    return plant


def added(*instrs: Instr):
    return lambda graph: with_pop(graph, program=Program((*graph.populations[0].program.instrs, *instrs)))


def with_system(**changes):
    return lambda graph: with_pop(graph, system=replace(graph.populations[0].system, **changes))


def with_projection(**changes):
    return lambda graph: replace(graph, projections=(replace(graph.projections[0], **changes),))


def _pop(graph: Graph):
    return graph.populations[0]


FAULTS = [
    ("units", "no equations", lambda g: with_pop(g, system=None), "population 'p' has no equations"),
    (
        "units",
        "two variables",
        lambda g: with_pop(g, states=(*_pop(g).states, _pop(g).states[0])),
        "population 'p' has two state variables of one name",
    ),
    (
        "units",
        "shape",
        lambda g: with_pop(g, params={**_pop(g).params, "tau": np.ones(3)}),
        "population 'p' parameter 'tau' has shape (3,)",
    ),
    (
        "units",
        "initial",
        lambda g: with_pop(g, states=(replace(_pop(g).states[0], init=np.nan),)),
        "population 'p' initial 'v' is not finite",
    ),
    (
        "expand",
        "lets",
        lambda g: with_system(equations=(*_pop(g).system.equations, replace(_pop(g).system.equations[0], kind="let")))(
            g
        ),
        "population 'p' still has intermediates",
    ),
    (
        "expand",
        "ports",
        lambda g: with_system(ports={"i": (_pop(g).system.threshold,)})(g),
        "population 'p' still has intermediates",
    ),
    ("discretise", "no program", lambda g: with_pop(g, program=None), "population 'p' has no program"),
    ("discretise", "operation", with_instr("mul", op="teleport"), "unknown operation teleport"),
    ("discretise", "arguments", with_instr("mul", args=(0,)), "mul has arguments (0,)"),
    ("discretise", "order", with_instr("mul", args=(0, 10_000)), "mul has arguments (0, 10000)"),
    ("discretise", "phases", added(Instr("const", (), 1.0, INTEGRATE)), "phase 3 after phase 5"),
    ("discretise", "load", with_instr("load", attr="zz"), "load of 'zz', which is no state variable"),
    ("discretise", "store", with_instr("store", attr="zz"), "store of 'zz', which is no state variable"),
    ("discretise", "param", with_instr("param", attr="zz"), "parameter 'zz' has no value"),
    ("discretise", "inbox", with_instr("inbox", attr="zz"), "inbox 'zz' read in phase 0"),
    ("discretise", "table", with_instr("table", attr="zz"), "no time array 'zz'"),
    ("discretise", "spike list", added(Instr("scheduled", (), "zz", REACT)), "no spike list 'zz'"),
    ("discretise", "Poisson table", lambda g: with_pop(g, poisson={}), "no Poisson table 'poissoninput'"),
    ("discretise", "stream", lambda g: with_pop(g, streams={}), "no stream '"),
    (
        "discretise",
        "stored twice",
        lambda g: added(replace([i for i in _pop(g).program.instrs if i.op == "store"][-1], phase=REACT))(g),
        "is stored twice",
    ),
    (
        "discretise",
        "early effect",
        lambda g: with_pop(g, program=Program((Instr("const", (), 1.0), Instr("store", (0,), "v")))),
        "store in phase 0",
    ),
    (
        "discretise",
        "boolean",
        added(Instr("const", (), 1.0, REACT), Instr("emit", (0,), "spike", REACT)),
        "emit of a value that is not boolean",
    ),
    (
        "discretise",
        "float",
        lambda g: with_pop(
            g, program=Program((Instr("load", (), "v"), Instr("gt", (0, 0)), Instr("store", (1,), "v", REACT)))
        ),
        "store of type b",
    ),
    (
        "discretise",
        "mixed",
        lambda g: with_pop(g, program=Program((Instr("load", (), "v"), Instr("gt", (0, 0)), Instr("add", (0, 1))))),
        "add mixes value types ['b', 'f']",
    ),
    ("delays", "delay", with_projection(delay_steps=0), "projection 'p_p_e' has a delay of 0 steps"),
    ("delays", "no delay", with_projection(delay_steps=None), "projection 'p_p_e' has a delay of None steps"),
    ("order", "grid", lambda g: with_pop(g, grids={"e": 0.3}), "the grid of receptor 'e' is 0.3, no power of two"),
    ("order", "no grid", lambda g: with_pop(g, grids={}), "the grid of receptor 'e' is 0.0, no power of two"),
    ("order", "receptor", with_projection(receptor="zz"), "projection 'p_p_e' names no receptor 'zz'"),
    (
        "order",
        "population",
        lambda g: with_projection(post=(replace(g.projections[0].post[0], population="zz"),))(g),
        "projection 'p_p_e' names no population 'zz'",
    ),
]


@pytest.mark.parametrize("stage", ["units", "expand", "discretise", "delays", "order"])
def test_a_sound_graph_passes(stage):
    graph = graph_at(stage)
    assert verify(graph) is graph
    assert graph.stage == stage


@pytest.mark.parametrize(("stage", "name", "plant", "message"), FAULTS, ids=[f[1] for f in FAULTS])
def test_a_planted_fault_is_found(stage, name, plant, message):
    with pytest.raises(VerifyError) as caught:
        verify(plant(graph_at(stage)))
    assert str(caught.value).startswith(f"after pass '{stage}': ")
    assert message in str(caught.value)


def test_units_that_are_left_are_found():
    graph = graph_at("units")
    system = _pop(graph).system
    unit = replace(system.equations[0].expr.args[1], dim=object())
    equation = replace(
        system.equations[0], expr=replace(system.equations[0].expr, args=(system.equations[0].expr.args[0], unit))
    )
    with pytest.raises(VerifyError, match="the equation of 'v' still has units"):
        verify(with_system(equations=(equation, *system.equations[1:]))(graph))


def test_an_inbox_read_too_late_is_found():
    graph = graph_at("discretise")
    instrs = [i for i in _pop(graph).program.instrs if i.phase < DETECT]
    with pytest.raises(VerifyError, match="inbox 'e' read in phase 4"):
        verify(with_pop(graph, program=Program((*instrs, Instr("inbox", (), "e", DETECT)))))

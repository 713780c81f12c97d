"""From a network to a graph: the stages, what the hash depends on, and that the network stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import PASSES, compile_network
from neurosim.errors import EquationError, ParameterError
from neurosim.ir.graph import digest
from neurosim.ir.verify import STAGES
from neurosim.lang.components import Cell
from neurosim.units import ms

NETWORK = """
import neurosim as ns
from neurosim.lang.components import Cell, Current, Drive, Receptor
from neurosim.units import Hz, ms, mV, um


def build(weight=1.0, seed=3, tau=10, v_th=15, delay=1.0, p=0.3, rate=100, amp=1.0, n=20, dt=0.1):
    net = ns.Network("net", dt=dt * ms, seed=seed)
    equations = "dv/dt = (g - v + i + noise)/tau\\ndg/dt = (a*v - g)/tau\\nnoise = b*normal()*c0*c1*mV"
    cell = Cell(equations, threshold="v > v_th", reset="v = 0*mV; g += 1*mV*uniform()", refractory="t_ref",
                tau=tau * ms, v_th=v_th * mV, t_ref=2 * ms, a=0.3, b=ns.uniform(0.1, 0.2), c0=1.0, c1=0.5,
                receptors={"exc": Receptor("dx/dt = -x/tau_x", event="x += w", output="x", tau_x=5 * ms),
                           "inh": Receptor(event="v += w; g += w", when="before")})
    init = {"v": ns.uniform(0 * mV, 15 * mV)}
    a = net.population("a", n, cell, init=init, positions=ns.grid_positions((n,), 10 * um))
    b = net.population("b", 5, cell)
    net.connect(a, a + b, receptor="exc", rule=ns.FixedProbability(p), weight=weight * mV,
                delay=ns.uniform(0.1 * ms, delay * ms))
    net.connect(b, a, receptor="inh", weight="-(i + 1)*0.1*mV", rule="i != j")
    net.stimulate(a, Drive(rate=rate * Hz, weight=0.5 * mV, receptor="exc"))
    net.stimulate(b[1:3], Current(output="amp*sin(t/ms)", amp=amp * mV))
    net.record(a[:3], "v")
    net.record(b, "spikes")
    return net
"""

_space: dict = {}
exec(NETWORK, _space)
build = _space["build"]


def test_every_stage_in_order():
    net = build()
    assert tuple(["units", *(p.__name__ for p in PASSES)]) == STAGES
    for stage in STAGES:
        assert compile_network(net, after=stage).stage == stage
    with pytest.raises(
        ParameterError, match=r"^no pass 'lower'; the passes are units, expand, discretise, delays, order "
    ):
        compile_network(net, after="lower")


def test_options():
    net = build()
    assert compile_network(net).weight_bits == 40
    assert compile_network(net, precision="single").weight_bits == 24
    assert compile_network(net, precision="single", weight_bits=40).weight_bits == 40
    with pytest.raises(ParameterError, match=r"^precision must be 'double' or 'single', got 'half' \(.*test_compile"):
        compile_network(net, precision="half")
    for bits in (0, 32, -24):
        with pytest.raises(ParameterError, match=rf"^weight_bits must be 40 or 24, got {bits} \("):
            compile_network(net, weight_bits=bits)


def test_equal_networks_have_equal_hashes():
    assert digest(compile_network(build())) == digest(compile_network(build()))
    net = build()
    first = digest(compile_network(net))
    assert digest(compile_network(net)) == first, "compiling leaves the network as it was"
    assert len(first) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 1.0001},
        {"seed": 4},
        {"tau": 10.001},
        {"v_th": 16},
        {"delay": 1.1},
        {"p": 0.31},
        {"rate": 101},
        {"amp": 1.1},
        {"n": 21},
        {"dt": 0.05},
    ],
)
def test_every_change_changes_the_hash(change):
    assert digest(compile_network(build(**change))) != digest(compile_network(build()))


def test_precision_probes_and_weight_bits_count_too():
    base = build()
    hashes = {digest(compile_network(base, **o)) for o in ({}, {"precision": "single"}, {"weight_bits": 24})}
    base.record(base["b"], "v")
    hashes.add(digest(compile_network(base)))
    assert len(hashes) == 4


def test_the_hash_does_not_depend_on_the_process(tmp_path):
    script = tmp_path / "net.py"
    script.write_text(
        NETWORK
        + textwrap.dedent("""
        from neurosim.compile import compile_network
        from neurosim.ir.graph import digest
        for stage in ("units", "expand", "discretise", "order"):
            print(digest(compile_network(build(), after=stage)))
    """)
    )
    found = {
        subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout
        for seed in ("0", "1", "77")
    }
    here = "".join(
        f"{digest(compile_network(build(), after=stage))}\n" for stage in ("units", "expand", "discretise", "order")
    )
    assert found == {here}, "nor on where the network's file lies"


def test_equal_numbers_of_different_types_hash_alike():
    for a, b in ((3, np.int64(3)), (0.1, np.float64(0.1)), ((1, 2), [1, 2])):
        assert digest(a) == digest(b)
    for a, b in (
        (1.0, 2.0),
        (0.0, -0.0),
        ("a", "b"),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, np.float32)),
        ((1, (2,)), ((1, 2),)),
        ({"a": 1}, {"b": 1}),
        (1, 1.0),
        (1, "1"),
        (None, "None"),
    ):
        assert digest(a) != digest(b), (a, b)


def test_places_do_not_count():
    graph = compile_network(build())
    moved = replace(graph, populations=tuple(replace(p, where="elsewhere:1") for p in graph.populations))
    assert digest(moved) == digest(graph)


def test_parameters_that_refer_to_each_other_over_many_links_end_in_a_sentence():
    net = ns.Network(dt=1 * ms)
    params = {f"p{k}": f"p{k + 1} + p{k + 1}" for k in range(600)}
    with pytest.raises(EquationError, match="^the parameter p0 of Cell is computed over more than 50 links"):
        net.population("p", 1, Cell("v[n+1] = p0", **params, p600=1.0))
    few = {f"p{k}": f"p{k + 1} + p{k + 1}" for k in range(40)}
    net.population("p", 1, Cell("v[n+1] = p0", **few, p40=1.0))
    assert compile_network(net).populations[0].params["p0"] == 2.0**40, "and each is computed once"


def test_updates_that_read_each_other_over_many_links_end_in_a_sentence():
    net = ns.Network(dt=1 * ms)
    net.population("p", 1, Cell("\n".join([*(f"x{k}[n+1] = x{k + 1}[n+1]" for k in range(900)), "x900[n+1] = 1"])))
    with pytest.raises(EquationError, match="over too many links"):
        compile_network(net)

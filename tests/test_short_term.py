"""Short-term plasticity: its language, its way through the passes, gradients through it, and NEST's synapses.

What it means is in the conformance suite (cases/short_term.py, random networks).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import NeurosimError, ParameterError, UnsupportedError
from neurosim.interchange import exporter
from neurosim.ir.printer import render_graph
from neurosim.lang.short_term import ShortTerm
from neurosim.models import LIF, DCInput, Depression, ExpCurrent, PairSTDP, SpikeSource, TsodyksMarkram
from neurosim.models import TsodyksUzielMarkram as Uziel
from neurosim.units import ms, mV

with contextlib.suppress(ImportError):  # tests of gradients are deselected then
    import torch

CELL = LIF(tau_m=20 * ms, v_rest=-49 * mV, v_th=-50 * mV, v_reset=-60 * mV, t_ref=2 * ms,
           receptors={"e": ExpCurrent(tau=5 * ms), "i": ExpCurrent(tau=10 * ms)})  # fmt: skip
MODEL = TsodyksMarkram(U=0.3, tau_rec=50 * ms, tau_facil=80 * ms)


def recurrent(model: Any = MODEL, **more: Any) -> ns.Network:
    """Two populations that excite and inhibit each other, and a source."""
    net = ns.Network("recurrent", dt=0.1 * ms, seed=3)
    a = net.population("a", 60, CELL, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    b = net.population("b", 30, CELL, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    s = net.population("s", 4, SpikeSource([np.arange(1, 40, 5 + k) * ms for k in range(4)]))
    net.connect(a, a + b, receptor="e", rule=ns.FixedProbability(0.2), weight=2 * mV, name="ab", short_term=model,
                delay=ns.uniform(1 * ms, 3 * ms), **more)  # fmt: skip
    net.connect(b, a, receptor="i", weight=-0.1 * mV, delay=1.5 * ms, short_term=model, name="ba")
    net.connect(s, a, receptor="e", weight=ns.uniform(1 * mV, 5 * mV), delay=0.3 * ms, short_term=model, name="sa")
    net.record(a + b, "spikes")
    return net


def same_spikes(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.spikes[p].steps, other.spikes[p].steps)
               and np.array_equal(one.spikes[p].ids, other.spikes[p].ids) for p in one.spikes)  # fmt: skip


# -- the language ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="x += 1", tau=1 * ms),
         "ShortTerm never says what a spike releases: one of the statements on_spike sets it, 'release = u*x'"),
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="release = x; y += 1", tau=1 * ms),
         "'y += 1' of ShortTerm changes 'y', which is no variable of it"),
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="release = x*v", tau=1 * ms),
         "'release = x*v' of ShortTerm reads 'v'; it knows its own variables and parameters only"),
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="release = x*uniform()", tau=1 * ms),
         "a statement of short-term plasticity is not random and reads no new value"),
        (lambda: ShortTerm("x = 1", on_spike="release = x"),
         "a variable of short-term plasticity is given by a differential equation, 'dx/dt = (1 - x)/tau'; ShortTerm "
         "has 'x = 1'"),
        (lambda: ShortTerm("dx/dt = -x*x/tau", on_spike="release = x", tau=1 * ms),
         "'dx/dt = -x*x/tau' of ShortTerm cannot be solved exactly: an equation of short-term plasticity is linear"),
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="release = x", tau=1 * ms, init=[1]),
         "init of ShortTerm maps variables to values"),
        (lambda: ShortTerm("", on_spike="release = 1", release=2.0),
         "'release' is"),
        (lambda: ShortTerm("dx/dt = -x/tau", on_spike="release = x", init={"y": 1.0}, tau=1 * ms),
         "ShortTerm has no state variable 'y'"),
        (lambda: TsodyksMarkram(U=1.5), "U"),
        (lambda: TsodyksMarkram(tau_rec=0 * ms), "tau_rec"),
        (lambda: TsodyksMarkram(tau=3 * ms), "TsodyksMarkram has no parameter 'tau'"),
    ],
)  # fmt: skip
def test_a_model_that_is_none_says_why(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(NeurosimError, match=re.escape(says)):
        make()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (PairSTDP, r"short_term must be a model such as TsodyksMarkram\(…\), got PairSTDP"),
        (TsodyksMarkram(U=ns.uniform(0, 1)), "U of TsodyksMarkram must be one value for the whole projection"),
        (ShortTerm("", on_spike="release = 2*w", w=1 * mV), "release"),
        (
            ShortTerm("dx/dt = -x/tau", on_spike="release = x; x += 1", init={"x": 7 * mV}, tau=1 * ms),
            "initial .*stp.x",
        ),
        (
            ShortTerm("dx/dt = -x/tau", on_spike="release = x; x += 1", init={"x": np.nan}, tau=1 * ms),
            "initial .*stp.x",
        ),
    ],
)
def test_a_projection_that_cannot_have_it_says_why(model: Any, says: str) -> None:
    with pytest.raises(NeurosimError, match=says):
        compile_network(recurrent(model))


def test_what_is_refused_leaves_nothing_behind() -> None:
    net = recurrent()
    before = {p.label: set(p.scope.parts) for p in net.populations.values()}
    bad = TsodyksMarkram(U=ns.uniform(0, 1))
    with pytest.raises(ParameterError):
        net.connect(net["a"], net["b"], receptor="e", weight=1 * mV, plasticity=PairSTDP(w_max=2 * mV), short_term=bad)
    assert before == {p.label: set(p.scope.parts) for p in net.populations.values()}


def test_it_is_described_and_printed() -> None:
    assert "release = u*x" in MODEL.describe() and "drelease" not in MODEL.describe()
    text = render_graph(compile_network(recurrent()))
    assert "delivers the weight times ab.stp.release of the source, as of the step of the spike" in text


def test_variables_are_recorded_and_parameters_set() -> None:
    net = recurrent()
    net.record(net["s"][:1], "sa.stp.x")
    net.set_parameter("s.sa.stp.U", 0.25)
    x = net.run(12 * ms, backend="reference").state["s"]["sa.stp.x"].of(0)
    assert x[9] == 1.0 and x[10] == 0.75  # the first spike is in step 10
    assert x[59] == pytest.approx(1 - 0.25 * np.exp(-4.9 / 50), rel=1e-12)


# -- running on, and changing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "options"), [("reference", {}), ("native", {"threads": 1}), ("native", {"threads": 2})]
)
def test_a_run_goes_on_from_a_snapshot(backend: str, options: dict[str, Any]) -> None:
    net = recurrent(plasticity=PairSTDP(w_max=4 * mV))
    whole = net.run(40 * ms, backend=backend, **options)
    simulation = net.start(backend=backend, **options)
    simulation.run(13.7 * ms)
    saved = simulation.engine.snapshot(), simulation.engine.n
    simulation.run(26.3 * ms)
    assert same_spikes(simulation.result(), whole)
    other = net.start(backend=backend, **options)
    other.engine.restore(*saved)
    other.engine.advance(400 - saved[1])
    again = other.engine.drain().spikes["a"]
    late = whole.spikes["a"].steps >= saved[1]
    assert np.array_equal(again[0], whole.spikes["a"].steps[late])
    simulation.close(), other.close()


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_weights_that_are_set_are_multiplied_too(backend: str) -> None:
    net = ns.Network("set", dt=0.1 * ms)
    source = net.population("s", 1, SpikeSource([[1, 2, 3, 4] * ms]))
    target = net.population("t", 1, ns.Cell("v[n+1] = v", receptors={"e": ns.Receptor("x[n+1] = 0*x", event="x += w")}))
    net.connect(source, target, weight=1.0, delay=0.5 * ms, short_term=Depression(U=0.5, tau_rec=1e12 * ms), name="st")
    net.record(target, "e.x")
    simulation = net.start(backend=backend)
    simulation.run(2.2 * ms)  # the second spike is on its way
    simulation.set_weights("st", 8.0)
    simulation.run(2.8 * ms)
    x = simulation.result().state["t"]["e.x"].of(0)
    assert x[x != 0] == pytest.approx([0.5, 2.0, 1.0, 0.5], rel=1e-9)


# -- gradients --------------------------------------------------------------------------------------------------------


def feed_forward(model: Any = MODEL) -> ns.Network:
    net = ns.Network("forward", dt=1 * ms, seed=5)
    a = net.population("a", 6, CELL)
    b = net.population("b", 4, CELL)
    net.stimulate(a, DCInput(np.linspace(2, 20, 6) * mV))
    net.connect(a, b, receptor="e", weight=ns.uniform(5 * mV, 60 * mV), delay=ns.uniform(1 * ms, 4 * ms), name="ab",
                short_term=model)  # fmt: skip
    net.connect(b, a, receptor="i", weight=-8 * mV, delay=2 * ms, name="ba", short_term=Depression(U=0.4))
    net.record(a + b, "spikes")
    return net


@pytest.mark.engine("snntorch")
def test_modules_give_the_spikes_of_native_and_one_gradient() -> None:
    net = feed_forward()
    want = net.run(120 * ms)
    grads = []
    for fuse in (True, False):
        module = net.to_torch(precision="double", fuse=fuse, surrogate="fast_sigmoid")
        assert all((why == "fused") == fuse for why in module.loops().values())
        out = module(steps=120, traces=["b.v"])
        for name in "ab":
            steps, ids = (x.numpy() for x in torch.nonzero(out.spikes[name][0], as_tuple=True))
            assert np.array_equal(steps, want.spikes[name].steps) and np.array_equal(ids, want.spikes[name].ids)
        loss = out.spikes["b"].sum() + (out.traces["b.v"] * torch.linspace(0, 9, 120)[None, :, None].double()).sum()
        loss.backward()
        grads.append({name: module.weights[name].grad.clone() for name in ("ab", "ba")})
    assert len(want.spikes["b"].steps) > 10
    for name, grad in grads[0].items():
        assert grad.abs().max() > 0
        torch.testing.assert_close(grad, grads[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.engine("snntorch")
def test_the_gradient_of_a_weight_is_that_of_what_is_released() -> None:
    """Without spikes at the target, its potential is linear in the weights: the derivative is a difference."""
    net = ns.Network("linear", dt=1 * ms)
    source = net.population("s", 2, SpikeSource([[3, 5, 8] * ms, [4, 6] * ms]))
    target = net.population("t", 1, CELL(v_th=1e3 * mV))
    net.connect(
        source, target, receptor="e", weight=np.array([[1.0], [2.0]]) * mV, delay=2 * ms, short_term=MODEL, name="st"
    )
    module = net.to_torch(precision="double")
    value = module(steps=20, traces=["t.v"]).traces["t.v"][0, -1, 0]
    value.backward()
    grad = module.weights["st"].grad.clone()
    for k in range(2):
        with torch.no_grad():
            module.weights["st"][k] += 0.5
            moved = module(steps=20, traces=["t.v"]).traces["t.v"][0, -1, 0]
            module.weights["st"][k] -= 0.5
        assert float(grad[k]) == pytest.approx(float(moved - value.detach()) / 0.5, rel=1e-6)


@pytest.mark.engine("snntorch")
def test_spikes_that_are_given_have_no_resources() -> None:
    module = feed_forward().to_torch()
    with pytest.raises(ParameterError, match="spikes of population 'a' cannot be given: .* in projection 'ab' follows"):
        module({"a": torch.zeros(1, 5, 6)})


# -- NEST --------------------------------------------------------------------------------------------------------------


HALVED = ShortTerm("dx/dt = (1 - x)/tau", on_spike="x *= 0.5; release = x", init={"x": 1.0}, tau=30 * ms)
"""Depression by a half, as somebody else may write it."""


@pytest.mark.engine("nest")
@pytest.mark.parametrize("model", [MODEL, Depression(U=0.4, tau_rec=60 * ms), Uziel(U=0.4, tau_rec=60 * ms), HALVED])
def test_nest_has_the_same_spikes(model: Any) -> None:
    net = recurrent(model)
    native = net.run(100 * ms)
    assert len(native.spikes["a"].steps) > 100 and same_spikes(net.run(100 * ms, backend="nest"), native)


@pytest.mark.engine("nest")
@pytest.mark.parametrize(
    ("model", "says"),
    [
        (ShortTerm("dx/dt = (1 - x)/tau", on_spike="release = x*x; x -= release", init={"x": 1.0}, tau=3 * ms),
         "no synapse of NEST's like that of projection 'ab': its equations are those of neither tsodyks2_synapse nor"),
        (ShortTerm("dx/dt = (1 - x)/tau", on_spike="release = U*x; x -= release", init={"x": 0.5}, tau=3 * ms, U=0.3),
         "its resources do not start at rest, and NEST's tsodyks2_synapse does"),
        (ShortTerm("dx/dt = (1 - x)/tau", on_spike="release = U*exp(x); x -= release", tau=3 * ms, U=0.3),
         "its short-term plasticity reads exp"),
        (ShortTerm("dx/dt = (1 - x)/tau", on_spike="x += release; release = U*x", tau=3 * ms, U=0.3),
         "its short-term plasticity reads what the spike before has released"),
    ],
)  # fmt: skip
def test_what_nest_has_not_is_refused(model: Any, says: str) -> None:
    with pytest.raises(UnsupportedError, match=says):
        recurrent(model).run(1 * ms, backend="nest")


@pytest.mark.engine("nest")
def test_sources_that_differ_are_refused_by_nest() -> None:
    """Each of NEST's projections is told one value, and it would be that of the first population."""
    net = ns.Network("sources", dt=0.1 * ms)
    a, b = (net.population(k, 2, SpikeSource([[5] * ms] * 2)) for k in "ab")
    net.connect(
        a + b, net.population("t", 2, CELL), receptor="e", weight=5 * mV, delay=1 * ms, short_term=MODEL, name="st"
    )
    net.run(1 * ms, backend="nest")
    net.set_parameter("b.st.stp.U", 0.9)
    with pytest.raises(UnsupportedError, match="its sources have different parameters, and NEST is told one value"):
        net.run(1 * ms, backend="nest")
    net.set_parameter("b.st.stp.U", np.array([0.3, 0.4]))
    with pytest.raises(UnsupportedError, match="its parameters differ from neuron to neuron"):
        net.run(1 * ms, backend="nest")


# -- elsewhere --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "tool"), [("sonata", "SONATA"), ("pynn", "PyNN's script"), ("nir", "NIR")])
def test_exports_do_not_lose_it_in_silence(target: str, tool: str, tmp_path: Any) -> None:
    net = ns.Network("export", dt=0.1 * ms)
    cell = CELL(receptors={"e": ExpCurrent(tau=5 * ms), "i": ExpCurrent(tau=5 * ms)})
    a, b = net.population("a", 3, SpikeSource([[1] * ms] * 3)), net.population("b", 3, cell)
    net.connect(a, b, receptor="e", weight=1 * mV, name="ab", short_term=MODEL)
    net.connect(b, b, receptor="i", weight=-1 * mV, name="bb", plasticity=PairSTDP(w_max=2 * mV))
    with pytest.raises(ParameterError, match=f"short-term plasticity of 'ab': {tool} gets its weights") as found:
        exporter(target)(net, str(tmp_path / "out"), duration=10 * ms)
    assert f"the learning rule of 'bb': {tool} gets its weights at the start" in str(found.value)
    assert not (tmp_path / "out").exists()

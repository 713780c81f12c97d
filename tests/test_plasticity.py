"""Learning rules in the language, the passes and the engines; what they mean is in the conformance suite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from net_kit import DELTA, DT, refused

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.null_backend import NullBackend
from neurosim.compile import compile_network
from neurosim.errors import (
    DimensionError,
    DivergedError,
    EquationError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
)
from neurosim.lang.components import Cell
from neurosim.lang.plasticity import Plasticity
from neurosim.models import LIF, ExpCurrent, GuetigSTDP, PairSTDP, PoissonSource, SpikeSource, TripletSTDP
from neurosim.registry import load_backend
from neurosim.units import Hz, ms, mV

TRACE = {"pre": "dx/dt = -x/tau", "post": "dy/dt = -y/tau", "tau": 20 * ms}
CELL = LIF(receptors={"exc": DELTA, "inh": DELTA})


def two(n: int = 4, m: int = 3, cell: Cell = CELL) -> tuple[ns.Network, Any, Any]:
    """A network of a Poisson source and its target."""
    net = ns.Network("learning", dt=DT * ms, seed=5)
    return net, net.population("a", n, PoissonSource(100 * Hz)), net.population("b", m, cell)


def join(rule: Any, **more: Any) -> ns.Network:
    """Connect the two with a rule."""
    net, a, b = two()
    net.connect(a, b, receptor="exc", weight=1 * mV, delay=1 * ms, plasticity=rule, name="ab", **more)
    return net


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "texts"),
    [
        (EquationError, "Plasticity never changes the weight: no statement of it assigns 'w'",
         {"pre": "dx/dt = -x/tau", "on_pre": "x += 1", "tau": 20 * ms}),
        (EquationError, "a trace is given by a differential equation, 'dx/dt = -x/tau'; Plasticity has 'x[n+1] = x/2'",
         {"pre": "x[n+1] = x/2", "on_pre": "w += x; x += 1"}),
        (EquationError, "'x' names two things in Plasticity: traces of both sides, variables of the synapse, "
         "parameters and the weight 'w' have names of their own",
         {"pre": "dx/dt = -x/tau", "post": "dx/dt = -x/tau", "on_pre": "w += x", "tau": 20 * ms}),
        (EquationError, "'y += 1' of Plasticity changes a trace of the other side: the trace 'y' jumps with the "
         "spikes of its own neuron, in on_post", {**TRACE, "on_pre": "w += x; y += 1"}),
        (UnknownNameError, "'u += 1' of Plasticity changes 'u', which is neither the weight 'w' nor a trace or a "
         "variable of the synapse; known: w, x",
         {**TRACE, "on_pre": "w += x; u += 1"}),
        (EquationError, "a statement of a learning rule is not random and reads no new value ([n+1]): "
         "'w += x*uniform()'", {**TRACE, "on_pre": "w += x*uniform()"}),
        (EquationError, "a statement of a learning rule cannot read t or dt: 'w += x*t/tau'",
         {**TRACE, "on_pre": "w += x*t/tau"}),
        (EquationError, "'x += w' of Plasticity happens at a neuron, which knows its own traces and the parameters "
         "only, not 'w'", {**TRACE, "on_pre": "w += x; x += w"}),
    ],
)  # fmt: skip
def test_rules_that_mean_nothing(error: type[Exception], message: str, texts: dict[str, Any]) -> None:
    assert refused(error, lambda: Plasticity(**texts)) == message


@pytest.mark.parametrize(
    ("error", "message", "rule"),
    [
        (ParameterError, "plasticity must be a learning rule such as PairSTDP(…), got 3", 3),
        (DimensionError, "cannot add voltage (V) and dimensionless in 'w += x'; give the plain number its unit, as in "
         "5*mV",
         lambda: Plasticity(**TRACE, on_pre="w += x; x += 1")),
        (DimensionError, "the bound 'top' of Plasticity is dimensionless, and the weight of projection 'ab' is voltage "
         "(V)",
         lambda: Plasticity(on_pre="w = w/2", upper="top", top=3.0)),
        (UnknownNameError, "the bound 'top' of Plasticity is made of parameters; it has no parameter 'top'",
         lambda: Plasticity(on_pre="w = w/2", upper="top")),
        (UnknownNameError, "unknown name 'u_post' in 'w += u_post' of Plasticity; did you mean 'v_post'?",
         lambda: Plasticity(on_pre="w += u_post")),
        (ParameterError, "rate of Plasticity must be one value for the whole projection; got",
         lambda: Plasticity(on_pre="w *= rate", rate=ns.uniform(0.1, 0.2))),
        (EquationError, "'w += mV*x' of Plasticity stands between two changes of 'x': a statement at the synapse reads "
         "a trace before its jump or after all of it",
         lambda: Plasticity(**TRACE, on_pre="x += 1; w += mV*x; x += 1")),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_their_projection(error: type[Exception], message: str, rule: Any) -> None:
    made = rule() if callable(rule) and not isinstance(rule, Plasticity) else rule
    assert refused(error, lambda: join(made)).startswith(message)


def test_a_refused_rule_leaves_no_trace() -> None:
    net, a, b = two()
    refused(DimensionError, lambda: net.connect(a, b, receptor="exc", weight=1 * mV, name="ab",
                                                plasticity=Plasticity(**TRACE, on_pre="w += x; x += 1")))  # fmt: skip
    assert "ab" not in net.projections and "ab" not in a.scope.parts and "ab" not in b.scope.parts
    net.connect(a, b, receptor="exc", weight=1 * mV, name="ab", plasticity=PairSTDP(w_max=2 * mV))
    assert net.run(5 * ms).weights("ab").shape == (12,)


def test_names_of_rules_and_stimuli_keep_apart() -> None:
    net, a, b = two()
    assert refused(ParameterError, lambda: net.connect(a, b, receptor="exc", weight=1 * mV, name="exc",
                                                       plasticity=PairSTDP(w_max=2 * mV))) == (
        "population 'b' has a receptor or stimulus 'exc' already: give the projection another name"
    )  # fmt: skip


def test_traces_that_are_not_linear() -> None:
    net = join(Plasticity(pre="dx/dt = -x*x/tau", on_pre="w += mV*x; x += 1", tau=20 * ms))
    assert refused(EquationError, lambda: net.run(1 * ms)) == (
        "the trace ab.x at population 'a' is not linear with constant coefficients, and traces are integrated exactly"
    )


def test_bounds_the_wrong_way_round() -> None:
    net = join(Plasticity(on_pre="w = w/2", lower="low", upper="high", low=2 * mV, high=1 * mV))
    assert refused(ParameterError, lambda: net.run(1 * ms)) == (
        "the weights of projection 'ab' have the lower bound 0.002 above the upper bound 0.001"
    )


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_weight_that_leaves_the_numbers_is_named(backend: str) -> None:
    net = ns.Network("bad", dt=DT * ms, seed=1)
    a = net.population("a", 2, SpikeSource([[] * ms, [0.3] * ms]))
    b = net.population("b", 2, CELL)
    net.connect(a, b, receptor="exc", weight=-1 * mV, delay=0.2 * ms, name="ab",
                plasticity=Plasticity(on_pre="w = (w/mV)**0.5*mV"))  # fmt: skip
    with pytest.raises(DivergedError, match=r"the weight of edge 2 of projection 'ab' .* at t = 0\.6 ms"):
        net.run(2 * ms, backend=backend)


def test_engines_that_do_not_learn_say_so() -> None:
    class Deaf(NullBackend):
        name, plasticity = "deaf", False

    graph = compile_network(join(PairSTDP(w_max=2 * mV)))
    message = refused(UnsupportedError, lambda: Deaf().check(graph))
    assert message.startswith("backend 'deaf' cannot run this network: no learning rules (projection 'ab');")


# -- what is compiled --------------------------------------------------------------------------------------------------


def test_the_grid_takes_in_the_bounds() -> None:
    graph = compile_network(join(PairSTDP(w_max=8 * mV)))
    assert graph.population("b").grids["exc"] == 2.0 ** (-6 - 40)  # 2^-6 is the first power above 8 mV


def test_programs_over_edges_are_in_the_hash() -> None:
    from neurosim.ir.graph import digest

    hashes = {digest(compile_network(join(r))) for r in (PairSTDP(w_max=2 * mV), PairSTDP(w_max=2 * mV, rate=0.02),
                                                         TripletSTDP(w_max=2 * mV, w_1=1 * mV), None)}  # fmt: skip
    assert len(hashes) == 4


def test_parameters_may_be_computed_from_others() -> None:
    rule = Plasticity(on_pre="w += step", step=ns.Param("size/2", mV), size=3 * mV)
    net = ns.Network("sum", dt=DT * ms, seed=1)
    a, b = net.population("a", 1, SpikeSource([[0.1, 0.2] * ms])), net.population("b", 1, CELL)
    net.connect(a, b, receptor="exc", weight=1 * mV, plasticity=rule, name="ab")
    assert net.run(1 * ms).weights("ab").tolist() == pytest.approx([0.001 + 0.0015 + 0.0015], rel=1e-12)


def test_describe_shows_the_rule() -> None:
    text = GuetigSTDP.describe()
    for part in (
        "dx/dt = -x/tau_plus",
        "dy/dt = -y/tau_minus",
        "on_pre:",
        "x += 1",
        "upper w_max",
        "tau_plus",
        "Gütig",
    ):
        assert part in text


# -- what is run -------------------------------------------------------------------------------------------------------


def _mixed(seed: int) -> ns.Network:
    """Parts and unions of populations, recurrent, with drawn delays, beside a projection that does not learn."""
    net = ns.Network("mixed", dt=DT * ms, seed=seed)
    cell = LIF(t_ref=1 * ms, v_th=-60 * mV, receptors={"exc": ExpCurrent(tau=3 * ms)})
    a, b = net.population("a", 70, cell), net.population("b", 130, cell)
    source = net.population("source", 90, PoissonSource(60 * Hz))
    rule = ns.FixedProbability(0.3)
    delay = ns.uniform(0.1 * ms, 4 * ms)
    net.connect(source, a + b, rule=rule, weight=9 * mV, delay=0.5 * ms, name="drive")
    net.connect(source[10:60] + a[::2], b[5:100] + a[:33], rule=rule, weight=ns.uniform(0 * mV, 9 * mV), delay=delay,
                plasticity=TripletSTDP(w_max=9 * mV, w_1=5 * mV), name="one")  # fmt: skip
    net.connect(a, a, rule=rule, weight=3 * mV, delay=2 * ms, plasticity=PairSTDP(w_max=9 * mV, rate=0.1), name="two")
    for pop in (a, b):
        net.record(pop, "spikes")
    net.record(net.projections["one"], "weight", every=5 * ms)
    net.record(a[3:9], "two.y", every=1 * ms)
    return net


def test_threads_and_stretches_change_nothing() -> None:
    net = _mixed(3)
    truth = net.run(60 * ms, backend="reference")
    assert len(truth.spikes["a"].ids) > 100 and np.ptp(truth.weights("two")) > 1e-3
    for threads in (1, 2, 3):
        result = net.run(60 * ms, threads=threads)
        for name in ("a", "b"):
            assert np.array_equal(result.spikes[name].ids, truth.spikes[name].ids)
            assert np.array_equal(result.spikes[name].steps, truth.spikes[name].steps)
        for name in ("one", "two"):
            assert np.array_equal(result.weights(name), truth.weights(name))
        assert np.array_equal(result.weight_traces["one"].values, truth.weight_traces["one"].values)
        assert np.array_equal(result.state["a"]["two.y"].values, truth.state["a"]["two.y"].values)
        assert result.edges == truth.edges


def test_weights_of_a_static_projection_stay() -> None:
    net = _mixed(4)
    engine = load_backend("native").build(compile_network(net), Options())
    engine.advance(20)
    assert engine.weights("drive") is None
    engine.close()
    result = net.run(2 * ms)
    assert np.allclose(result.weights("drive"), 9e-3, rtol=1e-12) and len(set(result.weights("drive"))) == 1


def test_a_file_holds_the_weights_over_time(tmp_path: Any) -> None:
    net = _mixed(5)
    whole = net.run(20 * ms)
    kept = net.run(20 * ms, output=tmp_path / "out.h5")
    assert np.array_equal(kept.weight_traces["one"].values, whole.weight_traces["one"].values)
    assert kept.weight_traces["one"].times.tolist() == pytest.approx([5e-3, 10e-3, 15e-3, 20e-3])
    assert np.array_equal(kept.weights("one"), whole.weights("one"))


def test_a_projection_without_edges_learns_nothing() -> None:
    net, a, b = two()
    net.connect(a, b, receptor="exc", rule=ns.FixedProbability(0.0), weight=1 * mV, name="ab",
                plasticity=PairSTDP(w_max=2 * mV))  # fmt: skip
    net.record(net.projections["ab"], "weight", every=1 * ms)
    for backend in ("reference", "native"):
        result = net.run(3 * ms, backend=backend)
        assert result.weights("ab").shape == (0,) and result.weight_traces["ab"].values.shape == (3, 0)

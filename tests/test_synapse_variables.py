"""Variables of the synapse, statements of an interval, third factors; what they mean is in the conformance suite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from net_kit import DELTA, DT, refused

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.conformance import random_networks as rn
from neurosim.errors import DimensionError, DivergedError, EquationError, ParameterError, UnknownNameError
from neurosim.lang.plasticity import Plasticity
from neurosim.models import (
    LIF,
    ArrayCurrent,
    ErrorUnit,
    ExpCurrent,
    Modulator,
    PoissonSource,
    RateUnit,
    RewardSTDP,
    Surprise,
)
from neurosim.units import Hz, Quantity, ms, mV

TAGGED: dict[str, Any] = {"edge": "dc/dt = -c/tau", "on_pre": "c += 1", "tau": 20 * ms}


def two(cell: Any = None) -> tuple[ns.Network, Any, Any]:
    net = ns.Network("late", dt=DT * ms, seed=5)
    cell = LIF(receptors={"exc": DELTA}) if cell is None else cell
    return net, net.population("a", 4, PoissonSource(100 * Hz)), net.population("b", 3, cell)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "texts"),
    [
        (EquationError, "'dc/dt = (1-c)/tau' of Plasticity is no decay: a variable of the synapse decays at a rate "
         "made of parameters, 'dc/dt = -c/tau', or keeps its value, 'dc/dt = 0'; statements change it",
         {"edge": "dc/dt = (1-c)/tau", "on_pre": "w += c", "tau": 20 * ms}),
        (EquationError, "'dc/dt = -x*c' of Plasticity is no decay: a variable of the synapse decays at a rate made of "
         "parameters, 'dc/dt = -c/tau', or keeps its value, 'dc/dt = 0'; statements change it",
         {"pre": "dx/dt = -x/tau", "edge": "dc/dt = -x*c", "on_pre": "w += c", "tau": 20 * ms}),
        (EquationError, "a variable of the synapse is given by a differential equation, 'dx/dt = -x/tau'; Plasticity "
         "has 'c[n+1] = c/2'", {"edge": "c[n+1] = c/2", "on_pre": "w += c"}),
        (EquationError, "Plasticity has statements on_every and no interval: give every=10*ms, or a parameter's name",
         {**TAGGED, "on_every": "w += c"}),
        (EquationError, "Plasticity has an interval and no statements on_every to carry out",
         {**TAGGED, "on_post": "w += c", "every": 5 * ms}),
        (UnknownNameError, "the interval 'T' of Plasticity is made of parameters; it has no parameter 'T'; known: tau",
         {**TAGGED, "on_every": "w += c", "every": "T"}),
        (EquationError, "'x += 1' of Plasticity changes a trace: the trace 'x' jumps with the spikes of its own "
         "neuron, in on_pre", {**TAGGED, "pre": "dx/dt = -x/tau", "on_every": "x += 1; w += c", "every": 5 * ms}),
        (UnknownNameError, "'d += 1' of Plasticity changes 'd', which is neither the weight 'w' nor a trace or a "
         "variable of the synapse; known: c, w", {**TAGGED, "on_post": "w += c; d += 1"}),
        (EquationError, "Plasticity never changes the weight: no statement of it assigns 'w'", TAGGED),
        (UnknownNameError, "the requirement 'kappa < 1' of Plasticity is made of parameters; it has no parameter "
         "'kappa'; known: tau", {**TAGGED, "on_post": "w += c", "require": "kappa < 1"}),
    ],
)  # fmt: skip
def test_rules_that_mean_nothing(error: type[Exception], message: str, texts: dict[str, Any]) -> None:
    assert refused(error, lambda: Plasticity(**texts)) == message


@pytest.mark.parametrize(
    ("error", "message", "more"),
    [
        (ParameterError, "the variable 'c' of the synapses of projection 'ab' grows, at 50 Hz: it has to decay",
         {"tau": -20 * ms}),
        (ParameterError, "every of Plasticity is 0.25 ms, which is not a whole number of steps at dt = 0.1 ms; nearest "
         "legal: 0.2 ms or 0.3 ms", {"T": 0.25 * ms}),
        (DimensionError, "the interval 'T' of Plasticity must be a time (s), and is voltage (V)", {"T": 2 * mV}),
        (ParameterError, "Plasticity of projection 'ab' needs rate < 1; it has rate = 2.0", {"rate": 2.0}),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(error: type[Exception], message: str, more: dict[str, Any]) -> None:
    rule = Plasticity(edge="dc/dt = -c/tau", on_pre="c += 1", on_every="w += rate*c*mV", every="T", lower=0,
                      upper="top", require="rate < 1",
                      **{"tau": 20 * ms, "T": 5 * ms, "rate": 0.5, "top": 9 * mV, **more})  # fmt: skip
    net, a, b = two()

    def build() -> None:
        net.connect(a, b, receptor="exc", weight=1 * mV, plasticity=rule, name="ab")
        compile_network(net)

    assert refused(error, build) == message


def test_weights_from_zero_need_bounds() -> None:
    net, a, b = two()
    net.connect(a, b, weight=0 * mV, plasticity=Plasticity(on_pre="w += 1*mV"), name="ab")
    said = refused(ParameterError, lambda: compile_network(net))
    assert said == ("the weights of projection 'ab' start at 0 and may become anything, so no grid fits them: give its "
                    "learning rule a lower and an upper bound")  # fmt: skip


def test_a_missing_modulator_is_named() -> None:
    net, a, b = two(LIF(receptors={"exc": DELTA, "reward": Modulator()}))
    with pytest.raises(UnknownNameError, match="unknown name 'dopamine_post' in .* of RewardSTDP"):
        net.connect(a, b, receptor="exc", weight=1 * mV, name="ab",
                    plasticity=RewardSTDP(w_max=2 * mV, a_plus=1 * mV, a_minus=1 * mV))  # fmt: skip


def test_a_probe_of_what_a_synapse_has_not() -> None:
    net, a, b = two()
    conn = net.connect(a, b, weight=1 * mV, plasticity=Plasticity(**TAGGED, on_post="w += c*mV"), name="ab")
    said = refused(UnknownNameError, lambda: net.record(conn, "v"))
    assert said == "projection 'ab' has no variable 'v'; known: weight, c"


@pytest.mark.parametrize(
    "backend", ["reference", "native", pytest.param("brian2", marks=pytest.mark.engine("brian2"))]
)
def test_a_variable_that_leaves_the_numbers_is_named(backend: str) -> None:
    net, a, b = two()
    rule = Plasticity(edge="dc/dt = 0", on_pre="c = c*1e200 + 1e200", on_post="w += 0*c*mV", lower=0, upper="top",
                      top=2 * mV)  # fmt: skip
    net.connect(a, b, weight=1 * mV, plasticity=rule, name="ab")
    with pytest.raises(DivergedError, match=r"the variable 'c' of edge \d+ of projection 'ab' is no finite number"):
        net.run(100 * ms, backend=backend)


# -- what is kept --------------------------------------------------------------------------------------------------


def _late(seed: int = 5) -> ns.Network:
    net = ns.Network("late", dt=DT * ms, seed=seed)
    a = net.population("a", 150, PoissonSource(60 * Hz))
    b = net.population("b", 130, LIF(t_ref=2 * ms, receptors={"exc": ExpCurrent(tau=3 * ms), "dopamine": Modulator()}))
    r = net.population("r", 2, PoissonSource(20 * Hz))
    rule = RewardSTDP(a_plus=1 * mV, a_minus=1.2 * mV, w_max=4 * mV, tau_c=100 * ms, interval=5 * ms, rate=5 * Hz)
    net.connect(a, b, receptor="exc", rule=ns.FixedProbability(0.5), weight=ns.uniform(0 * mV, 2 * mV),
                delay=ns.uniform(0.3 * ms, 3 * ms), plasticity=rule, name="ab")  # fmt: skip
    net.connect(r, b, receptor="dopamine", weight=0.5, delay=1 * ms)
    net.record(b, "spikes")
    for variable, every in (("weight", 20), ("c", 7)):
        net.record(net.projections["ab"], variable, every=every * ms)
    return net


def test_threads_and_engines_agree(tmp_path: Any) -> None:
    truth = _late().run(120 * ms, backend="reference")
    assert np.ptp(truth.weight_traces["ab.c"].values) > 1e-3 and truth.weight_traces["ab.c"].unit == "V"
    for options in ({"threads": 1}, {"threads": 2, "output": tmp_path / "out.h5"}):
        result = _late().run(120 * ms, **options)
        for key in ("ab", "ab.c"):
            assert np.array_equal(result.weight_traces[key].values, truth.weight_traces[key].values)
            assert result.weight_traces[key].times.tolist() == truth.weight_traces[key].times.tolist()
        assert np.array_equal(result.spikes["b"].steps, truth.spikes["b"].steps)


@pytest.mark.parametrize("number", [3, 4])
def test_random_networks_with_synapses_that_keep_something(number: int) -> None:
    found = rn.compare(number, number + 1, plastic=True)
    assert found["differences"] == [] and found["counts"]["edges that learn"] > 0


# -- surprise ----------------------------------------------------------------------------------------------------------

MOMENTUM, FORGETTING, RATE = 0.5, 0.01, 0.3


def _titans(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The recurrence of Titans' linear memory; the memory at the end, and the norm of the error at each token."""
    memory = surprise = np.zeros((values.shape[1], keys.shape[1]))
    norms = []
    for k, v in zip(keys, values, strict=True):
        error = v - memory @ k
        norms.append(np.linalg.norm(error))
        surprise = MOMENTUM * surprise + RATE * np.outer(error, k)
        memory = (1 - FORGETTING) * memory + surprise
    return memory, np.array(norms)


def _spiking(keys: np.ndarray, values: np.ndarray, steps: int, **more: Any) -> Any:
    token = steps * DT * ms
    net = ns.Network("titans", dt=DT * ms, seed=1)
    key, error = net.population("key", keys.shape[1], RateUnit()), net.population("error", values.shape[1], ErrorUnit())
    net.stimulate(key, ArrayCurrent(keys, dt=token))
    net.stimulate(error, ArrayCurrent(values, dt=token))
    given = {"momentum": MOMENTUM, "forgetting": FORGETTING, "rate": RATE, **more}
    rule = Surprise(interval=token, unit=Quantity(1e3 / DT, Hz.dim), **given)
    net.connect(key, error, weight=0.0, plasticity=rule, name="memory")
    net.record(error, "count", every=token)
    return net.run(len(keys) * token)


def _memory(result: Any, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    return result.weights("memory").reshape(keys.shape[1], values.shape[1]).T


def _stream(tokens: int = 200, d: int = 16) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(0)
    keys = np.abs(g.normal(size=(tokens, d)))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    return keys, keys @ (0.3 * g.normal(size=(d, d))).T


def test_the_spiking_memory_converges_to_the_recurrence_of_titans() -> None:
    keys, values = _stream()
    exact, _ = _titans(keys, values)
    steps = np.array([8, 16, 32, 64, 128, 256])
    errors = [np.linalg.norm(_memory(_spiking(keys, values, int(n)), keys, values) - exact) for n in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -1.2 < slope < -0.8, slope
    assert errors[-1] < 0.02 * np.linalg.norm(exact)


def test_surprise_falls_on_repetition_and_jumps_on_novelty() -> None:
    g = np.random.default_rng(2)
    keys = np.abs(g.normal(size=(6, 12)))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    values = g.uniform(-0.8, 0.8, (6, 8))
    order = [0, 1, 2] * 40 + [3, 0, 1, 2, 4, 0, 1, 2, 5, 0, 1, 2]
    result = _spiking(keys[order], values[order], 128)
    counts = result.state["error"]["count"].values
    surprise = np.linalg.norm(np.diff(counts, axis=0, prepend=0.0), axis=1) / 128
    late = np.arange(120, 132)
    novel = np.isin(np.array(order)[late], (3, 4, 5))
    known = surprise[late][~novel]
    auroc = np.mean(surprise[late][novel][:, None] > known[None, :])
    assert auroc > 0.95
    assert surprise[100:120].mean() < 0.3 * surprise[:3].mean()


def test_a_gate_that_is_shut_learns_nothing() -> None:
    keys, values = _stream(20)
    assert not _spiking(keys, values, 32, gate="0").weights("memory").any()
    # a gate of the surprise itself: shut where |e| stays below mu
    shut = _spiking(keys, values, 32, gate="where(surprise > mu, 1, 0)", mu=5.0).weights("memory")
    opened = _spiking(keys, values, 32, gate="where(surprise > mu, 1, 0)", mu=-1.0).weights("memory")
    assert not shut.any() and np.array_equal(opened, _spiking(keys, values, 32).weights("memory"))


def test_forgetting_helps_when_the_world_changes() -> None:
    g = np.random.default_rng(4)
    keys = np.abs(g.normal(size=(120, 16)))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    world = 0.3 * g.normal(size=(16, 16))
    values = np.concatenate([keys[:60] @ world.T, -keys[60:] @ world.T])
    before, after = [], []
    for forgetting in (0.0, 0.02):
        counts = _spiking(keys, values, 64, forgetting=forgetting, momentum=0.0).state["error"]["count"].values
        surprise = np.linalg.norm(np.diff(counts, axis=0, prepend=0.0), axis=1) / 64
        before.append(surprise[30:60].mean())
        after.append(surprise[60:90].mean())
    assert before[0] < before[1]  # it costs as long as the world stays
    assert after[1] < 0.95 * after[0]


def test_the_bound_of_stability_is_checked_when_the_network_is_built() -> None:
    keys, values = _stream(5)
    said = refused(ParameterError, lambda: _spiking(keys, values, 32, rate=3.0))
    assert said == ("Surprise of projection 'memory' needs 0 < rate * key and rate * key < (1 + momentum) * (2 - "
                    "forgetting); it has momentum = 0.5, forgetting = 0.01, rate = 3.0, key = 1.0")  # fmt: skip
    # beyond the bound the memory explodes, below it does not: the same key again and again
    key, value = np.repeat(keys[:1], 60, axis=0), np.repeat(values[:1] / 8, 60, axis=0)
    limit = (1 + MOMENTUM) * (2 - FORGETTING)
    calm = _spiking(key, value, 64, rate=0.8 * limit)
    wild = _spiking(key, value, 64, rate=1.25 * limit, key=0.75)
    swing = [np.abs(np.diff(r.state["error"]["count"].values, axis=0)).max(axis=1) for r in (calm, wild)]
    assert swing[0][-5:].mean() < swing[1][-5:].mean() / 2

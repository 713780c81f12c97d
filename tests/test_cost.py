"""What a run takes: against counting spike by spike and edge by edge, and against hooks in PyTorch."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim.analysis import TECHNOLOGIES, cost
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models import LIF, DeltaCurrent, ExpCurrent, PairSTDP, PoissonInput, SpikeSource, TsodyksMarkram
from neurosim.units import Hz, ms, mV

if importlib.util.find_spec("torch"):
    import torch

LEAKY = ns.Cell("dv/dt = -v/tau", threshold="v > v_th", reset="v -= v_th", name="Leaky", v_th=1.0, tau=10 * ms,
                receptors={"in": DeltaCurrent})  # fmt: skip


def run(net: ns.Network, steps: int, **options: Any) -> Any:
    return net.run(steps * ms, backend="reference", progress=False, **options)


def layered(spikes: np.ndarray, weights: list[np.ndarray], delay: Any = 1 * ms) -> ns.Network:
    """Spikes [steps, neurons] into layers of leaky cells, each recorded with its potential."""
    net = ns.Network("layered", dt=1 * ms, seed=1)
    steps, ids = np.nonzero(spikes)
    before = net.population("source", spikes.shape[1], SpikeSource(steps * ms, ids))
    net.record(before, "spikes")
    for k, w in enumerate(weights):
        pop = net.population(f"layer{k}", w.shape[1], LEAKY)
        if np.any(w):
            net.connect(before, pop, weight=w, delay=delay, name=f"w{k}")
        net.record(pop, "spikes"), net.record(pop, "v")
        before = pop
    return net


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray], int]:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    g = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        w = g.normal(0.4, 0.6, (a, b))
        w[g.random((a, b)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0.0
        weights.append(w)
    return g.random((draw(st.integers(1, 12)), sizes[0])) < 0.4, weights, draw(st.integers(1, 4))


@given(cases())
def test_counts_are_those_of_counting(case: tuple[np.ndarray, list[np.ndarray], int]) -> None:
    spikes, weights, samples = case
    steps = len(spikes)
    net = layered(spikes, weights, delay=ns.uniform(1 * ms, 4 * ms))
    result = run(net, steps)
    found = cost(net, result, samples)
    arrived = joined = pairs = 0
    for name, connection in net.projections.items():
        edges, fired = net.edges(name), result.spikes[connection.pre.name]
        for step, neuron in zip(fired.steps, fired.ids, strict=True):
            for pre, weight, delay in zip(edges.pre, edges.weight, edges.delay, strict=True):
                arrived += pre == neuron and weight != 0 and step + round(delay / 1e-3) < steps
        joined += int(np.sum(edges.weight != 0))
        pairs += len(connection.pre) * len(connection.post)
    layers = [f"layer{k}" for k in range(len(weights))]
    places = steps * sum(w.shape[1] for w in weights)
    assert found.effective_acs == pytest.approx(arrived / samples, rel=1e-12)
    assert found.effective_acs == pytest.approx(sum(found.operations_by_projection.values()), rel=1e-12)
    assert found.effective_macs == 0
    assert found.dense == pairs * steps / samples
    assert found.connection_sparsity == pytest.approx(1 - joined / pairs if pairs else 0.0, abs=1e-15)
    assert found.activation_sparsity == pytest.approx(1 - sum(result.spikes[n].count for n in layers) / places)
    assert found.activation_sparsity_by_population["source"] == pytest.approx(1 - spikes.mean())
    assert found.neuron_updates == places / samples
    changed = 0
    for name in layers:
        v = result.state[name]["v"].values
        changed += v.shape[1] + sum(v[n, k] != v[n - 1, k] for n in range(1, steps) for k in range(v.shape[1]))
    assert found.membrane_updates == changed / samples


@pytest.mark.engine("snntorch")
def test_counts_are_those_of_hooks_in_pytorch() -> None:
    """Two layers of snnTorch's Leaky; what their Linear layers take in is counted as NeuroBench's harness does."""
    import snntorch

    g = np.random.default_rng(3)
    spikes, steps = g.random((60, 12)) < 0.3, 60
    weights = [g.normal(0.08, 0.1, (12, 20)), g.normal(0.12, 0.1, (20, 4))]
    for w in weights:
        w[g.random(w.shape) < 0.25] = 0.0
    net = layered(spikes, weights)
    result = run(net, steps)
    assert max(result.state[name]["v"].values.max() for name in ("layer0", "layer1")) <= 1
    found = cost(net, result, 3)

    linear = [torch.nn.Linear(*w.shape, bias=False).double() for w in weights]
    cells = [snntorch.Leaky(beta=torch.tensor(np.exp(-0.1)), reset_delay=False).double() for _ in weights]
    counts = {"effective": 0, "dense": 0, "updates": 0, "spikes": 0, "places": 0}

    def count(layer: Any, given: Any, out: Any) -> None:
        counts["effective"] += int(((given[0] != 0).double() @ (layer.weight != 0).double().T).sum())
        counts["dense"] += layer.weight.numel()

    for layer, w in zip(linear, weights, strict=True):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(w.T))
        layer.register_forward_hook(count)
    # what is emitted in a step arrives in the next one
    sent = [torch.zeros(12, dtype=torch.float64), torch.zeros(20, dtype=torch.float64)]
    mem: list[Any] = [torch.zeros(20, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)]
    for n in range(steps):
        out = []
        for k in range(2):
            before = mem[k]
            spike, mem[k] = cells[k](linear[k](sent[k]), mem[k])
            counts["updates"] += mem[k].numel() if n == 0 else int((mem[k] != before).sum())
            counts["spikes"] += int(spike.sum())
            counts["places"] += spike.numel()
            out.append(spike.detach().double())
        sent = [torch.tensor(spikes[n].astype(float)), out[0]]
    assert counts["spikes"] == result.spikes["layer0"].count + result.spikes["layer1"].count > 50
    assert found.effective_acs == counts["effective"] / 3
    assert found.dense == counts["dense"] / 3
    assert found.membrane_updates == counts["updates"] / 3
    assert found.activation_sparsity == pytest.approx(1 - counts["spikes"] / counts["places"])
    zeros = sum(int((layer.weight == 0).sum()) for layer in linear)
    assert found.connection_sparsity == pytest.approx(zeros / sum(layer.weight.numel() for layer in linear))


def test_footprint_is_weights_parameters_and_state() -> None:
    spikes, weights = np.ones((5, 3), bool), [np.ones((3, 4))]
    net = layered(spikes, weights)
    result = run(net, 5)
    graph = net.edges("w0")
    # 12 weights; of the cells the decay of a step and the threshold; v of four
    assert len(graph) == 12 and cost(net, result).footprint == 8 * (12 + 2 + 4)
    assert cost(net, run(net, 5, precision="single")).footprint == 4 * (12 + 2 + 4)


def test_silence_and_no_steps() -> None:
    net = layered(np.zeros((4, 3), bool), [np.ones((3, 4))])
    found = cost(net, run(net, 4))
    assert found.effective_acs == 0 and found.activation_sparsity == 1 and found.dense == 48
    nothing = cost(net, run(net, 0))
    assert nothing.dense == nothing.neuron_updates == nothing.membrane_updates == nothing.effective_acs == 0
    alone = ns.Network("alone", dt=1 * ms)
    alone.record(alone.population("p", 2, LEAKY), "spikes")
    assert cost(alone, run(alone, 3)).connection_sparsity == 0 == cost(alone, run(alone, 3)).dense
    assert np.isnan(cost(alone, run(alone, 3)).membrane_updates)


def test_parts_unions_and_doubled_edges() -> None:
    net = ns.Network("parts", dt=1 * ms)
    a = net.population("a", 4, SpikeSource([[0, 1] * ms, [0] * ms, [2] * ms, [0] * ms]))
    b = net.population("b", 3, SpikeSource([[1] * ms, [0] * ms, [0, 1, 2] * ms]))
    out = net.population("out", 2, LEAKY)
    # of the union (3, 0, then 2 of b), two edges from each, those of the first double
    rule = ns.EdgeList([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 0, 1])
    net.connect(a[[3, 0]] + b[2:], out, rule=rule, weight=np.array([1.0, 1, 1, 0, 1, 1]), delay=1 * ms, name="p")
    for pop in (a, b, out):
        net.record(pop, "spikes")
    found = cost(net, run(net, 3))
    # a[3] once over two edges, a[0] twice over one (the other weighs nothing), b[2] thrice over two, the last too late
    assert found.effective_acs == 2 + 2 + 4
    assert found.connection_sparsity == pytest.approx(1 - 4 / 6)


def test_released_spikes_are_multiplied_and_plastic_weights_count() -> None:
    net = ns.Network("kinds", dt=1 * ms)
    source = net.population("source", 2, SpikeSource([[0, 2, 4] * ms, [1] * ms]))
    cell = LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"syn": ExpCurrent(tau=5 * ms)})
    out = net.population("out", 3, cell)
    net.stimulate(out, PoissonInput(rate=100 * Hz, weight=1 * mV), name="noise")
    net.connect(source, out, weight=1 * mV, delay=1 * ms, short_term=TsodyksMarkram(), name="depressing")
    net.connect(source, out, weight=0 * mV, delay=1 * ms, plasticity=PairSTDP(w_max=2 * mV), name="learning")
    for pop in (source, out):
        net.record(pop, "spikes")
    found = cost(net, run(net, 10))
    assert found.operations_by_projection == {"depressing": 12, "learning": 12}
    assert (found.effective_macs, found.effective_acs) == (12, 12) and found.connection_sparsity == 0
    assert found.left_out == ("arrivals of the Poisson drive 'noise' of 'out'", "learning in 'learning'")
    assert found.energy().synapses == pytest.approx(12 * 0.9e-12 + 12 * 4.6e-12)


def test_estimates_say_what_they_rest_on() -> None:
    net = layered(np.ones((20, 3), bool), [np.full((3, 4), 0.2)])
    found = cost(net, run(net, 20), 2)
    assert (found.effective_acs, found.neuron_updates) == (19 * 12 / 2, 40)
    # a step of the cell: decay times v, plus the arrivals, a comparison, less the threshold; flush is neither
    assert (found.additions / 40, found.multiplications / 40) == (3, 1)
    arithmetic = {"45nm float32": 3 * 0.9 + 3.7, "45nm int8": 3 * 0.03 + 0.2, "Loihi": 81}
    for name, synapse in (("45nm float32", 0.9), ("45nm int8", 0.03), ("Loihi", 23.6)):
        estimate = found.energy(name)
        assert estimate.synapses == pytest.approx(114 * synapse * 1e-12)
        assert estimate.updates == pytest.approx(40 * arithmetic[name] * 1e-12)
        assert estimate.total == estimate.synapses + estimate.updates
        assert estimate.source == TECHNOLOGIES[name].source and "20" in estimate.source
    text = str(found)
    assert "estimate, Loihi" in text and "effective ACs                                114.0" in text
    with pytest.raises(UnknownNameError, match="no technology 'Loihi 3'"):
        found.energy("Loihi 3")


@pytest.mark.checkout
def test_loihi_s_figures_are_those_of_the_chip_s_file() -> None:
    from neurosim.hardware.loihi2.placement import loihi2

    chip, own = loihi2(), TECHNOLOGIES["Loihi"]
    assert (own.accumulate, own.update) == (chip["synop_energy"], chip["update_energy"])


def test_what_cost_refuses() -> None:
    net = layered(np.ones((4, 3), bool), [np.ones((3, 4))])
    result = run(net, 4)
    with pytest.raises(ParameterError, match="samples is a whole number from 1 on, got 0"):
        cost(net, result, 0)
    with pytest.raises(UnknownNameError, match="inputs: no population 'sauce'; did you mean 'source'"):
        cost(net, result, inputs=["sauce"])
    other = layered(np.ones((4, 2), bool), [np.ones((2, 4))])
    with pytest.raises(ParameterError, match="the result is not one of the network 'layered'"):
        cost(other, result)
    for call, message in (
        (lambda: cost(None, result), "network is the Network that was run, got None"),
        (lambda: cost(net, None), "result is what net.run(...) returned, got None"),
        (lambda: cost(result, net), "network is the Network that was run, got "),
        (lambda: cost(net, result, "a"), "samples is a whole number from 1 on, got 'a'"),
        (lambda: cost(net, result, inputs="source"), "inputs are a list of names of populations, got 'source'"),
        (lambda: cost(net, result, inputs=3), "inputs are a list of names of populations, got 3"),
        (lambda: cost(net, result).energy(["45nm"]), "technology is one of "),
    ):
        with pytest.raises(ParameterError) as caught:
            call()
        assert message in caught.value.message
    for part in (None, slice(2)):
        some = ns.Network("some", dt=1 * ms)
        pop = some.population("p", 4, LEAKY)
        if part is not None:
            some.record(pop[part], "spikes")
        with pytest.raises((ParameterError, UnknownNameError), match="recorded"):
            cost(some, run(some, 4))


def test_inputs_may_be_named() -> None:
    net = layered(np.ones((6, 3), bool), [np.ones((3, 4)), np.ones((4, 2))])
    result = run(net, 6)
    assert cost(net, result, inputs=["source", "layer0"]).neuron_updates == 12
    assert cost(net, result).neuron_updates == 36

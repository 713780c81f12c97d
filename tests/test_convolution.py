"""Convolutions: edges, shared weights, training. Oracles are scipy's correlate, torch's convolutions, edge lists."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.errors import ConnectivityError, DimensionError, NeurosimError, ParameterError, UnsupportedError
from neurosim.ir.edges import edge_table, iter_edges
from neurosim.ir.graph import digest
from neurosim.ir.printer import render_graph
from neurosim.ir.random import Draws
from neurosim.ir.rules import EdgeContext, convolution
from neurosim.models import LIF, ExpCurrent, PairSTDP, PoissonInput, SpikeSource, TsodyksMarkram
from neurosim.units import Hz, Quantity, ms, mV, pA

# where it is missing, the tests that need it are marked, and left out with the line that says so
torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None


@st.composite
def convolutions(draw: st.DrawFn) -> ns.Convolution:
    axes, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes)))

    shape = (groups * draw(st.integers(1, 2)), *each(1, 7))
    padding = tuple(draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=axes, max_size=axes)))
    dilation = each(1, 3)
    room = [n + sum(p) for n, p in zip(shape[1:], padding, strict=True)]
    kernel = tuple(draw(st.integers(1, min(4, 1 + (r - 1) // d))) for r, d in zip(room, dilation, strict=True))
    return ns.Convolution(shape, groups * draw(st.integers(1, 3)), kernel, each(1, 3), padding, dilation, groups)


def through_torch(rule: ns.Convolution, image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    pads = [n for pair in reversed(rule.padding) for n in pair]
    given = torch.nn.functional.pad(torch.from_numpy(image)[None], pads)
    conv = getattr(torch.nn.functional, f"conv{len(rule.kernel)}d")
    return conv(given, torch.from_numpy(kernel), None, rule.stride, 0, rule.dilation, rule.groups)[0].numpy()


@pytest.mark.engine("torch")
@settings(max_examples=60, deadline=None)
@given(rule=convolutions(), seed=st.integers(0, 99), chunk=st.sampled_from([1, 7, 10**6]))
def test_edges_are_what_torch_sums(rule: ns.Convolution, seed: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    n_pre, n_post = int(np.prod(rule.shape)), int(np.prod(rule.shape_out))
    pieces = list(rule.edges(EdgeContext(n_pre, n_post, lambda name: Draws(1, name), chunk=chunk)))
    assert all(len(pre) == chunk for pre, _ in pieces[:-1])
    none = np.zeros(0, np.uint32)
    pre, post = (np.concatenate([none, *(p[k] for p in pieces)]) for k in (0, 1))
    element = rule.element(pre, post)
    image, kernel = (rng.integers(-99, 100, shape).astype(float) for shape in (rule.shape, rule.kernel_shape))
    out = np.zeros(n_post)
    np.add.at(out, post, image.ravel()[pre] * kernel.ravel()[element])
    assert np.array_equal(out.reshape(rule.shape_out), through_torch(rule, image, kernel))
    order = post.astype(np.int64) * kernel.size + element  # by target, then by element; no edge twice
    assert np.all(np.diff(order) > 0)
    assert rule.expected(n_pre, n_post) == len(pre)
    assert rule.most == max(1, np.bincount(post, minlength=1).max())
    listed, at = rule.edge_list()
    assert np.array_equal(listed.pre, pre) and np.array_equal(at, element)
    some = slice(len(pre) // 3, len(pre) - len(pre) // 4)
    assert np.array_equal(rule.element(pre[some], post[some], some.start), element[some])


def test_small_blocks_change_no_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = ns.Convolution((2, 9, 8), 3, (3, 2), (2, 1), (1, 2), (1, 2))
    (before, at), alike = rule.edge_list(), dataclasses.replace(rule)
    monkeypatch.setattr(convolution, "BLOCK", 5)
    monkeypatch.setattr(convolution, "_KEPT", 3)  # nothing is kept: every channel is made anew
    assert alike.edge_list()[0] == before and np.array_equal(alike.edge_list()[1], at) and len(at) > 500


def test_a_kernel_is_correlated_as_by_scipy() -> None:
    rng = np.random.default_rng(3)
    image, kernel = rng.integers(-5, 6, (2, 8, 7)).astype(float), rng.integers(-5, 6, (1, 2, 3, 2)).astype(float)
    rule, at = (conv := ns.Convolution((2, 8, 7), 1, (3, 2))).edge_list()
    out = np.zeros(conv.shape_out).ravel()
    np.add.at(out, rule.post, image.ravel()[rule.pre] * kernel.ravel()[at])
    assert np.array_equal(out.reshape(conv.shape_out[1:]), correlate(image, kernel[0], "valid")[0])


@pytest.mark.engine("torch")
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_same_and_valid_are_those_of_torch(size: int) -> None:
    image = np.arange(42.0).reshape(1, 6, 7) % 5
    kernel = np.arange(float(size * 2)).reshape(1, 1, size, 2)
    for padding, dilation in (("same", 1), ("valid", 1), ("same", 2)):
        if dilation * (size - 1) >= 6:
            continue
        rule = ns.Convolution((1, 6, 7), 1, (size, 2), padding=padding, dilation=dilation)
        wanted = torch.nn.functional.conv2d(
            torch.from_numpy(image)[None], torch.from_numpy(kernel), padding=padding, dilation=dilation
        )[0].numpy()
        assert rule.shape_out == wanted.shape
        assert np.array_equal(through_torch(rule, image, kernel), wanted)


@pytest.mark.engine("torch")
def test_pools_are_those_of_torch() -> None:
    image = np.random.default_rng(1).integers(0, 2, (3, 7, 6)).astype(float)
    for how in ({"kernel": 2}, {"kernel": (3, 2), "stride": 1}, {"kernel": 3, "stride": (2, 1), "padding": 1}):
        rule = ns.pooling((3, 7, 6), **how)
        listed, _ = rule.edge_list()
        out = np.bincount(listed.post, image.ravel()[listed.pre], minlength=int(np.prod(rule.shape_out)))
        size = np.broadcast_to(how["kernel"], 2)
        wanted = torch.nn.functional.avg_pool2d(
            torch.from_numpy(image), tuple(size), rule.stride, how.get("padding", 0)
        ).numpy() * np.prod(size)  # fmt: skip
        assert rule.kernel_shape == (3, 1, *size) and np.allclose(out.reshape(rule.shape_out), wanted, atol=1e-12)


# -- networks -------------------------------------------------------------------------------------------------------

RULE = ns.Convolution((2, 9, 8), 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
KERNEL = np.random.default_rng(1).normal(6, 5, RULE.kernel_shape)


def layers(listed: bool = False, kernel: Any = KERNEL * mV, rule: ns.Convolution = RULE, **how: Any) -> ns.Network:
    """Noisy cells, and a layer behind a convolution; or behind its edges, one by one."""
    net = ns.Network("c", dt=0.1 * ms, seed=3)
    cell = LIF(receptors={"exc": ExpCurrent(tau=5 * ms)})
    image = net.population("image", int(np.prod(rule.shape)), cell, init={"v": ns.uniform(-70 * mV, -50 * mV)})
    features = net.population("features", int(np.prod(rule.shape_out)), cell)
    net.stimulate(image, PoissonInput(3000 * Hz, weight=3 * mV, receptor="exc"))
    how = {"delay": 1 * ms, "name": "conv", **how}
    if listed:
        edges, at = rule.edge_list()
        each = {k: Quantity(v.value.ravel()[at], v.dim) if np.ndim(getattr(v, "value", 0)) else v
                for k, v in {"weight": kernel, **how}.items()}  # fmt: skip
        net.connect(image, features, rule=edges, **each)
    else:
        net.connect(image, features, rule=rule, weight=kernel, **how)
    net.record([image, features], "spikes")
    return net


def fired(result: Any, name: str = "features") -> list[tuple[int, int]]:
    spikes = result.spikes[name]
    return list(zip(spikes.steps.tolist(), spikes.ids.tolist(), strict=True))


def in_module(spikes: Any) -> list[tuple[int, int]]:
    return [tuple(at) for at in spikes["features"][0].nonzero().tolist()]


@pytest.fixture(scope="module")
def wanted() -> list[tuple[int, int]]:
    found = fired(layers(listed=True).run(60 * ms, backend="reference"))
    assert len(found) > 300
    return found


@pytest.mark.parametrize(
    "backend",
    ["reference", "native", *(pytest.param(b, marks=pytest.mark.engine(e)) for b, e in
                              (("brian2", "brian2"), ("nest", "nest"), ("snntorch", "torch")))],
)  # fmt: skip
def test_every_engine_gives_the_spikes_of_the_edges_one_by_one(backend: str, wanted: Any) -> None:
    assert fired(layers().run(60 * ms, backend=backend)) == wanted
    if backend == "native":
        assert fired(layers().run(60 * ms, threads=2)) == wanted


def test_edges_and_their_kernel_are_on_the_grid() -> None:
    table, other = layers().edges("conv"), layers(listed=True).edges("conv")
    for key in ("pre", "post", "weight", "delay"):
        assert np.array_equal(getattr(table, key), getattr(other, key))
    assert other.kernel is None and table.kernel.shape == RULE.kernel_shape
    assert np.array_equal(table.kernel.ravel()[RULE.edge_list()[1]], table.weight)
    assert np.allclose(table.kernel, KERNEL * 1e-3, rtol=1e-9, atol=0)
    one = layers(kernel=2 * mV).edges("conv").kernel
    assert one.shape == RULE.kernel_shape and np.allclose(one, 2e-3, rtol=1e-11, atol=0)


LATE = np.arange(KERNEL.size).reshape(KERNEL.shape) % 5 * 0.3 * ms + 1 * ms


def test_delays_may_be_a_kernel_too() -> None:
    a, b = layers(delay=LATE), layers(listed=True, delay=LATE)
    assert np.array_equal(a.edges("conv").delay, b.edges("conv").delay)
    assert fired(a.run(60 * ms)) == fired(b.run(60 * ms))


@pytest.mark.engine("torch")
def test_a_kernel_with_delays_is_trained_as_one() -> None:
    module = layers(delay=LATE).to_torch(precision="double")
    assert in_module(module(steps=600).spikes) == fired(layers(listed=True, delay=LATE).run(60 * ms))
    assert module.weights["conv"].shape == RULE.kernel_shape


def test_drawn_kernels_are_drawn_once() -> None:
    table = layers(kernel=ns.normal(5 * mV, 1 * mV)).edges("conv")
    drawn = table.kernel
    assert len(np.unique(drawn)) == drawn.size and np.array_equal(drawn.ravel()[RULE.edge_list()[1]], table.weight)
    for chunk in (7, 10**6):
        graph = compile_network(layers(kernel=ns.normal(5 * mV, 1 * mV)))
        weights = np.concatenate([e.weight for e in iter_edges(graph, graph.projections[0], chunk=chunk)])
        assert np.array_equal(weights, table.weight)


def test_a_kernel_is_kept_once() -> None:
    net = layers()
    (conn,) = net.projections.values()
    assert conn.weight.values.shape == RULE.kernel_shape
    text = render_graph(compile_network(net))
    assert "Convolution(2 x 9 x 8 to 3 x 5 x 10, kernel 3 x 2, stride 2 x 1, padding 1 x 2, dilation 1 x 2)" in text
    assert "a kernel of 3 x 2 x 3 x 2, " in text
    assert len(pickle.dumps(conn.weight)) < 8 * KERNEL.size + 500
    assert digest(compile_network(net)) == digest(compile_network(layers()))
    assert digest(compile_network(net)) != digest(compile_network(layers(kernel=KERNEL * 2 * mV)))


def test_set_weights_takes_a_kernel() -> None:
    with layers().start() as one, layers(listed=True).start() as other:
        for run in (one, other):
            run.run(20 * ms)
        one.set_weights("conv", KERNEL * 0.5 * mV)
        other.set_weights("conv", KERNEL.ravel()[RULE.edge_list()[1]] * 0.5 * mV)
        for run in (one, other):
            run.run(40 * ms)
        found = [fired(run.result()) for run in (one, other)]
        with pytest.raises(ParameterError, match=r"or a kernel of them of shape \[3, 2, 3, 2\]; got shape \[5\]"):
            one.set_weights("conv", np.zeros(5) * mV)
    assert found[0] == found[1] and len(found[0]) > 50


def test_unions_and_parts_are_convolved_in_their_order() -> None:
    net = ns.Network("u", dt=0.1 * ms, seed=1)
    cell = LIF(receptors={"e": ExpCurrent})
    a, b, c = (net.population(name, 12, cell) for name in "abc")
    rule = ns.Convolution((2, 3, 4), 1, (3, 1))
    net.connect(a + b, c[::3], rule=rule, weight=np.arange(6.0).reshape(1, 2, 3, 1) * mV, name="x")
    graph = compile_network(net)
    table = edge_table(graph, graph.projection("x"))
    assert table.pre.tolist() == [x + 4 * y + 12 * z for x in range(4) for z in range(2) for y in range(3)]
    assert np.allclose(table.weight, np.tile(np.arange(6), 4) * 1e-3, rtol=1e-9)


# -- training -------------------------------------------------------------------------------------------------------


@pytest.mark.engine("torch")
@pytest.mark.parametrize("graded", [True, False])
def test_a_module_has_the_networks_spikes(graded: bool, wanted: Any) -> None:
    module = layers().to_torch(precision="double")
    with torch.set_grad_enabled(graded):
        assert in_module(module(steps=600).spikes) == wanted
    assert module.state_dict()["weights.conv"].shape == RULE.kernel_shape


@pytest.mark.engine("torch")
@pytest.mark.parametrize(
    "rule",
    [RULE, ns.Convolution((4, 6, 5), 4, 3, padding=((2, 0), (0, 1)), groups=2), ns.Convolution((2, 30), 3, 5, 2),
     ns.Convolution((1, 4, 5, 4), 2, 2, padding="same"), ns.pooling((3, 8, 6), 2)],
    ids=["2d", "grouped", "1d", "3d", "pool"],
)  # fmt: skip
@pytest.mark.parametrize("short_term", [None, TsodyksMarkram()], ids=["static", "short_term"])
def test_the_gradient_of_an_element_is_the_sum_over_its_edges(rule: ns.Convolution, short_term: Any) -> None:
    size = (20 if short_term else 8) * 12 / np.prod(rule.kernel_shape[1:])
    kernel = np.random.default_rng(4).normal(size, size / 2, rule.kernel_shape) * mV
    shared, listed = (
        layers(one, kernel, rule, short_term=short_term).to_torch(precision="double") for one in (False, True)
    )
    outputs = [module(steps=300).spikes["features"] for module in (shared, listed)]
    assert torch.equal(*outputs) and outputs[0].sum() > 20
    for spikes in outputs:
        (spikes.sum((0, 1)) * torch.arange(spikes.shape[2])).sum().backward()
    got, each = shared.weights["conv"].grad / shared.units["conv"], listed.weights["conv"].grad / listed.units["conv"]
    at = torch.from_numpy(rule.edge_list()[1])
    wanted = torch.zeros(got.numel(), dtype=torch.float64).index_add(0, at, each)
    assert got.abs().max() > 0
    torch.testing.assert_close(got.reshape(-1), wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


@pytest.mark.engine("torch")
def test_what_is_trained_comes_back_as_a_kernel() -> None:
    net = layers()
    module = net.to_torch(precision="double")
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(3):
        optimiser.zero_grad()
        spikes = module(steps=300).spikes["features"]
        (spikes.mean() - 0.05).square().backward()
        optimiser.step()
    assert not torch.allclose(module.weights["conv"], layers().to_torch(precision="double").weights["conv"])
    with torch.no_grad():
        expected = in_module(module(steps=600).spikes)
    net.load_torch(module)
    (conn,) = net.projections.values()
    assert conn.rule == RULE and conn.weight.values.shape == RULE.kernel_shape
    assert fired(net.run(60 * ms)) == expected and len(expected) > 50
    again = layers()
    other = again.to_torch(precision="double")
    other.load_state_dict(module.state_dict())
    again.load_torch(other)
    assert np.array_equal(again.edges("conv").kernel, net.edges("conv").kernel)
    twin = layers(rule=ns.Convolution((2, 9, 8), 3, (3, 2), (2, 1), ((1, 1), (2, 2)), (1, 2)))
    twin.load_torch(module)  # the same rule, spelled otherwise
    wrong = layers(rule=ns.Convolution((2, 9, 8), 3, (3, 2), (2, 1), ((2, 0), (2, 2)), (1, 2)))
    with pytest.raises(
        ParameterError, match=r"'conv' is Convolution\(.*padding \(2, 0\) x 2.*, the module's Convolution"
    ):
        wrong.load_torch(module)


@pytest.mark.engine("torch")
def test_optimisers_and_losses_know_kernels() -> None:
    from neurosim.learning import SynapticOperations, muon_adamw

    shared, listed = (layers(one).to_torch() for one in (False, True))
    ops = [float(SynapticOperations()(module(steps=200), module).detach()) for module in (shared, listed)]
    assert ops[0] == ops[1] > 0
    muon = muon_adamw(shared)
    (matrix,) = [m for _, _, m in muon.matrices]
    assert matrix.shape == (3, 12)
    before = shared.weights["conv"].detach().clone()
    shared(steps=300).spikes["features"].sum().backward()
    muon.step()
    assert shared.weights["conv"].shape == RULE.kernel_shape and not torch.equal(before, shared.weights["conv"])


@pytest.mark.engine("torch")
def test_large_kernels_take_no_memory_per_edge() -> None:
    """64 x 64 x 3 x 3 over 32 x 32: 36 million edges, of which the module makes none."""
    rule = ns.Convolution((64, 32, 32), 64, 3, padding=1)
    assert rule.expected(0, 0) == 64 * 64 * 94**2
    net = ns.Network("large", dt=0.1 * ms, seed=1)
    cell = LIF(receptors={"e": ExpCurrent})
    a, b = net.population("a", 2**16, cell), net.population("b", 2**16, cell)
    net.connect(a, b, rule=rule, weight=ns.normal(1 * mV, 1 * mV), name="conv")
    module = net.to_torch()
    assert not vars(module.synapses[0]).keys() & {"_ends", "index"}
    assert module.weights["conv"].numel() == 64 * 64 * 9
    spikes = (torch.rand(1, 3, 2**16, generator=torch.Generator().manual_seed(1)) < 0.01).float()
    module({"a": spikes}).traces  # noqa: B018


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ns.Convolution((9, 8), 1, 3, groups=2), "2 groups do not divide the 9 input channels"),
        (lambda: ns.Convolution((4, 8), 3, 3, groups=2), "2 groups do not divide the 3 output channels"),
        (lambda: ns.Convolution((1, 8, 4), 1, 5), "spans 5 places of the width, and the input with its padding has 4"),
        (lambda: ns.Convolution((1, 8, 9), 1, 3, dilation=4, padding=(0, 1)), "spans 9 places of the height"),
        (lambda: ns.Convolution((5,), 1, 1), "of what is convolved is (channels, one to three sizes), not (5,)"),
        (lambda: ns.Convolution("abc", 1, 1), "not 'abc'"),
        (lambda: ns.Convolution((1, 2, 3, 4, 5), 1, 1), "one to three sizes"),
        (lambda: ns.Convolution((1, 0, 3), 1, 1), "every size in shape of a convolution must be a whole number"),
        (lambda: ns.Convolution((1, 8), 1.5, 1), "channels_out of a convolution must be a whole number"),
        (lambda: ns.Convolution((1, 8), 1, True), "kernel of a convolution must be a whole number"),
        (lambda: ns.Convolution((1, 8, 8), 1, (3, 3, 3)), "is one number, or one for each of 2 axes, not (3, 3, 3)"),
        (lambda: ns.Convolution((1, 8), 1, 3, stride=0), "stride of a convolution must be a whole number, from 1"),
        (lambda: ns.Convolution((1, 8), 1, 3, padding=-1), "padding of a convolution must be a whole number, from 0"),
        (lambda: ns.Convolution((1, 8), 1, 3, padding="full"), "padding is 'same', 'valid' or numbers, not 'full'"),
        (lambda: ns.Convolution((1, 8), 1, 3, 2, "same"), "padding='same' needs a stride of 1, not 2"),
        (lambda: ns.Convolution((1, 8, 8), 1, 3, padding=[(1, 2, 3), 1]), "one number, or a pair (before, after)"),
        (lambda: ns.Convolution((1, 2**30), 1, 1, padding=2**30), "fewer than 2^31 targets, not 1 x 3221225472"),
        (lambda: ns.Convolution((1, 2**31), 1, 1), "from 1 to 2^31 - 1, not 2147483648"),
        (lambda: ns.pooling(5, 2), "the shape of what is convolved"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_said_where_they_stand(make: Any, sentence: str) -> None:
    with pytest.raises(ConnectivityError) as told:
        make()
    assert sentence in str(told.value) and "test_convolution.py:" in str(told.value)


def small(**how: Any) -> ns.Network:
    net = ns.Network("s", dt=0.1 * ms, seed=1)
    cell = LIF(receptors={"e": ExpCurrent})
    a, b = net.population("a", 2 * 3 * 4, cell), net.population("b", 8, cell)
    net.connect(a, b, **{"rule": ns.Convolution((2, 3, 4), 2, 2, stride=(1, 2)), "weight": 1 * mV, "name": "ab", **how})
    return net


@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        ({"rule": ns.Convolution((2, 3, 5), 2, 2)}, ConnectivityError,
         "projection 'ab': the convolution sees channels x height x width = 2 x 3 x 5 = 30 neurons, and the source "
         "group has 24"),
        ({"rule": ns.Convolution((2, 3, 4), 3, 2)}, ConnectivityError,
         "the convolution makes channels x height x width = 3 x 2 x 3 = 18 neurons, and the target group has 8"),
        ({"weight": np.ones((2, 2, 2)) * mV}, ConnectivityError,
         "weight of the projection 'ab' needs the shape [2, 2, 2, 2] of the kernel, which the edges share: output "
         "channels, input channels of a group, elements; got [2, 2, 2]"),
        ({"weight": np.ones((24, 8)) * mV}, ConnectivityError, "needs the shape [2, 2, 2, 2] of the kernel"),
        ({"weight": np.ones((2, 2, 2, 2)) * pA}, DimensionError, "must be a voltage (V)"),
        ({"weight": "1*mV"}, UnsupportedError,
         "an expression gives each edge of projection 'ab' a weight of its own, and the edges of a Convolution share "
         "theirs: list them, with rule, element = convolution.edge_list()"),
        ({"plasticity": PairSTDP(w_max=2 * mV)}, UnsupportedError, "a learning rule gives each edge of projection"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused(how: Any, error: type[NeurosimError], sentence: str) -> None:
    with pytest.raises(error) as told:
        small(**how)
    assert sentence in str(told.value) and "test_convolution.py:" in str(told.value)


@pytest.mark.engine("torch")
def test_what_cannot_be_trained_together_is_refused() -> None:
    with pytest.raises(ParameterError, match="'ab.delay' would give each edge a delay of its own"):
        small().to_torch(train=["ab.delay"])
    net = ns.Network("s", dt=0.1 * ms, seed=1)
    cell = LIF(receptors={"e": ExpCurrent})
    a, b, c = (net.population(name, 4, cell) for name in "abc")
    net.connect(a, b + c, rule=ns.Convolution((1, 4), 2, 1), weight=np.array([[[1.1]], [[0.7]]]) * mV, name="x")
    net.connect(a, c, weight=90 * mV)
    with pytest.raises(UnsupportedError, match="'x' ends at several populations"):
        net.to_torch()
    table = net.edges("x")  # which run: each population rounds to the grid that its own weights make
    assert len(set(table.weight[:4].tolist() + table.weight[4:].tolist())) == 2


@pytest.mark.engine("torch")
def test_integers_are_not_trained_through_a_kernel() -> None:
    from neurosim.hardware.training import IntegerTraining

    net = ns.Network("s", dt=1 * ms, seed=1)
    source = net.population("a", 8, SpikeSource([[1, 5] * ms] * 8))
    net.connect(source, net.population("b", 12, LIF(receptors={"e": ExpCurrent})), rule=ns.Convolution((1, 8), 2, 3),
                weight=np.ones((2, 1, 3)) * mV, delay=1 * ms)  # fmt: skip
    with pytest.raises(UnsupportedError, match="share their weights, and integers are trained edge by edge"):
        IntegerTraining(net)
